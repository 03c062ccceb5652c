"""What delta-initiator leaves in the store is, as a graph, what the service leaves there whose place it
takes: every predicate, IRI and datatype, on each store and in both forms of the configuration. Read
and compared by rdflib."""
import json
import re
import time
import uuid

import pytest
import rdflib
from conftest import World
from api_world import until
from delta_world import (ADMS, COGS, CREATOR, DATA, KINDS, MU, OPERATION_KEYS,
                         OPERATION_VARIABLES, OSLC, STATUS, TASK, TIME, UUID, Consumer, DeltaWorld,
                         Stream, assert_same, iso, template, unix_s)
from rdflib import DCTERMS, RDF
from sparql_faults import SparqlFaults

SKIPPED = 3
FORMS = ("environment", "file")


def use(delta, form, **entry):
    if form == "environment":
        delta.use_environment()
    else:
        delta.use_file(entries=[entry])


def allow(delta, kind):
    """Puts into the store what a job of that kind waits for."""
    if kind == "healing":
        delta.insert_job("initial-sync", "success", age_s=3600)
    return delta.graph()


def named(graph, type_iri):
    """IRI, UUID and time of the only resource of a type, all of which look as they should."""
    subject, = graph.subjects(RDF.type, type_iri)
    known, moment = str(graph.value(subject, MU.uuid)), graph.value(subject, DCTERMS.created)
    assert UUID.fullmatch(known), known
    assert str(subject).endswith(f"/{known}")
    assert TIME.fullmatch(str(moment)), moment
    return str(subject), known, str(moment)


def assert_job(found, kind, operation, begun_s, task_operation=None):
    """That a graph is nothing but the job and task that the older service writes."""
    _, job_uuid, job_time = named(found, COGS.Job)
    _, task_uuid, task_time = named(found, TASK.Task)
    for moment in (job_time, task_time):
        assert begun_s - 1 <= unix_s(moment) <= time.time() + 1
    expected = template(kind, job_uuid=job_uuid, task_uuid=task_uuid, job_time=job_time,
                        task_time=task_time, job_operation=operation)
    if task_operation:
        subject, = expected.subjects(RDF.type, TASK.Task)
        expected.set((subject, TASK.operation, rdflib.URIRef(task_operation)))
    assert_same(found, expected)


def assert_error(found, creator, message, blocking=None):
    """Likewise of an error, which names the job that was in the way, too."""
    error, error_uuid, error_time = named(found, OSLC.Error)
    said = str(found.value(rdflib.URIRef(error), OSLC.message))
    assert re.search(message, said), said
    expected = template("error", error_uuid=error_uuid, error_time=error_time,
                        error_creator=creator, message="")
    subject = rdflib.URIRef(error)
    expected.set((subject, OSLC.message, rdflib.Literal(said)))
    if blocking:
        expected.add((subject, DCTERMS.references, rdflib.URIRef(blocking)))
    assert_same(found, expected)


# ---- the expected graphs, proved on what the older service sends ----

OLD_PREFIXES = """
PREFIX mu: <http://mu.semte.ch/vocabularies/core/>
PREFIX task: <http://redpencil.data.gift/vocabularies/tasks/>
PREFIX dct: <http://purl.org/dc/terms/>
PREFIX oslc: <http://open-services.net/ns/core#>
PREFIX adms: <http://www.w3.org/ns/adms#>
"""
OLD_TASKS = {"initial-sync": "initialPublicationGraphSyncing",
             "healing": "healing/patchPublicationGraph", "dump": "deltaDumpFileCreation"}


def old_insert(delta, text):
    delta.store.update(f"{OLD_PREFIXES} INSERT DATA {{ GRAPH <{delta.stream.graph}> {{ {text} }} }}")


def old_literals():
    """The escapes of its template library: '''text''' and a typed time."""
    moment = f'"{iso(time.time())}"^^<{rdflib.XSD.dateTime}>'
    return str(uuid.uuid4()), f"dct:created {moment}; dct:modified {moment}", moment


