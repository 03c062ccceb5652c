"""'run-core storage': objects by hand, on files, on a real S3 server with Amazon's client as the
judge, and on a stand-in for Google Cloud Storage."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import BUILD, PATIENCE_S

MIB = 1 << 20
ODD_NAMES = ["blank and+plus", "ünï/côdé-日本", "per%20cent%2F", "a&b=c?d#e", "quote'\"<>",
             "~tilde*star[x]", "semi;colon,comma", "dots.../..x"]


# ---- where objects lie -------------------------------------------------------------------------------


class Files:
    """What the tests look at beside the command itself."""

    def __init__(self, world):
        self.folder = world.root / "lake"
        self.folder.mkdir()
        self.base = f"file://{self.folder}/"

    def put(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def get(self, name):
        return (self.folder / name).read_bytes()

    def names(self):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file())


class S3:
    def __init__(self, world, server, bucket):
        self.client, self.bucket = server.s3(max_pool_connections=32), bucket
        self.base = f"s3://{bucket}/"
        world.environment.update(AWS_ACCESS_KEY_ID=server.access_key,
                                 AWS_SECRET_ACCESS_KEY=server.secret_key, AWS_REGION=server.region,
                                 AWS_ENDPOINT_URL=server.endpoint)

    def put(self, name, data, **more):
        self.client.put_object(Bucket=self.bucket, Key=name, Body=data, **more)

    def get(self, name):
        return self.client.get_object(Bucket=self.bucket, Key=name)["Body"].read()

    def names(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return sorted(o["Key"] for page in pages for o in page.get("Contents", []))

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])


class Google:
    def __init__(self, world, server):
        self.store = server.store
        self.store.make_bucket("lake")
        self.base = "gs://lake/"
        key = world.root / "key.json"
        key.write_text(json.dumps(server.tokens.service_account()))
        world.config(f"storage: {{lake: {{endpoint: '{server.endpoint}', "
                     f"service_account_file: '{key}'}}}}\n")

    def put(self, name, data):
        self.store.put("lake", name, data, {})

    def get(self, name):
        return bytes(self.store.bucket("lake").live(name).data)

    def names(self):
        bucket = self.store.bucket("lake")
        return sorted(name for name in bucket.names if bucket.live(name))


@pytest.fixture
def s3(world, ceph, bucket):
    return S3(world, ceph, bucket)


@pytest.fixture(params=["files", "s3", "google"])
def lake(request, world):
    if request.param == "files":
        return Files(world)
    if request.param == "s3":
        return request.getfixturevalue("s3")
    return Google(world, request.getfixturevalue("gcs"))


@pytest.fixture
def storage(world):
    """Runs 'run-core storage'; 'stdin' is its input."""

    def run(*words, stdin=None, **options):
        if stdin is None:
            return world.run("storage", *words, **options)
        done = subprocess.run([BUILD / "run-core", "storage", *map(str, words)], cwd=world.root,
                              env=world.environment, input=stdin, capture_output=True, check=False)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        done.status = done.returncode
        return done

    return run


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def good(result):
    assert (result.status, result.stderr) == (0, ""), result.stderr
    return result


# ---- the same on every store -------------------------------------------------------------------------


def test_objects_go_up_and_come_down(storage, world, lake):
    data = os.urandom(3000)
    (world.root / "a.bin").write_bytes(data)
    assert "copied 1 object" in good(storage("cp", "a.bin", lake.base + "x/a.bin")).stdout
    assert lake.get("x/a.bin") == data
    # Into a folder, under its own name; a folder is what ends with a slash, or is there already.
    good(storage("cp", "a.bin", lake.base + "new/"))
    good(storage("cp", "a.bin", lake.base + "x/b"))
    good(storage("cp", "-q", "a.bin", lake.base + "new"))
    assert lake.names() == ["new/a.bin", "x/a.bin", "x/b"]
    assert good(storage("cp", "-q", lake.base + "x/b", "down")).stdout == ""
    assert (world.root / "down").read_bytes() == data
    result = good(storage("cp", "--json", lake.base + "x/a.bin", lake.base + "x/b", "in/"))
    told = json.loads(result.stdout)
    assert told.pop("seconds") >= 0
    assert told == {"objects": 2, "bytes": 6000, "skipped": 0, "removed": 0, "failed": 0,
                    "dry_run": False, "error": None}
    assert sorted(os.listdir(world.root / "in")) == ["a.bin", "b"]


def test_listings(storage, lake):
    for name in ["a", "dir/b", "dir/deep/c", "dirt"]:
        lake.put(name, b"12345")
    top = good(storage("ls", lake.base)).stdout.splitlines()
    assert [line.split()[-1] for line in top] == ["a", "dir/", "dirt"]
    assert top[0].split()[1] == "5" and top[0][:2] == "20" and top[0][19] == "Z"
    # A folder without its slash is still one; any other place is the begin of names.
    assert [o["name"] for o in lines(storage("ls", "--json", lake.base + "dir"))] == ["b", "deep/"]
    named = good(storage("ls", lake.base + "d")).stdout.splitlines()
    assert [line.split()[-1] for line in named] == ["dir/", "dirt"]
    below = lines(good(storage("ls", "-r", "--json", "--summary", lake.base + "dir/")))
    assert [(o["uri"], o["name"], o["size"]) for o in below[:2]] == [
        (lake.base + "dir/b", "b", 5), (lake.base + "dir/deep/c", "deep/c", 5)]
    assert below[0]["etag"] and below[0]["modified"].endswith("Z")
    assert below[2] == {"objects": 2, "folders": 0, "bytes": 10}
    two = good(storage("ls", "--summary", "--human", lake.base + "dir", lake.base + "a")).stdout
    assert f"5 B  {lake.base}dir/b\n" in two and f"5 B  {lake.base}a\n" in two
    assert two.endswith("2 objects, 1 folder, 10 B\n")
    chosen = storage("ls", "-r", "--json", "--include", "dir*", "--exclude", "*/c", lake.base)
    assert [o["name"] for o in lines(chosen)] == ["dir/b", "dirt"]


def test_nothing_to_list(storage, lake):
    assert good(storage("ls", lake.base)).stdout == ""
    assert good(storage("ls", "--json", "--summary", lake.base)).stdout == (
        '{"objects":0,"folders":0,"bytes":0}\n')
    result = storage("ls", lake.base + "none/")
    assert (result.status, result.stdout) == (1, "")
    assert f"nothing begins with '{lake.base}none/'" in result.stderr
    assert good(storage("cp", "-r", lake.base, "copy/")).stdout.startswith("copied 0 objects")
    result = storage("cp", "-r", lake.base + "none/", "copy/")
    assert (result.status, result.stdout) == (1, "")


def test_a_name_between_two_slashes_is_no_file(storage, world, s3):
    s3.put("tree/a/b", b"one")
    s3.put("tree/a//b", b"two")
    s3.put("tree//c", b"three")
    for _ in range(2):
        result = storage("sync", "--delete", "--keep-going", s3.base + "tree/", "copies")
        assert result.status == 1
        assert "empty name between two slashes" in result.stderr
        assert (world.root / "copies/a/b").read_bytes() == b"one"
        assert not (world.root / "copies/c").exists()
    good(storage("sync", "--exclude", "*//*", "--exclude", "/*", s3.base + "tree/", "copies"))


def test_content_goes_to_stdout(storage, lake):
    lake.put("a", b"0123456789")
    lake.put("b", b"abc")
    a, b = lake.base + "a", lake.base + "b"
    assert good(storage("cat", a, b)).stdout == "0123456789abc"
    for part, content in {"0-0": "0", "2-4": "234", "7-": "789", "-3": "789", "-99": "0123456789",
                          "5-99": "56789"}.items():
        assert good(storage("cat", "--range", part, a)).stdout == content, part
    for part in ["", "-", "4", "5-4", "a-b", "-0", "1-2-3", "99999999999999999999-"]:
        result = storage("cat", "--range", part, a)
        assert (result.status, result.stdout) == (2, "") and "--range" in result.stderr, part
    result = storage("cat", a, lake.base + "none", b)
    assert (result.status, result.stdout) == (1, "0123456789abc")
    assert "none" in result.stderr
    assert good(storage("cp", a, "-")).stdout == "0123456789"
    assert good(storage("cat", b, "-", stdin=b"xyz")).stdout == "abcxyz"


def test_content_comes_from_stdin(storage, lake):
    data = bytes(range(256)) * 50000  # several parts
    assert "12.2 MiB" in good(storage("cp", "-", lake.base + "in", stdin=data)).stdout
    assert lake.get("in") == data
    result = good(storage("cp", "--if-absent", "--json", "-", lake.base + "in", stdin=b"other"))
    assert json.loads(result.stdout)["skipped"] == 1
    assert lake.get("in") == data
    good(storage("cp", "-", lake.base + "empty", stdin=b""))
    assert lake.get("empty") == b""
    result = storage("cp", "-", lake.base, stdin=b"x")
    assert result.status == 2 and "needs a name" in result.stderr


def test_trees(storage, world, lake):
    tree = world.root / "tree"
    for name in ["one", "sub/two", "sub/deep/three.csv"]:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    # Into what is a folder, under its own name; what is none becomes the copy.
    good(storage("cp", "-r", "tree", lake.base + "made"))
    assert lake.names() == ["made/one", "made/sub/deep/three.csv", "made/sub/two"]
    good(storage("cp", "-r", "tree", lake.base + "made"))
    assert "made/tree/sub/two" in lake.names()
    good(storage("cp", "-r", "tree/", lake.base + "content"))
    good(storage("cp", "-r", "--include", "*.csv", "tree/.", lake.base + "some/"))
    good(storage("cp", "-r", "--exclude", "sub/*", "tree", lake.base + "other/"))
    names = lake.names()
    assert [n for n in names if n[0] in "cos"] == [
        "content/one", "content/sub/deep/three.csv", "content/sub/two", "other/tree/one",
        "some/sub/deep/three.csv"]
    good(storage("mv", "-r", lake.base + "content", lake.base + "moved"))
    assert lake.get("moved/sub/two") == b"sub/two"
    assert not [n for n in lake.names() if n.startswith("content/")]
    good(storage("mv", "-r", lake.base + "moved/", "back"))
    assert (world.root / "back/sub/deep/three.csv").read_text() == "sub/deep/three.csv"
    assert not [n for n in lake.names() if n.startswith("moved/")]
    # One name may be an object and a folder.
    if not lake.base.startswith("file:"):
        lake.put("made", b"object")
        good(storage("rm", "-r", lake.base + "made"))
        assert not [n for n in lake.names() if n.startswith("made")]


def test_a_folder_is_not_taken_for_an_object(storage, lake):
    lake.put("dir/a", b"1")
    for words in [("cp", lake.base + "dir", "x"), ("mv", lake.base + "dir", "x"),
                  ("rm", lake.base + "dir"), ("cp", lake.base + "dir/", "x"),
                  ("rm", lake.base + "dir/")]:
        result = storage(*words)
        assert result.status in (1, 2)
        assert "is a folder; give --recursive" in result.stderr, words
    assert lake.names() == ["dir/a"]


def test_removal(storage, lake):
    for name in ["a", "b", "dir/c", "dir/d.tmp", "dirt"]:
        lake.put(name, b"1")
    result = storage("rm", lake.base + "a", lake.base + "none")
    assert (result.status, result.stdout) == (1, "")  # all are looked at first
    assert "none" in result.stderr and "a" in lake.names()
    assert "removed 1 object" in good(storage("rm", lake.base + "a")).stdout
    told = json.loads(good(storage("rm", "--json", "-f", lake.base + "a", lake.base + "b")).stdout)
    assert told["removed"] == 1
    good(storage("rm", "-r", "--include", "*.tmp", lake.base + "dir"))
    assert lake.names() == ["dir/c", "dirt"]
    good(storage("rm", "-r", lake.base + "dir"))
    assert lake.names() == ["dirt"]


def test_all_of_a_bucket_goes_by_force_only(storage, lake):
    lake.put("a", b"1")
    root = "file:///" if lake.base.startswith("file:") else lake.base.rstrip("/")
    for place in [root, root.rstrip("/") + "/" if root != "file:///" else "/"]:
        result = storage("rm", "-r", place)
        assert result.status == 2 and "give --force" in result.stderr
        assert storage("rm", place).status == 2
    assert lake.names() == ["a"]
    if root != "file:///":
        good(storage("rm", "-r", "--force", root))
        assert lake.names() == []


def test_sync(storage, world, lake):
    tree = world.root / "tree"
    tree.mkdir()
    for name in ["same", "changed", "new"]:
        (tree / name).write_text(name)
    lake.put("t/extra", b"extra")

    def sync(*words):
        return json.loads(good(storage("sync", "--json", *words)).stdout)

    told = sync("tree", lake.base + "t")
    assert (told["objects"], told["skipped"], told["removed"]) == (3, 0, 0)
    assert sync("tree", lake.base + "t")["skipped"] == 3
    (tree / "changed").write_text("CHANGED")
    os.utime(tree / "changed", (time.time() + 5, time.time() + 5))
    before = lake.names()
    dry = good(storage("sync", "--delete", "--dry-run", "tree/", lake.base + "t/")).stdout
    assert f"would copy 'file://{tree}/changed' to '{lake.base}t/changed'\n" in dry
    assert f"would remove '{lake.base}t/extra'\n" in dry
    assert "would have copied 1 object (7 B), removed 1 object, skipped 2 in" in dry
    assert lake.names() == before and lake.get("t/changed") == b"changed"
    told = sync("--delete", "tree", lake.base + "t")
    assert (told["objects"], told["skipped"], told["removed"]) == (1, 2, 1)
    assert lake.get("t/changed") == b"CHANGED"
    assert lake.names() == ["t/changed", "t/new", "t/same"]
    # A slip in the source's name empties nothing.
    assert storage("sync", "--delete", "nothing/", lake.base + "t").status == 1
    assert storage("sync", "--delete", lake.base + "nothing", lake.base + "t").status == 1
    assert lake.names() == ["t/changed", "t/new", "t/same"]
    # What is left out is left alone on both sides.
    (tree / "skip.tmp").write_text("x")
    os.utime(tree / "changed", (1, 1))
    for name in ["old.tmp", "old"]:
        lake.put("t/" + name, b"x")
    told = sync("--delete", "--exclude", "*.tmp", "tree", lake.base + "t")
    assert (told["objects"], told["removed"]) == (0, 1)
    assert lake.names() == ["t/changed", "t/new", "t/old.tmp", "t/same"]
    told = sync("--delete", "--include", "*.tmp", "tree", lake.base + "t")
    assert (told["objects"], told["removed"]) == (1, 1)
    assert lake.names() == ["t/changed", "t/new", "t/same", "t/skip.tmp"]


def test_sync_removes_within_limits(storage, world, lake):
    tree, empty = world.root / "tree", world.root / "empty"
    tree.mkdir()
    empty.mkdir()
    (tree / "a").write_text("a")
    for name in ["x", "y", "z"]:
        lake.put("t/" + name, b"extra")
    words = ["sync", "--delete", "tree", lake.base + "t"]
    result = storage(*words, "--max-delete", "2")
    assert result.status == 1
    assert f"3 objects of '{lake.base}t/' have no source, at most 2" in result.stderr
    assert lake.names() == ["t/a", "t/x", "t/y", "t/z"]
    # An empty folder is one, but empties nothing by itself.
    result = storage("sync", "--delete", "empty", lake.base + "t")
    assert result.status == 1 and "--allow-empty" in result.stderr
    assert lake.names() == ["t/a", "t/x", "t/y", "t/z"]
    assert storage(*words, "--max-delete", "3").status == 0
    assert lake.names() == ["t/a"]
    assert storage("sync", "--delete", "--allow-empty", "empty", lake.base + "t").status == 0
    assert lake.names() == []


def test_sync_removes_nothing_after_a_failure(storage, world, s3, proxy):
    tree = world.root / "tree"
    tree.mkdir()
    (tree / "a").write_text("a")
    s3.put("t/extra", b"extra")
    world.environment["AWS_ENDPOINT_URL"] = proxy.endpoint
    proxy.rules.add(method="PUT", target="t/a", status=403)
    result = storage("sync", "--delete", "--keep-going", "tree", s3.base + "t")
    assert result.status == 1
    assert f"nothing was removed from '{s3.base}t', since not" in result.stderr
    assert s3.names() == ["t/extra"]
    assert storage("sync", "--delete", "tree", s3.base + "t").status == 0
    assert s3.names() == ["t/a"]


def test_sync_compares_as_asked(storage, world, s3):
    tree = world.root / "tree"
    tree.mkdir()
    (tree / "a").write_text("new")
    s3.put("t/a", b"old")

    def copied(how):
        told = good(storage("sync", "--json", "--dry-run", "--compare", how, "tree", s3.base + "t"))
        return lines(told)[-1]["objects"]

    assert [copied(how) for how in ["size", "mtime", "etag", "auto", "checksum"]] == [0, 0, 1, 0, 1]
    os.utime(tree / "a", (time.time() + 9, time.time() + 9))
    assert [copied(how) for how in ["size", "mtime", "etag", "auto", "checksum"]] == [0, 1, 1, 1, 1]


def test_sync_by_checksum_finds_what_has_gone_back(storage, world, lake):
    tree, down = world.root / "tree", world.root / "down"
    tree.mkdir()
    for name in ["a", "b"]:
        (tree / name).write_text("present")

    def sync(*words):
        told = json.loads(good(storage("sync", "--json", *words)).stdout)
        return told["objects"], told["skipped"]

    assert sync("tree", lake.base + "t") == (2, 0)
    (tree / "a").write_text("earlier")
    os.utime(tree / "a", (1, 1))
    assert sync("tree", lake.base + "t") == (0, 2)
    dry = good(storage("sync", "--checksum", "--dry-run", "tree", lake.base + "t")).stdout
    assert f"would copy 'file://{tree}/a'" in dry and "1 object (7 B), skipped 1 in" in dry
    assert lake.get("t/a") == b"present"
    assert sync("--checksum", "tree", lake.base + "t") == (1, 1)
    assert lake.get("t/a") == b"earlier"
    assert sync("--checksum", "tree", lake.base + "t") == (0, 2)
    # The other way round.
    assert sync(lake.base + "t", "down") == (2, 0)
    (down / "b").write_text("damaged")
    assert sync(lake.base + "t", "down") == (0, 2)
    assert sync("--checksum", lake.base + "t", "down") == (1, 1)
    assert (down / "b").read_text() == "present"
    assert sync("--checksum", lake.base + "t", "down") == (0, 2)


def test_sync_by_checksum_knows_uploads_in_parts(storage, world, s3):
    (world.root / "tree").mkdir()
    large = world.root / "tree" / "large"
    data = bytearray(os.urandom(17 * MIB))
    large.write_bytes(data)

    def sync():
        words = ["sync", "--json", "--checksum", "tree", s3.base + "t"]
        return json.loads(good(storage(*words)).stdout)["objects"]

    assert sync() == 1
    assert "-" in s3.client.head_object(Bucket=s3.bucket, Key="t/large")["ETag"]
    assert sync() == 0
    data[-1] ^= 1
    large.write_bytes(data)
    os.utime(large, (1, 1))
    assert sync() == 1
    assert s3.get("t/large") == data


def test_what_is_left_out_of_a_folder_is_counted(storage, world, lake):
    tree = world.root / "tree"
    (tree / "folder").mkdir(parents=True)
    (tree / "folder" / "file").write_text("x")
    for link, target in [("file", "folder/file"), ("one", "folder"), ("folder/two", ".."),
                         ("nothing", "gone"), ("loop", "loop")]:
        (tree / link).symlink_to(target)
    os.mkfifo(tree / "pipe")
    said = ("run-core: left out: 2 links to folders, 2 links to nothing, "
            "1 pipe, socket or device\n")
    for words in [("cp", "-r", "tree/", lake.base + "t/"), ("sync", "tree", lake.base + "t"),
                  ("cp", "-rn", "tree/", lake.base + "t/")]:
        result = storage(*words)
        assert (result.status, result.stderr) == (0, said)
    assert lake.names() == ["t/file", "t/folder/file"]
    few = storage("cp", "-r", "--exclude", "*o*", "tree/", lake.base + "u/")
    assert few.stderr == "run-core: left out: 1 pipe, socket or device\n"
    # Of the target nothing is said.
    good(storage("sync", lake.base + "t", "tree"))


def test_a_dry_run_changes_nothing(storage, world, lake):
    lake.put("a", b"12")
    lake.put("dir/b", b"345")
    (world.root / "local").write_text("x")
    for words, said in {
        ("cp", "local", lake.base + "new"): f"would copy 'file://{world.root}/local' to "
                                            f"'{lake.base}new'\nwould have copied 1 object (1 B)",
        ("mv", lake.base + "a", "here"): f"would move '{lake.base}a' to 'file://{world.root}/here'",
        ("mv", "-r", lake.base + "dir", "here"): f"would move '{lake.base}dir/b' to ",
        ("rm", lake.base + "a"): f"would remove '{lake.base}a'\nwould have removed 1 object",
        ("rm", "-r", lake.base + "dir"): f"would remove '{lake.base}dir/b'",
    }.items():
        assert said in good(storage(*words, "--dry-run")).stdout
    dry = good(storage("cp", "-n", "-", lake.base + "s", stdin=b"x")).stdout
    assert f"would copy '-' to '{lake.base}s'\nwould have copied 1 object in" in dry
    told = lines(good(storage("cp", "-n", "--json", "-", lake.base + "s", stdin=b"x")))
    assert told[0] == {"act": "copy", "source": "-", "target": lake.base + "s"}
    told = lines(good(storage("cp", "-rn", "--json", lake.base + "dir/", "here")))
    assert told[0] == {"act": "copy", "source": lake.base + "dir/b",
                       "target": f"file://{world.root}/here/b", "size": 3}
    assert told[1]["objects"] == 1 and told[1]["dry_run"] is True
    assert storage("cp", "-n", lake.base + "none", "here").status == 1
    assert lake.names() == ["a", "dir/b"] and not (world.root / "here").exists()


def test_if_absent_replaces_nothing(storage, world, lake):
    lake.put("t/a", b"old")
    (world.root / "t").mkdir()
    for name in "ab":
        (world.root / "t" / name).write_text("new")
    told = json.loads(good(storage("cp", "--if-absent", "--json", "t/a", lake.base + "t/")).stdout)
    assert (told["objects"], told["skipped"]) == (0, 1)
    told = json.loads(good(storage("cp", "--if-absent", "--json", "-r", "t/", lake.base + "t")).stdout)
    assert (told["objects"], told["skipped"]) == (1, 1)
    assert (lake.get("t/a"), lake.get("t/b")) == (b"old", b"new")


@pytest.mark.parametrize("size", [3, 20 * MIB])
@pytest.mark.parametrize("words", [["cp"], ["cp", "-r"], ["mv", "-r"]])
def test_what_comes_meanwhile_is_not_replaced(storage, world, s3, proxy, words, size):
    (world.root / "t").mkdir()
    (world.root / "t" / "a").write_bytes(b"n" * size)
    world.environment["AWS_ENDPOINT_URL"] = proxy.endpoint
    # The store has been looked at, and what is written is on its way.
    proxy.rules.add(method="PUT", target="/t/a", delay_ms=60000)
    source, target = ("t/", s3.base + "t") if "-r" in words else ("t/a", s3.base + "t/a")
    process = world.start("storage", *words, "--if-absent", "--json", source, target)
    wait_until(lambda: proxy.count("PUT", "/t/a"))
    s3.put("t/a", b"theirs")
    proxy.rules.clear()
    told = json.loads(process.communicate(timeout=PATIENCE_S)[0])
    assert (process.returncode, told["objects"], told["skipped"], told["failed"]) == (0, 0, 1, 0)
    assert s3.get("t/a") == b"theirs" and s3.uploads() == []
    assert (world.root / "t" / "a").stat().st_size == size


def test_odd_names_survive(storage, world, lake):
    names = sorted(ODD_NAMES)
    for name in names:
        path = world.root / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    good(storage("cp", "-r", "odd/", lake.base + "odd"))
    assert lake.names() == sorted("odd/" + name for name in names)
    listed = lines(good(storage("ls", "-r", "--json", lake.base + "odd")))
    assert sorted(o["name"] for o in listed) == names
    for name in names:
        assert good(storage("cat", lake.base + "odd/" + name)).stdout == name
    good(storage("cp", "-r", lake.base + "odd", "back"))
    assert {n: (world.root / "back" / n).read_text() for n in names} == {n: n for n in names}
    assert json.loads(storage("rm", "--json", "-r", lake.base + "odd").stdout)["removed"] == len(names)


def test_between_stores(storage, s3, gcs, world):
    google = Google(world, gcs)
    s3.put("d/a", b"from s3", ContentType="text/x-a", Metadata={"who": "me"})
    good(storage("cp", "-r", s3.base + "d", google.base + "d"))
    assert google.get("d/a") == b"from s3"
    told = lines(good(storage("stat", "--json", google.base + "d/a")))[0]
    assert (told["content_type"], told["metadata"]) == ("text/x-a", {"who": "me"})
    good(storage("mv", google.base + "d/a", s3.base + "back"))
    assert s3.get("back") == b"from s3" and google.names() == []


# ---- a mapped bucket, and what a configuration says --------------------------------------------------


def test_stores_of_the_configuration_count(storage, world, s3, ceph):
    (world.root / "lake").mkdir()
    for name in list(world.environment):
        if name.startswith("AWS_"):
            del world.environment[name]
    world.config(f"""
