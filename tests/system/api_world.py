"""A daemon in a world of its own, spoken to over TCP and over its Unix socket."""

import contextlib
import http.client
import json
import os
import signal
import socket
import time
import urllib.parse

from conftest import PATIENCE_S


class Reply:
    """A reply: its status, headers in lower case, and body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """The API at an address, asked with the same token each time."""

    def __init__(self, daemon, token=None, over_unix=False):
        self.daemon, self.token, self.over_unix = daemon, token, over_unix

    def connect(self, timeout=PATIENCE_S):
        if self.over_unix:
            return UnixConnection(self.daemon.socket, timeout)
        return http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=timeout)

    def open(self, method, path, body=None, headers=None):
        """Sends a request; returns the connection and the response, whose body is still to be read."""
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = self.connect()
        connection.request(method, path, body=body, headers=headers)
        return connection, connection.getresponse()

    def ask(self, method, path, body=None, headers=None):
        connection, response = self.open(method, path, body, headers)
        with contextlib.closing(connection):
            return Reply(response)

    def get(self, path, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.ask("GET", path)

    def post(self, path, body=None, **options):
        return self.ask("POST", path, body, **options)

    def wait_for(self, run, *statuses):
        """The run, once it has one of these statuses; by default, once it has ended."""
        statuses = statuses or ("succeeded", "failed", "timed_out", "cancelled", "lost", "skipped")
        return until(lambda: next((r for r in [self.get(f"/api/v1/runs/{run}").json]
                                   if r["status"] in statuses), None))


def until(look, seconds=PATIENCE_S):
    """What 'look' gives, once it gives something."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


class Daemon:
    """run-core daemon with a port of its own; 'core' and 'rest' are YAML."""

    def __init__(self, world, rest, core="", listen="127.0.0.1:0", state=None):
        self.world, self.log = world, world.root / "daemon.log"
        listens = f"\n  listen: '{listen}'" if listen else ""
        self.file = world.config(f"core:\n  state: '{state or world.state}'\n"
                                 f"  spool: {world.state}{listens}\n{core}\n{rest}")
        self.socket = world.state / "run-core.sock"
        self.process = None
        self.port = None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.offset = log.tell()
            self.process = self.world.start("daemon", stdout=log, stderr=log)
        until(lambda: self.process.poll() is not None or "keeps the schedule" in self.said)
        assert self.process.poll() is None, self.said
        for line in self.messages:
            url = line["message"].rpartition(" at ")[2]
            if url.startswith("http://"):
                self.port = urllib.parse.urlsplit(url).port

    @property
    def said(self):
        """What it has logged since it was last started."""
        with open(self.log, "rb") as log:
            log.seek(self.offset)
            return log.read().decode("utf-8", "replace")

    @property
    def messages(self):
        found = []
        for line in self.said.splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def api(self, token=None):
        return Api(self, token)

    @property
    def local(self):
        return Api(self, over_unix=True)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it without patience for what runs; its status."""
        for seconds in (5, 5, PATIENCE_S):
            if self.process.poll() is not None:
                break
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(Exception):
                self.process.wait(timeout=seconds)
        if self.process.poll() is None:
            self.kill()
        return self.process.returncode

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
