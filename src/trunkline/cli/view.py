"""What the commands that run until they are stopped share: live lines, warnings among them, signals."""

import asyncio
import logging
import signal
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trunkline.cli.output import open_console, printable

__all__ = ["LiveView", "is_debugging", "plain", "stop_on_signals", "warnings_in"]

REFRESH_HZ = 8
LIKE_LINES_MAX = 5  # a second; the others are counted


def plain(text: str, style: str = "") -> Text:
    """Make a line or a cell of what a peer may have written: no markup, nothing that moves the cursor."""
    return Text(printable(text), style)


class LiveView(ABC):
    """Lines that are printed, above a table that is drawn anew as long as this async context manager is open.

    Without a terminal there is no table.
    """

    def __init__(self) -> None:
        self._console = open_console()
        self._is_live = False
        self._live = Live(
            console=self._console, get_renderable=self._render, auto_refresh=False, transient=True
        )
        self._refreshing: asyncio.Task[None] | None = None
        self._like: Counter[str] = Counter()  # lines of which many may come, within this second
        self._like_second: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        if self._console.is_terminal:
            self._is_live = True
            self._live.start()
            self._refreshing = asyncio.create_task(self._refresh())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_like_second()
        if self._refreshing is not None:
            self._refreshing.cancel()
            self._stop_live()

    async def _refresh(self) -> None:
        """Draw from the event loop: rich's own thread would read the calls while they change."""
        while self._is_live:
            await asyncio.sleep(1 / REFRESH_HZ)
            try:
                self._live.refresh()
            except Exception as error:
                self._stop_live()
                what = f"{type(error).__name__}: {error}"
                self.note(f"the live lines failed, plain ones follow: {what}", "yellow")

    def _stop_live(self) -> None:
        """Take the live lines away: the last that Live draws is nothing."""
        self._is_live = False
        self._live.stop()

    def note(self, text: str, style: str = "") -> None:
        """Print a line, above the live lines."""
        self._console.print(plain(text, style), soft_wrap=True)

    def note_one_of(self, many: str, text: str, style: str = "") -> None:
        """Print a line of a kind that peers bring about at will: five a second, then how `many` more."""
        if self._like_second is None:
            self._like_second = asyncio.get_running_loop().call_later(1.0, self._end_like_second)
        self._like[many] += 1
        if self._like[many] <= LIKE_LINES_MAX:
            self.note(text, style)

    def _end_like_second(self) -> None:
        if self._like_second is not None:
            self._like_second.cancel()
        like, self._like, self._like_second = self._like, Counter(), None
        for many, n_lines in like.items():
            if n_lines > LIKE_LINES_MAX:
                self.note(f"and {n_lines - LIKE_LINES_MAX:,} more {many}", "dim")

    def print(self, table: Table) -> None:
        """Print a table."""
        self._console.print(table)

    def _render(self) -> Table | str:
        return self._table() if self._is_live else ""

    @abstractmethod
    def _table(self) -> Table:
        """Make the live lines."""


def stop_on_signals() -> asyncio.Event:
    """Give an event that Ctrl-C, SIGTERM and SIGHUP set, each unless it is ignored."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell that put us behind
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def is_debugging() -> bool:
    """Whether the command was given --debug."""
    return bool(click.get_current_context().find_root().params["debug"])


@contextmanager
def warnings_in(view: LiveView, *, debug: bool | None = None) -> Iterator[None]:
    """Show what is logged as lines of the view; with --debug logging shows it, tracebacks and all."""
    if is_debugging() if debug is None else debug:
        yield
        return
    lines = _Lines(view)
    logging.getLogger().addHandler(lines)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(lines)


class _Lines(logging.Handler):
    """Give each record to a view, as one line."""

    def __init__(self, view: LiveView) -> None:
        super().__init__(logging.WARNING)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{record.levelname.lower()}: {record.getMessage()}"
            if record.exc_info and record.exc_info[1]:
                line += f": {record.exc_info[1]!r}"
            self._view.note(line, "red" if record.levelno >= logging.ERROR else "yellow")
        except Exception:
            self.handleError(record)
