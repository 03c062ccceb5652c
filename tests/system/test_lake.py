"""The aggregator on the quickstart's lake, judged by SQL over the raw events in the engine's official
client, which knows nothing of run-core."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import SOURCE, World

# The partitions are fewer: their files are what takes the time, and say nothing more.
EVENTS, USERS, DAYS, PARTITIONS = 1_200_000, 10_000, 30, 20
LAST_DAY = "2026-03-30"
FIRST_DAY = "2026-03-01"
WINDOWS = {"7d": 7, "30d": 30, "total": 36500}

CONFIG = """
storage:
  datalake: {{bucket: airlytics-datalake-internal-prod, url: "file://{root}/lake"}}
  imports: {{bucket: airlytics-imports-internal, url: "file://{root}/imports"}}
plugins:
  aggregator:
    config:
      tables: {{rawevents: "s3://airlytics-datalake-internal-prod/rawevents/"}}
      sourceEventsTable: rawevents
      historyStartDay: {first}
      targetS3Bucket: airlytics-datalake-internal-prod
      dailyAggregationsS3Path: /ltv/1d/
      secondaryAggregations:
        - {{aggregationWindowDays: 7, targetFolder: /ltv/7d/}}
        - {{aggregationWindowDays: 30, targetFolder: /ltv/30d/}}
        - {{aggregationWindowDays: 36500, targetFolder: /ltv/total/}}
      csvOutputBucket: airlytics-imports-internal
      csvOutputFolder: /ltv/
      csvTablePrefix: users
      importToUserDb: false
"""

# What the outputs have to hold, written from the definition and straight from the events. A value
# counts if it is a whole number; an event counts whatever its value.
TRUTH = """
CREATE VIEW events AS
SELECT userid, CAST(shard AS BIGINT) AS shard, CAST(day AS DATE) AS day, "partition",
       CASE WHEN json_valid(event)
            THEN regexp_extract(event->>'$.attributes.revenue', '^[+-]?[0-9]+$') END AS value
FROM read_parquet('{root}/lake/rawevents/*/*/*.parquet', hive_partitioning = true,
                  hive_types = {{'day': VARCHAR, 'partition': BIGINT}})
WHERE name = 'ad-impression';
CREATE TABLE truth AS
SELECT day, "partition", userid, shard,
       CAST(coalesce(sum(CAST(nullif(value, '') AS HUGEINT)), 0) AS BIGINT) AS revenue,
       count(*) AS cnt
FROM events GROUP BY ALL;
COPY truth TO '{root}/truth.parquet';
"""
TABLES = """
CREATE TABLE truth AS FROM '{root}/truth.parquet';
CREATE TABLE days AS SELECT DISTINCT day FROM truth;
"""


def judge(world, sql):
    process = subprocess.run(
        ["node", str(SOURCE / "tests/support/judge.js")],
        input=sql.format(root=world.root), capture_output=True, text=True,
        env=dict(os.environ), timeout=300, check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def written(folder):
    return f"""SELECT CAST(day AS DATE) AS day, "partition", userid, CAST(shard AS BIGINT) AS shard,
    revenue, cnt FROM read_parquet('{{root}}/lake/ltv/{folder}/*/*/*.parquet',
    hive_partitioning = true, hive_types = {{{{'day': VARCHAR, 'partition': BIGINT}}}})"""


def difference(wanted, found):
    """How many rows there are, and how many only one side has."""
    return TABLES + f"""
    CREATE TABLE wanted AS {wanted};
    CREATE TABLE found AS {found};
    SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM found),
           (SELECT count(*) FROM (FROM wanted EXCEPT ALL FROM found)),
           (SELECT count(*) FROM (FROM found EXCEPT ALL FROM wanted))"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("lake"))
    subprocess.run(
        [str(SOURCE / "packaging/make-lake"), "--events", str(EVENTS), "--users", str(USERS),
         "--days", str(DAYS), "--partitions", str(PARTITIONS), "--end", LAST_DAY,
         "--library", os.environ["RUN_CORE_DUCKDB"], str(world.root / "lake")],
        check=True, capture_output=True, timeout=300,
    )
    world.config(CONFIG.format(root=world.root, first=FIRST_DAY))
    result = world.run("aggregator", "--now", "2026-03-31T12:00:00Z", "--json", timeout=600)
    assert result.status == 0, result.stderr
    judge(world, TRUTH)
    return world


def same(rows):
    [[wanted, found, missing, surplus]] = [[int(n) for n in row] for row in rows]
    assert wanted > 0
    assert (found, missing, surplus) == (wanted, 0, 0)


def test_daily(world):
    same(judge(world, difference('SELECT day, "partition", userid, shard, revenue, cnt FROM truth',
                                 written("1d"))))


@pytest.mark.parametrize("folder", WINDOWS)
def test_window(world, folder):
    wanted = f"""
    SELECT days.day, "partition", userid, shard, CAST(sum(revenue) AS BIGINT), sum(cnt)::BIGINT
    FROM days JOIN truth ON truth.day <= days.day AND truth.day > days.day - {WINDOWS[folder]}
    GROUP BY ALL"""
    same(judge(world, difference(wanted, written(folder))))


def test_csv(world):
    [csv] = Path(world.root, "imports").rglob("*.csv.gz")
    assert csv.name == "users_20260330.csv.gz"
    sums = ", ".join(
        f"CAST(coalesce(sum(revenue) FILTER (day > DATE '{LAST_DAY}' - {days}), 0) AS BIGINT), "
        f"CAST(coalesce(sum(cnt) FILTER (day > DATE '{LAST_DAY}' - {days}), 0) AS BIGINT)"
        for days in (1, *WINDOWS.values())
    )
    types = "{{'userid': 'VARCHAR', 'shard': 'BIGINT'" + "".join(
        f", 'c{i}': 'BIGINT'" for i in range(8)) + "}}"
    same(judge(world, difference(
        f"SELECT userid, shard, {sums} FROM truth GROUP BY userid, shard",
        f"SELECT * FROM read_csv('{csv}', header = false, columns = {types})")))


def test_second_run_has_nothing_to_do(world):
    result = world.run("aggregator", "--now", "2026-03-31T12:00:00Z", "--json")
    assert result.status == 0
    assert [line["text"] for line in result.final["results"]] == [
        f"nothing to do: every day from {FIRST_DAY} to {LAST_DAY} is aggregated"
    ]


def test_no_temporary_file_is_left(world):
    assert [p for p in world.root.rglob("*") if ".rc-tmp" in p.name] == []
    assert list(world.temp.rglob("*")) == []
