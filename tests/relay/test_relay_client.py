"""RelayClient when things go wrong: lost connections, silent servers, servers that do not resume."""

import asyncio
import gc
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.relay.scripted import DEVICE, PROJECT, TOKEN, Exchange, exchange
from trunkline.errors import FormatError, LocalProtocolError, RemoteProtocolError
from trunkline.relay import Call, Connect, Event, RelayClient, RelayError, Stream
from trunkline.testing.virtual_time import run_in_virtual_time

GUARD_S = 1000  # of virtual time: a hang becomes a failure at once
URL = "wss://example.com/"
Script = Callable[[Exchange, RelayClient], Awaitable[None]]


@pytest.fixture
def with_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], None]:
    """Run a script against an exchange and a client that is not connected yet, in virtual time."""

    async def scripted(script: Script) -> None:
        async with asyncio.timeout(GUARD_S), exchange(tmp_path, monkeypatch) as serving:
            client = RelayClient(project=PROJECT, token=TOKEN, host=serving.host, contexts=["office"])
            try:
                await script(serving, client)
            finally:
                await client.disconnect()

    return lambda script: run_in_virtual_time(scripted(script))


async def call_in(serving: Exchange, client: RelayClient) -> Call:
    calls: asyncio.Queue[Call] = asyncio.Queue()
    client.on_call(calls.put)
    await serving.call_in()
    return await calls.get()


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_a_lost_connection_is_resumed(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        call = await call_in(serving, client)
        action = await call.stream(URL, control_id="s1")
        protocol, began = client.relay_protocol, now_s()
        await serving.peer.socket.close()
        await serving.until_connected(2)
        assert now_s() - began >= 1
        resumed = [command for command in serving.commands if isinstance(command, Connect)][1]
        assert (resumed.resumed, resumed.protocol) == (True, protocol)
        await serving.peer.tell(serving.calls["call-1"].finished("s1", 0.0))
        assert (await action.wait()).params["control_id"] == "s1"
        assert await call.answer() != {}
        assert client.relay_protocol == protocol

    with_exchange(script)


def test_a_command_given_meanwhile_waits_for_the_connection(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        call = await call_in(serving, client)
        await serving.peer.socket.close()
        await call.answer()
        assert len(serving.peers) == 2
        assert call.state in ("created", "answered")

    with_exchange(script)


def test_what_waits_fails_with_the_connection(
    with_exchange: Callable[[Script], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        call = await call_in(serving, client)
        serving.silent = True
        answering = asyncio.create_task(call.answer())
        dialling = asyncio.create_task(client.dial([[DEVICE]]))
        await serving.until(3)
        await serving.peer.socket.close()
        with pytest.raises(RelayError, match=r"lost before calling\.answer was answered"):
            await answering
        with pytest.raises(RelayError, match=r"lost before calling\.dial was answered"):
            await dialling

    gc.collect()  # what other tests have left behind
    caplog.clear()
    with_exchange(script)
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_a_dial_under_way_fails_with_the_connection(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        serving.silent = True
        dialling = asyncio.create_task(client.dial([[DEVICE]]))
        await serving.until(2)
        [dial] = serving.peer.connection.unanswered
        serving.peer.connection.reply(dial, message="Dialing")
        await serving.peer.flush()
        await client.ping()  # the reply has been read
        await serving.peer.socket.close()
        with pytest.raises(RelayError, match="the connection was lost"):
            await dialling

    with_exchange(script)


def test_a_server_that_does_not_resume_loses_the_calls(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        call = await call_in(serving, client)
        action = await call.stream(URL)
        waiting = asyncio.create_task(call.wait_for("calling.call.state"))
        serving.peer.connection.disconnect(restart=True)
        await serving.peer.flush()
        await serving.peer.socket.close()
        for wait in (action.wait(), call.wait_for_ended(), waiting):
            with pytest.raises(RelayError, match="did not resume"):
                await wait
        assert not action.completed
        assert [c.resumed for c in serving.commands if isinstance(c, Connect)] == [False, False]

    with_exchange(script)


def test_disconnecting_ends_every_wait(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        call = await call_in(serving, client)
        waits = [
            asyncio.create_task(wait) for wait in ((await call.stream(URL)).wait(), call.wait_for_ended())
        ]
        await asyncio.sleep(0)
        await client.disconnect()
        for wait in waits:
            with pytest.raises(RelayError, match="the client has disconnected"):
                await wait
        with pytest.raises(RelayError, match="the client is not connected"):
            await call.answer()

    with_exchange(script)


def test_a_silent_server_is_given_up(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        call = await call_in(serving, client)
        serving.silent = True
        began = now_s()
        with pytest.raises(RelayError, match=r"calling\.answer was not answered within 10 s") as raised:
            await call.answer()
        assert raised.value.code == -1
        assert now_s() - began == pytest.approx(10, abs=0.1)
        await serving.until_connected(2)

    with_exchange(script)


def test_a_wait_that_was_given_up_spoils_nothing(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        call = await call_in(serving, client)
        action = await call.stream(URL)
        for wait in (action.wait, call.wait_for_ended):
            with pytest.raises(TimeoutError):
                await wait(timeout=5)
        await call.hangup()
        assert (await action.wait()).params["state"] == "finished"
        assert (await call.wait_for_ended()).params["call_state"] == "ended"

    with_exchange(script)


def test_a_call_that_ends_before_its_stream_ends_that_too(with_exchange: Callable[[Script], None]) -> None:
    """No server should do it; the SDK's wait would hang."""

    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        call = await call_in(serving, client)
        completed: list[Event] = []
        action = await call.stream(URL, on_completed=completed.append)
        params = {"call_id": "call-1", "call_state": "ended"}
        await serving.peer.tell(Event(event_type="calling.call.state", params=params))
        event = await action.wait()
        assert (event.event_type, completed) == ("", [event])

    with_exchange(script)


def test_a_control_id_that_is_in_use_is_refused(with_exchange: Callable[[Script], None]) -> None:
    """The first stream stays, and the event of its end completes it."""

    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        call = await call_in(serving, client)
        first = await call.stream(URL, control_id="s1")
        with pytest.raises(LocalProtocolError, match="'s1': its stream has not finished"):
            await call.stream(URL, control_id="s1")
        assert [type(command) for command in serving.commands].count(Stream) == 1
        await serving.peer.tell(serving.calls["call-1"].finished("s1", 0.0))
        assert (await first.wait(10)).params["state"] == "finished"

        second = await call.stream(URL, control_id="s1")
        await serving.peer.tell(serving.calls["call-1"].finished("s1", 1.0))
        assert (await second.wait(10)).timestamp == 1.0

        serving.refusals[Stream] = (422, "no")
        with pytest.raises(RelayError, match="422"):
            await call.stream(URL, control_id="s1")
        serving.refusals.clear()
        third = await call.stream(URL, control_id="s1")  # one that was refused is not in use
        await serving.end(serving.calls["call-1"])
        await third.wait(10)

    with_exchange(script)


def test_a_server_that_closes_at_once_is_tried_again(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        serving.closes_at_once = True
        began = now_s()
        with pytest.raises(RelayError, match=r"signalwire\.connect was answered") as raised:
            await client.connect()
        assert raised.value.code == -1
        assert now_s() - began < 1
        running = asyncio.create_task(client._run())
        await asyncio.sleep(60)  # credentials that are refused would have ended it after 3 s
        serving.closes_at_once = False
        await serving.until_connected()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(serving.peers) >= 6

    with_exchange(script)


def test_the_server_is_pinged(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        await asyncio.sleep(95)
        assert len(serving.commands) == 1 + 3
        assert len(serving.peers) == 1

    with_exchange(script)


def test_the_back_off_doubles_up_to_30_s(
    with_exchange: Callable[[Script], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        serving.close()
        await serving.peer.socket.close()
        await asyncio.sleep(100)

    with caplog.at_level(logging.INFO, "trunkline.relay"):
        with_exchange(script)
    delays = re.findall(r"the next attempt is in (\d+) s", caplog.text)
    assert delays == ["1", "2", "4", "8", "16", "30", "30", "30"]


def test_the_back_off_begins_anew_with_every_connection(
    with_exchange: Callable[[Script], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        for n_times in (2, 3, 4):
            await serving.peer.socket.close()
            await serving.until_connected(n_times)
            await client.ping()

    with caplog.at_level(logging.INFO, "trunkline.relay"):
        with_exchange(script)
    assert re.findall(r"the next attempt is in (\d+) s", caplog.text) == ["1", "1", "1"]


def test_credentials_that_were_right_once_are_never_given_up(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        serving.credentials[PROJECT] = "another"
        await serving.peer.socket.close()
        await asyncio.sleep(100)
        assert len(serving.peers) > 5
        serving.credentials[PROJECT] = TOKEN
        await serving.until_connected(2)
        await client.ping()

    with_exchange(script)


def test_a_call_that_is_told_of_again_is_the_same(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        calls: list[Call] = []
        client.on_call(calls.append)  # type: ignore[arg-type]  # a plain function does, too
        await client.connect()
        events = await serving.call_in()
        await serving.peer.tell(events.receive(0.0))
        await client.ping()
        [call] = calls
        await serving.end(events)
        await call.wait_for_ended()

    with_exchange(script)


def test_a_tag_dials_once_at_a_time(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        serving.silent = True
        dialling = asyncio.create_task(client.dial([[DEVICE]], tag="t"))
        await serving.until(2)
        with pytest.raises(LocalProtocolError, match="a dial with tag 't' is under way"):
            await client.dial([[DEVICE]], tag="t")
        with pytest.raises(RelayError, match=r"calling\.dial was not answered within 10 s"):
            await dialling
        serving.silent = False
        assert (await client.dial([[DEVICE]], tag="t")).state == "answered"

    with_exchange(script)


def test_a_dial_that_nobody_answers(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        serving.silent = True
        dialling = asyncio.create_task(client.dial([[DEVICE]], dial_timeout=33.0))
        await serving.until(2)
        [dial] = serving.peer.connection.unanswered
        serving.peer.connection.reply(dial, message="Dialing")
        await serving.peer.flush()
        began = now_s()
        with pytest.raises(RelayError, match="the dial was not answered within 33 s"):
            await dialling
        assert now_s() - began == pytest.approx(33, abs=0.1)

    with_exchange(script)


def test_what_is_not_relay_is_survived(
    with_exchange: Callable[[Script], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        await serving.peer.socket.send_str("canary-text")
        await serving.peer.socket.send_bytes(b"\xff")
        await client.ping()

    with_exchange(script)
    assert caplog.text.count("the server sent what is not RELAY") == 2
    assert "canary-text" not in caplog.text


def test_handlers_that_raise_are_survived(
    with_exchange: Callable[[Script], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        def fail(event: object) -> None:
            raise ArithmeticError("on purpose")

        @client.on_call
        async def handle(call: Call) -> None:
            action = await call.stream(URL, on_completed=fail)
            await action.stop()
            await action.wait()
            await call.hangup()
            await call.wait_for_ended()
            raise ArithmeticError("on purpose, too")

        await client.connect()
        await serving.call_in()
        await serving.until(5)
        await client.ping()

    with_exchange(script)
    assert "on_completed raised" in caplog.text
    assert "the on_call handler raised" in caplog.text


def test_calls_past_the_limit_are_dropped(
    with_exchange: Callable[[Script], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        taken: asyncio.Queue[Call] = asyncio.Queue()
        limited = RelayClient(PROJECT, TOKEN, host=serving.host)
        limited.on_call(taken.put)
        async with limited:
            for i in range(4):
                await serving.call_in(f"call-{i}")
            await serving.end(serving.calls["call-0"])
            await serving.call_in("call-4")
            await limited.ping()
            await asyncio.sleep(0)
            assert [taken.get_nowait().call_id for _ in range(taken.qsize())] == [
                "call-0",
                "call-1",
                "call-4",
            ]

    monkeypatch.setenv("RELAY_MAX_ACTIVE_CALLS", "2")
    with_exchange(script)


def test_no_server(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        serving.close()
        with pytest.raises(ConnectionError, match="cannot connect"):
            await client.connect()
        with pytest.raises(RelayError, match="not connected"):
            await client.ping()

    with_exchange(script)


def test_an_authority_that_nobody_named(
    with_exchange: Callable[[Script], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        monkeypatch.setenv("SIGNALWIRE_RELAY_CA_FILE", "")
        with pytest.raises(RemoteProtocolError, match="certificate is not trusted"):
            await client.connect()
        monkeypatch.setenv("SIGNALWIRE_RELAY_CA_FILE", str(tmp_path / "none.pem"))
        with pytest.raises(FormatError, match=r"SIGNALWIRE_RELAY_CA_FILE: .*No such file"):
            await client.connect()
        monkeypatch.setenv("SIGNALWIRE_RELAY_CA_FILE", __file__)
        with pytest.raises(FormatError, match="holds no certificate"):
            await client.connect()

    with_exchange(script)


def test_contexts_outlive_the_connection(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        await client.receive(["home", "shop", "home"])
        await client.unreceive(["office", "shop"])
        await serving.peer.socket.close()
        await serving.until_connected(2)
        assert serving.peer.connection.contexts == ("home",)

    with_exchange(script)


def test_a_second_connect_is_refused(with_exchange: Callable[[Script], None]) -> None:
    async def script(serving: Exchange, client: RelayClient) -> None:
        await client.connect()
        with pytest.raises(LocalProtocolError, match="connected already"):
            await client.connect()
        await client.ping()

    with_exchange(script)


def test_the_environment_names_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROJECT_ID", "API_TOKEN", "JWT_TOKEN", "SPACE"):
        monkeypatch.delenv(f"SIGNALWIRE_{name}", raising=False)
    with pytest.raises(FormatError, match="SIGNALWIRE_PROJECT_ID"):
        RelayClient()
    monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", "p")
    with pytest.raises(ValueError, match="SIGNALWIRE_API_TOKEN"):
        RelayClient()
    monkeypatch.setenv("SIGNALWIRE_API_TOKEN", "t")
    client = RelayClient()
    assert (client.project, client.token, client.host) == ("p", "t", "relay.signalwire.com")
    monkeypatch.setenv("SIGNALWIRE_SPACE", "x.example.com")
    assert RelayClient().host == "x.example.com"
    assert RelayClient(jwt_token="j").jwt_token == "j"  # noqa: S105, S106
    for host in ("wss://x", "user@x", "x/y", "x?y", "x\r\nz", "x z", "x#y"):
        with pytest.raises(FormatError, match="host: takes HOST"):
            RelayClient(host=host)
