#!/usr/bin/python3
"""One further day of the aggregation as somebody would run it by hand on Trino: tables over the events and over
what there is, a CREATE TABLE AS for the day and for each window, the CSV file, and the tables dropped again.
It checks, counts and marks nothing.

usage: engines_by_hand.py URL CATALOG USER LAKE OUTPUT CSV DAY WINDOW...

LAKE and OUTPUT are URIs as Trino takes them, CSV a local file. WINDOW is a number of days, or "total", which
adds the day to the total of the day before."""
import csv
import datetime
import gzip
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from trino_client import TrinoClient  # noqa: E402

SUMS = "userid varchar, shard integer, revenue bigint, cnt bigint"
EVENTS = "userid varchar, shard integer, event varchar, name varchar"
ADDED = ("SELECT userid, shard, CAST(sum(revenue) AS bigint) AS revenue, CAST(sum(cnt) AS bigint) AS cnt, "
         "partition FROM {} GROUP BY userid, shard, partition")


class Session:
    """A schema of its own, and the tables in it."""

    def __init__(self, url, catalog, user):
        self.client = TrinoClient(url, user)
        self.catalog, self.schema = catalog, f"by_hand_{os.urandom(6).hex()}"
        self.tables = []
        self.run(f"CREATE SCHEMA {self.schema}")

    def run(self, statement):
        codec = {f"{self.catalog}__compression_codec": "ZSTD"}
        return self.client.query(statement, self.catalog, self.schema, **codec)

    def over(self, table, columns, keys, place):
        """A table over files that are there."""
        names = ", ".join(f"'{key.split()[0]}'" for key in keys)
        self.run(f"CREATE TABLE {table} ({', '.join([columns, *keys])}) WITH (format = 'PARQUET', "
                 f"external_location = '{place}', partitioned_by = ARRAY[{names}])")
        self.tables.append(table)
        self.run(f"CALL {self.catalog}.system.sync_partition_metadata('{self.schema}', '{table}', 'FULL')")

    def make(self, table, query, place):
        self.run(f"CREATE TABLE {table} WITH (format = 'PARQUET', external_location = '{place}', "
                 f"partitioned_by = ARRAY['partition']) AS {query}")
        self.tables.append(table)

    def close(self):
        for table in self.tables:
            self.run(f"DROP TABLE {table}")
        self.run(f"DROP SCHEMA {self.schema}")


def daily(session, lake, output, day):
    session.over("events", EVENTS, ["partition integer"], f"{lake}rawevents/day={day}")
    value = "try_cast(json_extract_scalar(event, '$.attributes.revenue') AS bigint)"
    session.make("of_1d", f"SELECT userid, shard, coalesce(sum({value}), 0) AS revenue, count(*) AS cnt, "
                 "partition FROM events WHERE name = 'ad-impression' GROUP BY userid, shard, partition",
                 f"{output}1d/day={day}")


def window(session, output, name, day):
    one = datetime.timedelta(days=1)
    if name == "total":
        session.over("before", SUMS, ["partition integer"], f"{output}total/day={day - one}")
        source = "(SELECT * FROM before UNION ALL SELECT * FROM of_1d) AS both"
    else:
        session.over("dailies", SUMS, ["day varchar", "partition integer"], f"{output}1d")
        days = ", ".join(f"'{day - number * one}'" for number in range(int(name)))
        source = f"dailies WHERE day IN ({days})"
    session.make(f"of_{name}", ADDED.format(source), f"{output}{name}/day={day}")


def export(session, names, path):
    columns = ", ".join(f"coalesce(max(CASE WHEN part = '{name}' THEN {column} END), 0)"
                        for name in names for column in ("revenue", "cnt"))
    parts = " UNION ALL ".join(f"SELECT '{name}' AS part, * FROM of_{name}" for name in names)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(session.run(
            f"SELECT userid, shard, {columns} FROM ({parts}) AS parts GROUP BY userid, shard, partition "
            "ORDER BY userid, shard, partition"))


def main(url, catalog, user, lake, output, path, day, *windows):
    session = Session(url, catalog, user)
    daily(session, lake, output, day)
    for name in windows:
        window(session, output, name, datetime.date.fromisoformat(day))
    export(session, ["1d", *windows], path)
    session.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
