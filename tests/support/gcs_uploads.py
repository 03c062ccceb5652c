"""The three ways to upload an object to the stand-in for Google Cloud Storage: in one request, in one
together with its metadata, and in a session of chunks that survives whatever happens to them."""
import re
import secrets
import threading
from dataclasses import dataclass, field
from urllib.parse import quote

from gcs_store import Conditions, GcsError, invalid
from multipart import multipart
from stand_in import Cut, Reply, json_reply

QUANTUM_BYTES = 256 << 10  # what a chunk but the last is a multiple of
OBJECT = {"$ref": "Object"}


@dataclass
class Session:
    bucket: str
    name: str
    fields: dict
    request: object  # which holds the conditions
    total: int | None
    data: bytearray = field(default_factory=bytearray)
    lock: object = field(default_factory=threading.Lock)
    result: dict | None = None


def hashes_of(headers):
    """The checksums of the content that a request's own header names."""
    names = {"md5": "md5Hash", "crc32c": "crc32c"}
    found = [one.strip().partition("=") for one in headers.get("x-goog-hash", "").split(",")]
    return {names[kind]: value for kind, _, value in found if kind in names}


class Uploads:
    def __init__(self, server):
        self.server = server
        self.sessions = {}
        self.ended = set()  # sessions that were there once
        self.chunk_keeps_bytes = None  # the server keeps at most so much of a chunk
        self.lost_sessions = 0  # so many requests find that their session is no more

    def start(self, request, bucket):
        self.server.store.bucket(bucket)
        kind = request.parameter("uploadType")
        if request.raw_path.startswith("/resumable/") or kind == "resumable":
            return self.start_session(request, bucket)
        if kind == "multipart":
            parts = multipart(request.headers.get("content-type", ""), request.body(), "related")
            if len(parts) != 2:
                raise invalid(self.server.mistake(request, f"{len(parts)} parts, wanted are 2"))
            (about_json, json_text), (about, data) = parts
            if not about_json.get("content-type", "").startswith("application/json"):
                raise invalid(self.server.mistake(request, "the first part is not JSON"))
            fields = self.server.parse_json(request, json_text, OBJECT)
            content_type = about.get("content-type")
        elif kind == "media":
            data, fields = request.body(), {}
            content_type = request.headers.get("content-type")
        else:
            raise invalid(self.server.mistake(request, f"the uploadType '{kind}'"))
        fields = self.complete(request, fields, content_type)
        name = self.name(request, fields)
        version = self.server.store.put(bucket, name, data, {**fields, **hashes_of(
            request.headers)}, Conditions(request))
        return json_reply(version.resource())

    def name(self, request, fields):
        """A name in the URL wins over one in the metadata."""
        name = request.parameter("name") or fields.get("name")
        if not name:
            raise GcsError(400, "required", self.server.mistake(request, "without a name"))
        return name

    @staticmethod
    def complete(request, fields, content_type):
        if content_type:
            fields.setdefault("contentType", content_type)
        if request.parameter("contentEncoding"):
            fields["contentEncoding"] = request.parameter("contentEncoding")
        fields.pop("kmsKeyName", None)  # is only told
        if request.parameter("kmsKeyName"):
            fields["kmsKeyName"] = request.parameter("kmsKeyName") + "/cryptoKeyVersions/1"
        return fields

    def start_session(self, request, bucket):
        body = request.body()
        fields = self.server.parse_json(request, body, OBJECT) if body else {}
        fields = self.complete(request, fields, request.headers.get("x-upload-content-type"))
        name = self.name(request, fields)
        Conditions(request).check(self.server.store.bucket(bucket).live(name))
        total = request.headers.get("x-upload-content-length")
        upload_id = f"ABg{secrets.token_urlsafe(40)}"
        self.sessions[upload_id] = Session(bucket, name, fields, request,
                                           None if total is None else int(total))
        place = (f"{self.server.endpoint}/upload/storage/v1/b/{quote(bucket)}/o?uploadType="
                 f"resumable&name={quote(name, safe='')}&upload_id={upload_id}")
        return Reply(200, {"Location": place, "X-GUploader-UploadID": upload_id})

    def answer(self, request):
        """A request to a session. Its URL is all that it takes: there is no check of a token."""
        upload_id = request.parameter("upload_id")
        if self.lost_sessions > 0:
            self.lost_sessions -= 1
            self.forget(upload_id)
            raise GcsError(410, "gone", "The upload session is gone; start a new one.")
        session = self.sessions.get(upload_id)
        if not session:
            raise GcsError(410 if upload_id in self.ended else 404, "notFound",
                           "There is no such upload session.")
        if request.method == "DELETE":
            self.forget(upload_id)
            return Reply(499, reason="Client Closed Request")
        if request.method not in ("PUT", "POST"):
            raise GcsError(405, "methodNotAllowed", self.server.mistake(request, "in a session"))
        with session.lock:
            return self.chunk(request, session)

    def forget(self, upload_id):
        if self.sessions.pop(upload_id, None):
            self.ended.add(upload_id)

    def chunk(self, request, session):
        header = request.headers.get("content-range")
        if header is None:
            if session.data:
                del session.data[:]
            start, end, total = 0, None, request.length
        else:
            match = re.fullmatch(r"bytes (?:(\d+)-(\d+|\*)|\*)/(\d+|\*)", header)
            if not match:
                raise invalid(self.server.mistake(request, f"Content-Range: {header}"))
            start, end, total = (None if text in (None, "*") else int(text)
                                 for text in match.groups())
        if session.result:
            request.body()
            return json_reply(session.result)
        if total is not None:
            if session.total not in (None, total):
                raise invalid(f"The upload has {session.total} bytes by an earlier request, "
                              f"{total} by this one.")
            session.total = total
        if start is None:
            request.body()
        else:
            self.receive(request, session, start, end)
        if session.total is None or len(session.data) < session.total:
            return self.go_on(session)
        return self.finish(request, session)

    def receive(self, request, session, start, end):
        """Takes the bytes of a chunk that are new, be it that not all of them come."""
        have = len(session.data)
        if start > have:
            request.body()
            raise invalid(f"Invalid request. According to the Content-Range header, the upload "
                          f"offset is {start} byte(s), which exceeds already uploaded size of "
                          f"{have} byte(s).")
        if end is not None and request.length is not None and request.length != end - start + 1:
            raise invalid(self.server.mistake(request, "Content-Range and -Length differ"))
        skip, received = have - start, 0
        try:
            for piece in request.pieces():
                session.data += piece[max(skip - received, 0):]
                received += len(piece)
        except Cut:
            del session.data[max(have, len(session.data) // QUANTUM_BYTES * QUANTUM_BYTES):]
            raise
        if end is None and session.total is None:
            session.total = len(session.data)
        if session.total is not None and len(session.data) > session.total:
            del session.data[have:]
            raise invalid(self.server.mistake(request, "more bytes than the upload has"))
        if session.total != len(session.data):
            self.keep_quanta(request, session, have, received)
        elif self.chunk_keeps_bytes is not None and received > self.chunk_keeps_bytes:
            del session.data[have + self.chunk_keeps_bytes:]

    def keep_quanta(self, request, session, have, received):
        """Of a chunk that is not the last only whole quanta are kept."""
        if received % QUANTUM_BYTES:
            self.server.mistake(request, f"a chunk of {received} bytes that is not the last")
        if received < QUANTUM_BYTES:
            del session.data[have:]
            raise invalid("Invalid request.  The number of bytes uploaded is required to be equal "
                          "or greater than 262144, except for the final request (it's recommended "
                          "to be the exact multiple of 262144).  The received request contained "
                          f"{received} bytes, which does not meet this requirement.")
        keep = len(session.data) // QUANTUM_BYTES * QUANTUM_BYTES
        if self.chunk_keeps_bytes is not None:
            keep = min(keep, have + self.chunk_keeps_bytes)
        del session.data[keep:]

    @staticmethod
    def go_on(session):
        headers = {"Content-Length": "0"}
        if session.data:
            headers["Range"] = f"bytes=0-{len(session.data) - 1}"
        return Reply(308, headers, reason="Resume Incomplete")

    def finish(self, request, session):
        fields = {**session.fields, **hashes_of(request.headers)}
        try:
            version = self.server.store.put(session.bucket, session.name, bytes(session.data),
                                            fields, Conditions(session.request))
        except GcsError:
            self.forget(request.parameter("upload_id"))
            raise
        session.result = version.resource()
        del session.data[:]
        return json_reply(session.result)
