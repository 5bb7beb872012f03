"""Asterisk's AudioSocket: a TCP stream of frames, each a type, a length and a payload.

Source: Asterisk, "AudioSocket" (Configuration, Channel Drivers): a byte of type, two of length with the
high one first; audio is 16-bit little-endian PCM, whose rate is in the type. (An older page has 16 kHz as
type 0x11, which is 12 kHz.)
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from trunkline._native.media import MediaReader, Sequence
from trunkline.errors import FormatError, RemoteProtocolError
from trunkline.formats import MediaFormat
from trunkline.stream.dialects.dialect import (
    Dialect,
    Media,
    MediaLayout,
    Reader,
    Said,
    Stream,
    Writer,
    media_format,
)
from trunkline.stream.events import Dtmf, Start, Stop, Unknown
from trunkline.stream.messages import DIGITS

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["AudioSocket", "begins_audiosocket"]

HEADER_BYTES: Final = 3
AHEAD_BYTES_MAX: Final = 256  # of frames that wait for audio: a UUID and 59 keys
UUID_BYTES: Final = 16
DEFAULT_RATE: Final = 8_000  # of the dialplan's application

END: Final = 0x00
UUID: Final = 0x01
DTMF: Final = 0x03
ERROR: Final = 0xFF
RATES: Final = {
    0x10: 8_000,
    0x11: 12_000,
    0x12: 16_000,
    0x13: 24_000,
    0x14: 32_000,
    0x15: 44_100,
    0x16: 48_000,
    0x17: 96_000,
    0x18: 192_000,
}
TYPES: Final = {rate: kind for kind, rate in RATES.items()}


class Frame(NamedTuple):
    kind: int
    payload: bytes


def begins_audiosocket(message: "Buffer") -> bool:
    """Tell whether bytes begin as Asterisk does, with a UUID: no text does."""
    return memoryview(message)[:1].tobytes() == bytes((UUID,))


class AudioSocketReader:
    """Reads one stream, cut anywhere; what is no whole frame yet is kept, at most 65,538 bytes.

    Asterisk says the rate with the audio, so a stream that a UUID has begun starts with its first audio, and
    what comes before that waits for it, at most 256 bytes. `kind` is the audio's type when it is known, at a
    platform's end.
    """

    def __init__(self, kind: int | None) -> None:
        self._kept = bytearray()
        self._kind = kind

    def read(self, message: "str | Buffer", max_bytes: int) -> list[Said]:
        """Read some bytes of the stream; `max_bytes` are for messages, and it has none."""
        if isinstance(message, str):
            raise RemoteProtocolError(f"text message of {len(message)} characters: takes bytes")
        n_kept = len(self._kept)
        self._kept += message
        try:
            frames = list(self._frames())
            kind, said = self._say(frames)
        except BaseException:
            del self._kept[n_kept:]
            raise
        self._kind = kind
        if kind is not None:
            del self._kept[: _size(frames)]
        return said

    def open(self, media: MediaReader, stream_id: str, max_bytes: int) -> None:
        """Let whole frames of audio be taken in C."""
        media.open_frames(self._kept, self._kind or 0)

    def _frames(self) -> Iterator[Frame]:
        """Give the whole frames, up to one that ends the stream."""
        data, at = self._kept, 0
        while at + HEADER_BYTES <= len(data):
            end = at + HEADER_BYTES + int.from_bytes(data[at + 1 : at + HEADER_BYTES])
            if end > len(data):
                return
            yield Frame(data[at], bytes(data[at + HEADER_BYTES : end]))
            if data[at] == END:
                return
            at = end

    def _say(self, frames: list[Frame]) -> tuple[int | None, list[Said]]:
        """Give the type of the audio, None as long as it is not known, and what the frames say."""
        if self._kind is not None:
            return self._kind, [_said(frame, self._kind) for frame in frames]
        if frames and frames[0].kind != UUID:
            raise RemoteProtocolError(f"{_name(frames[0].kind)} frame before the UUID")
        kinds = [frame.kind for frame in frames]
        kind = next((kind for kind in kinds if kind in RATES), TYPES[DEFAULT_RATE] if END in kinds else None)
        if kind is None and _size(frames) > AHEAD_BYTES_MAX:
            raise RemoteProtocolError(f"{_size(frames)} bytes without audio: takes {AHEAD_BYTES_MAX}")
        # What waits is checked all the same.
        said = [_said(frame, kind or 0) for frame in frames[1:]]
        start = [Said("UUID", _start(frame, RATES[kind or TYPES[DEFAULT_RATE]])) for frame in frames[:1]]
        return kind, [] if kind is None else start + said


def _size(frames: list[Frame]) -> int:
    return sum(HEADER_BYTES + len(frame.payload) for frame in frames)


def _start(frame: Frame, sample_rate: int) -> Start:
    if len(frame.payload) != UUID_BYTES:
        raise RemoteProtocolError(f"UUID of {len(frame.payload)} bytes: takes {UUID_BYTES}")
    name = str(uuid.UUID(bytes=frame.payload))
    return Start(
        stream_id=name,
        call_id=name,
        account_id=None,
        tracks=("inbound",),
        media_format=media_format("L16", sample_rate),
        custom_parameters={},
        dialect="audiosocket",
    )


def _said(frame: Frame, audio: int) -> Said:
    name, payload = _name(frame.kind), frame.payload
    if frame.kind in RATES:
        if frame.kind != audio:
            raise RemoteProtocolError(f"audio of type 0x{frame.kind:02x} in a stream of type 0x{audio:02x}")
        return Said(name, Media(payload))
    if frame.kind == DTMF:
        digit = payload.decode("latin-1")
        if digit not in DIGITS:
            raise RemoteProtocolError(
                f"DTMF {payload[:8]!r} of {len(payload)} bytes: takes one of 0-9, *, #, A-D"
            )
        return Said(name, Dtmf(digit, None, None))
    if frame.kind == UUID:
        raise RemoteProtocolError("second UUID frame")
    return Said(name, Stop() if frame.kind == END else Unknown(name))


def _name(kind: int) -> str:
    if kind in RATES:
        return "audio"
    return {END: "end", UUID: "UUID", DTMF: "DTMF", ERROR: "error"}.get(kind, f"0x{kind:02x}")


def _frame(kind: int, payload: bytes = b"") -> bytes:
    return bytes((kind,)) + len(payload).to_bytes(2) + payload


class PlatformWriter(Writer):
    lacks = frozenset({"mark"})

    def __init__(self, stream: Stream, sequence: Sequence) -> None:
        super().__init__(stream, sequence)
        try:
            self._uuid = uuid.UUID(stream.call_id).bytes
        except ValueError:
            raise FormatError(f"audiosocket: call_id {stream.call_id[:64]!r} is no UUID") from None

    def start(self) -> list[bytes]:
        return [_frame(UUID, self._uuid)]

    def media(self, track: str) -> MediaLayout:
        return _audio(self._stream)

    def dtmf(self, digit: str, duration_ms: int) -> bytes:
        return _frame(DTMF, digit.encode())

    def stop(self) -> list[bytes]:
        return [_frame(END)]


class EndpointWriter(Writer):
    """The other end: it plays, and hangs up."""

    lacks = frozenset({"dtmf", "mark"})

    def media(self, track: str) -> MediaLayout:
        return _audio(self._stream)

    def stop(self) -> list[bytes]:
        return [_frame(END)]


def _audio(stream: Stream) -> MediaLayout:
    kind = bytes((TYPES[stream.format.sample_rate],))
    return MediaLayout((kind, None, None, None, b""), "counted")


class AudioSocket(Dialect):
    """Asterisk's: bytes of a TCP connection."""

    name = "audiosocket"
    is_binary = True
    is_byte_stream = True
    needs_stop = False
    has_tracks = False
    rates: ClassVar[Mapping[str, tuple[int, ...]]] = {"L16": tuple(r for r in TYPES if r <= 48_000)}
    Platform = PlatformWriter
    Endpoint = EndpointWriter

    @staticmethod
    def reader(role: str, format: MediaFormat | None) -> Reader:
        return AudioSocketReader(None if format is None else TYPES.get(format.sample_rate))
