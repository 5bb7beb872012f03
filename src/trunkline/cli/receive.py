"""trunkline receive: record every stream that arrives."""

import asyncio
import errno
import logging
import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trunkline.cli.options import bearer_token_option, read_address
from trunkline.formats import SAMPLE_RATE_MAX, SAMPLE_RATE_MIN

if TYPE_CHECKING:
    from trunkline.cli.live import RecordingView

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
@click.option(
    "--rate",
    type=click.IntRange(SAMPLE_RATE_MIN, SAMPLE_RATE_MAX),
    metavar="HZ",
    help="Sample rate of the recordings; a stream's own when not given.",
)
@click.option(
    "--keep-opus",
    is_flag=True,
    help="Keep Opus packets as they came: NAME.inbound.opus beside NAME.wav.",
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
@click.option(
    "--calls", type=click.IntRange(1), metavar="N", help="Take N calls, refuse more, end with them."
)
def receive(
    listen: tuple[str, int],
    out: Path,
    rate: int | None,
    keep_opus: bool,
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

    if rate is not None and rate % 50:
        raise click.BadParameter(
            f"{rate}: frames of 20 ms take a multiple of 50 Hz, such as 16000", param_hint="'--rate'"
        )
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together: give both or neither")
    context = server_context(cert, key) if cert and key else None
    if context is None and not is_loopback(listen[0]):
        click.echo("warning: without --cert and --key, audio crosses the network in the clear", err=True)
    try:
        code = asyncio.run(
            _receive(listen, out, rate, keep_opus, bearer_token, context, max_message_bytes, calls)
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(f"{listen[0]}:{listen[1]} is in use: choose another port with --listen") from error
    sys.exit(code)


async def _receive(
    listen: tuple[str, int],
    out: Path,
    rate: int | None,
    keep_opus: bool,
    bearer_token: str | None,
    context: ssl.SSLContext | None,
    max_message_bytes: int,
    calls: int | None,
) -> int:
    from trunkline.cli.live import RecordingView
    from trunkline.net import CallRecording, CallRecordings, serve

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell that put us behind
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    view = RecordingView()

    def ended(recording: CallRecording) -> None:
        view.ended(recording)
        if view.n_ended == calls:
            stop.set()

    recordings = CallRecordings(out, on_start=view.started, on_end=ended)
    serving = serve(
        recordings,
        *listen,
        bearer_token=bearer_token,
        ssl=context,
        sample_rate=rate,
        output="both" if keep_opus else "pcm",
        max_message_bytes=max_message_bytes,
        n_calls=calls,
    )
    with _warnings_in(view):
        async with serving as server:
            view.note(f"listening on {server.url}, recording into {out}")
            async with view:
                await stop.wait()
    return 1 if view.n_failed else 0


@contextmanager
def _warnings_in(view: "RecordingView") -> Iterator[None]:
    """Show what is logged as lines of the view; with --debug logging shows it, tracebacks and all."""
    if click.get_current_context().find_root().params["debug"]:
        yield
        return
    lines = _Lines(view)
    logging.getLogger().addHandler(lines)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(lines)


class _Lines(logging.Handler):
    """Give each record to a view, as one line."""

    def __init__(self, view: "RecordingView") -> None:
        super().__init__(logging.WARNING)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{record.levelname.lower()}: {record.getMessage()}"
            if record.exc_info and record.exc_info[1]:
                line += f": {record.exc_info[1]!r}"
            self._view.note(line, "yellow")
        except Exception:
            self.handleError(record)
