"""The client of Athena against the stand-in, which checks each request by Amazon's description of the API
and its signature: statements, results, faults, limits and what is left of queries that nobody waits for
any more. Nothing here needs an engine of SQL."""
import json
import os
import re
import subprocess
import tempfile
import threading
import time

import hive_ddl
import pytest
from athena import Answer, Athena, Fate, FolderStore, QueryFailed, refusal, throttling
from conftest import BUILD, PATIENCE_S, SOURCE
from faults import Rule

PROBE = BUILD / "test-servers" / "athena_probe"
SANITIZERS = {
    "ASAN_OPTIONS": "exitcode=99",
    "LSAN_OPTIONS": f"exitcode=99:suppressions={SOURCE}/tests/support/lsan.supp:"
                    "print_suppressions=0",
    "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", ""),
}
START, LOOK, PAGE, STOP = ("^/StartQueryExecution$", "^/GetQueryExecution$", "^/GetQueryResults$",
                           "^/StopQueryExecution$")
MIB = 1 << 20
LIMITS_MS = (500, 3000, 9000)  # the first is long enough unless the machine is busy


class Probe:
    """A process with a client, which does one thing after the other."""

    def __init__(self, server, env=None, **settings):
        given = {"endpoint": server.endpoint, "region": server.REGION, "results": "s3://results/here/",
                 "database": "lake", "catalog": "AwsDataCatalog", "backoff_ms": 1,
                 "starts_per_s": 0, "reads_per_s": 0, "price_per_tib": 5,
                 "access_key_id": server.ACCESS_KEY, "secret_access_key": server.SECRET_KEY}
        given.update(settings)
        words = [f"{name}={value}" for name, value in given.items() if value is not None]
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent",
                       "AWS_EC2_METADATA_DISABLED": "true", **SANITIZERS, **(env or {})}
        self.process = subprocess.Popen([PROBE, *words], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode in (0, -9) and not err, err
        assert not out

    def tell(self, do, text="select 1", **more):
        self.process.stdin.write(json.dumps({"do": do, "text": text, **more}) + "\n")
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def do(self, do, text="select 1", **more):
        self.tell(do, text, **more)
        return self.hear()

    def query(self, text="select 1", **more):
        return self.do("query", text, **more)

    def run(self, text, **more):
        return self.do("run", text, **more)

    def cancel_when(self, condition, text="select 1"):
        """The answer to a query that is cancelled as soon as that is true."""
        with tempfile.TemporaryDirectory() as folder:
            self.tell("query", text, cancel_when=f"{folder}/now")
            wait_until(condition)
            open(f"{folder}/now", "x").close()
            return self.hear()


@pytest.fixture
def server(tmp_path):
    with Athena(store=FolderStore(tmp_path / "buckets")) as standin:
        standin.starts_per_s = standin.reads_per_s = (10000, 10000)
        yield standin
        assert not standin.mistakes


@pytest.fixture
def probe(server):
    with Probe(server) as found:
        yield found


def count(server, target):
    return sum(1 for call in server.calls
               if re.search(target, server.fault_target(call.target, call.headers)))


def wait_until(condition, timeout_s=PATIENCE_S):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# ---- statements and results --------------------------------------------------------------------------

def test_values_of_all_types(server, probe):
    server.back_end.put("from things", Answer(
        [("b", "boolean"), ("i", "integer"), ("n", "bigint"), ("d", "double"), ("e", "double"),
         ("t", "varchar"), ("x", "varbinary"), ("p", "decimal(10,2)"), ("day", "date"),
         ("at", "timestamp"), ("none", "varchar")],
        [["true", "-7", "9223372036854775807", "1.0E-5", "NaN", "ä \"b\"\n☃ '; --", "68 65 ff",
          "3.50", "2026-01-31", "2026-01-31 12:00:00.250", None],
         ["false", "0", "-9223372036854775808", "-Infinity", "0.1", "", "", "0.00", "0001-01-01",
          "1970-01-01 00:00:00.000", None]]))
    answer = probe.query("select * from things")
    assert answer["columns"] == ["b", "i", "n", "d", "e", "t", "x", "p", "day", "at", "none"]
    assert answer["rows"] == [
        [True, -7, 9223372036854775807, {"float": "1.0000000000000001e-05"}, {"float": "nan"},
         "ä \"b\"\n☃ '; --", {"hex": "6865ff"}, "3.50", "2026-01-31", "2026-01-31 12:00:00.25", None],
        [False, 0, -9223372036854775808, {"float": "-inf"}, {"float": "0.10000000000000001"}, "",
         {"hex": ""}, "0.00", "0001-01-01", "1970-01-01 00:00:00", None]]


def test_what_a_statement_is_sent_with(server):
    with Probe(server, work_group="team-a", results_encryption=2, results_kms_key="alias/lake",
               results_owner="123456789012") as probe:
        assert probe.query()["rows"] == [[1]]
    (query,) = server.queries.values()
    token = query.request.pop("ClientRequestToken")
    assert re.fullmatch("[0-9a-f]{40}", token)
    assert query.request == {
        "QueryString": "select 1", "WorkGroup": "team-a",
        "QueryExecutionContext": {"Catalog": "AwsDataCatalog", "Database": "lake"},
        "ResultConfiguration": {
            "OutputLocation": "s3://results/here/", "ExpectedBucketOwner": "123456789012",
            "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": "alias/lake"}}}


