"""Thousands of requests that mean little, made from the OpenAPI document: none may hurt the daemon
or get a reply that the document does not know. And hundreds that take their time."""

import contextlib
import http.client
import json
import random
import socket
import time
import urllib.parse
from datetime import datetime, timedelta

import pytest

from api_schema import Judge
from api_world import Daemon, Reply, until
from chance import SEED
from conftest import PATIENCE_S, allow_files

JOBS = """
plugins:
  options: {config: {needed: given}}
jobs:
  tick: {plugin: noop, schedule: "@every 1s"}
  opt: {plugin: options}
  fail: {plugin: fail, action: fail}
  held: {plugin: options, concurrency: queue}
"""
WORDS = ["", "0", "1", "-1", "tick", "opt", "held", "none", "options", "noop", "..", ".", "%", "%2e",
         "%2f", "a" * 300, "\N{SNOWMAN}", "true", "false", "null", "9223372036854775807",
         "9223372036854775808", "1e9", "2026-01-01T00:00:00Z", "failed", "failed,skipped", "\0", "\n",
         "'; DROP TABLE runs; --", "{job}", "<script>", "\U0010ffff", "0x10", " ", "+5"]


class Maker:
    def __init__(self, document, seed):
        self.random = random.Random(seed)
        self.operations = [(path, method.upper(), operation)
                           for path, item in document["paths"].items()
                           for method, operation in item.items()]
        self.known = ["tick", "opt", "fail", "held", "options", "noop", "none"]

    def word(self):
        return self.random.choice(self.known if self.random.random() < 0.6 else WORDS)

    def value(self, depth=0):
        kind = self.random.randrange(9 if depth < 3 else 6)
        if kind < 3:
            return self.word()
        if kind == 3:
            return self.random.choice([0, 1, -1, 5, 10 ** 20, 1.5, -0.0, 1e300])
        if kind == 4:
            return self.random.choice([True, False])
        if kind == 5:
            return None
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.word(): self.value(depth + 1) for _ in range(self.random.randrange(4))}

    def query(self, operation):
        names = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
        pairs = []
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
            name = self.random.choice(names) if names and self.random.random() < 0.8 else self.word()
            pairs.append((name, self.word()))
        # To follow a log takes as long as its run.
        pairs = [(name, text) for name, text in pairs if name != "follow"]
        return urllib.parse.urlencode(pairs)

    def body(self, operation):
        chance = self.random.random()
        if chance < 0.2:
            return None, {}
        headers = {"Content-Type": "application/json"}
        if chance < 0.3:
            headers = self.random.choice([{}, {"Content-Type": "text/plain"},
                                          {"Content-Type": "application/json; charset=x"}])
        if chance < 0.4:
            return self.random.randbytes(self.random.randrange(200)), headers
        options = ["text", "count", "flag", "colour", "list", "map", "objects", "password", "from",
                   "needed", "config_file", "wait", "size", "day", "url", "share"]
        made = {"set": {self.random.choice(options): self.value()
                        for _ in range(self.random.randrange(3))}}
        if chance < 0.6:
            made = self.value()
        text = json.dumps(made)
        if chance > 0.95:
            text = text[:self.random.randrange(len(text) + 1)]
        return text.encode("utf-8", "surrogatepass"), headers

    def request(self):
        path, method, operation = self.random.choice(self.operations)
        while "{" in path:
            begin, end = path.index("{"), path.index("}")
            path = path[:begin] + urllib.parse.quote(self.word(), safe="") + path[end + 1:]
        if self.random.random() < 0.1:
            method = self.random.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
        if self.random.random() < 0.05:
            path += self.random.choice(["/", "//", "/x", "%00", "/..", ";", "%zz"])
        query = self.query(operation)
        body, headers = self.body(operation) if method != "GET" else (None, {})
        if self.random.random() < 0.05:
            headers = dict(headers, Range=self.random.choice(["bytes=0-", "bytes=9-1", "bytes=-5",
                                                              "bytes=99999-", "x"]))
        return method, path + ("?" + query if query else ""), body, headers


@pytest.fixture
def daemon(world):
    running = Daemon(world, JOBS)
    yield running
    running.stop()


