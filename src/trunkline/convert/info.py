"""What a recording is: its format, how long and how loud it is, what is wrong with it."""

import math
import os
from typing import Final

import msgspec
import numpy as np

from trunkline.audio_files import AudioReader
from trunkline.convert.capture_info import CaptureInfo, capture_info
from trunkline.convert.opening import Recording, Samples, Source, kind_of
from trunkline.convert.readers import not_finite
from trunkline.errors import PayloadError
from trunkline.opus import OpusReader
from trunkline.wav import WavReader, repair

__all__ = ["AudioInfo", "ChannelInfo", "info"]

#: The loudest code of an encoding; the others go to full scale, or past it.
LOUDEST: Final = {"ulaw": 32124 / 32768, "alaw": 32256 / 32768, "pcm8": 127 / 128, "pcm16": 32767 / 32768}
#: The texts that a bext chunk begins with, and their bytes (EBU Tech 3285).
BEXT_TEXTS: Final = (
    *(("description", 256), ("originator", 32), ("reference", 32), ("date", 10), ("time", 8)),
)
SILENCE: Final = 10 ** (-60 / 20)
WINDOWS_PER_S: Final = 50
BLOCK_SAMPLES: Final = 1 << 14  # of all channels; of a broken file one block is lost


class ChannelInfo(msgspec.Struct, frozen=True):
    """One channel: -inf dBFS is digital silence."""

    peak_dbfs: float  # of the loudest sample; above 0 where a file of floats goes past full scale
    level_dbfs: float  # of the root of the mean square, a full-scale sine being 0
    clipped_samples: int  # as loud as the encoding goes, or louder
    silence: float  # share of the 20 ms in which no sample exceeds -60 dBFS, 0 to 1


class AudioInfo(msgspec.Struct, frozen=True):
    """An audio file, read to its end."""

    format: str  # as trunkline.audio_files.sniff names it; "other" for what it does not know
    encoding: str
    sample_rate: int
    n_samples: int  # per channel, that could be read
    duration_ms: float
    channels: tuple[ChannelInfo, ...]
    tags: dict[str, str]
    damage: tuple[str, ...]  # a sentence each


def info(file: Source) -> AudioInfo | CaptureInfo:
    """Read a recording to its end and say what it is; memory does not grow with it.

    `file`: a path, or a binary file that is read from where it stands, pipes too (WAV and Opus). A capture,
    which needs a path, gives a CaptureInfo. Raises FormatError, LibraryMissingError and OSError for what
    cannot be read at all; what is only damaged says so in `damage`.

    >>> import io
    >>> from trunkline import wav
    >>> from trunkline.convert.info import info
    >>> from trunkline.testing import tone
    >>> file = io.BytesIO()
    >>> wav.write(file, tone(1, level_dbfs=-6.02), 8000, encoding="alaw")
    >>> about = info(io.BytesIO(file.getvalue()))
    >>> about.encoding, about.duration_ms, f"{about.channels[0].level_dbfs:.1f}", about.damage
    ('alaw', 1000.0, '-6.0', ())
    """
    if isinstance(file, str | os.PathLike) and kind_of(file) == "capture":
        return capture_info(file)
    damage: list[str] = []
    with Recording(file, damage.append) as recording:
        meter, n_claimed = _Meter(recording), recording.n_samples
        try:
            while (block := recording.read(meter.block_samples)).size:
                meter.add(block)
        except PayloadError as error:
            damage.append(f"it breaks off: {str(error).removeprefix(f'{recording.name}: ')}")
        if n_claimed is not None and not damage and meter.n_samples < n_claimed:
            damage.append(f"truncated: {meter.n_samples} of {n_claimed} samples are there")
        if not (meter.n_samples or isinstance(recording.reader, WavReader | OpusReader)):
            damage.append("no audio is there")  # libsndfile opens headers that are hardly begun
        if recording.not_finite:
            damage.append(not_finite(recording.not_finite))
        if not damage and isinstance(recording.reader, WavReader) and isinstance(file, str | os.PathLike):
            damage += _wrong_sizes(file)
        return AudioInfo(
            format=recording.kind or "other",
            encoding=recording.encoding,
            sample_rate=recording.sample_rate,
            n_samples=meter.n_samples,
            duration_ms=meter.n_samples * 1000 / recording.sample_rate,
            channels=meter.channels(),
            tags=_tags(recording.reader),
            damage=tuple(damage),
        )


class _Meter:
    """Measures blocks of samples, as long as it says, as they come."""

    def __init__(self, recording: Recording) -> None:
        self.n_samples = 0
        # No more than a block, where a header claims a rate of gigahertz.
        self._window_samples = min(max(1, recording.sample_rate // WINDOWS_PER_S), BLOCK_SAMPLES)
        windows = max(1, BLOCK_SAMPLES // recording.channels // self._window_samples)
        self.block_samples = windows * self._window_samples
        self._loudest = LOUDEST.get(recording.encoding, 1.0)
        self._peak, self._energy = np.zeros(recording.channels), np.zeros(recording.channels)
        self._clipped, self._silent = (np.zeros(recording.channels, np.int64) for _ in range(2))
        self._windows = 0

    def add(self, block: Samples) -> None:
        n_channels, n_samples = block.shape
        loud = np.abs(block)
        self._peak = np.maximum(self._peak, loud.max(axis=1))
        self._energy += np.einsum("ij,ij->i", block, block)
        self._clipped += (loud >= self._loudest).sum(axis=1)
        loud = np.pad(loud, ((0, 0), (0, -n_samples % self._window_samples)))  # only the last block is odd
        windows = loud.reshape(n_channels, -1, self._window_samples).max(axis=2)
        self._silent += (windows <= SILENCE).sum(axis=1)
        self._windows += windows.shape[1]
        self.n_samples += n_samples

    def channels(self) -> tuple[ChannelInfo, ...]:
        n_samples, n_windows = max(1, self.n_samples), max(1, self._windows)
        return tuple(
            ChannelInfo(
                peak_dbfs=_db(float(peak)),
                level_dbfs=_db(math.sqrt(2 * float(energy) / n_samples)),
                clipped_samples=int(clipped),
                silence=int(silent) / n_windows,
            )
            for peak, energy, clipped, silent in zip(
                self._peak, self._energy, self._clipped, self._silent, strict=True
            )
        )


def _db(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def _tags(reader: AudioReader) -> dict[str, str]:
    """Give what a file says about itself: tags of Opus, LIST/INFO and bext of WAV."""
    if isinstance(reader, OpusReader):
        return dict(reader.tags)
    if not isinstance(reader, WavReader):
        return {}
    tags, at = dict(reader.metadata.info), 0
    for name, n_bytes in BEXT_TEXTS:
        text = reader.metadata.bext[at : at + n_bytes].partition(b"\0")[0].decode("latin-1").strip()
        tags |= {f"bext {name}": text} if text else {}
        at += n_bytes
    return tags


def _wrong_sizes(path: str | os.PathLike[str]) -> list[str]:
    """Say which sizes of a WAV header do not fit the file, although they hide no samples."""
    changes = repair(path, dry_run=True).changes
    return [f"the header has {name} {was}: {right} is right" for name, (was, right) in changes.items()]
