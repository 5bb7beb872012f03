"""Recorder: the Frames of one stream, its tracks side by side, in a file that survives a crash."""

import os
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.frame import Frame
from trunkline.stream.events import Event, Start
from trunkline.stream.recording_files import RecordingFiles, check_layout, check_name, recorded_tracks

__all__ = ["Recorder"]

GAP_MS_MAX: Final = 10_000  # a longer one is cut
SILENCE_PER_AUDIO: Final = 10  # and any, once there is more silence than so many times the audio,
SILENCE_ALLOWANCE_MS: Final = 60_000  # and this: a few bytes must not fill a disk
TIME_MS_MAX: Final = 2.0**53
WINDOW_MS: Final = 2_000  # how far a track may lag behind the other and still be aligned
WRITE_EVERY_MS: Final = 250  # of audio taken; the writer keeps up to half a second more


class Recorder(Exclusive):
    """Record the events of one StreamReceiver to a PCM16 WAV of the Frames' rate, or to Ogg Opus.

    Start opens the file, which is Opus when its name ends in ".opus", in any case, and a WAV when it ends
    in ".wav" or has no ending: FormatError for others. `layout` "stereo": one channel per declared track,
    inbound left, outbound right (both when none was declared); "mixed": the tracks' sum, which saturates;
    "separate": a file per track, "call.wav" becoming "call.inbound.wav" and "call.outbound.wav", which
    begin and end together.

    Every Frame is laid where its timestamp says, so the tracks stay aligned however they were delivered:

    - Position 0 is the first Frame. A track that begins later gets silence before it; one that begins
      earlier moves position 0 back, while no more than 250 ms have been taken.
    - Audio is never dropped or overlaid: a Frame whose place is taken by its own track, or lies more
      than 2 s behind the other track, is laid at the next place that is free.
    - Silence stands where a track has nothing, up to 10 s at a time and up to ten times the audio and
      60 s in all. When the timeline jumps further ahead of everything recorded (a Discontinuity), the
      jump is cut out of all tracks. A track that resumes where the other one has gone on meanwhile is no
      such jump.

    A crash, even kill -9, loses less than a second of audio; of Opus less than three, as what is encoded
    stays, so that only what is 2 s back is. Memory is bounded: 2 s, and one gap.

    Opus takes frames of 8, 12, 16, 24 or 48 kHz and makes a file of 1 or 2 channels, at 24 kbit/s each, which
    lasts exactly as long as the WAV would.

    >>> import tempfile
    >>> from trunkline.stream import Recorder, StreamReceiver, StreamSender
    >>> sender, receiver = StreamSender("PCMU"), StreamReceiver()
    >>> with tempfile.TemporaryDirectory() as directory, Recorder(f"{directory}/call.wav") as recorder:
    ...     for message in sender.start() + sender.media(bytes(2 * 8000)) + sender.stop():
    ...         for event in receiver.receive(message):
    ...             recorder.write(event)
    ...     recorder.duration_ms
    1000.0
    """

    def __init__(self, path: str | os.PathLike[str], *, layout: str = "stereo") -> None:
        check_layout(layout)
        check_name(path)
        self._path = path
        self._layout = layout
        self._timeline: _Timeline | None = None
        self._closed = False

    @property
    def path(self) -> str | os.PathLike[str]:
        """Where the recording is, from the Start event on; with layout="separate" the name it is made of."""
        return self._path

    @property
    def paths(self) -> dict[str, Path]:
        """The file of each track, from the Start event on: the same one but for layout="separate"."""
        return {} if self._timeline is None else dict(self._timeline.paths)

    @property
    def duration_ms(self) -> float:
        """The recording's length so far, 0 before Start; after `close` or an error, what is in the file."""
        return 0.0 if self._timeline is None else self._timeline.duration_ms

    @exclusive
    def write(self, event: Event) -> None:
        """Take any event of the receiver; only Start and Frames make a difference.

        Raises LocalProtocolError out of order, FormatError for a Frame of another format than Start
        declared, OSError when the file takes no more: once, then `close` leaves what reached it. A Start
        raises FormatError for a rate or channels that Opus does not have, LibraryMissingError without
        libopus, both before there is a file.
        """
        if self._closed:
            raise LocalProtocolError("write after close")
        if isinstance(event, Frame):
            if self._timeline is None:
                raise LocalProtocolError("frame before start")
            self._timeline.lay(event)
        elif isinstance(event, Start):
            if self._timeline is not None:
                raise LocalProtocolError("second start")
            self._timeline = _Timeline(self._path, self._layout, event)

    @exclusive
    def close(self) -> None:
        """Write what is still in memory and close the file. Idempotent."""
        if not self._closed:
            self._closed = True
            if self._timeline is not None:
                self._timeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Timeline:
    """The recording, of which the last 2 s are also in memory. Positions count samples per channel."""

    def __init__(self, path: str | os.PathLike[str], layout: str, start: Start) -> None:
        tracks = recorded_tracks(start)
        self._format = start.media_format
        self._rate = start.sample_rate or self._format.sample_rate
        self._n_channels = len(tracks) * self._format.channels
        self._first_channel = {track: i * self._format.channels for i, track in enumerate(tracks)}
        self._ends = dict.fromkeys(tracks, 0)
        self._origin_ms: float | None = None
        self._origin_moves = True  # until the first write
        self._removed = 0  # cut out since the origin
        self._window = bytearray()  # from position _base on
        self._base = 0
        self._changed = 0  # what is on disk is right up to here
        self._taken = 0  # since the last write, silence included
        self._n_audio = 0
        self._n_silence = 0
        self._failed = self._closed = False
        self._files = RecordingFiles(
            path, layout, tracks, sample_rate=self._rate, channels=self._format.channels
        )
        self.paths = self._files.paths

    @property
    def duration_ms(self) -> float:
        if self._failed or self._closed:
            return self._files.duration_ms
        return self._head * 1000 / self._rate

    def lay(self, frame: Frame) -> None:
        if self._failed:
            raise LocalProtocolError("write to a recording whose file takes no more")
        track = frame.track
        if track not in self._ends:
            raise LocalProtocolError(f"frame of track {track!r}: takes {', '.join(self._ends)}")
        if (frame.sample_rate, frame.channels) != (self._rate, self._format.channels):
            raise FormatError(
                f"frame of {frame.sample_rate} Hz with {frame.channels} channels in a recording of "
                f"{self._rate} Hz with {self._format.channels} a track"
            )
        samples = memoryview(frame).cast("B").cast("h")
        n_samples = len(samples) // frame.channels
        position = self._place(track, frame.timestamp_ms)
        n_grown = self._extend(position + n_samples)
        self._interleave(samples, position, self._first_channel[track])
        self._ends[track] = position + n_samples
        self._changed = min(self._changed, position)
        self._n_audio += n_samples
        self._taken += max(n_samples, n_grown)
        if self._taken * 1000 >= WRITE_EVERY_MS * self._rate:
            self._write()

    def close(self) -> None:
        try:
            if not self._failed:
                self._write(whole=True)
        finally:
            self._closed = True
            with suppress(OSError) if self._failed else nullcontext():
                self._files.close()

    @property
    def _head(self) -> int:
        """The end of the recording: the furthest that any track has come."""
        return self._base + len(self._window) // (2 * self._n_channels)

    def _samples(self, duration_ms: float) -> int:
        return round(min(max(duration_ms, -TIME_MS_MAX), TIME_MS_MAX) * self._rate / 1000)

    def _place(self, track: str, timestamp_ms: float) -> int:
        """Find the position of a frame."""
        if self._origin_ms is None:
            self._origin_ms = timestamp_ms
        position = self._samples(timestamp_ms - self._origin_ms) - self._removed
        jump = position - self._head
        if jump > 0:
            allowed = SILENCE_PER_AUDIO * self._n_audio + self._samples(SILENCE_ALLOWANCE_MS)
            if jump > self._samples(GAP_MS_MAX) or self._n_silence + jump > allowed:
                self._removed += jump
                return self._head
            self._n_silence += jump
        if position < 0 and self._ends[track] == 0 and self._origin_moves:
            position += self._move_origin(-position)
        return max(position, self._ends[track], self._base)

    def _move_origin(self, n_samples: int) -> int:
        """Put silence before everything, when it fits the window; return its length."""
        if n_samples > self._samples(WINDOW_MS):
            return 0
        self._window[:0] = bytes(n_samples * 2 * self._n_channels)
        self._removed -= n_samples
        self._ends = {track: end and end + n_samples for track, end in self._ends.items()}
        return n_samples

    def _extend(self, end: int) -> int:
        """Lay silence on all tracks, up to `end`; return its length."""
        n_samples = max(0, end - self._head)
        self._window += bytes(n_samples * 2 * self._n_channels)
        return n_samples

    def _interleave(self, samples: memoryview, position: int, first_channel: int) -> None:
        per_track = self._format.channels
        begin = (position - self._base) * self._n_channels + first_channel
        end = begin + len(samples) // per_track * self._n_channels
        with memoryview(self._window).cast("h") as window:
            for channel in range(per_track):
                window[begin + channel : end : self._n_channels] = samples[channel::per_track]

    def _write(self, *, whole: bool = False) -> None:
        """Bring the files up to date and forget what lies too far back to be changed.

        Files that are not rewritable get only what is forgotten, until the `whole` is to be written.
        """
        n_bytes = 2 * self._n_channels
        outside = max(0, self._head - self._base - self._samples(WINDOW_MS))
        end = self._head if whole or self._files.rewritable else self._base + outside
        if self._changed < end:
            part = slice((self._changed - self._base) * n_bytes, (end - self._base) * n_bytes)
            try:
                self._files.write_at(self._changed, self._window[part])
            except OSError:
                self._failed = True
                raise
            self._changed = end
        self._taken = 0
        self._origin_moves = False
        del self._window[: outside * n_bytes]
        self._base += outside
