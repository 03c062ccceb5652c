"""The operations of the stand-in for Storage Transfer Service: each moves objects between the stand-in's
buckets, one by one, in a thread of its own.

What the description of the service leaves open: an object that the sink has already, the same, is deleted
from the source as if it had been transferred, unless Plan.keep_identical says no; one that 'overwriteWhen:
NEVER' left alone is not. An object that was replaced in the source after it was copied is not deleted."""
import copy
import fnmatch
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass

from google_api import filled
from google_clock import parse_time, time_text
from google_transfer_rules import seconds

ERROR_SAMPLES = 5
TYPE = "type.googleapis.com/google.storagetransfer.v1.TransferOperation"
EMPTY = {"@type": "type.googleapis.com/google.protobuf.Empty"}
NUMBERS = {"CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "PERMISSION_DENIED": 7,
           "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "INTERNAL": 13, "UNAVAILABLE": 14}
ROLES = {
    "roles/storage.objectViewer": {"objects.get", "objects.list"},
    "roles/storage.objectCreator": {"objects.create"},
    "roles/storage.objectAdmin": {"objects.get", "objects.list", "objects.create", "objects.delete"},
    "roles/storage.legacyBucketReader": {"buckets.get", "objects.list"},
    "roles/storage.legacyBucketWriter": {"buckets.get", "objects.list", "objects.create",
                                         "objects.delete"},
    "roles/storage.admin": {"buckets.get", "objects.get", "objects.list", "objects.create",
                            "objects.delete"},
}


@dataclass
class Plan:
    """What goes wrong on purpose. Names are regular expressions, which match anywhere."""
    fail_copies: str | None = None  # of the objects with such names
    fail_deletions: str | None = None
    error: str = "PERMISSION_DENIED"  # by which they fail
    fail_times: int | None = None  # so many of them; None: all
    objects_per_s: float = 0  # 0: as fast as can be
    hold_after: int | None = None  # after so many copied objects operations go no further
    queued: bool = False  # nor do they begin
    unlisted: int = 0  # a new operation is missing from so many listings
    lost_notifications: int = 0  # so many are never published
    keep_identical: bool = False  # see above


class Stopped(Exception):
    """The operation is cancelled, or the server ends."""


class Failed(Exception):
    """The operation cannot go on."""

    def __init__(self, word, message):
        super().__init__(message)
        self.word, self.message = word, message


class Operation:
    """'service' is the Transfers of google_transfer.py, under whose lock all is done."""

    def __init__(self, service, job, name):
        self.service, self.store, self.clock = service, service.store, service.clock
        self.job, self.name = job, name
        self.spec = copy.deepcopy(job.fields["transferSpec"])
        self.notification = copy.deepcopy(job.fields.get("notificationConfig"))
        self.started, self.ended = self.clock.now(), None
        self.status = "QUEUED" if service.plan.queued else "IN_PROGRESS"
        self.unlisted = service.plan.unlisted
        self.counters = Counter()
        self.errors = {}  # word: [count, [(url, message)]]
        self.failure = None  # what ended it, as (word, message)
        self.cancelled = False
        self.objects = 0  # that it has copied or skipped

    @property
    def active(self):
        return self.ended is None

    def start(self):
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            self.transfer()
            status = "FAILED" if self.errors else "SUCCESS"
            if self.errors:
                self.failure = ("UNKNOWN", "Some objects failed to be transferred.")
        except Stopped:
            status, self.failure = "ABORTED", ("CANCELLED", "The operation was cancelled.")
        except Failed as failed:
            status, self.failure = "FAILED", (failed.word, failed.message)
        with self.store.lock:
            self.status, self.ended = status, self.clock.now()
            self.service.notify(self)
            self.service.changed.notify_all()

    # What it is told

    def resource(self):
        """As an Operation of the API."""
        about = filled(
            name=self.name, projectId=self.job.project, transferJobName=self.job.name,
            transferSpec=self.spec, notificationConfig=self.notification, status=self.status,
            startTime=time_text(self.started), endTime=self.ended and time_text(self.ended),
            counters={name: str(count) for name, count in sorted(self.counters.items()) if count},
            errorBreakdowns=[{
                "errorCode": word, "errorCount": str(count), "errorLogEntries": [
                    {"url": url, "errorDetails": [message]} for url, message in samples]}
                for word, (count, samples) in sorted(self.errors.items())])
        found = {"name": self.name, "metadata": {"@type": TYPE, **about}}
        if self.active:
            return found
        found["done"] = True
        if self.failure:
            word, message = self.failure
            found["error"] = {"code": NUMBERS[word], "message": message}
        else:
            found["response"] = EMPTY
        return found

    def matches(self, wanted):
        """Whether the filter of a listing is for it."""
        def like(name, pattern):
            return fnmatch.fnmatchcase(name, re.sub(r"([\[?])", r"[\1]", pattern))
        status = [word.upper() for word in wanted.get("transferStatuses", [])]
        return (wanted["projectId"] == self.job.project
                and self.job.name in (wanted.get("jobNames") or [self.job.name])
                and self.name in (wanted.get("operationNames") or [self.name])
                and self.status in (status or [self.status])
                and like(self.job.name, wanted.get("jobNamePattern", "*"))
                and like(self.name, wanted.get("operationNamePattern", "*"))
                and self.started >= parse_time(wanted.get("minCreationTime", "0001-01-02T00:00:00Z"))
                and self.started <= parse_time(wanted.get("maxCreationTime", "9999-12-30T00:00:00Z")))

    # What it does

    def wait_for_go(self):
        """Returns, under the lock, when the next step is to be done."""
        while True:
            plan = self.service.plan
            if self.cancelled or self.service.stopping:
                raise Stopped
            if self.status == "QUEUED" and not plan.queued:
                self.status = "IN_PROGRESS"
            held = plan.hold_after is not None and self.objects >= plan.hold_after
            if self.status == "IN_PROGRESS" and not held:
                return
            self.service.changed.wait(1)

    def pace(self):
        pace = self.service.plan.objects_per_s
        if pace:
            time.sleep(1 / pace)

    def transfer(self):
        with self.store.lock:
            self.wait_for_go()
            self.check_access()
            names = self.found_in_source()
        for name in names:
            with self.store.lock:
                self.wait_for_go()
                moved = self.bring(name)
                self.objects += 1
            self.pace()
            # In between anybody may change the object.
            if moved and self.option("deleteObjectsFromSourceAfterTransfer"):
                with self.store.lock:
                    self.wait_for_go()
                    self.delete(moved)
        if self.option("deleteObjectsUniqueInSink"):
            with self.store.lock:
                self.delete_unique(names)
        with self.store.lock:
            self.wait_for_go()

    def option(self, name):
        return self.spec.get("transferOptions", {}).get(name)

    @property
    def source(self):
        return self.bucket("gcsDataSource")

    @property
    def sink(self):
        return self.bucket("gcsDataSink")

    def bucket(self, field):
        name = self.spec[field]["bucketName"]
        if name not in self.store.buckets:
            self.fail("NOT_FOUND", f"gs://{name}/", "The specified bucket does not exist.")
            raise Failed("NOT_FOUND", f"The bucket {name} does not exist.")
        return self.store.buckets[name]

    def fail(self, word, url, message):
        count, samples = self.errors.get(word, (0, []))
        self.errors[word] = (count + 1, [*samples, (url, message)][:ERROR_SAMPLES])

    def check_access(self):
        for bucket, missing in access_missing(self.service, self.job.project, self.spec):
            self.fail("PERMISSION_DENIED", f"gs://{bucket}/", missing)
            raise Failed("PERMISSION_DENIED", missing)

    def found_in_source(self):
        root = self.spec["gcsDataSource"].get("path", "")
        conditions = self.spec.get("objectConditions", {})
        source = self.source
        self.sink  # has to be there, too
        return [name for name in source.names
                if name.startswith(root) and is_included(conditions, name)
                and source.live(name)
                and is_of_time(conditions, parse_time(source.live(name).updated), self.started)]

    def target(self, name):
        root = self.spec["gcsDataSource"].get("path", "")
        return self.spec["gcsDataSink"].get("path", "") + name[len(root):]

    def bring(self, name):
        """Sees to it that the sink has an object. Returns what may be deleted from the source now."""
        version = self.source.live(name)
        if not version:
            return None  # somebody else was quicker
        size = len(version.data)
        there = self.sink.live(self.target(name))
        word = self.option("overwriteWhen") or "OVERWRITE_WHEN_UNSPECIFIED"
        same = there is not None and (there.md5, there.crc32c) == (version.md5, version.crc32c)
        if word == "OVERWRITE_WHEN_UNSPECIFIED":
            always = self.option("overwriteObjectsAlreadyExistingInSink")
            word = "ALWAYS" if always else "DIFFERENT"
        if there and (word == "NEVER" or (word == "DIFFERENT" and same)):
            self.count("FromSourceSkippedBySync", size)
            return None if word == "NEVER" or self.service.plan.keep_identical else version
        self.count("FoundFromSource", size)
        return version if self.copy(version, size) else None

    def count(self, what, size):
        self.counters["objects" + what] += 1
        self.counters["bytes" + what] += size

    def copy(self, version, size):
        if self.planned(version, size, self.service.plan.fail_copies):
            return False
        options = self.option("metadataOptions") or {}
        fields = dict(version.fields)
        if options.get("storageClass") != "STORAGE_CLASS_PRESERVE":
            del fields["storageClass"]
        if options.get("timeCreated") == "TIME_CREATED_PRESERVE_AS_CUSTOM_TIME":
            fields["customTime"] = version.created
        self.store.copy(version, self.sink.name, self.target(version.name), fields)
        self.count("CopiedToSink", size)
        return True

    def delete(self, version):
        size = len(version.data)
        if self.planned(version, size, self.service.plan.fail_deletions):
            return
        if self.source.live(version.name) is not version:
            self.object_failed(version, size, "FAILED_PRECONDITION", "The object was replaced.")
            return
        self.source.remove(version, for_ever=False)
        self.count("DeletedFromSource", size)

    def planned(self, version, size, pattern):
        """Whether the test wants an object to fail."""
        plan = self.service.plan
        if pattern is None or not re.search(pattern, version.name) or plan.fail_times == 0:
            return False
        if plan.fail_times is not None:
            plan.fail_times -= 1
        self.object_failed(version, size, plan.error, "The object is to fail.")
        return True

    def object_failed(self, version, size, word, message):
        self.count("FromSourceFailed", size)
        self.fail(word, f"gs://{version.bucket.name}/{version.name}", message)

    def delete_unique(self, names):
        root = self.spec["gcsDataSink"].get("path", "")
        conditions = self.spec.get("objectConditions", {})
        wanted = {self.target(name) for name in names}
        for name in list(self.sink.names):
            version = self.sink.live(name)
            if version and name.startswith(root) and name not in wanted \
                    and is_included(conditions, name[len(root):]):
                self.sink.remove(version, for_ever=False)
                self.count("FoundOnlyFromSink", len(version.data))
                self.count("DeletedFromSink", len(version.data))


def is_included(conditions, name):
    include = conditions.get("includePrefixes")
    return (not include or name.startswith(tuple(include))) \
        and not name.startswith(tuple(conditions.get("excludePrefixes", [])))


def is_of_time(conditions, updated, started):
    """The elapsed times count from the start of the operation; since is inclusive, before is not."""
    age, given = started - updated, conditions.get
    return not (
        (given("minTimeElapsedSinceLastModification")
         and age < seconds(given("minTimeElapsedSinceLastModification")))
        or (given("maxTimeElapsedSinceLastModification")
            and age >= seconds(given("maxTimeElapsedSinceLastModification")))
        or (given("lastModifiedSince") and updated < parse_time(given("lastModifiedSince")))
        or (given("lastModifiedBefore") and updated >= parse_time(given("lastModifiedBefore"))))


def access_missing(service, project, spec):
    """(bucket, message) of each bucket of which the service's own account may not do what it must."""
    if not service.check_access:
        return
    options = spec.get("transferOptions", {})
    source = {"buckets.get", "objects.list", "objects.get"}
    sink = {"buckets.get", "objects.list", "objects.create"}
    if options.get("deleteObjectsFromSourceAfterTransfer"):
        source.add("objects.delete")
    if options.get("deleteObjectsUniqueInSink"):
        sink.add("objects.delete")
    account = service.account_of(project)
    for field, needed in (("gcsDataSource", source), ("gcsDataSink", sink)):
        name = spec[field]["bucketName"]
        bindings = service.store.buckets[name].bindings if name in service.store.buckets else []
        allowed = set().union(*(ROLES.get(one["role"], ()) for one in bindings
                                if f"serviceAccount:{account}" in one["members"]))
        for permission in sorted(needed - allowed):
            yield name, (f"{account} does not have storage.{permission} access to the Google Cloud "
                         "Storage bucket.")
            break
