"""What packaging has for egress and dsr, and for the quickstart. Of the manifests, Kubernetes' own schema
is the judge of what they make, the option table of what they tell the jobs."""

import base64
import json
import os
import re
import subprocess

import jsonschema
import pytest
import yaml

from aggregator.duck import Duck
from conftest import BUILD, SOURCE
from postgres import PASSWORD
from test_export import DEFINITIONS, SCHEMA, pod_of, strict

OPENSHIFT = SOURCE / "packaging" / "openshift"
KUBERNETES = SOURCE / "packaging" / "kubernetes" / "egress"
DSR = SOURCE / "packaging" / "kubernetes" / "dsr"
TEMPLATES = ["egress-dump", "egress-dump-secrets", "egress-sync", "egress-sync-secrets"]
PARAMETER = re.compile(r"\$\{(\w+)\}")
# What the storage knows, as Amazon's own tools do.
OF_STORAGE = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"}


@pytest.fixture(scope="module")
def schema():
    loaded = json.loads(SCHEMA.read_text())
    strict(loaded["$defs"])
    return loaded


def judge(schema, document):
    kinds = dict(DEFINITIONS, Secret="io.k8s.api.core.v1.Secret")
    wanted = {"$ref": f"#/$defs/{kinds[document['kind']]}", "$defs": schema["$defs"]}
    jsonschema.Draft7Validator(wanted).validate(document)


# ---- what 'oc process' and 'kubectl apply -k' do -------------------------------------------------


def template(name):
    return yaml.safe_load((OPENSHIFT / f"{name}.yaml").read_text())


