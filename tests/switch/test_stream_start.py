"""Streams that do not come about: the reason, and that nothing else is touched."""

import asyncio
import socket as sockets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.net.endpoints import Seen, pcm_of, run
from tests.switch.parties import Told, answered, raw_endpoint, switch
from trunkline.errors import FormatError, StreamStartError
from trunkline.net import serve
from trunkline.net.targets import Targets
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.stream import StreamRequest
from trunkline.switch import call as call_module
from trunkline.switch.callbacks import StatusCallback, StreamStatus
from trunkline.testing import speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

STATUS_URL = "https://example.com/status"
TOKEN = "s3cret-t0ken"  # noqa: S105
untrusted_directory = ""  # where that one puts its certificate
Endpoint = Callable[[], AbstractAsyncContextManager[str]]


class Noted:
    """A sender of status callbacks that keeps what it was to send."""

    def __init__(self) -> None:
        self.statuses: list[StreamStatus] = []

    def notify(self, callback: StatusCallback, status: StreamStatus) -> None:
        assert callback == StatusCallback(url=STATUS_URL)
        self.statuses.append(status)

    def of(self, control_id: str) -> list[tuple[str, str | None]]:
        return [(status.state, status.error) for status in self.statuses if status.control_id == control_id]


@asynccontextmanager
async def dead() -> AsyncIterator[str]:
    with sockets.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{closed.getsockname()[1]}/"


@asynccontextmanager
async def locked() -> AsyncIterator[str]:
    async with serve(Seen(), bearer_token=TOKEN + "x") as server:
        yield server.url


@asynccontextmanager
async def elsewhere() -> AsyncIterator[str]:
    async with serve(Seen()) as server:
        yield server.url + "elsewhere"


@asynccontextmanager
async def untrusted() -> AsyncIterator[str]:
    directory = Path(untrusted_directory)
    async with serve(Seen(), ssl=server_context(*self_signed(directory))) as server:
        yield server.url


@asynccontextmanager
async def plain() -> AsyncIterator[str]:
    async with serve(Seen()) as server:
        yield server.url.replace("ws://", "wss://")


@asynccontextmanager
async def redirecting() -> AsyncIterator[str]:
    async with serve(Seen()) as server:

        async def handle(request: web.Request) -> web.StreamResponse:
            raise web.HTTPFound(server.url.replace("ws://", "http://"))

        async with raw_endpoint(handle) as url:
            yield url
        assert not server.calls


@asynccontextmanager
async def no_websocket() -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(text="hello")

    async with raw_endpoint(handle) as url:
        yield url


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other end has had enough
        writer.close()

    listening = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with listening:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("endpoint", "reason", "message"),
    [
        (dead, "connection_refused", "Connection refused"),
        (locked, "general_error", "HTTP 401"),
        (elsewhere, "general_error", "HTTP 404"),
        (untrusted, "connection_refused_timeout_or_ssl_error", "not trusted"),
        (plain, "connection_refused_timeout_or_ssl_error", "does not speak TLS"),
        (redirecting, "general_error", "redirects"),
        (no_websocket, "general_error", "HTTP 200"),
    ],
)
def test_a_start_that_fails_says_why_and_touches_nothing_else(
    endpoint: Endpoint, reason: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "untrusted_directory", str(tmp_path))
    told, noted = Told(), Noted()

    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, endpoint() as url, switch(told, callbacks=noted) as made:
            call = await answered(made, speech_like(0.5))
            other = await call.stream(server.url, control_id="other", status_url=STATUS_URL)
            with pytest.raises(StreamStartError) as caught:
                await call.stream(
                    url, control_id="S1", authorization_bearer_token=TOKEN, status_url=STATUS_URL
                )
            assert (caught.value.reason, message in str(caught.value)) == (reason, True), caught.value
            assert list(call.streams) == ["other"]
            await call.wait_for_ended()
            assert (other.completed, call.streams["other"].error) == (True, None)
            await seen.ended.get()
            assert len(pcm_of(seen.events[call.id])) > 2 * 8000 * 0.3
            assert TOKEN not in everything_in(caught.value)

    run(main())
    assert not [event for event in told.events if "S1" in event]
    assert noted.of("S1") == [("finished", reason)]
    assert noted.of("other") == [("streaming", None), ("finished", None)]


def everything_in(error: BaseException | None) -> str:
    """What a log would show of an error and of those behind it."""
    shown = ""
    while error is not None:
        shown += f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return shown


def test_an_endpoint_that_does_not_answer_is_given_up() -> None:
    async def main() -> float:
        async with silent() as url, switch() as made:
            call = await answered(made)
            with pytest.raises(StreamStartError) as caught:
                await call.stream(url)
            assert caught.value.reason == "connection_refused_timeout_or_ssl_error"
            return asyncio.get_running_loop().time()

    assert 9 < run_in_virtual_time(main()) < 11


def test_what_is_trusted_is_connected_to(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)

    async def main() -> None:
        seen = Seen()
        async with (
            serve(seen, ssl=server_context(certificate, key), bearer_token=TOKEN) as server,
            switch(ssl=client_context(certificate)) as made,
        ):
            call = await answered(made)
            action = await call.stream(
                server.url, authorization_bearer_token=TOKEN, custom_parameters={"k": "v"}, control_id="S1"
            )
            await seen.until(call.id, 3)
            await action.stop()
            start = (await seen.ended.get()).start
        assert (start.stream_id, start.call_id, start.account_id) == ("S1", call.id, "P")
        assert (start.custom_parameters, start.tracks) == ({"k": "v"}, ("inbound",))

    run(main())


