"""What tests know of a SPARQL 1.1 store, whichever it is: where it is, and a client for it which
shares nothing with the one that is tested: requests for the protocol, rdflib for what comes."""
import functools


class SparqlStore:
    """Subclasses set name, query_url and update_url."""

    def environment(self):
        """What tests find the store by."""
        return {"RUN_CORE_TEST_SPARQL_QUERY": self.query_url,
                "RUN_CORE_TEST_SPARQL_UPDATE": self.update_url}

    def update(self, text, url=None, **options):
        answer = session().post(url or self.update_url, data={"update": text}, timeout=60,
                                **options)
        return checked(answer, text)

    def query(self, text, accept="application/sparql-results+json", url=None, **options):
        answer = session().post(url or self.query_url, data={"query": text}, timeout=60,
                                headers={"Accept": accept}, **options)
        return checked(answer, text)

    def rows(self, text):
        """The rows of a SELECT, a dict each, with the values as text."""
        found = self.query(text).json()["results"]["bindings"]
        return [{name: term["value"] for name, term in row.items()} for row in found]

    def graph(self, iri):
        """What is in a named graph, as an rdflib.Graph; literals are as the store writes them."""
        import rdflib
        rdflib.NORMALIZE_LITERALS = False
        answer = self.query(f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH <{iri}> {{ ?s ?p ?o }} }}",
                            accept="application/n-triples, text/plain;q=0.1")
        return rdflib.Graph().parse(data=answer.content.decode("utf-8"), format="nt")

    def insert(self, iri, graph):
        """Adds an rdflib.Graph to a named graph."""
        text = "".join(sorted(graph.serialize(format="nt").splitlines(True)))
        self.update(f"INSERT DATA {{ GRAPH <{iri}> {{\n{text}}} }}")

    def drop(self, iri):
        self.update(f"DROP SILENT GRAPH <{iri}>")


def checked(answer, text):
    if not answer.ok:
        raise RuntimeError(f"{answer.status_code} {answer.text[:1000]}\nto {text}")
    return answer


@functools.cache
def session():
    """One connection pool for all threads' requests; nothing of it is taken from the environment."""
    import requests
    made = requests.Session()
    made.trust_env = False
    return made
