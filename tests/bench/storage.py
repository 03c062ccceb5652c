"""run-core storage beside rclone, aws, s3cmd, s5cmd and mc, as far as they are installed, on one S3
server, and beside what that server can do at all as a bare loop of libcurl sees it.

In a round every tool does all the work in turn, with new buckets, on a server of the round. What
is compared are the times and ratios of one round; printed are their medians."""
import collections
import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import itertools
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from measure import ROOT, settle

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import ceph  # noqa: E402, from the folder of the test servers
import s3_server  # noqa: E402
from storage_listing import serve  # noqa: E402

WIDTH = 32  # requests at once, of all tools
LOOP_THREADS = 16
PART_BYTES = 16 << 20
PAGE = 1000
CLOSE_TO_LIMIT = 1.05
MEMORY_MIB = 64
REAL_KEYS, MANY_KEYS = 100_000, 1_000_000
MANY_FILES = 100
SAMPLE_S = 0.01
LOOK_FOR_CHILDREN = 20  # every so many samples
OPERATIONS = ("put", "list", "copy", "get", "delete")


@dataclasses.dataclass(frozen=True)
class Load:
    name: str
    count: int
    size_bytes: int

    def names(self):
        return [f"{i // 100:03}/object-{i:06}" for i in range(self.count)]


LOADS = (Load("10,000 x 4 KiB", 10000, 4096), Load("4 x 256 MiB", 4, 256 << 20))


@dataclasses.dataclass
class Cost:
    seconds: float
    cpu: float
    peak_mib: float


# ---- running a tool ---------------------------------------------------------------------------


class Peak(threading.Thread):
    """The greatest sum of what the processes below one have used at most, looked at now and then.
    What the kernel tells of a process that has ended would begin with this program's own memory,
    which a new process has until it becomes another program."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.kib = 0
        self.over = threading.Event()

    def run(self):
        pids = [self.pid]
        for turn in itertools.count():
            if turn % LOOK_FOR_CHILDREN == 0:
                pids = tree(self.pid)
            self.kib = max(self.kib, sum(map(highest_kib, pids)))
            if self.over.wait(SAMPLE_S):
                return


def tree(pid):
    found = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                for child in file.read().split():
                    found += tree(int(child))
    return found


def highest_kib(pid):
    """0: it has ended."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    return 0


