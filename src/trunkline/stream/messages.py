"""The JSON messages of a media stream, read strictly: what comes in is hostile until it is checked.

Fields that are not named here are ignored, whatever they hold; of a key that comes twice, but for event,
the last counts.
Objects and lists lie at most 64 deep in each other.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

import msgspec

from trunkline._native.media import depth
from trunkline.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "TRACKS",
    "Clear",
    "Connected",
    "Dtmf",
    "Known",
    "KnownOfEndpoint",
    "Mark",
    "Media",
    "Message",
    "Reply",
    "Start",
    "Stop",
    "Unrecognised",
    "check_digit",
    "check_text",
    "number",
    "parse",
    "parse_of_endpoint",
]

#: The tracks a stream can have, in the order of a recording's channels.
TRACKS: Final = ("inbound", "outbound")

DEPTH_MAX: Final = 64
NUMBER_MAX: Final = 2**53  # above it JSON readers that use doubles disagree
DIGITS: Final = frozenset("0123456789*#ABCD")
ERROR_CHARS_MAX: Final = 200

Count = Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]
Number = str | Count  # digits in a string; some senders write a number
Text = Annotated[str, msgspec.Meta(pattern="^[^\\0]*$")]


class Message(msgspec.Struct, tag_field="event", rename="camel"):
    sequence_number: Number | None = None
    stream_sid: str | None = None


class Connected(Message, tag="connected"):
    pass


class MediaFormatBody(msgspec.Struct, rename="camel"):
    encoding: str
    sample_rate: Count
    channels: Count = 1


class StartBody(msgspec.Struct, rename="camel"):
    call_sid: Text
    media_format: MediaFormatBody
    stream_sid: Text | None = None
    account_sid: Text | None = None
    tracks: list[str] | None = None
    custom_parameters: dict[Text, Text] | None = None


class Start(Message, tag="start", kw_only=True):
    start: StartBody
    stream_sid: Text | None = None


class MediaBody(msgspec.Struct):
    track: str
    timestamp: Number
    payload: str
    chunk: Number | None = None


class Media(Message, tag="media", kw_only=True):
    media: MediaBody


class ReplyBody(msgspec.Struct):
    payload: str


class Reply(Message, tag="media", kw_only=True):
    """Media of an endpoint: what it says lies behind what it has said before."""

    media: ReplyBody


class DtmfBody(msgspec.Struct):
    digit: Annotated[str, msgspec.Meta(pattern=r"^[0-9*#A-D]\Z")]
    duration: Count | None = None
    track: Text | None = None


class Dtmf(Message, tag="dtmf", kw_only=True):
    dtmf: DtmfBody


class MarkBody(msgspec.Struct):
    name: Text


class Mark(Message, tag="mark", kw_only=True):
    mark: MarkBody


class Clear(Message, tag="clear"):
    pass


class Stop(Message, tag="stop"):
    pass


class Unrecognised(msgspec.Struct):
    event: Text


Known = Connected | Start | Media | Dtmf | Mark | Clear | Stop
KnownOfEndpoint = Reply | Dtmf | Mark | Clear

_known: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Known)
_known_of_endpoint: msgspec.json.Decoder[Any] = msgspec.json.Decoder(KnownOfEndpoint)
_unrecognised = msgspec.json.Decoder(Unrecognised)


def parse(message: "str | Buffer", max_bytes: int) -> Known | Unrecognised:
    """Read a message of a platform, at most `max_bytes` of UTF-8; RemoteProtocolError when it is not one."""
    parsed: Known | Unrecognised = _parse(message, max_bytes, _known)
    return parsed


def parse_of_endpoint(message: "str | Buffer", max_bytes: int) -> KnownOfEndpoint | Unrecognised:
    """Read a message of an endpoint; as `parse`."""
    parsed: KnownOfEndpoint | Unrecognised = _parse(message, max_bytes, _known_of_endpoint)
    return parsed


def _parse(message: "str | Buffer", max_bytes: int, known: msgspec.json.Decoder[Any]) -> Any:
    data = _utf8(message, max_bytes)
    if (deep := depth(data)) > DEPTH_MAX:
        raise RemoteProtocolError(
            f"message of {len(data)} bytes: nested {deep} deep, takes at most {DEPTH_MAX}"
        )
    try:
        try:
            parsed: Message = known.decode(data)
        except msgspec.ValidationError as error:
            other = _unrecognised.decode(data)
            if other.event not in _events(known.type):
                return other
            raise RemoteProtocolError(f"{other.event} message: {_clipped(error)}") from None
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"message of {len(data)} bytes: {_clipped(error)}") from None
    if parsed.sequence_number is not None:
        number(parsed.sequence_number, "sequenceNumber")
    return parsed


def _events(known: Any) -> frozenset[Any]:
    return frozenset(kind.__struct_config__.tag for kind in get_args(known))


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
    """Refuse what `parse` would refuse at the other end: LocalProtocolError."""
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"takes str, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"{text[:32]!r} is not Unicode text: {error}") from None
        if "\0" in text:
            raise LocalProtocolError(f"{text[:32]!r} holds a NUL character")


def check_digit(digit: str) -> None:
    """Refuse what is not one DTMF key: LocalProtocolError."""
    if digit not in DIGITS:
        raise LocalProtocolError(f"DTMF digit {digit[:8]!r}: takes one of 0-9, *, #, A-D")


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


def _clipped(error: Exception) -> str:
    return str(error)[:ERROR_CHARS_MAX]
