"""Athena as the engine of runs, on the stand-in with answers that are put up: where results and tables go,
what is left of them, what a run costs, and which settings are refused. What the SQL means is tested where
there is a Trino server."""
import re
import signal
import time

import pytest
from athena import Answer, Athena, Fate, S3Store, invalid
from conftest import PATIENCE_S

SETTINGS = """
sql:
  lake:
    engine: athena
    endpoint: {0.endpoint}
    region: {0.REGION}
    access_key_id: {0.ACCESS_KEY}
    secret_access_key: {0.SECRET_KEY}
    database: lake
    starts_per_second: 0
    reads_per_second: 0
"""


@pytest.fixture
def place(world, ceph, bucket):
    with Athena(store=S3Store(ceph.s3())) as server:
        server.starts_per_s = server.reads_per_s = (10000, 10000)
        world.environment.update(
            AWS_ENDPOINT_URL_S3=ceph.endpoint, AWS_REGION=ceph.region,
            AWS_ACCESS_KEY_ID=ceph.access_key, AWS_SECRET_ACCESS_KEY=ceph.secret_key)
        yield Place(world, server, ceph.s3(), bucket)
        assert not server.mistakes


class Place:
    def __init__(self, world, server, s3, bucket):
        self.world, self.server, self.s3, self.bucket = world, server, s3, bucket
        self.root = f"s3://{bucket}"

    def engine(self, **settings):
        lines = "".join(f"    {name}: {value}\n" for name, value in settings.items())
        self.world.config(SETTINGS.format(self.server) + lines, "engine.yaml")

    def jobs(self, statements, steps=()):
        quoted = ["      - '" + one.replace("'", "''") + "'\n" for one in statements]
        made = ["      - '" + one.replace("'", "''") + "'\n" for one in steps]
        self.world.config("jobs:\n  ask:\n    plugin: sql\n    config:\n      out: "
                          f"{self.world.root}/rows\n      statements:\n{''.join(quoted)}"
                          "  make:\n    plugin: catalogue\n    config:\n      steps:\n"
                          f"{''.join(made) or '      - exec | drop table x'}", "jobs.yaml")

    def ask(self, *statements, status=0):
        self.jobs(statements)
        result = self.world.run("run", "ask")
        assert result.status == status, result.stderr
        return result

    def make(self, *steps, status=0):
        self.jobs(["select 1"], steps)
        result = self.world.run("run", "make")
        assert result.status == status, result.stderr
        return result

    def names(self, prefix=""):
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]

    def texts(self):
        return [query.text for query in self.server.queries.values()]


def test_results_go_where_the_settings_say(place):
    place.engine(work=f"{place.root}/sessions/", results=f"{place.root}/results/")
    result = place.ask("select 1")
    assert (place.world.root / "rows").read_text() == "[1]\n"
    (query,) = place.server.queries.values()
    assert query.request["ResultConfiguration"]["OutputLocation"] == f"{place.root}/results/"
    assert query.request["QueryExecutionContext"] == {"Catalog": "AwsDataCatalog",
                                                      "Database": "lake"}
    assert "1 statements scanned 0 B, for about $0.0000" in result.text
    assert place.names() == [f"results/{query.id}.csv", f"results/{query.id}.csv.metadata"]


@pytest.mark.parametrize("settings, folder", [
    ({"work": "sessions/"}, "sessions/"), ({"results": "results/"}, "results/run-core/")])
def test_results_in_the_session_s_folder_go_with_it(place, settings, folder):
    place.engine(**{name: f"{place.root}/{value}" for name, value in settings.items()})
    place.ask("select 1", "select 1")
    for query in place.server.queries.values():
        assert re.fullmatch(rf"{place.root}/{folder}rc_[0-9a-z_]+/results/",
                            query.request["ResultConfiguration"]["OutputLocation"])
    assert place.texts() == ["select 1"] * 2 and place.names() == []


def test_results_go_where_the_work_group_says(place):
    place.server.enforced_output = f"{place.root}/group/"
    place.engine(work_group="team")
    place.ask("select 1")
    (query,) = place.server.queries.values()
    assert "ResultConfiguration" not in query.request and query.work_group == "team"
    assert len(place.names("group/")) == 2