def test_a_text_arrives_as_it_is(server, probe):
    text = "select 1 -- ä ☃ \U0001f600 \"q\" \\ \t\r\n '\u2028' \x7f"
    server.back_end.put("(?s).*", Answer([("n", "integer")], [["1"]]))
    probe.query(text)
    assert server.back_end.seen == [text]


def test_pages(server, probe):
    server.back_end.put("numbers", Answer([("n", "bigint")], [[str(n)] for n in range(2500)]))
    answer = probe.query("select n from numbers")
    assert answer["rows"] == [[n] for n in range(2500)]
    assert count(server, PAGE) == 3


@pytest.mark.parametrize("count", [0, 1, 998, 999, 1000, 1999, 2000])
def test_rows_that_just_fill_pages(server, probe, count):
    server.back_end.put("numbers", Answer([("n", "bigint")], [[str(n)] for n in range(count)]))
    assert probe.query("select n from numbers")["rows"] == [[n] for n in range(count)]


def test_a_first_row_that_looks_like_the_names(server, probe):
    server.back_end.put("names", Answer([("a", "varchar"), ("b", "varchar")],
                                        [["a", "b"], ["a", "b"]]))
    assert probe.query("select a, b from names")["rows"] == [["a", "b"], ["a", "b"]]


def test_rows_of_ddl_have_no_header(server, probe):
    server.back_end.put("(?i)show tables", Answer([("tab_name", "string")], [["tab_name"], ["b"]]))
    assert probe.query("SHOW TABLES IN lake", ddl=True)["rows"] == [["tab_name"], ["b"]]


def test_rows_that_are_very_long(server, probe):
    """More than is read of one answer: fewer are asked for at once."""
    rows = [[str(n) + "x" * 400_000] for n in range(45)]
    server.back_end.put("long", Answer([("t", "varchar")], rows))
    assert probe.query("select t from long", rows=12)["rows"] == rows[:12]
    assert count(server, PAGE) == 4


def test_a_page_that_leads_to_itself(server, probe):
    page = {"ResultSet": {"Rows": [{"Data": [{"VarCharValue": "1"}]}], "ResultSetMetadata": {
        "ColumnInfo": [{"Name": "n", "Type": "bigint"}]}}, "NextToken": "again"}
    server.rules.add(Rule(target=PAGE, status=200, body=json.dumps(page), times=None))
    answer = probe.query()
    assert answer["error"] == "corrupt" and "goes on with the page" in answer["message"]
    assert count(server, PAGE) == 2


def test_rows_are_fetched_as_they_are_read(server, probe):
    server.back_end.put("numbers", Answer([("n", "bigint")], [[str(n)] for n in range(5000)]))
    assert probe.query("select n from numbers", rows=3)["rows"] == [[0], [1], [2]]
    assert count(server, PAGE) == 1


@pytest.mark.parametrize("kind, text", [("bigint", "12x"), ("boolean", "maybe"), ("double", "1,5"),
                                        ("varbinary", "6"), ("bigint", "9223372036854775808")])
def test_a_value_that_is_none(server, probe, kind, text):
    server.back_end.put("odd", Answer([("v", kind)], [[text]]))
    answer = probe.query("select v from odd")
    assert answer["error"] == "corrupt" and text in answer["message"] and "'v'" in answer["message"]


