"""The chronology of delta-initiator, as a table: whichever job is wanted, with whatever jobs there are,
in whatever state, under whatever options. What has to come of it is told by an oracle that was
written from the rules as users know them, and shares nothing with the plugin. Asked over HTTP, on
Virtuoso; many streams at once, so that it is quick.

Every single job that may be there is tried; of two of them a sample, by a seed that is printed, with
RUN_CORE_FULL=1 all of them."""
import itertools
import os
import time
import uuid
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
import rdflib
from delta_replicas import POOL, Replica
from delta_world import (ACTIVE, ADMS, COGS, JOB, KINDS, MU, OSLC, STATUS, TASK, DeltaWorld, Stream,
                         iso)
from rdflib import DCTERMS, RDF

FULL = bool(os.environ.get("RUN_CORE_FULL"))
PAIRS_DRAWN = 200
A_STATUS_OF_OTHERS, NONE = "paused", ""
STATUSES = ("scheduled", "busy", "success", "failed", "canceled", A_STATUS_OF_OTHERS, NONE)
YOUNG_S, OLD_S = 1800, 7200
LIMIT_S = 3600  # between them: both the timeout and the pause before an initial sync is tried again

# Options of the whole process: when a failed initial sync is tried again, and timeouts.
SETTINGS = {
    "later": {"initial_sync_retry_after": "1h", "job_timeout_minutes": 60},
    "at-once": {"initial_sync_retry_after": 0, "job_timeout_minutes": 60},
    "never": {"retry_failed_initial_sync": "false", "job_timeout_minutes": 0},
}
# Options of a stream.
FLAGS = ("disableDumpFileCreation", "disableHealingJobOperation", "healShouldNotWaitForInitialSync")
OPTIONS = [dict(zip(FLAGS, values)) for values in itertools.product((False, True), repeat=3)]


@dataclass(frozen=True)
class There:
    """A job that is there before."""
    kind: str
    status: str
    age_s: int

    @property
    def is_active(self):
        return self.status in ACTIVE


@dataclass
class Case:
    kind: str
    force: bool
    there: tuple
    setting: str
    options: dict
    uris: list = field(default_factory=list)  # of those that are there


@dataclass
class Expected:
    word: str  # in the text that says why; empty: it is created
    names: list = field(default_factory=list)  # which of those that are there
    timed_out: list = field(default_factory=list)
    errors: int = 0

    @property
    def status(self):
        return 409 if self.word else 200


# ---- the rules -----------------------------------------------------------------------------------

def is_disabled(kind, options):
    return {"dump": options["disableDumpFileCreation"],
            "healing": options["disableHealingJobOperation"], "initial-sync": False}[kind]


def expect(case):
    if is_disabled(case.kind, case.options):
        return Expected("disabled")
    statuses = [job.status for job in case.there]
    ages_s = [job.age_s for job in case.there]
    overdue = [number for number, job in enumerate(case.there)
               if job.is_active and job.age_s > LIMIT_S and case.setting != "never"]
    for number in overdue:
        statuses[number], ages_s[number] = "failed", 0

    def chosen(which):
        return [number for number, job in enumerate(case.there) if which(number, job.kind)]

    def is_active(number):
        return statuses[number] in ACTIVE

    syncs = chosen(lambda number, kind: kind == "initial-sync")
    if case.kind == "initial-sync":
        enough = [number for number in syncs if statuses[number] != "failed"]
        if enough:
            return Expected("made once", enough, overdue)
        if syncs and not case.force:
            if case.setting == "never":
                return Expected("only by force", syncs, overdue)
            lately = [number for number in syncs if ages_s[number] < LIMIT_S]
            if lately and case.setting == "later":
                return Expected("too soon", lately, overdue)
        in_the_way = chosen(lambda number, kind: is_active(number) and kind != "initial-sync"
                            and not is_disabled(kind, case.options))
    else:
        has_to_wait = (case.kind == "healing" and not case.force
                       and not case.options["healShouldNotWaitForInitialSync"])
        if has_to_wait and not any(statuses[number] == "success" for number in syncs):
            on_its_way = [number for number in syncs if is_active(number)]
            return Expected("waits for an initial sync", on_its_way, overdue,
                            errors=max(len(on_its_way), 1))
        in_the_way = chosen(lambda number, _: is_active(number))
    if in_the_way and not case.force:
        return Expected("blocked by", in_the_way, overdue, errors=len(in_the_way))
    return Expected("", timed_out=overdue)


