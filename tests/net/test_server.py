"""serve: who is let in, what ends a call and how, and that one call never harms another."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.net.endpoints import Seen, call_messages, close_of, connect, pcm_of, received_directly, run, send
from trunkline import g711
from trunkline.errors import FormatError, LocalProtocolError, PayloadError, RemoteProtocolError
from trunkline.net import Call, serve
from trunkline.net.stream_socket import REASON_BYTES_MAX, short_reason
from trunkline.resample import Resampler
from trunkline.stream import Frame, Start, StreamSender
from trunkline.testing import speech_like

TOKEN = "s3cret-token-of-this-test"  # noqa: S105
PCM = speech_like(1.01)


def test_a_handler_sees_what_a_receiver_gives() -> None:
    messages = call_messages("call-1", PCM)

    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, connect(server) as socket:
            await send(socket, messages)
            assert await close_of(socket) == (1000, "")
            call = await seen.ended.get()
        events, expected = seen.events["call-1"], received_directly(messages)
        assert [type(event) for event in events] == [type(event) for event in expected]
        assert pcm_of(events) == pcm_of(expected)
        assert call.error is None
        assert call.stats["inbound"].packets == 51

    run(main())


def test_frames_have_the_rate_that_the_server_was_given() -> None:
    async def main() -> None:
        seen = Seen()
        async with serve(seen, sample_rate=16000) as server:
            for call_id in ("call-1", "call-2"):  # each has resamplers of its own
                async with connect(server) as socket:
                    await send(socket, call_messages(call_id, PCM))
                    assert await close_of(socket) == (1000, "")
        resampler = Resampler(8000, 16000)
        expected = resampler.process(g711.ulaw_decode(g711.ulaw_encode(PCM))) + resampler.flush()
        for events in seen.events.values():
            assert {event.sample_rate for event in events if isinstance(event, Frame)} == {16000}
            assert pcm_of(events) == expected

    run(main())


def test_an_impossible_rate_is_refused_before_anybody_calls() -> None:
    async def main() -> None:
        with pytest.raises(FormatError, match="3999 Hz"):
            async with serve(Seen(), sample_rate=3999):
                pytest.fail("it listens")

    run(main())


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer \N{LATIN SMALL LETTER U WITH DIAERESIS}", 401),
        (TOKEN, 401),
        (f"Bearer {TOKEN}", 101),
        (f"bearer  {TOKEN}", 101),
    ],
)
def test_only_the_bearer_of_the_token_is_let_in(
    authorization: str | None, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        async with serve(Seen(), bearer_token=TOKEN) as server:
            if status == 101:
                async with connect(server, headers=headers):
                    return
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with connect(server, headers=headers):
                    pass
            assert refused.value.status == 401
            assert refused.value.headers is not None
            assert refused.value.headers["WWW-Authenticate"] == "Bearer"
            assert TOKEN not in repr(server)

    run(main())
    assert TOKEN not in caplog.text
    refused = [record.getMessage() for record in caplog.records if record.name == "trunkline.net.endpoint"]
    if status == 401:
        assert len(refused) == 1
        assert re.fullmatch(
            r"127\.0\.0\.1:\d+: refused with HTTP 401 Unauthorized, asked for '/'", refused[0]
        )


def test_an_empty_token_is_refused() -> None:
    async def main() -> None:
        async with serve(Seen(), bearer_token=""):
            pass

    with pytest.raises(LocalProtocolError, match="empty"):
        run(main())


def test_what_is_no_websocket_or_another_path_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serve(Seen(), path="/media") as server, aiohttp.ClientSession() as session:
            url = server.url.replace("ws://", "http://")
            assert url.endswith("/media")
            async with session.get(url) as response:
                assert response.status == 426
            async with session.get(url + "/other?token=secret") as response:
                assert response.status == 404

    run(main())
    assert "refused with HTTP 426 Upgrade Required, asked for '/media'" in caplog.text
    assert "refused with HTTP 404 Not Found, asked for '/media/other'" in caplog.text
    assert "secret" not in caplog.text


def test_so_many_calls_and_no_more() -> None:
    messages = call_messages("call-1", PCM)

    async def main() -> None:
        seen = Seen()
        async with serve(seen, n_calls=1) as server:
            async with connect(server) as no_call:  # holds the place until it goes
                with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                    async with connect(server):
                        pass
                await send(no_call, [b"{"])
                assert (await close_of(no_call))[0] == 1002
            async with connect(server) as socket:
                await send(socket, messages)
                assert await close_of(socket) == (1000, "")
                with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                    async with connect(server):
                        pass
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(messages))

    run(main())


def start_of(format: str = "PCMU") -> list[bytes]:
    return StreamSender(format, call_id="call-1").start()


def media(payload: str) -> bytes:
    return (
        '{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"0",'
        f'"payload":"{payload}"}}}}'
    ).encode()


Send = Callable[[aiohttp.ClientWebSocketResponse], Any]
BAD = {
    "not JSON": (1002, RemoteProtocolError, lambda s: s.send_str("{")),
    "second start": (1002, RemoteProtocolError, lambda s: send(s, start_of()[1:])),
    "bad base64": (1007, PayloadError, lambda s: send(s, [media("////=A==")])),
    "binary": (1003, RemoteProtocolError, lambda s: s.send_bytes(b"\x00")),
    "oversized": (1009, RemoteProtocolError, lambda s: s.send_str(" " * 70_000)),
    "not UTF-8": (
        1007,
        RemoteProtocolError,
        lambda s: s.send_frame(b"\xff", aiohttp.WSMsgType.TEXT),
    ),
}


@pytest.mark.parametrize(("code", "error", "misbehave"), BAD.values(), ids=BAD)
def test_what_ends_a_call_leaves_its_audio(code: int, error: type[Exception], misbehave: Send) -> None:
    good = call_messages("call-1", PCM)[:-2]  # neither the short rest nor the stop

    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, connect(server) as socket:
            await send(socket, good)
            await misbehave(socket)
            closed_with, reason = await close_of(socket)
            call = await seen.ended.get()
        assert closed_with == code
        assert len(reason.encode()) <= REASON_BYTES_MAX
        assert type(call.error) is error
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(good))

    run(main())


def test_a_packet_that_is_none_is_left_out(libopus: object, caplog: pytest.LogCaptureFixture) -> None:
    good = call_messages("call-1", bytes(2 * 16000), format="OPUS@16000h")
    bad = media("/w==").replace(b'"1"', b'"7"')

    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, connect(server) as socket:
            await send(socket, [*good[:8], bad, bad, *good[9:]])
            call = await seen.ended.get()
        assert call.error is None
        assert call.stats["inbound"].lost == 1
        left_out = [message for message in good if message != good[8]]
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(left_out))

    run(main())
    assert caplog.text.count("a packet is left out: Opus packet of 1 bytes") == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (1002, call_messages("x", PCM)[2]),  # media before start
        (1003, start_of()[1].replace(b"x-mulaw", b"G722").replace(b"8000", b"16000")),
        (1003, start_of()[1].replace(b"x-mulaw", b"x-nothing")),
        (1003, start_of()[1].replace(b"8000", b"11025")),  # 20 ms are 220.5 samples
    ],
)
def test_a_stream_that_cannot_begin_reaches_no_handler(code: int, message: bytes) -> None:
    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, connect(server) as socket:
            await send(socket, [message])
            assert (await close_of(socket))[0] == code
        assert not seen.events

    run(main())


def test_a_message_of_exactly_the_limit_is_taken() -> None:
    start = start_of()[1]

    async def main() -> None:
        seen = Seen()
        async with serve(seen, max_message_bytes=len(start)) as server, connect(server) as socket:
            await send(socket, [start, b" " * (len(start) + 1)])
            too_big = f"message longer than {len(start)} bytes"
            assert await close_of(socket) == (1009, too_big)
            call = await seen.ended.get()
        assert str(call.error) == f"connection broken: {too_big}"
        assert [type(event) for event in seen.events["call-1"]] == [Start]

    run(main())


def test_a_peer_that_never_starts_is_sent_away() -> None:
    async def main() -> None:
        async with serve(Seen(), start_timeout_s=0.01) as server, connect(server) as socket:
            await send(socket, start_of()[:1])
            assert await close_of(socket) == (1008, "no start message within 0.01 s")

    run(main())


def test_a_handler_that_raises_hurts_only_its_own_call(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        seen = Seen()

        async def handler(call: Call) -> None:
            if call.start.call_id == "bad":
                raise ZeroDivisionError("a defect of the handler")
            await seen(call)

        good = call_messages("good", PCM)
        async with serve(handler) as server, connect(server) as one, connect(server) as other:
            await send(one, good[:20])
            await send(other, call_messages("bad", PCM)[:10])
            assert (await close_of(other))[0] == 1011
            await send(one, good[20:])
            assert (await close_of(one))[0] == 1000
            await seen.ended.get()
        assert pcm_of(seen.events["good"]) == pcm_of(received_directly(good))

    run(main())
    assert "'bad'" in caplog.text
    assert "a defect of the handler" in caplog.text


def test_a_handler_may_hang_up() -> None:
    async def main() -> None:
        async def handler(call: Call) -> None:
            async for event in call:
                if isinstance(event, Frame):
                    await call.close(4000, "heard enough")

        async with serve(handler) as server, connect(server) as socket:
            await send(socket, call_messages("call-1", PCM)[:4])
            assert await close_of(socket) == (4000, "heard enough")

    run(main())


def test_a_lost_connection_gives_everything_that_came() -> None:
    messages = [*call_messages("call-1", PCM)[:-2], media("////").replace(b'"0"', b'"1000"')]

    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, connect(server) as socket:
            await send(socket, messages)
            transport = socket._response.connection.transport  # type: ignore[union-attr]
            assert transport is not None
            transport.abort()
            call = await seen.ended.get()
        assert isinstance(call.error, RemoteProtocolError)
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(messages))

    run(main())


def test_closing_the_server_ends_the_calls() -> None:
    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, connect(server) as socket:
            await send(socket, call_messages("call-1", PCM)[:12])
            await seen.until("call-1", 11)
            closing = asyncio.create_task(server.close())
            assert await close_of(socket) == (1001, "server is shutting down")
            await closing
            call = seen.ended.get_nowait()
            assert not server.calls
        assert isinstance(call.error, LocalProtocolError)
        assert len(pcm_of(seen.events["call-1"])) == 10 * 320

    run(main())


def test_a_peer_that_reads_nothing_cannot_hold_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.net.call.CLOSE_TIMEOUT_S", 0.01)

    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, connect(server) as deaf:
            await send(deaf, call_messages("deaf", PCM)[:3])
            await seen.until("deaf", 1)
            await server.close()  # the peer reads nothing, so it never answers the close frame
            call = seen.ended.get_nowait()
            assert isinstance(call.error, LocalProtocolError)

    run(main())


def test_a_taken_port_is_an_error() -> None:
    async def main() -> None:
        async with serve(Seen()) as server:
            taken = f"cannot listen on 127.0.0.1:{server.port}: Address already in use"
            with pytest.raises(OSError, match=taken):
                async with serve(Seen(), port=server.port):
                    pass

    run(main())


@given(st.text(max_size=200))
def test_a_close_reason_is_whole_characters_that_fit(reason: str) -> None:
    short = short_reason(reason)
    assert len(short.encode()) <= REASON_BYTES_MAX
    escaped = reason.encode("utf-8", "backslashreplace").decode()
    assert escaped.startswith(short)
    assert len(short.encode()) > REASON_BYTES_MAX - 4 or short == escaped
