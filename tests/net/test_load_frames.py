"""What a load puts on the wire: frames as RFC 6455 has them, and in these a dialect's messages."""

import asyncio
import base64
import hashlib
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import LocalProtocolError
from trunkline.formats import CodecSpec
from trunkline.net import Load, LoadReport, load
from trunkline.net.load_call import BACKLOG_BYTES_MAX
from trunkline.net.masked_frame import masked_frame
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.stream import StreamReceiver, StreamSender
from trunkline.testing.signals import speech_like
from trunkline.testing.virtual_time import run_in_virtual_time
from trunkline.track import Packetizer

TEXT, BINARY, CLOSE = 1, 2, 8
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3

Message = tuple[int, bytes]


async def read_frame(reader: asyncio.StreamReader) -> Message:
    """Read a client's frame that is a whole message, and insist on RFC 6455 5.2: opcode and payload."""
    first, second = await reader.readexactly(2)
    assert first & 0x80, "a fragment"
    assert not first & 0x70, "a reserved bit"
    assert second & 0x80, "not masked"
    n_bytes = second & 0x7F
    if n_bytes == 126:
        n_bytes = int.from_bytes(await reader.readexactly(2), "big")
        assert n_bytes > 125, "a length in more bytes than it needs"
    elif n_bytes == 127:
        n_bytes = int.from_bytes(await reader.readexactly(8), "big")
        assert 0xFFFF < n_bytes < 1 << 63, "a length in more bytes than it needs"
    key = await reader.readexactly(4)
    masked = await reader.readexactly(n_bytes)
    return first & 0x0F, bytes(byte ^ key[at % 4] for at, byte in enumerate(masked))


@given(st.binary(max_size=300) | st.integers(0, 70_000).map(bytes), st.booleans())
def test_a_frame_is_read_back(message: bytes, is_text: bool) -> None:
    async def read() -> Message:
        reader = asyncio.StreamReader()
        reader.feed_data(masked_frame(message, is_text))
        reader.feed_eof()
        frame = await read_frame(reader)
        assert reader.at_eof()
        return frame

    assert asyncio.run(read()) == (TEXT if is_text else BINARY, message)


class Endpoint:
    """Takes calls, and keeps their messages; it closes when they do. The first `deaf` it does not read."""

    def __init__(self, deaf: int = 0) -> None:
        self.calls: list[list[Message]] = []
        self._deaf = deaf
        self.may_end = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        messages: list[Message] = []
        self.calls.append(messages)
        is_deaf = len(self.calls) <= self._deaf
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        (key,) = (line.split(": ")[1] for line in head if line.lower().startswith("sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(f"{key}{GUID}".encode()).digest()).decode()  # noqa: S324
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept.encode()
        )
        try:
            if is_deaf:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await self.may_end.wait()
                return
            while (frame := await read_frame(reader))[0] != CLOSE:
                messages.append(frame)
            writer.write(bytes([0x80 | CLOSE, 2]) + frame[1][:2])
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(endpoint: Endpoint, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    accepting = socket.create_server(("127.0.0.1", 0))
    accepting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)  # else the kernel holds megabytes
    server = await asyncio.start_server(endpoint, sock=accepting, ssl=context)
    port = accepting.getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}/" if context is None else f"wss://localhost:{port}/"
    finally:
        server.close()
        endpoint.may_end.set()
        await asyncio.sleep(0.01)


def loaded(endpoint: Endpoint, *, directory: Path | None = None, **options: Any) -> LoadReport:
    """Run a load against an endpoint; over TLS with a certificate in `directory`."""

    async def main() -> LoadReport:
        certificate, key = (None, None) if directory is None else self_signed(directory)
        context = None if certificate is None or key is None else server_context(certificate, key)
        async with listening(endpoint, context) as url:
            return await Load(
                url,
                ssl=None if certificate is None else client_context(certificate),
                **{"connects_per_s": 200, **options},
            ).run()

    return run_in_virtual_time(main())


