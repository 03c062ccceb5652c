"""From the start of run-core to the first line of a plugin's action, and to the first query."""
import os
import subprocess
import sys
import tempfile
import time

from measure import say_times

LINE_GOAL_MS, QUERY_GOAL_MS = 5, 50
JOBS = 50


def to_first_line(arguments, environment, expected):
    """Seconds to the first line on stderr, and to the end."""
    began = time.perf_counter()
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as process:
        line = process.stderr.readline()
        first = time.perf_counter() - began
        process.stderr.read()
    if expected not in line or process.returncode:
        sys.exit(f"{' '.join(arguments)}: status {process.returncode}: {line.decode()}")
    return first, time.perf_counter() - began


def to_the_end(arguments):
    began = time.perf_counter()
    subprocess.run(arguments, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def write_jobs(folder):
    """A conf.d of JOBS files, each with one job as people write them."""
    for number in range(JOBS):
        with open(os.path.join(folder, f"{number:02}-job.yaml"), "w", encoding="utf-8") as file:
            file.write(f"# Job {number} of {JOBS}.\n"
                       f"jobs:\n  bench-{number}:\n    plugin: noop\n    action: noop\n"
                       f"    schedule: \"{number} 2 * * *\"\n    time_zone: Europe/Prague\n"
                       "    timeout: 2h\n    retry: {attempts: 3, backoff: 30s}\n")


LOAD = """import ctypes
api = ctypes.CDLL({library!r})
database, connection = ctypes.c_void_p(), ctypes.c_void_p()
api.duckdb_query.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
result = ctypes.create_string_buffer(64)
assert not api.duckdb_open(None, ctypes.byref(database))
assert not api.duckdb_connect(database, ctypes.byref(connection))
assert not api.duckdb_query(connection, b"SELECT 42", result)
"""


def startup(setting):
    with tempfile.TemporaryDirectory() as folder:
        jobs = os.path.join(folder, "conf.d")
        os.mkdir(jobs)
        write_jobs(jobs)
        environment = setting.environment(os.path.join(folder, "state"), "test-plugins")
        load = LOAD.format(library=setting.duckdb)
        binary = setting.binary()
        cases = {
            "/bin/true, to its end": lambda: (to_the_end(["/bin/true"]),),
            "run-core noop": lambda: to_first_line([binary, "noop"], environment,
                                                   b"nothing to do"),
            f"run-core run, of {JOBS} files with a job each": lambda: to_first_line(
                [binary, "run", "bench-25", "--config", jobs], environment, b"nothing to do"),
            "run-core query": lambda: to_first_line([binary, "query"], environment,
                                                    b"the answer is 42"),
            "python3, nothing": lambda: (to_the_end([sys.executable, "-IS", "-c", "import ctypes"]),),
            "python3, the library's first query": lambda: (
                to_the_end([sys.executable, "-IS", "-c", load]),),
        }
        times = {name: [] for name in cases}
        for number in range(10 + setting.rounds * 20):
            for name, measure in cases.items():
                if number < 10:
                    measure()  # the first find nothing in the page cache
                else:
                    times[name].append(measure())
    goals = {"run-core noop": LINE_GOAL_MS, "run-core query": QUERY_GOAL_MS}
    for name, measured in times.items():
        first, *rest = zip(*measured)
        say_times(name + (", to the first line" if rest else ""), first, goals.get(name))
        if rest:
            say_times(name + ", to the end", rest[0])
