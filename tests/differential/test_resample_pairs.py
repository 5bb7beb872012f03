"""trunkline.resample against the float64 reference, for every pair, length and way of cutting."""

from itertools import permutations
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.reference import resample as reference
from trunkline.resample import Resampler, resample

RATES = [8000, 11025, 12000, 16000, 22050, 24000, 44100, 48000]
PAIRS = list(permutations(RATES, 2))
QUALITIES = ["fast", "voice", "high"]
LENGTHS = [0, 1, 2, 99, 100, 101]
# float32 sums of up to 7,000 products. Interpolated coefficients are right to -118 dB, but for the step of
# 0.002 at the ends of "fast", which is smeared over 1/1024 of a period.
EXACT = 2e-6
INTERPOLATED = {"fast": 2.2e-3, "voice": 6e-6, "high": 6e-6}

pairs = pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS, ids=lambda rate: str(rate))
qualities = pytest.mark.parametrize("quality", QUALITIES)


def noise(n_samples: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, n_samples).astype(np.float32)


def noise_s16(n_samples: int) -> NDArray[np.int16]:
    return np.random.default_rng(2).integers(-9000, 9000, n_samples).astype(np.int16)


def stream(pcm: NDArray[np.generic], resampler: Resampler) -> NDArray[np.generic]:
    return np.frombuffer(resampler.process(pcm.data) + resampler.flush(), pcm.dtype)


def cut(pcm: NDArray[np.generic], resampler: Resampler, sizes: list[int]) -> bytes:
    """Push the signal in chunks of these sizes, again and again."""
    out, start, i = [], 0, 0
    while start < len(pcm):
        out.append(resampler.process(pcm[start : start + sizes[i % len(sizes)]].data))
        start += sizes[i % len(sizes)]
        i += 1
    return b"".join([*out, resampler.flush()])


@pairs
def test_every_pair_and_quality_is_the_reference(in_rate: int, out_rate: int) -> None:
    for quality in QUALITIES:
        pcm = noise(1200)
        ours = stream(pcm, Resampler(in_rate, out_rate, quality=quality, sample_format="f32"))
        wanted = reference.stream(pcm.astype(float), in_rate, out_rate, quality)
        assert len(ours) == len(wanted)
        assert np.abs(ours - wanted).max() < EXACT


@pairs
def test_a_long_signal_is_the_reference(in_rate: int, out_rate: int) -> None:
    pcm = noise_s16(48_001 if (in_rate, out_rate) in PAIRS[::7] else 6001)
    ours = np.frombuffer(resample(pcm, in_rate, out_rate, quality="voice"), np.int16)
    exact = reference.whole(pcm.astype(float), in_rate, out_rate, "voice")
    assert len(ours) == round(len(pcm) * out_rate / in_rate) == len(exact)
    wanted = reference.to_s16(exact)
    differing = ours != wanted
    # float32 moves a sum by less than this; only what lies so near to a half may round the other way.
    assert (np.abs(np.abs(exact - np.floor(exact)) - 0.5)[differing] < 0.03).all()
    assert differing.mean() < 0.02


@pairs
def test_lengths(in_rate: int, out_rate: int) -> None:
    for n_samples in LENGTHS:
        pcm = noise_s16(n_samples)
        resampler = Resampler(in_rate, out_rate)
        due = -(-n_samples * out_rate // in_rate)
        assert len(resampler.process(pcm)) == 2 * due
        assert resampler.output_samples_max(n_samples) == due
        assert len(resampler.flush()) == 2 * resampler.delay_samples
        assert resampler.delay_samples == reference.delay_samples(in_rate, out_rate, "voice")
        whole = resample(pcm, in_rate, out_rate)
        assert len(whole) == 2 * round(n_samples * out_rate / in_rate)


@pytest.mark.isa
@qualities
@pytest.mark.parametrize(
    ("in_rate", "out_rate"),
    [(8000, 16000), (16000, 8000), (48000, 8000), (8000, 48000), (24000, 16000), (16000, 24000),
     (44100, 16000), (16000, 44100), (8000, 8000), (44100, 44101), (191999, 4000), (4000, 191999)],
)  # fmt: skip
def test_any_cutting_gives_the_same_bits(in_rate: int, out_rate: int, quality: str) -> None:
    random = Random(in_rate)
    for sample_format, pcm in (("s16", noise_s16(2000)), ("f32", noise(2000))):
        resampler = Resampler(in_rate, out_rate, quality=quality, sample_format=sample_format)
        wanted = stream(pcm, resampler).tobytes()
        for sizes in ([1], [2], [159], [160], [161], [480], [random.randint(0, 700) for _ in range(50)]):
            assert cut(pcm, resampler, sizes) == wanted


@pytest.mark.isa
def test_a_long_push_is_many_short_ones() -> None:
    """Long enough for blocks, for the GIL to be released, and for every position in the period."""
    for in_rate, out_rate in [(8000, 16000), (48000, 8000), (44100, 16000), (44100, 44101)]:
        pcm = noise_s16(60_000)
        resampler = Resampler(in_rate, out_rate)
        assert cut(pcm, resampler, [997]) == stream(pcm, resampler).tobytes()


def test_random_pairs() -> None:
    random = Random(3)
    for _ in range(300):
        in_rate, out_rate = random.randint(4000, 192_000), random.randint(4000, 192_000)
        quality = random.choice(["fast", "voice"])
        n_samples = random.choice([0, 1, 2, random.randint(3, 300)])
        pcm = noise(n_samples, random.randint(0, 99))
        resampler = Resampler(in_rate, out_rate, quality=quality, sample_format="f32")
        first = random.randint(0, n_samples)
        parts = resampler.process(pcm[:first]), resampler.process(pcm[first:]), resampler.flush()
        ours = np.frombuffer(b"".join(parts), np.float32)
        up, down = reference.ratio(in_rate, out_rate)
        assert len(ours) == -(-n_samples * up // down) + resampler.delay_samples
        assert (
            resampler.delay_samples * min(in_rate, out_rate) <= {"fast": 9, "voice": 20}[quality] * out_rate
        )
        picked = np.unique(np.linspace(0, max(len(ours) - 1, 0), 40, dtype=int))[: len(ours)]
        wanted = reference.some(pcm.astype(float), in_rate, out_rate, quality, picked)
        assert np.abs(ours[picked] - wanted).max(initial=0) < INTERPOLATED[quality]


@qualities
def test_interpolated_high_rates_are_the_reference(quality: str) -> None:
    for in_rate, out_rate in [
        (44_100, 44_101),
        (192_000, 4001),
        (4001, 192_000),
        (96_001, 8000),
        (7999, 48_000),
    ]:
        pcm = noise(3000)
        ours = stream(pcm, Resampler(in_rate, out_rate, quality=quality, sample_format="f32"))
        picked = np.unique(np.linspace(0, len(ours) - 1, 300, dtype=int))
        wanted = reference.some(pcm.astype(float), in_rate, out_rate, quality, picked)
        assert np.abs(ours[picked] - wanted).max() < INTERPOLATED[quality]
