"""Trino as the engine of runs, RUN_CORE_TRINO being its folder: statements, rows and loads beside other clients of
it, a further day of the aggregation beside the same by hand, and dsr's search beside that of its own reader.

The server and an S3 server (Ceph's gateway) are started for it, unless they are there, see trino.py. What is
measured with both of two ways takes turns on the same server."""
import collections
import concurrent.futures
import datetime
import http.client
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.parse

import dsr
from measure import BENCH, ROOT, run, settle

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import trino as trino_server  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402
from sql_engine import literal  # noqa: E402, by the path that dsr.py has set

ASKED, ROWS, IDS = 100, 1_000_000, 1_000_000
EVENTS_A_DAY, FULL_EVENTS_A_DAY, DAYS, PARTITIONS = 20_000, 1_000_000, 4, 10
USERS_SHARE, END = 5, datetime.date(2026, 9, 30)  # events a day for each user
WINDOWS = {"3": 3, "total": 36500}  # the first loses a day each day, the other only grows
SHARDS, FILES_A_SHARD, ROWS_A_FILE, ERASED = 10, 200, 2_000, 1_000
BUCKET, PACKAGE = "bench-engines", "trino-client@0.2.9"
AT_ONCE = 8

# Cheap to make, so that it is the way to the client that is measured.
MANY_ROWS = f"""SELECT a * 1000 + b AS id, concat('user ', CAST(b AS varchar)) AS name, a / 7.0E0 AS share
    FROM UNNEST(sequence(0, {ROWS // 1000 - 1})) AS t (a)
    CROSS JOIN UNNEST(sequence(0, 999)) AS u (b)"""

AGGREGATOR = """\
      tables: {{events: "{base}rawevents/"}}
      sourceEventsTable: events
      historyStartDay: {start}
      dailyAggregationsS3Path: {base}ours/1d/
      secondaryAggregations:
{windows}
      csvOutputFolder: {base}ours/csv/
      csvTablePrefix: bench
      importToUserDb: false
"""
WINDOW = "        - {{aggregationWindowDays: {days}, targetFolder: {base}ours/{name}/}}\n"
DSR = """\
      markersBaseFolder: {base}markers
      markersArchiveFolder: {base}archive
      tempFolder: {folder}/temp
      cleanupTables: [{{piTable: users, userIdColumn: id, sourceS3Folder: "{base}users"}}]
"""
USERS_OF_FILE = """SELECT user_of({shard}, u) AS id, 'user' || u || '@example.com' AS email, hash(u) % 900 AS sessions
    FROM range({first}, {first} + {rows}) AS r(u) ORDER BY hash(u)"""


class Bench:
    """The servers, and runs of ours on them."""

    def __init__(self, setting, server, folder):
        self.setting, self.server, self.folder = setting, server, folder
        self.users = itertools.count()
        self.environment = dict(
            AWS_ENDPOINT_URL_S3=server.s3.endpoint, AWS_REGION=server.s3.region,
            AWS_ACCESS_KEY_ID=server.s3.access_key, AWS_SECRET_ACCESS_KEY=server.s3.secret_key)

    def user(self):
        """A name by which the server's list of statements tells one run from the others."""
        return f"bench-{os.getpid()}-{next(self.users)}"

    def statements(self, user):
        return [text for text, in self.server.query(
            f"SELECT query FROM system.runtime.queries WHERE \"user\" = '{user}' ORDER BY created")]

    def ours(self, words, config, base, user="bench", engine="trino", **environment):
        """Runs a plugin, whose own settings are 'config' or, of a short one, a dictionary."""
        state = os.path.join(self.folder, "state")
        path = os.path.join(self.folder, "config.yaml")
        if not isinstance(config, str):
            config = f"      {json.dumps(config)}\n"
        lake = {"engine": "trino", "url": self.server.url, "user": user, "work": f"{base}sessions/",
                "catalog": "hive_s3" if base.startswith("s3:") else "hive", "shares_files": True}
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"core: {{state: {state}}}\n"
                       f"sql: {{lake: {json.dumps(lake if engine == 'trino' else {'engine': engine})}}}\n"
                       f"plugins:\n  {words[0]}:\n    config:\n{config}")
        places = "plugins" if words[0] in ("aggregator", "dsr") else "test-plugins"
        return run([self.setting.binary(), *words, "--config", path, "-q", "--json"],
                   self.setting.environment(state, places, **{**self.environment, **environment}))


def counters(ran):
    return json.loads(ran.out.splitlines()[-1])["counters"]


def say(what, ran, more=""):
    """The medians of some runs."""
    print(f"  {what:<52} {statistics.median(one.seconds for one in ran):8.2f} s   CPU "
          f"{statistics.median(one.cpu for one in ran):6.2f} s   peak "
          f"{max(one.peak_mib for one in ran):6.1f} MiB{more}", flush=True)


