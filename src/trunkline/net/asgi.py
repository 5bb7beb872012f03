"""media_stream: an ASGI application that accepts media streams, for FastAPI, Starlette and others."""

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Unpack

from trunkline.errors import LocalProtocolError, RemoteProtocolError
from trunkline.net.call import Call
from trunkline.net.endpoint import Endpoint, EndpointOptions, Handler, log_refusal
from trunkline.net.server_stats import ServerStats
from trunkline.net.stream_socket import CloseCode

__all__ = ["MediaStream", "media_stream"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def media_stream(handler: Handler, **options: Unpack[EndpointOptions]) -> "MediaStream":
    """Make an ASGI application that runs `handler(call)` for every media stream.

    `options` are those of `serve`. Give it a route of its own, or call it from yours:

        app = FastAPI(routes=[WebSocketRoute("/media", media_stream(handler))])

        @app.websocket("/media")
        async def media(websocket: WebSocket) -> None:
            await stream(websocket.scope, websocket.receive, websocket.send)

    The sockets are the server's, and so are compression, pings and what a message that is not whole yet may
    have: start uvicorn with --ws-max-size 65536 --ws-per-message-deflate false. `ping_s` means nothing here.
    """
    return MediaStream(Endpoint(handler, **options))


class MediaStream:
    """The application; made by `media_stream`. `calls` are those whose handlers are running."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @property
    def calls(self) -> frozenset[Call]:
        """The calls whose handlers are running."""
        return self._endpoint.calls

    @property
    def refused(self) -> dict[int, int]:
        """How many were not let in, by HTTP status."""
        return dict(self._endpoint.refused)

    @property
    def stats(self) -> ServerStats:
        """What was counted of all calls, those that are there, too."""
        return self._endpoint.stats

    @property
    def is_draining(self) -> bool:
        """Whether nobody is let in any more."""
        return self._endpoint.is_closed

    async def drain(self, timeout_s: float) -> bool:
        """Take no more calls, and let those there are end: False when some have not within `timeout_s`.

        The server goes on listening, and who comes gets 503.
        """
        return await self._endpoint.drain(timeout_s)

    async def close(self) -> None:
        """Take no more calls, end those there are with 1001, and wait for the handlers; idempotent.

        uvicorn ends them itself, with 1012, before it says that the lifespan is over.
        """
        await self._endpoint.close()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise LocalProtocolError(f"ASGI scope {scope['type']!r}: a media stream takes WebSockets only")
        host, port = scope.get("client") or ("unknown", 0)
        peer = f"{host}:{port}"
        given = dict(scope["headers"]).get(b"authorization", b"").decode("utf-8", "surrogateescape")
        await receive()  # websocket.connect
        refusal = self._endpoint.refusal(given, host)
        if refusal is not None:
            log_refusal(peer, refusal.status, HTTPStatus(refusal.status).phrase, scope["path"])
            await _refuse(scope, send, refusal.status, refusal.text, refusal.headers)
            return
        with self._endpoint.enter(host) as place:
            await send({"type": "websocket.accept"})
            socket = AsgiSocket(peer, receive, send, self._endpoint.max_message_bytes)
            await self._endpoint.answer(socket, place)


async def _refuse(scope: Message, send: Send, status: int, text: str, headers: dict[str, str]) -> None:
    """Answer with HTTP; a server without this extension makes 403 of a close."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": CloseCode.POLICY})
        return
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "websocket.http.response.start", "status": status, "headers": pairs})
    await send({"type": "websocket.http.response.body", "body": text.encode()})


class AsgiSocket:
    """The socket of a call under an ASGI server."""

    def __init__(self, peer: str, receive: Receive, send: Send, max_message_bytes: int) -> None:
        self.peer = peer
        self.close_code: int | None = None
        self._receive = receive
        self._send = send
        self._max_message_bytes = max_message_bytes
        self._has_ended = False

    async def receive(self) -> str | bytes | None:
        if self.close_code is not None:
            return None
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            self.close_code = event.get("code", 1005)
            self._has_ended = True
            return None
        text: str | None = event.get("text")
        message: str | bytes = event["bytes"] if text is None else text
        if self._is_too_big(message):
            what = f"message longer than {self._max_message_bytes} bytes"
            await self.close(CloseCode.TOO_BIG, what)
            raise RemoteProtocolError(f"connection broken: {what}")
        return message

    def _is_too_big(self, message: str | bytes) -> bool:
        n_max = self._max_message_bytes
        if len(message) > n_max or isinstance(message, bytes) or message.isascii():
            return len(message) > n_max
        return len(message.encode("utf-8", "surrogatepass")) > n_max

    async def send(self, message: bytes, *, binary: bool = False) -> None:
        if self._has_ended:
            raise ConnectionResetError("the connection has ended")
        try:
            body = {"bytes": message} if binary else {"text": message.decode()}
            await self._send({"type": "websocket.send", **body})
        except OSError as error:  # what ASGI says of a peer that has gone
            raise ConnectionResetError(str(error)) from None

    async def close(self, code: int, reason: str) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        with suppress(OSError):  # gone already
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        """Nothing: the server ends what its application has returned from."""
