"""A strict reader of the text format of Prometheus, version 0.0.4: what it lets pass, any scraper
reads."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"^({NAME})(?:\{{(.*)\}})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}


def labels_of(text):
    found = {}
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"not labels: {text[at:]!r}"
        assert match.group(1) not in found, f"a label stands twice: {text!r}"
        found[match.group(1)] = match.group(2)
        at = match.end()
    return found


def family_of(name, families):
    if name in families:
        return name
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and families.get(base, {}).get("type") == "histogram":
            return base
    raise AssertionError(f"a sample without HELP and TYPE: {name}")


def check_histogram(name, samples):
    series = {}
    for sample, labels, value in samples:
        key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
        part = series.setdefault(key, {"buckets": []})
        if sample.endswith("_bucket"):
            part["buckets"].append((float(labels["le"]), value))
        else:
            part[sample.removeprefix(name)] = value
    for key, part in series.items():
        bounds = [bound for bound, _ in part["buckets"]]
        counts = [count for _, count in part["buckets"]]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), (name, key)
        assert counts == sorted(counts) and counts[-1] == part["_count"], (name, key)
        assert "_sum" in part, (name, key)


def read(text):
    """{family: {type, help, samples: [(name, labels, value)]}}; fails where it is not the format."""
    families, seen, current = {}, set(), None
    assert text.endswith("\n")
    for line in text.split("\n")[:-1]:
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            if word == "HELP":
                assert name not in families, f"the family {name} stands twice"
                families[name] = {"help": rest, "type": None, "samples": []}
                current = name
            else:
                assert word == "TYPE" and name == current and rest in TYPES, line
                assert families[name]["type"] is None
                families[name]["type"] = rest
            continue
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        name, labels, value = match.group(1), labels_of(match.group(2) or ""), float(match.group(3))
        family = family_of(name, families)
        assert family == current, f"{name} stands apart from its family"
        key = (name, tuple(sorted(labels.items())))
        assert key not in seen, f"a sample stands twice: {line!r}"
        seen.add(key)
        families[family]["samples"].append((name, labels, value))
    for name, family in families.items():
        assert family["help"].strip() and family["type"], name
        if family["type"] == "counter":
            assert name.endswith("_total"), f"a counter's name ends with _total: {name}"
            assert all(value >= 0 for _, _, value in family["samples"])
        if family["type"] == "histogram":
            check_histogram(name, family["samples"])
        if name.endswith(("_ms", "_milliseconds", "_kib")):
            raise AssertionError(f"not in base units: {name}")
    return families


def value(families, name, **labels):
    """The one sample with these labels, or None."""
    for family in families.values():
        for sample, found, number in family["samples"]:
            if sample == name and labels.items() <= found.items():
                return number
    return None
