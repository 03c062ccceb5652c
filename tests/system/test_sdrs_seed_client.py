"""Clients of the older system, which know its REST API from its published description: each operation is
there with all that it took and answered, and the requests of its provisioning script and of its sample
functions get what they wait for."""

import json

import pytest
from conftest import SOURCE, World
from google_world import Caller
from sdrs_google_world import google  # noqa: F401: a fixture
from sdrs_world import PROJECT, SdrsWorld, with_query

# pylint: disable=redefined-outer-name

OPERATIONS = json.loads((SOURCE / "tests/data/sdrs/operations.json").read_text())
NAMES = [f"{operation['method']} {operation['path']}" for operation in OPERATIONS]
TYPES = {"string": str, "integer": int, "boolean": bool}
# Where the description was not kept: it left a number of no meaning in one reply, and its code wrote
# times as numbers.
NEVER_MEANT = {("POST", "/stsjobpool"): {"id"}}
WRITTEN_AS = {"createdAt": "integer", "updatedAt": "integer"}

POOL = {"sourceBucket": "events", "sourceProject": PROJECT}
RULE = {"type": "DATASET", "projectId": PROJECT, "dataStorageName": "gs://events/clicks/"}
NOTICE = {"deletedObject": "gs://events/clicks/.SUCCESS", "projectId": PROJECT,
          "deletedAt": "2019-05-13T12:00:00.123456Z"}


def described(method, path):
    """The operation of a request's path."""
    path = path.partition("?")[0]
    for operation in OPERATIONS:
        known = operation["path"].partition("{")[0]
        if operation["method"] == method and (
                path == operation["path"] or (known != operation["path"] and path.startswith(known))):
            return operation
    raise AssertionError(f"there is no {method} {path}")


def check_members(operation, members, told):
    if isinstance(members, list):
        assert isinstance(told, list)
        for one in told:
            check_members(operation, members[0], one)
        return
    left_out = NEVER_MEANT.get((operation["method"], operation["path"]), set())
    assert set(members) - left_out <= set(told)
    for name in set(members) & set(told):
        kind = WRITTEN_AS.get(name, members[name])
        if isinstance(kind, list):
            assert told[name] in kind, name
        else:
            assert told[name] is None or type(told[name]) is TYPES[kind], name


def check(method, path, reply):
    """Fails unless the description has this reply, with all its members."""
    operation = described(method, path)
    assert str(reply.status) in operation["replies"], reply.text
    members = operation["replies"][str(reply.status)]
    if members is None:
        assert reply.headers["content-type"].startswith("text/plain")
    else:
        assert reply.headers["content-type"].startswith("application/json")
        check_members(operation, members, reply.json)
    assert reply.headers["correlation-uuid"]
    return reply


