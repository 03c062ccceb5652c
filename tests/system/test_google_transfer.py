"""The stand-in for Google's Storage Transfer Service, tried by two of Google's own clients for Node, and by
hand: what it refuses, when jobs are due, what their operations move and how they fail."""

import json
import time
from datetime import timedelta
from urllib.parse import quote

import pytest
from conftest import PATIENCE_S

from google_api import refusal
from google_clock import parse_time
from google_transfer_run import Plan
from google_world import Caller, needs_node, node

PROJECT = "project-1"
NOW = "2019-03-10T05:30:00Z"
TODAY = {"year": 2019, "month": 3, "day": 10}
TOPIC = f"projects/{PROJECT}/topics/transfers"
MOVE = {"deleteObjectsFromSourceAfterTransfer": True}


@pytest.fixture(autouse=True)
def buckets(gcs):
    """A bucket with some objects, and its shadow."""
    gcs.clock.set(NOW)
    source, sink = gcs.store.make_bucket("data"), gcs.store.make_bucket("datashadow")
    for name in ("d/2018/1", "d/2018/22", "d/2019/333", "other"):
        gcs.store.put("data", name, name.encode(), {"metadata": {"k": name}})
    return source, sink


@pytest.fixture
def call(gcs):
    return Caller(gcs)


def a_job(name="job", schedule=None, options=MOVE, conditions=None, **fields):
    spec = {"gcsDataSource": {"bucketName": "data"}, "gcsDataSink": {"bucketName": "datashadow"},
            "transferOptions": options}
    if conditions:
        spec["objectConditions"] = conditions
    if schedule:
        fields["schedule"] = schedule
    return {"name": f"transferJobs/{name}", "projectId": PROJECT, "status": "ENABLED",
            "transferSpec": spec, **fields}


def create(call, *words, **fields):
    return call("POST", "/v1/transferJobs", a_job(*words, **fields))


def run(call, name="job"):
    return call("POST", f"/v1/transferJobs/{name}:run", {"projectId": PROJECT})["name"]


def ran(gcs, call, *words, **fields):
    """What became of a job that is made and runs: its operation."""
    create(call, *words, **fields)
    name = run(call)
    gcs.transfers.settle()
    return call("GET", f"/v1/{name}")


def listing(call, **wanted):
    wanted = json.dumps({"projectId": PROJECT, **wanted})
    return call("GET", f"/v1/transferOperations?filter={quote(wanted)}").get("operations", [])


def until(condition, timeout_s=PATIENCE_S):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@needs_node
def test_client_moves_objects(gcs, buckets):
    told = node(gcs, """
        const projectId = 'project-1', jobName = 'transferJobs/a-1', jobs = transfers.transferJobs;
        const filter = JSON.stringify({ projectId });
        const requestBody = { name: jobName, projectId, status: 'ENABLED', description: 'ä',
          transferSpec: { gcsDataSource: { bucketName: 'data' },
            gcsDataSink: { bucketName: 'datashadow' },
            objectConditions: { includePrefixes: ['d/2018/', 'd/2017/'] },
            transferOptions: { deleteObjectsFromSourceAfterTransfer: true } } };
        const { data: created } = await jobs.create({ requestBody });
        const again = await fails(jobs.create({ requestBody }));
        const elsewhere = await fails(jobs.get({ jobName, projectId: 'project-2' }));
        const { data: operation } = await jobs.run({ jobName, requestBody: { projectId } });
        let now = operation;
        while (!now.done)
          ({ data: now } = await transfers.transferOperations.get({ name: operation.name }));
        const { data: { operations } } = await transfers.transferOperations.list(
          { name: 'transferOperations', filter });
        const { data: changed } = await jobs.patch({ jobName, requestBody: { projectId,
          transferJob: { status: 'DISABLED' }, updateTransferJobFieldMask: 'status' } });
        const disabled = await fails(jobs.run({ jobName, requestBody: { projectId } }));
        const { data: removed } = await jobs.delete({ jobName, projectId });
        const { data: { transferJobs } } = await jobs.list({ filter: JSON.stringify(
          { projectId, jobStatuses: ['deleted'] }) });
        const { data: account } = await transfers.googleServiceAccounts.get({ projectId });
        return { created, again, elsewhere, now, operations, changed, disabled, removed,
          transferJobs, account };
    """)
    source, sink = buckets
    assert source.names == ["d/2019/333", "other"]
    assert sink.names == ["d/2018/1", "d/2018/22"]
    assert sink.live("d/2018/1").fields["metadata"] == {"k": "d/2018/1"}
    assert told["created"]["creationTime"] == "2019-03-10T05:30:00.000Z"
    assert told["again"] == [409, "ALREADY_EXISTS"]
    assert told["elsewhere"] == [404, "NOT_FOUND"]
    assert told["now"]["metadata"]["status"] == "SUCCESS"
    assert told["now"]["metadata"]["counters"] == {
        f"{what}{how}": count for what, count in (("objects", "2"), ("bytes", "17"))
        for how in ("FoundFromSource", "CopiedToSink", "DeletedFromSource")}
    assert told["operations"] == [told["now"]]
    assert told["changed"]["status"] == "DISABLED"
    assert told["changed"]["latestOperationName"] == told["now"]["name"]
    assert told["disabled"] == [400, "FAILED_PRECONDITION"]
    assert told["removed"] == {}
    assert [job["name"] for job in told["transferJobs"]] == ["transferJobs/a-1"]
    assert told["account"]["accountEmail"].endswith("storage-transfer-service.iam.gserviceaccount.com")


