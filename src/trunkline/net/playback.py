"""Playback: what an endpoint says on its call, paced by the loop's clock into the socket."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from trunkline.net.stream_socket import StreamSocket
from trunkline.stream import Playout, Start, StreamSender

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["Playback"]

TICK_MS: Final = 0.01  # more than a clock's rounding, which must not make a sleep of nothing

_log = logging.getLogger(__name__)


class Playback:
    """A Playout and the task that sends what is due, from the first audio to `end`; `fail` ends its call."""

    def __init__(
        self,
        socket: StreamSocket,
        start: Start,
        max_queued_ms: float,
        fail: Callable[[str], Awaitable[None]],
    ) -> None:
        self._socket = socket
        self._sender = StreamSender.answer(start)
        self._playout = Playout(self._sender)
        self._max_queued_ms = max_queued_ms
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._n_clears = 0
        self._ended = False
        self._changed = asyncio.Event()  # there is something to send
        self._sent = asyncio.Condition()
        self._task: asyncio.Task[None] | None = asyncio.create_task(self._send())

    @property
    def is_over(self) -> bool:
        """Whether nothing is sent any more."""
        return self._ended or self._task is None or self._task.done()

    @property
    def queued_ms(self) -> float:
        """Audio that has not been sent."""
        return self._playout.queued_ms

    @property
    def played_ms(self) -> float:
        """Audio that has been heard, and was when it was over."""
        if not self.is_over:
            self._playout.hear(self._now_ms())
        return self._playout.played_ms

    async def play(self, pcm: "Buffer") -> None:
        """Queue audio, once there is room; what waits when the call ends, or a `clear` comes, is dropped."""
        n_clears = self._n_clears
        async with self._sent:
            await self._sent.wait_for(lambda: self.is_over or self._has_room)
        if self._n_clears == n_clears and not self.is_over:
            self._playout.play(pcm)
        self._changed.set()

    @property
    def _has_room(self) -> bool:
        """What fills no packet takes none: it waits for more."""
        return self._playout.queued_ms <= self._max_queued_ms or self._playout.next_deadline_ms is None

    def mark(self, name: str) -> None:
        """Queue a mark."""
        self._playout.mark(name)
        self._changed.set()

    def marked(self, name: str) -> None:
        """Take a mark that came back."""
        self._playout.marked(name, self._now_ms())

    def clear(self) -> float:
        """Drop what is queued, and have the platform drop what it was sent."""
        self._playout.hear(self._now_ms())
        self._n_clears += 1
        dropped_ms = self._playout.clear()
        self._changed.set()
        return dropped_ms

    async def wait(self) -> None:
        """Wait until everything has been heard or cleared, or nothing can be sent any more."""
        if not self.is_over:
            self._playout.flush()
            self._changed.set()
        async with self._sent:
            while not self.is_over and (left_ms := self._playout.hear(self._now_ms())) > TICK_MS:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_ms / 1000):
                        await self._sent.wait()

    def end(self) -> None:
        """Send no more, whatever is queued; idempotent."""
        if not self.is_over:
            self._playout.hear(self._now_ms())
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """End it, wait until it has, and let go of the task and the call.

        They hold this one, too: left to the garbage collector, which does not see the size of what is native,
        each ended call would stay for a while.
        """
        self.end()
        if self._task is not None:
            await asyncio.wait((self._task,))
        self._task = None
        self._fail = _fail_nobody
        async with self._sent:
            self._sent.notify_all()

    async def _send(self) -> None:
        try:
            while True:
                self._changed.clear()
                for message in self._playout.due(self._now_ms()):
                    await self._socket.send(message, binary=not self._sender.is_text(message))
                async with self._sent:
                    self._sent.notify_all()
                await self._sleep()
        except ConnectionError as lost:  # who reads the call says so, too
            _log.debug("playback ended: %s", lost)
        except Exception as error:
            _log.exception("playback failed")
            await self._fail(f"playback failed: {error}")
        finally:
            async with self._sent:
                self._sent.notify_all()

    async def _sleep(self) -> None:
        """Wait for the next deadline, or for something to happen."""
        due_ms = self._playout.next_deadline_ms
        left_s = None if due_ms is None else max(TICK_MS, due_ms - self._now_ms()) / 1000
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._changed.wait()

    def _now_ms(self) -> float:
        return self._loop.time() * 1000


async def _fail_nobody(reason: str) -> None:
    """Take the place of a call that has ended."""
