"""The embedded SQL engine on an object store: the aggregator on a real S3 server gives what it gives on
local folders, whatever kills it on the way, within its budget of disk."""

import gzip
import json
import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from api_world import until
from faults import Rule, slow_down

sys.path.insert(0, str(Path(__file__).resolve().parent / "aggregator"))
from lake import Event, Lake, date_of, now_of, revenue  # noqa: E402

KILLS = int(os.environ.get("RUN_CORE_KILLS", "4"))
DAYS = 3


class Remote:
    """A bucket with the same events, and a job over it."""

    scheme, stores = "s3", None

    def __init__(self, world, lake, ceph, bucket):
        self.world, self.lake, self.s3, self.bucket = world, lake, ceph.s3(), bucket
        world.environment.update({
            "AWS_ACCESS_KEY_ID": ceph.access_key, "AWS_SECRET_ACCESS_KEY": ceph.secret_key,
            "AWS_REGION": ceph.region, "AWS_ENDPOINT_URL_S3": ceph.endpoint})

    def put(self, key, data):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    def upload(self):
        for path in sorted((self.lake.root / "events").rglob("*")):
            if path.is_file():
                self.put(str(path.relative_to(self.lake.root)), path.read_bytes())
        self.put("events/", b"")  # what people's tools make for a folder

    def write_config(self, root, sql=None, **options):
        base = f"{self.scheme}://{self.bucket}/{root}"
        config = self.lake.config(
            tables={"rawevents": f"{self.scheme}://{self.bucket}/events/"},
            dailyAggregationsS3Path=f"{base}/out/1d", csvOutputFolder=f"{base}/csv",
            secondaryAggregations=[
                {"aggregationWindowDays": days, "targetTable": f"ltv_{days}",
                 "targetFolder": f"{base}/out/" + ("total" if days > 3650 else f"{days}d")}
                for days in (3, 7, 36500)], **options)
        self.world.config(json.dumps({
            "storage": self.stores or {},
            "sql": {"lake": {"engine": "duckdb", **(sql or {})}},
            "jobs": {"ltv": {"plugin": "aggregator", "config": config}}}))

    def keys(self, prefix):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def tree(self, prefix):
        return {key[len(prefix) + 1:]: self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
                for key in self.keys(f"{prefix}/")}


class GoogleRemote(Remote):
    """The same at Google."""

    scheme = "gs"

    def __init__(self, world, lake, gcs):
        self.world, self.lake, self.gcs, self.bucket = world, lake, gcs, "lake"
        self.objects = gcs.store.make_bucket("lake")
        self.stores = {"google": {"bucket": "lake", "endpoint": gcs.endpoint,
                                  "access_token": gcs.tokens.issue(3600)}}

    def put(self, key, data):
        self.gcs.store.put("lake", key, data, {})

    def tree(self, prefix):
        return {name[len(prefix) + 1:]: self.objects.live(name).data
                for name in list(self.objects.names) if name.startswith(f"{prefix}/")}


def data_by_folder(tree):
    """Contents of data files by their folders: published to a store, their names differ."""
    found = {}
    for name, content in tree.items():
        if name.endswith(".parquet"):
            found.setdefault(name.rsplit("/", 1)[0], []).append(content)
        elif name.endswith(".csv.gz"):
            found[name] = gzip.decompress(content)
    return {name: sorted(value) if isinstance(value, list) else value
            for name, value in found.items()}


def run(world, day, *words, status=0):
    result = world.run("run", "ltv", "--now", now_of(day), *words)
    assert result.status == status, result.stderr
    return result


@pytest.fixture
def lake(world, tmp_path):
    lake = Lake(world, tmp_path / "lake")
    rng = random.Random(5)
    for day in range(DAYS):
        lake.add([Event(day, rng.randrange(20), revenue(rng.randrange(100))) for _ in range(60)],
                 compress=day == 1)
    return lake


@pytest.fixture
def remote(world, lake, ceph, bucket):
    remote = Remote(world, lake, ceph, bucket)
    remote.upload()
    return remote


@pytest.fixture
def google(world, lake, gcs):
    google = GoogleRemote(world, lake, gcs)
    google.upload()
    return google


def left_behind(world):
    return [str(path) for path in world.temp.rglob("*") if "copies" in path.name]


