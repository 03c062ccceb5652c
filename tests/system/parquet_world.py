"""The Parquet part of dsr by its tool, and those who judge what it writes: parquet_check.py down to
the bytes, parquet_judge.js by other people's readers."""
import json
import os
import subprocess

import parquet_check
import pytest
from conftest import BUILD, PATIENCE_S, SOURCE
from parquet_reader import ParquetFile

TOOL = BUILD / "test-tools" / "parquet-tool"
FILES = SOURCE / "tests" / "data" / "parquet"
# A leak is looked for by the unit tests; here what counts is the exit status.
CRASHES = {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}


class Tool:
    """parquet-tool in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.number = 0

    def path(self, name):
        self.number += 1
        return self.folder / f"{self.number}-{name}"

    def save(self, data, name="in.parquet"):
        path = self.path(name)
        path.write_bytes(data)
        return path

    def lines(self, items, name):
        path = self.path(name)
        path.write_text("".join(f"{item}\n" for item in items))
        return path

    def run(self, *words):
        """(status, stdout, stderr); a crash fails the test."""
        process = subprocess.run([TOOL, *words], capture_output=True, text=True, timeout=120,
                                 check=False, env={**os.environ, **CRASHES})
        assert process.returncode in (0, 1) and "Sanitizer" not in process.stderr and \
            "runtime error" not in process.stderr, (words, process.returncode, process.stderr)
        if process.returncode == 1:
            assert ": " in process.stderr, process.stderr
        return process.returncode, process.stdout, process.stderr

    def rewrite(self, source, erased):
        """The new file's path and what was told of it; (None, the reason) for a refusal."""
        out = self.path("out.parquet")
        status, told, why = self.run("rewrite", source, out, self.lines(erased, "rows"))
        if status:
            assert not out.exists()
            return None, why
        return out, json.loads(told)

    def scan(self, source, column, wanted, *words):
        """(row, which) of each hit."""
        ids = self.lines([value.hex() for value in wanted], "ids")
        status, told, why = self.run("scan", source, column, ids, *words)
        assert status == 0, why
        return [tuple(map(int, line.split())) for line in told.splitlines()]

    def digest(self, source, erased=None):
        words = [] if erased is None else [self.lines(erased, "rows")]
        status, told, why = self.run("digest", source, *words)
        assert status == 0, why
        return told


class Readers:
    """parquet_judge.js, which answers for as long as the tests go."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["node", str(SOURCE / "tests/support/parquet_judge.js")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        assert reply, f"the judge left at {request}"
        return json.loads(reply)

    def rows(self, sql):
        reply = self.ask(sql=sql)
        assert "rows" in reply, (sql, reply)
        return reply["rows"]

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE_S)


class Court:
    """The tool, and all who judge it."""

    def __init__(self, tool, readers):
        self.tool, self.readers = tool, readers

    def complaints(self, source, erased, after=None):
        """What is wrong with a rewrite, as (whose complaint, ...) lines; and the new file."""
        told = None
        if after is None:
            after, told = self.tool.rewrite(source, erased)
            if after is None:
                return [f"refused: {told}"], None
        before_bytes, after_bytes = source.read_bytes(), after.read_bytes()
        found = [f"bytes: {line}" for line in
                 parquet_check.differences(before_bytes, after_bytes, erased)]
        reply = self.readers.ask(before=str(source), after=str(after), erased=list(erased))
        found += reply.get("differences", [str(reply)])
        if told:
            found += self.told_wrong(before_bytes, after_bytes, erased, told)
        if not found and self.tool.digest(source, erased) != self.tool.digest(after):
            found.append("digests differ")
        return found, after

    @staticmethod
    def told_wrong(before, after, erased, told):
        old, gone = ParquetFile(before), set(erased)
        wanted, at = {"copied": 0, "rewritten": 0, "dropped": 0}, 0
        for group in old.groups:
            lost = sum(1 for row in gone if at <= row < at + group.row_count)
            at += group.row_count
            how = "copied" if not lost else "dropped" if lost == group.row_count else "rewritten"
            wanted[how] += 1
        wanted = {"rows": old.row_count - len(gone), "bytes": len(after),
                  **{f"groups_{how}": count for how, count in wanted.items()}}
        if told != wanted:
            yield f"told {told} instead of {wanted}"

    def check(self, source, erased):
        """The new file, which nobody has anything against."""
        found, after = self.complaints(source, erased)
        assert not found, (str(source), list(erased)[:50], found[:20])
        return after


def some_drops(file, rng):
    """Rows to leave out of a file: the first, the last, every second, a row group, all, some."""
    count = file.row_count
    if not count:
        return [[]]
    middle = len(file.groups) // 2
    start = sum(group.row_count for group in file.groups[:middle])
    of_group = list(range(start, start + file.groups[middle].row_count))
    some = sorted(rng.sample(range(count), max(count // 8, 1)))
    drops = [[], [0], [count - 1], list(range(0, count, 2)), of_group, list(range(count)), some]
    return [list(drop) for drop in dict.fromkeys(map(tuple, drops))]


@pytest.fixture(name="tool")
def the_tool(tmp_path):
    if not TOOL.exists():
        pytest.skip("parquet-tool is not built")
    return Tool(tmp_path)


@pytest.fixture(name="readers", scope="session")
def the_readers():
    for name in ("RUN_CORE_PARQUET_JUDGE", "RUN_CORE_JUDGE"):
        if not os.environ.get(name):
            pytest.skip(f"{name}: the readers that judge are not there")
    made = Readers()
    yield made
    made.end()


@pytest.fixture(name="court")
def the_court(tool, readers):
    return Court(tool, readers)
