"""The daemon's API: every route, what it refuses, who may ask, and logs as they grow."""

import contextlib
import copy
import hashlib
import json
import os
import signal
import socket
import subprocess
import time

import jsonschema
import pytest

import prometheus_text
from api_schema import Judge, check_document
from api_world import Daemon, until
from conftest import PATIENCE_S

JOBS = """
plugins:
  options: {config: {needed: given}}
jobs:
  tick: {plugin: noop, schedule: "@every 1s"}
  nightly: {plugin: noop, schedule: "30 2 * * *", time_zone: Europe/Prague}
  opt: {plugin: options}
  fail: {plugin: fail, action: fail, retry: {attempts: 2, backoff: 200ms, max_backoff: 300ms}}
  wait: {plugin: hang, action: wait, kill_after: 2s}
  hang: {plugin: hang, action: hang, kill_after: 300ms}
  queue: {plugin: hang, action: wait, concurrency: queue}
  count: {plugin: counter}
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    from conftest import World

    running = Daemon(World(tmp_path_factory.mktemp("api")), JOBS)
    yield running
    assert running.stop() == 0, running.said


@pytest.fixture(scope="module")
def api(daemon):
    return daemon.api()


@pytest.fixture(scope="module")
def judge(api):
    return Judge(api.get("/api/v1/openapi.json").json)


def trigger(api, job, **body):
    reply = api.post(f"/api/v1/jobs/{job}/trigger", body)
    assert reply.status == 202, reply.text
    return reply.json["run"]


# ---- what there is ------------------------------------------------------------------------------


def test_health(api):
    alive, ready = api.get("/healthcheck/is-alive"), api.get("/healthcheck/is-ready")
    assert (alive.status, alive.json["status"]) == (200, "ok")
    assert (ready.status, ready.json) == (200, {"status": "ok", "reason": None})


def test_status(api, judge):
    reply = api.get("/api/v1/status")
    judge.check("GET", "/api/v1/status", reply)
    assert reply.json["ready"] is True and reply.json["jobs"] == 8


def test_every_reply_is_as_documented(api, judge):
    run = trigger(api, "opt", set={"text": "x"})
    api.wait_for(run)
    for path in ["/healthcheck/is-alive", "/healthcheck/is-ready", "/metrics", "/api/v1/status",
                 "/api/v1/openapi.json", "/api/v1/jobs", "/api/v1/jobs/tick", "/api/v1/jobs/opt",
                 "/api/v1/jobs/nightly?slots=3&runs=0", "/api/v1/jobs/none", "/api/v1/runs",
                 f"/api/v1/runs/{run}", "/api/v1/runs/none", f"/api/v1/runs/{run}/log",
                 "/api/v1/runs/none/log", "/api/v1/plugins", "/api/v1/plugins/options",
                 "/api/v1/plugins/wrong-abi", "/api/v1/plugins/none", "/api/v1/runs?limit=x",
                 "/nothing", "/api/v1/jobs/none/trigger"]:
        judge.check("GET", path, api.get(path))
    for path, body in [("jobs/none/trigger", {}), ("jobs/opt/trigger", {"set": {"count": 99}}),
                       ("jobs/opt/trigger", {"sett": 1}), ("jobs/tick/pause", None),
                       ("jobs/tick/resume", None), ("jobs/none/pause", None),
                       ("jobs/none/resume", None), (f"runs/{run}/cancel", None),
                       ("runs/none/cancel", None), ("reload", None)]:
        judge.check("POST", f"/api/v1/{path}", api.post(f"/api/v1/{path}", body))


A_GET = ("paths", "/api/v1/jobs", "get")
WRONG_IN_A_DOCUMENT = [
    ((), "openapi", "3.0.3"), (("info",), "title", 1), (("paths",), "api/v1/jobs", {}),
    (A_GET, "parameter", []), ((*A_GET, "parameters", 0), "in", "body"),
    ((*A_GET, "responses"), "2000", {}), ((*A_GET, "responses", "200"), "description", None),
    (("components", "schemas"), "two words", {}),
    (("components", "schemas", "Job"), "type", "text"),
]


def test_the_document_is_sound(judge):
    document = judge.document
    check_document(document)
    for path, key, value in WRONG_IN_A_DOCUMENT:
        spoilt = place = copy.deepcopy(document)
        for step in path:
            place = place[step]
        place[key] = value
        with pytest.raises((jsonschema.ValidationError, jsonschema.SchemaError)):
            check_document(spoilt)
    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for path in document["paths"].values()
             for operation in path.values()]
    assert len(names) == len(set(names)) >= 17
    refs = set()

    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                refs.add(node["$ref"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert refs <= known and known - refs == set()
    tags = {tag["name"] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert set(operation["tags"]) <= tags
            assert operation["summary"].endswith(".") and operation["responses"]
            in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert all("schema" in p for p in operation["parameters"])
            assert method in ("get", "post")


def test_jobs_by_pages(api):
    everything = api.get("/api/v1/jobs").json
    assert everything["total"] == 8 == len(everything["jobs"])
    names = [job["name"] for job in everything["jobs"]]
    paged = [job["name"] for offset in range(0, 9, 3)
             for job in api.get("/api/v1/jobs", limit=3, offset=offset).json["jobs"]]
    assert paged == names
    assert [j["name"] for j in api.get("/api/v1/jobs", plugin="counter").json["jobs"]] == ["count"]
    assert api.get("/api/v1/jobs", match="i").json["total"] == 4
    assert api.get("/api/v1/jobs", paused="true").json["total"] == 0


def test_a_job_is_explained(api):
    job = api.get("/api/v1/jobs/nightly?slots=3").json
    assert len(job["slots"]) == 3 and job["slots"][0] == job["next"]
    assert "Prague" in job["explanation"] or "02:30" in job["explanation"]
    assert job["concurrency"] == "forbid" and job["misfire"] == "latest"
    assert api.get("/api/v1/jobs/opt").json["slots"] == []


def test_runs_are_filtered_and_paged(api):
    until(lambda: len(api.get("/api/v1/runs", job="tick", status="succeeded").json["runs"]) >= 3)
    now = api.get("/api/v1/runs", job="tick", limit=1).json["runs"][0]["due"]
    every = api.get("/api/v1/runs", job="tick", until=now, limit=1000).json
    assert every["next"] is None
    paged, before = [], None
    while True:
        query = {"job": "tick", "until": now, "limit": 2}
        if before:
            query["before"] = before
        page = api.get("/api/v1/runs", **query).json
        paged += [run["id"] for run in page["runs"]]
        before = page["next"]
        if before is None:
            break
    assert paged == [run["id"] for run in every["runs"]]
    assert api.get("/api/v1/runs", since="2100-01-01T00:00:00Z").json["runs"] == []
    assert {r["plugin"] for r in api.get("/api/v1/runs", plugin="noop").json["runs"]} == {"noop"}


@pytest.mark.parametrize("query, word", [
    ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=ten", "limit"), ("limt=1", "limit"),
    ("status=broken", "status"), ("since=yesterday", "since"), ("limit=1&limit=2", "twice"),
    ("status=failed,", "status"), ("&".join(f"a{i}=" for i in range(100)), "parameters"),
])
def test_parameters_are_checked(api, query, word):
    reply = api.get(f"/api/v1/runs?{query}")
    assert reply.status == 400 and word in reply.json["error"], reply.text


def test_methods(api):
    for path, allow in [("/api/v1/status", "GET, HEAD"), ("/api/v1/reload", "POST"),
                        ("/api/v1/jobs/tick/pause", "POST"), ("/metrics", "GET, HEAD")]:
        reply = api.ask("DELETE", path)
        assert reply.status == 405 and reply.headers["allow"] == allow, reply.text
        options = api.ask("OPTIONS", path)
        assert options.status == 204 and options.headers["allow"] == allow
    head = api.ask("HEAD", "/api/v1/status")
    assert head.status == 200 and head.body == b"" and int(head.headers["content-length"]) > 0
    assert api.get("/api/v2/status").status == 404
    assert api.get("/api/v1/jobs//trigger").status == 404


def test_plugins(api, daemon):
    listed = {plugin["name"]: plugin for plugin in api.get("/api/v1/plugins").json["plugins"]}
    assert listed["noop"]["version"] == "1.0" and listed["noop"]["error"] is None
    assert "ABI" in listed["wrong-abi"]["error"] and listed["wrong-abi"]["version"] is None
    described = daemon.world.run("describe", "options", "--json")
    assert api.get("/api/v1/plugins/options").json == json.loads(described.stdout)
    assert api.get("/api/v1/plugins/none").status == 404
    assert api.get("/api/v1/plugins/wrong-abi").status == 409


# ---- what may be asked --------------------------------------------------------------------------


def test_trigger(api):
    reply = api.post("/api/v1/jobs/opt/trigger", {"set": {"text": "by hand", "count": 5,
                                                          "list": ["a", "b"], "flag": True}})
    run = reply.json["run"]
    assert reply.headers["location"] == f"/api/v1/runs/{run}"
    ended = api.wait_for(run)
    assert (ended["status"], ended["trigger"], ended["slot"]) == ("succeeded", "manual", None)
    assert ended["set"] == {"text": "by hand", "count": 5, "list": ["a", "b"], "flag": True}
    assert [a["number"] for a in ended["attempts"]] == [1]
    log = api.get(f"/api/v1/runs/{run}/log").text
    assert "text=by hand" in log and "count=5" in log and "flag=1" in log


def test_secrets_never_come_back(api, daemon):
    run = trigger(api, "opt", set={"password": "hunter2-is-it", "text": "open"})
    ended = api.wait_for(run)
    assert ended["set"]["text"] == "open" and "hunter2" not in json.dumps(ended)
    for path in [f"/api/v1/runs/{run}/log", "/api/v1/runs", "/api/v1/jobs/opt", "/metrics",
                 "/api/v1/plugins/options"]:
        assert "hunter2" not in api.get(path).text
    assert "hunter2" not in daemon.said
    refused = api.post("/api/v1/jobs/opt/trigger", {"set": {"password": ["hunter2-is-it"]}})
    assert refused.status == 422 and "hunter2" not in refused.text


@pytest.mark.parametrize("values, word", [
    ({"nonsense": 1}, "nonsense"), ({"count": "many"}, "count"), ({"count": 11}, "from 0 to 10"),
    ({"colour": "pink"}, "red"), ({"wait": "3 apples"}, "wait"), ({"flag": "perhaps"}, "flag"),
    ({"day": "2026-02-30"}, "day"), ({"objects": [{"days": 0}]}, "days"), ({"map": 3}, "map"),
    ({"config_file": "/etc/passwd"}, "config_file"), ({"config_url": "http://x/"}, "config_url"),
])
def test_values_are_checked_before_anything_starts(api, daemon, values, word):
    before = api.get("/api/v1/runs", job="opt", limit=1000).json["runs"]
    reply = api.post("/api/v1/jobs/opt/trigger", {"set": values})
    assert reply.status == 422, reply.text
    messages = " ".join(problem["message"] for problem in reply.json["problems"])
    assert word in messages
    assert api.get("/api/v1/runs", job="opt", limit=1000).json["runs"] == before


def test_the_message_is_that_of_the_command_line(api, daemon):
    reply = api.post("/api/v1/jobs/opt/trigger", {"set": {"colour": "pink", "cuont": "1"}})
    said = daemon.world.run("run", "opt", "--set", "colour=pink", "--set", "cuont=1").text
    for problem in reply.json["problems"]:
        assert f"{problem['file']}: {problem['message']}" in said


@pytest.mark.parametrize("body, type_, status", [
    ("{", "application/json", 400), ("[]", "application/json", 400), ("3", "application/json", 400),
    ('{"force": 1.5}', "application/json", 400), ('{"forse": true}', "application/json", 400),
    ('{"set": 3}', "application/json", 422), ('{"set": []}', "application/json", 422),
    ('{"set": {}, "set": {}}', "application/json", 400), ("{}", "text/plain", 415),
    ("set=x", "application/x-www-form-urlencoded", 415), ("{}", None, 415),
    ('{"set": {"text": "a\\u0000b"}}', "application/json", 400), (b"\xff\xfe", "application/json", 400),
    ("[" * 5000, "application/json", 400), ("{a: b}", "application/json", 400),
])
def test_bodies_are_checked(api, body, type_, status):
    headers = {"Content-Type": type_} if type_ else {}
    reply = api.ask("POST", "/api/v1/jobs/opt/trigger", body, headers=headers)
    assert reply.status == status, reply.text
    assert "error" in reply.json


def test_bodies_have_a_limit(api):
    reply = api.ask("POST", "/api/v1/jobs/opt/trigger", b"x" * (2 << 20),
                    headers={"Content-Type": "application/json"})
    assert reply.status == 413


def test_overlap_and_force(api):
    first = trigger(api, "wait")
    api.wait_for(first, "started")
    skipped = api.post("/api/v1/jobs/wait/trigger")
    assert skipped.status == 409 and skipped.json["code"] == "skipped"
    assert api.wait_for(skipped.json["run"])["status"] == "skipped"
    forced = trigger(api, "wait", force=True)
    api.wait_for(forced, "started")
    for run in (first, forced):
        assert api.post(f"/api/v1/runs/{run}/cancel").status == 202
        assert api.wait_for(run)["status"] == "cancelled"
    again = api.post(f"/api/v1/runs/{first}/cancel")
    assert again.status == 409 and "ended" in again.json["error"]


def test_a_waiting_run_can_be_cancelled(api):
    first, second = trigger(api, "queue"), trigger(api, "queue")
    api.wait_for(first, "started")
    assert api.wait_for(second, "due")["started"] is None
    assert api.post(f"/api/v1/runs/{second}/cancel").status == 202
    assert api.wait_for(second)["status"] == "cancelled"
    api.post(f"/api/v1/runs/{first}/cancel")
    api.wait_for(first)


def test_a_run_that_ignores_the_wish_is_killed(api):
    run = trigger(api, "hang")
    api.wait_for(run, "started")
    until(lambda: "hanging" in api.get(f"/api/v1/runs/{run}/log").text)
    assert api.post(f"/api/v1/runs/{run}/cancel").status == 202
    assert api.wait_for(run)["status"] == "cancelled"


def test_attempts(api):
    run = api.wait_for(trigger(api, "fail"))
    assert run["status"] == "failed" and run["attempt"] == 2 == run["max_attempts"]
    assert [a["status"] for a in run["attempts"]] == ["failed", "failed"]
    one = api.get(f"/api/v1/runs/{run['id']}/log?attempt=1").text
    two = api.get(f"/api/v1/runs/{run['id']}/log?attempt=2").text
    assert one and two and one != two
    assert api.get(f"/api/v1/runs/{run['id']}/log").text == two
    assert api.get(f"/api/v1/runs/{run['id']}/log?attempt=3").status == 404


def test_pause(api):
    assert api.post("/api/v1/jobs/tick/pause").json == {
        "job": "tick", "paused": True, "changed": True}
    try:
        assert api.post("/api/v1/jobs/tick/pause").json["changed"] is False
        job = api.get("/api/v1/jobs/tick").json
        assert job["paused"] and job["paused_by"] == "127.0.0.1"
        assert api.get("/api/v1/jobs", paused="true").json["total"] == 1
        until(lambda: [r for r in api.get("/api/v1/runs", job="tick", status="skipped").json["runs"]
                       if r["reason"] == "paused"])
    finally:
        assert api.post("/api/v1/jobs/tick/resume").json["paused"] is False
    assert api.post("/api/v1/jobs/none/pause").status == 404


# ---- logs ---------------------------------------------------------------------------------------


def test_log_ranges(api):
    run = trigger(api, "opt", set={"text": "for ranges"})
    api.wait_for(run)
    path = f"/api/v1/runs/{run}/log"
    whole = api.get(path).body
    lines = whole.splitlines(keepends=True)
    assert len(whole) > 100 and len(lines) >= 2
    assert api.get(path, offset=10, limit=20).body == whole[10:30]
    assert api.get(path, offset=len(whole) + 5).body == b""
    assert api.get(path, tail=1).body == lines[-1]
    assert api.get(path, tail=2).body == b"".join(lines[-2:])
    assert api.get(path, tail=1000).body == whole

    def part(text):
        return api.ask("GET", path, headers={"Range": text})

    assert (part("bytes=0-9").status, part("bytes=0-9").body) == (206, whole[:10])
    assert part("bytes=0-9").headers["content-range"] == f"bytes 0-9/{len(whole)}"
    assert part("bytes=-7").body == whole[-7:]
    assert part("bytes=20-").body == whole[20:]
    assert part("bytes=5-999999").body == whole[5:]
    beyond = part("bytes=999999-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    for odd in ("bytes=9-3", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=-", "bytes=+1-2"):
        assert (part(odd).status, part(odd).body) == (200, whole)


def follow(api, run, query=""):
    connection, response = api.open("GET", f"/api/v1/runs/{run}/log?follow=true{query}")
    assert response.status == 200
    return connection, response


def test_follow_ends_with_the_run(api):
    run = trigger(api, "wait")
    connection, response = follow(api, run)
    with contextlib.closing(connection):
        assert b"waiting" in response.readline()
        api.post(f"/api/v1/runs/{run}/cancel")
        rest = response.read().decode()
    assert "stopping" in rest and "cancelled" in rest
    ended = api.get(f"/api/v1/runs/{run}/log").text
    assert ended.endswith(rest)
    assert api.get(f"/api/v1/runs/{run}/log?follow=true").text == ended


def test_follow_goes_on_through_attempts(api):
    for _ in range(20):  # the second attempt may come so soon that it is the latest already
        run = trigger(api, "fail")
        connection, response = follow(api, run)
        with contextlib.closing(connection):
            text = response.read().decode()
        assert '"attempt":"2"' in text
        if '"attempt":"1"' in text:
            break
    else:
        raise AssertionError("no log ever went on")
    assert api.wait_for(run)["attempt"] == 2
    assert '"attempt":"2"' not in api.get(f"/api/v1/runs/{run}/log?follow=true&attempt=1").text


def test_follow_a_run_that_waits_for_its_turn(api):
    first, second = trigger(api, "queue"), trigger(api, "queue")
    connection, response = follow(api, second)
    with contextlib.closing(connection):
        api.post(f"/api/v1/runs/{first}/cancel")
        assert b"waiting" in response.readline()
        api.post(f"/api/v1/runs/{second}/cancel")
        response.read()


def test_many_followers_that_leave(api, daemon):
    run = trigger(api, "wait")
    api.wait_for(run, "started")
    until(lambda: api.get(f"/api/v1/runs/{run}/log").text)
    before = daemon.descriptors()
    followers = [follow(api, run) for _ in range(50)]
    for connection, response in followers:
        assert b"waiting" in response.readline()
        response.close()
        connection.close()
    until(lambda: daemon.descriptors() <= before + 5)
    api.post(f"/api/v1/runs/{run}/cancel")
    api.wait_for(run)


LONG = """
jobs:
  print: {plugin: heavy, action: print, config: {lines: 20000}}
  flood: {plugin: heavy, action: flood, kill_after: 1s}
