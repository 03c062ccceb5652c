"""The hand-off of the aggregator's CSV file to Airlock: once for each file, whatever breaks."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "aggregator"))
from airlock import SESSION, Airlock  # noqa: E402
from lake import Event, Lake, date_of, now_of, revenue  # noqa: E402

KEY, PASSWORD = "key-of-the-job", "hunter2-of-the-job"


@pytest.fixture
def lake(world, tmp_path):
    return Lake(world, tmp_path / "lake")


@pytest.fixture
def airlock():
    with Airlock(KEY, PASSWORD) as server:
        yield server
        server.shutdown()


def configure(world, lake, airlock, **options):
    world.environment.update(AIRLOCK_KEY=KEY, AIRLOCK_PASSWORD=PASSWORD,
                             AIRLYTICS_AGGREGATION="LTV", AIRLYTICS_PRODUCT="HelloWorld",
                             AIRLYTICS_ENVIRONMENT="PROD")
    lake.write_config(importToUserDb=True, airlockApiBaseUrl=airlock.url + "/",
                      airlockProductId=airlock.product, importTargetTable="ad_impressions",
                      devUsers=True, **options)
    # Fast failures, for the tests' sake.
    world.config(json.dumps({"core": {"http": {"backoff": "10ms", "max_backoff": "50ms"}}}),
                 "core.yaml")


def run(world, day, *words, status=0):
    result = world.run("run", "ltv", "--now", now_of(day), *words)
    assert result.status == status, result.stderr
    assert PASSWORD not in result.stdout + result.stderr
    return result


def test_the_file_is_handed_over_once(world, lake, airlock):
    lake.add([Event(0, 1, revenue(5)), Event(0, 2, revenue(7))])
    configure(world, lake, airlock)
    run(world, 0)
    run(world, 0)
    assert len(airlock.jobs) == 1
    job = airlock.jobs[0]
    assert job["name"] == f"LTV HelloWorld PROD {date_of(0):%Y%m%d}"
    assert job["creator"] == "LTV Aggregator"
    assert job["s3File"].endswith(lake.place(lake.csv_path(0)))
    assert (job["targetTable"], job["devUsers"], job["overwrite"]) == ("ad_impressions", True, True)
    assert job["affectedColumns"] == ["shard", "revenue_d1", "cnt_d1", "revenue_d3", "cnt_d3",
                                      "revenue_d7", "cnt_d7", "revenue_total", "cnt_total"]
    assert airlock.asked("POST", SESSION) == 1 and airlock.asked("GET", "dataimport") == 0
    lake.add([Event(1, 1, revenue(5))])
    run(world, 1)
    assert len(airlock.jobs) == 2
    assert "nothing to do" in world.run("aggregator", "import", "--job", "ltv", "--now",
                                        now_of(1)).stdout


def test_without_a_key_there_is_no_session(world, lake):
    with Airlock() as airlock:
        lake.add([Event(0, 1, revenue(5))])
        configure(world, lake, airlock)
        del world.environment["AIRLOCK_KEY"], world.environment["AIRLOCK_PASSWORD"]
        run(world, 0)
        assert len(airlock.jobs) == 1 and airlock.asked("POST", SESSION) == 0
        airlock.shutdown()


def test_what_passes_is_waited_for(world, lake, airlock):
    lake.add([Event(0, 1, revenue(5))])
    configure(world, lake, airlock)
    airlock.plan = [("POST", "Session", 503), ("POST", "dataimport", 500),
                    ("POST", "dataimport", "hang up"), ("POST", "dataimport", 401)]
    run(world, 0)
    assert len(airlock.jobs) == 1
    assert airlock.asked("POST", SESSION) == 3  # a failure, a session, another after the 401


def test_a_failed_hand_off_is_made_up_for_by_the_next_run(world, lake, airlock):
    lake.add([Event(0, 1, revenue(5))])
    configure(world, lake, airlock)
    airlock.plan = [("POST", "dataimport", 503)] * 5
    failed = run(world, 0, "--json", status=1)
    assert "hand '" in failed.final["error"]
    assert lake.place(lake.csv_path(0)) in failed.final["error"]
    assert "a later run does only it" in failed.final["error"]
    assert failed.final["counters"]["days"] == 1
    again = run(world, 0, "--json")
    assert again.final["counters"]["steps"] == 1
    assert len(airlock.jobs) == 1


def test_an_answer_that_is_lost_for_good_imports_nothing_twice(world, lake, airlock):
    lake.add([Event(0, 1, revenue(5))])
    configure(world, lake, airlock)
    airlock.plan = [("POST", "dataimport", "lose the answer")] + \
        [("POST", "dataimport", "hang up")] * 20
    run(world, 0, status=1)
    assert len(airlock.jobs) == 1
    airlock.plan.clear()
    result = run(world, 0)
    assert "had reached Airlock already" in result.text
    assert len(airlock.jobs) == 1
    run(world, 0)
    assert airlock.asked("GET", "dataimport") == 1


@pytest.mark.parametrize("change, said", [
    ({"AIRLOCK_PASSWORD": "hunter3"}, "Invalid key or password"),
    ({}, "Airlock knows no such product"),
])
def test_a_refusal_says_why(world, lake, airlock, change, said):
    lake.add([Event(0, 1, revenue(5))])
    configure(world, lake, airlock)
    world.environment.update(change)
    if not change:
        airlock.product = "another"
    result = run(world, 0, "--json", status=1)
    assert said in result.final["error"]
    assert "hunter3" not in result.stdout + result.stderr
    assert airlock.jobs == []


def test_a_forced_export_is_handed_over_every_time(world, lake, airlock):
    lake.add([Event(0, 1, revenue(5))])
    configure(world, lake, airlock, forceExportToCsv=True)
    run(world, 0)
    run(world, 0)
    assert len(airlock.jobs) == 2


def test_a_dry_run_asks_nobody(world, lake, airlock):
    lake.add([Event(0, 1, revenue(5))])
    configure(world, lake, airlock)
    assert "would do import: " in run(world, 0, "--dry-run").stdout
    assert airlock.requests == []


def test_requests_are_logged_without_secrets(world, lake, airlock):
    lake.add([Event(0, 1, revenue(5))])
    configure(world, lake, airlock)
    text = run(world, 0, "--log-level", "debug").stderr
    assert f"POST {airlock.url}/admin/airlytics/products/{airlock.product}/dataimport: 200" in text
    assert KEY not in text
    assert not any(token in text for token in airlock.sessions)
