"""Buckets that others write to while sdrs moves what is in them, and a judge who knows what was ever
written, reads both buckets with other clients than sdrs has, and believes nothing that sdrs says.

    checker = Checker(FileLake(sdrs))             # or S3Lake, GoogleLake
    checker.write("clicks/2026/01/01/00/a", b"data")
    with Writer(checker, rng):                    # adds and replaces, all the time
        ...                                       # sdrs moves, and is killed
        checker.check()                           # at any time
"""
import contextlib
import hashlib
import json
import shutil
import sqlite3
import threading
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

import s3_server
from fault_proxy import FaultProxy
from sdrs_world import PROJECT
from stand_in import Reply, StandIn

BUCKET, SHADOW = "events", "eventsshadow"
MANIFESTS = ".run-core/sdrs/"
XML = {"Content-Type": "application/xml"}


def is_due(key):
    """With NOW and 30 days: see test_sdrs_faults.py."""
    return key.startswith("clicks/2026/01/0")


def digest(data):
    return hashlib.md5(data).hexdigest()


# ---- lakes ---------------------------------------------------------------------------------------


class S3Lake:
    """The bucket and its shadow on Ceph, behind a proxy that may be told to break things. Its own
    client goes around the proxy."""

    def __init__(self, sdrs, ceph):
        self.sdrs, self.ceph, self.s3 = sdrs, ceph, ceph.s3()
        self.proxy = None
        self.real = f"{BUCKET}-{digest(str(sdrs.world.root).encode())[:12]}"
        self.names = {BUCKET: self.real, SHADOW: f"{self.real}shadow"}
        for name in self.names.values():
            self.s3.create_bucket(Bucket=name)

    @contextlib.contextmanager
    def opened(self, checker):
        with ComparingProxy(self.ceph.endpoint, self, checker) as self.proxy:
            for name in self.names.values():
                self.sdrs.stores[name] = {
                    "bucket": name, "endpoint": self.proxy.endpoint, "region": self.ceph.region,
                    "access_key_id": self.ceph.access_key,
                    "secret_access_key": self.ceph.secret_key}
            self.sdrs.configure(rules=[{
                "type": "DATASET", "dataStorageName": f"s3://{self.real}/clicks",
                "projectId": PROJECT, "retentionPeriod": 30}])
            try:
                yield
            finally:
                for name in self.names.values():
                    s3_server.empty(self.s3, name)
                    self.s3.delete_bucket(Bucket=name)

    def name(self, path=""):
        return f"s3://{self.real}/{path}"

    def put(self, key, data):
        self.s3.put_object(Bucket=self.real, Key=key, Body=data)

    def fill(self, objects):
        """Many at once, by what is fast."""
        folder = self.sdrs.world.root / "filling"
        for key, data in objects.items():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        none = self.sdrs.world.root / "none.yaml"
        none.write_text("{}")
        done = self.sdrs.world.run(
            "storage", "cp", "-r", f"{folder}/", f"s3://{self.real}/", "--endpoint",
            self.ceph.endpoint, "--region", self.ceph.region, timeout=1200,
            env={"RUN_CORE_CONFIG": str(none), "AWS_ACCESS_KEY_ID": self.ceph.access_key,
                 "AWS_SECRET_ACCESS_KEY": self.ceph.secret_key})
        assert done.status == 0, done.stderr
        shutil.rmtree(folder)

    def keys(self, bucket, prefix=""):
        return [entry["Key"] for entry in self.entries(bucket, prefix)]

    def entries(self, bucket, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.names[bucket],
                                                                  Prefix=prefix)
        return (entry for page in pages for entry in page.get("Contents", []))

    def listing(self, bucket):
        """What was put at once has the MD5 of its content as its tag; else it is read."""
        found = {entry["Key"]: entry["ETag"].strip('"') for entry in self.entries(bucket)}
        return {key: tag if len(tag) == 32 or key.startswith(MANIFESTS)
                else digest(self.data(bucket, key)) for key, tag in found.items()}

    def data(self, bucket, key):
        return self.s3.get_object(Bucket=self.names[bucket], Key=key)["Body"].read()

    def progress(self):
        return len(self.proxy.calls)

    @property
    def rules(self):
        return self.proxy.rules

    def fill_up(self, count):
        """The shadow takes no more than so many objects; None: as many as come."""
        scope = ["--quota-scope=bucket", f"--bucket={self.names[SHADOW]}"]
        if count is not None:
            self.ceph.admin("quota", "set", *scope, f"--max-objects={count}")
        self.ceph.admin("quota", "enable" if count is not None else "disable", *scope)


