"""A call through a simulated network, played out by a jitter buffer: the demo without a socket or a clock."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from trunkline import opus, wav
from trunkline.formats import CodecSpec
from trunkline.jitter import JitterBuffer, JitterStats
from trunkline.stream.messages import TRACKS
from trunkline.testing import network
from trunkline.track import Packetizer

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["HeardTrack", "NetworkDemoResult", "run_network_demo"]

FRAME_MS: Final = 20
TICK_MS: Final = 7.0  # of the frames behind the first packet: nobody's clocks agree


class HeardTrack(NamedTuple):
    """One side of the call as it was heard; the delays are above that of the fastest packet, in ms."""

    stats: JitterStats
    sent: int
    pcm: bytes
    network_delays_ms: list[tuple[float, float]]  # by the time when a packet was sent
    playout_delays_ms: list[tuple[float, float]]  # by the time of the audio

    @property
    def concealed(self) -> float:
        """The part that was made up."""
        return self.stats.concealed_samples / max(1, self.stats.total_samples_received)

    def delay_ms(self, part: float) -> float:
        """The delay within which this part of the frames was played: 0.5 for the median."""
        delays_ms = sorted(delay_ms for _, delay_ms in self.playout_delays_ms)
        return delays_ms[min(len(delays_ms) - 1, int(part * len(delays_ms)))] if delays_ms else 0.0


class NetworkDemoResult(NamedTuple):
    """The recording, inbound left and outbound right, and each side."""

    path: Path
    tracks: dict[str, HeardTrack]


def run_network_demo(
    directory: Path,
    sides: tuple[bytes, bytes],
    sample_rate: int,
    *,
    kind: str,
    codec: CodecSpec,
    seed: int = 0,
) -> NetworkDemoResult:
    """Send the two `sides` of a call (s16 at `sample_rate`) as packets through a `kind` of testing.NETWORKS.

    Each goes into a JitterBuffer and comes out a frame every 20 ms, into a stereo WAV in `directory`.
    FormatError for another kind, OSError when the recording cannot be written.
    """
    tracks = {
        track: _hear(side, sample_rate, kind, codec, 2 * seed + i)
        for i, (track, side) in enumerate(zip(TRACKS, sides, strict=True))
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"demo_{kind}_seed-{seed}.wav"
    left, right = (memoryview(heard.pcm).cast("h") for heard in tracks.values())
    n_samples = max(len(left), len(right))
    stereo = memoryview(bytearray(4 * n_samples)).cast("B").cast("h")
    stereo[0 : 2 * len(left) : 2] = left
    stereo[1 : 2 * len(right) : 2] = right
    wav.write(path, stereo, sample_rate=codec.sample_rate, channels=2)
    return NetworkDemoResult(path, tracks)


def _hear(side: "Buffer", sample_rate: int, kind: str, codec: CodecSpec, seed: int) -> HeardTrack:
    packetizer = Packetizer(codec, sample_rate=sample_rate, encoder=_encoder(codec))
    payloads = packetizer.push(side) + packetizer.flush()
    clock_rate = 48_000 if codec.name == "OPUS" else codec.sample_rate
    came = network(kind, len(payloads), ptime_ms=codec.ptime_ms, seed=seed)
    fastest_ms = min(at_ms - number * codec.ptime_ms for number, at_ms in came)
    buffer = JitterBuffer(codec.name, sample_rate=codec.sample_rate, clock_rate=clock_rate, frame_ms=FRAME_MS)
    pcm, playout_delays_ms, next_one = bytearray(), [], 0
    now_ms = came[0][1] + TICK_MS
    while True:
        stats = buffer.stats  # without the frame that shows that nothing is left
        for number, at_ms in came[next_one:]:
            if at_ms > now_ms:
                break
            timestamp = number * codec.ptime_ms * clock_rate // 1000
            buffer.put(payloads[number], sequence=number, timestamp=timestamp, arrival_ms=at_ms)
            next_one += 1
        frame = buffer.get(now_ms)
        if frame.concealed and next_one == len(came):
            break
        pcm += memoryview(frame).cast("B")
        if not frame.concealed:
            playout_delays_ms.append((frame.timestamp_ms, now_ms - frame.timestamp_ms - fastest_ms))
        now_ms += FRAME_MS
    delays_ms = {number: (number * codec.ptime_ms, at_ms) for number, at_ms in reversed(came)}
    return HeardTrack(
        stats=stats,
        sent=len(payloads),
        pcm=bytes(pcm),
        network_delays_ms=[(sent_ms, at_ms - sent_ms - fastest_ms) for sent_ms, at_ms in delays_ms.values()],
        playout_delays_ms=playout_delays_ms,
    )


def _encoder(codec: CodecSpec) -> opus.Encoder | None:
    """Have OPUS carry copies for what is lost; None for other codecs."""
    if codec.name != "OPUS":
        return None
    return opus.Encoder(codec.sample_rate, bitrate=24_000, inband_fec=True, packet_loss_percent=10)