def run(words, environment):
    """Runs a tool to its end, its output into a file as a shell would; stops all if it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        began = time.perf_counter()
        process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=error)
        peak = Peak(process.pid)
        peak.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        peak.over.set()
        peak.join()
        if process.returncode:
            error.seek(0)
            sys.exit(f"{' '.join(words)}: status {process.returncode}\n"
                     f"{error.read().decode(errors='replace')[-2000:]}")
        return Cost(seconds, usage.ru_utime + usage.ru_stime, peak.kib / 1024)


# ---- tools --------------------------------------------------------------------------------------


class Tool:
    """The words of a command for each operation. Buckets have one folder, 'data'."""

    def __init__(self, server, program):
        self.server = server
        self.program = program
        self.more = {}

    @classmethod
    def find(cls):
        """Where it is installed; None: it is not."""
        return shutil.which(cls.name, path="/usr/bin:" + os.environ.get("PATH", ""))

    def environment(self):
        # Of the caller's settings none is to count; rclone 1.60 fails where AWS_CA_BUNDLE is set.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return dict(plain, AWS_ACCESS_KEY_ID=self.server.access_key,
                    AWS_SECRET_ACCESS_KEY=self.server.secret_key, AWS_REGION=self.server.region,
                    AWS_DEFAULT_REGION=self.server.region, AWS_ENDPOINT_URL=self.server.endpoint,
                    AWS_EC2_METADATA_DISABLED="true", **self.more)

    def act(self, operation, source, target):
        return run([self.program, *getattr(self, operation)(source, target)], self.environment())


class RunCore(Tool):
    name = "run-core"

    def put(self, source, target):
        return ["storage", "cp", "-r", "--quiet", f"{source}/", f"s3://{target}/data/"]

    def copy(self, source, target):
        return ["storage", "cp", "-r", "--quiet", f"s3://{source}/data/", f"s3://{target}/data/"]

    def get(self, source, target):
        return ["storage", "cp", "-r", "--quiet", f"s3://{source}/data/", f"{target}/"]

    def list(self, source, _):
        return ["storage", "ls", "-r", f"s3://{source}/"]

    def delete(self, source, _):
        return ["storage", "rm", "-r", "--quiet", f"s3://{source}/data/"]


class Rclone(Tool):
    """Without looks at the target, without a second look at what was written, without the request
    for each object that asks for its time, and without its own sums of large objects."""
    name = "rclone"
    SETTINGS = ["--config", "/dev/null", "--transfers", str(WIDTH), "--checkers", str(WIDTH),
                "--no-check-dest", "--no-traverse", "--use-server-modtime", "--s3-no-head",
                "--s3-no-check-bucket", "--s3-disable-checksum",
                "--s3-chunk-size", "16Mi", "--s3-upload-concurrency", "4",
                "--multi-thread-streams", "4"]

    def __init__(self, server, program):
        super().__init__(server, program)
        self.more = {"RCLONE_CONFIG_S3_TYPE": "s3", "RCLONE_CONFIG_S3_PROVIDER": "Ceph",
                     "RCLONE_CONFIG_S3_ENV_AUTH": "true", "RCLONE_CONFIG_S3_LIST_VERSION": "2",
                     "RCLONE_CONFIG_S3_ENDPOINT": server.endpoint,
                     "RCLONE_CONFIG_S3_REGION": server.region}

    def put(self, source, target):
        return ["copy", source, f"s3:{target}/data", *self.SETTINGS]

    def copy(self, source, target):
        return ["copy", f"s3:{source}/data", f"s3:{target}/data", *self.SETTINGS]

    def get(self, source, target):
        # 1.60 needs the look at the object where the server copies.
        return ["copy", f"s3:{source}/data", target, *self.SETTINGS, "--s3-no-head-object"]

    def list(self, source, _):
        return ["lsf", "-R", "--files-only", "--fast-list", "--format", "pst", f"s3:{source}",
                "--use-server-modtime", "--config", "/dev/null"]

    def delete(self, source, _):
        return ["delete", f"s3:{source}/data", *self.SETTINGS]


class Aws(Tool):
    name = "aws"

    def __init__(self, server, program):
        super().__init__(server, program)
        self.config = tempfile.NamedTemporaryFile("w", suffix=".aws")
        self.config.write(f"[default]\ns3 =\n  max_concurrent_requests = {WIDTH}\n"
                          f"  max_queue_size = 10000\n  multipart_chunksize = {PART_BYTES >> 20}MB\n"
                          "  addressing_style = path\n  payload_signing_enabled = false\n")
        self.config.flush()
        self.more = {"AWS_CONFIG_FILE": self.config.name,
                     "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}

    def words(self, *words):
        return ["--endpoint-url", self.server.endpoint, "s3", *words]

    def put(self, source, target):
        return self.words("cp", "--recursive", "--only-show-errors", source, f"s3://{target}/data")

    def copy(self, source, target):
        return self.words("cp", "--recursive", "--only-show-errors", f"s3://{source}/data",
                          f"s3://{target}/data")

    def get(self, source, target):
        return self.words("cp", "--recursive", "--only-show-errors", f"s3://{source}/data", target)

    def list(self, source, _):
        return self.words("ls", "--recursive", f"s3://{source}")

    def delete(self, source, _):
        return self.words("rm", "--recursive", "--only-show-errors", f"s3://{source}/data")


class S3cmd(Tool):
    """It has one request at a time, and no setting for more."""
    name = "s3cmd"

    def words(self, *words):
        host = urllib.parse.urlsplit(self.server.endpoint).netloc
        return ["--config", "/dev/null", "--no-ssl", "--host", host, "--host-bucket", host,
                "--access_key", self.server.access_key, "--secret_key", self.server.secret_key,
                "--no-progress", "--quiet", *words]

    def put(self, source, target):
        return self.words("put", "--recursive", f"{source}/", f"s3://{target}/data/")

    def copy(self, source, target):
        return self.words("cp", "--recursive", f"s3://{source}/data/", f"s3://{target}/data/")

    def get(self, source, target):
        return self.words("get", "--recursive", f"s3://{source}/data/", f"{target}/")

    def list(self, source, _):
        return self.words("ls", "--recursive", f"s3://{source}/")

    def delete(self, source, _):
        return self.words("del", "--recursive", "--force", f"s3://{source}/data/")


class S5cmd(Tool):
    name = "s5cmd"

    def words(self, *words):
        return ["--endpoint-url", self.server.endpoint, "--numworkers", str(WIDTH), "--log",
                "error", *words]

    def put(self, source, target):
        return self.words("cp", f"{source}/", f"s3://{target}/data/")

    def copy(self, source, target):
        return self.words("cp", f"s3://{source}/data/*", f"s3://{target}/data/")

    def get(self, source, target):
        return self.words("cp", f"s3://{source}/data/*", f"{target}/")

    def list(self, source, _):
        return ["--endpoint-url", self.server.endpoint, "ls", f"s3://{source}/*"]

    def delete(self, source, _):
        return self.words("rm", f"s3://{source}/data/*")


class Mc(Tool):
    """MinIO's client; another program may have that name."""
    name = "mc"

    def __init__(self, server, program):
        super().__init__(server, program)
        host = urllib.parse.urlsplit(server.endpoint).netloc
        secret = urllib.parse.quote(server.secret_key, safe="")
        self.more = {"MC_HOST_s3": f"http://{server.access_key}:{secret}@{host}"}

    @classmethod
    def find(cls):
        program = super().find()
        if program and b"MinIO" in subprocess.run([program, "--version"], capture_output=True,
                                                  check=False).stdout:
            return program
        return None

    def put(self, source, target):
        return ["--quiet", "cp", "--recursive", f"{source}/", f"s3/{target}/data/"]

    def copy(self, source, target):
        return ["--quiet", "cp", "--recursive", f"s3/{source}/data/", f"s3/{target}/data/"]

    def get(self, source, target):
        return ["--quiet", "cp", "--recursive", f"s3/{source}/data/", f"{target}/"]

    def list(self, source, _):
        return ["ls", "--recursive", f"s3/{source}/"]

    def delete(self, source, _):
        return ["--quiet", "rm", "--recursive", "--force", f"s3/{source}/data/"]


