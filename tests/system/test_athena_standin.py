"""The stand-in for Athena, judged by Amazon's official client: what it answers is what boto3 takes, and what
it refuses is what Athena's documentation says it does. And the grammar of Athena's DDL."""
import threading
import time
import uuid

import boto3
import botocore.exceptions
import hive_ddl
import pytest
from athena import Answer, Athena, Fate, FolderStore, refusal, throttling
from botocore.config import Config
from conftest import PATIENCE_S

OUTPUT = {"OutputLocation": "s3://results/here/"}


@pytest.fixture
def standin(tmp_path):
    with Athena(store=FolderStore(tmp_path)) as server:
        server.starts_per_s = server.reads_per_s = (1000, 1000)
        yield server
        assert not [mistake for mistake in server.mistakes if mistake.startswith("our own")]


def client(server, secret=None, **options):
    return boto3.client(
        "athena", endpoint_url=server.endpoint, region_name=server.REGION,
        aws_access_key_id=server.ACCESS_KEY, aws_secret_access_key=secret or server.SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, **options))


def start(athena, query, **more):
    return athena.start_query_execution(
        QueryString=query, ResultConfiguration=OUTPUT, **more)["QueryExecutionId"]


def wait(server, query):
    assert server.queries[query].ended.wait(PATIENCE_S)


def refused(error, call, *words, **more):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*words, **more)
    assert caught.value.response["Error"]["Code"] == error
    return caught.value.response["Error"]["Message"]


def test_a_query_runs_to_its_end(standin, tmp_path):
    athena = client(standin)
    standin.back_end.put("from things", Answer(
        [("name", "varchar(9)"), ("count", "bigint"), ("price", "decimal(10,2)")],
        [["a \"b\", c", "1", None], ["", "2", "3.50"]], scanned_bytes=77))
    query = start(athena, "select * from things",
                  QueryExecutionContext={"Database": "lake", "Catalog": "AwsDataCatalog"})
    wait(standin, query)
    told = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
    assert told["Status"]["State"] == "SUCCEEDED" and told["StatementType"] == "DML"
    assert told["Statistics"]["DataScannedInBytes"] == 77
    assert told["ResultConfiguration"]["OutputLocation"] == f"s3://results/here/{query}.csv"
    result = athena.get_query_results(QueryExecutionId=query)["ResultSet"]
    cells = [[cell.get("VarCharValue") for cell in row["Data"]] for row in result["Rows"]]
    assert cells == [["name", "count", "price"], ['a "b", c', "1", None], ["", "2", "3.50"]]
    kinds = [(one["Type"], one["Precision"], one["Scale"])
             for one in result["ResultSetMetadata"]["ColumnInfo"]]
    assert kinds == [("varchar", 9, 0), ("bigint", 0, 0), ("decimal", 10, 2)]
    assert (tmp_path / "results" / "here" / f"{query}.csv").read_text() == \
        '"name","count","price"\n"a ""b"", c","1",\n"","2","3.50"\n'


def test_results_come_in_pages(standin):
    athena = client(standin)
    standin.back_end.put("numbers", Answer([("n", "bigint")], [[str(n)] for n in range(2500)]))
    query = start(athena, "select n from numbers")
    wait(standin, query)
    pages = list(athena.get_paginator("get_query_results").paginate(QueryExecutionId=query))
    rows = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert len(pages) == 3 and rows == ["n"] + [str(n) for n in range(2500)]


def test_rows_of_ddl_have_no_header(standin):
    athena = client(standin)
    standin.back_end.put("(?i)show tables", Answer([("tab_name", "string")], [["a"], ["b"]]))
    query = start(athena, "SHOW TABLES IN lake")
    wait(standin, query)
    rows = athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
    assert [row["Data"][0]["VarCharValue"] for row in rows] == ["a", "b"]


def test_a_token_is_one_query(standin):
    athena, token = client(standin), uuid.uuid4().hex
    first = start(athena, "select 1", ClientRequestToken=token)
    assert start(athena, "select 1", ClientRequestToken=token) == first
    assert len(standin.queries) == 1
    said = refused("InvalidRequestException", start, athena, "select 2", ClientRequestToken=token)
    assert "Idempotent parameters" in said


def test_limits(standin):
    athena = client(standin, parameter_validation=False)
    assert "262144" in refused("InvalidRequestException", start, athena, "é" * 131073)
    assert standin.mistakes
    assert "32" in refused("InvalidRequestException", start, athena, "select 1",
                           ClientRequestToken="short")
    assert "output location" in refused("InvalidRequestException", athena.start_query_execution,
                                        QueryString="select 1")
    refused("InvalidRequestException", athena.get_query_execution, QueryExecutionId="unknown")


