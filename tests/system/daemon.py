"""A daemon under test, which may be killed and started again, and the clock that it sees."""

import http.client
import json
import mmap
import os
import signal
import socket
import sqlite3
import struct
import time

from conftest import PATIENCE_S

# ---- the clock ---------------------------------------------------------------------------------


class Clock:
    """The clock that the daemon sees: the real one and an offset in a file.

    The file is mapped there: it is changed in place, as whoever looks at it while it is empty dies.
    """

    def __init__(self, path, start):
        self.path = path
        path.write_bytes(b"\0" * 8)
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 8)
        self.set(start)

    def now(self):
        return time.time_ns() // 1_000_000 + struct.unpack("=q", self.page[:8])[0]

    def set(self, unix_ms):
        self.set_offset(unix_ms - time.time_ns() // 1_000_000)

    def set_offset(self, offset_ms):
        self.page[:8] = struct.pack("=q", offset_ms)


# ---- the daemon --------------------------------------------------------------------------------


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE_S)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    """A daemon of a world, which may be killed and started again."""

    def __init__(self, world, environment=None):
        self.world, self.environment = world, environment or {}
        self.socket = world.state / "run-core.sock"
        self.process = None
        self.log = world.root / "daemon.log"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = self.world.start("daemon", env=self.environment, stdout=log, stderr=log)
        self.wait_until_ready()
        return self

    def wait_until_ready(self, seconds=PATIENCE_S):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended: {self.text()[-3000:]}")
            try:
                if self.ask("GET", "/healthcheck/is-ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"the daemon is not ready: {self.text()[-3000:]}")

    def ask(self, method, path, body=None):
        connection = UnixConnection(self.socket)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def messages(self):
        found = []
        for line in self.text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                pass
        return found

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=PATIENCE_S):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def family(self):
        """Guards, and their workers, of this daemon and of those before it."""
        guards, workers = [], []
        mine = self.process.pid
        marker = f"RUN_CORE_STATE={self.world.state}".encode()
        found = {}
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == mine:
                continue
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if marker not in file.read().split(b"\0"):
                        continue
                with open(f"/proc/{name}/stat", "rb") as file:
                    found[int(name)] = int(file.read().rsplit(b")", 1)[1].split()[1])
            except OSError:
                continue
        for pid, parent in found.items():
            (workers if parent in found else guards).append(pid)
        return guards, workers

    def runs(self, job=None, **wanted):
        """The rows of runs as dictionaries, in the order of their slots."""
        path = self.world.state / "state.db"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_S) as database:
            database.row_factory = sqlite3.Row
            found = [dict(row) for row in database.execute(
                "SELECT * FROM runs ORDER BY nominal_unix_ms, due_unix_ms")]
        return [row for row in found if (job is None or row["job"] == job) and
                all(row[key] == value for key, value in wanted.items())]

    def wait_for(self, what, seconds=PATIENCE_S):
        """Until what() is true; returns it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                found = what()
            except sqlite3.OperationalError:
                found = None
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"did not come: {self.runs()}\n{self.text()[-3000:]}")

    def rows(self, query, *parameters):
        path = self.world.state / "state.db"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_S) as database:
            return database.execute(query, parameters).fetchall()
