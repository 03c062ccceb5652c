"""One run in the foreground: how it ends, what it says, and that nothing survives it."""

import json
import os
import pty
import re
import select
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import BUILD, PATIENCE_S
from processes import wait_until_taken


def wait_for(process, text, timeout=PATIENCE_S):
    """Reads stderr until 'text' is there."""
    seen = b""
    end = time.monotonic() + timeout
    while text.encode() not in seen:
        ready, _, _ = select.select([process.stderr], [], [], max(0, end - time.monotonic()))
        assert ready, f"no '{text}' within {timeout} s: {seen!r}"
        piece = os.read(process.stderr.fileno(), 65536)
        assert piece, f"ended before '{text}': {seen!r}"
        seen += piece
    return seen.decode("utf-8", "replace")


# ---- how a run ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, status, word, reason",
    [
        ("ok", 0, "succeeded", None),
        ("failed", 1, "failed", "failed"),
        ("invalid", 2, "failed", "invalid"),
        ("not_found", 1, "failed", "not_found"),
        ("conflict", 1, "failed", "conflict"),
        ("denied", 1, "failed", "denied"),
        ("unavailable", 1, "failed", "unavailable"),
        ("corrupt", 1, "failed", "corrupt"),
        ("timeout", 1, "failed", "timeout"),
        ("cancelled", 1, "cancelled", "cancelled"),
        ("skipped", 3, "skipped", "precondition"),
    ],
)
def test_code_decides_status(world, code, status, word, reason):
    result = world.run("fail", "--set", f"code={code}", "--json")
    assert result.status == status
    final = result.final
    assert (final["status"], final["reason"]) == (word, reason)
    assert final["error"] == (None if code == "ok" else "try: attempt 1 was told to fail")
    said = [m for m in result.messages if "told to fail" in m["message"]]
    assert len(said) == (0 if code == "ok" else 1), "an error is logged once"


@pytest.mark.parametrize(
    "action, number, name",
    [
        ("segv", signal.SIGSEGV, "SIGSEGV"),
        ("abort", signal.SIGABRT, "SIGABRT"),
        ("overflow", signal.SIGSEGV, "SIGSEGV"),
        ("fpe", signal.SIGFPE, "SIGFPE"),
    ],
)
def test_crash_ends_by_its_signal(world, action, number, name):
    result = world.run("crash", action, "--json")
    assert result.status == 128 + number
    assert result.final["status"] == "failed"
    assert result.final["reason"] == "crashed"
    assert f"the plugin 'crash' crashed in its action '{action}': signal {int(number)}" in result.text
    assert name in result.final["error"]


def test_plugin_that_exits_is_a_failure(world):
    result = world.run("crash", "exit", "--json")
    assert result.status == 1
    assert "ended its process by itself in its action 'exit'" in result.final["error"]


def writer_words(world):
    """The writer's words for a folder with the object that it begins with."""
    folder = world.root / "data"
    folder.mkdir(exist_ok=True)
    (folder / "seed").write_text("seed")
    return ["writer", "--set", f"base=file://{folder}/", "--json"]


def test_state_survives_a_crash(world):
    words = writer_words(world)
    assert world.run(*words).status == 0
    for _ in range(5):
        assert world.run("crash", "segv").status == 139
    result = world.run(*writer_words(world))
    assert result.status == 0
    assert result.final["counters"]["runs_seen"] == 2
    for path in world.state.rglob("*.db"):
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_leak_ends_with_its_process(world):
    result = world.run("leak")
    assert result.status == 0
    assert world.run("noop").status == 0


def test_garbage_stays_out_of_results(world):
    result = world.run("garbage", "--json")
    assert result.status == 1
    final = result.final  # parses, whatever the plugin wrote to its stdout
    assert final["results"] == [{"text": "said \ufffd\ufffd, a \"quote\" and a \\ backslash"}]
    assert final["error"] == "an error of \ufffd\ufffd\ufffd"
    assert final["counters"] == {}
    assert "a log message of \\ufffd" in result.stderr or "a log message of \ufffd" in result.stderr


