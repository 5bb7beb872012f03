"""The commands as a user runs them: processes of their own, or in this one where that shows the same."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from trunkline.cli.app import app

TRUNKLINE = (sys.executable, "-c", "from trunkline.cli import main; main()")
GUARD_S = 100  # bounds a hang; no machine is so busy
ENV = {**os.environ, "COLUMNS": "120", "PYTHONWARNINGS": "error"}


class Shown(NamedTuple):
    """What a command left behind."""

    returncode: object
    stdout: str
    stderr: str


def trunkline_here(capsys: pytest.CaptureFixture[str], *arguments: object) -> Shown:
    """Run a command in this process."""
    with pytest.raises(SystemExit) as left:
        app([str(argument) for argument in arguments], prog_name="trunkline")
    return Shown(left.value.code, *capsys.readouterr())


def trunkline(*arguments: object, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*TRUNKLINE, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        env={**ENV, **env},
    )


@contextmanager
def receiving(
    out: Path, *options: object, under: tuple[str, ...] = (), **env: str
) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """Run `trunkline receive` on a free port; give the process and the URL that it prints.

    `under` is a command that runs it, such as nohup.
    """
    command = [*under, *TRUNKLINE, "receive", "--listen", "127.0.0.1:0", "--out", str(out)]
    command += map(str, options)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**ENV, **env}
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"wss?://\S+?(?=,? )", line)
            assert found, line
            yield process, found[0]
        finally:
            process.kill()


def read_rest(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for the process: exit code, output, errors."""
    output, errors = process.communicate(timeout=GUARD_S)
    return process.returncode, output, errors


def assert_others_read(path: Path, expected: bytes, channels: int, sample_rate: int = 8000) -> None:
    """soundfile and sox see the same samples."""
    soundfile = pytest.importorskip("soundfile")
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert (rate, samples.shape[1], samples.tobytes()) == (sample_rate, channels, expected)
    sox = shutil.which("sox")
    if sox is None:
        pytest.skip("sox is not installed; soundfile and wave agreed")
    raw = subprocess.run([sox, path, "-t", "s16", "-"], check=True, capture_output=True).stdout
    assert raw == expected
