"""The daemon in rough weather: ended while its database is away, with far more to record than one
turn takes, with files in its spool that nobody of ours has written."""

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path

from daemon import Daemon
from test_daemon import ALL_HISTORY, HOUR, clock, configure, make, witnessed

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import postgres as postgres_server  # noqa: E402

__all__ = ["clock", "make"]  # fixtures


# ---- a database that is away -------------------------------------------------------------------


def test_it_ends_while_the_database_is_away(world_in_memory):
    world = world_in_memory
    server = postgres_server.temporary()
    try:
        world.config(f'core: {{state: "{server.url()}", spool: {world.state}}}\n'
                     'jobs:\n  a: {plugin: noop, schedule: "* * * * * *"}\n')
        daemon = Daemon(world).start()
        server.stop("immediate")
        daemon.wait_for(lambda: any("database failed" in m["message"] for m in daemon.messages()))
        assert daemon.stop() == 0
    finally:
        postgres_server.remove(server)


# ---- more than a turn takes --------------------------------------------------------------------


def test_a_backlog_makes_nobody_late(make, clock):
    """Days of missed seconds are recorded in turns; other jobs, and retries, go on meanwhile."""
    backlog = 'backlog: {plugin: noop, schedule: "* * * * * *", misfire: skip}\n'
    daemon = make(backlog, ALL_HISTORY, clock)
    daemon.wait_for(lambda: daemon.runs(status="succeeded"))
    daemon.stop()
    configure(daemon.world, backlog + """
other: {plugin: noop, schedule: "* * * * * *", misfire: skip, concurrency: allow}
again: {plugin: garbage, retry: {attempts: 1000, backoff: 100ms, max_backoff: 100ms}}
""", ALL_HISTORY)
    clock.set(clock.now() + 48 * HOUR)
    daemon.start()
    daemon.ask("POST", "/api/v1/jobs/again/trigger", {})
    missed = "SELECT count(*) FROM runs WHERE job = 'backlog'"
    daemon.wait_for(lambda: daemon.rows(missed)[0][0] >= 172_800, seconds=120)
    others = [r for r in daemon.rows("SELECT slot_unix_ms, started_unix_ms FROM runs WHERE job = "
                                     "'other' AND started_unix_ms > 0 ORDER BY 1")]
    attempts = daemon.rows("SELECT count(*) FROM attempts")[0][0]
    assert len(others) >= 2 and attempts >= 3
    assert max(started - slot for slot, started in others) < 5000


def test_a_burst_keeps_no_slot_from_its_row(make, clock):
    """What has waited begins in small bites; as long as much waits, each of them also records some of
    what is due."""
    daemon = make("""
busy: {plugin: witness, concurrency: allow, config: {file: $WITNESS, take: 600s}}
waits: {plugin: witness, concurrency: allow, config: {file: $WITNESS, take: 600s}}
missed: {plugin: noop, schedule: "* * * * * *", misfire: skip}
""", ALL_HISTORY + ", max_workers: 48", clock)
    assert daemon.ask("POST", "/api/v1/jobs/missed/pause")[0] == 200
    for job in ("busy", "waits"):
        for _ in range(48):
            assert daemon.ask("POST", f"/api/v1/jobs/{job}/trigger", {})[0] == 202
    daemon.wait_for(lambda: len(witnessed(daemon)) == 48, seconds=60)
    assert not daemon.runs("waits", status="started")
    daemon.process.send_signal(signal.SIGSTOP)
    for pid in [*sum(daemon.family(), [])]:
        os.kill(pid, signal.SIGKILL)
    then = clock.now() + 4 * HOUR
    clock.set(then)
    daemon.process.send_signal(signal.SIGCONT)
    daemon.wait_for(lambda: len(daemon.runs("waits", status="started")) == 48, seconds=60)
    begun = sorted(row["started_unix_ms"] for row in daemon.runs("waits"))[:30]
    assert len(set(begun)) >= 6
    recorded = {row["due_unix_ms"] for row in daemon.runs("missed")
                if row["slot_unix_ms"] <= then}
    meanwhile = {turn for turn in begun if turn <= max(recorded)}
    assert len(meanwhile) > 1 and meanwhile <= recorded


# ---- logs --------------------------------------------------------------------------------------


def test_a_log_is_read_at_any_offset(make):
    daemon = make("a: {plugin: noop}")
    run = json.loads(daemon.ask("POST", "/api/v1/jobs/a/trigger", {})[1])["run"]
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))
    whole = daemon.ask("GET", f"/api/v1/runs/{run}/log")[1]
    for offset in (0, 1, len(whole), 2**31, 2**62, 2**63 - 1):
        for limit in (1, 2**63 - 1):
            status, body = daemon.ask(
                "GET", f"/api/v1/runs/{run}/log?offset={offset}&limit={limit}")
            assert (status, body) == (200, whole[offset:offset + limit])


def test_a_run_is_described_without_its_secrets(make):
    daemon = make("a: {plugin: witness, config: {file: $WITNESS}}")
    reply = daemon.ask("POST", "/api/v1/jobs/a/trigger", {"set": {"take": "0h"}})[1]
    run = json.loads(reply)["run"]
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))
    with sqlite3.connect(daemon.world.state / "state.db", timeout=30) as database:
        database.execute("UPDATE runs SET message = ?", ("red \x1b[31m alert",))
    text = daemon.world.run("runs", run).stdout
    assert "set        take\n" in text and "0h" not in text
    assert "red \\x1b[31m alert" in text and "\x1b" not in text
