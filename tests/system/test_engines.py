"""SQL engines as plugins and people meet them: which one a job gets, what 'check' and 'describe' say
of what it can do, and tables of a session."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import BUILD
from engines import ON_DUCKDB

pytestmark = pytest.mark.skipif(not ON_DUCKDB, reason="names its engines itself")

DUCKDB = "  near: {engine: duckdb}\n"
TRINO = ("  far: {engine: trino, url: 'http://127.0.0.1:1', user: tests, work: 's3://lake/sessions/'}\n"
         "storage:\n  mapped: {url: 's3://other/folder'}\n")


@pytest.fixture
def base(world):
    folder = world.root / "lake"
    folder.mkdir()
    (folder / "events.jsonl").write_text('{"id": "x", "n": 1}\n{"id": "y"}\n{"id": "z", "n": 3}\n')
    (folder / "_SUCCESS").write_text("")
    return f"file://{folder}/"


def tables(world, base, *words, **options):
    return world.run("tables", "--set", f"base={base}", *words, **options)


def problems(world):
    """What 'check' has to say, without the folder of the configuration."""
    result = world.run("check")
    assert result.status == 2
    return [line.replace(f"{world.root}/conf.d/", "") for line in result.stderr.splitlines()]


# ---- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("section, engine", [
    ("", None), ("", "duckdb"), (f"sql:\n{DUCKDB}", None), (f"sql:\n{DUCKDB}", "near"),
    (f"sql:\n{DUCKDB}{TRINO}", "near"), (f"sql:\n{TRINO}", "duckdb"),
])
def test_tables_of_a_session(world, base, section, engine):
    if section:
        world.config(section)
    named = ["--set", f"engine={engine}"] if engine else []
    result = tables(world, base, *named)
    assert result.status == 0, result.stderr
    assert result.stdout == "files: 3 rows\nmade: 2 rows\nloaded: 2 rows\n"
    assert "the engine's features are 35" in result.text


def test_a_dry_run_makes_tables_in_the_sessions_own_memory(world, base):
    result = tables(world, base, "--dry-run")
    assert result.status == 0, result.stderr
    assert result.stdout == "files: 3 rows\nmade: 2 rows\nloaded: 2 rows\n"
    assert "dry run: would" not in result.text


class Empty(BaseHTTPRequestHandler):
    """A Trino that has nothing: each statement ends at once, without rows."""

    def do_POST(self):  # noqa: N802
        self.server.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        body = json.dumps({"id": "20260101_000000_00000_aaaaa", "infoUri": "http://127.0.0.1/ui",
                           "stats": {"state": "FINISHED"}, "warnings": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def empty_trino():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_dry_run_on_a_server_only_tells_of_tables(world, base, empty_trino):
    world.config("sql:\n  far:\n    engine: trino\n    user: tests\n    shares_files: true\n"
                 f"    url: 'http://127.0.0.1:{empty_trino.server_port}'\n"
                 f"    work: 'file://{world.root}/sessions/'\n")
    result = tables(world, base, "--dry-run")
    assert result.status == 0, result.stderr
    assert result.stdout == "files: no answer\nmade: no answer\nloaded: no answer\n"
    assert [asked for asked in empty_trino.asked
            if asked != "SELECT 1" and not asked.startswith("SHOW ")] == []
    assert not (world.root / "sessions").exists()
    assert [line.removeprefix("dry run: would ") for line in result.text.splitlines()
            if line.startswith("dry run: would ")] == [
        f"attach the table 'files' over '{base}'",
        "make the table 'made': SELECT 1 AS one UNION ALL SELECT $1",
        "load the table 'loaded'",
        f"publish the table 'shared.files' over '{base}'",
    ]


# ---- which engine ---------------------------------------------------------------------------------


def test_an_engine_that_is_not_there_is_a_mistake_with_its_place(world):
    world.config(f"sql:\n{DUCKDB}jobs:\n  a:\n    plugin: tables\n"
                 "    config:\n      base: s3://b/x/\n      sqlEngine: nere\n")
    assert problems(world) == [
        "test.yaml:8:18: 'engine': there is no SQL engine 'nere' under 'sql:' in the configuration; "
        "there is 'near'"]


def test_the_run_says_the_same_as_the_check(world, base):
    world.config(f"sql:\n{DUCKDB}")
    result = tables(world, base, "--set", "engine=nere")
    assert result.status == 2
    assert "there is no SQL engine 'nere' under 'sql:'" in result.stderr


def test_one_of_several_engines_has_to_be_named_by_who_opens_it(world, base):
    world.config(f"sql:\n{DUCKDB}{TRINO}jobs:\n  a:\n    plugin: tables\n"
                 "    config: {base: 's3://b/x/'}\n")
    assert world.run("check").status == 0
    result = tables(world, base)
    assert result.status == 2
    assert "the configuration has 2 SQL engines under 'sql:'" in result.stderr


def test_what_an_engine_cannot_do_is_a_mistake(world, base):
    world.config(f"sql:\n{DUCKDB}{TRINO}jobs:\n"
                 "  a: {plugin: tables, config: {base: 's3://b/x/', engine: near, want: catalogue}}\n"
                 "  b: {plugin: tables, config: {base: 's3://b/x/', engine: far, want: catalogue}}\n")
    assert problems(world) == [
        "test.yaml:7:59: plugin 'tables': the engine 'near' (duckdb) has no catalogue"]
    result = tables(world, base, "--set", "engine=near", "--set", "want=catalogue")
    assert result.status == 2
    assert "the engine 'near' (duckdb) has no catalogue" in result.stderr


def test_where_an_engine_does_not_reach_is_told_through_the_stores(world):
    job = "  {}: {{plugin: tables, config: {{base: '{}', engine: {}, want: place}}}}\n"
    world.config(f"sql:\n{DUCKDB}{TRINO}jobs:\n"
                 + job.format("a", "file:///tmp/", "near") + job.format("b", "s3://mapped/x/", "far")
                 + job.format("c", "store://mapped/x/", "far")
                 + job.format("d", "file:///tmp/", "far"))
    assert [line.split(": ", 1)[1] for line in problems(world)] == [
        "plugin 'tables': the engine 'far' does not reach 'file:///tmp/'"]


def test_a_setting_of_another_kind_of_engine_is_a_mistake(world):
    world.config("sql:\n  near: {engine: duckdb, user: me}\n"
                 "  far:\n    engine: trino\n    url: http://127.0.0.1:1\n    user: me\n"
                 "    work: s3://b/w/\n    threads: 4\n    region: x\n")
    assert problems(world) == [
        "test.yaml:2:26: 'user' is a setting of trino; the engine 'near' is duckdb",
        "test.yaml:8:5: 'threads' is a setting of duckdb; the engine 'far' is trino",
        "test.yaml:9:5: 'region' is a setting of athena; the engine 'far' is trino",
    ]


@pytest.mark.parametrize("settings, problem", [
    ("engine: trino, url: 'http://127.0.0.1:1', work: 'file:///w/'",
     "'work' is 'file:///w/', which trino does not reach unless 'shares_files' says so"),
    ("engine: trino, url: 'http://127.0.0.1:1', work: 'file:///w/', shares_files: true", None),
    ("engine: trino, url: 'http://127.0.0.1:1', work: 'https://host/w/'",
     "'work' is 'https://host/w/', which trino does not reach"),
    ("engine: trino, url: 'http://127.0.0.1:1', work: 's3://here/w/'",
     "'work' is 's3://here/w/', that is 'file:///here/w/', which trino does not reach unless "
     "'shares_files' says so"),
    ("engine: athena, work: 'file:///w/'", "'work' is 'file:///w/', which athena does not reach"),
    ("engine: athena, work: 'gs://b/w/'", "'work' is 'gs://b/w/', which athena does not reach"),
    ("engine: athena, work: 's3://b/w/', results: 's3a://b/r/'",
     "'results' is 's3a://b/r/', which athena does not reach"),
    ("engine: athena, work: 's3://b/w/', results: 's3://b/r/'", None),
])
def test_folders_that_the_engine_does_not_reach_are_mistakes(world, settings, problem):
    world.config(f"sql:\n  far: {{{settings}}}\nstorage:\n  here: {{url: 'file:///here'}}\n")
    if problem:
        assert problems(world) == [f"test.yaml:2:3: the engine 'far': {problem}"]
    else:
        assert world.run("check").status == 0


def test_a_kind_of_engine_that_cannot_do_without_settings_is_a_mistake(world, base):
    world.config("jobs:\n  a: {plugin: tables, config: {base: 's3://b/x/', engine: trino}}\n")
    assert problems(world) == [
        "test.yaml:2:59: 'engine': 'url' is missing: the address of the coordinator, such as "
        "https://trino.example.org:8443"]
    result = tables(world, base, "--set", "engine=trino")
    assert result.status == 2
    assert "'url' is missing" in result.stderr


# ---- describe, and plugins of earlier versions ----------------------------------------------------


def test_describe_says_what_the_engines_can_do_for_the_plugin(world):
    text = world.run("describe", "tables").stdout
    lines = text[text.index("SQL engines:"):].splitlines()
    assert lines[1].split() == ["duckdb", "athena", "trino"]
    assert [line.rsplit(None, 3) for line in lines[2:4]] == [
        ["  reads CSV", "yes", "no", "no"], ["  has a catalogue of tables", "no", "yes", "yes"]]
    markdown = world.run("describe", "tables", "--markdown").stdout
    assert "| the engine | `duckdb` | `athena` | `trino` |" in markdown
    assert "| has a catalogue of tables | no | yes | yes |" in markdown
    said = json.loads(world.run("describe", "tables", "--json").stdout)
    assert said["engines"][0] == {
        "kind": "duckdb", "can": ["reads CSV"], "cannot": ["has a catalogue of tables"]}
    assert "engine" in next(o["help"] for o in said["options"] if o["key"] == "engine")


def test_a_plugin_without_sql_has_no_engines(world):
    assert json.loads(world.run("describe", "noop", "--json").stdout)["engines"] == []
    assert "SQL engines" not in world.run("describe", "noop").stdout


def test_help_shows_all_that_the_engines_can_do(world):
    text = world.run("help", "engines").stdout
    assert text.splitlines()[0].split() == ["duckdb", "athena", "trino"]
    assert "reads objects where they lie" in text


def test_a_plugin_of_an_earlier_abi_is_taken_as_it_is(world):
    result = world.run("older")
    assert (result.status, result.stdout) == (0, "still here\n"), result.stderr
    described = json.loads(world.run("describe", "older", "--json").stdout)
    assert (described["abi"], described["engines"]) == ("1.6", [])
    assert world.run("check-plugin", BUILD / "test-plugins" / "older.so").status == 0
