"""Captures of the calls of a server: a file for each, which costs a call nothing when it fails."""

import errno
import logging
import os
from pathlib import Path

from trunkline.errors import FormatError
from trunkline.stream import CaptureWriter
from trunkline.stream.capture import MESSAGE_BYTES_MAX

__all__ = ["CallCapture", "Captures"]

_log = logging.getLogger(__name__)


class Captures:
    """The names of a server's captures: call.jsonl, call-2.jsonl, call-3.jsonl ...

    Makes their directory. FormatError when messages may be longer than a capture takes.
    """

    def __init__(self, path: Path, max_message_bytes: int) -> None:
        if max_message_bytes > MESSAGE_BYTES_MAX:
            raise FormatError(
                f"messages of up to {max_message_bytes} bytes: a capture takes at most {MESSAGE_BYTES_MAX}"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from error
        self._path = path
        self._number = 0

    def next_path(self) -> Path:
        """Give the next path, each once; there may be a file of it."""
        self._number += 1
        return self._path if self._number == 1 else self._path.with_stem(f"{self._path.stem}-{self._number}")


class CallCapture:
    """The messages of one call, in the next file of `captures` that nobody has.

    The file is made with the first message: a connection that sends nothing leaves none.
    """

    def __init__(self, captures: Captures) -> None:
        self._captures = captures
        self._path: Path | None = None
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
        while True:
            self._path = self._captures.next_path()
            try:
                return CaptureWriter(self._path)
            except FileExistsError:
                continue
