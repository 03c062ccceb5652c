"""What the aggregator computes and how it behaves, over small lakes that are written by hand. The
tests named test_not_... are the seed's faults, by the numbers of the specification. They run on other
SQL engines too, see engines.py: there the same rows make other files."""

import csv
import gzip
import io
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "aggregator"))
from duck import Duck  # noqa: E402
from engines import ON_DUCKDB  # noqa: E402
from lake import EPOCH, Event, Lake, date_of, now_of, revenue  # noqa: E402
from reference import Reference  # noqa: E402

COLUMNS = "userid, shard, revenue, cnt"


@pytest.fixture
def lake(world, tmp_path):
    return Lake(world, tmp_path / "lake")


@pytest.fixture
def duck():
    connection = Duck()
    yield connection
    connection.close()


def run(world, day, *words, status=0):
    result = world.run("run", "ltv", "--now", now_of(day), *words)
    assert result.status == status, result.text
    return result


def rows(duck, lake, window, day, columns=COLUMNS):
    folder = lake.root / "out/1d" if window == 1 else lake.folder(window)
    return duck.parquet(folder / f"day={date_of(day)}", columns)


def sums(duck, lake, window, day):
    """{user: (sum, count)} of an output."""
    return {row[0]: (int(row[2]), int(row[3])) for row in rows(duck, lake, window, day)}


def csv_lines(lake, day):
    return gzip.decompress(lake.csv_path(day).read_bytes()).decode().splitlines()


# ---- what is computed --------------------------------------------------------------------------


def test_sums_by_user_and_day(world, lake, duck):
    lake.add([Event(0, 1, revenue(5)), Event(0, 1, revenue(-2)), Event(0, 2, revenue(7)),
              Event(0, 2, revenue(100), name="session-start"), Event(1, 1, revenue(1))])
    lake.write_config()
    run(world, 1)
    assert rows(duck, lake, 1, 0) == [("user-001", "1", "3", "2", "1"),
                                      ("user-002", "2", "7", "1", "2")]
    assert sums(duck, lake, 36500, 1) == {"user-001": (4, 3), "user-002": (7, 1)}


def test_values_that_are_missing_rejected_or_odd(world, lake, duck):
    values = ["3", '"4"', "null", '{"usd": 1}', "[5]", '"abc"', "true", "1" + "0" * 30]
    texts = [revenue(value) for value in values]
    texts += ['{"attributes": {}}', "{}", '{"attributes": {"revenue": 9', "", "not json"]
    lake.add([Event(0, user, text) for user, text in enumerate(texts)])
    lake.write_config()
    result = run(world, 0, "--json")
    found = {int(user[-3:]): value for user, value in sums(duck, lake, 1, 0).items()}
    assert found == {user: (3 if user == 0 else 4 if user == 1 else 0, 1)
                     for user in range(len(texts))}
    assert result.final["counters"]["rejected"] == 8
    assert result.final["counters"]["events"] == len(texts)
    assert Reference(lake.events).rejected == {0: 8}


def test_the_report_samples_rejected_events(world, lake):
    lake.add([Event(0, 1, revenue('"abc"')), Event(0, 2, revenue(1))])
    lake.write_config()
    result = run(world, 0)
    assert "Rejected events (samples)" in result.stdout
    assert '{"attributes": {"kind": "x", "revenue": "abc"}}' in result.stdout


@pytest.mark.parametrize("limit,status", [("2", 0), ("1", 1), ("0", 1), ("20%", 0), ("19.9%", 1)])
def test_max_rejected_fails_the_day_before_anything_is_published(world, lake, limit, status):
    lake.add([Event(0, user, revenue(1)) for user in range(5)])
    lake.add([Event(1, user, revenue('"abc"' if user < 2 else 1)) for user in range(10)])
    lake.write_config(max_rejected=limit)
    result = run(world, 1, status=status)
    if status:
        assert f"2 of 10 events 'ad-impression' are rejected, more than max_rejected '{limit}'" \
            in result.text
        assert f"daily aggregation of {date_of(1)}" in result.text
        assert "Rejected events (samples)" in result.stdout
        assert (lake.root / f"out/1d/_SUCCESS_{date_of(0)}").exists()
        assert not (lake.root / f"out/1d/day={date_of(1)}").exists()
        assert not (lake.root / f"out/1d/_SUCCESS_{date_of(1)}").exists()


