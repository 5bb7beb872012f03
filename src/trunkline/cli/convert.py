"""trunkline convert: recordings into others, one or millions."""

import json
import os
import re
import sys
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import msgspec

from trunkline.cli.convert_view import ConvertView
from trunkline.cli.interruption import Interruption
from trunkline.convert.batch import Outcome, run_batch, survey
from trunkline.convert.items import Item, items_of, manifest_items
from trunkline.convert.output_files import named_errors
from trunkline.convert.plan import FORMATS, QUALITIES, Plan, parse_raw, parse_trim
from trunkline.convert.remote import is_remote
from trunkline.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

__all__ = ["convert"]


@click.command()
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="FILE|DIRECTORY",
    help='Where results go; "-" is standard output.',
)
@click.option(
    "--format", "format_", type=click.Choice(list(FORMATS)), help="[default: by the name of FILE, or wav]"
)
@click.option("--encoding", type=click.Choice(FORMATS["wav"]), help="Of WAV and raw.  [default: pcm16]")
@click.option("--bitrate", type=int, metavar="BIT/S", help="Of Opus.  [default: 24000 a channel]")
@click.option("--rate", type=int, metavar="HZ", help="Resample to this rate.")
@click.option(
    "--quality",
    type=click.Choice(QUALITIES),
    default="voice",
    show_default=True,
    help="Of resampling.",
)
@click.option("--channels", type=int, metavar="N", help="Make N equal channels of a mono recording.")
@click.option("--mix", is_flag=True, help="Add all channels up into one.")
@click.option("--pick", type=int, metavar="K", help="Take channel K, counted from 1.")
@click.option("--split", is_flag=True, help="Give each channel a file: FILE.1.wav, FILE.2.wav.")
@click.option("--stereo", nargs=2, metavar="LEFT RIGHT", help="Put two mono recordings beside each other.")
@click.option(
    "--offset",
    type=float,
    metavar="S",
    help="Begin RIGHT so many seconds later; may be negative.  [default: as their bext tell, or 0]",
)
@click.option(
    "--trim", metavar="BEGIN:END", help='Keep these seconds; or "silence[:DB]": cut it at both ends.'
)
@click.option(
    "--normalize", type=float, metavar="DB", help="Scale the loudest sample to DB dBFS, such as -1."
)
@click.option("--dither", is_flag=True, help="Add noise of one step before rounding to 16 bits.")
@click.option(
    "--raw",
    metavar="ENCODING[be][:RATE[:CHANNELS]]",
    help="What inputs without a header hold, such as ulaw:8000:1.",
)
@click.option(
    "--manifest",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Take inputs, and options of each, from JSON Lines or CSV.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    metavar="N",
    help="Convert N files at a time; with --ray, on each core.",
)
@click.option(
    "--ray",
    is_flag=False,
    flag_value="",
    metavar="[ADDRESS]",
    help="Convert on a Ray cluster: HOST:PORT, auto or local; without ADDRESS, as ray.init() chooses.",
)
@click.option("--resume", is_flag=True, help="Skip results that are there, and no older than their input.")
@click.option("--strict", is_flag=True, help="Stop at the first failure; damaged input is one.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write what came of each input, a line of JSON each; with --resume, append.",
)
def convert(inputs: tuple[str, ...], out: str, **options: Any) -> None:
    """Convert recordings: WAV, raw audio, Opus, captured calls, FLAC, MP3 and more.

    INPUT is a file, a directory, a pattern, a URL such as s3://bucket/calls/*.wav, or "-" for standard input.
    One file becomes FILE; several, and those of a directory, go to DIRECTORY under their names. A result
    appears when it is whole, and an input is never written to.

    \b
    trunkline convert call.wav -o call.flac
    trunkline convert calls -o calls16 --rate 16000 --jobs 4
    trunkline convert call.ul --raw ulaw:8000:1 -o - | ffmpeg -i - call.mp3

    Exit codes: 0 all were converted, 1 some were not (a line each says why), 2 wrong usage, 130 interrupted.
    """
    try:
        items = _items(inputs, out, options)
        n_items, sources = survey(items())
        _check_report(options["report"], {*sources, os.path.realpath(options["manifest"] or out)})
    except FormatError as error:
        raise click.UsageError(str(error)) from error
    if not n_items:
        raise FormatError(f"{options['manifest']}: nothing to convert is in it")
    view, interruption = ConvertView(n_items), Interruption()

    def on_progress(duration_s: float) -> None:
        interruption.check()
        view.advance(duration_s)

    outcomes = _runner(options["ray"])(
        items(),
        sources=sources,
        jobs=options["jobs"] if n_items > 1 else 1,
        resume=options["resume"],
        strict=options["strict"],
        on_progress=on_progress,
    )
    report_file = report_to(options["report"], append=options["resume"])
    # closed here: an error's traceback would keep what is half done until the process ends
    try:
        with interruption, report_file as report, view, closing(outcomes):
            for outcome in outcomes:
                view.ended(outcome)
                report(outcome)
                interruption.check()
    finally:
        view.summarise()
    sys.exit(1 if view.n_failed else 0)


