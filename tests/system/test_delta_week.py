"""A week of the sample conf.d/delta-initiator.yaml in the daemon, under a clock that is moved: what
the older system's deployments ask for, with all that may come in between; and then every job, every
error and every slot is accounted for."""
import time
from datetime import datetime, timedelta, timezone

import pytest
from daemon import Clock, Daemon
from delta_week import DAY_S, Account, Night, Week
from api_world import until
from delta_world import DeltaWorld, Stream, unix_s
from test_delta_daemon_config import Deployment

START = "2026-03-02T20:30:00Z"  # a Monday
DAYS = [(datetime(2026, 3, 2, tzinfo=timezone.utc) + timedelta(i)).strftime("%Y-%m-%d")
        for i in range(8)]


@pytest.fixture
def make_week(world, virtuoso, sparql_proxy):
    """Makes one of 'streams', which 'configure' gives to a Deployment."""
    made = []

    def make(streams, configure, attempts=30):
        delta = DeltaWorld(world, sparql_proxy, streams[0])
        deployment = Deployment(delta)
        configure(deployment)
        deployment.hurry(attempts)
        clock = Clock(world.root / "clock", round(unix_s(START) * 1000))
        made.append(Week(delta, clock, streams,
                         Daemon(world, {"RUN_CORE_CLOCK": f"@{clock.path}"})))
        return made[-1]

    yield make
    for week in made:
        if week.daemon.process and week.daemon.process.poll() is None:
            week.daemon.kill()
        week.delta.end(*week.streams)


def nightly(stream, kind, at="00:00", job=None, days=None):
    return Night(stream, kind, job or kind,
                 [unix_s(f"{day}T{at}:00Z") for day in days or DAYS[1:]])


def tried_again(week, *names, than=1):
    """That each has ended, or has been skipped so often and waits."""
    until(lambda: all(status in ("succeeded", "skipped") or attempt > than
                      for attempt, status in map(week.attempts, names)))


def between_attempts(week, name):
    """The clock is not to be moved below one: it bears the time at which it has begun."""
    until(lambda: week.attempts(name)[1] == "succeeded" or any(
        row["not_before_unix_ms"] > week.clock.now() + 100
        for row in week.daemon.runs(name, status="due")))


def hours_of(week, day, *times):
    for at in times:
        week.go_to(f"{day}T{at}:00Z")
        week.settle()


# ---- what may happen at a midnight -------------------------------------------------------------


def the_initial_sync_goes_on(week, day):
    """It is not done before midnight; healing and dump wait for it."""
    week.go_to(f"{day}T00:00:00Z")
    tried_again(week, "healing", "dump")
    assert [job.kind for job in week.delta.jobs() if job.status == "busy"] == ["initial-sync"]
    week.services.held.clear()


def nothing_happens(week, day):
    week.go_to(f"{day}T00:00:00Z")


def the_daemon_is_killed(week, day):
    """While one of both jobs is worked on and the other waits for it."""
    week.services.held = {("", "healing"), ("", "dump")}
    week.go_to(f"{day}T00:00:00Z")
    until(lambda: sorted(week.attempts(name)[1] for name in ("healing", "dump"))[-1] == "succeeded"
          and week.delta.active())
    tried_again(week, "healing", "dump")
    week.daemon.kill()
    week.daemon.start()
    tried_again(week, "healing", "dump", than=week.attempts("healing")[0])
    assert len(week.delta.active()) == 1
    week.services.held.clear()


def the_store_is_away(week, day):
    """From before midnight until some time behind it, which is real: a run that waits counts the
    time itself."""
    week.delta.asked.down()
    try:
        week.go_to(f"{day}T00:00:00Z")
        for name in ("healing", "dump"):
            until(lambda name=name: week.attempts(name) == (1, "started"))
        time.sleep(2)
        assert not week.delta.active()
    finally:
        week.delta.asked.up()


def a_healing_is_never_finished(week, day):
    """Its service has died; after JOB_TIMEOUT_MINUTES it is no longer in the way."""
    week.services.held = {("", "healing")}
    week.go_to(f"{day}T00:00:00Z")
    until(lambda: [job for job in week.delta.active() if job.kind == "healing"])
    tried_again(week, "dump")
    hung, = [job for job in week.delta.active() if job.kind == "healing"]
    between_attempts(week, "dump")
    week.go_to(f"{day}T03:01:00Z")
    until(lambda: hung.uri not in [job.uri for job in week.delta.active()])
    week.services.held.clear()
    failed, = [job for job in week.delta.jobs() if job.uri == hung.uri]
    assert failed.status == "failed" and list(failed.tasks.values()) == [["failed"]]


# ---- weeks -------------------------------------------------------------------------------------