def test_the_csv_file_to_the_byte(world, lake):
    lake.add([Event(0, 1, revenue(5)), Event(0, 2, revenue(7)), Event(9, 1, revenue(-1))])
    lake.write_config(windows=(7, 36500, 3))
    run(world, 9)
    data = gzip.decompress(lake.csv_path(9).read_bytes())
    assert data == b"user-001,1,-1,1,-1,1,-1,1,4,2\nuser-002,2,0,0,0,0,0,0,7,1\n"
    assert [path.name for path in (lake.root / "csv").rglob("*") if path.is_file()] == \
        [lake.csv_path(9).name]


def test_the_csv_file_quotes_what_has_to_be_quoted(world, lake):
    event = Event(0, 1, revenue(5))
    event.userid = 'a "quoted", user'
    lake.add([event])
    lake.write_config()
    run(world, 0)
    text = gzip.decompress(lake.csv_path(0).read_bytes()).decode()
    assert next(csv.reader(io.StringIO(text)))[0] == event.userid


@pytest.mark.parametrize("kind,values,total", [
    ("decimal(10,2)", ["0.10", "0.20", '"1.05"'], "1.35"),
    ("double", ["0.1", "1e3", "-0.25"], "999.85"),
    ("double", ["1.5", '"NaN"', '"inf"'], "1.5"),
    ("integer", ["2147483647", "2147483647"], "4294967294"),
])
def test_other_types(world, lake, duck, kind, values, total):
    lake.add([Event(0, 1, revenue(value)) for value in values])
    lake.write_config(aggregatedValueType=kind)
    run(world, 0)
    assert rows(duck, lake, 36500, 0)[0][2] == total


def test_sums_of_doubles_do_not_depend_on_the_order(world, lake, duck, tmp_path):
    events = [Event(day, n % 5, revenue(0.1 * n + 1e-9 * day)) for day in range(4)
              for n in range(5000)]
    lake.add(events)
    lake.write_config(aggregatedValueType="double")
    run(world, 3)
    again = Lake(world, tmp_path / "again")
    again.add(list(reversed(events)))
    again.write_config(aggregatedValueType="double")
    for day in range(4):
        run(world, day)
    for window in (1, 3, 7, 36500):
        assert rows(duck, lake, window, 3) == rows(duck, again, window, 3)
    if ON_DUCKDB:  # byte for byte
        first = {path: data for path, data in lake.tree("out").items() if "_CSV_" not in path}
        second = {path: data for path, data in again.tree("out").items() if "_CSV_" not in path}
        assert first == second


VALUES = [{"column": "total", "aggregate": "sum"}, {"column": "usable", "aggregate": "count"},
          {"column": "least", "aggregate": "min"}, {"column": "most", "aggregate": "max"},
          {"column": "mean", "aggregate": "avg"}, {"column": "kinds", "aggregate": "distinct"}]


def test_other_aggregates_are_right_in_windows(world, lake, duck):
    lake.add([Event(0, 1, revenue(value)) for value in (4, 4, 10)])
    lake.add([Event(1, 1, revenue(value)) for value in (4, "null", '"x"')])
    lake.add([Event(2, 2, revenue("null"))])
    lake.write_config(values=VALUES)
    run(world, 2)
    columns = "userid, total, usable, least, most, mean, kinds, cnt"
    assert rows(duck, lake, 1, 0, columns) == \
        [("user-001", "18", "3", "4", "10", "6.0", "2", "3", "1")]
    assert rows(duck, lake, 3, 2, columns) == [
        ("user-001", "22", "4", "4", "10", "5.5", "2", "6", "1"),
        ("user-002", "0", "0", None, None, None, "0", "1", "2")]
    assert rows(duck, lake, 3, 2, columns) == rows(duck, lake, 36500, 2, columns)
    assert csv_lines(lake, 2)[1] == "user-002,2,0,0,,,,0,1,0,0,,,,0,1,0,0,,,,0,1,0,0,,,,0,1"


