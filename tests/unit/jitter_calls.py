"""A call through a jitter buffer, packet by packet and tick by tick, for its tests."""

from array import array
from collections import Counter
from collections.abc import Iterable
from random import Random

from tests.reference.stream import decode
from trunkline import JitterBuffer

N = 160
OFFSETS_MS = [0.0, 2.0**31 - 4000, 2.0**32 - 4000, 2.0**53 - 20_000]
NOISE = Random(1).randbytes(N * 2000)


def payload(k: int) -> bytes:
    return NOISE[N * (k % 2000) : N * (k % 2000 + 1)]


def pcm(k: int) -> list[int]:
    return decode("PCMU", payload(k))


class Call:
    """A buffer, and a sender that is right on time unless told otherwise."""

    def __init__(self, buffer: JitterBuffer | None = None, *, start_ms: float = 0.0) -> None:
        self.buffer = buffer or JitterBuffer()
        self.start_ms = start_ms
        self.kinds: list[Counter[str]] = []  # of each frame, ms
        self.frames: list[list[int]] = []
        self.delays_ms: list[float] = []

    def put(
        self, k: int, at_ms: float | None = None, *, sequence: int | None = None, timestamp: int | None = None
    ) -> str:
        """Put the k-th packet."""
        return self.buffer.put(
            payload(k),
            sequence=k if sequence is None else sequence,
            timestamp=N * k if timestamp is None else timestamp,
            arrival_ms=self.start_ms + (20 * k if at_ms is None else at_ms),
        )

    def get(self, now_ms: float) -> None:
        frame = self.buffer.get(self.start_ms + now_ms)
        kinds: Counter[str] = Counter()
        for segment in self.buffer.segments:
            kinds[segment.kind] += round(segment.out_ms * 1000)
        self.kinds.append(Counter({kind: us // 1000 for kind, us in kinds.items()}))
        self.frames.append(memoryview(frame).tolist())
        self.delays_ms.append(now_ms - frame.timestamp_ms)

    def run(self, ks: Iterable[int], *, without: Iterable[int] = ()) -> None:
        """Packets k in time, and a frame 5 ms after each."""
        for k in ks:
            if k not in without:
                self.put(k)
            self.get(20 * k + 5)

    def ms(self, kind: str) -> int:
        return sum(kinds[kind] for kinds in self.kinds)

    def played(self) -> list[int]:
        return [sample for frame in self.frames for sample in frame]


def is_within(part: list[int], whole: list[int]) -> bool:
    return array("h", part).tobytes() in array("h", whole).tobytes()
