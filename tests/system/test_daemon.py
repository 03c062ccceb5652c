"""The daemon: what it runs and when, what becomes of slots that it missed, and that neither its own
death nor anybody else's loses anything."""

import contextlib
import os
import signal
import sqlite3
import time

import pytest
from conftest import PATIENCE_S
from daemon import Clock, Daemon
from processes import wait_until_taken

MINUTE, HOUR = 60_000, 3_600_000
START = 1_790_000_040_000  # 21 September 2026, 14:14:00 UTC
ALL_HISTORY = ", history: {runs: 1000000}"


@pytest.fixture
def make(world_in_memory):
    """Starts a daemon of the given jobs; what is left of it is killed at the end."""
    world = world_in_memory
    made = []

    def start(jobs, core="", clock=None):
        configure(world, jobs, core)
        daemon = Daemon(world, {"RUN_CORE_CLOCK": f"@{clock.path}"} if clock else None)
        made.append(daemon)
        return daemon.start()

    yield start
    for daemon in (d for d in made if d.process):
        for pid in [*sum(daemon.family(), [])]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        daemon.kill()


def configure(world, jobs, core=""):
    witness = world.root / "witness"
    witness.touch()
    jobs = jobs.replace("$WITNESS", str(witness)).replace("$GATE", str(world.root / "gate"))
    world.config(f"core: {{state: {world.state}{core}}}\njobs:\n" +
                 "".join(f"  {line}\n" for line in jobs.strip().splitlines()))


@pytest.fixture
def clock(world_in_memory):
    return Clock(world_in_memory.root / "clock", START)


def open_gate(daemon):
    """Those that wait for $GATE go on."""
    (daemon.world.root / "gate").touch()


def witnessed(daemon, what="begin"):
    lines = (daemon.world.root / "witness").read_text().splitlines()
    return [line.split()[1:] for line in lines if line.startswith(what + " ")]


def statuses(rows):
    return [(row["status"], row["reason"] or "") for row in rows]


def wait_until_recorded(daemon, job, until):
    """Returns the job's rows up to that time, once all of them are there and have ended."""
    def recorded():
        rows = daemon.runs(job)
        before = [row for row in rows if row["slot_unix_ms"] <= until]
        ended = all(row["status"] not in ("due", "started") for row in before)
        return before if ended and rows[-1]["slot_unix_ms"] > until else None

    return daemon.wait_for(recorded)


# ---- what is due -------------------------------------------------------------------------------


def test_every_second_has_its_run(make):
    daemon = make('a: {plugin: noop, schedule: "* * * * * *"}')
    daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) >= 4)
    rows = daemon.runs("a")
    slots = [row["slot_unix_ms"] for row in rows]
    assert slots == list(range(slots[0], slots[-1] + 1, 1000))
    assert all(row["started_unix_ms"] >= row["slot_unix_ms"] for row in rows)
    assert daemon.stop() == 0


def test_startup_runs_once_a_start(make):
    daemon = make('a: {plugin: noop, schedule: "@startup"}\nb: {plugin: noop}')
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))
    assert daemon.ask("POST", "/api/v1/reload")[0] == 200
    daemon.stop()
    daemon.start()
    daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) == 2)
    assert [row["trigger"] for row in daemon.runs()] == ["startup", "startup"]


def test_a_second_daemon_is_refused(make):
    daemon = make("a: {plugin: noop}")
    result = daemon.world.run("daemon")
    assert result.status == 3
    assert "another daemon" in result.text
    assert daemon.stop() == 0


@pytest.mark.skipif(os.path.exists("/etc/run-core/conf.d"), reason="the machine has jobs")
def test_it_says_that_there_is_no_configuration(world):
    process = world.start("daemon", env={"RUN_CORE_CONFIG": ""})
    said = b""
    while b"keeps the schedule" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert b"there is no configuration, so there are no jobs" in said and b"0 jobs" in said


def test_mistakes_in_the_configuration_end_it(world_in_memory):
    configure(world_in_memory, 'a: {plugin: noop, schedule: "61 * * * *", action: nope}')
    result = world_in_memory.run("daemon")
    assert result.status == 2
    assert "test.yaml:3" in result.stderr and "nope" in result.stderr


# ---- what was missed ---------------------------------------------------------------------------

