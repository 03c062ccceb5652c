"""Who is told what sdrs does: through Pub/Sub or a webhook, each notification until it is delivered, and
none twice but under its own UUID."""
import json
import signal
import time

import pytest
from conftest import PATIENCE_S
from google_api import refusal
from sdrs_google_world import google  # noqa: F401
from sdrs_world import PROJECT
from stand_in import Reply, StandIn

# pylint: disable=redefined-outer-name

TOPIC = "projects/analytics/topics/deletions"
OLD, NEW = "models/v1/weights", "models/v2/weights"


@pytest.fixture
def models(google):
    """A dataset of two versions, of which a rule keeps one: one prefix is moved, by 'direct'."""
    google.bucket("events")
    for key in (OLD, NEW):
        google.put("events", key)
    google.rule("events", "models", 1, retentionPeriodUnit="VERSION")
    google.configure(mover="direct")
    return google


@pytest.fixture
def topic(models):
    models.gcs.pubsub.make_topic(TOPIC)
    models.configure(**{"pubsub.topic": TOPIC})
    return models


class Webhook(StandIn):
    """Takes notifications, and says no as often as it is told to."""
    settings = ()

    def __init__(self):
        super().__init__()
        self.taken, self.refusals = [], []

    def handle(self, request):
        body = request.body()
        if self.refusals:
            return Reply(self.refusals.pop(0))
        self.taken.append((dict(request.headers), json.loads(body)))
        return Reply(204)


@pytest.fixture
def webhook(models):
    with Webhook() as server:
        models.configure(webhook_url=f"{server.endpoint}/hooks/5ecret", webhook_token="hunter2")
        yield server


def published(google):
    return [(message["attributes"], json.loads(message["data"]))
            for message in google.gcs.pubsub.published(TOPIC)]


def execute(google):
    result = google.run("execute")
    assert result.status == 0, result.stderr
    return result


def validate(google):
    result = google.run("validate")
    assert result.status == 0, result.stderr
    return result


def text_of(value):
    """A text, or the union of one with null."""
    return value["string"] if isinstance(value, dict) else value


def uuids(events):
    return [text_of(event["context"]["uuid"]) for _, event in events]


# ---- Pub/Sub -------------------------------------------------------------------------------------


def test_what_is_told(topic):
    execute(topic)
    events = published(topic)
    directories = {text_of(event["directory"]) for _, event in events}
    assert directories == {"gs://events/models/v1/"}, events
    assert len(events) == 2  # that it is inactive, and that it is deleted
    assert [attributes["uuid"] for attributes, _ in events] == uuids(events)
    for _, event in events:
        assert text_of(event["projectId"]) == PROJECT and text_of(event["bucket"]) == "events"
    assert sum("inactiveAt" in event for _, event in events) == 1
    assert sum("deletedAt" in event for _, event in events) == 1
    # Nothing of it is told again.
    topic.pass_time(hours=1)
    execute(topic)
    validate(topic)
    assert len(published(topic)) == 2


def test_a_topic_that_is_away(topic):
    """The execution goes its way, and they are told once the topic is back."""
    topic.gcs.rules.add(refusal("UNAVAILABLE", target=":publish$", times=None))
    result = execute(topic)
    assert "2 notifications wait to be delivered" in result.text
    assert published(topic) == [] and topic.keys("events") == [NEW]
    topic.gcs.rules.clear()
    topic.pass_time(hours=2)
    validate(topic)
    assert len(set(uuids(published(topic)))) == len(published(topic)) == 2


@pytest.mark.parametrize("wrong", ["missing", "denied"])
def test_what_is_to_be_done(models, wrong):
    models.configure(**{"pubsub.topic": TOPIC})
    if wrong == "denied":
        models.gcs.pubsub.denied_projects.add(PROJECT)
    said = execute(models).text
    assert f"reach the topic '{TOPIC}'" in said
    assert ("make the topic, or correct 'pubsub.topic'" if wrong == "missing"
            else "needs roles/pubsub.publisher on the topic") in said


def test_a_reply_that_is_lost(topic):
    """They were published, but nobody heard of it: told again, a receiver knows them by their UUID."""
    topic.gcs.rules.add(method="POST", target=":publish$", cut_reply_bytes=0, times=1)
    execute(topic)
    events = published(topic)
    assert len(set(uuids(events))) == 2 and len(events) == 4
    assert [attributes["uuid"] for attributes, _ in events] == uuids(events)
    topic.pass_time(hours=2)
    validate(topic)
    assert len(published(topic)) == 4


def test_killed_while_it_tells(topic):
    topic.gcs.rules.add(method="POST", target=":publish$", delay_ms=60000)
    process = topic.start("execute")
    end = time.monotonic() + PATIENCE_S
    while topic.gcs.rules.used() == 0:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    topic.gcs.rules.clear()
    topic.pass_time(hours=2)
    validate(topic)
    assert len(set(uuids(published(topic)))) == 2
    assert topic.keys("events") == [NEW]


def test_what_is_moved_by_the_service_is_told_when_it_is_gone(topic):
    topic.configure(mover="sts")
    execute(topic)
    assert ["inactiveAt" in event for _, event in published(topic)] == [True]
    topic.settle()
    validate(topic)
    assert ["deletedAt" in event for _, event in published(topic)] == [False, True]


def test_status(topic):
    with topic.serve() as service:
        assert "PubSub is UP" in service.get("/status").text
    topic.gcs.pubsub.denied_projects.add(PROJECT)
    with topic.serve() as service:
        reply = service.get("/status")
        assert reply.status == 200 and "PubSub is DOWN" in reply.text


# ---- a webhook, and nobody -----------------------------------------------------------------------


def test_a_webhook(models, webhook):
    execute(models)
    assert len(webhook.taken) == 2
    for headers, event in webhook.taken:
        headers = {name.lower(): value for name, value in headers.items()}
        assert headers["idempotency-key"] == text_of(event["context"]["uuid"])
        assert headers["authorization"] == "Bearer hunter2"
        assert headers["content-type"] == "application/json"
    assert len(set(uuids(webhook.taken))) == 2


def test_a_webhook_that_fails(models, webhook):
    """A passing fault is tried again at once; a lasting one by the next run; a message that it does
    not take keeps no other."""
    webhook.refusals = [503]
    execute(models)
    assert len(webhook.taken) == 2

    models.put("events", "models/v3/weights")
    webhook.refusals = [403]
    models.pass_time(minutes=1)
    result = execute(models)
    assert "the webhook answered with the status 403" in result.text
    assert len(webhook.taken) == 2
    models.pass_time(hours=2)
    webhook.refusals = [422]
    result = validate(models)
    assert "the webhook answered with the status 422" in result.text
    assert len(webhook.taken) == 3
    models.pass_time(hours=2)
    validate(models)
    assert len(set(uuids(webhook.taken))) == len(webhook.taken) == 4


def test_secrets_of_a_webhook(models, webhook):
    webhook.refusals = [403]
    result = models.run("execute", "--log-level", "debug")
    for secret in ("hunter2", "5ecret"):
        assert secret not in result.stderr + result.stdout


def test_nobody(models):
    """Where nobody is told nothing is kept for later."""
    execute(models)
    models.gcs.pubsub.make_topic(TOPIC)
    models.configure(**{"pubsub.topic": TOPIC})
    models.pass_time(hours=1)
    validate(models)
    assert published(models) == []
