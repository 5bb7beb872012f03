"""trunkline load: many calls at once to an endpoint, and what became of them."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from trunkline.cli.options import NumberRange, bearer_token_option, read_codec, read_percent
from trunkline.cli.output import describe_of
from trunkline.cli.sending import cacert_option, check_cacert
from trunkline.formats import CodecSpec

if TYPE_CHECKING:
    from trunkline.net import Load, LoadReport

__all__ = ["load"]


@click.command()
@click.option("--url", required=True, help="wss://HOST:PORT/PATH; ws:// to this machine only.")
@click.option("--calls", type=click.IntRange(1), default=10, show_default=True, help="Calls at once.")
@click.option(
    "--seconds", type=NumberRange(0, min_open=True), default=60.0, show_default=True, help="Of each call."
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How often each is made: a new call follows at once on one that ends.",
)
@click.option(
    "--connects-per-second",
    type=NumberRange(0, min_open=True),
    default=50.0,
    show_default=True,
    help="How many calls begin in a second.",
)
@click.option(
    "--codec",
    callback=read_codec,
    default="PCMU",
    show_default=True,
    metavar="NAME[@RATEh][@PTIMEi]",
    help="PCMU, PCMA, L16 or OPUS, such as L16@16000h@20i.",
)
@click.option(
    "--dialect",
    type=click.Choice(["signalwire", "twilio", "telnyx", "plivo", "exotel", "vonage"]),
    default="signalwire",
    show_default=True,
    help="Whose messages; not each has each --codec.",
)
@click.option(
    "--drop",
    callback=read_percent,
    default="0%",
    show_default=True,
    metavar="PERCENT",
    help="So many packets are left out.",
)
@click.option(
    "--reorder",
    callback=read_percent,
    default="0%",
    show_default=True,
    metavar="PERCENT",
    help="So many packets change places with the one behind them.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another: other packets.")
@bearer_token_option
@cacert_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as a line of JSON.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report to this file, in JSON.",
)
def load(
    url: str,
    calls: int,
    seconds: float,
    rounds: int,
    connects_per_second: float,
    codec: CodecSpec,
    dialect: str,
    drop: float,
    reorder: float,
    seed: int,
    bearer_token: str | None,
    cacert: Path | None,
    as_json: bool,
    report: Path | None,
) -> None:
    """Make many calls of speech at once, each packet at its time.

    Tells what was late, lost and refused, and how quickly marks are echoed by an endpoint that echoes them.
    Ctrl-C ends all calls in good order. The exit code is 1 when a call was refused or broken off, or a packet
    or the echo of a mark was lost; 130 when it was interrupted.
    """
    from trunkline.net import Load  # here, so that --help needs no aiohttp
    from trunkline.net.tls import client_context

    check_cacert(cacert, url)
    if report is not None:
        report.open("ab").close()  # what cannot be written is told before the first call
    making = Load(
        url,
        calls=calls,
        seconds=seconds,
        rounds=rounds,
        codec=codec,
        dialect=dialect,
        drop=drop,
        reorder=reorder,
        connects_per_s=connects_per_second,
        bearer_token=bearer_token,
        ssl=client_context(cacert),
        seed=seed,
    )
    told, interrupted = asyncio.run(_load(making, as_json=as_json))
    line = msgspec.json.encode(told)
    if report is not None:
        try:
            report.write_bytes(line + b"\n")
        except OSError as error:
            raise OSError(describe_of(str(report), error)) from error
    if as_json:
        click.echo(line)
    sys.exit(130 if interrupted else 0 if told.is_clean else 1)


async def _load(making: "Load", *, as_json: bool) -> "tuple[LoadReport, bool]":
    from trunkline.cli.load_view import LoadView
    from trunkline.cli.view import stop_on_signals, warnings_in

    stop, view = stop_on_signals(), LoadView(making)
    running = asyncio.create_task(making.run())
    stopping = asyncio.create_task(stop.wait())
    with warnings_in(view):
        if as_json:
            await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        else:
            async with view:
                await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            making.stop()
        stopping.cancel()
        told = await running
        if not as_json:
            view.tell(told)
    return told, stop.is_set()
