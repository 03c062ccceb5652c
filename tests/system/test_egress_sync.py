"""The sync between two buckets of two users, as the seed's environment describes them, and between
other stores. What is there in the end is judged by Amazon's own client."""

import hashlib
import json
import os
import random
import signal
import subprocess
import time

import pytest
import s3_server
from conftest import PATIENCE_S
from egress_world import DAY, NOW, Egress


class Side:
    """A folder of a bucket, as one user sees it."""

    def __init__(self, client, bucket, keys, folder):
        self.client, self.bucket, self.keys, self.folder = client, bucket, keys, folder

    def put(self, name, content=b"x", **options):
        self.client.put_object(Bucket=self.bucket, Key=self.folder + name, Body=content, **options)

    def names(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.folder)
        return sorted(item["Key"][len(self.folder):]
                      for page in pages for item in page.get("Contents", []))

    def object(self, name):
        answer = self.client.get_object(Bucket=self.bucket, Key=self.folder + name)
        return (hashlib.md5(answer["Body"].read()).hexdigest(), answer["ContentType"],
                answer["Metadata"])

    def objects(self):
        return {name: self.object(name) for name in self.names()}

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])


class Sync:
    """Two sides at one server, described by the seed's environment."""

    def __init__(self, world, ceph, source, target):
        self.world, self.source, self.target = world, source, target
        self.between(ceph.endpoint, ceph.endpoint)
        for name, side in (("INPUT", source), ("OUTPUT", target)):
            world.environment[f"{name}_PATH"] = f"/{side.bucket}/{side.folder}"
            world.environment[f"{name}_ACCESS_KEY_ID"] = side.keys[0]
            world.environment[f"{name}_SECRET_ACCESS_KEY"] = side.keys[1]

    def between(self, source, target):
        self.world.environment.update(INPUT_URL=source, OUTPUT_URL=target)

    @staticmethod
    def words(*flags, **settings):
        return ["egress", "sync", *flags,
                *[word for key, value in settings.items() for word in ("--set", f"{key}={value}")]]

    def run(self, *flags, **settings):
        return self.world.run(*self.words(*flags, **settings))

    def start(self, **settings):
        return self.world.start(*self.words(**settings), stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)


@pytest.fixture
def sync(world, ceph):
    """The source belongs to one user, the target to another; neither may touch the other's."""
    sides = []
    for user, folder in ((None, "in/deep/"), (ceph.second, "out/")):
        client = ceph.s3(user)
        bucket = f"bucket-{os.urandom(6).hex()}"
        client.create_bucket(Bucket=bucket)
        sides.append(Side(client, bucket, user or (ceph.access_key, ceph.secret_key), folder))
    yield Sync(world, ceph, *sides)
    for side in sides:
        s3_server.empty(side.client, side.bucket)
        side.client.delete_bucket(Bucket=side.bucket)


def impatient(world):
    """Faults that stay are given up soon."""
    world.config("core: {http: {attempts: 2, backoff: 1ms, max_backoff: 5ms}}")


