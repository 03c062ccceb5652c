"""'run-core egress dump' on a real database and a real bucket: the objects, judged by PostgreSQL's
own COPY; what is said; what stays of earlier runs. Faults are in test_egress_dump_faults.py."""
import gzip
import json
import os
import subprocess
from pathlib import Path

import postgres as postgres_server
import pytest
from conftest import PATIENCE_S
from egress_world import DAY, NOW, Egress


@pytest.fixture
def egress(world, postgres, ceph, bucket):
    made = Egress(world, postgres, ceph, bucket)
    yield made
    made.end()


def fill(egress, *names, rows=1000):
    for name in names:
        egress.sql(f"CREATE TABLE {name} AS SELECT g AS id, 'row ' || g AS name, "
                   f"CASE WHEN g % 3 = 0 THEN NULL ELSE g / 7.0 END AS value "
                   f"FROM generate_series(1, {rows}) g; ANALYZE {name}")


# Of so many pages that it is read in several ranges; values that take their time to be compressed.
LARGE = ("CREATE TABLE large AS SELECT g AS id, repeat(md5(g::text), 30) AS text "
         "FROM generate_series(1, 40000) g; ANALYZE large")


# ---- as the seed had it ------------------------------------------------------------------------


def test_the_seeds_environment_gives_the_seeds_objects_and_lines(world, egress):
    fill(egress, "tally_snapshots", "subscription_capacity")
    world.environment["TABLES"] = "tally_snapshots subscription_capacity"
    result = egress.dump()
    assert egress.names() == ["_manifest.json", "subscription_capacity.csv.gz",
                              "tally_snapshots.csv.gz"]
    for table in ["tally_snapshots", "subscription_capacity"]:
        assert egress.text(f"{table}.csv.gz") == egress.copied(table)
        head = egress.s3.head_object(Bucket=egress.bucket, Key=f"dumps/{DAY}/{table}.csv.gz")
        assert head["ContentType"] == "application/gzip"
        assert "ContentEncoding" not in head
        started = f"Table '{table}': Data collection started."
        uploaded = f"Table '{table}': Dump uploaded to intermediate storage."
        lines = result.stdout.splitlines()
        assert lines.index(started) < lines.index(uploaded)
    assert len(lines) == 5 and lines[-1] == "Success."


def test_the_manifest_says_what_there_is(egress):
    fill(egress, "a", "b", rows=10)
    egress.dump(tables="a public.b")
    manifest = egress.check_manifest()
    assert manifest["complete"] is True
    assert manifest["nominal"] == NOW
    assert manifest["database"] == egress.database
    assert [table["name"] for table in manifest["tables"]] == ["a", "public.b"]
    first = manifest["tables"][0]
    assert (first["schema"], first["relation"]) == ("public", "a")
    assert [column["name"] for column in first["columns"]] == ["id", "name", "value"]
    assert first["objects"][0]["rows"] == 10
    assert first["objects"][0]["bytes"] == len(egress.copied("a"))


def test_a_large_table_is_read_in_ranges_and_comes_in_order(egress):
    egress.sql(LARGE)
    # What was deleted and what is newer than the statistics must not matter.
    egress.sql("DELETE FROM large WHERE id BETWEEN 9000 AND 21000; "
               "INSERT INTO large SELECT g, repeat('n', 900) FROM generate_series(1, 9000) g")
    plan = json.loads(egress.dump("--dry-run", "--json", tables="large", connections=3).stdout)
    assert plan["results"][0]["columns"][3] == "pieces"
    assert int(plan["results"][0]["rows"][0][3]) == 3
    egress.dump(tables="large", connections=3)
    assert egress.text("large.csv.gz") == egress.copied("large")


def test_the_date_is_the_slots_in_the_jobs_time_zone(world, egress):
    fill(egress, "t", rows=1)
    world.config("jobs: {nightly: {plugin: egress, action: dump, time_zone: Europe/Prague, "
                 "config: {tables: t, path: '{year}/{month}/{date}-{hour}/{table}'}}}")
    result = world.run("run", "nightly", "--now", f"{DAY}T23:30:00Z")
    assert result.status == 0, result.text
    assert egress.keys() == ["dumps/2026/11/2026-11-21-00/_manifest.json",
                             "dumps/2026/11/2026-11-21-00/t.csv.gz"]


