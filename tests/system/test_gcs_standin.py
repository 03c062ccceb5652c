"""The stand-in for Google Cloud Storage, tried by Google's own client for Node and its own library for
tokens in Python; and by hand what no client does without being made to."""

import base64
import gzip
import hashlib
import http.client
import json
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

import faults
from conftest import PATIENCE_S, SOURCE
from crc32c import crc32c

JUDGE = SOURCE / "tests" / "support" / "gcs_judge.js"
CLIENT = os.environ.get("RUN_CORE_GCS_JUDGE", "")
MIB = 1 << 20
QUANTUM_BYTES = 256 << 10

needs_node = pytest.mark.skipif(not CLIENT, reason="RUN_CORE_GCS_JUDGE is not set")


@pytest.fixture(autouse=True)
def bucket(gcs):
    return gcs.store.make_bucket("bucket-1")


def node(gcs, program):
    """What a program for Google's client returns."""
    environment = dict(os.environ, GCS_ENDPOINT=gcs.endpoint, GCS_TOKEN=gcs.tokens.issue())
    done = subprocess.run(["node", str(JUDGE)], input=program, capture_output=True, text=True,
                          env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Caller:
    """Requests by hand, on one connection."""

    def __init__(self, gcs):
        self.connection = http.client.HTTPConnection("127.0.0.1", gcs.port)
        self.token = gcs.tokens.issue()

    def __call__(self, method, target, body=None, value=None, **headers):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        headers.setdefault("Authorization", f"Bearer {self.token}")
        if value is not None:
            body = json.dumps(value)
            headers.setdefault("Content-Type", "application/json")
        self.connection.request(method, target, body, headers)
        reply = self.connection.getresponse()
        reply.content = reply.read()
        return reply

    def json(self, *words, status=200, **options):
        reply = self(*words, **options)
        assert reply.status == status, reply.content
        return json.loads(reply.content)

    def put(self, name, data, query="", **headers):
        return self.json("POST", "/upload/storage/v1/b/bucket-1/o?uploadType=media&name="
                         + quote(name, safe="") + query, data, **headers)


@pytest.fixture
def call(gcs):
    return Caller(gcs)


def reason(reply):
    error = json.loads(reply.content)["error"]
    return reply.status, error["errors"][0]["reason"]


@needs_node
def test_client_uploads_and_downloads(gcs, bucket):
    told = node(gcs, """
        const b = bucket('bucket-1'), large = Buffer.alloc(1000001, 'abc');
        await b.file('a/ü x%/1').save('hello', { resumable: false, contentType: 'text/plain',
          metadata: { metadata: { k: 'v' } } });
        await b.file('empty').save('', { resumable: false });
        await b.file('one').save(large, { resumable: true });
        await b.file('many').save(large, { resumable: true, chunkSize: 262144 });
        const [got] = await b.file('many').download({ validation: 'crc32c' });
        const [some] = await b.file('many').download({ start: 10, end: 19 });
        const [about] = await b.file('a/ü x%/1').getMetadata();
        return { same: got.equals(large), some: some.toString(), about };
    """)
    assert told["same"] and told["some"] == "bcabcabcab"
    about = told["about"]
    assert (about["size"], about["contentType"], about["metadata"]) == (
        "5", "text/plain", {"k": "v"})
    assert bucket.live("one").data == bucket.live("many").data == (b"abc" * 333334)[:1000001]
    assert bucket.live("empty").data == b""
    assert gcs.count("PUT", "upload_id=") == 1 + 4


@needs_node
def test_client_lists(gcs, bucket):
    gcs.page_limit, gcs.empty_pages = 2, True
    told = node(gcs, """
        const b = bucket('bucket-1');
        for (const name of ['a/1', 'a/2', 'b/1', 'c', 'd', 'e\U0001F600', 'e\uFFFF'])
          await b.file(name).save(name, { resumable: false });
        const names = ([files]) => files.map((file) => file.name);
        const prefixes = [];
        let query = { delimiter: '/' };
        while (query) {
          const [, next, reply] = await b.getFiles({ ...query, autoPaginate: false });
          prefixes.push(...(reply.prefixes || []));
          query = next;
        }
        return { all: names(await b.getFiles()), a: names(await b.getFiles({ prefix: 'a/' })),
          from: names(await b.getFiles({ startOffset: 'b/', endOffset: 'd' })), prefixes };
    """)
    # In the order of their bytes, which is not that of JavaScript's texts.
    assert told["all"] == ["a/1", "a/2", "b/1", "c", "d", "e\uffff", "e\U0001F600"]
    assert told["a"] == ["a/1", "a/2"]
    assert told["from"] == ["b/1", "c"]
    assert told["prefixes"] == ["a/", "b/"]


@needs_node
def test_client_copies_changes_and_removes(gcs, bucket):
    gcs.rewrite_bytes_per_call = MIB
    told = node(gcs, """
        const b = bucket('bucket-1'), codes = [];
        const fails = async (call) => {
          try { await call; codes.push('no error'); } catch (error) { codes.push(error.code); }
        };
        await storage.createBucket('bucket-2');
        const file = b.file('source');
        await file.save(Buffer.alloc(5 << 20, 'x'), { resumable: false,
          metadata: { metadata: { k: 'v' } } });
        await file.copy(bucket('bucket-2').file('copy'));
        await file.setMetadata({ metadata: { k: null, other: '1' } });
        await fails(file.save('x', { resumable: false,
          preconditionOpts: { ifGenerationMatch: 0 } }));
        await fails(b.file('none').download());
        await fails(file.delete({ ifGenerationMatch: 1 }));
        await file.delete({ ifGenerationMatch: file.metadata.generation });
        await fails(file.getMetadata());
        const [about] = await bucket('bucket-2').file('copy').getMetadata();
        return { codes, copied: about.metadata, exists: await b.exists(),
          buckets: (await storage.getBuckets())[0].map((one) => one.name) };
    """)
    assert told["codes"] == [412, 404, 412, 404]
    assert told["copied"] == {"k": "v"} and told["exists"] == [True]
    assert told["buckets"] == ["bucket-1", "bucket-2"]
    assert gcs.count("POST", "/rewriteTo/") == 5
    # The client repeats the token in the body, where the service takes no notice of it.
    assert len(gcs.mistakes) == 4 and all("no 'token'" in what for what in gcs.mistakes)
    gcs.mistakes.clear()


@needs_node
def test_client_survives_faults(gcs, bucket):
    gcs.rules.add(method="POST", status=503, times=1)
    gcs.rules.add(method="PUT", target="upload_id=", cut_request_body_bytes=600000, skip=1)
    gcs.rules.add(method="GET", status=429, headers={"Retry-After": "0"}, times=1)
    told = node(gcs, """
        const file = bucket('bucket-1').file('x'), large = Buffer.alloc(1 << 21, 'abc');
        await file.save(large, { resumable: true, chunkSize: 1 << 20 });
        return (await file.download())[0].equals(large);
    """)
    assert told is True and gcs.rules.used() == 3


def test_tokens_of_a_service_account_and_a_user(gcs, tmp_path, call):
    requests = pytest.importorskip("google.auth.transport.requests")
    from google.oauth2 import credentials, service_account
    key_file = tmp_path / "key.json"
    key_file.write_text(json.dumps(gcs.tokens.service_account()))
    scopes = ["https://www.googleapis.com/auth/devstorage.read_write"]
    mover = service_account.Credentials.from_service_account_file(str(key_file), scopes=scopes)
    user = gcs.tokens.authorized_user()
    person = credentials.Credentials(None, **{name: user[name] for name in (
        "refresh_token", "token_uri", "client_id", "client_secret")})
    for one in (mover, person):
        one.refresh(requests.Request())
        call.token = one.token
        assert call("GET", "/storage/v1/b/bucket-1").status == 200
    assert 3500 < (mover.expiry.timestamp() - time.mktime(time.gmtime())) < 3700

    other_key = dict(gcs.tokens.service_account(), client_email="nobody@project-1")
    stranger = service_account.Credentials.from_service_account_info(other_key, scopes=scopes)
    with pytest.raises(Exception, match="account not found"):
        stranger.refresh(requests.Request())
    gcs.tokens.expire()
    assert reason(call("GET", "/storage/v1/b/bucket-1")) == (401, "authError")


def test_assertions_are_checked(gcs, tmp_path):
    """One that another key has signed is refused."""
    requests = pytest.importorskip("google.auth.transport.requests")
    from google.oauth2 import service_account
    made = subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt",
                           "rsa_keygen_bits:2048"], check=True, capture_output=True, text=True)
    forged = dict(gcs.tokens.service_account(), private_key=made.stdout)
    forger = service_account.Credentials.from_service_account_info(
        forged, scopes=["https://www.googleapis.com/auth/cloud-platform"])
    with pytest.raises(Exception, match="Invalid JWT Signature"):
        forger.refresh(requests.Request())


