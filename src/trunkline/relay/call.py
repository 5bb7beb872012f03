"""Call and StreamAction: what RelayClient gives for a call, and for a stream of its audio."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar
from uuid import uuid4

from trunkline.errors import LocalProtocolError
from trunkline.relay.events import CallReceiveEvent, CallStateEvent, Event
from trunkline.relay.jsonrpc import RelayError

__all__ = ["Call", "StreamAction", "Tasks", "outcome"]

logger: Final = logging.getLogger("trunkline.relay")

EventHandler = Callable[[Event], Any]  # plain, or a coroutine function
Execute = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
T = TypeVar("T")
GONE: Final = (404, 410)  # codes at which the call is no more: what was asked of it is done


class Tasks:
    """Tasks that nobody waits for, held until they are done; what they raise is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, Any], what: str) -> None:
        """Run a coroutine beside everything else."""
        task = asyncio.create_task(self._logged(coroutine, what))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def call(self, handler: Callable[[T], Any], argument: T, what: str) -> None:
        """Call a handler of the user's, plain or coroutine."""
        try:
            returned = handler(argument)
        except Exception:
            logger.exception("%s raised", what)
            return
        if asyncio.iscoroutine(returned):
            self.start(returned, what)

    async def _logged(self, coroutine: Coroutine[Any, Any, Any], what: str) -> None:
        try:
            await coroutine
        except Exception:
            logger.exception("%s raised", what)


class StreamAction:
    """A stream of a call's audio: it is done when the server says that it has finished."""

    def __init__(self, call: "Call", control_id: str, on_completed: EventHandler | None) -> None:
        self.call = call
        self.control_id = control_id
        self.result: Event | None = None
        self._on_completed = on_completed
        self._done: asyncio.Future[Event] = outcome()

    @property
    def is_done(self) -> bool:
        """Whether `wait` would return, or raise, at once."""
        return self._done.done()

    @property
    def completed(self) -> bool:
        """Whether the stream has finished, and not merely been lost sight of."""
        return self.result is not None

    async def stop(self) -> dict[str, Any]:
        """Stop the stream; returns the server's result, {} when the call is gone. Raises RelayError."""
        return await self.call.execute("calling.stream.stop", {"control_id": self.control_id})

    async def wait(self, timeout: float | None = None) -> Event:  # noqa: ASYNC109  # the SDK's signature
        """Wait until the stream has finished; returns the event that said so.

        When the call has gone, it is an event without a type. Raises TimeoutError after `timeout` seconds,
        which the stream survives, and RelayError when the client disconnects or cannot resume.
        """
        return await asyncio.wait_for(asyncio.shield(self._done), timeout)

    def complete(self, event: Event) -> None:
        """Take the event that ends the stream; `on_completed` is called at the first."""
        if self._done.done():
            return
        self.result = event
        self._done.set_result(event)
        if self._on_completed is not None:
            self.call.tasks.call(self._on_completed, event, "on_completed")

    def lose(self, error: RelayError) -> None:
        """Let every `wait` raise."""
        if not self._done.done():
            self._done.set_exception(error)


