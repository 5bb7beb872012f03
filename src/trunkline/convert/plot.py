"""Pictures: a recording, one row per channel; the delays of a jitter buffer."""

import os
from collections.abc import Mapping
from typing import Final

from trunkline.extras import needs_extra
from trunkline.wav import WavReader

with needs_extra("plot"):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

import numpy as np
import numpy.typing as npt

__all__ = ["delays", "waveform"]

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


def delays(
    tracks: Mapping[str, tuple[list[tuple[float, float]], list[tuple[float, float]]]],
    path_png: str | os.PathLike[str],
) -> None:
    """Draw a row per track into `path_png` (PNG): how long each packet took, and when the audio was played.

    Both are lists of (time, delay above the fastest packet's) in ms.
    """
    figure = Figure(figsize=(12, 1 + 2.5 * len(tracks)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(tracks), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, color, (name, (packets, played)) in zip(rows, COLORS, tracks.items(), strict=False):
        for points, style in (
            (packets, {"marker": ".", "markersize": 3, "linewidth": 0}),
            (played, {"linewidth": 1.2}),
        ):
            seconds = [at_ms / 1000 for at_ms, _ in points]
            label = "a packet on its way" if style["linewidth"] == 0 else "played"
            shade = "#999999" if style["linewidth"] == 0 else color
            axes.plot(seconds, [delay_ms for _, delay_ms in points], color=shade, label=label, **style)
        axes.set_title(name, loc="left", fontsize=10, color=color)
        axes.set_ylabel("delay, ms")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    highest = max(
        (delay_ms for both in tracks.values() for points in both for _, delay_ms in points), default=1
    )
    rows[0].set_ylim(0, 1.05 * max(highest, 1))  # of all rows, which share it
    rows[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, frameon=False)
    rows[-1].set_xlabel("seconds of the call")
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