def replace(node, values):
    if isinstance(node, dict):
        return {key: replace(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [replace(value, values) for value in node]
    if isinstance(node, str):
        return PARAMETER.sub(lambda found: values[found.group(1)], node)
    return node


def process(name, **given):
    """The objects of a template."""
    document = template(name)
    values = {one["name"]: given.pop(one["name"], one.get("value"))
              for one in document["parameters"]}
    assert not given, f"unknown parameters of {name}: {given}"
    for one in document["parameters"]:
        assert values[one["name"]] or not one.get("required"), f"{one['name']} is required"
    return replace(document["objects"], {key: value or "" for key, value in values.items()})


def filled(name, **given):
    """With something for every parameter that has to be given."""
    return process(name, **{one["name"]: "given" for one in template(name)["parameters"]
                            if one.get("required") and not one.get("value")}, **given)


def kustomize(folder=KUBERNETES):
    """The objects of the folder: the resources and the ConfigMaps."""
    settings = yaml.safe_load((folder / "kustomization.yaml").read_text())
    objects = [yaml.safe_load((folder / name).read_text()) for name in settings["resources"]]
    for one in settings["configMapGenerator"]:
        data = dict(literal.split("=", 1) for literal in one.get("literals", []))
        data.update({name: (folder / name).read_text() for name in one.get("files", [])})
        objects.append({"apiVersion": "v1", "kind": "ConfigMap",
                        "metadata": {"name": one["name"]}, "data": data})
    return objects


def named(objects, name):
    (found,) = [one for one in objects
                if one["kind"] == "CronJob" and one["metadata"]["name"] == name]
    return found


def environment(cron_job, objects):
    """That of the container, as the cluster makes it of the objects that there are."""
    container = pod_of(cron_job)["containers"][0]
    stored = {}
    for one in objects:
        if one["kind"] in ("Secret", "ConfigMap"):
            data = dict(one.get("data", {}))
            if one["kind"] == "Secret":
                data = {key: base64.b64decode(value).decode() for key, value in data.items()}
            stored[one["kind"], one["metadata"]["name"]] = {**data, **one.get("stringData", {})}
    found = {}
    for source in container.get("envFrom", []):
        found.update(stored["ConfigMap", source["configMapRef"]["name"]])
    for variable in container["env"]:
        if "value" in variable:
            found[variable["name"]] = variable["value"]
            continue
        ((kind, reference),) = variable["valueFrom"].items()
        kind = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}[kind]
        values = stored[kind, reference["name"]]
        if reference["key"] in values or not reference.get("optional"):
            found[variable["name"]] = values[reference["key"]]
    return found


def all_names(cron_job, objects):
    container = pod_of(cron_job)["containers"][0]
    maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    return {one["name"] for one in container["env"]}.union(
        *(maps[source["configMapRef"]["name"]] for source in container.get("envFrom", [])))


# ---- the objects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_makes_objects_of_kubernetes(schema, name):
    document = template(name)
    assert (document["apiVersion"], document["kind"]) == ("template.openshift.io/v1", "Template")
    for one in filled(name):
        judge(schema, one)
    used = set(PARAMETER.findall(json.dumps(document["objects"])))
    assert used == {one["name"] for one in document["parameters"]}
    assert all(one["description"] for one in document["parameters"])


def test_the_folder_makes_objects_of_kubernetes(schema):
    kinds = []
    for one in kustomize():
        judge(schema, one)
        kinds.append(one["kind"])
    assert kinds == ["CronJob", "CronJob", "ConfigMap"]


@pytest.mark.parametrize("spoil", [
    lambda d: d["spec"].update(timezone="UTC"),
    lambda d: pod_of(d).pop("containers"),
    lambda d: pod_of(d)["containers"][0]["resources"]["limits"].update(memory=["512Mi"]),
])
def test_the_judge_refuses_what_is_wrong(schema, spoil):
    (document,) = filled("egress-dump")
    judge(schema, document)
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        judge(schema, document)


def test_a_template_needs_what_nobody_can_guess():
    with pytest.raises(AssertionError, match="S3_OUTPUT is required"):
        process("egress-dump", TABLES="orders")
    with pytest.raises(AssertionError, match="TABLES is required"):
        process("egress-dump", S3_OUTPUT="s3://bucket/path")


@pytest.mark.parametrize("name", ["egress-dump", "egress-sync"])
def test_both_clusters_get_the_same(name):
    (ours,) = filled(name)
    plain = named(kustomize(), name)
    # OpenShift gives the group, and parameters are kept in a ConfigMap elsewhere.
    assert pod_of(plain)["securityContext"].pop("fsGroup") == 10001
    pod_of(plain)["containers"][0].pop("envFrom", None)
    for document in (ours, plain):
        container = pod_of(document)["containers"][0]
        container["env"] = [one for one in container["env"] if "value" not in one]
    assert ours == plain


@pytest.mark.parametrize("name", ["egress-dump", "egress-sync"])
def test_a_run_is_confined_and_has_an_end(name):
    (cron_job,) = filled(name)
    spec, pod = cron_job["spec"], pod_of(cron_job)
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] < 86400
    assert pod["activeDeadlineSeconds"] < 86400
    assert pod["restartPolicy"] == "Never"  # as a podFailurePolicy has it
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}}
    written = {one["mountPath"] for one in container["volumeMounts"]}
    assert written == {"/var/lib/run-core", "/tmp"}
    (rule, _) = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]


# ---- what the jobs are told ----------------------------------------------------------------------


@pytest.fixture
def variables(world):
    """The names that the option table has for its options in the environment."""
    if not (BUILD / "plugins" / "egress.so").exists():
        pytest.skip("the plugin egress is not built")
    described = world.run("describe", "egress", "--json")
    assert described.status == 0, described.stderr
    return {one["env"] for one in json.loads(described.stdout)["options"] if one.get("env")}


def test_every_variable_is_one_that_something_reads(variables):
    objects = kustomize()
    of_dump = all_names(named(objects, "egress-dump"), objects)
    of_sync = all_names(named(objects, "egress-sync"), objects)
    assert of_dump | of_sync <= variables | OF_STORAGE
    for name in ("egress-dump", "egress-sync"):
        (cron_job,) = filled(name)
        assert all_names(cron_job, []) == (of_dump if name == "egress-dump" else of_sync)
    # A session's token is for a person, and 'tables' of a sync are not read.
    assert of_sync == {name for name in variables
                       if name.startswith(("INPUT_", "OUTPUT_")) and "SESSION" not in name}
    assert of_dump - OF_STORAGE == {name for name in variables
                                    if not name.startswith(("INPUT_", "OUTPUT_"))}


