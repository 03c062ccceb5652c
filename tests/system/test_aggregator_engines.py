"""The aggregator on SQL engines elsewhere: one history on each of them, with the same rows in the end;
events that are a table of the engine's catalogue; and the tables that it leaves there for others."""

import gzip
import json
import random
import sys
from pathlib import Path

import engines
import pytest
import s3_server
from conftest import World

sys.path.insert(0, str(Path(__file__).parent / "aggregator"))
from duck import Duck  # noqa: E402
from lake import Event, Lake, date_of, now_of, revenue  # noqa: E402
from reference import Reference  # noqa: E402
from test_aggregator import SEED  # noqa: E402

ELSEWHERE = ["trino", "athena"]
DAYS, WINDOWS = 6, (3, 36500)
COLUMNS = "userid, shard, revenue, cnt"


def world_on(engine, root, request):
    root.mkdir()
    world = World(root)
    engines.add(world, request, engine)
    return world


@pytest.fixture
def duck():
    connection = Duck()
    yield connection
    connection.close()


def run(world, day, *words, status=0):
    result = world.run("run", "ltv", "--now", now_of(day), *words, timeout=900)
    assert result.status == status, result.text
    return result


# ---- one history on each engine ----------------------------------------------------------------

SUMS = {}
DOUBLES = {"aggregatedValueType": "double"}
MANY = {
    "values": [
        {"column": "Total", "aggregate": "sum", "type": "decimal(12,3)"},
        {"column": "usable", "aggregate": "count"},
        {"column": "least", "aggregate": "min"},
        {"column": "most", "aggregate": "max", "type": "double"},
        {"column": "mean", "aggregate": "avg", "type": "double"},
        {"column": "kinds", "aggregate": "distinct"},
        {"column": "words", "aggregate": "distinct", "type": "varchar", "path": "$.word"},
        {"column": "last_seen", "aggregate": "max", "type": "date", "path": "$.seen"},
    ],
    "group_by": [{"column": "country", "path": "$.c"},
                 {"column": "paying", "path": "$.p", "type": "boolean"}],
    "filter": [{"path": "$.v", "operator": "at_least", "values": ["0"], "type": "bigint"},
               {"path": "$.seen", "operator": "not_equals", "values": ["2021-02-28"],
                "type": "date"},
               {"path": "$.c", "operator": "not_in", "values": ["it's", "XX"]}],
}
VALUES = ["1", "-5", "250.25", '"17"', "0", "null", '"many"', "{}", "[1]", "true", "1e3", "0.1", "12.5",
          '" 12 "', "99999999999999999999", "9007199254740993", '"NaN"', '"inf"', '""', "1e-7",
          "1.50", "2.5", "-0.5"]
TEXTS = ["{", "", "[]", '{"attributes": 5}', '{"attributes": {}}', "null", "1 2",
         '{"attributes": {"revenue": 1}} x', '{"attributes": {"revenue": 1, "revenue": 2}}']


def random_event(rng, day):
    text = rng.choice(TEXTS)
    if rng.random() < 0.9:
        text = json.dumps({
            "attributes": {"revenue": "VALUE"}, "v": rng.choice([0, 1, -1]),
            "c": rng.choice([None, "US", "ž \"q\" 😀", "it's", ""]), "p": rng.choice([True, False]),
            "word": rng.choice(["a", "ab", "ž", {"x": [1, 2]}]),
            "seen": str(date_of(day - rng.randrange(3))),
        }, ensure_ascii=rng.random() < 0.5).replace('"VALUE"', rng.choice(VALUES))
    return Event(day, rng.randrange(25), text)


