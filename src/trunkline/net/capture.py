"""Captures of the calls of a server: a file for each, which costs a call nothing when it fails."""

import logging
from pathlib import Path

from trunkline.errors import FormatError
from trunkline.stream import CaptureWriter
from trunkline.stream.capture import MESSAGE_BYTES_MAX

__all__ = ["CallCapture", "check_capture"]

_log = logging.getLogger(__name__)


def check_capture(path: Path, max_message_bytes: int) -> None:
    """Make the directory of the captures; FormatError when messages may be longer than one takes."""
    if max_message_bytes > MESSAGE_BYTES_MAX:
        raise FormatError(
            f"messages of up to {max_message_bytes} bytes: a capture takes at most {MESSAGE_BYTES_MAX}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)


class CallCapture:
    """The messages of one call, in a file of `path`'s name or of the next that nobody has.

    The file is made with the first message: a connection that sends nothing leaves none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: CaptureWriter | None = None
        self._failed = False

    def write(self, data: str | bytes, arrival_ms: float, *, binary: bool) -> None:
        """Keep a message; when the disk takes no more, log that once and keep none."""
        if self._failed:
            return
        try:
            if self._writer is None:
                self._writer = self._open()
            self._writer.write(data, arrival_ms, binary=binary)
        except OSError as error:
            self._failed = True
            _log.error("%s: the capture ends here: %s", self._path, error.strerror)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> CaptureWriter:
        stem, attempt = self._path.stem, 1
        while True:
            try:
                return CaptureWriter(self._path)
            except FileExistsError:
                attempt += 1
                self._path = self._path.with_stem(f"{stem}-{attempt}")
