"""CallRecordings: a handler for `serve` that writes one WAV per call, and what a live view asks for."""

import logging
import math
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.frame import Frame
from trunkline.net.call import Call, CloseCode
from trunkline.net.rtp import RtpCall
from trunkline.stream import OpusRecorder, Recorder
from trunkline.stream.messages import TRACKS

__all__ = ["CallRecording", "CallRecordings"]

ID_CHARS_MAX: Final = 64  # of each id: two, a counter and ".wav" stay far below a file system's 255
FULL_SCALE: Final = 32768

_log = logging.getLogger(__name__)


class CallRecording:
    """One call that is being recorded to `path`; `error` says why its file could not be written."""

    def __init__(self, call: Call | RtpCall, path: Path) -> None:
        self.call = call
        self.path = path
        self.duration_ms = 0.0
        self.error: Exception | None = None
        self._latest: dict[str, Frame] = {}

    def levels_dbfs(self) -> dict[str, float]:
        """Compute the level of each track's latest frame, a full-scale sine being 0; -inf for silence."""
        return {track: _level_dbfs(frame) for track, frame in self._latest.items()}

    async def run(self) -> None:
        """Write the call's events until it ends; then `duration_ms` is what is in the file.

        Payloads of Opus among them go to files of their own, beside it.
        """
        recorder = Recorder(self.path)
        try:
            with recorder, OpusRecorder(self.path.with_suffix("")) as opus_recorder:
                async for event in self.call:
                    recorder.write(event)
                    opus_recorder.write(event)
                    self.duration_ms = recorder.duration_ms
                    if isinstance(event, Frame):
                        self._latest[event.track] = event
        finally:
            self.duration_ms = recorder.duration_ms


class CallRecordings:
    """Record every call into `directory`: pass an instance to `serve` or `serve_rtp` as its handler.

    A file is named after the call's and the stream's id, reduced to characters that are harmless in a
    name, and never replaces one that exists. One that cannot be written ends its call with 1011; the
    recording's `error` says why, and no empty file is left. `on_start` and `on_end` are told of each
    recording; what they raise is logged and costs no audio.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        on_start: Callable[[CallRecording], None] = lambda recording: None,
        on_end: Callable[[CallRecording], None] = lambda recording: None,
    ) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._on_start = on_start
        self._on_end = on_end

    async def __call__(self, call: Call | RtpCall) -> None:
        ids = (call.start.call_id, call.start.stream_id)
        recording = CallRecording(call, self.directory / f"{'_'.join(map(_harmless, ids))}.wav")
        try:
            recording.path = _claim(recording.path)
            try:
                _tell(self._on_start, recording)
                await recording.run()
            finally:
                _discard_empty(recording.path)
        except (OSError, TrunklineError) as error:
            recording.error = error
            await call.close(CloseCode.INTERNAL_ERROR, "recording failed")
        finally:
            _tell(self._on_end, recording)


def _tell(observer: Callable[[CallRecording], None], recording: CallRecording) -> None:
    """Tell who watches; their failure is not the recording's."""
    try:
        observer(recording)
    except Exception:
        _log.exception("%s: what watches it raised", recording.path)


def _claim(path: Path) -> Path:
    """Create an empty file of this name, or of the next that nobody has, nor has Opus files to it."""
    stem, attempt = path.stem, 1
    while True:
        try:
            if any(path.with_suffix(f".{track}.opus").exists() for track in TRACKS):
                raise FileExistsError
            path.touch(exist_ok=False)
        except FileExistsError:
            attempt += 1
            path = path.with_stem(f"{stem}-{attempt}")
        else:
            return path


def _discard_empty(path: Path) -> None:
    """Remove a claimed file that a full disk has left without a header."""
    with suppress(OSError):
        if path.stat().st_size == 0:
            path.unlink()


def _harmless(text: str) -> str:
    """Reduce an id from outside to a part of a file name: no separator, no leading dot, not empty."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text[:ID_CHARS_MAX]).lstrip(".-") or "unnamed"


def _level_dbfs(frame: Frame) -> float:
    samples = memoryview(frame).cast("B").cast("h")  # flat, also when there are two channels
    power = sum(sample * sample for sample in samples) / max(1, len(samples))
    return 10 * math.log10(power / (FULL_SCALE**2 / 2)) if power else -math.inf
