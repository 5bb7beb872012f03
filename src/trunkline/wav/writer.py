"""Writing WAV files that a crash cannot spoil, and to pipes."""

import io
import os
from operator import index
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.errors import FormatError
from trunkline.wav.header import FileHeader, WavFormat
from trunkline.wav.metadata import Metadata, metadata_chunks
from trunkline.wav.samples import encode, pcm_view

if TYPE_CHECKING:
    from trunkline.buffers import AnyBuffer, Buffer

__all__ = ["WavWriter"]

ENCODINGS: Final = ("pcm16", "ulaw", "alaw", "float32")
PENDING_MAX_BYTES: Final = 4 << 20  # a rate may be of GHz
_PIECE_ITEMS: Final = 1 << 19  # of a long write, what is converted at once


class WavWriter(Exclusive):
    """Write a WAV file whose header counts, at any moment, only samples that are in the file.

    Up to half a second of audio waits in memory; then it goes to the file, and after it the header.
    So a process that is killed loses less than a second (a machine that loses power may lose more:
    nothing is synced to the disk), and `repair` restores every sample that reached the file. Past
    4 GiB the file becomes RF64. On a pipe every write goes out at once and the header never knows its
    sizes.

    Parameters: `file`, a path (truncated when it exists), or a binary file, which is written from
    where it stands, past its buffer, and stays open; `sample_rate` in Hz; `channels`, interleaved;
    `encoding`, pcm16, ulaw, alaw or float32; `metadata`, LIST/INFO texts and bext, which stand before the
    samples. Raises FormatError for values that no header can hold, before the file is opened, and OSError
    when it cannot be written.

    >>> import io
    >>> from trunkline import wav
    >>> file = io.BytesIO()
    >>> with wav.WavWriter(file, sample_rate=8000, encoding="ulaw") as writer:
    ...     writer.write(bytes(320))
    ...     writer.n_samples, writer.duration_ms
    (160, 20.0)
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        *,
        sample_rate: int,
        channels: int = 1,
        encoding: str = "pcm16",
        metadata: Metadata | None = None,
    ) -> None:
        if encoding not in ENCODINGS:
            raise FormatError(f"encoding {encoding!r}: writes {', '.join(ENCODINGS)}")
        self._format = WavFormat(encoding, index(sample_rate), index(channels))
        self._header = FileHeader(self._format, metadata_chunks(metadata) if metadata else b"")
        self._header_bytes = self._header.n_bytes
        self._block_bytes = self._format.block_bytes
        self._pending = bytearray()
        self._closed = self._failed = False
        self._file: BinaryIO
        if isinstance(file, str | os.PathLike):
            self._file, self._owns_file = open(file, "wb", buffering=0), True  # noqa: SIM115
        else:
            file.flush()
            self._file, self._owns_file = getattr(file, "raw", file), False
        try:
            self._seekable = self._file.seekable()
            self._start = self._file.tell() if self._seekable else 0
            self._end = 0  # bytes of the WAV file, header included, that are written
            self._write_file(0, self._header.build(recording=self._seekable))
        except BaseException:
            if self._owns_file:
                self._file.close()
            raise
        half_a_second = max(sample_rate // 2, 1) * self._block_bytes
        self._pending_max = min(half_a_second, PENDING_MAX_BYTES) if self._seekable else 0

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
        """What the file holds: pcm16, ulaw, alaw or float32."""
        return self._format.encoding

    @property
    def n_samples(self) -> int:
        """Samples per channel written so far; after an error, those that reached the file."""
        return self._data_bytes // self._block_bytes

    @property
    def _data_bytes(self) -> int:
        pending = 0 if self._failed else len(self._pending)  # after an error it is written no more
        return self._end - self._header_bytes + pending

    @property
    def duration_ms(self) -> float:
        """Duration of what was written so far."""
        return self.n_samples * 1000 / self.sample_rate

    @exclusive
    def write(self, pcm: "Buffer") -> None:
        """Append samples: s16 as bytes or items of format h, or float32 items of format f in +-1.0.

        Raises ValueError when they are not whole samples of every channel, TypeError for other
        buffers, OSError when the file takes no more: once, then the writer takes no more either, and
        `close` leaves a valid file of what reached it.
        """
        self._write(self._data_bytes, pcm)

    @exclusive
    def write_encoded(self, data: "Buffer") -> None:
        """Append samples that are encoded already: codes of mu-law or A-law, little-endian pcm16 or float32.

        `data`: any C-contiguous buffer, of which the file gets the bytes. Errors are those of `write`.
        """
        self._check_open()
        view = memoryview(cast("AnyBuffer", data))
        if not view.c_contiguous:
            raise TypeError("samples: takes a C-contiguous buffer")
        if view.nbytes % self._block_bytes:
            raise ValueError(
                f"{view.nbytes} bytes is not a whole number of {self._format.channels} channels of"
                f" {self._format.encoding}, {self._block_bytes} bytes"
            )
        self._put(self._data_bytes, view.cast("B"))

    @exclusive
    def write_at(self, position: int, pcm: "Buffer") -> None:
        """Write samples as `write` does, from `position` on, which is 0 to `n_samples` per channel.

        What was there is overwritten, what goes past the end extends it. Raises ValueError for another
        position, io.UnsupportedOperation (a ValueError and an OSError) on a pipe.
        """
        if not self._seekable:
            raise io.UnsupportedOperation("write_at needs a seekable file")
        if not 0 <= position <= self.n_samples:
            raise ValueError(f"write at sample {position}: takes 0 to {self.n_samples}")
        self._write(position * self._block_bytes, pcm)

    def _write(self, offset: int, pcm: "Buffer") -> None:
        self._check_open()
        view = pcm_view(pcm)
        channels = self._format.channels
        if len(view) % channels:
            raise ValueError(f"PCM: {len(view)} samples is not a whole number of {channels} channels")
        piece_items = max(_PIECE_ITEMS // channels, 1) * channels
        for start in range(0, len(view), piece_items):
            data = memoryview(encode(self._format.encoding, view[start : start + piece_items])).cast("B")
            self._put(offset, data)
            offset += len(data)

    def _check_open(self) -> None:
        if self._closed or self._failed:
            raise ValueError(f"write to a WavWriter that {'is closed' if self._closed else 'has failed'}")

    def _put(self, offset: int, data: memoryview) -> None:
        """Place encoded samples at a byte offset of the data: in the file, or in what is pending."""
        in_file = self._data_in_file
        n_before = max(min(in_file - offset, len(data)), 0)  # bytes that replace some in the file
        if n_before:
            self._write_file(self._header_bytes + offset, data[:n_before])
            data, offset = data[n_before:], in_file
        if offset == in_file and not self._pending and len(data) >= self._pending_max:
            self._write_file(self._end, data)  # it need not wait
        else:
            at = offset - in_file
            self._pending[at : at + len(data)] = data
            if len(self._pending) < self._pending_max:
                return
            self._move_pending()
        if self._seekable:
            self._write_file(0, self._header.build(self._data_in_file, recording=True))

    @property
    def _data_in_file(self) -> int:
        return self._end - self._header_bytes

    def _move_pending(self) -> None:
        data = bytes(self._pending)
        self._pending.clear()
        self._write_file(self._end, data)

    def _write_file(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of `data`; when that fails, `_end` still tells what reached the file."""
        try:
            if self._seekable:
                self._file.seek(self._start + offset)
            while len(data):
                written = self._file.write(data)
                if written is None:
                    raise BlockingIOError("a WAV file must be in blocking mode")
                data = data[written:]
                offset += written
                if offset > self._end:
                    self._end = offset
            if not self._owns_file:  # which has no buffer
                self._file.flush()
        except BaseException:
            self._failed = True
            raise

    @exclusive
    def close(self) -> None:
        """Finish the header and close the file, if it was opened here; closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._failed:
                self._move_pending()
        finally:
            try:
                if self._seekable:
                    self._finish()
            finally:
                if self._owns_file:
                    self._file.close()

    def _finish(self) -> None:
        """Pad the samples and write the last header; silent when an error was raised before."""
        was_raised = self._failed
        data_bytes = self._data_in_file - self._data_in_file % self._block_bytes
        padding = data_bytes % 2
        try:
            if padding:
                self._write_file(self._header_bytes + data_bytes, b"\0")
        except OSError:
            padding = 0  # readers do without
        try:
            self._end = self._header_bytes + data_bytes
            for recording in (True, False):  # a kill in between leaves the mark, not wrong sizes
                header = self._header.build(data_bytes, padding=padding, recording=recording)
                self._write_file(0, header)
            self._file.seek(self._start + self._end + padding)
        except OSError:
            if not was_raised:
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
