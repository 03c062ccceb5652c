"""delta-initiator where a process dies between any two requests, and where the store is away, slow,
wrong or refuses: what is in the graph then is a whole job with its task or none, what is said is true,
and another run goes on from there.

Here, of the kills, runs each that differs; with RUN_CORE_FULL=1 all of them on each kind of request."""
import os
import time

import pytest
import virtuoso as virtuoso_server
from conftest import PATIENCE_S
from daemon import Daemon
from delta_replicas import Replica
from api_world import until
from delta_world import DeltaWorld, delta_world
from stand_in import Cut, Reply, StandIn

FULL = bool(os.environ.get("RUN_CORE_FULL"))
DONE, FAILED, SKIPPED = 0, 1, 3
CREATION = "task:index"  # stands in no other statement
MEMORY_KIB = 512 << 10  # with a sanitizer's share


@pytest.fixture
def near(world, sparql_proxy):
    """A stream, with the proxy between the plugin and the store."""
    with delta_world(world, sparql_proxy) as delta:
        delta.use_environment(HEAL_MUST_WAIT_FOR_INITIAL_SYNC="false", PING_DB_INTERVAL="1")
        yield delta


# ---- processes that are killed -------------------------------------------------------------------

class Scenario:
    """A run, what is there before, and how many requests it consists of: 'requests' are their kinds,
    in order."""

    def __init__(self, action, requests, there=(), **parameters):
        self.action, self.requests = action, requests.split()
        self.there, self.parameters = there, parameters

    def prepare(self, delta):
        return [delta.insert_job(kind, status, age_s=age_s) for kind, status, age_s in self.there]


SCENARIOS = {
    "dump": Scenario("dump", "query update query"),
    "initial sync": Scenario("initial-sync", "query query update query"),
    "initial sync again": Scenario("initial-sync", "query query update query",
                                   [("initial-sync", "failed", 9000)]),
    "timeout": Scenario("healing", "query query update update query", [("dump", "busy", 9000)],
                        job_timeout_minutes=60),
    "blocked": Scenario("healing", "query update query query update", [("dump", "busy", 9000)]),
    "clean": Scenario("clean", "query query update update query",
                      [("dump", "failed", 9000), ("dump", "success", 900)], kind="dump"),
}
WAYS = ("lost", "late", "answered")  # what becomes of the request


def kills():
    for name, scenario in SCENARIOS.items():
        for number, kind in enumerate(scenario.requests, 1):
            for way in WAYS if kind == "update" or FULL else ("lost",):
                yield pytest.param(name, number, way, id=f"{name}-{number}-{way}")


@pytest.mark.parametrize("name, number, way", kills())
def test_a_process_is_killed_between_any_two_requests(near, sparql_proxy, name, number, way):
    """Before the store gets the request, which it never does or once the process is dead; or when it
    has carried it out."""
    scenario = SCENARIOS[name]
    there = scenario.prepare(near)
    before = set(near.graph())
    gate = sparql_proxy.hold(when="after" if way == "answered" else "before", nth=number)
    if way == "lost":
        cut_behind(sparql_proxy.plans[-1])
    process = near.start(scenario.action, **scenario.parameters)
    gate.wait()
    process.kill()
    process.communicate()
    gate.open()
    if way == "late":
        until(lambda: sparql_proxy.exchanges[-1].status == 200)
    assert [one.kind for one in sparql_proxy.exchanges] == scenario.requests[:number]
    near.check_whole()
    if "update" not in scenario.requests[:number - (way == "lost")]:
        assert set(near.graph()) == before
    sparql_proxy.clear()
    check_rerun(near, name, there)


def cut_behind(plan):
    wait = plan.before

    def waits_and_cuts(exchange):
        wait(exchange)
        raise Cut("the process has been killed")
    plan.before = waits_and_cuts


def check_rerun(delta, name, there):
    """It ends as the first run would have, but for what that has done already."""
    scenario = SCENARIOS[name]
    known = {job.uri for job in delta.jobs() if job.is_active and job.uri not in there}
    result = delta.run(scenario.action, **scenario.parameters)
    jobs = {job.uri: job for job in delta.check_whole()}
    made = set(jobs) - set(there)
    if name == "clean":
        assert result.status == DONE and not jobs
    elif name == "blocked":
        assert result.status == SKIPPED and not made
        assert [reference for _, reference in delta.errors()] == there
    else:
        assert len(made) == 1 and (not known or made == known), (made, known)
        uri, = made
        expected = SKIPPED if known and scenario.action != "initial-sync" else DONE
        assert result.status == expected and uri in result.stdout + result.stderr
        assert jobs[uri].is_active and list(jobs[uri].tasks.values()) == [["scheduled"]]
    if name == "timeout":
        assert [(jobs[uri].status, *jobs[uri].tasks.values()) for uri in there] == [
            ("failed", ["failed"])]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_run_has_the_requests_that_the_kills_are_between(near, sparql_proxy, name):
    there = SCENARIOS[name].prepare(near)
    check_rerun(near, name, there)
    assert [one.kind for one in sparql_proxy.exchanges] == SCENARIOS[name].requests


