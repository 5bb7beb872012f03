"""How lost packets sound: PESQ and log-spectral distance of concealment beside what is done without it.

`python benchmarks/plc_quality.py` prints the table for synthetic talkers; a directory of spoken WAV files as its
argument (Debian's alsa-utils has some in /usr/share/sounds/alsa) adds them. Packets of 20 ms are lost at random,
or in bursts (Gilbert's model: 30 ms more on average follow a first loss).
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pesq import pesq

from trunkline import wav
from trunkline._native.plc import Plc
from trunkline.resample import resample
from trunkline.testing import speech_like

PACKETS_A_SECOND = 50
SEEDS = range(4)
SECONDS = 8.0
BURST_PACKETS = 2.5
NOISE_RMS = 20.0  # about -64 dBFS: a quiet room

Pcm = npt.NDArray[np.int16]
Lost = npt.NDArray[np.bool_]


def random_loss(rng: np.random.Generator, n_packets: int, share: float) -> Lost:
    return rng.random(n_packets) < share


def bursty_loss(rng: np.random.Generator, n_packets: int, share: float) -> Lost:
    """Lose packets as Gilbert's chain of two states does."""
    leave = 1 / BURST_PACKETS
    enter = leave * share / (1 - share)
    lost, state = np.zeros(n_packets, bool), False
    for k, draw in enumerate(rng.random(n_packets)):
        state = draw >= leave if state else draw < enter
        lost[k] = state
    return lost


def silence(pcm: Pcm, rate_hz: int, lost: Lost) -> Pcm:
    step = rate_hz // PACKETS_A_SECOND
    return np.where(np.repeat(lost, step), 0, pcm).astype(np.int16)


def repetition(pcm: Pcm, rate_hz: int, lost: Lost) -> Pcm:
    packets = pcm.reshape(len(lost), -1).copy()
    for k in np.flatnonzero(lost):
        packets[k] = packets[k - 1] if k else 0
    return packets.reshape(-1)


def concealed(pcm: Pcm, rate_hz: int, lost: Lost) -> Pcm:
    plc, packets = Plc(rate_hz), pcm.reshape(len(lost), -1)
    n_samples = packets.shape[1]
    out = [plc.conceal(n_samples) if gone else plc.play(packets[k]) for k, gone in enumerate(lost)]
    return np.frombuffer(b"".join(out), np.int16)


WAYS: dict[str, Callable[[Pcm, int, Lost], Pcm]] = {
    "silence": silence,
    "repetition": repetition,
    "trunkline": concealed,
}
LOSSES = {"3 % random": (random_loss, 0.03), "10 % in bursts": (bursty_loss, 0.10)}


def log_spectral_distance(clean: Pcm, other: Pcm, rate_hz: int) -> float:
    """Give the mean over frames of 32 ms of the rms difference of the spectra in dB, down to -70 dBFS."""
    size = rate_hz * 32 // 1000
    spectra = []
    for pcm in (clean, other):
        frames = np.lib.stride_tricks.sliding_window_view(pcm / 32768, size)[:: size // 2] * np.hanning(size)
        spectra.append(20 * np.log10(np.abs(np.fft.rfft(frames)) / (size / 4) + 10 ** (-70 / 20)))
    return float(np.sqrt(((spectra[0] - spectra[1]) ** 2).mean(axis=1)).mean())


def mos(clean: Pcm, other: Pcm, rate_hz: int) -> float:
    return float(pesq(rate_hz, clean, other, "nb" if rate_hz == 8000 else "wb"))


def whole_packets(pcm: Pcm, rate_hz: int) -> Pcm:
    step = rate_hz // PACKETS_A_SECOND
    return pcm[: len(pcm) // step * step]


def talkers(rate_hz: int) -> Iterator[Pcm]:
    for seed in SEEDS:
        pcm = np.frombuffer(speech_like(SECONDS, rate_hz, seed), np.int16)
        room = np.random.default_rng(seed).normal(0, NOISE_RMS, len(pcm))
        yield whole_packets(np.clip(np.rint(pcm + room), -32768, 32767).astype(np.int16), rate_hz)


def recordings(directory: Path, rate_hz: int) -> Iterator[Pcm]:
    """Join the spoken files, with the pauses they have."""
    parts = []
    for path in sorted(directory.glob("*.wav")):
        if path.stem != "Noise":
            spoken = wav.read(path)
            parts.append(resample(spoken.pcm, spoken.sample_rate, rate_hz, channels=spoken.channels))
    yield whole_packets(np.frombuffer(b"".join(parts), np.int16), rate_hz)


def judge(signals: list[Pcm], rate_hz: int, loss: str) -> dict[str, tuple[float, float]]:
    """Give every way's PESQ and log-spectral distance, the mean over the signals and four losses of each."""
    lose, share = LOSSES[loss]
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for k, pcm in enumerate(signals):
        for seed in range(4 if len(signals) == 1 else 1):
            lost = lose(np.random.default_rng(100 * k + seed), len(pcm) * PACKETS_A_SECOND // rate_hz, share)
            for name, way in WAYS.items():
                heard = way(pcm, rate_hz, lost)
                figures[name].append((mos(pcm, heard, rate_hz), log_spectral_distance(pcm, heard, rate_hz)))
    return {name: tuple(np.mean(pairs, axis=0)) for name, pairs in figures.items()}


def main() -> None:
    sources: dict[str, Callable[[int], Iterator[Pcm]]] = {"synthetic": talkers}
    if len(sys.argv) > 1:
        sources["spoken"] = lambda rate_hz: recordings(Path(sys.argv[1]), rate_hz)
    print(f"{'PESQ (log-spectral distance, dB)':<40}" + "".join(f"{name:>16}" for name in WAYS))
    for source, signals_of in sources.items():
        for rate_hz in (8000, 16000):
            signals = list(signals_of(rate_hz))
            for loss in LOSSES:
                figures = judge(signals, rate_hz, loss)
                cells = "".join(f"{f'{figures[name][0]:.2f} ({figures[name][1]:.1f})':>16}" for name in WAYS)
                print(f"{f'{source}, {rate_hz // 1000} kHz, {loss}':<40}" + cells)


if __name__ == "__main__":
    main()
