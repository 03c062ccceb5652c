"""A week of delta streams: a daemon under a clock that a test moves, services that carry out what
it creates, a witness of every change that the plugin makes in the store; and an account of it all,
which knows nothing of how the plugin or the daemon come to what they do.

    week = Week(delta, clock, streams)          # configured, with the store behind a SparqlFaults
    with week.open():
        week.go_to("2026-03-03T00:00:00Z")
        week.settle()
        ...
    assert not Account(week).mistakes()
"""
import copy
import datetime
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

from api_world import until
from delta_world import ACTIVE, ADMS, OSLC, STATUS, TASK, Consumer, status_names, time_of, unix_s
from rdflib import DCTERMS, RDF

HOUR_S, DAY_S = 3600, 86400
# Between the time that a job bears and the update by which it is there, on a slow machine.
REQUEST_S = 5
ENDED = ("succeeded", "skipped", "failed", "timed_out", "lost", "cancelled")


def day_of(when_s):
    return datetime.datetime.fromtimestamp(when_s, datetime.timezone.utc).date()


@dataclass
class Night:
    """What one of a stream's schedules asks for: a job of a kind at each of these times."""
    stream: object
    kind: str
    job: str  # the daemon's
    slots_s: list


@dataclass
class StoredError:
    message: str
    job: str
    created_s: float


@dataclass
class Facts:
    """All that an account needs, read from the store and from `runs --json`."""
    jobs: dict = field(default_factory=dict)  # graph: list of delta_world.Job
    errors: dict = field(default_factory=dict)  # graph: list of StoredError
    seen: dict = field(default_factory=dict)  # graph: list of {job: (kind, status)}
    rows: list = field(default_factory=list)