@needs_node
def test_client_that_sends_numbers(gcs, buckets):
    told = node(gcs, """
        const client = new Transfers(), projectId = 'project-1', jobName = 'transferJobs/b';
        const [job] = await client.createTransferJob({ transferJob: { name: jobName, projectId,
          status: 'ENABLED', transferSpec: { gcsDataSource: { bucketName: 'data' },
            gcsDataSink: { bucketName: 'datashadow' },
            objectConditions: { minTimeElapsedSinceLastModification: { seconds: 0 },
              lastModifiedBefore: { seconds: 1600000000, nanos: 500000000 } },
            transferOptions: { overwriteWhen: 'NEVER' } } } });
        const [promise] = await client.runTransferJob({ jobName, projectId });
        const name = promise.name;
        const filter = JSON.stringify({ project_id: projectId, job_names: [jobName] });
        const [jobs] = await client.listTransferJobs({ filter });
        const code = await client.pauseTransferOperation({ name: 'transferOperations/none' })
          .catch((error) => error.code);
        return { status: job.status, spec: job.transferSpec, name, count: jobs.length, code };
    """)
    gcs.transfers.settle()
    assert told["status"] == "ENABLED" and told["count"] == 1
    assert told["spec"]["transferOptions"]["overwriteWhen"] == "NEVER"
    assert gcs.transfers.operations[0].name == told["name"]
    assert buckets[0].names == buckets[1].names
    assert told["code"] == 5  # the number of NOT_FOUND


PREFIXES = [
    ({"includePrefixes": [f"{at:04}/" for at in range(1000)]}, None),
    ({"includePrefixes": [f"{at:04}/" for at in range(1001)]}, "INVALID_ARGUMENT"),
    ({"excludePrefixes": [f"{at:04}/" for at in range(1001)]}, "INVALID_ARGUMENT"),
    ({"includePrefixes": ["ä" * 512]}, None),
    ({"includePrefixes": ["ä" * 512 + "x"]}, "INVALID_ARGUMENT"),
    ({"includePrefixes": [""]}, "INVALID_ARGUMENT"),
    ({"includePrefixes": ["/d"]}, "INVALID_ARGUMENT"),
    ({"includePrefixes": ["a\nb"]}, "INVALID_ARGUMENT"),
    ({"includePrefixes": ["d/2018/", "d/2019/", "d/2018/01/"]}, "INVALID_ARGUMENT"),
    ({"includePrefixes": ["d/", "d/"]}, "INVALID_ARGUMENT"),
    ({"includePrefixes": ["d/", "d0"], "excludePrefixes": ["d/x"]}, None),
    ({"includePrefixes": ["d/"], "excludePrefixes": ["e/"]}, "INVALID_ARGUMENT"),
    ({"minTimeElapsedSinceLastModification": "1 day"}, "INVALID_ARGUMENT"),
    ({"lastModifiedBefore": "2019-03-10"}, "INVALID_ARGUMENT"),
    ({"prefixes": ["d/"]}, "INVALID_ARGUMENT"),
]