def test_the_same_results_as_on_files(world, lake, remote):
    lake.write_config()
    run(world, DAYS - 1)
    wanted = data_by_folder(lake.tree())
    remote.write_config("x")
    first = run(world, DAYS - 1, "--json")
    assert data_by_folder(remote.tree("x")) == wanted
    assert first.final["counters"]["http_requests"] > 10
    assert left_behind(world) == []
    before = remote.tree("x")
    assert "nothing to do" in run(world, DAYS - 1).stdout
    # Once more, from the same events: the same objects, by name and content.
    result = world.run("aggregator", "rebuild", "--job", "ltv", "--now", now_of(DAYS - 1),
                       "--set", f"from={date_of(0)}", "--set", f"to={date_of(DAYS - 1)}")
    assert result.status == 0, result.stderr
    assert remote.tree("x") == before


def test_the_same_results_at_google(world, lake, google):
    lake.write_config()
    run(world, DAYS - 1)
    wanted = data_by_folder(lake.tree())
    google.write_config("x")
    run(world, DAYS - 1)
    assert data_by_folder(google.tree("x")) == wanted
    assert "nothing to do" in run(world, DAYS - 1).stdout


def test_late_events_replace_objects(world, lake, remote):
    remote.write_config("x")
    run(world, DAYS - 1)
    lake.add([Event(0, 3, revenue(1000))])
    remote.upload()
    result = world.run("aggregator", "rebuild", "--job", "ltv", "--now", now_of(DAYS - 1),
                       "--set", f"from={date_of(0)}", "--set", f"to={date_of(0)}")
    assert result.status == 0, result.stderr
    lake.write_config()
    run(world, DAYS - 1)
    wanted, found = data_by_folder(lake.tree()), data_by_folder(remote.tree("x"))
    assert {name: len(files) for name, files in found.items()} == \
        {name: len(files) for name, files in wanted.items()}
    assert found == wanted


def test_kills_on_the_way(world, lake, remote):
    remote.write_config("clean")
    began = time.monotonic()
    run(world, DAYS - 1)
    longest = time.monotonic() - began
    wanted = remote.tree("clean")
    remote.write_config("x")
    rng = random.Random(7)
    for _ in range(KILLS):
        process = world.start("run", "ltv", "--now", now_of(DAYS - 1), start_new_session=True)
        time.sleep(rng.random() * longest)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()
    run(world, DAYS - 1)
    found = remote.tree("x")
    assert set(found) == set(wanted)
    assert {name: found[name] for name in found if not name.rsplit("/", 1)[1].startswith("_")} == \
        {name: wanted[name] for name in wanted if not name.rsplit("/", 1)[1].startswith("_")}


def test_the_budget_is_looked_at_before_anything_is_fetched(world, lake, remote):
    remote.write_config("x", sql={"staging_limit": "1KiB"})
    result = run(world, DAYS - 1, "--json", status=1)
    error = result.final["error"]
    assert f"to read 's3://{remote.bucket}/events/day={date_of(0)}/'" in error
    assert "raise staging_limit of the SQL engine 'lake'" in error
    assert remote.keys("x/out/") == []


def test_copies_lie_where_the_user_wants_them(world, lake, remote):
    place = world.root / "big disk"
    remote.write_config("x", sql={"staging_dir": str(place), "staging_limit": "1GiB"})
    left = place / "run-core-copies.aaaaaa"
    left.mkdir(parents=True)
    (left / "left").write_text("by a process that was killed")
    run(world, DAYS - 1)
    assert list(place.iterdir()) == []


def test_messages_name_objects_not_copies(world, lake, remote):
    key = f"events/day={date_of(1)}/partition=0/bad.parquet"
    remote.s3.put_object(Bucket=remote.bucket, Key=key, Body=b"this is no Parquet")
    remote.write_config("x")
    error = run(world, DAYS - 1, "--json", status=1).final["error"]
    assert f"s3://{remote.bucket}/{key}" in error
    assert "run-core-copies" not in error


def test_a_bucket_that_is_not_there(world, lake, remote):
    remote.bucket = "no-such-bucket-here"
    remote.write_config("x")
    error = run(world, DAYS - 1, "--json", status=1).final["error"]
    assert "no-such-bucket-here" in error


# ---- a store that breaks -----------------------------------------------------------------------

