"""What every request to the REST API of sdrs has around it: bodies that are none, UUIDs, who may
ask, how the service stands, and its own description."""

import json
import re
import shutil
import socket

import jsonschema
import pytest
from api_schema import Judge
from api_world import until
from sdrs_world import PROJECT, sdrs, service  # noqa: F401: fixtures
from test_sdrs_rules import UUID, body_of, key_of, said

UNREADABLE = "Unable to read JSON input"


# ---- bodies ----


@pytest.mark.parametrize("body", [
    b"", b" ", b"{", b"{}}", b"{} {}", b"[]", b"5", b"null", b'"x"', b"{type: 1}", b"{'type':1}",
    b'{"type":"GLOBAL",}', b'{"a":1,"a":2}', b'{"type":"GLOBAL"\x00}', b"\x00", b"\xff\xfe{}",
    b'{"type":"\xc3\x28"}', b'{"type":"\\u0000"}', b'{"type":"\\ud800"}', b'{"retentionPeriod":01}',
    b'{"retentionPeriod":NaN}', b'{"retentionPeriod":1e999}',
    b'{"retentionPeriod":' + b"9" * 400 + b"}", b"[" * 100000, b'{"type":' * 100000,
])
def test_bodies_that_are_no_json_object(service, body):
    headers = {"Content-Type": "application/json"}
    assert said(service.post("/retentionrules", body, headers)) == UNREADABLE
    assert said(service.put("/retentionrules/1", body, headers)) == UNREADABLE


@pytest.mark.parametrize("value, shown", [
    ("thirty", "thirty"), ("", ""), (" 30", " 30"), ("30.0", "30.0"), (30.5, "30.5"), (30.0, "30.0"),
    (1e30, "1e30"), (True, "true"), ([30], "[30]"), ({}, "{}"), ("9" * 30, "9" * 30),
])
def test_periods_that_are_no_numbers(sdrs, service, value, shown):
    message = said(service.post("/retentionrules", body_of(sdrs, retentionPeriod=value)))
    assert message == f"'{shown}' doesn't match expected type"


@pytest.mark.parametrize("value", [30, "30"])
def test_a_number_may_be_a_text(sdrs, service, value):
    assert service.add_rule("events", "clicks", value)


@pytest.mark.parametrize("value", [None, ...])
def test_null_is_nothing(sdrs, service, value):
    assert said(service.post("/retentionrules", body_of(sdrs, retentionPeriod=value))) == (
        "Invalid input: retentionPeriod must be provided")
    assert service.post("/retentionrules",
                        body_of(sdrs, retentionPeriodUnit=value, datasetName=value)).status == 200


@pytest.mark.parametrize("name", ["projectId", "dataStorageName", "retentionPeriodUnit"])
def test_texts_are_texts(sdrs, service, name):
    for value, shown in [(5, "5"), (False, "false"), (["x"], '["x"]'), ({"a": 1}, '{"a":1}')]:
        assert said(service.post("/retentionrules", body_of(sdrs, **{name: value}))) == (
            f"'{shown}' doesn't match expected type")


def test_choices_and_names_are_held_to_the_table(sdrs, service):
    for value, shown in [("WEEKLY", "WEEKLY"), ("", ""), (5, "5"), ("ä'\"\n", "ä'\"\n")]:
        assert said(service.post("/retentionrules", body_of(sdrs, type=value))) == (
            f"Expected '{shown}' to be one of [GLOBAL, DATASET, DEFAULT]")
    for name in ("period", "RetentionPeriod", "", "ä\n"):
        assert said(service.post("/retentionrules", body_of(sdrs, **{name: 1}))) == (
            f"'{name}' is not an expected object property")
    # However long it is, what was expected is told.
    for value in ("x" * 100_000, "ä" * 100_000):
        assert said(service.post("/retentionrules", body_of(sdrs, type=value))).endswith(
            "...' to be one of [GLOBAL, DATASET, DEFAULT]")
        assert said(service.post("/retentionrules", body_of(sdrs, **{value: 1}))).endswith(
            "...' is not an expected object property")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded",
                                        "application/jsonp", "application", ""])
def test_bodies_of_other_types(sdrs, service, media_type):
    reply = service.post("/retentionrules", json.dumps(body_of(sdrs)), {"Content-Type": media_type})
    assert said(reply, 415).startswith("Content-Type has to be application/json")


