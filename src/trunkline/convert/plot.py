"""waveform: a picture of a recording, one row per channel."""

import os
from typing import Final

from trunkline.extras import needs_extra
from trunkline.wav import WavReader

with needs_extra("plot"):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

import numpy as np
import numpy.typing as npt

__all__ = ["waveform"]

COLUMNS: Final = 1600  # lowest and highest sample of this many slices; about one for each pixel
COLORS: Final = ("#1f6f8b", "#c8553d", "#588157", "#6d597a")
Envelope = npt.NDArray[np.float64]
NAMES: Final = {1: ("mono",), 2: ("left: inbound", "right: outbound")}


def waveform(path_wav: str | os.PathLike[str], path_png: str | os.PathLike[str]) -> None:
    """Draw the waveform of `path_wav` into `path_png` (PNG): seconds across, full scale up.

    Memory does not grow with the recording. The global state of pyplot is left alone.
    """
    with WavReader(path_wav) as reader:
        slice_samples = max(1, -(-(reader.n_samples or 0) // COLUMNS))
        low, high = _envelope(reader, slice_samples)
    names = NAMES.get(reader.channels, tuple(f"channel {k + 1}" for k in range(reader.channels)))
    seconds = np.arange(len(low)) * slice_samples / reader.sample_rate
    figure = Figure(figsize=(12, 1 + 2 * reader.channels), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(reader.channels, 1, sharex=True, squeeze=False)[:, 0]
    for k, (axes, name) in enumerate(zip(rows, names, strict=True)):
        color = COLORS[k % len(COLORS)]
        axes.fill_between(seconds, low[:, k], high[:, k], color=color, linewidth=0.6, edgecolor=color)
        axes.set_title(name, loc="left", fontsize=10, color=color)
        axes.set_ylim(-1, 1)
        axes.set_yticks([-1, -0.5, 0, 0.5, 1])
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    rows[-1].set_xlabel("seconds")
    rows[-1].set_xlim(0, max(len(low) * slice_samples / reader.sample_rate, 0.001))
    figure.suptitle(f"{os.path.basename(path_wav)}, {reader.sample_rate:,} Hz", fontsize=11)
    figure.savefig(path_png)


def _envelope(reader: WavReader, slice_samples: int) -> tuple[Envelope, Envelope]:
    """Find the lowest and the highest sample of each slice and channel, full scale 1.0."""
    low, high = [], []
    for pcm in reader.blocks(slice_samples):
        samples = np.frombuffer(pcm, np.int16).reshape(-1, reader.channels) / 32768
        low.append(samples.min(axis=0))
        high.append(samples.max(axis=0))
    shape = (len(low), reader.channels)
    return np.reshape(low, shape), np.reshape(high, shape)
