"""'run-core dsr' where things are not as they mostly are: where the state is kept and that it may be
lost, what a dry run leaves alone, what is said of users, and lakes of which nothing remains."""
import json
import shutil
import sqlite3

import pytest
# The fixture is found by its name.
from dsr_world import (DAYS, Dsr, needs_engine,  # noqa: F401
                       on_ceph, pond_made, user)

pytestmark = needs_engine

USERS = [user(3, n) for n in (1, 2, 3, 44)]
ERASED = {3: (USERS, DAYS[0], DAYS[1])}


@pytest.fixture
def dsr(world, pond_made):  # noqa: F811
    return Dsr(world, pond_made)


def mark(dsr):
    dsr.mark_range(3, *USERS, last=DAYS[1])


def check(dsr):
    found = dsr.check(ERASED)
    dsr.check_nothing_left()
    assert dsr.markers.names() == [] and len(dsr.archived()) == len(USERS) + 1
    return found


def everything(*folders):
    """Each file there with its content and time."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns)
            for folder in folders for path in folder.root.rglob("*") if path.is_file()}


# ---- the state -----------------------------------------------------------------------------------


def test_the_state_may_be_in_postgresql(dsr, postgres, state_on_postgres):
    mark(dsr)
    dsr.run(backupOriginal="true")
    found = check(dsr)
    assert sum(line["rows"] for line in dsr.records()) == found["rows"]
    said = dsr.run("report", user=USERS[0]).stdout
    assert json.loads(said.splitlines()[0])["rows"] > 0
    # No id is in any table.
    name = state_on_postgres.rsplit("/", 1)[1].split("?")[0]
    tables = postgres.sql("SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM "
                          "pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
                          database=name)
    assert [table for table in tables if "erased_users" in table]
    for table in tables:
        rows = postgres.sql(f"SELECT t::text FROM {table} t", database=name)
        assert not [row for row in rows if "user-3-" in row], table


def test_the_state_may_be_lost(dsr):
    """Then the record is shorter, and nothing else."""
    mark(dsr)
    first = f"users/shard=3/day={DAYS[0]}/part-0.parquet"
    dsr.configure()
    dsr.remember()
    dsr.archive.put("shard=3", b"a file in the way of the archive's folder")
    dsr.run(status=1)
    assert len(dsr.markers.names()) == len(USERS) + 1
    assert dsr.data.get(first) != (dsr.before / first).read_bytes()
    dsr.archive.remove("shard=3")
    shutil.rmtree(dsr.world.state)
    dsr.run()
    check(dsr)
    assert len(dsr.records()) >= len(USERS)


def test_a_request_that_comes_again(dsr):
    mark(dsr)
    dsr.run()
    names = dsr.archived()
    mark(dsr)
    dsr.run()
    check(dsr)
    assert dsr.archived() == names


# ---- what is left alone --------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("cleanup", "--dry-run"), ("plan",), ("report", "--dry-run")])
def test_a_dry_run_changes_nothing(dsr, words):
    mark(dsr)
    dsr.configure()
    dsr.world.run("runs")
    before = everything(dsr.data, dsr.markers, dsr.archive, dsr.temp)
    dsr.run(*words)
    assert everything(dsr.data, dsr.markers, dsr.archive, dsr.temp) == before
    for path in dsr.world.state.glob("*.db"):
        with sqlite3.connect(path) as state:
            tables = [name for (name,) in state.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'")]
            kept = [name for name in tables for column in ("salt", "erased_users", "reports")
                    if column in name and state.execute(f"SELECT count(*) FROM [{name}]")
                    .fetchone()[0]]
        assert kept == []


@pytest.mark.parametrize("shards", ["x", "7-", "-7", "9-3", "1,2", "99999999999", ""])
@pytest.mark.parametrize("action", ["cleanup", "plan"])
def test_shards_that_are_none(dsr, action, shards):
    mark(dsr)
    before = everything(dsr.data, dsr.markers)
    result = dsr.run(action, shards=shards, status=2)
    assert "shards" in result.text
    assert everything(dsr.data, dsr.markers) == before


def test_one_file_at_a_time_and_one_attempt(dsr):
    mark(dsr)
    dsr.run(width="1", attempts="1", memory_limit="64MiB", scratch_limit="8MiB")
    check(dsr)


# ---- what is said of users -----------------------------------------------------------------------


def test_no_user_is_named(dsr):
    mark(dsr)
    dsr.markers.put("shard=3/day=2026-01-01/_user_user-3-77")
    dsr.markers.put("shard=3/day=2026-01-99/_user_user-3-78_day_2026-02-01")
    dsr.archive.put("shard=3", b"a file in the way of the archive's folder")
    result = dsr.run("cleanup", "--json", status=1)
    assert "archive the marker of the user" in result.text
    dsr.archive.remove("shard=3")
    result_too = dsr.run("cleanup", "--json", status=1)
    for text in (result.stdout, result.stderr, result_too.stdout, result_too.stderr):
        assert "user-3-" not in text
    for path in dsr.world.state.rglob("*"):
        assert not path.is_file() or b"user-3-" not in path.read_bytes(), path
    dsr.check(ERASED)


# ---- lakes of which nothing remains --------------------------------------------------------------


def test_a_table_of_which_nothing_remains(world, pond_made, ceph, bucket):  # noqa: F811
    """The last object goes, and with it the table's folder: requests are fulfilled all the same."""
    dsr = on_ceph(world, pond_made, ceph, bucket)
    for name in dsr.data.names():
        if not name.endswith("/few"):
            dsr.data.remove(name)
    dsr.mark_range(3, *USERS, last=DAYS[1])
    dsr.run()
    assert dsr.data.names() == [] and dsr.markers.names() == []
    dsr.mark(3, DAYS[0], user(3, 5))
    dsr.run()
    assert dsr.markers.names() == []
    # A folder of which nobody knows that it ever had anything is a mistake as ever.
    dsr.tables["users"]["sourceS3Folder"] = f"{dsr.data.uri}/user"
    dsr.mark(3, DAYS[0], user(3, 6))
    dsr.run(status=1)
    assert len(dsr.markers.names()) == 1


