"""What hostile clients do to a server, each until it has had enough of it: the close code, or None."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable

from tests.net.raw_websocket import CONTINUATION, PING, TEXT, connection, frame, request, upgraded
from trunkline.stream import StreamSender

Attack = Callable[[str, int], Awaitable[int | None]]

MIB = 1 << 20
START = StreamSender("PCMU", call_id="hostile").start()[1]
BOMB = zlib.compress(bytes(64 * MIB), 9)[2:-4]  # a thousandth of it; without what zlib puts around


async def drip(writer: asyncio.StreamWriter, data: bytes, interval_s: float) -> None:
    """Send a byte at a time, as long as anybody takes it."""
    for byte in data:
        if writer.is_closing():
            return
        writer.write(bytes([byte]))
        await asyncio.sleep(interval_s)


async def request_by_bytes(url: str, scale: int) -> int | None:
    async with connection(url) as (reader, writer):
        dripping = asyncio.create_task(drip(writer, request(url) * 10, 1.0 / scale))
        try:
            assert await reader.read() == b""
        except ConnectionError:
            pass
        finally:
            dripping.cancel()
    return None


async def start_by_bytes(url: str, scale: int) -> int | None:
    async with upgraded(url) as client:
        data = frame(TEXT, START[:1], fin=False) + frame(CONTINUATION, b"x", fin=False) * 10_000
        dripping = asyncio.create_task(drip(client._writer, data, 1.0 / scale))
        try:
            return await client.closed()
        finally:
            dripping.cancel()


async def never_starts(url: str, scale: int) -> int | None:
    async with upgraded(url) as client:
        return await client.closed()


async def bomb(url: str, scale: int) -> int | None:
    async with upgraded(url) as client:
        await client.send(frame(TEXT, BOMB, rsv=4))
        return await client.closed()


async def fragments(url: str, scale: int) -> int | None:
    async with upgraded(url) as client:
        sending = asyncio.create_task(
            client.send(frame(TEXT, b" ", fin=False) + frame(CONTINUATION, b" ", fin=False) * 1_000_000)
        )
        try:
            return await client.closed()
        finally:
            sending.cancel()


async def claims_much(url: str, scale: int) -> int | None:
    async with upgraded(url) as client:
        await client.send(frame(TEXT, claims=1 << 63))
        return await client.closed()


async def claims_much_and_sends_it(url: str, scale: int) -> int | None:
    async with upgraded(url) as client:
        sending = asyncio.create_task(client.send(frame(TEXT, bytes(32 * MIB), claims=1 << 62)))
        try:
            return await client.closed()
        finally:
            sending.cancel()


async def pings_and_reads_nothing(url: str, scale: int) -> int | None:
    """Never starts, either, and is aborted for it."""
    async with upgraded(url) as client:
        transport = client._writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]
        client._writer.write(frame(PING, bytes(125)) * 100_000)
        while not transport.is_closing():  # only who writes hears of it
            client._writer.write(frame(PING))
            await asyncio.sleep(0.05)
    return None


#: What each is closed with: 1008 where it takes too long; None also where a reset has eaten the close frame.
ATTACKS: dict[str, tuple[Attack, set[int | None]]] = {
    "request by bytes": (request_by_bytes, {None}),
    "start by bytes": (start_by_bytes, {1008}),
    "never starts": (never_starts, {1008}),
    "bomb": (bomb, {1002}),
    "fragments": (fragments, {1008, 1009, None}),
    "claims 2^63 bytes": (claims_much, {1002, 1009}),
    "claims 2^62 bytes": (claims_much_and_sends_it, {1008, 1009, None}),
    "pings": (pings_and_reads_nothing, {None}),
}
