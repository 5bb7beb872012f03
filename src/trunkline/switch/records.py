"""CallRecord and StreamRecord: calls and streams of a former run, with the attributes of live ones."""

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import msgspec

from trunkline.stream.request import StreamRequest
from trunkline.switch.events import CallbackForm, CallState, StreamState

if TYPE_CHECKING:
    from trunkline.switch.call import Call
    from trunkline.switch.stream import Stream

__all__ = ["CallRecord", "StreamRecord"]

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, lt=253_402_300_800)]  # to the year 9999


class StreamRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a stream; attributes mean what those of `Stream` mean.

    `request` is without the bearer token, and its URLs without query, user and fragment, which may hold
    secrets. `error` is the name of the error's class, "interrupted" when the process died under the stream.
    """

    request: StreamRequest
    callback_form: CallbackForm
    bidirectional: bool
    state: StreamState
    error: str | None
    started_s: Seconds | None
    ended_s: Seconds | None
    messages_sent: int
    dropped: int

    @classmethod
    def of(cls, stream: "Stream") -> "StreamRecord":
        """Take down a stream as it is now."""
        request = stream.request
        status_url = request.status_url
        return cls(
            request=msgspec.structs.replace(
                request,
                authorization_bearer_token=None,
                url=_without_secrets(request.url),
                status_url=None if status_url is None else _without_secrets(status_url),
            ),
            callback_form=stream.callback_form,
            bidirectional=stream.bidirectional,
            state=stream.state,
            error=None if stream.error is None else type(stream.error).__name__,
            started_s=stream.started_s,
            ended_s=stream.ended_s,
            messages_sent=stream.messages_sent,
            dropped=stream.dropped,
        )

    @property
    def control_id(self) -> str:
        """The stream's id."""
        return self.request.control_id

    @property
    def sid(self) -> str:
        """The same id."""
        return self.request.control_id

    async def stop(self) -> None:
        """Nothing: it has finished."""

    async def wait(self) -> None:
        """Nothing: it has finished."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a call; attributes mean what those of `Call` mean."""

    id: str
    node_id: str
    segment_id: str
    project_id: str
    direction: Literal["inbound", "outbound"]
    from_number: str
    to_number: str
    context: str
    tag: str
    state: CallState
    end_reason: str | None
    created_s: Seconds
    answered_s: Seconds | None
    ended_s: Seconds | None
    streams: dict[str, StreamRecord] = {}

    @classmethod
    def of(cls, call: "Call") -> "CallRecord":
        """Take down a call as it is now, without its streams."""
        return cls(**{name: getattr(call, name) for name in cls.__struct_fields__ if name != "streams"})

    def after_restart(self, streams: dict[str, StreamRecord]) -> "CallRecord":
        """Give the record that a later run shows, in which the call has ended and `streams` have finished.

        What was live has ended in an error, at the last time that anything is known of the call.
        """
        times = [self.created_s, self.answered_s, self.ended_s]
        times += [time_s for stream in streams.values() for time_s in (stream.started_s, stream.ended_s)]
        heard_s = max(time_s for time_s in times if time_s is not None)
        finished = {
            control_id: stream
            if stream.state == "finished"
            else msgspec.structs.replace(stream, state="finished", error="interrupted", ended_s=heard_s)
            for control_id, stream in streams.items()
        }
        if self.state == "ended":
            return msgspec.structs.replace(self, streams=finished)
        return msgspec.structs.replace(
            self, state="ended", end_reason="error", ended_s=heard_s, streams=finished
        )

    async def hangup(self, reason: str = "hangup") -> None:
        """Nothing: it has ended."""

    async def wait_for_ended(self) -> None:
        """Nothing: it has ended."""


def _without_secrets(url: str) -> str:
    """Keep a URL's scheme, host, port and path."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a request that was not checked
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
