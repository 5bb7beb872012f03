"""The clients of a switch's RELAY door: their connections, and what is kept for one that comes back."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from trunkline.extras import needs_extra
from trunkline.relay import Command, Event, ServerConnection

with needs_extra("server"):
    from aiohttp import WSMsgType, web

__all__ = ["Client", "Link"]

EVENTS_MAX: Final = 1000  # that wait for a client that has gone
PING_INTERVAL_S: Final = 10.0  # the Python SDK doubts a server that is silent for 15 s
SILENCE_MAX_S: Final = 30.0  # of a client that has authenticated
CONNECT_TIMEOUT_S: Final = 10.0  # how long it may take for that
REFUSALS_MAX: Final = 3  # messages of one that has not
FLUSH_TIMEOUT_S: Final = 2.0
MESSAGES_A_TURN: Final = 16  # that come in, before the calls have their turn

_log = logging.getLogger(__name__)


class Link:
    """One connection: a socket, its RELAY, and when something last came from it."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        connection: ServerConnection,
        peer: str,
    ) -> None:
        self.connection = connection
        self.peer = peer
        self.client: Client | None = None
        self._socket = socket
        self._transport = transport
        self._now = asyncio.get_running_loop().time
        self._opened_s = self._heard_s = self._now()
        self._sending = asyncio.Lock()
        self._wake = asyncio.Event()
        self._heard = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._is_closing = False
        self._closed = asyncio.Event()

    def wake(self) -> None:
        """Have sent what the connection has written."""
        self._wake.set()

    def abort(self) -> None:
        """Drop the connection, whatever the client does."""
        self._transport.abort()

    async def close(self) -> None:
        """Tell the client that the switch closes, and close.

        It has 2 s to acknowledge what it was told, then 2 s to close: the Python SDK loses what it received
        if it cannot acknowledge that any more, and a connection that ends with something unread is reset.
        """
        self._is_closing = True
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await self._flush()
                while self.connection.unacknowledged:
                    self._heard.clear()
                    await self._heard.wait()
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                self.connection.disconnect(restart=True)
                await self._flush()
                if self._reading is not None:  # aiohttp waits for the client only where nobody reads
                    self._reading.cancel()
                    await asyncio.wait({self._reading})
                await self._socket.close(code=1001, message=b"the switch closes")
        self.abort()
        self._closed.set()

    async def run(self, carry_out: Callable[["Link", Command], None]) -> None:
        """Read commands, send what is to be sent, and ping, until the connection has ended."""
        self._reading = asyncio.create_task(self._read(carry_out))
        tasks = [self._reading, asyncio.create_task(self._write()), asyncio.create_task(self._watch())]
        try:
            await asyncio.wait({self._reading})
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        error = None if self._reading.cancelled() else self._reading.exception()
        if error is not None and not isinstance(error, ConnectionError):
            raise error
        if self._is_closing:
            await self._closed.wait()  # aiohttp ends the connection when its handler returns

    async def _read(self, carry_out: Callable[["Link", Command], None]) -> None:
        n_messages = 0
        async for message in self._socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            self._heard_s = self._now()
            n_messages += 1
            command = self.connection.receive(message.data, time.time())
            self._heard.set()
            if command is not None:
                carry_out(self, command)
            await self._flush()  # who does not read what it is sent, is not read either
            if not self.connection.authenticated:
                if n_messages == 1:
                    _log.warning("%s: refused over RELAY: the project or its token is wrong", self.peer)
                if n_messages == REFUSALS_MAX:
                    await self._socket.close(code=1008, message=b"no right credentials")
                    return
            if n_messages % MESSAGES_A_TURN == 0:
                await asyncio.sleep(0)  # aiohttp does not suspend while it has messages

    async def _write(self) -> None:
        with suppress(ConnectionError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._flush()

    async def _watch(self) -> None:
        """Ping, and drop a client of which nothing comes."""
        ping_s = self._opened_s + PING_INTERVAL_S
        while True:
            wait_s = min(ping_s, self._heard_s + SILENCE_MAX_S) - self._now()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            ping_s += PING_INTERVAL_S
            if not self.connection.authenticated and self._now() - self._opened_s >= CONNECT_TIMEOUT_S:
                _log.warning("%s: not authenticated within %g s: dropped", self.peer, CONNECT_TIMEOUT_S)
                self.abort()
                return
            silent_s = self._now() - self._heard_s
            if silent_s >= SILENCE_MAX_S:
                _log.warning("%s: silent for %.0f s: dropped", self.peer, silent_s)
                self.abort()
                return
            if self.connection.authenticated:
                self.connection.ping(time.time())
                self.wake()

    async def _flush(self) -> None:
        async with self._sending:
            for message in self.connection.messages_to_send():
                await self._socket.send_frame(message, WSMsgType.TEXT)


class Client:
    """A client that has authenticated, over all its connections; made by RelayDoor.

    `protocol` names it, `agent` and `peer` say who it is. While it has no connection (`connected` is false),
    the events of its calls are kept, together with those that it had not acknowledged.
    """

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.agent = ""
        self.peer = ""
        self.last_call = 0  # the number of the last call that it was offered
        self.forgetting: asyncio.TimerHandle | None = None
        self._link: Link | None = None
        self._events: deque[Event] = deque()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._link is not None

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts whose calls it can be given now."""
        return () if self._link is None else self._link.connection.contexts

    @property
    def is_behind(self) -> bool:
        """Whether events wait for it."""
        return bool(self._events)

    def tell(self, event: Event) -> bool:
        """Send an event, or keep it; False when it can keep no more."""
        if self._link is not None:
            self._link.connection.send_event(event)
            self._link.wake()
        elif len(self._events) >= EVENTS_MAX:
            return False
        else:
            self._events.append(event)
        return True

    def attach(self, link: Link) -> None:
        """Take a new connection in place of the old one, and send what that may not have brought."""
        if self._link is not None:
            old = self._link
            self.detach(old)
            old.abort()
        if self.forgetting is not None:
            self.forgetting.cancel()
            self.forgetting = None
        self._link, link.client, self.peer = link, self, link.peer
        kept, self._events = self._events, deque()
        for event in kept:
            self.tell(event)

    def detach(self, link: Link) -> bool:
        """Note that a connection has ended; False when it is not the present one."""
        if self._link is not link:
            return False
        self._link = None
        self._events.extend(link.connection.unacknowledged_events)
        return True
