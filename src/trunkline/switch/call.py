"""Call: one call of a switch, its two tracks and their streams."""

import asyncio
import ssl as tls
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal
from uuid import uuid4

from trunkline.errors import FormatError, LibraryMissingError, LocalProtocolError, StreamStartError
from trunkline.extras import needs_extra
from trunkline.formats import whole_samples
from trunkline.net.client import connected
from trunkline.net.targets import Targets
from trunkline.stream import StreamRequest, StreamSender
from trunkline.stream.messages import check_digit
from trunkline.switch.actions import OnCompleted, StreamAction, complete
from trunkline.switch.callbacks import CallbackSender, StatusCallback, StreamStatus
from trunkline.switch.clock import TICK_MS, Clock
from trunkline.switch.events import (
    CallbackForm,
    CallChanged,
    CallState,
    StreamChanged,
    StreamNotStarted,
    SwitchEvent,
)
from trunkline.switch.sources import Source
from trunkline.switch.stream import Stream
from trunkline.switch.tracks import Outbound, Side

with needs_extra("server"):
    import aiohttp

__all__ = ["Call", "Exchange"]

STREAMS_MAX: Final = 64  # live ones of a call
FINISHED_MAX: Final = 256  # streams of a call that are remembered


@dataclass
class Exchange:
    """What the calls of one switch have in common."""

    project_id: str
    space_id: str
    node_id: str
    emit: Callable[[SwitchEvent], None]
    targets: Targets | None = None
    ssl: tls.SSLContext | None = None
    callbacks: CallbackSender | None = None
    insecure_loopback: bool = False
    tasks: "set[asyncio.Task[Any]]" = field(default_factory=set)  # that nobody waits for
    connecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def turn_to_connect(self) -> None:
        """Wait until no other stream begins to connect in the same turn of the loop.

        Connecting takes a millisecond of it: however many streams are asked for at once, every call has its
        turn between two of them.
        """
        async with self.connecting:
            await asyncio.sleep(0)


