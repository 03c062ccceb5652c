"""kill -9 at random points of an aggregator run, 200 times: after one more run every file is the one of a
clean run, byte for byte, and nothing else is left."""

import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "aggregator"))
from lake import Event, Lake, now_of, revenue  # noqa: E402

DAYS, USERS, WINDOWS = 2, 60, (2, 36500)
KILLS, CHECK_EVERY = 200, 8

RUN = ["run", "ltv", "--now", now_of(DAYS - 1)]


def fresh(lake):
    for folder in ("out", "csv"):
        shutil.rmtree(lake.root / folder, ignore_errors=True)


def kill(world, after, group):
    """Starts a run and kills it: the guard alone, whose worker must die with it, or both at once."""
    process = world.start(*RUN, start_new_session=True)
    time.sleep(after)
    if process.poll() is None and group:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    return process.wait() == -signal.SIGKILL


@pytest.fixture
def world(world_in_memory):
    return world_in_memory


@pytest.fixture
def lake(world):
    rng = random.Random(7)
    lake = Lake(world, world.root)
    lake.add([Event(day, rng.randrange(USERS), revenue(rng.randrange(1000)))
              for day in range(DAYS) for _ in range(300)])
    lake.write_config(windows=WINDOWS)
    return lake


def test_200_kills(world, lake):
    for _ in range(2):  # the first one may take as long as several: nothing is in memory yet
        fresh(lake)
        began = time.monotonic()
        assert world.run(*RUN).status == 0
        length = time.monotonic() - began
    wanted = lake.tree()
    assert len(wanted) > 3 * DAYS

    rng = random.Random(1)
    killed = unfinished = 0
    while killed < KILLS:
        if not kill(world, rng.random() * length, group=rng.random() < 0.5):
            continue  # it was over first
        killed += 1
        if lake.tree() == wanted:
            fresh(lake)  # all was done: begin with nothing again
            continue
        unfinished += 1
        if killed % CHECK_EVERY == 0:
            result = world.run(*RUN)
            assert result.status == 0, result.text
            found = lake.tree()
            assert sorted(found) == sorted(wanted)
            assert [path for path in wanted if found[path] != wanted[path]] == []
            assert list(world.temp.rglob("*")) == []
            fresh(lake)
    assert unfinished > KILLS // 2, "the kills came too late to mean anything"
    for path in world.state.rglob("*.db"):
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
