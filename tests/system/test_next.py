"""'run-core next', and schedules in the configuration: what is due, in words, for programs and in
rows; mistakes with their place."""

import json
import subprocess
import time

import pytest

from conftest import BUILD, PATIENCE_S, SOURCE

TABLES = SOURCE / "tests" / "data" / "cron"


def table(name):
    lines = (TABLES / name).read_text().splitlines()
    return [dict(zip(lines[0].split("\t"), line.split("\t"))) for line in lines[1:]]


def batch(world, rows, *words):
    """The answers to rows, given as text."""
    process = subprocess.run(
        [str(BUILD / "run-core"), "next", "--batch", *words],
        input="".join(row + "\n" for row in rows), capture_output=True, text=True,
        env=world.environment, cwd=world.root, timeout=120, check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    return process.stdout.split("\n")[:-1]


# ---- rows ----------------------------------------------------------------------------------------


def test_every_row_of_the_table_holds(world):
    rows = table("next.tsv")
    assert len(rows) == 1539
    asked = [f"{r['expr']}\t{r['tz']}\t{r['from_epoch']}\t{r['next_epochs'].count(',') + 1}"
             for r in rows]
    answers = batch(world, asked)
    wrong = [(r["id"], answer) for r, answer in zip(rows, answers) if answer != r["next_epochs"]]
    assert (len(answers), wrong) == (len(rows), [])


def test_other_suites_hold(world):
    rows = table("spec.tsv")
    others = table("other.tsv")
    ids = sorted(r["id"] for r in rows + others)
    assert ids == [f"s{n:04}" for n in range(1, 737)]
    reasons = (TABLES / "README.md").read_text()
    assert all(f"| `{r['reason']}` |" in reasons for r in others)

    following = [r for r in rows if r["kind"] == "next"]
    answers = batch(world, [f"{r['expression']}\t{r['zone']}\t{r['from']}\t"
                            f"{r['expected'].count(',') + 1}" for r in following])
    assert answers == [r["expected"] for r in following]
    judged = [r for r in rows if r["kind"] in ("error", "valid")]
    answers = batch(world, [f"{r['expression']}\tUTC\t0" for r in judged])
    assert [a.startswith("error: ") for a in answers] == [r["kind"] == "error" for r in judged]
    matching = [r for r in rows if r["kind"] == "match"]
    answers = batch(world, [f"{r['expression']}\t{r['zone']}\t{int(r['from']) - 1}\t1"
                            for r in matching])
    assert [a == r["from"] for a, r in zip(answers, matching)] == [
        r["expected"] == "true" for r in matching]


def test_rows_are_answered_one_by_one_even_if_wrong(world):
    answers = batch(world, [
        "0 0 * * *\tUTC\t0",
        "0 0 * * *\tUTC\t0\t1",
        "0 0 * * *\tUTC\t-100000\t2",
        "0 0 * * *\tEurope/Prague\t2026-03-29T00:00:00Z\t1",
        "@startup\tUTC\t0",
        "0 0 29 2 *\tUTC\t253370764800",
        "61 * * * *\tUTC\t0",
        "0 0 * * *\tEurope/Prage\t0",
        "0 0 * * *\tUTC\tyesterday",
        "0 0 * * *\tUTC\t0\t0",
        "0 0 * * *\tUTC",
        "0 0 * * *\tUTC\t0\t1\t1",
        "",
        "* * * * *\tUTC\t0\t1\r",
    ])
    assert answers[:6] == ["86400,172800,259200", "86400", "-86400,0", "1774821600", "", ""]
    assert answers[6] == ("error: schedule '61 * * * *': minute '61' at character 1: the minute is "
                          "0 to 59, not 61")
    assert answers[7].endswith("did you mean 'Europe/Prague'?")
    assert "'yesterday' is no time to start from" in answers[8]
    assert "'0' is no count" in answers[9]
    assert all("a row has 3 or 4 columns" in a for a in answers[10:13])
    assert all(a.startswith("error: ") for a in answers[6:13])
    assert answers[13] == "60"


def test_rows_may_be_asked_one_at_a_time(world):
    process = subprocess.Popen([str(BUILD / "run-core"), "next", "--batch"], text=True, bufsize=1,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=world.environment)
    start = 0
    for _ in range(20):
        process.stdin.write(f"@every 7s\tUTC\t{start}\t1\n")
        answer = int(process.stdout.readline())
        assert answer == start + 7
        start = answer
    process.stdin.write("@every 7s\tUTC\t0\t1")  # the last row needs no end
    process.stdin.close()
    assert process.stdout.read() == "7\n"
    assert process.wait(timeout=PATIENCE_S) == 0
    process.stdout.close()


def test_long_rows_and_many(world):
    answers = batch(world, ["9" * 100000 + "\tUTC\t0\t1", "* * * * *\tUTC\t0\t1", "x" * 300000,
                            "* * * * *\tUTC\t60\t1"])
    assert [a[:6] for a in answers] == ["error:", "60", "error:", "120"]
    answers = batch(world, ["*/5 * * * *\tEurope/Prague\t1774745999\t1"] * 20000)
    assert answers == ["1774746000"] * 20000


# ---- for people and programs ---------------------------------------------------------------------


def test_times_are_shown_in_the_zone(world):
    result = world.run("next", "30 2 * * *", "--time-zone", "Europe/Prague", "--from",
                       "2026-03-28T00:00:00Z", "--count", 3)
    assert (result.status, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    result = world.run("next", "@hourly", "--from", "1774746001", "--count", "1")
    assert result.stdout == "2026-03-29T02:00:00Z\n"
    result = world.run("next", "0 12 * * *", "--time-zone", "America/St_Johns", "--from",
                       "2026-01-01T00:00:00Z", "--count=1")
    assert result.stdout == "2026-01-01T12:00:00-03:30\n"


def test_now_is_where_it_starts(world):
    before = time.time()
    result = world.run("next", "* * * * * *", "--json", "--count", 1)
    after = time.time()
    assert before <= time.mktime(time.strptime(result.final["next"][0], "%Y-%m-%dT%H:%M:%SZ")) \
        - time.timezone <= after + 1
    result = world.run("next", "0 0 * * *", "--count", 1,
                       env={"RUN_CORE_CLOCK": "2030-05-05T12:00:00Z"})
    assert result.stdout == "2030-05-06T00:00:00Z\n"


def test_json_is_in_utc(world):
    words = ["next", "30 2 * * *", "--time-zone", "Europe/Prague", "--from", "2026-03-28T12:00:00Z",
             "--count", 2, "--json"]
    assert world.run(*words).final == {
        "schedule": "30 2 * * *", "time_zone": "Europe/Prague", "from": "2026-03-28T12:00:00Z",
        "next": ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]}
    told = world.run(*words, "--explain").final
    assert "in Europe/Prague\n" in told["explanation"]
    assert "skips 02:30:00" in told["reasons"][0] and told["reasons"][1] is None


def test_explain_says_why(world):
    told = world.run("next", "30 2 * * *", "--time-zone", "Europe/Prague", "--from",
                     "2026-10-24T12:00:00Z", "--count", 1, "--explain").stdout
    assert "  weekday        every\n" in told
    assert told.endswith("2026-10-25T02:30:00+02:00  the first time that the clock shows 02:30:00; "
                         "it is not due the second time\n")
    assert world.run("next", "@startup", "--explain").stdout.startswith("'@startup': once, whenever")
    for zone, changes in ("Antarctica/Troll", True), ("Asia/Tokyo", True), ("Etc/GMT-5", False):
        told = world.run("next", "0 2 * * *", "--time-zone", zone, "--explain").stdout
        assert ("  clock changes  a fixed time" in told) == changes, zone


def test_job_gives_h_its_name(world):
    def answer(*words):
        return world.run("next", "H H * * *", "--from", "0", "--count", 1, *words).stdout

    assert answer("--job", "one") != answer("--job", "two") != answer()
    assert answer("--job", "one") == answer("--job", "one")
    row = "H H * * *\tUTC\t0\t1"
    epoch = int(batch(world, [row], "--job", "one")[0])
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ\n", time.gmtime(epoch)) == answer("--job", "one")


@pytest.mark.parametrize("words, message", [
    (["61 * * * *"], "run-core: schedule '61 * * * *': minute '61' at character 1"),
    (["@daily", "--count", "0"], "'0' is no count"),
    (["nightly"], "of a job, give its name as --job nightly"),
    (["@daily", "--count", "10001"], "from 1 to 10000"),
    (["@daily", "--from", "soon"], "'soon' is no time to start from"),
    (["@daily", "--time-zone", "Mars/Olympus"], "no time zone 'Mars/Olympus'"),
    (["@daily", "--time-zone", "../etc/passwd"], "is not the name of a time zone"),
    ([], "needs a schedule"),
    (["*", "*", "*"], "'next' does not take the word '*'"),
    (["--batch", "--count", "3"], "with --batch everything but --job comes in rows"),
    (["--batch", "@daily"], "with --batch everything but --job comes in rows"),
])
def test_misuse_is_status_2(world, words, message):
    result = world.run("next", *words)
    assert result.status == 2 and result.stdout == ""
    assert message in result.stderr


# ---- the configuration ---------------------------------------------------------------------------

JOBS = """\
jobs:
  nightly:
    plugin: noop
    schedule: "30 2 * * *"
    time_zone: Europe/Prague
  hashed:
    plugin: noop
    schedule: H H(1-4) * * *
  skipping:
    plugin: noop
    schedule: "30 2 * * *"
    time_zone: Europe/Prague
    dst_gap: skip
    dst_overlap: both
  by-hand:
    plugin: noop
"""


def test_a_job_of_the_configuration(world):
    world.config(JOBS)
    spring = ["--from", "2026-03-28T12:00:00Z", "--count", "1"]
    assert world.run("next", "--job", "nightly", *spring).stdout == "2026-03-29T03:00:00+02:00\n"
    assert world.run("next", "--job", "skipping", *spring).stdout == "2026-03-30T02:30:00+02:00\n"
    assert world.run("next", "--job", "nightly", "--time-zone", "UTC", *spring).stdout == \
        "2026-03-29T02:30:00Z\n"
    assert world.run("next", "--job", "hashed", *spring).stdout == \
        world.run("next", "H H(1-4) * * *", "--job", "hashed", *spring).stdout
    result = world.run("next", "--job", "by-hand")
    assert result.status == 2 and "it runs on demand only" in result.stderr
    result = world.run("next", "--job", "nightyl")
    assert result.status == 2 and "did you mean 'nightly'?" in result.stderr


def test_list_says_what_is_next(world):
    world.config(JOBS)
    clock = {"RUN_CORE_CLOCK": "2026-03-28T12:00:00Z"}
    jobs = {job["name"]: job for job in world.run("list", "--json", env=clock).final["jobs"]}
    assert jobs["nightly"]["next"] == "2026-03-29T01:00:00Z"
    assert jobs["skipping"]["next"] == "2026-03-30T00:30:00Z"
    assert jobs["by-hand"]["next"] is None and jobs["by-hand"]["schedule"] is None
    text = world.run("list", env=clock).stdout
    assert " at '30 2 * * *', next 2026-03-29T01:00:00Z\n" in text
    assert ", on demand\n" in text


WRONG = """\
jobs:
  one:
    plugin: noop
    schedule: "0 25 * * *"
  two:
    plugin: noop
    time_zone: Europe/Pragu
    schedule: "0 0 30 2 *"
  three: {plugin: noop, schedule: "@every 100ms"}
  four: {plugin: noop, time_zone: Prague}
"""


@pytest.mark.parametrize("command", ["check", "list"])
def test_mistakes_have_the_place_of_their_value(world, command):
    path = world.config(WRONG)
    result = world.run(command)
    assert result.status == 2
    assert [line.split(": ", 1) for line in result.stderr.splitlines()] == [
        [f"{path}:4:15", "job 'one': schedule '0 25 * * *': hour '25' at character 3: the hour is "
                         "0 to 23, not 25"],
        [f"{path}:7:16", "job 'two': no time zone 'Europe/Pragu' in '/usr/share/zoneinfo'; did you "
                         "mean 'Europe/Prague'?"],
        [f"{path}:8:15", "job 'two': schedule '0 0 30 2 *': it never comes: the day of month '30' "
                         "does not exist in month '2'; for the last day of a month write L"],
        [f"{path}:9:35", "job 'three': schedule '@every 100ms': behind @every stands a duration of "
                         "whole seconds, from 1s to 3660d"],
        [f"{path}:10:35", "job 'four': no time zone 'Prague' in '/usr/share/zoneinfo'; did you mean "
                          "'Europe/Prague'?"],
    ]


# ---- all jobs ------------------------------------------------------------------------------------

CHRONOLOGY = """\
jobs:
  dump: {plugin: noop, schedule: "0 0 * * *"}
  spring: {plugin: noop, schedule: "30 2 * * *", time_zone: Europe/Prague}
  import: {plugin: noop}
  twice: {plugin: options, action: reveal, schedule: "@every 12h", config: {needed: x}}
  begin: {plugin: noop, schedule: "@startup"}
"""


def test_all_jobs_in_the_order_of_time(world):
    world.config(CHRONOLOGY)
    words = ["next", "--from", "2026-03-28T18:00:00Z", "--count", 5]
    result = world.run(*words)
    assert (result.status, result.stderr) == (0, "")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["2026-03-29T00:00:00Z", "dump", "noop", "noop"],  # as the configuration has them
        ["2026-03-29T00:00:00Z", "twice", "options", "reveal"],
        ["2026-03-29T03:00:00+02:00", "spring", "noop", "noop"],
        ["2026-03-29T12:00:00Z", "twice", "options", "reveal"],
        ["2026-03-30T00:00:00Z", "dump", "noop", "noop"],
        ["@startup", "begin", "noop", "noop"],
        ["on", "demand", "import", "noop", "noop"],
    ]
    assert len({line.index(" noop ") for line in result.stdout.splitlines() if " noop " in line}) == 1
    said = world.run(*words, "--json").final
    assert said["from"] == "2026-03-28T18:00:00Z"
    assert [(n["time"], n["job"]) for n in said["next"]] == [
        ("2026-03-29T00:00:00Z", "dump"), ("2026-03-29T00:00:00Z", "twice"),
        ("2026-03-29T01:00:00Z", "spring"), ("2026-03-29T12:00:00Z", "twice"),
        ("2026-03-30T00:00:00Z", "dump")]
    assert said["next"][2] == {"job": "spring", "plugin": "noop", "action": "noop",
                               "time": "2026-03-29T01:00:00Z", "time_zone": "Europe/Prague"}
    assert said["startup"] == [{"job": "begin", "plugin": "noop", "action": "noop"}]
    assert said["on_demand"] == [{"job": "import", "plugin": "noop", "action": "noop"}]
    assert len(world.run("next", "--json").final["next"]) == 10


