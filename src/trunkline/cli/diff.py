"""trunkline diff: how two recordings differ."""

import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
import msgspec

from trunkline.cli.options import NumberRange
from trunkline.cli.output import json_line, printable

if TYPE_CHECKING:
    from trunkline.convert.diff import AudioDiff

__all__ = ["diff"]


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--max-offset",
    type=NumberRange(0, 10),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How far B may be moved.",
)
@click.option("--min-snr", type=NumberRange(-300, 300), metavar="DB", help="Exit code 0 from so many dB on.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON.")
def diff(a: str, b: str, max_offset: float, min_snr: float | None, as_json: bool) -> None:
    """Say how recording B differs from A: in time, level and length, and by what is left then (SNR).

    Both have one sample rate and as many channels. The exit code is 0 when the samples are the same; with
    --min-snr, when the SNR, in time and level aligned, is so high, and the lengths differ by no more than
    --max-offset. Else it is 1. In JSON, what is infinite is "Infinity" or "-Infinity".
    """
    from trunkline.convert.diff import diff as compare  # here, so that --help needs no numpy

    found = compare(a, b, max_offset_s=max_offset)
    if as_json:
        click.echo(json_line(b, _finite(msgspec.to_builtins(found))))
    else:
        for line in _lines(a, b, found):
            click.echo(printable(line))
    sys.exit(0 if found.identical or _close_enough(found, min_snr, max_offset) else 1)


def _close_enough(found: "AudioDiff", min_snr: float | None, max_offset_s: float) -> bool:
    if min_snr is None:
        return False
    n_a, n_b = found.n_samples
    if abs(n_a - n_b) > max_offset_s * found.sample_rate or (max(n_a, n_b) and not found.compared_samples):
        return False
    return not found.differing_samples or (found.snr_db is not None and found.snr_db >= min_snr)


def _lines(a: str, b: str, found: "AudioDiff") -> Iterator[str]:
    n_a, n_b = found.n_samples
    if found.identical:
        yield f"identical: {n_a:,} samples, {n_a / found.sample_rate:,.2f} s"
        return
    yield f"{b} beside {a}:"
    if n_a != n_b:
        rate = found.sample_rate
        yield f"  length   {n_b / rate:,.3f} s, not {n_a / rate:,.3f} s ({n_b:,} samples, not {n_a:,})"
    if found.offset_samples:
        later = "later" if found.offset_samples > 0 else "earlier"
        yield f"  offset   {abs(found.offset_ms):,.3f} ms {later} ({abs(found.offset_samples):,} samples)"
    total = found.compared_samples * len(found.channels)
    if not found.differing_samples:
        yield (
            f"  samples  the same, all {total:,} that both have"
            if total
            else "  samples  none that both have"
        )
        return
    for name, gain_db, snr_db, inverted in _levels(found):
        gain = "no signal in A" if gain_db is None else f"gain {_decibels(gain_db, '+.2f')}"
        snr = "" if snr_db is None else f", SNR {_decibels(snr_db, '.2f')}"
        yield f"  {name:<8} {gain}{', inverted' if inverted else ''}{snr}"
    yield f"  samples  {found.differing_samples:,} of {total:,} differ"
    if (first := found.first) is not None:
        values = f"{first.b * 32768:,.6g}, not {first.a * 32768:,.6g} (of 32,768)"
        yield (
            f"  first    at {first.time_ms / 1000:,.6f} s, sample {first.sample:,}, "
            f"channel {first.channel}: {values}"
        )


def _decibels(level_db: float, form: str) -> str:
    if math.isinf(level_db):
        return "infinite" if level_db > 0 else "minus infinity"
    return f"{round(level_db, 2) + 0.0:{form}} dB"


def _finite(value: Any) -> Any:
    """Give what JSON takes, which knows no infinity, and has null for what there is not."""
    if isinstance(value, dict):
        return {name: _finite(content) for name, content in value.items()}
    if isinstance(value, tuple | list):
        return [_finite(content) for content in value]
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _levels(found: "AudioDiff") -> Iterator[tuple[str, float | None, float | None, bool]]:
    channels = found.channels
    yield "level", found.gain_db, found.snr_db, all(channel.inverted for channel in channels)
    if len(channels) > 1:
        for k, channel in enumerate(channels):
            yield f"ch {k + 1}", channel.gain_db, channel.snr_db, channel.inverted
