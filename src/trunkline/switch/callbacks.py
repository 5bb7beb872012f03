"""CallbackSender: tell the status of streams to the URLs that came with them, beside the audio."""

import asyncio
import logging
import os
import ssl as tls
from collections import deque
from contextlib import suppress
from typing import Final, Self

from trunkline.errors import FormatError, TargetRefusedError
from trunkline.extras import needs_extra
from trunkline.net.targets import Targets
from trunkline.switch.status import StatusCallback, StreamStatus, build_request

with needs_extra("server"):
    import aiohttp
    from yarl import URL

__all__ = ["CallbackSender", "StatusCallback", "StreamStatus", "reason_of"]

CONNECT_TIMEOUT_S: Final = 2.0  # look-up, TCP and TLS
READ_TIMEOUT_S: Final = 5.0
ATTEMPTS: Final = 3
BACK_OFF_S: Final = (0.5, 1.0)  # before the second and the third
RESPONSE_BYTES_MAX: Final = 65_536
WAITING_MAX: Final = 1000  # callbacks, of all streams
CONNECTIONS_MAX: Final = 64
CLOSE_TIMEOUT_S: Final = 5.0  # how long closing waits for what is on its way

_log = logging.getLogger(__name__)


class CallbackSender:
    """Sends status callbacks, each stream's in their order, and none at a cost to its stream.

    A callback goes to a host of `targets` only, is signed where there is a `signing_key`, and is tried three
    times: again after a failing connection, a time-out, or an answer of 408, 429 or 5xx. A redirect is not
    followed. `ssl` is trusted for https://, by default the system's authorities. What could not be
    delivered is logged once, with its status or reason.

        async with CallbackSender(Targets.for_bind("127.0.0.1")) as callbacks:
            callbacks.notify(StatusCallback(url="https://example.com/status"), status)
    """

    def __init__(
        self, targets: Targets, *, signing_key: str | None = None, ssl: tls.SSLContext | None = None
    ) -> None:
        self._targets = targets
        self._signing_key = signing_key
        self._ssl = ssl
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues: dict[tuple[str, str], deque[tuple[StatusCallback, StreamStatus]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._n_waiting = 0
        self._connections = asyncio.Semaphore(CONNECTIONS_MAX)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def notify(self, callback: StatusCallback, status: StreamStatus) -> None:
        """Queue a callback, on the event loop; never raises and never waits.

        Past 1000 callbacks that wait, and outside of the `async with` block, it is dropped and logged.
        """
        if self._loop is None:
            _log_failure(callback, status, "the sender is not open")
            return
        if self._n_waiting >= WAITING_MAX:
            _log_failure(callback, status, f"{WAITING_MAX} callbacks are waiting")
            return
        self._n_waiting += 1
        stream = (status.call_id, status.control_id)
        if stream in self._queues:
            self._queues[stream].append((callback, status))
            return
        self._queues[stream] = deque([(callback, status)])
        task = self._loop.create_task(self._deliver_all(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Take no more, give what is queued 5 s, and drop the rest."""
        self._loop = None
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
        if self._n_waiting:
            _log.warning("closing drops %d status callbacks", self._n_waiting)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._queues.clear()
        self._n_waiting = 0

    async def _deliver_all(self, stream: tuple[str, str]) -> None:
        queue = self._queues[stream]
        while queue:
            callback, status = queue[0]
            failure = await self._deliver(callback, status)
            if failure is not None:
                _log_failure(callback, status, failure)
            queue.popleft()
            self._n_waiting -= 1
        del self._queues[stream]

    async def _deliver(self, callback: StatusCallback, status: StreamStatus) -> str | None:
        """Try until it is delivered, or give the reason why it is not."""
        reason = None
        for back_off_s in (0.0, *BACK_OFF_S):
            await asyncio.sleep(back_off_s)
            try:
                async with self._connections:
                    code = await self._send(callback, status)
            except (FormatError, TargetRefusedError) as error:
                return str(error)
            except TimeoutError:
                reason = f"no answer within {CONNECT_TIMEOUT_S:g} s to connect, {READ_TIMEOUT_S:g} s to read"
            except (OSError, aiohttp.ClientError) as error:
                reason = reason_of(error)
            except Exception as error:  # whatever it is, the stream's next callback is to go out
                return type(error).__name__
            else:
                if 200 <= code < 300:
                    return None
                reason = f"HTTP {code}"
                if code < 500 and code not in (408, 429):
                    return reason
        return f"{reason}, {ATTEMPTS} times"

    async def _send(self, callback: StatusCallback, status: StreamStatus) -> int:
        """Make one attempt; the status of the answer."""
        now = asyncio.get_running_loop().time
        began = now()
        target = await self._targets.resolve(callback.url)
        request = build_request(callback, str(target.url), status, self._signing_key)
        timeout = aiohttp.ClientTimeout(
            sock_connect=max(0.001, began + CONNECT_TIMEOUT_S - now()), sock_read=READ_TIMEOUT_S
        )
        deadline = began + CONNECT_TIMEOUT_S + READ_TIMEOUT_S  # sock_read is for each read, this for all
        async with target.session(timeout=timeout, auto_decompress=False) as session:
            async with asyncio.timeout_at(deadline):
                response = await session.request(
                    callback.method,
                    URL(request.url, encoded=True),  # as it is signed
                    data=request.body,
                    headers=request.headers,
                    allow_redirects=False,
                    ssl=self._ssl or True,
                )
            try:
                await _read(response, deadline)
            finally:
                response.close()
            return response.status


async def _read(response: aiohttp.ClientResponse, deadline: float) -> None:
    """Read the answer's body, which says nothing, as far as it is taken, for the server's sake."""
    left = RESPONSE_BYTES_MAX
    with suppress(TimeoutError, OSError, aiohttp.ClientError):
        async with asyncio.timeout_at(deadline):
            while left > 0 and (data := await response.content.read(left)):
                left -= len(data)


def reason_of(error: Exception) -> str:
    """Say what went wrong, in words that hold nothing of the request."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the server's certificate is not trusted"
    if isinstance(error, aiohttp.ClientSSLError):  # its number is one of OpenSSL's
        return "the server does not speak TLS as it should"
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, aiohttp.ClientResponseError):
        return "the server does not speak HTTP as it should"
    return type(error).__name__ if isinstance(error, aiohttp.ClientError) else str(error)


def _log_failure(callback: StatusCallback, status: StreamStatus, reason: str) -> None:
    _log.warning(
        "status callback %r of stream %.64a to %a was not delivered: %s",
        status.state,
        status.control_id,
        callback.host,
        reason,
    )
