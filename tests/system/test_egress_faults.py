"""'run-core egress dump' and 'sync' with any fault at any request, killed at any moment, with a
database that goes away, keys that expire, no room, no time. A reader watches all the while: what
has its final name is whole, what is called complete is there, and the next run puts all right.

Here runs a sample, another with another RUN_CORE_SEED; with RUN_CORE_FULL=1 all of it runs. See
egress_faults.py, and for single faults test_egress_dump_faults.py and test_egress_sync.py."""
import os
import signal
import time

import postgres as postgres_server
import pytest
from conftest import PATIENCE_S, resize
from daemon import Daemon
from egress_faults import (DUMP, SYNC, TABLES, Bench, Data, Dumped, Wire, benches_of, children,
                           kill)
from api_world import until
from egress_world import DAY, NOW, PATIENT, Egress
from fault_proxy import FaultProxy
from stand_in import Reply
from storage_faults import Fault, cases_of, run_cases

FULL = bool(os.environ.get("RUN_CORE_FULL"))
SAMPLE = 6  # faults of each action
KILLS = 60 if FULL else 3


@pytest.fixture(scope="module")
def data(postgres):
    made = Data(postgres)
    yield made
    made.end()


@pytest.fixture
def bench(ceph, data, tmp_path):
    made = Bench(ceph, data, tmp_path / "bench")
    yield made
    made.end()


# ---- any fault -------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [DUMP, SYNC], ids=["dump", "sync"])
def test_any_fault_at_any_request(ceph, data, tmp_path, rng, operation):
    with benches_of(ceph, data, tmp_path) as benches:
        for bench in benches:
            wrong, outcome = bench.run(operation)
            assert wrong == [] and outcome.status == 0, (wrong, outcome)
        cases = list(cases_of(benches[0], [operation], rng))
        if not FULL:
            # What waits for the limit of silence waits long.
            cases = [case for case in cases if "stall" not in case[1].name]
            cases = rng.sample(cases, SAMPLE)
        problems = run_cases(benches, cases)
        assert problems == [], "\n".join(problems)


@pytest.mark.parametrize("operation", [DUMP, SYNC], ids=["dump", "sync"])
def test_a_store_that_hangs(bench, operation):
    wrong, outcome = bench.run(operation)
    assert wrong == [] and outcome.status == 0, (wrong, outcome)
    bench.configure(silent=True)
    # A store may take its time to put parts together: that is waited for until the connection ends.
    for rule in ({"method": "PUT", "skip": 1},
                 {"method": "POST", "target": "uploadId=", "stall_ms": 3000}):
        bench.server.rules.clear()
        bench.change(operation)
        bench.server.rules.add(stall_reply_bytes=0, times=2, **rule)
        process = bench.start(operation)
        outcome = bench.finish(process)
        assert list(bench.judge(operation, None, outcome)) == []
        assert outcome.status == 0, outcome


# ---- killed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [DUMP, SYNC], ids=["dump", "sync"])
def test_killed_at_any_moment(bench, rng, operation):
    wrong, outcome = bench.run(operation)
    assert wrong == [] and outcome.status == 0, (wrong, outcome)
    calls, problems = len(bench.server.calls), []
    for number in range(KILLS):
        how = ["worker", "both", "guard"][number % 3]
        at, pause_s = rng.randrange(calls), rng.random() * 0.05
        wrong, outcome = bench.run_killed(operation, at, pause_s, how)
        told = f"{how} killed at call {at} of {calls} + {pause_s:.3f} s ({outcome.status})"
        print(told)
        problems += [f"{told}: {what}" for what in wrong]
    assert problems == [], "\n".join(problems)


