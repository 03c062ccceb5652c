"""What every system test has at hand: the binary that was built, run in a world of its own."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import ceph as ceph_server  # noqa: E402
import oxigraph as other_stores  # noqa: E402
import postgres as postgres_server  # noqa: E402
import s3_server  # noqa: E402
import swift as swift_server  # noqa: E402
import virtuoso as virtuoso_server  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402
from gcs import Gcs  # noqa: E402
from sparql_faults import SparqlFaults  # noqa: E402

SOURCE = Path(os.environ.get("RUN_CORE_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("RUN_CORE_BUILD", SOURCE / "build" / "dev"))

# The plugins are built with sanitizers in some builds; a crash has to stay the crash that it is.
SANITIZERS = {
    "ASAN_OPTIONS": "handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigfpe=0:detect_leaks=0",
}


class Result:
    """A finished run: its exit status, its stdout, and its stderr as text and as messages."""

    def __init__(self, process):
        self.status = process.returncode
        self.stdout = process.stdout.decode("utf-8", "replace")
        self.stderr = process.stderr.decode("utf-8", "replace")

    @property
    def messages(self):
        """The JSON lines of stderr; whatever a plugin printed by itself is left out."""
        found = []
        for line in self.stderr.splitlines():
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                found.append(message)
        return found

    @property
    def text(self):
        """All messages' texts, for a look at what was said."""
        return "\n".join(m.get("message", "") for m in self.messages)

    @property
    def final(self):
        """The final object of --json."""
        return json.loads(self.stdout)


class World:
    """A directory of its own: configuration, state and temporary files of one test."""

    def __init__(self, root):
        self.root = root
        self.state = root / "state"
        self.temp = root / "tmp"
        self.temp.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "TMPDIR": str(self.temp),
            "RUN_CORE_STATE": str(self.state),
            "RUN_CORE_PLUGIN_PATH": f"{BUILD / 'plugins'}:{BUILD / 'test-plugins'}",
            # A test that wants a metadata service starts one.
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_GCE_CHECK": "true",
            **SANITIZERS,
        }
        inherited = [name for name in os.environ if name.endswith("SAN_OPTIONS")]
        for name in ["RUN_CORE_DUCKDB", *inherited]:
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def config(self, text, name="test.yaml"):
        """Writes a file of the configuration and makes it the one that is used."""
        folder = self.root / "conf.d"
        folder.mkdir(exist_ok=True)
        path = folder / name
        fresh = self.root / f"{name}.fresh"
        fresh.write_text(text)
        fresh.replace(path)  # another run may be reading it
        self.environment["RUN_CORE_CONFIG"] = str(folder)
        return path

    def start(self, *words, **options):
        """Starts run-core and returns the Popen."""
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        environment = dict(self.environment, **options.pop("env", {}))
        return subprocess.Popen(
            [str(BUILD / "run-core"), *map(str, words)],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            **options,
        )

    def run(self, *words, timeout=120, **options):
        """Runs run-core to its end."""
        process = self.start(*words, **options)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Result(
            subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
        )


@pytest.fixture
def rng(request):
    """For tests that draw what they break; the seed is printed and taken from the environment."""
    seed = int(os.environ.get("RUN_CORE_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"RUN_CORE_FAULT_SEED={seed}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def world_in_memory(tmp_path):
    """A world for tests of many runs in which nothing but the processes is broken: without a disk
    to wait for, where there is memory to be had as files."""
    try:
        root = Path(tempfile.mkdtemp(prefix="run-core-", dir="/dev/shm"))
    except OSError:
        root = tmp_path
    yield World(root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of its own, see support/postgres.py; leave it running."""
    server = postgres_server.temporary()
    yield server
    postgres_server.remove(server)


@pytest.fixture(scope="session")
def ceph():
    """An S3 server of its own, see support/ceph.py; leave it running."""
    server = ceph_server.temporary()
    yield server
    ceph_server.remove(server)


@pytest.fixture
def bucket(ceph):
    """The name of a new bucket on that server, which goes with all that is in it."""
    name = f"bucket-{os.urandom(6).hex()}"
    ceph.s3().create_bucket(Bucket=name)
    yield name
    s3_server.empty(ceph.s3(), name)
    ceph.s3().delete_bucket(Bucket=name)


@pytest.fixture(scope="session")
def swift():
    """Another S3 server, where it is installed, see support/swift.py; leave it running."""
    if not swift_server.is_installed():
        pytest.skip("OpenStack Swift is not installed")
    server = swift_server.temporary()
    yield server
    swift_server.remove(server)


@pytest.fixture
def proxy(ceph):
    """A proxy in front of that server, which breaks what it is told to, see support/faults.py."""
    with FaultProxy(ceph.endpoint) as server:
        yield server


@pytest.fixture
def gcs():
    """A stand-in for Google Cloud Storage, see support/gcs.py. A request that Google's description
    of its API does not allow fails the test."""
    with Gcs() as server:
        yield server
        assert server.mistakes == []


@pytest.fixture
def state_on_postgres(world, postgres):
    """The URL of a new, empty database, in which the world's state is."""
    name = f"state_{os.urandom(6).hex()}"
    url = postgres.make_database(name)
    world.environment["RUN_CORE_STATE"] = url
    yield url
    postgres.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def virtuoso():
    """A SPARQL store, see support/virtuoso.py; leave it running, and use a graph of your own."""
    server = virtuoso_server.temporary()
    yield server
    virtuoso_server.remove(server)


@pytest.fixture(scope="session")
def oxigraph():
    """Another SPARQL store, see support/oxigraph.py; likewise."""
    yield from started(other_stores.Oxigraph)


@pytest.fixture(scope="session")
def oxigraph_server():
    """That store with its own server; only where tests ask for what is not in Debian."""
    yield from started(other_stores.OxigraphServer)


@pytest.fixture(scope="session")
def fuseki():
    """A third SPARQL store; likewise."""
    yield from started(other_stores.Fuseki)


def started(kind):
    if not kind.is_installed():
        pytest.skip(f"the store '{kind.name}' is not installed")
    server = kind().start()
    yield server
    server.remove()


SPARQL_STORES = ["virtuoso", "oxigraph"]
SPARQL_STORES += [kind.name.replace("-", "_")
                  for kind in (other_stores.OxigraphServer, other_stores.Fuseki)
                  if kind.is_installed()]


@pytest.fixture(params=SPARQL_STORES)
def sparql_store(request):
    """Each of the SPARQL stores in turn; leave it running, and use a graph of your own."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def sparql_proxy(virtuoso):
    """A proxy in front of Virtuoso, which breaks what it is told to, see support/sparql_faults.py."""
    with SparqlFaults(virtuoso) as server:
        yield server


@pytest.fixture
def delta(world, virtuoso):
    """A delta stream on Virtuoso, see delta_world.py."""
    from delta_world import delta_world
    with delta_world(world, virtuoso) as made:
        yield made


@pytest.fixture
def delta_on_each(world, sparql_store):
    """A delta stream on each of the SPARQL stores in turn."""
    from delta_world import delta_world
    with delta_world(world, sparql_store) as made:
        yield made
