"""The iteration over a call, under every server: in any task, cut off at any time, and with nothing lost."""

import asyncio
import contextvars
import gc
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable

import anyio
import pytest

from tests.net.adapters import Serve
from tests.net.endpoints import (
    Seen,
    call_messages,
    close_of,
    connect,
    pcm_of,
    received_directly,
    run,
    send,
    until,
)
from tests.net.raw_websocket import TEXT, frame, upgraded
from trunkline._native.event_stream import Doorbell, Events
from trunkline.errors import ConcurrentUseError
from trunkline.net import Call, serve_picows
from trunkline.stream import Event, Stop
from trunkline.testing import speech_like

MESSAGES = call_messages("call-1", speech_like(0.4))
EXPECTED = received_directly(MESSAGES)


async def with_a_time_limit(call: Call, keep: Callable[[Event], None]) -> None:
    """Give up waiting again and again."""
    while True:
        try:
            async with asyncio.timeout(0.002):
                keep(await anext(call))
        except TimeoutError:
            pass
        except StopAsyncIteration:
            return


async def with_a_limit_of_anyio(call: Call, keep: Callable[[Event], None]) -> None:
    """Which knows its own cancellation by the message."""
    while True:
        with anyio.move_on_after(0.002):
            try:
                keep(await anext(call))
            except StopAsyncIteration:
                return


async def each_in_a_task(call: Call, keep: Callable[[Event], None]) -> None:
    while True:
        waiting = asyncio.create_task(anext(call))
        await asyncio.wait({waiting})
        if isinstance(waiting.exception(), StopAsyncIteration | RuntimeError):
            return
        keep(waiting.result())


async def cancelled_now_and_then(call: Call, keep: Callable[[Event], None]) -> None:
    while True:
        waiting = asyncio.ensure_future(anext(call))
        done, _ = await asyncio.wait({waiting}, timeout=0.001)
        if not done:
            waiting.cancel()
            await asyncio.wait({waiting})
        if waiting.cancelled():
            continue
        if waiting.exception() is not None:
            return
        keep(waiting.result())


async def busy_in_between(call: Call, keep: Callable[[Event], None]) -> None:
    async for event in call:
        keep(event)
        await asyncio.sleep(0.003 if len(bytes(event) if hasattr(event, "duration_ms") else b"") else 0)


async def in_a_group(call: Call, keep: Callable[[Event], None]) -> None:
    async def read() -> None:
        async for event in call:
            keep(event)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        for _ in range(10):
            await asyncio.sleep(0.001)


