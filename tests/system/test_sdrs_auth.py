"""Who may ask sdrs: bearers of genuine tokens, or without any keys whoever is on this machine."""
import json
import threading
import time

import pytest
from api_world import Daemon, until
from sdrs_tokens import AUDIENCE, ISSUER, JwksServer, Signer, encode, jwks
from sdrs_world import sdrs  # noqa: F401
from test_api import TOKENS, secret_of, token_line

RULES = "/retentionrules"


@pytest.fixture(scope="module")
def signers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return [Signer(folder, kid) for kid in ("a", "b")]


@pytest.fixture
def guarded(sdrs, signers):  # noqa: F811
    """Served with the keys of the first signer in a file, whose path is relative."""
    (sdrs.world.root / "keys.json").write_text(jwks(signers[0]))
    sdrs.bucket("events")
    sdrs.configure(jwt_jwks="keys.json", jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    with sdrs.serve("-v", "-v") as service:
        yield service
        # Whatever was sent in a test, nothing of it is in the log.
        assert "eyJ" not in service.said and "Bearer ey" not in service.said


def ask(service, token=None, **headers):
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return service.get(RULES, headers=headers)


def refused(reply, reason):
    assert reply.status == 401, reply.text
    assert set(reply.json) == {"requestUuid", "message"} and reason in reply.json["message"]
    assert reply.headers["www-authenticate"].startswith("Bearer")
    return reply


def test_a_genuine_token_and_whose_it_is(guarded, signers):
    guarded.token = signers[0].token()
    rule = guarded.add_rule("events", "clicks", 30)
    guarded.token = signers[0].token(email="grace@example.org")
    assert guarded.put(f"{RULES}/{rule}", {"retentionPeriod": 31}).status == 200
    guarded.token = signers[0].token(email=None)
    assert guarded.put(f"{RULES}/{rule}", {"retentionPeriod": 32}).status == 200
    versions = guarded.get(f"{RULES}/{rule}/history").json["versions"]
    assert [v["user"] for v in versions] == ["unknown", "grace@example.org", "ada@example.org"]


def test_whose_an_event_is(guarded, signers):
    guarded.token = signers[0].token(email="grace@example.org")
    for body in ({"type": "POLICY"},
                 {"type": "USER", "projectId": "p",
                  "target": guarded.sdrs.name("events", "clicks/.delete_this_folder")}):
        event = guarded.post("/events/execution", body)
        assert event.status == 200, event.text
        found = guarded.get(f"/events/execution/{event.json['executionId']}").json
        assert found["user"] == "grace@example.org"


def test_who_has_no_token(guarded):
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Basic YTpi"},
                    {"Authorization": "Bearer"}, {"authorization": "token abc"}):
        reply = refused(guarded.get(RULES, headers=headers), "a token is needed")
        assert "error=" not in reply.headers["www-authenticate"]
    for method, path in (("POST", RULES), ("PUT", RULES + "/1"), ("DELETE", RULES),
                         ("GET", RULES + "/1/history"), ("POST", "/events/execution"),
                         ("GET", "/events/execution/1"), ("POST", "/events/validation"),
                         ("POST", "/events/notification"), ("GET", "/stsjobpool"),
                         ("POST", "/stsjobpool"), ("DELETE", "/stsjobpool"),
                         ("GET", "/openapi.json")):
        refused(guarded.ask(method, path, "{" if method != "GET" else None), "a token is needed")
    status = guarded.get("/status")
    assert status.status == 200 and "Web server is UP" in status.text


def test_tokens_that_are_not_genuine(guarded, signers):
    good, other, now = signers[0], signers[1], int(time.time())
    head, body, signature = good.token().split(".")
    none = encode(b'{"alg":"none","kid":"a"}')
    rich = encode(json.dumps({"iss": ISSUER, "aud": AUDIENCE, "exp": now + 9999,
                              "email": "root@example.org"}).encode())
    flipped = signature[:9] + ("A" if signature[9] != "A" else "B") + signature[10:]
    members = f'"iss":"{ISSUER}","aud":"{AUDIENCE}"'
    forged = {
        "signature": [other.token(header={"kid": "a"}), f"{head}.{rich}.{signature}",
                      f"{head}.{body}.{flipped}"],
        "'kid'": [other.token(), good.token(header={"kid": "c"})],
        "'alg'": [f"{none}.{body}.{signature}", good.token(header={"alg": "none"}),
                  good.token_by_hmac(), good.token(header={"alg": "RS512"})],
        "refused": [f"{none}.{body}.", f"{head}.{body}.", f"{head}.{body}", "x", "a.b.c",
                    f"{head}.{body}.{signature}x", f"{head}.{body}.{signature}=",
                    f"{head}.{body}.{signature}.{signature}"],
        "'crit'": [good.token(header={"crit": ["exp"]})],
        "'typ'": [good.token(header={"typ": "secevent+jwt"})],
        "expired": [good.token(exp=now - 60)],
        "never expire": [good.token(exp=None)],
        "not valid yet": [good.token(nbf=now + 600)],
        "future": [good.token(iat=now + 600)],
        "'iss'": [good.token(iss="https://evil.example"), good.token(iss=None)],
        "'aud'": [good.token(aud="another"), good.token(aud=None), good.token(aud=["another"])],
        "twice": [good.token(f'{{{members},"exp":1,"exp":{now + 600}}}'),
                  good.token(header='{"alg":"none","alg":"RS256","kid":"a"}')],
    }
    for reason, tokens in forged.items():
        for token in tokens:
            reply = refused(ask(guarded, token), reason)
            assert 'error="invalid_token"' in reply.headers["www-authenticate"]
            assert token[-20:] not in reply.text and token[-20:] not in guarded.said
    assert ask(guarded, good.token(exp=int(time.time()) - 5)).status == 200  # clocks may differ
    assert ask(guarded, good.token(aud=["another", AUDIENCE])).status == 200
    assert ask(guarded, good.token(header={"jku": "http://127.0.0.1:1/keys"})).status == 200


