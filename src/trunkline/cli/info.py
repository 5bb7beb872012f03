"""trunkline info: what recordings are."""

import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from trunkline.cli.output import describe_of, json_line, printable
from trunkline.cli.summary import counted, summary, two_digits
from trunkline.convert.capture_info import CaptureInfo
from trunkline.convert.items import expanded
from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from trunkline.convert.info import AudioInfo

__all__ = ["info"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each file.")
def info(files: tuple[str, ...], as_json: bool) -> None:
    """Say what recordings are: format, duration, level, clipping, damage; of captures, tracks and losses.

    FILE is an audio file, a capture, a directory, a pattern, or - for standard input (WAV and Opus). Each is
    read to its end. The exit code is 1 when one cannot be read; the others are told all the same.
    """
    from trunkline.convert.info import info as info_of  # here, so that --help needs no numpy

    failed = False
    for name in (name for given in files for name, _ in expanded(given)):
        try:
            about = info_of(sys.stdin.buffer if name == "-" else name)
        except (TrunklineError, OSError) as error:
            failed = True
            said = describe_of(_shown(name), error)
            if as_json:
                click.echo(json_line(name, {"error": said}))
            else:
                click.echo(f"error: {printable(said)}", err=True)
            continue
        if as_json:
            click.echo(json_line(name, about))
        else:
            for line in _lines(_shown(name), about):
                click.echo(printable(line))
    sys.exit(1 if failed else 0)


def _shown(name: str) -> str:
    return "standard input" if name == "-" else name


def _lines(name: str, about: "AudioInfo | CaptureInfo") -> Iterator[str]:
    seconds = f"{about.duration_ms / 1000:,.2f} s"
    if isinstance(about, CaptureInfo):
        stream = f"{about.encoding}, {about.sample_rate:,} Hz" if about.encoding else "no stream"
        yield f"{name}: capture, {stream}, {seconds}, {counted(about.messages, 'message')}"
        for track, stats in about.tracks.items():
            yield f"  {track}: {summary(stats)}"
        if about.left_out:
            yield f"  {counted(about.left_out, 'message')} against the protocol, left out"
        if not about.stopped:
            yield "  no stop message"
    else:
        n_channels = len(about.channels)
        channels = {1: "mono", 2: "stereo"}.get(n_channels, f"{n_channels} channels")
        yield f"{name}: {about.format}, {about.encoding}, {about.sample_rate:,} Hz, {channels}, {seconds}"
        for k, channel in enumerate(about.channels):
            label = {1: "", 2: ("left: ", "right: ")[k % 2]}.get(n_channels, f"channel {k + 1}: ")
            remarks = [f"peak {_dbfs(channel.peak_dbfs)}", f"level {_dbfs(channel.level_dbfs)}"]
            if channel.silence:
                remarks.append(f"{two_digits(100 * channel.silence)} % silence")
            if channel.clipped_samples:
                remarks.append(f"{counted(channel.clipped_samples, 'sample')} clipped")
            yield f"  {label}{'silent' if math.isinf(channel.peak_dbfs) else ', '.join(remarks)}"
        for tag, value in about.tags.items():
            yield f"  {tag}: {value}"
    for sentence in about.damage:
        yield f"  damaged: {sentence}"


def _dbfs(level: float) -> str:
    return f"{round(level, 1) + 0.0:.1f} dBFS"  # + 0.0: there is no -0.0