READERS = [
    with_a_time_limit,
    with_a_limit_of_anyio,
    each_in_a_task,
    cancelled_now_and_then,
    busy_in_between,
    in_a_group,
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("pause_s", [0.0, 0.001, 0.004])
def test_all_events_come_however_they_are_waited_for(
    serving: Serve, reader: Callable[[Call, Callable[[Event], None]], Awaitable[None]], pause_s: float
) -> None:
    events: list[Event] = []

    async def handler(call: Call) -> None:
        await reader(call, events.append)

    async def main() -> None:
        async with serving(handler) as server, connect(server) as socket:
            for message in MESSAGES:
                await send(socket, [message])
                await asyncio.sleep(pause_s)
            assert await close_of(socket) == (1000, "")

    run(main())
    assert [type(event) for event in events] == [type(event) for event in EXPECTED]
    assert pcm_of(events) == pcm_of(EXPECTED)


def test_a_second_task_is_refused_and_the_first_goes_on(serving: Serve) -> None:
    events: list[Event] = []

    async def handler(call: Call) -> None:
        events.append(await anext(call))
        first = asyncio.create_task(anext(call))
        await asyncio.sleep(0)
        with pytest.raises(ConcurrentUseError, match="Call: two tasks iterate over it"):
            await anext(call)
        events.append(await first)
        async for event in call:
            events.append(event)  # noqa: PERF401

    async def main() -> None:
        async with serving(handler) as server, connect(server) as socket:
            await send(socket, MESSAGES[:2])
            await asyncio.sleep(0.02)
            await send(socket, MESSAGES[2:])
            assert await close_of(socket) == (1000, "")

    run(main())
    assert pcm_of(events) == pcm_of(EXPECTED)


def test_a_handler_runs_in_its_task_and_context(serving: Serve) -> None:
    name = contextvars.ContextVar("name", default="nobody's")
    seen: list[tuple[object, str]] = []

    async def handler(call: Call) -> None:
        name.set("the handler's")
        async for event in call:
            seen.append((asyncio.current_task(), name.get()))
            if isinstance(event, Stop):
                async with asyncio.timeout(1):  # which needs a task
                    await asyncio.sleep(0)

    async def main() -> None:
        async with serving(handler) as server, connect(server) as socket:
            await send(socket, MESSAGES)
            assert await close_of(socket) == (1000, "")
            assert name.get() == "nobody's"

    run(main())
    assert len(seen) == len(EXPECTED)
    assert len(set(seen)) == 1
    assert None not in seen[0]
    assert seen[0][1] == "the handler's"


def test_a_missing_chunk_is_waited_for_by_the_clock(serving: Serve) -> None:
    """And what comes behind it meanwhile, and after, is audio as ever."""
    left_out = [message for message in MESSAGES if message is not MESSAGES[6]]

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as socket:
            await send(socket, left_out[:8])  # up to the second one behind the gap
            await seen.until("call-1", 1 + 7)
            assert [call.stats["inbound"].lost for call in server.calls] == [1]
            for message in left_out[8:]:
                await send(socket, [message])
                await asyncio.sleep(0.001)
            await seen.ended.get()
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(left_out))

    run(main())


def test_two_chunks_that_changed_places_are_put_in_order(serving: Serve) -> None:
    swapped = [*MESSAGES[:6], MESSAGES[7], MESSAGES[6], *MESSAGES[8:]]

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as socket:
            for message in swapped:
                await send(socket, [message])
                await asyncio.sleep(0.001)
            call = await seen.ended.get()
            assert call.stats["inbound"].lost == 0
        assert pcm_of(seen.events["call-1"]) == pcm_of(EXPECTED)

    run(main())


def test_a_packet_that_is_none_is_left_out(
    serving: Serve, libopus: object, caplog: pytest.LogCaptureFixture
) -> None:
    good = call_messages("call-1", bytes(2 * 16000), format="OPUS@16000h")
    bad = good[8].partition(b'"payload":"')[0] + b'"payload":"/w=="}}'
    left_out = [message for message in good if message is not good[8]]

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as socket:
            for message in [*good[:8], bad, bad, *good[9:]]:
                await send(socket, [message])
                await asyncio.sleep(0.001)
            call = await seen.ended.get()
        assert call.error is None
        assert call.stats["inbound"].lost == 1
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(left_out))

    run(main())
    assert caplog.text.count("a packet is left out: Opus packet of 1 bytes") == 1


def test_a_flood_leaves_the_others_their_turns(serving: Serve) -> None:
    """Of what comes in one piece, not all is taken in one turn of the event loop."""
    messages = call_messages("call-1", bytes(2 * 160 * 400))
    a_turn: Counter[int] = Counter()
    turn = 0

    async def handler(call: Call) -> None:
        async for _ in call:
            a_turn[turn] += 1

    async def main() -> None:
        nonlocal turn
        async with serving(handler) as server, upgraded(server.url) as client:
            await client.send(b"".join(frame(TEXT, message) for message in messages[:2]))
            while not a_turn:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await asyncio.sleep(0.02)  # the handler waits
            await client.send(b"".join(frame(TEXT, message) for message in messages[2:]))
            while a_turn.total() < len(messages) - 1:  # but connected
                turn += 1
                await asyncio.sleep(0)

    run(main())
    assert max(a_turn.values()) <= 2 * 16 + 1


