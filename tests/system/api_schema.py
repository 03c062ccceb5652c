"""Holds replies against the OpenAPI document that the daemon itself gives."""

import copy
import json
import re

import jsonschema

from conftest import SOURCE

OPENAPI = SOURCE / "tests" / "data" / "openapi" / "schema.json"
STRICT_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$")


def strict(schema):
    """The same, in which nothing may stand that is not named."""
    schema = copy.deepcopy(schema)

    def walk(node):
        if isinstance(node, dict):
            if node.get("type") == "object" and "properties" in node:
                node["additionalProperties"] = False
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(schema)
    return schema


def check_document(document):
    """Fails unless OpenAPI's own schema finds it sound, and JSON Schema's the schemas in it."""
    jsonschema.Draft202012Validator(json.loads(OPENAPI.read_text())).validate(document)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


class Judge:
    def __init__(self, document):
        self.document = document
        self.schemas = strict(document["components"]["schemas"])
        self.validators = {}
        self.formats = jsonschema.FormatChecker(formats=())
        self.formats.checks("date-time")(
            lambda text: not isinstance(text, str) or bool(STRICT_TIME.match(text)))
        self.templates = [(re.compile("^" + re.sub(r"\{[^}]*\}", "[^/]+", path) + "$"), path)
                          for path in document["paths"]]

    def operation(self, method, path):
        path = path.partition("?")[0]
        for pattern, template in self.templates:
            if pattern.match(path):
                method = "get" if method == "HEAD" else method.lower()
                return self.document["paths"][template].get(method)
        return None

    def validator(self, schema):
        key = str(schema)
        if key not in self.validators:
            whole = dict(strict(schema), components={"schemas": self.schemas})
            self.validators[key] = jsonschema.Draft202012Validator(
                whole, format_checker=self.formats)
        return self.validators[key]

    def check(self, method, path, reply):
        """Fails unless the document says that this request may get this reply."""
        operation = self.operation(method, path)
        if operation is None:
            assert reply.status in (204, 400, 403, 404, 405, 413, 501), (method, path, reply.status)
            return
        said = operation["responses"].get(str(reply.status))
        assert said is not None, (method, path, reply.status, reply.body[:300])
        type_ = reply.headers.get("content-type", "").partition(";")[0]
        assert type_ in said["content"], (method, path, type_)
        if type_ == "application/json" and reply.body:
            self.validator(said["content"][type_]["schema"]).validate(reply.json)