def _runner(ray: str | None) -> "Callable[..., Generator[Outcome]]":
    """Give what runs a batch: threads, or Ray at an address, which "" leaves to Ray."""
    if ray is None:
        return run_batch
    if ray not in ("", "auto", "local") and not re.fullmatch(r"[\w.\[\]:-]+:\d+", ray):
        raise click.UsageError(
            f"--ray {ray}: takes HOST:PORT, auto or local; before an INPUT, write --ray=auto"
        )
    from trunkline.convert import ray as on_ray

    return partial(on_ray.run_batch, address=ray or None)


def _plan(options: dict[str, Any]) -> Plan:
    trim, raw = options["trim"], options["raw"]
    return Plan(
        format=options["format_"] or "",
        encoding=options["encoding"] or "",
        sample_rate=options["rate"],
        quality=options["quality"],
        channels=options["channels"],
        mix=options["mix"],
        pick=options["pick"],
        split=options["split"],
        normalize_db=options["normalize"],
        dither=options["dither"],
        bitrate=options["bitrate"],
        raw=None if raw is None else parse_raw(raw),
        **({} if trim is None else parse_trim(trim)),
    )


def _items(inputs: tuple[str, ...], out: str, options: dict[str, Any]) -> "Callable[[], Iterable[Item]]":
    """Give what gives the items, each time from the first on: those of a manifest are not kept."""
    plan, stereo, manifest = _plan(options), options["stereo"], options["manifest"]
    if sum(map(bool, (inputs, stereo, manifest))) != 1:
        raise FormatError("of INPUT..., --stereo LEFT RIGHT and --manifest FILE, takes one")
    if options["offset"] is not None and not stereo:
        raise FormatError("--offset is of --stereo")
    if manifest and is_remote(manifest):
        raise FormatError(f"--manifest {manifest}: takes a file of this machine, which may name URLs")
    if manifest:
        return lambda: manifest_items(manifest, out, plan)
    if stereo:
        items = [Item(source=stereo[0], right=stereo[1], offset_s=options["offset"], target=out, plan=plan)]
    else:
        items = items_of(inputs, out, plan)
    if len(items) == 1:
        plan.for_output(items[0].target)  # for its refusal
    if out == "-" and sys.stdout is not None and sys.stdout.isatty():
        raise FormatError("standard output is a terminal: redirect it, or name a file")
    return lambda: items


def _check_report(report: str | None, taken: set[str]) -> None:
    """Refuse a report that would replace what is read, or the one result."""
    if report is not None and is_remote(report):
        raise FormatError(f"--report {report}: takes a file of this machine")
    if report is not None and os.path.realpath(report) in taken:
        raise FormatError(f"--report {report}: is an input or the output: give another name")


@contextmanager
def report_to(path: str | None, *, append: bool) -> "Iterator[Callable[[Outcome], None]]":
    """Give what writes a line of JSON for each outcome, as soon as it is known."""
    if path is None:
        yield lambda outcome: None
        return
    with open(path, "ab" if append else "wb", buffering=0) as file:

        def write(outcome: Outcome) -> None:
            with named_errors(path):
                file.write(_json(outcome) + b"\n")

        yield write


def _json(outcome: Outcome) -> bytes:
    try:
        return msgspec.json.encode(outcome)
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        return json.dumps(msgspec.to_builtins(outcome)).encode()