def test_nobody_says_where_results_go(place):
    place.engine()
    result = place.ask("select 1", status=2)
    assert "the work group 'primary' of Athena names no place for results" in result.text
    assert not place.server.queries


def test_a_table_is_made_and_goes_with_the_session(place):
    place.engine(results=f"{place.root}/results/")
    place.server.back_end.put("(?i)create table", Answer(updated=3))
    place.server.back_end.put("(?i)show tables", Answer([("tab_name", "string")], []))
    result = place.make("make | t | SELECT 1 AS x UNION ALL SELECT 2 UNION ALL SELECT 3")
    assert "made: 3" in result.text
    create, drop, show = place.texts()
    name = re.match(r'CREATE TABLE .*"lake"\."(rc_\w+)" WITH', create)[1]
    assert f"external_location = '{place.root}/results/run-core/rc_" in create
    assert drop == f"DROP TABLE IF EXISTS `lake`.`{name}`"
    assert show == f"SHOW TABLES IN `lake` '{name.rpartition('_t_')[0]}_*'"
    assert place.names("results/run-core/") == []
    assert not [one for one in result.messages if one["level"] == "warn"]


def test_what_a_dead_session_has_left(place):
    """Its tables and no others', whatever the server takes the pattern for."""
    dead = "rc_20200101t000000_1_00000000"
    place.engine(work=f"{place.root}/sessions/", results=f"{place.root}/results/")
    place.s3.put_object(Bucket=place.bucket, Key=f"sessions/{dead}/_session", Body=b"x")
    place.s3.put_object(Bucket=place.bucket, Key=f"sessions/{dead}/{dead}_t_1/file", Body=b"x")
    place.server.back_end.put("(?i)create table", Answer(updated=1))
    place.server.back_end.put("(?i)show tables", lambda query: Answer(
        [("tab_name", "string")], [[f"{dead}_t_1"], ["events"], [f"{dead}0_t_1"], [f"x{dead}_t_1"]]
        if dead in query.text else []))
    place.make("make | t | SELECT 1 AS x")
    dropped = [text for text in place.texts() if "DROP" in text and dead in text]
    assert dropped == [f"DROP TABLE IF EXISTS `lake`.`{dead}_t_1`"]
    assert not any("events" in text for text in place.texts())
    assert place.names("sessions/") == []


def test_what_another_engine_has_left_stays(place):
    """Its tables are not found here, nor is what it runs; its mark says whose they are."""
    marks = []

    def make(_query):
        (name,) = [name for name in place.names("sessions/") if name.endswith("/_session")]
        marks.append(place.s3.get_object(Bucket=place.bucket, Key=name)["Body"].read())
        return Answer(updated=1)

    place.engine(work=f"{place.root}/sessions/", results=f"{place.root}/results/")
    place.server.back_end.put("(?i)create table", make)
    place.server.back_end.put("(?i)show tables", Answer([("tab_name", "string")], []))
    place.make("make | t | SELECT 1 AS x")
    (mark,) = marks
    assert mark.decode() == (f"run-core\nengine: athena\nregion: {place.server.REGION}\n"
                             f"server: {place.server.endpoint}\ncatalog: AwsDataCatalog\n"
                             "database: lake\nwork_group: primary\n")

    place.server.back_end.put("(?i)create table", Answer(updated=1))
    others = {b"database: lake": b"database: pond", b"primary": b"team", b"athena": b"trino",
              b"AwsData": b"Other", place.server.REGION.encode(): b"xx-east-1"}
    for number, (old, new) in enumerate(others.items()):
        place.s3.put_object(Bucket=place.bucket, Key=f"sessions/rc_20200101t00000{number}_1_0/_session",
                            Body=mark.replace(old, new))
    place.s3.put_object(Bucket=place.bucket, Key="sessions/rc_20200101t000009_1_0/_session", Body=mark)
    place.make("make | t | SELECT 1 AS x")
    assert place.names("sessions/") == [
        f"sessions/rc_20200101t00000{number}_1_0/_session" for number in range(len(others))]
    assert not [text for text in place.texts() if "rc_20200101t000000" in text]
    assert [text for text in place.texts() if "rc_20200101t000009" in text]


