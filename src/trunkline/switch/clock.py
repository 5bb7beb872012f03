"""Clock: calls back every 20 ms, at absolute deadlines."""

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["TICK_MS", "Clock"]

TICK_MS: Final = 20


class Clock:
    """Call `tick(due_s)` every 20 ms of the running loop's time, the first time `phase_s` after `start`.

    Tick k is due exactly k * 20 ms after the first: being late moves none of those behind, they are made up
    for, one in each turn of the loop. What `tick` raises goes to the loop's exception handler, and the clock
    goes on.
    """

    def __init__(self, tick: Callable[[float], None], phase_s: float = 0.0) -> None:
        self._tick = tick
        self._phase_s = phase_s
        self._loop = asyncio.get_running_loop()
        self._first_s = 0.0
        self._n_ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def start(self) -> None:
        """Begin; nothing when it has begun, or was stopped."""
        if self._timer is None and not self._stopped:
            self._first_s = self._loop.time() + self._phase_s
            self._arm()

    def stop(self) -> None:
        """Tick no more. Idempotent."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _due_s(self) -> float:
        return self._first_s + self._n_ticks * TICK_MS / 1000

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._due_s(), self._on_timer)

    def _on_timer(self) -> None:
        due_s = self._due_s()
        try:
            self._n_ticks += 1
            self._tick(due_s)
        finally:
            if not self._stopped:
                self._arm()
