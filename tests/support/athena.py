#!/usr/bin/python3
"""A stand-in for Amazon Athena: its JSON API, what becomes of a query from QUEUED to its end, its limits and
its ways of failing. The SQL itself is carried out by a back end:

    Scripted          answers that a test puts up, for tests of the API alone
    AthenaOnTrino     (athena_trino.py) a Trino server, which is of the same family

    athena.py --port 0      prints its endpoint; one query, SELECT 1, is known

Every request and every reply is held against Amazon's own description of the API; a request against it
is answered by InvalidRequestException and kept in 'mistakes', a reply against it is an error of ours and
kept there, too. Faults are ordered by rules (faults.py) whose target is the operation's name:

    server.rules.add(target="^/GetQueryExecution$", status=500, times=2)
    server.rules.add(throttling(target="^/StartQueryExecution$", times=3))
    server.fates.append(Fate("SELECT 1", state="FAILED", reason="...", error={...}))
"""
import itertools
import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field

import athena_model as model
import hive_ddl
import sigv4
from faults import Rule
from stand_in import Reply, StandIn, serve_until_stopped

JSON = {"Content-Type": "application/x-amz-json-1.1"}
WORK_GROUP = "primary"
FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")


class ApiError(Exception):
    def __init__(self, kind, message, status=400, **members):
        super().__init__(message)
        self.kind, self.status = kind, status
        self.members = {"Message": message, **members}


class QueryFailed(Exception):
    """What a back end says of a query: why it failed, and Athena's word on whose fault it is."""

    def __init__(self, reason, category=2, error_type=401, retryable=False):
        super().__init__(reason)
        self.reason = reason
        self.error = {"ErrorCategory": category, "ErrorType": error_type, "Retryable": retryable,
                      "ErrorMessage": reason}


def invalid(message, code="INVALID_INPUT"):
    return ApiError("InvalidRequestException", message, AthenaErrorCode=code)


def error_body(kind, members):
    return json.dumps({"__type": kind, **members}).encode()


def refusal(kind, message, status=400, **which):
    """A rule by which requests are refused; 'which' has the fields of faults.Rule."""
    return Rule(status=status, headers={**JSON, "x-amzn-ErrorType": kind},
                body=error_body(kind, {"Message": message}).decode(), **which)


def throttling(**which):
    return refusal("ThrottlingException", "Rate exceeded", **which)


@dataclass
class Fate:
    """What becomes of the queries that match, in place of their being carried out."""
    query: str  # a regular expression
    state: str = "FAILED"
    reason: str = ""
    error: dict | None = None  # AthenaError
    times: int | None = 1
    after_s: float = 0.0  # spent RUNNING


@dataclass
class Answer:
    """What a back end makes of a query. A cell is a text as Athena writes it, or None for NULL."""
    columns: list = field(default_factory=list)  # (name, type) as Athena calls it
    rows: list = field(default_factory=list)
    scanned_bytes: int = 0
    updated: int | None = None


class Scripted:
    """Answers by regular expressions, the last that was put up first. An answer may be a function of
    the query, which may raise QueryFailed."""

    def __init__(self):
        self.answers = []
        self.seen = []
        self.put(r"(?is)^\s*(create|drop|insert|alter|msck)\b", Answer())
        self.put(r"(?i)^\s*select\s+1\s*$", Answer([("_col0", "integer")], [["1"]]))

    def put(self, pattern, answer):
        self.answers.insert(0, (pattern, answer))

    def run(self, query):
        self.seen.append(query.text)
        for pattern, answer in self.answers:
            if re.search(pattern, query.text):
                return answer(query) if callable(answer) else answer
        raise QueryFailed(f"line 1:1: mismatched input '{query.text[:20]}'", error_type=1)

    def cancel(self, query):
        pass


