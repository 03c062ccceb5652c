"""Retention rules over HTTP: what the older system's clients send and read, word by word, and what
it got wrong."""

import re
import threading

import pytest
from api_world import Daemon, until
from sdrs_world import PROJECT, sdrs, service  # noqa: F401: fixtures

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TYPE_MISSING = "type, one of [GLOBAL, DATASET, DEFAULT],  must be provided."
PROJECT_MISSING = "projectId must be provided if type is DATASET"


def said(reply, status=400):
    """The message of an error, which has nothing else but the request's UUID."""
    assert reply.status == status, reply.text
    assert reply.headers["content-type"].startswith("application/json")
    assert set(reply.json) == {"requestUuid", "message"} and UUID.fullmatch(
        reply.json["requestUuid"])
    return reply.json["message"]


def body_of(sdrs, bucket="events", path="clicks", **more):
    body = {"type": "DATASET", "projectId": PROJECT, "dataStorageName": sdrs.name(bucket, path),
            "retentionPeriod": 30, **more}
    return {name: value for name, value in body.items() if value is not ...}


def key_of(sdrs, bucket="events", path="clicks", kind="DATASET"):
    return {"type": kind, "projectId": PROJECT, "dataStorageName": sdrs.name(bucket, path)}


# ---- life of a rule ----


def test_a_rule_is_made_read_changed_and_deleted(sdrs, service):
    made = service.post("/retentionrules", body_of(sdrs, datasetName="Clicks"))
    assert made.status == 200 and set(made.json) == {"requestUuid", "ruleId"}
    rule = made.json["ruleId"]
    expected = {"ruleId": rule, "datasetName": "Clicks", "retentionPeriod": 30,
                "retentionPeriodUnit": "DAY", "dataStorageName": sdrs.name("events", "clicks"),
                "projectId": PROJECT, "type": "DATASET"}

    def without_uuid(reply):
        assert reply.status == 200, reply.text
        found = reply.json
        assert UUID.fullmatch(found.pop("requestUuid"))
        return found

    assert without_uuid(service.get("/retentionrules", **key_of(sdrs))) == expected
    # The older system insisted on no unit and refused one; here both are right.
    changed = service.put(f"/retentionrules/{rule}", {"retentionPeriod": 60})
    assert without_uuid(changed) == {**expected, "retentionPeriod": 60}
    changed = service.put(f"/retentionrules/{rule}",
                          {"retentionPeriod": 3, "retentionPeriodUnit": "MONTH"})
    expected.update(retentionPeriod=3, retentionPeriodUnit="MONTH")
    assert without_uuid(changed) == expected
    assert without_uuid(service.get("/retentionrules", **key_of(sdrs))) == expected
    assert without_uuid(service.delete("/retentionrules", **key_of(sdrs))) == {"ruleId": rule}
    # The older system still gave it.
    assert said(service.get("/retentionrules", **key_of(sdrs)), 404) == (
        f"No rule found matching projectId: '{PROJECT}' and dataStorageName: "
        f"'{sdrs.name('events', 'clicks')}'")
    said(service.delete("/retentionrules", **key_of(sdrs)), 404)
    assert said(service.put(f"/retentionrules/{rule}", {"retentionPeriod": 1})) == (
        f"No rule exists with ID: {rule}")


def test_a_deleted_rule_revives(sdrs, service):
    rule = service.add_rule("events", "clicks", 30)
    service.put(f"/retentionrules/{rule}", {"retentionPeriod": 40})
    service.delete("/retentionrules", **key_of(sdrs))
    assert service.add_rule("events", "clicks", 50, retentionPeriodUnit="month") == rule
    history = service.get(f"/retentionrules/{rule}/history").json
    assert history["ruleId"] == rule and UUID.fullmatch(history["requestUuid"])
    versions = history["versions"]
    assert [one["version"] for one in versions] == [4, 3, 2, 1]
    assert [one["retentionPeriod"] for one in versions] == [50, 40, 40, 30]
    assert [one["retentionPeriodUnit"] for one in versions] == ["MONTH", "DAY", "DAY", "DAY"]
    assert [one["isActive"] for one in versions] == [True, False, True, True]
    assert {one["user"] for one in versions} == {"unknown"}
    assert {one["createdAt"] for one in versions[1:]} == {versions[-1]["createdAt"]}
    times = [one["updatedAt"] for one in versions]
    assert times == sorted(times, reverse=True)
    assert said(service.get("/retentionrules/99/history"), 404) == "No rule exists with ID: 99"
    assert said(service.get("/retentionrules/x/history"), 404) == "No rule exists with ID: x"


