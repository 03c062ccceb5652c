"""The SPARQL stores that tests of delta-initiator work with, and the proxy that breaks them: what the
other tests believe of them; and what the plugin does where a store wants a login, does not let it
write, or does not keep two updates apart."""
import concurrent.futures
import os
import subprocess
import sys
import time
import uuid

import oxigraph as other_stores
import pytest
import requests
import sparql_faults
import virtuoso as virtuoso_server
from conftest import PATIENCE_S, SOURCE
from delta_world import DeltaWorld, assert_same
from requests.auth import HTTPDigestAuth

THING = "<http://example.org/thing>"


@pytest.fixture
def iri(sparql_store):
    name = f"http://example.org/graphs/{uuid.uuid4()}"
    yield name
    sparql_store.drop(name)


@pytest.fixture
def mine(virtuoso):
    name = f"http://example.org/graphs/{uuid.uuid4()}"
    yield name
    virtuoso.drop(name)


def insert(iri, value):
    return f'INSERT DATA {{ GRAPH <{iri}> {{ {THING} <http://example.org/p> "{value}" }} }}'


def count(iri):
    return f"SELECT ?o WHERE {{ GRAPH <{iri}> {{ ?s ?p ?o }} }}"


def exclusive(iri, name):
    """An update that does nothing once it, or another of its kind, has done something."""
    return (f"INSERT {{ GRAPH <{iri}> {{ <http://example.org/{name}> a {THING} }} }} "
            f"WHERE {{ VALUES ?one {{ 1 }} "
            f"FILTER NOT EXISTS {{ GRAPH <{iri}> {{ ?other a {THING} }} }} }}")


def race(update, iri):
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        for done in [both.submit(update, exclusive(iri, name)) for name in ("a", "b")]:
            done.result()


def test_a_store_keeps_what_it_is_given(sparql_store, iri):
    sparql_store.update(insert(iri, "caf\\u00e9 \\\"q\\\" \\\\ \\n\\t"))
    assert [str(o) for o in sparql_store.graph(iri).objects()] == ['café "q" \\ \n\t']
    assert sparql_store.rows(count(iri)) == [{"o": 'café "q" \\ \n\t'}]
    assert sparql_store.query(f"ASK {{ GRAPH <{iri}> {{ ?s ?p 1 }} }}").json()["boolean"] is False


def test_a_store_says_what_it_does_not_understand(sparql_store):
    for ask in (sparql_store.query, sparql_store.update):
        with pytest.raises(RuntimeError, match="^400 "):
            ask("SELECT nonsense ({")


def test_of_two_conditional_updates_at_once_a_store_does_one(sparql_store, iri):
    for _ in range(5):
        race(sparql_store.update, iri)
        assert len(sparql_store.graph(iri)) == 1
        sparql_store.drop(iri)


def test_the_loose_store_does_both(oxigraph):
    iri = f"http://example.org/graphs/{uuid.uuid4()}"
    pair = [exclusive(iri, name) for name in ("a", "b")]
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        first = both.submit(oxigraph.loose(200).update, pair[0])
        both.submit(oxigraph.loose(200).update, pair[1]).result()
        first.result()
    assert len(oxigraph.graph(iri)) == 2
    oxigraph.loose().update(f"DELETE WHERE {{ GRAPH <{iri}> {{ ?s ?p ?o }} }}")
    assert len(oxigraph.graph(iri)) == 0


def test_a_store_is_as_others_expect_of_the_protocol(sparql_store):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert requests.get(sparql_store.query_url, {"query": "ASK {}"}, timeout=10).ok
    assert requests.post(sparql_store.query_url, b"query=ASK%20%7B%7D", headers=form,
                         timeout=10).ok
    direct = {"Content-Type": "application/sparql-update"}
    assert requests.post(sparql_store.update_url, b"INSERT DATA {}", headers=direct,
                         timeout=10).ok


@pytest.mark.filterwarnings("ignore:SelectableGroups")
def test_a_client_of_others_reads_the_same(sparql_store, iri):
    from rdflib.plugins.stores.sparqlstore import SPARQLStore
    sparql_store.update(insert(iri, "one"))
    store = SPARQLStore(sparql_store.query_url, method="POST_FORM")
    assert [str(row[0]) for row in store.query(count(iri))] == ["one"]