def test_how_many_rows_were_written(server, probe):
    server.back_end.put("(?i)create table", Answer(updated=12345))
    answer = probe.run("CREATE TABLE t AS SELECT 1")
    assert answer["updated"] == 12345
    server.back_end.put("(?i)insert", Answer())
    assert probe.run("INSERT INTO t SELECT 1")["updated"] == -1


NASTY = ["plain", "it's", "back\\slash", "a`b``c", 'quo"te', "semi;colon", "new\nline", "tab\tbed",
         "-- comment", "/* comment */", "grüße ☃ \U0001f600", "\\'; DROP TABLE t; --", "\\u0041", "${x}",
         "a\\"]


@pytest.mark.parametrize("text", NASTY)
def test_definitions_of_tables_say_what_they_are_to_say(probe, text):
    """By the grammar of the stand-in, whatever stands in names, locations and values."""
    statement = probe.do("create", f"s3://bucket/{text}/", name=text, value=text)["statement"]
    said = hive_ddl.parse(statement)
    assert (said.database, said.table) == ("lake", text.lower())
    assert [(one.name, one.type.name) for one in said.columns] == [
        (text.lower(), "string"), ("n", "decimal")]
    assert [one.name for one in said.partitions] == [f"{text.lower()} key"]
    assert said.location == f"s3://bucket/{text}/"
    assert said.properties == {
        "projection.enabled": "true", f"projection.{text} key.type": "enum",
        f"projection.{text} key.values": f"{text},other",
        "storage.location.template": f"s3://bucket/{text}/{text} key=${{{text} key}}/"}


# ---- how a query ends --------------------------------------------------------------------------------

def test_a_query_that_waits_and_goes_back(server, probe):
    server.queue_s, server.run_s, server.requeues = 0.15, 0.15, 1
    assert probe.query()["rows"] == [[1]]


@pytest.mark.parametrize("reason, code", [
    ("SYNTAX_ERROR: line 1:8: Column 'x' cannot be resolved", "invalid"),
    ("TYPE_MISMATCH: line 1:1: '=' cannot be applied to bigint, varchar(1)", "invalid"),
    ("TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.lake.none' does not exist", "not_found"),
    ("HIVE_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of 100 open writers for partitions/buckets.",
     "too_large"),
    ("HIVE_BAD_DATA: Malformed Parquet file. Expected magic number: PAR1 got: abcd", "unsupported"),
    ("HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://b/k (offset=0, length=9)", "unsupported"),
    ("HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://b/k: Please reduce your request rate. "
     "(Service: Amazon S3; Status Code: 503; Error Code: SlowDown)", "unavailable"),
    ("HIVE_FILESYSTEM_ERROR: Access Denied (Service: Amazon S3; Status Code: 403)", "denied"),
    ("HIVE_PATH_ALREADY_EXISTS: Target directory for table 'a.b' already exists: s3://b/t", "conflict"),
    ("FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. "
     "AlreadyExistsException(message:Table t already exists)", "conflict"),
    ("FAILED: ParseException line 1:0 cannot recognize input near 'x'", "invalid"),
    ("Query exhausted resources at this scale factor", "failed"),
    ("HIVE_CURSOR_ERROR: Failed to read file: s3://lake/invalid_events/a.parquet", "unsupported"),
    ("HIVE_WRITER_CLOSE_ERROR: Error committing write to Hive s3://lake/invalid_events/", "failed"),
])
def test_reasons(server, probe, reason, code):
    server.fates.append(Fate("select 1", reason=reason, error={
        "ErrorCategory": 2, "ErrorType": 1, "Retryable": False, "ErrorMessage": reason}))
    answer = probe.query(repeatable=True)
    assert answer["error"] == code and reason in answer["message"]
    assert next(iter(server.queries)) in answer["message"] and len(server.queries) == 1


@pytest.mark.parametrize("reason, code, shown", [
    ("INVALID_CAST_ARGUMENT: Cannot cast '+49 555 0101' to BIGINT", "failed",
     "INVALID_CAST_ARGUMENT: Cannot cast '...' to BIGINT"),
    ("INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: '{\"phone\": \"+49 555 0101'", "corrupt",
     "INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: ..."),
    ("HIVE_BAD_DATA: Error parsing field value '+49 555 0101' for field 3: For input string: "
     "\"+49 555 0101\"", "unsupported",
     "HIVE_BAD_DATA: Error parsing field value '...' for field 3: ..."),
])
def test_reasons_quote_no_data(server, probe, reason, code, shown):
    server.fates.append(Fate("select 1", reason=reason, error={
        "ErrorCategory": 2, "ErrorType": 1, "Retryable": False, "ErrorMessage": reason}))
    answer = probe.query()
    assert answer["error"] == code and answer["message"].endswith(shown)
    assert "0101" not in str(answer)


