"""Runs on an SQL engine elsewhere that are killed or stopped, and servers that fail: nothing is lost, and
after the next run nothing is left of those before. The engine is the stand-in for Athena, with a back end
that keeps a catalogue and makes files of which only the rows count."""
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from athena import Answer, Athena, Fate, QueryFailed, S3Store, refusal, throttling
from faults import Rule, slow_down

sys.path.insert(0, str(Path(__file__).parent / "aggregator"))
from conftest import PATIENCE_S
from lake import date_of, now_of  # noqa: E402
from test_dsr_faults import children, is_gone  # noqa: E402

COLUMNS = [("userid", "varchar"), ("shard", "integer"), ("revenue", "bigint"), ("cnt", "bigint"),
           ("partition", "integer")]
ROWS = 3  # of each file
PARTS = (0, 1)
DAY = 0
RUN = ["run", "ltv", "--now", now_of(DAY)]


class Tables:
    """A catalogue over the buckets of an S3 server. A query writes one file of ROWS rows for each of
    PARTS, slowly if it is told to; as Athena does, it refuses a place where something lies."""

    def __init__(self, s3):
        self.s3, self.lock = s3, threading.Lock()
        self.tables = {}  # {name: folder}
        self.pause_s = 0.0  # of a query that writes, before it does
        self.pausing = threading.Event()  # one does

    def run(self, query):
        text = query.text
        for pattern, answer in (
                (r'(?s)CREATE TABLE (\S+)\s+WITH \((.*?)\) AS ', self.make),
                (r"(?s)CREATE EXTERNAL TABLE (?:IF NOT EXISTS )?(\S+).*LOCATION '([^']*)'", self.create),
                (r"DROP TABLE IF EXISTS (\S+)", self.drop),
                (r"SELECT count\(\*\) FROM \S*information_schema.schemata", self.count_schemas),
                (r"SELECT table_type FROM .* table_name = '([^']*)'", self.type_of),
                (r"SHOW CREATE TABLE (\S+)", self.described),
                (r"SHOW TABLES IN \S+ '([^']*)'", self.show),
                (r'(?s)SELECT "\$path", count\(\*\) FROM (\S+)', self.count_files),
                (r"(?s)SELECT count\(DISTINCT", self.count),
                (r"(?s)^SELECT .* LIMIT 0$", self.describe),
                (r"(?s)SELECT userid, shard, .* agg_part", self.describe)):
            found = re.match(pattern, text)
            if found:
                return answer(query, *found.groups())
        raise QueryFailed(f"nobody has thought of: {text}")

    @staticmethod
    def name(text):
        return text.replace("`", "").replace('"', "").rpartition(".")[2]

    def names(self, folder):
        bucket, _, prefix = folder.removeprefix("s3://").partition("/")
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return [f"s3://{bucket}/{item['Key']}" for item in found]

    def enter(self, name, folder):
        with self.lock:
            if name in self.tables:
                raise QueryFailed(f"TABLE_ALREADY_EXISTS: {name}")
            self.tables[name] = folder

    @staticmethod
    def count_schemas(_query):
        return Answer([("_col0", "bigint")], [["1"]])

    def type_of(self, _query, table):
        with self.lock:
            return Answer([("table_type", "varchar")], [["BASE TABLE"]] * (table in self.tables))

    def described(self, _query, table):
        with self.lock:
            folder = self.tables[self.name(table)]
        return Answer([("createtab_stmt", "string")], [[
            f"CREATE EXTERNAL TABLE `{self.name(table)}` (`x` int) LOCATION '{folder}'"]])

    def make(self, query, table, properties):
        folder = re.search(r"external_location = '([^']*)'", properties)[1]
        if self.names(folder):
            raise QueryFailed(f"HIVE_PATH_ALREADY_EXISTS: {folder}")
        pause_s = self.pause_s
        if pause_s:
            self.pausing.set()
        if query.stop.wait(pause_s):
            raise QueryFailed("stopped")
        bucket, _, prefix = folder.removeprefix("s3://").partition("/")
        parts = [f"partition={part}/" for part in PARTS] if "partitioned_by" in properties else [""]
        for part in parts:
            self.s3.put_object(Bucket=bucket, Key=f"{prefix}{part}{query.id}",
                               Body=b"what a query has written")
        self.enter(self.name(table), folder)
        return Answer(updated=ROWS * len(parts))

    def create(self, _query, table, folder):
        self.enter(self.name(table), folder)
        return Answer()

    def drop(self, _query, table):
        with self.lock:
            self.tables.pop(self.name(table), None)
        return Answer()

    def show(self, _query, pattern):
        with self.lock:
            found = [name for name in self.tables if re.fullmatch(pattern.replace("*", ".*"), name)]
        return Answer([("tab_name", "string")], [[name] for name in found])

    def count_files(self, _query, table):
        with self.lock:
            folder = self.tables[self.name(table)]
        return Answer([("$path", "varchar"), ("_col1", "bigint")],
                      [[name, str(ROWS)] for name in self.names(folder)])

    @staticmethod
    def count(_query):
        return Answer([(f"_col{i}", "bigint") for i in range(4)], [["6", "6", "6", "0"]])

    @staticmethod
    def describe(_query):
        return Answer(COLUMNS)

    def cancel(self, _query):
        """make() looks at query.stop."""


