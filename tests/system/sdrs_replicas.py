"""Replicas of sdrs that share buckets and a state: two processes on SQLite, or machines of their own
with a wire each to one PostgreSQL.

    one, two = replicas                           # the fixture: SdrsWorlds
    at_once(lambda: one.run("execute"), lambda: two.run("execute"))
"""
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

import pytest
from api_world import until
from conftest import BUILD, PATIENCE_S, World
from sdrs_world import SdrsWorld
from stand_in import Reply, StandIn
import test_cluster

LEASE_S = 30  # of a lock


class Machine(World):
    """A world whose processes nobody outside sees, as on a machine of its own."""

    def start(self, *words, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
        environment = dict(self.environment, **options.pop("env", {}))
        return Contained(
            ["unshare", *user, "--pid", "--fork", "--mount-proc", "--kill-child", "--",
             str(BUILD / "run-core"), *map(str, words)],
            cwd=self.root, env=environment, stdin=subprocess.DEVNULL, **options)


class Contained(subprocess.Popen):
    """Its kill() ends the whole machine; what is to end as it likes is asked to itself."""

    def __init__(self, *words, **options):
        super().__init__(*words, **options)
        # While somebody has it open, no other machine gets this one's name.
        path, mine = f"/proc/{self.pid}/ns/pid_for_children", os.readlink("/proc/self/ns/pid")
        self.namespace = None
        with contextlib.suppress(OSError):  # it has ended already
            until(lambda: os.readlink(path) not in (mine, ""))
            self.namespace = open(path, "rb")  # pylint: disable=consider-using-with

    def terminate(self):
        path = f"/proc/{self.pid}/task/{self.pid}/children"
        first, = until(lambda: open(path, encoding="ascii").read().split())
        os.kill(int(first), signal.SIGTERM)


class Wire(test_cluster.Wire):
    """One that is there for longer than the server at its end."""

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.pairs.add((client, server))
            threading.Thread(target=self.pump, args=(client, server), daemon=True).start()


def replica(root, name, state, kind=World):
    """One with a folder of its own, over the buckets in root/lake."""
    folder = root / name
    folder.mkdir()
    world = kind(folder)
    world.environment["RUN_CORE_STATE"] = str(state)
    lake = SdrsWorld(world, root / "lake")
    if "://" in str(state):
        lake.core["spool"] = str(folder / "spool")
    lake.configure()
    return lake


def database_of(postgres):
    """The URL of a new one."""
    return postgres.make_database(f"state_{os.urandom(6).hex()}")


@pytest.fixture(params=["sqlite", "postgres"])
def replicas(request, tmp_path):
    state = tmp_path / "state" if request.param == "sqlite" else \
        database_of(request.getfixturevalue("postgres"))
    return [replica(tmp_path, name, state) for name in ("one", "two")]


def configure(replicas, **options):  # pylint: disable=redefined-outer-name
    for one in replicas:
        one.configure(**options)


def at_once(*calls):
    """What each of them returned, called in threads at the same moment."""
    start = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def work(i, call):
        start.wait()
        try:
            results[i] = call()
        except BaseException as error:  # pylint: disable=broad-except
            results[i] = error

    threads = [threading.Thread(target=work, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


class Webhook(StandIn):
    """Takes notifications, while it is up."""
    settings = ()

    def __init__(self):
        super().__init__()
        self.up, self.told = True, []

    def handle(self, request):
        body = request.body()
        if not self.up:
            return Reply(503)
        self.told.append(body)
        return Reply(204)


@pytest.fixture
def webhook():
    with Webhook() as server:
        yield server


class Tap:
    """The stand-in for Google as the gate between two moments of a run: what it does stops at the first
    request that matches, and goes on, or never, as the test likes."""

    def __init__(self, gcs):
        self.gcs = gcs

    def close(self, method="POST", target="/rewriteTo/", skip=0):
        self.gcs.rules.add(method=method, target=target, skip=skip, delay_ms=120000, times=None)

    def wait(self, process):
        """Until somebody stands there."""
        end = time.monotonic() + PATIENCE_S
        while self.gcs.rules.used() == 0:
            assert process.poll() is None and time.monotonic() < end, process.communicate()
            time.sleep(0.02)

    def open(self):
        self.gcs.rules.clear()


__all__ = ["LEASE_S", "Machine", "Tap", "Webhook", "Wire", "at_once", "configure", "database_of",
           "replica", "replicas", "webhook"]