def live(world, lake, configuration):
    """Days come one by one and at once, one is empty, late events are taken in."""
    rng = random.Random(11)
    events = {day: [random_event(rng, day) for _ in range(200)] for day in range(DAYS) if day != 3}
    late = [random_event(rng, 1) for _ in range(20)]
    for day in (0, 1):
        lake.add(events[day])
    lake.write_config(WINDOWS, **configuration)
    run(world, 0)
    run(world, 1)
    for day in range(2, DAYS):
        lake.add(events.get(day, []))
    run(world, DAYS - 2)
    lake.add(late, compress=True)
    result = world.run("aggregator", "rebuild", "--job", "ltv", "--now", now_of(DAYS - 2), "--set",
                       f"from={date_of(1)}", "--set", f"to={date_of(1)}", timeout=900)
    assert result.status == 0, result.text
    last = run(world, DAYS - 1, "--json")
    assert last.final["counters"].get("windows_grown", 0) >= (configuration is SUMS)
    assert "nothing to do" in run(world, DAYS - 1).stdout


def rows_of(duck, lake, folder, day):
    """Each row with its values by name; engines elsewhere have names in lower case."""
    files = sorted(folder.glob(f"day={date_of(day)}/partition=*/*.parquet"))
    if not files:
        return []
    names = ", ".join(f"'{name}'" for name in files)
    source = f"read_parquet([{names}], hive_partitioning = true, hive_types_autocast = false)"
    columns = sorted(row[0].lower() for row in duck.query(f"DESCRIBE SELECT * FROM {source}"))
    select = ", ".join(f'"{column}"' for column in columns)
    return [columns] + duck.query(f"SELECT {select} FROM {source} ORDER BY ALL")


def results(duck, lake):
    found = {}
    for folder in sorted(lake.root.glob("out/*")):
        if folder.is_dir():
            for day in range(DAYS):
                found[f"{folder.name} {day}"] = rows_of(duck, lake, folder, day)
    for path in sorted(lake.root.glob("csv/*/*")):
        found[path.name] = [fields(line) for line in gzip.decompress(path.read_bytes())
                            .decode().splitlines()]
    return found


def fields(line):
    """Numbers as such: engines do not write all doubles alike."""
    def value(text):
        try:
            return float(text)
        except ValueError:
            return text
    return [value(text) for text in line.split(",")]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory, request):
    """What the embedded engine makes of it, once for each configuration."""
    known = {}

    def get(configuration):
        key = json.dumps(configuration)
        if key not in known:
            root = tmp_path_factory.mktemp("embedded") / "world"
            world = world_on("duckdb", root, request)
            lake = Lake(world, root / "lake")
            live(world, lake, configuration)
            duck = Duck()
            known[key] = results(duck, lake)
            duck.close()
        return known[key]
    return get


@pytest.mark.parametrize("configuration", [SUMS, DOUBLES, MANY], ids=["sums", "doubles", "many"])
@pytest.mark.parametrize("engine", ELSEWHERE)
def test_one_history_gives_the_same_rows(engine, configuration, wanted, tmp_path, duck, request):
    world = world_on(engine, tmp_path / "world", request)
    lake = Lake(world, world.root / "lake")
    live(world, lake, configuration)
    found, good = results(duck, lake), wanted(configuration)
    assert sorted(found) == sorted(good)
    for name, rows in good.items():
        assert found[name] == rows, name


CHANGING = {**MANY, "values": [
    *MANY["values"],
    {"column": "shares", "aggregate": "distinct", "type": "double"},
    {"column": "times", "aggregate": "distinct", "type": "timestamp", "path": "$.seen"}]}


@pytest.mark.parametrize("engine", ELSEWHERE)
def test_the_engine_may_change_in_the_middle_of_a_history(engine, tmp_path, duck, request):
    rng = random.Random(5)
    events = [[random_event(rng, day) for _ in range(100)] for day in range(4)]
    found = []
    for which in ("duckdb", engine):
        world = world_on(which, tmp_path / which, request)
        lake = Lake(world, world.root / "lake")
        for day, one in enumerate(events):
            lake.add(one)
            here = which == "duckdb" or day % 2 == 0
            lake.write_config(WINDOWS, engine="duckdb" if here else "lake", **CHANGING)
            run(world, day)
        found.append(results(duck, lake))
    assert sorted(found[0]) == sorted(found[1])
    for name, rows in found[0].items():
        if not name.split()[0].endswith("_values"):  # those are texts, each engine's own
            assert found[1][name] == rows, name