class Place:
    """A lake in a bucket, an aggregation over it, and the engine."""

    def __init__(self, world, server, ceph, bucket):
        self.world, self.server, self.s3, self.bucket = world, server, ceph.s3(), bucket
        self.root = f"s3://{bucket}"
        world.environment.update(
            AWS_ENDPOINT_URL_S3=ceph.endpoint, AWS_REGION=ceph.region,
            AWS_ACCESS_KEY_ID=ceph.access_key, AWS_SECRET_ACCESS_KEY=ceph.secret_key)
        for part in PARTS:
            self.put(f"events/day={date_of(DAY)}/partition={part}/a.jsonl", b"{}\n")
        self.engine()
        world.config(json.dumps({"jobs": {
            name: {"plugin": "aggregator", "config": self.aggregation(name, folder)}
            for name, folder in (("ltv", "out"), ("other", "out/other"))}}))

    def aggregation(self, name, folder):
        return {
            "sourceEventsTable": "rawevents", "tables": {"rawevents": f"{self.root}/events"},
            "dailyAggregationsS3Path": f"{self.root}/{folder}/1d",
            "dailyAggregationsTable": f"{name}_1d", "historyStartDay": str(date_of(0)),
            "checkDataForLastDay": False, "importToUserDb": False, "exportToCsv": False,
            "secondaryAggregations": [{
                "aggregationWindowDays": 36500, "targetFolder": f"{self.root}/{folder}/total",
                "targetTable": f"{name}_total"}]}

    def engine(self, **settings):
        settings = {
            "endpoint": self.server.endpoint, "region": self.server.REGION,
            "access_key_id": self.server.ACCESS_KEY, "secret_access_key": self.server.SECRET_KEY,
            "database": "lake", "starts_per_second": 0, "reads_per_second": 0,
            "results": f"{self.root}/results/", "work": f"{self.root}/work/", **settings}
        self.world.config(json.dumps({
            "core": {"http": {"backoff": "10ms", "max_backoff": "100ms"}},
            "sql": {"lake": {"engine": "athena", **{
                name: value for name, value in settings.items() if value is not None}}}}),
            "engine.yaml")

    def put(self, name, data):
        self.s3.put_object(Bucket=self.bucket, Key=name, Body=data)

    def names(self, prefix=""):
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]

    def fresh(self):
        for name in self.names("out/"):
            self.s3.delete_object(Bucket=self.bucket, Key=name)
        self.server.aim(None, None)

    def run(self, status=0):
        result = self.world.run(*RUN)
        assert result.status == status, result.text
        return result

    def start(self):
        return self.world.start(*RUN, start_new_session=True)

    def outputs(self):
        """Each folder of files with their number, and the markers."""
        found = {}
        for name in self.names("out/"):
            folder = name.rpartition("/")[0] if "/day=" in name else name
            found[folder] = found.get(folder, 0) + 1
        return found

    def check_done(self, folders=("out",)):
        """All is there once, and nothing of the sessions is anywhere."""
        day = date_of(DAY)
        wanted = {f"{folder}/{which}/day={day}/partition={part}": 1
                  for folder in folders for which in ("1d", "total") for part in PARTS}
        found = self.outputs()
        assert {name: count for name, count in found.items() if "/day=" in name} == wanted, found
        assert f"out/1d/_SUCCESS_{day}" in found
        self.check_tidy()

    def check_tidy(self):
        assert self.names("work/") == []
        assert [name for name in self.server.back_end.tables if name.startswith("rc_")] == []
        assert [query.text for query in self.server.queries.values() if query.is_open] == []


