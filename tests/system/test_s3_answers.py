"""What the S3 backend makes of answers that are odd but real: of servers that ignore conditions or
ranges, that encrypt with keys of KMS, and of answers that are lost so that a request is repeated."""
import hashlib
import re
from email.utils import formatdate

import pytest
from conftest import BUILD
from stand_in import Reply, StandIn
from storage_probe import Failed, StorageProbe

MIB = 1 << 20
ERROR = "<Error><Code>{}</Code><Message>no</Message></Error>"


class Server(StandIn):
    """Uploads in parts, as a server with KMS does them: no entity tag is an MD5."""

    def __init__(self):
        super().__init__()
        self.objects, self.parts, self.metadata, self.completions = {}, {}, {}, 0
        self.lose, self.again = 0, (404, "NoSuchUpload")
        self.begun = set()  # the keys of uploads that were not completed

    def handle(self, request):
        body, key = request.body(), request.path
        headers = {"x-amz-server-side-encryption": "aws:kms", "Date": formatdate(usegmt=True)}
        if request.method == "POST" and request.query_text.startswith("uploads"):
            self.metadata = {name: value for name, value in request.headers.items()
                             if name.startswith("x-amz-meta-")}
            self.begun.add(key)
            return Reply(200, headers, b"<InitiateMultipartUploadResult><UploadId>u1</UploadId>"
                                       b"</InitiateMultipartUploadResult>")
        if request.method == "PUT":
            tag = hashlib.sha256(body).hexdigest()[:32]
            self.parts[int(request.parameter("partNumber"))] = body
            return Reply(200, {**headers, "ETag": f'"{tag}"'}, b"")
        if request.method == "POST":
            return self.complete(key, headers)
        if request.method == "DELETE":
            self.begun.discard(key)
            return Reply(404, {}, ERROR.format("NoSuchUpload").encode())
        if request.parameter("uploadId") and key in self.begun:
            return Reply(200, headers, b"<ListPartsResult><Part><PartNumber>1</PartNumber></Part>"
                                       b"</ListPartsResult>")
        if request.parameter("uploadId"):
            return Reply(404, {}, ERROR.format("NoSuchUpload").encode())
        if key not in self.objects:
            return Reply(404, {}, ERROR.format("NoSuchUpload").encode())
        data, metadata = self.objects[key]
        headers |= {"ETag": '"ffffffffffffffffffffffffffffffff-2"', **metadata,
                    "Last-Modified": formatdate(usegmt=True)}
        return Reply(200, headers, b"", len(data))

    def complete(self, key, headers):
        self.completions += 1
        if self.completions == 1:
            self.begun.discard(key)
            self.objects[key] = (b"".join(self.parts[number] for number in sorted(self.parts)),
                                 self.metadata)
        if self.completions <= self.lose:
            return Reply(503, headers, b"")
        status, code = self.again
        return Reply(status, headers, ERROR.format(code).encode())


def probe_of(server, **store):
    return StorageProbe(BUILD, bucket="bkt", endpoint=server.endpoint, region="us-east-1",
                        access_key_id="AKIASTANDIN", secret_access_key="the-stand-in-s-secret",
                        part_bytes=5 * MIB, **store)


def test_a_lost_completion_of_what_kms_encrypts():
    data = b"0123456789" * MIB
    with Server() as server:
        server.lose = 1
        with probe_of(server, sse="aws:kms") as probe:
            assert probe.stream("s3://bkt/key", data)["size"] == len(data)
        assert server.objects["/bkt/key"][0] == data


@pytest.mark.parametrize("again", [(412, "PreconditionFailed"), (404, "NoSuchUpload"),
                                   (409, "ConditionalRequestConflict")])
def test_a_lost_completion_on_a_condition(again):
    """Sent again, it is refused because of itself."""
    with Server() as server:
        server.lose, server.again = 1, again
        with probe_of(server) as probe:
            assert probe.stream("s3://bkt/key", b"x" * 6 * MIB, if_match="")["size"] == 6 * MIB
            server.completions, server.lose = 1, 0
            server.objects["/bkt/other"] = b"x" * 6 * MIB, {}
            with pytest.raises(Failed) as failed:
                probe.stream("s3://bkt/other", b"x" * 6 * MIB, if_match="")
            assert failed.value.code == "conflict"


def test_a_condition_on_what_is_not_there_is_a_conflict():
    with Server() as server:
        server.completions, server.again = 1, (404, "NoSuchKey")
        with probe_of(server) as probe:
            server.objects["/bkt/key"] = b"", {}
            with pytest.raises(Failed) as failed:
                probe.stream("s3://bkt/key", b"x" * 6 * MIB,
                             if_match="ffffffffffffffffffffffffffffffff-2")
            assert failed.value.code == "conflict"


class Ranges(StandIn):
    """One object, of which the first answer is cut. 'mode' says what is wrong with the next."""

    DATA = bytes(range(256)) * 32768

    def __init__(self, mode):
        super().__init__()
        self.mode = mode

    def handle(self, request):
        match = re.match(r"bytes=(\d+)-", request.headers.get("range", ""))
        begin = int(match[1]) if match else 0
        replaced = self.mode == "replaced" and begin > 0
        data = self.DATA[::-1] if replaced else self.DATA
        headers = {"ETag": '"second-2"' if replaced else '"first-2"'}
        shown = begin - 100 if self.mode == "earlier" and begin > 0 else begin
        if match:
            headers["Content-Range"] = f"bytes {shown}-{len(data) - 1}/{len(data)}"
            if self.mode == "unnamed":
                del headers["Content-Range"]
        return Reply(206 if match else 200, headers, data[shown:])


