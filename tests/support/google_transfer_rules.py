"""What Storage Transfer Service asks of a job, and when its schedule wants it to run. All is from the
description of the API; where that leaves something open it is said here.

Schedules, all in UTC. The runs of a job are at its start and each 24 hours, or 'repeatInterval', after;
none that was due before the job was created, and none after its end. Two things are special. Without
'startTimeOfDay' it also runs at once, or as soon as its start date begins, and then at midnights. And a
job for one day only whose time or day is over runs all the same: at once or, with 'startTimeOfDay', the
day after it was created."""
import re
from datetime import datetime, timedelta, timezone

from google_api import ApiError, invalid

PREFIX_LIMIT, PREFIX_LIMIT_BYTES = 1000, 1024
NAME_LIMIT, DESCRIPTION_LIMIT_BYTES = 128, 1024
TIME_CONDITIONS = ("minTimeElapsedSinceLastModification", "maxTimeElapsedSinceLastModification",
                   "lastModifiedSince", "lastModifiedBefore")
DAY = timedelta(days=1)
OUTPUT_ONLY = ("creationTime", "lastModificationTime", "deletionTime", "latestOperationName")


def check_job(job):
    """Raises for a job that may not be created."""
    name = job.get("name", "")
    if name and (len(name) > NAME_LIMIT or not re.fullmatch(
            r"transferJobs/(?!OPI)[A-Za-z0-9\-._~]*[A-Za-z0-9]", name)):
        raise invalid(f"Invalid job name '{name}'")
    if job.get("status") not in ("ENABLED", "DISABLED"):
        raise invalid("A new job's status must be ENABLED or DISABLED")
    for field in ("eventStream", "replicationSpec"):
        if job.get(field):
            raise ApiError("UNIMPLEMENTED", f"the stand-in does not know {field}")
    check_changeable(job)
    if "transferSpec" not in job:
        raise invalid("transferSpec is missing")
    if "schedule" in job:
        check_schedule(job["schedule"])


def check_changeable(job):
    """What can be changed later, too, where it is there."""
    if len(job.get("description", "").encode()) > DESCRIPTION_LIMIT_BYTES:
        raise invalid("description must be at most 1024 bytes")
    notify = job.get("notificationConfig")
    if notify:
        if not re.fullmatch("projects/[^/]+/topics/[^/]+", notify.get("pubsubTopic", "")):
            raise invalid("notificationConfig.pubsubTopic must be projects/{project}/topics/{topic}")
        if notify.get("payloadFormat") not in ("NONE", "JSON"):
            raise invalid("notificationConfig.payloadFormat must be NONE or JSON")
        if "EVENT_TYPE_UNSPECIFIED" in notify.get("eventTypes", []):
            raise invalid("notificationConfig.eventTypes must not have EVENT_TYPE_UNSPECIFIED")
    if "transferSpec" in job:
        check_spec(job["transferSpec"])


def check_spec(spec):
    known = {"gcsDataSource", "gcsDataSink", "objectConditions", "transferOptions"}
    for field, value in spec.items():
        if field not in known and value:
            raise ApiError("UNIMPLEMENTED", f"the stand-in does not know transferSpec.{field}")
    for field in ("gcsDataSource", "gcsDataSink"):
        place = spec.get(field, {})
        if not place.get("bucketName"):
            raise invalid(f"transferSpec.{field}.bucketName is missing")
        path = place.get("path", "")
        if path and (path.startswith("/") or not path.endswith("/")):
            raise invalid(f"transferSpec.{field}.path must be empty or end with '/'")
    source, sink = spec["gcsDataSource"], spec["gcsDataSink"]
    if (source["bucketName"], source.get("path", "")) == (sink["bucketName"], sink.get("path", "")):
        raise invalid("the source and the sink are the same")
    conditions, options = spec.get("objectConditions", {}), spec.get("transferOptions", {})
    check_prefixes(conditions)
    if source.get("path") and (conditions.get("includePrefixes")
                               or conditions.get("excludePrefixes")):
        raise ApiError("UNIMPLEMENTED", "the stand-in does not know prefixes below a path")
    if options.get("deleteObjectsUniqueInSink"):
        if options.get("deleteObjectsFromSourceAfterTransfer"):
            raise invalid("deleteObjectsUniqueInSink and deleteObjectsFromSourceAfterTransfer are "
                          "mutually exclusive")
        if any(name in conditions for name in TIME_CONDITIONS):
            raise invalid("deleteObjectsUniqueInSink is not possible with conditions on times")


