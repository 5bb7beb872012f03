"""RelayDoor: the calls of a switch, controlled over RELAY by the clients that authenticate."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from trunkline.errors import LocalProtocolError, StreamStartError, TrunklineError
from trunkline.extras import needs_extra
from trunkline.net.stream_socket import peer_of
from trunkline.relay import (
    Answer,
    CallEvents,
    Command,
    Connect,
    Dial,
    End,
    Event,
    Receive,
    ServerConnection,
    Stream,
    StreamStop,
    Unreceive,
)
from trunkline.relay.jsonrpc import MESSAGE_BYTES_MAX
from trunkline.switch.call import Call
from trunkline.switch.events import CallChanged, CallState, StreamChanged, StreamState, SwitchEvent
from trunkline.switch.relay_client import Client, Link
from trunkline.switch.sources import Source
from trunkline.switch.stream import Stream as CallStream
from trunkline.switch.switch import Switch

with needs_extra("server"):
    from aiohttp import web

__all__ = ["Client", "ClientChange", "RelayDoor"]

RESUME_S: Final = 300.0  # how long what belongs to a client that has gone is kept for it
CLOSE_TIMEOUT_S: Final = 2.0
DIALLED_MAX: Final = 1000  # calls at a time

CallCommand = Answer | End | Stream | StreamStop
ClientChange = Literal["connected", "resumed", "contexts", "lost"]
OnClient = Callable[[Client, ClientChange], None]

_log = logging.getLogger(__name__)


@dataclass
class _Line:
    """A call, its events, and whose call it is: nobody's until somebody wants its context."""

    call: Call
    events: CallEvents
    client: Client | None = None

    def tell(self, event: Event) -> bool:
        return self.client is None or self.client.tell(event)


