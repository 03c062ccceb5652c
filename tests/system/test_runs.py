"""The history: runs in the foreground leave a record, and 'run-core runs' shows it."""

import json
import os
import re
import signal
import sqlite3
import time

import pytest
from conftest import PATIENCE_S

CONFIG = """
jobs:
  good: {plugin: noop}
  bad: {plugin: fail}
  boom: {plugin: crash}
  late: {plugin: hang, timeout: 500ms, kill_after: 200ms}
  long: {plugin: hang}
"""
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


@pytest.fixture
def jobs(world):
    world.config(CONFIG)
    return world


def runs(world, *words):
    return json.loads(world.run("runs", "--json", *words).stdout)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nothing_ran_yet_and_nothing_is_made_by_looking(jobs):
    assert runs(jobs) == []
    assert jobs.run("runs").stdout == "No runs.\n"
    assert jobs.run("runs", "x").status == 1
    assert not jobs.state.exists()


def test_every_end_in_the_foreground_has_its_row(jobs):
    ids = []
    for job in ["good", "bad", "boom", "late"]:
        ids.append(jobs.run("run", job, "--json").final["run"])
    listed = runs(jobs)
    assert [run["id"] for run in listed] == ids[::-1]
    assert {run["job"]: (run["status"], run["reason"], run["exit_status"]) for run in listed} == {
        "good": ("succeeded", None, 0),
        "bad": ("failed", "failed", 1),
        "boom": ("failed", "crashed", 139),
        "late": ("timed_out", "timeout", 124),
    }
    for run in listed:
        assert list(run) == ["id", "job", "plugin", "action", "trigger", "slot", "due",
                             "status", "reason", "attempt", "started", "finished", "exit_status",
                             "counters"]
        assert run["trigger"] == "foreground" and run["slot"] is None and run["attempt"] == 1
        assert RFC3339.fullmatch(run["started"]) and RFC3339.fullmatch(run["finished"])
        assert isinstance(run["counters"], dict)
    assert [run["job"] for run in runs(jobs, "--limit", "2")] == ["late", "boom"]
    assert [run["job"] for run in runs(jobs, "--job", "bad")] == ["bad"]
    assert len(runs(jobs, "--status", "failed,timed_out")) == 3

    text = jobs.run("runs").stdout.splitlines()
    assert text[0].split() == ["run", "job", "trigger", "due", "status", "late", "took", "why"]
    assert len(text) == 5
    shown = jobs.run("runs", ids[2]).stdout
    assert "crashed" in shown and "attempt" in shown
    one = json.loads(jobs.run("runs", ids[2], "--json").stdout)
    assert one["id"] == ids[2] and one["attempts"][0]["reason"] == "crashed"


def test_runs_without_a_job_and_dry_runs_leave_no_trace(jobs):
    assert jobs.run("noop").status == 0
    assert jobs.run("run", "good", "--dry-run").status == 0
    assert not jobs.state.exists()
    assert jobs.run("noop", "--job", "good").status == 0
    assert [run["job"] for run in runs(jobs)] == ["good"]


def test_a_run_that_was_killed_with_its_guard_is_lost(jobs):
    process = jobs.start("run", "long", start_new_session=True)
    wait_until(lambda: [run["status"] for run in runs(jobs)] == ["started"])
    assert jobs.run("run", "good").status == 0  # whoever comes next leaves the living alone
    assert [run["status"] for run in runs(jobs, "--job", "long")] == ["started"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: [run["status"] for run in runs(jobs, "--job", "long")] == ["lost"])
    with sqlite3.connect(jobs.state / "state.db") as state:
        assert state.execute("SELECT count(*) FROM executors").fetchone() == (0,)


def test_a_history_that_cannot_be_written_is_a_warning(jobs):
    jobs.state.write_text("in the way")
    config = CONFIG.replace("{plugin: noop}", "{plugin: noop, concurrency: allow}")
    jobs.config(config)
    result = jobs.run("run", "good")
    assert result.status == 0
    assert result.text.count("the history will not have") == 1


def test_what_is_asked_wrongly_is_said(jobs):
    result = jobs.run("runs", "--status", "faild")
    assert result.status == 2 and "did you mean 'failed'?" in result.stderr
    assert jobs.run("runs", "--limit", "0").status == 2
    assert jobs.run("runs", "--limit", "many").status == 2
