"""Replicas of sdrs on one state: whatever they are asked for at the same time, and whichever of them
dies or is cut off, each thing is done once."""
import json
import os
import random
import time


import postgres as postgres_server
import pytest
from api_world import until
from conftest import PATIENCE_S, World
from sdrs_replicas import replicas, webhook  # noqa: F401
from sdrs_replicas import LEASE_S, Machine, Tap, Wire, at_once, configure, database_of, replica
from sdrs_world import PROJECT, rule

# pylint: disable=redefined-outer-name

NOW = "2019-03-10T05:30:00Z"
LATER = "2019-03-10T08:30:00Z"
RULES, EXECUTION, MARKER = "/retentionrules", "/events/execution", ".delete_this_folder"

# Of a process of another machine only the lease is known.
slow = pytest.mark.skipif(not os.environ.get("RUN_CORE_FULL"), reason="waits for a lease to end")


# ---- rules ---------------------------------------------------------------------------------------


class Client:
    """Makes, changes and deletes rules at random, and keeps what became of it."""
    names = ["a", "a/x", "a/x/y", "b", "b/z", "b2", "c"]

    def __init__(self, service, lake, seed):
        self.service, self.lake, self.draw = service, lake, random.Random(seed)
        self.done, self.statuses = [], set()  # ids of rules of which there is a version more

    def which(self, name):
        return {"type": "DATASET", "projectId": PROJECT,
                "dataStorageName": self.lake.name("events", name)}

    def make(self, name):
        return self.service.post(RULES, {**self.which(name),
                                         "retentionPeriod": self.draw.randrange(1000)})

    def change(self, name):
        found = self.service.get(RULES, **self.which(name))
        if found.status != 200:
            return found
        return self.service.put(f"{RULES}/{found.json['ruleId']}",
                                {"retentionPeriod": self.draw.randrange(1000)})

    def delete(self, name):
        return self.service.delete(RULES, **self.which(name))

    def work(self):
        for _ in range(25):
            reply = self.draw.choice([self.make, self.change, self.delete])(
                self.draw.choice(self.names))
            self.statuses.add(reply.status)
            assert reply.status in (200, 400, 404), reply.text
            if reply.status == 200:
                self.done.append(reply.json["ruleId"])


def test_clients_of_both_change_the_same_rules(replicas, rng):
    one, two = replicas
    one.bucket("events")
    with one.serve() as first, two.serve() as second:
        clients = [Client(service, one, rng.random()) for service in (first, second) * 3]
        at_once(*[client.work for client in clients])
        assert set().union(*[client.statuses for client in clients]) == {200, 400, 404}
        listed = first.get(RULES).json["rules"]
        assert listed == second.get(RULES).json["rules"]
        names = sorted(entry["dataStorageName"] for entry in listed)
        for i, name in enumerate(names):
            assert not any(other.startswith(name + "/") for other in names), names
            assert name not in names[i + 1:]
        # Each change is a version, and there is no other.
        done = sorted(rule_id for client in clients for rule_id in client.done)
        for rule_id in set(done):
            versions = second.get(f"{RULES}/{rule_id}/history").json["versions"]
            assert [entry["version"] for entry in versions] == list(range(len(versions), 0, -1))
            assert len(versions) == done.count(rule_id)
        assert set(done) == set(range(1, max(done) + 1))


# ---- executions ----------------------------------------------------------------------------------


def counter(result, name):
    return result.final["counters"].get(name, 0)


def facts(webhook):
    """What was told: of each kind each directory, in no order; and that nothing has come twice."""
    told = [json.loads(body) for body in webhook.told]
    uuids = [event["context"]["uuid"] for event in told]
    assert len(set(uuids)) == len(uuids)
    return sorted(("deleted" if "deletedAt" in event else "inactive", event["directory"])
                  for event in told)


DUE = 11 * 24 + 5  # of the hours from FIRST on those that are 30 days old
FIRST = "2019-01-28T00"


def test_executions_of_one_bucket_at_once(replicas, webhook):
    one, two = replicas
    one.bucket("events")
    keys = one.hours("events", "a", FIRST, DUE + 20)
    configure(replicas, rules=[rule(one, "events", "a", 30)], webhook_url=webhook.endpoint)
    results = at_once(*[lambda lake=lake: lake.run("execute", "--json", now=NOW)
                        for lake in (one, two) * 2])
    assert {result.status for result in results} <= {0, 3}, [result.text for result in results]
    assert any(result.status == 0 for result in results)
    assert sum(counter(result, "objects_moved") for result in results) == DUE
    assert one.keys("eventsshadow") == keys[:DUE] and one.keys("events") == keys[DUE:]
    told = facts(webhook)
    assert len(told) == len(set(told)) == 2 * len({name for _, name in told}) > 20


