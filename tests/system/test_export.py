"""run-core export: what is written is judged by Kubernetes' own schema and by systemd itself, and
its times by those of run-core next."""

import datetime
import json
import os
import random
import re
import subprocess

import jsonschema
import pytest
import yaml

from conftest import BUILD, SOURCE

SCHEMA = SOURCE / "tests" / "data" / "kubernetes" / "schema.json"
DEFINITIONS = {
    "CronJob": "io.k8s.api.batch.v1.CronJob",
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "PersistentVolumeClaim": "io.k8s.api.core.v1.PersistentVolumeClaim",
    "Service": "io.k8s.api.core.v1.Service",
    "ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
}
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
START = int(datetime.datetime(2026, 1, 5, 9, 41, 7, tzinfo=datetime.timezone.utc).timestamp())

RICH = """
core:
  state: "${env:STATE_URL}"
  auth: {tokens_file: tokens}
plugins:
  aggregator:
    config: {password: "${file:/run/secrets/password}", other: "${file:secrets/password}"}
jobs:
  nightly:
    plugin: aggregator
    schedule: "0 2 * * mon-fri"
    time_zone: Europe/Prague
    timeout: 2h
    kill_after: 20s
    retry: {attempts: 3}
    limits: {memory: 1GiB}
    config: {a: "${env:WITH_DEFAULT:-x}", b: "$${env:NONE}", c: "a ${env:INNER} b"}
    config_file: more/values.json
  hourly: {plugin: aggregator, schedule: "H * * * *", concurrency: allow, misfire: skip}
  on-demand: {plugin: aggregator}
"""


# ---- judges ---------------------------------------------------------------------------------------


def strict(node):
    """Refuses what a definition does not name, as the API server does."""
    if isinstance(node, dict):
        if "properties" in node and "additionalProperties" not in node:
            node["additionalProperties"] = False
        for value in node.values():
            strict(value)
    elif isinstance(node, list):
        for value in node:
            strict(value)


@pytest.fixture(scope="module")
def schema():
    loaded = json.loads(SCHEMA.read_text())
    strict(loaded["$defs"])
    return loaded


def judge(schema, document):
    """Raises where Kubernetes would refuse the object."""
    wanted = {"$ref": f"#/$defs/{DEFINITIONS[document['kind']]}", "$defs": schema["$defs"]}
    jsonschema.Draft7Validator(wanted).validate(document)


def export(world, *words, **options):
    """Exports, and returns the objects by kind and name."""
    result = world.run("export", "kubernetes", *words, **options)
    assert result.status == 0, result.stderr
    return {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(result.stdout)}


def only_cron_job(documents):
    (found,) = [d for (kind, _), d in documents.items() if kind == "CronJob"]
    return found


def pod_of(document):
    spec = document["spec"]
    return (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]["spec"]


def job_config(**keys):
    return yaml.safe_dump({"jobs": {"job": {"plugin": "aggregator", **keys}}})


def next_times(world, rows, count):
    """What run-core next says to rows of (expression, zone)."""
    text = "".join(f"{expression}\t{zone}\t{START}\t{count}\n" for expression, zone in rows)
    environment = {k: v for k, v in world.environment.items() if k != "RUN_CORE_CONFIG"}
    done = subprocess.run([str(BUILD / "run-core"), "next", "--batch"], input=text, text=True,
                          capture_output=True, check=True, env=environment)
    return [[int(time) for time in line.split(",")] for line in done.stdout.splitlines()]


# ---- Kubernetes -----------------------------------------------------------------------------------


def test_every_object_is_one_of_kubernetes(world, schema):
    world.config(RICH)
    (world.root / "conf.d" / "more").mkdir()
    (world.root / "conf.d" / "more" / "values.json").write_text('{"k": "${env:IN_FILE}"}\n')
    for words in (["--namespace", "nights"], [], ["--as", "daemon"], ["nightly"]):
        for document in export(world, *words).values():
            judge(schema, document)


def test_the_samples_are_exported(world, schema):
    environment = {"RUN_CORE_CONFIG": str(SOURCE / "conf.d")}
    for words in ([], ["--as", "daemon"]):
        documents = export(world, *words, env=environment)
        for document in documents.values():
            judge(schema, document)


@pytest.mark.parametrize("spoil", [
    lambda d: d["spec"].update(sechdule="0 0 * * *"),
    lambda d: d["spec"].pop("schedule"),
    lambda d: d["spec"].update(startingDeadlineSeconds="soon"),
    lambda d: pod_of(d)["containers"][0].update(livenessprobe={}),
    lambda d: pod_of(d)["containers"][0]["ports"][0].update(containerPort="web"),
    lambda d: d.update(apiVersion="batch/v1beta1"),
])
def test_the_judge_refuses_what_is_wrong(world, schema, spoil):
    world.config(job_config(schedule="@daily"))
    document = only_cron_job(export(world))
    judge(schema, document)
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        judge(schema, document)


