"""Call: one call of a switch, its two tracks and their streams."""

from collections.abc import Mapping
from typing import Literal

from trunkline.stream import StreamRequest
from trunkline.switch.actions import OnCompleted, StreamAction
from trunkline.switch.events import CallbackForm, CallState
from trunkline.switch.sources import Source
from trunkline.switch.stream import Stream

__all__ = ["Call"]


class Call:
    """A call; made by `Switch.place_call`. Times are in seconds since 1970, None for what has not been.

    Its audio begins when it is answered; before that, what is streamed is silence.
    """

    id: str
    node_id: str
    segment_id: str
    project_id: str
    state: CallState
    end_reason: str | None
    direction: Literal["inbound", "outbound"]
    from_number: str
    to_number: str
    context: str
    tag: str
    sample_rate: int
    created_s: float
    answered_s: float | None
    ended_s: float | None

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The streams by control id, live and finished; of those finished the oldest are forgotten."""
        raise NotImplementedError

    async def answer(self) -> None:
        """Answer the call, whose audio begins. Nothing when it is answered; LocalProtocolError when it has ended."""
        raise NotImplementedError

    async def hangup(self, reason: str = "hangup") -> None:
        """Finish every stream, then end the call; return when it has ended. Idempotent."""
        raise NotImplementedError

    async def wait_for_ended(self) -> None:
        """Wait until the call has ended."""
        raise NotImplementedError

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
        custom_parameters: Mapping[str, str] | None = None,
        control_id: str | None = None,
        on_completed: OnCompleted | None = None,
        bidirectional: bool = False,
    ) -> StreamAction:
        """Stream the call's audio to `url`; return when the endpoint has accepted.

        `on_completed`, plain or a coroutine function, is called once with the StreamChanged of its end. Raises
        FormatError for parameters that are wrong, StreamStartError when the stream does not come about.
        """
        raise NotImplementedError

    async def start_stream(
        self, request: StreamRequest, *, callback_form: CallbackForm = "json", bidirectional: bool = False
    ) -> Stream:
        """Stream the call's audio as `request` says; return when the endpoint has accepted and start is sent.

        `bidirectional`: what the endpoint sends back is heard on the call, as its outbound track. Raises
        StreamStartError, whose `reason` is a status callback's.
        """
        raise NotImplementedError

    async def stop_stream(self, control_id: str | None = None) -> None:
        """Stop a live stream, None for the newest; LocalProtocolError when there is none."""
        raise NotImplementedError

    async def connect(self, request: StreamRequest) -> None:
        """Connect the call to a two-way stream; return when that has finished. Raises as `start_stream` does."""
        raise NotImplementedError

    async def play(self, source: Source) -> None:
        """Play `source` on the outbound track, behind what is played already; return when it was heard.

        Also returns when the call ends. The source is closed.
        """
        raise NotImplementedError

    def dtmf(self, digit: str, duration_ms: int = 250) -> None:
        """Press a key: every live stream is told. LocalProtocolError for what is no key."""
        raise NotImplementedError
