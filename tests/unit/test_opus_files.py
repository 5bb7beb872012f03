"""OpusWriter and OpusReader: as long as what was written, to the sample; what other decoders make of it."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trunkline import opus
from trunkline.errors import FormatError
from trunkline.testing import conversation, speech_like


def written(pcm: bytes, rate: int, channels: int = 1, *, piece: int = 1000) -> bytes:
    file = io.BytesIO()
    with opus.OpusWriter(file, sample_rate=rate, channels=channels) as writer:
        for at in range(0, len(pcm), 2 * channels * piece):
            writer.write(pcm[at : at + 2 * channels * piece])
    return file.getvalue()


def stereo(seconds: float, rate: int) -> bytes:
    sides = [np.frombuffer(side, np.int16) for side in conversation(seconds, rate)]
    return np.stack(sides, axis=1).tobytes()


def snr_db(wanted: np.ndarray, got: np.ndarray) -> float:
    noise = wanted.astype(float) - got
    return float(10 * np.log10(np.sum(wanted.astype(float) ** 2) / max(np.sum(noise**2), 1e-9)))


@pytest.mark.parametrize("rate", [8000, 12000, 16000, 24000, 48000])
@pytest.mark.parametrize("n_samples", [0, 1, 159, 960, 4801])
def test_it_lasts_as_long_as_what_was_written(rate: int, n_samples: int) -> None:
    file = written(bytes(2 * n_samples), rate)
    with opus.OpusReader(io.BytesIO(file)) as reader:
        assert (reader.sample_rate, reader.n_samples) == (rate, n_samples)
        assert len(reader.read()) == 2 * n_samples


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (48000, 1)])
def test_it_is_what_others_decode(tmp_path: Path, rate: int, channels: int) -> None:
    pcm = stereo(3, rate) if channels == 2 else speech_like(3, rate, seed=3)
    path = tmp_path / "call.opus"
    path.write_bytes(written(pcm, rate, channels))
    said = np.frombuffer(pcm, np.int16).reshape(-1, channels)
    with opus.OpusReader(path) as reader:
        heard = np.frombuffer(reader.read(), np.int16).reshape(-1, channels)
    assert heard.shape == said.shape
    theirs, their_rate = soundfile.read(path, dtype="int16", always_2d=True)
    n_samples = min(len(heard), len(theirs))
    assert their_rate == rate
    assert abs(len(heard) - len(theirs)) <= 120  # libsndfile does not trim to the sample
    assert snr_db(theirs[:n_samples], heard[:n_samples]) > 60
    most = rate // 1000  # the codec's own filters move it by up to 1 ms
    inner = slice(2 * most, -2 * most)
    likeness = [
        snr_db(said[inner], np.roll(heard, lag, axis=0)[inner]) for lag in range(-2 * most, 2 * most + 1)
    ]
    assert abs(int(np.argmax(likeness)) - 2 * most) <= most


def test_it_reads_what_ffmpeg_encodes(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    wave, path, back = (tmp_path / name for name in ("a.wav", "a.opus", "b.wav"))
    soundfile.write(wave, np.frombuffer(speech_like(2.5, 48000, seed=1), np.int16), 48000)
    for source, target in ((wave, path), (path, back)):
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, target], check=True)
    theirs = soundfile.read(back, dtype="int16")[0]
    with opus.OpusReader(path) as reader:
        ours = np.frombuffer(reader.read(), np.int16)
    # ffmpeg says of its packets' end what RFC 7845 4.4 calls end trimming, and does not itself heed it.
    assert len(ours) == 2.5 * 48000
    assert np.max(np.abs(theirs[: len(ours)].astype(int) - ours)) <= 1


def test_pieces_make_no_difference() -> None:
    pcm = speech_like(1, 16000, seed=2)
    file = written(pcm, 16000, piece=16000)

    def packets_of(data: bytes) -> list[bytes]:
        return [packet.packet for packet in opus.OggReader(io.BytesIO(data))]

    assert packets_of(written(pcm, 16000, piece=7)) == packets_of(file)
    whole = opus.OpusReader(io.BytesIO(file)).read()
    reader = opus.OpusReader(io.BytesIO(file))
    assert b"".join(iter(lambda: reader.read(77), b"")) == whole
    floats = np.frombuffer(opus.OpusReader(io.BytesIO(file)).read_float(), np.float32)
    assert np.max(np.abs(floats * 32768 - np.frombuffer(whole, np.int16))) <= 1


def test_a_lost_packet_is_concealed_in_its_place() -> None:
    file = io.BytesIO()
    packets = [packet.packet for packet in opus.OggReader(io.BytesIO(written(speech_like(1, 16000), 16000)))]
    with opus.OggWriter(file, sample_rate=16000) as writer:
        for packet in packets[:20] + packets[23:]:
            writer.write(packet, lost_samples=3 * 960 if packet is packets[23] else 0)
    with opus.OpusReader(io.BytesIO(file.getvalue())) as reader:
        assert len(reader.read()) // 2 == len(packets) * 320 - 104  # all but the pre-skip


@pytest.mark.parametrize(("rate", "channels"), [(11025, 1), (44100, 1), (8000, 3), (8000, 0)])
def test_what_opus_does_not_take_is_refused_before_there_is_a_file(
    tmp_path: Path, rate: int, channels: int
) -> None:
    path = tmp_path / "call.opus"
    with pytest.raises(FormatError, match="Opus takes"):
        opus.OpusWriter(path, sample_rate=rate, channels=channels)
    assert not path.exists()


def test_a_full_disk_is_one_error() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        opus.OpusWriter(full, sample_rate=8000)


def test_a_page_that_is_lost_is_concealed_in_its_place() -> None:
    file = written(speech_like(4.123), 8000)
    pages = [b"OggS" + page for page in file.split(b"OggS")[1:]]
    assert len(pages) >= 6
    with opus.OpusReader(io.BytesIO(file)) as reader:
        whole = np.frombuffer(reader.read(), np.int16)
    for lost in range(3, len(pages)):
        damage: list[str] = []
        remaining = io.BytesIO(b"".join(page for k, page in enumerate(pages) if k != lost))
        with opus.OpusReader(remaining, on_damage=damage.append) as reader:
            heard = np.frombuffer(reader.read(), np.int16)
        if lost < len(pages) - 1:
            assert (len(heard), damage) == (len(whole), [])
            assert lost > 3 or snr_db(whole[-8000:], heard[-8000:]) > 20
        else:
            assert len(heard) < len(whole)
            assert damage == ["cut short: no page says that the stream ends"]
