"""What a switch tells its listeners, and what it wants of its two collaborators."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from trunkline.switch.call import Call
    from trunkline.switch.stream import Stream

__all__ = [
    "CallChanged",
    "CallState",
    "CallbackForm",
    "CallbackSender",
    "StreamChanged",
    "StreamState",
    "SwitchEvent",
    "Targets",
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

    A stream that could not be started has neither event.
    """

    call: "Call"
    stream: "Stream"
    state: StreamState


SwitchEvent: TypeAlias = CallChanged | StreamChanged


class Targets(Protocol):
    """Says where a switch may connect to."""

    async def resolve(self, url: str, /) -> Mapping[str, Any]:
        """Give the arguments of an aiohttp.TCPConnector that reaches `url` and nothing else.

        Raises a TrunklineError for a URL that is not to be connected to.
        """


class CallbackSender(Protocol):
    """Delivers status callbacks, on its own time."""

    def notify(self, call: "Call", stream: "Stream", state: StreamState, /) -> None:
        """Take note of a stream that is streaming or finished; returns at once.

        What is to be sent where is in `stream.request` and `stream.callback_form`. A stream that could not
        be started is "finished", with a StreamStartError for its `error` and None for `started_s`.
        """
