"""Other SPARQL stores of one's own, for tests, on free ports of 127.0.0.1, with everything in memory:

    Oxigraph         its engine from the npm package, behind oxigraph_server.js. RUN_CORE_OXIGRAPH
                     is the folder in whose node_modules the package is.
    OxigraphServer   the same engine with Oxigraph's own server, as its package of PyPI brings it.
    Fuseki           Apache Jena's server, in Java.

The latter two are in the folder RUN_CORE_SPARQL_INTEROP, as bin/oxigraph and fuseki.jar.
"""
import os
import shutil
from pathlib import Path

import processes
from sparql_store import SparqlStore

START_LIMIT_S = 60
USER = ("delta", "se:cret of délta")


class MemoryStore(SparqlStore):
    """Subclasses give the words of the program that serves on self.port, and the paths there. It runs
    as whoever runs the tests: the programs may lie where no other user gets."""

    query_path, update_path = "/query", "/update"

    def __init__(self):
        self.port = processes.free_port()
        self.folder = self.process = None

    @property
    def query_url(self):
        return f"http://127.0.0.1:{self.port}{self.query_path}"

    @property
    def update_url(self):
        return f"http://127.0.0.1:{self.port}{self.update_path}"

    def words(self):
        raise NotImplementedError

    def variables(self):
        return {}

    def start(self):
        """Also after kill(): on the same port, with nothing in it."""
        if self.folder is None:
            self.folder = Path(processes.temporary_folder(f"run-core-{self.name}-"))
        with open(self.folder / "log", "ab") as log:
            self.process = processes.spawn(
                self.words(), cwd=self.folder, stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.variables()})
        try:
            processes.wait_for_port(self.port, self.process, START_LIMIT_S)
        except BaseException as error:
            self.kill()
            error.add_note((self.folder / "log").read_text(errors="replace"))
            raise
        return self

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Oxigraph(MemoryStore):
    name = "oxigraph"

    @staticmethod
    def is_installed():
        return bool(os.environ.get("RUN_CORE_OXIGRAPH") and shutil.which("node"))

    def words(self):
        return ["node", Path(__file__).with_name("oxigraph_server.js"), self.port]

    def variables(self):
        return {"RUN_CORE_OXIGRAPH": os.path.abspath(os.environ["RUN_CORE_OXIGRAPH"]),
                "RUN_CORE_OXIGRAPH_LOGIN": ":".join(USER)}

    def loose(self, pause_ms=5):
        """The same store, as one that does not run updates one after the other; that much time is
        between what an update reads and what it writes."""
        return OtherWay("oxigraph-loose", self, f"http://127.0.0.1:{self.port}/loose/{pause_ms}")

    def private(self):
        """The same store, for USER alone, who proves himself by HTTP's basic authentication."""
        return OtherWay("oxigraph-private", self, f"http://127.0.0.1:{self.port}/private")


class OtherWay(SparqlStore):
    """Another way into a store, which is there itself for tests."""

    def __init__(self, name, store, url):
        self.name, self.store = name, store
        self.query_url, self.update_url = f"{url}/query", f"{url}/update"


class OxigraphServer(MemoryStore):
    name = "oxigraph-server"

    @staticmethod
    def is_installed():
        return interop_file("bin/oxigraph").exists()

    def words(self):
        return [interop_file("bin/oxigraph"), "serve", "--bind", f"127.0.0.1:{self.port}"]


class Fuseki(MemoryStore):
    name = "fuseki"
    query_path, update_path = "/jobs/query", "/jobs/update"

    @staticmethod
    def is_installed():
        return interop_file("fuseki.jar").exists() and shutil.which("java") is not None

    def words(self):
        return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-jar", interop_file("fuseki.jar"), "--localhost", f"--port={self.port}",
                "--mem", "--update", "/jobs"]


def interop_file(name):
    return Path(os.environ.get("RUN_CORE_SPARQL_INTEROP") or "/nonexistent") / name
