"""Writes and removals on a condition in buckets with versions of Ceph, which refuses every If-Match
there and takes every If-None-Match: what the versions are afterwards, whoever else writes, and
whatever is lost on the way. Amazon's own client is the judge."""
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import BUILD
from fault_proxy import FaultProxy
from storage_probe import Failed, StorageProbe

MIB = 1 << 20
SIZES = [3, 11 * MIB]  # at once, in parts
ABSENT = ""


class Between(FaultProxy):
    """Does something just before requests of a kind, the first so many times."""

    def __init__(self, target):
        super().__init__(target)
        self.hooks, self.writes = [], []

    def before(self, call, method, has=(), lacks=(), times=1):
        """'has' and 'lacks': of the request's line and the names of its headers."""
        self.hooks.append([call, method, has, lacks, times])

    def handle(self, request):
        text = " ".join([request.target, *request.headers])
        if request.method in ("PUT", "POST", "DELETE"):
            self.writes.append((request.method, "if-match" in request.headers))
        for hook in self.hooks:
            call, method, has, lacks, times = hook
            if times and request.method == method and all(word in text for word in has) \
                    and not any(word in text for word in lacks):
                hook[-1] -= 1
                call()
        return super().handle(request)


@pytest.fixture
def between(ceph):
    with Between(ceph.endpoint) as server:
        yield server


class Place:
    """One key in a bucket with versions, as Amazon's client sees it."""

    def __init__(self, client, bucket):
        self.client, self.bucket, self.uri = client, bucket, f"s3://{bucket}/folder/key"
        self.where = {"Bucket": bucket, "Key": "folder/key"}

    def suspend(self, status="Suspended"):
        self.client.put_bucket_versioning(Bucket=self.bucket,
                                          VersioningConfiguration={"Status": status})

    def put(self, data, **more):
        return self.client.put_object(**self.where, Body=data, **more)["ETag"].strip('"')

    def remove(self):
        self.client.delete_object(**self.where)

    def get(self):
        return self.client.get_object(**self.where)["Body"].read()

    def versions(self):
        """What each version holds, the newest first; None: it marks a removal."""
        page = self.client.list_object_versions(Bucket=self.bucket, Prefix="folder/key")
        rows = [item for item in page.get("Versions", []) + page.get("DeleteMarkers", [])
                if item["Key"] == "folder/key"]
        rows.sort(key=lambda item: (not item["IsLatest"], -item["LastModified"].timestamp()))
        return [self.client.get_object(**self.where, VersionId=item["VersionId"])["Body"].read()
                if "ETag" in item else None for item in rows]


@pytest.fixture
def place(ceph, bucket):
    place = Place(ceph.s3(), bucket)
    place.suspend("Enabled")
    place.client.put_object(Bucket=bucket, Key="folder/key-and-more", Body=b"another")
    yield place
    assert "Uploads" not in place.client.list_multipart_uploads(Bucket=bucket)


@pytest.fixture
def probe(ceph, bucket, between):
    with StorageProbe(BUILD, bucket=bucket, endpoint=between.endpoint, region=ceph.region,
                      access_key_id=ceph.access_key, secret_access_key=ceph.secret_key,
                      part_bytes=5 * MIB) as made:
        yield made


def fails(code, call, *words, **fields):
    with pytest.raises(Failed) as failed:
        call(*words, **fields)
    assert failed.value.code == code, failed.value
    return failed.value.message


