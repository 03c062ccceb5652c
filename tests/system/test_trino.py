"""Statements on a real Trino server, where it is there: with 'tests/run --interop'."""

import json
import os
import time

import pytest
import trino as trino_server
from conftest import PATIENCE_S
from test_engines import base, tables  # noqa: F401, the first is a fixture

pytestmark = pytest.mark.skipif(not trino_server.is_installed(), reason="Trino is not there")

# Of each type a value, and how it comes: a list of a text are bytes.
TYPES = {
    "true": True,
    "CAST(NULL AS boolean)": None,
    "NULL": None,
    "TINYINT '-128'": -128,
    "SMALLINT '32767'": 32767,
    "INTEGER '-2147483648'": -2147483648,
    "9223372036854775807": 9223372036854775807,
    "-9007199254740993": -9007199254740993,
    "1e300": 1e300,
    "-1.7976931348623157e308": -1.7976931348623157e308,
    "4.9e-324": 5e-324,
    "CAST(0.1 AS double)": 0.1,
    "nan()": "nan",
    "-infinity()": "-inf",
    "REAL '0.1'": 0.10000000149011612,
    "CAST(nan() AS real)": "nan",
    "DECIMAL '-1.50'": "-1.50",
    "DECIMAL '99999999999999999999999999999999999999'": "9" * 38,
    "''": "",
    "'é漢😀 \"\\ ''\n\t'": "é漢😀 \"\\ '\n\t",
    "U&'a\\0000b'": "a\0b",
    "CAST('ab' AS char(4))": "ab  ",
    "X''": [""],
    "X'00ff0a'": ["00ff0a"],
    "DATE '2026-02-28'": "2026-02-28",
    "TIME '01:02:03.456'": "01:02:03.456",
    "TIMESTAMP '2026-01-02 03:04:05.123456'": "2026-01-02 03:04:05.123456",
    "TIMESTAMP '2026-01-02 03:04:05.123456789012'": "2026-01-02 03:04:05.123456789012",
    "TIMESTAMP '2026-01-02 03:04:05 Europe/Prague'": "2026-01-02 03:04:05 Europe/Prague",
    "current_timezone()": "UTC",
    "INTERVAL '1' DAY": "1 00:00:00.000",
    "JSON '{\"a\": [1, null]}'": '{"a":[1,null]}',
    "ARRAY[1, NULL]": "[1,null]",
    "MAP(ARRAY['k'], ARRAY[ARRAY['v']])": '{"k":["v"]}',
    "ROW(1, 'x')": '[1,"x"]',
    "UUID '12151fd2-7586-11e9-8f9e-2a86e4085a59'": "12151fd2-7586-11e9-8f9e-2a86e4085a59",
    "IPADDRESS '10.0.0.1'": "10.0.0.1",
}


class Engine:
    """An engine of the configuration, and a job that asks it."""

    def __init__(self, world, url, **settings):
        self.world = world
        self.out = world.root / "rows"
        self.settings = {"engine": "trino", "url": url, "user": "tests", "shares_files": True,
                         "work": f"file://{world.root}/left/", **settings}

    def configure(self, statements, **options):
        self.world.config(json.dumps({
            "sql": {"there": self.settings},
            "jobs": {"ask": {"plugin": "sql", "config": {
                "engine": "there", "out": str(self.out), "statements": statements, **options}}},
        }))

    def run(self, *statements, **options):
        self.configure(list(statements), **options)
        return self.world.run("run", "ask", "--log-level", "debug")

    def rows(self, *statements, **options):
        result = self.run(*statements, **options)
        assert result.status == 0, result.text
        with open(self.out, encoding="utf-8") as file:  # a line may have a line separator in it
            return [json.loads(line) for line in file.read().split("\n")[:-1]]

    def refused(self, *statements):
        result = self.run(*statements)
        assert result.status != 0, result.text
        return result.messages[-1]["message"]


@pytest.fixture
def engine(world, trino):
    return Engine(world, trino.url)


