"""Captures of calls over real sockets, and their replay: the same bytes at the same times."""

import asyncio
import math
import wave
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.net.endpoints import Seen, call_messages, close_of, connect, pcm_of, run, send
from tests.net.test_recording import file_size_limit
from trunkline.errors import FormatError, LocalProtocolError, RemoteProtocolError
from trunkline.net import Call, CallRecordings, serve
from trunkline.net.replaying import replay
from trunkline.stream import CapturedMessage, Frame, read_capture
from trunkline.stream.capture import MESSAGE_BYTES_MAX
from trunkline.testing import speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

TOKEN = "s3cret-token-of-this-test"  # noqa: S105
PCM = speech_like(1.01)
BAD_BASE64 = b'{"event":"media","media":{"track":"inbound","timestamp":"0","payload":"*"}}'
HOSTILE = [  # name, message, binary, the close code and how its reason begins
    ("not UTF-8", b'{"event":"\xff"}', False, (1007, "message is not UTF-8")),
    ("binary", b"\x00\xff" * 100, True, (1003, "binary message of 200 bytes")),
    ("no JSON", b"{", False, (1002, "message of 1 bytes")),
    ("bad base64", BAD_BASE64, False, (1007, "")),
]


def at_times(messages: Iterable[bytes], step_ms: float = 20, seed: int = 1) -> list[CapturedMessage]:
    """A capture of these messages, with the jitter of a network."""
    random = Random(seed)
    times = sorted(k * step_ms + random.uniform(0, 90) for k, _ in enumerate(messages))
    return [
        CapturedMessage(at - times[0], message) for at, message in zip(times, list(messages), strict=True)
    ]


def same_messages(capture: Path, messages: Iterable[CapturedMessage]) -> bool:
    return [message[1:] for message in read_capture(capture)] == [message[1:] for message in messages]


def samples(directory: Path) -> bytes:
    (path,) = directory.glob("*.wav")
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())


@pytest.mark.parametrize("speed", [1.0, 0.25, 8.0])
def test_messages_leave_at_their_times(tmp_path: Path, speed: float) -> None:
    messages = at_times(call_messages("call-1", PCM))

    async def main() -> None:
        async with serve(Seen(), capture=tmp_path / "call.jsonl") as server:
            result = await replay(server.url, messages, speed=speed)
        assert (result.complete, result.messages_sent, result.close_code) == (True, len(messages), 1000)

    run_in_virtual_time(main())
    seen = list(read_capture(tmp_path / "call.jsonl"))
    assert [message.data for message in seen] == [message.data for message in messages]
    for message, sent in zip(seen, messages, strict=True):
        assert message.arrival_ms == pytest.approx(sent.arrival_ms / speed, abs=0.5)


def test_being_late_moves_no_later_deadline(tmp_path: Path) -> None:
    messages = [CapturedMessage(20.0 * k, message) for k, message in enumerate(call_messages("call-1", PCM))]

    def late(loop: asyncio.AbstractEventLoop) -> Iterator[CapturedMessage]:
        for k, message in enumerate(messages):
            if k == 10:
                loop._clock.now_s += 0.25  # type: ignore[attr-defined]  # the source, or the machine, was busy
            yield message

    async def main() -> None:
        async with serve(Seen(), capture=tmp_path / "call.jsonl") as server:
            assert (await replay(server.url, late(asyncio.get_running_loop()))).complete

    run_in_virtual_time(main())
    for k, message in enumerate(read_capture(tmp_path / "call.jsonl")):
        due_ms = 20 * k if k < 9 else max(20 * k, 9 * 20 + 250)  # 9 was on its way when the clock jumped
        assert message.arrival_ms == pytest.approx(due_ms, abs=0.5)


