"""trunkline verify: whether recordings are whole."""

import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from trunkline.cli.output import json_line, printable
from trunkline.convert.items import expanded

if TYPE_CHECKING:
    from trunkline.convert.verify import Verdict

__all__ = ["verify"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each file.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is not ok.")
def verify(files: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Read recordings to their end and say whether they are whole.

    FILE is an audio file, a capture, a directory with all below it, or a pattern. A line for each file says
    ok, damaged (what is there can be used; the line says with which command) or unreadable. The exit code is
    0 when all are ok.
    """
    from trunkline.convert.verify import verify as verify_file  # here, so that --help needs no numpy

    counts: Counter[str] = Counter()
    for name in (name for given in files for name, _ in expanded(given)):
        verdict = verify_file(name)
        counts[verdict.status] += 1
        if quiet and verdict.status == "ok":
            continue
        click.echo(json_line(name, verdict) if as_json else printable(_line(name, verdict)))
    if counts.total() > 1 and not as_json:
        click.echo(", ".join(f"{count:,} {status}" for status, count in counts.items()), err=True)
    sys.exit(1 if counts.total() > counts["ok"] else 0)


def _line(name: str, verdict: "Verdict") -> str:
    said = list(verdict.problems)
    if verdict.status == "ok" and verdict.about is not None:
        said.append(f"{verdict.about.duration_ms / 1000:,.2f} s")
    if verdict.cure:
        said.append(verdict.cure)
    return f"{verdict.status:<10} {name}: {'; '.join(said)}"
