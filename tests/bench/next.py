#!/usr/bin/python3
"""The next slot of a schedule: nanoseconds for a call, beside a search minute by minute on the C
library's local time, and beside croniter where Python has it (Debian: python3-croniter).

    tests/bench/next.py [BUILD]

takes the libraries of a release build, build/release by default."""
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
GOAL_NS = 300


def build_bench(build, folder):
    program = os.path.join(folder, "next")
    libraries = [os.path.join(build, name)
                 for name in ("libcore_schedule.a", "libcore_os.a", "librc_base.a")]
    subprocess.run(["cc", "-std=c11", "-O2", "-D_GNU_SOURCE", f"-I{ROOT}/core/include",
                    f"-I{ROOT}/core", os.path.join(ROOT, "tests/bench/next.c"), *libraries, "-ldl",
                    "-lpthread", "-o", program], check=True)
    return program


def croniter_ns(expression, zone, calls=200):
    """None where croniter is not there or does not know the expression."""
    try:
        import datetime
        import zoneinfo
        from croniter import croniter
        start = datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo(zone))
        times = croniter(expression, start)
        began = time.perf_counter()
        for _ in range(calls):
            times.get_next()
    except (ImportError, ValueError, KeyError):
        return None
    return (time.perf_counter() - began) / calls * 1e9


def show(value):
    return "" if value in (None, "") else f"{float(value):,.0f}"


def main():
    build = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else f"{ROOT}/build/release"
    with tempfile.TemporaryDirectory() as folder:
        lines = subprocess.run([build_bench(build, folder)], check=True, capture_output=True,
                               text=True).stdout.splitlines()[1:]
    print("| expression | zone | next, ns | parse, ns | by hand, ns | croniter, ns |")
    print("|---|---|---|---|---|---|")
    slow = []
    for line in lines:
        expression, zone, taken, parsing, by_hand = line.split("\t")
        # Six fields have another order there.
        known = expression.count(" ") == 4 and not {"W", "@"} & set(expression)
        other = croniter_ns(expression, zone) if known else None
        print(f"| `{expression}` | {zone} | {show(taken)} | {show(parsing)} | {show(by_hand)} | "
              f"{show(other)} |")
        if float(taken) > GOAL_NS:
            slow.append(expression)
    print(f"\nGoal: {GOAL_NS} ns. Above it: {', '.join(slow) or 'none'}.")


if __name__ == "__main__":
    main()