def test_values_are_counted_once_whichever_engine_kept_them(world, lake, duck):
    """Of the first day the values stand as another engine writes them."""
    lake.add([Event(day, 1, revenue(value)) for day in range(2) for value in (10.0, 0.5)])
    lake.write_config(values=[
        {"column": "kinds", "aggregate": "distinct", "type": "double"}])
    run(world, 0)
    (kept,) = (lake.root / f"out/1d_values/day={date_of(0)}").rglob("*.parquet")
    assert len(duck.query(f"FROM '{kept}'")) == 2
    duck.query(f"COPY (SELECT * REPLACE (CASE WHEN CAST(agg_value AS double) = 10 THEN '1.0E1' "
               f"ELSE '5.0E-1' END AS agg_value) FROM '{kept}') TO '{kept}.other' (FORMAT parquet)")
    kept.with_name(kept.name + ".other").rename(kept)
    run(world, 1)
    assert rows(duck, lake, 3, 1, "userid, kinds, cnt") == [("user-001", "2", "4", "1")]


def test_keys_and_filters(world, lake, duck):
    def event(user, country, platform, value):
        return Event(0, user, json.dumps({"c": country, "p": platform, "v": value}))

    lake.add([event(1, "US", "ios", 1), event(1, "US", "android", 2), event(1, "DE", "ios", 4),
              event(1, "US", "web", 8), event(1, None, "ios", 16), event(1, "US", "ios", -3)])
    lake.write_config(
        values=[{"column": "v", "path": "$.v"}],
        group_by=[{"column": "country", "path": "$.c"}],
        filter=[{"path": "$.p", "operator": "in", "values": ["ios", "android"]},
                {"path": "$.v", "operator": "at_least", "values": ["0"], "type": "bigint"}])
    run(world, 0)
    found = sorted(map(str, rows(duck, lake, 36500, 0, "country, v, cnt")))
    assert found == ["('DE', '4', '1', '1')", "('US', '3', '2', '1')", "(None, '16', '1', '1')"]


def test_csv_and_compressed_sources(world, lake, duck):
    lake.add([Event(0, 1, revenue(5))], compress=True)
    folder = lake.root / f"events/day={date_of(0)}/partition=1"
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["userid", "shard", "event", "name"])
    writer.writerow(["user-001", 1, revenue(6), "ad-impression"])
    (folder / "more.csv.gz").write_bytes(gzip.compress(text.getvalue().encode()))
    duck.query(f"COPY (SELECT 'user-001' AS userid, 1::INTEGER AS shard, '{revenue(7)}' AS event, "
               f"'ad-impression' AS name) TO '{folder}/most.parquet'")
    lake.write_config()
    if ON_DUCKDB:
        run(world, 0)
        assert sums(duck, lake, 1, 0) == {"user-001": (18, 3)}
        return
    # A server reads CSV as texts only, and all files of a folder alike.
    assert "is CSV, which only the embedded engine reads" in run(world, 0, status=1).text
    (folder / "more.csv.gz").unlink()
    assert "of two formats" in run(world, 0, status=1).text
    (folder.parent / "partition=2").mkdir()
    (folder / "most.parquet").rename(folder.parent / "partition=2/most.parquet")
    run(world, 0)
    assert rows(duck, lake, 1, 0) == [("user-001", "1", "5", "1", "1"),
                                      ("user-001", "1", "7", "1", "2")]


def test_names_that_need_quoting(world, lake, duck):
    lake.add([Event(0, 1, revenue(5), name="it's \"odd\"; --")])
    lake.write_config(eventName="it's \"odd\"; --", csvTablePrefix="it's")
    run(world, 0)
    assert sums(duck, lake, 1, 0) == {"user-001": (5, 1)}


# ---- days --------------------------------------------------------------------------------------


def test_nothing_to_do_says_so(world, lake):
    lake.write_config()
    assert "nothing to do: the history starts" in run(world, -1).stdout
    lake.add([Event(0, 1, revenue(5))])
    run(world, 0)
    before = lake.tree()
    assert f"nothing to do: every day from {EPOCH} to {EPOCH} is aggregated" in run(world, 0).stdout
    assert lake.tree() == before


def test_yesterday_is_that_of_the_time_zone(world, lake):
    lake.add([Event(day, 1, revenue(5)) for day in range(3)])
    config = lake.config()
    world.config(json.dumps({"jobs": {
        "utc": {"plugin": "aggregator", "config": config},
        "prague": {"plugin": "aggregator", "config": config, "time_zone": "Europe/Prague"}}}))
    # Half past eleven in the evening in UTC is already the next day in Prague.
    now = f"{date_of(1)}T23:30:00Z"
    assert world.run("run", "utc", "--now", now).status == 0
    assert not (lake.root / f"out/1d/_SUCCESS_{date_of(1)}").exists()
    assert world.run("run", "prague", "--now", now).status == 0
    assert (lake.root / f"out/1d/_SUCCESS_{date_of(1)}").exists()
    assert not (lake.root / f"out/1d/_SUCCESS_{date_of(2)}").exists()