@pytest.mark.parametrize("name", ["egress-dump", "egress-sync"])
def test_the_secrets_have_the_keys_that_are_asked_for(name):
    (cron_job,) = filled(name)
    secrets = filled(f"{name}-secrets")
    found = environment(cron_job, secrets)
    assert found.keys() == all_names(cron_job, [])
    asked = {(one["valueFrom"]["secretKeyRef"]["name"], one["valueFrom"]["secretKeyRef"]["key"])
             for one in pod_of(cron_job)["containers"][0]["env"] if "valueFrom" in one}
    assert asked == {(one["metadata"]["name"], key)
                     for one in secrets for key in one["stringData"]}


# ---- runs ----------------------------------------------------------------------------------------


def run_pod(world, cron_job, objects, *more):
    """The container's command in its environment, and in no other."""
    container = pod_of(cron_job)["containers"][0]
    assert container["command"] == ["run-core"]
    return world.run(*container["args"], *more, env=environment(cron_job, objects))


@pytest.mark.parametrize("cluster", ["openshift", "kubernetes"])
def test_the_jobs_run_with_nothing_else(world, postgres, ceph, bucket, variables, cluster):
    database = f"application_{bucket.replace('-', '_')}"
    postgres.make_database(database)
    postgres.sql("CREATE TABLE tally_snapshots AS SELECT n AS id, 'row ' || n AS text FROM "
                 "generate_series(1, 1000) AS n", database)
    postgres.sql("CREATE TABLE subscription_capacity AS SELECT 1 AS id, NULL::text AS sku",
                 database)
    keys = dict(ACCESS_KEY_ID=ceph.access_key, SECRET_ACCESS_KEY=ceph.secret_key)
    secrets = process("egress-dump-secrets", DATABASE_NAME=database, DATABASE_USER="postgres",
                      DATABASE_PASSWORD=PASSWORD,
                      ENDPOINT_URL=ceph.endpoint, **keys)
    secrets += process(
        "egress-sync-secrets",
        INPUT_URL=ceph.endpoint, INPUT_PATH=f"{bucket}/dumps",
        OUTPUT_URL=ceph.endpoint, OUTPUT_PATH=f"{bucket}/copies/of/dumps",
        **{f"{side}_{name}": value for side in ("INPUT", "OUTPUT") for name, value in keys.items()})
    given = dict(S3_OUTPUT=f"s3://{bucket}/dumps", PGHOST="127.0.0.1", PGPORT=str(postgres.port),
                 TABLES="tally_snapshots subscription_capacity")
    if cluster == "openshift":
        objects = [*process("egress-dump", **given), *process("egress-sync"), *secrets]
    else:
        objects = kustomize() + secrets
        (settings,) = [one["data"] for one in objects if one["kind"] == "ConfigMap"]
        assert settings.keys() == given.keys()
        settings.update(given)

    now = ("--now", "2026-11-21T00:00:01Z")
    dumped = run_pod(world, named(objects, "egress-dump"), objects, *now)
    assert dumped.status == 0, dumped.stderr
    assert dumped.stdout.splitlines()[-1] == "Success."
    synced = run_pod(world, named(objects, "egress-sync"), objects, *now)
    assert synced.status == 0, synced.stderr

    listed = ceph.s3().list_objects_v2(Bucket=bucket)["Contents"]
    names = {"2026-11-21/_manifest.json", "2026-11-21/subscription_capacity.csv.gz",
             "2026-11-21/tally_snapshots.csv.gz"}
    assert {one["Key"] for one in listed} == {f"{folder}/{name}" for name in names
                                              for folder in ("dumps", "copies/of/dumps")}
    postgres.sql(f"DROP DATABASE {database} WITH (FORCE)")


def test_a_sync_of_what_something_else_has_written(world, ceph, bucket, variables):
    """Without manifests, as the seed's own dump leaves it."""
    keys = dict(ACCESS_KEY_ID=ceph.access_key, SECRET_ACCESS_KEY=ceph.secret_key)
    objects = process(
        "egress-sync-secrets",
        INPUT_URL=ceph.endpoint, INPUT_PATH=f"{bucket}/dumps",
        OUTPUT_URL=ceph.endpoint, OUTPUT_PATH=f"{bucket}/copies",
        **{f"{side}_{name}": value for side in ("INPUT", "OUTPUT") for name, value in keys.items()})
    ceph.s3().put_object(Bucket=bucket, Key="dumps/2026-11-21/t.csv.gz", Body=b"x")
    (cron_job,) = process("egress-sync", REQUIRE_MANIFEST="false", WAIT_FOR_MANIFEST="0")
    synced = run_pod(world, cron_job, objects)
    assert synced.status == 0, synced.stderr
    assert ceph.s3().get_object(Bucket=bucket, Key="copies/2026-11-21/t.csv.gz")["Body"].read() == b"x"


