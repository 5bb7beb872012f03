"""Comfort noise packets (RFC 3389): what silence is like, wherever it is filled."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import JitterBuffer, RtpReceiver, opus, rtp
from trunkline._native.plc import Plc
from trunkline.errors import FormatError
from trunkline.formats import MediaFormat
from trunkline.frame import Frame
from trunkline.g711 import ulaw_encode
from trunkline.testing import speech_like
from trunkline.track import Track

SPEECH = ulaw_encode(speech_like(4, 8000))
FULL_SCALE = 32768.0  # rms of 0 dBov


def level_dbov(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, np.int16).astype(float)
    return float(20 * np.log10(max(np.sqrt(np.mean(samples**2)), 1e-9) / FULL_SCALE))


def correlations(samples: npt.NDArray[Any]) -> list[float]:
    """Normalised, of the first lags: what a spectrum is to an all-pole model."""
    x = samples.astype(float)
    return [float((x[:-k] * x[k:]).mean() / (x * x).mean()) for k in (1, 2, 3)]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
@pytest.mark.parametrize("level", [20, 40, 60])
def test_noise_has_the_level_that_was_given(rate_hz: int, level: int) -> None:
    for coefficients in (b"", bytes([48, 163]), bytes([200, 90, 140])):
        plc = Plc(rate_hz)
        plc.set_noise(bytes([level]) + coefficients)
        pcm = plc.noise(rate_hz)[rate_hz // 5 :]
        assert level_dbov(pcm) == pytest.approx(-level, abs=1.5)


def test_noise_has_the_spectrum_that_ffmpegs_encoder_has_measured() -> None:
    av = pytest.importorskip("av", reason="needs PyAV (pip install av)")
    random = np.random.default_rng(1)
    white, sound = random.standard_normal(16000), np.zeros(16000)
    for i in range(2, len(sound)):
        sound[i] = white[i] + 0.9 * sound[i - 1] - 0.3 * sound[i - 2]
    pcm = (sound / sound.std() * 300).astype(np.int16)
    encoder = av.CodecContext.create("comfortnoise", "w")
    encoder.sample_rate, encoder.format, encoder.layout = 8000, "s16", "mono"
    encoder.open()
    frame = av.AudioFrame.from_ndarray(pcm[None, 4000:4640], format="s16", layout="mono")
    frame.sample_rate = 8000
    (packet,) = encoder.encode(frame)
    plc = Plc(8000)
    plc.set_noise(bytes(packet))
    heard = np.frombuffer(plc.noise(64000), np.int16)[2000:]
    assert correlations(heard) == pytest.approx(correlations(pcm[4000:4640]), abs=0.1)
    assert level_dbov(heard.tobytes()) == pytest.approx(level_dbov(pcm[4000:4640].tobytes()), abs=3)


@given(payload=st.binary(max_size=300), channels=st.integers(1, 3))
def test_any_bytes_are_taken_and_the_noise_is_bounded(payload: bytes, channels: int) -> None:
    plc = Plc(8000, channels)
    plc.set_noise(payload)
    noise = plc.noise(4000)
    if payload and payload[0] & 0x7F >= 40:
        assert level_dbov(noise) < -30
    assert len(noise) == 2 * 4000 * channels


def test_it_holds_until_a_second_of_audio_says_otherwise() -> None:
    plc = Plc(8000)
    plc.set_noise(bytes([30]))
    hiss = np.random.default_rng(2).normal(0, 20, 8000).astype(np.int16).tobytes()
    plc.play(hiss[: 2 * 6400])
    assert level_dbov(plc.noise(8000)[2000:]) == pytest.approx(-30, abs=1.5)
    for _ in range(3):
        plc.play(hiss)
    assert level_dbov(plc.noise(8000)[2000:]) == pytest.approx(level_dbov(hiss), abs=3)


# A call: half a second of speech, a second of silence whose level is told twice, speech again.


def packets() -> list[tuple[int, int, bytes, bool]]:
    """Give number, time in ms, payload, whether it is noise."""
    speech = [SPEECH[160 * k :][:160] for k in range(50)]
    sent = [(20 * k, payload, False) for k, payload in enumerate(speech[:25])]
    sent += [(500, b"\x20", True), (1000, b"\x30", True)]
    sent += [(1500 + 20 * k, payload, False) for k, payload in enumerate(speech[25:])]
    return [(number, *packet) for number, packet in enumerate(sent)]


def silence_of(pcm: bytes) -> tuple[float, float]:
    """Levels in the silence: of its first half and of the second."""
    return level_dbov(pcm[2 * 8 * 620 : 2 * 8 * 980]), level_dbov(pcm[2 * 8 * 1120 : 2 * 8 * 1480])


def test_a_track_fills_silence_with_the_noise_of_each_packet() -> None:
    track, items = Track(MediaFormat("PCMU", 8000), rtp_clock_rate=8000, wait_ms=60), []
    for number, ms, payload, noise in packets():
        items += track.push_rtp(payload, sequence=number, timestamp=8 * ms, comfort_noise=noise)
    pcm = b"".join(bytes(item) for item in items if isinstance(item, Frame))
    assert len(pcm) == 2 * 8 * 2000
    assert silence_of(pcm) == (pytest.approx(-32, abs=2), pytest.approx(-48, abs=2))
    stats = track.stats
    assert (stats.lost, stats.concealed_ms, stats.packets) == (0, 0.0, 52)


@pytest.mark.parametrize("profile", ["conversation", "transcribe"])
def test_a_jitter_buffer_fills_silence_with_the_noise_of_each_packet(profile: Any) -> None:
    buffer, pcm = JitterBuffer("PCMU", profile=profile), b""
    sent = packets()
    for tick in range(103):
        now_ms = 20.0 * tick + 5
        while sent and sent[0][1] <= now_ms:
            number, ms, payload, noise = sent.pop(0)
            status = buffer.put(
                payload, sequence=number, timestamp=8 * ms, arrival_ms=float(ms), comfort_noise=noise
            )
            assert status == "stored"
        if profile == "conversation":
            frame = buffer.get(now_ms)
            pcm += bytes(frame)
            assert not frame.concealed or tick > 99
        else:
            while (ready := buffer.get()) is not None:
                pcm += bytes(ready)
    assert silence_of(pcm) == (pytest.approx(-32, abs=2), pytest.approx(-48, abs=2))
    stats = buffer.stats
    assert stats.packets_played == stats.packets_received == 52
    assert (stats.packets_lost, stats.packets_late) == (0, 0)
    assert stats.comfort_noise_samples >= 8 * 980
    if profile == "transcribe":
        assert (stats.concealed_samples, stats.comfort_noise_samples) == (0, 8000)


def test_a_packet_without_audio_keeps_its_place() -> None:
    buffer = JitterBuffer("PCMU")
    for k in range(50):
        kept = k not in (20, 21)
        buffer.put(
            SPEECH[160 * k :][:160] if kept else b"",
            sequence=k,
            timestamp=160 * k if kept else 160 * 20,
            arrival_ms=20.0 * k,
        )
        buffer.get(20.0 * k + 5)
    buffer.get(1005.0)
    buffer.get(1025.0)
    stats = buffer.stats
    assert (stats.packets_lost, stats.packets_played, stats.packets_discarded) == (0, 50, 0)
    assert stats.concealed_samples == 0


def test_rtp_receiver_takes_type_13() -> None:
    receiver, events = RtpReceiver("PCMU"), []
    for number, ms, payload, noise in packets():
        packet = rtp.build(
            payload, payload_type=13 if noise else 0, sequence=number, timestamp=8 * ms, ssrc=1
        )
        events += receiver.receive(packet, arrival_ms=float(ms))
    events += receiver.close()
    pcm = b"".join(bytes(event) for event in events if isinstance(event, Frame))
    assert silence_of(pcm) == (pytest.approx(-32, abs=2), pytest.approx(-48, abs=2))
    assert (receiver.rtp_stats.ignored, receiver.stats["inbound"].lost) == (0, 0)


@pytest.mark.usefixtures("libopus")
@pytest.mark.parametrize("profile", ["conversation", "transcribe"])
def test_opus_has_noise_of_its_own(profile: Any) -> None:
    buffer = JitterBuffer("OPUS", sample_rate=16_000, clock_rate=48_000, profile=profile)
    buffer.put(opus.Encoder(16_000).encode(bytes(640)), sequence=0, timestamp=0, arrival_ms=0.0)
    with pytest.raises(FormatError, match="comfort_noise: OPUS has its own"):
        buffer.put(b"\x20", sequence=1, timestamp=960, arrival_ms=20.0, comfort_noise=True)
