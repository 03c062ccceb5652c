"""The transfer between real stores: every pair of them, through a proxy that breaks requests, and
killed at any point. What is there in the end is judged from outside."""

import hashlib
import os
import random
import signal
import subprocess
import threading
import time

import pytest
from boto3.s3.transfer import TransferConfig
from conftest import BUILD, mounted
from storage_probe import StorageProbe

LARGE = os.urandom(1 << 20) * 19 + b"the rest"
OBJECTS = {
    "a": b"1",
    "empty": b"",
    "folder/b": b"22",
    "folder/deeper/\u00e4 \U0001f600+%20&": b"odd",
    "large": LARGE,
    "z": os.urandom(300_000),
}


class Store:
    """A place that the tests fill and read from outside."""

    def __init__(self, uri):
        self.uri = uri

    def fill(self, objects):
        for name, content in objects.items():
            self.put(name, content)


class Files(Store):
    def __init__(self, root):
        super().__init__(f"file://{root}/")
        self.root = root

    def put(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def objects(self):
        return {str(path.relative_to(self.root)): path.read_bytes()
                for path in self.root.rglob("*") if path.is_file()}


class S3(Store):
    def __init__(self, client, bucket, prefix=""):
        super().__init__(f"s3://{bucket}/{prefix}")
        self.client, self.bucket, self.prefix = client, bucket, prefix

    def put(self, name, content):
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=content,
                               ContentType="text/odd", Metadata={"owner": "ada"})

    def keys(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def objects(self):
        return {key[len(self.prefix):]:
                self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
                for key in self.keys()}

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])


class Google(Store):
    def __init__(self, server, bucket, prefix=""):
        super().__init__(f"gs://{bucket}/{prefix}")
        self.server, self.bucket, self.prefix = server, bucket, prefix

    def bucket_of(self):
        return self.server.store.buckets[self.bucket]

    def objects(self):
        bucket = self.bucket_of()
        return {name[len(self.prefix):]: bucket.live(name).data
                for name in list(bucket.names) if bucket.live(name)
                if name.startswith(self.prefix)}


def configure(world, ceph, bucket, gcs=None, endpoint=None):
    google = ""
    if gcs:
        google = f"""
          google: {{bucket: gbucket, endpoint: "{gcs.endpoint}",
                    access_token: "{gcs.tokens.issue()}"}}"""
    world.config(f"""
        storage:
          s3: {{bucket: {bucket}, endpoint: "{endpoint or ceph.endpoint}", region: {ceph.region},
                access_key_id: "{ceph.access_key}", secret_access_key: "{ceph.secret_key}"}}{google}
    """)


def settings(source, target, **more):
    given = {"source": source, "target": target, "quiet": "true", **more}
    return [word for name, value in given.items() for word in ("--set", f"{name}={value}")]


def move(world, source, target, **more):
    return world.run("mover", *settings(source, target, **more))


def digest(objects):
    """Of objects that are too large to be shown when they differ."""
    return {name: (len(data), hashlib.md5(data).hexdigest()) for name, data in objects.items()}


def test_every_pair_of_stores(world, ceph, bucket, gcs):
    configure(world, ceph, bucket, gcs)
    gcs.store.make_bucket("gbucket")
    s3 = ceph.s3()
    first = {"file": Files(world.root / "first"), "s3": S3(s3, bucket, "first/"),
             "gs": Google(gcs, "gbucket", "first/")}
    first["file"].fill(OBJECTS)
    first["s3"].fill(OBJECTS)
    result = move(world, first["file"].uri, first["gs"].uri)
    assert result.status == 0, result.stderr
    for source in first:
        for target in first:
            place = {"file": lambda name: Files(world.root / name),
                     "s3": lambda name: S3(s3, bucket, name + "/"),
                     "gs": lambda name: Google(gcs, "gbucket", name + "/")}[target](f"from-{source}")
            result = move(world, first[source].uri, place.uri)
            assert result.status == 0, f"{source} to {target}: {result.stderr}"
            assert f"objects={len(OBJECTS)} " in result.stdout
            assert digest(place.objects()) == digest(OBJECTS), f"{source} to {target}"
            again = move(world, first[source].uri, place.uri, when="different", extra="true")
            assert f"objects=0 bytes=0 skipped={len(OBJECTS)} removed=0" in again.stdout
    copied = s3.head_object(Bucket=bucket, Key="from-s3/z")
    assert copied["ContentType"] == "text/odd" and copied["Metadata"] == {"owner": "ada"}
    assert S3(s3, bucket).uploads() == []


