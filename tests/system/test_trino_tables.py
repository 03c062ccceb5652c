"""The tables of a session on SQL engines elsewhere: on Trino over local files and over buckets, and on
Athena's stand-in, which hands the SQL to Trino. What a session leaves, and what a killed one has left."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trino as trino_server
from conftest import PATIENCE_S, World

sys.path.insert(0, str(Path(__file__).parent / "aggregator"))
from duck import Duck  # noqa: E402

pytestmark = pytest.mark.skipif(not trino_server.is_installed(), reason="Trino is not there")

COLUMNS = "id bigint, name varchar"
BY_DAY = "day date, part integer"


class Place:
    """One of the engines, a database for published tables, and a place for files that it reads."""

    def __init__(self, kind, world, request):
        self.kind, self.world = kind, world
        self.trino = request.getfixturevalue("trino")
        self.s3 = self.bucket = None
        if kind != "trino":
            self.s3, self.bucket = self.trino.s3.s3(), request.getfixturevalue("bucket")
            server = self.trino.s3
            world.environment.update(
                AWS_ENDPOINT_URL_S3=server.endpoint, AWS_REGION=server.region,
                AWS_ACCESS_KEY_ID=server.access_key, AWS_SECRET_ACCESS_KEY=server.secret_key)
        self.root = f"s3://{self.bucket}" if self.bucket else f"file://{world.root}/lake"
        self.catalog = {"trino": "hive", "athena": "hive_nested"}.get(kind, "hive_s3")
        world.config(self.engine(request), "engine.yaml")

    def engine(self, request):
        if self.kind == "athena":
            athena = request.getfixturevalue("athena_trino")
            return f"""
sql:
  lake:
    engine: athena
    endpoint: {athena.endpoint}
    region: {athena.REGION}
    access_key_id: {athena.ACCESS_KEY}
    secret_access_key: {athena.SECRET_KEY}
    starts_per_second: 100
    reads_per_second: 1000
    results: {self.root}/results/
    work: {self.root}/work/
"""
        return f"""
sql:
  lake:
    engine: trino
    url: {self.trino.url}
    user: tests
    catalog: {self.catalog}
    work: {self.root}/work/
    shares_files: {str(not self.bucket).lower()}
