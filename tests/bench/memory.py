"""Peak resident memory: the greatest that the kernel saw (ru_maxrss) of one process from start to end."""
import os
import statistics
import tempfile

import aggregator
from measure import run

MEBIBYTES = (512, 1024)


def memory(setting):
    with tempfile.TemporaryDirectory() as folder:
        environment = setting.environment(os.path.join(folder, "state"), "test-plugins")
        config = os.path.join(folder, "empty.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("jobs:\n  nothing: {plugin: noop}\n")
        cases = {
            "run-core noop": ["noop"],
            "run-core check, of one job": ["check", "--config", config],
            "run-core query, with the engine's library": ["query"],
        }
        for name, arguments in cases.items():
            peaks = [run([setting.binary(), *arguments], environment).peak_mib for _ in range(5)]
            print(f"  {name:<60} {statistics.median(peaks):8.1f} MiB", flush=True)

    lake = aggregator.make_lake(setting)
    for limit in MEBIBYTES:
        work = aggregator.Work(setting, lake, memory_limit=f"{limit}MiB")
        ours, hand = work.full_ours(), work.full_by_hand()
        for name, ran in (("run-core aggregator", ours), ("the same by hand", hand)):
            print(f"  {name + f', memory_limit {limit} MiB':<60} {ran.peak_mib:8.1f} MiB", flush=True)
        work.close()
