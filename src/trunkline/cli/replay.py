"""trunkline replay: send the messages of a capture again."""

import asyncio
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from trunkline.cli.options import bearer_token_option
from trunkline.cli.output import printable
from trunkline.cli.sending import cacert_option, check_cacert, check_complete, progress_of, speed_option
from trunkline.errors import FormatError
from trunkline.stream import CapturedMessage, read_capture

__all__ = ["replay"]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("url")
@bearer_token_option
@cacert_option
@speed_option
def replay(file: Path, url: str, bearer_token: str | None, cacert: Path | None, speed: float) -> None:
    """Send the messages of a capture again, byte for byte, at the times at which they came.

    FILE is what `trunkline receive --capture` wrote, URL wss://HOST:PORT/PATH; ws:// to this machine only.
    """
    from trunkline.net import replay as replay_messages  # here, so that --help needs no aiohttp
    from trunkline.net.tls import client_context

    check_cacert(cacert, url)
    duration_s = _check(file)
    with progress_of(file.name, duration_s) as show:
        replaying = replay_messages(
            url,
            _shown(read_capture(file), show),
            bearer_token=bearer_token,
            ssl=client_context(cacert),
            speed=speed or math.inf,
        )
        result = asyncio.run(replaying)
    check_complete(result)
    click.echo(f"replayed {printable(str(file))}: {duration_s:.2f} s in {result.messages_sent} messages")


def _check(file: Path) -> float:
    """Read all of a capture, so that a broken one is no call that breaks off; give its duration."""
    end_ms = None
    for message in read_capture(file, on_torn=_warn_of_torn):
        end_ms = message.arrival_ms
    if end_ms is None:
        raise FormatError(f"{file}: a capture without a message")
    return end_ms / 1000


def _warn_of_torn(n_bytes: int) -> None:
    click.echo(f"warning: the last line, {n_bytes} bytes without an end, is left out", err=True)


def _shown(messages: Iterator[CapturedMessage], show: Callable[[float], None]) -> Iterator[CapturedMessage]:
    for message in messages:
        yield message
        show(message.arrival_ms / 1000)