# ---- what is dumped ----------------------------------------------------------------------------

TYPES = r'''
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'ha, ha');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE types (
    id int, dropped int, text_ text, char_ char(5), varchar_ varchar(9), bytea_ bytea, bool_ bool,
    small_ smallint, big_ bigint, numeric_ numeric, real_ real, double_ double precision, money_ money,
    date_ date, time_ time, timetz_ timetz, timestamp_ timestamp, timestamptz_ timestamptz,
    interval_ interval, uuid_ uuid, json_ json, jsonb_ jsonb, xml_ xml, inet_ inet, cidr_ cidr,
    mac_ macaddr, bit_ bit(3), varbit_ varbit, point_ point, polygon_ polygon, tsvector_ tsvector,
    ints int[], texts text[], mood_ mood, pair_ pair, pairs pair[], positive_ positive,
    range_ int4range, tsrange_ tstzrange, multi int4multirange, oid_ oid, "Odd ""name"", é" text,
    generated int GENERATED ALWAYS AS (id * 2) STORED);
ALTER TABLE types DROP COLUMN dropped;
INSERT INTO types (id) VALUES (0);
INSERT INTO types VALUES (1, '', '', '', '', false, -32768, -9223372036854775808, 'NaN', 'NaN', '-Infinity',
    -1.5, '-infinity', '00:00', '24:00:00-15:59', 'infinity', '-infinity', '-178000000 years',
    '00000000-0000-0000-0000-000000000000', '""', 'null', '', '::/0', '::/0', '00:00:00:00:00:00', '000', '',
    '(-0,1e300)', '((0,0))', '', '{}', '{}', 'sad', '(,)', '{}', 1, 'empty', '(,)', '{}', 0, '');
INSERT INTO types VALUES (2, E'line\nbreak\rand\ttab, "quoted" \\. \\N NULL', ' x ', 'ü€𝄞', '\x00ff0a0d2c22', true,
    32767, 9223372036854775807, '123456789012345678901234567890.000000000000000000000001', 3.4028235e38,
    2.2250738585072014e-308, 92233720368547758.07, '4713-01-01 BC', '23:59:59.999999', '12:00+15:59',
    '294276-12-31 23:59:59.999999', '4713-11-24 00:00:00 BC', '1 year -2 mons 3 days -04:05:06.7',
    'ffffffff-ffff-ffff-ffff-ffffffffffff', E'{"a": "\\u00e9, \\"x\\"",\n "b": [1, 2]}', '{"b": [1.50, null]}',
    '<a b="c">d, é</a>', '192.168.0.1/24', '10.0.0.0/8', 'ff:ff:ff:ff:ff:ff', '101', '10110', '(1.5,-2)',
    '((0,0),(1,1),(2,0))', $$'a,b':1A "c":2$$, '{{1,NULL},{3,4}}', $${"a,b","","NULL",NULL,"q\"q","\\."}$$,
    'it''s "ok"', '(7,"a, ""b""")', '{"(1,x)",NULL}', 5, '[1,10)', '["2020-01-01 00:00+02",)', '{[1,2),[5,)}',
    4294967295, 'last');
INSERT INTO types (id, text_) SELECT 1000 + g, 'a' || chr(g) || 'b' FROM generate_series(1, 255) g;
INSERT INTO types (id, text_) VALUES (3, '\.'), (4, E'\\.\n\\.'), (5, E'\n'), (6, ','), (7, '"'), (8, 'NULL');
INSERT INTO types (id, bytea_) SELECT 9, decode(repeat('00ff5c22', 500000), 'hex');
'''


def test_every_type_comes_back_by_copy_from(egress):
    egress.sql(TYPES)
    egress.dump(tables="types")
    text = egress.text("types.csv.gz")
    egress.sql("CREATE TABLE back (LIKE types INCLUDING GENERATED)")
    columns = egress.sql("SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM "
                         "pg_attribute WHERE attrelid = 'types'::regclass AND attnum > 0 AND "
                         "NOT attisdropped AND attgenerated = ''")[0]
    subprocess.run([egress.postgres.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c",
                    f"COPY back ({columns}) FROM STDIN WITH (FORMAT csv)",
                    egress.postgres.url(egress.database)], input=text, check=True)
    for one, other in [("types", "back"), ("back", "types")]:
        assert egress.sql(f"SELECT id FROM (SELECT t.id, t::text FROM {one} t EXCEPT ALL "
                          f"SELECT t.id, t::text FROM {other} t) x") == []
    assert egress.sql("SELECT count(*) FROM back") == ["265"]


