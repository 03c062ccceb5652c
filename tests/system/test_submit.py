"""Runs that a plugin begins: from an action, from a route, under the daemon; and what they may not
have of the run that began them."""

import contextlib
import hashlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api_world import Daemon, until
from conftest import PATIENCE_S
from test_serve import Served


def runs_of(world):
    return json.loads(world.run("runs", "--json").stdout)


def wait_until(what, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(world, run):
    """The row of a run once it has ended."""
    def look():
        row = next(r for r in runs_of(world) if r["id"] == run)
        return row if row["status"] not in ("due", "started") else None
    return wait_until(look)


def results_of(result):
    return [r["text"] for r in result.final["results"]]


@pytest.fixture
def folder(world):
    path = world.root / "out"
    path.mkdir()
    return path


def test_an_action_begins_a_run_that_outlives_it(world, folder):
    begun = world.run("submit", "begin", "--json", "--set", f"folder={folder}", "--set",
                      "greeting=hi", "--set", "nested={depth: 7}", "--set", "with=a b",
                      "--set", f"until={world.root}/go")
    assert begun.status == 0, begun.text
    run, = results_of(begun)
    row, = [r for r in runs_of(world) if r["id"] == run]
    assert row["status"] == "started" and row["trigger"] == "plugin" and row["job"] is None
    (world.root / "go").touch()
    row = ended(world, run)
    assert row["status"] == "succeeded" and row["counters"] == {"worked": 1}
    assert (row["plugin"], row["action"]) == ("submit", "work")
    assert (folder / run).read_text() == "hi a b - 7 -\n"
    log = world.run("logs", run).stdout
    assert "at work on 'a b'" in log and '{"text":"some work is done"}' in log
    assert "succeeded" in log and begun.stderr.count("at work") == 0


def test_what_cannot_be_is_refused_before_anything_begins(world, folder):
    served = Served(world, "--set", f"folder={folder}", routes="submit")
    for query, said in [
        ("/begin/wrk", "the plugin 'submit' has no action 'wrk'"),
        ("/begin/work?other=1", "unknown key 'other' of the action 'work'"),
        ("/begin/work?wait=soon", "'wait' is 'soon', which is not a duration"),
        ("/begin/work?wait=2h", "'wait'"),
    ]:
        status, body, _ = served.ask("POST", query)
        assert status == 400 and said in body, body
        assert "begin a run of" in body
    assert runs_of(world) == [] and not os.listdir(folder)
    assert served.stop()[0] == 0


def test_a_route_begins_a_run_that_its_server_need_not_outlive(world, folder):
    served = Served(world, "--set", f"folder={folder}", "--set", "password=geheimnis",
                    routes="submit")
    status, run, _ = served.ask("POST", f"/begin/work?mark=x&until={world.root}/go")
    assert status == 200
    process = Path("/proc") / str(served.process.pid)
    children = (process / "task" / str(served.process.pid) / "children").read_text()
    assert children.strip() == ""  # neither a child nor a zombie
    assert served.stop()[0] == 0
    row, = runs_of(world)
    assert (row["id"], row["status"]) == (run, "started")
    mine = processes_of(run)
    assert mine and all(b"geheimnis" not in line for line in mine.values())
    (world.root / "go").touch()
    assert ended(world, run)["status"] == "succeeded"
    assert (folder / run).read_text() == "hello x geheimnis 1 -\n"
    assert "geheimnis" not in world.run("logs", run).stdout


def test_a_server_that_was_started_without_word_of_its_children(world, folder):
    handler = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # which children inherit
    try:
        served = Served(world, "--set", f"folder={folder}", routes="submit")
    finally:
        signal.signal(signal.SIGCHLD, handler)
    status, run, _ = served.ask("POST", "/begin/work?mark=x")
    assert status == 200, run
    assert ended(world, run)["status"] == "succeeded"
    assert served.stop()[0] == 0


def test_many_begin_at_the_same_time(world, folder):
    served = Served(world, "--set", f"folder={folder}", routes="submit")
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda i: served.ask("POST", f"/begin/work?mark={i}"), range(12)))
    assert [reply[0] for reply in replies] == [200] * 12
    for i, (_, run, _) in enumerate(replies):
        assert ended(world, run)["status"] == "succeeded"
        assert (folder / run).read_text().split()[1] == str(i)
    assert served.stop()[0] == 0


