"""stream: send live audio as a media stream over WebSocket, paced by the clock."""

import asyncio
import errno
import math
import os
import ssl as tls
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from trunkline.errors import LocalProtocolError, RemoteProtocolError
from trunkline.extras import needs_extra
from trunkline.net.bearer import authorization
from trunkline.net.tls import is_loopback
from trunkline.stream import Playout, StreamSender

with needs_extra("server"):
    import aiohttp
    from aiohttp import WSCloseCode, WSMsgType

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from trunkline.net.targets import Target

    Chunk = Mapping[str, Buffer]  # track: PCM, all of the same stretch of time

__all__ = ["Sending", "StreamResult", "check_speed", "check_url", "connected", "stream", "without_token"]

CONNECT_TIMEOUT_S: Final = 10.0
HEARTBEAT_S: Final = 20.0
MESSAGE_BYTES_MAX: Final = 65536
STOP_TIMEOUT_S: Final = 1.0  # after stop: how long the server may take to close; then we do
CLOSE_TIMEOUT_S: Final = 2.0  # how long it may take to answer our close frame
MESSAGES_A_TURN: Final = 16  # that come in, before others have their turn
MESSAGES_PER_S_MAX: Final = 1000  # that come in, a long one counted once for every 4 KiB: audio needs 50
MESSAGES_AHEAD_S: Final = 20.0  # as much of that may come at once: 20,000 messages are 400 s of audio
FLOOD_CLOSE_S: Final = 0.5  # how long who sends more than that may take for the reason
AHEAD_MS: Final = 400.0  # how much audio is taken from the source before it is due
_COUNTED: Final = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG)
_CURES: Final = {
    401: ": the bearer token is missing or wrong",
    404: ": it has no stream at this path",
    503: ": it takes no more calls",
}


class StreamResult(NamedTuple):
    """How a stream ended: `complete` when the server took it up to stop, else what it closed with."""

    complete: bool
    messages_sent: int
    messages_received: int
    close_code: int | None
    close_reason: str


async def stream(
    url: str,
    sender: StreamSender,
    source: "AsyncIterable[Chunk]",
    *,
    bearer_token: str | None = None,
    ssl: tls.SSLContext | None = None,
    speed: float = 1.0,
    lead_ms: float = 0.0,
) -> StreamResult:
    """Stream `source` to `url` until it ends or the server closes.

    `source` gives chunks, `{track: pcm}`: mono s16 of any length, the tracks of one chunk side by side.
    Each packet leaves at its absolute deadline, `lead_ms` early, `speed` times as fast as real time;
    `math.inf` sends as quickly as the server takes it. What the server sends is counted and dropped.
    `url` is wss:// (verified against `ssl`, by default the system's authorities) or, to a loopback
    host only, ws://: a call's audio does not cross a network in the clear.

    Raises LocalProtocolError for a URL it will not use, RemoteProtocolError when the server refuses the
    upgrade, or floods us with messages, and OSError when it cannot be reached.
    """
    playout = Playout(sender, lead_ms=lead_ms)
    check_speed(speed)
    async with connected(url, bearer_token, ssl) as socket:
        streaming = _Streaming(socket, sender, playout, speed)
        return await streaming.run(streaming.send_all(source))