def test_partitions_views_and_inheritance(egress):
    egress.sql("""
        CREATE TABLE p (id int, dropped int, kind text) PARTITION BY LIST (kind);
        ALTER TABLE p DROP COLUMN dropped;
        CREATE TABLE p_b PARTITION OF p FOR VALUES IN ('b');
        CREATE TABLE p_a (kind text, id int);
        ALTER TABLE p ATTACH PARTITION p_a FOR VALUES IN ('a');
        CREATE TABLE p_rest PARTITION OF p DEFAULT PARTITION BY RANGE (id);
        CREATE TABLE p_low PARTITION OF p_rest FOR VALUES FROM (0) TO (10);
        INSERT INTO p SELECT g, (ARRAY['a', 'b', 'c'])[1 + g % 3] FROM generate_series(0, 8) g;
        CREATE TABLE parent (id int); CREATE TABLE child (more int) INHERITS (parent);
        INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3);
        CREATE VIEW v AS SELECT id * 10 AS ten FROM p ORDER BY id DESC;
        CREATE MATERIALIZED VIEW m AS SELECT * FROM p;
        CREATE TABLE none (); INSERT INTO none DEFAULT VALUES""")
    egress.dump(tables="p parent child v m none")
    assert sorted(egress.text("p.csv.gz").split()) == sorted(
        egress.psql("COPY (SELECT * FROM p) TO STDOUT WITH (FORMAT csv)").split())
    assert egress.text("parent.csv.gz") == b"1\n"
    assert egress.text("child.csv.gz") == b"2,3\n"
    assert egress.text("v.csv.gz") == egress.copied("(SELECT * FROM v)")
    assert egress.text("m.csv.gz") == egress.copied("(SELECT * FROM m)")
    assert egress.text("none.csv.gz") == b"\n"
    egress.check_manifest()


def test_queries(egress):
    fill(egress, "t", rows=5)
    egress.dump(header="true", queries={
        "odd/name": "SELECT id, name FROM t WHERE id > 3 ORDER BY id; ", "one": "VALUES (1) -- one"})
    assert egress.names() == ["_manifest.json", "odd%2Fname.csv.gz", "one.csv.gz"]
    assert egress.text("odd%2Fname.csv.gz") == b"id,name\n4,row 4\n5,row 5\n"
    assert egress.text("one.csv.gz") == b"column1\n1\n"
    egress.check_manifest()


def test_patterns(egress):
    egress.sql("CREATE SCHEMA audit")
    fill(egress, "a1", "a2", "b1", "audit.a3", '"A ""4"""', rows=1)
    egress.dump(tables="*", exclude="a2")
    assert egress.names() == ['A "4".csv.gz', "_manifest.json", "a1.csv.gz", "audit.a3.csv.gz",
                              "b1.csv.gz"]


@pytest.mark.parametrize("settings, options", [
    ({"header": "true"}, ", HEADER"),
    ({"delimiter": ";", "null_string": "\\N"}, ", DELIMITER ';', NULL '\\N'"),
    ({"force_quote": "true", "header": "true"}, ", FORCE_QUOTE *, HEADER"),
    ({"encoding": "LATIN1"}, ", ENCODING 'LATIN1'"),
])
def test_forms_of_csv_are_those_of_copy(egress, settings, options):
    fill(egress, "t")
    egress.sql("INSERT INTO t VALUES (0, 'é; \\N', NULL)")
    egress.dump(tables="t", **settings)
    assert egress.text("t.csv.gz") == egress.copied("t", options)


@pytest.mark.parametrize("compression, ending, program", [
    ("gzip:1", ".csv.gz", ["gzip", "-dc"]), ("zstd", ".csv.zst", ["zstd", "-dc"]),
    ("none", ".csv", ["cat"])])
def test_compressions(egress, compression, ending, program):
    fill(egress, "t")
    egress.sql("CREATE TABLE empty (id int)")
    egress.dump(tables="t empty", compression=compression)
    for table in ["t", "empty"]:
        text = subprocess.run(program, input=egress.get(table + ending), check=True,
                              capture_output=True).stdout
        assert text == egress.copied(table)
    egress.check_manifest()


