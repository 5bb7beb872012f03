"""What a track says of its timeline beside the frames: where it broke off, and what it counted."""

import msgspec

__all__ = ["Discontinuity", "JitterStats", "Payload", "TrackCounters", "TrackStats"]


class Discontinuity(msgspec.Struct, frozen=True):
    """A gap on a track's timeline that is reported, not filled.

    It is longer than 10 s, or would bring what was concealed above ten times the audio that came, and 60 s.
    """

    track: str
    timestamp_ms: float  # where the frames stop
    resumes_ms: float  # where they go on


class Payload(msgspec.Struct, frozen=True):
    """A payload as it came, in the order of the sequence numbers, before the frames that it brings.

    Late packets have none. `timestamp_ms` is the carrier's (in RTP from the first packet's on), `sequence`
    its number, which in RTP does not wrap; None when it sends none.
    """

    track: str
    payload: bytes
    timestamp_ms: int
    sequence: int | None


class TrackCounters(msgspec.Struct, frozen=True):
    """What is counted of a track, and may be added up over tracks.

    A number that came late counts as lost and as late.
    """

    packets: int  # pushed, whatever became of them
    bytes: int
    late: int  # packets dropped because their time had been laid already; duplicates too
    duplicates: int  # of these, those whose number had come before, as far as 64 numbers back
    reordered: int  # packets that others had overtaken, and that were in time all the same
    discarded: int  # packets of RTP whose numbers jumped, and that the next one did not confirm
    lost: int  # sequence numbers that were skipped, also when they came late
    concealed_ms: float  # also what completes the frames before a Discontinuity
    fec_ms: float  # of that, what came from a copy in the packet after the gap (Opus)
    discontinuities: int
    resyncs: int  # packets appended although their timestamp lay behind, or their numbers jumped
    media_ms: float  # audio of the packets
    clipped_samples: int  # of that audio, of all channels: as loud as the codec goes


class TrackStats(TrackCounters, frozen=True):
    """Counters of one track since it began, and what it is like."""

    jitter_ms: float  # RFC 3550 6.4.1; 0 as long as nobody says when packets came
    drift_ppm: (
        float  # of the sender's clock, positive when it is slow; 0 for the first 20 s, and then as above
    )
    level_dbfs: float  # of the audio, a full-scale sine being 0; -inf for digital silence


class JitterStats(msgspec.Struct, frozen=True, rename="camel"):
    """Counters of one jitter buffer since it began; encoded, they have the names of W3C's webrtc-stats.

    In profile transcribe there is no target delay, no stretching and no drift: these are 0. Samples are per
    channel; `jitter_buffer_delay` and `jitter_buffer_target_delay` are sums in seconds over the
    `jitter_buffer_emitted_count` samples that were played: divide by it for the mean.
    """

    packets_received: int
    packets_played: int
    packets_late: int
    packets_duplicate: int
    packets_discarded: int  # late, and what there was no room or no time for
    packets_reordered: int
    packets_lost: int  # that have not come at all
    resyncs: int  # other numbers or another clock of the sender's
    total_samples_received: int  # given out
    concealed_samples: int
    silent_concealed_samples: int  # of these, after 80 ms of concealment, which has faded by then
    concealment_events: int
    inserted_samples_for_deceleration: int
    removed_samples_for_acceleration: int
    jitter_buffer_delay: float
    jitter_buffer_target_delay: float
    jitter_buffer_emitted_count: int
    comfort_noise_samples: int  # of gaps in which nothing was sent
    undecided_samples: int  # made up since the last packet: the next one says whether that was a gap or loss
    media_samples: int  # of the packets that were played
    fec_samples: int  # of these, from the copy in the next packet (Opus)
    drift_ppm: float  # of the sender's clock, positive when it is slow
