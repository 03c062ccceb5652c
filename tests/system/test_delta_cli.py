"""The actions of delta-initiator on the command line: what they say, how they end, what they are
told. The graphs that they leave are compared in test_delta_graphs.py."""

import signal
import socket

import pytest
from api_world import until
from conftest import PATIENCE_S
from delta_world import KINDS, Stream, delta_world

WORDS = {
    "initial-sync": "Sync job started {}",
    "healing": "Healing job {} triggered",
    "dump": "Dump publication graph job {} triggered",
}


@pytest.fixture
def delta(world, virtuoso):
    with delta_world(world, virtuoso) as made:
        made.use_environment(HEAL_MUST_WAIT_FOR_INITIAL_SYNC="false")
        yield made


@pytest.fixture
def two(world, virtuoso):
    """Two streams in a file."""
    with delta_world(world, virtuoso) as made:
        made.streams = [Stream("besluiten"), Stream("leiding")]
        made.use_file(made.streams, entries=[{"healShouldNotWaitForInitialSync": True}] * 2)
        yield made
        made.end(*made.streams)


def rows(result, title="Jobs"):
    """Those of a table, a dict each."""
    table = next(one for one in result.final["results"] if one.get("title") == title)
    return [dict(zip(table["columns"], row)) for row in table["rows"]]


def lines(result):
    return [line for line in result.stdout.splitlines() if line]


# ---- creating ------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_a_job_is_created_and_named(delta, kind):
    result = delta.run(kind)
    job, = delta.check_whole()
    assert result.status == 0, result.stderr
    assert (job.kind, job.status, list(job.tasks.values())) == (kind, "busy", [["scheduled"]])
    assert lines(result) == [WORDS[kind].format(job.uri)]


@pytest.mark.parametrize("kind", ["healing", "dump"])
def test_a_blocked_job_ends_with_3_and_says_by_what(delta, kind):
    blocking = delta.insert_job("healing", "busy", age_s=7200)
    result = delta.run(kind)
    assert result.status == 3
    assert blocking in result.stderr and "2h" in result.stderr, result.stderr
    assert [job.uri for job in delta.jobs()] == [blocking]
    (message, reference), = delta.errors()
    assert reference == blocking and message


@pytest.mark.parametrize("kind", ["healing", "dump"])
def test_force_lifts_a_conflict(delta, kind):
    delta.insert_job("dump", "scheduled")
    assert delta.run(kind, force=True).status == 0
    assert len(delta.active()) == 2


def test_a_healing_is_too_early_before_the_initial_sync(delta):
    delta.use_environment(HEAL_MUST_WAIT_FOR_INITIAL_SYNC="true")
    result = delta.run("healing")
    assert result.status == 3 and "initial sync" in result.stderr
    delta.insert_job("initial-sync", "success")
    assert delta.run("healing").status == 0


def test_an_initial_sync_happens_once(delta):
    assert delta.run("initial-sync").status == 0
    job, = delta.jobs()
    for status in ("busy", "success", "canceled"):
        delta.set_status(job.uri, status)
        for force in (False, True):
            result = delta.run("initial-sync", force=force)
            assert result.status == 0, result.stderr
            assert "nothing to do" in result.stdout and job.uri in result.stdout
    assert len(delta.jobs()) == 1


def test_a_failed_initial_sync_is_tried_again_in_time(delta):
    delta.insert_job("initial-sync", "failed", age_s=1800)
    assert delta.run("initial-sync").status == 3
    assert delta.run("initial-sync", initial_sync_retry_after="20m").status == 0
    assert len(delta.active()) == 1


def test_a_failed_initial_sync_is_forced_or_left(delta):
    delta.insert_job("initial-sync", "failed", age_s=864000)
    result = delta.run("initial-sync", retry_failed_initial_sync=False)
    assert result.status == 3 and "failed" in result.stderr
    assert delta.run("initial-sync", retry_failed_initial_sync=False, force=True).status == 0
    assert len(delta.active()) == 1


def test_the_start_begins_only_what_is_to_begin_then(delta):
    result = delta.run("initial-sync", at_start=True)
    assert result.status == 0 and "START_INITIAL_SYNC" in result.stdout
    assert delta.jobs() == []
    delta.use_environment(START_INITIAL_SYNC="true")
    assert delta.run("initial-sync", at_start=True).status == 0
    assert [job.kind for job in delta.jobs()] == ["initial-sync"]


