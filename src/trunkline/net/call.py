"""Call: the events of one accepted media stream, as an async iterator."""

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Final

from trunkline.errors import (
    CallEndedError,
    FormatError,
    LibraryMissingError,
    LocalProtocolError,
    PacketError,
    PayloadError,
    RemoteProtocolError,
    TrunklineError,
)
from trunkline.net.capture import CallCapture
from trunkline.net.event_stream import EventStream
from trunkline.net.playback import Playback
from trunkline.net.stream_socket import CLOSE_TIMEOUT_S, CloseCode, NotUtf8Error, StreamSocket, short_reason
from trunkline.stream import Mark, Stop, StreamReceiver

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["MAX_QUEUED_S", "Call"]

_log = logging.getLogger(__name__)

MAX_QUEUED_S: Final = 30.0
MESSAGES_A_TURN: Final = 16  # of one call, before the others have theirs
IN_ORDER: Final = (
    0,
    1000,
    1001,
    1005,
)  # close codes of a stream that ends with the connection; 0: none was given


class Call(EventStream):
    """One media stream: iterate over it for its events, from Start to Stop.

    The iteration ends after Stop, when the connection is lost and when the peer breaks the protocol; in
    the last two cases the frames that were still held back come first, and `error` says what happened. A
    packet that is none of Opus is left out, as if it were lost.

    On a two-way stream the other end plays what `play` is given: mono s16 at the rate of the frames. A `mark`
    comes back as a Mark once the audio before it has been heard. Go on iterating while you play, in a task
    beside the one that speaks: only so are marks, keys and the end of the call seen. A handler that returns
    hangs up, so wait for `wait_played` before.

    What is said on a call that has ended is dropped while there are events to give, and raises
    CallEndedError after that; `serve` takes a handler that lets it through for done.

    `peer` is the address of the other end; `events_dropped` counts what a handler that was too slow did not
    get (`slow_handler="drop_oldest"`).
    """

    _receiver: StreamReceiver

    def __init__(
        self,
        socket: StreamSocket,
        receiver: StreamReceiver,
        max_queued_s: float = MAX_QUEUED_S,
        capture: CallCapture | None = None,
    ) -> None:
        super().__init__(socket.peer, receiver)
        self.events_dropped = 0
        self._time = asyncio.get_running_loop().time
        self._max_queued_ms = max_queued_s * 1000
        self._playback: Playback | None = None
        self._capture = capture
        self._socket = socket
        self._hung_up: str | None = None
        self._left_out = False
        self._taken_in_turn = 0

    async def play(self, pcm: "Buffer") -> None:
        """Queue audio behind what is queued; wait for room while that is more than `max_queued_s`.

        What fills no packet of 20 ms waits for more, for a `mark` or for `wait_played`. CallEndedError after
        the call, FormatError for a Frame of another rate and where the stream's codec is not encoded here.
        """
        playback = self._live_playback("play")
        if playback is not None:
            await playback.play(pcm)
        else:
            await asyncio.sleep(0)  # who speaks without end must not keep the others from ending

    def mark(self, name: str) -> None:
        """Queue a mark behind the audio."""
        playback = self._live_playback("mark")
        if playback is not None:
            playback.mark(name)

    def clear(self) -> float:
        """Silence the other end, in one message: drop all audio that was not heard; return the ms not sent.

        Marks that were queued come back at once.
        """
        playback = self._live_playback("clear")
        return 0.0 if playback is None else playback.clear()

    @property
    def queued_ms(self) -> float:
        """Audio that waits for its time to be sent."""
        return 0.0 if self._playback is None else self._playback.queued_ms

    @property
    def played_ms(self) -> float:
        """Audio that the other end has heard, to within the network's delay (`Playout.played_ms`)."""
        return 0.0 if self._playback is None else self._playback.played_ms

    async def wait_played(self) -> None:
        """Wait until everything that was queued has been heard or cleared, or the call has ended.

        The last packet of it may be a shorter one.
        """
        if self._playback is not None:
            await self._playback.wait()

    def _live_playback(self, what: str) -> Playback | None:
        """Give what plays; None when the call has ended, and whoever iterates has not been told yet."""
        if self._told_all or (self._playback is not None and self._playback.is_over and not self._over):
            raise CallEndedError(f"{what} on a call that has ended")
        if self._over:
            return None
        if self._playback is None:
            self._playback = Playback(
                self._socket, self.start, self._max_queued_ms, partial(self.close, CloseCode.INTERNAL_ERROR)
            )
        return self._playback

    async def _stop(self) -> None:
        """End the tasks of the call."""
        if self._playback is not None:
            await self._playback.stop()

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Hang up. An iteration that is under way ends after the frames that were received."""
        self._hung_up = reason
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close(code, short_reason(reason))
        except TimeoutError:  # a peer that reads nothing keeps nothing of ours
            self._socket.abort()

    async def _wait_for_start(self, timeout_s: float) -> bool:
        """Read up to the start message; False when the stream ended before it."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._receiver.start is None and not self._over:
                    await self._receive_one()
        except TimeoutError:
            await self._fail(
                RemoteProtocolError(f"no start message within {timeout_s:g} s"), CloseCode.POLICY
            )
        return self._receiver.start is not None

    def _begin(self) -> None:
        """Be told that the handler begins."""

    def _receive(self) -> Awaitable[None]:
        return self._receive_one()

    async def _receive_one(self) -> None:
        """Take one message, or give up a chunk that has been waited for long enough."""
        self._taken_in_turn += 1
        if self._taken_in_turn >= MESSAGES_A_TURN:
            self._taken_in_turn = 0
            await asyncio.sleep(0)  # a socket need not suspend while it has messages, and a peer may flood
        due_ms = self._receiver.next_deadline_ms
        try:
            if due_ms is None:
                message = await self._socket.receive()
            else:
                async with asyncio.timeout(max(due_ms - self._now_ms(), 1.0) / 1000):
                    message = await self._socket.receive()
        except NotUtf8Error as error:
            self._keep(error.data)
            await self._fail(error, CloseCode.INVALID_PAYLOAD)
        except RemoteProtocolError as error:  # the socket has closed it: too big, bad UTF-8, bad frame
            self.broke_protocol = True
            self._end(error)
        except OSError as error:
            if isinstance(error, TimeoutError) and due_ms is not None:
                self._events.extend(self._receiver.poll(self._now_ms()))
            else:  # from answering the ping of a peer that has gone
                self._end(RemoteProtocolError(f"connection broken: {error}"))
        else:
            failure = self._take(message)
            if failure is not None:
                await self._fail(*failure)

    def _keep(self, message: str | bytes, *, binary: bool = False) -> None:
        if self._capture is not None:
            self._capture.write(message, self._now_ms(), binary=binary)

    def _take(self, message: str | bytes | None) -> tuple[TrunklineError, CloseCode] | None:
        """Take what the socket gave; return an error that ends the call, and the code that says so."""
        if type(message) is str:
            if self._capture is not None:
                self._keep(message)
            return self._read_message(message)
        if message is not None:
            self._keep(message, binary=True)
            if self._receiver.is_binary:
                return self._read_message(message)
            error = RemoteProtocolError(f"binary message of {len(message)} bytes: takes text only")
            return error, CloseCode.UNSUPPORTED
        if self._hung_up is not None:
            reason = f": {self._hung_up}" if self._hung_up else ""
            self._end(LocalProtocolError(f"closed on this side before stop{reason}"))
        elif self._socket.close_code in IN_ORDER and not self._receiver.needs_stop:
            self._end(None, in_order=True)
        else:
            code = self._socket.close_code
            self._end(RemoteProtocolError(f"connection ended before stop (close code {code})"))
        return None

    def _read_message(self, message: str | bytes) -> tuple[TrunklineError, CloseCode] | None:
        try:
            events = self._receiver.receive(message, self._time() * 1000)
        except RemoteProtocolError as error:
            return error, CloseCode.PROTOCOL_ERROR
        except PacketError as error:
            if not self._left_out:  # one line a call: a peer may send nothing else
                _log.warning("call from %s: a packet is left out: %s", self.peer, error)
            self._left_out = True
            return None
        except PayloadError as error:
            return error, CloseCode.INVALID_PAYLOAD
        except (FormatError, LibraryMissingError) as error:
            return error, CloseCode.UNSUPPORTED
        self._events.extend(events)
        if self._playback is not None:
            for event in events:
                if isinstance(event, Mark):
                    self._playback.marked(event.name)
        if events and type(events[-1]) is Stop:
            self._end(None)
        return None

    def _end(self, error: TrunklineError | None, *, in_order: bool = False) -> None:
        self._over = True
        self.error = error
        self._events.extend(self._receiver.close(in_order=in_order))
        if self._playback is not None:
            self._playback.end()

    async def _fail(self, error: TrunklineError, code: CloseCode) -> None:
        self.broke_protocol = True
        self._end(error)
        await self.close(code, str(error))

    def _now_ms(self) -> float:
        return self._time() * 1000