def test_every_day_gets_its_windows(world, lake, duck):
    lake.add([Event(day, day % 4, revenue(day)) for day in range(9)])
    lake.write_config()
    run(world, 8)
    reference = Reference(lake.events)
    for day in range(9):
        for window in (3, 7, 36500):
            assert rows(duck, lake, window, day) == reference.rows(day - window + 1, day)


def test_windows_from_saves_older_windows(world, lake):
    lake.add([Event(day, 1, revenue(5)) for day in range(3)])
    lake.write_config(windows_from=str(date_of(2)))
    run(world, 2)
    assert len(list(lake.root.glob("out/1d/day=*"))) == 3
    assert [path.name for path in lake.root.glob("out/3d/day=*")] == [f"day={date_of(2)}"]


def test_a_dry_run_shows_plan_and_sql_and_changes_nothing(world, lake):
    lake.add([Event(0, 1, revenue(5))])
    lake.write_config()
    result = run(world, 0, "--dry-run")
    assert "would do daily:" in result.stdout and "would do csv:" in result.stdout
    assert "CREATE TABLE aggregator_day AS SELECT" in result.stdout
    assert lake.tree() == {}


# ---- the seed's configuration ------------------------------------------------------------------


SEED = {
    "targetS3Bucket": "airlytics-datalake-internal-prod", "athenaRegion": "eu-west-1",
    "sourceAthenaDb": "airlytics", "importToUserDb": True, "historyStartDay": str(EPOCH),
    "sourceEventsTable": "airlytics_rawevents_helloworld_prod", "airlockProductId": "12345",
    "athenaCatalog": "AwsDataCatalog",
    "dailyAggregationsTable": "airlytics_aggregations_ltv_helloworld_prod_1d",
    "exportToCsv": True, "aggregatedValueJsonPath": "$.attributes.revenue",
    "athenaResultsOutputBucket": "aws-athena-query-results-eu-west-1", "targetColumn": "revenue",
    "importTargetTable": "ad_impressions",
    "dailyAggregationsS3Path": "/aggregations/ltv/HelloWorld/1d/",
    "csvTablePrefix": "ad_impressions_helloworld_prod", "eventName": "ad-impression",
    "destAthenaDb": "aggregations_helloworld", "csvOutputBucket": "airlytics-imports-internal",
    "csvOutputFolder": "/db-import/aggregations/ltv/HelloWorld/",
    "secondaryAggregations": [
        {"targetFolder": f"/aggregations/ltv/HelloWorld/{name}/",
         "targetTable": f"airlytics_aggregations_ltv_helloworld_prod_{name}",
         "aggregationWindowDays": days}
        for name, days in (("7d", 7), ("30d", 30), ("365d", 365), ("total", 36500))],
    "aggregatedValueType": "bigint", "checkDataForLastDay": True,
    "airlockApiBaseUrl": "http://arlock-adminapi.myairlock.com:80/airlock/api",
}


def url_of(lake, folder):
    place = lake.place(folder)
    return place if "://" in place else f"file://{place}"


def write_seed(world, lake, **changes):
    if not ON_DUCKDB:
        changes["destAthenaDb"] = world.database
    (lake.root / "ltv.json").write_text(json.dumps(dict(SEED, **changes), indent=2))
    world.config(f"""
storage:
  datalake: {{bucket: airlytics-datalake-internal-prod, url: "{url_of(lake, 'datalake')}"}}
  imports: {{bucket: airlytics-imports-internal, url: "{url_of(lake, 'imports')}"}}
jobs:
  ltv:
    plugin: aggregator
    config_file: {lake.root}/ltv.json
    config:
      tables: {{airlytics_rawevents_helloworld_prod: "{lake.place('events')}"}}
      expected_partitions: 3
""")


