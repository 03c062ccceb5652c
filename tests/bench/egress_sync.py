"""run-core egress sync beside rclone, mc, aws and s5cmd, as far as they are installed: between two
S3 servers, and, for those that know one endpoint at a time, between two buckets of one.

In a round each tool gets a bucket of its own to fill, then is run again with nothing to do. The
order moves on by one with every round. After each run the target is compared with the source, which
is not timed."""
import collections
import multiprocessing
import os
import statistics
import sys
import tempfile
import urllib.parse

from measure import ROOT, settle
from storage import (LOADS, MANY_KEYS, MEMORY_MIB, WIDTH, Aws, MadeUp, Mc, Rclone, S5cmd, run)
from storage_listing import serve

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import ceph  # noqa: E402, from the folder of the test servers
import s3_server  # noqa: E402

SOURCE = "source"


class Sync:
    """The command of a tool and its environment, for a bucket to fill; the slow take part once."""

    def __init__(self, name, words, environment, is_once=False):
        self.name = name
        self.words = words
        self.environment = environment
        self.is_once = is_once

    def act(self, bucket):
        return run(self.words(bucket), self.environment)


def sides(source, target, bucket):
    """The seed's environment."""
    return dict(INPUT_URL=source.endpoint, INPUT_PATH=f"{SOURCE}/data",
                INPUT_ACCESS_KEY_ID=source.access_key, INPUT_SECRET_ACCESS_KEY=source.secret_key,
                OUTPUT_URL=target.endpoint, OUTPUT_PATH=f"{bucket}/data",
                OUTPUT_ACCESS_KEY_ID=target.access_key,
                OUTPUT_SECRET_ACCESS_KEY=target.secret_key)


class Ours(Sync):
    def __init__(self, setting, source, target, state):
        super().__init__("run-core", None, None)
        self.setting, self.source, self.target, self.state = setting, source, target, state

    def act(self, bucket):
        plain = {name: value for name, value in os.environ.items()
                 if not name.startswith(("AWS_", "INPUT_", "OUTPUT_"))}
        return run([self.setting.binary(), "egress", "sync", "--quiet"], dict(
            plain, **sides(self.source, self.target, bucket), AWS_EC2_METADATA_DISABLED="true",
            RUN_CORE_STATE=self.state, NO_COLOR="1",
            RUN_CORE_PLUGIN_PATH=os.path.join(self.setting.build, "plugins")))


def rclone_sync(source, target):
    """With the target listed, as a sync needs it; the rest as in storage.py. 'copy' is the sync
    that removes nothing. Sizes and sums are compared, or each object would be asked for its time."""
    program = Rclone.find()
    if not program:
        sys.exit("the bench needs rclone (Debian: rclone)")
    environment = Rclone(source, program).environment()
    for name, server in (("SOURCE", source), ("TARGET", target)):
        prefix = f"RCLONE_CONFIG_{name}_"
        environment.update({prefix + "TYPE": "s3", prefix + "PROVIDER": "Ceph",
                            prefix + "ENDPOINT": server.endpoint,
                            prefix + "REGION": server.region, prefix + "LIST_VERSION": "2",
                            prefix + "ACCESS_KEY_ID": server.access_key,
                            prefix + "SECRET_ACCESS_KEY": server.secret_key})
    settings = [one for one in Rclone.SETTINGS if one not in ("--no-check-dest", "--no-traverse")]
    # Within one server it copies there, which 1.60 does not without the look at the object.
    there, more = ("source", []) if source is target else ("target", ["--s3-no-head-object"])
    return Sync("rclone", lambda bucket: [
        program, "copy", f"source:{SOURCE}/data", f"{there}:{bucket}/data", *settings,
        "--fast-list", "--checksum", *more], environment)


def mc_mirror(source, target):
    program = Mc.find()
    if not program:
        return []
    environment = Mc(source, program).environment()
    for name, server in (("source", source), ("target", target)):
        host = urllib.parse.urlsplit(server.endpoint).netloc
        secret = urllib.parse.quote(server.secret_key, safe="")
        environment[f"MC_HOST_{name}"] = f"http://{server.access_key}:{secret}@{host}"
    return [Sync("mc", lambda bucket: [program, "--quiet", "mirror", "--overwrite",
                                       f"source/{SOURCE}/data", f"target/{bucket}/data"],
                 environment)]


def aws_sync(server):
    program = Aws.find()
    if not program:
        return []
    aws = Aws(server, program)
    one = Sync("aws", lambda bucket: [program, *aws.words(
        "sync", "--only-show-errors", f"s3://{SOURCE}/data", f"s3://{bucket}/data")],
        aws.environment(), is_once=True)
    one.keeps = aws  # its configuration is a temporary file
    return [one]


