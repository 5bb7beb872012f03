"""ReconnectingLink: a client's connection that is opened again, with back-off, whenever it is lost."""

import asyncio
import contextlib
import logging
import os
import ssl as tls
from collections.abc import Callable
from typing import Any, Final

import aiohttp

from trunkline.errors import FormatError, LocalProtocolError, ProtocolError
from trunkline.net.client import connected
from trunkline.net.tls import client_context
from trunkline.relay.client_connection import ClientConnection, Happening
from trunkline.relay.jsonrpc import MESSAGE_BYTES_MAX, RelayError
from trunkline.relay.link import Link

__all__ = ["ReconnectingLink"]

logger: Final = logging.getLogger("trunkline.relay")

COMMAND_TIMEOUT_S: Final = 10.0
PING_INTERVAL_S: Final = 30.0
RECONNECT_MIN_S: Final = 1.0
RECONNECT_MAX_S: Final = 30.0
REJECTIONS_MAX: Final = 3  # of credentials that have never been right
CA_FILE: Final = "SIGNALWIRE_RELAY_CA_FILE"


class ReconnectingLink:
    """Stay connected to `url`.

    `connect` writes the request that authenticates a new connection. `told` gets what the server says of its
    own accord; `interrupted` is called when a connection is lost, `lost` when it could not be resumed. `ssl`
    is what is trusted, None for the system's authorities and the one that the environment names.
    """

    def __init__(
        self,
        url: str,
        connect: Callable[[ClientConnection], str],
        *,
        told: Callable[[Happening], None],
        interrupted: Callable[[RelayError], None],
        lost: Callable[[RelayError], None],
        ssl: tls.SSLContext | None,
    ) -> None:
        self.protocol = ""
        self._url = url
        self._connect = connect
        self._told = told
        self._interrupted = interrupted
        self._lost = lost
        self._ssl = ssl
        self._resumable = ("", "")  # protocol and authorization_state
        self._link: Link | None = None
        self._ready = asyncio.Event()
        self._drop = asyncio.Event()
        self._delay_s = RECONNECT_MIN_S
        self._authenticated_once = False

    async def stay_connected(self, first: "asyncio.Future[None] | None") -> None:
        """Connect again and again until cancelled; `first` is the first attempt's, whose failure is the end.

        Without `first`, credentials that were never right are tried three times, and all else for ever.
        """
        self._ready, self._drop = asyncio.Event(), asyncio.Event()  # of this event loop
        rejections = 0
        while True:
            try:
                await self._converse(first)
                rejections = 0
                logger.info("the connection was lost; the next attempt is in %g s", self._delay_s)
            except (OSError, ProtocolError, FormatError, RelayError) as error:
                if first is not None and not first.done():
                    first.set_exception(error)
                    return
                rejections += isinstance(error, RelayError) and error.code != -1  # which is a lost connection
                hopeless = isinstance(error, LocalProtocolError) or rejections >= REJECTIONS_MAX
                if hopeless and not self._authenticated_once:
                    raise
                logger.warning("%s; the next attempt is in %g s", error, self._delay_s)
            await asyncio.sleep(self._delay_s)
            self._delay_s = min(2 * self._delay_s, RECONNECT_MAX_S)

    async def execute(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a command and wait for its result; see RelayClient.execute."""
        link: Link | None = None
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                while link is None:  # lost again before we came to run
                    await self._ready.wait()
                    link = self._link
                return await link.ask(link.connection.request(method, params), method)
        except TimeoutError:
            if link is None:
                raise RelayError(-1, f"no connection within {COMMAND_TIMEOUT_S:g} s for {method}") from None
            if link is self._link:
                self._drop.set()
            raise RelayError(-1, f"{method} was not answered within {COMMAND_TIMEOUT_S:g} s") from None

    async def _converse(self, first: "asyncio.Future[None] | None") -> None:
        """Live through one connection: returns when it is lost, raises when it did not come about."""
        ssl = self._ssl or _context()
        async with connected(self._url, None, ssl, max_message_bytes=MESSAGE_BYTES_MAX) as socket:
            protocol, authorization_state = self._resumable
            connection = ClientConnection(protocol=protocol, authorization_state=authorization_state)
            link = Link(socket, connection, self._told, self._not_ready)
            reading = asyncio.create_task(link.read())
            try:
                await self._authenticate(link)
                if first is not None and not first.done():
                    first.set_result(None)
                await self._until_lost(reading)
            finally:
                await self._close(socket, link, reading)

    async def _authenticate(self, link: Link) -> None:
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await link.ask(self._connect(link.connection), "signalwire.connect")
        except TimeoutError:
            message = f"the server did not answer signalwire.connect within {COMMAND_TIMEOUT_S:g} s"
            raise TimeoutError(message) from None
        self._authenticated_once = True
        self._delay_s = RECONNECT_MIN_S
        before, self.protocol = self.protocol, link.connection.protocol
        if before and before != self.protocol:
            self._lost(RelayError(-1, "the server did not resume: the calls from before are lost"))
        self._link = link
        self._ready.set()
        logger.info("connected to %s", self._url)

    async def _until_lost(self, reading: "asyncio.Task[None]") -> None:
        self._drop.clear()
        dropping = asyncio.create_task(self._drop.wait())
        pinging = asyncio.create_task(self._ping())
        try:
            await asyncio.wait({reading, dropping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            dropping.cancel()
            pinging.cancel()
            await asyncio.gather(dropping, pinging, return_exceptions=True)

    def _not_ready(self) -> None:
        self._ready.clear()
        self._link = None

    async def _close(
        self, socket: aiohttp.ClientWebSocketResponse, link: Link, reading: "asyncio.Task[None]"
    ) -> None:
        self._resumable = (link.connection.protocol, link.connection.authorization_state)
        reading.cancel()  # what waits for an answer fails now, and not when the server has closed
        [ended] = await asyncio.gather(reading, return_exceptions=True)
        if isinstance(ended, Exception):
            logger.error("reading failed", exc_info=ended)
        if link.connection.authenticated:
            self._interrupted(RelayError(-1, "the connection was lost"))
        await socket.close()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            with contextlib.suppress(RelayError):
                await self.execute("signalwire.ping", {})


def _context() -> tls.SSLContext:
    """Trust the system's authorities, and the one that the environment names."""
    context = client_context()
    ca_file = os.environ.get(CA_FILE)
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except tls.SSLError as error:
            raise FormatError(f"{CA_FILE}: {ca_file} holds no certificate (PEM): {error}") from None
        except OSError as error:
            raise FormatError(f"{CA_FILE}: {ca_file}: {error.strerror}") from None
    return context
