"""What a track says of its timeline beside the frames: where it broke off, and what it counted."""

import msgspec

__all__ = ["Discontinuity", "TrackStats"]


class Discontinuity(msgspec.Struct, frozen=True):
    """A gap on a track's timeline that is reported, not filled.

    It is longer than 10 s, or would bring what was concealed above ten times the audio that came, and 60 s.
    """

    track: str
    timestamp_ms: float  # where the frames stop
    resumes_ms: float  # where they go on


class TrackStats(msgspec.Struct, frozen=True):
    """Counters of one track since it began."""

    packets: int  # pushed, whatever became of them
    bytes: int
    late: int  # packets dropped because their time had been laid already; duplicates too
    lost: int  # sequence numbers that were skipped, also when they came late
    concealed_ms: float  # also what completes the frames before a Discontinuity
    fec_ms: float  # of that, what came from a copy in the packet after the gap (Opus)
    discontinuities: int
    resyncs: int  # packets appended although their timestamp lay behind
