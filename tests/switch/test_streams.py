"""Streams beside one another: one that fails, is slow or is stopped, and the hang-up of them all."""

import asyncio
import contextlib
import logging
import re
from typing import Any

import msgspec
import pytest
from aiohttp import WSMsgType, web

from tests.net.endpoints import Seen, pcm_of, run
from tests.switch.parties import NUMBERS, TOKEN, Told, answered, endpoint, now_ms, switch, texts
from trunkline import g711
from trunkline.errors import FormatError, LocalProtocolError, RemoteProtocolError, StreamStartError
from trunkline.net import Call as EndpointCall
from trunkline.net import serve
from trunkline.stream import Dtmf, StreamRequest, StreamSender
from trunkline.switch import PcmSource, StreamChanged, Switch
from trunkline.switch import call as call_module
from trunkline.testing import speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

PCM = speech_like(3.0)


def test_one_that_fails_touches_neither_the_others_nor_the_call() -> None:
    async def fail(socket: web.WebSocketResponse) -> None:
        for _ in range(30):
            await socket.receive()
        await socket.close(code=1011, message=b"out of order")

    async def vanish(socket: web.WebSocketResponse) -> None:
        for _ in range(30):
            await socket.receive()
        assert socket._req is not None
        assert socket._req.transport is not None
        socket._req.transport.abort()

    async def had_enough(socket: web.WebSocketResponse) -> None:
        for _ in range(30):
            await socket.receive()
        await socket.close()

    async def main() -> None:
        first, second = Seen(), Seen()
        async with (
            serve(first) as one,
            serve(second) as two,
            endpoint(fail) as failing,
            endpoint(vanish) as vanishing,
            endpoint(had_enough) as closing,
            switch() as made,
        ):
            call = made.place_call(PcmSource(PCM), **NUMBERS)
            urls = {"one": one.url, "bad": failing, "gone": vanishing, "enough": closing, "two": two.url}
            for control_id, url in urls.items():
                await call.stream(url, control_id=control_id)
            await call.answer()
            await call.wait_for_ended()
            ended_s = call.ended_s
            streams = call.streams
            await first.ended.get()
            await second.ended.get()
        errors = {control_id: str(stream.error) for control_id, stream in streams.items()}
        assert errors == {
            "one": "None",
            "two": "None",
            "enough": "None",
            "bad": "the stream ended with close code 1011: out of order",
            "gone": "the stream ended with close code 1006",
        }
        assert isinstance(streams["bad"].error, RemoteProtocolError)
        assert ended_s is not None
        for control_id in ("bad", "gone", "enough"):
            assert 28 <= streams[control_id].messages_sent <= 32
        for seen in (first, second):
            assert pcm_of(seen.events[call.id]).endswith(g711.ulaw_decode(g711.ulaw_encode(PCM)))

    run_in_virtual_time(main())


def test_a_slow_endpoint_costs_only_its_own_stream() -> None:
    reads_again = asyncio.Event()
    slow_messages: list[dict[str, Any]] = []

    async def slow(socket: web.WebSocketResponse) -> None:
        assert socket._req is not None
        assert socket._req.transport is not None
        socket._req.transport.pause_reading()
        await reads_again.wait()
        socket._req.transport.resume_reading()
        slow_messages.extend([msgspec.json.decode(text) async for text in texts(socket)])

    late_ms: list[float] = []

    async def quick(socket: web.WebSocketResponse) -> None:
        came = [now_ms() async for _ in texts(socket)][2:-1]
        late_ms.extend(at_ms - came[0] - 20 * k for k, at_ms in enumerate(came))

    async def main() -> None:
        async with endpoint(slow) as slow_url, endpoint(quick) as quick_url, switch() as made:
            call = await answered(made)
            wide: dict[str, Any] = {
                "codec": "L16@48000h",
                "track": "both",
            }  # fills the system's buffers sooner
            await call.stream(slow_url, control_id="slow", **wide)
            await call.stream(quick_url, control_id="quick")
            slowly, quickly = call.streams["slow"], call.streams["quick"]
            while slowly.dropped < 400:
                await asyncio.sleep(1)
                assert asyncio.get_running_loop().time() < 300
            seconds = asyncio.get_running_loop().time()
            assert len(slowly._queue) == 264
            reads_again.set()
            await asyncio.sleep(2)
            dropped = slowly.dropped
            await asyncio.sleep(2)
            assert slowly.dropped == dropped  # it keeps up again
            await call.hangup()
            assert (slowly.error, quickly.error, quickly.dropped) == (None, None, 0)
            assert quickly.messages_sent == pytest.approx((seconds + 4) * 50, abs=5)
            assert slowly.messages_sent == len(slow_messages)
            assert len(slow_messages) + slowly.dropped == pytest.approx((seconds + 4) * 100, abs=6)
            assert quickly.lateness.max_ms < 1

    run_in_virtual_time(main())
    assert max(map(abs, late_ms)) < 1
    media = [message["media"] for message in slow_messages if message["event"] == "media"]
    for track in ("inbound", "outbound"):
        stamps = [(int(m["chunk"]), int(m["timestamp"])) for m in media if m["track"] == track]
        assert all(timestamp == 20 * (chunk - 1) for chunk, timestamp in stamps)  # what is missing is lost
        assert len(stamps) < stamps[-1][0]
    assert slow_messages[-1]["event"] == "stop"


