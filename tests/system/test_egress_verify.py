"""'egress verify' of folders in a real object store, written here by hand: whole ones, and ones
damaged in each way that a manifest can tell."""
import csv
import gzip
import hashlib
import io
import json
import os
import time
import zlib

import pytest
from aggregator.duck import Duck
from conftest import PATIENCE_S
from egress_world import NOW, Egress

DAY = "2026-11-20"
DATE = f"date={DAY}"


def to_csv(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def members(text, size=64 << 10):
    """A gzip file of several members, as a dump writes it."""
    return b"".join(gzip.compress(text[at:at + size]) for at in range(0, max(len(text), 1), size))


class Dump:
    """A folder with a manifest, as a dump would leave it."""

    def __init__(self, world, ceph, bucket):
        self.world, self.bucket, self.s3 = world, bucket, ceph.s3()
        self.folder = f"dumps/{DAY}/"
        self.manifest = {
            "version": 1, "complete": True, "run_id": "by-hand",
            "nominal": f"{DAY}T02:00:00Z", "format": "csv", "compression": "gzip",
            "csv": {"header": False, "delimiter": ",", "null_string": "", "encoding": "UTF8"},
            "tables": []}
        world.environment.update(
            AWS_ACCESS_KEY_ID=ceph.access_key, AWS_SECRET_ACCESS_KEY=ceph.secret_key,
            AWS_REGION=ceph.region, AWS_ENDPOINT_URL=ceph.endpoint, S3_OUTPUT=f"s3://{bucket}/dumps")

    def put(self, key, data):
        self.s3.put_object(Bucket=self.bucket, Key=self.folder + key, Body=data)

    def get(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=self.folder + key)["Body"].read()

    def remove(self, key):
        self.s3.delete_object(Bucket=self.bucket, Key=self.folder + key)

    def add(self, table, parts, **more):
        """A table of objects: key, data as stored, rows, bytes of text."""
        objects = []
        for key, data, rows, size in parts:
            self.put(key, data)
            objects.append({"key": key, "rows": rows, "bytes": size, "stored_bytes": len(data),
                            "sha256": hashlib.sha256(data).hexdigest()})
        self.manifest["tables"].append({"name": table, "objects": objects, **more})

    def add_csv(self, table, rows, **more):
        text = to_csv(rows)
        self.add(table, [(f"{table}.csv.gz", members(text), len(rows), len(text))], **more)

    def seal(self):
        self.put("_manifest.json", json.dumps(self.manifest).encode())

    def verify(self, *words, status, **options):
        words = words or ("--set", DATE)
        result = self.world.run("egress", "verify", *words, **options)
        assert result.status == status, result.stdout + result.stderr
        return result


ROWS = [[str(n), 'a "quote"\nand a line', "", "größe", "x" * (n % 50)] for n in range(5000)]


@pytest.fixture
def dump(world, ceph, bucket):
    made = Dump(world, ceph, bucket)
    made.add_csv("hosts", ROWS)
    made.add_csv("none", [])
    part = to_csv([["1"], ["2"]])
    made.add("parts", [(f"parts/part-{n:05}.csv.gz", members(part), 2, len(part))
                       for n in range(3)])
    made.seal()
    return made


def test_a_whole_dump_is_verified(dump):
    result = dump.verify(status=0)
    lines = result.stdout.splitlines()
    assert lines[-1].startswith("Verified: 5 objects, 5006 rows, "), result.stdout
    assert any(line.split()[:3] == ["hosts", "1", "5000"] and line.endswith("ok")
               for line in lines), result.stdout
    assert "warn" not in result.stderr

    # By its place, whatever the day; and as programs read it.
    place = f"folder=s3://{dump.bucket}/{dump.folder}"
    final = dump.verify("--json", "--set", place, status=0).final
    assert final["counters"]["objects"] == 5 and final["counters"]["damaged"] == 0
    assert final["counters"]["bytes"] == len(to_csv(ROWS)) + 12

    # The nominal date is that of the run.
    dump.verify("--now", f"{DAY}T23:59:59Z", status=0)
    text = dump.verify("--now", "2026-11-21T00:00:00Z", status=1).text
    assert "2026-11-21/' has no manifest" in text


def flip(dump):
    data = bytearray(dump.get("hosts.csv.gz"))
    data[len(data) // 2] ^= 4
    dump.put("hosts.csv.gz", bytes(data))


def cut(dump):
    dump.put("hosts.csv.gz", dump.get("hosts.csv.gz")[:-1])


def swap(dump):
    """As long, and as good a gzip, but another content."""
    data = members(to_csv([["1"], ["3"]]))
    assert len(data) == len(dump.get("parts/part-00001.csv.gz"))
    dump.put("parts/part-00001.csv.gz", data)


def change(table, key, value):
    def act(dump):
        dump.manifest["tables"][table]["objects"][0][key] = value
        dump.seal()
    return act


def replace(key):
    """Another content of which the manifest knows the bytes as stored."""
    def act(dump):
        item = dump.manifest["tables"][0]["objects"][0]
        text = to_csv(ROWS)
        data = {"garbage": os.urandom(100000), "cut": members(text)[:-9],
                "unfinished": zlib.compress(text), "empty": b""}[key]
        item.update(stored_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        dump.put("hosts.csv.gz", data)
        dump.seal()
    return act


@pytest.mark.parametrize("damage, words", [
    (flip, ["'hosts.csv.gz' has the SHA-256 ", "'hosts.csv.gz' cannot be expanded: "]),
    (cut, ["'hosts.csv.gz' is stored with ", ", the manifest says "]),
    (swap, ["'parts/part-00001.csv.gz' has the SHA-256 "]),
    (lambda dump: dump.remove("hosts.csv.gz"), ["'hosts.csv.gz' is not there"]),
    (change(0, "rows", 4999), ["'hosts.csv.gz' has 5000 rows, the manifest says 4999"]),
    (change(1, "bytes", 7), ["'none.csv.gz' expands to 0 bytes, the manifest says 7"]),
    (change(0, "sha256", "0" * 64), [", the manifest says " + "0" * 64]),
    (replace("garbage"), ["cannot be expanded: this is not what gzip writes"]),
    (replace("cut"), ["cannot be expanded: the data of gzip ends before its end"]),
    (replace("unfinished"), ["cannot be expanded: this is not what gzip writes"]),
    (replace("empty"), ["cannot be expanded: "]),
], ids=lambda value: getattr(value, "__name__", ""))
def test_each_damage_is_found(dump, damage, words):
    damage(dump)
    result = dump.verify(status=1)
    for text in words:
        assert text in result.stdout, result.stdout
    assert "1 damaged" in result.stdout
    assert "Verified" not in result.stdout
    assert "of the 5 objects in " in result.text


def test_several_damages_are_all_named(dump):
    flip(dump)
    dump.remove("parts/part-00002.csv.gz")
    dump.remove("none.csv.gz")
    final = dump.verify("--json", "--set", DATE, status=1).final
    assert final["counters"]["damaged"] == 3
    assert final["reason"] == "corrupt"
    texts = [item["text"] for item in final["results"] if "text" in item]
    assert "'none.csv.gz' is not there" in texts
    assert "'parts/part-00002.csv.gz' is not there" in texts


def test_without_depth_rows_are_not_counted(dump):
    change(0, "rows", 1)(dump)
    result = dump.verify("--set", DATE, "--set", "deep=false", status=0)
    assert "rows were not counted" in result.stdout
    flip(dump)
    result = dump.verify("--set", DATE, "--set", "deep=false", status=1)
    assert "has the SHA-256" in result.stdout
    assert "cannot be expanded" not in result.stdout


def test_what_the_manifest_does_not_list_is_named(dump):
    dump.put("parts/part-00003.csv.gz", b"left by an earlier run")
    result = dump.verify(status=0)
    assert "parts/part-00003.csv.gz' is in the folder, but not in its manifest" in result.text


def test_an_incomplete_dump_fails(dump):
    dump.manifest["complete"] = False
    dump.manifest["tables"].append({"name": "gone", "objects": [], "error": "it does not exist"})
    dump.seal()
    result = dump.verify(status=1)
    assert "Table 'gone' failed when it was dumped: it does not exist" in result.stdout
    assert "1 of 4 tables failed, the first of them 'gone'" in result.text
    assert "Verified" not in result.stdout


@pytest.mark.parametrize("text, words", [
    ("", "it is not JSON"),
    ("\x00\x01", "it is not JSON"),
    ("{}", "'version' is missing"),
    ('{"version": 99}', "it has version 99"),
    ('{"version": 1, "complete": true, "format": "csv", "compression": "lzma", '
     '"csv": {"header": false, "delimiter": ","}, "tables": []}', "lzma"),
    ('{"version": 1, "complete": true, "format": "csv", "compression": "gzip", '
     '"csv": {"header": false, "delimiter": ","}, "tables": [{"name": "t", "objects": [{"key": '
     '"../../../etc/passwd", "rows": 0, "bytes": 0, "stored_bytes": 0, "sha256": "'
     + "0" * 64 + '"}]}]}', "is no key of an object below the folder"),
])
def test_a_manifest_that_is_none_is_refused(dump, text, words):
    dump.put("_manifest.json", text.encode())
    result = dump.verify(status=1)
    assert words in result.text
    assert "_manifest.json" in result.text or dump.folder in result.text


def test_headers_and_other_compressions(world, ceph, bucket):
    dump = Dump(world, ceph, bucket)
    dump.manifest["compression"] = "none"
    dump.manifest["csv"]["header"] = True
    text = to_csv([["a\nb", "c"], *[["1", "2\n"]] * 10])
    dump.add("t", [("t.csv", text, 10, len(text))])
    dump.seal()
    assert "Verified: 1 object, 10 rows" in dump.verify(status=0).stdout


def test_parquet_is_counted_by_the_engine(world, ceph, bucket, tmp_path):
    if not os.environ.get("RUN_CORE_DUCKDB"):
        pytest.skip("DuckDB's library is not there")
    dump = Dump(world, ceph, bucket)
    dump.manifest.update(format="parquet", compression="zstd")
    duck = Duck()
    duck.query(f"COPY (SELECT range AS id FROM range(1234)) TO '{tmp_path}/t.parquet'")
    duck.close()
    data = (tmp_path / "t.parquet").read_bytes()
    dump.add("t", [("t.parquet", data, 1234, 9999)])
    dump.seal()
    assert "Verified: 1 object, 1234 rows" in dump.verify(status=0).stdout

    dump.manifest["tables"][0]["objects"][0]["rows"] = 1235
    dump.seal()
    assert "'t.parquet' has 1234 rows, the manifest says 1235" in dump.verify(status=1).stdout

    dump.manifest["tables"] = []
    dump.add("t", [("t.parquet", data[:100], 1234, 9999)])
    dump.seal()
    assert "'t.parquet' cannot be read as Parquet: " in dump.verify(status=1).stdout


def test_local_folders_are_verified(world, tmp_path):
    folder = tmp_path / "dumps" / DAY
    folder.mkdir(parents=True)
    text = to_csv([["1", "2"]])
    data = members(text)
    (folder / "t.csv.gz").write_bytes(data)
    (folder / "_manifest.json").write_text(json.dumps({
        "version": 1, "complete": True, "format": "csv", "compression": "gzip",
        "csv": {"header": False, "delimiter": ","},
        "tables": [{"name": "t", "objects": [
            {"key": "t.csv.gz", "rows": 1, "bytes": len(text), "stored_bytes": len(data),
             "sha256": hashlib.sha256(data).hexdigest()}]}]}))
    for words in (["output=./dumps", DATE], [f"output={tmp_path}/dumps/", DATE],
                  [f"folder=dumps/{DAY}"], [f"folder=file://{folder}/"]):
        result = world.run("egress", "verify",
                           *[word for setting in words for word in ("--set", setting)])
        assert result.status == 0, result.stderr
        assert "Verified: 1 object, 1 row" in result.stdout


# ---- faults ----

def test_broken_connections_are_no_damage(dump, proxy):
    proxy.rules.add(method="GET", target=r"hosts\.csv\.gz", times=1, cut_reply_body_bytes=1000)
    proxy.rules.add(method="GET", target=r"part-00001", times=1, status=503)
    dump.verify(status=0, env={"AWS_ENDPOINT_URL": proxy.endpoint})


def test_a_store_that_does_not_answer_is_no_damage(dump, proxy):
    proxy.rules.add(method="GET", target=r"part-00001", times=None, status=403,
                    body="<Error><Code>AccessDenied</Code></Error>")
    result = dump.verify(status=1, env={"AWS_ENDPOINT_URL": proxy.endpoint})
    assert "verify 's3://" in result.text and "part-00001" in result.text
    assert "not as the manifest says" not in result.text


def test_wrong_keys_are_told_without_the_secret(dump):
    result = dump.verify(status=1, env={"AWS_SECRET_ACCESS_KEY": "ThisIsTheWrongSecret"})
    assert "_manifest.json" in result.text
    assert "ThisIsTheWrongSecret" not in result.stdout + result.stderr


def test_a_dump_that_begins_meanwhile_is_no_damage(dump, proxy):
    """Its first act is to remove the manifest; then it replaces objects."""
    proxy.rules.add(method="GET", target="list-type=2", times=1, delay_ms=60000)
    process = dump.world.start("egress", "verify", "--set", DATE,
                               env={"AWS_ENDPOINT_URL": proxy.endpoint})
    while not proxy.count("GET", "_manifest.json"):
        assert process.poll() is None
        time.sleep(0.01)
    dump.remove("_manifest.json")
    flip(dump)
    proxy.rules.clear()
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, stdout
    assert b"another run dumps into the folder" in stderr, stderr


# ---- of what a dump has written ----

@pytest.fixture
def egress(world, postgres, ceph, bucket):
    made = Egress(world, postgres, ceph, bucket)
    yield made
    made.end()


@pytest.mark.parametrize("settings", [
    {}, {"compression": "zstd", "header": "true"}, {"compression": "none", "force_quote": "true"},
    {"split_objects": "true", "delimiter": ";", "null_string": "NULL"},
    {"encoding": "SJIS", "header": "true"}, {"encoding": "GB18030"},
], ids=str)
def test_a_real_dump_is_verified(egress, settings):
    """Characters whose later bytes are ASCII in these encodings, quotes and line ends of all kinds,
    lines that would end COPY, rows of no columns."""
    egress.sql(r"""
        CREATE TABLE t (a int, b text);
        INSERT INTO t SELECT n, CASE n % 6 WHEN 0 THEN E'表"ソ\\' WHEN 1 THEN E'\n\r\n"' WHEN 2 THEN '\.'
            WHEN 3 THEN NULL WHEN 4 THEN '' ELSE 'NULL;,' END FROM generate_series(1, 3000) n;
        CREATE TABLE "no columns" ();
        INSERT INTO "no columns" DEFAULT VALUES;
        INSERT INTO "no columns" DEFAULT VALUES;
        CREATE TABLE none (a text);
    """)
    egress.dump(tables='t "no columns" none', **settings)
    result = egress.world.run("egress", "verify", "--now", NOW)
    assert result.status == 0, result.stdout + result.stderr
    assert "3002 rows" in result.stdout
    assert "is in the folder" not in result.text

    name = next(name for name in egress.names() if name.startswith("t"))
    data = bytearray(egress.get(name))
    data[len(data) // 3] ^= 1
    egress.put(name, bytes(data))
    result = egress.world.run("egress", "verify", "--now", NOW)
    assert result.status == 1 and f"'{name}' has the SHA-256" in result.stdout


def test_a_dump_that_failed_in_part_is_not_verified(egress):
    egress.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    egress.dump(tables="t gone", status=1)
    result = egress.world.run("egress", "verify", "--now", NOW)
    assert result.status == 1
    assert "Table 'gone' failed when it was dumped: " in result.stdout


def test_the_target_of_a_sync_is_verified_with_its_own_keys(dump, ceph):
    """What the seed's two jobs have: keys of AWS on one side, others on the other."""
    environment = {"INPUT_URL": ceph.endpoint, "INPUT_PATH": f"{dump.bucket}/dumps",
                   "INPUT_ACCESS_KEY_ID": ceph.access_key, "INPUT_SECRET_ACCESS_KEY": ceph.secret_key,
                   "OUTPUT_URL": ceph.endpoint, "OUTPUT_PATH": f"{dump.bucket}/lake/dumps",
                   "OUTPUT_ACCESS_KEY_ID": ceph.access_key,
                   "OUTPUT_SECRET_ACCESS_KEY": ceph.secret_key}
    for name in [name for name in dump.world.environment if name.startswith(("AWS_", "S3_"))]:
        if name != "AWS_EC2_METADATA_DISABLED":
            del dump.world.environment[name]
    synced = dump.world.run("egress", "sync", env=environment)
    assert synced.status == 0, synced.stderr
    for words in (["at=source", DATE], ["at=target", DATE], ["at=target", f"folder={DAY}"]):
        result = dump.verify(*[word for setting in words for word in ("--set", setting)], status=0,
                             env=environment)
        assert "Verified: 5 objects" in result.stdout
    dump.folder = f"lake/dumps/{DAY}/"
    flip(dump)
    result = dump.verify("--set", "at=target", "--set", DATE, status=1, env=environment)
    assert f"in 'output/{dump.bucket}/lake/dumps/{DAY}/', 1 is not as" in result.text
    dump.verify("--set", "at=source", "--set", DATE, status=0, env=environment)
