"""'run-core serve': a plugin's routes over HTTP, and what becomes of a plugin that fails."""

import http.client
import json
import os
import signal
import socket
import threading
import time

import pytest
from conftest import PATIENCE_S
from processes import wait_until_taken


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Served:
    def __init__(self, world, *words, routes="routes"):
        self.world, self.socket = world, str(world.root / "s.sock")
        self.process = world.start("serve", routes, "--listen", f"unix:{self.socket}", *words)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                assert self.ask("GET", "/healthcheck/is-ready")[0] == 200
                return
            except OSError:
                assert self.process.poll() is None, self.process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def ask(self, method, path, body=None, headers=None):
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.read().decode(), reply.headers
        finally:
            connection.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stderr.decode()


@pytest.fixture
def served(world):
    it = Served(world, "--set", "greeting=hi")
    yield it
    if it.process.poll() is None:
        it.process.kill()
        it.process.communicate()


def test_a_route_gets_the_request_and_answers(served):
    status, body, headers = served.ask("POST", "/echo/Ada%20L?q=a%2Fb", "x", {"x-test": "yes"})
    assert status == 200 and headers["X-Echo"] == "yes"
    assert json.loads(body) == {
        "method": "POST", "path": "/echo/Ada L", "name": "Ada L", "q": "a/b", "header": "yes",
        "forwarded": None, "greeting": "hi", "body": "x",
    }
    assert served.ask("GET", "/echo/plain")[1] == "plain\n"
    assert served.ask("HEAD", "/echo/x")[:2] == (200, "")
    assert served.stop()[0] == 0


def test_what_a_handler_returns_becomes_a_reply(served):
    expected = {0: 204, 1: 500, 2: 400, 3: 404, 4: 409, 5: 403, 6: 413, 7: 501, 8: 500, 9: 503,
                10: 504, 11: 503, 12: 503}
    for code, status in expected.items():
        got, body, _ = served.ask("GET", f"/fail/{code}")
        assert got == status, code
        if status == 500:
            assert "asked to fail" not in body
        elif status != 204:
            assert json.loads(body)["error"] == "asked to fail"
    assert served.ask("GET", "/fail/x")[0] == 400
    assert served.ask("GET", "/nothing")[0] == 404
    status, _, headers = served.ask("DELETE", "/echo/x")
    assert (status, headers["Allow"]) == (405, "GET, HEAD, POST")
    assert served.ask("DELETE", "/echo/plain")[2]["Allow"] == "GET, HEAD, POST"
    _, stderr = served.stop()
    assert "GET /fail/{code}: asked to fail" in stderr


def test_handlers_run_at_the_same_time_and_share_the_state(served, world):
    def visit():
        for _ in range(10):
            assert served.ask("POST", "/count/a")[0] == 204

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served.stop()[0] == 0
    import sqlite3
    rows = sqlite3.connect(world.state / "plugins" / "routes.db").execute("SELECT * FROM visits")
    assert rows.fetchall() == [("a", 80)]


def ask_apart(served, path):
    """Asks in a thread, and returns what it comes to once the handler has begun."""
    answer = []

    def ask():
        try:
            answer.append(served.ask("GET", path)[0])
        except (OSError, http.client.HTTPException):
            answer.append(None)

    thread = threading.Thread(target=ask)
    thread.start()
    end = time.monotonic() + PATIENCE_S
    while not list(served.world.temp.glob("run-core-*/*")):  # the handler's
        assert time.monotonic() < end
        time.sleep(0.01)
    return thread, answer


def test_handlers_are_cancelled_when_their_time_is_up(served):
    thread, answer = ask_apart(served, "/wait")
    status, stderr = served.stop()
    thread.join()
    assert (status, answer) == (0, [503]), stderr


def test_a_handler_that_never_ends_does_not_keep_the_process(served, world):
    thread, answer = ask_apart(served, "/hang")
    served.process.send_signal(signal.SIGTERM)
    wait_until_taken(served.process, signal.SIGTERM)
    time.sleep(0.3)
    assert served.process.poll() is None
    status, stderr = served.stop()
    thread.join()
    assert status == 1 and "1 request to the plugin 'routes' did not end" in stderr
    assert answer == [None]
    assert not list(world.temp.glob("run-core-*/*"))
    assert not os.path.exists(served.socket)


def test_a_plugin_that_dies_takes_only_its_server(served):
    with pytest.raises((OSError, http.client.HTTPException)):
        served.ask("POST", "/crash")
    assert served.process.wait(timeout=PATIENCE_S) == -signal.SIGKILL


def test_mistakes_end_it_before_it_listens(world):
    assert world.run("serve", "noop").status == 2
    result = world.run("serve", "routes", "--set", "greting=x")
    assert result.status == 2 and "did you mean 'greeting'?" in result.stderr
    assert world.run("serve", "nosuch").status == 2
    assert world.run("serve", "routes", "--listen", "nonsense").status == 2
    assert world.run("serve").status == 2


def test_the_socket_is_private_and_goes_with_the_server(served):
    assert os.stat(served.socket).st_mode & 0o777 == 0o600
    assert served.stop()[0] == 0
    assert not os.path.exists(served.socket)
