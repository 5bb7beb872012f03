"""RelayClient: calls controlled over one WebSocket, which is opened again when it is lost."""

import asyncio
import contextlib
import logging
import os
import ssl as tls
from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

from trunkline.errors import FormatError, LocalProtocolError
from trunkline.extras import needs_extra
from trunkline.relay.call import Call, Tasks, outcome
from trunkline.relay.client_connection import Happening
from trunkline.relay.events import CallDialEvent, CallReceiveEvent, CallStateEvent, Event
from trunkline.relay.jsonrpc import RelayError

with needs_extra("server"):
    from trunkline.relay.reconnecting import ReconnectingLink

__all__ = ["RelayClient"]

logger: Final = logging.getLogger("trunkline.relay")

DEFAULT_HOST: Final = "relay.signalwire.com"
DIAL_TIMEOUT_S: Final = 120.0
ACTIVE_CALLS_MAX: Final = 1000

CallHandler = Callable[[Call], Coroutine[Any, Any, None]]


class RelayClient:
    """Control calls of a platform, or of a local switch.

    `project` and `token`, or `jwt_token`, are the credentials, `host` is HOST[:PORT], always over TLS; what
    is not given is read from SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN, SIGNALWIRE_JWT_TOKEN and
    SIGNALWIRE_SPACE. `contexts` are those whose calls come in, at most `max_active_calls` at once (else
    RELAY_MAX_ACTIVE_CALLS, else 1,000). `ssl` is what is trusted at the other end, None for the system's
    authorities and the one (PEM) that SIGNALWIRE_RELAY_CA_FILE names.

    Raises FormatError for a credential that is missing or a host that is none.
    """

    def __init__(
        self,
        project: str | None = None,
        token: str | None = None,
        jwt_token: str | None = None,
        host: str | None = None,
        contexts: Iterable[str] | None = None,
        max_active_calls: int | None = None,
        *,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        environment = os.environ.get
        self.project = project or environment("SIGNALWIRE_PROJECT_ID", "")
        self.token = token or environment("SIGNALWIRE_API_TOKEN", "")
        self.jwt_token = jwt_token or environment("SIGNALWIRE_JWT_TOKEN", "")
        self.host = host or environment("SIGNALWIRE_SPACE") or DEFAULT_HOST
        self.contexts = list(contexts or ())
        if not self.jwt_token:
            if not self.project:
                raise FormatError("project: is required; pass it, or set SIGNALWIRE_PROJECT_ID")
            if not self.token:
                raise FormatError("token: is required; pass it, or set SIGNALWIRE_API_TOKEN")
        if any(character in "@/?#\\" or character <= " " for character in self.host):
            raise FormatError("host: takes HOST[:PORT], no URL")
        self._max_active_calls = max_active_calls or _number(environment("RELAY_MAX_ACTIVE_CALLS", ""))
        self._on_call: CallHandler | None = None
        self._calls: dict[str, Call] = {}
        self._dials: dict[str, asyncio.Future[Call]] = {}
        self._tasks = Tasks()
        self._staying: asyncio.Task[None] | None = None
        self._link = ReconnectingLink(
            f"wss://{self.host}",
            lambda connection: connection.connect(
                project=self.project, token=self.token, jwt_token=self.jwt_token, contexts=self.contexts
            ),
            told=self._told,
            interrupted=self._interrupted,
            lost=self._lost,
            ssl=ssl,
        )

    @property
    def relay_protocol(self) -> str:
        """The name by which the server lets us resume, "" before the first connection."""
        return self._link.protocol

    def on_call(self, handler: CallHandler) -> CallHandler:
        """Register the coroutine function that is called with each Call that comes in (a decorator)."""
        self._on_call = handler
        return handler

    def run(self) -> None:
        """Connect and stay connected until interrupted; blocks.

        Raises RelayError when the server has refused the credentials three times and never taken them.
        """
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._run())

    async def connect(self) -> None:
        """Connect and authenticate, and from then on stay connected until `disconnect`.

        Raises RelayError for credentials that the server refuses, RemoteProtocolError when no WebSocket is
        there and OSError when nothing is.
        """
        if self._staying is not None:
            raise LocalProtocolError("the client is connected already")
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._staying = asyncio.create_task(self._link.stay_connected(first))
        try:
            await first
        except BaseException:
            await self.disconnect()
            raise

    async def disconnect(self) -> None:
        """Close the connection; what still waits for something raises RelayError."""
        staying, self._staying = self._staying, None
        if staying is not None and staying is not asyncio.current_task():
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)
        self._lost(RelayError(-1, "the client has disconnected"))

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def execute(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send any command and wait for its result, at most 10 s; a lost connection is waited for, too.

        Raises RelayError: with the server's code when it refuses, with -1 when no answer comes. When none
        comes in time, the connection is taken for dead and opened again.
        """
        if self._staying is None:
            raise RelayError(-1, f"the client is not connected: {method} was not sent")
        return await self._link.execute(method, params)

    async def receive(self, contexts: Sequence[str]) -> None:
        """Ask for the calls of further contexts, also when the connection is opened again."""
        if contexts:
            await self.execute("signalwire.receive", {"contexts": list(contexts)})
            self.contexts = list(dict.fromkeys([*self.contexts, *contexts]))

    async def unreceive(self, contexts: Sequence[str]) -> None:
        """Ask for no more calls of some contexts."""
        if contexts:
            await self.execute("signalwire.unreceive", {"contexts": list(contexts)})
            self.contexts = [context for context in self.contexts if context not in contexts]

    async def ping(self) -> None:
        """Ask whether the server lives; RelayError when it does not answer. It happens every 30 s anyway."""
        await self.execute("signalwire.ping", {})

    async def dial(
        self,
        devices: list[list[dict[str, Any]]],
        *,
        tag: str | None = None,
        max_duration: int | None = None,
        dial_timeout: float | None = None,
    ) -> Call:
        """Dial: the outer list one after the other, each inner one at once; returns the answered Call.

        `max_duration` is in minutes, `dial_timeout` in seconds, 120 by default. Raises RelayError when the
        server refuses, when nobody answers and when the connection is lost meanwhile.
        """
        tag = tag or str(uuid4())
        if tag in self._dials:
            raise LocalProtocolError(f"a dial with tag {tag[:64]!r} is under way")
        params: dict[str, Any] = {"tag": tag, "devices": devices}
        if max_duration:
            params["max_duration"] = max_duration
        answered = self._dials[tag] = outcome()
        timeout_s = DIAL_TIMEOUT_S if dial_timeout is None else dial_timeout
        try:
            await self.execute("calling.dial", params)
            return await asyncio.wait_for(answered, timeout_s)
        except TimeoutError:
            raise RelayError(-1, f"the dial was not answered within {timeout_s:g} s") from None
        finally:
            del self._dials[tag]

    async def _run(self) -> None:
        if self._staying is not None:
            raise LocalProtocolError("the client is connected already")
        staying = self._staying = asyncio.create_task(self._link.stay_connected(None))
        try:
            await asyncio.wait({staying})
        finally:
            await self.disconnect()
        if not staying.cancelled():  # by disconnect()
            staying.result()

    def _told(self, happening: Happening) -> None:
        match happening:
            case CallReceiveEvent():
                self._receive_call(happening)
            case CallDialEvent():
                self._answer_dial(happening)
            case Event():
                self._deliver(happening)

    def _receive_call(self, event: CallReceiveEvent) -> None:
        if event.call_id in self._calls:  # told again after the connection was lost
            return
        if len(self._calls) >= self._max_active_calls:
            logger.error("%d calls are active: call %.64r is dropped", len(self._calls), event.call_id)
            return
        if self._on_call is None:
            logger.warning("call %.64r came in, and no on_call handler is registered", event.call_id)
            return
        call = self._calls[event.call_id] = Call.received(self.execute, self._tasks, event)
        self._tasks.call(self._on_call, call, "the on_call handler")

    def _deliver(self, event: Event) -> None:
        call = self._calls.get(event.call_id)
        if call is None and isinstance(event, CallStateEvent) and event.tag in self._dials:
            call = self._dialled(event.call_id, event.node_id, event.tag, event.device)
        if call is None:
            return
        call.deliver(event)
        if call.state == "ended":
            del self._calls[event.call_id]

    def _answer_dial(self, event: CallDialEvent) -> None:
        answered = self._dials.get(event.tag)
        if answered is None or answered.done():
            return
        if event.dial_state == "failed":
            answered.set_exception(RelayError(-1, "the dial failed: nobody answered"))
        elif event.dial_state == "answered":
            node_id = str(event.call.get("node_id", event.node_id))
            device = event.call.get("device")
            call = self._calls.get(event.call_id) or self._dialled(
                event.call_id, node_id, event.tag, device if isinstance(device, dict) else {}
            )
            call.state = "answered"
            answered.set_result(call)

    def _dialled(self, call_id: str, node_id: str, tag: str, device: dict[str, Any]) -> Call:
        call = self._calls[call_id] = Call(
            self.execute,
            self._tasks,
            call_id=call_id,
            node_id=node_id,
            project_id=self.project,
            context=self.relay_protocol,
            tag=tag,
            direction="outbound",
            device=device,
            state="created",
        )
        return call

    def _interrupted(self, error: RelayError) -> None:
        """The connection has gone: an event that says how a dial went may have gone with it."""
        for answered in self._dials.values():
            if not answered.done():
                answered.set_exception(error)

    def _lost(self, error: RelayError) -> None:
        """Nothing more will be told of the calls that there were."""
        self._interrupted(error)
        while self._calls:
            self._calls.popitem()[1].lose(error)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text[:9]) > 0 else ACTIVE_CALLS_MAX
