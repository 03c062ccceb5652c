"""What a configuration of dsr may ask of SQL engines that are elsewhere; none of them is reached."""
import json

import pytest
from dsr_world import DAYS, Folder
from test_dsr_plan import SEED

ENGINES = {
    "lake": {"engine": "trino", "url": "https://trino.example.com", "catalog": "hive",
             "work": "s3://lake/sessions/"},
    "near": {"engine": "trino", "url": "http://127.0.0.1:1", "catalog": "hive",
             "work": "file:///srv/sessions/", "shares_files": True},
    "cloud": {"engine": "athena", "region": "eu-west-1", "results": "s3://results/"},
    "here": {"engine": "duckdb"},
}


@pytest.fixture
def check(world):
    def run(sql=None, status=0, **changes):
        config = {
            "markersBaseFolder": f"{world.root}/markers",
            "markersArchiveFolder": f"{world.root}/archive",
            "cleanupTables": [{"piTable": "users", "userIdColumn": "id",
                               "sourceS3Folder": "s3://lake/users"}],
            **changes,
        }
        world.config(json.dumps({
            "plugins": {"dsr": {"config": config}}, "jobs": {"erase": {"plugin": "dsr"}},
            "sql": ENGINES if sql is None else sql}))
        result = world.run("check")
        assert result.status == status, result.text
        return result.stdout + result.stderr

    return run


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("verify", ["auto", "values"])
def test_every_engine_gives_a_second_opinion(check, engine, verify):
    check(engine=engine, verify=verify)


@pytest.mark.parametrize("engine", ["lake", "cloud"])
def test_only_one_that_reads_files_verifies_them(check, engine):
    kind = ENGINES[engine]["engine"]
    said = check(engine=engine, verify="engine", status=2)
    assert f"'verify' is 'engine', and the SQL engine '{engine}' ({kind}) reads no files" in said
    check(engine="here", verify="engine")


@pytest.mark.parametrize("engine", ["lake", "cloud"])
def test_it_has_to_reach_the_data_and_nothing_else(check, world, engine):
    tables = [{"piTable": "users", "userIdColumn": "id", "sourceS3Folder": "s3://lake/users"},
              {"piTable": "others", "userIdColumn": "id", "sourceS3Folder": f"{world.root}/lake"}]
    said = check(engine=engine, cleanupTables=tables, status=2)
    assert f"does not reach 'file://{world.root}/lake/', where the table 'others' lies" in said
    check(engine="near", cleanupTables=tables[1:])
    check(engine="here", cleanupTables=tables)


def test_the_only_engine_is_meant_where_none_is_named(check):
    said = check(sql={"lake": ENGINES["lake"]}, verify="engine", status=2)
    assert "'lake' (trino)" in said


def test_the_configuration_of_the_seed_on_athena(world):
    """As it stands, and the engine's kind: it says itself where Athena is."""
    (world.root / "dsr.json").write_text(json.dumps(SEED))
    world.config(json.dumps({
        "plugins": {"dsr": {"config_file": str(world.root / "dsr.json"),
                            "config": {"engine": "athena"}}},
        "jobs": {"erase": {"plugin": "dsr"}}}))
    result = world.run("check")
    assert result.status == 0, result.text


def test_an_engine_that_does_not_answer_is_told_before_anything_is_touched(world):
    markers = Folder(world.root / "markers")
    markers.put(f"shard=3/day={DAYS[0]}/_user_a_day_{DAYS[0]}")
    lake = Folder(world.root / "lake")
    lake.put(f"users/shard=3/day={DAYS[0]}/part-0.parquet", b"PAR1....PAR1")
    world.config(json.dumps({
        "core": {"http": {"backoff": "10ms", "max_backoff": "50ms", "attempts": 2}},
        "sql": {"near": {**ENGINES["near"], "work": f"file://{world.root}/sessions/"}},
        "plugins": {"dsr": {"config": {
            "markersBaseFolder": markers.uri,
            "markersArchiveFolder": f"{world.root}/archive",
            "cleanupTables": [{"piTable": "users", "userIdColumn": "id",
                               "sourceS3Folder": f"{lake.uri}/users"}]}}}}))
    before = markers.names(), lake.names()
    result = world.run("dsr")
    assert result.status == 1 and "127.0.0.1:1" in result.text, result.text
    assert (markers.names(), lake.names()) == before
    assert not (world.root / "archive" / "shard=3").exists()
