"""'run-core egress dump' with 'format: parquet': what the engine's official client reads in the
objects has to be what PostgreSQL holds; and what breaks off leaves no object."""
import hashlib
import json
import os
import subprocess
import time

import pytest
from conftest import PATIENCE_S, SOURCE
from api_world import until
from egress_world import DAY, PATIENT, Egress

pytestmark = pytest.mark.skipif(not os.environ.get("RUN_CORE_DUCKDB"),
                                reason="DuckDB's library is not there")


@pytest.fixture
def egress(world, postgres, ceph, bucket):
    made = Egress(world, postgres, ceph, bucket)
    yield made
    made.end()


class Lake:
    """Dumps of the database to a folder of this machine, and who reads them."""

    def __init__(self, egress):
        self.egress, self.root = egress, egress.world.root / "lake"
        self.folder = self.root / DAY

    def dump(self, *words, **settings):
        return self.egress.dump(*words, format="parquet", output=self.root.as_uri(), **settings)

    def names(self):
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*")
                      if path.is_file())

    def manifest(self):
        return json.loads((self.folder / "_manifest.json").read_text())

    def judge(self, sql):
        """The rows of a query over {folder}, each value as text, NULL as None."""
        if not os.environ.get("RUN_CORE_JUDGE"):
            pytest.skip("the engine's official client is not there")
        process = subprocess.run(
            ["node", str(SOURCE / "tests/support/judge.js")], capture_output=True, text=True,
            input=sql.replace("{folder}", str(self.folder)), timeout=300, check=False)
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    def rows(self, name, values="*"):
        return self.judge(f"SET TimeZone = 'UTC'; SELECT {values} FROM '{{folder}}/{name}.parquet'")

    def types(self, name):
        return [row[1] for row in self.judge(f"DESCRIBE FROM '{{folder}}/{name}.parquet'")]


@pytest.fixture
def lake(egress):
    return Lake(egress)


# ---- values --------------------------------------------------------------------------------------

TEXTS = r"""
CREATE TABLE texts (id int PRIMARY KEY, t text, json_ json, v varchar(9), c char(5));
INSERT INTO texts VALUES (1, NULL), (2, ''), (3, '\N'), (4, '\.'), (5, E'\\.\n\\.\n'), (6, E'\n'), (7, E'\r'),
    (8, E'\r\n'), (9, '"'), (10, '""'), (11, ','), (12, ' '), (13, 'NULL'), (14, E'a,"b"\n\n''c'''), (15, '\'),
    (16, E'\\N\n'), (17, 'e' || chr(769) || '𝄞👨‍👩‍👧'), (18, chr(65279) || 'bom'), (19, '#'), (20, '''');
INSERT INTO texts (id, t) SELECT 100 + g, 'a' || chr(g) || 'b' FROM generate_series(1, 255) g;
UPDATE texts SET json_ = json_build_object('t', t), v = left(t, 9), c = left(t, 5) WHERE id < 100;
"""


def test_texts_are_what_they_were(egress, lake):
    egress.sql(TEXTS)
    lake.dump(tables="texts")
    found = lake.rows("texts", "id, hex(encode(t)), hex(encode(json_)), hex(encode(v)), hex(encode(c))")
    wanted = egress.sql(
        "SELECT json_build_array(id, upper(encode(convert_to(t, 'UTF8'), 'hex')), "
        "upper(encode(convert_to(json_::text, 'UTF8'), 'hex')), "
        "upper(encode(convert_to(v, 'UTF8'), 'hex')), "
        "upper(encode(convert_to(rpad(c, 5), 'UTF8'), 'hex'))) FROM texts ORDER BY ctid")
    assert found == [json.loads(row) for row in wanted]
    assert lake.types("texts") == ["INTEGER"] + 4 * ["VARCHAR"]


