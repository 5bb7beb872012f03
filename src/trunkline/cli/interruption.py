"""Ctrl-C, SIGTERM and SIGHUP, noticed where work can be left: not in a library's own bookkeeping."""

import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Final, Self

__all__ = ["Interruption"]

#: How long a signal waits to be noticed, before it interrupts whatever goes on: a read that brings nothing.
PATIENCE_S: Final = 0.3


class Interruption:
    """Keeps in mind, while this context manager is open, that a signal wants the process to end.

    `check` raises SystemExit with 128 + the signal's number, as a shell reports it: in any thread. When
    nobody has noticed in time, it is raised in the main thread, wherever that is, and from then on another
    signal ends the process at once. What is ignored stays ignored.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        """Raise SystemExit if a signal has come."""
        if self._number is not None:
            sys.exit(128 + self._number)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_alarm)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._number is None:  # the first: Ctrl-C may come twice, from a terminal and from a parent
            self._number = number
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        for ending in self._before.keys() - {signal.SIGALRM}:
            signal.signal(ending, signal.SIG_DFL)  # a thread that reads a pipe is waited for
        self.check()
