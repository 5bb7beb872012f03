"""Packet traces for the jitter benchmark: what is sent, and when it arrives. All made here, from seeds.

A trace is a list of packets in the order of sending: sequence (16 bits), timestamp (32 bits, 8 kHz), the
times of sending and of arrival in ms; an arrival of None is a loss, and a copy is a packet of its own.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

Rng = np.random.Generator
HZ = 8  # a millisecond
Way = tuple[int, float, float | None]  # number, sent, arrival


class Packet(NamedTuple):
    sequence: int
    timestamp: int
    sent_ms: float
    arrival_ms: float | None


class Trace(NamedTuple):
    name: str
    ptime_ms: int
    packets: list[Packet]


def _number(pairs: list[Way], sequence: int = 0, timestamp: int = 0) -> list[Packet]:
    return [
        Packet((sequence + k) % 2**16, (timestamp + round(sent * HZ)) % 2**32, sent, arrival)
        for k, sent, arrival in pairs
    ]


def _in_order(pairs: list[Way]) -> list[Way]:
    """Let nobody overtake: one queue."""
    latest, queued = 0.0, []
    for k, sent, arrival in pairs:
        if arrival is not None:
            latest = arrival = max(latest, arrival)
        queued.append((k, sent, arrival))
    return queued


def _steady(rng: Rng, n: int, ptime: int, jitter_ms: float, loss: float = 0.0) -> list[Way]:
    delays, lost = 40 + rng.gamma(2, jitter_ms / 2, n), rng.random(n) < loss
    return [(k, k * ptime, None if lost[k] else k * ptime + delays[k]) for k in range(n)]


def clean(rng: Rng) -> list[Packet]:
    return _number(_steady(rng, 15_000, 20, 1))


def drift(ppm: float) -> Callable[[Rng], list[Packet]]:
    def make(rng: Rng) -> list[Packet]:
        pairs = [(k, s, a and a + s * ppm * 1e-6) for k, s, a in _steady(rng, 90_000, 20, 4)]
        return _number(pairs, 65_000, 2**32 - 160 * 500)  # both wrap

    return make


def route_step(rng: Rng) -> list[Packet]:
    pairs = _steady(rng, 9_000, 20, 3)
    return _number([(k, s, a and a + 80 * (60e3 <= s < 120e3)) for k, s, a in pairs])


def spikes(rng: Rng) -> list[Packet]:
    """Sudden delays after which everything comes together (Ramjee and others, 1994)."""
    pairs, end = [], -1.0
    for k, sent, arrival in _steady(rng, 15_000, 20, 4):
        if sent > end and rng.random() < 1 / 500:
            end = sent + rng.uniform(120, 450)
        held = sent <= end
        pairs.append((k, sent, max(arrival or 0, end + 40 + rng.uniform(0, 3)) if held else arrival))
    return _number(pairs)


def gilbert(rng: Rng) -> list[Packet]:
    pairs, bad = [], False
    for k, sent, arrival in _steady(rng, 15_000, 20, 5):
        bad = rng.random() < (0.6 if bad else 0.0125)
        pairs.append((k, sent, None if bad else arrival))
    return _number(pairs)


def reordered(rng: Rng) -> list[Packet]:
    packets = []
    for k, sent, arrival in _steady(rng, 15_000, 20, 2):
        late = (arrival or 0) + (rng.uniform(20, 45) if rng.random() < 0.1 else 0)
        packets.append((k, sent, late))
        if rng.random() < 0.02:
            packets.append((k, sent, late + rng.uniform(1, 60)))
    return _number(packets)


def dtx(rng: Rng) -> list[Packet]:
    pairs, sent, k = [], 0.0, 0
    while sent < 300e3:
        for _ in range(int(rng.exponential(60)) + 5):
            pairs.append((k, sent, sent + 40 + rng.gamma(2, 4)))
            k, sent = k + 1, sent + 20
        sent += 20 * (int(rng.exponential(70)) + 5)
    return _number(pairs)


def tcp_clumps(rng: Rng) -> list[Packet]:
    """Three packets at a time over TCP, which waits for what is lost and then brings all."""
    pairs, stalled = [], 0.0
    for k in range(15_000):
        ready = (k // 3 * 3 + 2) * 20.0
        if k % 3 == 0 and rng.random() < 0.01:
            stalled = max(stalled, ready + rng.uniform(200, 400))
        pairs.append((k, k * 20.0, max(ready + 40 + rng.gamma(2, 1.5), stalled + 40)))
    return _number(_in_order(pairs))


def wifi(ptime: int) -> Callable[[Rng], list[Packet]]:
    """Quiet and busy times; in the busy ones others hold the channel for 10 to 300 ms."""

    def make(rng: Rng) -> list[Packet]:
        pairs, held, until, busy = [], 0.0, 0.0, 0.0
        for k, sent, arrival in _steady(rng, 300_000 // ptime, ptime, 2):
            if sent > until:
                busy = rng.choice([0.0, 0.0, 0.4, 1.5])  # holds a second
                until = sent + rng.uniform(3e3, 15e3)
            if rng.random() < busy * ptime / 1000:
                held = max(held, sent + min(300, 10 + rng.exponential(50)))
            lost = rng.random() < 0.004 * busy
            pairs.append((k, sent, None if lost else max(arrival or 0, held + 40 + rng.uniform(0, 3))))
        return _number(_in_order(pairs))

    return make


def lte(rng: Rng) -> list[Packet]:
    pairs, handover = [], 0.0
    for k, sent, arrival in _steady(rng, 15_000, 20, 4):
        if rng.random() < 20 / 30_000:
            handover = sent + rng.uniform(80, 350)
        late = (arrival or 0) + 8 * min(6, rng.geometric(0.7) - 1)
        pairs.append((k, sent, max(late, handover + 40) if sent < handover else late))
    return _number(_in_order(pairs))


def dsl(rng: Rng) -> list[Packet]:
    """A queue of up to 180 ms that somebody else's upload fills, and that overflows."""
    pairs, queue, filling = [], 0.0, False
    for k, sent, arrival in _steady(rng, 15_000, 20, 2):
        filling ^= rng.random() < 20 / 4_000
        queue = min(180.0, max(0.0, queue + (rng.uniform(0, 6) if filling else -10)))
        pairs.append((k, sent, None if queue >= 175 and rng.random() < 0.1 else (arrival or 0) + queue))
    return _number(_in_order(pairs))


MODELS: dict[str, tuple[int, Callable[[Rng], list[Packet]]]] = {
    "clean": (20, clean),
    "drift +300 ppm": (20, drift(300)),
    "drift -300 ppm": (20, drift(-300)),
    "route step": (20, route_step),
    "spikes": (20, spikes),
    "gilbert 3 %": (20, gilbert),
    "reordered": (20, reordered),
    "dtx": (20, dtx),
    "tcp clumps": (20, tcp_clumps),
    "wifi 10 ms": (10, wifi(10)),
    "wifi 20 ms": (20, wifi(20)),
    "wifi 60 ms": (60, wifi(60)),
    "lte": (20, lte),
    "dsl": (20, dsl),
}


def traces(seed: int = 0) -> Iterator[Trace]:
    for number, (name, (ptime_ms, make)) in enumerate(MODELS.items()):
        yield Trace(name, ptime_ms, make(np.random.default_rng(1000 * seed + number)))
