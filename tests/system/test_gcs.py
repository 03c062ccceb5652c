"""Google Cloud Storage by the command line, judged from outside: what run-core writes Google's own
client reads, and the other way round, on a stand-in that holds each request against Google's
description of its API."""

import hashlib
import json
import os
import subprocess

import pytest

from conftest import BUILD, SOURCE
from storage_probe import Failed, StorageProbe

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


# Buckets as a whole


DELETE = {"action": {"type": "Delete"}, "condition": {"age": 14}}
ABORT = {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 14}}
OTHERS = [
    {"action": {"type": "Delete"}, "condition": {"age": 3, "matchesPrefix": ["logs/", "ä\"\\"]}},
    {"action": {"type": "SetStorageClass", "storageClass": "NEARLINE"}, "condition": {"age": 1}},
    {"action": {"type": "Delete"}, "condition": {"isLive": False, "numNewerVersions": 2}},
]


@pytest.fixture
def probe(gcs, tmp_path):
    """The storage layer, with a service account of the project that the stand-in knows."""
    key = tmp_path / "key.json"
    key.write_text(json.dumps(gcs.tokens.service_account()))
    with StorageProbe(BUILD, bucket="lake", endpoint=gcs.endpoint, service_account_file=key) as made:
        yield made


def expire(probe, days):
    probe.call("expire_bucket", uri="gs://lake/", days=days)


def failure(call, *words, **fields):
    with pytest.raises(Failed) as failed:
        call(*words, **fields)
    return failed.value


def test_a_bucket_is_made(gcs, probe):
    assert probe.look_bucket("gs://lake/x")["exists"] == "no"
    for name in ("encrypt_bucket", "expire_bucket"):
        assert failure(probe.call, name, uri="gs://lake/", days=1).code == "not_found"
    for _ in range(2):
        probe.call("create_bucket", uri="gs://lake/x/y")
    assert gcs.store.buckets["lake"].project == gcs.tokens.PROJECT
    found = probe.look_bucket("gs://lake/x")
    assert (found["name"], found["exists"]) == ("gs://lake", "yes")
    assert (found["encrypted"], found["encryption"]) == ("yes", "AES256")
    assert (found["expires"], found["days"], found["public"]) == ("no", 0, "no")
    probe.call("encrypt_bucket", uri="gs://lake/")


def test_a_name_that_is_taken(gcs, probe):
    gcs.store.make_bucket("lake", project="another")
    failed = failure(probe.call, "create_bucket", uri="gs://lake/")
    assert failed.code == "conflict" and "not available" in failed.message


def test_a_project_that_is_not_known(gcs, tmp_path):
    store = {"bucket": "lake", "endpoint": gcs.endpoint, "access_token": gcs.tokens.issue()}
    with StorageProbe(BUILD, env={"GOOGLE_CLOUD_PROJECT": ""}, **store) as probe:
        failed = failure(probe.call, "create_bucket", uri="gs://lake/")
        assert failed.code == "invalid" and "GOOGLE_CLOUD_PROJECT" in failed.message
    with StorageProbe(BUILD, env={"GOOGLE_CLOUD_PROJECT": "named-1"}, region="EUROPE-WEST4",
                      **store) as probe:
        probe.call("create_bucket", uri="gs://lake/")
    assert gcs.store.buckets["lake"].project == "named-1"
    assert gcs.store.buckets["lake"].fields["location"] == "EUROPE-WEST4"


def test_rules_of_others_stay(gcs, probe):
    bucket = gcs.store.make_bucket("lake", lifecycle={"rule": OTHERS}, labels={"team": "x"})
    assert probe.look_bucket("gs://lake/")["expires"] == "no"
    expire(probe, 14)
    assert bucket.fields["lifecycle"]["rule"] == [*OTHERS, DELETE, ABORT]
    assert bucket.fields["labels"] == {"team": "x", "run-core-expire": "14"}
    expire(probe, 14)
    assert gcs.count("PATCH", "/b/lake") == 1  # it was so already
    for days in (7, 30):
        expire(probe, days)
        assert probe.look_bucket("gs://lake/")["days"] == days
    rules = bucket.fields["lifecycle"]["rule"]
    assert rules[:3] == OTHERS and len(rules) == 5


