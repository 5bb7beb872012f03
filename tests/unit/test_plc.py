"""Concealment, comfort noise and stretching: heard at the joints, measured in level, judged by PESQ."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import plc_quality
from trunkline._native.plc import Plc
from trunkline.errors import FormatError
from trunkline.testing import speech_like, tone

RATES = (8000, 16000, 48000)
Pcm = npt.NDArray[np.int16]

rates = st.sampled_from(RATES)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(0, 700)


def samples(pcm: bytes) -> Pcm:
    return np.frombuffer(pcm, np.int16)


def sine(rate_hz: int, frequency_hz: float, seconds: float, level_dbfs: float = -12.0) -> Pcm:
    return samples(tone(seconds, frequency_hz, rate_hz, level_dbfs))


def noise(n_samples: int, rms: float, seed: int = 0) -> Pcm:
    return np.rint(np.random.default_rng(seed).normal(0, rms, n_samples)).astype(np.int16)


@cache
def voice(seconds: float, rate_hz: int, seed: int) -> Pcm:
    return samples(speech_like(seconds, rate_hz, seed))


def rms(pcm: npt.ArrayLike) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(pcm, float)))))


def bends(pcm: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Give the magnitude of the second difference: a click stands out in it."""
    return np.abs(np.diff(np.asarray(pcm, float), 2))


def correlation(pcm: Pcm, lag: int, window: int) -> float:
    """Normalised, of the last samples and those a lag earlier: the definition, in float."""
    now, before = pcm[-window:].astype(float), pcm[-window - lag : -lag].astype(float)
    norm = np.sqrt((now @ now) * (before @ before))
    return float(now @ before / norm) if norm else 0.0


def frequency_of(pcm: Pcm, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)), 1 << 18))
    return float(np.argmax(spectrum)) * rate_hz / (1 << 18)


@given(rates, seeds, st.integers(1, 3), st.lists(sizes, min_size=1, max_size=8), st.booleans())
def test_any_number_of_calls_is_one_call(
    rate_hz: int, seed: int, channels: int, counts: list[int], dtx: bool
) -> None:
    plc = Plc(rate_hz, channels)
    said = voice(0.4, rate_hz, seed % 8)
    plc.play(np.repeat(said, channels))
    other = plc.clone()
    fill, other_fill = (plc.noise, other.noise) if dtx else (plc.conceal, other.conceal)
    at_once = fill(sum(counts))
    assert len(at_once) == 2 * channels * sum(counts)
    assert b"".join(map(other_fill, counts)) == at_once
    after = np.repeat(said[:700], channels)
    assert plc.play(after) == other.play(after)


