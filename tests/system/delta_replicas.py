"""Replicas of delta-initiator that share nothing but the store, and what they may leave there.

    with Replica(delta, "one") as one, Replica(delta, "two") as two:
        answers = at_once(lambda: one.post("dump"), lambda: two.post("healing"))
"""
import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from conftest import PATIENCE_S

PATHS = {"initial-sync": "initial-sync-jobs", "healing": "healing-jobs",
         "dump": "dump-publication-graph-jobs"}


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self.path)


class Replica:
    """run-core serve delta-initiator, with a state of its own. Its configuration is the delta's at
    the time of its start, and 'options' of the plugin beside it."""

    def __init__(self, delta, name="served", **options):
        root = delta.world.root
        self.socket, self.log = str(root / f"{name}.sock"), root / f"{name}.log"
        words = [word for option, value in options.items() for word in ("--set", f"{option}={value}")]
        with open(self.log, "ab") as log:
            self.process = delta.world.start(
                "serve", "delta-initiator", "--listen", f"unix:{self.socket}", *words,
                env={"RUN_CORE_STATE": str(root / f"state-{name}")}, stdout=log, stderr=log)

    def __enter__(self):
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                assert self.ask("GET", "/healthcheck/is-ready")[0] == 200
                return self
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, self.said()
                time.sleep(0.02)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE_S)

    def said(self):
        return self.log.read_text(errors="replace")

    def ask(self, method, path):
        """The status, and the JSON of the answer if it has some."""
        connection = Connection(self.socket)
        try:
            connection.request(method, path)
            reply = connection.getresponse()
            body = reply.read()
        finally:
            connection.close()
        is_json = (reply.headers["Content-Type"] or "").startswith("application/json")
        return reply.status, json.loads(body) if is_json else body

    def post(self, kind, stream="", force=False):
        below = f"/{stream}" if stream else ""
        return self.ask("POST", f"{below}/{PATHS[kind]}{'?force=true' if force else ''}")


POOL = ThreadPoolExecutor(8)


def at_once(*works):
    """Calls them at the same instant, and returns what each of them returns."""
    barrier = Barrier(len(works))

    def call(work):
        barrier.wait()
        return work()
    return [done.result() for done in [POOL.submit(call, work) for work in works]]


def assert_one_won(delta, answers, before=frozenset()):
    """Of requests to create jobs that exclude each other, that one was granted, in full, and that
    the others name it. 'before' are the IRIs of jobs that there were."""
    made = [job for job in delta.check_whole(active=1) if job.uri not in before]
    won = [body for status, body in answers if status == 200]
    assert len(won) == len(made) == 1, (answers, made)
    job, = made
    assert (job.uri, list(job.tasks)) == (won[0]["job"], [won[0]["task"]])
    assert job.is_active and list(job.tasks.values()) == [["scheduled"]]
    for status, body in answers:
        if status != 200:
            assert (status, body["blocking"]) == (409, [job.uri]), body
            assert job.uri in body["error"]
    return job