@pytest.mark.parametrize(
    "plugin, part",
    [
        ("wrong-abi", "needs plugin ABI 2."),
        ("newer-minor", "upgrade run-core or rebuild the plugin"),
        ("bad-magic", "is not a run-core plugin"),
        ("no-descriptor", "does not export 'rc_plugin_descriptor'"),
        ("bad-table", "a name that an earlier one has too"),
    ],
)
def test_unloadable_plugin_is_named(world, plugin, part):
    result = world.run(plugin, "--json")
    assert result.status == 2
    assert part in result.final["error"]
    assert f"{plugin}.so" in result.final["error"]


def test_plugin_that_others_can_write_is_refused(world):
    folder = world.root / "plugins"
    folder.mkdir()
    file = folder / "noop.so"
    file.write_bytes((BUILD / "test-plugins" / "noop.so").read_bytes())
    environment = {"RUN_CORE_PLUGIN_PATH": str(folder)}
    file.chmod(0o666)
    result = world.run("noop", env=environment)
    assert result.status == 2
    assert "is writable by its group and others; run: chmod go-w" in result.text
    file.chmod(0o644)
    assert world.run("noop", env=environment).status == 0
    if os.geteuid() == 0:
        os.chown(file, 12345, 0)
        result = world.run("noop", env=environment)
        assert result.status == 2
        assert "belongs to user 12345" in result.text


# ---- stopping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_stops_cleanly(world, number):
    process = world.start("hang", "wait")
    wait_for(process, "waiting")
    process.send_signal(number)
    rest = process.communicate(timeout=PATIENCE_S)[1].decode()
    assert process.returncode == 128 + number
    assert "stopping" in rest
    assert "the run was asked to stop" in rest


def test_second_signal_stops_at_once(world):
    world.config("jobs: {patient: {plugin: hang, action: hang, kill_after: 1h}}")
    process = world.start("run", "patient")
    wait_for(process, "hanging")
    process.send_signal(signal.SIGINT)
    wait_until_taken(process, signal.SIGINT)
    time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=PATIENCE_S)[1].decode()
    assert process.returncode == 128 + signal.SIGINT
    assert "was killed in its action 'hang'" in rest


TIMED = """
jobs:
  short: {plugin: hang, action: %s, timeout: 300ms, kill_after: %s}
"""


def test_timeout_stops_a_plugin_that_obeys(world):
    world.config(TIMED % ("wait", "1h"))
    result = world.run("run", "short", "--json")
    assert result.status == 124
    assert result.final["status"] == "timed_out"
    assert "the run's time is up" in result.final["error"]


def test_timeout_kills_a_plugin_that_hangs(world):
    world.config(TIMED % ("hang", "300ms"))
    for _ in range(3):
        result = world.run("run", "short", "--json")
        assert result.status == 124
        assert result.final["status"] == "timed_out"
        assert "was killed" in result.final["error"]
        assert result.final["seconds"] > 0.5
        if result.final["seconds"] < 10:
            return
    pytest.fail("no faster than by the default of kill_after")  # a busy machine may be, once


def test_worker_dies_with_its_guard(world):
    process = world.start("hang", "hang")
    wait_for(process, "hanging")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.kill()
    process.communicate()
    end = time.monotonic() + PATIENCE_S
    while alive(children[0]):
        assert time.monotonic() < end, "the worker outlives its guard"
        time.sleep(0.01)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# ---- jobs ---------------------------------------------------------------------------------------

OVERLAP = """
jobs:
  forbid: {plugin: hang, action: wait}
  allow:  {plugin: hang, action: wait, concurrency: allow}
  queue:  {plugin: counter, concurrency: queue, config: {steps: 3, step: 300ms}}
"""