def test_rates_and_quotas(standin):
    athena = client(standin)
    standin.starts_per_s = (1, 3)
    codes = []
    for _ in range(5):
        try:
            start(athena, "select 1")
        except botocore.exceptions.ClientError as error:
            codes.append(error.response["Error"]["Code"])
    assert codes and set(codes) == {"ThrottlingException"} and standin.refused_starts == len(codes)
    standin.starts_per_s, standin.ddl_at_once, standin.run_s = (1000, 1000), 2, 5
    for at in range(2):
        start(athena, f"DROP TABLE IF EXISTS t{at}")
    with pytest.raises(athena.exceptions.TooManyRequestsException) as caught:
        start(athena, "DROP TABLE IF EXISTS t3")
    assert caught.value.response["Reason"] == "CONCURRENT_QUERY_LIMIT_EXCEEDED"
    for query in standin.ran("DROP"):
        athena.stop_query_execution(QueryExecutionId=query.id)


def test_a_query_is_stopped(standin):
    athena = client(standin)
    standin.run_s = 30
    query = start(athena, "select 1")
    began = time.monotonic()
    athena.stop_query_execution(QueryExecutionId=query)
    wait(standin, query)
    assert time.monotonic() - began < 10
    status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
    assert status["State"] == "CANCELLED" and status["StateChangeReason"]
    athena.stop_query_execution(QueryExecutionId=query)
    assert "CANCELLED" in refused("InvalidRequestException", athena.get_query_results,
                                  QueryExecutionId=query)


def test_a_query_fails_with_a_reason(standin):
    athena = client(standin)
    standin.fates.append(Fate("select 1", reason="HIVE_BAD_DATA: no such thing", error={
        "ErrorCategory": 2, "ErrorType": 1006, "Retryable": False, "ErrorMessage": "no such thing"}))
    query = start(athena, "select 1")
    wait(standin, query)
    status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
    assert status["StateChangeReason"].startswith("HIVE_BAD_DATA")
    assert status["AthenaError"]["ErrorType"] == 1006
    query = start(athena, "selec 1")
    wait(standin, query)
    assert standin.queries[query].state == "FAILED"


def test_running_goes_back_to_queued(standin):
    athena = client(standin)
    standin.requeues, standin.queue_s, standin.run_s = 1, 0.3, 0.3
    query, seen = start(athena, "select 1"), []
    while not seen or seen[-1] not in ("SUCCEEDED", "FAILED"):
        state = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"]
        if not seen or seen[-1] != state:
            seen.append(state)
        time.sleep(0.02)
    assert seen == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCEEDED"]


def test_faults(standin):
    athena = client(standin)
    standin.rules.add(throttling(target="^/GetQueryExecution$"))
    query = start(athena, "select 1")
    refused("ThrottlingException", athena.get_query_execution, QueryExecutionId=query)
    athena.get_query_execution(QueryExecutionId=query)
    standin.rules.add(refusal("InternalServerException", "oh", 500, target="StartQueryExecution"))
    refused("InternalServerException", start, athena, "select 1")
    # An answer that nobody hears of: it has been carried out.
    standin.rules.add(target="StartQueryExecution", cut_reply_bytes=0, times=1)
    with pytest.raises(botocore.exceptions.HTTPClientError):
        start(athena, "select 1 -- unheard")
    assert len(standin.ran("unheard")) == 1


def test_who_is_not_known_is_refused(standin):
    refused("InvalidSignatureException", start, client(standin, secret="wrong"), "select 1")
    stranger = boto3.client("athena", endpoint_url=standin.endpoint, region_name=standin.REGION,
                            aws_access_key_id="AKIASTRANGER00000001", aws_secret_access_key="x",
                            config=Config(retries={"total_max_attempts": 1}))
    refused("UnrecognizedClientException", start, stranger, "select 1")
    assert not standin.queries


