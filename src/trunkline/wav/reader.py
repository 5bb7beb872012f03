"""Reading WAV files: samples of any encoding as s16 or float32, from files and pipes."""

import os
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import BinaryIO, Self

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.wav.layout import Layout, Source, read_layout
from trunkline.wav.samples import decode_f32, decode_s16

__all__ = ["WavReader", "WavWarning"]


class WavWarning(UserWarning):
    """A WAV file is damaged, and what there is of it is given: truncated, or a recording not closed."""


class WavReader(Exclusive):
    """Read a WAV file from its first sample to its last.

    Reads RIFF and RF64; PCM of 8, 16, 24 and 32 bits, float of 32 and 64 bits, mu-law and A-law, each
    plain or EXTENSIBLE; chunks in any order; pipes, if fmt comes before data.

    Parameters: `file`, a path, or a binary file, which is read from where it stands and stays open;
    `on_damage`, called with a sentence when there is less audio than the header claims, or when the header
    does not know how much there is: by default that is a WavWarning. Raises FormatError when it is no WAV
    file of these, OSError when it cannot be read. Memory follows what is read, never what a header claims.

    >>> import io
    >>> from trunkline import wav
    >>> file = io.BytesIO()
    >>> wav.write(file, bytes(640), 8000)
    >>> _ = file.seek(0)
    >>> with wav.WavReader(file) as reader:
    ...     reader.encoding, reader.duration_ms, len(reader.read(160)), len(reader.read())
    ('pcm16', 40.0, 320, 320)
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        *,
        on_damage: Callable[[str], None] | None = None,
    ) -> None:
        self._on_damage = on_damage
        self._file: BinaryIO
        if isinstance(file, str | os.PathLike):
            self._file, self._owns_file = open(file, "rb"), True  # noqa: SIM115
        else:
            self._file, self._owns_file = file, False
        try:
            self._source = Source(self._file)
            layout = read_layout(self._source)
            self._format = layout.format
            self._left = self._data_bytes(layout)  # bytes of samples still to come; None: to the end
        except BaseException:
            self.close()
            raise
        self._n_samples = None if self._source.left is None else (self._left or 0) // self._format.block_bytes

    def _data_bytes(self, layout: Layout) -> int | None:
        claimed, exist = layout.data_claimed, self._source.left
        if exist is None:
            if layout.recording or claimed is None:
                return None
            data_bytes = claimed
        elif layout.recording or (claimed is None and exist):
            self._warn(f"the recording was not closed: {exist} bytes of audio are there")
            data_bytes = exist
        elif claimed is None:
            data_bytes = 0
        elif claimed > exist:
            self._warn(f"truncated: {exist} bytes of audio are there, the header claims {claimed}")
            data_bytes = exist
        else:
            data_bytes = claimed
        return data_bytes - self._odd_bytes(data_bytes)

    def _odd_bytes(self, data_bytes: int) -> int:
        odd_bytes = data_bytes % self._format.block_bytes
        if odd_bytes:
            self._warn(f"{odd_bytes} bytes after the last whole sample of {self._format.block_bytes} bytes")
        return odd_bytes

    def _warn(self, message: str) -> None:
        if self._on_damage is not None:
            self._on_damage(message)
        else:
            warnings.warn(message, WavWarning, stacklevel=4)

    @property
    def sample_rate(self) -> int:
        """Samples per second of one channel, in Hz."""
        return self._format.sample_rate

    @property
    def channels(self) -> int:
        """Channels, interleaved."""
        return self._format.channels

    @property
    def encoding(self) -> str:
        """What the file holds: pcm8, pcm16, pcm24, pcm32, float32, float64, ulaw or alaw."""
        return self._format.encoding

    @property
    def n_samples(self) -> int | None:
        """Samples per channel in the whole file; None for a pipe."""
        return self._n_samples

    @property
    def duration_ms(self) -> float | None:
        """Duration of the whole file; None for a pipe."""
        return None if self._n_samples is None else self._n_samples * 1000 / self.sample_rate

    @exclusive
    def read(self, n_samples: int = -1) -> bytes:
        """Read up to `n_samples` per channel as interleaved native-endian s16; -1 reads the rest.

        Fewer come only at the end, and then none. Integers of more than 16 bits lose their low bits;
        floats are scaled by 32,768, rounded and saturated.
        """
        return decode_s16(self._format.encoding, self._read_blocks(n_samples))

    @exclusive
    def read_float(self, n_samples: int = -1) -> bytes:
        """Read as `read` does, but as float32 items; integers have full scale at +-1.0."""
        return decode_f32(self._format.encoding, self._read_blocks(n_samples))

    def blocks(self, n_samples: int) -> Iterator[bytes]:
        """Yield the rest as `read(n_samples)` gives it; only the last block may be shorter."""
        if n_samples < 1:
            raise ValueError(f"blocks of {n_samples} samples: takes 1 or more")
        while pcm := self.read(n_samples):
            yield pcm

    def _read_blocks(self, n_samples: int) -> bytes:
        if self._file.closed:
            raise ValueError("read from a closed WavReader")
        if n_samples < -1:
            raise ValueError(f"read of {n_samples} samples: takes -1 or more")
        wanted = self._left if n_samples < 0 else n_samples * self._format.block_bytes
        if wanted is not None and self._left is not None:
            wanted = min(wanted, self._left)
        raw = self._source.read(wanted)
        if wanted is not None and len(raw) == wanted:
            if self._left is not None:
                self._left -= wanted
            return raw
        if self._left is not None:
            self._warn(f"truncated: {self._left - len(raw)} bytes of audio are missing")
        self._left = 0
        return raw[: len(raw) - self._odd_bytes(len(raw))]

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owns_file:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
