"""trunkline.testing: audio that is made, the same every time."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import FormatError
from trunkline.testing import NETWORKS, conversation, network, speech_like, tone

PEAK_S16 = round(32767 * 10 ** (-6 / 20))


def samples(pcm: bytes) -> npt.NDArray[np.int64]:
    return np.frombuffer(pcm, np.int16).astype(np.int64)


def active(pcm: bytes, sample_rate: int = 8000) -> npt.NDArray[np.bool_]:
    """Which 20 ms blocks hold sound."""
    blocks = samples(pcm).reshape(-1, sample_rate // 50)
    found: npt.NDArray[np.bool_] = np.abs(blocks).max(axis=1) > 300
    return found


def pitch_hz(pcm: bytes) -> float:
    """The median fundamental of the voiced blocks, from the peak of their autocorrelation."""
    found = []
    for block in samples(pcm).reshape(-1, 320):
        power = np.correlate(block, block, "full")[319:]
        lag = 30 + int(np.argmax(power[30:110]))  # 73 to 267 Hz at 8 kHz
        if power[0] > 320 * 2000**2 and power[lag] > 0.5 * power[0]:
            found.append(8000 / lag)
    return float(np.median(found))


@given(
    seconds=st.floats(0, 1.5), sample_rate=st.sampled_from([8000, 16000, 44100]), seed=st.integers(0, 2**32)
)
def test_length_and_peak(seconds: float, sample_rate: int, seed: int) -> None:
    pcm = speech_like(seconds, sample_rate, seed)
    assert len(pcm) == 2 * round(seconds * sample_rate)
    assert np.abs(samples(pcm)).max(initial=0) in (0, PEAK_S16)


def test_equal_arguments_give_equal_audio_and_others_do_not() -> None:
    assert speech_like(2, seed=3) == speech_like(2, seed=3)
    assert speech_like(2, seed=3) != speech_like(2, seed=5)
    assert conversation(5, seed=3) == conversation(5, seed=3)
    assert conversation(5, seed=3) != conversation(5, seed=4)


def test_speech_has_sound_and_pauses() -> None:
    blocks = active(speech_like(20))
    assert 0.5 < blocks.mean() < 0.95
    assert np.abs(np.diff(blocks.astype(int))).sum() > 20


def test_the_seed_chooses_a_low_or_a_high_voice() -> None:
    assert 80 < pitch_hz(speech_like(10, seed=0)) < 140 < 160 < pitch_hz(speech_like(10, seed=1)) < 240


def test_the_parties_take_turns() -> None:
    inbound, outbound = conversation(30, seed=1)
    assert not (samples(inbound) * samples(outbound)).any()
    assert active(inbound).mean() > 0.2
    assert active(outbound).mean() > 0.2
    assert pitch_hz(inbound) < 150 < pitch_hz(outbound)


@given(hz=st.integers(100, 3900), level=st.floats(-40, 0))
def test_tone_has_its_frequency_and_level(hz: int, level: float) -> None:
    pcm = samples(tone(1, hz, level_dbfs=level))
    spectrum = np.abs(np.fft.rfft(pcm)) / 4000
    assert np.argmax(spectrum) == hz
    assert spectrum[hz] == pytest.approx(32767 * 10 ** (level / 20), rel=0.01)


def test_impossible_arguments_are_refused() -> None:
    for impossible in (-1, float("nan"), 1e9):
        with pytest.raises(FormatError, match="takes 0 to"):
            speech_like(impossible)
    with pytest.raises(FormatError, match="3000 Hz"):
        tone(1, sample_rate=3000)
    with pytest.raises(FormatError, match="6 dBFS"):
        tone(1, level_dbfs=6)


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_do_what_they_say(kind: str) -> None:
    came = network(kind, 5000, seed=1)
    assert came == network(kind, 5000, seed=1) != network(kind, 5000, seed=2)
    assert [at_ms for _, at_ms in came] == sorted(at_ms for _, at_ms in came)
    numbers = [number for number, _ in came]
    assert all(at_ms >= 20 * number + 20 for number, at_ms in came)
    lost = 1 - len(set(numbers)) / 5000
    assert lost == pytest.approx({"wifi": 0.008, "loss": 0.03}.get(kind, 0), abs=0.008)
    assert (len(numbers) > len(set(numbers))) == (kind == "multipath")
    assert (numbers != sorted(numbers)) == (kind == "multipath")
    assert network(kind, 0) == []
    assert all(0 <= number < 10 for number, _ in network(kind, 10, ptime_ms=60))
