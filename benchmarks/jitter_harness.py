"""Play a trace into a jitter buffer and measure what comes out.

A buffer is a pair of functions: put(packet) for each in order of arrival, and get(now_ms), called every
packet time, which returns segments (kind, timestamp, media_ms, out_ms): "media" of the stream from its
timestamp on, "conceal", "noise" of a gap in which nothing was sent, or "wait" before the first. Measured:

- late: packets that came and were not played, in % of those sent
- concealed: play time that was made up, in %, less what nothing was sent for; `added`: above the lost
- mean, p95: mouth-to-ear delay above the fastest transit within 10 s either way, in ms
- r: the short E-model (ITU-T G.107; Ie 0 and Bpl 25.1 of G.711 with concealment) at a base delay of 80 ms
"""

import bisect
import ctypes
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import numpy as np
from jitter_traces import HZ, Packet, Trace
from peers import optional

from trunkline import JitterBuffer, g711
from trunkline.testing import speech_like

Segment = tuple[str, int | None, float, float]
aiortc = optional("aiortc")
speexdsp: Any = None
with suppress(OSError):
    speexdsp = ctypes.CDLL("libspeexdsp.so.1")


class Buffer(Protocol):
    def put(self, packet: Packet) -> None: ...
    def get(self, now_ms: float) -> list[Segment]: ...


class Trunkline:
    """Ours, with speech in the packets: whether time can be stretched depends on the sound."""

    speech = g711.ulaw_encode(speech_like(60, 8000, seed=3))

    def __init__(self, ptime_ms: int, loss_cost_ms: float = 30.0) -> None:
        self.buffer = JitterBuffer("PCMU", frame_ms=ptime_ms, loss_cost_ms=loss_cost_ms)
        self.n_bytes = HZ * ptime_ms
        self.first: int | None = None

    def put(self, packet: Packet) -> None:
        if self.first is None:
            self.first = packet.timestamp
        at = (packet.timestamp - self.first) % 2**32 % (len(self.speech) - self.n_bytes)
        self.buffer.put(
            self.speech[at : at + self.n_bytes],
            sequence=packet.sequence,
            timestamp=packet.timestamp,
            arrival_ms=packet.arrival_ms or 0.0,
        )

    def get(self, now_ms: float) -> list[Segment]:
        return self.buffer.schedule(now_ms)


class Fixed:
    """A fixed delay behind the first packet, on the clock of this side."""

    def __init__(self, ptime_ms: int, delay_ms: float = 60.0) -> None:
        self.ptime_ms, self.delay_ms = ptime_ms, delay_ms
        self.held: set[int] = set()
        self.start: float | None = None
        self.next = 0

    def put(self, packet: Packet) -> None:
        if self.start is None:
            self.start, self.next = (packet.arrival_ms or 0.0) + self.delay_ms, packet.timestamp
        self.held.add(packet.timestamp)

    def get(self, now_ms: float) -> list[Segment]:
        if self.start is None or now_ms < self.start:
            return [("wait", None, 0, self.ptime_ms)]
        timestamp, self.next = self.next, (self.next + HZ * self.ptime_ms) % 2**32
        if timestamp in self.held:
            self.held.discard(timestamp)
            return [("media", timestamp, self.ptime_ms, self.ptime_ms)]
        return [("conceal", None, 0, self.ptime_ms)]


class Aiortc:
    """aiortc's own, set up as its RTCRtpReceiver does for audio, with its frames played one a tick."""

    def __init__(self, ptime_ms: int) -> None:
        from aiortc.jitterbuffer import JitterBuffer as Theirs
        from aiortc.rtp import RtpPacket

        self.buffer, self.make, self.ptime_ms = Theirs(capacity=16, prefetch=4), RtpPacket, ptime_ms
        self.frames: deque[int] = deque()
        self.started = False

    def put(self, packet: Packet) -> None:
        numbers = {"sequence_number": packet.sequence, "timestamp": packet.timestamp}
        made = self.make(payload_type=0, payload=b"x", **numbers)
        made._data = b"x"  # what its depayloading sets
        _, frame = self.buffer.add(made)
        if frame is not None:
            self.frames.append(frame.timestamp)

    def get(self, now_ms: float) -> list[Segment]:
        if self.frames:
            self.started = True
            return [("media", self.frames.popleft(), self.ptime_ms, self.ptime_ms)]
        return [("conceal" if self.started else "wait", None, 0, self.ptime_ms)]


