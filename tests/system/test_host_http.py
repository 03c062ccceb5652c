"""HTTP for plugins: what goes out, what comes back, what is logged and counted, and what a dry run
leaves undone."""

import base64
import json
import re
import signal
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import PATIENCE_S
from virtuoso import USER


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        self.server.connections.add(self.client_address)
        name = self.path.split("?")[0]
        if name == "/wait":
            time.sleep(600)
        if name == "/flaky" and len(self.server.requests) % 3:
            return self.reply(503, b"not now")
        if name == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "9000000")
            self.end_headers()
            self.wfile.write(b"x" * 6000000)
            self.close_connection = True
            return None
        if name == "/who":
            kind, _, proof = (self.headers["Authorization"] or "nobody ").partition(" ")
            return self.reply(200, kind.encode() + b" " + base64.b64decode(proof))
        if name == "/headers":
            return self.reply(400, str(self.headers).encode())
        if name == "/refuses-first":  # and lets no other token pass than a second one
            sent = {r[2].get("Authorization") for r in self.server.requests}
            return self.reply(200 if len(sent) > 1 else 401, b"")
        if name == "/refuses":
            return self.reply(401, b"")
        if name == "/elsewhere":
            return self.reply(307, b"", {"Location": self.server.elsewhere})
        if name == "/moved":
            return self.reply(302, b"", {"Location": "/"})
        if name == "/none":
            return self.reply(404, b"none")
        if name == "/large":
            return self.reply(200, b"x" * 3_000_000)
        return self.reply(200, b"hello")

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for header, value in {"Content-Type": "text/x-test", **(headers or {})}.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.connections = [], set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path, user=""):
        return f"http://{user}127.0.0.1:{self.server_port}{path}"


@pytest.fixture
def server():
    with Server() as server:
        yield server
        server.shutdown()


def web(world, action, url, *words, **settings):
    given = [word for name, value in {"url": url, **settings}.items()
             for word in ("--set", f"{name}={value}")]
    return world.run("web", action, *given, *words)


def test_an_answer(world, server):
    result = web(world, "call", server.url("/x?y=1"), "--json", secret="hunter2")
    assert result.status == 0, result.stderr
    final = result.final
    assert "status=200 attempts=1 type=text/x-test length=5 body=hello" in json.dumps(final)
    assert final["counters"]["http_requests"] == 1
    method, path, headers, body = server.requests[0]
    assert (method, path, body) == ("GET", "/x?y=1", b"")
    assert headers["X-Secret"] == "hunter2"


def test_a_body_makes_a_post(world, server):
    assert web(world, "call", server.url("/"), body="data").status == 0
    method, _, _, body = server.requests[0]
    assert (method, body) == ("POST", b"data")


def test_any_status_is_an_answer(world, server):
    assert "status=404" in web(world, "call", server.url("/none")).stdout
    assert "status=302" in web(world, "call", server.url("/moved")).stdout
    assert "status=200" in web(world, "call", server.url("/moved"), redirects=1).stdout


def test_what_may_pass_is_repeated_if_it_is_safe(world, server):
    result = web(world, "call", server.url("/flaky"), "--json")
    assert "status=200 attempts=3" in result.stdout
    assert result.final["counters"]["http_requests"] == 3
    assert result.final["counters"]["http_retries"] == 2
    assert "status=503 attempts=1" in web(world, "call", server.url("/flaky"), body="x").stdout
    server.requests.clear()
    assert "status=200 attempts=3" in web(world, "call", server.url("/flaky"), body="x",
                                          repeat="true").stdout


def test_no_server(world):
    result = web(world, "call", "http://127.0.0.1:1/", "--json")
    assert result.status == 1
    assert "ask: the test's request: cannot connect" in result.final["error"]


def test_an_answer_that_is_too_long(world, server):
    result = web(world, "call", server.url("/large"), limit="1MiB")
    assert result.status == 1
    assert "more than 1048576 bytes" in result.text


def test_a_stream(world, server):
    result = web(world, "stream", server.url("/large"), limit="10")
    assert result.status == 0, result.stderr
    assert "status=200 attempts=1 type=text/x-test length=0" in result.stdout
    assert "streamed=3000000" in result.stdout
    assert "status=404 attempts=1 type=text/x-test length=4 body=none" in \
        web(world, "stream", server.url("/none")).stdout


