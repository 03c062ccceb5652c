"""The installed tree works wherever it lies, and is all that a plugin's author needs: a plugin is
compiled, tested on the fake host and run with nothing but pkg-config and the installed files."""
import os
import shutil
import subprocess

import pytest

SOURCE = os.environ["RUN_CORE_SOURCE"]
BUILD = os.environ["RUN_CORE_BUILD"]
PLUGIN = os.path.join(SOURCE, "tests/support/plugins/copy/copy.c")
TEST = os.path.join(SOURCE, "tests/plugins/test_copy.c")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def cache(name):
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        for line in file:
            if line.startswith(name + ":"):
                return line.partition("=")[2].strip()
    return ""


def compiler():
    """The build's own, with its sanitizers: the archives in the tree were made with them."""
    sanitize = cache("RUN_CORE_SANITIZE")
    return [cache("CMAKE_C_COMPILER")] + ([f"-fsanitize={sanitize}"] if sanitize else [])


@pytest.fixture(name="tree", scope="module")
def installed_tree(tmp_path_factory):
    """An installed tree that was moved after its installation."""
    first = tmp_path_factory.mktemp("first") / "prefix"
    run("cmake", "--install", BUILD, "--prefix", str(first))
    moved = tmp_path_factory.mktemp("moved") / "elsewhere"
    shutil.move(first, moved)
    return moved


def pkg_config(tree, *arguments):
    environment = dict(os.environ, PKG_CONFIG_PATH=str(tree / "lib/pkgconfig"))
    return run("pkg-config", *arguments, env=environment).split()


@pytest.fixture(name="copy", scope="module")
def built_plugin(tree, tmp_path_factory):
    target = tmp_path_factory.mktemp("plugin") / "copy.so"
    run(*compiler(), "-std=c11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared",
        "-fvisibility=hidden", "-Wl,-z,defs", *pkg_config(tree, "--cflags", "run-core"), PLUGIN,
        "-o", str(target), *pkg_config(tree, "--libs", "run-core"))
    return target


def test_tree_is_complete(tree):
    for name in ("bin/run-core", "share/man/man1/run-core.1", "lib/librc_base.a",
                 "include/run-core/plugin.h", "include/run-core/fake_host.h",
                 "lib/librc_fake_host.a", "lib/pkgconfig/run-core.pc"):
        assert (tree / name).exists(), name
    plugins = os.listdir(os.path.join(SOURCE, "plugins"))
    assert {f"{name}.so" for name in plugins} <= set(os.listdir(tree / "lib/run-core/plugins"))
    samples = {name for name in os.listdir(os.path.join(SOURCE, "conf.d")) if name.endswith(".yaml")}
    assert {f"{name}.yaml" for name in plugins} == samples
    assert set(os.listdir(tree / "share/run-core/conf.d")) == samples
    public = set(os.listdir(os.path.join(SOURCE, "core/include/run-core")))
    assert set(os.listdir(tree / "include/run-core")) == public | {"fake_host.h"}


def test_tree_names_no_place(tree):
    for name in ("run-core.pc", "run-core-test.pc"):
        text = (tree / "lib/pkgconfig" / name).read_text(encoding="utf-8")
        assert SOURCE not in text and BUILD not in text


def test_pkg_config_knows_the_plugin_directory(tree):
    [folder] = pkg_config(tree, "--variable=plugin_dir", "run-core")
    assert os.path.realpath(folder) == os.path.realpath(tree / "lib/run-core/plugins")


def test_moved_tree_finds_its_plugins(tree, tmp_path):
    environment = {key: value for key, value in os.environ.items()
                   if key != "RUN_CORE_PLUGIN_PATH"}
    environment["RUN_CORE_STATE"] = str(tmp_path / "state")
    out = run(str(tree / "bin/run-core"), "describe", "aggregator", "--json", env=environment)
    assert '"name"' in out and "aggregator" in out


def test_plugin_built_out_of_tree_runs(tree, copy, tmp_path):
    shutil.copy(copy, tree / "lib/run-core/plugins/copy.so")
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"content")
    environment = dict(os.environ, RUN_CORE_STATE=str(tmp_path / "state"))
    run(str(tree / "bin/run-core"), "copy", "--set", f"source=file://{source}",
        "--set", f"target=file://{target}", env=environment)
    assert target.read_bytes() == b"content"


def test_plugin_is_tested_with_the_installed_host(tree, copy, tmp_path):
    folder = tmp_path / "test-plugins"
    folder.mkdir()
    shutil.copy(copy, folder / "copy.so")
    binary = tmp_path / "test_copy"
    run(*compiler(), "-std=c11", "-D_GNU_SOURCE",
        *pkg_config(tree, "--cflags", "run-core-test", "cmocka"), TEST, "-o", str(binary),
        *pkg_config(tree, "--libs", "run-core-test", "cmocka"))
    run(str(binary), env=dict(os.environ, RUN_CORE_BUILD=str(tmp_path)))
