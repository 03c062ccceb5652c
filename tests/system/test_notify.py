"""Notifications of the daemon, received by a web server that is not ours (Python's)."""

import http.server
import json
import signal
import sqlite3
import threading
import time

import pytest
from conftest import PATIENCE_S
from daemon import Clock
from test_daemon import HOUR, START
from test_worker import wait_for


class Receiver:
    """Keeps what is posted to it; answers with the statuses that it is told, then with 200."""

    def __init__(self):
        receiver = self
        self.got = []
        self.answers = []
        self.page = b""  # the body of each answer

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if receiver.answers else 200
                receiver.got.append((status, self.path, json.loads(body)))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(receiver.page)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait_for(self, count, seconds=PATIENCE_S):
        deadline = time.monotonic() + seconds
        while len(self.got) < count:
            assert time.monotonic() < deadline, self.got
            time.sleep(0.05)
        return self.got

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    it = Receiver()
    yield it
    it.close()


def stop(process):
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    return stderr.decode()


def test_failure_then_recovery(world, receiver):
    """A job that fails tells so once, after its last attempt; the first success is a recovery."""
    world.config(f"""
core: {{shutdown_grace: 5s}}
jobs:
  shaky:
    plugin: fail
    retry: {{attempts: 2, backoff: 0s}}
    notify: [{{on: [failure, recovery, success], url: "{receiver.url}/hook?token=geheim"}}]
""")
    daemon = world.start("daemon")
    wait_until_ready(world)
    assert world.run("trigger", "shaky", "--wait").status == 1
    (_, path, body), = receiver.wait_for(1)
    assert path == "/hook?token=geheim"
    assert (body["event"], body["job"], body["status"], body["attempt"]) == (
        "failure", "shaky", "failed", 2)
    assert "attempt 2 was told to fail" in body["message"]
    assert body["text"].startswith("shaky: failed")
    assert world.run("trigger", "shaky", "--wait", "--set", "code=ok").status == 0
    receiver.wait_for(3)
    assert sorted(b["event"] for _, _, b in receiver.got[1:]) == ["recovery", "success"]
    assert world.run("trigger", "shaky", "--wait", "--set", "code=ok").status == 0
    receiver.wait_for(4)
    assert receiver.got[3][2]["event"] == "success"
    log = stop(daemon)
    assert "geheim" not in log
    assert len(receiver.got) == 4


def test_a_receiver_that_is_away_gets_it_later(world, receiver):
    """5xx: tried again after growing pauses, which a restart of the daemon does not cut short."""
    receiver.answers = [503, 500]
    clock = clock_of(world)
    world.config(f"""
core: {{shutdown_grace: 5s}}
jobs:
  shaky:
    plugin: fail
    notify: [{{on: failure, url: "{receiver.url}/"}}]
  quiet:
    plugin: noop
    notify: [{{on: success, url: "{receiver.url}/"}}]
""")
    daemon = world.start("daemon")
    wait_until_ready(world)
    world.run("trigger", "shaky", "--wait")
    wait_until_put_off(world, attempts=1)
    clock.set_offset(-3_600_000)  # so that its time is not come, however slow the machine
    time.sleep(1)
    assert len(receiver.got) == 1
    clock.set_offset(11_000)
    wait_until_put_off(world, attempts=2)
    daemon.kill()
    daemon.communicate()
    clock.set_offset(-3_600_000)
    daemon = world.start("daemon")
    wait_until_ready(world)
    world.run("trigger", "quiet", "--wait")
    receiver.wait_for(3)
    time.sleep(1)
    assert [(status, b["event"]) for status, _, b in receiver.got] == [
        (503, "failure"), (500, "failure"), (200, "success")]
    clock.set_offset(32_000)
    receiver.wait_for(4)
    time.sleep(0.3)
    stop(daemon)
    daemon = world.start("daemon")
    wait_until_ready(world)
    time.sleep(0.5)
    stop(daemon)
    assert [(status, b["event"]) for status, _, b in receiver.got[3:]] == [(200, "failure")]


