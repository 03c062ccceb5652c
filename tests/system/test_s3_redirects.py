"""What the S3 backend learns from refusals: the region of a bucket, the server's clock, and that
credentials have run out. Against a stand-in that refuses as Amazon does."""
import re
import time
from datetime import datetime, timezone
from email.utils import formatdate

import pytest
from conftest import BUILD
from stand_in import Reply, StandIn
from storage_probe import Failed, StorageProbe

KEYS = {"access_key_id": "AKIASTANDIN", "secret_access_key": "the-stand-in-s-secret"}


class Amazon(StandIn):
    """One object. It looks at region, date and token of a signature, not at the signature."""

    region = "eu-test-7"
    ahead_s = 0
    refused_tokens = ()
    status, names_region = 400, True

    def handle(self, request):
        body = request.body()
        refusal = self.refuse(request)
        if refusal:
            status, code, extra, headers = refusal
            text = f"<Error><Code>{code}</Code><Message>no</Message>{extra}</Error>"
            reply = Reply(status, {"Content-Type": "application/xml", **headers}, text.encode())
            if request.method == "HEAD":
                reply = Reply(status, headers, b"", 0)
        elif request.method == "PUT":
            self.written = body
            reply = Reply(200, {"ETag": '"0123456789abcdef0123456789abcdef-1"'}, b"")
        else:
            headers = {"ETag": '"900150983cd24fb0d6963f7d28e17f72"',
                       "Last-Modified": formatdate(0, usegmt=True)}
            if "range" in request.headers:
                headers["Content-Range"] = "bytes 0-0/3"
                reply = Reply(206, headers, b"a")
            else:
                reply = Reply(200, headers, b"" if request.method == "HEAD" else b"abc", 3)
        reply.headers["Date"] = formatdate(time.time() + self.ahead_s, usegmt=True)
        return reply

    def refuse(self, request):
        headers = request.headers
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/s3/aws4_request",
                          headers.get("authorization", ""))
        if not scope:
            return 403, "AccessDenied", "", {}
        if scope[1] != self.region:
            named = {"x-amz-bucket-region": self.region} if self.status != 400 else {}
            extra = f"<Region>{self.region}</Region>"
            if not self.names_region:
                named, extra = {}, ""
            if request.method == "HEAD" and self.status == 400:
                named = {}
            return self.status, {400: "AuthorizationHeaderMalformed", 301: "PermanentRedirect",
                                 307: "TemporaryRedirect"}[self.status], extra, named
        signed = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        off = signed.replace(tzinfo=timezone.utc).timestamp() - time.time() - self.ahead_s
        if abs(off) > 300:
            return 403, "RequestTimeTooSkewed", "", {}
        if headers.get("x-amz-security-token") in self.refused_tokens:
            return 400, "ExpiredToken", "", {}
        return None


@pytest.fixture
def amazon():
    with Amazon() as server:
        yield server


def probe_of(amazon, env=None, **store):
    return StorageProbe(BUILD, env=env, bucket="bkt", endpoint=amazon.endpoint, **store)


