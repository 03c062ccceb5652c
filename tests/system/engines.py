"""Runs the same system tests on SQL engines elsewhere.

RUN_CORE_TEST_ENGINE says on which: duckdb (the embedded one, when absent), trino or athena. On the
others a world has that engine as the only one of its configuration, so that jobs need not name it.
Athena is a stand-in that hands SQL to Trino; it reads an S3 server, to which the files of a test are
mirrored before each run, and from which they are fetched after it."""

import json
import os

import yaml

ENGINE = os.environ.get("RUN_CORE_TEST_ENGINE", "duckdb")
ON_DUCKDB = ENGINE == "duckdb"


def add(world, request, engine=ENGINE):
    """Makes the engine that of a new world; the servers are fixtures of conftest.py."""
    if engine == "duckdb":
        return
    trino = request.getfixturevalue("trino")
    world.database = database = f"world_{os.urandom(6).hex()}"
    if engine == "trino":
        trino.query(f"CREATE SCHEMA {database}", "hive")
        world.config(f"""
sql:
  lake:
    engine: trino
    url: {trino.url}
    user: tests
    catalog: hive
    database: {database}
    work: "file://{world.root}/sessions/"
    shares_files: true
""", "engine.yaml")
        return
    assert engine == "athena", f"RUN_CORE_TEST_ENGINE={engine}"
    athena = request.getfixturevalue("athena_trino")
    athena.back_end.make_database(database)
    world.mirror = Mirror(world.root, trino.s3)
    world.environment.update(
        AWS_ENDPOINT_URL_S3=trino.s3.endpoint, AWS_REGION=trino.s3.region,
        AWS_ACCESS_KEY_ID=trino.s3.access_key, AWS_SECRET_ACCESS_KEY=trino.s3.secret_key)
    world.config(f"""
sql:
  lake:
    engine: athena
    endpoint: {athena.endpoint}
    region: {athena.REGION}
    access_key_id: {athena.ACCESS_KEY}
    secret_access_key: {athena.SECRET_KEY}
    database: {database}
    starts_per_second: 100
    reads_per_second: 1000
    results: s3://{world.mirror.bucket}/results/
    work: s3://{world.mirror.bucket}/sessions/
""", "engine.yaml")


def change(world, **settings):
    """Other settings of the world's engine."""
    path = world.root / "conf.d/engine.yaml"
    sql = yaml.safe_load(path.read_text())
    sql["sql"]["lake"].update(settings)
    world.config(json.dumps(sql), path.name)


class Mirror:
    """Folders of a test as they are in a bucket of its own, under their paths below 'root'. The bucket
    stays as long as its server, for the stand-in goes on looking at tables that were left over it."""

    def __init__(self, root, server):
        self.root, self.s3 = root, server.s3()
        self.bucket = f"mirror-{os.urandom(6).hex()}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.folders = []
        self.known = {}  # {path: (what the file was like, the object's entity tag)}

    def cover(self, folder):
        self.folders.append(folder)

    def uri(self, path):
        return f"s3://{self.bucket}/{self.key(path)}"

    def key(self, path):
        """What is no path of the test's stays what it is: spellings of one are tested, too."""
        return str(path).removeprefix(f"{self.root}/")

    @staticmethod
    def look(path):
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns, stat.st_ino

    def push(self):
        """Brings the bucket up to what the folders hold."""
        found = {path for folder in self.folders for path in folder.rglob("*") if path.is_file()}
        for path in sorted(found):
            if path not in self.known or self.known[path][0] != self.look(path):
                answer = self.s3.put_object(Bucket=self.bucket, Key=self.key(path),
                                            Body=path.read_bytes())
                self.known[path] = self.look(path), answer["ETag"]
        for path in set(self.known) - found:
            self.s3.delete_object(Bucket=self.bucket, Key=self.key(path))
            del self.known[path]

    def pull(self):
        """Brings the folders up to what the bucket holds; empty ones go, as it has none."""
        found = set()
        for folder in self.folders:
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{self.key(folder)}/")
            for item in (item for page in pages for item in page.get("Contents", [])):
                path = self.root / item["Key"]
                found.add(path)
                if path not in self.known or self.known[path][1] != item["ETag"]:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    body = self.s3.get_object(Bucket=self.bucket, Key=item["Key"])["Body"]
                    path.write_bytes(body.read())
                    self.known[path] = self.look(path), item["ETag"]
        for path in set(self.known) - found:
            path.unlink(missing_ok=True)
            del self.known[path]
        self.remove_empty_folders()

    def remove_empty_folders(self):
        for folder in self.folders:
            for path in sorted(folder.rglob("*"), reverse=True):
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
