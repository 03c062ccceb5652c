"""Holds requests and replies against the document in which Google describes an API: its paths, the
parameters of each method, and the types of what is sent in JSON."""
import base64
import binascii
import gzip
import json
import re
from pathlib import Path
from urllib.parse import unquote

DATA = Path(__file__).resolve().parents[1] / "data" / "google"
# Of each upload, but in no method's list.
UPLOAD_PARAMETERS = {"uploadType", "upload_id", "upload_protocol"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
FORMS = {
    "date-time": ("time", TIME),
    "google-datetime": ("time", TIME),
    "google-duration": ("duration", r"-?\d+(\.\d{1,9})?s"),
    "google-fieldmask": ("list of fields", r"[A-Za-z_.]+(,[A-Za-z_.]+)*"),
}


class Method:
    def __init__(self, name, described, prefix):
        self.name, self.described = name, described
        self.verb = described["httpMethod"]
        self.parameters = described.get("parameters", {})
        parts = re.split(r"\{\+?(\w+)\}", prefix + described["path"])
        self.pattern = re.compile("".join(
            f"(?P<{part}>{self.pattern_of(part)})" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)))

    def pattern_of(self, part):
        """A name is one segment of the path, in which a slash has to be encoded, if nothing else is
        said."""
        said = self.parameters[part].get("pattern", "[^/]+")
        return said.removeprefix("^").removesuffix("$")


class Discovery:
    def __init__(self, file="storage-v1-api.json.gz"):
        self.document = json.loads(gzip.decompress((DATA / file).read_bytes()))
        self.schemas = self.document["schemas"]
        self.general = dict(self.document["parameters"])
        if "$.xgafv" in self.general:  # the newer services take this under two names
            self.general["$alt"] = {"type": "string", "location": "query"}
        self.methods, self.uploads = [], []
        self.add_methods(self.document["resources"], "", "/" + self.document["servicePath"])

    def add_methods(self, resources, above, prefix):
        for resource, described in resources.items():
            for name, method in described.get("methods", {}).items():
                name = f"{above}{resource}.{name}"
                self.methods.append(Method(name, method, prefix))
                for protocol in method.get("mediaUpload", {}).get("protocols", {}).values():
                    at_path = dict(method, path=protocol["path"])
                    self.uploads.append(Method(name, at_path, ""))
            self.add_methods(described.get("resources", {}), f"{above}{resource}.", prefix)

    def find(self, verb, raw_path):
        """(method, whether it is an upload, the parts of its path), or Nones."""
        for upload, methods in ((False, self.methods), (True, self.uploads)):
            for method in methods:
                match = method.pattern.fullmatch(raw_path)
                if match and method.verb == verb:
                    return method, upload, {name: unquote(value, errors="strict")
                                            for name, value in match.groupdict().items()}
        return None, False, {}

    def check_query(self, method, upload, query):
        """What is wrong with the parameters, one text for each."""
        seen = set()
        for name, value in query:
            known = method.parameters.get(name) or self.general.get(name)
            if name in seen and not (known or {}).get("repeated"):
                yield f"parameter '{name}' twice"
            seen.add(name)
            if name in UPLOAD_PARAMETERS and upload:
                continue
            if (name, value) == ("alt", "media") and method.described.get("supportsMediaDownload"):
                continue
            if not known or known.get("location") == "path":
                yield f"{method.name} has no parameter '{name}'"
                continue
            yield from (f"parameter '{name}': {what}" for what in check_text(known, value))
        for name, described in method.parameters.items():
            if described.get("required") and described["location"] == "query" and name not in seen:
                yield f"{method.name} needs the parameter '{name}'"

    def with_names(self, schema, value):
        """The same JSON with the names of what may be written otherwise, too: a property with
        underscores, as protocol buffers have it, and one of a few words as a number. The numbers
        are those of their order, which holds for all that clients send."""
        if "$ref" in schema:
            schema = self.schemas[schema["$ref"]]
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            names = {name: camel_name(name) if camel_name(name) in properties else name
                     for name in value}
            return {names[name]: self.with_names(properties.get(names[name], {}), inner)
                    for name, inner in value.items()}
        if isinstance(value, list):
            return [self.with_names(schema.get("items", {}), inner) for inner in value]
        words = schema.get("enum", [])
        if type(value) is int and 0 <= value < len(words):
            return words[value]
        return value

    def check_body(self, schema, value, where=""):
        """What is wrong with JSON that should be of a schema."""
        if "$ref" in schema:
            schema = self.schemas[schema["$ref"]]
        kind = schema.get("type", "any")
        if value is None or kind == "any":
            return
        if kind == "object":
            if not isinstance(value, dict):
                yield f"{where or 'the body'} is not an object"
                return
            rest = schema.get("additionalProperties")
            for name, inner in value.items():
                known = schema.get("properties", {}).get(name) or rest
                if known is None:
                    yield f"there is no '{where}{name}'"
                else:
                    yield from self.check_body(known, inner, f"{where}{name}.")
        elif kind == "array":
            if not isinstance(value, list):
                yield f"'{where[:-1]}' is not a list"
                return
            for inner in value:
                yield from self.check_body(schema["items"], inner, where)
        elif kind == "boolean" or kind in ("integer", "number"):
            wanted = bool if kind == "boolean" else (int, float)
            if not isinstance(value, wanted) or (kind != "boolean" and isinstance(value, bool)):
                yield f"'{where[:-1]}' is not of type {kind}"
        elif not isinstance(value, str):
            yield f"'{where[:-1]}' is not a text"
        else:
            yield from (f"'{where[:-1]}': {what}" for what in check_text(schema, value))


