"""serve_websockets: accept media streams with the library `websockets`."""

import logging
import ssl as tls
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, Unpack, cast

from trunkline.errors import RemoteProtocolError
from trunkline.extras import needs_extra
from trunkline.net.admission import Place
from trunkline.net.endpoint import Endpoint, EndpointOptions, Handler, log_refusal
from trunkline.net.server import Listener, Server
from trunkline.net.stream_socket import CLOSE_TIMEOUT_S, CloseCode, peer_of

with needs_extra("websockets"):
    from websockets.asyncio.server import Server as WebsocketsListener
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as listen
    from websockets.exceptions import ConnectionClosed
    from websockets.http11 import Request, Response

__all__ = ["serve_websockets"]

_log: Final = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)  # at DEBUG the library logs headers, and one has the token


@asynccontextmanager
async def serve_websockets(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    path: str = "/",
    ssl: tls.SSLContext | None = None,
    reuse_port: bool = False,
    **options: Unpack[EndpointOptions],
) -> AsyncIterator[Server]:
    """Do what `serve` does, with the library `websockets`. Needs `pip install 'trunkline[websockets]'`."""
    async with WebsocketsServer(Endpoint(handler, **options), host, port, path, ssl, reuse_port) as server:
        yield server


class WebsocketsServer(Server):
    """Listens with `websockets.asyncio.server`."""

    _library: WebsocketsListener | None = None

    async def _listen(self) -> tuple[Listener, int]:
        endpoint = self._endpoint
        self._library = await listen(
            self._answer,
            self._host,
            self.port,
            ssl=self._ssl,
            process_response=self._accept,
            create_connection=_Connection,
            compression=None,
            max_size=endpoint.max_message_bytes,
            open_timeout=endpoint.start_timeout_s,
            ping_interval=endpoint.ping_s,
            ping_timeout=endpoint.ping_s,
            close_timeout=CLOSE_TIMEOUT_S,
            server_header=None,
            logger=_log,
            ssl_handshake_timeout=self._tls_timeout_s,
            reuse_port=self._reuse_port or None,
        )
        port: int = self._library.sockets[0].getsockname()[1]
        return _Stop(self._library), port

    async def _end(self) -> None:
        if self._library is not None:
            self._library.close()
            await self._library.wait_closed()

    def _accept(self, connection: ServerConnection, request: Request, response: Response) -> Response | None:
        """Look at the answer to an upgrade before it is sent: another one for who is not let in."""
        connection = cast(_Connection, connection)
        path = request.path.partition("?")[0]
        if path != self._path:
            response = connection.respond(404, "no stream is taken at this path\n")
        else:
            given = request.headers.get_all("Authorization")
            refusal = self._endpoint.refusal(given[0] if given else "", connection.address)
            if refusal is not None:
                response = connection.respond(refusal.status, refusal.text)
                response.headers.update(refusal.headers)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            connection.place = self._endpoint.enter(connection.address)
        else:
            status = HTTPStatus(response.status_code)
            log_refusal(peer_of(connection.transport), status, status.phrase, path)
        return response

    async def _answer(self, connection: ServerConnection) -> None:
        place = cast(_Connection, connection).place
        if place is not None:
            await self._endpoint.answer(WebsocketsSocket(connection), place)


class _Stop:
    """Stops listening, and leaves the calls to the endpoint."""

    def __init__(self, library: WebsocketsListener) -> None:
        self._library = library

    def close(self) -> None:
        self._library.server.close()  # now: the library does so in a task
        self._library.close(close_connections=False)


class _Connection(ServerConnection):
    """A connection that gives its place back when it is lost, had it a call or not."""

    place: Place | None = None

    @property
    def address(self) -> str:
        return peer_of(self.transport).rpartition(":")[0]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.place is not None:
            self.place.leave()


class WebsocketsSocket:
    """The socket of a call on a connection of `websockets`."""

    def __init__(self, connection: ServerConnection) -> None:
        self.peer = peer_of(connection.transport)
        self._connection = connection
        self._is_closing = False

    @property
    def close_code(self) -> int | None:
        return self._connection.close_code

    async def receive(self) -> str | bytes | None:
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            if closed.sent is None or closed.rcvd_then_sent or self._is_closing:
                return None
            if closed.sent.code == CloseCode.INTERNAL_ERROR:  # a ping that nobody answered
                raise ConnectionResetError(closed.sent.reason) from None
            raise RemoteProtocolError(f"connection broken: {closed.sent.reason}") from None

    async def send(self, message: bytes, *, binary: bool = False) -> None:
        try:
            await self._connection.send(message, text=not binary)
        except ConnectionClosed as closed:
            raise ConnectionResetError(str(closed)) from None

    async def close(self, code: int, reason: str) -> None:
        self._is_closing = True
        await self._connection.close(code, reason)

    def abort(self) -> None:
        self._connection.transport.abort()
