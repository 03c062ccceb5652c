"""Thousands of requests to sdrs that mean little, made from its own OpenAPI document: none may hurt the
service, or get a reply that the document does not know or that has no words for its mistake."""

import http.client
import json
import os
import random
import re
import socket
import urllib.parse

from api_schema import Judge
from api_world import Reply
from chance import SEED
from sdrs_world import PROJECT, sdrs, service  # noqa: F401: fixtures
from test_sdrs_rules import UUID, said

# pylint: disable=redefined-outer-name

REQUESTS = int(os.environ.get("RUN_CORE_FUZZ_REQUESTS", "2500"))
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"]
WORDS = ["", " ", "0", "1", "-1", "+5", "1e9", "0x10", "1095", "1096", "9223372036854775807",
         "9223372036854775808", "true", "null", "..", ".", "/", "//", "%", "%2e", "%2f", "%s%n", "*",
         "a" * 300, "ä" * 2000, "\N{SNOWMAN}", "\U0010ffff", "\ud800", "\0", "\n", "\x7f", "\"", "\\",
         "'; DROP TABLE rules; --", "<script>", "2026-02-29T00:00:00Z", "2026-01-01T00:00:00Z",
         "2026-01-01", "9999-12-31T23:59:59.999999999Z", "{id}", "\ufeff"]
TYPES = ["DATASET", "DEFAULT", "GLOBAL", "POLICY", "USER", "dataset", "user", "default"]
UNITS = ["DAY", "MONTH", "VERSION", "day", "WEEK"]
PARTS = ["events", "none", "", ".", "..", "clicks", "a", ".delete_this_folder", "Xdelete_this_folder",
         "eventsshadow", ".run-core", "x" * 1100, "ä", "a b", "*", "%2e%2e", "\x01", "2026/01/01/05"]


class Maker:
    def __init__(self, document, sdrs):
        self.random = random.Random(SEED)
        self.operations = [(path, method.upper(), operation)
                           for path, item in document["paths"].items()
                           for method, operation in item.items()]
        self.schemas = document["components"]["schemas"]
        self.root = sdrs.name("")
        self.known = [PROJECT, sdrs.name("events", "clicks"), sdrs.name("events"), "events", "1", "2"]

    def chance(self, share):
        return self.random.random() < share

    def name(self):
        """Of storage, and now and then of one that is there."""
        scheme = self.random.choice([self.root, self.root, self.root, "file:///", "file://", "gs://",
                                     "s3://", "http://", "GS://", ""])
        parts = [self.random.choice(PARTS[:8] if self.chance(0.8) else PARTS)
                 for _ in range(self.random.randrange(4))]
        if self.chance(0.5):
            parts = ["events", *parts]
        return scheme + "/".join(parts)

    def word(self):
        chance = self.random.random()
        if chance < 0.35:
            return self.random.choice(self.known)
        if chance < 0.65:
            return self.name()
        return self.random.choice(TYPES + UNITS + WORDS)

    def value(self, name="", depth=0):
        if not depth and self.chance(0.7):  # what may be meant
            if name == "type":
                return self.random.choice(TYPES)
            if name == "projectId" or name.endswith("Project"):
                return self.random.choice([PROJECT, "other", self.word()])
            if name == "retentionPeriodUnit":
                return self.random.choice(UNITS)
            if name == "retentionPeriod":
                return self.random.choice([0, 1, 30, 84, 85, 1095, 1096, -1, "30", 1 << 62])
            if name in ("target", "deletedObject", "dataStorageName"):
                return self.name()
        kind = self.random.randrange(9 if depth < 3 else 6)
        if kind < 3:
            return self.word()
        if kind == 3:
            return self.random.choice([0, 1, -1, 30, 10 ** 20, 1.5, -0.0, 1e300])
        if kind == 4:
            return self.random.choice([True, False])
        if kind == 5:
            return None
        if kind == 6:
            return [self.value(depth=depth + 1) for _ in range(self.random.randrange(4))]
        return {self.word(): self.value(depth=depth + 1) for _ in range(self.random.randrange(4))}

    def object(self, schema):
        if "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        if schema.get("type") == "array":
            return [self.object(schema["items"]) for _ in range(self.random.randrange(4))]
        made = {name: self.value(name) for name in schema.get("properties", {})
                if self.chance(0.8)}
        if self.chance(0.05):
            made[self.word()] = self.value()
        return made

    def body(self, operation):
        headers = {"Content-Type": "application/json"}
        described = operation.get("requestBody")
        chance = self.random.random()
        if not described or chance < 0.03:
            return None, {}
        if chance < 0.06:
            headers = {"Content-Type": self.random.choice(["", "text/plain", "application/json;x=\xff"])}
        if chance < 0.12:
            return self.random.randbytes(self.random.randrange(200)), headers
        if chance < 0.14:
            depth = self.random.choice([10, 2000, 50000])
            return self.random.choice([b"[", b'{"type":', b'[{"a":']) * depth, headers
        if chance < 0.15:
            return b'{"type":"' + b"x" * self.random.choice([1 << 16, 1 << 20, 9 << 20]) + b'"}', headers
        made = (self.value() if chance < 0.25 else
                self.object(described["content"]["application/json"]["schema"]))
        text = json.dumps(made, ensure_ascii=self.chance(0.3)).encode("utf-8", "surrogatepass")
        if chance > 0.95:
            text = text[:self.random.randrange(len(text) + 1)]
        elif chance > 0.9:
            text = bytearray(text)
            text[self.random.randrange(len(text))] = self.random.randrange(256)
        return bytes(text), headers

    def query(self, operation):
        names = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
        pairs = [(name, self.value(name)) for name in names if self.chance(0.5)]
        if self.chance(0.1):
            pairs.append((self.word(), self.word()))
        text = urllib.parse.urlencode([(n.encode("utf-8", "surrogatepass"),
                                        str(v).encode("utf-8", "surrogatepass")) for n, v in pairs])
        return text if self.chance(0.95) else text + self.random.choice(["&", "&&=", "%", "%zz", "=x"])

    def request(self):
        path, method, operation = self.random.choice(self.operations)
        # Each of these begins a process, which is not what is tried here.
        while path == "/events/validation" and not self.chance(0.1):
            path, method, operation = self.random.choice(self.operations)
        while "{" in path:
            begin, end = path.index("{"), path.index("}")
            word = self.word().encode("utf-8", "surrogatepass")
            path = path[:begin] + urllib.parse.quote(word, safe="") + path[end + 1:]
        if self.chance(0.05):
            method = self.random.choice(METHODS)
        if self.chance(0.03):
            path += self.random.choice(["/", "//", "/x", "%00", "/..", ";", "%zz"])
        query = self.query(operation)
        body, headers = self.body(operation)
        if self.chance(0.1):
            headers["correlation-uuid"] = self.random.choice(["b", "x" * 200, "\xe4", " ", "a\tb"])
        return method, path + ("?" + query if query else ""), body, headers


