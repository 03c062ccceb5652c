"""The actions 'restore' and 'purge' of sdrs on real buckets, judged from outside."""

import os
import signal
import time

import pytest
import s3_server
from sdrs_google_world import google  # noqa: F401, a fixture
from sdrs_world import UNHEARD, SdrsWorld, sdrs  # noqa: F401, a fixture

NOW = "2026-02-10T12:00:00Z"  # with 30 days: up to 2026-01-11T12
OLD = "clicks/2026/01/01"
MANIFESTS = ".run-core/sdrs/"


@pytest.fixture
def moved(sdrs):  # noqa: F811
    """Two datasets of a bucket of files, moved by one execution: the keys that were moved."""
    sdrs.bucket("events")
    keys = (sdrs.hours("events", "clicks", "2026-01-10T00", 36)
            + sdrs.hours("events", "views", "2026-01-11T00", 12))
    sdrs.hours("events", "clicks", "2026-01-11T12", 4)
    sdrs.configure(rules=[{"type": "DATASET", "dataStorageName": sdrs.name("events", dataset),
                           "projectId": "p", "retentionPeriod": 30}
                          for dataset in ("clicks", "views")])
    sdrs.before = tree(sdrs)
    result = sdrs.run("execute", now=NOW)
    assert result.status == 0, result.stderr
    assert sdrs.keys("eventsshadow") == sorted(keys)
    return sdrs


def tree(sdrs, bucket="events"):  # noqa: F811
    return {key: sdrs.text(bucket, key) for key in sdrs.keys(bucket)}


def batches(sdrs, bucket="eventsshadow"):  # noqa: F811
    return sorted(path.name for path in (sdrs.root / bucket / MANIFESTS).iterdir())


# ---- restore ------------------------------------------------------------------------------------


def test_one_batch(moved):
    [batch] = batches(moved)
    result = moved.run("restore", batch=batch)
    assert result.status == 0, result.stderr
    assert tree(moved) == moved.before
    assert moved.keys("eventsshadow") == []
    # Again there is nothing to do; and the next execution moves all of it again.
    result = moved.run("restore", batch=batch)
    assert result.status == 0, result.stderr
    assert moved.run("execute", now=NOW).status == 0
    assert len(moved.keys("eventsshadow")) == 48
    assert len(batches(moved)) == 2


def test_one_rule(moved):
    result = moved.run("restore", rule=2)
    assert result.status == 0, result.stderr
    assert [key for key in moved.keys("eventsshadow") if key.startswith("views/")] == []
    assert len(moved.keys("eventsshadow")) == 36


def test_one_prefix(moved):
    for prefix, count in (("clicks/2026/01/10/05/", 47), ("clicks/2026/01/10/0", 47),
                          ("views/2026/01/11/03/log.txt", 46), ("clicks/2026/01/10", 23)):
        result = moved.run("restore", prefix=moved.name("events", prefix))
        assert result.status == 0, result.stderr
        assert len(moved.keys("eventsshadow")) == count, prefix
    assert moved.run("restore", prefix=moved.name("events")).status == 0
    assert tree(moved) == moved.before
    assert len(batches(moved)) == 1


def test_what_is_there_is_not_overwritten(moved):
    moved.put("events", "clicks/2026/01/10/05/log.txt", "new")
    moved.put("events", "clicks/2026/01/10/06/log.txt", "new")
    (moved.root / "eventsshadow/clicks/2026/01/10/07/log.txt").unlink()
    [batch] = batches(moved)
    result = moved.run("restore", batch=batch)
    assert result.status == 1
    assert "2 objects were not brought back, the first" in result.text
    assert "another object is at" in result.text
    assert moved.text("events", "clicks/2026/01/10/05/log.txt") == "new"
    assert moved.keys("eventsshadow") == ["clicks/2026/01/10/05/log.txt",
                                          "clicks/2026/01/10/06/log.txt"]
    result = moved.run("restore", batch=batch, overwrite=True)
    assert result.status == 1
    assert "1 objects are neither in the shadow bucket nor at their old place" in result.text
    missing = "clicks/2026/01/10/07/log.txt"
    assert tree(moved) == {key: data for key, data in moved.before.items() if key != missing}


def test_a_dry_run_changes_nothing(moved):
    [batch] = batches(moved)
    shadow = tree(moved, "eventsshadow")
    result = moved.run("restore", "--dry-run", batch=batch)
    assert result.status == 0, result.stderr
    assert "What would be brought back" in result.stdout
    assert tree(moved, "eventsshadow") == shadow
    result = moved.run("purge", "--dry-run", days=0)
    assert result.status == 0, result.stderr
    assert "What would be removed for ever" in result.stdout
    assert tree(moved, "eventsshadow") == shadow


def test_killed_as_it_restores_and_run_again(world_in_memory, rng):
    sdrs = SdrsWorld(world_in_memory)  # noqa: F811
    sdrs.bucket("events")
    for i in range(10000):
        sdrs.put("events", f"{OLD}/{i % 24:02}/{i:05}", f"data {i}")
    before = set(sdrs.keys("events"))
    sdrs.configure(rules=[{"type": "DATASET", "dataStorageName": sdrs.name("events", "clicks"),
                           "projectId": "p", "retentionPeriod": 30}])
    assert sdrs.run("execute", now=NOW).status == 0
    [batch] = batches(sdrs)
    for _ in range(4):
        process = sdrs.start("restore", batch=batch, process=UNHEARD)
        time.sleep(rng.uniform(0.05, 1))
        process.send_signal(signal.SIGKILL)
        assert process.wait() in (0, -signal.SIGKILL)
        # Where objects come from is looked at first: whoever carries them may live for a moment yet.
        there = set(sdrs.keys("eventsshadow"))
        assert there | set(sdrs.keys("events")) == before
    result = sdrs.run("restore", batch=batch)
    assert result.status == 0, result.stderr
    assert set(sdrs.keys("events")) == before
    assert sdrs.keys("eventsshadow") == []


