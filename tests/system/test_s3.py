"""The S3 backend against Ceph, with Amazon's own client as the judge of all that is written, and as
the writer of what is read."""
import hashlib
import os
import time

import pytest
from botocore.exceptions import ClientError
from conftest import BUILD
from storage_probe import Failed, StorageProbe

MIB = 1 << 20
KEYS = [
    "plain", "with blank", " leading blank", "trailing blank ", "a+b", "100%", "%41", "%2F", "a%00b",
    "quote'\"`", "a&b<c>d", "]]>", "&amp;", "#hash", "?query=1&x", "semi;colon", "comma,", "at@",
    "dollar$", "colon:", "equals=", "back\\slash", "pipe|", "caret^", "brace{}", "bracket[]", "tilde~",
    "star*", "exclam!", "paren()", "/leading", "//twice", "a//b", "a/./b", "a/../b", ".", "..", "./a",
    "../a", "a/", "a/.", "a/..", "_underscore", "__two", "-dash", "ä", "日本語", "emoji-\U0001f600",
    "e\u0301", "\u00e9", "\u202e", "\ufffd", "nbsp\u00a0", "x" * 1024, "ü" * 512,
    "".join(chr(c) for c in range(0x21, 0x7f)),
]


@pytest.fixture
def probe(ceph, bucket):
    with make_probe(ceph, bucket) as made:
        yield made


def make_probe(ceph, bucket, **store):
    words = {"bucket": bucket, "endpoint": ceph.endpoint, "region": ceph.region,
             "access_key_id": ceph.access_key, "secret_access_key": ceph.secret_key, **store}
    return StorageProbe(BUILD, **{name: value for name, value in words.items() if value})