# ---- the server's own limit ---------------------------------------------------------------------


class Loop:
    """The same requests, signed beforehand and sent from memory: what the server can do."""
    name = "loop"

    def __init__(self, server, program, load):
        self.server = server
        self.program = program
        self.load = load
        self.s3 = server.s3()
        self.names = [f"data/{name}" for name in load.names()]
        self.is_large = load.size_bytes > PART_BYTES

    def sign(self, method, path, query=(), headers=()):
        """The URL of a request whose signature is part of it, for an hour."""
        url = urllib.parse.urlsplit(self.server.endpoint)
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/{self.server.region}/s3/aws4_request"
        headers = sorted([("host", url.netloc), *headers])
        signed = ";".join(name for name, _ in headers)
        pairs = sorted([*query, ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Date", now),
                        ("X-Amz-Credential", f"{self.server.access_key}/{scope}"),
                        ("X-Amz-Expires", "3600"), ("X-Amz-SignedHeaders", signed)])
        text = urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote, safe="")
        canonical = "\n".join((method, path, text, *(f"{name}:{value}" for name, value in headers),
                               "", signed, "UNSIGNED-PAYLOAD"))
        key = b"AWS4" + self.server.secret_key.encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        to_sign = (f"AWS4-HMAC-SHA256\n{now}\n{scope}\n"
                   f"{hashlib.sha256(canonical.encode()).hexdigest()}")
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return f"{self.server.endpoint}{path}?{text}&X-Amz-Signature={signature}"

    def line(self, method, path, body="-", query=(), headers=(), unsigned=()):
        shown = "\t".join(f"{name}: {value}" for name, value in (*headers, *unsigned))
        url = self.sign(method, path, query, headers)
        return f"{method}\t{url}\t{body}" + ("\t" + shown if shown else "") + "\n"

    def go(self, lines, threads=LOOP_THREADS):
        done = subprocess.run([self.program, str(threads)], input="".join(lines), check=True,
                              stdout=subprocess.PIPE, text=True)
        seconds, cpu = map(float, done.stdout.split())
        return Cost(seconds, cpu, 0)

    def act(self, operation, source, target):
        return getattr(self, operation)(source, target)

    def parts(self, bucket, line_of):
        """Uploads of large objects; only the parts are timed."""
        uploads, lines, size = [], [], self.load.size_bytes
        for name in self.names:
            upload = self.s3.create_multipart_upload(Bucket=bucket, Key=name)["UploadId"]
            uploads.append((name, upload))
            for number, begin in enumerate(range(0, size, PART_BYTES), 1):
                lines.append(line_of(name, begin, min(begin + PART_BYTES, size) - begin,
                                     [("partNumber", str(number)), ("uploadId", upload)]))
        cost = self.go(lines)
        for name, upload in uploads:
            parts = self.s3.list_parts(Bucket=bucket, Key=name, UploadId=upload)["Parts"]
            self.s3.complete_multipart_upload(Bucket=bucket, Key=name, UploadId=upload,
                                              MultipartUpload={"Parts": [
                                                  {"PartNumber": part["PartNumber"],
                                                   "ETag": part["ETag"]} for part in parts]})
        return cost

    def put(self, _, bucket):
        if self.is_large:
            return self.parts(bucket, lambda name, begin, len_bytes, query: self.line(
                "PUT", f"/{bucket}/{name}", len_bytes, query))
        return self.go([self.line("PUT", f"/{bucket}/{name}", self.load.size_bytes)
                        for name in self.names])

    def copy(self, source, target):
        return self.go([self.line("PUT", f"/{target}/{name}", "0",
                                  headers=[("x-amz-copy-source", f"/{source}/{name}")])
                        for name in self.names])

    def get(self, bucket, _):
        step = PART_BYTES if self.is_large else self.load.size_bytes
        return self.go([self.line("GET", f"/{bucket}/{name}", unsigned=[
            ("Range", f"bytes={begin}-{begin + step - 1}")] if self.is_large else ())
            for name in self.names for begin in range(0, self.load.size_bytes, step)])

    def list(self, bucket, _):
        """One page after the other, as nobody else knows the keys beforehand."""
        return self.go([self.line("GET", f"/{bucket}", query=[
            ("list-type", "2"), *([("start-after", self.names[at - 1])] if at else [])])
            for at in range(0, len(self.names), PAGE)], threads=1)

    def delete(self, bucket, _):
        return self.go([self.line("DELETE", f"/{bucket}/{name}") for name in self.names])


