"""The mover 'direct' of sdrs between real buckets: what is moved, what others do meanwhile, faults
of the network, a full shadow, and kill -9 at any point. What is there in the end is judged from
outside, by listing both buckets."""

import json
import os
import signal
import threading
import time

import pytest
import s3_server
from api_world import until
from conftest import PATIENCE_S, mounted
from sdrs_world import UNHEARD, SdrsWorld, sdrs  # noqa: F401, a fixture

NOW = "2026-02-10T12:00:00Z"  # with 30 days: up to 2026-01-11T12
OLD = "clicks/2026/01/01"
MANIFESTS = ".run-core/sdrs/"


class Lake:
    """A bucket 'events' with its shadow, on S3, and a rule for the dataset 'clicks' in it."""

    def __init__(self, sdrs, ceph):
        self.sdrs, self.ceph, self.s3 = sdrs, ceph, ceph.s3()
        self.real = f"events-{os.urandom(6).hex()}"
        self.names = {"events": self.real, "eventsshadow": f"{self.real}shadow"}
        for name in self.names.values():
            self.s3.create_bucket(Bucket=name)
        self.reach(ceph.endpoint)
        self.sdrs.configure(rules=[{
            "type": "DATASET", "dataStorageName": f"s3://{self.real}/clicks", "projectId": "p",
            "retentionPeriod": 30}])

    def reach(self, endpoint):
        for name, real in self.names.items():
            self.sdrs.stores[name] = {
                "bucket": real, "endpoint": endpoint, "region": self.ceph.region,
                "access_key_id": self.ceph.access_key,
                "secret_access_key": self.ceph.secret_key}
        self.sdrs.configure()

    def remove(self):
        for name in self.names.values():
            s3_server.empty(self.s3, name)
            self.s3.delete_bucket(Bucket=name)

    def put(self, key, data, **attributes):
        self.s3.put_object(Bucket=self.real, Key=key, Body=data, **attributes)

    def fill(self, count):
        """So many objects, and what each holds."""
        for i in range(count):
            self.put(f"{OLD}/{i % 24:02}/{i:05}", f"data {i}")
        return {f"{OLD}/{i % 24:02}/{i:05}": f"data {i}" for i in range(count)}

    def keys(self, bucket):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.names[bucket])
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def data(self, bucket, key):
        return self.s3.get_object(Bucket=self.names[bucket], Key=key)["Body"].read().decode()

    def all(self, bucket):
        """Every object but the manifests, and what it holds."""
        return {key: self.data(bucket, key) for key in self.keys(bucket)
                if not key.startswith(MANIFESTS)}

    def listed(self):
        """All keys of all manifests."""
        return {json.loads(line)["key"] for key in self.keys("eventsshadow")
                if key.startswith(MANIFESTS)
                for line in self.data("eventsshadow", key).splitlines()}


@pytest.fixture
def lake(sdrs, ceph):  # noqa: F811
    made = Lake(sdrs, ceph)
    yield made
    made.remove()


def execute(sdrs, **options):  # noqa: F811
    return sdrs.run("execute", now=NOW, **options)


# ---- what is moved ------------------------------------------------------------------------------


def test_moves_on_s3(lake):
    odd = f"{OLD}/03/\u00e4 \U0001f600+%20&<>'\""
    lake.put(f"{OLD}/00/a", b"1", ContentType="text/csv", Metadata={"who": "me"})
    lake.put(odd, b"22")
    lake.put("clicks/2026/01/11/11/last", b"old")
    stays = {"clicks/2026/01/11/12/young": "young", "clicks/readme": "r",
             "other/2020/01/01/00/x": "x", "clicks2/2020/01/01/00/x": "x"}
    for key, data in stays.items():
        lake.put(key, data)
    result = execute(lake.sdrs)
    assert result.status == 0, result.stderr
    assert lake.all("events") == stays
    moved = {f"{OLD}/00/a": "1", odd: "22", "clicks/2026/01/11/11/last": "old"}
    assert lake.all("eventsshadow") == moved
    assert lake.listed() == set(moved)
    head = lake.s3.head_object(Bucket=lake.names["eventsshadow"], Key=f"{OLD}/00/a")
    assert (head["ContentType"], head["Metadata"]) == ("text/csv", {"who": "me"})
    # And again there is nothing to do.
    assert execute(lake.sdrs).status == 0
    assert lake.all("eventsshadow") == moved


def test_moves_files(sdrs):  # noqa: F811
    sdrs.bucket("events")
    old = sdrs.hours("events", "clicks", "2026-01-10T00", 36)
    young = sdrs.hours("events", "clicks", "2026-01-11T12", 5)
    sdrs.configure(rules=[{"type": "DATASET", "dataStorageName": sdrs.name("events", "clicks"),
                           "projectId": "p", "retentionPeriod": 30}])
    result = execute(sdrs)
    assert result.status == 0, result.stderr
    assert sdrs.keys("events") == young
    assert sdrs.keys("eventsshadow") == old
    assert all(sdrs.text("eventsshadow", key).startswith("clicks 2026") for key in old)