def test_a_hang_up_finishes_every_stream_first() -> None:
    told = Told()

    async def stubborn(socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(60)  # takes nothing, answers no close

    async def main() -> tuple[float, float]:
        seen = Seen()
        async with serve(seen) as server, endpoint(stubborn) as stubborn_url, switch(told) as made:
            call = await answered(made)
            await call.stream(server.url, control_id="S1")
            await call.stream(stubborn_url, control_id="S2")
            await call.stream(server.url, control_id="S3", bidirectional=True)
            await asyncio.sleep(1)
            began_ms = now_ms()
            first = asyncio.create_task(call.hangup("busy"))
            await asyncio.sleep(0)
            with pytest.raises(StreamStartError) as caught:
                await call.stream(server.url)
            assert caught.value.reason == "general_error"
            with pytest.raises(LocalProtocolError):
                await call.play(PcmSource(PCM))
            assert call.state == "answered"
            await asyncio.gather(call.hangup("late"), first, call.wait_for_ended())
            took_ms = now_ms() - began_ms
            assert (call.state, call.end_reason) == ("ended", "busy")
            assert [stream.state for stream in call.streams.values()] == ["finished"] * 3
            with pytest.raises(LocalProtocolError):
                await call.answer()
        return took_ms, now_ms()

    took_ms, _ = run_in_virtual_time(main())
    assert took_ms < 2100
    assert told.events[:3] == ["created", "ringing", "answered"]
    assert told.events[3:6] == [f"S{k} streaming" for k in (1, 2, 3)]
    assert sorted(told.events[6:9]) == [f"S{k} finished" for k in (1, 2, 3)]
    assert told.events[9:] == ["ending", "ended"]


def test_a_hang_up_does_not_wait_for_an_endpoint_that_takes_nothing() -> None:
    async def main() -> None:
        reads_again = asyncio.Event()
        ended = asyncio.get_running_loop().create_future()

        async def stuck(socket: web.WebSocketResponse) -> None:
            assert socket._req is not None
            assert socket._req.transport is not None
            socket._req.transport.pause_reading()
            await reads_again.wait()
            socket._req.transport.resume_reading()
            ended.set_result(([text async for text in texts(socket)], socket.close_code))

        async with endpoint(stuck) as url, switch() as made:
            call = await answered(made)
            action = await call.stream(url, codec="L16@48000h", track="both")
            stream = call.streams[action.control_id]
            while not stream.dropped:  # noqa: ASYNC110
                await asyncio.sleep(1)
            assert stream.state == "streaming"
            began_ms = now_ms()
            await call.hangup()
            assert now_ms() - began_ms < 2100
            assert re.fullmatch(
                r"the endpoint had not taken \d+ messages within 2 s: dropped", str(stream.error)
            )
            reads_again.set()
            messages, close_code = await ended
            # What had been given to the system came; what had not is not kept for it.
            assert (len(messages) < stream.messages_sent, close_code) == (True, 1006)
            assert '"stop"' not in messages[-1]

    run_in_virtual_time(main())


def test_a_message_that_is_too_long_is_named() -> None:
    async def long_winded(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.receive()  # start
        await socket.send_str("x" * 70_000)
        await socket.receive()

    async def main() -> None:
        async with endpoint(long_winded) as url, switch() as made:
            call = await answered(made)
            event = await (await call.stream(url)).wait(5)
            assert "Message size 70000 exceeds limit" in str(event.stream.error)

    run(main())


def test_a_hang_up_does_not_wait_for_an_endpoint_that_goes_on_talking() -> None:
    async def chatter(socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await socket.send_str("{}")
                await asyncio.sleep(0.5)

    async def main() -> None:
        async with endpoint(chatter) as url, switch() as made:
            call = await answered(made)
            action = await call.stream(url)
            await asyncio.sleep(1)
            began_ms = now_ms()
            await call.hangup()
            assert now_ms() - began_ms < 2100
            assert "had not closed within 2 s" in str(call.streams[action.control_id].error)

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("n_messages", "message"),
    [(25_000, "{}"), (2_000, f'{{"a":"{"x" * 65_000}"}}'), (25_000, WSMsgType.PING)],
    ids=["many", "long", "pings"],
)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_endpoint_that_floods_is_cut_off(
    n_messages: int, message: str | WSMsgType, bidirectional: bool
) -> None:
    close_codes: list[int | None] = []

    async def send_all(socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(n_messages):
                await (socket.send_str(message) if isinstance(message, str) else socket.ping())

    async def flood(socket: web.WebSocketResponse) -> None:
        sending = asyncio.create_task(send_all(socket))
        _ = [text async for text in texts(socket)]
        close_codes.append(socket.close_code)
        await sending

    async def main() -> None:
        async with endpoint(flood) as url, serve(Seen()) as server, switch() as made:
            call = await answered(made)
            await call.stream(server.url, control_id="other")
            action = await call.stream(url, control_id="flooded", bidirectional=bidirectional)
            await action.wait(10)
            error = call.streams["flooded"].error
            assert isinstance(error, RemoteProtocolError)
            assert "1000 messages of 4 KiB a second: closed with 1008" in str(error)
            assert call.streams["flooded"].messages_received <= 20_100
            await asyncio.sleep(1)
            other = call.streams["other"]
            assert (other.state, other.dropped) == ("streaming", 0)

    run_in_virtual_time(main())
    assert close_codes == [1008]


def test_five_minutes_of_audio_at_once_are_no_flood() -> None:
    async def burst(socket: web.WebSocketResponse) -> None:
        for _ in range(15_000):
            await socket.send_str("{}")
        _ = [text async for text in texts(socket)]

    async def main() -> None:
        async with endpoint(burst) as url, switch() as made:
            call = await answered(made)
            action = await call.stream(url)
            await asyncio.sleep(5)
            stream = call.streams[action.control_id]
            assert (stream.state, stream.messages_received) == ("streaming", 15_000)
            await call.hangup()
            assert stream.error is None

    run_in_virtual_time(main())


def test_a_hang_up_meets_a_stream_that_is_connecting() -> None:
    told = Told()

    async def main() -> None:
        async with serve(Seen()) as server, switch(told) as made:
            call = await answered(made)
            starting = asyncio.create_task(call.stream(server.url))
            await asyncio.sleep(0)
            assert [stream.state for stream in call.streams.values()] == ["connecting"]
            await call.hangup()
            with pytest.raises(StreamStartError, match="stopped"):
                await starting

    run(main())
    assert told.events == ["created", "ringing", "answered", "ending", "ended"]


def test_the_end_of_the_source_ends_the_call_unless_it_is_to_stay() -> None:
    async def main() -> None:
        async with switch() as made:
            ending = await answered(made, PCM[:1000])
            staying = await answered(made, PCM[:1000], hang_up_at_end=False)
            await ending.wait_for_ended()
            assert asyncio.get_running_loop().time() == pytest.approx(0.08, abs=0.021)
            await asyncio.sleep(1)
            assert staying.state == "answered"

    run_in_virtual_time(main())


def test_streams_are_stopped_by_id_by_action_and_the_newest_first() -> None:
    told = Told()

    async def main() -> None:
        async with serve(Seen()) as server, switch(told) as made:
            call = await answered(made)
            first = await call.stream(server.url, control_id="S1")
            for k in (2, 3, 4):
                await call.stream(server.url, control_id=f"S{k}")
            await call.stop_stream("S2")
            await call.stop_stream()
            await first.stop()
            await first.stop()
            assert (first.completed, first.result) == (
                True,
                StreamChanged(call, call.streams["S1"], "finished"),
            )
            for unknown in ("S2", "nobody"):
                with pytest.raises(LocalProtocolError, match=unknown):
                    await call.stop_stream(unknown)

    run(main())
    finished = [event for event in told.events if event.endswith("finished")]
    assert finished[:3] == ["S2 finished", "S4 finished", "S1 finished"]


def test_on_completed_is_called_once_plain_or_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    called: list[tuple[str, StreamChanged]] = []

    async def coroutine(event: StreamChanged) -> None:
        await asyncio.sleep(0)
        called.append(("coroutine", event))

    def broken(event: StreamChanged) -> None:
        called.append(("broken", event))
        raise ValueError("the user's")

    async def main() -> None:
        async with serve(Seen()) as server, switch() as made:
            call = await answered(made)
            for on_completed in (lambda event: called.append(("plain", event)), coroutine, broken):
                action = await call.stream(server.url, on_completed=on_completed)
                with pytest.raises(TimeoutError):
                    await action.wait(timeout=0.01)
                assert (action.completed, action.result) == (False, None)
                await action.stop()
                assert (await action.wait()).stream.control_id == action.control_id
            await call.hangup()

    with caplog.at_level(logging.ERROR):
        run(main())
    assert [name for name, _ in called] == ["plain", "coroutine", "broken"]
    assert all((event.state, event.stream.state) == ("finished", "finished") for _, event in called)
    assert caplog.text.count("ValueError: the user's") == 1


def test_what_comes_back_on_a_one_way_stream_is_counted_and_no_more() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        for _ in range(50):
            await socket.send_str('{"event":"media","media":{"payload":"AAAA"}}')
        await socket.send_str("no JSON")
        await socket.send_bytes(b"\0")
        async for _ in texts(socket):
            pass

    async def main() -> None:
        async with endpoint(talk) as url, switch() as made:
            call = await answered(made)
            action = await call.stream(url, track="both")
            await asyncio.sleep(1)
            await action.stop()
            stream = call.streams[action.control_id]
            assert (stream.messages_received, stream.error, stream.bidirectional) == (52, None, False)

    run_in_virtual_time(main())


def test_keys_are_told_to_every_stream() -> None:
    keys: list[list[Dtmf]] = []

    async def handler(call: EndpointCall) -> None:
        keys.append([event async for event in call if isinstance(event, Dtmf)])

    async def main() -> None:
        async with serve(handler) as server, switch() as made:
            call = await answered(made)
            for _ in range(2):
                await call.stream(server.url)
            call.dtmf("5")
            call.dtmf("#", 100)
            with pytest.raises(LocalProtocolError):
                call.dtmf("12")
            await call.hangup()
            call.dtmf("1")

    run(main())
    assert keys == [[Dtmf("5", 250, None), Dtmf("#", 100, None)]] * 2


def test_one_that_cannot_be_encoded_touches_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(StreamSender):
        n_left = 20

        def media(self, pcm: bytes, track: str | None = None) -> list[bytes]:  # type: ignore[override]
            self.n_left -= self.stream_id == "bad"
            if not self.n_left:
                raise FormatError("of the encoder")
            return super().media(pcm, track)

        def stop(self) -> list[bytes]:
            if self.stream_id == "stopping":
                raise FormatError("of the end")
            return super().stop()

    monkeypatch.setattr(call_module, "StreamSender", Failing)

    async def main() -> None:
        seen = Seen()
        async with serve(seen) as server, switch() as made:
            call = await answered(made, PCM)
            bad = await call.stream(server.url, control_id="bad")
            await call.stream(server.url, control_id="good")
            stopping = await call.stream(server.url, control_id="stopping")
            await bad.wait(timeout=1.0)
            await stopping.stop()
            assert "of the end" in str(call.streams["stopping"].error)
            assert "of the encoder" in str(call.streams["bad"].error)
            await call.wait_for_ended()
            assert call.streams["good"].error is None
            for _ in range(3):
                await seen.ended.get()
            assert call.streams["good"].messages_sent == 153

    run_in_virtual_time(main())


def test_a_request_for_the_clear_is_refused_by_a_switch_that_does_not_allow_it() -> None:
    async def main() -> None:
        async with serve(Seen()) as server, Switch(project_id="P", token=TOKEN) as made:
            call = await answered(made)
            request = StreamRequest.parse({"url": server.url}, insecure_loopback=True)
            with pytest.raises(StreamStartError) as caught:
                await call.start_stream(request)
            assert caught.value.reason == "invalid_url"
            with pytest.raises(FormatError, match="in the clear"):
                await call.stream(server.url)

    run(main())
