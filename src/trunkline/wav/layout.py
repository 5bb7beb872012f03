"""Where things are in a WAV file: its chunks, in any order, from a file or a pipe."""

from typing import Final

import msgspec

from trunkline.errors import FormatError
from trunkline.wav.framing import FRAMINGS, Framing, SizeField
from trunkline.wav.header import FMT_BYTES_MAX, OPEN_MARK, UNKNOWN_32, UNKNOWN_64, WavFormat, parse_format
from trunkline.wav.metadata import Metadata, bext_of, info_of
from trunkline.wav.source import Source

__all__ = ["Layout", "read_layout"]

CHUNKS_MAX: Final = 1 << 16
METADATA_READ_MAX: Final = 1 << 18  # bytes: Latin-1 may double as UTF-8, and still be written again


class Layout(msgspec.Struct, frozen=True):
    """What the chunks of a file say."""

    framing: Framing
    format: WavFormat
    riff_size: SizeField
    data_size: SizeField
    data_offset: int
    fmt_first: bool  # before the data, which may then have no end of its own
    sample_count: SizeField | None  # per channel, in ds64 or fact
    has_reserve: bool  # a JUNK chunk where ds64 would be, and of its size
    recording: bool  # a recording of ours that nobody closed
    metadata: Metadata
    skipped_metadata: tuple[str, ...]  # what was more than METADATA_READ_MAX

    @property
    def data_claimed(self) -> int | None:
        """Bytes of samples by the header; None when it does not know them (yet)."""
        size, riff_size = self.data_size, self.riff_size
        # A header that was never patched says 0, or only what it had written itself.
        riff_unknown = riff_size.is_unknown or 8 + riff_size.value <= self.data_offset
        if size.is_unknown or (size.value == 0 and riff_unknown and self.fmt_first):
            return None
        return size.value


def read_layout(source: Source) -> Layout:
    """Read chunks until fmt and data are known, and leave the source at the first sample.

    Of a seekable file, the metadata behind the samples is read too; damage there is none of the audio's.
    FormatError, with numbers and byte offset, for what is no WAV file. Samples before the fmt chunk
    need a seekable file.
    """
    walk = _Walk(source)
    layout = walk.find_samples()
    data_claimed = layout.data_claimed
    if source.seekable and data_claimed is not None and not layout.recording:
        walk.read_behind(layout.data_offset + data_claimed + walk.framing.padding(data_claimed))
        layout = msgspec.structs.replace(
            layout, metadata=Metadata(walk.info, walk.bext), skipped_metadata=tuple(walk.skipped)
        )
    source.skip_to(layout.data_offset)
    return layout