@pytest.mark.parametrize("conditions, word", PREFIXES, ids=range(len(PREFIXES)))
def test_conditions_are_checked(call, conditions, word):
    if word is None:
        create(call, conditions=conditions)
    else:
        assert call.refused("POST", "/v1/transferJobs", a_job(conditions=conditions)) == word


def without(job, *names):
    return {name: value for name, value in job.items() if name not in names}


def spec_with(**changes):
    job = a_job()
    return {**job, "transferSpec": {**job["transferSpec"], **changes}}


REFUSED_JOBS = [
    without(a_job(), "status"), without(a_job(), "projectId"), without(a_job(), "transferSpec"),
    a_job(status="DELETED"), a_job(status="ON"), a_job(name="OPI1"), a_job(name="a/b"),
    a_job(name="ends-"), a_job(name="a" * 129), a_job(description="ä" * 513), a_job(colour="red"),
    spec_with(gcsDataSink={"bucketName": "data"}), spec_with(gcsDataSink={}),
    spec_with(gcsDataSink={"bucketName": "datashadow", "path": "no-slash"}),
    spec_with(transferOptions={**MOVE, "deleteObjectsUniqueInSink": True}),
    spec_with(transferOptions={"overwriteWhen": "OFTEN"}),
    a_job(schedule={"startTimeOfDay": {"hours": 1}}),
    a_job(schedule={"scheduleStartDate": {"year": 2019, "month": 2, "day": 29}}),
    a_job(schedule={"scheduleStartDate": TODAY, "repeatInterval": "3599s"}),
    a_job(schedule={"scheduleStartDate": TODAY, "endTimeOfDay": {"hours": 1}}),
    a_job(schedule={"scheduleStartDate": TODAY, "scheduleEndDate": {**TODAY, "day": 9}}),
    a_job(notificationConfig={"pubsubTopic": "transfers", "payloadFormat": "JSON"}),
    a_job(notificationConfig={"pubsubTopic": TOPIC}),
]


@pytest.mark.parametrize("job", REFUSED_JOBS, ids=range(len(REFUSED_JOBS)))
def test_jobs_are_checked(call, job):
    assert call.refused("POST", "/v1/transferJobs", job) == "INVALID_ARGUMENT"


def test_other_refusals(gcs, call):
    jobs, job = "/v1/transferJobs", "/v1/transferJobs/job"
    assert call.refused("POST", jobs, spec_with(gcsDataSink={"bucketName": "none"})) == "NOT_FOUND"
    assert call.refused("GET", f"{job}?projectId={PROJECT}") == "NOT_FOUND"
    assert call.refused("GET", job) == "INVALID_ARGUMENT"
    assert call.refused("GET", jobs) == "INVALID_ARGUMENT"
    assert call.refused("GET", f"{jobs}?filter=x") == "INVALID_ARGUMENT"
    for wrong in ({}, {"projectId": PROJECT, "jobStatuses": ["ON"]}, {"projectId": PROJECT, "a": "b"},
                  {"projectId": PROJECT, "jobNames": "transferJobs/job"}):
        wrong = quote(json.dumps(wrong))
        assert call.refused("GET", f"{jobs}?filter={wrong}") == "INVALID_ARGUMENT"
    assert call.refused("GET", "/v1/transferOperations/none") == "NOT_FOUND"
    create(call)
    change = {"projectId": PROJECT, "transferJob": {"schedule": {"scheduleStartDate": TODAY}},
              "updateTransferJobFieldMask": "schedule"}
    assert call.refused("PATCH", job, change) == "INVALID_ARGUMENT"
    change = {"projectId": PROJECT, "transferJob": {}, "updateTransferJobFieldMask": "transferSpec"}
    assert call.refused("PATCH", job, change) == "INVALID_ARGUMENT"
    call.token = "none"
    assert call.refused("GET", f"{job}?projectId={PROJECT}") == "UNAUTHENTICATED"


def test_a_rule_refuses(gcs, call):
    gcs.rules.add(refusal("RESOURCE_EXHAUSTED", method="POST", target="^/v1/transferJobs$", times=2),
                  refusal("UNAVAILABLE", method="GET"))
    for _ in range(2):
        assert call.refused("POST", "/v1/transferJobs", a_job()) == "RESOURCE_EXHAUSTED"
    create(call)
    assert call.refused("GET", f"/v1/transferJobs/job?projectId={PROJECT}") == "UNAVAILABLE"
    call("GET", f"/v1/transferJobs/job?projectId={PROJECT}")