storage:
  lake: {{url: "file://{world.root}/lake"}}
  real: {{bucket: {s3.bucket}, endpoint: "{ceph.endpoint}", region: us-east-1,
          access_key_id: {ceph.access_key}, secret_access_key: "{ceph.secret_key}"}}
""")
    good(storage("cp", "-", "s3://lake/a/b", stdin=b"x"))
    assert (world.root / "lake/a/b").read_bytes() == b"x"
    assert lines(storage("ls", "-r", "--json", "s3://lake"))[0]["uri"] == "s3://lake/a/b"
    good(storage("cp", "-r", "s3://lake/", s3.base + "copy"))
    assert s3.get("copy/a/b") == b"x"
    good(storage("rm", "-rf", "s3://lake"))
    assert os.listdir(world.root / "lake") == []
    world.config("storage:\n  lake: {urk: 1}\n")
    result = storage("ls", "s3://lake")
    assert result.status == 2 and "test.yaml:2:" in result.stderr and "url" in result.stderr


def test_a_profile_takes_the_place_of_a_role(storage, world, s3, ceph):
    """Whoever names credentials means no others."""
    for name in list(world.environment):
        if name.startswith("AWS_"):
            del world.environment[name]
    (world.root / "credentials").write_text(
        f"[p]\naws_access_key_id={ceph.access_key}\naws_secret_access_key={ceph.secret_key}\n")
    world.environment.update(AWS_SHARED_CREDENTIALS_FILE=str(world.root / "credentials"),
                             AWS_EC2_METADATA_DISABLED="true")
    world.config(f"""