class _Walk:
    """One pass over the chunks of a file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.framing, self.riff_size = _read_start(source)
        self.n_chunks = 0
        self.format: WavFormat | None = None
        self.data_size: SizeField | None = None
        self.data_offset = 0
        self.fmt_first = False
        self.sample_count: SizeField | None = None
        self.ds64: SizeField | None = None  # its size of the data chunk
        self.has_reserve = False
        self.recording = False
        self.info: dict[str, str] = {}
        self.bext = b""
        self.metadata_left = METADATA_READ_MAX
        self.skipped: list[str] = []

    def find_samples(self) -> Layout:
        """Go from chunk to chunk until both fmt and data are known."""
        while self.n_chunks < CHUNKS_MAX:
            found = self._next_chunk()
            if found is None:
                missing = "fmt" if self.format is None else "data"
                raise FormatError(f"no {missing} chunk before the file ends at byte {self.source.offset}")
            name, size = found
            offset = self.source.offset
            if name == b"data" and self.data_size is None:
                n_bytes = self._data(offset, size)
            else:
                n_bytes = self._other(name, offset, size.value)
            if self.format is not None and self.data_size is not None:
                return self._layout(self.format, self.data_size)
            if n_bytes < 0 or not self.source.skip_to(offset + n_bytes):
                raise FormatError(
                    f"chunk {name!r} at byte {offset - self.framing.header_bytes} claims {n_bytes} bytes:"
                    f" {'impossible' if n_bytes < 0 else 'the file ends before'}"
                )
            self.source.read(self.framing.padding(n_bytes))
        raise FormatError(f"more than {CHUNKS_MAX} chunks, up to byte {self.source.offset}")

    def read_behind(self, offset: int) -> None:
        """Read the metadata of the chunks from `offset` to the end, or to the first that is damaged."""
        end = self.source.offset + (self.source.left or 0)
        while self.n_chunks < CHUNKS_MAX and offset + self.framing.header_bytes <= end:
            self.source.skip_to(offset)
            name, size = self._next_chunk() or (b"", None)
            start = self.source.offset
            if size is None or not 0 <= size.value <= end - start:
                return
            self._metadata(name, start, size.value)
            offset = start + size.value + self.framing.padding(size.value)

    def _next_chunk(self) -> tuple[bytes, SizeField] | None:
        framing, offset = self.framing, self.source.offset
        header = self.source.read(framing.header_bytes)
        if len(header) < framing.header_bytes:
            return None
        self.n_chunks += 1
        name = framing.name(header[: framing.id_bytes])
        at = offset + framing.id_bytes
        return name, framing.size_field("data size", at, header[framing.id_bytes :], framing.header_bytes)

    def _data(self, offset: int, size: SizeField) -> int:
        if self.format is None and not self.source.seekable:
            raise FormatError(
                f"data before fmt at byte {offset - self.framing.header_bytes}: needs a seekable file"
            )
        self.data_size = size if self.ds64 is None or size.value != UNKNOWN_32 else self.ds64
        self.data_offset = offset
        self.fmt_first = self.format is not None
        self.recording = self.recording and self.fmt_first  # as ours has it
        return self.data_size.value

    def _other(self, name: bytes, offset: int, size: int) -> int:
        form = self.framing.form
        if name == b"fmt ":
            if self.format is not None:
                raise FormatError(f"a second fmt chunk at byte {offset - self.framing.header_bytes}")
            self.format = parse_format(self._start_of(offset, size, FMT_BYTES_MAX), offset, self.framing)
        elif name == b"fact" and size >= self.framing.size_bytes and self.ds64 is None:
            raw = self._start_of(offset, size, self.framing.size_bytes)
            self.sample_count = self.framing.size_field("sample count", offset, raw, 0)
        elif name == b"ds64" and self.framing.is_rf64 and offset == 20 and size >= 28:
            self._ds64(offset, self._start_of(offset, size, 24))
        elif name == b"JUNK" and form == b"RIFF" and offset == 20 and size == 28:
            self.has_reserve = True
            self.recording = self._start_of(offset, size, 28) == OPEN_MARK
        else:
            self._metadata(name, offset, size)
        return size

    def _ds64(self, offset: int, sizes: bytes) -> None:
        names = ("RIFF size", "data size", "sample count")
        self.riff_size, self.ds64, self.sample_count = (
            self.framing.size_field(name, offset + at, sizes[at : at + 8], 0)
            for name, at in zip(names, (0, 8, 16), strict=True)
        )
        self.recording = self.sample_count.value == UNKNOWN_64

    def _metadata(self, name: bytes, offset: int, size: int) -> None:
        """Keep a chunk of metadata, unless it is not wanted or too much."""
        if name == b"bext":
            start = b""
        elif name == b"LIST" and size >= 4 and self._start_of(offset, size, 4) == b"INFO":
            start = b"INFO"
        else:
            return
        self.metadata_left -= size
        if self.metadata_left < 0:
            self.skipped.append(f"{name.decode()} chunk of {size} bytes at byte {offset}")
            return
        payload = start + self._start_of(offset, size, size - len(start))
        if start:
            self.info = info_of(payload, self.framing) | self.info
        else:
            self.bext = self.bext or bext_of(payload, self.framing)

    def _start_of(self, offset: int, size: int, n_bytes: int) -> bytes:
        start = self.source.read(min(size, n_bytes))
        if len(start) < min(size, n_bytes):
            raise FormatError(
                f"chunk at byte {offset - self.framing.header_bytes} claims {size} bytes,"
                f" {len(start)} are there"
            )
        return start

    def _layout(self, format: WavFormat, data_size: SizeField) -> Layout:
        return Layout(
            framing=self.framing,
            format=format,
            riff_size=self.riff_size,
            data_size=data_size,
            data_offset=self.data_offset,
            fmt_first=self.fmt_first,
            sample_count=self.sample_count,
            has_reserve=self.has_reserve,
            recording=self.recording,
            metadata=Metadata(self.info, self.bext),
            skipped_metadata=tuple(self.skipped),
        )


def _read_start(source: Source) -> tuple[Framing, SizeField]:
    """Read what a file begins with: its container, and the size of the whole."""
    start = source.read(12)
    if len(start) < 12:
        raise FormatError(f"{len(start)} bytes: a WAV file has at least 44")
    framing = next((framing for framing in FRAMINGS if start.startswith(framing.form[:12])), None)
    if framing is None:
        raise FormatError(f"not a WAV file: begins with {start[:4]!r}, and {start[8:]!r} at byte 8")
    start += source.read(framing.start_bytes - len(start))
    chunk_id = start[: framing.id_bytes]
    kind = start[framing.header_bytes :]
    if chunk_id != framing.form or framing.name(kind) != b"WAVE":
        raise FormatError(
            f"not a WAV file: begins with {chunk_id!r}, and {kind!r} at byte {framing.header_bytes}"
        )
    raw = start[framing.id_bytes : framing.header_bytes]
    return framing, framing.size_field("RIFF size", framing.id_bytes, raw, 8)
