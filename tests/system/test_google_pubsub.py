"""The stand-in for Google's Pub/Sub, tried by Google's own REST client for Node, and by hand. Google's client
for Pub/Sub alone speaks gRPC, which the stand-in does not."""

import base64
import http.client
import json

import pytest

from google_api import refusal
from google_world import Caller, needs_node, node

PROJECT = "projects/project-1"
TOPIC, SUBSCRIPTION = f"{PROJECT}/topics/events", f"{PROJECT}/subscriptions/reader"


@pytest.fixture
def call(gcs):
    gcs.clock.set("2019-03-10T05:30:00Z")
    gcs.pubsub.make_topic(TOPIC)
    return Caller(gcs)


def message(text="", **attributes):
    made = {"data": base64.b64encode(text.encode()).decode()} if text else {}
    return {**made, "attributes": attributes} if attributes else made


def publish(call, *messages):
    return call("POST", f"/v1/{TOPIC}:publish", {"messages": list(messages)})["messageIds"]


def subscribe(call, **fields):
    return call("PUT", f"/v1/{SUBSCRIPTION}", {"topic": TOPIC, **fields})


def pull(call, limit=10):
    received = call("POST", f"/v1/{SUBSCRIPTION}:pull",
                    {"maxMessages": limit, "returnImmediately": True})
    return [(one["ackId"], base64.b64decode(one["message"]["data"]).decode())
            for one in received.get("receivedMessages", [])]


@needs_node
def test_client_publishes_and_pulls(gcs):
    gcs.clock.set("2019-03-10T05:30:00Z")
    told = node(gcs, """
        const { topics, subscriptions } = pubsub.projects;
        const topic = 'projects/project-1/topics/t-1', subscription = 'projects/p/subscriptions/s-1';
        const data = Buffer.from('ä').toString('base64');
        const none = await fails(topics.publish({ topic, requestBody: { messages: [{ data }] } }));
        const { data: created } = await topics.create({ name: topic, requestBody: {
          labels: { a: 'b' } } });
        const again = await fails(topics.create({ name: topic, requestBody: {} }));
        await subscriptions.create({ name: subscription, requestBody: { topic } });
        const { data: published } = await topics.publish({ topic, requestBody: { messages: [
          { data, attributes: { k: 'v' } }, { attributes: { only: 'this' } }] } });
        const pull = async () => (await subscriptions.pull({ subscription, requestBody: {
          maxMessages: 10 } })).data.receivedMessages;
        const received = await pull();
        await subscriptions.acknowledge({ subscription, requestBody: {
          ackIds: received.map((one) => one.ackId) } });
        const rest = await pull();
        const { data: listed } = await topics.list({ project: 'projects/project-1' });
        await topics.delete({ topic });
        const { data: orphan } = await subscriptions.get({ subscription });
        const { data: gone } = await subscriptions.delete({ subscription });
        return { none, created, again, published, received, rest, listed, orphan, gone };
    """)
    assert told["none"] == [404, "NOT_FOUND"] and told["again"] == [409, "ALREADY_EXISTS"]
    assert told["created"] == {"name": "projects/project-1/topics/t-1", "labels": {"a": "b"}}
    assert told["published"] == {"messageIds": ["1", "2"]}
    assert [one["message"] for one in told["received"]] == [
        {"data": "w6Q=", "attributes": {"k": "v"}, "messageId": "1",
         "publishTime": "2019-03-10T05:30:00.000Z"},
        {"attributes": {"only": "this"}, "messageId": "2",
         "publishTime": "2019-03-10T05:30:00.000Z"}]
    assert "rest" not in told
    assert told["listed"] == {"topics": [told["created"]]}
    assert told["orphan"]["topic"] == "_deleted-topic_"
    assert told["gone"] == {}


def test_the_test_sees_what_was_published(gcs, call):
    assert publish(call, message("a", k="v"), message("b")) == ["1", "2"]
    first, second = gcs.pubsub.published(TOPIC)
    assert (first["data"], first["attributes"]) == (b"a", {"k": "v"})
    assert (second["data"], second["messageId"]) == (b"b", "2")


MANY = {f"k{at}": "v" for at in range(101)}
REFUSED_MESSAGES = [
    [], [{}], [message("x")] * 1001, [message("x", **MANY)], [message(**{"": "v"})],
    [message(**{"k" * 257: "v"})], [message(k="ä" * 512 + "x")], [message(googclient="v")],
    [{"data": "?"}], [{"data": "YQ"}], [{"data": "YQ==", "messageId": "1"}], [{"text": "x"}],
    [{"data": "YQ==", "attributes": {"k": 1}}], [message("x" * 10_000_001)],
    [{"data": "YQ==", "orderingKey": "a"}, {"data": "YQ==", "orderingKey": "b"}],
]


