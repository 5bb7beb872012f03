"""Sources that read files: recordings, and captured calls."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from trunkline.audio_files import open_audio
from trunkline.errors import FormatError, PayloadError, RemoteProtocolError
from trunkline.stream import Discontinuity, Frame, Start, StreamReceiver, read_capture

__all__ = ["CaptureSource", "FileSource"]

GAP_CHUNK: Final = 8000  # samples of silence that are made at once


class FileSource:
    """One channel of an audio file: WAV and Opus natively, else whatever soundfile reads.

    `channel` counts from 0. Raises FormatError for what nobody reads and for a channel that is not there,
    LibraryMissingError when soundfile is needed and missing (`pip install 'trunkline[files]'`), OSError when
    the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], *, channel: int = 0) -> None:
        try:
            self._file = open_audio(path)
        except FormatError as error:
            raise FormatError(f"{os.fspath(path)}: {error}") from error
        self.sample_rate = self._file.sample_rate
        self._channel = channel
        if not 0 <= channel < self._file.channels:
            self._file.close()
            n_channels = self._file.channels
            raise FormatError(f"{os.fspath(path)}: channel {channel}: it has {n_channels}, counted from 0")

    def read(self, n_samples: int) -> bytes:
        """Give the next samples."""
        pcm = self._file.read(n_samples)
        if self._file.channels == 1:
            return pcm
        return memoryview(pcm).cast("h")[self._channel :: self._file.channels].tobytes()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


class CaptureSource:
    """One track of a call that `trunkline receive --capture` has kept, without its network's delays.

    What was lost is concealed, and longer gaps are silence; messages that break the protocol are left out
    and counted in `left_out`. Raises FormatError when the file is no capture, when no stream starts in it,
    when that has not the track, and when its codec is not decoded.
    """

    def __init__(self, path: str | os.PathLike[str], *, track: str = "inbound") -> None:
        self._track = track
        self.left_out = 0
        self._pcm = bytearray()
        self._gap_samples = 0  # silence behind that
        self._receiver = StreamReceiver()
        self._chunks: Iterator[Frame | Discontinuity | Start] = self._events(path)
        start = next(self._chunks, None)
        if not isinstance(start, Start):
            raise FormatError(f"{os.fspath(path)}: no stream starts in it")
        if start.tracks and track not in start.tracks:
            raise FormatError(f"{os.fspath(path)}: track {track!r}: it has {', '.join(start.tracks)}")
        if start.media_format.channels != 1:
            raise FormatError(f"{os.fspath(path)}: {start.media_format.channels} channels: takes one")
        self.sample_rate = start.media_format.sample_rate

    def read(self, n_samples: int) -> bytes:
        """Give the next samples."""
        wanted = 2 * n_samples
        while len(self._pcm) < wanted and self._fill():
            pass
        pcm = bytes(self._pcm[:wanted])
        del self._pcm[:wanted]
        return pcm

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._chunks = iter(())
        self._pcm.clear()
        self._gap_samples = 0

    def _fill(self) -> bool:
        """Append what comes next; False at the end."""
        if self._gap_samples:
            n_samples = min(self._gap_samples, GAP_CHUNK)
            self._gap_samples -= n_samples
            self._pcm += bytes(2 * n_samples)
            return True
        event = next(self._chunks, None)
        if isinstance(event, Frame):
            self._pcm += memoryview(event).cast("B")
        elif isinstance(event, Discontinuity):
            self._gap_samples = round((event.resumes_ms - event.timestamp_ms) / 1000 * self.sample_rate)
        return event is not None

    def _events(self, path: str | os.PathLike[str]) -> Iterator[Frame | Discontinuity | Start]:
        """Give the start, and then what there is of the track."""
        for message in read_capture(path):
            try:
                events = self._receiver.receive(message.message)
            except (RemoteProtocolError, PayloadError):
                self.left_out += 1
                continue
            yield from self._ours(events)
        with suppress(PayloadError):
            yield from self._ours(self._receiver.close())

    def _ours(self, events: list[Any]) -> Iterator[Frame | Discontinuity | Start]:
        for event in events:
            if isinstance(event, Start) or (
                isinstance(event, Frame | Discontinuity) and event.track == self._track
            ):
                yield event
