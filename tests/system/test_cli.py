"""The command line: parsing, help, and the commands that look without running anything."""

import json
import os
import re
import shutil
import subprocess

import pytest
from conftest import BUILD, PATIENCE_S, SOURCE

COMMANDS = ["run", "daemon", "trigger", "cancel", "logs", "pause", "resume", "reload", "token",
            "storage", "check", "list", "describe", "new-plugin", "check-plugin", "help", "version"]
STORAGE = ["ls", "stat", "cat", "cp", "mv", "sync", "rm", "sweep", "mb", "rb"]
MANUAL = SOURCE / "packaging" / "man" / "run-core.1"
COMPLETION = SOURCE / "packaging" / "completions" / "run-core.bash"


# ---- help and usage -----------------------------------------------------------------------------


def test_without_words_it_explains_itself_and_fails(world):
    result = world.run()
    assert (result.status, result.stdout) == (2, "")
    assert result.stderr == world.run("--help").stdout


def test_help_names_every_command_within_the_line(world):
    result = world.run("--help")
    assert result.status == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command}\b", result.stdout, re.M), command
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(world, command):
    result = world.run(command, "--help")
    assert result.status == 0
    assert f"run-core {command}" in result.stdout
    assert result.stdout == world.run("help", command).stdout


@pytest.mark.parametrize("command", STORAGE)
def test_each_part_of_a_command_has_help(world, command):
    result = world.run("storage", command, "--help")
    assert (result.status, result.stderr) == (0, "")
    assert f"run-core storage {command} " in result.stdout
    assert result.stdout == world.run("help", "storage", command).stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_a_part_that_is_none(world):
    result = world.run("storage", "copy", "a", "b")
    assert (result.status, result.stdout) == (2, "")
    assert "'storage' has no command 'copy'" in result.stderr
    assert "there is no command 'storage copy'" in world.run("help", "storage", "copy").stderr
    assert "storage COMMAND" in world.run("storage").stderr


def test_help_on_a_plugin_comes_from_its_tables(world):
    result = world.run("options", "--help")
    assert result.status == 0
    for word in ["show (default)", "reveal", "Parameters of 'show'", "colour", "Also called oldText"]:
        assert word in result.stdout


@pytest.mark.parametrize(
    "words, message",
    [
        (["--hepl"], "unknown flag '--hepl'; did you mean '--help'?"),
        (["noop", "--drry-run"], "unknown flag '--drry-run'; did you mean '--dry-run'?"),
        (["noop", "-x"], "unknown flag '-x'; see 'run-core --help'"),
        (["noop", "--frobnicate"], "unknown flag '--frobnicate'; see 'run-core --help'"),
        (["noop", "--config"], "'--config' needs a value: FILE|DIR"),
        (["noop", "--config="], "'--config' needs a value: FILE|DIR"),
        (["noop", "--dry-run=yes"], "'--dry-run' takes no value"),
        (["noop", "--log-level", "loud"], "a level is error, warn, info or debug"),
        (["noop", "--now", "yesterday"], "'--now yesterday': a time is written as in RFC 3339"),
        (["noop", "noop", "more"], "'noop' does not take the word 'more'"),
        (["noop", "--markdown"], "'noop' takes no '--markdown'"),
        (["check", "--dry-run"], "'check' takes no '--dry-run'"),
        (["check", "twice"], "'check' does not take the word 'twice'"),
        (["run"], "'run' needs JOB"),
        (["chek"], "'chek' is neither a command nor a plugin; did you mean 'check'?"),
        (["describe", "nop"], "did you mean 'noop'?"),
        (["help", "nop"], "'nop' is neither a command nor a plugin; did you mean 'noop'?"),
        (["nop"], "did you mean 'noop'?"),
    ],
)
def test_a_wrong_word_is_named_with_the_nearest_right_one(world, words, message):
    result = world.run(*words)
    assert (result.status, result.stdout) == (2, "")
    assert message in result.stderr


def test_flags_may_stand_anywhere_and_in_every_form(world):
    for words in (
        ["--json", "noop", "--log-level=error"],
        ["noop", "--log-level", "error", "--json"],
        ["-qq", "noop", "noop", "--json"],
        ["--json", "-q", "-q", "--", "noop", "noop"],
    ):
        result = world.run(*words)
        assert (result.status, result.stderr) == (0, ""), words
        assert result.final["action"] == "noop"


def test_version(world):
    text = world.run("version")
    assert text.status == 0
    said = json.loads(world.run("version", "--json").stdout)
    assert text.stdout == f"run-core {said['version']}, plugin ABI {said['abi']}\n"
    assert world.run("--version").stdout == text.stdout
    assert world.run("-V").stdout == text.stdout