def test_a_call_of_picows_is_freed_without_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.net.endpoint.CLOSE_TIMEOUT_S", 0.01)
    monkeypatch.setattr("trunkline.net.picows_server.CLOSE_TIMEOUT_S", 0.01)
    kept: list[weakref.ref[Call]] = []

    async def handler(call: Call) -> None:
        kept.append(weakref.ref(call))
        async for _ in call:
            pass

    async def main() -> None:
        async with serve_picows(handler) as server:
            async with connect(server) as socket:
                await send(socket, MESSAGES)
                assert await close_of(socket) == (1000, "")
            await until(lambda: kept[0]() is None)

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


class Numbers(Events):
    """Events that a test puts in, and a doorbell to wait at."""

    def __init__(self) -> None:
        self.doorbell = Doorbell(asyncio.get_running_loop())
        self.n_asked = 0

    def _receive(self) -> Awaitable[None]:
        self.n_asked += 1
        self._listens = self.doorbell
        return self.doorbell

    def put(self, *numbers: int) -> None:
        self._events.extend(numbers)  # type: ignore[arg-type]
        self.doorbell.ring()


def test_a_doorbell_remembers_one_ring() -> None:
    async def main() -> None:
        doorbell = Doorbell(asyncio.get_running_loop())
        doorbell.ring()
        doorbell.ring()
        await doorbell
        waiting = asyncio.ensure_future(doorbell)  # as it is one, it is what is given
        assert waiting is doorbell  # type: ignore[comparison-overlap]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await doorbell
        assert not doorbell.is_awaited
        doorbell.ring()
        await doorbell

    run(main())


def test_a_ring_while_the_task_is_cancelled_is_not_lost() -> None:
    async def main() -> None:
        numbers = Numbers()

        async def read() -> int:
            return await anext(numbers)  # type: ignore[return-value]

        task = asyncio.create_task(read())
        await asyncio.sleep(0)
        assert numbers.doorbell.is_awaited
        task.cancel("by a test")
        numbers.put(1, 2)
        with pytest.raises(asyncio.CancelledError, match="by a test"):
            await task
        assert [await anext(numbers), await anext(numbers)] == [1, 2]
        task = asyncio.create_task(read())
        await asyncio.sleep(0)
        numbers.put(3)
        task.cancel()  # when it has been told already
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await anext(numbers) == 3

    run(main())


def test_what_waits_comes_to_its_end_before_the_iteration_does() -> None:
    ended: list[str] = []

    class Closing(Events):
        async def _receive(self) -> None:
            self._events.append("an event")  # type: ignore[arg-type]
            self._over = True
            for _ in range(3):
                await asyncio.sleep(0)
            ended.append("closed")

    async def main() -> None:
        async for event in Closing():
            ended.append(str(event))  # noqa: PERF401

    run(main())
    assert ended == ["closed", "an event"]


def test_what_waits_is_a_coroutine_of_one_event() -> None:
    async def main() -> None:
        numbers = Numbers()
        coming = anext(numbers)
        assert asyncio.iscoroutine(coming)
        coming.close()
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await coming
        dropped = anext(numbers)
        assert dropped.send(None) is numbers.doorbell
        del dropped
        thrown = anext(numbers)
        with pytest.raises(KeyError):
            thrown.throw(KeyError("a test's"))
        waiting = anext(numbers)
        assert waiting.send(None) is numbers.doorbell
        with pytest.raises(ConcurrentUseError, match="Numbers: two tasks iterate over it"):
            await anext(numbers)
        waiting.close()
        numbers.put(1)
        assert await anext(numbers) == 1
        numbers._over = True
        with pytest.raises(StopAsyncIteration):
            await anext(numbers)
        assert numbers._told_all
        assert not numbers._push("a message, for which nothing was opened")

    run(main())
