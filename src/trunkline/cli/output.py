"""What the commands show: lines that leave a terminal alone, on an output that may fail."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO, cast

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["describe", "describe_of", "json_line", "open_console", "printable", "unicode_text"]


def printable(text: str) -> str:
    """Keep a text to one line; what a peer or a file name put into it cannot move the cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)


def describe(error: Exception) -> str:
    """Say what went wrong, without the number that Python puts before an operating system's words."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def describe_of(name: str, error: Exception) -> str:
    """Say what went wrong with a file, beginning with its name."""
    said = describe(error)
    return said if said.startswith(f"{name}:") else f"{name}: {said}"


def unicode_text(value: object) -> str:
    """Write what JSON takes: a path may hold bytes that are no UTF-8."""
    return str(value).encode(errors="replace").decode()


def json_line(name: str, content: msgspec.Struct | dict[str, Any]) -> str:
    """Write what is told of a file; what is not finite is null."""
    fields = content if isinstance(content, dict) else msgspec.to_builtins(content)
    return msgspec.json.encode({"file": unicode_text(name), **fields}).decode()


def open_console() -> "Console":
    """Open a console on standard output that never raises: what is shown decides over no audio."""
    from rich.console import Console  # a command that shows nothing starts in half the time without it

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where the locale has no such character
    return Console(file=cast("TextIO", _BestEffort(sys.stdout)), highlight=False)


class _BestEffort:
    """A text stream that is given up, with one warning, when it fails: a full disk, a closed pipe."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = open(os.devnull, "w") if stream is None else stream  # noqa: SIM115  # None: it is closed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._guard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._guard():
            self._stream.flush()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError):
                click.echo(f"warning: nothing more is shown: standard output: {describe(error)}", err=True)
            with suppress(OSError), open(os.devnull, "w") as null:
                os.dup2(null.fileno(), self._stream.fileno())  # takes what is still in the buffer, too
