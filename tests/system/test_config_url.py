"""config_url: values that are fetched over HTTP at each run, and what happens where they cannot be."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

LIMIT = 16 << 20


class Server(ThreadingHTTPServer):
    """Answers each path by what the test has put there, which may be a list of answers."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = {}
        self.requests = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path, user=""):
        return f"http://{user}127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        self.server.requests.append((self.path, self.headers.get("Authorization")))
        answer = self.server.answers.get(path, (404, "none here"))
        if isinstance(answer, list):
            answer = answer.pop(0)
        status, body, *more = answer
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        for name, value in (more[0] if more else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        yield server
        server.shutdown()


def config(world, **job):
    world.config(json.dumps({"jobs": {"j": {"plugin": "options", **job}}}))


def shown(result):
    assert result.status == 0, result.stderr
    return dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)


def test_values_of_the_job_the_plugin_and_the_command_line(world, server):
    server.answers = {
        "/job.json": (200, '{"needed": "job", "count": 4}'),
        "/plugin.yaml": (200, "# YAML\nneeded: plugin\ncount: 5\ncolour: blue\n"),
        "/set": (200, "needed: set\nfrom: 2026-01-02\n"),
    }
    world.config(json.dumps({
        "plugins": {"options": {"config_url": server.url("/plugin.yaml")}},
        "jobs": {"j": {"plugin": "options", "config": {"share": 0.25},
                       "config_url": server.url("/job.json")}}}))
    values = shown(world.run("run", "j"))
    assert [values[name] for name in ("needed", "count", "share", "colour")] == \
        ["job", "4", "0.25", "blue"]
    values = shown(world.run("run", "j", "--set", f"config_url={server.url('/set')}"))
    assert [values[name] for name in ("needed", "count", "from")] == ["set", "4", "2026-01-02"]
    values = shown(world.run("options"))
    assert values["needed"] == "plugin"


def test_it_is_fetched_at_each_run(world, server):
    server.answers = {"/c": [(200, "needed: one"), (200, "needed: two")]}
    config(world, config_url=server.url("/c"))
    assert shown(world.run("run", "j"))["needed"] == "one"
    assert shown(world.run("run", "j"))["needed"] == "two"


def test_a_failure_that_passes_is_waited_for(world, server):
    server.answers = {"/c": [(503, "later"), (429, "later"), (200, "needed: x")]}
    config(world, config_url=server.url("/c"))
    assert shown(world.run("run", "j"))["needed"] == "x"
    assert len(server.requests) == 3


def test_redirections_are_followed(world, server):
    server.answers = {"/c": (302, "", {"Location": server.url("/d")}), "/d": (200, "needed: x")}
    config(world, config_url=server.url("/c"))
    assert shown(world.run("run", "j"))["needed"] == "x"


def test_user_and_password_are_sent_and_never_shown(world, server):
    server.answers = {"/c": (200, "needed: x")}
    config(world, config_url=server.url("/c?token=hunter4", "someone:hunter3@"))
    assert shown(world.run("run", "j"))["needed"] == "x"
    path, authorization = server.requests[0]
    assert path == "/c?token=hunter4"
    assert base64.b64decode(authorization.split()[1]) == b"someone:hunter3"
    server.answers = {"/c": (403, "no")}
    result = world.run("run", "j", "--log-level", "debug")
    assert result.status == 1
    assert f"fetch the configuration at '{server.url('/c?...')}'" in result.text
    assert "status 403" in result.text
    assert "hunter" not in result.stdout + result.stderr


@pytest.mark.parametrize("answer, said", [
    ((404, "none"), "there is nothing (status 404); check the URL"),
    ((500, "oh"), "the server answers with status 500"),
    ((204, ""), "status 204, not with a configuration"),
    ((200, b"#" * (LIMIT + 1)), f"more than {LIMIT} bytes"),
])
def test_what_cannot_be_had_fails_the_run(world, server, answer, said):
    server.answers = {"/c": answer}
    config(world, config_url=server.url("/c"))
    result = world.run("run", "j", "--json")
    assert result.status == 1
    assert said in result.final["error"] and "/c'" in result.final["error"]


def test_no_server_is_a_failure_that_may_pass(world, server):
    config(world, config_url="http://127.0.0.1:1/c")
    result = world.run("run", "j", "--json")
    assert result.status == 1
    assert "fetch the configuration at 'http://127.0.0.1:1/c'" in result.final["error"]
    assert result.final["error"].count("configuration") == 1, result.final["error"]


def test_mistakes_name_their_place_at_the_url(world, server):
    server.answers = {"/c": (200, "needed: x\ncuont: 3\ncount: 99\n")}
    config(world, config_url=server.url("/c?v=1"))
    result = world.run("run", "j")
    assert result.status == 2
    assert f"{server.url('/c?...')}:2:1: unknown key 'cuont'" in result.text
    assert f"{server.url('/c?...')}:3:8: " in result.text
    server.answers = {"/c": (200, "just text\n")}
    result = world.run("run", "j")
    assert result.status == 2 and "a config_url holds a map of options" in result.text


def test_check_asks_no_server(world, server):
    """What is required may stand at the URL, so nobody misses it; the plugin's own check waits."""
    config(world, config_url=server.url("/c"), config={"flag": True, "count": 0})
    result = world.run("check")
    assert result.status == 0, result.stderr
    assert "not looked at: what stands at 1 config_url, fetched" in result.stdout
    assert server.requests == []
    server.answers = {"/c": (200, "needed: x")}
    result = world.run("run", "j")
    assert result.status == 2 and "flag needs a count above 0" in result.text


def test_a_scheme_that_is_not_http_is_a_mistake(world):
    config(world, config_url="file:///etc/passwd")
    result = world.run("check")
    assert result.status == 2
    assert "a config_url begins with http:// or https://" in result.stderr
