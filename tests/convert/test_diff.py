"""convert.diff: shifts, gains and noise that are put in are found again."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.convert.captures import write_capture
from tests.reference.wav import chunk, fmt, riff
from trunkline import opus, wav
from trunkline.convert.diff import diff
from trunkline.errors import FormatError
from trunkline.testing import conversation, speech_like, tone

SPEECH = np.frombuffer(speech_like(3), np.int16) / 32768


def write_floats(path: Path, samples: np.ndarray, sample_rate: int = 8000) -> Path:
    """Write samples, a column for each channel, as they are."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    data = samples.astype("<f4").tobytes()
    path.write_bytes(riff(fmt("float32", sample_rate, channels), chunk(b"data", data)))
    return path


def write_pcm(path: Path, pcm: bytes, channels: int = 1, encoding: str = "pcm16") -> Path:
    wav.write(path, pcm, 8000, channels, encoding)
    return path


@settings(max_examples=40)
@given(
    st.integers(-4000, 4000),
    st.floats(0.1, 3),
    st.booleans(),
    st.floats(0, 60),
    st.integers(1, 2),
    st.integers(0, 99),
)
@example(4000, 1.0, False, 60.0, 1, 0)
@example(-4000, 1.0, True, 0.0, 2, 0)
def test_shift_gain_and_noise_are_found(
    tmp_path_factory: pytest.TempPathFactory,
    shift: int,
    gain: float,
    inverted: bool,
    snr_db: float,
    channels: int,
    seed: int,
) -> None:
    directory = tmp_path_factory.mktemp("diff")
    rng = np.random.default_rng(seed)
    # White noise, so that each part has the level of the whole.
    a = rng.normal(0, 0.1, (20_000, channels))
    b = np.concatenate([rng.normal(0, 0.1, (max(shift, 0), channels)), a[max(-shift, 0) :]])
    noise = rng.normal(0, 0.1 * 10 ** (-snr_db / 20), b.shape)
    b = (-gain if inverted else gain) * (b + noise)
    found = diff(write_floats(directory / "a.wav", a), write_floats(directory / "b.wav", b), max_offset_s=0.5)
    assert (found.offset_samples, found.offset_ms) == (shift, shift / 8)
    assert found.n_samples == (len(a), len(b))
    assert found.compared_samples == min(len(a), len(a) + shift)
    assert not found.identical
    for gain_db, of_snr_db in [
        (found.gain_db, found.snr_db),
        *((c.gain_db, c.snr_db) for c in found.channels),
    ]:
        assert gain_db == pytest.approx(20 * math.log10(gain), abs=0.5)
        assert of_snr_db == pytest.approx(snr_db, abs=0.5)
    assert all(channel.inverted == inverted for channel in found.channels)


@settings(max_examples=50)
@given(st.data(), st.integers(1, 3), st.integers(1, 50))
def test_differing_samples_are_counted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, channels: int, n_samples: int
) -> None:
    directory = tmp_path_factory.mktemp("diff")
    samples = st.lists(st.integers(-3, 3), min_size=n_samples * channels, max_size=n_samples * channels)
    a, b = (np.array(data.draw(samples), np.int16).reshape(-1, channels) for _ in range(2))
    paths = (write_pcm(directory / f"{name}.wav", x.tobytes(), channels) for name, x in (("a", a), ("b", b)))
    found = diff(*paths, max_offset_s=0)
    differing = np.argwhere(a != b)
    assert found.differing_samples == len(differing)
    assert [channel.differing_samples for channel in found.channels] == list((a != b).sum(axis=0))
    assert found.identical == (len(differing) == 0)
    if found.identical:
        assert found.first is None
        return
    sample, channel = differing[0]
    assert found.first is not None
    assert (found.first.sample, found.first.channel) == (sample, channel + 1)
    assert found.first.time_ms == sample / 8
    assert (found.first.a, found.first.b) == (a[sample, channel] / 32768, b[sample, channel] / 32768)


def test_the_same_samples_are_identical_whatever_holds_them(tmp_path: Path) -> None:
    a = write_pcm(tmp_path / "a.wav", speech_like(1), encoding="ulaw")
    pcm = wav.read(a).pcm
    b = write_pcm(tmp_path / "b.wav", pcm)
    soundfile.write(tmp_path / "c.flac", np.frombuffer(pcm, np.int16), 8000)
    for other in (a, b, tmp_path / "c.flac"):
        found = diff(a, other)
        assert found.identical
        assert (found.differing_samples, found.compared_samples, found.offset_samples) == (0, 8000, 0)
    assert found.encodings == ("ulaw", "pcm16")
    assert (found.gain_db, found.snr_db) == (0.0, math.inf)


def test_what_is_only_moved_or_longer_is_not_identical(tmp_path: Path) -> None:
    pcm = speech_like(1)
    a, b = write_pcm(tmp_path / "a.wav", pcm), write_pcm(tmp_path / "b.wav", bytes(246) + pcm)
    c = write_pcm(tmp_path / "c.wav", pcm + bytes(2))
    assert (diff(a, b).offset_samples, diff(b, a).offset_samples, diff(a, c).offset_samples) == (123, -123, 0)
    for found in (diff(a, b), diff(b, a), diff(a, c)):
        assert (found.identical, found.differing_samples, found.first) == (False, 0, None)
        assert (found.snr_db, found.compared_samples) == (math.inf, 8000)


