"""A lake of events, and the configuration of an aggregation over it."""

import datetime
import gzip
import json

import engines

EPOCH = datetime.date(2021, 3, 1)


def date_of(day):
    """The date of a day that is counted from the history's start."""
    return EPOCH + datetime.timedelta(days=day)


def now_of(day, hour=3):
    """The --now at which 'day' is yesterday."""
    return f"{date_of(day + 1)}T{hour:02d}:00:00Z"


class Event:
    """A row of the source: 'value' is the JSON text of the event."""

    def __init__(self, day, user, value, name="ad-impression"):
        self.day, self.user, self.text, self.name = day, user, value, name
        self.userid, self.shard, self.partition = f"user-{user:03d}", user % 7, user % 3


def revenue(value):
    """The text of an event whose revenue is the given JSON text."""
    return '{"attributes": {"kind": "x", "revenue": %s}}' % value


class Lake:
    """Events as JSON lines under events/day=D/partition=P/, everything else under out/ and csv/."""

    def __init__(self, world, root):
        root.mkdir(exist_ok=True)
        world.cover(root)
        self.root, self.world = root, world
        self.events = []
        self.batch = 0

    def add(self, events, compress=False):
        """Writes some events, as further files of their partitions."""
        files = {}
        for event in events:
            key = (event.day, event.partition)
            row = {"userid": event.userid, "shard": event.shard, "event": event.text,
                   "name": event.name}
            files.setdefault(key, []).append(json.dumps(row))
        self.batch += 1
        for (day, partition), rows in files.items():
            folder = self.root / f"events/day={date_of(day)}/partition={partition}"
            folder.mkdir(parents=True, exist_ok=True)
            text = ("\n".join(rows) + "\n").encode()
            if compress:
                (folder / f"{self.batch:04d}.jsonl.gz").write_bytes(gzip.compress(text))
            else:
                (folder / f"{self.batch:04d}.jsonl").write_bytes(text)
        self.events += events

    def place(self, path):
        """What the configuration says of a path below the root."""
        return self.world.place(self.root / path)

    def config(self, windows=(3, 7, 36500), **options):
        """The configuration as the seed would write it, with local folders for buckets."""
        config = {
            "sourceEventsTable": "rawevents",
            "tables": {"rawevents": self.place("events")},
            "dailyAggregationsS3Path": self.place("out/1d"),
            "dailyAggregationsTable": "ltv_1d",
            "historyStartDay": str(EPOCH),
            "checkDataForLastDay": False,
            "importToUserDb": False,
            "csvOutputFolder": self.place("csv"),
            "csvTablePrefix": "ads",
            "secondaryAggregations": [
                {"aggregationWindowDays": days, "targetFolder": self.place(self.folder(days)),
                 "targetTable": f"ltv_{days}"}
                for days in windows
            ],
        }
        config.update(options)
        return {key: value for key, value in config.items() if value is not None}

    def folder(self, window):
        return self.root / ("out/total" if window > 3650 else f"out/{window}d")

    def write_config(self, windows=(3, 7, 36500), **options):
        self.world.config(json.dumps({"jobs": {"ltv": {"plugin": "aggregator",
                                                  "config": self.config(windows, **options)}}}))

    def csv_path(self, day):
        name = f"ads_{date_of(day):%Y%m%d}"
        return self.root / f"csv/{name}/{name}.csv.gz"

    @staticmethod
    def steady(tree):
        """What is the same for the same rows on every engine: on those elsewhere not the files' names
        and bytes, nor the markers, which hold digests of them."""
        if engines.ON_DUCKDB:
            return tree
        return {path.rsplit("/", 1)[0] if "/day=" in path else path:
                gzip.decompress(data) if path.endswith(".csv.gz") else None
                for path, data in tree.items()}

    def tree(self, *folders):
        """The content of every file, by its path below the root."""
        found = {}
        for folder in folders or ("out", "csv"):
            for path in sorted((self.root / folder).rglob("*")):
                if path.is_file():
                    found[str(path.relative_to(self.root))] = path.read_bytes()
        return found
