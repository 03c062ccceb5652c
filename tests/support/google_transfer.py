"""A stand-in for Google's Storage Transfer Service: jobs, which are for real. When one is due, or is told
to run, its operation moves objects between the buckets of the stand-in for Cloud Storage, by which it is
served: Gcs.transfers, at the same endpoint. How tests work it:

    gcs.clock.set("2019-03-10T05:30:00Z")     time stands still; daily jobs are due when it is moved on
    gcs.clock.advance(hours=19)
    gcs.transfers.settle()                    waits until no operation goes on
    gcs.transfers.plan = Plan(fail_copies="/broken$")   what goes wrong: google_transfer_run.py
    gcs.transfers.change(hold_after=None)     other words for the plan in force
    gcs.transfers.check_access = True         the service's own account needs its rights on the buckets
    gcs.transfers.denied_projects.add("p")    the caller has none in that project
    gcs.transfers.operations[-1].resource()   what became of the last run
    gcs.rules.add(refusal("RESOURCE_EXHAUSTED", method="POST", times=2))       google_api.py

With which words a job is refused whose buckets are missing, not to be read or not to be written, or that
is told to run while it does or is not enabled, Google does not say; users of the service do.

Tests in other processes do the same through /_control, with the settings "clock_time" (null for the
real one), "transfer_plan" (an object), "check_access" and "denied_projects" (a list)."""
import json
import re
import secrets
import threading
import time
import zlib
from dataclasses import replace

from google_api import Api, ApiError, filled, invalid, page
from google_clock import time_text
from google_transfer_rules import (OUTPUT_ONLY, check_changeable, check_job, first_due, is_for_one_day,
                                   next_due)
from google_transfer_run import Operation, Plan, access_missing

CHANGEABLE = ("description", "transferSpec", "notificationConfig", "loggingConfig", "status")
LISTING_LIMIT = 256
LISTS = {  # what a filter names several of, and the words that may be in it
    "jobNames": None, "operationNames": None, "jobStatuses": ("ENABLED", "DISABLED", "DELETED"),
    "transferStatuses": ("IN_PROGRESS", "PAUSED", "SUCCESS", "FAILED", "ABORTED"),
}


class Job:
    def __init__(self, fields, now):
        self.fields = fields
        self.created, self.changed, self.deleted = now, now, None
        self.due = first_due(fields.get("schedule"), now)
        self.operations = []

    project = property(lambda self: self.fields["projectId"])
    name = property(lambda self: self.fields["name"])
    status = property(lambda self: self.fields["status"])

    @property
    def active(self):
        return bool(self.operations) and self.operations[-1].active

    def resource(self):
        return filled(**self.fields, creationTime=time_text(self.created),
                      lastModificationTime=time_text(self.changed),
                      deletionTime=self.deleted and time_text(self.deleted),
                      latestOperationName=self.operations[-1].name if self.operations else "")


def read_filter(request, known):
    """The filter of a listing. The service takes its names with underscores, too."""
    text = request.parameter("filter")
    try:
        wanted = json.loads(text)
        wanted = {re.sub("_([a-z])", lambda found: found[1].upper(), name): value
                  for name, value in wanted.items()}
    except (ValueError, AttributeError) as error:
        raise invalid(f"filter is no JSON object: {text}") from error
    for name, value in wanted.items():
        if name not in known or not isinstance(value, list if name in LISTS else str):
            raise invalid(f"filter: '{name}' is not known or of the wrong type")
        if LISTS.get(name) and not {word.upper() for word in value} <= set(LISTS[name]):
            raise invalid(f"filter: '{name}' has another word than {', '.join(LISTS[name])}")
    return wanted