def test_a_rule_of_the_user_s_own_counts(gcs, probe):
    """And stays, since no label says that it is ours."""
    bucket = gcs.store.make_bucket("lake", lifecycle={"rule": [DELETE]})
    assert probe.look_bucket("gs://lake/")["days"] == 14
    expire(probe, 20)
    assert DELETE in bucket.fields["lifecycle"]["rule"]
    assert probe.look_bucket("gs://lake/")["days"] == 14


def test_a_rule_like_ours_stays_when_ours_goes(gcs, probe):
    bucket = gcs.store.make_bucket("lake", lifecycle={"rule": [DELETE]})
    expire(probe, 14)
    assert bucket.fields["lifecycle"]["rule"] == [DELETE, DELETE, ABORT]
    expire(probe, 20)
    rules = bucket.fields["lifecycle"]["rule"]
    assert rules.count(DELETE) == 1 and ABORT not in rules and len(rules) == 3


def test_a_bucket_of_which_no_version_is_told_is_not_changed(gcs, probe):
    """The rules of others could be lost: nothing would keep two changes apart."""
    gcs.store.make_bucket("lake")
    gcs.rules.add(target="/b/lake[?]", status=200, body='{"name":"lake"}', times=None)
    assert failure(expire, probe, 14).code == "corrupt"
    assert gcs.count("PATCH", "/b/lake") == 0


def test_somebody_else_changes_the_bucket_meanwhile(gcs, probe):
    bucket = gcs.store.make_bucket("lake")
    real, changes = bucket.patch, []

    def patch(fields):
        changes.append(fields)
        real(fields)

    found = bucket.resource

    def resource():
        told = found()
        if len(others) > 0:
            real({"lifecycle": {"rule": others.pop()}})
        return told

    bucket.patch, bucket.resource = patch, resource
    others = [OTHERS]
    expire(probe, 14)
    assert bucket.fields["lifecycle"]["rule"] == [*OTHERS, DELETE, ABORT] and len(changes) == 1
    others = [OTHERS[:1 + round % 2] for round in range(20)]
    assert failure(expire, probe, 7).code == "conflict"


def test_faults_at_every_request_for_a_bucket(gcs, probe):
    for number, fault in enumerate((dict(status=500), dict(status=503), dict(lost=True),
                                    dict(cut_reply_bytes=0, reset=True),
                                    dict(cut_reply_body_bytes=10), dict(status=429))):
        def fail(skip, fault=fault):
            gcs.rules.clear()
            gcs.rules.add(target="/storage/v1/b", skip=skip, **fault)
        gcs.store.buckets.pop("lake", None)
        fail(0)
        probe.call("create_bucket", uri="gs://lake/")
        for skip in range(3):
            fail(skip)
            found = probe.look_bucket("gs://lake/")
            assert (found["exists"], found["encrypted"], found["public"]) == ("yes", "yes", "no")
        for skip in range(2):
            fail(skip)
            days = 10 + 2 * number + skip
            expire(probe, days)
            assert probe.look_bucket("gs://lake/")["days"] == days
    gcs.rules.clear()
    for target in ("/b/lake[?]", "/iam", "/defaultObjectAcl"):
        gcs.rules.clear()
        gcs.rules.add(target=target, status=503, times=None)
        assert failure(probe.look_bucket, "gs://lake/").code == "unavailable"
        gcs.rules.clear()
        gcs.rules.add(target=target, status=200, body="<html>", times=None)
        assert failure(probe.look_bucket, "gs://lake/").code == "corrupt"


