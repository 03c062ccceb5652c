"""The sample conf.d/delta-initiator.yaml in the daemon, with either form of the older
system's configuration."""

import shutil

import pytest
from conftest import SOURCE
from daemon import Clock, Daemon
from api_world import until
from delta_world import Consumer, Stream, delta_world

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
EVENING = 1767222000000  # 2025-12-31T23:00:00Z


class Deployment:
    """Streams, and the daemon that looks after them."""

    def __init__(self, delta):
        self.delta, self.world = delta, delta.world
        self.daemon = None

    def configure_by_environment(self, **variables):
        self.delta.use_environment(**variables)
        return self.use_sample()

    def configure_by_file(self, streams, entries):
        file = self.delta.use_file(streams, entries=entries)
        self.world.environment["CONFIG_FILE"] = str(file)
        return self.use_sample()

    def use_sample(self):
        folder = self.world.root / "conf.d"
        shutil.rmtree(folder)
        folder.mkdir()
        text = (SOURCE / "conf.d" / "delta-initiator.yaml").read_text()
        (folder / "delta-initiator.yaml").write_text(text)
        return self

    def hurry(self, attempts=30):
        """Pauses before further attempts are of real time, whatever the clock shows."""
        file = self.world.root / "conf.d" / "delta-initiator.yaml"
        text = file.read_text()
        usual = "attempts: 30, backoff: 2m, max_backoff: 15m"
        assert text.count(usual) == 2
        file.write_text(text.replace(
            usual, f"attempts: {attempts}, backoff: 200ms, max_backoff: 400ms"))

    def start(self, clock=None):
        environment = {"RUN_CORE_CLOCK": clock} if clock else None
        self.daemon = Daemon(self.world, environment).start()
        return self.daemon

    def schedules(self):
        jobs = self.world.run("list", "--json").final["jobs"]
        return {job["name"]: job["schedule"] for job in jobs}


@pytest.fixture
def deployment(world, virtuoso):
    with delta_world(world, virtuoso) as delta:
        made = Deployment(delta)
        yield made
        if made.daemon and made.daemon.process.poll() is None:
            made.daemon.stop()


@pytest.fixture
def clock(world):
    return Clock(world.root / "clock", EVENING)


def test_the_environment_gives_the_schedules(deployment):
    deployment.configure_by_environment(CRON_PATTERN_DUMP_JOB="0 0 0 * * 6")
    assert deployment.world.run("check").status == 0
    assert deployment.schedules() == {
        "initial-sync": "@startup", "initial-sync-later": "@every 1h",
        "healing": "0 0 0 * * *", "dump": "0 0 0 * * 6"}


def test_the_file_gives_jobs_of_each_stream(deployment):
    streams = [Stream("besluiten"), Stream("leiding")]
    deployment.configure_by_file(streams, [{"cronPatternDumpJob": "0 30 4 * * *"},
                                           {"cronPatternHealingJob": ""}])
    assert deployment.world.run("check").status == 0
    assert deployment.schedules() == {
        "initial-sync-besluiten": "@startup", "initial-sync-leiding": "@startup",
        "initial-sync-later": "@every 1h",
        "healing-besluiten": "0 0 2 * * *", "healing-leiding": "0 0 0 * * *",
        "dump-besluiten": "0 30 4 * * *", "dump-leiding": "0 0 0 * * 6"}


def test_a_mistake_in_the_file_is_told_by_check(deployment):
    streams = [Stream("besluiten"), Stream("leiding")]
    deployment.configure_by_file(streams, [{}, {"healingJobOperation": "heal"}])
    result = deployment.world.run("check")
    assert result.status == 2
    assert "entry 2, 'leiding'" in result.stderr and "healingJobOperation" in result.stderr


def test_the_start_begins_the_initial_sync(deployment):
    deployment.configure_by_environment(START_INITIAL_SYNC="true").start()
    delta = deployment.delta
    job, = until(delta.jobs)
    assert (job.kind, job.status) == ("initial-sync", "busy")
    assert delta.run("healing").status == 3
    with Consumer(delta):
        until(lambda: delta.jobs()[0].status == "success")
    assert deployment.world.run("trigger", "dump", "--wait").status == 0
    deployment.daemon.stop()
    deployment.start()
    rows = until(lambda: [row for row in deployment.daemon.runs("initial-sync")
                          if row["status"] == "succeeded"][1:])
    assert rows and [one.kind for one in delta.check_whole()] == ["initial-sync", "dump"]


def test_what_is_disabled_is_not_tried_again_and_again(deployment):
    deployment.configure_by_environment(ENABLE_HEALING_JOB_OPERATION="false",
                                        HEAL_MUST_WAIT_FOR_INITIAL_SYNC="false").start()
    assert deployment.world.run("trigger", "healing", "--wait").status == 0
    row, = deployment.daemon.runs("healing")
    assert (row["status"], row["attempt"]) == ("succeeded", 1)
    assert deployment.delta.jobs() == []


def test_only_streams_that_want_it_begin_at_the_start(deployment):
    streams = [Stream("besluiten"), Stream("leiding")]
    deployment.configure_by_file(streams, [{"startInitialSync": True}, {}]).start()
    until(lambda: deployment.delta.jobs(streams[0]))
    until(lambda: deployment.daemon.runs("initial-sync-leiding", status="succeeded"))
    assert deployment.delta.jobs(streams[1]) == []
    deployment.delta.end(*streams)


def test_healing_and_dump_of_one_midnight_come_one_after_the_other(deployment, clock):
    deployment.configure_by_environment().hurry()
    delta = deployment.delta
    delta.insert_job("initial-sync", "success")
    with Consumer(delta, busy_s=1, now_s=lambda: clock.now() / 1000) as consumer:
        daemon = deployment.start(f"@{clock.path}")
        clock.set(EVENING + HOUR_MS)
        daemon.wait_for(lambda: len(consumer.ended) == 2)
        assert consumer.most_active == 1
    jobs = delta.check_whole(active=0)
    assert sorted(job.kind for job in jobs) == ["dump", "healing", "initial-sync"]
    for name in ("healing", "dump"):
        daemon.wait_for(lambda: daemon.runs(name, status="succeeded"))
    attempts = sorted(daemon.runs(name)[0]["attempt"] for name in ("healing", "dump"))
    assert attempts[0] == 1 and attempts[1] > 1
    assert len(delta.errors()) == 1


def test_a_failed_initial_sync_is_begun_again_by_itself(deployment, clock):
    deployment.configure_by_environment(START_INITIAL_SYNC="true")
    deployment.start(f"@{clock.path}")
    delta = deployment.delta
    now_s = lambda: clock.now() / 1000  # noqa: E731
    with Consumer(delta, outcome=lambda kind: "failed", now_s=now_s):
        until(lambda: [job for job in delta.jobs() if job.status == "failed"])
    for hours in (1, 2):
        clock.set(EVENING + hours * HOUR_MS + MINUTE_MS)
        until(lambda: [row for row in deployment.daemon.runs("initial-sync-later")
                       if row["status"] not in ("due", "started")][hours - 1:])
    assert [job.status for job in delta.check_whole()] == ["failed", "busy"]
