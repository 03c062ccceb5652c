"""The buckets and objects of the stand-in for Google Cloud Storage: versions, preconditions, listings,
and what is known of each object. It knows nothing of HTTP."""
import base64
import bisect
import hashlib
import re
import threading
import time

from crc32c import crc32c
from google_clock import Clock

EDITABLE = ("cacheControl", "contentDisposition", "contentEncoding", "contentLanguage",
            "contentType", "customTime", "metadata", "storageClass", "eventBasedHold",
            "temporaryHold")
LIFECYCLE_ACTIONS = ("Delete", "SetStorageClass", "AbortIncompleteMultipartUpload")
STORAGE_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL",
                   "DURABLE_REDUCED_AVAILABILITY")


class GcsError(Exception):
    def __init__(self, status, reason, message, **location):
        super().__init__(message)
        self.status, self.reason, self.message, self.location = status, reason, message, location


def invalid(message, reason="invalid"):
    return GcsError(400, reason, message)


def not_met(status=412):
    return GcsError(status, "conditionNotMet", "At least one of the pre-conditions you specified "
                    "did not hold.", locationType="header", location="If-Match")


def successor(text):
    """The first text behind all that start with this one."""
    last = ord(text[-1]) + 1
    return text[:-1] + chr(0xE000 if last == 0xD800 else last)


class Conditions:
    """The preconditions of a request, on the object that it writes or, with 'of' Source, reads."""

    def __init__(self, request, of=""):
        def number(name):
            value = request.parameter(f"if{of}{name}")
            return None if value is None else int(value)
        self.generation, self.metageneration = number("GenerationMatch"), number(
            "MetagenerationMatch")
        self.not_generation, self.not_metageneration = number("GenerationNotMatch"), number(
            "MetagenerationNotMatch")

    def check(self, version, reading=False):
        generation = version.generation if version else 0
        metageneration = version.metageneration if version else 0
        if self.generation not in (None, generation) \
                or self.metageneration not in (None, metageneration):
            raise not_met()
        if generation == self.not_generation or (
                version and metageneration == self.not_metageneration):
            raise not_met(304 if reading else 412)


class Version:
    """One content of an object; 'like' is another with the same content."""

    def __init__(self, bucket, name, data, fields, generation, like=None):
        self.bucket, self.name, self.data = bucket, name, data
        self.generation, self.metageneration = generation, 1
        self.created = self.updated = bucket.clock.text()
        self.deleted = None
        self.fields = {"storageClass": bucket.fields["storageClass"], **fields}
        if like:
            self.md5, self.crc32c = like.md5, like.crc32c
            return
        self.md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
        self.crc32c = base64.b64encode(crc32c(data).to_bytes(4, "big")).decode()

    @property
    def etag(self):
        numbers = self.generation.to_bytes(8, "big") + self.metageneration.to_bytes(4, "big")
        return base64.b64encode(numbers).decode()

    def resource(self):
        resource = {
            "kind": "storage#object",
            "id": f"{self.bucket.name}/{self.name}/{self.generation}",
            "name": self.name, "bucket": self.bucket.name,
            "generation": str(self.generation), "metageneration": str(self.metageneration),
            "size": str(len(self.data)), "md5Hash": self.md5, "crc32c": self.crc32c,
            "etag": self.etag, "timeCreated": self.created, "updated": self.updated,
            "timeStorageClassUpdated": self.created, **self.fields,
        }
        if self.deleted:
            resource["timeDeleted"] = self.deleted
        return resource

    def patch(self, changes):
        for name, value in changes.items():
            if name not in EDITABLE or name == "storageClass":
                raise invalid(f"'{name}' cannot be changed")
            if name == "metadata" and value is not None:
                value = {**self.fields.get("metadata", {}), **value}
                value = {key: text for key, text in value.items() if text is not None}
            self.fields[name] = value
            if value is None or value == {}:
                del self.fields[name]
        self.metageneration += 1
        self.updated = self.bucket.clock.text()


