"""Buckets of files with data by the hour, and sdrs over them: its actions and its REST API.

    lake = sdrs                                 # the fixture; or SdrsWorld(world, mover="direct")
    lake.bucket("events")                       # with its shadow
    lake.hours("events", "clicks", "2026-01-01T00", 48)
    with lake.serve() as service:
        rule = service.add_rule("events", "clicks", 30)
        assert service.get("/retentionrules", type="GLOBAL").status == 404
    assert lake.run("execute", now="2026-02-10T12:00:00Z").status == 0
    assert lake.keys("eventsshadow") == [...]

The fixtures stand below; a test file has them by 'from sdrs_world import sdrs, service'.
"""
import datetime
import http.client
import json
import os
import subprocess
import time
import urllib.parse
import uuid

import pytest
from api_world import Reply, until
from conftest import PATIENCE_S

PROJECT = "analytics"
UTC = datetime.timezone.utc
UNHEARD = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=UTC)


class SdrsWorld:
    """A root directory whose folders are buckets, and the plugin's options."""

    def __init__(self, world, root=None, **options):
        self.world = world
        self.root = root or world.root / "lake"
        self.root.mkdir(exist_ok=True)
        self.options = {"file_roots": [str(self.root)]}
        self.stores = {}  # of the configuration's 'storage'
        # What is refused for a moment is asked again soon.
        self.core = {"http": {"backoff": "10ms", "max_backoff": "100ms"}}
        self.configure(**options)

    def configure(self, **options):
        """Adds options; None takes one away. Names with dots: configure(**{"sts.x": 1})."""
        self.options.update(options)
        self.options = {name: value for name, value in self.options.items() if value is not None}
        self.world.config(json.dumps({"core": self.core, "storage": self.stores,
                                      "plugins": {"sdrs": {"config": self.options}}}))

    def use_google(self, gcs, *buckets):
        """Everything of Google's is the stand-in; of its buckets the named ones are known."""
        key = self.world.root / "key.json"
        key.write_text(json.dumps(gcs.tokens.service_account()))
        for bucket in ("default", *buckets):
            self.stores[bucket] = {"bucket": bucket, "endpoint": gcs.endpoint,
                                   "service_account_file": str(key)}
        self.configure(sts_endpoint=gcs.endpoint, pubsub_endpoint=gcs.endpoint)

    # ---- buckets ----

    def bucket(self, name, shadow=True):
        """Makes a bucket, by default with its shadow."""
        (self.root / name).mkdir()
        if shadow:
            (self.root / f"{name}shadow").mkdir()
        return self.root / name

    def name(self, bucket, path=""):
        """As rules name it."""
        return f"file://{self.root}/{bucket}" + (f"/{path}" if path else "")

    def put(self, bucket, key, data="x", modified=None):
        """An object; 'modified' is a time such as 2026-01-01T00:00:00Z."""
        path = self.root / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        if modified:
            seconds = moment(modified).timestamp()
            os.utime(path, (seconds, seconds))

    def hours(self, bucket, dataset, first, count, template="%Y/%m/%d/%H", data=None):
        """An object for each of so many hours from such as 2026-01-01T05; their keys."""
        start = datetime.datetime.fromisoformat(first)
        keys = []
        for i in range(count):
            hour = start + datetime.timedelta(hours=i)
            keys.append(f"{dataset}/{hour.strftime(template)}/log.txt")
            self.put(bucket, keys[-1], data or f"{dataset} {hour.isoformat()}")
        return keys

    def keys(self, bucket, prefix=""):
        """All that a user sees in a bucket; what run-core keeps there for itself is left out."""
        root = self.root / bucket
        found = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        return sorted(key for key in found
                      if key.startswith(prefix) and not key.startswith(".run-core"))

    def text(self, bucket, key):
        return (self.root / bucket / key).read_text()

    # ---- actions ----

    def words(self, action, now=None, **parameters):
        words = ["sdrs", action]
        for name, value in parameters.items():
            words += ["--set", f"{name}={str(value).lower() if value in (True, False) else value}"]
        return words + (["--now", now] if now else [])

    def run(self, action, *words, now=None, env=None, **parameters):
        return self.world.run(*self.words(action, now, **parameters), *words, env=env or {})

    def start(self, action, *words, now=None, env=None, process=None, **parameters):
        """'process' has what subprocess.Popen takes, such as UNHEARD."""
        return self.world.start(*self.words(action, now, **parameters), *words, env=env or {},
                                **(process or {}))

    def serve(self, *words, **options):
        return Service(self, *words, **options)