# ---- the description against ours ----------------------------------------------------------------


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Our own description, which other tests hold against what is answered."""
    with SdrsWorld(World(tmp_path_factory.mktemp("described"))).serve() as service:
        return service.get("/openapi.json").json


def resolve(document, schema):
    if "$ref" in schema:
        return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def type_of(schema):
    """The one that is not null, of {"type": [...]}."""
    kind = schema.get("type")
    return next(one for one in kind if one != "null") if isinstance(kind, list) else kind


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_all_that_was_taken_is_taken(ours, operation):
    mine = ours["paths"][operation["path"]][operation["method"].lower()]
    parameters = {one["name"]: one for one in mine["parameters"]}
    for name, was in operation.get("parameters", {}).items():
        assert parameters[name]["in"] == was["in"]
        assert type_of(parameters[name]["schema"]) == was["type"]
    for one in parameters.values():  # nothing is asked for that nobody knew of
        assert not one["required"] or operation["parameters"][one["name"]]["required"]
    if "body" not in operation:
        assert "requestBody" not in mine
        return
    schema = resolve(ours, mine["requestBody"]["content"]["application/json"]["schema"])
    members = operation["body"]
    if isinstance(members, list):
        assert schema["type"] == "array"
        schema, members = resolve(ours, schema["items"]), members[0]
    assert set(members) <= set(schema["properties"])
    assert set(schema.get("required", [])) <= set(members)
    for name, kind in members.items():
        if isinstance(kind, list) and "enum" in schema["properties"][name]:
            assert set(kind) <= set(schema["properties"][name]["enum"])
        elif not isinstance(kind, list):
            assert kind in str(schema["properties"][name]), name


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_all_replies_are_as_they_were(ours, operation):
    mine = ours["paths"][operation["path"]][operation["method"].lower()]["responses"]
    for status, members in operation["replies"].items():
        content = mine[status]["content"]
        if members is None:
            assert list(content) == ["text/plain"]
            continue
        schema = resolve(ours, content["application/json"]["schema"])
        schema = resolve(ours, schema.get("anyOf", [schema])[0])
        if isinstance(members, list):
            schema, members = resolve(ours, schema["items"]), members[0]
        left_out = NEVER_MEANT.get((operation["method"], operation["path"]), set())
        assert set(members) - left_out <= set(schema["properties"])


# ---- requests --------------------------------------------------------------------------------------


class Client:
    """Asks as a client of the older system does, and holds each reply against the description."""

    def __init__(self, google, service):
        self.google, self.service = google, service
        self.asked = set()

    def ask(self, method, path, body=None, **query):
        path = with_query(path, query)
        reply = check(method, path, self.service.ask(method, path, body))
        self.asked.add((method, described(method, path)["path"], reply.status))
        return reply

    def good(self, *words, **query):
        reply = self.ask(*words, **query)
        assert reply.status == 200, reply.text
        return reply.json if "json" in reply.headers["content-type"] else reply.text

    def refused(self, *words, **query):
        reply = self.ask(*words, **query)
        assert reply.status == 400 and reply.json["message"]
        return reply.json["message"]


@pytest.fixture
def client(google):
    google.bucket("events")
    with google.serve() as service:
        yield Client(google, service)


def make_pool(client):
    """What the provisioning script makes at the service, and what it then sends: 24 jobs for datasets,
    one an hour, and one at the day's end for the rest of the bucket."""
    call, sent = Caller(client.google.gcs), []
    for number in range(25):
        hours, minutes, seconds = (number, 0, 0) if number < 24 else (23, 59, 59)
        job = call("POST", "/v1/transferJobs", {
            "description": f"pool {number}", "status": "DISABLED", "projectId": PROJECT,
            "schedule": {"scheduleStartDate": {"day": 15, "month": 5, "year": 2030},
                         "startTimeOfDay": {"hours": hours, "minutes": minutes, "seconds": seconds}},
            "transferSpec": {"gcsDataSource": {"bucketName": "events"},
                             "gcsDataSink": {"bucketName": "eventsshadow"}}})
        sent.append({"name": job["name"], "status": job["status"], "projectId": job["projectId"],
                     "type": "dataset" if number < 24 else "default", "sourceBucket": "events",
                     "sourceProject": PROJECT, "targetBucket": "eventsshadow",
                     "schedule": f"{hours:02}:{minutes:02}:{seconds:02}"})
    return sent


def test_the_provisioning_script(client):
    sent = make_pool(client)
    assert client.good("POST", "/stsjobpool", sent, **POOL)["success"] is True
    client.refused("POST", "/stsjobpool", sent, **POOL)  # it rolls back, then
    pool = client.good("GET", "/stsjobpool", **POOL)
    assert {job["name"] for job in pool} == {job["name"] for job in sent}
    assert sorted(job["schedule"] for job in pool) == sorted(job["schedule"] for job in sent)
    call = Caller(client.google.gcs)
    for job in pool:  # with names as in protocol buffers
        told = call("PATCH", f"/v1/{job['name']}", {
            "project_id": PROJECT, "update_transfer_job_field_mask": "status",
            "transfer_job": {"status": "DELETED"}})
        assert told["status"] == "DELETED"
    client.good("DELETE", "/stsjobpool", **POOL)
    assert client.good("GET", "/stsjobpool", **POOL) == []
    assert client.good("POST", "/stsjobpool", make_pool(client), **POOL)["success"] is True