def begins_a_run(method, path, body):
    """Whether it asks for an execution of rules."""
    if method != "POST" or not path.startswith("/events/execution"):
        return False
    try:
        asked = json.loads(body or b"")
    except (ValueError, RecursionError):
        return False
    return isinstance(asked, dict) and asked.get("type") == "POLICY" and not asked.get("target")


def is_of_the_server(reply):
    """Whether the request did not come as far as to sdrs; heads too long not even to the core."""
    return reply.status in (413, 414, 431) and reply.body.startswith(b"<html>") or (
        reply.status in (400, 404, 405, 413, 414, 431, 501) and (
            not reply.body or reply.body.startswith(b'{"error":')))


def test_texts_that_are_no_utf8(state_on_postgres, sdrs):
    """The database takes none, which is the client's mistake."""
    assert state_on_postgres
    sdrs.bucket("events")
    good = {"type": "DATASET", "projectId": PROJECT, "dataStorageName": sdrs.name("events", "a"),
            "sourceBucket": "b", "sourceProject": "p"}
    with sdrs.serve() as service:
        for text in (b"\xff", b"a\xc3", b"\xed\xa0\x80"):
            for path, names in (("/retentionrules", ("type", "projectId", "dataStorageName")),
                                ("/stsjobpool", ("sourceBucket", "sourceProject"))):
                for name in names:
                    for reply in (service.get(path, **{**good, name: text}),
                                  service.delete(path, **{**good, name: text})):
                        assert said(reply) == f"Invalid input: {name} is not UTF-8"
            # In paths the server itself takes none.
            assert service.get(f"/events/execution/{urllib.parse.quote(text)}").status == 400


def test_pipelined_requests_are_answered_in_their_order(sdrs, service):
    paths = [f"d{number}" for number in range(40)]
    bodies = [json.dumps({"type": "DATASET", "projectId": PROJECT, "retentionPeriod": 1,
                          "dataStorageName": sdrs.name("events", path)}) for path in paths]
    head = "POST /retentionrules HTTP/1.1\r\nHost: localhost\r\n"
    many = "".join(f"{head}correlation-uuid: {path}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                   for path, body in zip(paths, bodies))
    with socket.create_connection(("127.0.0.1", service.port), 60) as client:
        client.sendall(many.encode())
        client.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    assert re.findall(r"(?i)correlation-uuid: (\S+)", heard) == paths
    assert [int(rule) for rule in re.findall(r'"ruleId":(\d+)', heard)] == list(range(1, 41))


def test_requests_that_mean_little(sdrs, service):
    judge = Judge(service.get("/openapi.json").json)
    maker = Maker(judge.document, sdrs)
    counts, runs = {}, 0
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    for number in range(REQUESTS):
        method, path, body, headers = maker.request()
        if begins_a_run(method, path, body):
            runs += 1
            if runs > 20:  # each is a process
                continue
        place = (f"RUN_CORE_SEED={SEED}", number, method, path[:500], (body or b"")[:500], headers)
        try:
            connection.request(method, path, body=body, headers=headers)
            reply = Reply(connection.getresponse())
        except (http.client.HTTPException, OSError):
            connection.close()
            assert service.process.poll() is None, (place, service.said[-3000:])
            continue
        counts[reply.status] = counts.get(reply.status, 0) + 1
        assert reply.status < 500 or reply.status == 501, (place, reply.text)
        if is_of_the_server(reply):
            continue
        try:
            judge.check(method, path, reply)
        except Exception as error:
            raise AssertionError(place, reply.body[:500]) from error
        if reply.status == 200 and "ruleId" in reply.text and isinstance(reply.json, dict):
            maker.known = maker.known[-20:] + [str(reply.json.get("ruleId", 1))]
        if "message" in reply.text[:100] and judge.operation(method, path):
            assert UUID.fullmatch(reply.json["requestUuid"]), place
    connection.close()
    print(f"RUN_CORE_SEED={SEED}", counts)
    assert {200, 400, 404, 405} <= set(counts), counts
    assert sum(counts.values()) > REQUESTS * 0.9, counts
    # All that was made can be read.
    for rule in service.get("/retentionrules", limit=1000).json["rules"]:
        assert service.get(f"/retentionrules/{rule['ruleId']}/history").status == 200
    assert service.stop() == 0
    assert "ERROR" not in service.said and "runtime error" not in service.said
    assert not [m for m in service.messages if m["level"] == "error"]