@pytest.mark.parametrize("kind, variable", [("healing", "ENABLE_HEALING_JOB_OPERATION"),
                                            ("dump", "ENABLE_DUMP_FILE_CREATION")])
def test_what_is_disabled_is_nothing_to_do(delta, kind, variable):
    delta.use_environment(**{variable: "false"})
    for force in (False, True):
        result = delta.run(kind, force=force)
        assert result.status == 0, result.stderr
        assert lines(result) == [f"nothing to do: {kind}s are disabled"]
    assert delta.jobs() == []


def test_a_job_whose_time_is_up_makes_room(delta):
    old = delta.insert_job("healing", "busy", age_s=7200)
    assert delta.run("dump", job_timeout_minutes=180).status == 3
    result = delta.run("dump", job_timeout_minutes=90)
    assert result.status == 0 and old in result.stderr
    assert {job.uri: job.status for job in delta.jobs()}[old] == "failed"


def test_a_dry_run_changes_nothing(delta):
    result = delta.run("dump", "--dry-run")
    assert result.status == 0 and "would create" in result.stdout
    delta.insert_job("dump", "busy", age_s=7200)
    before = set(delta.graph())
    assert delta.run("healing", "--dry-run").status == 3
    assert delta.run("healing", "--dry-run", job_timeout_minutes=60).status == 0
    assert delta.run("clean", "--dry-run", kind="dump", force=True).status == 0
    assert set(delta.graph()) == before


def test_what_was_done_is_counted(delta):
    counters = delta.run("dump", "--json").final["counters"]
    assert counters["jobs_created"] == 1
    counters = delta.run("dump", "--json").final["counters"]
    assert counters["jobs_blocked"] == 1 and counters["errors_stored"] == 1
    counters = delta.run("clean", "--json", kind="dump", force=True).final["counters"]
    assert counters["jobs_removed"] == 1


def test_a_kind_without_an_operation(world, virtuoso):
    stream = Stream()
    del stream.operations["dump"]
    with delta_world(world, virtuoso, stream=stream) as delta:
        delta.use_environment()
        result = delta.run("dump")
        assert result.status == 2
        assert "dumpFileCreationJobOperation" in result.stderr, result.stderr
        assert "DUMP_FILE_CREATION_JOB_OPERATION" in result.stderr, result.stderr
        assert "no operation" not in delta.run("status").stderr


def test_a_stream_without_any_operation_is_warned_of(world, virtuoso):
    stream = Stream()
    stream.operations.clear()
    with delta_world(world, virtuoso, stream=stream) as delta:
        delta.use_environment()
        result = delta.run("status")
        assert result.status == 0 and "HEALING_JOB_OPERATION" in result.stderr, result.stderr


# ---- several streams -----------------------------------------------------------------------------

def test_every_stream_gets_its_turn(two):
    result = two.run("dump")
    assert result.status == 0, result.stderr
    uris = [two.check_whole(stream)[0].uri for stream in two.streams]
    assert lines(result) == [f"{stream.name}: " + WORDS["dump"].format(uri)
                             for stream, uri in zip(two.streams, uris)]


def test_one_that_is_blocked_keeps_no_other_from_its_turn(two):
    blocking = two.insert_job("healing", stream=two.streams[0])
    result = two.run("dump")
    assert result.status == 3 and "1 of 2" in result.stderr
    assert f"{two.streams[0].name}: " in result.stdout and blocking in result.stdout
    assert [job.kind for job in two.jobs(two.streams[1])] == ["dump"]


def test_one_stream_of_several(two):
    first, second = two.streams
    assert two.run("dump", entry=second.name).status == 0
    assert two.jobs(first) == [] and len(two.jobs(second)) == 1
    result = two.run("dump", entry="other")
    assert result.status == 2
    assert "'besluiten'" in result.stderr and "'leiding'" in result.stderr


def test_streams_that_are_disabled_are_passed_over(two):
    two.use_file(two.streams, entries=[{"disableDumpFileCreation": True}, {}])
    assert two.run("dump").status == 0
    assert two.jobs(two.streams[0]) == [] and len(two.jobs(two.streams[1])) == 1
    two.use_file(two.streams, entries=[{"disableDumpFileCreation": True}] * 2)
    result = two.run("dump")
    assert result.status == 0 and "no stream has such jobs" in result.stdout