def test_what_fails_by_the_service_runs_once_more(server, probe):
    error = {"ErrorCategory": 1, "ErrorType": 233, "Retryable": True, "ErrorMessage": "internal"}
    server.fates.append(Fate("select 1", reason="GENERIC_INTERNAL_ERROR: internal", error=error))
    answer = probe.query(repeatable=True)
    assert answer["rows"] == [[1]] and "GENERIC_INTERNAL_ERROR" in answer["said"][0]
    tokens = {query.request["ClientRequestToken"] for query in server.queries.values()}
    assert len(tokens) == 2


def test_what_writes_does_not_run_once_more(server, probe):
    error = {"ErrorCategory": 1, "ErrorType": 233, "Retryable": True, "ErrorMessage": "internal"}
    server.fates.append(Fate("(?i)insert", reason="GENERIC_INTERNAL_ERROR: x", error=error))
    answer = probe.run("INSERT INTO t SELECT 1")
    assert answer["error"] == "unavailable" and len(server.queries) == 1


def test_what_somebody_else_cancels(server, probe):
    server.fates.append(Fate("select 1", state="CANCELLED"))
    answer = probe.query(repeatable=True)
    assert answer["error"] == "failed" and "Query cancelled by user" in answer["message"]
    assert len(server.queries) == 1


# ---- requests that fail ------------------------------------------------------------------------------

def test_throttling_is_borne(server, probe):
    server.rules.add(throttling(target=START, times=3), throttling(target=LOOK, times=3),
                     throttling(target=PAGE, times=3))
    assert probe.query()["rows"] == [[1]] and len(server.queries) == 1


@pytest.mark.parametrize("fault", [
    {"status": 500}, {"status": 503}, {"lost": True}, {"cut_reply_bytes": 0},
    {"cut_reply_body_bytes": 5}, {"reset": True, "cut_reply_bytes": 0},
    {"raw": "HTTP/1.1 200 OK\r\n\r\n<html>"}, {"status": 502, "body": "<html>bad gateway</html>"}])
@pytest.mark.parametrize("target", [START, LOOK, PAGE])
def test_passing_faults(server, probe, target, fault):
    server.rules.add(Rule(target=target, times=2, **fault))
    assert probe.query()["rows"] == [[1]]
    assert len(server.queries) == 1, "an answer that was lost made another query"


def test_internal_errors_are_borne(server, probe):
    for target in (START, LOOK, PAGE):
        server.rules.add(refusal("InternalServerException", "internal", 500, target=target, times=2))
    assert probe.query()["rows"] == [[1]] and len(server.queries) == 1


def test_faults_that_do_not_pass(server):
    server.rules.add(throttling(target=START, times=None))
    with Probe(server, attempts=3) as probe:
        answer = probe.query()
    assert answer["error"] == "unavailable" and "ThrottlingException" in answer["message"]
    assert "'starts_per_second'" in answer["message"] and count(server, START) == 3


def test_too_many_queries_of_others(server, probe):
    """The quota is the account's: others may have used it up, and go on looking."""
    server.dml_at_once = 0
    timer = threading.Timer(0.5, lambda: setattr(server, "dml_at_once", 25))
    timer.start()
    assert probe.query()["rows"] == [[1]]
    timer.join()
    assert len(server.queries) == 1
    with Probe(server, quota_ms=50) as other:
        server.dml_at_once = 0
        answer = other.query()
    assert answer["error"] == "unavailable" and "'queries_at_once'" in answer["message"]
    assert "CONCURRENT_QUERY_LIMIT_EXCEEDED" in answer["message"]


def test_a_refused_statement(server, probe):
    server.rules.add(refusal("InvalidRequestException", "line 1:1: mismatched input 'selekt'",
                             target=START, times=1))
    answer = probe.query("selekt")
    assert answer["error"] == "invalid" and "mismatched input 'selekt'" in answer["message"]