def merged(old, changes):
    both = dict(old)
    for name, value in changes.items():
        if isinstance(value, dict):
            value = merged(both.get(name) or {}, value)
        both[name] = value
    return {name: value for name, value in both.items() if value is not None}


def check_bucket(fields):
    for name, value in (fields.get("labels") or {}).items():
        if not re.fullmatch("[a-z][a-z0-9_-]{0,62}", name) \
                or not re.fullmatch("[a-z0-9_-]{0,63}", value or ""):
            raise invalid(f"Invalid label '{name}'")
    for rule in (fields.get("lifecycle") or {}).get("rule", []):
        condition = rule.get("condition")
        if rule.get("action", {}).get("type") not in LIFECYCLE_ACTIONS or not condition:
            raise invalid("A lifecycle rule needs an action and a condition.")
        if condition.get("age", 0) < 0:
            raise invalid("The age of a lifecycle rule is negative.")
        if rule["action"]["type"] == "AbortIncompleteMultipartUpload" \
                and not condition.keys() <= {"age", "matchesPrefix", "matchesSuffix"}:
            raise invalid("An upload that is aborted has no such condition.")


class Bucket:
    generation = 0  # it has none

    def __init__(self, name, fields, project=None, clock=None):
        self.clock = clock or Clock()
        self.name, self.metageneration, self.created = name, 1, self.clock.text()
        self.project = project  # None: anybody's
        self.bindings, self.default_acl = [], []  # who may do what with it, and with new objects
        self.fields = {"storageClass": "STANDARD", "location": "US", "locationType": "multi-region",
                       **fields}
        self.names = []  # sorted, of all objects that have a version
        self.versions = {}  # name: versions, the oldest first

    @property
    def keeps_versions(self):
        return self.fields.get("versioning", {}).get("enabled", False)

    def resource(self):
        return {"kind": "storage#bucket", "id": self.name, "name": self.name,
                "projectNumber": "1", "metageneration": str(self.metageneration),
                "etag": base64.b64encode(self.metageneration.to_bytes(4, "big")).decode(),
                "timeCreated": self.created, "updated": self.created, **self.fields}

    def patch(self, changes):
        """A text or list takes the place of the former, an object is merged, null removes."""
        check_bucket(changes)
        self.fields = merged(self.fields, changes)
        self.metageneration += 1

    def live(self, name):
        versions = self.versions.get(name)
        return versions[-1] if versions and not versions[-1].deleted else None

    def find(self, name, generation=None):
        """The live version or a certain one; raises 404."""
        if generation is None:
            found = self.live(name)
        else:
            found = next((one for one in self.versions.get(name, ())
                          if one.generation == int(generation)), None)
        if not found:
            raise GcsError(404, "notFound", f"No such object: {self.name}/{name}")
        return found

    def add(self, version):
        versions = self.versions.get(version.name)
        if versions is None:
            bisect.insort(self.names, version.name)
            versions = self.versions[version.name] = []
        if versions and not versions[-1].deleted:
            versions[-1].deleted = self.clock.text()
        if not self.keeps_versions:
            versions[:] = [one for one in versions if one.deleted is None]
        versions.append(version)

    def remove(self, version, for_ever):
        if self.keeps_versions and not for_ever:
            version.deleted = self.clock.text()
            return
        versions = self.versions[version.name]
        versions.remove(version)
        if not versions:
            del self.versions[version.name]
            del self.names[bisect.bisect_left(self.names, version.name)]

    def entries(self, name, with_versions):
        if with_versions:
            return self.versions[name]
        live = self.live(name)
        return [live] if live else []

    def list(self, limit, after, prefix="", delimiter="", start="", end="", versions=False,
             trailing=False):
        """Items, prefixes and where to go on, None at the end. 'after' is what was returned so:
        (name, generation) of an item or (prefix, None)."""
        items, prefixes, place = [], [], None
        index = bisect.bisect_left(self.names, max(prefix, start))
        if after:
            behind = after[0] if after[1] is not None else successor(after[0])
            index = max(index, bisect.bisect_left(self.names, behind))
        while index < len(self.names):
            name = self.names[index]
            if not name.startswith(prefix) or (end and name >= end):
                return items, prefixes, None
            index += 1
            found = [one for one in self.entries(name, versions)
                     if not (after and after[1] is not None and name == after[0]
                             and one.generation <= after[1])]
            if not found:
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0 and not (trailing and name[cut:] == delimiter):
                group = name[:cut + len(delimiter)]
                if len(items) + len(prefixes) == limit:
                    return items, prefixes, place
                if not prefixes or prefixes[-1] != group:
                    prefixes.append(group)
                place = (group, None)
                index = bisect.bisect_left(self.names, successor(group))
                continue
            for one in found:
                if len(items) + len(prefixes) == limit:
                    return items, prefixes, place
                items.append(one)
                place = (name, one.generation)
        return items, prefixes, None


