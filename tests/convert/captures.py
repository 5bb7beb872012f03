"""Captures of calls that are made up."""

import json
from pathlib import Path

from trunkline.stream import CaptureWriter, StreamSender
from trunkline.testing import conversation


def write_capture(path: Path, *, seconds: float = 1.0, leave_out: tuple[int, ...] = ()) -> None:
    """Write a call of two tracks, a message each 10 ms, without those whose numbers are left out."""
    sender = StreamSender("PCMU", tracks=("inbound", "outbound"), call_id="call-1", stream_id="stream-1")
    inbound, outbound = conversation(seconds)
    messages = sender.start()
    for at in range(0, len(inbound), 320):
        for track, pcm in (("inbound", inbound), ("outbound", outbound)):
            messages += sender.media(pcm[at : at + 320], track)
    write_messages(path, [m for k, m in enumerate(messages + sender.stop()) if k not in leave_out])


def write_messages(path: Path, messages: "list[bytes] | list[str]") -> None:
    """Write messages 10 ms apart."""
    with CaptureWriter(path) as capture:
        for k, message in enumerate(messages):
            capture.write(message, 10.0 * k)


def start_message(codec: str, sample_rate: int) -> str:
    """Say that a stream of a codec begins."""
    media_format = {"encoding": f"audio/x-{codec}", "sampleRate": sample_rate, "channels": 1}
    ids = {"streamSid": "s", "callSid": "c", "accountSid": "a"}
    body = {**ids, "tracks": ["inbound"], "mediaFormat": media_format}
    return json.dumps({"event": "start", "streamSid": "s", "start": body})
