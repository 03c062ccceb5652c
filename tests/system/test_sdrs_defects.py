"""What the older system got wrong, one test each: none of it is here."""
import datetime
import json
import sqlite3

import prometheus_text
import pytest
from api_world import Daemon, until
from sdrs_google_world import google  # noqa: F401
from sdrs_tokens import Signer, encode, jwks
from sdrs_world import PROJECT, UTC, moment, rows, rule, sdrs, service  # noqa: F401
from test_sdrs_rules import body_of, key_of, said

# pylint: disable=redefined-outer-name

EVENTS, MARKER = "/events/execution", ".delete_this_folder"
NOW = "2019-03-10T05:30:00Z"
HOUR = datetime.timedelta(hours=1)
LOOKBACK = "sts.maxLookBackInDays"


def execute(lake, now=NOW):
    result = lake.run("execute", "--json", now=now)
    assert result.status == 0, result.text
    return result


def put_hours(lake, dataset, *hours):
    for hour in hours:
        lake.put("events", f"{dataset}/{hour}/log")


def hours_left(lake, dataset):
    return [key[len(dataset) + 1:-len("/log")] for key in lake.keys("events", f"{dataset}/")]


def post_marker(service, folder, name=MARKER, bucket="events"):
    return service.post(EVENTS, {"type": "USER", "projectId": PROJECT,
                                 "target": service.sdrs.name(bucket, f"{folder}/{name}")})


# ---- what moves ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lookback", [0, 365])
def test_a_retention_of_365_days_or_more_never_moved_anything(sdrs, lookback):
    """The lookback was counted from today, and had ended before the retention did."""
    sdrs.bucket("events")
    periods = (365, 366, 730, 1095)
    sdrs.configure(rules=[rule(sdrs, "events", f"d{period}", period) for period in periods],
                   **{LOOKBACK: lookback})
    for period in periods:
        limit = moment(NOW) - datetime.timedelta(days=period)
        put_hours(sdrs, f"d{period}", *((limit - age * HOUR).strftime("%Y/%m/%d/%H")
                                        for age in (0, 1, 24, 24 * 40, 24 * 300)))
    execute(sdrs)
    for period in periods:
        limit = moment(NOW) - datetime.timedelta(days=period)
        assert hours_left(sdrs, f"d{period}") == [limit.strftime("%Y/%m/%d/%H")]


def test_whole_years_went_when_only_a_part_was_old(sdrs):
    """At a limit of 2018-11-30T05 the rest of 2018 stays, hour, days and month."""
    sdrs.bucket("events")
    sdrs.configure(rules=[rule(sdrs, "events", "clicks", 100)])
    stays = ["2018/11/30/05", "2018/11/30/23", "2018/12/01/00", "2018/12/31/23", "2019/01/01/00"]
    put_hours(sdrs, "clicks", "2018/11/30/04", "2018/11/29/23", "2018/10/31/23", "2018/01/01/00",
              "2017/12/31/23", *stays)
    execute(sdrs)
    assert hours_left(sdrs, "clicks") == stays


@pytest.mark.parametrize("now", ["2019-01-01T00:00:00Z", "2019-01-01T05:30:00Z",
                                 "2019-01-31T00:00:00Z", "2019-01-31T05:30:00Z"])
