#!/usr/bin/python3
"""The aggregation as somebody would run it by hand in DuckDB: one statement for each day and one for each
window of a day, each a COPY into the place where the aggregator writes, then the CSV file of the last
day. It verifies nothing, makes nothing durable, publishes nothing at once and writes no marker.

usage: by_hand.py LAKE OUTPUT FIRST_DAY LAST_DAY WINDOWS [THREADS [MEMORY_LIMIT [HISTORY_START [ORDER]]]]

WINDOWS is a list such as 7,30,365,total. A total adds the day to the total of the day before. ORDER
is "ordered", as the aggregator does it, or "unordered"."""
import ctypes
import datetime
import json
import os
import resource
import sys
import time

LIBRARY = os.environ.get("RUN_CORE_DUCKDB", "libduckdb.so")


class Result(ctypes.Structure):
    """duckdb_result: only its address is used here."""
    _fields_ = [("fields", ctypes.c_uint64 * 6)]


class Engine:
    """One connection to a database in memory."""

    def __init__(self, path):
        self.api = ctypes.CDLL(path)
        self.api.duckdb_query.argtypes = [ctypes.c_void_p, ctypes.c_char_p,
                                          ctypes.POINTER(Result)]
        self.api.duckdb_result_error.restype = ctypes.c_char_p
        database, self.connection = ctypes.c_void_p(), ctypes.c_void_p()
        if self.api.duckdb_open(None, ctypes.byref(database)) or \
           self.api.duckdb_connect(database, ctypes.byref(self.connection)):
            sys.exit(f"{path}: cannot open a database")

    def run(self, sql):
        result = Result()
        if self.api.duckdb_query(self.connection, sql.encode(), ctypes.byref(result)):
            sys.exit(self.api.duckdb_result_error(ctypes.byref(result)).decode())
        self.api.duckdb_destroy_result(ctypes.byref(result))


ORDERED = " ORDER BY partition, userid, shard"


def copy_partitions(engine, query, target):
    os.makedirs(target)
    engine.run(f"COPY ({query}{engine.order}) TO '{target}' "
               "(FORMAT parquet, COMPRESSION zstd, PARTITION_BY (partition), OVERWRITE_OR_IGNORE)")


def read(folders):
    places = ", ".join(f"'{folder}/*/*.parquet'" for folder in folders)
    return f"read_parquet([{places}], hive_partitioning = true)"


def daily(engine, lake, output, day):
    value = "try_cast(TRY(event ->> '$.attributes.revenue') AS BIGINT)"
    copy_partitions(engine,
                    f"SELECT userid, shard, CAST(coalesce(sum({value}), 0) AS BIGINT) AS revenue, "
                    "count(*) AS cnt, partition "
                    f"FROM {read([f'{lake}/rawevents/day={day}'])} WHERE name = 'ad-impression' "
                    "GROUP BY userid, shard, partition", f"{output}/1d/day={day}")


def window(engine, output, name, days, start, day):
    one = datetime.timedelta(days=1)
    target = f"{output}/{name}/day={day}"
    if day - (days - 1) * one <= start < day:
        folders = [f"{output}/{name}/day={day - one}", f"{output}/1d/day={day}"]
    else:
        first = max(start, day - (days - 1) * one)
        folders = [f"{output}/1d/day={first + n * one}" for n in range((day - first).days + 1)]
    copy_partitions(engine,
                    "SELECT userid, shard, CAST(sum(revenue) AS BIGINT) AS revenue, "
                    f"CAST(sum(cnt) AS BIGINT) AS cnt, partition FROM {read(folders)} "
                    "GROUP BY userid, shard, partition", target)


def export(engine, output, names, day):
    columns, parts = [], []
    for name in names:
        columns += [f"coalesce(max(CASE WHEN part = '{name}' THEN {column} END), 0)"
                    for column in ("revenue", "cnt")]
        parts.append(f"SELECT '{name}' AS part, partition, userid, shard, revenue, cnt "
                     f"FROM {read([f'{output}/{name}/day={day}'])}")
    engine.run(f"COPY (SELECT userid, shard, {', '.join(columns)} "
               f"FROM ({' UNION ALL '.join(parts)}) GROUP BY userid, shard, partition "
               f"ORDER BY userid, shard, partition) TO '{output}/{day}.csv.gz' "
               "(FORMAT csv, COMPRESSION gzip, HEADER false)")


def main(lake, output, first, last, windows, threads="2", memory_limit="", start=None,
         order="ordered"):
    first, last = map(datetime.date.fromisoformat, (first, last))
    start = datetime.date.fromisoformat(start) if start else first
    began = time.perf_counter()
    engine = Engine(LIBRARY)
    engine.order = ORDERED if order == "ordered" else ""
    engine.run(f"SET threads = {threads}")
    if memory_limit:
        engine.run(f"SET memory_limit = '{memory_limit}'")
    names = windows.split(",")
    spent = {}
    day = first
    while day <= last:
        for name in ["1d"] + names:
            at = time.perf_counter()
            if name == "1d":
                daily(engine, lake, output, day)
            else:
                window(engine, output, name, 36500 if name == "total" else int(name.rstrip("d")),
                       start, day)
            spent[name] = spent.get(name, 0) + time.perf_counter() - at
        day += datetime.timedelta(days=1)
    at = time.perf_counter()
    export(engine, output, ["1d"] + names, last)
    spent["csv"] = time.perf_counter() - at
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": time.perf_counter() - began, "spent": spent,
                      "cpu": usage.ru_utime + usage.ru_stime, "peak_kib": usage.ru_maxrss}))


if __name__ == "__main__":
    main(*sys.argv[1:])
