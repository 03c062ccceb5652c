"""Jobs that come from a list ('for_each', 'for_each_file'), and files that are one option's list:
whatever reads the configuration sees plain jobs."""

import json

import pytest
import yaml

from test_daemon import HOUR, clock, make

__all__ = ["clock", "make"]  # fixtures

STREAMS = [
    {"name": "roads", "cron": "0 0 1 * * *", "count": 5, "flag": True, "text": "a 'b' $${c}"},
    {"name": "rivers", "flag": False, "text": "", "password": None},
]

JOBS = """\
x-base: &base
  plugin: options
  time_zone: "${each:zone:-Europe/Prague}"
jobs:
  heal:
    <<: *base
    for_each_file: ../lists/streams.json
    schedule: "${each:cron:-${env:CRON:-0 0 0 * * *}}"
    config:
      needed: "${each:name}/${env:USER_OF_TEST:-nobody}"
      count: "${each:count:-3}"
      flag: "${each:flag}"
      text: "${each:text:-none}"
      list: ["$${each:name}", "<${each:name}>"]
  other: {plugin: noop}
"""


def put(world, items, name="streams.json"):
    folder = world.root / "lists"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(items, indent=1) if not isinstance(items, str) else items)
    return folder / name


def jobs_of(world, **options):
    result = world.run("list", "--json", **options)
    assert result.status == 0, result.stderr
    return {job["name"]: job for job in result.final["jobs"]}


def shown(result):
    assert result.status == 0, result.stderr
    return dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)


# ---- jobs ----------------------------------------------------------------------------------------


def test_every_item_is_a_job(world):
    put(world, STREAMS)
    world.config(JOBS)
    assert world.run("check").stdout.endswith(
        "no mistakes in 1 file, 2 plugins and 3 jobs\n")
    clock = {"RUN_CORE_CLOCK": "2026-06-01T12:00:00Z"}
    jobs = jobs_of(world, env=clock)
    assert list(jobs) == ["heal-roads", "heal-rivers", "other"]
    assert jobs["heal-roads"]["schedule"] == "0 0 1 * * *"
    assert jobs["heal-roads"]["next"] == "2026-06-01T23:00:00Z"
    assert jobs["heal-rivers"]["schedule"] == "0 0 0 * * *"
    assert jobs_of(world, env={"CRON": "@hourly"})["heal-rivers"]["schedule"] == "@hourly"
    completed = world.run("complete", "run", "heal")
    assert {"heal-roads", "heal-rivers"} <= set(completed.stdout.split())


def test_values_are_those_of_the_item(world):
    put(world, STREAMS)
    world.config(JOBS)
    roads = shown(world.run("run", "heal-roads"))
    assert (roads["needed"], roads["count"], roads["flag"]) == ("roads/nobody", "5", "1")
    assert (roads["text"], roads["list[0]"], roads["list[1]"]) == ("a 'b' ${c}", "${each:name}",
                                                                   "<roads>")
    rivers = shown(world.run("run", "heal-rivers", env={"USER_OF_TEST": "me"}))
    assert (rivers["needed"], rivers["count"], rivers["flag"]) == ("rivers/me", "3", "0")
    assert (rivers["text"], rivers["list[1]"]) == ("none", "<rivers>")
    result = world.run("run", "heal")
    assert result.status == 2 and "no job 'heal'" in result.stderr


@pytest.mark.parametrize("items, names", [
    ([{"name": "a"}], ["j-a"]),
    ([{"x": 1}], ["j"]),
    ([{"name": ""}, {"name": None}, {"name": 7}], ["j-1", "j-2", "j-7"]),
    ([], []),
])
def test_names(world, items, names):
    world.config(json.dumps({"jobs": {"j": {"plugin": "noop", "for_each": items}}}))
    assert list(jobs_of(world)) == names
    result = world.run("check")
    assert result.status == 0
    assert ("no job 'j': the list of its 'for_each' is empty\n" in result.stdout) == (items == [])


def test_without_a_list_there_is_the_one_job(world):
    world.config("""\
jobs:
  one:
    plugin: options
    for_each_file: "${env:LIST:-}"
    schedule: "${each:cron:-@daily}"
    config: {needed: "[${each:name:-}]"}
""")
    assert jobs_of(world)["one"]["schedule"] == "@daily"
    assert shown(world.run("run", "one"))["needed"] == "[]"
    path = put(world, "- name: a\n  cron: '@weekly'\n- {}\n", "any.yaml")
    jobs = jobs_of(world, env={"LIST": path})
    assert {name: job["schedule"] for name, job in jobs.items()} == {
        "one-a": "@weekly", "one-2": "@daily"}