"""


@pytest.fixture(scope="module")
def small_logs(tmp_path_factory):
    from conftest import World

    running = Daemon(World(tmp_path_factory.mktemp("logs")), LONG,
                     core="  history: {log_size: 64KiB}")
    yield running
    running.stop()


def test_a_log_that_was_rotated_is_one_text(small_logs):
    api = small_logs.api()
    run = trigger(api, "print")
    assert api.wait_for(run)["status"] == "succeeded"
    path = f"/api/v1/runs/{run}/log"
    whole = api.get(path).body
    folder = small_logs.world.state / "runs" / run
    assert whole == (folder / "1.log.1").read_bytes() + (folder / "1.log").read_bytes()
    older = (folder / "1.log.1").stat().st_size
    assert 0 < older < len(whole) <= 80 * 1024
    numbers = [int(line.split()[1]) for line in whole.splitlines() if line.startswith(b"line ")]
    assert numbers == list(range(numbers[0], 20000))
    for at in (0, 1, older - 1, older, older + 1, len(whole) - 1):
        assert api.get(path, offset=at).body == whole[at:]
        assert api.get(path, offset=at, limit=2).body == whole[at:at + 2]
    assert api.ask("GET", path, headers={"Range": f"bytes={older - 5}-{older + 4}"}).body == \
        whole[older - 5:older + 5]
    lines = whole.splitlines(keepends=True)
    for count in (1, 10, len(lines) // 2, len(lines) - 1, len(lines), len(lines) + 1):
        assert api.get(path, tail=count).body == b"".join(lines[-count:])


def test_follow_a_flood(small_logs):
    """However fast it grows: lines come whole, and the daemon's memory does not."""
    api = small_logs.api()
    run = trigger(api, "flood")
    connection, response = follow(api, run)
    with contextlib.closing(connection):
        got = response.read(300_000)
        assert b"x" * 99 + b"\n" in got
        assert api.get("/api/v1/status").status == 200
        api.post(f"/api/v1/runs/{run}/cancel")
        response.read()
    assert api.wait_for(run)["status"] == "cancelled"


