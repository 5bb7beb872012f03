"""CallRecordings: a handler for `serve` that records every call, and what a live view asks for."""

import errno
import logging
import math
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import msgspec

from trunkline.errors import FormatError, TrunklineError
from trunkline.frame import Frame
from trunkline.net.call import Call
from trunkline.net.rtp import RtpCall
from trunkline.net.stream_socket import CloseCode
from trunkline.stream import OpusRecorder, Recorder
from trunkline.stream.messages import TRACKS
from trunkline.stream.recording_files import FORMATS, check_layout, paths_of, recorded_tracks

__all__ = ["CallRecording", "CallRecordings", "RecordingStats"]

ID_CHARS_MAX: Final = 64  # of each id: two, a counter and what is behind stay far below a file system's 255
FULL_SCALE: Final = 32768
CURES: Final = {
    errno.ENOSPC: ": make room, the next calls are recorded again",
    errno.EDQUOT: ": make room, or have the quota raised",
    errno.EFBIG: ": files may not be longer here (ulimit -f)",
}

_log = logging.getLogger(__name__)


class CallRecording:
    """One call that is being recorded to `path`, or in layout "separate" to `paths` that are made of it.

    `error` says why what could not be written was not.
    """

    def __init__(self, call: Call | RtpCall, path: Path, layout: str = "stereo") -> None:
        self.call = call
        self.path = path
        self.layout = layout
        self.duration_ms = 0.0
        self.error: Exception | None = None
        self._latest: dict[str, Frame] = {}

    @property
    def paths(self) -> list[Path]:
        """The files of the recording."""
        tracks = recorded_tracks(self.call.start)
        return list(dict.fromkeys(paths_of(self.path, self.layout, tracks).values()))

    @property
    def kept_stem(self) -> Path:
        """What the names of kept Opus packets begin with: none of them is one of `paths`."""
        has_their_names = self.layout == "separate" and self.path.suffix == ".opus"
        return self.path.with_suffix(".packets" if has_their_names else "")

    def levels_dbfs(self) -> dict[str, float]:
        """Compute the level of each track's latest frame, a full-scale sine being 0; -inf for silence."""
        return {track: _level_dbfs(frame) for track, frame in self._latest.items()}

    async def run(self) -> None:
        """Write the call's events until it ends; then `duration_ms` is what is in the file.

        Payloads of Opus among them go to files of their own, beside it: see `kept_stem`. A file that takes no
        more, as the disk is full, ends there; the call is read on.
        """
        recorder = Recorder(self.path, layout=self.layout)
        files: list[Recorder | OpusRecorder] = [recorder, OpusRecorder(self.kept_stem)]
        try:
            async for event in self.call:
                for file in files:
                    try:
                        file.write(event)
                    except OSError as error:
                        self.failed(error)
                        files = [other for other in files if other is not file]
                        with suppress(OSError):
                            file.close()
                self.duration_ms = recorder.duration_ms
                if isinstance(event, Frame):
                    self._latest[event.track] = event
        finally:
            for file in files:
                try:
                    file.close()
                except OSError as error:
                    self.failed(error)
            self.duration_ms = recorder.duration_ms

    def failed(self, error: OSError | TrunklineError) -> None:
        """Keep the first error, and log it: in one line, with the cure."""
        if self.error is None:
            self.error = error
            at = error.filename if isinstance(error, OSError) and error.filename else self.path
            what = (isinstance(error, OSError) and error.strerror) or error
            cure = CURES.get(error.errno or 0, "") if isinstance(error, OSError) else ""
            _log.error("%s: the recording ends here: %s%s", at, what, cure)


class RecordingStats(msgspec.Struct, frozen=True):
    """How many recordings have ended, and how. Those of several processes may be added."""

    written: int = 0
    failed: int = 0

    def __add__(self, other: "RecordingStats") -> "RecordingStats":
        return RecordingStats(self.written + other.written, self.failed + other.failed)


