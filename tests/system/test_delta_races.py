"""Two replicas of delta-initiator that share nothing but the store want jobs that exclude each other,
at the same instant. A client of others reads what came of it: never two that are active, never a job
without its task or a task without its job, and each replica told the truth.

Here runs a sample; with RUN_CORE_FULL=1 there are a thousand races on Virtuoso."""
import os
import time

import pytest
from conftest import PATIENCE_S, World
from daemon import Daemon
from delta_replicas import Replica, at_once, assert_one_won
from delta_world import Consumer, DeltaWorld, delta_world
from sparql_faults import SparqlFaults

FULL = bool(os.environ.get("RUN_CORE_FULL"))
RACES = 340 if FULL else 30
PAIRS = [("dump", "healing"), ("dump", "dump"), ("initial-sync", "initial-sync")]
WON, BLOCKED = 0, 3
OPTIONS = {"initial_sync_retry_after": "1m", "job_timeout_minutes": 60}
EACH_SECOND = """
jobs:
  healing: {plugin: delta-initiator, action: healing, schedule: "* * * * * *"}
  dump: {plugin: delta-initiator, action: dump, schedule: "* * * * * *"}
"""
CREATION = "task:index"  # stands in no other statement


@pytest.fixture
def delta(delta_on_each):
    delta_on_each.use_environment(options=OPTIONS)
    return delta_on_each


def prepare(delta, rng, kinds):
    """What is there before the race: what healings wait for; at times a job whose time is up, or an
    initial sync that may be tried again."""
    before = set()
    if "initial-sync" not in kinds:
        before.add(delta.insert_job("initial-sync", "success", age_s=9000))
    elif rng.random() < 0.4:
        before.add(delta.insert_job("initial-sync", "failed", age_s=9000))
    if rng.random() < 0.3:
        before.add(delta.insert_job(rng.choice(["dump", "healing"]), "busy", age_s=7200))
    return before


def assert_errors(delta, kinds, job):
    """A dump or healing that was in the way leaves one error; that one initial sync is enough is
    none."""
    errors = delta.errors()
    assert len(errors) == ("initial-sync" not in kinds), errors
    assert all(reference == job.uri for _, reference in errors)


# ---- a store that carries out one update after the other -----------------------------------------

@pytest.mark.parametrize("kinds", PAIRS, ids=" against ".join)
def test_of_two_replicas_one_wins(delta, rng, kinds):
    wins = [0, 0]
    with Replica(delta, "one") as one, Replica(delta, "two") as two:

        def ask(replica, kind, pause_s):
            time.sleep(pause_s)
            return replica.post(kind)

        for _ in range(RACES):
            before = prepare(delta, rng, kinds)
            pauses = [rng.choice([0, 0, 0.001, 0.003, 0.01]) for _ in kinds]
            drawn = rng.sample(kinds, 2)
            answers = at_once(lambda: ask(one, drawn[0], pauses[0]),
                              lambda: ask(two, drawn[1], pauses[1]))
            job = assert_one_won(delta, answers, before)
            assert_errors(delta, kinds, job)
            wins[[status for status, _ in answers].index(200)] += 1
            delta.end()
    print(f"{sum(wins)} races, won by the one and the other: {wins}")


def test_of_many_requests_to_both_replicas_one_wins(delta, rng):
    with Replica(delta, "one") as one, Replica(delta, "two") as two:
        for _ in range(20 if FULL else 3):
            before = {delta.insert_job("initial-sync", "success", age_s=9000)}
            wanted = [(rng.choice([one, two]), rng.choice(["dump", "healing"])) for _ in range(6)]
            answers = at_once(*[lambda ask=ask: ask[0].post(ask[1]) for ask in wanted])
            assert_one_won(delta, answers, before)
            delta.end()


