"""Sources of each kind: what they give in all is what went in, however it is read."""

import asyncio
import math
import random
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from trunkline import g711, resample, rtp, wav
from trunkline.errors import FormatError
from trunkline.stream import CaptureWriter, StreamSender
from trunkline.switch import (
    CaptureSource,
    FileSource,
    PcmSource,
    RtpSource,
    SilenceSource,
    Source,
    SpeechSource,
    ToneSource,
)
from trunkline.switch.sources import at_rate
from trunkline.testing import conversation, speech_like, tone
from trunkline.testing.virtual_time import run_in_virtual_time

PCM = speech_like(1.01)
SIDES = conversation(2.5)


def read_all(source: Source, seed: int = 0) -> bytes:
    """Read to the end, in pieces of any size; then it stays ended, and is closed twice."""
    rng = random.Random(seed)
    pcm = b""
    while True:
        n_samples = rng.choice((1, 7, 160, 161, 960))
        piece = source.read(n_samples)
        pcm += piece
        if len(piece) < 2 * n_samples:
            break
    assert source.read(160) == b""
    source.close()
    source.close()
    return pcm


def test_samples_in_memory_once_and_round_and_round() -> None:
    assert read_all(PcmSource(PCM)) == PCM
    assert read_all(PcmSource(b"")) == b""
    assert read_all(PcmSource(PCM[:14], seconds=0.1)) == (PCM[:14] * 200)[:1600]
    forever = PcmSource(PCM[:14], seconds=math.inf)
    assert b"".join(forever.read(160) for _ in range(99)) == (PCM[:14] * 9999)[: 99 * 320]
    for pcm, seconds in ((b"\0", None), (b"", 1.0), (PCM, -1.0), (PCM, math.nan)):
        with pytest.raises(FormatError):
            PcmSource(pcm, seconds=seconds)


