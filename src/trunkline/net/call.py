"""Call: the events of one accepted media stream, as an async iterator."""

import asyncio
import logging
from enum import IntEnum
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
from trunkline.extras import needs_extra
from trunkline.net.capture import RAW_TEXT, CallCapture
from trunkline.net.event_stream import EventStream
from trunkline.net.playback import Playback
from trunkline.stream import Mark, StreamReceiver

with needs_extra("server"):
    from aiohttp import WSCloseCode, WSMsgType, web

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["CLOSE_TIMEOUT_S", "MAX_QUEUED_S", "Call", "CloseCode", "StreamSocket", "peer_of"]

_log = logging.getLogger(__name__)

REASON_BYTES_MAX: Final = 123  # RFC 6455 5.5: a control frame holds 125 bytes, two are the code
CLOSE_TIMEOUT_S: Final = 2.0  # how long a peer may take to answer our close frame
HEARTBEAT_S: Final = 20.0
MAX_QUEUED_S: Final = 30.0
MESSAGES_A_TURN: Final = 16  # of one call, before the others have theirs
IN_ORDER: Final = (0, 1000, 1001)  # close codes of a stream that ends with the connection; 0: none was given


class CloseCode(IntEnum):
    """Why we close a stream (RFC 6455 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002  # RemoteProtocolError
    UNSUPPORTED = 1003  # a binary message, a codec that we do not decode, or a rate that no frame fits
    INVALID_PAYLOAD = 1007  # PayloadError
    POLICY = 1008  # no start message in time
    # 1009, a message that is too big, is sent by aiohttp
    INTERNAL_ERROR = 1011  # the handler raised


def peer_of(transport: asyncio.BaseTransport | None) -> str:
    """Name the other end of a connection: HOST:PORT, "unknown" once it has gone."""
    address = None if transport is None else transport.get_extra_info("peername")
    return f"{address[0]}:{address[1]}" if address else "unknown"


class StreamSocket(web.WebSocketResponse):
    """The socket of a call: takes messages of up to `max_message_bytes`."""

    def __init__(self, max_message_bytes: int, *, capture: bool = False) -> None:
        super().__init__(
            **(RAW_TEXT if capture else {}),
            timeout=CLOSE_TIMEOUT_S,
            heartbeat=HEARTBEAT_S,
            compress=False,  # base64 audio gains little, and a small message could unpack into a large one
            max_msg_size=max_message_bytes + 1,  # aiohttp refuses this size and above
        )
        self.too_big = f"message longer than {max_message_bytes} bytes"

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        if code == WSCloseCode.MESSAGE_TOO_BIG and not message:  # aiohttp closes on its own, without a reason
            message = self.too_big.encode()
        return await super().close(code=code, message=message, drain=drain)


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

    `peer` is the address of the other end.
    """

    _receiver: StreamReceiver

    def __init__(
        self,
        socket: StreamSocket,
        transport: asyncio.Transport,
        receiver: StreamReceiver,
        max_queued_s: float = MAX_QUEUED_S,
        capture: CallCapture | None = None,
    ) -> None:
        super().__init__(peer_of(transport), receiver)
        self._max_queued_ms = max_queued_s * 1000
        self._playback: Playback | None = None
        self._capture = capture
        self._socket = socket
        self._transport = transport
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

    async def _stop_playback(self) -> None:
        if self._playback is not None:
            await self._playback.stop()

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Hang up. An iteration that is under way ends after the frames that were received."""
        self._hung_up = reason
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close(code=code, message=_short(reason))
        except TimeoutError:  # a peer that reads nothing keeps nothing of ours
            self._transport.abort()

    async def _wait_for_start(self, timeout_s: float) -> bool:
        """Read up to the start message; False when the stream ended before it."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._started and not self._over:
                    await self._receive()
        except TimeoutError:
            await self._fail(
                RemoteProtocolError(f"no start message within {timeout_s:g} s"), CloseCode.POLICY
            )
        return self._started

    @property
    def _started(self) -> bool:
        return self._receiver.start is not None

    async def _receive(self) -> None:
        """Take one WebSocket message, or give up a chunk that has been waited for long enough."""
        self._taken_in_turn += 1
        if self._taken_in_turn >= MESSAGES_A_TURN:
            self._taken_in_turn = 0
            await asyncio.sleep(0)  # aiohttp does not suspend while it has messages, and a peer may flood
        due_ms = self._receiver.next_deadline_ms
        try:
            message = await self._socket.receive(
                timeout=None if due_ms is None else max(due_ms - _now_ms(), 1.0) / 1000
            )
        except TimeoutError:
            self._events.extend(self._receiver.poll(_now_ms()))
            return
        except OSError as lost:  # from answering the ping of a peer that has gone
            self._end(RemoteProtocolError(f"connection broken: {lost}"))
            return
        if self._capture is not None and message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self._capture.write(message.data, _now_ms(), binary=message.type is WSMsgType.BINARY)
        if message.type is WSMsgType.TEXT:
            await self._take(message.data, is_text=True)
        elif message.type is WSMsgType.BINARY and self._receiver.is_binary:
            await self._take(message.data)
        elif message.type is WSMsgType.BINARY:
            error = RemoteProtocolError(f"binary message of {len(message.data)} bytes: takes text only")
            await self._fail(error, CloseCode.UNSUPPORTED)
        elif message.type is WSMsgType.ERROR:  # aiohttp has closed it: too big, bad UTF-8, bad frame
            if getattr(message.data, "code", None) == WSCloseCode.MESSAGE_TOO_BIG:
                what = self._socket.too_big  # aiohttp names the first size that it refuses
            else:
                what = message.data or type(message.data).__name__
            self._end(RemoteProtocolError(f"connection broken: {what}"))
        elif self._hung_up is not None:
            reason = f": {self._hung_up}" if self._hung_up else ""
            self._end(LocalProtocolError(f"closed on this side before stop{reason}"))
        elif self._socket.close_code in IN_ORDER and not self._receiver.needs_stop:
            self._end(None, in_order=True)
        else:
            code = self._socket.close_code
            self._end(RemoteProtocolError(f"connection ended before stop (close code {code})"))

    async def _take(self, message: str | bytes, *, is_text: bool = False) -> None:
        try:
            if is_text and isinstance(message, bytes):
                message = message.decode()
            events = self._receiver.receive(message, _now_ms())
        except UnicodeDecodeError as error:  # only a call that is captured gets to see it
            not_utf8 = RemoteProtocolError(f"message is not UTF-8: {error}")
            await self._fail(not_utf8, CloseCode.INVALID_PAYLOAD)
        except RemoteProtocolError as error:
            await self._fail(error, CloseCode.PROTOCOL_ERROR)
        except PacketError as error:
            if not self._left_out:  # one line a call: a peer may send nothing else
                _log.warning("call from %s: a packet is left out: %s", self.peer, error)
            self._left_out = True
        except PayloadError as error:
            await self._fail(error, CloseCode.INVALID_PAYLOAD)
        except (FormatError, LibraryMissingError) as error:
            await self._fail(error, CloseCode.UNSUPPORTED)
        else:
            self._events.extend(events)
            if self._playback is not None:
                for event in events:
                    if isinstance(event, Mark):
                        self._playback.marked(event.name)
            if self._receiver.ended:
                self._end(None)

    def _end(self, error: TrunklineError | None, *, in_order: bool = False) -> None:
        self._over = True
        self.error = error
        self._events.extend(self._receiver.close(in_order=in_order))
        if self._playback is not None:
            self._playback.end()

    async def _fail(self, error: TrunklineError, code: CloseCode) -> None:
        self._end(error)
        await self.close(code, str(error))


def _now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000


def _short(reason: str) -> bytes:
    """Cut a close reason to what a close frame holds, between two characters."""
    encoded = reason.encode("utf-8", "backslashreplace")[:REASON_BYTES_MAX]
    return encoded.decode("utf-8", "ignore").encode()
