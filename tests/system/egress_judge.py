"""The judge of a dump: PostgreSQL's own COPY ... FROM reads what was written into a second
database, where every row has to be what it was, as text and in binary."""
import collections
import gzip
import io
import json
import os
import struct
import subprocess

import postgres as postgres_server
import psycopg2
from egress_world import DAY, NOW
from psycopg2.extensions import quote_ident

EXPANDERS = {"gzip": gzip.decompress, "none": bytes,
             "zstd": lambda data: subprocess.run(["zstd", "-dc"], input=data, check=True,
                                                 capture_output=True).stdout}


def rows_of(binary):
    """The rows of COPY ... (FORMAT binary), each as it is."""
    at, rows = 19, []  # behind the signature, the flags and the length of nothing more
    while True:
        start = at
        (count,) = struct.unpack_from(">h", binary, at)
        at += 2
        if count < 0:
            return rows
        for _ in range(count):
            (length,) = struct.unpack_from(">i", binary, at)
            at += 4 + max(length, 0)
        rows.append(binary[start:at])


ROWS = {"text": bytes.splitlines, "binary": rows_of}


class Judge:
    """A database to be dumped to a folder of this machine."""

    def __init__(self, world, postgres, **options):
        self.world, self.postgres = world, postgres
        self.database = f"types_{os.urandom(6).hex()}"
        self.twin = f"{self.database}_twin"
        self.out = world.root / "out"
        self.execute("postgres", f"CREATE DATABASE {self.database} " + " ".join(
            f"{name} = {value}" for name, value in options.items()))
        world.environment.update(
            PGHOST="127.0.0.1", PGPORT=str(postgres.port), PGUSER="postgres",
            PGPASSWORD=postgres_server.PASSWORD, PGDATABASE=self.database,
            S3_OUTPUT=f"file://{self.out}")

    def end(self):
        for name in (self.database, self.twin):
            self.execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    # ---- the databases ----

    def connect(self, database=None):
        connection = psycopg2.connect(self.postgres.url(database or self.database))
        connection.autocommit = True
        return connection

    def execute(self, database, *texts):
        """The rows of the last one."""
        connection = self.connect(database)
        try:
            cursor = connection.cursor()
            for text in texts:
                cursor.execute(text)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def sql(self, *texts):
        return self.execute(self.database, *texts)

    def copy(self, source, options="", connection=None):
        """What COPY TO gives."""
        ours = connection or self.connect()
        try:
            out = io.BytesIO()
            cursor = ours.cursor()
            cursor.execute("SET synchronize_seqscans = off")
            cursor.copy_expert(f"COPY {source} TO STDOUT {options}", out)
            return out.getvalue()
        finally:
            if not connection:
                ours.close()

    # ---- the runs ----

    def words(self, words, settings):
        for name, value in settings.items():
            value = json.dumps(value) if isinstance(value, (dict, list)) else value
            words = (*words, "--set", f"{name}={value}")
        return ("egress", "dump", "--now", NOW, *words)

    def start(self, *words, **settings):
        return self.world.start(*self.words(words, settings))

    def dump(self, *words, status=0, **settings):
        result = self.world.run(*self.words(words, settings))
        assert result.status == status, result.stdout + result.stderr
        return result

    def verify(self):
        """The project's own judgement, which has to be the same."""
        result = self.world.run("egress", "verify", "--now", NOW)
        assert result.status == 0, result.stdout + result.stderr

    # ---- what was written ----

    @property
    def folder(self):
        return self.out / DAY

    def manifest(self):
        return json.loads((self.folder / "_manifest.json").read_text())

    def texts(self, table):
        """Of a table of the manifest, the text of each object."""
        expand = EXPANDERS[self.manifest()["compression"].split(":")[0]]
        return [expand((self.folder / item["key"]).read_bytes()) for item in table["objects"]]

    def text(self, name):
        found = [table for table in self.manifest()["tables"] if table["name"] == name]
        return b"".join(self.texts(found[0]))

    # ---- the judgement ----

    def load(self, cursor, target, table, csv):
        """By COPY FROM alone, into the columns that the manifest says."""
        columns = ", ".join(quote_ident(column["name"], cursor) for column in table["columns"])
        literal = {name: "'" + str(value).replace("'", "''") + "'" for name, value in csv.items()}
        for text in self.texts(table):
            cursor.copy_expert(
                f"COPY {target} {f'({columns})' if columns else ''} FROM STDIN WITH (FORMAT csv, "
                f"HEADER {csv['header']}, DELIMITER {literal['delimiter']}, "
                f"NULL {literal['null_string']}, ENCODING {literal['encoding']})",
                io.BytesIO(text))

    def judge(self, text_only=(), read_only=()):
        """Loads all tables of the manifest and compares them with what the database holds now."""
        manifest = self.manifest()
        assert manifest["complete"] is True
        self.execute("postgres", f"DROP DATABASE IF EXISTS {self.twin} WITH (FORCE)")
        # A copy has the same OIDs, which stand in the binary form of arrays and composites.
        self.execute("postgres", f"CREATE DATABASE {self.twin} TEMPLATE {self.database}")
        ours, theirs = self.connect(), self.connect(self.twin)
        try:
            cursor, other = ours.cursor(), theirs.cursor()
            for table in manifest["tables"]:
                if table["name"] in read_only:
                    continue
                self.judge_table(cursor, other, table, manifest["csv"],
                                 binary=table["name"] not in text_only)
        finally:
            ours.close()
            theirs.close()
        self.verify()
        return len(manifest["tables"])

    def judge_table(self, cursor, other, table, csv, binary):
        source = ".".join(quote_ident(table[part], cursor) for part in ("schema", "relation"))
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = %s::regclass", (source,))
        kind = cursor.fetchone()[0]
        target = source
        if kind in "vmf":
            target = "public.back"
            other.execute(f"DROP TABLE IF EXISTS {target}")
            other.execute(f"CREATE TABLE {target} AS SELECT * FROM {source} WITH NO DATA")
        else:
            other.execute(f"TRUNCATE {'ONLY' if kind == 'r' else ''} {source}")
        self.load(other, target, table, csv)
        only = "ONLY " if kind == "r" else ""
        for form in ["text", "binary"] if binary else ["text"]:
            before, after = (
                ROWS[form](self.copy(f"(SELECT * FROM {only}{relation})", f"(FORMAT {form})", side))
                for relation, side in [(source, cursor.connection), (target, other.connection)])
            assert len(before) == sum(item["rows"] for item in table["objects"]), table["name"]
            # Where there is room the rows of a table are put, in whatever order.
            assert collections.Counter(before) == collections.Counter(after), table["name"]