def camel_name(name):
    return re.sub("_([a-z])", lambda found: found[1].upper(), name)


def is_base64(value):
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    return True


def check_text(described, value):
    kind, form = described.get("type"), described.get("format")
    if kind == "integer" or form in ("int64", "uint64"):
        if not re.fullmatch(r"-?[0-9]+", value):
            yield f"'{value}' is not an integer"
        elif "minimum" in described and int(value) < int(described["minimum"]):
            yield f"{value} is less than {described['minimum']}"
        elif "maximum" in described and int(value) > int(described["maximum"]):
            yield f"{value} is more than {described['maximum']}"
    elif kind == "boolean" and value not in ("true", "false"):
        yield f"'{value}' is neither true nor false"
    elif "enum" in described and value not in described["enum"]:
        yield f"'{value}' is none of {', '.join(described['enum'])}"
    elif form in FORMS and not re.fullmatch(FORMS[form][1], value):
        yield f"'{value}' is no {FORMS[form][0]}"
    elif form == "byte" and not is_base64(value):
        yield f"'{value[:40]}' is not in base64"


def select_fields(value, fields):
    """What the parameter 'fields' leaves of a reply: 'items(name,size),prefixes,a/b,*'."""
    tree = parse_fields(iter(re.findall(r"[^,()/]+|[,()/]", fields)))
    return apply_fields(value, tree)


def parse_fields(words):
    tree, names = {}, []
    for word in words:
        if word == "(":
            place(tree, names, parse_fields(words))
            names = []
        elif word == ")":
            break
        elif word == ",":
            place(tree, names, None)
            names = []
        elif word != "/":
            names.append(word.strip())
    place(tree, names, None)
    return tree


def place(tree, names, inner):
    for index, name in enumerate(names):
        last = index == len(names) - 1
        if last and inner is None:
            tree[name] = None
        else:
            tree = tree.setdefault(name, {})
            if last:
                tree.update(inner)


def apply_fields(value, tree):
    if tree is None or "*" in tree:
        return value
    if isinstance(value, list):
        return [apply_fields(one, tree) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: apply_fields(inner, tree[name]) for name, inner in value.items() if name in tree}
