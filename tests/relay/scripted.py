"""An exchange as small as the tests need: a ServerConnection on an aiohttp socket, over TLS on loopback."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from trunkline.net.tls import self_signed, server_context
from trunkline.relay import (
    Answer,
    CallEvents,
    Command,
    Connect,
    Dial,
    End,
    Event,
    ServerConnection,
    Stream,
    StreamStop,
)
from trunkline.relay.jsonrpc import MESSAGE_BYTES_MAX

PROJECT, TOKEN = "project-1", "canary-token-1"
KEY = b"a key of the test server"
DEVICE = {"type": "phone", "params": {"from_number": "+15550100", "to_number": "+15550101"}}


class Peer:
    """One connected client."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.connection = ServerConnection({PROJECT: TOKEN}, key=KEY)

    async def flush(self) -> None:
        for message in self.connection.messages_to_send():
            await self.socket.send_frame(message, WSMsgType.TEXT)

    async def tell(self, *events: Event) -> None:
        for event in events:
            self.connection.send_event(event)
        await self.flush()


class Exchange:
    """Carries every command out at once; `commands` came, `refusals` are answers to give instead."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.refusals: dict[type[Command], tuple[int, str]] = {}
        self.silent = False  # take commands, and answer none
        self.closes_at_once = False
        self.peers: list[Peer] = []
        self.calls: dict[str, CallEvents] = {}
        self.port = 0
        self.server: asyncio.Server | None = None
        self._changed = asyncio.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def peer(self) -> Peer:
        return self.peers[-1]

    async def until_connected(self, n_times: int = 1) -> None:
        await self._until(lambda: sum(isinstance(command, Connect) for command in self.commands) >= n_times)

    async def until(self, n_commands: int) -> None:
        await self._until(lambda: len(self.commands) >= n_commands)

    async def until_acknowledged(self) -> None:
        await self._until(lambda: not self.peer.connection.unacknowledged)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Take no more connections."""
        assert self.server is not None
        self.server.close()

    async def call_in(self, call_id: str = "call-1") -> CallEvents:
        events = self.calls[call_id] = CallEvents(
            call_id=call_id, node_id="node-1", project_id=PROJECT, context="office", device=DEVICE
        )
        await self.peer.tell(events.receive(time.time()))
        return events

    async def end(self, events: CallEvents, reason: str = "hangup") -> None:
        now_s = time.time()
        told = [events.ending(reason, now_s), *(events.finished(live, now_s) for live in events.live_streams)]
        await self.peer.tell(*told, events.ended(reason, now_s))

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX)
        await socket.prepare(request)
        peer = Peer(socket)
        self.peers.append(peer)
        if self.closes_at_once:
            return socket
        async for message in socket:
            command = peer.connection.receive(message.data, time.time())
            await peer.flush()
            if command is not None:
                self.commands.append(command)
                await self._carry_out(peer, command)
                await peer.flush()
            self._changed.set()
        return socket

    async def _carry_out(self, peer: Peer, command: Command) -> None:
        if self.silent or command not in peer.connection.unanswered:
            return
        if type(command) in self.refusals:
            peer.connection.refuse(command, *self.refusals[type(command)])
            return
        now_s = time.time()
        match command:
            case Answer():
                peer.connection.reply(command)
                await peer.tell(self.calls[command.call_id].answered(now_s))
            case Stream():
                events = self.calls[command.call_id]
                events.open_stream(command.request)
                peer.connection.reply(command)
                await peer.tell(events.streaming(command.request.control_id, now_s))
            case StreamStop():
                peer.connection.reply(command)
                await peer.tell(self.calls[command.call_id].finished(command.control_id, now_s))
            case End():
                peer.connection.reply(command)
                await self.end(self.calls[command.call_id], command.reason)
            case Dial():
                peer.connection.reply(command, message="Dialing")
                await peer.tell(*self._dialled(command, now_s))

    def _dialled(self, command: Dial, now_s: float) -> Iterator[Event]:
        device = command.devices[0][0]
        events = self.calls["call-out"] = CallEvents(
            call_id="call-out",
            node_id="node-1",
            project_id=PROJECT,
            tag=command.tag,
            direction="outbound",
            device={"type": device.type, "params": device.params},
        )
        yield events.created(now_s)
        yield events.ringing(now_s)
        if device.params["to_number"] == "+15550199":
            yield events.dial("failed", now_s)
            yield events.ended("busy", now_s)
        else:
            yield events.answered(now_s)
            yield events.dial("answered", now_s)


@asynccontextmanager
async def exchange(directory: Path, monkeypatch: Any, port: int = 0) -> AsyncIterator[Exchange]:
    """Serve an exchange whose CA the environment names."""
    certificate, key = self_signed(directory)
    monkeypatch.setenv("SIGNALWIRE_RELAY_CA_FILE", str(certificate))
    serving = Exchange()
    application = web.Application()
    application.router.add_get("/", serving.serve)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=server_context(certificate, key))
        await site.start()
        assert isinstance(site._server, asyncio.Server)
        serving.server = site._server
        serving.port = site._server.sockets[0].getsockname()[1]
        yield serving
    finally:
        for peer in serving.peers:
            await peer.socket.close()
        await runner.cleanup()