# The type, that of Parquet, values; the same text of each in either SQL.
SAME_TEXT = [
    ("boolean", "BOOLEAN", ["true", "false"]),
    ("smallint", "SMALLINT", ["-32768", "0", "32767"]),
    ("integer", "INTEGER", ["-2147483648", "2147483647"]),
    ("bigint", "BIGINT", ["-9223372036854775808", "9223372036854775807"]),
    ("oid", "UINTEGER", ["0", "4294967295"]),
    ("numeric(10,2)", "DECIMAL(10,2)", ["-99999999.99", "0", "0.01", "'1.10'"]),
    ("numeric(38,0)", "DECIMAL(38,0)", ["'99999999999999999999999999999999999999'", "-1"]),
    ("numeric(38,37)", "DECIMAL(38,37)", ["'-9.9999999999999999999999999999999999999'"]),
    ("numeric(39,0)", "VARCHAR", ["'999999999999999999999999999999999999999'"]),
    ("numeric(3,-2)", "VARCHAR", ["99900"]), ("numeric(2,5)", "VARCHAR", ["0.00099"]),
    ("numeric", "VARCHAR", ["'NaN'", "'Infinity'", "1e-100", "'1.10'", "1e100"]),
    ("uuid", "UUID", ["'00000000-0000-0000-0000-000000000000'",
                      "'ffffffff-ffff-ffff-ffff-ffffffffffff'"]),
    ("date", "DATE", ["'0001-01-01'", "'2000-02-29'", "'5874897-12-31'"]),
    ("time", "TIME", ["'00:00'", "'24:00'", "'23:59:59.999999'"]),
    ("timestamp", "TIMESTAMP", ["'1969-12-31 23:59:59.999999'", "'10000-01-01 00:00'",
                                "'294247-01-10 04:00:54'"]),
    ("timestamptz", "TIMESTAMP WITH TIME ZONE", ["'2026-10-25 02:30:00 Europe/Prague'",
                                                 "'0001-01-01 00:00+00'"]),
    ("timetz", "VARCHAR", ["'24:00-15:59:59'"]), ("money", "VARCHAR", ["'-92233720368547758.08'"]),
    ("jsonb", "VARCHAR", ["'{\"b\": [1.50, null]}'"]), ("xml", "VARCHAR", ["'<a>é</a>'", "''"]),
    ("inet", "VARCHAR", ["'192.168.0.1/24'"]), ("mood", "VARCHAR", ["'it''s \"ok\"'"]),
    ("pair", "VARCHAR", ["ROW(7, E'a, \"b\"\\n')"]), ("pair[]", "VARCHAR", ["ARRAY[ROW(1, 'x')]::pair[]"]),
    ("int4range", "VARCHAR", ["'[1,10)'", "'empty'"]), ("bit varying", "VARCHAR", ["B'10'", "''"]),
    ("timestamptz[]", "VARCHAR", ["'{infinity}'"]), ("numeric[]", "VARCHAR", ["'{NaN,1.10}'"]),
    ("positive", "INTEGER", ["1"]), ("amount", "DECIMAL(6,3)", ["1.5"]),
]


def test_types_and_their_values(egress, lake):
    egress.sql("CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"'); CREATE TYPE pair AS (a int, b text);"
               "CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN amount AS numeric(6,3)")
    for i, (kind, _, values) in enumerate(SAME_TEXT):
        egress.sql(f"CREATE TABLE t{i} (v {kind}); INSERT INTO t{i} VALUES (NULL), "
                   + ", ".join(f"({value})" for value in values))
    lake.dump(tables=" ".join(f"t{i}" for i in range(len(SAME_TEXT))))
    found = lake.judge("SET TimeZone = 'UTC';" + " UNION ALL ".join(
        f"SELECT {i}, typeof(v), v::VARCHAR FROM '{{folder}}/t{i}.parquet'"
        for i in range(len(SAME_TEXT))))
    for i, (kind, stored, _) in enumerate(SAME_TEXT):
        wanted = [json.loads(row)[0] for row in egress.sql(
            f"SET TimeZone = 'UTC'; SELECT json_build_array(v::text) FROM t{i} ORDER BY ctid")]
        assert [row[1:] for row in found if row[0] == i] == [[stored, text] for text in wanted], kind


