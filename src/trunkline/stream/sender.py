"""StreamSender: PCM and events in, the messages of one stream out."""

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trunkline._native.exclusive import exclusive
from trunkline._native.media import MediaSender, MediaWriter
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.formats import CodecSpec, whole_samples
from trunkline.stream import messages
from trunkline.stream.dialects import Stream, TextMessage, find_dialect
from trunkline.stream.dialects.dialect import MediaLayout
from trunkline.stream.events import Start
from trunkline.track import Packetizer

if TYPE_CHECKING:
    from trunkline.opus import Encoder

__all__ = ["StreamSender"]


class StreamSender(MediaSender):
    """Write one media stream, in any platform's dialect.

    A message is bytes: UTF-8 to be sent as text, or where `is_text` says that it is none, a binary message.
    In the dialect "audiosocket" all are pieces of a stream of bytes.

    Parameters: `format`, the codec as in "PCMA", "L16@24000h@40i" or "OPUS@16000h"; `sample_rate` of the
    PCM that `media` is given, None for the codec's own: another, 4,000 to 192,000 Hz with a whole number of
    samples a packet, is resampled in quality "voice"; `dialect`, "signalwire", "twilio", "telnyx", "plivo",
    "exotel", "vonage" or "audiosocket"; `tracks`, which of "inbound" and "outbound" it has; ids are made up
    where they are None; `encoder`, for OPUS, an opus.Encoder of the codec's rate whose settings (bitrate,
    FEC, DTX) each track is to have.

    `role="platform"` begins a stream and declares its tracks. `role="endpoint"` answers on a two-way stream:
    it takes the stream's id and its format, has the one track "outbound" and no `start`, and says `clear`;
    `StreamSender.answer` makes it of a Start.

    Raises FormatError for arguments that are unknown, that we cannot encode or that the dialect has not,
    LocalProtocolError for a call that the other end would have to refuse, such as media before start, and for
    what there is no message for.

    >>> from trunkline.stream import StreamSender
    >>> sender = StreamSender("PCMU", stream_id="S1", call_id="C1")
    >>> for message in sender.start() + sender.media(bytes(2 * 160)):
    ...     print(message.decode()[:70])
    {"event":"connected","protocol":"Call","version":"0.2.0"}
    {"event":"start","sequenceNumber":"1","start":{"streamSid":"S1","callS
    {"event":"media","sequenceNumber":"2","media":{"track":"inbound","chun
    """

    def __init__(
        self,
        format: CodecSpec | str,
        *,
        sample_rate: int | None = None,
        dialect: str = "signalwire",
        tracks: Sequence[str] | None = None,
        stream_id: str | None = None,
        call_id: str | None = None,
        account_id: str | None = None,
        custom_parameters: Mapping[str, str] | None = None,
        encoder: "Encoder | None" = None,
        role: str = "platform",
    ) -> None:
        self._dialect = find_dialect(dialect)
        if role not in ("platform", "endpoint"):
            raise FormatError(f"role {role!r}: takes platform or endpoint")
        if role == "endpoint" and (
            stream_id is None or tracks is not None or custom_parameters or account_id
        ):
            raise FormatError(
                "role endpoint: takes a stream_id, and no tracks, account_id or custom_parameters"
            )
        if tracks is None:
            tracks = ("inbound",) if role == "platform" else ("outbound",)
        if not tracks or not set(tracks) <= set(messages.TRACKS) or len(set(tracks)) < len(tracks):
            raise FormatError(f"tracks {tracks!r}: takes inbound, outbound or both")
        self._format = CodecSpec.parse(format) if isinstance(format, str) else format
        self._sample_rate = self._format.sample_rate if sample_rate is None else sample_rate
        stream = Stream(
            str(uuid.uuid4()) if stream_id is None else stream_id,
            str(uuid.uuid4()) if call_id is None else call_id,
            account_id,
            self._format,
            tuple(tracks),
            dict(custom_parameters or {}),
        )
        self._dialect.check(stream, role)
        messages.check_text(stream.stream_id, stream.call_id, account_id or "")
        messages.check_text(*stream.custom_parameters, *stream.custom_parameters.values())
        self._stream = stream
        self._role = role
        make_writer = self._dialect.Platform if role == "platform" else self._dialect.Endpoint
        self._writer = make_writer(stream, self.sequence)
        for name in tracks:
            packetizer = Packetizer(self._format, sample_rate=self._sample_rate, encoder=encoder)
            self.add_track(name, _writer_of(packetizer, self._writer.media(name)))
        whole_samples(self._format.ptime_ms, self._sample_rate, "ptime")
        self._started = self._stopped = False
        if role == "endpoint":
            self._begin()

    @classmethod
    def answer(
        cls, start: Start, *, sample_rate: int | None = None, encoder: "Encoder | None" = None
    ) -> "StreamSender":
        """Make what answers on the two-way stream that `start` has begun: an endpoint's, in its dialect.

        `sample_rate` of the PCM, None for that of the frames. FormatError when the stream has more than one
        channel, or a codec that we do not encode.

        >>> from trunkline.stream import StreamReceiver, StreamSender
        >>> receiver = StreamReceiver()
        >>> for message in StreamSender("PCMU", dialect="plivo").start():
        ...     events = receiver.receive(message)
        >>> StreamSender.answer(receiver.start).media(bytes(2 * 160))[0][:60]
        b'{"event":"playAudio","media":{"contentType":"audio/x-mulaw",'
        """
        audio = start.media_format
        if audio.channels != 1:
            raise FormatError(f"play on a stream of {audio.channels} channels: takes one")
        return cls(
            CodecSpec(audio.codec, audio.sample_rate, find_dialect(start.dialect).ptime_ms),
            sample_rate=start.sample_rate if sample_rate is None else sample_rate,
            dialect=start.dialect,
            stream_id=start.stream_id,
            role="endpoint",
            encoder=encoder,
        )

    @property
    def format(self) -> CodecSpec:
        """The codec, its sample rate and ptime."""
        return self._format

    @property
    def sample_rate(self) -> int:
        """Of the PCM that `media` takes, in Hz."""
        return self._sample_rate

    @property
    def tracks(self) -> tuple[str, ...]:
        """The declared tracks; the first is the default of `media`."""
        return self._stream.tracks

    @property
    def delay_ms(self) -> float:
        """How much later the PCM lies in the messages' audio: 0 but for another sample_rate, and OPUS."""
        return self.packetizer().delay_ms

    @property
    def dialect(self) -> str:
        """Its name, such as "twilio"."""
        return self._dialect.name

    @property
    def needs_stop(self) -> bool:
        """Whether a stream has a stop message that it must not end without; else closing ends it."""
        return self._dialect.needs_stop

    def is_text(self, message: bytes) -> bool:
        """Tell whether a message that was given is to be sent as text; ask before it is copied or cut."""
        return isinstance(message, TextMessage) or not self._dialect.is_binary

    @property
    def role(self) -> str:
        """ "platform" or "endpoint"."""
        return self._role

    @property
    def stream_id(self) -> str:
        """The stream's id (`streamSid`)."""
        return self._stream.stream_id

    @property
    def call_id(self) -> str:
        """The call's id (`callSid`)."""
        return self._stream.call_id

    @property
    def account_id(self) -> str | None:
        """The account's id (`accountSid`), left out of the messages when None."""
        return self._stream.account_id

    @exclusive
    def start(self) -> list[bytes]:
        """Begin the stream: the messages "connected" and "start", or what the dialect has instead."""
        if self._started and self._role == "platform":
            raise LocalProtocolError("start: the stream has been started already")
        begin = self._writer.start()
        self._begin()
        return begin

    @exclusive
    def flush(self, track: str | None = None) -> list[bytes]:
        """Send what a track's last `media` left over; the last packet is shorter than the others."""
        self._check_live("flush")
        return self.flush_media(track)

    @exclusive
    def discard(self, track: str | None = None) -> None:
        """Forget what a track's last `media` left over and its filter holds, if anything; at any time."""
        self.packetizer(track).reset()

    @exclusive
    def dtmf(self, digit: str, duration_ms: int = 250) -> list[bytes]:
        """Send a key press: one of 0-9, *, #, A-D."""
        self._check_live("dtmf")
        self.check_has("dtmf")
        messages.check_digit(digit)
        if not 0 <= duration_ms <= messages.NUMBER_MAX:
            raise LocalProtocolError(f"DTMF of {duration_ms} ms: takes 0 to {messages.NUMBER_MAX}")
        return [self._writer.dtmf(digit, duration_ms)]

    @exclusive
    def mark(self, name: str) -> list[bytes]:
        """Send a named mark: an endpoint's comes back once the audio before it was heard, as a platform's."""
        self._check_live("mark")
        self.check_has("mark")
        messages.check_text(name)
        message = self._writer.mark(name)
        messages.check_size(message)
        return [message]

    @exclusive
    def clear(self) -> list[bytes]:
        """Let the platform drop what it has not played yet, and forget what is in no message yet.

        There is no message for it in the dialect "audiosocket".
        """
        self._check_live("clear")
        if self._role == "platform":
            raise LocalProtocolError("clear: an endpoint says it to a platform")
        for name in self.tracks:
            self.packetizer(name).reset()
        return self._writer.clear()

    @exclusive
    def cleared(self) -> list[bytes]:
        """Tell the endpoint that its audio was dropped, in the dialects in which a platform does."""
        self._check_live("cleared")
        if self._role == "endpoint":
            raise LocalProtocolError("cleared: a platform says it to an endpoint")
        return self._writer.clear()

    @exclusive
    def stop(self) -> list[bytes]:
        """End the stream: what the tracks still hold, as shorter packets; then the message for it, if any."""
        self._check_live("stop")
        rests = [message for name in self.tracks for message in self.flush_media(name)]
        self._stopped = True
        self.close_media()
        return rests + self._writer.stop()

    def check_has(self, what: str) -> None:
        """Refuse what this end of the dialect has no message for, "dtmf" or "mark": LocalProtocolError."""
        if what in self._writer.lacks:
            raise LocalProtocolError(f"{what}: {self.dialect} has none from its {self._role}")

    def _begin(self) -> None:
        self._started = True
        self.open_media()

    def _check_live(self, what: str) -> None:
        if not self._started:
            raise LocalProtocolError(f"{what} before start")
        if self._stopped:
            raise LocalProtocolError(f"{what} after stop")


def _writer_of(packetizer: Packetizer, layout: MediaLayout) -> MediaWriter:
    """Make a track's writer: a payload of ptime has so many bytes, but packets of Opus are not cut."""
    codec = packetizer.codec
    is_cut = codec.name != "OPUS"
    units = packetizer.payload_bytes if is_cut else 1
    return MediaWriter(packetizer, codec.ptime_ms, units, is_cut, layout.parts, layout.encoding)