"""

    # ---- files ---------------------------------------------------------------------------------

    def put(self, name, data):
        if self.bucket:
            self.s3.put_object(Bucket=self.bucket, Key=name, Body=data)
            return
        path = self.world.root / "lake" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def names(self, folder=""):
        if self.bucket:
            found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=folder)
            return sorted(item["Key"] for item in found.get("Contents", []))
        root = self.world.root / "lake"
        return sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*")
                      if path.is_file())

    def parquet(self, duck, name, query):
        path = self.world.root / "made.parquet"
        duck.query(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        self.put(name, path.read_bytes())

    # ---- runs ----------------------------------------------------------------------------------

    def configure(self, steps, job="t"):
        lines = "\n".join("      - '" + step.format(root=self.root).replace("'", "''") + "'"
                          for step in steps)
        self.world.config(f"jobs:\n  {job}:\n    plugin: catalogue\n    config:\n      steps:\n"
                          + "\n".join("  " + line for line in lines.split("\n")), f"{job}.yaml")

    def do(self, *steps, status=0):
        """The rows that were asked for, and what else the steps said."""
        self.configure(steps)
        result = self.world.run("run", "t", timeout=300)
        assert result.status == status, result.text
        said = [line for line in result.text.splitlines()
                if line.startswith(("row: ", "made: ", "failed: "))]
        return [line.removeprefix("row: ") for line in said]

    def left(self):
        """What sessions have left."""
        schemas = [name for (name,) in self.trino.query("SHOW SCHEMAS", self.catalog)
                   if name.startswith("rc_")]
        tables = [name for (name,) in self.trino.query("SHOW TABLES", self.catalog, "default")
                  if name.startswith("rc_")] if self.kind == "athena" else []
        return schemas, tables, self.names("work/")


@pytest.fixture
def duck():
    connection = Duck()
    yield connection
    connection.close()


@pytest.fixture(params=["trino", "trino_s3", "athena"])
def place(request, tmp_path):
    (tmp_path / "lake").mkdir()
    made = Place(request.param, World(tmp_path), request)
    yield made
    assert made.left() == ([], [], [])


def events(place, duck, days, folder="events", parts=2):
    for day in days:
        for part in range(parts):
            place.parquet(duck, f"{folder}/day={day}/part={part}/a.parquet",
                          f"SELECT {part} AS id, 'n{day}' AS name")


# ---- files -------------------------------------------------------------------------------------

def test_folders_of_days(place, duck):
    days = [f"2026-01-{day:02}" for day in range(1, 8)]
    events(place, duck, days)
    place.put("events/_SUCCESS", b"")
    place.put("events/day=2026-01-01/_hidden/x.parquet", b"no data")
    few = ", ".join(f"{place.root}/events/day={day}/" for day in days[1:3])
    many = ", ".join(f"{place.root}/events/day={day}/" for day in days[1:5])
    gaps = ", ".join(f"{place.root}/events/day={day}/" for day in days[::2])
    ask = ("query | SELECT min(day), max(day), count(*), sum(part), min(name) FROM {{{}}}"
           .format("t").replace("{t}", "{{t}}"))
    assert place.do(
        f"attach | t | {few} | {COLUMNS} | {BY_DAY}", ask,
        f"attach | t | {many} | {COLUMNS} | {BY_DAY}", ask,
        f"attach | t | {gaps} | {COLUMNS} | day varchar, part integer", ask,
        f"attach | t | {{root}}/events/ | {COLUMNS} | part integer, day varchar", ask,
        f"attach | t | {{root}}/events/day=2026-01-03/part=1/ | {COLUMNS} | {BY_DAY}", ask,
        f"attach | t | {{root}}/none/ | {COLUMNS} | {BY_DAY}", ask,
    ) == [
        "2026-01-02|2026-01-03|4|2|n2026-01-02",
        "2026-01-02|2026-01-05|8|4|n2026-01-02",
        "2026-01-01|2026-01-07|8|4|n2026-01-01",
        "2026-01-01|2026-01-07|14|7|n2026-01-01",
        "2026-01-03|2026-01-03|1|1|n2026-01-03",
        "NULL|NULL|0|NULL|NULL",
    ]


def test_columns_and_order(place, duck):
    """SELECT * gives what was declared, and what a file lacks is NULL."""
    place.parquet(duck, "a/k=x/a.parquet", "SELECT 1 AS id, 2 AS other")
    place.parquet(duck, "a/k=y/a.parquet", "SELECT 'n' AS name, 2 AS id")
    assert place.do(f"attach | t | {{root}}/a/ | {COLUMNS} | k varchar",
                    "query | SELECT * FROM {{t}} ORDER BY id") == ["1|NULL|x", "2|n|y"]


def test_nested_folders_and_formats(place, duck):
    place.parquet(duck, "t/a.parquet", "SELECT 1 AS id, 'flat' AS name")
    place.parquet(duck, "t/deep/er/b.parquet", "SELECT 2 AS id, 'nested' AS name")
    place.put("u/c.jsonl", b'{"id": 3, "name": {"x": [1, "y"]}}\n\n{"name": "no id"}\n'
                           b'{"id": "4", "name": 1.5, "more": true}\n')
    assert place.do(f"attach | t | {{root}}/t/, {{root}}/u/ | {COLUMNS}",
                    "query | SELECT id, name FROM {{t}} ORDER BY name, id") == [
        "4|1.5", "1|flat", "2|nested", "NULL|no id", '3|{"x":[1,"y"]}']
    place.put("u/c.jsonl", b'{"id": 3}\n{"id": \n')
    (said,) = place.do(f"attach | t | {{root}}/u/ | {COLUMNS}",
                       "try query | SELECT count(name) FROM {{t}}")
    assert said.startswith("failed: ")
    place.put("u/c.jsonl", b'{"id": "three"}\n')
    (said,) = place.do(f"attach | t | {{root}}/u/ | {COLUMNS}",
                       "try query | SELECT max(id) FROM {{t}}")
    assert said.startswith("failed: ")


def test_no_file_is_read_twice(place, duck, request):
    """Also where the server's administrator has it read folders within folders."""
    if place.kind == "trino_s3":
        place.catalog = "hive_nested"
        place.world.config(place.engine(request), "engine.yaml")
    place.parquet(duck, "t/a.parquet", "SELECT 1 AS id, 'flat' AS name")
    place.parquet(duck, "t/deep/er/b.parquet", "SELECT 2 AS id, 'nested' AS name")
    events(place, duck, [f"2026-01-0{day}" for day in range(1, 6)])
    place.parquet(duck, "events/day=2026-01-06/part=0/x/b.parquet", "SELECT 6 AS id, 'x' AS name")
    place.parquet(duck, "events/day=2026-01-02/part=0/x/b.parquet", "SELECT 7 AS id, 'x' AS name")
    ask = "query | SELECT count(*), sum(id) FROM {{t}}"
    assert place.do(f"attach | t | {{root}}/t/ | {COLUMNS}", ask,
                    f"attach | t | {{root}}/events/ | {COLUMNS} | {BY_DAY}", ask,
                    ) == ["2|3", "12|18"]
    found = place.do(f"attach | t | {{root}}/events/ | {COLUMNS} | {BY_DAY}", "search | t | id = 7")
    assert len(found) == 12
    assert [row.split("|")[1:] for row in sorted(found) if "/x/" in row] == [["1", "1"], ["1", "0"]]