# ---- objects of other runs ---------------------------------------------------------------------


def test_split_objects_and_a_rerun_with_fewer(egress):
    egress.sql("CREATE TABLE p (id int) PARTITION BY RANGE (id)")
    for part in range(3):
        egress.sql(f"CREATE TABLE p{part} PARTITION OF p FOR VALUES FROM ({part}) TO ({part + 1}); "
                   f"INSERT INTO p VALUES ({part})")
    others = ["other.csv.gz", "p.csv.bz2", "p/part-1.csv.gz", "p/notes.txt", "pp.csv.gz"]
    for name in [*others, "p.csv.gz", "p.csv.zst"]:
        egress.put(name)
    egress.dump(tables="p", split_objects="true", header="true")
    parts = [f"p/part-0000{part}.csv.gz" for part in range(3)]
    assert egress.names() == sorted(["_manifest.json", *others, *parts])
    for number, part in enumerate(parts):
        assert egress.text(part) == b"id\n%d\n" % number
    assert [item["key"] for item in egress.manifest()["tables"][0]["objects"]] == parts

    egress.sql("DROP TABLE p1")
    egress.dump(tables="p", split_objects="true")
    assert egress.names() == sorted(["_manifest.json", *others, *parts[:2]])
    egress.dump(tables="p")
    assert egress.names() == sorted(["_manifest.json", *others, "p.csv.gz"])


def test_without_a_folder_of_its_own_a_run_touches_nothing_else(egress):
    fill(egress, "t", rows=3)
    egress.put("t/part-00000.csv.gz", folder="dumps/")
    egress.put("u.csv.gz", folder="dumps/")
    strange = egress.s3.create_multipart_upload(Bucket=egress.bucket, Key="dumps/u.csv.gz")
    egress.dump(tables="t", path="{table}")
    assert egress.keys() == ["dumps/_manifest.json", "dumps/t.csv.gz", "dumps/u.csv.gz"]
    assert [upload["UploadId"] for upload in egress.uploads()] == [strange["UploadId"]]


def test_a_dry_run_prints_the_plan_and_changes_nothing(egress):
    fill(egress, "t", rows=321)
    egress.put("_manifest.json")
    egress.put("t.csv.zst")
    result = egress.dump("--dry-run", tables="t missing", status=1)
    assert "t.csv.gz" in result.stdout and "321" in result.stdout
    assert "missing" in result.stdout and "missing" in result.text
    assert "Success." not in result.stdout
    assert egress.names() == ["_manifest.json", "t.csv.zst"]
    assert egress.get("_manifest.json") == b"old"


def test_a_bucket_that_does_not_comply(egress):
    """It never expires what lies in it, and something else does."""
    fill(egress, "t", rows=1)
    egress.put("something else", folder="")
    result = egress.dump(tables="t", require_compliant_bucket="true", status=1)
    assert "setup" in result.messages[-1]["message"]
    assert egress.names() == []
    result = egress.dump(tables="t")
    assert any(m["level"] == "warn" and "setup" in m["message"] for m in result.messages)
    assert egress.manifest()["complete"] is True


def test_what_programs_read(egress):
    fill(egress, "a", "b", rows=7)
    final = egress.dump("--json", tables="a b").final
    assert final["status"] == "succeeded"
    stored = sum(len(egress.get(f"{name}.csv.gz")) for name in "ab")
    counters = {"tables": 2, "objects": 2, "rows": 14, "bytes": 2 * len(egress.copied("a")),
                "stored_bytes": stored}
    assert {name: final["counters"][name] for name in counters} == counters
    assert final["counters"].get("tables_failed", 0) == 0


def test_a_folder_of_this_machine(world, egress):
    fill(egress, "t", rows=3)
    egress.dump(tables="t", output=f"file://{world.root}/out")
    folder = world.root / "out" / DAY
    assert sorted(path.name for path in folder.iterdir()) == ["_manifest.json", "t.csv.gz"]
    assert gzip.decompress((folder / "t.csv.gz").read_bytes()) == egress.copied("t")


