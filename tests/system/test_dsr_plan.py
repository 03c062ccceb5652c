"""'run-core dsr plan' and a dry run of 'cleanup'; and the seed's own configuration, unchanged."""
import json
import os
import shutil
import subprocess

import pytest
from aggregator.duck import Duck
from conftest import BUILD, Result
from engines import ON_DUCKDB

pytestmark = pytest.mark.skipif(not os.environ.get("RUN_CORE_DUCKDB"),
                                reason="the SQL engine is not there")

SEED = {
    "tempFolder": "dsr-temp/HelloWorld/",
    "targetS3Bucket": "airlytics-datalake-internal-prod-pi",
    "athenaRegion": "eu-west-1",
    "athenaResultsOutputBucket": "aws-athena-query-results",
    "archivedPartAfter": "HelloWorld/",
    "athenaCatalog": "AwsDataCatalog",
    "markersBaseFolder": "/usr/src/app/data/airlytics-datalake-internal-prod/"
                         "userDeletionRequests/DbDumps/HelloWorld/",
    "markersArchiveFolder": "/usr/src/app/data/airlytics-datalake-internal-prod/"
                            "userDeletionRequests/DbDumps/processed/HelloWorld/",
    "cleanupTables": [
        {
            "piTable": "airlytics_users_db_helloworld_prod_pi",
            "userIdColumn": "id",
            "sourceS3Folder": "usersdb/users_pi/HelloWorld/",
            "sourceS3Bucket": "airlytics-datalake-internal-prod-pi",
            "athenaDb": "airlytics",
        },
        {
            "piTable": "airlytics_users_db_helloworld_prod_cohorts",
            "userIdColumn": "user_id",
            "sourceS3Folder": "usersdb/user_cohorts/HelloWorld/",
            "sourceS3Bucket": "airlytics-datalake-internal-prod-pi",
            "athenaDb": "airlytics",
        },
    ],
}
MARKERS = "airlytics-datalake-internal-prod/userDeletionRequests/DbDumps"
STORAGE = "airlytics-datalake-internal-prod-pi"


@pytest.fixture
def duck():
    duck = Duck()
    yield duck
    duck.close()


class Lake:
    """The seed's lake in local folders: 'pi' for its bucket, 'data' for its volume."""

    def __init__(self, world, duck):
        self.world, self.duck, self.root = world, duck, world.root
        self.pi, self.data = world.root / "pi", world.root / "app" / "data"
        world.cover(self.pi)
        self.markers = self.data / MARKERS / "HelloWorld"
        self.archive = self.data / MARKERS / "processed" / "HelloWorld"
        for table, column in (("users_pi", "id"), ("user_cohorts", "user_id")):
            for shard in (0, 999):
                for day in (1, 2, 3):
                    self.write(table, column, shard, day, "'u' || (i % 10)", 100)
        self.markers.mkdir(parents=True)

    def file(self, table, shard, day, name="part-0.parquet"):
        folder = self.pi / "usersdb" / table / "HelloWorld" / f"shard={shard}" / f"day=2021-06-0{day}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def write(self, table, column, shard, day, user, rows, name="part-0.parquet"):
        self.duck.query(f"COPY (SELECT {user} AS {column}, i FROM range({rows}) r(i)) TO "
                        f"'{self.file(table, shard, day, name)}' (FORMAT parquet)")

    def mark(self, shard, day, user):
        folder = self.markers / f"shard={shard}" / f"day=2021-06-0{day}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"_user_{user}_day_2021-06-09").touch()

    def count(self, table, column, shard, day, *users):
        """Rows, and rows of the users."""
        names = ", ".join(f"'{user}'" for user in users)
        ((rows, theirs),) = self.duck.query(
            f"SELECT count(*), count(*) FILTER ({column} IN ({names})) FROM read_parquet("
            f"'{self.file(table, shard, day)}')")
        return int(rows), int(theirs)

    def state(self):
        """All that is there, and when and where it was written."""
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
                for top in (self.pi, self.data) for path in top.rglob("*") if path.is_file()}

    def configure(self, config=None, **changes):
        (self.root / "dsr.json").write_text(json.dumps(SEED, indent=2))
        place = self.world.place(self.pi)
        url = place if "://" in place else f"file://{place}"
        self.world.config(json.dumps({
            "storage": {"pi": {"bucket": STORAGE, "url": url}},
            "plugins": {"dsr": {
                "config_file": str(self.root / "dsr.json"),
                "config": config if config is not None else self.local(**changes),
            }},
            "jobs": {"erase": {"plugin": "dsr"}},
        }))

    def local(self, **changes):
        """The seed's volume, where the test may write."""
        return {"markersBaseFolder": f"{self.markers}/", "markersArchiveFolder": f"{self.archive}/",
                **changes}