@pytest.mark.parametrize("kind", KINDS)
def test_the_expected_job_is_what_the_old_updates_make(delta_on_each, kind):
    delta, begun = delta_on_each, time.time()
    job, times, _ = old_literals()
    old_insert(delta, f"""
        <http://redpencil.data.gift/id/job/{job}> a <http://vocab.deri.ie/cogs#Job>;
            mu:uuid '''{job}'''; dct:creator <{CREATOR}>; adms:status <{STATUS}busy>; {times};
            task:operation <{delta.stream.operations[kind]}>.""")
    task, times, _ = old_literals()
    operation = f"http://redpencil.data.gift/id/jobs/concept/TaskOperation/deltas/{OLD_TASKS[kind]}"
    old_insert(delta, f"""
        <http://redpencil.data.gift/id/task/{task}>
            a <http://redpencil.data.gift/vocabularies/tasks/Task>;
            mu:uuid '''{task}'''; adms:status <{STATUS}scheduled>; {times};
            task:operation <{operation}>; task:index '''0''';
            dct:isPartOf <http://redpencil.data.gift/id/job/{job}>.""")
    assert_job(delta.graph(), kind, delta.stream.operations[kind], begun)
    assert [(job.kind, job.status) for job in delta.check_whole()] == [(kind, "busy")]


def test_the_expected_error_is_what_the_old_update_makes(delta_on_each):
    delta = delta_on_each
    error, _, moment = old_literals()
    old_insert(delta, f"""
        <http://redpencil.data.gift/id/jobs/error/{error}>
            a <http://open-services.net/ns/core#Error>,
              <http://redpencil.data.gift/vocabularies/deltas/Error> ;
            mu:uuid '''{error}''' ; dct:subject "Delta Producer Background Jobs Initiator" ;
            oslc:message '''Incompatible jobs, "see" x''' ; dct:created {moment} ;
            dct:creator <{CREATOR}/stream> .""")
    assert_error(delta.graph(), f"{CREATOR}/stream", '^Incompatible jobs, "see" x$')


@pytest.mark.parametrize("change", ["datatype", "missing", "more", "status"])
def test_a_graph_that_differs_is_noticed(delta, change):
    delta.insert_job("dump", "busy", task_status="scheduled")
    graph = delta.graph()
    job, = graph.subjects(RDF.type, COGS.Job)
    if change == "datatype":
        known = graph.value(job, MU.uuid)
        graph.set((job, MU.uuid, rdflib.Literal(str(known), datatype=rdflib.XSD.string)))
    elif change == "missing":
        graph.remove((job, DCTERMS.creator, None))
    elif change == "more":
        graph.add((job, DCTERMS.subject, rdflib.Literal("x")))
    else:
        graph.set((job, ADMS.status, rdflib.URIRef(STATUS + "scheduled")))
    with pytest.raises(AssertionError, match="[+-] <"):
        assert_job(graph, "dump", delta.stream.operations["dump"], time.time() - 60)


def test_a_stand_in_brings_jobs_to_an_end(delta):
    job = delta.insert_job("healing", age_s=60)
    with Consumer(delta, outcome=lambda kind: "failed") as consumer:
        until(lambda: not delta.active())
    assert [done.uri for done in consumer.ended] == [job]
    assert [(job.status, *job.tasks.values()) for job in delta.check_whole()] == [
        ("failed", ["failed"])]
    assert time.time() - delta.jobs()[0].modified_s < 30 < time.time() - delta.jobs()[0].created_s


# ---- what the plugin writes ----

