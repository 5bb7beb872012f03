"""Conversion the slow way: the whole recording in one array, one step after the other."""

import numpy as np
from numpy.typing import NDArray

from trunkline.convert import Plan
from trunkline.resample import resample

Samples = NDArray[np.float64]  # a row per sample, full scale 1.0


def converted(samples: Samples, rate: int, plan: Plan, *, is_s16: bool) -> tuple[Samples, int]:
    """Give what the plan makes of samples, before they are encoded, and the rate.

    `is_s16`: they were 16 bits or less, which are resampled as such unless a step needs more.
    """
    end = None if plan.end_s is None else round(plan.end_s * rate)
    samples = remixed(samples[round(plan.begin_s * rate) : end], plan)
    is_s16 = is_s16 and not (
        plan.mix or plan.dither or plan.normalize_db is not None or plan.encoding == "float32"
    )
    if plan.sample_rate not in (None, rate):
        samples = resampled(samples, rate, plan.sample_rate, plan.quality, is_s16)
        rate = plan.sample_rate
    peak = np.abs(samples).max(initial=0.0)
    if plan.silence_db is not None:
        samples = without_silence(samples, 10 ** (plan.silence_db / 20))
    if plan.normalize_db is not None and peak:
        samples = samples * (10 ** (plan.normalize_db / 20) / peak)
    return samples, rate


def remixed(samples: Samples, plan: Plan) -> Samples:
    if plan.mix:
        return samples @ np.ones((samples.shape[1], 1))
    if plan.pick is not None:
        return samples[:, plan.pick - 1 : plan.pick]
    if plan.channels is not None and samples.shape[1] == 1:
        return np.hstack([samples] * plan.channels)
    return samples


def resampled(samples: Samples, rate: int, to_rate: int, quality: str, is_s16: bool) -> Samples:
    """Resample the whole: test_resample.py has its oracle."""
    items = np.rint(samples * 32768).astype("i2") if is_s16 else samples.astype("f4")
    out = resample(
        items.tobytes() if is_s16 else items.ravel(),
        rate,
        to_rate,
        channels=samples.shape[1],
        quality=quality,
        sample_format="s16" if is_s16 else "f32",
    )
    flat = np.frombuffer(out, items.dtype).astype("f8") / (32768 if is_s16 else 1)
    return flat.reshape(-1, samples.shape[1])


def without_silence(samples: Samples, silent: float) -> Samples:
    loud = np.flatnonzero((np.abs(samples) >= silent).any(axis=1))
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def beside(left: Samples, right: Samples, rate: int, offset_s: float) -> Samples:
    """Two columns, silence where one of them has nothing."""
    delays = round(max(0.0, -offset_s) * rate), round(max(0.0, offset_s) * rate)
    n_samples = max(len(side) + delay for side, delay in zip((left, right), delays, strict=True))
    both = np.zeros((n_samples, 2))
    for k, (side, delay) in enumerate(zip((left, right), delays, strict=True)):
        both[delay : delay + len(side), k] = side[:, 0]
    return both


def as_s16(samples: Samples) -> NDArray[np.int16]:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype("i2")


def dithered_s16(samples: Samples) -> NDArray[np.int16]:
    """Add a pair of numpy's numbers of seed 0 to each sample, one of them subtracted."""
    noise = np.random.default_rng(0).random((*samples.shape, 2), np.float32)
    steps = samples.astype("f4") * 32768.0 + noise[..., 0] - noise[..., 1]
    return np.clip(np.rint(steps), -32768, 32767).astype("i2")
