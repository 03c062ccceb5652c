"""The daemon in rough weather: ended while its database is away, on a disk that is full, with far
more to record than one turn takes, with files in its spool that nobody of ours has written."""

import contextlib
import errno
import json
import os
import signal
import socket
import sqlite3
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

from conftest import PATIENCE_S, resize
from daemon import Daemon
from test_daemon import (ALL_HISTORY, HOUR, MINUTE, clock, configure, make, statuses,
                         wait_until_recorded, witnessed)

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


def begin(daemon, **environment):
    """As Daemon.start(), but for the wait until it is ready."""
    with open(daemon.log, "ab") as log:
        daemon.process = daemon.world.start("daemon", stdout=log, stderr=log, env=environment)


def reason_for_waiting(daemon):
    """What a daemon says that is not ready; None before it answers at all."""
    try:
        status, body = daemon.ask("GET", "/healthcheck/is-ready")
    except OSError:
        return None
    assert status == 503
    return json.loads(body)["reason"]


def test_it_waits_for_its_database(world_in_memory):
    """As where both are started together, in any order. Probes see it live, and why it is not ready;
    what was due before the database was there is missed, as with any other downtime."""
    world = world_in_memory
    server = postgres_server.temporary()

    def write(job):
        world.config(f'core: {{state: "{server.url()}", spool: {world.state}}}\njobs:\n'
                     f'  {job}: {{plugin: noop, schedule: "* * * * * *", misfire: skip}}\n')

    try:
        server.stop()
        write("a")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(str(world.root / "manager"))
        manager.settimeout(PATIENCE_S)
        daemon = Daemon(world)
        begin(daemon, NOTIFY_SOCKET=str(world.root / "manager"))
        reason = daemon.wait_for(lambda: reason_for_waiting(daemon))
        assert "state database" in reason and postgres_server.PASSWORD not in reason
        assert daemon.ask("GET", "/healthcheck/is-alive")[0] == 200
        status, body = daemon.ask("GET", "/api/v1/jobs")
        assert status == 503 and "has not begun yet" in json.loads(body)["error"]
        refused = world.run("trigger", "a")
        assert refused.status == 1 and "has not begun yet" in refused.stderr
        assert manager.recv(1000).startswith(b"EXTEND_TIMEOUT_USEC=60000000\nSTATUS=cannot begin")

        server.start()
        daemon.wait_until_ready()
        while b"READY=1\nSTATUS=" != manager.recv(1000):
            pass
        daemon.wait_for(lambda: json.loads(
            daemon.ask("GET", "/api/v1/runs?status=succeeded")[1])["runs"])
        assert sum("cannot begin" in m["message"] for m in daemon.messages()) >= 1
        for secret in (postgres_server.PASSWORD, postgres_server.URL_PASSWORD):
            assert secret not in daemon.text()
        assert daemon.stop() == 0

        server.stop()
        begin(daemon)
        daemon.wait_for(lambda: reason_for_waiting(daemon))
        assert daemon.stop() == 0  # before it has begun

        begin(daemon)
        daemon.wait_for(lambda: reason_for_waiting(daemon))
        world.config("jobs: {a: {plugin: noop, scedule: hourly}}\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for(lambda: "stays as it was" in daemon.text())
        assert "scedule" in daemon.text()
        write("b")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for(lambda: reason_for_waiting(daemon))
        server.start()
        daemon.wait_until_ready()
        assert [job["name"] for job in json.loads(
            daemon.ask("GET", "/api/v1/jobs")[1])["jobs"]] == ["b"]
        assert daemon.stop() == 0

        server.stop()
        begin(daemon)
        daemon.wait_for(lambda: reason_for_waiting(daemon))
        daemon.process.send_signal(signal.SIGSTOP)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGCONT):  # heard at once
            daemon.process.send_signal(number)
        assert daemon.process.wait(PATIENCE_S) == 0
    finally:
        postgres_server.remove(server)