storage:
  real: {{bucket: {s3.bucket}, endpoint: "{ceph.endpoint}", region: us-east-1,
          role_arn: "arn:aws:iam::123456789012:role/x", access_key_id: none,
          secret_access_key: "none"}}
core: {{http: {{attempts: 1, proxy: "http://127.0.0.1:9"}}}}
""".replace("region:", 'proxy: "", region:'))
    s3.put("a", b"1")
    assert good(storage("cat", "--profile", "p", s3.base + "a")).stdout == "1"


def test_flags_describe_a_store(storage, world, s3, ceph):
    s3.put("a", b"1")
    environment = world.environment
    keys = environment.pop("AWS_ACCESS_KEY_ID"), environment.pop("AWS_SECRET_ACCESS_KEY")
    del environment["AWS_ENDPOINT_URL"], environment["AWS_REGION"]
    profiles = world.root / ".aws"
    profiles.mkdir()
    (profiles / "credentials").write_text(
        f"[ceph]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n")
    flags = ["--endpoint", ceph.endpoint, "--region", "us-east-1"]
    assert good(storage("cat", s3.base + "a", *flags, "--profile", "ceph")).stdout == "1"
    # Nobody may read it anonymously, until it is public.
    result = storage("cat", s3.base + "a", *flags, "--anonymous")
    assert result.status == 1 and "anonymous" in result.stderr and "403" in result.stderr
    s3.client.put_object_acl(Bucket=s3.bucket, Key="a", ACL="public-read")
    assert good(storage("cat", s3.base + "a", *flags, "--anonymous")).stdout == "1"
    assert storage("ls", s3.base, "--endpoint", "localhost:1").status == 2
    result = storage("cp", s3.base + "a", "gs://b/a", *flags)
    assert result.status == 2 and "both s3:// and gs://" in result.stderr


# ---- S3 ----------------------------------------------------------------------------------------------


def test_attributes_are_written_and_shown(storage, world, s3):
    (world.root / "a").write_text("x")
    good(storage("cp", "a", s3.base + "a", "--content-type", "text/csv", "--metadata", "Who=mé",
                 "--metadata", "empty="))
    head = s3.client.head_object(Bucket=s3.bucket, Key="a")
    assert head["ContentType"] == "text/csv"
    told = lines(good(storage("stat", "--json", s3.base + "a")))[0]
    assert (told["size"], told["content_type"]) == (1, "text/csv")
    assert told["metadata"]["who"] == "mé"
    assert told["etag"] == told["md5"] == head["ETag"].strip('"')
    text = good(storage("stat", s3.base + "a")).stdout
    assert f"{s3.base}a\n  size: 1 bytes\n" in text and "  metadata who: mé\n" in text
    s3.client.put_object_tagging(Bucket=s3.bucket, Key="a", Tagging={
        "TagSet": [{"Key": "team", "Value": "lake & co"}]})
    assert lines(good(storage("stat", "--json", s3.base + "a")))[0]["tags"] == {"team": "lake & co"}
    assert "  tag team: lake & co\n" in good(storage("stat", s3.base + "a")).stdout
    # From one object to another they go along, unless others are given.
    good(storage("cp", s3.base + "a", s3.base + "b"))
    assert s3.client.head_object(Bucket=s3.bucket, Key="b")["ContentType"] == "text/csv"
    good(storage("cp", s3.base + "a", s3.base + "c", "--metadata", "x=y"))
    head = s3.client.head_object(Bucket=s3.bucket, Key="c")
    assert head["Metadata"] == {"x": "y"} and head["ContentType"] != "text/csv"
    for bad in ["novalue", "=x"]:
        result = storage("cp", "a", s3.base + "a", "--metadata", bad)
        assert result.status == 2 and "KEY=VALUE" in result.stderr


def test_the_storage_class_is_asked_for(storage, world, s3):
    (world.root / "a").write_text("x")
    result = storage("cp", "a", s3.base + "a", "--storage-class", "NO_SUCH_CLASS")
    assert result.status != 0 and "400" in result.stderr
    good(storage("cp", "a", s3.base + "a", "--storage-class", "STANDARD"))


def test_versions(storage, s3):
    s3.client.put_bucket_versioning(Bucket=s3.bucket,
                                    VersioningConfiguration={"Status": "Enabled"})
    for content in [b"first", b"second"]:
        s3.put("a", content)
    good(storage("rm", s3.base + "a"))
    told = lines(good(storage("ls", "-r", "--versions", "--json", s3.base)))
    assert [(v["latest"], v["deleted"], v["size"]) for v in told] == [
        (True, True, 0), (False, False, 6), (False, False, 5)]
    assert "deleted" in storage("ls", "--versions", s3.base).stdout.splitlines()[0]
    first = told[2]["version"]
    assert good(storage("cat", "--version-id", first, s3.base + "a")).stdout == "first"
    assert lines(storage("stat", "--json", "--version-id", first, s3.base + "a"))[0]["size"] == 5
    marker, second = told[0]["version"], told[1]["version"]
    dry = good(storage("rm", "-n", "--version-id", marker, s3.base + "a")).stdout
    assert dry.startswith(f"would remove the version {marker} of '{s3.base}a'\nwould have removed 1")
    dry = lines(good(storage("rm", "-n", "--json", "--version-id", marker, s3.base + "a")))
    assert dry[0] == {"act": "remove", "uri": s3.base + "a", "version": marker}
    assert storage("cat", s3.base + "a").status == 1
    good(storage("rm", "--version-id", marker, s3.base + "a"))
    assert good(storage("cat", s3.base + "a")).stdout == "second"
    # What was there before comes back by a copy, in the store or from it.
    assert f"would copy '{s3.base}a' to '{s3.base}b'" in good(
        storage("cp", "-n", "--version-id", first, s3.base + "a", s3.base + "b")).stdout
    told = json.loads(good(storage("cp", "--json", "--version-id", first, s3.base + "a",
                                   s3.base + "a")).stdout)
    assert (told["objects"], told["bytes"]) == (1, 5) and s3.get("a") == b"first"
    good(storage("cp", "--version-id", second, s3.base + "a", "here/"))
    assert good(storage("cat", "here/a")).stdout == "second"
    told = json.loads(good(storage("cp", "--json", "--if-absent", "--version-id", second,
                                   s3.base + "a", s3.base + "a")).stdout)
    assert told["skipped"] == 1 and s3.get("a") == b"first"
    assert storage("cp", "--version-id", "none", s3.base + "a", "x").status == 1
    assert storage("cp", "-r", "--version-id", first, s3.base, "x").status == 2
    assert storage("rm", "-r", "--version-id", first, s3.base + "a").status == 2
    told = json.loads(good(storage("rm", "--json", "--version-id", first, "--version-id", second,
                                   s3.base + "a")).stdout)
    assert (told["removed"], told["failed"]) == (2, 0)
    assert len(lines(good(storage("ls", "--versions", "--json", s3.base)))) == 1
    assert storage("cat", "--version-id", first, s3.base + "a", s3.base + "b").status == 2


def fill(s3, count):
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: s3.put(f"many/{i:05}", b"%d" % i), range(count)))
    return s3


def test_5000_objects(storage, world, s3):
    (world.root / "up").mkdir()
    for i in range(5000):
        (world.root / "up" / f"{i:05}").write_text(str(i))
    told = json.loads(good(storage("cp", "-r", "--json", "up", s3.base + "many")).stdout)
    assert (told["objects"], told["failed"]) == (5000, 0)
    assert s3.names() == [f"many/{i:05}" for i in range(5000)]
    listed = lines(good(storage("ls", "-r", "--json", "--summary", s3.base)))
    assert len(listed) == 5001 and listed[-1]["objects"] == 5000
    assert listed[4999]["name"] == "many/04999"
    told = json.loads(good(storage("cp", "-r", "--json", s3.base + "many", "down")).stdout)
    assert (told["objects"], told["failed"]) == (5000, 0)
    assert (world.root / "down/04321").read_text() == "4321"
    told = json.loads(good(storage("sync", "--json", s3.base + "many", "down")).stdout)
    assert (told["objects"], told["skipped"]) == (0, 5000)
    told = json.loads(good(storage("rm", "-r", "--json", s3.base + "many")).stdout)
    assert told["removed"] == 5000 and s3.names() == []
    # The reader of a pipe goes, which is no failure.
    for words in [["ls", "-r", "down"], ["cp", "-rn", "down", "x"]]:
        line = f"set -o pipefail; {BUILD}/run-core storage {' '.join(words)} | head -n 1"
        done = subprocess.run(["bash", "-c", line], cwd=world.root, env=world.environment,
                              capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), words
        assert done.stdout.count(b"\n") == 1


def test_a_failure_is_one_though_nobody_reads(world, s3):
    """The status tells of it, however little of the output is wanted."""
    for words, status in [(["rm", "--json", "none"], 1), (["cp", "--json", "none", "x"], 1),
                          (["sync", "--json", "none", s3.base], 1), (["ls", "."], 0)]:
        line = f"set -o pipefail; {BUILD}/run-core storage {' '.join(words)} | true"
        done = subprocess.run(["bash", "-c", f"exec 2>/dev/null; {line}"], cwd=world.root,
                              env=world.environment, check=False)
        assert done.returncode == status, words


# ---- mistakes and failures ---------------------------------------------------------------------------


@pytest.mark.parametrize(["words", "said"], [
    (["ls"], "'storage ls' needs PLACE..."),
    (["cp", "a"], "'storage cp' needs SOURCE... TARGET"),
    (["sync", "a", "b", "c"], "does not take the word 'c'"),
    (["ls", "s3:bucket"], "written as s3://..."),
    (["ls", "s3:///key"], "names no bucket"),
    (["ls", "file://x"], "three slashes"),
    (["ls", ""], "an empty word"),
    (["stat", "-"], "'-' is not a URI"),
    (["mv", "-", "x"], "with 'cp' only"),
    (["cp", "a", "b", "-"], "with 'cp' only"),
    (["ls", "--delete", "x"], "'storage ls' takes no '--delete'"),
    (["cp", "--recursiv", "x", "y"], "did you mean '--recursive'?"),
    (["cp", "x", "y", "nowhere"], "several sources need one"),
    (["cp", "d/x", "e/x", "d/"], "would both become"),
    (["cp", "x", "y", "--width", "0"], "'--width 0'"),
    (["cp", "x", "y", "--width", "many"], "'--width many'"),
    (["cp", "x", "y", "--limit-rate", "fast"], "'--limit-rate fast'"),
    (["cp", "x", "y", "--include", "*"], "give --recursive"),
    (["rm", "x", "--exclude", "*"], "give --recursive"),
    (["sync", "--compare", "looks", "x", "y"], "it is auto, size, etag, mtime or checksum"),
    (["sync", "--compare", "size", "--checksum", "x", "y"], "'--checksum' is '--compare checksum'"),
    (["sync", "--max-delete", "3", "x", "y"], "go with '--delete'"),
    (["sync", "--delete", "--max-delete", "0", "x", "y"], "it is a number from 1 on"),
    (["cp", "x", "y", "--resume", "f"], "'--resume' is of one folder"),
    (["sweep", "x", "--older", "long"], "'--older long'"),
    (["cat", "-", "--range", "0-1"], "not of stdin"),
    (["ls", "s3://bad\x1bname/x"], "control character"),
])
def test_bad_usage_is_told_with_its_place(storage, words, said):
    result = storage(*words)
    assert (result.status, result.stdout) == (2, "")
    assert said in result.stderr and "\x1b" not in result.stderr


def test_a_name_that_steers_a_terminal_is_shown_as_text(storage, world, s3):
    (world.root / "d").mkdir()
    (world.root / "d" / "red\x1b[31m\n").write_text("x")
    assert good(storage("ls", "d")).stdout.endswith("red\\x1b[31m\\x0a\n")
    for target in ("e", s3.base + "e"):
        good(storage("cp", "-r", "d", target))
        result = good(storage("ls", target + "/"))
        assert result.stdout.endswith("red\\x1b[31m\\x0a\n")
        good(storage("rm", "-r", target))
    result = storage("cat", "d/green\x1b[32m\n")
    assert "green\\x1b[32m\\x0a" in result.stderr and "\x1b" not in result.stderr
    assert (result.status, result.stderr.count("\n")) == (1, 1)


def test_failures_name_what_can_be_done(storage, world, s3, ceph):
    (world.root / "a").write_text("x")
    for words in [("ls", "s3://no-such-bucket-here"), ("cp", "a", "s3://no-such-bucket-here/a"),
                  ("ls", "s3://no-such-bucket-here/dir")]:
        result = storage(*words)
        assert result.status == 1
        assert "404 NoSuchBucket" in result.stderr and "create it" in result.stderr
        assert result.stderr.count("run-core:") == 1, result.stderr
    world.environment["AWS_SECRET_ACCESS_KEY"] = "not+the/secret"
    for words in [("ls", s3.base), ("cp", "a", s3.base + "a"), ("rm", "-r", s3.base + "x"),
                  ("ls", "-v", s3.base)]:
        result = storage(*words)
        assert result.status == 1 and "403" in result.stderr
        assert "secret_access_key" in result.stderr or "credentials" in result.stderr
        assert "not+the/secret" not in result.stderr + result.stdout
    world.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    world.config("core: {http: {attempts: 1}}\n")
    result = storage("ls", s3.base)
    assert result.status == 1 and "127.0.0.1:9" in result.stderr


def describe(world, server, bucket, **more):
    store = {"bucket": bucket, "endpoint": server.endpoint, "region": server.region,
             "access_key_id": server.access_key, "secret_access_key": server.secret_key, **more}
    world.config(json.dumps({"storage": {"datalake": store}}))


def test_failures_name_the_store_and_what_of_it_may_be_wrong(storage, world, ceph, bucket):
    place = f"s3://{bucket}/"
    describe(world, ceph, bucket, secret_access_key="wrong")
    for words in [("ls", place), ("cat", place + "a")]:
        result = storage(*words)
        assert result.status == 1 and "403" in result.stderr
        assert result.stderr.endswith("(storage: datalake)\n"), result.stderr
    describe(world, ceph, bucket, endpoint=ceph.endpoint + "/no-such-base/")
    result = storage("cat", place + "a")
    assert result.status == 1 and "404" in result.stderr, result.stderr
    assert f"the endpoint '{ceph.endpoint}/no-such-base/' has a path" in result.stderr
    describe(world, ceph, bucket)
    result = storage("cat", place + "a")
    assert result.status == 1 and "404" in result.stderr and "endpoint" not in result.stderr


def test_a_denial_by_google_names_the_store(storage, world, gcs):
    gcs.store.make_bucket("lake")
    world.config(json.dumps({"storage": {"datalake": {
        "bucket": "lake", "endpoint": gcs.endpoint, "access_token": "stale"}}}))
    result = storage("ls", "gs://lake/")
    assert result.status == 1 and "401" in result.stderr
    assert result.stderr.endswith("(storage: datalake)\n"), result.stderr


@pytest.mark.parametrize("place, meant", [("S3://b/k", "s3://b/k"), ("gcs://b/k", "gs://b/k"),
                                          ("https://b/k", "s3://BUCKET/KEY (or gs://)")])
def test_schemes_that_nearly_exist(storage, place, meant):
    result = storage("ls", place)
    assert result.status != 0 and "did you mean" in result.stderr and meant in result.stderr


def test_requests_are_logged_on_demand(storage, s3, ceph):
    s3.put("a", b"1")
    result = storage("cp", "-v", s3.base + "a", "x")
    assert result.status == 0
    assert f"GET {ceph.endpoint}/{s3.bucket}/a: 200" in result.text
    assert ceph.secret_key not in result.stderr and "Signature" not in result.stderr


def test_it_goes_on_if_asked_to(storage, world, lake):
    lake.put("d/a/b", b"1")
    lake.put("d/c", b"2")
    (world.root / "out").mkdir()
    (world.root / "out" / "a").write_text("in the way")
    result = storage("cp", "-r", "-k", "--json", lake.base + "d/", "out")
    told = json.loads(result.stdout)
    assert (result.status, told["objects"], told["failed"]) == (1, 1, 1)
    assert told["error"] in result.stderr and result.stderr.count("run-core:") == 1
    assert (world.root / "out/c").read_text() == "2"
    assert storage("cp", "-r", lake.base + "d/", "out").status != 0


# ---- stopped in the middle ---------------------------------------------------------------------------


def wait_until(condition, timeout_s=PATIENCE_S):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_unfinished_upload(world, s3, number):
    (world.root / "big").write_bytes(os.urandom(64 * MIB))
    process = world.start("storage", "cp", "--limit-rate", "4MiB", "big", s3.base + "big")
    wait_until(s3.uploads)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert b"stopped by the signal" in stderr
    assert s3.uploads() == [] and s3.names() == []


def test_stdin_that_says_nothing_can_be_interrupted(world, s3):
    process = subprocess.Popen([BUILD / "run-core", "storage", "cp", "-", s3.base + "in"],
                               env=world.environment, stdin=subprocess.PIPE)
    process.stdin.write(b"x" * 20 * MIB)
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    assert s3.uploads() == [] and s3.names() == []


def test_what_a_killed_one_left_is_swept(storage, world, s3):
    (world.root / "big").write_bytes(os.urandom(64 * MIB))
    process = world.start("storage", "cp", "--limit-rate", "4MiB", "big", s3.base + "x/big")
    wait_until(s3.uploads)
    process.kill()
    process.communicate()
    assert s3.names() == [] and len(s3.uploads()) == 1
    assert "gave up 0 unfinished uploads" in good(storage("sweep", s3.base)).stdout
    time.sleep(1.1)  # the server tells when it began to the second
    for place in [s3.base, s3.base[:-1], s3.base + "x/b"]:
        dry = good(storage("sweep", "--dry-run", "--older", "0", place)).stdout
        assert dry.startswith(f"would give up the upload to '{s3.base}x/big' of 20"), dry
        assert dry.endswith("would have given up 1 unfinished upload\n")
    told = lines(good(storage("sweep", "-n", "--json", "--older", "0", s3.base)))
    assert told[0].pop("begun").endswith("Z")
    assert told == [{"act": "give up", "uri": s3.base + "x/big"}, {"swept": 1, "dry_run": True}]
    assert len(s3.uploads()) == 1
    assert good(storage("sweep", "--older", "0", s3.base + "other")).stdout.startswith("gave up 0")
    assert lines(good(storage("sweep", "--json", "--older", "0", s3.base))) == [
        {"swept": 1, "dry_run": False}]
    assert s3.uploads() == []


def test_a_killed_copy_is_resumed(storage, world, s3, proxy):
    fill(s3, 1000)
    world.environment["AWS_ENDPOINT_URL"] = proxy.endpoint
    proxy.rules.add(method="GET", target="/many/", delay_ms=20, times=None)
    words = ["cp", "-r", "--json", "--resume", "token", s3.base + "many/", "down"]
    process = world.start("storage", *words, "--width", "1")
    wait_until((world.root / "token").exists)
    process.kill()
    process.communicate()
    proxy.rules.clear()
    down = {p.name: p.read_text() for p in (world.root / "down").glob("[0-9]*")}
    before = len(down)
    assert 0 < before < 1000
    assert down == {name: str(int(name)) for name in down}
    told = json.loads(good(storage(*words)).stdout)
    assert 1000 - before <= told["objects"] < 1000
    assert sorted(os.listdir(world.root / "down")) == [f"{i:05}" for i in range(1000)]
    assert not (world.root / "token").exists()
    foreign = world.root / "token"
    foreign.write_text("name,price\n")
    result = storage(*words)
    assert result.status == 2 and "no token to resume" in result.stderr
    assert "'token'" in result.stderr and "remove the file to begin anew" in result.stderr
    assert foreign.read_text() == "name,price\n"


def test_a_move_that_is_stopped_loses_nothing(world, s3, proxy):
    fill(s3, 300)
    world.environment["AWS_ENDPOINT_URL"] = proxy.endpoint
    proxy.rules.add(method="GET", target="/many/", delay_ms=20, times=None)
    process = world.start("storage", "mv", "-r", "--json", s3.base + "many/", "down",
                          "--width", "2")
    wait_until(lambda: (world.root / "down").exists() and len(os.listdir(world.root / "down")) > 20)
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM
    told = json.loads(stdout)
    left = {name.split("/")[1] for name in s3.names()}
    moved = {p.name for p in (world.root / "down").iterdir()}
    assert left | moved == {f"{i:05}" for i in range(300)}
    # What the store still did while it was told to stop is not counted.
    assert told["objects"] <= 300 - len(left) and told["failed"] == 0
    assert "asked to stop" in told["error"]


def test_progress_is_shown_on_a_terminal_only(world, s3):
    (world.root / "a").write_bytes(os.urandom(8 * MIB))
    ours, theirs = os.openpty()
    process = world.start("storage", "cp", "--limit-rate", "4MiB", "a", s3.base + "a",
                          stderr=theirs, env={"TERM": "xterm"})
    stdout, _ = process.communicate(timeout=PATIENCE_S)
    os.close(theirs)
    shown = os.read(ours, MIB).decode()
    os.close(ours)
    assert process.returncode == 0 and b"copied 1 object (8 MiB)" in stdout
    assert "/8 MiB" in shown and shown.endswith("\r\033[K")


def test_the_rate_is_held(storage, world, s3):
    (world.root / "a").write_bytes(os.urandom(3 * MIB))
    began = time.monotonic()
    good(storage("cp", "--limit-rate", "1MiB", "a", s3.base + "a"))
    assert time.monotonic() - began > 1.0


# ---- buckets -----------------------------------------------------------------------------------------


def test_a_bucket_is_made_and_removed(storage, lake):
    """On each store: what is there stays with what is in it."""
    place = lake.base.rstrip("/")
    lake.put("x", b"x")
    assert good(storage("mb", place)).stdout == f"made '{place}'\n"
    result = storage("rb", place)
    assert result.status == 1
    assert "what is in it" in result.stderr or "not empty" in result.stderr
    assert lake.names() == ["x"]
    good(storage("rm", "--recursive", "--force", lake.base))
    assert good(storage("rb", "-n", place)).stdout == f"would remove '{place}'\n"
    assert lines(good(storage("rb", "--json", place))) == [
        {"act": "remove", "uri": place, "dry_run": False}]
    result = storage("rb", place)
    assert result.status == 1 and result.stdout == ""
    assert good(storage("mb", "-q", place, place)).stdout == ""
    lake.put("y", b"y")
    assert lake.names() == ["y"]


@pytest.mark.parametrize("command", ["mb", "rb"])
def test_a_bucket_is_named_alone(storage, s3, command):
    result = storage(command, s3.base, s3.base + "key")
    assert result.status == 2 and "name the bucket alone" in result.stderr
    assert s3.client.head_bucket(Bucket=s3.bucket)