@pytest.mark.parametrize("media_type", [None, "application/json", "Application/JSON;charset=utf-8"])
def test_bodies_of_the_right_type(sdrs, service, media_type):
    headers = {"Content-Type": media_type} if media_type else {}
    assert service.post("/retentionrules", json.dumps(body_of(sdrs)).encode(),
                        headers).status == 200


def test_bodies_have_a_limit(service):
    reply = service.post("/retentionrules", b'{"type":"' + b"x" * (2 << 20),
                         {"Content-Type": "application/json"})
    assert reply.status == 413
    assert service.get("/status").status == 200


# ---- UUIDs ----


def test_the_correlation_uuid_is_echoed_or_made(sdrs, service):
    made = set()
    for path in ("/retentionrules", "/status", "/retentionrules/9/history", "/openapi.json"):
        reply = service.get(path)
        assert UUID.fullmatch(reply.headers["correlation-uuid"])
        made.add(reply.headers["correlation-uuid"])
        for token in ("batch-1", "a", "~" * 128):
            reply = service.get(path, headers={"correlation-uuid": token})
            assert reply.headers["correlation-uuid"] == token
        for token in ("x" * 129, "a b", "a\tb", "", "ä"):
            reply = service.get(path, headers={"correlation-uuid": token.encode()})
            assert UUID.fullmatch(reply.headers["correlation-uuid"])
    assert len(made) == 4
    uuids = {service.get("/retentionrules").json["requestUuid"] for _ in range(5)}
    assert len(uuids) == 5


def test_each_line_of_the_log_has_the_uuids(sdrs, service):
    headers = {"correlation-uuid": "batch-7"}
    before = len(service.messages)
    replies = [service.post("/retentionrules", body_of(sdrs), headers),
               service.post("/retentionrules", body_of(sdrs), headers),
               service.put("/retentionrules/1", {"retentionPeriod": 5}, headers),
               service.get("/retentionrules", headers, type="GLOBAL"),
               service.delete("/retentionrules", headers, **key_of(sdrs))]
    assert [reply.status for reply in replies] == [200, 400, 200, 404, 200]
    lines = service.messages[before:]
    assert len(lines) >= 5
    for line in lines:
        assert "batch-7" in json.dumps(line), line
    for reply in replies:
        assert any(reply.json["requestUuid"] in json.dumps(line) for line in lines)


# ---- who may ask ----