def test_who_asks_has_an_answer_while_a_server_says_nothing(world_in_memory):
    """The daemon waits for it meanwhile, for some seconds; the probes of a pod would not."""
    world = world_in_memory
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        world.config(f'core: {{state: "postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/x", '
                     f"spool: {world.state}}}\n")
        daemon = Daemon(world)
        begin(daemon)
        daemon.wait_for(lambda: reason_for_waiting(daemon))
        for _ in range(20):
            with silent.accept()[0] as client:
                assert client.recv(4)
                client.setblocking(False)
                assert daemon.ask("GET", "/healthcheck/is-alive")[0] == 200
                try:
                    while client.recv(1000):
                        pass
                except BlockingIOError:  # it goes on waiting
                    break
        else:
            raise AssertionError("each answer came only once the daemon waited no longer")
        assert daemon.stop() == 0


def test_it_does_not_wait_for_what_stays(world_in_memory):
    """A user whom the database does not know, a state that is no place, values that are none, and
    what the server does not have or is not."""
    world = world_in_memory
    server = postgres_server.temporary()
    url = server.url()

    def check(state, status, words):
        world.config(f'core: {{state: "{state}", spool: {world.state}}}\n')
        ended = world.run("daemon")
        assert ended.status == status, ended.stderr
        assert words in ended.stderr.replace('\\"', '"')
        assert "tries again" not in ended.stderr

    try:
        advice = "look at the user and the password of 'core.state'"
        check(url.replace("postgres:", "nobody:"), 1, advice)
        check(url.replace(f":{postgres_server.URL_PASSWORD}", ""), 1, advice)
        check("mysql://here", 2, "'state' must be sqlite:///PATH")
        check(url.replace(f":{server.port}/", ":99999/"), 2, "invalid port number")
        check(url + "?sslmode=wat", 2, 'invalid sslmode value: "wat"')
        check(url + "?keepalives_idle=1x", 2, 'invalid integer value "1x"')
        check(url + "?sslmode=require", 1, "server does not support SSL, but SSL was required")
        check(url + "?channel_binding=require", 1, "channel binding required")

        for name in ("other", "server"):
            server.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                       "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                       "-keyout", server.data / f"{name}.key", "-out", server.data / f"{name}.crt",
                       capture_output=True)
        server.sql("ALTER SYSTEM SET ssl = on")
        server.stop()
        server.start()
        for options, words in (
                ("verify-full&sslrootcert=/nowhere/root.crt", '/root.crt" does not exist'),
                (f"verify-ca&sslrootcert={server.data}/other.crt", "certificate verify failed"),
                (f"verify-full&sslrootcert={server.data}/server.crt", "does not match host name")):
            check(f"{url}?sslmode={options}", 1, words)
    finally:
        postgres_server.remove(server)


def test_once_it_runs_it_waits_for_that_too(world_in_memory):
    """Such as a password that is changed: what is under way is not to end by it."""
    world = world_in_memory
    server = postgres_server.temporary()
    try:
        server.sql("CREATE ROLE keeper SUPERUSER LOGIN PASSWORD 'one'")
        url = f"postgresql://keeper:one@127.0.0.1:{server.port}/postgres"
        world.config(f'core: {{state: "{url}", spool: {world.state}}}\n'
                     'jobs:\n  a: {plugin: noop, schedule: "* * * * * *"}\n')
        daemon = Daemon(world).start()
        server.sql("ALTER ROLE keeper PASSWORD 'other'")
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                   "WHERE usename = 'keeper'")
        daemon.wait_for(lambda: b"password authentication failed" in
                        daemon.ask("GET", "/healthcheck/is-ready")[1])
        assert daemon.ask("POST", "/api/v1/jobs/a/trigger", {})[0] == 503
        server.sql("ALTER ROLE keeper PASSWORD 'one'")
        daemon.wait_until_ready()
        assert daemon.ask("POST", "/api/v1/jobs/a/trigger", {})[0] == 202
        assert daemon.stop() == 0
    finally:
        postgres_server.remove(server)


