"""Counters as Prometheus reads them.

>>> from trunkline.formats import MediaFormat
>>> from trunkline.track import Track
>>> track = Track(MediaFormat("PCMU", 8000))
>>> frames = track.push(bytes(160), timestamp_ms=0)
>>> text = prometheus([({"call_id": "c1"}, {"inbound": track.stats})])
>>> for line in text.splitlines()[:3]:
...     print(line)
# HELP trunkline_track_packets_total Packets that came, whatever became of them.
# TYPE trunkline_track_packets_total counter
trunkline_track_packets_total{call_id="c1",track="inbound"} 1
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from trunkline.timeline import TrackCounters, TrackStats

__all__ = ["TRACK_METRICS", "TrackMetric", "family", "labels_text", "prometheus"]

LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class TrackMetric(NamedTuple):
    """A number of TrackStats, and what Prometheus calls it."""

    field: str  # of TrackStats
    name: str  # "trunkline_track_" stands before it
    help: str
    per_unit: float = 1.0  # of the field in one of the metric's base unit

    @property
    def is_counter(self) -> bool:
        """Whether it may be added up over tracks."""
        return self.name.endswith("_total")

    def lines(self, rows: Mapping[str, TrackCounters]) -> list[str]:
        """Write the metric of tracks by their labels."""
        values = ((labels, getattr(stats, self.field) / self.per_unit) for labels, stats in rows.items())
        return family(f"trunkline_track_{self.name}", self.help, values)


TRACK_METRICS: Final = (
    TrackMetric("packets", "packets_total", "Packets that came, whatever became of them."),
    TrackMetric("bytes", "bytes_total", "Bytes of their payloads."),
    TrackMetric("late", "late_packets_total", "Packets dropped: too late, or duplicates."),
    TrackMetric("duplicates", "duplicate_packets_total", "Of these, those that came again."),
    TrackMetric("reordered", "reordered_packets_total", "Packets overtaken by others, and in time."),
    TrackMetric(
        "discarded", "discarded_packets_total", "Packets whose numbers jumped and were not confirmed."
    ),
    TrackMetric("lost", "lost_packets_total", "Sequence numbers that were skipped."),
    TrackMetric(
        "concealed_ms", "concealed_seconds_total", "Audio made up in place of what is missing.", 1000.0
    ),
    TrackMetric("fec_ms", "fec_seconds_total", "Of that, from copies in later packets.", 1000.0),
    TrackMetric("discontinuities", "discontinuities_total", "Gaps that were reported and not filled."),
    TrackMetric("resyncs", "resyncs_total", "Times that the sender's clock began anew; in RTP, its numbers."),
    TrackMetric("media_ms", "media_seconds_total", "Audio of the packets.", 1000.0),
    TrackMetric("clipped_samples", "clipped_samples_total", "Samples as loud as the codec goes."),
    TrackMetric("jitter_ms", "jitter_seconds", "Interarrival jitter (RFC 3550 6.4.1).", 1000.0),
    TrackMetric("drift_ppm", "drift_ppm", "Drift of the sender's clock, positive when it is slow."),
    TrackMetric("level_dbfs", "level_dbfs", "Level of the audio so far, a full-scale sine being 0."),
)


def prometheus(streams: Iterable[tuple[Mapping[str, str], Mapping[str, TrackStats]]]) -> str:
    """Write counters in Prometheus' text format 0.0.4, for an endpoint of yours.

    `streams`: of each one its labels, such as a call's id, and the counters of its tracks, as `stats` of a
    call or a receiver gives them; `track` is a label of its own. Seconds are seconds. ValueError for what is
    no label's name, for a `track` of yours and for two streams with the same labels. Mind how many series
    there will be: labels that are never the same make new ones.
    """
    rows: dict[str, TrackStats] = {}
    for labels, tracks in streams:
        if "track" in labels:
            raise ValueError("the label 'track' is the track's: takes others")
        for track, stats in tracks.items():
            text = labels_text({**labels, "track": track})
            if text in rows:
                raise ValueError(f"two streams with the labels {text}: takes each once")
            rows[text] = stats
    lines = [line for metric in TRACK_METRICS for line in metric.lines(rows)]
    return "\n".join(lines) + "\n" if rows else ""


def family(name: str, help: str, values: Iterable[tuple[str, float]]) -> list[str]:
    """Write the lines of one metric, of values by their `labels_text`: a counter when it ends in _total."""
    kind = "counter" if name.endswith("_total") else "gauge"
    lines = [f"# HELP {name} {help}", f"# TYPE {name} {kind}"]
    for labels, value in values:
        lines.append(f"{name}{{{labels}}} {_number(value)}" if labels else f"{name} {_number(value)}")
    return lines


def labels_text(labels: Mapping[str, str]) -> str:
    """Write labels as they stand between the braces; ValueError for what is no label's name."""
    for name in labels:
        if not LABEL_NAME.fullmatch(name) or name.startswith("__"):
            raise ValueError(
                f"{name!r} is no label's name: takes letters, digits and _, no digit first, no __"
            )
        if not isinstance(labels[name], str):
            raise TypeError(f"label {name}: takes a str, not {type(labels[name]).__name__}")
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items()))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(value)
