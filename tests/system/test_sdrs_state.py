"""The state of sdrs in whole runs, on SQLite and on PostgreSQL: rules of the configuration beside
those of the API, and replicas that share one database."""
import threading

import pytest
from sdrs_world import PROJECT, rows, rule, sdrs  # noqa: F401

NOW = "2019-03-10T05:30:00Z"


@pytest.fixture(params=["sqlite", "postgres"])
def lake(request, sdrs):  # noqa: F811
    if request.param == "postgres":
        request.getfixturevalue("state_on_postgres")
    sdrs.bucket("events")
    return sdrs


@pytest.fixture
def shared(sdrs, state_on_postgres):  # noqa: F811
    sdrs.bucket("events")
    return sdrs


def periods(service):
    """The retention of each rule by its dataset, as the API lists them."""
    listed = service.get("/retentionrules").json["rules"]
    return {entry["dataStorageName"].partition("/events/")[2]: entry["retentionPeriod"]
            for entry in listed}


def at_once(*calls):
    """What each of them returned, called in threads at the same moment."""
    start = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def work(i, call):
        start.wait()
        results[i] = call()

    threads = [threading.Thread(target=work, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_configuration_and_the_api_agree(lake):
    lake.configure(rules=[rule(lake, "events", "a", 1), rule(lake, "events", "b", 2)])
    with lake.serve() as service:
        assert periods(service) == {"a": 1, "b": 2}
        ids = {entry["dataStorageName"]: entry["ruleId"]
               for entry in service.get("/retentionrules").json["rules"]}
        a = ids[lake.name("events", "a")]
        assert service.put(f"/retentionrules/{a}", {"retentionPeriod": 9}).status == 200
        service.add_rule("events", "own", 5)
        assert periods(service) == {"a": 9, "b": 2, "own": 5}
    # What the API changed stays until the configuration changes.
    assert lake.run("plan").status == 0
    with lake.serve() as service:
        assert periods(service) == {"a": 9, "b": 2, "own": 5}
    lake.configure(rules=[rule(lake, "events", "a", 1), rule(lake, "events", "c", 3)])
    with lake.serve() as service:
        assert periods(service) == {"a": 1, "c": 3, "own": 5}
        history = service.get(f"/retentionrules/{a}/history").json
        assert [version["retentionPeriod"] for version in history["versions"]] == [1, 9, 1]


def test_a_rehearsal_knows_the_rules_that_would_be(lake):
    lake.hours("events", "a", "2019-01-01T00", 3)
    lake.configure(rules=[rule(lake, "events", "a", 30)])
    for _ in range(2):  # before there is a state, and still
        result = lake.run("execute", "--dry-run", "--json", now=NOW)
        assert result.status == 0, result.text
        assert [row["objects"] for row in rows(result)] == ["3"]
    assert lake.run("execute", now=NOW).status == 0
    assert len(lake.keys("eventsshadow")) == 3
    lake.hours("events", "b", "2019-01-01T00", 2)
    lake.configure(rules=[rule(lake, "events", "b", 30)])
    result = lake.run("execute", "--dry-run", "--json", now=NOW)
    assert [(row["storage"], row["objects"]) for row in rows(result)] == \
        [(lake.name("events", "b"), "2")]
    assert lake.keys("events") == ["b/2019/01/01/00/log.txt", "b/2019/01/01/01/log.txt"]


def test_replicas_make_a_rule_once(shared):
    def create(service, path):
        return lambda: service.post("/retentionrules", {
            "type": "DATASET", "projectId": PROJECT, "retentionPeriod": 3,
            "dataStorageName": shared.name("events", path)})

    with shared.serve() as one, shared.serve() as other:
        for i in range(5):
            replies = at_once(*[create(service, f"d{i}") for service in (one, other) * 2])
            assert sorted(reply.status for reply in replies) == [200, 400, 400, 400]
            refused = next(reply for reply in replies if reply.status == 400)
            assert f"A DATASET rule already exists with project id: {PROJECT}" in refused.text
            replies = at_once(create(one, f"n{i}"), create(other, f"n{i}/within"))
            assert sorted(reply.status for reply in replies) == [200, 400]
        assert periods(one) == periods(other)
        assert len(periods(one)) == 10


def test_replicas_move_nothing_twice(shared):
    keys = shared.hours("events", "a", "2018-12-01T00", 300)
    shared.configure(rules=[rule(shared, "events", "a", 30)])
    results = at_once(*[lambda: shared.run("execute", "--json", now=NOW)] * 3)
    assert any(result.status == 0 for result in results), [result.text for result in results]
    moved = sum(result.final["counters"].get("objects_moved", 0) for result in results)
    assert moved == len(keys)
    assert shared.keys("events") == []
    assert shared.keys("eventsshadow") == sorted(keys)
