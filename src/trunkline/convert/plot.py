"""Pictures: a recording, its waveform and its spectrogram; the delays of a jitter buffer."""

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from trunkline.extras import needs_extra

with needs_extra("plot"):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MultipleLocator

import numpy as np

from trunkline.convert.opening import Recording
from trunkline.convert.overview import Envelope, Spectrogram, look_through
from trunkline.errors import FormatError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["delays", "plot", "waveform"]

COLUMNS: Final = 1600  # about one for each pixel
CHANNELS_MAX: Final = 8
COLORS: Final = ("#1f6f8b", "#c8553d", "#588157", "#6d597a")
NAMES: Final = {1: ("mono",), 2: ("left", "right")}
TRACKS: Final = {1: ("mono",), 2: ("left: inbound", "right: outbound")}
QUIETEST_DBFS: Final = -90.0
LOUDEST_DBFS: Final = -10.0
MINUTES_FROM_S: Final = 90.0
TICKS_MAX: Final = 13
TIME_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def plot(path: str | os.PathLike[str], path_png: str | os.PathLike[str]) -> None:
    """Draw the waveform and the spectrogram of each channel of a recording into `path_png` (PNG).

    `path`: any audio file, or a capture, which is drawn as it would be recorded. Memory does not grow with
    the recording: in a long one a column is the mean of many windows. FormatError for more than 8 channels,
    and what opening it raises. The global state of pyplot is left alone.
    """
    _draw(path, path_png, NAMES, with_spectrogram=True)


def waveform(path: str | os.PathLike[str], path_png: str | os.PathLike[str]) -> None:
    """Draw the waveforms of a recorded call alone; all else is as `plot` has it."""
    _draw(path, path_png, TRACKS, with_spectrogram=False)


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


def _draw(
    path: str | os.PathLike[str],
    path_png: str | os.PathLike[str],
    names_of: Mapping[int, tuple[str, ...]],
    *,
    with_spectrogram: bool,
) -> None:
    with Recording(path) as recording:
        sample_rate, channels = recording.sample_rate, recording.channels
        if channels > CHANNELS_MAX:
            raise FormatError(f"{recording.name}: {channels} channels: draws up to {CHANNELS_MAX}")
        n_samples = recording.n_samples or 0
        envelope = Envelope(channels, n_samples, COLUMNS)
        spectrogram = Spectrogram(channels, n_samples, COLUMNS, sample_rate) if with_spectrogram else None
        n_samples = look_through(recording, envelope, *([spectrogram] if spectrogram else []))
    if spectrogram:
        spectrogram.finish()
    heights = [1.0, 1.5] if spectrogram else [1.0]
    figure = Figure(figsize=(12, 1 + 2 * sum(heights) * channels), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(
        channels * len(heights), 1, sharex=True, squeeze=False, height_ratios=heights * channels
    )[:, 0]
    names = names_of.get(channels, tuple(f"channel {k + 1}" for k in range(channels)))
    for k, name in enumerate(names):
        _draw_envelope(rows[k * len(heights)], envelope, k, sample_rate, name)
    if spectrogram:
        _draw_levels(figure, list(rows[1::2]), spectrogram, sample_rate)
    _mark_time(rows[-1], n_samples / sample_rate)
    title = f"{_shown(path)}, {sample_rate:,} Hz, {_time(n_samples / sample_rate, n_samples / sample_rate)}"
    figure.suptitle(title, fontsize=11, parse_math=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a file name in a script that the font has not
        figure.savefig(path_png, format="png")


def _draw_envelope(axes: "Axes", envelope: Envelope, channel: int, sample_rate: int, name: str) -> None:
    color = COLORS[channel % len(COLORS)]
    low, high = envelope.low[channel], envelope.high[channel]
    there = high >= low
    seconds = np.arange(len(low))[there] * envelope.column_samples / sample_rate
    axes.fill_between(seconds, low[there], high[there], color=color, linewidth=0.6, edgecolor=color)
    axes.set_title(name, loc="left", fontsize=10, color=color)
    axes.set_ylim(-1, 1)
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_levels(figure: Figure, rows: "list[Axes]", spectrogram: Spectrogram, sample_rate: int) -> None:
    levels = spectrogram.dbfs
    for axes, channel_levels in zip(rows, levels, strict=True):
        axes.set_ylabel("kHz")
        axes.set_ylim(0, sample_rate / 2000)
        if not len(channel_levels):
            continue
        bin_khz = sample_rate / spectrogram.n_window / 1000
        end_s = len(channel_levels) * spectrogram.column_samples / sample_rate
        image = axes.imshow(
            channel_levels.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=QUIETEST_DBFS,
            vmax=LOUDEST_DBFS,
            extent=(0, end_s, -bin_khz / 2, sample_rate / 2000 + bin_khz / 2),
        )
        axes.set_ylim(0, sample_rate / 2000)
    if levels.shape[1]:
        figure.colorbar(image, ax=list(figure.axes), label="dBFS", pad=0.01, aspect=40, extend="both")


def _mark_time(axes: "Axes", duration_s: float) -> None:
    axes.set_xlim(0, max(duration_s, 0.001))
    if duration_s < MINUTES_FROM_S:
        axes.set_xlabel("seconds")
        return
    step_s = next((step for step in TIME_STEPS_S if duration_s / step <= TICKS_MAX), TIME_STEPS_S[-1])
    axes.xaxis.set_major_locator(MultipleLocator(max(step_s, duration_s / TICKS_MAX)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at_s, _: _time(at_s, duration_s)))
    axes.set_xlabel("minutes:seconds" if duration_s < 3600 else "hours:minutes:seconds")


def _time(at_s: float, duration_s: float) -> str:
    """Write a time as it suits a recording of `duration_s`."""
    if duration_s < MINUTES_FROM_S:
        return f"{at_s:.2f} s"
    minutes, seconds = divmod(round(at_s), 60)
    if duration_s < 3600:
        return f"{minutes}:{seconds:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _shown(path: str | os.PathLike[str]) -> str:
    """Give the name of a file, which may hold bytes that are no text."""
    name = os.path.basename(os.fspath(path)).encode(errors="replace").decode()
    return "".join(char if char.isprintable() else "?" for char in name)