@needs_node
def test_exchange_and_impersonation(gcs, tmp_path, call):
    subject = tmp_path / "token"
    subject.write_text(gcs.tokens.SUBJECT_TOKEN)
    source = {"file": str(subject)}
    keys = {"bare": gcs.tokens.external_account(source),
            "as_account": gcs.tokens.external_account(source, impersonated=True)}
    told = node(gcs, f"""
        const tokens = {{}};
        for (const [name, key] of Object.entries({json.dumps(keys)})) {{
          const client = auth.ExternalAccountClient.fromJSON(key);
          client.scopes = ['https://www.googleapis.com/auth/cloud-platform'];
          tokens[name] = (await client.getAccessToken()).token;
        }}
        return tokens;
    """)
    for call.token in told.values():
        assert call("GET", "/storage/v1/b/bucket-1").status == 200
    assert told["bare"] != told["as_account"]
    assert gcs.count("POST", ":generateAccessToken$") == 1
    path = gcs.tokens.impersonation_url.removeprefix(gcs.endpoint)
    assert call("POST", path, value={"scope": []}).status == 400
    assert call("POST", path, Authorization="Bearer stale").status == 401


def test_metadata_server(gcs, call, monkeypatch):
    requests = pytest.importorskip("google.auth.transport.requests")
    monkeypatch.setenv("GCE_METADATA_ROOT", f"127.0.0.1:{gcs.port}")
    monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{gcs.port}")
    import importlib
    from google.auth.compute_engine import _metadata, credentials
    importlib.reload(_metadata)  # it reads the environment when it is loaded
    machine = credentials.Credentials()
    machine.refresh(requests.Request())
    call.token = machine.token
    assert call("GET", "/storage/v1/b/bucket-1").status == 200
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    assert call("GET", path).status == 403
    assert call("GET", path, Metadata_Flavor="Google").getheader("Metadata-Flavor") == "Google"


