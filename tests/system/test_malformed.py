"""'run-core check' over malformed configurations: every mistake, at its place, in one go.

The cases are described in config/README.md."""

import os
import subprocess

import pytest
from conftest import BUILD, SANITIZERS, SOURCE

FOLDER = SOURCE / "tests" / "system" / "config" / "malformed"
CASES = sorted(path.stem for path in FOLDER.glob("*.expected"))


def input_of(case):
    for name in (case + ".yaml", case + ".json", case):
        if (FOLDER / name).exists():
            return name
    raise AssertionError(f"the case {case} has no input")


def test_there_are_enough_cases():
    assert len(CASES) >= 100


@pytest.mark.parametrize("case", CASES)
def test_check_reports(case):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **SANITIZERS}
    done = subprocess.run(
        [BUILD / "run-core", "check", "--config", input_of(case)],
        cwd=FOLDER, env=environment, capture_output=True, timeout=60,
    )
    # The cases name plugins that need not be installed here; that is said too.
    lines = [line for line in done.stderr.decode().splitlines() if "there is no plugin" not in line]
    assert lines == (FOLDER / f"{case}.expected").read_text().splitlines()
    assert done.returncode == 2
    assert done.stdout == b""
