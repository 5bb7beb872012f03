"""How a service is told to end: to let what is running end by itself, or at once."""

import asyncio
import signal
from collections.abc import Awaitable
from typing import Any

__all__ = ["Ending", "first_of"]


class Ending:
    """Two wishes: `begun`, that nothing new begins; `now`, that what is running ends at once, too."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.now = asyncio.Event()

    def drain(self) -> None:
        """Let nothing new begin. Idempotent."""
        self.begun.set()

    def end(self) -> None:
        """End at once. Idempotent."""
        self.begun.set()
        self.now.set()

    def on_signals(self) -> None:
        """Drain on SIGTERM; end on another one, on Ctrl-C and SIGHUP. What is ignored stays ignored."""
        for number, action in (
            (signal.SIGTERM, self._terminate),
            (signal.SIGINT, self.end),
            (signal.SIGHUP, self.end),
        ):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell that put us behind
                asyncio.get_running_loop().add_signal_handler(number, action)

    def _terminate(self) -> None:
        if self.begun.is_set():
            self.end()
        else:
            self.drain()


async def first_of(*waits: Awaitable[Any]) -> None:
    """Wait until one of them is over; cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