# ---- events --------------------------------------------------------------------------------------


def test_events_that_both_are_asked_for_at_once(replicas, webhook):
    one, two = replicas
    names = ["x", "y"]
    for name in names:
        one.bucket(name)
    keys = {name: one.hours(name, "a", FIRST, 100) for name in names}
    configure(replicas, rules=[rule(one, name, "a", 30) for name in names],
              webhook_url=webhook.endpoint)
    with one.serve() as first, two.serve() as second:
        replies = at_once(*[lambda service=service: service.post(EXECUTION, {"type": "POLICY"})
                            for service in (first, second) * 3])
        assert [reply.status for reply in replies] == [200] * 6, [r.text for r in replies]
        # Each has its turn, and the first has done it all.
        expected = set()
        for reply in replies:
            shown = [service.execution(reply.json["executionId"]) for service in (first, second)]
            assert shown[0]["jobs"] == shown[1]["jobs"]
            assert (shown[0]["status"], len(shown[0]["jobs"])) == ("success", 2), shown
            for job in shown[0]["jobs"]:
                places = {job["sourceBucket"] + prefix for prefix in job["prefixes"]}
                expected |= {("inactive", place) for place in places}
                expected |= {("deleted", place) for place in places if job["objects"]}
    for name in names:
        assert one.keys(name) == [] and one.keys(f"{name}shadow") == keys[name]
    until(lambda: len(facts(webhook)) >= len(expected))
    assert facts(webhook) == sorted(expected)


# ---- delete markers ------------------------------------------------------------------------------


def mark(service, lake, bucket, folder):
    """The execution that a delete marker is of."""
    reply = service.post(EXECUTION, {"type": "USER", "projectId": PROJECT,
                                     "target": lake.name(bucket, f"{folder}/{MARKER}")})
    assert reply.status == 200, reply.text
    return reply.json["executionId"]


def test_delete_markers_at_once(replicas, webhook):
    one, two = replicas
    names = ["x", "y", "z"]
    for name in names:
        one.bucket(name)
        one.hours(name, "a", "2019-01-01T00", 30)
    configure(replicas, webhook_url=webhook.endpoint)
    with one.serve() as first, two.serve() as second:
        executions = [mark(service, one, name, f"a/2019/01/{day:02}/{hour:02}")
                      for service, day in ((first, 1), (second, 2))
                      for name in names for hour in range(5)]
        results = at_once(*[lambda lake=lake: lake.run(
            "dm-batch", "--json", **{"lock.dm.timeout": wait})
            for lake in replicas for wait in (0, 30000)])
        assert {result.status for result in results} <= {0, 3}, [r.text for r in results]
        assert sum(counter(result, "markers") for result in results) == len(executions)
        for execution in executions:
            shown = second.get(f"{EXECUTION}/{execution}").json
            assert shown["status"] == "success" and len(shown["markers"]) == 1, shown
            assert shown["markers"][0]["retries"] == 0
    for name in names:
        assert len(one.keys(f"{name}shadow")) == 10 and len(one.keys(name)) == 20
    told = facts(webhook)
    assert len(told) == len(set(told)) == 2 * len(executions)


# ---- one of them is killed -----------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres", pytest.param("machines", marks=slow)])
def cloud(request, tmp_path, gcs):
    """Replicas over the bucket 'events' of the stand-in; 'machines': each on a machine of its own."""
    state = tmp_path / "state" if request.param == "sqlite" else \
        database_of(request.getfixturevalue("postgres"))
    kind = Machine if request.param == "machines" else World
    made = [replica(tmp_path, name, state, kind) for name in ("one", "two")]
    for name in ("events", "eventsshadow"):
        gcs.store.make_bucket(name, PROJECT)
    for one in made:
        one.use_google(gcs, "events", "eventsshadow")
        one.configure(mover="direct", width=1)
    # On the same machine, a death is seen; the lease goes on for at least as long as this.
    made[0].takes_over_s = PATIENCE_S if kind is Machine else LEASE_S * 2 / 3
    return made


def fill(gcs, count):
    keys = [f"a/2019/01/01/{hour:02}/log" for hour in range(count)]
    for key in keys:
        gcs.store.put("events", key, key.encode(), {})
    return keys


