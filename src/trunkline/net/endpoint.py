"""Endpoint: what every server does with a media stream, whatever library its socket is of."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, TypedDict

from trunkline.errors import CallEndedError, FormatError
from trunkline.net.admission import Admission, Place, Refusal
from trunkline.net.call import MAX_QUEUED_S, Call
from trunkline.net.capture import CallCapture, Captures
from trunkline.net.pushed import PushedCall, PushingSocket
from trunkline.net.read_ahead import ReadAheadCall
from trunkline.net.server_stats import CallCounts, ServerStats, reason_of
from trunkline.net.stream_socket import CLOSE_TIMEOUT_S, CloseCode, StreamSocket
from trunkline.stream import StreamReceiver

__all__ = ["Endpoint", "EndpointOptions", "Handler", "log_refusal"]

Handler = Callable[[Call], Awaitable[None]]

SHUTDOWN_TIMEOUT_S: Final = 10.0  # how long handlers may take to end when the server closes
SLOW_HANDLERS: Final = ("block", "drop_oldest")

_log = logging.getLogger(__name__)


class EndpointOptions(TypedDict, total=False):
    """The options of an Endpoint, which every server takes."""

    bearer_token: str | None
    dialect: str | None
    sample_rate: int | None
    frame_ms: int
    output: str
    max_queued_s: float
    slow_handler: str
    max_unread: int
    capture: str | os.PathLike[str] | None
    n_calls: int | None
    max_message_bytes: int
    start_timeout_s: float
    max_pending: int
    max_per_address: int | None
    ping_s: float


class Endpoint:
    """Run `handler(call)` for every media stream that is let in.

    What it is given:

    - `bearer_token`: what a peer has to send, else it gets 401 before the upgrade.
    - `dialect`, None to tell it from the first messages.
    - `sample_rate` of the frames, None for the stream's own; `frame_ms`, their duration; `output`, a
      StreamReceiver's.
    - `max_queued_s` of audio may wait in a call before its `play` waits for room.
    - `slow_handler`: what becomes of a handler that does not iterate. "block" lets its peer wait, and costs
      nothing; "drop_oldest" goes on reading, and of more than `max_unread` events that wait drops the oldest
      audio, which `call.events_dropped` counts.
    - `capture`, a path such as "call.jsonl", keeps the messages of each call as they came, up to the one that
      ends it: in that file, or, where it exists, in "call-2.jsonl", "call-3.jsonl" ... A message longer than
      `max_message_bytes`, here 1 MiB at most, is not read and so not kept. A disk that is full ends the
      capture and not the call.
    - Once `n_calls` have been taken, further upgrades are refused with 503.
    - A longer message than `max_message_bytes` is refused with 1009 before it is read.
    - `start_timeout_s`: what a connection may take to ask for the upgrade, and then again to the start
      message, else it is closed with 1008.
    - `max_pending` connections may have been upgraded and not begun, others get 503; `max_per_address`
      may come from one address, others get 429. None is right behind a proxy, and for a carrier that calls
      from a few addresses.
    - `ping_s`: a peer that sends nothing for so long is asked for a sign of life.

    The handler runs once the start message is there and owns its call only: when it raises, that call is
    closed with 1011 and logged, the others go on. FormatError for an option that is impossible.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        bearer_token: str | None = None,
        dialect: str | None = None,
        sample_rate: int | None = None,
        frame_ms: int = 20,
        output: str = "pcm",
        max_queued_s: float = MAX_QUEUED_S,
        slow_handler: str = "block",
        max_unread: int = 500,
        capture: str | os.PathLike[str] | None = None,
        n_calls: int | None = None,
        max_message_bytes: int = 65536,
        start_timeout_s: float = 5.0,
        max_pending: int = 32,
        max_per_address: int | None = None,
        ping_s: float = 20.0,
    ) -> None:
        if not max_queued_s >= 0:
            raise FormatError(f"max_queued_s of {max_queued_s}: takes 0 or more")
        for name, duration_s in (("start_timeout_s", start_timeout_s), ("ping_s", ping_s)):
            if not 0 < duration_s < float("inf"):
                raise FormatError(f"{name} of {duration_s}: takes more than 0 s")
        if slow_handler not in SLOW_HANDLERS:
            raise FormatError(f"slow_handler {slow_handler!r}: takes {' or '.join(SLOW_HANDLERS)}")
        if max_unread < 1:
            raise FormatError(f"max_unread of {max_unread}: takes 1 or more")
        self._handler = handler
        self._admission = Admission(bearer_token, max_pending, max_per_address, n_calls)
        self._make_receiver = partial(
            StreamReceiver,
            dialect=dialect,
            sample_rate=sample_rate,
            frame_ms=frame_ms,
            output=output,
            max_message_bytes=max_message_bytes,
        )
        self._make_receiver()  # what it refuses is refused now, not call by call
        self._max_queued_s = max_queued_s
        self._max_unread = None if slow_handler == "block" else max_unread
        self._captures = None if capture is None else Captures(Path(capture), max_message_bytes)
        self.max_message_bytes = max_message_bytes
        self.start_timeout_s = start_timeout_s
        self.ping_s = ping_s
        self._calls: set[Call] = set()
        self._counts = CallCounts()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def calls(self) -> frozenset[Call]:
        """The calls whose handlers are running, or will."""
        return frozenset(self._calls)

    @property
    def stats(self) -> ServerStats:
        """What was counted of all calls, those that are there, too."""
        return self._counts.stats(self.refused)

    @property
    def is_closed(self) -> bool:
        """Whether nobody is let in any more."""
        return self._admission.is_closed

    @property
    def captures(self) -> bool:
        """Whether it wants to see text that is not UTF-8, too."""
        return self._captures is not None

    @property
    def refused(self) -> Counter[int]:
        """How many were not let in, by HTTP status."""
        return self._admission.refused

    def refusal(self, given: str, address: str | None) -> Refusal | None:
        """Say why the bearer of this Authorization header is not let in; None for who is."""
        return self._admission.refusal(given, address)

    def has_room(self, address: str) -> bool:
        """Whether one more connection of an address may come."""
        return self._admission.has_room(address)

    def enter(self, address: str) -> Place:
        """Take the place of a connection, right after its `refusal` was None."""
        return self._admission.enter(address)

    async def answer(self, socket: StreamSocket, place: Place) -> None:
        """Have the call of a socket from its upgrade to its end; leave the place."""
        capture = None if self._captures is None else CallCapture(self._captures)
        call = self._call_of(socket, capture)
        self._calls.add(call)
        self._idle.clear()
        try:
            await self._run(call, place)
        finally:
            if capture is not None:
                capture.close()
            place.leave()
            # A library may wait without end for a peer to read what was written.
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, socket.abort)
            self._calls.discard(call)
            if not self._calls:
                self._idle.set()

    def _call_of(self, socket: StreamSocket, capture: CallCapture | None) -> Call:
        receiver = self._make_receiver()
        if self._max_unread is not None:
            return ReadAheadCall(socket, receiver, self._max_queued_s, capture, max_unread=self._max_unread)
        if capture is None and isinstance(socket, PushingSocket):
            return PushedCall(socket, receiver, self._max_queued_s)
        return Call(socket, receiver, self._max_queued_s, capture)

    async def drain(self, timeout_s: float) -> bool:
        """Let nobody in, and wait for the calls to end as they would; False when some have not in time."""
        self._admission.close()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Let nobody in, end every call with 1001 and wait for the handlers. Idempotent."""
        self._admission.close()
        closing = [call.close(CloseCode.GOING_AWAY, "server is shutting down") for call in self._calls]
        await asyncio.gather(*closing, return_exceptions=True)
        try:
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
                await self._idle.wait()
        except TimeoutError:
            _log.error("%d handlers did not end within %g s", len(self._calls), SHUTDOWN_TIMEOUT_S)

    async def _run(self, call: Call, place: Place) -> None:
        if not await call._wait_for_start(self.start_timeout_s):
            _log.warning("%s: no stream: %s", call.peer, call.error or "it hung up")
            self._counts.not_begun += 1
            return
        place.begin()
        self._counts.begin(call)
        call._begin()
        reason = None
        try:
            # A task of its own: what wakes it need not wake all that waits for it, up to the server's.
            await asyncio.ensure_future(self._handler(call))
        except* CallEndedError:
            await call.close()
        except* Exception:
            reason = "handler_error"
            _log.exception("call %.64r from %s: its handler raised", call.start.call_id, call.peer)
            await call.close(CloseCode.INTERNAL_ERROR, "internal error")
        else:
            await call.close()
        finally:
            await call._stop()
            self._counts.end(call, reason or reason_of(call))


def log_refusal(peer: str, status: int, phrase: str, path: str) -> None:
    """Log who is not let in; a header or a query may hold a secret, the path may not."""
    _log.warning("%s: refused with HTTP %d %s, asked for %.64r", peer, status, phrase, path)
