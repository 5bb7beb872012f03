"""The same call over every server: what a handler gets, what a peer is told, and who is let in."""

import asyncio
import inspect
import io
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_type_hints
from unittest.mock import ANY

import aiohttp
import pytest

import trunkline.net
from tests.net.adapters import ADAPTERS, Serve
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
from trunkline import g711
from trunkline.errors import FormatError, LocalProtocolError, PayloadError, RemoteProtocolError
from trunkline.net import Call
from trunkline.net.endpoint import Endpoint, EndpointOptions
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.stream import Dtmf, Frame, Mark, Start, Stop, StreamReceiver, StreamSender, read_capture
from trunkline.testing import speech_like

PCM = speech_like(1.01)
CANARY = "canary0bearer0token"
LISTENERS = [name for name in ADAPTERS if name != "asgi"]  # there, the server has the pings and TLS


@pytest.fixture(params=ADAPTERS)
def serving(request: pytest.FixtureRequest) -> Serve:
    return ADAPTERS[request.param]


@pytest.fixture
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["serving"])


async def status_of(url: str, **options: Any) -> int:
    """Ask for the upgrade: 101, or the HTTP status of a refusal."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(url, **options) as socket:
                assert not socket.closed
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


def test_a_handler_gets_what_a_receiver_gives(serving: Serve) -> None:
    messages = call_messages("call-1", PCM)

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as socket:
            await send(socket, messages)
            assert await close_of(socket) == (1000, "")
            call = await seen.ended.get()
        events, expected = seen.events["call-1"], received_directly(messages)
        assert [type(event) for event in events] == [type(event) for event in expected]
        assert pcm_of(events) == pcm_of(expected)
        assert type(call) is Call
        assert call.error is None
        assert call.peer.startswith("127.0.0.1:")
        assert call.stats["inbound"].packets == 51

    run(main())


def test_a_talk_both_ways(serving: Serve) -> None:
    """An echo whose mark comes back, and is silenced by a key."""
    events: list[object] = []
    pcm = PCM[:8000]

    async def echo(call: Call) -> None:
        async for event in call:
            if isinstance(event, Frame):
                await call.play(event)
            elif isinstance(event, Dtmf):
                call.clear()
            else:
                events.append(event)
                if isinstance(event, Start):
                    call.mark("hello")

    async def main() -> None:
        sender = StreamSender("PCMU", stream_id="MZ1")
        heard = StreamReceiver(role="platform", format="PCMU", stream_id="MZ1")
        async with serving(echo) as server, connect(server) as socket:
            await send(socket, sender.start())
            first = json.loads((await socket.receive()).data)
            assert (first["event"], first["mark"]) == ("mark", {"name": "hello"})
            await send(socket, sender.mark("hello") + sender.media(pcm))
            back = b""
            while len(back) < len(pcm):
                back += pcm_of(heard.receive((await socket.receive()).data))
            assert back == g711.ulaw_decode(g711.ulaw_encode(pcm))
            await send(socket, sender.dtmf("5"))
            assert json.loads((await socket.receive()).data)["event"] == "clear"
            await send(socket, sender.stop())
            assert await close_of(socket) == (1000, "")
        assert [type(event) for event in events] == [Start, Mark, Stop]

    run(main())


@pytest.mark.parametrize(
    ("header", "status"),
    [(None, 401), (f"Bearer {CANARY}x", 401), (f"Basic {CANARY}", 401), (f"bearer  {CANARY}", 101)],
)
def test_only_the_bearer_of_the_token_is_let_in(serving: Serve, header: str | None, status: int) -> None:
    async def main() -> None:
        headers = {} if header is None else {"Authorization": header}
        async with serving(Seen(), bearer_token=CANARY) as server:
            assert await status_of(server.url, headers=headers) == status
            assert server.refused == ({} if status == 101 else {401: 1})

    run(main())


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, from DEBUG on and with its tracebacks."""
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    try:
        yield stream
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def test_no_token_shows(serving: Serve, tmp_path: Path) -> None:
    shown: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0  # every handle is logged, with its arguments

        async def handler(call: Call) -> None:
            shown.append(f"{call!r} {vars(call)!r}")
            async for event in call:
                shown.append(repr(event))
            shown.append("".join(traceback.format_exception(call.error)) if call.error else "")
            raise ZeroDivisionError("a defect of the handler")

        capture = tmp_path / "call.jsonl"
        async with serving(handler, bearer_token=CANARY, capture=capture) as server:
            for wrong in (f"Bearer {CANARY}x", f"Basic {CANARY}", CANARY, f"Bearer {CANARY} \x01"):
                await ask(server.url, f"Authorization: {wrong}\r\n{UPGRADE}")
            assert await status_of(server.url, headers={"Authorization": f"Bearer {CANARY}x"}) == 401
            for last in (b"{", b'{"event":"stop"}'):
                async with connect(server, headers={"Authorization": f"Bearer {CANARY}"}) as socket:
                    await send(socket, [*call_messages("call-1", PCM)[:5], last])
                    await close_of(socket)
            shown.append(f"{server!r} {server.calls!r} {server.refused!r}")

    with logged() as log:
        asyncio.run(main(), debug=True)
    shown.append(log.getvalue())
    assert "refused with HTTP 401" in log.getvalue()
    assert "a defect of the handler" in log.getvalue()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    shown += [file.read_text() for file in files]
    assert CANARY not in "\n".join(shown)


UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"


