"""What lies between the two ends of a stream in a test: how each dialect's messages arrive."""

import random
from collections.abc import Iterable

from trunkline.stream import Event, Frame, StreamReceiver, StreamSender

BYTE_STREAMS = ("audiosocket",)


def carried(sender: StreamSender, messages: Iterable[bytes], seed: int = 0) -> list[str | bytes]:
    """Give what arrives: text as str, binary messages as bytes, and of a stream of bytes any pieces."""
    if sender.dialect not in BYTE_STREAMS:
        return [message.decode() if sender.is_text(message) else bytes(message) for message in messages]
    data, chance, pieces = b"".join(messages), random.Random(seed), []
    while data:
        n_bytes = chance.choice([1, 2, 3, 7, 320, 323, 640, 5000])
        pieces.append(data[:n_bytes])
        data = data[n_bytes:]
    return pieces


def received(receiver: StreamReceiver, messages: Iterable[str | bytes]) -> list[Event]:
    return [event for message in messages for event in receiver.receive(message)]


def told(events: Iterable[Event]) -> list[object]:
    """Say what events are, so that they can be compared."""
    return [
        (event.track, event.timestamp_ms, event.concealed, bytes(event))
        if isinstance(event, Frame)
        else event
        for event in events
    ]


def audio_of(events: Iterable[Event], track: str) -> bytes:
    return b"".join(bytes(event) for event in events if isinstance(event, Frame) and event.track == track)