def until(look, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def fill(side, count):
    rng = random.Random(7)
    for i in range(count):
        name = rng.choice(["", f"{DAY}/", "a b/\u00e4+%20&/"]) + f"{i:04}"
        side.put(name, rng.randbytes(rng.choice([0, 1, 100, 5000, 90_000])),
                 ContentType=rng.choice(["text/csv", "application/gzip"]),
                 Metadata={"number": str(i)})


# ---- what is copied ----------------------------------------------------------------------------


def test_a_mirror(sync):
    source, target = sync.source, sync.target
    fill(source, 300)
    source.put("large", os.urandom(1 << 20) * 20, ContentType="application/x-large")
    # What only begins like the folder is of another.
    source.client.put_object(Bucket=source.bucket, Key="in/deeper", Body=b"other")
    target.put("0-extra", b"stays")

    result = sync.run()
    assert result.status == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == ["Added `input` successfully.", "Added `output` successfully."]
    assert (f"`input/{source.bucket}/in/deep/large` -> `output/{target.bucket}/out/large`"
            in lines)
    assert len(lines) == 2 + 301 + 1
    assert lines[-1].startswith("Total: ") and " MiB, Transferred: " in lines[-1]
    assert lines[-1].endswith("/s")
    expected = source.objects()
    assert expected | {"0-extra": target.object("0-extra")} == target.objects()
    assert target.uploads() == []

    result = sync.run("--json")
    assert result.status == 0
    counters = json.loads(result.stdout.splitlines()[-1])["counters"]
    assert counters["objects"] == 0 and counters["skipped"] == 301

    # The size tells nothing, the entity tag does.
    source.put("large", os.urandom(1 << 20) * 20)
    source.put("one", b"1")
    assert sync.run().status == 0
    source.put("one", b"2")
    result = sync.run()
    assert result.stdout.count(" -> ") == 1
    assert source.object("one") == target.object("one")
    assert source.object("large") == target.object("large")


def test_one_store_copies_by_itself(world, ceph, bucket, proxy):
    client = ceph.s3()
    source = Side(client, bucket, None, "in/")
    target = Side(client, bucket, None, "out/")
    for i in range(20):
        source.put(f"{i}", f"content {i}".encode(), ContentType="text/odd")
    for name, folder in (("INPUT", "in"), ("OUTPUT", "out")):
        world.environment.update({
            f"{name}_URL": proxy.endpoint, f"{name}_PATH": f"{bucket}/{folder}",
            f"{name}_ACCESS_KEY_ID": ceph.access_key,
            f"{name}_SECRET_ACCESS_KEY": ceph.secret_key})
    result = world.run("egress", "sync")
    assert result.status == 0, result.stderr
    assert source.objects() == target.objects()
    assert proxy.count("GET", r"/in/\d") == 0  # nothing was fetched
    assert proxy.count("PUT", r"/out/\d") == 20


def test_other_stores(world, gcs):
    gcs.store.make_bucket("gbucket")
    world.config(f"""
        storage:
          lake: {{bucket: gbucket, endpoint: "{gcs.endpoint}",
                  access_token: "{gcs.tokens.issue()}"}}""")
    first, last = world.root / "first", world.root / "last"
    content = {"a": b"1", "folder/b": os.urandom(200_000), "empty": b""}
    for name, data in content.items():
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_bytes(data)

    result = world.run(*Sync.words(source=f"file://{first}", target="store://lake/some/where"))
    assert result.status == 0, result.stderr
    assert "`store://lake/some/where/folder/b`" in result.stdout
    result = world.run(*Sync.words(source="gs://gbucket/some/where/", target=f"file://{last}/"))
    assert result.status == 0, result.stderr
    assert {str(path.relative_to(last)): path.read_bytes()
            for path in last.rglob("*") if path.is_file()} == content

    # By hand a store has the same name.
    result = world.run("storage", "ls", "store://lake/some/where/")
    assert result.status == 0, result.stderr
    assert "folder/" in result.stdout
    result = world.run("storage", "cat", "store://lake/some/where/a")
    assert result.stdout == "1"
    result = world.run("storage", "ls", "store://laek/")
    assert result.status == 2
    assert "did you mean 'lake'?" in result.stderr


def test_filters(sync):
    for name in ("a.csv", "b.csv", "deep/a.csv", "other"):
        sync.source.put(name, b"12345")
    sync.source.put("tiny.csv", b"1")
    result = sync.run(include='["*.csv"]', exclude='["b.*", nothing]', min_size=2, newer_than="1d")
    assert result.status == 0, result.stderr
    assert sync.target.names() == ["a.csv", "deep/a.csv"]
    assert sync.run("--now", "2040-01-01T00:00:00Z", newer_than="1d").status == 0
    assert sync.target.names() == ["a.csv", "deep/a.csv"]


def test_dry_run(sync):
    fill(sync.source, 20)
    sync.target.put("extra", b"1")
    result = sync.run("--dry-run", delete="true")
    assert result.status == 0
    assert "(objects: 20), Would remove objects: 1" in result.stdout
    assert sync.target.names() == ["extra"]
    assert result.text.count("dry run: would copy") == 20


# ---- what is removed ---------------------------------------------------------------------------


def test_removal_has_limits(sync, proxy):
    source, target = sync.source, sync.target
    fill(source, 10)
    assert sync.run().status == 0
    for i in range(5):
        target.put(f"extra-{i}")
    everything = target.names()

    result = sync.run(delete="true", max_delete=4)
    assert result.status == 1
    assert "'max_delete'" in result.text
    assert target.names() == everything

    # A listing that fails, at once or in its middle, removes nothing.
    impatient(sync.world)
    sync.between(proxy.endpoint, sync.world.environment["OUTPUT_URL"])
    for skip in (0, 1):
        proxy.rules.clear()
        proxy.rules.add(method="GET", target="list-type=2", status=500, times=None, skip=skip)
        assert sync.run(delete="true").status == 1
        assert target.names() == everything
    # Nor does a copy that fails.
    proxy.rules.clear()
    source.put("new")
    proxy.rules.add(method="GET", target="/in/deep/new", status=500, times=None)
    assert sync.run(delete="true").status == 1
    assert target.names() == everything
    proxy.rules.clear()

    result = sync.run(delete="true")
    assert result.status == 0, result.stderr
    assert result.stdout.count("Removed `output/") == 5
    assert target.names() == source.names()

    for name in source.names():
        source.client.delete_object(Bucket=source.bucket, Key=source.folder + name)
    assert sync.run(delete="true").status == 1  # an empty source may be a slip
    assert len(target.names()) == 11


# ---- what goes wrong ---------------------------------------------------------------------------


def test_a_wrong_key(sync):
    sync.source.put("a")
    secret = sync.world.environment["OUTPUT_SECRET_ACCESS_KEY"]
    sync.world.environment["OUTPUT_SECRET_ACCESS_KEY"] = wrong = secret[:-4] + "1234"
    result = sync.run()
    assert result.status == 1
    assert f"list the target 'output/{sync.target.bucket}/out/'" in result.text
    assert "(storage: output)" in result.text
    assert wrong not in result.stdout + result.stderr
    assert secret not in result.stdout + result.stderr


def test_a_mistake_is_told_with_its_variable(world):
    world.environment.update(INPUT_URL="s3.example", INPUT_PATH="a")
    result = world.run("egress", "sync")
    assert result.status == 2
    assert "'source_url' (INPUT_URL) is 's3.example'" in result.stderr


def test_credentials_that_end(sync, proxy):
    fill(sync.source, 60)
    impatient(sync.world)
    sync.between(proxy.endpoint, sync.world.environment["OUTPUT_URL"])
    proxy.rules.add(
        method="GET", target="/in/deep/", skip=20, times=None, status=400,
        headers={"Content-Type": "application/xml"},
        body="<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>")
    result = sync.run(max_failures=10)
    assert result.status == 1
    assert "objects failed, which ended it ('max_failures'); first: `input/" in result.text
    assert "ExpiredToken" in result.text
    # What is on its way is given up at the end, so not all that could be read need have arrived.
    there = sync.target.objects()
    assert result.stdout.count(" -> ") <= len(there) <= 20
    assert there.items() <= sync.source.objects().items()
    proxy.rules.clear()
    result = sync.run()
    assert result.status == 0, result.stderr
    assert result.stdout.count(" -> ") == 60 - len(there)
    assert sync.source.objects() == sync.target.objects()


@pytest.mark.parametrize("fault", [
    {"status": 503, "share": 0.2, "times": None},
    {"reset": True, "cut_reply_bytes": 0, "times": 5},
    {"method": "GET", "target": "/in/deep/", "cut_reply_body_bytes": 50, "times": 5},
], ids=["503", "reset", "cut"])
def test_faults_that_pass(sync, proxy, fault):
    sync.between(proxy.endpoint, proxy.endpoint)
    sync.world.config("core: {http: {attempts: 20, backoff: 1ms, max_backoff: 10ms}}")
    fill(sync.source, 60)
    proxy.rules.add(**fault)
    result = sync.run()
    assert result.status == 0, result.stderr
    proxy.rules.clear()
    assert sync.source.objects() == sync.target.objects()
    assert sync.target.uploads() == []


def test_killed_and_run_again(sync, proxy):
    """What was done is not done twice, and nothing is left lying."""
    source, target = sync.source, sync.target
    fill(source, 80)
    source.put(f"{DAY}/large", large := os.urandom(1 << 20) * 40)
    sync.between(sync.world.environment["INPUT_URL"], proxy.endpoint)
    proxy.rules.add(method="PUT", target="partNumber=", times=None, delay_ms=5000)
    proxy.rules.add(method="PUT", times=None, delay_ms=30)
    parts = r"/large\?.*partNumber="

    process = sync.start()
    until(lambda: proxy.count("PUT", parts) >= 2 or process.poll() is not None)
    time.sleep(0.6)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)
    there = set(target.names())
    assert f"{DAY}/large" not in there
    proxy.rules.clear()
    before = len(proxy.calls)

    result = sync.run()
    assert result.status == 0, result.stderr
    assert source.objects() == target.objects()
    assert target.object(f"{DAY}/large")[0] == hashlib.md5(large).hexdigest()
    assert target.uploads() == []
    again = [call.target for call in proxy.calls[before:] if call.method == "PUT"]
    for name in there:
        if "large" not in name and "%" not in name and " " not in name:
            assert not any(put.split("?")[0].endswith(f"/out/{name}") for put in again), name
    assert sync.run().stdout.count(" -> ") == 0


