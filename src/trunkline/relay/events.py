"""The events of RELAY, typed: what a server tells of its calls, at both ends and in status callbacks."""

from typing import Any, Final, TypeVar

import msgspec

from trunkline.errors import FormatError

__all__ = [
    "AUTHORIZATION_STATE",
    "EVENT_TYPES",
    "CallDialEvent",
    "CallReceiveEvent",
    "CallStateEvent",
    "CallStreamEvent",
    "Event",
    "event_of",
    "typed_event",
]

AUTHORIZATION_STATE: Final = "signalwire.authorization.state"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of any type; `params` are its inner parameters, `timestamp` is in seconds since 1970."""

    event_type: str
    params: dict[str, Any]
    timestamp: float = 0.0
    event_channel: str = ""
    project_id: str = ""
    space_id: str = ""

    @property
    def call_id(self) -> str:
        """The call that the event belongs to, "" for none."""
        call_id = self.params.get("call_id", "")
        return call_id if isinstance(call_id, str) else ""

    def body(self) -> dict[str, Any]:
        """Give the event as it is on the wire, in a request of ours or in a status callback."""
        return {field: getattr(self, field) for field in Event.__struct_fields__}


class CallReceiveEvent(Event, frozen=True, kw_only=True):
    """A call has come in."""

    node_id: str
    context: str = ""
    tag: str = ""
    direction: str = "inbound"
    device: dict[str, Any] = {}
    call_state: str = "created"
    segment_id: str = ""


class CallStateEvent(Event, frozen=True, kw_only=True):
    """A call is created, ringing, answered, ending or ended."""

    call_state: str
    node_id: str = ""
    segment_id: str = ""
    tag: str = ""
    direction: str = ""
    device: dict[str, Any] = {}
    end_reason: str = ""


class CallStreamEvent(Event, frozen=True, kw_only=True):
    """A stream of a call is streaming or finished."""

    control_id: str
    state: str
    node_id: str = ""
    segment_id: str = ""
    url: str = ""
    name: str = ""


class CallDialEvent(Event, frozen=True, kw_only=True):
    """A dial that was asked for is dialing, answered (by `call`) or failed."""

    tag: str
    dial_state: str
    node_id: str = ""
    call: dict[str, Any] = {}

    @property
    def call_id(self) -> str:
        """The call that answered, "" for none."""
        call_id = self.call.get("call_id", "")
        return call_id if isinstance(call_id, str) else ""


EVENT_TYPES: Final[dict[type[Event], str]] = {
    CallReceiveEvent: "calling.call.receive",
    CallStateEvent: "calling.call.state",
    CallStreamEvent: "calling.call.stream",
    CallDialEvent: "calling.call.dial",
}
_KINDS: Final = {event_type: kind for kind, event_type in EVENT_TYPES.items()}
_ENVELOPE: Final = frozenset(Event.__struct_fields__)
E = TypeVar("E", bound=Event)


def typed_event(event: Event) -> Event:
    """Give an event the type that its `event_type` has; FormatError when its parameters are not of that type.

    >>> event = typed_event(Event(event_type="calling.call.stream", params={
    ...     "call_id": "c1", "control_id": "s1", "state": "finished", "url": "wss://example.com/"}))
    >>> type(event).__name__, event.call_id, event.state
    ('CallStreamEvent', 'c1', 'finished')
    """
    kind = _KINDS.get(event.event_type)
    return event if kind is None else event_of(kind, event)


def event_of(kind: type[E], event: Event) -> E:
    """Read the parameters of an event as those of `kind`; FormatError when they are not."""
    if kind is not CallDialEvent and not event.call_id:
        raise FormatError(f"{event.event_type}: names no call_id")
    inner = {
        name: value for name, value in event.params.items() if name not in _ENVELOPE and value is not None
    }
    try:
        return msgspec.convert(inner | event.body(), kind)
    except msgspec.ValidationError as error:
        raise FormatError(f"{event.event_type}: {str(error)[:200]}") from None
