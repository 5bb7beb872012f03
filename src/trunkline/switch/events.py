"""What a switch tells its listeners."""

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from trunkline.errors import StreamStartError
    from trunkline.stream import StreamRequest
    from trunkline.switch.call import Call
    from trunkline.switch.stream import Stream

__all__ = [
    "CallChanged",
    "CallState",
    "CallbackForm",
    "StreamChanged",
    "StreamNotStarted",
    "StreamState",
    "SwitchEvent",
]

CallState: TypeAlias = Literal["created", "ringing", "answered", "ending", "ended"]
StreamState: TypeAlias = Literal["connecting", "streaming", "finished"]
CallbackForm: TypeAlias = Literal["json", "compat"]


class CallChanged(NamedTuple):
    """A call has come to a state; states go forwards only."""

    call: "Call"
    state: CallState


class StreamChanged(NamedTuple):
    """A stream is "streaming", or "finished": then `stream.error` says why, None when it was stopped.

    A stream that could not be started has neither event, but a StreamNotStarted.
    """

    call: "Call"
    stream: "Stream"
    state: StreamState


class StreamNotStarted(NamedTuple):
    """A stream that was asked for, through whatever door, does not come about, for the reason in `error`."""

    call: "Call"
    request: "StreamRequest"
    error: "StreamStartError"


SwitchEvent: TypeAlias = CallChanged | StreamChanged | StreamNotStarted