class Bucket:
    """Rate of calls as Amazon counts them: so many a second, and some saved up."""

    def __init__(self, per_s, burst):
        self.per_s, self.burst = per_s, burst
        self.tokens, self.at = float(burst), time.monotonic()
        self.lock = threading.Lock()

    def take(self):
        with self.lock:
            now = time.monotonic()
            self.tokens = min(self.burst, self.tokens + (now - self.at) * self.per_s)
            self.at = now
            if self.tokens < 1:
                return False
            self.tokens -= 1
            return True


class Query:
    def __init__(self, request, output):
        self.id = str(uuid.uuid4())
        self.text = request["QueryString"]
        self.database = request.get("QueryExecutionContext", {}).get("Database", "default")
        self.catalog = request.get("QueryExecutionContext", {}).get("Catalog", "AwsDataCatalog")
        self.context = request.get("QueryExecutionContext", {})
        self.work_group = request.get("WorkGroup", WORK_GROUP)
        self.output = output
        self.request = request
        self.kind = kind_of(self.text)
        self.state, self.reason, self.error = "QUEUED", None, None
        self.submitted, self.started, self.completed = time.time(), None, None
        self.answer = Answer()
        self.stop = threading.Event()
        self.ended = threading.Event()

    @property
    def is_open(self):
        return self.state not in FINAL

    @property
    def result_uri(self):
        return f"{self.output.rstrip('/')}/{self.id}.{'csv' if self.has_header else 'txt'}"

    @property
    def has_header(self):
        """Rows of DDL and of utilities come without the names of their columns."""
        return self.kind == "DML"

    def described(self):
        status = {"State": self.state, "SubmissionDateTime": self.submitted}
        if self.reason:
            status["StateChangeReason"] = self.reason
        if self.error:
            status["AthenaError"] = self.error
        if self.completed:
            status["CompletionDateTime"] = self.completed
        end = self.completed or time.time()
        waited = (self.started or end) - self.submitted
        return {
            "QueryExecutionId": self.id, "Query": self.text, "StatementType": self.kind,
            "ResultConfiguration": {**self.request.get("ResultConfiguration", {}),
                                    "OutputLocation": self.result_uri},
            "QueryExecutionContext": self.context, "Status": status,
            "Statistics": {
                "EngineExecutionTimeInMillis": int((end - self.submitted - waited) * 1000),
                "DataScannedInBytes": self.answer.scanned_bytes,
                "TotalExecutionTimeInMillis": int((end - self.submitted) * 1000),
                "QueryQueueTimeInMillis": int(waited * 1000)},
            "WorkGroup": self.work_group,
            "EngineVersion": {"SelectedEngineVersion": "AUTO",
                              "EffectiveEngineVersion": "Athena engine version 3"}}


