"""sdrs moves by Storage Transfer Service: whole runs against a stand-in that moves for real, and holds
each request against Google's description of the API."""
import signal
import time

import pytest
from api_world import until
from conftest import PATIENCE_S
from google_api import refusal
from google_transfer_run import Plan
from sdrs_google_world import google  # noqa: F401
from sdrs_world import PROJECT, UNHEARD

# pylint: disable=redefined-outer-name

OLD, NEW = "clicks/2019/01/01/00/log", "clicks/2019/03/09/00/log"
ROLES = ("roles/storage.objectViewer", "roles/storage.legacyBucketWriter")


@pytest.fixture
def clicks(google):
    """A dataset with old and new data, and a rule for it."""
    google.bucket("events")
    for key in (OLD, NEW, "clicks/2018/12/31/23/log", "views/2018/12/31/23/log"):
        google.put("events", key)
    google.rule("events", "clicks", 30)
    return google


def one(rows):
    assert len(rows) == 1, rows
    return rows[0]


def execute(google, status="pending"):
    rows, result = google.rows("execute")
    assert one(rows)["status"] == status, rows
    return one(rows), result


def validate(google, status):
    google.settle()
    rows, result = google.rows("validate")
    assert one(rows)["status"] == status, rows
    assert (result.status == 0) == (status != "error")
    return one(rows)


def settled(google):
    """Whether nothing is left to validate."""
    return google.rows("validate")[0] == []


# ---- jobs of its own -----------------------------------------------------------------------------


def test_a_job_that_runs_once(clicks):
    execute(clicks)
    job = one(clicks.jobs())
    assert clicks.includes(job)[0] == "clicks/2018/"
    row = validate(clicks, "success")
    assert (row["objects"], row["bytes"]) == ("2", "2")
    assert clicks.keys("events") == [NEW, "views/2018/12/31/23/log"]
    assert clicks.keys("eventsshadow") == ["clicks/2018/12/31/23/log", OLD]
    assert settled(clicks)


def test_an_operation_that_is_not_listed_yet(clicks):
    """The job knows it. And where that is behind, too, it may still come."""
    clicks.gcs.transfers.plan = Plan(unlisted=2)
    clicks.gcs.rules.add(method="GET", target="/v1/transferJobs/", times=1,
                         replace=[[',"latestOperationName":"[^"]*"', ""]])
    execute(clicks)
    assert "has not begun to run" in validate(clicks, "pending")["message"]
    validate(clicks, "success")


def test_an_operation_that_waits_and_then_runs(clicks):
    clicks.gcs.transfers.plan = Plan(queued=True)
    execute(clicks)
    rows, _ = clicks.rows("validate")
    assert one(rows)["status"] == "pending" and " runs" in one(rows)["message"]
    clicks.gcs.transfers.change(queued=False)
    validate(clicks, "success")


def test_objects_that_fail(clicks):
    """The first errors are told, what has moved is counted, and the next execution does the rest."""
    clicks.gcs.transfers.plan = Plan(fail_copies="^clicks/2018/")
    execute(clicks)
    row = validate(clicks, "error")
    assert (row["objects"], row["bytes"]) == ("1", "1")
    assert "PERMISSION_DENIED (1 objects): gs://events/clicks/2018/12/31/23/log" in row["message"]
    clicks.gcs.transfers.plan = Plan()
    clicks.pass_time(hours=1)
    execute(clicks)
    validate(clicks, "success")
    assert clicks.keys("eventsshadow") == ["clicks/2018/12/31/23/log", OLD]


def test_an_operation_that_is_aborted(clicks):
    clicks.gcs.transfers.plan = Plan(hold_after=1)
    execute(clicks)
    operation = clicks.gcs.transfers.operations[-1]
    clicks.gcs.transfers.transferOperations_cancel(None, {}, operation.name)
    assert "The operation was cancelled." in validate(clicks, "error")["message"]


