"""A small lake of user dumps, the markers of users who are to be erased from it, and a checker that
knows nothing of run-core: what has to lie where is worked out from the lake as it was, by the SQL
engine's official client."""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import engines
import pytest
from conftest import SOURCE

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
SHARDS = (3, 7)
ROWS = 3000
USERS = 400
# Ids that somebody could stumble over; they are ids of users like any other.
ODD = ("it's", 'a "quoted" one', "žluťoučký kůň", "%41 percent", "..", "_day_2026-01-01",
       "back\\slash", "null", "x" * 180)

needs_engine = pytest.mark.skipif(
    not (os.environ.get("RUN_CORE_DUCKDB") and os.environ.get("RUN_CORE_JUDGE")),
    reason="the SQL engine and its official client are not both there")

on_duckdb = pytest.mark.skipif(not engines.ON_DUCKDB, reason="of the embedded SQL engine alone")

# What each table's files hold; the user of a row is {id}.
COLUMNS = {
    "users": """{id} AS id, i AS number, 'user-' || (i % 50) AS name, -0.5 * i AS score,
        {{'a': i, 'tags': ['t', NULL, 'i' || i]}} AS nested,
        MAP {{'k' || (i % 7): i}} AS attributes, CAST(i AS DECIMAL(20, 3)) AS balance,
        TIMESTAMP '2026-01-01 10:00:00' + INTERVAL (i) SECOND AS seen,
        CASE WHEN i % 3 = 0 THEN NULL ELSE md5('p' || i)::BLOB END AS payload,
        '{{"n": ' || i || '}}' AS json""",
    "cohorts": "CAST(i % 9 AS TINYINT) AS cohort, {id} AS user_id, DATE '2026-01-01' AS since",
}
ID = {"users": "id", "cohorts": "user_id"}
WRITERS = (
    "COMPRESSION snappy, ROW_GROUP_SIZE 2048",
    "COMPRESSION zstd, ROW_GROUP_SIZE 4096, PARQUET_VERSION V2",
    "COMPRESSION gzip",
    "COMPRESSION uncompressed, ROW_GROUP_SIZE 2048",
)


def judge(sql):
    """The rows of the last statement."""
    process = subprocess.run(
        ["node", str(SOURCE / "tests/support/judge.js")], input=sql, capture_output=True, text=True,
        timeout=300, check=False)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def literal(text):
    return "'" + str(text).replace("'", "''") + "'"


def array(texts):
    """A list of texts, also of none."""
    return "([" + ", ".join(literal(text) for text in texts) + "]::VARCHAR[])"


def is_parquet(data):
    return len(data) >= 12 and data[:4] == data[-4:] == b"PAR1"


def user(shard, number):
    return f"user-{shard}-{number}"


def some_user(shard, seed):
    """Of row i: often one of the plain users, now and then an odd one or none."""
    odd = array(ODD)
    return (f"CASE WHEN i % 97 = 5 THEN NULL WHEN i % 211 = 7 THEN "
            f"{odd}[1 + CAST(hash(i + {seed}) % {len(ODD)} AS BIGINT)] ELSE "
            f"'user-{shard}-' || (hash(i * 7919 + {seed}) % {USERS}) END")


def make_lake(folder, shards=SHARDS, days=DAYS, rows_of_any=ROWS):
    """Writes the lake: in each day's folder two files of any user, one of a few users alone, one of
    users whom nobody erases, and things that are no data."""
    statements, seed = [], 0
    for table, columns in COLUMNS.items():
        for shard in shards:
            for day in days:
                place = folder / table / f"shard={shard}" / f"day={day}"
                (place / "deeper").mkdir(parents=True)
                (place / "_SUCCESS").write_bytes(b"")
                (place / "notes.txt").write_text("not data: user-3-1\n")
                for name, rows, who in (
                        ("part-0.parquet", rows_of_any, some_user(shard, seed)),
                        ("deeper/part 1.parquet", rows_of_any, some_user(shard, seed + 1)),
                        ("few", 40, f"'user-{shard}-' || (1 + i % 3)"),
                        ("others.parquet", rows_of_any, "'other-' || i")):
                    statements.append(
                        f"COPY (SELECT {columns.format(id=who)} FROM range({rows}) r(i)) TO "
                        f"{literal(place / name)} (FORMAT parquet, {WRITERS[seed % 4]});")
                    seed += 1
                seed += 1
    judge("\n".join(statements) + "SELECT 1;")


@pytest.fixture(scope="session")
def lake_made(tmp_path_factory):
    """The lake's folder, to be copied."""
    folder = tmp_path_factory.mktemp("lake")
    make_lake(folder)
    return folder


@pytest.fixture(scope="session")
def pond_made(tmp_path_factory):
    """A smaller one, for tests of many runs."""
    folder = tmp_path_factory.mktemp("pond")
    make_lake(folder, shards=SHARDS[:1], days=DAYS[:2], rows_of_any=500)
    return folder


# ---- places --------------------------------------------------------------------------------------