class _SpeexPacket(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("len", ctypes.c_uint32),
        ("timestamp", ctypes.c_uint32),
        ("span", ctypes.c_uint32),
        ("sequence", ctypes.c_uint16),
        ("user_data", ctypes.c_uint32),
    )


class Speex:
    """libspeexdsp's, with its defaults."""

    def __init__(self, ptime_ms: int) -> None:
        self.ptime_ms, self.step = ptime_ms, HZ * ptime_ms
        speexdsp.jitter_buffer_init.restype = ctypes.c_void_p
        self.state = ctypes.c_void_p(speexdsp.jitter_buffer_init(self.step))
        self.room = ctypes.create_string_buffer(64)
        self.filled = self.started = False
        self.owed = 0  # samples of a gap that it has asked for

    def __del__(self) -> None:
        speexdsp.jitter_buffer_destroy(self.state)

    def put(self, packet: Packet) -> None:
        data = ctypes.create_string_buffer(b"x")
        sent = _SpeexPacket(ctypes.addressof(data), 1, packet.timestamp, self.step, packet.sequence, 0)
        speexdsp.jitter_buffer_put(self.state, ctypes.byref(sent))
        self.filled = True

    def get(self, now_ms: float) -> list[Segment]:
        made_up = [("conceal" if self.started else "wait", None, 0, self.ptime_ms)]
        if not self.filled:
            return made_up
        if self.owed >= self.step:
            self.owed -= self.step
            speexdsp.jitter_buffer_remaining_span(self.state, ctypes.c_uint32(self.owed))
            return made_up
        out, offset = _SpeexPacket(ctypes.addressof(self.room), 64), ctypes.c_int32()
        got = speexdsp.jitter_buffer_get(self.state, ctypes.byref(out), self.step, ctypes.byref(offset))
        if got == 2:  # JITTER_BUFFER_INSERTION: more time than a packet's
            self.owed = max(0, out.span - self.step)
        if self.owed:
            speexdsp.jitter_buffer_remaining_span(self.state, ctypes.c_uint32(self.owed))
        else:
            speexdsp.jitter_buffer_tick(self.state)
        if got != 0:
            return made_up
        self.started = True
        return [("media", out.timestamp, self.ptime_ms, self.ptime_ms)]


BUFFERS: dict[str, Callable[[int], Buffer]] = {"trunkline": Trunkline, "fixed 60 ms": Fixed}
if aiortc:
    BUFFERS["aiortc"] = Aiortc
if speexdsp:
    BUFFERS["speexdsp"] = Speex


class Result(NamedTuple):
    late: float
    concealed: float
    added: float
    mean_ms: float
    p95_ms: float
    saved: float  # of the packets that came behind a later one, in %
    r: float


def rating(delay_ms: float, loss: float) -> float:
    delay_ms += 80
    return 93.2 - 0.024 * delay_ms - 0.11 * max(0.0, delay_ms - 177.3) - 95 * loss / (loss + 25.1)


def play(trace: Trace, buffer: Buffer, phase_ms: float = 7.0) -> list[tuple[float, list[Segment]]]:
    came = sorted((p for p in trace.packets if p.arrival_ms is not None), key=lambda p: p.arrival_ms or 0)
    first, last = came[0].arrival_ms or 0.0, came[-1].arrival_ms or 0.0
    played, i, now_ms = [], 0, first + phase_ms
    while now_ms < last + 1000:
        while i < len(came) and (came[i].arrival_ms or 0.0) <= now_ms:
            buffer.put(came[i])
            i += 1
        played.append((now_ms, buffer.get(now_ms)))
        now_ms += trace.ptime_ms
    return played


