"""Runs whose state is on PostgreSQL: locks, plugins' tables, dry runs, and what is said when the
server is not there."""

import signal

import pytest
from postgres import PASSWORD, URL_PASSWORD
from test_worker import wait_for, writer_words

JOBS = """
jobs:
  forbid: {plugin: hang, action: wait}
  queue:  {plugin: counter, concurrency: queue, config: {steps: 3, step: 300ms}}
"""


def database_of(url):
    return url.rpartition("/")[2]


@pytest.fixture
def sql(postgres, state_on_postgres):
    return lambda text: postgres.sql(text, database_of(state_on_postgres))


def test_plugins_have_their_tables_there(world, sql):
    for runs in (1, 2):
        result = world.run(*writer_words(world))
        assert result.status == 0, result.text
        assert result.final["counters"]["runs_seen"] == runs
        assert sql("SELECT count(*) FROM run_core_writer.seen") == [str(runs)]
    assert not world.state.exists()


def test_a_dry_run_changes_nothing(world, sql):
    words = [*writer_words(world), "--dry-run"]
    result = world.run(*words)
    assert result.status == 0, result.text
    assert sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'run%'") == []
    assert "would run in the state database: INSERT INTO seen" in result.text

    assert world.run(*writer_words(world)).status == 0
    result = world.run(*words)
    assert result.status == 0, result.text
    assert result.final["counters"]["runs_seen"] == 1
    assert sql("SELECT count(*) FROM run_core_writer.seen") == ["1"]


def test_jobs_exclude_each_other(world, sql):
    world.config(JOBS)
    first = world.start("run", "forbid")
    wait_for(first, "waiting")
    second = world.run("run", "forbid", "--json")
    assert second.status == 3
    assert (second.final["status"], second.final["reason"]) == ("skipped", "locked")
    assert sql("SELECT name FROM run_core.locks WHERE holder IS NOT NULL") == ["job:forbid"]
    first.kill()
    first.communicate()

    third = world.start("run", "forbid")  # the lock of a dead run is free at once
    wait_for(third, "waiting")
    third.send_signal(signal.SIGTERM)
    third.communicate()
    assert sql("SELECT name FROM run_core.locks WHERE holder IS NOT NULL") == []

    runs = [world.start("run", "queue") for _ in range(3)]
    for run in runs:
        run.communicate()
        assert run.returncode == 0


def test_a_lock_of_another_machine_counts_until_its_lease_ends(world, sql):
    world.config(JOBS)
    assert world.run("run", "queue").status == 0
    sql("UPDATE run_core.locks SET holder = 'run 7', host = 'elsewhere', pid = 1, "
        "expires_unix_ms = 1000 * extract(epoch FROM now()) + 60000")
    world.config(JOBS.replace("queue,", "forbid,"))
    result = world.run("run", "queue")
    assert result.status == 3
    assert "held by run 7" in result.text
    sql("UPDATE run_core.locks SET expires_unix_ms = 1000 * extract(epoch FROM now()) - 1")
    assert world.run("run", "queue").status == 0


@pytest.mark.parametrize("wrong, words", [
    (lambda url: url.replace(URL_PASSWORD, "not-the-secret"), "password authentication failed"),
    (lambda url: url + "-elsewhere", "does not exist"),
    (lambda url: url.rpartition(":")[0] + ":1/x", "Connection refused"),
    (lambda url: url + "?colour=blue", "no valid one of PostgreSQL"),
])
def test_it_says_what_is_wrong_and_no_password(world, state_on_postgres, wrong, words):
    world.config(f"core: {{state: '{wrong(state_on_postgres)}'}}\n{JOBS}")
    result = world.run("run", "queue", "--json")
    assert result.status == (2 if "no valid" in words else 1), result.text
    assert words in result.text
    for secret in (PASSWORD, URL_PASSWORD, "not-the-secret"):
        assert secret not in result.stdout + result.stderr


def test_a_lost_connection_is_told_to_the_run(world, postgres, state_on_postgres):
    """The administrator ends all sessions: the run's lock is renewed over a new one."""
    world.config(JOBS)
    run = world.start("run", "forbid")
    wait_for(run, "waiting")
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 f"WHERE datname = '{database_of(state_on_postgres)}'")
    run.send_signal(signal.SIGTERM)
    run.communicate()
    result = world.run("run", "queue")
    assert result.status == 0, result.text
    assert postgres.sql("SELECT count(*) FROM run_core.locks WHERE holder IS NOT NULL",
                        database_of(state_on_postgres)) == ["0"]


@pytest.mark.parametrize("state, words", [
    ("mysql://h/d", "'state' must be sqlite:///PATH"),
    ("sqlite://relative", "'state' must be sqlite:///PATH"),
    ("postgresql://u:se@cret@h/d", "no valid one of PostgreSQL"),
    ("postgresql://u@h/d?colour=blue", "no valid one of PostgreSQL"),
    ("postgresql://u:cret@no.such.host:99999/d", "invalid port number"),
    ("postgresql://u:cret@no.such.host/d?sslmode=wat", 'invalid sslmode value: "wat"'),
    ("postgresql://u:p@no.such.host/d?sslmode=verify-full", None),
    ("postgresql://u:p@no.such.host/d", None),
    ("sqlite:///not/there/yet.db", None),
])
def test_check_looks_at_the_url_and_not_there(world, state, words):
    world.config(f"core: {{state: '{state}'}}\n{JOBS}")
    result = world.run("check")
    assert result.status == (2 if words else 0), result.stderr
    if words:
        assert "test.yaml:1:15: " in result.stderr and words in result.stderr
        assert "cret" not in result.stderr + result.stdout
