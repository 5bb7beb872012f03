"""What the commands that send share: options, the progress bar, and how a sending that failed is told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, TextColumn

from trunkline.cli.options import NumberRange
from trunkline.cli.output import open_console, printable
from trunkline.errors import RemoteProtocolError

if TYPE_CHECKING:
    from trunkline.net import StreamResult

__all__ = ["cacert_option", "check_cacert", "check_complete", "progress_of", "speed_option"]

cacert_option = click.option(
    "--cacert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust this authority (PEM) instead of the system's; for wss://.",
)
speed_option = click.option(
    "--speed",
    type=NumberRange(0),
    default=1.0,
    show_default=True,
    help="Times real time; 0 is as quickly as the server takes it.",
)


def check_cacert(cacert: Path | None, url: str) -> None:
    """Refuse an authority for a connection that shows no certificate."""
    if cacert is not None and url.lower().startswith("ws://"):
        raise click.UsageError("--cacert is for wss://: ws:// shows no certificate")


def check_complete(result: "StreamResult") -> None:
    """Raise RemoteProtocolError, which says why, when the server did not take everything."""
    if not result.complete:
        raise RemoteProtocolError(
            f"the server ended the stream after {result.messages_sent} messages with close code "
            f"{result.close_code}" + (f": {result.close_reason}" if result.close_reason else "")
        )


@contextmanager
def progress_of(name: str, total_s: float | None) -> Iterator[Callable[[float], None]]:
    """Give a function that shows how many seconds have gone; it shows nothing without a terminal."""
    console = open_console()
    seconds = TextColumn("{task.completed:.1f} s")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), seconds)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task(printable(name), total=total_s)
        yield lambda completed_s: progress.update(bar, completed=completed_s)