EACH_RULE = """
skip: {plugin: witness, schedule: "0 * * * *", misfire: skip, config: {file: $WITNESS}}
latest: {plugin: witness, schedule: "0 * * * *", misfire: latest, config: {file: $WITNESS}}
all: {plugin: witness, schedule: "0 * * * *", misfire: all, config: {file: $WITNESS, take: 50ms}}
window: {plugin: witness, schedule: "0 * * * *", misfire: all, catchup_window: 90m, \
config: {file: $WITNESS}}
"""


def check_each_rule(daemon, hours):
    """Each of the hours that were missed has its row, by the rule."""
    first = (START // HOUR + 1) * HOUR
    slots = [first + i * HOUR for i in range(hours)]
    daemon.wait_for(lambda: len(daemon.runs(status="succeeded")) == 1 + hours + 2)
    for job in ("skip", "latest", "all", "window"):
        assert [row["slot_unix_ms"] for row in daemon.runs(job)] == slots
    missed, done = ("skipped", "misfire"), ("succeeded", "")
    assert statuses(daemon.runs("skip")) == [missed] * hours
    assert statuses(daemon.runs("latest")) == [missed] * (hours - 1) + [done]
    assert statuses(daemon.runs("all")) == [done] * hours
    assert statuses(daemon.runs("window")) == [missed] * (hours - 2) + [done] * 2
    # Made up for in order, each with its own nominal time.
    assert [int(slot) for _, _, job, slot in witnessed(daemon) if job == "all"] == slots


def test_misfire_after_kill(make, clock):
    daemon = make(EACH_RULE, clock=clock)
    daemon.kill()
    clock.set(START + 5 * HOUR)
    daemon.start()
    check_each_rule(daemon, 5)


def test_misfire_after_a_jump(make, clock):
    daemon = make(EACH_RULE, clock=clock)
    clock.set(START + 5 * HOUR)
    check_each_rule(daemon, 5)
    # Back, and forward again over the same hours: they have their rows, and do not run again.
    clock.set(START + 2 * HOUR)
    time.sleep(0.5)
    clock.set(START + 5 * HOUR)
    time.sleep(0.5)
    check_each_rule(daemon, 5)
    assert len(witnessed(daemon)) == 8


def test_a_clock_that_was_wrong_and_is_set_back(make, clock):
    daemon = make('a: {plugin: noop, schedule: "*/5 * * * *"}', ALL_HISTORY, clock)
    clock.set(START + 1000 * 24 * HOUR)
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))
    clock.set(START + 6 * MINUTE)
    time.sleep(0.3)
    clock.set(START + 11 * MINUTE - 500)  # from :24:59.5, less than the daemon takes for a jump
    five = 5 * MINUTE
    slots = [START // five * five + i * five for i in (1, 2, 3)]
    daemon.wait_for(lambda: len([r for r in daemon.runs("a") if r["slot_unix_ms"] in slots]) == 3)
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded", slot_unix_ms=slots[2]))
    daemon.kill()
    clock.set(START + 31 * MINUTE)
    daemon.start()  # and the ledger does not hold the slots of the wrong time against it
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded",
                                        slot_unix_ms=(START + 31 * MINUTE) // five * five))


def test_a_clock_that_is_wrong_costs_no_history(make, clock):
    daemon = make("a: {plugin: noop}", ", history: {keep: 1h}", clock)
    orphan = daemon.world.state / "runs" / "20200101t000000-000000000000"
    orphan.mkdir()
    os.utime(orphan, (0, 0))
    daemon.ask("POST", "/api/v1/jobs/a/trigger", {})
    run = daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))[0]
    clock.set(START + 2 * HOUR)
    daemon.wait_for(lambda: not orphan.exists())  # what is to go is gone
    assert daemon.runs("a") and (orphan.parent / run["id"]).exists()


