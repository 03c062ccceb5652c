"""sdrs over buckets of the stand-in for Google, whose Storage Transfer Service moves and whose Pub/Sub
tells. Time is the stand-in's: runs get its clock by --now.

    cloud = google                                # the fixture
    cloud.bucket("events")                        # with its shadow
    cloud.put("events", "clicks/2019/01/01/00/log")
    cloud.rule("events", "clicks", 30)            # of the configuration
    assert cloud.run("execute").status == 0
    cloud.settle()                                # until the transfers have ended
    cloud.run("validate")
"""
import json
from datetime import timedelta

import pytest
from google_clock import time_text
from sdrs_world import PROJECT, SdrsWorld

START = "2019-03-10T05:30:00Z"


class GoogleWorld(SdrsWorld):
    def __init__(self, world, gcs, **options):
        self.gcs = gcs
        self.buckets = ["default"]
        self.key = world.root / "key.json"
        self.key.write_text(json.dumps(gcs.tokens.service_account()))
        gcs.clock.set(START)
        super().__init__(world, sts_endpoint=gcs.endpoint, pubsub_endpoint=gcs.endpoint, rules=[],
                         **options)

    def configure(self, **options):
        self.options.update(options)
        self.options = {name: value for name, value in self.options.items() if value is not None}
        stores = {name: {"endpoint": self.gcs.endpoint, "service_account_file": str(self.key)}
                  for name in self.buckets}
        self.world.config(json.dumps({
            "core": {"http": {"backoff": "10ms", "max_backoff": "50ms"}}, "storage": stores,
            "plugins": {"sdrs": {"config": self.options}}}))

    # ---- buckets and rules ----

    def bucket(self, name, shadow=True, project=PROJECT):
        for one in (name, f"{name}shadow") if shadow else (name,):
            self.gcs.store.make_bucket(one, project)
            self.buckets.append(one)
        self.configure()

    def put(self, bucket, key, data=b"x", modified=None):
        """An object, made now or at a time."""
        now = self.gcs.clock.now()
        if modified:
            self.gcs.clock.set(modified)
        self.gcs.store.put(bucket, key, data, {})
        if modified:
            self.gcs.clock.set(now)

    def keys(self, bucket, prefix=""):
        found = self.gcs.store.bucket(bucket)
        return [name for name in found.names if name.startswith(prefix) and found.live(name)]

    def name(self, bucket, path=""):
        return f"gs://{bucket}" + (f"/{path}" if path else "")

    def rule(self, bucket, path="", period=30, kind=None, project=PROJECT, **more):
        self.configure(rules=[*self.options["rules"], {
            "type": kind or ("DATASET" if path else "DEFAULT"), "projectId": project,
            "dataStorageName": self.name(bucket, path), "retentionPeriod": period, **more}])

    # ---- runs ----

    @property
    def now(self):
        return time_text(self.gcs.clock.now())

    def run(self, action, *words, now=None, **options):
        return super().run(action, *words, now=now or self.now, **options)

    def start(self, action, *words, now=None, **options):
        return super().start(action, *words, now=now or self.now, **options)

    def rows(self, action):
        """The table that the action shows, as dictionaries, and how it ended."""
        result = self.run(action, "--json")
        return [dict(zip(table["columns"], row))
                for table in result.final["results"] for row in table.get("rows", [])], result

    # ---- the transfer service ----

    def settle(self):
        self.gcs.transfers.settle()

    def jobs(self, project=PROJECT):
        """What was made of transfer jobs, as the API has them, in the order of their making."""
        return [job.resource() for (owner, _), job in self.gcs.transfers.jobs.items()
                if owner == project]

    def includes(self, job):
        return job["transferSpec"]["objectConditions"].get("includePrefixes", [])

    def pass_time(self, **durations):
        self.gcs.clock.advance(**durations)
        self.settle()

    def pass_until(self, hours, minutes=0):
        """To the next time of day, in UTC."""
        now = self.gcs.clock.now()
        then = now.replace(hour=hours, minute=minutes, second=0, microsecond=0)
        self.gcs.clock.set(then + timedelta(days=then <= now))
        self.settle()


@pytest.fixture
def google(world, gcs):
    """Without buckets yet."""
    return GoogleWorld(world, gcs)