def processes_of(run):
    """Processes that have the run's id among their words, and these."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if run.encode() in words:
            found[int(entry.name)] = words
    return found


def test_failures_crashes_and_kills_are_recorded(world, folder):
    served = Served(world, "--set", f"folder={folder}", routes="submit")
    fails = served.ask("POST", "/begin/work?fails=true")[1]
    crashes = served.ask("POST", "/begin/work?crashes=yes")[1]
    killed = served.ask("POST", "/begin/work?wait=50s")[1]
    stopped = served.ask("POST", "/begin/work?wait=50s")[1]
    assert served.stop()[0] == 0
    assert ended(world, fails)["status"] == "failed"
    assert ended(world, crashes)["status"] == "failed"
    os.kill(min(processes_of(stopped)), signal.SIGTERM)
    assert ended(world, stopped)["status"] == "cancelled"
    for pid in processes_of(killed):
        with contextlib.suppress(ProcessLookupError):  # the worker ends with its guard
            os.kill(pid, signal.SIGKILL)
    world.config("jobs: {work: {plugin: submit, action: work}}\n")
    world.run("run", "work", "--set", f"folder={folder}")  # settles what has died
    assert ended(world, killed)["status"] == "lost"


def test_a_dry_run_begins_nothing(world, folder):
    begun = world.run("submit", "begin", "--dry-run", "--json", "--set", f"folder={folder}")
    assert begun.status == 0 and results_of(begun) == ["none"]
    assert "would begin a run of 'work'" in begun.text
    assert begun.final["counters"]["dry_run_changes"] == 1 and runs_of(world) == []


def test_a_job_hands_on_its_options_but_not_itself(world, folder):
    world.config(f"""
plugins: {{submit: {{config: {{greeting: plugin, nested: {{depth: 3}}}}}}}}
jobs:
  begins:
    plugin: submit
    action: begin
    config: {{folder: {folder}, greeting: job, with: of-job, mark: not-this}}
""".replace(", mark: not-this", ""))
    begun = world.run("run", "begins", "--json")
    assert begun.status == 0, begun.text
    run, = results_of(begun)
    assert ended(world, run)["job"] is None
    assert (folder / run).read_text() == "job of-job - 3 -\n"


def test_a_configuration_that_is_broken_by_then_is_the_answer(world, folder):
    world.config(f"plugins: {{submit: {{config: {{folder: {folder}}}}}}}\n")
    served = Served(world, routes="submit")
    world.config("plugins: {submit: {confg: {}}}\n")
    status, body, _ = served.ask("POST", "/begin/work")
    assert status == 500, body
    world.config(f"plugins: {{submit: {{config: {{folder: {folder}, greeting: new}}}}}}\n")
    run = served.ask("POST", "/begin/work")[1]
    assert ended(world, run)["status"] == "succeeded"
    assert (folder / run).read_text() == "new none - 1 -\n"
    status, stderr = served.stop()
    assert status == 0 and "the configuration has 1 mistake" in stderr


def served_by(daemon):
    def begin(query):
        reply = daemon.local.post("/plugins/submit/begin/work" + query)
        assert reply.status == 200, reply.text
        return reply.text
    return begin


def test_under_a_daemon_they_outlive_its_servers_and_itself(world, folder):
    core = Daemon(world, f"""