def test_the_seeds_configuration_runs_unchanged(world, lake, duck):
    lake.add([Event(day, user, revenue(user)) for day in range(2) for user in range(3)])
    write_seed(world, lake)
    # The seed's host cannot be reached from here, however long one tries.
    world.config('{"core": {"http": {"attempts": 1, "connect_timeout": "2s"}}}', "core.yaml")
    result = run(world, 1, status=1)
    name = f"ad_impressions_helloworld_prod_{date_of(1):%Y%m%d}"
    uri = f"s3://airlytics-imports-internal/db-import/aggregations/ltv/HelloWorld/{name}/" \
          f"{name}.csv.gz"
    assert f"hand '{uri}' over to Airlock" in result.text
    path = lake.root / "imports/db-import/aggregations/ltv/HelloWorld" / name / f"{name}.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert lines[2] == "user-002,2" + ",2,1" + ",4,2" * 4
    ltv = lake.root / "datalake/aggregations/ltv/HelloWorld"
    assert sorted(path.name for path in ltv.iterdir()) == ["1d", "30d", "365d", "7d", "total"]
    found = duck.parquet(ltv / f"total/day={date_of(1)}", COLUMNS)
    assert found == Reference(lake.events).rows(0, 1)


def test_daily_files_of_the_seed_are_taken_over(world, lake, duck):
    folder = lake.root / f"out/1d/day={date_of(0)}/partition=1"
    folder.mkdir(parents=True)
    duck.query("COPY (SELECT 'user-001' AS userid, 1::INTEGER AS shard, 40::BIGINT AS revenue, "
               f"2::BIGINT AS cnt) TO '{folder}/seed.parquet'")
    (lake.root / f"out/1d/_SUCCESS_{date_of(0)}").touch()
    lake.add([Event(0, 1, revenue(999)), Event(1, 1, revenue(2))])
    lake.write_config()
    run(world, 1)
    assert sums(duck, lake, 36500, 1) == {"user-001": (42, 3)}
    assert sums(duck, lake, 3, 0) == {"user-001": (40, 2)}
    assert (lake.root / f"out/1d/_SUCCESS_{date_of(0)}").read_bytes() == b""
    assert "nothing to do" in run(world, 1).stdout


# ---- what was wrong in the seed ----------------------------------------------------------------


def test_not_1_windows_that_depend_on_what_happened(world, lake, duck):
    lake.add([Event(0, 1, revenue(100)), Event(2, 1, revenue(1)), Event(8, 2, revenue(3))])
    lake.write_config()
    for day in (0, 0, 1, 2, 3, 3):
        run(world, day)
    assert sums(duck, lake, 3, 2) == {"user-001": (101, 2)}
    assert sums(duck, lake, 3, 3) == {"user-001": (1, 1)}  # an empty day: the 100 have left
    run(world, 8)
    assert sums(duck, lake, 3, 6) == {}
    assert sums(duck, lake, 7, 6) == {"user-001": (101, 2)}
    assert sums(duck, lake, 36500, 8) == {"user-001": (101, 2), "user-002": (3, 1)}


def test_not_1_a_total_made_of_a_damaged_one(world, lake, duck):
    lake.add([Event(day, 1, revenue(10 ** day)) for day in range(3)])
    lake.write_config()
    run(world, 1)
    for path in lake.folder(36500).glob(f"day={date_of(1)}/*/*.parquet"):
        path.write_bytes(path.read_bytes()[:-1])
    result = run(world, 2, "--json")
    assert sums(duck, lake, 36500, 2) == {"user-001": (111, 3)}
    assert result.final["counters"].get("windows_grown", 0) == 2  # 3 and 7 days, not the total
    assert run(world, 2).status == 0


def test_not_2_one_bad_value_aborts_the_day(world, lake, duck):
    lake.add([Event(0, 1, revenue('"abc"')), Event(0, 1, revenue(2))])
    lake.write_config()
    run(world, 0)
    assert sums(duck, lake, 1, 0) == {"user-001": (2, 2)}


def test_not_3_slashes_hide_markers(world, lake):
    """Of paths, that is: a URI means the keys that it spells."""
    lake.add([Event(0, 1, revenue(5))])
    buckets, root = {}, lake.place("")
    tables = {"rawevents": f"{root}/events/"}
    if root.startswith("s3://"):
        bucket, _, root = root.removeprefix("s3://").partition("/")
        buckets = {"targetS3Bucket": bucket, "csvOutputBucket": bucket}
    lake.write_config()
    run(world, 0)
    before = lake.tree()
    for spelling in (f"{root}/out/1d/", f"{root}//out//1d", f"{root}/out/1d//"):
        lake.write_config(dailyAggregationsS3Path=spelling, csvOutputFolder=f"{root}//csv//",
                          tables=tables, **buckets)
        assert "nothing to do" in run(world, 0).stdout
    assert lake.tree() == before


