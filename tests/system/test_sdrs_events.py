"""Events of sdrs over HTTP: executions of rules, delete markers, validations and notifications."""
import http.server
import json
import threading
import uuid

import pytest
from api_world import until
from sdrs_world import PROJECT, sdrs, service  # noqa: F401

EXECUTION, NOTIFICATION = "/events/execution", "/events/notification"
RECEIVED = "Execution event received and being processed"
MARKER = ".delete_this_folder"
OLD = "2019-03-01T00"  # whatever the day is, older than any retention below


class Webhook:
    """Keeps what it is told."""

    def __init__(self):
        outer = self
        self.told = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.told.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def webhook():
    made = Webhook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def told(sdrs, webhook):  # noqa: F811
    """The service, with somebody who is told of its events."""
    sdrs.bucket("events")
    sdrs.configure(webhook_url=webhook.url)
    with sdrs.serve() as started:
        started.webhook = webhook
        yield started


def events(sdrs, webhook):  # noqa: F811
    """All that was told by now, once what waits is delivered."""
    assert sdrs.run("validate").status == 0
    return webhook.told


def policy(service, **members):  # noqa: F811
    reply = service.post(EXECUTION, {"type": "POLICY", **members})
    assert reply.status == 200, reply.text
    assert set(reply.json) == {"message", "requestUuid", "executionId", "runId"}
    assert reply.json["message"] == RECEIVED
    return service.execution(reply.json["executionId"])


def run_of(sdrs, name):  # noqa: F811
    """What is recorded of a run, once it has ended."""

    def look():
        shown = sdrs.world.run("runs", name, "--json")
        run = json.loads(shown.stdout) if shown.status == 0 else {}
        return run if run.get("finished") else None

    return until(look)


def refused(reply, status, message):
    assert (reply.status, reply.json["message"]) == (status, message)
    assert set(reply.json) == {"requestUuid", "message"}


# ---- POLICY -----------------------------------------------------------------------------------


def test_an_execution_and_how_it_went(sdrs, service):  # noqa: F811
    keys = sdrs.hours("events", "clicks", OLD, 30)
    rule = service.add_rule("events", "clicks", 30)
    batch = str(uuid.uuid4())
    reply = service.post(EXECUTION, {"type": "POLICY"}, headers={"correlation-uuid": batch})
    assert reply.headers["correlation-uuid"] == batch
    execution = service.execution(reply.json["executionId"])
    assert sdrs.keys("eventsshadow") == keys and sdrs.keys("events") == []
    assert execution["status"] == "success" and execution["message"] is None
    assert (execution["type"], execution["batchId"], execution["user"]) == (
        "POLICY", batch, "unknown")
    assert execution["runId"] == reply.json["runId"]
    assert (execution["objects"], execution["failed"]) == (30, 0)
    assert execution["bytes"] == sum(len(sdrs.text("eventsshadow", key)) for key in keys)
    job, = execution["jobs"]
    assert (job["ruleId"], job["type"], job["status"], job["mover"]) == (
        rule, "DATASET", "success", "direct")
    assert (job["sourceBucket"], job["targetBucket"]) == (
        sdrs.name("events") + "/", sdrs.name("eventsshadow") + "/")
    assert job["objects"] == 30 and "clicks/2019/" in job["prefixes"]
    run = run_of(sdrs, execution["runId"])
    assert (run["action"], run["status"]) == ("execute", "succeeded")


def test_which_rules_are_executed(sdrs, service):  # noqa: F811
    sdrs.bucket("other")
    for dataset in ("clicks", "views"):
        sdrs.hours("events", dataset, OLD, 2)
    sdrs.hours("other", "clicks", OLD, 2)
    clicks = service.add_rule("events", "clicks", 30)
    service.add_rule("events", "views", 30)
    service.add_rule("other", "clicks", 30, project="others")

    one = policy(service, target=sdrs.name("events", "clicks") + "/", projectId=PROJECT)
    assert [job["ruleId"] for job in one["jobs"]] == [clicks] and one["ruleId"] == clicks
    assert one["target"] == sdrs.name("events", "clicks")
    assert len(sdrs.keys("eventsshadow")) == 2 and sdrs.keys("othershadow") == []
    assert policy(service, projectId=PROJECT)["objects"] == 2
    assert sdrs.keys("events") == [] and sdrs.keys("othershadow") == []
    assert policy(service, target="", projectId="")["objects"] == 2
    assert sdrs.keys("other") == []


