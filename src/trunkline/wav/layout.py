"""Where things are in a WAV file: its chunks, in any order, from a file or a pipe."""

import struct
from typing import BinaryIO, Final

import msgspec

from trunkline.errors import FormatError
from trunkline.wav.header import FMT_BYTES_MAX, OPEN_MARK, UNKNOWN_32, UNKNOWN_64, WavFormat, parse_format

__all__ = ["Layout", "SizeField", "Source", "read_layout"]

CHUNKS_MAX: Final = 1 << 16
_PIECE_BYTES: Final = 1 << 16  # what is asked of a file at once: a size in a header allocates nothing


class Source:
    """A binary file that is read forwards from where it stands; offsets count from there."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.offset = 0
        self.seekable = file.seekable()
        self._base = file.tell() if self.seekable else 0
        self._size: int | None = None
        if self.seekable:
            self._size = max(file.seek(0, 2) - self._base, 0)
            file.seek(self._base)

    @property
    def left(self) -> int | None:
        """Bytes from here to the end; None when it is not seekable."""
        return None if self._size is None else max(self._size - self.offset, 0)

    def read(self, n_bytes: int | None) -> bytes:
        """Read `n_bytes`, or fewer when the file ends before them; None reads to the end."""
        pieces = []
        while n_bytes is None or n_bytes > 0:
            piece = self.file.read(_PIECE_BYTES if n_bytes is None else min(n_bytes, _PIECE_BYTES))
            if isinstance(piece, str):
                raise TypeError("a WAV file must be opened in binary mode")
            if piece is None:
                raise BlockingIOError("a WAV file must be in blocking mode")
            if not piece:
                break
            pieces.append(piece)
            self.offset += len(piece)
            if n_bytes is not None:
                n_bytes -= len(piece)
        return b"".join(pieces)

    def skip_to(self, offset: int) -> bool:
        """Go on at `offset`; False when the file ends before it."""
        left = self.left
        if left is not None and offset - self.offset > left:
            return False
        if self.seekable:
            self.file.seek(self._base + offset)
            self.offset = offset
            return True
        while self.offset < offset:
            if not self.read(min(offset - self.offset, _PIECE_BYTES)):
                return False
        return True


class SizeField(msgspec.Struct, frozen=True):
    """A size in the header: its name, where it stands, how many bytes it has, what it says."""

    name: str
    offset: int
    width: int
    value: int


class Layout(msgspec.Struct, frozen=True):
    """What the chunks of a file say, up to its samples."""

    format: WavFormat
    riff_size: SizeField
    data_size: SizeField
    data_offset: int
    fmt_first: bool  # before the data, which may then have no end of its own
    sample_count: SizeField | None  # per channel, in ds64 or fact
    rf64: bool
    has_reserve: bool  # a JUNK chunk where ds64 would be, and of its size
    recording: bool  # a recording of ours that nobody closed

    @property
    def data_claimed(self) -> int | None:
        """Bytes of samples by the header; None when it does not know them (yet)."""
        size, riff_size = self.data_size.value, self.riff_size.value
        # A header that was never patched says 0, or only what it had written itself.
        riff_unknown = riff_size in (UNKNOWN_32, UNKNOWN_64) or 8 + riff_size <= self.data_offset
        if size in (UNKNOWN_32, UNKNOWN_64) or (size == 0 and riff_unknown and self.fmt_first):
            return None
        return size


def read_layout(source: Source) -> Layout:
    """Read chunks until fmt and data are known, and leave the source at the first sample.

    FormatError, with numbers and byte offset, for what is no WAV file. Samples before the fmt chunk
    need a seekable file.
    """
    return _Walk(source).run()


class _Walk:
    """One pass over the chunks of a file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        start = source.read(12)
        if len(start) < 12:
            raise FormatError(f"{len(start)} bytes: a WAV file has at least 44")
        self.form, size, kind = struct.unpack("<4sI4s", start)
        if self.form not in (b"RIFF", b"RF64") or kind != b"WAVE":
            raise FormatError(f"not a WAV file: begins with {self.form!r}, and {kind!r} at byte 8")
        self.riff_size = SizeField("RIFF size", 4, 4, size)
        self.format: WavFormat | None = None
        self.data_size: SizeField | None = None
        self.data_offset = 0
        self.fmt_first = False
        self.sample_count: SizeField | None = None
        self.ds64: SizeField | None = None  # its size of the data chunk
        self.has_reserve = False
        self.recording = False

    def run(self) -> Layout:
        for _ in range(CHUNKS_MAX):
            header = self.source.read(8)
            if len(header) < 8:
                missing = "fmt" if self.format is None else "data"
                raise FormatError(f"no {missing} chunk before the file ends at byte {self.source.offset}")
            chunk, size = struct.unpack("<4sI", header)
            offset = self.source.offset
            if chunk == b"data" and self.data_size is None:
                size = self._data(offset, size)
            else:
                self._other(chunk, offset, size)
            if self.format is not None and self.data_size is not None:
                self.source.skip_to(self.data_offset)
                return self._layout(self.format, self.data_size)
            if not self.source.skip_to(offset + size):
                raise FormatError(
                    f"chunk {chunk!r} at byte {offset - 8} claims {size} bytes: the file ends before"
                )
            self.source.read(size & 1)
        raise FormatError(f"more than {CHUNKS_MAX} chunks, up to byte {self.source.offset}")

    def _data(self, offset: int, size: int) -> int:
        if self.format is None and not self.source.seekable:
            raise FormatError(f"data before fmt at byte {offset - 8}: needs a seekable file")
        if self.ds64 is not None and size == UNKNOWN_32:
            self.data_size = self.ds64
        else:
            self.data_size = SizeField("data size", offset - 4, 4, size)
        self.data_offset = offset
        self.fmt_first = self.format is not None
        self.recording = self.recording and self.fmt_first  # as ours has it
        return self.data_size.value

    def _other(self, chunk: bytes, offset: int, size: int) -> None:
        if chunk == b"fmt ":
            if self.format is not None:
                raise FormatError(f"a second fmt chunk at byte {offset - 8}")
            self.format = parse_format(self._start_of(offset, size, FMT_BYTES_MAX), offset)
        elif chunk == b"fact" and size >= 4 and self.ds64 is None:
            n_samples = int.from_bytes(self._start_of(offset, size, 4), "little")
            self.sample_count = SizeField("sample count", offset, 4, n_samples)
        elif chunk == b"ds64" and self.form == b"RF64" and offset == 20 and size >= 28:
            riff_size, data_size, n_samples = struct.unpack("<QQQ", self._start_of(offset, size, 24))
            self.riff_size = SizeField("RIFF size", offset, 8, riff_size)
            self.ds64 = SizeField("data size", offset + 8, 8, data_size)
            self.sample_count = SizeField("sample count", offset + 16, 8, n_samples)
            self.recording = n_samples == UNKNOWN_64
        elif chunk == b"JUNK" and offset == 20 and size == 28:
            self.has_reserve = True
            self.recording = self._start_of(offset, size, 28) == OPEN_MARK

    def _start_of(self, offset: int, size: int, n_bytes: int) -> bytes:
        start = self.source.read(min(size, n_bytes))
        if len(start) < min(size, n_bytes):
            raise FormatError(f"chunk at byte {offset - 8} claims {size} bytes, {len(start)} are there")
        return start

    def _layout(self, format: WavFormat, data_size: SizeField) -> Layout:
        return Layout(
            format=format,
            riff_size=self.riff_size,
            data_size=data_size,
            data_offset=self.data_offset,
            fmt_first=self.fmt_first,
            sample_count=self.sample_count,
            rf64=self.ds64 is not None,
            has_reserve=self.has_reserve,
            recording=self.recording,
        )