def test_rules_live_in_the_state(sdrs, service):
    rule = service.add_rule("events", "clicks", 30)
    assert service.stop() == 0
    with sdrs.serve() as again:
        assert again.get("/retentionrules", **key_of(sdrs)).json["ruleId"] == rule


# ---- one rule a name ----


def test_a_name_has_one_active_rule(sdrs, service):
    service.add_rule("events", "clicks")
    service.add_rule("events")  # a DEFAULT rule stands beside it
    name = sdrs.name("events", "clicks")
    assert said(service.post("/retentionrules", body_of(sdrs))) == (
        f"A DATASET rule already exists with project id: {PROJECT}, data storage name: {name}")
    assert said(service.post("/retentionrules", body_of(sdrs, path="", type="DEFAULT"))) == (
        f"A DEFAULT rule already exists with project id: {PROJECT}, data storage name: "
        f"{sdrs.name('events')}")


@pytest.mark.parametrize("other", ["clicks/daily", "clicks/daily/x", "clicks/", "clicks//daily"])
def test_datasets_do_not_nest(sdrs, service, other):
    service.add_rule("events", "clicks")
    message = said(service.post("/retentionrules", body_of(sdrs, path=other)))
    assert "already exists with project id" in message
    assert len(service.get("/retentionrules").json["rules"]) == 1


def test_a_dataset_above_is_refused_and_a_neighbour_is_not(sdrs, service):
    service.add_rule("events", "data/clicks")
    assert "non-nesting" in said(service.post("/retentionrules", body_of(sdrs, path="data")))
    # The older system took a name that begins alike for one within.
    service.add_rule("events", "data/clicks2")
    service.add_rule("events", "dat")
    sdrs.bucket("events2")
    service.add_rule("events2", "data")


def test_many_at_once_make_one_rule(sdrs, service):
    replies = []

    def add(path):
        replies.append(service.post("/retentionrules", body_of(sdrs, path=path)))

    threads = [threading.Thread(target=add, args=(path,))
               for path in ["clicks", "clicks/daily", "clicks/daily/x"] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status for reply in replies) == [200] + [400] * 11
    assert len(service.get("/retentionrules").json["rules"]) == 1


# ---- kinds of rules ----


def test_default_is_cut_to_its_bucket(sdrs, service):
    rule = service.post("/retentionrules",
                        body_of(sdrs, path="some/where", type="DEFAULT")).json["ruleId"]
    for path in ("", "another/place"):
        found = service.get("/retentionrules", **key_of(sdrs, path=path, kind="DEFAULT")).json
        assert found["ruleId"] == rule
        assert found["dataStorageName"] == sdrs.name("events")
        assert found["datasetName"] == "events"


def test_global_stands_under_names_of_its_own(sdrs, service):
    rule = service.post("/retentionrules", {"type": "GLOBAL", "retentionPeriod": 60,
                                            "projectId": "any", "dataStorageName": "gs://any"})
    found = service.get("/retentionrules", type="GLOBAL").json
    assert found["ruleId"] == rule.json["ruleId"]
    assert (found["projectId"], found["dataStorageName"]) == ("global-default", "gs://global")
    assert service.get("/retentionrules", type="GLOBAL", projectId="global-default",
                       dataStorageName="gs://global").json["ruleId"] == found["ruleId"]
    assert "A GLOBAL rule already exists" in said(
        service.post("/retentionrules", {"type": "GLOBAL", "retentionPeriod": 1}))
    assert service.delete("/retentionrules", type="GLOBAL").json["ruleId"] == found["ruleId"]
    assert said(service.get("/retentionrules", type="GLOBAL"), 404) == (
        "No rule found matching projectId: 'global-default' and dataStorageName: 'gs://global'")


