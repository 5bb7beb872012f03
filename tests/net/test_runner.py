"""app_runner, under the endpoint that everybody runs: no header of a request gets into the logs."""

import asyncio
from urllib.parse import urlsplit

import pytest

import trunkline
from tests.net.endpoints import Seen, run

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
    assert "BadHttpMessage, HTTP 400" in caplog.text
    assert CANARY not in caplog.text
