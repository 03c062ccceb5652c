"""Bodies of several parts (RFC 2046), as Google's uploads and batches have them."""
import re

from gcs_store import invalid


def multipart(content_type, body, kind):
    """The parts as (headers, content). 'kind' is what stands after 'multipart/'."""
    match = re.fullmatch(rf"multipart/{kind}\s*;.*\bboundary=(?:\"([^\"]+)\"|([^\s;]+)).*",
                         content_type, re.IGNORECASE)
    if not match:
        raise invalid(f"The Content-Type '{content_type}' is not multipart/{kind} with a boundary")
    line = b"--" + (match.group(1) or match.group(2)).encode()
    start = body.find(line)
    if start != 0 and body[start - 2:start] != b"\r\n":
        raise invalid("Malformed multipart body: no boundary at its start")
    first, *parts = body[start:].split(b"\r\n" + line)
    parts.insert(0, first[len(line):])
    if not parts[-1].startswith(b"--"):
        raise invalid("Malformed multipart body: it does not end with its boundary")
    return [split_part(part) for part in parts[:-1]]


def split_part(part):
    blank, _, rest = part.partition(b"\r\n")
    if blank.strip():
        raise invalid("Malformed multipart body: text behind a boundary")
    if rest.startswith(b"\r\n"):
        return {}, rest[2:]
    head, end, content = rest.partition(b"\r\n\r\n")
    if not end:
        raise invalid("Malformed multipart body: a part without content")
    headers = {}
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, content
