"""The S3 backend behind a proxy that breaks things: what comes out is right or a clear failure, never
a wrong object, and no upload is left behind."""
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import s3_server
from conftest import BUILD
from faults import slow_down, truncated_listing
from storage_probe import Failed, StorageProbe

MIB = 1 << 20
ERROR = ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>"
         "<RequestId>R1</RequestId></Error>")


def probe_of(ceph, bucket, proxy):
    return StorageProbe(BUILD, bucket=bucket, endpoint=proxy.endpoint, region=ceph.region,
                        access_key_id=ceph.access_key, secret_access_key=ceph.secret_key,
                        part_bytes=5 * MIB)


@pytest.fixture
def probe(ceph, bucket, proxy):
    with probe_of(ceph, bucket, proxy) as made:
        yield made
    assert "Uploads" not in ceph.s3().list_multipart_uploads(Bucket=bucket)


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def fails(code, call, *words, **fields):
    with pytest.raises(Failed) as failed:
        call(*words, **fields)
    assert failed.value.code == code, failed.value
    return failed.value.message


# ---- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 17, 65536, 999999, 3 * MIB - 1])
@pytest.mark.parametrize("reset", [False, True])
def test_takes_a_cut_read_up(ceph, bucket, proxy, probe, cut, reset):
    data = os.urandom(3 * MIB)
    ceph.s3().put_object(Bucket=bucket, Key="x", Body=data)
    proxy.rules.add(method="GET", cut_reply_body_bytes=cut, reset=reset, times=2)
    assert probe.get(f"s3://{bucket}/x") == data
    proxy.rules.add(method="GET", cut_reply_body_bytes=cut, reset=reset, times=2)
    assert probe.get(f"s3://{bucket}/x", offset=5, len=2 * MIB) == data[5:2 * MIB + 5]


def test_a_read_that_is_always_cut_ends(ceph, bucket, proxy, probe):
    ceph.s3().put_object(Bucket=bucket, Key="x", Body=pattern(2 * MIB))
    proxy.rules.add(method="GET", cut_reply_body_bytes=1000, times=None)
    message = fails("unavailable", probe.get, f"s3://{bucket}/x")
    assert f"read 's3://{bucket}/x'" in message


def test_a_long_read_survives_many_cuts(ceph, bucket, proxy, probe):
    data = os.urandom(8 * MIB)
    ceph.s3().put_object(Bucket=bucket, Key="x", Body=data)
    proxy.rules.add(method="GET", cut_reply_body_bytes=300000, times=None)
    assert probe.get(f"s3://{bucket}/x") == data


def test_an_object_replaced_while_it_is_read_is_a_conflict(ceph, bucket, proxy, probe):
    s3 = ceph.s3()
    s3.put_object(Bucket=bucket, Key="x", Body=b"a" * MIB)
    etag = s3.put_object(Bucket=bucket, Key="y", Body=b"b" * MIB)["ETag"]
    # The range that continues is answered from another object: If-Match holds it off.
    proxy.rules.add(method="GET", cut_reply_body_bytes=900000, set_headers={"ETag": etag})
    fails("conflict", probe.get, f"s3://{bucket}/x")


def test_damage_on_the_way_is_found(ceph, bucket, proxy, probe):
    ceph.s3().put_object(Bucket=bucket, Key="x", Body=pattern(MIB))
    proxy.rules.add(method="GET", flip_reply_byte=500000, times=None)
    message = fails("corrupt", probe.get, f"s3://{bucket}/x")
    assert "MD5" in message and "damaged" in message


# ---- writing ---------------------------------------------------------------------------------


def test_damage_on_the_way_out_is_sent_again(ceph, bucket, proxy, probe):
    data = pattern(12 * MIB)
    proxy.rules.add(method="PUT", flip_request_byte=7)
    probe.put(f"s3://{bucket}/small", b"some content")
    proxy.rules.add(method="PUT", flip_request_byte=77777, times=2)
    probe.stream(f"s3://{bucket}/large", data)
    assert ceph.s3().get_object(Bucket=bucket, Key="small")["Body"].read() == b"some content"
    assert ceph.s3().get_object(Bucket=bucket, Key="large")["Body"].read() == data
    proxy.rules.add(method="PUT", flip_request_byte=7, times=None)
    assert "BadDigest" in fails("corrupt", probe.put, f"s3://{bucket}/never", b"some content")
    proxy.rules.clear()
    assert probe.names(f"s3://{bucket}/") == ["large", "small"]


@pytest.mark.parametrize("rule", [
    {"cut_request_body_bytes": 0}, {"cut_request_body_bytes": 1 * MIB}, {"cut_reply_bytes": 0},
    {"cut_reply_bytes": 20}, {"status": 503}, {"status": 500}, {"status": 502, "early": True},
    {"cut_reply_bytes": 0, "reset": True}, {"status": 400, "body": ERROR.format("RequestTimeout", "")},
])
@pytest.mark.parametrize("which", ["uploads", "partNumber=2&", "^/[^?]*.uploadId="])
def test_one_fault_in_an_upload(ceph, bucket, proxy, probe, rule, which):
    data = pattern(11 * MIB)
    method = "PUT" if "part" in which else "POST"
    proxy.rules.add(method=method, target=which, times=2, **rule)
    written = probe.stream(f"s3://{bucket}/x", data)
    found = ceph.s3().get_object(Bucket=bucket, Key="x")
    assert found["Body"].read() == data
    assert written["etag"] == found["ETag"].strip('"')