def test_more_prefixes_than_a_job_takes(google):
    """2,500 of them: three jobs, one record, and nothing is left behind."""
    google.bucket("events")
    for i in range(2501):
        google.put("events", f"models/v{i:04}/weights")
    google.rule("events", "models", 1, retentionPeriodUnit="VERSION")
    execute(google)
    assert [len(google.includes(job)) for job in google.jobs()] == [1000, 1000, 500]
    assert validate(google, "success")["objects"] == "2500"
    assert google.keys("events") == ["models/v2500/weights"]


def test_a_default_rule(google):
    """By the age of objects, and datasets of other rules, what is held and what is listed stay."""
    google.bucket("events")
    google.rule("events", "clicks", 1000)
    google.rule("events", period=30)
    google.configure(legal_holds=["gs://events/cases/"],
                     **{"sts.defaultRuleExcludePrefixList": "tmp/;audit"})
    stay = ["clicks/2018/01/01/00/log", "cases/1", "tmp/1", "auditing/1"]
    for key in [*stay, "other/1"]:
        google.put("events", key, modified="2019-02-01T00:00:00Z")
    google.put("events", "other/2", modified="2019-02-08T05:30:00Z")
    google.put("events", "other/0", modified="2019-02-08T05:29:59.999Z")
    rows, _ = google.rows("execute")
    assert {row["type"]: row["status"] for row in rows} == {"DATASET": "success",
                                                            "DEFAULT": "pending"}
    validate(google, "success")
    assert google.keys("eventsshadow") == ["other/0", "other/1"]
    assert google.keys("events") == sorted([*stay, "other/2"])


def test_a_bucket_of_another_project(google):
    """The transfer job is in the project of its rule."""
    google.bucket("events", project="elsewhere")
    google.put("events", OLD)
    google.rule("events", "clicks", 30, project="elsewhere")
    execute(google)
    assert len(google.jobs("elsewhere")) == 1 and google.jobs() == []
    validate(google, "success")


def test_collisions(clicks):
    """What the shadow has of a name is replaced, or stays with what it would be replaced by."""
    clicks.put("eventsshadow", OLD, b"older")
    clicks.configure(collision="keep")
    execute(clicks)
    row = validate(clicks, "error")
    assert "1 objects stay, as the shadow bucket has others of their names" in row["message"]
    assert OLD in clicks.keys("events")
    assert clicks.gcs.store.bucket("eventsshadow").live(OLD).data == b"older"
    clicks.configure(collision="overwrite")
    clicks.pass_time(hours=1)
    execute(clicks)
    validate(clicks, "success")
    assert OLD not in clicks.keys("events")
    assert clicks.gcs.store.bucket("eventsshadow").live(OLD).data == b"x"


def test_an_event_is_pending_until_its_transfers_have_ended(clicks):
    """Whoever looks after it by HTTP is not told of a success that is none yet."""
    clicks.gcs.clock.set(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))  # the server's
    with clicks.serve() as service:
        execution = service.post("/events/execution", {"type": "POLICY"}).json["executionId"]
        found = service.execution(execution)
        assert (found["status"], one(found["jobs"])["status"]) == ("pending", "pending")
        clicks.settle()
        assert clicks.rows("validate")[1].status == 0
        found = service.execution(execution)
        assert (found["status"], one(found["jobs"])["status"]) == ("success", "success")
        assert found["objects"] == 3
        clicks.gcs.transfers.plan = Plan(fail_copies="^clicks/")
        clicks.put("events", OLD)
        execution = service.post("/events/execution", {"type": "POLICY"}).json["executionId"]
        assert service.execution(execution)["status"] == "pending"
        clicks.settle()
        assert clicks.rows("validate")[1].status == 1
        assert service.execution(execution)["status"] == "error"