# ---- a store that is away ------------------------------------------------------------------------

def test_a_run_of_the_daemon_waits_for_the_store(near, sparql_proxy):
    """Longer than one that was started by hand would, and makes one job."""
    near.use_environment(options={"store_timeout": "500ms"})
    near.world.config("jobs: {dumps: {plugin: delta-initiator, action: dump, timeout: 60s}}\n",
                      name="jobs.yaml")
    sparql_proxy.down()
    daemon = Daemon(near.world).start()
    try:
        assert near.world.run("trigger", "dumps").status == 0
        daemon.wait_for(lambda: daemon.runs("dumps", status="started"))
        time.sleep(3)
        assert daemon.runs("dumps")[0]["status"] == "started"
        sparql_proxy.up()
        daemon.wait_for(lambda: daemon.runs("dumps", status="succeeded"))
    finally:
        assert daemon.stop() == 0
    assert len(near.check_whole()) == 1


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_store_goes_in_mid_run_and_comes_back(near, sparql_proxy, number, when):
    gate = sparql_proxy.hold(when=when, nth=number)
    process = near.start("dump")
    gate.wait()
    sparql_proxy.down()
    gate.open()
    time.sleep(0.7)
    sparql_proxy.up()
    said = process.communicate(timeout=PATIENCE_S)[1].decode()
    job, = near.check_whole()
    assert process.returncode == DONE and "trying again" in said and job.is_active, said


def test_the_store_goes_in_mid_run_for_good(near, sparql_proxy):
    """Where it is not known whether the job was created, that is said."""
    gate = sparql_proxy.hold(when="after", kind="update")
    process = near.start("dump", attempts=2)
    gate.wait()
    sparql_proxy.down()
    gate.open()
    said = process.communicate(timeout=PATIENCE_S)[1].decode()
    job, = near.check_whole()
    assert process.returncode == FAILED and "not known" in said, said
    sparql_proxy.up()
    again = near.run("dump")
    assert again.status == SKIPPED and job.uri in again.stderr


@pytest.mark.parametrize("kind", ["query", "update"])
def test_a_store_that_is_too_slow_is_asked_again(near, sparql_proxy, kind):
    """The update is carried out all the same, and then once more."""
    for timeout in ("500ms", "5s"):  # by the first, unless the machine is busy
        sparql_proxy.clear()
        sparql_proxy.late(20000, kind=kind)
        result = near.run("dump", request_timeout=timeout)
        if result.status == DONE or near.graph():
            break
    assert result.status == DONE, result.stderr
    assert len(sparql_proxy.exchanges) > len(SCENARIOS["dump"].requests)
    assert len(near.check_whole()) == 1


def test_a_store_that_is_always_too_slow(near, sparql_proxy):
    for timeout in ("300ms", "3s", "9s"):  # by the first, unless the machine is busy
        sparql_proxy.clear()
        sparql_proxy.late(60000, kind="update", times=None)
        sparql_proxy.late(60000, kind="query", nth=2, times=None)
        result = near.run("dump", request_timeout=timeout, attempts=2)
        if near.graph():
            break
    assert result.status == FAILED and "not known" in result.stderr, result.stderr
    assert len(near.check_whole()) == 1


# ---- answers that are wrong ----------------------------------------------------------------------

@pytest.mark.parametrize("status", [200, 500, 502])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_page_of_html_instead_of_an_answer(near, sparql_proxy, status, number):
    """Once, which passes; but with a 200 it is an answer, and none that one could do with, once the
    store has been waited for. To an update any answer is one, and what is read next decides."""
    sparql_proxy.html(status, nth=number)
    result = near.run("dump")
    job, = near.check_whole()
    if (status, number) == (200, 3):
        assert result.status == FAILED and "200 from something in between" in result.stderr
        assert "see whether it was created" in result.stderr
    else:
        assert result.status == DONE and job.uri in result.stdout, result.stderr


