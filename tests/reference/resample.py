"""The resampler the slow way: every output is a sum over the filter's own formula, in float64.

The filter is a function of continuous time, in periods of the lower rate; nothing here knows of banks,
rows or blocks, or interpolates. An output is the sum of every input times the filter at the time between
the two, as if zeros had been stuffed between the inputs and the result had been filtered.
"""

from collections.abc import Iterable
from functools import cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]

HALF_PERIODS = {"fast": 8.1, "voice": 19.0, "high": 71.0}
CUTOFF = {"fast": 0.9539, "voice": 1.0, "high": 0.951}
KAISER_BETA = {"voice": 8.7, "high": 10.6}
FAST_WINDOW = (0.06551, 0.24196, 0.35558, 0.27882, -0.00086, 0.05899)  # by powers of 1 - (time / half)^2


def filter_at(quality: str, time: Signal) -> Signal:
    """Give the filter's value at times in periods of the lower rate, up to a constant factor."""
    half = HALF_PERIODS[quality]
    inside = np.maximum(1 - (time / half) ** 2, 0)
    if quality == "fast":
        window = np.polynomial.polynomial.polyval(inside, FAST_WINDOW)
    else:
        window = np.i0(KAISER_BETA[quality] * np.sqrt(inside))
    return np.where(np.abs(time) <= half * (1 + 1e-12), np.sinc(CUTOFF[quality] * time) * window, 0)


def ratio(in_rate: int, out_rate: int) -> tuple[int, int]:
    divisor = gcd(in_rate, out_rate)
    return out_rate // divisor, in_rate // divisor


@cache
def gain(in_rate: int, out_rate: int, quality: str) -> float:
    """Give what the filter multiplies DC by, on the average of all outputs."""
    up, down = ratio(in_rate, out_rate)
    steps = min(max(up, down), 1000)  # a period; more of them make no difference
    last = int(HALF_PERIODS[quality] * steps + 1e-6)
    times = np.arange(-last, last + 1) / steps
    return float(filter_at(quality, times).sum() / steps * max(up, down) / up)


def delay_samples(in_rate: int, out_rate: int, quality: str) -> int:
    """Give the least whole number of outputs that covers the filter's first half."""
    up, down = ratio(in_rate, out_rate)
    if up == down:
        return 0
    half_tenths = round(HALF_PERIODS[quality] * 10) * max(up, down)
    return -(-half_tenths // (10 * down))


def samples_out(n_samples: int, in_rate: int, out_rate: int) -> int:
    """Count the outputs that n inputs give: those whose time is not past the last input's."""
    return -(-n_samples * out_rate // in_rate)


def weights_at(in_rate: int, out_rate: int, quality: str, position: int) -> tuple[int, Signal]:
    """Give the newest input of the output at position / up, and the weights of it and of older ones."""
    up, down = ratio(in_rate, out_rate)
    newest, phase = divmod(position, up)
    centre = delay_samples(in_rate, out_rate, quality) * down
    age = np.arange(2 * centre // up + 2)
    weights = filter_at(quality, (phase + age * up - centre) / max(up, down))
    if up == down:
        return newest, np.ones(1)
    # Up, every output has gain 1; down, their average has.
    return newest, weights / (weights.sum() if up > down else gain(in_rate, out_rate, quality))


def some(pcm: Signal, in_rate: int, out_rate: int, quality: str, places: Iterable[int]) -> Signal:
    """Give some of the outputs of a stream, one by one."""
    _, down = ratio(in_rate, out_rate)
    out = []
    for place in places:
        newest, weights = weights_at(in_rate, out_rate, quality, int(place) * down)
        inputs = newest - np.arange(len(weights))
        inside = (inputs >= 0) & (inputs < len(pcm))
        out.append(pcm[inputs[inside]] @ weights[inside])
    return np.array(out)


def stream(pcm: Signal, in_rate: int, out_rate: int, quality: str) -> Signal:
    """Give all that a stream gives for `pcm` (one channel), its flush included."""
    up, down = ratio(in_rate, out_rate)
    n_out = samples_out(len(pcm), in_rate, out_rate) + delay_samples(in_rate, out_rate, quality)
    out = np.zeros(n_out)
    for first in range(min(up, n_out)):  # outputs that are `up` apart have the same weights
        newest, weights = weights_at(in_rate, out_rate, quality, first * down)
        before = np.zeros(len(weights) - 1)
        padded = np.concatenate([before, pcm, np.zeros(n_out * down // up + 1)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(weights))[newest::down]
        count = len(range(first, n_out, up))
        out[first::up] = windows[:count] @ weights[::-1]
    return out


def whole(pcm: Signal, in_rate: int, out_rate: int, quality: str) -> Signal:
    """Convert a whole signal: the stream without its lead-in."""
    n_out = round(len(pcm) * out_rate / in_rate)
    delay = delay_samples(in_rate, out_rate, quality)
    return stream(pcm, in_rate, out_rate, quality)[delay : delay + n_out]


def to_s16(pcm: Signal) -> NDArray[np.int16]:
    return np.clip(np.rint(pcm), -32768, 32767).astype(np.int16)
