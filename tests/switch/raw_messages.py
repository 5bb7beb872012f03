"""The packets of a stream: those that came, message by message, and those that its audio should make."""

import asyncio
from array import array
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from ssl import SSLContext
from typing import Any

import msgspec
from aiohttp import web

from tests.reference import stream as reference
from tests.switch.parties import endpoint, now_ms, texts
from trunkline import Resampler, opus
from trunkline.formats import CodecSpec

ENCODINGS = {"PCMU": "audio/x-mulaw", "PCMA": "audio/x-alaw", "L16": "audio/x-L16", "OPUS": "audio/opus"}


class Received:
    """One stream, as it came: its messages, and when each did by the loop's clock."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.came_ms: list[float] = []

    def check(self, codec: str, said: Mapping[str, bytes], *, sample_rate: int | None = None) -> None:
        """All of it is as it should be, and each track of `said` holds that PCM, after silence while it rang.

        `sample_rate`: of the PCM; None: the codec's.
        """
        spec = CodecSpec.parse(codec)
        assert [m["event"] for m in self.messages[:2]] == ["connected", "start"]
        assert [m["event"] for m in self.messages[2:]] == ["media"] * (len(self.messages) - 3) + ["stop"]
        assert [m["sequenceNumber"] for m in self.messages[1:]] == digits(1, 1, len(self.messages) - 1)
        start = self.messages[1]["start"]
        assert start["tracks"] == list(said)
        encoding = ENCODINGS[spec.name]
        assert start["mediaFormat"] == {"encoding": encoding, "sampleRate": spec.sample_rate, "channels": 1}
        assert {media["track"] for media in self.media()} == set(said)
        for track, pcm in said.items():
            media = self.media(track)
            assert [m["chunk"] for m in media] == digits(1, 1, len(media))
            assert [m["timestamp"] for m in media] == digits(0, spec.ptime_ms, len(media))
            payloads = self.payloads(track)
            rate = spec.sample_rate if sample_rate is None else sample_rate
            tick = bytes(2 * rate // 50)
            pcm += bytes(-len(pcm) % len(tick))
            n_ticks = (len(payloads) - len(packets(codec, pcm, rate))) * spec.ptime_ms // 20  # that it rang
            assert payloads == packets(codec, n_ticks * tick + pcm, rate)

    def media(self, track: str | None = None) -> list[dict[str, str]]:
        """Give the media of a track, of all without one."""
        media = [m["media"] for m in self.messages if m["event"] == "media"]
        return [m for m in media if track in (None, m["track"])]

    def payloads(self, track: str) -> list[bytes]:
        """Give the payloads of a track."""
        return [b64decode(m["payload"], validate=True) for m in self.media(track)]

    def media_came_ms(self, track: str) -> list[float]:
        """Give when each packet of a track came."""
        came = zip(self.messages, self.came_ms, strict=True)
        return [at_ms for m, at_ms in came if m["event"] == "media" and m["media"]["track"] == track]


def digits(first: int, step: int, n: int) -> list[str]:
    """Count on the wire: strings of digits."""
    return [str(first + step * k) for k in range(n)]


@cache
def packets(codec: str, pcm: bytes, sample_rate: int) -> list[bytes]:
    """Make the payloads of PCM at `sample_rate`: resampled as a whole, cut, each encoded by the reference."""
    spec = CodecSpec.parse(codec)
    if sample_rate != spec.sample_rate:
        resampler = Resampler(sample_rate, spec.sample_rate)
        pcm = resampler.process(pcm) + resampler.flush()
    n_bytes = 2 * spec.samples_per_packet
    if spec.name != "OPUS":
        return [encoded(spec.name, pcm[i : i + n_bytes]) for i in range(0, len(pcm), n_bytes)]
    encoder = opus.Encoder(spec.sample_rate)
    pcm += bytes(2 * encoder.lookahead)
    return [encoder.encode(pcm[i : i + n_bytes].ljust(n_bytes, b"\0")) for i in range(0, len(pcm), n_bytes)]


@cache
def encoded(codec_name: str, pcm: bytes) -> bytes:
    """Make the payload of one packet of G.711 or L16."""
    return reference.encode(codec_name, array("h", pcm))


def decoded(codec: str, payloads: list[bytes]) -> bytes:
    """Give the PCM of payloads at the codec's rate."""
    spec = CodecSpec.parse(codec)
    if spec.name == "OPUS":
        decoder = opus.Decoder(spec.sample_rate)
        return b"".join(map(decoder.decode, payloads))
    return array("h", reference.decode(spec.name, b"".join(payloads))).tobytes()


class Endpoint:
    """Receives streams at `url`."""

    def __init__(self) -> None:
        self.url = ""
        self._ended: asyncio.Queue[Received] = asyncio.Queue()

    async def received(self, call_id: str) -> Received:
        """Wait for the end of a call's stream."""
        async with asyncio.timeout(90):  # a hang becomes a failure
            while (stream := await self._ended.get()).messages[1]["start"]["callSid"] != call_id:
                pass  # of a test that has failed
            return stream

    async def accept(self, socket: web.WebSocketResponse) -> None:
        received = Received()
        async for text in texts(socket):
            received.messages.append(msgspec.json.decode(text))
            received.came_ms.append(now_ms())
            if received.messages[-1]["event"] == "stop":
                break
        self._ended.put_nowait(received)


@asynccontextmanager
async def receiving(ssl: SSLContext | None = None) -> AsyncIterator[Endpoint]:
    """Serve an Endpoint on loopback."""
    made = Endpoint()
    async with endpoint(made.accept, ssl) as made.url:
        yield made
