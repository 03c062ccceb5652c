"""What 'run-core storage' does on a store that fails: operations, faults, and a judge who looks at
what became of every object by other means. See test_storage_faults.py."""
import contextlib
import itertools
import json
import os
import queue
import random
import re
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from conftest import BUILD, PATIENCE_S, SANITIZERS
from fault_proxy import FaultProxy
from faults import Rule
from gcs import Gcs

KIB, MIB = 1 << 10, 1 << 20

# ---- operations ------------------------------------------------------------------------------


def content(seed, size):
    return random.Random(seed).randbytes(size)


SMALL, OTHER, OLD = content(1, 700), content(2, 701), content(3, 300)
MEDIUM, LARGE = content(4, 300 * KIB), content(5, 11 * MIB)
TREE = {"a": SMALL, "b/c": OTHER, "b/d e": MEDIUM}


def below(folder, files):
    return {folder + name: data for name, data in files.items()}


@dataclass
class Operation:
    """Words for run-core, in which {store} and {local} are folders, and what is there before and
    after: by side, name and content."""
    name: str
    words: list
    store: dict = field(default_factory=dict)
    local: dict = field(default_factory=dict)
    store_after: dict = None
    local_after: dict = None
    moves: bool = False  # nothing may be lost
    stdin: bytes = b""
    stdout: object = None  # of success: bytes, or what tells whether they are right
    probe: dict = None  # a line for the storage probe instead, for what no command asks for

    def __post_init__(self):
        self.store_after = self.store if self.store_after is None else self.store_after
        self.local_after = self.local if self.local_after is None else self.local_after


def is_listing(out):
    found = {item["name"]: item["size"] for item in map(json.loads, out.splitlines())}
    return found == {name: len(data) for name, data in TREE.items()}


def is_stat(out):
    return json.loads(out)["size"] == len(SMALL)


OPERATIONS = [
    Operation("ls", ["ls", "-r", "--json", "{store}"], store=TREE, stdout=is_listing),
    Operation("stat", ["stat", "--json", "{store}a"], store=TREE, stdout=is_stat),
    Operation("cat", ["cat", "{store}x"], store={"x": MEDIUM}, stdout=MEDIUM),
    Operation("put", ["cp", "{local}x", "{store}x"], local={"x": SMALL}, store={"x": OLD},
              store_after={"x": SMALL}),
    Operation("put-absent", ["cp", "--if-absent", "{local}x", "{store}x"], local={"x": SMALL},
              store_after={"x": SMALL}),
    Operation("put-parts", ["cp", "{local}x", "{store}x"], local={"x": LARGE},
              store_after={"x": LARGE}),
    Operation("put-stream", ["cp", "-", "{store}x"], stdin=LARGE, store={"x": OLD},
              store_after={"x": LARGE}),
    Operation("get", ["cp", "{store}x", "{local}x"], store={"x": MEDIUM}, local={"x": OLD},
              local_after={"x": MEDIUM}),
    Operation("get-ranges", ["cp", "{store}x", "{local}x"], store={"x": LARGE},
              local_after={"x": LARGE}),
    Operation("copy", ["cp", "{store}a", "{store}z"], store={"a": MEDIUM, "z": OLD},
              store_after={"a": MEDIUM, "z": MEDIUM}),
    Operation("copy-tree", ["cp", "-r", "{store}in/", "{store}out/"], store=below("in/", TREE),
              store_after=below("in/", TREE) | below("out/", TREE)),
    Operation("copy-parts", [], store={"a": LARGE}, store_after={"a": LARGE, "z": LARGE},
              probe={"do": "copy", "uri": "{store}a", "target": "{store}z", "size": 6 << 30}),
    Operation("rm", ["rm", "-r", "{store}in"], store=below("in/", TREE) | {"in!": SMALL},
              store_after={"in!": SMALL}),
    Operation("mv", ["mv", "{store}a", "{store}z"], store={"a": MEDIUM},
              store_after={"z": MEDIUM}, moves=True),
    Operation("mv-out", ["mv", "-r", "{store}in/", "{local}out/"], store=below("in/", TREE),
              store_after={}, local_after=below("out/", TREE), moves=True),
    Operation("mv-in", ["mv", "-r", "{local}in/", "{store}out/"], local=below("in/", TREE),
              store_after=below("out/", TREE), local_after={}, moves=True),
    Operation("sync-in", ["sync", "--delete", "{local}in", "{store}out"],
              local=below("in/", TREE),
              store={"out/a": SMALL, "out/b/c": OLD, "out/extra": OLD},
              store_after=below("out/", TREE)),
    Operation("sync-out", ["sync", "--delete", "{store}in", "{local}out"],
              store=below("in/", TREE), local={"out/a": SMALL, "out/b/c": OLD, "out/extra": OLD},
              local_after=below("out/", TREE)),
]

