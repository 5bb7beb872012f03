"""convert.plot: the picture shows the samples, one row a channel."""

from pathlib import Path

import numpy as np
import pytest

from trunkline import wav
from trunkline.testing import tone

pytest.importorskip("matplotlib")

from matplotlib.image import imread

from trunkline.convert.plot import COLORS, waveform


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


@pytest.mark.parametrize("n_samples", [0, 1, 5])
def test_next_to_nothing_is_drawn_too(tmp_path: Path, n_samples: int) -> None:
    recording, picture = tmp_path / "short.wav", tmp_path / "short.png"
    wav.write(recording, bytes(2 * n_samples), 8000)
    waveform(recording, picture)
    assert imread(picture).shape[1] == 1200