@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_job_is_as_it_always_was(delta_on_each, kind, form):
    delta = delta_on_each
    use(delta, form)
    before, begun = allow(delta, kind), time.time()
    result = delta.run(kind)
    assert result.status == 0, result.stderr
    assert_job(delta.graph() - before, kind, delta.stream.operations[kind], begun)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_blocked_job_leaves_an_error(delta_on_each, kind, form):
    delta = delta_on_each
    use(delta, form)
    allow(delta, kind)
    blocking = delta.insert_job("dump", "busy", age_s=120)
    before = delta.graph()
    result = delta.run(kind)
    assert result.status == SKIPPED, result.stderr
    assert blocking in result.text
    assert_error(delta.graph() - before, delta.stream.creator_of_errors(),
                 re.escape(blocking), blocking)
    again = delta.run(kind)
    assert again.status == SKIPPED
    assert len(delta.errors()) == 1  # one for a job and a day


@pytest.mark.parametrize("form", FORMS)
def test_a_healing_that_comes_too_early_leaves_an_error(delta_on_each, form):
    delta = delta_on_each
    use(delta, form)
    result = delta.run("healing")
    assert result.status == SKIPPED, result.stderr
    assert_error(delta.graph(), delta.stream.creator_of_errors(), "initial sync")
    assert delta.run("healing").status == SKIPPED
    assert len(delta.errors()) == 1


def test_an_initial_sync_that_is_there_is_enough(delta_on_each):
    delta = delta_on_each
    delta.use_environment()
    delta.insert_job("initial-sync", "success", age_s=1e6)
    before = delta.graph()
    result = delta.run("initial-sync")
    assert result.status == 0, result.stderr
    assert_same(delta.graph(), before)
    assert delta.run("initial-sync", force=True).status == 0
    assert_same(delta.graph(), before)


def test_nothing_is_written_on_a_dry_run(delta):
    delta.use_environment()
    assert delta.run("dump", "--dry-run").status == 0
    assert len(delta.graph()) == 0
    delta.insert_job("dump")
    before = delta.graph()
    assert delta.run("healing", "--dry-run").status == SKIPPED
    assert_same(delta.graph(), before)


@pytest.mark.parametrize("task_status", ["scheduled", "busy"])
def test_a_job_whose_time_is_up_fails_with_its_task(delta_on_each, task_status):
    delta = delta_on_each
    delta.use_environment(JOB_TIMEOUT_MINUTES="30")
    old = delta.insert_job("healing", "busy", age_s=7200, modified_age_s=1860,
                           task_status=task_status)
    young = delta.insert_job("dump", "success", age_s=7200)
    expected, begun = delta.graph(), time.time()
    result = delta.run("dump")
    assert result.status == 0, result.stderr
    assert old in result.text
    found = delta.graph()
    job, task = rdflib.URIRef(old), expected.value(None, DCTERMS.isPartOf, rdflib.URIRef(old))
    for subject in (job, task):
        modified = found.value(subject, DCTERMS.modified)
        assert begun - 1 <= unix_s(str(modified)) <= time.time() + 1
        expected.set((subject, ADMS.status, rdflib.URIRef(STATUS + "failed")))
        expected.set((subject, DCTERMS.modified, modified))
    made, = {job.uri for job in delta.jobs()} - {old, young}
    new_job = rdflib.URIRef(made)
    for subject in (new_job, found.value(None, DCTERMS.isPartOf, new_job)):
        found.remove((subject, None, None))
    assert_same(found, expected)


def test_a_job_whose_time_is_not_up_blocks(delta_on_each):
    delta = delta_on_each
    delta.use_environment(JOB_TIMEOUT_MINUTES="30")
    delta.insert_job("healing", "busy", age_s=7200, modified_age_s=1740)
    assert delta.run("dump").status == SKIPPED
    delta.check_whole()


def test_clean_takes_jobs_with_their_tasks(delta_on_each):
    delta = delta_on_each
    delta.use_environment()
    for status in ("success", "failed", "canceled"):
        delta.insert_job("dump", status)
    kept = delta.insert_job("dump", "busy")
    delta.insert_job("healing", "success")
    assert delta.run("clean", kind="dump").status == 0
    assert [job.uri for job in delta.check_whole() if job.kind == "dump"] == [kept]
    assert delta.run("clean", kind="dump", force=True).status == 0
    assert [job.kind for job in delta.check_whole()] == ["healing"]
    assert delta.run("clean", kind="healing").status == 0
    assert len(delta.graph()) == 0


