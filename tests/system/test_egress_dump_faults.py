"""'run-core egress dump' where something fails: a table, the database, the store, the run itself. What
is whole is told from what is not, and the next run puts it right."""
import signal
import time

import pytest
from api_world import until
from conftest import PATIENCE_S
from egress_world import PATIENT, Egress
from test_egress_dump import fill


@pytest.fixture
def egress(world, postgres, ceph, bucket):
    made = Egress(world, postgres, ceph, bucket)
    yield made
    made.end()


def finish(process, status):
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, (stdout + stderr).decode()
    return stdout.decode(), stderr.decode()


# Rows whose text is not made much smaller, so that parts of an upload are on their way; then a wait.
SLOW = "SELECT id, text FROM noise UNION ALL SELECT 0, pg_sleep(%s)::text"
NOISE = ("CREATE TABLE noise AS SELECT g AS id, md5(random()::text) || md5(random()::text) || "
         "md5(random()::text) || md5(random()::text) AS text FROM generate_series(1, 150000) g")


# ---- tables ------------------------------------------------------------------------------------


def test_failed_tables_are_named_and_the_others_finish(egress):
    fill(egress, "good", "forbidden", "locked", "also_good", rows=3)
    egress.sql("CREATE ROLE clerk LOGIN PASSWORD 'clerk'; GRANT SELECT ON good, locked, also_good "
               "TO clerk")
    try:
        for name in ["missing.csv.gz", "locked/part-00000.csv.gz", "other.csv.gz"]:
            egress.put(name)
        egress.world.environment.update(PGUSER="clerk", PGPASSWORD="clerk")
        with egress.session("BEGIN", "LOCK TABLE locked IN ACCESS EXCLUSIVE MODE"):
            result = egress.dump("--json", tables="good missing forbidden locked also_good",
                                 lock_timeout="1s", status=1)
        for name in ["missing", "forbidden", "locked"]:
            assert any(m["level"] == "error" and f"'{name}'" in m["message"]
                       for m in result.messages), result.text
        assert "3 of 5 tables failed" in result.final["error"]
        assert result.final["counters"]["tables_failed"] == 3
        assert egress.names() == ["_manifest.json", "also_good.csv.gz", "good.csv.gz",
                                  "other.csv.gz"]
        manifest = egress.manifest()
        assert manifest["complete"] is False
        assert [table["name"] for table in manifest["tables"] if table.get("error")] == [
            "missing", "forbidden", "locked"]
    finally:
        egress.sql("DROP OWNED BY clerk; DROP ROLE clerk")


def test_a_failure_is_told_at_once_and_only_once(egress):
    lines, told = [], ("missing", "bad")
    with egress.session("SELECT pg_advisory_lock(77)"):
        process = egress.start(tables="missing", connections=2,
                               queries={"bad": "SELECT 1 / 0", "slow": "SELECT pg_advisory_lock(77)"})
        while not all(any(f"Table '{name}': " in line for line in lines) for name in told):
            lines.append(process.stderr.readline().decode())
            assert lines[-1], lines
        assert process.poll() is None
    _, stderr = finish(process, 1)
    text = "".join(lines) + stderr
    assert text.count("Table 'missing': ") == text.count("Table 'bad': ") == 1
    assert "2 of 3 tables failed, the first of them 'missing'" in text


def test_a_query_that_breaks_in_the_middle_leaves_no_object(egress):
    egress.sql(NOISE)
    fill(egress, "good", rows=3)
    result = egress.dump(tables="good", status=1,
                         queries={"bad": "SELECT text, 1 / (id - 149999) FROM noise"})
    assert "division by zero" in result.text
    assert egress.names() == ["_manifest.json", "good.csv.gz"]
    assert egress.uploads() == []
    assert "Table 'bad': Dump uploaded" not in result.stdout


@pytest.mark.parametrize("change, rows", [
    ("TRUNCATE t", 0),
    ("ALTER TABLE t ALTER COLUMN id TYPE bigint", 3),
    ("BEGIN; ALTER TABLE t RENAME TO gone; ALTER TABLE u RENAME TO t; COMMIT", 5),
])
def test_a_table_that_is_changed_behind_the_snapshot_is_never_taken_for_empty(egress, change, rows):
    fill(egress, "t", rows=3)
    fill(egress, "u", rows=5)
    with egress.gate(tables="t", connections=1) as process:
        egress.sql(change)
    _, stderr = finish(process, 0)
    assert "beginning again with a new snapshot" in stderr
    assert len(egress.text("t.csv.gz").splitlines()) == rows
    assert egress.manifest()["complete"] is True


