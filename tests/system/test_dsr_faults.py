"""Runs of dsr that are killed, stopped, short of space, disturbed by other writers or by stores
that fail: after one more run all is as it has to be, judged by dsr_checker.py.

Here runs a sample, another with another RUN_CORE_SEED; with RUN_CORE_FULL=1 there are 300 kills and
every share of failing requests.
"""
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import engines
import pytest
from conftest import PATIENCE_S, World, resize
# The fixtures are found by their names.
from dsr_checker import Checker
from dsr_world import (DAYS, ODD, Dsr, Folder, Google, InBuckets, judge,  # noqa: F401
                       literal, needs_engine, on_ceph, on_duckdb, pond_made, user)

pytestmark = needs_engine

# Statuses of run-core.
SKIPPED, TIMEOUT, TERMINATED = 3, 124, 128 + signal.SIGTERM

# Athena reads no files of a machine: those of a test are mirrored to a bucket around each run.
on_shared_files = pytest.mark.skipif(engines.ENGINE == "athena", reason="it works in buckets alone")
FILES_AND_BUCKET = [pytest.param("files", marks=on_shared_files), "bucket"]

FULL = bool(os.environ.get("RUN_CORE_FULL"))
USERS = [*(user(3, n) for n in (1, 2, 3, 17, 200)), *ODD]
ERASED = {3: (USERS, DAYS[0], DAYS[1])}


class Output:
    """Where a process that is going to be killed prints to."""

    def __init__(self, world):
        self.path = world.root / "output"

    def __enter__(self):
        self.file = self.path.open("ab")
        return {"stdout": self.file, "stderr": self.file}

    def __exit__(self, *_):
        self.file.close()

    def read(self):
        return self.path.read_bytes() if self.path.exists() else b""


def mark(dsr):
    dsr.mark_range(3, *USERS, last=DAYS[1])
    return Checker(dsr, ERASED)


def finish(dsr, checker, **options):
    """The run that has to put everything right."""
    result = dsr.run("cleanup", **options)
    output = Output(dsr.world).read()
    return checker.end(output, result.stdout.encode(), result.stderr.encode())


# ---- kill -9 -------------------------------------------------------------------------------------


