"""run-core sdrs execute beside rclone move and aws s3 mv, as far as they are installed: objects of
4 KiB into the shadow bucket of one S3 server.

Each tool of a round gets a server of its own; the order moves on by one with every round. aws,
which is slow, takes part in the first one only. After each run both buckets are listed, which is
not timed. What ours does beyond the others: the time in each path is looked at, a manifest of what
is moved is written first, and each copy and each removal is of the very object that was listed."""
import dataclasses
import json
import os
import statistics
import sys
import tempfile

from measure import ROOT, settle
from storage import MEMORY_MIB, Aws, Load, Loop, Rclone, build_loop, run

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import ceph  # noqa: E402, from the folder of the test servers

SIZE_BYTES = 4096
HOURS = 28 * 24


@dataclasses.dataclass(frozen=True)
class ByHour(Load):
    """Below the dataset 'data', all of them older than any retention."""

    def names(self):
        hours = [f"2019/02/{hour // 24 + 1:02}/{hour % 24:02}" for hour in range(HOURS)]
        return [f"{hours[i * HOURS // self.count]}/object-{i:06}" for i in range(self.count)]


class Ours:
    name = "run-core"

    def __init__(self, setting, server, folder):
        self.setting, self.server, self.folder = setting, server, folder

    def act(self, bucket):
        rule = {"type": "DATASET", "dataStorageName": f"s3://{bucket}/data", "projectId": "bench",
                "retentionPeriod": 30}
        config = os.path.join(self.folder, f"{bucket}.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"plugins": {"sdrs": {"config": {"rules": [rule]}}}}, file)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return run([self.setting.binary(), "sdrs", "execute", "--quiet", "--config", config], dict(
            plain, AWS_ACCESS_KEY_ID=self.server.access_key, NO_COLOR="1", NO_GCE_CHECK="true",
            AWS_SECRET_ACCESS_KEY=self.server.secret_key, AWS_REGION=self.server.region,
            AWS_ENDPOINT_URL=self.server.endpoint, AWS_EC2_METADATA_DISABLED="true",
            RUN_CORE_STATE=os.path.join(self.folder, bucket),
            RUN_CORE_PLUGIN_PATH=os.path.join(self.setting.build, "plugins")))


class MoveByRclone(Rclone):
    def act(self, bucket):
        return run([self.program, "move", f"s3:{bucket}/data", f"s3:{bucket}shadow/data",
                    *self.SETTINGS], self.environment())


class MoveByAws(Aws):
    def act(self, bucket):
        return run([self.program, *self.words(
            "mv", "--recursive", "--only-show-errors", f"s3://{bucket}/data",
            f"s3://{bucket}shadow/data")], self.environment())


def keys(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {(entry["Key"], entry["Size"]) for page in pages for entry in page.get("Contents", [])
            if not entry["Key"].startswith(".run-core/")}


def check(s3, bucket, load):
    if keys(s3, bucket):
        sys.exit(f"'{bucket}' still has objects")
    if keys(s3, f"{bucket}shadow") != {(f"data/{name}", SIZE_BYTES) for name in load.names()}:
        sys.exit(f"the shadow of '{bucket}' has not all objects")


def move(setting, kind, number, loop, load, folder):
    """One tool on a server of its own, so that none finds what another has left."""
    server = ceph.temporary(limit_bytes=16 << 30)
    try:
        bucket = f"round{number}"
        s3 = server.s3()
        s3.create_bucket(Bucket=bucket)
        s3.create_bucket(Bucket=f"{bucket}shadow")
        Loop(server, loop, load).put(None, bucket)
        tool = (Ours(setting, server, tempfile.mkdtemp(dir=folder)) if kind is Ours
                else kind(server, kind.find()))
        settle()
        cost = tool.act(bucket)
        check(s3, bucket, load)
        print(f"  round {number + 1}, {tool.name}: {cost.seconds:.2f} s, {cost.cpu:.2f} s of "
              f"processor time, {cost.peak_mib:.0f} MiB", flush=True)
        return cost
    finally:
        ceph.remove(server)


def show(name, costs, ours):
    def median(member):
        return statistics.median(getattr(cost, member) for cost in costs)
    ratio = statistics.median(a.seconds / b.seconds for a, b in zip(ours, costs))
    print(f"  {name:<10} {median('seconds'):7.2f} s   ours to it {ratio:.2f}   processor time "
          f"{median('cpu'):.2f} s   {max(cost.peak_mib for cost in costs):.0f} MiB", flush=True)
    return ratio


def sdrs_move(setting):
    load = ByHour("by hour", setting.objects, SIZE_BYTES)
    kinds = [Ours, *(kind for kind in (MoveByRclone, MoveByAws) if kind.find())]
    costs = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        loop = build_loop(folder)
        for number in range(setting.rounds):
            at = number % len(kinds)
            for kind in kinds[at:] + kinds[:at]:
                if number == 0 or kind is not MoveByAws:
                    costs[kind].append(move(setting, kind, number, loop, load, folder))
    print(f"  moves of {setting.objects:,} objects, medians:")
    ratios = [show(kind.name, of, costs[Ours]) for kind, of in costs.items()]
    peak_mib = max(cost.peak_mib for cost in costs[Ours])
    print("  goal, faster than the others: "
          f"{'met' if max(ratios[1:], default=0) < 1 else 'NOT met'}; memory {peak_mib:.0f} MiB, "
          f"goal {MEMORY_MIB} MiB: {'met' if peak_mib < MEMORY_MIB else 'NOT met'}")