def test_a_result_that_cannot_be_written_is_a_failure(world):
    with open("/dev/full", "wb") as full:
        process = world.start("--help", stdout=full)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert b"cannot write the result" in stderr


# ---- list and describe ----------------------------------------------------------------------------

JOBS = """
jobs:
  every-night:
    plugin: options
    schedule: "0 2 * * *"
    config: {needed: x}
  by-hand:
    plugin: noop
    action: noop
"""


def test_list_shows_plugins_and_jobs(world):
    world.config(JOBS)
    result = world.run("list", "--json", env={"RUN_CORE_CLOCK": "2026-01-31T12:00:00Z"})
    assert (result.status, result.stderr) == (0, "")
    said = json.loads(result.stdout)
    plugins = {plugin["name"]: plugin for plugin in said["plugins"]}
    assert list(plugins) == sorted(plugins)
    assert plugins["noop"] == {
        "name": "noop",
        "version": "1.0",
        "file": str(BUILD / "test-plugins" / "noop.so"),
    }
    assert plugins["wrong-abi"]["version"] is None
    assert "needs plugin ABI 2.0" in plugins["wrong-abi"]["error"]
    assert {job["name"]: job for job in said["jobs"]} == {
        "every-night": {
            "name": "every-night",
            "plugin": "options",
            "action": "show",
            "schedule": "0 2 * * *",
            "next": "2026-02-01T02:00:00Z",
        },
        "by-hand": {
            "name": "by-hand",
            "plugin": "noop",
            "action": "noop",
            "schedule": None,
            "next": None,
        },
    }
    text = world.run("list")
    assert text.status == 0
    assert "every-night" in text.stdout and "noop" in text.stdout


def test_list_takes_the_file_that_the_configuration_names(world):
    shutil.copy(BUILD / "test-plugins" / "noop.so", world.root / "mine.so")
    world.config(f"plugins:\n  mine:\n    file: {world.root}/mine.so\n")
    said = json.loads(world.run("list", "--json").stdout)
    assert {"name": "mine", "version": "1.0", "file": f"{world.root}/mine.so"} in said["plugins"]


def test_describe_tells_everything_the_tables_hold(world):
    result = world.run("describe", "options", "--json")
    assert (result.status, result.stderr) == (0, "")
    said = json.loads(result.stdout)
    assert [said[key] for key in ("name", "version", "abi", "routes")] == ["options", "1.0", "1.8", []]
    assert [action["name"] for action in said["actions"]] == ["show", "reveal"]
    assert [param["key"] for param in said["actions"][0]["parameters"]] == ["from", "to", "loud"]
    options = {option["key"]: option for option in said["options"]}
    assert options["colour"]["choices"] == ["red", "green", "blue"]
    assert (options["count"]["min"], options["count"]["max"]) == (0, 10)
    assert options["needed"]["required"] and options["password"]["secret"]
    for option in said["options"]:
        assert {"key", "type", "default", "required", "secret", "env", "choices", "min", "max",
                "unit", "help"} <= set(option)


def test_describe_writes_text_and_markdown(world):
    by_name = world.run("describe", "options")
    assert by_name.status == 0 and "Options:" in by_name.stdout
    by_file = world.run("describe", BUILD / "test-plugins" / "options.so")
    assert by_file.stdout == by_name.stdout
    markdown = world.run("describe", "options", "--markdown").stdout
    assert "| `reveal` | Tries to give the secret away. |" in markdown


# ---- check ----------------------------------------------------------------------------------------


