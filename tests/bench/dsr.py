"""dsr beside the same erasure by hand in DuckDB, over the files that hold a user alone, and over every file of
the range as the seed rewrites it.

The lake is two tables of user dumps, 10 shards and 30 days, 20 million rows. Each run has a copy of
it of its own, of hard links, since nobody here writes into a file that is there."""
import collections
import concurrent.futures
import itertools
import json
import os
import shutil
import statistics
import sys

import dsr_by_hand
from measure import BENCH, ROOT, run, settle

sys.path.insert(0, os.path.join(ROOT, "packaging"))

from sql_engine import Engine, literal  # noqa: E402, from the folder of the quickstart's scripts

SHARDS, DAYS, ROWS_A_FILE, USERS_A_SHARD = 10, 30, 33_333, 200_000  # days of June
ERASED = (1000, 20, 10)  # users of all shards together
HAND_GOAL, SEED_GOAL, MEMORY_MIB = 1.5, 5.0, 1024

# A row for each user who was there that day: every sixth user of the shard. The same rows each time.
USERS_PI = """SELECT user_of({shard}, u) AS id, 'user' || u % 5000 || '@example.com' AS email,
    ['Ada', 'Ben', 'Cleo', 'Dan', 'Eve', 'Finn', 'Gwen'][1 + u % 7] AS first_name,
    'Name ' || hash(u) % 20000 AS last_name, 1940 + CAST(hash(u, 'born') % 70 AS INTEGER) AS born,
    ['US', 'GB', 'IN', 'DE', 'BR', 'FR', 'JP'][1 + CAST(hash(u, 'land') % 7 AS INTEGER)] AS country,
    ['ios', 'android'][1 + u % 2] AS platform, '12.' || hash(u, {day}) % 9 AS app_version,
    TIMESTAMP '2026-06-01' + INTERVAL (hash(u, 'first') % 40000000) SECOND AS first_session,
    TIMESTAMP '2026-06-01' + INTERVAL (hash(u, {day}, 'last') % 86400) SECOND AS last_session,
    CAST(hash(u, {day}, 'count') % 900 AS INTEGER) AS sessions, u % 11 = 0 AS premium,
    (hash(u, 'revenue') % 100000) / 100 AS revenue
    FROM range({users}) AS r(u) WHERE hash(u, {shard}, {day}) % {share} = 0
    ORDER BY hash(u, {day})"""
# Eight rows for each of fewer users.
COHORTS = """SELECT user_of({shard}, u) AS user_id, md5('cohort' || hash(u, n) % 60) AS cohort_id,
    'value ' || hash(u, n, 'value') % 12 AS value,
    TIMESTAMP '2026-06-01' + INTERVAL (hash(u, n, 'at') % 2592000) SECOND AS created_at,
    hash(u, n, 'on') % 2 = 0 AS active
    FROM range({users}) AS r(u), range(8) AS s(n) WHERE hash(u, {shard}, {day}, 'c') % {share} = 0
    ORDER BY hash(u, {day}), n"""
TABLES = (("users_pi", "id", USERS_PI, 1), ("user_cohorts", "user_id", COHORTS, 8))
# Looks like a random UUID.
USER = """CREATE MACRO user_of(shard, u) AS regexp_replace(md5(concat('user ', u, ' of ', shard)),
    '(.{8})(.{4}).(.{3}).(.{3})(.{12})', '\\1-\\2-4\\3-a\\4-\\5')"""

CONFIG = """\
core: {{state: {state}}}
sql: {{embedded: {{engine: duckdb}}}}
plugins:
  dsr:
    config:
      engine: embedded
      markersBaseFolder: {work}/markers
      markersArchiveFolder: {work}/archive
      tempFolder: {work}/temp
      verify: {verify}
      memory_limit: {memory}
      cleanupTables:
        - {{piTable: users_pi, userIdColumn: id, sourceS3Folder: "{work}/lake/users_pi"}}
        - {{piTable: user_cohorts, userIdColumn: user_id, sourceS3Folder: "{work}/lake/user_cohorts"}}
"""


def answer(library, statements):
    engine = Engine(library)
    engine.run(USER)
    return [engine.rows(statement) for statement in statements]


