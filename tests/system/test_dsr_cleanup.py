"""'run-core dsr cleanup' on a lake in the file system, judged by a checker that is not its own."""
import json
import os
import shutil

import pytest
from conftest import RUN_LIMIT_S
# The fixture is found by its name.
from dsr_world import (DAYS, ODD, Dsr, judge, lake_made, literal, needs_engine,  # noqa: F401
                       on_duckdb, user)
from engines import ON_DUCKDB

pytestmark = needs_engine


@pytest.fixture
def dsr(world, lake_made):  # noqa: F811
    return Dsr(world, lake_made)


def counters(result):
    return result.final["counters"]


# ---- what is erased and what stays ---------------------------------------------------------------


def test_users_are_erased_and_all_else_stays(dsr):
    users = [user(3, n) for n in (1, 2, 3, 17, 200)]
    dsr.mark_range(3, *users, *ODD)
    dsr.mark(7, DAYS[1], user(7, 5))
    markers = dsr.markers.names()
    untouched = {name: os.stat(dsr.data.root / name) for name in dsr.data.names()}
    result = dsr.run("cleanup", "--json")
    found = dsr.check({3: ([*users, *ODD], DAYS[0], DAYS[-1]), 7: ([user(7, 5)], DAYS[1], DAYS[1])})
    dsr.check_nothing_left()

    # A day's file of three users, all of them erased, is gone: in both tables, on each day.
    assert found["removed"] == 6
    count = counters(result)
    assert count["rows_deleted"] == found["rows"]
    assert count["files_rewritten"] == found["rewritten"]
    assert count["files_removed"] == found["removed"]
    assert count["users"] == 15 and count["markers"] == len(markers)
    assert count["files_scanned"] == 32
    assert count.get("files_not_seen_by_engine", 0) == 0
    assert dsr.markers.names() == [] and dsr.archived() == markers

    # What holds no marked user was not even written anew.
    for name, old in untouched.items():
        path = dsr.data.root / name
        if name.endswith("others.parquet") or "day=2026-01-03" in name and "shard=7" in name:
            new = os.stat(path)
            assert (new.st_mtime_ns, new.st_ino) == (old.st_mtime_ns, old.st_ino), name

    # The record tells of each, but not who it was.
    lines = dsr.records()
    assert len(lines) == 15 and sum(line["rows"] for line in lines) == found["rows"]
    assert not [line for line in lines if "user-3" in json.dumps(line)]


def test_there_may_be_nothing_to_do(dsr):
    result = dsr.run("cleanup", "--json")
    assert result.final["status"] == "succeeded"
    dsr.check({})
    dsr.mark(3, DAYS[0], user(3, 1))
    dsr.run()
    names = dsr.archive.names()
    dsr.run()
    assert dsr.archive.names() == names
    dsr.check({3: ([user(3, 1)], DAYS[0], DAYS[0])})


def test_a_user_without_any_row_is_done_too(dsr):
    dsr.mark(3, DAYS[0], "nobody")
    result = dsr.run("cleanup", "--json")
    assert counters(result).get("rows_deleted", 0) == 0
    dsr.check({})
    assert len(dsr.archived()) == 1
    (line,) = dsr.records()
    assert line["rows"] == 0


def test_only_the_shards_asked_for(dsr):
    dsr.mark(3, DAYS[0], user(3, 1))
    dsr.mark(7, DAYS[0], user(7, 1))
    dsr.run("cleanup", shards="0-5")
    dsr.check({3: ([user(3, 1)], DAYS[0], DAYS[0])})
    assert dsr.markers.names() == [dsr.marker(7, DAYS[0], user(7, 1))]


def test_a_backup_is_kept_only_until_the_shard_is_verified(dsr):
    dsr.mark_range(3, user(3, 1), user(3, 2), user(3, 3))
    dsr.run(backupOriginal="true")
    dsr.check({3: ([user(3, n) for n in (1, 2, 3)], DAYS[0], DAYS[-1])})
    dsr.check_nothing_left()


@pytest.mark.parametrize("verify", ["values", "engine" if ON_DUCKDB else "auto"])
def test_either_way_of_verifying(dsr, verify):
    dsr.mark_range(7, user(7, 9), user(7, 10))
    dsr.run(verify=verify, trust_statistics="false")
    dsr.check({7: ([user(7, 9), user(7, 10)], DAYS[0], DAYS[-1])})


def test_what_describes_the_old_file_goes_before_it(dsr):
    place = f"users/shard=3/day={DAYS[0]}/"
    derived = [place + name for name in ("_metadata", "._metadata.crc", ".part-0.parquet.crc",
                                         "deeper/_metadata")]
    derived += ["users/_metadata", "users/shard=3/._metadata.crc", "cohorts/_metadata"]
    others = [f"users/shard=3/day={DAYS[1]}/_metadata", place + "_common_metadata",
              place + ".others.parquet.crc", "users/shard=7/_metadata"]
    for name in [*derived, *others]:
        dsr.data.put(name, b"whatever it says")
    dsr.mark(3, DAYS[0], user(3, 1), user(3, 11))
    dsr.run()
    dsr.check({3: ([user(3, 1), user(3, 11)], DAYS[0], DAYS[0])}, unchecked=[*derived, *others])
    names = dsr.data.names()
    assert not set(derived) & set(names) and set(others) <= set(names)


