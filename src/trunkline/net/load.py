"""Load: many calls at once from one process, each packet at its time, and how they fared."""

import asyncio
import math
import os
import ssl as tls
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import msgspec

from trunkline.errors import FormatError, TrunklineError
from trunkline.formats import CodecSpec
from trunkline.lateness import Lateness
from trunkline.net.client import StreamResult, check_url, connected
from trunkline.net.load_call import Faults, LoadCall, Tally
from trunkline.stream import StreamSender
from trunkline.testing.signals import speech_like
from trunkline.track import Packetizer

__all__ = ["Load", "LoadReport", "Pacer", "Quantiles"]

SPEECH_S: Final = 10.0  # encoded once; each call begins somewhere in it
CALLS_MAX: Final = 50_000  # an address has no more ports to call one from
MARK_EVERY_MS: Final = 1000
MARKS_PER_S_MAX: Final = 200  # of all calls: to send one and take its echo costs as much as ten packets
RUN_CALLS: Final = 32  # some 0.3 ms
REASONS_MAX: Final = 20  # that are told apart
OTHER_REASONS: Final = "others"


class Quantiles(msgspec.Struct, frozen=True):
    """How late many things were, in ms; to 9 %."""

    p50: float
    p99: float
    p999: float
    max: float


class LoadReport(msgspec.Struct, frozen=True):
    """How the calls of a load fared.

    Of the calls that were tried `refused` got no connection, `connected` did; of these `completed` were taken
    up to stop, `broken` ended before. Of the packets that were `due` to be sent, `sent` were, `left_out` on
    request, and `lost` not: the endpoint did not take them in time, or its connection had gone. `reordered`
    were sent after the one behind them. `late_ms` is from when a packet was due until it was handed to the
    socket: this process' own lateness. `answer_ms` is from a mark to its echo, `unanswered` are marks without
    one: None and 0 where the endpoint echoes none at all. `reasons` says how often what broke calls off, or
    refused them.
    """

    seconds: float
    connected: int
    completed: int
    broken: int
    refused: int
    due: int
    sent: int
    left_out: int
    reordered: int
    lost: int
    marks: int
    echoed: int
    unanswered: int
    late_ms: Quantiles
    answer_ms: Quantiles | None
    reasons: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether every call was taken, up to its end, with all its packets."""
        return not (self.broken or self.refused or self.lost or self.unanswered)


class Pacer:
    """Has each call send its packet once a packet time, the calls spread over it, at absolute deadlines.

    Being late moves none of the deadlines behind. How late is counted in `tally`, of RUN_CALLS packets that
    leave one behind the other as of the last.
    """

    def __init__(self, ptime_ms: int, tally: Tally) -> None:
        self._slots: list[set[LoadCall]] = [set() for _ in range(ptime_ms)]  # of 1 ms
        self._tally = tally

    def add(self, call: LoadCall) -> None:
        """Have a call send from now on."""
        min(self._slots, key=len).add(call)

    def discard(self, call: LoadCall) -> None:
        """Leave a call alone from now on."""
        for slot in self._slots:
            slot.discard(call)

    async def run(self) -> None:
        """Pace, until it is cancelled."""
        loop = asyncio.get_running_loop()
        began_s, n_ms = loop.time(), 0
        while True:
            n_ms += 1
            due_s = began_s + n_ms / 1000
            await asyncio.sleep(max(0.0, due_s - loop.time()))  # 0 lets the others have their turn
            calls = tuple(self._slots[n_ms % len(self._slots)])
            for at in range(0, len(calls), RUN_CALLS):
                n_due = self._tally.due
                self._send(calls[at : at + RUN_CALLS])
                self._tally.late.add((loop.time() - due_s) * 1000, self._tally.due - n_due)

    def _send(self, calls: Iterable[LoadCall]) -> None:
        """Take what is due of all, then give it to the kernel: by turns, each finds its caches cold."""
        due, frames = [], []
        for call in calls:
            try:
                frame = call.take_next()
            except OSError:
                call.give_up()
                continue
            if frame is not None:
                due.append(call)
                frames.append(frame)
        written = _written([call.fd for call in due], frames)
        for call, frame, n_bytes in zip(due, frames, written, strict=True):
            try:
                call.sent(frame, n_bytes)
            except OSError:
                call.give_up()


def _written(fds: list[int], frames: list[bytes]) -> list[int]:
    """Write to sockets that do not block; say how much each took, -1 for one whose peer has gone."""
    written: list[int] = []
    writing = map(os.write, fds, frames)
    while len(written) < len(fds):
        try:
            written.extend(writing)
        except BlockingIOError:
            written.append(0)
        except OSError:
            written.append(-1)
    return written


class Load:
    """Stream `calls` calls of speech to `url`, each for `seconds`, and each `rounds` times in succession.

    `connects_per_s` of them begin in a second. All carry the same speech, encoded once, each from another
    place on. `drop` and `reorder` (0 to below 1) are the parts of the packets that are left out, and that
    change places with the one behind them; the same ones for a `seed`. Once a second a call sends a mark,
    or 200 calls in turn where there are more, and times its echo where the endpoint echoes it. What else
    comes back is passed over. URL, token and `ssl` are those of `stream`.

    Raises FormatError for numbers that are impossible and for what we cannot encode, LocalProtocolError for a
    URL that it will not use. That calls fail raises nothing: the report says it.

        report = await Load("wss://example.com/audio", calls=500, seconds=60).run()
        assert report.is_clean, report
    """

    def __init__(
        self,
        url: str,
        *,
        calls: int,
        seconds: float,
        rounds: int = 1,
        codec: CodecSpec | str = "PCMU",
        dialect: str = "signalwire",
        drop: float = 0.0,
        reorder: float = 0.0,
        connects_per_s: float = 50.0,
        bearer_token: str | None = None,
        ssl: tls.SSLContext | None = None,
        seed: int = 0,
    ) -> None:
        check_url(url)
        if not 1 <= calls <= CALLS_MAX or rounds < 1:
            raise FormatError(f"{calls:,} calls, {rounds} rounds: takes 1 or more, up to {CALLS_MAX:,} calls")
        if not 0 < seconds < math.inf or not 0 < connects_per_s < math.inf:
            raise FormatError(
                f"{seconds} s, {connects_per_s} connects a second: takes more than 0, and no infinity"
            )
        if not 0 <= drop < 1 or not 0 <= reorder < 1:
            raise FormatError(f"drop of {drop}, reorder of {reorder}: takes 0 to below 1")
        self._url = url
        self._n_calls = calls
        self._seconds = seconds
        self._rounds = rounds
        in_turn_ms = 1000 * min(calls / MARKS_PER_S_MAX, seconds)  # each call has one, however short
        self._mark_every_ms = max(MARK_EVERY_MS, round(in_turn_ms))
        self._codec = CodecSpec.parse(codec) if isinstance(codec, str) else codec
        self._dialect = dialect
        self._faults = Faults(drop, reorder)
        self._connects_per_s = connects_per_s
        self._bearer_token = bearer_token
        self._ssl = ssl
        self._seed = seed
        if dialect == "audiosocket":
            raise FormatError("dialect 'audiosocket': it is no WebSocket's")
        StreamSender(self._codec, dialect=dialect)  # for its checks
        self._n_packets = max(1, round(seconds * 1000 / self._codec.ptime_ms))
        self._payloads = Packetizer(self._codec).push(speech_like(SPEECH_S, self._codec.sample_rate))
        self._tally = Tally()
        self._live: set[LoadCall] = set()
        self._began_s: float | None = None
        self._ended_s: float | None = None
        self._stopping = asyncio.Event()

    @property
    def n_calls(self) -> int:
        """How many calls there are at once, when all have begun."""
        return self._n_calls

    @property
    def n_live(self) -> int:
        """How many calls are connected."""
        return len(self._live)

    @property
    def duration_s(self) -> float:
        """How long it takes from the first call to the end of the last, if the endpoint takes all."""
        return (self._n_calls - 1) / self._connects_per_s + self._rounds * self._seconds

    def stop(self) -> None:
        """End all calls in good order, and begin no more; `run` returns when they have ended."""
        self._stopping.set()
        for call in self._live:
            call.finish()

    async def run(self) -> LoadReport:
        """Make the calls, once; return how they fared."""
        loop = asyncio.get_running_loop()
        self._began_s = loop.time()
        pacer = Pacer(self._codec.ptime_ms, self._tally)
        async with asyncio.TaskGroup() as group:
            pacing = group.create_task(pacer.run())
            async with asyncio.TaskGroup() as places:
                for place in range(self._n_calls):
                    places.create_task(self._calls_of(place, pacer))
            pacing.cancel()
        self._ended_s = loop.time()
        return self.report()

    def report(self) -> LoadReport:
        """Tell how the calls fare up to now."""
        tally = self._tally
        now_s = self._ended_s or asyncio.get_running_loop().time()
        counted = {
            name: getattr(tally, name) for name in LoadReport.__struct_fields__ if hasattr(tally, name)
        }
        counted["reasons"] = dict(tally.reasons)
        return LoadReport(
            seconds=0.0 if self._began_s is None else now_s - self._began_s,
            late_ms=_quantiles(tally.late),
            answer_ms=_quantiles(tally.answer) if tally.answer.n else None,
            **counted,
        )

    def restart_quantiles(self) -> None:
        """Count anew, from now on, how late packets and answers are: such as when all calls have begun."""
        self._tally.late, self._tally.answer = Lateness(), Lateness()

    async def _calls_of(self, place: int, pacer: Pacer) -> None:
        """Make the calls of one place, one after the other."""
        loop = asyncio.get_running_loop()
        first_s = loop.time() + place / self._connects_per_s
        for k in range(self._rounds):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(first_s + k * self._seconds):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return
            await self._call(pacer, f"{self._seed} {place} {k}")

    async def _call(self, pacer: Pacer, seed: str) -> None:
        tally, call = self._tally, None
        try:
            async with connected(self._url, self._bearer_token, self._ssl) as socket:
                tally.connected += 1
                sender = StreamSender(self._codec, dialect=self._dialect)
                call = LoadCall(
                    socket,
                    sender,
                    self._payloads,
                    self._n_packets,
                    self._faults,
                    tally,
                    self._mark_every_ms,
                    seed,
                )
                result = await self._run(call, pacer)
            tally.completed += result.complete
            tally.broken += not result.complete
            if not result.complete:
                self._count_reason(f"closed with {result.close_code}: {result.close_reason}".rstrip(": "))
        except (TrunklineError, OSError) as error:
            tally.refused += call is None
            tally.broken += call is not None
            self._count_reason(str(error) or type(error).__name__)

    async def _run(self, call: LoadCall, pacer: Pacer) -> StreamResult:
        self._live.add(call)
        if self._stopping.is_set():
            call.finish()
        try:
            return await call.run(call.send_all(pacer))
        finally:
            self._live.discard(call)
            call.settle()

    def _count_reason(self, reason: str) -> None:
        reasons = self._tally.reasons
        reasons[reason if reason in reasons or len(reasons) < REASONS_MAX else OTHER_REASONS] += 1


def _quantiles(lateness: Lateness) -> Quantiles:
    p50, p99, p999 = map(lateness.quantile_ms, (0.5, 0.99, 0.999))
    return Quantiles(p50, p99, p999, lateness.max_ms)
