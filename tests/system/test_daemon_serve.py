"""The servers of plugins' routes that the daemon keeps: ended ones come back, reloads replace them."""

import http.client
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from conftest import PATIENCE_S
from test_worker import wait_for


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Keeper:
    """A daemon that serves the plugin 'routes'."""

    def __init__(self, world):
        self.world = world
        self.greet("hi")
        self.process = world.start("daemon", stderr=open(world.root / "log", "wb"))
        self.wait_for("hi")

    def greet(self, greeting):
        self.world.config(f"""
core: {{shutdown_grace: 5s}}
plugins: {{routes: {{serve: true, config: {{greeting: {greeting}}}}}}}
""")

    def ask(self, path, method="GET"):
        connection = Connection(self.world.state / "run-core.sock")
        try:
            connection.request(method, "/plugins/routes" + path)
            reply = connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()

    def wait_for(self, greeting, seconds=PATIENCE_S):
        deadline = time.monotonic() + seconds
        while True:
            status, body = self.ask("/echo/x")
            if status == 200 and json.loads(body)["greeting"] == greeting:
                return
            assert time.monotonic() < deadline, (status, body, self.log())
            time.sleep(0.05)

    def log(self):
        return (self.world.root / "log").read_text()

    def servers(self):
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children]

    def wait_for_servers(self, count, seconds=PATIENCE_S):
        deadline = time.monotonic() + seconds
        while len(self.servers()) != count:
            assert time.monotonic() < deadline, self.servers()
            time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=PATIENCE_S) == 0


@pytest.fixture
def keeper(world):
    it = Keeper(world)
    yield it
    if it.process.poll() is None:
        it.process.kill()
        it.process.wait()


def test_a_server_that_dies_comes_back(keeper, world):
    before = keeper.servers()
    keeper.ask("/crash", "POST")
    keeper.wait_for("hi")
    assert keeper.servers() != before
    assert "was ended by signal 9 (Killed); it is started again in 1 s" in keeper.log()
    keeper.stop()
    assert not list(Path(world.state).glob("**/*.sock"))


def test_reloads_leave_one_server_behind(keeper, world):
    for i in range(10):
        keeper.greet(f"hello {i}")
        assert world.run("reload").status == 0
        assert keeper.ask("/echo/x")[0] == 200
    keeper.wait_for("hello 9")
    keeper.wait_for_servers(1)
    keeper.stop()


@pytest.mark.parametrize("starts", [False, True])
def test_a_server_that_cannot_follow_is_tried_again(keeper, world, starts):
    """What is served stays, and catches up."""
    folder = world.state / "serve"
    os.rename(folder, world.state / "away")
    if starts:
        folder.symlink_to("/proc")  # where there is no room for a socket
    else:
        folder.write_text("in the way")
    keeper.greet("later")
    assert world.run("reload").status == 0
    time.sleep(0.7)
    keeper.process.send_signal(signal.SIGSTOP)  # it would make the folder in between
    folder.unlink()
    os.rename(world.state / "away", folder)
    keeper.process.send_signal(signal.SIGCONT)
    keeper.wait_for("later")
    keeper.wait_for_servers(1)
    keeper.stop()


def open_files(pid, above=-1):
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(file) if int(file.name) > above else "/dev/null")
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


def test_a_server_has_nothing_of_the_daemon(keeper):
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(str(keeper.world.state / "run-core.sock"))
    keeper.ask("/crash", "POST")
    keeper.wait_for("hi")
    server, = keeper.servers()
    of_daemon = open_files(keeper.process.pid)
    of_server = open_files(server, above=2)
    shared = {f for f in of_daemon & of_server if not f.startswith(("anon_inode", "/dev/null"))}
    assert not shared
    assert "anon_inode:[pidfd]" not in of_server
    waiting.close()
    keeper.stop()


def test_a_socket_whose_path_is_too_long_is_told(world):
    spool = world.root / ("long" * 25)
    world.config(f"core: {{shutdown_grace: 5s, spool: {spool}, socket: {world.root}/s}}\n"
                 "plugins: {routes: {serve: true}}\n")
    process = world.start("daemon")
    wait_for(process, "at most 107 bytes")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def test_sockets_of_servers_killed_with_their_daemon_are_removed(world):
    folder = world.state / "serve"
    folder.mkdir(parents=True)
    for name in ("routes-999999999-1.sock", "two-words-999999999-2.sock"):
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(folder / name))
    kept = [f"routes-{os.getpid()}-1.sock", "other.sock", "notes"]
    for name in kept:
        (folder / name).touch()
    world.config("plugins: {routes: {serve: true}}")
    daemon = world.start("daemon")
    deadline = time.monotonic() + PATIENCE_S
    while not [p for p in folder.iterdir() if f"-{daemon.pid}-" in p.name]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    daemon.send_signal(signal.SIGTERM)
    daemon.communicate(timeout=PATIENCE_S)
    assert sorted(p.name for p in folder.iterdir()) == sorted(kept)


def test_a_plugin_knows_whether_the_daemon_has_started_it(keeper, world):
    """Its runs, whoever asked for them; not those in the foreground, nor what answers a request."""
    world.config("jobs: {idle: {plugin: routes}}", name="jobs.yaml")
    assert world.run("reload").status == 0
    assert world.run("trigger", "idle", "--wait").status == 0
    (run,) = json.loads(world.run("runs", "--json").stdout)
    assert run["counters"]["by_daemon"] == 1
    for words in (["run", "idle"], ["routes", "idle"]):
        done = world.run(*words, "--json")
        assert json.loads(done.stdout)["counters"]["by_daemon"] == 0
    keeper.wait_for("hi")
    assert keeper.ask("/starter") == (200, b"request")
    keeper.stop()
