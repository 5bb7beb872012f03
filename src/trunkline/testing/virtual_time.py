"""An event loop for whom sleeping costs no time: its clock jumps to the next timer when nothing else is left.

>>> import asyncio
>>> async def wait_a_minute():
...     await asyncio.sleep(60)
...     return asyncio.get_running_loop().time()
>>> run_in_virtual_time(wait_a_minute())
60.0
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

__all__ = ["VirtualTimeLoop", "run_in_virtual_time"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _JumpingSelector(selectors.DefaultSelector):
    """Does not wait: what select would have slept is added to `now_s`."""

    now_s = 0.0
    n_in_threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        is_over_to_others = timeout is None or (timeout > 0 and self.n_in_threads > 0)
        ready = super().select(None if is_over_to_others else 0)
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that never waits for a timer; its `time()` begins at 0 s.

    What is sent on loopback is there at once, and what `run_in_executor` and `asyncio.to_thread` do takes no
    time. Time stands still for nobody else: another process, a thread that was started otherwise, a host on
    a network. A timeout of the loop's is then over before they have answered.
    """

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Give the virtual time in seconds."""
        return self._clock.now_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Run `func` in a thread; the clock does not jump before it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._clock.n_in_threads += 1
        future.add_done_callback(self._on_thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait for the threads: without the limit that Python has since 3.12, which would be over at once."""
        await super().shutdown_default_executor()

    def _on_thread_done(self, future: "asyncio.Future[Any]") -> None:
        self._clock.n_in_threads -= 1


def run_in_virtual_time(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a VirtualTimeLoop, and give what it returns."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)
