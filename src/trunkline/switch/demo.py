"""A whole call on this machine: placed on a switch, streamed as its application wants, recorded, checked.

    Switch -- calling.call.receive --> RelayClient
    Switch <-- calling.answer, calling.stream -- RelayClient
    Switch -- both tracks --> serve, CallRecordings

All three ends are the real ones, over TLS on loopback.
"""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from trunkline import g711, opus, relay
from trunkline.errors import RemoteProtocolError
from trunkline.formats import CodecSpec, whole_samples
from trunkline.net import CallRecording, CallRecordings, serve
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.resample import Resampler
from trunkline.stream import StreamReceiver, StreamSender
from trunkline.stream.messages import TRACKS
from trunkline.switch.clock import TICK_MS
from trunkline.switch.events import CallChanged, StreamNotStarted, SwitchEvent
from trunkline.switch.server import serve_switch
from trunkline.switch.sources import PcmSource
from trunkline.switch.stream import Stream
from trunkline.switch.switch import Switch
from trunkline.track import Packetizer, TrackStats
from trunkline.wav import WavReader

__all__ = ["RECORDED_RATE", "DemoResult", "OnStep", "Party", "run_demo"]

RECORDED_RATE: Final = 16_000  # what many recognisers take
NAME: Final = "demo"  # of the project, the context and the stream
FROM_NUMBER: Final = "+15550100"
TO_NUMBER: Final = "+15550101"
MEASURED_RUNS: Final = 5

Party: TypeAlias = Literal["switch", "application", "endpoint"]
OnStep: TypeAlias = Callable[[float, Party, str], None]  # seconds since the call was placed


class DemoResult(NamedTuple):
    """What the endpoint counted, and how its recording compares with what was said.

    `missed_ms` of the call were over when the stream began. Of the rest, `compared` packets, `wrong` counts
    the stretches of a packet's length in which the recording is not, sample by sample, what the codec and
    the resamplers make of what was said.
    """

    path: Path
    stats: dict[str, TrackStats]
    receive_us: float  # StreamReceiver.receive per packet, best of some runs over the call's messages
    missed_ms: float
    compared: int
    wrong: int

    @property
    def verified(self) -> bool:
        """True when all that was streamed is in the recording, and nothing else."""
        lost = sum(stats.lost for stats in self.stats.values())
        return self.compared > 0 and lost == self.wrong == 0


class _Said(PcmSource):
    """One side of the call, which knows how much of it is over."""

    n_read = 0

    def read(self, n_samples: int) -> bytes:
        self.n_read += n_samples
        return super().read(n_samples)


class _Steps:
    """Tells what the parties do, and keeps how much was said before the stream began."""

    def __init__(self, said: _Said, on_step: OnStep, on_start: Callable[[CallRecording], None]) -> None:
        self.n_missed = 0  # samples
        self._said = said
        self._on_step = on_step
        self._on_start = on_start
        self._now = asyncio.get_running_loop().time
        self._placed_s = 0.0

    def tell(self, party: Party, what: str) -> None:
        self._on_step(self._now() - self._placed_s, party, what)

    def on_event(self, event: SwitchEvent) -> None:
        """Take what the switch tells."""
        if isinstance(event, CallChanged):
            self._call_changed(event)
        elif isinstance(event, StreamNotStarted):
            pass  # run_demo raises what the application is told
        elif event.state == "streaming":
            self.n_missed = self._said.n_read
            missed_ms = 1000 * self.n_missed / self._said.sample_rate
            self.tell("switch", f"streaming, {missed_ms:.0f} ms after the answer")
        else:
            late_ms = event.stream.lateness.max_ms  # 0 in virtual time, where it says nothing
            late = f", at most {late_ms:.1f} ms late" if late_ms else ""
            self.tell("switch", f"finished: {event.stream.messages_sent:,} messages{late}")

    def on_start(self, recording: CallRecording) -> None:
        """Take what the endpoint tells."""
        start, audio = recording.call.start, recording.call.start.media_format
        what = f"{', '.join(start.tracks)} in {audio.codec} at {audio.sample_rate} Hz"
        self.tell("endpoint", f"start: {what}; recorded at {start.sample_rate} Hz")
        self._on_start(recording)

    def _call_changed(self, event: CallChanged) -> None:
        call = event.call
        match event.state:
            case "created":
                self._placed_s = self._now()
                self.tell("switch", f"call placed: {call.from_number} -> {call.to_number}")
            case "ringing" | "answered":
                self.tell("switch", event.state)
            case "ended":
                self.tell("switch", f"ended: {call.end_reason}")


async def run_demo(
    directory: Path,
    sides: tuple[bytes, bytes],
    sample_rate: int,
    *,
    codec: CodecSpec = CodecSpec("PCMU", 8000),  # noqa: B008 (it is frozen)
    on_step: OnStep = lambda at_s, party, what: None,
    on_start: Callable[[CallRecording], None] = lambda recording: None,
) -> DemoResult:
    """Have the two `sides` of a call (s16 at `sample_rate`) streamed into a stereo WAV in `directory`.

    The call lasts as long as they do. `on_step` is told who does what, and when; `on_start` of the recording.
    The certificate and the tokens are made for this call. Raises RelayError when the switch refuses the
    stream, RemoteProtocolError when the endpoint ends it, OSError when the recording cannot be written.
    """
    said = _Said(sides[0], sample_rate)
    steps = _Steps(said, on_step, on_start)
    recording = await _record(directory, said, PcmSource(sides[1], sample_rate), codec, steps)
    streamed = [_streamed(side, sample_rate, steps.n_missed) for side in sides]
    return DemoResult(
        path=recording.path,
        stats=recording.call.stats,
        receive_us=_measure(codec, streamed, sample_rate),
        missed_ms=1000 * steps.n_missed / sample_rate,
        compared=sum(len(side) for side in streamed) // (2 * whole_samples(codec.ptime_ms, sample_rate)),
        wrong=_compare(recording.path, codec, streamed, sample_rate),
    )


