"""A stand-in for Google's Pub/Sub: topics and subscriptions that are pulled. It is served together with
the stand-in for Cloud Storage: Gcs.pubsub, at the same endpoint. How tests work it:

    gcs.pubsub.make_topic("projects/project-1/topics/events")
    gcs.pubsub.published("projects/project-1/topics/events")     all messages so far, in their order
    gcs.pubsub.denied_projects.add("project-1")                  the caller has no rights there
    gcs.rules.add(refusal("UNAVAILABLE", target=":publish$"))    google_api.py

A message that is lost on its way back, though it was published, is a rule that cuts the reply:
cut_reply_bytes=0. Messages that are not acknowledged come again when their time is over by gcs.clock.
Messages of a subscription are in the order in which they were published."""
import base64
import re
import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from google_api import Api, ApiError, filled, invalid, page
from google_clock import time_text

MESSAGES_LIMIT, REQUEST_LIMIT_BYTES = 1000, 10 * 1000 * 1000
ATTRIBUTES_LIMIT, KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES = 100, 256, 1024
NAME = r"(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}"
DELETED_TOPIC = "_deleted-topic_"
PULL_WAIT_S = 2  # for a message, where none is there


@dataclass
class Subscription:
    fields: dict
    waiting: deque = field(default_factory=deque)  # (message, how often it was delivered)
    out: dict = field(default_factory=dict)  # ack id: (end of its time, message, deliveries)

    @property
    def deadline_s(self):
        return self.fields.get("ackDeadlineSeconds") or 10


def check_message(message):
    attributes = message.get("attributes", {})
    if not message.get("data") and not attributes:
        raise invalid("One or more messages in the publish request is empty. Each message must "
                      "contain either non-empty data, or at least one attribute.")
    for name in ("messageId", "publishTime"):
        if name in message:
            raise invalid(f"{name} must not be populated by the publisher")
    if len(attributes) > ATTRIBUTES_LIMIT:
        raise invalid(f"a message has more than {ATTRIBUTES_LIMIT} attributes")
    for key, value in attributes.items():
        if not key or key.startswith("goog") or len(key.encode()) > KEY_LIMIT_BYTES \
                or len(value.encode()) > VALUE_LIMIT_BYTES:
            raise invalid(f"the attribute '{key[:80]}' has a reserved or too long key, or too long "
                          "a value")


