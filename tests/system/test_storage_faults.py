"""'run-core storage' on stores that fail, on connections that break, and killed at any moment: what
is done is right, what is not done is said, and no object is ever a wrong one.

Here runs a sample of all pairs of operation and fault, another with another RUN_CORE_SEED; with
RUN_CORE_FULL=1 all of them run. See storage_faults.py."""
import os
import signal
import time

import pytest
from conftest import PATIENCE_S
from storage_faults import (KIB, LARGE, MIB, OLD, OPERATIONS, SMALL, Bench, Fault, GcsPlace,
                            Operation, S3Place, below, benches_at, cases_of, content, contents,
                            run_cases)

FULL = bool(os.environ.get("RUN_CORE_FULL"))
SAMPLE = 16  # cases of each store
KILLS = 100 if FULL else 6


@pytest.fixture
def bench(ceph, bucket, tmp_path):
    place = S3Place(ceph, bucket)
    yield Bench(place, tmp_path / "bench")
    place.end()


def named(name):
    return next(operation for operation in OPERATIONS if operation.name == name)


def check_sample(make_place, tmp_path, operations, rng):
    with benches_at(make_place, tmp_path) as benches:
        cases = list(cases_of(benches[0], operations, rng))
        if not FULL:
            # What waits for the limit of silence waits long.
            cases = [case for case in cases if "stall" not in case[1].name]
            cases = rng.sample(cases, SAMPLE)
        problems = run_cases(benches, cases)
        assert problems == [], "\n".join(problems)


def test_any_fault_of_s3(ceph, bucket, tmp_path, rng):
    check_sample(lambda: S3Place(ceph, bucket), tmp_path, OPERATIONS, rng)


def test_any_fault_of_google(tmp_path, rng):
    operations = [operation for operation in OPERATIONS if not operation.probe]
    check_sample(GcsPlace, tmp_path, operations, rng)


# ---- what was wrong once ---------------------------------------------------------------------


PAGE = "<html><body>hello</body></html>"


@pytest.mark.parametrize("operation, body", [("put", ""), ("mv", PAGE), ("mv-in", ""),
                                             ("mv-in", PAGE), ("copy-parts", ""),
                                             ("put-parts", PAGE)])
def test_a_page_that_is_no_answer(bench, operation, body):
    """Of something on the way, that calls everything a success."""
    fault = Fault("page", {"method": "PUT|POST|DELETE" if body else "PUT|POST", "status": 200,
                           "body": body, "times": None}, says="no S3 server answers")
    wrong, outcome = bench.run(named(operation), fault)
    # Of uploads that are begun nothing is known, and there are none.
    assert wrong == [] and outcome.status == 1, (wrong, outcome)


def test_an_upload_begun_twice_on_a_kept_connection(bench):
    """libcurl would repeat it by itself, and nobody knew of the first one."""
    for rule in ({"cut_reply_bytes": 0}, {"cut_reply_bytes": 1, "reset": True}):
        fault = Fault("begin", {"method": "POST", "target": "uploads", **rule}, heals=True)
        wrong, outcome = bench.run(named("put-stream"), fault)
        assert wrong == [], (wrong, outcome)


def test_a_range_that_nobody_asked_for(bench):
    fault = Fault("416", {"method": "GET", "status": 416, "times": None})
    wrong, outcome = bench.run(named("cat"), fault)
    assert wrong == [] and outcome.status != 0, (wrong, outcome)


# ---- the whole server ------------------------------------------------------------------------


def test_a_server_that_goes_away(bench):
    """It refuses connections from some moment on: at once, and in the middle of a transfer."""
    many = {f"{number:03}": SMALL for number in range(60)}
    operation = Operation("many", ["cp", "-r", "{local}in/", "{store}out/"],
                          local=below("in/", many), store_after=below("out/", many))
    prefix, local = bench.begin(operation)
    server = bench.place.server
    server.rules.add(method="PUT", delay_ms=20, times=None)
    process, _ = bench.start(operation, prefix, local)
    while len(server.calls) < 20 and process.poll() is None:
        time.sleep(0.005)
    server.stop()
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, stderr
    assert b"cannot connect" in stderr or b"connection" in stderr
    found = bench.place.objects(prefix)
    assert 0 < len(found) < len(many)
    assert all(operation.store_after[name] == data for name, data in found.items())


def test_a_server_that_nobody_knows(bench):
    bench.config.write_text(bench.config.read_text().replace(
        bench.place.server.endpoint, "http://object-store.invalid:9000"))
    for name in ("ls", "cat", "put", "mv-in", "sync-out"):
        operation = named(name)
        prefix, local = bench.begin(operation)
        process, where = bench.start(operation, prefix, local)
        _, stderr = process.communicate(operation.stdin, timeout=PATIENCE_S)
        # Requests for other objects may be given up behind the line that says what failed.
        message = [line for line in stderr.decode().splitlines() if '"debug"' not in line][-1]
        assert process.returncode == 1, message
        assert "has no address" in message and where["store"][:-1] in message, stderr.decode()
        assert contents(local) == operation.local
        assert bench.place.objects(prefix) == operation.store


