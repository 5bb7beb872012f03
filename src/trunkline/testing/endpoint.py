"""MediaEndpoint: a receiver of media streams that keeps what it got, for a test to look at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from trunkline.errors import TrunklineError
from trunkline.net import Call, serve
from trunkline.stream import Dtmf, Event, Frame, Mark, Start, Stop

__all__ = ["MediaEndpoint", "ReceivedStream"]

QUIET_S: Final = 10.0  # of the loop's time; no test waits for it, but a hang becomes a failure


class ReceivedStream:
    """One stream as it came: `start` (ids, tracks, format, parameters), and all `events` in order.

    `stopped` says whether its stop message came; `error` is why it ended without, None when it has not
    ended or has ended in good order.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self.start: Start = call.start
        self.events: list[Event] = []

    @property
    def error(self) -> TrunklineError | None:
        """Why it ended without a stop message."""
        return self._call.error

    @property
    def stopped(self) -> bool:
        """Whether the stop message has come."""
        return any(isinstance(event, Stop) for event in self.events)

    @property
    def marks(self) -> list[str]:
        """The names of the marks, in order."""
        return [event.name for event in self.events if isinstance(event, Mark)]

    @property
    def digits(self) -> str:
        """The keys that were pressed, in order."""
        return "".join(event.digit for event in self.events if isinstance(event, Dtmf))

    def frames(self, track: str = "inbound") -> list[Frame]:
        """Give the frames of a track, in order."""
        return [event for event in self.events if isinstance(event, Frame) and event.track == track]

    def pcm(self, track: str = "inbound") -> bytes:
        """Give the samples of a track, mono native-endian s16 at the stream's rate."""
        return b"".join(map(bytes, self.frames(track)))


class MediaEndpoint:
    """A receiver at `url` that keeps every stream in `streams`, in order of their starts.

    Made by `serve_endpoint`.

        async with serve_endpoint(bearer_token="secret") as endpoint:
            await call.stream(endpoint.url, authorization_bearer_token="secret")
            received = await endpoint.received()
    """

    def __init__(self) -> None:
        self.url = ""
        self.streams: list[ReceivedStream] = []
        self._ended: asyncio.Queue[ReceivedStream] = asyncio.Queue()

    async def received(self, quiet_s: float = QUIET_S) -> ReceivedStream:
        """Wait for the end of a stream, and give it; each is given once, in order of their ends.

        However long it lasts: TimeoutError when nothing at all has come for `quiet_s`.
        """
        while True:
            n_events = self._n_events()
            try:
                async with asyncio.timeout(quiet_s):
                    return await self._ended.get()
            except TimeoutError:
                if self._n_events() == n_events:
                    raise TimeoutError(
                        f"no stream has ended, and nothing has come for {quiet_s:g} s"
                    ) from None

    def _n_events(self) -> int:
        return sum(len(stream.events) for stream in self.streams)

    async def __call__(self, call: Call) -> None:
        """Keep what a call brings; the handler of `trunkline.net.serve`."""
        stream = ReceivedStream(call)
        self.streams.append(stream)
        try:
            async for event in call:
                stream.events.append(event)
        finally:
            self._ended.put_nowait(stream)


@asynccontextmanager
async def serve_endpoint(**options: Any) -> AsyncIterator[MediaEndpoint]:
    """Run a MediaEndpoint on loopback; `options` are those of `trunkline.net.serve`."""
    endpoint = MediaEndpoint()
    async with serve(endpoint, **options) as server:
        endpoint.url = server.url
        yield endpoint