def test_one_snapshot_for_all_tables(egress):
    fill(egress, "t", rows=3)
    with egress.gate(tables="t", connections=1) as process:
        egress.sql("INSERT INTO t VALUES (99); DELETE FROM t WHERE id = 1")
    finish(process, 0)
    assert [line.split(b",")[0] for line in egress.text("t.csv.gz").splitlines()] == [
        b"1", b"2", b"3"]


# ---- the database ------------------------------------------------------------------------------


def test_a_wrong_password(egress):
    fill(egress, "t")
    egress.put("_manifest.json")
    egress.world.environment["PGPASSWORD"] = "not the password"
    result = egress.dump(tables="t", status=1)
    for known in ["'postgres'", "127.0.0.1", egress.database]:
        assert known in result.text
    assert "not the password" not in result.stderr + result.stdout
    assert egress.names() == ["_manifest.json"]


def test_a_table_whose_connection_breaks_is_dumped_again(egress):
    fill(egress, "t", rows=3)
    with egress.gate(tables="t") as process:
        pid, = egress.gated()
        egress.sql(f"SELECT pg_terminate_backend({pid})")
        until(lambda: pid not in egress.backends())
    stdout, stderr = finish(process, 0)
    assert "dumping what is left once more" in stderr
    told = [line for line in stderr.splitlines() if "Table 'slow': " in line]
    assert len(told) == 1 and "warn" in told[0] and "it is tried again" in told[0], stderr
    assert stdout.count("Table 'slow': Dump uploaded") == 1
    assert egress.check_manifest()["complete"] is True


def test_when_the_snapshot_is_lost_all_begins_again(egress):
    fill(egress, "t", rows=3)
    with egress.gate(tables="t") as process:
        pids = egress.backends()
        egress.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                   "application_name = 'run-core egress' AND datname = current_database()")
        until(lambda: not set(pids) & set(egress.backends()))
    _, stderr = finish(process, 0)
    assert "beginning again with a new snapshot" in stderr
    assert egress.check_manifest()["complete"] is True


def test_attempts_come_to_an_end(egress):
    fill(egress, "t", rows=3)
    process = egress.start(tables="t", attempts=2,
                           queries={"slow": "SELECT pg_sleep(30)"})
    for _ in range(2):
        pid = until(lambda: egress.backends("active", "%pg_sleep%"))[0]
        egress.sql(f"SELECT pg_terminate_backend({pid})")
        until(lambda: pid not in egress.backends())
    _, stderr = finish(process, 1)
    assert "1 of 2 tables failed" in stderr
    assert egress.names() == ["_manifest.json", "t.csv.gz"]
    assert egress.manifest()["complete"] is False


def test_a_server_that_is_not_there_is_waited_for_once(egress):
    egress.world.environment["PGPORT"] = "1"
    result = egress.dump(tables="any", connect_for="6s", status=1)
    assert "looking at the database once more" not in result.text


def test_a_server_that_is_gone_for_good_is_waited_for_once(egress):
    names = [f"t{number}" for number in range(40)]
    egress.sql("; ".join(f"CREATE TABLE {name} AS SELECT 1 AS id" for name in names))
    egress.sql(f"CREATE ROLE clerk LOGIN PASSWORD 'clerk'; GRANT SELECT ON {', '.join(names)} "
               "TO clerk")
    try:
        egress.world.environment.update(PGUSER="clerk", PGPASSWORD="clerk")
        process = egress.start(tables=" ".join(names), attempts=1, connections=1, connect_for="4s",
                               queries={"slow": "SELECT pg_sleep(30)"})
        pid = until(lambda: egress.backends("active", "%pg_sleep%"))[0]
        egress.sql("ALTER ROLE clerk CONNECTION LIMIT 0")
        egress.sql(f"SELECT pg_terminate_backend({pid})")
        start = time.monotonic()
        _, stderr = finish(process, 1)
        assert "41 of 41 tables failed" in stderr
        assert time.monotonic() - start < 120  # 160, were each of them waited for
    finally:
        egress.sql("DROP OWNED BY clerk; DROP ROLE clerk")


