"""RtpSource: what comes to a UDP port as RTP, as the audio of a call."""

import asyncio
import logging
import os
from typing import Any, Final, Self

from trunkline.errors import PacketError
from trunkline.formats import CodecSpec
from trunkline.jitter import JitterBuffer
from trunkline.stream.source_lock import RtpStats, SourceLock
from trunkline.timeline import JitterStats

__all__ = ["RtpSource"]

IDLE_MS: Final = 5000.0

_log = logging.getLogger(__name__)


class RtpSource(asyncio.DatagramProtocol):
    """One RTP stream after the other, through a JitterBuffer; silence while there is none. It does not end.

    Made by `open`; `url` says where it listens. A source that sends nothing for 5 s makes room for another.
    `stats` are the buffer's, of the present source; `rtp_stats` count what was none of its packets.
    """

    def __init__(self, codec: CodecSpec | str, payload_type: int | None = None) -> None:
        spec = CodecSpec.parse(codec) if isinstance(codec, str) else codec
        self.sample_rate = spec.sample_rate
        self.url = ""
        self._lock = SourceLock(spec.name, payload_type)
        self._buffer = JitterBuffer(spec.name, sample_rate=spec.sample_rate)
        self._pcm = bytearray()
        self._loop = asyncio.get_running_loop()
        self._arrival_ms: float | None = None  # of the source's last packet
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(
        cls,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        codec: CodecSpec | str = "PCMU",
        payload_type: int | None = None,
    ) -> Self:
        """Listen; `port` 0 takes a free one. `codec` and `payload_type` are an RtpReceiver's.

        Raises OSError when the port is taken, FormatError for what is not decoded.
        """
        source = cls(codec, payload_type)
        try:
            source._transport, _ = await source._loop.create_datagram_endpoint(
                lambda: source, local_addr=(host, port)
            )
        except OSError as error:
            # A resolver's numbers are negative, and no operating system's.
            what = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {what}") from error
        shown = f"[{host}]" if ":" in host else host
        source.url = f"rtp://{shown}:{source._transport.get_extra_info('sockname')[1]}"
        return source

    @property
    def stats(self) -> JitterStats:
        """What the jitter buffer has counted."""
        return self._buffer.stats

    @property
    def rtp_stats(self) -> RtpStats:
        """What came beside the source's packets."""
        return self._lock.stats

    def read(self, n_samples: int) -> bytes:
        """Give what is due now, and silence as long as nothing comes."""
        if self._is_idle():
            self._forget()
        while len(self._pcm) < 2 * n_samples:
            self._pcm += memoryview(self._buffer.get(self._now_ms())).cast("B")
        pcm = bytes(self._pcm[: 2 * n_samples])
        del self._pcm[: 2 * n_samples]
        return pcm

    def close(self) -> None:
        """Listen no more. Idempotent."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, address: tuple[Any, ...]) -> None:
        if self._is_idle():
            self._forget()
        was_locked = self._arrival_ms is not None
        is_new, packets = self._lock.take(data, address[:2], self._now_ms())
        if is_new and was_locked:
            self._buffer.restart()
        for packet in packets:
            self._arrival_ms = packet.arrival_ms
            try:
                self._buffer.put(
                    packet.payload,
                    sequence=packet.sequence,
                    timestamp=packet.timestamp,
                    arrival_ms=packet.arrival_ms,
                    comfort_noise=packet.is_noise,
                )
            except PacketError:
                self._lock.stats.ignored += 1

    def error_received(self, error: Exception) -> None:
        _log.warning("%s: %s", self.url, error)

    def _is_idle(self) -> bool:
        return self._arrival_ms is not None and self._now_ms() - self._arrival_ms > IDLE_MS

    def _forget(self) -> None:
        """Make room for another source."""
        self._lock.release()
        self._buffer.reset()
        self._arrival_ms = None

    def _now_ms(self) -> float:
        return self._loop.time() * 1000