# ---- events and results in the engine's catalogue ----------------------------------------------


class OnTrino:
    """The catalogue as others see it, who know nothing of run-core."""

    def __init__(self, world, request):
        self.trino = request.getfixturevalue("trino")

    def make_database(self, name):
        self.query(f"CREATE SCHEMA {name}")

    def make_source(self, name, lake):
        self.query(f"""
            CREATE TABLE {name} (userid varchar, shard bigint, event varchar, name varchar,
                                 day varchar, partition varchar)
            WITH (external_location = 'file://{lake.place("events")}', format = 'JSON',
                  partitioned_by = ARRAY['day', 'partition'])""")
        self.find_days(name)

    def find_days(self, name):
        database, table = name.split(".")
        self.query(f"CALL system.sync_partition_metadata('{database}', '{table}', 'FULL')")

    def query(self, sql):
        return [tuple(map(str, row)) for row in self.trino.query(sql, "hive")]


class OnAthena:
    def __init__(self, world, request):
        self.world, standin = world, request.getfixturevalue("athena_trino")
        self.client = s3_server.session().client(
            "athena", endpoint_url=standin.endpoint, region_name=standin.REGION,
            aws_access_key_id=standin.ACCESS_KEY, aws_secret_access_key=standin.SECRET_KEY)

    def make_database(self, name):
        self.query(f"CREATE DATABASE {name}")

    def make_source(self, name, lake):
        lake.world.mirror.push()
        self.query(f"""
            CREATE EXTERNAL TABLE {name} (userid string, shard bigint, event string, name string)
            PARTITIONED BY (day string, `partition` string)
            ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
            LOCATION '{lake.place("events")}/'""")
        self.find_days(name)

    def find_days(self, name):
        self.world.mirror.push()
        self.query(f"MSCK REPAIR TABLE {name}")

    def query(self, sql):
        location = f"s3://{self.world.mirror.bucket}/asked/"
        query = self.client.start_query_execution(
            QueryString=sql, ResultConfiguration={"OutputLocation": location})["QueryExecutionId"]
        while True:
            status = self.client.get_query_execution(
                QueryExecutionId=query)["QueryExecution"]["Status"]
            if status["State"] not in ("QUEUED", "RUNNING"):
                break
        assert status["State"] == "SUCCEEDED", status
        if not sql.startswith("SELECT"):
            return []
        result = self.client.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
        return [tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in result[1:]]


@pytest.fixture(params=ELSEWHERE)
def world(request, tmp_path):
    return world_on(request.param, tmp_path / "world", request)


@pytest.fixture
def catalogue(world, request):
    return (OnAthena if world.mirror else OnTrino)(world, request)


@pytest.fixture
def lake(world):
    return Lake(world, world.root / "lake")


@pytest.fixture
def database(catalogue):
    """A new one, for events and for results."""
    name = f"of_tests_{random.SystemRandom().randrange(1 << 40):x}"
    catalogue.make_database(name)
    return name


def in_catalogue(database, **options):
    """The seed's configuration: no location is told of the events."""
    return {"tables": None, "sourceAthenaDb": database, "destAthenaDb": database, **options}


def select(table, more=""):
    return f'SELECT {COLUMNS}, "partition" FROM {table} {more} ORDER BY {COLUMNS}, "partition"'


def test_events_may_be_a_table_of_the_catalogue(world, lake, catalogue, database, duck):
    lake.add([Event(day, user, revenue(user + day)) for day in range(3) for user in range(5)])
    lake.add([Event(3, user, revenue(1)) for user in (0, 1)])
    catalogue.make_source(f"{database}.rawevents", lake)
    lake.write_config(WINDOWS, **in_catalogue(database, checkDataForLastDay=True,
                                              expected_partitions=3))
    result = run(world, 3, status=3)
    assert f"the events of {date_of(3)} are not complete: 2 of 3 partitions are there" in result.text
    lake.add([Event(3, 2, revenue(9))])
    catalogue.find_days(f"{database}.rawevents")
    run(world, 3)
    reference = Reference(lake.events)
    for day in range(4):
        found = duck.parquet(lake.root / f"out/1d/day={date_of(day)}", COLUMNS)
        assert found == reference.rows(day, day)
        found = duck.parquet(lake.root / f"out/total/day={date_of(day)}", COLUMNS)
        assert found == reference.rows(0, day)