def test_a_slot_is_not_lost_with_the_memory_of_a_clock_set_back(make, clock):
    """A job that was new by a clock that ran ahead has its slots from when that was set right: also
    if the daemon that saw it set right dies, and nobody is there when the slot comes."""
    clock.set(START + 2 * HOUR)
    daemon = make('a: {plugin: noop, schedule: "0 * * * *"}', clock=clock)
    clock.set(START)  # so that its first slot is at 15:00
    daemon.wait_for(lambda: "clock went back" in daemon.text())
    assert daemon.ask("GET", "/healthcheck/is-ready")[0] == 200  # behind the turn in which it saw
    daemon.kill()
    clock.set(START + HOUR)
    daemon.start()
    slots = [START // HOUR * HOUR + HOUR]
    daemon.wait_for(lambda: [r["slot_unix_ms"] for r in daemon.runs("a")] == slots)


def test_per_second_for_a_day(make, clock):
    daemon = make('a: {plugin: noop, schedule: "* * * * * *", misfire: skip}', ALL_HISTORY, clock)
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))
    clock.set(clock.now() + 24 * HOUR)
    daemon.wait_for(lambda: daemon.rows("SELECT count(*) FROM runs WHERE reason = 'misfire'")[0][0]
                    >= 86_399)
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded")[-1]["slot_unix_ms"] >
                    START + 24 * HOUR)
    first, last, count = daemon.rows("SELECT min(slot_unix_ms), max(slot_unix_ms), count(*) "
                                     "FROM runs")[0]
    assert count == (last - first) // 1000 + 1


# ---- overlap, retries, timeouts ----------------------------------------------------------------


def test_forbid_skips(make):
    daemon = make('a: {plugin: counter, schedule: "* * * * * *", '
                  'config: {steps: 5, step: 500ms}}')
    daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) == 2)
    assert ("skipped", "overlap") in statuses(daemon.runs("a"))


def test_queue_runs_one_after_another(make):
    daemon = make('a: {plugin: witness, schedule: "* * * * * *", concurrency: queue, '
                  'config: {file: $WITNESS, take: 1300ms}}')
    daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) == 3)
    rows = daemon.runs("a", status="succeeded")
    assert all(a["finished_unix_ms"] <= b["started_unix_ms"] for a, b in zip(rows, rows[1:]))
    slots = [int(line[3]) for line in witnessed(daemon)]
    assert slots == sorted(slots)


def test_replace_stops_the_former(make):
    daemon = make('a: {plugin: hang, action: wait, schedule: "* * * * * *", concurrency: replace}')
    daemon.wait_for(lambda: len(daemon.runs("a", status="cancelled", reason="replaced")) >= 2)
    assert len(daemon.runs("a", status="started")) <= 1


def test_allow_runs_beside(make):
    daemon = make('a: {plugin: hang, action: wait, schedule: "* * * * * *", concurrency: allow}',
                  core=", shutdown_grace: 0s")
    daemon.wait_for(lambda: len(daemon.runs("a", status="started")) >= 3)
    assert daemon.stop() == 0


def test_max_workers_oldest_first(make):
    jobs = "\n".join(f'j{i}: {{plugin: witness, schedule: "@every 2s", '
                     f'config: {{file: $WITNESS, take: 100ms}}}}' for i in range(6))
    daemon = make(jobs, core=", max_workers: 2")
    daemon.wait_for(lambda: len(daemon.runs(status="succeeded")) >= 12)
    rows = [row for row in daemon.runs() if row["status"] == "succeeded"]
    events = sorted([(r["started_unix_ms"], 1) for r in rows] +
                    [(r["finished_unix_ms"], -1) for r in rows])
    going = most = 0
    for _, step in events:
        going += step
        most = max(most, going)
    assert most <= 2


def test_retries(make):
    daemon = make("""
flaky: {plugin: fail, schedule: "@startup", retry: {attempts: 3, backoff: 100ms}, \
config: {succeed_at: 3}}
broken: {plugin: fail, schedule: "@startup", retry: {attempts: 2, backoff: 100ms}}
wrong: {plugin: fail, schedule: "@startup", retry: {attempts: 5, backoff: 100ms}, \
config: {code: invalid}}
unwilling: {plugin: skip, schedule: "@startup", retry: {attempts: 5, backoff: 100ms}}
patient: {plugin: fail, schedule: "@startup", \
retry: {attempts: 5, backoff: 100ms, skipped: true}, config: {code: skipped, succeed_at: 3}}
hopeless: {plugin: skip, schedule: "@startup", retry: {attempts: 2, backoff: 100ms, skipped: true}}
""")
    daemon.wait_for(lambda: len([r for r in daemon.runs() if r["status"] not in
                                 ("due", "started")]) == 6)
    found = {r["job"]: (r["status"], r["attempt"]) for r in daemon.runs()}
    assert found == {"flaky": ("succeeded", 3), "broken": ("failed", 2), "wrong": ("failed", 1),
                     "unwilling": ("skipped", 1), "patient": ("succeeded", 3),
                     "hopeless": ("skipped", 2)}
    assert statuses(daemon.runs("hopeless")) == [("skipped", "precondition")]
    assert daemon.rows("SELECT number, attempts.status, attempts.reason FROM attempts JOIN runs "
                       "ON run = id WHERE job = 'patient' ORDER BY number") == [
        (1, "skipped", "precondition"), (2, "skipped", "precondition")]


