"""RTP over UDP: a port whose streams are handed to a coroutine each, as `serve` does with calls."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from trunkline.formats import CodecSpec
from trunkline.net.event_stream import EventStream
from trunkline.net.server import authority, listen_error
from trunkline.net.server_stats import CallCounts, ServerStats, reason_of
from trunkline.stream import Event, RtpReceiver

__all__ = ["RtpCall", "RtpServer", "serve_rtp"]

SHUTDOWN_TIMEOUT_S: Final = 5.0
UNREAD_MAX: Final = 1000  # datagrams; a socket holds some hundreds, who closes is not kept by a flood

_log = logging.getLogger(__name__)


class RtpCall(EventStream):
    """One RTP stream: iterate over it for its events, from Start on, until its source falls silent.

    `peer` is the address of the source; it cannot be told anything, so `close` only ends the iteration.
    """

    _receiver: RtpReceiver

    def __init__(self, peer: str, receiver: RtpReceiver) -> None:
        super().__init__(peer, receiver)
        self._wake = asyncio.Event()

    async def _receive(self) -> None:
        self._wake.clear()
        await self._wake.wait()

    async def close(self, code: int = 0, reason: str = "") -> None:
        """End the iteration; what the source sends from now on is passed over, until it falls silent."""
        self._over = True
        self._wake.set()

    def _give(self, events: list[Event]) -> None:
        if not self._over:
            self._events.extend(events)
            self._wake.set()

    def _end(self) -> None:
        self._give(self._receiver.close())
        self._over = True
        self._wake.set()


Handler = Callable[[RtpCall], Coroutine[Any, Any, None]]


class RtpServer(asyncio.DatagramProtocol):
    """A port that takes one stream after the other; made by `serve_rtp`."""

    def __init__(
        self,
        handler: Handler,
        make_receiver: Callable[[], RtpReceiver],
        idle_ms: float,
        n_calls: int | None,
    ) -> None:
        self._handler = handler
        self._make_receiver = make_receiver
        self._idle_ms = idle_ms
        self._places = n_calls
        self._counts = CallCounts()
        self._receiver = make_receiver()
        self._call: RtpCall | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._has_come = False  # a datagram, since that was last asked
        self.url = ""

    def datagram_received(self, data: bytes, address: tuple[Any, ...]) -> None:
        self._has_come = True
        if self._places == 0 and self._call is None:
            return
        events = self._receiver.receive(data, source=address[:2], arrival_ms=self._now_ms())
        if self._call is None and self._receiver.start is not None:
            self._call = RtpCall(f"{address[0]}:{address[1]}", self._receiver)
            if self._places is not None:
                self._places -= 1
            self._counts.begin(self._call)
            task = self._loop.create_task(self._run(self._call))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        if self._call is not None:
            self._call._give(events)
            self._arm()

    def error_received(self, error: Exception) -> None:
        _log.warning("%s: %s", self.url, error)

    @property
    def stats(self) -> ServerStats:
        """What was counted of all streams, that which is there, too."""
        return self._counts.stats({})

    @property
    def is_draining(self) -> bool:
        """Whether no more streams are taken."""
        return self._places == 0

    async def drain(self, timeout_s: float) -> bool:
        """Take no more streams, and wait for that which is there; False when it has not ended in time."""
        await self._read_what_has_come()
        self._places = 0
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=timeout_s)
            return not late
        return True

    async def close(self) -> None:
        """Take what has come, stop listening, end the stream and wait for its handler. Idempotent."""
        await self._read_what_has_come()
        self._places = 0
        self._end_call()
        self._transport.close()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=SHUTDOWN_TIMEOUT_S)
            if late:
                _log.error("%d handlers did not end within %g s", len(late), SHUTDOWN_TIMEOUT_S)

    async def _listen(self, host: str, port: int) -> None:
        try:
            self._transport, _ = await self._loop.create_datagram_endpoint(
                lambda: self, local_addr=(host, port)
            )
        except OSError as error:
            raise listen_error(error, host, port) from error
        self.port = self._transport.get_extra_info("sockname")[1]
        self.url = f"rtp://{authority(host, self.port)}"

    async def _read_what_has_come(self) -> None:
        """Have the loop read what the system holds: a busy process is behind its sources."""
        for _ in range(UNREAD_MAX):
            self._has_come = False
            for _ in range(2):  # the loop resumes us before it reads
                await asyncio.sleep(0)
            if not self._has_come:
                return

    def _now_ms(self) -> float:
        return self._loop.time() * 1000

    def _arm(self) -> None:
        """Wake up when a missing packet is waited for no longer, or the source is silent for too long."""
        if self._timer is not None:
            self._timer.cancel()
        due_ms = (self._receiver.arrival_ms or 0.0) + self._idle_ms
        if self._receiver.next_deadline_ms is not None:
            due_ms = min(due_ms, self._receiver.next_deadline_ms)
        self._timer = self._loop.call_at(due_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        now_ms = self._now_ms()
        if self._call is None:
            return
        self._call._give(self._receiver.poll(now_ms))
        if now_ms >= (self._receiver.arrival_ms or 0.0) + self._idle_ms:
            self._end_call()
        else:
            self._arm()

    def _end_call(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._call is not None:
            self._call._end()
            self._call, self._receiver = None, self._make_receiver()

    async def _run(self, call: RtpCall) -> None:
        reason = None
        try:
            await self._handler(call)
        except Exception:
            reason = "handler_error"
            _log.exception("stream %s from %s: its handler raised", call.start.stream_id, call.peer)
        finally:
            self._counts.end(call, reason or reason_of(call))
        await call.close()


@asynccontextmanager
async def serve_rtp(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    codec: CodecSpec | str = "PCMU",
    channels: int = 1,
    payload_type: int | None = None,
    sample_rate: int | None = None,
    frame_ms: int = 20,
    output: str = "pcm",
    idle_s: float = 5.0,
    n_calls: int | None = None,
) -> AsyncIterator[RtpServer]:
    """Listen for RTP on a UDP port, and run `handler(call)` for each stream, one after the other.

    A stream begins with the fourth packet in order of a source, and ends when nothing has come from it for
    `idle_s`; `n_calls` are taken. `port` 0 takes a free one; the other arguments are an RtpReceiver's. On
    leaving the block the stream ends, and its handler may finish.

        async with serve_rtp(handler, "127.0.0.1", 5004, codec="PCMU") as server:
            print(server.url)
            await asyncio.Event().wait()
    """
    make_receiver = partial(
        RtpReceiver,
        codec,
        channels=channels,
        payload_type=payload_type,
        sample_rate=sample_rate,
        frame_ms=frame_ms,
        output=output,
    )
    server = RtpServer(handler, make_receiver, idle_s * 1000, n_calls)
    await server._listen(host, port)
    try:
        yield server
    finally:
        await server.close()
