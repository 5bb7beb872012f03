"""What is shown: one line each, and never the reason for losing audio."""

import os
import subprocess
import sys

import pytest

from trunkline.cli.output import describe, printable
from trunkline.errors import FormatError


def test_a_line_is_one_line_and_moves_no_cursor() -> None:
    assert printable("a\nb\x1b[2J\u2028ü\udc80") == "a?b?[2J?ü?"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (FileNotFoundError(2, "No such file or directory", "x/y"), "x/y: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("plain words"), "plain words"),
        (FormatError("of ours"), "of ours"),
    ],
)
def test_errors_are_words(error: Exception, shown: str) -> None:
    assert describe(error) == shown


SHOWS = """
from trunkline.cli.output import open_console
console = open_console()
for _ in range(1000):
    console.print("x" * 70)
"""


@pytest.mark.parametrize("kind", ["full", "closed"])
def test_an_output_that_fails_is_given_up_with_one_warning(kind: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open("/dev/full" if kind == "full" else os.devnull, "w") as file, os.fdopen(write_end) as closed:
        shown = subprocess.run(
            [sys.executable, "-c", SHOWS],
            stdout=closed if kind == "closed" else file,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert shown.returncode == 0
    assert shown.stderr.startswith("warning: nothing more is shown: standard output: ")
    assert shown.stderr.count("\n") == 1


def test_an_output_that_is_closed_shows_nothing() -> None:
    shown = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, SHOWS], capture_output=True, text=True
    )
    assert (shown.returncode, shown.stderr) == (0, "")


def test_a_locale_without_the_character_shows_another() -> None:
    code = 'from trunkline.cli.output import open_console; open_console().print("a█")'
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "a?\n", "")
