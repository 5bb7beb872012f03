"""Dispatch: the tests marked `isa` run again for every instruction set below the best one."""

import os
import subprocess
import sys

import pytest

from trunkline._native import cpu

LOWER = cpu.supported_isas()[:-1]


@pytest.mark.skipif("TRUNKLINE_ISA" in os.environ, reason="this run is already for one instruction set")
@pytest.mark.parametrize("isa", LOWER)
def test_marked_tests_pass_on_lower_isa(isa: str, pytestconfig: pytest.Config) -> None:
    tests = [
        path for path in pytestconfig.rootpath.glob("tests/*/test_*.py") if "mark.isa" in path.read_text()
    ]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "isa", "-p", "no:cacheprovider", *tests],
        cwd=pytestconfig.rootpath,
        env={"TRUNKLINE_EXAMPLES": "25", **os.environ, "TRUNKLINE_ISA": isa},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.isa
def test_selected_isa_is_the_one_asked_for() -> None:
    assert cpu.isa() == os.environ.get("TRUNKLINE_ISA", cpu.supported_isas()[-1])
    assert cpu.supported_isas()[0] == "scalar"


def test_impossible_isa_is_refused_at_import_with_the_possible_ones() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import trunkline.g711"],
        env=os.environ | {"TRUNKLINE_ISA": "mmx"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "TRUNKLINE_ISA='mmx': this machine takes scalar" in run.stderr
