"""app_runner: no header of a request gets into the logs, and no body is unpacked."""

import asyncio
import gzip
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

import trunkline
from tests.net.endpoints import Seen, run
from trunkline.net.runner import app_runner

CANARY = "canary-3b1f-bearer"


@pytest.mark.parametrize("header", ["Authorization: Bearer {}\0", "Authorization : Bearer {}", "{}"])
def test_a_token_in_a_malformed_header_is_not_logged(header: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    async def test() -> None:
        async with trunkline.serve(Seen(), bearer_token=CANARY) as server:
            parts = urlsplit(server.url)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"GET / HTTP/1.1\r\nHost: x\r\n{header.format(CANARY)}\r\n\r\n".encode())
            assert b" 400 " in await reader.readline()
            writer.close()

    run(test())
    assert "HTTP 400" in caplog.text
    assert CANARY not in caplog.text


def test_bodies_come_as_they_were_sent() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def test() -> None:
        app = web.Application()
        app.router.add_post("/", echo)
        runner = app_runner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        packed = gzip.compress(b" " * 1_000_000)
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with (
            aiohttp.ClientSession() as client,
            client.post(url, data=packed, headers={"Content-Encoding": "gzip"}) as answer,
        ):
            assert await answer.read() == packed
        await runner.cleanup()

    run(test())
