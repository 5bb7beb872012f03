"""What networks and senders make of a call, for the tests of the jitter buffer."""

from dataclasses import dataclass, field
from functools import cache
from math import sin
from random import Random

from hypothesis import strategies as st

from tests.reference.jitter import Packet
from tests.reference.opus import packets as opus_packets
from tests.reference.stream import encode
from trunkline import JitterBuffer, opus

OFFSETS_MS = [0.0, 12345.6, 2.0**31 - 500, 2.0**32 - 500, 2.0**53 - 2.0**20]


@dataclass
class Put:
    packet: Packet
    arrival_ms: float
    plain: bool
    restarts: bool = False


@dataclass
class Network:
    codec: str
    sample_rate: int
    channels: int
    clock_rate: int
    frame_ms: int
    puts: list[Put] = field(default_factory=list)
    first_tick_ms: float = 0.0
    n_streams: int = 1

    def buffer(self) -> JitterBuffer:
        return JitterBuffer(
            self.codec,
            sample_rate=self.sample_rate,
            clock_rate=self.clock_rate,
            channels=self.channels,
            frame_ms=self.frame_ms,
        )


@cache
def _tone(codec: str, level: int, n_channels: int, n_items: int) -> bytes:
    return encode(codec, [round(level * sin(0.1 * (i // n_channels))) for i in range(n_items)])


def _payload(random: Random, network: Network, n_samples: int) -> bytes:
    """Noise, nothing, or a tone; sometimes with a byte too many."""
    n_items, kind = n_samples * network.channels, random.randrange(4)
    if kind < 2:
        payload = random.randbytes(n_items * (2 if network.codec == "L16" else 1))
    else:
        payload = _tone(network.codec, random.choice([0, 3, 9000]), network.channels, n_items)
    if network.codec == "L16" and random.random() < 0.1:
        payload += b"\x55"
    return payload


def _opus(random: Random, n_channels: int, sample_rate: int) -> tuple[bytes, int]:
    ms = random.choice([10, 20, 20, 60])
    payload = random.choice(opus_packets(2.0, 16000, n_channels, ms))
    return payload, opus.packet_info(payload).samples(sample_rate)


@st.composite
def networks(draw: st.DrawFn, codecs: tuple[str, ...], most_streams: int) -> Network:
    """Draw a call: losses, reordering, duplicates, silence, jumps of the numbers, ticks of any duration."""
    codec = draw(st.sampled_from(codecs))
    rate = draw(st.sampled_from([8000, 16000] if codec == "OPUS" else [8000, 8000, 4000, 24000]))
    network = Network(
        codec=codec,
        sample_rate=rate,
        channels=draw(st.integers(1, 2)),
        clock_rate=draw(st.sampled_from([1000, rate, 48000])),
        frame_ms=draw(st.sampled_from([20, 20, 9, 10, 11, 30, 1, 2, 120])),
        n_streams=draw(st.integers(1, most_streams)),
    )
    random = Random(draw(st.integers(0, 2**32)))
    jitter_ms = draw(st.sampled_from([0, 15, 60, 300]))
    lost, doubled, silent, freezing = (
        draw(st.sampled_from([0, 0, share])) for share in (0.1, 0.05, 0.1, 0.02)
    )
    ptimes_ms = draw(st.sampled_from([[20], [10], [20, 8], [1, 5, 20, 60], [20, 20, 200, 1000]]))
    now_ms = draw(st.sampled_from(OFFSETS_MS))
    network.first_tick_ms = now_ms + draw(st.sampled_from([0.0, 5.0, 150.0]))
    sequence, frozen_ms = random.randrange(2**16), 0.0
    for stream in range(network.n_streams):
        first_ms, first_timestamp = now_ms, random.randrange(2**32)
        announced = random.random() < 0.5
        if stream and not announced:
            sequence += random.randrange(300, 2**16 - 300)
        puts, position = [], 0
        for index in range(random.randrange(3, 50)):
            if codec == "OPUS":
                payload, n_samples = _opus(random, network.channels, rate)
            else:
                n_samples = rate * ptimes_ms[index % len(ptimes_ms)] // 1000
                payload = _payload(random, network, n_samples)
            if random.random() < silent:
                position += random.randrange(2 * rate)
            if random.random() < 0.02:
                payload, n_samples = payload[:0], 0
            timestamp = (first_timestamp + position * network.clock_rate // rate) % 2**32
            packet = Packet(stream, index, sequence % 2**16, timestamp, payload, n_samples)
            sequence += 1
            position += n_samples
            now_ms = first_ms + position * 1000 / rate
            if random.random() < freezing:
                frozen_ms = now_ms + random.randrange(2000)
            beginning = stream > 0 and index < 5  # it must be understood that this is another one
            late_ms = 0.0 if beginning else random.random() * jitter_ms
            put = Put(packet, max(now_ms + late_ms, frozen_ms), plain=not stream, restarts=False)
            if beginning or random.random() >= lost:
                puts.append(put)
            if random.random() < doubled:
                puts.append(Put(packet, put.arrival_ms + random.randrange(200), plain=not stream))
        if puts:
            puts.sort(key=lambda put: put.arrival_ms)
            puts[0].restarts = stream > 0 and announced
            network.puts += puts
            now_ms = frozen_ms = max(now_ms, puts[-1].arrival_ms)
    return network
