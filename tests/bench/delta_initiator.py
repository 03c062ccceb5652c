"""run-core delta-initiator beside a Node.js program which does what the older service does
(delta_initiator.mjs): a dump by a process of its own, and by POST to one that serves, on one
Virtuoso in memory.

Both take turns; between two creations the job is set to success, which is not timed."""
import contextlib
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from measure import BENCH, ROOT, run, say_times

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import processes  # noqa: E402, from the folder of the test servers
import virtuoso  # noqa: E402
from sparql_faults import SparqlFaults  # noqa: E402

PACKAGE = "sparql-http-client@3.1.0"
POSTS = 1000
GRAPH = "http://mu.semte.ch/graphs/bench"
OPERATION = "http://redpencil.data.gift/id/jobs/concept/JobOperation/deltas/bench/"
STATUS = "http://redpencil.data.gift/id/concept/JobStatus/"
FINISH = f"""WITH <{GRAPH}>
DELETE {{ ?s <http://www.w3.org/ns/adms#status> ?status }}
INSERT {{ ?s <http://www.w3.org/ns/adms#status> <{STATUS}success> }}
WHERE {{ ?s <http://www.w3.org/ns/adms#status> ?status
         FILTER(?status IN (<{STATUS}busy>, <{STATUS}scheduled>)) }}"""
COUNT = f"""SELECT (COUNT(DISTINCT ?job) AS ?jobs) (COUNT(DISTINCT ?task) AS ?tasks) WHERE {{
  GRAPH <{GRAPH}> {{ ?job a <http://vocab.deri.ie/cogs#Job> .
                     ?task <http://purl.org/dc/terms/isPartOf> ?job }} }}"""


class Way:
    """A program that creates dumps: by a process for each, and by one that serves."""

    def __init__(self, name, once, serve, environment):
        """'serve' gives the words for a port."""
        self.name, self.once, self.serve = name, once, serve
        self.environment = environment
        self.made, self.posted = [], []

    def make(self):
        self.made.append(run(self.once, self.environment).seconds)

    @contextlib.contextmanager
    def served(self):
        port = processes.free_port()
        self.process = subprocess.Popen(self.serve(port), env=self.environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            processes.wait_for_port(port, self.process)
            self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            yield self
        finally:
            self.process.terminate()
            self.process.wait(30)

    def post(self):
        began = time.perf_counter()
        self.connection.request("POST", "/dump-publication-graph-jobs")
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"{self.name}: {answer.status} {text.decode()}")
        self.posted.append(time.perf_counter() - began)

    def memory_mib(self, field):
        """Of all its processes."""
        kib = 0
        for pid in family(self.process.pid):
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                kib += sum(int(line.split()[1]) for line in file if line.startswith(field + ":"))
        return kib / 1024


def family(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = file.read().split()
    return [pid] + [one for child in children for one in family(int(child))]


def node(setting, environment):
    """The other one, where Node.js and its client are to be had; or nothing."""
    folder = os.path.join(setting.cache, "delta-initiator")
    os.makedirs(folder, exist_ok=True)
    if not shutil.which("node"):
        return []
    if not os.path.isdir(os.path.join(folder, "node_modules", PACKAGE.split("@", maxsplit=1)[0])):
        got = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder,
                              PACKAGE], capture_output=True, check=False)
        if got.returncode:
            return []
    program = shutil.copy(os.path.join(BENCH, "delta_initiator.mjs"), folder)
    return [Way("node, three queries and two updates", ["node", program],
                lambda port: ["node", program, str(port)], environment)]


def requests_of(way, store):
    """What one creation asks the store for."""
    with SparqlFaults(store) as proxy:
        run(way.once, dict(way.environment, MU_SPARQL_ENDPOINT=proxy.query_url))
        store.update(FINISH)
        return len(proxy.queries()), len(proxy.updates())


def take_turns(ways, store, count, work):
    for number in range(count):
        for way in ways if number % 2 == 0 else ways[::-1]:
            work(way)
            store.update(FINISH)


def say_ratio(what, ways, times):
    if len(ways) == 2:
        ours, other = (statistics.median(times(way)) for way in ways)
        print(f"  {what}: {ours / other:.2f} of node's")


def by_process(ways, store, rounds):
    for way in ways:
        way.make()  # the first finds nothing in the page cache
        store.update(FINISH)
        way.made.clear()
    take_turns(ways, store, 20 * rounds, Way.make)
    for way in ways:
        say_times(f"a dump by a process: {way.name}", way.made)
    say_ratio("a process", ways, lambda way: way.made)


def by_post(ways, store):
    with contextlib.ExitStack() as stack:
        for way in ways:
            stack.enter_context(way.served())
        idle = [way.memory_mib("VmRSS") for way in ways]
        take_turns(ways, store, POSTS, Way.post)
        for way, before in zip(ways, idle):
            say_times(f"POST: {way.name}", way.posted)
            print(f"    memory idle {before:.1f} MiB, after {POSTS} POSTs "
                  f"{way.memory_mib('VmRSS'):.1f} MiB, peak {way.memory_mib('VmHWM'):.1f} MiB")
    say_ratio("a POST", ways, lambda way: way.posted)


def delta_initiator(setting):
    store = virtuoso.temporary()
    try:
        with tempfile.TemporaryDirectory() as folder:
            environment = setting.environment(
                os.path.join(folder, "state"), MU_SPARQL_ENDPOINT=store.query_url, JOBS_GRAPH=GRAPH,
                INITIAL_PUBLICATION_GRAPH_SYNC_JOB_OPERATION=OPERATION + "initial-sync",
                HEALING_JOB_OPERATION=OPERATION + "healing",
                DUMP_FILE_CREATION_JOB_OPERATION=OPERATION + "dump")
            words = [setting.binary(), "serve", "delta-initiator", "--listen"]
            ways = [Way("run-core", [setting.binary(), "delta-initiator", "dump"],
                        lambda port: [*words, f"127.0.0.1:{port}"], environment)]
            ways += node(setting, environment)
            if len(ways) == 1:
                print("  Node.js or its client is not to be had: no comparison")
            made = 0
            for way in ways:
                queries, updates = requests_of(way, store)
                print(f"  {way.name}: {queries} queries and {updates} updates for a dump")
                made += 1
            by_process(ways, store, setting.rounds)
            by_post(ways, store)
            made += len(ways) * (1 + 20 * setting.rounds + POSTS)
            found, = store.rows(COUNT)
            if (found["jobs"], found["tasks"]) != (str(made), str(made)):
                sys.exit(f"{made} jobs were created; there are {found}")
    finally:
        virtuoso.remove(store)
