"""A dump and a sync on a store that fails and in processes that are killed, and a judge who reads
what lies there by other means, also while it happens. See test_egress_faults.py."""
import contextlib
import gzip
import hashlib
import json
import os
import queue
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import s3_server
from botocore.exceptions import ClientError
from conftest import PATIENCE_S, SANITIZERS, World
from egress_world import DAY, NOW, Egress
from fault_proxy import FaultProxy
from faults import Rule
from storage_faults import BUGS, SIGNATURES, USAGE, Outcome
from test_egress_sync import manifest

MIB = 1 << 20
VIEW_ROWS = 2000

DUMP, SYNC = SimpleNamespace(name="dump"), SimpleNamespace(name="sync")

# ---- what is dumped --------------------------------------------------------------------------

# The views hold a version that is the same in all that one snapshot sees; the table makes an upload
# in parts.
DATA = f"""
CREATE TABLE clock AS SELECT 1 AS version;
CREATE VIEW first AS
SELECT g AS id, version, md5(g::text) FROM clock, generate_series(1, {VIEW_ROWS}) g;
CREATE VIEW second AS SELECT * FROM first;
CREATE TABLE noise AS SELECT g AS id, string_agg(md5(random()::text), '') AS text
FROM generate_series(1, 36000) g, generate_series(1, 12) h GROUP BY g;
ANALYZE noise
"""
TABLES = "first noise second"


def version_of(text):
    """The version that all rows of a view have; None: not all rows are there, or of one version."""
    rows = [line.split(b",") for line in text.splitlines()]
    versions = {row[1] for row in rows}
    whole = [int(row[0]) for row in rows] == list(range(1, VIEW_ROWS + 1))
    return versions.pop() if whole and len(versions) == 1 else None


class Dumped:
    """What objects of a dump hold."""

    def __init__(self, noise):
        self.noise = noise

    def judge(self, name, data):
        """What is wrong with an object, or None, and its version, or None."""
        try:
            text = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            return f"'{name}' is not whole: {error}", None
        if name.startswith("noise"):
            return (None if text == self.noise else f"'{name}' is another text"), None
        version = version_of(text)
        return (None if version else f"'{name}' has not all rows of one version"), version


class Copied:
    """What objects of a sync hold: what the source held at some time."""

    def __init__(self):
        self.known = set()

    def add(self, data):
        self.known.add(hashlib.sha256(data).digest())

    def judge(self, name, data):
        known = hashlib.sha256(data).digest() in self.known
        return (None if known else f"'{name}' is nothing that the source ever held"), None


# ---- who watches -----------------------------------------------------------------------------


class Watcher:
    """Reads a folder again and again: what has its final name is whole, and what is called complete
    is there, of one version."""

    def __init__(self, client, bucket, folder, contents):
        self.client, self.bucket, self.folder = client, bucket, folder
        self.contents = contents
        self.problems, self.seen = [], {}
        self.stopping = threading.Event()

    def get(self, name, etag=None):
        """Content and entity tag; None: there is no such object."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.folder + name)
            return answer["Body"].read(), answer["ETag"]
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchKey", error
            return None, None

    def names(self):
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.folder)
        return {item["Key"][len(self.folder):]: item["ETag"]
                for item in found.get("Contents", [])}

    def read(self, name, etag):
        """What is known of an object: its digest and version. What was read once is not again."""
        if (name, etag) not in self.seen:
            data, etag = self.get(name)
            if data is None:
                return None
            problem, version = self.contents.judge(name, data)
            if problem:
                self.problems.append(problem)
            self.seen[name, etag] = hashlib.sha256(data).hexdigest(), version
        return self.seen[name, etag]

    def look(self):
        """Returns the manifest, None where there is none."""
        text, tag = self.get("_manifest.json")
        told = json.loads(text) if text else None
        found = {name: self.read(name, etag) for name, etag in self.names().items()
                 if name != "_manifest.json"}
        if not told or not told["complete"]:
            return told
        wrong = [item["key"] for table in told["tables"] for item in table["objects"]
                 if (found.get(item["key"]) or [None])[0] != item["sha256"]]
        versions = {kept[1] for kept in found.values() if kept and kept[1]}
        if (wrong or len(versions) > 1) and self.get("_manifest.json")[1] == tag:
            self.problems.append(f"a manifest that says complete is not true of {wrong}, "
                                 f"versions {versions}")
        return told

    def __enter__(self):
        self.stopping.clear()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        try:
            while not self.stopping.wait(0.05):
                self.look()
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append(f"the watcher failed: {error!r}")

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


# ---- processes -------------------------------------------------------------------------------


def children(pid):
    """Its workers, who lead process groups; a leak checker's helper does not, and has to live on."""
    with contextlib.suppress(OSError):
        found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return [child for child in found if os.getpgid(child) == child]
    return []


