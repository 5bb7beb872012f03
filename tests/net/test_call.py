"""Call: what a hostile or vanished peer does to the iteration, and to the calls beside it."""

import asyncio
from typing import Any

import pytest
from aiohttp import WSMessage, WSMsgType

from tests.net.endpoints import call_messages, run
from trunkline.errors import LocalProtocolError, RemoteProtocolError
from trunkline.net import Call, serve
from trunkline.stream import Frame, Start, StreamReceiver

MESSAGES = [message.decode() for message in call_messages("flood", bytes(2 * 160 * 200))]


class Flood:
    """A socket whose queue never runs empty, until it breaks."""

    close_code = 1006

    def __init__(self, messages: list[str]) -> None:
        self._messages = iter(messages)

    async def receive(self) -> WSMessage:
        try:
            return WSMessage(WSMsgType.TEXT, next(self._messages), None)
        except StopIteration:
            raise ConnectionResetError("Connection lost") from None


class Nowhere:
    def get_extra_info(self, name: str) -> None:
        return None


def call_of(messages: list[str]) -> Call:
    socket: Any = Flood(messages)
    transport: Any = Nowhere()
    return Call(socket, transport, StreamReceiver())


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
