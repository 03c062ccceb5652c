"""What packaging, conf.d and the README have for sdrs: the sample with all that it proposes, the
services for docker-compose, the objects for Kubernetes, the quickstart's part, the way of old rules
into the state. Kubernetes' own schema is the judge of the objects."""

import json
import re
import subprocess

import pytest
import yaml

from api_world import Daemon, until
from conftest import BUILD, SOURCE
from sdrs_world import sdrs  # noqa: F401
from test_export import judge, schema  # noqa: F401

SAMPLE = SOURCE / "conf.d" / "sdrs.yaml"
COMPOSE = SOURCE / "packaging" / "compose" / "sdrs.yaml"
KUBERNETES = SOURCE / "packaging" / "kubernetes" / "sdrs"
QUICKSTART = SOURCE / "packaging" / "quickstart"
README = SOURCE / "plugins" / "sdrs" / "README.md"
JOBS = {"retention", "retention-validation", "delete-markers", "delete-marker-cleanup"}

# All of the older service's applicationConfig.xml but for its server's address, with the values that
# it ships.
SEED = {
    "jobManager": {"threadPoolSize": 7, "shutdownSleepMinutes": 5,
                   "monitor": {"initialDelay": 0, "frequency": 30, "timeUnit": "SECONDS"}},
    "scheduler": {
        "threadPoolSize": 7, "shutdownWait": 30, "shutdownTimeUnit": "SECONDS",
        "task": {
            "dmBatchProcessing": {"initialDelay": 0, "frequency": 60, "timeUnit": "MINUTES",
                                  "maxRetry": 5, "dmRegexPattern": ".delete_this_folder"},
            "dmQueueCleanup": {"initialDelay": 0, "frequency": 240, "timeUnit": "MINUTES"}}},
    "sts": {"maxPrefixCount": 1000, "shadowBucketExtension": "scratch-",
            "shadowBucketExtensionPrefix": True, "defaultRuleExlcudePrefixList": "_lock/",
            "jobPoolOnly": True, "jobPoolOnDemand": {"user": 24},
            "defaultProjectId": "global-default", "defaultStorageName": "gs://global",
            "maxLookBackInDays": 365},
    "lock": {"dm": {"id": "dm-batch", "timeout": 60000}},
    "pubsub": {"topic": "${env:SDRS_PUBSUB_TOPIC_NAME}"},
}


# ---- the sample ----------------------------------------------------------------------------------


def test_the_sample_has_its_jobs(world):
    world.config(SAMPLE.read_text())
    assert world.run("check").status == 0
    jobs = {job["name"]: job for job in world.run("list", "--json").final["jobs"]}
    assert jobs.keys() == JOBS | {"purge"}
    assert not jobs["purge"]["schedule"]


def test_all_that_the_sample_proposes_is_right(world):
    text = re.sub(r"(?m)^( +)# (\w+:)", r"\1\2", SAMPLE.read_text())
    text = re.sub(r"(?m)^      #  ", "        ", text.replace("rules: []", "rules:"))
    settings = yaml.safe_load(text)["plugins"]["sdrs"]
    assert settings["auth"] == "plugin" and len(settings["config"]["rules"]) == 3
    assert {"legal_holds", "max_delete_share", "pubsub", "jwt_jwks"} <= settings["config"].keys()
    world.config(text)
    result = world.run("check")
    assert result.status == 0, result.stdout + result.stderr


def test_the_older_configuration_is_one_here(world):
    world.config(json.dumps({"plugins": {"sdrs": {"config": SEED}}}))
    topic = {"SDRS_PUBSUB_TOPIC_NAME": "projects/analytics/topics/retention"}
    result = world.run("check", env=topic)
    assert result.status == 0, result.stdout + result.stderr


# ---- docker-compose ------------------------------------------------------------------------------


@pytest.fixture(name="compose")
def read_compose():
    return yaml.safe_load(COMPOSE.read_text())


def test_the_services_have_what_they_read(world, compose):
    described = json.loads(world.run("describe", "sdrs", "--json").stdout)
    known = {option.get("env") for option in described["options"]}
    known |= {"RUN_CORE_STATE", "GOOGLE_APPLICATION_CREDENTIALS"}
    server, daemon = compose["services"]["sdrs"], compose["services"]["sdrs-daemon"]
    assert server["environment"] == daemon["environment"]
    assert server["environment"].keys() <= known
    for service in (server, daemon):
        targets = {volume.split(":")[1] for volume in service["volumes"]}
        assert "/etc/run-core/conf.d/sdrs.yaml" in targets
        assert service["environment"]["GOOGLE_APPLICATION_CREDENTIALS"] in targets
        assert service["depends_on"].keys() <= compose["services"].keys()
    database = compose["services"]["sdrs-database"]["environment"]
    assert server["environment"]["RUN_CORE_STATE"] == (
        f"postgresql://{database['POSTGRES_USER']}:{database['POSTGRES_PASSWORD']}@sdrs-database/"
        f"{database['POSTGRES_DB']}")


