"""Large objects that are gone on with: 'run-core storage sync --resume' is killed within one, and
run again. A proxy counts what is sent."""

import hashlib
import json
import os
import subprocess
import time
from email.utils import formatdate

import pytest
from boto3.s3.transfer import TransferConfig
from conftest import PATIENCE_S
from stand_in import Reply, StandIn
from test_transfer import S3, Files, Google, digest

MIB = 1 << 20
SIZE = 64 * MIB
PART = 8 * MIB


@pytest.fixture
def stores(world, ceph, bucket, proxy):
    """Two buckets: one behind the proxy, which is the target, and one that is reached directly."""
    source = f"{bucket}-in"
    ceph.s3().create_bucket(Bucket=source)
    keys = f"access_key_id: {ceph.access_key}, secret_access_key: {ceph.secret_key}"
    world.config(f"""
        storage:
          near: {{bucket: {source}, endpoint: "{ceph.endpoint}", region: {ceph.region}, {keys}}}
          far: {{bucket: {bucket}, endpoint: "{proxy.endpoint}", region: {ceph.region}, {keys}}}
    """)
    yield S3(ceph.s3(), source), S3(ceph.s3(), bucket)
    for upload in S3(ceph.s3(), source).uploads():
        ceph.s3().abort_multipart_upload(Bucket=source, Key=upload["Key"],
                                         UploadId=upload["UploadId"])
    for key in S3(ceph.s3(), source).keys():
        ceph.s3().delete_object(Bucket=source, Key=key)
    ceph.s3().delete_bucket(Bucket=source)