def test_types_whose_text_is_another_in_the_engine(egress, lake):
    egress.sql(r"""
        CREATE TABLE odd (id int, f real, d double precision, b bytea, i interval, bc date,
                          tbc timestamp, tzbc timestamptz);
        INSERT INTO odd VALUES (0); INSERT INTO odd VALUES
            (1, 'NaN', 'NaN', '', '1 year -2 mons 3 days -04:05:06.7', '4713-01-01 BC',
             '4713-01-01 00:00:00.5 BC', '4713-11-24 00:00:00 BC'),
            (2, 'Infinity', '-Infinity', '\x00ff5c2e22', '0', '0001-12-31 BC', '0044-03-15 12:00 BC',
             '0044-03-15 12:00+02 BC'),
            (3, '1e-45', '5e-324', decode(repeat('00ff0a2c', 100000), 'hex'), '-0.000001 s', 'today',
             'today', 'now'),
            (4, 16777217, 0.1::float8 + 0.2::float8, NULL, '178000000 years', NULL, NULL, NULL)""")
    lake.dump(tables="odd")
    assert lake.types("odd") == ["INTEGER", "FLOAT", "DOUBLE", "BLOB", "VARCHAR", "DATE",
                                 "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"]
    found = lake.rows("odd", "id, lower(md5(b)), i, epoch_us(bc)::VARCHAR, epoch_us(tbc)::VARCHAR, "
                             "epoch_us(tzbc)::VARCHAR, f::DOUBLE::VARCHAR, d::VARCHAR")
    micros = "(extract(epoch FROM {0}) * 1000000)::numeric(30)::text"
    wanted = [json.loads(row) for row in egress.sql(
        "SET IntervalStyle = iso_8601; SET TimeZone = 'UTC'; SELECT json_build_array(id, md5(b), "
        f"i::text, {micros.format('bc')}, {micros.format('tbc')}, {micros.format('tzbc')}, "
        "f::float8::text, d::text) FROM odd ORDER BY ctid")]
    assert [row[:6] for row in found] == [row[:6] for row in wanted]
    for mine, its in zip(found, wanted):
        for one, other in zip(mine[6:], its[6:]):
            assert one is other is None or one == other or float(one) == float(other) \
                or one.lower() == other.lower() == "nan"


def test_lists(egress, lake):
    egress.sql(r"""
        CREATE TABLE lists (id int, i int[], t text[], b boolean[], f float8[], u uuid[]);
        INSERT INTO lists VALUES (0); INSERT INTO lists VALUES (1, '{}', '{}', '{}', '{}', '{}'),
            (2, '{1,NULL,-3}', ARRAY['a,b', '', NULL, 'NULL', 'null', 'q"q', '\.', '\\', '{', '}', ' ', E'\n',
             'it''s', 'e' || chr(769), chr(769) || 'x', '[1]', '"']::text[], '{t,f,NULL}', '{0.1,-1e300}',
             '{00000000-0000-0000-0000-000000000001}')""")
    lake.dump(tables="lists")
    assert lake.types("lists") == ["INTEGER", "INTEGER[]", "VARCHAR[]", "BOOLEAN[]", "DOUBLE[]",
                                   "UUID[]"]
    found = lake.rows("lists", "to_json([id]), to_json(i), to_json(t), to_json(b), to_json(f), to_json(u)")
    wanted = [json.loads(row) for row in egress.sql(
        "SELECT json_build_array(ARRAY[id], i, t, b, f, u) FROM lists ORDER BY ctid")]
    assert [[value and json.loads(value) for value in row] for row in found] == wanted