# ---- other kinds of ids --------------------------------------------------------------------------

UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
KINDS = {
    "integers": ("CAST(i % 100 AS BIGINT) AS id", ["id"], None, ["7", "007", "-7", "99", "x"],
                 "id IN (7, 99)"),
    "unsigned": ("CAST(18446744073709551615 - i % 100 AS UBIGINT) AS id, i AS n", ["id"], None,
                 ["18446744073709551614", "18446744073709551616", "-2"],
                 "id = 18446744073709551614::UBIGINT"),
    "unsigned of 32 bits": ("CAST(4294967295 - i % 100 AS UINTEGER) AS id", ["id"], None,
                            ["4294967290", "-6"], "id = 4294967290"),
    "uuids": (f"CASE WHEN i % 50 = 3 THEN '{UUID}'::UUID ELSE uuid() END AS id", ["id"], None,
              [UUID.upper(), "6f9619ff"], f"id = '{UUID}'::UUID"),
    "within a struct": ("{'id': 'u' || (i % 100), 'name': i} AS who", ["who.id"], None,
                        ["u7", "u99"], "who.id IN ('u7', 'u99')"),
    "two columns": ("'a' || (i % 100) AS one, 'a' || (i % 77) AS other", ["one", "other"], None,
                    ["a7", "a80"], "one IN ('a7', 'a80') OR other IN ('a7', 'a80')"),
    "parts": ("'a' || (i % 10) AS tenant, i % 7 AS number, i AS n", ["tenant", "number"], "/",
              ["a3/4", "a4/03", "a5", "a5/"], "tenant = 'a3' AND number = 4"),
}


# The others are searched by the plugin itself where the engine is elsewhere.
SEEN_ELSEWHERE = ("integers", "two columns", "parts")


@pytest.mark.parametrize("kind", KINDS)
def test_ids_of_other_kinds(dsr, kind):
    columns, ids, separator, users, gone = KINDS[kind]
    name = f"odd/shard=1/day={DAYS[0]}/a.parquet"
    (dsr.data.root / name).parent.mkdir(parents=True)
    judge(f"COPY (SELECT {columns} FROM range(5000) r(i)) TO {literal(dsr.data.root / name)} "
          "(FORMAT parquet, ROW_GROUP_SIZE 2048); SELECT 1;")
    dsr.tables = {"odd": {"userIdColumn": ids,
                          **({"userIdSeparator": separator} if separator else {})}}
    users = [one for one in users if "/" not in one] if separator != "/" else users
    if separator == "/":
        # No name of a file holds a slash: another separator then.
        dsr.tables["odd"]["userIdSeparator"] = "#"
        users = [one.replace("/", "#") for one in users]
    dsr.mark(1, DAYS[0], *users)
    dsr.remember()
    result = dsr.run("cleanup", "--json")
    is_seen = ON_DUCKDB or kind in SEEN_ELSEWHERE
    assert (counters(result).get("files_not_seen_by_engine", 0) == 0) == is_seen
    path = literal(dsr.data.root / name)
    old = f"SELECT * FROM read_parquet({literal(dsr.before / name)}) WHERE NOT coalesce({gone}, false)"
    ((differ, count, had),) = judge(
        f"SELECT (SELECT count(*) FROM (({old}) EXCEPT ALL (FROM read_parquet({path})))), "
        f"(SELECT count(*) FROM read_parquet({path})), (SELECT count(*) FROM ({old}))")
    assert (int(differ), int(count)) == (0, int(had))
    assert counters(result)["rows_deleted"] == 5000 - int(had) > 0


# ---- what goes wrong -----------------------------------------------------------------------------


def test_malformed_markers_are_told_and_left(dsr):
    dsr.mark(3, DAYS[0], user(3, 1))
    bad = ["shard=3/day=2026-13-01/_user_a_day_2026-02-01", "shard=3/day=2026-01-01/a",
           "shard=x/day=2026-01-01/_user_a_day_2026-02-01", "shard=7/day=2026-01-01/_user__day_2026-02-01"]
    for name in bad:
        dsr.markers.put(name)
    dsr.markers.put("shard=3/day=2026-01-01/.hidden")
    result = dsr.run("cleanup", "--json", status=1)
    assert counters(result)["markers_malformed"] == len(bad)
    dsr.check({3: ([user(3, 1)], DAYS[0], DAYS[0])})
    assert dsr.markers.names() == sorted([*bad, "shard=3/day=2026-01-01/.hidden"])
    assert "4 objects among the markers are no markers" in result.final["error"]


