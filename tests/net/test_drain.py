"""A server that is to end: nobody new is let in, and the calls that are there end as they would."""

import asyncio
import gc
import socket
import weakref
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import soundfile

from tests.net.adapters import ADAPTERS, LISTENERS, Serve
from tests.net.endpoints import Seen, call_messages, close_of, connect, pcm_of, received_directly, run, send
from tests.net.test_serve_audiosocket import asterisk
from tests.net.test_serve_rtp import PCM as RTP_PCM
from tests.net.test_serve_rtp import Heard, packets
from trunkline.errors import LocalProtocolError
from trunkline.net import Call, CallRecordings, serve, serve_audiosocket, serve_rtp
from trunkline.net.aiohttp_server import AiohttpSocket
from trunkline.testing import speech_like

PCM = speech_like(1.01)


async def status_while_draining(url: str) -> int | None:
    """Ask for the upgrade; None where nobody listens."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(url):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status
        except aiohttp.ClientConnectionError:
            return None


def test_a_call_that_is_there_ends_as_it_would(serving: Serve, adapter: str) -> None:
    messages = call_messages("call-1", PCM)

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as peer:
            await send(peer, messages[:20])
            await seen.until("call-1", 10)
            assert not server.is_draining
            draining = asyncio.create_task(server.drain(20))
            await asyncio.sleep(0)
            assert server.is_draining
            # the library waits for the connection to be lost, and an application has no listener
            refused = await status_while_draining(server.url)
            assert refused == (503 if adapter == "asgi" else None)
            assert not draining.done()
            await send(peer, messages[20:])
            assert (await close_of(peer))[0] == 1000
            assert await draining is True
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(messages))

    run(main())


def test_what_lasts_for_longer_is_closed_with_1001(serving: Serve, adapter: str, tmp_path: Path) -> None:
    messages = call_messages("call-1", PCM, stream_id="s")[:30]

    async def main() -> None:
        recordings = CallRecordings(tmp_path)
        async with serving(recordings) as server, connect(server) as peer:
            await send(peer, messages)
            while server.stats.tracks["inbound"].packets < 28:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            assert await server.drain(0.01) is False
            closing = asyncio.create_task(server.close())
            assert (await close_of(peer))[0] == (1012 if adapter == "asgi" else 1001)
            await closing
        assert recordings.stats.written == 1

    run(main())
    samples, _ = soundfile.read(tmp_path / "call-1_s.wav", dtype="int16")
    assert samples.tobytes() == pcm_of(received_directly(messages))


def test_who_stops_to_wait_loses_no_call(serving: Serve) -> None:
    messages = call_messages("call-1", PCM)

    async def main() -> None:
        seen = Seen()
        async with serving(seen) as server, connect(server) as peer:
            await send(peer, messages[:20])
            await seen.until("call-1", 10)
            draining = asyncio.create_task(server.drain(20))
            await asyncio.sleep(0)
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
            await send(peer, messages[20:])
            assert (await close_of(peer))[0] == 1000
        assert pcm_of(seen.events["call-1"]) == pcm_of(received_directly(messages))

    run(main())


def test_audiosocket_drains() -> None:
    sender = asterisk()

    async def main() -> None:
        seen = Seen()
        async with serve_audiosocket(seen) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"".join(sender.start() + sender.media(PCM[:3200])))
            await seen.until(sender.call_id, 2)
            draining = asyncio.create_task(server.drain(20))
            await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"".join(sender.media(PCM[3200:6400]) + sender.stop()))
            assert await draining is True
            await reader.read()
            writer.close()
            await writer.wait_closed()
        assert pcm_of(seen.events[sender.call_id]) == PCM[:6400]

    run(main())


def test_rtp_drains() -> None:
    async def main() -> None:
        heard = Heard()
        async with serve_rtp(heard, idle_s=0.1) as server:
            assert await server.drain(0) is True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            async with serve_rtp(heard, idle_s=0.1) as server:
                sender.connect(("127.0.0.1", server.port))
                for packet in packets()[:25]:
                    sender.send(packet)
                while not heard.calls:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                draining = asyncio.create_task(server.drain(20))
                for packet in packets()[25:]:
                    sender.send(packet)
                assert await draining is True
                assert server.is_draining
                for packet in packets(2):  # of a stream that is not taken
                    sender.send(packet)
                await asyncio.sleep(0.01)
        ((_, events),) = heard.calls
        assert pcm_of(events) == RTP_PCM
        assert server.stats.ended["stopped"] == 1
        assert server.stats.tracks["inbound"].packets == 50

    run(main())


@pytest.mark.parametrize("name", LISTENERS)
def test_processes_may_share_a_port(name: str) -> None:
    async def main() -> None:
        seen, serving = Seen(), ADAPTERS[name]
        messages = call_messages("call-1", PCM)
        async with serving(seen, reuse_port=True) as first:
            port = int(first.url.split(":")[2].rstrip("/"))
            async with serving(seen, port=port, reuse_port=True) as second:
                assert await first.drain(0)
                async with aiohttp.ClientSession() as session, session.ws_connect(second.url) as peer:
                    await send(peer, messages)
                    assert (await close_of(peer))[0] == 1000
            assert (first.stats.calls, second.stats.calls) == (0, 1)
            with pytest.raises(OSError, match="cannot listen on"):
                async with serving(seen, host="203.0.113.1", reuse_port=True):
                    pass

    run(main())


def test_a_call_that_has_ended_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.net.endpoint.CLOSE_TIMEOUT_S", 0.01)
    kept: list[weakref.ref[Any]] = []

    async def handler(call: Call) -> None:
        kept.extend((weakref.ref(call), weakref.ref(cast(AiohttpSocket, call._socket).response)))
        async for _ in call:
            pass

    async def main() -> None:
        async with serve(handler) as server, aiohttp.ClientSession() as session:
            for n_messages in (54, 20):  # to the stop, and closed by the peer before
                async with session.ws_connect(server.url) as peer:
                    await send(peer, call_messages("call-1", PCM)[:n_messages])
                    if n_messages == 54:
                        await close_of(peer)
            async with asyncio.timeout(5):  # aiohttp's heartbeat would keep it for 30 s
                while len(kept) < 4 or any(what() is not None for what in kept):
                    await asyncio.sleep(0.01)
                    gc.collect()

    run(main())


def test_to_drain_and_to_close_are_one_to_the_call() -> None:
    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, connect(server) as peer:
            await send(peer, call_messages("call-1", PCM)[:12])
            await seen.until("call-1", 11)
            draining = asyncio.create_task(server.drain(20))
            await asyncio.sleep(0)
            closing = asyncio.create_task(server.close())
            assert await close_of(peer) == (1001, "server is shutting down")
            await asyncio.gather(closing, draining)
            assert isinstance(seen.ended.get_nowait().error, LocalProtocolError)

    run(main())