def uploads(ceph, bucket):
    return ceph.s3().list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def test_any_key(ceph, bucket, probe):
    s3 = ceph.s3()
    for number, key in enumerate(KEYS):
        probe.put(f"s3://{bucket}/{key}", f"ours {number}".encode())
    listed = [item["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
              for item in page["Contents"]]
    assert sorted(listed) == sorted(KEYS)
    for number, key in enumerate(KEYS):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == f"ours {number}".encode(), key
        s3.put_object(Bucket=bucket, Key=key, Body=f"theirs {number}".encode())
    ours = probe.names(f"s3://{bucket}/")
    assert ours == sorted(KEYS, key=str.encode)
    for number, key in enumerate(KEYS):
        assert probe.get(f"s3://{bucket}/{key}") == f"theirs {number}".encode(), key
        assert probe.stat(f"s3://{bucket}/{key}")["size"] == len(f"theirs {number}")
        probe.copy(f"s3://{bucket}/{key}", f"s3://{bucket}/copied")
        assert probe.get(f"s3://{bucket}/copied") == f"theirs {number}".encode(), key
    assert probe.remove(*[f"s3://{bucket}/{key}" for key in KEYS]) == []
    assert probe.names(f"s3://{bucket}/") == ["copied"]


def test_keys_that_xml_cannot_hold(ceph, bucket, probe):
    """They are listed, read and removed as any others."""
    s3 = ceph.s3()
    keys = ["bell\a", "escape\x1b", "line\nbreak", "tab\t"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert probe.names(f"s3://{bucket}/") == sorted(keys)
    for key in keys:
        assert probe.get(f"s3://{bucket}/{key}") == b"x"
    assert probe.remove(*[f"s3://{bucket}/{key}" for key in keys]) == []
    assert probe.names(f"s3://{bucket}/") == []


ATTRIBUTES = {
    "content_type": "text/csv; charset=utf-8", "content_encoding": "gzip",
    "content_disposition": "attachment; filename=\"a b.csv\"", "content_language": "cs",
    "cache_control": "no-cache",
    "metadata": {"owner": "ada", "two-words": "a  b", "unicode": "žluťoučký kůň \U0001f600",
                 "blank": " x ", "looks-encoded": "=?UTF-8?B?eA==?="},
    "tags": {"team": "data & more", "ü": "a+b=c"},
}


def check_attributes(s3, bucket, key):
    head = s3.head_object(Bucket=bucket, Key=key)
    assert head["ContentType"] == ATTRIBUTES["content_type"]
    assert head["ContentEncoding"] == "gzip"
    assert head["ContentDisposition"] == ATTRIBUTES["content_disposition"]
    assert head["ContentLanguage"] == "cs"
    assert head["CacheControl"] == "no-cache"
    assert head["Metadata"]["owner"] == "ada"
    assert head["Metadata"]["two-words"] == "a  b"
    assert head["Metadata"]["unicode"].startswith("=?UTF-8?B?")
    tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == ATTRIBUTES["tags"]


def test_attributes(ceph, bucket, probe):
    s3 = ceph.s3()
    base = f"s3://{bucket}/"
    probe.put(base + "put", b"x", attributes=ATTRIBUTES)
    probe.stream(base + "streamed", b"x", attributes=ATTRIBUTES)
    probe.stream(base + "large", pattern(11 * MIB), attributes=ATTRIBUTES, size=11 * MIB)
    probe.copy(base + "put", base + "copied")
    probe.copy(base + "large", base + "copied-in-ranges", size=6 << 30)
    probe.copy(base + "put", base + "changed", attributes={"content_type": "text/plain",
                                                            "metadata": {"owner": "bob"}})
    for name in ("put", "streamed", "large", "copied", "copied-in-ranges"):
        check_attributes(s3, bucket, name)
        stat = probe.stat(base + name)
        assert stat["metadata"] == ATTRIBUTES["metadata"], name
        assert stat["content_type"] == ATTRIBUTES["content_type"]
    assert s3.get_object(Bucket=bucket, Key="copied-in-ranges")["Body"].read() == pattern(11 * MIB)
    head = s3.head_object(Bucket=bucket, Key="changed")
    assert (head["ContentType"], head["Metadata"]) == ("text/plain", {"owner": "bob"})
    for attributes in ({"metadata": {"bad name": "x"}}, {"content_type": "a\nb"},
                       {"metadata": {"": "x"}}):
        with pytest.raises(Failed) as failed:
            probe.put(base + "refused", b"x", attributes=attributes)
        assert failed.value.code == "invalid"


def test_attributes_are_kept(ceph, bucket, probe):
    s3 = ceph.s3()
    where = f"s3://{bucket}/object"
    for size in (1, 11 * MIB):
        for call in (probe.put, probe.stream):
            probe.put(where, b"x", attributes=ATTRIBUTES)
            replaced = call(where, pattern(size), if_match=probe.stat(where)["etag"], keep=1)
            check_attributes(s3, bucket, "object")
            assert probe.stat(where)["metadata"] == ATTRIBUTES["metadata"]
            assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == pattern(size)
            # Once more, of what may have been written in parts.
            call(where, b"y", if_match=replaced["etag"], keep=1)
            check_attributes(s3, bucket, "object")
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    probe.put(f"s3://{bucket}/plain", b"y", if_match=probe.stat(f"s3://{bucket}/plain")["etag"], keep=1)
    head = s3.head_object(Bucket=bucket, Key="plain")
    assert head["ContentType"] == "binary/octet-stream" and not head.get("TagCount")
    assert probe.stat(f"s3://{bucket}/plain")["metadata"] == {}


def test_reads_what_others_have_written(ceph, bucket, probe):
    s3 = ceph.s3()
    data = pattern(13 * MIB + 5)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ContentType="a/b",
                                        Metadata={"k": "v"})["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(data), 5 * MIB), 1):
        etag = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number,
                              Body=data[start:start + 5 * MIB])["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload,
                                 MultipartUpload={"Parts": parts})
    where = f"s3://{bucket}/parts"
    stat = probe.stat(where)
    assert stat["size"] == len(data) and stat["metadata"] == {"k": "v"} and "md5" not in stat
    assert stat["etag"].endswith("-3")
    assert probe.get(where) == data
    assert probe.get(where, offset=5 * MIB - 1, len=2) == data[5 * MIB - 1:5 * MIB + 1]
    assert probe.get(where, offset=len(data)) == b""
    assert probe.get(where, if_match=stat["etag"]) == data
    with pytest.raises(Failed) as failed:
        probe.get(where, if_match="0" * 32)
    assert failed.value.code == "conflict"
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert probe.get(f"s3://{bucket}/empty") == b""
    assert probe.stat(f"s3://{bucket}/empty")["md5"] == hashlib.md5(b"").hexdigest()


@pytest.mark.parametrize("size", [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 40 * MIB + 3])
def test_streams_of_any_size(ceph, bucket, probe, size):
    data = pattern(size)
    written = probe.stream(f"s3://{bucket}/stream", data, piece=100003)
    assert written["size"] == size
    found = ceph.s3().get_object(Bucket=bucket, Key="stream")
    assert found["Body"].read() == data
    assert found["ETag"].strip('"') == written["etag"]
    probe.stream(f"s3://{bucket}/given-up", data, give_up=1)
    assert probe.names(f"s3://{bucket}/") == ["stream"]
    assert uploads(ceph, bucket) == []


def test_conditions_of_large_objects(ceph, bucket, probe):
    where = f"s3://{bucket}/state"
    data = pattern(9 * MIB)
    first = probe.stream(where, data, if_match="")
    with pytest.raises(Failed) as failed:
        probe.stream(where, data, if_match="")
    assert failed.value.code == "conflict"
    second = probe.stream(where, data + b"x", if_match=first["etag"])
    with pytest.raises(Failed) as failed:
        probe.stream(where, data, if_match=first["etag"])
    assert failed.value.code == "conflict"
    assert probe.stat(where)["etag"] == second["etag"]
    assert uploads(ceph, bucket) == []


def test_long_listings(ceph, bucket, probe):
    s3 = ceph.s3()
    names = [f"{number % 3}/{number:05}" for number in range(2503)]
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: s3.put_object(Bucket=bucket, Key="l/" + name, Body=b""), names))
    where = f"s3://{bucket}/l/"
    assert probe.names(where) == sorted(names)
    assert probe.names(where, shallow=1) == ["0/", "1/", "2/"]
    assert probe.names(where, start_after="1/02000") == [n for n in sorted(names) if n > "1/02000"]
    assert probe.names(where, limit=3) == sorted(names)[:3]
    assert probe.names(where, limit=700) == sorted(names)[:700]
    assert probe.remove(*[where + name for name in names]) == []
    assert probe.names(where) == []


