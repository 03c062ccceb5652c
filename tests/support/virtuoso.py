#!/usr/bin/python3
"""A SPARQL store of one's own, for tests: Virtuoso 7, in a folder, on free ports of 127.0.0.1.

    virtuoso.py run         starts one, prints what to export, and serves until stdin is closed

Anyone may update at /sparql, as where Virtuoso stands behind a stack of services, unless it is
started with writable=False; the user below may at /sparql-auth, where he proves himself by digest.
What it does otherwise than the standards say:

  - a request with the content type application/sparql-query is never answered;
  - a group of nothing but FILTER NOT EXISTS holds always; it has to follow something, VALUES ?x {1};
  - literals come as "typed-literal", and the answer to an update is a table with one row;
  - an update that is not allowed is answered with 500 and SR186.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import processes
from sparql_store import SparqlStore

ADMINISTRATOR = ("dba", "dba")
USER = ("delta", "secret-of-delta")
ROOM_BYTES = 512 << 20  # one begins with 53 MiB
CONFIGURATION = """
[Database]
DatabaseFile = {folder}/virtuoso.db
TransactionFile = {folder}/virtuoso.trx
xa_persistent_file = {folder}/virtuoso.pxa
ErrorLogFile = {folder}/virtuoso.log
LockFile = {folder}/virtuoso.lck
ErrorLogLevel = 7
FileExtend = 200
TempStorage = TempDatabase

[TempDatabase]
DatabaseFile = {folder}/temporary.db
TransactionFile = {folder}/temporary.trx

[Parameters]
ServerPort = 127.0.0.1:{sql_port}
DisableUnixSocket = 1
ServerThreads = 40
CheckpointInterval = 0
CaseMode = 2
AllowOSCalls = 0
DirsAllowed = {folder}/files
NumberOfBuffers = 8000
MaxDirtyBuffers = 6000
MaxQueryMem = 128M

[HTTPServer]
ServerPort = 127.0.0.1:{port}
ServerRoot = {folder}/files
ServerThreads = 24
MaxClientConnections = 24
MaxKeepAlives = 16
KeepAliveTimeout = 15
HTTPThreadSize = 280000
EnabledDavVSP = 0

[SPARQL]
ResultSetMaxRows = 100000
MaxQueryExecutionTime = 60
"""


def is_installed():
    return shutil.which("virtuoso-t") is not None


class Virtuoso(SparqlStore):
    """The server in a folder, which is made by the first start."""

    name = "virtuoso"

    def __init__(self, folder, writable=True):
        """'writable' tells whether anyone may update; what it is at first, see allow_updates()."""
        self.folder = Path(folder)
        self.writable = writable
        self.user = processes.account()  # not root
        self.port = self.sql_port = self.process = None

    @property
    def query_url(self):
        return f"http://127.0.0.1:{self.port}/sparql"

    update_url = query_url

    @property
    def auth_url(self):
        """Where USER may update, and nobody may anything without a password."""
        return f"http://127.0.0.1:{self.port}/sparql-auth"

    def environment(self):
        return {**super().environment(), "RUN_CORE_TEST_SPARQL_AUTH": self.auth_url,
                "RUN_CORE_TEST_SPARQL_USER": USER[0], "RUN_CORE_TEST_SPARQL_PASSWORD": USER[1]}

    def start(self):
        """Also after stop() and kill(): on the same ports, with what was stored. It dies with the
        thread that starts it."""
        fresh = self.port is None
        if fresh:
            self.make()
        try:
            with open(self.folder / "stderr", "ab") as log:
                self.process = processes.spawn(
                    ["virtuoso-t", "+foreground", "+configfile", self.folder / "virtuoso.ini"],
                    self.user, cwd=self.folder, stdout=log, stderr=log)
            # It listens there after all else is ready.
            processes.wait_for_port(self.port, self.process)
            if fresh:
                self.sql(f"DB.DBA.USER_CREATE('{USER[0]}', '{USER[1]}')",
                         f'GRANT SPARQL_UPDATE TO "{USER[0]}"',
                         *(['GRANT SPARQL_UPDATE TO "SPARQL"'] if self.writable else []))
        except BaseException:
            sys.stderr.write((self.folder / "stderr").read_text(errors="replace"))
            self.kill()
            raise
        return self

    def make(self):
        (self.folder / "files").mkdir(parents=True, exist_ok=True)
        self.port, self.sql_port = processes.free_port(), processes.free_port()
        (self.folder / "virtuoso.ini").write_text(CONFIGURATION.format(
            folder=self.folder, port=self.port, sql_port=self.sql_port))
        if self.user:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def sql(self, *statements):
        """Runs statements of SQL as the administrator; returns what the last one printed."""
        said = ""
        for statement in statements:
            done = subprocess.run(
                ["isql-vt", f"127.0.0.1:{self.sql_port}", *ADMINISTRATOR, "VERBOSE=OFF",
                 "PROMPT=OFF", "BANNER=OFF", "ERRORS=STDOUT", f"exec={statement};"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
            said = done.stdout.strip()
            if "*** Error" in said:
                raise RuntimeError(f"'{statement}': {said}")
        return said

    def allow_updates(self, allowed):
        """Whether anyone may update at /sparql, from now on."""
        self.sql('GRANT SPARQL_UPDATE TO "SPARQL"' if allowed
                 else 'REVOKE SPARQL_UPDATE FROM "SPARQL"')

    def stop(self):
        """As an administrator would."""
        self.process.terminate()
        self.process.wait(30)

    def kill(self):
        """With SIGKILL, as by a power failure."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def pause(self):
        """Connections are taken and requests are not answered, until it is resumed."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # all of its threads

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


def temporary(**options):
    """A started server in a new folder, in memory if several of them have room there."""
    memory, place = Path("/dev/shm"), None
    if not memory.exists() or shutil.disk_usage(memory).free < ROOM_BYTES:
        place = tempfile.gettempdir()
    return Virtuoso(processes.temporary_folder("run-core-virtuoso-", place), **options).start()


def remove(server):
    server.kill()
    shutil.rmtree(server.folder, ignore_errors=True)


if __name__ == "__main__":
    processes.serve_server(sys.modules[__name__], sys.argv[1:])