class ComparingProxy(FaultProxy):
    """Ceph removes an object whatever its tag is. This one compares first, as Amazon does: without
    it, what is replaced between sdrs's last look and the removal would be lost, as is documented."""

    def __init__(self, target, lake, checker):
        super().__init__(target)
        self.lake, self.checker = lake, checker
        self.root = f"/{lake.real}"
        self.refused = 0

    def handle(self, request):
        if request.method == "POST" and request.path.rstrip("/") == self.root \
                and request.parameter("delete") is not None:
            return self.remove_many(request)
        if request.method == "DELETE" and request.path.startswith(f"{self.root}/"):
            key, tag = request.path[len(self.root) + 1:], request.headers["if-match"].strip('"')
            with self.checker.gate:
                if self.is_same(key, tag):
                    return super().handle(request)
            return Reply(412, XML, b"<?xml version='1.0'?><Error><Code>PreconditionFailed</Code>"
                                   b"<Message>At least one did not hold</Message></Error>")
        return super().handle(request)

    def is_same(self, key, tag):
        is_same = self.checker.latest[key] == tag
        self.refused += not is_same
        return is_same

    def remove_many(self, request):
        wanted = []
        for entry in ElementTree.fromstring(request.body()):
            if entry.tag.endswith("Object"):
                fields = {field.tag.partition("}")[2]: field.text for field in entry}
                wanted.append((fields["Key"], fields["ETag"].strip('"')))
        with self.checker.gate:
            goes = [key for key, tag in wanted if self.is_same(key, tag)]
            if goes:
                answer = self.lake.s3.delete_objects(Bucket=self.lake.real, Delete={
                    "Objects": [{"Key": key} for key in goes], "Quiet": True})
                assert not answer.get("Errors"), answer
        stays = "".join(f"<Error><Key>{escape(key)}</Key><Code>PreconditionFailed</Code><Message>"
                        "it is another</Message></Error>"
                        for key in sorted({key for key, _ in wanted} - {*goes}))
        return Reply(200, XML, "<?xml version='1.0' encoding='UTF-8'?><DeleteResult xmlns="
                     f"'http://s3.amazonaws.com/doc/2006-03-01/'>{stays}</DeleteResult>".encode())


class FileLake:
    """Folders; the shadow may be a file system of its own."""
    rules = None

    def __init__(self, sdrs):
        self.sdrs = sdrs
        sdrs.bucket(BUCKET)
        self.root = sdrs.root
        self.fresh = self.root / "fresh"

    @contextlib.contextmanager
    def opened(self, _):
        self.sdrs.configure(rules=[{"type": "DATASET", "projectId": PROJECT, "retentionPeriod": 30,
                                    "dataStorageName": self.sdrs.name(BUCKET, "clicks")}])
        yield

    def name(self, path=""):
        return self.sdrs.name(BUCKET, path)

    def put(self, key, data):
        """As programs do that replace a file in one step."""
        path = self.root / BUCKET / key
        self.fresh.write_bytes(data)
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # a folder goes as its last file has gone
                self.fresh.replace(path)
                return

    def fill(self, objects):
        for key, data in objects.items():
            self.put(key, data)

    def keys(self, bucket, prefix=""):
        root = self.root / bucket
        # One that is killed leaves what it was writing under a name that nobody lists.
        found = (str(path.relative_to(root)) for path in root.rglob("*")
                 if path.is_file() and not path.name.startswith(".rc-tmp."))
        return sorted(key for key in found if key.startswith(prefix))

    def listing(self, bucket):
        found = {}
        for key in self.keys(bucket):
            with contextlib.suppress(FileNotFoundError):
                found[key] = digest(self.data(bucket, key))
        return found

    def data(self, bucket, key):
        return (self.root / bucket / key).read_bytes()


class GoogleLake:
    """Buckets of the stand-in, moved by 'direct'."""

    def __init__(self, google):
        self.sdrs, self.gcs = google, google.gcs
        google.bucket(BUCKET)

    @contextlib.contextmanager
    def opened(self, _):
        self.sdrs.configure(mover="direct")
        self.sdrs.rule(BUCKET, "clicks", 30)
        yield

    def name(self, path=""):
        return self.sdrs.name(BUCKET, path)

    def put(self, key, data):
        self.gcs.store.put(BUCKET, key, data, {})

    def fill(self, objects):
        for key, data in objects.items():
            self.put(key, data)

    def keys(self, bucket, prefix=""):
        with self.gcs.store.lock:
            return self.sdrs.keys(bucket, prefix)

    def listing(self, bucket):
        with self.gcs.store.lock:
            return {key: digest(self.data(bucket, key)) for key in self.keys(bucket)}

    def data(self, bucket, key):
        return self.gcs.store.bucket(bucket).live(key).data

    def progress(self):
        return len(self.gcs.calls)

    @property
    def rules(self):
        return self.gcs.rules


