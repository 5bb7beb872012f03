"""stream: paced, complete, and safe about where it sends a call's audio."""

import asyncio
import math
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.net.endpoints import Seen, pcm_of, run
from trunkline import g711
from trunkline.errors import FormatError, LocalProtocolError, RemoteProtocolError
from trunkline.net import Call, serve, stream
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.stream import Frame, StreamSender
from trunkline.testing import conversation, speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

PCM = speech_like(1.01)


async def chunks(pcm: bytes, step: int = 1000) -> AsyncIterator[dict[str, bytes]]:
    for at in range(0, len(pcm), step):
        yield {"inbound": pcm[at : at + step]}


@pytest.mark.parametrize("speed", [math.inf, 50.0])
def test_the_audio_arrives_whole(speed: float) -> None:
    async def main() -> None:
        seen = Seen()
        sender = StreamSender("PCMU", call_id="call-1")
        async with serve(seen) as server:
            result = await stream(server.url, sender, chunks(PCM), speed=speed)
        assert (result.complete, result.close_code, result.messages_received) == (True, 1000, 0)
        assert result.messages_sent == 2 + 51 + 1
        assert pcm_of(seen.events["call-1"]) == g711.ulaw_decode(g711.ulaw_encode(PCM))

    run(main())


@pytest.mark.parametrize(("codec", "ptime_ms"), [("PCMU", 20), ("L16@16000h@40i", 40)])
def test_packets_leave_at_their_absolute_deadlines(codec: str, ptime_ms: int) -> None:
    async def main() -> list[float]:
        arrivals: list[float] = []

        async def handler(call: Call) -> None:
            now = asyncio.get_running_loop().time
            arrivals.extend([now() * 1000 async for event in call if isinstance(event, Frame)])

        sender = StreamSender(codec)
        pcm = bytes(2 * sender.format.sample_rate * 5)
        async with serve(handler, frame_ms=ptime_ms) as server:
            assert (await stream(server.url, sender, chunks(pcm, 3000))).complete
        return arrivals

    arrivals = run_in_virtual_time(main())
    assert len(arrivals) == 5000 // ptime_ms
    for k, arrival in enumerate(arrivals):
        assert arrival - arrivals[0] == pytest.approx(k * ptime_ms, abs=0.5)


def test_a_late_source_is_waited_for_and_both_tracks_keep_step() -> None:
    sides = conversation(2)

    async def late() -> AsyncIterator[dict[str, bytes]]:
        for at in range(0, len(sides[0]), 3200):
            await asyncio.sleep(1.0)  # five times too slow, in virtual time
            yield {
                track: side[at : at + 3200]
                for track, side in zip(("inbound", "outbound"), sides, strict=True)
            }

    async def main() -> None:
        seen = Seen()
        sender = StreamSender("PCMA", tracks=("inbound", "outbound"), call_id="call-1")
        async with serve(seen) as server:
            assert (await stream(server.url, sender, late())).complete
            assert asyncio.get_running_loop().time() >= 10
        frames = [event for event in seen.events["call-1"] if isinstance(event, Frame)]
        assert [frame.track for frame in frames] == ["inbound", "outbound"] * 100
        for track, side in zip(("inbound", "outbound"), sides, strict=True):
            heard = b"".join(bytes(frame) for frame in frames if frame.track == track)
            assert heard == g711.alaw_decode(g711.alaw_encode(side))

    run_in_virtual_time(main())


def test_a_server_that_closes_ends_the_stream_with_its_reason() -> None:
    async def main() -> None:
        async def handler(call: Call) -> None:
            async for event in call:
                if isinstance(event, Frame):
                    await call.close(4001, "no more")

        async with serve(handler) as server:
            result = await stream(server.url, StreamSender("PCMU"), chunks(bytes(2 * 8000 * 60)))
        assert not result.complete
        assert (result.close_code, result.close_reason) == (4001, "no more")
        assert result.messages_sent < 1000

    run_in_virtual_time(main())


def test_a_source_that_fails_ends_the_stream_without_stop() -> None:
    async def failing() -> AsyncIterator[dict[str, bytes]]:
        yield {"inbound": PCM[:3200]}
        raise ZeroDivisionError

    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server:
            with pytest.raises(ZeroDivisionError):
                await stream(server.url, StreamSender("PCMU"), failing(), speed=math.inf)
            call = await seen.ended.get()
        assert isinstance(call.error, RemoteProtocolError)

    run(main())


def test_a_server_that_does_not_read_slows_the_source_down() -> None:
    taken = 0

    async def endless() -> AsyncIterator[dict[str, bytes]]:
        nonlocal taken
        while True:
            taken += 1
            await asyncio.sleep(0)
            yield {"inbound": bytes(2 * 8000)}

    async def stands_still() -> None:
        before = -1
        while taken != before:
            before = taken
            for _ in range(500):  # turns of the event loop, many more than a chunk takes
                await asyncio.sleep(0)

    async def main() -> None:
        async def handler(call: Call) -> None:
            await stands_still()

        async with serve(handler) as server:
            result = await stream(server.url, StreamSender("PCMU"), endless(), speed=math.inf)
        assert not result.complete

    run(main())
    assert 0 < taken < 5000  # each is over 12 kB on the wire: a socket's buffers, not an endless queue


