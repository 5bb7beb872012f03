"""Track the slow way: a list of samples, each with its exact time.

Times are whole ticks of 1 / sample_rate ms, unbounded: a millisecond is sample_rate ticks and a sample
lasts 1,000, so nothing is ever rounded. L16 here is little-endian, as on the media streams.
"""

import struct
from array import array
from dataclasses import dataclass, field
from itertools import chain, repeat
from math import inf, log10
from typing import NamedTuple

from tests.reference.g711 import alaw_decode_sample, ulaw_decode_sample
from trunkline.formats import MediaFormat
from trunkline.timeline import Discontinuity, TrackStats

TOLERANCE_MS = 10
MAX_GAP_MS = 10_000
CONCEALED_PER_DECODED = 10
CONCEALED_ALLOWANCE_MS = 60_000
SAMPLE_TICKS = 1000
JOINT_MS = 5
LOUDEST = {"PCMU": 32124, "PCMA": 32256, "L16": 32767}
REMEMBERED = 64  # numbers

ULAW = [ulaw_decode_sample(code) for code in range(256)]
ALAW = [alaw_decode_sample(code) for code in range(256)]


# Of its channels, its time in ticks, whether it is concealed, and whether it is free: made up, or cross-faded
# with what was, so that any value is right. (Gaps have millions: a class of their own costs the most time.)
Sample = tuple[tuple[int, ...], int, bool, bool]


class Frame(NamedTuple):
    pcm: bytes
    timestamp_ms: float
    sequence: int
    concealed: bool
    free: tuple[bool, ...]  # each sample


