"""serve_switch: the doors of a switch on one port: RELAY, the calling and the compatibility REST API."""

import asyncio
import logging
import os
import socket as sockets
import ssl as tls
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from trunkline.errors import FormatError
from trunkline.extras import needs_extra
from trunkline.net.runner import app_runner
from trunkline.net.targets import Targets
from trunkline.net.tls import is_loopback
from trunkline.switch.relay_door import OnClient, RelayDoor
from trunkline.switch.rest import rest_routes
from trunkline.switch.scripted_call import OpenSound
from trunkline.switch.sources import Source
from trunkline.switch.switch import Switch

with needs_extra("server"):
    from aiohttp import web

__all__ = ["SwitchServer", "serve_switch"]

SHUTDOWN_TIMEOUT_S: Final = 5.0
FIRST_BYTE_TIMEOUT_S: Final = 10.0
REQUEST_TIMEOUT_S: Final = 10.0  # how long a connection may be open without one
BACKLOG: Final = 128
TLS_HANDSHAKE: Final = 0x16  # RFC 8446 5.1; no HTTP method begins with it
WAITING_MAX: Final = 1000  # connections of which nothing has come

_log = logging.getLogger(__name__)


class SwitchServer:
    """The listening doors; made by `serve_switch`. `host` is HOST:PORT, as SDKs take it."""

    def __init__(self, host: str, door: RelayDoor) -> None:
        self.host = host
        self.door = door


@asynccontextmanager
async def serve_switch(
    switch: Switch,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ssl: tls.SSLContext | None = None,
    dialled_source: Callable[[], Source] | None = None,
    answer_after_s: float = 1.0,
    on_client: OnClient | None = None,
    targets: Targets | None = None,
    document_ssl: tls.SSLContext | None = None,
    open_sound: OpenSound | None = None,
) -> AsyncIterator[SwitchServer]:
    """Listen: RELAY at `/`, REST below `/api/` and where compatibility clients look for it.

    With `ssl`, a server's context, this is TLS; on a loopback host plain HTTP is taken on the same port, too,
    since signalwire-sdk speaks TLS to a loopback host over RELAY and plain HTTP over REST. Without, all is in
    the clear, which is refused (FormatError) but on a loopback host. Port 0 takes a free one.

    Calls that are dialled are answered as RelayDoor says. `targets`, `document_ssl` and `open_sound` are
    `rest_routes`' for documents. On leaving, clients are told and connections closed; hang the calls up
    before (`switch.close`), and they see how their calls ended. Raises OSError when the port is taken.

        async with Switch(project_id="p", token="t") as switch, serve_switch(switch, ssl=context) as server:
            switch.place_call(SpeechSource(), from_number="+15550001", to_number="+15550002")
            await asyncio.Event().wait()
    """
    if ssl is None and not is_loopback(host):
        raise FormatError(f"listening on {host} without TLS: takes a loopback host, such as 127.0.0.1")
    if not 0 <= port <= 65_535:
        raise FormatError(f"port {port}: takes 0 to 65535")
    door = RelayDoor(
        switch, dialled_source=dialled_source, answer_after_s=answer_after_s, on_client=on_client
    )
    app = web.Application()
    app.router.add_get("/", door.handle)
    app.add_routes(
        rest_routes(
            switch, dial_source=dialled_source, targets=targets, ssl=document_ssl, open_sound=open_sound
        )
    )
    runner = app_runner(app, shutdown_timeout=SHUTDOWN_TIMEOUT_S, keepalive_timeout=REQUEST_TIMEOUT_S)
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("aiohttp made no server")
    try:
        listener = await _Listener.open(runner.server, host, port, ssl, also_plain=is_loopback(host))
        try:
            shown = f"[{host}]" if ":" in host else host
            yield SwitchServer(f"{shown}:{listener.port}", door)
        finally:
            await listener.close()
    finally:
        await door.close()
        await runner.cleanup()


class _Listener:
    """Accepts connections, and looks at their first byte: TLS or plain."""

    def __init__(
        self,
        server: web.Server,
        listening: list[sockets.socket],
        ssl: tls.SSLContext | None,
        also_plain: bool,
    ) -> None:
        self.port: int = listening[0].getsockname()[1]
        self._server = server
        self._ssl = ssl
        self._also_plain = also_plain
        self._listening = listening
        self._waiting: set[asyncio.Task[None]] = set()
        self._accepting = [asyncio.create_task(self._accept(socket)) for socket in listening]

    @classmethod
    async def open(
        cls, server: web.Server, host: str, port: int, ssl: tls.SSLContext | None, *, also_plain: bool
    ) -> "_Listener":
        """Bind every address of `host`, all to the same port."""
        loop = asyncio.get_running_loop()
        listening: list[sockets.socket] = []
        try:
            found = await loop.getaddrinfo(host, port, type=sockets.SOCK_STREAM, flags=sockets.AI_PASSIVE)
            for family, _, _, _, address in dict.fromkeys(found):
                if listening:
                    address = (address[0], listening[0].getsockname()[1], *address[2:])
                socket = sockets.create_server(address, family=family, backlog=BACKLOG)
                socket.setblocking(False)
                listening.append(socket)
        except OSError as error:
            for socket in listening:
                socket.close()
            # A resolver's numbers are negative, and no operating system's.
            what = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {what}") from error
        return cls(server, listening, ssl, also_plain)

    async def close(self) -> None:
        """Accept no more."""
        tasks = [*self._accepting, *self._waiting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for socket in self._listening:
            socket.close()

    async def _accept(self, listening: sockets.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                socket, address = await loop.sock_accept(listening)
            except OSError:  # the peer has gone, or there are no more descriptors
                await asyncio.sleep(0.1)
                continue
            if len(self._waiting) >= WAITING_MAX:
                socket.close()
                continue
            task = asyncio.create_task(self._greet(socket, address[0]))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _greet(self, socket: sockets.socket, peer: str) -> None:
        """Hand a connection to aiohttp, as what it is."""
        loop = asyncio.get_running_loop()
        ssl, is_greeted = self._ssl, False
        try:
            async with asyncio.timeout(FIRST_BYTE_TIMEOUT_S):
                if ssl is not None and self._also_plain and await _first_byte(socket) != TLS_HANDSHAKE:
                    ssl = None
                is_greeted = True
                await loop.connect_accepted_socket(self._server, socket, ssl=ssl)
        except OSError:
            if is_greeted and ssl is not None:
                _log.warning("%s: TLS failed: its client has to trust this switch's certificate", peer)
            socket.close()
        except BaseException:
            socket.close()
            raise


async def _first_byte(socket: sockets.socket) -> int:
    """Wait for the first byte, and leave it there."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(socket, ready)
    try:
        await readable
    finally:
        loop.remove_reader(socket)
    with suppress(BlockingIOError):
        if first := socket.recv(1, sockets.MSG_PEEK):
            return first[0]
    raise ConnectionResetError("closed before it said anything")
