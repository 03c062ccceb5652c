"""kill -9 at random moments of what uses SQL engines elsewhere: after one more run the results are those of
the embedded engine, and neither the catalogue nor the work folder has anything of the runs that died."""
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import engines
import pytest
import trino as trino_server
from conftest import World
from dsr_world import Dsr, needs_engine, pond_made  # noqa: F401
from fault_proxy import FaultProxy

sys.path.insert(0, str(Path(__file__).parent / "aggregator"))
from duck import Duck  # noqa: E402
from lake import Event, Lake, now_of, revenue  # noqa: E402
from test_aggregator_engines import OnTrino, left_by_sessions, results  # noqa: E402
from test_dsr_faults import kills_until  # noqa: E402
from test_trino_tables import Place  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not engines.ON_DUCKDB, reason="names its engines itself"),
    pytest.mark.skipif(not trino_server.is_installed(), reason="Trino is not there")]

ROUNDS, KILLS_A_ROUND = 4, 3
DAYS, WINDOWS = 2, (36500,)
RUN = ["run", "ltv", "--now", now_of(DAYS - 1)]


class Deadly(FaultProxy):
    """Kills a process behind so many requests, which reach the server and are not answered."""

    def __init__(self, target):
        super().__init__(target)
        self.lock = threading.Lock()
        self.count, self.last, self.victim = 0, None, None

    def aim(self, process, last):
        with self.lock:
            self.count, self.last, self.victim = 0, last, process

    def handle(self, request):
        reply = super().handle(request)
        with self.lock:
            self.count += 1
            if self.victim and self.count == self.last:
                self.victim.kill()
        return reply


class Patient(World):
    """Servers take their time, more so after a kill."""

    def run(self, *words, timeout=900, **options):
        return super().run(*words, timeout=timeout, **options)


def world_on(engine, root, request):
    root.mkdir()
    world = Patient(root)
    engines.add(world, request, engine)
    return world


def history(world, rng):
    lake = Lake(world, world.root / "lake")
    lake.add([Event(day, rng.randrange(60), revenue(rng.randrange(1000)))
              for day in range(DAYS) for _ in range(200)])
    lake.write_config(windows=WINDOWS)
    return lake


def good_results(root, request, rng):
    world = world_on("duckdb", root, request)
    lake = history(world, rng)
    assert world.run(*RUN).status == 0
    return seen(lake)


def seen(lake):
    duck = Duck()
    try:
        return results(duck, lake)
    finally:
        duck.close()


def test_an_aggregation_on_trino(tmp_path, request, rng, trino):
    state = rng.getstate()
    good = good_results(tmp_path / "embedded", request, rng)
    rng.setstate(state)
    world = world_on("trino", tmp_path / "trino", request)
    lake = history(world, rng)
    catalogue = OnTrino(world, request)
    before, kills = left_by_sessions(world, catalogue), 0
    with Deadly(trino.url) as proxy:
        engine = world.root / "conf.d/engine.yaml"
        engine.write_text(engine.read_text().replace(trino.url, proxy.endpoint))
        assert world.run(*RUN).status == 0
        requests = proxy.count
        for _ in range(ROUNDS):
            for folder in ("out", "csv"):
                shutil.rmtree(lake.root / folder, ignore_errors=True)
            for _ in range(KILLS_A_ROUND):
                print("kills", kills, flush=True)
                process = world.start(*RUN, start_new_session=True)
                proxy.aim(process, rng.randrange(requests))
                process.communicate(timeout=300)
                kills += process.returncode == -signal.SIGKILL
            proxy.aim(None, None)
            result = world.run(*RUN)
            assert result.status == 0, result.text
            assert seen(lake) == good
            assert left_by_sessions(world, catalogue) == before
    assert kills > ROUNDS


class Elsewhere:
    """A server of the test's own as the fixture that worlds ask for."""

    def __init__(self, server):
        self.server = server

    def getfixturevalue(self, _name):
        return self.server


def test_a_server_that_dies_in_the_middle(tmp_path, request, rng):
    """The run fails and says where, or goes on with the server that comes back; the next one finishes."""
    state = rng.getstate()
    good = good_results(tmp_path / "embedded", request, rng)
    rng.setstate(state)
    server = trino_server.Trino(tmp_path / "server").start()
    try:
        world = world_on("trino", tmp_path / "trino", Elsewhere(server))
        lake = history(world, rng)
        with Deadly(server.url) as proxy:
            engine = world.root / "conf.d/engine.yaml"
            engine.write_text(engine.read_text().replace(server.url, proxy.endpoint))
            process = world.start(*RUN)
            proxy.aim(server.process, 40)
            end = time.monotonic() + 300
            while server.process.poll() is None:
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.1)
            server.process.wait()
            proxy.aim(None, None)
            server.start()
            text = process.communicate(timeout=900)[1].decode()
            assert process.returncode in (0, 1) and "Trino at" in text
            print("DIED", process.returncode, text)
            result = world.run(*RUN)
        assert result.status == 0, result.text
        assert seen(lake) == good
        assert left_by_sessions(world, OnTrino(world, Elsewhere(server))) == set()
    finally:
        server.kill()


@needs_engine
def test_an_erasure_on_trino(tmp_path, request, rng, trino, pond_made):  # noqa: F811
    worlds = []

    def make(number):
        worlds.append(world_on("trino", tmp_path / str(number), request))
        return Dsr(worlds[-1], pond_made)
    before = schemas_of_sessions(trino)
    kills_until(10, make, rng)
    for world in worlds:
        assert not [path for path in (world.root / "sessions").rglob("*") if path.is_file()]
    assert schemas_of_sessions(trino) <= before


def schemas_of_sessions(trino):
    return {name for (name,) in trino.query("SHOW SCHEMAS", "hive") if name.startswith("rc_")}


@pytest.mark.parametrize("kind", ["trino", "trino_s3", "athena"])
def test_a_statement_that_outlives_its_run(kind, tmp_path, request, trino):
    """The server would go on for minutes, and then have a table of a session that nobody knows any more."""
    (tmp_path / "lake").mkdir()
    place = Place(kind, World(tmp_path), request)
    before = place.left()
    place.configure(["make | m | SELECT * FROM tpch.sf10.lineitem"], "slow")
    process = place.world.start("run", "slow", start_new_session=True)
    end = time.monotonic() + 120
    while not running(trino):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert place.do("make | m | SELECT 1 AS x") == ["made: 1"]
    assert running(trino) == []
    assert place.left() == before


def running(trino):
    found = trino.query("SELECT query FROM system.runtime.queries WHERE state = 'RUNNING'", "hive")
    return [text for (text,) in found if text.startswith("CREATE TABLE") and "lineitem" in text]
