"""Plivo's audio streaming: JSON text, audio as base64, names of its own for what an endpoint says.

Sources: Plivo, "Stream Event Protocol", "playAudio event", "Checkpoint event", "Clear audio stream". The
reference has no stop message: a stream ends when it is closed. Some of Plivo's examples have one, so it is
read. Ours, since it is documented nowhere: L16 is little-endian; timestamps, which are a clock's, count
from the first.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from msgspec import DecodeError, Meta, Struct, field
from msgspec.json import Decoder

from trunkline._native.media import Sequence
from trunkline.errors import LocalProtocolError, RemoteProtocolError
from trunkline.formats import MediaFormat
from trunkline.stream.dialects.dialect import (
    Dialect,
    Media,
    MediaLayout,
    Reader,
    Stream,
    Writer,
    encode_json,
    media_format,
)
from trunkline.stream.dialects.json_reader import DtmfBody, JsonMessage, JsonReader, MediaBody
from trunkline.stream.events import Cleared, Dtmf, Mark, Start, Stop
from trunkline.stream.messages import Count, Number, Text

__all__ = ["Plivo"]

DIGITS_MAX: Final = 32  # of one message
ENCODINGS: Final = {"PCMU": "audio/x-mulaw", "L16": "audio/x-l16"}

_object: Decoder[dict[str, str]] = Decoder(dict[Text, Text])


class Message(JsonMessage, tag_field="event"):
    stream_id: str | None = field(default=None, name="streamId")
    sequence_number: Number | None = field(default=None, name="sequenceNumber")


class MediaFormatBody(Struct, rename="camel"):
    encoding: str
    sample_rate: Count
    channels: Count = 1


class StartBody(Struct, rename="camel"):
    stream_id: Text
    call_id: Text
    media_format: MediaFormatBody
    account_id: Text | None = None
    tracks: list[str] | None = None


class StartMessage(Message, tag="start", kw_only=True):
    body: StartBody = field(name="start")
    extra_headers: Text | None = None

    def content(self) -> Start:
        body, audio = self.body, self.body.media_format
        return Start(
            stream_id=body.stream_id,
            call_id=body.call_id,
            account_id=body.account_id,
            tracks=tuple(body.tracks or ()),
            media_format=media_format(audio.encoding, audio.sample_rate, audio.channels),
            custom_parameters=_parameters(self.extra_headers or ""),
            dialect="plivo",
        )


class MediaMessage(Message, tag="media", kw_only=True):
    body: MediaBody = field(name="media")


class DtmfMessage(Message, tag="dtmf", kw_only=True):
    body: DtmfBody = field(name="dtmf")


class PlayedStream(Message, tag="playedStream", kw_only=True):
    name: Text

    def content(self) -> Mark:
        return Mark(self.name)


class ClearedAudio(Message, tag="clearedAudio"):
    def content(self) -> Cleared:
        return Cleared()


class StopMessage(Message, tag="stop"):
    def content(self) -> Stop:
        return Stop()


class PlayAudioBody(Struct, rename="camel"):
    content_type: str
    sample_rate: Count
    payload: str

    def content(self) -> Media:
        return Media(self.payload)


class PlayAudio(Message, tag="playAudio", kw_only=True):
    body: PlayAudioBody = field(name="media")


class Checkpoint(PlayedStream, tag="checkpoint", kw_only=True):
    pass


class ClearAudio(ClearedAudio, tag="clearAudio"):
    pass


class SendDtmf(Message, tag="sendDTMF", kw_only=True):
    dtmf: Annotated[str, Meta(pattern=r"^[0-9*#A-D]+\Z", max_length=DIGITS_MAX)]

    def content(self) -> list[Dtmf]:
        return [Dtmf(digit, None, None) for digit in self.dtmf]


class PlatformReader(JsonReader):
    """Reads what an endpoint says, whose audio is of the stream's format."""

    def __init__(self, format: MediaFormat) -> None:
        super().__init__(PlayAudio | Checkpoint | ClearAudio | SendDtmf, "sequenceNumber")
        self._format = format

    def content(self, message: JsonMessage) -> Any:
        if isinstance(message, PlayAudio):
            given = media_format(message.body.content_type.partition(";")[0], message.body.sample_rate)
            if given != self._format:
                raise RemoteProtocolError(
                    f"playAudio of {given.codec} at {given.sample_rate} Hz in a stream of "
                    f"{self._format.codec} at {self._format.sample_rate} Hz"
                )
        return message.content()


