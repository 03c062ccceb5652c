"""Runs in the foreground and runs of the daemon never overlap, whichever came first."""

import contextlib
import json
import signal
import sqlite3
import time

import pytest
from conftest import PATIENCE_S

CONFIG = """
core: {shutdown_grace: 1s}
jobs:
  long:
    plugin: counter
    concurrency: %s
    config: {steps: 100000, step: 20ms}
"""


@pytest.fixture
def daemon(world):
    process = None

    def start(rule="forbid"):
        nonlocal process
        world.config(CONFIG % rule)
        process = world.start("daemon")
        deadline = time.monotonic() + PATIENCE_S
        while "no job" not in world.run("trigger", "nosuch").stderr:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return process

    yield start
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


def runs(world):
    return json.loads(world.run("runs", "--json").stdout)


def wait_for(world, status, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not any(run["status"] == status for run in runs(world)):
        assert time.monotonic() < deadline, runs(world)
        time.sleep(0.05)


def wait_for_lock(world):
    """Until the run in the foreground has the job: its record may be there before."""
    wait_for(world, "started")
    held = "SELECT 1 FROM locks WHERE name = 'job:long' AND holder IS NOT NULL"
    end = time.monotonic() + PATIENCE_S
    with contextlib.closing(sqlite3.connect(f"file:{world.state}/state.db?mode=ro", uri=True,
                                            timeout=PATIENCE_S)) as database:
        while not database.execute(held).fetchone():
            assert time.monotonic() < end
            time.sleep(0.02)


def test_the_daemon_keeps_off_a_run_in_the_foreground(world, daemon):
    daemon()
    foreground = world.start("run", "long")
    wait_for_lock(world)
    result = world.run("trigger", "long")
    assert result.status == 3, result.stderr
    assert [run["reason"] for run in runs(world) if run["status"] == "skipped"] == ["overlap"]
    foreground.send_signal(signal.SIGTERM)
    foreground.communicate(timeout=PATIENCE_S)
    assert world.run("trigger", "long").status == 0


def test_a_killed_run_in_the_foreground_is_no_hindrance(world, daemon):
    daemon()
    foreground = world.start("run", "long")
    wait_for_lock(world)
    foreground.kill()
    foreground.communicate()
    time.sleep(0.3)
    assert world.run("trigger", "long").status == 0
    wait_for(world, "lost")


def test_a_queued_run_starts_when_the_foreground_has_ended(world, daemon):
    daemon("queue")
    foreground = world.start("run", "long")
    wait_for_lock(world)
    assert world.run("trigger", "long").status == 0
    wait_for(world, "due")
    time.sleep(1.5)
    assert sum(run["status"] == "started" for run in runs(world)) == 1
    foreground.send_signal(signal.SIGTERM)
    foreground.communicate(timeout=PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while not any(run["status"] == "started" and run["trigger"] == "manual"
                  for run in runs(world)):
        assert time.monotonic() < deadline, runs(world)
        time.sleep(0.1)


def test_the_foreground_keeps_off_a_run_of_the_daemon(world, daemon):
    process = daemon()
    assert world.run("trigger", "long").status == 0
    wait_for(world, "started")
    result = world.run("run", "long")
    assert result.status == 3 and "under way" in result.stderr
    assert world.run("run", "long", "--set", "steps=1", "--force").status == 0
    # Also when the daemon has gone and the run goes on under its guard.
    process.kill()
    process.communicate()
    result = world.run("run", "long")
    assert result.status == 3 and "under way" in result.stderr
    daemon()  # adopts what goes on, and ends it with itself


def test_the_foreground_runs_when_daemon_and_run_are_gone(world, daemon):
    process = daemon()
    assert world.run("trigger", "long").status == 0
    wait_for(world, "started")
    process.kill()
    process.communicate()
    import os
    for line in os.popen("ps -eo pid,args").read().splitlines():
        pid, _, words = line.strip().partition(" ")
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                ours = str(world.state).encode() in file.read()
        except OSError:
            continue
        if ours and int(pid) != os.getpid() and "run-core" in words:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
    time.sleep(0.3)
    assert world.run("run", "long", "--set", "steps=1").status == 0


def test_the_foreground_waits_for_the_daemon_where_it_is_to_queue(world, daemon):
    daemon("queue")
    result = world.run("trigger", "long")
    assert result.status == 0
    wait_for(world, "started")
    foreground = world.start("run", "long", "--set", "steps=1")
    time.sleep(1.5)
    assert foreground.poll() is None
    world.run("cancel", result.stdout.split()[-1].strip())
    assert foreground.wait(timeout=PATIENCE_S) == 0
    foreground.communicate()