def say_statements(what, texts):
    kinds = collections.Counter(" ".join(text.split()[:2]) for text in texts)
    print(f"  {what}: {len(texts)} statements: "
          + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()), flush=True)


def say_ratio(what, ours, other):
    ratios = sorted(one.seconds / two.seconds for one, two in zip(ours, other))
    print(f"  {what}: {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})", flush=True)


# ---- statements, rows, loads -------------------------------------------------------------------

def node(setting):
    """The program by the npm package, or None where that is not to be had."""
    folder = os.path.join(setting.cache, "trino-client")
    os.makedirs(folder, exist_ok=True)
    if not shutil.which("npm"):
        return None
    if not os.path.isdir(os.path.join(folder, "node_modules", "trino-client")) and subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, PACKAGE],
            capture_output=True, check=False).returncode:
        return None
    return shutil.copy(os.path.join(BENCH, "trino_rows.mjs"), folder)


def bare(url, statement):
    """The seconds that the requests of a statement take on a connection that is kept, and how many
    they are. Nothing but where to go on is read of the answers."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
    began, requests = time.perf_counter(), 0
    method, path, body = "POST", "/v1/statement", statement
    while path:
        connection.request(method, path, body, {"X-Trino-User": "bench"})
        following = json.loads(connection.getresponse().read()).get("nextUri")
        path = following and urllib.parse.urlsplit(following).path
        method, body, requests = "GET", None, requests + 1
    connection.close()
    return time.perf_counter() - began, requests


def latency(bench, base):
    def asked(count):
        return bench.ours(["sql"], {"engine": "lake", "statements": ["SELECT 1"] * count}, base).seconds

    program, environment = node(bench.setting), dict(os.environ)
    times = {"run-core, a statement more in a session": [], "bare requests on one connection": [],
             f"{PACKAGE}, a statement more": []}
    ours, other, package = times.values()
    for _ in range(bench.setting.rounds):
        ours.append((asked(1 + ASKED) - asked(1)) / ASKED)
        answers = [bare(bench.server.url, "SELECT 1") for _ in range(ASKED)]
        other.append(statistics.fmean(seconds for seconds, _ in answers))
        if program:
            words = ["node", program, bench.server.url]
            package.append((run([*words, str(1 + ASKED), "SELECT 1"], environment).seconds
                            - run([*words, "1", "SELECT 1"], environment).seconds) / ASKED)
    for name, values in times.items():
        if values:
            print(f"  SELECT 1: {name:<42} {statistics.median(values) * 1000:8.1f} ms   least "
                  f"{min(values) * 1000:8.1f} ms", flush=True)
    print(f"  requests of a statement: {statistics.median(count for _, count in answers)}", flush=True)


def rows(bench, base):
    program = node(bench.setting)
    ours, package = [], []
    for _ in range(bench.setting.rounds):
        ran = bench.ours(["sql"], {"engine": "lake", "statements": [MANY_ROWS]}, base)
        if counters(ran)["rows"] != ROWS:
            sys.exit(f"{counters(ran)} of {ROWS} rows were read")
        ours.append(ran)
        if program:
            package.append(run(["node", program, bench.server.url, "1", MANY_ROWS], dict(os.environ)))
            if int(package[-1].out.split()[0]) != ROWS:
                sys.exit(f"{PACKAGE} read {package[-1].out} of {ROWS} rows")
    for name, ran in (("run-core", ours), (PACKAGE, package)):
        if ran:
            rate = ROWS / statistics.median(one.seconds for one in ran)
            say(f"{ROWS:,} rows of 3 values: {name}", ran, f"   {rate:,.0f} rows/s")
    if package:
        say_ratio("rows, ours to the package", ours, package)


def load(bench, base):
    loads = [bench.ours(["load"], {"engine": "lake", "rows": IDS}, base)
             for _ in range(bench.setting.rounds)]
    rate = IDS / statistics.median(one.seconds for one in loads)
    say(f"{IDS:,} ids loaded and counted", loads, f"   {rate:,.0f} ids/s")


# ---- places ------------------------------------------------------------------------------------

class Disk:
    """A folder of this machine."""

    def __init__(self, folder):
        self.folder, self.base = folder, f"file://{folder}/"

    def names(self, below=""):
        return [os.path.relpath(os.path.join(top, name), self.folder)
                for top, _, names in os.walk(os.path.join(self.folder, below)) for name in names]

    def put(self, source, name):
        os.makedirs(os.path.dirname(os.path.join(self.folder, name)), exist_ok=True)
        shutil.copyfile(source, os.path.join(self.folder, name))

    def copy(self, source, target):
        self.put(os.path.join(self.folder, source), target)

    def remove(self, names):
        """Also the folders that are empty then: nobody writes into one that is there."""
        for name in names:
            path = os.path.join(self.folder, name)
            os.remove(path)
            while not os.listdir(os.path.dirname(path)):
                path = os.path.dirname(path)
                os.rmdir(path)


class Bucket:
    """A bucket of the S3 server."""

    def __init__(self, s3, name):
        self.s3, self.name, self.base = s3, name, f"s3://{name}/"
        self.s3.create_bucket(Bucket=name)

    def names(self, below=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=below)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def put(self, source, name):
        self.s3.upload_file(source, self.name, name)

    def copy(self, source, target):
        self.s3.copy_object(Bucket=self.name, Key=target, CopySource=f"{self.name}/{source}")

    def remove(self, names):
        for name in names:
            self.s3.delete_object(Bucket=self.name, Key=name)

    def close(self):
        self.remove(self.names())
        self.s3.delete_bucket(Bucket=self.name)


def at_once(work, items):
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda item: work(*item), items):
            pass


def upload(folder, place):
    disk = Disk(folder)
    at_once(place.put, [(os.path.join(folder, name), name) for name in disk.names()])


# ---- the aggregator ----------------------------------------------------------------------------

def make_events(setting):
    events = FULL_EVENTS_A_DAY if setting.full else EVENTS_A_DAY
    lake = os.path.join(setting.cache, f"engines-{events}x{DAYS}")
    if not os.path.isdir(os.path.join(lake, "rawevents")):
        print(f"  making {DAYS} days of {events:,} events in '{lake}' ...", flush=True)
        subprocess.run([sys.executable, os.path.join(ROOT, "packaging", "make-lake"), lake,
                        "--events", str(events * DAYS), "--days", str(DAYS),
                        "--users", str(events // USERS_SHARE), "--partitions", str(PARTITIONS),
                        "--end", str(END), "--library", setting.duckdb], check=True)
    return lake


class Days:
    """The output of ours, and that by hand, over the events at a place; without the last day."""

    def __init__(self, bench, place):
        self.bench, self.place = bench, place
        windows = "".join(WINDOW.format(days=days, base=place.base, name=name)
                          for name, days in WINDOWS.items())
        self.config = "      engine: lake\n" + AGGREGATOR.format(
            base=place.base, start=END - datetime.timedelta(days=DAYS - 1), windows=windows.rstrip("\n"))
        self.ours(END - datetime.timedelta(days=1))
        at_once(place.copy, [(name, "hand" + name.removeprefix("ours")) for name in place.names("ours/")
                             if name.endswith(".parquet")])

    def ours(self, day=END, user="bench"):
        settle()
        now = day + datetime.timedelta(days=1)
        return self.bench.ours(["aggregator", "--now", f"{now}T12:00:00Z"], self.config,
                               self.place.base, user)

    def by_hand(self, user="bench"):
        settle()
        catalog = "hive_s3" if self.place.base.startswith("s3:") else "hive"
        return run([sys.executable, "-B", os.path.join(BENCH, "engines_by_hand.py"),
                    self.bench.server.url, catalog, user, self.place.base, f"{self.place.base}hand/",
                    os.path.join(self.bench.folder, "by_hand.csv.gz"), str(END), *WINDOWS],
                   dict(os.environ))

    def forget(self):
        """Brings both back to the day before the last."""
        self.place.remove([name for below in ("ours/", "hand/") for name in self.place.names(below)
                           if f"/day={END}/" in name or name.endswith(f"_{END}")])

    def check_same(self):
        """The comparison is of equals only if the files of both hold the same."""
        catalog = "hive_s3" if self.place.base.startswith("s3:") else "hive"
        with self.bench.server.schema(catalog) as schema:
            ours, hand = (self.sums(catalog, schema, below) for below in ("ours", "hand"))
        if ours != hand:
            sys.exit(f"ours and by hand differ: {ours} and {hand}")
        print(f"  both have {ours[0][0]:,} users in the total, with the same sums", flush=True)

    def sums(self, catalog, schema, below):
        def ask(statement):
            return self.bench.server.query(statement, catalog, schema)
        ask(f"CREATE TABLE {below} (userid varchar, revenue bigint, cnt bigint, partition integer) WITH "
            f"(external_location = '{self.place.base}{below}/total/day={END}', format = 'PARQUET', "
            "partitioned_by = ARRAY['partition'])")
        ask(f"CALL {catalog}.system.sync_partition_metadata('{schema}', '{below}', 'FULL')")
        return ask(f"SELECT count(*), sum(revenue), sum(cnt) FROM {below}")


def a_day(bench, place):
    days = Days(bench, place)
    ours, hand = [], []
    for number in range(bench.setting.rounds):
        users = bench.user(), bench.user()
        ours.append(days.ours(user=users[0]))
        hand.append(days.by_hand(users[1]))
        if number == 0:
            days.check_same()
            for name, user in zip(("run-core", "by hand"), users):
                say_statements(name, bench.statements(user))
        days.forget()
    scheme = place.base.split(":")[0]
    say(f"a further day on {scheme}: run-core", ours)
    say(f"a further day on {scheme}: by hand", hand)
    say_ratio("a day, ours to by hand", ours, hand)


# ---- dsr ---------------------------------------------------------------------------------------

def make_users(setting):
    """Files of users, made once and kept in the cache, and the markers of some of the users."""
    folder = os.path.join(setting.cache, f"engines-users-{SHARDS * FILES_A_SHARD}x{ROWS_A_FILE}")
    if os.path.isdir(folder):
        return folder
    print(f"  making {SHARDS * FILES_A_SHARD:,} files of users in '{folder}' ...", flush=True)
    unfinished, statements = folder + ".unfinished", []
    shutil.rmtree(unfinished, ignore_errors=True)
    for shard, number in itertools.product(range(SHARDS), range(FILES_A_SHARD)):
        day = datetime.date(2026, 1, 1) + datetime.timedelta(days=number)
        path = os.path.join(unfinished, f"users/shard={shard}/day={day}/part-0.parquet")
        os.makedirs(os.path.dirname(path))
        query = USERS_OF_FILE.format(shard=shard, first=number * ROWS_A_FILE, rows=ROWS_A_FILE)
        statements.append(f"COPY ({query}) TO {literal(path)} (FORMAT parquet, COMPRESSION snappy)")
    erased = dsr.ask(setting, *statements, *(
        f"SELECT user_of({shard}, u) FROM range({FILES_A_SHARD * ROWS_A_FILE}) AS r(u) "
        f"ORDER BY hash(u, 'erased') LIMIT {ERASED // SHARDS}" for shard in range(SHARDS)))[-SHARDS:]
    for shard, users in enumerate(erased):
        for day in ("2026-01-01", str(datetime.date(2026, 1, 1) + datetime.timedelta(FILES_A_SHARD - 1))):
            markers = os.path.join(unfinished, f"markers/shard={shard}/day={day}")
            os.makedirs(markers)
            for user, in users:
                with open(os.path.join(markers, f"_user_{user}_day_2026-08-01"), "wb"):
                    pass
    os.rename(unfinished, folder)
    return folder


def plan(bench, place, engine, **more):
    config = f"      engine: lake\n{DSR.format(base=place.base, folder=bench.folder)}"
    return bench.ours(["dsr", "plan"], config, place.base, engine=engine, **more)


def traffic(bench, place, engine):
    """What we ask of the S3 server; the proxy takes its time, so this run is not one that counts."""
    with FaultProxy(bench.server.s3.endpoint) as proxy:
        ran = plan(bench, place, engine, AWS_ENDPOINT_URL_S3=proxy.endpoint)
        size = sum(call.reply_bytes for call in proxy.calls)
        return counters(ran), len(proxy.calls), size


def search(bench, place):
    upload(make_users(bench.setting), place)
    engines = {"trino": [], "duckdb": []}
    for engine, found in engines.items():
        counted, requests, size = traffic(bench, place, engine)
        print(f"  {engine}: {counted['files_to_rewrite']:,} of {counted['files_scanned']:,} files hold "
              f"{counted['users']:,} users; {requests:,} requests of ours to S3, {size / 1e6:,.1f} MB "
              "read", flush=True)
    user = bench.user()
    plan(bench, place, "trino", user=user)
    say_statements("a search", bench.statements(user))
    for _ in range(bench.setting.rounds):
        for engine, found in engines.items():
            found.append(plan(bench, place, engine))
    say("dsr plan: Trino searches", engines["trino"])
    say("dsr plan: its own reader does", engines["duckdb"])
    say_ratio("a search, Trino to its own reader", engines["trino"], engines["duckdb"])


def engines(setting):
    if not trino_server.is_installed():
        print("  RUN_CORE_TRINO names no folder of Trino: not measured")
        return
    folder = os.path.join(setting.cache, "engines-work")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with trino_server.running_with_s3() as server:
        bench = Bench(setting, server, folder)
        disk = Disk(os.path.join(folder, "lake"))
        # Before what this process needs for S3 is in its memory, which would count for its children.
        latency(bench, disk.base)
        rows(bench, disk.base)
        load(bench, disk.base)
        events = make_events(setting)
        upload(events, disk)
        a_day(bench, disk)
        bucket = Bucket(server.s3.s3(), BUCKET)
        try:
            upload(events, bucket)
            a_day(bench, bucket)
            search(bench, bucket)
        finally:
            bucket.close()
    shutil.rmtree(folder)
