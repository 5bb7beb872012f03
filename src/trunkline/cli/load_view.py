"""What a load looks like: a line while it runs, and what it came to."""

from typing import TYPE_CHECKING

from rich.table import Table

from trunkline.cli.summary import counted
from trunkline.cli.view import LiveView

if TYPE_CHECKING:
    from trunkline.net import Load, LoadReport
    from trunkline.net.load import Quantiles

__all__ = ["LoadView"]

HEADINGS = ("ms", "p50", "p99", "p99.9", "most")


class LoadView(LiveView):
    """Show a load: an async context manager; `tell` prints what it came to."""

    def __init__(self, load: "Load") -> None:
        super().__init__()
        self._load = load

    def _table(self) -> Table:
        report = self._load.report()
        answer = "" if report.answer_ms is None else f", answered in {report.answer_ms.p99:.1f} ms (p99)"
        failed = sum((report.refused, report.broken))
        table = Table.grid()
        table.add_row(
            f"{report.seconds:.0f} of {self._load.duration_s:.0f} s: {self._load.n_live:,} of "
            f"{counted(self._load.n_calls, 'call')}, {failed:,} failed, {report.sent:,} packets sent, "
            f"{report.lost:,} lost, late {report.late_ms.p99:.1f} ms (p99){answer}"
        )
        return table

    def tell(self, report: "LoadReport") -> None:
        """Print a report."""
        self.note(
            f"calls: {report.completed:,} completed, {report.broken:,} broken off, {report.refused:,} refused"
        )
        self.note(
            f"packets: {report.sent:,} sent, {report.left_out:,} left out, {report.reordered:,} reordered, "
            f"{report.lost:,} lost"
        )
        self.note(f"marks: {report.marks:,} sent, {report.echoed:,} echoed, {report.unanswered:,} unanswered")
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column(HEADINGS[0], no_wrap=True)
        for heading in HEADINGS[1:]:
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_row("sent late by", *_cells(report.late_ms))
        if report.answer_ms is not None:
            table.add_row("marks answered in", *_cells(report.answer_ms))
        self.print(table)
        for reason, times in sorted(report.reasons.items(), key=lambda item: -item[1]):
            self.note(f"{times:,} times: {reason}", "yellow")


def _cells(quantiles: "Quantiles") -> list[str]:
    return [f"{ms:.1f}" for ms in (quantiles.p50, quantiles.p99, quantiles.p999, quantiles.max)]