@pytest.mark.parametrize("access, bindings, default_acl, answer, note", [
    ({}, [], [], "no", ""),
    ({}, [("roles/storage.objectViewer", ["user:a@b", "allUsers"])], [], "yes",
     "it gives roles/storage.objectViewer to everybody"),
    ({}, [("roles/storage.legacyBucketReader", ["allAuthenticatedUsers"])], [], "yes",
     "it gives roles/storage.legacyBucketReader to everybody with an account"),
    ({"publicAccessPrevention": "enforced"},
     [("roles/storage.objectViewer", ["allUsers"])], [], "no", ""),
    ({"publicAccessPrevention": "inherited"}, [], [("allUsers", "READER")], "yes",
     "its default object ACL opens new objects to everybody"),
    ({"uniformBucketLevelAccess": {"enabled": False}}, [], [("allAuthenticatedUsers", "READER")],
     "yes", "its default object ACL opens new objects to everybody with an account"),
    ({"uniformBucketLevelAccess": {"enabled": True}}, [], [("allUsers", "READER")], "no", ""),
    ({}, [("roles/storage.admin", ["projectOwner:x"])], [("user-a@b", "READER")], "no", ""),
])
def test_who_gets_at_a_bucket(gcs, probe, access, bindings, default_acl, answer, note):
    bucket = gcs.store.make_bucket("lake", iamConfiguration=access)
    bucket.bindings = [{"role": role, "members": members} for role, members in bindings]
    bucket.default_acl = default_acl
    found = probe.look_bucket("gs://lake/")
    assert (found["public"], found["public_note"]) == (answer, note)


def forbidden(target, what):
    text = f"a@b does not have {what} access to the Google Cloud Storage bucket."
    return dict(target=target, status=403, times=None, body=json.dumps(
        {"error": {"code": 403, "message": text,
                   "errors": [{"reason": "forbidden", "message": text}]}}))


def test_what_may_not_be_asked(gcs, probe):
    bucket = gcs.store.make_bucket("lake")
    gcs.rules.add(**forbidden("/iam", "storage.buckets.getIamPolicy"))
    found = probe.look_bucket("gs://lake/")
    assert (found["public"], found["public_note"]) == ("unknown", "we are not allowed to ask (HTTP 403)")
    bucket.default_acl = [("allUsers", "READER")]
    assert probe.look_bucket("gs://lake/")["public"] == "yes"
    gcs.rules.clear()
    gcs.rules.add(target="/iam", status=404, times=None)
    bucket.default_acl = []
    found = probe.look_bucket("gs://lake/")
    assert found["public"] == "unknown" and "does not know" in found["public_note"]
    gcs.rules.clear()
    gcs.rules.add(**forbidden("/b/lake", "storage.buckets.get"))
    failed = failure(probe.look_bucket, "gs://lake/")
    assert failed.code == "denied" and "roles/storage.admin" in failed.message


def test_a_key_of_one_s_own(gcs, probe):
    gcs.store.make_bucket("lake", encryption={"defaultKmsKeyName": "projects/p/locations/l/keys/k"})
    assert probe.look_bucket("gs://lake/")["encryption"] == "KMS"


def test_a_bucket_is_removed(gcs, probe):
    bucket = gcs.store.make_bucket("lake")
    probe.put("gs://lake/x", b"x")
    failed = failure(probe.call, "remove_bucket", uri="gs://lake")
    assert failed.code == "conflict" and "not empty" in failed.message
    assert bucket is gcs.store.buckets["lake"]
    probe.remove("gs://lake/x")
    gcs.rules.add(method="DELETE", cut_reply_bytes=0)  # it is done, but nobody hears of it
    probe.call("remove_bucket", uri="gs://lake")
    assert "lake" not in gcs.store.buckets
    assert failure(probe.call, "remove_bucket", uri="gs://lake").code == "not_found"


@needs_node
def test_google_s_client_agrees_about_buckets(gcs, probe):
    """What it sets is seen, and what is set it sees."""
    probe.call("create_bucket", uri="gs://lake/")
    node(gcs, """
        await bucket('lake').addLifecycleRule({ action: { type: 'Delete' },
          condition: { age: 3, matchesPrefix: ['logs/'] } });
    """)
    expire(probe, 14)
    lifecycle = node(gcs, "return (await bucket('lake').getMetadata())[0].lifecycle;")
    assert lifecycle["rule"] == [{"action": {"type": "Delete"},
                                  "condition": {"age": 3, "matchesPrefix": ["logs/"]}},
                                 DELETE, ABORT]
    node(gcs, """
        await bucket('lake').iam.setPolicy({ bindings: [
          { role: 'roles/storage.objectViewer', members: ['allUsers'] }] });
    """)
    assert probe.look_bucket("gs://lake/")["public"] == "yes"
    node(gcs, """
        await bucket('lake').setMetadata({ iamConfiguration: { publicAccessPrevention: 'enforced' } });
    """)
    assert probe.look_bucket("gs://lake/")["public"] == "no"
