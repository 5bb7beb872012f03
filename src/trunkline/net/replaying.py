"""replay: send the messages of a capture again, byte for byte, at the times at which they came."""

import asyncio
import ssl as tls
from collections.abc import Iterable

from trunkline.extras import needs_extra
from trunkline.net.client import Sending, StreamResult, check_speed, connected
from trunkline.stream import CapturedMessage

with needs_extra("server"):
    from aiohttp import WSMsgType

__all__ = ["replay"]


async def replay(
    url: str,
    messages: Iterable[CapturedMessage],
    *,
    bearer_token: str | None = None,
    ssl: tls.SSLContext | None = None,
    speed: float = 1.0,
) -> StreamResult:
    """Send `messages` to `url` until they end or the server closes.

    The first one leaves at once, the others as long after it as they came, divided by `speed`: at absolute
    deadlines, so that being late moves none of those behind; `math.inf` sends as quickly as the server takes
    it. Nothing is checked or mended: what broke a receiver breaks it again. What the server sends is counted
    and dropped. `url` and the errors are those of `stream`.

        result = await replay("ws://127.0.0.1:8765/", read_capture("call.jsonl"))
    """
    check_speed(speed)
    async with connected(url, bearer_token, ssl) as socket:
        replaying = _Replaying(socket, speed)
        return await replaying.run(replaying.send_all(messages))


class _Replaying(Sending):
    """The sending of messages that are made already."""

    async def send_all(self, messages: Iterable[CapturedMessage]) -> None:
        first_ms: float | None = None
        for message in messages:
            if first_ms is None:
                first_ms = message.arrival_ms
            due = self._began + (message.arrival_ms - first_ms) / 1000 / self._speed
            await asyncio.sleep(max(0.0, due - self._loop.time()))  # 0 lets the other task read
            await self._send(message.data, WSMsgType.BINARY if message.binary else WSMsgType.TEXT)