_endpoint_reader: Final = JsonReader(
    StartMessage | MediaMessage | DtmfMessage | PlayedStream | ClearedAudio | StopMessage,
    "sequenceNumber",
    from_first=True,
)


class PlatformWriter(Writer):
    def __init__(self, stream: Stream, sequence: Sequence) -> None:
        super().__init__(stream, sequence)
        self._headers = _extra_headers(stream.custom_parameters)

    def start(self) -> list[bytes]:
        stream = self._stream
        body: dict[str, Any] = {
            "callId": stream.call_id,
            "streamId": stream.stream_id,
            "tracks": stream.tracks,
            "mediaFormat": {
                "encoding": ENCODINGS[stream.format.name],
                "sampleRate": stream.format.sample_rate,
            },
        }
        if stream.account_id is not None:
            body["accountId"] = stream.account_id
        message = {"event": "start", "sequenceNumber": self._sequence.next(), "start": body}
        return [encode_json({**message, "extra_headers": self._headers})]

    def media(self, track: str) -> MediaLayout:
        stream_id = encode_json(self._stream.stream_id)
        return MediaLayout(
            (
                b'{"event":"media","sequenceNumber":',
                # A track's name holds nothing to be escaped.
                b',"streamId":%b,"media":{"track":"%b","chunk":' % (stream_id, track.encode()),
                b',"timestamp":"',
                b'","payload":"',
                b'"},"extra_headers":%b}' % encode_json(self._headers),
            )
        )

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        return self._message("dtmf", dtmf={"track": self._stream.tracks[0], "digit": digit})

    def mark(self, name: str) -> bytes:
        return self._message("playedStream", name=name)

    def clear(self) -> list[bytes]:
        return [self._message("clearedAudio")]

    def _message(self, event: str, **fields: object) -> bytes:
        return encode_json(
            {
                "event": event,
                "sequenceNumber": self._sequence.next(),
                "streamId": self._stream.stream_id,
                **fields,
            }
        )


class EndpointWriter(Writer):
    def media(self, track: str) -> MediaLayout:
        audio = self._stream.format
        begin = b'{"event":"playAudio","media":{"contentType":"%b","sampleRate":%d,"payload":"' % (
            ENCODINGS[audio.name].encode(),
            audio.sample_rate,
        )
        return MediaLayout((begin, None, None, None, b'"}}'))

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        return encode_json({"event": "sendDTMF", "dtmf": digit})

    def mark(self, name: str) -> bytes:
        return encode_json({"event": "checkpoint", "streamId": self._stream.stream_id, "name": name})

    def clear(self) -> list[bytes]:
        return [encode_json({"event": "clearAudio", "streamId": self._stream.stream_id})]


class Plivo(Dialect):
    """Plivo's."""

    name = "plivo"
    needs_stop = False
    rates: ClassVar[Mapping[str, tuple[int, ...]]] = {"PCMU": (8_000,), "L16": (8_000, 16_000)}
    Platform = PlatformWriter
    Endpoint = EndpointWriter

    @staticmethod
    def reader(role: str, format: MediaFormat | None) -> Reader:
        return _endpoint_reader if format is None else PlatformReader(format)

    @staticmethod
    def is_begun_by(message: Mapping[str, Any]) -> bool:
        body = message.get("start")
        return message.get("event") == "start" and isinstance(body, dict) and "streamId" in body


def _parameters(headers: str) -> dict[str, str]:
    """Read extra_headers, "a=1;b=2" or a JSON object; what is neither is passed over."""
    if headers.startswith("{"):
        try:
            return _object.decode(headers)
        except DecodeError:
            return {}
    pairs = (header.partition("=") for header in headers.split(";"))
    return {name: value for name, equals, value in pairs if equals}


def _extra_headers(parameters: Mapping[str, str]) -> str:
    for name, value in parameters.items():
        if ";" in name + value or "=" in name or name.startswith("{"):
            raise LocalProtocolError(
                f"plivo: custom parameter {name[:32]!r}: takes no semicolon, and no equals sign in its name"
            )
    return ";".join(f"{name}={value}" for name, value in parameters.items())