@pytest.mark.parametrize("form", ["public_pem", "certificate"])
def test_a_pem_file(sdrs, signers, form):  # noqa: F811
    path = sdrs.world.root / "login.pem"
    path.write_bytes(getattr(signers[0], form))
    sdrs.configure(jwt_public_key_file=str(path), jwt_audience=AUDIENCE)
    with sdrs.serve() as service:
        assert ask(service, signers[0].token()).status == 200
        assert ask(service, signers[0].token(header={"kid": "whatever"})).status == 200
        refused(ask(service, signers[1].token()), "signature")


def test_keys_that_are_no_good(sdrs, signers, tmp_path):  # noqa: F811
    small = Signer(tmp_path, "small", bits=1024)
    path = sdrs.world.root / "keys"
    for option, text, why in (("jwt_jwks", jwks(small), "2048"),
                              ("jwt_public_key_file", small.public_pem.decode(), "2048"),
                              ("jwt_public_key_file", signers[0].file.read_text(), "PRIVATE KEY"),
                              ("jwt_jwks", "<html>", "no JSON"), ("jwt_jwks", None, "keys")):
        path.unlink(missing_ok=True)
        if text:
            path.write_text(text)
        sdrs.configure(**{"jwt_jwks": None, "jwt_public_key_file": None, option: f"file://{path}"
                          if option == "jwt_jwks" else str(path)})
        with sdrs.serve() as service:
            for token in (small.token(), signers[0].token()):
                reply = ask(service, token)
                assert reply.status == 503 and str(path) not in reply.text
            assert why in service.said and "every token is refused until then" in service.said


def test_keys_come_late_and_change_while_it_serves(sdrs, signers):  # noqa: F811
    """Both at once, as keys are asked for every ten seconds at most."""
    a, b = signers
    sdrs.configure(jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    with JwksServer(None) as late, JwksServer(jwks(a)) as changing, \
            sdrs.serve("--set", f"jwt_jwks={late.url}") as first, \
            sdrs.serve("--set", f"jwt_jwks={changing.url}") as second:
        began = time.monotonic()
        assert ask(first, a.token()).status == 503 and first.get("/status").status == 200
        assert ask(second, a.token()).status == 200
        late.text, changing.text = jwks(a), jwks(b)
        refused(ask(second, b.token()), "'kid'")

        until(lambda: ask(first, a.token()).status == 200, 30)
        until(lambda: ask(second, b.token()).status == 200, 30)
        assert time.monotonic() - began > 9 and (late.asked, changing.asked) == (2, 2)
        refused(ask(second, a.token()), "'kid'")
        late.text = changing.text = None  # what is known stays
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(ask(second, b.token()).status))
                   for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == 8 * [200] and changing.asked == 2


def test_without_keys_whoever_is_on_this_machine(sdrs):  # noqa: F811
    sdrs.bucket("events")
    with sdrs.serve() as service:
        rule = service.add_rule("events", "clicks", 30)
        versions = service.get(f"{RULES}/{rule}/history").json["versions"]
        assert [v["user"] for v in versions] == ["unknown"]
        for headers in ({"X-Forwarded-For": "198.51.100.7"}, {"Forwarded": "for=198.51.100.7"}):
            reply = service.get(RULES, headers=headers)
            assert reply.status == 403 and "jwt_jwks" in reply.json["message"]
            assert set(reply.json) == {"requestUuid", "message"}
            assert service.get("/status", headers=headers).status == 200


def test_behind_the_daemon_the_plugin_judges(sdrs, signers):  # noqa: F811
    keys = sdrs.world.root / "keys.json"
    keys.write_text(jwks(signers[0]))
    sdrs.bucket("events")
    moved = sdrs.hours("events", "clicks", "2019-03-01T00", 2)
    sdrs.configure(jwt_jwks=str(keys), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    section = {"serve": True, "auth": "plugin", "config": sdrs.options}
    tokens = sdrs.world.root / "tokens"
    tokens.write_text("".join(token_line(name, scope) for name, scope in TOKENS.items()))
    tokens.chmod(0o600)
    daemon = Daemon(sdrs.world, "plugins: " + json.dumps({"sdrs": section}),
                    core=f"  auth: {{tokens_file: {tokens}}}")
    try:
        api, base = daemon.api(), "/plugins/sdrs"
        until(lambda: api.ask("GET", base + "/status").status == 200)
        refused(api.ask("GET", base + RULES), "a token is needed")
        api.token = signers[1].token(header={"kid": "a"})
        refused(api.ask("GET", base + RULES), "signature")
        api.token = signers[0].token()
        rule = {"type": "DATASET", "projectId": "p", "retentionPeriod": 30,
                "dataStorageName": sdrs.name("events", "clicks")}
        assert api.ask("POST", base + RULES, rule).status == 200
        reply = api.ask("POST", base + "/events/execution", {"type": "POLICY"})
        assert reply.status == 200, reply.text
        path = f"{base}/events/execution/{reply.json['executionId']}"
        until(lambda: api.ask("GET", path).json["status"] == "success")
        assert api.ask("GET", path).json["user"] == "ada@example.org"
        assert sdrs.keys("eventsshadow") == moved
        assert api.ask("GET", "/api/v1/jobs").status == 401  # the rest is still the daemon's
        api.token = secret_of("runner")
        refused(api.ask("GET", base + RULES), "refused")
        assert "eyJ" not in daemon.said
    finally:
        daemon.stop()