async def ask(url: str, headers: str) -> str:
    """Send a request as it is; give the status line of the answer; uvicorn has none at times."""
    host, _, path = url.removeprefix("ws://").partition("/")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    try:
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode("latin-1"))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                return (await reader.readline()).decode("latin-1")
        return ""
    finally:
        writer.close()
        await writer.wait_closed()


def media(payload: str) -> bytes:
    return (
        '{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"0",'
        f'"payload":"{payload}"}}}}'
    ).encode()


Misbehave = Callable[[aiohttp.ClientWebSocketResponse], Any]
BAD: dict[str, tuple[int, type[Exception], Misbehave]] = {
    "not JSON": (1002, RemoteProtocolError, lambda s: s.send_str("{")),
    "bad base64": (1007, PayloadError, lambda s: send(s, [media("////=A==")])),
    "binary": (1003, RemoteProtocolError, lambda s: s.send_bytes(b"\x00")),
    "oversized": (1009, RemoteProtocolError, lambda s: s.send_str(" " * 65_537)),
    "not UTF-8": (1007, RemoteProtocolError, lambda s: s.send_frame(b"\xff", aiohttp.WSMsgType.TEXT)),
}


@pytest.mark.parametrize(("code", "error", "misbehave"), BAD.values(), ids=BAD)
def test_what_ends_a_call_leaves_its_audio(
    serving: Serve, code: int, error: type[Exception], misbehave: Misbehave
) -> None:
    good = call_messages("call-1", PCM)[:-2]  # neither the short rest nor the stop

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as socket:
            await send(socket, good)
            await misbehave(socket)
            assert (await close_of(socket))[0] == code
            call = await seen.ended.get()
        assert isinstance(call.error, error)
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(good))

    run(main())


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


@pytest.mark.parametrize("polite", [True, False])
def test_a_peer_that_goes_early_leaves_its_audio(serving: Serve, polite: bool) -> None:
    messages = call_messages("call-1", PCM)[:-2]

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as socket:
            await send(socket, messages)
            if polite:
                await socket.close(code=4321)
            else:
                await seen.until("call-1", 3)
                socket._response.connection.transport.abort()  # type: ignore[union-attr]
            call = await seen.ended.get()
        assert isinstance(call.error, RemoteProtocolError)
        if polite:
            assert "close code 4321" in str(call.error)
            assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(messages))

    run(main())


def test_a_peer_that_never_starts_is_sent_away(serving: Serve) -> None:
    async def main() -> None:
        async with serving(Seen(), start_timeout_s=0.05) as server, connect(server) as socket:
            await send(socket, call_messages("call-1", PCM)[:1])
            assert await close_of(socket) == (1008, "no start message within 0.05 s")

    run(main())


def test_closing_the_server_ends_the_calls(serving: Serve, adapter: str) -> None:
    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as socket:
            await send(socket, call_messages("call-1", PCM)[:12])
            await seen.until("call-1", 11)
            closing = asyncio.create_task(server.close())
            assert (await close_of(socket))[0] == (1012 if adapter == "asgi" else 1001)
            await closing
            call = seen.ended.get_nowait()
            assert not server.calls
        assert isinstance(call.error, RemoteProtocolError if adapter == "asgi" else LocalProtocolError)
        assert len(pcm_of(seen.events["call-1"])) == 10 * 320

    run(main())


def test_a_handler_that_raises_ends_its_call(serving: Serve) -> None:
    async def handler(call: Call) -> None:
        raise ZeroDivisionError("a defect of the handler")

    async def main() -> None:
        async with serving(handler) as server, connect(server) as socket:
            await send(socket, call_messages("call-1", PCM)[:2])
            assert await close_of(socket) == (1011, "internal error")

    run(main())


def test_a_capture_has_every_message(serving: Serve, tmp_path: Path) -> None:
    messages = [*call_messages("call-1", PCM)[:9], b"{"]
    path = tmp_path / "call.jsonl"

    async def main() -> None:
        async with serving(Seen(), capture=path) as server, connect(server) as socket:
            await send(socket, messages)
            assert (await close_of(socket))[0] == 1002

    run(main())
    assert [message.data for message in read_capture(path)] == messages


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
            await asyncio.sleep(0.3)
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

    run(main())


@pytest.mark.parametrize("serving", LISTENERS, indirect=True)
def test_over_tls(serving: Serve, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)

    async def main() -> None:
        seen = Seen()
        async with (
            serving(seen, ssl=server_context(certificate, key)) as server,
            connect(server, ssl=client_context(certificate)) as socket,
        ):
            assert server.url.startswith("wss://")
            await send(socket, call_messages("call-1", PCM))
            assert await close_of(socket) == (1000, "")
        assert len(pcm_of(seen.events["call-1"])) == len(PCM)

    run(main())


def test_every_name_of_the_package_is_there() -> None:
    assert {name for name in trunkline.net.__all__ if hasattr(trunkline.net, name)} == set(
        trunkline.net.__all__
    )


def test_the_options_are_those_of_an_endpoint() -> None:
    _, _, *options = inspect.signature(Endpoint.__init__).parameters.values()
    assert {option.name: option.annotation for option in options} == get_type_hints(EndpointOptions)


@pytest.mark.parametrize("module", ["asgi", "picows_server", "websockets_server"])
def test_a_server_needs_no_other_ones_library(module: str) -> None:
    code = f"import sys; sys.modules['aiohttp'] = None; import trunkline.net.{module}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("library", ["picows", "websockets"])
def test_a_library_that_is_missing_is_named_with_its_cure(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from trunkline.net import serve_{library}"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert shown.endswith(f"{library} is not installed: pip install 'trunkline[{library}]'\n")


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
