"""The same scripts, driven by the real SDK's client and by ours: what holds for one holds for the other."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.net.endpoints import run
from tests.relay.scripted import DEVICE, PROJECT, TOKEN, Exchange, exchange
from trunkline.formats import CodecSpec
from trunkline.relay import Answer, Connect, Dial, End, Ping, Receive, Stream, StreamStop, Unreceive

STREAM = {
    "name": "a stream",
    "codec": "L16@24000h@40i",
    "track": "both_tracks",
    "status_url": "https://example.com/status",
    "status_url_method": "GET",
    "authorization_bearer_token": "canary-token-2",
    "custom_parameters": {"k": "v", "z": "é"},
    "control_id": "stream-1",
}
URL = "wss://example.com/audio?x=1"


@pytest.fixture(params=["signalwire", "trunkline"])
def library(request: pytest.FixtureRequest) -> Any:
    """The module that has a RelayClient."""
    if request.param == "signalwire":
        return pytest.importorskip("signalwire.relay", reason="signalwire-sdk is not installed")
    return importlib.import_module("trunkline.relay")


Script = Callable[[Exchange, Any, Any], Awaitable[None]]


@pytest.fixture
def in_a_call(library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], None]:
    """Run a script against an exchange, a connected client, and its call, which has just come in."""

    async def scripted(script: Script) -> None:
        async with exchange(tmp_path, monkeypatch) as serving:
            client = library.RelayClient(project=PROJECT, token=TOKEN, host=serving.host, contexts=["office"])
            calls: asyncio.Queue[Any] = asyncio.Queue()
            client.on_call(calls.put)
            async with client:
                await serving.call_in()
                await script(serving, client, await calls.get())

    return lambda script: run(scripted(script))


def of_type(serving: Exchange, kind: type) -> list[Any]:
    return [command for command in serving.commands if isinstance(command, kind)]


def test_connect_and_be_called(in_a_call: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        assert client.relay_protocol == serving.peer.connection.protocol
        [connect] = of_type(serving, Connect)
        assert (connect.contexts, connect.event_acks, connect.resumed) == (("office",), True, False)
        assert (call.call_id, call.node_id, call.state) == ("call-1", "node-1", "created")
        assert (call.project_id, call.direction) == (PROJECT, "inbound")
        assert (call.device, call.segment_id) == (DEVICE, "call-1")
        await serving.until_acknowledged()

    in_a_call(script)


def test_bad_credentials(library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script() -> None:
        async with exchange(tmp_path, monkeypatch) as serving:
            client = library.RelayClient(project=PROJECT, token="wrong", host=serving.host)  # noqa: S106
            try:
                with pytest.raises(library.RelayError, match="the project or its token is wrong") as raised:
                    await client.connect()
                assert raised.value.code == -32002
            finally:
                await client.disconnect()
            assert not serving.peer.connection.authenticated

    run(script())


def test_answer_stream_stop_and_wait(in_a_call: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        completed: list[Any] = []
        await call.answer()
        action = await call.stream(url=URL, **STREAM, on_completed=completed.append)
        with pytest.raises(TimeoutError):
            await action.wait(timeout=0.01)
        assert (action.control_id, action.is_done) == ("stream-1", False)
        assert (await action.stop())["control_id"] == "stream-1"
        event = await action.wait()
        assert event.params["state"] == "finished"
        assert (event.control_id, event.state, event.url, event.name) == (
            "stream-1",
            "finished",
            URL,
            "a stream",
        )
        assert completed == [event]
        assert (await action.wait()) is event
        assert call.state == "answered"
        [answer], [stream], [stop] = (of_type(serving, kind) for kind in (Answer, Stream, StreamStop))
        assert {(c.call_id, c.node_id) for c in (answer, stream, stop)} == {("call-1", "node-1")}
        request = stream.request
        assert request.codec == CodecSpec("L16", 24_000, 40)
        assert request.track == "both"
        taken = {field: getattr(request, field) for field in STREAM if field not in ("codec", "track")}
        assert taken == {field: value for field, value in STREAM.items() if field in taken}
        await serving.until_acknowledged()

    in_a_call(script)


def test_on_completed_may_be_a_coroutine(in_a_call: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        completed: asyncio.Queue[Any] = asyncio.Queue()
        action = await call.stream(URL, on_completed=completed.put)
        await action.stop()
        assert await completed.get() is await action.wait()
        assert completed.empty()

    in_a_call(script)


def test_a_url_as_long_as_they_get(in_a_call: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        url = URL.ljust(65_535, "x")
        action = await call.stream(url)
        await action.stop()
        assert (await action.wait()).url == url
        assert len(serving.peers) == 1

    in_a_call(script)


@pytest.mark.parametrize("hung_up_by", ["client", "caller"])
def test_hang_up_during_streams(in_a_call: Callable[[Script], None], hung_up_by: str) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        completed: list[Any] = []
        await call.answer()
        actions = [await call.stream(URL, on_completed=completed.append) for _ in range(3)]
        if hung_up_by == "client":
            await call.hangup("busy")
            assert [command.reason for command in of_type(serving, End)] == ["busy"]
        else:
            await serving.end(serving.calls["call-1"], "busy")
        events = [await action.wait() for action in actions]
        assert [event.state for event in events] == ["finished"] * 3
        assert completed == events
        ended = await call.wait_for_ended()
        assert (ended.call_state, ended.end_reason, call.state) == ("ended", "busy", "ended")

    in_a_call(script)


def test_a_stream_that_is_refused(in_a_call: Callable[[Script], None], library: Any) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        with pytest.raises(library.RelayError, match="url: takes a wss:// URL") as raised:
            await call.stream("ws://example.com/")
        assert raised.value.code == 400
        serving.refusals[Stream] = (409, "no more streams")
        with pytest.raises(library.RelayError, match="no more streams") as raised:
            await call.stream(URL)
        assert raised.value.code == 409

    in_a_call(script)


@pytest.mark.parametrize("code", [404, 410])
def test_a_stream_of_a_call_that_has_gone(in_a_call: Callable[[Script], None], code: int) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        completed: list[Any] = []
        serving.refusals[Stream] = (code, "gone")
        action = await call.stream(URL, on_completed=completed.append)
        event = await action.wait()
        assert (event.event_type, event.params, completed) == ("", {}, [event])

    in_a_call(script)


def test_a_stream_that_finishes_before_it_is_refused(in_a_call: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        completed: list[Any] = []
        serving.silent = True
        starting = asyncio.create_task(call.stream(URL, control_id="s1", on_completed=completed.append))
        await serving.until(2)
        [command] = serving.peer.connection.unanswered
        assert isinstance(command, Stream)
        events = serving.calls["call-1"]
        events.open_stream(command.request)
        serving.peer.connection.send_event(events.finished("s1", 0.0))
        serving.peer.connection.refuse(command, 410, "gone")
        await serving.peer.flush()
        event = await (await starting).wait()
        assert (event.event_type, completed) == ("calling.call.stream", [event])

    in_a_call(script)


def test_no_stream_is_asked_of_a_call_that_has_ended(in_a_call: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        await call.hangup()
        await call.wait_for_ended()
        action = await call.stream(URL)
        assert (action.is_done, (await action.wait()).event_type) == (True, "")
        assert of_type(serving, Stream) == []

    in_a_call(script)


def test_an_unknown_method(in_a_call: Callable[[Script], None], library: Any) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        with pytest.raises(library.RelayError, match=r"unknown method 'calling\.play'") as raised:
            await client.execute("calling.play", {"play": []})
        assert raised.value.code == -32601

    in_a_call(script)


def test_pings_go_both_ways(in_a_call: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        assert await client.execute("signalwire.ping", {}) == {}
        assert len(of_type(serving, Ping)) == 1
        serving.peer.connection.ping(0.0)
        assert serving.peer.connection.unacknowledged >= 1
        await serving.peer.flush()
        await serving.until_acknowledged()

    in_a_call(script)


def test_contexts_change(in_a_call: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        await client.receive(["home", "shop"])
        await client.unreceive(["office", "home"])
        assert serving.peer.connection.contexts == ("shop",)
        assert [len(of_type(serving, kind)) for kind in (Receive, Unreceive)] == [1, 1]

    in_a_call(script)


def test_dial(in_a_call: Callable[[Script], None], library: Any) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        dialled = await client.dial([[DEVICE]], tag="tag-1", max_duration=5, dial_timeout=30.0)
        assert (dialled.call_id, dialled.node_id, dialled.tag) == ("call-out", "node-1", "tag-1")
        assert (dialled.direction, dialled.state, dialled.device) == ("outbound", "answered", DEVICE)
        [dial] = of_type(serving, Dial)
        assert (dial.tag, dial.max_duration, dial.devices[0][0].params) == ("tag-1", 5, DEVICE["params"])
        await dialled.hangup()
        assert (await dialled.wait_for_ended()).end_reason == "hangup"
        busy = {"type": "phone", "params": {"to_number": "+15550199", "from_number": "+15550100"}}
        with pytest.raises(library.RelayError, match=r"[Dd]ial failed"):
            await client.dial([[busy]])

    in_a_call(script)


def test_listen_to_the_events_of_a_call(in_a_call: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: Any, call: Any) -> None:
        seen: list[str] = []
        call.on("calling.call.state", lambda event: seen.append(event.params["call_state"]))
        ending = asyncio.create_task(
            call.wait_for("calling.call.state", lambda event: event.call_state == "ending", timeout=5)
        )
        await call.answer()
        await call.hangup()
        assert (await ending).end_reason == "hangup"
        await call.wait_for_ended()
        assert seen == ["answered", "ending", "ended"]

    in_a_call(script)