class Folder:
    """A place in the file system; 'uri' is what the configuration says of it."""

    def __init__(self, root, uri=None):
        self.root = Path(root)
        self.uri = uri or str(root)

    def names(self, prefix=""):
        return sorted(name for name in (
            str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())
            if name.startswith(prefix))

    def get(self, name):
        return (self.root / name).read_bytes()

    def put(self, name, data=b""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, name):
        (self.root / name).unlink()

    def fill(self, folder):
        shutil.copytree(folder, self.root, dirs_exist_ok=True)

    def copy_to(self, folder):
        if self.root.exists():
            shutil.copytree(self.root, folder, dirs_exist_ok=True)


class Bucket:
    """A place in a bucket of an S3 server."""

    def __init__(self, client, bucket, folder):
        self.client, self.bucket, self.folder = client, bucket, folder

    @property
    def uri(self):
        return f"s3://{self.bucket}/{self.folder}"

    def names(self, prefix=""):
        found, start = [], f"{self.folder}/"
        for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=start + prefix):
            found += [item["Key"][len(start):] for item in page.get("Contents", [])]
        return sorted(found)

    def get(self, name):
        key = f"{self.folder}/{name}"
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def put(self, name, data=b"", **extra):
        self.client.put_object(Bucket=self.bucket, Key=f"{self.folder}/{name}", Body=data, **extra)

    def remove(self, name):
        self.client.delete_object(Bucket=self.bucket, Key=f"{self.folder}/{name}")

    def fill(self, folder):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                self.put(str(path.relative_to(folder)), path.read_bytes())

    def copy_to(self, folder):
        for name in self.names():
            Folder(folder).put(name, self.get(name))


class Google:
    """A place in a bucket of the stand-in for Google's store."""

    def __init__(self, store, bucket, folder):
        self.store, self.bucket, self.folder = store, bucket, folder
        self.objects = store.bucket(bucket)

    @property
    def uri(self):
        return f"gs://{self.bucket}/{self.folder}"

    def names(self, prefix=""):
        start = f"{self.folder}/"
        return sorted(name[len(start):] for name in list(self.objects.names)
                      if name.startswith(start + prefix) and self.objects.live(name))

    def get(self, name):
        return self.objects.live(f"{self.folder}/{name}").data

    def put(self, name, data=b""):
        self.store.put(self.bucket, f"{self.folder}/{name}", data, {})

    def kept(self):
        """The versions of each object."""
        start = f"{self.folder}/"
        return {name[len(start):]: versions for name, versions in self.objects.versions.items()
                if name.startswith(start)}

    fill = Bucket.fill
    copy_to = Bucket.copy_to


# ---- the world -----------------------------------------------------------------------------------