def test_not_4_a_failed_import_is_never_retried(world, lake):
    lake.add([Event(0, 1, revenue(5))])
    world.config('{"core": {"http": {"attempts": 2, "backoff": "10ms"}}}', "core.yaml")
    lake.write_config(importToUserDb=True, airlockApiBaseUrl="http://127.0.0.1:1",
                      airlockProductId="1", importTargetTable="ads")
    first = run(world, 0, "--json", status=1)
    before = lake.tree()
    again = run(world, 0, "--json", status=1)
    assert first.final["counters"]["days"] == 1
    assert "days" not in again.final["counters"]
    assert "cannot connect" in again.text and "a later run does only it" in again.text
    assert lake.tree() == before


def test_not_4_each_step_has_its_own_marker(world, lake):
    lake.add([Event(day, 1, revenue(5)) for day in range(2)])
    lake.write_config()
    run(world, 1)
    wanted = lake.steady(lake.tree())
    markers = [path for path in lake.tree() if "/_" in path]
    assert len(markers) == 2 * 4 + 1 + (not ON_DUCKDB)
    for marker in markers:
        (lake.root / marker).unlink()
        # Where an engine names files by chance, more follows from a step that is done again.
        steps = run(world, 1, "--json").final["counters"]["steps"]
        assert steps == 1 if ON_DUCKDB else steps >= 1
        assert lake.steady(lake.tree()) == wanted
    lake.csv_path(1).unlink()
    run(world, 1)
    assert lake.steady(lake.tree()) == wanted


def test_not_5_a_statement_for_each_partition(world, lake):
    lake.add([Event(0, user, revenue(5)) for user in range(3)])
    lake.write_config()
    statements = [line for line in run(world, 0, "--dry-run").stdout.splitlines()
                  if line.startswith(("SELECT", "CREATE"))]
    assert len(statements) == 4  # the day in two, all windows by one, the CSV file


def test_not_6_readers_see_half_a_day(world, lake):
    """Nothing but whole files under their final names, after a run that fails at its end too."""
    lake.add([Event(0, user, revenue(5)) for user in range(3)])
    lake.write_config(csvOutputFolder="/proc/nowhere")
    run(world, 0, status=1)
    for path in (lake.root / "out").rglob("*"):
        assert path.is_dir() or path.suffix == ".parquet" or \
            path.name.startswith(("_SUCCESS_", "_TABLES"))
    assert not list(lake.root.glob("out/1d/_CSV_*"))


def test_not_7_users_stay_with_nothing(world, lake, duck):
    lake.add([Event(0, 1, revenue(5)), Event(1, 2, revenue(0)), Event(3, 3, revenue(1))])
    lake.write_config()
    run(world, 3)
    assert sums(duck, lake, 3, 3) == {"user-002": (0, 1), "user-003": (1, 1)}
    assert csv_lines(lake, 3)[0] == "user-001,1,0,0,0,0,5,1,5,1"


def test_not_8_ends_well_having_done_nothing(world, lake):
    lake.add([Event(0, user, revenue(5)) for user in range(3)])
    lake.add([Event(1, user, revenue(5)) for user in range(2)])
    lake.write_config(checkDataForLastDay=True, expected_partitions=3)
    result = run(world, 1, status=3)
    assert f"the events of {date_of(1)} are not complete: 2 of 3 partitions are there" in result.text
    assert (lake.root / f"out/total/_SUCCESS_{date_of(0)}").exists()
    assert lake.csv_path(0).exists()
    assert not (lake.root / f"out/1d/_SUCCESS_{date_of(1)}").exists()
    assert run(world, 1, status=3).status == 3
    lake.add([Event(1, 2, revenue(5))])
    run(world, 1)
    assert lake.csv_path(1).exists()


def test_lateness_takes_an_incomplete_day_with_a_warning(world, lake):
    lake.add([Event(0, 0, revenue(5))])
    lake.write_config(checkDataForLastDay=True, expected_partitions=3, lateness="4h")
    assert run(world, 0, status=3).status == 3
    result = world.run("run", "ltv", "--now", now_of(0, hour=4))
    assert result.status == 0
    assert any(m["level"] == "warn" and "1 of 3 partitions" in m["message"]
               for m in result.messages)


