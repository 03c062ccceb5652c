"""A plugin is installed by putting a file and some YAML in place, and upgraded by replacing the file:
the daemon goes on all the while."""

import json
import os
import signal
import subprocess
import time

from conftest import PATIENCE_S, SOURCE

PLUGIN = """
#include <run-core/plugin.h>

static enum rc_code work(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_job_count(job, "version_%d", 1);
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "work", .summary = "Counts its version.", .run = work },
    { 0 },
};
static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD,
    .name = "dropped", .version = "%d", .summary = "Is dropped in.", .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
"""


def install(folder, version):
    """As install(1) does: the new file takes the place of the old one as a whole."""
    source, built = folder / "dropped.c", folder / "dropped.new"
    source.write_text(PLUGIN.replace("%d", str(version)))
    subprocess.run(["cc", "-std=c11", "-shared", "-fPIC", f"-I{SOURCE / 'core/include'}",
                    source, "-o", built], check=True)
    os.rename(built, folder / "dropped.so")


def wait_for_version(world, version, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while True:
        runs = json.loads(world.run("runs", "--json").stdout)
        if any(run["status"] == "succeeded" and run["counters"] == {f"version_{version}": 1}
               for run in runs):
            return
        assert time.monotonic() < deadline, runs
        time.sleep(0.1)


def test_a_plugin_is_dropped_in_and_upgraded_under_the_daemon(world):
    plugins = world.root / "plugins"
    plugins.mkdir(mode=0o755)
    world.environment["RUN_CORE_PLUGIN_PATH"] = str(plugins)
    world.config("core: {shutdown_grace: 5s}", "00-core.yaml")
    daemon = world.start("daemon")
    deadline = time.monotonic() + PATIENCE_S
    while world.run("reload").status != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    world.config("jobs: {often: {plugin: dropped, schedule: '@every 1s'}}", "10-dropped.yaml")
    result = world.run("reload")
    assert result.status == 2 and "dropped" in result.stderr, result.stderr
    install(plugins, 1)
    assert world.run("reload").status == 0
    wait_for_version(world, 1)
    install(plugins, 2)
    wait_for_version(world, 2)

    daemon.send_signal(signal.SIGTERM)
    _, stderr = daemon.communicate(timeout=PATIENCE_S)
    assert daemon.returncode == 0, stderr