class Deadly(Athena):
    """Does something to a process when so many statements have been started that match."""

    def __init__(self, *words):
        super().__init__(*words)
        self.aim(None, None)

    def aim(self, at, deed, pattern=""):
        self.at, self.deed, self.pattern, self.started = at, deed, pattern, 0

    def StartQueryExecution(self, asked):
        reply = super().StartQueryExecution(asked)
        self.started += bool(re.search(self.pattern, asked["QueryString"]))
        if self.started == self.at:
            self.deed()
        return reply


@pytest.fixture
def place(world, ceph, bucket):
    s3 = ceph.s3()
    with Deadly(Tables(s3), S3Store(s3)) as server:
        server.starts_per_s = server.reads_per_s = (10000, 10000)
        yield Place(world, server, ceph, bucket)
        server.aim(None, None)
        assert not server.mistakes


def signalled(place, at, number, pattern=""):
    """A run that gets a signal when it has started so many statements: its status and stderr."""
    process, ready, family = None, threading.Event(), []

    def deed():
        ready.wait()
        family.extend([process.pid, *children(process.pid)])
        os.killpg(process.pid, number)

    place.server.aim(at, deed, pattern)
    process = place.start()
    ready.set()
    text = process.communicate(timeout=PATIENCE_S)[1].decode()
    place.server.aim(None, None)
    end = time.monotonic() + PATIENCE_S
    while not all(is_gone(pid) for pid in family):  # a worker dies with its guard, but later
        assert time.monotonic() < end
        time.sleep(0.01)
    return process.returncode, text


def test_killed_at_each_statement(place):
    place.run()
    place.check_done()
    count, killed = place.server.started, 0
    assert count > 20
    for first in range(1, count + 1, 12):
        place.fresh()
        for at in range(first, min(first + 12, count + 1), 4):
            killed += signalled(place, at, signal.SIGKILL)[0] == -signal.SIGKILL
        place.run()
        if place.names("work/"):  # killed so late that there was no table to make any more
            place.fresh()
            place.run()
        place.check_done()
    assert killed > count // 8


def test_stopped_at_each_statement(place):
    """What runs on the server ends with it, and nothing is left at once."""
    place.run()
    for at in range(4, place.server.started, 9):
        place.fresh()
        place.server.run_s = 0.1
        status, text = signalled(place, at, signal.SIGTERM)
        assert status not in (-signal.SIGTERM, -signal.SIGKILL), text
        place.server.run_s = 0
        place.check_tidy()
    place.run()
    place.check_done()


def test_a_query_that_outlives_its_run(place):
    """The server goes on with what a killed run has begun, and would leave a table and files when nobody
    looks any more: the next run ends it first."""
    place.server.back_end.pause_s = 60
    assert signalled(place, 1, signal.SIGKILL, "^CREATE TABLE")[0] == -signal.SIGKILL
    (query,) = place.server.ran("^CREATE TABLE")
    assert place.server.back_end.pausing.wait(PATIENCE_S) and query.is_open
    place.server.back_end.pause_s = 0
    result = place.run()
    assert query.state == "CANCELLED", result.text
    place.check_done()


def test_a_query_that_is_not_told_of(place):
    """What a dead run has left stays until it is known that nothing makes it any more."""
    place.server.back_end.pause_s = 60
    assert signalled(place, 1, signal.SIGKILL, "^CREATE TABLE")[0] == -signal.SIGKILL
    (query,) = place.server.ran("^CREATE TABLE")
    assert place.server.back_end.pausing.wait(PATIENCE_S)
    place.server.back_end.pause_s = 0
    place.server.unprocessed.add(query.id)
    result = place.run()
    assert "Athena does not tell of 1 of its queries (INTERNAL_ERROR: " in result.text
    assert query.is_open
    place.server.unprocessed.clear()
    place.fresh()
    result = place.run()
    assert query.state == "CANCELLED", result.text
    place.check_done()


def test_one_that_may_not_see_queries_does_without(place):
    assert signalled(place, 4, signal.SIGKILL)[0] == -signal.SIGKILL
    place.server.rules.add(refusal(
        "AccessDeniedException", "User: me is not authorized to perform: athena:ListQueryExecutions",
        target="^/ListQueryExecutions$", times=None))
    result = place.run()
    assert "statements of the session 'rc_" in result.text and "ListQueryExecutions" in result.text
    place.check_done()


