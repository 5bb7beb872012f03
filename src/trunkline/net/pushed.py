"""PushedCall: a call whose socket hands over each message as it comes."""

from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from trunkline._native.event_stream import Doorbell
from trunkline.net.call import MAX_QUEUED_S, Call
from trunkline.net.stream_socket import StreamSocket
from trunkline.stream import StreamReceiver

__all__ = ["PushedCall", "PushingSocket"]


@runtime_checkable
class PushingSocket(StreamSocket, Protocol):
    """A StreamSocket that need not be asked for a message.

    After `push_to(push)` it calls `push(message)` with each, right where it has read it and in no task. What
    `push` returns False for is held for `receive`, and the Doorbell rung; so is the end. `holds` says whether
    `receive` would return at once.
    """

    @property
    def holds(self) -> bool: ...

    def push_to(self, push: Callable[[str | bytes], bool]) -> Doorbell: ...


class PushedCall(Call):
    """A Call that has its handler run right where audio comes: the event loop need not wake its task.

    All else goes the way of a Call: other messages, what breaks a rule, a chunk to wait for, what came while
    the handler was busy, the end.
    """

    _socket: PushingSocket

    def __init__(
        self, socket: PushingSocket, receiver: StreamReceiver, max_queued_s: float = MAX_QUEUED_S
    ) -> None:
        super().__init__(socket, receiver, max_queued_s)
        self._doorbell = socket.push_to(self._push)
        self._open(receiver, self._doorbell, self._time)

    def _receive(self) -> Awaitable[None]:
        if self._socket.holds or self._receiver.next_deadline_ms is not None:
            return self._receive_one()
        self._listens = self._doorbell
        return self._doorbell
