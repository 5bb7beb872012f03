"""serve_status: /healthz and /metrics on a port of their own, which the public one does not show."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from trunkline.extras import needs_extra
from trunkline.net.aiohttp_server import Connections
from trunkline.net.server import authority, listen_error, port_of

with needs_extra("server"):
    from aiohttp import web

__all__ = ["serve_status"]

HEALTHY: Final = "ok"
ANSWER_TIMEOUT_S: Final = 5.0  # from the connection to the end of the answer
CLOSE_TIMEOUT_S: Final = 0.1  # aiohttp takes 0 for no limit
TEXT_FORMAT: Final = "text/plain; version=0.0.4"


@asynccontextmanager
async def serve_status(
    health: Callable[[], str], metrics: Callable[[], Awaitable[str]], host: str, port: int
) -> AsyncIterator[str]:
    """Answer GET /healthz with what `health` says, 503 unless that is "ok", and /metrics with `metrics`.

    Gives the URL. A connection has one request, and 5 s for it.
    """

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            response = web.Response(status=405, headers={"Allow": "GET, HEAD"}, text="takes GET\n")
        elif request.path == "/healthz":
            said = health()
            response = web.Response(status=200 if said == HEALTHY else 503, text=f"{said}\n")
        elif request.path == "/metrics":
            body = (await metrics()).encode()
            response = web.Response(body=body, headers={"Content-Type": TEXT_FORMAT})
        else:
            response = web.Response(status=404, text="here are /healthz and /metrics\n")
        response.force_close()
        return response

    connections = Connections(answer, ANSWER_TIMEOUT_S)
    runner = web.ServerRunner(connections, shutdown_timeout=CLOSE_TIMEOUT_S)
    await runner.setup()
    try:
        try:
            listener = await asyncio.get_running_loop().create_server(connections, host, port)
        except OSError as error:
            raise listen_error(error, host, port) from error
        yield f"http://{authority(host, port_of(listener))}"
        listener.close()
    finally:
        await runner.cleanup()
