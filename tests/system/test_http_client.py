"""The HTTP client with TLS, HTTP/2 and proxies: servers with good and with bad certificates of an
authority that is made for the test, and proxies that want a password."""

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import BUILD, PATIENCE_S


# ---- certificates ----------------------------------------------------------------------------------

def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True,
                   timeout=PATIENCE_S)


class Authority:
    """Signs certificates for servers."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.pem, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-keyout", self.key, "-out", self.pem, "-subj", f"/CN={name}", "-days", 2)

    def sign(self, name, names="DNS:localhost,IP:127.0.0.1", days=2):
        """Certificate and key; of 0 days: it has expired a second later."""
        key, request, pem = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
        extension = self.folder / f"{name}.ext"
        extension.write_text(f"subjectAltName={names}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key,
                "-CAcreateserial", "-days", days, "-extfile", extension, "-out", pem)
        return pem, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder, "authority")
    made = {"expired": authority.sign("expired", days=0)}
    signed = time.monotonic()
    made["good"] = authority.sign("good")
    made["other name"] = authority.sign("other", names="DNS:elsewhere.example")
    made["stranger"] = Authority(folder, "stranger").sign("stranger_server")
    time.sleep(max(0.0, signed + 1.5 - time.monotonic()))
    return {"authority": authority.pem, **made}


# ---- servers ---------------------------------------------------------------------------------------

def head_of(connection):
    """The head of a request, or what begins a TLS connection; empty at the end."""
    text = b""
    while b"\r\n\r\n" not in text and not text.startswith(b"\x16"):
        part = connection.recv(65536)
        if not part:
            return b""
        text += part
    return text


def answer(body, status=200, more=""):
    return (f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode()
            + body)


class Server:
    """Threads that answer each request of a connection with what act(head) says."""

    def __init__(self, act, certificate=None):
        self.act, self.connections, self.resumed, self.heads = act, 0, 0, []
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with contextlib.suppress(OSError), connection:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                self.resumed += connection.session_reused
            while head := head_of(connection):
                self.heads.append(head)
                reply = self.act(head)
                if callable(reply):
                    reply(connection)
                    return
                connection.sendall(reply)
                if b"Connection: close" in reply:
                    if self.context:
                        connection.unwrap()
                    return

    def url(self, path="/", scheme=None, host="localhost"):
        return f"{scheme or ('https' if self.context else 'http')}://{host}:{self.port}{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def ask(*arguments, environment=None):
    """Lines of (code, status, attempts, text), and the log."""
    clean = {key: value for key, value in os.environ.items()
             if key.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy",
                                    "ssl_cert_file", "ssl_cert_dir", "curl_ca_bundle")}
    done = subprocess.run([str(BUILD / "test-servers" / "http_ask"), *map(str, arguments)],
                          capture_output=True, text=True, timeout=PATIENCE_S,
                          env={**clean, **(environment or {})})
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 3) for line in done.stdout.splitlines()]
    return [(code, int(status), int(attempts), text)
            for code, status, attempts, text in lines], done.stderr


# ---- TLS -------------------------------------------------------------------------------------------

def test_trusts_who_proves_who_it_is(certificates):
    with Server(lambda head: answer(b"hello"), certificates["good"]) as server:
        answers, log = ask(f"ca={certificates['authority']}", "times=5", server.url("/a?secret"))
        assert answers == [("ok", 200, 1, "hello")] * 5
        assert server.connections == 1
        assert log.count(f"GET {server.url('/a')}: 200 after") == 5 and "secret" not in log
        by_address, _ = ask(f"ca={certificates['authority']}", server.url(host="127.0.0.1"))
        assert by_address[0][:2] == ("ok", 200)


@pytest.mark.parametrize("who, says", [
    ("expired", "has expired"),
    ("other name", "is for another name"),
    ("stranger", "from an authority that is not trusted here"),
])
def test_trusts_nobody_else(certificates, who, says):
    with Server(lambda head: answer(b"hello"), certificates[who]) as server:
        answers, _ = ask(f"ca={certificates['authority']}", server.url("/?secret"))
        code, status, attempts, text = answers[0]
        assert (code, status, attempts) == ("invalid", 0, 1)
        assert text.startswith("the test: the server's certificate") and says in text
        assert not server.heads, "the request was told to it"


def test_replaces_the_authorities_of_the_system(certificates, tmp_path):
    with Server(lambda head: answer(b"hello"), certificates["good"]) as server:
        # Nobody named one: the system's do not know it.
        assert ask(server.url())[0][0][0] == "invalid"
        for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE"):
            answers, _ = ask(server.url(), environment={name: str(certificates["authority"])})
            assert answers[0][:2] == ("ok", 200), name
        folder = tmp_path / "certs"
        folder.mkdir()
        shutil.copy(certificates["authority"], folder / "a.pem")
        openssl("rehash", folder)
        answers, _ = ask(server.url(), environment={"SSL_CERT_DIR": str(folder)})
        assert answers[0][:2] == ("ok", 200)
        answers, _ = ask("ca=/no/such/file", server.url())
        assert answers[0][0] == "invalid" and "cannot be read" in answers[0][3]


def test_resumes_tls_sessions_on_new_connections(certificates):
    closing = answer(b"hello", more="Connection: close\r\n")
    with Server(lambda head: closing, certificates["good"]) as server:
        answers, _ = ask(f"ca={certificates['authority']}", "times=5", server.url())
        assert answers == [("ok", 200, 1, "hello")] * 5
        assert server.connections == 5 and server.resumed == 4


def test_tells_a_port_that_speaks_no_tls():
    with Server(lambda head: answer(b"hello")) as server:
        answers, _ = ask(server.url(scheme="https"))
        assert answers[0][0] == "unavailable" and "TLS could not be agreed on" in answers[0][3]


def test_never_goes_from_https_to_http(certificates):
    with Server(lambda head: answer(b"hello")) as plain:
        moved = answer(b"", 307, f"Location: {plain.url('/there')}\r\n")
        with Server(lambda head: moved, certificates["good"]) as server:
            answers, _ = ask(f"ca={certificates['authority']}", "redirects=3", server.url())
            assert answers[0][0] == "invalid" and "from https to http" in answers[0][3]
            assert not plain.heads


def test_tells_names_without_address():
    answers, _ = ask("http://someone:hunter2@no-such-host.invalid:81/path")
    assert answers[0][0] == "unavailable"
    assert "the server's name 'no-such-host.invalid' has no address" in answers[0][3]
    assert "hunter2" not in answers[0][3]


def test_a_trickle_ends_with_the_time_for_the_whole():
    def trickle(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(100000):
                connection.sendall(b"x")
                time.sleep(0.05)

    with Server(lambda head: trickle) as server:
        began = time.monotonic()
        answers, _ = ask("total_ms=400", server.url())
        assert answers[0][0] == "timeout" and "not done within 400ms" in answers[0][3]
        assert time.monotonic() - began < PATIENCE_S


# ---- HTTP/2 ----------------------------------------------------------------------------------------

@pytest.fixture
def http2(certificates, tmp_path):
    """nghttpd with a folder of files."""
    if not shutil.which("nghttpd"):
        pytest.skip("nghttpd is not installed (Debian: nghttp2-server)")
    (tmp_path / "file").write_text("over two")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    pem, key = certificates["good"]
    process = subprocess.Popen(["nghttpd", "-v", "-a", "127.0.0.1", "-d", tmp_path, str(port),
                                key, pem], stdout=(tmp_path / "log").open("w"))
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)
    yield port, tmp_path / "log"
    process.terminate()
    process.wait()


def test_speaks_http2_where_it_is_offered(certificates, http2):
    port, log = http2
    answers, _ = ask(f"ca={certificates['authority']}", "times=20", f"https://localhost:{port}/file")
    assert answers == [("ok", 200, 1, "over two")] * 20
    missing, _ = ask(f"ca={certificates['authority']}", f"https://localhost:{port}/none")
    assert missing[0][:2] == ("ok", 404)
    # This server speaks nothing else; all came over one connection, apart from the look at its port.
    served = re.findall(r"\[id=(\d+)\].*recv \(stream_id=\d+\) :path: /file", log.read_text())
    assert len(served) == 20 and len(set(served)) == 1


@pytest.mark.parametrize("piece", [3000, 300000])
def test_streams_over_http2_at_the_readers_pace(certificates, http2, tmp_path, piece):
    port, _ = http2
    data = os.urandom(1 << 20) * 24
    (tmp_path / "large").write_bytes(data)
    answers, _ = ask(f"ca={certificates['authority']}", f"piece={piece}", "times=2",
                     f"https://localhost:{port}/large")
    assert answers == [("ok", 200, 1, f"{len(data)} {sum(data[:1 << 20]) * 24}")] * 2


def test_streams_over_tls_at_the_readers_pace(certificates):
    data = os.urandom(1 << 20) * 24
    with Server(lambda head: answer(data), certificates["good"]) as server:
        answers, _ = ask(f"ca={certificates['authority']}", "piece=100000", "times=2", server.url())
        assert answers == [("ok", 200, 1, f"{len(data)} {sum(data[:1 << 20]) * 24}")] * 2
        assert server.connections == 1


# ---- proxies ---------------------------------------------------------------------------------------

class Proxy(Server):
    """Of both kinds; with 'password' only for who gives it (Basic user:secret)."""

    WANTED = b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="

    def __init__(self, password=False):
        self.password = password
        super().__init__(self.forward)

    def forward(self, head):
        if self.password and self.WANTED not in head:
            return answer(b"", 407, "Proxy-Authenticate: Basic\r\nConnection: close\r\n")
        method, target = head.split(b" ", 2)[:2]
        if method == b"CONNECT":
            return lambda connection: self.tunnel(connection, target.decode())
        return answer(b"by proxy: " + target)

    @staticmethod
    def tunnel(connection, target):
        def pump(source, sink):
            with contextlib.suppress(OSError):
                while part := source.recv(65536):
                    sink.sendall(part)
                sink.shutdown(socket.SHUT_WR)

        with socket.create_connection(("127.0.0.1", int(target.rsplit(":", 1)[1]))) as server:
            connection.sendall(b"HTTP/1.1 200 Go on\r\nX-Proxy: yes\r\n\r\n")
            threading.Thread(target=pump, args=(server, connection), daemon=True).start()
            pump(connection, server)


@pytest.mark.parametrize("password", [False, True])
def test_goes_through_proxies(certificates, password):
    with Proxy(password) as proxy, \
            Server(lambda head: answer(b"hello"), certificates["good"]) as server:
        user = "user:secret@" if password else ""
        url = f"http://{user}127.0.0.1:{proxy.port}"
        answers, log = ask(f"proxy={url}", f"ca={certificates['authority']}",
                           "http://elsewhere.example/a", server.url())
        assert answers == [("ok", 200, 1, "by proxy: http://elsewhere.example/a"),
                           ("ok", 200, 1, "hello")]
        assert "secret" not in log and "dXNlcjpzZWNyZXQ" not in log
        assert all(b"Proxy-Authorization" not in head for head in server.heads)
        # And as the environment says, if the settings say nothing.
        answers, _ = ask("http://elsewhere.example/a", environment={"http_proxy": url})
        assert answers[0][3] == "by proxy: http://elsewhere.example/a"
        with Server(lambda head: answer(b"straight")) as plain:
            answers, _ = ask(plain.url(), environment={"http_proxy": url, "no_proxy": "localhost"})
            assert answers[0][3] == "straight"
            answers, _ = ask("proxy=", plain.url(), environment={"http_proxy": url})
            assert answers[0][3] == "straight"


def test_tells_a_proxy_that_wants_a_password(certificates):
    with Proxy(password=True) as proxy, \
            Server(lambda head: answer(b"hello"), certificates["good"]) as server:
        url = f"http://user:wrong-secret@127.0.0.1:{proxy.port}"
        answers, log = ask(f"proxy={url}", f"ca={certificates['authority']}", server.url(),
                           "http://elsewhere.example/")
        assert answers[0][0] == "denied" and "wants a user and a password" in answers[0][3]
        assert answers[1][:2] == ("ok", 407)
        assert "secret" not in log and "secret" not in str(answers)
