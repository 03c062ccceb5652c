#!/usr/bin/python3
"""A stand-in for Google Cloud Storage's JSON API, with the ways to a token before it, and, at the same
endpoint, for Storage Transfer Service (google_transfer.py) and Pub/Sub (google_pubsub.py). All of them
live by one clock, which tests can set (google_clock.py).

    gcs.py --port 0 [--bucket NAME]... [--no-auth] [--credentials FILE]      prints its endpoint

What it does is what the service's documentation says and what Google's own client relies on. It is
strict: each request is held against Google's description of the API, and what that does not allow is
answered by an error and kept in 'mistakes', which a test looks at in the end.
"""
import argparse
import base64
import gzip
import json
import re
import secrets

from gcs_store import Conditions, GcsError, Store, invalid
from gcs_uploads import Uploads
from google_clock import Clock
from google_discovery import Discovery, select_fields
from google_pubsub import PubSub
from google_tokens import Tokens
from google_transfer import Transfers
from multipart import multipart
from stand_in import Reply, Request, StandIn, json_reply, serve_until_stopped

PIECE_BYTES = 1 << 20
MIB = 1 << 20


def error_reply(error):
    if error.status == 304:
        return Reply(304)
    what = {"domain": "global", "reason": error.reason, "message": error.message, **error.location}
    return json_reply({"error": {"code": error.status, "message": error.message,
                                 "errors": [what]}}, error.status)