class PubSub(Api):
    def __init__(self, server):
        super().__init__(server, "pubsub-v1-api.json.gz")
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.topics, self.messages, self.subscriptions = {}, {}, {}
        self.last_id = 0
        self.clock.listeners.append(self.wake)

    def wake(self):
        with self.lock:
            self.changed.notify_all()

    # For tests

    def make_topic(self, name, **fields):
        with self.lock:
            self.topics[name] = {"name": name, **fields}
            self.messages[name] = []
            return self.topics[name]

    def published(self, name):
        with self.lock:
            return [dict(message, data=base64.b64decode(message.get("data", "")))
                    for message in self.messages[name]]

    def put(self, topic, data, attributes, ordering_key=""):
        """Publishes as a service of Google's own does; nothing, where there is no such topic."""
        with self.lock:
            if topic not in self.topics:
                return None
            self.last_id += 1
            message = filled(data=base64.b64encode(data).decode(), attributes=attributes,
                             orderingKey=ordering_key, messageId=str(self.last_id),
                             publishTime=time_text(self.clock.now()))
            self.messages[topic].append(message)
            for subscription in self.subscriptions.values():
                if subscription.fields["topic"] == topic:
                    subscription.waiting.append((message, 0))
            self.changed.notify_all()
            return message["messageId"]

    # Topics

    def check_name(self, name):
        _, project, _, last = name.split("/")
        self.check_project(project)
        if not re.fullmatch(NAME, last):
            raise invalid(f"Invalid resource name given (name={name}).")

    def topic(self, name):
        self.check_project(name.split("/")[1])
        if name not in self.topics:
            raise ApiError("NOT_FOUND", f"Resource not found (resource={name.split('/')[-1]}).")
        return self.topics[name]

    def projects_topics_create(self, _request, fields, name):
        self.check_name(name)
        if fields.get("name", name) != name:
            raise invalid("the name in the body is not that of the path")
        with self.lock:
            if name in self.topics:
                raise ApiError("ALREADY_EXISTS", f"Resource already exists in the project "
                               f"(resource={name.split('/')[-1]}).")
            return self.make_topic(name, **{key: value for key, value in fields.items()
                                            if key != "name"})

    def projects_topics_get(self, _request, _fields, topic):
        with self.lock:
            return self.topic(topic)

    def projects_topics_list(self, request, _fields, project):
        self.check_project(project.split("/")[1])
        with self.lock:
            found = [topic for name, topic in sorted(self.topics.items())
                     if name.startswith(project + "/")]
        found, token = page(found, request, lambda topic: topic["name"], 1000)
        return filled(topics=found, nextPageToken=token)

    def projects_topics_delete(self, _request, _fields, topic):
        with self.lock:
            self.topic(topic)
            del self.topics[topic]
            for subscription in self.subscriptions.values():
                if subscription.fields["topic"] == topic:
                    subscription.fields["topic"] = DELETED_TOPIC
        return {}

    def projects_topics_publish(self, request, fields, topic):
        messages = fields.get("messages", [])
        with self.lock:
            self.topic(topic)
            if not 1 <= len(messages) <= MESSAGES_LIMIT:
                raise invalid(f"{len(messages)} messages in a request, at most {MESSAGES_LIMIT}")
            for message in messages:
                check_message(message)
            data = [base64.b64decode(message.get("data", "")) for message in messages]
            if sum(map(len, data)) > REQUEST_LIMIT_BYTES:
                raise invalid("The value for request_size is too large.")
            keys = {message.get("orderingKey", "") for message in messages}
            if len(keys) > 1:
                raise invalid("All messages of a request must have the same orderingKey.")
            return {"messageIds": [self.put(topic, content, message.get("attributes", {}), *keys)
                                   for content, message in zip(data, messages)]}

    # Subscriptions

    def subscription(self, name):
        self.check_project(name.split("/")[1])
        if name not in self.subscriptions:
            raise ApiError("NOT_FOUND", f"Resource not found (resource={name.split('/')[-1]}).")
        return self.subscriptions[name]

    def projects_subscriptions_create(self, _request, fields, name):
        self.check_name(name)
        for key, value in fields.items():
            if value and key not in ("name", "topic", "ackDeadlineSeconds", "labels"):
                raise ApiError("UNIMPLEMENTED", f"the stand-in does not know {key}")
        deadline_s = fields.get("ackDeadlineSeconds", 0)
        if deadline_s and not 10 <= deadline_s <= 600:
            raise invalid("ackDeadlineSeconds must be between 10 and 600")
        with self.lock:
            if not re.fullmatch("projects/[^/]+/topics/[^/]+", fields.get("topic", "")):
                raise invalid("topic must be projects/{project}/topics/{topic}")
            self.topic(fields["topic"])
            if name in self.subscriptions:
                raise ApiError("ALREADY_EXISTS", f"Resource already exists in the project "
                               f"(resource={name.split('/')[-1]}).")
            made = Subscription({**fields, "name": name, "ackDeadlineSeconds": deadline_s or 10})
            self.subscriptions[name] = made
            return made.fields

    def projects_subscriptions_get(self, _request, _fields, subscription):
        with self.lock:
            return self.subscription(subscription).fields

    def projects_subscriptions_delete(self, _request, _fields, subscription):
        with self.lock:
            self.subscription(subscription)
            del self.subscriptions[subscription]
        return {}

    def projects_subscriptions_pull(self, _request, fields, subscription):
        limit = fields.get("maxMessages", 0)
        if limit < 1:
            raise invalid("maxMessages must be positive")
        with self.lock:
            found = self.subscription(subscription)
            self.take_back(found)
            if not found.waiting and not fields.get("returnImmediately"):
                self.changed.wait(PULL_WAIT_S)
                self.take_back(found)
            received = []
            while found.waiting and len(received) < limit:
                message, deliveries = found.waiting.popleft()
                ack_id = secrets.token_urlsafe(24)
                end = self.clock.now() + timedelta(seconds=found.deadline_s)
                found.out[ack_id] = (end, message, deliveries + 1)
                received.append({"ackId": ack_id, "message": message})
        return filled(receivedMessages=received)

    def take_back(self, subscription):
        """What was not acknowledged in time waits again, before all that is newer."""
        now = self.clock.now()
        over = [ack_id for ack_id, (end, _, _) in subscription.out.items() if end <= now]
        back = [subscription.out.pop(ack_id)[1:] for ack_id in over]
        both = sorted([*back, *subscription.waiting], key=lambda one: int(one[0]["messageId"]))
        subscription.waiting = deque(both)

    def projects_subscriptions_acknowledge(self, _request, fields, subscription):
        with self.lock:
            found = self.subscription(subscription)
            for ack_id in self.ack_ids(fields):
                found.out.pop(ack_id, None)
        return {}

    def projects_subscriptions_modifyAckDeadline(self, _request, fields, subscription):
        seconds = fields.get("ackDeadlineSeconds", 0)
        if not 0 <= seconds <= 600:
            raise invalid("ackDeadlineSeconds must be between 0 and 600")
        with self.lock:
            found = self.subscription(subscription)
            for ack_id in self.ack_ids(fields):
                if ack_id in found.out:
                    end = self.clock.now() + timedelta(seconds=seconds)
                    found.out[ack_id] = (end, *found.out[ack_id][1:])
            self.changed.notify_all()
        return {}

    @staticmethod
    def ack_ids(fields):
        if not fields.get("ackIds"):
            raise invalid("No ack ids specified.")
        return fields["ackIds"]