class RelayDoor:
    """Serve RELAY: give `handle` to aiohttp as the handler of GET /, and `close` at the end.

    A call that comes in belongs to one client, of those that want its context the one whose last call is the
    longest ago; a call that nobody wants waits, ringing, for the first who does. Its events go to that
    client only, and only that may command it. What becomes of a client that has gone is kept for 300 s, in
    which it can resume; after that, its calls go on without it, and one that still rings goes to another.

    A call that a client dials is answered after `answer_after_s` seconds by what `dialled_source` makes, None
    for silence. `on_client` is told of clients: "connected", "resumed", "contexts" (that changed), "lost".
    """

    def __init__(
        self,
        switch: Switch,
        *,
        dialled_source: Callable[[], Source] | None = None,
        answer_after_s: float = 1.0,
        on_client: OnClient | None = None,
    ) -> None:
        self._switch = switch
        self._dialled_source = dialled_source
        self._answer_after_s = answer_after_s
        self._on_client = on_client
        self._key = secrets.token_bytes(32)
        self._links: set[Link] = set()
        self._clients: dict[str, Client] = {}
        self._lines: dict[str, _Line] = {}
        self._starting: dict[int, tuple[Link, Stream]] = {}  # by the id of the request
        self._tasks: set[asyncio.Task[None]] = set()
        self._n_offered = 0
        self._closed = False
        for call in switch.calls.values():
            self._adopt(call)
        self._unsubscribe = switch.subscribe(self._on_event)

    @property
    def clients(self) -> tuple[Client, ...]:
        """The clients that are connected or may come back."""
        return tuple(self._clients.values())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection, to its end."""
        socket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S, compress=False, max_msg_size=MESSAGE_BYTES_MAX + 1
        )
        if self._closed:
            return web.Response(status=503, text="the switch closes\n")
        if not socket.can_prepare(request):
            return web.Response(
                status=426, headers={"Upgrade": "websocket"}, text="RELAY is a WebSocket here\n"
            )
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the peer has gone")
        await socket.prepare(request)
        connection = ServerConnection(
            {self._switch.project_id: self._switch.token},
            key=self._key,
            space_id=self._switch.space_id,
            insecure_loopback=self._switch.insecure_loopback,
        )
        link = Link(socket, transport, connection, peer_of(transport))
        self._links.add(link)
        try:
            await link.run(self._carry_out)
        finally:
            self._links.discard(link)
            self._lose(link)
        return socket

    async def close(self) -> None:
        """Close every connection; the calls go on. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._unsubscribe()
        for client in self._clients.values():
            if client.forgetting is not None:
                client.forgetting.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(link.close() for link in self._links), return_exceptions=True)

    # Clients

    def _carry_out(self, link: Link, command: Command) -> None:
        match command:
            case Connect():
                self._connect(link, command)
            case Receive() | Unreceive():
                if link.client is not None:  # it has authenticated
                    self._tell_of(link.client, "contexts")
                self._offer_all()
            case Dial():
                self._start(self._answered(link, command, self._dial(link, command)))
            case Answer() | End() | Stream() | StreamStop():
                self._start(self._answered(link, command, self._command(link, command)))

    def _connect(self, link: Link, command: Connect) -> None:
        client = self._clients.setdefault(command.protocol, Client(command.protocol))
        client.agent = command.agent
        client.attach(link)
        self._tell_of(client, "resumed" if command.resumed else "connected")
        self._offer_all()

    def _lose(self, link: Link) -> None:
        client = link.client
        if client is None or not client.detach(link) or self._closed:
            return
        if client.is_behind or any(line.client is client for line in self._lines.values()):
            later = asyncio.get_running_loop().call_later
            client.forgetting = later(RESUME_S, self._forget, client)
        else:  # one that resumes is as good as new
            del self._clients[client.protocol]
        self._tell_of(client, "lost")

    def _forget(self, client: Client) -> None:
        self._clients.pop(client.protocol, None)
        for line in self._lines.values():
            if line.client is client:
                line.client = None
        self._offer_all()

    def _tell_of(self, client: Client, change: ClientChange) -> None:
        if self._on_client is not None:
            self._on_client(client, change)

    # Calls, as the switch tells of them

    def _offer_all(self) -> None:
        for line in self._lines.values():
            if line.client is None:
                self._offer(line)

    def _offer(self, line: _Line) -> None:
        """Give a call that rings to a client that wants its context, if there is one."""
        call = line.call
        if call.direction != "inbound" or line.events.state not in ("created", "ringing"):
            return
        wanting = [client for client in self._clients.values() if call.context in client.contexts]
        if wanting:
            line.client = min(wanting, key=lambda client: client.last_call)
            self._n_offered += 1
            line.client.last_call = self._n_offered
            line.tell(line.events.receive(time.time()))

    def _adopt(self, call: Call) -> None:
        """Take a call that was there before this door."""
        if call.state in ("created", "ringing") and call.direction == "inbound":
            line = self._lines[call.id] = _Line(call, self._events_of(call))
            for _ in self._state_events(line, call.state):
                pass
            for stream in call.streams.values():
                if stream.state == "streaming":
                    line.events.open_stream(stream.request)
                    line.events.streaming(stream.control_id, time.time())

    def _on_event(self, event: SwitchEvent) -> None:
        line = self._lines.get(event.call.id)
        match event:
            case CallChanged(call, "created") if call.direction == "inbound":
                line = self._lines[call.id] = _Line(call, self._events_of(call))
                self._offer(line)
            case CallChanged(call, state) if line is not None:
                self._tell(line, self._state_events(line, state))
                if state == "ended":
                    del self._lines[call.id]
            case StreamChanged(_, stream, state) if line is not None:
                self._tell(line, self._stream_events(line, stream, state))

    def _tell(self, line: _Line, events: Iterator[Event]) -> None:
        for event in events:
            if not line.tell(event) and line.client is not None:
                _log.warning("RELAY client %s: too much waits for it: forgotten", line.client.peer)
                self._forget(line.client)

    def _state_events(self, line: _Line, state: CallState) -> Iterator[Event]:
        call, events, now_s = line.call, line.events, time.time()
        dialled = call.direction == "outbound"
        match state:
            case "ringing":
                yield events.ringing(now_s)
            case "answered":
                yield events.answered(now_s)
                if dialled:
                    yield events.dial("answered", now_s)
            case "ending":
                yield events.ending(call.end_reason or "hangup", now_s)
            case "ended":
                if dialled and call.answered_s is None:
                    yield events.dial("failed", now_s)
                yield events.ended(call.end_reason or "hangup", now_s)

    def _stream_events(self, line: _Line, stream: CallStream, state: StreamState) -> Iterator[Event]:
        events, now_s = line.events, time.time()
        if state == "streaming":
            events.open_stream(stream.request)
            link, command = self._starting.pop(id(stream.request), (None, None))
            if link is not None and command is not None:  # its answer comes before its events
                link.connection.reply(command)
                link.wake()
            yield events.streaming(stream.control_id, now_s)
        else:
            yield events.finished(stream.control_id, now_s)

    def _events_of(self, call: Call) -> CallEvents:
        return CallEvents(
            call_id=call.id,
            node_id=call.node_id,
            project_id=call.project_id,
            space_id=self._switch.space_id,
            segment_id=call.segment_id,
            context=call.context,
            tag=call.tag,
            direction=call.direction,
            device=_phone(call.from_number, call.to_number),
        )

    # Commands

    async def _answered(self, link: Link, command: Command, work: Coroutine[Any, Any, None]) -> None:
        """Carry a command out, and answer it if that has not."""
        code, message = 500, "internal error"
        try:
            await work
        except _RefusedError as error:
            code, message = error.code, str(error)
        except Exception:
            _log.exception("RELAY command %s failed", type(command).__name__)
        if command in link.connection.unanswered:
            link.connection.refuse(command, code, message)
        link.wake()

    async def _command(self, link: Link, command: CallCommand) -> None:
        line = self._lines.get(command.call_id)
        if line is None or line.call.state in ("ending", "ended"):
            raise _RefusedError(404, "there is no such call, or it has ended")
        if line.client is not link.client:
            raise _RefusedError(403, "the call is not this client's")
        match command:
            case Answer():
                try:
                    await line.call.answer()
                except LocalProtocolError as error:  # it is being hung up
                    raise _RefusedError(410, str(error)) from error
                link.connection.reply(command)
            case End():
                link.connection.reply(command)
                link.wake()
                await line.call.hangup(command.reason)
            case Stream():
                await self._stream(link, command, line.call)
            case StreamStop():
                stream = line.call.streams.get(command.control_id)
                if stream is None:
                    raise _RefusedError(404, "the call has no such stream")
                link.connection.reply(command)
                link.wake()
                await stream.stop()

    async def _stream(self, link: Link, command: Stream, call: Call) -> None:
        self._starting[id(command.request)] = (link, command)
        try:
            await call.start_stream(command.request)
        except StreamStartError as error:
            raise _RefusedError(422, f"{error.reason}: {error}") from error
        finally:
            self._starting.pop(id(command.request), None)

    async def _dial(self, link: Link, command: Dial) -> None:
        """Place the call to the first device, of which everyone answers."""
        device = command.devices[0][0]
        numbers = {name: device.params.get(name) for name in ("from_number", "to_number")}
        if device.type != "phone":
            raise _RefusedError(422, f"device of type {device.type[:64]!r}: takes phone")
        if not all(isinstance(number, str) and 0 < len(number) <= 256 for number in numbers.values()):
            raise _RefusedError(
                422, "from_number and to_number: take a string of at most 256 characters each"
            )
        if sum(line.call.direction == "outbound" for line in self._lines.values()) >= DIALLED_MAX:
            raise _RefusedError(503, f"{DIALLED_MAX} calls that were dialled are not over")
        try:
            call = self._switch.place_call(
                None if self._dialled_source is None else self._dialled_source(),
                from_number=str(numbers["from_number"]),
                to_number=str(numbers["to_number"]),
                tag=command.tag,
                direction="outbound",
            )
        except (TrunklineError, OSError) as error:  # the switch closes, or who answers cannot be made
            raise _RefusedError(503, f"the call cannot be placed: {error}") from error
        link.connection.reply(command, message="Dialing")
        line = self._lines[call.id] = _Line(call, self._events_of(call), link.client)
        now_s = time.time()
        self._tell(line, iter([line.events.created(now_s), line.events.dial("dialing", now_s)]))
        self._tell(line, self._state_events(line, "ringing"))
        link.wake()
        if await _ended_within(call, self._answer_after_s):
            return
        with suppress(LocalProtocolError):  # it is being hung up
            await call.answer()
        if command.max_duration is not None and not await _ended_within(call, 60 * command.max_duration):
            await call.hangup()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _RefusedError(TrunklineError):
    """Refuse a command with a code as in HTTP; SDKs take 404 and 410 for a call that is gone."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _phone(from_number: str, to_number: str) -> dict[str, Any]:
    return {"type": "phone", "params": {"from_number": from_number, "to_number": to_number}}


async def _ended_within(call: Call, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await call.wait_for_ended()
    except TimeoutError:
        return False
    return True