def test_a_project_is_denied(gcs, call):
    gcs.transfers.denied_projects.add("project-2")
    job = {**a_job(), "projectId": "project-2"}
    assert call.refused("POST", "/v1/transferJobs", job) == "PERMISSION_DENIED"
    assert call.refused("GET", "/v1/googleServiceAccounts/project-2") == "PERMISSION_DENIED"
    create(call)
    name = run(call)
    gcs.transfers.denied_projects.add(PROJECT)
    assert call.refused("GET", f"/v1/{name}") == "PERMISSION_DENIED"


def test_the_services_own_account_needs_rights(gcs, call):
    gcs.transfers.check_access = True
    account = call("GET", f"/v1/googleServiceAccounts/{PROJECT}")["accountEmail"]

    def grant(bucket, *roles):
        call("PUT", f"/storage/v1/b/{bucket}/iam", {"bindings": [
            {"role": f"roles/storage.{role}", "members": [f"serviceAccount:{account}"]}
            for role in roles]})
    assert call.refused("POST", "/v1/transferJobs", a_job()) == "FAILED_PRECONDITION"
    grant("datashadow", "legacyBucketWriter")
    grant("data", "legacyBucketReader", "objectViewer")
    assert call.refused("POST", "/v1/transferJobs", a_job()) == "FAILED_PRECONDITION"
    create(call, options={})  # to copy needs less than to move
    grant("data", "legacyBucketReader", "objectAdmin")
    create(call, "other")
    grant("data")
    name = run(call, "other")
    gcs.transfers.settle()
    failed = call("GET", f"/v1/{name}")
    assert failed["metadata"]["status"] == "FAILED" and failed["error"]["code"] == 7


def test_what_is_in_the_sink(gcs, call, buckets):
    source, sink = buckets
    gcs.store.put("datashadow", "d/2018/1", b"d/2018/1", {})
    gcs.store.put("datashadow", "d/2018/22", b"another", {})
    same = sink.live("d/2018/1")
    counters = ran(gcs, call)["metadata"]["counters"]
    assert sink.live("d/2018/1") is same and sink.live("d/2018/22").data == b"d/2018/22"
    assert (counters["objectsFromSourceSkippedBySync"], counters["objectsCopiedToSink"],
            counters["objectsDeletedFromSource"]) == ("1", "3", "4")
    assert source.names == []


@pytest.mark.parametrize("options, copied, left", [
    ({"overwriteWhen": "NEVER"}, "2", ["d/2018/1", "d/2018/22"]),
    ({"overwriteWhen": "ALWAYS"}, "4", []),
    ({"overwriteObjectsAlreadyExistingInSink": True}, "4", []),
    ({"overwriteObjectsAlreadyExistingInSink": True, "overwriteWhen": "DIFFERENT"}, "3", []),
])
def test_overwriting(gcs, call, buckets, options, copied, left):
    gcs.store.put("datashadow", "d/2018/1", b"d/2018/1", {})
    gcs.store.put("datashadow", "d/2018/22", b"another", {})
    counters = ran(gcs, call, options={**MOVE, **options})["metadata"]["counters"]
    assert counters["objectsCopiedToSink"] == copied
    assert buckets[0].names == left


def test_what_is_only_in_the_sink(gcs, call, buckets):
    gcs.store.put("datashadow", "d/2017/1", b"x", {})
    gcs.store.put("datashadow", "excluded", b"x", {})
    ran(gcs, call, options={"deleteObjectsUniqueInSink": True},
        conditions={"excludePrefixes": ["ex", "other"]})
    assert buckets[1].names == ["d/2018/1", "d/2018/22", "d/2019/333", "excluded"]


def test_paths(gcs, call, buckets):
    job = spec_with(gcsDataSource={"bucketName": "data", "path": "d/"},
                    gcsDataSink={"bucketName": "datashadow", "path": "kept/"})
    call("POST", "/v1/transferJobs", job)
    run(call)
    gcs.transfers.settle()
    assert buckets[1].names == ["kept/2018/1", "kept/2018/22", "kept/2019/333"]
    assert buckets[0].names == ["other"]


