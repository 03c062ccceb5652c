"""The daemon: lateness of 1,000 slots due at once, beside cron; its start, reload and memory with
many jobs; what it does when there is nothing to do."""
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime

LATE_JOBS, SUSTAINED_JOBS = 1000, 300
START_JOBS, MANY_JOBS = 10000, 100000
IDLE_S = 30


class Daemon:
    """A daemon whose READY is heard as a service manager would."""

    def __init__(self, setting, folder, config):
        self.folder = folder
        self.config = os.path.join(folder, "conf.yaml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(folder, "notify")
        self.notify.bind(path)
        self.notify.settimeout(120)
        self.environment = dict(setting.environment(os.path.join(folder, "state"), "test-plugins"),
                                NOTIFY_SOCKET=path, RUN_CORE_CONFIG=self.config)
        self.binary = setting.binary()
        began = time.perf_counter()
        with open(os.path.join(folder, "log"), "wb") as log:
            self.process = subprocess.Popen([self.binary, "daemon"], env=self.environment,
                                            stdout=log, stderr=log)
        self.wait_for(b"READY=1")
        self.start_s = time.perf_counter() - began

    def wait_for(self, word):
        while True:
            try:
                if word in self.notify.recv(4096):
                    return
            except socket.timeout:
                sys.exit("the daemon does not answer: " +
                         open(os.path.join(self.folder, "log"), encoding="utf-8").read()[-2000:])

    def reload_s(self):
        began = time.perf_counter()
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(b"READY=1")
        return time.perf_counter() - began

    def memory_mib(self):
        """Its own and its share of what it has in common with others."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as file:
            return int(re.search(r"^Pss: +(\d+)", file.read(), re.M).group(1)) / 1024

    def wakeups(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(),
                                 re.M).group(1))

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def runs(self):
        out = subprocess.run([self.binary, "runs", "--json"], env=self.environment, check=True,
                             capture_output=True).stdout
        return json.loads(out)

    def metrics(self):
        """By the socket that the command line uses."""
        with socket.socket(socket.AF_UNIX) as api:
            api.connect(os.path.join(self.folder, "api.sock"))
            api.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: api.recv(65536), b"")).decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=120):
            sys.exit("the daemon failed: " +
                     open(os.path.join(self.folder, "log"), encoding="utf-8").read()[-2000:])


def jobs(count, schedule):
    """As people write them."""
    return "jobs:\n" + "".join(
        f"  job-{i:06}:\n    plugin: noop\n    schedule: \"{schedule(i)}\"\n"
        "    time_zone: Europe/Prague\n    timeout: 2h\n" for i in range(count))


def daily(i):
    return f"{i % 60} {i // 60 % 24} * * *"


def unix_ms(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def say_lateness(name, late):
    late = sorted(late)
    print(f"  {name}: {len(late)} runs; from the slot to the start p50 {statistics.median(late):.0f}"
          f" ms, p99 {late[int(len(late) * 0.99) - 1]:.0f} ms, last {late[-1]:.0f} ms; "
          f"{len(late) / (late[-1] - late[0]) * 1000 if late[-1] > late[0] else 0:.0f} starts/s",
          flush=True)


def say_claims(runs, metrics):
    """What the daemon does, from the beginning of the claim to the process that is forked; and until
    that process is at work, beside all others."""
    counts = {float(bound): int(count) for bound, count in re.findall(
        r'^run_core_claim_to_start_seconds_bucket\{le="([0-9.]+)"\} (\d+)', metrics, re.M)}
    total = int(re.search(r"^run_core_claim_to_start_seconds_count (\d+)", metrics, re.M).group(1))
    p99_ms = min((bound for bound, count in counts.items() if count >= 0.99 * total),
                 default=float("inf")) * 1000
    took = sorted(unix_ms(run["started"]) - unix_ms(run["due"]) for run in runs if run["started"])
    print(f"    from the claim to the fork p99 at most {p99_ms:g} ms, within 5 ms "
          f"{counts[0.005] / total * 100:.2f}% of {total} (goal: 99%); to the work of the process "
          f"p50 {statistics.median(took):.0f} ms, p99 {took[int(len(took) * 0.99) - 1]:.0f} ms",
          flush=True)


def lateness(setting):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        daemon = Daemon(setting, folder, "core: {log_level: warn}\n" +
                        jobs(LATE_JOBS, lambda i: "@every 20s"))
        time.sleep(45)
        daemon.stop()
        by_slot = {}
        for run in daemon.runs():
            if run["started"]:
                by_slot.setdefault(run["slot"], []).append(
                    unix_ms(run["started"]) - unix_ms(run["slot"]))
        for slot, late in sorted(by_slot.items()):
            if len(late) == LATE_JOBS:
                say_lateness(f"{LATE_JOBS} slots in one second", late)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        daemon = Daemon(setting, folder, f"core: {{log_level: warn, socket: {folder}/api.sock}}\n" +
                        jobs(SUSTAINED_JOBS, lambda i: "@every 1s"))
        time.sleep(20)
        cpu_s, metrics = daemon.cpu_s(), daemon.metrics()
        daemon.stop()
        runs = [run for run in daemon.runs() if run["slot"]]
        late = [unix_ms(run["started"]) - unix_ms(run["slot"]) for run in runs if run["started"]]
        ended = sum(run["status"] == "succeeded" for run in runs)
        say_lateness(f"{SUSTAINED_JOBS} slots each second for 20 s", late)
        say_claims(runs, metrics)
        print(f"  of {len(runs)} slots {ended} succeeded, {len(late) / 20:.0f} runs/s; the daemon "
              f"itself took {cpu_s / 20 * 100:.0f}% of one processor")


def cron(setting):
    """The same slots by cron, as far as it goes: its slots are whole minutes."""
    del setting
    if not shutil.which("cron") or os.getuid() != 0:
        print("  cron is not installed, or this is not root: no comparison")
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        # A crontab of its own in cron.d; removed again.
        path = "/etc/cron.d/run-core-bench"
        out = os.path.join(folder, "out")
        os.chmod(folder, 0o755)
        with open(path, "w", encoding="ascii") as file:
            file.write("SHELL=/bin/sh\n" + f"* * * * * root date +\\%s.\\%N >> {out}\n" * LATE_JOBS)
        process = subprocess.Popen(["cron", "-f"], stderr=subprocess.DEVNULL)
        try:
            time.sleep(125 - time.time() % 60)
        finally:
            os.unlink(path)
            process.terminate()
            process.wait()
        starts = [float(line) for line in open(out, encoding="ascii")]
        by_minute = {}
        for start in starts:
            by_minute.setdefault(int(start // 60), []).append(start % 60 * 1000)
        for late in by_minute.values():
            if len(late) == LATE_JOBS:
                say_lateness(f"cron, {LATE_JOBS} lines in one minute", late)


def daemon(setting):
    from measure import say_times
    lateness(setting)
    cron(setting)
    starts, reloads = [], []
    for _ in range(setting.rounds):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            it = Daemon(setting, folder, jobs(START_JOBS, daily))
            starts.append(it.start_s)
            reloads.append(it.reload_s())
            it.stop()
            # Started again: nothing is new.
            again = Daemon.__new__(Daemon)
            shutil.rmtree(os.path.join(folder, "notify"), ignore_errors=True)
            os.unlink(os.path.join(folder, "notify"))
            again.__init__(setting, folder, jobs(START_JOBS, daily))
            starts.append(again.start_s)
            again.stop()
    say_times(f"start with {START_JOBS} new jobs, to READY", starts[::2], 200)
    say_times("start with the same jobs again", starts[1::2], 200)
    say_times(f"reload of {START_JOBS} jobs", reloads, 200)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        it = Daemon(setting, folder, jobs(MANY_JOBS, daily))
        fresh = it.memory_mib()
        it.reload_s()
        print(f"  memory with {MANY_JOBS} jobs: {fresh:.0f} MiB, after a reload "
              f"{it.memory_mib():.0f} MiB (goal 64 MiB); started in {it.start_s:.2f} s")
        it.stop()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        it = Daemon(setting, folder, jobs(1000, lambda i: "0 0 1 1 *"))
        time.sleep(2)
        before, cpu_s = it.wakeups(), it.cpu_s()
        time.sleep(IDLE_S)
        print(f"  idle with 1000 jobs for {IDLE_S} s: {it.wakeups() - before} wake-ups, "
              f"{(it.cpu_s() - cpu_s) * 1000:.0f} ms of processor time")
        it.stop()
