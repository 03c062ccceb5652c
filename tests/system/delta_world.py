"""A SPARQL store with delta streams, each with a graph and operations of its own, as the users of
the older system set them up: by environment, or by a JSON file.

    delta = DeltaWorld(world, store)            # a store of support/, or a proxy in front of one
    delta.use_environment()                     # or use_file(), use_file([stream, stream])
    assert delta.run("dump").status == 0
    job, = delta.jobs()

Reading and comparing shares nothing with the plugin: requests and rdflib. Consumer stands for the
services that carry jobs out.
"""
import datetime
import json
import re
import string
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field

import rdflib
from conftest import SOURCE
from rdflib import DCTERMS, RDF, XSD
from rdflib.compare import graph_diff, to_isomorphic

DATA = SOURCE / "tests" / "data" / "delta-initiator"
ADMS = rdflib.Namespace("http://www.w3.org/ns/adms#")
COGS = rdflib.Namespace("http://vocab.deri.ie/cogs#")
MU = rdflib.Namespace("http://mu.semte.ch/vocabularies/core/")
OSLC = rdflib.Namespace("http://open-services.net/ns/core#")
TASK = rdflib.Namespace("http://redpencil.data.gift/vocabularies/tasks/")

JOB = "http://redpencil.data.gift/id/job/"
STATUS = "http://redpencil.data.gift/id/concept/JobStatus/"
CREATOR = "http://lblod.data.gift/services/delta-producer-background-jobs-initiator"
KINDS = ("initial-sync", "healing", "dump")
ACTIVE = ("scheduled", "busy")
OPERATION_VARIABLES = {
    "initial-sync": "INITIAL_PUBLICATION_GRAPH_SYNC_JOB_OPERATION",
    "healing": "HEALING_JOB_OPERATION",
    "dump": "DUMP_FILE_CREATION_JOB_OPERATION",
}
OPERATION_KEYS = {
    "initial-sync": "initialPublicationGraphSyncJobOperation",
    "healing": "healingJobOperation",
    "dump": "dumpFileCreationJobOperation",
}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# As JavaScript's toISOString() has it; stores may leave out zeros at the end of the fraction.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")