def children(pid):
    """Its workers, that is: who lead a process group. The leak checker, which has a helper of its own at
    the end of a process, waits for ever for one that was killed."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return [child for child in found if leads_group(child)]


def leads_group(pid):
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def is_gone(pid):
    """Whether the last of its threads has ended, and let go of all files."""
    try:
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0]
                  for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return not Path(f"/proc/{pid}").exists()
    return set(states) <= {"Z", "X"}


def kill(dsr, after, who, **options):
    """Starts a run and kills the worker, its guard, or both. Returns whether it was in time."""
    output = Output(dsr.world)
    with output as popen:
        process = dsr.start(popen=popen, **options)
        deadline = time.monotonic() + after
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.002)
        family = [process.pid, *children(process.pid)]
        early = process.poll() is None
        for pid in {"worker": family[1:], "guard": family[:1], "both": family}[who]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the {who} was killed after {after:.2f} s, and the run goes on\n"
                        f"{output.read().decode(errors='replace')}")
    # A worker dies with its guard, but nobody waits for it.
    deadline = time.monotonic() + PATIENCE_S
    while not all(is_gone(pid) for pid in family):
        assert time.monotonic() < deadline, "the worker has outlived its guard"
        time.sleep(0.005)
    dsr.world.pull()
    return early


def kills_until(count, make, rng):
    """On one lake after the other: up to four kills, of the run and of those that recover."""
    killed = lakes = 0
    took = 1.5
    while killed < count:
        dsr = make(lakes)
        options = {"backupOriginal": rng.choice(["true", "false"])}
        checker = mark(dsr)
        planned = rng.randrange(1, 5)
        for _ in range(planned):
            who = rng.choice(["worker", "guard", "both"])
            after = rng.uniform(0.05, took)
            if not kill(dsr, after, who, **options):
                break
            killed += 1
        begun = time.monotonic()
        try:
            finish(dsr, checker, **options)
        except BaseException:
            print(f"lake {lakes}: after {killed} kills in all", options)
            raise
        if planned == 1 or lakes == 0:
            took = max(0.6, 0.7 * took + 0.3 * (time.monotonic() - begun))
        lakes += 1
    print(f"{killed} kills on {lakes} lakes")


@pytest.fixture
def worlds(world_in_memory, request):
    """As many worlds as a test asks for."""
    def make(number):
        root = world_in_memory.root / str(number)
        root.mkdir()
        world = World(root)
        engines.add(world, request)
        return world
    return make


def test_kills_on_files(worlds, pond_made, rng):  # noqa: F811
    kills_until(150 if FULL else 10, lambda number: Dsr(worlds(number), pond_made), rng)


def test_kills_in_a_bucket(worlds, pond_made, ceph, bucket, rng):  # noqa: F811
    kills_until(150 if FULL else 6, lambda number: on_ceph(worlds(number), pond_made, ceph, bucket,
                                                           below=f"{number}/"), rng)


def test_what_a_killed_run_left_goes_even_with_nothing_to_do(world, pond_made):  # noqa: F811
    dsr = Dsr(world, pond_made)
    checker = mark(dsr)
    dsr.run()
    left = world.temp / f"run-core-{os.geteuid()}" / "20260101t000000-00000000"
    left.mkdir(parents=True)
    left.parent.chmod(0o700)
    (left / "spilled").write_bytes(b"user-3-1")
    dsr.run()
    checker.end()


# ---- SIGTERM, no time, no room -------------------------------------------------------------------


def test_a_run_that_is_told_to_stop(world, pond_made, rng):  # noqa: F811
    dsr = Dsr(world, pond_made)
    checker = mark(dsr)
    with Output(world) as popen:
        run = dsr.start(popen=popen, backupOriginal="true")
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(rng.uniform(0.1, 1))
        run.terminate()
        # The last is of one that had not yet begun to listen.
        assert run.wait(timeout=PATIENCE_S) in (0, TERMINATED, -signal.SIGTERM)
    finish(dsr, checker, backupOriginal="true")


def test_a_run_whose_time_is_over(world, pond_made, rng):  # noqa: F811
    dsr = Dsr(world, pond_made)
    checker = mark(dsr)
    dsr.configure(backupOriginal="true")
    world.config(json.dumps({"jobs": {"erase": {
        "plugin": "dsr", "timeout": f"{rng.randrange(100, 1000)}ms"}}}), "20-job.yaml")
    with Output(world) as popen:
        assert world.start("run", "erase", **popen).wait(timeout=PATIENCE_S) in (0, TIMEOUT)
    (world.root / "conf.d/20-job.yaml").unlink()
    finish(dsr, checker, backupOriginal="true")


def fill(folder, left_bytes):
    """Leaves so much room."""
    room = os.statvfs(folder)
    with (folder / "filled").open("wb") as file:
        file.write(bytes(room.f_bavail * room.f_bsize - left_bytes))


def test_no_room_for_scratch_files(world, pond_made, small_disk):  # noqa: F811
    dsr = Dsr(world, pond_made)
    checker = mark(dsr)
    world.environment["TMPDIR"] = str(small_disk)
    fill(small_disk, 8 << 10)
    result = dsr.run("cleanup", status=1, backupOriginal="true")
    assert "No space left" in result.text
    assert [path.name for path in small_disk.rglob("*")] == ["filled"]
    assert dsr.markers.names() == checker.marked
    (small_disk / "filled").unlink()
    resize(small_disk, "100m")
    finish(dsr, checker, backupOriginal="true")


@on_shared_files
@pytest.mark.parametrize("place", ["data", "temp"])
def test_no_room_where_the_data_or_the_backups_are(world, pond_made, small_disk,  # noqa: F811
                                                   place):
    resize(small_disk, "20m")
    dsr = Dsr(world, pond_made, **{place: Folder(small_disk / place)})
    checker = mark(dsr)
    if place == "temp":
        (small_disk / place).mkdir()
    fill(small_disk, 4 << 10)
    result = dsr.run("cleanup", status=1, backupOriginal="true")
    assert "No space left" in result.text
    assert set(dsr.data.names()) <= set(checker.before), "a half file"
    assert dsr.markers.names() == checker.marked
    (small_disk / "filled").unlink()
    finish(dsr, checker, backupOriginal="true")


# ---- readers and other writers -------------------------------------------------------------------


class Reader:
    """Reads every object of a lake again and again while something happens to it."""

    def __init__(self, place):
        self.place = place
        self.seen = {name: set() for name in place.names()}
        self.rounds = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.stop.is_set():
            for name, contents in self.seen.items():
                try:
                    contents.add(self.place.get(name))
                except Exception as error:  # pylint: disable=broad-except
                    # Nothing else than that it is not there; what a client calls that differs.
                    if not re.search("No such file|NoSuchKey", str(error)):
                        raise
                    contents.add(None)
            self.rounds += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@pytest.mark.parametrize("where", FILES_AND_BUCKET)
def test_readers_see_the_old_file_or_the_new_one(world, pond_made, request, where):  # noqa: F811
    if where == "files":
        dsr = Dsr(world, pond_made)
    else:
        dsr = on_ceph(world, pond_made, request.getfixturevalue("ceph"),
                      request.getfixturevalue("bucket"))
    checker = mark(dsr)
    with Reader(dsr.data) as reader:
        finish(dsr, checker)
    assert reader.rounds > 0
    after = {name: dsr.data.get(name) for name in dsr.data.names()}
    for name, contents in reader.seen.items():
        assert contents <= {checker.before[name], after.get(name)}, name


class Generations:
    """Files for one place, each with a number in its metadata, which the file keeps when it loses
    rows: every one holds a user who is to be erased."""
    COUNT = 30

    def __init__(self, folder):
        folder.mkdir()
        judge("".join(
            f"COPY (SELECT 'user-3-' || (i % 50) AS id, {n} AS number, i AS row FROM "
            f"range({100 + n}) r(i)) TO {literal(folder / str(n))} (FORMAT parquet, KV_METADATA "
            f"{{gen: 'gen-{n:06}'}});" for n in range(self.COUNT)) + "SELECT 1;")
        self.files = [(folder / str(n)).read_bytes() for n in range(self.COUNT)]

    @staticmethod
    def of(data):
        return int(re.search(rb"gen-(\d{6})", data).group(1))


class Rival:
    """Replaces an object again and again, after it has looked whether there is what it wrote last,
    or that without some rows: else something newer was overwritten."""
    WRITES = 15

    def __init__(self, place, name, generations, rng):
        self.place, self.name, self.generations, self.rng = place, name, generations, rng
        self.lost, self.writes, self.last = [], 0, None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def put(self, data):
        if not isinstance(self.place, Folder):
            self.place.put(self.name, data)
            return
        path = self.place.root / self.name
        temp = path.with_name(".rival")
        temp.write_bytes(data)
        temp.rename(path)

    def look(self):
        found = Generations.of(self.place.get(self.name))
        if found != self.last:
            self.lost.append((self.last, found))

    def write(self):
        number = self.writes % len(self.generations.files)
        if self.last is not None:
            self.look()
        self.put(self.generations.files[number])
        self.last, self.writes = number, self.writes + 1

    def work(self):
        while self.writes < self.WRITES and not self.stop.wait(self.rng.uniform(0, 0.3)):
            self.write()

    def __enter__(self):
        self.write()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.look()


@pytest.mark.parametrize("where", FILES_AND_BUCKET)
def test_what_others_write_meanwhile_is_never_lost(world, pond_made, request,  # noqa: F811
                                                   tmp_path, rng, where):
    """Files with rows of the users too: whatever lies there in the end has lost them."""
    generations = Generations(tmp_path / "generations")
    if where == "files":
        dsr = Dsr(world, pond_made)
    else:
        dsr = on_ceph(world, pond_made, request.getfixturevalue("ceph"),
                      request.getfixturevalue("bucket"))
    name = f"users/shard=3/day={DAYS[0]}/part-0.parquet"
    dsr.remember()
    dsr.configure(attempts=30)
    with Rival(dsr.data, name, generations, rng) as rival:
        while rival.writes < 2:  # a run may be over before the rival writes again
            dsr.mark_range(3, *USERS, last=DAYS[1])
            # It fails if the rival is the last to write before all is searched again.
            assert world.run("dsr").status in (0, 1)
    assert rival.writes > 1 and not rival.lost, (rival.writes, rival.lost)
    if not dsr.markers.names():
        dsr.mark_range(3, *USERS, last=DAYS[1])
    dsr.run()
    (dsr.before / name).write_bytes(generations.files[rival.last])
    dsr.check(ERASED)
    dsr.check_nothing_left()


# ---- several runs at once ------------------------------------------------------------------------


def test_runs_at_once(world, pond_made):  # noqa: F811
    dsr = Dsr(world, pond_made)
    checker = mark(dsr)
    runs = [dsr.start("cleanup", "--json") for _ in range(3)]
    ends = [(run.communicate(timeout=PATIENCE_S)[0], run.returncode) for run in runs]
    world.pull()
    statuses = sorted(status for _, status in ends)
    assert statuses[0] == 0 and set(statuses) <= {0, SKIPPED}, ends
    found = checker.end()
    counted = [json.loads(out)["counters"] for out, _ in ends]
    assert sum(one.get("rows_deleted", 0) for one in counted) == found["rows"]
    assert sum(one.get("markers", 0) for one in counted) == len(checker.marked)


@pytest.mark.parametrize("where", FILES_AND_BUCKET)
def test_runs_that_share_no_state_database(world, pond_made, request, where):  # noqa: F811
    """No lock keeps them apart; the store's conditions do."""
    if where == "files":
        dsr = Dsr(world, pond_made)
    else:
        dsr = on_ceph(world, pond_made, request.getfixturevalue("ceph"),
                      request.getfixturevalue("bucket"))
    checker = mark(dsr)
    runs = []
    for number in range(2):
        world.environment["RUN_CORE_STATE"] = str(world.root / f"state-{number}")
        runs.append(dsr.start())
    ends = [(run.communicate(timeout=PATIENCE_S)[1], run.returncode) for run in runs]
    assert {status for _, status in ends} <= {0, 1}, ends
    for number in range(2):
        world.environment["RUN_CORE_STATE"] = str(world.root / f"state-{number}")
        dsr.run()
    found = checker.data()
    checker.left()
    # Each row is in one of the records; where both runs made the same of the same file, either may
    # take it for its own, since nothing tells them apart.
    assert found["rows"] <= sum(line["rows"] for line in dsr.records()) <= 2 * found["rows"]


