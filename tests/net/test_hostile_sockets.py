"""Hostile clients beside live calls: closed in time, at little memory, and the calls lose nothing."""

import asyncio
import hashlib
import json
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.net.attacks import ATTACKS
from tests.net.endpoints import close_of, pcm_of, received_directly, send
from trunkline.stream import StreamSender
from trunkline.testing import speech_like

ROOT = Path(__file__).parents[2]
PTIME_S = 0.02
SPEECH = speech_like(5.0)
PACKETS = [SPEECH[k : k + 320] for k in range(0, len(SPEECH), 320)]
SLACK_S = 20.0  # of a machine that has much else to do


class Attacked:
    """The server's process."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    async def tell(self) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return json.loads(await self._process.stdout.readline())

    async def when(self, is_so: Callable[[int], bool]) -> Any:
        """Tell once there are as many calls as that."""
        while not is_so((told := await self.tell())["calls"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return told


@asynccontextmanager
async def attacked(adapter: str, **options: Any) -> AsyncIterator[Attacked]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.net.attacked_server", adapter, json.dumps(options)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # a line for each that is refused
        limit=1 << 20,
    )
    try:
        assert process.stdout is not None
        yield Attacked(process, (await process.stdout.readline()).decode().strip())
    finally:
        process.kill()
        await process.wait()


class LiveCall:
    """A call that goes on in real time until it is told to stop."""

    def __init__(self, url: str, call_id: str, stop: asyncio.Event) -> None:
        self.id = call_id
        self.sent: list[bytes] = []
        self._url = url
        self._stop = stop
        self._sender = StreamSender("PCMU", call_id=call_id)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession() as session, session.ws_connect(self._url) as socket:
            due = loop.time()
            await self._send(socket, self._sender.start())
            for packet in cycle(PACKETS):
                await self._send(socket, self._sender.media(packet))
                due += PTIME_S
                await asyncio.sleep(max(0.0, due - loop.time()))
                if self._stop.is_set():
                    break
            await self._send(socket, self._sender.stop())
            assert await close_of(socket) == (1000, "")

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, messages: list[bytes]) -> None:
        await send(socket, messages)
        self.sent += messages

    def expected(self) -> dict[str, Any]:
        audio = hashlib.sha256(pcm_of(received_directly(self.sent)))
        packets = len(self.sent) - 3  # connected, start, stop
        return {"packets": packets, "lost": 0, "sha256": audio.hexdigest(), "error": None}


async def attack(server: Attacked, attacks: dict[str, int], scale: int) -> dict[str, Counter[int | None]]:
    """Let so many of each attack at once; how each of them was closed."""
    running = {
        name: [asyncio.create_task(ATTACKS[name][0](server.url, scale)) for _ in range(n)]
        for name, n in attacks.items()
    }
    return {name: Counter(await asyncio.gather(*tasks)) for name, tasks in running.items()}


async def attacked_beside_calls(
    adapter: str, attacks: dict[str, int], n_calls: int, scale: int, grown_mib: float, **options: Any
) -> None:
    stop = asyncio.Event()
    async with attacked(adapter, **options) as server:
        calls = [LiveCall(server.url, f"live-{k}", stop) for k in range(n_calls)]
        async with asyncio.TaskGroup() as tasks:
            for call in calls:
                tasks.create_task(call.run())
            before = await server.when(lambda n: n == n_calls)
            async with asyncio.timeout(options["start_timeout_s"] + 2.0 + SLACK_S):
                codes = await attack(server, attacks, scale)
                assert (await server.when(lambda n: n <= n_calls))["calls"] == n_calls  # theirs have ended
            stop.set()
        after = await server.tell()
    for name, n in attacks.items():
        assert codes[name].total() == n
        assert set(codes[name]) <= ATTACKS[name][1], f"{name}: {codes[name]}"
    assert {call.id: after["ended"][call.id] for call in calls} == {
        call.id: call.expected() for call in calls
    }
    grown = (after["peak_kib"] - before["resident_kib"]) / 1024
    print(f"{adapter}: {grown:.1f} MiB more at the peak; {codes}")
    assert grown < grown_mib


@pytest.mark.parametrize("adapter", ["aiohttp", "picows"])
@pytest.mark.parametrize(
    ("attacks", "start_timeout_s"),
    [
        ({"request by bytes": 8, "start by bytes": 8, "never starts": 8, "pings": 2}, 2.0),
        # What is cut off for what it sends has to have been read before its time is up, however slowly.
        ({"bomb": 8, "fragments": 1, "claims 2^63 bytes": 8, "claims 2^62 bytes": 2}, 60.0),
    ],
    ids=["in time", "at once"],
)
def test_hostile_sockets(adapter: str, attacks: dict[str, int], start_timeout_s: float) -> None:
    options = {"start_timeout_s": start_timeout_s, "max_pending": 100}
    asyncio.run(attacked_beside_calls(adapter, attacks, n_calls=5, scale=10, grown_mib=64, **options))


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["aiohttp", "picows", "websockets"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_thousand_hostile_sockets(adapter: str, name: str) -> None:
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    n = {"bomb": 100, "fragments": 20, "claims 2^62 bytes": 50, "pings": 50}.get(name, 1000)
    asyncio.run(
        attacked_beside_calls(
            adapter, {name: n}, n_calls=50, scale=1, grown_mib=128, start_timeout_s=5.0, max_pending=2000
        )
    )