def test_a_job_becomes_a_cron_job(world):
    world.config(RICH)
    (world.root / "conf.d" / "more").mkdir()
    (world.root / "conf.d" / "more" / "values.json").write_text("{}\n")
    documents = export(world, "--image", "registry.example/run-core:7", "--namespace", "nights")
    assert {name for kind, name in documents if kind == "CronJob"} == {"nightly", "hourly"}
    assert {d["metadata"]["namespace"] for d in documents.values()} == {"nights"}

    spec = documents["CronJob", "nightly"]["spec"]
    assert spec["schedule"] == "0 2 * * 1-5"
    assert spec["timeZone"] == "Europe/Prague"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 86400
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 2
    pod = pod_of(documents["CronJob", "nightly"])
    assert pod["restartPolicy"] == "Never"
    assert pod["activeDeadlineSeconds"] > 7200 + 20
    assert 20 < pod["terminationGracePeriodSeconds"] < 40
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/run-core:7"
    assert container["args"][:2] == ["run", "nightly"]
    assert container["resources"] == {"limits": {"memory": "1024Mi"},
                                      "requests": {"memory": "1024Mi"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}}
    # As the deployments of the programs that run-core stands in for.
    assert container["ports"] == [{"name": "web", "containerPort": 8081, "protocol": "TCP"}]
    for probe, path in (("livenessProbe", "is-alive"), ("readinessProbe", "is-ready")):
        assert container[probe] == {
            "httpGet": {"path": f"/healthcheck/{path}", "port": "web"},
            "initialDelaySeconds": 30, "periodSeconds": 30}
    assert container["args"][-2:] == ["--listen", "0.0.0.0:8081"]

    hourly = documents["CronJob", "hourly"]
    assert hourly["spec"]["concurrencyPolicy"] == "Allow"
    assert hourly["spec"]["startingDeadlineSeconds"] == 60
    assert hourly["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert "activeDeadlineSeconds" not in pod_of(hourly)
    assert hourly["metadata"]["annotations"]["run-core/schedule"] == "H * * * *"


def test_a_skipped_run_is_tried_again_where_the_job_says_so(world):
    world.config("""
core: {state: "postgresql://h/d"}
jobs:
  patient: {plugin: aggregator, schedule: "@daily", retry: {attempts: 2, skipped: true}}
  plain: {plugin: aggregator, schedule: "@daily", retry: {attempts: 2}}
""")
    documents = export(world, "--image", "registry.example/run-core:7")
    for name, final in (("patient", [2]), ("plain", [2, 3])):
        spec = documents["CronJob", name]["spec"]["jobTemplate"]["spec"]
        assert spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == final


def files_of(documents, pod):
    """The files that the container finds, from the mounts: path -> content, or the Secret's key."""
    data = documents["ConfigMap", "run-core-config"]["data"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    found = {}
    for mount in pod["containers"][0]["volumeMounts"]:
        volume = volumes[mount["name"]]
        for source in volume.get("projected", {}).get("sources", []):
            for kind, held in source.items():
                for item in held["items"]:
                    value = data[item["key"]] if kind == "configMap" else ("secret", item["key"])
                    found[f"{mount['mountPath']}/{item['path']}"] = value
        if "subPath" in mount:
            key = mount["subPath"]
            found[mount["mountPath"]] = data[key] if "configMap" in volume else ("secret", key)
    return found


def test_the_pod_finds_the_files_where_the_configuration_names_them(world):
    world.config(RICH + "  other: {plugin: aggregator, schedule: '@daily', "
                        "config_file: ../beside/values.json}\n")
    for folder, text in (("conf.d/more", '{"in": 1}\n'), ("beside", '{"beside": 1}\n')):
        (world.root / folder).mkdir()
        (world.root / folder / "values.json").write_text(text)
    documents = export(world)
    files = files_of(documents, pod_of(documents["CronJob", "nightly"]))
    folder = "/etc/run-core/conf.d"
    assert files[f"{folder}/test.yaml"] == (world.root / "conf.d" / "test.yaml").read_text()
    assert files[f"{folder}/more/values.json"] == '{"in": 1}\n'
    assert files["/etc/run-core/beside/values.json"] == '{"beside": 1}\n'
    assert files["/run/secrets/password"][0] == "secret"
    assert files[f"{folder}/secrets/password"][0] == "secret"
    assert files["/run/secrets/password"] != files[f"{folder}/secrets/password"]
    # The daemon, which asks for tokens, finds those too.
    daemon = export(world, "--as", "daemon")
    files = files_of(daemon, pod_of(daemon["Deployment", "run-core"]))
    assert files[f"{folder}/tokens"] == ("secret", "tokens")


def test_secrets_are_named_and_never_read(world):
    world.config(RICH.replace("/run/secrets/password", str(world.root / "password")))
    (world.root / "conf.d" / "more").mkdir()
    (world.root / "conf.d" / "more" / "values.json").write_text('{"k": "${env:IN_FILE}"}\n')
    without = world.run("export", "kubernetes")
    assert without.status == 0
    (world.root / "password").write_text("hunter2-of-the-file")
    (world.root / "conf.d" / "secrets").mkdir()
    (world.root / "conf.d" / "secrets" / "password").write_text("hunter3-of-the-file")
    world.environment.update(STATE_URL="postgresql://u:hunter4@h/d", INNER="hunter5-inner",
                             WITH_DEFAULT="hunter6-default", IN_FILE="hunter7-in-file")
    result = world.run("export", "kubernetes")
    assert result.status == 0
    assert "hunter" not in result.stdout + result.stderr
    assert result.stdout == without.stdout

    documents = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(result.stdout)}
    (container,) = pod_of(documents["CronJob", "nightly"])["containers"]
    references = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in container["env"]}
    assert set(references) == {"STATE_URL", "INNER", "WITH_DEFAULT", "IN_FILE"}
    assert {e["name"] for e in references.values()} == {"run-core-env"}
    assert references["WITH_DEFAULT"]["optional"] is True
    assert "optional" not in references["INNER"]


