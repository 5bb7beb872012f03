"""trunkline receive --workers: processes that receive on one port, and this one, which keeps them."""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Final

import msgspec

from trunkline.cli.ending import Ending, first_of
from trunkline.cli.live import RecordingView
from trunkline.cli.output import describe
from trunkline.cli.receiving import Receiving, naming_port, open_status
from trunkline.cli.summary import counted
from trunkline.cli.view import is_debugging, warnings_in
from trunkline.cli.worker import Report, Wish, order
from trunkline.metrics import family
from trunkline.net import RecordingStats, server_metrics
from trunkline.net.server import listen_error
from trunkline.net.server_stats import CallCounts

__all__ = ["Workers", "run_workers"]

COMMAND: Final = (sys.executable, "-P", "-m", "trunkline.cli.worker")
RESTART_S: Final = 1.0  # from the start of a worker to that of the next in its place, at least
REPORT_S: Final = 1.0  # how old what a worker told last may be: it is what counts when the worker is killed
REPORT_TIMEOUT_S: Final = 2.0  # then what a worker told last has to do
CLOSE_TIMEOUT_S: Final = 15.0  # what a worker has to end its calls in, before it is killed


async def run_workers(
    receiving: Receiving, n_workers: int, status: tuple[str, int] | None, ca_file: Path | None
) -> int:
    """Receive in so many processes until a signal; give the exit code."""
    ending, view = Ending(), RecordingView()
    ending.on_signals()
    with warnings_in(view), _held_port(receiving.host, receiving.port) as port:
        shared = replace(receiving, port=port, options={**receiving.options, "reuse_port": True})
        workers = Workers(shared, n_workers, ending, view, debug=is_debugging())
        async with AsyncExitStack() as stack:
            keeping = asyncio.create_task(workers.keep())
            try:
                url = await workers.url()
                if url is not None:
                    status_url = await open_status(stack, status, workers.health, workers.metrics)
                    shared.announce(view, f"{url} in {n_workers} processes", ca_file, status_url)
                await ending.begun.wait()
                shared.announce_end(view, ending, (await workers.total()).server.live_calls)
            finally:
                ending.drain()
                await keeping
    return workers.exit_code


@contextmanager
def _held_port(host: str, port: int) -> Iterator[int]:
    """Have a port that workers may share, without listening on it: it stays ours while none of them does."""
    with ExitStack() as stack:
        with naming_port("--listen", host, port):
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
                *kind, _, address = found[0]
                held = stack.enter_context(socket.socket(*kind))
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                held.bind(address)
            except OSError as error:
                raise listen_error(error, host, port) from error
        yield held.getsockname()[1]


