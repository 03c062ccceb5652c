"""The servers that other tests rely on, each tried by a client that others made: boto3, botocore and
Google's own for Node and Python. What they take for the real thing is good enough to judge by."""

import json
import os
import random
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError

import ceph as ceph_server
import faults
import processes
import s3_server
from aws_doubles import Aws
from conftest import PATIENCE_S
from crc32c import crc32c
from stand_in import self_signed


def error_of(call, *words, **options):
    """(code, HTTP status) of the error that a call with boto3 ends in."""
    with pytest.raises(ClientError) as caught:
        call(*words, **options)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def some_bytes(count, seed=1):
    return random.Random(seed).randbytes(count)


def ask(url, value=None):
    body = None if value is None else json.dumps(value).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body)) as reply:
        text = reply.read()
    return json.loads(text) if text else None


# The S3 server


def test_ceph_keeps_what_it_is_given(ceph, bucket):
    s3, data = ceph.s3(), some_bytes(100000)
    s3.put_object(Bucket=bucket, Key="a b/ü%&+", Body=data, Metadata={"k": "v"})
    found = s3.get_object(Bucket=bucket, Key="a b/ü%&+")
    assert found["Body"].read() == data
    assert found["Metadata"] == {"k": "v"}
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a b/ü%&+"]


def test_ceph_knows_two_users_and_checks_signatures(ceph, bucket):
    other, forger = ceph.s3(ceph.second), ceph.s3((ceph.access_key, "guessed"))
    assert error_of(other.list_objects_v2, Bucket=bucket) == ("AccessDenied", 403)
    assert error_of(forger.list_objects_v2, Bucket=bucket) == ("SignatureDoesNotMatch", 403)


def test_ceph_does_multipart_uploads_and_conditional_writes(ceph, bucket):
    s3, data = ceph.s3(), some_bytes(5 << 20)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    parts = [s3.upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=number,
                            Body=body)["ETag"] for number, body in ((1, data), (2, b"end"))]
    s3.complete_multipart_upload(Bucket=bucket, Key="large", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(parts, 1)]})
    assert s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == len(data) + 3

    def only_new(params, **_):
        params["headers"]["If-None-Match"] = "*"
    s3.meta.events.register("before-call.s3.PutObject", only_new)
    assert error_of(s3.put_object, Bucket=bucket, Key="large", Body=b"")[1] == 412


def test_ceph_dies_with_who_started_it():
    """Also by SIGKILL. What it leaves behind is removed when the next one starts, a minute later."""
    program = ("import sys; sys.path.insert(0, sys.argv[1]); import ceph, os, time;"
               "os.environ.pop('RUN_CORE_TEST_S3_ENDPOINT', None); s = ceph.temporary();"
               "print(s.folder, s.monitor.pid, s.store.pid, s.gateway.pid, flush=True);"
               "time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-B", "-c", program,
                                os.path.dirname(ceph_server.__file__)],
                               stdout=subprocess.PIPE, text=True)
    folder, *pids = process.stdout.readline().split()
    assert len(pids) == 3 and all(processes.is_alive(int(pid)) for pid in pids)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    end = time.monotonic() + PATIENCE_S
    while any(processes.is_alive(int(pid)) for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.01)
    old = time.time() - 3600
    os.utime(folder, (old, old))
    processes.temporary_folder("run-core-ceph-")
    assert not os.path.exists(folder)


def test_swift_is_another_s3_server(swift):
    s3, data = swift.s3(), some_bytes(100000)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a b/ü%&+", Body=data)
    assert s3.get_object(Bucket="bucket", Key="a b/ü%&+")["Body"].read() == data
    assert error_of(swift.s3((swift.access_key, "guessed")).list_objects_v2, Bucket="bucket") == (
        "SignatureDoesNotMatch", 403)
    assert error_of(swift.s3(swift.second).list_objects_v2, Bucket="bucket")[1] == 404
    s3_server.empty(s3, "bucket")
    s3.delete_bucket(Bucket="bucket")


# The proxy


def test_proxy_passes_everything_on(ceph, bucket, proxy):
    s3, data = ceph.s3(endpoint=proxy.endpoint), some_bytes(3 << 20)
    s3.put_object(Bucket=bucket, Key="a b/ü%&+", Body=data)
    assert s3.get_object(Bucket=bucket, Key="a b/ü%&+")["Body"].read() == data
    assert s3.head_object(Bucket=bucket, Key="a b/ü%&+")["ContentLength"] == len(data)
    s3.delete_object(Bucket=bucket, Key="a b/ü%&+")
    assert error_of(s3.head_object, Bucket=bucket, Key="a b/ü%&+") == ("404", 404)
    assert [call.method for call in proxy.calls] == ["PUT", "GET", "HEAD", "DELETE", "HEAD"]
    assert proxy.count("PUT", "/a%20b/") == 1
    assert not any(call.faulty for call in proxy.calls)


