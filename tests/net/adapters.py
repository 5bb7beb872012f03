"""Every server that takes media streams, under one name each, for tests that all of them have to pass."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import aiohttp
import uvicorn
from fastapi import FastAPI
from starlette.routing import WebSocketRoute

from tests.net.endpoints import until
from trunkline.net import Call, ServerStats, media_stream, serve, serve_picows, serve_websockets
from trunkline.net.asgi import MediaStream


class Serving(Protocol):
    """What the tests need of a server."""

    @property
    def url(self) -> str: ...

    @property
    def calls(self) -> frozenset[Call]: ...

    @property
    def refused(self) -> dict[int, int]: ...

    @property
    def stats(self) -> ServerStats: ...

    @property
    def is_draining(self) -> bool: ...

    async def drain(self, timeout_s: float) -> bool: ...

    async def close(self) -> None: ...


class UnderUvicorn:
    """A FastAPI application with one stream, and the server that runs it."""

    def __init__(self, stream: MediaStream, bound: socket.socket) -> None:
        self._stream = stream
        self._bound = bound
        host, port = bound.getsockname()
        self.url = f"ws://{host}:{port}/media"
        config = uvicorn.Config(
            FastAPI(routes=[WebSocketRoute("/media", stream)]),
            ws_max_size=131072,  # so that our own limit is seen
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="info",  # as its own configuration has it; below, it logs headers
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[bound]))

    @property
    def calls(self) -> frozenset[Call]:
        return self._stream.calls

    @property
    def refused(self) -> dict[int, int]:
        return self._stream.refused

    @property
    def stats(self) -> ServerStats:
        return self._stream.stats

    @property
    def is_draining(self) -> bool:
        return self._stream.is_draining

    async def drain(self, timeout_s: float) -> bool:
        return await self._stream.drain(timeout_s)

    async def started(self) -> None:
        await until(lambda: self._server.started)

    async def close(self) -> None:
        self._server.should_exit = True
        await self._task


@asynccontextmanager
async def serve_asgi(handler: Any, **options: Any) -> AsyncIterator[UnderUvicorn]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = UnderUvicorn(media_stream(handler, **options), bound)
        try:
            await server.started()
            yield server
        finally:
            await server.close()


Serve = Callable[..., AbstractAsyncContextManager[Serving]]
ADAPTERS: dict[str, Serve] = {
    "aiohttp": serve,
    "picows": serve_picows,
    "websockets": serve_websockets,
    "asgi": serve_asgi,
}
LISTENERS = [name for name in ADAPTERS if name != "asgi"]  # there, the server has the pings and TLS
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"


async def status_of(url: str, **options: Any) -> int:
    """Ask for the upgrade: 101, or the HTTP status of a refusal."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(url, **options) as socket:
                assert not socket.closed
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


async def ask(url: str, headers: str) -> str:
    """Send a request as it is; give the status line of the answer."""
    host, _, path = url.removeprefix("ws://").partition("/")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    try:
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode("latin-1"))
        return (await reader.readline()).decode("latin-1")
    finally:
        writer.close()
        await writer.wait_closed()
