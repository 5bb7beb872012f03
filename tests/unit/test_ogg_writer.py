"""Writing Ogg Opus: pages by the RFCs, gaps, peers that play it, full disks, killed processes."""

import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import ogg as reference
from tests.reference.ogg import BEGINS, CONTINUES, ENDS, FRAME, written
from tests.reference.opus import PlainDecoder, packets
from trunkline import opus
from trunkline.errors import FormatError, PayloadError
from trunkline.opus.ogg_page import write_page

RATE = 48_000
# Samples at 48 kHz of a frame of each configuration (RFC 6716 3.1).
SAMPLES = [480, 960, 1920, 2880] * 3 + [480, 960] * 2 + [120, 240, 480, 960] * 4


def samples(packet: bytes) -> int:
    return opus.packet_info(packet).samples(RATE)


def read(file: bytes) -> list[bytes]:
    return [packet.packet for packet in opus.OggReader(io.BytesIO(file))]


def peer(*command: str | Path) -> "subprocess.CompletedProcess[bytes]":
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, check=True, capture_output=True)


@given(st.binary(max_size=600), st.binary(max_size=255))
def test_pages_and_their_checksum_equal_the_slow_ones(data: bytes, segments: bytes) -> None:
    assert write_page(3, -1, 7, 9, segments, data) == reference.raw_page(segments, data, -1, 9, 3, 7)


def test_headers_and_pages() -> None:
    file = written(
        [FRAME] * 120, channels=2, sample_rate=16000, pre_skip=7, gain_db=-1.5, tags={"A": "é=1"}, vendor="me"
    )
    head, tags, *audio = reference.take_apart(file)
    assert len({page.serial for page in (head, tags, *audio)}) == 1
    assert (head.flags, head.granule, head.sequence) == (BEGINS, 0, 0)
    assert head.data == reference.head(2, 7, gain=-384)
    assert (tags.flags, tags.granule, tags.data) == (0, 0, reference.tags(b"me", "A=é=1".encode()))
    assert [page.flags for page in audio] == [0] * (len(audio) - 1) + [ENDS]
    assert [page.granule for page in audio] == list(
        itertools.accumulate(960 * len(page.segments) for page in audio)
    )
    assert b"".join(page.data for page in audio) == FRAME * 120
    assert max(len(page.segments) for page in audio) * 20 <= 1000


@pytest.mark.parametrize("n_bytes", [1, 254, 255, 256, 65_024, 65_025, 65_026, 130_050, 140_000])
def test_packets_of_any_length(n_bytes: int) -> None:
    large = opus.pad(FRAME, n_bytes) if n_bytes > len(FRAME) else FRAME[:n_bytes]
    file = written([FRAME, large, FRAME])
    pages = reference.take_apart(file)[2:]
    assert read(file) == [FRAME, large, FRAME]
    for before, after in pairwise(pages):
        assert bool(after.flags & CONTINUES) == (before.segments[-1] == 255)
    for page in pages:
        assert (page.granule == -1) == all(n == 255 for n in page.segments)
    assert pages[-1].granule == 3 * 960
    assert (pages[-1].flags & ENDS, soundfile.info(io.BytesIO(file)).frames) == (ENDS, 3 * 960 - 312)


def test_large_tags_span_pages() -> None:
    tags = {"A": "x" * 70_000, "B": ""}
    file = written([FRAME], tags=tags)
    assert len(reference.take_apart(file)) == 4
    assert soundfile.info(io.BytesIO(file)).frames == 648
    assert opus.OggReader(io.BytesIO(file)).tags == tags


@pytest.mark.parametrize("config", range(32))
@pytest.mark.parametrize("stereo", [0, 4])
def test_a_gap_is_concealed_like_the_packet_before_it(config: int, stereo: int) -> None:
    before = bytes([config << 3 | stereo]) + b"ab"
    after = bytes([(config + 9) % 32 << 3]) + b"cd"
    bandwidth = opus.packet_info(before).bandwidth
    for gap in range(0, 6_000, 130):
        file = io.BytesIO()
        with opus.OggWriter(file) as writer:
            writer.write(before)
            writer.write(after, lost_samples=gap)
        first, *concealed, last = read(file.getvalue())
        assert (first, last) == (before, after)
        assert all(len(packet) == 1 and packet[0] & 7 == stereo for packet in concealed)
        assert sum(samples(packet) for packet in concealed) == gap // 120 * 120
        configs = [packet[0] >> 3 for packet in concealed]
        n_own = gap // SAMPLES[config]
        assert configs[:n_own] == [config] * n_own
        lengths = [SAMPLES[c] for c in configs]
        assert lengths == sorted(lengths, reverse=True)
        for c, packet in zip(configs, concealed, strict=True):
            info = opus.packet_info(packet)
            is_celt = c >= 16 > config
            assert is_celt == (SAMPLES[c] < 480 and config < 16)
            assert info.bandwidth == ("wideband" if is_celt and bandwidth == "mediumband" else bandwidth)