def test_requests_that_mean_little(daemon):
    judge = Judge(daemon.api().get("/api/v1/openapi.json").json)
    maker = Maker(judge.document, SEED)
    connection = daemon.local.connect()
    counts = {}
    begun = time.monotonic()
    for number in range(5000):
        method, path, body, headers = maker.request()
        place = (f"RUN_CORE_SEED={SEED}", number, method, path, body, headers)
        try:
            connection.request(method, path, body=body, headers=headers)
            reply = Reply(connection.getresponse())
        except (http.client.HTTPException, OSError):
            connection.close()
            assert daemon.process.poll() is None, (place, daemon.said[-3000:])
            connection = daemon.local.connect()
            continue
        counts[reply.status] = counts.get(reply.status, 0) + 1
        assert reply.status < 500 or reply.status == 501, (place, reply.text)
        try:
            judge.check(method, path, reply)
        except Exception as error:
            raise AssertionError(place, reply.body[:500]) from error
        if reply.status == 202 and "run" in reply.json:
            maker.known = maker.known[:7] + [reply.json["run"]]
    connection.close()
    assert daemon.process.poll() is None
    assert {200, 202, 400, 404, 405, 415, 422} <= set(counts), counts
    assert sum(counts.values()) > 4500, counts
    assert daemon.api().get("/healthcheck/is-ready").status == 200
    assert "ERROR" not in daemon.said and "runtime error" not in daemon.said
    print(f"{time.monotonic() - begun:.1f} s", counts)


def test_bytes_that_are_no_requests(daemon):
    maker = random.Random(SEED)
    good = b"GET /api/v1/jobs?limit=2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for _ in range(300):
        data = bytearray(good)
        for _ in range(maker.randrange(1, 8)):
            at = maker.randrange(len(data))
            kind = maker.randrange(3)
            if kind == 0:
                data[at] = maker.randrange(256)
            elif kind == 1:
                del data[at]
            else:
                data[at:at] = maker.randbytes(maker.randrange(1, 20))
        with contextlib.closing(socket.create_connection(("127.0.0.1", daemon.port))) as client:
            client.settimeout(0.02)  # whoever sent half a request may wait for the rest for long
            client.sendall(bytes(data))
            with contextlib.suppress(OSError):
                client.recv(65536)
    assert daemon.process.poll() is None, daemon.said[-3000:]
    assert daemon.api().get("/healthcheck/is-alive").status == 200


# ---- clients that are slow ---------------------------------------------------------------------


def dial(daemon, count, text):
    """So many connections, on each of which that was sent."""
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE_S)
        client.sendall(text)
        clients.append(client)
    return clients


def slots_of(api):
    """The runs of 'tick' as (time, status), the oldest first."""
    runs = api.get("/api/v1/runs", job="tick", limit=1000).json["runs"]
    return [(datetime.fromisoformat(run["slot"]), run["status"]) for run in reversed(runs)]


def test_clients_that_take_their_time(world):
    """Hundreds that send a byte now and then keep neither the schedule nor others waiting, and have
    to go when there are too many."""
    allow_files(1500)
    running = Daemon(world, "jobs:\n"
                     '  tick: {plugin: noop, schedule: "@every 1s", concurrency: allow}\n')
    api, maker = running.api(), random.Random(SEED)
    clients = []
    try:
        clients = dial(running, 300, b"GET /api/v1/jobs HTTP/1.1\r\nHost: ")
        first = len(slots_of(api))
        asked, end = 0, time.monotonic() + 4
        while time.monotonic() < end or len(slots_of(api)) < first + 3:
            assert time.monotonic() < end + PATIENCE_S
            for client in maker.sample(clients, 20):
                with contextlib.suppress(OSError):  # it was given up
                    client.sendall(b"x")
            assert api.get("/api/v1/jobs").status == running.local.get("/metrics").status == 200
            asked += 1
        assert asked >= 3
        clients += dial(running, 520, b"G")  # more than there is room for
        assert api.get("/healthcheck/is-ready").status == 200
        for client in clients[:300]:
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
        last = len(slots_of(api))
        until(lambda: {status for _, status in slots_of(api)[:last]} == {"succeeded"})
        times = [slot for slot, _ in slots_of(api)]
        assert times == [times[0] + timedelta(seconds=i) for i in range(len(times))]
    finally:
        for client in clients:
            client.close()
        running.stop()