# ---- the contract --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_replaces_what_it_has_seen_and_nothing_else(place, probe, size):
    data, newer = os.urandom(size), os.urandom(size)
    tag = place.put(b"old", Metadata={"owner": "ada"}, ContentType="text/csv")
    for wrong in ("0" * 32, ABSENT):
        fails("conflict", probe.stream, place.uri, data, if_match=wrong)
    assert place.versions() == [b"old"]
    probe.stream(place.uri, data, if_match=tag, keep=1)
    assert place.versions() == [data, b"old"] and place.get() == data
    head = place.client.head_object(**place.where)
    assert head["Metadata"]["owner"] == "ada" and head["ContentType"] == "text/csv"
    fails("conflict", probe.stream, place.uri, newer, if_match=tag)
    seen = probe.stat(place.uri)["etag"]
    written = probe.stream(place.uri, newer, if_match=seen)
    assert written["etag"] == probe.stat(place.uri)["etag"]
    assert place.versions() == [newer, data, b"old"]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_there_before_the_versions_is_replaced(ceph, bucket, probe, size):
    place = Place(ceph.s3(), bucket)
    tag, data = place.put(b"old"), os.urandom(size)
    place.suspend("Enabled")
    probe.stream(place.uri, data, if_match=tag)
    assert place.versions() == [data, b"old"]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_absent_is_made_once(place, probe, size):
    data = os.urandom(size)
    probe.stream(place.uri, data, if_match=ABSENT)
    fails("conflict", probe.stream, place.uri, b"x" * size, if_match=ABSENT)
    assert place.versions() == [data]
    place.remove()
    fails("conflict", probe.stream, place.uri, data, if_match="0" * 32)
    probe.stream(place.uri, data, if_match=ABSENT)
    assert place.versions() == [data, None, data]


def test_a_body_is_sent_once_where_the_server_is_known(place, probe, between):
    """The first object shows that the condition is of no use."""
    tag = place.put(b"old")
    for text in (b"1", b"2", b"3"):
        tag = probe.put(place.uri, text, if_match=tag)["etag"]
    assert between.writes == [("PUT", True)] + [("PUT", False)] * 3
    assert place.versions() == [b"3", b"2", b"1", b"old"]


def test_a_suspended_bucket_is_left_alone(place, probe):
    """A write would take the place of another one there, which nobody could bring back."""
    tag = place.put(b"old")
    place.suspend()
    fails("conflict", probe.put, place.uri, b"new", if_match=tag)
    assert place.versions() == [b"old"]
    place.suspend("Enabled")
    tag = probe.put(place.uri, b"new", if_match=tag)["etag"]
    place.suspend()
    fails("conflict", probe.put, place.uri, b"newer", if_match=tag)
    assert place.versions() == [b"new", b"old"]
    tag = place.put(b"in the place of the one without a version")
    assert probe.put(place.uri, b"last", if_match=tag)["etag"] == probe.stat(place.uri)["etag"]
    assert place.versions() == [b"last", b"new", b"old"]


# ---- others --------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_who_writes_between_look_and_write_wins(place, probe, between, size, known):
    tag = place.put(b"old")
    if known:
        tag = probe.put(place.uri, b"old", if_match=tag)["etag"]
    before = place.versions()
    what = {"method": "PUT", "lacks": ["if-match", "partNumber"]} if size < MIB else \
        {"method": "POST", "has": ["uploadId"]}
    between.before(lambda: place.put(b"theirs"), **what)
    message = fails("conflict", probe.stream, place.uri, b"x" * size, if_match=tag)
    assert "somebody else has written it meanwhile" in message
    assert place.versions() == [b"theirs", *before] and place.get() == b"theirs"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("removed", [False, True])
def test_who_makes_it_between_look_and_write_wins(place, probe, between, size, removed):
    if removed:
        place.put(b"old")
        place.remove()
    before = place.versions()
    between.before(lambda: place.put(b"theirs"),
                   **({"method": "PUT", "has": ["if-none-match"]} if size < MIB else
                      {"method": "POST", "has": ["uploadId"]}))
    fails("conflict", probe.stream, place.uri, b"x" * size, if_match=ABSENT)
    assert place.versions() == [b"theirs", *before] and place.get() == b"theirs"


def test_who_removes_it_between_look_and_write_wins(place, probe, between):
    tag = place.put(b"old")
    between.before(place.remove, "PUT", lacks=["if-match"])
    fails("conflict", probe.put, place.uri, b"ours", if_match=tag)
    assert place.versions() == [None, b"old"]


def test_the_same_again_is_what_was_wanted(place, probe, between):
    """An entity tag is one of the content."""
    tag = place.put(b"old")
    between.before(lambda: place.put(b"old"), "PUT", lacks=["if-match"])
    probe.put(place.uri, b"ours", if_match=tag)
    assert place.versions() == [b"ours", b"old", b"old"]