def test_what_was_skipped_is_tried_again_by_the_next_daemon(make, clock):
    """Two jobs that are due at once, of which one lets the other go first."""
    daemon = make('second: {plugin: fail, schedule: "0 0 * * *", '
                  'retry: {attempts: 3, backoff: 10m, skipped: true}, '
                  'config: {code: skipped, succeed_at: 2}}', clock=clock)
    midnight = clock.now() // (24 * HOUR) * 24 * HOUR + 24 * HOUR
    clock.set(midnight + 1000)
    daemon.wait_for(lambda: daemon.runs("second", status="due", attempt=1))
    daemon.kill()
    clock.set(midnight + 4 * MINUTE)
    daemon.start()
    time.sleep(1)
    assert daemon.runs("second", status="due", attempt=1)
    daemon.kill()  # for while it lives, the pause moves along with a clock that is set
    clock.set(midnight + 11 * MINUTE)
    daemon.start()
    daemon.wait_for(lambda: daemon.runs("second", status="succeeded", attempt=2))
    assert [r["slot_unix_ms"] for r in daemon.runs("second")] == [midnight]


def test_timeout(make):
    daemon = make("""
obeys: {plugin: hang, action: wait, schedule: "@startup", timeout: 300ms}
stubborn: {plugin: hang, schedule: "@startup", timeout: 300ms, kill_after: 200ms}
""")
    daemon.wait_for(lambda: len(daemon.runs(status="timed_out")) == 2)
    assert {r["exit_status"] for r in daemon.runs()} == {124}


# ---- death and adoption ------------------------------------------------------------------------


def test_work_outlives_the_daemon(make):
    daemon = make('a: {plugin: witness, schedule: "@startup", concurrency: queue, '
                  'config: {file: $WITNESS, until: $GATE}}')
    daemon.wait_for(lambda: witnessed(daemon))
    daemon.kill()
    daemon.start()
    daemon.wait_for(lambda: any("adopted" in m["message"] for m in daemon.messages()))
    open_gate(daemon)
    daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) == 2)
    assert len(witnessed(daemon)) == len(witnessed(daemon, "done")) == 2
    first, second = daemon.runs("a")
    assert first["finished_unix_ms"] <= second["started_unix_ms"]  # the overlap rule held


def test_work_that_ended_while_nobody_looked(make):
    daemon = make('a: {plugin: witness, schedule: "@startup", concurrency: allow, '
                  'config: {file: $WITNESS, take: 500ms}}')
    daemon.wait_for(lambda: witnessed(daemon))
    daemon.kill()
    time.sleep(1)
    daemon.start()
    daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) == 2)
    assert len(witnessed(daemon)) == 2


def test_a_guard_that_is_killed_loses_the_run(make):
    daemon = make("""
once: {plugin: hang, action: wait}
again: {plugin: witness, retry: {attempts: 2, backoff: 100ms},
        config: {file: $WITNESS, until: $GATE}}
""")
    for job in ("once", "again"):
        assert daemon.ask("POST", f"/api/v1/jobs/{job}/trigger", {})[0] < 300
    daemon.wait_for(lambda: len(daemon.runs(status="started")) == 2 and witnessed(daemon))
    for pid in daemon.family()[0]:
        os.kill(pid, signal.SIGKILL)
    daemon.wait_for(lambda: len(witnessed(daemon)) == 2)
    open_gate(daemon)
    daemon.wait_for(lambda: daemon.runs("once", status="lost") and
                    daemon.runs("again", status="succeeded"))
    assert len(witnessed(daemon)) == 2 and len(witnessed(daemon, "done")) == 1
    losses = [m["message"] for m in daemon.messages() if m["message"].startswith("attempt 1 lost")]
    assert losses == ["attempt 1 lost: the run's guard was ended by signal 9 (SIGKILL), and its "
                      "worker with it"] * 2  # nobody knows how long it took


