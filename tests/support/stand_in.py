"""An HTTP/1.1 server for tests, on which the stand-ins for the clouds' services and the faulty proxy
are built. A thread per connection, bodies as streams, faults by rules (faults.py), and a record of
every request.

A test that is not in this process works it by its own paths:

    POST /_control      {"clear": true, "rules": [{...}], "settings": {"name": value}}
    GET /_calls         the requests so far and how each ended
    GET /_mistakes      what clients did that the service's description does not allow
"""
import argparse
import contextlib
import http
import json
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from urllib.parse import parse_qsl, unquote

from faults import Rule, Rules

PIECE_BYTES = 64 << 10
HEAD_LIMIT_BYTES = 64 << 10
IDLE_LIMIT_S = 120
STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}


class Cut(Exception):
    """The connection is over: the other side left, or a rule ends it here."""


@dataclass
class Call:
    """A request as it is remembered. 'status' is 0 until, and if ever, a reply was begun."""
    method: str
    target: str
    headers: dict
    connection: int
    request_bytes: int = 0
    status: int = 0
    reply_bytes: int = 0
    faulty: bool = False
    note: str = ""


@dataclass
class Reply:
    status: int = 200
    headers: dict = field(default_factory=dict)
    body: object = b""  # bytes, or an iterator over them
    length: int | None = None  # of what an iterator gives; None sends it in chunks
    reason: str = ""
    close: bool = False  # the connection ends after it, and what is left of the request is not read


def json_reply(value, status=200, **headers):
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, {"Content-Type": "application/json; charset=UTF-8", **headers}, body)


def text_reply(text, status=200, **headers):
    return Reply(status, {"Content-Type": "text/plain; charset=utf-8", **headers}, text.encode())


