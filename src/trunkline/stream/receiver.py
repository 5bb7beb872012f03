"""StreamReceiver: the messages of one stream in, typed events and Frames out."""

from functools import partial
from typing import TYPE_CHECKING

from trunkline._native import base64
from trunkline._native.exclusive import exclusive
from trunkline._native.media import MediaReader
from trunkline.errors import FormatError, LocalProtocolError, RemoteProtocolError
from trunkline.formats import CodecSpec, MediaFormat
from trunkline.stream import dialects, messages
from trunkline.stream.events import Cleared, Dtmf, Event, Mark, Start, Stop, Unknown
from trunkline.track import Track, TrackStats

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["StreamReceiver"]


class StreamReceiver(MediaReader):
    """Read one media stream: SignalWire's or Twilio's messages, PCMU, PCMA, L16 or OPUS, one track or both.

    Parameters: `sample_rate` of the Frames in Hz, 4,000 to 192,000, None for the stream's own; `frame_ms`,
    their duration, 1 to 1,000 ms and a whole number of samples at the stream's rate and at theirs;
    `output`, "pcm" or, to have each Payload as it came before its Frames, "both", or instead of Frames,
    undecoded and of any codec, "encoded"; `dialect`, "signalwire" or "twilio", None to tell it from the start
    message; `max_message_bytes`, what one message may have in UTF-8;
    `wait_ms`, how long a missing chunk is waited for once a later one is there, 0 to take them as they come.

    `role="platform"` reads what an endpoint sends back on a two-way stream: media, mark, clear, dtmf. It
    takes the `format` that the platform announced, as in "PCMU" or "L16@24000h", and its `stream_id`, which
    messages name or leave out; no dialect, no output="encoded". The audio is gapless, in Frames of the track
    "outbound". Before a Mark comes all audio that was sent before it, in a frame that may be shorter; Cleared
    drops what makes no whole frame yet; `close` brings the rest.

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
        if dialect is not None:
            dialects.check_dialect(dialect)
        self._sample_rate = sample_rate
        self._make_track = partial(
            Track, frame_ms=frame_ms, sample_rate=sample_rate, wait_ms=wait_ms, output=output
        )
        self._make_track(MediaFormat("PCMU", 8000))  # for its checks
        self._reply: Track | None = None
        self._stream_id = stream_id
        if role == "platform":
            if format is None or dialect is not None or output == "encoded":
                raise FormatError("role platform: takes a format, no dialect and no output='encoded'")
            self._reply = self._make_track(_media_format(format), name="outbound")
        elif format is not None or stream_id is not None:
            raise FormatError("role endpoint: the start message says format and stream_id")
        self._dialect = dialect
        self._max_message_bytes = max_message_bytes
        self._tracks: dict[str, Track] = {} if self._reply is None else {"outbound": self._reply}
        self._start: Start | None = None
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
        if self._reply is not None:
            return self._on_reply(message, self._reply)
        parsed = messages.parse(message, self._max_message_bytes)
        if self._stopped:
            raise RemoteProtocolError("message after stop")
        if isinstance(parsed, messages.Media):
            return self._on_media(parsed, arrival_ms)
        return self._on_other(parsed)

    @exclusive
    def close(self) -> list[Event]:
        """End a stream whose connection was lost: return the last Frames. Idempotent."""
        rest = [] if self.ended else self._flush()
        self._closed = True
        self.close_media()
        return rest

    def _on_reply(self, message: "str | Buffer", track: Track) -> list[Event]:
        parsed = messages.parse_of_endpoint(message, self._max_message_bytes)
        if isinstance(parsed, messages.Unrecognised):
            self._unknown_events += 1
            return [Unknown(parsed.event)]
        if self._stream_id is not None:
            _check_stream_id(parsed.stream_sid, self._stream_id)
        match parsed:
            case messages.Reply(media=body):
                return [*track.push(base64.decode(body.payload), timestamp_ms=None)]
            case messages.Mark(mark=mark):
                return [*track.flush(), Mark(mark.name)]
            case messages.Dtmf(dtmf=dtmf):
                return [Dtmf(dtmf.digit, dtmf.duration, dtmf.track)]
        track.flush()
        return [Cleared()]

    def _on_media(self, message: messages.Media, arrival_ms: float | None) -> list[Event]:
        start = self._started("media", message.stream_sid)
        body = message.media
        track = self._tracks.get(body.track) or self._undeclared(body.track, start)
        # Everything is checked before the track sees it.
        timestamp_ms = messages.number(body.timestamp, "timestamp")
        sequence = None if body.chunk is None else messages.number(body.chunk, "chunk")
        payload = base64.decode(body.payload)
        events = track.push(payload, timestamp_ms=timestamp_ms, sequence=sequence, arrival_ms=arrival_ms)
        self._add_track(body.track, track)
        return [*events]

    def _on_other(self, message: messages.Known | messages.Unrecognised) -> list[Event]:
        match message:
            case messages.Connected():
                return []
            case messages.Start():
                return [self._on_start(message)]
            case messages.Unrecognised(event=name):
                self._unknown_events += 1
                return [Unknown(name)]
        self._started(str(message.__struct_config__.tag), message.stream_sid)
        match message:
            case messages.Dtmf(dtmf=body):
                return [Dtmf(body.digit, body.duration, body.track)]
            case messages.Mark(mark=body):
                return [Mark(body.name)]
            case messages.Clear():
                return [Cleared()]
        self._stopped = True
        self.close_media()
        return [*self._flush(), Stop()]

    def _on_start(self, message: messages.Start) -> Start:
        if self._start is not None:
            raise RemoteProtocolError(f"second start message in stream {self._start.stream_id[:64]!r}")
        body = message.start
        stream_id = message.stream_sid if body.stream_sid is None else body.stream_sid
        if stream_id is None:
            raise RemoteProtocolError("start message: no streamSid, neither at its top nor in start")
        tracks = tuple(body.tracks or ())
        if not set(tracks) <= set(messages.TRACKS) or len(set(tracks)) < len(tracks):
            raise RemoteProtocolError(f"tracks {str(tracks)[:64]}: takes inbound and outbound, each once")
        start = Start(
            stream_id=stream_id,
            call_id=body.call_sid,
            account_id=body.account_sid,
            tracks=tracks,
            media_format=dialects.media_format(body.media_format),
            custom_parameters=body.custom_parameters or {},
            dialect=self._dialect or dialects.detect(message),
            sample_rate=self._sample_rate,
        )
        _check_stream_id(message.stream_sid, stream_id)
        # A codec that we cannot decode is refused now, even when no track is declared.
        made = {name: self._new_track(name, start) for name in tracks or messages.TRACKS}
        self.open_media(start.stream_id, self._max_message_bytes)
        for name in tracks:
            self._add_track(name, made[name])
        self._start = start
        return start

    def _started(self, event: str, stream_id: str | None) -> Start:
        if self._start is None:
            raise RemoteProtocolError(f"{event} message before start")
        _check_stream_id(stream_id, self._start.stream_id)
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


def _check_stream_id(stream_id: str | None, ours: str) -> None:
    if stream_id is not None and stream_id != ours:
        raise RemoteProtocolError(f"streamSid {stream_id[:64]!r} in stream {ours[:64]!r}")
