"""What a track measures: jitter, drift, level, clipping."""

import random
import struct
from math import inf, log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import opus
from trunkline.formats import MediaFormat
from trunkline.g711 import alaw_encode, ulaw_encode
from trunkline.testing import tone
from trunkline.track import Track

PCMU = MediaFormat("PCMU", 8000)
PAYLOAD = bytes([255]) * 160


@given(arrivals=st.lists(st.floats(0, 200), min_size=1, max_size=60), rtp=st.booleans())
def test_jitter_is_rfc_3550_s(arrivals: list[float], rtp: bool) -> None:
    track = Track(PCMU, rtp_clock_rate=8000 if rtp else None)
    jitter_ms, before = 0.0, None
    for k, shift_ms in enumerate(arrivals):
        arrival_ms = 1000 + 20 * k + shift_ms
        if rtp:
            track.push_rtp(PAYLOAD, sequence=k, timestamp=160 * k, arrival_ms=arrival_ms)
        else:
            track.push(PAYLOAD, sequence=k, timestamp_ms=20 * k, arrival_ms=arrival_ms)
        transit_ms = arrival_ms - 20 * k
        if before is not None:
            jitter_ms += (abs(transit_ms - before) - jitter_ms) / 16
        before = transit_ms
    assert track.stats.jitter_ms == pytest.approx(jitter_ms, abs=1e-9)


def test_rtp_s_timestamps_are_exact_within_a_millisecond() -> None:
    track = Track(MediaFormat("PCMU", 8000), rtp_clock_rate=8000)
    for k in range(500):  # packets of 10.5 ms
        track.push_rtp(bytes(84), sequence=k, timestamp=84 * k, arrival_ms=100 + 10.5 * k)
    assert track.stats.jitter_ms == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("ppm", [-300, -20, 0, 50, 300])
@pytest.mark.parametrize("rtp", [True, False])
def test_drift_is_that_of_the_sender_s_clock(ppm: float, rtp: bool) -> None:
    track, chance = Track(PCMU, rtp_clock_rate=8000 if rtp else None), random.Random(ppm)
    for k in range(15_000):  # 5 min
        arrival_ms = 20 * k * (1 + ppm * 1e-6) + 40 + chance.gammavariate(2, 2)
        if rtp:
            track.push_rtp(PAYLOAD, sequence=k & 0xFFFF, timestamp=160 * k, arrival_ms=arrival_ms)
        else:
            track.push(PAYLOAD, sequence=k, timestamp_ms=20 * k, arrival_ms=arrival_ms)
        if k == 900:
            assert track.stats.drift_ppm == 0
    assert track.stats.drift_ppm == pytest.approx(ppm, abs=3)


def test_a_clock_that_steps_is_no_drift() -> None:
    track = Track(PCMU)
    for k in range(3000):
        step_ms = 5000 if k >= 1500 else 0
        track.push(PAYLOAD, sequence=k, timestamp_ms=20 * k + step_ms, arrival_ms=20.0 * k)
    assert abs(track.stats.drift_ppm) < 1


def test_without_arrivals_nothing_is_measured_of_them() -> None:
    track = Track(PCMU)
    for k in range(2000):
        track.push(PAYLOAD, sequence=k, timestamp_ms=20 * k)
    assert (track.stats.jitter_ms, track.stats.drift_ppm) == (0, 0)


@pytest.mark.isa
@given(pcm=st.lists(st.integers(-32768, 32767) | st.sampled_from([-32768, 32767]), min_size=1, max_size=1300))
def test_energy_and_clipping_are_exact(pcm: list[int]) -> None:
    track = Track(MediaFormat("L16", 8000))
    track.push(struct.pack(f"<{len(pcm)}h", *pcm), timestamp_ms=0)
    stats = track.stats
    energy = sum(value * value for value in pcm)
    assert stats.level_dbfs == (10 * log10(energy / len(pcm) / (32768**2 / 2)) if energy else -inf)
    assert stats.clipped_samples == sum(abs(value) >= 32767 for value in pcm)


@pytest.mark.parametrize(("codec", "encode"), [("PCMU", ulaw_encode), ("PCMA", alaw_encode), ("L16", bytes)])
@pytest.mark.parametrize("level_dbfs", [-3.0, -20.0, -45.0])
def test_level_of_a_tone(codec: str, encode: object, level_dbfs: float) -> None:
    track = Track(MediaFormat(codec, 8000))
    payload = encode(tone(2, 440, 8000, level_dbfs))  # type: ignore[operator]
    track.push(payload, timestamp_ms=0)
    assert track.stats.level_dbfs == pytest.approx(level_dbfs, abs=0.2)
    assert (track.stats.clipped_samples, track.stats.media_ms) == (0, 2000)


def test_level_and_clipping_of_channels_and_opus() -> None:
    track = Track(MediaFormat("L16", 8000, 2))
    track.push(
        (32767).to_bytes(2, "little") * 100 + (-32768).to_bytes(2, "little", signed=True) * 60, timestamp_ms=0
    )
    assert (track.stats.clipped_samples, track.stats.media_ms) == (160, 10)
    assert track.stats.level_dbfs == pytest.approx(3.01, abs=0.01)
    assert Track(PCMU).stats.level_dbfs == -inf
    clipped = Track(PCMU)
    clipped.push(bytes([0x00, 0x80, 0x01, 0x81]), timestamp_ms=0)
    assert clipped.stats.clipped_samples == 2


@pytest.mark.usefixtures("libopus")
def test_level_of_opus() -> None:
    track, encoder = Track(MediaFormat("OPUS", 16_000)), opus.Encoder(16_000, bitrate=64_000)
    pcm = tone(2, 440, 16_000, -20)
    for k in range(100):
        track.push(encoder.encode(pcm[640 * k :][:640]), timestamp_ms=20 * k, sequence=k)
    assert track.stats.level_dbfs == pytest.approx(-20, abs=0.5)
