"""Reloads of the daemon's configuration while runs go on, wait, and are between attempts."""

import contextlib
import os
import re
import signal
import time

from conftest import PATIENCE_S
from test_daemon import (FULL, MINUTE, START, check_each_second, clock, configure, fill, make,
                         statuses, witnessed)

__all__ = ["clock", "make"]  # fixtures


def reload(daemon, jobs, core=""):
    configure(daemon.world, jobs, core)
    status, reply = daemon.ask("POST", "/api/v1/reload")
    assert status == 200, reply


def descriptors(pid):
    """How many a process has open, but for those of processes."""
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += os.readlink(f"/proc/{pid}/fd/{name}") != "anon_inode:[pidfd]"
    return count


def test_what_holds_from_the_start_is_not_half_changed(make):
    job = "a: {plugin: witness, config: {file: $WITNESS}}"
    daemon = make(job)
    state, other = daemon.world.state, daemon.world.root / "other"
    for i, core in enumerate((f"state: {other}", f"state: {state}, spool: {other}",
                 f"state: {state}, listen: '127.0.0.1:1'", f"state: {state}, lease: 7s"), 1):
        witness = daemon.world.root / "witness"
        daemon.world.config(f"core: {{{core}}}\njobs:\n  {job.replace('$WITNESS', str(witness))}\n")
        assert daemon.ask("POST", "/api/v1/reload")[0] == 200
        daemon.ask("POST", "/api/v1/jobs/a/trigger", {})
        daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) == i)
    reload(daemon, job)  # as it was
    assert statuses(daemon.runs("a")) == [("succeeded", "")] * 4
    assert sum("when the daemon starts again" in m["message"] for m in daemon.messages()) == 4
    assert not other.exists()  # the runs' locks are where the daemon's ledger is


def test_a_job_that_comes_back_has_its_runs(make):
    job = "a: {plugin: hang, action: wait, concurrency: replace}\n"
    daemon = make(job)
    daemon.ask("POST", "/api/v1/jobs/a/trigger", {})
    daemon.wait_for(lambda: daemon.runs("a", status="started"))
    reload(daemon, "b: {plugin: noop}")
    reload(daemon, job)
    daemon.ask("POST", "/api/v1/jobs/a/trigger", {})
    daemon.wait_for(lambda: statuses(daemon.runs("a")) == [("cancelled", "replaced"),
                                                           ("started", "")])


def test_a_job_that_comes_back_is_still_paused(make):
    job = 'a: {plugin: noop, schedule: "* * * * * *"}\n'
    daemon = make(job)
    assert daemon.ask("POST", "/api/v1/jobs/a/pause")[0] == 200
    reload(daemon, "b: {plugin: noop}")
    count = len(daemon.runs("a"))
    reload(daemon, job)
    rows = daemon.wait_for(lambda: daemon.runs("a")[count + 1:])
    assert {(row["status"], row["reason"]) for row in rows} == {("skipped", "paused")}


def test_reloads_in_a_row(make):
    """With everything under way: nothing is lost, doubled or leaked."""
    jobs = """
tick: {plugin: witness, schedule: "* * * * * *", concurrency: allow, \
config: {file: $WITNESS, take: 300ms}}
queue: {plugin: witness, concurrency: queue, config: {file: $WITNESS, take: 200ms}}
again: {plugin: garbage, retry: {attempts: 4, backoff: 500ms, max_backoff: 500ms}}
"""
    daemon = make(jobs)
    for _ in range(10):
        daemon.ask("POST", "/api/v1/jobs/queue/trigger", {})
    daemon.ask("POST", "/api/v1/jobs/again/trigger", {})
    before = descriptors(daemon.process.pid)
    for i in range(40):
        reload(daemon, jobs + f"n{i}: {{plugin: noop}}\n" * (i % 3 > 0))
    daemon.wait_for(lambda: len(daemon.runs("queue", status="succeeded")) == 10)
    assert daemon.wait_for(lambda: daemon.runs("again", status="failed"))[0]["attempt"] == 4
    daemon.wait_for(lambda: descriptors(daemon.process.pid) <= before + 4)  # for runs of 'tick'
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.process.wait(PATIENCE_S) == 0
    slots = [row["slot_unix_ms"] for row in daemon.runs("tick")]
    assert slots == list(range(slots[0], slots[-1] + 1, 1000))
    done = [int(line[3]) for line in witnessed(daemon, "done") if line[2] == "tick"]
    assert sorted(done) == slots


def test_a_reload_that_comes_too_late_kills_nobody(make):
    daemon = make("a: {plugin: noop}")
    for _ in range(5):
        daemon.process.send_signal(signal.SIGTERM)
        while daemon.process.poll() is None:
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.005)  # nobody reads what it logs of each
        assert daemon.process.returncode == 0
        daemon.start()


