"""What `trunkline receive` does in a process: serve, record, and end as it is told."""

import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.cli.ending import Ending, first_of
from trunkline.cli.summary import append_stats, counted
from trunkline.formats import CodecSpec

if TYPE_CHECKING:
    from trunkline.cli.live import RecordingView
    from trunkline.cli.view import LiveView
    from trunkline.net import Call, CallRecording, CallRecordings, RtpServer, Server

__all__ = ["Receiving", "naming_port", "open_status"]


@dataclass(frozen=True)
class Receiving:
    """The options of what receives; another process may be sent them."""

    host: str
    port: int
    out: Path
    layout: str
    format: str
    stats: Path | None
    codec: CodecSpec | None  # of RTP; None for WebSockets
    cert: Path | None
    key: Path | None
    drain_s: float
    n_calls: int | None
    options: dict[str, Any] = field(repr=False)  # of `serve` or `serve_rtp`; a token among them

    def check(self) -> None:
        """Find out before the first call what would fail at each."""
        from trunkline.net import CallRecordings
        from trunkline.net.endpoint import Endpoint
        from trunkline.net.tls import server_context

        CallRecordings(self.out, layout=self.layout, format=self.format)
        if self.stats is not None:
            self.stats.open("ab").close()
        if self.codec is None:
            Endpoint(_nobody, **self.options)
        if self.cert and self.key:
            server_context(self.cert, self.key)

    async def run(self, status: tuple[str, int] | None, ca_file: Path | None) -> int:
        """Serve until a signal, or until the last of `n_calls` has ended; give the exit code."""
        from trunkline.cli.live import RecordingView
        from trunkline.cli.view import warnings_in
        from trunkline.net import server_metrics

        ending, view = Ending(), RecordingView()
        ending.on_signals()
        with warnings_in(view):
            async with AsyncExitStack() as stack:
                server, recordings = await stack.enter_async_context(self.serving(view, ending))

                async def metrics() -> str:
                    return server_metrics(server.stats, recordings.stats)

                def health() -> str:
                    return "draining" if server.is_draining else "ok"

                url = await open_status(stack, status, health, metrics)
                self.announce(view, server.url, ca_file, url)
                async with view:
                    await ending.begun.wait()
                    self.announce_end(view, ending, len(view.running))
                    await self.drain(server, ending)
        return 1 if view.n_failed else 0

    @asynccontextmanager
    async def serving(
        self, view: "RecordingView", ending: Ending
    ) -> AsyncIterator[tuple["Server | RtpServer", "CallRecordings"]]:
        """Record what comes, and show it."""
        from trunkline.net import CallRecordings

        def ended(recording: "CallRecording") -> None:
            view.ended(recording)
            if self.stats is not None:
                append_stats(self.stats, recording)
            if view.n_ended == self.n_calls:
                ending.end()

        recordings = CallRecordings(
            self.out, layout=self.layout, format=self.format, on_start=view.started, on_end=ended
        )
        async with AsyncExitStack() as stack:
            with naming_port("--listen" if self.codec is None else "--rtp", self.host, self.port):
                server = await stack.enter_async_context(self._serve(recordings))
            yield server, recordings

    def _serve(self, handler: "CallRecordings") -> "AbstractAsyncContextManager[Server | RtpServer]":
        from trunkline.net import serve, serve_rtp
        from trunkline.net.tls import server_context

        options = {"host": self.host, "port": self.port, "n_calls": self.n_calls, **self.options}
        if self.codec is not None:
            return serve_rtp(handler, codec=self.codec, **options)
        context = server_context(self.cert, self.key) if self.cert and self.key else None
        return serve(handler, ssl=context, **options)

    def announce(self, view: "LiveView", url: str, ca_file: Path | None, status_url: str | None) -> None:
        """Tell where it listens; `ca_file` is its certificate, when that is one of ours."""
        view.note(f"listening on {url}, recording into {self.out}")
        if ca_file is not None:  # `trunkline switch` trusts it
            view.note(f"  to be trusted by who streams here: {ca_file}")
        if status_url is not None:
            view.note(f"  status at {status_url}/healthz, {status_url}/metrics")

    def announce_end(self, view: "LiveView", ending: Ending, n_live: int) -> None:
        """Tell how many calls are let end by themselves."""
        if n_live and self.drain_s and not ending.now.is_set():
            view.note(f"draining: {counted(n_live, 'call')}, for {self.drain_s:g} s; Ctrl-C ends all at once")

    async def drain(self, server: "Server | RtpServer", ending: Ending) -> None:
        """Once it is to end, let the calls end by themselves, for so long as that is wished."""
        await ending.begun.wait()
        if self.drain_s:
            await first_of(server.drain(self.drain_s), ending.now.wait())


async def open_status(
    stack: AsyncExitStack,
    address: tuple[str, int] | None,
    health: Callable[[], str],
    metrics: Callable[[], Awaitable[str]],
) -> str | None:
    """Serve the status where one is wanted; give its URL."""
    from trunkline.net import serve_status

    if address is None:
        return None
    with naming_port("--status", *address):
        return await stack.enter_async_context(serve_status(health, metrics, *address))


@contextmanager
def naming_port(option: str, host: str, port: int) -> Iterator[None]:
    """Name the option where a port is in use."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(f"{host}:{port} is in use: choose another port with {option}") from error


async def _nobody(call: "Call") -> None:
    """Take no call."""