def test_metadata(gcs, call, buckets):
    gcs.store.put("data", "cold", b"", {"storageClass": "COLDLINE", "contentType": "text/x"})
    ran(gcs, call)
    assert buckets[1].live("cold").fields == {"storageClass": "STANDARD", "contentType": "text/x"}
    gcs.store.put("data", "cold", b"2", {"storageClass": "COLDLINE"})
    create(call, "second", options={"metadataOptions": {
        "storageClass": "STORAGE_CLASS_PRESERVE",
        "timeCreated": "TIME_CREATED_PRESERVE_AS_CUSTOM_TIME"}})
    run(call, "second")
    gcs.transfers.settle()
    assert buckets[1].live("cold").fields == {"storageClass": "COLDLINE",
                                              "customTime": "2019-03-10T05:30:00.000Z"}


@pytest.mark.parametrize("conditions, moved", [
    ({"minTimeElapsedSinceLastModification": "7200s"}, ["h0", "h1"]),
    ({"maxTimeElapsedSinceLastModification": "7200s"}, ["h2", "h3"]),
    ({"lastModifiedSince": "2019-04-01T01:00:00Z"}, ["h1", "h2", "h3"]),
    ({"lastModifiedBefore": "2019-04-01T01:00:00Z"}, ["h0"]),
    ({"lastModifiedSince": "2019-04-01T01:00:00Z",
      "maxTimeElapsedSinceLastModification": "10800.000000001s", "includePrefixes": ["h1", "h3"]},
     ["h1", "h3"]),
])
def test_times_of_objects(gcs, call, buckets, conditions, moved):
    gcs.clock.set("2019-04-01T00:00:00Z")
    for hour in range(4):
        gcs.store.put("data", f"h{hour}", b"", {})
        gcs.clock.advance(hours=1)
    gcs.clock.set("2019-04-01T03:00:00Z")
    conditions = {"includePrefixes": ["h"], **conditions}
    ran(gcs, call, conditions=conditions)
    assert buckets[1].names == moved


AT = {"startTimeOfDay": {"hours": 6}}
PAST = {"startTimeOfDay": {"hours": 5}}
YESTERDAY, TOMORROW = {**TODAY, "day": 9}, {**TODAY, "day": 11}
SCHEDULES = [  # what runs in the four days after 2019-03-10T05:30
    ({}, ["10T05:30", "11T00:00", "12T00:00", "13T00:00", "14T00:00"]),
    ({"scheduleEndDate": TODAY}, ["10T05:30"]),
    ({"scheduleStartDate": YESTERDAY, "scheduleEndDate": YESTERDAY}, ["10T05:30"]),
    (AT, ["10T06:00", "11T06:00", "12T06:00", "13T06:00"]),
    (PAST, ["11T05:00", "12T05:00", "13T05:00", "14T05:00"]),
    ({**PAST, "scheduleEndDate": {**TODAY, "day": 12}}, ["11T05:00", "12T05:00"]),
    ({**PAST, "scheduleEndDate": {**TODAY, "day": 12}, "endTimeOfDay": {"hours": 4}}, ["11T05:00"]),
    ({**AT, "scheduleEndDate": TODAY}, ["10T06:00"]),
    ({**PAST, "scheduleEndDate": TODAY}, ["11T05:00"]),
    ({**AT, "scheduleStartDate": TOMORROW, "scheduleEndDate": TOMORROW}, ["11T06:00"]),
    ({"scheduleStartDate": {**TODAY, "day": 1}, "scheduleEndDate": {**TODAY, "day": 9}}, []),
    ({**PAST, "scheduleStartDate": YESTERDAY, "scheduleEndDate": YESTERDAY}, ["11T05:00"]),
    ({"scheduleStartDate": TOMORROW}, ["11T00:00", "12T00:00", "13T00:00", "14T00:00"]),
    ({**AT, "scheduleStartDate": {**TODAY, "year": 2015}},
     ["10T06:00", "11T06:00", "12T06:00", "13T06:00"]),
    ({**AT, "repeatInterval": "129600s"}, ["10T06:00", "11T18:00", "13T06:00"]),
]