def test_versions(ceph, bucket, probe):
    s3 = ceph.s3()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=bucket, Key=key, Body=f"{key}{n}".encode())["VersionId"]
                for key in ("a", "b") for n in range(3)]
    s3.delete_object(Bucket=bucket, Key="b")
    rows = probe.items(f"s3://{bucket}/", versions=1)
    assert [(row["name"], row["latest"], row["marker"]) for row in rows] == [
        ("a", 1, 0), ("a", 0, 0), ("a", 0, 0), ("b", 1, 1), ("b", 0, 0), ("b", 0, 0), ("b", 0, 0)]
    assert [row["version"] for row in rows[:3]] == versions[2::-1]
    assert probe.names(f"s3://{bucket}/") == ["a"]
    assert probe.get(f"s3://{bucket}/b", version=versions[3]) == b"b0"
    assert probe.stat(f"s3://{bucket}/b", version=versions[4])["version"] == versions[4]
    probe.copy(f"s3://{bucket}/b", f"s3://{bucket}/c", version=versions[5])
    assert probe.get(f"s3://{bucket}/c") == b"b2"
    assert probe.remove(f"s3://{bucket}/a", f"s3://{bucket}/a",
                        versions=[versions[0], versions[2]]) == []
    assert probe.get(f"s3://{bucket}/a") == b"a1"
    marker = next(row["version"] for row in rows if row["marker"])
    with pytest.raises(Failed) as failed:
        probe.stat(f"s3://{bucket}/b", version=marker)
    assert failed.value.code == "not_found"
    probe.remove_one(f"s3://{bucket}/b", version=marker)
    assert s3.get_object(Bucket=bucket, Key="b")["Body"].read() == b"b2"
    for row in probe.items(f"s3://{bucket}/", versions=1):
        probe.remove_one(f"s3://{bucket}/{row['name']}", version=row["version"])
    left = s3.list_object_versions(Bucket=bucket)
    assert "Versions" not in left and "DeleteMarkers" not in left


def test_one_certain_object_is_removed(ceph, bucket, probe):
    s3 = ceph.s3()
    where = f"s3://{bucket}/x"
    probe.put(where, b"1")
    etag = probe.stat(where)["etag"]
    s3.put_object(Bucket=bucket, Key="x", Body=b"2")
    with pytest.raises(Failed) as failed:
        probe.remove_one(where, if_match=etag)
    assert failed.value.code == "conflict"
    assert s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"2"
    probe.remove_one(where, if_match=probe.stat(where)["etag"])
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    with pytest.raises(Failed) as failed:
        probe.remove_one(where, if_match=etag)
    assert failed.value.code == "conflict"
    probe.remove_one(where)


def test_encryption_and_class(ceph, bucket):
    with make_probe(ceph, bucket, storage_class="STANDARD", request_payer="true") as probe:
        probe.put(f"s3://{bucket}/x", b"x")
        assert probe.get(f"s3://{bucket}/x") == b"x"
    with make_probe(ceph, bucket, sse="customer", sse_customer_key="c2hvcnQ=") as probe:
        with pytest.raises(Failed) as failed:
            probe.put(f"s3://{bucket}/x", b"x")
    assert failed.value.code == "invalid" and "32 bytes" in failed.value.message