def test_a_refusal_is_given_up(world, receiver):
    receiver.answers = [404]
    world.config(f"""
core: {{shutdown_grace: 5s}}
jobs:
  shaky:
    plugin: fail
    notify: [{{on: [failure], url: "{receiver.url}/secret-path"}}]
""")
    daemon = world.start("daemon")
    wait_until_ready(world)
    world.run("trigger", "shaky", "--wait")
    log = wait_for(daemon, "was given up after 1 attempt") + stop(daemon)
    assert len(receiver.got) == 1
    assert "secret-path" not in log


def test_the_page_of_an_answer_does_not_matter(world, receiver):
    """Some send a large page with each error, and with what is none."""
    receiver.answers = [502]
    receiver.page = b"<p>" + 300_000 * b"x"
    clock = clock_of(world)
    world.config(f"""
core: {{shutdown_grace: 5s}}
jobs:
  shaky:
    plugin: fail
    notify: [{{on: [failure], url: "{receiver.url}/"}}]
""")
    daemon = world.start("daemon")
    wait_until_ready(world)
    world.run("trigger", "shaky", "--wait")
    receiver.wait_for(1)
    time.sleep(0.5)
    clock.set_offset(11_000)
    receiver.wait_for(2)
    time.sleep(0.5)
    log = stop(daemon)
    assert "the receiver answered 502" in log and "given up" not in log
    assert log.count("was not delivered") == 1


def test_missed_slots_are_told_once(world, receiver):
    """Three hours without a daemon, at five slots an hour: one run made up, one notification."""
    clock = clock_of(world)
    clock.set(START)
    world.config(f"""
core: {{shutdown_grace: 5s}}
jobs:
  often:
    plugin: noop
    schedule: "*/12 * * * *"
    time_zone: UTC
    notify: [{{on: [missed, failure], url: "{receiver.url}/"}}]
""")
    daemon = world.start("daemon")
    wait_until_ready(world)
    daemon.kill()
    daemon.communicate()
    clock.set(START + 3 * HOUR)
    daemon = world.start("daemon")
    (_, _, body), = receiver.wait_for(1)
    time.sleep(1)
    stop(daemon)
    assert len(receiver.got) == 1
    assert (body["event"], body["reason"]) == ("missed", "misfire")
    assert body["slots"] == 14  # 14:24 to 17:00; the run is that of 17:12
    runs = json.loads(world.run("runs", "--json").stdout)
    assert [r["status"] for r in runs].count("succeeded") == 1
    assert [r["status"] for r in runs].count("skipped") == body["slots"]


def test_what_was_skipped_to_the_last_is_missed(world, receiver):
    """Not what was skipped for good at once, as nobody waits for that."""
    notify = f'notify: [{{on: [missed, failure], url: "{receiver.url}/"}}]'
    world.config(f"""
jobs:
  patient: {{plugin: skip, schedule: "@startup", {notify},
            retry: {{attempts: 2, backoff: 100ms, skipped: true}}}}
  plain: {{plugin: skip, schedule: "@startup", {notify}, retry: {{attempts: 2, backoff: 100ms}}}}
""")
    daemon = world.start("daemon")
    (_, _, body), = receiver.wait_for(1)
    time.sleep(1)
    stop(daemon)
    assert len(receiver.got) == 1
    assert [body[key] for key in ("event", "job", "status", "reason", "attempt")] == [
        "missed", "patient", "skipped", "precondition", 2]


def clock_of(world):
    """The real time, until the test moves it."""
    clock = Clock(world.root / "clock", time.time_ns() // 1_000_000)
    clock.set_offset(0)
    world.environment["RUN_CORE_CLOCK"] = f"@{clock.path}"
    return clock


def wait_until_put_off(world, attempts, seconds=PATIENCE_S):
    """The daemon has noted that the only notification failed so often."""
    deadline = time.monotonic() + seconds
    noted = None
    while noted != [(attempts,)]:
        assert time.monotonic() < deadline, noted
        time.sleep(0.05)
        with sqlite3.connect(world.state / "state.db", timeout=PATIENCE_S) as ledger:
            noted = ledger.execute("SELECT attempts FROM notices").fetchall()


def wait_until_ready(world, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while world.run("trigger", "no-such-job").stderr.find("no-such-job") < 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
