"""trunkline demo: a call on loopback, from speech to a verified recording."""

import asyncio
import math
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

    from trunkline.net.demo import DemoResult

__all__ = ["demo"]


@click.command()
@click.option("--seconds", type=NumberRange(1, 600), default=20.0, show_default=True)
@click.option("--fast", is_flag=True, help="As quickly as it goes, instead of in real time.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default="recordings", show_default=True
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Chooses the speech and the losses."
)
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
    """Stream a made-up call over TLS on this machine and record it.

    A few packets are left out on purpose. Afterwards the recording is compared with what was said; the
    exit code is 1 when they differ. With --network there is no socket and no waiting, and the recording is
    what a jitter buffer makes of the packets.
    """
    if network is not None:
        _through_network(seconds, out, seed, codec, network)
        return
    from trunkline.cli.live import RecordingView
    from trunkline.net.demo import RECORDED_RATE, SAID_RATE, run_demo
    from trunkline.testing import conversation

    view = RecordingView()
    view.note(
        f"a call of {seconds:g} s, two speakers, {codec.name} over wss{'' if fast else ', in real time'}"
    )
    view.note(f"said at {SAID_RATE} Hz, sent at {codec.sample_rate} Hz, recorded at {RECORDED_RATE} Hz")
    sides = conversation(seconds, SAID_RATE, seed=seed)

    async def run() -> "DemoResult":
        async with view:
            return await run_demo(
                out,
                sides,
                codec=codec,
                speed=math.inf if fast else 1.0,
                seed=seed,
                on_start=view.started,
            )

    try:
        result = asyncio.run(run())
    except KeyboardInterrupt:
        for recording in view.running:
            view.note(f"interrupted: {recording.path} has the first {recording.duration_ms / 1000:.2f} s")
        raise
    view.print(_table(result))
    view.note(f"{result.receive_us:.1f} us per packet in StreamReceiver.receive (this call again, best of 5)")
    view.note(f"recording: {result.path}")
    view.note(_picture(result.path))
    if not result.verified:
        failure = f"{result.wrong:,} of {result.compared:,} packets differ from what was said"
        view.note(f"NOT VERIFIED: {failure}; left out: {result.left_out}", "red")
        sys.exit(1)
    view.note(f"verified: {result.compared:,} packets equal what was said, the others count as lost", "green")


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


def _through_network(seconds: float, out: Path, seed: int, codec: CodecSpec, kind: str) -> None:
    from trunkline.net.demo import SAID_RATE
    from trunkline.net.network_demo import run_network_demo
    from trunkline.testing import NETWORKS, conversation

    console = open_console()
    console.print(f"a call of {seconds:g} s, two speakers, {codec.name} in RTP packets", highlight=False)
    console.print(f"network {kind}: {NETWORKS[kind]}", highlight=False)
    sides = conversation(seconds, SAID_RATE, seed=seed)
    result = run_network_demo(out, sides, kind=kind, codec=codec, seed=seed)
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
    console.print(f"recording: {result.path}", highlight=False, soft_wrap=True)

    def draw(picture: Path) -> None:
        from trunkline.convert.plot import delays

        rows = {
            name: (heard.network_delays_ms, heard.playout_delays_ms) for name, heard in result.tracks.items()
        }
        delays(rows, picture)

    console.print(_picture(result.path, draw), highlight=False, soft_wrap=True)
