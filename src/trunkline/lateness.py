"""Lateness: counts how late many things were, in a fixed amount of memory."""

import math
from array import array
from typing import Final

__all__ = ["Lateness"]


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

    def add(self, late_ms: float, times: int = 1) -> None:
        """Count one, or more that were equally late."""
        self.max_ms = max(self.max_ms, late_ms)
        octaves = math.log2(max(late_ms, self._FIRST_MS) / self._FIRST_MS)
        self._bins[min(math.ceil(octaves * self._PER_OCTAVE), self._N_BINS - 1)] += times

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