def test_state_on_postgres(sync, state_on_postgres, proxy):
    """Tokens are kept there as well."""
    sync.between(sync.world.environment["INPUT_URL"], proxy.endpoint)
    sync.source.put("large", os.urandom(1 << 20) * 30)
    proxy.rules.add(method="PUT", target="partNumber=", times=None, delay_ms=5000)
    process = sync.start()
    until(lambda: proxy.count("PUT", "partNumber=") >= 2)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    proxy.rules.clear()
    result = sync.run()
    assert result.status == 0, result.stderr
    assert "going on where an earlier run was stopped" in result.text
    assert sync.source.objects() == sync.target.objects()
    assert sync.target.uploads() == []


def test_two_runs_at_once(sync, proxy):
    fill(sync.source, 5)
    sync.between(sync.world.environment["INPUT_URL"], proxy.endpoint)
    proxy.rules.add(method="PUT", times=None, delay_ms=25000)
    process = sync.start()
    try:
        until(lambda: proxy.count("PUT", "/out/") > 0)
        result = sync.run()
        assert result.status == 3
        assert f"another run copies to 'output/{sync.target.bucket}/out/'" in result.text
    finally:
        proxy.rules.clear()
        process.wait()
    assert process.returncode == 0
    assert len(sync.target.names()) == 5


