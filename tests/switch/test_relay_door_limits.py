"""The RELAY door and a client without a library: order of events, silence, resuming, hostile messages.

The clock is virtual: minutes pass at once.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from tests.switch.relay_doors import (
    DEVICE,
    NUMBERS,
    PROJECT,
    TOKEN,
    Doors,
    RawClient,
    eventually,
    plain_doors,
)
from trunkline.errors import FormatError
from trunkline.stream import Frame
from trunkline.switch import Call, Client, SpeechSource, Switch, serve_switch
from trunkline.switch.relay_client import EVENTS_MAX
from trunkline.testing.virtual_time import run_in_virtual_time


async def streaming(d: Doors, client: RawClient, *names: str) -> Call:
    """Have a call answered, and streams of it started."""
    call = d.place()
    assert (await client.command("calling.answer", call))["code"] == "200"
    for name in names:
        answer = await client.command("calling.stream", call, url=d.endpoint.url, control_id=name)
        assert (answer["code"], answer["control_id"], answer["call_id"]) == ("200", name, call.id)
    return call


def test_the_events_of_a_call_come_in_order() -> None:
    async def script() -> None:
        async with plain_doors() as d, d.raw("office") as client:
            call = await streaming(d, client, "s1", "s2")
            assert (await client.command("calling.stream.stop", call, control_id="s1"))["code"] == "200"
            await client.until("s1 finished")
            assert (await client.command("calling.end", call, reason="busy"))["code"] == "200"
            assert await client.until("ended") == [
                "receive",
                "ringing",
                "answered",
                "s1 streaming",
                "s2 streaming",
                "s1 finished",
                "s2 finished",
                "ending",
                "ended",
            ]
            receive, ended = client.events[1], client.events[-1]
            assert receive["params"] == {
                "call_id": call.id,
                "node_id": call.node_id,
                "segment_id": call.segment_id,
                "project_id": PROJECT,
                "context": "office",
                "call_state": "created",
                "direction": "inbound",
                "device": DEVICE,
                "tag": "",
            }
            assert ended["params"]["end_reason"] == "busy"
            for event in client.events:
                assert event["event_channel"]
                assert isinstance(event["timestamp"], float)

    run_in_virtual_time(script())


def test_an_answer_comes_before_the_events_of_its_stream() -> None:
    async def script() -> None:
        async with plain_doors() as d, d.raw("office") as client:
            call = await streaming(d, client)
            await client.until("answered")
            target = {"node_id": call.node_id, "call_id": call.id}
            request_id = await client.send("calling.stream", **target, url=d.endpoint.url, control_id="s1")
            answer, event = [await client.receive() for _ in range(2)]
            assert (answer["id"], answer["result"]["code"]) == (request_id, "200")
            assert event["params"]["params"]["state"] == "streaming"

    run_in_virtual_time(script())


def test_commands_for_what_is_not_there() -> None:
    async def script() -> None:
        async with plain_doors() as d, d.raw("office") as client, d.raw("home") as other:
            call = await streaming(d, client, "s1")
            nothing = {"node_id": call.node_id, "call_id": "nothing"}
            for method, params in (
                ("calling.answer", {}),
                ("calling.end", {}),
                ("calling.stream", {"url": d.endpoint.url}),
                ("calling.stream.stop", {"control_id": "s1"}),
            ):
                assert (await client.ask(method, **nothing, **params))["code"] == "404"
                assert (await other.command(method, call, **params))["code"] == "403"
            assert (await client.command("calling.stream.stop", call, control_id="s2"))["code"] == "404"
            await client.command("calling.stream.stop", call, control_id="s1")
            await client.until("s1 finished")
            again = await client.command("calling.stream.stop", call, control_id="s1")
            assert again["code"] == "200"
            await client.command("calling.end", call)
            await client.until("ended")
            assert (await client.command("calling.stream", call, url=d.endpoint.url))["code"] == "404"
            assert other.kinds() == []

    run_in_virtual_time(script())


def test_a_silent_client_is_dropped_and_harms_nobody() -> None:
    """One answers no ping; the other's stream brings every packet on time meanwhile."""

    async def script() -> None:
        now_s = asyncio.get_running_loop().time
        changes: list[tuple[str, str]] = []

        def on_client(client: Client, change: str) -> None:
            changes.append((client.agent, change))

        async with (
            plain_doors(on_client=on_client) as d,
            d.raw("office", agent="live") as client,
            d.raw(agent="silent") as silent,
        ):
            call = await streaming(d, client, "s1")
            began_s = now_s()
            await asyncio.sleep(3)  # beside the pings of the switch
            await silent.send("signalwire.ping")
            heard_s = now_s()
            listening = asyncio.create_task(client.until("s1 finished"))
            await silent.until_closed(acknowledge=False)
            assert now_s() - heard_s == pytest.approx(30, abs=1)
            assert silent.pings >= 2
            await asyncio.sleep(0.1)
            assert changes == [("live", "connected"), ("silent", "connected"), ("silent", "lost")]
            await asyncio.sleep(60)
            [stream] = call.streams.values()
            assert (stream.state, stream.dropped) == ("streaming", 0)
            await call.stop_stream("s1")
            await listening
            assert client.pings >= 9
            frames = [event for event in d.seen.events[call.id] if isinstance(event, Frame)]
            assert len(frames) == pytest.approx((now_s() - began_s) * 50, abs=10)

    run_in_virtual_time(script())


