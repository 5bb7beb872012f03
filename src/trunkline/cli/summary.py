"""What a call's counters come to: for people a line of what is worth saying, for scripts a line of JSON."""

import logging
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from trunkline.cli.output import describe, unicode_text
from trunkline.timeline import TrackStats

if TYPE_CHECKING:
    from trunkline.net import CallRecording

__all__ = ["JITTER_MS", "append_stats", "counted", "lost_percent", "summary", "two_digits"]

QUIET_DBFS: Final = -60.0  # nobody speaks as softly as that into a telephone
JITTER_MS: Final = 10.0  # half a packet of 20 ms
DRIFT_PPM: Final = 100.0  # the clocks of telephony keep to that

_log = logging.getLogger(__name__)


def lost_percent(stats: TrackStats) -> float:
    """Compute which part of the packets that were due did not come, or not in time."""
    in_time = stats.packets - stats.late - stats.discarded
    return 100 * stats.lost / max(1, stats.lost + in_time)


def summary(stats: TrackStats) -> str:
    """Tell a track: how many packets came, and what of it was not as it should be."""
    late = stats.late - stats.duplicates
    remarks = (
        (stats.lost, f"{stats.lost:,} lost ({two_digits(lost_percent(stats))} %)"),
        (late, f"{late:,} late"),
        (stats.duplicates, f"{stats.duplicates:,} twice"),
        (stats.discarded, f"{stats.discarded:,} discarded"),
        (stats.concealed_ms, f"{stats.concealed_ms:,.0f} ms concealed"),
        (stats.discontinuities, counted(stats.discontinuities, "gap")),
        (stats.resyncs, counted(stats.resyncs, "resync")),
        (stats.jitter_ms >= JITTER_MS, f"jitter {stats.jitter_ms:.0f} ms"),
        (abs(stats.drift_ppm) >= DRIFT_PPM, f"drift {stats.drift_ppm:+.0f} ppm"),
        (stats.clipped_samples, counted(stats.clipped_samples, "sample") + " clipped"),
        (stats.media_ms and stats.level_dbfs < QUIET_DBFS, _quiet(stats.level_dbfs)),
    )
    return ", ".join((counted(stats.packets, "packet"), *(remark for worth, remark in remarks if worth)))


def counted(number: int, what: str) -> str:
    """Write a number of things."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _quiet(level_dbfs: float) -> str:
    return "silent" if math.isinf(level_dbfs) else f"{level_dbfs:.0f} dBFS"


def two_digits(number: float) -> str:
    """Give one decimal below ten, none above; as short as it says something."""
    return f"{number:.1f}" if 0 < number < 9.95 else f"{number:,.0f}"


def append_stats(path: Path, recording: "CallRecording") -> None:
    """Add a line of JSON for a recording that has ended; log it when that fails."""
    call, start = recording.call, recording.call.start
    line = msgspec.json.encode(
        {
            "recordings": [unicode_text(path) for path in recording.paths],
            "ended": datetime.now(UTC),
            "call_id": start.call_id,
            "stream_id": start.stream_id,
            "peer": call.peer,
            "codec": start.media_format.codec,
            "sample_rate": start.media_format.sample_rate,
            "duration_ms": recording.duration_ms,
            "error": unicode_text(describe(recording.error)) if recording.error else None,
            "cut_short": unicode_text(call.error) if call.error else None,
            "tracks": call.stats,
        }
    )
    try:
        with path.open("ab", buffering=len(line) + 1) as file:  # one write: other processes have lines, too
            file.write(line + b"\n")
    except OSError as error:
        _log.warning("no statistics of %s: %s", recording.path, describe(error))
