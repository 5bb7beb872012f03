"""Draw docs/images/resample_*.png and print the tables beside them, all from real runs in s16.

`python benchmarks/resample_figures.py` (it takes every peer) sends swept tones and a steady stream of 20 ms
packets through each resampler. What is measured is what an application gets: whole streams, s16 to s16.
"""

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from peers import print_head, print_row
from PIL import Image
from resample_streams import MISSING, OURS, PACKETS_A_SECOND, STREAMS, Stream

from trunkline.testing import tone

IMAGES = Path(__file__).parents[1] / "docs" / "images"
DRAWN = ["ratecv", "speexdsp 5", "soxr HQ", "soxr VHQ", "samplerate medium", "PyAV"]
# Okabe and Ito's colours, which the colour-blind tell apart.
OUR_COLOR, PEER_COLOR, PALE = "#0072B2", "#D55E00", "#B9D3E6"

TONE_S = 0.8
MEASURED_S = 0.4  # the end of it, where every filter has settled
LEVEL_DBFS = -1.0
FLOOR_DB = -130.0
N_HZ = 4000  # Nyquist frequency of 8 kHz, the lower rate of both pairs below
SPEECH_HZ = 3400  # 0.85 N
MIRROR_HZ = 2 * N_HZ - SPEECH_HZ  # what folds onto it
# No round numbers: a tone whose period is a few samples bundles its rounding noise into a few lines.
PASSED_HZ = np.concatenate([np.linspace(19.7, 3399.7, 70), np.linspace(3409.7, 3979.7, 58)])
FOLDED_HZ = np.concatenate([np.linspace(4020.3, 4590.3, 58), np.linspace(4600.3, 11980.3, 150)])
#: Edges that the qualities promise at 8 kHz; "high" from just above N, as a tone at N is its own alias.
PROMISED_HZ = {
    "trunkline voice": (3400, 4600),
    "trunkline high": (3640, 4020),
    "trunkline fast": (3120, 4600),
}
PUSHES = 60

Signal = npt.NDArray[np.float64]