def test_a_stream_that_is_cut_short(world, server):
    result = web(world, "stream", server.url("/cut"), "--json")
    assert result.status == 1
    assert re.search(r"read on after \d+ bytes: the test's request: .* after 6000000 bytes",
                     result.final["error"])


def test_a_stream_that_is_not_closed_is_a_leak(world, server):
    assert "without closing 1 of the handles" in web(world, "leak", server.url("/large")).text


def test_the_log_shows_requests_but_no_secrets(world, server):
    url = server.url("/path?token=hunter3", "user:hunter4@")
    result = web(world, "call", url, "--log-level", "debug", secret="hunter2")
    assert result.status == 0
    assert f"the test's request: GET {server.url('/path')}: 200 after " in result.text
    assert "hunter" not in result.stderr + result.stdout
    assert "/path" not in web(world, "call", url, "--log-level", "debug", secret_url="true").text
    assert "GET " not in web(world, "call", url).text


def test_a_user(world, server):
    """Nobody is told what proves him, though the plugin's own options do not know it as a secret."""
    who = {"user": "somebody", "password": "hunter5"}
    result = web(world, "call", server.url("/who", "eve:hunter6@"), "--json", "--log-level",
                 "debug", **who, auth="basic")
    assert "body=Basic somebody:********" in result.stdout
    assert "hunter" not in result.stdout + result.stderr
    told = web(world, "call", server.url("/headers"), **who, auth="basic").stdout
    assert "Authorization: Basic ********" in told
    assert base64.b64encode(b"somebody:hunter5").decode() not in told
    assert "body=nobody" in web(world, "call", server.url("/who"), **who).stdout  # nobody asked
    server.requests.clear()
    assert web(world, "call", server.url("/who"), "--dry-run", body="x", **who).status == 0
    assert server.requests == []


def test_a_user_of_virtuoso(world, virtuoso):
    """Which asks for a digest (RFC 2617), and takes no other proof."""
    user, password = USER
    insert = "INSERT DATA { GRAPH <urn:users> { <urn:s> <urn:p> 'o' } }"
    update = {"body": urllib.parse.urlencode({"update": insert}),
              "type": "application/x-www-form-urlencoded"}
    query = urllib.parse.urlencode({"query": "ASK { GRAPH <urn:users> { <urn:s> ?p ?o } }"})
    for auth, status in (("basic", 401), ("digest", 200), ("any", 200)):
        for settings in (update, {}):
            result = web(world, "call", f"{virtuoso.auth_url}?{query}", user=user,
                         password=password, auth=auth, **settings)
            assert f"status={status} attempts=1 " in result.stdout, result.stderr
    assert "streamed=4" in web(world, "stream", f"{virtuoso.auth_url}?format=text/plain&{query}",
                               user=user, password=password).stdout
    assert "status=401 attempts=1 " in web(world, "call", virtuoso.auth_url, user=user,
                                           password="guessed", **update).stdout
    assert "status=401 " in web(world, "call", virtuoso.auth_url, **update).stdout


def test_a_dry_run_sends_only_what_reads(world, server):
    url = server.url("/path?token=hunter3")
    result = web(world, "call", url, "--dry-run", "--json", method="DELETE")
    assert result.status == 0
    assert server.requests == []
    assert "status=0 attempts=0" in result.stdout
    assert result.final["counters"] == {"dry_run_changes": 1}
    assert f"dry run: would send the test's request (DELETE {server.url('/path?...')})" \
        in result.text
    hidden = web(world, "stream", url, "--dry-run", body="x", secret_url="true")
    assert "would send the test's request (POST)" in hidden.text and "/path" not in hidden.text
    for settings in ({}, {"method": "HEAD"}, {"body": "query", "reads_only": "true"}):
        assert "status=200" in web(world, "call", url, "--dry-run", **settings).stdout
    assert [request[0] for request in server.requests] == ["GET", "HEAD", "POST"]


def test_connections_are_kept_and_shared(world, server):
    assert web(world, "call", server.url("/"), count=40).status == 0
    assert len(server.requests) == 40 and len(server.connections) <= 4


def test_a_wish_to_stop_ends_a_request(world, server):
    world.config("jobs: {call: {plugin: web, action: call, kill_after: 10m}}")
    process = world.start("run", "call", "--set", f"url={server.url('/wait')}")
    while not server.requests:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143


