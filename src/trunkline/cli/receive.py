"""trunkline receive: record every stream that arrives."""

import asyncio
import errno
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trunkline import opus
from trunkline.cli.options import bearer_token_option, cert_dir_option, read_address, read_codec
from trunkline.formats import OPUS_RATES, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN, CodecSpec
from trunkline.stream.recording_files import FORMATS, LAYOUTS

if TYPE_CHECKING:
    from trunkline.net import CallRecordings, RtpServer, Server

    Serving = Callable[[CallRecordings], AbstractAsyncContextManager[Server | RtpServer]]

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
    "--layout",
    type=click.Choice(LAYOUTS),
    default="stereo",
    show_default=True,
    help="A channel per track, their sum, or a file per track: NAME.inbound.wav, NAME.outbound.wav.",
)
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    default="wav",
    show_default=True,
    help="PCM, or Opus at 24 kbit/s a channel.",
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
    help="Keep Opus packets as they came: NAME.inbound.opus, or NAME.packets.inbound.opus where that is a "
    "recording.",
)
@click.option(
    "--capture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep the messages of each call as they came: FILE, or FILE-2 ... where there is one; "
    "its directory is made when it is not there.",
)
@click.option(
    "--stats",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append a line of JSON for each call that ends: all that was counted.",
)
@click.option(
    "--rtp",
    callback=lambda ctx, param, value: read_address(ctx, param, value) if value else None,
    metavar="HOST:PORT",
    help="Receive RTP on this UDP port instead: one stream after the other.",
)
@click.option(
    "--codec",
    callback=lambda ctx, param, value: read_codec(ctx, param, value) if value else None,
    metavar="NAME[@RATEh]",
    help="What --rtp brings: PCMU, PCMA, L16@16000h, OPUS@16000h ...  [default: PCMU]",
)
@bearer_token_option
@click.option("--cert", type=PEM, help="Certificate chain (PEM): serve wss instead of ws.")
@click.option("--key", type=PEM, help="Private key of the certificate (PEM).")
@click.option(
    "--tls",
    is_flag=True,
    help="Serve wss with the certificate of --cert-dir, made when there is none.",
)
@cert_dir_option
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
    layout: str,
    format: str,
    rate: int | None,
    keep_opus: bool,
    capture: Path | None,
    stats: Path | None,
    rtp: tuple[str, int] | None,
    codec: CodecSpec | None,
    bearer_token: str | None,
    cert: Path | None,
    key: Path | None,
    tls: bool,
    cert_dir: Path,
    max_message_bytes: int,
    calls: int | None,
) -> None:
    """Write one recording per call: inbound left, outbound right. With --rtp, one per RTP stream.

    Ctrl-C or SIGTERM ends it and finishes every recording. The exit code is 0, or 1 when a recording
    could not be written.
    """
    from trunkline.net import CallRecordings, serve, serve_rtp  # here, so that --help needs no aiohttp
    from trunkline.net.tls import is_loopback, kept_certificate, server_context

    if rate is not None and rate % 50:
        raise click.BadParameter(
            f"{rate}: frames of 20 ms take a multiple of 50 Hz, such as 16000", param_hint="'--rate'"
        )
    if format == "opus":
        _check_opus(rate)
    host, port = listen if rtp is None else rtp
    common: dict[str, Any] = {"sample_rate": rate, "output": "both" if keep_opus else "pcm", "n_calls": calls}
    serving: Serving
    if rtp is not None:
        _refuse_beside_rtp("listen", "bearer_token", "cert", "key", "tls", "max_message_bytes", "capture")
        if keep_opus and (codec is None or codec.name != "OPUS"):
            raise click.UsageError("--keep-opus keeps what --codec OPUS brings")
        serving = partial(serve_rtp, host=host, port=port, codec=codec or "PCMU", **common)
    else:
        if codec is not None:
            raise click.UsageError("--codec says what --rtp brings: a WebSocket stream says so itself")
        if (cert is None) != (key is None):
            raise click.UsageError("--cert and --key belong together: give both or neither")
        if tls:
            if cert is not None:
                raise click.UsageError("--tls brings its own certificate: give it, or --cert and --key")
            cert, key = kept_certificate(cert_dir.absolute(), host)
        context = server_context(cert, key) if cert and key else None
        if context is None and not is_loopback(host):
            click.echo(
                "warning: without --tls or --cert, audio crosses the network in the clear",
                err=True,
            )
        serving = partial(
            serve,
            host=host,
            port=port,
            bearer_token=bearer_token,
            ssl=context,
            max_message_bytes=max_message_bytes,
            capture=capture,
            **common,
        )
    try:
        recordings = partial(CallRecordings, out, layout=layout, format=format)
        code = asyncio.run(_receive(serving, recordings, calls, stats, ca_file=cert if tls else None))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        option = "--listen" if rtp is None else "--rtp"
        raise OSError(f"{host}:{port} is in use: choose another port with {option}") from error
    sys.exit(code)


def _check_opus(rate: int | None) -> None:
    """Find out before the first call that none could be recorded."""
    if rate not in (None, *OPUS_RATES):
        takes = ", ".join(map(str, OPUS_RATES))
        raise click.BadParameter(f"{rate}: Opus takes {takes}", param_hint="'--rate'")
    opus.library()


def _refuse_beside_rtp(*names: str) -> None:
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--rtp takes no --{name.replace('_', '-')}")


async def _receive(
    serving: "Serving",
    recordings: "partial[CallRecordings]",
    calls: int | None,
    stats: Path | None,
    *,
    ca_file: Path | None,
) -> int:
    from trunkline.cli.live import RecordingView
    from trunkline.cli.summary import append_stats
    from trunkline.cli.view import stop_on_signals, warnings_in
    from trunkline.net import CallRecording

    stop = stop_on_signals()
    if stats is not None:
        stats.open("ab").close()  # what cannot be written is told before the first call
    view = RecordingView()

    def ended(recording: CallRecording) -> None:
        view.ended(recording)
        if stats is not None:
            append_stats(stats, recording)
        if view.n_ended == calls:
            stop.set()

    with warnings_in(view):
        handler = recordings(on_start=view.started, on_end=ended)
        async with serving(handler) as server:
            view.note(f"listening on {server.url}, recording into {handler.directory}")
            if ca_file is not None:  # `trunkline switch` trusts it
                view.note(f"  to be trusted by who streams here: {ca_file}")
            async with view:
                await stop.wait()
    return 1 if view.n_failed else 0