def test_values_of_keys(place, duck):
    values = {"plain": "plain", "it's": "it's", "a%20b%2Fc": "a b/c", "7": "7",
              "__HIVE_DEFAULT_PARTITION__": "NULL", "ž": "ž"}
    encoded = {"%C5%BE": "ž", "50%25": "50%", "100%": "100%", "a b": "a b"}
    for number, value in enumerate(values):
        place.parquet(duck, f"t/k={value}/a.parquet", f"SELECT {number} AS id, 'x' AS name")
        if value != "ž":
            place.parquet(duck, f"u/k={value}/a.parquet", f"SELECT {number} AS id, 'x' AS name")
    expected = [f"{number}|{text}" for number, text in enumerate(values.values())]
    assert place.do(f"attach | t | {{root}}/t/ | {COLUMNS} | k varchar",
                    "query | SELECT id, k FROM {{t}} ORDER BY id",
                    f"attach | t | {{root}}/u/ | {COLUMNS} | k varchar",
                    "query | SELECT id, k FROM {{t}} ORDER BY id",
                    ) == expected + expected[:-1]
    for number, value in enumerate(encoded):
        place.parquet(duck, f"v/k={value}/a.parquet", f"SELECT {number} AS id, 'x' AS name")
    few = ", ".join(f"{place.root}/v/k={value}/" for value in list(encoded)[:3])
    assert place.do(f"attach | t | {{root}}/v/ | {COLUMNS} | k varchar",
                    "query | SELECT id, k FROM {{t}} ORDER BY id",
                    f"attach | t | {few} | {COLUMNS} | k varchar",
                    "query | SELECT id FROM {{t}} WHERE k IN ('ž', '50%', '100%') ORDER BY id",
                    ) == [f"{number}|{text}" for number, text in enumerate(encoded.values())] + [
                        "0", "1", "2"]


def test_what_is_refused(place):
    place.put("csv/a.csv", b"1,x\n")
    place.put("text/a.txt", b"1,x\n")
    said = place.do(f"try attach | t | {{root}}/csv/ | {COLUMNS}",
                    f"try attach | t | {{root}}/text/ | {COLUMNS}",
                    f"try attach | t | gs://elsewhere/t/ | {COLUMNS}",
                    "try refer | r | no_such_database | t",
                    f"try publish | no_such_database | t | {{root}}/none/ | {COLUMNS}",
                    "try query | SELECT * FROM no_such_table")
    assert [line.split(": ")[1] for line in said[:2]] == ["unsupported", "invalid"]
    assert [line.split(": ")[1] for line in said[3:5]] == ["not_found", "not_found"]
    assert len(said) == 6


# ---- tables ------------------------------------------------------------------------------------

def test_made_tables(place, duck):
    events(place, duck, ["2026-01-01", "2026-01-02", "2026-01-03"])
    assert place.do(
        f"attach | events | {{root}}/events/ | {COLUMNS} | {BY_DAY}",
        "make | d | SELECT day, count(*) AS n, sum(id) AS s FROM {{events}} GROUP BY day",
        "query | SELECT * FROM {{d}} ORDER BY day",
        "make | d | SELECT * FROM {{d}} AS a WHERE day > DATE '2026-01-02'",
        "query | SELECT n FROM {{d}}",
        "make | none | SELECT * FROM {{d}} AS a WHERE n < 0",
        "query | SELECT count(*) FROM {{none}}",
        "drop | d",
        "drop | d",
        "query | SELECT count(*) FROM {{none}}",
    ) == ["made: 3", "2026-01-01|2|1", "2026-01-02|2|1", "2026-01-03|2|1", "made: 1", "2",
          "made: 0", "0", "0"]
    assert len(place.names("events/")) == 6


def test_loaded_tables(place):
    ask = ("query | SELECT count(*), count(\"Text\"), sum(n), sum(half), count_if(odd), max(\"Text\") "
           "FROM {{t}}")
    assert place.do("load | t | 0", ask, "load | t | 9", ask, "load | t | 100000", ask,
                    "query | SELECT * FROM {{t}} AS x WHERE n IN (7, 8) ORDER BY n") == [
        "0|0|NULL|NULL|0|NULL", '9|7|36|18|4|row "8"',
        '100000|85714|4999950000|2.49998e+09|50000|row "99999"',
        "7|NULL|3.5|true", '8|row "8"|4|false']