def build_loop(folder):
    program = os.path.join(folder, "storage_loop")
    subprocess.run(["cc", "-std=c11", "-O2", "-D_GNU_SOURCE",
                    os.path.join(ROOT, "tests/bench/storage_loop.c"), "-lcurl", "-lpthread", "-o",
                    program], check=True)
    return program


# ---- rounds -------------------------------------------------------------------------------------


def make_files(load, folder):
    for name in load.names():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            for begin in range(0, load.size_bytes, 1 << 20):
                file.write(os.urandom(min(1 << 20, load.size_bytes - begin)))


def check_bucket(s3, bucket, load, count):
    """What a tool says it has done is done."""
    sizes = collections.Counter()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        sizes.update(one["Size"] for one in page.get("Contents", []))
    if sizes != collections.Counter({load.size_bytes: count} if count else {}):
        sys.exit(f"the bucket '{bucket}' has {dict(sizes)}, not {count} of {load.size_bytes}")


def check_files(folder, source, load):
    for name in load.names():
        with open(os.path.join(folder, name), "rb") as got, \
                open(os.path.join(source, name), "rb") as sent:
            while piece := sent.read(1 << 20):
                if got.read(len(piece)) != piece:
                    sys.exit(f"'{name}' came back different")
            if got.read(1):
                sys.exit(f"'{name}' came back longer")


class Round:
    """All operations by one tool after the other, on a server of their own."""

    def __init__(self, load, source, got, server, number):
        self.load = load
        self.got = got
        self.source = source
        self.server = server
        self.number = number
        self.s3 = server.s3()

    def do_all(self, tool):
        costs = {}
        bucket, other = f"{tool.name}-{self.number}", f"{tool.name}-{self.number}-copy"
        for name in (bucket, other):
            self.s3.create_bucket(Bucket=name)
        target = tempfile.mkdtemp(dir=self.got)
        places = {"put": (self.source, bucket), "copy": (bucket, other), "get": (bucket, target),
                  "list": (bucket, None), "delete": (bucket, None)}
        for operation in OPERATIONS:
            settle()
            costs[operation] = tool.act(operation, *places[operation])
            if operation != "list":
                self.check(tool, operation, bucket, other, target)
        if self.load.count < MANY_FILES:
            shutil.rmtree(target)
        s3_server.empty(self.s3, other)
        if isinstance(self.server, ceph.Ceph):
            # What was removed is not to be swept while the next tool is measured.
            self.server.admin("gc", "process", "--include-all")
        return costs

    def check(self, tool, operation, bucket, other, target):
        if operation == "get":
            if not isinstance(tool, Loop):
                check_files(target, self.source, self.load)
        else:
            check_bucket(self.s3, other if operation == "copy" else bucket, self.load,
                         0 if operation == "delete" else self.load.count)


def tools_of(setting, server, load, loop, number):
    """The loop, ours, and the others in turn; slow ones are asked but once."""
    yield Loop(server, loop, load)
    for kind in (RunCore, Rclone, S5cmd, Mc, Aws, S3cmd):
        program = setting.binary() if kind is RunCore else kind.find()
        if program and (number == 0 or kind not in (Aws, S3cmd)):
            yield kind(server, program)