def test_session_of_chunks(gcs, bucket, call):
    """Offsets, probes, chunks of which only a part is kept, and sessions that are lost."""
    data = os.urandom(QUANTUM_BYTES * 3 + 5)
    begun = call("POST", "/upload/storage/v1/b/bucket-1/o?uploadType=resumable", value={
        "name": "a/b", "contentType": "text/x"}, X_Upload_Content_Length=str(len(data)))
    place = begun.getheader("Location").replace(gcs.endpoint, "")

    def chunk(start, end):
        reply = call("PUT", place, data[start:end],
                     Content_Range=f"bytes {start}-{end - 1}/{len(data)}")
        return reply.status, reply.getheader("Range")

    def probe():
        reply = call("PUT", place, b"", Content_Range=f"bytes */{len(data)}")
        return reply.status, reply.getheader("Range")

    assert probe() == (308, None)
    gcs.uploads.chunk_keeps_bytes = QUANTUM_BYTES
    assert chunk(0, QUANTUM_BYTES * 2) == (308, f"bytes=0-{QUANTUM_BYTES - 1}")
    gcs.uploads.chunk_keeps_bytes = None
    assert chunk(QUANTUM_BYTES * 2, len(data))[0] == 400  # there is a gap before it
    assert probe() == (308, f"bytes=0-{QUANTUM_BYTES - 1}")
    assert chunk(0, QUANTUM_BYTES * 2) == (308, f"bytes=0-{QUANTUM_BYTES * 2 - 1}")  # an overlap
    assert chunk(QUANTUM_BYTES * 2, len(data))[0] == 200
    assert probe()[0] == 200  # again and again
    assert bucket.live("a/b").data == data
    assert bucket.live("a/b").fields["contentType"] == "text/x"

    gcs.uploads.lost_sessions = 1
    assert [probe()[0], probe()[0]] == [410, 410]


def test_interrupted_chunk_keeps_what_arrived(gcs, bucket, call):
    begun = call("POST", "/upload/storage/v1/b/bucket-1/o?uploadType=resumable&name=x", b"")
    place = begun.getheader("Location").replace(gcs.endpoint, "")
    gcs.rules.add(method="PUT", cut_request_body_bytes=QUANTUM_BYTES + 1000)
    with pytest.raises((http.client.HTTPException, OSError)):
        call("PUT", place, bytes(MIB), Content_Range=f"bytes 0-{MIB - 1}/{MIB}")
    call.connection.close()
    reply = call("PUT", place, b"", Content_Range="bytes */*")
    assert (reply.status, reply.getheader("Range")) == (308, f"bytes=0-{QUANTUM_BYTES - 1}")
    reply = call("PUT", place, bytes(MIB - QUANTUM_BYTES),
                 Content_Range=f"bytes {QUANTUM_BYTES}-{MIB - 1}/{MIB}")
    assert reply.status == 200 and bucket.live("x").data == bytes(MIB)
    assert call("DELETE", place).status == 499
    assert call("PUT", place, b"", Content_Range="bytes */*").status == 410


