"""run-core egress dump beside what the seed did (psql | gzip -9 | aws), beside psql | pigz -6 |
rclone, and beside a bare COPY that goes nowhere: a table of two million rows of a real PostgreSQL
server, to a real S3 server, both in memory.

In a round each takes its turn, and the order moves on by one with every round, so that none always
runs behind the same other. Printed are the medians and the ratios within the rounds."""
import collections
import hashlib
import os
import shlex
import statistics
import subprocess
import sys
import tempfile

from measure import ROOT, settle
from storage import Aws, PART_BYTES, Rclone, RunCore, run

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import ceph  # noqa: E402, from the folder of the test servers
import postgres  # noqa: E402
import s3_server  # noqa: E402

ROWS = 2_000_000
DATABASE, TABLE = "bench", "mixed"
TIMES_FASTER, MEMORY_MIB = 4.0, 256

# What tables of orders, events and accounts are made of. The same rows each time; UUIDs and amounts
# compress as badly as they do in life. Text has commas and quotes, but no line ends: rows are
# sorted by lines to be compared.
STATEMENTS = (f"""SELECT setseed(0.25);
CREATE UNLOGGED TABLE {TABLE} AS
SELECT n AS id, 1 + (random() * random() * 50000)::int AS account,
       (ARRAY['created', 'paid', 'shipped', 'returned', 'cancelled'])[1 + (random() * 4)::int]
           AS status,
       TIMESTAMPTZ '2024-01-01 00:00:00Z' + n * INTERVAL '17.31 s' AS created_at,
       CASE WHEN random() < 0.7 THEN date_trunc('second', TIMESTAMP '2024-01-01'
            + n * INTERVAL '17.31 s' + random() * INTERVAL '9 days') END AS updated_at,
       (random() * random() * 99999)::numeric(12, 2) AS amount,
       random()::real AS score, random() < 0.9 AS active, md5(n::text)::uuid AS token,
       (ARRAY['left with a neighbour, number ', 'says "later", ticket ', NULL, NULL,
              'moved to flat '])[1 + (random() * 4)::int]
           || (random() * 9000)::int AS note,
       json_build_object('currency', (ARRAY['EUR', 'USD', 'CZK'])[1 + (random() * 2)::int],
                         'items', (random() * 12)::int) AS details
FROM generate_series(1, {ROWS}) AS n""", f"VACUUM (FREEZE, ANALYZE) {TABLE}", "CHECKPOINT")

COPY = f'psql -X -q -c "COPY {TABLE} TO STDOUT CSV"'
SUM = "LC_ALL=C sort -S 1G | sha256sum"


class Dump:
    """One way to get the table into a bucket of the round."""
    stores = True

    def __init__(self, environment, name, words):
        self.environment = environment
        self.name = name
        self.words = words

    def act(self, bucket):
        return run(self.words(bucket), self.environment)


def shell(pipeline):
    return ["bash", "-o", "pipefail", "-c", pipeline]


def ways(setting, database, store, state):
    """Ours and the others."""
    of_database = dict(PGHOST="127.0.0.1", PGPORT=str(database.port), PGUSER="postgres",
                       PGPASSWORD=postgres.PASSWORD, PGDATABASE=DATABASE)
    rclone, aws = Rclone.find(), Aws.find()
    if not rclone or not aws:
        sys.exit("the bench needs rclone and aws (Debian: rclone, awscli)")
    for_rclone = dict(Rclone(store, rclone).environment(), **of_database)
    for_aws = Aws(store, aws)

    ours = Dump(dict(RunCore(store, setting.binary()).environment(), **of_database, TABLES=TABLE,
                     RUN_CORE_STATE=state, NO_COLOR="1",
                     RUN_CORE_PLUGIN_PATH=os.path.join(setting.build, "plugins")), "run-core",
                lambda bucket: [setting.binary(), "egress", "dump", "--quiet", "--set",
                                f"output=s3://{bucket}/dumps"])
    pigz = Dump(for_rclone, "pigz -6, rclone", lambda bucket: shell(
        f"{COPY} | pigz -6 | {rclone} rcat --config /dev/null --s3-chunk-size {PART_BYTES >> 20}Mi "
        "--s3-upload-concurrency 4 --s3-no-check-bucket --s3-disable-checksum "
        f"s3:{bucket}/dumps/{TABLE}.csv.gz"))
    seed = Dump(dict(for_aws.environment(), **of_database), "gzip -9, aws", lambda bucket: shell(
        f"{COPY} | gzip -9 | " + " ".join(map(shlex.quote, [aws, *for_aws.words(
            "cp", "-", f"s3://{bucket}/dumps/{TABLE}.csv.gz", "--only-show-errors")]))))
    seed.keeps = for_aws  # its configuration is a temporary file
    bare = Dump(for_rclone, "bare COPY", lambda _: shell(f"{COPY} > /dev/null"))
    bare.stores = False
    return [ours, pigz, seed, bare], of_database


