"""A WebSocket client without manners: frames as they are asked for, whatever RFC 6455 says of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
MASK: Final = b"\x00\x00\x00\x00"  # masked, and readable
UPGRADE: Final = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
)


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, claims: int | None = None
) -> bytes:
    """Build a client's frame; `claims` is the length that it says in place of its own."""
    n = len(payload) if claims is None else claims
    if n < 126:
        length = bytes([0x80 | n])
    elif n < 65536:
        length = b"\xfe" + n.to_bytes(2)
    else:
        length = b"\xff" + n.to_bytes(8)
    return bytes([fin << 7 | rsv << 4 | opcode]) + length + MASK + payload


class RawClient:
    """A connection that was upgraded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._come, self._at = b"", 0  # what was read, and up to where it was taken

    async def send(self, data: bytes) -> None:
        """Send bytes, while the peer takes any."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def read(self) -> tuple[int, bytes]:
        """Read a frame: opcode and payload."""
        first, length = await self._take(2)
        n = length if length < 126 else int.from_bytes(await self._take(2 if length == 126 else 8))
        return first & 15, await self._take(n)

    async def _take(self, n_bytes: int) -> bytes:
        """Take so much of what has come; quickly, since a server does not wait long for who reads a flood."""
        while len(self._come) - self._at < n_bytes:
            more = await self._reader.read(65_536)
            if not more:
                raise asyncio.IncompleteReadError(self._come[self._at :], n_bytes)
            self._come, self._at = self._come[self._at :] + more, 0
        self._at += n_bytes
        return self._come[self._at - n_bytes : self._at]

    async def closed(self) -> int | None:
        """Wait until the connection is closed; give the code of the close frame, None where none came."""
        code = None
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                opcode, payload = await self.read()
                if opcode == CLOSE:
                    code = int.from_bytes(payload[:2]) if payload else 1005
                    self._writer.write(frame(CLOSE, payload[:2]))
                    self._writer.write_eof()
        return code


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to where a URL leads, and ask for nothing yet."""
    host, port = url.removeprefix("ws://").partition("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def request(url: str) -> bytes:
    path = url.removeprefix("ws://").partition("/")[2]
    return f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n".encode()


@asynccontextmanager
async def upgraded(url: str) -> AsyncIterator[RawClient]:
    """Connect, and be upgraded; ConnectionRefusedError for who is not."""
    async with connection(url) as (reader, writer):
        writer.write(request(url))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionRefusedError(head.partition(b"\r\n")[0].decode())
        assert b"permessage-deflate" not in head.lower()
        yield RawClient(reader, writer)