@pytest.mark.parametrize("status", [500, 502])
@pytest.mark.parametrize("kind", ["query", "update"])
def test_nothing_but_html(near, sparql_proxy, status, kind):
    sparql_proxy.html(status, kind=kind, times=None)
    result = near.run("dump", attempts=2, store_timeout="2s")
    assert result.status == FAILED
    assert str(status) in result.stderr and "from something in between" in result.stderr
    assert len(near.graph()) == 0


def test_updates_that_end_nowhere(near, sparql_proxy):
    """Something in between that says 200 to all: nothing is there, and it is not told that it is."""
    sparql_proxy.html(200, kind="update", times=None)
    result = near.run("dump")
    assert result.status == FAILED and near.stream.graph in result.stderr, result.stderr
    assert len(near.graph()) == 0


@pytest.mark.parametrize("fields", [{"cut_reply_bytes": 0}, {"cut_reply_body_bytes": 20},
                                    {"cut_reply_body_bytes": 20, "reset": True},
                                    {"cut_reply_bytes": 10}, {"lost": True}],
                         ids=lambda fields: "-".join(fields))
@pytest.mark.parametrize("action", ["dump", "initial-sync"])
def test_each_answer_ends_too_early_once(near, sparql_proxy, action, fields):
    """Of an update that was carried out, too: one job is made, and the run knows of it."""
    for number in (1, 3, 5, 7):
        sparql_proxy.plan(nth=number, **fields)
    result = near.run(action)
    job, = near.check_whole()
    assert result.status == DONE and job.uri in result.stdout, result.stderr
    assert len(sparql_proxy.exchanges) > len(SCENARIOS["dump"].requests)


@pytest.mark.parametrize("fields", [{"status": 503}, {"lost": True}, {"cut_reply_bytes": 0}],
                         ids=lambda fields: "-".join(fields))
@pytest.mark.parametrize("nth", range(1, 7))
def test_every_nth_request_fails(near, sparql_proxy, nth, fields):
    for number in range(nth, 60, nth):
        sparql_proxy.plan(nth=number, **fields)
    first = near.run("dump", attempts=3, store_timeout="2s")
    jobs = near.check_whole()
    if nth == 1:
        assert first.status == FAILED and not jobs
        return
    assert first.status == DONE and jobs[0].uri in first.stdout, first.stderr
    blocked = near.run("healing", attempts=3)
    assert blocked.status == SKIPPED and jobs[0].uri in blocked.stderr
    assert [reference for _, reference in near.errors()] == [jobs[0].uri]


def test_an_error_that_cannot_be_recorded_changes_no_verdict(near, sparql_proxy):
    blocking = near.insert_job("healing")
    sparql_proxy.plan(kind="update", text="oslc:message", times=None, status=503)
    result = near.run("dump", attempts=1)
    assert result.status == SKIPPED and blocking in result.stderr
    assert "cannot record" in result.stderr and near.errors() == []


# ---- a store that refuses ------------------------------------------------------------------------

@pytest.fixture
def permit(virtuoso):
    """What anyone may do to graphs: 1 is to read, 2 to write. In the end all, as at first."""
    def call(bits):
        virtuoso.sql(f"DB.DBA.RDF_DEFAULT_USER_PERMS_SET('nobody', {bits})")
    yield call
    call(15)


@pytest.mark.parametrize("bits", [0, 1])
@pytest.mark.parametrize("action", ["dump", "initial-sync", "healing"])
def test_a_graph_that_may_not_be_written(world, virtuoso, permit, action, bits):
    with delta_world(world, virtuoso) as delta:
        delta.use_environment(HEAL_MUST_WAIT_FOR_INITIAL_SYNC="false")
        delta.insert_job("dump", "success")
        before = set(delta.graph())
        permit(bits)
        result = delta.run(action)
        with Replica(delta) as served:
            status, body = served.post(action)
        permit(15)
        assert result.status == FAILED and status == 502
        for said in (result.stderr, body["error"]):
            assert "SR619" in said and "the graph's permissions" in said, said
            assert delta.stream.graph in said
        assert set(delta.graph()) == before
        assert delta.run(action).status == DONE


def test_a_graph_in_which_nothing_may_be_removed(world, virtuoso, permit):
    with delta_world(world, virtuoso) as delta:
        delta.use_environment()
        delta.insert_job("dump", "success")
        permit(1)
        result = delta.run("clean", kind="dump")
        permit(15)
        assert result.status == FAILED and "SR619" in result.stderr, result.stderr
        assert len(delta.check_whole()) == 1


