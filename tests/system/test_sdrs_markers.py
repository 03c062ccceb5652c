"""Delete markers of sdrs in whole runs: from the API through the queue to the shadow, again after
failures, and by several replicas at once."""
import os

import pytest
from conftest import PATIENCE_S
from sdrs_world import PROJECT, SdrsWorld, sdrs, service  # noqa: F401

EVENTS, MARKER = "/events/execution", ".delete_this_folder"
RETRIES = "scheduler.task.dmBatchProcessing.maxRetry"
NO_WAIT = {"lock.dm.timeout": 0}


def mark(service, folder, project=PROJECT):  # noqa: F811
    """The execution of a new marker in a folder such as events/clicks."""
    lake = service.sdrs
    bucket, _, path = folder.partition("/")
    lake.put(bucket, f"{path}/{MARKER}")
    reply = service.post(EVENTS, {"type": "USER", "projectId": project,
                                  "target": lake.name(bucket, f"{path}/{MARKER}")})
    assert reply.status == 200, reply.text
    return reply.json["executionId"]


def marker(service, execution):  # noqa: F811
    """Its status, its retries and the status of its execution."""
    shown = service.get(f"{EVENTS}/{execution}").json
    found, = shown["markers"]
    return found["status"], found["retries"], shown["status"]


def test_many_markers_in_few_jobs(sdrs, service):  # noqa: F811
    sdrs.configure(**{"sts.maxPrefixCount": 7})
    keys = sdrs.hours("events", "clicks", "2019-03-01T00", 20)
    stays = sdrs.hours("events", "clicks", "2019-03-01T20", 2)
    executions = [mark(service, f"events/{key.rpartition('/')[0]}") for key in keys]
    nested = mark(service, "events/clicks/2019/03/01/00/deeper")
    result = sdrs.run("dm-batch", "--json")
    assert result.status == 0, result.text
    assert result.final["counters"]["markers"] == 21
    assert result.final["counters"]["jobs_succeeded"] == 3
    assert result.final["counters"]["objects_moved"] == 2 * 20 + 1
    assert sdrs.keys("events") == stays
    for execution in (*executions, nested):
        assert marker(service, execution) == ("success", 0, "success")


def test_what_markers_moved_is_brought_back(sdrs, service):  # noqa: F811
    """By the batch of their job, which is nobody's own where it is of several requests."""
    keys = [f"{folder}/{MARKER}" for folder in ("clicks", "views")]
    executions = [mark(service, f"events/{folder}") for folder in ("clicks", "views")]
    assert sdrs.run("dm-batch").status == 0
    assert sdrs.keys("events") == []
    shown = [service.get(f"{EVENTS}/{execution}").json for execution in executions]
    batch, = {one["jobs"][0]["batchId"] for one in shown}
    assert batch not in {one["batchId"] for one in shown}
    assert sdrs.run("restore", batch=batch).status == 0
    assert sdrs.keys("events") == keys


def test_one_bad_bucket_is_tried_again_and_given_up(sdrs, service):  # noqa: F811
    sdrs.configure(**{RETRIES: 1})
    sdrs.bucket("bare", shadow=False)
    bad, good = mark(service, "bare/clicks"), mark(service, "events/clicks")
    result = sdrs.run("dm-batch")
    assert result.status == 1 and "bareshadow" in result.text
    assert marker(service, good) == ("success", 0, "success")
    assert marker(service, bad) == ("retry", 0, "running")
    assert sdrs.run("dm-batch").status == 1
    assert marker(service, bad) == ("fail", 1, "error")
    assert "bareshadow" in service.get(f"{EVENTS}/{bad}").json["message"]
    assert sdrs.keys("bare") == [f"clicks/{MARKER}"]
    assert sdrs.run("dm-batch").status == 0

    # Now that there is a shadow, the same may be asked for again.
    (sdrs.root / "bareshadow").mkdir()
    again = mark(service, "bare/clicks")
    assert sdrs.run("dm-batch").status == 0
    assert marker(service, again) == ("success", 0, "success")


def test_a_held_folder_stays(sdrs, service):  # noqa: F811
    held, free = mark(service, "events/held"), mark(service, "events/free")
    sdrs.configure(legal_holds=[sdrs.name("events", "held/")])
    result = sdrs.run("dm-batch")
    assert result.status == 1 and "legal hold" in result.text
    assert sdrs.keys("events") == [f"held/{MARKER}"]
    assert marker(service, held)[0] == "retry" and marker(service, free)[0] == "success"


@pytest.fixture
def shared(world_in_memory, postgres):
    """The same with its state on a PostgreSQL server."""
    world_in_memory.environment["RUN_CORE_STATE"] = postgres.make_database(
        f"state_{os.urandom(6).hex()}")
    return SdrsWorld(world_in_memory)


def test_replicas_process_each_marker_once(shared):
    folders = []
    for bucket in ("a", "b", "c"):
        shared.bucket(bucket)
        for key in shared.hours(bucket, "x", "2019-03-01T00", 10):
            folders.append(f"{bucket}/{key.rpartition('/')[0]}")
    with shared.serve() as service:  # noqa: F811
        executions = [mark(service, folder) for folder in folders]
        running = [shared.start("dm-batch", **NO_WAIT) for _ in range(3)]
        for process in running:
            process.communicate(timeout=PATIENCE_S)
        assert sorted({process.returncode for process in running})[0] == 0
        assert {process.returncode for process in running} <= {0, 3}
        assert all(marker(service, e) == ("success", 0, "success") for e in executions)
    for bucket in ("a", "b", "c"):
        assert shared.keys(bucket) == [] and len(shared.keys(f"{bucket}shadow")) == 20


def test_a_job_that_is_forgotten_is_not_shown(sdrs, service):  # noqa: F811
    """Nor another one in its place, while its marker waits."""
    sdrs.bucket("bare", shadow=False)
    waits = mark(service, "bare/clicks")
    assert sdrs.run("dm-batch").status == 1
    assert [job["jobId"] for job in service.get(f"{EVENTS}/{waits}").json["jobs"]] == [1]
    assert sdrs.run("dm-cleanup", now="2100-01-01T00:00:00Z").status == 0
    sdrs.hours("events", "clicks", "2019-03-01T00", 1)
    service.add_rule("events", "clicks")
    assert sdrs.run("execute").status == 0
    shown = service.get(f"{EVENTS}/{waits}").json
    assert (shown["jobs"], shown["objects"]) == ([], 0)


def test_cleanup_forgets_what_is_old(sdrs, service):  # noqa: F811
    execution = mark(service, "events/clicks")
    assert sdrs.run("dm-batch").status == 0
    assert sdrs.run("dm-cleanup").status == 0
    assert marker(service, execution)[0] == "success"
    result = sdrs.run("dm-cleanup", "--json", now="2100-01-01T00:00:00Z")
    assert result.final["counters"]["markers_forgotten"] == 1
    assert service.get(f"{EVENTS}/{execution}").status == 404
