#!/usr/bin/python3
"""A Trino server of one's own, for tests: one process that is coordinator and worker, in a folder, on
a free port of 127.0.0.1.

    trino.py run         starts one and an S3 server, prints what to export, and serves until stdin
                         is closed

RUN_CORE_TRINO is the folder of Trino, with lib and plugin in it; RUN_CORE_TRINO_JAVA is the program
that runs it, where that is not 'java'. The catalogs, whose metastores are in files of the folder:

    hive         tables anywhere in the file system: file:///...
    hive_s3      tables in the buckets of an S3 server, if one is given: s3://...
    hive_nested  the same buckets, and folders within folders are read, too
    iceberg      likewise, with Iceberg's own metadata, in the file system
    memory
    tpch         made up as it is read

With secured=True it speaks TLS by a certificate of its own authority, and wants to know who comes:
USER with his password, or whoever has a token().
"""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ceph
import processes
from trino_client import Running, TrinoError, TrinoServer

START_LIMIT_S = 300
STOP_LIMIT_S = 10
HEAP = "1500m"
USER = ("analyst", "se:cret of an analyst")
TOKEN_KEY = b"what signs the tokens of the tests, and nothing else does"

NODE = """
coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
catalog.config-dir={folder}/catalog
plugin.dir={home}/plugin
query.min-expire-age=30s
"""
SECURED = """
http-server.https.enabled=true
http-server.https.port={secure_port}
http-server.https.keystore.path={folder}/server.pem
password-authenticator.config-files={folder}/password-authenticator.properties
http-server.authentication.type=PASSWORD,JWT
http-server.authentication.allow-insecure-over-http=false
http-server.authentication.jwt.key-file={folder}/token.key
internal-communication.shared-secret={secret}
"""
PASSWORDS = """
password-authenticator.name=file
file.password-file={folder}/passwords
"""
HIVE = """
connector.name=hive
hive.metastore=file
hive.metastore.catalog.dir=file://{folder}/metastore/{name}
hive.metastore.user=tests
hive.temporary-staging-directory-path={folder}/staging
hive.security=allow-all
hive.non-managed-table-writes-enabled=true
hive.allow-register-partition-procedure=true
"""
ICEBERG = """
connector.name=iceberg
iceberg.catalog.type=TESTING_FILE_METASTORE
hive.metastore.catalog.dir=file://{folder}/metastore/{name}
hive.metastore.user=tests
"""
# Which of these there are depends on the release: see Trino.properties().
OLD_S3 = """
hive.s3.endpoint={s3.endpoint}
hive.s3.aws-access-key={s3.access_key}
hive.s3.aws-secret-key={s3.secret_key}
hive.s3.path-style-access=true
hive.s3.ssl.enabled=false
hive.s3.streaming.part-size=5MB
"""
OLD_FILES = """
hive.config.resources={folder}/core-site.xml
"""
# Hadoop would otherwise put a sum beside each file, '.NAME.crc', and refuse the file once somebody else
# has written it. Later releases cannot do without.
CORE_SITE = """<configuration><property>
<name>fs.file.impl</name><value>org.apache.hadoop.fs.RawLocalFileSystem</value>
</property></configuration>
"""
NEW_FILES = """
fs.hadoop.enabled=true
"""
NEW_S3 = """
fs.native-s3.enabled=true
s3.endpoint={s3.endpoint}
s3.region={s3.region}
s3.aws-access-key={s3.access_key}
s3.aws-secret-key={s3.secret_key}
s3.path-style-access=true
"""


def home():
    """The folder of Trino."""
    return Path(os.environ.get("RUN_CORE_TRINO") or "/nonexistent").absolute()


def java():
    return os.environ.get("RUN_CORE_TRINO_JAVA") or shutil.which("java")


def is_installed():
    return version() is not None and java() is not None


def version():
    """The number of Trino's release; None where there is none."""
    for path in home().glob("lib/*trino-main-*.jar"):
        return int(re.search(r"trino-main-(\d+)", path.name).group(1))
    return None


