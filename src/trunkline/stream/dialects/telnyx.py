"""Telnyx's media streaming: JSON text in snake_case, audio as base64, chunks in any order.

Sources: Telnyx, "Media Streaming over Websockets", "Stream call media over WebSocket" (AsyncAPI), "Stream"
(TeXML). They do not say in which order L16's bytes come, and receivers disagree: it is taken to be little-
endian (ours).
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from trunkline.formats import MediaFormat
from trunkline.stream.dialects.dialect import (
    Dialect,
    MediaLayout,
    Reader,
    Writer,
    encode_json,
    media_format,
)
from trunkline.stream.dialects.json_reader import (
    DtmfBody,
    JsonMessage,
    JsonReader,
    MarkBody,
    MediaBody,
    ReplyBody,
)
from trunkline.stream.events import Cleared, Start, Stop
from trunkline.stream.messages import Count, Number, Text

__all__ = ["Telnyx"]

VERSION: Final = "1.0.0"
WIDEBAND_RATE: Final = 16_000
_WIDEBAND: Final = ("G722", "AMR-WB")  # whose RTP clock of 8 kHz (RFC 3551 4.5.2) is not their rate


class Message(JsonMessage, tag_field="event"):
    stream_id: str | None = None
    sequence_number: Number | None = None


class Connected(Message, tag="connected"):
    pass


class MediaFormatBody(Struct):
    encoding: str
    sample_rate: Count
    channels: Count = 1


class StartBody(Struct):
    call_control_id: Text
    media_format: MediaFormatBody
    user_id: Text | None = None
    custom_parameters: dict[Text, Text] | None = None


class StartMessage(Message, tag="start", kw_only=True):
    stream_id: Text
    body: StartBody = field(name="start")

    def content(self) -> Start:
        audio = self.body.media_format
        rate = WIDEBAND_RATE if audio.encoding.upper() in _WIDEBAND else audio.sample_rate
        return Start(
            stream_id=self.stream_id,
            call_id=self.body.call_control_id,
            account_id=self.body.user_id,
            tracks=(),
            media_format=media_format(audio.encoding, rate, audio.channels),
            custom_parameters=self.body.custom_parameters or {},
            dialect="telnyx",
        )


class MediaMessage(Message, tag="media", kw_only=True):
    body: MediaBody = field(name="media")


class DtmfMessage(Message, tag="dtmf", kw_only=True):
    body: DtmfBody = field(name="dtmf")


class MarkMessage(Message, tag="mark", kw_only=True):
    body: MarkBody = field(name="mark")


class ClearMessage(Message, tag="clear"):
    def content(self) -> Cleared:
        return Cleared()


class StopMessage(Message, tag="stop"):
    def content(self) -> Stop:
        return Stop()


class Reply(Message, tag="media", kw_only=True):
    body: ReplyBody = field(name="media")


_readers: Final = {
    "endpoint": JsonReader(
        Connected | StartMessage | MediaMessage | DtmfMessage | MarkMessage | StopMessage, "sequence_number"
    ),
    "platform": JsonReader(Reply | MarkMessage | ClearMessage, "sequence_number"),
}


class PlatformWriter(Writer):
    def start(self) -> list[bytes]:
        stream = self._stream
        body: dict[str, Any] = {
            "call_control_id": stream.call_id,
            "custom_parameters": stream.custom_parameters,
            "media_format": {
                "encoding": stream.format.name,
                "sample_rate": stream.format.sample_rate,
                "channels": 1,
            },
        }
        if stream.account_id is not None:
            body["user_id"] = stream.account_id
        connected = encode_json({"event": "connected", "version": VERSION})
        return [connected, self._message("start", body)]

    def media(self, track: str) -> MediaLayout:
        return MediaLayout(
            (
                b'{"event":"media","sequence_number":"',
                b'","media":{"track":"%b","chunk":"' % track.encode(),  # it holds nothing to be escaped
                b'","timestamp":"',
                b'","payload":"',
                b'"},"stream_id":%b}' % encode_json(self._stream.stream_id),
            )
        )

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        return self._message("dtmf", {"digit": digit})

    def mark(self, name: str) -> bytes:
        return self._message("mark", {"name": name})

    def stop(self) -> list[bytes]:
        body = {"call_control_id": self._stream.call_id}
        if self._stream.account_id is not None:
            body["user_id"] = self._stream.account_id
        return [self._message("stop", body)]

    def _message(self, event: str, body: object) -> bytes:
        return encode_json(
            {
                "event": event,
                "sequence_number": str(self._sequence.next()),
                event: body,
                "stream_id": self._stream.stream_id,
            }
        )


class EndpointWriter(Writer):
    """The other end; it names no stream, since a connection has one."""

    lacks = frozenset({"dtmf"})

    def media(self, track: str) -> MediaLayout:
        return MediaLayout((b'{"event":"media","media":{"payload":"', None, None, None, b'"}}'))

    def mark(self, name: str) -> bytes:
        return encode_json({"event": "mark", "mark": {"name": name}})

    def clear(self) -> list[bytes]:
        return [encode_json({"event": "clear"})]


class Telnyx(Dialect):
    """Telnyx's; what it does not tell is which tracks a stream has."""

    name = "telnyx"
    Platform = PlatformWriter
    Endpoint = EndpointWriter

    @staticmethod
    def reader(role: str, format: MediaFormat | None) -> Reader:
        return _readers[role]

    @staticmethod
    def is_begun_by(message: Mapping[str, Any]) -> bool:
        return message.get("event") == "start" and "stream_id" in message