@dataclass
class Track:
    format: MediaFormat
    frame_samples: int
    name: str
    line: list[Sample] = field(default_factory=list)  # laid, not in a frame yet
    end_ticks: int | None = None  # the time of the next sample
    odd: bytes = b""
    last_sequence: int | None = None
    n_frames: int = 0
    packets: int = 0
    payload_bytes: int = 0
    late: int = 0
    duplicates: int = 0
    come: set[int] = field(default_factory=set)  # numbers, since they began
    unplaced: int = 0  # numbers skipped before packets that had no audio, and so no place
    late_run: list[int] = field(default_factory=list)  # numbers of late packets that follow each other
    lost: int = 0
    concealed: int = 0
    filled: int = 0  # of these, gaps and not the ends of frames
    decoded: int = 0
    discontinuities: int = 0
    resyncs: int = 0
    energy: int = 0
    clipped: int = 0
    joint: int = 0  # samples behind a gap that are still to be cross-faded

    @property
    def block_bytes(self) -> int:
        return self.format.channels * (2 if self.format.codec == "L16" else 1)

    @property
    def stats(self) -> TrackStats:
        return TrackStats(
            packets=self.packets,
            bytes=self.payload_bytes,
            late=self.late,
            duplicates=self.duplicates,
            reordered=0,
            discarded=0,
            lost=self.lost,
            concealed_ms=self.concealed * 1000 / self.format.sample_rate,
            fec_ms=0.0,
            discontinuities=self.discontinuities,
            resyncs=self.resyncs,
            media_ms=self.decoded * 1000 / self.format.sample_rate,
            clipped_samples=self.clipped,
            jitter_ms=0.0,
            drift_ppm=0.0,
            level_dbfs=self._level_dbfs(),
        )

    def _level_dbfs(self) -> float:
        if self.energy == 0:
            return -inf
        return 10 * log10(self.energy / (self.decoded * self.format.channels) / (32768**2 / 2))

    def push(self, payload: bytes, timestamp_ms: int, sequence: int | None) -> list[Frame | Discontinuity]:
        self.packets += 1
        self.payload_bytes += len(payload)
        self._begin_anew(payload, sequence)
        counted = skipped = self._count_lost(sequence)
        if skipped is not None:
            skipped += self.unplaced
            self.unplaced = 0 if payload else skipped
        if payload and self._is_late(payload, timestamp_ms, follows=skipped == 0):
            self.late += 1
            if sequence is None:
                return []
            self.late_run = [*self.late_run, sequence] if sequence - 1 in self.late_run[-1:] else [sequence]
            if self.last_sequence is None or sequence > self.last_sequence:
                self.last_sequence = sequence
            else:
                self.duplicates += sequence in self.come and sequence > self.last_sequence - REMEMBERED
            self.come.add(sequence)
            return []
        self.late_run = []
        if sequence is not None:
            if counted is None:
                self.come = set()
            self.last_sequence = sequence
            self.come.add(sequence)
        if not payload:
            return []
        missing = max(skipped or 0, 0) * (len(payload) // self.block_bytes) * SAMPLE_TICKS
        items = self._go_to(timestamp_ms, missing, follows=skipped == 0)
        self._decode(payload)
        return items + self._whole_frames()

    def flush(self) -> list[Frame | Discontinuity]:
        self.odd = b""
        samples, self.line = self.line, []
        return [self._frame(samples)] if samples else []

    def _begin_anew(self, payload: bytes, sequence: int | None) -> None:
        """Take the third late packet of a row from far back for the next one."""
        if sequence is None or not payload or len(self.late_run) < 2 or self.late_run[-1] != sequence - 1:
            return
        if self.last_sequence is not None and sequence <= self.last_sequence - REMEMBERED:
            self.last_sequence = sequence - 1
            self.come = {sequence - 2, sequence - 1}
            self.unplaced = 0
            self.odd = b""

    def _count_lost(self, sequence: int | None) -> int | None:
        """How many sequence numbers were skipped, None when this is not known to be a later one."""
        if sequence is None or self.last_sequence is None or sequence <= self.last_sequence:
            return None
        skipped = sequence - self.last_sequence - 1
        self.lost = min(self.lost + skipped, 2**64 - 1)
        return skipped

    def _ahead_ticks(self, timestamp_ms: int) -> int:
        at_ticks = timestamp_ms * self.format.sample_rate
        return 0 if self.end_ticks is None else at_ticks - self.end_ticks

    def _is_late(self, payload: bytes, timestamp_ms: int, *, follows: bool) -> bool:
        ahead = self._ahead_ticks(timestamp_ms)
        behind_tolerance = ahead <= -TOLERANCE_MS * self.format.sample_rate
        ends_behind = ahead + len(payload) // self.block_bytes * SAMPLE_TICKS <= 0
        return behind_tolerance and ends_behind and not follows

    def _go_to(self, timestamp_ms: int, missing_ticks: int, *, follows: bool) -> list[Frame | Discontinuity]:
        """Bring the end of the line to where a packet belongs: behind what is missing, if that is near."""
        rate = self.format.sample_rate
        if self.end_ticks is None:
            self.end_ticks = timestamp_ms * rate
        ahead = self._ahead_ticks(timestamp_ms)
        is_gap = ahead >= TOLERANCE_MS * rate
        if missing_ticks and abs(ahead - missing_ticks) < TOLERANCE_MS * rate:
            ahead, is_gap = missing_ticks, True
        items: list[Frame | Discontinuity] = []
        if is_gap and not self._may_conceal(ahead):
            self._conceal(-len(self.line) % self.frame_samples, free=False)
            self.joint = 0
            items = self._whole_frames()
            items.append(Discontinuity(self.name, self.end_ticks / rate, timestamp_ms))
            self.discontinuities += 1
            self.end_ticks = timestamp_ms * rate
            self.odd = b""
        elif is_gap:
            self._conceal(ahead // SAMPLE_TICKS, free=True)
            self.joint = rate * JOINT_MS // 1000
            self.filled += ahead // SAMPLE_TICKS
            self.odd = b""
        elif ahead <= -TOLERANCE_MS * rate:
            self.end_ticks = timestamp_ms * rate
            self.resyncs += 1
            if not follows:
                self.odd = b""
        return items

    def _may_conceal(self, ahead_ticks: int) -> bool:
        allowed = (
            CONCEALED_PER_DECODED * self.decoded + CONCEALED_ALLOWANCE_MS * self.format.sample_rate // 1000
        )
        within = self.filled + ahead_ticks // SAMPLE_TICKS <= allowed
        return within and ahead_ticks <= MAX_GAP_MS * self.format.sample_rate

    def _conceal(self, n_samples: int, *, free: bool) -> None:
        assert self.end_ticks is not None
        begin, self.end_ticks = self.end_ticks, self.end_ticks + n_samples * SAMPLE_TICKS
        zeros = (0,) * self.format.channels
        self.line += zip(
            repeat(zeros), range(begin, self.end_ticks, SAMPLE_TICKS), repeat(True), repeat(free)
        )
        self.concealed += n_samples

    def _decode(self, payload: bytes) -> None:
        payload = self.odd + payload
        whole = len(payload) - len(payload) % self.block_bytes
        self.odd = payload[whole:]
        if self.format.codec == "L16":
            values = [value for (value,) in struct.iter_unpack("<h", payload[:whole])]
        else:
            table = ULAW if self.format.codec == "PCMU" else ALAW
            values = [table[code] for code in payload[:whole]]
        self.energy += sum(value * value for value in values)
        self.clipped += sum(abs(value) >= LOUDEST[self.format.codec] for value in values)
        assert self.end_ticks is not None
        for i in range(0, len(values), self.format.channels):
            channels = tuple(values[i : i + self.format.channels])
            self.line.append((channels, self.end_ticks, False, self.joint > 0))
            self.end_ticks += SAMPLE_TICKS
            self.joint = max(0, self.joint - 1)
            self.decoded += 1

    def _whole_frames(self) -> list[Frame | Discontinuity]:
        whole = len(self.line) - len(self.line) % self.frame_samples
        samples, self.line = self.line[:whole], self.line[whole:]
        return [self._frame(samples[i : i + self.frame_samples]) for i in range(0, whole, self.frame_samples)]

    def _frame(self, samples: list[Sample]) -> Frame:
        self.n_frames += 1
        channels, at_ticks, concealed, free = zip(*samples, strict=True)
        pcm = array("h", chain.from_iterable(channels)).tobytes()
        return Frame(pcm, at_ticks[0] / self.format.sample_rate, self.n_frames - 1, any(concealed), free)