def test_overlap_is_forbidden(world):
    world.config(OVERLAP)
    first = world.start("run", "forbid")
    wait_for(first, "waiting")
    second = world.run("run", "forbid", "--json")
    assert second.status == 3
    assert (second.final["status"], second.final["reason"]) == ("skipped", "locked")
    first.kill()
    first.communicate()
    third = world.start("run", "forbid")  # the lock of a dead run is free at once
    wait_for(third, "waiting")
    third.send_signal(signal.SIGTERM)
    third.communicate(timeout=PATIENCE_S)


def test_overlap_is_allowed(world):
    world.config(OVERLAP)
    runs = [world.start("run", "allow") for _ in range(2)]
    for run in runs:
        wait_for(run, "waiting")
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=PATIENCE_S)
    forced = [world.start("run", "forbid", "--force") for _ in range(2)]
    for run in forced:
        wait_for(run, "waiting")
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=PATIENCE_S)


def test_overlap_waits(world):
    world.config(OVERLAP)
    began = time.monotonic()
    runs = [world.start("run", "queue") for _ in range(2)]
    for run in runs:
        run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0
    assert time.monotonic() - began > 1.7, "the second run waited for the first"


def test_unknown_job_has_a_nearest(world):
    world.config(OVERLAP)
    result = world.run("run", "forbit")
    assert result.status == 2
    assert "there is no job 'forbit'" in result.stderr
    assert "did you mean 'forbid'?" in result.stderr


def test_unknown_action_has_a_nearest(world):
    result = world.run("crash", "abrot")
    assert result.status == 2
    assert "has no action 'abrot'; did you mean 'abort'?" in result.text


def test_mistakes_in_options_are_all_said(world):
    result = world.run(
        "options", "--set", "count=11", "--set", "colour=gren", "--set", "cuont=1", "--set", "wait=1ms"
    )
    assert result.status == 2
    for part in ["count", "gren", "unknown key 'cuont' of plugin 'options'; did you mean 'count'?", "wait", "needed"]:
        assert part in result.text, part


# ---- results, messages, secrets -----------------------------------------------------------------


def test_results_go_to_stdout(world):
    result = world.run("counter")
    assert result.status == 0
    assert result.stdout == "all steps taken\n\nsteps\nkind  steps\neven      5\nodd\n"


def test_final_object(world):
    result = world.run("counter", "--json")
    final = result.final
    assert list(final) == [
        "run", "plugin", "action", "job", "status", "reason", "error", "counters", "seconds", "results",
    ]
    assert (final["plugin"], final["action"], final["job"]) == ("counter", "report", None)
    assert final["counters"] == {"steps": 10, "even_steps": 5, "odd_steps": 5}
    assert final["results"] == [
        {"text": "all steps taken"},
        {"title": "steps", "columns": ["kind", "steps"], "rows": [["even", "5"], ["odd", None]]},
    ]
    assert re.fullmatch(r"\d{8}t\d{6}-[0-9a-f]{8}", final["run"])


def test_messages_are_json_lines(world):
    result = world.run("counter")
    for line in result.stderr.splitlines():
        json.loads(line)
    [message] = [m for m in result.messages if m["message"] == "took 10 steps"]
    assert message["colour"] == "blue"
    assert message["shape"] == 'round "thing"'
    assert (message["level"], message["plugin"], message["action"]) == ("info", "counter", "report")
    assert message["run"]


def test_progress_line_on_a_terminal(world):
    main, end = pty.openpty()
    process = world.start("counter", "--set", "steps=20", "--set", "step=40ms",
                          stderr=end, env={"TERM": "xterm"})
    os.close(end)
    seen = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    process.communicate(timeout=PATIENCE_S)
    os.close(main)
    assert process.returncode == 0
    text = seen.decode()
    assert re.search(r"report \[=+> +\] +\d+%  \d+/20 steps  \d+\.\d/s  \S+ left", text)
    assert "\033[K" in text
    assert "took 20 steps" in text and '{"time"' not in text