# ---- dsr -----------------------------------------------------------------------------------------

DEPLOYMENTS = {"apiVersion": "v1", "kind": "ConfigMap",
               "metadata": {"name": "airlytics-deployments-config"},
               "data": {"airlytics.deployment": "internal"}}
USER = "O'Brien"


def test_the_erasure_is_made_of_objects_of_kubernetes(schema):
    objects = kustomize(DSR)
    for one in objects:
        judge(schema, one)
    assert [one["kind"] for one in objects] == [
        "ServiceAccount", "PersistentVolumeClaim", "CronJob", "ConfigMap"]
    account, claim, cron_job, settings = objects
    pod = pod_of(cron_job)
    (container,) = pod["containers"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} == volumes.keys()
    assert volumes["config"]["configMap"]["name"] == settings["metadata"]["name"]
    assert volumes["state"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_erasure_is_confined_and_keeps_what_the_seed_had():
    cron_job = named(kustomize(DSR), "dsr-cleanup-helloworld-prod")
    spec, pod = cron_job["spec"], pod_of(cron_job)
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("30 6 * * 0,3", "Forbid")
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [one["containerPort"] for one in container["ports"]] == [8081]
    for probe, path in (("livenessProbe", "is-alive"), ("readinessProbe", "is-ready")):
        assert container[probe]["httpGet"] == {"path": f"/healthcheck/{path}", "port": "web"}
    assert "/usr/src/app/data" in {one["mountPath"] for one in container["volumeMounts"]}


def test_openshift_removes_what_it_gives_by_itself():
    overlay = yaml.safe_load((OPENSHIFT / "dsr" / "kustomization.yaml").read_text())
    (base,), (patch,) = overlay["resources"], overlay["patches"]
    assert (OPENSHIFT / "dsr" / base).resolve() == DSR.resolve()
    ((operation),) = yaml.safe_load(patch["patch"])
    assert operation["op"] == "remove"
    node = named(kustomize(DSR), "dsr-cleanup-helloworld-prod")
    for name in operation["path"].strip("/").split("/"):
        node = node[name]
    assert node == 10001


@pytest.fixture
def dsr(world):
    if not (BUILD / "plugins" / "dsr.so").exists() or not os.environ.get("RUN_CORE_DUCKDB"):
        pytest.skip("the plugin dsr or the SQL engine is not there")
    return world


def test_every_variable_of_the_erasure_is_an_option(dsr):
    described = json.loads(dsr.run("describe", "dsr", "--json").stdout)
    variables = {one["env"] for one in described["options"] if one.get("env")}
    cron_job = named(kustomize(DSR), "dsr-cleanup-helloworld-prod")
    assert all_names(cron_job, []) <= variables


def run_erasure(world, ceph, bucket, *more):
    """The container's command in its environment, with its volumes and bucket being those of the test."""
    objects = [*kustomize(DSR), DEPLOYMENTS]
    cron_job = named(objects, "dsr-cleanup-helloworld-prod")
    container = pod_of(cron_job)["containers"][0]
    places = {one["mountPath"]: world.root / one["name"] for one in container["volumeMounts"]}

    inside = re.compile(rf"({'|'.join(map(re.escape, places))})(?=[/ ])")

    def moved(text):
        text = inside.sub(lambda found: str(places[found.group(1)]), text)
        return text.replace("airlytics-datalake-internal-prod-pi", bucket)

    for place in places.values():
        place.mkdir(exist_ok=True)
    (settings,) = [one for one in objects if one["metadata"]["name"] == "dsr-cleanup-helloworld"
                   and one["kind"] == "ConfigMap"]
    for name, text in settings["data"].items():
        (world.root / "config" / name).write_text(moved(text))
    of_role = dict(AWS_ACCESS_KEY_ID=ceph.access_key, AWS_SECRET_ACCESS_KEY=ceph.secret_key,
                   AWS_ENDPOINT_URL=ceph.endpoint, TMPDIR=str(world.root / "tmp"),
                   RUN_CORE_DUCKDB=os.environ["RUN_CORE_DUCKDB"])
    words = [moved(word).replace("0.0.0.0:8081", "127.0.0.1:0") for word in container["args"]]
    assert container["command"] == ["run-core"]
    return world.run(*words, *more, env={**environment(cron_job, objects), **of_role})


def test_the_erasure_runs_with_nothing_else(dsr, ceph, bucket, tmp_path):
    duck, store = Duck(), ceph.s3()
    file = tmp_path / "file.parquet"
    keys = [(f"usersdb/{table}/HelloWorld/shard=7/day=2026-01-0{day}/dump", column)
            for table, column in (("users_pi", "id"), ("user_cohorts", "user_id"))
            for day in (1, 2)]
    for key, column in keys:
        duck.query(f"COPY (SELECT CASE WHEN i % 10 = 3 THEN 'O''Brien' ELSE 'u' || i END AS {column}, "
                   f"i FROM range(100) AS r(i)) TO '{file}' (FORMAT parquet)")
        store.upload_file(str(file), bucket, key)
    base = "airlytics-datalake-internal-prod/userDeletionRequests/DbDumps"
    volume = dsr.root / "persistence-pv-storage" / base
    for day in (1, 2):
        folder = volume / "HelloWorld" / "shard=7" / f"day=2026-01-0{day}"
        folder.mkdir(parents=True)
        (folder / f"_user_{USER}_day_2026-02-01").touch()

    planned = run_erasure(dsr, ceph, bucket, "--dry-run")
    assert planned.status == 0, planned.stderr
    assert (volume / "HelloWorld" / "shard=7" / "day=2026-01-01").is_dir()
    erased = run_erasure(dsr, ceph, bucket)
    assert erased.status == 0, erased.stderr
    for key, column in keys:
        store.download_file(bucket, key, str(file))
        assert duck.query(f"SELECT count(*), count(*) FILTER ({column} = 'O''Brien') "
                          f"FROM read_parquet('{file}')") == [("90", "0")]
    duck.close()
    assert not list((volume / "HelloWorld").rglob("_user_*"))
    archive = volume / "processed" / "HelloWorld"
    assert len(list(archive.rglob(f"_user_{USER}_day_2026-02-01"))) == 2
    (record,) = (archive / "dsr-report").glob("*.jsonl")
    (line,) = map(json.loads, record.read_text().splitlines())
    assert (line["shard"], line["rows"]) == (7, 40)
    assert (line["environment"], line["product"], line["deployment"]) == (
        "PROD", "Hello World App", "internal")
    assert USER not in record.read_text()
    assert {one["Key"] for one in store.list_objects_v2(Bucket=bucket)["Contents"]} == {
        key for key, _ in keys}
    assert list((dsr.root / "state").iterdir())  # the journal is on its volume


# ---- the quickstart's lake -----------------------------------------------------------------------


def test_the_lakes_users_are_dumped_and_some_of_them_erased(dsr, tmp_path):
    """As the quickstart does it, of a smaller lake."""
    lake, users, markers, archive = (tmp_path / name for name in ("l", "u", "m", "a"))
    scripts = SOURCE / "packaging"
    subprocess.run([scripts / "make-lake", lake, "--events", "6000", "--users", "300", "--days", "4",
                    "--partitions", "4", "--end", "2026-03-04"], check=True, capture_output=True)
    for status in (0, 1):  # what is there is not made again
        made = subprocess.run([scripts / "make-users", lake, users, markers, "--days", "3",
                               "--shards", "4"], capture_output=True, text=True)
        assert made.returncode == status, made.stderr
    names = sorted(path.name for path in markers.rglob("_user_*"))
    assert 10 < len(set(names)) < 40
    assert any(" " in name or "'" in name for name in names)  # the odd ones
    shards = {path.name for path in markers.iterdir()}
    assert shards == {"shard=0", "shard=1", "shard=3"}

    dsr.config(json.dumps({"plugins": {"dsr": {"config": {
        "markersBaseFolder": str(markers), "markersArchiveFolder": str(archive),
        "tempFolder": str(tmp_path / "t"),
        "cleanupTables": [
            {"piTable": table, "userIdColumn": column,
             "sourceS3Folder": f"{users}/usersdb/{table}/HelloWorld"}
            for table, column in (("users_pi", "id"), ("user_cohorts", "user_id"))]}}}}))

    def count():
        asked = subprocess.run(
            [scripts / "sql", f"""WITH asked AS (
                 SELECT DISTINCT regexp_extract(file, '.*/_user_(.*)_day_', 1) AS id
                 FROM glob('{tmp_path}/*/**/_user_*'))
             SELECT count(*), count(*) FILTER (id IN (FROM asked)) FROM (
                 SELECT id FROM read_parquet('{users}/usersdb/users_pi/**/*.parquet')
                 UNION ALL
                 SELECT user_id FROM read_parquet('{users}/usersdb/user_cohorts/**/*.parquet'))"""],
            capture_output=True, text=True, check=True)
        return tuple(map(int, asked.stdout.split("\t")))

    rows, theirs = count()
    assert 0 < theirs < rows
    lonely = users / "usersdb" / "users_pi" / "HelloWorld" / "shard=0" / "day=2026-03-02"
    assert list(lonely.iterdir())
    erased = dsr.run("dsr", "--json")
    assert erased.status == 0, erased.stderr
    assert erased.final["counters"]["rows_deleted"] == theirs
    assert count() == (rows - theirs, 0)
    assert not list(lonely.rglob("*.parquet"))
    assert erased.final["counters"]["files_removed"] == 2
    again = dsr.run("dsr")
    assert again.status == 0 and "no markers: nothing to erase" in again.stdout


# ---- the quickstart's tables ---------------------------------------------------------------------

INDEX = """Package: odd-one
Source: odd (1.0-1)
Version: 1:1.0-1
Architecture: amd64
Maintainer: Jané "J" O'Dear <jane@example.com>
Installed-Size: 12
Pre-Depends: libc6 (>= 2.34), dpkg
Depends: a:any | b (<< 2~) | c, d
Tag: one::two, three::four,
 five::six
SHA256: 00ff
Size: 345
Description: back\\slash\tand tab
 not of the first line

Package: bare
Description: nothing else
"""


def test_the_package_index_becomes_tables(postgres):
    script = subprocess.run([SOURCE / "packaging" / "make-packages"], input=INDEX, text=True,
                            capture_output=True, check=True).stdout
    postgres.make_database("index")
    for _ in range(2):  # what is there is replaced
        subprocess.run([postgres.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d",
                        postgres.url("index")], input=script, text=True, check=True)
    rows = json.loads("".join(postgres.sql(
        "SELECT json_agg(packages ORDER BY name) FROM packages", "index")))
    bare, odd = ({key: value for key, value in row.items() if value is not None} for row in rows)
    assert bare == {"name": "bare", "summary": "nothing else"}
    assert odd == {
        "name": "odd-one", "source": "odd (1.0-1)", "version": "1:1.0-1", "architecture": "amd64",
        "maintainer": 'Jané "J" O\'Dear <jane@example.com>', "installed_kib": 12,
        "size_bytes": 345, "sha256": "\\x00ff", "tags": ["one::two", "three::four", "five::six"],
        "summary": "back\\slash\tand tab"}
    assert postgres.sql("SELECT kind, alternatives, name, relation, needed_version "
                        "FROM dependencies ORDER BY kind, name", "index") == [
        "Depends|3|a||", "Depends|3|b|<<|2~", "Depends|3|c||", "Depends|1|d||",
        "Pre-Depends|1|dpkg||", "Pre-Depends|1|libc6|>=|2.34"]
    postgres.sql("DROP DATABASE index WITH (FORCE)")


# ---- delta-initiator -----------------------------------------------------------------------------

DELTA = SOURCE / "conf.d" / "delta-initiator.yaml"
COMPOSE = SOURCE / "packaging" / "compose" / "delta-initiator.yaml"
STREAMS = [{"name": name, "jobsGraph": f"http://example.com/graphs/{name}",
            "initialPublicationGraphSyncJobOperation": f"http://example.com/{name}/initial",
            "healingJobOperation": f"http://example.com/{name}/healing",
            "dumpFileCreationJobOperation": f"http://example.com/{name}/dump",
            "cronPatternDumpJob": "0 30 1 * * 6"} for name in ("besluiten", "leiding")]


def schedules(world, sample, variables):
    """Those of the jobs of a container's daemon, whose configuration is 'sample'."""
    if not (BUILD / "plugins" / "delta-initiator.so").exists():
        pytest.skip("the plugin delta-initiator is not built")
    world.config(sample, "delta-initiator.yaml")
    checked = world.run("check", env=variables)
    assert checked.status == 0, checked.stderr
    listed = world.run("list", "--json", env=variables).final["jobs"]
    return {job["name"]: job["schedule"] for job in listed}


def exported(world, schema, *words):
    """The objects, which Kubernetes would take, and what was said."""
    result = world.run("export", "kubernetes", *words)
    assert result.status == 0, result.stderr
    objects = [one for one in yaml.safe_load_all(result.stdout) if one]
    for one in objects:
        judge(schema, one)
    assert "config_file" in result.stderr  # which only the other machine knows
    return objects, result.stderr


def test_the_sample_is_exported_as_cron_jobs(world, schema):
    """All but the start's, which is said. What is blocked is tried again: 3 is no end of a run."""
    schedules(world, DELTA.read_text(), {})
    objects, said = exported(world, schema)
    assert "@startup" in said and "--as daemon" in said
    found = {one["metadata"]["name"]: one for one in objects if one["kind"] == "CronJob"}
    assert found.keys() == {"initial-sync-later", "healing", "dump"}
    for name in ("healing", "dump"):
        assert found[name]["spec"]["schedule"] == "0 0 * * *"
        spec = found[name]["spec"]["jobTemplate"]["spec"]
        assert spec["backoffLimit"] == 29
        (rule, _) = spec["podFailurePolicy"]["rules"]
        assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [2])