def test_what_waits_for_others_keeps_nobody_back(world_in_memory):
    """A run that may not start yet, as another of its job goes on in the foreground: that is no
    failure, and what is due meanwhile is not late for it."""
    world = world_in_memory
    world.config("jobs:\n  q: {plugin: hang, action: wait, concurrency: queue}\n"
                 '  tick: {plugin: noop, schedule: "* * * * * *", misfire: skip, concurrency: allow}\n')
    daemon = Daemon(world).start()
    other = world.start("run", "q")
    try:
        daemon.wait_for(lambda: daemon.runs("q", status="started"))
        assert world.run("trigger", "q").status == 0
        daemon.wait_for(lambda: len(daemon.runs("tick", status="succeeded")) >= 6)
    finally:
        other.send_signal(signal.SIGTERM)
        other.wait(PATIENCE_S)
    daemon.wait_for(lambda: len(daemon.runs("q", status="started")) == 1)
    assert daemon.stop() == 0
    assert "database failed" not in daemon.text()
    assert not daemon.runs("tick", status="skipped")


def test_a_run_whose_daemon_lost_its_lease_is_tried_again(world_in_memory):
    """Nobody wanted its end: the database was away for longer than the lease is."""
    world = world_in_memory
    server = postgres_server.temporary()
    gate, seen = world.root / "gate", world.root / "witness"

    def lines():
        return [line.split()[0] for line in seen.read_text().splitlines()]

    try:
        world.config(f'core: {{state: "{server.url()}", spool: {world.state}, lease: 9s}}\n'
                     "jobs:\n  a: {plugin: witness, retry: {attempts: 2, backoff: 0s},\n"
                     f"      config: {{file: {seen}, until: {gate}}}}}\n")
        daemon = Daemon(world).start()
        assert world.run("trigger", "a").status == 0
        daemon.wait_for(lambda: seen.exists() and lines() == ["begin"])
        server.stop()
        daemon.wait_for(lambda: any('"lost"' in log.read_text() or "lost after" in log.read_text()
                                    for log in (world.state / "runs").glob("*/*log*")))
        gate.touch()
        server.start()
        daemon.wait_for(lambda: json.loads(
            daemon.ask("GET", "/api/v1/runs?status=succeeded")[1]).get("runs"))
        assert lines() == ["begin", "begin", "done"]
        assert server.sql("SELECT number, status, reason FROM run_core.attempts") == ["1|lost|lease"]
        assert daemon.stop() == 0
    finally:
        postgres_server.remove(server)


# ---- a full disk -------------------------------------------------------------------------------


def fill(folder):
    """Leaves not a block."""
    try:
        with (folder / "filled").open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError as error:
        assert error.errno == errno.ENOSPC