def packets_of(pcm: bytes, rate_hz: int) -> list[bytes]:
    step = 2 * (rate_hz // PACKETS_A_SECOND)
    return [pcm[i : i + step] for i in range(0, len(pcm), step)]


def output(stream: Stream, in_rate: int, out_rate: int, pcm: bytes) -> tuple[Signal, list[int]]:
    """Give all samples, full scale 1.0, and how many came after each packet."""
    parts, counts = [], []
    for buffer, n_samples in stream(in_rate, out_rate, packets_of(pcm, in_rate)):
        parts.append(np.frombuffer(buffer, np.int16, n_samples) / 32768)
        counts.append(n_samples)
    return np.concatenate(parts), counts


def component(samples: Signal, rate_hz: int, frequency_hz: float) -> complex:
    """Measure the phasor at a frequency, referred to the first sample and to the level of our tones."""
    n_samples = round(MEASURED_S * rate_hz)
    window = np.kaiser(n_samples, 20)  # side lobes below the noise of s16
    at = np.arange(len(samples) - n_samples, len(samples))
    turned = samples[-n_samples:] * np.exp(-2j * np.pi * frequency_hz / rate_hz * at)
    return complex(2 * (window @ turned) / window.sum() / 10 ** (LEVEL_DBFS / 20))


def gains_db(stream: Stream, in_rate: int, out_rate: int, tones_hz: Signal, seen_hz: Signal) -> Signal:
    """Sweep tones and measure what each leaves at the frequency where it is seen."""
    gains = []
    for tone_hz, at_hz in zip(tones_hz, seen_hz, strict=True):
        samples, _ = output(stream, in_rate, out_rate, tone(TONE_S, tone_hz, in_rate, LEVEL_DBFS))
        gains.append(abs(component(samples, out_rate, at_hz)))
    return 20 * np.log10(np.maximum(gains, 1e-9))


def shift_ms(stream: Stream, in_rate: int, out_rate: int) -> float:
    """Measure the group delay at 1 kHz: how much later than it came in a sound lies in the output."""
    phases = [
        np.angle(component(output(stream, in_rate, out_rate, tone(TONE_S, hz, in_rate))[0], out_rate, hz))
        for hz in (1000.0, 1010.0)
    ]
    turn = (phases[0] - phases[1] + np.pi) % (2 * np.pi) - np.pi
    return float(turn / (2 * np.pi * 10) * 1000)


def held_back_ms(stream: Stream, in_rate: int, out_rate: int) -> tuple[Signal, float]:
    """Count after every push the samples that are due and were not given; and the share of empty pushes."""
    _, counts = output(stream, in_rate, out_rate, tone(PUSHES / PACKETS_A_SECOND, 440, in_rate))
    due = np.arange(1, PUSHES + 1) * (out_rate / PACKETS_A_SECOND)
    return (due - np.cumsum(counts)) / out_rate * 1000, counts.count(0) / PUSHES


def small_multiples(title: str, y_label: str, x_label: str) -> tuple[Figure, dict[str, Any]]:
    """Lay out a panel for each of our qualities in the first column, the peers' beside them."""
    figure = Figure(figsize=(11, 7), dpi=90, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    figure.supxlabel(x_label, fontsize=10)
    figure.supylabel(y_label, fontsize=10)
    grid = figure.subplots(3, 3, sharex=True, sharey=True)
    panels = dict(zip([*OURS, *DRAWN], itertools.chain(grid[:, 0], grid[:, 1:].flat), strict=True))
    for name, axes in panels.items():
        axes.set_title(name, loc="left", fontsize=11, color=color_of(name), fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
    return figure, panels


def color_of(name: str) -> str:
    return OUR_COLOR if name in OURS else PEER_COLOR


def note(axes: Any, text: str) -> None:
    axes.annotate(text, (0.98, 0.91), xycoords="axes fraction", ha="right", fontsize=9)


def draw_sweep(file: str, title: str, x_label: str, hz: Signal, gains: dict[str, Signal], worst: str) -> None:
    """Draw gain over frequency, the edge of the speech band enlarged; pale behind a peer's: voice's."""
    figure, panels = small_multiples(title, "gain in dB", x_label)
    for name, axes in panels.items():
        width = 0.7 * SPEECH_HZ / hz[-1]  # under the passband, where no curve runs
        edge = axes.inset_axes((0.085, 0.14, width, 0.58), xlim=(3, 4), ylim=(-3, 0.3))
        edge.set_xticks([3, 4])
        edge.set_yticks([0, -1, -2, -3])
        edge.tick_params(labelsize=8)
        for curve, color in (("trunkline voice", PALE), (name, color_of(name))):
            axes.plot(hz / 1000, gains[curve], color=color, linewidth=1.2)
            edge.plot(hz / 1000, gains[curve], color=color, linewidth=1.2)
        axes.axvspan(SPEECH_HZ / 1000, MIRROR_HZ / 1000, color="#000000", alpha=0.06, linewidth=0)
        axes.set_xlim(0, hz[-1] / 1000)
        axes.set_ylim(FLOOR_DB, 20)
        note(axes, f"{worst} {gains[name][hz >= MIRROR_HZ].max():z.0f} dB")
    save(figure, file)


def draw_lag(held: dict[str, Signal], shifts: dict[str, float]) -> None:
    """Draw how far the newest sample in hand lies behind the newest one pushed."""
    figure, panels = small_multiples(
        "24 to 8 kHz in 20 ms pushes: how far the audio in hand lies behind the audio pushed",
        "ms (pale: constant shift of the sound, dark: held back)",
        "push",
    )
    push = np.arange(1, PUSHES + 1)
    for name, axes in panels.items():
        color, lag = color_of(name), shifts[name] + held[name]
        axes.bar(push, shifts[name], width=1, color=color, alpha=0.4)
        axes.bar(push, held[name], bottom=shifts[name], width=1, color=color)
        axes.set_xlim(0.5, PUSHES + 0.5)
        axes.set_ylim(0, 190)
        note(axes, f"mean {lag.mean():z.1f} ms, most {lag.max():z.1f} ms")
    save(figure, "resample_lag")


def save(figure: Figure, name: str) -> None:
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib's own types end here
    canvas.draw()
    IMAGES.mkdir(exist_ok=True)
    # 64 colours are plenty for lines on white, at a third of the size.
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(64)
    picture.save(IMAGES / f"{name}.png", optimize=True)


def sweep() -> None:
    """Draw and tabulate what swept tones leave: 24 to 8 kHz, and 8 to 16 kHz with its images."""
    down_hz = np.concatenate([PASSED_HZ, FOLDED_HZ])
    folded_to_hz = np.abs(down_hz - 2 * N_HZ * np.rint(down_hz / (2 * N_HZ)))
    up_hz = np.concatenate([PASSED_HZ, 2 * N_HZ - PASSED_HZ[::-1]])
    up_from_hz = np.minimum(up_hz, 2 * N_HZ - up_hz)
    down = {name: gains_db(stream, 24000, 8000, down_hz, folded_to_hz) for name, stream in STREAMS.items()}
    up = {name: gains_db(stream, 8000, 16000, up_from_hz, up_hz) for name, stream in STREAMS.items()}
    draw_sweep("resample_alias", "24 to 8 kHz, swept tones", "kHz of the input", down_hz, down, "worst alias")
    draw_sweep("resample_image", "8 to 16 kHz, swept tones", "kHz of the output", up_hz, up, "worst image")

    print_head("off by, 24 to 8 kHz, dB", "off by, 8 to 16 kHz, dB", "aliases, dB", "images, dB")
    for name in STREAMS:
        offs = [np.abs(gains[name][hz <= SPEECH_HZ]).max() for gains, hz in ((down, down_hz), (up, up_hz))]
        worst = [gains[name][hz >= MIRROR_HZ].max() for gains, hz in ((down, down_hz), (up, up_hz))]
        print_row(name, *(f"{off:.3f}" for off in offs), *(f"{gain:z.0f}" for gain in worst))
    print()
    print_head("passband to, Hz", "off by, dB", "stopband from, Hz", "at most, dB")
    for name, (passed_hz, stopped_hz) in PROMISED_HZ.items():
        off = np.abs(down[name][down_hz <= passed_hz]).max()
        print_row(name, passed_hz, f"{off:.4f}", stopped_hz, f"{down[name][down_hz >= stopped_hz].max():.1f}")


def lag() -> None:
    """Draw and tabulate how late the samples come."""
    held, shifts = {}, {}
    print_head("shift, ms", "held back 24 to 8 kHz, ms", "empty", "held back 8 to 16 kHz, ms", "empty")
    for name, stream in STREAMS.items():
        shifts[name] = shift_ms(stream, 24000, 8000)
        held[name], empty = held_back_ms(stream, 24000, 8000)
        up, up_empty = held_back_ms(stream, 8000, 16000)
        cells = [f"{ms.mean():.1f} / {ms.max():.1f}" for ms in (held[name], up)]
        print_row(name, f"{shifts[name]:z.2f}", cells[0], f"{empty:.0%}", cells[1], f"{up_empty:.0%}")
    draw_lag(held, shifts)


def main() -> None:
    if MISSING:
        sys.exit(f"the figures need every peer, and these are not installed: {', '.join(MISSING)}")
    sweep()
    print()
    lag()


if __name__ == "__main__":
    main()