class Store:
    """All buckets. One lock for everything: what is done under it is short, but for checksums."""

    def __init__(self, clock=None):
        self.lock = threading.RLock()
        self.clock = clock or Clock()
        self.buckets = {}
        self.last_generation = 0

    def bucket(self, name):
        if name not in self.buckets:
            raise GcsError(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[name]

    def make_bucket(self, name, project=None, **fields):
        check_bucket(fields)
        with self.lock:
            if name in self.buckets and self.buckets[name].project in (None, project):
                raise GcsError(409, "conflict", "Your previous request to create the named bucket "
                               "succeeded and you already own it.")
            if name in self.buckets:
                raise GcsError(409, "conflict", "The requested bucket name is not available. The "
                               "bucket namespace is shared by all users of the system. Please select "
                               "a different name and try again.")
            self.buckets[name] = Bucket(name, fields, project, self.clock)
            return self.buckets[name]

    def next_generation(self):
        with self.lock:
            self.last_generation = max(self.last_generation + 1, time.time_ns() // 1000)
            return self.last_generation

    def make(self, bucket, name, data, fields):
        """A version that is not in the bucket yet, checked against the checksums that came along."""
        if not name or len(name.encode()) > 1024 or "\r" in name or "\n" in name \
                or name in (".", ".."):
            raise invalid("Invalid object name")
        fields = {key: value for key, value in fields.items() if value is not None}
        wanted = {key: fields.pop(key) for key in ("md5Hash", "crc32c") if key in fields}
        kept = {key: value for key, value in fields.items() if key in (*EDITABLE, "kmsKeyName")}
        if kept.get("storageClass", "STANDARD") not in STORAGE_CLASSES:
            raise invalid(f"Invalid storage class {kept['storageClass']}")
        version = Version(bucket, name, data, kept, self.next_generation())
        for key, own, what in (("md5Hash", version.md5, "MD5"), ("crc32c", version.crc32c,
                                                                  "CRC32C")):
            if key in wanted and wanted[key] != own:
                raise invalid(f"Provided {what} hash \"{wanted[key]}\" doesn't match calculated "
                              f"{what} hash \"{own}\".")
        return version

    def copy(self, version, bucket_name, name, fields):
        """Writes an object that has another's content, whatever is there."""
        with self.lock:
            bucket = self.bucket(bucket_name)
            bucket.add(Version(bucket, name, version.data, fields, self.next_generation(),
                               like=version))

    def put(self, bucket_name, name, data, fields, conditions=None):
        """Writes an object, if the conditions hold at that moment."""
        version = self.make(self.bucket(bucket_name), name, data, fields)
        with self.lock:
            bucket = self.bucket(bucket_name)
            if conditions:
                conditions.check(bucket.live(name))
            bucket.add(version)
            return version