def check_prefixes(conditions):
    include = conditions.get("includePrefixes", [])
    exclude = conditions.get("excludePrefixes", [])
    for field, prefixes in (("includePrefixes", include), ("excludePrefixes", exclude)):
        if len(prefixes) > PREFIX_LIMIT:
            raise invalid(f"{field} must have at most {PREFIX_LIMIT} entries, not {len(prefixes)}")
        for prefix in prefixes:
            if not prefix or prefix.startswith("/") or "\r" in prefix or "\n" in prefix:
                raise invalid(f"{field}: '{prefix[:80]}' is empty, begins with '/' or has a line's "
                              "end")
            if len(prefix.encode()) > PREFIX_LIMIT_BYTES:
                raise invalid(f"{field}: '{prefix[:80]}...' is longer than {PREFIX_LIMIT_BYTES} "
                              "bytes")
        # Whatever begins with another follows it at once when they are in order.
        ordered = sorted(prefixes)
        for first, second in zip(ordered, ordered[1:]):
            if second.startswith(first):
                raise invalid(f"{field}: '{first[:80]}' is a prefix of '{second[:80]}'")
    if include:
        for prefix in exclude:
            if not prefix.startswith(tuple(include)):
                raise invalid(f"excludePrefixes: '{prefix[:80]}' is in no entry of includePrefixes")


def check_schedule(schedule):
    if "scheduleStartDate" not in schedule:
        raise invalid("schedule.scheduleStartDate is missing")
    if "endTimeOfDay" in schedule and "scheduleEndDate" not in schedule:
        raise invalid("schedule.endTimeOfDay needs scheduleEndDate")
    start, end = start_of(schedule), end_of(schedule)
    if end and end < start:
        raise invalid("the schedule ends before it starts")
    if interval_of(schedule) < timedelta(hours=1):
        raise invalid("schedule.repeatInterval must be at least 3600s")


def moment(date, time):
    """A Date and a TimeOfDay as JSON has them. What is 0 may be missing."""
    try:
        return datetime(date.get("year", 0), date.get("month", 0), date.get("day", 0),
                        time.get("hours", 0), time.get("minutes", 0), time.get("seconds", 0),
                        time.get("nanos", 0) // 1000, tzinfo=timezone.utc)
    except ValueError as error:
        raise invalid(f"the schedule has an impossible date or time: {error}") from error


def start_of(schedule):
    return moment(schedule["scheduleStartDate"], schedule.get("startTimeOfDay", {}))


def end_of(schedule):
    if "scheduleEndDate" not in schedule:
        return None
    last = {"hours": 23, "minutes": 59, "seconds": 59}
    return moment(schedule["scheduleEndDate"], schedule.get("endTimeOfDay", last))


def seconds(duration):
    return timedelta(seconds=float(duration.removesuffix("s")))


def interval_of(schedule):
    return seconds(schedule.get("repeatInterval", "86400s"))


def is_for_one_day(schedule):
    return schedule.get("scheduleEndDate") == schedule["scheduleStartDate"] \
        and "repeatInterval" not in schedule


def first_due(schedule, created):
    """When a job is to run first; None: never by itself."""
    if not schedule:
        return None
    start = start_of(schedule)
    if "startTimeOfDay" not in schedule:
        at_once = max(start, created)
        return at_once if is_for_one_day(schedule) else until_end(schedule, at_once)
    if is_for_one_day(schedule) and start < created:
        return datetime.combine(created.date() + DAY, start.timetz())
    return until_end(schedule, on_grid(schedule, created))


def next_due(schedule, after):
    """When a job that has been due is to run again."""
    if is_for_one_day(schedule):
        return None
    return until_end(schedule, on_grid(schedule, after + timedelta(microseconds=1)))


def on_grid(schedule, at_least):
    start, interval = start_of(schedule), interval_of(schedule)
    behind = max(at_least - start, timedelta(0))
    return start + -(-behind // interval) * interval


def until_end(schedule, due):
    end = end_of(schedule)
    return due if end is None or due <= end else None