@pytest.mark.parametrize("kinds", PAIRS, ids=" against ".join)
def test_of_two_processes_one_wins(delta, rng, kinds):
    """Not only by chance at once: their updates are before the store when it gets the first."""
    with SparqlFaults(delta.store) as proxy:
        near = DeltaWorld(delta.world, proxy, delta.stream)
        near.use_environment(options=OPTIONS)
        for _ in range(10 if FULL else 2):
            proxy.clear()
            before = prepare(delta, rng, kinds)
            gate = proxy.hold(kind="update", text=CREATION, times=2)
            both = [near.start(kind, env={"RUN_CORE_STATE": str(delta.world.root / name)})
                    for kind, name in zip(kinds, ("one", "two"))]
            gate.wait(2)
            gate.open()
            assert_one_process_won(delta, kinds, both, before)
            delta.end()


def assert_one_process_won(delta, kinds, processes, before):
    said = [b" ".join(process.communicate(timeout=PATIENCE_S)).decode() for process in processes]
    job, = [job for job in delta.check_whole(active=1) if job.uri not in before]
    assert job.is_active and all(job.uri in text for text in said), said
    needless = [text for text in said if "nothing to do" in text]
    assert len(needless) == ("initial-sync" in kinds)
    assert sorted(process.returncode for process in processes) == [
        WON, WON if needless else BLOCKED]
    assert_errors(delta, kinds, job)


def test_two_daemons_with_the_same_schedule(world, virtuoso, tmp_path):
    """Healing and dump of both are due each second, and a job takes a part of one."""
    other = tmp_path / "other"
    other.mkdir()
    with delta_world(world, virtuoso) as delta:
        made = {delta.insert_job("initial-sync", "success")}
        daemons = []
        for place in (world, World(other)):
            DeltaWorld(place, virtuoso, delta.stream).use_environment()
            place.config(EACH_SECOND, name="jobs.yaml")
            daemons.append(Daemon(place))
        with Consumer(delta, busy_s=0.1) as consumer:
            try:
                for daemon in daemons:
                    daemon.start()
                daemons[0].wait_for(lambda: len(consumer.ended) >= (30 if FULL else 5))
            finally:
                statuses = [daemon.stop() for daemon in daemons]
        assert statuses == [0, 0] and consumer.most_active == 1
        made = [job for job in delta.check_whole(active=1) if job.uri not in made]
        ends = [row["status"] for daemon in daemons for row in daemon.runs()]
        assert ends.count("succeeded") == len(made)
        assert set(ends) <= {"succeeded", "skipped", "due", "cancelled"}, ends


# ---- a store that does not -----------------------------------------------------------------------

def test_where_a_store_lets_both_in_at_most_one_stays(world, oxigraph, rng):
    """The store finds out what an update is to do before it does it, so that others get between."""
    stayed = withdrawn = rounds = 0
    least = 100 if FULL else 15
    with delta_world(world, oxigraph.loose(pause_ms=10)) as delta:
        delta.use_environment(HEAL_MUST_WAIT_FOR_INITIAL_SYNC="false")
        with Replica(delta, "one") as one, Replica(delta, "two") as two:
            while rounds < least or not withdrawn and rounds < 20 * least:
                rounds += 1
                kinds = rng.choice(PAIRS)
                answers = at_once(lambda: one.post(kinds[0]), lambda: two.post(kinds[1]))
                stayed += check_loose(delta, answers)
                delta.end()
                withdrawn = (one.said() + two.said()).count("withdrew")
    print(f"{stayed} jobs stayed, {withdrawn} were withdrawn")
    assert withdrawn > 0


def check_loose(delta, answers):
    """Of those that meet again and again all may give up, and then there is nothing. Who was blocked
    names the job that was in the way, though that may have been withdrawn since."""
    won = [body["job"] for status, body in answers if status == 200]
    assert [job.uri for job in delta.check_whole(active=1)] == won, answers
    for status, body in answers:
        assert status in (200, 409, 503), body
        assert status != 409 or len(body["blocking"]) == 1, answers
        assert status != 503 or "come and go" in body["error"], body
    return len(won)
