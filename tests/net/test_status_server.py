"""/healthz and /metrics: what they answer, and to whom they answer no more."""

import asyncio
from contextlib import suppress

import aiohttp
import pytest

from tests.net.endpoints import run
from trunkline.net import serve_status


async def ask(url: str, path: str, method: str = "GET") -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url + path) as answer:
        return answer.status, answer.headers.get("Content-Type", ""), await answer.text()


def test_healthz_and_metrics() -> None:
    health = ["ok"]

    async def metrics() -> str:
        return "x 1\n"

    async def main() -> None:
        async with serve_status(lambda: health[0], metrics, "127.0.0.1", 0) as url:
            assert await ask(url, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")
            health[0] = "draining"
            assert await ask(url, "/healthz?x=1") == (503, "text/plain; charset=utf-8", "draining\n")
            assert await ask(url, "/metrics") == (200, "text/plain; version=0.0.4", "x 1\n")
            assert (await ask(url, "/metrics", "HEAD"))[0] == 200
            assert (await ask(url, "/metrics", "POST"))[0] == 405
            assert (await ask(url, "/"))[0] == 404
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask(url, "/healthz")

    run(main())


def test_who_asks_slowly_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.net.status_server.ANSWER_TIMEOUT_S", 0.05)

    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    async def main() -> None:
        async with serve_status(lambda: "ok", never, "127.0.0.1", 0) as url:
            for said in (b"", b"GET /healthz HTTP/1.1\r\nA:", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
                writer.write(said)
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
                writer.close()

    run(main())


def test_a_port_that_is_taken_is_named() -> None:
    async def metrics() -> str:
        return ""

    async def main() -> None:
        async with serve_status(lambda: "ok", metrics, "127.0.0.1", 0) as url:
            port = int(url.rpartition(":")[2])
            with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
                async with serve_status(lambda: "ok", metrics, "127.0.0.1", port):
                    pass

    run(main())