@pytest.mark.parametrize("speed", [1.0, math.inf])
def test_a_replayed_call_is_recorded_as_it_was(tmp_path: Path, speed: float) -> None:
    """A chunk that comes out of order is waited for, others are lost: the arrivals decide about both."""
    messages = call_messages("call-1", PCM)
    messages[10], messages[11] = messages[11], messages[10]
    del messages[20:23]

    async def main() -> None:
        first, second = CallRecordings(tmp_path / "first"), CallRecordings(tmp_path / "second")
        async with serve(first, capture=tmp_path / "first.jsonl") as server, connect(server) as socket:
            for message in messages:
                await send(socket, [message])
                await asyncio.sleep(0.004)
            assert await close_of(socket) == (1000, "")
        async with serve(second, capture=tmp_path / "second.jsonl") as server:
            result = await replay(server.url, read_capture(tmp_path / "first.jsonl"), speed=speed)
            assert (result.complete, result.messages_sent) == (True, len(messages))

    run_in_virtual_time(main())
    assert samples(tmp_path / "first") == samples(tmp_path / "second")
    assert len(samples(tmp_path / "first")) == len(PCM)
    assert same_messages(tmp_path / "second.jsonl", read_capture(tmp_path / "first.jsonl"))
    assert [message.data for message in read_capture(tmp_path / "first.jsonl")] == messages


@pytest.mark.parametrize(("name", "wrong", "binary", "close"), HOSTILE, ids=[case[0] for case in HOSTILE])
@pytest.mark.parametrize("n_before", [0, 2, 20])
def test_what_breaks_a_call_is_kept_and_breaks_it_again(
    tmp_path: Path, n_before: int, name: str, wrong: bytes, binary: bool, close: tuple[int, str]
) -> None:
    if name == "bad base64" and n_before < 2:
        close = (1002, "media message before start")
    before = [CapturedMessage(0.0, data) for data in call_messages("call-1", PCM)[:n_before]]
    messages = [*before, CapturedMessage(0.0, wrong, binary)]

    async def main() -> None:
        capture = tmp_path / "call.jsonl"
        async with serve(Seen(), capture=capture) as server:
            for again in (messages, read_capture(capture)):
                result = await replay(server.url, again, speed=math.inf)
                assert (result.complete, result.close_code) == (False, close[0])
                assert result.close_reason.startswith(close[1])

    run(main())
    assert same_messages(tmp_path / "call.jsonl", messages)
    assert same_messages(tmp_path / "call-2.jsonl", messages)


def test_a_call_ends_alike_with_and_without_a_capture(tmp_path: Path) -> None:
    async def closed_with(data: bytes, binary: bool, capture: Path | None) -> int | None:
        messages = [CapturedMessage(0.0, message) for message in call_messages("call-1", PCM)[:5]]
        async with serve(Seen(), capture=capture) as server:
            wrong = CapturedMessage(0.0, data, binary)
            return (await replay(server.url, [*messages, wrong], speed=math.inf)).close_code

    for _, data, binary, (code, _) in [*HOSTILE, ("too big", b"x" * 65537, False, (1009, ""))]:
        for capture in (None, tmp_path / "call.jsonl"):
            assert run(closed_with(data, binary, capture)) == code


def test_an_aiohttp_that_keeps_such_text_to_itself_ends_the_call_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.net.aiohttp_server.RAW_TEXT", {})  # as before aiohttp 3.14
    messages = [CapturedMessage(0.0, data) for data in call_messages("call-1", PCM)[:5]]

    async def main() -> None:
        async with serve(Seen(), capture=tmp_path / "call.jsonl") as server:
            result = await replay(server.url, [*messages, CapturedMessage(0.0, b"\xff")], speed=math.inf)
            assert (result.complete, result.close_code) == (False, 1007)

    run(main())
    assert same_messages(tmp_path / "call.jsonl", messages)


