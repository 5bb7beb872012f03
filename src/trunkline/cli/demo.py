"""trunkline demo: a call on a switch of its own, from speech to a verified recording."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from trunkline.cli.options import NumberRange, read_codec
from trunkline.cli.output import open_console
from trunkline.errors import LibraryMissingError
from trunkline.formats import CodecSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.switch.demo import DemoResult

__all__ = ["demo"]

SAID_RATE = 24_000  # what many synthesisers give


@click.command()
@click.option("--seconds", type=NumberRange(1, 600), default=20.0, show_default=True)
@click.option("--fast", is_flag=True, help="On a clock that does not wait, instead of in real time.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default="recordings", show_default=True
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Chooses the speech.")
@click.option(
    "--codec",
    callback=read_codec,
    default="PCMU",
    show_default=True,
    metavar="NAME[@RATEh][@PTIMEi]",
    help="PCMU, PCMA, L16 or OPUS, such as OPUS@16000h.",
)
@click.option(
    "--network",
    type=click.Choice(["clean", "wifi", "lte", "loss", "multipath"]),
    help="Send RTP packets through a simulated network instead, into a jitter buffer.",
)
def demo(seconds: float, fast: bool, out: Path, seed: int, codec: CodecSpec, network: str | None) -> None:
    """Place a made-up call on a switch on this machine, stream it over TLS, and record it.

    An application answers the call over RELAY and has both tracks streamed to an endpoint. Afterwards the
    recording is compared with what was said; the exit code is 1 when they differ. With --network there is no
    socket and no waiting, and the recording is what a jitter buffer makes of packets that come late or never.
    """
    from trunkline.testing import conversation

    sides = conversation(seconds, SAID_RATE, seed=seed)
    if network is not None:
        _through_network(sides, out, seed, codec, network)
    else:
        _on_the_switch(sides, fast, out, codec)


def _on_the_switch(sides: tuple[bytes, bytes], fast: bool, out: Path, codec: CodecSpec) -> None:
    from trunkline.cli.demo_view import DemoView
    from trunkline.switch.demo import RECORDED_RATE, run_demo
    from trunkline.testing.virtual_time import run_in_virtual_time

    view = DemoView()
    seconds = len(sides[0]) / 2 / SAID_RATE
    view.note(f"a call of {seconds:g} s, two speakers, all on this machine{'' if fast else ', in real time'}")
    view.note(f"said at {SAID_RATE} Hz, sent at {codec.sample_rate} Hz, recorded at {RECORDED_RATE} Hz")

    async def run() -> "DemoResult":
        async with view:
            return await run_demo(
                out, sides, SAID_RATE, codec=codec, on_step=view.step, on_start=view.started
            )

    try:
        result = run_in_virtual_time(run()) if fast else asyncio.run(run())
    except KeyboardInterrupt:
        for recording in view.running:
            view.note(f"interrupted: {recording.path} has the first {recording.duration_ms / 1000:.2f} s")
        raise
    view.print(_table(result))
    view.note(f"{result.receive_us:.1f} us per packet in StreamReceiver.receive (this call again, best of 5)")
    view.note(f"recording: {result.path}")
    view.note(_picture(result.path))
    if not result.verified:
        lost = sum(stats.lost for stats in result.stats.values())
        failure = f"{result.wrong:,} of {result.compared:,} packets differ from what was said"
        view.note(f"NOT VERIFIED: {failure}; lost: {lost:,}", "red")
        sys.exit(1)
    view.note(f"verified: all {result.compared:,} packets equal what was said, sample by sample", "green")


def _table(result: "DemoResult") -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("track")
    for heading in ("packets", "bytes", "lost", "late", "concealed ms"):
        table.add_column(heading, justify="right")
    for track, stats in result.stats.items():
        numbers = (stats.packets, stats.bytes, stats.lost, stats.late, round(stats.concealed_ms))
        table.add_row(track, *(f"{number:,}" for number in numbers))
    return table


def _picture(recording: Path, draw: "Callable[[Path], None] | None" = None) -> str:
    try:
        from trunkline.convert.plot import waveform
    except LibraryMissingError as error:
        return f"no picture: {error}"
    picture = recording.with_suffix(".png")
    if draw is None:
        waveform(recording, picture)
    else:
        draw(picture)
    return f"picture: {picture}"


def _through_network(sides: tuple[bytes, bytes], out: Path, seed: int, codec: CodecSpec, kind: str) -> None:
    from trunkline.cli.view import plain
    from trunkline.net.network_demo import run_network_demo
    from trunkline.testing import NETWORKS

    console = open_console()
    seconds = len(sides[0]) / 2 / SAID_RATE
    console.print(f"a call of {seconds:g} s, two speakers, {codec.name} in RTP packets", highlight=False)
    console.print(f"network {kind}: {NETWORKS[kind]}", highlight=False)
    result = run_network_demo(out, sides, SAID_RATE, kind=kind, codec=codec, seed=seed)
    table = Table(box=None, pad_edge=False)
    table.add_column("track")
    for heading in (
        "packets",
        "lost",
        "late",
        "twice",
        "concealed",
        "delay ms",
        "95 %",
        "stretched",
    ):
        table.add_column(heading, justify="right")
    for track, heard in result.tracks.items():
        stats = heard.stats
        stretched = stats.inserted_samples_for_deceleration + stats.removed_samples_for_acceleration
        table.add_row(
            track,
            f"{stats.packets_received:,}",
            f"{stats.packets_lost:,}",
            f"{stats.packets_late:,}",
            f"{stats.packets_duplicate:,}",
            f"{100 * heard.concealed:.2f} %",
            f"{heard.delay_ms(0.5):.0f}",
            f"{heard.delay_ms(0.95):.0f}",
            f"{1000 * stretched / codec.sample_rate:.0f} ms",
        )
    console.print(table)
    console.print(plain(f"recording: {result.path}"), soft_wrap=True)

    def draw(picture: Path) -> None:
        from trunkline.convert.plot import delays

        rows = {
            name: (heard.network_delays_ms, heard.playout_delays_ms) for name, heard in result.tracks.items()
        }
        delays(rows, picture)

    console.print(plain(_picture(result.path, draw)), soft_wrap=True)