@pytest.mark.parametrize("which", ["uploads", "partNumber=2&", "^/[^?]*.uploadId="])
@pytest.mark.parametrize("rule", [
    {"status": 503}, {"cut_reply_bytes": 0}, {"status": 403,
                                               "body": ERROR.format("AccessDenied", "no")},
])
def test_a_fault_that_stays_leaves_nothing(ceph, bucket, proxy, probe, which, rule):
    method = "PUT" if "part" in which else "POST"
    proxy.rules.add(method=method, target=which, times=None, **rule)
    code = "denied" if rule.get("status") == 403 else "unavailable"
    completed = which.endswith("uploadId=") and rule == {"cut_reply_bytes": 0}
    if completed:
        probe.stream(f"s3://{bucket}/x", pattern(11 * MIB))
    else:
        fails(code, probe.stream, f"s3://{bucket}/x", pattern(11 * MIB))
    proxy.rules.clear()
    assert probe.names(f"s3://{bucket}/") == (["x"] if completed else [])


def test_an_older_object_of_the_same_content_is_not_what_was_uploaded(ceph, bucket, proxy, probe):
    probe.stream(f"s3://{bucket}/x", pattern(11 * MIB))
    proxy.rules.add(method="POST", target="^/[^?]*.uploadId=", times=None, status=503)
    fails("unavailable", probe.stream, f"s3://{bucket}/x", pattern(11 * MIB))
    proxy.rules.clear()
    assert probe.names(f"s3://{bucket}/") == ["x"]


def test_a_lost_answer_to_a_conditional_put_is_no_conflict(ceph, bucket, proxy, probe):
    proxy.rules.add(method="PUT", cut_reply_bytes=0)
    written = probe.put(f"s3://{bucket}/lock", b"mine", if_match="")
    assert written["etag"] == hashlib.md5(b"mine").hexdigest()
    fails("conflict", probe.put, f"s3://{bucket}/lock", b"mine", if_match="")
    fails("conflict", probe.put, f"s3://{bucket}/lock", b"other", if_match="")
    proxy.rules.add(method="PUT", cut_reply_bytes=0, reset=True)
    again = probe.put(f"s3://{bucket}/lock", b"again", if_match=written["etag"])
    assert again["etag"] == hashlib.md5(b"again").hexdigest()
    assert probe.stat(f"s3://{bucket}/lock")["metadata"] == {}


@pytest.mark.parametrize("body", [ERROR.format("InternalError", "again"), "   \n" +
                                  ERROR.format("SlowDown", "slow"), ""])
def test_success_that_holds_an_error(ceph, bucket, proxy, probe, body):
    data = pattern(6 * MIB)
    proxy.rules.add(method="POST", target="uploadId=", status=200, body=body)
    probe.stream(f"s3://{bucket}/x", data)
    proxy.rules.add(method="PUT", target="copy", status=200, body=body)
    probe.copy(f"s3://{bucket}/x", f"s3://{bucket}/copy")
    proxy.rules.add(method="PUT", target="ranges.*partNumber=1", status=200, body=body)
    probe.copy(f"s3://{bucket}/x", f"s3://{bucket}/ranges", size=6 << 30)
    for key in ("x", "copy", "ranges"):
        assert ceph.s3().get_object(Bucket=bucket, Key=key)["Body"].read() == data
    proxy.rules.add(method="PUT", target="copy", status=200, body=body, times=None)
    fails("unavailable", probe.copy, f"s3://{bucket}/x", f"s3://{bucket}/copy-2")
    proxy.rules.clear()
    assert probe.names(f"s3://{bucket}/") == ["copy", "ranges", "x"]


def test_a_copy_of_what_is_replaced_meanwhile_is_a_conflict(ceph, bucket, proxy, probe):
    s3 = ceph.s3()
    etag = s3.put_object(Bucket=bucket, Key="x", Body=pattern(6 * MIB))["ETag"].strip('"')
    s3.put_object(Bucket=bucket, Key="x", Body=pattern(7 * MIB))
    fails("conflict", probe.copy, f"s3://{bucket}/x", f"s3://{bucket}/y", source_if_match=etag)
    fails("conflict", probe.copy, f"s3://{bucket}/x", f"s3://{bucket}/y", source_if_match=etag,
          size=6 << 30)
    # The source is as it was when it was looked at first, and another one after the parts.
    proxy.rules.add(method="HEAD", target="/x$", set_headers={"ETag": f'"{etag}"'})
    fails("conflict", probe.copy, f"s3://{bucket}/x", f"s3://{bucket}/y", size=6 << 30)
    assert probe.names(f"s3://{bucket}/") == ["x"]


# ---- listing and removing --------------------------------------------------------------------