@pytest.fixture
def lake(world, duck):
    lake = Lake(world, duck)
    lake.configure()
    return lake


def table(result, title):
    """The rows of a table that was shown, by its columns."""
    (found,) = [item for item in result.final["results"]
                if item.get("title", "").startswith(title)]
    return [dict(zip(found["columns"], row)) for row in found["rows"]]


# ---- the plan ------------------------------------------------------------------------------------


def test_each_file_is_named_with_the_rows_it_would_lose(world, lake):
    lake.mark(999, 1, "u3")
    lake.mark(999, 2, "u4")
    lake.write("users_pi", "id", 999, 2, "'u3'", 7, name="all")
    lake.write("users_pi", "id", 999, 2, "'other'", 7, name="none")
    lake.file("users_pi", 999, 1, "notes.txt").write_text("u3 and u4, but no data")
    before = lake.state()
    for words in (("plan",), ("cleanup", "--dry-run")):
        result = world.run("dsr", *words, "--json")
        assert result.status == 0, result.stderr
        files = table(result, "Files that hold a user")
        found = {(row["table"], row["day"], row["file"].rsplit("/", 1)[1]):
                 (row["shard"], row["rows to erase"], row["of"], row["becomes"]) for row in files}
        pi, cohorts = (item["piTable"] for item in SEED["cleanupTables"])
        plain = ("999", "20", "100", "rewritten")
        assert found == {
            (pi, "2021-06-01", "part-0.parquet"): plain,
            (pi, "2021-06-02", "part-0.parquet"): plain,
            (pi, "2021-06-02", "all"): ("999", "7", "7", "removed"),
            (cohorts, "2021-06-01", "part-0.parquet"): plain,
            (cohorts, "2021-06-02", "part-0.parquet"): plain,
        }
        assert files[0]["file"].startswith(f"s3://{STORAGE}/usersdb/users_pi/HelloWorld/shard=999/")
        assert int(files[0]["bytes"]) == lake.file("users_pi", 999, 1).stat().st_size
        counters = result.final["counters"]
        assert counters["rows_to_delete"] == 87 and counters["files_scanned"] == 6
        assert counters["users"] == 2 and counters["markers"] == 2
        assert "rows_deleted" not in counters
        assert lake.state() == before


def test_people_see_it_too(world, lake):
    lake.mark(0, 1, "u3")
    result = world.run("dsr", "plan")
    assert result.status == 0, result.stderr
    assert "Would erase 1 user" in result.stdout and "20 rows of 2 files" in result.stdout
    assert "It would take about" in result.stdout
    lines = [line for line in result.stdout.splitlines() if "part-0.parquet" in line]
    assert len(lines) == 2 and all(" 10 " in line and " 100 " in line for line in lines)
    result = world.run("dsr", "plan", "--set", "shards=1-999")
    assert result.status == 0 and "nothing to erase" in result.stdout


def test_malformed_markers_are_told_and_left(world, lake):
    lake.mark(0, 1, "u3")
    for n in range(30):
        (lake.markers / "shard=0" / "day=2021-06-01" / f"broken-{n}").touch()
    (lake.markers / ".hidden").touch()
    before = lake.state()
    result = world.run("dsr", "plan", "--json")
    assert result.status == 0, result.stderr
    assert result.final["counters"]["markers_malformed"] == 30
    assert result.text.count("which is no marker") == 20 and "10 more" in result.text
    assert lake.state() == before


def test_a_file_that_cannot_be_searched_fails_the_plan(world, lake):
    lake.mark(0, 1, "u3")
    whole = lake.file("users_pi", 0, 1).read_bytes()
    lake.file("users_pi", 0, 1, "bad.parquet").write_bytes(whole[:20] + whole[40:])
    result = world.run("dsr", "plan", "--json")
    assert result.status == 1
    assert "bad.parquet" in result.text
    assert result.final["counters"]["rows_to_delete"] == 20