def test_a_graph_that_may_not_be_read(world, virtuoso, permit):
    """Virtuoso shows it as if it were empty: it cannot be known what is in the way or was created."""
    with delta_world(world, virtuoso) as delta:
        delta.use_environment()
        permit(2)
        result = delta.run("dump")
        permit(15)
        assert result.status == FAILED and "may not read" in result.stderr, result.stderr
        assert len(delta.check_whole()) <= 1


def test_a_login_that_fails_leaves_nothing(world, virtuoso):
    """Where the endpoint asks for one, nothing is half done; the right password does all of it."""
    with delta_world(world, virtuoso) as delta:
        delta.asked = AtAuth(virtuoso)
        user, right = virtuoso_server.USER
        for password, status in (("wr0ng", FAILED), (right, DONE)):
            delta.use_environment(SPARQL_USERNAME=user, SPARQL_PASSWORD=password)
            result = delta.run("dump")
            assert result.status == status and "wr0ng" not in result.stderr, result.stderr
            assert len(delta.check_whole()) == (status == DONE)


class AtAuth:
    def __init__(self, store):
        self.query_url = self.update_url = store.auth_url


# ---- a store that makes no sense -----------------------------------------------------------------

ROW = ('{"job": {"type": "uri", "value": "http://redpencil.data.gift/id/job/%s"}, '
       '"operation": {"type": "uri", "value": "%s"}}')
HEAD = '{"head": {"vars": ["job", "operation"]}, "results": {"bindings": ['


class Nonsense(StandIn):
    """Answers the first query with no rows, and all that follows with 'answer': a text, or a function
    that gives pieces of one."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.asked, self.sent_bytes = answer, 0, 0

    def handle(self, request):
        request.body()
        self.asked += 1
        body = HEAD + "]}}" if self.asked == 1 else self.answer
        headers = {"Content-Type": "application/sparql-results+json"}
        if isinstance(body, str):
            return Reply(200, headers, body.encode())
        return Reply(200, headers, self.pieces(body))

    def pieces(self, endless):
        for piece in endless():
            self.sent_bytes += len(piece)
            yield piece

    @property
    def query_url(self):
        return f"{self.endpoint}/sparql"

    update_url = query_url


def endless(first, more, count=None):
    """Pieces of text, 10 GiB of it unless somebody leaves."""
    def pieces():
        yield first.encode()
        for number in range(count or (10 << 30) // len(more(0))):
            yield more(number)
    return pieces


OPERATION = "http://example.org/operation"
NONSENSE = {
    "a string without an end": endless(HEAD + '{"job": {"type": "uri", "value": "',
                                       lambda _: b"x" * 65536),
    "rows without an end": endless(HEAD + ROW % ("x", OPERATION), lambda number: "".join(
        "," + ROW % (f"{number}-{each}", OPERATION) for each in range(400)).encode()),
    "variables without an end": endless('{"head": {"vars": ["a"', lambda _: b',"b"' * 16384),
    "a member without an end": endless('{"other": [1', lambda _: b",[1]" * 16384),
    "depth": "[" * 5_000_000,
    "depth in a row": HEAD + '{"job": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}]}}",
    "nothing": "",
    "another JSON": '{"boolean": true}',
    "a list": "[]",
    "no rows": '{"head": {"vars": []}, "results": {}}',
    "a row that is none": HEAD + '"row"]}}',
    "a job without a name": HEAD + '{"operation": {"type": "uri", "value": "x"}}]}}',
    "another operation": HEAD + ROW % ("x", "http://example.org/another") + "]}}",
    "more behind the end": HEAD + "]}} {",
    "bytes that are no UTF-8": HEAD + '{"job": {"type": "uri", "value": "\\ud800"}}]}}',
}


@pytest.mark.parametrize("name", NONSENSE)
def test_what_makes_no_sense_ends_the_run(world, name):
    """Soon, in bounded memory, with a cause; and no job is told of."""
    with Nonsense(NONSENSE[name]) as store:
        delta = DeltaWorld(world, store)
        delta.stream.operations["initial-sync"] = OPERATION
        delta.use_environment()
        words = delta.words("initial-sync", attempts=1, request_timeout="3s")
        with open(world.root / "said", "wb") as said:
            process = world.start(*words, stdout=said, stderr=said)
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        text = (world.root / "said").read_text()
        assert process.returncode == FAILED and "Sync job started" not in text, text
        assert store.query_url in text or delta.stream.graph in text, text
        assert used.ru_maxrss < MEMORY_KIB and store.sent_bytes < 1 << 30
