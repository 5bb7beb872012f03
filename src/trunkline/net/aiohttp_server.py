"""serve: accept media streams with aiohttp, and hand each to a coroutine as a Call."""

import asyncio
import inspect
import ssl as tls
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final, Unpack, cast

from trunkline.errors import RemoteProtocolError
from trunkline.extras import needs_extra
from trunkline.net.endpoint import Endpoint, EndpointOptions, Handler, log_refusal
from trunkline.net.runner import QUIETLY
from trunkline.net.server import Listener, Server, port_of
from trunkline.net.stream_socket import CLOSE_TIMEOUT_S, CloseCode, NotUtf8Error, peer_of

with needs_extra("server"):
    from aiohttp import WSCloseCode, WSMsgType, web
    from aiohttp.web_protocol import RequestHandler

__all__ = ["Connections", "serve"]

LOOKS_A_PING: Final = 4  # into how many parts the time is divided after which a silent peer is asked
#: The option of a WebSocketResponse that hands out text which is not UTF-8, too: aiohttp has it since 3.14.
RAW_TEXT: Final[dict[str, Any]] = (
    {"decode_text": False} if "decode_text" in inspect.signature(web.WebSocketResponse).parameters else {}
)


@asynccontextmanager
async def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    path: str = "/",
    ssl: tls.SSLContext | None = None,
    reuse_port: bool = False,
    **options: Unpack[EndpointOptions],
) -> AsyncIterator[Server]:
    """Listen, and run `handler(call)` for every media stream that arrives.

    `port` 0 takes a free one; with `reuse_port` several processes may listen on one, and Linux hands the
    connections out among them. A peer is let in when it asks for `path`; what else it has to fulfil, and what
    the handler gets, say `options`, those of an Endpoint (docs/servers.md), such as `bearer_token` and
    `sample_rate`. What is refused is logged with the peer's address.

    On leaving the block every call ends as if its connection were lost, and its handler may finish.

        async with serve(handler, "127.0.0.1", 8765) as server:
            print(server.url)
            await asyncio.Event().wait()
    """
    async with AiohttpServer(Endpoint(handler, **options), host, port, path, ssl, reuse_port) as server:
        yield server


class AiohttpServer(Server):
    """Listens with aiohttp's server, without a router."""

    async def _listen(self) -> tuple[Listener, int]:
        self._connections = Connections(self._accept, self._endpoint.start_timeout_s)
        self._runner = web.ServerRunner(self._connections, shutdown_timeout=CLOSE_TIMEOUT_S)
        await self._runner.setup()
        listener = await asyncio.get_running_loop().create_server(
            self._connections,
            self._host,
            self.port,
            ssl=self._ssl,
            ssl_handshake_timeout=self._tls_timeout_s,
            reuse_port=self._reuse_port or None,
        )
        return listener, port_of(listener)

    async def _end(self) -> None:
        await self._runner.cleanup()

    async def _accept(self, request: web.BaseRequest) -> web.StreamResponse:
        address = request.remote or "unknown"
        refused = self._refused(request, address)
        if refused is not None:
            log_refusal(
                peer_of(request.transport), refused.status, HTTPStatus(refused.status).phrase, request.path
            )
            refused.force_close()
            return refused
        with self._endpoint.enter(address) as place:
            socket = AiohttpSocket(request, self._endpoint)
            await socket.response.prepare(request)
            self._connections.upgraded(request.protocol)
            await self._endpoint.answer(socket, place)
        return socket.response

    def _refused(self, request: web.BaseRequest, address: str) -> web.Response | None:
        if request.path != self._path:
            return web.Response(status=404, text="no stream is taken at this path\n")
        refusal = self._endpoint.refusal(request.headers.get("Authorization", ""), address)
        if refusal is not None:
            return web.Response(status=refusal.status, headers=refusal.headers, text=refusal.text)
        if request.method != "GET" or not web.WebSocketResponse().can_prepare(request):
            return web.Response(status=426, headers={"Upgrade": "websocket"}, text="this is a WebSocket\n")
        if request.transport is None:
            raise ConnectionResetError("the peer has gone")
        return None


class _Connection(RequestHandler):
    """A connection that counts what it receives."""

    __slots__ = ("n_received",)

    def __init__(self, server: web.Server) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **QUIETLY)
        self.n_received = 0

    def data_received(self, data: bytes) -> None:
        self.n_received += 1
        super().data_received(data)

    @property
    def is_reading(self) -> bool:
        """Whether the peer may send: not while what it has sent waits for the handler."""
        return self.transport is not None and cast(asyncio.ReadTransport, self.transport).is_reading()