def test_the_sample_is_exported_as_a_daemon(world, schema):
    """To a cluster that gives it what the older service's container had: the environment as a
    Secret, or the JSON file, which has to be mounted."""
    schedules(world, DELTA.read_text(), {})
    objects, _ = exported(world, schema, "--as", "daemon")
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"secretRef": {"name": "run-core-env", "optional": True}} in container["envFrom"]
    assert all(one["valueFrom"]["secretKeyRef"]["optional"] for one in container["env"])
    (settings,) = [one["data"] for one in objects if one["kind"] == "ConfigMap"]
    of_environment = {"CRON_PATTERN_DUMP_JOB": "0 0 3 * * *"}
    found = schedules(world, settings["delta-initiator.yaml"], of_environment)
    assert (found["healing"], found["dump"]) == ("0 0 0 * * *", "0 0 3 * * *")
    file = world.root / "config.json"
    file.write_text(json.dumps(STREAMS))
    found = schedules(world, settings["delta-initiator.yaml"], {"CONFIG_FILE": str(file)})
    assert found["dump-leiding"] == "0 30 1 * * 6" and "healing-besluiten" in found


def test_the_services_of_compose_have_what_the_sample_reads(world):
    document = yaml.safe_load(COMPOSE.read_text())
    by_file, by_environment = document["services"].values()
    for service in (by_file, by_environment):
        targets = {volume.split(":")[1] for volume in service["volumes"]}
        assert {"/etc/run-core/conf.d/delta-initiator.yaml", "/var/lib/run-core"} <= targets
        named = {volume.split(":")[0] for volume in service["volumes"]
                 if not volume.startswith(".")}
        assert len(named) == 1 and named <= document["volumes"].keys()
    file = world.root / "config.json"
    file.write_text(json.dumps(STREAMS))
    assert by_file["environment"]["CONFIG_FILE"] in by_file["volumes"][0]
    found = schedules(world, DELTA.read_text(), {"CONFIG_FILE": str(file)})
    assert {"initial-sync-leiding", "healing-leiding", "dump-leiding"} <= found.keys()
    found = schedules(world, DELTA.read_text(), by_environment["environment"])
    assert {"initial-sync", "healing", "dump"} <= found.keys()
    described = json.loads(world.run("describe", "delta-initiator", "--json").stdout)
    known = {one.get("env") for one in described["options"]}
    assert by_environment["environment"].keys() <= known
