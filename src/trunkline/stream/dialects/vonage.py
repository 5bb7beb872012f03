"""Vonage's WebSockets: audio as binary messages of 16-bit little-endian PCM, all else as JSON text.

Sources: Vonage, "WebSockets in the Vonage Voice API", "NCCO reference". A stream has no id, no call's id,
no stop message and no numbers: it begins with websocket:connected, which repeats the headers of the NCCO,
and ends when it is closed. Ours: a header "uuid" is the call's id; a mark is a notify whose payload has a
name.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from msgspec import Struct
from msgspec.json import Decoder

from trunkline._native.media import MediaReader
from trunkline.errors import LocalProtocolError, RemoteProtocolError
from trunkline.formats import MediaFormat
from trunkline.stream.dialects.dialect import (
    Dialect,
    Media,
    MediaLayout,
    Reader,
    Said,
    TextMessage,
    Writer,
    encode_json,
    media_format,
)
from trunkline.stream.events import Cleared, Dtmf, Mark, Start, Unknown
from trunkline.stream.messages import Count, Digit, Text, clipped, decoded, json_of, number

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Vonage"]

CONNECTED: Final = "websocket:connected"
CALL_ID: Final = "uuid"
_OURS: Final = ("event", "content-type", "headers")


class DtmfMessage(Struct):
    digit: Digit
    duration: Count | None = None


class NamedPayload(Struct):
    name: Text


class NotifyMessage(Struct):
    payload: NamedPayload


_object: Decoder[dict[str, Any]] = Decoder(dict[str, Any])
_text: Decoder[str] = Decoder(Text)


class VonageReader:
    """Reads one stream: text by its `key`, "event" or "action", bytes as audio."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._is_begun = key == "action"

    def read(self, message: "str | Buffer", max_bytes: int) -> list[Said]:
        """Read a message."""
        if not isinstance(message, str):
            return [self._audio(bytes(memoryview(message)[: max_bytes + 1]), max_bytes)]
        data = json_of(message, max_bytes)
        try:
            fields = decoded(data, _object)
            event = msgspec.convert(fields.get(self._key), Text)
        except msgspec.ValidationError as error:
            raise RemoteProtocolError(f"message of {len(data)} bytes: {clipped(error)}") from None
        try:
            said = Said(event, self._content(event, fields))
        except msgspec.ValidationError as error:
            raise RemoteProtocolError(f"{event} message: {clipped(error)}") from None
        self._is_begun = self._is_begun or event == CONNECTED
        return [said]

    def open(self, media: MediaReader, stream_id: str, max_bytes: int) -> None:
        """Let bytes be taken in C."""
        media.open_media(stream_id, max_bytes, binary=True)

    def _audio(self, payload: bytes, max_bytes: int) -> Said:
        if len(payload) > max_bytes:
            raise RemoteProtocolError(f"message of more than {max_bytes} bytes: takes at most that")
        if not self._is_begun and payload.lstrip()[:1] == b"{":
            raise LocalProtocolError("vonage: takes text messages as str, since bytes are audio")
        return Said("audio", Media(payload))

    def _content(self, event: str, fields: dict[str, Any]) -> Any:
        match event.removeprefix("websocket:"), self._key:
            case "connected", "event":
                return _start(fields)
            case "dtmf", "event":
                dtmf = msgspec.convert(fields, DtmfMessage)
                return Dtmf(dtmf.digit, dtmf.duration, None)
            case ("cleared", "event") | ("clear", "action"):
                return Cleared()
            case "notify", _ if isinstance(fields.get("payload"), dict) and "name" in fields["payload"]:
                return Mark(msgspec.convert(fields, NotifyMessage).payload.name)
        return Unknown(event)


def _start(fields: dict[str, Any]) -> Start:
    content_type = msgspec.convert(fields.get("content-type"), str)
    encoding, _, rate = content_type.replace(" ", "").partition(";rate=")
    headers = fields.get("headers")
    given = {**fields, **(headers if isinstance(headers, dict) else {})}
    parameters = {
        msgspec.convert(name, Text): msgspec.convert(value, Text)
        for name, value in given.items()
        if name not in _OURS and isinstance(value, str)
    }
    return Start(
        stream_id="",
        call_id=parameters.get(CALL_ID, ""),
        account_id=None,
        tracks=("inbound",),
        media_format=media_format(encoding, number(rate, "content-type's rate")),
        custom_parameters=parameters,
        dialect="vonage",
    )


class PlatformWriter(Writer):
    def start(self) -> list[bytes]:
        content_type = f"audio/l16;rate={self._stream.format.sample_rate}"
        parameters = {CALL_ID: self._stream.call_id, **self._stream.custom_parameters}
        return [_text_message({"event": CONNECTED, "content-type": content_type, **parameters})]

    def media(self, track: str) -> MediaLayout:
        return MediaLayout((b"", None, None, None, b""), "raw")

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        return _text_message({"event": "websocket:dtmf", "digit": digit, "duration": duration_ms})

    def mark(self, name: str) -> bytes:
        return _text_message({"event": "websocket:notify", "payload": {"name": name}})

    def clear(self) -> list[bytes]:
        return [_text_message({"event": "websocket:cleared"})]


class EndpointWriter(Writer):
    lacks = frozenset({"dtmf"})

    def media(self, track: str) -> MediaLayout:
        return MediaLayout((b"", None, None, None, b""), "raw")

    def mark(self, name: str) -> bytes:
        return _text_message({"action": "notify", "payload": {"name": name}})

    def clear(self) -> list[bytes]:
        return [_text_message({"action": "clear"})]


def _text_message(body: dict[str, Any]) -> TextMessage:
    return TextMessage(encode_json(body))


class Vonage(Dialect):
    """Vonage's: text is str, bytes are audio."""

    name = "vonage"
    is_binary = True
    has_tracks = False
    needs_stop = False
    rates: ClassVar[Mapping[str, tuple[int, ...]]] = {"L16": (8_000, 16_000, 24_000)}
    Platform = PlatformWriter
    Endpoint = EndpointWriter

    @staticmethod
    def reader(role: str, format: MediaFormat | None) -> Reader:
        return VonageReader("event" if role == "endpoint" else "action")

    @staticmethod
    def is_begun_by(message: Mapping[str, Any]) -> bool:
        return message.get("event") == CONNECTED
