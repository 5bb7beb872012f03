"""Repairing the header of a recording that was not closed."""

import io
import os

import msgspec

from trunkline.errors import FormatError
from trunkline.wav import header
from trunkline.wav.framing import SizeField
from trunkline.wav.layout import Layout, read_layout
from trunkline.wav.source import Source

__all__ = ["RepairReport", "repair"]


class RepairReport(msgspec.Struct, frozen=True):
    """What `repair` changed: each size of the header as it was and as it is now; empty if it was right."""

    changes: dict[str, tuple[int, int]]
    n_samples: int  # per channel, now
    recovered_samples: int  # per channel, that the header did not count before


def repair(path: str | os.PathLike[str], *, dry_run: bool = False) -> RepairReport:
    """Correct the sizes in the header of a WAV file to the bytes that exist.

    A recording of ours that was not closed gets back every whole sample in the file; so does any file
    whose data size was never set, or claims more than there is. Only the header is written, in place,
    and only if something is wrong in it, so a second call changes nothing. Samples are never touched.
    With `dry_run` nothing is written: the report says what would be.

    Raises FormatError when it is no WAV file, or too long for RIFF without room for an RF64 header;
    OSError when the file cannot be read or written.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from trunkline import wav
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "call.wav")
    ...     wav.write(path, bytes(640), 8000)
    ...     _ = path.write_bytes(path.read_bytes()[:-100])
    ...     report = wav.repair(path)
    >>> report.changes, report.n_samples
    ({'RIFF size': (712, 612), 'data size': (640, 540)}, 270)
    """
    with open(path, "rb") as file:
        source = Source(file)
        if not source.seekable:
            raise io.UnsupportedOperation(f"{os.fspath(path)}: repair needs a seekable file")
        layout = read_layout(source)
        exist = source.left or 0
    claimed = layout.data_claimed
    data_bytes, sizes = _right_sizes(layout, exist)
    changes = {field.name: (field.value, value) for field, value in sizes.items() if value != field.value}
    if layout.recording:
        changes["open mark"] = (1, 0)
    if changes and not dry_run:
        _write(path, layout, sizes)
    n_samples, n_counted = (
        n // layout.format.block_bytes for n in (data_bytes, min(claimed or 0, data_bytes))
    )
    return RepairReport(changes, n_samples, n_samples - n_counted)


def _right_sizes(layout: Layout, exist: int) -> tuple[int, dict[SizeField, int]]:
    """Say how many bytes of samples there are, of `exist` to the end of the file, and each size by it."""
    data_bytes = layout.data_claimed
    block_bytes = layout.format.block_bytes
    if data_bytes is None or data_bytes > exist or layout.recording:
        data_bytes = exist - exist % block_bytes
        padding = min(layout.framing.padding(data_bytes), exist - data_bytes)
        riff_size = layout.data_offset + data_bytes + padding - 8
        n_samples = data_bytes // block_bytes
    else:  # the samples are right; the whole is wrong when it ends within them or past the file and padding
        riff_size_max = layout.data_offset + exist - 8
        riff_size = layout.riff_size.value
        if (
            not layout.data_offset + data_bytes - 8
            <= riff_size
            <= riff_size_max + layout.framing.alignment - 1
        ):
            riff_size = riff_size_max
        n_samples = layout.sample_count.value if layout.sample_count and data_bytes else 0
    sizes = {layout.riff_size: riff_size, layout.data_size: data_bytes}
    if layout.sample_count is not None:
        sizes[layout.sample_count] = n_samples
    return data_bytes, sizes


def _write(path: str | os.PathLike[str], layout: Layout, sizes: dict[SizeField, int]) -> None:
    riff_size, data_bytes = sizes[layout.riff_size], sizes[layout.data_size]
    start = b""
    if layout.riff_size.width == 4 and riff_size > header.RIFF_SIZE_MAX:
        if not layout.has_reserve:
            raise FormatError(f"{riff_size + 8} bytes: too long for RIFF, and no room for an RF64 header")
        start = header.rf64_start(riff_size, data_bytes, data_bytes // layout.format.block_bytes)
        sizes = dict.fromkeys(sizes, header.UNKNOWN_32)  # ds64 has them
    elif layout.has_reserve and layout.recording:
        start = header.riff_start(riff_size, recording=False)
    with open(path, "r+b") as file:
        for field, value in sizes.items():
            file.seek(field.offset)
            file.write(field.stored(value))
        file.seek(0)
        file.write(start)  # last: it says that the recording is closed