class Connections(web.Server):
    """aiohttp's server, which closes a connection that does not ask for an upgrade in time."""

    def __call__(self) -> RequestHandler:
        return _Connection(self)

    def __init__(self, accept: Any, timeout_s: float) -> None:
        super().__init__(accept)
        self._timeout_s = timeout_s
        self._waiting: dict[RequestHandler, asyncio.TimerHandle] = {}

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        loop = asyncio.get_running_loop()
        self._waiting[handler] = loop.call_later(self._timeout_s, transport.abort)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        self.upgraded(handler)
        super().connection_lost(handler, exc)

    def upgraded(self, handler: Any) -> None:
        waiting = self._waiting.pop(handler, None)
        if waiting is not None:
            waiting.cancel()


class AiohttpSocket:
    """The socket of a call on aiohttp's server.

    It asks a silent peer for a sign of life itself: aiohttp's heartbeat takes a turn of the loop for each
    message, and keeps a connection that has ended.
    """

    def __init__(self, request: web.BaseRequest, endpoint: Endpoint) -> None:
        self.peer = peer_of(request.transport)
        self._connection = cast(_Connection, request.protocol)
        self._transport = request.transport
        self._too_big = f"message longer than {endpoint.max_message_bytes} bytes"
        self.response = _Response(
            self._too_big.encode(),
            **(RAW_TEXT if endpoint.captures else {}),
            timeout=CLOSE_TIMEOUT_S,
            compress=False,  # base64 audio gains little, and a small message could unpack into a large one
            max_msg_size=endpoint.max_message_bytes + 1,  # aiohttp refuses this size and above
        )
        self._loop = asyncio.get_running_loop()
        self._ping_s = endpoint.ping_s
        self._n_received = 0
        self._n_silent = 0  # looks, since something came
        self._pinging: asyncio.Task[None] | None = None
        self._look()

    @property
    def close_code(self) -> int | None:
        return self.response.close_code

    async def receive(self) -> str | bytes | None:
        message = await self.response.receive()
        if message.type is WSMsgType.TEXT:
            return message.data if isinstance(message.data, str) else _decoded(message.data)
        if message.type is WSMsgType.BINARY:
            return bytes(message.data)
        if self._n_silent == 2 * LOOKS_A_PING:
            raise ConnectionResetError(f"no answer to a ping within {self._ping_s:g} s")
        if message.type is not WSMsgType.ERROR:
            return None
        if getattr(message.data, "code", None) == WSCloseCode.MESSAGE_TOO_BIG:
            what = self._too_big  # aiohttp names the first size that it refuses
        else:
            what = message.data or type(message.data).__name__
        raise RemoteProtocolError(f"connection broken: {what}")

    async def send(self, message: bytes, *, binary: bool = False) -> None:
        await self.response.send_frame(message, WSMsgType.BINARY if binary else WSMsgType.TEXT)

    async def close(self, code: int, reason: str) -> None:
        self._looking.cancel()
        await self.response.close(code=code, message=reason.encode())

    def abort(self) -> None:
        self._looking.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _look(self) -> None:
        """Count how often nothing has come; ask for a sign of life, and end what gives none."""
        is_silent = self._connection.n_received == self._n_received and self._connection.is_reading
        self._n_received = self._connection.n_received
        self._n_silent = self._n_silent + 1 if is_silent else 0
        if self._n_silent == 2 * LOOKS_A_PING:
            self.abort()
            return
        if self._n_silent == LOOKS_A_PING:
            self._pinging = asyncio.create_task(self._ping())
        self._looking = self._loop.call_later(self._ping_s / LOOKS_A_PING, self._look)

    async def _ping(self) -> None:
        with suppress(ConnectionError):  # of which `receive` tells
            await self.response.ping()


class _Response(web.WebSocketResponse):
    def __init__(self, too_big: bytes, **options: Any) -> None:
        super().__init__(**options)
        self._too_big = too_big

    async def close(self, *, code: int = CloseCode.NORMAL, message: bytes = b"", drain: bool = True) -> bool:
        if code == CloseCode.TOO_BIG and not message:  # aiohttp closes on its own, without a reason
            message = self._too_big
        return await super().close(code=code, message=message, drain=drain)


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise NotUtf8Error(text, error) from None
