"""A database that is dumped to a bucket: set up as the seed's users have it, by environment alone."""
import contextlib
import gzip
import hashlib
import json
import os
import subprocess

import postgres as postgres_server
from api_world import until
from botocore.exceptions import ClientError
from conftest import PATIENCE_S

DAY = "2026-11-20"
NOW = f"{DAY}T02:00:00Z"
# With '--job patient' what is asked to stop has to do so: it is not killed before a test gives up.
PATIENT = "jobs: {patient: {plugin: egress, action: dump, kill_after: 10m}}\n"

# A query has an unknown size and goes first; with one connection a table is read after it.
GATED = {"slow": "SELECT pg_advisory_xact_lock_shared(7)::text"}


class Egress:
    """A database of its own on the server, and a folder of a bucket."""

    def __init__(self, world, postgres, ceph, bucket, database=None):
        """With 'database' that one, which others use, too."""
        self.world, self.postgres, self.bucket = world, postgres, bucket
        self.database = database or f"app_{os.urandom(6).hex()}"
        self.s3 = ceph.s3()
        if not database:
            postgres.make_database(self.database)
        world.environment.update(
            PGHOST="127.0.0.1", PGPORT=str(postgres.port), PGUSER="postgres",
            PGPASSWORD=postgres_server.PASSWORD, PGDATABASE=self.database,
            AWS_ACCESS_KEY_ID=ceph.access_key, AWS_SECRET_ACCESS_KEY=ceph.secret_key,
            AWS_REGION=ceph.region, AWS_ENDPOINT_URL=ceph.endpoint,
            S3_OUTPUT=f"s3://{bucket}/dumps")

    def end(self):
        self.postgres.sql(f"DROP DATABASE {self.database} WITH (FORCE)")

    # ---- the database ----

    def sql(self, text):
        return self.postgres.sql(text, self.database)

    def psql(self, text, database=None):
        """What psql writes, byte for byte."""
        return subprocess.run(
            [str(self.postgres.bin / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", text,
             self.postgres.url(database or self.database)], check=True, capture_output=True,
            env={**os.environ, "PGOPTIONS": "-c synchronize_seqscans=off",
                 "PGCLIENTENCODING": "UTF8"}).stdout

    def copied(self, relation, options=""):
        """What the seed's users got."""
        return self.psql(f"COPY {relation} TO STDOUT WITH (FORMAT csv{options})")

    @contextlib.contextmanager
    def session(self, *statements):
        """A psql that has run the statements, and goes on until the end of the block."""
        process = subprocess.Popen(
            [str(self.postgres.bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
             self.postgres.url(self.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        try:
            for statement in statements:
                process.stdin.write(statement + ";\n")
            process.stdin.write("SELECT 'ready';\n")
            process.stdin.flush()
            while process.stdout.readline().strip() != "ready":
                assert process.poll() is None
            yield process
        finally:
            process.stdin.close()
            process.wait(timeout=PATIENCE_S)

    def backends(self, state="%", query="%"):
        """The pids of the dump's connections."""
        return [int(pid) for pid in self.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND "
            "application_name = 'run-core egress' AND "
            f"state LIKE '{state}' AND query LIKE '{query}'")]

    # ---- the runs ----

    def words(self, words, settings):
        for name, value in settings.items():
            value = json.dumps(value) if isinstance(value, dict) else value
            words = (*words, "--set", f"{name}={value}")
        return ("egress", "dump", "--now", NOW, *words)

    def dump(self, *words, status=0, **settings):
        result = self.world.run(*self.words(words, settings))
        assert result.status == status, result.stdout + result.stderr
        return result

    def start(self, *words, **settings):
        return self.world.start(*self.words(words, settings))

    @contextlib.contextmanager
    def gate(self, *words, **settings):
        """A dump in which the query 'slow' has begun, and goes on at the end of the block."""
        with self.session("SELECT pg_advisory_lock(7)"):
            process = self.start(*words, queries=GATED, **settings)
            until(self.gated)
            yield process

    def gated(self):
        """The pids of the connections that wait there."""
        return [int(pid) for pid in self.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND "
            "application_name = 'run-core egress' AND wait_event = 'advisory'")]

    # ---- the bucket ----

    def keys(self, prefix=""):
        found = []
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket,
                                                                     Prefix=prefix):
            found += [item["Key"] for item in page.get("Contents", [])]
        return sorted(found)

    def names(self, folder=f"dumps/{DAY}/"):
        """The objects of the run's folder."""
        return [key[len(folder):] for key in self.keys(folder)]

    def get(self, name, folder=f"dumps/{DAY}/"):
        return self.s3.get_object(Bucket=self.bucket, Key=folder + name)["Body"].read()

    def text(self, name):
        return gzip.decompress(self.get(name))

    def put(self, name, data=b"old", folder=f"dumps/{DAY}/"):
        self.s3.put_object(Bucket=self.bucket, Key=folder + name, Body=data)

    def uploads(self):
        return self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])

    def parts(self):
        """Those of unfinished uploads that have arrived."""
        return [part for upload in self.uploads() for part in self.s3.list_parts(
            Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", [])]

    def manifest(self):
        """None: there is none."""
        try:
            return json.loads(self.get("_manifest.json"))
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchKey"
            return None

    def check_manifest(self):
        """Whether every object is as the manifest says, and there is no other."""
        manifest = self.manifest()
        listed = ["_manifest.json"]
        for table in manifest["tables"]:
            for item in table["objects"]:
                data = self.get(item["key"])
                assert item["sha256"] == hashlib.sha256(data).hexdigest(), item["key"]
                assert item["stored_bytes"] == len(data)
                listed.append(item["key"])
        assert sorted(listed) == self.names()
        return manifest