def test_killed_again_and_again(make):
    """Whatever is cut short at whatever moment: each slot is one row and runs at most once."""
    daemon = make('a: {plugin: witness, schedule: "* * * * * *", misfire: all, concurrency: allow, '
                  'config: {file: $WITNESS}}')
    for i in range(12):
        time.sleep(0.13 * (i % 5) + 0.05)
        daemon.kill()
        daemon.start()
    time.sleep(1)
    daemon.wait_for(lambda: not daemon.runs(status="due"))
    daemon.stop()
    rows = daemon.runs("a")
    slots = [row["slot_unix_ms"] for row in rows]
    assert slots == list(range(slots[0], slots[-1] + 1, 1000))
    assert {row["status"] for row in rows} == {"succeeded"}
    assert sorted(int(line[3]) for line in witnessed(daemon, "done")) == slots


# ---- stop, reload, pause -----------------------------------------------------------------------


def test_stop_waits(make):
    daemon = make('quick: {plugin: witness, config: {file: $WITNESS, until: $GATE}}\n'
                  'slow: {plugin: hang, action: wait}', core=", shutdown_grace: 10m")
    for job in ("quick", "slow"):
        daemon.ask("POST", f"/api/v1/jobs/{job}/trigger", {})
    daemon.wait_for(lambda: len(daemon.runs(status="started")) == 2)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_for(lambda: any("for 2 runs" in m["message"] for m in daemon.messages()))
    open_gate(daemon)
    daemon.wait_for(lambda: daemon.runs("quick", status="succeeded"))
    assert daemon.runs("slow", status="started") and daemon.process.poll() is None
    assert daemon.stop() == 0  # asked again, as it would at the end of that time
    assert {(r["job"], r["status"], r["reason"]) for r in daemon.runs()} == {
        ("quick", "succeeded", None), ("slow", "cancelled", "shutdown")}


def test_when_the_time_to_wait_is_over_it_says_what_it_stopped(make):
    daemon = make("slow: {plugin: hang, action: wait}", core=", shutdown_grace: 500ms")
    daemon.ask("POST", "/api/v1/jobs/slow/trigger", {})
    daemon.wait_for(lambda: daemon.runs(status="started"))
    assert daemon.stop() == 0
    assert statuses(daemon.runs()) == [("cancelled", "shutdown")]
    assert any("stopping attempt 1" in m["message"] and m["job"] == "slow"
               for m in daemon.messages())


def test_asked_again_it_ends_sooner(make):
    daemon = make("slow: {plugin: hang, kill_after: 10m}", core=", shutdown_grace: 10m")
    daemon.ask("POST", "/api/v1/jobs/slow/trigger", {})
    daemon.wait_for(lambda: daemon.runs(status="started"))
    for _ in range(3):
        daemon.process.send_signal(signal.SIGTERM)
        wait_until_taken(daemon.process, signal.SIGTERM)
    assert daemon.process.wait(PATIENCE_S) == 0
    assert daemon.runs()[0]["status"] != "started"


def test_reload_is_all_or_nothing(make):
    daemon = make('a: {plugin: noop, schedule: "* * * * * *"}')
    configure(daemon.world, 'a: {plugin: noop}\nb: {plugin: nope}')
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for(lambda: any("stays as it was" in m["message"] for m in daemon.messages()))
    count = len(daemon.runs("a"))
    daemon.wait_for(lambda: len(daemon.runs("a")) > count + 1)
    configure(daemon.world, 'b: {plugin: noop, schedule: "* * * * * *"}')
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for(lambda: daemon.runs("b", status="succeeded"))
    count = len(daemon.runs("a"))
    daemon.wait_for(lambda: len(daemon.runs("b", status="succeeded")) > 2)
    assert len(daemon.runs("a")) == count