def expected(messages: Sequence[Message], codec: CodecSpec, dialect: str, n_packets: int) -> list[Message]:
    """Write a call anew, packet by packet: with the ids of its start, from where its first packet is from."""
    receiver = StreamReceiver(format=codec if dialect == "vonage" else None)
    for kind, message in messages[:2]:
        receiver.receive(message.decode() if kind == TEXT else message)
    start = receiver.start
    assert start is not None
    payloads = Packetizer(codec).push(speech_like(load.SPEECH_S, codec.sample_rate))
    n_start = 1 if dialect in ("plivo", "vonage") else 2

    def sender() -> tuple[StreamSender, list[bytes]]:
        made = StreamSender(codec, dialect=dialect, stream_id=start.stream_id, call_id=start.call_id)
        return made, made.start()

    firsts = [
        first
        for first in range(len(payloads))
        for made, _ in [sender()]
        if made.payload(payloads[first]) == [messages[n_start][1]]
    ]
    assert len(firsts) == 1
    writing, said = sender()
    for k in range(n_packets):
        said += writing.payload(payloads[(firsts[0] + k) % len(payloads)])
        if (k + 1) % (1000 // codec.ptime_ms) == 500 // codec.ptime_ms:
            with suppress(LocalProtocolError):  # there is none in the dialect
                said += writing.mark(str(k + 1))
    said += writing.stop()
    return [(TEXT if writing.is_text(message) else BINARY, message) for message in said]


def whole(fd: int, frame: bytes) -> int:
    return os.write(fd, frame)


def in_pieces(rng: random.Random) -> Callable[[int, bytes], int]:
    """Make a write that takes a part of a frame, or nothing of it."""

    def write(fd: int, frame: bytes) -> int:
        n_bytes = rng.choice([0, 1, 7, len(frame) - 1, len(frame)])
        if not n_bytes:
            raise BlockingIOError
        return os.write(fd, frame[:n_bytes])

    return write


@pytest.mark.parametrize("write", [whole, in_pieces(random.Random(0))], ids=["whole", "in_pieces"])
@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("PCMU", "signalwire"),
        ("L16@24000h@40i", "twilio"),
        ("PCMA", "telnyx"),
        ("PCMU", "plivo"),
        ("L16@8000h@100i", "exotel"),
    ],
)
def test_the_messages_are_the_dialects(
    name: str, dialect: str, write: Callable[[int, bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "os", SimpleNamespace(write=write))
    endpoint, codec = Endpoint(), CodecSpec.parse(name)
    n_packets = 1800 // codec.ptime_ms
    report = loaded(endpoint, calls=3, seconds=1.8, codec=codec, dialect=dialect)
    assert (report.completed, report.sent, report.lost) == (3, 3 * n_packets, 0)
    for messages in endpoint.calls:
        assert messages == expected(messages, codec, dialect, n_packets)


def test_the_messages_are_the_same_over_tls(tmp_path: Path) -> None:
    endpoint, codec = Endpoint(), CodecSpec.parse("PCMU")
    report = loaded(endpoint, directory=tmp_path, calls=2, seconds=0.8)
    assert (report.completed, report.sent, report.lost) == (2, 80, 0)
    for messages in endpoint.calls:
        assert messages == expected(messages, codec, "signalwire", 40)


def test_messages_of_bytes_are_sent_as_such() -> None:
    endpoint = Endpoint()
    report = loaded(endpoint, calls=1, seconds=0.4, codec="L16@16000h", dialect="vonage")
    assert (report.completed, report.sent) == (1, 20)
    ((kind, _), *media) = endpoint.calls[0]
    assert kind == TEXT
    assert [(kind, len(message)) for kind, message in media] == [(BINARY, 640)] * 20


def shrink(fd: int) -> None:
    """Have the kernel hold little of what has not been sent."""
    with socket.socket(fileno=os.dup(fd)) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)


def test_who_does_not_read_takes_no_memory_and_stops_nobody() -> None:
    endpoint, waiting = Endpoint(deaf=1), []

    async def main() -> LoadReport:
        async with listening(endpoint) as url:
            load = Load(url, calls=3, seconds=12, codec="L16@48000h@100i", connects_per_s=200)
            running = asyncio.create_task(load.run())
            while not running.done():
                for call in load._live:
                    shrink(call.fd)
                    waiting.append(call._transport.get_write_buffer_size())
                await asyncio.sleep(0.1)
            return await running

    report = run_in_virtual_time(main())
    assert (report.completed, report.broken, report.due) == (2, 1, 360)
    assert report.lost > 10
    assert report.sent + report.lost == report.due
    assert BACKLOG_BYTES_MAX < max(waiting) < BACKLOG_BYTES_MAX + 2 * 13_000
    assert [sum(b'"media"' in message for _, message in call) for call in endpoint.calls] == [0, 120, 120]


def test_who_has_gone_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    n_writes = 0

    def write(fd: int, frame: bytes) -> int:
        nonlocal n_writes
        n_writes += 1
        if n_writes == 5:
            raise BrokenPipeError
        return os.write(fd, frame)

    monkeypatch.setattr(load, "os", SimpleNamespace(write=write))
    report = loaded(Endpoint(), calls=1, seconds=0.4)
    assert (report.broken, report.due, report.sent, report.lost) == (1, 20, 4, 16)


def test_what_sockets_take() -> None:
    pairs = [socket.socketpair() for _ in range(4)]
    for ours, _ in pairs:
        ours.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            pairs[1][0].send(bytes(1 << 16))
    pairs[2][1].close()
    fds = [ours.fileno() for ours, _ in pairs]
    assert load._written(fds, [b"first", b"full", b"gone", b"last"]) == [5, 0, -1, 4]
    assert [theirs.recv(10) for _, theirs in (pairs[0], pairs[3])] == [b"first", b"last"]
    assert load._written([], []) == []
    for pair in pairs:
        for end in pair:
            end.close()
