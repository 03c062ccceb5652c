"""A proxy in front of a SPARQL store, which knows queries from updates, breaks what it is told to,
lets a test act between any two requests, and keeps a record of what was asked.

    with SparqlFaults(store) as proxy:                  # or the fixture sparql_proxy
        world.environment["MU_SPARQL_ENDPOINT"] = proxy.query_url
        proxy.plan(kind="update", nth=2, status=502, body="<html>Bad Gateway</html>")

A plan picks requests by 'kind' ("query", "update"), by 'text', a regular expression that is somewhere
in the SPARQL, and of these from the 'nth' on (1 is the first), 'times' of them (None: all). The first
plan that picks a request is the only one that is used. What then happens:

    before=f, after=f   f(exchange) is called before the store gets it; after the store has carried it
                        out, before the client gets any answer
    twice=True          the store gets it twice, the client the second answer
    FIELD=value         any field of faults.Rule that says what becomes of a request or its reply:
        lost=True                       the connection ends before it is carried out
        cut_reply_bytes=0               it is carried out, and the connection ends without an answer
        cut_reply_body_bytes=20         the answer ends too early; with reset=True by a RST
        status=500, body="...", headers={"Content-Type": "text/html"}       an answer instead
        delay_ms=3000                   it is carried out late
        bytes_per_s=10, stall_reply_bytes=100      the answer trickles; stops and leaves the client
        set_headers={...}, replace=[[regular expression, text]]            another answer

Named ones: answer_lost(), html(status), unauthorized(), late(ms), all of which take what picks
requests, too. hold() stops requests at a gate until the test opens it:

    gate = proxy.hold(kind="update")            # or when="after": carried out, but not yet answered
    process = world.start(...)
    gate.wait()                                 # until one is there
    process.kill()
    gate.open()

down() and up() take the whole store away, so that nobody listens there, and give it back. The record
is in 'exchanges', the texts alone in updates() and queries().
"""
import re
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from fault_proxy import FaultProxy
from faults import Rule

HOLD_LIMIT_S = 60
HTML = ("<!DOCTYPE html><html><head><title>{status}</title></head>"
        "<body><h1>{status} from something in between</h1></body></html>\n")


@dataclass
class Exchange:
    """A request, as SPARQL. 'status' is that of the store's answer, 0 where there is none (yet)."""
    kind: str  # "" where it is neither a query nor an update
    text: str
    path: str
    headers: dict
    number: int  # from 1
    begun_s: float  # of time.monotonic()
    status: int = 0


@dataclass
class Plan:
    kind: str | None = None
    text: str = ""
    nth: int = 1
    times: int | None = 1
    before: object = None
    after: object = None
    twice: bool = False
    rule: Rule = field(default_factory=Rule)
    seen: int = 0
    used: int = 0

    def picks(self, exchange):
        """Counts it if it matches, and tells whether it is one of those that are picked."""
        if self.kind not in (None, exchange.kind) or not re.search(self.text, exchange.text):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.used < self.times)


class Gate:
    """Where requests wait for the test."""

    def __init__(self):
        self.arrived = threading.Semaphore(0)
        self.opened = threading.Event()

    def pass_through(self, _exchange):
        self.arrived.release()
        self.opened.wait(HOLD_LIMIT_S)

    def wait(self, count=1, timeout_s=HOLD_LIMIT_S):
        """Returns when so many more have come; fails when they do not."""
        for _ in range(count):
            assert self.arrived.acquire(timeout=timeout_s), "nobody came to the gate"

    def open(self):
        self.opened.set()