def address_of_this_machine():
    """One that is not the loopback; None without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def test_a_page_of_another_site_may_not_ask(sdrs, service):
    headers = {"Origin": "https://elsewhere.example"}
    assert service.post("/retentionrules", body_of(sdrs), headers).status == 403
    assert service.get("/retentionrules").json["rules"] == []


def test_without_keys_only_this_machine_is_served(sdrs):
    address = address_of_this_machine()
    if not address:
        pytest.skip("the machine has no network")
    sdrs.bucket("events")
    with sdrs.serve(listen="0.0.0.0:0") as service:
        assert service.ask("GET", "/retentionrules").status == 200
        reply = service.ask("GET", "/retentionrules", host=address)
        # A connection to an address of one's own may count as local or not: the machine decides.
        if reply.status != 200:
            assert "jwt_jwks" in said(reply, 403)
        assert service.ask("GET", "/status", host=address).status == 200


# ---- what is not there ----


def test_other_paths_and_methods(service):
    for method, path, status in [("GET", "/nothing", 404), ("PATCH", "/retentionrules", 405),
                                 ("GET", "/retentionrules/1", 405), ("PUT", "/status", 405)]:
        reply = service.ask(method, path)
        assert said(reply, status)  # with its UUID, as every reply
        assert ("allow" in reply.headers) == (status == 405)
    assert service.ask("PATCH", "/retentionrules").headers["allow"] == "POST, GET, HEAD, DELETE"
    assert "nothing/at all" in said(service.get("/nothing/at%20all"), 404)
    assert service.ask("HEAD", "/status").status == 200


# ---- how it stands ----


def test_the_status(service):
    reply = service.get("/status")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain")
    assert reply.text == "Web server is UP\nDatabase is UP\nPubSub is DOWN\n"


def test_the_status_without_the_database(sdrs, service):
    service.add_rule("events", "clicks")
    assert service.get("/status").status == 200
    shutil.rmtree(sdrs.world.state)
    sdrs.world.state.write_text("no folder with a database")
    reply = service.get("/status")
    assert (reply.status, reply.text) == (
        503, "Web server is UP\nDatabase is DOWN\nPubSub is DOWN\n")
    reply = service.get("/retentionrules")
    assert said(reply, 503) == "Service unavailable, try again later"
    assert str(sdrs.world.state) not in reply.text  # what is wrong is in the log
    assert any(message["level"] == "error" for message in service.messages)


def test_the_status_without_postgresql(sdrs, postgres, state_on_postgres):
    sdrs.bucket("events")
    with sdrs.serve() as service:
        assert service.get("/status").status == 200
        name = state_on_postgres.rpartition("/")[2].partition("?")[0]
        postgres.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                     f"WHERE datname = '{name}'")
        try:
            reply = service.get("/status")
            assert (reply.status, reply.text.splitlines()[1]) == (503, "Database is DOWN")
            assert said(service.get("/retentionrules"), 503) == (
                "Service unavailable, try again later")
        finally:
            postgres.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert until(lambda: service.get("/status").status == 200)
        assert service.get("/retentionrules").json["rules"] == []


@pytest.mark.parametrize("topic, word", [("projects/p/topics/there", "UP"),
                                         ("projects/p/topics/gone", "DOWN")])
def test_the_status_of_pubsub(sdrs, gcs, topic, word):
    sdrs.use_google(gcs)
    gcs.pubsub.make_topic("projects/p/topics/there")
    sdrs.configure(**{"pubsub.topic": topic})
    with sdrs.serve() as service:
        for _ in range(3):
            reply = service.get("/status")
            assert (reply.status, reply.text) == (
                200, f"Web server is UP\nDatabase is UP\nPubSub is {word}\n")
        looks = [call for call in gcs.calls if "/topics/" in call.target]
        assert len(looks) <= 2  # whoever asks for the status does not ask Google each time


# ---- the description ----


@pytest.fixture
def judge(service):
    return Judge(service.get("/openapi.json").json)


def test_the_description_is_sound(service, judge):
    document = judge.document
    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for path in document["paths"].values()
             for operation in path.values()]
    assert len(names) == len(set(names)) == 14
    refs = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert refs == set(document["components"]["schemas"])
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for path, item in document["paths"].items():
        for operation in item.values():
            in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert operation["summary"].endswith(".") and operation["responses"]


def test_replies_are_as_described(sdrs, service, judge):
    asked = [
        ("POST", "/retentionrules", body_of(sdrs)),
        ("POST", "/retentionrules", body_of(sdrs)),
        ("POST", "/retentionrules", b"{"),
        ("GET", "/retentionrules", None),
        ("GET", "/retentionrules?type=DATASET", None),
        ("GET", "/retentionrules?type=GLOBAL", None),
        ("PUT", "/retentionrules/1", {"retentionPeriod": 7}),
        ("PUT", "/retentionrules/9", {"retentionPeriod": 7}),
        ("GET", "/retentionrules/1/history", None),
        ("GET", "/retentionrules/9/history", None),
        ("DELETE", "/retentionrules?type=GLOBAL", None),
        ("GET", "/stsjobpool?sourceBucket=b&sourceProject=p", None),
        ("GET", "/stsjobpool", None),
        ("DELETE", "/stsjobpool?sourceBucket=b&sourceProject=p", None),
        ("GET", "/status", None),
        ("GET", "/openapi.json", None),
        ("POST", "/events/execution", {"type": "POLICY"}),
        ("POST", "/events/execution", {"type": "POLICY", "target": "gs://b/d"}),
        ("POST", "/events/validation", None),
        ("POST", "/events/notification", {"projectId": PROJECT}),
    ]
    for method, path, body in asked:
        reply = service.ask(method, path, body)
        assert reply.status < 500, (method, path, reply.text)
        judge.check(method, path, reply)
    event = service.post("/events/execution", {"type": "POLICY"}).json
    path = f"/events/execution/{event['executionId']}"
    judge.check("GET", path, service.get(path))
    found = service.execution(event["executionId"])
    judge.check("GET", path, service.get(path))
    assert found["status"] == "success"
