"""JsonReader: messages that are JSON objects, each told by its event, and the bodies that dialects share."""

from typing import TYPE_CHECKING, Any, get_args

import msgspec
from msgspec import Struct

from trunkline._native.media import MediaReader
from trunkline.errors import RemoteProtocolError
from trunkline.stream.dialects.dialect import Media, Said
from trunkline.stream.events import Dtmf, Mark, Unknown
from trunkline.stream.messages import Count, Digit, Number, Text, clipped, decoded, json_of, number

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["DtmfBody", "JsonMessage", "JsonReader", "MarkBody", "MediaBody", "ReplyBody"]


class JsonMessage(Struct):
    """A message in its dialect's names: those of the stream's id, the sequence number, and maybe a `body`."""

    stream_id: str | None
    sequence_number: Number | None

    def content(self) -> Any:
        """Give what is said: a Said's `content`, or a list of them."""
        body = getattr(self, "body", None)
        return None if body is None else body.content()


class MediaBody(Struct):
    """Media of a platform."""

    track: str
    timestamp: Number
    payload: str
    chunk: Number | None = None

    def content(self) -> Media:
        timestamp_ms = number(self.timestamp, "timestamp")
        chunk = None if self.chunk is None else number(self.chunk, "chunk")
        return Media(self.payload, self.track, timestamp_ms, chunk)


class ReplyBody(Struct):
    """Media of an endpoint: it lies behind what came before."""

    payload: str

    def content(self) -> Media:
        return Media(self.payload)


class DtmfBody(Struct):
    digit: Digit
    duration: Count | None = None
    track: Text | None = None

    def content(self) -> Dtmf:
        return Dtmf(self.digit, self.duration, self.track)


class MarkBody(Struct):
    name: Text

    def content(self) -> Mark:
        return Mark(self.name)


class _Event(Struct):
    event: Text


_event = msgspec.json.Decoder(_Event)


class JsonReader:
    """Reads the JsonMessages of a union `kinds`, which has a tag; another event is an Unknown.

    Errors call the sequence number `sequence_field`. `default_track`: media of no track is inbound's;
    `from_first`: timestamps count from no beginning of the stream, but for that of its first media.
    """

    def __init__(
        self, kinds: Any, sequence_field: str, *, default_track: bool = False, from_first: bool = False
    ) -> None:
        self._options = {"default_track": default_track, "from_first": from_first}
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kinds)
        self._events = frozenset(kind.__struct_config__.tag for kind in get_args(kinds))
        self._sequence_field = sequence_field

    def read(self, message: "str | Buffer", max_bytes: int) -> list[Said]:
        """Read a message."""
        data = json_of(message, max_bytes)
        try:
            parsed: JsonMessage = decoded(data, self._decoder)
        except msgspec.ValidationError as error:
            return [self._unknown(data, error)]
        if parsed.sequence_number is not None:
            number(parsed.sequence_number, self._sequence_field)
        content = self.content(parsed)
        event = str(parsed.__struct_config__.tag)
        contents = content if type(content) is list else [content]
        return [Said(event, one, parsed.stream_id) for one in contents]

    def open(self, media: MediaReader, stream_id: str, max_bytes: int) -> None:
        """Let plain media be read in C."""
        media.open_media(stream_id, max_bytes, **self._options)

    def content(self, message: JsonMessage) -> Any:
        """Give what a message says."""
        return message.content()

    def _unknown(self, data: bytes, error: msgspec.ValidationError) -> Said:
        """Give an event that has no kind; a message of one that has is wrong, as `error` says."""
        try:
            event = decoded(data, _event).event
        except msgspec.ValidationError as wrong:
            raise RemoteProtocolError(f"message of {len(data)} bytes: {clipped(wrong)}") from None
        if event in self._events:
            raise RemoteProtocolError(f"{event} message: {clipped(error)}") from None
        return Said(event, Unknown(event))
