"""What a captured call is: its stream, its tracks and what was lost of them."""

import os

import msgspec

from trunkline.errors import FormatError, PayloadError, RemoteProtocolError
from trunkline.stream import CapturedMessage, StreamReceiver, read_capture
from trunkline.track import TrackStats

__all__ = ["CaptureInfo", "capture_info"]


class CaptureInfo(msgspec.Struct, frozen=True):
    """A capture, read to its end; what the start message says is empty when none came."""

    format: str
    encoding: str  # the codec, as the stream spells it
    sample_rate: int
    duration_ms: float  # from the first message to the last one
    messages: int
    left_out: int  # of these, that break the protocol
    stopped: bool  # a stop message came
    call_id: str | None
    stream_id: str
    tracks: dict[str, TrackStats]
    damage: tuple[str, ...]  # a sentence each


def capture_info(path: str | os.PathLike[str]) -> CaptureInfo:
    """Read a capture as a receiver would have had it, at the same times; FormatError when it is none.

    A line that is broken ends it, and is told in `damage`.
    """
    damage: list[str] = []
    call = _CapturedCall()

    def on_torn(n_bytes: int) -> None:
        damage.append(f"the last line, {n_bytes} bytes, has no end: whoever wrote it was interrupted")

    lines = read_capture(path, on_torn=on_torn)
    try:
        for message in lines:
            call.take(message)
    except FormatError as error:
        if not call.messages:
            raise
        damage.append(f"it breaks off in line {str(error).removeprefix(f'{os.fspath(path)}:')}")
    return call.info(tuple(damage))


class _CapturedCall:
    def __init__(self) -> None:
        self.messages = 0
        self._left_out = 0
        self._end_ms = 0.0
        self._receiver = StreamReceiver()

    def take(self, message: CapturedMessage) -> None:
        self.messages += 1
        self._end_ms = now_ms = message.arrival_ms
        while (due_ms := self._receiver.next_deadline_ms) is not None and due_ms <= now_ms:
            self._receiver.poll(due_ms)
        try:
            self._receive(message)
        except (RemoteProtocolError, PayloadError):
            self._left_out += 1

    def _receive(self, message: CapturedMessage) -> None:
        data = message.message
        if message.binary and self._receiver.start is not None and not self._receiver.is_binary:
            raise RemoteProtocolError("a binary message")
        try:
            self._receiver.receive(data, message.arrival_ms)
        except FormatError:
            if self._receiver.start is not None:
                raise
            self._receiver = StreamReceiver(output="encoded")  # a codec that is not decoded
            self._receiver.receive(data, message.arrival_ms)

    def info(self, damage: tuple[str, ...]) -> CaptureInfo:
        stopped = self._receiver.ended or not self._receiver.needs_stop
        self._receiver.close()
        start = self._receiver.start
        return CaptureInfo(
            format="capture",
            encoding="" if start is None else start.media_format.codec,
            sample_rate=0 if start is None else start.media_format.sample_rate,
            duration_ms=self._end_ms,
            messages=self.messages,
            left_out=self._left_out,
            stopped=stopped,
            call_id=None if start is None else start.call_id,
            stream_id="" if start is None else start.stream_id,
            tracks=self._receiver.stats,
            damage=damage,
        )