def output_of(client, bucket):
    """The only dump in a bucket, as a file, which the caller removes."""
    found = [one["Key"] for one in client.list_objects_v2(Bucket=bucket).get("Contents", [])
             if one["Key"].endswith(".csv.gz")]
    if len(found) != 1:
        sys.exit(f"the bucket '{bucket}' has the dumps {found}, not one")
    with tempfile.NamedTemporaryFile(dir="/dev/shm", delete=False) as file:
        client.download_fileobj(bucket, found[0], file)
        return file.name


def sum_of(command, environment):
    """Of the rows, in whichever order they come."""
    return subprocess.run(shell(f"{command} | {SUM}"), env=environment, check=True,
                          stdout=subprocess.PIPE).stdout


class Rounds:
    """Of all ways, with what they wrote compared with the table."""

    def __init__(self, store, right, environment):
        self.client = store.s3()
        self.right = right
        self.environment = environment
        self.costs = collections.defaultdict(list)
        self.sizes = {}

    def do(self, way, number):
        bucket = "dumps-" + hashlib.md5(f"{way.name}{number}".encode()).hexdigest()
        self.client.create_bucket(Bucket=bucket)
        settle()
        cost = way.act(bucket)
        self.costs[way.name].append(cost)
        print(f"  round {number + 1}, {way.name}: {cost.seconds:.2f} s, {cost.cpu:.2f} s of "
              f"processor time, {cost.peak_mib:.0f} MiB", flush=True)
        if way.stores and way.name not in self.sizes:
            path = output_of(self.client, bucket)
            self.sizes[way.name] = os.path.getsize(path)
            if sum_of(f"gzip -dc {path}", self.environment) != self.right:
                sys.exit(f"{way.name} has written other rows than the table has")
            os.unlink(path)
        s3_server.empty(self.client, bucket)
        self.client.delete_bucket(Bucket=bucket)


def median(costs, member="seconds"):
    return statistics.median(getattr(cost, member) for cost in costs)


def show(rounds, csv_bytes, gzip_6_bytes):
    ours = rounds.costs["run-core"]
    print("\n| 2,000,000 rows | time | run-core's to it | processor time | peak memory | size |")
    print("|---|---|---|---|---|---|")
    ratios = {}
    for name, costs in rounds.costs.items():
        pairs = sorted(mine.seconds / theirs.seconds for mine, theirs in zip(ours, costs))
        ratios[name] = statistics.median(pairs)
        size = rounds.sizes.get(name, csv_bytes)
        print(f"| {name} | {median(costs):.2f} s | {ratios[name]:.2f} ({pairs[0]:.2f}-"
              f"{pairs[-1]:.2f}) | {median(costs, 'cpu'):.2f} s | "
              f"{max(cost.peak_mib for cost in costs):.0f} MiB | {size / 1e6:.1f} MB |")

    def goal(what, is_met):
        print(f"  {what}: {'met' if is_met else 'NOT met'}", flush=True)

    peak = max(cost.peak_mib for cost in ours)
    size = rounds.sizes["run-core"]
    rate, bare = (csv_bytes / 1e6 / median(rounds.costs[name])
                  for name in ("run-core", "bare COPY"))
    print(f"  {csv_bytes / 1e6:.0f} MB of CSV, {rate:.0f} MB/s by run-core, {bare:.0f} MB/s by a "
          "bare COPY")
    goal(f"{1 / ratios['gzip -9, aws']:.1f} times as fast as the seed's pipeline, goal "
         f"{TIMES_FASTER:.0f}", 1 / ratios["gzip -9, aws"] >= TIMES_FASTER)
    goal(f"{1 / ratios['pigz -6, rclone']:.2f} times as fast as pigz and rclone, goal 1",
         ratios["pigz -6, rclone"] < 1)
    goal(f"{size / gzip_6_bytes:.3f} of gzip -6's size ({gzip_6_bytes / 1e6:.1f} MB), goal 1",
         size <= gzip_6_bytes)
    goal(f"peak memory {peak:.0f} MiB, goal {MEMORY_MIB} MiB", peak < MEMORY_MIB)


def count(command, environment):
    return int(subprocess.run(shell(f"{command} | wc -c"), env=environment, check=True,
                              stdout=subprocess.PIPE).stdout)


def egress(setting):
    database, store = postgres.temporary(), ceph.temporary(limit_bytes=16 << 30)
    try:
        database.make_database(DATABASE)
        for statement in STATEMENTS:
            database.sql(statement, DATABASE)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as state:
            all_ways, of_database = ways(setting, database, store, state)
            environment = dict(os.environ, **of_database)
            rounds = Rounds(store, sum_of(COPY, environment), environment)
            for number in range(setting.rounds):
                shift = number % len(all_ways)
                for way in all_ways[shift:] + all_ways[:shift]:
                    rounds.do(way, number)
            show(rounds, count(COPY, environment), count(f"{COPY} | gzip -6", environment))
    finally:
        ceph.remove(store)
        postgres.remove(database)