@given(rates, seeds, st.integers(0, 2999), st.booleans())
def test_the_pitch_is_the_slow_search_s(rate_hz: int, seed: int, at: int, longer: bool) -> None:
    """The period that is taken out or put in fits as well as the best of all lags, to 0.03."""
    ms = rate_hz // 1000
    said = voice(0.5, rate_hz, seed % 16)[at * ms // 8 :]
    before, pcm = said[: 60 * ms], said[60 * ms : (80 if longer else 95) * ms]
    plc = Plc(rate_hz)
    plc.play(before)
    changed = abs(len(plc.expand(pcm, 15 * ms) if longer else plc.compress(pcm, 15 * ms)) // 2 - len(pcm))
    # From its end backwards; compress looks from the start on, which is the end of what is turned round.
    seen = np.concatenate([before, pcm]) if longer else pcm[::-1]
    fits = {lag: correlation(seen, lag, 20 * ms) for lag in range(5 * ms // 2, 15 * ms + 1)}
    best = max(fits.values())
    if changed:
        assert fits[changed] >= max(best - 0.03, 0.89)
    else:
        assert best < 0.91


@given(rates, st.floats(80, 1500), st.floats(-40, -1))
def test_a_sine_goes_on(rate_hz: int, frequency_hz: float, level_dbfs: float) -> None:
    """No click where the gap begins or ends, the level holds, and the frequency."""
    pcm = sine(rate_hz, frequency_hz, 0.3, level_dbfs)
    plc, step = Plc(rate_hz), rate_hz // 50
    before, after = pcm[: 10 * step], pcm[11 * step :]
    heard = np.concatenate([samples(plc.play(before)), samples(plc.conceal(step)), samples(plc.play(after))])
    near = bends(before).max()
    assert bends(heard).max() <= 1.5 * near + 0.02 * np.abs(pcm).max() + 8
    ten_ms = heard[10 * step : 10 * step + step // 2]
    assert rms(ten_ms) == pytest.approx(rms(before[-step // 2 :]), rel=0.3)


@given(seeds, st.sampled_from((8000, 16000)), st.integers(1, 12))
def test_speech_has_no_click_at_a_joint(seed: int, rate_hz: int, n_lost: int) -> None:
    pcm, step = voice(1.2, rate_hz, seed % 16), rate_hz // 50
    first = 10 + seed % 30
    plc = Plc(rate_hz)
    before, after = pcm[: first * step], pcm[(first + n_lost) * step :]
    heard = np.concatenate(
        [samples(plc.play(before)), samples(plc.conceal(n_lost * step)), samples(plc.play(after))]
    )
    assert len(heard) == len(pcm)
    for joint in (first * step, (first + n_lost) * step):
        at_joint = bends(heard[joint - 3 : joint + 3]).max(initial=0)
        around = pcm[max(0, joint - 2 * step) : joint + 2 * step]
        assert at_joint <= 1.5 * max(bends(around).max(initial=0), bends(before[-step:]).max()) + 16


@given(st.sampled_from(RATES), st.floats(20, 300), seeds, st.booleans())
def test_noise_is_as_loud_as_the_background(rate_hz: int, level: float, seed: int, lost: bool) -> None:
    """Within 2 dB, after speech over it, and after a fade within 90 ms."""
    plc, background = Plc(rate_hz), noise(2 * rate_hz, level, seed)
    heard = background[:rate_hz].astype(int)
    heard[: rate_hz // 2] += voice(0.5, rate_hz, seed % 8) // 2
    plc.play(np.clip(heard, -32768, 32767).astype(np.int16))
    made = samples((plc.conceal if lost else plc.noise)(rate_hz))
    settled = made[rate_hz * 90 // 1000 if lost else rate_hz // 100 :]
    assert abs(20 * np.log10(rms(settled) / level)) < 2


@given(rates, st.floats(100, 390), st.floats(0, 60))
def test_a_loss_is_held_and_fades_to_the_background(rate_hz: int, frequency_hz: float, level: float) -> None:
    """Whole for 10 ms, half at 45 ms, the background alone from 80 ms on."""
    ms, plc = rate_hz // 1000, Plc(rate_hz)
    plc.play(noise(rate_hz // 2, level))
    loud = sine(rate_hz, frequency_hz, 0.1)
    plc.play(loud)
    made = samples(plc.conceal(400 * ms))
    assert rms(made[: 10 * ms]) == pytest.approx(rms(loud), rel=0.25)
    assert rms(made[35 * ms : 55 * ms]) == pytest.approx(rms(loud) / 2, rel=0.3)
    assert rms(made[80 * ms :]) <= 1.3 * level + 1


def test_a_silent_channel_stays_silent() -> None:
    said = voice(1.0, 8000, 0)[:4000]
    plc = Plc(8000, 2)
    plc.play(np.stack([said, np.zeros_like(said)], axis=1))
    made = samples(plc.conceal(800) + plc.noise(800)).reshape(-1, 2)
    assert made[:, 0].any()
    assert not made[:, 1].any()


def test_noise_has_the_spectrum_of_the_background() -> None:
    """Low-pass noise stays so: the upper half of the band is as much weaker, within 6 dB."""
    background = np.convolve(noise(16000, 300), np.hamming(9) / np.hamming(9).sum(), "same").astype(np.int16)
    plc = Plc(8000)
    plc.play(background)
    made = samples(plc.noise(16000))[400:]

    def tilt_db(pcm: Pcm) -> float:
        power = np.abs(np.fft.rfft(pcm)) ** 2
        half = len(power) // 2
        return float(10 * np.log10(power[:half].sum() / power[half:].sum()))

    assert tilt_db(background) > 15
    assert tilt_db(made) == pytest.approx(tilt_db(background), abs=6)


def test_silence_stays_silent_and_little_is_no_background() -> None:
    plc = Plc(8000)
    plc.play(bytes(16000))
    assert not any(plc.conceal(800) + plc.noise(800))
    plc.reset()
    plc.play(sine(8000, 300, 0.08))  # too short to say anything about the background
    assert not np.any(samples(plc.noise(8000))[80:])


@given(st.integers(1, 64), st.sampled_from((8000, 16000)))
def test_unvoiced_does_not_buzz(seed: int, rate_hz: int) -> None:
    """The concealment of noise is noise: no lag at which it repeats itself."""
    plc = Plc(rate_hz)
    plc.play(noise(rate_hz // 2, 3000, seed))
    made = samples(plc.conceal(rate_hz * 40 // 1000)).astype(float)
    n = len(made) // 2
    repeats = [correlation(made[: n + lag].astype(np.int16), lag, n) for lag in range(n // 8, n)]
    assert max(repeats) < 0.75


@given(rates, st.floats(90, 390), st.booleans())
def test_a_stretched_sine_keeps_frequency_and_level(rate_hz: int, frequency_hz: float, longer: bool) -> None:
    pcm, step = sine(rate_hz, frequency_hz, 1.0), rate_hz // 25
    plc, out, changed = Plc(rate_hz), [samples(Plc(rate_hz).play(b""))], 0
    for at in range(0, len(pcm), step):
        part = pcm[at : at + step]
        if at >= step:
            part = samples(plc.expand(part, step) if longer else plc.compress(part, step))
            changed += len(part) != step
        out.append(samples(plc.play(part)))
    heard = np.concatenate(out)
    assert changed >= 20
    assert abs(len(heard) - len(pcm)) >= 20 * rate_hz // 400
    assert frequency_of(heard, rate_hz) == pytest.approx(frequency_hz, rel=0.01)
    assert rms(heard) == pytest.approx(rms(pcm), rel=0.05)
    assert bends(heard).max() <= 1.5 * bends(pcm).max() + 0.01 * np.abs(pcm).max() + 8


@given(seeds, rates, sizes, sizes, st.integers(1, 2))
def test_stretching_is_bounded_and_has_no_click(
    seed: int, rate_hz: int, n_samples: int, most: int, channels: int
) -> None:
    said = voice(1.0, rate_hz, seed % 8)
    at = seed % (len(said) // 2) + rate_hz // 10
    plc = Plc(rate_hz, channels)
    before, pcm = (np.repeat(part, channels) for part in (said[:at], said[at : at + n_samples]))
    plc.play(before)
    for out in (plc.compress(pcm, most), plc.expand(pcm, most)):
        changed = abs(len(out) // 2 - len(pcm)) // channels
        assert changed <= min(most, rate_hz * 15 // 1000)
        left = samples(out)[::channels]
        if changed:  # it begins and ends as before, in no more than a period
            joined = np.concatenate([said[at - rate_hz // 50 : at], left])
            around = said[at - rate_hz // 25 : at + n_samples]
            assert bends(joined).max() <= 1.5 * bends(around).max() + 32
        else:
            assert out == pcm.tobytes()


@pytest.mark.parametrize("rate_hz", [8000, 16000])
@pytest.mark.parametrize("loss", list(plc_quality.LOSSES))
def test_better_than_silence_and_repetition(rate_hz: int, loss: str) -> None:
    """By PESQ (P.862) of synthetic talkers in a quiet room: 0.3 above silence, never below repetition."""
    figures = plc_quality.judge(list(plc_quality.talkers(rate_hz)), rate_hz, loss)
    (ours, our_distance), (silence, distance) = figures["trunkline"], figures["silence"]
    assert ours >= silence + 0.3
    assert ours >= figures["repetition"][0]
    assert our_distance <= min(distance, figures["repetition"][1])


def test_other_arguments() -> None:
    for rate_hz, channels in ((3999, 1), (48001, 1), (8000, 0), (8000, 9)):
        with pytest.raises(FormatError):
            Plc(rate_hz, channels)
    stereo = Plc(8000, 2)
    with pytest.raises(ValueError, match="6 bytes is not a whole number of samples of 2 channels"):
        stereo.play(bytes(6))
    with pytest.raises(ValueError, match="n_samples"):
        stereo.conceal(-1)
    with pytest.raises(ValueError, match="most"):
        stereo.expand(b"", -1)
    with pytest.raises(TypeError):
        stereo.play("text")  # type: ignore[arg-type]
    assert stereo.play(b"") == stereo.conceal(0) == stereo.noise(0) == stereo.compress(b"", 5) == b""
    assert stereo.expand(b"", 5) == b""