def s5cmd_sync(server):
    program = S5cmd.find()
    if not program:
        return []
    return [Sync("s5cmd", lambda bucket: [
        program, "--endpoint-url", server.endpoint, "--numworkers", str(WIDTH), "--log", "error",
        "sync", f"s3://{SOURCE}/data/*", f"s3://{bucket}/data/"],
        S5cmd(server, program).environment())]


# ---- rounds -------------------------------------------------------------------------------------


def fill(server, load):
    """The source's objects, each with other bytes."""
    client = server.s3()
    client.create_bucket(Bucket=SOURCE)
    for name in load.names():
        client.put_object(Bucket=SOURCE, Key=f"data/{name}", Body=os.urandom(load.size_bytes))


def empty(server, bucket):
    s3_server.empty(server.s3(), bucket)
    # What was removed is not to be swept while the next tool is measured.
    server.admin("gc", "process", "--include-all")


def sums(server, bucket, load):
    """Of all objects: sizes and, where every tool gets the same, entity tags."""
    found = {}
    for page in server.s3().get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for one in page.get("Contents", []):
            found[one["Key"]] = (one["Size"], one["ETag"] if load.size_bytes < 1 << 20 else "")
    return found


def measure(tools, source, target, load, rounds):
    costs = collections.defaultdict(list)
    right = sums(source, SOURCE, load)
    for number in range(rounds):
        shift = number % len(tools)
        for tool in tools[shift:] + tools[:shift]:
            if number and tool.is_once:
                continue
            bucket = f"target-{tool.name}-{number}"
            target.s3().create_bucket(Bucket=bucket)
            settle()
            first = tool.act(bucket)
            if sums(target, bucket, load) != right:
                sys.exit(f"after {tool.name} the target is not like the source")
            again = tool.act(bucket)
            costs[tool.name].append((first, again))
            print(f"  {load.name}, round {number + 1}, {tool.name}: {first.seconds:.2f} s, "
                  f"{first.cpu:.2f} s of processor time, {first.peak_mib:.0f} MiB; again "
                  f"{again.seconds:.2f} s", flush=True)
            empty(target, bucket)
    return costs


def show(title, costs):
    ours = costs["run-core"]
    print(f"\n| {title} | time | run-core's to it | processor time | peak memory | nothing to do |")
    print("|---|---|---|---|---|---|")
    for name, theirs in costs.items():
        def median(turn, member="seconds"):
            return statistics.median(getattr(pair[turn], member) for pair in theirs)
        ratio = statistics.median(mine[0].seconds / other[0].seconds
                                  for mine, other in zip(ours, theirs))
        peak = max(cost.peak_mib for pair in theirs for cost in pair)
        print(f"| {name} | {median(0):.2f} s | {ratio:.2f} | {median(0, 'cpu'):.2f} s | "
              f"{peak:.0f} MiB | {median(1):.2f} s |")
        if name != "run-core":
            print(f"  {title}, beside {name}: goal {'met' if ratio < 1 else 'NOT met'}",
                  file=sys.stderr)
    print(flush=True)


# ---- many keys ----------------------------------------------------------------------------------


def many_keys(setting, state):
    """Two servers that make up the same listing: what it takes to find that nothing is to do."""
    for keys in (MANY_KEYS // 100, MANY_KEYS):
        servers, processes = [], []
        for _ in range(2):
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.Process(target=serve, args=(keys, theirs), daemon=True)
            process.start()
            processes.append(process)
            servers.append(MadeUp(ours.recv()))
        for tool in (Ours(setting, *servers, state), rclone_sync(*servers)):
            cost = tool.act("bucket")
            verdict = "" if tool.name != "run-core" else \
                f"; goal {MEMORY_MIB} MiB {'met' if cost.peak_mib < MEMORY_MIB else 'NOT met'}"
            print(f"  {keys:,} keys on both sides, {tool.name}: {cost.seconds:.2f} s, "
                  f"{cost.cpu:.2f} s of processor time, {cost.peak_mib:.0f} MiB{verdict}",
                  flush=True)
        for process in processes:
            process.terminate()
            process.join()


def egress_sync(setting):
    for load in LOADS:
        source, target = (ceph.temporary(limit_bytes=16 << 30) for _ in range(2))
        try:
            with tempfile.TemporaryDirectory(dir="/dev/shm") as state:
                fill(source, load)
                tools = [Ours(setting, source, target, state), rclone_sync(source, target),
                         *mc_mirror(source, target)]
                show(f"{load.name}, two servers",
                     measure(tools, source, target, load, setting.rounds))
                tools = [Ours(setting, source, source, state), rclone_sync(source, source),
                         *mc_mirror(source, source), *aws_sync(source),
                         *s5cmd_sync(source)]
                show(f"{load.name}, one server",
                     measure(tools, source, source, load, setting.rounds))
        finally:
            ceph.remove(target)
            ceph.remove(source)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as state:
        many_keys(setting, state)