@pytest.mark.parametrize("size", SIZES)
def test_who_writes_after_the_write_does_so_after_it(place, probe, between, size):
    tag = place.put(b"old")
    data = os.urandom(size)
    seen = []

    def write():
        seen.extend(place.versions())
        if seen[0] == data:  # the look behind, not one before
            place.put(b"theirs")
        else:
            seen.clear()
    between.before(write, "GET", has=["versions"], times=3)
    written = probe.stream(place.uri, data, if_match=tag)
    assert place.versions() == [b"theirs", data, b"old"]
    assert written["size"] == size and written["etag"] != probe.stat(place.uri)["etag"]


def test_a_version_that_is_gone_by_then_is_a_conflict(place, probe, between):
    tag = place.put(b"old")

    def remove():
        page = place.client.list_object_versions(Bucket=place.bucket, Prefix="folder/key")
        for item in page["Versions"]:
            if item["Key"] == "folder/key" and item["Size"] == 4:
                place.client.delete_object(**place.where, VersionId=item["VersionId"])
    between.before(remove, "GET", has=["versions"], times=3)
    fails("conflict", probe.put, place.uri, b"ours", if_match=tag)
    assert place.versions() == [b"old"]


def test_of_many_at_once_one_wins(ceph, bucket, place):
    """Whatever the order of their requests; nothing of the others is left."""
    stores = dict(bucket=bucket, endpoint=ceph.endpoint, region=ceph.region,
                  access_key_id=ceph.access_key, secret_access_key=ceph.secret_key)
    probes = [StorageProbe(BUILD, **stores) for _ in range(4)]
    history = []

    def write(number, text, tag, barrier):
        barrier.wait()
        try:
            probes[number].put(place.uri, text, if_match=tag)
            return text
        except Failed as failed:
            assert failed.code == "conflict", failed
            return None

    with ThreadPoolExecutor(len(probes)) as pool:
        for turn in range(12):
            tag = ABSENT if turn == 0 else probes[0].stat(place.uri)["etag"]
            barrier = threading.Barrier(len(probes))
            won = [text for text in pool.map(
                lambda n, tag=tag, barrier=barrier, turn=turn: write(
                    n, f"{turn} by {n}".encode(), tag, barrier), range(len(probes))) if text]
            assert len(won) <= 1, won
            history = won + history
            assert place.versions() == history
    for probe in probes:
        probe.__exit__()
    assert history


# ---- removals ------------------------------------------------------------------------------------


def test_a_removal_on_a_condition(place, probe, between):
    tag = place.put(b"old")
    fails("conflict", probe.remove_one, place.uri, if_match="0" * 32)
    between.before(lambda: place.put(b"theirs"), "DELETE")
    message = fails("conflict", probe.remove_one, place.uri, if_match=tag)
    assert "somebody else has written it meanwhile" in message
    assert place.versions() == [b"theirs", b"old"] and place.get() == b"theirs"
    probe.remove_one(place.uri, if_match=probe.stat(place.uri)["etag"])
    assert place.versions() == [None, b"theirs", b"old"]


def test_a_removal_whose_answer_is_lost(place, probe, between):
    tag = place.put(b"old")
    between.rules.add(method="DELETE", cut_reply_bytes=0, times=2)
    probe.remove_one(place.uri, if_match=tag)
    versions = place.versions()
    assert versions[0] is None and versions[-1] == b"old"
    assert all(version is None for version in versions[:-1])


# ---- answers and requests that are lost ----------------------------------------------------------


@pytest.mark.parametrize("if_match", ["tag", ABSENT])
@pytest.mark.parametrize("lost", [1, 3, None])
def test_each_lost_answer_is_of_one_write(place, probe, between, lost, if_match):
    """A request that is sent again makes one more version: only one stays."""
    before = [b"old"] if if_match else []
    tag = place.put(b"old") if if_match else ABSENT
    if if_match:
        tag = probe.put(place.uri, b"noted", if_match=tag)["etag"]
        before = [b"noted", b"old"]
    between.rules.add(method="PUT", cut_reply_bytes=0, times=lost)
    if not if_match and not lost:
        # Nothing was heard of a condition that is sent, which in most places means a refusal.
        fails("unavailable", probe.put, place.uri, b"ours", if_match=tag)
        assert set(place.versions()) == {b"ours"}
        return
    written = probe.put(place.uri, b"ours", if_match=tag)
    assert place.versions() == [b"ours", *before]
    assert written["etag"] == probe.stat(place.uri)["etag"]


