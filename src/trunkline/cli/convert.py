"""trunkline convert: recordings into others, one or millions."""

import json
import signal
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from trunkline.cli.convert_view import ConvertView
from trunkline.convert.batch import Outcome, run_batch, survey
from trunkline.convert.items import Item, items_of, manifest_items
from trunkline.convert.plan import FORMATS, QUALITIES, Plan, parse_raw, parse_trim
from trunkline.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["convert"]


@click.command()
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option("-o", "--out", required=True, metavar="FILE|DIRECTORY", help='"-" for standard output.')
@click.option(
    "--format", "format_", type=click.Choice(list(FORMATS)), help="[default: by the name of FILE, or wav]"
)
@click.option("--encoding", type=click.Choice(FORMATS["wav"]), help="Of WAV and raw.  [default: pcm16]")
@click.option("--rate", type=int, metavar="HZ", help="[default: the input's]")
@click.option(
    "--quality", type=click.Choice(QUALITIES), default="voice", show_default=True, help="Of --rate."
)
@click.option("--channels", type=int, metavar="N", help="Make a mono recording one of N channels.")
@click.option("--mix", is_flag=True, help="Add all channels up into one.")
@click.option("--pick", type=int, metavar="K", help="Take channel K, counted from 1.")
@click.option("--split", is_flag=True, help="Give each channel a file: NAME.1.wav and so on.")
@click.option("--stereo", nargs=2, metavar="LEFT RIGHT", help="Put two mono recordings beside each other.")
@click.option(
    "--offset",
    type=float,
    metavar="S",
    help="How much later RIGHT begins; may be negative.  [default: by their bext, else 0]",
)
@click.option("--trim", metavar="BEGIN:END|silence[:DB]", help="Seconds; or the silence at both ends.")
@click.option(
    "--normalize",
    type=float,
    is_flag=False,
    flag_value=-1.0,
    metavar="[DB]",
    help="Scale the peak to so many dBFS; -1 if not said.",
)
@click.option("--dither", is_flag=True, help="Add noise of one step before samples are rounded to 16 bits.")
@click.option("--bitrate", type=int, metavar="BIT/S", help="Of Opus.  [default: 24000 a channel]")
@click.option(
    "--raw", metavar="ENCODING[:RATE[:CHANNELS]]", help="The inputs have no header: such as ulaw:8000:1."
)
@click.option(
    "--manifest",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Inputs, and options of each, as JSON Lines or CSV.",
)
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Conversions at a time."
)
@click.option("--resume", is_flag=True, help="Skip what is there already.")
@click.option("--strict", is_flag=True, help="Stop at the first that fails; damage is a failure, too.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a line of JSON for each input.",
)
def convert(inputs: tuple[str, ...], out: str, **options: Any) -> None:
    """Convert recordings: WAV, raw, Opus and captures natively, FLAC, MP3 and the rest by soundfile.

    INPUT is a file, a directory, a pattern, a URL such as s3://bucket/calls/*.wav, or "-" for standard input.
    With several, and with a directory, results go to DIRECTORY, under the names of the inputs. A result
    takes its name when it is whole; an input is never written to.

    Exit codes: 0 all were converted, 1 some were not (a line each says why), 2 wrong usage, 130 interrupted.
    """
    try:
        items = _items(inputs, out, options)
        n_items, sources = survey(items())
    except FormatError as error:
        raise click.UsageError(str(error)) from error
    view = ConvertView(n_items)
    outcomes = run_batch(
        items(),
        sources=sources,
        jobs=options["jobs"] if n_items > 1 else 1,
        resume=options["resume"],
        strict=options["strict"],
        on_progress=view.advance,
    )
    # closed here: an error's traceback would keep what is half done until the process ends
    report_file = report_to(options["report"], append=options["resume"])
    with stop_on_signals(), report_file as report, view, closing(outcomes):
        for outcome in outcomes:
            view.ended(outcome)
            report(outcome)
    view.summarise()
    sys.exit(1 if view.n_failed else 0)


@contextmanager
def stop_on_signals() -> "Iterator[None]":
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, unless they are ignored."""

    def stop(number: int, frame: object) -> None:
        sys.exit(128 + number)  # as a shell reports it

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


@contextmanager
def report_to(path: Path | None, *, append: bool) -> "Iterator[Callable[[Outcome], None]]":
    """Give what writes a line of JSON for each outcome, as soon as it is known."""
    if path is None:
        yield lambda outcome: None
        return
    with open(path, "ab" if append else "wb", buffering=0) as file:

        def write(outcome: Outcome) -> None:
            file.write(_json(outcome) + b"\n")

        yield write


def _json(outcome: Outcome) -> bytes:
    try:
        return msgspec.json.encode(outcome)
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        return json.dumps(msgspec.to_builtins(outcome)).encode()
