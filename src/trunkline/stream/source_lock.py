"""SourceLock: which of the packets that come to a port are those of one RTP stream."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from trunkline import audioop
from trunkline.errors import FormatError, PayloadError
from trunkline.rtp import RtpPacket, parse

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["AudioPacket", "RtpStats", "SourceLock"]

IN_ORDER_MIN: Final = 4  # packets that make a source
CANDIDATES_MAX: Final = 16
COMFORT_NOISE: Final = 13  # RFC 3389
STATIC_TYPES: Final = {"PCMU": (0,), "PCMA": (8,), "L16": (10, 11)}  # RFC 3551 6
DYNAMIC_TYPES: Final = range(96, 128)
RTCP_TYPES: Final = range(64, 96)  # RFC 5761 4: what its packet types look like


class RtpStats(msgspec.Struct):
    """What was counted beside the packets of the source."""

    strangers: int = 0  # packets of other sources
    ignored: int = 0  # no RTP, RTCP, or of another payload type


class AudioPacket(NamedTuple):
    """A packet of the source: its payload as a codec takes it, and when it came."""

    payload: bytes
    sequence: int
    timestamp: int
    is_noise: bool
    arrival_ms: float | None
    ssrc: int


class SourceLock:
    """Lock on to the source of one RTP stream: the first that sends four packets in order.

    A source is an address and an SSRC. Other addresses are strangers; another SSRC at the same address takes
    over after four packets. Packets of other payload types keep their place in the sequence, with an empty
    payload; comfort noise of RFC 3389 is marked. L16 is given little-endian. `codec` and `payload_type` are
    an RtpReceiver's. Raises FormatError for a payload type that is none.
    """

    def __init__(self, codec: str, payload_type: int | None) -> None:
        if payload_type is not None and not 0 <= payload_type <= 127:
            raise FormatError(f"payload_type: takes 0 to 127, got {payload_type}")
        self._codec = codec
        self._types = STATIC_TYPES.get(codec, ()) if payload_type is None else (payload_type,)
        self._takes_dynamic = payload_type is None and codec not in ("PCMU", "PCMA")
        self._place: tuple[Hashable, int] | None = None  # address and SSRC
        self._candidates: dict[Hashable, list[tuple[RtpPacket, float | None]]] = {}
        self.stats = RtpStats()

    def release(self) -> None:
        """Forget the source: the next one may be any."""
        self._place = None
        self._candidates.clear()

    def take(
        self, packet: "Buffer", source: Hashable, arrival_ms: float | None
    ) -> tuple[bool, list[AudioPacket]]:
        """Take what came from the address `source`; give the packets of ours, and whether it is a new one."""
        try:
            parsed = parse(packet)
        except PayloadError:
            self.stats.ignored += 1
            return False, []
        place = (source, parsed.ssrc)
        if place == self._place:
            return False, [self._audio(parsed, arrival_ms)]
        if parsed.payload_type in RTCP_TYPES or not self._is_ours(parsed):
            self.stats.ignored += 1
            return False, []
        if self._place is not None and source != self._place[0]:
            self.stats.strangers += 1
            return False, []
        return self._consider(place, parsed, arrival_ms)

    def _is_ours(self, packet: RtpPacket) -> bool:
        kind = packet.payload_type
        return kind in self._types or (self._takes_dynamic and kind in DYNAMIC_TYPES)

    def _consider(
        self, place: tuple[Hashable, int], packet: RtpPacket, arrival_ms: float | None
    ) -> tuple[bool, list[AudioPacket]]:
        """Take the packet of a source that is not ours yet."""
        held = self._candidates.pop(place, [])
        if held and packet.sequence != (held[-1][0].sequence + 1) & 0xFFFF:
            held = []
        held.append((packet, arrival_ms))
        if len(held) < IN_ORDER_MIN:
            if len(self._candidates) >= CANDIDATES_MAX:
                del self._candidates[next(iter(self._candidates))]
            self._candidates[place] = held
            return False, []
        self._place = place
        self._candidates.clear()
        return True, [self._audio(packet, came_ms) for packet, came_ms in held]

    def _audio(self, packet: RtpPacket, arrival_ms: float | None) -> AudioPacket:
        payload = packet.payload
        is_noise = packet.payload_type == COMFORT_NOISE and self._codec != "OPUS"
        if not is_noise and not self._is_ours(packet):
            self.stats.ignored += 1
            payload = b""  # it has a number all the same
        elif self._codec == "L16" and not is_noise:  # the network's byte order
            payload = audioop.byteswap(payload[: len(payload) // 2 * 2], 2)
        return AudioPacket(payload, packet.sequence, packet.timestamp, is_noise, arrival_ms, packet.ssrc)
