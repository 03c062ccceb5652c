#!/usr/bin/python3
"""A proxy in front of a server, which breaks what its rules say (faults.py) and keeps a record of
all requests. It changes nothing else: the Host header stays the client's, so signatures hold.

    fault_proxy.py --port 0 http://127.0.0.1:9000       prints its endpoint
"""
import argparse
import re
import select
import socket
from urllib.parse import urlsplit

from stand_in import (HEAD_LIMIT_BYTES, IDLE_LIMIT_S, PIECE_BYTES, Cut, Reply, StandIn,
                      serve_until_stopped, text_reply)

# They belong to one connection, or are answered here.
NOT_FORWARDED = {"connection", "keep-alive", "expect", "transfer-encoding", "content-length"}
NOT_RETURNED = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Upstream:
    """A connection to the real server."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), IDLE_LIMIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb", PIECE_BYTES)

    def close(self):
        self.reader.close()
        self.socket.close()

    def send(self, request):
        """Returns whether all of it went: a server may answer before it has read the body."""
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()
                  if name not in NOT_FORWARDED]
        chunked = request.length is None
        if chunked:
            lines.append("transfer-encoding: chunked")
        elif "content-length" in request.headers:
            lines.append(f"content-length: {request.length}")
        head = "\r\n".join(lines) + "\r\n\r\n"
        self.socket.sendall(head.encode("utf-8", "surrogateescape"))
        for piece in request.pieces():
            if is_readable(self.socket):
                return False
            self.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.socket.sendall(b"0\r\n\r\n")
        return True

    def line(self):
        line = self.reader.readline(HEAD_LIMIT_BYTES)
        if not line.endswith(b"\n"):
            raise ConnectionError("the server left")
        return line.decode("utf-8", "surrogateescape").rstrip("\r\n")

    def read_head(self):
        status, reason, headers = 100, "", {}
        while status == 100:
            _, status, reason = (self.line() + " ").split(" ", 2)
            status, headers = int(status), {}
            while line := self.line():
                name, _, value = line.partition(":")
                headers[name] = value.strip()
        return status, reason.strip(), headers

    def receive(self, method):
        """The reply, whose body is still to come, and whether another request may follow."""
        status, reason, headers = self.read_head()
        known = {name.lower(): value for name, value in headers.items()}
        headers = {name: value for name, value in headers.items()
                   if name.lower() not in NOT_RETURNED}
        keep = known.get("connection", "").lower() != "close"
        length = int(known["content-length"]) if "content-length" in known else None
        if method == "HEAD" or status in (204, 304):
            return Reply(status, headers, b"", length, reason), keep
        if "chunked" in known.get("transfer-encoding", "").lower():
            return Reply(status, headers, self.chunks(), None, reason), keep
        if length is None:
            return Reply(status, headers, iter(lambda: self.reader.read1(PIECE_BYTES), b""),
                         None, reason), False
        return Reply(status, headers, self.exactly(length), length, reason), keep

    def exactly(self, size):
        while size:
            piece = self.reader.read1(min(size, PIECE_BYTES))
            if not piece:
                raise Cut("the server left")
            size -= len(piece)
            yield piece

    def chunks(self):
        while size := int(self.line().split(";")[0], 16):
            yield from self.exactly(size)
            self.line()
        while self.line():
            pass


class FaultProxy(StandIn):
    def __init__(self, target, **options):
        """'target' is the URL of the server, of which host and port count."""
        super().__init__(**options)
        parts = urlsplit(target)
        self.address = (parts.hostname, parts.port or 80)

    def handle(self, request):
        state = request.connection.state
        upstream = state.pop("upstream", None)
        if upstream and is_readable(upstream.socket):  # by which it was closed
            upstream.close()
            upstream = None
        try:
            upstream = upstream or Upstream(*self.address)
        except OSError as error:
            return text_reply(f"the server behind the proxy does not answer: {error}\n", 502)
        try:
            complete = upstream.send(request)
            reply, keep = upstream.receive(request.method)
        except (Cut, OSError, ValueError) as error:
            upstream.close()
            raise Cut(str(error)) from error
        reply.close, keep = not complete, keep and complete
        if isinstance(reply.body, bytes):
            self.done(state, upstream, keep)
        else:
            reply.body = self.relay(state, upstream, reply.body, keep)
        return reply

    @staticmethod
    def done(state, upstream, keep):
        if keep:
            state["upstream"] = upstream
        else:
            upstream.close()

    def relay(self, state, upstream, pieces, keep):
        complete = False
        try:
            yield from pieces
            complete = True
        finally:
            self.done(state, upstream, keep and complete)


def is_readable(sock):
    return bool(select.select([sock], [], [], 0)[0])


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__)[0])
    words.add_argument("target", help="the URL of the server behind it")
    serve_until_stopped(lambda arguments: FaultProxy(arguments.target), words)