def test_a_transfer_that_fails_while_its_event_is_carried_out(google):
    """In one bucket, while the event's run is still at another one: the event has failed."""
    for name in ("aa", "bb"):
        google.bucket(name)
        google.put(name, OLD)
        google.rule(name, "clicks", 30)
    google.gcs.clock.set(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))  # the server's
    google.gcs.transfers.plan = Plan(fail_copies="^clicks/")
    google.gcs.rules.add(target="/bb", delay_ms=PATIENCE_S * 1000, times=None)
    with google.serve() as service:
        path = "/events/execution"
        path += "/" + service.post(path, {"type": "POLICY"}).json["executionId"]

        def statuses():
            return {job["sourceBucket"]: job["status"] for job in service.get(path).json["jobs"]}

        until(lambda: statuses() == {"gs://aa/": "pending"})
        validate(google, "error")
        assert service.get(path).json["status"] == "running"
        google.gcs.transfers.plan = Plan()
        google.gcs.rules.clear()
        found = service.execution(path.rpartition("/")[2])
        assert statuses() == {"gs://aa/": "error", "gs://bb/": "pending"}
        assert found["status"] == "error" and "PERMISSION_DENIED" in found["message"]


# ---- what goes wrong on the way ------------------------------------------------------------------


def test_a_service_that_is_short_of_quota(clicks):
    clicks.gcs.rules.add(refusal("RESOURCE_EXHAUSTED", method="POST", target="/v1/transferJobs$",
                                 times=6))
    execute(clicks)
    assert clicks.gcs.count("POST", "/v1/transferJobs") == 7
    clicks.gcs.rules.add(refusal("UNAVAILABLE", method="GET", target="/v1/transferOperations",
                                 times=3))
    validate(clicks, "success")


def test_a_service_that_is_away(clicks):
    """It is the record's error, and the next execution does it."""
    clicks.gcs.rules.add(refusal("UNAVAILABLE", target="/v1/transferJobs", times=None))
    row, result = execute(clicks, "error")
    assert "Storage Transfer Service answered with the status 503" in row["message"]
    assert result.status == 1
    clicks.gcs.rules.clear()
    execute(clicks)
    # And what cannot be validated stays as it is.
    clicks.gcs.rules.add(refusal("UNAVAILABLE", target="/v1/transferOperations", times=None))
    clicks.settle()
    assert clicks.rows("validate")[1].status == 1
    clicks.gcs.rules.clear()
    validate(clicks, "success")


@pytest.mark.parametrize("cut", [0, 30])
def test_a_reply_that_is_cut(clicks, cut):
    """The job was made, but nobody heard of it: asked again, there is no second one."""
    clicks.gcs.rules.add(method="POST", target="/v1/transferJobs$", cut_reply_bytes=cut, times=2)
    execute(clicks)
    assert clicks.gcs.count("POST", "/v1/transferJobs") == 3
    assert len(clicks.jobs()) == 1
    validate(clicks, "success")


def kill_at(google, action, **rule):
    """Kills a run while it waits for the answer to a request, which was carried out."""
    google.gcs.rules.add(delay_ms=60000, **rule)
    process = google.start(action)
    end = time.monotonic() + PATIENCE_S
    while google.gcs.rules.used() == 0:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()
    google.gcs.rules.clear()


@pytest.mark.parametrize("action", ["validate", "execute"])
def test_killed_between_the_job_and_its_record(clicks, action):
    """The job is found again: there is no second one for the record, and it is validated."""
    kill_at(clicks, "execute", method="POST", target="/v1/transferJobs$")
    end = time.monotonic() + PATIENCE_S
    while not clicks.jobs():
        assert time.monotonic() < end
        time.sleep(0.02)
    job = one(clicks.jobs())
    clicks.settle()
    if action == "validate":
        validate(clicks, "success")
        assert len(clicks.jobs()) == 1
    else:
        execute(clicks)  # which settles what was left behind first, and then has a job of its own
        assert len(clicks.jobs()) == 2
        validate(clicks, "success")
    assert clicks.jobs()[0]["name"] == job["name"]
    assert clicks.keys("eventsshadow") == ["clicks/2018/12/31/23/log", OLD]
    assert settled(clicks)


