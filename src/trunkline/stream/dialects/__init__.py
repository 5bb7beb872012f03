"""The dialects of the platforms that stream calls, by name, and how to tell them apart."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.errors import FormatError, RemoteProtocolError
from trunkline.stream.dialects.audiosocket import AudioSocket, begins_audiosocket
from trunkline.stream.dialects.dialect import Dialect, Media, Reader, Said, Stream, TextMessage, Writer
from trunkline.stream.dialects.exotel import Exotel
from trunkline.stream.dialects.plivo import Plivo
from trunkline.stream.dialects.signalwire import SignalWire, Twilio
from trunkline.stream.dialects.telnyx import Telnyx
from trunkline.stream.dialects.vonage import Vonage
from trunkline.stream.messages import json_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "DIALECTS",
    "Dialect",
    "Media",
    "Reader",
    "Said",
    "Stream",
    "TextMessage",
    "Writer",
    "detect",
    "find_dialect",
]

DIALECTS: Final[Mapping[str, type[Dialect]]] = {
    dialect.name: dialect for dialect in (SignalWire, Twilio, Telnyx, Plivo, Exotel, Vonage, AudioSocket)
}

_object: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def find_dialect(name: str) -> type[Dialect]:
    """Give the dialect of this name; FormatError when we do not speak it."""
    if name not in DIALECTS:
        raise FormatError(f"unknown dialect {name[:32]!r}: takes {', '.join(DIALECTS)}")
    return DIALECTS[name]


def detect(message: "str | Buffer", max_bytes: int) -> type[Dialect]:
    """Tell the dialect from a message before the start; SignalWire's when none knows it.

    Whose reader finds what is wrong with it, and tells Twilio's streams apart.
    """
    if not isinstance(message, str) and begins_audiosocket(message):
        return AudioSocket
    try:
        fields = _object.decode(json_of(message, max_bytes))
    except (RemoteProtocolError, msgspec.DecodeError):
        return SignalWire
    return next((dialect for dialect in DIALECTS.values() if dialect.is_begun_by(fields)), SignalWire)
