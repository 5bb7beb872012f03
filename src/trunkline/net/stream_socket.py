"""StreamSocket: what a call needs of its WebSocket, whatever library that is of."""

import asyncio
from enum import IntEnum
from typing import Final, Protocol

from trunkline.errors import RemoteProtocolError

__all__ = ["CLOSE_TIMEOUT_S", "CloseCode", "NotUtf8Error", "StreamSocket", "peer_of", "short_reason"]

REASON_BYTES_MAX: Final = 123  # RFC 6455 5.5: a control frame holds 125 bytes, two are the code
CLOSE_TIMEOUT_S: Final = 2.0  # how long a peer may take to answer our close frame


class CloseCode(IntEnum):
    """Why we close a stream (RFC 6455 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002  # RemoteProtocolError
    UNSUPPORTED = 1003  # a binary message, a codec that we do not decode, or a rate that no frame fits
    INVALID_PAYLOAD = 1007  # PayloadError, text that is not UTF-8
    POLICY = 1008  # no start message in time
    TOO_BIG = 1009  # a message
    INTERNAL_ERROR = 1011  # the handler raised
    TRY_AGAIN_LATER = 1013  # a limit that a library could not hold before the upgrade


class StreamSocket(Protocol):
    """An upgraded WebSocket.

    `receive` gives text as str and a binary message as bytes; None once the connection has ended, when
    `close_code` is what the peer closed with, or None. A peer that breaks WebSocket's rules or the limit of a
    message is a RemoteProtocolError, once, and the socket has closed the connection; NotUtf8Error is for the
    caller to close. Waiting for it may be cancelled, and loses no message. While nobody receives, a bounded
    number of messages is held, and the peer has to wait.

    `send` waits while the peer takes nothing, and raises ConnectionError once the connection has ended.
    `close` sends a close frame and waits for the peer's; `abort` waits for nothing.
    """

    @property
    def peer(self) -> str: ...

    @property
    def close_code(self) -> int | None: ...

    async def receive(self) -> str | bytes | None: ...

    async def send(self, message: bytes, *, binary: bool = False) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...

    def abort(self) -> None: ...


class NotUtf8Error(RemoteProtocolError):
    """Tell of a text message that is not UTF-8; `data` is what came."""

    def __init__(self, data: bytes, error: UnicodeDecodeError) -> None:
        super().__init__(f"message is not UTF-8: {error}")
        self.data = data


def peer_of(transport: asyncio.BaseTransport | None) -> str:
    """Name the other end of a connection: HOST:PORT, "unknown" once it has gone."""
    address = None if transport is None else transport.get_extra_info("peername")
    return f"{address[0]}:{address[1]}" if address else "unknown"


def short_reason(reason: str) -> str:
    """Cut a close reason to what a close frame holds, between two characters."""
    return reason.encode("utf-8", "backslashreplace")[:REASON_BYTES_MAX].decode("utf-8", "ignore")