def check_each_slot_once(daemon, job, until):
    """Every second since its first slot has one row; whatever is recorded as done was, and once."""
    rows = wait_until_recorded(daemon, job, until)
    slots = [row["slot_unix_ms"] for row in rows]
    assert slots == list(range(slots[0], until // 1000 * 1000 + 1, 1000))
    done = Counter(row["slot_unix_ms"] for row in rows if row["status"] == "succeeded")
    for what in ("begin", "done"):
        seen = [int(line[3]) for line in witnessed(daemon, what) if line[2] == job]
        assert Counter(slot for slot in seen if slot <= until) == done
    return rows


def test_a_disk_that_is_full_for_a_while(small_disk, make, world_in_memory):
    """With the state, its log and the files of runs on it. It lives and says why it is not ready;
    once there is room again each slot has its one row."""
    resize(small_disk, "4m")
    world_in_memory.state = small_disk / "state"
    world_in_memory.environment["RUN_CORE_STATE"] = str(world_in_memory.state)
    each = "concurrency: allow, config: {file: $WITNESS, take: 300ms}}"
    daemon = make(f"""
skip: {{plugin: witness, schedule: "* * * * * *", misfire: skip, {each}
latest: {{plugin: witness, schedule: "* * * * * *", misfire: latest, {each}
hand: {{plugin: noop}}
""", ALL_HISTORY)
    count = len(daemon.wait_for(lambda: daemon.runs(status="succeeded")))
    begun = len(witnessed(daemon))
    daemon.wait_for(lambda: len(witnessed(daemon)) > begun)

    def is_full():
        """And stays so: a run that ends gives back some of what it had."""
        for _ in range(2):
            fill(small_disk)
            if daemon.ask("GET", "/healthcheck/is-ready")[0] != 503 or any(daemon.family()):
                return False
        return True

    daemon.wait_for(is_full)
    said = len(daemon.messages())
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert daemon.ask("GET", "/healthcheck/is-alive")[0] == 200
        status, body = daemon.ask("GET", "/healthcheck/is-ready")
        assert status == 503 and "the disk is full" in json.loads(body)["reason"]
        status, body = daemon.ask("POST", "/api/v1/jobs/hand/trigger", {})
        assert status == 503 and "the disk is full" in json.loads(body)["error"]
        status, body = daemon.ask("GET", "/api/v1/jobs")
        assert status == 200 and len(json.loads(body)["jobs"]) == 3
        assert b"\nrun_core_ready 0\n" in daemon.ask("GET", "/metrics")[1]
        assert len(json.loads(daemon.ask("GET", "/api/v1/runs")[1])["runs"]) >= count
        time.sleep(0.2)
    # Its recovery finds a database that answers and takes nothing: that is no news.
    assert not [m for m in daemon.messages()[said:] if "state database" in m["message"]]
    (small_disk / "filled").unlink()
    daemon.wait_until_ready()
    daemon.wait_for(lambda: any("is back" in m["message"] for m in daemon.messages()[said:]))
    assert daemon.ask("POST", "/api/v1/jobs/hand/trigger", {})[0] == 202
    daemon.wait_for(lambda: daemon.runs("hand", status="succeeded"))
    until = int(time.time() * 1000)
    for job in ("skip", "latest"):
        rows = check_each_slot_once(daemon, job, until)
        assert set(statuses(rows)) == {("succeeded", ""), ("skipped", "misfire")}
    assert len(daemon.runs("hand")) == 1
    assert daemon.stop() == 0
    assert daemon.rows("PRAGMA integrity_check") == [("ok",)]


def test_no_room_for_the_files_of_runs(small_disk, make, world_in_memory):
    """With the state elsewhere: what is due waits, and is run once there is room."""
    each = "concurrency: allow, config: {file: $WITNESS}}"
    daemon = make(f'a: {{plugin: witness, schedule: "* * * * * *", misfire: skip, {each}',
                  f"{ALL_HISTORY}, spool: {small_disk / 'spool'}, "
                  f"socket: {world_in_memory.state / 'run-core.sock'}")
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))

    def is_full():
        fill(small_disk)
        return "cannot start a run" in daemon.text() and not any(daemon.family())

    daemon.wait_for(is_full)
    fill(small_disk)
    waiting = len(daemon.runs("a", status="due"))
    daemon.wait_for(lambda: len(daemon.runs("a", status="due")) >= waiting + 2)
    status, body = daemon.ask("GET", "/healthcheck/is-ready")
    assert status == 503 and "No space left" in json.loads(body)["reason"]
    for path in ("/healthcheck/is-alive", "/metrics", "/api/v1/jobs"):
        assert daemon.ask("GET", path)[0] == 200
    assert any("No space left" in m["message"] for m in daemon.messages())
    (small_disk / "filled").unlink()
    daemon.wait_until_ready()
    until = int(time.time() * 1000)
    rows = check_each_slot_once(daemon, "a", until)
    assert set(statuses(rows)) == {("succeeded", "")}
    assert daemon.stop() == 0


# ---- the pauses between attempts ---------------------------------------------------------------


