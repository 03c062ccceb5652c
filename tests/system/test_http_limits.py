"""Clients that nobody wishes for: too many, too slow, too long, broken, gone. Whatever they do, the
server answers a good client meanwhile, and ends without a complaint of the sanitizers."""

import contextlib
import json
import os
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import BUILD, PATIENCE_S, allow_files

GOOD = b"GET /good HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
KEEP = b"GET /keep HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Server:
    """A server of tests/support/servers at one address or more."""

    def __init__(self, *arguments, files=None):
        def limit_files():
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        self.process = subprocess.Popen(
            [str(BUILD / "test-servers" / "http_server"), *arguments], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit_files)
        addresses = len([a for a in arguments if "=" not in a])
        self.urls = [self.process.stdout.readline().strip() for _ in range(addresses)]
        if not all(self.urls):
            _, complaint = self.process.communicate(timeout=PATIENCE_S)
            raise RuntimeError(complaint)

    def dial(self, index=0, timeout=PATIENCE_S):
        url = self.urls[index]
        if url.startswith("unix:"):
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(timeout)
            made.connect(url[5:])
            return made
        return socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout)

    def talk(self, request, index=0):
        with self.dial(index) as client:
            client.sendall(request)
            return hear(client)

    def state(self):
        return json.loads(self.talk(GOOD.replace(b"/good", b"/state")).split(b"\r\n\r\n")[1])

    def becomes(self, key, wanted):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self.state()[key] == wanted:
                return True
            time.sleep(0.02)
        return False

    def stop(self):
        _, complaint = self.process.communicate(timeout=PATIENCE_S)
        assert (self.process.returncode, complaint) == (0, "")


def hear(client):
    """All that comes until the other side ends; a reset ends it too."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def hear_one(client):
    """One reply with Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def serving(*arguments, **options):
    server = Server(*arguments, **options)
    try:
        yield server
        server.stop()
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def assert_good(server, index=0):
    answer = server.talk(GOOD, index)
    assert answer.startswith(b"HTTP/1.1 200 "), answer


def status_of(answer):
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found.group(1)) if found else None


# ---- requests that are wrong -----------------------------------------------------------------


@pytest.mark.parametrize("target, status", [
    ("/", 200), ("/a/b", 200), ("/a%20b", 200), ("http://localhost/x", 200),
    ("/../etc/passwd", 400), ("/a/../../etc/passwd", 400), ("/%2e%2e/etc/passwd", 400),
    ("/%2E%2e%2fetc", 400), ("/a%2fb", 400), ("/a/%2e/b", 400), ("/..", 400), ("/.", 400),
    ("/%00", 400), ("/a%00.html", 400), ("/%", 400), ("/%4", 400), ("/%zz", 400),
    ("/?a=%", 400), ("/?a=%00", 400), ("/%ff%fe", 400), ("/%0d%0aX-Evil:%201", 400),
    ("etc/passwd", 400), ("*", 400), ("ftp://localhost/", 400), ("//etc/passwd", 200),
    ("/%252e%252e/x", 200), ("/..%5c..%5cx", 200),
])
def test_targets(shared, target, status):
    answer = shared.talk(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n"
                         "Connection: close\r\n\r\n".encode())
    assert status_of(answer) == status, answer
    if status != 200:
        assert b"X-Evil" not in answer.split(b"\r\n\r\n")[0]


@pytest.mark.parametrize("request_text, statuses", [
    # What says in two ways where a request ends is how requests are smuggled.
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", {400}),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n", {400}),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", {400}),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4x\r\n\r\nabcd", {400}),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
     {400, 413}),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
    # Others may take such a name for the one without the blank.
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length : 4\r\n\r\nabcd", {400}),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", {400}),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nTwo words: x\r\n\r\n", {400}),
    ("G\1T / HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    ("GE(T / HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", {400}),
    ("GET / HTTP/1.1\r\n\r\n", {400}),
    ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", {400, 505}),
    ("GET /\r\n\r\n", {None, 400}),
    ("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
     {200, 400, None}),
    ("nonsense\r\n\r\n", {None, 400}),
    ("TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", {501}),
    ("CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", {400, 501}),
    ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", {204}),
    ("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", {403}),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n"
     "Connection: close\r\n\r\n", {403}),
])
def test_requests_that_are_wrong(shared, request_text, statuses):
    with shared.dial() as client:
        client.sendall(request_text.encode())
        client.shutdown(socket.SHUT_WR)
        assert status_of(hear(client)) in statuses
    assert_good(shared)