def names(gcs, bucket):
    found = gcs.store.bucket(bucket)
    return sorted(name for name in found.names
                  if found.live(name) and not name.startswith(".run-core/"))


def gs_rule(period=30):
    return {"type": "DATASET", "projectId": PROJECT, "dataStorageName": "gs://events/a",
            "retentionPeriod": period}


def hold_and_kill(tap, process, other):
    """Stops a run in the middle, looks that 'other' does nothing meanwhile, and kills it."""
    tap.wait(process)
    said = other()
    assert said.status == 3, said.text
    process.kill()
    process.communicate()
    tap.open()


def take_over(run, seconds=PATIENCE_S):
    """Until it is not refused any more; what it then says."""
    start = time.monotonic()
    while True:
        result = run()
        if result.status != 3:
            return result
        assert time.monotonic() - start < seconds, result.text
        time.sleep(0.2)


def test_an_execution_is_killed_and_the_other_takes_over(cloud, gcs, webhook):
    one, two = cloud
    keys = fill(gcs, 12)
    configure(cloud, rules=[gs_rule()], webhook_url=webhook.endpoint)
    tap = Tap(gcs)
    tap.close(skip=5)
    process = one.start("execute", now=NOW)
    hold_and_kill(tap, process, lambda: two.run("execute", now=NOW))
    assert 4 <= len(names(gcs, "eventsshadow")) <= 7
    result = take_over(lambda: two.run("execute", "--json", now=NOW), one.takes_over_s)
    assert result.status == 0, result.text
    assert "whose process has died" in result.text
    assert names(gcs, "events") == [] and names(gcs, "eventsshadow") == keys
    for lake in cloud:
        assert lake.run("validate", now=LATER).status == 0
    told = facts(webhook)
    assert len(told) == len(set(told)) == 2 * len({where for _, where in told})


def test_dm_batch_is_killed_and_the_other_takes_over(cloud, gcs, webhook):
    one, two = cloud
    keys = fill(gcs, 12)
    configure(cloud, webhook_url=webhook.endpoint, **{"lock.dm.timeout": 0})
    with two.serve() as service:
        executions = []
        for key in keys:
            folder = key.rpartition("/")[0]
            reply = service.post(EXECUTION, {"type": "USER", "projectId": PROJECT,
                                             "target": f"gs://events/{folder}/{MARKER}"})
            executions.append(reply.json["executionId"])
        tap = Tap(gcs)
        tap.close(skip=5)
        process = one.start("dm-batch")
        hold_and_kill(tap, process, lambda: two.run("dm-batch"))
        result = take_over(lambda: two.run("dm-batch", "--json"), one.takes_over_s)
        assert result.status == 0, result.text
        for execution in executions:
            shown = service.get(f"{EXECUTION}/{execution}").json
            assert shown["status"] == "success", shown
    assert names(gcs, "events") == [] and names(gcs, "eventsshadow") == keys
    told = facts(webhook)
    assert len(told) == len(set(told)) == 2 * len(executions)


# ---- who is told ---------------------------------------------------------------------------------


def test_both_deliver_what_has_waited(replicas, webhook):
    one, two = replicas
    one.bucket("events")
    one.hours("events", "a", FIRST, DUE)
    configure(replicas, rules=[rule(one, "events", "a", 30)], webhook_url=webhook.endpoint)
    webhook.up = False
    result = one.run("execute", now=NOW)
    assert result.status == 0 and "notifications wait to be delivered" in result.text
    assert two.run("validate", now=NOW).status == 0
    assert webhook.told == []
    webhook.up = True
    results = at_once(*[lambda lake=lake, action=action: lake.run(action, "--json", now=LATER)
                        for lake in replicas for action in ("execute", "validate", "dm-batch")])
    assert {result.status for result in results} <= {0, 3}, [result.text for result in results]
    told = facts(webhook)
    assert len(told) == len(set(told)) and {kind for kind, _ in told} == {"deleted", "inactive"}
    assert sum(counter(result, "notifications_delivered") for result in results) == len(told)


# ---- the database is away ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL server that tests stop and kill."""
    started = postgres_server.temporary()
    yield started
    postgres_server.remove(started)