def test_killed_before_the_job(clicks):
    """What was never asked for is an error, and the next execution asks for it."""
    clicks.gcs.rules.add(method="POST", target="/v1/transferJobs$", lost=True, times=None)
    process = clicks.start("execute")
    end = time.monotonic() + PATIENCE_S
    while clicks.gcs.rules.used() == 0:
        assert time.monotonic() < end
        time.sleep(0.02)
    process.kill()
    process.communicate()
    clicks.gcs.rules.clear()
    assert "was never made, or is gone" in validate(clicks, "error")["message"]
    execute(clicks)
    validate(clicks, "success")


def test_killed_and_then_the_store_is_away(google):
    """By 'direct'. While nobody can look, nothing is said of the job; then all that it moved is."""
    google.bucket("events")
    for i in range(100):
        google.put("events", f"{OLD}{i}")
    google.rule("events", "clicks", 30)
    google.configure(mover="direct", width=2)
    copies = {"method": "POST", "target": "/rewriteTo/"}
    google.gcs.rules.add(**copies, delay_ms=25, times=60)  # in which what is copied is removed
    google.gcs.rules.add(**copies, delay_ms=PATIENCE_S * 1000, times=None)
    process = google.start("execute", process=UNHEARD)
    until(lambda: len(google.keys("events")) < 100)
    process.kill()
    process.wait()
    google.gcs.rules.clear()
    google.gcs.rules.add(refusal("UNAVAILABLE", method="GET", target="/o[?]", times=None))
    rows, result = google.rows("validate")
    assert one(rows)["status"] == "unknown" and result.status == 1, rows
    google.gcs.rules.clear()
    row = validate(google, "error")
    left = len(google.keys("events"))
    assert row["objects"] == str(100 - left) and 0 < left < 100
    assert f"{left} are still in 'gs://events/'" in row["message"]


# ---- rights and buckets --------------------------------------------------------------------------


def test_what_is_to_be_granted(clicks):
    clicks.gcs.transfers.denied_projects.add(PROJECT)
    row, _ = execute(clicks, "error")
    assert "The caller does not have permission" in row["message"]
    assert f"grant roles/storagetransfer.user in the project '{PROJECT}'" in row["message"]
    clicks.gcs.transfers.denied_projects.clear()

    clicks.gcs.transfers.check_access = True
    account = clicks.gcs.transfers.account_of(PROJECT)
    row, _ = execute(clicks, "error")
    assert " and ".join(ROLES) + " on gs://events and gs://eventsshadow to " + account \
        in row["message"]
    for name in ("events", "eventsshadow"):
        clicks.gcs.store.bucket(name).bindings = [
            {"role": role, "members": [f"serviceAccount:{account}"]} for role in ROLES]
    execute(clicks)
    validate(clicks, "success")


def test_a_shadow_bucket_that_is_missing(google):
    """One bucket's mistake is no other's."""
    google.bucket("events", shadow=False)
    google.bucket("others")
    for name in ("events", "others"):
        google.put(name, OLD)
        google.rule(name, "clicks", 30)
    rows, result = google.rows("execute")
    assert {row["storage"]: row["status"] for row in rows} == {
        "gs://events/clicks": "error", "gs://others/clicks": "pending"}
    assert "both gs://events and gs://eventsshadow have to be there" in result.text
    assert result.status == 1


# ---- the pool ------------------------------------------------------------------------------------


def make_pool(google, kind, *hours, bucket="events"):
    """As the older system's provisioning script: makes the jobs, then registers them."""
    made = []
    for hour in hours:
        made.append(google.gcs.transfers.transferJobs_create(None, {
            "projectId": PROJECT, "description": "pooled", "status": "DISABLED",
            "schedule": {"scheduleStartDate": {"year": 2019, "month": 3, "day": 1},
                         "startTimeOfDay": {"hours": hour}},
            "transferSpec": {"gcsDataSource": {"bucketName": bucket},
                             "gcsDataSink": {"bucketName": f"{bucket}shadow"}}})["name"])
    with google.serve() as service:
        reply = service.post("/stsjobpool", [
            {"name": name, "projectId": PROJECT, "type": kind, "status": "DISABLED",
             "schedule": f"{hour:02}:00:00", "sourceBucket": bucket, "sourceProject": PROJECT,
             "targetBucket": f"{bucket}shadow"} for name, hour in zip(made, hours)],
            sourceBucket=bucket, sourceProject=PROJECT)
        assert reply.status == 200, reply.text
    return made