@pytest.mark.parametrize("coding", ["identity", "gzip, chunked", "chunked, identity", "xchunked", ""])
def test_a_body_whose_end_nobody_knows_is_not_waited_for(shared, coding):
    with shared.dial() as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {coding}\r\n\r\n"
                       "4\r\nabcd\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
                       .encode())
        client.settimeout(10)  # the server's own patience is longer
        answer = hear(client)
        assert status_of(answer) == 501 and answer.count(b"HTTP/1.1 ") == 1, answer


def spoil(rng, data):
    """Bytes changed, dropped, doubled and put in."""
    pieces = [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"%", b"HTTP/1.1", b"\xff\xfe", b"chunked",
              b"Content-Length: 18446744073709551616\r\n", b"a" * 5000, b"/..", b"?&=&"]
    data = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        change = rng.randrange(4)
        if change == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif change == 1:
            del data[at:at + rng.randint(1, 10)]
        elif change == 2:
            data[at:at] = rng.choice(pieces)
        else:
            data[at:at] = data[:rng.randint(0, 40)]
    return bytes(data)


def test_random_requests():
    """Good requests that were spoilt get an answer of HTTP or an end, and soon."""
    rng = random.Random(20240229)
    seeds = [
        GOOD, KEEP,
        b"POST /x?a=b&c=%20 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
        b"HEAD /stream?bytes=100 HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: a=b; c=\"d\"\r\nRange: bytes=0-1\r\n\r\n",
    ]
    with serving("silence_ms=1000", "request_ms=2000", "head_bytes=8192", "127.0.0.1:0") as server:
        for _ in range(8):
            clients = []
            for _ in range(100):
                data = spoil(rng, rng.choice(seeds))
                clients.append((server.dial(), data))
                with contextlib.suppress(OSError):
                    clients[-1][0].sendall(data)
                    clients[-1][0].shutdown(socket.SHUT_WR)
            for client, data in clients:
                answer = hear(client)
                assert answer == b"" or answer.startswith(b"HTTP/1.") or b"<html>" in answer, data
                client.close()
            assert_good(server)


