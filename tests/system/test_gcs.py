"""Google Cloud Storage by the command line, judged from outside: what run-core writes Google's own
client reads, and the other way round, on a stand-in that holds each request against Google's
description of its API."""

import hashlib
import json
import os
import subprocess

import pytest

from conftest import SOURCE

JUDGE = SOURCE / "tests" / "support" / "gcs_judge.js"
CLIENT = os.environ.get("RUN_CORE_GCS_JUDGE", "")
MIB = 1 << 20
NAMES = ["plain.txt", "with blank", "pct%20enc", "a+b&c=d", "#hash?query", "deep/er/\u00e4\u4e2d\U0001f980",
         "quote'\"`", "..dots", "tr\u00e4iling/"]

needs_node = pytest.mark.skipif(not CLIENT, reason="RUN_CORE_GCS_JUDGE is not set")


def node(gcs, program):
    """What a program for Google's client returns."""
    environment = dict(os.environ, GCS_ENDPOINT=gcs.endpoint, GCS_TOKEN=gcs.tokens.issue(3600))
    done = subprocess.run(["node", str(JUDGE)], input=program, capture_output=True, text=True,
                          env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def store(gcs, world):
    """The bucket 'lake', which the world's configuration knows with a service account's key."""
    key = world.root / "key.json"
    key.write_text(json.dumps(gcs.tokens.service_account()))
    world.config(f"""
core: {{http: {{backoff: 10ms, max_backoff: 100ms}}}}
storage:
  google: {{bucket: lake, endpoint: "{gcs.endpoint}", service_account_file: {key}, part_size: 256KiB}}
""")
    world.environment["NO_GCE_CHECK"] = "true"
    return gcs.store.make_bucket("lake")


def storage(world, *words, **options):
    result = world.run("storage", *words, **options)
    assert result.status == 0, result.stderr
    return result


def digests(contents):
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


@needs_node
def test_google_s_client_reads_what_is_written(gcs, world, store):
    """Small and large objects, names of every kind, attributes."""
    folder = world.root / "in"
    contents = {name: os.urandom(index * 1000) for index, name in enumerate(NAMES) if name[-1] != "/"}
    contents["large"] = os.urandom(3 * MIB + 1)
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    storage(world, "cp", "--recursive", "--content-type", "text/x-test", "--metadata", "who=me",
            f"{folder}/", "gs://lake/in/")
    read = node(gcs, """
        const crypto = process.mainModule.require('crypto');
        const [files] = await bucket('lake').getFiles({ prefix: 'in/' });
        const found = {};
        for (const file of files) {
          const [data] = await file.download({ validation: 'crc32c' });
          const [about] = await file.getMetadata();
          found[file.name.slice(3)] = [crypto.createHash('sha256').update(data).digest('hex'),
            about.contentType, about.metadata.who];
        }
        return found;
    """)
    assert read == {name: [digest, "text/x-test", "me"]
                    for name, digest in digests(contents).items()}


@needs_node
def test_what_google_s_client_writes_is_read(gcs, world, store):
    node(gcs, f"""
        for (const name of {json.dumps(NAMES)})
          await bucket('lake').file('out/' + name).save('content of ' + name, {{ resumable: false }});
        await bucket('lake').file('out/large').save(Buffer.alloc({2 * MIB + 5}, 'x'),
          {{ resumable: true, contentType: 'a/b', metadata: {{ metadata: {{ Who: 'them' }} }} }});
        await bucket('lake').file('out/packed').save('unpacked', {{ gzip: true }});
    """)
    listed = storage(world, "ls", "--recursive", "--json", "gs://lake/out/").stdout
    for name in NAMES:
        assert storage(world, "cat", f"gs://lake/out/{name}").stdout == f"content of {name}"
    assert storage(world, "cat", "gs://lake/out/large").stdout == "x" * (2 * MIB + 5)
    for name in [*NAMES, "large", "packed"]:
        assert json.dumps(name, ensure_ascii=False)[1:-1] in listed
    # What is stored comes, not what it would be unpacked.
    packed = world.root / "packed.gz"
    storage(world, "cp", "gs://lake/out/packed", str(packed))
    assert packed.read_bytes()[:2] == b"\x1f\x8b"


@needs_node
def test_a_copy_and_a_move_stay_in_the_store(gcs, world, store):
    gcs.rewrite_bytes_per_call = MIB
    node(gcs, f"""
        await bucket('lake').file('from').save(Buffer.alloc({3 * MIB}, 'y'),
          {{ contentType: 'a/b', metadata: {{ metadata: {{ who: 'them' }} }} }});
    """)
    storage(world, "cp", "gs://lake/from", "gs://lake/to")
    storage(world, "mv", "gs://lake/from", "gs://lake/moved")
    assert gcs.count("POST", "/rewriteTo/") >= 6
    assert gcs.count("GET", "alt=media") == 0
    found = node(gcs, """
        const [files] = await bucket('lake').getFiles();
        return files.map((file) => [file.name, file.metadata.size, file.metadata.contentType,
          file.metadata.metadata.who]);
    """)
    assert found == [[name, str(3 * MIB), "a/b", "them"] for name in ("moved", "to")]


def test_the_keys_of_a_store_appear_nowhere(gcs, world, store):
    """In no log, however much is logged, be it that all fails."""
    key = json.loads((world.root / "key.json").read_text())["private_key"]
    gcs.tokens.lifetime_s = 3599
    (world.root / "x").write_text("x")
    said = ""
    for words in (["cp", "x", "gs://lake/x"], ["ls", "gs://lake/"], ["cat", "gs://lake/none"]):
        result = world.run("storage", *words, "--log-level", "debug")
        said += result.stdout + result.stderr
    assert gcs.tokens.valid
    for secret in [*gcs.tokens.valid, *key.strip().splitlines()[1:-1]]:
        assert secret not in said
    for call in gcs.calls:
        if "upload_id=" in call.target:
            assert call.target.partition("upload_id=")[2] not in said


def test_a_token_that_ends_in_the_middle_is_renewed(gcs, world, store):
    """All tokens are refused from some request on; nobody notices."""
    folder = world.root / "many"
    folder.mkdir()
    for index in range(40):
        (folder / f"{index}").write_bytes(os.urandom(300_000 if index % 10 == 0 else 10))
    expired = []
    handle = gcs.handle

    def expire_sometimes(request):
        if len(gcs.calls) in (20, 50) and len(gcs.calls) not in expired:
            expired.append(len(gcs.calls))
            gcs.tokens.expire()
        return handle(request)

    gcs.handle = expire_sometimes
    storage(world, "cp", "--recursive", f"{folder}/", "gs://lake/many/")
    assert expired
    assert {name: store.live(f"many/{name}").data for name in map(str, range(40))} == {
        path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_wrong_is_said(gcs, world, store):
    result = world.run("storage", "cat", "gs://lake/none")
    assert result.status == 1
    assert "gs://lake/none" in result.stderr and "HTTP 404" in result.stderr
    (world.root / "key.json").write_text(json.dumps(gcs.tokens.service_account(
        client_email="nobody@project-1.iam.gserviceaccount.com")))
    result = world.run("storage", "ls", "gs://lake/")
    assert result.status == 1
    assert "account not found" in result.stderr and "key.json" in result.stderr
    (world.root / "key.json").unlink()
    result = world.run("storage", "ls", "gs://lake/")
    assert result.status == 1
    assert "key.json" in result.stderr
