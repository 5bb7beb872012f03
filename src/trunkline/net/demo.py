"""A whole call on loopback over TLS, both ends in one process, and the check that nothing was bent."""

import random
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from trunkline import g711, opus
from trunkline._native.plc import Plc
from trunkline.errors import RemoteProtocolError
from trunkline.formats import CodecSpec, whole_samples
from trunkline.net.client import stream
from trunkline.net.recording import CallRecording, CallRecordings
from trunkline.net.server import serve
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.resample import Resampler
from trunkline.stream import StreamReceiver, StreamSender
from trunkline.track import Packetizer, TrackStats
from trunkline.wav import WavReader

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["RECORDED_RATE", "SAID_RATE", "TRACKS", "DemoResult", "demo_encoder", "run_demo"]

TRACKS: Final = ("inbound", "outbound")
SAID_RATE: Final = 24_000  # what many synthesisers give
RECORDED_RATE: Final = 16_000  # what many recognisers take
CHUNK_MS: Final = 200  # of what is said at a time
LOSS: Final = 0.02  # of the packets, left out on purpose
MEASURED_RUNS: Final = 5


class DemoResult(NamedTuple):
    """What the receiving end counted, and how its recording compares with what was said.

    `left_out` are the packets of each track that were not sent, `compared` the others. `wrong` counts the
    stretches of a packet's length, those left out included, in which the recording is not, sample by
    sample, what the codec and the resamplers make of what was said.
    """

    path: Path
    stats: dict[str, TrackStats]
    receive_us: float  # StreamReceiver.receive per packet, best of some runs over the call's messages
    left_out: dict[str, int]
    compared: int
    wrong: int

    @property
    def verified(self) -> bool:
        """True when what was sent is in the recording, and what was left out is counted as lost."""
        lost = {track: stats.lost for track, stats in self.stats.items()}
        return self.compared > 0 and self.wrong == 0 and lost == self.left_out


