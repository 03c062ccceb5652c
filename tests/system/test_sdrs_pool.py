"""The pool of transfer jobs over HTTP, as the older system's provisioning script fills and empties it.
Whether the jobs are there is asked of the stand-in for Google."""

import pytest
from google_api import refusal
from google_world import Caller
from sdrs_world import sdrs  # noqa: F401: a fixture
from test_sdrs_rules import UUID, said

PROJECT, BUCKET = "project-1", "events"
KEY = {"sourceBucket": BUCKET, "sourceProject": PROJECT}
REFUSED = "Job pool already exists or jobs in use"
MEMBERS = {"id", "name", "projectId", "schedule", "type", "sourceBucket", "sourceProject",
           "targetBucket", "targetProject", "createdAt", "updatedAt", "status", "requestUuid"}


class Pools:
    """The API, and the service that it asks."""

    def __init__(self, service, gcs):
        self.service, self.gcs, self.call = service, gcs, Caller(gcs)

    def transfer_job(self, number):
        """Makes a daily job at the service, as the script does."""
        name = f"transferJobs/pool{number}"
        self.call("POST", "/v1/transferJobs", {
            "name": name, "projectId": PROJECT, "status": "DISABLED",
            "schedule": {"scheduleStartDate": {"year": 2030, "month": 1, "day": 1},
                         "startTimeOfDay": {"hours": number % 24}},
            "transferSpec": {"gcsDataSource": {"bucketName": BUCKET},
                             "gcsDataSink": {"bucketName": f"{BUCKET}shadow"}}})
        return name

    def jobs(self, *numbers, kind="dataset", **more):
        """What the script sends of jobs that it has made; without targetProject, as ever."""
        return [{"name": self.transfer_job(number), "status": "DISABLED", "type": kind,
                 "projectId": PROJECT, "sourceBucket": BUCKET, "sourceProject": PROJECT,
                 "targetBucket": f"{BUCKET}shadow", "schedule": f"{number % 24:02}:00:00", **more}
                for number in numbers]

    def add(self, jobs, **key):
        return self.service.post("/stsjobpool", jobs, **{**KEY, **key})

    def get(self, **key):
        reply = self.service.get("/stsjobpool", **{**KEY, **key})
        assert reply.status == 200, reply.text
        return reply.json


@pytest.fixture
def pools(sdrs, gcs):
    sdrs.use_google(gcs)
    for bucket in (BUCKET, f"{BUCKET}shadow"):
        gcs.store.make_bucket(bucket)
    with sdrs.serve() as service:
        yield Pools(service, gcs)


def test_a_pool_is_made_read_and_deleted(pools):
    assert pools.get() == []
    jobs = pools.jobs(5, 3, 23) + pools.jobs(24, kind="default", schedule="23:59:59",
                                             targetProject="p2")
    made = pools.add(jobs)
    assert made.status == 200 and made.json["success"] is True
    assert UUID.fullmatch(made.json["requestUuid"])
    found = pools.get()
    assert all(set(job) == MEMBERS and UUID.fullmatch(job["requestUuid"]) for job in found)
    assert [job["schedule"] for job in found] == ["03:00:00", "05:00:00", "23:00:00", "23:59:59"]
    asked = {job["name"]: job for job in jobs}
    for job in found:
        assert {name: job[name] for name in asked[job["name"]]} == asked[job["name"]]
    assert [job["targetProject"] for job in found] == [None, None, None, "p2"]
    assert pools.get(sourceBucket="other") == pools.get(sourceProject="other") == []
    gone = pools.service.delete("/stsjobpool", **KEY)
    assert gone.status == 200 and gone.json["success"] is True
    assert pools.get() == []
    assert pools.service.delete("/stsjobpool", **KEY).json["success"] is True
    assert pools.add(jobs).status == 200


def test_a_bucket_has_one_pool(pools):
    assert pools.add(pools.jobs(1, 2)).status == 200
    assert said(pools.add(pools.jobs(3))) == REFUSED
    assert len(pools.get()) == 2