@pytest.mark.parametrize("text", [
    "jobs: {}", "jobs: {}\n", "jobs: {}\n\n\n", "\n\njobs: {}\n", "  jobs: {}\n",
    "\n  # indented\n  jobs: {}\n", "# trailing blanks   \njobs: {}\n", "# a\ttab\njobs: {}\n",
    "jobs: {}\r\n# CRLF\r\n", "# \u00e9 \U0001f600 \u2028# \u2029# \u0085# \njobs: {}\n",
    "# --- ... | > %YAML 'quotes' \"double\" \\back\njobs: {}\n", "---\njobs: {}\n",
])
def test_a_file_comes_through_as_it_is(world, text):
    world.config(job_config(schedule="@daily"), name="0.yaml")
    path = world.config("", name="1.yaml")
    path.write_bytes(text.encode())
    data = export(world)["ConfigMap", "run-core-config"]["data"]
    assert data["1.yaml"].encode() == text.encode()


def test_values_stay_texts(world):
    names = ["no", "1e3", "null", "0x1f", "2026-01-01", "1_000", "y"]
    world.config(yaml.safe_dump({"jobs": {
        name: {"plugin": "aggregator", "schedule": "@daily"} for name in names}}))
    documents = export(world)
    found = {d["metadata"]["annotations"]["run-core/job"]
             for (kind, _), d in documents.items() if kind == "CronJob"}
    assert found == set(names)
    arguments = [pod_of(d)["containers"][0]["args"][1]
                 for (kind, _), d in documents.items() if kind == "CronJob"]
    assert sorted(arguments) == sorted(names)


