"""What a stand-in or a proxy does wrong on purpose: rules that pick requests, and what then happens
to the request, the reply or the connection.

A rule is used for the requests that match it, after 'skip' of them, for each 'every'-th and 'times'
times (None: for ever); the first rule that is to be used is the only one. All offsets count from 0.
"""
import random
import re
import threading
from dataclasses import asdict, dataclass, field


@dataclass
class Rule:
    # Which requests. Both are regular expressions; that of 'target' may match anywhere in it.
    method: str = ".*"
    target: str = ""
    skip: int = 0
    every: int = 1
    times: int | None = 1
    share: float = 1.0  # of the matching requests, picked at random but alike in each run

    # An answer instead of the real one. With 'early' it is sent before the request's body is read
    # and the connection is closed after it.
    status: int = 0
    headers: dict = field(default_factory=dict)
    body: str = ""
    early: bool = False
    raw: str = ""  # these bytes instead of any reply, and the end of the connection

    # The connection ends before any of the request is carried out.
    lost: bool = False

    # The connection ends after so many bytes of the request's body, of the whole reply or of the
    # reply's body: in order, or with 'reset' by a RST. Zero bytes of a reply: it has been carried
    # out, but nobody hears of it.
    cut_request_body_bytes: int | None = None
    cut_reply_bytes: int | None = None
    cut_reply_body_bytes: int | None = None
    reset: bool = False

    # The request is read slowly. The reply is late, unless the rules are cleared before; slow; or
    # nothing follows after so many bytes of it.
    request_bytes_per_s: int = 0
    delay_ms: int = 0
    bytes_per_s: int = 0
    stall_reply_bytes: int | None = None
    stall_ms: int = 60000

    # The content is another than was sent.
    flip_request_byte: int | None = None
    flip_reply_byte: int | None = None
    drop_headers: list = field(default_factory=list)
    set_headers: dict = field(default_factory=dict)
    replace: list = field(default_factory=list)  # [[regular expression, text]...] in the reply


def truncated_listing(well_formed=True, **which):
    """A listing of S3 that ends too early: as if it were complete, or in the middle of its XML."""
    if well_formed:
        replace = [["<IsTruncated>true</IsTruncated>", "<IsTruncated>false</IsTruncated>"],
                   ["<NextContinuationToken>[^<]*</NextContinuationToken>", ""]]
    else:
        replace = [["(?s)</Key>(?!.*</Key>).*", "</Key><Si"]]
    return Rule(method="GET", target=r"[?&]list-type=2", replace=replace, **which)


def slow_down(**which):
    """What Amazon answers when there is too much to do."""
    return Rule(status=503, headers={"Content-Type": "application/xml"},
                body="<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code>"
                     "<Message>Please reduce your request rate.</Message></Error>", **which)


def truncated_pages(**which):
    """A page of a listing of Google's that is taken for the last one."""
    return Rule(method="GET", target=r"/b/[^/]+/o(\?|$)",
                replace=[[',"nextPageToken":"[^"]*"', ""]], **which)


def wrong_checksums(**which):
    """Google's word on an object, in a header or in JSON, is not what was stored."""
    return Rule(set_headers={"X-Goog-Hash": "crc32c=AAAAAA==,md5=1B2M2Y8AsgTpgAmY7PhCfg=="},
                replace=[['"crc32c":"[^"]*"', '"crc32c":"AAAAAA=="'],
                         ['"md5Hash":"[^"]*"', '"md5Hash":"1B2M2Y8AsgTpgAmY7PhCfg=="']], **which)


class Rules:
    """The rules in force, for threads that ask at once."""

    def __init__(self):
        self.lock = threading.Lock()
        self.cleared = threading.Event()
        self.clear()

    def clear(self):
        with self.lock:
            self.cleared.set()
            self.cleared = threading.Event()
            self.active = []
            self.random = random.Random(1)

    def add(self, *rules, **fields):
        """Rules, or the fields of one."""
        if fields:
            rules = (*rules, Rule(**fields))
        for rule in rules:
            re.compile(rule.method), re.compile(rule.target)
        with self.lock:
            self.active += [{"rule": rule, "seen": 0, "used": 0} for rule in rules]

    def find(self, method, target):
        with self.lock:
            for entry in self.active:
                rule = entry["rule"]
                if rule.times is not None and entry["used"] >= rule.times:
                    continue
                if not re.fullmatch(rule.method, method) or not re.search(rule.target, target):
                    continue
                entry["seen"] += 1
                if entry["seen"] <= rule.skip or self.random.random() >= rule.share:
                    continue
                if (entry["seen"] - rule.skip) % rule.every:
                    continue
                entry["used"] += 1
                return rule
        return None

    def delay(self, rule):
        """Waits as the rule says, but no longer than it is in force."""
        with self.lock:
            cleared = self.cleared
            if not any(entry["rule"] is rule for entry in self.active):
                return
        cleared.wait(rule.delay_ms / 1000)

    def used(self):
        """How often rules have been used."""
        with self.lock:
            return sum(entry["used"] for entry in self.active)

    def listed(self):
        with self.lock:
            return [dict(asdict(entry["rule"]), seen=entry["seen"], used=entry["used"])
                    for entry in self.active]