def test_calls_at_once_have_a_file_each_and_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "call-2.jsonl").write_text("of somebody else")
    calls = [call_messages(f"call-{k}", PCM) for k in range(3)]

    async def main() -> None:
        seen = Seen()
        async with (
            serve(seen, capture=tmp_path / "call.jsonl") as server,
            connect(server) as a,
            connect(server) as b,
            connect(server) as c,
            connect(server),  # says nothing
        ):
            for k, (socket, messages) in enumerate(zip((a, b, c), calls, strict=True)):
                await send(socket, messages[:10])
                await seen.until(f"call-{k}", 5)
            for messages in zip(*(messages[10:] for messages in calls), strict=True):
                for socket, message in zip((a, b, c), messages, strict=True):
                    await send(socket, [message])
            for socket in (a, b, c):
                assert await close_of(socket) == (1000, "")

    run(main())
    assert (tmp_path / "call-2.jsonl").read_text() == "of somebody else"
    names = ["call.jsonl", "call-3.jsonl", "call-4.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "call-2.jsonl"])
    for name, messages in zip(names, calls, strict=True):
        assert [message.data for message in read_capture(tmp_path / name)] == messages


def test_the_token_is_in_no_capture(tmp_path: Path) -> None:
    async def main() -> None:
        capture = tmp_path / "call.jsonl"
        messages = at_times(call_messages("call-1", PCM))
        async with serve(Seen(), bearer_token=TOKEN, capture=capture) as server:
            with pytest.raises(RemoteProtocolError, match="HTTP 401"):
                await replay(server.url, messages, speed=math.inf)
            assert (await replay(server.url, messages, bearer_token=TOKEN, speed=math.inf)).complete

    run(main())
    (capture,) = tmp_path.iterdir()  # who was refused has none
    assert TOKEN not in capture.read_text()


def test_a_disk_that_is_full_costs_the_call_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    messages = at_times(call_messages("call-1", PCM))

    async def main() -> None:
        seen = Seen()
        async with serve(seen, capture=tmp_path / "call.jsonl") as server:
            result = await replay(server.url, messages, speed=math.inf)
        assert (result.complete, result.messages_sent) == (True, len(messages))
        assert len(pcm_of(seen.events["call-1"])) == len(PCM)

    with file_size_limit(5000):
        run(main())
    (logged,) = caplog.messages
    assert logged == f"{tmp_path / 'call.jsonl'}: the capture ends here: File too large"
    kept = [message.data for message in read_capture(tmp_path / "call.jsonl")]
    assert 10 < len(kept) < len(messages)
    assert kept == [message.data for message in messages][: len(kept)]


def test_what_no_capture_takes_is_refused_before_anybody_calls(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def entered(capture: Path, max_message_bytes: int) -> None:
        async with serve(Seen(), capture=capture, max_message_bytes=max_message_bytes):
            pass

    run(entered(tmp_path / "new" / "directory" / "call.jsonl", MESSAGE_BYTES_MAX))
    with pytest.raises(FormatError, match="up to 1048577 bytes: a capture takes at most 1048576"):
        run(entered(tmp_path / "call.jsonl", MESSAGE_BYTES_MAX + 1))
    with pytest.raises(OSError, match="file"):
        run(entered(tmp_path / "file" / "call.jsonl", 1000))


def test_a_server_that_closes_ends_the_replay(tmp_path: Path) -> None:
    async def main() -> None:
        async def handler(call: Call) -> None:
            async for event in call:
                if isinstance(event, Frame):
                    await call.close(4001, "no more")

        messages = at_times(call_messages("call-1", bytes(2 * 8000 * 600)))
        async with serve(handler) as server:
            result = await replay(server.url, messages)
        assert (result.complete, result.close_code, result.close_reason) == (False, 4001, "no more")
        assert result.messages_sent < 1000

    run_in_virtual_time(main())


def test_a_capture_that_breaks_on_the_way_is_the_error(tmp_path: Path) -> None:
    (tmp_path / "call.jsonl").write_bytes(
        b'{"format":"trunkline-capture","version":1}\n{"ms":0,"text":"{}"}\nx\n'
    )

    async def main() -> None:
        async with serve(Seen()) as server:
            await replay(server.url, read_capture(tmp_path / "call.jsonl"))

    with pytest.raises(FormatError, match=r"call\.jsonl:3: "):
        run(main())


@pytest.mark.parametrize("url", ["ws://example.com/", "ws://10.0.0.1:80/", "http://127.0.0.1/", ""])
def test_audio_never_leaves_the_machine_in_the_clear(url: str) -> None:
    with pytest.raises(LocalProtocolError, match="wss://"):
        run(replay(url, at_times(call_messages("call-1", PCM))))


@pytest.mark.parametrize("speed", [0, -1, math.nan])
def test_impossible_speeds_are_refused(speed: float) -> None:
    with pytest.raises(LocalProtocolError, match="speed"):
        run(replay("ws://127.0.0.1:9/", [], speed=speed))


def test_pings_are_no_messages(tmp_path: Path) -> None:
    async def main() -> None:
        async with serve(Seen(), capture=tmp_path / "call.jsonl") as server, connect(server) as socket:
            await socket.ping(b"x")
            await send(socket, call_messages("call-1", PCM[:640]))
            assert await close_of(socket) == (1000, "")

    run(main())
    assert len(list(read_capture(tmp_path / "call.jsonl"))) == 5
