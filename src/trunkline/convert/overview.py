"""A recording of any length in so many columns: its envelope and its spectrum."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from trunkline.convert.opening import Recording, Samples

__all__ = ["Envelope", "Spectrogram", "look_through"]

BLOCK_SAMPLES: Final = 1 << 16
WINDOW_S: Final = 0.03  # at most; a pitch period of a low voice is 0.01 s
WINDOW_SAMPLES_MAX: Final = 4096  # enough for 192 kHz; a header may claim gigahertz
FLOOR: Final = 1e-20  # -200 dBFS


class Envelope:
    """The lowest and the highest sample of each column and channel; full scale is 1.0."""

    def __init__(self, channels: int, n_samples: int, columns: int) -> None:
        self.column_samples = max(1, math.ceil(n_samples / columns))
        n_columns = math.ceil(n_samples / self.column_samples)
        self.low, self.high = np.full((channels, n_columns), np.inf), np.full((channels, n_columns), -np.inf)
        self._at = 0

    def add(self, block: Samples) -> None:
        """Take the next samples, a row for each channel."""
        block = block[:, : self.low.shape[1] * self.column_samples - self._at]
        if not block.shape[1]:
            return
        at = np.arange(self._at, self._at + block.shape[1]) // self.column_samples
        self._at += block.shape[1]
        columns, starts = np.unique(at, return_index=True)
        low, high = (extreme.reduceat(block, starts, axis=1) for extreme in (np.minimum, np.maximum))
        self.low[:, columns] = np.minimum(self.low[:, columns], low)
        self.high[:, columns] = np.maximum(self.high[:, columns], high)


class Spectrogram:
    """The mean power of each column, channel and frequency, from Hann windows of up to 30 ms.

    Windows overlap by a half; where the recording is short, by as much as gives every column its own. They
    are centred: what a window lacks at the beginning and the end is silence. A full-scale sine has 0 dB.
    """

    def __init__(self, channels: int, n_samples: int, columns: int, sample_rate: int) -> None:
        self.n_window = min(1 << max(4, int(sample_rate * WINDOW_S).bit_length() - 1), WINDOW_SAMPLES_MAX)
        self.hop_samples = self.n_window // 2
        while n_samples // self.hop_samples < columns // 2 and self.hop_samples > self.n_window // 16:
            self.hop_samples //= 2
        self._left = math.ceil(n_samples / self.hop_samples)
        self._pooled = max(1, math.ceil(self._left / columns))
        self.column_samples = self._pooled * self.hop_samples
        n_columns = math.ceil(self._left / self._pooled)
        self._power = np.zeros((channels, n_columns, self.n_window // 2 + 1), np.float32)
        self._n_windows = np.zeros(n_columns)
        self._window = np.hanning(self.n_window + 1)[:-1]
        self._scale = (2 / self._window.sum()) ** 2
        self._pending = np.zeros((channels, (self.n_window - self.hop_samples) // 2))
        self._seen = 0

    def add(self, block: Samples) -> None:
        """Take the next samples, a row for each channel."""
        if not self._left:  # more than the file said
            return
        self._pending = np.concatenate([self._pending, block], axis=1)
        if self._pending.shape[1] < self.n_window:
            return
        windows = np.lib.stride_tricks.sliding_window_view(self._pending, self.n_window, axis=1)
        windows = windows[:, :: self.hop_samples][:, : self._left]
        n_windows = windows.shape[1]
        power = np.abs(np.fft.rfft(windows * self._window)) ** 2 * self._scale
        at = np.arange(self._seen, self._seen + n_windows) // self._pooled
        columns, starts, counts = np.unique(at, return_index=True, return_counts=True)
        self._power[:, columns] += np.add.reduceat(power, starts, axis=1)
        self._n_windows[columns] += counts
        self._seen += n_windows
        self._left -= n_windows
        self._pending = self._pending[:, n_windows * self.hop_samples :]

    def finish(self) -> None:
        """Take what is still pending, with silence behind it."""
        self.add(np.zeros((self._pending.shape[0], self.n_window)))

    @property
    def dbfs(self) -> npt.NDArray[np.float32]:
        """The levels, of channels, columns, frequencies from 0 to half the sample rate."""
        mean = self._power / np.maximum(self._n_windows, 1)[:, np.newaxis]
        return (10 * np.log10(np.maximum(mean, FLOOR))).astype(np.float32)


def look_through(recording: Recording, *parts: Envelope | Spectrogram) -> int:
    """Read to the end and give every part all blocks; return how many samples per channel there were."""
    n_samples = 0
    while (block := recording.read(BLOCK_SAMPLES)).shape[1]:
        for part in parts:
            part.add(block)
        n_samples += block.shape[1]
    return n_samples