def test_proxy_answers_instead_of_the_server(ceph, bucket, proxy):
    s3 = ceph.s3(endpoint=proxy.endpoint)
    proxy.rules.add(faults.slow_down(method="PUT", skip=1, times=2))
    answers = []
    for number in range(4):
        try:
            s3.put_object(Bucket=bucket, Key=f"{number}", Body=b"x")
            answers.append("stored")
        except ClientError as error:
            answers.append(error.response["Error"]["Code"])
    assert answers == ["stored", "SlowDown", "SlowDown", "stored"]
    assert ceph.s3().list_objects_v2(Bucket=bucket)["KeyCount"] == 2


@pytest.mark.parametrize("reset", [False, True])
def test_proxy_cuts(ceph, bucket, proxy, reset):
    s3, data = ceph.s3(endpoint=proxy.endpoint), some_bytes(1 << 20)
    proxy.rules.add(method="PUT", cut_request_body_bytes=500000, reset=reset)
    with pytest.raises((ConnectionClosedError, ConnectionError)):
        s3.put_object(Bucket=bucket, Key="half", Body=data)
    assert error_of(ceph.s3().head_object, Bucket=bucket, Key="half") == ("404", 404)

    proxy.rules.add(method="PUT", cut_reply_bytes=0, reset=reset)
    with pytest.raises((ConnectionClosedError, ConnectionError)):
        s3.put_object(Bucket=bucket, Key="done", Body=data)
    assert ceph.s3().head_object(Bucket=bucket, Key="done")["ContentLength"] == len(data)

    proxy.rules.add(method="GET", cut_reply_body_bytes=300000, reset=reset)
    with pytest.raises((ResponseStreamingError, ConnectionError)):
        s3.get_object(Bucket=bucket, Key="done")["Body"].read()
    assert [call.status for call in proxy.calls] == [0, 200, 200]


def test_proxy_changes_content(ceph, bucket, proxy):
    s3, data = ceph.s3(endpoint=proxy.endpoint), some_bytes(300000)
    proxy.rules.add(method="PUT", flip_request_byte=77777)
    assert error_of(s3.put_object, Bucket=bucket, Key="a", Body=data)[1] == 400
    s3.put_object(Bucket=bucket, Key="a", Body=data)
    proxy.rules.add(method="GET", flip_reply_byte=200000, drop_headers=["ETag"],
                    set_headers={"x-amz-meta-k": "v"})
    found = s3.get_object(Bucket=bucket, Key="a")
    got = found["Body"].read()
    assert [at for at in range(len(data)) if data[at] != got[at]] == [200000]
    assert "ETag" not in found and found["Metadata"] == {"k": "v"}


def test_proxy_truncates_listings(ceph, bucket, proxy):
    s3 = ceph.s3(endpoint=proxy.endpoint)
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"key-{number}", Body=b"")
    proxy.rules.add(faults.truncated_listing())
    listing = s3.list_objects_v2(Bucket=bucket, MaxKeys=2)
    assert not listing["IsTruncated"] and "NextContinuationToken" not in listing
    proxy.rules.add(faults.truncated_listing(well_formed=False))
    with pytest.raises(Exception, match="Unable to parse"):
        s3.list_objects_v2(Bucket=bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 5


def test_proxy_is_late_and_slow(ceph, bucket, proxy):
    s3 = ceph.s3(endpoint=proxy.endpoint)
    s3.put_object(Bucket=bucket, Key="a", Body=bytes(20000))
    for rule in ({"delay_ms": 300}, {"bytes_per_s": 60000},
                 {"stall_reply_bytes": 1000, "stall_ms": 300}):
        proxy.rules.add(**rule)
        begin = time.monotonic()
        assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == bytes(20000)
        assert time.monotonic() - begin > 0.25
    proxy.rules.add(request_bytes_per_s=60000)
    begin = time.monotonic()
    s3.put_object(Bucket=bucket, Key="a", Body=bytes(20000))
    assert time.monotonic() - begin > 0.25


def test_proxy_is_worked_from_outside(ceph, bucket, proxy):
    ask(proxy.endpoint + "/_control", {"clear": True, "rules": [{"status": 500, "times": None}]})
    s3 = ceph.s3(endpoint=proxy.endpoint)
    assert error_of(s3.list_objects_v2, Bucket=bucket)[1] == 500
    ask(proxy.endpoint + "/_control", {"clear": True})
    s3.list_objects_v2(Bucket=bucket)
    assert [call["status"] for call in ask(proxy.endpoint + "/_calls")] == [200]


def test_stand_ins_speak_https(tmp_path):
    certificate = tmp_path / "certificate.pem"
    with Aws(tls=self_signed(certificate)) as server:
        url = f"{server.endpoint}/latest/meta-data/placement/region"
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(url)
        server.imds = "optional"
        trusting = ssl.create_default_context(cafile=certificate)
        for _ in range(2):
            with urllib.request.urlopen(url, context=trusting) as reply:
                assert reply.read() == b"eu-test-1"


# What hands out credentials for AWS


@pytest.fixture
def aws():
    with Aws() as server:
        yield server


@pytest.fixture
def session(monkeypatch, tmp_path):
    """botocore without any credentials but those that a test gives it."""
    import botocore.session
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return botocore.session.Session


def found_credentials(session):
    keys = session().get_credentials().get_frozen_credentials()
    return keys.access_key, keys.secret_key, keys.token


def last_issued(aws):
    return tuple(aws.issued[-1][name] for name in ("access_key", "secret_key", "token"))


@pytest.mark.parametrize("version", ["required", "optional", "v1"])
def test_machine_gives_credentials(aws, session, monkeypatch, version):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.endpoint)
    aws.imds = version
    assert found_credentials(session) == last_issued(aws)
    assert aws.issued[-1]["by"] == "imds"
    assert aws.count("PUT", "/latest/api/token") == 1