def test_a_source_that_is_dumped_again_meanwhile(bench, rng):
    """At any moment of a sync, of a folder that the target has or has not by then."""
    wrong, outcome = bench.run(SYNC)
    assert wrong == [] and outcome.status == 0, (wrong, outcome)
    calls = len(bench.server.calls)
    for number in range(20 if FULL else 4):
        if number % 2:
            bench.change(SYNC)
        at = rng.randrange(calls)
        print(f"dumped again at call {at}")
        bench.server.calls.clear()
        bench.server.rules.add(times=None, delay_ms=30)
        with bench.watchers["sync"] as watcher:
            process = bench.start(SYNC)
            until(lambda: len(bench.server.calls) > at or process.poll() is not None)
            bench.change(SYNC)
            outcome = bench.finish(process)
        watcher.look()
        assert watcher.problems == [] and outcome.status in (0, 1), (watcher.problems, outcome)
        wrong, outcome = bench.run_once(SYNC)
        assert wrong == [] and outcome.status == 0, (wrong, outcome)


def test_a_large_object_that_is_replaced_before_its_copy_is_complete(bench):
    """All of the old one was read by then, and the copy is younger than the new one."""
    bench.change(SYNC)
    bench.server.rules.add(method="POST", target=r"large.*uploadId=", request_bytes_per_s=300)
    with bench.watchers["sync"] as watcher:
        process = bench.start(SYNC)
        until(lambda: bench.server.rules.used() or process.poll() is not None)
        bench.change(SYNC)
        outcome = bench.finish(process)
    assert watcher.problems == [] and outcome.status in (0, 1), (watcher.problems, outcome)
    wrong, outcome = bench.run_once(SYNC)
    assert wrong == [] and outcome.status == 0, (wrong, outcome)


def test_a_large_object_that_failed_is_gone_on_with(bench):
    """No upload stays behind, though the run came to the end of the tree."""
    bench.change(SYNC)
    wrong, outcome = bench.run_once(SYNC, Fault("never", {
        "method": "POST", "target": r"large.*uploadId=", "status": 503, "times": None}))
    assert wrong == [] and outcome.status == 1, (wrong, outcome)
    wrong, outcome = bench.run_once(SYNC)
    assert wrong == [] and outcome.status == 0, (wrong, outcome)
    assert bench.server.count("PUT", "partNumber=") == 0


def test_a_dump_to_files_that_is_killed(bench, rng, tmp_path):
    folder = tmp_path / "out"
    bench.world.environment["S3_OUTPUT"] = f"file://{folder}"
    contents = Dumped(bench.watchers["dump"].contents.noise)

    def check(complete):
        for path in (folder / DAY).glob("*"):
            if path.name.endswith(".gz") and not path.name.startswith("."):
                problem, _ = contents.judge(path.name, path.read_bytes())
                assert problem is None, problem
        if complete:
            assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")
                          if path.is_file()) == sorted(
                f"{DAY}/{name}" for name in ("_manifest.json", "first.csv.gz", "noise.csv.gz",
                                             "second.csv.gz"))

    began = time.monotonic()
    outcome = bench.finish(bench.start(DUMP))
    assert outcome.status == 0, outcome
    length_s = time.monotonic() - began
    check(complete=True)
    for _ in range(20 if FULL else 3):
        process = bench.start(DUMP)
        time.sleep(length_s * rng.uniform(0.2, 1))
        kill(process, "both")
        bench.finish(process)
        check(complete=False)
    outcome = bench.finish(bench.start(DUMP))
    assert outcome.status == 0, outcome
    check(complete=True)


# ---- the database ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_way_to_the_database_that_breaks(bench, how, rng):
    """In the middle of a table, at whatever byte; or that of the connection that keeps the view."""
    size = len(bench.watchers["dump"].contents.noise)
    with Wire(bench.egress.postgres.port) as wire:
        bench.world.environment["PGPORT"] = str(wire.port)
        for cuts in [{1: (rng.randrange(20_000, size), how)}, {0: (1500, how)}]:
            wire.cuts, wire.cut, wire.accepted = cuts, [], 0
            bench.change(DUMP)
            with bench.watchers["dump"]:
                outcome = bench.finish(bench.world.start(*bench.egress.words(
                    ["-v"], {"tables": TABLES, "connections": 1, "attempts": 3})))
            assert wire.cut, "nothing was cut"
            assert list(bench.judge(DUMP, None, outcome)) == [], cuts
            assert outcome.status == 0, outcome


