"""dsr's rewriter of Parquet against pyarrow and Spark as writers and as readers, where they are there:
with 'tests/run --interop'. RUN_CORE_PARQUET_FILES may name a folder of more files to be judged."""
import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from chance import seeds
from conftest import PATIENCE_S, SOURCE
from parquet_draw import Draw
from parquet_reader import ParquetFile
from parquet_world import (FILES, some_drops, the_court, the_readers,  # noqa: F401
                           the_tool)

INTEROP = os.environ.get("RUN_CORE_PARQUET_INTEROP")
PEER = SOURCE / "tests" / "support" / "parquet_peer.py"
MORE = os.environ.get("RUN_CORE_PARQUET_FILES")
LOOP_S = float(os.environ.get("RUN_CORE_PARQUET_LOOP_S", "60"))

pytestmark = pytest.mark.skipif(not INTEROP, reason="pyarrow and Spark are not there")


class Peer:
    """parquet_peer.py, by one of the libraries."""

    def __init__(self, library):
        self.process = subprocess.Popen(
            [f"{INTEROP}/bin/python", str(PEER), library], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYSPARK_PYTHON": f"{INTEROP}/bin/python"})

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        assert reply, f"it left at {request}"
        return json.loads(reply)

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE_S)


@pytest.fixture(scope="module", params=["pyarrow", "spark"])
def peer(request):
    made = Peer(request.param)
    yield made
    made.end()


def check(court, peer, path, erased):
    after = court.check(path, erased)
    reply = peer.ask(before=str(path), after=str(after), erased=list(erased))
    assert reply["differences"] == [], (str(path), list(erased)[:50], reply)
    return reply


def files():
    yield from sorted(FILES.glob("*.parquet"))
    if MORE:
        yield from sorted(Path(MORE).rglob("*.parquet"))


@pytest.mark.parametrize("path", list(files()), ids=lambda path: path.name)
def test_a_file_of_another_writer(court, peer, path):
    try:
        file = ParquetFile(path.read_bytes())
    except Exception as error:  # pylint: disable=broad-except
        after, why = court.tool.rewrite(path, [0])  # damaged on purpose, or encrypted: no crash
        pytest.skip(f"we cannot read it: {error!r}; the tool: {why if after is None else 'can'}")
    for erased in some_drops(file, random.Random(path.name)):
        check(court, peer, path, erased)


@pytest.mark.parametrize("peer", ["pyarrow"], indirect=True)  # Spark knows few of the types
def test_a_file_that_is_drawn(court, peer):
    end, judged = time.monotonic() + LOOP_S, 0
    for seed in seeds():
        rng = random.Random(seed)
        draw = Draw(rng)
        reply = check(court, peer, court.tool.save(draw.data), draw.erased())
        judged += "unreadable" not in reply
        if time.monotonic() > end:
            break
    assert judged > 0


def test_a_file_that_it_writes(court, peer):
    end = time.monotonic() + LOOP_S
    for seed in seeds():
        path = court.tool.path("peer.parquet")
        written = peer.ask(write=str(path), seed=seed)
        assert written == {"written": True}, written
        rng = random.Random(seed)
        drops = some_drops(ParquetFile(path.read_bytes()), rng)
        reply = check(court, peer, path, drops[-1])
        assert "unreadable" not in reply, reply
        if time.monotonic() > end:
            break