# ---- the store ---------------------------------------------------------------------------------


def test_an_object_that_the_store_refuses(egress, proxy):
    fill(egress, "good", "bad", rows=3)
    egress.world.environment["AWS_ENDPOINT_URL"] = proxy.endpoint
    proxy.rules.add(method="PUT|POST", target="bad", status=403, times=None,
                    body="<Error><Code>AccessDenied</Code></Error>")
    result = egress.dump(tables="good bad", status=1)
    assert "'bad'" in result.text
    assert egress.names() == ["_manifest.json", "good.csv.gz"]


def test_connections_to_the_store_that_break_are_of_no_account(egress, proxy):
    fill(egress, "a", "b", "c", rows=3)
    egress.world.environment["AWS_ENDPOINT_URL"] = proxy.endpoint
    proxy.rules.add(method="PUT", lost=True, times=2)
    proxy.rules.add(method="PUT", status=503, times=1)
    egress.dump(tables="a b c")
    assert egress.check_manifest()["complete"] is True


def test_a_bucket_that_is_not_there(egress):
    fill(egress, "t", rows=3)
    result = egress.dump(tables="t", output="s3://no-such-bucket-at-all/x", status=1)
    assert "no-such-bucket-at-all" in result.text


def test_keys_that_expire_meanwhile(egress, proxy):
    """Whatever the store still takes is whole; nothing says that the folder is complete."""
    fill(egress, "a", "b", "c", rows=3)
    egress.dump(tables="a b c")
    egress.world.environment["AWS_ENDPOINT_URL"] = proxy.endpoint
    proxy.rules.add(method="PUT", skip=1, status=403, times=None,
                    body="<Error><Code>ExpiredToken</Code></Error>")
    result = egress.dump(tables="a b c", connections=1, status=1)
    assert "'b'" in result.text and "'c'" in result.text
    assert egress.manifest() is None


def test_a_full_disk(egress, small_disk):
    egress.sql(NOISE)
    fill(egress, "good", rows=3)
    result = egress.dump(tables="noise good", connections=1, status=1,
                         output=f"file://{small_disk}/out")
    assert "No space left" in result.text and "'noise'" in result.text
    assert sorted(path.name for path in small_disk.rglob("*") if path.is_file()) == [
        "_manifest.json", "good.csv.gz"]


# ---- the run itself ----------------------------------------------------------------------------


def test_a_second_run_is_skipped_and_the_old_manifest_is_gone_meanwhile(egress):
    fill(egress, "t", rows=3)
    egress.dump(tables="t")
    first = egress.manifest()
    with egress.session("BEGIN", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        process = egress.start(tables="t")
        until(lambda: egress.backends("active", "COPY%"))
        assert egress.manifest() is None
        result = egress.dump(tables="t", status=3)
        assert "another run" in result.text
        assert egress.names() == ["t.csv.gz"]
    finish(process, 0)
    assert egress.manifest()["run_id"] != first["run_id"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_ended_in_the_middle(egress, number):
    egress.sql(NOISE)
    egress.world.config(PATIENT)
    process = egress.start("--job", "patient", queries={"slow": SLOW % 600})
    until(egress.parts)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_S)
    if number == signal.SIGTERM:
        assert process.returncode == 128 + number
        assert egress.uploads() == []
        until(lambda: egress.backends() == [])
    assert egress.names() == []

    egress.dump(queries={"slow": SLOW % 0})
    assert egress.uploads() == []
    assert len(egress.text("slow.csv.gz").splitlines()) == 150001
    assert egress.check_manifest()["complete"] is True


def test_a_run_that_is_killed_at_any_time(egress):
    """Whenever it dies, the next run puts the folder right."""
    egress.sql(NOISE)
    fill(egress, "a", "b", rows=1000)
    for pause_s in [0.05, 0.15, 0.3, 0.5, 0.8]:
        process = egress.start(tables="a noise b", split_objects="true")
        time.sleep(pause_s)
        process.kill()
        process.communicate()
        if egress.manifest():
            egress.check_manifest()
    egress.dump(tables="a noise b")
    assert egress.check_manifest()["complete"] is True
    assert egress.text("noise.csv.gz") == egress.copied("noise")
    assert egress.uploads() == []