def job_of(google, name):
    return next(job for job in google.jobs() if job["name"] == name)


def test_the_pool_over_midnight(clicks):
    """The job that runs next is the first of the next day. Once it has run it rests."""
    clicks.gcs.clock.set("2019-03-10T22:00:00Z")
    names = make_pool(clicks, "dataset", 2, 14)
    execute(clicks)
    early, late = (job_of(clicks, name) for name in names)
    assert (early["status"], late["status"]) == ("ENABLED", "DISABLED")
    assert "has not begun to run" in validate(clicks, "pending")["message"]
    clicks.pass_until(2)
    assert validate(clicks, "success")["objects"] == "2"
    assert job_of(clicks, names[0])["status"] == "DISABLED"
    assert len(clicks.jobs()) == 2
    # What somebody brings back stays.
    clicks.put("events", OLD)
    clicks.pass_until(3)
    clicks.pass_until(2)
    assert OLD in clicks.keys("events")


def test_what_a_pool_job_is_told_before_it_runs_and_after(clicks):
    """Added to until it has run, replaced then. Records that share a run are settled each."""
    clicks.put("events", "views/2018/01/01/00/log")
    names = make_pool(clicks, "dataset", 14)
    execute(clicks)
    before = clicks.includes(job_of(clicks, names[0]))
    clicks.rule("events", "views", 300)
    rows, _ = clicks.rows("execute")
    assert [row["status"] for row in rows] == ["success", "pending"]
    assert f"{len(before)} of {len(before)} prefixes are left out" in rows[0]["message"]
    told = clicks.includes(job_of(clicks, names[0]))
    assert set(before) < set(told) and "views/2017/" not in told and "views/2018/01/" in told
    clicks.pass_until(14)
    clicks.pass_time(minutes=1)
    rows, _ = clicks.rows("validate")
    assert [row["status"] for row in rows] == ["success"] * 2
    assert "prefixes of other jobs" in rows[0]["message"]
    assert clicks.keys("events") == [NEW, "views/2018/12/31/23/log"]
    # The next day's are the only ones.
    clicks.pass_time(days=1)
    rows, _ = clicks.rows("execute")
    assert "clicks/2019/02/08/05/" not in clicks.includes(job_of(clicks, names[0]))
    assert "clicks/2019/02/08/" in clicks.includes(job_of(clicks, names[0]))


def test_a_pool_for_default_rules(google):
    google.bucket("events")
    google.rule("events", period=30)
    google.put("events", "a/1", modified="2019-02-01T00:00:00Z")
    google.put("events", "a/2", modified="2019-02-20T00:00:00Z")
    names = make_pool(google, "default", 23)
    execute(google)
    google.pass_until(23)
    validate(google, "success")
    assert google.keys("eventsshadow") == ["a/1"]
    assert [job["name"] for job in google.jobs()] == names


def test_runs_of_many_days(clicks):
    """However long ago: the first run since it was told is the one that counts, on whatever page."""
    names = make_pool(clicks, "dataset", 14)
    execute(clicks)
    clicks.gcs.transfers.plan = Plan(fail_copies="^clicks/2018/")
    clicks.pass_until(14)
    clicks.gcs.transfers.plan = Plan()
    for _ in range(60):
        clicks.pass_time(days=1)
    assert len(clicks.gcs.transfers.operations) == 61
    row = validate(clicks, "error")
    assert row["objects"] == "1" and "gs://events/clicks/2018/" in row["message"]
    assert clicks.gcs.count("GET", "pageToken=") == 1
    assert job_of(clicks, names[0])["status"] == "DISABLED"


