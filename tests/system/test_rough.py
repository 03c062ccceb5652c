"""Runs in rough surroundings: closed and full outputs, odd signals, bad plugins, missing places."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import PATIENCE_S
from test_worker import alive, wait_for, writer_words

# ---- signals ------------------------------------------------------------------------------------


def test_child_signals_that_are_ignored_do_not_hang_it(world):
    result = world.run("noop", "--json",
                       preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert (result.status, result.final["status"]) == (0, "succeeded")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_signals_that_its_parent_ignores_stay_ignored(world, number):
    """As nohup(1) does, and a shell for what it runs in the background."""
    process = world.start("hang", "wait", preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    wait_for(process, "waiting")
    process.send_signal(number)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM


def worker_of(process):
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def test_worker_killed_from_outside_is_said(world):
    process = world.start("hang", "wait", "--json")
    wait_for(process, "waiting")
    os.kill(worker_of(process), signal.SIGKILL)
    out, _ = process.communicate(timeout=PATIENCE_S)
    final = json.loads(out)
    assert process.returncode == 128 + signal.SIGKILL
    assert (final["status"], final["reason"]) == ("failed", "killed")
    assert "killed from outside" in final["error"] and "memory" in final["error"]


def test_stopping_by_the_terminal_and_going_on(world):
    """A worker that stops and goes on must not be taken for one that has ended, or never ends."""
    witness, gate = world.root / "witness", world.root / "gate"
    process = world.start("witness", "--set", f"file={witness}", "--set", f"until={gate}", "--json")
    while not witness.exists():
        assert process.poll() is None
        time.sleep(0.01)
    for _ in range(20):
        process.send_signal(signal.SIGTSTP)
        end = time.monotonic() + PATIENCE_S
        while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    gate.touch()
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and json.loads(out)["status"] == "succeeded"
    assert [line.split()[0] for line in witness.read_text().splitlines()] == ["begin", "done"]


def test_stop_signal_outweighs_what_the_plugin_makes_of_it(world):
    process = world.start("rough", "misname", "--json")
    wait_for(process, "waiting")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE_S)
    final = json.loads(out)
    assert process.returncode == 128 + signal.SIGTERM
    assert final["status"] == "cancelled"
    assert "the connection was interrupted" in final["error"]


def test_timeout_outweighs_what_the_plugin_makes_of_it(world):
    world.config("jobs: {short: {plugin: rough, action: misname, timeout: 300ms}}")
    result = world.run("run", "short", "--json")
    assert result.status == 124
    assert (result.final["status"], result.final["reason"]) == ("timed_out", "timeout")
    assert "the connection was interrupted" in result.final["error"]


# ---- outputs ------------------------------------------------------------------------------------


def closed(*fds):
    def close():
        for fd in fds:
            os.close(fd)

    return close


def test_results_that_cannot_be_written_fail_the_run(world):
    for words in (["counter"], ["counter", "--json"]):
        with open("/dev/full", "wb") as full:
            process = world.start(*words, stdout=full)
            stderr = process.communicate(timeout=PATIENCE_S)[1].decode()
        assert process.returncode == 1, words
        assert "cannot write the results to stdout: No space left on device" in stderr


def test_reader_that_goes_is_no_failure(world):
    read, write = os.pipe()
    os.close(read)
    process = world.start("counter", stdout=write)
    os.close(write)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def test_closed_stdout_is_said(world):
    for words in (["counter"], ["counter", "--json"]):
        result = world.run(*words, preexec_fn=closed(1))
        assert result.status == 1
        assert "cannot write the results to stdout: Bad file descriptor" in result.text
    assert world.run("noop", preexec_fn=closed(1)).status == 0


def test_closed_outputs_leave_the_state_alone(world):
    """No file of the run may get the number of a closed output, and messages written into it."""
    for fds in ((2,), (0, 2), (0, 1, 2)):
        result = world.run(*writer_words(world), preexec_fn=closed(*fds))
        assert result.status == (1 if 1 in fds else 0)
    for path in [*world.state.rglob("*"), *(world.root / "data").rglob("*")]:
        assert path.is_dir() or b'"message":"' not in path.read_bytes(), path


def test_results_of_threads_are_whole_lines(world):
    process = world.start("rough", "chatter")
    wait_for(process, "chattering")
    time.sleep(0.2)  # the pipe is full now, and writes are cut
    out, _ = process.communicate(timeout=PATIENCE_S)
    lines = out.decode().splitlines()
    assert len(lines) == 200
    assert all(line == line[0] * 10000 for line in lines)


def test_results_survive_the_wish_to_stop(world):
    """A signal interrupts a write into a full pipe; what was cut off is written all the same."""
    process = world.start("rough", "chatter")
    wait_for(process, "chattering")
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    out, _ = process.communicate(timeout=PATIENCE_S)
    lines = out.decode().splitlines()
    assert lines and all(line == line[0] * 10000 for line in lines)


def test_crash_takes_the_progress_line_with_it(world):
    main, end = pty.openpty()
    process = world.start("rough", "interrupt", stderr=end, env={"TERM": "xterm"})
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
    assert process.returncode == 128 + signal.SIGABRT
    before, _, after = seen.decode().rpartition("1/2 steps")
    assert before and re.match(r"[^\n]*\r\033\[K.*crashed", after, re.S), seen


@pytest.mark.parametrize(
    "words",
    [
        ["noop", "--config", "/does/not/exist"],
        ["run", "nothing"],
        ["noop", "--set", "="],
        ["noop", "--listen", "nowhere"],
    ],
)
def test_final_object_of_a_run_that_cannot_begin(world, words):
    result = world.run(*words, "--json")
    assert result.status == 2
    assert (result.final["status"], result.final["reason"]) == ("failed", "invalid")
    assert result.final["error"]


# ---- plugins ------------------------------------------------------------------------------------


def test_failure_without_an_error_is_a_failure(world):
    result = world.run("rough", "silent", "--json")
    assert result.status == 1
    assert "without saying why" in result.final["error"]


@pytest.mark.parametrize("padding", range(735, 770, 3))
def test_secret_that_is_cut_in_half_stays_secret(world, padding):
    result = world.run("rough", "cut", "--set", f"padding={padding}",
                       "--set", "secret=hunter2-very-secret", "--json")
    assert result.status == 1
    assert "hunt" not in result.stdout + result.stderr


@pytest.mark.parametrize("word", ["./noop.so", "../noop", "/tmp/noop.so"])
def test_path_is_no_plugin(world, word):
    result = world.run(word)
    assert result.status == 2
    assert "is a path; a plugin is run by its name" in result.text


def test_what_a_plugin_starts_ends_with_it(world):
    result = world.run("rough", "linger")
    child = re.search(r"left process (\d+)", result.text).group(1)
    assert result.status == 0
    end = time.monotonic() + PATIENCE_S
    while alive(child):
        assert time.monotonic() < end, "it outlives its run"
        time.sleep(0.01)


# ---- places -------------------------------------------------------------------------------------


def test_dry_run_makes_no_state(world):
    result = world.run(*writer_words(world), "--dry-run")
    assert result.status == 0, result.stderr
    assert not world.state.exists()


def test_dry_run_is_quiet_when_told(world):
    assert "dry run: would" not in world.run(*writer_words(world), "--dry-run", "-q").text


def test_password_in_the_place_of_the_state_stays_secret(world):
    url = "mysql://me:hunter2secret@db.example/state"
    result = world.run(*writer_words(world), env={"RUN_CORE_STATE": url})
    assert result.status == 1
    assert "hunter2" not in result.stdout + result.stderr
    assert "sqlite:///" in result.final["error"]


def test_missing_place_for_temporary_files_is_named(world):
    missing = world.root / "missing"
    result = world.run(*writer_words(world), env={"TMPDIR": str(missing)})
    assert result.status == 1
    assert str(missing) in result.final["error"] and "TMPDIR" in result.final["error"]


def test_first_runs_at_once_share_the_state(world):
    """All of them make it, the folder too; each has to find it whole."""
    world.config("jobs: {one: {plugin: noop, concurrency: queue}}")
    for _ in range(5):
        runs = [world.start("run", "one") for _ in range(8)]
        for run in runs:
            stderr = run.communicate(timeout=PATIENCE_S)[1].decode()
            assert run.returncode == 0, stderr
        subprocess.run(["rm", "-r", str(world.state)], check=True)


def test_few_descriptors_are_an_error_not_a_crash(world):
    import resource

    for limit in range(4, 24):
        result = world.run(
            *writer_words(world),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        )
        assert result.status in (0, 1, 2, 127), (limit, result.status, result.stderr)
        assert result.status == 0 or result.stderr, limit


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user")
def test_state_of_another_user_is_said(world):
    world.root.chmod(0o755)
    world.temp.chmod(0o777)
    world.state.mkdir(mode=0o700)
    config = world.config("jobs: {one: {plugin: noop}}")
    parents = [path for path in [config, *config.parents] if str(path).startswith("/tmp/pytest-of")]
    for path in parents:
        path.chmod(path.stat().st_mode | 0o055)
    result = world.run("run", "one", user=65534, group=65534, extra_groups=[])
    assert result.status == 1, result.stderr
    assert "Permission denied" in result.text and str(world.state) in result.text


def test_many_words(world):
    words = [word for i in range(10000) for word in ("--set", f"k{i}=v")]
    result = world.run("options", *words)
    assert result.status == 2
    assert "there are more mistakes" in result.text


# ---- plugins that end the process which checks them ---------------------------------------------


@pytest.mark.parametrize("status", [0, 3])
@pytest.mark.parametrize("command", ["check", "daemon"])
def test_a_check_that_a_plugin_ends_is_no_good_check(world, command, status):
    world.config(f"jobs: {{j: {{plugin: rough, config: {{leave: {status}}}}}}}")
    result = world.run(command)
    assert result.status == 2
    assert f"with status {status} in the plugin 'rough'" in result.stderr


def test_a_check_that_stalls_ends_with_its_daemon(world):
    world.config("jobs: {j: {plugin: rough, config: {stall: true}}}")
    daemon = world.start("daemon")
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
    deadline = time.monotonic() + PATIENCE_S
    while not children.read_text().split():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)
    checking = int(children.read_text())
    daemon.kill()
    daemon.wait()
    while alive(checking):
        assert time.monotonic() < deadline
        time.sleep(0.05)