def test_every_job_is_told_of_once_at_least(world):
    world.config("""jobs:
  often: {plugin: noop, schedule: "@every 1h"}
  night: {plugin: noop, schedule: "0 0 * * *"}
  month: {plugin: noop, schedule: "0 0 1 * *"}
""")
    words = ["next", "--from", "2026-03-28T01:30:00Z"]
    told = world.run(*words).stdout.splitlines()
    assert [line.split()[1] for line in told] == 10 * ["often"] + ["night", "month"]
    assert [n["time"] for n in world.run(*words, "--json").final["next"]][9:] == [
        "2026-03-28T11:00:00Z", "2026-03-29T00:00:00Z", "2026-04-01T00:00:00Z"]
    assert len(world.run(*words, "--count", "10").stdout.splitlines()) == 10
    world.config(json.dumps({"jobs": {f"j{i}": {"plugin": "noop", "schedule": "@daily"}
                                      for i in range(200)}}))
    assert len(world.run("next").stdout.splitlines()) == 100


def test_all_jobs_of_every_kind_of_configuration(world):
    path = world.config("jobs: {}\n")
    assert world.run("next").stdout == "No jobs.\n"
    assert world.run("next", "--json").final["next"] == []
    for flag in ("--time-zone", "Europe/Prague"), ("--explain",):
        result = world.run("next", *flag)
        assert result.status == 2 and f"{flag[0]} needs a schedule, or --job" in result.stderr
    assert world.run("next", "--count", "0").status == 2
    path = world.config(WRONG + "  right: {plugin: noop, schedule: '@daily'}\n")
    result = world.run("next", "--count", "1", "--from", "0")
    assert result.status == 2 and f"{path}:4:15: job 'one'" in result.stderr
    assert [line.split()[-3] for line in result.stdout.splitlines()] == ["right", "four"]


def test_all_jobs_agree_with_each(world, rng):
    kinds = ["H H * * *", "*/7 * * * *", "@every 95m", "15 3 * * 1", "0 0 1 * *"]
    zones = ["UTC", "Europe/Prague", "America/St_Johns"]
    jobs = {f"j{i}": {"plugin": "noop", "schedule": rng.choice(kinds),
                      "time_zone": rng.choice(zones)} for i in range(20)}
    world.config(json.dumps({"jobs": jobs}))
    words = ["--from", str(rng.randrange(1_700_000_000, 1_900_000_000)), "--count", "200", "--json"]
    said = world.run("next", *words).final["next"]
    each = [(time, int(name[1:])) for name in jobs
            for time in world.run("next", "--job", name, *words).final["next"]]
    assert [(n["time"], int(n["job"][1:])) for n in said] == sorted(each)[:200]