class Request:
    """A request whose head has been read. Its body is read once: at once or piece by piece."""

    def __init__(self, method, target, headers, reader=None, call=None, rule=None):
        self.method, self.target, self.headers = method, target, headers
        self.raw_path, _, self.query_text = target.partition("?")
        self.path = unquote(self.raw_path)
        self.query = parse_qsl(self.query_text, keep_blank_values=True)
        self.reader, self.call, self.rule = reader, call, rule or Rule()
        self.before_body = None
        self.body_read = False

    def parameter(self, name, default=None):
        return next((value for key, value in self.query if key == name), default)

    @property
    def length(self):
        """The bytes of the body, None where it comes in chunks."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return None
        return int(self.headers.get("content-length") or 0)

    def pieces(self):
        """The body. Raises Cut where it ends before its length."""
        if self.body_read:
            return
        self.body_read = True
        if self.before_body:
            self.before_body()
        done, rule = 0, self.rule
        for piece in self.raw_pieces():
            flip = rule.flip_request_byte
            if flip is not None and done <= flip < done + len(piece):
                piece = flipped(piece, flip - done)
            if rule.cut_request_body_bytes is not None \
                    and done + len(piece) >= rule.cut_request_body_bytes:
                piece = piece[:rule.cut_request_body_bytes - done]
                if piece:
                    yield piece
                raise Cut("by a rule, within the request's body")
            done += len(piece)
            if self.call:
                self.call.request_bytes = done
            if rule.request_bytes_per_s:
                time.sleep(len(piece) / rule.request_bytes_per_s)
            yield piece

    def raw_pieces(self):
        if self.length is not None:
            yield from self.exactly(self.length)
            return
        while True:
            size = int(self.line().split(b";")[0], 16)
            if size == 0:
                while self.line().strip():
                    pass
                return
            yield from self.exactly(size)
            if self.line().strip():
                raise Cut("a chunk that is longer than it says")

    def line(self):
        line = self.reader.readline(HEAD_LIMIT_BYTES)
        if not line.endswith(b"\n"):
            raise Cut("the other side left")
        return line

    def exactly(self, size):
        while size:
            piece = self.reader.read1(min(size, PIECE_BYTES))
            if not piece:
                raise Cut("the other side left")
            size -= len(piece)
            yield piece

    def body(self):
        return b"".join(self.pieces())


def flipped(piece, at):
    changed = bytearray(piece)
    changed[at] ^= 1
    return bytes(changed)


class Outlet:
    """The way of a reply to the socket, on which the rule's faults happen."""

    def __init__(self, connection, rule, call):
        self.connection, self.rule, self.call = connection, rule, call
        self.body_start = None

    def send(self, data):
        for limit, end in self.limits():
            room = limit - self.call.reply_bytes
            if len(data) >= room:
                self.put(data[:room])
                end()
                data = data[max(room, 0):]
        self.put(data)

    def limits(self):
        rule, found = self.rule, []
        if rule.stall_reply_bytes is not None and self.call.reply_bytes <= rule.stall_reply_bytes:
            found.append((rule.stall_reply_bytes, self.stall))
        if rule.cut_reply_bytes is not None:
            found.append((rule.cut_reply_bytes, self.cut))
        if rule.cut_reply_body_bytes is not None and self.body_start is not None:
            found.append((self.body_start + rule.cut_reply_body_bytes, self.cut))
        return sorted(found, key=lambda one: one[0])

    def stall(self):
        self.connection.wait_for_leave(self.rule.stall_ms / 1000)

    def cut(self):
        raise Cut("by a rule, within the reply")

    def put(self, data):
        pace = self.rule.bytes_per_s
        view = memoryview(data)
        while view:
            piece = view[:max(1, pace // 20)] if pace else view
            self.connection.socket.sendall(piece)
            self.call.reply_bytes += len(piece)
            view = view[len(piece):]
            if pace:
                time.sleep(len(piece) / pace)


class Connection:
    """One client's connection, served by a thread until one of the two closes it."""

    def __init__(self, server, sock, number):
        self.server, self.socket, self.number = server, sock, number
        self.reader = sock.makefile("rb", PIECE_BYTES)
        self.reset = False
        self.state = {}  # what a server keeps for as long as the connection lives; has close()

    def serve(self):
        try:
            self.socket.settimeout(IDLE_LIMIT_S)
            while self.serve_one():
                pass
        except (Cut, OSError, ValueError):
            pass
        finally:
            self.close()

    def serve_one(self):
        head = self.read_head()
        if head is None:
            return False
        method, target, headers = head
        call = Call(method, target, headers, self.number)
        own = self.server.own_path(method, target)
        rule = None if own else self.server.rules.find(
            method, self.server.fault_target(target, headers))
        if not own:
            self.server.calls.append(call)
        call.faulty = rule is not None
        rule = rule or Rule()
        self.reset = rule.reset
        request = Request(method, target, headers, self.reader, call, rule)
        if "100-continue" in headers.get("expect", "").lower():
            request.before_body = lambda: self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if rule.delay_ms:
            self.server.rules.delay(rule)
        reply = self.answer(own, request, rule)
        rule = request.rule  # a server may have chosen another by what is in the body
        self.reset = rule.reset
        keep = headers.get("connection", "").lower() != "close"
        if rule.early or reply.close:
            keep = False
        else:
            for _ in request.pieces():  # what the answer did not need
                pass
        self.send(request, reply, rule, call, keep)
        return keep

    def answer(self, own, request, rule):
        if rule.lost:
            raise Cut("by a rule, before it is carried out")
        if rule.raw:
            self.socket.sendall(rule.raw.encode())
            raise Cut("by a rule, after what is no reply")
        if rule.status:
            return Reply(rule.status, dict(rule.headers), rule.body.encode())
        request.connection = self
        return own(request) if own else self.server.handle(request)

    def read_head(self):
        """(method, target, headers with their names in lower case), None after the last request."""
        line = self.reader.readline(HEAD_LIMIT_BYTES)
        while line == b"\r\n":
            line = self.reader.readline(HEAD_LIMIT_BYTES)
        if not line:
            return None
        method, target, version = line.decode("ascii").split()
        if not version.startswith("HTTP/1."):
            raise ValueError(version)
        headers = {}
        while True:
            line = self.reader.readline(HEAD_LIMIT_BYTES)
            if not line:
                raise Cut("the other side left")
            if line in (b"\r\n", b"\n"):
                return method, target, headers
            name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value

    def send(self, request, reply, rule, call, keep):
        headers = dict(reply.headers)
        body, length = reply.body, reply.length
        if isinstance(body, bytes) or rule.replace:
            body = body if isinstance(body, bytes) else b"".join(body)
            for pattern, text in rule.replace:
                body = re.sub(pattern.encode(), text.encode(), body)
            if request.method != "HEAD" or length is None:
                length = len(body)
        bodiless = request.method == "HEAD" or reply.status in (204, 304) or reply.status < 200
        if reply.status not in (204, 304):
            if length is None:
                headers["Transfer-Encoding"] = "chunked"
            else:
                headers["Content-Length"] = str(length)
        if not keep:
            headers["Connection"] = "close"
        dropped = {name.lower() for name in rule.drop_headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in dropped}
        headers.update(rule.set_headers)
        reason = reply.reason or http.HTTPStatus._value2member_map_.get(reply.status)
        reason = getattr(reason, "phrase", reason) or "Unknown"
        lines = [f"HTTP/1.1 {reply.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        outlet = Outlet(self, rule, call)
        call.status = reply.status
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
        outlet.body_start = len(head)
        if bodiless:
            outlet.send(head)
        elif isinstance(body, bytes) and len(body) < PIECE_BYTES:
            outlet.send(head + flip_at(body, rule.flip_reply_byte))
        else:
            outlet.send(head)
            self.send_body(outlet, body, length is None, rule.flip_reply_byte)

    @staticmethod
    def send_body(outlet, body, chunked, flip):
        done = 0
        for piece in ([body] if isinstance(body, bytes) else body):
            if flip is not None and done <= flip < done + len(piece):
                piece = flipped(piece, flip - done)
            done += len(piece)
            if not piece:
                continue
            outlet.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            outlet.send(b"0\r\n\r\n")

    def wait_for_leave(self, timeout_s):
        """Returns when the client has gone or the time is over; what it sends is lost."""
        end = time.monotonic() + timeout_s
        with contextlib.suppress(OSError):
            while (left := end - time.monotonic()) > 0 and not self.server.stopping:
                self.socket.settimeout(min(left, 0.2))
                try:
                    if not self.socket.recv(PIECE_BYTES):
                        break
                except TimeoutError:
                    pass
        self.socket.settimeout(IDLE_LIMIT_S)

    def close(self):
        with contextlib.suppress(OSError):
            if self.reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            else:
                # Closing with unread bytes would be a RST, and might overtake the reply.
                self.socket.shutdown(socket.SHUT_WR)
                self.wait_for_leave(1)
        for kept in self.state.values():
            kept.close()
        self.reader.close()
        self.socket.close()
        self.server.connections.discard(self)


def self_signed(file):
    """What makes a server speak https as 127.0.0.1 and localhost. The certificate, by which a client
    may know it, is written to 'file'."""
    with tempfile.NamedTemporaryFile() as key:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                        "-keyout", key.name, "-out", str(file)], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(file), key.name)
    return context


def flip_at(body, at):
    return flipped(body, at) if at is not None and at < len(body) else body


class StandIn:
    """A server. Subclasses answer requests by handle(request) -> Reply."""

    settings = ()  # names of attributes that /_control may set

    def __init__(self, tls=None):
        """'tls' is an ssl.SSLContext, with which the server speaks https."""
        self.tls = tls
        self.rules = Rules()
        self.calls = []
        self.mistakes = []
        self.connections = set()
        self.accepted = 0
        self.stopping = False
        self.listener = None

    def start(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    @property
    def endpoint(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def stop(self):
        self.stopping = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                sock.close()
                return
        self.accepted += 1
        connection = Connection(self, sock, self.accepted)
        self.connections.add(connection)
        connection.serve()

    def fault_target(self, target, _headers):
        """What the 'target' of a rule is matched with."""
        return target

    def handle(self, request):
        raise NotImplementedError

    def own_path(self, method, target):
        return {("POST", "/_control"): self.control, ("GET", "/_calls"): self.show_calls,
                ("GET", "/_mistakes"): self.show_mistakes,
                ("GET", "/_rules"): self.show_rules}.get((method, target))

    def control(self, request):
        try:
            wanted = json.loads(request.body())
            unknown = set(wanted) - {"clear", "rules", "settings"} \
                or set(wanted.get("settings", {})) - set(self.settings)
            if unknown:
                raise ValueError(f"unknown: {sorted(unknown)}")
            if wanted.get("clear"):
                self.rules.clear()
                self.calls.clear()
                self.mistakes.clear()
            self.rules.add(*[Rule(**fields) for fields in wanted.get("rules", [])])
            for name, value in wanted.get("settings", {}).items():
                setattr(self, name, value)
        except (TypeError, ValueError, re.error) as error:
            return text_reply(f"{error}\n", 400)
        return Reply(204)

    def show_calls(self, _request):
        return json_reply([asdict(call) for call in list(self.calls)])

    def show_mistakes(self, _request):
        return json_reply(list(self.mistakes))

    def show_rules(self, _request):
        return json_reply(self.rules.listed())

    def count(self, method=".*", target=""):
        """How many requests so far match, as in a rule."""
        return sum(1 for call in list(self.calls)
                   if re.fullmatch(method, call.method) and re.search(target, call.target))


def serve_until_stopped(server, argument_parser=None, prepare=None):
    """The main program of a stand-in: prints its endpoint and serves until a signal or, with
    --until-eof, until stdin is closed."""
    parser = argument_parser or argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0, help="0, the default, picks a free one")
    parser.add_argument("--until-eof", action="store_true", help="end when stdin is closed")
    parser.add_argument("--tls", metavar="FILE", help="speak https; its certificate is written "
                        "to FILE")
    arguments = parser.parse_args()
    server = server(arguments)
    if arguments.tls:
        server.tls = self_signed(arguments.tls)
    # Before there are threads, which would have it else.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    server.start(arguments.port)
    if prepare:
        prepare(server, arguments)
    print(server.endpoint, flush=True)
    try:
        if arguments.until_eof:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            sys.stdin.read()
        else:
            signal.sigwait(STOP_SIGNALS)
    finally:
        server.stop()