# ---- removing ------------------------------------------------------------------------------------

def test_clean_leaves_what_is_active_unless_forced(delta):
    done = delta.insert_job("dump", "success", age_s=3600)
    busy = delta.insert_job("dump", "busy")
    other = delta.insert_job("healing", "success")
    result = delta.run("clean", kind="dump")
    assert result.status == 0
    assert done in result.stdout and "Dump publication graph job cleaned" in result.stdout
    assert f"kept <{busy}>" in result.stdout
    assert {job.uri for job in delta.check_whole()} == {busy, other}
    assert delta.run("clean", kind="dump", force=True).status == 0
    assert {job.uri for job in delta.check_whole()} == {other}
    assert "nothing to remove" in delta.run("clean", kind="dump").stdout


def test_clean_says_which_initial_syncs_it_removed(delta):
    uris = {delta.insert_job("initial-sync", "failed", age_s=age) for age in (10, 20)}
    result = delta.run("clean", kind="initial-sync")
    last = lines(result)[-1]
    assert last.startswith("Sync job cleaned ")
    assert set(last.removeprefix("Sync job cleaned ").split(", ")) == uris


def test_clean_needs_to_know_what(delta):
    result = delta.run("clean")
    assert result.status == 2 and "kind" in result.stderr
    assert delta.run("clean", kind="all").status == 2


# ---- status --------------------------------------------------------------------------------------

def test_status_is_the_default_and_shows_the_chronology(delta):
    busy = delta.insert_job("healing", "busy", age_s=7500)
    delta.insert_job("dump", "success", age_s=90000)
    delta.insert_job("dump", "failed", age_s=180000)
    before = set(delta.graph())
    result = delta.world.run("delta-initiator", "--json", "--set", "job_timeout_minutes=240")
    assert result.status == 0, result.stderr
    initial, healing, dump = rows(result)
    assert initial["job"] == "initial sync" and initial["schedule"] == "by hand"
    assert initial["another one now"] == "blocked" and not initial["newest"]
    assert (healing["active"], healing["newest"]) == ("1", busy)
    assert healing["state"].startswith("busy for 2h5m, times out in 1h5")
    assert (dump["active"], dump["succeeded"], dump["failed"]) == ("0", "1", "1")
    assert dump["state"].startswith("success 1d1h ago") and dump["schedule"] == "0 0 0 * * *"
    assert dump["another one now"] == "blocked"
    assert "stream" not in dump
    texts = [one["text"] for one in result.final["results"] if "text" in one]
    assert any("dump" in text and busy in text for text in texts), texts
    assert set(delta.graph()) == before


def test_status_takes_what_has_timed_out_for_failed(delta):
    delta.insert_job("healing", "busy", age_s=7500)
    result = delta.run("status", "--json", job_timeout_minutes=60)
    _, healing, dump = rows(result)
    assert "timed out" in healing["state"]
    assert dump["another one now"] == "free"
    assert len(delta.active()) == 1


def test_status_of_several_streams(two):
    result = two.run("status", "--json")
    assert [row["stream"] for row in rows(result)] == ["besluiten"] * 3 + ["leiding"] * 3
    assert {row["another one now"] for row in rows(result)} == {"free"}
    assert len(rows(two.run("status", "--json", entry="leiding"))) == 3
    text = two.run("status").stdout
    assert "besluiten" in text and "0 0 2 * * *" in text


def test_months_by_number_are_warned_of(delta):
    delta.use_environment(CRON_PATTERN_DUMP_JOB="0 0 0 1 5 *", CRON_PATTERN_HEALING_JOB="0 0 0 1 MAY *")
    result = delta.run("status")
    assert result.text.count("months") == 1 and "cronPatternDumpJob" in result.text
    assert "months" in delta.run("dump").text
    assert "months" not in delta.run("healing").text


# ---- mistakes ------------------------------------------------------------------------------------

