"""The commands that speak to the daemon: their results, messages and exit statuses."""

import hashlib
import json
import os
import pty
import re
import time

import pytest

from api_world import Daemon, until
from conftest import PATIENCE_S

JOBS = """
plugins:
  options: {config: {needed: given}}
jobs:
  noop: {plugin: noop}
  opt: {plugin: options}
  fail: {plugin: fail, action: fail}
  crash: {plugin: crash}
  garbage: {plugin: garbage}
  slow: {plugin: hang, action: wait, timeout: 300ms, kill_after: 1s}
  wait: {plugin: hang, action: wait, kill_after: 2s}
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    from conftest import World

    running = Daemon(World(tmp_path_factory.mktemp("cli")), JOBS, listen=None)
    yield running
    assert running.stop() == 0, running.said


@pytest.fixture
def run(daemon):
    return daemon.world.run


def test_trigger_writes_the_id(daemon, run):
    result = run("trigger", "opt", "--set", "text=from afar", "--set", "list=[a, b]")
    assert result.status == 0
    ended = daemon.local.wait_for(result.stdout.strip())
    assert ended["status"] == "succeeded" and ended["set"]["text"] == "from afar"
    log = run("logs", ended["id"]).stdout
    assert "text=from afar" in log and "list[1]=b" in log
    assert json.loads(run("trigger", "noop", "--json").stdout)["run"]


@pytest.mark.parametrize("job, status", [("noop", 0), ("fail", 1), ("slow", 124)])
def test_wait_ends_as_the_run_does(run, job, status):
    result = run("trigger", job, "--wait")
    assert result.status == status, result.stderr
    assert result.stdout == "" and '"job":"%s"' % job in result.stderr
    result = run("trigger", job, "--wait", "--json")
    assert result.status == status and json.loads(result.stdout)["job"] == job


def test_wait_for_a_crash(run):
    result = run("trigger", "crash", "--wait")
    assert result.status > 128, result.stderr


def test_wait_outlives_the_daemon(daemon):
    process = daemon.world.start("trigger", "wait", "--wait", "--json")
    active = until(lambda: daemon.local.get("/api/v1/runs?status=started").json["runs"])
    daemon.kill()
    time.sleep(0.3)
    daemon.start()
    assert daemon.world.run("cancel", active[0]["id"]).status == 0
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0 and json.loads(stdout)["status"] == "cancelled", stderr


def test_mistakes(run):
    result = run("trigger", "opt", "--set", "colour=pink", "--set", "cuont=3")
    assert result.status == 2
    assert "--set colour: 'colour' is 'pink'" in result.stderr and "'count'" in result.stderr
    assert run("trigger", "opt", "--set", "colour").status == 2
    missing = run("trigger", "none")
    assert missing.status == 2 and "no job 'none'" in missing.stderr
    assert run("cancel", "none").status == 2
    assert run("pause", "none").status == 2
    assert run("logs", "none").status == 2 and run("logs", "none").stdout == ""
    assert run("logs", "../../etc").status == 2
    assert run("logs", "x", "--attempt", "zero").status == 2


def test_overlap(daemon, run):
    first = run("trigger", "wait").stdout.strip()
    daemon.local.wait_for(first, "started")
    second = run("trigger", "wait")
    assert second.status == 3 and "goes on" in second.stderr
    assert first in run("complete", "cancel", "").stdout.split()
    forced = run("trigger", "wait", "-f").stdout.strip()
    for one in (first, forced):
        assert run("cancel", one).status == 0
        assert daemon.local.wait_for(one)["status"] == "cancelled"
    assert run("cancel", first).status == 1
    assert first not in run("complete", "cancel", "").stdout.split()
    assert first in run("complete", "logs", "").stdout.split()


def test_pause_and_resume(daemon, run):
    assert run("pause", "noop").stdout == "job 'noop' is paused\n"
    assert run("pause", "noop").stdout == "job 'noop' was paused already\n"
    assert daemon.local.get("/api/v1/jobs/noop").json["paused_by"] == f"user {os.getuid()}"
    assert json.loads(run("resume", "noop", "--json").stdout) == {
        "job": "noop", "paused": False, "changed": True}
    assert run("resume", "noop").stdout == "job 'noop' was not paused\n"
    assert "noop" in run("complete", "pause", "").stdout.split()


def test_follow(daemon):
    first = daemon.world.run("trigger", "wait").stdout.strip()
    process = daemon.world.start("logs", "-f", first)
    assert b"waiting" in process.stdout.readline()
    daemon.world.run("cancel", first)
    stdout, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and b"stopping" in stdout
    assert daemon.world.run("logs", first, "--tail", "1").stdout.count("\n") == 1
    assert daemon.world.run("logs", first, "--attempt", "2").status == 2


def test_a_reader_that_has_read_enough(daemon):
    one = daemon.world.run("trigger", "noop").stdout.strip()
    daemon.local.wait_for(one)
    ours, theirs = os.pipe()
    os.close(ours)
    process = daemon.world.start("logs", one, stdout=theirs)
    os.close(theirs)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, stderr) == (0, b"")
    with open("/dev/full", "wb") as full:
        process = daemon.world.start("logs", one, stdout=full)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert b"write the log: " in stderr and b"broke off" not in stderr


def on_terminal(world, *words):
    """What a command writes to a terminal that is its stdout."""
    ours, theirs = pty.openpty()
    process = world.start(*words, stdout=theirs, stderr=theirs, env={"TERM": "xterm"})
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    return process.wait(timeout=PATIENCE_S), shown.decode().replace("\r\n", "\n")


def test_logs_on_a_terminal(daemon, run):
    one = run("trigger", "fail").stdout.strip()
    daemon.local.wait_for(one)
    status, shown = on_terminal(daemon.world, "logs", one)
    assert status == 0
    assert re.search(r"^\d\d:\d\d:\d\d \x1b\[31merror\x1b\[0m fail fail failed", shown, re.M), shown
    status, shown = on_terminal(daemon.world, "trigger", "garbage", "--wait")
    assert status == 1 and "\x1b[" in shown
    kept = shown.replace("\x1b[31m", "").replace("\x1b[33m", "").replace("\x1b[0m", "")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", kept.replace("\x1b[2m", "")), shown


def test_follow_a_daemon_that_is_killed(world):
    running = Daemon(world, JOBS, listen=None)
    one = world.run("trigger", "wait").stdout.strip()
    process = world.start("logs", "-f", one)
    assert b"waiting" in process.stdout.readline()
    running.kill()
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and b"broke off" in stderr
    running.start()
    assert world.run("cancel", one).status == 0
    assert running.local.wait_for(one)["status"] == "cancelled"
    assert running.stop() == 0


def test_reload(daemon, run):
    good = daemon.file.read_text()
    try:
        daemon.file.write_text(good + "  more: {plugin: noop}\n")
        assert run("reload").stdout == "the configuration was read anew and has 8 jobs\n"
        daemon.file.write_text(good + "  more: {plugni: noop}\n")
        refused = run("reload")
        assert refused.status == 2 and f"{daemon.file}:" in refused.stderr
        checked = run("check")
        for line in checked.stderr.splitlines():
            assert line in refused.stderr
    finally:
        daemon.file.write_text(good)
        assert run("reload").status == 0


def test_logs_without_a_daemon(world):
    running = Daemon(world, JOBS, listen=None)
    one = world.run("trigger", "opt").stdout.strip()
    running.local.wait_for(one)
    shown = world.run("logs", one).stdout
    assert running.stop() == 0
    away = world.run("logs", one)
    assert (away.status, away.stdout) == (0, shown) and "needed=given" in shown
    assert world.run("logs", one, "--attempt", "7").status == 1
    assert world.run("logs", "..").status == 2
    missing = world.run("logs", "none")
    assert missing.status == 2 and "no daemon" in missing.stderr
    for words in (["trigger", "opt"], ["cancel", one], ["pause", "opt"], ["reload"],
                  ["logs", "-f", one]):
        result = world.run(*words)
        assert result.status == 1
        assert f"no daemon answers at '{running.socket}'" in result.stderr
        assert "run-core daemon" in result.stderr


def test_token(run):
    made = json.loads(run("token", "deploy", "run", "--json").stdout)
    name, scope, digest = made["line"].split()
    assert (name, scope) == ("deploy", "run")
    assert digest == hashlib.sha256(made["token"].encode()).hexdigest()
    assert len(made["token"]) == 48
    assert run("token", "deploy", "write").status == 2
    assert run("token", "#no", "read").status == 2
    made = run("token", "deploy", "admin")
    token = made.stderr.split()[-1]
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert made.stdout == f"deploy admin {digest}\n"


def test_letters_follow_the_command(run):
    """-f is --follow of 'logs' and --force of a run."""
    assert "'cancel' takes no" in run("cancel", "-f", "x").stderr
    assert run("run", "noop", "-f").status == 0
