"""The world of the soak: a daemon under a clock that jumps, and what disturbs it; and the checker,
which works out by itself what had to become of every slot."""

import json
import os
import random
import signal
import sqlite3
import time
from datetime import datetime, timezone

from daemon import Clock, Daemon

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


# ---- schedules ---------------------------------------------------------------------------------


class Schedule:
    """A schedule of the simple kinds that the soak uses, with arithmetic of its own: the slots are
    those milliseconds since 1970 that leave 'rest' when divided by 'period', all in UTC."""

    def __init__(self, text, period, rest=0):
        self.text, self.period, self.rest = text, period, rest

    @classmethod
    def at_random(cls, rng, kind):
        minute, hour = rng.randrange(60), rng.randrange(24)
        if kind == "second":
            return cls("* * * * * *", 1000)
        if kind == "every":
            seconds = rng.choice([90, 150, 420])
            return cls(f"@every {seconds}s", seconds * 1000)
        if kind == "minutes":
            step = rng.choice([5, 10, 15])
            return cls(f"*/{step} * * * *", step * MINUTE)
        if kind == "hour":
            return cls(f"{minute} * * * *", HOUR, minute * MINUTE)
        if kind == "day":
            return cls(f"{minute} {hour} * * *", DAY, hour * HOUR + minute * MINUTE)
        weekday = rng.randrange(7)  # 1 January 1970 was a Thursday, which is 4
        return cls(f"{minute} {hour} * * {weekday}", 7 * DAY,
                   (weekday - 4) % 7 * DAY + hour * HOUR + minute * MINUTE)

    def slots(self, after, until):
        """Those in (after, until]."""
        return range(self.slot_after(after), until + 1, self.period)

    def slot_after(self, time):
        return ((time - self.rest) // self.period + 1) * self.period + self.rest


class Job:
    """A job, and since when it has been as it is."""

    def __init__(self, name, schedule, options, since):
        self.name, self.schedule, self.options = name, schedule, options
        self.since = since  # the time by which that had taken effect
        self.until = None  # from when on it was no longer so, perhaps

    def passes_over(self, slot, awake):
        """Whether its misfire rule lets that slot pass, if it was missed with all others up to the
        moment in which the daemon was awake again."""
        if self.options["misfire"] == "skip" or slot < awake - self.options["window"]:
            return True
        return self.options["misfire"] == "latest" and self.schedule.slot_after(slot) < awake

    def yaml(self, witness):
        o = self.options
        return (f"  {self.name}: {{plugin: witness, schedule: \"{self.schedule.text}\", "
                f"concurrency: {o['concurrency']}, misfire: {o['misfire']}, "
                f"catchup_window: {o['window'] // 1000}s, kill_after: 1s, "
                f"retry: {{attempts: {o['attempts']}, backoff: 50ms}}, "
                f"config: {{file: {witness}, take: {o['take']}ms, fail_of_1000: {o['fail']}}}}}\n")


def random_options(rng, kind):
    """What comes each second must not pile up without end."""
    often = kind == "second"
    return {
        "concurrency": rng.choice(["forbid"] if often else ["forbid", "allow", "queue", "replace"]),
        "misfire": rng.choice(["latest", "skip"] + ([] if often else ["latest", "all"])),
        "window": rng.choice([10 * MINUTE, HOUR, DAY]),
        "attempts": rng.choice([1, 2, 3]),
        "take": rng.choice([0, 0, 0, 50, 400]),
        "fail": rng.choice([0, 0, 100]),
    }


# ---- the soak ----------------------------------------------------------------------------------


class Soak:
    """Disturbs a daemon, and takes notes of what it did and when."""

    def __init__(self, world, seed, jobs, start):
        self.world, self.rng = world, random.Random(seed)
        self.clock = Clock(world.root / "clock", start)
        self.witness = world.root / "witness"
        self.witness.touch()
        self.jobs = {}  # by name
        self.former = []  # versions of jobs that are no longer in effect
        self.pauses = {}  # name: [surely since, perhaps since, surely until, perhaps until]
        self.done_pauses = []
        self.asleep = []  # (from, to): since some time in between the daemon is awake again
        self.latest = 0  # that the clock has ever shown: what was before may have been seen
        self.missed = []  # [from, to]: between both it was surely not awake
        self.guards_killed = self.workers_killed = 0
        self.diary = []  # what was done, by the daemon's clock
        self.number = 0
        for kind, share in (("second", 0.0002), ("every", 0.0005), ("minutes", 0.002),
                            ("hour", 0.01), ("day", 0.08)):
            for _ in range(max(1, int(jobs * share))):
                self.add_job(kind, self.clock.now())
        while len(self.jobs) < jobs:
            self.add_job("week", self.clock.now())
        self.write()
        self.daemon = Daemon(world, {"RUN_CORE_CLOCK": f"@{self.clock.path}"})

    # -- jobs

    def add_job(self, kind, since):
        self.number += 1
        name = f"j{self.number}-{kind}"
        self.jobs[name] = self.make_job(name, kind, since)

    def make_job(self, name, kind, since):
        return Job(name, Schedule.at_random(self.rng, kind), random_options(self.rng, kind), since)

    def write(self):
        self.world.config(
            f"core: {{state: {self.world.state}, max_workers: 24, shutdown_grace: 20s, "
            "history: {runs: 100000000, keep: 30d}, log_level: warn}\njobs:\n" +
            "".join(job.yaml(self.witness) for job in self.jobs.values()))

    def edit(self):
        """Changes some jobs, removes some, adds some; what is new is in effect from the time that
        take_effect() is told."""
        self.edited = []
        for name in self.rng.sample(sorted(self.jobs), 30):
            job = self.jobs[name]
            if name in self.pauses or "second" in name:
                continue
            kind = name.split("-")[1]
            if self.rng.random() < 0.3:
                del self.jobs[name]
                self.add_job(kind, None)
                new = self.jobs[f"j{self.number}-{kind}"]
            else:
                new = self.make_job(name, kind, None)
                same = all(new.options[key] == job.options[key] for key in ("misfire", "window"))
                if same and new.schedule.text == job.schedule.text:
                    continue  # its slots are the same
                self.jobs[name] = new
            self.edited.append((job, new))
        self.write()

    def take_effect(self, perhaps_from, surely_by):
        self.diary.append(f"until {perhaps_from}: {' '.join(job.name for job, _ in self.edited)}")
        for job, new in self.edited:
            job.until = perhaps_from
            self.former.append(job)
            new.since = surely_by
        self.edited = []

    # -- the daemon

    def insist(self, path):
        """Asks for it until slots that were missed are no longer in the way."""
        deadline = time.monotonic() + 120
        while True:
            before = self.clock.now()
            status, body = self.daemon.ask("POST", path)
            if status == 200:
                return before
            assert status == 503 and b"still being recorded" in body, (status, body)
            assert time.monotonic() < deadline, body
            time.sleep(0.1)

    def next_slots(self):
        """When each job is due next, as the daemon says."""
        found = []
        while len(found) < len(self.jobs):
            status, body = self.daemon.ask("GET", f"/api/v1/jobs?limit=1000&offset={len(found)}")
            assert status == 200, body
            page = json.loads(body)["jobs"]
            assert page, f"{len(found)} jobs of {len(self.jobs)}"
            found += [job["next"] for job in page]
        return found

    def catch_up(self, seconds=180):
        """Waits until the daemon says that it is through with all that is due by now, however slow
        the machine; returns that time."""
        now = self.clock.now()
        text = datetime.fromtimestamp(now // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            behind = sum(slot[:19] <= text for slot in self.next_slots())
            if not behind:
                return now
            time.sleep(0.1)
        raise AssertionError(f"slots up to {now} of {behind} jobs are still to be recorded")

    # -- what happens

    def begin(self):
        since = self.clock.now()
        self.daemon.start()
        for job in self.jobs.values():
            job.since = self.clock.now()
        self.asleep.append((since, self.clock.now()))

    def jump(self, by):
        before = self.clock.now()
        self.latest = max(self.latest, before)
        self.clock.set(before + by)
        jumped = self.clock.now()
        time.sleep(0.3)
        for _ in range(2):  # between two replies it has looked at the clock
            self.daemon.wait_until_ready()
        after = self.clock.now()
        self.asleep.append((min(before, jumped) - 1000, after))
        if by > 0:
            # Not what may have been due just before or behind the jump.
            self.missed.append([self.latest + 1000, jumped - 1000])
            return
        # What was new by the former time is due from this one on.
        for job in self.jobs.values():
            job.since = min(job.since, after)
        # What was missed, and is not decided yet, is so for a daemon that is awake since now.
        for gap in self.missed:
            gap[1] = min(gap[1], jumped - 1000)

    def reload(self):
        self.edit()
        before = self.insist("/api/v1/reload")
        self.take_effect(before, self.clock.now())

    def crash(self, editing=False, jump=0):
        if editing:
            # What was due is recorded first: nobody can once it is the past of another job.
            recorded = self.catch_up()
            self.edit()
        before = self.clock.now()
        self.daemon.kill()
        self.latest = max(self.latest, self.clock.now())
        self.clock.set(self.clock.now() + jump)
        time.sleep(self.rng.random() * 0.5)
        started = self.clock.now()
        self.missed.append([self.latest, started])
        self.daemon.start()
        if editing:
            self.take_effect(recorded, self.clock.now())
        self.asleep.append((before - 1000, self.clock.now()))

    def kill_some(self, which):
        guards, workers = self.daemon.family()
        victims = guards if which == "guards" else workers
        for pid in self.rng.sample(victims, min(len(victims), 3)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            if which == "guards":
                self.guards_killed += 1
            else:
                self.workers_killed += 1

    def hold_database(self):
        """Nobody else can write for longer than the daemon waits."""
        before = self.clock.now()
        path = self.world.state / "state.db"
        with sqlite3.connect(path, isolation_level=None, timeout=30) as held:
            held.execute("BEGIN IMMEDIATE")
            time.sleep(6)
            held.execute("ROLLBACK")
        self.daemon.wait_until_ready()
        self.asleep.append((before - 1000, self.clock.now()))

    def pause(self):
        name = self.rng.choice(sorted(n for n in self.jobs if n not in self.pauses))
        perhaps = self.insist(f"/api/v1/jobs/{name}/pause")
        self.pauses[name] = [self.clock.now(), perhaps, None, None]

    def resume(self):
        if not self.pauses:
            return
        name = self.rng.choice(sorted(self.pauses))
        pause = self.pauses.pop(name)
        pause[2] = self.insist(f"/api/v1/jobs/{name}/resume")
        pause[3] = self.clock.now()
        self.done_pauses.append((name, pause))

    def do(self, what, *parameters, **named):
        """Does it, and notes when that began and ended."""
        before = self.clock.now()
        what(*parameters, **named)
        said = ", ".join([*map(str, parameters), *(f"{k}={v}" for k, v in named.items())])
        self.diary.append(f"{before} to {self.clock.now()}: {what.__name__}({said})")

    def step(self):
        choice = self.rng.random()
        if choice < 0.35:
            self.do(self.jump, self.rng.randrange(1, 40) * MINUTE)
        elif choice < 0.42:
            self.do(self.jump, -self.rng.randrange(1, 20) * MINUTE)
        elif choice < 0.52:
            self.do(self.crash, jump=self.rng.choice([0, 0, 20 * MINUTE, 2 * HOUR]))
        elif choice < 0.56:
            self.do(self.crash, editing=True)
        elif choice < 0.64:
            self.do(self.reload)
        elif choice < 0.74:
            self.do(self.kill_some, "guards")
        elif choice < 0.84:
            self.do(self.kill_some, "workers")
        elif choice < 0.92:
            self.do(self.pause)
        elif choice < 0.94:
            self.do(self.hold_database)
        else:
            self.do(self.resume)
        time.sleep(self.rng.random() * 0.4)

    def settle(self, seconds=180):
        """Waits until nothing is due, waits or runs but what comes each second; returns the time
        up to which that is so."""
        end = self.catch_up(seconds)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            left = self.daemon.rows(
                "SELECT count(*) FROM runs WHERE status IN ('due', 'started') "
                "AND job NOT LIKE '%-second'")[0][0]
            if not left:
                return end
            time.sleep(0.5)
        raise AssertionError(f"{left} runs are still to come: " + str(self.daemon.rows(
            "SELECT job, slot_unix_ms, status, attempt, reason FROM runs "
            "WHERE status IN ('due', 'started') LIMIT 10")))


# ---- the checker -------------------------------------------------------------------------------


class Checker:
    """Compares what the ledger says with what had to be, and with what the witness saw."""

    def __init__(self, soak, end, change=None, change_lines=None):
        """'change' may put the rows wrong, and 'change_lines' what the witness saw, to see whether
        that is found."""
        self.soak, self.end = soak, end
        self.lines = [line.split() for line in soak.witness.read_text().splitlines()]
        if change_lines:
            self.lines = change_lines(self.lines)
        self.mistakes = []
        self.rows = soak.daemon.rows(
            "SELECT id, job, slot_unix_ms, status, reason, attempt, attempts, finished_unix_ms "
            "FROM runs")
        if change:
            self.rows = change(self.rows)
        self.slots = {}
        for row in self.rows:
            self.slots.setdefault((row[1], row[2]), []).append(row)

    def wrong(self, text):
        self.mistakes.append(text)

    def versions(self):
        yield from self.soak.former
        yield from self.soak.jobs.values()

    def needed(self):
        """Every job and slot that has to have its row."""
        for job in self.versions():
            until = self.end if job.until is None else job.until
            for slot in job.schedule.slots(job.since, until):
                yield job, slot

    def check_every_slot_has_its_row(self):
        checked = 0
        for job, slot in self.needed():
            checked += 1
            count = len(self.slots.get((job.name, slot), []))
            if count != 1:
                self.wrong(f"{job.name} ({job.schedule.text}) has {count} rows for {slot}")
        return checked

    def check_every_row_is_a_slot(self):
        schedules = {}
        for job in self.versions():
            schedules.setdefault(job.name, []).append(job.schedule)
        for name, slot in self.slots:
            if not any(slot % s.period == s.rest % s.period for s in schedules[name]):
                self.wrong(f"{name} has a row for {slot}, which is no slot of it")

    def check_every_row_has_its_end_and_reason(self):
        for row in self.rows:
            run, job, slot, status, reason, attempt, attempts, _ = row
            if status in ("due", "started"):
                if not job.endswith("-second"):
                    self.wrong(f"{run} of {job} has not ended: {row}")
            elif status == "skipped":
                if reason not in ("misfire", "overlap", "paused", "replaced", "removed"):
                    self.wrong(f"{run} of {job} was skipped because of {reason}")
            elif status != "succeeded" and not reason:
                self.wrong(f"{run} of {job} ended as {status} without a reason")
            if attempt > attempts:
                self.wrong(f"{run} of {job} had {attempt} attempts of {attempts}")
        lost = sum(row[3] == "lost" for row in self.rows)
        if lost > self.soak.guards_killed:
            self.wrong(f"{lost} runs were lost, but {self.soak.guards_killed} guards were killed")

    def check_against_the_witness(self):
        begun, done = {}, {}
        for what, run, attempt, job, slot in self.lines:
            seen = begun if what == "begin" else done
            key = (run, int(attempt))
            if key in seen:
                self.wrong(f"attempt {attempt} of {run} ({job}) did '{what}' twice")
            seen[key] = (job, int(slot))
        rows = {row[0]: row for row in self.rows}
        self.check_successes(done, rows)
        for (run, attempt), (job, slot) in begun.items():
            row = rows.get(run)
            if row is None:
                self.wrong(f"{run} of {job} ran but has no row")
            elif row[1] != job or row[2] != slot:
                self.wrong(f"{run} ran as {job} at {slot}, but is recorded as {row}")
            elif attempt > row[5]:
                self.wrong(f"attempt {attempt} of {run} ran, but {row[5]} are recorded")
            elif row[3] == "skipped":
                self.wrong(f"{run} of {job} ran, but is recorded as skipped: {row}")
        for row in self.rows:
            if row[3] == "succeeded" and (row[0], row[5]) not in done:
                self.wrong(f"{row[0]} of {row[1]} is recorded as succeeded, but was not done")
        return len(begun)

    def check_successes(self, done, rows):
        """What was done is recorded as succeeded, and so only once; but where a guard or a worker
        was killed between the witness's last line and its end."""
        ends = {(run, number): (status, reason) for run, number, status, reason in
                self.soak.daemon.rows("SELECT run, number, status, reason FROM attempts")}
        torn = 0
        for (run, attempt), (job, slot) in done.items():
            row = rows.get(run)
            if row is None:
                continue
            status, reason = row[3:5] if attempt == row[5] else ends.get((run, attempt), ("?", "?"))
            if status == "succeeded":
                continue
            torn += 1
            if status != "lost" and reason not in ("killed", "replaced", "shutdown"):
                self.wrong(f"attempt {attempt} of {run} ({job}) was done, but is recorded as "
                           f"{status} because of {reason}")
        if torn > 2 + self.soak.guards_killed + self.soak.workers_killed:
            self.wrong(f"{torn} attempts were done, but are not recorded as succeeded")

    def never_overlapping(self):
        """The jobs that forbade that all the time."""
        edited = {job.name for job in self.soak.former}
        return {name for name, job in self.soak.jobs.items()
                if job.options["concurrency"] == "forbid" and name not in edited}

    def check_nothing_overlapped(self):
        """None of a job began between the beginning of another and its last line. The lines are in
        the order in which they were written, however the clock went."""
        names, latest = self.never_overlapping(), {}
        for what, run, attempt, job, _ in self.lines:
            if job not in names:
                continue
            if what == "begin":
                latest[job] = (run, attempt)
            elif latest.get(job) != (run, attempt):
                self.wrong(f"attempt {attempt} of {run} ({job}) was done after another had begun: "
                           f"{latest.get(job)}")

    def steady_jobs(self):
        """Those that were the same all the time, and never paused."""
        disturbed = {job.name for job in self.soak.former} | set(self.soak.pauses)
        disturbed |= {name for name, _ in self.soak.done_pauses}
        return {name: job for name, job in self.soak.jobs.items() if name not in disturbed}

    def check_what_did_not_run(self):
        """A slot is a misfire only if the daemon was not awake some time between the slot and the
        moment in which that was decided, and the job's rule does not make up for it."""
        steady = self.steady_jobs()
        for row in self.rows:
            name, slot, status, reason, decided = *row[1:5], row[7]
            if status != "skipped" or reason != "misfire":
                continue
            gaps = [to for since, to in self.soak.asleep if since <= decided and slot <= to]
            if not gaps:
                self.wrong(f"{row}: the daemon was awake, but this is recorded as a misfire")
            elif name in steady and not any(
                    steady[name].passes_over(slot, to + 1) for to in gaps):
                self.wrong(f"{row}: misfire {steady[name].options} does not let that slot pass")

    def check_what_was_made_up_for(self):
        """What was missed, and the job's rule lets pass, did not run."""
        for name, job in self.steady_jobs().items():
            for since, awake in self.soak.missed:
                for slot in job.schedule.slots(max(since, job.since), awake - 1):
                    rows = self.slots.get((name, slot))
                    if rows and rows[0][4] != "misfire" and job.passes_over(slot, awake):
                        self.wrong(f"{rows[0]}: missed until {awake}, and misfire "
                                   f"{job.options} lets that slot pass")

    def check_pauses(self):
        paused = {}
        for name, (surely, perhaps, until, perhaps_until) in self.soak.done_pauses:
            paused.setdefault(name, []).append((surely, perhaps, until, perhaps_until))
        for name, (surely, perhaps, _, _) in self.soak.pauses.items():
            paused.setdefault(name, []).append((surely, perhaps, self.end, self.end + DAY))
        for (name, slot), rows in self.slots.items():
            if rows[0][4] == "paused" and not any(
                    min(p, s) <= slot <= max(u, v) for s, p, u, v in paused.get(name, [])):
                self.wrong(f"{name} at {slot} is recorded as paused, but was not")

    def check(self):
        slots = self.check_every_slot_has_its_row()
        self.check_every_row_is_a_slot()
        self.check_every_row_has_its_end_and_reason()
        runs = self.check_against_the_witness()
        self.check_nothing_overlapped()
        self.check_what_did_not_run()
        self.check_what_was_made_up_for()
        self.check_pauses()
        return slots, runs