@pytest.mark.parametrize("mode, code", [("replaced", "conflict"), ("earlier", "corrupt"),
                                        ("unnamed", "corrupt"), ("right", None)])
def test_what_goes_on_after_a_cut_is_looked_at(mode, code):
    """Servers and caches on the way that ignore If-Match, or give another range."""
    with Ranges(mode) as server:
        server.rules.add(method="GET", cut_reply_body_bytes=6 * MIB)
        with probe_of(server) as probe:
            if not code:
                assert probe.get("s3://bkt/key") == Ranges.DATA
                return
            with pytest.raises(Failed) as failed:
                probe.get("s3://bkt/key")
            assert failed.value.code == code


class Fixed(StandIn):
    """Answers all with one text."""

    def __init__(self, text):
        super().__init__()
        self.text = text

    def handle(self, request):
        request.body()
        return Reply(200, {"Content-Type": "application/xml"}, self.text.encode())


def test_a_removal_that_failed_for_nobody_knows_what():
    with Fixed("<DeleteResult><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
               "</DeleteResult>") as server:
        with probe_of(server) as probe:
            failed = probe.remove("s3://bkt/a", "s3://bkt/b")
    assert [item["index"] for item in failed] == [0, 1]
    assert all(item["error"] == "denied" for item in failed)


class Removals(StandIn):
    """One object, whose removal is refused; 'stays' says whether it was made by then."""

    def __init__(self, refusal, stays):
        super().__init__()
        self.refusal, self.stays, self.is_there = refusal, stays, True

    def handle(self, request):
        request.body()
        if request.method == "HEAD" and self.is_there:
            return Reply(200, {"ETag": '"e-2"', "Last-Modified": formatdate(usegmt=True)}, b"", 1)
        if request.method == "HEAD":
            return Reply(404, {}, b"")
        assert request.headers["if-match"] == '"e-2"'
        self.is_there = self.stays
        status, code = self.refusal
        return Reply(status, {}, ERROR.format(code).encode())


@pytest.mark.parametrize("refusal", [(412, "PreconditionFailed"), (404, "NoSuchKey")])
def test_a_removal_that_was_made_is_no_conflict(refusal):
    """As where its first answer is lost."""
    with Removals(refusal, stays=False) as server, probe_of(server) as probe:
        probe.remove_one("s3://bkt/key", if_match="e-2")
        with pytest.raises(Failed) as failed:
            probe.remove_one("s3://bkt/key", if_match="e-2")
        assert failed.value.code == "conflict"


def test_a_removal_of_another_object_is_a_conflict():
    with Removals((412, "PreconditionFailed"), stays=True) as server, probe_of(server) as probe:
        for tag in ("e-2", "e-1"):
            with pytest.raises(Failed) as failed:
                probe.remove_one("s3://bkt/key", if_match=tag)
            assert failed.value.code == "conflict"


class Kept(StandIn):
    """One object, and the headers of whatever is asked to write it."""

    SAID = {"x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:key/1",
            "x-amz-server-side-encryption-bucket-key-enabled": "true",
            "x-amz-storage-class": "STANDARD_IA", "Cache-Control": "no-store",
            "Expires": "Thu, 01 Dec 2050 16:00:00 GMT",
            "x-amz-website-redirect-location": "/elsewhere"}

    def __init__(self, said):
        super().__init__()
        self.said, self.written = said, []

    def handle(self, request):
        request.body()
        if request.method == "HEAD":
            return Reply(200, {"ETag": '"e-2"', "Last-Modified": formatdate(usegmt=True),
                               **self.said}, b"", 1)
        if request.parameter("partNumber"):
            return Reply(200, {"ETag": '"part"'}, b"")
        if "uploadId" in request.query_text:
            return Reply(200, {}, b'<CompleteMultipartUploadResult><ETag>"n-2"</ETag>'
                                  b"</CompleteMultipartUploadResult>")
        self.written.append({name.lower(): value for name, value in request.headers.items()})
        if request.method == "POST":
            return Reply(200, {}, b"<InitiateMultipartUploadResult><UploadId>u1</UploadId>"
                                  b"</InitiateMultipartUploadResult>")
        return Reply(200, {"ETag": '"n"'}, b"")


@pytest.mark.parametrize("size", [1, 11 * MIB])
def test_encryption_and_the_rest_are_kept(size):
    with Kept(Kept.SAID) as server:
        with probe_of(server) as probe:
            probe.stream("s3://bkt/key", b"x" * size, if_match="e-2", keep=1)
        (written,) = server.written
    assert {name: written.get(name.lower()) for name in Kept.SAID} == Kept.SAID


def test_what_the_settings_want_is_not_undone():
    """Encryption is asked of every object; the class is the object's own."""
    with Kept({"x-amz-server-side-encryption": "AES256"}) as server:
        with probe_of(server, sse="aws:kms", sse_kms_key="ours", storage_class="ONEZONE_IA") as probe:
            probe.put("s3://bkt/key", b"x", if_match="e-2", keep=1)
        (written,) = server.written
    assert written["x-amz-server-side-encryption"] == "aws:kms"
    assert written["x-amz-server-side-encryption-aws-kms-key-id"] == "ours"
    assert written["x-amz-storage-class"] == "STANDARD"


def test_an_object_without_a_size():
    with Fixed("<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><ETag>x"
               "</ETag></Contents></ListBucketResult>") as server:
        with probe_of(server) as probe, pytest.raises(Failed) as failed:
            probe.names("s3://bkt/")
    assert failed.value.code == "corrupt" and "size" in failed.value.message
