"""StreamAction: what `Call.stream` gives, with the names of the platforms' SDKs."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trunkline.switch.events import StreamChanged

if TYPE_CHECKING:
    from trunkline.switch.call import Call
    from trunkline.switch.stream import Stream

__all__ = ["OnCompleted", "StreamAction", "complete"]

OnCompleted = Callable[[StreamChanged], Any]  # plain, or a coroutine function

_log = logging.getLogger(__name__)


class StreamAction:
    """A stream that was started: stop it, or wait for its end."""

    def __init__(self, call: "Call", stream: "Stream") -> None:
        self.call = call
        self._stream = stream

    @property
    def control_id(self) -> str:
        """The stream's id."""
        return self._stream.control_id

    @property
    def completed(self) -> bool:
        """Whether the stream has finished."""
        return self._stream.state == "finished"

    @property
    def result(self) -> StreamChanged | None:
        """The event of its end; None before."""
        return StreamChanged(self.call, self._stream, "finished") if self.completed else None

    async def stop(self) -> None:
        """Stop the stream, and wait until it has finished. Nothing when it has."""
        await self._stream.stop()

    async def wait(self, timeout: float | None = None) -> StreamChanged:  # noqa: ASYNC109  # the SDK's
        """Wait until the stream has finished; TimeoutError after `timeout` seconds, which it survives."""
        async with asyncio.timeout(timeout):
            await self._stream.wait()
        return StreamChanged(self.call, self._stream, "finished")


async def complete(action: StreamAction, on_completed: OnCompleted) -> None:
    """Call the user's function when the stream has finished; what it raises is logged."""
    event = await action.wait()
    try:
        returned = on_completed(event)
        if inspect.isawaitable(returned):
            await returned
    except Exception:
        _log.exception("on_completed of stream %.64s raised", action.control_id)