async def _record(
    directory: Path, inbound: PcmSource, outbound: PcmSource, codec: CodecSpec, steps: _Steps
) -> CallRecording:
    """Run all three parties until the call has ended; raise what went wrong."""
    ended: list[CallRecording] = []
    recordings = CallRecordings(directory, on_start=steps.on_start, on_end=ended.append)
    stream_token = secrets.token_urlsafe()
    with tempfile.TemporaryDirectory() as keys:
        certificate, key = self_signed(keys)
        own, trusted = server_context(certificate, key), client_context(certificate)
    async with (
        serve(recordings, bearer_token=stream_token, ssl=own, sample_rate=RECORDED_RATE) as endpoint,
        Switch(project_id=NAME, token=secrets.token_urlsafe(), ssl=trusted) as switch,
        serve_switch(switch, ssl=own) as doors,
        relay.RelayClient(NAME, switch.token, host=doors.host, contexts=[NAME], ssl=trusted) as application,
    ):
        switch.subscribe(steps.on_event)
        offered: asyncio.Queue[relay.Call] = asyncio.Queue()
        application.on_call(offered.put)
        placed = switch.place_call(
            inbound,
            outbound=outbound,
            from_number=FROM_NUMBER,
            to_number=TO_NUMBER,
            context=NAME,
            sample_rate=inbound.sample_rate,
        )
        await _stream(await offered.get(), endpoint.url, stream_token, codec, steps)
        if not placed.is_live:  # else the stream has failed, and the switch hangs up as it closes
            await placed.wait_for_ended()
    return _recorded(ended, placed.streams[NAME])


async def _stream(call: relay.Call, url: str, token: str, codec: CodecSpec, steps: _Steps) -> None:
    """Be the application: answer the call, and have it streamed until that has finished."""
    steps.tell("application", "calling.answer")
    await call.answer()
    steps.tell("application", f"calling.stream: both tracks, {codec}, to {url}")
    action = await call.stream(
        url, codec=str(codec), track="both", authorization_bearer_token=token, control_id=NAME
    )
    await action.wait()


def _recorded(ended: list[CallRecording], stream: Stream) -> CallRecording:
    """Give the recording, or raise why there is none."""
    for recording in ended:
        if recording.error is not None:
            raise recording.error
    if stream.error is not None:
        raise stream.error
    if not ended:
        raise RemoteProtocolError("the stream has finished, and nothing was recorded")
    return ended[0]


def _streamed(side: bytes, sample_rate: int, n_missed: int) -> bytes:
    """Give what a call reads of a side from a time on: in whole ticks, the last filled up with silence."""
    tick = 2 * whole_samples(TICK_MS, sample_rate)
    heard = side[2 * n_missed :]
    return heard.ljust(-(-len(heard) // tick) * tick, b"\0")


def _measure(codec: CodecSpec, streamed: list[bytes], sample_rate: int) -> float:
    """Time StreamReceiver.receive over the call's messages: us per message, best of some runs."""
    sender = StreamSender(codec, sample_rate=sample_rate, tracks=TRACKS, stream_id=NAME, call_id=NAME)
    messages, tick = sender.start(), 2 * whole_samples(TICK_MS, sample_rate)
    for at in range(0, len(streamed[0]), tick):
        for track, side in zip(TRACKS, streamed, strict=True):
            messages += sender.media(side[at : at + tick], track)
    seconds = []
    for _ in range(MEASURED_RUNS):
        receiver = StreamReceiver(sample_rate=RECORDED_RATE)
        began = time.perf_counter()
        for message in messages:
            receiver.receive(message)
        seconds.append(time.perf_counter() - began)
    return min(seconds) * 1e6 / len(messages)


def _compare(path: Path, codec: CodecSpec, streamed: list[bytes], sample_rate: int) -> int:
    """Compare a recording with what was streamed: stretches of a packet that are wrong."""
    with WavReader(path) as reader:
        samples = memoryview(reader.read()).cast("h")
    step = 2 * whole_samples(codec.ptime_ms, RECORDED_RATE, "ptime")
    wrong = 0
    for channel, side in enumerate(streamed):
        recorded = samples[channel :: len(streamed)].tobytes()
        expected = _as_recorded(codec, side, sample_rate)
        wrong += len(recorded) != len(expected)
        wrong += sum(
            recorded[at : at + step] != expected[at : at + step] for at in range(0, len(expected), step)
        )
    return wrong


def _as_recorded(codec: CodecSpec, side: bytes, sample_rate: int) -> bytes:
    """Give what was streamed as the stream brings it, in one piece."""
    packetizer = Packetizer(codec, sample_rate=sample_rate)
    payloads = packetizer.push(side) + packetizer.flush()
    decode = {"PCMU": g711.ulaw_decode, "PCMA": g711.alaw_decode, "L16": bytes}.get(codec.name)
    if decode is None:
        decode = opus.Decoder(codec.sample_rate).decode
    up = Resampler(codec.sample_rate, RECORDED_RATE)
    return up.process(b"".join(map(decode, payloads))) + up.flush()
