"""What Google's newer services have in common, whatever they do: methods found by the description of the
API, names of resources with slashes in paths, errors with a word beside the number. A stand-in for one
of them is an Api with a method for each of the service's, named as in the description.

What a client sends against the description, or against what the documentation says of a method, is
answered by INVALID_ARGUMENT and kept in the server's 'mistakes'. Tests make other refusals by rules:

    server.rules.add(refusal("UNAVAILABLE", method="POST", target="^/v1/transferJobs$"))
"""
import json

from faults import Rule
from google_discovery import Discovery, select_fields
from stand_in import Reply, json_reply

CODES = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ALREADY_EXISTS": 409, "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499, "INTERNAL": 500, "UNKNOWN": 500,
    "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}


class ApiError(Exception):
    def __init__(self, word, message):
        super().__init__(message)
        self.word, self.message = word, message


def invalid(message):
    return ApiError("INVALID_ARGUMENT", message)


def error_body(word, message):
    return {"error": {"code": CODES[word], "message": message, "status": word}}


def refusal(word, message="refused by a rule", **which):
    """A rule by which a service refuses requests; its fields are those of faults.Rule."""
    return Rule(status=CODES[word], headers={"Content-Type": "application/json; charset=UTF-8"},
                body=json.dumps(error_body(word, message)), **which)


def page(found, request, key, limit):
    """The part of a list that a request asks for, and what to ask for the next: '' at the end. The
    token names the last that was returned, so that what comes and goes meanwhile shifts nothing."""
    size, token = request.parameter("pageSize"), request.parameter("pageToken")
    size = int(size) if size else 0
    if not 0 <= size <= limit:
        raise invalid(f"pageSize must be at most {limit}")
    if token:
        keys = [key(one) for one in found]
        if token not in keys:
            raise invalid("Invalid page token")
        found = found[keys.index(token) + 1:]
    size = size or limit
    return found[:size], key(found[size - 1]) if len(found) > size else ""


def filled(**fields):
    """JSON as Google sends it: without what is empty."""
    return {name: value for name, value in fields.items() if value not in ("", [], {}, None)}


class Api:
    def __init__(self, server, description):
        self.server, self.store, self.clock = server, server.store, server.clock
        self.discovery = Discovery(description)
        self.denied_projects = set()  # in which the caller may do nothing

    def answer(self, request):
        """The reply, None to what is none of this service's methods."""
        method, _, parts = self.discovery.find(request.method, request.raw_path)
        if not method:
            return None
        try:
            return self.answer_method(request, method, parts)
        except ApiError as error:
            if error.word == "INVALID_ARGUMENT":
                self.server.mistake(request, error.message)
            return json_reply(error_body(error.word, error.message), CODES[error.word])

    def answer_method(self, request, method, parts):
        self.authorize(request)
        for what in self.discovery.check_query(method, False, request.query):
            raise invalid(what)
        fields = self.read_json(request, method.described.get("request"))
        answer = getattr(self, method.name.replace(".", "_"), None)
        if not answer:
            raise ApiError("UNIMPLEMENTED", f"the stand-in does not know {method.name}")
        reply = answer(request, fields, **parts)
        if isinstance(reply, Reply):
            return reply
        for what in self.check_reply(method, reply):
            self.server.mistake(request, f"the stand-in's own reply: {what}")
        if request.parameter("fields"):
            reply = select_fields(reply, request.parameter("fields"))
        return json_reply(reply)

    def check_reply(self, method, reply):
        yield from self.discovery.check_body(method.described["response"], reply)

    def authorize(self, request):
        if self.server.check_auth and not self.server.tokens.takes(
                request.headers.get("authorization", "")):
            raise ApiError("UNAUTHENTICATED", "Request had invalid authentication credentials. "
                           "Expected OAuth 2 access token, login cookie or other valid "
                           "authentication credential.")

    def check_project(self, project):
        """To be called by a method before it says anything of what is in the project."""
        if not project:
            raise invalid("Project id must be specified.")
        if project in self.denied_projects:
            raise ApiError("PERMISSION_DENIED", "The caller does not have permission")

    def read_json(self, request, schema):
        """The body of a request, {} where there is none."""
        body = request.body()
        if not body:
            return {}
        if not schema:
            raise invalid("this method takes no body")
        if not request.headers.get("content-type", "").startswith("application/json"):
            self.server.mistake(request, "a body of JSON without its Content-Type")
        try:
            value = json.loads(body)
        except ValueError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from error
        value = self.discovery.with_names(schema, value)
        for what in self.discovery.check_body(schema, value):
            raise invalid(f"Invalid JSON payload received: {what}")
        return value
