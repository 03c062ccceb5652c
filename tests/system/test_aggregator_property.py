"""The aggregator's main promise: any sequence of crashes, reruns, rebuilds, empty days and gaps gives
the same files, byte for byte, as one clean run over the same events; and these are what plain
arithmetic gives. On SQL engines elsewhere (engines.py) the rows are the same.

RUN_CORE_HISTORIES sets the number of random histories, RUN_CORE_KILLS the kills in each."""

import gzip
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "aggregator"))
from duck import Duck  # noqa: E402
from engines import ON_DUCKDB  # noqa: E402
from lake import Event, Lake, date_of, now_of, revenue  # noqa: E402
from reference import Reference  # noqa: E402

HISTORIES = int(os.environ.get("RUN_CORE_HISTORIES", "4" if ON_DUCKDB else "1"))
KILLS = int(os.environ.get("RUN_CORE_KILLS", "6"))
DAYS, WINDOWS = 11, (3, 7)

VALUES = ["1", "-5", "250", '"17"', "0", "null", '"many"', "{}", "[1]", "true",
          "99999999999999999999", "9007199254740993"]
TEXTS = ["{", "", "[]", '{"attributes": 5}', '{"attributes": {}}', '{"attributes": {"revenue": 1}']


def random_events(rng, day):
    """The events of one day: none, a few, or many, some of them broken or of other names."""
    events = []
    for _ in range(rng.choice([0, 0, 1, 4, 30, 120])):
        text = rng.choice(TEXTS) if rng.random() < 0.05 else revenue(rng.choice(VALUES))
        name = "session-start" if rng.random() < 0.1 else "ad-impression"
        events.append(Event(day, rng.randrange(40), text, name))
    return events


def kill_at_random(world, rng, *words):
    """Starts a run and kills it, with all its processes, after a random time."""
    process = world.start(*words, start_new_session=True)
    time.sleep(rng.random() ** 2 * kill_at_random.longest)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()
    world.pull()


kill_at_random.longest = 1.5 if ON_DUCKDB else 15


def succeed(world, *words):
    result = world.run(*words)
    assert result.status == 0, result.text
    return result


class History:
    """Days pass, things happen; in the end the lake has to be that of one clean run."""

    def __init__(self, world, lake, rng):
        self.world, self.lake, self.rng = world, lake, rng
        self.today, self.late, self.kills = 0, set(), 0

    def run(self, *words):
        return ("run", "ltv", "--now", now_of(self.today), *words)

    def rebuild(self, first, last):
        return ("aggregator", "rebuild", "--job", "ltv", "--now", now_of(self.today),
                "--set", f"from={date_of(first)}", "--set", f"to={date_of(last)}")

    def add_late_events(self):
        day = self.rng.randrange(self.today + 1)
        self.lake.add(random_events(self.rng, day), compress=self.rng.random() < 0.5)
        self.late.add(day)

    def rebuild_some(self):
        """A rebuild of the days with late events, perhaps killed, perhaps of a wider range."""
        if self.late:
            first, last = min(self.late), max(self.late)
            last = min(self.today, last + self.rng.randrange(3))
            if self.rng.random() < 0.6:
                self.kill(*self.rebuild(first, last))
            else:
                succeed(self.world, *self.rebuild(first, last))
                self.late.clear()

    def kill(self, *words):
        kill_at_random(self.world, self.rng, *words)
        self.kills += 1

    def forget_a_marker(self):
        """Somebody removes a marker by hand, to have its step done again."""
        markers = sorted(self.lake.root.glob("out/*/_SUCCESS_*"))
        if markers:
            marker = self.rng.choice(markers)
            if marker.parent.name == "1d":
                day = next(d for d in range(DAYS) if str(date_of(d)) == marker.name[-10:])
                self.late.add(day)
            marker.unlink()

    def damage_a_file(self):
        """Somebody cuts a file of a window: what is made of it must not be made of it again."""
        files = sorted(self.lake.root.glob("out/*/day=*/partition=*/*"))
        files = [file for file in files if "/1d/" not in str(file)]
        if files:
            file = self.rng.choice(files)
            folder = file.parents[2]
            file.write_bytes(b"")
            (folder / f"_SUCCESS_{file.parents[1].name[4:]}").unlink(missing_ok=True)

    def pass_days(self):
        steps = [
            lambda: self.kill(*self.run()),
            lambda: self.kill(*self.run()),
            lambda: succeed(self.world, *self.run()),
            lambda: succeed(self.world, *self.run("--dry-run")),
            self.add_late_events,
            self.rebuild_some,
            self.forget_a_marker,
            self.damage_a_file,
        ]
        while self.today < DAYS - 1 or self.kills < KILLS:
            self.today = min(DAYS - 1, self.today + self.rng.choice([0, 0, 1, 1, 2, 4]))
            self.rng.choice(steps)()

    def settle(self):
        """What an operator would do: rebuild the days with late events, then run to the end."""
        if self.late:
            succeed(self.world, *self.rebuild(min(self.late), max(self.late)))
        succeed(self.world, *self.run())
        assert "nothing to do" in succeed(self.world, *self.run()).stdout


def check_against_reference(lake, reference):
    duck = Duck()
    columns = "userid, shard, revenue, cnt"
    for day in range(DAYS):
        name = f"day={date_of(day)}"
        assert duck.parquet(lake.root / "out/1d" / name, columns) == reference.rows(day, day), name
        for window in (*WINDOWS, 36500):
            found = duck.parquet(lake.folder(window) / name, columns)
            assert found == reference.rows(day - window + 1, day), f"{window} days, {name}"
    duck.close()
    lines = gzip.decompress(lake.csv_path(DAYS - 1).read_bytes()).decode().splitlines()
    assert lines == reference.csv(DAYS - 1, WINDOWS)


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_any_history_ends_like_a_clean_run(world, tmp_path, seed):
    rng = random.Random(seed)
    lived, clean = Lake(world, tmp_path / "lived"), Lake(world, tmp_path / "clean")
    for day in range(DAYS):
        lived.add(random_events(rng, day))
    lived.write_config()
    history = History(world, lived, rng)
    history.pass_days()
    history.settle()

    clean.write_config(tables={"rawevents": lived.place("events")})
    succeed(world, *history.run())

    check_against_reference(lived, Reference(lived.events))
    # Every run writes the CSV file of its last day; a clean run has only that of the very last one.
    wanted = clean.steady(clean.tree())
    last = {str(lived.csv_path(DAYS - 1).relative_to(lived.root)),
            f"out/1d/_CSV_{date_of(DAYS - 1)}"}
    found = {path: data for path, data in lived.steady(lived.tree()).items()
             if path in last or not (path.startswith("csv/") or "/_CSV_" in path)}
    assert sorted(found) == sorted(wanted)
    assert [path for path in wanted if found[path] != wanted[path]] == []
    assert [path for path in lived.tree() if not path.endswith((".parquet", ".csv.gz"))
            and "/_" not in path] == []
    assert history.kills >= KILLS
