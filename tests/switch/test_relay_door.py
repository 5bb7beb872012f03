"""The RELAY door, driven by the real SDK's client and by ours; the streams go to a real endpoint over TLS."""

import asyncio
import importlib
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.net.endpoints import run
from tests.switch.relay_doors import DEVICE, PROJECT, STREAM_TOKEN, TOKEN, Clients, Doors, doors, eventually
from trunkline.formats import MediaFormat
from trunkline.stream import Frame
from trunkline.switch import PcmSource, Stream, ToneSource

Script = Callable[[Doors, Clients], Awaitable[None]]


@pytest.fixture(params=["signalwire", "trunkline"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that has a RelayClient."""
    if request.param == "trunkline":
        return importlib.import_module("trunkline.relay")
    module = pytest.importorskip("signalwire.relay", reason="signalwire-sdk is not installed")
    monkeypatch.setattr("signalwire.relay.client._MAX_CONNECTIONS", 8)
    return module


@pytest.fixture
def behind_doors(
    library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[..., None]]:
    """Run a script against a switch behind its doors; no secret is logged."""
    caplog.set_level("INFO")

    def run_script(script: Script, **options: Any) -> None:
        async def scripted() -> None:
            async with doors(tmp_path, monkeypatch, **options) as serving:
                await script(serving, Clients(library, serving.server.host))

        run(scripted())

    yield run_script
    for secret in (TOKEN, STREAM_TOKEN):
        assert secret not in caplog.text


def test_a_stream_with_every_parameter(behind_doors: Callable[..., None]) -> None:
    async def script(d: Doors, c: Clients) -> None:
        async with c.client("office") as (_, calls):
            placed = d.place(sample_rate=16_000)
            call = await calls.get()
            assert (call.call_id, call.node_id, call.segment_id) == (
                placed.id,
                placed.node_id,
                placed.segment_id,
            )
            assert (call.project_id, call.direction, call.device) == (PROJECT, "inbound", DEVICE)
            heard: list[str] = []
            completed: list[Any] = []
            call.on("calling.call.stream", lambda event: heard.append(event.params["state"]))
            await call.answer()
            action = await call.stream(
                d.endpoint.url,
                name="a stream",
                codec="L16@24000h@40i",
                track="both_tracks",
                status_url="http://127.0.0.1:9/status",
                status_url_method="GET",
                authorization_bearer_token=STREAM_TOKEN,
                custom_parameters={"k": "v", "z": "é"},
                control_id="stream-1",
                on_completed=completed.append,
            )
            assert (action.control_id, action.is_done) == ("stream-1", False)
            await d.seen.until(placed.id, 6)
            with pytest.raises(TimeoutError):
                await action.wait(timeout=0.01)
            assert (await action.stop())["control_id"] == "stream-1"
            event = await action.wait()
            assert (event.control_id, event.state, event.url, event.name) == (
                "stream-1",
                "finished",
                d.endpoint.url,
                "a stream",
            )
            assert completed == [event]
            assert heard == ["streaming", "finished"]
            assert (placed.state, call.state) == ("answered", "answered")
            request = placed.streams["stream-1"].request
            assert (request.status_url, request.status_url_method) == ("http://127.0.0.1:9/status", "GET")
        [start] = d.starts()
        assert (start.stream_id, start.call_id, start.account_id) == ("stream-1", placed.id, PROJECT)
        assert start.media_format == MediaFormat("L16", 24_000, 1)
        assert (start.tracks, start.custom_parameters) == (("inbound", "outbound"), {"k": "v", "z": "é"})
        tracks = {event.track for event in d.seen.events[placed.id] if isinstance(event, Frame)}
        assert tracks == {"inbound", "outbound"}

    behind_doors(script, bearer_token=STREAM_TOKEN)


@pytest.mark.parametrize("hung_up_by", ["client", "caller", "end of the source"])
def test_hang_up_during_streams(behind_doors: Callable[..., None], hung_up_by: str) -> None:
    async def script(d: Doors, c: Clients) -> None:
        async with c.client("office") as (_, calls):
            source = PcmSource(bytes(2 * 8000)) if hung_up_by == "end of the source" else None
            placed = d.switch.place_call(
                source, from_number="+15550100", to_number="+15550101", context="office"
            )
            call = await calls.get()
            completed: list[Any] = []
            actions = [await call.stream(d.endpoint.url, on_completed=completed.append) for _ in range(3)]
            states: list[str] = []
            call.on("calling.call.stream", lambda event: states.append(event.params["state"]))
            call.on("calling.call.state", lambda event: states.append(event.params["call_state"]))
            await call.answer()
            if hung_up_by == "client":
                await call.hangup("busy")
            elif hung_up_by == "caller":
                await placed.hangup("busy")
            events = [await action.wait() for action in actions]
            assert [event.params["state"] for event in events] == ["finished"] * 3
            ended = await call.wait_for_ended()
            assert ended.end_reason == ("hangup" if source else "busy")
            assert sorted(map(id, completed)) == sorted(map(id, events))
            assert states == ["answered", *["finished"] * 3, "ending", "ended"]

    behind_doors(script)


def test_bad_credentials(
    behind_doors: Callable[..., None], library: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(d: Doors, c: Clients) -> None:
        client = library.RelayClient(project=PROJECT, token="wrong", host=d.server.host)  # noqa: S106
        try:
            with pytest.raises(library.RelayError, match="the project or its token is wrong"):
                await client.connect()
        finally:
            await client.disconnect()
        assert d.server.door.clients == ()
        assert "127.0.0.1:" in caplog.text
        assert "refused over RELAY: the project or its token is wrong" in caplog.text

    behind_doors(script)


def test_a_client_that_does_not_trust_the_certificate(
    behind_doors: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def script(d: Doors, c: Clients) -> None:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await http.ws_connect(f"wss://{d.server.host}/")
        await eventually(lambda: "TLS failed: its client has to trust" in caplog.text)

    behind_doors(script)


def test_streams_that_are_refused(behind_doors: Callable[..., None], library: Any) -> None:
    async def script(d: Doors, c: Clients) -> None:
        async with c.client("office") as (client, calls):
            placed = d.place()
            call = await calls.get()
            await call.answer()
            live = await call.stream(d.endpoint.url, control_id="live", name="live")
            refusals = [
                (400, "track: ", {"track": "sideways"}),
                (400, "codec: ", {"codec": "MP3"}),
                (400, "url: takes a wss:// URL", {"url": "ws://127.0.0.1:9/"}),
                (422, "codec_error: ", {"codec": "G722"}),
                (422, "connection_refused: ", {"url": "wss://127.0.0.1:9/"}),
                (422, "general_error: .*404", {"url": f"{d.endpoint.url}nothing"}),
                (422, "Duplicated stream name: ", {"name": "live"}),
            ]
            for code, message, params in refusals:
                with pytest.raises(library.RelayError, match=message) as raised:
                    await call.stream(**({"url": d.endpoint.url} | params))
                assert raised.value.code == code
            again = {
                "url": d.endpoint.url,
                "control_id": "live",
            }  # past the client, which would lose the first
            with pytest.raises(library.RelayError, match="Duplicated stream ID: "):
                await client.execute(
                    "calling.stream", {"node_id": placed.node_id, "call_id": placed.id} | again
                )
            assert list(placed.streams) == ["live"]
            assert not live.is_done
            await call.hangup()
            assert (await live.wait()).state == "finished"

    behind_doors(script)


def test_two_clients_take_turns(behind_doors: Callable[..., None], library: Any) -> None:
    async def script(d: Doors, c: Clients) -> None:
        waiting = d.place()
        async with (
            c.client("office") as (first, calls_1),
            c.client("office", "home") as (second, calls_2),
        ):
            assert (await calls_1.get()).call_id == waiting.id
            placed = [d.place() for _ in range(4)]
            got_1, got_2 = [await calls_2.get() for _ in range(2)], [await calls_1.get() for _ in range(2)]
            assert [call.call_id for call in got_1] == [placed[0].id, placed[2].id]
            assert [call.call_id for call in got_2] == [placed[1].id, placed[3].id]
            home = [d.place("home") for _ in range(2)]
            assert {(await calls_2.get()).call_id for _ in home} == {call.id for call in home}
            d.place("nobody's")
            with pytest.raises(library.RelayError, match="not this client's") as raised:
                await first.execute("calling.answer", {"node_id": placed[0].node_id, "call_id": placed[0].id})
            assert raised.value.code == 403
            assert placed[0].state == "ringing"
            await first.receive(["nobody's"])
            assert (await calls_1.get()).context in ("nobody's", first.relay_protocol)
            await second.unreceive(["office"])
            for _ in range(2):
                assert (await _received(d, calls_1)).state == "ringing"
            assert (calls_1.empty(), calls_2.empty()) == (True, True)

    behind_doors(script)


async def _received(d: Doors, calls: "asyncio.Queue[Any]") -> Any:
    placed = d.place()
    call = await calls.get()
    assert call.call_id == placed.id
    return placed


def test_one_client_that_goes_harms_no_other(behind_doors: Callable[..., None]) -> None:
    async def script(d: Doors, c: Clients) -> None:
        async with c.client("office") as (_, calls):
            d.place()
            call = await calls.get()
            await call.answer()
            action = await call.stream(d.endpoint.url)
            async with c.client("home") as (_, others):
                gone = d.place("home")
                await (await others.get()).answer()
                assert gone.state == "answered"
            assert gone.state == "answered"  # it goes on without its client
            assert not action.is_done
            assert (await action.stop())["code"] == "200"
            assert (await action.wait()).state == "finished"

    behind_doors(script)


def test_reconnect(behind_doors: Callable[..., None]) -> None:
    """What happens while a client is away, and what was lost with its connection, is told when it is back."""

    async def script(d: Doors, c: Clients) -> None:
        async with c.client("office") as (client, calls):
            placed = d.place()
            call = await calls.get()
            await call.answer()
            completed: list[Any] = []
            actions = [
                await call.stream(d.endpoint.url, control_id=name, on_completed=completed.append)
                for name in ("s1", "s2")
            ]
            protocol = client.relay_protocol
            d.lose_connections()
            await placed.stop_stream("s1")
            assert (await actions[0].wait()).state == "finished"
            assert not actions[1].is_done
            assert client.relay_protocol == protocol
            [client] = d.server.door.clients
            assert (client.protocol, client.connected) == (protocol, True)
            assert (await call.stream(d.endpoint.url, control_id="s3")).control_id == "s3"
            d.lose_connections()
            await placed.hangup("busy")
            assert (await call.wait_for_ended()).end_reason == "busy"
            assert (await actions[1].wait()).state == "finished"
            assert [event.params["control_id"] for event in completed] == ["s1", "s2"]

    behind_doors(script)


class UntilHungUp(ToneSource):
    """Ends when it is told to."""

    def hang_up(self) -> None:
        self._left = 0


def test_dial(behind_doors: Callable[..., None], library: Any) -> None:
    source = UntilHungUp()

    async def script(d: Doors, c: Clients) -> None:
        async with c.client() as (client, _):
            call = await client.dial([[DEVICE]], tag="tag-1", dial_timeout=30.0)
            assert (call.tag, call.direction, call.state, call.device) == (
                "tag-1",
                "outbound",
                "answered",
                DEVICE,
            )
            action = await call.stream(d.endpoint.url, track="inbound")
            source.hang_up()
            assert (await call.wait_for_ended()).end_reason == "hangup"  # what answered has ended
            assert (await action.wait()).state == "finished"
            for devices in (
                [[{"type": "sip", "params": {"to": "sip:a@example.com", "from": "sip:b@example.com"}}]],
                [[{"type": "phone", "params": {"to_number": "+15550101"}}]],
            ):
                with pytest.raises(library.RelayError) as raised:
                    await client.dial(devices)
                assert raised.value.code == 422

    behind_doors(script, answer_after_s=0.05, dialled_source=lambda: source)


def test_a_dialled_call_that_is_not_answered(behind_doors: Callable[..., None], library: Any) -> None:
    async def script(d: Doors, c: Clients) -> None:
        async with c.client() as (client, _):
            dialling = asyncio.create_task(client.dial([[DEVICE]], tag="tag-1"))
            await eventually(lambda: d.switch.calls)
            [call] = d.switch.calls.values()
            await call.hangup("noAnswer")
            with pytest.raises(library.RelayError, match=r"[Dd]ial failed"):
                await dialling

    behind_doors(script, answer_after_s=60)


def test_what_rest_starts_is_told_over_relay(behind_doors: Callable[..., None]) -> None:
    """All doors are on one port: RELAY over TLS, and REST over TLS and in the clear."""

    async def script(d: Doors, c: Clients) -> None:
        async with c.client("office") as (_, calls), aiohttp.ClientSession() as http:
            placed = d.place()
            call = await calls.get()
            await call.answer()
            states: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
            call.on(
                "calling.call.stream",
                lambda event: states.put_nowait((event.params["control_id"], event.params["state"])),
            )
            basic = b64encode(f"{PROJECT}:{TOKEN}".encode()).decode()
            for scheme in ("http", "https"):
                body = {"command": "calling.stream", "id": placed.id}
                body["params"] = {"url": d.endpoint.url, "control_id": scheme}
                async with http.post(
                    f"{scheme}://{d.server.host}/api/calling/calls",
                    json=body,
                    headers={"Authorization": f"Basic {basic}"},
                    ssl=False,
                ) as answer:
                    assert answer.status == 200, await answer.text()
                assert await states.get() == (scheme, "streaming")
            await call.hangup()
            assert {await states.get(), await states.get()} == {("http", "finished"), ("https", "finished")}

    behind_doors(script)


def test_a_stream_is_stopped_while_it_connects(behind_doors: Callable[..., None], library: Any) -> None:
    async def script(d: Doors, c: Clients) -> None:
        async def accept_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            await reader.read()
            writer.close()

        connected = asyncio.Event()
        async with (
            await asyncio.start_server(accept_nothing, "127.0.0.1", 0) as server,
            c.client("office") as (client, calls),
        ):
            placed = d.place()
            call = await calls.get()
            await call.answer()
            url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            starting = asyncio.create_task(call.stream(url, control_id="s1"))
            await connected.wait()
            stream = placed.streams["s1"]
            assert isinstance(stream, Stream)
            assert stream.state == "connecting"
            target = {"node_id": placed.node_id, "call_id": placed.id}
            await client.execute("calling.stream.stop", target | {"control_id": "s1"})
            with pytest.raises(library.RelayError, match="stopped before it had begun"):
                await starting
            assert d.stream_events() == []

    behind_doors(script)
