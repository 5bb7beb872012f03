"""StreamAction: what `Call.stream` gives, with the names of the platforms' SDKs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trunkline.switch.events import StreamChanged

if TYPE_CHECKING:
    from trunkline.switch.stream import Stream

__all__ = ["OnCompleted", "StreamAction"]

OnCompleted = Callable[[StreamChanged], Any]  # plain, or a coroutine function


class StreamAction:
    """A stream that was started: stop it, or wait for its end."""

    def __init__(self, stream: "Stream") -> None:
        self._stream = stream

    @property
    def control_id(self) -> str:
        """The stream's id."""
        return self._stream.control_id

    @property
    def completed(self) -> bool:
        """Whether the stream has finished."""
        raise NotImplementedError

    @property
    def result(self) -> StreamChanged | None:
        """The event of its end; None before."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop the stream, and wait until it has finished. Nothing when it has."""
        raise NotImplementedError

    async def wait(self, timeout: float | None = None) -> StreamChanged:  # noqa: ASYNC109  # the SDK's
        """Wait until the stream has finished; TimeoutError after `timeout` seconds, which it survives."""
        raise NotImplementedError
