"""What differs between the platforms that speak this protocol. A new one is one more class here."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from trunkline.errors import FormatError
from trunkline.formats import STREAM_RATE_MAX, MediaFormat
from trunkline.stream import messages

__all__ = ["DIALECTS", "Endpoint", "SignalWire", "Twilio", "check_dialect", "detect", "media_format"]

STREAM_CHANNELS_MAX: Final = 2  # of a track; a start message allocates by these numbers

_CODECS: Final = {"mulaw": "PCMU", "alaw": "PCMA"}
_ENCODINGS: Final = {
    "PCMU": "audio/x-mulaw",
    "PCMA": "audio/x-alaw",
    "L16": "audio/x-L16",
    "OPUS": "audio/opus",
}


class SignalWire:
    """Writes the messages of one stream, each as UTF-8 JSON."""

    VERSION: ClassVar[str] = "0.2.0"

    def __init__(self, stream_id: str, call_id: str, account_id: str | None) -> None:
        self._ids = {"streamSid": stream_id, "callSid": call_id}
        if account_id is not None:
            self._ids["accountSid"] = account_id
        self._end = b"}"

    def connected(self) -> bytes:
        return _json({"event": "connected", "protocol": "Call", "version": self.VERSION})

    def start(
        self,
        sequence: int,
        tracks: tuple[str, ...],
        format: MediaFormat,
        custom_parameters: Mapping[str, str],
    ) -> bytes:
        body = {
            **self._ids,
            "tracks": tracks,
            "customParameters": custom_parameters,
            "mediaFormat": {
                "encoding": _ENCODINGS[format.codec],
                "sampleRate": format.sample_rate,
                "channels": format.channels,
            },
        }
        return self._message({"event": "start", "sequenceNumber": str(sequence), "start": body})

    def media(self, track: str) -> tuple[bytes | None, ...]:
        """Give the text of a media message around its sequence number, chunk, timestamp and payload."""
        return (
            b'{"event":"media","sequenceNumber":"',
            b'","media":{"track":"%b","chunk":"' % track.encode(),  # it holds nothing to be escaped
            b'","timestamp":"',
            b'","payload":"',
            b'"}' + self._end,
        )

    def dtmf(self, sequence: int, digit: str, duration_ms: int, track: str) -> bytes:
        body = {"digit": digit, "duration": duration_ms}
        return self._message({"event": "dtmf", "sequenceNumber": str(sequence), "dtmf": body})

    def mark(self, name: str) -> bytes:
        return self._message({"event": "mark", "mark": {"name": name}})

    def stop(self, sequence: int) -> bytes:
        return self._message({"event": "stop", "sequenceNumber": str(sequence)})

    def _message(self, body: dict[str, Any]) -> bytes:
        return _json(body)[:-1] + self._end


class Twilio(SignalWire):
    """Twilio repeats the stream's id at the top of every message but the first."""

    VERSION = "1.0.0"

    def __init__(self, stream_id: str, call_id: str, account_id: str | None) -> None:
        super().__init__(stream_id, call_id, account_id)
        self._end = b',"streamSid":%b}' % _json(stream_id)

    def dtmf(self, sequence: int, digit: str, duration_ms: int, track: str) -> bytes:
        body = {"digit": digit, "duration": duration_ms, "track": track}
        return self._message({"event": "dtmf", "sequenceNumber": str(sequence), "dtmf": body})

    def stop(self, sequence: int) -> bytes:
        body = {key: self._ids[key] for key in ("accountSid", "callSid") if key in self._ids}
        return self._message({"event": "stop", "sequenceNumber": str(sequence), "stop": body})


class Endpoint(SignalWire):
    """The other end of a two-way stream, which no platform has in a dialect of its own."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id, "", None)
        self._end = b',"streamSid":%b}' % _json(stream_id)

    def media(self, track: str) -> tuple[bytes | None, ...]:
        begin = b'{"event":"media","streamSid":%b,"media":{"payload":"' % _json(self._ids["streamSid"])
        return begin, None, None, None, b'"}}'

    def dtmf(self, sequence: int, digit: str, duration_ms: int, track: str) -> bytes:
        return self._message({"event": "dtmf", "dtmf": {"digit": digit, "duration": duration_ms}})

    def clear(self) -> bytes:
        return self._message({"event": "clear"})


DIALECTS: Final[dict[str, type[SignalWire]]] = {"signalwire": SignalWire, "twilio": Twilio}

_json = msgspec.json.Encoder().encode


def check_dialect(name: str) -> None:
    """Refuse a dialect that we do not speak: FormatError."""
    if name not in DIALECTS:
        raise FormatError(f"unknown dialect {name[:32]!r}: takes {', '.join(DIALECTS)}")


def detect(start: messages.Start) -> str:
    """Tell the dialect of a stream from its start message."""
    return "signalwire" if start.stream_sid is None else "twilio"


def media_format(body: messages.MediaFormatBody) -> MediaFormat:
    """Read the format of a start message; its encoding may also be a bare codec name, in any case."""
    if body.sample_rate > STREAM_RATE_MAX or body.channels > STREAM_CHANNELS_MAX:
        raise FormatError(
            f"stream of {body.sample_rate} Hz with {body.channels} channels: "
            f"takes up to {STREAM_RATE_MAX} Hz with {STREAM_CHANNELS_MAX}"
        )
    name = body.encoding.lower().removeprefix("audio/").removeprefix("x-")
    return MediaFormat(_CODECS.get(name, name.upper()), body.sample_rate, body.channels)