ACTS = {
    "get": lambda probe: probe.get("s3://bkt/key"),
    "stat": lambda probe: probe.stat("s3://bkt/key"),
    "put": lambda probe: probe.put("s3://bkt/key", b"content"),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("status", [301, 307, 400])
def test_learns_the_region(amazon, act, status):
    amazon.status = status
    with probe_of(amazon, region="us-wrong-1", **KEYS) as probe:
        ACTS[act](probe)
        before = len(amazon.calls)
        ACTS[act](probe)
        assert len(amazon.calls) == before + 1  # it has been remembered
    assert amazon.accepted == 1


def test_a_region_that_is_not_named(amazon):
    amazon.status, amazon.names_region = 301, False
    with probe_of(amazon, region="us-wrong-1", **KEYS) as probe:
        with pytest.raises(Failed) as failed:
            probe.get("s3://bkt/key")
    assert failed.value.code == "invalid"
    assert "PermanentRedirect" in failed.value.message and "'region'" in failed.value.message
    assert len(amazon.calls) == 1


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("ahead_s", [1200, -1200, 400])
def test_follows_the_server_s_clock(amazon, act, ahead_s):
    amazon.ahead_s = ahead_s
    with probe_of(amazon, region=amazon.region, **KEYS) as probe:
        ACTS[act](probe)
        before = len(amazon.calls)
        ACTS[act](probe)
        assert len(amazon.calls) == before + 1


@pytest.mark.parametrize("act", ACTS)
def test_renews_credentials_that_have_run_out(amazon, act, tmp_path):
    count = tmp_path / "count"
    script = tmp_path / "keys"
    script.write_text(f"#!/bin/sh\necho x >> {count}\n"
                      "printf '{\"Version\": 1, \"AccessKeyId\": \"AKIATEMP\", \"SecretAccessKey\": "
                      "\"secret-of-the-process\", \"SessionToken\": \"token-%d\", \"Expiration\": "
                      f"\"2099-01-01T00:00:00Z\"}}' $(wc -l < {count})\n")
    script.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {script}\nregion = {amazon.region}\n")
    amazon.refused_tokens = ("token-1",)
    with probe_of(amazon, env={"AWS_CONFIG_FILE": str(config)}) as probe:
        ACTS[act](probe)
        ACTS[act](probe)
    assert count.read_text() == "x\nx\n"
    amazon.refused_tokens = tuple(f"token-{n}" for n in range(9))
    with probe_of(amazon, env={"AWS_CONFIG_FILE": str(config)}) as probe:
        with pytest.raises(Failed) as failed:
            ACTS[act](probe)
    assert failed.value.code == "denied"
    assert "ExpiredToken" in failed.value.message and "renew" in failed.value.message
    assert "secret-of-the-process" not in failed.value.message


def test_given_credentials_that_have_run_out(amazon):
    amazon.refused_tokens = ("old",)
    with probe_of(amazon, region=amazon.region, session_token="old", **KEYS) as probe:
        with pytest.raises(Failed) as failed:
            probe.get("s3://bkt/key")
    assert failed.value.code == "denied" and "ExpiredToken" in failed.value.message
    assert len(amazon.calls) == 1


def test_an_endpoint_and_region_of_the_environment(amazon):
    env = {"AWS_ENDPOINT_URL_S3": amazon.endpoint + "/", "AWS_REGION": amazon.region,
           "AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "secret-of-the-environment"}
    with StorageProbe(BUILD, env=env) as probe:
        assert probe.get("s3://any-bucket/a key") == b"abc"
    assert [call.target for call in amazon.calls] == ["/any-bucket/a%20key"]


def test_an_answer_that_is_not_the_object_s(amazon):
    """A page of something on the way, which calls everything a success."""
    amazon.rules.add(status=200, headers={"Content-Type": "text/html"},
                     body="<html>a captive portal</html>", times=None)
    acts = {**ACTS, "list": lambda probe: probe.items("s3://bkt/"),
            "copy": lambda probe: probe.copy("s3://bkt/key", "s3://bkt/other", size=1),
            "large": lambda probe: probe.stream("s3://bkt/key", b"x" * (9 << 20))}
    with probe_of(amazon, region=amazon.region, **KEYS) as probe:
        for name, act in acts.items():
            with pytest.raises(Failed) as failed:
                act(probe)
            assert failed.value.code in ("corrupt", "failed", "unavailable"), name


# ---- what goes with a request ----------------------------------------------------------------


class Listening(Amazon):
    """Keeps the headers of all requests."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def handle(self, request):
        self.heard.append((request.method, request.target, dict(request.headers)))
        if request.method == "POST" and "uploads" in request.target:
            return Reply(200, {}, b"<InitiateMultipartUploadResult><UploadId>u1</UploadId>"
                                  b"</InitiateMultipartUploadResult>")
        if request.method == "POST":
            request.body()
            return Reply(200, {}, b"<CompleteMultipartUploadResult><ETag>\"x-2\"</ETag>"
                                  b"</CompleteMultipartUploadResult>")
        if "x-amz-copy-source" in request.headers:
            return Reply(200, {}, b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
        return super().handle(request)


CUSTOMER_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def test_encryption_by_a_key_of_the_customer():
    with Listening() as amazon:
        with probe_of(amazon, region=amazon.region, sse="customer", sse_customer_key=CUSTOMER_KEY,
                      part_bytes=5 << 20, **KEYS) as probe:
            probe.get("s3://bkt/key")
            probe.stat("s3://bkt/key")
            probe.put("s3://bkt/key", b"x")
            probe.stream("s3://bkt/key", b"x" * (6 << 20))
            probe.copy("s3://bkt/key", "s3://bkt/other", size=1)
    prefix = "x-amz-server-side-encryption-customer-"
    source = "x-amz-copy-source-server-side-encryption-customer-"
    for method, target, headers in amazon.heard:
        completes = method == "POST" and "uploadId" in target
        assert (headers.get(prefix + "key") == CUSTOMER_KEY) == (not completes), target
        if not completes:
            assert headers[prefix + "algorithm"] == "AES256"
            assert headers[prefix + "key-md5"] == "hRasmdxgYDKV3nvbahU1MA=="
            signed = headers["authorization"]
            assert prefix + "key" in signed and CUSTOMER_KEY not in signed
        assert (source + "key" in headers) == ("x-amz-copy-source" in headers)


def test_encryption_class_and_payer():
    with Listening() as amazon:
        with probe_of(amazon, region=amazon.region, sse="aws:kms", sse_kms_key="arn:key",
                      storage_class="STANDARD_IA", request_payer="true", **KEYS) as probe:
            probe.get("s3://bkt/key")
            probe.put("s3://bkt/key", b"x")
            probe.put("s3://bkt/key", b"x", attributes={"storage_class": "GLACIER"})
    get, first, second = (headers for _, _, headers in amazon.heard)
    for headers in (get, first, second):
        assert headers["x-amz-request-payer"] == "requester"
    assert "x-amz-server-side-encryption" not in get
    assert first["x-amz-server-side-encryption"] == "aws:kms"
    assert first["x-amz-server-side-encryption-aws-kms-key-id"] == "arn:key"
    assert [first["x-amz-storage-class"], second["x-amz-storage-class"]] == ["STANDARD_IA",
                                                                             "GLACIER"]
    assert first["content-md5"] == "ndTkYSaMgDT1yFZOFVxnpg=="


class Endless(StandIn):
    """A bucket of a million keys."""

    TOTAL = 1000

    def handle(self, request):
        page = int(request.parameter("continuation-token", "0"))
        rows = "".join(
            f"<Contents><Key>k{page * 1000 + n:09}</Key><LastModified>2026-01-31T10:00:00.000Z"
            "</LastModified><ETag>&quot;900150983cd24fb0d6963f7d28e17f72&quot;</ETag><Size>3</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>" for n in range(1000))
        more = page + 1 < self.TOTAL
        body = ("<ListBucketResult><KeyCount>1000</KeyCount>"
                f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
                + (f"<NextContinuationToken>{page + 1}</NextContinuationToken>" if more else "")
                + rows + "</ListBucketResult>")
        return Reply(200, {"Content-Type": "application/xml"}, body.encode())


def peak_kib(probe):
    with open(f"/proc/{probe.process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])


def test_a_listing_takes_no_more_memory_the_longer_it_is():
    env = {"ASAN_OPTIONS": "exitcode=99:quarantine_size_mb=1"}
    with Endless() as server:
        server.TOTAL = 250
        with StorageProbe(BUILD, env=env, bucket="bkt", endpoint=server.endpoint, region="r",
                          **KEYS) as probe:
            assert probe.call("list", uri="s3://bkt/", count=1, limit=20000)["count"] == 20000
            early = peak_kib(probe)
            assert probe.call("list", uri="s3://bkt/", count=1)["count"] == 250000
            assert peak_kib(probe) - early < 16 * 1024
