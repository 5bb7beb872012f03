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

import aiohttp
import pytest

import trunkline.net
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
)
from trunkline import g711
from trunkline.errors import LocalProtocolError, PayloadError, RemoteProtocolError
from trunkline.net import Call
from trunkline.net.endpoint import Endpoint, EndpointOptions
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.stream import Dtmf, Frame, Mark, Start, Stop, StreamReceiver, StreamSender, read_capture
from trunkline.testing import speech_like

PCM = speech_like(1.01)
CANARY = "canary0bearer0token"


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
        assert isinstance(call, Call)
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
                with suppress(TimeoutError):  # uvicorn answers none that has no key
                    async with asyncio.timeout(0.5):
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


def media(payload: str) -> bytes:
    return (
        '{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"0",'
        f'"payload":"{payload}"}}}}'
    ).encode()


async def send_binary_media(socket: aiohttp.ClientWebSocketResponse) -> None:
    await asyncio.sleep(0.02)  # the handler waits
    await socket.send_bytes(call_messages("call-1", PCM)[-2])


Misbehave = Callable[[aiohttp.ClientWebSocketResponse], Any]
BAD: dict[str, tuple[int, type[Exception], Misbehave]] = {
    "not JSON": (1002, RemoteProtocolError, lambda s: s.send_str("{")),
    "bad base64": (1007, PayloadError, lambda s: send(s, [media("////=A==")])),
    "binary": (1003, RemoteProtocolError, lambda s: s.send_bytes(b"\x00")),
    "media, and binary": (1003, RemoteProtocolError, send_binary_media),
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