def test_virtuoso_keeps_all_when_it_is_killed():
    server = virtuoso_server.temporary(writable=False)
    try:
        with pytest.raises(RuntimeError, match="^500 .*SR186"):
            server.update(insert("http://example.org/g", "no"))
        server.allow_updates(True)
        server.update(insert("http://example.org/g", "first"))
        server.kill()
        server.start()
        server.update(insert("http://example.org/g", "second"))
        assert len(server.graph("http://example.org/g")) == 2
        server.allow_updates(False)
        with pytest.raises(RuntimeError, match="^500 .*SR186"):
            server.update(insert("http://example.org/g", "no"))
        server.pause()
        with pytest.raises(requests.Timeout):
            requests.get(server.query_url, {"query": "ASK {}"}, timeout=0.3)
        server.resume()
        assert len(server.graph("http://example.org/g")) == 2
    finally:
        virtuoso_server.remove(server)


def test_virtuoso_knows_its_user(virtuoso, mine):
    digest = HTTPDigestAuth(*virtuoso_server.USER)
    virtuoso.update(insert(mine, "digest"), url=virtuoso.auth_url, auth=digest)
    assert len(virtuoso.graph(mine)) == 1
    for auth in (None, HTTPDigestAuth(virtuoso_server.USER[0], "wrong")):
        with pytest.raises(RuntimeError, match="^401 "):
            virtuoso.update(insert(mine, "no"), url=virtuoso.auth_url, auth=auth)


def test_oxigraph_knows_its_user(oxigraph):
    private, (name, password) = oxigraph.private(), other_stores.USER
    assert private.query("ASK {}", auth=(name.encode(), password.encode())).ok
    for auth in (None, (name, "wrong")):
        with pytest.raises(RuntimeError, match="^401 "):
            private.query("ASK {}", auth=auth)


def test_the_launcher_says_where_the_store_is():
    script = ("import os, urllib.request, urllib.parse\n"
              "url = os.environ['RUN_CORE_TEST_SPARQL_QUERY']\n"
              "assert os.environ['MU_SPARQL_ENDPOINT'] == url\n"
              "form = urllib.parse.urlencode({'query': 'ASK {}'}).encode()\n"
              "print(urllib.request.urlopen(url, form).status)\n"
              "raise SystemExit(7)\n")
    done = subprocess.run(
        [SOURCE / "tests" / "support" / "with-virtuoso", sys.executable, "-c", script],
        stdout=subprocess.PIPE, text=True, check=False, timeout=60,
        env={name: value for name, value in os.environ.items()
             if not name.startswith("RUN_CORE_TEST_SPARQL")})
    assert (done.returncode, done.stdout) == (7, "200\n")


