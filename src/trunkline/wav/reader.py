"""Reading WAV files: samples of any encoding as s16 or float32, from files and pipes."""

import os
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.errors import BufferTooSmallError
from trunkline.wav.framing import ByteOrder
from trunkline.wav.layout import Layout, read_layout
from trunkline.wav.metadata import Metadata
from trunkline.wav.samples import decode_f32, decode_into, decode_s16, is_native, writable_view
from trunkline.wav.source import Source

if TYPE_CHECKING:
    from trunkline.buffers import AnyBuffer, Buffer

__all__ = ["WavReader", "WavWarning"]

_PIECE_BYTES: Final = 1 << 16  # of what is decoded into a caller's buffer: it stays in the cache


class WavWarning(UserWarning):
    """A WAV file is damaged, and what there is of it is given: truncated, or a recording not closed."""


class WavReader(Exclusive):
    """Read a WAV file from its first sample to its last.

    Reads RIFF, RIFX, RF64, BW64 and Wave64; PCM of 8, 16, 24 and 32 bits, float of 32 and 64 bits, mu-law
    and A-law, each plain or EXTENSIBLE; chunks in any order; pipes, if fmt comes before data.

    Parameters: `file`, a path, or a binary file, which is read from where it stands and stays open;
    `on_damage`, called with a sentence when there is less audio than the header claims, when the header
    does not know how much there is, or when metadata is left out: by default that is a WavWarning. Raises
    FormatError when it is no WAV file of these, OSError when it cannot be read. Memory follows what is
    read, never what a header claims. Files are read, not mapped: a mapped file that somebody truncates
    kills the process.

    `read` and `read_float` allocate; `read_into` decodes into a buffer of yours; `read_encoded` and
    `read_encoded_into` give the samples as the file holds them. All go on where the last one ended.

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
            self._metadata = layout.metadata
            for what in layout.skipped_metadata:
                self._warn(f"metadata is left out: {what}", stacklevel=3)
            self._left = self._data_bytes(layout)  # bytes of samples still to come; None: to the end
        except BaseException:
            self.close()
            raise
        self._n_samples = None if self._source.left is None else (self._left or 0) // self._format.block_bytes
        self._scratch = bytearray()  # of read_into

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

    def _warn(self, message: str, stacklevel: int = 4) -> None:
        if self._on_damage is not None:
            self._on_damage(message)
        else:
            warnings.warn(message, WavWarning, stacklevel=stacklevel)

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
    def byte_order(self) -> ByteOrder:
        """Of the samples in the file: "little", or "big" in RIFX."""
        return self._format.byte_order

    @property
    def block_bytes(self) -> int:
        """Bytes that one sample of every channel has in the file."""
        return self._format.block_bytes

    @property
    def metadata(self) -> Metadata:
        """LIST/INFO texts and bext; of a pipe, what stands before the samples.

        256 KiB are read; what is more is left out, with a WavWarning. Wave64 has only bext.
        """
        return self._metadata

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
        return decode_s16(self._format.encoding, self._read_blocks(n_samples), self._format.byte_order)

    @exclusive
    def read_float(self, n_samples: int = -1) -> bytes:
        """Read as `read` does, but as float32 items; integers have full scale at +-1.0."""
        return decode_f32(self._format.encoding, self._read_blocks(n_samples), self._format.byte_order)

    @exclusive
    def read_into(self, out: "Buffer") -> int:
        """Read as many samples as `out` has room for; return how many per channel, 0 at the end.

        `out`: a writable C-contiguous buffer; bytes and items of format h get s16, items of format f
        float32. What fits the file's own format is read straight into it; nothing is allocated but, once,
        64 KiB for what has to be decoded. BufferTooSmallError when not one sample of every channel fits.
        """
        view = writable_view(out)
        channels = self._format.channels
        n_wanted = len(view) // channels
        if not n_wanted:
            raise BufferTooSmallError(channels, len(view), "samples")
        block_bytes = self._format.block_bytes
        if is_native(self._format.encoding, self._format.byte_order, to_float=view.format == "f"):
            return self._fill(view.cast("B")[: n_wanted * block_bytes]) // block_bytes
        piece_blocks = max(_PIECE_BYTES // block_bytes, 1)
        if not self._scratch:
            self._scratch = bytearray(piece_blocks * block_bytes)
        n_read = 0
        while n_read < n_wanted:
            raw = memoryview(self._scratch)[: min(n_wanted - n_read, piece_blocks) * block_bytes]
            n_bytes = self._fill(raw)
            decode_into(
                self._format.encoding, raw[:n_bytes], view[n_read * channels :], self._format.byte_order
            )
            n_read += n_bytes // block_bytes
            if n_bytes < len(raw):
                break
        return n_read

    @exclusive
    def read_encoded(self, n_samples: int = -1) -> bytes:
        """Read as `read` does, but what the file holds: samples of `encoding` in its `byte_order`."""
        return self._read_blocks(n_samples)

    @exclusive
    def read_encoded_into(self, out: "Buffer") -> int:
        """Read as many whole samples as `out` has room for, as `read_encoded`; return the bytes.

        `out`: a writable C-contiguous buffer, of any items. Nothing is allocated, and a large `out` is
        filled by the file itself. BufferTooSmallError when not one sample of every channel fits.
        """
        view = memoryview(cast("AnyBuffer", out))
        if view.readonly or not view.c_contiguous:
            raise TypeError("out: takes a writable C-contiguous buffer")
        block_bytes = self._format.block_bytes
        if view.nbytes < block_bytes:
            raise BufferTooSmallError(block_bytes, view.nbytes)
        return self._fill(view.cast("B")[: view.nbytes - view.nbytes % block_bytes])

    def blocks(self, n_samples: int) -> Iterator[bytes]:
        """Yield the rest as `read(n_samples)` gives it; only the last block may be shorter."""
        if n_samples < 1:
            raise ValueError(f"blocks of {n_samples} samples: takes 1 or more")
        while pcm := self.read(n_samples):
            yield pcm

    def _read_blocks(self, n_samples: int) -> bytes:
        if n_samples < -1:
            raise ValueError(f"read of {n_samples} samples: takes -1 or more")
        wanted = self._left if n_samples < 0 else self._at_most(n_samples * self._format.block_bytes)
        self._check_open()
        raw = self._source.read(wanted)
        n_bytes = self._count(len(raw), wanted)
        return raw if n_bytes == len(raw) else raw[:n_bytes]

    def _fill(self, out: "memoryview[int]") -> int:
        """Fill whole samples of `out`; return the bytes."""
        wanted = self._at_most(len(out))
        self._check_open()
        return self._count(self._source.read_into(out[:wanted]), wanted)

    def _check_open(self) -> None:
        if self._file.closed:
            raise ValueError("read from a closed WavReader")

    def _at_most(self, n_bytes: int) -> int:
        return n_bytes if self._left is None else min(n_bytes, self._left)

    def _count(self, n_read: int, wanted: int | None) -> int:
        """Count bytes that were read off what is left; return those of whole samples."""
        if n_read == wanted:
            if self._left is not None:
                self._left -= wanted
            return n_read
        if self._left is not None:
            self._warn(f"truncated: {self._left - n_read} bytes of audio are missing", stacklevel=5)
        self._left = 0
        return n_read - self._odd_bytes(n_read)

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
