"""What recordings look like while they run: a live line per call, or plain lines without a terminal."""

import asyncio
import math
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trunkline.net import CallRecording

__all__ = ["RecordingView"]

NAME_CELLS = 24
METER_CELLS = 12
METER_FLOOR_DBFS = -60.0
REFRESH_HZ = 8


class RecordingView:
    """Show recordings: an async context manager; give its `started` and `ended` to CallRecordings."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._running: list[CallRecording] = []
        self.n_failed = 0
        self.n_ended = 0
        self._live = Live(
            console=self._console, get_renderable=self._table, auto_refresh=False, transient=True
        )
        self._refreshing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
            self._refreshing = asyncio.create_task(self._refresh())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            self._live.stop()

    async def _refresh(self) -> None:
        """Draw from the event loop: rich's own thread would read the calls while they change."""
        while True:
            await asyncio.sleep(1 / REFRESH_HZ)
            self._live.refresh()

    def started(self, recording: CallRecording) -> None:
        """Take a recording into the view."""
        self._running.append(recording)
        if not self._console.is_terminal:
            start, audio = recording.call.start, recording.call.start.media_format
            self.note(
                f"started {recording.path}: {audio.codec} {audio.sample_rate} Hz, "
                f"{', '.join(start.tracks)}, from {recording.call.peer}"
            )

    def ended(self, recording: CallRecording) -> None:
        """Print what became of a recording."""
        if recording in self._running:
            self._running.remove(recording)
        self.n_ended += 1
        seconds = recording.duration_ms / 1000
        numbers = ", ".join(
            f"{track}: {s.packets} packets, {s.lost} lost, {s.late} late, {s.discontinuities} gaps"
            for track, s in recording.call.stats.items()
        )
        self.note(f"ended {recording.path}: {seconds:.2f} s; {numbers}")
        if recording.error is not None:
            self.n_failed += 1
            self.note(f"error: {recording.path}: {recording.error}", style="red")
        elif recording.call.error is not None:
            self.note(f"  cut short: {recording.call.error}", style="yellow")

    def note(self, text: str, style: str = "") -> None:
        """Print a line, above the live lines; what a peer put into it cannot move the cursor."""
        safe = "".join(c if c.isprintable() else "?" for c in text)
        self._console.print(Text(safe, style), soft_wrap=True)

    def print(self, table: Table) -> None:
        """Print a table."""
        self._console.print(table)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("recording", no_wrap=True, max_width=NAME_CELLS)
        table.add_column("level", no_wrap=True)
        for heading in ("dBFS", "packets", "lost", "late", "gaps", "seconds"):
            table.add_column(heading, justify="right", no_wrap=True)
        fit = max(1, (self._console.height - 4) // 2)
        for recording in self._running[:fit]:
            self._add_rows(table, recording)
        if len(self._running) > fit:
            table.add_row(f"and {len(self._running) - fit:,} more")
        return table

    def _add_rows(self, table: Table, recording: CallRecording) -> None:
        levels = recording.levels_dbfs()
        for k, (track, stats) in enumerate(recording.call.stats.items()):
            level = levels.get(track, -math.inf)
            table.add_row(
                recording.path.name if k == 0 else "",
                Text(f"{track[:8]:8} ", "dim") + _meter(level),
                "" if math.isinf(level) else f"{level:.0f}",
                f"{stats.packets:,}",
                *(Text(f"{n}", "yellow" if n else "dim") for n in (stats.lost, stats.late)),
                Text(f"{stats.discontinuities}", "yellow" if stats.discontinuities else "dim"),
                f"{recording.duration_ms / 1000:.1f}" if k == 0 else "",
            )


def _meter(level_dbfs: float) -> Text:
    part = max(0.0, 1 - level_dbfs / METER_FLOOR_DBFS)
    cells = min(METER_CELLS, round(part * METER_CELLS))
    color = "red" if level_dbfs > -3 else "green"
    return Text("█" * cells, color) + Text("░" * (METER_CELLS - cells), "dim")