def test_heads_and_bodies_have_a_limit(shared):
    def post(length, head=""):
        return (f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{head}"
                "Connection: close\r\n\r\n").encode()

    assert status_of(shared.talk(post(100000) + b"x" * 100000)) == 200
    assert status_of(shared.talk(post(100001) + b"x" * 100001)) == 413
    # Read and dropped, so that the client gets to its answer.
    assert status_of(shared.talk(post(1500000) + b"x" * 1500000)) == 413
    # Refused before it is sent.
    answer = shared.talk(post(100001, "Expect: 100-continue\r\n"))
    assert status_of(answer) == 413 and b"100 Continue" not in answer
    assert status_of(shared.talk(post(10 ** 12))) == 413
    answer = shared.talk(post(3, "Expect: 100-continue\r\n") + b"abc")
    assert answer.startswith(b"HTTP/1.1 100 ") and b"HTTP/1.1 200 " in answer
    chunks = b"".join(b"4000\r\n" + b"x" * 0x4000 + b"\r\n" for _ in range(8)) + b"0\r\n\r\n"
    assert status_of(shared.talk(b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                                 b"Transfer-Encoding: chunked\r\n\r\n" + chunks)) == 413
    for size in (9000, 40000, 200000):
        for head in (f"GET /{'a' * size} HTTP/1.1\r\nHost: localhost\r\n",
                     f"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {'a' * size}\r\n",
                     "GET / HTTP/1.1\r\nHost: localhost\r\n" + "X-A: b\r\n" * (size // 8)):
            answer = shared.talk(head.encode() + b"Connection: close\r\n\r\n")
            assert status_of(answer) in (413, 414, 431, None), (size, answer[:200])
    assert_good(shared)


def wait_until_read(*clients):
    """Until the server has read all that these have sent by TCP: the kernel's queues tell."""
    def port(name):
        return f"{name[1]:04X}"

    sent = [{port(client.getsockname()), port(client.getpeername())} for client in clients]
    end = time.monotonic() + PATIENCE_S
    while True:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        waiting = [{words[1][-4:], words[2][-4:]} for words in lines
                   if words[4] != "00000000:00000000"]
        if not any(ports in waiting for ports in sent):
            return
        assert time.monotonic() < end
        time.sleep(0.01)


def test_all_bodies_together_have_a_limit():
    with serving("body_bytes=100000", "all_bodies_bytes=150000", "127.0.0.1:0") as server:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        with server.dial() as first, server.dial() as second:
            first.sendall(head + b"x" * 99999)
            wait_until_read(first)
            assert_good(server)
            second.sendall(head + b"x" * 100000)
            answer = hear(second)
            assert status_of(answer) == 503 and b"Retry-After: 1\r\n" in answer
            first.sendall(b"x")
            assert status_of(hear_one(first)) == 200
        assert status_of(server.talk(head.replace(b"Host", b"Connection: close\r\nHost") +
                                     b"x" * 100000)) == 200


# ---- connections -----------------------------------------------------------------------------


def test_pipelining_and_keep_alive(shared):
    with shared.dial() as client:
        client.sendall(b"".join(KEEP.replace(b"/keep", b"/%d" % i) for i in range(50)))
        buffered = b""
        while buffered.count(b'"body":0') < 50:
            buffered += client.recv(65536)
        paths = re.findall(rb'"path":"/(\d+)"', buffered)
        assert [int(p) for p in paths] == list(range(50))
        client.sendall(b"HEAD /big?bytes=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n" + KEEP)
        buffered = b""
        while b'"body":0' not in buffered:
            buffered += client.recv(65536)
        assert b"Content-Length: 1000\r\n" in buffered and b"xxx" not in buffered
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc" + GOOD)
        assert hear(client).count(b"HTTP/1.1 200 ") == 2


def test_half_closed_clients_get_their_answer(shared):
    for index in range(2):
        for request in (GOOD, GOOD.replace(b"/good", b"/big?bytes=3000000"),
                        GOOD.replace(b"/good", b"/stream?bytes=3000000")):
            with shared.dial(index) as client:
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                answer = hear(client)
            assert status_of(answer) == 200
            if b"3000000" in request:
                assert answer.count(b"x" if b"big" in request else b"s") >= 3000000
    # Not those that would wait for ever: over TCP nobody can tell that from a client that left.
    with shared.dial() as client:
        client.sendall(GOOD.replace(b"/good", b"/stream?bytes=10&stays"))
        client.shutdown(socket.SHUT_WR)
        assert b"ssssssssss" in hear(client)
    assert shared.becomes("streams", 0)


def test_clients_that_leave(shared):
    before = shared.state()
    reset = struct.pack("ii", 1, 0)
    for round_number in range(40):
        for path in (b"/stream?bytes=10&stays", b"/stream?bytes=50000000", b"/big?bytes=50000000",
                     b"/never"):
            client = shared.dial(index=round_number % 2)
            client.sendall(GOOD.replace(b"/good", path))
            if round_number % 3 == 0 and path != b"/never":
                client.recv(10)
            if round_number % 2 == 0:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.close()
    assert shared.becomes("streams", before["streams"])
    assert shared.becomes("connections", 1)


def test_unix_sockets(tmp_path):
    address = f"unix:{tmp_path}/socket"
    with serving(address, "127.0.0.1:0") as server:
        answer = server.talk(GOOD)
        shown = json.loads(answer.split(b"\r\n\r\n")[1])
        assert (shown["unix"], shown["uid"], shown["pid"]) == (True, os.getuid(), os.getpid())
        assert os.stat(f"{tmp_path}/socket").st_mode & 0o777 == 0o600
        assert b'"unix":false' in server.talk(GOOD, 1)
        with pytest.raises(RuntimeError, match="another process does"):
            Server(address)
        assert_good(server)
        server.process.send_signal(signal.SIGKILL)
        server.process.communicate()
        assert Path(f"{tmp_path}/socket").exists()
        with serving(address) as next_server:
            assert_good(next_server)
        assert not Path(f"{tmp_path}/socket").exists()
        server.stop = lambda: None


# ---- too slow --------------------------------------------------------------------------------


def test_slow_clients_are_given_up():
    """Two hundred that never fall silent, each in its own part of a request."""
    with serving("silence_ms=3000", "request_ms=4000", "connections=400", "127.0.0.1:0") as server:
        starts = [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
                  b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n",
                  KEEP]  # with one request done
        clients = [server.dial() for _ in range(200)]
        for i, client in enumerate(clients):
            client.sendall(starts[i % len(starts)])
            client.setblocking(False)
        began = time.monotonic()
        open_clients = set(clients)
        while open_clients and time.monotonic() - began < PATIENCE_S:
            for client in list(open_clients):
                try:
                    client.send(b"a")
                    if client.recv(65536) == b"":
                        open_clients.discard(client)
                except BlockingIOError:
                    pass
                except OSError:
                    open_clients.discard(client)
            assert_good(server)
            time.sleep(0.3)
        assert not open_clients
        assert time.monotonic() - began >= 3
        for client in clients:
            client.close()


def test_silent_clients_are_given_up():
    with serving("silence_ms=1000", "request_ms=20000", "127.0.0.1:0") as server:
        with server.dial() as silent, server.dial() as half:
            half.sendall(b"GET / HT")
            began = time.monotonic()
            hear(silent)
            hear(half)
            assert 0.5 < time.monotonic() - began < 15


def test_clients_that_do_not_take_their_answer():
    with serving("silence_ms=2000", "request_ms=2000", "127.0.0.1:0") as server:
        clients = []
        for path in (b"/stream?bytes=60000000", b"/big?bytes=60000000"):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", int(server.urls[0].rsplit(":", 1)[1])))
            client.sendall(GOOD.replace(b"/good", path))
            clients.append(client)
        assert server.becomes("connections", 1)
        assert server.becomes("streams", 0)
        for client in clients:
            client.close()


# ---- too many --------------------------------------------------------------------------------


def test_ten_thousand_connections():
    """Idle ones beyond the limit take the place of the oldest; a good client never notices."""
    count = 10000
    allow_files(count + 500)
    with serving("connections=1000", "127.0.0.1:0") as server:
        clients, refused = [], 0
        for i in range(count):
            client = server.dial()
            client.sendall(KEEP)
            clients.append(client)
            if i % 50 == 49:  # as they come, each is answered
                for late in clients[-50:]:
                    refused += status_of(hear_one(late)) != 200
            if i % 500 == 499:
                assert_good(server)
        assert refused == 0
        assert server.state()["connections"] <= 1001
        ended = sum(client.recv(1) == b"" for client in clients[:count - 1000])
        assert ended == count - 1000
        assert_good(server)
        for client in clients:
            client.close()
        assert server.becomes("connections", 1)


def test_the_limit_while_all_are_being_answered():
    with serving("connections=60", "per_address=50", "127.0.0.1:0") as server:
        clients = [server.dial() for _ in range(50)]
        for client in clients:
            client.sendall(KEEP.replace(b"/keep", b"/never"))
        wait_until_read(*clients)  # before, there are idle ones that make room
        answer = server.talk(GOOD)
        assert status_of(answer) == 503 and b"Retry-After: 1\r\n" in answer
        assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]
        reset = struct.pack("ii", 1, 0)
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.close()
        deadline = time.monotonic() + PATIENCE_S
        while status_of(server.talk(GOOD)) != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert_good(server)


def test_few_descriptors():
    """With fewer descriptors than clients the server keeps some for itself."""
    with serving("connections=10000", "127.0.0.1:0", files=300) as server:
        clients = [server.dial() for _ in range(600)]
        assert_good(server)
        held = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        assert held < 250
        for client in clients:
            client.close()


def test_no_descriptors_left():
    """Whom there is no descriptor for is told so, and does not keep the server busy."""
    with serving("127.0.0.1:0") as server:
        first = server.dial()
        first.sendall(KEEP)
        assert status_of(hear_one(first)) == 200
        held = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (held, 4096))
        for _ in range(20):
            assert status_of(server.talk(GOOD)) == 503
        first.sendall(KEEP)
        assert status_of(hear_one(first)) == 200
        # Not even one to refuse with: they wait. (poll(2) takes no more entries than that.)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, 4096))
        waiting = server.dial()
        waiting.sendall(GOOD)
        began = cpu_seconds(server)
        time.sleep(1)
        assert cpu_seconds(server) - began < 0.5
        first.sendall(KEEP)
        assert status_of(hear_one(first)) == 200
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (4096, 4096))
        assert status_of(hear(waiting)) == 200
        first.close()
        waiting.close()