# ---- cases ---------------------------------------------------------------------------------------

def ages_s(kind, status):
    """Both where it matters."""
    is_retried = kind == "initial-sync" and status == "failed"
    return (YOUNG_S, OLD_S) if status in ACTIVE or is_retried else (YOUNG_S,)


EACH = [There(kind, status, age_s) for kind, status in itertools.product(KINDS, STATUSES)
        for age_s in ages_s(kind, status)]


def singles(rng):
    """Each job that may be there, and none, under all options that have a say in it; of the others
    one by chance."""
    for there in ((), *((one,) for one in EACH)):
        is_sync = bool(there) and there[0].kind == "initial-sync"
        for force in (False, True):
            for setting in ("later", "never"):
                yield Case("dump", force, there, setting, {FLAGS[0]: False})
                for waits_not in (False, True):
                    yield Case("healing", force, there, setting,
                               {FLAGS[1]: False, FLAGS[2]: waits_not})
                if not is_sync:
                    for values in itertools.product((False, True), repeat=2):
                        yield Case("initial-sync", force, there, setting, dict(zip(FLAGS, values)))
            if is_sync:
                for setting in SETTINGS:
                    yield Case("initial-sync", force, there, setting, {})
    for kind, flag in (("dump", FLAGS[0]), ("healing", FLAGS[1])):
        for force in (False, True):
            for there in ((), *((one,) for one in rng.sample(EACH, 4))):
                yield Case(kind, force, there, rng.choice(list(SETTINGS)), {flag: True})


def pairs(rng):
    found = list(itertools.combinations_with_replacement(EACH, 2))
    for there in found if FULL else rng.sample(found, PAIRS_DRAWN):
        yield Case(rng.choice(KINDS), rng.random() < 0.2, there, rng.choice(list(SETTINGS)), {})


def turns(cases, rng):
    """Lists of cases of which no two need the same stream, as few as may be: what a case leaves open
    is chosen so that the streams have equally much to do."""
    queues = {(setting, number): [] for setting in SETTINGS for number in range(len(OPTIONS))}
    for case in cases:
        open_to = [number for number, options in enumerate(OPTIONS)
                   if all(options[flag] == value for flag, value in case.options.items())]
        rng.shuffle(open_to)
        number = min(open_to, key=lambda one: len(queues[case.setting, one]))
        case.options = OPTIONS[number]
        queues[case.setting, number].append(case)
    for turn in itertools.zip_longest(*queues.values()):
        yield {key: case for key, case in zip(queues, turn) if case}


# ---- the store -----------------------------------------------------------------------------------

def triples_of(there, stream, now_s):
    """A job and its task, as N-Triples, and the IRI of the job."""
    moment = f'"{iso(now_s - there.age_s)}"^^<{rdflib.XSD.dateTime}>'
    job, task = f"{JOB}{uuid.uuid4()}", f"{JOB.replace('/job/', '/task/')}{uuid.uuid4()}"
    lines = []
    for subject, kind, status in ((job, COGS.Job, there.status),
                                  (task, TASK.Task, {"busy": "scheduled"}.get(there.status,
                                                                              there.status))):
        lines += [f"<{subject}> <{RDF.type}> <{kind}> .",
                  f'<{subject}> <{MU.uuid}> "{subject.rpartition("/")[2]}" .',
                  f"<{subject}> <{DCTERMS.created}> {moment} .",
                  f"<{subject}> <{DCTERMS.modified}> {moment} ."]
        if status:
            lines.append(f"<{subject}> <{ADMS.status}> <{STATUS}{status}> .")
    lines += [f"<{job}> <{TASK.operation}> <{stream.operations[there.kind]}> .",
              f"<{task}> <{DCTERMS.isPartOf}> <{job}> ."]
    return job, lines


