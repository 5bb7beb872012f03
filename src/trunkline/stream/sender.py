"""StreamSender: PCM and events in, the messages of one stream out."""

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trunkline._native.exclusive import exclusive
from trunkline._native.media import MediaSender, MediaWriter
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.formats import CodecSpec, MediaFormat, whole_samples
from trunkline.stream import dialects, messages
from trunkline.track import Packetizer

if TYPE_CHECKING:
    from trunkline.opus import Encoder

__all__ = ["StreamSender"]


class StreamSender(MediaSender):
    """Write one media stream; every message is UTF-8 JSON, to be sent as text.

    Parameters: `format`, the codec as in "PCMA", "L16@24000h@40i" or "OPUS@16000h"; `sample_rate` of the
    PCM that `media` is given, None for the codec's own: another, 4,000 to 192,000 Hz with a whole number of
    samples a packet, is resampled in quality "voice"; `dialect`, "signalwire" or "twilio"; `tracks`, which of
    "inbound" and "outbound" it has; ids are made up where they are None; `encoder`, for OPUS, an opus.Encoder
    of the codec's rate whose settings (bitrate, FEC, DTX) each track is to have.

    `role="platform"` begins a stream and declares its tracks. `role="endpoint"` answers on a two-way stream:
    it takes the stream's id and its format, has the one track "outbound" and no `start`, and says `clear`.

    Raises FormatError for arguments that are unknown or that we cannot encode, LocalProtocolError for a
    call that the other end would have to refuse, such as media before start.

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
        dialects.check_dialect(dialect)
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
        self._dialect = dialect
        self._stream_id = str(uuid.uuid4()) if stream_id is None else stream_id
        self._call_id = str(uuid.uuid4()) if call_id is None else call_id
        self._account_id = account_id
        self._custom_parameters = dict(custom_parameters or {})
        messages.check_text(self._stream_id, self._call_id, account_id or "")
        messages.check_text(*self._custom_parameters, *self._custom_parameters.values())
        self._endpoint = dialects.Endpoint(self._stream_id) if role == "endpoint" else None
        self._writer = self._endpoint or dialects.DIALECTS[dialect](
            self._stream_id, self._call_id, account_id
        )
        self._tracks = tuple(tracks)
        for name in tracks:
            packetizer = Packetizer(self._format, sample_rate=self._sample_rate, encoder=encoder)
            self.add_track(name, _writer_of(packetizer, self._writer.media(name)))
        whole_samples(self._format.ptime_ms, self._sample_rate, "ptime")
        self._started = self._stopped = False
        if role == "endpoint":
            self._begin()

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
        return self._tracks

    @property
    def delay_ms(self) -> float:
        """How much later the PCM lies in the messages' audio: 0 but for another sample_rate, and OPUS."""
        return self.packetizer().delay_ms

    @property
    def dialect(self) -> str:
        """ "signalwire" or "twilio"."""
        return self._dialect

    @property
    def role(self) -> str:
        """ "platform" or "endpoint"."""
        return "platform" if self._endpoint is None else "endpoint"

    @property
    def stream_id(self) -> str:
        """The stream's id (`streamSid`)."""
        return self._stream_id

    @property
    def call_id(self) -> str:
        """The call's id (`callSid`)."""
        return self._call_id

    @property
    def account_id(self) -> str | None:
        """The account's id (`accountSid`), left out of the messages when None."""
        return self._account_id

    @exclusive
    def start(self) -> list[bytes]:
        """Begin the stream: the messages "connected" and "start"."""
        if self._endpoint is not None:
            raise LocalProtocolError("start: a platform begins the stream, an endpoint answers")
        if self._started:
            raise LocalProtocolError("start: the stream has been started already")
        self._begin()
        media_format = MediaFormat(self._format.name, self._format.sample_rate)
        start = self._writer.start(self.next_sequence(), self.tracks, media_format, self._custom_parameters)
        return [self._writer.connected(), start]

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
        messages.check_digit(digit)
        if not 0 <= duration_ms <= messages.NUMBER_MAX:
            raise LocalProtocolError(f"DTMF of {duration_ms} ms: takes 0 to {messages.NUMBER_MAX}")
        return [self._writer.dtmf(self.next_sequence(), digit, duration_ms, self.tracks[0])]

    @exclusive
    def mark(self, name: str) -> list[bytes]:
        """Send a named mark."""
        self._check_live("mark")
        messages.check_text(name)
        return [self._writer.mark(name)]

    @exclusive
    def clear(self) -> list[bytes]:
        """Let the platform drop what it has not played yet, and forget what is in no message yet."""
        self._check_live("clear")
        if self._endpoint is None:
            raise LocalProtocolError("clear: an endpoint says it to a platform")
        for name in self._tracks:
            self.packetizer(name).reset()
        return [self._endpoint.clear()]

    @exclusive
    def stop(self) -> list[bytes]:
        """End the stream: what the tracks still hold, as shorter packets; a platform's message "stop"."""
        self._check_live("stop")
        rests = [message for name in self._tracks for message in self.flush_media(name)]
        self._stopped = True
        self.close_media()
        return rests if self._endpoint is not None else [*rests, self._writer.stop(self.next_sequence())]

    def _begin(self) -> None:
        self._started = True
        self.open_media()

    def _check_live(self, what: str) -> None:
        if not self._started:
            raise LocalProtocolError(f"{what} before start")
        if self._stopped:
            raise LocalProtocolError(f"{what} after stop")


def _writer_of(packetizer: Packetizer, parts: tuple[bytes | None, ...]) -> MediaWriter:
    """Make a track's writer: a payload of ptime has so many bytes, but packets of Opus are not cut."""
    codec = packetizer.codec
    is_cut = codec.name != "OPUS"
    return MediaWriter(packetizer, codec.ptime_ms, packetizer.payload_bytes if is_cut else 1, is_cut, parts)