def test_a_job_is_in_one_pool(pools):
    jobs = pools.jobs(1, 2)
    assert pools.add(jobs).status == 200
    other = [dict(job, sourceBucket="other") for job in pools.jobs(3) + jobs[1:]]
    assert said(pools.add(other, sourceBucket="other")) == REFUSED
    assert pools.get(sourceBucket="other") == []  # all or none
    assert said(pools.add([dict(other[0], sourceBucket="third")] * 2, sourceBucket="third")) == (
        REFUSED)


def test_jobs_have_to_be_there(pools):
    jobs = pools.jobs(1)
    gone = dict(jobs[0], name="transferJobs/gone")
    assert said(pools.add(jobs + [gone])) == (
        f"Transfer job transferJobs/gone does not exist in project {PROJECT}")
    assert said(pools.add([dict(jobs[0], projectId="another-1")])) == (
        "Transfer job transferJobs/pool1 does not exist in project another-1")
    pools.gcs.transfers.denied_projects.add("another-2")
    assert said(pools.add([dict(jobs[0], projectId="another-2")])).startswith(
        "Transfer job transferJobs/pool1 of project another-2 cannot be looked at: ")
    assert pools.get() == []


def test_a_service_that_is_away_is_no_mistake_of_the_client(pools):
    jobs = pools.jobs(1)
    pools.gcs.rules.add(refusal("UNAVAILABLE", method="GET", target="/transferJobs/", times=None))
    assert said(pools.add(jobs), 503) == "Service unavailable, try again later"
    assert pools.get() == []


@pytest.mark.parametrize("key, mistakes", [
    ({}, "sourceBucket must be provided, sourceProject must be provided"),
    ({"sourceBucket": "b"}, "sourceProject must be provided"),
    ({"sourceBucket": "", "sourceProject": "p"}, "sourceBucket must be provided"),
])
def test_a_pool_is_named_by_its_bucket_and_project(pools, key, mistakes):
    for reply in (pools.service.get("/stsjobpool", **key),
                  pools.service.delete("/stsjobpool", **key),
                  pools.service.post("/stsjobpool", [], **key)):
        assert said(reply) == f"Invalid input: {mistakes}"


def test_what_jobs_have_is_checked(pools):
    job = {"name": "transferJobs/1", "projectId": PROJECT, "schedule": "01:00:00",
           "type": "dataset"}
    name_form = "has to be that of a transfer job, as transferJobs/123"
    for more, mistake in [
        *[({"name": name}, f"[0].name {name_form}") for name in (
            None, "", "1", "transferJobs/", "transferJobs/..", "transferJobs/a/b",
            "transferJobs/a?b", "transferJobs/a b", "transferOperations/1")],
        ({"projectId": ""}, "[0].projectId must be provided"),
        ({"schedule": "24:00:00"}, "[0].schedule has to be a time as HH:MM:SS"),
        ({"schedule": "1:00"}, "[0].schedule has to be a time as HH:MM:SS"),
        ({"schedule": "01:60:00"}, "[0].schedule has to be a time as HH:MM:SS"),
        ({"type": "weekly"}, "[0].type has to be one of [dataset, default, user]"),
        ({"sourceBucket": "b2"}, "[0].sourceBucket has to be 'events', as of the pool"),
        ({"sourceProject": "p2"}, "[0].sourceProject has to be 'project-1', as of the pool"),
        ({"name": "", "type": None}, f"[0].name {name_form}, "
                                     "[0].type has to be one of [dataset, default, user]"),
    ]:
        assert said(pools.add([dict(job, **more)])) == f"Invalid input: {mistake}"
    assert said(pools.add([])) == "Invalid input: a pool has from 1 to 1000 jobs"
    assert said(pools.add([job] * 1001)) == "Invalid input: a pool has from 1 to 1000 jobs"
    assert said(pools.add(job)) == "Unable to read JSON input"
    assert said(pools.add([job, 5])) == "Unable to read JSON input"
    assert said(pools.add([dict(job, id=5)])) == "'id' is not an expected object property"
    assert said(pools.add([dict(job, schedule=5)])) == "'5' doesn't match expected type"
    assert said(pools.add([{}] * 1000)).startswith(f"Invalid input: [0].name {name_form}")