@pytest.mark.parametrize("fault", [
    {"method": "GET", "cut_reply_body_bytes": 100_000, "times": 6, "skip": 1},
    {"method": "GET", "target": "large", "flip_reply_byte": 50_000, "times": 1},
    {"method": "GET", "status": 503, "share": 0.3},
    {"method": "GET", "bytes_per_s": 40_000_000},
], ids=["cut", "flip", "storm", "slow"])
def test_downloads_through_faults(world, ceph, bucket, proxy, fault):
    configure(world, ceph, bucket, endpoint=proxy.endpoint)
    S3(ceph.s3(), bucket, "in/").fill(OBJECTS)
    proxy.rules.add(**fault)
    target = Files(world.root / "out")
    result = move(world, f"s3://{bucket}/in/", target.uri)
    assert result.status == 0, result.stderr
    assert digest(target.objects()) == digest(OBJECTS)


@pytest.mark.parametrize("part_mib", [5, 8])
def test_garbled_downloads_of_what_was_uploaded_in_parts(world, ceph, bucket, proxy, part_mib):
    configure(world, ceph, bucket, endpoint=proxy.endpoint)
    source = world.root / "large"
    source.write_bytes(LARGE)
    ceph.s3().upload_file(str(source), bucket, "in/large", Config=TransferConfig(
        multipart_chunksize=part_mib << 20))
    proxy.rules.add(method="GET", target="large", flip_reply_byte=50_000, times=1)
    target = Files(world.root / "out")
    result = move(world, f"s3://{bucket}/in/", target.uri)
    assert result.status == 0, result.stderr
    assert digest(target.objects()) == digest({"large": LARGE})


def test_sources_that_are_replaced_meanwhile(world, ceph, bucket):
    configure(world, ceph, bucket)
    versions = {"large": [LARGE, LARGE[::-1]], "small": [b"first", b"second, longer"]}
    source, target = S3(ceph.s3(), bucket, "in/"), Files(world.root / "out")
    source.fill({name: contents[0] for name, contents in versions.items()})
    ended = threading.Event()

    def replace():
        turn = 0
        while not ended.wait(0.05):
            turn += 1
            source.fill({name: contents[turn % 2] for name, contents in versions.items()})

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for _ in range(4):
            result = move(world, source.uri, target.uri, going="true")
            assert result.status == 0 or "replaced" in result.text, result.stderr
            for name, content in target.objects().items():
                assert content in versions[name], f"{name} is of no version"
    finally:
        ended.set()
        thread.join()


def test_a_source_that_is_replaced_before_a_removal_is_repeated(world, ceph, bucket, proxy):
    """The server does not compare as it removes: it is asked again what is there."""
    configure(world, ceph, bucket, endpoint=proxy.endpoint)
    source, target = S3(ceph.s3(), bucket, "in/"), Files(world.root / "out")
    source.fill({f"{number:03}": b"first" for number in range(100)})
    proxy.rules.add(method="POST", target="delete", status=503, times=1)
    ended = threading.Event()

    def replace():
        while not ended.is_set() and not proxy.count(method="POST", target="delete"):
            time.sleep(0.001)
        source.put("017", b"second")

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        result = move(world, source.uri, target.uri, going="true", move="true")
    finally:
        ended.set()
        thread.join()
    assert result.status == 0 or "replaced" in result.text, result.stderr
    assert b"second" in [source.objects().get("017"), target.objects().get("017")]


@pytest.mark.parametrize("encrypted", [None, "aws:kms"])
def test_a_copy_of_the_server_that_is_not_the_same(world, ceph, bucket, proxy, encrypted):
    """Its tag tells where it is the MD5 of the content, which of what KMS encrypts it is not. What is
    damaged is not left there, where the next attempt would take it for an older object."""
    configure(world, ceph, bucket, endpoint=proxy.endpoint)
    source, target = (S3(ceph.s3(), bucket, prefix) for prefix in ("in/", "out/"))
    source.fill({"a": b"a", "b": b"b"})
    other = hashlib.md5(b"other").hexdigest()
    proxy.rules.add(method="PUT", target="/out/b", times=None,
                    replace=[["(?<=[^0-9a-f])[0-9a-f]{32}(?=[^0-9a-f])", other]])
    proxy.rules.add(method="HEAD", target="/out/b", times=None,
                    set_headers={"ETag": f'"{other}"'})
    if encrypted:
        proxy.rules.add(method="HEAD", target="/in/b", times=None,
                        set_headers={"x-amz-server-side-encryption": encrypted})
    result = move(world, source.uri, target.uri, going="true", move="true")
    assert ("its entity tag is" in result.text) == (not encrypted), result.stderr
    assert source.objects() == ({} if encrypted else {"b": b"b"})
    assert set(target.objects()) == ({"a", "b"} if encrypted else {"a"})


