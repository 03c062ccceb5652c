"""run-core serve sdrs: how many rules are read a second by clients that keep their connections,
beside a path that nothing answers, which is what HTTP itself costs: with the state in SQLite and in
PostgreSQL, of clients on this machine without tokens and with one that is verified each time.

All servers stand ready from the beginning; a round asks each of them in turn."""
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

from measure import ROOT

sys.path += [os.path.join(ROOT, "tests", "support"), os.path.join(ROOT, "tests", "system")]

import postgres  # noqa: E402, from the folder of the test servers
from sdrs_tokens import AUDIENCE, ISSUER, Signer, jwks  # noqa: E402, from that of the system tests

RULES, CLIENTS, SECONDS = 1000, 8, 3
GOAL = 2000  # reads a second, on two cores, the clients among them
START_S = 60
LIFE_S = 3600  # of the token


@dataclasses.dataclass
class Answers:
    per_s: float
    median_us: float
    p99_us: float
    server_us: float  # of processor time, for each
    client_us: float


class Server:
    """One with a thousand rules and a state of its own."""

    def __init__(self, setting, name, folder, state, signer=None):
        self.name = name
        self.lake = os.path.join(folder, "lake")
        os.makedirs(os.path.join(self.lake, "events"))
        self.rules = [{"type": "DATASET", "dataStorageName": f"file://{self.lake}/events/set{i}",
                       "projectId": "bench", "retentionPeriod": 30} for i in range(RULES)]
        options = {"file_roots": [self.lake], "rules": self.rules}
        self.header = ""
        if signer:
            keys = pathlib.Path(folder, "keys.json")
            keys.write_text(jwks(signer), encoding="utf-8")
            options.update(jwt_jwks=str(keys), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
            token = signer.token(exp=int(time.time()) + LIFE_S)
            self.header = f"Authorization: Bearer {token}"
        config = os.path.join(folder, "bench.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"core": {"state": state}, "plugins": {"sdrs": {"config": options}}}, file)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        environment = setting.environment(state, AWS_EC2_METADATA_DISABLED="true",
                                          NO_GCE_CHECK="true")
        del environment["RUN_CORE_STATE"]
        self.process = subprocess.Popen(
            [setting.binary(), "serve", "sdrs", "--listen", f"127.0.0.1:{self.port}", "--config",
             config], stderr=subprocess.DEVNULL, env=environment)

    def wait(self):
        """The first request makes the rules of the configuration so."""
        headers = dict([self.header.split(": ", 1)] if self.header else [])
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S)
                connection.request("GET", "/retentionrules?limit=1", headers=headers)
                reply = connection.getresponse()
                if reply.status != 200:
                    sys.exit(f"the server '{self.name}' answers {reply.status}: {reply.read()}")
                return
            time.sleep(0.05)
        sys.exit(f"the server '{self.name}' does not start")

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            line, = (line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def paths(self):
        return ["/retentionrules?" + urllib.parse.urlencode(
            {name: rule[name] for name in ("type", "projectId", "dataStorageName")})
                for rule in self.rules]

    def ask(self, program, paths, status):
        cpu = self.cpu()
        words = [program, str(self.port), str(CLIENTS), str(SECONDS), str(status), self.header]
        said = subprocess.run(words, input="".join(f"{path}\n" for path in paths), check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        count, seconds, median_us, p99_us, client = map(float, said.split())
        return Answers(count / seconds, median_us, p99_us, (self.cpu() - cpu) / count * 1e6,
                       client / count * 1e6)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def build_load(folder):
    program = os.path.join(folder, "http_load")
    subprocess.run(["cc", "-std=c11", "-O2", "-D_GNU_SOURCE",
                    os.path.join(ROOT, "tests/bench/http_load.c"), "-lpthread", "-o", program],
                   check=True)
    return program


@contextlib.contextmanager
def servers(setting, folder):
    """Of each state and each way to be let in."""
    database = postgres.temporary()
    signer = Signer(pathlib.Path(folder), "bench")
    started = []
    try:
        for state in ("SQLite", "PostgreSQL"):
            for tokens in ("no tokens", "tokens"):
                name = f"{state}, {tokens}"
                place = os.path.join(folder, name.replace(", ", "-").replace(" ", "-"))
                os.makedirs(place)
                where = (os.path.join(place, "state") if state == "SQLite" else
                         database.make_database(tokens.replace(" ", "_")))
                started.append(Server(setting, name, place, where,
                                      signer if tokens == "tokens" else None))
        for server in started:
            server.wait()
        yield started
    finally:
        for server in started:
            server.stop()
        postgres.remove(database)


def show(name, rounds, goal=None):
    def median(member):
        return statistics.median(getattr(answers, member) for answers in rounds)
    per_s = median("per_s")
    verdict = "" if goal is None else \
        f"   goal {goal}: {'met' if per_s >= goal else 'NOT met'}"
    print(f"  {name:<24} {per_s:6.0f} a second (least {min(a.per_s for a in rounds):.0f}), median "
          f"{median('median_us') / 1000:.2f} ms, 99% {median('p99_us') / 1000:.2f} ms, processor "
          f"time of each {median('server_us'):.0f} us (client {median('client_us'):.0f} us)"
          f"{verdict}", flush=True)


def sdrs_rules(setting):
    if not shutil.which("openssl"):
        sys.exit("the bench needs openssl, which signs its tokens")
    with tempfile.TemporaryDirectory() as folder:
        program = build_load(folder)
        results = {}
        with servers(setting, folder) as all_servers:
            for _ in range(setting.rounds):
                results.setdefault("nothing (404)", []).append(
                    all_servers[0].ask(program, ["/nothing"], 404))
                for server in all_servers:
                    results.setdefault(server.name, []).append(
                        server.ask(program, server.paths(), 200))
            peak_mib = max(server.peak_mib() for server in all_servers)
        for name, rounds in results.items():
            show(name, rounds, None if name.startswith("nothing") else GOAL)
        print(f"  peak of memory of a server {peak_mib:.0f} MiB")
