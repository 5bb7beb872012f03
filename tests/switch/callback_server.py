"""A receiver of status callbacks on loopback, as well behaved as a test wants it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

__all__ = ["Receiver", "Request", "receiving"]


class Request(NamedTuple):
    at_s: float
    method: str
    url: str  # as a receiver sees it
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Keeps what it gets; answers by `answers`, one after the other, the last for ever."""

    def __init__(self, *answers: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        self.answers = list(answers) or [status(200)]
        self.requests: list[Request] = []
        self.port = 0
        self.url = ""

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        url = f"{request.scheme}://{request.headers['Host']}{request.raw_path}"
        headers = dict(request.headers)
        now = asyncio.get_running_loop().time()
        self.requests.append(Request(now, request.method, url, headers, await request.read()))
        return await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Listen on a free port of 127.0.0.1."""
    server = web.Server(receiver, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{receiver.port}/status"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def status(code: int, **headers: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers=headers)

    return answer


def after(delay_s: float, code: int = 200) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(delay_s)
        return web.Response(status=code)

    return answer


async def never(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


class Trickles:
    """Answers 200 with a body in pieces; `sent` is how many bytes of it went out before the peer left."""

    def __init__(self, n_bytes: int, piece: int, pause_s: float) -> None:
        self.n_bytes = n_bytes
        self.piece = piece
        self.pause_s = pause_s
        self.sent = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})  # which it is not
        response.content_length = self.n_bytes
        await response.prepare(request)
        while self.sent < self.n_bytes:
            await response.write(bytes(self.piece))
            self.sent += self.piece
            await asyncio.sleep(self.pause_s)
        return response