@pytest.mark.parametrize("fault", [
    {"method": "PUT", "cut_request_body_bytes": 5000, "times": 5},
    {"method": "PUT", "status": 503, "share": 0.3},
    {"method": "PUT", "flip_request_byte": 200, "times": 2},
    {"method": "POST", "status": 500, "times": 2},
], ids=["cut", "storm", "flip", "complete"])
def test_uploads_through_faults(world, ceph, bucket, proxy, fault):
    configure(world, ceph, bucket, endpoint=proxy.endpoint)
    source, target = Files(world.root / "in"), S3(ceph.s3(), bucket, "out/")
    source.fill(OBJECTS)
    proxy.rules.add(**fault)
    result = move(world, source.uri, target.uri)
    assert result.status == 0, result.stderr
    assert digest(target.objects()) == digest(OBJECTS)
    assert target.uploads() == []


def test_a_store_that_stays_broken_is_a_failure(world, ceph, bucket, proxy):
    configure(world, ceph, bucket, endpoint=proxy.endpoint)
    S3(ceph.s3(), bucket, "in/").put("a", b"1")
    proxy.rules.add(method="GET", target="in/a", status=403)
    result = move(world, f"s3://{bucket}/in/", f"file://{world.root}/out/", going="true")
    assert result.status == 1
    assert f"copy 's3://{bucket}/in/a' to 'file://{world.root}/out/a'" in result.text
    assert Files(world.root / "out").objects() == {}


def test_killed_at_any_point_and_run_again(world, ceph, bucket):
    configure(world, ceph, bucket)
    source, target = Files(world.root / "in"), S3(ceph.s3(), bucket, "out/")
    source.fill({f"{i:04}": f"{i}".encode() * 50 for i in range(600)} | {"0300-large": LARGE})
    before = digest(source.objects())
    words = settings(source.uri, target.uri, token=f"file://{world.root}/token", move="true")
    moment = random.Random(4)
    for _ in range(4):
        process = world.start("mover", *words, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        time.sleep(moment.uniform(0.1, 0.7))
        process.send_signal(signal.SIGKILL)
        process.wait()
        # Nothing is ever missing: what has left one side is whole on the other.
        both = digest(target.objects()) | digest(source.objects())
        assert both == before
    result = world.run("mover", *words)
    assert result.status == 0, result.stderr
    assert digest(target.objects()) == before
    assert source.objects() == {}
    with StorageProbe(BUILD, bucket=bucket, endpoint=ceph.endpoint, region=ceph.region,
                      access_key_id=ceph.access_key,
                      secret_access_key=ceph.secret_key) as probe:
        probe.call("sweep", uri=target.uri)
    assert target.uploads() == []


def test_resumes_where_it_was(world, ceph, bucket):
    configure(world, ceph, bucket)
    source, target = Files(world.root / "in"), S3(ceph.s3(), bucket, "out/")
    source.fill({f"{i:03}": b"x" for i in range(20)})
    token = f"file://{world.root}/token"
    assert move(world, source.uri, target.uri, token=token).status == 0
    source.put("999", b"new")
    result = move(world, source.uri, target.uri, token=token)
    assert "objects=1 bytes=3 " in result.stdout
    assert len(target.keys()) == 21


def test_a_full_disk_leaves_nothing_half(world, ceph, bucket):
    folder = world.root / "small"
    folder.mkdir()
    with mounted(folder, "8m"):
        configure(world, ceph, bucket)
        S3(ceph.s3(), bucket, "in/").fill(OBJECTS)
        result = move(world, f"s3://{bucket}/in/", f"file://{folder}/", going="true")
        assert result.status == 1
        assert "No space left" in result.text
        assert digest(Files(folder).objects()) == digest(
            {name: data for name, data in OBJECTS.items() if name != "large"})
        assert [path for path in folder.iterdir() if path.name.startswith(".")] == []
