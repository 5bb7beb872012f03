"""A switch behind all its doors, an endpoint for its streams, and RELAY clients."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.net.endpoints import Seen
from trunkline.net import Server, serve
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.stream import Start
from trunkline.switch import Call, SpeechSource, StreamChanged, Switch, SwitchEvent
from trunkline.switch.server import SwitchServer, serve_switch

PROJECT = "project-1"
TOKEN = "canary-token-1"  # noqa: S105
STREAM_TOKEN = "canary-token-2"  # noqa: S105
NUMBERS = {"from_number": "+15550100", "to_number": "+15550101"}
DEVICE = {"type": "phone", "params": NUMBERS}


class Doors:
    """What a test holds: the switch and its server, the endpoint that streams go to, and what both saw."""

    def __init__(self, switch: Switch, server: SwitchServer, endpoint: Server, seen: Seen) -> None:
        self.switch = switch
        self.server = server
        self.endpoint = endpoint
        self.seen = seen
        self.told: list[SwitchEvent] = []
        switch.subscribe(self.told.append)

    def place(self, context: str = "office", **options: Any) -> Call:
        return self.switch.place_call(SpeechSource(), context=context, **NUMBERS, **options)

    def stream_events(self) -> list[tuple[str, str]]:
        """What the switch has told of streams."""
        events = [event for event in self.told if isinstance(event, StreamChanged)]
        return [(event.stream.control_id, event.state) for event in events]

    def starts(self) -> list[Start]:
        """The start messages that came to the endpoint."""
        return [event for events in self.seen.events.values() for event in events if isinstance(event, Start)]

    def lose_connections(self) -> None:
        """Break every connection of RELAY, as a network would."""
        for link in self.server.door._links:
            link.abort()

    @asynccontextmanager
    async def raw(self, *contexts: str, **params: Any) -> AsyncIterator["RawClient"]:
        """Connect a client without a library, which authenticates."""
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"ws://{self.server.host}/", heartbeat=None) as socket,
        ):
            client = RawClient(socket)
            credentials = {"authentication": {"project": PROJECT, "token": TOKEN}}
            asked = credentials | {"contexts": contexts, "event_acks": True} | params
            client.connected = await client.ask("signalwire.connect", **asked)
            yield client


class RawClient:
    """Asks and listens; what came beside the answers is in `events`. It acknowledges while it listens."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.connected: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.pings = 0
        self._ids = itertools.count(1)

    async def send(self, method: str, **params: Any) -> int:
        request_id = next(self._ids)
        await self.socket.send_json({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return request_id

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask, and wait for the answer; gives its result or its error."""
        request_id = await self.send(method, **params)
        while True:
            message = await self.receive()
            if message.get("id") == request_id and "method" not in message:
                answer = message.get("result", message.get("error"))
                assert isinstance(answer, dict)
                return answer

    async def command(self, method: str, call: Call, **params: Any) -> dict[str, Any]:
        return await self.ask(method, node_id=call.node_id, call_id=call.id, **params)

    async def receive(self, *, acknowledge: bool = True) -> dict[str, Any]:
        """Take the next message; events go to `events`."""
        message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"{message.type.name} {message.data} {message.extra}")
        parsed = json.loads(message.data)
        assert isinstance(parsed, dict)
        if "method" in parsed:
            if parsed["method"] == "signalwire.event":
                self.events.append(parsed["params"])
            self.pings += parsed["method"] == "signalwire.ping"
            if acknowledge:
                await self.socket.send_json({"jsonrpc": "2.0", "id": parsed["id"], "result": {}})
        return parsed

    async def until(self, *last: str) -> list[str]:
        """Listen until an event of this kind came; gives the kinds of all events of calls."""
        while not (self.kinds() and self.kinds()[-1] in last):
            await self.receive()
        return self.kinds()

    async def until_closed(self, *, acknowledge: bool = True) -> str:
        """Listen until the connection has ended; gives how."""
        try:
            while True:
                await self.receive(acknowledge=acknowledge)
        except ConnectionError as error:
            return str(error)

    def kinds(self) -> list[str]:
        """Give the events of calls, such as "receive", "answered", "s1 finished"."""
        return [kind for event in self.events if (kind := _kind(event)) is not None]

    @property
    def authorization_state(self) -> str:
        """What it may resume with."""
        states = [event["params"]["authorization_state"] for event in self.events if _kind(event) is None]
        return str(states[-1])


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait for what nobody tells of."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def _kind(event: dict[str, Any]) -> str | None:
    params = event["params"]
    match event["event_type"]:
        case "calling.call.receive":
            return "receive"
        case "calling.call.state":
            return str(params["call_state"])
        case "calling.call.stream":
            return f"{params['control_id']} {params['state']}"
        case "calling.call.dial":
            return f"dial {params['dial_state']}"
    return None


class Clients:
    """Connects clients of a library, as its users do."""

    def __init__(self, library: Any, host: str) -> None:
        self.library = library
        self._host = host

    @asynccontextmanager
    async def client(self, *contexts: str, token: str = TOKEN) -> AsyncIterator[tuple[Any, Any]]:
        """Stay connected; gives the client and the queue of the calls that it receives."""
        relay = self.library.RelayClient(
            project=PROJECT, token=token, host=self._host, contexts=list(contexts)
        )
        calls: asyncio.Queue[Any] = asyncio.Queue()
        relay.on_call(calls.put)
        staying = None
        try:
            if self.library.__name__ == "signalwire.relay":  # its connect() alone does not connect again
                staying = asyncio.create_task(relay._run_forever())
                await eventually(lambda: relay.relay_protocol)
            else:
                await relay.connect()
            yield relay, calls
        finally:
            await relay.disconnect()
            if staying is not None:
                staying.cancel()
                await asyncio.gather(staying, return_exceptions=True)


@asynccontextmanager
async def doors(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *, bearer_token: str | None = None, **options: Any
) -> AsyncIterator[Doors]:
    """Serve a switch and an endpoint over TLS, with a certificate that the environment names."""
    certificate, key = self_signed(directory)
    monkeypatch.setenv("SIGNALWIRE_RELAY_CA_FILE", str(certificate))
    context = server_context(certificate, key)
    seen = Seen()
    async with (
        serve(seen, ssl=context, bearer_token=bearer_token) as endpoint,
        Switch(project_id=PROJECT, token=TOKEN, ssl=client_context(certificate)) as switch,
        serve_switch(switch, ssl=context, **options) as server,
    ):
        yield Doors(switch, server, endpoint, seen)
        await switch.close()


@asynccontextmanager
async def plain_doors(**options: Any) -> AsyncIterator[Doors]:
    """Serve both in the clear, for raw clients and a virtual clock."""
    seen = Seen()
    async with (
        serve(seen) as endpoint,
        Switch(project_id=PROJECT, token=TOKEN, insecure_loopback=True) as switch,
        serve_switch(switch, **options) as server,
    ):
        yield Doors(switch, server, endpoint, seen)
        await switch.close()