@pytest.mark.parametrize("schedule, wanted", SCHEDULES, ids=range(len(SCHEDULES)))
def test_when_jobs_run(gcs, call, schedule, wanted):
    create(call, schedule={"scheduleStartDate": TODAY, **schedule})
    for _ in range(4 * 48):
        gcs.transfers.settle()
        gcs.clock.advance(minutes=30)
    gcs.transfers.settle()
    started = [one["metadata"]["startTime"] for one in reversed(listing(call))]
    assert started == [f"2019-03-{time}:00.000Z" for time in wanted]


def test_a_daily_job(gcs, call, buckets):
    """It takes what it finds each day; what was changed holds for the next run."""
    source, sink = buckets
    create(call, schedule={"scheduleStartDate": TODAY, **PAST},
           conditions={"includePrefixes": ["d/2018/"]})
    gcs.clock.advance(hours=18)
    assert listing(call) == []
    run(call)
    gcs.transfers.settle()
    assert sink.names == ["d/2018/1", "d/2018/22"]
    spec = a_job(conditions={"includePrefixes": ["d/"]})["transferSpec"]
    job = call("PATCH", "/v1/transferJobs/job", {"projectId": PROJECT,
               "transferJob": {"transferSpec": spec}, "updateTransferJobFieldMask": "transfer_spec"})
    assert job["transferSpec"] == spec and "schedule" in job
    gcs.clock.advance(hours=6)
    gcs.transfers.settle()
    assert len(listing(call)) == 2 and source.names == ["other"]
    call("PATCH", "/v1/transferJobs/job", {"projectId": PROJECT, "transferJob": {
         "name": "transferJobs/job", "status": "DISABLED"}})
    gcs.clock.advance(days=3)
    assert len(listing(call)) == 2
    call("PATCH", "/v1/transferJobs/job", {"projectId": PROJECT, "transferJob": {
         "status": "ENABLED"}, "updateTransferJobFieldMask": "status"})
    gcs.clock.advance(days=3)  # what was missed is not made up for
    gcs.transfers.settle()
    assert len(listing(call)) == 3
    call("DELETE", f"/v1/transferJobs/job?projectId={PROJECT}")
    gcs.clock.advance(days=3)
    assert len(listing(call)) == 3
    assert call("GET", f"/v1/transferJobs/job?projectId={PROJECT}")["status"] == "DELETED"
    assert call.refused("POST", "/v1/transferJobs/job:run", {"projectId": PROJECT}) \
        == "FAILED_PRECONDITION"
    assert call.refused("POST", "/v1/transferJobs", a_job()) == "ALREADY_EXISTS"


def test_a_job_that_goes_on_when_it_is_due_again(gcs, call, buckets):
    gcs.transfers.plan = Plan(hold_after=1)
    create(call, schedule={"scheduleStartDate": TODAY, **AT})
    gcs.clock.advance(days=1)
    until(lambda: buckets[1].names)
    gcs.clock.advance(days=1)
    assert len(listing(call)) == 1
    gcs.transfers.plan = Plan()
    gcs.transfers.settle()
    gcs.clock.advance(days=1)
    assert len(listing(call)) == 2


def test_jobs_run_by_the_real_time(gcs, call, buckets):
    gcs.clock.follow()
    due = gcs.clock.now() + timedelta(seconds=1)
    date = {"year": due.year, "month": due.month, "day": due.day}
    moment = {"hours": due.hour, "minutes": due.minute, "seconds": due.second,
              "nanos": due.microsecond * 1000}
    create(call, schedule={"scheduleStartDate": date, "startTimeOfDay": moment})
    early = listing(call)
    assert early == [] or gcs.clock.now() >= due  # as on a machine that is too busy to ask earlier
    until(lambda: buckets[0].names == [])
    gcs.transfers.settle()
    assert parse_time(listing(call)[0]["metadata"]["startTime"]) >= due - timedelta(seconds=0.001)


def test_an_operation_is_held_and_paused(gcs, call, buckets):
    source, sink = buckets
    gcs.transfers.plan = Plan(hold_after=2)
    create(call)
    name = run(call)
    until(lambda: len(sink.names) == 2)
    assert call.refused("POST", "/v1/transferJobs/job:run", {"projectId": PROJECT}) \
        == "FAILED_PRECONDITION"
    now = call("GET", f"/v1/{name}")
    assert "done" not in now and now["metadata"]["status"] == "IN_PROGRESS"
    assert now["metadata"]["counters"]["objectsCopiedToSink"] == "2"
    call("POST", f"/v1/{name}:pause", {})
    gcs.transfers.change(hold_after=None)
    assert call.refused("POST", f"/v1/{name}:pause", {}) == "FAILED_PRECONDITION"
    assert [one["name"] for one in listing(call, transferStatuses=["paused"])] == [name]
    assert len(sink.names) == 2
    call("POST", f"/v1/{name}:resume", {})
    gcs.transfers.settle()
    assert source.names == [] and len(sink.names) == 4


