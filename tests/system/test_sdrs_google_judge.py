"""Google's own clients for Node read what sdrs has made at Storage Transfer Service and told by Pub/Sub,
and make what it then works with."""

import base64
import json

from google_world import needs_node, node
from sdrs_google_world import google  # noqa: F401: a fixture
from sdrs_world import PROJECT

# pylint: disable=redefined-outer-name

pytestmark = needs_node
TOPIC = f"projects/{PROJECT}/topics/sdrs"
SUBSCRIPTION = f"projects/{PROJECT}/subscriptions/judge"
# The prefixes of 30 days before the clock of these tests, as published.
PREFIXES = ([f"clicks/2019/02/08/{hour:02}/" for hour in range(5)]
            + [f"clicks/2019/02/{day:02}/" for day in range(1, 8)]
            + ["clicks/2018/", "clicks/2019/01/"])


def status_of(google, action):
    rows, result = google.rows(action)
    assert result.status == 0, result.stderr
    return [row["status"] for row in rows]


def judge(google, program):
    return node(google.gcs, f"const projectId = '{PROJECT}';{program}")


def read_jobs(google):
    """The jobs of the project, by each client: one has JSON as it is, the other knows its types."""
    told = judge(google, """
        const filter = JSON.stringify({ projectId });
        const { data: { transferJobs } } = await transfers.transferJobs.list({ filter });
        const [typed] = await new Transfers().listTransferJobs({ filter });
        return { jobs: transferJobs, typed };
    """)
    return told["jobs"], told["typed"]


def test_jobs_that_run_once(google):
    google.bucket("events")
    google.rule("events", "clicks", 30)
    google.rule("events", period=300)
    google.put("events", "clicks/2018/12/31/23/log", b"four")
    google.put("events", "clicks/2019/03/09/00/log")
    google.put("events", "other", b"12", modified="2018-01-01T00:00:00Z")
    assert status_of(google, "execute") == ["pending", "pending"]
    jobs, typed = read_jobs(google)
    assert [job["name"] for job in jobs] == [job["name"] for job in typed]
    for job, seen in zip(jobs, typed):
        spec = job["transferSpec"]
        assert job["projectId"] == PROJECT and (job["status"], seen["status"]) == ("ENABLED",) * 2
        assert job["name"].startswith("transferJobs/") and job["description"]
        assert spec["gcsDataSource"] == {"bucketName": "events"}
        assert spec["gcsDataSink"] == {"bucketName": "eventsshadow"}
        assert spec["transferOptions"]["deleteObjectsFromSourceAfterTransfer"] is True
        assert seen["transferSpec"]["transferOptions"]["deleteObjectsFromSourceAfterTransfer"]
        assert seen["transferSpec"]["gcsDataSink"]["bucketName"] == "eventsshadow"
    conditions = [job["transferSpec"]["objectConditions"] for job in jobs]
    seen = [job["transferSpec"]["objectConditions"] for job in typed]
    dataset = next(i for i, one in enumerate(conditions) if one.get("includePrefixes"))
    assert sorted(conditions[dataset]["includePrefixes"]) == sorted(PREFIXES)
    assert sorted(seen[dataset]["includePrefixes"]) == sorted(PREFIXES)
    assert set(seen[1 - dataset]["excludePrefixes"]) == {"clicks/", ".run-core/"}
    # 300 days before the clock: 2018-05-14T05:30:00Z.
    assert conditions[1 - dataset]["lastModifiedBefore"].startswith("2018-05-14T05:30:00")
    assert int(seen[1 - dataset]["lastModifiedBefore"]["seconds"]) == 1526275800

    google.settle()
    operations = judge(google, """
        const filter = JSON.stringify({ projectId });
        const { data } = await transfers.transferOperations.list({ name: 'transferOperations', filter });
        return data.operations.map(({ metadata }) => metadata);
    """)
    assert {one["transferJobName"] for one in operations} == {job["name"] for job in jobs}
    assert {one["status"] for one in operations} == {"SUCCESS"}
    assert sorted(one["counters"]["bytesDeletedFromSource"] for one in operations) == ["2", "4"]
    assert status_of(google, "validate") == ["success", "success"]


def test_a_pool_that_a_client_has_made(google):
    google.bucket("events")
    google.rule("events", "clicks", 30)
    google.put("events", "clicks/2018/12/31/23/log")
    made = judge(google, """
        const made = [];
        for (const hours of [2, 14]) {
          const { data } = await transfers.transferJobs.create({ requestBody: { projectId,
            description: `of ${hours} h`, status: 'DISABLED',
            schedule: { scheduleStartDate: { year: 2019, month: 3, day: 1 },
              startTimeOfDay: { hours } },
            transferSpec: { gcsDataSource: { bucketName: 'events' },
              gcsDataSink: { bucketName: 'eventsshadow' } } } });
          made.push({ name: data.name, projectId, schedule: `${hours}`.padStart(2, '0') + ':00:00',
            type: 'dataset', status: data.status, sourceBucket: 'events', sourceProject: projectId,
            targetBucket: 'eventsshadow', targetProject: projectId });
        }
        return made;
    """)
    with google.serve() as service:
        reply = service.post("/stsjobpool", made, sourceBucket="events", sourceProject=PROJECT)
        assert reply.status == 200, reply.text
    assert status_of(google, "execute") == ["pending"]
    jobs, typed = read_jobs(google)
    assert [job["name"] for job in jobs] == [job["name"] for job in typed]
    states = {job["name"]: job["status"] for job in typed}
    # It is half past five.
    assert states == {made[0]["name"]: "DISABLED", made[1]["name"]: "ENABLED"}
    told = next(job for job in typed if job["status"] == "ENABLED")
    assert sorted(told["transferSpec"]["objectConditions"]["includePrefixes"]) == sorted(PREFIXES)
    assert told["schedule"]["startTimeOfDay"]["hours"] == 14
    google.pass_until(14)
    assert status_of(google, "validate") == ["success"]
    jobs, _ = read_jobs(google)
    assert {job["status"] for job in jobs} == {"DISABLED"}


def test_notifications_that_a_client_pulls(google):
    google.bucket("events")
    google.rule("events", "clicks", 30)
    google.configure(**{"pubsub.topic": TOPIC})
    judge(google, f"""
        await pubsub.projects.topics.create({{ name: '{TOPIC}', requestBody: {{}} }});
        await pubsub.projects.subscriptions.create({{ name: '{SUBSCRIPTION}',
          requestBody: {{ topic: '{TOPIC}' }} }});
    """)
    google.put("events", "clicks/2018/12/31/23/log")
    status_of(google, "execute")
    google.settle()
    assert status_of(google, "validate") == ["success"]
    told = judge(google, f"""
        const {{ data }} = await pubsub.projects.subscriptions.pull({{
          subscription: '{SUBSCRIPTION}', requestBody: {{ maxMessages: 100 }} }});
        return data.receivedMessages.map(({{ message }}) => message.data);
    """)
    events = [json.loads(base64.b64decode(one)) for one in told]
    for when in ("inactiveAt", "deletedAt"):
        directories = [one["directory"] for one in events if when in one]
        assert sorted(directories) == sorted(f"gs://events/{prefix}" for prefix in PREFIXES)
    assert {(one["projectId"], one["bucket"]) for one in events} == {(PROJECT, "events")}
    assert len({one["context"]["uuid"] for one in events}) == len(events)