def test_checksums(gcs, bucket, call):
    data = b"some text"
    sum32 = base64.b64encode(crc32c(data).to_bytes(4, "big")).decode()
    stored = call.put("x", data, X_Goog_Hash=f"crc32c={sum32}")
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    assert (stored["crc32c"], stored["md5Hash"]) == (sum32, md5)
    reply = call("POST", "/upload/storage/v1/b/bucket-1/o?uploadType=media&name=y", data,
                 X_Goog_Hash="crc32c=AAAAAA==")
    assert reason(reply) == (400, "invalid") and not bucket.live("y")
    down = call("GET", "/storage/v1/b/bucket-1/o/x?alt=media", Range="bytes=5-")
    assert (down.status, down.content) == (206, b"text")
    assert down.getheader("x-goog-hash") == f"crc32c={sum32},md5={md5}"
    assert call("GET", "/storage/v1/b/bucket-1/o/x?alt=media", Range="bytes=9-").status == 416


def test_generations(gcs, bucket, call):
    bucket.fields["versioning"] = {"enabled": True}
    first, second = (int(call.put("x", text)["generation"]) for text in (b"1", b"2"))
    assert first < second
    place = "/storage/v1/b/bucket-1/o"
    listed = call.json("GET", f"{place}?versions=true&fields=items(name,generation)")["items"]
    assert listed == [{"name": "x", "generation": str(first)}, {"name": "x",
                                                                "generation": str(second)}]
    assert call("GET", f"{place}/x?alt=media&generation={first}").content == b"1"
    assert call("GET", f"{place}/x?ifGenerationNotMatch={second}").status == 304
    assert reason(call("GET", f"{place}/x?ifGenerationMatch={first}")) == (412, "conditionNotMet")
    rewrite = f"{place}/x/rewriteTo/b/bucket-1/o/y?ifSourceGenerationMatch="
    assert call("POST", f"{rewrite}{first}", value={}).status == 412
    assert call("POST", f"{rewrite}{second}&ifGenerationMatch=0", value={}).status == 200
    assert call("POST", f"{rewrite}{second}&ifGenerationMatch=0", value={}).status == 412
    assert call("DELETE", f"{place}/x").status == 204
    assert call("GET", f"{place}/x").status == 404
    assert call("GET", f"{place}/x?alt=media&generation={second}").content == b"2"
    assert call("DELETE", f"{place}/x?generation={second}").status == 204
    assert call("GET", f"{place}/x?generation={second}").status == 404


def test_rewrites_in_several_calls(gcs, bucket, call):
    call.put("x", bytes(3 * MIB))
    place = "/storage/v1/b/bucket-1/o/x/rewriteTo/b/bucket-1/o/y"
    begun = call.json("POST", f"{place}?maxBytesRewrittenPerCall={MIB}", value={})
    assert (begun["done"], begun["totalBytesRewritten"], begun["objectSize"]) == (
        False, str(MIB), str(3 * MIB))
    token = quote(begun["rewriteToken"], safe="")
    assert call("POST", f"{place}?maxBytesRewrittenPerCall={MIB * 2}&rewriteToken={token}",
                value={}).status == 400
    more = f"{place}?maxBytesRewrittenPerCall={MIB}&rewriteToken={token}"
    assert not call.json("POST", more, value={})["done"]
    assert call.json("POST", more, value={})["resource"]["size"] == str(3 * MIB)
    assert call("POST", more, value={}).status == 400
    changed = call.json("POST", place, value={"storageClass": "NEARLINE"})["resource"]
    assert changed["storageClass"] == "NEARLINE"


def test_packed_content_is_unpacked_for_who_does_not_take_it(gcs, bucket, call):
    packed = gzip.compress(b"text")
    call.put("x", packed, "&contentEncoding=gzip")
    place = "/storage/v1/b/bucket-1/o/x?alt=media"
    assert call("GET", place).content == b"text"
    as_stored = call("GET", place, Accept_Encoding="gzip")
    assert as_stored.content == packed
    assert as_stored.getheader("x-goog-stored-content-length") == str(len(packed))


