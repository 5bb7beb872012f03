"""What networks do to packets: delays, losses, duplicates. Equal arguments give equal networks."""

import numpy as np
import numpy.typing as npt

from trunkline.errors import FormatError

__all__ = ["NETWORKS", "network"]

#: Kinds of `network`, and what they do to packets.
NETWORKS = {
    "clean": "1 ms of jitter",
    "wifi": "times when others are busy: queues of 20 to 400 ms, up to 1 % loss",
    "lte": "retransmissions in steps of 8 ms; a handover of 80 to 350 ms every half minute",
    "loss": "5 ms of jitter, 3 % of the packets lost in bursts",
    "multipath": "one packet in ten takes 20 to 45 ms more, so that others overtake it; 2 % come twice",
}

Signal = npt.NDArray[np.float64]


def network(kind: str, n_packets: int, *, ptime_ms: float = 20.0, seed: int = 0) -> list[tuple[int, float]]:
    """Make what a network does to packets that are sent every `ptime_ms`: what arrives, and when, in ms.

    `kind` is one of `NETWORKS`. Returns pairs of a packet's number and its arrival, in order of arrival; what
    is missing is lost, what is there twice came twice.

    >>> network("clean", 3)[0][0], len(network("loss", 1000))
    (0, 965)
    """
    if kind not in NETWORKS:
        raise FormatError(f"network {kind!r}: takes {', '.join(NETWORKS)}")
    rng = np.random.default_rng(seed)
    sent_ms = np.arange(n_packets, dtype=np.float64) * ptime_ms
    delay_ms: Signal = 20.0 + rng.gamma(
        2, {"clean": 0.5, "wifi": 1.5, "lte": 2, "loss": 2.5, "multipath": 1}[kind], n_packets
    )
    lost = np.zeros(n_packets, bool)
    if kind == "wifi":
        lost = _queues(rng, sent_ms, delay_ms, every_ms=1_200, hold_ms=(20, 400)) & (
            rng.random(n_packets) < 0.1
        )
    elif kind == "lte":
        delay_ms += 8 * np.minimum(6, rng.geometric(0.7, n_packets) - 1)
        _queues(rng, sent_ms, delay_ms, every_ms=30_000, hold_ms=(80, 350))
    elif kind == "loss":
        lost = _bursts(rng, n_packets)
    elif kind == "multipath":
        delay_ms += np.where(rng.random(n_packets) < 0.1, rng.uniform(20, 45, n_packets), 0)
    arrival_ms = sent_ms + delay_ms
    if kind != "multipath":  # one queue: nobody overtakes
        arrival_ms = np.maximum.accumulate(arrival_ms)
    came = [(number, float(arrival_ms[number])) for number in range(n_packets) if not lost[number]]
    if kind == "multipath":
        came += [(number, at_ms + rng.uniform(1, 60)) for number, at_ms in came if rng.random() < 0.02]
    return sorted(came, key=lambda pair: pair[1])


def _queues(
    rng: np.random.Generator, sent_ms: Signal, delay_ms: Signal, every_ms: float, hold_ms: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    """Hold packets back now and then, and let them go together; says which."""
    held = np.zeros(len(sent_ms), bool)
    at_ms = rng.exponential(every_ms)
    while len(sent_ms) and at_ms < sent_ms[-1]:
        end_ms = at_ms + min(hold_ms[1], hold_ms[0] + rng.exponential((hold_ms[1] - hold_ms[0]) / 5))
        waiting = (sent_ms >= at_ms) & (sent_ms < end_ms)
        delay_ms[waiting] += end_ms - sent_ms[waiting]
        held |= waiting
        at_ms = end_ms + rng.exponential(every_ms)
    return held


def _bursts(rng: np.random.Generator, n_packets: int) -> npt.NDArray[np.bool_]:
    """Lose 3 % of the packets, and after a loss the next in three cases of five (Gilbert's model)."""
    lost = np.zeros(n_packets, bool)
    for number, chance in enumerate(rng.random(n_packets)):
        lost[number] = chance < (0.6 if number and lost[number - 1] else 0.0125)
    return lost