def test_the_names_of_the_global_rule_are_configured(sdrs):
    sdrs.configure(**{"sts.defaultProjectId": "all", "sts.defaultStorageName": "gs://every"})
    with sdrs.serve() as service:
        service.add_global_rule(5)
        found = service.get("/retentionrules", type="global").json
        assert (found["projectId"], found["dataStorageName"]) == ("all", "gs://every")


def test_the_name_of_a_dataset(sdrs, service):
    service.add_rule("events", "clicks/daily")
    service.add_rule("events", "views", dataSetName="Views")  # as the older system's pages have it
    service.add_rule("events", "likes", dataSetName="")
    found = [service.get("/retentionrules", **key_of(sdrs, path=path)).json["datasetName"]
             for path in ("clicks/daily", "views", "likes")]
    assert found == ["clicks/daily", "Views", "likes"]


def test_a_query_does_not_mind_case_and_slashes(sdrs, service):
    rule = service.add_rule("events", "clicks/daily")
    found = service.get("/retentionrules", **key_of(sdrs, path="clicks//daily/", kind="dataset"))
    assert found.json["ruleId"] == rule
    # A body is held to the words themselves, as ever.
    assert said(service.post("/retentionrules", body_of(sdrs, type="dataset"))) == (
        "Expected 'dataset' to be one of [GLOBAL, DATASET, DEFAULT]")


# ---- what is refused ----

PERIOD = "retentionPeriod exceeds maximum value of retentionPeriodUnit {} of {}"


@pytest.mark.parametrize("unit, most", [("DAY", 1095), ("MONTH", 84), ("VERSION", 30)])
def test_periods_have_bounds(sdrs, service, unit, most):
    refused = [said(service.post("/retentionrules", body_of(
        sdrs, retentionPeriod=period, retentionPeriodUnit=unit)))
        for period in (-1, most + 1, 5_000_000_000, 9223372036854775807)]
    assert refused == ["Invalid input: retentionPeriod must be at least 0",
                       *["Invalid input: " + PERIOD.format(unit, most)] * 3]
    rule = service.add_rule("events", "clicks", most, retentionPeriodUnit=unit)
    assert service.put(f"/retentionrules/{rule}", {"retentionPeriod": 0}).status == 200
    # The bound is that of the rule's own unit.
    assert said(service.put(f"/retentionrules/{rule}", {"retentionPeriod": most + 1})) == (
        "Invalid input: " + PERIOD.format(unit, most))


def test_an_update_that_is_refused_changes_nothing(sdrs, service):
    rule = service.add_rule("events", "clicks", 30)
    for body, message in [
        ({}, "Invalid input: retentionPeriod must be provided"),
        ({"retentionPeriod": -1}, "Invalid input: retentionPeriod must be at least 0"),
        ({"retentionPeriod": 90, "retentionPeriodUnit": "MONTH"},
         "Invalid input: " + PERIOD.format("MONTH", 84)),
        ({"retentionPeriod": 9, "retentionPeriodUnit": "YEAR"},
         "Invalid input: retentionPeriodUnit has to be one of [DAY, MONTH, VERSION]"),
        ({"retentionPeriod": 9, "type": "GLOBAL"}, "'type' is not an expected object property"),
    ]:
        assert said(service.put(f"/retentionrules/{rule}", body)) == message
    for id_ in ("99", "0", "-1", "x", "9999999999999999999999"):
        assert said(service.put(f"/retentionrules/{id_}", {"retentionPeriod": 1})) == (
            f"No rule exists with ID: {id_}")
    versions = service.get(f"/retentionrules/{rule}/history").json["versions"]
    assert [one["retentionPeriod"] for one in versions] == [30]


@pytest.mark.parametrize("body, mistakes", [
    ({}, [TYPE_MISSING, "retentionPeriod must be provided"]),
    ({"type": None}, [TYPE_MISSING, "retentionPeriod must be provided"]),
    ({"type": "GLOBAL"}, ["retentionPeriod must be provided"]),
    ({"type": "DATASET"}, ["dataStorageName must be provided", PROJECT_MISSING,
                           "retentionPeriod must be provided"]),
    ({"type": "DEFAULT", "dataStorageName": "gs://b", "retentionPeriod": 1},
     ["projectId must be provided if type is DEFAULT"]),
    ({"type": "DATASET", "dataStorageName": "gs:///d", "projectId": "p", "retentionPeriod": 1},
     ["dataStorageName must include a bucket name"]),
    ({"type": "DATASET", "dataStorageName": "gs://b/d", "projectId": "p", "retentionPeriod": -1,
      "retentionPeriodUnit": "YEAR"},
     ["retentionPeriod must be at least 0",
      "retentionPeriodUnit has to be one of [DAY, MONTH, VERSION]"]),
])
def test_mistakes_are_told_in_a_fixed_order(service, body, mistakes):
    for _ in range(3):
        assert said(service.post("/retentionrules", body)) == "Invalid input: " + ", ".join(
            mistakes)