def test_only_the_pool(google):
    """A bucket without one is an error, and the others go on."""
    for name in ("events", "others"):
        google.bucket(name)
        google.put(name, OLD)
        google.rule(name, "clicks", 30)
    google.configure(**{"sts.jobPoolOnly": True})
    names = make_pool(google, "dataset", 14, bucket="others")
    rows, result = google.rows("execute")
    assert {row["storage"]: row["status"] for row in rows} == {
        "gs://events/clicks": "error", "gs://others/clicks": "pending"}
    assert "no job of the pool has room for 'gs://events/'" in result.text
    assert [job["name"] for job in google.jobs()] == names


def test_killed_while_the_pool_is_told(clicks):
    """Whether the job was told or not, what becomes of the record is what became of its prefixes."""
    names = make_pool(clicks, "dataset", 14)
    kill_at(clicks, "execute", method="PATCH", target="/v1/transferJobs/")
    end = time.monotonic() + PATIENCE_S
    while job_of(clicks, names[0])["status"] != "ENABLED":
        assert time.monotonic() < end
        time.sleep(0.02)
    validate(clicks, "pending")
    clicks.pass_until(14)
    assert validate(clicks, "success")["objects"] == "2"


# ---- what is under way ---------------------------------------------------------------------------


def test_what_is_under_way_is_not_asked_for_again(clicks):
    clicks.gcs.transfers.plan = Plan(queued=True)
    execute(clicks)
    row, _ = execute(clicks, "success")
    assert "the transfer service has them already" in row["message"]
    clicks.gcs.clock.advance(hours=1)
    row, _ = execute(clicks)
    assert "prefixes are left out" in row["message"]
    assert [clicks.includes(job) for job in clicks.jobs()[1:]] == [["clicks/2019/02/08/05/"]]
    # What has ended meanwhile is settled first.
    clicks.gcs.transfers.change(queued=False)
    clicks.settle()
    row, result = execute(clicks)
    assert not row["message"] and "is now 'success'" in result.text
    assert len(clicks.jobs()) == 3
    clicks.settle()
    assert clicks.keys("events") == [NEW, "views/2018/12/31/23/log"]


def test_hours_that_are_under_way_keep_their_day_back(clicks):
    clicks.put("events", "clicks/2019/02/08/03/log")
    clicks.gcs.transfers.plan = Plan(queued=True)
    execute(clicks)
    clicks.gcs.clock.advance(hours=24)
    row, _ = execute(clicks)
    assert "prefixes are left out" in row["message"]
    assert [clicks.includes(job) for job in clicks.jobs()[1:]] == [
        [f"clicks/2019/02/09/{hour:02}/" for hour in range(5)]]
    clicks.gcs.transfers.change(queued=False)
    clicks.settle()
    execute(clicks)
    assert "clicks/2019/02/08/" in clicks.includes(clicks.jobs()[-1])


def test_a_default_rule_leaves_out_what_is_under_way(google):
    google.bucket("events")
    google.rule("events", period=30)
    for key in ("users/7/log", "users/8/log"):
        google.put("events", key, modified="2019-01-01T00:00:00Z")
    google.gcs.transfers.plan = Plan(queued=True)
    with google.serve() as service:
        mark(service, "users/7")
        google.rows("dm-batch")
    row, _ = execute(google)
    assert "what is below 1 prefix is left out: the transfer service has it" in row["message"]
    [conditions] = [job["transferSpec"]["objectConditions"] for job in google.jobs()[1:]]
    assert "users/7/" in conditions["excludePrefixes"]
    google.gcs.transfers.change(queued=False)
    google.settle()
    rows, _ = google.rows("validate")
    assert sorted((row["type"], row["objects"]) for row in rows) == [("DEFAULT", "1"),
                                                                     ("USER", "1")]