def test_the_rule_of_a_bucket(sdrs, service):  # noqa: F811
    sdrs.put("events", "notes.txt", modified="2019-01-01T00:00:00Z")
    rule = service.add_rule("events", "", 30)
    assert policy(service, target=sdrs.name("events"), projectId=PROJECT)["ruleId"] == rule
    assert sdrs.keys("eventsshadow") == ["notes.txt"]


def test_a_target_without_a_project_executes_nothing(sdrs, service):  # noqa: F811
    sdrs.hours("events", "clicks", OLD, 2)
    service.add_rule("events", "clicks", 30)
    target = sdrs.name("events", "clicks")
    for members in ({"target": target}, {"target": target, "projectId": ""},
                    {"target": target, "projectId": None}):
        refused(service.post(EXECUTION, {"type": "POLICY", **members}), 400,
                "Invalid input: projectId must be provided if target is; for all rules give "
                "neither")
    refused(service.post(EXECUTION, {"type": "POLICY", "target": "clicks", "projectId": PROJECT}),
            400, "Invalid input: target must start with 'gs://' or 's3://' or 'file:///'")
    other = sdrs.name("events", "views")
    refused(service.post(EXECUTION, {"type": "POLICY", "target": other, "projectId": PROJECT}),
            404, f"No rule found matching projectId: '{PROJECT}' and dataStorageName: '{other}'")
    assert len(sdrs.keys("events")) == 2 and sdrs.keys("eventsshadow") == []


def test_bodies_that_are_no_events(service):  # noqa: F811
    for body, message in (
            ({}, "Invalid input: type must be provided"),
            ({"type": None}, "Invalid input: type must be provided"),
            ({"type": "ALL"}, "Expected 'ALL' to be one of [POLICY, USER]"),
            ({"type": "POLICY", "rule": 1}, "'rule' is not an expected object property"),
            ("{", "Unable to read JSON input")):
        refused(service.post(EXECUTION, body), 400, message)


def test_an_execution_that_fails_says_why(sdrs, service):  # noqa: F811
    sdrs.bucket("lone", shadow=False)
    sdrs.hours("lone", "clicks", OLD, 2)
    service.add_rule("lone", "clicks", 30)
    execution = policy(service)
    assert execution["status"] == "error"
    job, = execution["jobs"]
    assert job["status"] == "error" and "loneshadow" in job["message"]
    assert len(sdrs.keys("lone")) == 2


def test_each_line_of_an_execution_has_its_batch(sdrs, service):  # noqa: F811
    sdrs.bucket("lone", shadow=False)
    for bucket in ("events", "lone"):
        keys = sdrs.hours(bucket, "clicks", OLD, 2)
        service.add_rule(bucket, "clicks", 30)
    sdrs.put("eventsshadow", keys[0], "another")
    sdrs.configure(collision="keep")
    reply = service.post(EXECUTION, {"type": "POLICY"}, headers={"correlation-uuid": "batch-7"})
    service.execution(reply.json["executionId"])
    run_of(sdrs, reply.json["runId"])
    lines = [json.loads(line) for line in
             sdrs.world.run("logs", reply.json["runId"]).stdout.splitlines() if line[:1] == "{"]
    lines = [line for line in lines if "level" in line and "sdrs execute " not in line["message"]]
    assert len(lines) >= 4  # the beginning, the object that stays, and both rules that fail
    assert {line.get("batch") for line in lines} == {"batch-7"}, lines


def test_executions_that_are_none(service):  # noqa: F811
    for name in (str(uuid.uuid4()), "1", "x" * 300, "%27%3B--", "%ff%00"):
        reply = service.get(f"{EXECUTION}/{name}")
        assert reply.status in (400, 404), reply.text
    missing = str(uuid.uuid4())
    refused(service.get(f"{EXECUTION}/{missing}"), 404, f"No execution exists with ID: {missing}")


# ---- USER -------------------------------------------------------------------------------------


def mark(service, target, project=PROJECT, **headers):  # noqa: F811
    return service.post(EXECUTION, {"type": "USER", "target": target, "projectId": project},
                        headers=headers)