@pytest.mark.parametrize("name", ["events/clicks", "http://events/clicks", "", "GS//b", "ftp://b"])
def test_names_have_one_of_the_schemes(service, name):
    message = said(service.post("/retentionrules", {
        "type": "DATASET", "dataStorageName": name, "projectId": "p", "retentionPeriod": 1}))
    assert "dataStorageName must start with" in message and "'gs://'" in message


def test_what_names_a_rule_in_a_query_is_checked(sdrs, service):
    for ask in (service.get, service.delete):
        assert said(ask("/retentionrules", type="DATASET")) == (
            f"Invalid input: dataStorageName must be provided, {PROJECT_MISSING}")
        assert said(ask("/retentionrules", projectId="p")) == f"Invalid input: {TYPE_MISSING}"
        assert said(ask("/retentionrules", type="USER", projectId="p")) == (
            f"Invalid input: {TYPE_MISSING}")
        assert said(ask("/retentionrules", type="")) == f"Invalid input: {TYPE_MISSING}"
    assert said(service.delete("/retentionrules")) == f"Invalid input: {TYPE_MISSING}"


def test_a_rule_whose_directory_is_configured_no_more(sdrs):
    """It fails each execution, until it is deleted by the name that it has."""
    sdrs.bucket("events")
    with sdrs.serve() as service:
        service.add_rule("events", "clicks", 30)
    sdrs.configure(file_roots=None)
    assert sdrs.run("execute").status == 1
    with sdrs.serve() as service:
        assert service.get("/retentionrules", **key_of(sdrs)).status == 200
        assert service.delete("/retentionrules", **key_of(sdrs)).status == 200
        assert "below none of the directories" in said(
            service.delete("/retentionrules", **key_of(sdrs)))
    assert sdrs.run("execute").status == 0


def test_the_bucket_has_to_be_there(sdrs, service):
    assert said(service.post("/retentionrules", body_of(sdrs, bucket="nowhere"))) == (
        f"Bucket nowhere does not exist for project {PROJECT}")
    (sdrs.root / "file").write_text("x")
    said(service.post("/retentionrules", body_of(sdrs, bucket="file")))
    message = said(service.post("/retentionrules",
                                body_of(sdrs, dataStorageName="file:///elsewhere/b/d")))
    assert "file_roots" in message
    for path in ("../../x", "a/../b", "."):
        said(service.post("/retentionrules", body_of(sdrs, path=path)))
    assert service.get("/retentionrules").json["rules"] == []


def test_rules_for_buckets_of_s3(sdrs, bucket, ceph):
    missing = f"{bucket}-nowhere"
    for name in (bucket, missing):
        sdrs.stores[name] = {
            "bucket": name, "endpoint": ceph.endpoint, "region": ceph.region,
            "access_key_id": ceph.access_key, "secret_access_key": ceph.secret_key}
    sdrs.configure()
    with sdrs.serve() as service:
        body = body_of(sdrs, dataStorageName=f"s3://{bucket}/clicks/")
        rule = service.post("/retentionrules", body)
        assert rule.status == 200, rule.text
        found = service.get("/retentionrules", type="DATASET", projectId=PROJECT,
                            dataStorageName=f"s3://{bucket}/clicks").json
        assert (found["ruleId"], found["datasetName"]) == (rule.json["ruleId"], "clicks")
        assert said(service.post("/retentionrules", dict(
            body, dataStorageName=f"s3://{missing}/clicks"))) == (
                f"Bucket {missing} does not exist for project {PROJECT}")
        # Which credentials the server looked for is not for clients.
        assert said(service.post("/retentionrules", dict(
            body, dataStorageName="s3://elsewhere/clicks"))) == (
                f"Bucket elsewhere of project {PROJECT} cannot be looked at: the server has no "
                "access to it, and its log says why")
        assert "AWS_ACCESS_KEY_ID" in service.said


