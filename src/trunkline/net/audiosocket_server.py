"""serve_audiosocket: take the calls that Asterisk streams over TCP (AudioSocket)."""

import asyncio
import logging
import ssl as tls
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Unpack

from trunkline.errors import FormatError
from trunkline.net.endpoint import Endpoint, EndpointOptions, Handler
from trunkline.net.server import Listener, Server, port_of
from trunkline.net.stream_socket import CloseCode, peer_of

__all__ = ["serve_audiosocket"]

READ_BYTES: Final = 8192  # at once; and asyncio holds twice of it before the peer has to wait
HANGUP: Final = bytes(3)  # a frame of type 0x00 without a payload

_log = logging.getLogger(__name__)


@asynccontextmanager
async def serve_audiosocket(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ssl: tls.SSLContext | None = None,
    reuse_port: bool = False,
    **options: Unpack[EndpointOptions],
) -> AsyncIterator[Server]:
    """Do what `serve` does, for Asterisk's AudioSocket: frames over TCP, without HTTP.

    Who is not let in is hung up on. Asterisk sends no token, so `bearer_token` is a FormatError: listen where
    only Asterisk can reach. `max_message_bytes` and `ping_s` mean nothing here.
    """
    if options.get("bearer_token") is not None:
        raise FormatError(
            "AudioSocket carries no bearer token: listen on an address that only Asterisk reaches"
        )
    endpoint = Endpoint(handler, **(options | {"dialect": "audiosocket"}))
    async with AudioSocketServer(endpoint, host, port, "", ssl, reuse_port) as server:
        yield server


class AudioSocketServer(Server):
    """Listens with asyncio's streams."""

    SCHEMES = ("tcp", "tls")

    async def _listen(self) -> tuple[Listener, int]:
        listener = await asyncio.start_server(
            self._accept,
            self._host,
            self.port,
            ssl=self._ssl,
            limit=READ_BYTES,
            ssl_handshake_timeout=self._tls_timeout_s,
            reuse_port=self._reuse_port or None,
        )
        return listener, port_of(listener)

    async def _end(self) -> None:
        pass

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket = TcpSocket(reader, writer)
        address = socket.peer.rpartition(":")[0]
        refusal = self._endpoint.refusal("", address)
        if refusal is not None:
            _log.warning("%s: refused: %s", socket.peer, refusal.text.rstrip())
            await socket.close(refusal.status, refusal.text)
            return
        with self._endpoint.enter(address) as place:
            await self._endpoint.answer(socket, place)
            await socket.close(CloseCode.NORMAL, "")


class TcpSocket:
    """The socket of a call whose messages are bytes, cut anywhere."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer_of(writer.transport)
        self.close_code: int | None = None
        self._reader = reader
        self._writer = writer

    async def receive(self) -> str | bytes | None:
        data = await self._reader.read(READ_BYTES)
        if data:
            return data
        self.close_code = CloseCode.NORMAL
        return None

    async def send(self, message: bytes, *, binary: bool = False) -> None:
        self._writer.write(message)
        await self._writer.drain()

    async def close(self, code: int, reason: str) -> None:
        """Hang up; there is no place for a code or a reason."""
        if not self._writer.is_closing():
            self._writer.write(HANGUP)
            self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    def abort(self) -> None:
        self._writer.transport.abort()