def kind_of(text):
    word = re.match(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*([A-Za-z]+)", text, re.S)
    word = word.group(1).upper() if word else ""
    if word in ("SHOW", "DESCRIBE", "DESC", "EXPLAIN"):
        return "UTILITY"
    return "DDL" if hive_ddl.is_ddl(text) else "DML"


class Athena(StandIn):
    ACCESS_KEY, SECRET_KEY = "AKIAATHENATEST000001", "athena/test+secret=key"
    REGION = "eu-west-1"

    settings = ("starts_per_s", "reads_per_s", "dml_at_once", "ddl_at_once", "queue_s", "run_s",
                "requeues", "enforced_output")

    def __init__(self, back_end=None, store=None, **options):
        """'store' puts results where they belong: put(uri, bytes). None: they are nowhere."""
        super().__init__(**options)
        self.back_end = back_end or Scripted()
        self.store = store
        self.keys = {self.ACCESS_KEY: (self.SECRET_KEY, None)}
        self.fates = []
        self.queries, self.tokens, self.pages = {}, {}, {}
        self.unprocessed = set()  # queries that it does not tell of where it is asked for several
        self.lock = threading.RLock()
        self.refused_starts = 0
        self.start_times = []
        # 5 and 20 starts, 100 and 200 reads: as documented. Raised by tests of other things.
        self.starts_per_s, self.reads_per_s = (5, 20), (100, 200)
        self.dml_at_once, self.ddl_at_once = 25, 20
        self.queue_s, self.run_s = 0.0, 0.0
        self.requeues = 0  # times that a RUNNING query goes back to QUEUED
        self.enforced_output = None  # of the work group, in place of what clients say
        self.buckets = {}

    # What a client is configured with.
    url = property(lambda self: self.endpoint)
    region = property(lambda self: self.REGION)
    access_key = property(lambda self: self.ACCESS_KEY)
    secret_key = property(lambda self: self.SECRET_KEY)

    # ---- requests ----------------------------------------------------------------------------------

    def fault_target(self, target, headers):
        return "/" + headers.get("x-amz-target", "").rpartition(".")[2]

    def handle(self, request):
        request.content = request.body()
        operation = ""
        try:
            prefix, _, operation = request.headers.get("x-amz-target", "").rpartition(".")
            if prefix != model.TARGET_PREFIX or operation not in model.OPERATIONS:
                raise ApiError("UnknownOperationException", f"no operation '{operation}'")
            self.check_signature(request)
            asked = self.parse(request, operation)
            answer = getattr(self, operation, None)
            if not answer:
                raise ApiError("UnknownOperationException", f"'{operation}' is not stood in for")
            reply = answer(asked)
        except ApiError as error:
            if error.kind == "InvalidRequestException" and error.members.get("mistake"):
                self.mistakes.append(f"{operation}: {error}")
            error.members.pop("mistake", None)
            self.judge(error.kind, error.members)
            return Reply(error.status, {**JSON, "x-amzn-ErrorType": error.kind},
                         error_body(error.kind, error.members))
        shape = model.OPERATIONS[operation].get("output", {}).get("shape")
        if shape:
            self.judge(shape, reply)
        return Reply(200, {**JSON, "x-amzn-RequestId": str(uuid.uuid4())},
                     json.dumps(reply).encode())

    def check_signature(self, request):
        try:
            sigv4.check(request, self.keys, "athena", self.REGION)
        except sigv4.BadSignature as error:
            kind = {"InvalidClientTokenId": "UnrecognizedClientException",
                    "SignatureDoesNotMatch": "InvalidSignatureException"}.get(
                        error.code, f"{error.code}Exception")
            raise ApiError(kind, error.message) from error

    @staticmethod
    def parse(request, operation):
        if request.method != "POST" or request.path != "/" \
                or request.headers.get("content-type") != "application/x-amz-json-1.1":
            raise invalid("POST / of application/x-amz-json-1.1 is wanted")
        try:
            asked = json.loads(request.content)
        except ValueError as error:
            raise ApiError("SerializationException", f"no JSON: {error}") from error
        wrong = model.mistakes(model.OPERATIONS[operation]["input"]["shape"], asked)
        if wrong:
            failure = invalid(f"{len(wrong)} validation errors detected: {'; '.join(wrong[:5])}")
            failure.members["mistake"] = True
            raise failure
        return asked

    def judge(self, shape, reply):
        if shape in model.SHAPES:
            self.mistakes += [f"our own reply: {wrong}" for wrong in model.mistakes(shape, reply)]

    def limit(self, name):
        """Both are settings, so that they may change while it serves."""
        rate = tuple(getattr(self, name))
        with self.lock:
            if self.buckets.get(name, (None,))[0] != rate:
                self.buckets[name] = (rate, Bucket(*rate))
            bucket = self.buckets[name][1]
        if not bucket.take():
            raise ApiError("ThrottlingException", "Rate exceeded")

    def find(self, asked):
        query = self.queries.get(asked["QueryExecutionId"])
        if not query:
            raise invalid(f"QueryExecution {asked['QueryExecutionId']} was not found")
        return query

    # ---- operations, by their names ----------------------------------------------------------------

    def StartQueryExecution(self, asked):
        self.start_times.append(time.monotonic())
        try:
            self.limit("starts_per_s")
        except ApiError:
            self.refused_starts += 1
            raise
        token = asked.get("ClientRequestToken")
        if not token:
            raise invalid("ClientRequestToken is missing: SDKs make one")
        output = self.enforced_output \
            or asked.get("ResultConfiguration", {}).get("OutputLocation")
        if not output or not output.startswith("s3://"):
            raise invalid("No output location provided. An output location is required either "
                          "through the Workgroup result configuration setting or as an API input.")
        with self.lock:
            if token in self.tokens:
                query = self.tokens[token]
                if query.request != asked:
                    raise invalid("Idempotent parameters do not match")
                return {"QueryExecutionId": query.id}
            query = Query(asked, output)
            self.check_quota(query)
            self.queries[query.id] = self.tokens[token] = query
        threading.Thread(target=self.carry_out, args=(query,), daemon=True).start()
        return {"QueryExecutionId": query.id}

    def check_quota(self, query):
        limit = self.ddl_at_once if query.kind == "DDL" else self.dml_at_once
        running = sum(1 for one in self.queries.values()
                      if one.is_open and (one.kind == "DDL") == (query.kind == "DDL"))
        if running >= limit:
            raise ApiError("TooManyRequestsException",
                           "You have exceeded the limit for the number of queries you can run "
                           "concurrently. Please reduce the number of concurrent queries "
                           "submitted by this account.", Reason="CONCURRENT_QUERY_LIMIT_EXCEEDED")

    def GetQueryExecution(self, asked):
        self.limit("reads_per_s")
        return {"QueryExecution": self.find(asked).described()}

    def BatchGetQueryExecution(self, asked):
        self.limit("reads_per_s")
        ids = asked["QueryExecutionIds"]
        told = [one for one in ids if one in self.queries and one not in self.unprocessed]
        return {"QueryExecutions": [self.queries[one].described() for one in told],
                "UnprocessedQueryExecutionIds": [
                    {"QueryExecutionId": one, "ErrorCode": "INTERNAL_ERROR",
                     "ErrorMessage": "An error occurred"} for one in ids if one not in told]}

    def ListQueryExecutions(self, _asked):
        ids = list(self.queries)[:-51:-1]
        return {"QueryExecutionIds": ids} if ids else {}

    def StopQueryExecution(self, asked):
        query = self.find(asked)
        if query.is_open:
            query.stop.set()
            self.back_end.cancel(query)
        return {}

    def GetWorkGroup(self, asked):
        output = {"OutputLocation": self.enforced_output} if self.enforced_output else {}
        return {"WorkGroup": {"Name": asked["WorkGroup"], "State": "ENABLED", "Configuration": {
            "ResultConfiguration": output,
            "EnforceWorkGroupConfiguration": bool(self.enforced_output)}}}

    def GetQueryResults(self, asked):
        self.limit("reads_per_s")
        query = self.find(asked)
        if query.state != "SUCCEEDED":
            raise invalid("Query has not yet finished. Current state: " + query.state
                          if query.is_open else "Query did not finish successfully. Final query "
                          f"state: {query.state}", "QUERY_NOT_FINISHED")
        rows = [[name for name, _ in query.answer.columns]] if query.has_header \
            and query.answer.columns else []
        rows = itertools.chain(rows, query.answer.rows)
        start = self.pages.get(asked.get("NextToken"), 0)
        if "NextToken" in asked and asked["NextToken"] not in self.pages:
            raise invalid("Invalid NextToken")
        size = asked.get("MaxResults", 1000)
        page = list(itertools.islice(rows, start, start + size + 1))
        reply = {"ResultSet": {
            "Rows": [{"Data": [{} if cell is None else {"VarCharValue": cell} for cell in row]}
                     for row in page[:size]],
            "ResultSetMetadata": {"ColumnInfo": [column_info(*column)
                                                 for column in query.answer.columns]}},
            "UpdateCount": query.answer.updated or 0}
        if len(page) > size:
            token = uuid.uuid4().hex
            self.pages[token] = start + size
            reply["NextToken"] = token
        return reply

    # ---- what becomes of a query -------------------------------------------------------------------

    def carry_out(self, query):
        try:
            for _ in range(self.requeues + 1):
                query.state = "QUEUED"
                query.stop.wait(self.queue_s)
                query.state, query.started = "RUNNING", query.started or time.time()
                query.stop.wait(self.run_s)
            if not query.stop.is_set():
                self.work(query)
            self.end(query, "CANCELLED" if query.stop.is_set() else "SUCCEEDED",
                     "Query cancelled by user" if query.stop.is_set() else None)
        except QueryFailed as failure:
            if query.stop.is_set():
                self.end(query, "CANCELLED", "Query cancelled by user")
            else:
                self.end(query, "FAILED", failure.reason, failure.error)
        except Exception as error:  # whatever it is, somebody waits for the end of the query
            self.mistakes.append(f"our own: {type(error).__name__}: {error}")
            self.end(query, "FAILED", str(error))
            raise

    def end(self, query, state, reason=None, error=None):
        query.reason, query.error, query.completed = reason, error, time.time()
        query.state = state
        query.ended.set()

    def work(self, query):
        fate = self.fate_of(query)
        if fate:
            query.stop.wait(fate.after_s)
            if fate.state == "CANCELLED":
                query.stop.set()
                return
            failure = QueryFailed(fate.reason)
            failure.error = fate.error
            raise failure
        query.answer = self.back_end.run(query)
        if self.store and query.answer.columns:
            self.store.put(query.result_uri, result_file(query))
            self.store.put(query.result_uri + ".metadata", b"\n")

    def fate_of(self, query):
        with self.lock:
            for fate in self.fates:
                if fate.times != 0 and re.search(fate.query, query.text):
                    if fate.times:
                        fate.times -= 1
                    return fate
        return None

    def ran(self, pattern=""):
        """The queries that match, in the order of their coming."""
        return [query for query in list(self.queries.values()) if re.search(pattern, query.text)]


def column_info(name, kind):
    """As Athena describes a column of a result."""
    base, _, sizes = kind.partition("(")
    info = {"CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": name, "Label": name,
            "Type": base, "Precision": 0, "Scale": 0, "Nullable": "UNKNOWN",
            "CaseSensitive": base in ("varchar", "char", "string")}
    if base in ("decimal", "varchar", "char") and sizes:
        numbers = [int(number) for number in sizes.rstrip(")").split(",")]
        info["Precision"], info["Scale"] = numbers[0], numbers[1] if numbers[1:] else 0
    elif base == "varchar":
        info["Precision"] = 2147483647
    return info


def result_file(query):
    """The object of the results: CSV with every value quoted and NULL empty; of DDL, plain lines."""
    if not query.has_header:
        return "".join("\t".join(cell or "" for cell in row) + "\n"
                       for row in query.answer.rows).encode()
    lines = [[name for name, _ in query.answer.columns], *query.answer.rows]
    return "".join(",".join("" if cell is None else '"' + cell.replace('"', '""') + '"'
                            for cell in line) + "\n" for line in lines).encode()


class FolderStore:
    """Buckets as folders, for results that nobody else looks at."""

    def __init__(self, root):
        self.root = root

    def put(self, uri, data):
        path = self.root / uri.removeprefix("s3://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class S3Store:
    """The buckets of an S3 server, by a client of boto3."""

    def __init__(self, client):
        self.client = client

    def put(self, uri, data):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def is_empty(self, uri):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)["KeyCount"] == 0


if __name__ == "__main__":
    serve_until_stopped(lambda _arguments: Athena())
