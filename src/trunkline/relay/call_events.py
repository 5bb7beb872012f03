"""CallEvents: the events of one call, in the only order that RELAY's clients survive.

- "finished" is a stream's one end, whatever ended it: on anything else a client's wait() hangs.
- It comes before the call's "ended": after that a client drops it, and its wait() hangs.
- States go forwards only, and nothing follows "ended".
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar
from uuid import uuid4

from trunkline.errors import LocalProtocolError
from trunkline.relay.events import (
    EVENT_TYPES,
    CallDialEvent,
    CallReceiveEvent,
    CallStateEvent,
    CallStreamEvent,
    Event,
    event_of,
)
from trunkline.stream.request import StreamRequest

__all__ = ["CallEvents"]

STATES: Final = ("created", "ringing", "answered", "ending", "ended")
E = TypeVar("E", bound=Event)
CallState = Literal["created", "ringing", "answered", "ending", "ended"]


class CallEvents:
    """Make the events of one call, whoever is told of them: a RELAY connection, a status callback.

    Every `now_s` is in seconds since 1970. What is out of order is a LocalProtocolError, and nothing has
    happened.

    >>> events = CallEvents(call_id="c1", node_id="n1", project_id="p1")
    >>> events.open_stream(StreamRequest.parse({"url": "wss://example.com/", "control_id": "s1"}))
    >>> events.ended("hangup", now_s=12.5)
    Traceback (most recent call last):
    ...
    trunkline.errors.LocalProtocolError: call c1 cannot end: streams s1 are not finished
    >>> [events.finished("s1", now_s=12.5).state, events.ended("hangup", now_s=12.5).end_reason]
    ['finished', 'hangup']
    """

    def __init__(
        self,
        *,
        call_id: str,
        node_id: str,
        project_id: str,
        space_id: str = "",
        segment_id: str = "",
        context: str = "",
        tag: str = "",
        direction: Literal["inbound", "outbound"] = "inbound",
        device: Mapping[str, Any] | None = None,
    ) -> None:
        self.call_id = call_id
        self._node_id = node_id
        self._project_id = project_id
        self._space_id = space_id
        self._segment_id = segment_id or call_id
        self._context = context
        self._tag = tag
        self._direction = direction
        self._device = dict(device or {})
        self._channel = f"swml:{uuid4()}"
        self._state: CallState = "created"
        self._streams: dict[str, StreamRequest] = {}
        self._streaming: set[str] = set()

    @property
    def state(self) -> CallState:
        """What the call was last said to be; created at first."""
        return self._state

    @property
    def live_streams(self) -> tuple[str, ...]:
        """The control ids of the streams that are not finished, the oldest first."""
        return tuple(self._streams)

    def receive(self, now_s: float) -> CallReceiveEvent:
        """Tell of the call itself, which has come in."""
        if self._direction != "inbound":
            raise LocalProtocolError(f"call {self.call_id} was dialled: it is not received")
        if self._state not in ("created", "ringing"):
            raise LocalProtocolError(f"call {self.call_id} is {self._state}: it was received before")
        params = self._identity() | {
            "project_id": self._project_id,
            "context": self._context,
            "call_state": self._state,
        }
        return self._event(CallReceiveEvent, params | self._parties(), now_s)

    def ringing(self, now_s: float) -> CallStateEvent:
        """Say that the call is ringing."""
        return self._advance("ringing", now_s)

    def answered(self, now_s: float) -> CallStateEvent:
        """Say that the call is answered."""
        return self._advance("answered", now_s)

    def ending(self, reason: str, now_s: float) -> CallStateEvent:
        """Say that the call is about to end; from here on no stream opens."""
        return self._advance("ending", now_s, reason)

    def ended(self, reason: str, now_s: float) -> CallStateEvent:
        """Say that the call has ended, which needs every stream to be finished."""
        if self._streams:
            live = ", ".join(self._streams)[:200]
            raise LocalProtocolError(f"call {self.call_id} cannot end: streams {live} are not finished")
        return self._advance("ended", now_s, reason)

    def created(self, now_s: float) -> CallStateEvent:
        """Say that the call exists: the first thing of one that was dialled."""
        if self._state != "created":
            raise LocalProtocolError(f"call {self.call_id} is {self._state}: it was created before")
        return self._state_event(now_s)

    def dial(self, dial_state: Literal["dialing", "answered", "failed"], now_s: float) -> CallDialEvent:
        """Say how the dial of the call goes; of one that failed this comes before `ended`."""
        if self._direction != "outbound":
            raise LocalProtocolError(f"call {self.call_id} came in: it was not dialled")
        if self._state == "ended" or (dial_state == "answered" and self._state != "answered"):
            raise LocalProtocolError(f"call {self.call_id} is {self._state}: its dial cannot be {dial_state}")
        call = {
            "call_id": self.call_id,
            "node_id": self._node_id,
            "tag": self._tag,
            "device": self._device,
            "dial_winner": dial_state == "answered",
        }
        params = {"node_id": self._node_id, "tag": self._tag, "dial_state": dial_state}
        return self._event(CallDialEvent, params | {"call": {} if dial_state == "failed" else call}, now_s)

    def open_stream(self, request: StreamRequest) -> None:
        """Count a stream among the live ones: from its success reply on it is owed a `finished`."""
        if self._state in ("ending", "ended"):
            raise LocalProtocolError(f"call {self.call_id} is {self._state}: it takes no stream")
        if request.control_id in self._streams:
            raise LocalProtocolError(
                f"call {self.call_id} has a live stream {request.control_id[:64]} already"
            )
        self._streams[request.control_id] = request

    def streaming(self, control_id: str, now_s: float) -> CallStreamEvent:
        """Say that a stream has begun."""
        request = self._live(control_id)
        if control_id in self._streaming:
            raise LocalProtocolError(f"stream {control_id[:64]} is streaming already")
        self._streaming.add(control_id)
        return self._stream_event(request, "streaming", now_s)

    def finished(self, control_id: str, now_s: float) -> CallStreamEvent:
        """Say that a stream has ended, also one that never came to stream."""
        request = self._live(control_id)
        del self._streams[control_id]
        self._streaming.discard(control_id)
        return self._stream_event(request, "finished", now_s)

    def _live(self, control_id: str) -> StreamRequest:
        try:
            return self._streams[control_id]
        except KeyError:
            raise LocalProtocolError(f"call {self.call_id} has no live stream {control_id[:64]}") from None

    def _advance(self, state: CallState, now_s: float, reason: str = "") -> CallStateEvent:
        if STATES.index(state) <= STATES.index(self._state):
            raise LocalProtocolError(f"call {self.call_id} is {self._state}: it cannot be {state} after that")
        self._state = state
        return self._state_event(now_s, reason)

    def _state_event(self, now_s: float, reason: str = "") -> CallStateEvent:
        params = self._identity() | {"call_state": self._state} | self._parties()
        if reason:
            params["end_reason"] = reason
        return self._event(CallStateEvent, params, now_s)

    def _stream_event(self, request: StreamRequest, state: str, now_s: float) -> CallStreamEvent:
        params = self._identity() | {"control_id": request.control_id, "state": state, "url": request.url}
        if request.name is not None:
            params["name"] = request.name
        return self._event(CallStreamEvent, params, now_s)

    def _identity(self) -> dict[str, Any]:
        return {"call_id": self.call_id, "node_id": self._node_id, "segment_id": self._segment_id}

    def _parties(self) -> dict[str, Any]:
        return {"direction": self._direction, "device": self._device, "tag": self._tag}

    def _event(self, kind: type[E], params: dict[str, Any], now_s: float) -> E:
        envelope = Event(
            event_type=EVENT_TYPES[kind],
            params=params,
            timestamp=now_s,
            event_channel=self._channel,
            project_id=self._project_id,
            space_id=self._space_id,
        )
        return event_of(kind, envelope)