async def run_demo(
    directory: Path,
    sides: tuple[bytes, bytes],
    *,
    codec: CodecSpec = CodecSpec("PCMU", 8000),  # noqa: B008 (it is frozen)
    speed: float = 1.0,
    seed: int = 0,
    on_start: Callable[[CallRecording], None] = lambda recording: None,
) -> DemoResult:
    """Stream the two `sides` of a call (s16 at SAID_RATE) over wss into a stereo WAV in `directory`.

    The certificate and the bearer token are made for this call; `seed` chooses the packets that are left
    out. Raises RemoteProtocolError when the receiving end refuses the stream, OSError when it cannot
    write the recording.
    """
    ended: list[CallRecording] = []
    recordings = CallRecordings(directory, on_start=on_start, on_end=ended.append)
    token = secrets.token_urlsafe()
    packet_bytes = 2 * whole_samples(codec.ptime_ms, SAID_RATE, "ptime")
    left_out = _choose_losses(len(sides[0]) // packet_bytes, seed)
    sender = _LossySender(codec, left_out, seed)
    with tempfile.TemporaryDirectory() as keys:
        certificate, key = self_signed(keys)
        context = server_context(certificate, key)
        async with serve(
            recordings, "127.0.0.1", 0, bearer_token=token, ssl=context, sample_rate=RECORDED_RATE
        ) as server:
            client = client_context(certificate)
            sent = await stream(
                server.url, sender, _chunks(sides), bearer_token=token, ssl=client, speed=speed
            )
    if not ended or ended[0].error or not sent.complete:
        raise (ended and ended[0].error) or RemoteProtocolError(
            f"the stream was refused: {sent.close_reason}"
        )
    recording = ended[0]
    if recording.error is not None:
        raise recording.error
    wrong = _compare(recording.path, codec, sides, left_out)
    return DemoResult(
        path=recording.path,
        stats=recording.call.stats,
        receive_us=await _measure(codec, sides, left_out, seed),
        left_out={track: sum(name == track for name, _ in left_out) for track in TRACKS},
        compared=sum(len(side) // packet_bytes for side in sides) - len(left_out),
        wrong=wrong,
    )


async def _measure(
    codec: CodecSpec, sides: tuple[bytes, bytes], left_out: set[tuple[str, int]], seed: int
) -> float:
    """Time StreamReceiver.receive over the messages of the call: us per message, best of some runs."""
    sender = _LossySender(codec, left_out, seed)
    messages = sender.start()
    async for chunk in _chunks(sides):
        messages += [message for track, pcm in chunk.items() for message in sender.media(pcm, track)]
    seconds = []
    for _ in range(MEASURED_RUNS):
        receiver = StreamReceiver(sample_rate=RECORDED_RATE)
        began = time.perf_counter()
        for message in messages:
            receiver.receive(message)
        seconds.append(time.perf_counter() - began)
    return min(seconds) * 1e6 / len(messages)


class _LossySender(StreamSender):
    """Leave packets out after they have been numbered, as a network would lose them."""

    def __init__(self, codec: CodecSpec, left_out: set[tuple[str, int]], seed: int) -> None:
        super().__init__(
            codec,
            sample_rate=SAID_RATE,
            tracks=TRACKS,
            call_id="demo",
            stream_id=f"seed-{seed}",
            encoder=demo_encoder(codec),
        )
        self._left_out = left_out
        self._counts = dict.fromkeys(TRACKS, 0)

    def media(self, pcm: "Buffer", track: str | None = None) -> list[bytes]:
        name = track or TRACKS[0]
        kept = []
        for message in super().media(pcm, name):
            if (name, self._counts[name]) not in self._left_out:
                kept.append(message)
            self._counts[name] += 1
        return kept


def _choose_losses(n_packets: int, seed: int) -> set[tuple[str, int]]:
    """Choose packets of either track, never both of one time nor the last: only a later one shows a loss."""
    rng = random.Random(seed)  # noqa: S311  (losses, not secrets)
    chosen = rng.sample(range(max(0, n_packets - 1)), round(LOSS * n_packets))
    return {(rng.choice(TRACKS), packet) for packet in chosen}


def demo_encoder(codec: CodecSpec) -> opus.Encoder | None:
    """Make what the demos encode OPUS with; None for other codecs."""
    if codec.name != "OPUS":
        return None
    return opus.Encoder(codec.sample_rate, bitrate=24_000, inband_fec=True, packet_loss_percent=10)


async def _chunks(sides: tuple[bytes, bytes]) -> AsyncIterator[dict[str, bytes]]:
    step = 2 * whole_samples(CHUNK_MS, SAID_RATE)
    for at in range(0, len(sides[0]), step):
        yield {track: side[at : at + step] for track, side in zip(TRACKS, sides, strict=True)}


def _compare(path: Path, codec: CodecSpec, sides: tuple[bytes, bytes], left_out: set[tuple[str, int]]) -> int:
    """Compare a recording with what was said: stretches of a packet that are wrong."""
    with WavReader(path) as reader:
        samples = memoryview(reader.read()).cast("h")
    step = 2 * whole_samples(codec.ptime_ms, RECORDED_RATE, "ptime")
    wrong = 0
    for channel, (track, side) in enumerate(zip(TRACKS, sides, strict=True)):
        recorded = samples[channel :: len(TRACKS)].tobytes()
        expected = _as_recorded(codec, side, {packet for name, packet in left_out if name == track})
        wrong += len(recorded) != len(expected)
        wrong += sum(
            recorded[at : at + step] != expected[at : at + step] for at in range(0, len(expected), step)
        )
    return wrong


def _as_recorded(codec: CodecSpec, side: bytes, left_out: set[int]) -> bytes:
    """Give what was said as the call brings it, in one piece, without the packets that were left out."""
    packetizer = Packetizer(codec, sample_rate=SAID_RATE, encoder=demo_encoder(codec))
    payloads = packetizer.push(side) + packetizer.flush()
    decode = _decode_opus if codec.name == "OPUS" else _decode
    up = Resampler(codec.sample_rate, RECORDED_RATE)
    return up.process(decode(codec, payloads, left_out)) + up.flush()


def _decode(codec: CodecSpec, payloads: list[bytes], left_out: set[int]) -> bytes:
    """Decode what came; what did not is concealed."""
    decoded = {"PCMU": g711.ulaw_decode, "PCMA": g711.alaw_decode}.get(codec.name, bytes)
    plc = Plc(codec.sample_rate)
    return b"".join(
        plc.conceal(codec.samples_per_packet) if packet in left_out else plc.play(decoded(payload))
        for packet, payload in enumerate(payloads)
    )


def _decode_opus(codec: CodecSpec, payloads: list[bytes], left_out: set[int]) -> bytes:
    """Decode what came; the packet after one that did not brings a copy of it, or it is concealed."""
    decoder, heard, gap = opus.Decoder(codec.sample_rate), b"", 0
    for packet, payload in enumerate(payloads):
        if packet in left_out:
            gap += codec.samples_per_packet
            continue
        recovered = bytearray(2 * gap)
        decoder.recover_into(payload, recovered, gap)
        heard += recovered + decoder.decode(payload)
        gap = 0
    return heard
