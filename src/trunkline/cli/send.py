"""trunkline send: stream a WAV file as a call's audio."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, TextColumn

from trunkline.cli.options import TRACKS, NumberRange, bearer_token_option, read_codec, read_pairs
from trunkline.cli.output import open_console
from trunkline.errors import RemoteProtocolError
from trunkline.formats import CodecSpec
from trunkline.stream import StreamSender

if TYPE_CHECKING:
    from trunkline.net import WavSource

__all__ = ["send"]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", required=True, help="wss://HOST:PORT/PATH; ws:// to this machine only.")
@click.option(
    "--codec",
    callback=read_codec,
    default="PCMU",
    show_default=True,
    metavar="NAME[@RATEh][@PTIMEi]",
    help="PCMU, PCMA, L16 or OPUS, such as L16@16000h@20i.",
)
@click.option(
    "--track",
    type=click.Choice(list(TRACKS)),
    default="inbound",
    show_default=True,
    help="both takes a stereo file: left inbound, right outbound.",
)
@click.option(
    "--dialect",
    type=click.Choice(["signalwire", "twilio"]),
    default="signalwire",
    show_default=True,
    help="Whose spelling of the messages.",
)
@bearer_token_option
@click.option(
    "--cacert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust this authority (PEM) instead of the system's; for wss://.",
)
@click.option(
    "--speed",
    type=NumberRange(0),
    default=1.0,
    show_default=True,
    help="Times real time; 0 is as quickly as the server takes it.",
)
@click.option(
    "--param",
    "params",
    callback=read_pairs,
    multiple=True,
    metavar="K=V",
    help="A custom parameter; repeatable.",
)
def send(
    file: Path,
    url: str,
    codec: CodecSpec,
    track: str,
    dialect: str,
    bearer_token: str | None,
    cacert: Path | None,
    speed: float,
    params: dict[str, str],
) -> None:
    """Stream the WAV FILE in real time.

    A file of any sample rate is converted to the codec's; it has one channel for each track.
    """
    from trunkline.net import WavSource, stream  # here, so that --help needs no aiohttp
    from trunkline.net.tls import client_context

    if cacert is not None and url.lower().startswith("ws://"):
        raise click.UsageError("--cacert is for wss://: ws:// shows no certificate")
    sender = StreamSender(codec, dialect=dialect, tracks=TRACKS[track], custom_parameters=params)
    with WavSource(file, codec, TRACKS[track]) as source:
        streaming = stream(
            url,
            sender,
            _with_progress(source, file.name),
            bearer_token=bearer_token,
            ssl=client_context(cacert),
            speed=speed or math.inf,
        )
        result = asyncio.run(streaming)
    if not result.complete:
        raise RemoteProtocolError(
            f"the server ended the stream after {result.messages_sent} messages with close code "
            f"{result.close_code}" + (f": {result.close_reason}" if result.close_reason else "")
        )
    click.echo(f"sent {file}: {source.position_ms / 1000:.2f} s in {result.messages_sent} messages")


async def _with_progress(source: "WavSource", name: str) -> AsyncIterator[dict[str, bytes]]:
    """Pass the source on and show how much of it has gone; nothing without a terminal."""
    console = open_console()
    seconds = TextColumn("{task.completed:.1f} s")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), seconds)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task(name, total=source.duration_ms and source.duration_ms / 1000)
        async for chunk in source:
            yield chunk
            progress.update(bar, completed=source.position_ms / 1000)