class Dsr:
    """A lake, markers, and the plugin's configuration for them."""

    def __init__(self, world, made, data=None, markers=None, archive=None, temp=None):
        root = world.root
        self.world = world
        if not data:
            world.cover(root / "lake")
            data = Folder(root / "lake", world.place(root / "lake"))
        self.data = data
        self.markers = markers or Folder(root / "markers")
        self.archive = archive or Folder(root / "archive")
        self.temp = temp or Folder(root / "dsr-temp")
        self.data.fill(made)
        self.before = root / "before"
        self.options = {}
        self.tables = {name: {"userIdColumn": column} for name, column in ID.items()}

    def remember(self):
        """What lies in the lake now is what the checker goes by."""
        shutil.rmtree(self.before, ignore_errors=True)
        self.data.copy_to(self.before)

    # ---- markers ----

    @staticmethod
    def marker(shard, day, who, requested="2026-02-01"):
        return f"shard={shard}/day={day}/_user_{who}_day_{requested}"

    def mark(self, shard, day, *users, requested="2026-02-01"):
        for who in users:
            self.markers.put(self.marker(shard, day, who, requested))

    def mark_range(self, shard, *users, first=DAYS[0], last=DAYS[-1]):
        """The first day by the first user's marker, the last by the last one's."""
        self.mark(shard, first, *users)
        self.mark(shard, last, users[-1])

    # ---- running ----

    def configure(self, **options):
        self.options.update(options)
        config = {
            "markersBaseFolder": self.markers.uri,
            "markersArchiveFolder": self.archive.uri,
            "tempFolder": self.temp.uri,
            "report_salt": "a salt",
            "cleanupTables": [
                {"piTable": name, "sourceS3Folder": f"{self.data.uri}/{name}", **more}
                for name, more in self.tables.items()],
            **self.options,
        }
        jobs = {"plugins": {"dsr": {"config": config}}, **self.stores()}
        self.world.config(json.dumps(jobs))

    def stores(self):
        """What the configuration says of stores."""
        return {}

    def words(self, words, params):
        for name, value in params.items():
            words = (*words, "--set", f"{name}={value}")
        return ("dsr", *words)

    def run(self, *words, status=0, env=None, **params):
        if not self.before.exists():
            self.remember()
        self.configure()
        result = self.world.run(*self.words(words or ("cleanup",), params), env=env or {})
        assert result.status == status, result.stdout + result.stderr
        return result

    def start(self, *words, popen=(), **params):
        """'popen': what else the process is started with."""
        if not self.before.exists():
            self.remember()
        self.configure()
        return self.world.start(*self.words(words or ("cleanup",), params), **dict(popen))

    # ---- judging ----

    def expected(self, name, erased):
        """How to select the rows of a file that stay: those of nobody too. None: all stay."""
        table, shard, day = re.match(r"(\w+)/shard=(\d+)/day=([0-9-]+)/", name).groups()
        users, first, last = erased.get(int(shard), ((), "", ""))
        if not users or not first <= day <= last:
            return None
        return f"{ID[table]} IS NULL OR NOT list_contains({array(users)}, {ID[table]})"

    def check(self, erased, unchecked=()):
        """'erased': users and first and last day by shard. Every object is as it has to be."""
        after = self.world.root / "after"
        shutil.rmtree(after, ignore_errors=True)
        self.data.copy_to(after)
        # Of each file: how many rows it had, how many have to stay, how many are there, and how
        # many are not the same at the same place.
        parts, names = [], []
        found = set(Folder(after).names())
        had = set(Folder(self.before).names())
        assert found <= had, found - had
        for name in sorted(had):
            if name in unchecked:
                continue
            data = (self.before / name).read_bytes()
            stays = self.expected(name, erased) if is_parquet(data) else None
            if stays is None:
                assert (after / name).read_bytes() == data, f"{name} was changed"
                continue
            table = name.split("/")[0]
            rows = """SELECT row_number() OVER () AS row, CAST(hash(f) AS VARCHAR) AS h,
                      CAST(f AS VARCHAR) AS text FROM (SELECT {columns} FROM read_parquet({path})
                      {where}) AS f"""
            columns = "*"
            old = rows.format(columns=columns, path=literal(self.before / name),
                              where=f"WHERE {stays}")
            new = rows.format(columns=columns, path=literal(after / name), where="")
            if name not in found:
                new = f"SELECT * FROM ({old}) WHERE false"
            names.append(name)
            parts.append(
                f"SELECT {literal(name)}, (SELECT count(*) FROM read_parquet("
                f"{literal(self.before / name)})), (SELECT count(*) FROM ({old})), "
                f"(SELECT count(*) FROM ({new})), (SELECT count(*) FROM (({old}) EXCEPT ALL "
                f"({new}))), {literal(table)}")
        summary = {"rewritten": 0, "removed": 0, "rows": 0}
        rows = judge("SET preserve_insertion_order = true; " + " UNION ALL ".join(parts)) if parts \
            else []
        for name, total, stay, are, differ, _table in rows:
            total, stay, are, differ = (int(n) for n in (total, stay, are, differ))
            assert (are, differ) == (stay, 0), (name, total, stay, are, differ)
            assert (name in found) == (stay > 0 or total == 0), f"{name}: {stay} of {total} stay"
            if stay == total:
                assert (after / name).read_bytes() == (self.before / name).read_bytes(), name
            summary["rows"] += total - stay
            summary["removed"] += name not in found
            summary["rewritten"] += name in found and stay < total
        assert len(rows) == len(names)
        return summary

    def check_nothing_left(self):
        """No backup, no half file, and nothing of the users in any temporary folder."""
        assert self.temp.names() == []
        left = [path for path in self.world.temp.rglob("*") if path.is_file()]
        assert left == []
        assert not [name for name in self.data.names() if "dsr" in name]

    def records(self):
        """The lines of all reports."""
        return [json.loads(line) for name in self.archive.names("dsr-report/")
                for line in self.archive.get(name).decode().splitlines()]

    def archived(self):
        return [name for name in self.archive.names() if not name.startswith("dsr-report/")]


class InBuckets(Dsr):
    """Data, markers, archive and temporary folder in one bucket."""

    def __init__(self, world, made, place, stores):
        self.in_buckets = stores
        places = (place(name) for name in ("lake", "markers", "done", "temp"))
        super().__init__(world, made, *places)

    def stores(self):
        return {"core": {"http": {"backoff": "10ms", "max_backoff": "100ms"}},
                "storage": self.in_buckets}


def engine_reads(world, bucket):
    """Has Trino read and work in the bucket: of its catalogs another one does."""
    if engines.ENGINE == "trino":
        engines.change(world, catalog="hive_s3", work=f"s3://{bucket}/of-the-engine/")


def on_ceph(world, made, ceph, bucket, below="", **store):
    engine_reads(world, bucket)
    store = {"bucket": bucket, "endpoint": ceph.endpoint, "region": ceph.region,
             "access_key_id": ceph.access_key, "secret_access_key": ceph.secret_key, **store}
    return InBuckets(world, made, lambda name: Bucket(ceph.s3(), bucket, below + name),
                     {"ceph": store})


def versions(ceph, bucket, prefix):
    """The versions of each key."""
    found = {}
    for page in ceph.s3().get_paginator("list_object_versions").paginate(Bucket=bucket,
                                                                         Prefix=prefix):
        for one in page.get("Versions", []):
            found.setdefault(one["Key"], []).append(one["VersionId"])
    return found