class Services(Consumer):
    """Those who carry jobs out, but for what they are told to leave lying: 'held' has kinds, as
    (stream's name, kind)."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.held = set()

    def carry_out(self, stream, job, task):
        if (stream.name, job.kind) not in self.held:
            super().carry_out(stream, job, task)


class Week:
    def __init__(self, delta, clock, streams, daemon):
        """'daemon' is not started yet; the store that 'delta' asks is a SparqlFaults."""
        self.delta, self.clock, self.streams, self.daemon = delta, clock, streams, daemon
        self.start_s = clock.now() / 1000
        self.stops_s = []  # where the clock was set to while the daemon was awake
        self.failing = 0  # initial syncs that are still to fail
        self.seen = {stream.graph: [] for stream in streams}
        self.lock = threading.Lock()
        delta.asked.plan(kind="update", times=None, after=self.witness)
        self.services = Services(delta, *streams, busy_s=0.1, outcome=self.outcome,
                                 now_s=self.now_s)

    @contextmanager
    def open(self):
        """Begins it, and ends the daemon behind it."""
        with self.services:
            self.daemon.start()
            yield self
        self.end_s = self.now_s()
        assert self.daemon.stop() == 0, self.daemon.text()[-3000:]

    # ---- who takes part ----

    def now_s(self):
        return self.clock.now() / 1000

    def outcome(self, kind):
        if kind == "initial-sync" and self.failing:
            self.failing -= 1
            return "failed"
        return "success"

    def witness(self, _exchange):
        """What there is when the store has carried out an update and before any answer to it. No
        job can become active elsewhere, so whatever was active at the same time is seen here."""
        for stream in self.streams:
            kinds = {iri: kind for kind, iri in stream.operations.items()}
            with self.lock:
                rows = self.delta.store.rows(
                    f"SELECT ?job ?operation ?status WHERE {{ GRAPH <{stream.graph}> {{ "
                    f"?job <{TASK.operation}> ?operation ; <{ADMS.status}> ?status . "
                    f"FILTER NOT EXISTS {{ ?job <{DCTERMS.isPartOf}> ?whole }} }} }}")
                self.seen[stream.graph].append(
                    {row["job"]: (kinds[row["operation"]], row["status"].removeprefix(STATUS))
                     for row in rows})

    # ---- time ----

    def go_to(self, text, awake=True):
        self.clock.set(round(unix_s(text) * 1000))
        if awake:
            self.stops_s.append(unix_s(text))

    def active(self):
        """Jobs that somebody works on; what is held lies."""
        return [job for stream in self.streams for job in self.delta.active(stream)
                if (stream.name, job.kind) not in self.services.held]

    def is_settled(self):
        now_ms = self.clock.now()
        status, body = self.daemon.ask("GET", "/api/v1/jobs?limit=100")
        return (status == 200
                and all(due > now_ms for due in next_slots_ms(body))
                and not [row for row in self.daemon.runs() if row["status"] in ("due", "started")]
                and not self.active())

    def settle(self):
        """Until nothing is due, runs, or is worked on."""
        try:
            until(self.is_settled)
        except AssertionError:
            raise AssertionError(
                f"{self.daemon.runs()[-8:]}\n{self.daemon.text()[-3000:]}") from None

    def attempts(self, name):
        """How many the newest run had that began by its schedule, and how it stands."""
        row = self.daemon.runs(name)[-1:]
        return (row[0]["attempt"], row[0]["status"]) if row else (0, "")

    # ---- what there is in the end ----

    def facts(self):
        found = Facts(seen=self.seen)
        for stream in self.streams:
            graph = self.delta.graph(stream)
            found.jobs[stream.graph] = self.delta.jobs(stream, graph)
            found.errors[stream.graph] = [
                StoredError(str(graph.value(error, OSLC.message)),
                            str(graph.value(error, DCTERMS.references) or ""),
                            time_of(graph, error, DCTERMS.created))
                for error in graph.subjects(RDF.type, OSLC.Error)]
            self.check_tasks(graph)
        found.rows = self.delta.world.run("runs", "--json").final
        for row in found.rows:
            if row["reason"] == "precondition":
                row["message"] = self.delta.world.run("runs", row["id"], "--json").final["message"]
        return found

    @staticmethod
    def check_tasks(graph):
        """A task has ended with its job, and there is one for each."""
        for task in graph.subjects(RDF.type, TASK.Task):
            job = graph.value(task, DCTERMS.isPartOf)
            assert status_names(graph, task) == status_names(graph, job), task


def next_slots_ms(body):
    return [unix_s(job["next"]) * 1000 for job in json.loads(body)["jobs"] if job["next"]]


# ---- the account -------------------------------------------------------------------------------


class Account:
    """What had to become of a week, compared with what there is."""

    def __init__(self, week, nights, hourly, facts=None):
        """'nights' are Nights; 'hourly' is the job of each full hour."""
        self.week, self.nights, self.hourly = week, nights, hourly
        self.facts = facts or week.facts()
        self.wrong = []

    def changed(self, change):
        """Another one, in which 'change' has put something wrong."""
        facts = copy.deepcopy(self.facts)
        change(facts)
        return Account(self.week, self.nights, self.hourly, facts)

    def mistakes(self):
        for stream in self.week.streams:
            jobs = self.facts.jobs[stream.graph]
            self.check_ends(jobs)
            self.check_initial_syncs(jobs)
            self.check_intervals(jobs)
            self.check_what_was_seen(stream)
            self.check_errors(stream, jobs)
        self.check_slots()
        for night in self.nights:
            self.check_night(night)
        self.check_counts()
        return self.wrong

    def say(self, text):
        self.wrong.append(text)

    # ---- jobs ----

    def check_ends(self, jobs):
        for job in jobs:
            if job.statuses not in (["success"], ["failed"]) or job.created_s > job.modified_s:
                self.say(f"how did this end? {job}")

    def check_initial_syncs(self, jobs):
        """The first of all; one that succeeded, behind some that failed an hour before."""
        syncs = [job for job in jobs if job.kind == "initial-sync"]
        if not syncs or jobs[0] is not syncs[0]:
            self.say(f"the initial sync is not the first job: {jobs[:2]}")
            return
        if [job.status for job in syncs] != ["failed"] * (len(syncs) - 1) + ["success"]:
            self.say(f"initial syncs: {syncs}")
        for before, after in zip(syncs, syncs[1:]):
            if after.created_s < before.modified_s + HOUR_S:
                self.say(f"{after} came too soon after {before}")
        for job in jobs:
            if job.kind == "healing" and job.created_s < syncs[-1].modified_s - REQUEST_S:
                self.say(f"{job} before the initial sync had succeeded")

    def check_intervals(self, jobs):
        """Each job had ended before the next one was created, by the times that they bear."""
        for before, after in zip(jobs, jobs[1:]):
            if after.created_s < before.modified_s - REQUEST_S:
                self.say(f"{before} and {after} overlap")

    def check_what_was_seen(self, stream):
        """By whoever looked after each update: exact, where times are not."""
        for jobs in self.facts.seen[stream.graph]:
            active = [job for job, (_, status) in jobs.items() if status in ACTIVE]
            if len(active) > 1:
                self.say(f"active at the same time: {active}")
            if ("initial-sync", "success") not in jobs.values() and any(
                    kind == "healing" for kind, _ in jobs.values()):
                self.say(f"a healing without an initial sync that has succeeded: {jobs}")
        if len(self.facts.seen[stream.graph]) < len(self.facts.jobs[stream.graph]):
            self.say("not every update was seen")

    def check_errors(self, stream, jobs):
        """One for each kind that was blocked, blocking job and day; and about jobs that there are,
        before they had ended."""
        kept = set()
        by_uri = {job.uri: job for job in jobs}
        for error in self.facts.errors[stream.graph]:
            kind = [kind for kind, iri in stream.operations.items()
                    if re.match(rf"No [\w ]+ job \({re.escape(iri)}\) was created", error.message)]
            key = (*kind, error.job, day_of(error.created_s))
            if len(kind) != 1 or key in kept:
                self.say(f"{error}: a second one of {key}")
            kept.add(key)
            blocking = by_uri.get(error.job)
            if error.job and not blocking:
                self.say(f"{error} is about no job that there is")
            elif blocking and not (blocking.created_s - REQUEST_S <= error.created_s
                                   <= blocking.modified_s + REQUEST_S):
                self.say(f"{error} while {blocking} was not active")
            if blocking and blocking.uri not in error.message:
                self.say(f"{error} does not say what was in the way")

    # ---- rows ----

    def rows_of(self, job):
        return [row for row in self.facts.rows if row["job"] == job and row["slot"]]

    def check_slots(self):
        """Exactly one row for each slot, which has ended; and none is missed where the daemon was
        awake."""
        first = self.week.start_s // HOUR_S * HOUR_S + HOUR_S
        hours = [first + i * HOUR_S for i in range(int((self.week.end_s - first) // HOUR_S) + 1)]
        for job, slots in [(self.hourly, hours),
                           *((night.job, night.slots_s) for night in self.nights)]:
            rows = self.rows_of(job)
            found = sorted(unix_s(row["slot"]) for row in rows)
            if found != sorted(slots):
                self.say(f"{job}: {len(found)} rows for {len(slots)} slots; "
                         f"{set(found) ^ set(slots)}")
            for row in rows:
                if row["status"] not in ENDED:
                    self.say(f"{row} has not ended")
                if row["reason"] == "misfire" and unix_s(row["slot"]) in self.week.stops_s:
                    self.say(f"{row}: the daemon was there")

    def check_night(self, night):
        """A job for each slot, or a row that says why there is none."""
        jobs = [job for job in self.facts.jobs[night.stream.graph] if job.kind == night.kind]
        rows = {unix_s(row["slot"]): row for row in self.rows_of(night.job)}
        for slot in night.slots_s:
            made = [job for job in jobs if slot <= job.created_s < slot + DAY_S / 2]
            row = rows.get(slot, {"status": "not there", "counters": {}})
            if row["status"] == "succeeded":
                if len(made) != 1 or row["counters"].get("jobs_created") != 1:
                    self.say(f"{night.job} at {row['slot']}: {made}, {row}")
            elif row["status"] != "skipped" or made:
                self.say(f"{night.job} at {slot}: {made}, {row}")
            elif not re.search(r"blocked by the|none has succeeded yet",
                               row.get("message") or ""):
                self.say(f"{row} does not say why")

    def check_counts(self):
        """What runs say that they have created is what there is."""
        said = sum(row["counters"].get("jobs_created", 0) for row in self.facts.rows)
        there = sum(len(jobs) for jobs in self.facts.jobs.values())
        if said != there:
            self.say(f"by the runs {said} jobs were created; there are {there}")
        said = sum(row["counters"].get("errors_stored", 0) for row in self.facts.rows)
        there = sum(len(errors) for errors in self.facts.errors.values())
        if said > there:
            self.say(f"by the runs {said} errors were stored; there are {there}")
