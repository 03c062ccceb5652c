"""The soak: ten thousand jobs under a clock that jumps both ways, with daemons, guards and workers
killed, jobs edited, paused and removed; and then every single slot is accounted for.

A longer one: RUN_CORE_SOAK_SECONDS=1000, with another chance: RUN_CORE_SOAK_SEED=2."""

import os
import time

from soak import Checker, Soak

SECONDS = float(os.environ.get("RUN_CORE_SOAK_SECONDS", "45"))
SEED = int(os.environ.get("RUN_CORE_SOAK_SEED", "1"))
JOBS = int(os.environ.get("RUN_CORE_SOAK_JOBS", "10000"))
START = 1_790_000_000_000  # 21 September 2026


def without(rows, wrong):
    """The rows without the first that is so."""
    index = next(i for i, row in enumerate(rows) if wrong(row))
    return rows[:index] + rows[index + 1:]


def with_another(rows, wrong, **change):
    """The rows, the first that is so changed."""
    index = next(i for i, row in enumerate(rows) if wrong(row))
    row = list(rows[index])
    for place, value in change.items():
        row[int(place[1:])] = value
    return rows[:index] + [tuple(row)] + rows[index + 1:]


# What the checker must find if it is put into the rows: (id, job, slot, status, reason, ...).
FAULTS = [
    lambda rows: without(rows, lambda row: row[3] == "skipped"),
    lambda rows: without(rows, lambda row: row[3] == "succeeded"),
    lambda rows: with_another(rows, lambda row: row[3] == "succeeded", p2=1),
    lambda rows: with_another(rows, lambda row: row[3] == "succeeded", p3="skipped", p4="overlap"),
    lambda rows: with_another(rows, lambda row: row[3] == "skipped", p3="succeeded"),
    lambda rows: with_another(rows, lambda row: row[3] == "skipped", p4=None),
    lambda rows: with_another(rows, lambda row: row[3] == "succeeded", p3="started"),
]


def test_every_slot_is_accounted_for(world_in_memory):
    soak = Soak(world_in_memory, SEED, JOBS, START)
    soak.begin()
    deadline = time.monotonic() + SECONDS
    steps = 0
    while time.monotonic() < deadline:
        soak.step()
        steps += 1
    time.sleep(2)
    end = soak.clock.now() - 2000
    soak.settle()
    assert soak.daemon.stop() == 0, soak.daemon.text()[-3000:]
    checker = Checker(soak, end)
    slots, runs = checker.check()
    print(f"{steps} steps, {slots} slots, {runs} attempts, {soak.guards_killed} guards and "
          f"{soak.workers_killed} workers killed, "
          f"{len(checker.mistakes)} mistakes")
    assert not checker.mistakes, "\n".join(checker.mistakes[:40])
    assert slots > 100 and runs > 50
    for i, fault in enumerate(FAULTS):
        checker = Checker(soak, end, fault)
        checker.check()
        assert checker.mistakes, f"the checker does not find the fault {i}"