plugins: {{submit: {{serve: true, config: {{folder: {folder}}}}}}}
jobs: {{begins: {{plugin: submit, action: begin, config: {{takes: 2s, count: 2}}}}}}
""")
    api = core.local
    until(lambda: api.get("/plugins/submit/who").status == 200)
    begin = served_by(core)
    first, stopped = begin("?wait=2s&mark=1"), begin("?wait=50s")
    assert world.run("reload").status == 0
    assert world.run("cancel", stopped).status == 0
    assert api.wait_for(stopped, "cancelled")["reason"] == "signal"
    assert world.run("cancel", stopped).status != 0
    # What an action begins below a guard of the daemon's outlives that one as well.
    by_job = api.post("/api/v1/jobs/begins/trigger", {}).json["run"]
    api.wait_for(by_job, "succeeded")
    begun = [r for r in runs_of(world) if r["trigger"] == "plugin"]
    assert len(begun) == 4
    detail = api.get(f"/api/v1/runs/{first}").json
    assert detail["trigger"] == "plugin" and detail["job"] is None
    assert "at work on '1'" in api.get(f"/api/v1/runs/{first}/log").text
    core.stop()
    for row in begun:
        assert ended(world, row["id"])["status"] == \
            ("cancelled" if row["id"] == stopped else "succeeded")


def test_each_takes_older_ones_with_it(world, folder):
    world.config("core: {history: {runs: 2}}\n"
                 f"plugins: {{submit: {{config: {{folder: {folder}}}}}}}\n")
    begun = results_of(world.run("submit", "begin", "--json", "--set", "count=5"))
    assert len(begun) == 5
    for _ in range(2):
        last, = results_of(world.run("submit", "begin", "--json"))
        ended(world, last)
    left = wait_until(lambda: len(runs_of(world)) == 2 and runs_of(world))
    assert left[0]["id"] == last
    assert {path.name for path in (world.state / "runs").iterdir()} == {row["id"] for row in left}


# ---- who asks ------------------------------------------------------------------------------------


def test_clients_of_a_server_alone_are_local_by_their_address(world):
    served = Served(world, routes="submit")
    assert served.ask("GET", "/who")[1] == "local -"
    for headers, where in [
        ({"X-Forwarded-For": "127.0.0.1, ::1"}, "local"),
        ({"X-Forwarded-For": "192.0.2.7"}, "elsewhere"),
        ({"Forwarded": "for=192.0.2.7"}, "elsewhere"),
        # It is not the daemon who says so.
        ({"X-Forwarded-For": "192.0.2.7", "X-Run-Core-Admitted": "yes"}, "elsewhere"),
    ]:
        assert served.ask("GET", "/who", headers=headers)[1] == f"{where} -", headers
    assert served.stop()[0] == 0


def test_the_daemon_lets_in_or_leaves_it_to_the_plugin(world):
    tokens = world.root / "tokens"
    tokens.write_text(f"reader read {hashlib.sha256(b'secret').hexdigest()}\n")
    tokens.chmod(0o600)
    section = "plugins: {{submit: {{serve: true{}}}}}\njobs: {{}}\n"
    core = Daemon(world, section.format(""), core=f"  auth: {{tokens_file: {tokens}}}")
    who = "/plugins/submit/who"

    def ask(token=None, **headers):
        reply = core.api(token).ask("GET", who, headers=headers)
        return reply.status, reply.text

    far = {"X-Forwarded-For": "192.0.2.7"}
    until(lambda: ask("secret")[0] == 200)
    assert ask("secret") == ask("secret", **far) == (200, "local -")
    assert ask()[0] == 401 and ask("another")[0] == 401
    core.file.write_text(core.file.read_text().replace("serve: true", "serve: true, auth: plugin"))
    assert world.run("reload").status == 0
    until(lambda: ask() == (200, "local -"))
    assert ask("a.b.c") == (200, "local Bearer a.b.c")
    assert ask("secret", **far) == (200, "elsewhere Bearer secret")
    assert ask(None, **far, **{"X-Run-Core-Admitted": "yes"}) == (200, "elsewhere -")
    # All else is asked for as before.
    assert core.api().get("/api/v1/jobs").status == 401
    assert core.api().post("/plugins/submit/begin/nothing").status == 400
    assert core.stop() == 0


def test_runs_on_postgresql_too(world, folder, state_on_postgres):
    world.config(f"core: {{spool: {world.root}}}\n")
    begun = world.run("submit", "begin", "--json", "--set", f"folder={folder}")
    assert begun.status == 0, begun.text
    run, = results_of(begun)
    assert ended(world, run)["status"] == "succeeded"