def test_a_server_that_stops_at_once_and_comes_back(ceph, tmp_path):
    server = postgres_server.temporary()
    try:
        own = Data(server)
        bench = Bench(ceph, own, tmp_path / "bench")
        try:
            bench.change(DUMP)
            bench.server.rules.add(method="PUT", request_bytes_per_s=4 << 20, times=None)
            with bench.watchers["dump"]:
                process = bench.world.start(*bench.egress.words(
                    ["-v"], {"tables": TABLES, "connections": 1}))
                until(lambda: bench.server.count("PUT", "partNumber=") or
                      process.poll() is not None)
                server.stop("immediate")
                time.sleep(0.3)
                server.start()
                outcome = bench.finish(process)
            assert list(bench.judge(DUMP, None, outcome)) == []
            assert outcome.status == 0, outcome
        finally:
            bench.end()
    finally:
        postgres_server.remove(server)


@pytest.fixture
def egress(world, postgres, ceph, bucket):
    made = Egress(world, postgres, ceph, bucket)
    yield made
    made.end()


def test_a_table_that_is_dropped_meanwhile(egress):
    egress.sql("CREATE TABLE t AS SELECT 1 AS id; CREATE TABLE good AS SELECT 2 AS id")
    with egress.gate(tables="t good", connections=1) as process:
        egress.sql("DROP TABLE t")
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, stderr
    assert b"'t'" in stderr and b"Success." not in stdout
    assert egress.names() == ["_manifest.json", "good.csv.gz", "slow.csv.gz"]
    told = egress.check_manifest()
    assert told["complete"] is False
    assert [table["name"] for table in told["tables"] if table.get("error")] == ["t"]


# ---- keys ------------------------------------------------------------------------------------


class Expiring(FaultProxy):
    """Refuses requests that are signed with a key that has expired."""
    expired = None

    def handle(self, request):
        if self.expired and f"Credential={self.expired}/" in request.headers.get(
                "authorization", ""):
            request.body()
            return Reply(400, {"Content-Type": "application/xml"},
                         b"<Error><Code>ExpiredToken</Code><Message>The provided token has "
                         b"expired.</Message></Error>")
        return super().handle(request)


def test_keys_that_expire_and_are_renewed(bench, ceph):
    """Somebody writes new ones into the file of credentials, as they do before the old ones end."""
    keys = {"OLDKEY00000000000001": "old/secret", "NEWKEY00000000000002": "new/secret"}
    for access, secret in keys.items():
        ceph.admin("key", "create", "--uid=first", "--key-type=s3", f"--access-key={access}",
                   f"--secret-key={secret}")
    file = bench.world.root / "credentials"

    def write(access):
        fresh = file.with_suffix(".new")
        fresh.write_text(f"[default]\naws_access_key_id = {access}\n"
                         f"aws_secret_access_key = {keys[access]}\n")
        fresh.rename(file)

    old, new = keys
    write(old)
    environment = bench.world.environment
    del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    with Expiring(ceph.endpoint) as proxy:
        environment.update(AWS_SHARED_CREDENTIALS_FILE=str(file), AWS_ENDPOINT_URL=proxy.endpoint)
        proxy.rules.add(method="PUT", target="partNumber=", delay_ms=200, times=None)
        bench.change(DUMP)
        with bench.watchers["dump"]:
            process = bench.start(DUMP)
            until(lambda: proxy.count("PUT", "partNumber=") or process.poll() is not None)
            write(new)
            proxy.expired = old
            outcome = bench.finish(process)
        assert list(bench.judge(DUMP, None, outcome)) == []
        assert outcome.status == 0, outcome
        assert any(call.status == 400 for call in proxy.calls)

        # Without new ones it ends, and says why.
        proxy.expired = new
        outcome = bench.finish(bench.start(DUMP))
        assert outcome.status == 1 and "ExpiredToken" in outcome.stderr, outcome
        proxy.expired = None
        outcome = bench.finish(bench.start(DUMP))
        assert list(bench.judge(DUMP, None, outcome)) == [] and outcome.status == 0


