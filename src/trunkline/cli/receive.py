"""trunkline receive: record every stream that arrives."""

import asyncio
import signal
import ssl
import sys
from pathlib import Path

import click

from trunkline.cli.options import bearer_token_option, read_address

__all__ = ["receive"]

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--listen",
    callback=read_address,
    default="127.0.0.1:8765",
    show_default=True,
    metavar="HOST:PORT",
    help="Port 0 takes a free one.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="recordings",
    show_default=True,
    help="Where the recordings go; made when it is not there.",
)
@bearer_token_option
@click.option("--cert", type=PEM, help="Certificate chain (PEM): serve wss instead of ws.")
@click.option("--key", type=PEM, help="Private key of the certificate (PEM).")
@click.option(
    "--max-message-bytes",
    type=click.IntRange(1),
    default=65536,
    show_default=True,
    help="A longer message ends its stream with close code 1009.",
)
@click.option("--calls", type=click.IntRange(1), metavar="N", help="Stop after N calls.")
def receive(
    listen: tuple[str, int],
    out: Path,
    bearer_token: str | None,
    cert: Path | None,
    key: Path | None,
    max_message_bytes: int,
    calls: int | None,
) -> None:
    """Write one WAV per call: inbound left, outbound right.

    Ctrl-C or SIGTERM ends it and finishes every recording. The exit code is 0, or 1 when a file could
    not be written.
    """
    from trunkline.net.tls import is_loopback, server_context  # here, so that --help needs no aiohttp

    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together: give both or neither")
    context = server_context(cert, key) if cert and key else None
    if context is None and not is_loopback(listen[0]):
        click.echo("warning: without --cert and --key, audio crosses the network in the clear", err=True)
    sys.exit(asyncio.run(_receive(listen, out, bearer_token, context, max_message_bytes, calls)))


async def _receive(
    listen: tuple[str, int],
    out: Path,
    bearer_token: str | None,
    context: ssl.SSLContext | None,
    max_message_bytes: int,
    calls: int | None,
) -> int:
    from trunkline.cli.live import RecordingView
    from trunkline.net import CallRecording, CallRecordings, serve

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    view = RecordingView()

    def ended(recording: CallRecording) -> None:
        view.ended(recording)
        if view.n_ended == calls:
            stop.set()

    recordings = CallRecordings(out, on_start=view.started, on_end=ended)
    async with serve(
        recordings,
        *listen,
        bearer_token=bearer_token,
        ssl=context,
        max_message_bytes=max_message_bytes,
    ) as server:
        view.note(f"listening on {server.url}, recording into {out}")
        async with view:
            await stop.wait()
    return 1 if view.n_failed else 0
