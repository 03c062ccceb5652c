"""What every system test has at hand: the binary that was built, run in a world of its own."""

import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import athena as athena_server  # noqa: E402
import ceph as ceph_server  # noqa: E402
import engines  # noqa: E402
import oxigraph as other_stores  # noqa: E402
import postgres as postgres_server  # noqa: E402
import s3_server  # noqa: E402
import swift as swift_server  # noqa: E402
import trino as trino_server  # noqa: E402
import virtuoso as virtuoso_server  # noqa: E402
from athena_trino import AthenaOnTrino  # noqa: E402
from chance import SEED  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402
from gcs import Gcs  # noqa: E402
from sparql_faults import SparqlFaults  # noqa: E402

SOURCE = Path(os.environ.get("RUN_CORE_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("RUN_CORE_BUILD", SOURCE / "build" / "dev"))

# How long a test waits for what has to come, as the end of a process: the end of a hang, and no
# measure. With sanitizers on a busy machine, what takes a second elsewhere has taken more than a
# minute.
PATIENCE_S = 240
RUN_LIMIT_S = PATIENCE_S if engines.ON_DUCKDB else 900

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
        self.mirror = None  # of files that an engine reads elsewhere, see engines.py
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

    def cover(self, folder):
        """Has a folder of the test's where the SQL engine reads it."""
        if self.mirror:
            self.mirror.cover(folder)

    def place(self, path):
        """What the configuration says of a file or folder of the test's."""
        return self.mirror.uri(path) if self.mirror else str(path)

    def pull(self):
        """Fetches what a run that was started has left; run() does it by itself."""
        if self.mirror:
            self.mirror.pull()

    def start(self, *words, **options):
        """Starts run-core and returns the Popen."""
        if self.mirror:
            self.mirror.push()
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

    def run(self, *words, timeout=RUN_LIMIT_S, **options):
        """Runs run-core to its end."""
        process = self.start(*words, **options)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        self.pull()
        return Result(
            subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
        )


def allow_files(count):
    """Lets this process, and those that it starts, have so many files open, or skips the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"this takes {count} open files, but no more than {hard} are allowed")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@contextlib.contextmanager
def mounted(folder, size):
    """The folder as a file system of its own, of that size, or skips the test."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
                      capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system takes more rights than this test has")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def resize(folder, size):
    """Gives that file system another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)


@pytest.fixture
def rng(request):
    """For tests that draw what they break."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def world(tmp_path, request):
    world = World(tmp_path)
    engines.add(world, request)
    return world


@pytest.fixture
def world_in_memory(tmp_path, request):
    """A world for tests of many runs in which nothing but the processes is broken: without a disk
    to wait for, where there is memory to be had as files."""
    try:
        root = Path(tempfile.mkdtemp(prefix="run-core-", dir="/dev/shm"))
    except OSError:
        root = tmp_path
    world = World(root)
    engines.add(world, request)
    yield world
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def small_disk(tmp_path):
    """A folder with a file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    with mounted(folder, "1m"):
        yield folder


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


@pytest.fixture(scope="session")
def trino(request):
    """A Trino server, where there is one, see support/trino.py; it reads local folders and that S3
    server. Leave it running, and use a schema of your own."""
    if not trino_server.is_installed():
        pytest.skip("Trino is not there")
    with trino_server.running(request.getfixturevalue("ceph")) as server:
        yield server


@pytest.fixture(scope="session")
def trino_tls(request):
    """Another one, which speaks TLS and wants a password or a token."""
    if not trino_server.is_installed():
        pytest.skip("Trino is not there")
    with trino_server.running(request.getfixturevalue("ceph"), secured=True) as server:
        yield server


@pytest.fixture(scope="session")
def athena_trino(trino):
    """A stand-in for Athena that hands SQL to that Trino server, see support/athena_trino.py; 's3' is
    the server of its buckets."""
    store = athena_server.S3Store(trino.s3.s3())
    back_end = AthenaOnTrino(trino, store)
    with athena_server.Athena(back_end, store) as server:
        server.s3 = trino.s3
        server.starts_per_s = server.reads_per_s = (10000, 10000)
        yield server
        assert not [mistake for mistake in server.mistakes if mistake.startswith("our own")]


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