class Call:
    """A call; made by `Switch.place_call`. Times are in seconds since 1970, None for what has not been.

    Its sides are heard once it is answered; before that, what is streamed is silence and what is played.
    """

    def __init__(
        self,
        exchange: Exchange,
        source: Source | None,
        outbound: Source | None,
        *,
        from_number: str,
        to_number: str,
        context: str,
        tag: str,
        direction: Literal["inbound", "outbound"],
        sample_rate: int,
        hang_up_at_end: bool,
        phase_s: float,
    ) -> None:
        self.id = str(uuid4())
        self.node_id = exchange.node_id
        self.segment_id = str(uuid4())
        self.project_id = exchange.project_id
        self.direction: Literal["inbound", "outbound"] = direction
        self.from_number = from_number
        self.to_number = to_number
        self.context = context
        self.tag = tag
        self.sample_rate = sample_rate
        self.state: CallState = "created"
        self.end_reason: str | None = None
        self.created_s = time.time()
        self.answered_s: float | None = None
        self.ended_s: float | None = None
        self._exchange = exchange
        self._event_channel = f"swml:{uuid4()}"
        self._n_samples = whole_samples(TICK_MS, sample_rate, "tick")
        self._inbound = Side(source, sample_rate)
        self._outbound = Outbound(Side(outbound, sample_rate), sample_rate)
        self._hang_up_at_end = hang_up_at_end
        self._clock = Clock(self._tick, phase_s)
        self._streams: dict[str, Stream] = {}
        self._ending: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The streams by control id, as they began or finished; the last 256 that finished are kept."""
        return MappingProxyType(self._streams)

    @property
    def is_live(self) -> bool:
        """Whether it has neither ended nor is about to: once it is hung up, its streams finish first."""
        return self._ending is None

    def ring(self) -> None:
        """Tell of the call, and let it ring; the switch does that."""
        self._advance("created")
        self._advance("ringing")

    @property
    def insecure_loopback(self) -> bool:
        """Whether its streams may go to ws:// on loopback hosts, as its switch was told."""
        return self._exchange.insecure_loopback

    async def answer(self) -> None:
        """Answer the call, whose sides are heard from now on. Nothing when it is answered.

        LocalProtocolError when it has ended, or is about to.
        """
        self._check_live("answer")
        if self.answered_s is None:
            self.answered_s = time.time()
            self._advance("answered")
            self._clock.start()

    async def hangup(self, reason: str = "hangup") -> None:
        """Finish every stream, then end the call; return when it has ended. The first reason counts."""
        await asyncio.shield(self._hang_up(reason))

    async def wait_for_ended(self) -> None:
        """Wait until the call has ended."""
        await self._ended.wait()

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

        `on_completed`, plain or a coroutine function, is called once with the StreamChanged of its end.
        Raises FormatError for parameters that are wrong, StreamStartError when no stream comes about.
        """
        params = {
            "url": url,
            "name": name,
            "codec": codec,
            "track": track,
            "status_url": status_url,
            "status_url_method": status_url_method,
            "authorization_bearer_token": authorization_bearer_token,
            "custom_parameters": custom_parameters,
            "control_id": control_id,
        }
        request = StreamRequest.parse(params, insecure_loopback=self._exchange.insecure_loopback)
        action = StreamAction(self, await self.start_stream(request, bidirectional=bidirectional))
        if on_completed is not None:
            self._start_task(complete(action, on_completed))
        return action

    async def start_stream(
        self, request: StreamRequest, *, callback_form: CallbackForm = "json", bidirectional: bool = False
    ) -> Stream:
        """Stream the call's audio as `request` says; return when the endpoint has accepted and start is sent.

        `bidirectional`: what the endpoint sends back is heard on the call, as its outbound track. Raises
        StreamStartError, whose `reason` is a status callback's.
        """
        try:
            return await self._start_stream(request, callback_form, bidirectional)
        except StreamStartError as error:
            self._exchange.emit(StreamNotStarted(self, request, error))
            raise

    async def _start_stream(
        self, request: StreamRequest, callback_form: CallbackForm, bidirectional: bool
    ) -> Stream:
        self._check_new(request)
        try:
            stream = Stream(
                request,
                StreamSender(
                    request.codec,
                    sample_rate=self.sample_rate,
                    tracks=request.tracks,
                    stream_id=request.control_id,
                    call_id=self.id,
                    account_id=self.project_id,
                    custom_parameters=request.custom_parameters,
                ),
                lambda: self._connected(request),
                self._on_stream_changed,
                callback_form=callback_form,
                press=self._press if bidirectional else None,
            )
        except (FormatError, LibraryMissingError) as error:
            raise StreamStartError("codec_error", str(error)) from error
        except LocalProtocolError as error:  # a text that JSON cannot carry
            raise StreamStartError("general_error", str(error)) from error
        self._streams.pop(request.control_id, None)  # a finished one of that id
        self._streams[request.control_id] = stream
        await stream.wait_until_started()
        return stream

    async def stop_stream(self, control_id: str | None = None) -> None:
        """Stop a live stream, None for the newest; LocalProtocolError when there is none."""
        for stream in reversed(self._live_streams()):
            if control_id in (None, stream.control_id):
                await stream.stop()
                return
        named = "" if control_id is None else f" {control_id[:64]}"
        raise LocalProtocolError(f"call {self.id} has no live stream{named}")

    async def connect(self, request: StreamRequest) -> None:
        """Do `start_stream` with a two-way stream, and return when that has finished."""
        stream = await self.start_stream(request, bidirectional=True)
        try:
            await stream.wait()
        except asyncio.CancelledError:
            self._start_task(stream.stop())
            raise

    async def play(self, source: Source) -> None:
        """Play `source` on the outbound track, behind what is played already; return when it was heard.

        It is heard in place of a two-way stream and of the other side, before the call is answered too. Also
        returns when the call ends; LocalProtocolError when it has ended. The source is closed in any case.
        """
        try:
            self._check_live("play")
            heard = self._outbound.play(source)
        except BaseException:
            source.close()
            raise
        self._clock.start()
        await heard

    def dtmf(self, digit: str, duration_ms: int = 250) -> None:
        """Press a key, 0-9, *, #, A-D: every live stream is told. LocalProtocolError for what is no key."""
        check_digit(digit)
        for stream in self._live_streams():
            stream.dtmf(digit, duration_ms)

    def _tick(self, due_s: float) -> None:
        """Read 20 ms of both tracks, and give them to every stream."""
        is_answered = self.answered_s is not None
        inbound = self._inbound.read(self._n_samples) if is_answered else bytes(2 * self._n_samples)
        outbound = self._outbound.read(self._n_samples, is_answered=is_answered)
        if self._inbound.is_over and self._hang_up_at_end:
            self._hang_up("hangup")
            return
        pcm = {"inbound": inbound, "outbound": outbound}
        for stream in self._live_streams():
            if stream.state == "streaming":
                stream.send(pcm, due_s)

    def _live_streams(self) -> list[Stream]:
        return [stream for stream in self._streams.values() if stream.state != "finished"]

    def _check_new(self, request: StreamRequest) -> None:
        """Refuse a stream that the call does not take."""
        if self._ending is not None:
            raise StreamStartError("general_error", f"call {self.id} has ended, or is about to")
        if not (request.url[:4].lower() == "wss:" or self._exchange.insecure_loopback):
            raise StreamStartError("invalid_url", "url: takes a wss:// URL: ws:// sends audio in the clear")
        live = self._live_streams()
        if len(live) >= STREAMS_MAX:
            raise StreamStartError("general_error", f"call {self.id} has {STREAMS_MAX} live streams")
        for stream in live:
            if stream.control_id == request.control_id:
                raise StreamStartError(
                    "Duplicated stream ID", f"call {self.id} has a live stream {request.control_id[:64]}"
                )
            if request.name is not None and stream.request.name == request.name:
                raise StreamStartError(
                    "Duplicated stream name", f"call {self.id} has a live stream named {request.name[:64]!r}"
                )

    @asynccontextmanager
    async def _connected(self, request: StreamRequest) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        await self._exchange.turn_to_connect()
        targets, token = self._exchange.targets, request.authorization_bearer_token
        target = None if targets is None else await targets.resolve(request.url, schemes=("wss", "ws"))
        async with connected(request.url, token, self._exchange.ssl, target=target) as socket:
            yield socket

    def _on_stream_changed(self, stream: Stream) -> None:
        if stream.state == "streaming":
            self._clock.start()
            if stream.reply is not None:
                self._outbound.replies.append(stream.reply)
        elif stream.reply in self._outbound.replies:
            self._outbound.replies.remove(stream.reply)
        if stream.started_s is None:
            del self._streams[stream.control_id]
        else:
            if stream.state == "finished":
                self._remember_finished(stream)
            self._exchange.emit(StreamChanged(self, stream, stream.state))
        self._notify(stream)

    def _notify(self, stream: Stream) -> None:
        """Have the status callback sent; of a stream that did not start it is "finished", with the error."""
        request, callbacks = stream.request, self._exchange.callbacks
        if request.status_url is None or callbacks is None:
            return
        reason = stream.error.reason if isinstance(stream.error, StreamStartError) else "general_error"
        status = StreamStatus(
            call_id=self.id,
            node_id=self.node_id,
            segment_id=self.segment_id,
            project_id=self.project_id,
            space_id=self._exchange.space_id,
            event_channel=self._event_channel,
            control_id=stream.control_id,
            state="streaming" if stream.state == "streaming" else "finished",
            url=request.url,
            timestamp_s=time.time(),
            name=request.name,
            track=request.track,
            error=None if stream.error is None else reason,
        )
        callbacks.notify(
            StatusCallback(
                url=request.status_url, method=request.status_url_method, form=stream.callback_form
            ),
            status,
        )

    def _remember_finished(self, stream: Stream) -> None:
        self._streams[stream.control_id] = self._streams.pop(stream.control_id)
        finished = [stream.control_id for stream in self._streams.values() if stream.state == "finished"]
        for control_id in finished[:-FINISHED_MAX]:
            del self._streams[control_id]

    def _press(self, presser: Stream, digit: str, duration_ms: int | None) -> None:
        """A two-way stream's endpoint has pressed a key: the other streams are told."""
        for stream in self._live_streams():
            if stream is not presser:
                stream.dtmf(digit, 250 if duration_ms is None else duration_ms)

    def _check_live(self, what: str) -> None:
        if self._ending is not None:
            raise LocalProtocolError(f"{what}: call {self.id} has ended, or is about to")

    def _advance(self, state: CallState) -> None:
        self.state = state
        self._exchange.emit(CallChanged(self, state))

    def _hang_up(self, reason: str) -> "asyncio.Task[None]":
        if self._ending is None:
            self._clock.stop()
            self._ending = self._start_task(self._end(reason))
        return self._ending

    async def _end(self, reason: str) -> None:
        await asyncio.gather(*(stream.stop() for stream in self._live_streams()))
        self._outbound.close()
        self._inbound.close()
        self.end_reason = reason
        self._advance("ending")
        self.ended_s = time.time()
        self._advance("ended")
        self._ended.set()

    def _start_task(self, coroutine: Any) -> "asyncio.Task[Any]":
        task = asyncio.create_task(coroutine)
        self._exchange.tasks.add(task)
        task.add_done_callback(self._exchange.tasks.discard)
        return task
