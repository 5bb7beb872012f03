"""SignalWire's media streams, and Twilio's, which differ in little: JSON text, audio as base64.

Sources: SignalWire, "Stream" (cXML reference); Twilio, "Media Streams - WebSocket Messages".
"""

from typing import Any, ClassVar, Final

from msgspec import Struct, field

from trunkline._native.media import Sequence
from trunkline.errors import RemoteProtocolError
from trunkline.formats import MediaFormat
from trunkline.stream.dialects.dialect import (
    Dialect,
    MediaLayout,
    Reader,
    Stream,
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

__all__ = ["ENCODINGS", "SignalWire", "Twilio"]

ENCODINGS: Final = {
    "PCMU": "audio/x-mulaw",
    "PCMA": "audio/x-alaw",
    "L16": "audio/x-L16",
    "OPUS": "audio/opus",
}


class Message(JsonMessage, tag_field="event"):
    stream_id: str | None = field(default=None, name="streamSid")
    sequence_number: Number | None = field(default=None, name="sequenceNumber")


class Connected(Message, tag="connected"):
    pass


class MediaFormatBody(Struct, rename="camel"):
    encoding: str
    sample_rate: Count
    channels: Count = 1


class StartBody(Struct, rename="camel"):
    call_sid: Text
    media_format: MediaFormatBody
    stream_sid: Text | None = None
    account_sid: Text | None = None
    tracks: list[str] | None = None
    custom_parameters: dict[Text, Text] | None = None


class StartMessage(Message, tag="start", kw_only=True):
    body: StartBody = field(name="start")
    stream_id: Text | None = field(default=None, name="streamSid")

    def content(self) -> Start:
        body = self.body
        stream_id = self.stream_id if body.stream_sid is None else body.stream_sid
        if stream_id is None:
            raise RemoteProtocolError("start message: no streamSid, neither at its top nor in start")
        audio = body.media_format
        return Start(
            stream_id=stream_id,
            call_id=body.call_sid,
            account_id=body.account_sid,
            tracks=tuple(body.tracks or ()),
            media_format=media_format(audio.encoding, audio.sample_rate, audio.channels),
            custom_parameters=body.custom_parameters or {},
            dialect="signalwire" if self.stream_id is None else "twilio",
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
        Connected | StartMessage | MediaMessage | DtmfMessage | MarkMessage | ClearMessage | StopMessage,
        "sequenceNumber",
    ),
    "platform": JsonReader(Reply | DtmfMessage | MarkMessage | ClearMessage, "sequenceNumber"),
}


class PlatformWriter(Writer):
    VERSION: ClassVar[str] = "0.2.0"

    def __init__(self, stream: Stream, sequence: Sequence) -> None:
        super().__init__(stream, sequence)
        self._ids = {"streamSid": stream.stream_id, "callSid": stream.call_id}
        if stream.account_id is not None:
            self._ids["accountSid"] = stream.account_id
        self._end = b"}"

    def start(self) -> list[bytes]:
        audio = self._stream.format
        connected = encode_json({"event": "connected", "protocol": "Call", "version": self.VERSION})
        body = {
            **self._ids,
            "tracks": self._stream.tracks,
            "customParameters": self._stream.custom_parameters,
            "mediaFormat": {
                "encoding": ENCODINGS[audio.name],
                "sampleRate": audio.sample_rate,
                "channels": 1,
            },
        }
        return [connected, self._message("start", body, numbered=True)]

    def media(self, track: str) -> MediaLayout:
        return MediaLayout(
            (
                b'{"event":"media","sequenceNumber":"',
                b'","media":{"track":"%b","chunk":"' % track.encode(),  # it holds nothing to be escaped
                b'","timestamp":"',
                b'","payload":"',
                b'"}' + self._end,
            )
        )

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        return self._message("dtmf", {"digit": digit, "duration": duration_ms}, numbered=True)

    def mark(self, name: str) -> bytes:
        return self._message("mark", {"name": name})

    def stop(self) -> list[bytes]:
        return [self._message("stop", None, numbered=True)]

    def _message(self, event: str, body: object, *, numbered: bool = False) -> bytes:
        message: dict[str, Any] = {"event": event}
        if numbered:
            message["sequenceNumber"] = str(self._sequence.next())
        if body is not None:
            message[event] = body
        return encode_json(message)[:-1] + self._end


class TwilioPlatformWriter(PlatformWriter):
    """Twilio repeats the stream's id at the top of every message but the first."""

    VERSION = "1.0.0"

    def __init__(self, stream: Stream, sequence: Sequence) -> None:
        super().__init__(stream, sequence)
        self._end = b',"streamSid":%b}' % encode_json(stream.stream_id)

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        body = {"digit": digit, "duration": duration_ms, "track": self._stream.tracks[0]}
        return self._message("dtmf", body, numbered=True)

    def stop(self) -> list[bytes]:
        body = {key: self._ids[key] for key in ("accountSid", "callSid") if key in self._ids}
        return [self._message("stop", body, numbered=True)]


class EndpointWriter(Writer):
    """The other end of a two-way stream, the same for both platforms."""

    def __init__(self, stream: Stream, sequence: Sequence) -> None:
        super().__init__(stream, sequence)
        self._id = encode_json(stream.stream_id)

    def media(self, track: str) -> MediaLayout:
        begin = b'{"event":"media","streamSid":%b,"media":{"payload":"' % self._id
        return MediaLayout((begin, None, None, None, b'"}}'))

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        return self._message({"event": "dtmf", "dtmf": {"digit": digit, "duration": duration_ms}})

    def mark(self, name: str) -> bytes:
        return self._message({"event": "mark", "mark": {"name": name}})

    def clear(self) -> list[bytes]:
        return [self._message({"event": "clear"})]

    def _message(self, body: dict[str, Any]) -> bytes:
        return encode_json(body)[:-1] + b',"streamSid":%b}' % self._id


class SignalWire(Dialect):
    """SignalWire's."""

    name = "signalwire"
    Platform = PlatformWriter
    Endpoint = EndpointWriter

    @staticmethod
    def reader(role: str, format: MediaFormat | None) -> Reader:
        return _readers[role]


class Twilio(SignalWire):
    """Twilio's; a start message that repeats the stream's id at its top is one."""

    name = "twilio"
    Platform = TwilioPlatformWriter
