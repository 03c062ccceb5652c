"""The older system's configuration values, one by one: each may be given flat or nested and is read,
and has its effect, or says what has taken its place."""
import json

import pytest
from sdrs_google_world import google  # noqa: F401
from sdrs_world import PROJECT, rule, sdrs  # noqa: F401
from test_sdrs_packaging import SEED

# pylint: disable=redefined-outer-name

NOW = "2019-03-10T05:30:00Z"


def leaves(tree, above=""):
    """Each value by its name with dots."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


VALUES = dict(leaves(SEED))
REPLACED = [name for name in VALUES if name.rpartition(".")[2] in (
    "shutdownSleepMinutes", "initialDelay", "frequency", "timeUnit", "shutdownWait",
    "shutdownTimeUnit") or name == "scheduler.threadPoolSize"]


def check(world, config):
    world.config(json.dumps({"plugins": {"sdrs": {"config": config}}}))
    result = world.run("check", env={"SDRS_PUBSUB_TOPIC_NAME": "projects/analytics/topics/t"})
    return result.status, result.stdout + result.stderr


# ---- how they are given --------------------------------------------------------------------------


def test_each_value_may_be_flat(world):
    assert len(VALUES) == 28
    status, said = check(world, VALUES)
    assert status == 0, said


def test_each_value_is_read_flat_and_nested(world):
    """Where it is wrong, its name is told."""
    def wrong(tree):
        return {name: wrong(value) if isinstance(value, dict) else ["wrong", "too"]
                for name, value in tree.items()}

    for config in ({name: ["wrong", "too"] for name in VALUES}, wrong(SEED)):
        status, said = check(world, config)
        assert status == 2
        for name in VALUES:
            assert f"'{name}'" in said or f"'{name.replace('Exlcude', 'Exclude')}'" in said, name


def test_a_value_is_given_once(world):
    status, said = check(world, {"sts.maxPrefixCount": 5, "sts": {"maxPrefixCount": 6}})
    assert status == 2 and "'sts.maxPrefixCount' is given twice" in said
    status, said = check(world, {"sts": {"maxPrefixCounts": 5}})
    assert status == 2 and "did you mean 'sts.maxPrefixCount'?" in said


def test_what_has_no_effect_says_what_has(world):
    described = json.loads(world.run("describe", "sdrs", "--json").stdout)
    helps = {option["key"]: option["help"] for option in described["options"]}
    assert helps.keys() >= VALUES.keys() - {"sts.defaultRuleExlcudePrefixList"}
    for name in VALUES:
        if name.lower().endswith("timeunit"):
            continue  # of what is beside it
        assert ("without effect" in helps.get(name, "")) == (name in REPLACED), name
        if name in REPLACED:
            assert any(word in helps[name] for word in ("'schedule'", "'kill_after'", "daemon"))


# ---- what they do --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_prefix, shadow", [(True, "scratch-events"),
                                               (False, "eventsscratch-")])
def test_the_name_of_the_shadow(sdrs, is_prefix, shadow):
    sdrs.bucket("events", shadow=False)
    (sdrs.root / shadow).mkdir()
    keys = sdrs.hours("events", "clicks", "2019-01-01T00", 3)
    sdrs.configure(sts={"shadowBucketExtension": "scratch-",
                        "shadowBucketExtensionPrefix": is_prefix},
                   rules=[rule(sdrs, "events", "clicks")])
    assert sdrs.run("execute", now=NOW).status == 0
    assert sdrs.keys(shadow) == keys and sdrs.keys("events") == []
    assert sdrs.run("restore", prefix=sdrs.name("events", "clicks/")).status == 0
    assert sdrs.keys("events") == keys


@pytest.mark.parametrize("lookback, last", [
    (365, ["clicks/2018/"]),
    (0, ["clicks/2018/", "clicks/2017/", "clicks/2016/"]),
    (30, [])])
def test_the_lookback_bounds_the_prefixes(google, lookback, last):
    """The published ones, to where the lookback or the data ends."""
    google.bucket("events")
    google.put("events", "clicks/2016/12/31/23/log")
    google.rule("events", "clicks", 30)
    google.configure(sts={"maxLookBackInDays": lookback})
    assert google.run("execute").status == 0
    job, = google.jobs()
    expected = [*(f"clicks/2019/02/08/{hour:02}/" for hour in range(5)),
                *(f"clicks/2019/02/{day:02}/" for day in range(1, 8)), "clicks/2019/01/", *last]
    if lookback == 365:
        assert len(expected) == 14
    assert sorted(google.includes(job)) == sorted(expected)


@pytest.mark.parametrize("values, refused", [
    ({"max_delete_objects": 6}, "would move 7 objects, and 'max_delete_objects' is 6"),
    ({"max_delete_share": 0.6}, "would move 7 of 10 objects"),
    ({"max_delete_objects": 7, "max_delete_share": 0.7}, None)])
def test_limits_of_what_may_move(sdrs, values, refused):
    sdrs.bucket("events")
    keys = sdrs.hours("events", "clicks", "2019-02-07T22", 7)
    stays = sdrs.hours("events", "clicks", "2019-02-08T05", 3)
    sdrs.configure(rules=[rule(sdrs, "events", "clicks")], **values)
    result = sdrs.run("execute", "--json", now=NOW)
    if refused:
        assert result.status == 1
        assert refused in result.final["error"] and "confirm" in result.final["error"]
        assert sdrs.keys("events") == sorted(keys + stays) and sdrs.keys("eventsshadow") == []
        result = sdrs.run("execute", now=NOW, confirm=True)
    assert result.status == 0, result.text
    assert sdrs.keys("events") == stays and sdrs.keys("eventsshadow") == keys


def test_what_a_delete_marker_is_called(sdrs):
    sdrs.bucket("events")
    sdrs.configure(scheduler={"task": {"dmBatchProcessing": {"dmRegexPattern": "_gone(-[0-9]+)?"}}})
    with sdrs.serve() as service:
        for name, status in (("_gone", 200), ("_gone-12", 200), ("_gone-", 400), ("x_gone", 400),
                             (".delete_this_folder", 400)):
            reply = service.post("/events/execution", {
                "type": "USER", "projectId": PROJECT,
                "target": sdrs.name("events", f"clicks/{name.strip('_')}/{name}")})
            assert reply.status == status, reply.text


def test_how_often_a_delete_marker_is_tried_again(sdrs):
    """Five times where nothing else is said."""
    sdrs.bucket("bare", shadow=False)
    with sdrs.serve() as service:
        execution = service.post("/events/execution", {
            "type": "USER", "projectId": PROJECT,
            "target": sdrs.name("bare", "clicks/.delete_this_folder")}).json["executionId"]
        seen = []
        while not seen or seen[-1][0] != "fail":
            assert sdrs.run("dm-batch").status == 1
            marker, = service.get(f"/events/execution/{execution}").json["markers"]
            seen.append((marker["status"], marker["retries"]))
        assert seen == [*(("retry", i) for i in range(5)), ("fail", 5)]


def test_buckets_one_after_the_other(google):
    """With one thread no bucket's turn comes before the one before has its transfer job."""
    names = ("a", "b", "c")
    for name in names:
        google.bucket(name)
        google.put(name, "clicks/2019/01/01/00/log")
        google.rule(name, "clicks", 30)
    google.configure(jobManager={"threadPoolSize": 1})
    google.gcs.rules.add(method="POST", target="/v1/transferJobs$", delay_ms=200, times=None)
    assert google.run("execute").status == 0
    asked = [call.target for call in google.gcs.calls if call.method in ("GET", "POST")]
    made = [i for i, target in enumerate(asked) if target.endswith("/v1/transferJobs")]
    seen = [next(i for i, target in enumerate(asked) if f"/b/{name}/o" in target)
            for name in names]
    assert sorted(made + seen) == [seen[0], made[0], seen[1], made[1], seen[2], made[2]], asked