def test_too_many_requests_for_pages_are_borne(server, probe):
    """That there are too many of them is said by the word that refuses one more query."""
    server.rules.add(refusal("TooManyRequestsException", "Rate exceeded", target=PAGE, times=3),
                     refusal("TooManyRequestsException", "Rate exceeded", target=LOOK, times=3))
    assert probe.query()["rows"] == [[1]]
    assert len(server.queries) == 1 and count(server, STOP) == 0


def test_what_is_not_athena(server):
    server.rules.add(Rule(target=".*", status=200, body="<html>Log in</html>", times=None))
    with Probe(server, attempts=2) as probe:
        answer = probe.query()
    assert answer["error"] == "unavailable" and "'endpoint'" in answer["message"]


def test_an_endpoint_that_never_answers_is_told_soon(server):
    """Nobody waits out an outage of what may be a wrong address."""
    with Probe(server, endpoint="http://127.0.0.1:1") as probe:
        answer = probe.query()
    assert answer["error"] == "unavailable" and "Athena at 'http://127.0.0.1:1'" in answer["message"]

    server.rules.add(Rule(target=".*", status=503, body="<html>Sorry</html>", times=None))
    with Probe(server, attempts=10) as probe:
        assert probe.query()["error"] == "unavailable"
    assert count(server, START) == 8 + 3  # the last to find and stop what may have begun


def test_an_outage_is_waited_out_longer(server):
    with Probe(server, attempts=10) as probe:
        assert probe.query()["rows"] == [[1]]
        server.rules.add(Rule(target=START, status=503, body="<html>Sorry</html>", times=9))
        assert probe.query()["rows"] == [[1]]
    assert count(server, START) == 1 + 10


@pytest.mark.parametrize("body", ["{}", '{"QueryExecution": {}}', '{"QueryExecution": 1}', "[]",
                                  '{"QueryExecution": {"Status": {"State": "DREAMING"}}}'])
def test_a_look_that_says_nothing(server, probe, body):
    server.rules.add(Rule(target=LOOK, status=200, body=body, times=None))
    with Probe(server, attempts=2) as other:
        assert other.query()["error"] in ("corrupt", "unavailable")
    wait_until(lambda: all(not query.is_open for query in server.queries.values()))
    server.rules.clear()
    assert probe.query()["rows"] == [[1]]


def test_a_lost_start_before_there_is_room(server, probe):
    """What came of the lost one is found by the same token, and is not stopped."""
    server.rules.add(Rule(target=START, times=1, cut_reply_bytes=0),
                     refusal("TooManyRequestsException", "full", target=START, times=2))
    assert probe.query()["rows"] == [[1]]
    assert len(server.queries) == 1 and count(server, STOP) == 0


# ---- credentials -------------------------------------------------------------------------------------

def test_wrong_secret(server):
    with Probe(server, secret_access_key="wrong/secret") as probe:
        answer = probe.query()
    assert answer["error"] == "denied" and "'secret_access_key'" in answer["message"]
    assert "wrong/secret" not in answer["message"]


def test_unknown_key(server):
    with Probe(server, access_key_id="AKIANOBODY") as probe:
        assert probe.query()["error"] == "denied"


def test_no_credentials(server):
    with Probe(server, access_key_id=None, secret_access_key=None) as probe:
        assert probe.query()["error"] == "not_found"
    assert not server.calls, "never anonymous"


def test_a_session_token(server):
    server.keys = {"ASIATEMPORARY": ("temporary/secret", "the+token=")}
    with Probe(server, access_key_id="ASIATEMPORARY", secret_access_key="temporary/secret",
               session_token="the+token=") as probe:
        assert probe.query()["rows"] == [[1]]


def test_credentials_that_run_out_are_renewed(server, tmp_path):
    """In the middle of a statement: new ones are fetched where the old came from."""
    served = tmp_path / "served"
    served.write_text("0")
    command = tmp_path / "keys"
    command.write_text(f"""#!/bin/sh
read -r n < {served}; n=$((n + 1)); echo $n > {served}
echo "{{\\"Version\\": 1, \\"AccessKeyId\\": \\"AKIA$n\\", \\"SecretAccessKey\\": \\"secret$n\\"}}"
""")
    command.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {command}\n")
    server.keys = {"AKIA1": ("secret1", None), "AKIA2": ("secret2", None)}
    server.rules.add(refusal("ExpiredTokenException", "The security token included in the request "
                             "is expired", target=LOOK, times=1))
    server.run_s = 0.2
    with Probe(server, env={"AWS_CONFIG_FILE": str(tmp_path / "config")}, access_key_id=None,
               secret_access_key=None) as probe:
        assert probe.query()["rows"] == [[1]]
    used = [re.search("Credential=(AKIA.)", call.headers["authorization"])[1]
            for call in server.calls]
    assert used[0] == "AKIA1" and used[-1] == "AKIA2" and served.read_text() == "2\n"
    assert len(server.queries) == 1