def test_runs_at_once(place):
    """Both find what a dead one has left, and each other's tables, which they leave alone."""
    assert signalled(place, 1, signal.SIGKILL, "^CREATE TABLE")[0] == -signal.SIGKILL
    place.server.back_end.pause_s = 0.3
    runs = [place.start(), place.world.start("run", "other", *RUN[2:])]
    ends = [(run.communicate(timeout=PATIENCE_S)[1].decode(), run.returncode) for run in runs]
    assert [status for _, status in ends] == [0, 0], ends
    place.check_done(["out", "out/other"])


# ---- servers that fail -------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [
    [throttling(target="^/StartQueryExecution$", every=6, times=None),
     Rule(target="^/GetQueryExecution$", status=503, every=5, times=None)],
    [Rule(status=500, every=4, times=None)],
    [Rule(cut_reply_bytes=0, every=4, times=None)],
    [Rule(cut_reply_bytes=60, reset=True, every=3, times=None)],
    [Rule(target="^/StartQueryExecution$", cut_reply_bytes=0, every=2, times=None),
     Rule(target="^/GetQueryResults$", cut_reply_body_bytes=7, every=2, times=None)],
], ids=["busy", "broken", "cut", "reset", "lost"])
def test_faults_of_the_server_are_borne(place, rules):
    """And no statement runs twice."""
    place.server.rules.add(*rules)
    place.run()
    assert place.server.rules.used() > 4
    place.check_done()
    made = [query.text for query in place.server.ran("^CREATE TABLE")]
    assert len(made) == len(set(made))


@pytest.mark.parametrize("rules", [
    [slow_down(every=8, times=None), Rule(cut_reply_bytes=0, every=4, times=None)],
    [Rule(method="PUT", status=500, every=2, times=None),
     Rule(method="GET", cut_reply_body_bytes=90, every=3, times=None)],
], ids=["lost", "broken"])
def test_faults_of_the_store_are_borne(place, proxy, rules):
    """Between us and the buckets; the server has a way of its own."""
    place.world.environment["AWS_ENDPOINT_URL_S3"] = proxy.endpoint
    proxy.rules.add(*rules)
    place.run()
    assert proxy.rules.used() > 4
    place.check_done()


def fails(place, *words):
    result = place.run(status=1)
    for word in words:
        assert word in result.text
    assert not [name for name in place.outputs() if "_SUCCESS" in name]


def test_a_query_that_does_not_end(place):
    place.engine(query_timeout="1s")
    place.server.back_end.pause_s = 60
    fails(place, "'query_timeout'")
    place.check_tidy()
    place.server.back_end.pause_s = 0
    place.run()
    place.check_done()


def test_a_store_that_stays_away(place, proxy):
    """In the middle of a run; what it leaves is found by the next."""
    place.world.environment["AWS_ENDPOINT_URL_S3"] = proxy.endpoint
    place.put("out/1d/day=x", b"to be left alone")
    proxy.rules.add(Rule(method="PUT", target="out/1d/day", status=403, times=None,
                         body="<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"))
    fails(place, "AccessDenied", "out/1d/day")
    place.check_tidy()
    proxy.rules.clear()
    place.s3.delete_object(Bucket=place.bucket, Key="out/1d/day=x")
    place.run()
    place.check_done()


def test_credentials_that_run_out(place):
    """Nothing can be tidied up without them; the next run does."""
    place.server.rules.add(refusal("ExpiredTokenException", "The security token is expired",
                                   skip=30, times=None))
    assert "ExpiredToken" in place.run(status=1).text
    place.server.rules.clear()
    assert place.names("work/") != []
    place.run()
    place.check_done()


def test_a_work_folder_that_cannot_be_written(place):
    place.engine(work="s3://nobody-has-this-bucket/work/")
    fails(place, "s3://nobody-has-this-bucket/work/")
    place.engine()
    place.run()
    place.check_done()


def test_results_that_have_no_place(place):
    reason = ("Unable to verify/create output bucket results. Please provide another output "
              "location and try again.")
    place.server.fates.append(Fate("", reason=reason, times=None))
    fails(place, "Unable to verify/create output bucket")
    place.server.fates.clear()
    place.run()
    place.check_done()