def test_machine_without_credentials(aws, session, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.endpoint)
    aws.role = None
    assert session().get_credentials() is None
    aws.imds = "off"
    assert session().get_credentials() is None


def test_container_gives_credentials(aws, session, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", aws.endpoint + "/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token")
    aws.container_token = "container-token"
    assert found_credentials(session) == last_issued(aws)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(aws.endpoint + "/v1/credentials")


def client(session, aws, service, keys=None):
    keys = keys or (aws.ACCESS_KEY, aws.SECRET_KEY, None)
    return session().create_client(
        service, "us-east-1", endpoint_url=aws.endpoint, aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1], aws_session_token=keys[2])


def test_sts_lends_roles(aws, session):
    sts, role = client(session, aws, "sts"), aws.arn("reader")
    lent = sts.assume_role(RoleArn=role, RoleSessionName="test", DurationSeconds=900)["Credentials"]
    keys = (lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"])
    assert keys == last_issued(aws)
    assert abs((lent["Expiration"] - aws.issued[-1]["end"]).total_seconds()) <= 1
    # What was lent is good for signing, with its token and not without.
    assert client(session, aws, "sts", keys).get_caller_identity()["UserId"] == keys[0]
    without = client(session, aws, "sts", (keys[0], keys[1], None))
    assert error_of(without.get_caller_identity) == ("InvalidClientTokenId", 403)
    forged = client(session, aws, "sts", (aws.ACCESS_KEY, "guessed", None))
    assert error_of(forged.get_caller_identity) == ("SignatureDoesNotMatch", 403)


def test_sts_refuses(aws, session):
    sts, role = client(session, aws, "sts"), aws.arn("reader")
    wanted = {"RoleArn": role, "RoleSessionName": "test"}
    aws.external_ids = {role: "secret handshake"}
    assert error_of(sts.assume_role, **wanted) == ("AccessDenied", 403)
    sts.assume_role(**wanted, ExternalId="secret handshake")
    aws.external_ids, aws.denied_roles = {}, [role]
    assert error_of(sts.assume_role, **wanted) == ("AccessDenied", 403)
    assert error_of(sts.assume_role, RoleArn="arn:aws:iam::1:group/x", RoleSessionName="test") == (
        "ValidationError", 400)


def test_sts_takes_web_identities(aws, session, monkeypatch):
    import botocore
    sts = session().create_client("sts", "us-east-1", endpoint_url=aws.endpoint,
                                  config=botocore.config.Config(signature_version=botocore.UNSIGNED))
    wanted = {"RoleArn": aws.arn("pod"), "RoleSessionName": "test"}
    lent = sts.assume_role_with_web_identity(**wanted, WebIdentityToken=aws.WEB_IDENTITY_TOKEN)
    assert lent["Credentials"]["AccessKeyId"] == aws.issued[-1]["access_key"]
    assert error_of(sts.assume_role_with_web_identity, **wanted, WebIdentityToken="stale") == (
        "InvalidIdentityToken", 400)


def test_sso_gives_credentials(aws, session):
    portal, oidc = client(session, aws, "sso"), client(session, aws, "sso-oidc")
    wanted = {"roleName": "reader", "accountId": aws.ACCOUNT}
    assert error_of(portal.get_role_credentials, **wanted, accessToken="stale") == (
        "UnauthorizedException", 401)
    client_id, client_secret = aws.SSO_CLIENT
    asked = {"clientId": client_id, "clientSecret": client_secret, "grantType": "refresh_token"}
    token = oidc.create_token(**asked, refreshToken=aws.SSO_REFRESH_TOKEN)["accessToken"]
    given = portal.get_role_credentials(**wanted, accessToken=token)["roleCredentials"]
    assert (given["accessKeyId"], given["secretAccessKey"], given["sessionToken"]) == last_issued(aws)
    assert given["expiration"] > time.time() * 1000
    assert error_of(oidc.create_token, **asked, refreshToken="stale") == (
        "InvalidGrantException", 400)


# Checksums


def test_crc32c():
    """The examples of RFC 3720, B.4, and the check value of the catalogues."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(bytes(range(31, -1, -1))) == 0x113FDB5C
    data = some_bytes(200001)
    byte_by_byte = 0
    for at in range(0, len(data), 7):
        byte_by_byte = crc32c(data[at:at + 7], byte_by_byte)
    assert crc32c(data) == byte_by_byte
