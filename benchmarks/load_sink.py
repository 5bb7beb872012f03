"""A sink for media streams: it reads and throws away, echoes marks and says goodbye, for next to nothing.

Against it is measured how many calls can be made. It takes less of a core than any receiver, because it looks
for what it needs in the bytes as they come: `trunkline.net.masked_frame` masks all of them alike.
"""

import base64
import hashlib
import select
import socket
from collections.abc import Callable

from trunkline.net.masked_frame import KEY_BYTE

UNMASKED = bytes(byte ^ KEY_BYTE for byte in range(256))
MARK = b'{"event":"mark"'.translate(UNMASKED)
END = b"}}".translate(UNMASKED)
STOP = b'"event":"stop"'.translate(UNMASKED)
CLOSE = b"\x88\x02\x03\xe8"  # 1000
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3


def upgraded(request: bytes) -> bytes:
    """Answer a client's handshake."""
    lines = (line.partition(b":") for line in request.split(b"\r\n"))
    (key,) = (value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def answered(data: bytes) -> bytes:
    """Answer messages: a mark with itself, stop with the end of the connection."""
    answer = b""
    if MARK in data:
        begin = data.index(MARK)
        mark = data[begin : data.index(END, begin) + len(END)].translate(UNMASKED)  # below 126 bytes
        answer = bytes([0x81, len(mark)]) + mark
    return answer + CLOSE if STOP in data else answer


def sink(on_port: Callable[[int], None]) -> None:
    """Take calls, for ever."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
    on_port(listening.getsockname()[1])
    poll, buffer = select.epoll(), memoryview(bytearray(1 << 16))
    poll.register(listening, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    fresh: set[int] = set()
    while True:
        for number, _ in poll.poll(maxevents=1000):
            if number == listening.fileno():
                connection, _ = listening.accept()
                number = connection.fileno()
                connections[number] = connection
                fresh.add(number)
                poll.register(number, select.EPOLLIN)
                continue
            connection = connections[number]
            try:
                data = bytes(buffer[: connection.recv_into(buffer)])
                if data and (answer := upgraded(data) if number in fresh else answered(data)):
                    connection.send(answer)
            except OSError:
                data = b""
            fresh.discard(number)
            if not data:
                connections.pop(number).close()  # the poll forgets it, too