@pytest.mark.parametrize("named", ["by the job", "by the engine"])
def test_events_may_be_a_table_of_iceberg(tmp_path, request, duck, named):
    """Its catalogue is named with the database, or that of the engine; results are files, in the
    engine's catalogue of such tables."""
    world = world_on("trino", tmp_path / "world", request)
    lake, catalogue = Lake(world, world.root / "lake"), OnTrino(world, request)
    name = f"of_tests_{random.SystemRandom().randrange(1 << 40):x}"
    lake.add([Event(day, user, revenue(user + day)) for day in range(2) for user in range(5)])
    for database in (name, f"iceberg.{name}"):
        catalogue.make_database(database)
    catalogue.make_source(f"{name}.rawevents", lake)
    catalogue.query(f"CREATE TABLE iceberg.{name}.rawevents WITH (partitioning = ARRAY['day']) "
                    f"AS SELECT * FROM {name}.rawevents")
    catalogue.query(f"DROP TABLE {name}.rawevents")
    source = f"iceberg.{name}"
    if named == "by the engine":
        engines.change(world, catalog="iceberg", work_catalog="hive")
        source = name
    lake.write_config(WINDOWS, **in_catalogue(name, sourceAthenaDb=source,
                                              checkDataForLastDay=True, expected_partitions=3))
    run(world, 1)
    for day in range(2):
        found = duck.parquet(lake.root / f"out/1d/day={date_of(day)}", COLUMNS)
        assert found == Reference(lake.events).rows(day, day)
    assert catalogue.query(select(f"{name}.ltv_36500")) == Reference(lake.events).rows(0, 1)


def test_tables_are_left_for_others(world, lake, catalogue, database):
    lake.add([Event(day, user, revenue(user + day)) for day in range(3) for user in range(5)])
    lake.write_config(WINDOWS, destAthenaDb=database)
    run(world, 1)
    reference = Reference(lake.events)

    def check(newest):
        for day in range(newest + 1):
            assert catalogue.query(select(f"{database}.ltv_1d", f"WHERE \"day\" = '{date_of(day)}'")) \
                == reference.rows(day, day)
        assert catalogue.query(f"SELECT count(DISTINCT \"day\") FROM {database}.ltv_1d") == \
            [(str(newest + 1),)]
        assert catalogue.query(select(f"{database}.ltv_36500")) == reference.rows(0, newest)
        assert catalogue.query(select(f"{database}.ltv_3")) == reference.rows(newest - 2, newest)
    check(1)
    run(world, 2)
    check(2)
    assert "tables" not in run(world, 2, "--json").final["counters"]
    (lake.root / "out/1d/_TABLES").unlink()
    result = run(world, 2, "--json")
    assert (result.final["counters"]["tables"], result.final["counters"]["steps"]) == (3, 1)
    check(2)


def left_by_sessions(world, catalogue):
    """Files in the work folder, and names in the catalogue."""
    if world.mirror:
        files = {item["Key"] for item in world.mirror.s3.list_objects_v2(
            Bucket=world.mirror.bucket, Prefix="sessions/").get("Contents", [])}
        return files | set(catalogue.query("SELECT table_name FROM information_schema.tables "
                                           "WHERE substr(table_name, 1, 3) = 'rc_'"))
    files = {path for path in (world.root / "sessions").rglob("*") if path.is_file()}
    return files | {row for row in catalogue.query("SHOW SCHEMAS") if row[0].startswith("rc_")}