def test_an_operation_is_cancelled(gcs, call, buckets):
    source, sink = buckets
    gcs.transfers.plan = Plan(hold_after=1)
    create(call)
    name = run(call)
    until(lambda: sink.names)
    call("POST", f"/v1/{name}:cancel", {})
    gcs.transfers.settle()
    ended = call("GET", f"/v1/{name}")
    assert ended["metadata"]["status"] == "ABORTED" and ended["error"]["code"] == 1
    assert len(source.names) == 4 and len(sink.names) == 1  # copied, not yet deleted
    call("POST", f"/v1/{name}:cancel", {})
    gcs.transfers.plan = Plan()
    run(call)
    gcs.transfers.settle()
    assert source.names == [] and len(sink.names) == 4


def test_an_operation_waits_for_its_turn(gcs, call):
    gcs.transfers.plan = Plan(queued=True)
    create(call)
    name = run(call)
    assert call("GET", f"/v1/{name}")["metadata"]["status"] == "QUEUED"
    gcs.transfers.change(queued=False, objects_per_s=1000)
    gcs.transfers.settle()
    assert call("GET", f"/v1/{name}")["metadata"]["status"] == "SUCCESS"


def test_objects_change_meanwhile(gcs, call, buckets):
    source, sink = buckets
    gcs.transfers.plan = Plan(hold_after=1)
    create(call)
    name = run(call)
    until(lambda: sink.names)
    gcs.store.put("data", "d/2018/1", b"replaced", {})
    gcs.store.put("data", "d/2018/0", b"added", {})
    source.remove(source.live("other"), for_ever=True)
    gcs.transfers.plan = Plan()
    gcs.transfers.settle()
    about = call("GET", f"/v1/{name}")["metadata"]
    assert about["status"] == "FAILED"
    assert about["errorBreakdowns"][0]["errorCode"] == "FAILED_PRECONDITION"
    assert source.names == ["d/2018/0", "d/2018/1"]
    assert sink.live("d/2018/1").data == b"d/2018/1"
    run(call)
    gcs.transfers.settle()
    assert source.names == [] and sink.live("d/2018/1").data == b"replaced"


@pytest.mark.parametrize("planned", ["fail_copies", "fail_deletions"])
def test_objects_fail(gcs, call, buckets, planned):
    source, sink = buckets
    for at in range(7):
        gcs.store.put("data", f"broken/{at}", b"x", {})
    gcs.transfers.plan = Plan(**{planned: "^broken/"}, error="RESOURCE_EXHAUSTED", fail_times=7)
    failed = ran(gcs, call)
    about = failed["metadata"]
    assert failed["done"] and failed["error"] and about["status"] == "FAILED"
    [breakdown] = about["errorBreakdowns"]
    assert (breakdown["errorCode"], breakdown["errorCount"]) == ("RESOURCE_EXHAUSTED", "7")
    assert [entry["url"] for entry in breakdown["errorLogEntries"]] == [
        f"gs://data/broken/{at}" for at in range(5)]
    assert about["counters"]["objectsFromSourceFailed"] == "7"
    assert len(source.names) == 7 and "d/2018/1" in sink.names
    assert ("broken/0" in sink.names) == (planned == "fail_deletions")
    run(call)
    gcs.transfers.settle()
    assert source.names == [] and listing(call)[0]["metadata"]["status"] == "SUCCESS"


def test_identical_objects_may_be_kept(gcs, call, buckets):
    gcs.transfers.plan = Plan(keep_identical=True)
    gcs.store.put("datashadow", "other", b"other", {})
    ran(gcs, call)
    assert buckets[0].names == ["other"]


@pytest.mark.parametrize("bucket", ["data", "datashadow"])
def test_a_bucket_goes(gcs, call, bucket):
    create(call)
    del gcs.store.buckets[bucket]
    name = run(call)
    gcs.transfers.settle()
    failed = call("GET", f"/v1/{name}")
    assert failed["error"]["code"] == 5 and bucket in failed["error"]["message"]
    assert failed["metadata"]["errorBreakdowns"][0]["errorLogEntries"][0]["url"] == f"gs://{bucket}/"


