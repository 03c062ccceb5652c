"""The aggregator beside the same SQL by hand in DuckDB: a first full history, then one further day."""
import datetime
import filecmp
import json
import os
import shutil
import statistics
import subprocess
import sys

from measure import BENCH, ROOT, run, settle

EVENTS_A_DAY, DAYS = 1_000_000, 10
FULL_EVENTS_A_DAY, FULL_DAYS = 10_000_000, 30
USERS_SHARE = 5  # events a day for each user
END = datetime.date(2026, 9, 30)
WINDOWS = (("7d", 7), ("30d", 30), ("365d", 365), ("total", 36500))
FULL_GOAL, DAY_GOAL = 1.15, 1.30

CONFIG = """\
core: {{state: {state}}}
sql: {{embedded: {{engine: duckdb, threads: {threads}{memory}}}}}
plugins:
  aggregator:
    config:
      engine: embedded
      tables: {{events: "file://{lake}/rawevents/"}}
      sourceEventsTable: events
      historyStartDay: {start}
      dailyAggregationsS3Path: {output}/1d/
      secondaryAggregations:
{windows}
      csvOutputFolder: {output}/csv/
      csvTablePrefix: bench
      importToUserDb: false
"""
WINDOW = "        - {{aggregationWindowDays: {days}, targetFolder: {output}/{name}/}}\n"


def make_lake(setting):
    """The lake of the asked size, made once and kept in the cache."""
    events, days = (FULL_EVENTS_A_DAY, FULL_DAYS) if setting.full else (EVENTS_A_DAY, DAYS)
    days = setting.days or days
    lake = os.path.join(setting.cache, f"lake-{events}x{days}")
    if not os.path.isdir(os.path.join(lake, "rawevents")):
        print(f"  making {days} days of {events:,} events in '{lake}' ...", flush=True)
        subprocess.run([sys.executable, os.path.join(ROOT, "packaging", "make-lake"), lake,
                        "--events", str(events * days), "--days", str(days),
                        "--users", str(events // USERS_SHARE), "--end", str(END),
                        "--library", setting.duckdb], check=True)
    return lake


def list_parquet(folder):
    return sorted(os.path.relpath(os.path.join(top, name), folder)
                  for top, _, names in os.walk(folder) for name in names
                  if name.endswith(".parquet"))


class Work:
    """The two outputs over one lake, and the runs that fill them."""

    def __init__(self, setting, lake, memory_limit=None):
        self.setting, self.lake = setting, lake
        self.memory_limit = memory_limit or setting.memory_limit
        days = sorted(name[len("day="):] for name in os.listdir(os.path.join(lake, "rawevents")))
        self.first, self.before_last, self.last = days[0], days[-2], days[-1]
        self.folder = os.path.join(setting.cache, "work")
        self.ours, self.hand = (os.path.join(self.folder, name) for name in ("ours", "hand"))
        self.close()
        os.makedirs(self.folder)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clear(self, *folders):
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        settle()

    def _run_ours(self, last):
        config = os.path.join(self.folder, "config.yaml")
        memory = f", memory_limit: {self.memory_limit}" if self.memory_limit else ""
        windows = "".join(WINDOW.format(days=days, output=self.ours, name=name)
                          for name, days in WINDOWS)
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(state=self.ours + "-state", lake=self.lake, start=self.first,
                                     output=self.ours, windows=windows.rstrip("\n"), memory=memory,
                                     threads=self.setting.threads))
        now = datetime.date.fromisoformat(last) + datetime.timedelta(days=1)
        return run([self.setting.binary(), "aggregator", "--config", config, "-q",
                    "--now", f"{now}T12:00:00Z"], self.setting.environment(self.ours + "-state"))

    def _run_by_hand(self, first, last):
        return run([sys.executable, os.path.join(BENCH, "by_hand.py"), self.lake, self.hand, first,
                    last, ",".join(name for name, _ in WINDOWS), str(self.setting.threads),
                    self.memory_limit, self.first,
                    "unordered" if self.setting.unordered else "ordered"],
                   dict(os.environ, RUN_CORE_DUCKDB=self.setting.duckdb))

    def full_ours(self, last=None):
        self._clear(self.ours, self.ours + "-state")
        return self._run_ours(last or self.last)

    def full_by_hand(self, last=None):
        self._clear(self.hand)
        return self._run_by_hand(self.first, last or self.last)

    def day_ours(self):
        settle()
        return self._run_ours(self.last)

    def day_by_hand(self):
        settle()
        return self._run_by_hand(self.last, self.last)

    def forget_last_day(self):
        """Brings both back to the day before the last."""
        for output in (self.ours, self.hand):
            for name in ["1d"] + [name for name, _ in WINDOWS]:
                shutil.rmtree(os.path.join(output, name, f"day={self.last}"))
                for entry in os.listdir(os.path.join(output, name)):
                    if entry.startswith("_") and entry.endswith(self.last):
                        os.remove(os.path.join(output, name, entry))

    def check_same(self):
        """The comparison is of equals only if both wrote the same files."""
        ours, hand = list_parquet(self.ours), list_parquet(self.hand)
        if ours != hand:
            sys.exit(f"ours wrote {len(ours)} files, by hand it were {len(hand)}: not the same work")
        different = sum(not filecmp.cmp(os.path.join(self.ours, name),
                                        os.path.join(self.hand, name), shallow=False)
                        for name in ours)
        print(f"  both wrote the same {len(ours):,} files"
              + (f", {different:,} of them of other bytes" if different else ", byte for byte"))


def say_pairs(what, pairs, goal):
    ratios = [ours.seconds / hand.seconds for ours, hand in pairs]
    cpu = [ours.cpu / hand.cpu for ours, hand in pairs]
    for number, (ours, hand) in enumerate(pairs):
        print(f"  {what} {number + 1}: ours {ours.seconds:8.2f} s (CPU {ours.cpu:8.2f} s), by hand "
              f"{hand.seconds:8.2f} s (CPU {hand.cpu:8.2f} s), ratio {ratios[number]:.3f}")
    median = statistics.median(ratios)
    print(f"  {what}: ours {statistics.median(ours.seconds for ours, _ in pairs):.2f} s, by hand "
          f"{statistics.median(hand.seconds for _, hand in pairs):.2f} s, ratio {median:.3f} "
          f"(CPU {statistics.median(cpu):.3f}); goal {goal}: "
          f"{'met' if median <= goal else 'NOT met'}", flush=True)


def aggregator(setting):
    work = Work(setting, make_lake(setting))
    full, day = [], []
    for number in range(setting.rounds):
        full.append((work.full_ours(), work.full_by_hand()))
        if number == 0:
            work.check_same()
            spent = json.loads(full[0][1].out)["spent"]
            print("  by hand, where the time goes: " + ", ".join(
                f"{name} {seconds:.2f} s" for name, seconds in spent.items()))
    say_pairs("full history", full, FULL_GOAL)
    for _ in range(setting.rounds):
        work.forget_last_day()
        day.append((work.day_ours(), work.day_by_hand()))
    say_pairs("one further day", day, DAY_GOAL)
    work.close()