def test_secrets_are_masked(world):
    world.config(
        """
        plugins:
          options: {config: {needed: x, password: "hunter2-very-secret"}}
        """
    )
    for words in (["options"], ["options", "reveal"], ["options", "reveal", "--json"]):
        result = world.run(*words)
        assert "hunter2" not in result.stdout + result.stderr
    assert "********" in world.run("options", "reveal").stdout + world.run("options", "reveal").stderr


def test_log_level(world):
    assert world.run("counter", "-q").text == ""
    assert "took 10 steps" in world.run("counter").text


# ---- dry run ------------------------------------------------------------------------------------


def test_dry_run_changes_nothing(world):
    words = writer_words(world)
    assert world.run(*words).status == 0
    before = tree(world.root)
    result = world.run(*words, "--dry-run")
    assert result.status == 0, result.stderr
    assert tree(world.root) == before
    said = [m["message"] for m in result.messages if m["message"].startswith("dry run: would")]
    for verb in ["write", "copy", "move", "remove", "run: CREATE TABLE", "INSERT INTO"]:
        assert any(verb in text for text in said), verb
    assert result.final["counters"]["dry_run_changes"] == len(said)
    assert result.final["counters"]["runs_seen"] == 1, "a dry run sees the state as it is"


def test_dry_run_before_any_state(world):
    words = writer_words(world)
    result = world.run(*words, "--dry-run")
    assert result.status == 0, result.stderr
    assert os.listdir(world.root / "data") == ["seed"]
    assert result.final["counters"]["runs_seen"] == 0


def tree(root):
    """Every file below 'root' with its content; the state's own bookkeeping files aside."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


# ---- temporary files ----------------------------------------------------------------------------


def test_temporary_files_go_with_the_run(world):
    assert world.run(*writer_words(world)).status == 0
    assert list(world.temp.rglob("*")) == []


def test_temporary_files_of_a_killed_run_go_with_the_next(world):
    left = world.temp / f"run-core-{os.geteuid()}" / "20200101t000000-00000000"
    (left / "deep").mkdir(parents=True)
    left.parent.chmod(0o700)
    (left / "deep" / "file").write_text("left behind")
    assert world.run(*writer_words(world)).status == 0
    assert not left.exists()


# ---- health and metrics -------------------------------------------------------------------------


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_and_metrics_while_it_runs(world):
    process = world.start("counter", "--set", "steps=100000", "--set", "step=50ms",
                          "--listen", "127.0.0.1:0")
    said = wait_for(process, "serving health and metrics at ")
    url = re.search(r"http://[0-9.:]+", said).group(0)
    end = time.monotonic() + PATIENCE_S
    while get(url + "/healthcheck/is-ready")[0] != 200:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert get(url + "/healthcheck/is-alive")[0] == 200
    while 'counter="steps"' not in get(url + "/metrics")[1]:
        assert time.monotonic() < end
        time.sleep(0.02)
    metrics = get(url + "/metrics")[1]
    assert re.search(r'run_core_run_progress_total\{plugin="counter",action="report",job=""\} 100000',
                     metrics)
    assert get(url + "/nothing")[0] == 404
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM


def test_health_answers_while_a_plugin_hangs(world):
    process = world.start("hang", "hang", "--listen", "127.0.0.1:0")
    said = wait_for(process, "hanging")
    url = re.search(r"http://[0-9.:]+", said).group(0)
    assert get(url + "/healthcheck/is-alive")[0] == 200
    process.kill()
    process.communicate()


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:99999", "256.1.1.1:80", "127.0.0.1:1:2"])
def test_bad_address_is_a_usage_error(world, address):
    result = world.run("noop", "--listen", address)
    assert result.status == 2
    assert address in result.stderr


# ---- time ---------------------------------------------------------------------------------------


def test_now_is_what_it_is_told(world):
    result = world.run("noop", "--now", "2024-02-29T12:00:00+02:00", "--json")
    assert result.status == 0
    assert world.run("noop", "--now", "yesterday").status == 2
