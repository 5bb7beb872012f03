"""trunkline send: stream a WAV file as a call's audio."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trunkline.cli.options import TRACKS, bearer_token_option, read_codec, read_pairs
from trunkline.cli.output import printable
from trunkline.cli.sending import cacert_option, check_cacert, check_complete, progress_of, speed_option
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
    type=click.Choice(["signalwire", "twilio", "telnyx", "plivo", "exotel", "vonage"]),
    default="signalwire",
    show_default=True,
    help="Whose messages; not each has each --codec.",
)
@bearer_token_option
@cacert_option
@speed_option
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

    check_cacert(cacert, url)
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
    check_complete(result)
    sent = f"{source.position_ms / 1000:.2f} s in {result.messages_sent} messages"
    click.echo(f"sent {printable(str(file))}: {sent}")


async def _with_progress(source: "WavSource", name: str) -> AsyncIterator[dict[str, bytes]]:
    """Pass the source on and show how much of it has gone; nothing without a terminal."""
    duration_ms = source.duration_ms
    with progress_of(name, duration_ms and duration_ms / 1000) as show:
        async for chunk in source:
            yield chunk
            show(source.position_ms / 1000)
