"""run-core as process number 1, as in a container without an init of its own."""

import os
import signal
import subprocess
import sys
import time

from conftest import BUILD, PATIENCE_S
from test_worker import wait_for

sys.dont_write_bytecode = True


def contained(world, *words, **options):
    """Starts run-core as the first process of a namespace of its own."""
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    return subprocess.Popen(
        ["unshare", *user, "--pid", "--fork", "--mount-proc", "--kill-child", "--",
         str(BUILD / "run-core"), *words],
        cwd=world.root, env=world.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def number_one(process):
    """Our pid of the namespace's process number 1."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            pids = file.read().split()
        if pids:
            return int(pids[0])
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


def test_a_run_ends_as_elsewhere(world):
    for words, status in ((["noop"], 0), (["fail"], 1), (["nosuch"], 2)):
        process = contained(world, *words)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == status, words


def test_signals_reach_the_run(world):
    process = contained(world, "counter", "--set", "step=1s", "--set", "steps=1000")
    first = number_one(process)
    while not children(first):
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(first, signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM, stderr


def test_orphans_are_reaped_and_the_daemon_is_told_to_end(world):
    world.config("core: {shutdown_grace: 1s}\njobs:\n  often:\n    plugin: noop\n"
                 "    schedule: '@every 1s'\n")
    process = contained(world, "daemon")
    first = number_one(process)
    wait_for(process, "keeps the schedule")
    time.sleep(2)
    # The daemon alone is left below number 1, and no process that has ended.
    end = time.monotonic() + PATIENCE_S
    while len(children(first)) != 1:
        assert time.monotonic() < end, children(first)
        time.sleep(0.01)
    with open(f"/proc/{children(first)[0]}/stat", encoding="ascii") as file:
        assert file.read().rsplit(")", 1)[1].split()[0] != "Z"
    os.kill(first, signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert b"the daemon has ended" in stderr