def test_the_function_that_sees_new_objects(client):
    """An object '.rpo/TIME_DAYS' makes a rule of the folder around it, or changes it; one that is to be
    deleted is asked for by its marker. Days are sent as text."""
    reply = client.service.get("/retentionrules", **RULE)
    assert reply.status == 404 and reply.json["message"]
    rule = client.good("POST", "/retentionrules", {**RULE, "retentionPeriod": "30"})["ruleId"]
    found = client.good("GET", "/retentionrules", **RULE)
    assert (found["ruleId"], found["retentionPeriod"]) == (rule, 30)
    assert client.good("PUT", f"/retentionrules/{rule}",
                       {"retentionPeriod": "45"})["retentionPeriod"] == 45
    client.good("POST", "/events/execution", {
        "target": "gs://events/clicks/old/.delete_this_folder", "projectId": PROJECT, "type": "USER"})
    # Some of its versions left the marker away, and were refused there, too.
    assert "does not have a valid delete marker" in client.refused("POST", "/events/execution", {
        "target": "gs://events/clicks/old/", "projectId": PROJECT, "type": "USER"})


def test_the_function_that_sees_deletions(client):
    client.good("POST", "/retentionrules", {**RULE, "retentionPeriod": "30"})
    client.good("POST", "/events/notification", NOTICE)
    client.good("DELETE", "/retentionrules", **RULE)
    assert client.service.delete("/retentionrules", **RULE).status == 404


def test_the_function_that_runs_by_the_clock(client):
    executed = client.good("POST", "/events/execution", {"type": "POLICY"})
    client.good("POST", "/events/validation")
    client.service.execution(executed["executionId"])


def test_every_operation_and_reply(client):
    """All of the description, at least once: what is good, and what is refused."""
    assert "Web server is UP" in client.good("GET", "/status")
    sent = make_pool(client)[:1]
    client.good("POST", "/stsjobpool", sent, **POOL)
    client.good("GET", "/stsjobpool", **POOL)
    client.good("DELETE", "/stsjobpool", **POOL)
    rule = client.good("POST", "/retentionrules", {
        **RULE, "retentionPeriod": 1000, "retentionPeriodUnit": "DAY", "datasetName": "c"})["ruleId"]
    client.good("GET", "/retentionrules", **RULE)
    client.good("PUT", f"/retentionrules/{rule}", {"retentionPeriod": 0})
    client.good("DELETE", "/retentionrules", **RULE)
    for kind in ("DEFAULT", "GLOBAL"):
        client.good("POST", "/retentionrules", {**RULE, "type": kind, "retentionPeriod": 30})
        assert client.good("GET", "/retentionrules", **{**RULE, "type": kind})["type"] == kind
    client.good("POST", "/events/execution", {"type": "POLICY", "projectId": PROJECT})
    client.good("POST", "/events/notification", NOTICE)
    client.good("POST", "/events/validation")
    for method in ("GET", "DELETE"):
        client.refused(method, "/stsjobpool")
        client.refused(method, "/retentionrules", type="DATASET")
    client.refused("POST", "/stsjobpool", sent)
    client.refused("POST", "/retentionrules", RULE)
    client.refused("PUT", f"/retentionrules/{rule}", {"retentionPeriod": 2000})
    client.refused("PUT", "/retentionrules/99", {"retentionPeriod": 20})
    client.refused("POST", "/events/execution", {})
    client.refused("POST", "/events/notification", {})
    wanted = {(operation["method"], operation["path"], int(status))
              for operation in OPERATIONS for status in operation["replies"] if status != "500"}
    # A validation takes nothing that could be wrong.
    assert wanted - client.asked == {("POST", "/events/validation", 400)}