# ---- configurations ------------------------------------------------------------------------------


def test_a_column_that_is_missing_is_told_with_the_nearest(world, lake):
    tables = [dict(SEED["cleanupTables"][1], userIdColumn="userid")]
    lake.configure(cleanupTables=tables)
    lake.mark(0, 1, "u3")
    result = world.run("dsr", "plan")
    assert result.status == 1
    assert "has no column 'userid'" in result.text and "'user_id'" in result.text


def test_a_table_without_data_is_told(world, lake):
    tables = [dict(SEED["cleanupTables"][0], sourceS3Folder="usersdb/user_pi/HelloWorld")]
    lake.configure(cleanupTables=tables)
    lake.mark(0, 1, "u3")
    result = world.run("dsr", "plan")
    assert result.status == 1
    assert "sourceS3Folder" in result.text and "usersdb/user_pi/HelloWorld/" in result.text


@pytest.mark.parametrize("changes, says", [
    ({"archivedPartAfter": "ByeWorld/"}, "archivedPartAfter"),
    ({"markersArchiveFolder": SEED["markersBaseFolder"] + "done",
      "markersBaseFolder": SEED["markersBaseFolder"]}, "markersArchiveFolder"),
    ({"tempFolder": "usersdb/users_pi/HelloWorld/temp"}, "tempFolder"),
])
def test_places_that_cannot_be_are_refused(world, lake, changes, says):
    lake.configure(**changes)
    before = lake.state()
    for words in (("dsr", "plan"), ("dsr",), ("check",)):
        result = world.run(*words)
        assert result.status == 2, words
        assert says in result.stderr + result.stdout
    assert lake.state() == before


# ---- the seed's configuration --------------------------------------------------------------------


def run_in_the_seeds_pod(lake, *words):
    """Runs where /usr/src/app is the test's folder, as the seed's volume is mounted; None: this
    machine does not let us."""
    probe = ["unshare", "-rm", "sh", "-c", 'mount --bind "$1" /usr/src && shift && exec "$@"', "sh",
             str(lake.root)]
    if not shutil.which("unshare") or subprocess.run([*probe, "true"], check=False,
                                                     capture_output=True).returncode:
        return None
    process = subprocess.run([*probe, str(BUILD / "run-core"), *words], check=False, timeout=120,
                             env=lake.world.environment, capture_output=True,
                             stdin=subprocess.DEVNULL)
    return Result(process)


def test_the_seeds_configuration_runs_unchanged(world, lake):
    labels = {"environment": "PROD", "product": "Hello World App", "deployment": "blue"}
    world.environment.update({f"AIRLYTICS_{name.upper()}": text for name, text in labels.items()})
    for shard in (0, 999):
        lake.mark(shard, 1, "u3")
        lake.mark(shard, 2, "u7")
    for words in (("plan",), ("cleanup",)):
        lake.configure(config={})
        result = run_in_the_seeds_pod(lake, "dsr", *words, "--json") if ON_DUCKDB else None
        if result is None:
            lake.configure()
            result = world.run("dsr", *words, "--json")
        assert result.status == 0, result.stderr
    for shard in (0, 999):
        for name, column in (("users_pi", "id"), ("user_cohorts", "user_id")):
            assert lake.count(name, column, shard, 1, "u3", "u7") == (80, 0)
            assert lake.count(name, column, shard, 2, "u3", "u7") == (80, 0)
            assert lake.count(name, column, shard, 3, "u3", "u7") == (100, 20)
        for day, user in ((1, "u3"), (2, "u7")):
            assert (lake.archive / f"shard={shard}" / f"day=2021-06-0{day}"
                    / f"_user_{user}_day_2021-06-09").exists()
    assert [path for path in lake.markers.rglob("*") if path.is_file()] == []
    assert [path for path in (lake.pi / "dsr-temp").rglob("*") if path.is_file()] == []
    assert result.final["counters"]["rows_deleted"] == 2 * 2 * 2 * 20
    # Labels come from the environment, and are in the record.
    (report,) = (lake.archive / "dsr-report").iterdir()
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert len(lines) == 4 and all(labels.items() <= line.items() for line in lines)
