"""RtpSource: what comes to a UDP port as RTP, as the audio of a call."""

import asyncio
from functools import partial
from typing import Final, Self

from trunkline.formats import CodecSpec
from trunkline.net.rtp import RtpCall, RtpServer
from trunkline.stream import Frame, RtpReceiver

__all__ = ["RtpSource"]

DELAY_MS: Final = 60  # of audio that is there before it is played, against jitter
QUEUED_MAX_MS: Final = 240  # beyond that the sender's clock is fast, or it sent a burst
IDLE_S: Final = 5.0


class RtpSource:
    """One RTP stream after the other, in order and concealed; silence while there is none. It does not end.

    Made by `open`; `url` says where it listens. Audio is played 60 ms after it came. When that runs dry,
    60 ms are gathered again; when more than 240 ms wait, the oldest are dropped (`dropped_ms`).
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.dropped_ms = 0.0
        self.url = ""
        self._pcm = bytearray()
        self._is_playing = False
        self._server: RtpServer | None = None
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        codec: CodecSpec | str = "PCMU",
        payload_type: int | None = None,
        sample_rate: int | None = None,
    ) -> Self:
        """Listen; `port` 0 takes a free one. `codec`, `payload_type` and `sample_rate` are an RtpReceiver's.

        Raises OSError when the port is taken, FormatError for what is not decoded.
        """
        spec = CodecSpec.parse(codec) if isinstance(codec, str) else codec
        make_receiver = partial(RtpReceiver, spec, payload_type=payload_type, sample_rate=sample_rate)
        source = cls(spec.sample_rate if sample_rate is None else sample_rate)
        server = RtpServer(source._gather, make_receiver, IDLE_S * 1000, None)
        await server.listen(host, port)
        source._server, source.url = server, server.url
        return source

    def read(self, n_samples: int) -> bytes:
        """Give what has come, and silence for what has not."""
        self._is_playing |= self._queued_ms() >= DELAY_MS
        pcm = b""
        if self._is_playing:
            pcm = bytes(self._pcm[: 2 * n_samples])
            del self._pcm[: 2 * n_samples]
            self._is_playing = bool(self._pcm)
        return pcm.ljust(2 * n_samples, b"\0")

    def close(self) -> None:
        """Listen no more. Idempotent."""
        if self._server is not None and self._closing is None:
            self._closing = asyncio.ensure_future(self._server.close())

    async def _gather(self, call: RtpCall) -> None:
        async for event in call:
            if isinstance(event, Frame):
                self._pcm += memoryview(event).cast("B")
                if self._queued_ms() > QUEUED_MAX_MS:
                    surplus = len(self._pcm) - 2 * self.sample_rate * DELAY_MS // 1000
                    del self._pcm[: surplus // 2 * 2]
                    self.dropped_ms += surplus / 2 * 1000 / self.sample_rate

    def _queued_ms(self) -> float:
        return len(self._pcm) / 2 * 1000 / self.sample_rate