def test_reload_leaves_running_work_alone(make):
    daemon = make("a: {plugin: witness, concurrency: queue, "
                  "config: {file: $WITNESS, until: $GATE}}")
    for _ in range(2):
        daemon.ask("POST", "/api/v1/jobs/a/trigger", {})
    daemon.wait_for(lambda: witnessed(daemon))
    configure(daemon.world, "b: {plugin: noop}")
    assert daemon.ask("POST", "/api/v1/reload")[0] == 200
    open_gate(daemon)
    daemon.wait_for(lambda: len([r for r in daemon.runs("a") if r["finished_unix_ms"]]) == 2)
    assert sorted(statuses(daemon.runs("a"))) == [("skipped", "removed"), ("succeeded", "")]


def test_what_was_edited_never_fires_the_past(make, clock):
    daemon = make('a: {plugin: noop, schedule: "0 * * * *"}', clock=clock)
    daemon.kill()
    configure(daemon.world, 'a: {plugin: noop, schedule: "30 * * * *"}\n'
                            'b: {plugin: noop, schedule: "30 * * * *"}')
    clock.set(START + 5 * HOUR)
    daemon.start()
    time.sleep(0.5)
    assert daemon.runs() == []
    clock.set(START + 6 * HOUR)
    daemon.wait_for(lambda: len(daemon.runs(status="succeeded")) == 2)


def test_pause(make, clock):
    daemon = make('a: {plugin: noop, schedule: "0 * * * *", misfire: all}', clock=clock)
    assert daemon.ask("POST", "/api/v1/jobs/a/pause")[0] == 200
    clock.set(START + 2 * HOUR)
    daemon.wait_for(lambda: len(daemon.runs("a")) == 2)
    daemon.kill()
    clock.set(START + 4 * HOUR)
    daemon.start()
    daemon.wait_for(lambda: len(daemon.runs("a")) == 4)
    assert daemon.ask("POST", "/api/v1/jobs/a/resume")[0] == 200
    clock.set(START + 5 * HOUR)
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))
    assert statuses(daemon.runs("a")) == [("skipped", "paused")] * 4 + [("succeeded", "")]


def test_cancel(make):
    daemon = make("a: {plugin: hang, action: wait, concurrency: queue, retry: {attempts: 3}}")
    for _ in range(2):
        daemon.ask("POST", "/api/v1/jobs/a/trigger", {})
    running = daemon.wait_for(lambda: daemon.runs("a", status="started"))[0]
    waiting = daemon.runs("a", status="due")[0]
    for row in (waiting, running):
        assert daemon.ask("POST", f"/api/v1/runs/{row['id']}/cancel")[0] < 300
    daemon.wait_for(lambda: len(daemon.runs("a", status="cancelled")) == 2)
    assert daemon.ask("POST", f"/api/v1/runs/{running['id']}/cancel")[0] == 409


def test_what_was_cancelled_is_not_tried_again_though_it_was_lost(make):
    """As when its machine fails before it has ended."""
    daemon = make("a: {plugin: hang, kill_after: 10m, retry: {attempts: 2, backoff: 10m}}")
    daemon.ask("POST", "/api/v1/jobs/a/trigger", {})
    guards, workers = daemon.wait_for(lambda: all(daemon.family()) and daemon.family())
    run = daemon.runs("a", status="started")[0]
    assert daemon.ask("POST", f"/api/v1/runs/{run['id']}/cancel")[0] == 202
    daemon.kill()
    for pid in guards + workers:
        with contextlib.suppress(ProcessLookupError):  # the worker dies with its guard
            os.kill(pid, signal.SIGKILL)
    daemon.start()
    daemon.wait_for(lambda: not daemon.runs(status="started"))
    assert statuses(daemon.runs()) == [("lost", "lost")]


# ---- as many wait as may -----------------------------------------------------------------------

WAITING_MAX = 1000
FULL = """
a: {plugin: witness, schedule: "* * * * * *", misfire: all, concurrency: queue, \
config: {file: $WITNESS, until: $GATE}}
"""