def kill(process, how):
    """By SIGKILL: the guard, its worker, or both at once."""
    workers = children(process.pid)
    for pid in {"guard": [process.pid], "worker": workers,
                "both": [*workers, process.pid]}[how]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# ---- a bench ---------------------------------------------------------------------------------

SETTINGS = """
core:
  http: {{attempts: 4, backoff: 5ms, max_backoff: 50ms, idle_timeout: {idle}}}
storage:
  {source}: {{endpoint: "{endpoint}", part_size: 5MiB, region: {region},
    access_key_id: {first[0]}, secret_access_key: "{first[1]}"}}
  {target}: {{endpoint: "{endpoint}", part_size: 5MiB, region: {region},
    access_key_id: {second[0]}, secret_access_key: "{second[1]}"}}
"""


class Data:
    """A database with the tables, of which each bench has a copy."""

    def __init__(self, postgres):
        self.postgres = postgres
        self.template = f"template_{os.urandom(6).hex()}"
        postgres.make_database(self.template)
        postgres.sql(DATA, self.template)
        self.noise = subprocess.run(
            [postgres.bin / "psql", "-X", "-q", "-c", "COPY noise TO STDOUT (FORMAT csv)",
             postgres.url(self.template)], check=True, capture_output=True).stdout

    def copy(self):
        name = f"app_{os.urandom(6).hex()}"
        self.postgres.sql(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return name

    def end(self):
        self.postgres.sql(f"DROP DATABASE {self.template} WITH (FORCE)")


class Bench:
    """A bucket that a database is dumped to and one that another is copied to, behind a proxy that
    breaks what it is told to."""

    def __init__(self, ceph, data, root):
        root.mkdir()
        self.world, self.ceph = World(root), ceph
        self.world.environment["ASAN_OPTIONS"] = SANITIZERS["ASAN_OPTIONS"] + ":exitcode=99"
        self.server = FaultProxy(ceph.endpoint).start()
        self.place = SimpleNamespace(server=self.server)
        self.buckets = [f"bucket-{os.urandom(6).hex()}" for _ in range(3)]
        self.clients = [ceph.s3(), ceph.s3(), ceph.s3(ceph.second)]
        for client, bucket in zip(self.clients, self.buckets):
            client.create_bucket(Bucket=bucket)
        output, self.source, self.target = self.buckets
        self.egress = Egress(self.world, data.postgres, ceph, output, data.copy())
        self.world.environment["AWS_ENDPOINT_URL"] = self.server.endpoint
        keys = {"first": (ceph.access_key, ceph.secret_key), "second": ceph.second}
        self.settings = {"source": self.source, "target": self.target, "region": ceph.region,
                         "endpoint": self.server.endpoint, **keys}
        self.output = output
        self.configure()
        self.secrets = [ceph.secret_key, ceph.second[1], self.world.environment["PGPASSWORD"]]
        self.copied = Copied()
        self.watchers = {
            "dump": Watcher(ceph.s3(), output, f"dumps/{DAY}/", Dumped(data.noise)),
            "sync": Watcher(ceph.s3(ceph.second), self.target, f"out/{DAY}/", self.copied)}
        self.generation = 0
        self.large = [os.urandom(11 * MIB) for _ in range(2)]

    def configure(self, silent=False):
        """Only where the store is 'silent' on purpose, silence is soon taken for a fault."""
        settings = SETTINGS.format(idle="1s" if silent else "5s", **self.settings)
        self.world.config(settings + f"  {self.output}: {{part_size: 5MiB}}\n")

    def end(self):
        self.server.stop()
        self.egress.end()
        for client, bucket in zip(self.clients, self.buckets):
            s3_server.empty(client, bucket)
            client.delete_bucket(Bucket=bucket)

    # ---- what is to be done ----

    def change(self, operation):
        """So that there is something to do, of which it can be told whether it was done."""
        self.generation += 1
        if operation is DUMP:
            self.egress.sql("UPDATE clock SET version = version + 1")
            return
        objects = {"a.csv.gz": os.urandom(700), "b/part-00000.csv.gz": os.urandom(20_000),
                   "large.csv.gz": self.large[self.generation % 2]}
        for data in objects.values():
            self.copied.add(data)
        # As a dump does it: from its first object on, the folder is not complete.
        client, folder = self.clients[1], f"in/{DAY}/"
        client.delete_object(Bucket=self.source, Key=folder + "_manifest.json")
        told = {"_manifest.json": manifest(objects, run=f"run-{self.generation}")}
        for name, data in (objects | told).items():
            client.put_object(Bucket=self.source, Key=folder + name, Body=data)

    def words(self, operation):
        if operation is DUMP:
            return self.egress.words(["-v"], {"tables": TABLES, "connections": 1, "attempts": 1})
        return ["egress", "sync", "-v", "--now", NOW, "--set", f"source=s3://{self.source}/in",
                "--set", f"target=s3://{self.target}/out", "--set", "require_manifest=true",
                "--set", "delete=true"]

    def start(self, operation):
        return self.world.start(*self.words(operation), start_new_session=True)

    def uploads(self):
        return [upload["Key"] for client, bucket in zip(self.clients, self.buckets)
                for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    def settle(self):
        """Waits for what a client that was killed has still asked for."""
        end = time.monotonic() + PATIENCE_S
        while self.server.connections and time.monotonic() < end:
            time.sleep(0.01)

    # ---- what came of it ----

    def judge_end(self, operation, outcome):
        """Of a run that says it succeeded."""
        watcher = self.watchers[operation.name]
        told = watcher.look()
        if not told or not told["complete"]:
            yield "it succeeded, and there is no complete manifest"
            return
        listed = {item["key"] for table in told["tables"] for item in table["objects"]}
        if listed | {"_manifest.json"} != set(watcher.names()):
            yield f"there is {sorted(watcher.names())}"
        if operation is SYNC and told["run_id"] != f"run-{self.generation}":
            yield "it is not what the source holds now"
        if operation is DUMP:
            version = self.egress.sql("SELECT version FROM clock")[0].encode()
            versions = {watcher.read(name, etag)[1] for name, etag in watcher.names().items()
                        if name in ("first.csv.gz", "second.csv.gz")}
            if versions != {version}:
                yield f"it holds the versions {versions}, not {version}"
            if not outcome.stdout.endswith(b"Success.\n"):
                yield "it does not say Success"

    def judge(self, operation, fault, outcome):
        watcher = self.watchers[operation.name]
        watcher.look()
        yield from watcher.problems
        watcher.problems.clear()
        said = outcome.stderr + outcome.stdout.decode("utf-8", "replace")
        if outcome.status == 0:
            yield from self.judge_end(operation, outcome)
        elif outcome.status != 1 and not USAGE.search(outcome.stderr):
            yield f"the exit status is {outcome.status}"
        elif "Success." in said:
            yield "it failed, and says Success"
        if fault and fault.heals and outcome.status != 0:
            yield "this could have been done"
        if outcome.status != 0 and fault and fault.says \
                and not re.search(fault.says, outcome.stderr):
            yield f"nothing said matches '{fault.says}'"
        # What a sync could not finish, the next one goes on with.
        is_kept = operation is SYNC and outcome.status != 0
        if not (fault and fault.outage) and not is_kept and self.uploads():
            yield f"uploads are left: {self.uploads()}"
        if any(secret in said for secret in self.secrets) or SIGNATURES.search(said):
            yield "a secret is told"
        if BUGS.search(said):
            yield "a bug: " + said[-3000:]
        yield from self.judge_leavings()

    def judge_leavings(self):
        left = [str(path) for path in self.world.temp.rglob("*")]
        if left:
            yield f"files are left: {left}"

    def finish(self, process):
        began = time.monotonic()
        try:
            stdout, stderr = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            kill(process, "both")
            stdout, stderr = process.communicate()
            stderr += b"\nrun-core: the test waited in vain: Assertion\n"
        lines = stderr.decode("utf-8", "replace")
        return Outcome(process.returncode, stdout, lines, time.monotonic() - began)

    def run_once(self, operation, fault=None):
        self.server.rules.clear()
        self.server.calls.clear()
        self.configure(silent=bool(fault and "stall_reply_bytes" in fault.rule))
        if fault:
            self.server.rules.add(Rule(**fault.rule))
        with self.watchers[operation.name]:
            outcome = self.finish(self.start(operation))
        self.server.rules.clear()
        return list(self.judge(operation, fault, outcome)), outcome

    def run(self, operation, fault=None):
        """What is wrong with a run with that fault, and with the next one, which has none."""
        self.change(operation)
        wrong, outcome = self.run_once(operation, fault)
        if outcome.status != 0 or (fault and fault.outage):
            self.settle()
            more, again = self.run_once(operation)
            wrong += [f"the next run: {what}" for what in more]
            if again.status != 0:
                wrong.append(f"the next run ends with {again.status}: {again.stderr[-2000:]}")
        return wrong, outcome

    def run_killed(self, operation, calls, pause_s, how):
        """Killed after so many requests; what is wrong then, and with the next run."""
        self.change(operation)
        self.server.rules.clear()
        self.server.calls.clear()
        self.server.rules.add(times=None, delay_ms=15)
        with self.watchers[operation.name] as watcher:
            process = self.start(operation)
            while len(self.server.calls) < calls and process.poll() is None:
                time.sleep(0.002)
            time.sleep(pause_s)
            kill(process, how)
            outcome = self.finish(process)
            self.server.rules.clear()
            self.settle()
            watcher.look()
            problems = list(watcher.problems)
            watcher.problems.clear()
        if how == "worker" and outcome.status == 0 and not list(
                self.judge_end(operation, outcome)):
            return problems, outcome  # it was over first
        if operation is DUMP:
            self.change(operation)
        wrong, again = self.run_once(operation)
        problems += [f"the next run: {what}" for what in wrong]
        if again.status != 0:
            problems.append(f"the next run ends with {again.status}: {again.stderr[-2000:]}")
        return problems, outcome


@contextlib.contextmanager
def benches_of(ceph, data, folder, count=2):
    made = [Bench(ceph, data, folder / f"bench-{number}") for number in range(count)]
    try:
        yield made
    finally:
        for bench in made:
            bench.end()


# ---- the way to the database -----------------------------------------------------------------


class Wire:
    """A way to PostgreSQL on which connections end, in the order in which they were made."""

    def __init__(self, port):
        self.port_behind = port
        self.cuts = {}  # number of a connection -> (bytes from the server, what happens then)
        self.cut = []  # those that have been
        self.accepted = 0
        self.sockets = queue.SimpleQueue()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        while not self.sockets.empty():
            self.sockets.get().close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port_behind))
                number, self.accepted = self.accepted, self.accepted + 1
                for one in (client, server):
                    self.sockets.put(one)
                for ends in ((client, server, None), (server, client, number)):
                    threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def carry(self, source, target, number):
        done = 0
        with contextlib.suppress(OSError):
            while data := source.recv(16 << 10):
                limit, how = self.cuts.get(number, (None, None))
                if limit is not None and done + len(data) > limit:
                    target.sendall(data[:limit - done])
                    self.end(source, target, number, how)
                    return
                target.sendall(data)
                done += len(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def end(self, source, target, number, how):
        self.cut.append(number)
        if how == "reset":
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            source.shutdown(socket.SHUT_RDWR)
            target.shutdown(socket.SHUT_RD)  # wakes who reads from it, and so keeps it open
            target.close()
        elif how == "close":
            source.shutdown(socket.SHUT_RDWR)
            target.shutdown(socket.SHUT_RDWR)
