"""Executions of sdrs in whole runs: what moves is held against arithmetic of the test's own,
several runs at once share a state, one bucket does not hinder another, and lost events are begun
again."""
import datetime
import os
import re
import sqlite3

import pytest
from api_world import until
from conftest import PATIENCE_S
from sdrs_world import UTC, SdrsWorld, moment, rows, rule, sdrs, service  # noqa: F401

NOW = "2019-03-10T05:30:00Z"
OLD = "2019-03-01T00"  # whatever the day is, older than any retention below
EVENTS = "/events/execution"
HOUR = datetime.timedelta(hours=1)


# ---- which objects move -----------------------------------------------------------------------

TEMPLATES = {"{yyyy}/{mm}/{dd}/{hh}": ("%Y/%m/%d/%H", HOUR),
             "dt={yyyy}-{mm}-{dd}": ("dt=%Y-%m-%d", 24 * HOUR),
             "year={yyyy}/month={mm}/day={dd}/h{hh}": ("year=%Y/month=%m/day=%d/h%H", HOUR)}


@pytest.mark.parametrize("template", TEMPLATES)
def test_an_object_moves_exactly_when_its_hour_has_passed(world_in_memory, rng, template):
    """Also over the ends of years and of February, and where the retention is long."""
    text, length = TEMPLATES[template]
    lake = SdrsWorld(world_in_memory, path_template=template)
    lake.bucket("events")
    now = moment(rng.choice(["2024-03-01T00:30:00Z", "2025-01-01T05:00:00Z",
                             "2023-12-31T23:59:59Z"]))
    days = {"short": rng.randrange(0, 3), "long": rng.choice([365, 366, 800, 1095])}
    lake.configure(rules=[rule(lake, "events", path, period) for path, period in days.items()])
    stays, goes = [], []
    for path, period in days.items():
        limit = now - datetime.timedelta(days=period)
        ages = [rng.randrange(-30, 60) for _ in range(15)] + [
            rng.randrange(24 * 400) for _ in range(15)] + [-1, 0, 1, 2]
        for age in {*ages}:
            begin = (limit - age * HOUR).replace(minute=0, second=0)
            key = f"{path}/{begin.strftime(text)}/{age}"
            shown = datetime.datetime.strptime(begin.strftime(text), text)
            end = shown.replace(tzinfo=UTC) + length
            lake.put("events", key)
            (goes if end <= limit else stays).append(key)
    lake.put("events", "long/readme")
    plan = lake.run("plan", "--json", now=now.isoformat().replace("+00:00", "Z"))
    done = lake.run("execute", "--json", now=now.isoformat().replace("+00:00", "Z"))
    assert done.status == plan.status == 0, done.text
    assert lake.keys("eventsshadow") == sorted(goes)
    assert lake.keys("events") == sorted([*stays, "long/readme"])
    assert done.final["counters"]["objects_moved"] == len(goes)
    assert plan.final["counters"]["objects_to_move"] == len(goes)


def test_a_month_moves_when_all_of_it_has_passed(sdrs):  # noqa: F811
    sdrs.bucket("events")
    sdrs.configure(path_template="year={yyyy}/month={mm}", rules=[rule(sdrs, "events", "x", 28)])
    months = [f"x/year={year}/month={month:02}/part/0" for year, month in (
        (2018, 12), (2019, 1), (2019, 2), (2019, 3))]
    for key in (*months, "x/year=2018/total", "x/2018/12/31/23/0"):
        sdrs.put("events", key)
    for now, moved in (("2019-02-28T23:59:59Z", 1), ("2019-03-01T00:00:00Z", 2),
                       ("2019-03-28T23:59:59Z", 2), ("2019-03-29T00:00:00Z", 3)):
        assert sdrs.run("execute", now=now).status == 0
        assert sdrs.keys("eventsshadow") == months[:moved]
    assert sdrs.keys("events") == ["x/2018/12/31/23/0", "x/year=2018/total", months[3]]


def test_the_newest_versions_stay(sdrs):  # noqa: F811
    sdrs.bucket("events")
    versions = ("v1", "v2", "v9", "v10", "v11")
    for version in versions:
        sdrs.put("events", f"models/{version}/a")
        sdrs.put("events", f"models/{version}/2019/01/01/00/b")
    sdrs.put("events", "models/readme")
    sdrs.configure(rules=[rule(sdrs, "events", "models", 2, retentionPeriodUnit="VERSION")])
    for _ in range(2):  # the second time there is nothing to do
        assert sdrs.run("execute").status == 0
        assert {key.split("/")[1] for key in sdrs.keys("eventsshadow")} == {"v1", "v2", "v9"}
        assert len(sdrs.keys("eventsshadow")) == 6
        assert {key.split("/")[1] for key in sdrs.keys("events")} == {"v10", "v11", "readme"}


def test_default_and_global_go_by_the_last_change(sdrs):  # noqa: F811
    for bucket in ("events", "logs"):
        sdrs.bucket(bucket)
        for name, day in (("old", "2019-01-01"), ("new", "2019-03-09"), ("kept/old", "2018-01-01"),
                          ("clicks/odd", "2018-01-01")):
            sdrs.put(bucket, name, modified=f"{day}T00:00:00Z")
    sdrs.configure(**{"sts.defaultRuleExlcudePrefixList": "kept/",
                      "rules": [rule(sdrs, "events", "clicks"), rule(sdrs, "logs", "clicks"),
                                rule(sdrs, "events"),
                                {"type": "GLOBAL", "retentionPeriod": 100}]})
    result = sdrs.run("execute", "--json", now="2019-03-10T05:30:00Z")
    assert result.status == 0, result.text
    assert sdrs.keys("eventsshadow") == ["old"]
    assert sdrs.keys("logsshadow") == []  # GLOBAL keeps longer
    assert sdrs.run("execute", now="2019-05-10T05:30:00Z").status == 0
    assert sdrs.keys("logsshadow") == ["old"]
    assert sdrs.keys("events", "kept") == ["kept/old"]