def test_many_at_once(standin):
    athena, found = client(standin), []

    def one(at):
        query = start(athena, f"select 1 -- {at}" if at % 2 else "select 1")
        found.append(query)
    standin.back_end.put("select 1 --", Answer([("n", "integer")], [["1"]]))
    threads = [threading.Thread(target=one, args=(at,)) for at in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for query in found:
        wait(standin, query)
    assert len(set(found)) == 20
    assert {standin.queries[query].state for query in found} == {"SUCCEEDED"}


# ---- the grammar -------------------------------------------------------------------------------------

ACCEPTED = [
    # docs.aws.amazon.com/athena/latest/ug/create-table.html, partition-projection.html
    r"""CREATE EXTERNAL TABLE IF NOT EXISTS `lake`.`events` (`userid` string, `shard` int,
        `event` string COMMENT 'it\'s JSON', `at` timestamp, `price` decimal(10, 2))
        COMMENT 'raw' PARTITIONED BY (`day` date, `partition` int) STORED AS PARQUET
        LOCATION 's3://bucket/raw events/' TBLPROPERTIES ('projection.enabled' = 'true',
        'projection.day.type'='date', 'projection.day.range'='2021-01-01,NOW',
        'storage.location.template'='s3://bucket/raw events/day=${day}/partition=${partition}/');""",
    """CREATE EXTERNAL TABLE t (a array<struct<b:int,c:map<string,double>>>)
       ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
       WITH SERDEPROPERTIES ('ignore.malformed.json'='FALSE') LOCATION 's3://b/t/'""",
    r"""CREATE EXTERNAL TABLE t (a string) ROW FORMAT DELIMITED FIELDS TERMINATED BY '\t'
       ESCAPED BY '\\' LINES TERMINATED BY '\n' STORED AS TEXTFILE LOCATION 's3://b/t/'""",
    """CREATE EXTERNAL TABLE t (a int) CLUSTERED BY (a) INTO 4 BUCKETS STORED AS INPUTFORMAT
       'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat' OUTPUTFORMAT
       'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat' LOCATION 's3://b/t/'""",
    "DROP TABLE IF EXISTS `lake`.`t`", "drop table t;", "MSCK REPAIR TABLE `t`",
    "CREATE DATABASE IF NOT EXISTS d COMMENT 'x' LOCATION 's3://b/d/' WITH DBPROPERTIES ('a'='b')",
    "CREATE SCHEMA d", "DROP DATABASE IF EXISTS d CASCADE", "DROP SCHEMA d",
    "ALTER TABLE t ADD IF NOT EXISTS PARTITION (day = '2026-01-01', n = 7) LOCATION 's3://b/x/' "
    "PARTITION (day = '2026-01-02', n = 7)",
    "SHOW TABLES IN d 'rc_*'", "SHOW TABLES", "SHOW DATABASES", "SHOW PARTITIONS d.t",
    "SHOW CREATE TABLE d.t", "SHOW COLUMNS IN d.t", "DESCRIBE EXTENDED d.t",
]
TABLE = "CREATE EXTERNAL TABLE t ({}) LOCATION 's3://b/t/'"
REFUSED = [
    "CREATE TABLE t (a int) LOCATION 's3://b/t/'", "CREATE EXTERNAL TABLE t LOCATION 's3://b/t/'",
    "CREATE EXTERNAL TABLE t (a int)", "CREATE EXTERNAL TABLE t (a int) LOCATION 'file:///t/'",
    "CREATE EXTERNAL TABLE t (a int) LOCATION 's3://b/t'",
    'CREATE EXTERNAL TABLE "t" (a int) LOCATION \'s3://b/t/\'',
    "CREATE EXTERNAL TABLE t (a int) PARTITIONED BY (a int) LOCATION 's3://b/t/'",
    "CREATE EXTERNAL TABLE t (a int) STORED AS JSON LOCATION 's3://b/t/'",
    "CREATE EXTERNAL TABLE t (a int) WITH (format = 'PARQUET') LOCATION 's3://b/t/'",
    TABLE.format("a integer"), TABLE.format("a varchar"), TABLE.format("a varbinary"),
    TABLE.format("a array(int)"), TABLE.format("date int"), TABLE.format("_a int"),
    TABLE.format("a int,"), TABLE.format("a int, A int"), TABLE.format("`a` int `b` int"),
    "DROP TABLE t; DROP TABLE u", "DROP TABLE", "MSCK REPAIR t", "SHOW", "CALL x()", "",
    "ALTER TABLE t ADD", "CREATE SCHEMA d WITH (location = 's3://b/d/')", "DROP TABLE 't'",
    "CREATE EXTERNAL TABLE t (a int) LOCATION 's3://b/t/' TBLPROPERTIES (a = 'b')",
    "CREATE EXTERNAL TABLE `t (a int) LOCATION 's3://b/t/'",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_the_grammar_takes(text):
    assert hive_ddl.is_ddl(text) or text.startswith("ALTER")
    assert hive_ddl.parse(text)


@pytest.mark.parametrize("text", REFUSED)
def test_the_grammar_refuses(text):
    with pytest.raises(hive_ddl.Refused):
        hive_ddl.parse(text)


def test_the_grammar_reads_strings_as_hive_does():
    table = hive_ddl.parse(ACCEPTED[0])
    assert table.columns[2].comment == "it's JSON"
    assert table.columns[4].type.arguments == [10, 2]
    assert hive_ddl.parse(ACCEPTED[2]).delimited == {"fields": "\t", "escape": "\\", "lines": "\n"}
    assert hive_ddl.unescape(r"'\u0041\101\q\''") == "AAq'"
