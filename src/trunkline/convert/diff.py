"""How two recordings differ: in length, in time, in level, and by what is left after that."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from trunkline.convert.opening import Recording, Samples
from trunkline.errors import FormatError
from trunkline.formats import SAMPLE_RATE_MAX

__all__ = ["AudioDiff", "ChannelDiff", "FirstDifference", "diff"]

MAX_OFFSET_S: Final = 10.0
BLOCK_SAMPLES: Final = 1 << 16  # per channel
SEARCHED_SAMPLES: Final = 1 << 25  # of all channels; an hour at 8 kHz, and more shows no more
Pair = tuple[Recording, Recording]
#: Where less is correlated than this of what could be, b is something else, and stays where it is.
RESEMBLANCE: Final = 0.1
#: Of an energy: what float64 makes of nothing.
ROUNDING: Final = 1e-13


class ChannelDiff(msgspec.Struct, frozen=True):
    """One channel, where both recordings have something.

    Gain and SNR are those of the gain that leaves the least noise; None where there is no signal in `a`.
    """

    gain_db: float | None  # of b over a
    inverted: bool  # b has the other polarity
    snr_db: float | None  # infinite when nothing but the gain differs
    differing_samples: int  # as they are, without the gain


class FirstDifference(msgspec.Struct, frozen=True):
    """The first sample that is not the same in both: full scale is 1.0."""

    sample: int  # in a, from 0
    time_ms: float
    channel: int  # from 1
    a: float
    b: float


class AudioDiff(msgspec.Struct, frozen=True):
    """What distinguishes `b` from `a`."""

    identical: bool  # the same samples, as many, at the same place; encodings may differ
    encodings: tuple[str, str]
    sample_rate: int
    n_samples: tuple[int, int]  # per channel
    offset_samples: int  # by how much b is later than a
    offset_ms: float
    compared_samples: int  # per channel, where both have something
    differing_samples: int  # of all channels
    gain_db: float | None
    snr_db: float | None  # of all channels, each with its own gain
    channels: tuple[ChannelDiff, ...]
    first: FirstDifference | None


def diff(a: str | os.PathLike[str], b: str | os.PathLike[str], *, max_offset_s: float = 2.0) -> AudioDiff:
    """Compare two recordings of the same sample rate and channels; memory does not grow with them.

    When they are not the same as they stand, `b` is moved by a whole number of samples, at most
    `max_offset_s` (0 to 10 s) either way, to where the two correlate best in their first hour (of mono at
    8 kHz). Captures are compared as they would be recorded. Raises FormatError for other rates and channels,
    and what `trunkline.convert.info.info` raises.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from trunkline import wav
    >>> from trunkline.convert.diff import diff
    >>> from trunkline.testing import speech_like
    >>> with TemporaryDirectory() as folder:
    ...     a, b, pcm = Path(folder, "a.wav"), Path(folder, "b.wav"), speech_like(2)
    ...     wav.write(a, pcm, 8000)
    ...     wav.write(b, bytes(2 * 80) + pcm, 8000, encoding="ulaw")
    ...     found = diff(a, b)
    >>> found.identical, found.offset_ms, 30 < found.snr_db < 40
    (False, 10.0, True)
    """
    if not 0 <= max_offset_s <= MAX_OFFSET_S:
        raise FormatError(f"an offset of up to {max_offset_s} s: takes 0 to {MAX_OFFSET_S:g}")
    with _opened(a, b) as (of_a, of_b):
        encodings, sample_rate = (of_a.encoding, of_b.encoding), of_a.sample_rate
        compared = _Comparison(of_a, of_b, 0)
    if not compared.alike and max_offset_s:
        with _opened(a, b) as (of_a, of_b):
            offset = _best_offset(of_a, of_b, int(max_offset_s * min(sample_rate, SAMPLE_RATE_MAX)))
        if offset:
            with _opened(a, b) as (of_a, of_b):
                compared = _Comparison(of_a, of_b, offset)
    return compared.result(encodings, sample_rate)


@contextmanager
def _opened(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> Iterator[Pair]:
    with Recording(a) as of_a, Recording(b) as of_b:
        names = of_a.name, of_b.name
        rates = of_a.sample_rate, of_b.sample_rate
        if rates[0] != rates[1]:
            raise FormatError(
                f"{names[0]} has {rates[0]} Hz, {names[1]} {rates[1]} Hz: "
                f"make them alike with trunkline convert --rate {rates[0]}"
            )
        channels = of_a.channels, of_b.channels
        if channels[0] != channels[1]:
            raise FormatError(
                f"{names[0]} has {channels[0]} channels, {names[1]} {channels[1]}: "
                "make them alike with trunkline convert --mix or --channels"
            )
        yield of_a, of_b


class _Comparison:
    """Two readers read to their ends, the second from `offset` samples later on.

    What is summed is b - a rather than b, so that next to nothing keeps its digits beside the signal.
    """

    def __init__(self, a: Recording, b: Recording, offset: int) -> None:
        self.offset = offset
        self.compared = 0
        self.first: FirstDifference | None = None
        self._energy, self._gained, self._differing_energy = np.zeros((3, a.channels))
        self._differing = np.zeros(a.channels, np.int64)
        counts = [_skip(a, max(0, -offset)), _skip(b, max(0, offset))]
        while True:
            block_a, block_b = a.read(BLOCK_SAMPLES), b.read(BLOCK_SAMPLES)
            counts = [n + block.shape[1] for n, block in zip(counts, (block_a, block_b), strict=True)]
            n_samples = min(block_a.shape[1], block_b.shape[1])
            if not n_samples:
                break
            self._add(block_a[:, :n_samples], block_b[:, :n_samples], a.sample_rate)
        self.n_samples = counts[0] + _skip(a), counts[1] + _skip(b)

    def _add(self, a: Samples, b: Samples, sample_rate: int) -> None:
        difference = b - a
        differing = difference != 0
        if self.first is None and differing.any():
            at = int(differing.any(axis=0).argmax())
            channel = int(differing[:, at].argmax())
            sample = max(0, -self.offset) + self.compared + at
            self.first = FirstDifference(
                sample, sample * 1000 / sample_rate, channel + 1, float(a[channel, at]), float(b[channel, at])
            )
        self._energy += _dots(a, a)
        self._gained += _dots(difference, a)
        self._differing_energy += _dots(difference, difference)
        self._differing += differing.sum(axis=1)
        self.compared += a.shape[1]

    @property
    def alike(self) -> bool:
        """Whether nothing differs, neither the samples nor where they end."""
        return not self.offset and self.first is None and self.n_samples[0] == self.n_samples[1]

    def result(self, encodings: tuple[str, str], sample_rate: int) -> AudioDiff:
        """Put it all together."""
        has_signal = self._energy > 0
        change = np.divide(self._gained, self._energy, out=np.zeros_like(self._energy), where=has_signal)
        noise = self._differing_energy - change * self._gained
        noise[noise <= ROUNDING * self._differing_energy] = 0.0
        signal = (1 + change) ** 2 * self._energy
        signal[signal <= ROUNDING * self._energy] = 0.0
        channels = tuple(
            ChannelDiff(
                gain_db=_db((1 + change[k]) ** 2) if has_signal[k] else None,
                inverted=bool(change[k] < -1),
                snr_db=_ratio_db(signal[k], noise[k]) if has_signal[k] else None,
                differing_samples=int(self._differing[k]),
            )
            for k in range(len(noise))
        )
        total = self._energy.sum()
        return AudioDiff(
            identical=self.alike,
            encodings=encodings,
            sample_rate=sample_rate,
            n_samples=self.n_samples,
            offset_samples=self.offset,
            offset_ms=self.offset * 1000 / sample_rate,
            compared_samples=self.compared,
            differing_samples=int(self._differing.sum()),
            gain_db=_db((1 + self._gained.sum() / total) ** 2) if total else None,
            snr_db=_ratio_db(signal.sum(), noise.sum()) if total else None,
            channels=channels,
            first=self.first,
        )


def _best_offset(a: Recording, b: Recording, offset_max: int) -> int:
    """Find by how many samples b is later: correlate blocks of a with all that may be theirs in b.

    Their spectra are summed, so that one inverse transform gives the correlation of the whole. 0 when
    nothing in b resembles a.
    """
    n_fft = max(1 << 16, 1 << (4 * offset_max).bit_length())
    n_block = n_fft - 2 * offset_max
    spectrum: npt.NDArray[np.complex128] = np.zeros(n_fft // 2 + 1, np.complex128)
    energies = np.zeros(2)
    around = np.zeros((b.channels, n_fft))  # b from offset_max before the block to offset_max behind it
    _read_into(around[:, n_fft - offset_max :], b)
    for _ in range(max(1, SEARCHED_SAMPLES // (n_block * a.channels))):
        block = np.zeros((a.channels, n_block))
        around[:, : 2 * offset_max] = around[:, n_block:]
        if not _read_into(block, a):
            break
        _read_into(around[:, 2 * offset_max :], b)
        spectrum += (np.fft.rfft(block, n_fft).conj() * np.fft.rfft(around)).sum(axis=0)
        energies += _dots(block, block).sum(), _dots(around, around).sum()
    correlation = np.abs(np.fft.irfft(spectrum, n_fft)[: 2 * offset_max + 1])
    highest = correlation.max()
    if highest <= RESEMBLANCE * math.sqrt(energies[0] * energies[1]):
        return 0
    candidates: list[int] = (np.flatnonzero(correlation >= highest * (1 - 1e-9)) - offset_max).tolist()
    return min(candidates, key=abs)  # a tone has many


def _read_into(out: Samples, recording: Recording) -> int:
    """Fill `out` with samples, and with zeros behind the last one."""
    samples = recording.read(out.shape[1])
    n_samples: int = samples.shape[1]
    out[:, :n_samples] = samples
    out[:, n_samples:] = 0
    return n_samples


def _skip(recording: Recording, n_samples: float = math.inf) -> int:
    """Read and drop up to `n_samples` per channel; return how many there were."""
    n_skipped = 0
    while n_skipped < n_samples:
        n_read = recording.read(int(min(BLOCK_SAMPLES, n_samples - n_skipped))).shape[1]
        if not n_read:
            break
        n_skipped += n_read
    return n_skipped


def _dots(a: Samples, b: Samples) -> Samples:
    products: Samples = np.einsum("ij,ij->i", a, b)
    return products


def _db(power: float) -> float:
    return 10 * math.log10(power) if power > 0 else -math.inf


def _ratio_db(signal: float, noise: float) -> float:
    if signal <= 0:
        return -math.inf
    return _db(signal / noise) if noise > 0 else math.inf