def test_gap_of_95_ms() -> None:
    """The example of RFC 7845 4.1: four frames of 20 ms, one of 10, one of 5 in CELT."""
    file = io.BytesIO()
    with opus.OggWriter(file, pre_skip=0) as writer:
        writer.write(b"\x48ab")
        writer.write(b"\x48cd", lost_samples=95 * 48)
        assert writer.duration_ms == 135
    concealed = read(file.getvalue())[1:-1]
    assert concealed == [b"\x48"] * 4 + [b"\x40", b"\xa8"]


def test_a_rest_of_a_gap_is_carried_and_a_gap_may_come_first() -> None:
    file = io.BytesIO()
    with opus.OggWriter(file, pre_skip=0) as writer:
        writer.write(FRAME, lost_samples=960)
        writer.write(FRAME, lost_samples=100)
        writer.write(FRAME, lost_samples=19)
        writer.write(FRAME, lost_samples=1)
    assert read(file.getvalue()) == [FRAME[:1], FRAME, FRAME, FRAME, b"\x80", FRAME]


@st.composite
def any_packet(draw: st.DrawFn) -> bytes:
    toc = draw(st.integers(0, 255)) & 0xFC
    frames = [draw(st.binary(max_size=300)) for _ in range(draw(st.integers(1, 2)))]
    return opus.join([bytes([toc]) + frame for frame in frames])


@given(
    st.lists(st.tuples(any_packet(), st.one_of(st.just(0), st.integers(0, 10_000))), min_size=1),
    st.integers(0, 65535),
    st.data(),
)
def test_what_is_written_is_read(calls: list[tuple[bytes, int]], pre_skip: int, data: st.DataObject) -> None:
    trim = data.draw(st.integers(0, samples(calls[-1][0])))
    file = io.BytesIO()
    writer = opus.OggWriter(file, pre_skip=pre_skip)
    wanted, position = [], 0
    rest = 0
    for packet, lost in calls:
        writer.write(packet, lost_samples=lost)
        rest += lost
        position += rest // 120 * 120
        rest %= 120
        wanted.append((packet, position))
        position += samples(packet)
    writer.close(trim_samples=trim)
    file.seek(0)
    reader = opus.OggReader(file)
    found = list(reader)
    assert set(wanted) <= {(packet.packet, packet.position) for packet in found}
    assert all(len(p.packet) == 1 or (p.packet, p.position) in wanted for p in found)
    assert not any(packet.lost_samples for packet in found)
    for packet, after in pairwise(found):
        assert packet.position + samples(packet.packet) == after.position
    assert (reader.position, reader.damaged, reader.skipped_bytes) == (position, 0, 0)
    assert writer.duration_ms == reader.duration_ms == max(0, position - trim - pre_skip) / 48


