"""What a dialect is: how one platform and its endpoints write a stream's messages.

Each module beside this one has a Dialect, a class that is not instantiated, for a platform. It tells

    what it is     name, is_binary, needs_stop, ptime_ms, rates
    when it is it  is_begun_by, from the first message
    how to read    reader(role, format) -> Reader: a message -> what it says, a Said for each event
    how to write   Platform, Endpoint: two Writers: an event -> its message

A Reader and a Writer are one stream's; both are made for an end of it, by its role. What a message says is
one of the events that a StreamReceiver gives, or a Media, out of which it makes them. In which order they
may come, and whether a track may have them, is the receiver's to check; that a message is well-formed is
the Reader's.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol

import msgspec

from trunkline._native.media import MediaReader, Sequence
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.formats import STREAM_RATE_MAX, CodecSpec, MediaFormat
from trunkline.stream.events import Cleared, Dtmf, Mark, Start, Stop, Unknown

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Dialect",
    "Media",
    "MediaLayout",
    "Reader",
    "Said",
    "Stream",
    "TextMessage",
    "Writer",
    "encode_json",
    "media_format",
]

STREAM_CHANNELS_MAX: Final = 2  # of a track; a start message allocates by these numbers

_CODECS: Final = {"mulaw": "PCMU", "alaw": "PCMA"}

encode_json = msgspec.json.Encoder().encode


class Media(NamedTuple):
    """A payload, and where it lies."""

    payload: bytes | str  # a str is base64 that nobody has looked into
    track: str = "inbound"
    timestamp_ms: int | None = None  # None: behind all audio so far
    chunk: int | None = None  # its number, from any on; None: they have none


class Said(NamedTuple):
    """What a message says: `event` is its name on the wire."""

    event: str
    content: Start | Media | Dtmf | Mark | Cleared | Stop | Unknown | None  # None: nothing
    stream_id: str | None = None  # of the stream that it names


class Reader(Protocol):
    """Reads the messages of one stream."""

    def read(self, message: "str | Buffer", max_bytes: int) -> list[Said]:
        """Read a message of at most `max_bytes`, or raise what is wrong with it and change nothing."""

    def open(self, media: MediaReader, stream_id: str, max_bytes: int) -> None:
        """Let plain media of the stream, which has begun, be read in C from here on."""


class Stream(NamedTuple):
    """What a Writer tells of its stream."""

    stream_id: str
    call_id: str
    account_id: str | None
    format: CodecSpec
    tracks: tuple[str, ...]
    custom_parameters: Mapping[str, str]


class MediaLayout(NamedTuple):
    """How a payload becomes a message.

    `parts` are what is before, between and behind its sequence number, chunk, timestamp and payload; a part
    of None leaves out itself and the number before it. `encoding`: "base64", "raw", or "counted", which is
    raw behind its length in two bytes.
    """

    parts: tuple[bytes | None, ...]
    encoding: str = "base64"


class TextMessage(bytes):
    """A text message, in UTF-8, of a dialect whose other messages are binary."""

    __slots__ = ()


class Writer(ABC):
    """Writes the messages of one stream's end; what its dialect `lacks` is refused before it is asked for.

    `sequence` counts the messages that have a number.
    """

    lacks: ClassVar[frozenset[str]] = frozenset()  # of "dtmf", "mark"

    def __init__(self, stream: Stream, sequence: Sequence) -> None:
        self._stream = stream
        self._sequence = sequence

    def start(self) -> list[bytes]:
        """Write what begins a platform's stream."""
        raise LocalProtocolError("start: a platform begins the stream, an endpoint answers")

    @abstractmethod
    def media(self, track: str) -> MediaLayout:
        """Say how the payloads of a track are written."""

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        """Write a key press."""
        raise NotImplementedError

    def mark(self, name: str) -> bytes:
        """Write a mark; a platform's tells that the audio before it was heard."""
        raise NotImplementedError

    def clear(self) -> list[bytes]:
        """Write that queued audio is to be dropped, as a platform that it was; [] where nobody says so."""
        return []

    def stop(self) -> list[bytes]:
        """Write the end; [] where closing is all there is."""
        return []


class Dialect(ABC):
    """A platform's spelling of a stream."""

    name: ClassVar[str]
    is_binary: ClassVar[bool] = False  # bytes are binary messages, and text ones are TextMessages
    is_byte_stream: ClassVar[bool] = False  # and binary ones are cut anywhere, as TCP does
    needs_stop: ClassVar[bool] = True  # else a stream also ends when it is closed
    has_tracks: ClassVar[bool] = True  # else there is one, called inbound
    ptime_ms: ClassVar[int] = 20  # of what an endpoint is to send
    rates: ClassVar[Mapping[str, tuple[int, ...]]] = {}  # by codec, of what there is; {}: of any
    Platform: ClassVar[type[Writer]]
    Endpoint: ClassVar[type[Writer]]

    @staticmethod
    @abstractmethod
    def reader(role: str, format: MediaFormat | None) -> Reader:
        """Make what reads one stream at the end `role`; `format` is what a platform has announced."""

    @staticmethod
    def is_begun_by(message: Mapping[str, Any]) -> bool:
        """Tell whether a JSON message begins a stream of this dialect, and of no other."""
        return False

    @classmethod
    def check(cls, stream: Stream, role: str) -> None:
        """Refuse a format that the platform does not have, and tracks: FormatError."""
        audio = stream.format
        if role == "platform" and not cls.has_tracks and stream.tracks != ("inbound",):
            raise FormatError(f"{cls.name}: tracks {', '.join(stream.tracks)}: takes inbound alone")
        if cls.rates and audio.sample_rate not in cls.rates.get(audio.name, ()):
            takes = "; ".join(
                f"{name} at {', '.join(map(str, rates))} Hz" for name, rates in cls.rates.items()
            )
            raise FormatError(f"{cls.name}: {audio.name} at {audio.sample_rate} Hz: takes {takes}")


def media_format(encoding: str, sample_rate: int, channels: int = 1) -> MediaFormat:
    """Make a format of what a start message says; the encoding may also be a bare codec name, in any case."""
    if sample_rate > STREAM_RATE_MAX or channels > STREAM_CHANNELS_MAX:
        raise FormatError(
            f"stream of {sample_rate} Hz with {channels} channels: "
            f"takes up to {STREAM_RATE_MAX} Hz with {STREAM_CHANNELS_MAX}"
        )
    name = encoding.lower().removeprefix("audio/").removeprefix("x-")
    return MediaFormat(_CODECS.get(name, name.upper()), sample_rate, channels)