def iso(unix_s):
    moment = datetime.datetime.fromtimestamp(unix_s, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_s(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@dataclass
class Stream:
    """A delta stream. Another one that is made has another graph and other operations."""
    name: str = ""
    graph: str = field(
        default_factory=lambda: f"http://mu.semte.ch/graphs/test/{uuid.uuid4()}")
    operations: dict = None
    error_creator: str = ""

    def __post_init__(self):
        theme = self.graph.rpartition("/")[2]
        self.operations = self.operations or {
            kind: f"http://redpencil.data.gift/id/jobs/concept/JobOperation/deltas/{kind}/{theme}"
            for kind in KINDS}

    def creator_of_errors(self):
        return self.error_creator or (f"{CREATOR}/{self.name}" if self.name else CREATOR)

    def environment(self):
        found = {OPERATION_VARIABLES[kind]: iri for kind, iri in self.operations.items()}
        found["JOBS_GRAPH"] = self.graph
        if self.name:
            found["DELTA_STREAM"] = self.name
        if self.error_creator:
            found["ERROR_CREATOR_URI"] = self.error_creator
        return found

    def entry(self):
        """Its item of the JSON file."""
        found = {"name": self.name, "jobsGraph": self.graph, "startInitialSync": False,
                 "cronPatternDumpJob": "0 0 0 * * 6", "cronPatternHealingJob": "0 0 2 * * *"}
        found.update({OPERATION_KEYS[kind]: iri for kind, iri in self.operations.items()})
        if self.error_creator:
            found["errorCreatorUri"] = self.error_creator
        return found


@dataclass
class Job:
    """A job as it stands in the store; of a task only the status is told."""
    uri: str
    kind: str
    statuses: list
    created_s: float
    modified_s: float
    tasks: dict  # IRI: list of statuses

    @property
    def status(self):
        assert len(self.statuses) == 1, self
        return self.statuses[0]

    @property
    def is_active(self):
        return any(one in ACTIVE for one in self.statuses)


class DeltaWorld:
    def __init__(self, world, store, stream=None):
        """'store' has query_url and update_url, where the plugin is sent to; what the test itself
        reads and writes goes to the store behind, if it is a proxy or another way in."""
        self.world, self.asked = world, store
        while hasattr(store, "store"):
            store = store.store
        self.store = store
        self.stream = stream or Stream()

    # ---- configuration ----

    def use_environment(self, stream=None, options=None, **variables):
        """The form of one stream. 'options' are those of the plugin."""
        self.stream = stream or self.stream
        self.world.environment.update(self.stream.environment(), **variables)
        self.configure(options or {})

    def use_file(self, streams=None, options=None, entries=None):
        """The form of several. 'entries' are dicts, one for each stream, with further keys."""
        streams = streams or [self.stream]
        for stream in streams:
            stream.name = stream.name or f"stream-{stream.graph[-12:]}"
        self.stream = streams[0]
        items = [stream.entry() for stream in streams]
        for item, more in zip(items, entries or []):
            item.update(more)
        file = self.world.root / "config.json"
        file.write_text(json.dumps(items, indent=4))
        self.configure({"config_file": str(file), **(options or {})})
        return file

    def configure(self, options):
        """'options' are those of the plugin, and config_file, which stands beside them."""
        self.world.environment["MU_SPARQL_ENDPOINT"] = self.asked.query_url
        options = dict(options)
        keys = {name: options.pop(name) for name in ("config_file",) if name in options}
        if self.asked.update_url != self.asked.query_url:
            options.setdefault("update_endpoint", self.asked.update_url)
        keys["config"] = options
        self.world.config("plugins:\n  delta-initiator: " + json.dumps(keys) + "\n")

    # ---- runs ----

    def words(self, action, now=None, **parameters):
        words = ["delta-initiator", action]
        for name, value in parameters.items():
            words += ["--set", f"{name}={str(value).lower() if value in (True, False) else value}"]
        return words + (["--now", now] if now else [])

    def run(self, action, *words, now=None, env=None, **parameters):
        return self.world.run(*self.words(action, now, **parameters), *words, env=env or {})

    def start(self, action, *words, now=None, env=None, **parameters):
        return self.world.start(*self.words(action, now, **parameters), *words, env=env or {})

    # ---- what is in the store ----

    def graph(self, stream=None):
        return self.store.graph((stream or self.stream).graph)

    def jobs(self, stream=None, graph=None):
        """Oldest first. Whatever is wrong with one is for the caller to see."""
        stream = stream or self.stream
        graph = self.graph(stream) if graph is None else graph
        kinds = {iri: kind for kind, iri in stream.operations.items()}
        found = [Job(str(job), kinds.get(str(graph.value(job, TASK.operation)), "other"),
                     status_names(graph, job), time_of(graph, job, DCTERMS.created),
                     time_of(graph, job, DCTERMS.modified),
                     {str(task): status_names(graph, task)
                      for task in graph.subjects(DCTERMS.isPartOf, job)})
                 for job in graph.subjects(RDF.type, COGS.Job)]
        return sorted(found, key=lambda job: (job.created_s, job.uri))

    def active(self, stream=None):
        return [job for job in self.jobs(stream) if job.is_active]

    def errors(self, stream=None):
        """Message and, if there is one, the job that it names, of each error."""
        graph = self.graph(stream)
        return [(str(graph.value(error, OSLC.message)),
                 str(graph.value(error, DCTERMS.references) or ""))
                for error in graph.subjects(RDF.type, OSLC.Error)]

    def check_whole(self, stream=None, active=1):
        """That jobs and tasks are complete, and that at most so many jobs are active."""
        graph = self.graph(stream)
        jobs = self.jobs(stream, graph)
        for job in jobs:
            assert len(job.tasks) == 1 and len(job.statuses) == 1, job
            assert all(len(statuses) == 1 for statuses in job.tasks.values()), job
        tasks = set(graph.subjects(RDF.type, TASK.Task))
        assert {str(task) for task in tasks} == {uri for job in jobs for uri in job.tasks}
        assert sum(job.is_active for job in jobs) <= active, jobs
        return jobs

    def insert_job(self, kind, status="busy", age_s=0.0, task_status=None, stream=None,
                   modified_age_s=None):
        """As the older system would have made it, in the state that others have put it to since.
        Returns its IRI."""
        stream = stream or self.stream
        follows = {"scheduled": "scheduled", "busy": "scheduled"}
        created = time.time() - age_s
        modified = created if modified_age_s is None else time.time() - modified_age_s
        values = {"job_uuid": uuid.uuid4(), "task_uuid": uuid.uuid4(), "job_time": iso(created),
                  "task_time": iso(created), "job_operation": stream.operations[kind]}
        graph = template(kind, **values)
        job = rdflib.URIRef(f"{JOB}{values['job_uuid']}")
        task = graph.value(None, DCTERMS.isPartOf, job)
        for subject, name in ((job, status), (task, task_status or follows.get(status, status))):
            graph.set((subject, ADMS.status, rdflib.URIRef(STATUS + name)))
            graph.set((subject, DCTERMS.modified,
                       rdflib.Literal(iso(modified), datatype=XSD.dateTime)))
        self.store.insert(stream.graph, graph)
        return str(job)

    def set_status(self, subject, name, stream=None, now_s=None):
        """As the services that carry jobs out do, in one update."""
        graph = (stream or self.stream).graph
        self.store.update(
            f"DELETE {{ GRAPH <{graph}> {{ <{subject}> <{ADMS.status}> ?status ; "
            f"<{DCTERMS.modified}> ?modified }} }} "
            f"INSERT {{ GRAPH <{graph}> {{ <{subject}> <{ADMS.status}> <{STATUS}{name}> ; "
            f'<{DCTERMS.modified}> "{iso(now_s or time.time())}"^^<{XSD.dateTime}> }} }} '
            f"WHERE {{ GRAPH <{graph}> {{ <{subject}> <{ADMS.status}> ?status ; "
            f"<{DCTERMS.modified}> ?modified }} }}")

    def end(self, *streams):
        """Removes what is in the store."""
        for stream in streams or (self.stream,):
            self.store.drop(stream.graph)


def status_names(graph, subject):
    return sorted(str(one).removeprefix(STATUS) for one in graph.objects(subject, ADMS.status))


def time_of(graph, subject, predicate):
    found = graph.value(subject, predicate)
    return unix_s(str(found)) if found else 0.0


# ---- graphs as they have to be ----

def template(name, **values):
    """The graph of a file of tests/data/delta-initiator."""
    rdflib.NORMALIZE_LITERALS = False
    text = string.Template((DATA / f"{name}.ttl").read_text()).substitute(values)
    return rdflib.Graph().parse(data=text, format="turtle")


def assert_same(found, expected):
    """Fails with what is missing and what is too much."""
    if to_isomorphic(found) == to_isomorphic(expected):
        return
    _, more, less = graph_diff(to_isomorphic(found), to_isomorphic(expected))
    raise AssertionError("\n".join(
        [f"+ {' '.join(term.n3() for term in triple)}" for triple in sorted(more)]
        + [f"- {' '.join(term.n3() for term in triple)}" for triple in sorted(less)]))


# ---- those who carry jobs out ----

class Consumer:
    """Takes scheduled tasks of streams as the services behind the older system do: the task is busy,
    is done, and so is its job. 'ended' is the list of the jobs that it brought to an end."""

    def __init__(self, delta, *streams, busy_s=0.05, outcome=lambda kind: "success",
                 now_s=time.time, poll_s=0.02):
        """'outcome' says how a job of a kind ends; 'now_s' is its clock."""
        self.delta, self.streams = delta, streams or (delta.stream,)
        self.busy_s, self.outcome, self.now_s, self.poll_s = busy_s, outcome, now_s, poll_s
        self.ended = []
        self.most_active = 0  # jobs of one stream at once, as far as it was looked
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(30)
        if self.failure:
            raise self.failure

    def work(self):
        try:
            while not self.stopping.wait(self.poll_s):
                for stream in self.streams:
                    self.look(stream)
        except Exception as error:  # told to the test, which is in another thread
            self.failure = error

    def look(self, stream):
        active = self.delta.active(stream)
        self.most_active = max(self.most_active, len(active))
        for job in active:
            for task, statuses in job.tasks.items():
                if statuses == ["scheduled"]:
                    self.carry_out(stream, job, task)

    def carry_out(self, stream, job, task):
        outcome = self.outcome(job.kind)
        self.set(stream, task, "busy")
        self.stopping.wait(self.busy_s)
        self.set(stream, task, outcome)
        self.set(stream, job.uri, outcome)
        self.ended.append(job)

    def set(self, stream, subject, name):
        self.delta.set_status(subject, name, stream, self.now_s())


@contextmanager
def delta_world(world, store, **options):
    """A DeltaWorld whose stream is removed from the store at the end."""
    made = DeltaWorld(world, store, **options)
    try:
        yield made
    finally:
        made.end()