def test_sweep(ceph, bucket, probe):
    s3 = ceph.s3()
    for key in ("in/a", "in/b", "out"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    before = int((time.time() - 3600) * 1000)
    assert probe.call("sweep", uri=f"s3://{bucket}/in/", before=before)["swept"] == 0
    assert probe.call("sweep", uri=f"s3://{bucket}/in/")["swept"] == 2
    assert [upload["Key"] for upload in uploads(ceph, bucket)] == ["out"]
    assert probe.call("sweep", uri=f"s3://{bucket}/")["swept"] == 1


def test_sweep_of_one_object(ceph, bucket, probe):
    """Not of those whose names begin like it, and only what was begun within a time."""
    s3 = ceph.s3()
    for key in ("x", "x", "x2"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    now, where = int(time.time() * 1000), f"s3://{bucket}/x"
    assert probe.call("sweep", uri=where, exact=1, **{"from": now + 3_600_000})["swept"] == 0
    assert probe.call("sweep", uri=where, exact=1, before=now - 3_600_000)["swept"] == 0
    assert probe.call("sweep", uri=where, exact=1, **{"from": now - 30_000})["swept"] == 2
    assert [upload["Key"] for upload in uploads(ceph, bucket)] == ["x2"]


def test_errors_say_what_to_do(ceph, bucket, probe):
    other = ceph.second
    ceph.s3().put_object(Bucket=bucket, Key="x", Body=b"x")
    where = f"s3://{bucket}/x"
    cases = [
        (make_probe(ceph, "no-such-bucket-here"), "s3://no-such-bucket-here/x", "not_found",
         ["HTTP 404", "NoSuchBucket", "create it", "'s3://no-such-bucket-here/x'", "request "]),
        (make_probe(ceph, bucket, secret_access_key="wrong-secret-0123456789"), where, "denied",
         ["HTTP 403", "SignatureDoesNotMatch", "check 'secret_access_key'"]),
        (make_probe(ceph, bucket, access_key_id="NOSUCHKEY00000000000"), where, "denied",
         ["InvalidAccessKeyId", "does not know this access key"]),
        (make_probe(ceph, bucket, access_key_id=other[0], secret_access_key=other[1]), where,
         "denied", ["AccessDenied", "do not allow it"]),
        (make_probe(ceph, bucket, anonymous="true", access_key_id=None, secret_access_key=None),
         where, "denied", ["AccessDenied", "the request was anonymous: give credentials"]),
        (make_probe(ceph, bucket, endpoint="http://127.0.0.1:1"), where, "unavailable",
         ["127.0.0.1:1"]),
        (make_probe(ceph, bucket, endpoint="storage.example.org"), where, "invalid",
         ["'storage.example.org'", "https://"]),
    ]
    for made, uri, code, words in cases:
        with made:
            for act in (lambda: made.get(uri), lambda: made.stat(uri), lambda: made.put(uri, b"y"),
                        lambda: made.items(uri)):
                with pytest.raises(Failed) as failed:
                    act()
                assert failed.value.code == code, failed.value
                for secret in (ceph.secret_key, other[1], "wrong-secret-0123456789"):
                    assert secret not in failed.value.message
            with pytest.raises(Failed) as failed:
                made.get(uri)
            for word in words:
                assert word in failed.value.message, failed.value
    for uri in (f"s3://{bucket}", f"s3://{bucket}/"):
        for act in (lambda: probe.get(uri), lambda: probe.put(uri, b""), lambda: probe.stat(uri),
                    lambda: probe.copy(uri, where), lambda: probe.copy(where, uri)):
            with pytest.raises(Failed) as failed:
                act()
            assert failed.value.code == "invalid" and "names a bucket" in failed.value.message
        with pytest.raises(Failed):
            probe.remove(uri, first_only=1)
    assert ceph.s3().head_bucket(Bucket=bucket)


def test_reports_each_key_that_stays(ceph, bucket):
    other = ceph.second
    s3 = ceph.s3()
    for key in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    with make_probe(ceph, bucket, access_key_id=other[0], secret_access_key=other[1]) as made:
        failed = made.remove(f"s3://{bucket}/a", f"s3://{bucket}/b")
        assert [item["index"] for item in failed] == [0, 1]
        assert all(item["error"] == "denied" for item in failed)
        with pytest.raises(Failed):
            made.remove(f"s3://{bucket}/a", f"s3://{bucket}/b", first_only=1)
    for key in ("a", "b"):
        assert s3.head_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="c")


def test_a_part_size_that_is_given(ceph, bucket):
    data = os.urandom(11 * MIB)
    with make_probe(ceph, bucket, part_bytes=5 * MIB) as made:
        written = made.stream(f"s3://{bucket}/x", data)
    digests = [hashlib.md5(data[at:at + 5 * MIB]).digest() for at in range(0, len(data), 5 * MIB)]
    assert written["etag"] == hashlib.md5(b"".join(digests)).hexdigest() + "-3"
    assert ceph.s3().get_object(Bucket=bucket, Key="x")["Body"].read() == data
