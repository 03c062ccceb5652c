"""'run-core dsr cleanup' on lakes in object stores: what is erased and kept there, old versions, what
objects have beside their content, other writers, and stores that fail."""
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
# The fixture is found by its name.
from conftest import PATIENCE_S, RUN_LIMIT_S
from dsr_world import (DAYS, Folder, Google, InBuckets, pond_made, needs_engine,  # noqa: F401
                       on_ceph, on_duckdb, user, versions)
from test_worker import wait_for

pytestmark = needs_engine

FULL = bool(os.environ.get("RUN_CORE_FULL"))
USERS = [user(3, n) for n in (1, 2, 3, 44)]
ERASED = {3: (USERS, DAYS[0], DAYS[1])}


@pytest.fixture
def dsr(world, pond_made, ceph, bucket):  # noqa: F811
    return on_ceph(world, pond_made, ceph, bucket)


@pytest.fixture
def versioned(ceph, bucket):
    """The same bucket, which keeps every version from now on."""
    ceph.s3().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


# ---- what is erased ------------------------------------------------------------------------------


def test_on_s3(dsr, ceph, bucket):
    dsr.mark_range(3, *USERS, last=DAYS[1])
    before = {item["Key"]: item["ETag"] for item in ceph.s3().list_objects_v2(
        Bucket=bucket, Prefix="lake/")["Contents"]}
    result = dsr.run("cleanup", "--json", backupOriginal="true")
    found = dsr.check(ERASED)
    dsr.check_nothing_left()
    assert result.final["counters"]["rows_deleted"] == found["rows"]
    assert dsr.markers.names() == [] and len(dsr.archived()) == 5
    assert sum(line["rows"] for line in dsr.records()) == found["rows"]
    after = {item["Key"]: item["ETag"] for item in ceph.s3().list_objects_v2(
        Bucket=bucket, Prefix="lake/")["Contents"]}
    assert sum(before[key] != tag for key, tag in after.items()) == found["rewritten"]
    assert not ceph.s3().list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.fixture
def google(world, pond_made, gcs):  # noqa: F811
    """A lake in a bucket with versions."""
    gcs.store.make_bucket("lake", versioning={"enabled": True})
    store = {"bucket": "lake", "endpoint": gcs.endpoint, "access_token": gcs.tokens.issue(3600)}
    return InBuckets(world, pond_made, lambda name: Google(gcs.store, "lake", name),
                     {"google": store})


@on_duckdb
def test_on_google(google):
    google.mark_range(3, *USERS, last=DAYS[1])
    google.run(backupOriginal="true")
    google.check(ERASED)
    google.check_nothing_left()
    assert google.markers.names() == [] and len(google.archived()) == 5


def test_markers_here_and_data_there(world, pond_made, ceph, bucket):  # noqa: F811
    dsr = on_ceph(world, pond_made, ceph, bucket)
    dsr.markers, dsr.archive = Folder(world.root / "markers"), Folder(world.root / "archive")
    dsr.mark_range(3, *USERS, last=DAYS[1])
    dsr.run()
    dsr.check(ERASED)
    assert dsr.markers.names() == [] and len(dsr.archived()) == 5


def test_an_object_keeps_what_it_has_beside_its_content(dsr, ceph, bucket):
    name = f"users/shard=3/day={DAYS[0]}/part-0.parquet"
    dsr.data.put(name, dsr.data.get(name), ContentType="application/x-parquet",
                 Metadata={"owner": "analytics"}, Tagging="class=personal", CacheControl="no-store")
    dsr.mark_range(3, *USERS, last=DAYS[1])
    dsr.run()
    dsr.check(ERASED)
    key = f"lake/{name}"
    head = ceph.s3().head_object(Bucket=bucket, Key=key)
    assert head["ContentType"] == "application/x-parquet" and head["CacheControl"] == "no-store"
    assert head["Metadata"]["owner"] == "analytics"
    assert ceph.s3().get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [
        {"Key": "class", "Value": "personal"}]


# ---- versions ------------------------------------------------------------------------------------


@on_duckdb
def test_old_versions_are_told_of(google):
    google.mark_range(3, *USERS, last=DAYS[1])
    result = google.run("cleanup", "--json")
    found = google.check(ERASED)
    held = found["rewritten"] + found["removed"]
    assert result.final["counters"]["old_versions"] == held
    assert any(f"{held} older versions of {held} objects still hold" in line["text"]
               for line in result.final["results"])
    counts = [len(kept) for kept in google.data.kept().values()]
    assert counts.count(2) == found["rewritten"]


