"""Two and three daemons on one PostgreSQL, killed, cut off from it and started again, as is the
server itself: each slot is run once. What really ran is known from the plugin 'witness', what was
recorded from PostgreSQL itself, and what was due from arithmetic."""

import contextlib
import json
import random
import select
import signal
import socket
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from conftest import PATIENCE_S, World
from daemon import Daemon

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import postgres as postgres_server  # noqa: E402

JOBS = 12
LEASE_S = 4


class Wire:
    """The network between one daemon and PostgreSQL: passes bytes on until it is cut."""

    def __init__(self, port):
        self.target = port
        self.whole = True
        self.pairs = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # nobody is there for now
                client.close()
                continue
            self.pairs.add((client, server))
            threading.Thread(target=self.pump, args=(client, server), daemon=True).start()

    def pump(self, client, server):
        """While cut, bytes wait, as they do when a cable is out; nobody is told."""
        other = {client: server, server: client}
        try:
            while True:
                ready, _, _ = select.select([client, server], [], [], 0.05)
                if not self.whole:
                    time.sleep(0.05)
                    continue
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    other[one].sendall(data)
        except OSError:
            pass
        finally:
            self.pairs.discard((client, server))
            client.close()
            server.close()

    def cut(self):
        self.whole = False

    def mend(self):
        self.whole = True

    def reset(self):
        for pair in list(self.pairs):
            for one in pair:
                one.close()


class Node:
    """A daemon with a folder of its own, as on a machine of its own."""

    def __init__(self, root, name, url, port, witness):
        root.mkdir()
        self.name = name
        self.world = World(root)
        self.wire = Wire(port)
        self.process = None
        self.world.config(f"""
core:
  state: "{url.replace(f":{port}/", f":{self.wire.port}/")}"
  spool: {root}/spool
  lease: {LEASE_S}s
  shutdown_grace: 10s
plugins:
  witness: {{config: {{file: {witness}}}}}
jobs:
""" + "".join(f"""
  job-{i}:
    plugin: witness
    schedule: "@every {1 + i % 3}s"
    misfire: all
    catchup_window: 1h
    concurrency: {"allow" if i % 2 else "queue"}
    retry: {{attempts: {1 + i % 2}, backoff: 0s}}
    config: {{take: {(i * 70) % 300 // (1 if i % 2 else 2)}ms}}
""" for i in range(JOBS)))

    def start(self):
        self.log = open(self.world.root / "daemon.log", "ab")
        self.offset = self.log.tell()
        self.process = self.world.start("daemon", stderr=self.log, stdout=self.log)

    def wait_until_begun(self):
        deadline = time.monotonic() + PATIENCE_S
        path = self.world.root / "daemon.log"
        while b"keeps the schedule" not in path.read_bytes()[self.offset:]:
            assert self.process.poll() is None and time.monotonic() < deadline, self.text()
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=PATIENCE_S) == 0, self.text()

    def text(self):
        return (self.world.root / "daemon.log").read_text()[-4000:]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = Path("/tmp") / f"run-core-pg-{random.randrange(10**9)}"
    it = postgres_server.Postgres(folder).start()
    yield it
    it.stop("immediate")
    import shutil
    shutil.rmtree(folder, ignore_errors=True)