class TestProxy:
    def ask(self, proxy, text="ASK {}", kind="query", timeout=10):
        return requests.post(getattr(proxy, f"{kind}_url"), {kind: text}, timeout=timeout)

    def update(self, proxy, text):
        return self.ask(proxy, text, "update")

    def test_it_changes_nothing_by_itself(self, sparql_proxy, virtuoso, mine):
        assert self.update(sparql_proxy, insert(mine, "é")).ok
        assert self.ask(sparql_proxy).ok
        assert [(one.kind, one.status) for one in sparql_proxy.exchanges] == [
            ("update", 200), ("query", 200)]
        assert sparql_proxy.updates() == [insert(mine, "é")]
        assert [str(o) for o in virtuoso.graph(mine).objects()] == ["é"]

    def test_it_passes_a_login_on(self, sparql_proxy, mine, virtuoso):
        digest = HTTPDigestAuth(*virtuoso_server.USER)
        virtuoso.update(insert(mine, "x"), url=sparql_proxy.auth_url, auth=digest)
        assert len(virtuoso.graph(mine)) == 1

    def test_a_plan_picks_by_kind_text_and_number(self, sparql_proxy, mine):
        sparql_proxy.plan(kind="update", text="second", nth=2, status=500, body="no\n")
        said = [self.update(sparql_proxy, insert(mine, one)).status_code
                for one in ("second", "first", "second", "second")]
        assert said == [200, 200, 500, 200]
        sparql_proxy.html(times=None)
        assert [self.ask(sparql_proxy).status_code for _ in range(3)] == [502] * 3
        assert "<h1>" in self.ask(sparql_proxy).text
        sparql_proxy.clear()
        sparql_proxy.unauthorized()
        assert [self.ask(sparql_proxy).status_code for _ in range(2)] == [401, 200]

    def test_an_answer_is_lost_but_the_update_is_not(self, sparql_proxy, virtuoso, mine):
        sparql_proxy.answer_lost(kind="update")
        with pytest.raises(requests.ConnectionError):
            self.update(sparql_proxy, insert(mine, "done"))
        assert len(virtuoso.graph(mine)) == 1
        sparql_proxy.plan(kind="update", lost=True)
        with pytest.raises(requests.ConnectionError):
            self.update(sparql_proxy, insert(mine, "not done"))
        assert len(virtuoso.graph(mine)) == 1

    def test_the_test_acts_before_and_after(self, sparql_proxy, virtuoso, mine):
        seen = []
        def look(exchange):
            seen.append((exchange.number, len(virtuoso.graph(mine))))
        sparql_proxy.plan(kind="update", before=look, after=look)
        assert self.update(sparql_proxy, insert(mine, "x")).ok
        assert seen == [(1, 0), (1, 1)]

    def test_a_request_is_carried_out_twice(self, sparql_proxy, virtuoso, mine):
        sparql_proxy.plan(kind="update", twice=True)
        text = (f"INSERT {{ GRAPH <{mine}> {{ [] a {THING} }} }} "
                f"WHERE {{ VALUES ?one {{ 1 }} }}")
        assert self.update(sparql_proxy, text).ok
        assert len(virtuoso.graph(mine)) == 2

    def test_an_answer_is_cut_late_or_slow(self, sparql_proxy):
        sparql_proxy.plan(cut_reply_body_bytes=20)
        assert len(self.ask(sparql_proxy, "SELECT * {}").content) == 20
        sparql_proxy.clear()
        sparql_proxy.late(700)
        sparql_proxy.plan(nth=2, delay_ms=700)
        sparql_proxy.plan(nth=3, bytes_per_s=500)
        for _ in range(3):
            begun = time.monotonic()
            assert self.ask(sparql_proxy, "SELECT * {}").ok
            assert time.monotonic() - begun > 0.3
        sparql_proxy.plan(stall_reply_bytes=30)
        with pytest.raises(requests.RequestException):
            self.ask(sparql_proxy, timeout=0.3)

    def test_requests_wait_at_a_gate(self, sparql_proxy, virtuoso, mine):
        gate = sparql_proxy.hold(kind="update", times=2)
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            waiting = [both.submit(self.update, sparql_proxy, insert(mine, one)) for one in "ab"]
            gate.wait(2)
            assert len(virtuoso.graph(mine)) == 0
            gate.open()
            assert [one.result().status_code for one in waiting] == [200, 200]
        assert len(virtuoso.graph(mine)) == 2
        after = sparql_proxy.hold(when="after", kind="update")
        with concurrent.futures.ThreadPoolExecutor(1) as one:
            waiting = one.submit(self.update, sparql_proxy, insert(mine, "c"))
            after.wait()
            assert len(virtuoso.graph(mine)) == 3
            after.open()
            assert waiting.result().ok

    def test_the_store_goes_and_comes_back(self, sparql_proxy):
        assert self.ask(sparql_proxy).ok
        sparql_proxy.down()
        with pytest.raises(requests.ConnectionError):
            self.ask(sparql_proxy)
        sparql_proxy.up()
        assert self.ask(sparql_proxy).ok
        sparql_proxy.wait_for(2, kind="query")

    def test_it_knows_sparql_in_all_of_the_protocols_ways(self, sparql_proxy):
        requests.get(sparql_proxy.query_url, {"query": "ASK {}"}, timeout=10)
        requests.post(sparql_proxy.update_url, b"INSERT DATA {}", timeout=10,
                      headers={"Content-Type": "application/sparql-update"})
        assert [(one.kind, one.text) for one in sparql_proxy.exchanges] == [
            ("query", "ASK {}"), ("update", "INSERT DATA {}")]

    def test_another_store_has_other_paths(self, sparql_store, iri):
        with sparql_faults.SparqlFaults(sparql_store) as proxy:
            assert self.update(proxy, insert(iri, "x")).ok
            assert self.ask(proxy, count(iri)).ok
            assert len(proxy.exchanges) == 2


