"""Amazon's description of the API of Athena, which comes with botocore: whether a request or a reply is as
it says. botocore itself checks less of what it sends, and nothing of what it gets."""
import re

import botocore.loaders

MODEL = botocore.loaders.Loader().load_service_model("athena", "service-2")
SHAPES = MODEL["shapes"]
OPERATIONS = MODEL["operations"]
TARGET_PREFIX = MODEL["metadata"]["targetPrefix"]

PLAIN = {"string": str, "integer": int, "long": int, "boolean": bool, "double": (int, float),
         "float": (int, float), "timestamp": (int, float)}


def mistakes(shape, value, path="$"):
    """What is wrong with the value, as a list of texts."""
    found = SHAPES[shape]
    kind = found["type"]
    if kind == "structure":
        return of_structure(found, value, path)
    if kind == "list":
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return size(found, value, path) + [
            wrong for at, one in enumerate(value)
            for wrong in mistakes(found["member"]["shape"], one, f"{path}[{at}]")]
    if kind == "map":
        if not isinstance(value, dict):
            return [f"{path}: no map"]
        return [wrong for key, one in value.items()
                for wrong in mistakes(found["value"]["shape"], one, f"{path}.{key}")]
    return of_plain(found, kind, value, path)


def of_structure(found, value, path):
    if not isinstance(value, dict):
        return [f"{path}: no structure"]
    members = found.get("members", {})
    wrong = [f"{path}.{name}: is missing" for name in found.get("required", [])
             if name not in value]
    for name, one in value.items():
        if name not in members:
            wrong.append(f"{path}.{name}: there is no such member")
        elif one is None:
            wrong.append(f"{path}.{name}: null")
        else:
            wrong += mistakes(members[name]["shape"], one, f"{path}.{name}")
    return wrong


def of_plain(found, kind, value, path):
    if not isinstance(value, PLAIN[kind]) or isinstance(value, bool) != (kind == "boolean"):
        return [f"{path}: no {kind}"]
    wrong = size(found, value, path) if kind == "string" else limits(found, value, path)
    if "enum" in found and value not in found["enum"]:
        wrong.append(f"{path}: '{value}' is none of {', '.join(found['enum'])}")
    if kind == "string" and "pattern" in found and not matches(found["pattern"], value):
        wrong.append(f"{path}: '{value[:80]}' does not match {found['pattern']}")
    return wrong


def matches(pattern, value):
    try:
        return re.search(pattern, value) is not None
    except re.error:  # one of Java's that Python does not know
        return True


def size(found, value, path):
    """Of a text in bytes, as Athena counts what it gets."""
    count = len(value.encode()) if isinstance(value, str) else len(value)
    return bounds(found, count, path, "a length of ")


def limits(found, value, path):
    return bounds(found, value, path, "")


def bounds(found, number, path, what):
    if number < found.get("min", number) or number > found.get("max", number):
        return [f"{path}: {what}{number} is not within {found.get('min')} and {found.get('max')}"]
    return []