def test_the_server_is_asked_whether_it_is_well(sdrs, compose):
    server = compose["services"]["sdrs"]
    program, plugin, _, address = server["command"]
    assert (program, plugin) == ("serve", "sdrs")
    assert server["ports"] == ["8080:8080"] and address == "0.0.0.0:8080"
    how, *words = server["healthcheck"]["test"]
    assert how == "CMD"
    with sdrs.serve() as service:
        asked = [word.replace("/8080", f"/{service.port}") for word in words]
        assert asked != words
        assert subprocess.run(asked, check=False).returncode == 0
    assert subprocess.run(asked, check=False, stderr=subprocess.DEVNULL).returncode != 0


# ---- Kubernetes ----------------------------------------------------------------------------------


def test_the_shipped_objects_are_what_is_exported(world, schema):  # noqa: F811
    result = world.run("export", "kubernetes", "--as", "daemon", "--config", KUBERNETES / "conf.d",
                       "--image", "registry.example/run-core:0.1.0")
    assert result.status == 0, result.stderr
    assert (KUBERNETES / "daemon.yaml").read_text() == result.stdout
    objects = list(yaml.safe_load_all(result.stdout))
    for one in objects:
        judge(schema, one)
    (container,) = next(one for one in objects
                        if one["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["ports"][0]["containerPort"] == 8080
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert all((KUBERNETES / name).exists() for name in kustomization["resources"])


def test_the_daemon_answers_at_the_paths_of_the_older_service(world):
    tokens = world.root / "tokens"
    tokens.write_text(world.run("token", "probe", "run").stdout)
    tokens.chmod(0o600)
    keys = world.root / "keys.json"
    keys.write_text('{"keys": []}')
    settings = yaml.safe_load((KUBERNETES / "conf.d" / "sdrs.yaml").read_text())
    settings["plugins"]["sdrs"]["config"]["jwt_jwks"] = str(keys)
    del settings["plugins"]["sdrs"]["config"]["pubsub"]
    rest = "\n".join(f"{name}: {json.dumps(settings[name])}" for name in ("plugins", "jobs"))
    daemon = Daemon(world, rest, core=f"  auth: {{tokens_file: {tokens}}}")
    try:
        api = daemon.api()
        until(lambda: api.get("/status").status == 200)
        assert "Database is UP" in api.get("/status").text
        assert api.get("/healthcheck/is-ready").status == 200
        refused = api.get("/retentionrules")
        assert refused.status == 401 and refused.json["requestUuid"]
    finally:
        daemon.stop()


# ---- the quickstart ------------------------------------------------------------------------------


def part_of_the_quickstart():
    text = QUICKSTART.read_text()
    begin = text.index('say "a bucket with data by the hour')
    return text[begin:text.index('\nsay "', text.index('say "where it lies"', begin))]


def test_the_quickstart_moves_and_brings_back_again_and_again(world):
    here = world.root / "quickstart"
    (here / "bin").mkdir(parents=True)
    (here / "bin" / "run-core").symlink_to(BUILD / "run-core")
    (here / "conf.d").mkdir()
    script = f'set -euo pipefail; say() {{ echo "$*"; }}\nhere="{here}"\n' + part_of_the_quickstart()
    batches = set()
    for _ in range(2):
        done = subprocess.run(["bash", "-c", script], cwd=world.root, env=world.environment,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        before, left, now = map(int, re.search(r"^bucket +(\d+) +(\d+) +(\d+)", done.stdout,
                                               re.M).groups())
        # Of three days all hours have passed, or of one of them some; two a month are older.
        assert before == now and 48 < before - left < 120
        batches.add(re.search(r"^Batch (\S+)", done.stdout, re.M).group(1))
    assert len(batches) == 2


# ---- the rules of the older service --------------------------------------------------------------


def test_rules_come_as_the_readme_says(sdrs):
    command = re.search(r"sed '([^']+)' >rules.csv", README.read_text()).group(1)
    names = re.search(r"mysql --batch sdrs -e 'SELECT (.+?) FROM", README.read_text(), re.S).group(1)
    columns = [name.split(" AS ")[-1].strip() for name in names.split(",")]
    root = sdrs.bucket("events")
    line = {"id": "7", "type": "dataset", "project_id": "analytics",
            "data_storage_name": f"file://{root}/clicks", "dataset_name": 'the, clicks',
            "retention_value": "30:day", "version": "4", "is_active": "1", "user": "me@example.com",
            "created_at": "2019-03-10 05:30:00", "updated_at": "NULL"}
    table = "\t".join(columns) + "\n" + "\t".join(line[name] for name in columns) + "\n"
    csv = subprocess.run(["sed", command], input=table, capture_output=True, text=True,
                         check=True).stdout
    (sdrs.world.root / "rules.csv").write_text(csv)
    result = sdrs.run("import-rules", file="rules.csv")
    assert result.status == 0, result.stdout + result.stderr
    with sdrs.serve() as service:
        (version,) = service.get("/retentionrules/7/history").json["versions"]
    assert (version["version"], version["datasetName"]) == (4, "the, clicks")
    assert version["createdAt"] == "2019-03-10T05:30:00Z"


def test_the_readme_names_what_there_is(world):
    described = json.loads(world.run("describe", "sdrs", "--json").stdout)
    text = README.read_text().split("<!-- options -->")[0]
    for action in described["actions"]:
        assert f"| `{action['name']}` | " in text
    for route in described["routes"]:
        method, path = re.escape(route["method"]), re.escape(route["path"])
        assert re.search(rf"`{method} {path}`|`{method}`[^|]*{path}`", text), route