class _Timeline:
    """When what was sent, and how fast the way was about then."""

    def __init__(self, trace: Trace) -> None:
        first = trace.packets[0].timestamp
        unique = {(p.timestamp - first) % 2**32: p for p in reversed(trace.packets)}
        self.first, self.ticks = first, sorted(unique)
        self.packets = [unique[tick] for tick in self.ticks]
        got = [(p.sent_ms, p.arrival_ms - p.sent_ms) for p in self.packets if p.arrival_ms is not None]
        self.sent = [sent for sent, _ in got]
        transit = np.array([t for _, t in got])
        ends = np.searchsorted(self.sent, np.array(self.sent) + 10_000, side="right")
        begins = np.searchsorted(self.sent, np.array(self.sent) - 10_000)
        self.fastest = _least_of_windows(transit, begins, ends)

    def packet_at(self, timestamp: int) -> tuple[int, float]:
        """The index of the packet with this sample, and how far into it that is, in ms."""
        tick = (timestamp - self.first + 2**31) % 2**32 - 2**31
        index = max(0, bisect.bisect_right(self.ticks, tick) - 1)
        return index, (tick - self.ticks[index]) / HZ

    def fastest_at(self, sent_ms: float) -> float:
        return float(self.fastest[min(bisect.bisect_left(self.sent, sent_ms), len(self.sent) - 1)])


def _least_of_windows(values: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The least of values[begin:end] for windows that move forward."""
    least, window, at = np.empty(len(values)), deque[int](), 0
    for i, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        for j in range(at, end):
            while window and values[window[-1]] >= values[j]:
                window.pop()
            window.append(j)
        at = end
        while window[0] < begin:
            window.popleft()
        least[i] = values[window[0]]
    return least


def measure(trace: Trace, played: list[tuple[float, list[Segment]]]) -> Result:
    line = _Timeline(trace)
    heard = np.zeros(len(line.packets))
    delays, weights = [], []
    concealed = noise = total = since_media = 0.0
    for now_ms, segments in played:
        at_ms = now_ms
        for kind, timestamp, media_ms, out_ms in segments:
            if kind == "media" and timestamp is not None:
                index, into_ms = line.packet_at(timestamp)
                sent_ms = line.packets[index].sent_ms + into_ms
                heard[index] += media_ms
                delays.append(at_ms - sent_ms - line.fastest_at(sent_ms))
                weights.append(out_ms)
                since_media = 0.0
            elif kind == "conceal":
                concealed += out_ms
                since_media += out_ms
            elif kind == "noise":
                noise += out_ms
            if kind != "wait":
                total += out_ms
            at_ms += out_ms
    concealed, total = concealed - since_media, total - since_media  # nothing ends in concealment
    silent_ms = sum(
        max(0.0, b.sent_ms - a.sent_ms - trace.ptime_ms)
        for a, b in zip(line.packets, line.packets[1:], strict=False)
    )
    came = np.array([p.arrival_ms is not None for p in line.packets])
    whole = heard >= trace.ptime_ms / 2 - 1e-6
    percent = 100 * max(0.0, concealed - max(0.0, silent_ms - noise)) / (total - min(silent_ms, total / 2))
    arrivals = np.array([np.inf if p.arrival_ms is None else p.arrival_ms for p in line.packets])
    overtaken = came & (arrivals > np.append(np.minimum.accumulate(arrivals[::-1])[::-1][1:], np.inf))
    order, share = np.argsort(delays), np.array(weights)
    within = np.cumsum(share[order]) / share.sum()
    mean_ms = float(np.dot(delays, share) / share.sum())
    return Result(
        late=100 * float((came & ~whole).mean()),
        concealed=percent,
        added=percent - 100 * float((~came).mean()),
        mean_ms=mean_ms,
        p95_ms=float(np.array(delays)[order][np.searchsorted(within, 0.95)]),
        saved=100 * float(whole[overtaken].mean()) if overtaken.any() else 100.0,
        r=rating(mean_ms, percent),
    )
