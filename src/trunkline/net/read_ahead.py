"""ReadAheadCall: a call that reads on while its handler is slow, and drops the oldest audio."""

import asyncio

from trunkline.errors import LocalProtocolError
from trunkline.net.call import MAX_QUEUED_S, Call
from trunkline.net.capture import CallCapture
from trunkline.net.stream_socket import StreamSocket
from trunkline.stream import Frame, Payload, StreamReceiver

__all__ = ["ReadAheadCall"]


class ReadAheadCall(Call):
    """A Call of which at most `max_unread` events wait for whoever iterates."""

    def __init__(
        self,
        socket: StreamSocket,
        receiver: StreamReceiver,
        max_queued_s: float = MAX_QUEUED_S,
        capture: CallCapture | None = None,
        *,
        max_unread: int,
    ) -> None:
        super().__init__(socket, receiver, max_queued_s, capture)
        self._max_unread = max_unread
        self._reading: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()

    def _begin(self) -> None:
        self._reading = asyncio.create_task(self._read_on())

    async def _stop(self) -> None:
        await super()._stop()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _receive(self) -> None:
        await self._arrived.wait()
        self._arrived.clear()

    async def _read_on(self) -> None:
        try:
            while not self._over:
                await self._receive_one()
                while len(self._events) > self._max_unread:
                    self._drop_oldest()
                self._arrived.set()
        finally:
            if not self._over:
                self._end(LocalProtocolError("closed on this side before stop"))
            self._arrived.set()

    def _drop_oldest(self) -> None:
        """Drop the oldest audio that waits; where none does, the oldest event."""
        audio = (k for k, event in enumerate(self._events) if isinstance(event, Frame | Payload))
        del self._events[next(audio, 0)]
        self.events_dropped += 1