def test_a_request_without_its_size_is_the_plugins_mistake(world, server):
    result = web(world, "careless", server.url("/"))
    assert result.status != 0
    assert "did not set 'struct_bytes'" in result.text


def test_a_request_of_an_older_plugin_has_no_user(world, server):
    result = web(world, "older", server.url("/who"), body="x", auth="basic", user="a", password="b")
    assert "status=200 attempts=1 " in result.stdout and "body=nobody" in result.stdout
    assert server.requests[-1][0] == "POST" and server.requests[-1][3] == b"x"


# ---- Google's credentials ------------------------------------------------------------------------


@pytest.fixture
def google(world, gcs):
    """A bucket 'lake', which is reached by the key of a service account."""
    key = world.root / "key.json"
    key.write_text(json.dumps(gcs.tokens.service_account()))
    world.config(f"storage: {{lake: {{endpoint: '{gcs.endpoint}', service_account_file: {key}}}}}\n")
    return gcs


def ask_as_google(world, url, *words, credentials="gs://lake", **settings):
    return web(world, "call", url, *words, auth="google", credentials=credentials, **settings)


def tokens_at(server):
    return [headers.get("Authorization") for _, _, headers, _ in server.requests]


def test_a_google_service_gets_the_token_of_the_bucket(world, google):
    result = ask_as_google(world, f"{google.endpoint}/storage/v1/b?project=p", "--verbose")
    assert result.status == 0 and "status=200" in result.stdout, result.stderr
    assert "Bearer" not in result.stderr + result.stdout


def test_a_token_is_fetched_once_for_all_threads(world, google, server):
    result = ask_as_google(world, server.url("/"), "--json", count=40)
    assert result.status == 0, result.stderr
    assert len(set(tokens_at(server))) == 1 and len(tokens_at(server)) == 40
    assert result.final["counters"]["http_requests"] == 41  # one for the token


def test_a_token_that_is_refused_is_renewed_once(world, google, server):
    result = ask_as_google(world, server.url("/refuses-first"), method="POST", body="x")
    assert "status=200 attempts=2" in result.stdout, result.stderr
    first, second = tokens_at(server)
    assert first != second and all(token.startswith("Bearer ") for token in (first, second))
    server.requests.clear()
    assert "status=401 attempts=2" in ask_as_google(world, server.url("/refuses")).stdout


def test_a_given_token_is_not_renewed(world, server):
    world.config("storage: {lake: {access_token: it-is-this}}\n")
    assert "status=401 attempts=1" in ask_as_google(world, server.url("/refuses")).stdout
    assert tokens_at(server) == ["Bearer it-is-this"]


def test_a_token_goes_to_nobody_else(world, google, server):
    with Server() as other:
        server.elsewhere = other.url("/headers")
        result = ask_as_google(world, server.url("/elsewhere"), redirects=2)
        assert "status=400" in result.stdout, result.stderr
        assert tokens_at(other) == [None] and tokens_at(server) != [None]
        # A proxy would be another machine.
        world.config("storage: {lake: {access_token: given}}\n")
        world.environment["http_proxy"] = other.url("/")
        server.requests.clear()
        assert ask_as_google(world, server.url("/")).status == 0
        assert len(other.requests) == 1 and len(server.requests) == 1
        other.shutdown()
    for url in ("http://192.0.2.1/", "http://127.0.0.1.example.org/", server.url("/", "user@")):
        result = ask_as_google(world, url)
        assert result.status != 0 and "by https or to this machine alone" in result.text


def test_what_is_no_bucket_of_google_has_no_token(world, server):
    world.config(f"storage: {{here: {{url: file://{world.root}}}, open: {{anonymous: true}}}}\n")
    result = ask_as_google(world, server.url("/"), credentials="gs://here")
    assert result.status != 0 and "not in Google Cloud Storage" in result.text
    result = ask_as_google(world, server.url("/"), credentials="s3://lake")
    assert result.status != 0 and "those of a bucket, as 'gs://bucket'" in result.text
    result = ask_as_google(world, server.url("/"), credentials="gs://unknown")
    assert result.status != 0 and "no Google credentials" in result.text
    assert server.requests == []
    assert ask_as_google(world, server.url("/"), credentials="gs://open").status == 0
    assert tokens_at(server) == [None]
