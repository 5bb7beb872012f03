"""Messages as text, read strictly: what comes in is hostile until it is checked.

Fields that a dialect does not name are ignored, whatever they hold; of a key that comes twice, but for event,
the last counts. Objects and lists lie at most 64 deep in each other.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from trunkline._native.media import depth
from trunkline.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "DIGITS",
    "MESSAGE_BYTES_MAX",
    "NUMBER_MAX",
    "TRACKS",
    "Count",
    "Digit",
    "Number",
    "Text",
    "check_digit",
    "check_size",
    "check_text",
    "clipped",
    "decoded",
    "json_of",
    "number",
]

#: The tracks a stream can have, in the order of a recording's channels.
TRACKS: Final = ("inbound", "outbound")

DEPTH_MAX: Final = 64
MESSAGE_BYTES_MAX: Final = 65_536  # of what is sent; what is read has a limit of its own
NUMBER_MAX: Final = 2**53  # above it JSON readers that use doubles disagree
DIGITS: Final = frozenset("0123456789*#ABCD")
ERROR_CHARS_MAX: Final = 200

Count = Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]
Number = str | Count  # digits in a string; some senders write a number
Text = Annotated[str, msgspec.Meta(pattern="^[^\\0]*$")]
Digit = Annotated[str, msgspec.Meta(pattern=r"^[0-9*#A-D]\Z")]


def json_of(message: "str | Buffer", max_bytes: int) -> bytes:
    """Give a message as bytes that a JSON parser may be let at; RemoteProtocolError when it may not.

    That is at most `max_bytes` of UTF-8, not nested too deep. It need not be JSON.
    """
    data = _utf8(message, max_bytes)
    if (deep := depth(data)) > DEPTH_MAX:
        raise RemoteProtocolError(
            f"message of {len(data)} bytes: nested {deep} deep, takes at most {DEPTH_MAX}"
        )
    return data


def decoded(data: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decode what `json_of` gave; RemoteProtocolError when it is no JSON, msgspec's own for other values."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"message of {len(data)} bytes: {clipped(error)}") from None


def number(value: str | int, field: str) -> int:
    """Convert a number of the wire, `"17"` or `17`, 0 to 2^53; RemoteProtocolError for anything else."""
    if isinstance(value, int):
        return value
    if len(value) <= 16 and value.isascii() and value.isdigit():
        parsed = int(value)
        if parsed <= NUMBER_MAX:
            return parsed
    raise RemoteProtocolError(f"{field} {value[:32]!r}: takes a whole number of 0 to {NUMBER_MAX}")


def check_text(*texts: str) -> None:
    """Refuse what would be refused at the other end: LocalProtocolError."""
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"takes str, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"{text[:32]!r} is not Unicode text: {error}") from None
        if "\0" in text:
            raise LocalProtocolError(f"{text[:32]!r} holds a NUL character")


def check_size(message: bytes) -> None:
    """Refuse a message that is longer than most endpoints read: LocalProtocolError."""
    if len(message) > MESSAGE_BYTES_MAX:
        raise LocalProtocolError(f"message of {len(message)} bytes: takes up to {MESSAGE_BYTES_MAX}")


def check_digit(digit: str) -> None:
    """Refuse what is not one DTMF key: LocalProtocolError."""
    if digit not in DIGITS:
        raise LocalProtocolError(f"DTMF digit {digit[:8]!r}: takes one of 0-9, *, #, A-D")


def clipped(error: Exception) -> str:
    """Give what an error says, which may be as long as the message is."""
    return str(error)[:ERROR_CHARS_MAX]


def _utf8(message: "str | Buffer", max_bytes: int) -> bytes:
    """Give the message as bytes that are UTF-8; msgspec does not look into the fields that it skips."""
    n_bytes = len(message) if isinstance(message, (str, bytes)) else memoryview(message).nbytes
    if n_bytes <= max_bytes:
        try:
            data = message.encode() if isinstance(message, str) else bytes(message)
            if not data.isascii():
                data.decode()
        except UnicodeError as error:
            raise RemoteProtocolError(f"message is not UTF-8: {error}") from None
        n_bytes = len(data)
    if n_bytes > max_bytes:
        raise RemoteProtocolError(f"message of {n_bytes} bytes: takes at most {max_bytes}")
    return data