@contextlib.contextmanager
def stopped(process):
    """As it seems to be to others while it is slow."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def follow_while_it_prints(daemon, lines):
    """What one who follows a log is told of, if nobody looks at it while so many lines come."""
    api, world = daemon.api(), daemon.world
    fifo = world.root / f"{lines}.fifo"
    os.mkfifo(fifo)
    run = trigger(api, "print", set={"lines": lines, "path": str(fifo)})
    log = world.state / "runs" / run / "1.log"

    def has_printed():
        with contextlib.suppress(FileNotFoundError):  # it is being rotated
            return b"print succeeded" in log.read_bytes()

    connection, response = follow(api, run)
    with contextlib.closing(connection):
        told = response.readline()
        assert b"waiting" in told
        with stopped(daemon.process):
            with open(fifo, "wb"):
                until(has_printed)
        told += response.read()
    return told.decode().splitlines()


def test_who_follows_misses_nothing_that_is_kept(small_logs):
    told = follow_while_it_prints(small_logs, 1500)  # the log is rotated twice
    assert sum("goes on here after" in line for line in told) == 2
    assert [int(line.split()[1]) for line in told if line.startswith("line ")] == list(range(1500))
    assert not any("are missing here" in line for line in told)


def test_who_follows_is_told_of_what_is_no_longer_kept(small_logs):
    told = follow_while_it_prints(small_logs, 20000)
    gap = next(i for i, line in enumerate(told) if "are missing here" in line)
    notice = json.loads(told[gap])
    assert (notice["level"], notice["attempt"]) == ("warn", "1")
    numbers = [[int(line.split()[1]) for line in part if line.startswith("line ")]
               for part in (told[:gap], told[gap:])]
    assert numbers[0] == list(range(len(numbers[0])))
    assert numbers[1] == list(range(numbers[1][0], 20000))
    lines = numbers[1][0] - numbers[0][-1] - 1
    size = float(notice["message"].split()[0])  # beside the lines of the log itself
    assert " KiB of the run's output" in notice["message"]
    assert lines * 48 <= size * 1024 <= lines * 48 * 1.02


# ---- routes of plugins --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    from conftest import World

    world = World(tmp_path_factory.mktemp("serve"))
    tokens = world.root / "tokens"
    tokens.write_text("".join(token_line(*t) for t in TOKENS.items()))
    tokens.chmod(0o600)
    running = Daemon(world, """