def cpu_seconds(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_flood_of_connections_with_good_clients_among_them():
    with serving("connections=200", "127.0.0.1:0") as server:
        stop = threading.Event()
        failures = []

        def flood():
            held = []
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    held.append(server.dial())
                    held[-1].sendall(b"GET / HTTP/1.1\r\nX-S")
                if len(held) > 300:
                    held.pop(0).close()
            for client in held:
                client.close()

        flooders = [threading.Thread(target=flood) for _ in range(2)]
        for flooder in flooders:
            flooder.start()
        for _ in range(100):
            answer = server.talk(GOOD)
            if status_of(answer) != 200:
                failures.append(answer)
        stop.set()
        for flooder in flooders:
            flooder.join()
        assert not failures


# ---- the proxy -------------------------------------------------------------------------------


def test_the_other_server_is_killed_in_the_middle_of_a_reply(tmp_path):
    path = f"{tmp_path}/back"
    with serving(f"proxy={path}", "127.0.0.1:0") as front:
        ask = GOOD.replace(b"/good", b"/proxy/good")
        answer = front.talk(ask)
        assert status_of(answer) == 502 and b"is not there" in answer
        back = Server(f"unix:{path}")
        answer = front.talk(ask)
        assert status_of(answer) == 200 and b'"path":"/good"' in answer
        with front.dial() as client:
            client.sendall(ask.replace(b"/good", b"/stream?bytes=100&stays"))
            data = b""
            while data.count(b"s") < 100:
                data += client.recv(65536)
            back.process.kill()
            back.process.communicate()
            assert not (data + hear(client)).endswith(b"0\r\n\r\n")
        assert status_of(front.talk(ask)) == 502
        back = Server(f"unix:{path}")
        answer = front.talk(ask.replace(b"/good", b"/die"))
        assert status_of(answer) == 502 and json.loads(answer.split(b"\r\n\r\n")[1])["error"]
        back.process.communicate()
        with serving(f"unix:{path}") as back:
            assert status_of(front.talk(ask)) == 200
            answer = front.talk(ask.replace(b"/good", b"/stream?bytes=5000000"))
            assert answer.endswith(b"\r\n0\r\n\r\n") and answer.count(b"s") >= 5000000
            assert status_of(front.talk(ask.replace(b"/good", b"/a%20b?c=%2F"))) == 200


def test_many_at_once_through_the_proxy(tmp_path):
    path = f"{tmp_path}/back"
    with serving("threads=4", f"unix:{path}") as back, \
         serving(f"proxy={path}", "127.0.0.1:0") as front:
        assert_good(back)
        ask = GOOD.replace(b"/good", b"/proxy/stream?bytes=200000")
        clients = [front.dial() for _ in range(100)]
        for client in clients:
            client.sendall(ask)
        for client in clients:
            answer = hear(client)
            assert status_of(answer) == 200 and answer.endswith(b"\r\n0\r\n\r\n")
            client.close()


@pytest.fixture(name="shared", scope="module")
def shared_server(tmp_path_factory):
    """One for all tests that leave it as it was."""
    path = tmp_path_factory.mktemp("http") / "s"
    with serving("head_bytes=8192", "body_bytes=100000", "127.0.0.1:0", f"unix:{path}") as server:
        yield server