def state_of(trino, mark, wanted):
    """The state of the query with that text in it, once it is one of those."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = trino.query(f"SELECT state, error_code FROM system.runtime.queries WHERE query LIKE "
                            f"'%{mark}%' AND query NOT LIKE '%system.runtime%'")
        if found and found[0][0] in wanted:
            return found[0]
        assert time.monotonic() < end, found
        time.sleep(0.2)


def mark():
    return f"mark_{os.urandom(6).hex()}"


# ---- rows ------------------------------------------------------------------------------------


def test_every_type_comes_as_what_it_is(engine):
    expressions = ", ".join(f"{text} AS c{i}" for i, text in enumerate(TYPES))
    (row,) = engine.rows(f"SELECT {expressions}")
    for text, expected, got in zip(TYPES, TYPES.values(), row, strict=True):
        assert (type(got), got) == (type(expected), expected), text


def test_large_results_are_streamed(engine):
    """What is in memory is a page, however much there is."""
    text = ("SELECT a.n * 1000 + b.n AS id, rpad('', 200, cast(a.n AS varchar)) AS padding FROM "
            "UNNEST(sequence(0, 999)) a(n) CROSS JOIN UNNEST(sequence(0, 999)) b(n)")
    engine.configure([text], out=None)
    process = engine.world.start("run", "ask", env={
        "ASAN_OPTIONS": "quarantine_size_mb=1:detect_leaks=0:handle_segv=0"})
    _, stderr = process.stdout.read(), process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, stderr
    assert json.loads(stderr.splitlines()[-1])["rows"] == "1000000"
    assert usage.ru_maxrss < 150 * 1024  # KiB; the result has more than 200 MB


def test_no_rows_and_no_columns(engine):
    assert engine.rows("SELECT 1 AS a WHERE false") == []
    schema = f"{mark()}"
    # Later releases say nothing when all went well.
    said = [] if trino_server.version() >= 450 else [[True], [True]]
    assert engine.rows(f"CREATE SCHEMA hive.{schema}", f"DROP SCHEMA hive.{schema}") == said


# ---- sessions --------------------------------------------------------------------------------


def test_settings_reach_the_server(engine, trino):
    name = mark()
    engine.settings |= {"source": name, "client_tags": ["one", "two"], "catalog": "hive_s3",
                        "database": "somewhere", "session": {"query_max_run_time": "77s",
                                                             "hive_s3.compression_codec": "LZ4"}}
    rows = engine.rows("SHOW SESSION LIKE 'query_max_run_time'",
                       "SHOW SESSION LIKE 'hive_s3.compression_codec'",
                       "SELECT current_catalog, current_schema, current_user")
    assert [row[:2] for row in rows[:2]] == [["query_max_run_time", "77s"],
                                             ["hive_s3.compression_codec", "LZ4"]]
    assert rows[2] == ["hive_s3", "somewhere", "tests"]
    assert trino.query(f"SELECT DISTINCT \"user\" FROM system.runtime.queries "
                       f"WHERE source = '{name}'") == [["tests"]]


def test_what_statements_set_holds_for_later_ones(engine):
    rows = engine.rows(
        "SET SESSION query_max_run_time = '66s'",
        "SHOW SESSION LIKE 'query_max_run_time'",
        "RESET SESSION query_max_run_time",
        "SHOW SESSION LIKE 'query_max_run_time'",
        "USE memory.information_schema",
        "SELECT current_catalog, current_schema",
        "PREPARE p FROM SELECT ? + 1 AS n",
        "EXECUTE p USING 41",
        "DEALLOCATE PREPARE p",
        "START TRANSACTION READ ONLY",
        "SELECT 'within'",
        "COMMIT",
        "SELECT 'behind'",
    )
    rows = [row for row in rows if row != [True]]
    assert [row[1] for row in rows[:2]] == ["66s", "100.00d"]
    assert rows[2:] == [["memory", "information_schema"], [42], ["within"], ["behind"]]


def test_timestamps_are_read_to_the_microsecond(engine, trino):
    with trino.schema("hive") as schema:
        trino.query(f"CREATE TABLE hive.{schema}.t AS SELECT TIMESTAMP '2026-01-01 00:00:00.123456' "
                    "AS at", hive__timestamp_precision="MICROSECONDS")
        assert engine.rows(f"SELECT at FROM hive.{schema}.t") == [["2026-01-01 00:00:00.123456"]]


# ---- ends ------------------------------------------------------------------------------------

FOREVER = ("SELECT count(*) AS {} FROM UNNEST(sequence(1, 10000)) a(n) CROSS JOIN "
           "UNNEST(sequence(1, 10000)) b(n) CROSS JOIN UNNEST(sequence(1, 10000)) c(n)")


def test_a_run_that_is_stopped_ends_its_query(engine, trino):
    name = mark()
    engine.configure([FOREVER.format(name)])
    process = engine.world.start("run", "ask")
    assert state_of(trino, name, ["RUNNING"])
    process.terminate()
    stderr = process.communicate(timeout=PATIENCE_S)[1].decode()
    assert json.loads(stderr.splitlines()[-1])["message"].endswith("the run was asked to stop"), stderr
    assert state_of(trino, name, ["FAILED"]) == ["FAILED", "USER_CANCELED"]


def test_rows_that_nobody_reads_end_their_query(engine, trino):
    name = mark()
    rows = engine.rows(f"SELECT a.n * 1000 + b.n AS {name} FROM UNNEST(sequence(0, 9999)) a(n) "
                       "CROSS JOIN UNNEST(sequence(0, 9999)) b(n)", limit=3)
    assert len(rows) == 3
    assert state_of(trino, name, ["FAILED"]) == ["FAILED", "USER_CANCELED"]


def test_a_statement_ends_when_its_time_is_up(engine, trino):
    name = mark()
    engine.settings["query_timeout"] = "3s"
    assert "the statement was not done within 3s, its 'query_timeout'" in engine.refused(
        FOREVER.format(name))
    assert state_of(trino, name, ["FAILED"]) == ["FAILED", "USER_CANCELED"]


def test_the_server_begins_when_it_is_first_asked(trino):
    """What lets a statement be sent again of whose answer nothing was seen: it is not carried out."""
    name = mark()
    client = trino.client()
    status, _, said = client.request("POST", f"{client.url}/v1/statement",
                                     f"CREATE SCHEMA hive.{name}".encode())
    assert status == 200 and json.loads(said)["nextUri"]
    time.sleep(3)
    assert [name] not in trino.query("SHOW SCHEMAS FROM hive")


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("statement, words", [
    ("SELEC 1", "Trino: SYNTAX_ERROR: line 1:1: mismatched input 'SELEC'"),
    ("SELECT * FROM hive.nowhere.t", "Trino: SCHEMA_NOT_FOUND: line 1:15: Schema 'nowhere'"),
    ("SELECT * FROM nowhere.a.t", "Trino: CATALOG_NOT_FOUND: line 1:15: Catalog 'nowhere'"),
    ("SELECT 1 / 0", "Trino: DIVISION_BY_ZERO: Division by zero"),
    ("SELECT fail('on\npurpose')", "Trino: GENERIC_USER_ERROR: on purpose"),
])
def test_failures_say_what_and_where(engine, statement, words):
    message = engine.refused(statement)
    assert words in message and "query 20" in message and "/ui/query.html?20" in message


def test_a_property_that_there_is_not(engine):
    engine.settings["session"] = {"no_such_thing": "1"}
    assert "INVALID_SESSION_PROPERTY" in engine.refused("SELECT 1")


def test_tables_of_a_session(world, base, trino):  # noqa: F811
    world.config("sql:\n  far:\n    engine: trino\n    user: tests\n    shares_files: true\n"
                 f"    url: '{trino.url}'\n    catalog: hive\n    work: 'file://{world.root}/sessions/'\n")
    result = tables(world, base, "--set", "publish=false")
    assert result.status == 0, result.stderr
    assert result.stdout == "files: 3 rows\nmade: 2 rows\nloaded: 2 rows\n"
    assert [path for path in (world.root / "sessions").rglob("*") if path.is_file()] == []


def test_a_catalogue_that_has_no_tables_over_files(world, base, trino):  # noqa: F811
    world.config("sql:\n  far:\n    engine: trino\n    user: tests\n    shares_files: true\n"
                 f"    url: '{trino.url}'\n    catalog: iceberg\n"
                 f"    work: 'file://{world.root}/sessions/'\n")
    result = tables(world, base, "--set", "publish=false")
    assert result.status == 2
    assert f"make a table over '{base}'" in result.text
    assert "INVALID_TABLE_PROPERTY" in result.text and "name one of the Hive connector" in result.text


def test_no_server(world):
    assert "cannot connect" in Engine(world, "http://127.0.0.1:1").refused("SELECT 1")


# ---- who may ---------------------------------------------------------------------------------


def secured(world, trino_tls, **settings):
    return Engine(world, trino_tls.url, ca_file=str(trino_tls.authority), **settings)


def test_a_password_proves_the_user(world, trino_tls):
    user, password = trino_server.USER
    engine = secured(world, trino_tls, user=user, password=password)
    assert engine.rows("SELECT current_user") == [[user]]
    assert password not in engine.run("SELECT 1").stderr

    engine = secured(world, trino_tls, user=user, password="wrong")
    assert "HTTP 401" in engine.refused("SELECT 1")
    engine = secured(world, trino_tls)
    assert "HTTP 401" in engine.refused("SELECT 1")


def test_a_token_proves_the_user(world, trino_tls):
    token = trino_server.token()
    engine = secured(world, trino_tls, token=token)
    del engine.settings["user"]
    assert engine.rows("SELECT current_user") == [[trino_server.USER[0]]]
    assert token not in engine.run("SELECT 1").stderr

    engine = secured(world, trino_tls, token=trino_server.token(lifetime_s=-60))
    assert "HTTP 401" in engine.refused("SELECT 1")


def test_the_server_has_to_prove_itself(world, trino_tls):
    user, password = trino_server.USER
    engine = Engine(world, trino_tls.url, user=user, password=password)
    assert "name that authority's certificate as ca_file" in engine.refused("SELECT 1")


def test_credentials_are_not_sent_in_the_clear(world):
    engine = Engine(world, "http://trino.example.org:8080", password="secret")
    engine.configure(["SELECT 1"])
    result = world.run("check")
    assert result.status != 0
    assert "by https alone" in result.stdout + result.stderr