def test_what_a_delete_marker_has_to_be(sdrs, service):  # noqa: F811
    pattern = "\\.delete_this_folder"
    folder = sdrs.name("events", "clicks/2019")
    needs = "does not have a valid delete marker. The delete marker needs to match the pattern"
    none = "projectId must be provided if type is USER"
    cases = [
        ({}, f"target must be provided, {none}"),
        ({"projectId": PROJECT}, "target must be provided"),
        ({"target": "", "projectId": PROJECT}, "target must be provided"),
        ({"target": "clicks", "projectId": PROJECT},
         "target must start with 'gs://' or 's3://' or 'file:///'"),
        ({"target": "gs:///x", "projectId": PROJECT}, "target must include a bucket name"),
        ({"target": f"{folder}/{MARKER}"}, none),
        ({"target": f"{folder}/x"}, f"The target {folder}/x {needs} {pattern}, {none}"),
    ]
    for name in ("Xdelete_this_folder", MARKER + "x", "x" + MARKER, "log.txt", ""):
        cases.append(({"target": f"{folder}/{name}", "projectId": PROJECT},
                      f"The target {folder}/{name} {needs} {pattern}"))
    root = sdrs.name("events", MARKER)
    cases.append(({"target": root, "projectId": PROJECT},
                  f"The target {root} is intended to delete a bucket. Can not delete a bucket"))
    missing = sdrs.name("nowhere", f"clicks/{MARKER}")
    cases.append(({"target": missing, "projectId": PROJECT},
                  f"The bucket {PROJECT}/nowhere does not exist"))
    for body, message in cases:
        refused(service.post(EXECUTION, {"type": "USER", **body}), 400, f"Invalid input: {message}")


def test_a_delete_marker_from_the_queue_to_the_shadow(sdrs, told):  # noqa: F811
    keys = sdrs.hours("events", "clicks", OLD, 3)
    sdrs.put("events", f"clicks/2019/{MARKER}")
    stays = sdrs.hours("events", "clicks", "2020-01-01T00", 1)
    target = sdrs.name("events", f"clicks/2019/{MARKER}")
    batch = str(uuid.uuid4())
    reply = mark(told, target, **{"correlation-uuid": batch})
    assert reply.status == 200 and reply.json["message"] == RECEIVED
    assert set(reply.json) == {"message", "requestUuid", "executionId"}

    execution = told.get(f"{EXECUTION}/{reply.json['executionId']}").json
    assert (execution["type"], execution["status"], execution["target"]) == (
        "USER", "received", target)
    marker, = execution["markers"]
    assert (marker["status"], marker["retries"], marker["jobId"]) == ("pending", 0, None)
    assert marker["target"] == sdrs.name("events", "clicks/2019")
    refused(mark(told, target), 400,
            f"Invalid input: The target {target} for project {PROJECT} already exist.")
    event, = events(sdrs, told.webhook)
    assert event["context"]["name"] == "InactiveDatasetNotificationEvent"
    assert event["context"]["correlationID"] == {"string": batch} and event["trigger"] == batch
    assert (event["bucket"], event["directory"]) == ("events", sdrs.name("events", "clicks/2019"))

    assert sdrs.run("dm-batch").status == 0
    assert sdrs.keys("events") == stays
    assert sdrs.keys("eventsshadow") == sorted(keys + [f"clicks/2019/{MARKER}"])
    execution = told.get(f"{EXECUTION}/{reply.json['executionId']}").json
    marker, = execution["markers"]
    job, = execution["jobs"]
    assert (execution["status"], marker["status"], job["status"]) == 3 * ("success",)
    assert marker["jobId"] == job["jobId"] and job["type"] == "USER"
    assert job["prefixes"] == ["clicks/2019/"] and execution["objects"] == 4
    assert mark(told, target).status == 200  # and again, now that it is through
    names = [e["context"]["name"] for e in events(sdrs, told.webhook)]
    assert names.count("InactiveDatasetNotificationEvent") == 2
    assert names.count("SuccessDeleteNotificationEvent") == 1


def test_a_marker_that_many_send_at_once(sdrs, told):  # noqa: F811
    target = sdrs.name("events", f"clicks/2019/{MARKER}")
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(mark(told, target)))
               for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status for reply in replies) == [200] + 11 * [400]
    assert mark(told, target, project="others").status == 200  # it is another one
    assert len(events(sdrs, told.webhook)) == 2