def test_a_lake_that_is_not_there_today(dsr):
    """Its folder is empty, as where a file system is not mounted: no request is taken for fulfilled
    because there was data once."""
    mark(dsr)
    dsr.run()
    dsr.mark_range(3, user(3, 5), last=DAYS[1])
    names = dsr.markers.names()
    away = dsr.data.root.with_name("away")
    dsr.data.root.rename(away)
    result = dsr.run("cleanup", status=1)
    assert "has no data" in result.text and dsr.markers.names() == names
    shutil.rmtree(dsr.data.root, ignore_errors=True)
    away.rename(dsr.data.root)
    dsr.run()
    dsr.check({3: ([*USERS, user(3, 5)], DAYS[0], DAYS[1])})
    assert dsr.markers.names() == []


def test_originals_that_can_be_kept_nowhere(dsr):
    """It is said why, and nothing is replaced. What may have been kept there holds up the shard
    until the place can be asked: here, until the bucket's name stands for an empty folder."""
    mark(dsr)
    place = "s3://nowhere-at-all/temp"
    result = dsr.run("cleanup", backupOriginal="true", tempFolder=place, status=1)
    assert f"keep the original as '{place}/" in result.text
    # With an engine elsewhere there is a server to ask, which does not know the bucket.
    assert ("NoSuchBucket" if dsr.world.mirror else "credentials") in result.text
    assert "refuses a write" not in result.text
    dsr.check({})
    result = dsr.run("cleanup", status=1)
    assert "remove the originals that backupOriginal has kept" in result.text
    assert "keep their markers" not in result.text
    assert dsr.markers.names() == []
    dsr.stores = lambda: {"storage": {"gone": {"bucket": "nowhere-at-all",
                                               "url": f"file://{dsr.world.root}/empty"}}}
    dsr.run()
    check(dsr)
