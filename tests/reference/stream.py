"""The media stream protocol the slow way: json, base64 and the reference G.711."""

import base64
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.reference import g711

ENCODINGS = {"PCMU": "audio/x-mulaw", "PCMA": "audio/x-alaw", "L16": "audio/x-L16"}
VERSIONS = {"signalwire": "0.2.0", "twilio": "1.0.0"}
_DECODE = {
    "PCMU": [g711.ulaw_decode_sample(code) for code in range(256)],
    "PCMA": [g711.alaw_decode_sample(code) for code in range(256)],
}
_ENCODE = {"PCMU": g711.ulaw_encode_sample, "PCMA": g711.alaw_encode_sample}


def decode(codec: str, payload: bytes) -> list[int]:
    """Decode a payload; L16 on this wire is little-endian."""
    if codec == "L16":
        return [int.from_bytes(payload[i : i + 2], "little", signed=True) for i in range(0, len(payload), 2)]
    return [_DECODE[codec][code] for code in payload]


def encode(codec: str, samples: Sequence[int]) -> bytes:
    """Encode samples to a payload."""
    if codec == "L16":
        return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    return bytes(_ENCODE[codec](sample) for sample in samples)


def sample_bytes(codec: str) -> int:
    return 2 if codec == "L16" else 1


class Platform:
    """Makes the messages of one stream, as text."""

    def __init__(self, codec: str = "PCMU", rate: int = 8000, dialect: str = "signalwire") -> None:
        self.codec, self.rate, self.dialect = codec, rate, dialect
        self.sequence = 0
        self.chunks = {"inbound": 0, "outbound": 0}

    def _message(self, event: str, body: Mapping[str, Any] | None, numbered: bool = True) -> str:
        message: dict[str, Any] = {"event": event}
        if numbered:
            self.sequence += 1
            message["sequenceNumber"] = str(self.sequence)
        if body is not None:
            message[event] = body
        if self.dialect == "twilio":
            message["streamSid"] = "MZ1"
        return json.dumps(message)

    def connected(self) -> str:
        return json.dumps({"event": "connected", "protocol": "Call", "version": VERSIONS[self.dialect]})

    def start(self, tracks: Sequence[str] | None = ("inbound",)) -> str:
        body: dict[str, Any] = {
            "streamSid": "MZ1",
            "accountSid": "AC1",
            "callSid": "CA1",
            "customParameters": {"k": "v"},
            "mediaFormat": {"encoding": ENCODINGS[self.codec], "sampleRate": self.rate, "channels": 1},
        }
        if tracks is not None:
            body["tracks"] = list(tracks)
        return self._message("start", body)

    def media(
        self, payload: bytes, timestamp_ms: int, track: str = "inbound", chunk: int | None = None
    ) -> str:
        self.chunks[track] = self.chunks[track] + 1 if chunk is None else chunk
        body = {
            "track": track,
            "chunk": str(self.chunks[track]),
            "timestamp": str(timestamp_ms),
            "payload": base64.b64encode(payload).decode(),
        }
        return self._message("media", body)

    def stop(self) -> str:
        body = {"accountSid": "AC1", "callSid": "CA1"} if self.dialect == "twilio" else None
        return self._message("stop", body)


def frames(samples: Sequence[int], rate: int, frame_ms: int) -> Iterator[tuple[float, list[int]]]:
    """Cut a track's samples into frames: where each begins in ms, and its samples; the last may be short."""
    n = rate * frame_ms // 1000
    for start in range(0, len(samples), n):
        yield start * 1000 / rate, list(samples[start : start + n])


def samples_of(frame: object) -> list[int]:
    return list(array("h", bytes(frame)))  # type: ignore[call-overload]