@pytest.mark.parametrize(
    "url",
    [
        "ws://example.com/",
        "ws://10.0.0.1:80/",
        "ws://127.0.0.1.example.com/",
        "ws://localhost.example.com/",
        "ws://127.0.0.1@example.com/",
        "http://127.0.0.1/",
        "127.0.0.1:8765",
        "ws://",
        "ws://[",
        "ws://127.0.0.1:99999/",
        "",
    ],
)
def test_audio_never_leaves_the_machine_in_the_clear(url: str) -> None:
    with pytest.raises(LocalProtocolError, match="wss://"):
        run(stream(url, StreamSender("PCMU"), chunks(PCM)))


@pytest.mark.parametrize("speed", [0, -1, math.nan])
def test_impossible_speeds_are_refused(speed: float) -> None:
    with pytest.raises(LocalProtocolError, match="speed"):
        run(stream("ws://127.0.0.1:9/", StreamSender("PCMU"), chunks(PCM), speed=speed))


def test_a_wrong_token_is_named_and_not_shown() -> None:
    async def main() -> None:
        async with serve(Seen(), bearer_token="right") as server:  # noqa: S106
            await stream(server.url, StreamSender("PCMU"), chunks(PCM), bearer_token="wr0ng")  # noqa: S106

    with pytest.raises(RemoteProtocolError, match="HTTP 401: the bearer token") as refused:
        run(main())
    assert "wr0ng" not in str(refused.value)
    assert (refused.value.__cause__, refused.value.__suppress_context__) == (None, True)


def test_a_wrong_path_is_named() -> None:
    async def main() -> None:
        async with serve(Seen()) as server:
            await stream(server.url + "media", StreamSender("PCMU"), chunks(PCM))

    with pytest.raises(RemoteProtocolError, match="HTTP 404: it has no stream at this path"):
        run(main())


@asynccontextmanager
async def other_server(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve what is not ours; give its URL."""
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("answers", [True, False])
def test_a_server_that_leaves_closing_to_us(answers: bool) -> None:
    client_gone = asyncio.Event()

    async def reads_on(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if not answers:
            await client_gone.wait()
        async for _ in socket:
            pass
        return socket

    async def main() -> None:
        now = asyncio.get_running_loop().time
        async with other_server(reads_on) as url:
            began = now()
            result = await stream(url, StreamSender("PCMU"), chunks(PCM), speed=math.inf)
            took_s = now() - began
            client_gone.set()
        assert result.messages_sent == 2 + 51 + 1
        if answers:
            assert (result.complete, result.close_code) == (True, 1000)
            assert took_s < 1.5
        else:  # whether it took anything nobody knows
            assert (result.complete, result.close_code) == (False, 1006)
            assert took_s < 6.5

    run_in_virtual_time(main())


def test_a_redirect_is_not_followed() -> None:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound("ws://example.com/")

    async def main() -> None:
        async with other_server(redirect) as url:
            await stream(url, StreamSender("PCMU"), chunks(PCM))

    with pytest.raises(RemoteProtocolError, match="redirects"):
        run(main())


def test_wss_with_a_certificate_of_our_own(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600

    async def main() -> None:
        seen = Seen()
        context = server_context(certificate, key)
        async with serve(seen, "localhost", ssl=context) as server:
            assert server.url.startswith("wss://localhost:")
            sender = StreamSender("PCMU", call_id="call-1")
            trusting = client_context(certificate)
            result = await stream(server.url, sender, chunks(PCM), ssl=trusting, speed=math.inf)
            assert result.complete
            assert pcm_of(seen.events["call-1"]) == g711.ulaw_decode(g711.ulaw_encode(PCM))
            with pytest.raises(RemoteProtocolError, match="certificate is not trusted"):
                await stream(server.url, StreamSender("PCMU"), chunks(PCM))

    run(main())


def test_tls_on_one_side_only_names_the_other_scheme(tmp_path: Path) -> None:
    context = server_context(*self_signed(tmp_path))

    async def main() -> None:
        async with serve(Seen()) as plain, serve(Seen(), ssl=context) as secure:
            with pytest.raises(ConnectionError, match=r"does not speak TLS .*: the URL may need ws://"):
                await stream(plain.url.replace("ws://", "wss://"), StreamSender("PCMU"), chunks(PCM))
            with pytest.raises(RemoteProtocolError, match=r"it may speak TLS: try wss://"):
                await stream(secure.url.replace("wss://", "ws://"), StreamSender("PCMU"), chunks(PCM))

    run(main())


def test_nobody_there_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        run(stream("ws://127.0.0.1:9/", StreamSender("PCMU"), chunks(PCM)))


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    with pytest.raises(FormatError, match=r"x\.pem and .* are no certificate"):
        server_context(tmp_path / "x.pem", tmp_path / "x.pem")
    with pytest.raises(FormatError, match=r"x\.pem holds no certificate"):
        client_context(tmp_path / "x.pem")
