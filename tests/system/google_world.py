"""What the tests of the stand-ins for Google's services have in common: Google's own clients for Node,
and requests by hand."""
import http.client
import json
import os
import subprocess

import pytest

from conftest import SOURCE

JUDGE = SOURCE / "tests" / "support" / "google_judge.js"
CLIENTS = os.environ.get("RUN_CORE_GOOGLE_JUDGE", "")

needs_node = pytest.mark.skipif(not CLIENTS, reason="RUN_CORE_GOOGLE_JUDGE is not set")


def node(gcs, program):
    """What a program for Google's clients returns, see support/google_judge.js."""
    environment = dict(os.environ, GOOGLE_ENDPOINT=gcs.endpoint, GOOGLE_TOKEN=gcs.tokens.issue())
    done = subprocess.run(["node", str(JUDGE)], input=program, capture_output=True, text=True,
                          env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Caller:
    """Requests by hand, on one connection. What is refused fails the test, unless it is asked for."""

    def __init__(self, gcs):
        self.gcs = gcs
        self.connection = http.client.HTTPConnection("127.0.0.1", gcs.port)
        self.token = gcs.tokens.issue()

    def send(self, method, target, value=None):
        """(status, JSON)"""
        headers = {"Authorization": f"Bearer {self.token}"}
        body = None
        if value is not None:
            body = json.dumps(value)
            headers["Content-Type"] = "application/json"
        self.connection.request(method, target, body, headers)
        reply = self.connection.getresponse()
        return reply.status, json.loads(reply.read())

    def __call__(self, method, target, value=None):
        status, told = self.send(method, target, value)
        assert status == 200, told
        return told

    def refused(self, *words):
        """The word with which a request is refused. That it is against the description, if it is, is
        what the test wants and counts as no mistake."""
        before = list(self.gcs.mistakes)
        status, told = self.send(*words)
        error = told["error"]
        assert status == error["code"] >= 400 and error["message"]
        wrong = self.gcs.mistakes[len(before):]
        assert bool(wrong) == (error["status"] == "INVALID_ARGUMENT")
        self.gcs.mistakes[:] = before
        return error["status"]
