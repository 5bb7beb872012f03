"""EventStream: what a stream brings, as an async iterator; whatever its socket."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable

from trunkline._native.event_stream import Events
from trunkline.errors import LocalProtocolError, TrunklineError
from trunkline.stream import RtpReceiver, Start, StreamReceiver
from trunkline.timeline import TrackStats

__all__ = ["EventStream"]


class EventStream(Events, ABC):
    """Iterate over it for the events of its receiver, from Start on."""

    def __init__(self, peer: str, receiver: StreamReceiver | RtpReceiver) -> None:
        self.peer = peer
        self.error: TrunklineError | None = None
        self.broke_protocol = False  # `error` is of what the peer said, and not of its connection
        self._receiver = receiver

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

    @abstractmethod
    def _receive(self) -> Awaitable[None]:
        """Wait for something to happen."""