def test_a_marker_that_is_sent_to_two_replicas_at_once(sdrs, state_on_postgres):  # noqa: F811
    sdrs.bucket("events")
    keys = sdrs.hours("events", "clicks", OLD, 2)
    targets = [sdrs.name("events", f"{folder}/{MARKER}") for folder in ("clicks", "clicks/2019")]
    with sdrs.serve() as one, sdrs.serve() as other:
        replies = []

        def send(target, replica):
            replies.append((target, mark(replica, target)))

        threads = [threading.Thread(target=send, args=(target, replica))
                   for _ in range(4) for target in targets for replica in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for target in targets:
            taken = [reply for name, reply in replies if name == target]
            assert sorted(reply.status for reply in taken) == [200] + 7 * [400]
        assert sdrs.run("dm-batch").status == 0
        for _, reply in replies:
            if reply.status == 200:
                for replica in (one, other):
                    shown = replica.get(f"{EXECUTION}/{reply.json['executionId']}").json
                    assert shown["status"] == "success"
    assert sdrs.keys("eventsshadow") == keys


# ---- validation and notification --------------------------------------------------------------


def test_a_validation_is_a_run(sdrs, service):  # noqa: F811
    reply = service.post("/events/validation")
    assert reply.status == 200
    assert set(reply.json) == {"message", "requestUuid", "runId"}
    assert reply.json["message"] == "Validation event received and being processed"

    run = run_of(sdrs, reply.json["runId"])
    assert (run["action"], run["status"]) == ("validate", "succeeded")
    assert service.post("/events/validation", "{}").status == 200


def test_what_a_notification_has_to_be(sdrs, service):  # noqa: F811
    good = {"deletedObject": sdrs.name("events", f"clicks/{MARKER}"), "projectId": PROJECT,
            "deletedAt": "2019-03-10T05:30:00Z"}
    for change, message in (
            ({"deletedObject": None}, "deletedObject must be provided"),
            ({"deletedObject": "clicks"},
             "deletedObject must start with 'gs://' or 's3://' or 'file:///'"),
            ({"deletedObject": "gs:///x"}, "deletedObject must include a bucket name"),
            ({"deletedObject": sdrs.name("events")},
             "deletedObject must include an object in the bucket"),
            ({"projectId": None}, "projectId must be provided."),
            ({"deletedAt": None}, "deletedAt must be provided."),
            ({"deletedAt": "yesterday"}, "deletedAt is not ISO 8601 format."),
            ({"deletedAt": "2019-02-30T00:00:00Z"}, "deletedAt is not ISO 8601 format."),
            ({"deletedObject": None, "projectId": None, "deletedAt": None},
             "deletedObject must be provided, projectId must be provided., "
             "deletedAt must be provided.")):
        refused(service.post(NOTIFICATION, {**good, **change}), 400, f"Invalid input: {message}")
    assert service.post(NOTIFICATION, good).status == 200


def test_a_notification_is_told(sdrs, told):  # noqa: F811
    batch = str(uuid.uuid4())
    for name, at in ((f"clicks/2019/{MARKER}", "2019-03-10T05:30:00Z"),
                     ("clicks/2019/", "2019-03-10T07:30:00+02:00")):
        reply = told.post(NOTIFICATION, {"deletedObject": sdrs.name("events", name),
                                         "projectId": PROJECT, "deletedAt": at},
                          headers={"correlation-uuid": batch})
        assert reply.status == 200
        assert set(reply.json) == {"message", "requestUuid"}
        assert reply.json["message"] == "Delete notification event received and being processed"
    marked, bare = events(sdrs, told.webhook)
    assert marked["context"]["name"] == "SuccessDeleteNotificationEvent"
    assert marked["context"]["correlationID"] == {"string": batch}
    assert (marked["projectId"], marked["bucket"], marked["deletedAt"]) == (
        PROJECT, "events", "2019-03-10T05:30:00Z")
    assert (marked["trigger"], bare["trigger"]) == (MARKER, "")
    for event in (marked, bare):
        assert event["directory"] == sdrs.name("events", "clicks/2019")
        assert event["deletedAt"] == "2019-03-10T05:30:00Z"
    assert len(events(sdrs, told.webhook)) == 2  # and not again
