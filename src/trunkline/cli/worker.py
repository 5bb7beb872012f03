"""One process of `trunkline receive --workers`: it receives, and obeys the process that began it.

Its standard input is a socket: first come its options, then lines, each a Wish. It tells a Report, as a line
of JSON, once it listens, whenever it is asked, and as it ends. Where nobody is at the other end any more, it
drains.
"""

import asyncio
import pickle
import signal
import socket
import struct
import sys
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NoReturn

import click
import msgspec

from trunkline.cli.ending import Ending
from trunkline.cli.live import RecordingView
from trunkline.cli.output import describe, printable
from trunkline.cli.receiving import Receiving
from trunkline.cli.view import warnings_in
from trunkline.errors import TrunklineError
from trunkline.net import RecordingStats, ServerStats

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Report", "Wish", "order"]

LENGTH: Final = struct.Struct("!I")


class Wish(StrEnum):
    """What a worker may be told."""

    REPORT = "report"
    DRAIN = "drain"
    END = "end"


class Report(msgspec.Struct, frozen=True):
    """What a worker has counted. Those of several may be added."""

    url: str
    server: ServerStats
    recordings: RecordingStats

    def __add__(self, other: "Report") -> "Report":
        return Report(self.url, self.server + other.server, self.recordings + other.recordings)

    def when_gone(self) -> "Report":
        """Count the calls that are live as lost, and the recordings that are not closed as failed."""
        server, recordings = self.server, self.recordings
        ended = {**server.ended, "lost": server.ended["lost"] + server.live_calls}
        n_open = server.calls - recordings.written - recordings.failed  # each call is recorded
        return Report(
            self.url,
            msgspec.structs.replace(server, live_calls=0, ended=ended),
            recordings + RecordingStats(failed=n_open),
        )


def order(receiving: Receiving, *, debug: bool) -> bytes:
    """Write what a worker is to do, as it reads it first."""
    options = pickle.dumps((receiving, debug))
    return LENGTH.pack(len(options)) + options


def main() -> NoReturn:
    """Receive until it is told to end, or SIGTERM: then its calls may end by themselves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's, which the first process is to decide upon
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    connection = socket.socket(fileno=sys.stdin.fileno())
    try:
        receiving, debug = _read_order(connection)
    except EOFError:  # nobody is there any more
        sys.exit(1)
    try:
        asyncio.run(_work(receiving, connection, debug))
    except (TrunklineError, OSError) as error:
        if debug:
            raise
        click.echo(f"error: {printable(describe(error))}", err=True)
        sys.exit(1)
    sys.exit(0)


def _read_order(connection: socket.socket) -> tuple[Receiving, bool]:
    length = connection.recv(LENGTH.size, socket.MSG_WAITALL)
    if len(length) < LENGTH.size:
        raise EOFError
    (n_bytes,) = LENGTH.unpack(length)
    options = connection.recv(n_bytes, socket.MSG_WAITALL)
    if len(options) < n_bytes:
        raise EOFError
    receiving, debug = pickle.loads(options)  # noqa: S301  # of the process that began this one
    return receiving, debug


async def _work(receiving: Receiving, connection: socket.socket, debug: bool) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    ending, view = Ending(), RecordingView()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.drain)
    with warnings_in(view, debug=debug):
        async with receiving.serving(view, ending) as (server, recordings):

            def report() -> None:
                told = Report(server.url, server.stats, recordings.stats)
                writer.write(msgspec.json.encode(told) + b"\n")

            report()
            obeying = asyncio.create_task(_obey(reader, ending, report))
            await receiving.drain(server, ending)
        report()
    obeying.cancel()
    await asyncio.wait([obeying])
    writer.write_eof()
    with suppress(ConnectionError):  # nobody is there any more
        await reader.read()  # until that is read: who writes into a closed socket may read no more of it
    writer.close()


async def _obey(reader: asyncio.StreamReader, ending: Ending, report: "Callable[[], None]") -> None:
    while line := await reader.readline():
        wish = Wish(line.decode().rstrip())
        if wish is Wish.REPORT:
            report()
        elif wish is Wish.DRAIN:
            ending.drain()
        else:
            ending.end()
    ending.drain()


if __name__ == "__main__":
    main()
