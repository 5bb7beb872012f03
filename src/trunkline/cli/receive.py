"""trunkline receive: record every stream that arrives."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from trunkline import opus
from trunkline.cli.options import (
    NumberRange,
    bearer_token_option,
    cert_dir_option,
    read_address,
    read_codec,
)
from trunkline.formats import OPUS_RATES, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN, CodecSpec
from trunkline.stream.recording_files import FORMATS, LAYOUTS

__all__ = ["receive"]

DRAIN_S_MAX = 86_400
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
@click.option(
    "--drain",
    type=NumberRange(0, DRAIN_S_MAX),
    default=25.0,
    show_default=True,
    metavar="SECONDS",
    help="How long calls may go on after SIGTERM.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Receive in N processes on one port; one that dies is started again.",
)
@click.option(
    "--status",
    callback=lambda ctx, param, value: read_address(ctx, param, value) if value else None,
    metavar="HOST:PORT",
    help="Serve /healthz and /metrics there, to whoever asks.",
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
    drain: float,
    workers: int | None,
    status: tuple[str, int] | None,
) -> None:
    """Write one recording per call: inbound left, outbound right. With --rtp, one per RTP stream.

    Ctrl-C ends it and finishes every recording; SIGTERM lets the calls end by themselves before, for as long
    as --drain says. The exit code is 0, or 1 when a recording could not be written.
    """
    from trunkline.cli.receiving import Receiving  # here, so that --help needs no aiohttp

    if rate is not None and rate % 50:
        raise click.BadParameter(
            f"{rate}: frames of 20 ms take a multiple of 50 Hz, such as 16000", param_hint="'--rate'"
        )
    if format == "opus":
        _check_opus(rate)
    options: dict[str, Any] = {"sample_rate": rate, "output": "both" if keep_opus else "pcm"}
    if rtp is not None:
        _refuse_beside_rtp(
            *("listen", "bearer_token", "cert", "key", "tls", "max_message_bytes", "capture", "workers")
        )
        if keep_opus and (codec is None or codec.name != "OPUS"):
            raise click.UsageError("--keep-opus keeps what --codec OPUS brings")
        codec = codec or CodecSpec.parse("PCMU")
    else:
        if codec is not None:
            raise click.UsageError("--codec says what --rtp brings: a WebSocket stream says so itself")
        cert, key = _certificate(listen[0], cert, key, cert_dir if tls else None)
        options |= {
            "bearer_token": bearer_token,
            "max_message_bytes": max_message_bytes,
            "capture": capture,
        }
    host, port = listen if rtp is None else rtp
    receiving = Receiving(
        host, port, out, layout, format, stats, codec, cert, key, drain, n_calls=calls, options=options
    )
    ca_file = cert if tls else None
    receiving.check()
    if workers is None:
        sys.exit(asyncio.run(receiving.run(status, ca_file)))
    if sys.platform != "linux":
        raise click.UsageError(
            "--workers takes Linux: elsewhere a port that is shared (SO_REUSEPORT) is one's"
        )
    if calls is not None:
        raise click.UsageError("--workers and --calls: no worker knows how many calls the others have taken")
    from trunkline.cli.workers import run_workers

    sys.exit(asyncio.run(run_workers(receiving, workers, status, ca_file)))


def _certificate(
    host: str, cert: Path | None, key: Path | None, cert_dir: Path | None
) -> tuple[Path | None, Path | None]:
    """Give the certificate and its key; those of the directory, made when there are none, with --tls."""
    from trunkline.net.tls import is_loopback, kept_certificate

    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together: give both or neither")
    if cert_dir is not None:
        if cert is not None:
            raise click.UsageError("--tls brings its own certificate: give it, or --cert and --key")
        return kept_certificate(cert_dir.absolute(), host)
    if cert is None and not is_loopback(host):
        click.echo("warning: without --tls or --cert, audio crosses the network in the clear", err=True)
    return cert, key


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