@pytest.fixture
def wired(request, server, tmp_path, gcs):
    """Replicas as those of 'cloud', each with a wire of its own to the database."""
    kind = getattr(request, "param", World)
    url = database_of(server)
    made = []
    for name in ("one", "two"):
        wire = Wire(server.port)
        made.append(replica(
            tmp_path, name, url.replace(f":{server.port}/", f":{wire.port}/"), kind))
        made[-1].wire = wire
    for name in ("events", "eventsshadow"):
        gcs.store.make_bucket(name, PROJECT)
    for one in made:
        one.use_google(gcs, "events", "eventsshadow")
        one.configure(mover="direct", width=1, rules=[gs_rule()])
    return made


def test_a_server_without_its_database(wired, server, gcs):
    keys = fill(gcs, 3)
    with wired[0].serve() as first, wired[1].serve() as second:
        for service in (first, second):
            assert service.get("/status").text.splitlines()[:2] == [
                "Web server is UP", "Database is UP"]
        server.stop("immediate")
        try:
            for service in (first, second):
                reply = service.get("/status")
                assert reply.status == 503, reply.text
                assert reply.text.splitlines()[:2] == ["Web server is UP", "Database is DOWN"]
                for reply in (service.get(RULES), service.post(EXECUTION, {"type": "POLICY"})):
                    assert reply.status == 503 and reply.headers["retry-after"], reply.text
                    assert set(reply.json) == {"requestUuid", "message"}
                assert "the state database is down: " in service.said
        finally:
            server.start()
        for service in (first, second):
            until(lambda service=service: service.get("/status").status == 200)
        replies = at_once(*[lambda service=service: service.post(EXECUTION, {"type": "POLICY"})
                            for service in (first, second)])
        for reply in replies:
            shown = first.execution(reply.json["executionId"])
            assert shown["status"] == "success", shown
    assert names(gcs, "events") == [] and names(gcs, "eventsshadow") == keys


def stop_in_the_middle(one, gcs):
    """An execution of which five objects are moved, and the gate behind which the others are."""
    tap = Tap(gcs)
    tap.close(skip=5)
    process = one.start("execute", now=NOW)
    tap.wait(process)
    return process, tap


def check_all_is_done_once(replicas, gcs, webhook, keys):
    """By whoever comes next."""
    for lake in replicas:
        result = take_over(lambda lake=lake: lake.run("execute", now=NOW))
        assert result.status == 0, result.text
    assert names(gcs, "events") == [] and names(gcs, "eventsshadow") == keys
    for lake in replicas:
        result = lake.run("validate", now=LATER)
        assert result.status == 0 and "no job is pending" in result.stdout, result.text
    told = facts(webhook)
    assert len(told) == len(set(told)) == 2 * len({where for _, where in told}) > 0


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_execution_goes_on_when_the_database_is_back(wired, server, gcs, webhook, end):
    keys = fill(gcs, 12)
    configure(wired, webhook_url=webhook.endpoint)
    process, tap = stop_in_the_middle(wired[0], gcs)
    getattr(server, end)()
    server.start()
    tap.open()
    said = process.communicate(timeout=PATIENCE_S)[1].decode()
    assert process.returncode == 0, said
    check_all_is_done_once(wired, gcs, webhook, keys)


def test_an_execution_without_a_database_leaves_the_rest_to_the_next(wired, server, gcs, webhook):
    keys = fill(gcs, 12)
    configure(wired, webhook_url=webhook.endpoint)
    process, tap = stop_in_the_middle(wired[0], gcs)
    server.stop()
    try:
        tap.open()
        said = process.communicate(timeout=PATIENCE_S)[1].decode()
    finally:
        server.start()
    assert process.returncode == 1, said
    assert "1 of 1 rules failed; the first, of 'gs://events/a': " in said
    assert "keep what became of job 1: state database 'postgresql://127.0.0.1:" in said
    check_all_is_done_once(wired, gcs, webhook, keys)


@slow
@pytest.mark.parametrize("wired", [Machine], indirect=True)
def test_a_replica_that_is_cut_off_lets_the_other_take_over(wired, gcs, webhook):
    one, two = wired
    keys = fill(gcs, 12)
    configure(wired, webhook_url=webhook.endpoint)
    process, tap = stop_in_the_middle(one, gcs)
    one.wire.cut()
    assert two.run("execute", now=NOW).status == 3
    tap.open()  # it goes on, while the lock is its own
    result = take_over(lambda: two.run("execute", now=NOW))
    assert result.status == 0, result.text
    said = process.communicate(timeout=PATIENCE_S)[1].decode()
    one.wire.mend()
    assert process.returncode == 1, said
    check_all_is_done_once(wired, gcs, webhook, keys)
