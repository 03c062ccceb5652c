"""The sample conf.d/sdrs.yaml in the daemon: its routes, its schedules, runs that requests begin, and
a week under a clock that is moved, with Google's services behind it."""
import datetime
import json

import pytest
from api_world import Daemon as PortDaemon
from api_world import until
from conftest import SOURCE
from daemon import Clock, Daemon
from sdrs_replicas import Tap
from sdrs_tokens import AUDIENCE, ISSUER, Signer, jwks
from sdrs_world import PROJECT, UTC, SdrsWorld, moment
from test_api import TOKENS, secret_of, token_line

SAMPLE = (SOURCE / "conf.d" / "sdrs.yaml").read_text()
RULES, EXECUTION, MARKER = "/retentionrules", "/events/execution", ".delete_this_folder"


def sample(options, section=""):
    """The sample with more options of the plugin, and with more in the plugin's section."""
    assert SAMPLE.count("      rules: []\n") == SAMPLE.count("    serve: true ") == 1
    text = "".join(f"      {name}: {json.dumps(value)}\n" for name, value in options.items())
    text = SAMPLE.replace("      rules: []\n", text if "rules" in options else
                          "      rules: []\n" + text)
    return text.replace("    serve: true ", f"{section}    serve: true ")


# ---- routes --------------------------------------------------------------------------------------


@pytest.fixture
def lake(world):
    made = SdrsWorld(world)
    made.bucket("events")
    made.hours("events", "clicks", "2019-03-01T00", 3)
    return made


def a_rule(lake, name):
    return {"type": "DATASET", "projectId": PROJECT, "retentionPeriod": 30,
            "dataStorageName": lake.name("events", name)}


@pytest.mark.parametrize("mount", [None, "/sdrs/v1"])
def test_routes_with_the_daemons_tokens(lake, mount):
    tokens = lake.world.root / "tokens"
    tokens.write_text("".join(token_line(name, scope) for name, scope in TOKENS.items()))
    tokens.chmod(0o600)
    daemon = PortDaemon(lake.world, sample(lake.options, f"    mount: {mount}\n" if mount else ""),
                        core=f"  auth: {{tokens_file: {tokens}}}")
    try:
        base = mount or "/plugins/sdrs"
        api = daemon.api(secret_of("runner"))
        until(lambda: api.get(base + "/status").status == 200)
        assert daemon.api().get(base + RULES).status == 401
        assert api.post(base + RULES, a_rule(lake, "clicks")).status == 200
        reader = daemon.api(secret_of("reader"))
        assert len(reader.get(base + RULES).json["rules"]) == 1
        assert reader.post(base + EXECUTION, {"type": "POLICY"}).status == 403
        reply = api.post(base + EXECUTION, {"type": "POLICY"})
        assert reply.status == 200, reply.text
        shown = until(lambda: [found for found in [
            api.get(f"{base}{EXECUTION}/{reply.json['executionId']}").json]
            if found["status"] not in ("received", "running")])
        assert shown[0]["status"] == "success" and shown[0]["objects"] == 3
        assert api.wait_for(reply.json["runId"])["status"] == "succeeded"
        if mount:
            assert api.get("/plugins/sdrs/status").status == 404
    finally:
        daemon.stop()


