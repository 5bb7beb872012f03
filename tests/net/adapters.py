"""Every server that takes media streams, under one name each, for tests that all of them have to pass."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import uvicorn
from fastapi import FastAPI
from starlette.routing import WebSocketRoute

from tests.net.endpoints import until
from trunkline.net import Call, media_stream, serve, serve_picows, serve_websockets
from trunkline.net.asgi import MediaStream


class Serving(Protocol):
    """What the tests need of a server."""

    @property
    def url(self) -> str: ...

    @property
    def calls(self) -> frozenset[Call]: ...

    @property
    def refused(self) -> dict[int, int]: ...

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
