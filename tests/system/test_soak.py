"""The soak: ten thousand jobs under a clock that jumps both ways, with daemons, guards and workers
killed, jobs edited, paused and removed; and then every single slot is accounted for.

A longer one: RUN_CORE_SOAK_SECONDS=1000, with another chance: RUN_CORE_SEED=2."""

import os
import signal
import threading
import time

import pytest
from chance import SEED
from soak import HOUR, Checker, Soak

SECONDS = float(os.environ.get("RUN_CORE_SOAK_SECONDS", "45"))
JOBS = int(os.environ.get("RUN_CORE_SOAK_JOBS", "10000"))
START = 1_790_000_000_000  # 21 September 2026


def without(rows, needed, wrong):
    """The rows without the first that is so, and has to be there."""
    index = next(i for i, row in enumerate(rows) if (row[1], row[2]) in needed and wrong(row))
    return rows[:index] + rows[index + 1:]


def with_another(rows, wrong, **change):
    """The rows, the first that is so changed."""
    index = next(i for i, row in enumerate(rows) if wrong(row))
    row = list(rows[index])
    for place, value in change.items():
        row[int(place[1:])] = value
    return rows[:index] + [tuple(row)] + rows[index + 1:]


def overlapping(lines, names):
    """What the witness saw, if the second run of a job that forbids it had not waited."""
    for job in names:
        mine = [i for i, line in enumerate(lines) if line[3] == job]
        for first, second in zip(mine, mine[1:]):
            if (lines[first][0], lines[second][0]) == ("done", "begin"):
                before = lines[:first] + [lines[second]]
                return before + lines[first:second] + lines[second + 1:]
    raise AssertionError("no job that forbids it ran twice")


def judged_otherwise(soak, misfire, rows):
    """The rows, if that rule had decided another way for one slot that was surely missed."""
    jobs = {name: job for name, job in Checker(soak, 0).steady_jobs().items()
            if job.options["misfire"] == misfire}
    for index, row in enumerate(rows):
        job, slot = jobs.get(row[1]), row[2]
        for since, awake in soak.missed if job else ():
            if not max(since, job.since) < slot < awake:
                continue
            if row[4] == "misfire" and job.passes_over(slot, awake):
                return rows[:index] + [(*row[:4], "overlap", *row[5:])] + rows[index + 1:]
            if misfire == "all" and slot > awake - job.options["window"] / 2:
                row = (*row[:3], "skipped", "misfire", *row[5:7], awake)
                return rows[:index] + [row] + rows[index + 1:]
    raise AssertionError(f"no slot was missed to which '{misfire}' applied")


# What the checker must find if it is put into the rows: (id, job, slot, status, reason, ...).
FAULTS = [
    lambda rows, needed: without(rows, needed, lambda row: row[3] == "skipped"),
    lambda rows, needed: without(rows, needed, lambda row: row[3] == "succeeded"),
    lambda rows, _: with_another(rows, lambda row: row[3] == "succeeded", p2=1),
    lambda rows, _: with_another(rows, lambda row: row[3] == "succeeded", p3="skipped",
                                 p4="overlap"),
    lambda rows, _: with_another(rows, lambda row: row[3] == "skipped", p3="succeeded"),
    lambda rows, _: with_another(rows, lambda row: row[3] == "skipped", p4=None),
    lambda rows, _: with_another(rows, lambda row: row[3] == "succeeded", p3="started"),
]


def check(soak):
    """Ends the daemon, and accounts for everything."""
    end = soak.settle()
    assert soak.daemon.stop() == 0, soak.daemon.text()[-3000:]
    checker = Checker(soak, end)
    slots, runs = checker.check()
    assert not checker.mistakes, "\n".join(
        [f"{len(checker.mistakes)} mistakes:", *checker.mistakes[:40], "What was done:",
         *soak.diary])
    return end, slots, runs, {(job.name, slot) for job, slot in checker.needed()}


@pytest.fixture
def make(world_in_memory):
    """Makes a soak; its daemon does not outlive the test."""
    made = []

    def make_one(seed, jobs):
        made.append(Soak(world_in_memory, seed, jobs, START))
        return made[-1]

    yield make_one
    for soak in made:
        if soak.daemon.process:
            soak.daemon.kill()


def test_every_slot_is_accounted_for(make):
    soak = make(SEED, JOBS)
    soak.begin()
    deadline = time.monotonic() + SECONDS
    steps = 0
    while time.monotonic() < deadline:
        soak.step()
        steps += 1
    soak.do(soak.jump, HOUR // 2)  # so that there is something that each rule has to judge
    end, slots, runs, needed = check(soak)
    print(f"{steps} steps, {slots} slots, {runs} attempts, {soak.guards_killed} guards and "
          f"{soak.workers_killed} workers killed")
    assert slots > 100 and runs > 50
    for i, fault in enumerate(FAULTS):
        checker = Checker(soak, end, lambda rows, fault=fault: fault(rows, needed))
        checker.check()
        assert checker.mistakes, f"the checker does not find the fault {i}"
    for misfire in ("skip", "latest", "all"):
        checker = Checker(soak, end, lambda rows, rule=misfire: judged_otherwise(soak, rule, rows))
        checker.check()
        assert any("let that slot pass" in mistake or "lets that slot pass" in mistake
                   for mistake in checker.mistakes), misfire
    names = Checker(soak, end).never_overlapping()
    checker = Checker(soak, end, change_lines=lambda lines: overlapping(lines, names))
    checker.check()
    assert any("after another had begun" in mistake for mistake in checker.mistakes)


def test_a_slow_machine_is_no_mistake(make):
    """What a daemon that hardly gets to run has not recorded yet is not missing."""
    soak = make(seed=1, jobs=100)
    soak.begin()
    for then in (lambda: soak.crash(editing=True), soak.settle):
        before = soak.clock.now()
        soak.daemon.process.send_signal(signal.SIGSTOP)
        soak.clock.set(before + 6 * HOUR)
        threading.Timer(2.5, soak.daemon.process.send_signal, [signal.SIGCONT]).start()
        then()
        soak.asleep.append((before, soak.clock.now()))
    assert any(job.schedule.slots(job.since, job.until) for job in soak.former)
    check(soak)
