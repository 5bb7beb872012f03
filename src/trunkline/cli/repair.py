"""trunkline repair: WAV files that were not closed, or cut short."""

import sys

import click

from trunkline.audio_files import check_regular
from trunkline.cli.output import describe_of, printable
from trunkline.errors import TrunklineError
from trunkline.wav import RepairReport
from trunkline.wav import repair as repair_file

__all__ = ["repair"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
def repair(files: tuple[str, ...], dry_run: bool) -> None:
    """Make the header of WAV files say what is there: of recordings that were not closed, or cut short.

    Only the header is written, in place, and only where it is wrong. Do not repair a recording that is still
    going on. The exit code is 1 when a file cannot be repaired; the others are all the same.
    """
    failed = False
    for name in files:
        try:
            check_regular(name)
            report = repair_file(name, dry_run=dry_run)
        except (TrunklineError, OSError) as error:
            failed = True
            click.echo(f"error: {printable(describe_of(name, error))}", err=True)
        else:
            click.echo(printable(f"{name}: {_told(report, dry_run)}"))
    sys.exit(1 if failed else 0)


def _told(report: RepairReport, dry_run: bool) -> str:
    if not report.changes:
        return f"nothing to repair, {report.n_samples:,} samples"
    changes = ", ".join(
        f"{size} {was:,} -> {now:,}" for size, (was, now) in report.changes.items() if size != "open mark"
    )
    done = "would be repaired" if dry_run else "repaired"
    more = f", {report.recovered_samples:,} more than before" if report.recovered_samples else ""
    return f"{done}: {report.n_samples:,} samples{more} ({changes or 'it was marked as not closed'})"