def test_clean_finds_more_jobs_than_a_page_has(delta_on_each):
    delta = delta_on_each
    delta.use_environment()
    graph = rdflib.Graph()
    for number in range(1201):
        job = rdflib.URIRef(f"http://example.org/{uuid.uuid4()}")
        graph.add((job, RDF.type, COGS.Job))
        graph.add((job, TASK.operation, rdflib.URIRef(delta.stream.operations["dump"])))
        graph.add((job, ADMS.status, rdflib.URIRef(STATUS + ("success" if number else "busy"))))
    jobs = sorted(set(graph.subjects()))
    for first in range(0, len(jobs), 200):  # a store takes only so much at once
        part = rdflib.Graph()
        for job in jobs[first:first + 200]:
            part += graph.triples((job, None, None))
        delta.store.insert(delta.stream.graph, part)
    said = delta.run("clean", "--dry-run", kind="dump").stdout.splitlines()
    named_jobs = sorted(re.search("<(.*?)>", line)[1] for line in said)
    assert named_jobs == [str(job) for job in jobs]
    assert sum(line.startswith("kept <") for line in said) == 1


def test_other_graphs_are_left_alone(delta):
    delta.use_environment()
    elsewhere = Stream(operations=delta.stream.operations)
    try:
        other = delta.insert_job("dump", "busy", stream=elsewhere)
        assert delta.run("dump").status == 0
        assert delta.run("clean", kind="dump", force=True).status == 0
        assert len(delta.graph()) == 0
        assert [job.uri for job in delta.check_whole(elsewhere)] == [other]
    finally:
        delta.end(elsewhere)


# ---- configuration as it is in use ----

def test_the_old_page_runs_unchanged(world, virtuoso):
    """The example of the environment, with the defaults of everything else."""
    example = json.loads((DATA / "environment.json").read_text())
    operations = {kind: example["compose"][OPERATION_VARIABLES[kind]] for kind in KINDS}
    stream = Stream(graph=example["defaults"]["JOBS_GRAPH"], operations=operations)
    delta = DeltaWorld(world, virtuoso, stream)
    delta.configure({})
    world.environment.update(example["compose"])
    try:
        assert_all_kinds(delta)
    finally:
        delta.end()


def test_the_old_file_runs_unchanged(world, virtuoso):
    item, = json.loads((DATA / "config.json").read_text())
    operations = {kind: item[OPERATION_KEYS[kind]] for kind in KINDS}
    stream = Stream(item["name"], item["jobsGraph"], operations)
    delta = DeltaWorld(world, virtuoso, stream)
    delta.configure({"config_file": str(DATA / "config.json")})
    try:
        assert_all_kinds(delta)
        assert delta.run("dump", entry=item["name"]).status == 0
        assert delta.run("dump", entry="another").status == 2
    finally:
        delta.end()


def assert_all_kinds(delta):
    for kind in KINDS:
        before, begun = delta.graph(), time.time()
        result = delta.run(kind)
        assert result.status == 0, result.stderr
        assert_job(delta.graph() - before, kind, delta.stream.operations[kind], begun)
        with Consumer(delta):
            until(lambda: not delta.active())
    delta.check_whole(active=0)


def test_defaults_may_be_given_too(delta):
    """Every variable of the page, at its default."""
    defaults = json.loads((DATA / "environment.json").read_text())["defaults"]
    del defaults["JOBS_GRAPH"], defaults["MU_SPARQL_ENDPOINT"]
    delta.use_environment(**defaults)
    begun = time.time()
    assert delta.run("dump").status == 0
    assert_job(delta.graph(), "dump", delta.stream.operations["dump"], begun)