class Gcs(StandIn):
    settings = ("check_auth", "token_lifetime_s", "expire_tokens", "rewrite_bytes_per_call",
                "page_limit", "empty_pages", "chunk_keeps_bytes", "lost_sessions", "clock_time",
                "transfer_plan", "check_access", "denied_projects")

    def __init__(self, **options):
        super().__init__(**options)
        self.discovery = Discovery()
        self.clock = Clock()
        self.store = Store(self.clock)
        self.tokens = Tokens(self)
        self.pubsub, self.transfers = PubSub(self), Transfers(self)
        self.uploads = Uploads(self)
        self.rewrites = {}
        self.check_auth = True
        self.rewrite_bytes_per_call = None  # so that copies take several calls
        self.page_limit = 1000  # listings are returned in pages of at most so many
        self.empty_pages = False  # each listing begins with a page of nothing but a token

    # What /_control sets beside plain attributes.

    @property
    def token_lifetime_s(self):
        return self.tokens.lifetime_s

    @token_lifetime_s.setter
    def token_lifetime_s(self, value):
        self.tokens.lifetime_s = value

    expire_tokens = property(None, lambda self, _: self.tokens.expire())
    chunk_keeps_bytes = property(None, lambda self, value: setattr(self.uploads, "chunk_keeps_bytes",
                                                                   value))
    lost_sessions = property(None, lambda self, value: setattr(self.uploads, "lost_sessions", value))

    clock_time = property(None, lambda self, text: self.clock.set(text) if text
                          else self.clock.follow())
    transfer_plan = property(None, lambda self, fields: self.transfers.change(**fields))
    check_access = property(None, lambda self, value: setattr(self.transfers, "check_access", value))

    @property
    def denied_projects(self):
        return self.transfers.denied_projects | self.pubsub.denied_projects

    @denied_projects.setter
    def denied_projects(self, names):
        self.transfers.denied_projects = set(names)
        self.pubsub.denied_projects = set(names)

    def stop(self):
        self.transfers.stop()
        super().stop()

    def handle(self, request):
        for service in (self.tokens, self.transfers, self.pubsub):
            reply = service.answer(request)
            if reply:
                return reply
        try:
            if request.raw_path == "/batch/storage/v1" and request.method == "POST":
                return self.batch(request)
            if request.parameter("upload_id") is not None:
                return self.uploads.answer(request)
            return self.dispatch(request)
        except GcsError as error:
            return error_reply(error)

    def mistake(self, request, what):
        self.mistakes.append(f"{request.method} {request.target}: {what}")
        return what

    def authorize(self, request):
        if self.check_auth and not self.tokens.takes(request.headers.get("authorization", "")):
            anonymous = "authorization" not in request.headers
            raise GcsError(401, "required" if anonymous else "authError",
                           "Anonymous caller does not have storage access." if anonymous
                           else "Invalid Credentials",
                           locationType="header", location="Authorization")

    def dispatch(self, request):
        """Answers a request that is none of a batch's or a session's whole."""
        raw_path = re.sub("^/download(?=/storage/v1/)", "", request.raw_path)
        method, upload, parts = self.discovery.find(request.method, raw_path)
        if not method:
            raise GcsError(404, "notFound", self.mistake(request, "there is no such method"))
        for what in self.discovery.check_query(method, upload, request.query):
            raise GcsError(400, "invalidParameter", self.mistake(request, what))
        self.authorize(request)
        if upload:
            return self.uploads.start(request, parts["bucket"])
        answer = getattr(self, method.name.replace(".", "_"), None)
        if not answer:
            raise GcsError(501, "notImplemented", f"the stand-in does not know {method.name}")
        fields = self.read_json(request, method.described.get("request"))
        reply = answer(request, fields, **parts)
        if isinstance(reply, Reply):
            return reply
        for what in self.discovery.check_body(method.described["response"], reply):
            self.mistake(request, f"the stand-in's own reply: {what}")
        if request.parameter("fields"):
            reply = select_fields(reply, request.parameter("fields"))
        return json_reply(reply)

    def read_json(self, request, schema):
        """The body of a request, {} where there is none."""
        body = request.body()
        if not body:
            return {}
        if not schema:
            raise invalid(self.mistake(request, "this method takes no body"))
        if not request.headers.get("content-type", "").startswith("application/json"):
            self.mistake(request, "a body of JSON without its Content-Type")
        return self.parse_json(request, body, schema)

    def parse_json(self, request, body, schema):
        try:
            value = json.loads(body)
        except ValueError as error:
            raise GcsError(400, "parseError", self.mistake(request, f"no JSON: {error}")) from error
        for what in self.discovery.check_body(schema, value):
            self.mistake(request, what)
            if not what.startswith("there is no "):
                raise invalid(what)
        # The service takes no notice of what it does not know at the top, nor does this.
        known = self.discovery.schemas[schema["$ref"]]["properties"]
        return {name: inner for name, inner in value.items() if name in known}

    # Buckets

    def buckets_list(self, request, _fields):
        prefix = request.parameter("prefix", "")
        found = sorted(name for name in self.store.buckets if name.startswith(prefix))
        return {"kind": "storage#buckets",
                "items": [self.store.bucket(name).resource() for name in found]}

    def buckets_insert(self, request, fields):
        name = fields.pop("name", "")
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", name):
            raise invalid(f"Invalid bucket name: '{name}'")
        return self.store.make_bucket(name, request.parameter("project"), **fields).resource()

    def buckets_get(self, request, _fields, bucket):
        with self.store.lock:
            found = self.store.bucket(bucket)
            Conditions(request).check(found, reading=True)
            return found.resource()

    def buckets_patch(self, request, fields, bucket):
        with self.store.lock:
            found = self.store.bucket(bucket)
            Conditions(request).check(found)
            found.patch(fields)
            return found.resource()

    def buckets_getIamPolicy(self, _request, _fields, bucket):
        return {"kind": "storage#policy", "version": 1,
                "resourceId": f"projects/_/buckets/{bucket}",
                "bindings": self.store.bucket(bucket).bindings}

    def buckets_setIamPolicy(self, _request, fields, bucket):
        self.store.bucket(bucket).bindings = fields.get("bindings", [])
        return self.buckets_getIamPolicy(None, None, bucket)

    def defaultObjectAccessControls_list(self, _request, _fields, bucket):
        found = self.store.bucket(bucket)
        access = found.fields.get("iamConfiguration", {})
        if access.get("uniformBucketLevelAccess", {}).get("enabled"):
            raise invalid("Cannot use ACL API to list object default ACLs for bucket when uniform "
                          "bucket-level access is enabled.")
        return {"kind": "storage#objectAccessControls",
                "items": [{"kind": "storage#objectAccessControl", "entity": entity, "role": role}
                          for entity, role in found.default_acl]}

    def defaultObjectAccessControls_insert(self, _request, fields, bucket):
        self.store.bucket(bucket).default_acl.append((fields["entity"], fields["role"]))
        return {"kind": "storage#objectAccessControl", **fields}

    def buckets_delete(self, _request, _fields, bucket):
        with self.store.lock:
            if self.store.bucket(bucket).names:
                raise GcsError(409, "conflict", "The bucket you tried to delete is not empty.")
            del self.store.buckets[bucket]
        return Reply(204)

    # Objects

    def objects_list(self, request, _fields, bucket):
        flag = {"true": True}.get
        given = request.parameter
        if given("matchGlob") is not None:
            raise GcsError(501, "notImplemented", "the stand-in does not know matchGlob")
        limit = min(int(given("maxResults") or 1000), 1000, self.page_limit)
        token = given("pageToken")
        if self.empty_pages and not token:
            return {"kind": "storage#objects", "nextPageToken": page_token(None)}
        with self.store.lock:
            items, prefixes, place = self.store.bucket(bucket).list(
                limit, page_place(token), given("prefix", ""), given("delimiter", ""),
                given("startOffset", ""), given("endOffset", ""), flag(given("versions"), False),
                flag(given("includeTrailingDelimiter"), False))
            reply = {"kind": "storage#objects"}
            if place:
                reply["nextPageToken"] = page_token(place)
            if prefixes:
                reply["prefixes"] = prefixes
            if items:
                reply["items"] = [one.resource() for one in items]
        return reply

    def objects_get(self, request, _fields, bucket, object):
        with self.store.lock:
            version = self.store.bucket(bucket).find(object, request.parameter("generation"))
            Conditions(request).check(version, reading=True)
            resource = version.resource()
        if request.parameter("alt", "json") != "media":
            return resource
        return media(request, version)

    def objects_delete(self, request, _fields, bucket, object):
        with self.store.lock:
            place = self.store.bucket(bucket)
            generation = request.parameter("generation")
            version = place.find(object, generation)
            Conditions(request).check(version)
            place.remove(version, for_ever=generation is not None)
        return Reply(204)

    def objects_patch(self, request, fields, bucket, object):
        with self.store.lock:
            version = self.store.bucket(bucket).find(object, request.parameter("generation"))
            Conditions(request).check(version)
            version.patch(fields)
            return version.resource()

    def source_of(self, request, bucket, name):
        source = self.store.bucket(bucket).find(name, request.parameter("sourceGeneration"))
        Conditions(request, of="Source").check(source)
        return source

    def objects_copy(self, request, fields, **names):
        with self.store.lock:
            source = self.source_of(request, names["sourceBucket"], names["sourceObject"])
        return self.copy(request, fields, source, names)

    def copy(self, request, fields, source, names):
        """With fields the new object has these and none of the source's."""
        version = self.store.put(names["destinationBucket"], names["destinationObject"],
                                 source.data, fields or dict(source.fields), Conditions(request))
        return version.resource()

    def objects_rewrite(self, request, fields, **names):
        with self.store.lock:
            source = self.source_of(request, names["sourceBucket"], names["sourceObject"])
            target = self.store.bucket(names["destinationBucket"])
            Conditions(request).check(target.live(names["destinationObject"]))
        per_call = request.parameter("maxBytesRewrittenPerCall")
        if per_call is not None and (int(per_call) <= 0 or int(per_call) % MIB):
            raise invalid("maxBytesRewrittenPerCall must be a multiple of 1048576")
        same = (names, source.generation, fields, per_call)
        token = request.parameter("rewriteToken")
        done = 0
        if token is not None:
            begun = self.rewrites.get(token)
            if not begun or begun[0] != same:
                raise invalid("The rewrite token is invalid.")
            done = begun[1]
        limits = [int(limit) for limit in (per_call, self.rewrite_bytes_per_call)
                  if limit is not None]
        done = min([len(source.data), *(done + limit for limit in limits)])
        reply = {"kind": "storage#rewriteResponse", "totalBytesRewritten": str(done),
                 "objectSize": str(len(source.data)), "done": done == len(source.data)}
        if reply["done"]:
            self.rewrites.pop(token, None)
            reply["resource"] = self.copy(request, fields, source, names)
        else:
            reply["rewriteToken"] = token or secrets.token_urlsafe(40)
            self.rewrites[reply["rewriteToken"]] = (same, done)
        return reply

    # Many calls in one request

    def batch(self, request):
        parts = multipart(request.headers.get("content-type", ""), request.body(), "mixed")
        if len(parts) > 100:
            raise invalid(self.mistake(request, f"{len(parts)} calls in a batch, at most 100"))
        boundary = f"batch_{secrets.token_hex(12)}"
        answers = []
        for headers, content in parts:
            if headers.get("content-type", "").split(";")[0] != "application/http":
                raise invalid(self.mistake(request, "a part that is not application/http"))
            answers.append(f"--{boundary}\r\nContent-Type: application/http\r\n".encode())
            if "content-id" in headers:
                answer_id = headers["content-id"].replace("<", "<response-", 1)
                answers.append(f"Content-ID: {answer_id}\r\n".encode())
            answers += [b"\r\n", self.answer_part(request, content), b"\r\n"]
        answers.append(f"--{boundary}--\r\n".encode())
        return Reply(200, {"Content-Type": f"multipart/mixed; boundary={boundary}"},
                     b"".join(answers))

    def answer_part(self, request, content):
        head, _, body = content.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, target = first.split()[:2]
        headers = {"authorization": request.headers.get("authorization", "")}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        inner = Part(method, re.sub("^https?://[^/]+", "", target), headers, body)
        rule = self.rules.find(inner.method, inner.target)
        try:
            if rule and rule.status:
                reply = Reply(rule.status, dict(rule.headers), rule.body.encode())
            elif inner.parameter("alt") == "media" or inner.raw_path.startswith("/upload/"):
                raise invalid(self.mistake(request, "uploads and downloads cannot be in a batch"))
            else:
                reply = self.dispatch(inner)
        except GcsError as error:
            reply = error_reply(error)
        lines = [f"HTTP/1.1 {reply.status} {'OK' if reply.status < 300 else 'Error'}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        lines.append(f"Content-Length: {len(reply.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body


class Part(Request):
    """A request within a batch."""

    def __init__(self, method, target, headers, content):
        super().__init__(method, target, headers)
        self.content = content

    def pieces(self):
        yield self.content


def page_token(place):
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def page_place(token):
    if not token:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise invalid("Invalid value for pageToken") from error
    return tuple(place) if place else None


def media(request, version):
    """The content: all of it or a range, as it is stored or, to who does not ask for gzip, unpacked."""
    fields, data = version.fields, version.data
    packed = fields.get("contentEncoding") == "gzip"
    headers = {
        "Content-Type": fields.get("contentType", "application/octet-stream"),
        "ETag": version.etag,
        "X-Goog-Generation": str(version.generation),
        "X-Goog-Metageneration": str(version.metageneration),
        "X-Goog-Hash": f"crc32c={version.crc32c},md5={version.md5}",
        "X-Goog-Storage-Class": fields["storageClass"],
        "X-Goog-Stored-Content-Encoding": fields.get("contentEncoding", "identity"),
        "X-Goog-Stored-Content-Length": str(len(data)),
        "Cache-Control": fields.get("cacheControl", "no-cache, no-store, max-age=0"),
    }
    if packed and "gzip" not in request.headers.get("accept-encoding", "") \
            and "no-transform" not in fields.get("cacheControl", ""):
        headers["Warning"] = "214 UploadServer gunzipped"
        headers["X-Guploader-Response-Body-Transformations"] = "gunzipped"
        return Reply(200, headers, iter([gzip.decompress(data)]))
    if "contentEncoding" in fields:
        headers["Content-Encoding"] = fields["contentEncoding"]
    start, end, status = wanted_range(request.headers.get("range"), len(data))
    if status == 416:
        headers["Content-Range"] = f"bytes */{len(data)}"
        return Reply(416, headers, b"Requested range not satisfiable")
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    headers["Accept-Ranges"] = "bytes"
    view = memoryview(data)
    pieces = (bytes(view[at:min(at + PIECE_BYTES, end)]) for at in range(start, end, PIECE_BYTES))
    return Reply(status, headers, pieces, end - start)


def wanted_range(header, size):
    """(start, end, status) of 'bytes=a-b', 'a-' or '-n'; other headers count as none."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not match or match.group(0) == "bytes=-":
        return 0, size, 200
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    return (start, end, 206) if start < end else (0, 0, 416)


def main():
    words = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    words.add_argument("--bucket", action="append", default=[], help="a bucket to begin with")
    words.add_argument("--no-auth", action="store_true", help="take requests without a token")
    words.add_argument("--credentials", help="where to write a service account's key file")

    def make(arguments):
        server = Gcs()
        server.check_auth = not arguments.no_auth
        for name in arguments.bucket:
            server.store.make_bucket(name)
        return server

    def prepare(server, arguments):
        if arguments.credentials:
            with open(arguments.credentials, "w", encoding="utf-8") as file:
                json.dump(server.tokens.service_account(), file)

    serve_until_stopped(make, words, prepare)


if __name__ == "__main__":
    main()