# ---- faults ----------------------------------------------------------------------------------


@dataclass
class Fault:
    """A rule for the request number 'at' of an operation. 'heals': the operation has to succeed.
    'says': the message of a failure has to match it."""
    name: str
    rule: dict
    heals: bool = False
    says: str = ""
    outage: bool = False  # unfinished uploads may be left, which 'storage sweep' removes


ERROR = ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>"
         "<RequestId>R1</RequestId></Error>")
HTML = "<!DOCTYPE html><html><body><h1>It works!</h1></body></html>\n"
XML = {"Content-Type": "application/xml"}


def failure(status, code, message, **more):
    return {"status": status, "headers": XML, "body": ERROR.format(code, message), **more}


def breaks_of(call, rng):
    """Connections that end, at a place by chance too."""
    whole, sent = call.reply_bytes, call.request_bytes
    found = [("lost", {"lost": True}), ("cut-reply-0", {"cut_reply_bytes": 0}),
             ("raw", {"raw": "220 mail.example.com ESMTP\r\n"})]
    cuts = {1, 15, whole // 2, whole - 1, rng.randrange(1, max(whole, 2))}
    found += [(f"cut-reply-{cut}", {"cut_reply_bytes": cut}) for cut in cuts if 0 < cut < whole]
    cuts = {0, 1, sent // 2, sent - 1, rng.randrange(1, max(sent, 2))} if sent else ()
    found += [(f"cut-request-{cut}", {"cut_request_body_bytes": cut}) for cut in cuts
              if 0 <= cut < sent]
    for name, rule in found:
        yield Fault(name, rule, heals="raw" not in name)
        yield Fault(name + "-reset", rule | {"reset": True}, heals="raw" not in name)


def slowness_of(call):
    whole = call.reply_bytes
    yield Fault("delay", {"delay_ms": 500}, heals=True)
    yield Fault("trickle", {"bytes_per_s": max(whole, 50)}, heals=True)
    yield Fault("stall-0", {"stall_reply_bytes": 0, "stall_ms": 30000}, heals=True)
    yield Fault("stall-half", {"stall_reply_bytes": whole // 2, "stall_ms": 30000}, heals=True)
    if call.request_bytes > 1000:
        yield Fault("slow-request", {"request_bytes_per_s": call.request_bytes}, heals=True)


def refusals():
    yield Fault("500", failure(500, "InternalError", "again"), heals=True)
    yield Fault("502", {"status": 502, "body": HTML}, heals=True)
    yield Fault("503", failure(503, "SlowDown", "slow"), heals=True)
    yield Fault("503-early", failure(503, "SlowDown", "slow", early=True), heals=True)
    yield Fault("503-empty", {"status": 503}, heals=True)
    yield Fault("429", {"status": 429, "headers": {"Retry-After": "1"}}, heals=True)
    yield Fault("400-timeout", failure(400, "RequestTimeout", "idle"))
    yield Fault("400", failure(400, "Odd", "what is this"))
    yield Fault("403", failure(403, "AccessDenied", "no"), says="AccessDenied|HTTP 403")
    yield Fault("403-expired", failure(403, "ExpiredToken", "old"), says="ExpiredToken|HTTP 403")
    yield Fault("400-expired", failure(400, "ExpiredToken", "old"), says="ExpiredToken|HTTP 400")
    yield Fault("403-skewed", failure(403, "RequestTimeTooSkewed", "clock"),
                says="clock|HTTP 403")
    yield Fault("301", failure(301, "PermanentRedirect", "elsewhere"))
    yield Fault("307-nowhere", {"status": 307, "headers": {"Location": "http://127.0.0.1:9/"}})
    yield Fault("416", failure(416, "InvalidRange", "beyond"))
    yield Fault("418", {"status": 418, "body": HTML})


def lies_of(call):
    """Success that is none."""
    if call.method != "DELETE":  # of which no more comes
        yield Fault("200-empty", {"status": 200})
        yield Fault("204", {"status": 204})
    yield Fault("200-html", {"status": 200, "headers": {"Content-Type": "text/html"},
                             "body": HTML})
    yield Fault("200-error", failure(200, "InternalError", "again"))
    yield Fault("no-etag", {"drop_headers": ["ETag"]})
    yield Fault("empty-etag", {"set_headers": {"ETag": '""'}})
    yield Fault("other-etag", {"set_headers": {"ETag": '"0123456789abcdef0123456789abcdef"'}})
    yield Fault("no-type", {"drop_headers": ["Content-Type", "Last-Modified"]})
    yield Fault("other-dates", {"set_headers": {"Last-Modified": "soon", "Date": "never"}})
    if call.method == "GET":
        yield Fault("no-range", {"drop_headers": ["Content-Range"]})
        yield Fault("other-range", {"set_headers": {"Content-Range": "bytes 5-9/12"}})
    if "list-type=2" in call.target:
        yield Fault("no-token", {"replace": [
            ["<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>"]]})
        yield Fault("one-token", {"replace": [
            ["<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>"
             "<NextContinuationToken>again</NextContinuationToken>"]]})
        yield Fault("half-xml", {"replace": [["(?s)</Key>(?!.*</Key>).*", "</Key><Si"]]})
        yield Fault("no-end", {"replace": [["</ListBucketResult>", ""]]})
    has_data = call.method == "GET" and "list-type" not in call.target
    if has_data and call.reply_bytes > 600:
        yield Fault("flip-reply", {"flip_reply_byte": call.reply_bytes // 3})
    # What begins a session of Google's has no checksum: an object under another name is told only.
    has_checksum = "uploadType=resumable" not in call.target
    for at in {0, call.request_bytes // 2, call.request_bytes - 1}:
        if 0 <= at < call.request_bytes and has_checksum:
            yield Fault(f"flip-request-{at}", {"flip_request_byte": at})


def faults_of(calls, at, rng):
    """Each as often as it is to happen to a request: once, or from then on to all like it, where
    unfinished uploads can still be given up; and the end of everything."""
    call = calls[at]
    like = {"method": call.method, "target": "^(?!.*uploadId)" if call.method == "DELETE" else ""}
    before = sum(one.method == call.method for one in calls[:at])
    for fault in [*breaks_of(call, rng), *slowness_of(call), *refusals(), *lies_of(call)]:
        name = f"{at}:{fault.name}"
        yield Fault(name, fault.rule | {"skip": at}, fault.heals, fault.says)
        harmless = {"delay", "trickle", "slow-request", "429"}
        if fault.name not in harmless and not fault.name.endswith("-reset"):
            yield Fault(name + "-ever", fault.rule | like | {"skip": before, "times": None},
                        says=fault.says)
    yield Fault(f"{at}:outage", {"skip": at, "times": None, "lost": True}, outage=True)


# ---- the judge -------------------------------------------------------------------------------

# What the user can correct is bad usage.
USAGE = re.compile("set 'region'|does not speak HTTP|HTTP (400|416)")
BUGS = re.compile("AddressSanitizer|LeakSanitizer|runtime error:|Assertion|core dumped")
SIGNATURES = re.compile(r"Signature=[0-9a-f]{8}|Bearer [\w.-]{4}")


@dataclass
class Outcome:
    status: int
    stdout: bytes
    stderr: str
    seconds: float

    @property
    def message(self):
        """The last one of what failed; what did not happen for that reason may be told behind it."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("run-core: ")]
        lines = [line for line in lines if "nothing was removed from" not in line] or lines
        return lines[-1] if lines else ""


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def judge_side(side, before, after, found, done):
    for name in found.keys() - before.keys() - after.keys():
        yield f"{side}: '{name}' is nobody's"
    for name in before.keys() | after.keys():
        here, old, new = found.get(name), before.get(name), after.get(name)
        if done and here != new:
            yield f"{side}: '{name}' is not what was asked for"
        elif here is None and old is not None and new is not None:
            yield f"{side}: '{name}' is gone"
        elif here not in (old, new):
            yield f"{side}: '{name}' is neither what it was nor what it was to be"


def judge(operation, fault, outcome, store, local, uploads, secrets):
    """What is wrong, as sentences."""
    done = outcome.status == 0
    yield from judge_side("store", operation.store, operation.store_after, store, done)
    yield from judge_side("local", operation.local, operation.local_after, local, done)
    if operation.moves:
        left = Counter(store.values()) + Counter(local.values())
        moved = [*operation.store.values(), *operation.local.values()]
        if any(data not in left for data in moved):
            yield "content is lost"
    if uploads:
        yield f"uploads are left: {uploads}"
    if outcome.status not in (0, 1) and not USAGE.search(outcome.message):
        yield f"the exit status is {outcome.status}"
    if fault and fault.heals and not done:
        yield "this could have been done"
    if done and callable(operation.stdout) and not operation.stdout(outcome.stdout):
        yield f"wrong result: {outcome.stdout[:300]}"
    if done and isinstance(operation.stdout, bytes) and outcome.stdout != operation.stdout:
        yield "wrong result"
    if not done:
        yield from judge_message(operation, fault, outcome.message)
    said = outcome.stderr + outcome.stdout[:100000].decode("utf-8", "replace")
    if any(secret in said for secret in secrets) or SIGNATURES.search(said):
        yield "a secret is told"
    if BUGS.search(said):
        yield "a bug: " + said[-3000:]


def judge_message(operation, fault, message):
    if not message:
        yield "nothing is said"
        return
    if not re.search(r"'(s3|gs|file)://[^']+'", message):
        yield f"the message names no place: {message}"
    if re.search(r"(\w+ '\S+?': )\1", message):
        yield f"the message says something twice: {message}"
    if fault and fault.says and not re.search(fault.says, message):
        yield f"the message does not match '{fault.says}': {message}"


# ---- stores ----------------------------------------------------------------------------------

SETTINGS = """
core:
  http: {{attempts: {attempts}, backoff: 5ms, max_backoff: 50ms, idle_timeout: 5s}}
storage:
  {bucket}:
    endpoint: {endpoint}
    part_size: 5MiB
    {more}
"""


class S3Place:
    """A faulty way to a bucket of Ceph's, and another one for the judge."""
    scheme = "s3"

    def __init__(self, ceph, bucket):
        self.ceph, self.bucket = ceph, bucket
        self.server = FaultProxy(ceph.endpoint).start()
        self.client = ceph.s3()
        self.secrets = [ceph.secret_key, ceph.secret_key.replace("/", "%2F")]
        self.settings = {"region": ceph.region, "access_key_id": ceph.access_key,
                         "secret_access_key": ceph.secret_key}

    def put(self, key, data):
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def objects(self, prefix):
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return {item["Key"][len(prefix):]: self.client.get_object(
            Bucket=self.bucket, Key=item["Key"])["Body"].read()
            for item in found.get("Contents", [])}

    def uploads(self, prefix):
        found = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Uploads", [])]

    def end(self):
        if not self.server.stopping:
            self.server.stop()


class GcsPlace:
    scheme = "gs"

    def __init__(self):
        self.server, self.bucket = Gcs().start(), "lake"
        self.server.store.make_bucket(self.bucket)
        self.secrets = [self.server.tokens.issue()]
        self.settings = {"access_token": self.secrets[0]}

    def put(self, key, data):
        self.server.store.put(self.bucket, key, data, {})

    def objects(self, prefix):
        listed, _, _ = self.server.store.buckets[self.bucket].list(1000, None, prefix)
        return {version.name[len(prefix):]: version.data for version in listed}

    def uploads(self, prefix):
        return []

    def end(self):
        self.server.stop()


class Bench:
    """Carries operations out on a place, one after the other."""

    def __init__(self, place, folder, attempts=4):
        self.place, self.folder = place, folder
        folder.mkdir()
        self.config = folder / "settings.yaml"
        self.config.write_text(SETTINGS.format(
            bucket=place.bucket, endpoint=place.server.endpoint, attempts=attempts,
            more="\n    ".join(f"{name}: {value}" for name, value in place.settings.items())))
        self.environment = {
            **SANITIZERS, "ASAN_OPTIONS": SANITIZERS["ASAN_OPTIONS"] + ":exitcode=99",
            "PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder),
            "RUN_CORE_STATE": str(folder / "state"), "AWS_EC2_METADATA_DISABLED": "true"}
        self.numbers = itertools.count()

    def begin(self, operation):
        """Lays out what is there before, and returns the place's prefix and the local folder."""
        number = next(self.numbers)
        prefix, local = f"{self.folder.name}/{number}/", self.folder / str(number)
        local.mkdir()
        for name, data in operation.local.items():
            (local / name).parent.mkdir(parents=True, exist_ok=True)
            (local / name).write_bytes(data)
        for name, data in operation.store.items():
            self.place.put(prefix + name, data)
        return prefix, local

    def start(self, operation, prefix, local, *more):
        where = {"store": f"{self.place.scheme}://{self.place.bucket}/{prefix}",
                 "local": f"{local}/"}
        if operation.probe:
            stores = [f"{name}={value}" for name, value in self.place.settings.items()]
            words = [BUILD / "test-servers" / "storage_probe", f"bucket={self.place.bucket}",
                     f"endpoint={self.place.server.endpoint}", *stores]
        else:
            words = [BUILD / "run-core", "storage", *operation.words, "-v", "-c", self.config]
            words = [str(word).format(**where) for word in words]
        return subprocess.Popen([*words, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=self.environment, cwd=self.folder), where

    def settle(self):
        """Waits for what a client that was killed has still asked for."""
        end = time.monotonic() + PATIENCE_S
        while self.place.server.connections and time.monotonic() < end:
            time.sleep(0.01)

    def sweep(self, where):
        subprocess.run([BUILD / "run-core", "storage", "sweep", "--older", "0s", where, "-c",
                        self.config], env=self.environment, check=True, capture_output=True)

    def set_idle_timeout(self, fault):
        """Only where a fault is silence it is short: the store itself may take its time."""
        seconds = 1 if fault and "stall_reply_bytes" in fault.rule else 5
        self.config.write_text(re.sub(r"(idle_timeout: )\d+s", rf"\g<1>{seconds}s",
                                      self.config.read_text()))

    def run(self, operation, fault=None):
        """What is wrong with how the operation went with that fault, and the outcome."""
        self.set_idle_timeout(fault)
        prefix, local = self.begin(operation)
        rules = self.place.server.rules
        rules.clear()
        self.place.server.calls.clear()
        if fault:
            rules.add(Rule(**fault.rule))
        began = time.monotonic()
        process, where = self.start(operation, prefix, local)
        stdin = operation.stdin
        if operation.probe:
            stdin = json.dumps({name: value.format(**where) if isinstance(value, str) else value
                                for name, value in operation.probe.items()}).encode() + b"\n"
        try:
            stdout, stderr = process.communicate(stdin, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            stderr += b"\nrun-core: the test waited in vain\n"
        outcome = Outcome(process.returncode, stdout, stderr.decode("utf-8", "replace"),
                          time.monotonic() - began)
        if operation.probe and b'"error"' in stdout:
            outcome.status, outcome.stderr = 1, "run-core: " + json.loads(stdout)["message"]
        rules.clear()
        if fault and fault.outage and self.place.uploads(prefix):
            self.sweep(where["store"])
        wrong = list(judge(operation, fault, outcome, self.place.objects(prefix),
                           contents(local), self.place.uploads(prefix), self.place.secrets))
        return wrong, outcome


# ---- many of them ----------------------------------------------------------------------------


def cases_of(bench, operations, rng):
    """Each fault at each request of each operation, as it goes without faults."""
    for operation in operations:
        wrong, outcome = bench.run(operation)
        assert not wrong and outcome.status == 0, (operation.name, wrong, outcome)
        calls = list(bench.place.server.calls)
        for at in range(len(calls)):
            for fault in faults_of(calls, at, rng):
                yield operation, fault


def run_cases(benches, cases, tell=None):
    """All cases, a thread for each bench. Returns what is wrong, a line each."""
    idle, problems, lock = queue.Queue(), [], threading.Lock()
    for bench in benches:
        idle.put(bench)

    def run(case):
        operation, fault = case
        bench = idle.get()
        try:
            wrong, outcome = bench.run(operation, fault)
        finally:
            idle.put(bench)
        with lock:
            problems.extend(f"{operation.name} {fault.name}: {what} ({outcome.message})"
                            for what in wrong)
            if tell:
                tell(operation, fault, wrong, outcome)

    with ThreadPoolExecutor(len(benches)) as pool:
        for done in [pool.submit(run, case) for case in cases]:
            done.result()
    return problems


@contextlib.contextmanager
def benches_at(make_place, folder, count=3):
    places = [make_place() for _ in range(count)]
    try:
        yield [Bench(place, folder / f"bench-{number}") for number, place in enumerate(places)]
    finally:
        for place in places:
            place.end()