# ---- the plugin and its store ----

class AtAuth:
    """Virtuoso where a user proves himself by digest."""

    def __init__(self, store):
        self.store, self.query_url, self.update_url = store, store.auth_url, store.auth_url


@pytest.fixture
def ways(world):
    """A DeltaWorld on another way into a store; what is in the store goes at the end."""
    made = []

    def way(store):
        made.append(DeltaWorld(world, store))
        return made[-1]
    yield way
    for one in made:
        one.end()


@pytest.mark.parametrize("authentication", ["any", "digest"])
def test_it_logs_in_to_virtuoso(ways, virtuoso, authentication):
    delta = ways(AtAuth(virtuoso))
    delta.use_environment(SPARQL_USERNAME=virtuoso_server.USER[0],
                          SPARQL_PASSWORD=virtuoso_server.USER[1],
                          options={"authentication": authentication})
    result = delta.run("dump")
    assert result.status == 0, result.stderr
    assert len(delta.check_whole()) == 1


@pytest.mark.parametrize("authentication", ["any", "basic"])
def test_it_logs_in_to_oxigraph(ways, oxigraph, authentication):
    delta = ways(oxigraph.private())
    delta.use_environment(SPARQL_USERNAME=other_stores.USER[0],
                          SPARQL_PASSWORD=other_stores.USER[1],
                          options={"authentication": authentication})
    result = delta.run("dump")
    assert result.status == 0, result.stderr
    assert len(delta.check_whole()) == 1


@pytest.mark.parametrize("user", [None, virtuoso_server.USER[0]])
def test_a_login_that_fails_is_said_at_once(ways, virtuoso, user):
    delta = ways(AtAuth(virtuoso))
    delta.use_environment(**({"SPARQL_USERNAME": user, "SPARQL_PASSWORD": "wr0ng-secret"}
                             if user else {}))
    result = delta.run("dump", store_timeout="10m")  # it is not waited for
    assert result.status == 1
    assert "401" in result.text and virtuoso.auth_url in result.text
    assert "wr0ng-secret" not in result.stderr + result.stdout
    assert len(delta.graph()) == 0


def test_a_store_that_may_not_be_written_is_said_with_the_remedy(ways, virtuoso):
    delta = ways(virtuoso)
    delta.use_environment()
    delta.insert_job("initial-sync", "success")
    before = delta.graph()
    virtuoso.allow_updates(False)
    try:
        result = delta.run("healing")
        assert result.status == 1
        assert "SPARQL_UPDATE" in result.text and "SR186" in result.text
        assert_same(delta.graph(), before)
        assert delta.run("status").status == 0
    finally:
        virtuoso.allow_updates(True)
    assert delta.run("healing").status == 0


def test_two_at_once_on_a_store_that_lets_both_in(world, oxigraph):
    """The store finds out what both updates are to do before it does either."""
    with sparql_faults.SparqlFaults(oxigraph.loose(pause_ms=100)) as proxy:
        delta = DeltaWorld(world, proxy)
        delta.use_environment()
        for _ in range(3):
            proxy.clear()
            gate = proxy.hold(kind="update", text="Task", times=2)
            both = [delta.start("dump", env={"RUN_CORE_STATE": str(world.root / name)})
                    for name in ("one", "two")]
            gate.wait(2)
            assert delta.jobs() == []
            gate.open()
            said = b"".join(one.communicate(timeout=PATIENCE_S)[1] for one in both)
            assert b"withdrew" in said
            statuses = sorted(one.returncode for one in both)
            assert len(delta.active()) == statuses.count(0) <= 1, statuses
            delta.check_whole()
            delta.end()