def test_a_sync_keeps_to_its_bandwidth(sync):
    for name in "abcd":
        sync.source.put(name, os.urandom(1 << 20))
    began = time.monotonic()
    result = sync.run(bandwidth="2MiB")
    assert result.status == 0, result.stderr
    assert time.monotonic() - began > 1.4  # 2 s, less what may go at once
    assert sync.source.objects() == sync.target.objects()


# ---- folders with a manifest -------------------------------------------------------------------


def manifest(objects, complete=True, run="first"):
    """As 'dump' writes it."""
    table = {
        "name": "t", "query": "SELECT 1", "rows": len(objects), "bytes": 1, "stored_bytes": 1,
        "columns": [{"name": "a", "type": "text"}],
        "objects": [{"key": key, "rows": 1, "bytes": len(content), "stored_bytes": len(content),
                     "sha256": hashlib.sha256(content).hexdigest()}
                    for key, content in objects.items()]}
    failed = {"name": "u", "query": "SELECT 2", "error": "it was locked", "columns": [],
              "objects": []}
    return json.dumps({
        "version": 1, "complete": complete, "run_id": run, "nominal": NOW, "started": NOW,
        "finished": NOW, "server_version": "15.4", "database": "app",
        "system_identifier": "7304822361245013011",
        "snapshot": {"id": "00000003-0000001B-1", "time": NOW, "lsn": "0/16B3748", "xmin": "750",
                     "xmax": "752"},
        "format": "csv", "compression": "gzip",
        "csv": {"header": False, "delimiter": ",", "null_string": "", "encoding": "UTF8"},
        "tables": [table] if complete else [table, failed]}).encode()


def put_folder(side, day, objects, **options):
    for key, content in objects.items():
        side.put(f"{day}/{key}", content)
    side.put(f"{day}/_manifest.json", manifest(objects, **options))


