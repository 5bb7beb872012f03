"""convert.overview: envelope and spectrum of any length, beside what is computed at once."""

import math
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline import wav
from trunkline.convert.opening import Recording
from trunkline.convert.overview import Envelope, Spectrogram, look_through
from trunkline.testing import tone


def blocks_of(samples: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    edges = [0, *sorted(cut % (samples.shape[1] + 1) for cut in cuts), samples.shape[1]]
    return [samples[:, begin:end] for begin, end in pairwise(edges)]


@given(st.integers(0, 300), st.integers(1, 40), st.lists(st.integers(0, 300), max_size=5), st.integers(0, 99))
def test_the_envelope_is_that_of_each_slice(n_samples: int, columns: int, cuts: list[int], seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, (2, n_samples))
    envelope = Envelope(2, n_samples, columns)
    for block in blocks_of(samples, cuts):
        envelope.add(block)
    step = envelope.column_samples
    slices = [samples[:, at : at + step] for at in range(0, n_samples, step)]
    assert len(slices) <= columns
    assert envelope.low.T.tolist() == [part.min(axis=1).tolist() for part in slices]
    assert envelope.high.T.tolist() == [part.max(axis=1).tolist() for part in slices]


@settings(max_examples=50)
@given(
    st.integers(1, 1000), st.integers(1, 60), st.lists(st.integers(0, 1000), max_size=5), st.integers(0, 99)
)
def test_the_spectrogram_is_that_of_each_window(
    n_samples: int, columns: int, cuts: list[int], seed: int
) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, (2, n_samples))
    spectrogram = Spectrogram(2, n_samples, columns, 1000)
    for block in blocks_of(samples, cuts):
        spectrogram.add(block)
    spectrogram.finish()
    size, hop = spectrogram.n_window, spectrogram.hop_samples
    assert size == 16
    padded = np.pad(samples, ((0, 0), ((size - hop) // 2, 2 * size)))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    power = np.array(
        [
            np.abs(np.fft.rfft(padded[:, at : at + size] * window)) ** 2 * (2 / window.sum()) ** 2
            for at in range(0, n_samples, hop)
        ]
    )
    pooled = spectrogram.column_samples // hop
    means = [power[at : at + pooled].mean(axis=0) for at in range(0, len(power), pooled)]
    expected = np.moveaxis(np.array(means), 0, 1)
    assert spectrogram.dbfs.shape == expected.shape
    assert spectrogram.dbfs.shape[1] <= columns
    assert 10 ** (spectrogram.dbfs / 10) == pytest.approx(expected, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 48000])
def test_a_tone_stands_at_its_time_frequency_and_level(sample_rate: int) -> None:
    pcm = np.frombuffer(tone(0.5, 1000, sample_rate, level_dbfs=-20), np.int16) / 32768
    samples = np.concatenate([np.zeros(sample_rate), pcm])[np.newaxis]
    spectrogram = Spectrogram(1, samples.shape[1], 1600, sample_rate)
    spectrogram.add(samples)
    spectrogram.finish()
    (levels,) = spectrogram.dbfs
    loudest = np.unravel_index(levels.argmax(), levels.shape)
    assert abs(loudest[1] * sample_rate / spectrogram.n_window - 1000) <= sample_rate / spectrogram.n_window
    assert levels.max() == pytest.approx(-20, abs=1.5)  # between two frequencies it is less
    begins_s = np.flatnonzero(levels.max(axis=1) > -30)[0] * spectrogram.column_samples / sample_rate
    assert begins_s == pytest.approx(1, abs=0.03)
    assert 0.008 < spectrogram.n_window / sample_rate <= 0.032


@pytest.mark.parametrize("sample_rate", [1, 0xFFFF_FFFF])
def test_rates_that_nobody_has(sample_rate: int) -> None:
    spectrogram = Spectrogram(1, 100_000, 1600, sample_rate)
    spectrogram.add(np.ones((1, 100_000)))
    spectrogram.finish()
    assert spectrogram.dbfs.shape[1] <= 1600
    assert spectrogram.n_window <= 4096


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with wav.WavWriter(path, sample_rate=8000, encoding="ulaw") as writer:
        for _ in range(20):
            writer.write(np.random.default_rng(0).integers(-99, 99, 100_000, np.int16).tobytes())
    with Recording(path) as recording:
        envelope, spectrogram = Envelope(1, 2_000_000, 100), Spectrogram(1, 2_000_000, 100, 8000)
        tracemalloc.start()
        try:
            assert look_through(recording, envelope, spectrogram) == 2_000_000
            assert tracemalloc.get_traced_memory()[1] < 16_000_000
        finally:
            tracemalloc.stop()
    spectrogram.finish()
    assert envelope.low.shape == (1, 100)
    assert spectrogram.dbfs.shape[1] <= 100
    assert math.isfinite(spectrogram.dbfs.sum())