def test_a_client_that_resumes_gets_what_it_has_not_acknowledged() -> None:
    async def script() -> None:
        async with plain_doors() as d:
            async with d.raw("office") as client:
                call = await streaming(d, client, "s1")
                await client.until("s1 streaming")
                state = client.authorization_state
                await call.stop_stream("s1")
                while "s1 finished" not in client.kinds():
                    await client.receive(acknowledge=False)
            await eventually(lambda: not d.server.door.clients[0].connected)
            await call.hangup()
            await asyncio.sleep(299)
            resuming = {"protocol": client.connected["protocol"], "authorization_state": state}
            async with d.raw("office", **resuming) as back:
                assert back.connected["protocol"] == client.connected["protocol"]
                assert await back.until("ended") == ["s1 finished", "ending", "ended"]
            async with d.raw("office", protocol=client.connected["protocol"]) as forged:
                assert forged.connected["protocol"] != client.connected["protocol"]
                assert await _silence(forged) == []
            await asyncio.sleep(0.1)
            assert d.server.door.clients == ()  # nothing is left to be told

    run_in_virtual_time(script())


async def _silence(client: RawClient) -> list[str]:
    """Listen for a second; gives the events of calls."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await client.until_closed()
    return client.kinds()


def test_a_new_connection_takes_the_place_of_the_old() -> None:
    async def script() -> None:
        async with plain_doors() as d, d.raw("office") as client:
            call = await streaming(d, client, "s1")
            await client.until("s1 streaming")
            resuming = {
                "protocol": client.connected["protocol"],
                "authorization_state": client.authorization_state,
            }
            async with d.raw("office", **resuming) as back:
                await client.until_closed()
                assert len(d.server.door.clients) == 1
                await back.command("calling.end", call)
                assert (await back.until("ended"))[-3:] == ["s1 finished", "ending", "ended"]

    run_in_virtual_time(script())


def test_a_client_that_does_not_come_back_is_forgotten() -> None:
    """Its call that rings goes to the next, and the one that it answered goes on."""

    async def script() -> None:
        async with plain_doors() as d:
            async with d.raw("office") as client:
                answered, ringing = await streaming(d, client), d.place()
                await client.until("ringing")
            async with d.raw("office") as other:
                assert await _silence(other) == []
                async with asyncio.timeout(301):
                    assert await other.until("receive") == ["receive"]
                assert other.events[-1]["params"]["call_id"] == ringing.id
                assert other.events[-1]["params"]["call_state"] == "ringing"
                assert len(d.server.door.clients) == 1
                assert (await other.command("calling.answer", ringing))["code"] == "200"
                assert answered.state == "answered"

    run_in_virtual_time(script())


def test_more_than_is_kept_for_a_client_that_has_gone() -> None:
    async def script() -> None:
        async with plain_doors() as d:
            async with d.raw("office") as client:
                call = await streaming(d, client)
            await asyncio.sleep(0.1)
            for n in range(EVENTS_MAX // 2 + 1):
                action = await call.stream(d.endpoint.url, control_id=f"s{n}")
                await action.stop()
            assert d.server.door.clients == ()
            assert call.state == "answered"

    run_in_virtual_time(script())


def test_calls_that_were_there_before_the_door() -> None:
    async def script() -> None:
        async with Switch(project_id=PROJECT, token=TOKEN, insecure_loopback=True) as switch:
            call = switch.place_call(SpeechSource(), context="office", **NUMBERS)
            async with serve_switch(switch) as server, aiohttp.ClientSession() as http:
                socket = await http.ws_connect(f"ws://{server.host}/")
                client = RawClient(socket)
                credentials = {"project": PROJECT, "token": TOKEN}
                await client.ask("signalwire.connect", authentication=credentials, contexts=["office"])
                await client.until("receive")
                assert (await client.command("calling.answer", call))["code"] == "200"
                assert (await client.until("answered"))[-1] == "answered"
                await switch.close()
                await client.until("ended")

    run_in_virtual_time(script())


def test_a_switch_that_closes_is_dialled() -> None:
    async def script() -> None:
        async with plain_doors() as d, d.raw() as client:
            await d.switch.close()
            answer = await client.ask("calling.dial", tag="t", devices=[[DEVICE]])
            assert (answer["code"], answer["message"]) == (
                "503",
                "the call cannot be placed: place_call on a switch that is closed",
            )

    run_in_virtual_time(script())


def test_a_dial_in_minutes() -> None:
    async def script() -> None:
        now_s = asyncio.get_running_loop().time
        async with plain_doors(answer_after_s=2.0) as d, d.raw() as client:
            began_s = now_s()
            answer = await client.ask("calling.dial", tag="t", devices=[[DEVICE]], max_duration=3)
            assert (answer["code"], answer["message"]) == ("200", "Dialing")
            kinds = await client.until("ended")
            assert kinds == [
                "created",
                "dial dialing",
                "ringing",
                "answered",
                "dial answered",
                "ending",
                "ended",
            ]
            assert now_s() - began_s == pytest.approx(182, abs=0.5)
            assert {event["params"].get("tag") for event in client.events[1:]} == {"t"}

    run_in_virtual_time(script())


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "null",
        '{"jsonrpc":"2.0","id":1,"method":"signalwire.connect"}',
        '{"jsonrpc":"2.0","id":1,"method":"signalwire.connect","params":{"authentication":{"project":1}}}',
        '{"jsonrpc":"2.0","id":1,"method":"calling.answer","params":{"call_id":"x"}}',
        '{"jsonrpc":"2.0","id":1,"result":{}}',
        "[" * 100_000,
    ],
)
def test_who_never_authenticates_is_closed(message: str) -> None:
    async def script() -> None:
        async with plain_doors() as d, aiohttp.ClientSession() as http:
            socket = await http.ws_connect(f"ws://{d.server.host}/")
            for _ in range(3):
                await socket.send_str(message)
            while (received := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                assert "error" in json.loads(received.data)
            assert (received.type, received.data) == (aiohttp.WSMsgType.CLOSE, 1008)
            assert d.server.door.clients == ()

    run_in_virtual_time(script())


def test_who_says_nothing_is_dropped() -> None:
    async def script() -> None:
        now_s = asyncio.get_running_loop().time
        async with plain_doors() as d:
            host, _, port = d.server.host.partition(":")
            began_s = now_s()
            reader, writer = await asyncio.open_connection(host, int(port))  # no byte: TLS or plain?
            assert await reader.read() == b""
            assert now_s() - began_s == pytest.approx(10, abs=1)
            writer.close()
            began_s = now_s()
            async with aiohttp.ClientSession() as http:
                socket = await http.ws_connect(f"ws://{d.server.host}/")
                assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT
            assert now_s() - began_s == pytest.approx(10, abs=1)

    run_in_virtual_time(script())


def test_a_flood_and_a_giant_harm_nobody() -> None:
    async def script() -> None:
        async with plain_doors() as d, d.raw("office") as client, d.raw() as hostile:
            call = await streaming(d, client, "s1")
            flood = [hostile.send("signalwire.ping", junk="x" * 1000) for _ in range(2000)]
            await asyncio.gather(*flood)
            assert (await hostile.ask("nothing.at.all"))["code"] == -32601
            await hostile.socket.send_str("x" * ((1 << 20) + 1))
            assert "1009" in await hostile.until_closed()
            [stream] = call.streams.values()
            assert (stream.state, stream.dropped) == ("streaming", 0)
            assert (await client.command("calling.end", call))["code"] == "200"
            await client.until("ended")

    run_in_virtual_time(script())


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("signalwire.ping", {"junk": "x" * 1000}),  # answered at once
        ("calling.answer", {"node_id": "", "call_id": "x" * 4096}),  # by a task, with all of the id
        ("signalwire.receive", {"contexts": ["x" * 256]}),
    ],
)
def test_who_commands_and_never_reads_is_dropped(method: str, params: dict[str, Any]) -> None:
    async def flood(client: RawClient) -> None:
        with suppress(ConnectionError):
            for number in range(60_000):  # more than the system holds for both
                request = {"jsonrpc": "2.0", "id": f"{number:0256}", "method": method, "params": params}
                await client.socket.send_json(request)

    async def script() -> None:
        async with plain_doors() as d, d.raw("office") as client, d.raw() as hostile:
            call = await streaming(d, client, "s1")
            link = d.server.door.clients[1]._link
            assert link is not None
            flooding = asyncio.create_task(flood(hostile))
            queued = [0]
            began_s = asyncio.get_running_loop().time()
            while len(d.server.door._links) == 2:
                await asyncio.sleep(0.1)
                written = sum(map(len, link.connection._outgoing))
                queued.append(written + link._transport.get_write_buffer_size())
                assert len(link.connection.unanswered) <= 1000
                assert asyncio.get_running_loop().time() - began_s < 60
                assert (await client.ask("signalwire.ping")) == {}
            await flooding
            assert 10_000 < max(queued) < 1_000_000  # more is not read from it, so it cannot send it
            [stream] = call.streams.values()
            assert (stream.state, stream.dropped) == ("streaming", 0)
            assert stream.lateness.max_ms < 1

    run_in_virtual_time(script())


def test_a_switch_that_closes_waits_for_acknowledgements() -> None:
    """The Python SDK loses what it cannot acknowledge."""

    async def script() -> None:
        async with plain_doors() as d, d.raw("office") as client:
            await streaming(d, client)
            await d.switch.close()
            closing = asyncio.create_task(d.server.door.close())
            unacknowledged = []
            while client.kinds()[-1] != "ended":
                unacknowledged.append((await client.receive(acknowledge=False))["id"])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.receive(), 1)
            for request_id in unacknowledged:
                await client.socket.send_json({"jsonrpc": "2.0", "id": request_id, "result": {}})
            async with asyncio.timeout(0.5):
                told = await client.receive()
            assert told["method"] == "signalwire.disconnect"
            await client.until_closed()
            await closing

    run_in_virtual_time(script())


def test_a_switch_that_closes_tells_its_clients() -> None:
    async def script() -> None:
        async with plain_doors() as d, d.raw("office") as client:
            await streaming(d, client, "s1")
            await d.switch.close()
            await d.server.door.close()
            while client.kinds()[-1] != "ended":
                await client.receive(acknowledge=False)
            assert client.kinds()[-3:] == ["s1 finished", "ending", "ended"]
            told = await client.receive(acknowledge=False)
            assert (told["method"], told["params"]) == ("signalwire.disconnect", {"restart": True})
            with pytest.raises(ConnectionError, match="1001"):
                await client.receive()

    run_in_virtual_time(script())


@pytest.mark.parametrize(("host", "port"), [("0.0.0.0", 0), ("192.0.2.1", 0), ("127.0.0.1", 65_536)])  # noqa: S104
def test_where_it_does_not_listen(host: str, port: int) -> None:
    async def script() -> None:
        async with Switch(project_id=PROJECT, token=TOKEN) as switch:
            with pytest.raises(FormatError, match=r"without TLS|port 65536"):
                async with serve_switch(switch, host, port):
                    pass

    run_in_virtual_time(script())


def test_a_port_that_is_taken() -> None:
    async def script() -> None:
        async with plain_doors() as d, Switch(project_id=PROJECT, token=TOKEN) as switch:
            host, _, port = d.server.host.partition(":")
            with pytest.raises(OSError, match=f"cannot listen on {d.server.host}: Address already in use"):
                async with serve_switch(switch, host, int(port)):
                    pass

    run_in_virtual_time(script())


def test_what_is_no_websocket() -> None:
    async def script() -> None:
        async with plain_doors() as d, aiohttp.ClientSession() as http:
            async with http.get(f"http://{d.server.host}/") as answer:
                assert (answer.status, await answer.text()) == (426, "RELAY is a WebSocket here\n")
            async with http.get(f"http://{d.server.host}/api/calling/calls") as answer:
                assert answer.status == 401

    run_in_virtual_time(script())
