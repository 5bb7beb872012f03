"""Clock: calls back every 20 ms, at absolute deadlines; and Lateness, which counts how late something was."""

import asyncio
import math
from array import array
from collections.abc import Callable
from typing import Final

__all__ = ["TICK_MS", "Clock", "Lateness"]

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


class Lateness:
    """How late each of many things was, in bins that are 9 % wide; from 0.05 ms to 3 s.

    >>> lateness = Lateness()
    >>> for late_ms in (0.2, 0.3, 0.4, 12.0):
    ...     lateness.add(late_ms)
    >>> lateness.n, lateness.max_ms, round(lateness.quantile_ms(0.5), 2)
    (4, 12.0, 0.31)
    """

    _PER_OCTAVE: Final = 8
    _FIRST_MS: Final = 0.05
    _N_BINS: Final = 130

    def __init__(self) -> None:
        self.max_ms = 0.0
        self._bins = array("Q", bytes(8 * self._N_BINS))

    @property
    def n(self) -> int:
        """How many were counted."""
        return sum(self._bins)

    def add(self, late_ms: float) -> None:
        """Count one."""
        self.max_ms = max(self.max_ms, late_ms)
        octaves = math.log2(max(late_ms, self._FIRST_MS) / self._FIRST_MS)
        self._bins[min(math.ceil(octaves * self._PER_OCTAVE), self._N_BINS - 1)] += 1

    def update(self, other: "Lateness") -> None:
        """Count all that `other` has counted."""
        self.max_ms = max(self.max_ms, other.max_ms)
        self._bins = array("Q", map(int.__add__, self._bins, other._bins))

    def quantile_ms(self, q: float) -> float:
        """Say what a part `q` (0 to 1) of them was not later than, as the end of a bin; 0 for none."""
        left = q * self.n
        for k, count in enumerate(self._bins):
            left -= count
            if left <= 0:
                return min(self.max_ms, self._FIRST_MS * 2 ** (k / self._PER_OCTAVE))
        return self.max_ms