def test_only_complete_folders(sync, proxy):
    source, target = sync.source, sync.target
    put_folder(source, "2026-11-18", {"t.csv.gz": b"18", "u/part-00000.csv.gz": b"180"})
    put_folder(source, "2026-11-19", {"t.csv.gz": b"19"}, complete=False)
    source.put(f"{DAY}/t.csv.gz", b"20")
    sync.between(sync.world.environment["INPUT_URL"], proxy.endpoint)
    result = sync.run(require_manifest="true")
    assert result.status == 0, result.stderr
    complete = ["2026-11-18/_manifest.json", "2026-11-18/t.csv.gz",
                "2026-11-18/u/part-00000.csv.gz"]
    assert target.names() == complete
    assert "2026-11-19/': its manifest says that it is not complete: 1 of 2" in result.text
    puts = [call.target for call in proxy.calls if call.method == "PUT"]
    assert "_manifest.json" in puts[-1]

    # The folder of the run's date is waited for, while it comes to be complete ...
    process = sync.world.start(*sync.words("--now", NOW, require_manifest="true",
                                           wait_for_manifest="1m"))
    until(lambda: proxy.count("GET", "list-type=2") >= 3)
    time.sleep(0.5)
    assert process.poll() is None
    source.put(f"{DAY}/_manifest.json", manifest({"t.csv.gz": b"20"}))
    assert process.wait(PATIENCE_S) == 0
    complete += [f"{DAY}/_manifest.json", f"{DAY}/t.csv.gz"]
    assert target.names() == sorted(complete)
    # ... and not for ever.
    result = sync.run("--now", "2026-11-21T02:00:00Z", require_manifest="true",
                      wait_for_manifest="100ms")
    assert result.status == 3
    assert "2026-11-21/' is not complete after 100ms: it has no manifest yet" in result.text

    # Dumped again: the manifest at the target goes before the first object does.
    put_folder(source, "2026-11-18", {"t.csv.gz": b"xx", "u/part-00000.csv.gz": b"xxx"},
               run="second")
    proxy.rules.add(method="PUT", target="2026-11-18/t", status=403, times=None)
    assert sync.run(require_manifest="true").status == 1
    assert "2026-11-18/_manifest.json" not in target.names()
    proxy.rules.clear()
    assert sync.run(require_manifest="true", delete="true").status == 0
    assert target.object("2026-11-18/_manifest.json") == source.object("2026-11-18/_manifest.json")
    assert target.object("2026-11-18/t.csv.gz") == source.object("2026-11-18/t.csv.gz")


def test_what_was_waited_for_is_no_part_of_the_speed(world):
    source, target = world.root / "source", world.root / "target"
    (source / DAY).mkdir(parents=True)
    content = os.urandom(1 << 20)
    (source / DAY / "t.csv.gz").write_bytes(content)
    began = time.monotonic()
    process = world.start(*Sync.words(
        "--now", NOW, source=f"file://{source}", target=f"file://{target}",
        require_manifest="true", wait_for_manifest="1m"), stdout=subprocess.PIPE, text=True)
    time.sleep(3)
    assert process.poll() is None
    (source / "fresh").write_bytes(manifest({"t.csv.gz": content}))
    (source / "fresh").rename(source / DAY / "_manifest.json")  # whole at once
    line = process.communicate(timeout=PATIENCE_S)[0].splitlines()[-1]
    assert line.startswith("Total: 1.00 MiB, "), line
    speed, unit = line.split("Speed: ")[1].split()
    seconds = 1 / float(speed) / {"KiB/s": 1 / 1024, "MiB/s": 1, "GiB/s": 1024}[unit]
    assert seconds < 2.9, (line, time.monotonic() - began)


def test_what_filters_leave_out_is_counted_once(world):
    """Though with 'delete' all is looked at twice."""
    source, target = world.root / "source", world.root / "target"
    (source / DAY).mkdir(parents=True)
    for name in ("a", "b", "c"):
        (source / DAY / name).write_bytes(b"x")
    (source / DAY / "_manifest.json").write_bytes(manifest(dict.fromkeys("abc", b"x")))
    result = world.run(*Sync.words(
        source=f"file://{source}", target=f"file://{target}", require_manifest="true",
        delete="true", exclude="*/c"))
    assert result.status == 0, result.stderr
    assert "filters leave out 1 of its objects" in result.text
    assert sorted(path.name for path in (target / DAY).iterdir()) == ["a", "b"]


def test_a_dump_arrives(sync, postgres, ceph):
    """What 'dump' writes is taken for complete, and 'verify' finds it at the target as it was."""
    egress = Egress(sync.world, postgres, ceph, sync.source.bucket)
    try:
        egress.sql("CREATE TABLE hosts AS SELECT i AS id, md5(i::text) AS name "
                   "FROM generate_series(1, 5000) AS i")
        sync.world.environment.update(
            TABLES="hosts", S3_OUTPUT=f"s3://{sync.source.bucket}/{sync.source.folder}")
        egress.dump()
    finally:
        egress.end()
    names = ["_manifest.json", "hosts.csv.gz"]
    result = sync.run(require_manifest="true", delete="true")
    assert result.status == 0, result.stderr
    assert sync.target.names() == [f"{DAY}/{name}" for name in names]

    local = sync.world.root / "dumps"
    # An empty variable says nothing.
    sync.world.environment.update(
        {f"OUTPUT_{name}": "" for name in ("URL", "PATH", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")})
    result = sync.run(target=f"file://{local}", require_manifest="true")
    assert result.status == 0, result.stderr
    result = sync.world.run("egress", "verify", "--set", f"folder=file://{local}/{DAY}/")
    assert result.status == 0, result.stdout + result.stderr
    assert "5000 rows" in result.stdout