@pytest.mark.parametrize("variable, value, words", [
    ("JOBS_GRAPH", "no iri", ["jobsGraph"]),
    ("HEALING_JOB_OPERATION", "http://a>b", ["healingJobOperation"]),
    ("DUMP_FILE_CREATION_TASK_OPERATION", "x", ["dump_task_operation"]),
    ("ERROR_CREATOR_URI", "http://a b", ["errorCreatorUri"]),
    ("START_INITIAL_SYNC", "perhaps", ["startInitialSync"]),
    ("JOB_TIMEOUT_MINUTES", "1h", ["job_timeout_minutes"]),
    ("MU_SPARQL_ENDPOINT", "database:8890", ["sparql_endpoint"]),
    ("DELTA_STREAM", "a/b", ["name"]),
])
def test_a_mistake_in_the_environment(delta, variable, value, words):
    delta.use_environment(**{variable: value})
    delta.world.environment[variable] = value
    result = delta.world.run("delta-initiator", "dump")
    assert result.status == 2
    for word in words:
        assert word in result.stderr, result.stderr
    assert delta.jobs() == []


def test_a_mistake_without_a_file_may_be_of_a_variable(world):
    world.environment["JOBS_GRAPH"] = "graph"
    result = world.run("delta-initiator")
    assert result.status == 2
    assert "command line or environment: plugin 'delta-initiator': option 'jobsGraph'" \
        in result.stderr, result.stderr


def test_an_empty_variable_is_none(delta):
    delta.use_environment(ERROR_CREATOR_URI="", DELTA_STREAM="", CRON_PATTERN_DUMP_JOB="",
                          DUMP_FILE_CREATION_TASK_OPERATION="", START_INITIAL_SYNC="",
                          JOB_TIMEOUT_MINUTES="")
    assert delta.run("dump").status == 0


@pytest.mark.parametrize("entries, words", [
    ([{"name": "a"}, {"name": "a"}], ["1 and 2", "'a'"]),
    ([{}, {"name": ""}], ["entry 2", "name"]),
    ([{}, {"jobsGraph": "x"}], ["entry 2", "jobsGraph"]),
    ([{"healingJobOperation": "http://op/1", "jobsGraph": "http://g"},
      {"dumpFileCreationJobOperation": "http://op/1", "jobsGraph": "http://g"}],
     ["entry 2", "<http://op/1>", "'besluiten'"]),
    ([{"name": "x"}, {"cronPatternDumpJobs": "0 0 0 * * *"}], ["cronPatternDumpJobs"]),
])
def test_one_bad_entry_starts_none(two, entries, words):
    two.use_file(two.streams, entries=entries)
    two.world.config("jobs: {dumps: {plugin: delta-initiator, action: dump}}", name="jobs.yaml")
    for command in (["delta-initiator", "dump"], ["check"]):
        result = two.world.run(*command)
        assert result.status == 2, result.stderr
        for word in words:
            assert word in result.stderr, result.stderr
    assert two.jobs(two.streams[0]) == two.jobs(two.streams[1]) == []


def test_both_forms_at_once(two):
    two.world.environment["HEALING_JOB_OPERATION"] = "http://op"
    result = two.run("dump")
    assert result.status == 2 and "entries" in result.stderr


# ---- the store -----------------------------------------------------------------------------------

def test_a_store_that_is_away_is_waited_for(world, sparql_proxy):
    with delta_world(world, sparql_proxy) as delta:
        delta.use_environment(PING_DB_INTERVAL="1")
        sparql_proxy.down()
        process = delta.start("dump")
        until(lambda: process.poll() is None and "wait" in said(process, world))
        sparql_proxy.up()
        assert process.wait(timeout=PATIENCE_S) == 0
        assert len(delta.check_whole()) == 1


def said(process, world):
    """What the run has said so far; its stderr is read in pieces."""
    import os
    os.set_blocking(process.stderr.fileno(), False)
    process.heard = getattr(process, "heard", "") + (process.stderr.read() or b"").decode()
    return process.heard


def test_a_store_that_stays_away_is_given_up(world, sparql_proxy):
    with delta_world(world, sparql_proxy) as delta:
        delta.use_environment(PING_DB_INTERVAL="1")
        sparql_proxy.down()
        result = delta.run("dump", store_timeout="2s")
        assert result.status == 1 and "database" not in result.stdout
        assert sparql_proxy.query_url in result.stderr, result.stderr


def test_a_store_that_keeps_silent_is_told_of_while_it_is_waited_for(delta):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        delta.world.environment["MU_SPARQL_ENDPOINT"] = \
            f"http://127.0.0.1:{silent.getsockname()[1]}/sparql"
        process = delta.start("dump")
        until(lambda: "waiting for the store" in said(process, delta.world))
        assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 128 + signal.SIGTERM
