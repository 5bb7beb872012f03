"""A web server of sounds on loopback."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from io import BytesIO

from aiohttp import web

from trunkline import wav

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def sound_server(
    answers: Mapping[str, bytes | Answer], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve what `answers` have by path, else 404; gives the URL of /."""

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = answers.get(request.path)
        if answer is None:
            raise web.HTTPNotFound
        return web.Response(body=answer) if isinstance(answer, bytes) else await answer(request)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def wav_of(pcm: bytes) -> bytes:
    """Make a WAV of 8 kHz."""
    file = BytesIO()
    wav.write(file, pcm, 8000)
    return file.getvalue()