class CallRecordings:
    """Record every call into `directory`: pass an instance to `serve` or `serve_rtp` as its handler.

    `layout` is a Recorder's, `format` "wav" or "opus": FormatError for others. A file is named after the
    call's and the stream's id, reduced to characters that are harmless in a name, and never replaces one
    that exists. One that cannot be written is logged, once, and the recording's `error` says why; no empty
    file is left. When it is the disk that takes no more, what it took stays and the call is read on; what
    cannot be recorded at all, such as a rate that Opus does not have, ends its call with 1011.

    `on_start` and `on_end` are told of each recording; what they raise is logged and costs no audio. `stats`
    counts those that have ended.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        layout: str = "stereo",
        format: str = "wav",
        on_start: Callable[[CallRecording], None] = lambda recording: None,
        on_end: Callable[[CallRecording], None] = lambda recording: None,
    ) -> None:
        check_layout(layout)
        if format not in FORMATS:
            raise FormatError(f"format {format!r}: takes {', '.join(FORMATS)}")
        self.directory = Path(directory)
        self._layout = layout
        self._format = format
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.directory):  # it fails now, and not with each call
            pass
        self._on_start = on_start
        self._on_end = on_end
        self.stats = RecordingStats()

    async def __call__(self, call: Call | RtpCall) -> None:
        ids = (call.start.call_id, call.start.stream_id)
        name = f"{'_'.join(map(_harmless, ids))}.{self._format}"
        recording = CallRecording(call, self.directory / name, self._layout)
        try:
            await self._record(recording)
        except TrunklineError as error:
            recording.failed(error)
            await call.close(CloseCode.INTERNAL_ERROR, "recording failed")
        finally:
            failed = recording.error is not None
            self.stats += RecordingStats(written=not failed, failed=failed)
            _tell(self._on_end, recording)

    async def _record(self, recording: CallRecording) -> None:
        try:
            _claim(recording)
        except OSError as error:  # a directory that has gone, or is not ours
            recording.failed(error)
            async for _ in recording.call:
                pass
            return
        try:
            _tell(self._on_start, recording)
            await recording.run()
        finally:
            for path in recording.paths:
                _discard_empty(path)


def _tell(observer: Callable[[CallRecording], None], recording: CallRecording) -> None:
    """Tell who watches; their failure is not the recording's."""
    try:
        observer(recording)
    except Exception:
        _log.exception("%s: what watches it raised", recording.path)


def _claim(recording: CallRecording) -> None:
    """Create its files, empty, under its name or the next of which nobody has any, nor Opus files to it."""
    stem, attempt = recording.path.stem, 1
    while not _create_all(recording):
        attempt += 1
        recording.path = recording.path.with_stem(f"{stem}-{attempt}")


def _create_all(recording: CallRecording) -> bool:
    """Create all files of a recording or none: False when there is one already."""
    kept = recording.kept_stem
    if any(kept.with_name(f"{kept.name}.{track}.opus").exists() for track in TRACKS):
        return False
    with ExitStack() as undo:
        for path in recording.paths:
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                return False
            undo.callback(path.unlink)
        undo.pop_all()
    return True


def _discard_empty(path: Path) -> None:
    """Remove a claimed file that a full disk has left without a header."""
    with suppress(OSError):
        if path.stat().st_size == 0:
            path.unlink()


def _harmless(text: str) -> str:
    """Reduce an id from outside to a part of a file name: no separator, no leading hyphen, not empty.

    Nor a dot: what follows the first one is ours, so that no recording has the name of another's track.
    """
    return re.sub(r"[^A-Za-z0-9_-]", "_", text[:ID_CHARS_MAX]).lstrip("-") or "unnamed"


def _level_dbfs(frame: Frame) -> float:
    samples = memoryview(frame).cast("B").cast("h")  # flat, also when there are two channels
    power = sum(sample * sample for sample in samples) / max(1, len(samples))
    return 10 * math.log10(power / (FULL_SCALE**2 / 2)) if power else -math.inf