class SparqlFaults(FaultProxy):
    def __init__(self, store, **options):
        """'store' is a SparqlStore."""
        super().__init__(store.query_url, **options)
        self.store = store
        self.lock = threading.Lock()
        self.plans = []
        self.gates = []
        self.exchanges = []
        self.cleared = threading.Event()

    @property
    def query_url(self):
        return self.endpoint + urlsplit(self.store.query_url).path

    @property
    def update_url(self):
        return self.endpoint + urlsplit(self.store.update_url).path

    @property
    def auth_url(self):
        return self.endpoint + urlsplit(self.store.auth_url).path

    def plan(self, kind=None, text="", nth=1, times=1, before=None, after=None, twice=False,
             **fields):
        made = Plan(kind, text, nth, times, before, after, twice, Rule(**fields))
        with self.lock:
            self.plans.append(made)
        return made

    def answer_lost(self, **which):
        """Carried out, but the client cannot know."""
        return self.plan(cut_reply_bytes=0, **which)

    def html(self, status=502, **which):
        """What a proxy or a firewall in between says."""
        return self.plan(status=status, body=HTML.format(status=status),
                         headers={"Content-Type": "text/html; charset=utf-8"}, **which)

    def unauthorized(self, **which):
        return self.plan(status=401, body="who are you?\n", **which,
                         headers={"WWW-Authenticate": 'Digest realm="store", nonce="1", qop="auth"'})

    def late(self, pause_ms, **which):
        """Carried out at once; the head of the answer comes later."""
        return self.plan(after=lambda _: self.cleared.wait(pause_ms / 1000), **which)

    def hold(self, when="before", **which):
        gate = Gate()
        self.gates.append(gate)
        self.plan(**{when: gate.pass_through}, **which)
        return gate

    def clear(self):
        """No more plans; who waits for one goes on. The record begins anew."""
        with self.lock:
            self.plans.clear()
            self.exchanges.clear()
            self.cleared.set()
            self.cleared = threading.Event()
        for gate in self.gates:
            gate.open()
        self.gates.clear()
        self.rules.clear()

    def down(self):
        """Connections end, and nobody listens."""
        super().stop()

    def up(self):
        self.stopping = False
        self.start(self.port)

    def stop(self):
        self.clear()
        if not self.stopping:
            super().stop()

    def updates(self):
        return [one.text for one in list(self.exchanges) if one.kind == "update"]

    def queries(self):
        return [one.text for one in list(self.exchanges) if one.kind == "query"]

    def wait_for(self, count=1, kind=None, timeout_s=HOLD_LIMIT_S):
        """Returns when that many have come since the record began; fails when they do not."""
        end = time.monotonic() + timeout_s
        while sum(kind in (None, one.kind) for one in list(self.exchanges)) < count:
            assert time.monotonic() < end, f"{count} did not come: {self.exchanges}"
            time.sleep(0.005)

    def handle(self, request):
        body = request.body()
        request.pieces = lambda: iter([body] if body else [])
        kind, text = read_sparql(request, body)
        with self.lock:
            exchange = Exchange(kind, text, request.path, request.headers,
                                len(self.exchanges) + 1, time.monotonic())
            self.exchanges.append(exchange)
            picked = [plan for plan in self.plans if plan.picks(exchange)]
            if picked:
                picked[0].used += 1
        if not picked:
            return self.forward(request, exchange)
        plan = picked[0]
        request.call.faulty, request.rule = True, plan.rule
        return request.connection.answer(lambda _: self.carry_out(request, exchange, plan),
                                         request, plan.rule)

    def carry_out(self, request, exchange, plan):
        if plan.before:
            plan.before(exchange)
        self.cleared.wait(plan.rule.delay_ms / 1000)
        if plan.twice:
            whole(self.forward(request, exchange))
        reply = self.forward(request, exchange)
        if plan.after:
            whole(reply)
            plan.after(exchange)
        return reply

    def forward(self, request, exchange):
        reply = super().handle(request)
        exchange.status = reply.status
        return reply


def whole(reply):
    """Reads all of it."""
    if not isinstance(reply.body, bytes):
        reply.body = b"".join(reply.body)
        reply.length = len(reply.body)
    return reply


def read_sparql(request, body):
    """What is asked, as (kind, text), in whichever of the protocol's ways it comes."""
    body = body.decode("utf-8", "replace")
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind in ("application/sparql-query", "application/sparql-update"):
        return kind.rpartition("-")[2], body
    fields = parse_qs(request.query_text)
    if kind == "application/x-www-form-urlencoded":
        fields.update(parse_qs(body))
    for kind in ("update", "query"):
        if kind in fields:
            return kind, fields[kind][0]
    return "", ""