def test_nothing_of_a_session_stays(world, lake, catalogue, database):
    lake.add([Event(day, user, revenue(user)) for day in range(2) for user in range(5)])
    lake.write_config(WINDOWS, destAthenaDb=database)
    before = left_by_sessions(world, catalogue)
    run(world, 1)
    assert left_by_sessions(world, catalogue) - before == set()


def test_a_dry_run_leaves_nothing(world, lake, catalogue, database):
    lake.add([Event(0, 1, revenue(5))])
    lake.write_config(WINDOWS, destAthenaDb=database)
    result = run(world, 0, "--dry-run")
    for what in ("would do daily:", "would do window:", "would do tables: 3 in", "would do csv:"):
        assert what in result.stdout
    assert lake.tree() == {}
    assert catalogue.query(f"SELECT table_name FROM information_schema.tables "
                           f"WHERE table_schema = '{database}'") == []


def test_a_database_that_is_not_there_is_named(world, lake):
    lake.add([Event(0, 1, revenue(5))])
    lake.write_config(WINDOWS, destAthenaDb="nowhere")
    assert "nowhere" in run(world, 0, status=1).text
    lake.write_config(WINDOWS, **in_catalogue("nowhere"))
    assert "nowhere" in run(world, 1, status=1).text


def test_what_the_engine_does_not_reach_is_an_error_of_the_configuration(world, lake):
    # Trino has Google Cloud Storage, too; and files here, as it is told that it shares them.
    place = "gs://bucket/events/" if world.mirror else "https://example.org/events/"
    lake.write_config(WINDOWS, tables={"rawevents": place})
    for words in (("check",), ("run", "ltv", "--now", now_of(0))):
        result = world.run(*words)
        assert result.status == 2, result.stderr
        assert f"does not reach '{place}', where sourceEventsTable lies" in result.stderr
    lake.write_config(WINDOWS)
    assert world.run("check").status == 0


def test_the_seeds_json_runs_on_athena_as_it_stands(tmp_path, request, duck):
    """But for the engine: where Athena is and leaves its results, the JSON says."""
    world = world_on("athena", tmp_path / "world", request)
    lake, athena = Lake(world, world.root / "lake"), OnAthena(world, request)
    database = f"of_tests_{random.SystemRandom().randrange(1 << 40):x}"
    athena.make_database(database)
    lake.add([Event(day, user, revenue(user)) for day in range(2) for user in range(3)])
    athena.make_source(f"{database}.{SEED['sourceEventsTable']}", lake)
    seed = dict(SEED, sourceAthenaDb=database, destAthenaDb=database, importToUserDb=False)
    (world.root / "ltv.json").write_text(json.dumps(seed))
    buckets = [seed["targetS3Bucket"], seed["csvOutputBucket"], seed["athenaResultsOutputBucket"]]
    standin = request.getfixturevalue("athena_trino")
    assert standin.REGION == seed["athenaRegion"]
    world.config(json.dumps({
        "storage": {f"b{i}": {"bucket": name, "url": lake.place(name)}
                    for i, name in enumerate(buckets)},
        "sql": {"athena": {"engine": "athena", "endpoint": standin.endpoint,
                           "access_key_id": standin.ACCESS_KEY,
                           "secret_access_key": standin.SECRET_KEY, "starts_per_second": 100}},
        "jobs": {"ltv": {"plugin": "aggregator", "config_file": str(world.root / "ltv.json"),
                         "config": {"engine": "athena", "expected_partitions": 3}}}}),
        "engine.yaml")
    run(world, 1)
    folder = lake.root / buckets[0] / "aggregations/ltv/HelloWorld"
    assert duck.parquet(folder / f"total/day={date_of(1)}", COLUMNS) == \
        Reference(lake.events).rows(0, 1)
    found = athena.query(select(f"{database}.{seed['secondaryAggregations'][3]['targetTable']}"))
    assert found == Reference(lake.events).rows(0, 1)
    [csv] = (lake.root / buckets[1]).rglob("*.csv.gz")
    assert gzip.decompress(csv.read_bytes()).decode().splitlines()[2] == \
        "user-002,2" + ",2,1" + ",4,2" * 4
