"""The endpoints of delta-initiator: at the older system's paths, with its words, and with what it
did not ask before it acted."""

import json
import urllib.parse

import pytest
from api_world import Daemon, until
from conftest import PATIENCE_S
from delta_world import Stream, delta_world
from test_api import TOKENS, secret_of, token_line
from test_serve import UnixConnection

PATHS = {"initial-sync": "initial-sync-jobs", "healing": "healing-jobs",
         "dump": "dump-publication-graph-jobs"}
CREATED = {"initial-sync": "Sync job started {}", "healing": "Healing job {} triggered",
           "dump": "Dump publication graph job {} triggered"}
CLEANED = {"healing": "Healing job cleaned", "dump": "Dump publication graph job cleaned"}


class Served:
    """run-core serve delta-initiator."""

    def __init__(self, delta, *words):
        self.socket = str(delta.world.root / "s.sock")
        self.process = delta.world.start("serve", "delta-initiator", "--listen",
                                         f"unix:{self.socket}", *words)
        while True:
            try:
                assert self.ask("GET", "/healthcheck/is-ready")[0] == 200
                return
            except OSError:
                assert self.process.poll() is None, self.process.stderr.read()

    def ask(self, method, path):
        """The status, and the body: as JSON if it is that."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path)
            reply = connection.getresponse()
            body, self.headers = reply.read().decode(), reply.headers
        finally:
            connection.close()
        is_json = (self.headers["Content-Type"] or "").startswith("application/json")
        return reply.status, json.loads(body) if is_json and body else body

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.communicate(timeout=PATIENCE_S)[1].decode()


@pytest.fixture
def serve():
    started = []

    def start(delta, *words):
        started.append(Served(delta, *words))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def delta(world, virtuoso):
    with delta_world(world, virtuoso) as made:
        made.use_environment(HEAL_MUST_WAIT_FOR_INITIAL_SYNC="false")
        yield made


@pytest.fixture
def served(delta, serve):
    return serve(delta)


def test_the_greeting(served):
    assert served.ask("GET", "/") == (
        200, "Hello from delta-producer-background-jobs-initiator :)\n")


@pytest.mark.parametrize("kind", PATHS)
def test_a_job_is_created_and_named(delta, served, kind):
    status, body = served.ask("POST", f"/{PATHS[kind]}")
    job, = delta.check_whole()
    task, = job.tasks
    assert status == 200
    assert body == {"msg": CREATED[kind].format(job.uri), "job": job.uri, "task": task}
    assert (job.kind, job.status) == (kind, "busy")
    assert CREATED[kind].format(job.uri) in served.end()


def test_a_conflict_names_who_is_in_the_way_unless_forced(delta, served):
    blocking = {delta.insert_job("healing"), delta.insert_job("initial-sync", "scheduled")}
    status, body = served.ask("POST", "/dump-publication-graph-jobs")
    assert status == 409 and set(body["blocking"]) == blocking
    assert all(uri in body["error"] for uri in blocking)
    assert served.ask("POST", "/dump-publication-graph-jobs?force=false")[0] == 409
    for query in ("?force", "?force=true", "?force=1"):
        assert served.ask("POST", f"/dump-publication-graph-jobs{query}")[0] == 200
    assert served.ask("POST", "/dump-publication-graph-jobs?force=maybe")[0] == 400
    assert len(delta.active()) == 5


def test_a_healing_that_is_too_early(delta, serve):
    delta.use_environment(HEAL_MUST_WAIT_FOR_INITIAL_SYNC="true")
    served = serve(delta)
    status, body = served.ask("POST", "/healing-jobs")
    assert status == 409 and body["blocking"] == [] and "initial sync" in body["error"]
    assert served.ask("POST", "/healing-jobs?force=true")[0] == 200


def test_an_initial_sync_happens_once(delta, served):
    assert served.ask("POST", "/initial-sync-jobs")[0] == 200
    job, = delta.jobs()
    delta.set_status(job.uri, "success")
    for query in ("", "?force=true"):
        status, body = served.ask("POST", f"/initial-sync-jobs{query}")
        assert status == 409 and body["blocking"] == [job.uri]
    delta.set_status(job.uri, "failed")
    assert served.ask("POST", "/initial-sync-jobs")[0] == 409
    assert served.ask("POST", "/initial-sync-jobs?force=true")[0] == 200
    assert len(delta.jobs()) == 2


def test_what_is_disabled_is_a_conflict(delta, serve):
    delta.use_environment(ENABLE_DUMP_FILE_CREATION="false")
    status, body = serve(delta).ask("POST", "/dump-publication-graph-jobs?force=true")
    assert status == 409 and body["blocking"] == [] and "disabled" in body["error"]


@pytest.mark.parametrize("kind", PATHS)
def test_jobs_are_removed_but_those_that_run(delta, served, kind):
    done = delta.insert_job(kind, "failed", age_s=10)
    busy = delta.insert_job(kind, "busy")
    other = delta.insert_job("dump" if kind == "healing" else "healing", "success")
    status, body = served.ask("DELETE", f"/{PATHS[kind]}")
    assert (status, body["removed"], body["kept"]) == (200, [done], [busy])
    assert body["msg"] == CLEANED.get(kind, f"Sync job cleaned {done}")
    assert {job.uri for job in delta.check_whole()} == {busy, other}
    status, body = served.ask("DELETE", f"/{PATHS[kind]}?force=true")
    assert (status, body["removed"], body["kept"]) == (200, [busy], [])
    assert [job.uri for job in delta.check_whole()] == [other]
    assert served.ask("DELETE", f"/{PATHS[kind]}")[1]["removed"] == []
    log = served.end()
    assert f"removed <{done}>, which was failed" in log and f"<{busy}>, which was busy" in log


def test_status_for_programs(delta, served):
    busy = delta.insert_job("healing", "busy", age_s=60)
    delta.insert_job("initial-sync", "success", age_s=600)
    before = set(delta.graph())
    status, body = served.ask("GET", "/status")
    stream, = body["streams"]
    assert status == 200
    assert (stream["name"], stream["jobsGraph"]) == (None, delta.stream.graph)
    healing, dump = stream["jobs"]["healing"], stream["jobs"]["dump"]
    assert healing["operation"] == delta.stream.operations["healing"]
    assert healing["count"] == {"scheduled": 0, "busy": 1, "success": 0, "failed": 0, "canceled": 0,
                                "other": 0}
    assert (healing["newest"]["uri"], healing["newest"]["status"]) == (busy, "busy")
    assert healing["newest"]["created"].endswith("Z")
    assert dump["newest"] is None and dump["schedule"] == "0 0 0 * * *" and dump["enabled"]
    assert dump["now"]["verdict"] == "blocked" and dump["now"]["blocking"] == [busy]
    assert stream["jobs"]["initial-sync"]["now"]["verdict"] == "done"
    assert stream["jobs"]["initial-sync"]["schedule"] is None
    assert set(delta.graph()) == before


def test_other_methods_and_paths(served):
    assert served.ask("GET", "/healing-jobs")[0] == 405
    assert served.headers["Allow"] == "POST, DELETE"
    assert served.ask("HEAD", "/")[0] == 200
    assert served.ask("PUT", "/healing-jobs")[0] == 405
    assert served.ask("POST", "/jobs")[0] == 404
    status, body = served.ask("POST", "/besluiten/healing-jobs")
    assert status == 404 and "no name" in body["error"]


def test_streams_with_names_are_below_them(world, virtuoso, serve):
    streams = [Stream("besluiten"), Stream("leiding.1~x")]
    with delta_world(world, virtuoso) as delta:
        delta.use_file(streams, entries=[{"healShouldNotWaitForInitialSync": True}] * 2)
        served = serve(delta)
        for stream in streams:
            for kind, path in PATHS.items():
                status, body = served.ask("POST", f"/{urllib.parse.quote(stream.name)}/{path}?force=1")
                assert status == 200, body
                assert body["job"] in {job.uri for job in delta.jobs(stream) if job.kind == kind}
        status, body = served.ask("POST", "/dump-publication-graph-jobs")
        assert status == 404 and "/besluiten/dump-publication-graph-jobs" in body["error"]
        status, body = served.ask("POST", "/other/healing-jobs")
        assert status == 404 and "'besluiten'" in body["error"] and "'leiding.1~x'" in body["error"]
        assert [one["name"] for one in served.ask("GET", "/status")[1]["streams"]] == [
            "besluiten", "leiding.1~x"]
        assert served.ask("GET", "/besluiten/status")[1]["name"] == "besluiten"
        assert served.ask("GET", "/other/status")[0] == 404
        assert served.ask("DELETE", "/besluiten/healing-jobs?force=true")[0] == 200
        assert len(delta.active(streams[0])) == 2 and len(delta.active(streams[1])) == 3
        delta.end(*streams)


def test_a_stream_without_an_operation(world, virtuoso, serve):
    stream = Stream()
    del stream.operations["dump"]
    with delta_world(world, virtuoso, stream=stream) as delta:
        delta.use_environment()
        served = serve(delta)
        for method in ("POST", "DELETE"):
            status, body = served.ask(method, "/dump-publication-graph-jobs")
            assert status == 404 and "'dump'" in body["error"]
        assert served.ask("GET", "/status")[1]["streams"][0]["jobs"]["dump"]["now"] is None


def test_a_dry_run_creates_nothing(delta, serve):
    status, body = serve(delta, "--dry-run").ask("POST", "/healing-jobs")
    assert status == 200 and delta.jobs() == []


# ---- when the store fails ------------------------------------------------------------------------

def test_a_store_that_is_away_is_503_and_comes_back(world, sparql_proxy, serve):
    with delta_world(world, sparql_proxy) as delta:
        delta.use_environment()
        served = serve(delta)
        sparql_proxy.down()
        status, body = served.ask("POST", "/initial-sync-jobs")
        assert status == 503 and sparql_proxy.query_url in body["error"], body
        assert int(served.headers["Retry-After"]) == 2
        assert served.ask("GET", "/status")[0] == 503
        assert served.ask("GET", "/")[0] == 200
        assert served.ask("POST", "/x/initial-sync-jobs")[0] == 404
        sparql_proxy.up()
        assert served.ask("POST", "/initial-sync-jobs")[0] == 200
        assert len(delta.check_whole()) == 1


def test_a_store_that_refuses_is_502_with_the_cause(world, sparql_proxy, serve):
    with delta_world(world, sparql_proxy) as delta:
        delta.use_environment()
        served = serve(delta)
        sparql_proxy.plan(kind="update", times=None, status=500, body="Virtuoso 42000 Error SR186:"
                          "SR186: No permission to execute procedure DB.DBA.SPARUL_RUN")
        status, body = served.ask("POST", "/initial-sync-jobs")
        assert status == 502 and "SPARQL_UPDATE" in body["error"], body
        assert delta.jobs() == []


def test_a_store_that_does_not_answer_is_not_waited_for(world, sparql_proxy, serve):
    with delta_world(world, sparql_proxy) as delta:
        delta.use_environment(options={"request_timeout": "500ms"})
        served = serve(delta)
        gate = sparql_proxy.hold()
        assert served.ask("POST", "/initial-sync-jobs")[0] in (503, 504)
        gate.open()


# ---- behind the daemon ---------------------------------------------------------------------------

def test_the_daemon_serves_them_and_asks_for_a_token(world, virtuoso):
    tokens = world.root / "tokens"
    tokens.write_text("".join(token_line(name, scope) for name, scope in TOKENS.items()))
    tokens.chmod(0o600)
    with delta_world(world, virtuoso) as delta:
        delta.use_environment()
        daemon = Daemon(world, "plugins: {delta-initiator: {serve: true}}",
                        core=f"  auth: {{tokens_file: {tokens}}}")
        base = "/plugins/delta-initiator"
        reader, runner = (daemon.api(secret_of(name)) for name in ("reader", "runner"))
        until(lambda: reader.get(f"{base}/").status == 200)
        assert reader.get(f"{base}/").text.startswith("Hello from ")
        for method in ("POST", "DELETE"):
            assert daemon.api().ask(method, f"{base}/initial-sync-jobs").status == 401
            assert reader.ask(method, f"{base}/initial-sync-jobs").status == 403
        assert delta.jobs() == []
        made = runner.post(f"{base}/initial-sync-jobs")
        assert made.status == 200
        assert [job.uri for job in delta.check_whole()] == [made.json["job"]]
        assert runner.post(f"{base}/healing-jobs").status == 409
        assert reader.get(f"{base}/status").json["streams"][0]["jobs"]["initial-sync"]["count"][
            "busy"] == 1
        assert runner.ask("DELETE", f"{base}/initial-sync-jobs?force=true").json["removed"]
        assert daemon.stop() == 0