@on_duckdb
def test_old_versions_are_removed_if_they_hold_a_user(google):
    google.mark_range(3, *USERS, last=DAYS[1])
    google.run(delete_old_versions="true")
    google.check(ERASED)
    assert {len(kept) for kept in google.data.kept().values()} == {1}
    assert sorted(google.data.kept()) == google.data.names()


def test_old_versions_of_what_is_clean_by_now(ceph, versioned, world, pond_made):  # noqa: F811
    """An object was overwritten, another one removed; the users are in the versions alone."""
    dsr = on_ceph(world, pond_made, ceph, versioned)
    place = f"users/shard=3/day={DAYS[1]}/"
    held, clean = dsr.data.get(place + "part-0.parquet"), dsr.data.get(place + "others.parquet")
    for name in dsr.data.names(place.rstrip("/")):
        dsr.data.remove(name)
    for name in dsr.data.names(f"cohorts/shard=3/day={DAYS[1]}/"):
        dsr.data.remove(name)
    dsr.data.put(place + "overwritten", held)
    dsr.data.put(place + "overwritten", clean)
    dsr.data.put(place + "twice", clean)
    dsr.data.put(place + "twice", clean)
    outside = f"users/shard=3/day={DAYS[0]}/part-0.parquet"
    dsr.data.put(outside, dsr.data.get(outside))
    before = versions(ceph, versioned, "lake/")
    dsr.mark(3, DAYS[1], *USERS)
    dsr.run(delete_old_versions="true")
    dsr.check({})
    after = versions(ceph, versioned, "lake/")
    assert {key: len(before[key]) - len(after.get(key, [])) for key in before
            if before[key] != after.get(key)} == {
                f"lake/{place}{name}": 1
                for name in ("overwritten", "part-0.parquet", "deeper/part 1.parquet", "few")
            } | {f"lake/cohorts/shard=3/day={DAYS[1]}/{name}": 1
                 for name in ("part-0.parquet", "deeper/part 1.parquet", "few")}


@pytest.mark.parametrize("removes", ["false", "true"])
def test_on_ceph_with_versions(ceph, versioned, world, pond_made, removes):  # noqa: F811
    """Which refuses every write on a condition there, so that it is kept by looks at versions."""
    dsr = on_ceph(world, pond_made, ceph, versioned)
    before = versions(ceph, versioned, "lake/")
    dsr.mark_range(3, *USERS, last=DAYS[1])
    result = dsr.run("cleanup", "--json", delete_old_versions=removes, backupOriginal="true")
    found = dsr.check(ERASED)
    dsr.check_nothing_left()
    assert result.final["counters"]["rows_deleted"] == found["rows"]
    assert dsr.markers.names() == [] and len(dsr.archived()) == 5
    after = versions(ceph, versioned, "lake/")
    named = {f"lake/{name}" for name in dsr.data.names()}
    if removes == "true":
        assert set(after) == named and {len(kept) for kept in after.values()} == {1}
        return
    held = found["rewritten"] + found["removed"]
    assert result.final["counters"]["old_versions"] == held
    assert any(f"{held} older versions of {held} objects still hold" in line["text"]
               for line in result.final["results"])
    assert all(after[key][-len(kept):] == kept for key, kept in before.items())
    assert sum(len(after[key]) - len(before[key]) for key in named) == found["rewritten"]
    # What remains is found, and removed by a run of the same users.
    dsr.mark_range(3, *USERS, last=DAYS[1])
    dsr.run(delete_old_versions="true")
    assert {len(kept) for kept in versions(ceph, versioned, "lake/").values()} == {1}


def test_a_suspended_bucket_is_told_of(ceph, versioned, world, pond_made):  # noqa: F811
    """Of Ceph's, where what was written before can not be replaced on a condition: nothing is
    risked there."""
    dsr = on_ceph(world, pond_made, ceph, versioned)
    ceph.s3().put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status":
                                                                               "Suspended"})
    dsr.mark(3, DAYS[0], user(3, 44))
    result = dsr.run(status=1)
    assert "the store refuses a write on the condition" in result.text
    dsr.check({})
    assert len(dsr.markers.names()) == 1


