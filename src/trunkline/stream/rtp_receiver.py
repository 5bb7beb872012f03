"""RtpReceiver: RTP packets of one source in, the events and Frames of a stream out."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from trunkline import audioop
from trunkline.errors import FormatError, LocalProtocolError, PacketError, PayloadError
from trunkline.exclusive import Exclusive, exclusive
from trunkline.formats import CodecSpec, MediaFormat
from trunkline.rtp import RtpPacket, parse
from trunkline.stream.events import Event, Payload, Start
from trunkline.timeline import TrackStats
from trunkline.track import Track

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["RtpReceiver", "RtpStats"]

IN_ORDER_MIN: Final = 4  # packets that make a source
CANDIDATES_MAX: Final = 16
JUMP: Final = 3000  # RFC 3550 A.1: further ahead, the numbers may be others
MISORDER: Final = 100  # and further back
WAITING_MAX: Final = 64
WAITING_PACKETS: Final = 3  # behind a missing one, where nobody says when they came
STATIC_TYPES: Final = {"PCMU": (0,), "PCMA": (8,), "L16": (10, 11)}  # RFC 3551 6
DYNAMIC_TYPES: Final = range(96, 128)
RTCP_TYPES: Final = range(64, 96)  # RFC 5761 4: what its packet types look like
TRACK: Final = "inbound"


class RtpStats(msgspec.Struct):
    """What an RtpReceiver has counted beside its track."""

    strangers: int = 0  # packets of other sources
    ignored: int = 0  # no RTP, RTCP, or of another payload type
    late: int = 0  # packets whose place had gone by, or that came again; also in the track's own counter
    duplicates: int = 0  # of packets that were waiting
    reordered: int = 0
    restarts: int = 0  # other numbers, or another SSRC at the same address


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
    the audio goes on.

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
        super().__init__()
        spec = CodecSpec.parse(codec) if isinstance(codec, str) else codec
        if payload_type is not None and not 0 <= payload_type <= 127:
            raise FormatError(f"payload_type: takes 0 to 127, got {payload_type}")
        if output not in ("pcm", "both"):
            raise FormatError(f"output {output!r}: takes pcm or both")
        if not wait_ms >= 0:
            raise FormatError(f"wait_ms: takes 0 or more, got {wait_ms}")
        self._format = MediaFormat(spec.name, spec.sample_rate, channels)
        self._clock_rate = 48_000 if spec.name == "OPUS" else spec.sample_rate
        self._types = STATIC_TYPES.get(spec.name, ()) if payload_type is None else (payload_type,)
        self._takes_dynamic = payload_type is None and spec.name not in ("PCMU", "PCMA")
        self._sample_rate = sample_rate
        self._wait_ms = wait_ms
        self._with_payloads = output == "both"
        self._call_id = call_id
        self._track = Track(self._format, name=TRACK, frame_ms=frame_ms, sample_rate=sample_rate)
        self._start: Start | None = None
        self._closed = False
        self._candidates: dict[Hashable, list[tuple[RtpPacket, float | None]]] = {}
        self._address: Hashable = None
        self._source: Hashable = None  # address and SSRC
        # Numbers that do not wrap: the highest that came, and the next that is due.
        self._highest = self._next = 0
        self._jumped: tuple[RtpPacket, float | None] | None = None
        self._offset = 0  # from the packets' numbers to these, which go on behind a jump
        self._timestamp = 0  # of the last packet, and its time and arrival
        self._time_ms = 0
        self._rest_ticks = 0
        self._arrival_ms: float | None = None
        self._waiting: dict[int, tuple[bytes, int, float | None]] = {}
        self.rtp_stats = RtpStats()

    @property
    def start(self) -> Start | None:
        """The stream's Start, once a source has been locked on to; its `stream_id` is the SSRC."""
        return self._start

    @property
    def stats(self) -> dict[str, TrackStats]:
        """The counters of the track, under its name."""
        stats, late = self._track.stats, self.rtp_stats.late
        return {TRACK: replace(stats, packets=stats.packets + late, late=stats.late + late)}

    @property
    def arrival_ms(self) -> float | None:
        """When the last packet of the source came that was not out of order."""
        return self._arrival_ms

    @property
    def next_deadline_ms(self) -> float | None:
        """When `poll` has something to give, in the time of `arrival_ms`; None: not without a packet."""
        arrivals = [arrival_ms for _, _, arrival_ms in self._waiting.values() if arrival_ms is not None]
        return min(arrivals) + self._wait_ms if arrivals else None

    @exclusive
    def receive(
        self, packet: "Buffer", *, source: Hashable = None, arrival_ms: float | None = None
    ) -> list[Event]:
        """Take one packet from `source`, its address; return what it brings, in the order of the audio.

        `arrival_ms`, of any clock that does not step; without it a missing packet is waited for until
        three later ones are there. What is no RTP of ours is counted and brings nothing.
        LocalProtocolError after `close`.
        """
        if self._closed:
            raise LocalProtocolError("receive after close")
        try:
            parsed = parse(packet)
        except PayloadError:
            self.rtp_stats.ignored += 1
            return []
        place = (source, parsed.ssrc)
        if self._start is not None and place == self._source:
            return self._take(parsed, arrival_ms)
        if parsed.payload_type in RTCP_TYPES or not self._is_ours(parsed):
            self.rtp_stats.ignored += 1
            return []
        if self._start is not None and source != self._address:
            self.rtp_stats.strangers += 1
            return []
        return self._consider(place, parsed, arrival_ms)

    @exclusive
    def poll(self, now_ms: float) -> list[Event]:
        """Give up what has been waited for long enough; return what lay behind it."""
        return self._drain(now_ms)

    @exclusive
    def close(self) -> list[Event]:
        """End the stream: return the rest. Idempotent."""
        if self._closed:
            return []
        self._closed = True
        return [*self._drain(None, everything=True), *self._track.flush()]

    def _is_ours(self, packet: RtpPacket) -> bool:
        kind = packet.payload_type
        return kind in self._types or (self._takes_dynamic and kind in DYNAMIC_TYPES)

    def _consider(
        self, place: tuple[Hashable, int], packet: RtpPacket, arrival_ms: float | None
    ) -> list[Event]:
        """Take the packet of a source that is not ours yet."""
        held = self._candidates.pop(place, [])
        if held and packet.sequence != (held[-1][0].sequence + 1) & 0xFFFF:
            held = []
        held.append((packet, arrival_ms))
        if len(held) < IN_ORDER_MIN:
            if len(self._candidates) >= CANDIDATES_MAX:
                del self._candidates[next(iter(self._candidates))]
            self._candidates[place] = held
            return []
        return self._lock_on(place, held)

    def _lock_on(
        self, place: tuple[Hashable, int], held: list[tuple[RtpPacket, float | None]]
    ) -> list[Event]:
        first, arrival_ms = held[0]
        events: list[Event] = []
        if self._start is None:
            self._start = Start(
                f"{first.ssrc:08x}", self._call_id, None, (TRACK,), self._format, {}, "rtp", self._sample_rate
            )
            events = [self._start]
            self._highest, self._next = first.sequence - 1, first.sequence
            self._timestamp = first.timestamp
        else:
            events = self._drain(None, everything=True)
            self._restart(first, arrival_ms)
        self._address, self._source = place[0], place
        self._candidates.clear()
        for packet, came_ms in held:
            events += self._take(packet, came_ms)
        return events

    def _restart(self, packet: RtpPacket, arrival_ms: float | None) -> None:
        """Go on with other numbers: behind the audio so far, and as much later as the packet came later."""
        self.rtp_stats.restarts += 1
        self._jumped = None
        self._offset = self._highest + 1 - packet.sequence
        if arrival_ms is not None and self._arrival_ms is not None:
            self._time_ms += max(0, round(arrival_ms - self._arrival_ms))
        self._timestamp, self._rest_ticks = packet.timestamp, 0

    def _take(self, packet: RtpPacket, arrival_ms: float | None) -> list[Event]:
        """Put a packet of our source in its place."""
        number = packet.sequence + self._offset
        ahead = ((number - self._highest + 0x8000) & 0xFFFF) - 0x8000
        events: list[Event] = []
        if not -MISORDER <= ahead <= JUMP:
            jumped, self._jumped = self._jumped, (packet, arrival_ms)
            if jumped is None or packet.sequence != (jumped[0].sequence + 1) & 0xFFFF:
                self.rtp_stats.ignored += jumped is not None
                return []
            events = self._drain(None, everything=True)
            self._restart(*jumped)
            return events + self._take(*jumped) + self._take(packet, arrival_ms)
        number = self._highest + ahead
        time_ms = self._time_of(packet, arrival_ms, is_last=ahead > 0)
        self._highest = max(self._highest, number)
        self.rtp_stats.reordered += ahead < 0
        if number in self._waiting:
            self.rtp_stats.duplicates += 1
            return []
        payload = packet.payload if self._is_ours(packet) else b""  # it has a number all the same
        self.rtp_stats.ignored += not self._is_ours(packet)
        if number < self._next:
            self.rtp_stats.late += 1
            return []
        self._waiting[number] = payload, time_ms, arrival_ms
        return self._drain(arrival_ms)

    def _time_of(self, packet: RtpPacket, arrival_ms: float | None, *, is_last: bool) -> int:
        """Give a packet's time in ms, from the first one's on."""
        ticks = ((packet.timestamp - self._timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        ms, rest = divmod(ticks * 1000 + self._rest_ticks, self._clock_rate)
        time_ms = max(0, self._time_ms + ms)
        if is_last:
            self._timestamp, self._time_ms, self._rest_ticks = packet.timestamp, time_ms, rest
            self._arrival_ms = arrival_ms
        return time_ms

    def _drain(self, now_ms: float | None, *, everything: bool = False) -> list[Event]:
        """Push what is in order, and what lies behind packets that are waited for no longer."""
        events: list[Event] = []
        while self._waiting:
            if self._next not in self._waiting:
                deadline_ms = self.next_deadline_ms
                n_most = WAITING_PACKETS - 1 if deadline_ms is None else WAITING_MAX
                is_over = deadline_ms is not None and now_ms is not None and now_ms >= deadline_ms
                if not (everything or is_over or len(self._waiting) > n_most):
                    break
                self._next = min(self._waiting)
            payload, time_ms, _ = self._waiting.pop(self._next)
            events += self._push(self._next, payload, time_ms)
            self._next += 1
        return events

    def _push(self, number: int, payload: bytes, time_ms: int) -> list[Event]:
        if self._format.codec == "L16":  # the network's byte order
            payload = audioop.byteswap(payload[: len(payload) // 2 * 2], 2)
        try:
            events: list[Event] = [*self._track.push(payload, timestamp_ms=time_ms, sequence=number)]
        except PacketError:
            self.rtp_stats.ignored += 1
            return []
        if self._with_payloads:
            events.insert(0, Payload(TRACK, payload, time_ms, number))
        return events