def test_a_reload_amid_a_burst(make, clock):
    """What is due and could not begin yet is recorded before the configuration changes."""
    count = 1500
    jobs = "".join(f'j{i}: {{plugin: noop, schedule: "15 14 * * *", time_zone: UTC}}\n'
                   for i in range(count))
    daemon = make(jobs, clock=clock)
    clock.set(START + MINUTE - 300)
    daemon.wait_for(daemon.runs)
    reload(daemon, jobs.replace("15 14", "13 14"))
    rows = daemon.runs()
    daemon.kill()  # the rest need not run for this
    assert {row["slot_unix_ms"] for row in rows} == {START + MINUTE}
    assert len(rows) == len({row["job"] for row in rows}) == count
    assert any(row["status"] == "due" for row in rows)


def test_a_reload_with_jobs_of_which_no_more_may_wait(make, clock):
    """What became of their slots up to now is recorded of those that will have others."""
    kept, edited, gone = (FULL.strip().replace("a:", name, 1) for name in ("k:", "e:", "g:"))
    daemon = make("\n".join([kept, edited, gone]), clock=clock)
    fill(daemon, clock, "k", "e", "g")
    now = clock.now()
    reload(daemon, kept + "\n" + edited.replace("* *", "*/2 *", 1))
    for job in "eg":
        check_each_second(daemon.runs(job), now)
    assert set(statuses(daemon.runs("k"))) == {("started", ""), ("due", "")}
    assert ("skipped", "misfire") in statuses(daemon.runs("e"))


def test_a_pause_amid_a_burst(make, clock):
    """Nobody waits with it until all that is due has begun."""
    jobs = "".join(f'j{i}: {{plugin: noop, schedule: "15 14 * * *", time_zone: UTC}}\n'
                   for i in range(1500))
    daemon = make(jobs, clock=clock)
    clock.set(START + MINUTE - 300)
    daemon.wait_for(daemon.runs)
    status, reply = daemon.ask("POST", "/api/v1/jobs/j1499/pause")
    assert status == 200, (status, reply)
    assert [row["slot_unix_ms"] for row in daemon.runs("j1499")] == [START + MINUTE]
    assert len(daemon.runs()) < 1500  # the others still keep to the pace
    assert daemon.ask("POST", "/api/v1/jobs/j1499/resume")[0] == 200
    metrics = daemon.ask("GET", "/metrics")[1].decode()
    assert int(re.search(r"^run_core_waiting_runs (\d+)", metrics, re.M).group(1)) > 0
    daemon.kill()


def test_an_ending_daemon_reloads_nothing(make):
    daemon = make('slow: {plugin: hang, action: wait}\n'
                  'tick: {plugin: noop, schedule: "* * * * * *"}', core=", shutdown_grace: 60s")
    daemon.ask("POST", "/api/v1/jobs/slow/trigger", {})
    daemon.wait_for(lambda: daemon.runs("slow", status="started"))
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_for(lambda: any("starting nothing more" in m["message"]
                                for m in daemon.messages()))
    status, reply = daemon.ask("POST", "/api/v1/reload")
    assert status == 503 and b"the daemon is ending" in reply, (status, reply)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for(lambda: any("the daemon is ending; the next one reads it" in m["message"]
                                for m in daemon.messages()))
    # What came to be due meanwhile is left to the next daemon.
    time.sleep(1.1)
    status, reply = daemon.ask("POST", "/api/v1/jobs/tick/pause")
    assert status == 503 and b"the daemon is ending" in reply, (status, reply)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(PATIENCE_S) == 0
    assert not daemon.runs("tick", status="due")
    assert statuses(daemon.runs("slow")) == [("cancelled", "shutdown")]


def test_what_a_start_would_refuse_a_reload_refuses(make):
    """Otherwise the daemon would not come back from its next restart."""
    job = "a: {plugin: noop}"
    daemon = make(job)
    daemon.world.config(f"core: {{state: {daemon.world.state}, listen: '0.0.0.0:1'}}\n"
                        f"jobs:\n  {job}\n")
    status, reply = daemon.ask("POST", "/api/v1/reload")
    assert status == 422 and b"tokens are needed" in reply, (status, reply)
    daemon.world.config(f"core: {{state: {daemon.world.state}, auth: {{tokens_file: nowhere}}}}\n"
                        f"jobs:\n  {job}\n")
    status, reply = daemon.ask("POST", "/api/v1/reload")
    assert status == 422 and b"nowhere" in reply, (status, reply)
    reload(daemon, job)