def test_mistakes_stand_where_the_value_is(world):
    path = put(world, STREAMS[:1] + [{"name": "r", "cron": "0 25 * * *", "flag": "maybe"}])
    config = world.config(JOBS)
    result = world.run("check")
    shown_path = config.parent / "../lists/streams.json"
    lines = path.read_text().splitlines()
    cron = next(i for i, line in enumerate(lines, 1) if "25" in line)
    assert result.status == 2
    assert result.stderr.splitlines() == [
        f"{shown_path}:{cron}:11: job 'heal-r': schedule '0 25 * * *': hour '25' at character 3: "
        "the hour is 0 to 23, not 25",
        f"{shown_path}:{cron + 1}:11: 'flag' is 'maybe', which is not true or false",
    ]


def test_secrets_of_items_stay_secret(world):
    (world.root / "lists").mkdir()
    (world.root / "lists" / "key").write_text("swordfish-77\n")
    put(world, [{"name": "a", "key": "${file:key}", "number": "${file:key}"}])
    world.config("""\
jobs:
  a:
    plugin: options
    action: reveal
    for_each_file: ../lists/streams.json
    config: {needed: x, password: "<${each:key}>", count: "${env:COUNT:-1}"}
  b:
    plugin: options
    for_each_file: ../lists/streams.json
    config: {needed: x, count: "${each:number}"}
""")
    result = world.run("run", "a-a", "--json")
    assert result.status == 1 and "password '" in result.final["error"]
    assert "swordfish" not in result.stdout + result.stderr
    result = world.run("check")
    assert result.status == 2
    assert "the value of 'count' is not a whole number" in result.stderr
    assert "swordfish" not in result.stderr


def test_paths_of_items_are_beside_their_list(world):
    put(world, [{"name": "a", "values": "a.yaml"}, {"name": "b", "values": ""}])
    put(world, "needed: from the list's folder\n", "a.yaml")
    world.config("""\
jobs:
  j:
    plugin: options
    for_each_file: ../lists/streams.json
    config_file: "${each:values:-}"
    config: {text: "${each:name}"}
""")
    assert shown(world.run("run", "j-a"))["needed"] == "from the list's folder"
    assert "'needed' is required but not given" in world.run("run", "j-b").stderr


def test_many(world):
    put(world, [{"name": f"n{i}", "cron": f"{i % 60} * * * *"} for i in range(10000)])
    world.config("jobs:\n  j: {plugin: noop, for_each_file: ../lists/streams.json, "
                 "schedule: '${each:cron}'}\n")
    assert len(jobs_of(world)) == 10000
    put(world, [{"name": f"n{i}"} for i in range(10001)])
    result = world.run("check")
    assert result.status == 2 and "the list has 10001 items; 10000 are the most" in result.stderr
    put(world, [{"name": f"n{i}"} for i in range(5000)])
    world.config(json.dumps({"jobs": {"j": {
        "plugin": "options", "for_each_file": "../lists/streams.json",
        "config": {"needed": "x", "list": ["${each:name}"] * 300}}}}))
    result = world.run("check")
    assert result.status == 2 and "jobs of lists may have 1000000 values in all" in result.stderr


# ---- the daemon ----------------------------------------------------------------------------------


def test_the_daemon_keeps_them_and_takes_a_list_that_was_edited(make, clock):
    place = clock.path.parent / "list.yaml"
    witness = clock.path.parent / "witness"
    place.write_text("- {name: a, cron: '0 * * * *'}\n- {name: b, cron: '30 * * * *'}\n")
    daemon = make(f"""\
j:
  plugin: witness
  for_each_file: {place}
  schedule: "${{each:cron}}"
  config: {{file: {witness}, take: 0ms}}
""", clock=clock)
    clock.set(clock.now() + HOUR)
    for job in "j-a", "j-b":
        daemon.wait_for(lambda job=job: daemon.runs(job, status="succeeded"))
    assert daemon.ask("POST", "/api/v1/jobs/j-a/trigger", {})[0] in (200, 201, 202)
    daemon.wait_for(lambda: len(daemon.runs("j-a", status="succeeded")) == 2)
    assert daemon.ask("POST", "/api/v1/jobs/j/trigger", {})[0] == 404

    place.write_text("- {name: b, cron: '30 * * * *'}\n- {name: c, cron: '45 * * * *'}\n")
    assert daemon.ask("POST", "/api/v1/reload")[0] == 200
    before = len(daemon.runs("j-a"))
    clock.set(clock.now() + HOUR)
    daemon.wait_for(lambda: daemon.runs("j-c", status="succeeded"))
    daemon.wait_for(lambda: len(daemon.runs("j-b", status="succeeded")) == 2)
    assert len(daemon.runs("j-a")) == before

    place.write_text("- {name: b, cron: 'never'}\n")
    status, reply = daemon.ask("POST", "/api/v1/reload")
    (problem,) = json.loads(reply)["problems"]
    assert status == 422 and [problem[k] for k in ("file", "line", "column")] == [str(place), 1, 19]
    place.unlink()
    status, reply = daemon.ask("POST", "/api/v1/reload")
    assert status != 200 and "there is no file" in reply.decode()
    assert daemon.ask("GET", "/api/v1/jobs/j-c")[0] == 200
    assert daemon.stop() == 0


