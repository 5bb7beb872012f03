"""Exotel's streams (Stream and Voicebot applets): JSON text in snake_case, audio as base64, about 100 ms a
message.

Sources: Exotel, "WebSocket protocol" (AgentStream), "Working with the Stream and Voicebot Applet", its
extension guide. The encoding of a start message is of no use, "base64" or "audio/x-raw": audio is 16-bit
little-endian PCM unless it says that it is of another codec (ours: the extension guide, a beta, has mu-
law).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from msgspec import Struct, field

from trunkline.formats import MediaFormat
from trunkline.stream.dialects.dialect import (
    Dialect,
    Media,
    MediaLayout,
    Reader,
    Writer,
    encode_json,
    media_format,
)
from trunkline.stream.dialects.json_reader import JsonMessage, JsonReader, MarkBody, ReplyBody
from trunkline.stream.events import Cleared, Dtmf, Start, Stop
from trunkline.stream.messages import Digit, Number, Text, number

__all__ = ["Exotel"]

ENCODINGS: Final = {"L16": "audio/x-raw", "PCMU": "audio/x-mulaw"}
LINEAR: Final = ("base64", "raw", "slin", "raw/slin", "pcm", "pcm16", "linear16")


class Message(JsonMessage, tag_field="event"):
    stream_id: str | None = field(default=None, name="stream_sid")
    sequence_number: Number | None = None


class Connected(Message, tag="connected"):
    pass


class MediaFormatBody(Struct):
    encoding: str
    sample_rate: Number

    def format(self) -> MediaFormat:
        name = self.encoding.lower().partition(";")[0].removeprefix("audio/").removeprefix("x-")
        return media_format("L16" if name in LINEAR else name, number(self.sample_rate, "sample_rate"))


class StartBody(Struct):
    stream_sid: Text
    call_sid: Text
    media_format: MediaFormatBody
    account_sid: Text | None = None
    custom_parameters: dict[Text, Text] | None = None

    def content(self) -> Start:
        return Start(
            stream_id=self.stream_sid,
            call_id=self.call_sid,
            account_id=self.account_sid,
            tracks=(),
            media_format=self.media_format.format(),
            custom_parameters=self.custom_parameters or {},
            dialect="exotel",
        )


class StartMessage(Message, tag="start", kw_only=True):
    body: StartBody = field(name="start")


class MediaBody(Struct):
    timestamp: Number
    payload: str
    chunk: Number | None = None
    track: str = "inbound"

    def content(self) -> Media:
        timestamp_ms = number(self.timestamp, "timestamp")
        chunk = None if self.chunk is None else number(self.chunk, "chunk")
        return Media(self.payload, self.track, timestamp_ms, chunk)


class MediaMessage(Message, tag="media", kw_only=True):
    body: MediaBody = field(name="media")


class DtmfBody(Struct):
    digit: Digit
    duration: Number | None = None

    def content(self) -> Dtmf:
        return Dtmf(self.digit, None if self.duration is None else number(self.duration, "duration"), None)


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
        Connected | StartMessage | MediaMessage | DtmfMessage | MarkMessage | ClearMessage | StopMessage,
        "sequence_number",
        default_track=True,
    ),
    "platform": JsonReader(Reply | MarkMessage | ClearMessage, "sequence_number"),
}


class PlatformWriter(Writer):
    def start(self) -> list[bytes]:
        stream = self._stream
        body: dict[str, Any] = {
            "stream_sid": stream.stream_id,
            "call_sid": stream.call_id,
            "custom_parameters": stream.custom_parameters,
            "media_format": {
                "encoding": ENCODINGS[stream.format.name],
                "sample_rate": str(stream.format.sample_rate),
                "bit_rate": "16" if stream.format.name == "L16" else "8",
            },
        }
        if stream.account_id is not None:
            body["account_sid"] = stream.account_id
        return [encode_json({"event": "connected"}), self._message("start", body)]

    def media(self, track: str) -> MediaLayout:
        # Inbound is not named: so the Voicebot applet has it.
        named = b"" if track == "inbound" else b'"track":"%b",' % track.encode()
        return MediaLayout(
            (
                b'{"event":"media","sequence_number":"',
                b'","stream_sid":%b,"media":{%b"chunk":"' % (encode_json(self._stream.stream_id), named),
                b'","timestamp":"',
                b'","payload":"',
                b'"}}',
            )
        )

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        return self._message("dtmf", {"digit": digit, "duration": str(duration_ms)})

    def mark(self, name: str) -> bytes:
        return self._message("mark", {"name": name})

    def stop(self) -> list[bytes]:
        body = {"call_sid": self._stream.call_id, "reason": "callended"}
        if self._stream.account_id is not None:
            body["account_sid"] = self._stream.account_id
        return [self._message("stop", body)]

    def _message(self, event: str, body: object) -> bytes:
        return encode_json(
            {
                "event": event,
                "sequence_number": str(self._sequence.next()),
                "stream_sid": self._stream.stream_id,
                event: body,
            }
        )


class EndpointWriter(Writer):
    lacks = frozenset({"dtmf"})

    def media(self, track: str) -> MediaLayout:
        begin = b'{"event":"media","stream_sid":%b,"media":{"payload":"' % encode_json(self._stream.stream_id)
        return MediaLayout((begin, None, None, None, b'"}}'))

    def mark(self, name: str) -> bytes:
        return encode_json({"event": "mark", "stream_sid": self._stream.stream_id, "mark": {"name": name}})

    def clear(self) -> list[bytes]:
        return [encode_json({"event": "clear", "stream_sid": self._stream.stream_id})]


class Exotel(Dialect):
    """Exotel's; it takes no less than 100 ms a message."""

    name = "exotel"
    ptime_ms = 100
    rates: ClassVar[Mapping[str, tuple[int, ...]]] = {"L16": (8_000, 16_000, 24_000), "PCMU": (8_000,)}
    Platform = PlatformWriter
    Endpoint = EndpointWriter

    @staticmethod
    def reader(role: str, format: MediaFormat | None) -> Reader:
        return _readers[role]

    @staticmethod
    def is_begun_by(message: Mapping[str, Any]) -> bool:
        body = message.get("start")
        return message.get("event") == "start" and isinstance(body, dict) and "stream_sid" in body
