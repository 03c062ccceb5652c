"""run-core serve sdrs: how many rules are read a second, and what of the processor each read takes,
beside a path that nothing answers, which is what HTTP itself costs."""
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.parse

RULES, CLIENTS, SECONDS = 1000, 4, 5
GOAL = 2000  # reads a second, on two cores with the clients


class Server:
    def __init__(self, setting, folder):
        self.lake = os.path.join(folder, "lake")
        os.makedirs(os.path.join(self.lake, "events"))
        self.rules = [{"type": "DATASET", "dataStorageName": f"file://{self.lake}/events/set{i}",
                       "projectId": "bench", "retentionPeriod": 30} for i in range(RULES)]
        config = os.path.join(folder, "bench.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"plugins": {"sdrs": {"config": {"file_roots": [self.lake],
                                                       "rules": self.rules}}}}, file)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [setting.binary(), "serve", "sdrs", "--listen", f"127.0.0.1:{self.port}", "--config",
             config], stderr=subprocess.DEVNULL, env=setting.environment(
                 os.path.join(folder, "state"), AWS_EC2_METADATA_DISABLED="true",
                 NO_GCE_CHECK="true"))

    def wait(self):
        """The first request makes the rules of the configuration so."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request("GET", "/retentionrules?limit=1")
                assert connection.getresponse().status == 200
                return
            time.sleep(0.05)
        raise AssertionError("the server does not start")

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def path(self, i):
        rule = self.rules[i % RULES]
        return "/retentionrules?" + urllib.parse.urlencode(
            {name: rule[name] for name in ("type", "projectId", "dataStorageName")})


def client(server, path, status, end, done):
    """Asks on one connection until the time is over."""
    count = 0
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        while time.monotonic() < end:
            connection.sendall(f"GET {path(count)} HTTP/1.1\r\n"
                               f"Host: 127.0.0.1:{server.port}\r\n\r\n".encode())
            reply = connection.recv(65536)
            while b"}" not in reply:
                reply += connection.recv(65536)
            assert reply.startswith(b"HTTP/1.1 %d" % status), reply
            count += 1
    done.append(count)


def ask(server, path, status):
    """Requests a second, and microseconds of the server's processor time for one."""
    done, cpu, began = [], server.cpu(), time.monotonic()
    threads = [threading.Thread(target=client, args=(server, path, status, began + SECONDS, done))
               for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == CLIENTS
    return (sum(done) / (time.monotonic() - began),
            (server.cpu() - cpu) / sum(done) * 1e6)


def sdrs_rules(setting):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(setting, folder)
        try:
            server.wait()
            for name, path, status in [("nothing", lambda _: "/nothing", 404),
                                       ("a rule", server.path, 200)]:
                rounds = [ask(server, path, status) for _ in range(setting.rounds)]
                print(f"  {name}: {statistics.median(r[0] for r in rounds):.0f} a second, "
                      f"{statistics.median(r[1] for r in rounds):.0f} us of processor time each",
                      flush=True)
        finally:
            server.process.terminate()
            server.process.wait()
    print(f"  goal: {GOAL} rules a second")