def test_routes_with_tokens_of_the_plugin(lake, tmp_path_factory):
    signer = Signer(tmp_path_factory.mktemp("keys"), "a")
    keys = lake.world.root / "keys.json"
    keys.write_text(jwks(signer))
    lake.configure(jwt_jwks=str(keys), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    daemon = PortDaemon(lake.world, sample(lake.options, "    auth: plugin\n    mount: /sdrs\n"))
    try:
        api = daemon.api()
        until(lambda: api.get("/sdrs/status").status == 200)
        assert api.get("/sdrs" + RULES).status == 401
        api.token = signer.token()
        assert api.post("/sdrs" + RULES, a_rule(lake, "clicks")).status == 200
        rule, = api.get("/sdrs" + RULES).json["rules"]
        history = api.get(f"/sdrs{RULES}/{rule['ruleId']}/history").json["versions"]
        assert [version["user"] for version in history] == ["ada@example.org"]
        assert "eyJ" not in daemon.said
    finally:
        daemon.stop()


# ---- jobs ----------------------------------------------------------------------------------------


def test_schedules_become_jobs(lake):
    lake.world.config(sample(lake.options))
    jobs = {job["name"]: job["schedule"]
            for job in lake.world.run("list", "--json").final["jobs"]}
    assert jobs == {"retention": "0 1 * * *", "retention-validation": "*/15 * * * *",
                    "delete-markers": "0 * * * *", "delete-marker-cleanup": "30 */4 * * *",
                    "purge": None}
    for name in jobs:
        result = lake.world.run("next", "--job", name)
        assert result.status == (2 if name == "purge" else 0), result.text
    coming = lake.world.run("next").stdout
    assert all(name in coming for name in jobs), coming
    assert lake.world.run("run", "retention", "--dry-run").status == 0


# ---- with Google's services ----------------------------------------------------------------------

TOPIC = "projects/analytics/topics/deletions"


class Cloud:
    """The daemon with the sample, over the bucket 'events' of the stand-in."""

    def __init__(self, world, gcs, environment=None, **options):
        self.world, self.gcs = world, gcs
        key = world.root / "key.json"
        # One that bears no time: the daemon's may be another.
        key.write_text(json.dumps(gcs.tokens.authorized_user()))
        for name in ("events", "eventsshadow"):
            gcs.store.make_bucket(name, PROJECT)
        gcs.pubsub.make_topic(TOPIC)
        self.options = {
            "sts_endpoint": gcs.endpoint, "pubsub_endpoint": gcs.endpoint, "pubsub.topic": TOPIC,
            "rules": [{"type": "DATASET", "projectId": PROJECT, "retentionPeriod": 30,
                       "dataStorageName": "gs://events/clicks"}], **options}
        self.configure()
        self.daemon = Daemon(world, {"GOOGLE_APPLICATION_CREDENTIALS": str(key),
                                     **(environment or {})})

    def configure(self, **options):
        self.options.update(options)
        stores = {name: {"endpoint": self.gcs.endpoint}
                  for name in ("default", "events", "eventsshadow")}
        self.world.config(f"storage: {json.dumps(stores)}\n" + sample(self.options))

    def put(self, *keys):
        for key in keys:
            self.gcs.store.put("events", key, key.encode(), {})

    def names(self, bucket):
        found = self.gcs.store.bucket(bucket)
        return sorted(name for name in found.names
                      if found.live(name) and not name.startswith(".run-core/"))

    def ask(self, method, path, body=None):
        """The JSON of a reply."""
        status, text = self.daemon.ask(method, f"/plugins/sdrs{path}", body)
        assert status == 200, (status, text, self.daemon.text()[-3000:])
        return json.loads(text)

    def ready(self):
        until(lambda: self.daemon.ask("GET", "/plugins/sdrs/status")[0] == 200)

    def close(self):
        if self.daemon.process and self.daemon.process.poll() is None:
            assert self.daemon.stop() == 0, self.daemon.text()[-3000:]


@pytest.fixture
def make_cloud(world, gcs):
    made = []

    def make(**options):
        made.append(Cloud(world, gcs, **options))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()


def test_an_execution_survives_a_reload(make_cloud, gcs):
    cloud = make_cloud(mover="direct", width=1)
    keys = [f"clicks/2019/03/01/{hour:02}/log" for hour in range(8)]
    cloud.put(*keys)
    cloud.daemon.start()
    cloud.ready()
    tap = Tap(gcs)
    tap.close(skip=3)
    reply = cloud.ask("POST", EXECUTION, {"type": "POLICY"})
    tap.wait(cloud.daemon.process)
    cloud.configure(keep_days=99)
    assert cloud.world.run("reload").status == 0
    cloud.ready()
    assert cloud.ask("GET", f"{EXECUTION}/{reply['executionId']}")["status"] == "running"
    tap.open()
    shown = until(lambda: [found for found in [cloud.ask(
        "GET", f"{EXECUTION}/{reply['executionId']}")] if found["status"] != "running"])
    assert (shown[0]["status"], shown[0]["objects"]) == ("success", 8)
    run, = until(lambda: [row for row in cloud.daemon.runs(id=reply["runId"])
                          if row["status"] != "started"])
    assert (run["status"], run["action"]) == ("succeeded", "execute")
    assert cloud.names("events") == [] and cloud.names("eventsshadow") == keys


# ---- a week --------------------------------------------------------------------------------------

START = "2026-03-02T00:10:00Z"
DAYS = [moment(START).replace(hour=0, minute=0) + datetime.timedelta(i) for i in range(7)]


class Week(Cloud):
    """Under a clock that is the daemon's and Google's."""

    def __init__(self, world, gcs, **options):
        self.clock = Clock(world.root / "clock", round(moment(START).timestamp() * 1000))
        gcs.clock.set(START)
        super().__init__(world, gcs, {"RUN_CORE_CLOCK": f"@{self.clock.path}"}, **options)

    def go_to(self, when):
        self.gcs.clock.set(when)
        self.clock.set(round(when.timestamp() * 1000))
        until(self.is_settled)
        self.gcs.transfers.settle()

    def is_settled(self):
        now_ms = self.clock.now()
        status, body = self.daemon.ask("GET", "/api/v1/jobs?limit=100")
        coming = [job["next"] for job in json.loads(body)["jobs"] if job["next"]]
        return (status == 200
                and all(moment(text).timestamp() * 1000 > now_ms for text in coming)
                and not [row for row in self.daemon.runs() if row["status"] in ("due", "started")])


def hour_of(key):
    year, month, day, hour = map(int, key.split("/")[1:5])
    return datetime.datetime(year, month, day, hour, tzinfo=UTC)


def at(day, hour, minute=0):
    """When the clock has just passed that time."""
    return day.replace(hour=hour, minute=minute, second=5)


def test_a_week(world, gcs):
    cloud = Week(world, gcs)
    first = DAYS[0] - datetime.timedelta(32)
    keys = [(first + datetime.timedelta(hours=6 * i)).strftime("clicks/%Y/%m/%d/%H/log")
            for i in range(4 * 12)]
    cloud.put(*keys)
    gone, executions = set(), {}
    cloud.daemon.start()
    try:
        cloud.ready()
        for number, day in enumerate(DAYS):
            cloud.go_to(at(day, 1))  # retention, and the service has moved what it was asked to
            limit = day.replace(hour=1) - datetime.timedelta(30)
            left = [key for key in keys if key not in gone
                    and hour_of(key) + datetime.timedelta(hours=1) > limit]
            assert cloud.names("events") == left, day
            if number % 3 == 0:  # somebody deletes an hour of the newest
                key = left[-1]
                gone.add(key)
                target = f"gs://events/{key.rpartition('/')[0]}/{MARKER}"
                executions[target] = cloud.ask("POST", EXECUTION, {
                    "type": "USER", "projectId": PROJECT, "target": target})["executionId"]
            cloud.go_to(at(day, 1, 15))  # it is found out
            cloud.go_to(at(day, 2))  # markers
            cloud.go_to(at(day, 2, 15))
            assert cloud.names("events") == [key for key in left if key not in gone]
            for execution in executions.values():
                shown = cloud.ask("GET", f"{EXECUTION}/{execution}")
                assert shown["status"] == "success", shown
        assert sorted(cloud.names("events") + cloud.names("eventsshadow")) == keys
        assert len(executions) == 3 and len(cloud.names("eventsshadow")) > 30
        rows = cloud.daemon.runs()
        assert [row["status"] for row in rows if row["job"] == "retention"] == ["succeeded"] * 7
        assert {row["status"] for row in rows} <= {"succeeded", "skipped"}, rows
        told = [(json.loads(message["data"])) for message in gcs.pubsub.published(TOPIC)]
        facts = [("deletedAt" in event, json.dumps(event["directory"])) for event in told]
        assert len(facts) == len(set(facts))
        assert {where for deleted, where in facts if deleted} == {
            where for deleted, where in facts if not deleted}
    finally:
        cloud.close()
