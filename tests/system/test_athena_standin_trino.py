"""The stand-in for Athena before a real Trino server: what becomes of statements of Athena's, and that what
Athena would refuse is refused although Trino takes it."""
import uuid

import boto3
import pytest
from conftest import PATIENCE_S


class Client:
    """Asks by Amazon's own client."""

    def __init__(self, server):
        self.server = server
        self.athena = boto3.client(
            "athena", endpoint_url=server.url, region_name=server.region,
            aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key)
        self.s3 = server.s3.s3()
        self.bucket = f"athena-{uuid.uuid4().hex[:12]}"
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        self.s3.create_bucket(Bucket=self.bucket)

    def run(self, sql):
        """The query, which has ended; T in the statement is the test's own prefix, B its bucket."""
        text = sql.replace("T_", f"{self.prefix}_").replace("s3://B/", f"s3://{self.bucket}/")
        started = self.athena.start_query_execution(
            QueryString=text, QueryExecutionContext={"Database": "default",
                                                     "Catalog": "AwsDataCatalog"},
            ResultConfiguration={"OutputLocation": f"s3://{self.bucket}/results/"})
        query = self.server.queries[started["QueryExecutionId"]]
        assert query.ended.wait(PATIENCE_S)
        return query

    def rows(self, sql):
        query = self.run(sql)
        assert query.state == "SUCCEEDED", query.reason
        return query.answer.rows

    def fails(self, sql):
        query = self.run(sql)
        assert query.state == "FAILED"
        return query.reason

    def keys(self, prefix):
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]


@pytest.fixture
def client(athena_trino):
    client = Client(athena_trino)
    yield client
    for (name,) in client.rows("SHOW TABLES IN default 'T_*'"):
        client.rows(f"DROP TABLE IF EXISTS `{name}`")


MADE = """CREATE TABLE T_made WITH (format = 'PARQUET', write_compression = 'ZSTD',
    external_location = 's3://B/made/', partitioned_by = ARRAY['day', 'partition']) AS
    SELECT * FROM (VALUES ('u1', DOUBLE '1.5', X'6162', '2026-01-01', 1),
                          ('u2', 12345678.25, NULL, '2026-01-02', 7)) v(u, d, b, day, partition)"""
PROJECTED = """CREATE EXTERNAL TABLE `T_seen` (`u` string) PARTITIONED BY (`day` string,
    `partition` int) STORED AS PARQUET LOCATION 's3://B/made/' TBLPROPERTIES (
    'projection.enabled' = 'true', 'projection.day.type' = 'date',
    'projection.day.range' = '2026-01-02,NOW+1DAYS', 'projection.day.format' = 'yyyy-MM-dd',
    'projection.partition.type' = 'integer', 'projection.partition.range' = '0,99')"""


def test_tables_are_made_and_read(client):
    made = client.run(MADE)
    assert (made.state, made.answer.updated, made.answer.columns) == ("SUCCEEDED", 2, [])
    assert sorted(client.rows("SELECT * FROM T_made")) == [
        ["u1", "1.5", "61 62", "2026-01-01", "1"], ["u2", "1.234567825E7", None, "2026-01-02", "7"]]
    assert [key.rpartition("/")[0] for key in client.keys("made/")] == [
        "made/day=2026-01-01/partition=1", "made/day=2026-01-02/partition=7"]
    assert client.run("INSERT INTO T_made VALUES ('u3', 3e0, NULL, '2026-01-03', 3)").answer.updated
    assert client.rows("SELECT count(*) FROM T_made") == [["3"]]
    dropped = client.run("DROP TABLE IF EXISTS `T_made`")
    assert dropped.state == "SUCCEEDED" and len(client.keys("made/")) == 3


def test_projected_partitions_are_seen_and_no_others(client):
    client.rows(MADE)
    client.rows(PROJECTED)
    query = 'SELECT u, day, "$path" FROM "AwsDataCatalog"."default"."T_seen" ORDER BY u'
    ((user, day, path),) = client.rows(query)
    assert (user, day) == ("u2", "2026-01-02")
    assert path.startswith(f"s3://{client.bucket}/made/day=2026-01-02/partition=7/")
    client.rows("INSERT INTO T_made VALUES ('u3', 3e0, NULL, '2026-01-03', 3)")
    assert [row[0] for row in client.rows(query)] == ["u2", "u3"]
    client.rows("INSERT INTO T_made VALUES ('u4', 3e0, NULL, '2026-01-03', 100)")
    assert [row[0] for row in client.rows(query)] == ["u2", "u3"]
    assert client.rows("SHOW PARTITIONS T_seen")[0] == ["day=2026-01-02/partition=7"]


def test_a_table_of_no_rows(client):
    client.rows(MADE)
    empty = "CREATE TABLE T_none WITH (external_location = 's3://B/none/') AS SELECT u FROM T_made " \
            "WHERE u = 'nobody'"
    assert client.run(empty).answer.updated == 0
    assert client.rows("SELECT count(*) FROM T_none") == [["0"]]


def test_what_athena_refuses(client):
    client.rows(MADE)
    again = MADE.replace("T_made", "T_again")
    assert client.fails(again).startswith("HIVE_PATH_ALREADY_EXISTS")
    many = "CREATE TABLE T_many WITH (external_location = 's3://B/many/', partitioned_by = " \
           "ARRAY['p']) AS SELECT 1 a, n p FROM UNNEST(sequence(1, 101)) t(n)"
    assert client.fails(many).startswith("HIVE_TOO_MANY_OPEN_PARTITIONS")
    for wrong in ("SELECT `u` FROM T_made", "SELECT 1; SELECT 2", "CALL system.nothing()",
                  "SELECT * FROM system.runtime.nodes", "SET SESSION a.b = 1",
                  "CREATE SCHEMA s WITH (location = 's3://B/s/')", "CREATE TABLE T_x (a integer)",
                  "CREATE TABLE T_x WITH (bogus = 1) AS SELECT 1 a", "ALTER TABLE T_made RENAME TO x",
                  "CREATE TABLE T_x WITH (external_location = 'file:///x/') AS SELECT 1 a",
                  "CREATE TABLE T_x WITH (bucketed_by = ARRAY['a']) AS SELECT 1 a",
                  "CREATE TABLE T_x WITH (write_compression = 'BROTLI') AS SELECT 1 a",
                  "DROP SCHEMA nothing_of_that_name", "SELECT nothing FROM T_made"):
        assert client.fails(wrong), wrong
    assert client.rows("SELECT ';', '`' FROM T_made LIMIT 1;") == [[";", "`"]]


def test_a_query_is_stopped(client):
    slow = "SELECT count(*) FROM UNNEST(sequence(1, 10000)) a(x), UNNEST(sequence(1, 10000)) b(y), " \
           "UNNEST(sequence(1, 100)) c(z) WHERE x * y % 7 = z"
    started = client.athena.start_query_execution(
        QueryString=slow, ResultConfiguration={"OutputLocation": f"s3://{client.bucket}/results/"})
    client.athena.stop_query_execution(QueryExecutionId=started["QueryExecutionId"])
    query = client.server.queries[started["QueryExecutionId"]]
    assert query.ended.wait(PATIENCE_S) and query.state == "CANCELLED"