def measure(setting, load, loop):
    results = collections.defaultdict(list)
    # ext4 is slow to make files where many were removed a minute before: those got stay to the end.
    with tempfile.TemporaryDirectory(dir=setting.cache) as source, \
            tempfile.TemporaryDirectory(dir=setting.cache) as got:
        make_files(load, source)
        for number in range(setting.rounds):
            server = ceph.temporary(limit_bytes=16 << 30)
            try:
                turn = Round(load, source, got, server, number)
                for tool in tools_of(setting, server, load, loop, number):
                    results[tool.name].append(turn.do_all(tool))
                    print(f"  {load.name}, round {number + 1}, {tool.name}: " + ", ".join(
                        f"{operation} {cost.seconds:.2f} s" for operation, cost in
                        results[tool.name][-1].items()), flush=True)
            finally:
                ceph.remove(server)
    return results


# ---- what came out ------------------------------------------------------------------------------


def median(rounds, operation, member):
    return statistics.median(getattr(one[operation], member) for one in rounds)


def ratio(ours, others, operation):
    """Of rounds that both took part in."""
    return statistics.median(mine[operation].seconds / theirs[operation].seconds
                             for mine, theirs in zip(ours, others))


def show(load, results):
    ours = results["run-core"]
    print(f"\n| {load.name} | " + " | ".join(results) + " |")
    print("|---|" + "---|" * len(results))
    for operation in OPERATIONS:
        cells = [f"{median(rounds, operation, 'seconds'):.2f} s" if rounds is ours else
                 f"{median(rounds, operation, 'seconds'):.2f} s "
                 f"({ratio(ours, rounds, operation):.2f})" for rounds in results.values()]
        print(f"| {operation} | " + " | ".join(cells) + " |")
        print("| its processor time, s | " + " | ".join(
            f"{median(rounds, operation, 'cpu'):.2f}" for rounds in results.values()) + " |")
    print("| peak memory, MiB | " + " | ".join(
        f"{peak(rounds):.0f}" if peak(rounds) else "" for rounds in results.values()) + " |")
    for operation in OPERATIONS:
        to_limit = ratio(ours, results["loop"], operation)
        beaten = [name for name in results if name not in ("run-core", "loop")
                  and ratio(ours, results[name], operation) > 1]
        met = not beaten or to_limit <= CLOSE_TO_LIMIT
        print(f"  {load.name}, {operation}: {to_limit:.2f} of the loop's time, "
              f"{'slower than ' + ', '.join(beaten) if beaten else 'the fastest tool'}; "
              f"goal {'met' if met else 'NOT met'}")
    print(f"  {load.name}, memory {peak(ours):.0f} MiB, goal {MEMORY_MIB} MiB: "
          f"{'met' if peak(ours) < MEMORY_MIB else 'NOT met'}\n", flush=True)


def peak(rounds):
    return max(cost.peak_mib for one in rounds for cost in one.values())


# ---- listings -----------------------------------------------------------------------------------


class MadeUp:
    """Where the made-up bucket is, in place of a server."""
    access_key, secret_key, region = "key", "secret", "us-east-1"

    def __init__(self, port):
        self.endpoint = f"http://127.0.0.1:{port}"


def list_all(setting, server, bucket, what):
    for kind in (RunCore, Rclone, S5cmd, Mc, Aws):
        program = setting.binary() if kind is RunCore else kind.find()
        if program:
            cost = kind(server, program).act("list", bucket, None)
            print(f"  listing of {what}, {kind.name}: {cost.seconds:.2f} s, {cost.cpu:.2f} s of "
                  f"processor time, {cost.peak_mib:.0f} MiB", flush=True)


def listings(setting, loop):
    """Memory has to be the same however many keys there are."""
    server = ceph.temporary(limit_bytes=16 << 30)
    try:
        server.s3().create_bucket(Bucket="many")
        Loop(server, loop, Load("empty", REAL_KEYS, 0)).put(None, "many")
        list_all(setting, server, "many", f"{REAL_KEYS:,} keys")
    finally:
        ceph.remove(server)
    for keys in (MANY_KEYS // 100, MANY_KEYS):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=serve, args=(keys, theirs), daemon=True)
        process.start()
        list_all(setting, MadeUp(ours.recv()), "bucket", f"{keys:,} keys, made up")
        process.terminate()
        process.join()


def storage(setting):
    os.makedirs(setting.cache, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        loop = build_loop(folder)
        results = [(load, measure(setting, load, loop)) for load in LOADS]
        for load, result in results:
            show(load, result)
        listings(setting, loop)