def test_nothing_below_a_legal_hold_moves(sdrs):  # noqa: F811
    """Whatever rule is for it; a neighbour whose name begins alike does."""
    sdrs.bucket("events")
    for key in ("clicks/2019/01/01/00/x", "clicks/2019/01/02/00/x", "clicks/2018/12/31/23/x",
                "cases/1", "cases2/1", "other/1"):
        sdrs.put("events", key, modified="2019-01-01T00:00:00Z")
    sdrs.configure(legal_holds=[sdrs.name("events", "clicks/2019/01/01/"),
                                sdrs.name("events", "cases/")],
                   rules=[rule(sdrs, "events", "clicks"), rule(sdrs, "events")])
    plan = sdrs.run("plan", "--json", now=NOW)
    assert plan.final["counters"]["objects_to_move"] == 4
    assert sdrs.run("execute", now=NOW).status == 0
    assert sdrs.keys("events") == ["cases/1", "clicks/2019/01/01/00/x"]
    sdrs.configure(legal_holds=None)
    assert sdrs.run("execute", now=NOW).status == 0
    assert sdrs.keys("events") == []


# ---- one bucket apart from the others ----------------------------------------------------------

def test_a_bad_bucket_is_told_and_does_not_stop_others(sdrs):  # noqa: F811
    for bucket in ("a", "c", "d"):
        sdrs.bucket(bucket, shadow=bucket != "c")
    keys = {bucket: sdrs.hours(bucket, "x", OLD, 5) for bucket in ("a", "c", "d")}
    sdrs.configure(rules=[rule(sdrs, bucket, "x") for bucket in ("a", "b", "c", "d")])
    result = sdrs.run("execute", "--json")
    assert result.status == 1
    assert {row["storage"].split("/")[-2]: row["status"] for row in rows(result)} == {
        "a": "success", "b": "error", "c": "error", "d": "success"}
    assert "2 of 4 rules failed" in result.final["error"]
    assert "does not exist" in result.final["error"]
    assert result.final["counters"]["jobs_failed"] == 2
    for bucket in ("a", "d"):
        assert sdrs.keys(f"{bucket}shadow") == keys[bucket] and sdrs.keys(bucket) == []
    assert sdrs.keys("c") == keys["c"]


def test_too_much_is_refused_until_it_is_confirmed(sdrs):  # noqa: F811
    sdrs.bucket("events")
    keys = sdrs.hours("events", "clicks", OLD, 12)
    sdrs.configure(rules=[rule(sdrs, "events", "clicks")], max_delete_objects=11)
    result = sdrs.run("execute", "--json")
    assert result.status == 1 and "would move 12 objects" in result.final["error"]
    assert sdrs.keys("events") == keys
    assert sdrs.run("execute", confirm=True).status == 0
    assert sdrs.keys("eventsshadow") == keys


# ---- several at once ---------------------------------------------------------------------------

def test_replicas_do_nothing_twice(world_in_memory, state_on_postgres_in_memory):
    lake = SdrsWorld(world_in_memory)
    names = [f"b{i}" for i in range(6)]
    keys = {}
    for name in names:
        lake.bucket(name)
        keys[name] = lake.hours(name, "x", OLD, 60)
    lake.configure(rules=[rule(lake, name, "x") for name in names])
    assert lake.run("plan").status == 0  # makes the rules
    running = [lake.start("execute", "--json") for _ in range(3)]
    results = [process.communicate(timeout=PATIENCE_S)[0] for process in running]
    # What one had in hand another left alone, which is no failure.
    assert {process.returncode for process in running} <= {0, 3}, results
    for name in names:
        assert lake.keys(f"{name}shadow") == keys[name] and lake.keys(name) == []
    moved = [int(re.search(rb'"objects_moved":(\d+)', text)[1]) for text in results]
    assert sum(moved) == 6 * 60


@pytest.fixture
def state_on_postgres_in_memory(world_in_memory, postgres):
    """The URL of a new, empty database, in which the world's state is."""
    url = postgres.make_database(f"state_{os.urandom(6).hex()}")
    world_in_memory.environment["RUN_CORE_STATE"] = url
    return url


# ---- events that were lost ---------------------------------------------------------------------

def lose(sdrs, execution, status):  # noqa: F811
    """As if the process that had it had died long ago."""
    path, = sdrs.world.root.rglob("plugins/sdrs.db")
    with sqlite3.connect(path, timeout=30) as database:
        changed = database.execute(
            "UPDATE executions SET status = ?, created_unix_ms = 1, changed_unix_ms = 1"
            " WHERE id = ?", (status, execution)).rowcount
    assert changed == 1


@pytest.mark.parametrize("status", ["received", "running"])
def test_a_lost_event_is_begun_again(sdrs, service, status):  # noqa: F811
    service.add_rule("events", "clicks", 30)
    execution = service.post(EVENTS, {"type": "POLICY"}).json["executionId"]
    assert service.execution(execution)["status"] == "success"
    for action in ("validate", "execute"):
        keys = sdrs.hours("events", "clicks", OLD if action == "execute" else "2020-01-01T00", 3)
        before = sdrs.keys("eventsshadow")
        lose(sdrs, execution, status)
        # 'execute' is asked for another rule's data alone.
        more = {"storage": sdrs.name("events", "other")} if action == "execute" else {}
        if more:
            service.add_rule("events", "other", 30)
        assert sdrs.run(action, **more).status == 0
        until(lambda: sdrs.keys("eventsshadow") == sorted(before + keys))
        assert service.execution(execution)["status"] == "success"