@pytest.mark.parametrize("kind, value", [
    ("date", "infinity"), ("timestamp", "-infinity"), ("timestamptz", "infinity"),
    ("timestamp", "294276-12-31 23:59:59"), ("numeric(10,2)", "NaN"), ("int[]", "{{1,2},{3,4}}"),
    ("text[]", "[2:3]={a,b}"),
])
def test_a_value_that_parquet_cannot_hold(egress, lake, kind, value):
    egress.sql(f"""CREATE TABLE t (id int, "the 'one'" {kind}); INSERT INTO t VALUES (1, '{value}');
        CREATE TABLE good AS SELECT 1""")
    result = lake.dump(tables="t good", status=1)
    assert "Table 't'" in result.stderr and "column 'the 'one''" in result.stderr, result.stderr
    assert value in result.stderr and "::text" in result.stderr
    assert lake.names() == ["_manifest.json", "good.parquet"]
    assert lake.manifest()["complete"] is False
    lake.dump(queries={"t": "SELECT id, \"the 'one'\"::text FROM t"})
    assert lake.rows("t")[0][1] == value


def test_shapes(egress, lake):
    egress.sql("""CREATE TABLE nothing (id int, "Odd ""name"", é\n" text);
        CREATE TABLE none (); INSERT INTO none DEFAULT VALUES;
        CREATE TABLE p (id int) PARTITION BY RANGE (id);
        CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20);
        INSERT INTO p SELECT generate_series(0, 19); CREATE VIEW v AS SELECT id AS a, 1 AS "A" FROM p""")
    result = lake.dump(tables="nothing none p v", status=1)
    assert "Table 'none'" in result.stderr and "no columns" in result.stderr
    assert lake.rows("nothing") == []
    assert [row[0] for row in lake.judge("DESCRIBE FROM '{folder}/nothing.parquet'")] == [
        "id", 'Odd "name", é\n']
    assert lake.rows("p") == [[number] for number in range(20)]
    assert lake.rows("v", "count(*)") == [["20"]]
    manifest = lake.manifest()
    assert (manifest["format"], manifest["compression"]) == ("parquet", "zstd")
    assert "csv" not in manifest


def test_forms_of_csv_do_not_matter(egress, lake):
    egress.sql("CREATE TABLE t AS SELECT 1 AS a, 'é,;\"'::text AS b, NULL::int AS c, ''::text AS d")
    lake.dump(tables="t", header="true", delimiter=";", null_string="x", force_quote="true",
              encoding="LATIN1", compression="none")
    assert lake.rows("t") == [[1, 'é,;"', None, ""]]


# ---- more than a few rows ------------------------------------------------------------------------

LARGE = ("CREATE TABLE large AS SELECT g AS id, repeat(md5(g::text), 20) || E'\\n\"' AS text, "
         "CASE WHEN g % 3 > 0 THEN g / 7.0::float8 END AS value FROM generate_series(1, {0}) g; "
         "ANALYZE large")


def test_a_table_larger_than_the_engines_memory(egress, lake):
    """It would not go through if anything of it stayed behind in the engine."""
    egress.sql(LARGE.format(300000))
    lake.dump(tables="large", connections=3)
    assert lake.judge("SELECT count(*), bool_and(id = file_row_number + 1), count(value), "
                      "bool_and(text = repeat(md5(id::VARCHAR), 20) || chr(10) || '\"') "
                      "FROM read_parquet('{folder}/large.parquet', file_row_number = true)") == [
        ["300000", True, "200000", True]]
    manifest = lake.manifest()
    item = manifest["tables"][0]["objects"][0]
    data = (lake.folder / item["key"]).read_bytes()
    assert item["stored_bytes"] == len(data) and item["rows"] == 300000
    assert item["sha256"] == hashlib.sha256(data).hexdigest()
    result = egress.world.run("egress", "verify", "--set", f"folder={lake.folder}")
    assert result.status == 0 and "300000 rows" in result.stdout, result.text


