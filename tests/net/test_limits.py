"""The limits of every server: who may come, how long one may take, and a handler that is slow."""

import asyncio
from typing import Any
from unittest.mock import ANY

import pytest

from tests.net.adapters import LISTENERS, UPGRADE, Serve, ask, status_of
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
from tests.net.raw_websocket import PING, TEXT, frame, upgraded
from trunkline.errors import FormatError, RemoteProtocolError
from trunkline.net import Call
from trunkline.stream import Start, Stop
from trunkline.testing import speech_like

PCM = speech_like(1.01)


def test_a_message_of_the_limit_is_taken(serving: Serve) -> None:
    messages = call_messages("call-1", PCM)
    padded = messages[4][:-1] + b" " * (65_536 - len(messages[4])) + b"}"

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as socket:
            await send(socket, [*messages[:4], padded, *messages[5:]])
            assert await close_of(socket) == (1000, "")
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(messages))

    run(main())


def test_a_peer_that_never_starts_is_sent_away(serving: Serve) -> None:
    async def main() -> None:
        async with serving(Seen(), start_timeout_s=0.05) as server, connect(server) as socket:
            await send(socket, call_messages("call-1", PCM)[:1])
            assert await close_of(socket) == (1008, "no start message within 0.05 s")

    run(main())


def test_only_so_many_may_be_about_to_start(serving: Serve) -> None:
    start = call_messages("call-1", PCM)[:2]

    async def main() -> None:
        seen = Seen()
        async with serving(seen, max_pending=2) as server:
            async with connect(server) as one, connect(server):
                assert await status_of(server.url) == 503
                await send(one, start)
                await seen.until("call-1", 1)
                assert await status_of(server.url) == 101
            await until(lambda: not server.calls)
            async with connect(server), connect(server):
                assert await status_of(server.url) == 503
            assert server.refused == {503: 2}

    run(main())


def test_only_so_many_come_from_one_address(serving: Serve, adapter: str) -> None:
    async def main() -> None:
        async with serving(Seen(), max_per_address=2) as server:
            async with connect(server), connect(server):
                if adapter == "picows":  # it does not say who asks before the upgrade
                    async with connect(server) as third:
                        assert await close_of(third) == (1013, "too many connections of this address")
                else:
                    assert await status_of(server.url) == 429
            await until(lambda: not server.calls)
            assert await status_of(server.url) == 101

    run(main())


def test_no_place_is_lost_by_an_upgrade_that_fails(serving: Serve) -> None:
    async def main() -> None:
        async with serving(Seen(), max_pending=1) as server:
            for headers in ("Connection: close\r\n", UPGRADE):  # the latter has no key
                assert " 4" in await ask(server.url, headers)
            assert await status_of(server.url) == 101

    run(main())


def test_a_handler_that_does_not_iterate_blocks_its_peer(serving: Serve) -> None:
    """Nothing is lost, and the peer cannot send more than the buffers between the two hold."""
    go_on = asyncio.Event()
    padding = b" " * 60_000

    async def handler(call: Call) -> None:
        await go_on.wait()
        await seen(call)

    seen = Seen()

    async def main() -> None:
        messages = call_messages("call-1", speech_like(12.0))
        long = [message[:-1] + padding + b"}" for message in messages]  # 36 MB
        async with serving(handler) as server, connect(server) as socket:
            sending = asyncio.create_task(send(socket, long))
            await until(lambda: server.calls)
            await asyncio.sleep(0.3)  # in which all would go that can
            (call,) = server.calls
            assert not sending.done()
            assert len(call._events) <= 1
            go_on.set()
            await sending
            assert await close_of(socket) == (1000, "")
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(messages))
        assert call.events_dropped == 0

    run(main())


def test_a_handler_that_does_not_iterate_loses_the_oldest_where_that_was_asked_for(serving: Serve) -> None:
    go_on = asyncio.Event()
    seen = Seen()
    messages = call_messages("call-1", speech_like(2.0))

    async def handler(call: Call) -> None:
        await go_on.wait()
        await seen(call)

    async def main() -> None:
        async with serving(handler, slow_handler="drop_oldest", max_unread=10) as server:
            async with connect(server) as socket:
                await send(socket, messages)
                await until(lambda: any(call._over for call in server.calls))
                go_on.set()
                assert await close_of(socket) == (1000, "")
            call = await seen.ended.get()
        expected = received_directly(messages)
        events = seen.events["call-1"]
        assert isinstance(events[0], Start)  # no audio: it is dropped last
        assert isinstance(events[-1], Stop)
        assert pcm_of(events) == pcm_of(expected[-9:])
        assert call.events_dropped == len(expected) - 10 == 100 + 2 - 10

    run(main())


@pytest.mark.parametrize("serving", LISTENERS, indirect=True)
def test_who_answers_no_ping_is_gone(serving: Serve) -> None:
    async def main() -> None:
        seen = Seen()
        async with serving(seen, ping_s=0.1) as server, upgraded(server.url) as client:
            await client.send(frame(TEXT, call_messages("call-1", PCM)[1]))
            assert await client.read() == (PING, ANY)
            call = await seen.ended.get()
        assert isinstance(call.error, RemoteProtocolError)
        assert server.stats.ended["lost"] == 1

    run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"start_timeout_s": 0.0},
        {"ping_s": float("nan")},
        {"max_pending": 0},
        {"max_per_address": 0},
        {"slow_handler": "drop"},
        {"max_unread": 0},
        {"n_calls": 0},
        {"max_message_bytes": 0},
    ],
)
def test_an_impossible_limit_is_refused_before_anybody_calls(serving: Serve, options: dict[str, Any]) -> None:
    async def main() -> None:
        with pytest.raises(FormatError, match=r"takes|0 bytes"):
            async with serving(Seen(), **options):
                pytest.fail("it listens")

    run(main())