def test_rules_for_buckets_of_google(sdrs, gcs):
    sdrs.use_google(gcs, "events", "nowhere")
    gcs.store.make_bucket("events", PROJECT)
    with sdrs.serve() as service:
        body = body_of(sdrs, dataStorageName="gs://events/clicks")
        assert service.post("/retentionrules", body).status == 200
        assert said(service.post("/retentionrules", dict(
            body, dataStorageName="gs://nowhere/clicks"))) == (
                f"Bucket nowhere does not exist for project {PROJECT}")


# ---- all rules ----


def test_all_rules_by_pages(sdrs, service):
    ids = [service.add_rule("events", f"set{i}") for i in range(7)]
    service.delete("/retentionrules", **key_of(sdrs, path="set3"))
    active = [id_ for id_ in ids if id_ != ids[3]]
    page = service.get("/retentionrules").json
    assert set(page) == {"rules", "next", "requestUuid"} and page["next"] is None
    assert [rule["ruleId"] for rule in page["rules"]] == active
    assert {"version", "user", "createdAt", "updatedAt", "isConfigured"} <= set(page["rules"][0])
    found, after, pages = [], 0, 0
    while after is not None:
        page = service.get("/retentionrules", after=after, limit=2).json
        found += [rule["ruleId"] for rule in page["rules"]]
        after, pages = page["next"], pages + 1
    assert (found, pages) == (active, 3)
    for query, name in [({"limit": 0}, "limit"), ({"limit": 1001}, "limit"),
                        ({"limit": "x"}, "limit"), ({"after": -1}, "after")]:
        assert f"{name} has to be a number" in said(service.get("/retentionrules", **query))


# ---- several servers ----


def test_servers_on_one_database_are_one(sdrs, state_on_postgres):
    sdrs.bucket("events")
    with sdrs.serve() as one, sdrs.serve() as other:
        replies = []

        def add(service, path):
            replies.append(service.post("/retentionrules", body_of(sdrs, path=path)).status)

        threads = [threading.Thread(target=add, args=(service, path))
                   for path in ["clicks", "clicks/daily"] * 3 for service in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(replies) == [200] + [400] * 11
        rule, = other.get("/retentionrules").json["rules"]
        assert one.put(f"/retentionrules/{rule['ruleId']}", {"retentionPeriod": 7}).status == 200
        assert [version["retentionPeriod"] for version in
                other.get(f"/retentionrules/{rule['ruleId']}/history").json["versions"]] == [7, 30]


# ---- rules of the configuration ----


def test_rules_of_the_configuration_are_there(sdrs):
    sdrs.bucket("events")
    rules = [{"type": "DATASET", "dataStorageName": sdrs.name("events", path),
              "projectId": PROJECT, "retentionPeriod": 30} for path in ("clicks", "views")]
    sdrs.configure(rules=rules)
    with sdrs.serve() as service:
        assert service.get("/retentionrules", **key_of(sdrs)).json["retentionPeriod"] == 30
        service.add_rule("events", "extra")
    sdrs.configure(rules=[dict(rules[0], retentionPeriod=10)])
    with sdrs.serve() as service:
        found = service.get("/retentionrules").json["rules"]
    assert [(rule["datasetName"], rule["retentionPeriod"], rule["version"], rule["isConfigured"])
            for rule in found] == [("clicks", 10, 2, True), ("extra", 30, 1, False)]


# ---- under the daemon ----


def test_rules_below_the_daemon(sdrs):
    sdrs.bucket("events")
    daemon = Daemon(sdrs.world,
                    f"plugins:\n  sdrs: {{serve: true, config: {{file_roots: ['{sdrs.root}']}}}}\n")
    try:
        api, path = daemon.local, "/plugins/sdrs/retentionrules"
        assert until(lambda: api.get("/plugins/sdrs/status").status == 200)
        made = api.post(path, body_of(sdrs))
        assert made.status == 200, made.text
        assert api.get(path, **key_of(sdrs)).json["ruleId"] == made.json["ruleId"]
    finally:
        daemon.stop()
