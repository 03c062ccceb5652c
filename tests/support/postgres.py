#!/usr/bin/python3
"""A PostgreSQL server of one's own, for tests: in a folder, on a port of 127.0.0.1 and a Unix
socket, without a wait for the disk.

    postgres.py start DIR       prints the server's URL
    postgres.py stop DIR        as an administrator would, at once
    postgres.py kill DIR        with SIGKILL, all of its processes
"""
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import processes

PASSWORD = "a secret: p@ss/word"
URL_PASSWORD = "a%20secret%3A%20p%40ss%2Fword"
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
full_page_writes = off
max_connections = 100
shared_buffers = 32MB
logging_collector = off
lc_messages = 'C.UTF-8'
"""


def programs():
    """The folder of the newest server that is installed."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres") or [shutil.which("postgres") or ""]
    newest = max(found, key=lambda path: [int(n) for n in path.split("/") if n.isdigit()])
    if not newest:
        raise SystemExit("the tests need PostgreSQL (Debian: postgresql)")
    return Path(newest).parent


class Postgres:
    """The server in a folder, which is made by the first start."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.bin = programs()
        self.user = processes.account("postgres")  # it refuses to run as root

    def run(self, *words, **options):
        user = {}
        if self.user:
            user = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        return subprocess.run([str(word) for word in words], cwd=self.folder, check=True,
                              env=environment, stdin=subprocess.DEVNULL, **user, **options)

    def make(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD + "\n")
        self.run(self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "scram-sha-256",
                 f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
                 stdout=subprocess.DEVNULL)
        self.port = processes.free_port()

    @property
    def port(self):
        return int((self.folder / "port").read_text())

    @port.setter
    def port(self, port):
        (self.folder / "port").write_text(f"{port}\n")
        settings = SETTINGS.format(port=port, folder=self.folder)
        (self.data / "postgresql.auto.conf").write_text(settings)

    def start(self):
        if not self.data.exists():
            self.make()
        try:
            self.control("start", "-l", self.folder / "log", "-t", "30")
        except subprocess.CalledProcessError:
            sys.stderr.write((self.folder / "log").read_text())
            raise
        return self

    def stop(self, mode="fast"):
        self.control("stop", "-m", mode)

    def control(self, *words):
        self.run(self.bin / "pg_ctl", "-D", self.data, "-s", "-w", *words)

    def kill(self):
        """All processes at once, as by a power failure. Returns when they are gone."""
        pid = int((self.data / "postmaster.pid").read_text().split("\n")[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pids = [pid, *map(int, children)]
        for one in pids:
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                pass
        while any(processes.is_alive(one) for one in pids):
            time.sleep(0.01)
        # Where nobody waits for processes that have ended, the next start would take it for alive.
        (self.data / "postmaster.pid").unlink()
        (self.folder / f".s.PGSQL.{self.port}.lock").unlink()

    def url(self, database="postgres"):
        return f"postgresql://postgres:{URL_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database="postgres"):
        return (f"postgresql:///{database}?host={self.folder}&port={self.port}"
                f"&user=postgres&password={URL_PASSWORD}")

    def sql(self, text, database="postgres"):
        """Runs SQL with psql; returns the rows' columns, with '|' between them."""
        process = subprocess.run(
            [str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text,
             self.url(database)], check=True, capture_output=True, text=True)
        return process.stdout.strip().split("\n") if process.stdout.strip() else []

    def make_database(self, name):
        self.sql(f'CREATE DATABASE "{name}"')
        return self.url(name)


def temporary():
    """A started server in a new folder, which others than its user may see: PostgreSQL's user has
    to get there. Without a disk where there is memory to be had as files."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="run-core-postgres-", dir=place)
    os.chmod(folder, 0o755)
    return Postgres(folder).start()


def remove(server):
    if (server.data / "postmaster.pid").exists():
        server.stop("immediate")
    shutil.rmtree(server.folder, ignore_errors=True)


def main(words):
    if len(words) != 2 or words[0] not in ("start", "stop", "kill"):
        raise SystemExit(__doc__)
    server = Postgres(words[1])
    getattr(server, words[0])()
    if words[0] == "start":
        print(server.url())


if __name__ == "__main__":
    main(sys.argv[1:])