def test_tasks_have_the_operations_that_are_configured(delta):
    page = json.loads((DATA / "environment.json").read_text())["page"]
    delta.use_environment(**page, DUMP_FILE_CREATION_TASK_OPERATION="http://example.org/t?a=1#é",
                          INITIAL_PUBLICATION_GRAPH_SYNC_TASK_OPERATION="urn:example:sync")
    for kind, operation in (("initial-sync", "urn:example:sync"),
                            ("healing", page["HEALING_TASK_OPERATION"]),
                            ("dump", "http://example.org/t?a=1#é")):
        before, begun = delta.graph(), time.time()
        assert delta.run(kind).status == 0
        assert_job(delta.graph() - before, kind, delta.stream.operations[kind], begun,
                   task_operation=operation)
        with Consumer(delta):
            until(lambda: not delta.active())


def test_odd_iris_and_names(world, sparql_store):
    """All that an IRI may hold, and what a literal has to escape."""
    theme = f"{uuid.uuid4()}/é€😀;a=(b),c'$&?x=%20#f!*+@"
    stream = Stream("a-name_0.9~", f"http://example.org/graph/{theme}",
                    {kind: f"http://example.org/{kind}/{theme}" for kind in KINDS},
                    error_creator=f"urn:creator:{theme}")
    delta = DeltaWorld(world, sparql_store, stream)
    delta.use_file()
    try:
        begun = time.time()
        result = delta.run("dump")
        assert result.status == 0, result.stderr
        before = delta.graph()
        assert_job(before, "dump", stream.operations["dump"], begun)
        blocking, = [job.uri for job in delta.jobs()]
        assert delta.run("healing", force=True).status == 0
        delta.run("clean", kind="healing", force=True)
        assert delta.run("dump").status == SKIPPED
        assert_error(delta.graph() - before, stream.error_creator, re.escape(blocking), blocking)
        assert delta.run("clean", kind="dump", force=True).status == 0
        assert delta.jobs() == []
    finally:
        delta.end()


def test_streams_have_graphs_and_creators_of_their_own(world, virtuoso):
    streams = [Stream("one"), Stream("two"), Stream("three", error_creator="http://example.org/c")]
    delta = DeltaWorld(world, virtuoso, streams[0])
    delta.use_file(streams)
    try:
        assert delta.run("dump").status == 0
        for stream in streams:
            assert [(job.kind, job.status) for job in delta.check_whole(stream)] == [
                ("dump", "busy")]
        for stream in streams:
            before = delta.graph(stream)
            blocking, = [job.uri for job in delta.jobs(stream)]
            assert delta.run("initial-sync", entry=stream.name).status == SKIPPED
            assert_error(delta.graph(stream) - before, stream.creator_of_errors(),
                         re.escape(blocking), blocking)
    finally:
        delta.end(*streams)


# ---- on the wire ----

def test_requests_are_as_the_stack_expects_them(world, virtuoso):
    """What stands between the service and the store looks at a header; times always have
    milliseconds, and strings no datatype."""
    with SparqlFaults(virtuoso) as proxy:
        delta = DeltaWorld(world, proxy)
        delta.use_environment()
        try:
            assert delta.run("dump", now="2026-01-31T23:00:00Z").status == 0
            assert {one.headers.get("mu-auth-sudo") for one in proxy.exchanges} == {"true"}
            making = [text for text in proxy.updates() if str(TASK.Task) in text]
            assert len(making) == 1
            times = re.findall(r'"([^"]*)"\^\^<([^>]*)>', making[0])
            assert times and {datatype for _, datatype in times} == {str(rdflib.XSD.dateTime)}
            for moment, _ in times:
                assert re.fullmatch(r"2026-01-31T23:0\d:\d\d\.\d{3}Z", moment)
            assert "DEFINE" not in making[0].upper()
        finally:
            delta.end()


def test_replicas_share_nothing_but_the_store(delta, tmp_path_factory):
    delta.use_environment()
    other = DeltaWorld(World(tmp_path_factory.mktemp("other")), delta.store, delta.stream)
    other.use_environment()
    assert delta.run("dump").status == 0
    assert other.run("dump").status == SKIPPED
    assert len(delta.check_whole()) == 1
