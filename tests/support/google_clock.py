"""The time by which the stand-in for Google's services lives: when objects were made and changed, when
a transfer job is due, when an unacknowledged message comes again. It is the real time until a test sets
it; then it stands still, until the test moves it on:

    clock.set("2019-03-10T05:30:00Z")   clock.advance(hours=18)   clock.follow()

Who waits for a time learns of a change before set, advance and follow return."""
import threading
from datetime import datetime, timedelta, timezone


def parse_time(text):
    """A time as Google writes it, with up to nine digits of a second, of which six count."""
    head, dot, rest = text.replace("Z", "+00:00").partition(".")
    if dot:
        digits = rest[:len(rest) - 6]
        head = f"{head}.{digits[:6].ljust(6, '0')}{rest[-6:]}"
    return datetime.fromisoformat(head).astimezone(timezone.utc)


def time_text(when):
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Clock:
    def __init__(self):
        self.lock = threading.Lock()
        self.fixed = None
        self.listeners = []  # called after each change

    def now(self):
        with self.lock:
            return self.fixed or datetime.now(timezone.utc)

    def text(self):
        return time_text(self.now())

    @property
    def stands(self):
        return self.fixed is not None

    def set(self, when):
        """A datetime, or a text as in JSON."""
        with self.lock:
            self.fixed = parse_time(when) if isinstance(when, str) else when
        self.tell()

    def advance(self, **durations):
        """As timedelta(), from where the clock stands; from now on where it did not."""
        self.set(self.now() + timedelta(**durations))

    def follow(self):
        """The real time again."""
        with self.lock:
            self.fixed = None
        self.tell()

    def tell(self):
        for listener in self.listeners:
            listener()
