#!/usr/bin/python3
"""Judges SPARQL by running it: statements_judge.py [QUERY_URL UPDATE_URL]

On stdin a case in a line of JSON: {"name", "graph", "given", "text"} and what is expected, either
"after" (of an update: what is in the graph then, also if it is sent twice) or "rows" (of a query: a
list of lists, in any order, or true or false). Graphs are N-Triples. The statements are run by
rdflib, whose parser and engine have nothing in common with the plugin; or by the store at the URLs.
"""
import datetime
import functools
import http.client
import json
import sys
import urllib.parse

import rdflib
from rdflib.plugins.sparql import update as rdflib_update
from rdflib.plugins.sparql.algebra import translateQuery, translateUpdate
from rdflib.plugins.sparql.evaluate import evalPart
from rdflib.plugins.sparql.parser import parseQuery, parseUpdate

MOST_SHOWN = 3

rdflib.NORMALIZE_LITERALS = False

# rdflib goes on matching in the graph that it is changing. The standard has it matched before
# anything is changed (SPARQL 1.1 Update, 3.1.3).
rdflib_update.evalPart = lambda context, part: list(evalPart(context, part))


class Refused(Exception):
    pass


class Rdflib:
    def begin(self, graph, given):
        self.dataset = rdflib.ConjunctiveGraph()
        self.dataset.get_context(rdflib.URIRef(graph)).parse(data=given, format="nt")

    def update(self, text):
        rdflib_update.evalUpdate(self.dataset, update_of(text))

    def triples(self, graph):
        return list(self.dataset.get_context(rdflib.URIRef(graph)))

    def ask(self, text):
        return self.dataset.query(query_of(text)).askAnswer

    def rows(self, text):
        return [list(row) for row in self.dataset.query(query_of(text))]


class Store:
    def __init__(self, query_url, update_url):
        self.query_url, self.update_url = query_url, update_url

    @functools.cache
    def connection(self, place):
        return http.client.HTTPConnection(place, timeout=60)

    def send(self, url, field, text, accept):
        parts = urllib.parse.urlsplit(url)
        connection = self.connection(parts.netloc)
        connection.request("POST", parts.path, urllib.parse.urlencode({field: text}),
                           {"Accept": accept,
                            "Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        body = answer.read().decode("utf-8")
        if answer.status // 100 != 2:
            raise Refused(f"  {answer.status} {body[:1000]}")
        return body

    def update(self, text):
        self.send(self.update_url, "update", text, "*/*")

    def query(self, text):
        return json.loads(self.send(self.query_url, "query", text,
                                    "application/sparql-results+json"))

    def begin(self, graph, given):
        self.update(f"DROP SILENT GRAPH <{graph}>")
        if given:
            self.update(f"INSERT DATA {{ GRAPH <{graph}> {{ {given} }} }}")

    def triples(self, graph):
        return self.rows(f"SELECT ?s ?p ?o WHERE {{ GRAPH <{graph}> {{ ?s ?p ?o }} }}")

    def ask(self, text):
        return self.query(text)["boolean"]

    def rows(self, text):
        found = self.query(text)
        return [[term_of(row.get(name)) for name in found["head"]["vars"]]
                for row in found["results"]["bindings"]]


def term_of(found):
    if found is None:
        return None
    if found["type"] == "uri":
        return rdflib.URIRef(found["value"])
    if found["type"] == "bnode":
        return rdflib.BNode(found["value"])
    return rdflib.Literal(found["value"], lang=found.get("xml:lang"),
                          datatype=found.get("datatype"))


@functools.cache
def update_of(text):
    return translateUpdate(parseUpdate(text))


@functools.cache
def query_of(text):
    return translateQuery(parseQuery(text)) and text


def plain(term):
    """A term as text. Stores may write a time, or a number, in another way; they mean the same."""
    if term is None:
        return None
    if isinstance(term, rdflib.Literal):
        if term.datatype == rdflib.XSD.dateTime:
            return f'"{moment(str(term))}"^^time'
        if term.datatype in (rdflib.XSD.integer, rdflib.XSD.int):
            return str(int(term))
        if term.datatype == rdflib.XSD.string:
            return rdflib.Literal(str(term)).n3()
    return term.n3()


def moment(text):
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).isoformat()
    except ValueError:
        return text


def difference(found, expected):
    found, expected = (sorted(map(str, side)) for side in (found, expected))
    lines = [f"  too much: {line}" for line in found if line not in expected]
    lines += [f"  missing:  {line}" for line in expected if line not in found]
    return "\n".join(lines or (["  the same, but not as often"] if found != expected else []))


def triples_of(text):
    return rdflib.Graph().parse(data=text, format="nt")


def judge(engine, case):
    """What is wrong, as text; or nothing."""
    engine.begin(case["graph"], case["given"])
    if "after" in case:
        expected = [tuple(map(plain, triple)) for triple in triples_of(case["after"])]
        changes = case["after"] != case["given"]
        for turn in ("", "sent again: ") if changes else ("",):
            engine.update(case["text"])
            found = [tuple(map(plain, triple)) for triple in engine.triples(case["graph"])]
            wrong = difference(found, expected)
            if wrong:
                return turn + wrong
        return ""
    if isinstance(case["rows"], bool):
        return "" if engine.ask(case["text"]) == case["rows"] else f"  is not {case['rows']}"
    return difference(([plain(term) for term in row] for row in engine.rows(case["text"])),
                      case["rows"])


def main():
    engine = Store(*sys.argv[1:3]) if len(sys.argv) > 2 else Rdflib()
    count = failed = 0
    for line in sys.stdin:
        case = json.loads(line)
        count += 1
        try:
            wrong = judge(engine, case)
        except Refused as refusal:
            wrong = str(refusal)
        if wrong:
            failed += 1
        if wrong and failed <= MOST_SHOWN:
            print(f"{case['name']}\n{wrong}\n{case['text']}", file=sys.stderr)
    print(f"{count} statements judged, {failed} of them wrong")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
