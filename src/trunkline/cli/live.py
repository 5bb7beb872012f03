"""What recordings look like while they run: live lines, or plain lines without a terminal."""

import math
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from trunkline.cli.summary import JITTER_MS, lost_percent, summary, two_digits
from trunkline.cli.view import LiveView, plain
from trunkline.net import CallRecording

__all__ = ["RecordingView"]

NAME_CELLS = (8, 24)  # at least and at most, as the terminal's width allows
METER_CELLS = (4, 12)
TRACK_CELLS = 9  # "outbound "
SPARE_CELLS = 2  # the terminal's echo of Ctrl-C must not wrap: the lines could not be taken back
METER_FLOOR_DBFS = -60.0
HEADINGS = ("dBFS", "packets", "lost", "concealed", "jitter", "seconds")
DISPENSABLE = "packets"  # where the terminal is too narrow for all


class RecordingView(LiveView):
    """Show recordings: an async context manager; give its `started` and `ended` to CallRecordings."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[CallRecording] = []
        self.n_failed = 0
        self.n_ended = 0

    def started(self, recording: CallRecording) -> None:
        """Take a recording into the view."""
        self.running.append(recording)
        if not self._is_live:
            start, audio = recording.call.start, recording.call.start.media_format
            at = f", recorded at {start.sample_rate} Hz" if start.sample_rate else ""
            self.note(
                f"started {_files(recording)}: {audio.codec} {audio.sample_rate} Hz{at}, "
                f"{', '.join(start.tracks) or 'any tracks'}, from {recording.call.peer}"
            )

    def ended(self, recording: CallRecording) -> None:
        """Print what became of a recording: one line, as other processes print between two."""
        if recording in self.running:
            self.running.remove(recording)
        self.n_ended += 1
        self.n_failed += recording.error is not None
        tracks = "".join(f"; {track}: {summary(stats)}" for track, stats in recording.call.stats.items())
        error = recording.call.error
        why, style = ("", "") if error is None else (f"; cut short: {error}", "yellow")
        self.note(f"ended {_files(recording)}: {recording.duration_ms / 1000:.2f} s{tracks}{why}", style)

    def _table(self) -> Table:
        fit = max(1, (self._console.height - 4) // 2)
        rows = [row for recording in self.running[:fit] for row in _rows(recording)]
        columns = list(zip(HEADINGS, *(row.numbers for row in rows), strict=True))
        if self._spare_cells(columns) < METER_CELLS[0] + NAME_CELLS[0]:
            columns = [column for column in columns if column[0] != DISPENSABLE]
        spare = self._spare_cells(columns)
        meter_cells = _within(METER_CELLS, spare // 3)
        name_cells = _within(NAME_CELLS, spare - meter_cells)
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("file", no_wrap=True)
        table.add_column("level", no_wrap=True)
        for heading, *_ in columns:
            table.add_column(heading, justify="right", no_wrap=True)
        for row, *numbers in zip(rows, *(column[1:] for column in columns), strict=True):
            table.add_row(
                plain(_shorten(row.name, name_cells)),
                plain(f"{row.track[:8]:{TRACK_CELLS}}", "dim") + _meter(row.level_dbfs, meter_cells),
                *numbers,
            )
        if len(self.running) > fit:
            table.add_row(f"and {len(self.running) - fit:,} more")
        return table

    def _spare_cells(self, columns: "list[tuple[str | Text, ...]]") -> int:
        """Count what these leave to the name and the meter."""
        numbers_cells = sum(1 + max(map(len, column)) for column in columns)
        return self._console.width - SPARE_CELLS - 1 - TRACK_CELLS - numbers_cells


def _files(recording: CallRecording) -> str:
    return ", ".join(map(str, recording.paths))


class _Row(NamedTuple):
    """One track; only the first of a call has its name and duration."""

    name: str
    track: str
    level_dbfs: float
    numbers: tuple[Text, ...]  # under HEADINGS


def _rows(recording: CallRecording) -> list[_Row]:
    levels = recording.levels_dbfs()
    rows = []
    for k, (track, stats) in enumerate(recording.call.stats.items()):
        level = levels.get(track, -math.inf)
        numbers = (
            Text("" if math.isinf(level) else f"{level:.0f}"),
            Text(f"{stats.packets:,}"),
            _damage(stats.lost, f"{two_digits(lost_percent(stats))} %"),
            _damage(stats.concealed_ms, f"{stats.concealed_ms:,.0f} ms"),
            _damage(stats.jitter_ms >= JITTER_MS, f"{two_digits(stats.jitter_ms)} ms"),
            Text("" if k else f"{recording.duration_ms / 1000:.1f}"),
        )
        rows.append(_Row("" if k else recording.path.stem, track, level, numbers))
    return rows


def _damage(amount: float, shown: str) -> Text:
    return Text(shown, "yellow" if amount else "dim")


def _within(limits: tuple[int, int], n_cells: int) -> int:
    return max(limits[0], min(limits[1], n_cells))


def _shorten(name: str, n_cells: int) -> str:
    """Cut a name in the middle: ids differ at either end."""
    if len(name) <= n_cells:
        return name
    n_tail = (n_cells - 1) // 2
    return f"{name[: n_cells - 1 - n_tail]}…{name[-n_tail:]}"


def _meter(level_dbfs: float, n_cells: int) -> Text:
    part = max(0.0, 1 - level_dbfs / METER_FLOOR_DBFS)
    cells = min(n_cells, round(part * n_cells))
    color = "red" if level_dbfs > -3 else "green"
    return Text("█" * cells, color) + Text("░" * (n_cells - cells), "dim")