def fill(daemon, clock, *jobs):
    """More of those jobs' slots have come than may wait."""
    clock.set(START + 3 * WAITING_MAX // 2 * 1000)
    for job in jobs:
        daemon.wait_for(lambda: len(daemon.runs(job, status="due")) == WAITING_MAX)


def check_each_second(rows, until):
    slots = [row["slot_unix_ms"] for row in rows]
    assert slots == list(range(slots[0], slots[-1] + 1, 1000)) and slots[-1] >= until - 1000


def test_a_pause_of_a_job_of_which_no_more_may_wait(make, clock):
    daemon = make(FULL, clock=clock)
    fill(daemon, clock, "a")
    assert daemon.ask("POST", "/api/v1/jobs/a/pause")[0] == 200
    since, until = clock.now(), clock.now() + 300_000
    clock.set(until)
    assert daemon.ask("POST", "/api/v1/jobs/a/resume")[0] == 200
    rows = daemon.runs("a")
    check_each_second(rows, until)
    assert set(statuses(row for row in rows if row["slot_unix_ms"] > since)) == {
        ("skipped", "paused")}
    assert set(statuses(rows)) == {("started", ""), ("due", ""), ("skipped", "misfire"),
                                   ("skipped", "paused")}


def test_when_those_that_wait_are_forgotten_others_may(make, clock):
    daemon = make(FULL, clock=clock)
    fill(daemon, clock, "a")
    with sqlite3.connect(daemon.world.state / "state.db", timeout=PATIENCE_S) as database:
        database.execute("UPDATE runs SET status = 'cancelled' WHERE status = 'due'")
    open_gate(daemon)
    daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) > 1)
    assert "database failed" not in daemon.text()


# ---- trouble -----------------------------------------------------------------------------------


def test_a_spool_that_cannot_be_written(make):
    daemon = make('a: {plugin: noop, schedule: "* * * * * *", concurrency: allow}')
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))
    runs = daemon.world.state / "runs"
    runs.rename(daemon.world.state / "away")
    runs.write_text("not a folder")
    daemon.wait_for(lambda: any("cannot start a run" in m["message"] for m in daemon.messages()))
    time.sleep(1.5)
    daemon.process.send_signal(signal.SIGSTOP)  # it would make the folder in between
    runs.unlink()
    (daemon.world.state / "away").rename(runs)
    daemon.process.send_signal(signal.SIGCONT)
    daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) >= 4)
    time.sleep(1)
    slots = [row["slot_unix_ms"] for row in daemon.runs("a")]
    assert slots == list(range(slots[0], slots[-1] + 1, 1000))
    assert sum("cannot start a run" in m["message"] for m in daemon.messages()) == 1


def test_a_database_that_is_away(make):
    daemon = make('a: {plugin: noop, schedule: "* * * * * *", misfire: all, concurrency: allow}\n'
                  'b: {plugin: witness, config: {file: $WITNESS, take: 1s}}')
    daemon.wait_for(lambda: daemon.runs("a", status="succeeded"))
    daemon.ask("POST", "/api/v1/jobs/b/trigger", {})
    daemon.wait_for(lambda: witnessed(daemon))
    with sqlite3.connect(daemon.world.state / "state.db", isolation_level=None) as held:
        held.execute("BEGIN IMMEDIATE")
        daemon.wait_for(lambda: any("database failed" in m["message"] for m in daemon.messages()))
        assert daemon.ask("GET", "/healthcheck/is-ready")[0] == 503
        assert daemon.ask("POST", "/api/v1/jobs/b/trigger", {})[0] == 503
        held.execute("ROLLBACK")
    daemon.wait_for(lambda: daemon.ask("GET", "/healthcheck/is-ready")[0] == 200)
    daemon.wait_for(lambda: daemon.runs("b", status="succeeded"))
    count = len(daemon.runs("a"))
    daemon.wait_for(lambda: len(daemon.runs("a", status="succeeded")) >= count + 1)
    slots = [row["slot_unix_ms"] for row in daemon.runs("a")]
    assert slots == list(range(slots[0], slots[-1] + 1, 1000))
    assert not daemon.runs("a", status="skipped")  # misfire: all
    assert len(witnessed(daemon)) == 1
    assert sum("database failed" in m["message"] for m in daemon.messages()) == 1


def test_old_runs_and_their_folders_go(make):
    daemon = make('a: {plugin: noop, schedule: "* * * * * *"}', core=", history: {runs: 2}")
    folder = daemon.world.state / "runs"
    # Seen beside its row: a reader that is slow may come when both are gone.
    first = daemon.wait_for(lambda: [row["id"] for row in daemon.runs("a", status="succeeded")
                                     if (folder / row["id"]).is_dir()])[0]
    daemon.wait_for(lambda: not (folder / first).exists())
    daemon.wait_for(lambda: first not in [row["id"] for row in daemon.runs("a")])
    assert len(daemon.runs("a")) >= 2