def test_a_year_was_skipped_at_the_turn_of_the_year(sdrs, now):
    sdrs.bucket("events")
    sdrs.configure(rules=[rule(sdrs, "events", "clicks", 30)])
    limit = moment(now).replace(minute=0) - datetime.timedelta(days=30)
    first = datetime.datetime(2017, 1, 1, tzinfo=UTC)
    every = [first + i * 25 * HOUR for i in range(24 * 770 // 25)] + [limit, limit - HOUR]
    shown = {begin.strftime("%Y/%m/%d/%H"): begin for begin in every}
    put_hours(sdrs, "clicks", *shown)
    execute(sdrs, now=now)
    assert hours_left(sdrs, "clicks") == sorted(
        hour for hour, begin in shown.items() if begin + HOUR > limit)


def test_a_job_had_more_prefixes_than_the_service_takes(google):
    """As many jobs as it takes; test_sdrs_sts.py has the same with more than a thousand."""
    google.bucket("events")
    google.configure(**{"sts.maxPrefixCount": 10})
    google.rule("events", "clicks", 30)
    hours = ["2019/02/08/03", "2019/02/07/01", "2019/01/01/00", "2017/05/05/05"]
    for hour in hours:
        google.put("events", f"clicks/{hour}/log")
    execute(google, now=google.now)
    told = [google.includes(job) for job in google.jobs()]
    assert [len(includes) for includes in told] == [10, 5]
    assert len({prefix for includes in told for prefix in includes}) == 15
    google.settle()
    row, = rows(google.run("validate", "--json"))
    assert (row["status"], row["objects"]) == ("success", "4")
    assert google.keys("events") == []


# ---- rules ---------------------------------------------------------------------------------------


def test_data_blocked_data2(sdrs, service):
    """And what lies in the one is not the other's."""
    one = service.add_rule("events", "data", 30)
    other = service.add_rule("events", "data2", 1000)
    assert one != other
    put_hours(sdrs, "data", "2019/01/01/00")
    put_hours(sdrs, "data2", "2019/01/01/00")
    execute(sdrs)
    assert sdrs.keys("events") == ["data2/2019/01/01/00/log"]


def test_the_unit_was_refused_where_it_was_missing(sdrs, service):
    reply = service.post("/retentionrules", body_of(sdrs))
    assert reply.status == 200, reply.text
    found = service.get("/retentionrules", **key_of(sdrs)).json
    assert found["retentionPeriodUnit"] == "DAY"
    reply = service.put(f"/retentionrules/{found['ruleId']}", {"retentionPeriod": 7})
    assert reply.status == 200, reply.text
    assert (reply.json["retentionPeriod"], reply.json["retentionPeriodUnit"]) == (7, "DAY")


def test_deleted_rules_were_given(sdrs, service):
    """Nor are they executed."""
    service.add_rule("events", "clicks", 30)
    put_hours(sdrs, "clicks", "2019/01/01/00")
    assert service.delete("/retentionrules", **key_of(sdrs)).status == 200
    assert "No rule found matching" in said(service.get("/retentionrules", **key_of(sdrs)), 404)
    assert service.get("/retentionrules").json["rules"] == []
    execute(sdrs)
    assert len(sdrs.keys("events")) == 1


# ---- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [None, ".delete_this_folder"])
def test_the_dot_of_a_marker_was_any_character(sdrs, pattern):
    """Also where the older system's own pattern is configured."""
    sdrs.bucket("events")
    sdrs.configure(**{"scheduler.task.dmBatchProcessing.dmRegexPattern": pattern})
    with sdrs.serve() as service:
        for name in ("Xdelete_this_folder", "xx.delete_this_folder"):
            assert "does not have a valid delete marker" in said(
                post_marker(service, "clicks", name))
        assert post_marker(service, "clicks").status == 200


def test_a_target_without_a_project_ran_everything(sdrs, service):
    for dataset in ("clicks", "views"):
        service.add_rule("events", dataset, 30)
        put_hours(sdrs, dataset, "2019/01/01/00")
    assert "projectId must be provided" in said(
        service.post(EVENTS, {"type": "POLICY", "target": sdrs.name("events", "clicks")}))
    assert sdrs.keys("eventsshadow") == []
    assert sdrs.world.run("runs", "--json").final == []


def test_a_missing_pool_job_stopped_all_other_buckets(google):
    """Wherever it is missing; of delete markers, too."""
    google.configure(**{"sts.jobPoolOnly": True, "jobManager.threadPoolSize": 1})
    for name in ("a", "b", "c", "d"):
        google.bucket(name)
        google.put(name, "clicks/2019/01/01/00/log")
        google.rule(name, "clicks", 30)
    with google.serve() as service:
        for name in ("b", "d"):
            for kind in ("dataset", "user"):
                add_pool_job(google, service, name, kind)
        for name in ("a", "b", "c", "d"):
            assert post_marker(service, "views", bucket=name).status == 200
    expected = {"a": "error", "b": "pending", "c": "error", "d": "pending"}
    for action in ("execute", "dm-batch"):
        result = google.run(action, "--json")
        assert result.status == 1 and "no job of the pool" in result.final["error"]
        assert {row["storage"].split("/")[2]: row["status"] for row in rows(result)} == expected


def add_pool_job(google, service, bucket, kind):
    name = google.gcs.transfers.transferJobs_create(None, {
        "projectId": PROJECT, "description": "pooled", "status": "DISABLED",
        "schedule": {"scheduleStartDate": {"year": 2019, "month": 3, "day": 1},
                     "startTimeOfDay": {"hours": 14}},
        "transferSpec": {"gcsDataSource": {"bucketName": bucket},
                         "gcsDataSink": {"bucketName": f"{bucket}shadow"}}})["name"]
    pool = {"sourceBucket": bucket, "sourceProject": PROJECT}
    known = service.get("/stsjobpool", **pool).json
    if known:
        assert service.delete("/stsjobpool", **pool).status == 200
    jobs = [{key: value for key, value in job.items()
             if key in ("name", "projectId", "type", "status", "schedule", "sourceBucket",
                        "sourceProject", "targetBucket")} for job in known]
    jobs.append({"name": name, "projectId": PROJECT, "type": kind, "status": "DISABLED",
                 "schedule": "14:00:00", "targetBucket": f"{bucket}shadow", **pool})
    reply = service.post("/stsjobpool", jobs, **pool)
    assert reply.status == 200, reply.text


def test_the_priority_of_a_marker_never_aged(sdrs, service):
    """One that has waited for a day goes before one that was tried again once."""
    sdrs.configure(**{"sts.maxPrefixCount": 1})
    waited = post_marker(service, "waited").json["executionId"]
    again = post_marker(service, "again").json["executionId"]
    path, = sdrs.world.root.rglob("plugins/sdrs.db")
    with sqlite3.connect(path, timeout=30) as database:
        database.execute("UPDATE markers SET status = 'retry', retries = 1 WHERE execution = ?",
                         (again,))
        database.execute("UPDATE markers SET created_unix_ms = created_unix_ms - 86400000"
                         " WHERE execution = ?", (waited,))
    assert sdrs.run("dm-batch").status == 0
    jobs = [service.get(f"{EVENTS}/{execution}").json["jobs"][0]["jobId"]
            for execution in (waited, again)]
    assert jobs == sorted(jobs)


def test_tokens_were_decoded_and_not_verified(sdrs, tmp_path):
    sdrs.bucket("events")
    good, forger = Signer(tmp_path, "good"), Signer(tmp_path, "forger")
    (sdrs.world.root / "keys.json").write_text(jwks(good))
    sdrs.configure(jwt_jwks="keys.json")
    none = encode(b'{"alg":"none"}') + "." + good.token().split(".")[1] + "."
    with sdrs.serve() as service:
        for token in (forger.token(header={"kid": "good"}), none, good.token(exp=1)):
            service.token = token
            reply = service.post("/retentionrules", body_of(sdrs))
            assert reply.status == 401, reply.text
        service.token = good.token()
        assert service.get("/retentionrules").json["rules"] == []


# ---- projects, and what one gets to know ---------------------------------------------------------


def test_buckets_of_another_project_failed(google):
    """Of each rule, and of GLOBAL for buckets that rules of several projects name."""
    projects = {"events": PROJECT, "logs": "other-1"}
    for bucket, project in projects.items():
        google.bucket(bucket, project=project)
        google.put(bucket, "clicks/2019/01/01/00/log", modified="2019-01-01T00:00:00Z")
        google.put(bucket, "rest", modified="2018-01-01T00:00:00Z")
        google.rule(bucket, "clicks", 30, project=project)
    google.configure(rules=[*google.options["rules"], {"type": "GLOBAL", "retentionPeriod": 60}])
    execute(google, now=google.now)
    for bucket, project in projects.items():
        assert len(google.jobs(project)) == 2
        for job in google.jobs(project):
            assert job["transferSpec"]["gcsDataSource"]["bucketName"] == bucket
    assert google.jobs("global-default") == []
    google.settle()
    assert google.run("validate").status == 0
    for bucket in projects:
        assert google.keys(bucket) == []
        assert google.keys(f"{bucket}shadow") == ["clicks/2019/01/01/00/log", "rest"]


def test_failures_were_in_logs_alone(sdrs):
    """They are in the execution, its job, the run, its exit status and the metrics."""
    sdrs.bucket("lone", shadow=False)
    sdrs.put("lone", "clicks/2019/01/01/00/log")
    settings = {"file_roots": [str(sdrs.root)], "rules": [rule(sdrs, "lone", "clicks")]}
    daemon = Daemon(sdrs.world, "plugins: " + json.dumps(
        {"sdrs": {"serve": True, "config": settings}}) + "\njobs: {retention: {plugin: sdrs}}\n")
    try:
        api, mount = daemon.local, "/plugins/sdrs"
        assert until(lambda: api.get(f"{mount}/status").status == 200)
        event = api.post(mount + EVENTS, {"type": "POLICY"}).json
        found = until(lambda: ended(api.get(f"{mount}{EVENTS}/{event['executionId']}").json))
        job, = found["jobs"]
        assert (found["status"], job["status"]) == ("error", "error")
        assert "loneshadow" in found["message"] and "loneshadow" in job["message"]
        shown = until(lambda: over(sdrs.world.run("runs", event["runId"], "--json")))
        assert shown["status"] == "failed" and "loneshadow" in shown["message"], shown

        run = api.wait_for(api.post("/api/v1/jobs/retention/trigger").json["run"])
        assert run["status"] == "failed" and "loneshadow" in run["message"]
        metrics = prometheus_text.read(api.get("/metrics").text)
        assert prometheus_text.value(metrics, "run_core_job_attempts_total", job="retention",
                                     status="failed") == 1
        assert run["counters"]["jobs_failed"] == 1
    finally:
        daemon.stop()
    result = sdrs.world.run("sdrs", "execute", "--json")
    assert result.status == 1 and "loneshadow" in result.final["error"]


def ended(execution):
    return execution if execution["status"] in ("success", "error") else None


def over(result):
    shown = json.loads(result.stdout) if result.status == 0 else {}
    return shown if shown.get("finished") else None