@pytest.fixture(params=["file", "parts", "whole"])
def source(request, world, stores, ceph):
    """A folder with one large object: a file, or of a store that knows the MD5 of its parts, or of
    the whole."""
    content = os.urandom(MIB) * (SIZE // MIB) + b"the rest"
    if request.param == "file":
        store = Files(world.root / "in")
        store.put("large", content)
    else:
        store = stores[0]
        if request.param == "whole":
            store.put("large", content)
        else:
            file = world.root / "content"
            file.write_bytes(content)
            ceph.s3().upload_file(str(file), store.bucket, "large",
                                  Config=TransferConfig(multipart_chunksize=PART))
    store.content = content
    return store


def sent(proxy):
    """The bytes of parts that went through the proxy."""
    return sum(call.request_bytes for call in list(proxy.calls)
               if call.method == "PUT" and "partNumber=" in call.target)


def parts_there(target):
    return [part["Size"] for upload in target.uploads()
            for part in target.client.list_parts(Bucket=target.bucket, Key=upload["Key"],
                                                 UploadId=upload["UploadId"]).get("Parts", [])]


def settled(target):
    """The bytes of the parts, once those have come that were on their way when the sync ended."""
    kept = -1
    while kept != (now := sum(parts_there(target))):
        kept = now
        time.sleep(0.5)
    return kept


def words(source, target, *more):
    return ["storage", "sync", "--json", "--resume", "token", *more, source.uri,
            target.uri + "out/"]


def kill_within(world, proxy, source, target, parts=4, end=subprocess.Popen.kill):
    """Starts a sync and ends it when so many parts are there; returns the bytes of what is then."""
    proxy.rules.clear()
    # The others wait before they are read, until the rules are cleared.
    proxy.rules.add(method="PUT", target="partNumber=", skip=parts, delay_ms=60000, times=None)
    process = world.start(*words(source, target))
    for _ in range(600):
        if len(parts_there(target)) >= parts or process.poll() is not None:
            break
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()
    end(process)
    process.communicate(timeout=PATIENCE_S)
    proxy.rules.clear()
    kept = settled(target)
    proxy.calls.clear()
    return kept


def finish(world, source, target, *more):
    result = world.run(*words(source, target, *more))
    assert result.status == 0, result.stderr
    assert digest(target.objects()) == digest({"out/large": source.content})
    assert target.uploads() == []
    assert not (world.root / "token").exists()
    return json.loads(result.stdout)


def test_only_what_was_missing_is_sent(world, proxy, source, stores):
    target = stores[1]
    kept = kill_within(world, proxy, source, target)
    assert len(target.uploads()) == 1
    told = finish(world, source, target)
    assert told["objects"] == 1
    assert sent(proxy) == len(source.content) - kept


@pytest.fixture
def file(world, stores):
    store = Files(world.root / "in")
    store.content = os.urandom(MIB) * (SIZE // MIB) + b"the rest"
    store.put("large", store.content)
    return store


def test_a_source_that_was_replaced_begins_anew(world, proxy, file, stores):
    target = stores[1]
    kill_within(world, proxy, file, target)
    file.content = os.urandom(1000) + file.content[1000:]
    file.put("large", file.content)
    finish(world, file, target)
    assert sent(proxy) == len(file.content)


def test_a_source_that_is_gone_leaves_no_upload(world, proxy, file, stores):
    target = stores[1]
    kill_within(world, proxy, file, target)
    file.put("other", b"x")
    (file.root / "large").unlink()
    assert world.run(*words(file, target)).status == 0
    assert target.objects() == {"out/other": b"x"}
    assert target.uploads() == []


def test_an_upload_that_somebody_has_aborted_begins_anew(world, proxy, file, stores):
    target = stores[1]
    kill_within(world, proxy, file, target)
    upload, = target.uploads()
    target.client.abort_multipart_upload(Bucket=target.bucket, Key=upload["Key"],
                                         UploadId=upload["UploadId"])
    finish(world, file, target)
    assert sent(proxy) == len(file.content)


def test_a_part_that_is_another_is_sent_again(world, proxy, file, stores):
    target = stores[1]
    kept = kill_within(world, proxy, file, target)
    upload, = target.uploads()
    target.client.upload_part(Bucket=target.bucket, Key=upload["Key"],
                              UploadId=upload["UploadId"], PartNumber=1, Body=b"x" * PART)
    finish(world, file, target)
    assert sent(proxy) == len(file.content) - kept + PART


def kill_when(world, process, happened):
    for _ in range(600):
        if happened() or process.poll() is not None:
            break
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()


def test_an_upload_whose_id_nobody_has_heard_leaves_nothing(world, proxy, file, stores):
    target = stores[1]
    other = target.client.create_multipart_upload(Bucket=target.bucket, Key="out/large-too")
    proxy.rules.add(method="POST", target="uploads", stall_reply_bytes=0)
    process = world.start(*words(file, target))
    kill_when(world, process, lambda: len(target.uploads()) == 2)
    proxy.rules.clear()
    assert (world.root / "token").exists()
    result = world.run(*words(file, target))
    assert result.status == 0, result.stderr
    assert [upload["UploadId"] for upload in target.uploads()] == [other["UploadId"]]
    target.client.abort_multipart_upload(Bucket=target.bucket, Key="out/large-too",
                                         UploadId=other["UploadId"])


def test_an_object_that_was_complete_is_not_sent_again(world, proxy, file, stores):
    target = stores[1]
    proxy.rules.add(method="POST", target="uploadId=", stall_reply_bytes=0)
    process = world.start(*words(file, target))
    kill_when(world, process, lambda: target.keys() == ["out/large"])
    proxy.rules.clear()
    proxy.calls.clear()
    finish(world, file, target)
    assert sent(proxy) == 0


@pytest.mark.parametrize("fault", [
    {"method": "GET", "target": "uploadId=", "status": 500, "times": 3},
    {"method": "GET", "target": "uploadId=", "cut_reply_body_bytes": 300, "times": 2},
    {"method": "PUT", "target": "partNumber=", "status": 503, "share": 0.3, "times": None},
    {"method": "POST", "target": "uploadId=", "status": 500, "times": 2},
], ids=["list", "cut", "put", "complete"])
def test_goes_on_through_faults(world, proxy, file, stores, fault):
    target = stores[1]
    kept = kill_within(world, proxy, file, target)
    proxy.rules.add(**fault)
    finish(world, file, target)
    if fault["method"] != "PUT":
        assert sent(proxy) == len(file.content) - kept


def test_parts_come_by_pages(world, proxy, file, stores):
    target = stores[1]
    kept = kill_within(world, proxy, file, target)
    inside = "(?:(?!</Part>).)*"
    proxy.rules.add(method="GET", target="[?&]uploadId=", replace=[
        ["<IsTruncated>false", "<IsTruncated>true"],
        ["<NextPartNumberMarker>[0-9]+", "<NextPartNumberMarker>2"],
        [f"(?s)<Part>{inside}<PartNumber>([3-9]|[0-9][0-9])</PartNumber>{inside}</Part>", ""]])
    finish(world, file, target)
    assert proxy.count("GET", "part-number-marker=2") == 1
    assert sent(proxy) == len(file.content) - kept


def test_one_that_is_stopped_is_gone_on_with(world, proxy, file, stores):
    target = stores[1]
    kept = kill_within(world, proxy, file, target, parts=3, end=subprocess.Popen.terminate)
    assert kept >= 3 * PART
    finish(world, file, target)
    assert sent(proxy) == len(file.content) - kept


class Taken(StandIn):
    """A bucket of AWS in which somebody else's object of the same size comes to be at the end."""

    def __init__(self, content):
        super().__init__()
        self.content, self.is_down, self.is_there = content, True, False

    def handle(self, request):
        body = request.body()
        if request.method == "HEAD":
            return self.others(request) if self.is_there else Reply(404)
        if request.method == "PUT":
            return Reply(503) if self.is_down else Reply(
                200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        if request.method == "POST" and request.parameter("uploadId"):
            self.is_there = True
            return self.said(412, "<Error><Code>PreconditionFailed</Code></Error>")
        if request.method == "POST":
            return self.said(200, "<InitiateMultipartUploadResult><UploadId>u1</UploadId>"
                                  "</InitiateMultipartUploadResult>")
        if request.parameter("uploadId"):
            return self.said(200, "<ListPartsResult><IsTruncated>false</IsTruncated>"
                                  "</ListPartsResult>")
        assert request.method == "GET", request.target
        return self.said(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")

    def others(self, request):
        return Reply(200, {"ETag": f'"{hashlib.md5(b"others").hexdigest()}"',
                           "Last-Modified": formatdate(usegmt=True), "x-amz-request-id": "R1",
                           "Content-Length": str(len(self.content))}, b"", length=0)

    @staticmethod
    def said(status, text):
        return Reply(status, {"Content-Type": "application/xml", "x-amz-request-id": "R1"},
                     text.encode())


def test_what_somebody_else_has_written_meanwhile_is_not_taken_for_ours(world):
    """Of an upload that is gone on with nobody knows the mark that tells its object."""
    source = Files(world.root / "in")
    source.put("large", os.urandom(9 * MIB))
    with Taken(source.objects()["large"]) as aws:
        world.config("""
            core: {http: {attempts: 1, backoff: 1ms, max_backoff: 10ms}}
            storage:
              aws: {bucket: bkt, endpoint: "http://s3.us-east-1.amazonaws.com", region: us-east-1,
                    access_key_id: AKIASTANDIN, secret_access_key: the-stand-in-s-secret}
        """)
        command = ["storage", "cp", "-r", "--if-absent", "--json", "--resume", "token", source.uri,
                   "s3://bkt/out/"]
        world.environment["http_proxy"] = aws.endpoint
        assert world.run(*command).status == 1
        aws.is_down = False
        result = world.run(*command)
    assert result.status == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["objects"], told["skipped"]) == (0, 1)


# ---- Google ------------------------------------------------------------------------------------


@pytest.fixture
def google(world, gcs):
    gcs.store.make_bucket("gbucket")
    world.config(f"""
        storage:
          google: {{bucket: gbucket, endpoint: "{gcs.endpoint}",
                    access_token: "{gcs.tokens.issue()}"}}
    """)
    store = Google(gcs, "gbucket")
    store.source = Files(world.root / "in")
    store.content = os.urandom(MIB) * (SIZE // MIB) + b"the rest"
    store.source.put("large", store.content)
    return store


def received(gcs):
    return sum(call.request_bytes for call in list(gcs.calls)
               if call.method == "PUT" and "upload_id=" in call.target)


def kill_session(world, gcs, google):
    """Kills a sync within the object, and returns what it had sent."""
    before = received(gcs)
    gcs.rules.add(method="PUT", target="upload_id=", request_bytes_per_s=16 * MIB, times=None)
    process = world.start(*words(google.source, google))
    kill_when(world, process, lambda: received(gcs) - before > 4 * PART)
    gcs.rules.clear()
    time.sleep(0.5)
    return received(gcs)


def finish_session(world, google):
    result = world.run(*words(google.source, google))
    assert result.status == 0, result.stderr
    assert digest(google.objects()) == digest({"out/large": google.content})
    assert all(session.result for session in google.server.uploads.sessions.values())
    assert not (world.root / "token").exists()


def test_a_session_is_gone_on_with(world, gcs, google):
    before = kill_session(world, gcs, google)
    assert (world.root / "token").stat().st_mode & 0o77 == 0  # it holds the right to write
    finish_session(world, google)
    assert received(gcs) - before <= len(google.content) - 3 * PART


def test_a_session_of_a_source_that_was_replaced_is_given_up(world, gcs, google):
    before = kill_session(world, gcs, google)
    google.content = google.content[::-1]
    google.source.put("large", google.content)
    finish_session(world, google)
    assert received(gcs) - before == len(google.content)


def test_a_session_that_is_gone_begins_anew(world, gcs, google):
    before = kill_session(world, gcs, google)
    gcs.uploads.sessions.clear()
    finish_session(world, google)
    assert received(gcs) - before == len(google.content)


@pytest.mark.parametrize("fault", [
    {"method": "PUT", "target": "upload_id=", "status": 503, "times": 3},
    {"method": "PUT", "target": "upload_id=", "skip": 2, "times": 2, "cut_request_body_bytes": 1000},
    {"method": "PUT", "target": "upload_id=", "skip": 2, "times": 1, "cut_reply_bytes": 0},
], ids=["refused", "cut", "unheard"])
def test_a_session_is_gone_on_with_through_faults(world, gcs, google, fault):
    before = kill_session(world, gcs, google)
    gcs.rules.add(**fault)
    finish_session(world, google)
    assert received(gcs) - before <= len(google.content) - 2 * PART