def test_pauses_between_attempts(make):
    """Each is at least half of its nominal length, which doubles up to the most, and is never meant
    to be longer than that: by what is recorded, and by when attempts really began."""
    daemon = make("a: {plugin: fail, concurrency: allow, "
                  "retry: {attempts: 5, backoff: 100ms, max_backoff: 300ms}}")
    nominal_ms = [100, 200, 300, 300]
    with sqlite3.connect(daemon.world.state / "state.db", timeout=PATIENCE_S) as database:
        database.executescript("""
            CREATE TABLE pauses (run, number, finished, written, not_before);
            CREATE TRIGGER pause AFTER UPDATE ON runs WHEN NEW.not_before_unix_ms > 0 BEGIN
                INSERT INTO pauses VALUES (NEW.id, NEW.attempt, NEW.finished_unix_ms,
                    CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER),
                    NEW.not_before_unix_ms);
            END""")
    for _ in range(3):
        assert daemon.ask("POST", "/api/v1/jobs/a/trigger", {})[0] == 202
    daemon.wait_for(lambda: len(daemon.runs("a", status="failed", attempt=5)) == 3)
    attempts = {(run, number): (started, finished) for run, number, started, finished in
                daemon.rows("SELECT run, number, started_unix_ms, finished_unix_ms FROM attempts"
                            " UNION "
                            "SELECT id, attempt, started_unix_ms, finished_unix_ms FROM runs")}
    pauses = daemon.rows("SELECT * FROM pauses")
    assert len(attempts) == 3 * 5 and len(pauses) == 3 * 4
    for run, number, finished, written, not_before in pauses:
        whole = nominal_ms[number - 1]
        assert not_before - finished >= whole / 2, (number, pauses)
        assert not_before - written <= whole + 1, (number, pauses)
        assert attempts[run, number][1] == finished
        assert attempts[run, number + 1][0] >= not_before


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
    daemon.wait_for(lambda: daemon.rows(missed)[0][0] >= 172_800)
    others = [r for r in daemon.rows("SELECT slot_unix_ms, started_unix_ms FROM runs WHERE job = "
                                     "'other' AND started_unix_ms > 0 ORDER BY 1")]
    attempts = daemon.rows("SELECT count(*) FROM attempts")[0][0]
    assert len(others) >= 2 and attempts >= 3
    # One of them may meet a pause of the whole machine.
    assert statistics.median(started - slot for slot, started in others) < 5000


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
    daemon.wait_for(lambda: len(witnessed(daemon)) == 48)
    assert not daemon.runs("waits", status="started")
    daemon.process.send_signal(signal.SIGSTOP)
    for pid in [*sum(daemon.family(), [])]:
        with contextlib.suppress(ProcessLookupError):  # a worker ends with its guard
            os.kill(pid, signal.SIGKILL)
    then = clock.now() + 4 * HOUR
    clock.set(then)
    daemon.process.send_signal(signal.SIGCONT)
    daemon.wait_for(lambda: len(daemon.runs("waits", status="started")) == 48)
    begun = sorted(row["started_unix_ms"] for row in daemon.runs("waits"))[:30]
    assert len(set(begun)) >= 6
    recorded = {row["due_unix_ms"] for row in daemon.runs("missed")
                if row["slot_unix_ms"] <= then}
    meanwhile = {turn for turn in begun if turn <= max(recorded)}
    assert len(meanwhile) > 1 and meanwhile <= recorded


def test_a_few_that_wait_keep_nobody_waiting(make, clock):
    """Jobs that make up for what was missed, one run after the other each: there is always one that
    waits, and what is due on time has its turn all the same."""
    waiting = "".join(f'q{i}: {{plugin: noop, schedule: "* * * * * *", misfire: all, '
                      'concurrency: queue}\n' for i in range(8))
    daemon = make(waiting + 'now: {plugin: noop, schedule: "* * * * * *"}', ALL_HISTORY, clock)
    then = clock.now() + 3 * MINUTE
    clock.set(then)
    daemon.wait_for(lambda: len([row for row in daemon.runs("now", status="succeeded")
                                 if row["slot_unix_ms"] > then + 1000]) >= 3)
    daemon.kill()
    others = [row for row in daemon.runs() if row["job"] != "now"]
    assert sum(row["status"] == "due" for row in others) > 100
    before = [sum(row["slot_unix_ms"] <= other["started_unix_ms"] < row["started_unix_ms"]
                  for other in others)
              for row in daemon.runs("now", status="succeeded") if row["slot_unix_ms"] > then + 1000]
    assert statistics.median(before) <= 10, before  # 1 to 5; without turns 15 to 80


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
    with sqlite3.connect(daemon.world.state / "state.db", timeout=PATIENCE_S) as database:
        database.execute("UPDATE runs SET message = ?", ("red \x1b[31m alert",))
    text = daemon.world.run("runs", run).stdout
    assert "set        take\n" in text and "0h" not in text
    assert "red \\x1b[31m alert" in text and "\x1b" not in text
