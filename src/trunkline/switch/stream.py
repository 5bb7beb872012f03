"""Stream: one live stream of a call's audio: connect, start, send on time, stop."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from trunkline.errors import (
    FormatError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamStartError,
    TargetRefusedError,
    TrunklineError,
)
from trunkline.extras import needs_extra
from trunkline.lateness import Lateness
from trunkline.net.client import Sending, StreamResult, without_token
from trunkline.stream import StreamRequest, StreamSender
from trunkline.switch.clock import TICK_MS
from trunkline.switch.events import CallbackForm, StreamState
from trunkline.switch.reply import Reply

with needs_extra("server"):
    import aiohttp
    from aiohttp import WSMsgType

__all__ = ["Stream"]

QUEUED_MAX_MS: Final = 2000  # of messages that a slow endpoint has not taken
CONTROLS_MAX: Final = 64  # beside them: marks, keys
DRAIN_TIMEOUT_S: Final = 2.0  # how long an endpoint may take for what is queued, and to close
MESSAGES_A_TURN: Final = 64  # that are sent, before the other streams have their turn

_log = logging.getLogger(__name__)

#: Connects, and gives the socket for as long as it is open.
Connect = Callable[[], AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]]


class Stream:
    """A stream of a call's audio to one endpoint; made by `Call.start_stream`.

    `request` is what was asked for, `callback_form` how its status callbacks look, `bidirectional` whether
    what the endpoint sends is heard on the call. `state` goes from connecting to streaming to finished;
    `error` is why it finished, None when it was stopped or the endpoint closed in good order. `started_s` and
    `ended_s` are in seconds since 1970. `lateness` counts how long after its deadline each message was
    handed to the socket, and `dropped` the messages that were not, since the endpoint took them too slowly.
    """

    def __init__(
        self,
        request: StreamRequest,
        sender: StreamSender,
        connect: Connect,
        on_changed: Callable[["Stream"], None],
        *,
        callback_form: CallbackForm,
        press: Callable[["Stream", str, int | None], None] | None,
    ) -> None:
        self.request = request
        self.callback_form: CallbackForm = callback_form
        self.state: StreamState = "connecting"
        self.error: TrunklineError | OSError | None = None
        self.started_s: float | None = None
        self.ended_s: float | None = None
        self.dropped = 0
        self.lateness = Lateness()
        self.reply: Reply | None = None
        if press is not None:
            self.reply = Reply(
                request.codec,
                sender.stream_id,
                sender.sample_rate,
                echo=self._mark,
                press=lambda digit, duration_ms: press(self, digit, duration_ms),
            )
        self._sender = sender
        self._on_changed = on_changed
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes]] = deque()  # due in s, message
        self._queue_max = len(sender.tracks) * QUEUED_MAX_MS // request.codec.ptime_ms + CONTROLS_MAX
        self._wake = asyncio.Event()
        self._stopping = False
        self._failure: TrunklineError | None = None
        self._is_dropped = False
        self._sending: _Sending | None = None
        self._settled = asyncio.Event()  # accepted, or finished
        self._finished = asyncio.Event()
        self._task = asyncio.create_task(self._run(connect))
        self._task.add_done_callback(self._on_done)

    @property
    def control_id(self) -> str:
        """The stream's id, unique among the live ones of its call."""
        return self.request.control_id

    @property
    def sid(self) -> str:
        """The same id, by its name on the wire and in the compatibility API."""
        return self.request.control_id

    @property
    def bidirectional(self) -> bool:
        """Whether what the endpoint sends is heard on the call."""
        return self.reply is not None

    @property
    def messages_sent(self) -> int:
        """WebSocket messages that were handed to the socket."""
        return 0 if self._sending is None else self._sending.messages_sent

    @property
    def messages_received(self) -> int:
        """WebSocket messages that came back; on a one-way stream they are counted and nothing more."""
        return 0 if self._sending is None else self._sending.messages_received

    async def stop(self) -> None:
        """Send what is queued and the stop message, close, and wait until that is done. Idempotent.

        An endpoint that does not take them, and close, within 2 s is dropped.
        """
        if self.state == "connecting":
            self._task.cancel()
        elif self.state == "streaming" and not self._stopping and self._failure is None:
            self._end()
        await self._finished.wait()

    async def wait(self) -> None:
        """Wait until the stream has finished."""
        await self._finished.wait()

    async def wait_until_started(self) -> None:
        """Wait until the start message is sent; StreamStartError when that does not come about."""
        try:
            await self._settled.wait()
        except asyncio.CancelledError:  # nobody is there any more whom it would be given to
            self._task.cancel()
            raise
        if self.started_s is None and self.error is not None:
            raise self.error

    def send(self, pcm: Mapping[str, bytes], due_s: float) -> None:
        """Queue 20 ms of the call's tracks, which are due from `due_s` of the loop's time on.

        They are taken in steps that divide both 20 ms and a packet, and a packet is due with the step that
        completes it: packets of any ptime leave evenly.
        """
        if self._stopping or self._failure is not None:
            return
        step_ms = math.gcd(TICK_MS, self.request.codec.ptime_ms)
        n_bytes = 2 * step_ms * self._sender.sample_rate // 1000
        try:
            for k in range(TICK_MS // step_ms):
                for track in self._sender.tracks:
                    for message in self._sender.media(pcm[track][k * n_bytes : (k + 1) * n_bytes], track):
                        self._put(message, due_s + k * step_ms / 1000)
        except Exception as error:  # whatever it is, the other streams have their turn
            self._fail(error)

    def dtmf(self, digit: str, duration_ms: int) -> None:
        """Queue a key press."""
        if self.state == "streaming" and not self._stopping:
            for message in self._sender.dtmf(digit, duration_ms):
                self._put(message, self._soonest_s())

    def _mark(self, name: str) -> None:
        if self.state == "streaming" and not self._stopping:
            for message in self._sender.mark(name):
                self._put(message, self._soonest_s())

    def _put(self, message: bytes, due_s: float) -> None:
        if len(self._queue) >= self._queue_max:
            self.dropped += 1
            return
        self._queue.append((due_s, message))
        self._wake.set()

    def _soonest_s(self) -> float:
        """Say when what is queued now is due: its turn comes behind what is not due yet."""
        now_s = self._loop.time()
        return max(now_s, self._queue[-1][0]) if self._queue else now_s

    def _end(self) -> None:
        """Queue the end."""
        try:
            messages = self._sender.stop()
        except Exception as error:  # an encoder's, of what it held
            self._fail(error)
            return
        self._stopping = True
        due_s = self._soonest_s()
        self._queue.extend((due_s, message) for message in messages)
        self._wake.set()
        self._loop.call_later(DRAIN_TIMEOUT_S, self._abort)

    def _fail(self, error: Exception) -> None:
        _log.error("stream %.64s cannot be encoded", self.control_id, exc_info=error)
        self._failure = LocalProtocolError(f"the audio cannot be encoded: {error}")
        if self._sending is not None:
            self._sending.give_up()
        self._loop.call_later(DRAIN_TIMEOUT_S, self._abort)

    def _abort(self) -> None:
        if self._sending is not None and self.state != "finished":
            self._is_dropped = True
            self._sending.abort()

    async def _run(self, connect: Connect) -> StreamResult:
        async with connect() as socket:
            self._sending = _Sending(socket, self.reply)
            return await self._sending.run(self._send_all(self._sending))

    async def _send_all(self, sending: "_Sending") -> None:
        for message in self._sender.start():
            await sending.send(message)
        self.state, self.started_s = "streaming", time.time()
        self._on_changed(self)
        self._settled.set()
        n_sent = 0
        while True:
            self._wake.clear()
            while self._queue:
                early_s = self._queue[0][0] - self._loop.time()
                if early_s > 0:
                    await asyncio.sleep(early_s)
                due_s, message = self._queue.popleft()
                self.lateness.add((self._loop.time() - due_s) * 1000)
                await sending.send(message)
                n_sent += 1
                if n_sent % MESSAGES_A_TURN == 0 and self._queue:
                    await asyncio.sleep(0)
            if self._stopping:
                return
            await self._wake.wait()

    def _on_done(self, task: "asyncio.Task[StreamResult]") -> None:
        error = self._error_of(task)
        if self.started_s is None:
            error = _start_error(error)
        self._queue.clear()
        if self.reply is not None:
            self.reply.drop()
        self.error = error
        self.state, self.ended_s = "finished", time.time()
        self._settled.set()
        self._finished.set()
        self._on_changed(self)

    def _error_of(self, task: "asyncio.Task[StreamResult]") -> TrunklineError | OSError | None:
        """Say why it finished; None when it was stopped or the endpoint closed in good order."""
        if self._failure is not None or task.cancelled():
            return self._failure
        raised = task.exception()
        if isinstance(raised, TrunklineError | OSError):
            return raised
        if raised is not None:
            _log.error("stream %.64s failed", self.control_id, exc_info=raised)
            return RemoteProtocolError(f"the stream failed: {type(raised).__name__}")
        result = task.result()
        if result.complete or (result.close_code == 1000 and not self._stopping):
            return None
        reason = without_token(self.request.authorization_bearer_token, result.close_reason)
        why = f": {reason}" if reason else ""
        if self._is_dropped:
            what = f"taken {len(self._queue)} messages" if self._queue else "closed"
            return RemoteProtocolError(f"the endpoint had not {what} within {DRAIN_TIMEOUT_S:g} s: dropped")
        what = f"the endpoint had not taken {len(self._queue)} messages when" if self._queue else ""
        ended = f"the stream ended with close code {result.close_code}{why}"
        return RemoteProtocolError(f"{what} {ended}".lstrip())


def _start_error(error: TrunklineError | OSError | None) -> StreamStartError:
    """Say why a stream did not start, with the reason that a status callback gives."""
    if error is None:
        return StreamStartError("general_error", "the stream was stopped before it had begun")
    if isinstance(error, FormatError | LocalProtocolError | TargetRefusedError):  # before anything was sent
        reason = "invalid_url"
    elif isinstance(error, ConnectionRefusedError):
        reason = "connection_refused"
    elif isinstance(error, OSError) or isinstance(
        error.__cause__, OSError
    ):  # a certificate that is not trusted
        reason = "connection_refused_timeout_or_ssl_error"
    else:
        reason = "general_error"
    return StreamStartError(reason, str(error))


class _Sending(Sending):
    """The socket of a stream."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, reply: Reply | None) -> None:
        super().__init__(socket)
        self._reply = reply

    async def send(self, message: bytes) -> None:
        await self._send(message)

    def _take(self, message: aiohttp.WSMessage) -> None:
        if self._reply is not None and message.type is WSMsgType.TEXT:
            self._reply.receive(message.data)