# ---- other writers -------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", ["only the newest", "versions"])
def test_a_newer_object_is_never_overwritten(dsr, request, keeps):
    """Somebody writes other files in the place of those that are being worked on, again and again;
    in the end the users are in none of them, and every one is of what was written last."""
    if keeps == "versions":
        request.getfixturevalue("versioned")
    name = f"users/shard=3/day={DAYS[0]}/part-0.parquet"
    other = dsr.data.get(f"users/shard=3/day={DAYS[1]}/part-0.parquet")
    dsr.mark_range(3, *USERS, last=DAYS[1])
    stop = threading.Event()

    def write():
        while not stop.is_set():
            dsr.data.put(name, other)
            time.sleep(0.3)

    dsr.remember()
    writer = threading.Thread(target=write)
    run = dsr.start("cleanup", attempts=50)
    writer.start()
    time.sleep(1)
    stop.set()
    writer.join()
    run.communicate(timeout=RUN_LIMIT_S)
    dsr.run()
    (dsr.before / name).write_bytes(other)
    dsr.check(ERASED)
    assert dsr.markers.names() == []


# ---- probes --------------------------------------------------------------------------------------


def ask(port, path):
    """Status and text; None: nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            return None
        raise


def test_the_pod_is_probed_while_it_erases(world, pond_made, ceph, bucket, proxy):  # noqa: F811
    """As the deployment does, but on a port that is free."""
    dsr = on_ceph(world, pond_made, ceph, bucket, endpoint=proxy.endpoint)
    dsr.mark_range(3, *USERS, last=DAYS[1])
    # The first object that is replaced takes its time, so that the run is seen at its work.
    proxy.rules.add(method="PUT", target="/lake/", delay_ms=60000)
    run = dsr.start("cleanup", "--listen", "127.0.0.1:0", width=1)
    said = wait_for(run, "serving health and metrics at ")
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)", said).group(1))
    end = time.monotonic() + PATIENCE_S
    while not proxy.rules.used():
        assert run.poll() is None and time.monotonic() < end, run.communicate()
        time.sleep(0.02)
    assert ask(port, "/healthcheck/is-alive")[0] == 200
    assert ask(port, "/healthcheck/is-ready")[0] == 200
    status, metrics = ask(port, "/metrics")
    assert status == 200
    of_it = 'plugin="dsr",action="cleanup",job=""'
    while not re.search(rf'{of_it},counter="files_scanned"\}} [1-9]', metrics):
        assert time.monotonic() < end, metrics
        time.sleep(0.02)
        status, metrics = ask(port, "/metrics")
    proxy.rules.clear()
    said = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, said
    # The port is anybody's again.
    assert ask(port, "/healthcheck/is-alive") is None
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    dsr.check(ERASED)
    dsr.check_nothing_left()


# ---- a store that fails --------------------------------------------------------------------------


FAULTS = {
    "answers 500": {"status": 500},
    "leaves": {"lost": True},
    "does it and says nothing": {"cut_reply_bytes": 0},
}


# With RUN_CORE_FULL=1 each of them in either kind of bucket; else in turns.
FAILURES = [(fault, keeps) for i, fault in enumerate(FAULTS)
            for j, keeps in enumerate(["only the newest", "versions"]) if FULL or i % 2 == j]


@pytest.mark.parametrize("fault, keeps", FAILURES)
def test_a_store_that_fails_every_few_requests(world, pond_made, ceph, bucket, proxy,  # noqa: F811
                                               rng, fault, keeps, request):
    """After at most a few runs all is as it has to be, and each row is in the record once."""
    if keeps == "versions":
        request.getfixturevalue("versioned")
    dsr = on_ceph(world, pond_made, ceph, bucket, endpoint=proxy.endpoint)
    dsr.mark_range(3, *USERS, last=DAYS[1])
    dsr.remember()
    proxy.rules.add(times=None, share=rng.choice([0.1, 0.3]), **FAULTS[fault])
    dsr.configure(backupOriginal="true")
    for _ in range(3):
        if dsr.world.run("dsr").status == 0:
            break
    proxy.rules.clear()
    dsr.run()
    found = dsr.check(ERASED)
    dsr.check_nothing_left()
    assert dsr.markers.names() == [] and len(dsr.archived()) == 5
    assert sum(line["rows"] for line in dsr.records()) == found["rows"]