# ---- the other actions -------------------------------------------------------------------------


def rebuild(world, day, first, last, status=0):
    result = world.run("aggregator", "rebuild", "--job", "ltv", "--now", now_of(day),
                       "--set", f"from={date_of(first)}", "--set", f"to={date_of(last)}")
    assert result.status == status, result.text
    return result


def test_rebuild_takes_late_events_in(world, lake, duck):
    lake.add([Event(day, 1, revenue(1)) for day in range(9)])
    lake.write_config()
    run(world, 8)
    lake.add([Event(1, 1, revenue(100)), Event(4, 5, revenue(7))])
    assert "nothing to do" in run(world, 8).stdout
    rebuild(world, 8, 1, 1)
    assert sums(duck, lake, 3, 3) == {"user-001": (103, 4)}
    assert sums(duck, lake, 3, 4) == {"user-001": (3, 3)}  # day 4 was not to be rebuilt
    assert csv_lines(lake, 8) == ["user-001,1,1,1,3,3,7,7,109,10"]
    rebuild(world, 8, 0, 8)
    reference = Reference(lake.events)
    for day in range(9):
        for window in (3, 7, 36500):
            assert rows(duck, lake, window, day) == reference.rows(day - window + 1, day)
    assert csv_lines(lake, 8) == reference.csv(8, (3, 7))


def test_rebuild_refuses_what_lies_outside(world, lake):
    lake.write_config()
    assert "is after 'to'" in rebuild(world, 3, 2, 1, status=2).text
    assert "have to lie within the history" in rebuild(world, 3, 0, 4, status=2).text
    assert "have to lie within the history" in rebuild(world, 3, -1, 2, status=2).text


def test_export_writes_the_file_of_any_whole_day(world, lake):
    lake.add([Event(day, 1, revenue(1)) for day in range(3)])
    lake.write_config()
    run(world, 2)
    before = lake.csv_path(2).read_bytes()
    lake.csv_path(2).unlink()
    words = ("aggregator", "export", "--job", "ltv", "--now", now_of(2))
    assert world.run(*words).status == 0
    assert lake.csv_path(2).read_bytes() == before
    assert world.run(*words, "--set", f"day={date_of(1)}").status == 0
    assert csv_lines(lake, 1) == ["user-001,1,1,1,2,2,2,2,2,2"]
    result = world.run(*words, "--set", f"day={date_of(3)}")
    assert result.status == 2 and "is not aggregated with all its windows" in result.text


def test_force_export_writes_the_file_in_every_run(world, lake):
    lake.add([Event(0, 1, revenue(1))])
    lake.write_config(exportToCsv=False)
    run(world, 0)
    assert not lake.csv_path(0).exists()
    lake.write_config(exportToCsv=False, forceExportToCsv=True)
    assert run(world, 0, "--json").final["counters"]["steps"] == 1
    assert run(world, 0, "--json").final["counters"]["steps"] == 1


def test_import_says_what_is_missing(world, lake):
    lake.add([Event(0, 1, revenue(1))])
    lake.write_config(importToUserDb=True, airlockApiBaseUrl="http://127.0.0.1:1",
                      airlockProductId="1", importTargetTable="ads")
    words = ("aggregator", "import", "--job", "ltv", "--now", now_of(0))
    assert world.run(*words).status == 2
    run(world, 0, status=1)
    result = world.run(*words)
    assert result.status == 1 and lake.place(lake.csv_path(0)) in result.text


def test_a_changed_configuration_is_warned_of(world, lake):
    lake.add([Event(0, 1, revenue(1))])
    lake.write_config()
    run(world, 0)
    lake.write_config(eventName="session-start")
    assert "were aggregated by another configuration" in run(world, 0).text


def test_a_window_of_another_length_is_made_anew(world, lake, duck):
    lake.add([Event(day, 1, revenue(1)) for day in range(3)])
    lake.write_config()
    run(world, 2)
    config = lake.config()
    config["secondaryAggregations"][0]["aggregationWindowDays"] = 2
    lake.write_config(secondaryAggregations=config["secondaryAggregations"])
    run(world, 2)
    assert sums(duck, lake, 3, 2) == {"user-001": (2, 2)}
