"""What trunkline convert shows, on standard error: a bar on a terminal, a line for what is wrong."""

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from trunkline.cli.output import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from trunkline.convert.batch import Outcome

__all__ = ["ConvertView"]


class ConvertView:
    """Counts outcomes; a context manager, which shows a bar where standard error is a terminal."""

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items
        self.n_ended = self.n_failed = self.n_skipped = 0
        self._audio_s = 0.0
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = _bar(self)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, audio_s: float) -> None:
        """Count audio that is written, from any thread."""
        with self._lock:
            self._audio_s += audio_s

    def ended(self, outcome: "Outcome") -> None:
        """Count an outcome, and say what is wrong with it."""
        self.n_ended += 1
        self.n_failed += outcome.status == "failed"
        self.n_skipped += outcome.status == "skipped"
        source = "standard input" if outcome.source == "-" else outcome.source
        if outcome.error is not None:
            self._line(f"error: {source}: {outcome.error}", "red")
        for sentence in outcome.damage:
            self._line(f"warning: {source}: {sentence}", "yellow")
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.n_ended)

    def summarise(self) -> None:
        """Say what came of several, also when they were interrupted."""
        if self.n_items > 1:
            n_converted = self.n_ended - self.n_failed - self.n_skipped
            parts = [f"{n_converted:,} of {self.n_items:,} files converted"]
            parts += [f"{self.n_skipped:,} were there already"] * bool(self.n_skipped)
            parts += [f"{self.n_failed:,} failed"] * bool(self.n_failed)
            self._line(f"{', '.join(parts)}; {self.progress}")

    @property
    def progress(self) -> str:
        """How much audio is written, and how quickly."""
        elapsed_s = max(time.monotonic() - self._began_s, 0.001)
        return f"{_duration(self._audio_s)} of audio, {self._audio_s / elapsed_s:,.0f} x real time"

    def _line(self, text: str, color: str | None = None) -> None:
        text = printable(text)
        if self._bar is not None:
            self._bar.console.print(text, style=color, markup=False, highlight=False, soft_wrap=True)
        else:
            click.secho(text, fg=color, err=True)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.2f} h"


def _bar(view: ConvertView) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        max_refresh = 0.2

        def render(self, task: Any) -> Text:
            return Text(view.progress)

    bar = Progress(
        BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn(), console=Console(stderr=True)
    )
    bar.add_task("", total=view.n_items)
    return bar