def test_restores_on_s3(sdrs, ceph):  # noqa: F811
    s3, real = ceph.s3(), f"events-{os.urandom(6).hex()}"
    for name in (real, f"{real}shadow"):
        s3.create_bucket(Bucket=name)
        sdrs.stores[name] = {"bucket": name, "endpoint": ceph.endpoint, "region": ceph.region,
                             "access_key_id": ceph.access_key,
                             "secret_access_key": ceph.secret_key}
    try:
        sdrs.configure(rules=[{"type": "DATASET", "dataStorageName": f"s3://{real}/clicks",
                               "projectId": "p", "retentionPeriod": 30}])
        keys = [f"{OLD}/{i % 24:02}/{i:05} \u00e4" for i in range(200)]
        for key in keys:
            s3.put_object(Bucket=real, Key=key, Body=key.encode(), Metadata={"for": "me"})
        assert sdrs.run("execute", now=NOW).status == 0
        assert listing(s3, real) == []
        # One was copied before by a run that died, another one is new.
        s3.put_object(Bucket=real, Key=keys[0], Body=keys[0].encode())
        s3.put_object(Bucket=real, Key=keys[1], Body=b"new")
        result = sdrs.run("restore", rule=1)
        assert result.status == 1
        assert "1 objects were not brought back" in result.text
        assert listing(s3, real) == sorted(keys)
        assert listing(s3, f"{real}shadow") == [keys[1]]
        assert s3.head_object(Bucket=real, Key=keys[2])["Metadata"] == {"for": "me"}
        result = sdrs.run("restore", rule=1, overwrite=True)
        assert result.status == 0, result.stderr
        assert [s3.get_object(Bucket=real, Key=key)["Body"].read().decode()
                for key in keys] == keys
        assert sdrs.run("execute", now=NOW).status == 0
        result = sdrs.run("purge", days=0)
        assert result.status == 0, result.stderr
        assert listing(s3, f"{real}shadow") == []
    finally:
        for name in (real, f"{real}shadow"):
            s3_server.empty(s3, name)
            s3.delete_bucket(Bucket=name)


def test_what_the_transfer_service_moved(google):  # noqa: F811
    """It leaves no manifest: the job's prefixes and time say what it was."""
    keys = ["clicks/2018/12/31/23/log", "clicks/2019/02/08/04/log"]
    google.bucket("events")
    google.put("eventsshadow", "clicks/2018/12/31/23/before", modified="2019-01-15T00:00:00Z")
    for key in keys:
        google.put("events", key)
    google.rule("events", "clicks")
    assert google.run("execute").status == 0
    google.settle()
    google.run("validate")
    assert google.keys("events") == []
    result = google.run("restore", rule=1)
    assert result.status == 0, result.stderr
    assert google.keys("events") == keys
    assert google.keys("eventsshadow") == ["clicks/2018/12/31/23/before"]


def listing(s3, bucket):
    found = (entry["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
             for entry in page.get("Contents", []))
    return sorted(key for key in found if not key.startswith(MANIFESTS))


# ---- purge --------------------------------------------------------------------------------------


def days_from_now(days):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * 86400))


def test_files_are_purged_by_when_they_came(moved):
    """A file keeps its time as it is renamed: these have been in the shadow for a moment only."""
    for key in moved.keys("eventsshadow"):
        os.utime(moved.root / "eventsshadow" / key, (1, 1))
    result = moved.run("purge", days=10, now=days_from_now(5))
    assert result.status == 0, result.stderr
    assert len(moved.keys("eventsshadow")) == 48
    result = moved.run("purge", days=10, now=days_from_now(11.5))
    assert result.status == 0, result.stderr
    assert moved.keys("eventsshadow") == []
    assert len(moved.keys("events")) == 4
    assert not [path for path in (moved.root / "eventsshadow").rglob("*") if path.is_file()]


def test_what_is_held_can_be_restored_after_a_purge(moved):
    """The lists stay as long as something that they may name."""
    held = "clicks/2026/01/10/05/log.txt"
    [batch] = batches(moved)
    moved.configure(legal_holds=[moved.name("events", held)])
    assert moved.run("purge", days=1, now=days_from_now(3)).status == 0
    assert moved.keys("eventsshadow") == [held]
    result = moved.run("restore", batch=batch)
    assert result.status == 1
    assert "47 objects are neither in the shadow bucket nor at their old place" in result.text
    assert moved.text("events", held) == moved.before[held]


@pytest.mark.parametrize("by", ["batch", "rule"])
def test_a_batch_whose_lists_were_purged_is_no_success(moved, by):
    [batch] = batches(moved)
    assert moved.run("purge", days=1, now=days_from_now(3)).status == 0
    assert moved.keys("eventsshadow") == []
    result = moved.run("restore", **{"batch": {"batch": batch}, "rule": {"rule": 1}}[by])
    assert result.status == 1
    count = {"batch": "2 jobs", "rule": "1 job"}[by]
    assert f"the lists of {count} were purged" in result.text
    assert "restore by prefix" in result.text


def test_a_bucket_with_rules_is_never_purged(moved):
    moved.configure(rules=[{"type": "DATASET", "dataStorageName": moved.name(bucket, "clicks"),
                            "projectId": "p", "retentionPeriod": 30}
                           for bucket in ("events", "eventsshadow")])
    result = moved.run("purge", days=0, storage=moved.name("events"), now=days_from_now(5))
    assert result.status == 2
    assert "is not purged: it would be the shadow of" in result.text
    assert len(moved.keys("eventsshadow")) == 48