def test_generators() -> None:
    assert read_all(ToneSource(440, 16_000, seconds=2.5)) == tone(2.5, 440, 16_000)
    assert read_all(SilenceSource(8000, seconds=1.5)) == bytes(24_000)
    assert read_all(SpeechSource(8000, seed=3, seconds=12.0)) == (speech_like(10.0, 8000, 3) * 2)[:192_000]
    for frequency_hz in (0, 4000, 440.5):
        with pytest.raises(FormatError, match="half"):
            ToneSource(frequency_hz, 8000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rate", "call_rate"), [(16_000, 8000), (8000, 48_000), (44_100, 8000), (8000, 11_050)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_another_rate_is_the_whole_signal_resampled(rate: int, call_rate: int, seed: int) -> None:
    pcm = speech_like(1.0, rate)
    got = read_all(at_rate(PcmSource(pcm, rate), call_rate), seed)
    expected = resample.resample(pcm, rate, call_rate)
    assert abs(len(got) - len(expected)) <= 2
    assert got[: len(expected)] == expected[: len(got)]
    assert isinstance(at_rate(PcmSource(pcm, rate), rate), PcmSource)


def test_wav_files_of_one_channel_or_one_of_several(tmp_path: Path) -> None:
    mono, stereo = tmp_path / "mono.wav", tmp_path / "stereo.wav"
    wav.write(mono, PCM, 8000)
    wav.write(stereo, np.stack([np.frombuffer(side, np.int16) for side in SIDES], axis=1), 8000, channels=2)
    assert read_all(FileSource(mono)) == PCM
    for channel, side in enumerate(SIDES):
        assert read_all(FileSource(stereo, channel=channel)) == side
    for path, channel in ((mono, 1), (stereo, 2), (stereo, -1)):
        with pytest.raises(FormatError, match=f"channel {channel}"):
            FileSource(path, channel=channel)


def test_other_files_are_soundfiles(tmp_path: Path) -> None:
    path, noise = tmp_path / "call.flac", tmp_path / "noise.mp3"
    soundfile.write(path, np.stack([np.frombuffer(side, np.int16) for side in SIDES], axis=1), 16_000)
    source = FileSource(path, channel=1)
    assert (source.sample_rate, read_all(source)) == (16_000, SIDES[1])
    noise.write_bytes(b"RIFFnoise, and nothing that anybody reads")
    with pytest.raises(FormatError, match=r"noise\.mp3"):
        FileSource(noise)
    with pytest.raises(FileNotFoundError):
        FileSource(tmp_path / "nowhere.ogg")


def write_capture(path: Path, messages: list[bytes]) -> None:
    with CaptureWriter(path) as capture:
        for k, message in enumerate(messages):
            capture.write(message, 20.0 * k)


def test_captures_give_each_track(tmp_path: Path) -> None:
    sender = StreamSender("PCMA", tracks=("inbound", "outbound"))
    messages = sender.start()
    for at in range(0, len(SIDES[0]), 320):
        for track, side in zip(sender.tracks, SIDES, strict=True):
            messages += sender.media(side[at : at + 320], track)
    messages.insert(40, b"no JSON")
    write_capture(tmp_path / "call.jsonl", messages + sender.stop())
    for track, side in zip(sender.tracks, SIDES, strict=True):
        source = CaptureSource(tmp_path / "call.jsonl", track=track)
        assert source.sample_rate == 8000
        assert read_all(source) == g711.alaw_decode(g711.alaw_encode(side))
        assert source.left_out == 1


def test_a_long_gap_of_a_capture_is_silence_and_a_cut_one_ends(tmp_path: Path) -> None:
    sender = StreamSender("PCMU")
    messages = sender.start() + sender.media(PCM[:16_000])
    far = [message.replace(b'"timestamp":"980"', b'"timestamp":"60980"') for message in messages]
    write_capture(tmp_path / "gap.jsonl", far)
    pcm = g711.ulaw_decode(g711.ulaw_encode(PCM[:16_000]))
    assert read_all(CaptureSource(tmp_path / "gap.jsonl")) == pcm[:-320] + bytes(960_000) + pcm[-320:]


def test_what_is_no_capture_of_such_a_track_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    write_capture(path, StreamSender("PCMU").start())
    with pytest.raises(FormatError, match="outbound"):
        CaptureSource(path, track="outbound")
    path.unlink()
    write_capture(path, [b'{"event":"connected"}'])
    with pytest.raises(FormatError, match="no stream starts"):
        CaptureSource(path)
    path.write_text("{}\n")
    with pytest.raises(FormatError, match="no capture"):
        CaptureSource(path)


class Speaker:
    """Sends PCM to an RTP port, 20 ms a packet, at the times that the virtual clock says."""

    def __init__(self, source: RtpSource) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", int(source.url.rsplit(":", 1)[1])))
        self._sequence = 65_530

    async def say(self, pcm: bytes, interval_ms: float = 20.0, lost: int | None = None) -> None:
        for k, at in enumerate(range(0, len(pcm), 320)):
            packet = rtp.build(
                g711.ulaw_encode(pcm[at : at + 320]),
                payload_type=0,
                sequence=self._sequence & 0xFFFF,
                timestamp=self._sequence * 160 & 0xFFFFFFFF,
                ssrc=7,
            )
            self._sequence += 1
            if k != lost:
                self._socket.send(packet)
            await asyncio.sleep(interval_ms / 1000)

    def close(self) -> None:
        self._socket.close()


async def listen(source: RtpSource, heard: bytearray) -> None:
    """Read as a call does, every 20 ms."""
    loop = asyncio.get_running_loop()
    began_s, k = loop.time() + 0.007, 0
    while True:
        await asyncio.sleep(began_s + 0.02 * k - loop.time())
        heard += source.read(160)
        k += 1


async def spoken(pcm: bytes, **how: Any) -> tuple[bytes, RtpSource]:
    """What a call hears of one speaker."""
    source = await RtpSource.open()
    heard = bytearray()
    listening = asyncio.create_task(listen(source, heard))
    speaker = Speaker(source)
    await speaker.say(pcm, **how)
    await asyncio.sleep(0.2)
    listening.cancel()
    speaker.close()
    for _ in range(2):
        source.close()
    await asyncio.sleep(0)
    return bytes(heard), source


LONG = speech_like(20.0)
LONG_ULAW = g711.ulaw_decode(g711.ulaw_encode(LONG))


def test_rtp_is_heard_as_it_was_said_a_little_later() -> None:
    heard, source = run_in_virtual_time(spoken(LONG))
    # Until the source was known its packets were held: in the first seconds that is made up for, in pauses.
    settled = LONG_ULAW[5 * 16_000 :]
    late_ms = heard.index(settled) / 16 - 5000
    assert 0 <= late_ms < 45  # than the clock's first tick
    stats = source.stats
    assert (stats.packets_played, stats.packets_lost, stats.packets_discarded) == (1000, 0, 0)
    assert stats.removed_samples_for_acceleration < 600
    assert not any(heard[:320])


@pytest.mark.parametrize("interval_ms", [19.95, 20.05])
def test_rtp_of_a_clock_that_drifts_is_stretched_and_never_lost(interval_ms: float) -> None:
    _, source = run_in_virtual_time(spoken(LONG, interval_ms=interval_ms))
    stats = source.stats
    assert (stats.packets_played, stats.packets_discarded) == (1000, 0)
    assert stats.concealed_samples < 100
    assert stats.jitter_buffer_delay / stats.jitter_buffer_emitted_count < 0.045


def test_rtp_that_is_lost_is_concealed() -> None:
    samples = np.frombuffer(LONG, np.int16).reshape(-1, 160).astype(float)
    lost = 300 + int(np.argmax((samples[300:600] ** 2).sum(axis=1)))  # where it is loudest
    heard, source = run_in_virtual_time(spoken(LONG, lost=lost))
    stats = source.stats
    assert (stats.packets_lost, stats.concealment_events) == (1, 1)
    before = LONG_ULAW[(lost - 20) * 320 : lost * 320]
    at = heard.index(before) + len(before)
    assert heard.index(LONG_ULAW[(lost + 2) * 320 :]) == at + 640
    made_up = np.frombuffer(heard[at : at + 320], np.int16).astype(float)
    assert (made_up**2).sum() > (samples[lost] ** 2).sum() / 4


def test_another_rtp_source_has_its_turn_when_the_first_was_silent_for_5_s() -> None:
    async def main() -> None:
        source = await RtpSource.open()
        heard = bytearray()
        listening = asyncio.create_task(listen(source, heard))
        first, second = Speaker(source), Speaker(source)
        await first.say(LONG[:32_000])
        await asyncio.sleep(1)
        await second.say(LONG[:3200])
        assert source.rtp_stats.strangers == 10
        assert source.stats.packets_received == 100
        await asyncio.sleep(5)
        del heard[:]
        await asyncio.sleep(0.1)
        assert not any(heard)
        await second.say(LONG[:32_000])
        assert source.rtp_stats.strangers == 10
        assert source.stats.packets_received == 100
        assert any(heard)
        listening.cancel()
        for closed in (first, second, source):
            closed.close()
        await asyncio.sleep(0)

    run_in_virtual_time(main())


def test_an_rtp_port_that_is_taken_and_a_codec_that_is_not_decoded() -> None:
    async def main() -> None:
        source = await RtpSource.open(codec="L16@16000h")
        assert source.sample_rate == 16_000
        with pytest.raises(OSError, match="cannot listen on 127"):
            await RtpSource.open(port=int(source.url.rsplit(":", 1)[1]))
        source.close()
        for wrong in ({"codec": "G722"}, {"payload_type": 128}):
            with pytest.raises(FormatError):
                await RtpSource.open(**wrong)
        await asyncio.sleep(0)

    run_in_virtual_time(main())
