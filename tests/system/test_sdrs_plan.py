"""Plans of sdrs in whole runs: they say what an execution then does, and change nothing."""
import pytest
from sdrs_world import PROJECT, SdrsWorld, rows, rule, sdrs  # noqa: F401

NOW = "2019-03-10T05:30:00Z"


def snapshot(lake):
    return {path: path.read_bytes() for path in lake.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("how", [["plan"], ["execute", "--dry-run"]])
def test_a_plan_says_what_an_execution_does(sdrs, how):  # noqa: F811
    sdrs.bucket("events")
    sdrs.hours("events", "clicks", "2019-02-07T20", 12)
    sdrs.hours("events", "views", "2017-12-31T22", 4)
    sdrs.put("events", "other", "12345", modified="2018-01-01T00:00:00Z")
    sdrs.configure(rules=[rule(sdrs, "events", "clicks"), rule(sdrs, "events", "views"),
                          rule(sdrs, "events")])
    before = snapshot(sdrs)
    result = sdrs.run(*how[:1], "--json", *how[1:], now=NOW)
    assert result.status == 0, result.text
    assert snapshot(sdrs) == before
    planned = {row["storage"]: row for row in rows(result)}
    clicks, views = (planned[sdrs.name("events", path)] for path in ("clicks", "views"))
    assert (clicks["objects"], clicks["of objects"], clicks["share"]) == ("9", "12", "0.75")
    assert (clicks["oldest"], clicks["newest"]) == ("2019-02-07T20", "2019-02-08T04")
    assert (views["oldest"], views["newest"]) == ("2017-12-31T22", "2018-01-01T01")
    assert clicks["keeps"] == "30 days" and views["share"] == "1"
    rest = planned[sdrs.name("events")]
    assert (rest["objects"], rest["bytes"]) == ("1", "5")
    assert rest["oldest"] == rest["newest"] == "2018-01-01T00:00:00Z"

    done = sdrs.run("execute", "--json", now=NOW)
    for row in rows(done):
        assert row["objects"] == planned[row["storage"]]["objects"]
        assert row["bytes"] == planned[row["storage"]]["bytes"]
        assert row["prefixes"] == planned[row["storage"]]["prefixes"]
    assert result.final["counters"]["objects_to_move"] == done.final["counters"]["objects_moved"]
    assert result.final["counters"]["bytes_to_move"] == done.final["counters"]["bytes_moved"]


def test_scopes(sdrs):  # noqa: F811
    for bucket in ("a", "b"):
        sdrs.bucket(bucket)
        sdrs.hours(bucket, "x", "2019-01-01T00", 2)
    sdrs.configure(rules=[rule(sdrs, "a", "x"), dict(rule(sdrs, "b", "x"), projectId="other")])

    def names(**scope):
        result = sdrs.run("plan", "--json", now=NOW, **scope)
        assert result.status == 0, result.text
        return [row["storage"] for row in rows(result)]

    assert names() == [sdrs.name("a", "x"), sdrs.name("b", "x")]
    assert names(project=PROJECT) == names(rule=1) == [sdrs.name("a", "x")]
    assert names(storage=sdrs.name("b", "x")) == [sdrs.name("b", "x")]
    result = sdrs.run("plan", rule=7)
    assert result.status == 1 and "there is no active rule with id 7" in result.text


def test_many_datasets_in_parallel(world_in_memory):
    lake = SdrsWorld(world_in_memory)
    lake.bucket("events")
    for i in range(40):
        lake.hours("events", f"d{i:02}", "2019-01-01T00", 10 + i)
    lake.configure(rules=[rule(lake, "events", f"d{i:02}") for i in range(40)])
    result = lake.run("plan", "--json", now=NOW)
    assert result.status == 0, result.text
    assert [row["objects"] for row in rows(result)] == [str(10 + i) for i in range(40)]
    assert result.final["counters"]["objects_to_move"] == sum(range(10, 50))


def test_mistakes_are_told(sdrs):  # noqa: F811
    sdrs.bucket("events")
    sdrs.hours("events", "clicks", "2019-01-01T00", 2)
    sdrs.configure(rules=[rule(sdrs, "events", "clicks"), rule(sdrs, "evnts", "clicks")],
                   max_delete_share=0.5)
    result = sdrs.run("plan", "--json", now=NOW)
    assert result.status == 1
    planned = {row["storage"]: row["message"] for row in rows(result)}
    assert "refused: it would move 2 of 2 objects" in planned[sdrs.name("events", "clicks")]
    assert "does not exist" in planned[sdrs.name("evnts", "clicks")]