def test_a_clock_that_is_wrong(server):
    """The server's word on the time is taken, and the request signed again."""
    seen = []
    check = server.check_signature

    def wrong_clock(request):
        seen.append(request.headers["x-amz-date"])
        if len(seen) == 1:
            from athena import ApiError
            raise ApiError("InvalidSignatureException", "Signature not yet current")
        check(request)

    server.check_signature = wrong_clock
    server.rules.add(Rule(target=START, times=1, status=403, body=json.dumps(
        {"__type": "InvalidSignatureException", "message": "Signature not yet current: too late"}),
        headers={"Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 300))}))
    with Probe(server) as probe:
        probe.query()
    dates = [call.headers["x-amz-date"] for call in server.calls]
    moments = [time.mktime(time.strptime(date, "%Y%m%dT%H%M%SZ")) for date in dates]
    assert 200 <= moments[1] - moments[0] <= 400


def test_no_region(server):
    with Probe(server, region=None) as probe:
        answer = probe.hear()
    assert answer["error"] == "invalid" and "'region'" in answer["message"]


@pytest.mark.parametrize("region", ["eu-west-1.example.org/", "evil.example.org#", "EU"])
def test_a_region_that_is_none(server, region):
    with Probe(server, region=region) as probe:
        assert probe.hear()["error"] == "invalid"


# ---- queries that nobody waits for any more ----------------------------------------------------------

def test_cancel_stops_the_query(server, probe):
    server.run_s = 2 * PATIENCE_S
    began = time.monotonic()
    answer = probe.cancel_when(lambda: count(server, LOOK))
    assert answer["error"] == "cancelled" and time.monotonic() - began < PATIENCE_S
    (query,) = server.queries.values()
    wait_until(lambda: query.state == "CANCELLED")


@pytest.mark.parametrize("done", [True, False])
def test_cancel_while_it_is_started(server, probe, done):
    """Its start was sent and no answer came: what it started is found by its token, and stopped."""
    server.run_s = 60
    server.rules.add(Rule(target=START, times=1, **({"stall_reply_bytes": 0} if done
                                                    else {"lost": True, "delay_ms": 60000})))
    answer = probe.cancel_when(lambda: count(server, START) and (server.queries or not done))
    assert answer["error"] == "cancelled"
    (query,) = server.queries.values()
    wait_until(lambda: query.state == "CANCELLED")


def test_cancel_before_it_is_started(server):
    with Probe(server, starts_per_s=0.001) as probe:
        assert probe.query()["rows"] == [[1]]
        assert probe.query(cancel_ms=200)["error"] == "cancelled"
    assert len(server.queries) == 1


def test_cancel_while_rows_are_read(server, probe):
    server.back_end.put("numbers", Answer([("n", "bigint")], [[str(n)] for n in range(5000)]))
    server.rules.add(Rule(target=PAGE, skip=1, times=None, delay_ms=60000))
    answer = probe.cancel_when(lambda: count(server, PAGE) == 2, "select n from numbers")
    assert answer["error"] == "cancelled"


def test_a_time_limit(server):
    server.run_s = 60
    with Probe(server, query_timeout_ms=400) as probe:
        answer = probe.query()
        assert answer["error"] == "timeout" and "'query_timeout'" in answer["message"]
    (query,) = server.queries.values()
    wait_until(lambda: query.state == "CANCELLED")


def test_a_time_limit_among_faults(server):
    """However many attempts are allowed: there is one limit, and the fault is told with it."""
    server.run_s = 60
    server.rules.add(refusal("InternalServerException", "oops", 500, target=LOOK, times=None))
    for limit_ms in LIMITS_MS:
        server.queries.clear()
        with Probe(server, query_timeout_ms=limit_ms, attempts=1000, backoff_ms=20) as probe:
            began = time.monotonic()
            answer = probe.query()
        assert answer["error"] == "timeout" and time.monotonic() - began < 40
        if "oops" in answer["message"]:
            break
    assert "'query_timeout'" in answer["message"] and "oops" in answer["message"]
    (query,) = server.queries.values()
    wait_until(lambda: query.state == "CANCELLED")


def test_a_time_limit_while_nothing_answers(server):
    server.run_s = 60
    server.rules.add(Rule(target=LOOK, times=1, stall_reply_bytes=0))
    with Probe(server, query_timeout_ms=600) as probe:
        began = time.monotonic()
        answer = probe.query()
    assert answer["error"] == "timeout" and "'query_timeout'" in answer["message"]
    assert time.monotonic() - began < 40, "a look may be silent for a minute"


def test_a_limit_of_the_caller(server):
    server.run_s = 60
    with Probe(server, query_timeout_ms=50000) as probe:
        answer = probe.query(limit_ms=400)
    assert answer["error"] == "timeout" and "'query_timeout'" not in answer["message"]


def test_no_attempt_after_a_limit_of_the_caller(server):
    """However many are allowed: what tidies up at a run's end has so much time and no more."""
    with Probe(server, attempts=1000, backoff_ms=20) as probe:
        assert probe.query()["rows"] == [[1]]  # before an answer fewer attempts are made
        server.rules.add(Rule(target=START, status=500, times=None))
        for limit_ms in LIMITS_MS:
            before = count(server, START)
            answer = probe.query(limit_ms=limit_ms)
            starts = count(server, START) - before
            if starts > 1:
                break
    assert answer["error"] == "timeout" and 1 < starts < 30


def test_no_room_until_a_limit_of_the_caller(server):
    """The pauses between two starts grow to most of a minute."""
    server.rules.add(refusal("TooManyRequestsException", "full", target=START, times=None))
    with Probe(server, backoff_ms=2000) as probe:
        for limit_ms in LIMITS_MS:
            began = time.monotonic()
            answer = probe.query(limit_ms=limit_ms)
            took_s = time.monotonic() - began
            if count(server, START):
                break
    assert answer["error"] == "timeout" and "as many queries as the account" in answer["message"]
    assert took_s < 20, "as long as a pause"
    assert count(server, START) == 1 and count(server, STOP) == 0


def test_no_run_once_more_after_a_limit_of_the_caller(server):
    error = {"ErrorCategory": 1, "ErrorType": 233, "Retryable": True, "ErrorMessage": "internal"}
    server.fates.append(Fate("again", reason="internal", error=error, times=None))
    with Probe(server) as probe:
        assert probe.query()["rows"] == [[1]]
        for _ in range(5):  # a busy machine takes as long as the pause, now and then
            server.queries.clear()
            began = time.monotonic()
            answer = probe.run("select 'again'", repeatable=True, limit_ms=700)
            took_s = time.monotonic() - began
            assert answer["error"] == "timeout" and len(server.queries) <= 1
            if took_s < 2 and server.queries:
                break
    assert took_s < 2 and len(server.queries) == 1


def test_a_query_is_stopped_that_cannot_be_looked_at(server):
    server.run_s = 60
    server.rules.add(Rule(target=LOOK, status=500, times=None))
    with Probe(server, attempts=2) as probe:
        assert probe.query()["error"] == "unavailable"
    (query,) = server.queries.values()
    wait_until(lambda: query.state == "CANCELLED")


def test_a_stop_that_is_refused_for_a_while(server, probe):
    """As many runs that end at once are."""
    server.run_s = 60
    server.rules.add(throttling(target=STOP, times=2))
    answer = probe.cancel_when(lambda: server.queries)
    assert answer["error"] == "cancelled" and not answer["said"]
    (query,) = server.queries.values()
    wait_until(lambda: query.state == "CANCELLED")


def test_a_start_that_is_never_answered_is_told_of(server):
    server.run_s = 60
    server.rules.add(Rule(target=START, times=None, lost=True))
    with Probe(server, attempts=2) as probe:
        answer = probe.query()
    assert answer["error"] == "unavailable" and "has not answered" in answer["said"][0]


def test_a_query_that_cannot_be_stopped_is_told_of(server, probe):
    server.run_s = 60
    server.rules.add(Rule(target=STOP, status=500, times=None))
    answer = probe.cancel_when(lambda: server.queries)
    assert answer["error"] == "cancelled" and "could not be stopped" in answer["said"][0]
    assert next(iter(server.queries)) in answer["said"][0]


def test_a_process_that_is_killed(server):
    """What it had started goes on, as nobody can stop it; nothing else happens."""
    server.run_s = 1
    probe = Probe(server)
    probe.tell("query")
    wait_until(lambda: server.queries)
    probe.process.kill()
    probe.process.communicate()
    (query,) = server.queries.values()
    wait_until(lambda: query.state == "SUCCEEDED")


# ---- limits ------------------------------------------------------------------------------------------

def test_starts_keep_their_distance(server):
    """Over all clients of the process, attempts that were refused included."""
    server.rules.add(throttling(target=START, skip=3, times=2))
    with Probe(server, starts_per_s=5) as probe:
        assert "error" not in probe.do("many", threads=12)
    assert len(server.start_times) == 12 and len(server.queries) == 12
    assert count(server, START) == 14
    assert server.start_times[-1] - server.start_times[0] > 2, "14 of them, 5 in a second"


def test_reads_keep_their_distance(server):
    times = []
    described = server.GetQueryExecution
    server.GetQueryExecution = lambda asked: (times.append(time.monotonic()), described(asked))[1]
    server.run_s = 1.5
    with Probe(server, reads_per_s=10) as probe:
        assert "error" not in probe.do("many", threads=8)
    assert len(times) / (times[-1] - times[0]) < 15


@pytest.mark.parametrize("ddl", [True, False])
def test_so_many_at_once(server, ddl):
    """As many as are allowed, and no more: the server would refuse one more at once."""
    server.ddl_at_once = server.dml_at_once = 3
    server.run_s = 0.3
    server.back_end.put("(?i)drop table", Answer())
    text = "DROP TABLE IF EXISTS `lake`.`t`" if ddl else "select 1"
    most, original = [], server.check_quota

    def check(query):
        most.append(1 + sum(1 for one in server.queries.values() if one.is_open))
        original(query)

    server.check_quota = check
    with Probe(server, attempts=1, **{"ddl_at_once" if ddl else "queries_at_once": 3}) as probe:
        assert "error" not in probe.do("many", text, threads=9, ddl=ddl)
    assert len(server.queries) == 9 and max(most) == 3


# ---- what it costs -----------------------------------------------------------------------------------

def test_scanned_bytes_and_cost(server, probe):
    server.back_end.put("big", Answer([("n", "bigint")], [["1"]], scanned_bytes=1 << 40))
    answer = probe.query("select n from big")
    assert (answer["scanned"], answer["cost"]) == (1 << 40, 5_000_000)
    server.back_end.put("small", Answer([("n", "bigint")], [["1"]], scanned_bytes=77))
    answer = probe.query("select n from small")
    assert (answer["scanned"], answer["cost"]) == (77, 48), "10 MiB are charged at least"
    answer = probe.run("DROP TABLE IF EXISTS `lake`.`t`", ddl=True)
    assert (answer["scanned"], answer["cost"]) == (0, 0)


def test_a_table_of_a_query_costs_what_the_query_does(server, probe, monkeypatch):
    """Whatever kind of statement the service calls it: some releases say DDL."""
    monkeypatch.setattr("athena.kind_of", lambda _text: "DDL")
    server.back_end.put("(?i)create table", Answer(scanned_bytes=1 << 40))
    answer = probe.run("CREATE TABLE t AS SELECT 1")
    assert (answer["scanned"], answer["cost"]) == (1 << 40, 5_000_000)


def test_a_failed_query_costs_nothing(server, probe):
    def fail(query):
        query.answer = Answer(scanned_bytes=50 * MIB)
        raise QueryFailed("SYNTAX_ERROR: no")
    server.back_end.put("broken", fail)
    answer = probe.query("select broken")
    assert (answer["scanned"], answer["cost"]) == (50 * MIB, 0)


def test_a_cancelled_query_costs_what_it_scanned(server, probe):
    def scan():
        for query in list(server.queries.values()):
            query.answer = Answer(scanned_bytes=MIB << 10)
            return True

    server.run_s = 60
    answer = probe.cancel_when(scan)
    assert (answer["scanned"], answer["cost"]) == (MIB << 10, 4883)