def test_published_tables(place, duck):
    events(place, duck, ["2026-01-01", "2026-01-02"])
    with place.trino.schema(place.catalog) as database:
        publish = (f"publish | {database} | Daily | {{root}}/events/ | {COLUMNS} | "
                   "day varchar, part integer")
        count = f"query | SELECT count(*), max(day) FROM {{{{r}}}}"
        assert place.do(publish, f"refer | r | {database} | daily", count) == ["4|2026-01-02"]
        events(place, duck, ["2026-01-03"])
        assert place.do(publish, f"refer | r | {database} | Daily", count) == ["6|2026-01-03"]
        assert place.do(publish.replace("id bigint, ", ""),
                        f"query | SELECT * FROM {database}.daily WHERE part = 0 AND "
                        "day = '2026-01-03'") == ["n2026-01-03|2026-01-03|0"]
        # What holds its data itself is not replaced; Athena has no such tables.
        others = ["seen"] if place.kind == "athena" else ["seen", "mine"]
        place.trino.query("CREATE TABLE mine AS SELECT 1 AS x", place.catalog, database)
        place.trino.query("CREATE VIEW seen AS SELECT 1 AS x", place.catalog, database)
        said = place.do(*("try " + publish.replace("Daily", name) for name in others))
        place.trino.query("DROP VIEW seen", place.catalog, database)
        assert [line.split(": ")[1] for line in said] == ["conflict"] * len(others)
        assert place.trino.query("SELECT * FROM mine", place.catalog, database) == [[1]]
        if place.kind == "athena":
            place.do(f"exec | DROP TABLE `{database}`.`daily`")
    assert len(place.names("events/")) == 6  # they are not the table's


def test_search(place, duck):
    events(place, duck, ["2026-01-01", "2026-01-02"])
    place.put("events/day=2026-01-01/part=0/bad.parquet", b"This is no Parquet.")
    uris = f"{place.root}/events/day=2026-01-01/, {place.root}/events/day=2026-01-02/"
    bad = f"{place.root}/events/day=2026-01-01/part=0/bad.parquet"
    found = place.do(f"attach | t | {uris} | {COLUMNS} | day varchar, part integer",
                     f"search | t | id = 1 | {bad}")
    assert sorted(found) == [f"{place.root}/events/day=2026-01-0{day}/part={part}/a.parquet|1|{part}"
                             for day in (1, 2) for part in (0, 1)]


# ---- what is left ------------------------------------------------------------------------------

def start(place, job, *steps):
    """A run that does the steps, and waits."""
    place.configure([*steps, "wait | 60000"], job)
    process = place.world.start("run", job, stderr=subprocess.PIPE)
    for line in process.stderr:
        if b"waiting" in line:
            return process
    raise AssertionError("it never waited")


STEPS = ["make | m | SELECT 1 AS x", "load | l | 10"]


def test_a_run_that_is_to_stop_leaves_nothing(place):
    process = start(place, "t", *STEPS)
    assert place.left() != ([], [], [])
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode not in (0, -signal.SIGKILL)


def test_a_killed_run_is_tidied_up_after(place):
    """But not a run that is still alive."""
    killed, alive = start(place, "killed", *STEPS), start(place, "alive", *STEPS)
    before = place.left()
    assert len([name for name in before[2] if name.endswith("/_session")]) == 2
    os.killpg(killed.pid, signal.SIGKILL) if os.getpgid(killed.pid) == killed.pid else killed.kill()
    killed.communicate()
    until = time.monotonic() + 120
    while True:
        place.do("make | m | SELECT 2 AS x")
        marks = [name for name in place.left()[2] if name.endswith("/_session")]
        if len(marks) == 1 or time.monotonic() > until:
            break
        time.sleep(1)
    assert len(marks) == 1
    assert alive.poll() is None
    alive.send_signal(signal.SIGTERM)
    alive.communicate(timeout=PATIENCE_S)


def test_nothing_is_made_by_a_dry_run(place, duck):
    events(place, duck, ["2026-01-01"])
    place.configure([f"attach | t | {{root}}/events/ | {COLUMNS} | {BY_DAY}",
                     "make | m | SELECT * FROM {{t}}", "load | l | 10",
                     f"publish | default | p | {{root}}/events/ | {COLUMNS} | {BY_DAY}",
                     "query | SELECT count(*) FROM {{m}}"])
    result = place.world.run("run", "t", "--dry-run")
    assert result.status == 0, result.text
    assert len(place.names()) == 2
