"""Nothing is lost: sdrs is killed again and again as it moves and restores, on a network that breaks
and slows down, into a shadow that is full, while others add and replace objects. Whoever judges lists
both buckets after each kill, see sdrs_checker.py.

Here are some thousand objects; with RUN_CORE_FULL=1 there are 100,000."""
import contextlib
import os
import signal
import time

from conftest import PATIENCE_S, mounted, resize
from sdrs_checker import (BUCKET, SHADOW, Checker, FileLake, GoogleLake, S3Lake, Webhook, Writer,
                          is_due, job_statuses)
from sdrs_google_world import google  # noqa: F401, a fixture
from sdrs_world import SdrsWorld, sdrs  # noqa: F401, a fixture

# pylint: disable=redefined-outer-name

FULL = bool(os.environ.get("RUN_CORE_FULL"))
NOW, LATER = "2026-02-10T12:00:00Z", "2026-02-10T18:00:00Z"  # with 30 days: what is_due() says
LARGE = 20 << 20
LIMIT_S = 3600 if FULL else PATIENCE_S


class Ordeal:
    """What is done to one lake."""

    def __init__(self, lake, rng, count, kills):
        self.lake, self.sdrs, self.rng = lake, lake.sdrs, rng
        self.count, self.kills = count, kills
        self.checker = Checker(lake)
        self.killed, self.began_s = 0, time.monotonic()

    def key(self, i):
        if i % 20:
            return f"clicks/2026/01/0{i % 9 + 1}/{i % 24:02}/{i:06}"
        return (f"clicks/2026/01/11/12/{i:06}", f"clicks/note {i}", f"other/2020/01/01/00/{i}",
                f"clicks2/2020/01/01/00/{i}")[i // 20 % 4]

    def fill(self):
        self.checker.fill({self.key(i): f"data {i}".encode() for i in range(self.count)})
        for i in range(2):
            self.checker.write(f"clicks/2026/01/01/00/large-{i}", self.rng.randbytes(LARGE))
        here, there = self.checker.check()
        self.note("is full")
        assert len(here) == self.count + 2 and there == {}

    def note(self, what):
        print(f"{time.monotonic() - self.began_s:7.1f} s  {what}", flush=True)

    def run(self, action, status=0, now=NOW, **options):
        process = self.sdrs.start(action, now=now, **options)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
        said = (out + err).decode("utf-8", "replace")
        assert process.returncode == status, said[-4000:]
        return said

    def kill(self, action, moment, first=BUCKET, **options):
        """Runs it until the moment has come, and kills all of its processes."""
        log = self.sdrs.world.root / "killed.log"
        with open(log, "wb") as said:
            process = self.sdrs.start(action, now=NOW, **options, process={
                "start_new_session": True, "stdout": said, "stderr": said})
        end = time.monotonic() + LIMIT_S
        while process.poll() is None and not moment():
            assert time.monotonic() < end
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        self.killed += status == -signal.SIGKILL
        assert status in (0, 1, -signal.SIGKILL), log.read_text("utf-8", "replace")[-4000:]
        here, there = self.checker.check(first)
        self.note(f"{action} {'killed' if status < 0 else status}: {len(here)} here, "
                  f"{len(there)} in the shadow, {len(here.keys() & there.keys())} in both")

    def moment(self):
        """When so many requests were made as most of the objects need, or fewer."""
        at = self.lake.progress() + self.rng.randrange(2 * self.count // self.kills)
        return lambda: self.lake.progress() >= at

    def execute_to_the_end(self):
        """Undisturbed, all goes its way, and nothing is left open."""
        self.run("execute")
        self.run("validate", now=LATER)
        here, there = self.checker.check()
        due = {key: data for key, data in self.checker.latest.items() if is_due(key)}
        assert there == due
        assert here == {key: data for key, data in self.checker.latest.items() if key not in due}
        self.checker.check_bytes(SHADOW, self.sample(there))
        statuses = job_statuses(self.sdrs)
        assert set(statuses) <= {"success", "error"} and statuses[-1] == "success"
        self.note("moved")
        before = len(statuses)
        self.run("execute")
        assert self.checker.check() == (here, there)
        assert job_statuses(self.sdrs)[before:] == ["success"]

    def restore_all(self):
        """Batch by batch; a kill in the midst of it."""
        batches = self.checker.batches()
        self.rng.shuffle(batches)
        self.kill("restore", self.moment(), first=SHADOW, batch=batches[0])
        for batch in batches:
            self.run("restore", batch=batch)
        self.note("restored")
        here, there = self.checker.check(first=SHADOW)
        assert there == {} and here == self.checker.latest
        self.checker.check_bytes(BUCKET, self.sample(here))

    def sample(self, keys):
        large = [key for key in keys if "large" in key]
        return large + self.rng.sample(sorted(keys), 100)

    def report(self, writer):
        self.note(f"{len(self.checker.latest)} objects, {writer.written} written meanwhile, "
                  f"{self.killed} kills, {self.checker.checks} looks, "
                  f"{len(self.checker.batches())} batches")


@contextlib.contextmanager
def told(sdrs):
    with Webhook() as webhook:
        sdrs.configure(webhook_url=f"{webhook.endpoint}/hook")
        yield webhook


# ---- buckets -------------------------------------------------------------------------------------


STORMS = [
    {"method": "PUT|POST", "status": 503, "share": 0.05},
    {"method": "GET|HEAD", "status": 500, "share": 0.05},
    {"cut_reply_bytes": 0, "share": 0.03},
    {"lost": True, "reset": True, "share": 0.03},
    {"method": "POST", "cut_reply_bytes": 0, "share": 0.5},
    {"method": "PUT", "delay_ms": 500, "share": 0.03},  # may be carried out after who asked is dead
    {"bytes_per_s": 50000, "share": 0.02},
]


def check_buckets(ordeal, fill_up=None):
    lake = ordeal.lake
    with lake.opened(ordeal.checker), told(ordeal.sdrs) as webhook:
        ordeal.fill()
        with Writer(ordeal.checker, ordeal.rng) as writer:
            if fill_up:
                fill_up()
            for _ in range(ordeal.kills):
                for storm in ordeal.rng.sample(STORMS, 3):
                    lake.rules.add(times=None, **storm)
                ordeal.kill("execute", ordeal.moment())
                lake.rules.clear()
        ordeal.execute_to_the_end()
        webhook.check(lake, filter(is_due, ordeal.checker.latest))
        ordeal.restore_all()
        ordeal.report(writer)


def test_s3(sdrs, ceph, rng):
    ordeal = Ordeal(S3Lake(sdrs, ceph), rng, 100000 if FULL else 1200, 12 if FULL else 5)

    def fill_up():
        """A third of it comes to the shadow, and what does not stays."""
        ordeal.lake.fill_up(ordeal.count // 3)
        assert "QuotaExceeded" in ordeal.run("execute", status=1)
        _, there = ordeal.checker.check()
        assert ordeal.count // 6 < len(there) < ordeal.count // 2
        ordeal.lake.fill_up(None)

    check_buckets(ordeal, fill_up)
    assert ordeal.killed > 0


def test_google(google, rng):
    ordeal = Ordeal(GoogleLake(google), rng, 10000 if FULL else 600, 20 if FULL else 5)
    check_buckets(ordeal)
    assert ordeal.killed > 0


# ---- files ---------------------------------------------------------------------------------------


def files_in(folder):
    """Or so: folders and files under way count, too."""
    found = os.statvfs(folder)
    return found.f_files - found.f_ffree


def is_full(folder):
    return os.statvfs(folder).f_bavail == 0


def check_files(ordeal, kill):
    with ordeal.lake.opened(ordeal.checker), told(ordeal.sdrs) as webhook:
        ordeal.fill()
        with Writer(ordeal.checker, ordeal.rng) as writer:
            kill()
        ordeal.execute_to_the_end()
        webhook.check(ordeal.lake, filter(is_due, ordeal.checker.latest))
        ordeal.restore_all()
        ordeal.report(writer)


def test_files(world_in_memory, rng):
    """That are renamed."""
    ordeal = Ordeal(FileLake(SdrsWorld(world_in_memory)), rng, 100000 if FULL else 4000,
                    25 if FULL else 5)

    def soon():
        at = time.monotonic() + rng.uniform(0.05, 3 if FULL else 1)
        return lambda: time.monotonic() >= at

    ordeal.moment = soon
    check_files(ordeal, lambda: [ordeal.kill("execute", soon()) for _ in range(ordeal.kills)])


def test_files_to_another_disk_that_is_full(world_in_memory, rng):
    """That are copied."""
    ordeal = Ordeal(FileLake(SdrsWorld(world_in_memory)), rng, 20000 if FULL else 2000,
                    25 if FULL else 5)
    shadow = ordeal.lake.root / SHADOW

    def moment():
        at = files_in(shadow) + rng.randrange(2 * ordeal.count // ordeal.kills)
        return lambda: files_in(shadow) >= at

    def kill():
        """Once there is no room, be it for an object or for the next list, the rest is not tried one
        by one."""
        said = ordeal.run("execute", status=1)
        assert "gave up after " in said or "write the manifest" in said, said
        assert is_full(shadow)
        _, there = ordeal.checker.check()
        assert len(there) < ordeal.count * 9 // 10
        resize(shadow, "1g")
        for _ in range(ordeal.kills):
            ordeal.kill("execute", moment())

    ordeal.moment = lambda: lambda: files_in(shadow) < ordeal.count // 2
    with mounted(shadow, f"{4 * ordeal.count // 2}k"):
        check_files(ordeal, kill)