def test_a_shadow_has_to_be_there(lake):
    lake.put(f"{OLD}/00/a", b"1")
    lake.s3.delete_bucket(Bucket=lake.names["eventsshadow"])
    result = execute(lake.sdrs)
    lake.s3.create_bucket(Bucket=lake.names["eventsshadow"])
    assert result.status == 1
    assert (f"the bucket 's3://{lake.real}shadow/' does not exist: a shadow bucket has to be made"
            in result.stdout + result.stderr)
    assert lake.all("events") == {f"{OLD}/00/a": "1"}


def test_collisions_are_kept(lake):
    lake.sdrs.configure(collision="keep")
    for name in ("same", "other"):
        lake.put(f"{OLD}/00/{name}", f"{name}-1")
    lake.s3.put_object(Bucket=lake.names["eventsshadow"], Key=f"{OLD}/00/same", Body="same-1")
    lake.s3.put_object(Bucket=lake.names["eventsshadow"], Key=f"{OLD}/00/other", Body="other-2")
    result = execute(lake.sdrs)
    assert result.status == 1
    assert "1 object stayed where it was" in result.stdout + result.stderr
    assert lake.all("events") == {f"{OLD}/00/other": "other-1"}
    assert lake.all("eventsshadow") == {f"{OLD}/00/same": "same-1", f"{OLD}/00/other": "other-2"}


# ---- others, meanwhile --------------------------------------------------------------------------


def test_replaced_and_added_meanwhile_on_s3(lake, proxy):
    """Between the listing and the copies, which wait for the manifest. (That a server removes only
    what is still the same has to be its own doing: Ceph's is looked at shortly before.)"""
    before = lake.fill(120)
    lake.reach(proxy.endpoint)
    proxy.rules.add(method="PUT", target=MANIFESTS, delay_ms=60000)
    process = lake.sdrs.start("execute", now=NOW)
    until(lambda: proxy.rules.used() > 0)
    replaced = dict.fromkeys(list(before)[::4], "again")
    added = {f"{OLD}/00/late-{i}": "late" for i in range(10)}
    for key, data in (replaced | added).items():
        lake.put(key, data)
    proxy.rules.clear()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert b"30 objects stayed where they were" in out + err
    assert lake.all("events") == replaced | added
    assert lake.all("eventsshadow") == {key: data for key, data in before.items()
                                        if key not in replaced}
    result = execute(lake.sdrs)
    assert result.status == 0, result.stderr
    assert lake.all("events") == {}
    assert lake.all("eventsshadow") == before | replaced | added
    assert lake.listed() == set(before | added)


def test_others_write_files_all_the_time(world_in_memory, rng):
    """Whatever was written last is somewhere."""
    sdrs = SdrsWorld(world_in_memory)  # noqa: F811
    sdrs.bucket("events")
    sdrs.configure(rules=[{"type": "DATASET", "dataStorageName": sdrs.name("events", "clicks"),
                           "projectId": "p", "retentionPeriod": 30}])
    fresh = sdrs.root / "fresh"
    latest, over = {}, threading.Event()

    def write():
        """As programs do that replace a file in one step."""
        i = rng.randrange(3000)
        key = f"{OLD}/{i % 24:02}/{i:05}"
        path = sdrs.root / "events" / key
        latest[key] = f"{rng.random()}"
        fresh.write_text(latest[key])
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fresh.replace(path)
        except FileNotFoundError:  # the folder went, as the last file of it had
            del latest[key]
            latest.update({key: sdrs.text("eventsshadow", key)}
                          if (sdrs.root / "eventsshadow" / key).exists() else {})

    def write_on():
        while not over.is_set():
            write()

    for _ in range(3000):
        write()
    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for _ in range(3):
            assert execute(sdrs).status in (0, 1)
    finally:
        over.set()
        writer.join()
    found = {key: sdrs.text(bucket, key) for bucket in ("eventsshadow", "events")
             for key in sdrs.keys(bucket)}
    assert found == latest
    result = execute(sdrs)
    assert result.status == 0, result.stderr
    assert sdrs.keys("events") == []
    assert {key: sdrs.text("eventsshadow", key) for key in latest} == latest