# ---- killed ----------------------------------------------------------------------------------

MANY = {f"{number % 7}/{number:03}": content(number, 3000 + number) for number in range(80)}
MANY["large"] = LARGE
KILLED = [
    Operation("cp", ["cp", "-r", "{local}in/", "{store}out/"], local=below("in/", MANY),
              store_after=below("out/", MANY)),
    Operation("cp-back", ["cp", "-r", "{store}in/", "{local}out/"], store=below("in/", MANY),
              local_after=below("out/", MANY)),
    Operation("mv", ["mv", "-r", "{local}in/", "{store}out/"], local=below("in/", MANY),
              local_after={}, store_after=below("out/", MANY), moves=True),
    Operation("mv-inside", ["mv", "-r", "{store}in/", "{store}out/"], store=below("in/", MANY),
              store_after=below("out/", MANY), moves=True),
    Operation("sync", ["sync", "--delete", "{local}in/", "{store}out/"],
              local=below("in/", MANY), store={"out/0/000": OLD, "out/9/extra": OLD},
              store_after=below("out/", MANY)),
    Operation("put", ["cp", "{local}x", "{store}x"], local={"x": LARGE},
              store_after={"x": LARGE}),
]


def check_killed(operation, store, local):
    """Whatever there is, is whole, or a temporary that says so."""
    for side, found, before, after in (("store", store, operation.store, operation.store_after),
                                       ("local", local, operation.local, operation.local_after)):
        for name, data in found.items():
            if side == "local" and ".rc-tmp." in name:
                continue
            assert data in (before.get(name), after.get(name)), (side, name)
        for name in before.keys() & after.keys():
            assert name in found, (side, name)
    if operation.moves:
        left = set(store.values()) | set(local.values())
        assert left >= {*operation.store.values(), *operation.local.values()}


@pytest.mark.parametrize("operation", KILLED, ids=lambda operation: operation.name)
def test_killed_and_run_again(bench, rng, operation):
    place = bench.place
    wrong, _ = bench.run(operation)
    assert wrong == []
    calls = len(place.server.calls)
    for kill in range(max(1, KILLS // len(KILLED))):
        prefix, local = bench.begin(operation)
        resumes = kill % 2 and operation.words[1] == "-r" or operation.name == "sync"
        more = ["--resume", f"{local}.resume"] if resumes else []
        place.server.calls.clear()
        process, _ = bench.start(operation, prefix, local, *more)
        last = rng.randrange(calls)
        while len(place.server.calls) <= last and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        print(f"{operation.name}: the status is {process.returncode} at {last} of {calls} calls")
        bench.settle()
        check_killed(operation, place.objects(prefix), contents(local))

        process, where = bench.start(operation, prefix, local, *more)
        _, stderr = process.communicate(timeout=PATIENCE_S)
        # All that was to be moved may have been moved, and then there is no source any more.
        gone = operation.moves and b"there is neither an object" in stderr
        assert process.returncode == 0 or gone, stderr[-2000:]
        assert place.objects(prefix) == operation.store_after
        found = contents(local)
        assert {name: data for name, data in found.items()
                if ".rc-tmp." not in name} == operation.local_after
        bench.sweep(where["store"])
        assert place.uploads(prefix) == []


# ---- little room, and two at once ------------------------------------------------------------


@pytest.mark.parametrize("words", [["cp", "{store}x"], ["mv", "{store}x"],
                                   ["cp", "-r", "{store}"], ["sync", "{store}"]])
@pytest.mark.parametrize("size", [2 * MIB, len(LARGE)])
def test_a_full_disk(bench, small_disk, words, size):
    (small_disk / "kept").write_bytes(OLD)
    data = content(9, size)
    operation = Operation("full", [*words, f"{small_disk}/"], store={"x": data})
    prefix, local = bench.begin(operation)
    process, _ = bench.start(operation, prefix, local)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    message = stderr.decode().splitlines()[-1]
    assert process.returncode == 1, message
    assert "No space left" in message and str(small_disk) in message, message
    assert contents(small_disk) == {"kept": OLD}
    assert bench.place.objects(prefix) == {"x": data}


def test_two_at_once(bench):
    """One of both is what is there in the end, for each object: whole."""
    one = {name: content(f"1{name}", 50 * KIB) for name in "abcdefgh"} | {"large": LARGE}
    two = {name: content(f"2{name}", 50 * KIB) for name in one} | {"large": LARGE[::-1]}
    for to in ("store", "local"):
        operation = Operation("two", [], local=below("one/", one) | below("two/", two))
        prefix, local = bench.begin(operation)
        running = []
        for name in ("one", "two"):
            operation.words = ["cp", "-r", "{local}" + name + "/", "{" + to + "}out/"]
            running.append(bench.start(operation, prefix, local)[0])
        for process in running:
            _, stderr = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, stderr
        found = bench.place.objects(prefix) if to == "store" else contents(local)
        found = {name[4:]: data for name, data in found.items() if name.startswith("out/")}
        assert found.keys() == one.keys()
        assert all(data in (one[name], two[name]) for name, data in found.items())
        assert bench.place.uploads(prefix) == []
