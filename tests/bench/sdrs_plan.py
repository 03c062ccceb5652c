"""run-core sdrs plan over the datasets of one bucket of an S3 server, ten thousand objects in each,
beside bare listings of the same keys: by a loop that knows each page beforehand, run-core storage,
rclone and aws, as far as they are installed.

All objects are older than the rules keep, and lie below prefixes of all levels: hours of the day in
which the limit is, days of its month, months, a year. The order of a round moves on by one with
every round; aws, which is slow, takes part in the first one only."""
import dataclasses
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

from measure import ROOT
from storage import MEMORY_MIB, Aws, Load, Loop, Rclone, RunCore, build_loop, run

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import ceph  # noqa: E402, from the folder of the test servers

BUCKET, OF_EACH = "events", 10_000
KEPT_DAYS, OLD_DAYS = 30, 400
NOW = datetime.datetime(2024, 3, 10, 5, 30, tzinfo=datetime.timezone.utc)
PLANNED = 10  # objects, for each one that is moved in the other bench
PIECE = 100_000  # objects that are put at a time: each has a signed URL


class Ours:
    name = "run-core sdrs plan"

    def __init__(self, setting, server, folder, datasets):
        rules = [{"type": "DATASET", "dataStorageName": f"s3://{BUCKET}/data/{dataset(i)}",
                  "projectId": "bench", "retentionPeriod": KEPT_DAYS} for i in range(datasets)]
        config = os.path.join(folder, "bench.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"plugins": {"sdrs": {"config": {"rules": rules}}}}, file)
        self.words = [setting.binary(), "sdrs", "plan", "--config", config, "--now",
                      NOW.strftime("%Y-%m-%dT%H:%M:%SZ")]
        self.environment = dict(
            RunCore(server, setting.binary()).environment(), NO_COLOR="1", NO_GCE_CHECK="true",
            RUN_CORE_STATE=os.path.join(folder, "state"),
            RUN_CORE_PLUGIN_PATH=os.path.join(setting.build, "plugins"))

    def check(self, count):
        said = subprocess.run(self.words, env=self.environment, check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        if not re.search(rf"^Would move {count} objects", said, re.M):
            sys.exit(f"the plan is not of {count} objects:\n{said[-1000:]}")

    def act(self):
        return run(self.words, self.environment)


class Lister:
    """A tool that lists the bucket and looks at nothing."""

    def __init__(self, tool, name=None):
        self.tool = tool
        self.name = name or tool.name

    def act(self):
        return self.tool.act("list", BUCKET, None)


def dataset(number):
    return f"set{number:03}"


class ByDataset(Load):
    """Of each dataset the objects are spread over the hours as evenly as can be."""

    def names(self):
        limit = NOW.replace(minute=0) - datetime.timedelta(days=KEPT_DAYS)
        paths = []
        for i in range(OF_EACH):
            hours = OLD_DAYS * 24 - i * OLD_DAYS * 24 // OF_EACH
            paths.append((limit - datetime.timedelta(hours=hours)).strftime("%Y/%m/%d/%H"))
        return [f"{dataset(number)}/{path}/object-{i:06}" for number in range(self.count // OF_EACH)
                for i, path in enumerate(paths)]


@dataclasses.dataclass(frozen=True)
class Piece(Load):
    some: list

    def names(self):
        return self.some


def fill(server, loop, load):
    server.s3().create_bucket(Bucket=BUCKET)
    names = load.names()
    for at in range(0, len(names), PIECE):
        piece = names[at:at + PIECE]
        Loop(server, loop, Piece("a piece", len(piece), 0, piece)).put(None, BUCKET)


def show(name, costs, ours):
    def median(member):
        return statistics.median(getattr(cost, member) for cost in costs)
    ratio = statistics.median(a.seconds / b.seconds for a, b in zip(ours, costs))
    peak_mib = max(cost.peak_mib for cost in costs)
    print(f"  {name:<24} {median('seconds'):7.2f} s   ours to it {ratio:.2f}   processor time "
          f"{median('cpu'):.2f} s" + (f"   {peak_mib:.0f} MiB" if peak_mib else ""), flush=True)
    return ratio


def rounds(setting, ways):
    costs = {way.name: [] for way in ways}
    for number in range(setting.rounds):
        at = number % len(ways)
        for way in ways[at:] + ways[:at]:
            if number > 0 and way.name == Aws.name:
                continue
            cost = way.act()
            costs[way.name].append(cost)
            print(f"  round {number + 1}, {way.name}: {cost.seconds:.2f} s", flush=True)
    return costs


def sdrs_plan(setting):
    datasets = max(setting.objects * PLANNED // OF_EACH, 1)
    count = datasets * OF_EACH
    load = ByDataset("datasets", count, 0)
    server = ceph.temporary(limit_bytes=16 << 30)
    try:
        with tempfile.TemporaryDirectory() as folder:
            loop = build_loop(folder)
            fill(server, loop, load)
            ours = Ours(setting, server, folder, datasets)
            ours.check(count)
            ways = [ours, Lister(Loop(server, loop, load), "bare requests"),
                    Lister(RunCore(server, setting.binary()), "run-core storage ls")]
            ways += [Lister(kind(server, kind.find())) for kind in (Rclone, Aws) if kind.find()]
            costs = rounds(setting, ways)
    finally:
        ceph.remove(server)
    print(f"  {count:,} objects, {OF_EACH:,} in each dataset, medians:")
    ratios = {name: show(name, of, costs[ours.name]) for name, of in costs.items()}
    peak_mib = max(cost.peak_mib for cost in costs[ours.name])
    print(f"  goal, no longer than the bare requests: "
          f"{'met' if ratios['bare requests'] <= 1 else 'NOT met'}; memory {peak_mib:.0f} MiB, "
          f"goal {MEMORY_MIB} MiB: {'met' if peak_mib < MEMORY_MIB else 'NOT met'}")