class Graphs:
    """The streams' graphs, all of which are written, read and emptied with one request."""

    def __init__(self, store):
        self.store = store

    def fill(self, turn, streams):
        now_s, parts = time.time(), []
        for key, case in turn.items():
            stream, lines = streams[key], []
            for there in case.there:
                uri, more = triples_of(there, stream, now_s)
                case.uris.append(uri)
                lines += more
            if lines:  # Virtuoso takes no group that is empty
                parts.append(f"GRAPH <{stream.graph}> {{ {' '.join(lines)} }}")
        if parts:
            self.store.update(f"INSERT DATA {{ {' '.join(parts)} }}")

    def read(self, turn, streams):
        """Of each graph the triples, as a set."""
        graphs = {streams[key].graph: set() for key in turn}
        values = " ".join(f"<{iri}>" for iri in graphs)
        for row in self.store.rows(
                f"SELECT ?g ?s ?p ?o WHERE {{ VALUES ?g {{ {values} }} GRAPH ?g {{ ?s ?p ?o }} }}"):
            graphs[row["g"]].add((row["s"], row["p"], row["o"]))
        return graphs

    def empty(self, streams):
        self.store.update(" ; ".join(f"DROP SILENT GRAPH <{stream.graph}>" for stream in streams))


def values(graph, subject, predicate):
    return [o for s, p, o in graph if (s, p) == (subject, str(predicate))]


def subjects(graph, predicate, value):
    return [s for s, p, o in graph if (p, o) == (str(predicate), str(value))]


# ---- the comparison ------------------------------------------------------------------------------

def check(case, stream, answer, before, after):
    expected = expect(case)
    status, body = answer
    told = f"{case}\n{expected}\n{answer}"
    assert status == expected.status, told
    new = [job for job in subjects(after, RDF.type, COGS.Job) if job not in case.uris]
    if expected.word:
        assert expected.word in body["error"], told
        assert sorted(body["blocking"]) == sorted(case.uris[n] for n in expected.names), told
        assert new == [], told
    else:
        assert new == [body["job"]], told
        assert values(after, new[0], TASK.operation) == [stream.operations[case.kind]], told
        assert status_of(after, new[0]) == ["busy", "scheduled"], told
    check_old(case, expected, before, after, told)
    errors = subjects(after, RDF.type, OSLC.Error)
    assert len(errors) == expected.errors, told
    references = [uri for error in errors for uri in values(after, error, DCTERMS.references)]
    assert sorted(references) == (sorted(body["blocking"]) if errors else []), told


def status_of(graph, job):
    """Those of the job and of its only task."""
    task, = subjects(graph, DCTERMS.isPartOf, job)
    return [one.removeprefix(STATUS) for subject in (job, task)
            for one in values(graph, subject, ADMS.status)]


def check_old(case, expected, before, after, told):
    """Only what is beyond its time has changed: status and time of job and task."""
    changed = {subject for number in expected.timed_out
               for subject in (case.uris[number],
                               *subjects(before, DCTERMS.isPartOf, case.uris[number]))}
    for number in expected.timed_out:
        assert status_of(after, case.uris[number]) == ["failed", "failed"], told
    left = {triple for triple in before
            if triple[0] not in changed or triple[1] not in (str(ADMS.status),
                                                             str(DCTERMS.modified))}
    assert left <= after, told
    for subject in changed:
        modified, = values(after, subject, DCTERMS.modified)
        assert modified not in values(before, subject, DCTERMS.modified), told
    known = {subject for subject, _, _ in before}
    assert sum(subject in known for subject, _, _ in after) == len(before), told


@pytest.fixture
def streams(world, virtuoso):
    """A stream for each setting and options, in one file; each process is asked for its own."""
    made = {(setting, number): Stream(f"{setting}.{number}")
            for setting in SETTINGS for number in range(len(OPTIONS))}
    delta = DeltaWorld(world, virtuoso)
    delta.use_file(list(made.values()), entries=[OPTIONS[number] for _, number in made])
    with ExitStack() as stack:
        started = {setting: Replica(delta, setting, **options)
                   for setting, options in SETTINGS.items()}
        for replica in started.values():
            stack.enter_context(replica)
        yield made, started
    delta.end(*made.values())


@pytest.mark.parametrize("cases", [singles, pairs])
def test_the_chronology(virtuoso, streams, rng, cases):
    streams, replicas = streams
    graphs, seen = Graphs(virtuoso), Counter()
    for turn in turns(cases(rng), rng):
        graphs.fill(turn, streams)
        before = graphs.read(turn, streams)
        asked = {key: POOL.submit(replicas[key[0]].post, case.kind, streams[key].name, case.force)
                 for key, case in turn.items()}
        answers = {key: one.result() for key, one in asked.items()}
        after = graphs.read(turn, streams)
        for key, case in turn.items():
            iri = streams[key].graph
            check(case, streams[key], answers[key], before[iri], after[iri])
            seen[case.kind, expect(case).word] += 1
        graphs.empty(streams.values())
    print(dict(seen))
