"""What Resampler's docstring promises of each quality, measured with tones."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from trunkline import Resampler
from trunkline.resample import resample

pytestmark = pytest.mark.isa

Signal = NDArray[np.float64]


class Promise(NamedTuple):
    """What the docstring of Resampler says, in units of N, dB and periods of the lower rate."""

    passband: float
    ripple_db: float
    stopband: float
    rejection_db: float
    delay_periods: int


PROMISES = {
    "fast": Promise(0.78, 0.1, 1.15, 55, 9),
    "voice": Promise(0.85, 0.1, 1.15, 85, 20),
    "high": Promise(0.91, 0.01, 1.0, 100, 72),
}
# Integer and broken ratios, up and down, with filters of either layout, exact and interpolated.
PAIRS = [
    (8000, 16000), (16000, 8000), (8000, 48000), (48000, 8000), (16000, 24000), (24000, 16000),
    (44100, 16000), (16000, 44100), (44100, 48000), (48000, 44100), (16000, 44101), (44101, 16000),
]  # fmt: skip

promises = pytest.mark.parametrize("quality", PROMISES)
pairs = pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)


def settled(resampler: Resampler, frequency: float) -> tuple[Signal, Signal]:
    """Give a tone's output once the filter is full of it, and the times of those samples, in s."""
    lower = min(resampler.in_rate, resampler.out_rate)
    delay = resampler.delay_samples
    n_samples = resampler.in_rate * 400 // lower + 2 * delay * resampler.in_rate // resampler.out_rate
    tone = np.cos(2 * np.pi * frequency * np.arange(n_samples) / resampler.in_rate + 0.3)
    out = np.frombuffer(resampler.process(tone.astype(np.float32)), np.float32).astype(float)
    resampler.reset()
    return out[2 * delay :], (np.arange(2 * delay, len(out)) - delay) / resampler.out_rate


def in_phase(out: Signal, times: Signal, frequency: float) -> tuple[float, float, Signal]:
    """Give how much of a tone is in the output at its own time, how much a quarter late, and the rest."""
    parts = np.stack([f(2 * np.pi * frequency * times + 0.3) for f in (np.cos, np.sin)], axis=1)
    amplitudes = np.linalg.lstsq(parts, out, rcond=None)[0]
    return amplitudes[0], amplitudes[1], out - parts @ amplitudes


def strongest_db(out: Signal) -> float:
    """Give the strongest spectral line, in dB of a full-scale tone."""
    window = np.blackman(len(out))
    return float(20 * np.log10(np.abs(np.fft.rfft(out * window)).max() * 2 / window.sum() + 1e-12))


@promises
@pairs
def test_passband_delay_and_images(quality: str, in_rate: int, out_rate: int) -> None:
    promise = PROMISES[quality]
    resampler = Resampler(in_rate, out_rate, quality=quality, sample_format="f32")
    nyquist = min(in_rate, out_rate) / 2
    assert resampler.delay_samples * 2 * nyquist <= promise.delay_periods * out_rate
    for frequency in np.linspace(0.02, promise.passband, 15) * nyquist:
        gain, quarter_late, rest = in_phase(*settled(resampler, frequency), frequency)
        assert abs(20 * np.log10(gain)) <= promise.ripple_db
        # A tenth of a sample of delay more or less would put 0.01 to 0.3 here.
        assert abs(quarter_late) < 3e-4
        assert strongest_db(rest) <= -promise.rejection_db


@pairs
def test_fast_is_down_by_at_most_1_db_at_0_85_n(in_rate: int, out_rate: int) -> None:
    frequency = 0.85 * min(in_rate, out_rate) / 2
    resampler = Resampler(in_rate, out_rate, quality="fast", sample_format="f32")
    gain, _, _ = in_phase(*settled(resampler, frequency), frequency)
    assert -1 <= 20 * np.log10(gain) <= 0


@promises
@pytest.mark.parametrize(("in_rate", "out_rate"), [(a, b) for a, b in PAIRS if a > 1.2 * b])
def test_nothing_aliases(quality: str, in_rate: int, out_rate: int) -> None:
    promise = PROMISES[quality]
    resampler = Resampler(in_rate, out_rate, quality=quality, sample_format="f32")
    nyquist = out_rate / 2
    top = 0.98 * in_rate / 2  # nearer to it a tone and its mirror image are one line of twice the height
    near = np.linspace(promise.stopband, promise.stopband + 0.2, 15)
    for frequency in np.concatenate([near * nyquist, np.linspace(near[-1] * nyquist, top, 15)]):
        if frequency <= top:
            out, _ = settled(resampler, frequency)
            # Power counts all aliases together, the spectrum doubles a line next to its mirror image: what
            # is promised is the filter's response, which both of them overstate.
            power_db = 10 * np.log10(2 * np.mean(out**2) + 1e-24)
            assert min(power_db, strongest_db(out)) <= -promise.rejection_db


@promises
@pairs
def test_dc_stays_what_it_is(quality: str, in_rate: int, out_rate: int) -> None:
    # Between the broken phases of "fast" DC may differ by as much as its stopband lets through.
    tolerance = 60 if quality == "fast" else 1
    out = np.frombuffer(
        resample(np.full(4000, 30000, np.int16), in_rate, out_rate, quality=quality), np.int16
    )
    middle = out[len(out) // 4 : 3 * len(out) // 4].astype(int)
    assert np.abs(middle - 30000).max() <= tolerance


@promises
@pairs
def test_impulse_is_symmetric_about_the_delay(quality: str, in_rate: int, out_rate: int) -> None:
    resampler = Resampler(in_rate, out_rate, quality=quality, sample_format="f32")
    delay = resampler.delay_samples
    impulse = np.zeros(2 * delay * in_rate // out_rate + 10, np.float32)
    impulse[0] = 1
    response = np.frombuffer(resampler.process(impulse), np.float32)
    before, after = response[:delay][::-1], response[delay + 1 : 2 * delay + 1]
    assert np.abs(response).argmax() == delay
    assert np.abs(before - after).max() < 1e-5


@promises
@pytest.mark.parametrize("pair", [pair for pair in PAIRS if max(pair) % min(pair) == 0])
def test_whole_response_holds_the_promise(quality: str, pair: tuple[int, int]) -> None:
    promise = PROMISES[quality]
    in_rate, out_rate = pair
    step = max(1, in_rate // out_rate)
    resampler = Resampler(in_rate, out_rate, quality=quality, sample_format="f32")
    n_samples = 3 * (resampler.delay_samples + 1) * step
    parts = []
    for place in range(step):  # each input of a period meets coefficients of its own
        impulse = np.zeros(n_samples, np.float32)
        impulse[step - 1 - place] = 1
        parts.append(np.frombuffer(resampler.process(impulse), np.float32).astype(float))
        resampler.reset()
    response = np.stack(parts, axis=1).ravel()
    gain_db = 20 * np.log10(np.abs(np.fft.rfft(response, 1 << 16)) / max(1, out_rate // in_rate) + 1e-12)
    in_n = np.linspace(0, max(pair) / min(pair), len(gain_db))  # frequencies, in units of N
    assert abs(gain_db[in_n <= promise.passband]).max() <= promise.ripple_db
    assert gain_db[in_n >= promise.stopband].max() <= -promise.rejection_db
