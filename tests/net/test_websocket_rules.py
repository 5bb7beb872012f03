"""What RFC 6455 demands of a server, under every library: by frames that no polite client sends."""

import asyncio

import pytest

from tests.net.adapters import Serve
from tests.net.endpoints import Seen, call_messages, pcm_of, received_directly, run
from tests.net.raw_websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawClient, frame, upgraded
from trunkline.errors import RemoteProtocolError
from trunkline.stream import Start
from trunkline.testing import speech_like

MESSAGES = call_messages("call-1", speech_like(0.1))
START = [frame(TEXT, message) for message in MESSAGES[:2]]
UMLAUT = "\N{LATIN SMALL LETTER U WITH DIAERESIS}".encode()


async def say(client: RawClient, *frames: bytes) -> None:
    for data in [*START, *frames]:
        await client.send(data)


BROKEN = {
    "reserved bit 1": (1002, [frame(TEXT, b"{}", rsv=4)]),
    "reserved bit 2": (1002, [frame(TEXT, b"{}", rsv=2)]),
    "reserved bit 3": (1002, [frame(TEXT, b"{}", rsv=1)]),
    "reserved bit of a ping": (1002, [frame(PING, rsv=4)]),
    "reserved opcode": (1002, [frame(3)]),
    "reserved control opcode": (1002, [frame(11)]),
    "a fragment of nothing": (1002, [frame(CONTINUATION, b"{}")]),
    "a message within another": (1002, [frame(TEXT, b"{", fin=False), frame(TEXT, b"}")]),
    "a fragmented ping": (1002, [frame(PING, fin=False)]),
    "a long ping": (1002, [frame(PING, bytes(126))]),
    "half a character": (1007, [frame(TEXT, UMLAUT[:1])]),
    "half a character in fragments": (1007, [frame(TEXT, UMLAUT[:1], fin=False), frame(CONTINUATION, b"}")]),
    "a close code of one byte": (1002, [frame(CLOSE, b"\x03")]),
    "close code 0": (1002, [frame(CLOSE, bytes(2))]),
    "close code 999": (1002, [frame(CLOSE, (999).to_bytes(2))]),
    "close code 1006": (1002, [frame(CLOSE, (1006).to_bytes(2))]),
    "close code 5000": (1002, [frame(CLOSE, (5000).to_bytes(2))]),
    "a close reason that is not UTF-8": (1007, [frame(CLOSE, (1000).to_bytes(2) + b"\xff")]),
    "long in fragments": (1009, [frame(TEXT, b" " * 40_000, fin=False), frame(CONTINUATION, b" " * 100_000)]),
    "claims 2^62 bytes": (1009, [frame(TEXT, claims=1 << 62)]),
    "claims 2^63 bytes": (1002, [frame(TEXT, claims=1 << 63)]),
}
# What a library says instead: it takes the code, or it minds the length first.
LENIENT = {
    ("aiohttp", "close code 1006"): 1000,
    ("aiohttp", "close code 5000"): 1000,
    ("aiohttp", "claims 2^63 bytes"): 1009,
    ("websockets", "claims 2^63 bytes"): 1009,
    ("asgi", "claims 2^63 bytes"): 1009,
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_rules_is_closed(serving: Serve, adapter: str, name: str) -> None:
    code, frames = BROKEN[name]

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, upgraded(server.url) as client:
            await say(client)
            await seen.until("call-1", 1)  # what came in one piece with it, some libraries drop
            for data in frames:
                await client.send(data)
            assert await client.closed() == LENIENT.get((adapter, name), code)
            call = await seen.ended.get()
        assert isinstance(call.error, RemoteProtocolError)
        assert [type(event) for event in seen.events["call-1"]] == [Start]

    run(main())


def test_a_frame_that_is_not_masked_is_refused_but_by_aiohttp(serving: Serve, adapter: str) -> None:
    stop = MESSAGES[-1]
    assert len(stop) < 126

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, upgraded(server.url) as client:
            await say(client)
            await seen.until("call-1", 1)
            await client.send(bytes([0x80 | TEXT, len(stop)]) + stop)
            assert await client.closed() == (1000 if adapter == "aiohttp" else 1002)
            call = await seen.ended.get()
        assert (call.error is None) is (adapter == "aiohttp")

    run(main())


def test_a_message_may_come_in_pieces(serving: Serve) -> None:
    """Cut within a character, with a ping between and an empty fragment."""
    text = '{"event":"nothing","x":"\N{LATIN SMALL LETTER U WITH DIAERESIS}"}'.encode()
    cut = text.index(UMLAUT) + 1

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, upgraded(server.url) as client:
            await say(
                client,
                frame(TEXT, text[:cut], fin=False),
                frame(PING, b"are you there?"),
                frame(CONTINUATION, b"", fin=False),
                frame(CONTINUATION, text[cut:]),
                *(frame(TEXT, message) for message in MESSAGES[2:]),
            )
            assert await client.read() == (PONG, b"are you there?")
            assert await client.closed() == 1000
        expected = received_directly([*MESSAGES[:2], text, *MESSAGES[2:]])
        assert pcm_of(seen.events["call-1"]) == pcm_of(expected)
        assert len(seen.events["call-1"]) == len(expected)

    run(main())


def test_a_close_without_a_code_is_answered(serving: Serve) -> None:
    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, upgraded(server.url) as client:
            await say(client, frame(CLOSE))
            assert await client.closed() in (1000, 1005)
            call = await seen.ended.get()
        assert "connection ended before stop" in str(call.error)

    run(main())


def test_who_pings_and_reads_nothing_may_go_on_when_it_does(serving: Serve) -> None:
    """Its pongs are not sent meanwhile, or its pings not read."""
    pings = frame(PING, bytes(125)) * 500

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, upgraded(server.url) as client:
            await say(client)
            client._writer.transport.pause_reading()
            for _ in range(100):
                client._writer.write(pings)
            await asyncio.sleep(0.2)
            client._writer.transport.resume_reading()
            client._writer.write(frame(BINARY, b"x"))
            assert await client.closed() == 1003

    run(main())
