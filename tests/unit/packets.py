"""What a bad network makes of a call, for the tests of tracks."""

from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from trunkline.formats import MediaFormat
from trunkline.frame import Frame
from trunkline.track import Discontinuity

LAST_MS = 2**53


@dataclass
class Packet:
    payload: bytes
    timestamp_ms: int
    sequence: int | None


@st.composite
def formats(draw: st.DrawFn) -> tuple[MediaFormat, int]:
    """Draw a format and a frame duration in ms."""
    codec = draw(st.sampled_from(["PCMU", "PCMA", "L16"]))
    rate, frame_ms = draw(st.sampled_from([(8000, 20), (8000, 1), (4000, 30), (11025, 40)]))
    return MediaFormat(codec, rate, draw(st.integers(1, 2))), frame_ms


JUMPS_MS = st.one_of(
    st.just(0),
    st.integers(-12, 12),
    st.integers(-300, 300),
    st.sampled_from([-LAST_MS, -60_000, 9_990, 10_000, 10_001, 10_020, LAST_MS]),
)
SEQUENCE_STEPS = st.sampled_from([1, 1, 1, 1, 2, 5, 0, -1, -4, 2**62, None])


@st.composite
def packets(draw: st.DrawFn, format: MediaFormat) -> list[Packet]:
    """Draw what a bad network makes of a call: losses, duplicates, reordering, jumps, odd bytes."""
    random = Random(draw(st.integers(0, 2**32)))
    bytes_per_s = format.sample_rate * format.channels * (2 if format.codec == "L16" else 1)
    now_ms = draw(st.sampled_from([0, 7, 123_456, LAST_MS - 5000]))
    sequence = draw(st.sampled_from([0, 1, 2**62]))
    made = []
    for _ in range(draw(st.integers(1, 25))):
        n_bytes = draw(
            st.one_of(st.just(bytes_per_s // 50), st.integers(0, bytes_per_s // 20), st.integers(0, 3))
        )
        at_ms = min(max(now_ms + draw(JUMPS_MS), 0), LAST_MS)
        step = draw(SEQUENCE_STEPS)
        number = None if step is None else min(max(sequence + step, 0), 2**63 - 1)
        made.append(Packet(random.randbytes(n_bytes), at_ms, number))
        if draw(st.booleans()):  # the jump was not this packet's alone
            now_ms = at_ms
        if number is not None and draw(st.integers(0, 3)):
            sequence = number
        now_ms = min(now_ms + n_bytes * 1000 // bytes_per_s, LAST_MS)
    return made


def frames_of(items: list[Frame | Discontinuity]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]
