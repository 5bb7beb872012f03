"""Link: a ClientConnection on a WebSocket, whose requests are awaited."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from aiohttp import WSMsgType

from trunkline.errors import RemoteProtocolError
from trunkline.relay.client_connection import ClientConnection, Happening, Refusal, Reply
from trunkline.relay.jsonrpc import Id, RelayError

__all__ = ["Link"]

logger: Final = logging.getLogger("trunkline.relay")


class Link:
    """One connected socket. `told` is called with everything that is no answer, in order; `ended` at the end.

    Methods and ids are logged, contents never: they hold tokens.
    """

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        connection: ClientConnection,
        told: Callable[[Happening], None],
        ended: Callable[[], None],
    ) -> None:
        self.connection = connection
        self._socket = socket
        self._told = told
        self._ended = ended
        self._waiting: dict[Id, asyncio.Future[dict[str, Any]]] = {}

    async def ask(self, request_id: Id, method: str) -> dict[str, Any]:
        """Send the request that the connection has just written, and wait for its answer."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        logger.debug("-> %s %s", method, request_id)
        try:
            await self.flush()
            return await answer
        finally:
            del self._waiting[request_id]
            self.connection.forget(request_id)

    async def flush(self) -> None:
        """Send what the connection has to send."""
        try:
            for message in self.connection.messages_to_send():
                await self._socket.send_frame(message, WSMsgType.TEXT)
        except (ConnectionError, aiohttp.ClientError) as error:
            logger.debug("sending failed: %s", error)  # the reader ends, and says so to everyone

    async def read(self) -> None:
        """Read until the connection ends; what waits for an answer then fails."""
        try:
            while True:
                message = await self._socket.receive()
                match message.type:
                    case WSMsgType.TEXT | WSMsgType.BINARY:
                        await self._receive(message.data)
                    case WSMsgType.PING:
                        await self._socket.pong(message.data)
                    case WSMsgType.PONG:
                        pass
                    case _:
                        return
        finally:
            self._ended()
            for request_id, answer in self._waiting.items():
                method = self.connection.pending.get(request_id, "a command")
                if not answer.done():
                    answer.set_exception(
                        RelayError(-1, f"the connection was lost before {method} was answered")
                    )

    async def _receive(self, message: str | bytes) -> None:
        try:
            happening = self.connection.receive(message)
        except RemoteProtocolError as error:
            logger.warning("the server sent what is not RELAY: %s", error)
            happening = None
        await self.flush()  # acknowledge before anybody acts on it
        match happening:
            case None:
                pass
            case Reply() | Refusal():
                logger.debug(
                    "<- %s of %s %s", type(happening).__name__, happening.method, happening.request_id
                )
                self._resolve(happening)
            case _:
                self._told(happening)

    def _resolve(self, answered: Reply | Refusal) -> None:
        answer = self._waiting.get(answered.request_id)
        if answer is None or answer.done():
            return
        if isinstance(answered, Reply):
            answer.set_result(answered.result)
        else:
            answer.set_exception(answered.error)