# ---- no room, no time ------------------------------------------------------------------------


def test_a_sync_to_a_disk_that_is_full(bench, small_disk):
    """What fits is copied whole, what does not is told; nothing half is left."""
    bench.change(SYNC)
    resize(small_disk, "2m")
    folder = small_disk / "copies"
    words = ["egress", "sync", "-v", "--now", NOW, "--set", f"source=s3://{bench.source}/in",
             "--set", f"target=file://{folder}", "--set", "require_manifest=true"]
    outcome = bench.finish(bench.world.start(*words))
    assert outcome.status == 1 and "No space left" in outcome.stderr, outcome
    assert "large.csv.gz" in outcome.stderr
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) \
        == [f"{DAY}/a.csv.gz", f"{DAY}/b/part-00000.csv.gz"]
    resize(small_disk, "20m")
    outcome = bench.finish(bench.world.start(*words))
    assert outcome.status == 0, outcome
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "_manifest.json":
            assert bench.copied.judge(path.name, path.read_bytes())[0] is None


JOBS = """
jobs:
  slow:
    plugin: egress
    action: dump
    timeout: {timeout}
    kill_after: 10m
    retry: {{attempts: {attempts}, backoff: 100ms}}
    config:
      connections: 1
      queries: {{slow: "{query}"}}
      tables: [noise]
"""


def test_a_job_whose_time_is_up(bench):
    bench.change(DUMP)
    path = bench.world.config(JOBS.format(timeout="4s", attempts=1,
                                          query="SELECT pg_sleep(600)"), "jobs.yaml")
    assert path.exists()
    outcome = bench.finish(bench.world.start("run", "slow", "--now", NOW, "-v"))
    assert outcome.status == 124, outcome
    assert "time is up" in outcome.stderr, outcome
    assert bench.uploads() == []
    until(lambda: bench.egress.backends() == [])
    assert bench.egress.manifest() is None


def test_the_daemon_tries_a_failed_dump_again(bench):
    """The first attempt finds a store that refuses, the second one does not."""
    bench.world.config(JOBS.format(timeout="1m", attempts=3, query="SELECT 1"), "jobs.yaml")
    bench.server.rules.add(method="PUT", target="slow", times=None, status=403,
                           body="<Error><Code>AccessDenied</Code></Error>")
    daemon = Daemon(bench.world).start()
    try:
        assert bench.world.run("trigger", "slow").status == 0
        daemon.wait_for(lambda: bench.server.rules.used() > 0)
        daemon.wait_for(lambda: bench.egress.keys())
        bench.server.rules.clear()
        runs = daemon.wait_for(lambda: daemon.runs("slow", status="succeeded"))
        assert len(runs) == 1
    finally:
        daemon.stop()
    folder, = {key.split("/")[1] for key in bench.egress.keys("dumps/")}
    names = [key.rsplit("/", 1)[1] for key in bench.egress.keys(f"dumps/{folder}/")]
    assert names == ["_manifest.json", "noise.csv.gz", "slow.csv.gz"]
    assert bench.uploads() == []


def test_a_run_that_is_asked_to_stop(bench):
    """While it reads, compresses and uploads: what was begun is given up at once."""
    bench.change(DUMP)
    bench.world.config(PATIENT, "jobs.yaml")
    bench.server.rules.add(method="PUT", target="partNumber=", delay_ms=600_000, times=None)
    with bench.watchers["dump"]:
        process = bench.world.start(*bench.words(DUMP), "--job", "patient")
        until(lambda: bench.server.count("PUT", "partNumber=") or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        outcome = bench.finish(process)
    assert outcome.status == 128 + signal.SIGTERM, outcome
    assert children(process.pid) == []
    bench.server.rules.clear()
    bench.settle()
    assert bench.uploads() == []
    assert bench.watchers["dump"].problems == []
    assert bench.egress.manifest() is None