def play(nodes, seconds, rng, events, server):
    """Lets the nodes run while things happen to them, and to the server."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(rng.uniform(0.2, 1.2))
        node = rng.choice(nodes)
        what = rng.choice(["kill", "cut", "reset", "stop", "nothing"])
        if len(events) % 5 == 0:
            what = "restart"
        events.append((what, node.name))
        if what in ("cut", "reset", "stop"):  # which is nothing to one that begins, or ends it
            node.wait_until_begun()
        if what == "kill":
            node.kill()
            time.sleep(rng.uniform(0, LEASE_S * 1.5))
            node.start()
        elif what == "cut":
            node.wire.cut()
            time.sleep(rng.uniform(0.2, LEASE_S * 2))
            node.wire.mend()
        elif what == "reset":
            node.wire.reset()
        elif what == "stop":
            node.stop()
            node.start()
        elif what == "restart":  # it ends what is under way, and recovers from its own log
            for one in nodes:  # a daemon does not begin without it
                one.wait_until_begun()
            server.stop("immediate")
            time.sleep(rng.uniform(0, LEASE_S * 0.75))
            server.start()


def wait_until_settled(server, database, seconds=PATIENCE_S):
    """Until nothing is due or started, but for what has just become due, and what was missed while
    the server was away is recorded."""
    deadline = time.monotonic() + seconds
    while True:
        old = int(server.sql(
            "SELECT count(*) FROM run_core.runs WHERE status IN ('due', 'started') AND "
            "due_unix_ms < extract(epoch FROM now()) * 1000 - 3000", database)[0])
        behind = int(server.sql(
            "SELECT count(*) FROM "
            "(SELECT max(slot_unix_ms) AS newest FROM run_core.runs GROUP BY job) AS jobs "
            "WHERE newest < extract(epoch FROM now()) * 1000 - 10000", database)[0])
        if old == behind == 0:
            return
        assert time.monotonic() < deadline, server.sql(
            "SELECT job, slot_unix_ms, status, reason, executor FROM run_core.runs "
            "WHERE status IN ('due', 'started')", database)
        time.sleep(0.3)


def check(server, database, witness):
    rows = [row.split("|") for row in server.sql(
        "SELECT id, job, slot_unix_ms, status, coalesce(reason, ''), attempt FROM run_core.runs "
        "WHERE slot_unix_ms IS NOT NULL", database)]
    slots = defaultdict(list)
    for run, job, slot, status, reason, attempt in rows:
        slots[job].append(int(slot))
        assert status not in ("skipped",) or reason, (run, status)
    ended, begun = Counter(), Counter()
    for line in witness.read_text().splitlines():
        what, _, attempt, job, slot = line.split()
        if what == "done":
            ended[job, int(slot)] += 1
        else:
            begun[job, int(slot), int(attempt)] += 1
    # No slot lost: between a job's first and last row there is every multiple of its interval.
    for i in range(JOBS):
        step = (1 + i % 3) * 1000
        have = sorted(slots[f"job-{i}"])
        assert have, f"job-{i} never ran"
        missing = set(range(have[0], have[-1] + 1, step)) - set(have)
        assert not missing, (f"job-{i}", sorted(missing)[:5], len(missing))
        assert len(have) == len(set(have))
    # None twice: neither an attempt nor a whole run.
    assert [key for key, count in begun.items() if count > 1] == []
    assert [key for key, count in ended.items() if count > 1] == []
    # The record is true: what succeeded has its witness, and what did not is said to.
    for run, job, slot, status, reason, attempt in rows:
        done = ended[job, int(slot)]
        if status == "succeeded":
            assert done == 1, (run, job, slot)
        elif reason == "lease":
            assert done <= 1  # stopped between its last word and its end
        elif status in ("skipped", "cancelled", "failed", "timed_out"):
            assert done == 0, (run, job, slot, status, reason)
    return Counter((row[3], row[4]) for row in rows)


@pytest.mark.parametrize("count", [2, 3])
def test_each_slot_once_whatever_happens(tmp_path, server, count):
    rng = random.Random(count)
    database = f"cluster{count}"
    url = server.make_database(database)
    witness = tmp_path / "witness"
    nodes = [Node(tmp_path / f"node{i}", f"node{i}", url, server.port, witness)
             for i in range(count)]
    events = []
    for node in nodes:
        node.start()
    time.sleep(2)
    try:
        play(nodes, 25, rng, events, server)
        wait_until_settled(server, database)
    finally:
        for node in nodes:
            node.wire.mend()
            node.stop()
    counts = check(server, database, witness)
    print(count, "daemons:", dict(counts), Counter(what for what, _ in events))
    assert counts["succeeded", ""] > 50


def test_a_dead_daemons_slots_are_taken_over(tmp_path, server):
    database = "takeover"
    url = server.make_database(database)
    witness = tmp_path / "witness"
    nodes = [Node(tmp_path / f"node{i}", f"node{i}", url, server.port, witness) for i in range(2)]
    for node in nodes:
        node.start()
    try:
        time.sleep(3)
        nodes[0].kill()
        wait_until_settled(server, database)
    finally:
        nodes[1].stop()
    check(server, database, witness)


@contextlib.contextmanager
def daemons(root, url, jobs, count=2):
    """Daemons of the same jobs that can be asked, each with a folder of its own."""
    made = []
    for i in range(count):
        folder = root / f"daemon{i}"
        folder.mkdir()
        world = World(folder)
        world.state.mkdir()  # for the socket
        world.config(f"""
core: {{state: "{url}", spool: {folder}/spool, socket: {world.state}/run-core.sock}}
jobs:
""" + "".join(f"  {line}\n" for line in jobs.strip().splitlines()))
        made.append(Daemon(world))
    try:
        yield [daemon.start() for daemon in made]
    finally:
        for daemon in made:
            if daemon.process and daemon.process.poll() is None:
                daemon.stop()


def ask(daemon, path):
    status, body = daemon.ask("POST", f"/api/v1/{path}")
    assert status == 200, body
    return json.loads(body)


def test_a_pause_holds_at_once_for_all(tmp_path, server):
    url = server.make_database("pause")
    with daemons(tmp_path, url, 'a: {plugin: noop, schedule: "* * * * * *"}') as (one, other):
        def slots_of_other(after_unix_ms):
            """What became of slots from then on that the other one claimed."""
            name = f"%-{other.process.pid}-%"
            return server.sql(
                "SELECT status = 'skipped' AND reason = 'paused' FROM run_core.runs "
                f"WHERE executor LIKE '{name}' AND slot_unix_ms > {after_unix_ms}", "pause")

        one.wait_for(lambda: slots_of_other(0))
        for what, is_paused in (("pause", "t"), ("resume", "f")):
            assert ask(one, f"jobs/a/{what}")["changed"]
            asked_unix_ms = time.time_ns() // 1_000_000
            one.stop()
            one.wait_for(lambda: slots_of_other(asked_unix_ms))
            assert set(slots_of_other(asked_unix_ms)) == {is_paused}
            one.start()


def test_a_pause_is_ended_by_whichever_daemon_is_asked(tmp_path, server):
    url = server.make_database("pauses")
    with daemons(tmp_path, url, "a: {plugin: noop}") as pair:
        for i in range(4):
            asked = pair[i % 2], pair[(i + i // 2) % 2]
            for daemon, what in zip(asked, ("pause", "resume")):
                assert ask(daemon, f"jobs/a/{what}")["changed"], (i, what)
                assert not ask(daemon, f"jobs/a/{what}")["changed"], (i, what)
                paused = server.sql("SELECT paused_unix_ms > 0 FROM run_core.jobs", "pauses")
                assert paused == ["t" if what == "pause" else "f"]
