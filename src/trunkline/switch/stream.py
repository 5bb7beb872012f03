"""Stream: one live stream of a call's audio: connect, start, send on time, stop."""

from typing import TYPE_CHECKING

from trunkline.stream import StreamRequest
from trunkline.switch.events import CallbackForm, StreamState

if TYPE_CHECKING:
    from trunkline.errors import TrunklineError

__all__ = ["Stream"]


class Stream:
    """A stream of a call's audio to one endpoint; made by `Call.start_stream`.

    `request` is what was asked for, `callback_form` how its status callbacks look, `bidirectional` whether
    what the endpoint sends is heard on the call. `state` goes from connecting to streaming to finished;
    `error` is why it finished, None when it was stopped or the endpoint closed in good order. `started_s` and
    `ended_s` are in seconds since 1970. `messages_sent` and `messages_received` count WebSocket messages, and
    `dropped` those that were not sent because the endpoint took them too slowly.
    """

    request: StreamRequest
    callback_form: CallbackForm
    bidirectional: bool
    state: StreamState
    error: "TrunklineError | None"
    started_s: float | None
    ended_s: float | None
    messages_sent: int
    messages_received: int
    dropped: int

    @property
    def control_id(self) -> str:
        """The stream's id, unique among the live ones of its call."""
        return self.request.control_id

    @property
    def sid(self) -> str:
        """The same id, by its name on the wire and in the compatibility API."""
        return self.request.control_id

    async def stop(self) -> None:
        """Send what is queued and the stop message, close, and wait until that is done. Idempotent."""
        raise NotImplementedError

    async def wait(self) -> None:
        """Wait until the stream has finished."""
        raise NotImplementedError
