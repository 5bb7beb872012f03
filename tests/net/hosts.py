"""Resolvers that answer what a test says, and a listening socket that counts."""

import asyncio
import socket
import ssl as tls
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp.abc import AbstractResolver, ResolveResult


class Answers(AbstractResolver):
    """Gives one list of addresses after the other; the last for ever. Counts the look-ups."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        kind = socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        pass


class Listener:
    """A real server on loopback that counts the connections it gets and keeps the requests' heads."""

    def __init__(self, response: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") -> None:
        self.response = response
        self.n_connections = 0
        self.heads: list[str] = []
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.response)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(
        self, ssl: tls.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> AsyncIterator["Listener"]:
        server = await asyncio.start_server(self._serve, host, port, ssl=ssl)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self


class Fails(Answers):
    def __init__(self, error: Exception | None) -> None:
        super().__init__([])
        self.error = error

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if self.error is None:
            await asyncio.Event().wait()
        else:
            raise self.error
        return []
