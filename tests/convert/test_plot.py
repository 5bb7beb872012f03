"""convert.plot: the picture shows the samples, a row or two a channel."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.convert.captures import write_capture
from trunkline import wav
from trunkline.errors import FormatError
from trunkline.testing import speech_like, tone

pytest.importorskip("matplotlib")

from matplotlib.image import imread

from trunkline.convert.plot import COLORS, plot, waveform

Draw = Callable[[Path, Path], None]


def colored(picture: Path, color: str) -> int:
    """Pixels of exactly this colour."""
    rgb = (imread(picture)[:, :, :3] * 255).round().astype(int)
    wanted = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
    return int((rgb == wanted).all(axis=2).sum())


def test_each_channel_has_its_row_and_colour(tmp_path: Path) -> None:
    stereo = np.stack([np.frombuffer(tone(2, 300, level_dbfs=level), np.int16) for level in (0, -12)], axis=1)
    recording, picture = tmp_path / "call.wav", tmp_path / "call.png"
    wav.write(recording, stereo.tobytes(), 8000, channels=2)
    waveform(recording, picture)
    loud, quiet = colored(picture, COLORS[0]), colored(picture, COLORS[1])
    assert 3 < loud / quiet < 5  # 12 dB is four times the height
    assert colored(picture, COLORS[2]) == 0


def test_a_tone_is_a_line_in_the_spectrogram(tmp_path: Path) -> None:
    recording, picture = tmp_path / "tone.wav", tmp_path / "tone.png"
    wav.write(recording, tone(2, 3000, level_dbfs=-12), 8000)
    plot(recording, picture)
    pixels = imread(picture)[:, 100:1000, :3]
    black = (pixels == imread(picture)[540, 500, :3]).all(axis=2).mean(axis=1)  # at the bottom: 0 Hz
    (top, bottom) = np.flatnonzero(black > 0.9)[[0, -1]]
    brightest = pixels[top:bottom].sum(axis=(1, 2)).argmax() / (bottom - top)
    assert brightest == pytest.approx(0.25, abs=0.03)  # 3 of 4 kHz, from the top


@pytest.mark.parametrize(
    ("draw", "n_samples"), [(waveform, 0), (waveform, 1), (waveform, 5), (plot, 0), (plot, 5)]
)
def test_next_to_nothing_is_drawn_too(tmp_path: Path, draw: Draw, n_samples: int) -> None:
    recording, picture = tmp_path / "short.wav", tmp_path / "short.png"
    wav.write(recording, bytes(2 * n_samples), 8000)
    draw(recording, picture)
    assert imread(picture).shape[1] == 1200


@pytest.mark.parametrize("sample_rate", [1, 0xFFFF_FFFF])
def test_rates_that_nobody_has(tmp_path: Path, sample_rate: int) -> None:
    wav.write(tmp_path / "a.wav", speech_like(1), sample_rate)
    waveform(tmp_path / "a.wav", tmp_path / "a.png")
    assert colored(tmp_path / "a.png", COLORS[0]) > 100


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    for name in (b"$x^{2}$.wav", "\u901a\u8a71.wav".encode(), b"\xff\x1b[2J.wav"):
        recording = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        wav.write(recording, speech_like(0.1), 8000)
        waveform(recording, picture)
        assert colored(picture, COLORS[0]) > 100


def test_a_capture_is_drawn(tmp_path: Path) -> None:
    write_capture(tmp_path / "call.jsonl", seconds=3)
    waveform(tmp_path / "call.jsonl", tmp_path / "call.png")
    assert colored(tmp_path / "call.png", COLORS[0]) > 100
    assert colored(tmp_path / "call.png", COLORS[1]) > 100


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    recording = tmp_path / "a.wav"
    wav.write(recording, bytes(2 * 9 * 10), 8000, channels=9)
    with pytest.raises(FormatError, match=r"a.wav: 9 channels: draws up to 8"):
        plot(recording, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