def test_a_file_that_fails_fails_its_shard_alone(dsr):
    broken = f"users/shard=3/day={DAYS[0]}/broken.parquet"
    dsr.data.put(broken, b"PAR1" + b"\x00" * 100 + b"PAR1")
    dsr.mark_range(3, user(3, 1), user(3, 8))
    dsr.mark(7, DAYS[0], user(7, 1))
    result = dsr.run("cleanup", "--json", status=1)
    erased = {3: ([user(3, 1), user(3, 8)], DAYS[0], DAYS[-1]), 7: ([user(7, 1)], DAYS[0], DAYS[0])}
    dsr.check(erased, unchecked=[broken])
    assert dsr.data.get(broken) == b"PAR1" + b"\x00" * 100 + b"PAR1"
    assert len(dsr.markers.names()) == 3 and len(dsr.archived()) == 1
    assert broken in result.text
    assert counters(result)["shards_failed"] == 1
    # What was erased is told, be the shard done with or not.
    said = [item["text"] for item in result.final["results"]]
    found = counters(result)
    assert [text for text in said if text.startswith("shard 3: failed, with ")]
    assert said[-1].startswith(f"1 of 2 shards done, with 1 user; erased in all: "
                               f"{found['rows_deleted']} rows; {found['files_rewritten']} files")
    dsr.data.remove(broken)
    dsr.run()
    dsr.check(erased, unchecked=[broken])
    assert dsr.markers.names() == [] and len(dsr.archived()) == 4
    assert sum(line["rows"] for line in dsr.records()) == dsr.check(erased, [broken])["rows"]


def test_a_file_without_the_column_is_never_taken_for_one_without_users(dsr):
    other = f"users/shard=3/day={DAYS[0]}/other.parquet"
    judge(f"COPY (SELECT 'user-3-1' AS userid) TO {literal(dsr.data.root / other)}; SELECT 1;")
    dsr.mark(3, DAYS[0], user(3, 1))
    result = dsr.run("cleanup", status=1)
    assert "other.parquet" in result.text and "'id'" in result.text
    assert len(dsr.markers.names()) == 1


@on_duckdb
@pytest.mark.parametrize("sql, says", [
    ({"lake": {"engine": "duckdb"}, "other": {"engine": "duckdb"}}, "there are 'lake', 'other'"),
    ({"lake": {"engine": "duckdb"}}, "there is 'lake'"),
    (None, "no section 'sql:'"),
])
def test_an_engine_that_is_not_there_is_told_before_anything_is_touched(dsr, sql, says):
    dsr.mark(3, DAYS[0], user(3, 1))
    if sql:
        dsr.configure()
        dsr.world.config(json.dumps({"sql": sql}), "20-sql.yaml")
    result = dsr.run("cleanup", status=2, engine="nope")
    assert "'nope'" in result.text and says in result.text
    dsr.check({})
    assert len(dsr.markers.names()) == 1
    assert dsr.archive.names() == []


def test_a_plan_of_a_table_that_was_emptied(dsr):
    everybody = sorted({path.split("/")[1] for path in dsr.data.names("cohorts/")})
    for name in dsr.data.names("cohorts/"):
        dsr.data.remove(name)
    for shard in everybody:
        name = f"cohorts/{shard}/day={DAYS[0]}/a.parquet"
        (dsr.data.root / name).parent.mkdir(parents=True, exist_ok=True)
        judge(f"COPY (SELECT 'u' AS user_id FROM range(9)) TO {literal(dsr.data.root / name)} "
              "(FORMAT parquet); SELECT 1;")
        dsr.mark(int(shard.split("=")[1]), DAYS[0], "u")
    dsr.run("plan")
    dsr.run()
    for folder in (dsr.data.root / "cohorts").glob("*"):
        shutil.rmtree(folder)
    dsr.mark(3, DAYS[0], "u")
    for words in (("plan",), ("cleanup", "--dry-run"), ("cleanup",)):
        assert "'cohorts' has no data any more" in dsr.run(*words).text
    dsr.tables["others"] = {"userIdColumn": "id"}
    for words in (("plan",), ("cleanup",)):
        assert "the table 'others' has no data" in dsr.run(*words, status=1).text


def test_two_runs_at_once(dsr):
    users = [user(3, n) for n in range(1, 60)]
    dsr.mark_range(3, *users)
    dsr.mark_range(7, user(7, 1), user(7, 2))
    runs = [dsr.start() for _ in range(2)]
    ends = []
    for run in runs:
        run.communicate(timeout=RUN_LIMIT_S)
        ends.append(run.returncode)
    dsr.world.pull()
    assert sorted(ends)[0] == 0 and set(ends) <= {0, 3}, ends
    erased = {3: (users, DAYS[0], DAYS[-1]), 7: ([user(7, 1), user(7, 2)], DAYS[0], DAYS[-1])}
    found = dsr.check(erased)
    dsr.check_nothing_left()
    assert dsr.markers.names() == []
    assert sum(line["rows"] for line in dsr.records()) == found["rows"]