class Workers:
    """All workers, and what those have counted that are no more."""

    def __init__(
        self, receiving: Receiving, n_workers: int, ending: Ending, view: RecordingView, *, debug: bool
    ) -> None:
        self._drain_s = receiving.drain_s
        self._ending = ending
        self._view = view
        self._all_listen = asyncio.Event()
        self._url = ""  # of all, once they listen
        worker_order = order(receiving, debug=debug)
        self._workers = [_Worker(worker_order, ending, self._told) for _ in range(n_workers)]
        self._past = Report("", CallCounts().stats({}), RecordingStats())
        self._n_restarts = 0
        self._failed = False

    @property
    def exit_code(self) -> int:
        """1 when a recording has failed, a worker could not begin, or one did not end well."""
        return 1 if self._failed or self._past.recordings.failed else 0

    async def keep(self) -> None:
        """Have all workers run until they are to end; kill those that do not."""
        keeping = asyncio.gather(*map(self._keep, self._workers))
        await first_of(asyncio.shield(keeping), self._ending.begun.wait())
        for worker in self._workers:
            worker.tell(Wish.DRAIN)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                await first_of(asyncio.shield(keeping), self._ending.now.wait())
        for worker in self._workers:
            worker.tell(Wish.END)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await asyncio.shield(keeping)
        for worker in self._workers:
            worker.kill()
        await keeping

    async def url(self) -> str | None:
        """Wait until all listen, and give what they say; None when one of them cannot."""
        await first_of(self._all_listen.wait(), self._ending.begun.wait())
        return self._url or None

    async def total(self) -> Report:
        """Add up what all have counted until now."""
        await asyncio.gather(*(worker.ask() for worker in self._workers))
        return reduce(add, self._reports, self._past)

    async def metrics(self) -> str:
        """Write what all have counted until now."""
        total = await self.total()
        own = (
            *family("trunkline_workers", "Processes that listen.", [("", len(self._reports))]),
            *family("trunkline_worker_restarts_total", "Processes begun anew.", [("", self._n_restarts)]),
        )
        return server_metrics(total.server, total.recordings) + "\n".join(own) + "\n"

    def health(self) -> str:
        """Say how it is: "ok" while any worker listens."""
        if self._ending.begun.is_set():
            return "draining"
        return "ok" if self._reports else "no worker listens"

    @property
    def _reports(self) -> list[Report]:
        return [worker.report for worker in self._workers if worker.report is not None]

    def _told(self) -> None:
        reports = self._reports
        if len(reports) == len(self._workers):
            self._url = reports[0].url
            self._all_listen.set()

    async def _keep(self, worker: "_Worker") -> None:
        """Have a worker run, and another in its place when it has died, until they are to end."""
        loop, ending = asyncio.get_running_loop(), self._ending
        while not ending.begun.is_set():
            next_at = loop.time() + RESTART_S
            try:
                code, report = await worker.run()
                what = f"process {worker.pid} {_how_it_ended(code)}"
            except OSError as error:  # no process, or no file, may be made
                code, report, what = 1, None, f"a process cannot begin: {describe(error)}"
            if report is not None:
                self._past += report.when_gone()
                if report.server.live_calls:
                    what += f", {counted(report.server.live_calls, 'call')} lost"
            elif not self._url:  # whatever stops it will stop the next one
                ending.end()
            if ending.begun.is_set():
                if code:
                    self._failed = True
                    self._view.note(f"warning: {what}", "yellow")
                return
            self._n_restarts += 1
            self._view.note(f"warning: {what}; another one takes its place", "yellow")
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_at):
                    await ending.begun.wait()


def _how_it_ended(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


class _Worker:
    """The place of one process after the other. `report` is what the one that listens told last."""

    def __init__(self, order: bytes, ending: Ending, told: Callable[[], None]) -> None:
        self.report: Report | None = None
        self.pid = 0
        self._order = order
        self._ending = ending
        self._on_told = told
        self._asked: deque[asyncio.Event] = deque()  # one for each answer that is due
        self._writer: asyncio.StreamWriter | None = None

    async def run(self) -> tuple[int, Report | None]:
        """Run a process to its end; give its exit code and what it told last."""
        with ExitStack() as undo:
            ours, theirs = socket.socketpair()
            undo.enter_context(ours)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *COMMAND, stdin=theirs.fileno(), start_new_session=True
                )
            undo.pop_all()
        self.pid = process.pid
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._writer.write(self._order)
        if self._ending.begun.is_set():
            self.tell(Wish.END if self._ending.now.is_set() else Wish.DRAIN)
        asking = asyncio.create_task(self._keep_asking())
        try:
            while line := await reader.readline():
                self.report = msgspec.json.decode(line, type=Report)
                if self._asked:
                    self._asked.popleft().set()
                self._on_told()
        except (ConnectionError, msgspec.DecodeError):  # it died in the middle of a line, or of reading ours
            pass
        finally:
            asking.cancel()
        self._writer.close()
        self._writer = None
        while self._asked:
            self._asked.popleft().set()
        code = await process.wait()
        report, self.report = self.report, None
        return code, report

    def tell(self, wish: Wish) -> None:
        """Tell the process, if there is one."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(f"{wish}\n".encode())

    async def ask(self) -> None:
        """Have its report be of now, unless it does not answer in time."""
        if self.report is not None and self._writer is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(REPORT_TIMEOUT_S):
                    await self._ask().wait()

    def _ask(self) -> asyncio.Event:
        """Have it report; give what is set when the answer has come, or can come no more."""
        answered = asyncio.Event()
        self._asked.append(answered)
        self.tell(Wish.REPORT)
        return answered

    async def _keep_asking(self) -> None:
        """Have its report be of now, or of a second ago; one that does not answer is not asked again."""
        while True:
            await asyncio.sleep(REPORT_S)
            if self.report is not None and not self._asked:
                self._ask()

    def kill(self) -> None:
        """End a process that does not end by itself."""
        if self._writer is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