THOUSANDS = [f"{number:05}" for number in range(1100)]


def put_all(s3, bucket, names):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: s3.put_object(Bucket=bucket, Key=name, Body=b"x"), names))


@pytest.fixture(scope="module")
def long_bucket(ceph):
    """A bucket with THOUSANDS, more than a page of a listing. Leave it as it is."""
    s3, name = ceph.s3(), f"bucket-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    put_all(s3, name, THOUSANDS)
    yield name
    s3_server.empty(s3, name)
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def lister(ceph, long_bucket, proxy):
    with probe_of(ceph, long_bucket, proxy) as made:
        yield made


def test_listings_that_lie(long_bucket, proxy, lister):
    where = f"s3://{long_bucket}/"
    replacements = [
        [["<NextContinuationToken>[^<]*</NextContinuationToken>", ""]],
        [["<IsTruncated>true</IsTruncated>", ""]],
        [["<Key>00500</Key>", "<Key>00400</Key>"]],
        [["<Key>00500</Key>", "<Key>%zz</Key>"]],
        [["<Key>00500</Key>", ""]],
        [["<Size>1</Size>", "<Size>-1</Size>"]],
        [["<KeyCount>1000</KeyCount>", "<KeyCount>1001</KeyCount>"]],
        [["^", "<!DOCTYPE x [<!ENTITY a \"b\">]>"]],
    ]
    for replace in replacements:
        proxy.rules.clear()
        proxy.rules.add(method="GET", target="list-type=2", replace=replace, times=None)
        with pytest.raises(Failed) as failed:
            lister.names(where)
        assert failed.value.code in ("corrupt", "unsupported"), failed.value
        assert "list '" in failed.value.message
    proxy.rules.clear()
    proxy.rules.add(truncated_listing(well_formed=False, times=None))
    fails("corrupt", lister.names, where)
    # The second page is the first one again.
    proxy.rules.clear()
    proxy.rules.add(method="GET", target="list-type=2", times=None,
                    replace=[["<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>"]])
    fails("corrupt", lister.names, where)


def test_listings_that_are_cut_or_refused(long_bucket, proxy, lister):
    where = f"s3://{long_bucket}/"
    proxy.rules.add(method="GET", cut_reply_body_bytes=100, times=2)
    assert lister.names(where) == THOUSANDS
    proxy.rules.add(slow_down(times=3))
    assert lister.names(where) == THOUSANDS
    proxy.rules.add(method="GET", target="list-type=2", status=200, body="", times=1)
    assert lister.names(where) == THOUSANDS
    proxy.rules.add(method="GET", target="continuation-token", times=None, status=503)
    fails("unavailable", lister.names, where)


def test_an_old_server_that_lists_by_markers(long_bucket, proxy, lister):
    proxy.rules.add(method="GET", target="list-type=2", times=None, replace=[
        ["<NextContinuationToken>[^<]*</NextContinuationToken>", ""],
        ["<KeyCount>[0-9]*</KeyCount>", "<Marker></Marker>"]])
    assert lister.names(f"s3://{long_bucket}/") == THOUSANDS


def test_removals(ceph, bucket, proxy, probe):
    names = THOUSANDS[:70]
    put_all(ceph.s3(), bucket, names)
    uris = [f"s3://{bucket}/{name}" for name in names]
    told = ("<DeleteResult><Error><Key>00001</Key><Code>{0}</Code><Message>no</Message></Error>"
            "<Error><Key>00003</Key><Code>{0}</Code><Message/></Error></DeleteResult>")
    proxy.rules.add(method="POST", target="delete", status=200, body=told.format("InternalError"))
    assert probe.remove(*uris[:10]) == []
    # The first answer was not Ceph's: what it did not name is still there.
    assert probe.names(f"s3://{bucket}/", limit=4) == ["00000", "00002", "00004", "00005"]
    proxy.rules.add(method="POST", target="delete", status=200, body=told.format("AccessDenied"),
                    times=None)
    failed = probe.remove(*uris[:10])
    assert [item["index"] for item in failed] == [1, 3]
    assert all(item["error"] == "denied" for item in failed)
    assert f"remove '{uris[1]}'" in failed[0]["message"]
    proxy.rules.clear()
    proxy.rules.add(method="POST", target="delete", status=501, times=None,
                    body=ERROR.format("NotImplemented", "no"))
    assert probe.remove(*uris[:30]) == []
    assert probe.remove(*uris[30:60]) == []
    assert proxy.count("POST", "delete") <= 5
    assert proxy.count("DELETE") == 60
    assert probe.names(f"s3://{bucket}/", limit=1) == ["00060"]


def test_a_storm(ceph, bucket, proxy, probe):
    proxy.rules.add(slow_down(share=0.3, times=None))
    for number in range(20):
        probe.put(f"s3://{bucket}/{number:02}", str(number).encode())
        assert probe.get(f"s3://{bucket}/{number:02}") == str(number).encode()
    data = pattern(16 * MIB)
    probe.stream(f"s3://{bucket}/large", data)
    assert probe.get(f"s3://{bucket}/large") == data
    proxy.rules.clear()