class Service:
    """run-core serve sdrs at an address of its own."""

    def __init__(self, sdrs, *words, listen="127.0.0.1:0", env=None, token=None):
        self.sdrs, self.token, self.headers = sdrs, token, {}
        self.log = sdrs.world.root / f"serve-{uuid.uuid4()}.log"
        with open(self.log, "wb") as log:
            self.process = sdrs.world.start("serve", "sdrs", "--listen", listen, *words,
                                            stdout=log, stderr=log, env=env or {})
        until(lambda: self.process.poll() is not None or "serving" in self.said)
        assert self.process.poll() is None, self.said
        url = next(m["message"] for m in self.messages
                   if "serving" in m["message"]).rpartition(" at ")[2]
        self.port = urllib.parse.urlsplit(url).port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=PATIENCE_S)

    # ---- what it logs ----

    @property
    def said(self):
        return self.log.read_text("utf-8", "replace")

    @property
    def messages(self):
        found = []
        for line in self.said.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    # ---- requests ----

    def ask(self, method, path, body=None, headers=None, host="127.0.0.1"):
        """A body that is no text or bytes is sent as JSON."""
        headers = dict(self.headers, **(headers or {}))
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(host, self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body=body, headers=headers)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, headers=None, **query):
        return self.ask("GET", with_query(path, query), headers=headers)

    def delete(self, path, headers=None, **query):
        return self.ask("DELETE", with_query(path, query), headers=headers)

    def post(self, path, body=None, headers=None, **query):
        return self.ask("POST", with_query(path, query), body, headers)

    def put(self, path, body=None, headers=None):
        return self.ask("PUT", path, body, headers)

    # ---- rules and executions ----

    def add_rule(self, bucket, path="", period=30, kind=None, project=PROJECT, **more):
        """Makes the rule of a dataset, or of a bucket; its id."""
        body = {"type": kind or ("DATASET" if path else "DEFAULT"), "projectId": project,
                "dataStorageName": self.sdrs.name(bucket, path), "retentionPeriod": period, **more}
        reply = self.post("/retentionrules", body)
        assert reply.status == 200, reply.text
        return reply.json["ruleId"]

    def add_global_rule(self, period):
        reply = self.post("/retentionrules", {"type": "GLOBAL", "retentionPeriod": period})
        assert reply.status == 200, reply.text
        return reply.json["ruleId"]

    def execution(self, execution, seconds=PATIENCE_S):
        """The execution, once it is neither received nor running."""
        end = time.monotonic() + seconds
        while True:
            reply = self.get(f"/events/execution/{execution}")
            assert reply.status == 200, reply.text
            if reply.json["status"] not in ("received", "running"):
                return reply.json
            assert time.monotonic() < end, reply.text
            time.sleep(0.05)


def rule(sdrs, bucket, path="", period=30, **more):
    """An entry of the option 'rules', of a dataset or of a bucket."""
    return {"type": "DATASET" if path else "DEFAULT", "projectId": PROJECT,
            "dataStorageName": sdrs.name(bucket, path), "retentionPeriod": period, **more}


def rows(result):
    """The rows of the only table of a run with --json, as dictionaries."""
    table, = [part for part in result.final["results"] if "columns" in part]
    return [dict(zip(table["columns"], row)) for row in table["rows"]]


def with_query(path, query):
    return path + ("?" + urllib.parse.urlencode(query) if query else "")


@pytest.fixture
def sdrs(world):
    """Without buckets yet."""
    return SdrsWorld(world)


@pytest.fixture
def service(sdrs):
    """The REST API over it, with the bucket 'events'."""
    sdrs.bucket("events")
    with sdrs.serve() as started:
        yield started