class Tables:
    """Tables in a bucket behind a proxy, read and written by a plugin that does nothing else."""

    def __init__(self, world, ceph, bucket, proxy):
        self.world, self.s3, self.bucket, self.proxy = world, ceph.s3(), bucket, proxy
        world.environment.update({
            "AWS_ACCESS_KEY_ID": ceph.access_key, "AWS_SECRET_ACCESS_KEY": ceph.secret_key,
            "AWS_REGION": ceph.region, "AWS_ENDPOINT_URL_S3": proxy.endpoint})

    def run(self, query, to, *sources, **options):
        self.world.config(json.dumps({
            "core": {"http": {"attempts": 2, "backoff": "1ms", "max_backoff": "2ms"}},
            "jobs": {"t": {"plugin": "table", "config": {
                "query": query, "to": f"s3://{self.bucket}/{to}",
                "from": [f"s3://{self.bucket}/{source}" for source in sources], **options}}}}))
        return self.world.run("run", "t", "--json")

    def objects(self, prefix=""):
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {item["Key"]: item["ETag"] for item in listed}

    def uploads(self):
        return self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])


@pytest.fixture
def tables(world, ceph, bucket, proxy):
    return Tables(world, ceph, bucket, proxy)


SMALL = "SELECT i // 100 AS p, i + {salt} AS i FROM range(400) t(i)"
# Some 9 MiB that cannot be compressed: uploaded in parts.
LARGE = "SELECT 0 AS p, sha256((i + {salt})::varchar) AS h FROM range(280000) t(i)"
# One object is uploaded but nobody hears of it, one is uploaded, the others are refused.
REFUSED = [Rule(method="PUT", target="/out/p.*1/", times=None, cut_reply_bytes=0),
           slow_down(method="PUT", skip=1, times=None)]
CUT = [Rule(method="PUT", target="partNumber=2", times=None, cut_request_body_bytes=40)]
WRONG_TAG = [Rule(method="PUT", target="partNumber=1", times=None,
                  set_headers={"ETag": '"00000000000000000000000000000000"'})]


def test_a_publication_that_fails_leaves_the_old_set(tables):
    assert tables.run(SMALL.format(salt=0), "out/", partition="p").status == 0
    old = tables.objects()
    for salt, (query, rules) in enumerate([(SMALL, REFUSED), (LARGE, CUT), (LARGE, WRONG_TAG)], 1):
        tables.proxy.rules.add(*rules)
        result = tables.run(query.format(salt=salt), "out/", partition="p")
        assert tables.proxy.rules.used() > 0, rules
        tables.proxy.rules.clear()
        assert result.status == 1 and tables.objects() == old, rules
        assert f"publish 's3://{tables.bucket}/out/'" in result.final["error"], rules
        assert tables.uploads() == [], rules
    assert left_behind(tables.world) == []


def test_old_objects_that_cannot_be_removed_go_with_the_next_write(tables):
    assert tables.run(SMALL.format(salt=0), "out/", partition="p").status == 0
    old = tables.objects()
    tables.proxy.rules.add(slow_down(method="POST", target="delete", times=None))
    result = tables.run(SMALL.format(salt=1), "out/", partition="p")
    assert "the new objects are there; remove the old ones" in result.final["error"]
    both = tables.objects()
    assert len(both) == 2 * len(old) and old.items() <= both.items()
    tables.proxy.rules.clear()
    assert tables.run(SMALL.format(salt=1), "out/", partition="p").status == 0
    assert tables.objects().keys() == both.keys() - old.keys()


def test_only_what_was_replaced_is_fetched_again(tables):
    """All locations in one transfer; what came before one of them changed is kept."""
    days = range(4)
    for day in days:
        assert tables.run(f"SELECT {day} AS d", f"in/day={day}/").status == 0
    data = r"/in/day.*/data_0-.*\.parquet"
    before = tables.proxy.count("GET", data)
    # As of an object that is another one now. It is asked for last, so that the others are here.
    tables.proxy.rules.add(method="GET", target=data.replace(".*/", ".*3/"), delay_ms=60000, status=412)

    def answer_last():
        until(lambda: sum(call.status == 200 and bool(re.search(data, call.target))
                          for call in tables.proxy.calls[calls:]) == len(days) - 1)
        time.sleep(0.3)  # until they have arrived, too
        tables.proxy.rules.clear()

    calls = len(tables.proxy.calls)
    thread = threading.Thread(target=answer_last)
    thread.start()
    result = tables.run("SELECT count(*) AS n, sum(d) AS s FROM t", "out/",
                        *(f"in/day={day}/" for day in days))
    thread.join()
    assert result.status == 0, result.stderr
    assert tables.proxy.count("GET", data) - before == len(days) + 1