def test_a_bucket_of_google(world, egress, gcs):
    bucket = gcs.store.make_bucket("dumps-1")
    world.config(json.dumps({"storage": {"google": {
        "bucket": "dumps-1", "endpoint": gcs.endpoint, "access_token": gcs.tokens.issue(3600)}}}))
    fill(egress, "t", rows=3)
    egress.dump(tables="t", output="gs://dumps-1/out", compression="zstd")
    egress.dump(tables="t", output="gs://dumps-1/out")
    folder = f"out/{DAY}/"
    assert gzip.decompress(bucket.live(folder + "t.csv.gz").data) == egress.copied("t")
    assert json.loads(bucket.live(folder + "_manifest.json").data)["complete"] is True
    assert not bucket.live(folder + "t.csv.zst")


# ---- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings, said", [
    ({}, "TABLES"), ({"tables": " "}, "TABLES"), ({"tables": "t", "output": ""}, "S3_OUTPUT"),
    ({"tables": '"t'}, "'tables'"), ({"tables": "t", "compression": "lzma"}, "'compression'"),
    ({"tables": "t", "path": "{date}"}, "'path'"), ({"tables": "t", "delimiter": "ab"}, "'delimiter'"),
    ({"tables": "t", "null_string": "a,b"}, "'null_string'"),
])
def test_mistakes_are_said_before_anything_is_done(egress, settings, said):
    egress.put("_manifest.json")
    result = egress.world.run(*egress.words((), settings))
    assert result.status in (1, 2), result.stderr
    assert said in result.stderr
    assert egress.names() == ["_manifest.json"]


# ---- on the way --------------------------------------------------------------------------------


def test_no_command_line_has_a_secret(egress):
    """Nor what is written, however much is asked for; the server sees no password either."""
    fill(egress, "t")
    with egress.gate("-vv", tables="t") as process:
        worker, = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        shown = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (process.pid, worker))
    shown += b"".join(process.communicate(timeout=PATIENCE_S))
    assert process.returncode == 0, shown.decode()
    assert b"egress" in shown and b"Success." in shown
    for secret in ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY"):
        assert egress.world.environment[secret].encode() not in shown, secret


def test_a_database_behind_tls(world, tmp_path):
    """By the connection string, as libpq has it: the certificate is checked, or all is refused."""
    server = postgres_server.temporary()
    try:
        for name in ("server", "other"):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                 "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                 tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.crt"],
                check=True, capture_output=True)
        for name in ("server.key", "server.crt"):
            file = server.data / name
            file.write_bytes((tmp_path / name).read_bytes())
            file.chmod(0o600)
            if server.user:
                os.chown(file, server.user.pw_uid, server.user.pw_gid)
        server.sql("ALTER SYSTEM SET ssl = on")
        server.sql("SELECT pg_reload_conf()")

        def dump(authority):
            settings = {
                "output": f"file://{tmp_path}/out", "connect_for": "1s",
                "database": f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres "
                            f"sslmode=verify-full sslrootcert={tmp_path / authority}",
                "queries": '{"q": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"}'}
            return world.run("egress", "dump", "--now", NOW, *[
                word for name, value in settings.items() for word in ("--set", f"{name}={value}")],
                env={"PGPASSWORD": postgres_server.PASSWORD})

        result = dump("server.crt")
        assert result.status == 0, result.stderr
        assert gzip.decompress((tmp_path / "out" / DAY / "q.csv.gz").read_bytes()) == b"t\n"
        result = dump("other.crt")
        assert result.status == 2 and "certificate verify failed" in result.text
    finally:
        postgres_server.remove(server)


def test_bodies_are_sent_as_they_are(egress, proxy):
    """Signed and with their MD5: servers that are not Amazon's keep the framing of anything else as
    if it were content."""
    egress.world.environment["AWS_ENDPOINT_URL"] = proxy.endpoint
    egress.sql(LARGE)
    egress.dump(tables="large", compression="none")
    bodies = [call for call in proxy.calls if call.method == "PUT" and call.request_bytes]
    assert any("partNumber=" in call.target for call in bodies)
    assert any("_manifest.json" in call.target for call in bodies)
    for call in bodies:
        assert call.headers["content-md5"], call.target
        assert not {"x-amz-trailer", "x-amz-decoded-content-length"} & set(call.headers), call.target
        assert "aws-chunked" not in call.headers.get("content-encoding", ""), call.target