class Transfers(Api):
    def __init__(self, server):
        super().__init__(server, "storagetransfer-v1-api.json.gz")
        self.lock = self.store.lock
        self.changed = threading.Condition(self.lock)
        self.jobs = {}  # (project, name)
        self.operations = []  # the oldest first
        self.plan = Plan()
        self.check_access = False
        self.stopping = False
        self.watching = False
        self.clock.listeners.append(self.start_due)

    def check_reply(self, method, reply):
        """An Operation may hold anything by its description; those of this service hold this."""
        yield from super().check_reply(method, reply)
        for one in [reply, *reply.get("operations", [])]:
            about = dict(one.get("metadata", {}))
            about.pop("@type", None)
            yield from self.discovery.check_body({"$ref": "TransferOperation"}, about)

    # For tests

    def change(self, **fields):
        with self.lock:
            self.plan = replace(self.plan, **fields)
            self.changed.notify_all()

    def settle(self, timeout_s=60):
        """Waits until no operation goes on. Those that are held or paused never end."""
        end = time.monotonic() + timeout_s
        with self.lock:
            while any(one.active for one in self.operations):
                if time.monotonic() > end:
                    raise TimeoutError([one.name for one in self.operations if one.active])
                self.changed.wait(0.2)

    def stop(self):
        with self.lock:
            self.stopping = True
            self.changed.notify_all()

    @staticmethod
    def number_of(project):
        return 100000000000 + zlib.crc32(project.encode())

    def account_of(self, project):
        return (f"project-{self.number_of(project)}@storage-transfer-service.iam.gserviceaccount"
                ".com")

    # When jobs are due

    def start_due(self):
        """Starts what is due by the clock. What was missed while it leapt runs once."""
        with self.lock:
            now = self.clock.now()
            for job in self.jobs.values():
                if job.due is None or job.due > now:
                    continue
                schedule = job.fields["schedule"]
                job.due = None if is_for_one_day(schedule) else next_due(schedule, now)
                if job.status == "ENABLED" and not job.active:
                    self.start(job)
            self.changed.notify_all()

    def watch(self):
        """Starts jobs while the clock goes by itself."""
        with self.lock:
            while not self.stopping:
                self.start_due()
                left = [(job.due - self.clock.now()).total_seconds()
                        for job in self.jobs.values() if job.due]
                self.changed.wait(None if self.clock.stands else max(min(left, default=60), 0.01))

    def start(self, job):
        name = f"transferOperations/{job.name.replace('/', '-')}-{secrets.randbits(63)}"
        operation = Operation(self, job, name)
        job.operations.append(operation)
        self.operations.append(operation)
        operation.start()
        return operation

    def notify(self, operation):
        """Tells the topic of the job what became of its run."""
        notify, event = operation.notification, f"TRANSFER_OPERATION_{operation.status}"
        if not notify or event not in (notify.get("eventTypes") or [event]):
            return
        if self.plan.lost_notifications > 0:
            self.plan.lost_notifications -= 1
            return
        about = operation.resource()["metadata"]
        data = json.dumps(about).encode() if notify["payloadFormat"] == "JSON" else b""
        self.server.pubsub.put(notify["pubsubTopic"], data, {
            "eventType": event, "payloadFormat": notify["payloadFormat"],
            "projectId": operation.job.project, "transferJobName": operation.job.name,
            "transferOperationName": operation.name})

    # Jobs

    def transferJobs_create(self, _request, fields):
        project = fields.get("projectId")
        self.check_project(project)
        check_job(fields)
        fields = {name: value for name, value in fields.items() if name not in OUTPUT_ONLY}
        fields.setdefault("name", f"transferJobs/{secrets.randbits(63)}")
        with self.lock:
            if (project, fields["name"]) in self.jobs:
                raise ApiError("ALREADY_EXISTS", f"Job '{fields['name']}' already exists.")
            self.check_buckets(project, fields["transferSpec"])
            job = self.jobs[project, fields["name"]] = Job(fields, self.clock.now())
            self.start_due()
            if not self.watching:
                self.watching = True
                threading.Thread(target=self.watch, daemon=True).start()
            return job.resource()

    def check_buckets(self, project, spec):
        for field in ("gcsDataSource", "gcsDataSink"):
            name = spec[field]["bucketName"]
            if name not in self.store.buckets:
                raise ApiError("NOT_FOUND", f"The bucket '{name}' does not exist.")
        for bucket, missing in access_missing(self, project, spec):
            raise ApiError("FAILED_PRECONDITION", "Failed to obtain the location of the Google Cloud "
                           f"Storage (GCS) bucket {bucket}. Additional details: {missing}")

    def find(self, project, name):
        self.check_project(project)
        with self.lock:
            job = self.jobs.get((project, name))
        if not job:
            raise ApiError("NOT_FOUND", f"Job '{name}' not found in project '{project}'.")
        return job

    def transferJobs_get(self, request, _fields, jobName):
        with self.lock:
            return self.find(request.parameter("projectId"), jobName).resource()

    def transferJobs_list(self, request, _fields):
        wanted = read_filter(request, {"projectId", "jobNames", "jobStatuses"})
        self.check_project(wanted.get("projectId"))
        status = [word.upper() for word in wanted.get("jobStatuses", [])]
        with self.lock:
            found = [job for (project, name), job in self.jobs.items()
                     if project == wanted["projectId"]
                     and name in (wanted.get("jobNames") or [name])
                     and job.status in (status or [job.status])]
            found, token = page(found, request, lambda job: job.name, LISTING_LIMIT)
            return filled(transferJobs=[job.resource() for job in found], nextPageToken=token)

    def transferJobs_patch(self, _request, fields, jobName):
        given = fields.get("transferJob") or {}
        with self.lock:
            job = self.find(fields.get("projectId"), jobName)
            mask = fields.get("updateTransferJobFieldMask")
            # Nobody says what is refused without a mask but for names of other jobs.
            given = {name: value for name, value in given.items()
                     if (name, value) not in (("name", jobName), ("projectId", job.project))}
            names = [re.sub("_([a-z])", lambda found: found[1].upper(), name)
                     for name in mask.split(",")] if mask else list(given)
            for name in (*names, *given):
                if name not in CHANGEABLE:
                    raise invalid(f"'{name}' of a job cannot be changed")
            changes = {name: given.get(name) for name in names}
            self.check_changes(job, changes)
            job.fields = {name: value for name, value in {**job.fields, **changes}.items()
                          if value is not None}
            job.changed = self.clock.now()
            job.deleted = job.changed if job.status == "DELETED" else None
            return job.resource()

    def check_changes(self, job, changes):
        if job.status == "DELETED":
            raise ApiError("FAILED_PRECONDITION", f"Job '{job.name}' is deleted.")
        if not changes:
            raise invalid("there is nothing to change")
        if "status" in changes and changes["status"] not in ("ENABLED", "DISABLED", "DELETED"):
            raise invalid("status must be ENABLED, DISABLED or DELETED")
        if "transferSpec" in changes and not changes["transferSpec"]:
            raise invalid("transferSpec cannot be removed")
        check_changeable({name: value for name, value in changes.items() if value is not None})
        if "transferSpec" in changes:
            self.check_buckets(job.project, changes["transferSpec"])

    def transferJobs_delete(self, request, _fields, jobName):
        with self.lock:
            job = self.find(request.parameter("projectId"), jobName)
            if job.status != "DELETED":
                job.fields["status"] = "DELETED"
                job.deleted = job.changed = self.clock.now()
        return {}

    def transferJobs_run(self, _request, fields, jobName):
        with self.lock:
            job = self.find(fields.get("projectId"), jobName)
            if job.status != "ENABLED":
                raise ApiError("FAILED_PRECONDITION", f"Job '{jobName}' is not enabled.")
            if job.active:
                raise ApiError("FAILED_PRECONDITION", f"Job '{jobName}' has an active operation.")
            return self.start(job).resource()

    # Operations

    def operation(self, name):
        found = next((one for one in self.operations if one.name == name), None)
        if not found:
            raise ApiError("NOT_FOUND", f"Operation '{name}' not found.")
        self.check_project(found.job.project)
        return found

    def transferOperations_list(self, request, _fields, **_names):
        wanted = read_filter(request, {
            "projectId", "jobNames", "jobNamePattern", "operationNames", "operationNamePattern",
            "minCreationTime", "maxCreationTime", "transferStatuses"})
        self.check_project(wanted.get("projectId"))
        with self.lock:
            found = []
            for one in reversed(self.operations):
                if not one.matches(wanted):
                    continue
                one.unlisted -= 1
                if one.unlisted < 0:
                    found.append(one)
            found, token = page(found, request, lambda one: one.name, LISTING_LIMIT)
            return filled(operations=[one.resource() for one in found], nextPageToken=token)

    def transferOperations_get(self, _request, _fields, name):
        with self.lock:
            return self.operation(name).resource()

    def transferOperations_cancel(self, _request, _fields, name):
        with self.lock:
            self.operation(name).cancelled = True
            self.changed.notify_all()
        return {}

    def transferOperations_pause(self, _request, _fields, name):
        return self.turn(name, "IN_PROGRESS", "PAUSED")

    def transferOperations_resume(self, _request, _fields, name):
        return self.turn(name, "PAUSED", "IN_PROGRESS")

    def turn(self, name, before, after):
        with self.lock:
            operation = self.operation(name)
            if operation.status != before:
                raise ApiError("FAILED_PRECONDITION", f"Operation '{name}' is {operation.status}.")
            operation.status = after
            self.changed.notify_all()
        return {}

    def googleServiceAccounts_get(self, _request, _fields, projectId):
        self.check_project(projectId)
        return {"accountEmail": self.account_of(projectId),
                "subjectId": str(self.number_of(projectId))}