class Sending:
    """One connected stream: a task that sends on time beside one that reads what comes back."""

    # A load has thousands of them, and each packet finds its call in none of the core's caches.
    __slots__ = (
        "_began",
        "_is_flooded",
        "_loop",
        "_reason",
        "_received",
        "_sent",
        "_socket",
        "_speed",
        "_stop_timeout_s",
        "_task",
        "_transport",
        "_used_s",
    )

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, speed: float = 1.0) -> None:
        self._socket = socket
        connection = socket._response.connection  # which has no public name
        self._transport = None if connection is None else connection.transport
        self._speed = speed
        self._stop_timeout_s = STOP_TIMEOUT_S
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._sent = 0
        self._received = 0
        self._reason = ""
        self._used_s = self._began - MESSAGES_AHEAD_S  # up to here, what may come has come
        self._is_flooded = False
        self._task: asyncio.Task[None] | None = None

    @property
    def messages_sent(self) -> int:
        """Messages that were handed to the socket."""
        return self._sent

    @property
    def messages_received(self) -> int:
        """Messages that came back."""
        return self._received

    def give_up(self) -> None:
        """Send no more, and let `run` close."""
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """Send no more, and drop the connection, whatever the server does."""
        self.give_up()
        if self._transport is not None:
            self._transport.abort()

    async def run(self, send_all: Coroutine[None, None, None]) -> StreamResult:
        """Send until `send_all` is done or the server closes; RemoteProtocolError when it floods us."""
        listening = asyncio.create_task(self._listen())
        sending = self._task = asyncio.create_task(send_all)
        try:
            await asyncio.wait((listening, sending), return_when=asyncio.FIRST_COMPLETED)
            complete = sending.done() and _outcome(sending)
            if self._is_flooded:
                await asyncio.wait((listening,))
            elif not sending.cancelled():
                await asyncio.wait((listening,), timeout=self._stop_timeout_s)
        finally:
            sending.cancel()
            await self._close()  # it ends the listening; cancelling that would lose the close code
            await asyncio.gather(listening, sending, return_exceptions=True)
        if self._is_flooded:
            raise RemoteProtocolError(
                f"more came back than {MESSAGES_PER_S_MAX} messages of 4 KiB a second: closed with 1008"
            )
        code = self._socket.close_code
        return StreamResult(complete and code in (None, 1000), self._sent, self._received, code, self._reason)

    def _take(self, message: aiohttp.WSMessage) -> None:
        """Take what came back, which nobody here needs."""

    async def _close(self) -> None:
        try:
            with suppress(TimeoutError):  # aiohttp waits as long again for every message that comes meanwhile
                async with asyncio.timeout(CLOSE_TIMEOUT_S + 0.5):
                    await self._socket.close()
        finally:
            if self._socket.close_code in (None, WSCloseCode.ABNORMAL_CLOSURE):
                self.abort()  # a peer that reads nothing keeps nothing of ours

    async def _listen(self) -> None:
        n_messages = 0
        while (message := await self._socket.receive()).type in _COUNTED:
            n_messages += 1
            self._used_s += (1 + len(message.data) // 4096) / MESSAGES_PER_S_MAX
            if message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is not WSMsgType.PONG and not self._is_flooded:
                self._received += 1
                self._take(message)
            if n_messages % MESSAGES_A_TURN == 0:
                await asyncio.sleep(0)  # aiohttp does not suspend while it has messages
                if self._used_s > self._loop.time() and not self._is_flooded:
                    await self._refuse_flood()
                self._used_s = max(self._used_s, self._loop.time() - MESSAGES_AHEAD_S)
        if message.type is WSMsgType.CLOSE:
            self._reason = message.extra or ""
        elif message.type is WSMsgType.ERROR:  # ours: no WebSocket, a message that is too long, no pong
            self._reason = str(message.data)

    async def _refuse_flood(self) -> None:
        """Say why, read nothing more from the server, and drop it."""
        self._is_flooded = True
        self.give_up()
        if self._transport is not None:
            self._transport.pause_reading()
        reason = WSCloseCode.POLICY_VIOLATION.to_bytes(2) + b"too many messages"
        with suppress(ConnectionError, TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(FLOOD_CLOSE_S):
                await self._socket.send_frame(reason, WSMsgType.CLOSE)
                await asyncio.sleep(FLOOD_CLOSE_S)  # until it has read that: a reset would take it away
        self.abort()

    async def _send(self, message: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        await self._socket.send_frame(message, kind)
        self._sent += 1


class _Streaming(Sending):
    """The sending of audio, packet by packet."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, sender: StreamSender, playout: Playout, speed: float
    ) -> None:
        super().__init__(socket, speed)
        self._stop_timeout_s = STOP_TIMEOUT_S if sender.needs_stop else 0.0  # else it is ours to close
        self._sender = sender
        self._playout = playout

    async def send_all(self, source: "AsyncIterable[Chunk]") -> None:
        await self._send_each(self._sender.start())
        chunks = aiter(source)
        chunk: asyncio.Task[Chunk | None] | None = None
        exhausted = False
        try:
            while True:
                await self._send_each(self._playout.due(self._now_ms()))
                if chunk is None and not exhausted and self._playout.queued_ms < AHEAD_MS:
                    chunk = asyncio.create_task(_next(chunks))
                if chunk is None and self._playout.next_deadline_ms is None:
                    return
                await self._sleep(chunk)
                if chunk is not None and chunk.done():
                    exhausted = not self._play(chunk.result())
                    chunk = None
        finally:
            if chunk is not None:
                chunk.cancel()

    def _play(self, chunk: "Chunk | None") -> bool:
        """Queue a chunk, or the end of the stream; False for the end."""
        if chunk is None:
            self._playout.finish()
            return False
        for track, pcm in chunk.items():
            self._playout.play(pcm, track)
        return True

    async def _sleep(self, chunk: "asyncio.Task[Chunk | None] | None") -> None:
        """Wait for the next deadline, or for the source."""
        deadline = self._playout.next_deadline_ms
        delay = None if deadline is None else max(0.0, (deadline - self._now_ms()) / 1000 / self._speed)
        if chunk is not None:
            await asyncio.wait((chunk,), timeout=delay)
        elif delay is not None:
            await asyncio.sleep(delay)

    def _now_ms(self) -> float:
        if math.isinf(self._speed):  # time jumps to where everything that is queued is due
            return max(0.0, self._playout.next_deadline_ms or 0.0) + self._playout.queued_ms
        return (self._loop.time() - self._began) * 1000 * self._speed

    async def _send_each(self, messages: list[bytes]) -> None:
        for message in messages:
            kind = WSMsgType.TEXT if self._sender.is_text(message) else WSMsgType.BINARY
            await self._send(message, kind)


async def _next(chunks: "AsyncIterator[Chunk]") -> "Chunk | None":
    return await anext(chunks, None)


def _outcome(sending: "asyncio.Task[None]") -> bool:
    """True when everything was sent, False when it broke or was given up; raises what the source raised."""
    if sending.cancelled():
        return False
    error = sending.exception()
    if error is None:
        return True
    if isinstance(error, ConnectionError):
        return False
    raise error


def check_speed(speed: float) -> None:
    """Refuse a speed that is impossible: LocalProtocolError."""
    if not speed > 0:
        raise LocalProtocolError(f"speed of {speed}: takes more than 0 (1 is real time)")


@asynccontextmanager
async def connected(
    url: str,
    bearer_token: str | None,
    ssl: tls.SSLContext | None,
    *,
    target: "Target | None" = None,
    max_message_bytes: int = MESSAGE_BYTES_MAX,
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connect to where audio may be sent, to `target` alone if it is given; raises what `stream` does.

    Pings are messages that come, and are to be answered.
    """
    check_url(url)
    async with _session() if target is None else target.session() as session:
        url = url if target is None else str(target.url)
        socket = await _connect(session, url, bearer_token, ssl, max_message_bytes)
        try:
            yield socket
        finally:
            socket._response.close()  # aiohttp leaves a connection open that was lost


def _session() -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(trace_configs=[trace])


async def _connect(
    session: aiohttp.ClientSession,
    url: str,
    bearer_token: str | None,
    ssl: tls.SSLContext | None,
    max_message_bytes: int,
) -> aiohttp.ClientWebSocketResponse:
    headers = {} if bearer_token is None else {"Authorization": authorization(bearer_token)}
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await session.ws_connect(
                url,
                headers=headers,
                ssl=ssl or True,
                heartbeat=HEARTBEAT_S,
                autoping=False,  # aiohttp would answer any number, and let nobody else have a turn
                max_msg_size=max_message_bytes + 1,  # aiohttp refuses this size and above
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
            )
    except TimeoutError as error:
        raise TimeoutError(f"the server did not answer within {CONNECT_TIMEOUT_S:g} s") from error
    except aiohttp.WSServerHandshakeError as error:
        cure = _CURES.get(error.status, "")
        refused = f"the server refused the stream with HTTP {error.status}{cure}"
        raise RemoteProtocolError(refused) from None  # the cause holds the request, and so the token
    except aiohttp.ClientConnectorCertificateError as error:
        raise RemoteProtocolError(
            f"the server's certificate is not trusted, name its authority: {error.certificate_error}"
        ) from error
    except aiohttp.ClientConnectorSSLError as error:  # its number is one of OpenSSL's
        reason = getattr(error.os_error, "reason", None) or error.os_error
        raise ConnectionError(
            f"{error.host}:{error.port} does not speak TLS as it should ({reason}): the URL may need ws://"
        ) from error
    except aiohttp.ClientConnectorError as error:
        what = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        kind = ConnectionRefusedError if error.errno == errno.ECONNREFUSED else ConnectionError
        raise kind(f"cannot connect to {error.host}:{error.port}: {what}") from error
    except aiohttp.ClientError as error:
        cure = "; it may speak TLS: try wss://" if urlsplit(url).scheme == "ws" else ""
        said = without_token(bearer_token, str(error))
        cause = None if isinstance(error, aiohttp.ClientResponseError) else error  # it holds the request, too
        raise RemoteProtocolError(f"no WebSocket there: {said}{cure}") from cause


def without_token(token: str | None, text: str) -> str:
    """Take the token out of what a server says, which may repeat it."""
    return text if token is None else text.replace(token, "...")


async def _refuse_redirect(*args: object) -> None:
    raise RemoteProtocolError("the server redirects the stream: use the URL that it redirects to")


def check_url(url: str) -> None:
    """Refuse what is no WebSocket URL, or would send audio in the clear: LocalProtocolError."""
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:  # brackets or a port that cannot be
        scheme, host = "", None
    if scheme not in ("ws", "wss") or not host:
        raise LocalProtocolError(f"not a WebSocket URL: the form is wss://HOST[:PORT]/PATH, got {url[:64]!r}")
    if scheme == "ws" and not is_loopback(host):
        raise LocalProtocolError(f"ws:// to {host[:64]} would send audio in the clear: use wss://")
