"""StreamReceiver: the messages of one stream in, typed events and Frames out."""

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from trunkline._native import base64
from trunkline._native.exclusive import exclusive
from trunkline._native.media import MediaReader
from trunkline.errors import FormatError, LocalProtocolError, RemoteProtocolError
from trunkline.formats import CodecSpec, MediaFormat
from trunkline.stream import messages
from trunkline.stream.dialects import Dialect, Media, Reader, Said, detect, find_dialect
from trunkline.stream.events import Cleared, Event, Mark, Start, Stop, Unknown
from trunkline.track import Track, TrackStats

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["StreamReceiver"]


class StreamReceiver(MediaReader):
    """Read one media stream, in any platform's dialect: PCMU, PCMA, L16 or OPUS, one track or both.

    Parameters: `sample_rate` of the Frames in Hz, 4,000 to 192,000, None for the stream's own; `frame_ms`,
    their duration, 1 to 1,000 ms and a whole number of samples at the stream's rate and at theirs;
    `output`, "pcm" or, to have each Payload as it came before its Frames, "both", or instead of Frames,
    undecoded and of any codec, "encoded"; `dialect`, "signalwire", "twilio", "telnyx", "plivo", "exotel",
    "vonage" or "audiosocket", None to tell it from the first messages; `max_message_bytes`, what one message
    may have in UTF-8; `wait_ms`, how long a missing chunk is waited for once a later one is there, 0 to take
    them as they come.

    `role="platform"` reads what an endpoint sends back on a two-way stream: media, mark, clear, dtmf. It
    takes the `format` that the platform announced, as in "PCMU" or "L16@24000h", and its `stream_id`, which
    messages name or leave out; its `dialect` is "signalwire" when not given, and there is no
    output="encoded". The audio is gapless, in Frames of the track "outbound". Before a Mark comes all audio
    that was sent before it, in a frame that may be shorter; Cleared drops what makes no whole frame yet;
    `close` brings the rest.

    Whoever gives `arrival_ms` calls `poll` at `next_deadline_ms`; without it, a missing chunk is waited for
    until three later ones are there.

    After an error the state is as it was before the message, so the caller may go on.

    >>> from trunkline.stream import StreamReceiver, StreamSender
    >>> sender = StreamSender("PCMU", call_id="call-1")
    >>> receiver = StreamReceiver()
    >>> for message in sender.start() + sender.media(bytes(2 * 200)) + sender.stop():
    ...     for event in receiver.receive(message):
    ...         print(type(event).__name__, getattr(event, "duration_ms", ""))
    Start
    Frame 20.0
    Frame 5.0
    Stop
    """

    def __init__(
        self,
        *,
        sample_rate: int | None = None,
        frame_ms: int = 20,
        output: str = "pcm",
        dialect: str | None = None,
        max_message_bytes: int = 65536,
        wait_ms: float = 60.0,
        role: str = "endpoint",
        format: CodecSpec | str | None = None,
        stream_id: str | None = None,
    ) -> None:
        if role not in ("endpoint", "platform"):
            raise FormatError(f"role {role!r}: takes endpoint or platform")
        if max_message_bytes < 1:
            raise FormatError(f"messages of at most {max_message_bytes} bytes: takes 1 or more")
        self._told = dialect
        self._dialect: type[Dialect] | None = None if dialect is None else find_dialect(dialect)
        self._sample_rate = sample_rate
        self._is_encoded = output == "encoded"
        self._make_track = partial(
            Track, frame_ms=frame_ms, sample_rate=sample_rate, wait_ms=wait_ms, output=output
        )
        self._make_track(MediaFormat("PCMU", 8000))  # for its checks
        self._reply: Track | None = None
        self._reader: Reader | None = None  # None: the dialect is not known
        self._stream_id = stream_id
        if role == "platform":
            if format is None or output == "encoded":
                raise FormatError("role platform: takes a format, and no output='encoded'")
            announced = _media_format(format)
            self._reply = self._make_track(announced, name="outbound")
            self._dialect = self._dialect or find_dialect("signalwire")
            self._reader = self._dialect.reader(role, announced)
        elif format is not None or stream_id is not None:
            raise FormatError("role endpoint: the start message says format and stream_id")
        elif self._dialect is not None:
            self._reader = self._dialect.reader(role, None)
        self._max_message_bytes = max_message_bytes
        self._tracks: dict[str, Track] = {} if self._reply is None else {"outbound": self._reply}
        self._start: Start | None = None
        self._laid_bytes = 0  # of payloads that say no time, and are passed on
        self._stopped = False
        self._closed = False
        self._unknown_events = 0

    @property
    def start(self) -> Start | None:
        """The start message, once it has come."""
        return self._start

    @property
    def stats(self) -> dict[str, TrackStats]:
        """Counters of each track: those declared; where none were, those that have come."""
        return {name: track.stats for name, track in self._tracks.items()}

    @property
    def unknown_events(self) -> int:
        """How many messages had an event name that this version does not know."""
        return self._unknown_events

    @property
    def ended(self) -> bool:
        """True after the stop message or `close`."""
        return self._stopped or self._closed

    @property
    def is_binary(self) -> bool:
        """Whether bytes are binary messages, and text is given as str: as soon as the dialect is known."""
        return self._dialect is not None and self._dialect.is_binary

    @property
    def needs_stop(self) -> bool:
        """Whether a stream that is closed without a stop message was broken off: not in every dialect."""
        return self._dialect is None or self._dialect.needs_stop

    @property
    def _may_open(self) -> bool:
        """Whether C may do with plain media: not where times have to be made up."""
        return not (self.is_binary and self._is_encoded)

    @exclusive
    def poll(self, now_ms: float) -> list[Event]:
        """Give up the chunks that have been waited for long enough; return what lay behind them."""
        return [event for track in self._tracks.values() for event in track.poll(now_ms)]

    if TYPE_CHECKING:

        def receive(self, message: "str | Buffer", arrival_ms: float | None = None) -> list[Event]:
            """Most messages are plain media and are done with in C; the others come to `_receive`."""

    @exclusive
    def _receive(self, message: "str | Buffer", arrival_ms: float | None) -> list[Event]:
        if self._closed:
            raise LocalProtocolError("receive after close")
        reader, has_begun = self._reader or self._detected(message), self._start is not None
        try:
            said = reader.read(message, self._max_message_bytes)
        except RemoteProtocolError as error:
            if has_begun or self._reply is not None:
                raise
            raise RemoteProtocolError(f"{error}{self._hint(message)}") from error
        if self._stopped:
            raise RemoteProtocolError("message after stop")
        events = [event for one in said for event in self._on(one, arrival_ms)]
        if self._dialect is not None:
            self._reader = reader
            if self._start is not None and not has_begun and not self._stopped and self._may_open:
                reader.open(self, self._start.stream_id, self._max_message_bytes)
        return events

    @exclusive
    def close(self, *, in_order: bool = False) -> list[Event]:
        """End a stream whose connection has ended: return the last Frames. Idempotent.

        `in_order`: the peer has closed the connection as the protocol wants it. Where that ends a stream,
        which `needs_stop` tells, Stop comes last.
        """
        rest = [] if self.ended else self._flush()
        if in_order and not self.ended and self._start is not None and not self.needs_stop:
            rest.append(Stop())
        self._closed = True
        self.close_media()
        return rest

    def _detected(self, message: "str | Buffer") -> Reader:
        """Make what reads a message of the dialect that it begins."""
        dialect = detect(message, self._max_message_bytes)
        if dialect.is_byte_stream:  # its beginning may be cut
            self._dialect = dialect
        return dialect.reader("endpoint", None)

    def _hint(self, message: "str | Buffer") -> str:
        """Say which dialect we were told, to whoever reads that a message is none of it."""
        if self._told is None:
            return ""
        looks = detect(message, self._max_message_bytes).name
        known = "" if looks in (self._told, "signalwire") else f", and this looks like {looks!r}"
        return f" (dialect={self._told!r} was asked for{known})"

    def _on(self, said: Said, arrival_ms: float | None) -> list[Event]:
        content = said.content
        if isinstance(content, Unknown):
            self._unknown_events += 1
            return [content]
        if self._reply is not None:
            return self._on_reply(said, self._reply)
        if content is None:
            return []
        if isinstance(content, Start):
            return [self._on_start(content, said.stream_id)]
        start = self._started(said)
        if isinstance(content, Media):
            return self._on_media(content, start, arrival_ms)
        if isinstance(content, Stop):
            return self._on_stop()
        return [content]

    def _on_reply(self, said: Said, track: Track) -> list[Event]:
        content = said.content
        if self._stream_id is not None:
            _check_stream_id(said.stream_id, self._stream_id)
        if isinstance(content, Media):
            return [*track.push(_payload(content), timestamp_ms=None)]
        if isinstance(content, Mark):
            return [*track.flush(), content]
        if isinstance(content, Cleared):
            track.flush()
        if isinstance(content, Stop):
            return self._on_stop()
        return [] if content is None else [content]

    def _on_stop(self) -> list[Event]:
        self._stopped = True
        self.close_media()
        return [*self._flush(), Stop()]

    def _on_media(self, media: Media, start: Start, arrival_ms: float | None) -> list[Event]:
        track = self._tracks.get(media.track) or self._undeclared(media.track, start)
        payload = _payload(media)  # everything is checked before the track sees it
        timestamp_ms = self._time_of(media, len(payload), start)
        events = track.push(payload, timestamp_ms=timestamp_ms, sequence=media.chunk, arrival_ms=arrival_ms)
        self._add_track(media.track, track)
        return [*events]

    def _time_of(self, media: Media, n_bytes: int, start: Start) -> int | None:
        if media.timestamp_ms is not None:
            return self.stream_time(media.timestamp_ms)
        if not self._is_encoded:
            return None
        laid_bytes, audio = self._laid_bytes, start.media_format
        self._laid_bytes += n_bytes
        return laid_bytes * 1000 // (2 * audio.sample_rate * audio.channels)

    def _on_start(self, start: Start, named_id: str | None) -> Start:
        if self._start is not None:
            raise RemoteProtocolError(f"second start message in stream {self._start.stream_id[:64]!r}")
        tracks = start.tracks
        if not set(tracks) <= set(messages.TRACKS) or len(set(tracks)) < len(tracks):
            raise RemoteProtocolError(f"tracks {str(tracks)[:64]}: takes inbound and outbound, each once")
        dialect = find_dialect(self._told or start.dialect)
        start = msgspec.structs.replace(start, dialect=dialect.name, sample_rate=self._sample_rate)
        _check_stream_id(named_id, start.stream_id)
        # A codec that we cannot decode is refused now, even when no track is declared.
        made = {name: self._new_track(name, start) for name in tracks or messages.TRACKS}
        self._dialect = dialect
        for name in tracks:
            self._add_track(name, made[name])
        self._start = start
        return start

    def _started(self, said: Said) -> Start:
        if self._start is None:
            raise RemoteProtocolError(f"{said.event} message before start")
        _check_stream_id(said.stream_id, self._start.stream_id)
        return self._start

    def _undeclared(self, name: str, start: Start) -> Track:
        """Give the track of a start message that declared none."""
        takes = start.tracks or messages.TRACKS
        if name not in takes:
            raise RemoteProtocolError(f"media of track {name[:32]!r}: takes {', '.join(takes)}")
        return self._new_track(name, start)

    def _add_track(self, name: str, track: Track) -> None:
        self._tracks[name] = track
        self.add_track(track)

    def _new_track(self, name: str, start: Start) -> Track:
        return self._make_track(start.media_format, name=name)

    def _flush(self) -> list[Event]:
        return [event for track in self._tracks.values() for event in track.flush()]


def _media_format(format: CodecSpec | str) -> MediaFormat:
    spec = CodecSpec.parse(format) if isinstance(format, str) else format
    return MediaFormat(spec.name, spec.sample_rate)


def _payload(media: Media) -> bytes:
    return base64.decode(media.payload) if isinstance(media.payload, str) else media.payload


def _check_stream_id(stream_id: str | None, ours: str) -> None:
    if stream_id is not None and stream_id != ours:
        raise RemoteProtocolError(f"message of stream {stream_id[:64]!r} in stream {ours[:64]!r}")