def test_to_a_bucket_in_objects_of_their_own(egress, lake):
    egress.sql("""CREATE TABLE p (id int, text text) PARTITION BY LIST (id);
        CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p_2 PARTITION OF p DEFAULT;
        INSERT INTO p SELECT g, 'row ' || g FROM generate_series(1, 5000) g""")
    egress.dump(tables="p", format="parquet", split_objects="true", memory="512MiB")
    assert egress.names() == ["_manifest.json", "p/part-00000.parquet", "p/part-00001.parquet"]
    egress.check_manifest()
    head = egress.s3.head_object(Bucket=egress.bucket, Key=f"dumps/{DAY}/p/part-00000.parquet")
    assert head["ContentType"] == "application/vnd.apache.parquet"
    result = egress.world.run("egress", "verify", "--set", f"date={DAY}")
    assert result.status == 0 and "5000 rows" in result.stdout, result.text
    lake.folder.mkdir(parents=True)
    for part in [0, 1]:
        (lake.folder / f"{part}.parquet").write_bytes(egress.get(f"p/part-0000{part}.parquet"))
    assert lake.rows("*", "count(*), sum(id), max(text)") == [["5000", "12502500", "row 999"]]


def test_rows_as_wide_as_memory_lets_them(egress, lake):
    """A long value goes through where there is memory for it, and says what to do where not."""
    egress.sql("""CREATE TABLE wide (id int, t text, b bytea);
        ALTER TABLE wide ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
        INSERT INTO wide VALUES (1, repeat(E'a"\\n,', 3000000), NULL), (2, 'x', '\\x00'),
                                (3, '', decode(repeat('ff00', 4000000), 'hex'))""")
    result = lake.dump(tables="wide", status=1)
    assert "raise 'memory'" in result.stderr, result.stderr
    assert lake.names() == ["_manifest.json"]
    lake.dump(tables="wide", memory="1GiB")
    found = lake.rows("wide", "id, md5(t), md5(b)")
    wanted = [json.loads(row) for row in egress.sql(
        "SELECT json_build_array(id, md5(t), md5(b)) FROM wide ORDER BY ctid")]
    assert found == wanted


# ---- what breaks off -----------------------------------------------------------------------------

SLOW = "SELECT g, repeat(md5(g::text), 30), pg_sleep(CASE WHEN g > 60000 THEN 0.1 ELSE 0 END)::text " \
       "FROM generate_series(1, 70000) g"


def test_a_copy_that_fails_leaves_no_object(egress, lake):
    egress.sql("CREATE TABLE good AS SELECT 1 AS id")
    lake.dump(queries={"bad": "SELECT 1 AS id, repeat('x', 1000) AS text"})
    result = lake.dump(tables="good", status=1, queries={
        "bad": "SELECT 1 / (150000 - g) AS id, repeat(md5(g::text), 5) AS text "
               "FROM generate_series(1, 200000) g"})
    assert "division by zero" in result.stderr
    assert lake.names() == ["_manifest.json", "good.parquet"]


def test_a_connection_that_breaks_leaves_no_object(egress):
    process = egress.start(format="parquet", attempts="1", queries={"slow": SLOW})
    until(lambda: egress.backends("active", "COPY%"))
    time.sleep(0.5)
    for pid in egress.backends("active", "COPY%"):
        egress.sql(f"SELECT pg_terminate_backend({pid})")
    out, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, out + said
    assert egress.names() == ["_manifest.json"] and egress.uploads() == []


def test_a_run_that_is_asked_to_stop(egress):
    egress.world.config(PATIENT)
    process = egress.start("--job", "patient", format="parquet", queries={"slow": SLOW})
    until(lambda: egress.backends("active", "COPY%"))
    time.sleep(0.5)
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + 15
    assert egress.names() == [] and egress.uploads() == []


def test_without_the_engine(egress, lake):
    egress.sql("CREATE TABLE t AS SELECT 1 AS id")
    egress.world.environment["RUN_CORE_DUCKDB"] = "/nowhere/lib.so"
    result = lake.dump(tables="t", status=1)
    assert "/nowhere/lib.so" in result.stderr and "parquet" in result.stderr, result.stderr
    assert not lake.root.exists()