def test_notifications(gcs, call):
    gcs.pubsub.make_topic(TOPIC)
    about_all = {"pubsubTopic": TOPIC, "payloadFormat": "JSON"}
    create(call, notificationConfig=about_all)
    create(call, "failures", notificationConfig={
        **about_all, "payloadFormat": "NONE", "eventTypes": ["TRANSFER_OPERATION_FAILED"]})
    names = []
    gcs.transfers.plan = Plan(lost_notifications=1)
    for job, fail in (("job", None), ("job", None), ("failures", None), ("failures", "")):
        gcs.store.put("data", "another", str(len(names)).encode(), {})
        gcs.transfers.change(fail_copies=fail)
        names.append(run(call, job))
        gcs.transfers.settle()
    first, second = gcs.pubsub.published(TOPIC)
    assert first["attributes"] == {
        "eventType": "TRANSFER_OPERATION_SUCCESS", "payloadFormat": "JSON", "projectId": PROJECT,
        "transferJobName": "transferJobs/job", "transferOperationName": names[1]}
    assert json.loads(first["data"])["status"] == "SUCCESS"
    assert second["attributes"]["eventType"] == "TRANSFER_OPERATION_FAILED" and second["data"] == b""
    assert second["attributes"]["transferOperationName"] == names[3]


def test_an_operation_is_listed_late(gcs, call):
    gcs.transfers.plan = Plan(unlisted=2)
    create(call)
    name = run(call)
    assert [len(listing(call)) for _ in range(3)] == [0, 0, 1]
    assert call("GET", f"/v1/{name}")["name"] == name


def test_listings(gcs, call):
    for at in range(5):
        create(call, f"j{at}")
        run(call, f"j{at}")
        gcs.transfers.settle()
        gcs.clock.advance(hours=1)

    def pages(path, key, **wanted):
        found, token = [], ""
        wanted = quote(json.dumps({"projectId": PROJECT, **wanted}))
        while True:
            part = call("GET", f"/v1/{path}?pageSize=2&filter={wanted}{token}")
            found += [one["name"] for one in part[key]]
            if "nextPageToken" not in part:
                return found
            token = "&pageToken=" + quote(part["nextPageToken"], safe="")
    assert pages("transferJobs", "transferJobs") == [f"transferJobs/j{at}" for at in range(5)]
    operations = [one.name for one in reversed(gcs.transfers.operations)]
    assert pages("transferOperations", "operations") == operations
    assert [one["name"] for one in listing(call, jobNames=["transferJobs/j3"])] == [operations[1]]
    assert [one["name"] for one in listing(call, operationNamePattern="*-j2-*")] == [operations[2]]
    assert [one["name"] for one in listing(call, minCreationTime="2019-03-10T06:30:00Z",
                                           maxCreationTime="2019-03-10T07:30:00Z")] \
        == operations[2:4]
    assert listing(call, jobNamePattern="transferJobs/j") == []


def test_a_name_is_made_up(call):
    job = call("POST", "/v1/transferJobs", without(a_job(), "name"))
    assert job["name"].startswith("transferJobs/")
    assert call("GET", f"/v1/{job['name']}?projectId={PROJECT}") == job


def test_another_process_is_in_control(gcs, call, buckets):
    def control(**settings):
        call.connection.request("POST", "/_control", json.dumps({"settings": settings}))
        reply = call.connection.getresponse()
        assert (reply.status, reply.read()) == (204, b"")
    create(call, schedule={"scheduleStartDate": TODAY, **AT})
    control(transfer_plan={"fail_copies": "^other$"}, clock_time="2019-03-10T06:00:00Z")
    gcs.transfers.settle()
    assert buckets[0].names == ["other"]
    control(denied_projects=[PROJECT], check_access=True)
    assert call.refused("GET", f"/v1/transferJobs/job?projectId={PROJECT}") == "PERMISSION_DENIED"
    control(denied_projects=[], clock_time=None)
    assert call.refused("POST", "/v1/transferJobs", a_job("two")) == "FAILED_PRECONDITION"
    assert not gcs.clock.stands