def test_parameters_are_checked() -> None:
    async def main() -> None:
        async with switch() as made:
            call = await answered(made)
            for wrong in (
                {"url": "ws://example.com/"},
                {"url": "wss://"},
                {"codec": "MP3"},
                {"track": "left"},
            ):
                with pytest.raises(FormatError, match=next(iter(wrong))):
                    await call.stream(**({"url": "ws://127.0.0.1/"} | wrong))
            with pytest.raises(StreamStartError) as caught:
                await call.stream("ws://127.0.0.1/", codec="G722")
            assert caught.value.reason == "codec_error"
            with pytest.raises(StreamStartError) as caught:  # 20 ms are no whole number of samples
                await call.stream("ws://127.0.0.1/", codec="L16@11025h@40i", bidirectional=True)
            assert caught.value.reason == "codec_error"
            assert not call.streams

    run(main())


def test_live_ids_and_names_are_refused_and_finished_ones_are_not() -> None:
    async def main() -> None:
        async with serve(Seen()) as server, switch() as made:
            call = await answered(made)
            other_call = await answered(made)
            await call.stream(server.url, control_id="S1", name="one")
            await other_call.stream(server.url, control_id="S1", name="one")
            wrong: dict[str, Any]
            for wrong, reason in (
                ({"control_id": "S1", "name": "two"}, "Duplicated stream ID"),
                ({"control_id": "S2", "name": "one"}, "Duplicated stream name"),
            ):
                with pytest.raises(StreamStartError) as caught:
                    await call.stream(server.url, **wrong)
                assert caught.value.reason == reason
            await call.stream(server.url, control_id="S3")
            await call.stream(server.url, control_id="S4")  # none has a name
            await call.stop_stream("S1")
            await call.stream(server.url, control_id="S1", name="one")
            assert [stream.state for stream in call.streams.values()] == ["streaming"] * 3

    run(main())


def test_a_call_takes_so_many_live_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "STREAMS_MAX", 2)
    told = Told()

    async def main() -> None:
        async with serve(Seen()) as server, switch(told) as made:
            call, other_call = await answered(made), await answered(made)
            for control_id in ("S1", "S2"):
                await call.stream(server.url, control_id=control_id)
            with pytest.raises(StreamStartError, match="has 2 live streams"):
                await call.stream(server.url, control_id="S3")
            await other_call.stream(server.url, control_id="S3")
            await call.stop_stream("S1")
            await call.stream(server.url, control_id="S4")

    run(main())
    assert told.not_started == [("S3", "general_error")]


def test_streams_that_are_asked_for_at_once_connect_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two of them the loop has a turn, in which calls send what is due."""
    turns: list[int] = []

    async def main() -> None:
        n_turns = 0

        async def count() -> None:
            nonlocal n_turns
            while True:
                n_turns += 1
                await asyncio.sleep(0)

        def refuse(*args: Any, **options: Any) -> None:
            turns.append(n_turns)
            raise ConnectionRefusedError("nobody listens")

        monkeypatch.setattr(call_module, "connected", refuse)
        counting = asyncio.create_task(count())
        async with switch() as made:
            calls = [await answered(made) for _ in range(2)]
            streams = [call.stream("ws://127.0.0.1/") for call in calls for _ in range(10)]
            errors = await asyncio.gather(*streams, return_exceptions=True)
            assert [getattr(error, "reason", None) for error in errors] == ["connection_refused"] * 20
        counting.cancel()

    run(main())
    assert len(set(turns)) == 20


def test_two_starts_of_one_id_at_once_are_one() -> None:
    async def main() -> list[Any]:
        async with serve(Seen()) as server, switch() as made:
            call = await answered(made)
            request = StreamRequest.parse({"url": server.url, "control_id": "S1"}, insecure_loopback=True)
            return await asyncio.gather(
                *(call.start_stream(request) for _ in range(3)), return_exceptions=True
            )

    first, *others = run(main())
    assert first.control_id == "S1"
    assert [other.reason for other in others] == ["Duplicated stream ID"] * 2


def test_a_start_that_nobody_waits_for_any_more_is_undone() -> None:
    told = Told()

    async def main() -> None:
        async with silent() as url, serve(Seen()) as server, switch(told) as made:
            call = await answered(made)
            for target in (url, server.url):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await call.stream(target)
            await asyncio.sleep(1)
            assert not call.streams

    run_in_virtual_time(main())
    assert told.events == ["created", "ringing", "answered", "ending", "ended"]


def test_targets_decide() -> None:
    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server:
            async with switch(targets=Targets()) as made:
                call = await answered(made)
                with pytest.raises(StreamStartError) as caught:
                    await call.stream(server.url)
                assert (caught.value.reason, "loopback" in str(caught.value)) == ("invalid_url", True)
            async with switch(targets=Targets(["127.0.0.1"])) as made:
                call = await answered(made)
                action = await call.stream(server.url)
                await seen.until(call.id, 1)
                await action.stop()

    run(main())