# ---- exports -------------------------------------------------------------------------------------

EXPORTED = """\
jobs:
  heal:
    plugin: aggregator
    for_each_file: ../lists/streams.json
    schedule: "${each:cron:-${env:CRON:-@daily}}"
    config: {password: "${each:password:-${file:secret}}", user: "${env:USER_NAME:-${env:LOGIN}}"}
"""


def test_exports_have_a_job_for_each(world):
    put(world, [{"name": "a", "cron": "0 1 * * *"}, {"name": "b", "password": "${env:PASSWORD}"}])
    world.config(EXPORTED)
    result = world.run("export", "kubernetes")
    assert result.status == 0, result.stderr
    documents = {(d["kind"], d["metadata"]["name"]): d
                 for d in yaml.safe_load_all(result.stdout)}
    assert documents["CronJob", "heal-a"]["spec"]["schedule"] == "0 1 * * *"
    assert documents["CronJob", "heal-b"]["spec"]["schedule"] == "0 0 * * *"
    pod = documents["CronJob", "heal-b"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][:2] == ["run", "heal-b"]
    assert "/etc/run-core/lists/streams.json" in [m["mountPath"] for m in container["volumeMounts"]]
    optional = {e["name"]: e["valueFrom"]["secretKeyRef"].get("optional", False)
                for e in container["env"]}
    assert optional == {"CRON": True, "USER_NAME": True, "LOGIN": True, "PASSWORD": False}
    files = [data for (kind, _), d in documents.items() if kind == "ConfigMap"
             for data in d["data"].values()]
    assert (world.root / "lists" / "streams.json").read_text() in files

    result = world.run("export", "systemd", "heal-a")
    assert result.status == 0, result.stderr
    assert "# run-core-heal-a.timer" in result.stdout and '"run" "heal-a"' in result.stdout
    assert "heal-b" not in result.stdout


def test_exports_say_what_they_cannot_know(world):
    put(world, [{"name": "a", "cron": "${env:CRON}"}])
    world.config(EXPORTED)
    result = world.run("export", "kubernetes")
    assert result.status == 2 and "its schedule is a ${...} without a default" in result.stderr
    put(world, [{"name": "${env:NAME}"}])
    result = world.run("export", "kubernetes")
    assert result.status == 2 and "only the other machine knows the 'name'" in result.stderr
    world.config(EXPORTED.replace("../lists/streams.json", '"${env:LIST}"'))
    result = world.run("export", "kubernetes")
    assert result.status == 2 and "only the other machine knows the list of job 'heal'" \
        in result.stderr
    world.config(EXPORTED.replace("../lists/streams.json", '"${env:LIST:-}"'))
    result = world.run("export", "systemd")
    assert result.status == 0 and "# run-core-heal.timer" in result.stdout
    world.run("export", "kubernetes")
    result = world.run("export", "kubernetes")
    assert "these are the jobs of its default" in result.stderr


# ---- a file that is a list -----------------------------------------------------------------------


def test_a_file_that_is_a_list_gives_the_option_for_it(world):
    path = put(world, [{"name": "a"}, {"name": "b", "days": 5}])
    result = world.run("options", "--set", "needed=x", "--set", f"config_file={path}")
    assert shown(result)["objects[1]"] == "b,5"
    world.config("""\
plugins:
  options: {config_file: ../lists/streams.json}
jobs:
  j: {plugin: options, config: {needed: x}}
  own: {plugin: options, config: {needed: x, objects: [{name: c}]}}
""")
    assert shown(world.run("run", "j"))["objects[0]"] == "a,7"
    own = shown(world.run("run", "own"))
    assert own["objects[0]"] == "c,7" and "objects[1]" not in own
    put(world, [{"name": "a"}, {"name": "b", "days": 0, "dsay": 1}])
    result = world.run("check")
    place = world.root / "conf.d/../lists/streams.json"
    assert result.status == 2
    assert result.stderr.splitlines() == [
        f"{place}:7:11: 'objects[1].days' is 0; it must be from 1 to 5000 days",
        f"{place}:8:3: unknown key 'dsay' of 'objects' of plugin 'options'; the valid ones are: "
        "name, days"]
    world.config("jobs:\n  j: {plugin: noop, config_file: ../lists/streams.json}\n")
    result = world.run("check")
    assert result.status == 2
    assert "a config_file holds a map of options, not a list; put the list under the key of the " \
        "option that it is for" in result.stderr


def test_describe_says_which_option_that_is(world):
    options = {o["key"]: o for o in world.run("describe", "options", "--json").final["options"]}
    assert [key for key, option in options.items() if "whole" in option] == ["objects"]
    assert options["objects"]["whole"] is True
    said = " ".join(world.run("describe", "options").stdout.split())
    assert "Several items. May be all that a config_file or config_url holds." in said