def test_a_second_try_that_hides_somebody_else_is_taken_back(place, probe, between):
    """The first one was made, and its answer lost; then somebody wrote, as after any write."""
    tag = probe.put(place.uri, b"old", if_match=place.put(b"older"))["etag"]
    tries = []

    def second():
        tries.append(1)
        if len(tries) == 2:
            place.put(b"theirs")
    between.before(second, "PUT", times=2)
    between.rules.add(method="PUT", cut_reply_bytes=0, times=1)
    written = probe.put(place.uri, b"ours!", if_match=tag)
    assert place.versions() == [b"theirs", b"ours!", b"old", b"older"] and written["size"] == 5


def test_a_second_try_is_no_excuse(place, probe, between):
    """Somebody wrote before the first one."""
    tag = probe.put(place.uri, b"old", if_match=place.put(b"older"))["etag"]
    between.before(lambda: place.put(b"theirs"), "PUT")
    between.rules.add(method="PUT", cut_reply_bytes=0, times=2)
    fails("conflict", probe.put, place.uri, b"ours", if_match=tag)
    assert place.versions() == [b"theirs", b"old", b"older"]


def test_what_never_came_was_not_written(place, probe, between):
    tag = probe.put(place.uri, b"old", if_match=place.put(b"older"))["etag"]
    between.rules.add(method="PUT", lost=True, times=None)
    fails("unavailable", probe.put, place.uri, b"ours", if_match=tag)
    assert place.versions() == [b"old", b"older"]


def test_a_lost_completion(place, probe, between):
    tag, data = place.put(b"old"), os.urandom(11 * MIB)
    between.rules.add(method="POST", target="uploadId", cut_reply_bytes=0, times=1)
    probe.stream(place.uri, data, if_match=tag)
    assert place.versions() == [data, b"old"]


def test_a_lost_completion_over_somebody_else(place, probe, between):
    tag, data = place.put(b"old"), os.urandom(11 * MIB)
    between.before(lambda: place.put(b"theirs"), "POST", has=["uploadId"])
    between.rules.add(method="POST", target="uploadId", cut_reply_bytes=0, times=1)
    fails("conflict", probe.stream, place.uri, data, if_match=tag)
    assert place.versions() == [b"theirs", b"old"]


# ---- what the credentials may not ----------------------------------------------------------------

DENIED = {"status": 403, "times": None, "headers": {"Content-Type": "application/xml"},
          "body": "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"}


@pytest.mark.parametrize("target", [r"\?versioning", r"[?&]versions"])
def test_who_may_not_look_writes_nothing(place, probe, between, target):
    tag = place.put(b"old")
    between.rules.add(method="GET", target=target, **DENIED)
    message = fails("denied", probe.put, place.uri, b"ours", if_match=tag)
    assert "s3:GetBucketVersioning and s3:ListBucketVersions" in message
    assert place.versions() == [b"old"]
    fails("conflict", probe.put, place.uri, b"ours", if_match="0" * 32)


def test_who_may_not_look_has_the_server_s_word(place, probe, between):
    between.rules.add(method="GET", target="[?&]versions", **DENIED)
    probe.put(place.uri, b"ours", if_match=ABSENT)
    assert place.versions() == [b"ours"]


def test_a_look_that_fails_is_told_of(place, probe, between):
    tag = place.put(b"old")
    between.rules.add(method="GET", target="[?&]versions", skip=1, status=500, times=None)
    message = fails("unavailable", probe.put, place.uri, b"ours", if_match=tag)
    assert "it is not known what version" in message
    assert place.versions() == [b"ours", b"old"]


def test_who_may_not_take_back_is_told_which_version(place, probe, between):
    tag = place.put(b"old")
    between.before(lambda: place.put(b"theirs"), "PUT", lacks=["if-match"])
    between.rules.add(method="DELETE", **DENIED)
    message = fails("denied", probe.put, place.uri, b"ours", if_match=tag)
    version = place.client.head_object(**place.where)["VersionId"]
    assert f"take back version '{version}'" in message
    assert place.versions() == [b"ours", b"theirs", b"old"]