@pytest.mark.parametrize(
    ("rate", "channels", "ms"), [(16000, 1, 20), (48000, 2, 20), (8000, 1, 60), (48000, 1, 2.5)]
)
@pytest.mark.parametrize("lossy", [False, True])
def test_peers_hear_what_the_packets_say(
    libopus: opus.LibraryInfo, tmp_path: Path, rate: int, channels: int, ms: float, lossy: bool
) -> None:
    path, trim = tmp_path / "call.opus", 48
    lost = 7_000 // 120 * 120 if lossy else 0
    writer = opus.OggWriter(path, channels=channels, sample_rate=rate)
    for i, packet in enumerate(packets(1.0, rate, channels, ms)):
        writer.write(packet, lost_samples=lost if i == 20 else 0)
    writer.close(trim_samples=trim)
    with opus.OggReader(path) as reader:
        found = list(reader)
    n_samples = found[-1].position + samples(found[-1].packet) - 312 - trim
    assert writer.duration_ms == n_samples / 48

    def plain(sample_rate: int) -> np.ndarray:
        decoder = PlainDecoder(sample_rate, channels)
        pcm = b"".join(decoder.decode(p.packet, samples(p.packet) * sample_rate // RATE) for p in found)
        step = RATE // sample_rate
        return np.frombuffer(pcm, np.int16).reshape(-1, channels)[312 // step :][: n_samples // step]

    heard, at_rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert at_rate == rate
    if lossy:  # another libopus may conceal another way
        assert heard.shape == plain(rate).shape
    else:
        np.testing.assert_array_equal(np.rint(heard * 32768), plain(rate))

    probe = peer("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path)
    assert float(probe.stdout) == pytest.approx((n_samples + 312) / RATE, abs=0.001)  # with the pre-skip
    for decoder in ("libopus", "opus"):
        command = ["ffmpeg", "-v", "warning", "-c:a", decoder, "-i", path, "-f", "s16le", "-"]
        run = peer(*command)
        pcm = np.frombuffer(run.stdout, np.int16).reshape(-1, channels)
        assert (run.stderr, len(pcm)) == (b"", n_samples)
        if decoder == "libopus" and not lossy:
            np.testing.assert_array_equal(pcm, plain(RATE))


@pytest.mark.parametrize("lost", [0, 960 * 3 + 360])
def test_opusinfo_has_no_complaint(tmp_path: Path, libopus: opus.LibraryInfo, lost: int) -> None:
    path = tmp_path / "call.opus"
    with opus.OggWriter(path, tags={"TITLE": "call 7"}) as writer:
        for i, packet in enumerate(packets(2.0)):
            writer.write(packet, lost_samples=lost if i == 20 else 0)
    report = peer("opusinfo", path).stdout.decode()
    assert "WARNING" not in report
    assert "TITLE=call 7" in report
    minutes, seconds = report.split("Playback length: ")[1].split("s\n")[0].split("m:")
    assert int(minutes) * 60 + float(seconds) == pytest.approx(writer.duration_ms / 1000, abs=0.0011)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0}, "0 channels"),
        ({"channels": 3}, "3 channels"),
        ({"pre_skip": -1}, "pre_skip: takes 0 to 65535"),
        ({"pre_skip": 65536}, "got 65536"),
        ({"sample_rate": -1}, "sample_rate"),
        ({"sample_rate": 1 << 32}, "sample_rate"),
        ({"gain_db": 128.0}, "gain_db"),
        ({"gain_db": float("nan")}, "gain_db"),
        ({"tags": {"": "x"}}, "tag ''"),
        ({"tags": {"A=B": "x"}}, "tag 'A=B'"),
        ({"tags": {"é": "x"}}, "tag 'é'"),
    ],
)
def test_what_no_header_can_hold(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        opus.OggWriter(tmp_path / "call.opus", **settings)
    assert not list(tmp_path.iterdir())


def test_a_refused_packet_leaves_no_trace() -> None:
    file = io.BytesIO()
    with opus.OggWriter(file) as writer:
        writer.write(FRAME)
        for packet in (b"", b"\x0b", b"\x09odd", opus.pad(FRAME, (1 << 20) + 1)):
            with pytest.raises(PayloadError):
                writer.write(packet, lost_samples=960)
        for lost in (-1, 3600 * RATE + 1):
            with pytest.raises(ValueError, match="lost_samples: takes 0 to"):
                writer.write(FRAME, lost_samples=lost)
        with pytest.raises(TypeError):
            writer.write(FRAME, lost_samples=960.0)
        with pytest.raises(TypeError):
            writer.close(trim_samples=12.0)
        for trim in (-1, 961):
            with pytest.raises(ValueError, match="trim_samples: takes 0 to 960"):
                writer.close(trim_samples=trim)
        writer.write(memoryview(FRAME))
    writer.close()
    assert read(file.getvalue()) == [FRAME, FRAME]
    with pytest.raises(ValueError, match="closed"):
        writer.write(FRAME)


@pytest.mark.parametrize("setting", ["channels", "pre_skip", "sample_rate"])
def test_numbers_are_whole(setting: str) -> None:
    with pytest.raises(TypeError):
        opus.OggWriter(io.BytesIO(), **{setting: 1.0})


@pytest.mark.parametrize("file", [None, 3, b"x.opus"])
def test_what_is_no_file_is_refused(file: object) -> None:
    with pytest.raises(TypeError, match="file: takes a path or a binary file, got"):
        opus.OggWriter(file)


def test_an_empty_recording_has_headers_and_an_end() -> None:
    file = written([])
    assert reference.take_apart(file)[-1][:2] == (ENDS, 0)
    reader = opus.OggReader(io.BytesIO(file))
    assert (list(reader), reader.duration_ms) == ([], 0)


def test_a_file_is_written_from_where_it_stands_past_its_buffer(tmp_path: Path) -> None:
    path = tmp_path / "call.opus"
    with open(path, "wb") as file:
        file.write(b"before")
        writer = opus.OggWriter(file)
        for _ in range(26):
            writer.write(FRAME)
        assert read(path.read_bytes()[6:]) == [FRAME] * 25
        writer.close()
        assert not file.closed
        assert read(path.read_bytes()[6:]) == [FRAME] * 26


class Limited(io.BytesIO):
    """A disk that takes `room` bytes, and no write of more than 100 at once; `left_behind`: after each."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.left_behind: list[bytes] = []

    def write(self, data: bytes) -> int:  # type: ignore[override]
        n_bytes = min(len(data), 100, self.room - self.tell())
        if n_bytes <= 0 < len(data):
            raise OSError(28, "No space left on device")
        super().write(bytes(data[:n_bytes]))
        self.left_behind.append(self.getvalue())
        return n_bytes


PACKETS = [FRAME + bytes([i]) for i in range(120)]


@pytest.mark.parametrize("room", range(0, 900, 37))
def test_full_disk_at_any_byte(room: int) -> None:
    disk = Limited(room)
    taken: list[bytes] = []
    with pytest.raises(OSError, match="No space left"):
        record(disk, taken)
    if room >= 100:  # else not even the headers
        found = read(disk.getvalue())
        assert found == PACKETS[: len(found)]
        assert len(found) > len(taken) - 50


def record(file: io.BytesIO, taken: list[bytes]) -> None:
    """Write PACKETS, and give those that were taken."""
    with opus.OggWriter(file) as writer:
        for packet in PACKETS:
            writer.write(packet)
            taken.append(packet)


def test_a_failed_writer_says_so_and_closes_in_silence() -> None:
    writer = opus.OggWriter(Limited(120))
    for _ in range(25):
        writer.write(FRAME)
    with pytest.raises(OSError, match="No space left"):
        writer.write(FRAME)
    with pytest.raises(ValueError, match="failed"):
        writer.write(FRAME)
    writer.close()


def test_a_failed_writer_has_the_duration_of_the_file() -> None:
    disk = Limited(700)
    writer = opus.OggWriter(disk)
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012
        while True:
            writer.write(PACKETS[0])
    writer.close()
    assert writer.duration_ms == opus.OggReader(io.BytesIO(disk.getvalue())).duration_ms == 1493.5


def test_every_moment_of_a_recording_opens() -> None:
    disk = Limited(1 << 20)
    with opus.OggWriter(disk, pre_skip=0) as writer:
        for packet in PACKETS:
            writer.write(packet)
    n_before = 0
    for left_behind in disk.left_behind[2:]:
        found = read(left_behind)
        assert found == PACKETS[: len(found)]
        if found:
            assert soundfile.info(io.BytesIO(left_behind)).frames == 960 * len(found)
        assert len(found) >= n_before
        n_before = len(found)
    assert n_before == 120


def test_devices_and_paths_that_take_nothing(tmp_path: Path) -> None:
    open_before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="No space left"):
        opus.OggWriter("/dev/full")
    with pytest.raises(IsADirectoryError):
        opus.OggWriter(tmp_path)
    with pytest.raises(FileNotFoundError):
        opus.OggWriter(tmp_path / "missing" / "call.opus")
    assert os.listdir("/proc/self/fd") == open_before


def test_pipes() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as pipe, opus.OggWriter(pipe) as writer:
        writer.write(FRAME)
        writer.close()
        os.set_blocking(write_end, False)
        with pytest.raises(BlockingIOError):
            written_to(pipe)
        os.close(read_end)
        with pytest.raises(BrokenPipeError):
            opus.OggWriter(pipe)


def written_to(pipe: object) -> None:
    with opus.OggWriter(pipe) as writer:
        while True:
            writer.write(opus.pad(FRAME, 60_000))


RECORDER = """
import sys
from trunkline import opus
with opus.OggWriter(sys.argv[1], pre_skip=0) as writer:
    for i in range(1 << 24):
        writer.write(b"\\x08" + i.to_bytes(3))
        print(i + 1, flush=True)
"""


@pytest.mark.parametrize("seed", range(20))
def test_killed_recording_loses_less_than_a_second(tmp_path: Path, seed: int) -> None:
    path, n_announced = tmp_path / "call.opus", Random(seed).randint(30, 300)
    with subprocess.Popen([sys.executable, "-c", RECORDER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        announced = [process.stdout.readline() for _ in range(n_announced)]
        process.send_signal(signal.SIGKILL)
        announced += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    n_written = int([line for line in announced if line.endswith(b"\n")][-1])
    found = read(path.read_bytes())
    assert found == [b"\x08" + i.to_bytes(3) for i in range(len(found))]
    assert len(found) > n_written - 50
    assert soundfile.info(path).frames == 960 * len(found)
