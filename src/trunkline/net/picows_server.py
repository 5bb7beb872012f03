"""serve_picows: accept media streams with picows, for as many calls as one core can hold.

picows leaves to its user: reserved bits, UTF-8, the order of fragments and their sum, close codes, answers to
pings, and not to read faster than is taken. They are here.
"""

import asyncio
import logging
import socket
import ssl as tls
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Final, Unpack

from trunkline._native.event_stream import Doorbell
from trunkline.errors import RemoteProtocolError
from trunkline.extras import needs_extra
from trunkline.net.endpoint import Endpoint, EndpointOptions, Handler, log_refusal
from trunkline.net.server import Listener, Server, port_of
from trunkline.net.stream_socket import CLOSE_TIMEOUT_S, CloseCode, NotUtf8Error, peer_of, short_reason

with needs_extra("picows"):
    import picows
    from picows import WSFrame, WSMsgType, WSTransport

__all__ = ["serve_picows"]

HELD_BYTES_MAX: Final = 65536  # of messages that nobody has received yet; then the peer has to wait
# That the kernel holds of a connection: picows doubles its buffer while reads fill it, and never halves it.
KERNEL_BYTES: Final = 65536
MESSAGE_BYTES: Final = 100  # what a message costs beside its text
NO_CODE: Final = 1005  # RFC 6455 7.1.5: a close frame without a code
CODES: Final = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))  # of a frame (7.4)
# Looked up for each message, which takes an enum ten times as long.
_TEXT: Final = WSMsgType.TEXT
_CLOSE: Final = WSMsgType.CLOSE
_DATA: Final = (WSMsgType.TEXT, WSMsgType.BINARY)

Lost = RemoteProtocolError | ConnectionResetError  # what is the end of the messages

_log: Final = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)  # below DEBUG picows logs what it reads, and that has the token


@asynccontextmanager
async def serve_picows(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    path: str = "/",
    ssl: tls.SSLContext | None = None,
    reuse_port: bool = False,
    **options: Unpack[EndpointOptions],
) -> AsyncIterator[Server]:
    """Do what `serve` does, with picows. Needs `pip install 'trunkline[picows]'`.

    picows does not say who asks before the upgrade: an address that has `max_per_address` connections is
    closed with 1013 after it. What is refused is logged without its address.
    """
    async with PicowsServer(Endpoint(handler, **options), host, port, path, ssl, reuse_port) as server:
        yield server


Answer = Callable[["PicowsSocket", str], None]


class PicowsServer(Server):
    """Listens with picows."""

    async def _listen(self) -> tuple[Listener, int]:
        self._answering: set[asyncio.Task[None]] = set()
        listener = await picows.ws_create_server(
            self._accept,
            self._host,
            self.port,
            ssl=self._ssl,
            logger_name=_log,
            websocket_handshake_timeout=self._endpoint.start_timeout_s,
            enable_auto_pong=False,  # it would answer any number, to a peer that reads none
            enable_auto_ping=True,
            auto_ping_idle_timeout=self._endpoint.ping_s,
            auto_ping_reply_timeout=self._endpoint.ping_s,
            max_frame_size=self._endpoint.max_message_bytes,
            ssl_handshake_timeout=self._tls_timeout_s,
            reuse_port=self._reuse_port or None,
        )
        for bound in listener.sockets:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        return listener, port_of(listener)

    async def _end(self) -> None:
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _accept(
        self, request: picows.WSUpgradeRequest
    ) -> "PicowsSocket | picows.WSUpgradeResponseWithListener":
        path = request.path.partition(b"?")[0].decode("ascii", "replace")
        if path != self._path:
            return _refused(path, 404, b"no stream is taken at this path\n", {})
        refusal = self._endpoint.refusal(request.headers.get("Authorization", ""), None)
        if refusal is not None:
            return _refused(path, refusal.status, refusal.text.encode(), refusal.headers)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _refused(path, 426, b"this is a WebSocket\n", {"Upgrade": "websocket"})
        return PicowsSocket(self._endpoint.max_message_bytes, self._answer)

    def _answer(self, socket: "PicowsSocket", address: str) -> None:
        """Have the call of a socket that was upgraded this moment."""
        if not self._endpoint.has_room(address):
            socket.fail(CloseCode.TRY_AGAIN_LATER, "too many connections of this address")
            return
        place = self._endpoint.enter(address)
        task = asyncio.create_task(self._endpoint.answer(socket, place))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)


def _refused(
    path: str, status: int, text: bytes, headers: dict[str, str]
) -> picows.WSUpgradeResponseWithListener:
    log_refusal("a peer", status, HTTPStatus(status).phrase, path)
    response = picows.WSUpgradeResponse.create_error_response(status, text, headers)
    return picows.WSUpgradeResponseWithListener(response, None)