class Trino(TrinoServer):
    """The server in a folder, which is made by the first start."""

    def __init__(self, folder, s3=None, secured=False):
        """'s3' is an S3Server. It runs as whoever runs the tests, so that both get at the files."""
        self.folder = Path(folder)
        self.s3 = s3
        self.secured = secured
        self.port = self.secure_port = self.process = None

    @property
    def url(self):
        if self.secured:
            return f"https://localhost:{self.secure_port}"
        return f"http://127.0.0.1:{self.port}"

    @property
    def authority(self):
        """The certificates by which a client knows the server; None where it speaks no TLS."""
        return self.folder / "authority.pem" if self.secured else None

    @property
    def catalogs(self):
        stores = ["hive_s3", "hive_nested"] if self.s3 else []
        return ["hive", *stores, "iceberg", "memory", "tpch"]

    def environment(self):
        """What tests find the server by."""
        return {"RUN_CORE_TEST_TRINO_URL": self.url, **(self.s3.environment() if self.s3 else {})}

    def client(self, **options):
        """As USER, if the server wants to know and nobody is named."""
        if self.secured and not options:
            options = {"login": USER}
        return super().client(**options)

    def start(self):
        """Also after stop() and kill(): on the same port, with the tables that there were but those
        in memory. It dies with the thread that starts it."""
        if self.port is None:
            self.make()
        with open(self.folder / "log", "ab") as log:
            self.process = processes.spawn(self.words(), cwd=self.folder, stdout=log, stderr=log)
        try:
            self.wait()
        except BaseException as error:
            self.kill()
            error.add_note((self.folder / "log").read_text(errors="replace")[-20000:])
            raise
        return self

    def words(self):
        """Compiled once and quickly, since no server of a test lives long enough for more. Java has
        little room for what is compiled so, and some hundred statements fill it."""
        words = [java(), f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                 "-XX:+ExitOnOutOfMemoryError", "-Dfile.encoding=UTF-8", "-Duser.timezone=UTC",
                 "-Djdk.attach.allowAttachSelf=true", f"-Djava.io.tmpdir={self.folder}/tmp",
                 "-XX:-UsePerfData", "-XX:ReservedCodeCacheSize=256m"]
        if version() >= 400:
            words += ["--add-modules=jdk.incubator.vector"]
        return [*words, "-Dnode.environment=tests", "-Dnode.id=one",
                f"-Dnode.data-dir={self.folder}/data", "-Dnode.bind-ip=127.0.0.1",
                "-Dnode.internal-address=127.0.0.1", f"-Dconfig={self.folder}/config.properties",
                f"-Dlog.levels-file={self.folder}/log.properties",
                "-cp", f"{home()}/lib/*", "io.trino.server.TrinoServer"]

    def make(self):
        for name in ("catalog", "data", "tmp", "staging", "metastore"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.port = processes.free_port()
        self.write("config.properties", NODE)
        self.write("core-site.xml", CORE_SITE)
        self.write("log.properties", "io.trino=WARN\n")
        for name in self.catalogs:
            self.write(f"catalog/{name}.properties", *self.properties(name), name=name)
        if self.secured:
            self.secure_port = processes.free_port()
            self.write("config.properties", NODE, SECURED)
            self.write("password-authenticator.properties", PASSWORDS)
            self.make_secrets()

    def write(self, path, *templates, **more):
        (self.folder / path).write_text("".join(templates).format(
            folder=self.folder, home=home(), port=self.port, secure_port=self.secure_port,
            s3=self.s3, secret=TOKEN_KEY.hex(), **more))

    @staticmethod
    def properties(name):
        """The parts of a catalog's file."""
        recent = version() >= 450
        files = [NEW_FILES if recent else OLD_FILES]
        s3 = [HIVE, *files, NEW_S3 if recent else OLD_S3]
        return {"hive": [HIVE, *files],
                "hive_s3": s3,
                "hive_nested": [*s3, "hive.recursive-directories=true\n"],
                "iceberg": [ICEBERG, *files],
                "memory": ["connector.name=memory\n"],
                "tpch": ["connector.name=tpch\n"]}[name]

    def make_secrets(self):
        """The server's certificate, the password's hash and the key of tokens."""
        def openssl(*words):
            processes.run(["openssl", *words], cwd=self.folder)
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *new, "-subj", "/CN=authority of tests", "-days", "2",
                "-keyout", "authority.key", "-out", "authority.pem")
        openssl("req", *new, "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "server.key",
                "-out", "server.csr")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "authority.pem", "-CAkey",
                "authority.key", "-days", "2", "-copy_extensions", "copy", "-out", "server.crt")
        (self.folder / "server.pem").write_text("".join(
            (self.folder / name).read_text() for name in ("server.key", "server.crt")))

        user, password = USER
        salt, rounds = b"salt of the tests", 1000
        digest = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, rounds)
        (self.folder / "passwords").write_text(
            f"{user}:{rounds}:{salt.hex()}:{digest.hex()}\n")
        (self.folder / "token.key").write_bytes(base64.b64encode(TOKEN_KEY))

    def wait(self):
        """Until it answers statements of each catalog."""
        end = time.monotonic() + START_LIMIT_S
        while True:
            try:
                for catalog in self.catalogs:
                    self.query("SHOW SCHEMAS", catalog)
                self.query("SELECT count(*) FROM tiny.region", "tpch")
                return
            except (OSError, RuntimeError, TrinoError) as error:
                if self.process.poll() is not None:
                    raise RuntimeError(f"Trino ended with status {self.process.returncode}") \
                        from error
                if time.monotonic() > end:
                    raise
            time.sleep(0.2)

    def stop(self):
        """As an administrator would; by force if it does not listen."""
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def token(user=USER[0], lifetime_s=600):
    """A JWT that the secured server takes, for it is signed with its key."""
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    head = encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = encode(json.dumps({"sub": user, "exp": int(time.time()) + lifetime_s}).encode())
    mac = hmac.new(TOKEN_KEY, f"{head}.{claims}".encode(), hashlib.sha256).digest()
    return f"{head}.{claims}.{encode(mac)}"


@contextlib.contextmanager
def running(s3, **options):
    """A started server in a new folder; the one that is there already, within with-trino."""
    if not options and "RUN_CORE_TEST_TRINO_URL" in os.environ:
        yield Running(os.environ, s3)
        return
    # Not in memory, which the server needs itself.
    folder = processes.temporary_folder("run-core-trino-", tempfile.gettempdir())
    server = Trino(folder, s3, **options)
    try:
        yield server.start()
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_with_s3():
    """Both servers."""
    s3 = ceph.temporary()
    try:
        with running(s3) as server:
            yield server
    finally:
        ceph.remove(s3)


def main(words):
    if words != ["run"]:
        raise SystemExit(__doc__)
    with running_with_s3() as server:
        for name, value in server.environment().items():
            print(f"{name}={value}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
