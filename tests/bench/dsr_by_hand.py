#!/usr/bin/python3
"""The erasure as somebody would do it by hand in DuckDB: one statement for each file, a COPY of all rows but
those of the users, which is then moved onto the file. Which files hold a user is known beforehand. It
compares nothing, searches nothing again, makes nothing durable and keeps no journal.

usage: dsr_by_hand.py FILES USERS [SESSIONS [THREADS]]

FILES has a line for each file, its column of the ids and its path with a tab between; USERS an id on
each line. With several sessions files are worked on beside one another."""
import concurrent.futures
import os
import queue
import sys

from by_hand import LIBRARY, Engine

CODEC = "snappy"


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def erase(engine, column, path):
    fresh = os.path.join(os.path.dirname(path), "." + os.path.basename(path) + ".new")
    engine.run(f"COPY (SELECT f.* FROM read_parquet({literal(path)}, hive_partitioning = false) AS f "
               f"ANTI JOIN gone ON f.{column} = gone.id) TO {literal(fresh)} "
               f"(FORMAT parquet, COMPRESSION {CODEC})")
    os.replace(fresh, path)


def work(engine, files):
    while True:
        try:
            erase(engine, *files.get_nowait())
        except queue.Empty:
            return


def main(files, users, sessions="1", threads="2"):
    engines = []
    for _ in range(int(sessions)):
        engine = Engine(LIBRARY)
        engine.run(f"SET threads = {threads}")
        engine.run(f"CREATE TABLE gone AS SELECT id FROM read_csv({literal(users)}, header = false, "
                   "columns = {'id': 'VARCHAR'})")
        engines.append(engine)
    tasks = queue.Queue()
    with open(files, encoding="utf-8") as lines:
        for line in lines:
            tasks.put(line.rstrip("\n").split("\t"))
    with concurrent.futures.ThreadPoolExecutor(len(engines)) as pool:
        for done in [pool.submit(work, engine, tasks) for engine in engines]:
            done.result()


if __name__ == "__main__":
    main(*sys.argv[1:])
