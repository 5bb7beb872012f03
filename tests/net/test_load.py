"""Load: what a receiver gets of many calls, and what the report says of those that fail."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from trunkline.errors import FormatError, LocalProtocolError
from trunkline.formats import CodecSpec
from trunkline.net import Call, Load, LoadReport, load, load_call, serve
from trunkline.net.load import Pacer
from trunkline.net.load_call import Tally
from trunkline.stream import Frame, Mark, Start, Stop
from trunkline.testing.virtual_time import run_in_virtual_time

Handler = Callable[[Call], Awaitable[None]]


class Counting:
    """A handler that echoes marks, and keeps each call and the names of its events."""

    def __init__(self, *, echo: bool = True) -> None:
        self.calls: list[Call] = []
        self.kinds: list[list[type]] = []
        self._echo = echo

    async def __call__(self, call: Call) -> None:
        kinds: list[type] = []
        self.calls.append(call)
        self.kinds.append(kinds)
        async for event in call:
            kinds.append(type(event))
            if isinstance(event, Mark) and self._echo:
                call.mark(event.name)

    def count(self, name: str) -> int:
        return sum(getattr(call.stats["inbound"], name) for call in self.calls)


def loaded(handler: Handler, options: dict[str, Any] | None = None, **load: Any) -> LoadReport:
    """Run a load against a server with these `options`."""

    async def main() -> LoadReport:
        async with serve(handler, **options or {}) as server:
            return await Load(server.url, **{"connects_per_s": 200, **load}).run()

    return run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("codec", "dialect"),
    [
        ("PCMU", "signalwire"),
        ("L16@24000h@40i", "twilio"),
        ("OPUS@16000h", "twilio"),
        ("PCMA", "telnyx"),
        ("PCMU", "plivo"),
        ("L16@8000h@100i", "exotel"),
        ("L16@16000h", "vonage"),
    ],
)
def test_every_packet_of_every_call_comes(codec: str, dialect: str, libopus: object) -> None:
    seen = Counting()
    report = loaded(seen, calls=6, seconds=1.2, codec=codec, dialect=dialect)
    n_packets = 6 * 1200 // CodecSpec.parse(codec).ptime_ms
    assert (report.connected, report.completed, report.due, report.sent) == (6, 6, n_packets, n_packets)
    assert report.is_clean
    assert (seen.count("packets"), seen.count("lost"), seen.count("late")) == (n_packets, 0, 0)
    assert {call.start.dialect for call in seen.calls} == {dialect}
    assert {(kinds[0], kinds[-1]) for kinds in seen.kinds} == {(Start, Stop)}
    assert report.marks == report.echoed == sum(kinds.count(Mark) for kinds in seen.kinds)
    assert report.marks == 6
    assert report.answer_ms is not None
    assert 0 <= report.answer_ms.p50 <= report.answer_ms.max
    assert 0 <= report.late_ms.p50 <= report.late_ms.p99 <= report.late_ms.max < 0.01


def test_what_is_left_out_is_what_the_receiver_misses() -> None:
    seen = Counting(echo=False)
    report = loaded(seen, calls=8, seconds=0.5, rounds=2, drop=0.1, reorder=0.1)
    assert (report.due, report.completed, report.lost) == (16 * 25, 16, 0)
    assert report.left_out > 0
    assert report.reordered > 0
    assert report.sent == report.due - report.left_out == seen.count("packets")
    assert seen.count("lost") == report.left_out
    assert seen.count("late") == 0  # a packet that comes with the next one is waited for
    assert (report.echoed, report.unanswered, report.answer_ms) == (0, 0, None)
    assert report.is_clean


def test_equal_seeds_leave_the_same_out() -> None:
    numbers = [
        (report.left_out, report.reordered)
        for seed in (1, 1, 2)
        for report in [loaded(Counting(), calls=4, seconds=0.24, drop=0.2, reorder=0.2, seed=seed)]
    ]
    assert numbers[0] == numbers[1] != numbers[2]


def test_calls_that_are_refused() -> None:
    report = loaded(Counting(), {"n_calls": 2}, calls=5, seconds=0.2)
    assert (report.completed, report.refused, report.broken, report.lost) == (2, 3, 0, 0)
    assert report.reasons == {"the server refused the stream with HTTP 503: it takes no more calls": 3}
    assert not report.is_clean
    token = "s3cret"  # noqa: S105
    report = loaded(Counting(), {"bearer_token": token}, calls=1, seconds=0.2, bearer_token="wrong")  # noqa: S106
    assert (report.completed, report.refused) == (0, 1)
    assert "wrong" not in str(report).replace("missing or wrong", "")
    assert loaded(Counting(), {"bearer_token": token}, calls=1, seconds=0.2, bearer_token=token).is_clean


def test_calls_that_break_off_lose_their_packets() -> None:
    async def handler(call: Call) -> None:
        n_frames = 0
        async for event in call:
            n_frames += isinstance(event, Frame)
            if n_frames == 5:
                await call.close(1011, "full")
                return

    report = loaded(handler, calls=3, seconds=0.6)
    assert (report.connected, report.completed, report.broken, report.due) == (3, 0, 3, 90)
    assert report.sent + report.lost == 90
    assert report.lost > 0
    assert report.reasons == {"closed with 1011: full": 3}


def test_who_answers_late_is_waited_for_and_who_does_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MARK_EVERY_MS", 200)
    monkeypatch.setattr(load_call, "ANSWER_TIMEOUT_S", 0.5)

    async def late(call: Call) -> None:
        async for event in call:
            if isinstance(event, Mark):
                asyncio.get_running_loop().call_later(0.15, call.mark, event.name)

    async def once(call: Call) -> None:
        has_echoed = False
        async for event in call:
            if isinstance(event, Mark) and not has_echoed:
                has_echoed = True
                call.mark(event.name)
                call.mark("of somebody else")

    report = loaded(late, calls=2, seconds=0.32)  # marks leave at 0.1 and 0.3 s
    assert (report.marks, report.echoed, report.unanswered) == (4, 4, 0)
    assert report.answer_ms is not None
    assert report.answer_ms.p50 >= 150
    report = loaded(once, calls=1, seconds=0.4)
    assert (report.marks, report.echoed, report.unanswered, report.completed) == (2, 1, 1, 1)
    assert not report.is_clean


def test_stop_ends_calls_in_good_order_and_begins_no_more() -> None:
    seen = Counting()

    async def main() -> None:
        async with serve(seen) as server:
            load = Load(server.url, calls=3, seconds=60, rounds=3, connects_per_s=20)
            assert (load.report().seconds, load.n_calls, load.duration_s) == (0, 3, 180.1)
            running = asyncio.create_task(load.run())
            await asyncio.sleep(0.5)
            load.stop()
            report = await running
        assert report.is_clean
        assert 1 <= report.completed == report.connected <= 3
        assert 0 < report.due == report.sent == seen.count("packets")
        assert all(kinds[-1] is Stop for kinds in seen.kinds)

    run_in_virtual_time(main())


def test_quantiles_count_from_where_they_were_restarted() -> None:
    async def handler(call: Call) -> None:
        async for event in call:
            if isinstance(event, Mark):
                delay_s = 0.1 if event.name == "25" else 0.0
                asyncio.get_running_loop().call_later(delay_s, call.mark, event.name)

    async def main() -> tuple[LoadReport, LoadReport]:
        async with serve(handler) as server:
            load = Load(server.url, calls=1, seconds=2)
            running = asyncio.create_task(load.run())
            await asyncio.sleep(1.0)
            before = load.report()
            load.restart_quantiles()
            assert load.report().answer_ms is None
            return before, await running

    before, report = run_in_virtual_time(main())
    assert before.answer_ms is not None
    assert before.answer_ms.max == pytest.approx(100)
    assert report.answer_ms is not None
    assert report.answer_ms.max < 10
    assert (report.sent, report.echoed) == (100, 2)


class Noting:
    """In the place of a LoadCall: notes when a packet was taken of it."""

    fd = -1

    def __init__(self, tally: Tally, stall_s: float = 0.0) -> None:
        self.times: list[float] = []
        self.stall_s = stall_s
        self.is_given_up = False
        self._tally = tally

    def take_next(self) -> None:
        loop: Any = asyncio.get_running_loop()
        self.times.append(loop.time())
        self._tally.due += 1
        if len(self.times) == 3:
            loop._clock.now_s += self.stall_s  # as if the process had not run for so long
        if self.stall_s < 0:
            raise ConnectionResetError

    def give_up(self) -> None:
        self.is_given_up = True


def paced(calls: Iterable[Noting], tally: Tally, seconds: float) -> None:
    async def main() -> None:
        pacer: Any = Pacer(20, tally)
        for call in calls:
            pacer.add(call)
        pacing = asyncio.create_task(pacer.run())
        await asyncio.sleep(seconds)
        pacing.cancel()

    run_in_virtual_time(main())


def test_deadlines_are_absolute_and_spread() -> None:
    tally = Tally()
    calls = [Noting(tally) for _ in range(40)]
    calls[7].stall_s = 0.07
    paced(calls, tally, 1.0)
    n_late = 0
    for call in calls:
        assert 49 <= len(call.times) <= 50
        due = [call.times[0] + 0.02 * k for k in range(len(call.times))]
        late_s = [at_s - due_s for at_s, due_s in zip(call.times, due, strict=True)]
        assert all(-1e-9 < late <= 0.0701 for late in late_s)
        n_late += sum(late > 0.001 for late in late_s)
    assert 40 < n_late <= 5 * 40  # they make up for the stall
    assert sorted(round(1000 * call.times[0]) % 20 for call in calls) == sorted([*range(20)] * 2)
    assert tally.late.n == tally.due == sum(len(call.times) for call in calls)
    assert tally.late.max_ms == pytest.approx(70)
    assert tally.late.quantile_ms(0.9) < 0.1


def test_a_call_that_has_gone_costs_the_others_nothing() -> None:
    tally = Tally()
    gone, good = Noting(tally, stall_s=-1.0), Noting(tally)
    paced([gone, good], tally, 0.2)
    assert gone.is_given_up
    assert not good.is_given_up
    assert len(good.times) >= 9


@pytest.mark.parametrize(
    "wrong",
    [
        {"calls": 0},
        {"rounds": 0},
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"connects_per_s": 0.0},
        {"drop": 1.0},
        {"reorder": -0.1},
        {"codec": "G722"},
        {"dialect": "morse"},
        {"dialect": "audiosocket"},
    ],
)
def test_arguments_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        Load("ws://127.0.0.1:1/", **{"calls": 1, "seconds": 1.0, **wrong})


def test_a_url_that_is_not_used_is_refused_at_once() -> None:
    with pytest.raises(LocalProtocolError, match="in the clear"):
        Load("ws://example.com/", calls=1, seconds=1)


def test_nobody_there() -> None:
    report = run_in_virtual_time(Load("ws://127.0.0.1:1/", calls=30, seconds=0.1, connects_per_s=1000).run())
    assert (report.refused, report.connected, report.due) == (30, 0, 0)
    assert report.reasons == {"cannot connect to 127.0.0.1:1: Connection refused": 30}


def test_many_calls_send_their_marks_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MARKS_PER_S_MAX", 2)
    report = loaded(Counting(), calls=4, seconds=4)
    assert (report.marks, report.echoed) == (8, 8)
    monkeypatch.setattr(load, "MARKS_PER_S_MAX", 1)
    report = loaded(Counting(), calls=4, seconds=1.5)
    assert (report.marks, report.echoed) == (4, 4)