# ---- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [
    {"method": "PUT", "status": 503, "share": 0.3, "times": 10},
    {"method": "PUT", "cut_reply_bytes": 0, "skip": 1, "every": 3, "times": 10},
    {"method": "POST", "cut_reply_bytes": 0, "times": 1},
    {"method": "POST", "status": 500, "times": 2},
    {"method": "GET", "status": 503, "times": 2},
], ids=["storm", "copies", "removals", "removals-500", "listings"])
def test_faults_of_the_network(lake, proxy, fault):
    before = lake.fill(60)
    lake.reach(proxy.endpoint)
    proxy.rules.add(**fault)
    result = execute(lake.sdrs)
    assert result.status == 0, result.stderr
    assert lake.all("events") == {}
    assert lake.all("eventsshadow") == before
    assert lake.listed() == set(before)


def test_a_shadow_that_may_not_be_written(lake, proxy):
    before = lake.fill(30)
    lake.reach(proxy.endpoint)
    proxy.rules.add(method="PUT", target=f"{lake.real}shadow/clicks", status=403, times=None)
    result = execute(lake.sdrs)
    assert result.status == 1
    assert "30 objects stayed where they were" in result.stdout + result.stderr
    assert lake.all("events") == before


def test_a_full_shadow_on_s3(lake, ceph):
    before = lake.fill(60)
    ceph.admin("quota", "set", "--quota-scope=bucket", f"--bucket={lake.names['eventsshadow']}",
               "--max-objects=20")
    ceph.admin("quota", "enable", "--quota-scope=bucket",
               f"--bucket={lake.names['eventsshadow']}")
    result = execute(lake.sdrs)
    assert result.status == 1
    assert "QuotaExceeded" in result.stdout + result.stderr
    here, there = lake.all("events"), lake.all("eventsshadow")
    assert 0 < len(there) < len(before)
    assert there | here == before
    ceph.admin("quota", "disable", "--quota-scope=bucket",
               f"--bucket={lake.names['eventsshadow']}")
    result = execute(lake.sdrs)
    assert result.status == 0, result.stderr
    assert lake.all("eventsshadow") == before


def test_a_full_disk(sdrs):  # noqa: F811
    sdrs.bucket("events")
    shadow = sdrs.root / "eventsshadow"
    with mounted(shadow, "4m"):
        for i in range(8):
            sdrs.put("events", f"{OLD}/00/{i}", os.urandom(1 << 20))
        sdrs.configure(rules=[{"type": "DATASET", "dataStorageName": sdrs.name("events", "clicks"),
                               "projectId": "p", "retentionPeriod": 30}])
        before = {key: (sdrs.root / "events" / key).read_bytes() for key in sdrs.keys("events")}
        result = execute(sdrs)
        assert result.status == 1
        assert "No space left" in result.stdout + result.stderr
        both = {key: (sdrs.root / bucket / key).read_bytes()
                for bucket in ("eventsshadow", "events") for key in sdrs.keys(bucket)}
        assert both == before
        assert 0 < len(sdrs.keys("eventsshadow")) < 8


# ---- kill -9 ------------------------------------------------------------------------------------


def kill_often(sdrs, judge, rng, times, most_s):  # noqa: F811
    for _ in range(times):
        process = sdrs.start("execute", now=NOW, process=UNHEARD)
        time.sleep(rng.uniform(0.05, most_s))
        process.send_signal(signal.SIGKILL)
        assert process.wait() in (0, -signal.SIGKILL)
        judge()


def test_killed_at_any_point_on_s3(lake, rng):
    before = lake.fill(1200)

    def judge():
        # Where objects come from is looked at first: whoever moves them may live for a moment yet.
        left = set(lake.keys("events"))
        moved = {key for key in lake.keys("eventsshadow") if not key.startswith(MANIFESTS)}
        assert moved | left == set(before)
        assert moved <= lake.listed()

    kill_often(lake.sdrs, judge, rng, 4, 1.5)
    result = execute(lake.sdrs)
    assert result.status == 0, result.stderr
    assert lake.all("events") == {}
    assert lake.all("eventsshadow") == before


def test_killed_at_any_point_with_files(world_in_memory, rng):
    sdrs = SdrsWorld(world_in_memory)  # noqa: F811
    sdrs.bucket("events")
    for i in range(20000):
        sdrs.put("events", f"{OLD}/{i % 24:02}/{i:05}", f"data {i}")
    before = set(sdrs.keys("events"))
    sdrs.configure(rules=[{"type": "DATASET", "dataStorageName": sdrs.name("events", "clicks"),
                           "projectId": "p", "retentionPeriod": 30}])

    def judge():
        assert set(sdrs.keys("events")) | set(sdrs.keys("eventsshadow")) == before

    kill_often(sdrs, judge, rng, 5, 1.5)
    result = execute(sdrs)
    assert result.status == 0, result.stderr
    assert sdrs.keys("events") == []
    assert set(sdrs.keys("eventsshadow")) == before
    assert all(sdrs.text("eventsshadow", key) == f"data {int(key[-5:])}" for key in before)