def test_batches(gcs, bucket, call):
    for name in ("a/1", "b"):
        call.put(name, b"x")
    gcs.rules.add(method="DELETE", target="/o/b$", status=503)
    wanted = ["DELETE /storage/v1/b/bucket-1/o/a%2F1", "DELETE /storage/v1/b/bucket-1/o/none",
              "DELETE /storage/v1/b/bucket-1/o/b"]
    body = "".join(f"--line\r\nContent-Type: application/http\r\nContent-ID: <{number}>\r\n\r\n"
                   f"{line} HTTP/1.1\r\n\r\n\r\n" for number, line in enumerate(wanted))
    reply = call("POST", "/batch/storage/v1", body + "--line--\r\n",
                 Content_Type="multipart/mixed; boundary=line")
    boundary = reply.getheader("Content-Type").partition("boundary=")[2]
    parts = reply.content.decode().split(f"--{boundary}")[1:-1]
    assert [part.split("HTTP/1.1 ")[1][:3] for part in parts] == ["204", "404", "503"]
    assert [f"Content-ID: <response-{number}>" in part for number, part in enumerate(parts)] == [
        True] * 3
    assert bucket.names == ["b"]


def test_faults(gcs, bucket, call):
    for name in ("a", "b", "c"):
        call.put(name, b"text")
    place = "/storage/v1/b/bucket-1/o"
    gcs.rules.add(faults.truncated_pages())
    listed = call.json("GET", f"{place}?maxResults=2")
    assert len(listed["items"]) == 2 and "nextPageToken" not in listed
    assert "nextPageToken" in call.json("GET", f"{place}?maxResults=2")
    gcs.rules.add(faults.wrong_checksums(times=2))
    assert call("GET", f"{place}/a?alt=media").getheader("x-goog-hash").startswith("crc32c=AAAAAA")
    assert call.json("GET", f"{place}/a")["crc32c"] == "AAAAAA=="
    assert call.json("GET", f"{place}/a")["crc32c"] != "AAAAAA=="
    gcs.rules.add(status=429, headers={"Retry-After": "7"})
    reply = call("GET", place)
    assert (reply.status, reply.getheader("Retry-After")) == (429, "7")


def test_many_at_once(gcs, bucket):
    """Writers of one object with a condition: each generation is replaced by exactly one of them."""
    def write(number):
        call, won = Caller(gcs), 0
        for turn in range(20):
            reply = call("POST", "/upload/storage/v1/b/bucket-1/o?uploadType=media&name=x"
                         f"&ifGenerationMatch={generations[turn]}", f"{number}".encode())
            if reply.status == 200:
                generations[turn + 1] = json.loads(reply.content)["generation"]
                won += 1
            barrier.wait()
        return won

    generations, writers = {0: 0}, 8
    barrier = threading.Barrier(writers, timeout=30)
    with ThreadPoolExecutor(writers) as pool:
        assert sum(pool.map(write, range(writers))) == 20
    assert len({call.connection for call in gcs.calls}) == writers


def test_mistakes_are_kept(gcs, bucket, call):
    for method, target, value in (
            ("GET", "/storage/v1/b/bucket-1/o?prefx=a", None),
            ("GET", "/storage/v1/b/bucket-1/o?maxResults=many", None),
            ("GET", "/storage/v1/b/bucket-1/o/a/b", None),
            ("PUT", "/storage/v1/b/bucket-1/o", {}),
            ("PATCH", "/storage/v1/b/bucket-1/o/x", {"contenttype": "a"}),
            ("PATCH", "/storage/v1/b/bucket-1/o/x", {"metadata": {"k": 1}}),
            ("POST", "/upload/storage/v1/b/bucket-1/o?uploadType=media", None)):
        reply = call(method, target, value=value)
        assert reply.status in (400, 404), target
    assert len(gcs.mistakes) == 7
    assert call.json("GET", "/_mistakes") == gcs.mistakes
    gcs.mistakes.clear()


def test_runs_alone(tmp_path):
    program = Path(JUDGE).with_name("gcs.py")
    process = subprocess.Popen(
        ["/usr/bin/python3", "-B", program, "--until-eof", "--bucket", "b", "--credentials",
         tmp_path / "key.json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    endpoint = process.stdout.readline().strip()
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"))
    connection.request("GET", "/storage/v1/b/b")
    assert connection.getresponse().status == 401
    assert json.loads((tmp_path / "key.json").read_text())["token_uri"] == f"{endpoint}/token"
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