def test_a_run_that_is_to_stop_stops_its_query(place):
    place.engine(results=f"{place.root}/results/")
    place.server.run_s = 60
    place.jobs(["select 1"])
    process = place.world.start("run", "ask")
    end = time.monotonic() + PATIENCE_S
    while not place.server.queries and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    (query,) = place.server.queries.values()
    assert query.ended.wait(PATIENCE_S) and query.state == "CANCELLED" and process.returncode != 0


def test_what_a_run_costs(place):
    place.engine(results=f"{place.root}/results/", price_per_tib=10)
    place.server.back_end.put("big", Answer([("n", "bigint")], [["1"]], scanned_bytes=1 << 40))
    result = place.ask("select n from big", "select n from big")
    assert "2 statements scanned 2 TiB, for about $20.0000" in result.text


def test_why_a_query_has_failed(place):
    place.engine(results=f"{place.root}/results/")
    reason = "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.lake.none' does not exist"
    place.server.fates.append(Fate("select 1", reason=reason))
    assert reason in place.ask("select 1", status=1).text


def test_a_database_that_is_not_there_is_an_error_of_the_configuration(place):
    place.engine(results=f"{place.root}/results/")
    for name, status in (("lake", 2), ("others", 1)):
        place.server.fates.append(Fate("select 1", reason="SCHEMA_NOT_FOUND: line 1:1: Schema "
                                       f"'{name}' does not exist"))
        result = place.ask("select 1", status=status)
        assert f"Schema '{name}' does not exist" in result.text
        assert ("set 'database' of the engine" in result.text) == (name == "lake")


def test_a_statement_that_is_too_long(place):
    place.engine(results=f"{place.root}/results/")
    result = place.ask("select '" + "x" * 262144 + "'", status=1)
    assert "load long lists as a table" in result.text and not place.server.queries


def test_a_work_group_that_overrides_where_files_go(place):
    place.engine(results=f"{place.root}/results/")

    def check(query):
        if "CREATE TABLE" in query.text:
            raise invalid("The Create Table As Select query failed because it was submitted with "
                          "an 'external_location' property to an Athena Workgroup that enforces a "
                          "centralized output location for all queries.")

    place.server.check_quota = check
    place.server.back_end.put("(?i)show tables", Answer([("tab_name", "string")], []))
    result = place.make("make | t | SELECT 1 AS x", status=2)
    assert "'work_group'" in result.text


@pytest.mark.parametrize("settings, words", [
    ({"region": "Ireland"}, "'region'"),
    ({"endpoint": "s3://athena.example.org/"}, "'endpoint'"),
    ({"work_group": "a b"}, "'work_group'"),
    ({"database": "a.b"}, "'database'"),
    ({"results_encryption": "SSE_KMS"}, "'results_kms_key'"),
    ({"results_kms_key": "key"}, "'results_encryption'"),
    ({"results_owner": "me"}, "'results_owner'"),
    ({"results_encryption": "SSE_S3", "results": None}, "'results'"),
    ({"session_token": "t"}, "'session_token'"),
    ({"access_key_id": "AKIA"}, "'secret_access_key'"),
    ({"secret_access_key": "s"}, "'access_key_id'"),
    ({"url": "http://127.0.0.1/"}, "'url'"),
])
def test_settings_that_are_refused(world, settings, words):
    lines = {"results": "s3://bucket/results/", **settings}
    world.config("sql:\n  lake:\n    engine: athena\n" + "".join(
        f"    {name}: {value}\n" for name, value in lines.items() if value is not None))
    result = world.run("check")
    assert result.status != 0 and words in result.text + result.stderr


def test_settings_that_are_taken(world):
    world.config("""
sql:
  lake:
    engine: athena
    region: eu-west-1
    work_group: team.a_b-c
    database: events_1
    results: s3://bucket/results/
    results_encryption: CSE_KMS
    results_kms_key: arn:aws:kms:eu-west-1:123456789012:key/1
    results_owner: "123456789012"
    access_key_id: AKIA
    secret_access_key: s
    session_token: t
""")
    result = world.run("check")
    assert result.status == 0, result.stderr