class PicowsSocket(picows.WSListener):
    """The socket of a call on picows's server."""

    __slots__ = (
        "_answer",
        "_arrived",
        "_doorbell",
        "_fragments",
        "_held_bytes",
        "_is_closing",
        "_is_lost",
        "_is_paused",
        "_loop",
        "_max_message_bytes",
        "_messages",
        "_push",
        "_transport",
        "_type",
        "_writable",
        "close_code",
        "peer",
    )

    def __init__(self, max_message_bytes: int, answer: Answer) -> None:
        self.peer = "unknown"
        self.close_code: int | None = None
        self._max_message_bytes = max_message_bytes
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._messages: deque[str | bytes | Lost] = deque()
        self._held_bytes = 0
        self._fragments: bytearray | None = None
        self._type = WSMsgType.TEXT  # of the message whose fragments these are
        self._is_closing = False
        self._is_lost = False
        self._is_paused = False
        self._arrived: asyncio.Future[None] | None = None
        self._doorbell = Doorbell(self._loop)
        self._push: Callable[[str | bytes], bool] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.peer = peer_of(transport.underlying_transport)
        self._answer(self, self.peer.rpartition(":")[0])

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is _CLOSE:
            self._on_close(frame)
        elif self._is_closing:
            pass  # what was on its way
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.fail(CloseCode.PROTOCOL_ERROR, "reserved bits are set, and no extension was agreed upon")
        elif kind in _DATA and frame.fin and self._fragments is None:
            self._on_message(kind, frame)
        elif kind is WSMsgType.PING:
            if self._writable.is_set():  # who reads no answers gets none (RFC 6455 5.5.3: the last is enough)
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind is not WSMsgType.PONG:
            self._on_fragment(kind, frame)

    def _on_message(self, kind: WSMsgType, frame: WSFrame) -> None:
        message: str | bytes
        if kind is not _TEXT:
            message = frame.get_payload_as_bytes()
        else:
            try:
                message = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError as error:
                self._put(NotUtf8Error(frame.get_payload_as_bytes(), error))
                return
        if self._push is None or not self._push(message):
            self._hold(message)

    def _on_fragment(self, kind: WSMsgType, frame: WSFrame) -> None:
        if (kind in _DATA) is (self._fragments is not None):
            what = "a message begins within another" if kind in _DATA else "a fragment of no message"
            self.fail(CloseCode.PROTOCOL_ERROR, what)
            return
        if self._fragments is None:
            self._fragments, self._type = bytearray(), kind
        self._fragments += frame.get_payload_as_memoryview()
        if len(self._fragments) > self._max_message_bytes:
            self.fail(CloseCode.TOO_BIG, f"message longer than {self._max_message_bytes} bytes")
        elif frame.fin:
            message, self._fragments = bytes(self._fragments), None
            try:
                self._hold(message if self._type is WSMsgType.BINARY else message.decode())
            except UnicodeDecodeError as error:
                self._put(NotUtf8Error(message, error))

    def _on_close(self, frame: WSFrame) -> None:
        code = int.from_bytes(frame.get_payload_as_bytes()[:2]) if frame.payload_size else NO_CODE
        if frame.payload_size and code not in CODES:
            self.fail(CloseCode.PROTOCOL_ERROR, f"close code {code}")
            return
        self.close_code = code
        if not self._is_closing:
            self._is_closing = True
            self._send_close(CloseCode.NORMAL if code == NO_CODE else code, "")
        self._transport.disconnect()
        self._wake()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        sent = transport.close_handshake and transport.close_handshake.sent
        if not self._is_closing and sent:  # by picows: a ping in vain, or a frame that it does not read
            broken: Lost = RemoteProtocolError(f"connection broken: {sent.reason}")
            if sent.code is picows.WSCloseCode.GOING_AWAY:
                broken = ConnectionResetError(sent.reason)
            self._put(broken)
        self._is_closing = self._is_lost = True
        self._push = None  # of the call, which holds this
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    @property
    def holds(self) -> bool:
        return bool(self._messages) or self._is_lost or self.close_code is not None

    def push_to(self, push: Callable[[str | bytes], bool]) -> Doorbell:
        self._push = push
        return self._doorbell

    async def receive(self) -> str | bytes | None:
        while not self._messages:
            if self.holds:  # its end
                return None
            self._arrived = self._loop.create_future()
            await self._arrived
        message = self._messages.popleft()
        if isinstance(message, Lost):
            raise message
        self._held_bytes -= len(message) + MESSAGE_BYTES
        if self._is_paused and self._held_bytes < HELD_BYTES_MAX // 2:
            self._is_paused = False
            self._transport.underlying_transport.resume_reading()
        return message

    async def send(self, message: bytes, *, binary: bool = False) -> None:
        await self._writable.wait()
        if self._is_closing:
            raise ConnectionResetError("the connection has ended")
        self._transport.send(WSMsgType.BINARY if binary else WSMsgType.TEXT, message)

    async def close(self, code: int, reason: str) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._resume_for_close()
            self._send_close(code, reason)
        await self._transport.wait_disconnected()

    def abort(self) -> None:
        self._transport.disconnect(graceful=False)

    def fail(self, code: int, what: str) -> None:
        """Close a connection that broke a rule, and say so to whoever receives."""
        self._put(RemoteProtocolError(f"connection broken: {what}"))
        self._is_closing = True
        self._fragments = None
        self._send_close(code, what)

    def _send_close(self, code: int, reason: str) -> None:
        """Send a close frame, to a peer that may have no time for its own."""
        self._transport.send_close(code, short_reason(reason).encode())  # type: ignore[arg-type]
        self._loop.call_later(CLOSE_TIMEOUT_S, partial(self._transport.disconnect, False))

    def _resume_for_close(self) -> None:
        """Read on, so that the peer's close frame is seen; what comes before it is passed over."""
        if self._is_paused:
            self._is_paused = False
            self._transport.underlying_transport.resume_reading()

    def _hold(self, message: str | bytes) -> None:
        self._held_bytes += len(message) + MESSAGE_BYTES
        if self._held_bytes > HELD_BYTES_MAX and not self._is_paused:
            self._is_paused = True
            self._transport.underlying_transport.pause_reading()
        self._put(message)

    def _put(self, message: str | bytes | Lost) -> None:
        self._messages.append(message)
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
        self._doorbell.ring()