@pytest.mark.parametrize("hold", ["clicks/2018/", "clicks/2018/12/", "clicks/2018/12/31/23/log"])
@pytest.mark.parametrize("action", ["validate", "execute"])
def test_a_hold_that_comes_later(clicks, hold, action):
    """It is taken out of the pool's job before that runs."""
    names = make_pool(clicks, "dataset", 14)
    execute(clicks)
    before = clicks.includes(job_of(clicks, names[0]))
    clicks.configure(legal_holds=[f"gs://events/{hold}"])
    clicks.rows(action)
    conditions = job_of(clicks, names[0])["transferSpec"]["objectConditions"]
    if hold in before:
        assert conditions["includePrefixes"] == [one for one in before if one != hold]
    else:
        assert conditions["includePrefixes"] == before
        assert conditions["excludePrefixes"] == [hold]
    clicks.pass_until(14)
    assert validate(clicks, "success")["objects"] == "1"
    assert clicks.keys("eventsshadow") == [OLD]
    assert job_of(clicks, names[0])["status"] == "DISABLED"


def test_a_hold_on_all_that_waits(clicks):
    names = make_pool(clicks, "dataset", 14)
    execute(clicks)
    clicks.configure(legal_holds=["gs://events/clicks/"])
    assert "is held by now" in validate(clicks, "success")["message"]
    assert job_of(clicks, names[0])["status"] == "DISABLED"
    clicks.pass_until(14)
    assert clicks.keys("eventsshadow") == []


def test_what_is_under_way_is_not_restored(clicks):
    """It would be moved again."""
    make_pool(clicks, "dataset", 14)
    execute(clicks)
    clicks.gcs.store.put("eventsshadow", "clicks/2018/01/01/00/log", b"x", {})
    result = clicks.run("restore", prefix="gs://events/clicks/2018/")
    assert result.status == 1 and "has not ended job 1" in result.text
    assert clicks.run("restore", prefix="gs://events/views/").status == 0
    clicks.pass_until(14)
    assert clicks.run("restore", prefix="gs://events/clicks/2018/").status == 0
    assert clicks.keys("eventsshadow") == [OLD]
    clicks.pass_time(days=2)
    assert clicks.keys("eventsshadow") == [OLD]


def test_what_is_under_way_is_not_restored_by_lists_either(clicks):
    clicks.configure(mover="direct")
    execute(clicks, "success")
    [lists] = clicks.keys("eventsshadow", ".run-core/sdrs/")
    clicks.configure(mover="sts")
    clicks.put("events", "clicks/2018/12/31/22/late")
    clicks.gcs.transfers.plan = Plan(queued=True)
    execute(clicks)
    result = clicks.run("restore", batch=lists.split("/")[2])
    assert result.status == 1 and "has not ended job 2" in result.text
    assert "clicks/2018/12/31/23/log" in clicks.keys("eventsshadow")


# ---- delete markers ------------------------------------------------------------------------------


def mark(service, *folders, project=PROJECT):
    for folder in folders:
        reply = service.post("/events/execution", {
            "type": "USER", "projectId": project,
            "target": f"gs://events/{folder}/.delete_this_folder"})
        assert reply.status == 200, reply.text