class Call:
    """A call that came in or was dialled; made by RelayClient."""

    def __init__(
        self,
        execute: Execute,
        tasks: Tasks,
        *,
        call_id: str,
        node_id: str,
        project_id: str = "",
        context: str = "",
        tag: str = "",
        direction: str = "",
        device: Mapping[str, Any] | None = None,
        state: str = "",
        segment_id: str = "",
    ) -> None:
        self.call_id = call_id
        self.node_id = node_id
        self.project_id = project_id
        self.context = context
        self.tag = tag
        self.direction = direction
        self.device = dict(device or {})
        self.state = state
        self.segment_id = segment_id
        self.tasks = tasks
        self._execute = execute
        self._actions: dict[str, StreamAction] = {}
        self._listeners: dict[str, list[EventHandler]] = {}
        self._waits: set[asyncio.Future[Event]] = set()
        self._ended: asyncio.Future[Event] = outcome()

    @classmethod
    def received(cls, execute: Execute, tasks: Tasks, event: CallReceiveEvent) -> "Call":
        """Make the call that an event tells of."""
        return cls(
            execute,
            tasks,
            call_id=event.call_id,
            node_id=event.node_id,
            project_id=str(event.params.get("project_id", event.project_id)),
            context=event.context,
            tag=event.tag,
            direction=event.direction,
            device=event.device,
            state=event.call_state,
            segment_id=event.segment_id,
        )

    def __repr__(self) -> str:
        return f"Call(call_id={self.call_id!r}, direction={self.direction!r}, state={self.state!r})"

    async def answer(self, **params: Any) -> dict[str, Any]:
        """Answer the call. Raises RelayError, as every command does that the server refuses."""
        return await self.execute("calling.answer", params)

    async def hangup(self, reason: str = "hangup") -> dict[str, Any]:
        """Hang the call up."""
        return await self.execute("calling.end", {"reason": reason})

    async def stream(
        self,
        url: str,
        *,
        name: str | None = None,
        codec: str | None = None,
        track: str | None = None,
        status_url: str | None = None,
        status_url_method: str | None = None,
        authorization_bearer_token: str | None = None,
        custom_parameters: dict[str, Any] | None = None,
        control_id: str | None = None,
        on_completed: EventHandler | None = None,
        **params: Any,
    ) -> StreamAction:
        """Stream the call's audio to a wss:// URL; the parameters are those of `StreamRequest`.

        `on_completed(event)`, plain or coroutine, is called once, when the stream has finished. Further
        keyword arguments are sent as they are. Raises RelayError when the server refuses, LocalProtocolError
        for a `control_id` whose stream, of this call, has not finished.
        """
        action = StreamAction(self, control_id or str(uuid4()), on_completed)
        optional = {
            "name": name,
            "codec": codec,
            "track": track,
            "status_url": status_url,
            "status_url_method": status_url_method,
            "authorization_bearer_token": authorization_bearer_token,
            "custom_parameters": custom_parameters,
        }
        given = {field: value for field, value in optional.items() if value is not None}
        if self.state == "ended":
            action.complete(Event(event_type="", params={}))
            return action
        if action.control_id in self._actions:  # the event of its end could mean either
            raise LocalProtocolError(f"control_id {action.control_id[:64]!r}: its stream has not finished")
        self._actions[action.control_id] = action
        try:
            result = await self.execute(
                "calling.stream", {"control_id": action.control_id, "url": url} | given | params
            )
        except BaseException:
            self._forget(action)
            raise
        if not result:
            self._forget(action)
            action.complete(Event(event_type="", params={}))
        return action

    async def wait_for_ended(self, timeout: float | None = None) -> Event:  # noqa: ASYNC109  # the SDK's signature
        """Wait until the call has ended; TimeoutError and RelayError as in `StreamAction.wait`."""
        return await asyncio.wait_for(asyncio.shield(self._ended), timeout)

    async def wait_for(
        self,
        event_type: str,
        predicate: Callable[[Event], bool] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the SDK's signature
    ) -> Event:
        """Wait for the next event of a type that `predicate` takes; errors as in `StreamAction.wait`."""
        found: asyncio.Future[Event] = outcome()

        def look(event: Event) -> None:
            if not found.done() and (predicate is None or predicate(event)):
                found.set_result(event)

        self.on(event_type, look)
        self._waits.add(found)
        try:
            return await asyncio.wait_for(found, timeout)
        finally:
            self._waits.discard(found)
            self._listeners[event_type].remove(look)

    def on(self, event_type: str, handler: EventHandler) -> None:
        """Call `handler(event)`, plain or coroutine, at every event of a type."""
        self._listeners.setdefault(event_type, []).append(handler)

    async def execute(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Send any command for this call; {} when the server says that the call is gone (404, 410)."""
        try:
            return await self._execute(method, {"node_id": self.node_id, "call_id": self.call_id, **params})
        except RelayError as error:
            if error.code not in GONE:
                raise
            logger.warning("call %.64r is gone: %s did nothing", self.call_id, method)
            return {}

    def deliver(self, event: Event) -> None:
        """Take an event of this call."""
        if isinstance(event, CallStateEvent):
            self.state = event.call_state
        control_id = event.params.get("control_id")
        if event.event_type == "calling.call.stream" and event.params.get("state") == "finished":
            action = self._actions.pop(control_id, None) if isinstance(control_id, str) else None
            if action is not None:
                action.complete(event)
        for handler in tuple(self._listeners.get(event.event_type, ())):
            self.tasks.call(handler, event, f"a handler of {event.event_type}")
        if self.state == "ended" and not self._ended.done():
            self._ended.set_result(event)
            self._finish_actions()

    def lose(self, error: RelayError) -> None:
        """Let whoever waits for something of this call see the error: nothing more will be told of it."""
        lost = [future for future in (self._ended, *self._waits) if not future.done()]
        for future in lost:
            future.set_exception(error)
        while self._actions:
            self._actions.popitem()[1].lose(error)

    def _forget(self, action: StreamAction) -> None:
        """Expect no event of it; once it has finished, its control id may be another's."""
        if self._actions.get(action.control_id) is action:
            del self._actions[action.control_id]

    def _finish_actions(self) -> None:
        """Complete what no event will: a server should finish every stream before it ends the call."""
        while self._actions:
            self._actions.popitem()[1].complete(Event(event_type="", params={}))


def outcome() -> "asyncio.Future[Any]":
    """Make a future whose exception nobody need look at."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