def test_names_are_labels_and_their_own(world):
    names = ["Nightly_Dump", "nightly.dump", "nightly-dump", "a" * 63, "a" * 62 + "b", "x-", "x_",
             "UPPER", "9.lives"]
    world.config(yaml.safe_dump({"jobs": {
        name: {"plugin": "aggregator", "schedule": "@daily"} for name in names}}))
    documents = export(world)
    by_job = {d["metadata"]["annotations"]["run-core/job"]: d["metadata"]
              for (kind, _), d in documents.items() if kind == "CronJob"}
    assert set(by_job) == set(names)
    labels = [metadata["name"] for metadata in by_job.values()]
    assert len(set(labels)) == len(names)
    assert all(LABEL.fullmatch(label) and len(label) <= 52 for label in labels)
    assert by_job["nightly-dump"]["name"] == "nightly-dump"
    assert by_job["UPPER"]["name"] == "upper"
    values = [metadata["labels"]["app.kubernetes.io/instance"] for metadata in by_job.values()]
    assert all(re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", v) for v in values)
    # One job by itself is named as among all.
    for name in ("Nightly_Dump", "nightly-dump"):
        alone = only_cron_job(export(world, name))
        assert alone["metadata"]["name"] == by_job[name]["name"]


def test_the_state_decides_what_is_shared(world):
    jobs = job_config(schedule="@daily")
    world.config("core: {state: 'sqlite:///srv/run/state.db'}\n" + jobs)
    documents = export(world)
    assert ("PersistentVolumeClaim", "run-core-state") in documents
    mounts = pod_of(only_cron_job(documents))["containers"][0]["volumeMounts"]
    assert {"name": "state", "mountPath": "/srv/run"} in mounts
    daemon = export(world, "--as", "daemon")["Deployment", "run-core"]["spec"]
    assert daemon["replicas"] == 1 and daemon["strategy"] == {"type": "Recreate"}

    world.config("core: {state: 'postgresql://db/run'}\n" + jobs)
    assert ("PersistentVolumeClaim", "run-core-state") not in export(world)
    daemon = export(world, "--as", "daemon")["Deployment", "run-core"]["spec"]
    assert daemon["replicas"] > 1


@pytest.mark.parametrize("state", ["sqlite:///state.db", "state", "./"])
def test_a_state_that_pods_cannot_write_is_refused(world, state):
    world.config(f"core: {{state: '{state}'}}\n" + job_config(schedule="@daily"))
    result = world.run("export", "kubernetes")
    assert (result.status, result.stdout) == (2, "")
    assert "core.state would lie in '/" in result.stderr


@pytest.mark.parametrize("core, folders", [
    ("state: 'postgresql://h/d'", {"/var/lib/run-core", "/tmp"}),
    ("state: /tmp/state", {"/tmp/state", "/tmp"}),
    ("state: 'sqlite:////tmp/s.db'", {"/tmp"}),
    ("state: 'postgresql://h/d', spool: /srv/spool, socket: /run/rc/api.sock",
     {"/var/lib/run-core", "/tmp", "/srv/spool", "/run/rc"}),
    ("state: 'postgresql://h/d', spool: /srv/spool, socket: /srv/spool/x/api.sock",
     {"/var/lib/run-core", "/tmp", "/srv/spool"}),
])
def test_the_daemon_can_write_where_it_has_to(world, schema, core, folders):
    world.config(f"core: {{{core}}}\n" + job_config(schedule="@daily"))
    documents = export(world, "--as", "daemon")
    pod = pod_of(documents["Deployment", "run-core"])
    judge(schema, documents["Deployment", "run-core"])
    mounts = pod["containers"][0]["volumeMounts"]
    assert {m["mountPath"] for m in mounts if not m.get("readOnly")} == folders
    assert len({m["mountPath"] for m in mounts}) == len(mounts)
    assert {m["name"] for m in mounts} == {v["name"] for v in pod["volumes"]}


def test_the_daemon_is_probed_where_it_is_reached(world):
    listen = "core: {listen: '%s', shutdown_grace: 50s}\n" + job_config(schedule="@daily")
    world.config(listen % "0.0.0.0:9000")
    documents = export(world, "--as", "daemon")
    pod = pod_of(documents["Deployment", "run-core"])
    (container,) = pod["containers"]
    assert container["args"] == ["daemon", "--config", "/etc/run-core/conf.d"]
    assert container["ports"][0]["containerPort"] == 9000
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthcheck/is-alive", "port": "web"}
    assert pod["terminationGracePeriodSeconds"] > 50
    selector = documents["Service", "run-core"]["spec"]["selector"]
    labels = documents["Deployment", "run-core"]["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()

    world.config(listen % "127.0.0.1:9000")
    result = world.run("export", "kubernetes", "--as", "daemon")
    assert result.status == 0 and "probes" in result.stderr
    assert "livenessProbe" not in result.stdout


def test_another_configuration_makes_other_pods_of_the_daemon(world):
    def annotations():
        deployment = export(world, "--as", "daemon")["Deployment", "run-core"]
        return deployment["spec"]["template"]["metadata"]["annotations"]

    world.config(job_config(schedule="@daily"))
    first = annotations()
    assert annotations() == first
    world.config(job_config(schedule="@hourly"))
    assert annotations() != first


# ---- what Kubernetes cannot say -------------------------------------------------------------------


@pytest.mark.parametrize("schedule, cron", [
    ("@hourly", "0 * * * *"), ("@yearly", "0 0 1 1 *"), ("@weekly", "0 0 * * 0"),
    ("@every 5m", "*/5 * * * *"), ("@every 1h", "0 * * * *"), ("@every 6h", "0 */6 * * *"),
    ("@every 1d", "0 0 * * *"), ("@every 1w", "0 0 * * 4"), ("0 0 * * 7", "0 0 * * 0"),
    ("0 0 1-31 * 1", "0 0 1-31 * 1"), ("0 0 ? jan-mar sun", "0 0 * 1-3 0"),
    ("0 */10 * * * *", "*/10 * * * *"), ("5-55/10 * * * *", "5-59/10 * * * *"),
])
def test_schedules_are_translated(world, schedule, cron):
    world.config(job_config(schedule=schedule))
    spec = only_cron_job(export(world))["spec"]
    assert (spec["schedule"], spec["timeZone"]) == (cron, "UTC")


@pytest.mark.parametrize("schedule", [
    "0 0 L * *", "0 0 15W * *", "0 0 LW * *", "0 0 * * 5#2", "0 0 * * 5L", "*/10 * * * * *",
    "@startup", "@every 45m", "@every 90s", "@every 5h", "@every 2d",
])
def test_what_would_run_at_other_times_is_refused(world, schedule):
    path = world.config(job_config(schedule=schedule))
    result = world.run("export", "kubernetes")
    assert result.status == 2
    assert result.stdout == ""
    assert f"{path}:2:3: job 'job': Kubernetes cannot keep the schedule" in result.stderr
    assert "daemon" in result.stderr


def test_a_job_that_no_cron_job_can_be_is_left_out_unless_it_is_named(world):
    path = world.config(yaml.safe_dump({"jobs": {
        "nightly": {"plugin": "aggregator", "schedule": "@daily"},
        "prepare": {"plugin": "aggregator", "for_each": [{"name": "a"}, {"name": "b"}],
                    "schedule": "@startup"},
    }}))
    result = world.run("export", "kubernetes")
    assert result.status == 0
    for name in ("prepare-a", "prepare-b"):
        assert f"{path}:5:3: warning: job '{name}': a CronJob has no @startup" in result.stderr
        assert re.search(f"^# The job '{name}' is not in here: .*'run-core run {name}'",
                         result.stdout, re.M)
    assert [d["metadata"]["name"] for d in yaml.safe_load_all(result.stdout)
            if d["kind"] == "CronJob"] == ["nightly"]
    for words in (["nightly"], ["--as", "daemon"]):
        result = world.run("export", "kubernetes", *words)
        assert result.status == 0 and "startup" not in result.stderr
        assert "is not in here" not in result.stdout
    result = world.run("export", "kubernetes", "nightly", "prepare-b")
    assert (result.status, result.stdout) == (2, "")
    assert "job 'prepare-b': Kubernetes cannot keep the schedule '@startup'" in result.stderr
    assert "run-core-prepare-a.timer" in world.run("export", "systemd").stdout


@pytest.mark.parametrize("keys, said", [
    ({"schedule": "30 0 2 * * *"}, "seconds"),
    ({"schedule": "@daily", "concurrency": "queue"}, "queue"),
    ({"schedule": "@daily", "misfire": "all"}, "only for the last"),
    ({"schedule": "@daily", "retry": {"attempts": 2}}, "before the second attempt"),
    ({"schedule": "30 2 * * *", "time_zone": "Europe/Prague"}, "where clocks change"),
    ({"schedule": "@daily", "notify": [{"on": ["failure"], "url": "https://h/x"}]}, "notify"),
])
def test_what_is_lost_is_said(world, keys, said):
    world.config(job_config(**keys))
    result = world.run("export", "kubernetes")
    assert result.status == 0
    assert f"warning: job 'job': " in result.stderr and said in result.stderr
    document = only_cron_job({(d["kind"], d["metadata"]["name"]): d
                              for d in yaml.safe_load_all(result.stdout)})
    assert said in document["metadata"]["annotations"]["run-core/notes"]


@pytest.mark.parametrize("keys", [
    {"schedule": "@daily"},
    {"schedule": "*/15 * * * *", "time_zone": "Europe/Prague"},
    {"schedule": "0 12 * * *", "time_zone": "Europe/Prague"},
])
def test_nothing_is_said_where_nothing_is_lost(world, keys):
    world.config("core: {state: 'postgresql://h/d'}\n" + job_config(**keys))
    for form in ("kubernetes", "systemd"):
        result = world.run("export", form)
        assert (result.status, result.stderr) == (0, "")


def test_mistakes_are_named(world):
    path = world.config(RICH.replace("config_file: more/values.json", ""))
    for words, said in (
        (["kubernetes", "nigthly"], "did you mean 'nightly'?"),
        (["kubernetes", "on-demand"], "runs on demand only"),
        (["kubernets"], "there are kubernetes and systemd"),
        (["kubernetes", "--as", "timers"], "cronjobs or daemon"),
        (["systemd", "--image", "x"], "takes no '--image'"),
        (["kubernetes", "--as", "daemon", "nightly"], "takes no jobs"),
        (["kubernetes", "--namespace", "No_Name"], "cannot be a namespace"),
    ):
        result = world.run("export", *words)
        assert (result.status, result.stdout) == (2, "")
        assert said in result.stderr
    world.config(job_config(schedule="${env:WHEN}"))
    result = world.run("export", "kubernetes", env={"WHEN": "@daily"})
    assert result.status == 2 and "only the other machine knows" in result.stderr
    assert f"{path}:2:3: " in result.stderr
    world.config(job_config(schedule="${env:WHEN:-@daily}"))
    assert only_cron_job(export(world))["spec"]["schedule"] == "0 0 * * *"
    world.config("jobs: {}")
    assert world.run("export", "systemd").status == 2
    world.config(job_config(schedule="@daily", config_file="none.json"))
    result = world.run("export", "kubernetes")
    assert result.status == 2 and "none.json" in result.stderr


def test_files_are_written(world, schema):
    world.config(job_config(schedule="@daily"))
    result = world.run("export", "kubernetes", "--output", "out/deep")
    assert result.status == 0
    listed = result.stdout.split()
    assert "out/deep/job.cronjob.yaml" in listed
    for name in listed:
        judge(schema, yaml.safe_load((world.root / name).read_text()))
    printed = list(yaml.safe_load_all(world.run("export", "kubernetes").stdout))
    written = [yaml.safe_load((world.root / name).read_text()) for name in listed]
    assert written == printed


# ---- random schedules -----------------------------------------------------------------------------


def random_field(source, first, last, any_share=0.4):
    if source.random() < any_share:
        return "*"

    def one():
        kind = source.random()
        if kind < 0.5:
            return str(source.randint(first, last))
        low, high = sorted(source.sample(range(first, last + 1), 2))
        if kind < 0.7:
            return f"{low}-{high}"
        if kind < 0.85:
            return f"{low}-{high}/{source.randint(1, 7)}"
        return f"*/{source.randint(1, (last - first) // 2)}"

    return ",".join(one() for _ in range(source.choice((1, 1, 1, 2, 3))))


def random_cron(source, days=True):
    return " ".join((random_field(source, 0, 59, 0.1), random_field(source, 0, 23),
                     random_field(source, 1, 31) if days else "*",
                     random_field(source, 1, 12, 0.6), random_field(source, 0, 7, 0.5)))


def values(field, first, last):
    """A field of a CronJob: its values, and whether it restricts, as robfig/cron 3 reads it."""
    found, restricts = set(), True
    for item in field.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            low, high = first, last
            restricts = restricts and bool(step) and step != "1"
        else:
            low, _, high = span.partition("-")
            low, high = int(low), int(high or low)
        assert first <= low <= high <= last, field
        found.update(range(low, high + 1, int(step or 1)))
    return found, restricts


def slots_of_cron_job(cron, count):
    """The slots behind START, found minute by minute in UTC."""
    ranges = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
    fields = [values(f, *r) for f, r in zip(cron.split(), ranges)]
    (minutes, _), (hours, _), (days, by_day), (months, _), (weekdays, by_weekday) = fields
    day = datetime.datetime.fromtimestamp(START, datetime.timezone.utc).date()
    found = []
    for _ in range(366 * 30):
        in_month = day.day in days
        in_week = day.isoweekday() % 7 in weekdays
        due = in_month or in_week if by_day and by_weekday else in_month and in_week
        if due and day.month in months:
            midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc)
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    time = int(midnight.timestamp()) + hour * 3600 + minute * 60
                    if time > START:
                        found.append(time)
            if len(found) >= count:
                return found[:count]
        day += datetime.timedelta(days=1)
    return found


def write_jobs(world, expressions, **keys):
    world.config(yaml.safe_dump({"jobs": {
        f"j{i:03}": {"plugin": "aggregator", "schedule": expression, **keys}
        for i, expression in enumerate(expressions)}}))


def keep_those_that_come(world, expressions):
    """Leaves out what is never due, such as 30 February, which run-core refuses."""
    text = "".join(f"{expression}\tUTC\t{START}\t1\n" for expression in expressions)
    done = subprocess.run([str(BUILD / "run-core"), "next", "--batch"], input=text, text=True,
                          capture_output=True, check=False, env=world.environment)
    return [e for e, line in zip(expressions, done.stdout.splitlines()) if line[:1].isdigit()]


def test_random_schedules_of_kubernetes_are_those_of_run_core(world):
    source = random.Random(5)
    expressions = keep_those_that_come(world, [random_cron(source) for _ in range(300)])
    assert len(expressions) > 250
    write_jobs(world, expressions)
    documents = export(world)
    wanted = next_times(world, [(e, "UTC") for e in expressions], 40)
    for i, expression in enumerate(expressions):
        cron = documents["CronJob", f"j{i:03}"]["spec"]["schedule"]
        assert slots_of_cron_job(cron, 40) == wanted[i], (expression, cron)


# ---- systemd --------------------------------------------------------------------------------------


def export_systemd(world, *words):
    result = world.run("export", "systemd", "--output", "units", *words)
    assert result.status == 0, result.stderr
    return {name.split("/")[-1]: (world.root / name).read_text()
            for name in result.stdout.split()}, result.stderr


def verify(world, *units):
    return subprocess.run(["systemd-analyze", "verify", "--man=no", *units], cwd=world.root,
                          capture_output=True, text=True, check=False)


def calendar(lines, iterations):
    """The times of each OnCalendar= behind START, as systemd counts them."""
    done = subprocess.run(
        ["systemd-analyze", "calendar", f"--iterations={iterations}",
         f"--base-time=@{START}", *lines],
        capture_output=True, text=True, check=True, env=dict(os.environ, TZ="UTC", LC_ALL="C"))
    found, original = [], False
    for line in done.stdout.splitlines():
        key, _, value = (part.strip() for part in line.partition(": "))
        if key == "Original form" or (key == "Normalized form" and not original):
            found.append([])
        original = key == "Original form"
        if key == "Next elapse" or key.startswith("Iter. #"):
            if value != "never":
                time = datetime.datetime.strptime(value, "%a %Y-%m-%d %H:%M:%S UTC")
                found[-1].append(int(time.replace(tzinfo=datetime.timezone.utc).timestamp()))
    assert len(found) == len(lines)
    return found


def compare_calendars(world, expressions, count=12, **keys):
    write_jobs(world, expressions, **keys)
    units, _ = export_systemd(world)
    lines = {f"j{i:03}": re.findall(r"^OnCalendar=(.*)$", units[f"run-core-j{i:03}.timer"], re.M)
             for i in range(len(expressions))}
    times = iter(calendar([line for held in lines.values() for line in held], count))
    zone = keys.get("time_zone", "UTC")
    wanted = next_times(world, [(e, zone) for e in expressions], count)
    for i, expression in enumerate(expressions):
        held = lines[f"j{i:03}"]
        assert held, expression
        found = sorted({time for _ in held for time in next(times)})[:count]
        assert found == wanted[i], (expression, held)


def test_random_schedules_of_systemd_are_those_of_run_core(world):
    source = random.Random(6)
    expressions = [random_cron(source) for _ in range(120)]
    expressions += [f"{random_field(source, 0, 59, 0)} {random_cron(source)}" for _ in range(20)]
    expressions = keep_those_that_come(world, expressions)
    assert len(expressions) > 110
    compare_calendars(world, expressions)


def test_days_that_need_several_lines(world):
    compare_calendars(world, [
        "0 0 L * *", "0 0 L-3 * *", "0 0 LW * *", "15 3 1W * *", "15 3 2W * *", "15 3 15W * *",
        "0 0 27W * *", "0 0 * * 5L", "0 0 * * fri#2", "0 0 * * 1#5,3#1", "0 0 13 * 5",
        "0 0 L,15 2 sunL", "0 0 1,10W,LW * 2#3", "*/7 1-3 */2 * 1-5", "0 0 1-31 * 1",
        "@every 45m", "@every 15m", "@every 90s", "@every 10s", "@every 8h", "@every 1d",
        "@every 1w", "@yearly", "@weekly",
    ], count=30)


def test_a_hashed_time_is_that_of_the_job(world):
    names = [f"job-{i}" for i in range(20)]
    world.config(yaml.safe_dump({"jobs": {
        name: {"plugin": "aggregator", "schedule": "H H(2-5) * * *"} for name in names}}))
    documents = export(world)
    units, _ = export_systemd(world)
    for name in names:
        minute, hour, *rest = documents["CronJob", name]["spec"]["schedule"].split()
        assert rest == ["*", "*", "*"] and 2 <= int(hour) <= 5
        assert f"*-*-* {int(hour):02}:{int(minute):02}:00 UTC" in units[f"run-core-{name}.timer"]
        shown = world.run("next", "H H(2-5) * * *", "--job", name, "--from", START, "--count", 1)
        assert f"T{int(hour):02}:{int(minute):02}:00" in shown.stdout
    assert len({documents["CronJob", name]["spec"]["schedule"] for name in names}) > 10


def test_a_zone_is_kept(world):
    source = random.Random(7)
    fixed = [f"{source.randint(0, 59)} {source.randint(4, 23)} * * *" for _ in range(10)]
    for zone in ("Europe/Prague", "America/New_York", "Asia/Kathmandu"):
        compare_calendars(world, fixed, count=120, time_zone=zone)


def test_units_are_those_of_systemd(world):
    world.config("""
core: {state: "postgresql://h/d"}
jobs:
  full:
    plugin: aggregator
    schedule: "0 2 * * *"
    timeout: 2h
    kill_after: 20s
    retry: {attempts: 3, backoff: 45s}
    limits: {memory: 1GiB, address_space: 2GiB, cpu_time: 90s, file_size: 1MiB, nice: 5}
  plain: {plugin: aggregator, schedule: "@startup", misfire: skip}
  calm: {plugin: aggregator, schedule: "@hourly", misfire: skip}
  patient: {plugin: aggregator, schedule: "@daily", retry: {attempts: 3, skipped: true}}
""")
    units, _ = export_systemd(world)
    done = verify(world, *(f"units/{name}" for name in units))
    assert (done.returncode, done.stderr) == (0, "")

    service = units["run-core-full.service"].splitlines()
    for line in ("Type=oneshot", "SuccessExitStatus=3", "TimeoutStartSec=7250", "TimeoutStopSec=25",
                 "KillMode=mixed", "Restart=on-failure", "RestartSec=45000ms", "StartLimitBurst=3",
                 "MemoryMax=1073741824", "LimitAS=2147483648", "LimitCPU=90", "LimitFSIZE=1048576",
                 "Nice=5"):
        assert line in service
    assert "Persistent=yes" in units["run-core-full.timer"]
    assert "AccuracySec=1s" in units["run-core-full.timer"]
    assert "Restart=on-failure" in units["run-core-patient.service"]
    assert "SuccessExitStatus" not in units["run-core-patient.service"]
    assert "Restart=" not in units["run-core-plain.service"]
    assert "TimeoutStartSec=infinity" in units["run-core-plain.service"]
    assert "OnBootSec=0" in units["run-core-plain.timer"]
    assert "Persistent=no" in units["run-core-calm.timer"]


def test_systemd_refuses_a_wrong_unit(world):
    world.config(job_config(schedule="@daily"))
    units, _ = export_systemd(world)
    path = world.root / "units" / "run-core-job.timer"
    path.write_text(path.read_text().replace("OnCalendar=", "OnCalendar=nonsense "))
    done = verify(world, "units/run-core-job.timer")
    assert done.returncode != 0 or "Failed to parse" in done.stderr


def test_a_command_line_keeps_its_words(world):
    folder = world.root / "100% $HOME \"of\" it's \\ way"
    folder.mkdir()
    path = folder / "jobs.yaml"
    path.write_text(job_config(schedule="@daily"))
    units, _ = export_systemd(world, "--config", path)
    done = verify(world, "units/run-core-job.service")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = re.findall("^ExecStart=(.*)$", units["run-core-job.service"], re.M)
    words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
    plain = [re.sub(r"\\(.)", r"\1", word).replace("%%", "%").replace("$$", "$") for word in words]
    assert plain == ["run", "job", "--config", str(path)]


@pytest.mark.parametrize("keys, said", [
    ({"schedule": "@startup"}, "when the machine starts"),
    ({"schedule": "@daily", "concurrency": "replace"}, "once at a time"),
    ({"schedule": "@daily", "misfire": "all"}, "only for the last"),
    ({"schedule": "@daily", "catchup_window": "1h"}, "however old"),
    ({"schedule": "* * * * *", "retry": {"attempts": 3}}, "nothing is tried again"),
    ({"schedule": "30 2 * * *", "time_zone": "Europe/Prague"}, "where clocks change"),
])
def test_what_systemd_loses_is_said(world, keys, said):
    world.config(job_config(**keys))
    _, stderr = export_systemd(world)
    assert "warning: job 'job': " in stderr and said in stderr


@pytest.mark.parametrize("schedule", ["@every 7m", "@every 2d", "0 0 31W * *", "@every 7s"])
def test_what_systemd_would_run_at_other_times_is_refused(world, schedule):
    world.config(job_config(schedule=schedule))
    result = world.run("export", "systemd")
    assert (result.status, result.stdout) == (2, "")
    assert "systemd cannot keep the schedule" in result.stderr


UNIT_OF_DAEMON = SOURCE / "packaging" / "systemd" / "run-core.service"


def test_the_unit_of_the_daemon_is_one_of_systemd(world):
    text = UNIT_OF_DAEMON.read_text()
    unit = world.root / "run-core.service"
    unit.write_text(text.replace("/usr/bin/run-core", str(BUILD / "run-core")))
    done = verify(world, "run-core.service")
    assert (done.returncode, done.stderr) == (0, "")


def test_temporary_files_of_runs_outlive_the_daemon():
    """The private /tmp of a unit goes with the daemon; its runs go on."""
    settings = dict(line.split("=", 1) for line in UNIT_OF_DAEMON.read_text().splitlines()
                    if "=" in line and not line.startswith("#"))
    assert (settings["KillMode"], settings["PrivateTmp"]) == ("process", "yes")
    assert settings["Environment"] == f"TMPDIR=%C/{settings['CacheDirectory']}"


# ---- what is shipped ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["cronjobs", "daemon"])
def test_the_shipped_objects_are_what_is_exported(world, schema, form):
    folder = SOURCE / "packaging" / "kubernetes"
    result = world.run("export", "kubernetes", "--as", form, "--config", folder / "conf.d",
                       "--image", "registry.example/run-core:0.1.0")
    assert result.status == 0, result.stderr
    assert (folder / f"{form}.yaml").read_text() == result.stdout
    for document in yaml.safe_load_all(result.stdout):
        judge(schema, document)
    kept = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert all((folder / name).exists() for name in kept["resources"])


def test_the_patch_for_openshift_meets_its_field(world):
    folder = SOURCE / "packaging" / "openshift"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert all((folder / name).exists() for name in kustomization["resources"])
    documents = list(yaml.safe_load_all((folder / "../kubernetes/cronjobs.yaml").read_text()))
    for patch in kustomization["patches"]:
        targets = [d for d in documents if d["kind"] == patch["target"]["kind"]]
        assert targets
        for operation in yaml.safe_load(patch["patch"]):
            assert operation["op"] == "remove"
            for node in targets:
                *parents, name = operation["path"].strip("/").split("/")
                for parent in parents:
                    node = node[parent]
                assert name in node
