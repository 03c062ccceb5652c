"""What the benches share: where things are, running a program, and printing what came out."""
import dataclasses
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BENCH = os.path.join(ROOT, "tests", "bench")


@dataclasses.dataclass
class Setting:
    """What the command line says."""
    build: str
    duckdb: str
    cache: str
    rounds: int
    full: bool
    days: int
    threads: int
    memory_limit: str
    unordered: bool
    objects: int

    def binary(self):
        return os.path.join(self.build, "run-core")

    def environment(self, state, plugins="plugins", **more):
        return dict(os.environ, RUN_CORE_STATE=state, RUN_CORE_DUCKDB=self.duckdb, NO_COLOR="1",
                    RUN_CORE_PLUGIN_PATH=os.path.join(self.build, plugins), **more)


@dataclasses.dataclass
class Ran:
    seconds: float
    cpu: float
    peak_mib: float
    out: bytes


def run(arguments, environment):
    """Runs a program to its end; stops all if it fails. The peak is of that program alone, but never
    below the memory that this one has when it starts it, which the kernel counts too."""
    began = time.perf_counter()
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        # Programs here say little on one of both, so that reading one after the other is safe.
        out, error = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{' '.join(arguments)}: status {process.returncode}\n{error.decode()}")
    return Ran(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out)


def settle():
    """What a run before has left to be written is not to be paid by the next."""
    os.sync()


def say_times(name, values, goal=None):
    values = sorted(value * 1000 for value in values)
    median = statistics.median(values)
    verdict = "" if goal is None else \
        f"   goal {goal} ms: {'met' if median < goal else 'NOT met'}"
    print(f"  {name:<60} median {median:7.2f} ms   90% {values[int(len(values) * 0.9)]:7.2f} ms   "
          f"least {values[0]:7.2f} ms{verdict}", flush=True)
