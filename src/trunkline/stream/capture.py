"""Captures: the messages of a call as they came, each with its time of arrival, in a file of JSON Lines.

    {"format":"trunkline-capture","version":1}
    {"ms":0.0,"text":"{\\"event\\":\\"connected\\"}"}
    {"ms":1.254,"binary":"AAEC"}
    {"ms":3.0,"text_base64":"/w=="}

`ms` counts from the first message. A text message that is not UTF-8 has its bytes in `text_base64`.
"""

import math
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final, NamedTuple, Self

import msgspec

from trunkline._native import base64
from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.errors import FormatError, LocalProtocolError, PayloadError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["MESSAGE_BYTES_MAX", "CaptureWriter", "CapturedMessage", "read_capture"]

MESSAGE_BYTES_MAX: Final = 1 << 20
LINE_BYTES_MAX: Final = 6 * MESSAGE_BYTES_MAX + 100  # JSON escapes a byte as six: \u0000
TIME_MS_MAX: Final = 2.0**53
ERROR_CHARS_MAX: Final = 200
VERSION: Final = 1
_HEADER: Final = b'{"format":"trunkline-capture","version":%d}\n'


class CapturedMessage(NamedTuple):
    """One WebSocket message: `arrival_ms` after the first one, its bytes, and whether it was binary."""

    arrival_ms: float
    data: bytes
    binary: bool = False

    @property
    def message(self) -> str | bytes:
        """The message as a StreamReceiver takes it: text as str, also where its bytes are no UTF-8."""
        return self.data if self.binary else self.data.decode("utf-8", "surrogateescape")


class _Header(msgspec.Struct):
    format: str
    version: int


# Whatever is nested is of no type that a field has, and refused without a look into it.
class _Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    ms: Annotated[float, msgspec.Meta(ge=0, le=TIME_MS_MAX)]
    text: str | None = None
    binary: str | None = None
    text_base64: str | None = None


_header = msgspec.json.Decoder(_Header)
_line = msgspec.json.Decoder(_Line)


class CaptureWriter(Exclusive):
    """Write messages to a new file, each in one write of its own.

    So a message is the operating system's when `write` returns, and kill -9 loses none (a machine that loses
    power may: nothing is synced to the disk). Messages may have up to 1 MiB and need not be anything that a
    StreamReceiver takes. FileExistsError when `path` exists, OSError when it cannot be written.

    >>> import tempfile
    >>> from trunkline.stream import CaptureWriter, read_capture
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with CaptureWriter(f"{directory}/call.jsonl") as capture:
    ...         capture.write('{"event":"connected"}', 5000.0)
    ...         capture.write(b"{", 5020.5)
    ...     for message in read_capture(f"{directory}/call.jsonl"):
    ...         print(message)
    CapturedMessage(arrival_ms=0.0, data=b'{"event":"connected"}', binary=False)
    CapturedMessage(arrival_ms=20.5, data=b'{', binary=False)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._origin_ms: float | None = None
        self._latest_ms = -math.inf
        self._failed = False
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115
        try:
            self._put(_HEADER % VERSION)
        except BaseException:
            self._file.close()
            raise

    @exclusive
    def write(self, data: "str | Buffer", arrival_ms: float, *, binary: bool = False) -> None:
        """Append a message that came at `arrival_ms`, by any clock that does not go back.

        `data` are the bytes of the message, or its text; `binary` says that it was no text message. Raises
        LocalProtocolError for a time that is not finite or goes back, for more than 1 MiB, and after `close`
        or an error; OSError when the file takes no more, once.
        """
        if self._file.closed or self._failed:
            raise LocalProtocolError(
                f"write to a capture that {'has failed' if self._failed else 'is closed'}"
            )
        if not (math.isfinite(arrival_ms) and arrival_ms >= self._latest_ms):
            raise LocalProtocolError(f"message at {arrival_ms} ms after one at {self._latest_ms} ms")
        # A str that is no Unicode text is kept, too, as bytes that are no UTF-8.
        data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
        if len(data) > MESSAGE_BYTES_MAX:
            raise LocalProtocolError(
                f"message of {len(data)} bytes: a capture takes at most {MESSAGE_BYTES_MAX}"
            )
        if self._origin_ms is None:
            self._origin_ms = arrival_ms
        self._latest_ms = arrival_ms
        line = _Line(round(float(arrival_ms - self._origin_ms), 3), **_fields(data, binary))
        self._put(msgspec.json.encode(line) + b"\n")

    @exclusive
    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()

    def _put(self, line: bytes) -> None:
        try:
            while line:
                line = line[self._file.write(line) :]
        except BaseException:
            self._failed = True
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _fields(data: bytes, binary: bool) -> dict[str, str]:
    if binary:
        return {"binary": b64encode(data).decode()}
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"text_base64": b64encode(data).decode()}


def read_capture(
    path: str | os.PathLike[str], *, on_torn: Callable[[int], None] = lambda n_bytes: None
) -> Iterator[CapturedMessage]:
    """Read what a CaptureWriter wrote, message by message, and check everything about it.

    A last line without its end, of a writer that was killed or whose disk was full, is left out, and
    `on_torn` told of its length in bytes. Raises FormatError, which names the file and the line, for a file
    that is no capture, for any other line that is broken, longer than 6 MiB or of a message of more than
    1 MiB, and for times that go back.
    """
    with open(path, "rb") as file:
        _check_header(file, path)
        latest_ms = 0.0
        number = 1
        while line := file.readline(LINE_BYTES_MAX + 1):
            number += 1
            if len(line) > LINE_BYTES_MAX:
                raise FormatError(f"{path}:{number}: a line of more than {LINE_BYTES_MAX} bytes")
            if not line.endswith(b"\n"):
                on_torn(len(line))
                return
            try:
                message = _message(line)
            except ValueError as error:
                raise FormatError(f"{path}:{number}: {str(error)[:ERROR_CHARS_MAX]}") from error
            if message.arrival_ms < latest_ms:
                raise FormatError(f"{path}:{number}: ms goes back from {latest_ms} to {message.arrival_ms}")
            latest_ms = message.arrival_ms
            yield message


def _check_header(file: BinaryIO, path: str | os.PathLike[str]) -> None:
    line = file.readline(100)
    try:
        header = _header.decode(line)
    except ValueError:  # msgspec's DecodeError is one
        header = None
    if header is None or header.format != "trunkline-capture":
        raise FormatError(f"{path}: no capture of trunkline: begins with {line[:32]!r}")
    if header.version != VERSION:
        raise FormatError(f"{path}: a capture of version {header.version}: reads version {VERSION}")


def _message(line: bytes) -> CapturedMessage:
    fields = _line.decode(line)
    given = [text for text in (fields.text, fields.binary, fields.text_base64) if text is not None]
    if len(given) != 1:
        raise FormatError(f"{len(given)} messages: takes one of text, binary, text_base64")
    data = given[0].encode() if fields.text is not None else base64.decode(given[0])
    if len(data) > MESSAGE_BYTES_MAX:
        raise PayloadError(f"a message of {len(data)} bytes: takes at most {MESSAGE_BYTES_MAX}")
    return CapturedMessage(fields.ms, data, fields.binary is not None)