def ask(setting, *statements):
    """The rows of each statement, by a process of its own: what this one has in memory would count for the
    programs that it starts."""
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        return pool.submit(answer, setting.duckdb, statements).result()


def name_of(table, shard, day):
    return f"{table}/shard={shard}/day=2026-06-{day:02}/dump.parquet"


def make_lake(setting, days):
    """The lake, made once and kept in the cache."""
    lake = os.path.join(setting.cache, f"dsr-{days}")
    if os.path.isdir(lake):
        return lake
    print(f"  making {len(TABLES) * SHARDS * days} files of about {ROWS_A_FILE:,} rows in '{lake}' ...",
          flush=True)
    unfinished, statements = lake + ".unfinished", []
    shutil.rmtree(unfinished, ignore_errors=True)
    for shard, day, (table, _, query, rows) in itertools.product(
            range(SHARDS), range(1, days + 1), TABLES):
        path = os.path.join(unfinished, name_of(table, shard, day))
        os.makedirs(os.path.dirname(path))
        query = query.format(shard=shard, day=day, users=USERS_A_SHARD,
                             share=rows * USERS_A_SHARD // ROWS_A_FILE)
        statements.append(f"COPY ({query}) TO {literal(path)} "
                          f"(FORMAT parquet, COMPRESSION {dsr_by_hand.CODEC})")
    ask(setting, *statements)
    os.rename(unfinished, lake)
    return lake


def all_files(days):
    return [(column, name_of(table, shard, day)) for table, column, _, _ in TABLES
            for shard in range(SHARDS) for day in range(1, days + 1)]


class Work:
    """A copy of the lake, the markers of so many users, and the ways to erase them."""

    def __init__(self, setting, lake, days, erased):
        self.setting, self.lake, self.days = setting, lake, days
        self.folder = os.path.join(setting.cache, "dsr-work")
        self.close()
        os.makedirs(self.folder)
        self.memory = setting.memory_limit or f"{MEMORY_MIB}MiB"
        self.users = [[user for (user,) in rows] for rows in ask(setting, *(
            f"SELECT user_of({shard}, u) FROM range({USERS_A_SHARD}) AS r(u) "
            f"ORDER BY hash(u, 'erased') LIMIT {erased // SHARDS}" for shard in range(SHARDS)))]
        self.ids = os.path.join(self.folder, "ids")
        with open(self.ids, "w", encoding="utf-8") as file:
            file.writelines(f"{user}\n" for users in self.users for user in users)
        self.gone = (f"(SELECT id FROM read_csv({literal(self.ids)}, header = false, "
                     "columns = {'id': 'VARCHAR'}))")
        found = self._find()
        self.every = self._list("every", all_files(days))
        self.holding = self._list("holding", [
            (column, name) for column, name in all_files(days) if name in found])

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _find(self):
        """The names of the files that hold a user, by the SQL engine."""
        answers = ask(self.setting, *(
            f"SELECT DISTINCT filename FROM read_parquet('{self.lake}/{table}/**/*.parquet', "
            f"filename = true, hive_partitioning = false) WHERE {column} IN {self.gone}"
            for table, column, _, _ in TABLES))
        return {os.path.relpath(path, self.lake) for rows in answers for (path,) in rows}

    def _list(self, name, files):
        """A list of files for the program that works by hand."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{column}\t{self.folder}/lake/{place}\n" for column, place in files)
        return path

    def restore(self):
        """The lake and the markers as they were, and no state."""
        for name in ("lake", "markers", "archive", "temp", "state"):
            shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)
        shutil.copytree(self.lake, os.path.join(self.folder, "lake"), copy_function=os.link)
        for shard, day in itertools.product(range(SHARDS), {1, self.days}):
            folder = os.path.join(self.folder, "markers", f"shard={shard}", f"day=2026-06-{day:02}")
            os.makedirs(folder)
            for user in self.users[shard]:
                with open(os.path.join(folder, f"_user_{user}_day_2026-07-01"), "wb"):
                    pass
        settle()

    def ours(self, action="cleanup", verify="engine"):
        self.restore()
        config = os.path.join(self.folder, "config.yaml")
        state = os.path.join(self.folder, "state")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(work=self.folder, state=state, verify=verify, memory=self.memory))
        return run([self.setting.binary(), "dsr", action, "--config", config, "-q", "--json"],
                   self.setting.environment(state))

    def by_hand(self, files, sessions=1):
        self.restore()
        return run([sys.executable, "-B", os.path.join(BENCH, "dsr_by_hand.py"), files, self.ids,
                    str(sessions), str(max(1, self.setting.threads // sessions))],
                   dict(os.environ, RUN_CORE_DUCKDB=self.setting.duckdb))

    def outcome(self):
        """Rows of the users, rows of all, and a sum over all values, of each table as it is now."""
        return ask(self.setting, *(
            f"SELECT count(*) FILTER ({column} IN {self.gone}), count(*), sum(hash(f)::HUGEINT) FROM "
            f"read_parquet('{self.folder}/lake/{table}/**/*.parquet', hive_partitioning = false) AS f"
            for table, column, _, _ in TABLES))


def check(what, outcome, right):
    if any(rows[0][0] != "0" for rows in outcome) or outcome != right:
        sys.exit(f"{what} left {outcome}, which should be {right}")


def say(name, runs, base):
    """The median, beside that of the runs of 'base' in the same rounds."""
    ratios = sorted(one.seconds / other.seconds for one, other in zip(base, runs))
    cpu = statistics.median(one.cpu / other.cpu for one, other in zip(base, runs))
    print(f"  {name:<44} {statistics.median(one.seconds for one in runs):8.2f} s   CPU "
          f"{statistics.median(one.cpu for one in runs):8.2f} s   peak "
          f"{max(one.peak_mib for one in runs):7.1f} MiB   ours to it "
          f"{statistics.median(ratios):5.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}), CPU {cpu:.2f}",
          flush=True)
    return statistics.median(ratios)


def verdict(what, value, goal, is_met):
    print(f"  {what}: {value:.2f}; goal {goal}: {'met' if is_met else 'NOT met'}", flush=True)


def measure(work, rounds):
    """In each round all ways take a turn."""
    ways = {
        "run-core dsr": work.ours,
        "the same, verify: values": lambda: work.ours(verify="values"),
        "run-core dsr plan": lambda: work.ours("plan"),
        "by hand, files that hold a user": lambda: work.by_hand(work.holding),
        "the same in two sessions": lambda: work.by_hand(work.holding, 2),
        "by hand, every file of the range": lambda: work.by_hand(work.every),
    }
    runs = {name: [] for name in ways}
    right = None
    for number in range(rounds):
        for name, way in ways.items():
            ran = way()
            runs[name].append(ran)
            print(f"  {number + 1}: {name:<41} {ran.seconds:8.2f} s   CPU {ran.cpu:8.2f} s", flush=True)
            if number or name == "run-core dsr plan":
                continue
            outcome = work.outcome()
            right = right or outcome
            check(name, outcome, right)
    return runs


def dsr(setting):
    days = setting.days or DAYS
    lake = make_lake(setting, days)
    for erased in ERASED:
        work = Work(setting, lake, days, erased)
        runs = measure(work, setting.rounds)
        ours = runs["run-core dsr"]
        counters = collections.Counter(json.loads(ours[0].out.splitlines()[-1])["counters"])
        print(f"  {erased:,} users: {counters['rows_deleted']:,} rows of {counters['files_rewritten']:,} "
              f"files of {counters['files_scanned']:,}, {counters['bytes_rewritten'] / 1e6:,.0f} MB "
              "rewritten")
        ratios = {name: say(name, found, ours) for name, found in runs.items()}
        hand = ratios["by hand, files that hold a user"]
        verdict("ours to by hand", hand, HAND_GOAL, hand <= HAND_GOAL)
        whole = 1 / ratios["by hand, every file of the range"]
        verdict("every file of the range to ours", whole, SEED_GOAL, whole >= SEED_GOAL)
        peak = max(one.peak_mib for one in ours)
        verdict("peak memory, MiB", peak, MEMORY_MIB, peak <= MEMORY_MIB)
        work.close()