def test_delete_markers_by_a_pool_on_demand(google):
    google.bucket("events")
    for key in ("clicks/2019/01/log", "clicks/2019/02/log", "clicks/2019/03/log"):
        google.put("events", key)
    google.configure(**{"sts.jobPoolOnDemand.user": 4})
    with google.serve() as service:
        mark(service, "clicks/2019/01")
        assert one(google.rows("dm-batch")[0])["status"] == "pending"
        pool = service.get("/stsjobpool", sourceBucket="events", sourceProject=PROJECT).json
        assert [job["type"] for job in pool] == ["user"] * 4
        assert sorted(job["name"] for job in pool) == sorted(job["name"] for job in google.jobs())
        times = [job["schedule"]["startTimeOfDay"] for job in google.jobs()]
        seconds = [time.get("hours", 0) * 3600 + time.get("minutes", 0) * 60
                   + time.get("seconds", 0) for time in times]
        assert [b - a for a, b in zip(seconds, seconds[1:])] == [6 * 3600] * 3
        mark(service, "clicks/2019/02")
        google.rows("dm-batch")
    # Disabled ones would move nothing even if somebody enabled them.
    told = {tuple(google.includes(job)) for job in google.jobs()}
    assert told == {("clicks/2019/01/", "clicks/2019/02/"), (".run-core/nothing-yet/",)}
    google.pass_time(hours=6)
    rows, _ = google.rows("validate")
    assert [row["status"] for row in rows] == ["success", "success"]
    assert google.keys("events") == ["clicks/2019/03/log"]
    assert google.rows("dm-cleanup")[1].status == 0


def test_a_delete_marker_below_another_one_waits(google):
    google.bucket("events")
    for key in ("clicks/2019/01/02/log", "clicks/2019/02/log"):
        google.put("events", key)
    google.gcs.transfers.plan = Plan(queued=True)
    with google.serve() as service:
        mark(service, "clicks/2019/01")
        google.rows("dm-batch")
        mark(service, "clicks/2019/01/02", "clicks/2019/02")
        _, result = google.rows("dm-batch")
        assert "'gs://events/clicks/2019/01/02' waits: the transfer service" in result.text
        assert [google.includes(job) for job in google.jobs()] == [
            ["clicks/2019/01/"], ["clicks/2019/02/"]]
        google.gcs.transfers.change(queued=False)
        google.settle()
        assert one(google.rows("dm-batch")[0])["status"] == "pending"
    assert google.includes(google.jobs()[-1]) == ["clicks/2019/01/02/"]
    validate(google, "success")
    assert google.keys("events") == []


def test_a_delete_marker_above_another_one_waits(google):
    google.bucket("events")
    for key in ("clicks/2019/01/02/log", "clicks/2019/02/log"):
        google.put("events", key)
    google.gcs.transfers.plan = Plan(queued=True)
    with google.serve() as service:
        mark(service, "clicks/2019/01/02")
        mark(service, "clicks/2019", project="other")
        _, result = google.rows("dm-batch")
        assert "'gs://events/clicks/2019' waits: the transfer service" in result.text
        google.rows("dm-batch")
        assert google.includes(one(google.jobs())) == ["clicks/2019/01/02/"]
        assert google.jobs("other") == []
        google.gcs.transfers.change(queued=False)
        google.settle()
        assert one(google.rows("dm-batch")[0])["status"] == "pending"
    assert google.includes(one(google.jobs("other"))) == ["clicks/2019/"]
    validate(google, "success")
    assert google.keys("events") == []


def test_a_delete_marker_that_fails_is_tried_again(google):
    google.bucket("events")
    google.put("events", "clicks/2019/01/log")
    google.gcs.transfers.plan = Plan(fail_copies="log$")
    with google.serve() as service:
        mark(service, "clicks/2019/01")
    google.rows("dm-batch")
    validate(google, "error")
    google.gcs.transfers.plan = Plan()
    google.pass_time(hours=1)
    assert one(google.rows("dm-batch")[0])["status"] == "pending"
    validate(google, "success")
    assert google.keys("events") == []


# ---- credentials ---------------------------------------------------------------------------------


def test_a_token_that_ends_is_renewed(clicks):
    execute(clicks)
    clicks.gcs.tokens.expire()
    validate(clicks, "success")


def test_no_token_is_told(clicks):
    result = clicks.run("execute", "--log-level", "debug")
    assert result.status == 0
    assert "ya29." not in result.stderr + result.stdout


def test_a_dry_run_asks_for_nothing(clicks):
    result = clicks.run("execute", "--dry-run")
    assert result.status == 0, result.stderr
    assert clicks.jobs() == [] and clicks.gcs.count("POST", "/v1/transferJobs") == 0