# ---- stores that fail ----------------------------------------------------------------------------


ERROR = "<Error><Code>{}</Code><Message>again</Message></Error>"
FAULTS = {
    "500": {"status": 500, "body": ERROR.format("InternalError")},
    "503": {"status": 503, "body": ERROR.format("SlowDown")},
    "503 early": {"status": 503, "body": ERROR.format("SlowDown"), "early": True},
    "412": {"status": 412, "body": ERROR.format("PreconditionFailed")},
    "403": {"status": 403, "body": ERROR.format("AccessDenied")},
    "lost": {"lost": True},
    "reset": {"lost": True, "reset": True},
    "lost answer": {"cut_reply_bytes": 0},
    "lost answer, reset": {"cut_reply_bytes": 0, "reset": True},
    "cut request": {"cut_request_body_bytes": 100},
    "cut reply": {"cut_reply_body_bytes": 10},
    "wrong tag": {"set_headers": {"ETag": '"00000000000000000000000000000000"',
                                  "x-goog-generation": "1"}},
}


def faults(rng, count):
    """Every one of n requests, and what happens to it."""
    all_of_them = [(n, name) for n in range(2, 41) for name in FAULTS]
    return all_of_them if FULL else rng.sample(all_of_them, count)


def fail(dsr, rules, every, fault):
    checker = mark(dsr)
    # Who tells another tag says that somebody else's object is there.
    checker.may_be_unconfirmed = fault == "wrong tag"
    dsr.configure(backupOriginal="true", width=4)
    rules.add(every=every, times=None, **FAULTS[fault])
    outputs = []
    for _ in range(2):
        result = dsr.world.run("dsr")
        outputs += [result.stdout.encode(), result.stderr.encode()]
        if result.status == 0:
            break
        assert result.status in (1, 3), result.stderr
    rules.clear()
    try:
        result = dsr.run()
        checker.end(*outputs, result.stdout.encode(), result.stderr.encode())
    except BaseException:
        print(f"every {every}th request: {fault}")
        raise


def test_a_bucket_that_fails(worlds, pond_made, ceph, bucket, proxy, rng):  # noqa: F811
    for number, (every, fault) in enumerate(faults(rng, 3)):
        dsr = on_ceph(worlds(number), pond_made, ceph, bucket, below=f"{number}/",
                      endpoint=proxy.endpoint)
        fail(dsr, proxy.rules, every, fault)


@on_duckdb  # which reads by run-core; a server would have to know of the stand-in by itself
def test_a_bucket_of_google_that_fails(worlds, pond_made, gcs, rng):  # noqa: F811
    for number, (every, fault) in enumerate(faults(rng, 2)):
        name = f"lake-{number}"
        gcs.store.make_bucket(name)
        store = {"bucket": name, "endpoint": gcs.endpoint, "access_token": gcs.tokens.issue(3600)}
        dsr = InBuckets(worlds(number), pond_made,
                        lambda folder, name=name: Google(gcs.store, name, folder), {"gcs": store})
        fail(dsr, gcs.rules, every, fault)