def spoil_jobs(pick, **fields):
    """Changes the first job that 'pick' picks."""
    def change(facts):
        for jobs in facts.jobs.values():
            for job in jobs:
                if pick(job):
                    for name, value in fields.items():
                        setattr(job, name, value(job))
                    return
        raise AssertionError("there is no such job")
    return change


def drop_row(facts):
    facts.rows.remove(next(row for row in facts.rows if row["job"] == "dump" and row["slot"]))


def repeat_error(facts):
    errors = next(errors for errors in facts.errors.values() if errors)
    errors.append(errors[0])


def lose_job(facts):
    jobs = next(iter(facts.jobs.values()))
    jobs.remove(next(job for job in jobs if job.kind == "dump"))


def see_two(facts):
    seen = next(iter(facts.seen.values()))
    seen.append({"a": ("healing", "busy"), "b": ("dump", "scheduled"),
                 "c": ("initial-sync", "success")})


# What the account has to find, if it is put into the facts.
FAULTS = [
    drop_row, repeat_error, lose_job, see_two,
    spoil_jobs(lambda job: job.kind == "healing", created_s=lambda job: job.created_s - DAY_S),
    spoil_jobs(lambda job: job.kind == "healing",
               modified_s=lambda job: job.modified_s + 2 * DAY_S),
    spoil_jobs(lambda job: job.kind == "initial-sync" and job.status == "success",
               statuses=lambda job: ["failed"]),
    spoil_jobs(lambda job: job.kind == "dump", statuses=lambda job: ["busy"]),
]


def test_a_week_by_the_environment(make_week):
    stream = Stream()
    week = make_week([stream], lambda deployment: deployment.configure_by_environment(
        START_INITIAL_SYNC="true", JOB_TIMEOUT_MINUTES="180"))
    week.failing = 1
    with week.open():
        until(lambda: [job for job in week.delta.jobs() if job.status == "failed"])
        hours_of(week, DAYS[0], "21:00")
        assert [job.status for job in week.delta.jobs()] == ["failed"]  # too short ago
        week.services.held = {("", "initial-sync")}
        hours_of(week, DAYS[0], "22:00")
        assert [job.status for job in week.delta.jobs()] == ["failed", "busy"]
        for day, midnight in zip(DAYS[1:], [
                the_initial_sync_goes_on, nothing_happens, the_daemon_is_killed,
                the_store_is_away, a_healing_is_never_finished, nothing_happens,
                nothing_happens]):
            midnight(week, day)
            week.settle()
            hours_of(week, day, "04:00", "12:00", "23:00")
    account = Account(week, [nightly(stream, "healing"), nightly(stream, "dump")],
                      "initial-sync-later")
    assert not account.mistakes(), "\n".join(account.wrong)
    assert all(row["status"] == "succeeded" for night in account.nights
               for row in account.rows_of(night.job))
    for i, fault in enumerate(FAULTS):
        assert account.changed(fault).mistakes(), f"the account does not find fault {i}"


def test_a_week_of_two_streams_by_the_file(make_week):
    """One stream's initial sync takes until after the first night, whose healing and dump are
    given up; no daemon is there in the second one."""
    early, late = Stream("besluiten"), Stream("leiding")
    week = make_week([early, late], lambda deployment: deployment.configure_by_file(
        [early, late], [{"startInitialSync": True},
                        {"startInitialSync": True, "cronPatternHealingJob": "0 0 0 * * *",
                         "cronPatternDumpJob": "0 0 0 * * *"}]), attempts=8)
    week.services.held = {("leiding", "initial-sync")}
    with week.open():
        until(lambda: [job for job in week.delta.jobs(late)])
        week.settle()
        hours_of(week, DAYS[1], "00:00")
        week.services.held.clear()
        hours_of(week, DAYS[1], "02:00")
        week.daemon.kill()
        week.go_to(f"{DAYS[2]}T02:30:00Z", awake=False)
        week.daemon.start()
        week.settle()
        for day in DAYS[3:]:
            hours_of(week, day, "00:00", "02:00", "12:00")
    account = Account(week, [
        nightly(early, "healing", "02:00", "healing-besluiten"),
        nightly(early, "dump", "00:00", "dump-besluiten", [DAYS[5]]),
        nightly(late, "healing", "00:00", "healing-leiding"),
        nightly(late, "dump", "00:00", "dump-leiding")], "initial-sync-later")
    assert not account.mistakes(), "\n".join(account.wrong)
    given_up = [row for row in account.facts.rows if row["reason"] == "precondition"
                and row["job"] in ("healing-leiding", "dump-leiding")]
    assert {(row["job"], row["slot"][:10]) for row in given_up} == {
        ("healing-leiding", DAYS[1]), ("dump-leiding", DAYS[1])}
