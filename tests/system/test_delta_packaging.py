"""The services that packaging/compose has for delta-initiator: with their environment and files, and
nothing else, the daemon has its jobs."""

import json
import shutil

import pytest
import yaml
from conftest import SOURCE
from delta_world import Stream

COMPOSE = SOURCE / "packaging" / "compose" / "delta-initiator.yaml"
SAMPLE = SOURCE / "conf.d" / "delta-initiator.yaml"


@pytest.fixture(params=["delta-producer-background-jobs-initiator",
                        "delta-producer-background-jobs-initiator-some-theme"])
def service(request):
    return yaml.safe_load(COMPOSE.read_text())["services"][request.param]


def targets(service):
    """Where a volume's source is seen, by its name."""
    split = [volume.split(":") for volume in service["volumes"]]
    return {parts[0].rpartition("/")[2]: parts[1] for parts in split}


def test_its_volumes_are_declared(service):
    declared = yaml.safe_load(COMPOSE.read_text())["volumes"]
    named = [volume.split(":")[0] for volume in service["volumes"]]
    assert all(name.startswith("./") or name in declared for name in named)


def test_its_environment_is_that_of_options(world, service):
    described = json.loads(world.run("describe", "delta-initiator", "--json").stdout)
    known = {option.get("env") for option in described["options"]} | {"CONFIG_FILE"}
    assert set(service["environment"]) <= known


def test_the_daemon_has_its_jobs(world, service):
    places = targets(service)
    assert places["delta-initiator.yaml"] == "/etc/run-core/conf.d/delta-initiator.yaml"
    folder = world.root / "conf.d"
    folder.mkdir()
    shutil.copy(SAMPLE, folder)
    environment = {name: str(value) for name, value in service["environment"].items()}
    names = [""]
    if "CONFIG_FILE" in environment:
        assert environment["CONFIG_FILE"] == places["config.json"]
        file = world.root / "config.json"
        file.write_text(json.dumps([Stream("besluiten").entry(), Stream("leiding").entry()]))
        environment["CONFIG_FILE"] = str(file)
        names = ["-besluiten", "-leiding"]
    world.environment.update(environment, RUN_CORE_CONFIG=str(folder))
    assert world.run("check").status == 0
    jobs = {job["name"] for job in world.run("list", "--json").final["jobs"]}
    assert jobs == {"initial-sync-later"} | {
        kind + name for kind in ("initial-sync", "healing", "dump") for name in names}
