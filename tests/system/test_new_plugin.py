"""new-plugin: what it writes builds with cmake alone, passes its test, and runs."""

import json
import os
import subprocess

import pytest
from conftest import BUILD, World

FILES = ["CMakeLists.txt", "README.md", "hello-you.c", "hello-you.yaml", "test_hello-you.c"]


def cache(name):
    for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.partition("=")[2].strip()
    return ""


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installed run-core, which is all that a plugin's author has."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(["cmake", "--install", BUILD, "--prefix", root], check=True, capture_output=True)
    return root


class Author(World):
    """Somebody with an installed run-core and an empty directory."""

    def __init__(self, root, prefix):
        super().__init__(root)
        self.prefix = prefix
        self.environment["PATH"] = f"{prefix}/bin:{os.environ['PATH']}"
        del self.environment["RUN_CORE_PLUGIN_PATH"]

    def call(self, *words, cwd=None, check=True, **environment):
        result = subprocess.run(
            [str(word) for word in words],
            cwd=cwd or self.root,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
        )
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    def build(self, folder):
        """Builds as the README says; the archives were made with the sanitizers of this build."""
        flags = []
        if cache("RUN_CORE_SANITIZE"):
            flags.append(f"-DCMAKE_C_FLAGS=-fsanitize={cache('RUN_CORE_SANITIZE')}")
        if cache("CMAKE_C_COMPILER"):
            flags.append(f"-DCMAKE_C_COMPILER={cache('CMAKE_C_COMPILER')}")
        self.call("cmake", "-B", "build", *flags, cwd=folder)
        self.call("cmake", "--build", "build", cwd=folder)


@pytest.fixture
def author(tmp_path, prefix):
    return Author(tmp_path, prefix)


def test_a_new_plugin_builds_passes_its_test_and_runs(author):
    if "clang" in cache("CMAKE_C_COMPILER") and cache("RUN_CORE_SANITIZE"):
        pytest.skip("clang leaves the sanitizers' symbols to the program, which -z defs refuses")
    said = author.call("run-core", "new-plugin", "hello-you").stdout
    folder = author.root / "hello-you"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert all(f"./hello-you/{name}\n" in said for name in FILES)

    author.build(folder)
    assert "100% tests passed" in author.call("ctest", "--test-dir", "build", cwd=folder).stdout
    plugin = json.loads(
        author.call("run-core", "check-plugin", "./hello-you.so", "--json", cwd=folder).stdout
    )
    assert plugin["loads"]
    assert all(option["default"] is not None for option in plugin["plugin"]["options"])

    path = {"cwd": folder, "RUN_CORE_PLUGIN_PATH": str(folder)}
    author.call("run-core", "hello-you", **path)
    assert (folder / "hello-you.txt").read_text() == "Hello, world\n"
    author.call("run-core", "hello-you", "--set", "whom=Ada", "--set", "shout=true", **path)
    assert author.call("run-core", "hello-you", "show", **path).stdout == "Hello, Ada!\n"
    author.call("run-core", "check", "--config", "hello-you.yaml", **path)
    author.call("run-core", "run", "hello-you-daily", "--config", "hello-you.yaml", **path)
    assert (folder / "hello-you.txt").read_text() == "Hello, world!\n"


def test_what_it_writes_has_no_marks_left_and_fits_the_line(author):
    author.call("run-core", "new-plugin", "hello-you", "elsewhere/deep")
    for name in FILES:
        text = (author.root / "elsewhere" / "deep" / name).read_text()
        for mark in ("@NAME@", "@IDENT@", "@PREFIX@"):
            assert mark not in text
        assert text.endswith("\n")
    assert ".run = hello" in (author.root / "elsewhere" / "deep" / "hello-you.c").read_text()


@pytest.mark.parametrize("name", FILES)
def test_it_never_overwrites(author, name):
    folder = author.root / "mine"
    folder.mkdir()
    (folder / name).write_text("precious")
    result = author.call("run-core", "new-plugin", "hello-you", "mine", check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"'mine/{name}' exists already" in result.stderr
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "precious"


@pytest.mark.parametrize(
    "name", ["", "Hello", "1st", "-x", "a_b", "a.b", "../up", "a/b", "hello-", "x" * 64, "ünicode"]
)
def test_names_that_could_not_be_run_are_refused(author, name):
    result = author.call("run-core", "new-plugin", "--", name, check=False)
    assert result.returncode == 2
    assert "cannot be the name of a plugin" in result.stderr
    assert not [path for path in author.root.iterdir() if path.name != "tmp"]


def test_a_command_is_no_name(author):
    result = author.call("run-core", "new-plugin", "check", check=False)
    assert result.returncode == 2
    assert "'check' is a command of run-core" in result.stderr
