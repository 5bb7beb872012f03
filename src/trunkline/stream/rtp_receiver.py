"""RtpReceiver: RTP packets of one source in, the events and Frames of a stream out."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.errors import FormatError, LocalProtocolError, PacketError
from trunkline.formats import CodecSpec, MediaFormat
from trunkline.stream.events import Event, Start
from trunkline.stream.source_lock import AudioPacket, RtpStats, SourceLock
from trunkline.timeline import TrackStats
from trunkline.track import Track

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["RtpReceiver", "RtpStats"]

TRACK: Final = "inbound"
TIME_MS_MAX: Final = 2**53


class RtpReceiver(Exclusive):
    """Read one RTP stream (RFC 3550): lock on to its source, put the packets in order, decode them.

    Parameters: `codec`, as in "PCMU", "L16@16000h" (big-endian, RFC 3551) or "OPUS@16000h", whose RTP
    clock is 48 kHz; `payload_type`, None for the codec's own, or else the dynamic one that comes;
    `sample_rate` and `frame_ms` of the Frames, as of a StreamReceiver; `wait_ms`, how long a missing
    packet is waited for once a later one is there; `output="both"` gives each Payload before its Frames.
    FormatError for what is not decoded.

    A source is an address and an SSRC. The first that sends four packets in order is ours: then come its
    Start, and these packets. Other addresses are strangers; another SSRC at our address takes over after
    four packets. Numbers that jump are followed when the next packet confirms them (RFC 3550 A.1), and
    the audio goes on. Silence that is not sent, and is announced by comfort noise of RFC 3389 (payload type
    13) or not at all, is noise and no loss. Packets of other payload types, telephone-event among them, keep
    their place in the sequence and bring nothing.

    >>> from trunkline import g711, rtp
    >>> from trunkline.stream import RtpReceiver
    >>> receiver = RtpReceiver("PCMU")
    >>> for k in (7, 8, 9, 10, 12, 11):
    ...     packet = rtp.build(
    ...         g711.ULAW_SILENCE * 160, payload_type=0, sequence=k, timestamp=160 * k, ssrc=1)
    ...     print(len(receiver.receive(packet, source="10.0.0.1:4000", arrival_ms=20 * k)), end=" ")
    0 0 0 5 0 2
    """

    def __init__(
        self,
        codec: CodecSpec | str = "PCMU",
        *,
        channels: int = 1,
        payload_type: int | None = None,
        sample_rate: int | None = None,
        frame_ms: int = 20,
        wait_ms: float = 60.0,
        output: str = "pcm",
        call_id: str = "rtp",
    ) -> None:
        if output == "encoded":
            raise FormatError("output 'encoded': takes pcm or both")
        spec = CodecSpec.parse(codec) if isinstance(codec, str) else codec
        if not isinstance(spec, CodecSpec):
            raise TypeError(f"codec: takes a CodecSpec or its text, not {type(codec).__name__}")
        self._lock = SourceLock(spec.name, payload_type)
        self._format = MediaFormat(spec.name, spec.sample_rate, channels)
        self._sample_rate = sample_rate
        self._call_id = call_id
        self._track = Track(
            self._format,
            name=TRACK,
            frame_ms=frame_ms,
            sample_rate=sample_rate,
            wait_ms=wait_ms,
            rtp_clock_rate=48_000 if spec.name == "OPUS" else spec.sample_rate,
            output=output,
        )
        self._start: Start | None = None
        self._closed = False
        self._arrival_ms: float | None = None

    @property
    def start(self) -> Start | None:
        """The stream's Start, once a source has been locked on to; its `stream_id` is the SSRC."""
        return self._start

    @property
    def stats(self) -> dict[str, TrackStats]:
        """The counters of the track, under its name."""
        return {TRACK: self._track.stats}

    @property
    def rtp_stats(self) -> RtpStats:
        """What was counted beside the track."""
        return self._lock.stats

    @property
    def arrival_ms(self) -> float | None:
        """When the source's last packet came."""
        return self._arrival_ms

    @property
    def next_deadline_ms(self) -> float | None:
        """When `poll` has something to give, in the time of `arrival_ms`; None: not without a packet."""
        return self._track.next_deadline_ms

    @exclusive
    def receive(
        self, packet: "Buffer", *, source: Hashable = None, arrival_ms: float | None = None
    ) -> list[Event]:
        """Take one packet from `source`, its address; return what it brings, in the order of the audio.

        `arrival_ms`, of any clock that does not step; without it a missing packet is waited for until
        three later ones are there. What is no RTP of ours is counted and brings nothing.
        LocalProtocolError after `close`, ValueError for an `arrival_ms` outside 0 to 2**53.
        """
        if self._closed:
            raise LocalProtocolError("receive after close")
        if arrival_ms is not None and not 0 <= arrival_ms <= TIME_MS_MAX:
            raise ValueError(f"arrival_ms: takes 0 to 2**53 ms, got {arrival_ms}")
        is_new, packets = self._lock.take(packet, source, arrival_ms)
        events: list[Event] = []
        if is_new and self._start is not None:
            self._track.restart()
        elif is_new:
            ssrc = f"{packets[0].ssrc:08x}"
            self._start = Start(
                ssrc, self._call_id, None, (TRACK,), self._format, {}, "rtp", self._sample_rate
            )
            events.append(self._start)
        for ours in packets:
            events += self._push(ours)
        return events

    @exclusive
    def poll(self, now_ms: float) -> list[Event]:
        """Give up what has been waited for long enough; return what lay behind it."""
        return [*self._track.poll(now_ms)]

    @exclusive
    def close(self) -> list[Event]:
        """End the stream: return the rest. Idempotent."""
        if self._closed:
            return []
        self._closed = True
        return [*self._track.flush()]

    def _push(self, packet: AudioPacket) -> list[Event]:
        """Put a packet of our source in its place."""
        self._arrival_ms = packet.arrival_ms
        try:
            return [
                *self._track.push_rtp(
                    packet.payload,
                    sequence=packet.sequence,
                    timestamp=packet.timestamp,
                    arrival_ms=packet.arrival_ms,
                    comfort_noise=packet.is_noise,
                )
            ]
        except PacketError:
            self._lock.stats.ignored += 1
            return []
