"""Runs of dsr that are killed, stopped, short of space, disturbed by other writers or by stores that
fail: after one more run all is as it has to be, judged by dsr_checker.py.

Here runs a sample, drawn by a seed that is printed and may be given as RUN_CORE_FAULT_SEED; with
RUN_CORE_FULL=1 there are 300 kills and every share of failing requests.
"""
import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import World
# The fixtures are found by their names.
from dsr_checker import Checker
from dsr_world import (DAYS, ODD, Dsr, Google, InBuckets, needs_engine, on_ceph,  # noqa: F401
                       pond_made, user)

pytestmark = needs_engine

FULL = bool(os.environ.get("RUN_CORE_FULL"))
USERS = [*(user(3, n) for n in (1, 2, 3, 17, 200)), *ODD]
ERASED = {3: (USERS, DAYS[0], DAYS[1])}


class Output:
    """Where a process that is going to be killed prints to."""

    def __init__(self, world):
        self.path = world.root / "output"

    def __enter__(self):
        self.file = self.path.open("ab")
        return {"stdout": self.file, "stderr": self.file}

    def __exit__(self, *_):
        self.file.close()

    def read(self):
        return self.path.read_bytes() if self.path.exists() else b""


def mark(dsr):
    dsr.mark_range(3, *USERS, last=DAYS[1])
    return Checker(dsr, ERASED)


def finish(dsr, checker, **options):
    """The run that has to put everything right."""
    result = dsr.run("cleanup", **options)
    output = Output(dsr.world).read()
    return checker.end(output, result.stdout.encode(), result.stderr.encode())


# ---- kill -9 -------------------------------------------------------------------------------------


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def is_gone(pid):
    """Whether the last of its threads has ended, and let go of all files."""
    try:
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0]
                  for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return not Path(f"/proc/{pid}").exists()
    return set(states) <= {"Z", "X"}


def kill(dsr, after, who, **options):
    """Starts a run and kills the worker, its guard, or both; returns whether it was early enough."""
    with Output(dsr.world) as popen:
        process = dsr.start(popen=popen, **options)
        deadline = time.monotonic() + after
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.002)
        family = [process.pid, *children(process.pid)]
        early = process.poll() is None
        for pid in {"worker": family[1:], "guard": family[:1], "both": family}[who]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(timeout=60)
    # A worker dies with its guard, but nobody waits for it.
    deadline = time.monotonic() + 20
    while not all(is_gone(pid) for pid in family):
        assert time.monotonic() < deadline, "the worker has outlived its guard"
        time.sleep(0.005)
    return early


def kills_until(count, make, rng):
    """On one lake after the other: up to four kills, of the run and of those that recover."""
    killed = lakes = 0
    took = 1.5
    while killed < count:
        dsr = make(lakes)
        options = {"backupOriginal": rng.choice(["true", "false"])}
        checker = mark(dsr)
        planned = rng.randrange(1, 5)
        for _ in range(planned):
            who = rng.choice(["worker", "guard", "both"])
            after = rng.uniform(0.05, took)
            if not kill(dsr, after, who, **options):
                break
            killed += 1
        begun = time.monotonic()
        try:
            finish(dsr, checker, **options)
        except BaseException:
            print(f"lake {lakes}: after {killed} kills in all", options)
            raise
        if planned == 1 or lakes == 0:
            took = max(0.6, 0.7 * took + 0.3 * (time.monotonic() - begun))
        lakes += 1
    print(f"{killed} kills on {lakes} lakes")


@pytest.fixture
def worlds(world_in_memory):
    """As many worlds as a test asks for."""
    def make(number):
        root = world_in_memory.root / str(number)
        root.mkdir()
        return World(root)
    return make


def test_kills_on_files(worlds, pond_made, rng):  # noqa: F811
    kills_until(150 if FULL else 12, lambda number: Dsr(worlds(number), pond_made), rng)


def test_kills_in_a_bucket(worlds, pond_made, ceph, bucket, rng):  # noqa: F811
    kills_until(150 if FULL else 8, lambda number: on_ceph(worlds(number), pond_made, ceph, bucket,
                                                           below=f"{number}/"), rng)


def test_what_a_killed_run_left_goes_even_with_nothing_to_do(world, pond_made):  # noqa: F811
    dsr = Dsr(world, pond_made)
    checker = mark(dsr)
    dsr.run()
    left = world.temp / f"run-core-{os.geteuid()}" / "20260101t000000-00000000"
    left.mkdir(parents=True)
    left.parent.chmod(0o700)
    (left / "spilled").write_bytes(b"user-3-1")
    dsr.run()
    checker.end()