@pytest.mark.parametrize("messages", REFUSED_MESSAGES, ids=range(len(REFUSED_MESSAGES)))
def test_messages_are_checked(gcs, call, messages):
    assert call.refused("POST", f"/v1/{TOPIC}:publish", {"messages": messages}) == "INVALID_ARGUMENT"
    assert gcs.pubsub.published(TOPIC) == []


def test_what_is_just_allowed(gcs, call):
    attributes = {f"{at:0256}": "ä" * 512 for at in range(100)}
    assert len(publish(call, message(**attributes), *[message("x")] * 999)) == 1000
    publish(call, message("x" * 10_000_000))


@pytest.mark.parametrize("name", ["ab", "1abc", "googly", "a b c", "a" * 256])
def test_names_are_checked(call, name):
    path = f"/v1/{PROJECT}/topics/{name.replace(' ', '%20')}"
    assert call.refused("PUT", path, {}) == "INVALID_ARGUMENT"


def test_other_refusals(gcs, call):
    assert call.refused("POST", f"/v1/{SUBSCRIPTION}:pull", {"maxMessages": 1}) == "NOT_FOUND"
    subscribe(call)
    assert call.refused("PUT", f"/v1/{SUBSCRIPTION}", {"topic": TOPIC}) == "ALREADY_EXISTS"
    assert call.refused("POST", f"/v1/{SUBSCRIPTION}:pull", {}) == "INVALID_ARGUMENT"
    assert call.refused("POST", f"/v1/{SUBSCRIPTION}:acknowledge", {}) == "INVALID_ARGUMENT"
    assert call.refused("PUT", f"/v1/{SUBSCRIPTION}2", {"topic": TOPIC + "2"}) == "NOT_FOUND"
    assert call.refused("PUT", f"/v1/{SUBSCRIPTION}2", {
        "topic": TOPIC, "ackDeadlineSeconds": 601}) == "INVALID_ARGUMENT"
    gcs.pubsub.denied_projects.add("project-1")
    assert call.refused("GET", f"/v1/{TOPIC}") == "PERMISSION_DENIED"
    call.token = "none"
    assert call.refused("GET", f"/v1/{TOPIC}") == "UNAUTHENTICATED"


def test_unacknowledged_messages_come_again(gcs, call):
    subscribe(call, ackDeadlineSeconds=30)
    publish(call, message("a"), message("b"), message("c"))
    [(first, text)] = pull(call, 1)
    assert text == "a" and [text for _, text in pull(call)] == ["b", "c"]
    gcs.clock.advance(seconds=29)
    assert pull(call) == []
    call("POST", f"/v1/{SUBSCRIPTION}:modifyAckDeadline",
         {"ackIds": [first], "ackDeadlineSeconds": 60})
    gcs.clock.advance(seconds=1)
    again = pull(call)
    assert [text for _, text in again] == ["b", "c"]
    call("POST", f"/v1/{SUBSCRIPTION}:acknowledge", {"ackIds": [again[0][0]]})
    call("POST", f"/v1/{SUBSCRIPTION}:modifyAckDeadline",
         {"ackIds": [again[1][0]], "ackDeadlineSeconds": 0})
    assert [text for _, text in pull(call)] == ["c"]
    gcs.clock.advance(seconds=59)
    publish(call, message("d"))
    assert [text for _, text in pull(call)] == ["a", "c", "d"]


def test_a_publishing_is_refused_or_its_answer_lost(gcs, call):
    """Whoever tries again after the second has it published twice."""
    gcs.rules.add(refusal("UNAVAILABLE", method="POST", target=":publish$"))
    body = {"messages": [message("a")]}
    assert call.refused("POST", f"/v1/{TOPIC}:publish", body) == "UNAVAILABLE"
    gcs.rules.add(method="POST", target=":publish$", cut_reply_bytes=0)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        call("POST", f"/v1/{TOPIC}:publish", body)
    call.connection.close()
    call("POST", f"/v1/{TOPIC}:publish", body)
    assert [one["data"] for one in gcs.pubsub.published(TOPIC)] == [b"a", b"a"]


def test_a_reply_has_the_fields_that_are_asked_for(call):
    subscribe(call)
    told = call("GET", f"/v1/{SUBSCRIPTION}?fields=topic&prettyPrint=false")
    assert json.dumps(told) == json.dumps({"topic": TOPIC})
