"""Call: what a hostile or vanished peer does to the iteration, and to the calls beside it."""

import asyncio
from typing import Any

import pytest

from tests.net.endpoints import Seen, call_messages, connect, run, send
from trunkline.errors import LocalProtocolError, RemoteProtocolError
from trunkline.net import Call, serve
from trunkline.stream import Frame, Start, StreamReceiver
from trunkline.testing.virtual_time import run_in_virtual_time

MESSAGES = [message.decode() for message in call_messages("flood", bytes(2 * 160 * 200))]


class Flood:
    """A socket whose queue never runs empty, until it breaks."""

    peer = "nobody"
    close_code = 1006

    def __init__(self, messages: list[str]) -> None:
        self._messages = iter(messages)

    async def receive(self) -> str:
        try:
            return next(self._messages)
        except StopIteration:
            raise ConnectionResetError("Connection lost") from None


def call_of(messages: list[str]) -> Call:
    socket: Any = Flood(messages)
    return Call(socket, StreamReceiver())


def test_a_peer_that_vanishes_ends_the_iteration_after_its_frames() -> None:
    async def main() -> None:
        short = MESSAGES[2].replace('"payload":"', '"payload":"AAAA')
        call = call_of([*MESSAGES[:2], short])
        events = [event async for event in call]
        assert [type(event) for event in events] == [Start, Frame, Frame]
        assert isinstance(call.error, RemoteProtocolError)
        assert "Connection lost" in str(call.error)

    run(main())


def test_a_flood_leaves_the_others_their_turns() -> None:
    async def main() -> None:
        turns = 0

        async def other_call() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(other_call())
        events = [event async for event in call_of(MESSAGES)]
        other.cancel()
        assert len(events) == 202
        assert turns >= 200 // 16

    run(main())


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "S\udcffECRET", "gr\u00fcn"])
def test_a_token_that_no_header_carries_is_refused_and_not_shown(token: str) -> None:
    async def handler(call: Call) -> None:
        pass

    async def main() -> None:
        async with serve(handler, bearer_token=token):
            pass

    with pytest.raises(LocalProtocolError, match="no header can carry") as refused:
        run(main())
    assert not token or token not in repr(refused.value)


def test_a_missing_chunk_is_waited_for_by_the_clock() -> None:
    async def main() -> None:
        seen, loop = Seen(), asyncio.get_running_loop()
        async with serve(seen) as server, connect(server) as socket:
            messages = call_messages("call-1", bytes(2 * 160 * 6))
            start, media = messages[:-7], messages[-7:-1]
            began = loop.time()
            await send(socket, [*start, media[0], media[2]])
            await seen.until("call-1", 4)
            assert 0.06 <= loop.time() - began < 0.1
            await send(socket, [media[4], media[3], media[5], messages[-1]])
            call = await seen.ended.get()
        frames = [event for event in seen.events["call-1"] if isinstance(event, Frame)]
        assert [frame.concealed for frame in frames] == [False, True, False, False, False, False]
        assert [frame.timestamp_ms for frame in frames] == [20.0 * k for k in range(6)]
        assert (call.stats["inbound"].lost, call.stats["inbound"].reordered) == (1, 1)

    run_in_virtual_time(main())
