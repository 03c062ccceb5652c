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
    assert slots > 100 and runs > 100
