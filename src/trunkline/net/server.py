"""serve: accept media streams over WebSocket and hand each to a coroutine as a Call."""

import asyncio
import logging
import math
import os
import ssl as tls
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from trunkline.errors import CallEndedError, FormatError
from trunkline.extras import needs_extra
from trunkline.net.bearer import authorization, is_authorized
from trunkline.net.call import CLOSE_TIMEOUT_S, MAX_QUEUED_S, Call, CloseCode, StreamSocket, peer_of
from trunkline.net.capture import CallCapture, check_capture
from trunkline.net.runner import app_runner
from trunkline.stream import StreamReceiver

with needs_extra("server"):
    from aiohttp import web

__all__ = ["Call", "Server", "serve"]

Handler = Callable[[Call], Awaitable[None]]

START_TIMEOUT_S: Final = 5.0  # from the upgrade to the start message
SHUTDOWN_TIMEOUT_S: Final = 10.0  # how long handlers may take to end when the server closes

_log = logging.getLogger(__name__)


@asynccontextmanager
async def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    path: str = "/",
    bearer_token: str | None = None,
    ssl: tls.SSLContext | None = None,
    sample_rate: int | None = None,
    frame_ms: int = 20,
    output: str = "pcm",
    max_message_bytes: int = 65536,
    n_calls: int | None = None,
    max_queued_s: float = MAX_QUEUED_S,
    capture: str | os.PathLike[str] | None = None,
) -> AsyncIterator["Server"]:
    """Listen, and run `handler(call)` for every media stream that arrives.

    A peer is let in when it asks for `path` and, where a `bearer_token` is given, sends it (else 401
    before the upgrade). The handler runs once the start message is there and owns its call only: when it
    raises, that call is closed with 1011 and logged, the others go on. `port` 0 takes a free one; frames
    last `frame_ms` and have `sample_rate`, None for the stream's own; `output` is a StreamReceiver's; a
    longer message than `max_message_bytes` is refused with 1009 before it is read.
    `max_queued_s` of audio may wait in a call before its `play` waits for room.
    Once `n_calls` have been taken, further upgrades are refused with 503. What is refused is logged with
    the peer's address.

    `capture`, a path such as "call.jsonl", keeps the messages of each call as they came, up to the one that
    ends it: in that file, or, where it exists, in "call-2.jsonl", "call-3.jsonl" ... A message longer than
    `max_message_bytes`, here 1 MiB at most, is not read and so not kept. A disk that is full ends the capture
    and not the call.

    On leaving the block every call ends as if its connection were lost, and its handler may finish.

        async with serve(handler, "127.0.0.1", 8765) as server:
            print(server.url)
            await asyncio.Event().wait()
    """
    make_receiver = partial(
        StreamReceiver,
        sample_rate=sample_rate,
        frame_ms=frame_ms,
        output=output,
        max_message_bytes=max_message_bytes,
    )
    if not max_queued_s >= 0:
        raise FormatError(f"max_queued_s of {max_queued_s}: takes 0 or more")
    if n_calls is not None and n_calls < 1:
        raise FormatError(f"n_calls of {n_calls}: takes 1 or more, or None")
    if not 0 <= port <= 65_535:
        raise FormatError(f"port {port}: takes 0 to 65535")
    make_receiver()  # what it refuses is refused now, not call by call
    capture_path = None if capture is None else Path(capture)
    if capture_path is not None:
        check_capture(capture_path, max_message_bytes)
    server = Server(
        handler, path, bearer_token, make_receiver, max_message_bytes, n_calls, max_queued_s, capture_path
    )
    await server._listen(host, port, ssl)
    try:
        yield server
    finally:
        await server.close()


class Server:
    """A listening endpoint; made by `serve`. `url` is what a platform streams to."""

    def __init__(
        self,
        handler: Handler,
        path: str,
        bearer_token: str | None,
        make_receiver: Callable[[], StreamReceiver],
        max_message_bytes: int,
        n_calls: int | None,
        max_queued_s: float,
        capture: Path | None,
    ) -> None:
        self._handler = handler
        self._path = path
        self._authorization = None if bearer_token is None else authorization(bearer_token)
        self._make_receiver = make_receiver
        self._max_message_bytes = max_message_bytes
        self._max_queued_s = max_queued_s
        self._capture = capture
        self._places = math.inf if n_calls is None else n_calls  # calls that may still come
        self._calls: set[Call] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self.port = 0
        self.url = ""

    @property
    def calls(self) -> frozenset[Call]:
        """The calls whose handlers are running."""
        return frozenset(self._calls)

    async def close(self) -> None:
        """Stop listening, end every call with 1001 and wait for the handlers. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await self._site.stop()
        closing = [call.close(CloseCode.GOING_AWAY, "server is shutting down") for call in self._calls]
        await asyncio.gather(*closing, return_exceptions=True)
        try:
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
                await self._idle.wait()
        except TimeoutError:
            _log.error("%d handlers did not end within %g s", len(self._calls), SHUTDOWN_TIMEOUT_S)
        await self._runner.cleanup()

    async def _listen(self, host: str, port: int, ssl: tls.SSLContext | None) -> None:
        app = web.Application()
        app.on_response_prepare.append(_log_refusal)  # the router's 404 comes by here too
        app.router.add_get(self._path, self._accept)
        self._runner = app_runner(app, shutdown_timeout=CLOSE_TIMEOUT_S)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, host, port, ssl_context=ssl)
        try:
            await self._site.start()
        except OSError as error:
            await self._runner.cleanup()
            # A resolver's numbers are negative, and no operating system's.
            what = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {what}") from error
        self.port = self._runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'ws' if ssl is None else 'wss'}://{shown}:{self.port}{self._path}"

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        if not self._is_authorized(request):
            return web.Response(
                status=401, headers={"WWW-Authenticate": "Bearer"}, text="bearer token is missing or wrong\n"
            )
        capture = None if self._capture is None else CallCapture(self._capture)
        socket = StreamSocket(self._max_message_bytes, capture=capture is not None)
        if not socket.can_prepare(request):
            return web.Response(status=426, headers={"Upgrade": "websocket"}, text="this is a WebSocket\n")
        if not self._places:
            return web.Response(status=503, text="no more calls are taken here\n")
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the peer has gone")
        call = Call(socket, transport, self._make_receiver(), self._max_queued_s, capture)
        self._places -= 1
        try:
            await socket.prepare(request)
            self._calls.add(call)
            self._idle.clear()
            await self._run(call)
        finally:
            if capture is not None:
                capture.close()
            self._places += not call._started  # what sends no stream is no call
            self._calls.discard(call)
            if not self._calls:
                self._idle.set()
        return socket

    async def _run(self, call: Call) -> None:
        if not await call._wait_for_start(START_TIMEOUT_S):
            _log.warning("%s: no stream: %s", call.peer, call.error)
            return
        try:
            await self._handler(call)
        except* CallEndedError:
            await call.close()
        except* Exception:
            _log.exception("call %.64r from %s: its handler raised", call.start.call_id, call.peer)
            await call.close(CloseCode.INTERNAL_ERROR, "internal error")
        else:
            await call.close()
        finally:
            await call._stop_playback()

    def _is_authorized(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        return self._authorization is None or is_authorized(given, self._authorization)


async def _log_refusal(request: web.Request, response: web.StreamResponse) -> None:
    """Log what is not let in; a header or a query may hold a secret, the path may not."""
    if response.status >= 400:
        _log.warning(
            "%s: refused with HTTP %d %s, asked for %.64r",
            peer_of(request.transport),
            response.status,
            response.reason,
            request.path,
        )
