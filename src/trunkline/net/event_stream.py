"""EventStream: what a stream brings, as an async iterator; whatever its socket."""

from abc import ABC, abstractmethod
from collections import deque
from typing import Self

from trunkline.errors import ConcurrentUseError, LocalProtocolError, TrunklineError
from trunkline.stream import Event, RtpReceiver, Start, StreamReceiver
from trunkline.timeline import TrackStats

__all__ = ["EventStream"]


class EventStream(ABC):
    """Iterate over it for the events of its receiver, from Start on."""

    def __init__(self, peer: str, receiver: StreamReceiver | RtpReceiver) -> None:
        self.peer = peer
        self.error: TrunklineError | None = None
        self.broke_protocol = False  # `error` is of what the peer said, and not of its connection
        self._receiver = receiver
        self._events: deque[Event] = deque()
        self._over = False
        self._told_all = False  # the iteration has ended
        self._iterates = False

    @property
    def start(self) -> Start:
        """What the stream is: ids, tracks, format, custom parameters."""
        if self._receiver.start is None:
            raise LocalProtocolError("the stream has not begun yet")
        return self._receiver.start

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes; what came before may still be there to be read."""
        return self._over

    @property
    def stats(self) -> dict[str, TrackStats]:
        """Counters of each track so far."""
        return self._receiver.stats

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._iterates:
            raise ConcurrentUseError(f"{type(self).__name__}: two tasks iterate over it")
        self._iterates = True
        try:
            while not self._events:
                if self._over:
                    self._told_all = True
                    raise StopAsyncIteration
                await self._receive()
            return self._events.popleft()
        finally:
            self._iterates = False

    @abstractmethod
    async def _receive(self) -> None:
        """Wait for something to happen."""