plugins:
  routes: {serve: true, config: {greeting: hi}}
  noop: {serve: false}
jobs: {}
""", core=f"  auth: {{tokens_file: {tokens}}}")
    until(lambda: running.api(secret_of("reader")).get("/plugins/routes/echo/x").status == 200)
    yield running
    assert running.stop() == 0


def test_routes_of_plugins(serving):
    api = serving.api(secret_of("runner"))
    reply = api.ask("POST", "/plugins/routes/echo/Ada%20L?q=a%2Fb", "text",
                    headers={"x-test": "yes", "Content-Type": "text/plain"})
    assert reply.status == 200 and reply.headers["x-echo"] == "yes"
    said = reply.json
    assert (said["path"], said["q"], said["header"], said["body"]) == (
        "/echo/Ada L", "a/b", "yes", "text")
    assert said["forwarded"] == "/plugins/routes" and secret_of("runner") not in reply.text
    assert api.get("/plugins/routes/fail/3").status == 404
    assert api.ask("DELETE", "/plugins/routes/echo/x").status == 405
    for path in ("/plugins/none/x", "/plugins/noop/x", "/plugins/routesx/echo/x", "/plugins/"):
        assert api.get(path).status == 404, path


def test_scopes_of_routes_of_plugins(serving):
    reader, nobody = serving.api(secret_of("reader")), serving.api()
    assert reader.get("/plugins/routes/echo/x").status == 200
    assert reader.post("/plugins/routes/count/a").status == 403
    assert nobody.get("/plugins/routes/echo/x").status == 401
    assert serving.api(secret_of("runner")).post("/plugins/routes/count/a").status == 204


def test_a_plugin_that_dies_comes_back(serving):
    api = serving.api(secret_of("runner"))
    assert api.post("/plugins/routes/crash").status == 502
    assert api.get("/healthcheck/is-ready").status == 200
    until(lambda: api.get("/plugins/routes/echo/x").status == 200)


# ---- without the database -----------------------------------------------------------------------


def test_while_the_database_is_away(world, postgres, state_on_postgres):
    running = Daemon(world, JOBS, state=state_on_postgres)
    api, local = running.api(), running.local
    judge = Judge(api.get("/api/v1/openapi.json").json)
    ended = api.wait_for(trigger(api, "opt"))["id"]
    postgres.stop("immediate")
    try:
        until(lambda: api.get("/healthcheck/is-ready").status == 503)
        assert api.get("/healthcheck/is-ready").json["reason"]
        assert api.get("/healthcheck/is-alive").status == 200
        assert api.get("/api/v1/status").json["ready"] is False
        assert api.get("/api/v1/jobs").json["total"] == 8
        families = prometheus_text.read(api.get("/metrics").text)
        assert prometheus_text.value(families, "run_core_ready") == 0
        for method, path in [("GET", "/api/v1/runs"), ("GET", f"/api/v1/runs/{ended}"),
                             ("GET", f"/api/v1/runs/{ended}/log"), ("GET", "/api/v1/jobs/opt"),
                             ("POST", "/api/v1/jobs/opt/trigger"),
                             ("POST", "/api/v1/jobs/opt/pause"),
                             ("POST", f"/api/v1/runs/{ended}/cancel")]:
            reply = local.ask(method, path)
            assert reply.status == 503 and reply.headers["retry-after"], (path, reply.text)
            assert "secret" not in reply.text and "p%40ss" not in reply.text
            judge.check(method, path, reply)
    finally:
        postgres.start()
    until(lambda: api.get("/healthcheck/is-ready").status == 200)
    assert api.wait_for(trigger(api, "opt"))["status"] == "succeeded"
    assert running.stop() == 0


# ---- metrics ------------------------------------------------------------------------------------


def test_metrics(api):
    api.wait_for(trigger(api, "fail"))
    run = trigger(api, "wait")
    api.wait_for(run, "started")
    reply = api.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = prometheus_text.read(reply.text)
    value = prometheus_text.value
    assert value(families, "run_core_ready") == 1
    assert value(families, "run_core_jobs") == 8
    assert value(families, "run_core_job_attempts_total", job="fail", status="failed") >= 2
    assert value(families, "run_core_job_retries_total", job="fail") >= 1
    assert value(families, "run_core_job_duration_seconds_count", job="fail") is not None
    assert value(families, "run_core_job_next_slot_time_seconds", job="nightly") > time.time()
    assert value(families, "run_core_job_next_slot_time_seconds", job="opt") is None
    assert value(families, "run_core_job_running", job="wait") == 1
    assert value(families, "run_core_run_progress_done", run=run) == 0
    assert value(families, "run_core_job_last_failure_time_seconds", job="fail") > 0
    assert families["run_core_lateness_seconds"]["samples"][-1][2] > 0
    assert families["run_core_claim_to_start_seconds"]["samples"][-1][2] >= 4  # attempts
    api.post(f"/api/v1/runs/{run}/cancel")
    api.wait_for(run)


# ---- who may ask --------------------------------------------------------------------------------

TOKENS = {"reader": "read", "runner": "run", "boss": "admin"}


def secret_of(name):
    return f"secret-of-{name}"


def token_line(name, scope):
    return f"{name} {scope} {hashlib.sha256(secret_of(name).encode()).hexdigest()}\n"


@pytest.fixture
def guarded(world):
    tokens = world.root / "tokens"
    tokens.write_text("# who may ask\n\n" + "".join(token_line(*t) for t in TOKENS.items()))
    tokens.chmod(0o600)
    running = Daemon(world, JOBS, core=f"  auth: {{tokens_file: {tokens}}}", listen="0.0.0.0:0")
    running.tokens = tokens
    yield running
    running.stop()


def test_scopes_and_routes(guarded):
    document = guarded.api().get("/api/v1/openapi.json").json
    ranks = {"none": 0, "read": 1, "run": 2, "admin": 3}
    clients = {None: 0, "reader": 1, "runner": 2, "boss": 3}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = path.replace("{job}", "none").replace("{run}", "none").replace(
                "{plugin}", "none")
            needed = ranks[operation["x-scope"]]
            for client, rank in clients.items():
                token = secret_of(client) if client else None
                reply = guarded.api(token).ask(method.upper(), place)
                if rank >= needed:
                    assert reply.status not in (401, 403), (method, path, client)
                elif client is None:
                    assert reply.status == 401, (method, path)
                    assert reply.headers["www-authenticate"].startswith("Bearer")
                else:
                    assert reply.status == 403, (method, path, client)
                    assert "insufficient_scope" in reply.headers["www-authenticate"]


@pytest.mark.parametrize("header", [
    "Bearer", "Bearer ", "Bearer secret-of-nobody", "Basic c2VjcmV0LW9mLWJvc3M=", "secret-of-boss",
    "Bearer secret-of-boss ", "Bearer secret-of-bos", "Bearer SECRET-OF-BOSS",
    "Bearer " + "a" * 8000, "Bearer " + hashlib.sha256(b"secret-of-boss").hexdigest(),
])
def test_bad_tokens(guarded, header):
    reply = guarded.api().ask("GET", "/api/v1/status", headers={"Authorization": header})
    if header.endswith(" ") and "boss" in header:
        assert reply.status in (200, 401)  # a header's end may be trimmed on its way
    else:
        assert reply.status == 401
    assert "boss" not in reply.text


def test_refusals_are_logged_without_the_token_and_not_each(guarded):
    for _ in range(50):
        guarded.api("a-wrong-token-it-is").get("/api/v1/status")
    refusals = [line for line in guarded.messages if "refused" in line["message"]]
    assert 1 <= len(refusals) <= 2 and "127.0.0.1" in refusals[0]["message"]
    assert "a-wrong-token" not in guarded.said


def test_tokens_are_read_again_at_a_reload(guarded):
    assert guarded.api("secret-of-new").get("/api/v1/status").status == 401
    with open(guarded.tokens, "a", encoding="ascii") as file:
        file.write(token_line("new", "read"))
    assert guarded.api("secret-of-new").get("/api/v1/status").status == 401
    assert guarded.api(secret_of("boss")).post("/api/v1/reload").status == 200
    assert guarded.api("secret-of-new").get("/api/v1/status").status == 200
    guarded.tokens.write_text("this is no line\n")
    refused = guarded.local.post("/api/v1/reload")
    assert refused.status == 422 and refused.json["problems"][0]["line"] == 1
    assert guarded.api("secret-of-new").get("/api/v1/status").status == 200


def test_the_socket_needs_no_token(guarded):
    assert guarded.local.get("/api/v1/status").status == 200
    assert guarded.local.post("/api/v1/reload").status == 200
    assert os.stat(guarded.socket).st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="another user has to be had")
def test_the_socket_is_for_its_user(guarded):
    for folder in [guarded.socket.parent, *guarded.socket.parent.parents]:
        if not os.stat(folder).st_mode & 0o001:
            folder.chmod(os.stat(folder).st_mode | 0o011)
    guarded.socket.chmod(0o666)
    script = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('%s');"
        "s.sendall(b'GET /api/v1/status HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n');"
        "print(s.recv(4096).decode())" % guarded.socket)
    said = subprocess.run(["python3", "-c", script], user=65534, capture_output=True, text=True,
                          check=True).stdout
    assert said.startswith("HTTP/1.1 403"), said


def start_badly(world, core, listen):
    world.config(f"core:\n  state: {world.state}\n  listen: '{listen}'\n{core}\n{JOBS}")
    result = world.run("daemon")
    assert result.status == 2, result.stderr
    return result.stderr


def test_beyond_loopback_tokens_are_a_must(world):
    assert "tokens" in start_badly(world, "", "0.0.0.0:0")


@pytest.mark.parametrize("text, mode, word", [
    ("name read\n", 0o600, ":1:"), ("# x\nname write " + "a" * 64 + "\n", 0o600, ":2:"),
    ("name read " + "g" * 64 + "\n", 0o600, "hexadecimal"), ("name read abc\n", 0o600, "64"),
    (token_line("a", "read") + token_line("a", "run"), 0o600, "another"),
    (token_line("a", "read"), 0o622, "chmod"), (None, 0, "no such file"),
])
def test_tokens_with_mistakes(world, text, mode, word):
    tokens = world.root / "tokens"
    if text is not None:
        tokens.write_text(text)
        tokens.chmod(mode)
    said = start_badly(world, f"  auth: {{tokens_file: {tokens}}}", "127.0.0.1:0")
    assert word in said.lower() and str(tokens) in said


@pytest.mark.parametrize("name, value, status", [
    ("X-Forwarded-For", "127.0.0.1", 200),
    ("X-Forwarded-For", "192.0.2.7", 401),
    ("X-Real-IP", "192.0.2.7", 401),
    ("Via", "1.1 gateway", 401),
])
def test_a_proxy_on_this_machine_without_tokens(api, name, value, status):
    reply = api.ask("GET", "/api/v1/jobs", headers={name: value})
    assert reply.status == status
    assert status == 200 or "set auth.tokens_file" in reply.json["error"]


def test_loopback_without_tokens(api):
    assert api.get("/api/v1/jobs").status == 200
    refused = api.post("/api/v1/reload")
    assert refused.status == 403 and "admin" in refused.json["error"]


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"},
])
def test_pages_of_other_sites_are_refused(api, headers):
    assert api.ask("POST", "/api/v1/jobs/opt/trigger", headers=headers).status == 403
    assert api.ask("GET", "/api/v1/jobs", headers=headers).status == 403


# ---- the daemon as a whole ----------------------------------------------------------------------


def test_reload(world):
    running = Daemon(world, "jobs:\n  one: {plugin: noop}\n")
    local = running.local
    good = running.file.read_text()
    running.file.write_text(good + "  two: {plugin: noop}\n")
    assert local.post("/api/v1/reload").json == {"jobs": 2, "reloads": 1}
    running.file.write_text(good + "  three: {plugin: noop, shedule: '@daily', timeout: 3 apples}\n")
    refused = local.post("/api/v1/reload")
    assert refused.status == 422
    assert len(refused.json["problems"]) == 2
    for problem in refused.json["problems"]:
        assert problem["file"] == str(running.file) and problem["line"] > 1 and problem["column"] > 1
    assert local.get("/api/v1/jobs").json["total"] == 2
    status = local.get("/api/v1/status").json
    assert status["reloads"] == 1 and status["last_reload_error"]
    assert running.stop() == 0


def test_the_end_of_the_daemon_ends_streams(world):
    running = Daemon(world, "jobs:\n  wait: {plugin: hang, action: wait, kill_after: 1s}\n",
                     core="  shutdown_grace: 300ms")
    api = running.api()
    run = trigger(api, "wait")
    connection, response = follow(api, run)
    with contextlib.closing(connection):
        response.readline()
        running.process.terminate()
        text = response.read().decode()  # fails unless the stream is ended properly
    assert "stopping" in text
    assert running.process.wait(timeout=PATIENCE_S) == 0
    assert not running.socket.exists()


def test_a_second_daemon_leaves_the_first_its_socket(world):
    running = Daemon(world, "jobs:\n  one: {plugin: noop}\n")
    second = world.run("daemon")
    assert second.status != 0
    assert running.local.get("/api/v1/status").status == 200
    running.kill()
    running.start()
    assert running.local.get("/api/v1/status").status == 200
    assert running.stop() == 0


def test_without_listen_there_is_only_the_socket(world):
    running = Daemon(world, "jobs:\n  one: {plugin: noop}\n", listen=None)
    assert running.port is None
    assert running.local.get("/api/v1/status").json["jobs"] == 1
    assert running.stop() == 0


def test_the_log_of_another_daemon(world, tmp_path, state_on_postgres):
    """Two daemons of this machine on one state: each shows the runs of both."""
    from conftest import World

    (tmp_path / "other").mkdir()
    other_world = World(tmp_path / "other")
    one = Daemon(world, JOBS, state=state_on_postgres)
    other = Daemon(other_world, JOBS, state=state_on_postgres)
    run = trigger(one.api(), "opt", set={"text": "whose"})
    one.api().wait_for(run)
    assert other.api().get(f"/api/v1/runs/{run}").json["status"] == "succeeded"
    assert "text=whose" in other.api().get(f"/api/v1/runs/{run}/log").text
    waiting = trigger(one.api(), "wait")
    one.api().wait_for(waiting, "started")
    connection, response = follow(other.api(), waiting)
    with contextlib.closing(connection):
        assert b"waiting" in response.readline()
        assert other.api().post(f"/api/v1/runs/{waiting}/cancel").status == 202
        assert b"stopping" in response.read()
    assert other.api().wait_for(waiting)["status"] == "cancelled"
    assert one.stop() == 0 and other.stop() == 0