def test_check_reports_every_mistake_with_its_place(world):
    path = world.config(
        "plugins:\n"
        "  options:\n"
        "    config: {wait: soon}\n"
        "jobs:\n"
        "  one:\n"
        "    plugin: options\n"
        "    config: {needed: x, colur: red, count: 11}\n"
        "  two:\n"
        "    plugin: options\n"
        "    action: shew\n"
        "  three:\n"
        "    plugin: nop\n"
        "  four:\n"
        "    plugin: noop\n"
        "    time_zone: Europe/Prag\n"
    )
    result = world.run("check")
    assert (result.status, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    for line in lines:
        assert re.match(rf"{re.escape(str(path))}:\d+:\d+: ", line), line
    places = [tuple(map(int, re.findall(r":(\d+):(\d+): ", line)[0])) for line in lines]
    assert places == sorted(places)
    for part in ["3:", "did you mean 'colour'?", "did you mean 'show'?", "did you mean 'noop'?",
                 "Europe/Prag", "'count'", "'wait'"]:
        assert part in result.stderr, part


def test_check_tells_parameters_of_another_action(world):
    world.config(
        "jobs:\n  one:\n    plugin: options\n    action: reveal\n"
        "    config: {needed: x, loud: true}\n"
    )
    result = world.run("check")
    assert result.status == 2
    assert "'loud' is a parameter of the action 'show' of plugin 'options', not of 'reveal'" in (
        result.stderr
    )


def test_check_does_not_miss_values_that_the_command_line_may_give(world):
    world.config("plugins:\n  options:\n    config: {count: 5}\n")
    result = world.run("check")
    assert (result.status, result.stderr) == (0, "")
    assert "1 file, 1 plugin and 0 jobs" in result.stdout


def test_check_says_what_was_good(world):
    world.config(JOBS)
    result = world.run("check")
    assert (result.status, result.stderr) == (0, "")
    assert "no mistakes in 1 file, 2 plugins and 2 jobs" in result.stdout


def test_check_needs_a_configuration(world):
    if os.path.exists("/etc/run-core/conf.d"):
        pytest.skip("this machine has a configuration")
    result = world.run("check")
    assert result.status == 2
    assert "name it with --config FILE|DIR" in result.stderr


def test_check_names_the_plugin_that_crashes(world):
    make_plugin(
        world,
        before="#include <signal.h>\n"
        "__attribute__((constructor)) static void begin(void) { raise(SIGSEGV); }",
    )
    world.environment["RUN_CORE_PLUGIN_PATH"] += f":{world.root}"
    world.config("jobs:\n  first:\n    plugin: noop\n  second:\n    plugin: made\n")
    result = world.run("check")
    assert (result.status, result.stdout) == (128 + 11, "")
    assert "signal 11" in result.stderr and "in the plugin 'made'" in result.stderr


# ---- check-plugin ---------------------------------------------------------------------------------

PLUGIN = """
#include <run-core/plugin.h>
%s
static enum rc_code run(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)job; (void)config; (void)err;
    %s
    return RC_OK;
}
static const struct rc_action actions[] = { { .name = "go", .summary = "Goes.", .run = run }, { 0 } };
static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, .name = "made", .version = "1", .summary = "Made.", .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
"""


def make_plugin(world, before="", inside="", flags=()):
    source = world.root / "made.c"
    source.write_text(PLUGIN % (before, inside))
    target = world.root / "made.so"
    subprocess.run(
        ["cc", "-std=c11", "-shared", "-fPIC", "-fvisibility=hidden",
         f"-I{SOURCE}/core/include", "-o", target, source, *flags],
        check=True,
    )
    return target


def faults(world, path):
    result = world.run("check-plugin", path, "--json")
    said = json.loads(result.stdout)
    assert said["file"] == str(path)
    assert result.status == (0 if said["loads"] else 2)
    assert said["loads"] == (not said["faults"])
    return said


@pytest.mark.parametrize(
    "flags", [[], ["-Wl,--hash-style=sysv"], ["-Wl,--hash-style=gnu"], ["-Wl,-z,pack-relative-relocs"]]
)
def test_a_good_plugin_would_load(world, flags):
    path = make_plugin(world, flags=flags)
    assert faults(world, path)["plugin"]["name"] == "made"
    text = world.run("check-plugin", path)
    assert text.status == 0
    assert text.stdout.startswith(f"'{path}' would load.")


def test_nothing_of_the_plugin_is_run(world):
    flag = world.root / "was-run"
    path = make_plugin(
        world,
        before='#include <fcntl.h>\n#include <unistd.h>\n'
        '__attribute__((constructor)) static void begin(void)\n'
        f'{{ close(open("{flag}", O_CREAT | O_WRONLY, 0600)); }}',
    )
    assert faults(world, path)["loads"]
    world.environment["RUN_CORE_PLUGIN_PATH"] = str(world.root)
    for words in (["list"], ["describe", "made"], ["made", "--help"], ["help", "made"]):
        assert world.run(*words).status == 0
    assert not flag.exists()
    assert world.run("made").status == 0
    assert flag.exists()


def test_what_the_plugin_lacks_is_found_without_running_it(world):
    path = make_plugin(world, before="void lost(void);", inside="lost();")
    assert faults(world, path)["faults"] == [
        f"'{path}' needs the symbol 'lost', which is not there; install it, or link the library "
        "that has it"
    ]
    library = world.root / "libgone.so"
    empty = world.root / "empty.c"
    empty.write_text("void lost(void);\nvoid lost(void) { }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, empty], check=True)
    path = make_plugin(world, "void lost(void);", "lost();", [f"-L{world.root}", "-lgone"])
    library.unlink()
    assert any("library 'libgone.so'" in fault for fault in faults(world, path)["faults"])


@pytest.mark.parametrize(
    "name, message",
    [
        ("bad-magic", "is not a run-core plugin"),
        ("bad-table", "earlier one has too"),
        ("newer-minor", "needs plugin ABI 1.9, this run-core has 1.8"),
        ("wrong-abi", "needs plugin ABI 2.0, this run-core has 1.8"),
        ("no-descriptor", "does not export 'rc_plugin_descriptor'"),
    ],
)
def test_each_kind_of_bad_plugin_has_its_message(world, name, message):
    path = BUILD / "test-plugins" / f"{name}.so"
    said = faults(world, path)
    assert said["plugin"] is None
    assert message in said["faults"][0]
    assert message in world.run("check-plugin", path).stderr


def test_a_file_that_others_may_write_is_not_trusted(world):
    path = make_plugin(world)
    path.chmod(0o777)
    said = faults(world, path)
    assert said["plugin"]["name"] == "made"
    assert len(said["faults"]) == 1 and "chmod" in said["faults"][0]


def test_files_that_are_no_plugins(world):
    text = world.root / "text.so"
    text.write_text("not a plugin\n" * 20)
    assert "not an ELF file" in faults(world, text)["faults"][0]
    assert "no such file" in faults(world, world.root / "none.so")["faults"][0].lower()
    assert "program" in faults(world, BUILD / "run-core")["faults"][0]
    assert faults(world, world.root)["faults"]


# ---- what is made from the tables -------------------------------------------------------------------


@pytest.mark.parametrize("part", ["synopsis", "commands", "flags"])
def test_the_man_page_is_like_the_tables(world, part):
    page = MANUAL.read_text()
    begin, end = f'.\\" begin {part}\n', f'.\\" end {part}\n'
    stands = page[page.index(begin) + len(begin):page.index(end)]
    assert stands == world.run("manual", part).stdout


def complete(world, *words):
    return world.run("complete", *words).stdout.split()


def test_completion_knows_what_may_stand_where(world):
    world.config(JOBS)
    assert set(COMMANDS) | {"noop", "options"} <= set(complete(world, ""))
    assert "complete" not in complete(world, "")
    assert complete(world, "options", "") == ["show", "reveal"]
    assert complete(world, "run", "") == ["every-night", "by-hand"]
    assert "--dry-run" in complete(world, "noop", "--")
    assert world.run("complete", "help", "noop", "").status == 0
    assert complete(world, "version", "-") == ["--json", "--help"]
    assert "colour=" in complete(world, "options", "--set", "")
    assert "colour=" in complete(world, "run", "every-night", "--set", "")
    assert complete(world, "options", "--log-level", "") == ["error", "warn", "info", "debug"]
    assert complete(world, "run", "-c", world.root / "conf.d", "-s", "") == []
    assert complete(world, "-j", "") == ["every-night", "by-hand"]
    assert complete(world, "options", "--nonsense", "") == []
    assert complete(world, "storage", "") == STORAGE == complete(world, "help", "storage", "")
    assert {"--delete", "--help"} < set(complete(world, "storage", "sync", "--"))
    assert "--delete" not in complete(world, "storage", "cp", "a", "--")


def test_bash_completes(world):
    script = (
        f"source {COMPLETION}; COMP_WORDS=(run-core describe no); COMP_CWORD=2; "
        f'_run_core {BUILD}/run-core; echo "${{COMPREPLY[*]}}"'
    )
    result = subprocess.run(
        ["bash", "-c", script], env=world.environment, capture_output=True, text=True, check=True
    )
    assert "noop" in result.stdout.split()


def test_check_refuses_what_the_daemon_would(world):
    """An address beyond this machine needs tokens; a file of tokens is read."""
    for listen in ("0.0.0.0:18432", ":18432", "[::]:18432", "192.0.2.1:80"):
        world.config(f"core: {{listen: '{listen}'}}")
        result = world.run("check")
        assert result.status == 2 and "where tokens are needed" in result.stderr, listen
    for listen in ("127.0.0.1:18432", "[::1]:80", "localhost:80", f"unix:{world.root}/s"):
        world.config(f"core: {{listen: '{listen}'}}")
        assert world.run("check").status == 0, listen
    tokens = world.root / "tokens"
    tokens.write_text("deploy run nonsense\n\nother all " + "0" * 64 + "\n")
    tokens.chmod(0o600)
    world.config(f"core: {{listen: '0.0.0.0:18432', auth: {{tokens_file: {tokens}}}}}")
    result = world.run("check")
    assert result.status == 2
    assert f"{tokens}:1:" in result.stderr and f"{tokens}:3:" in result.stderr