def test_a_difference_of_one_step_keeps_its_digits(tmp_path: Path) -> None:
    a = np.frombuffer(speech_like(20), np.int16).copy()
    b = a.copy()
    b[100_000] += 1
    found = diff(write_pcm(tmp_path / "a.wav", a.tobytes()), write_pcm(tmp_path / "b.wav", b.tobytes()))
    assert found.snr_db == pytest.approx(10 * math.log10(np.sum(a.astype(float) ** 2)), abs=0.01)
    assert (found.differing_samples, found.first and found.first.sample) == (1, 100_000)


def test_a_tone_is_not_moved_by_its_periods(tmp_path: Path) -> None:
    a = write_pcm(tmp_path / "a.wav", tone(2, 400))
    b = write_pcm(tmp_path / "b.wav", tone(2, 400, level_dbfs=-20))
    found = diff(a, b)
    assert (found.offset_samples, round(found.gain_db or 0)) == (0, -14)


def test_what_is_nothing_alike_stays_where_it_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    a, b = (write_floats(tmp_path / name, rng.normal(0, 0.1, 20_000)) for name in ("a.wav", "b.wav"))
    found = diff(a, b)
    assert found.offset_samples == 0
    assert found.snr_db is not None
    assert found.snr_db < -20


def test_of_silence_there_is_no_gain(tmp_path: Path) -> None:
    silence, speech = (
        write_pcm(tmp_path / "a.wav", bytes(16000)),
        write_pcm(tmp_path / "b.wav", speech_like(1)),
    )
    found = diff(silence, speech)
    assert (found.gain_db, found.snr_db, found.offset_samples) == (None, None, 0)
    found = diff(speech, silence)
    assert (found.gain_db, found.offset_samples) == (-math.inf, 0)
    assert found.snr_db == -math.inf


@pytest.mark.parametrize(("n_a", "n_b"), [(0, 0), (0, 5), (5, 0)])
def test_next_to_nothing(tmp_path: Path, n_a: int, n_b: int) -> None:
    a, b = write_pcm(tmp_path / "a.wav", bytes(2 * n_a)), write_pcm(tmp_path / "b.wav", bytes(2 * n_b))
    found = diff(a, b)
    assert (found.identical, found.compared_samples, found.n_samples) == (n_a == n_b, 0, (n_a, n_b))


def test_what_is_no_number_is_like_silence(tmp_path: Path) -> None:
    a, b = SPEECH.copy(), SPEECH.copy()
    a[5] = math.nan
    b[5] = 0
    assert diff(write_floats(tmp_path / "a.wav", a), write_floats(tmp_path / "b.wav", b)).identical


def test_a_codec_and_a_capture(tmp_path: Path) -> None:
    write_capture(tmp_path / "call.jsonl", seconds=3)
    inbound, outbound = (np.frombuffer(side, np.int16) for side in conversation(3))
    said = np.stack([inbound, outbound], axis=1).tobytes()
    a = write_pcm(tmp_path / "a.wav", said, channels=2)
    found = diff(a, tmp_path / "call.jsonl")
    assert found.offset_samples == 0
    assert found.snr_db is not None
    assert 30 < found.snr_db < 45  # of mu-law
    with opus.OpusWriter(tmp_path / "a.opus", sample_rate=8000, channels=2, bitrate=64000) as writer:
        writer.write(said)
    found = diff(a, tmp_path / "a.opus")
    assert abs(found.offset_ms) <= 1
    assert found.snr_db is not None
    assert found.snr_db > 8


def test_what_cannot_be_compared_names_the_cure(tmp_path: Path) -> None:
    a = write_pcm(tmp_path / "a.wav", bytes(200))
    b = write_pcm(tmp_path / "b.wav", bytes(200), channels=2)
    c = write_floats(tmp_path / "c.wav", np.zeros(100), 16000)
    with pytest.raises(FormatError, match=r"a.wav has 1 channels, .*b.wav 2: .* trunkline convert --mix"):
        diff(a, b)
    with pytest.raises(FormatError, match=r"a.wav has 8000 Hz, .*c.wav 16000 Hz: .* convert --rate 8000"):
        diff(a, c)
    with pytest.raises(FormatError, match=r"offset of up to 11.0 s: takes 0 to 10"):
        diff(a, a, max_offset_s=11.0)
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(FormatError, match=r"^\S+/text.wav: "):
        diff(a, tmp_path / "text.wav")


def test_a_rate_that_nobody_has(tmp_path: Path) -> None:
    a = write_floats(tmp_path / "a.wav", SPEECH, 0xFFFF_FFFF)
    b = write_floats(tmp_path / "b.wav", SPEECH[7:], 0xFFFF_FFFF)
    assert diff(a, b, max_offset_s=0.1).offset_samples == -7


def test_memory_does_not_grow_with_the_recordings(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    paths = []
    for name, leading in (("a.wav", 0), ("b.wav", 500)):
        paths.append(tmp_path / name)
        with wav.WavWriter(paths[-1], sample_rate=8000, encoding="ulaw") as writer:
            writer.write(bytes(2 * leading))
            for _ in range(20):
                writer.write(rng.integers(-999, 999, 100_000, np.int16).tobytes())
        rng = np.random.default_rng(6)
    tracemalloc.start()
    try:
        assert diff(*paths, max_offset_s=0.1).offset_samples == 500
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()