# ---- the judge -----------------------------------------------------------------------------------


class Checker:
    def __init__(self, lake):
        self.lake = lake
        self.latest = {}  # key: the digest of what was written last
        self.gate = threading.RLock()  # nothing is written, or taken from the bucket, meanwhile
        self.manifests = set()  # that were read
        self.listed = set()  # the keys in them
        self.checks = 0

    def write(self, key, data):
        with self.gate:
            self.lake.put(key, data)
            self.latest[key] = digest(data)

    def fill(self, objects):
        self.lake.fill(objects)
        self.latest = {key: digest(data) for key, data in objects.items()}

    def check(self, first=BUCKET):
        """Every object is in one of the buckets at least, with its last content, and no object that
        is not due has moved. What moves leaves 'first', which is therefore looked at first. Returns
        what the bucket and the shadow hold."""
        self.checks += 1
        with self.gate:
            found = {bucket: self.lake.listing(bucket)
                     for bucket in sorted((BUCKET, SHADOW), key=lambda name: name != first)}
            here, there = found[BUCKET], found[SHADOW]
            lost = [key for key, last in self.latest.items()
                    if last not in (here.get(key), there.get(key))]
            assert lost == [], [(key, here.get(key), there.get(key), self.latest[key])
                                for key in lost[:10]]
            self.read_manifests(key for key in there if key.startswith(MANIFESTS))
            there = {key: data for key, data in there.items() if not key.startswith(MANIFESTS)}
            unknown = (here.keys() | there.keys()) - self.latest.keys()
            assert not unknown, unknown
            assert [key for key in there if not is_due(key)] == []
            assert there.keys() <= self.listed <= self.latest.keys()
        return here, there

    def read_manifests(self, keys):
        for key in set(keys) - self.manifests:
            for line in self.lake.data(SHADOW, key).splitlines():
                self.listed.add(json.loads(line)["key"])
            self.manifests.add(key)

    def check_bytes(self, bucket, keys):
        for key in keys:
            assert digest(self.lake.data(bucket, key)) == self.latest[key], key

    def batches(self):
        return sorted({key[len(MANIFESTS):].split("/")[0] for key in self.manifests})


class Writer:
    """Somebody who adds objects and replaces others, of those that are due and of those that are not,
    whether they have moved already or not."""

    def __init__(self, checker, rng, pause_s=0.01):
        self.checker, self.rng, self.pause_s = checker, rng, pause_s
        self.keys = sorted(checker.latest)
        self.over = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run)
        self.written = 0

    def run(self):
        try:
            while not self.over.wait(self.pause_s):
                self.write()
        except Exception as error:  # told to who waits
            self.failure = error

    def write(self):
        folder = self.rng.choice([f"clicks/2026/01/0{self.rng.randrange(1, 9)}/05", "other",
                                  "clicks/2026/02/01/00", "clicks"])
        key = self.rng.choice(self.keys) if self.rng.random() < 0.7 else (
            f"{folder}/late-{self.written}")
        self.checker.write(key, f"{key} written again {self.written}".encode())
        self.written += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        assert self.failure is None, self.failure


# ---- who is told, and what is recorded -----------------------------------------------------------


class Webhook(StandIn):
    """Takes notifications."""

    def __init__(self):
        super().__init__()
        self.taken = {}  # (name, directory): UUIDs

    def handle(self, request):
        event = json.loads(request.body())
        told = (event["context"]["name"], event["directory"])
        self.taken.setdefault(told, set()).add(event["context"]["uuid"])
        return Reply(204)

    def directories(self, word):
        return {directory for name, directory in self.taken if name.startswith(word)}

    def check(self, lake, keys):
        """Each folder that held some of the keys was told once, as inactive and as deleted."""
        twice = {told: uuids for told, uuids in self.taken.items() if len(uuids) != 1}
        assert twice == {}
        assert self.directories("Inactive") == self.directories("SuccessDelete")
        for folder in {key.rpartition("/")[0] for key in keys}:
            name = f"{lake.name(folder)}/"
            assert any(name.startswith(one) for one in self.directories("SuccessDelete")), name


def job_statuses(sdrs):
    """Of all jobs, in the order in which they were made."""
    path, = sdrs.world.root.rglob("plugins/sdrs.db")
    with sqlite3.connect(path, timeout=30) as database:
        return [status for status, in database.execute("SELECT status FROM jobs ORDER BY id")]
