"""A switch: what it tells, to whom, and what it remembers."""

import asyncio
import logging
import math
from collections.abc import Iterator

import pytest

from tests.net.endpoints import Seen, run
from tests.switch.parties import NUMBERS, Told, answered, switch
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.net import serve
from trunkline.stream import StreamRequest
from trunkline.switch import Call, CallChanged, PcmSource, StreamChanged, SwitchEvent, ToneSource
from trunkline.switch import call as call_module
from trunkline.switch import switch as switch_module
from trunkline.testing.virtual_time import run_in_virtual_time


def test_a_call_says_what_it_is() -> None:
    async def main() -> None:
        async with switch() as made:
            call = made.place_call(**NUMBERS, context="office", tag="t", direction="outbound")
            assert made.calls[call.id] is call
            assert (call.state, call.answered_s, call.ended_s) == ("ringing", None, None)
            assert (call.direction, call.context, call.tag) == ("outbound", "office", "t")
            assert (call.from_number, call.to_number) == ("+15550001", "+15550002")
            assert (call.project_id, call.node_id) == ("P", made.node_id)
            await call.answer()
            await call.answer()
            assert call.answered_s is not None
            assert call.created_s <= call.answered_s
            await call.hangup("decline")
            assert call.ended_s is not None
            assert call.answered_s <= call.ended_s
            assert (call.state, call.end_reason) == ("ended", "decline")

    run(main())


def test_events_come_in_order_also_those_that_a_listener_brings_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()
    hang_ups: list[asyncio.Task[None]] = []

    async def main() -> None:
        async with serve(Seen()) as server, switch() as made:

            def meddle(event: SwitchEvent) -> None:
                match event:
                    case CallChanged(_, "answered"):
                        made.place_call(**NUMBERS)  # the next listener is told of "answered" first
                        raise ValueError("of the listener")
                    case StreamChanged(call, _, "streaming"):
                        hang_ups.append(asyncio.create_task(call.hangup()))

            unsubscribe = made.subscribe(meddle)
            made.subscribe(told)
            call = await answered(made)
            await call.stream(server.url, control_id="S1")
            await call.wait_for_ended()
            unsubscribe()
            unsubscribe()
            await answered(made)
            assert len(made.calls) == 3

    with caplog.at_level(logging.ERROR):
        run(main())
    begun = ["created", "ringing", "answered"]
    streamed = ["S1 streaming", "S1 finished", "ending", "ended"]
    assert told.events == [*begun, "created", "ringing", *streamed, *begun, *["ending", "ended"] * 2]
    assert "of the listener" in caplog.text


def test_only_so_many_ended_calls_and_finished_streams_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch_module, "ENDED_MAX", 3)
    monkeypatch.setattr(call_module, "FINISHED_MAX", 2)

    async def main() -> None:
        async with serve(Seen()) as server, switch() as made:
            staying = await answered(made)
            placed = [await answered(made) for _ in range(5)]
            for call in placed:
                await call.hangup()
            newest = await answered(made)
            assert list(made.calls.values()) == [staying, *placed[2:], newest]
            await staying.hangup()  # the oldest call, but the last that ended
            assert list(made.calls.values()) == [*placed[3:], newest, staying]
            staying = newest
            live = await staying.stream(server.url, control_id="live")
            for k in range(4):
                await (await staying.stream(server.url, control_id=f"S{k}")).stop()
            assert list(staying.streams) == ["live", "S2", "S3"]
            await live.stop()
            assert list(staying.streams) == ["S3", "live"]

    run(main())


def test_closing_ends_everything() -> None:
    told = Told()
    closed: list[str] = []

    class Noting(ToneSource):
        def close(self) -> None:
            closed.append("closed")

    async def main() -> None:
        async with serve(Seen()) as server:
            async with switch(told) as made:
                call = made.place_call(Noting(), outbound=Noting(), **NUMBERS)
                await call.stream(server.url, control_id="S1")
                playing = asyncio.create_task(call.play(Noting()))
                connecting = asyncio.create_task(
                    call.connect(
                        StreamRequest.parse({"url": server.url, "control_id": "S2"}, insecure_loopback=True)
                    )
                )
                await asyncio.sleep(0.1)
            await playing
            await connecting
            with pytest.raises(LocalProtocolError, match="closed"):
                made.place_call(**NUMBERS)
            await made.close()
        assert len(asyncio.all_tasks()) == 1

    run_in_virtual_time(main())
    assert told.events[-2:] == ["ending", "ended"]
    assert closed == ["closed"] * 3


@pytest.mark.parametrize("sample_rate", [0, 3000, 11_025, 96_000])
def test_a_rate_that_no_call_has(sample_rate: int) -> None:
    async def main() -> None:
        async with switch() as made:
            with pytest.raises(FormatError, match=str(sample_rate)):
                made.place_call(sample_rate=sample_rate, **NUMBERS)
            assert not made.calls

    run(main())


def test_a_source_that_fails_ends_its_call_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(ToneSource):
        def read(self, n_samples: int) -> bytes:
            raise OSError("the disk")

    async def main() -> None:
        async with switch() as made:
            broken = made.place_call(Broken(), **NUMBERS)
            half = made.place_call(ToneSource(), outbound=Broken(), **NUMBERS)
            for call in (broken, half):
                await call.answer()
            await broken.wait_for_ended()
            await half.play(PcmSource(bytes(3200)))
            assert half.state == "answered"

    with caplog.at_level(logging.ERROR):
        run_in_virtual_time(main())
    assert caplog.text.count("OSError: the disk") == 2


def test_ticks_of_many_calls_lie_evenly_in_20_ms() -> None:
    def phases(calls: list[Call]) -> Iterator[float]:
        yield from sorted(call._clock._phase_s * 1000 for call in calls)

    async def main() -> None:
        async with switch() as made:
            ms = list(phases([made.place_call(**NUMBERS) for _ in range(100)]))
            gaps = [after - before for before, after in zip(ms, [*ms[1:], ms[0] + 20], strict=True)]
            assert min(gaps) > 0.07
            assert max(gaps) < 0.4
            assert math.isclose(sum(gaps), 20)

    run(main())


def test_a_call_that_has_ended_reads_no_more() -> None:
    n_reads = 0

    class Counting(ToneSource):
        def read(self, n_samples: int) -> bytes:
            nonlocal n_reads
            n_reads += 1
            return super().read(n_samples)

    async def main() -> None:
        async with switch() as made:
            call = made.place_call(None, outbound=Counting(), **NUMBERS)
            await asyncio.sleep(1)
            assert n_reads == 0  # nobody has answered
            await call.answer()
            await asyncio.sleep(1)
            await call.hangup()
            assert n_reads == 50
            loop = asyncio.get_running_loop()
            await asyncio.sleep(1)
            assert not [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    run_in_virtual_time(main())


class Closable(ToneSource):
    """Counts how often it was closed."""

    n_closed = 0

    def close(self) -> None:
        self.n_closed += 1


def test_what_is_refused_is_closed() -> None:
    async def main() -> None:
        sources = [Closable() for _ in range(5)]
        async with switch() as made:
            call = await answered(made)
            with pytest.raises(FormatError, match="48001 Hz"):
                made.place_call(sources[0], outbound=sources[1], **NUMBERS, sample_rate=48_001)
            await call.hangup()
            with pytest.raises(LocalProtocolError, match="has ended"):
                await call.play(sources[2])
        with pytest.raises(LocalProtocolError, match="closed"):
            made.place_call(sources[3], outbound=sources[4], **NUMBERS)
        assert [source.n_closed for source in sources] == [1] * 5

    run(main())
