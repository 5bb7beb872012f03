"""kill -9 and full disks while two tracks are recorded: little of either is lost, and what is left opens."""

import inspect
import random
import shutil
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.full_disk import file_size_limit
from trunkline import opus
from trunkline.errors import LocalProtocolError
from trunkline.formats import MediaFormat
from trunkline.stream import Frame, Recorder, Start

RATE = 8000
LOSS_MS = {".wav": 1000, ".opus": 3000}
LAYOUTS = ("stereo", "mixed", "separate")
FILES = [(layout, suffix) for suffix in LOSS_MS for layout in LAYOUTS]
TRACKS = ("inbound", "outbound")
START = Start("s", "c", None, TRACKS, MediaFormat("PCMU", RATE), {}, "signalwire")


def frames(until_ms: int) -> Iterator[Frame]:
    """Both tracks, 20 ms at a time, outbound 600 ms behind; a sample tells where it belongs."""
    for at_ms in range(0, until_ms, 20):
        for track, own_ms, step in (("inbound", at_ms, 1), ("outbound", at_ms - 600, 3)):
            if own_ms >= 0:
                pcm = array("h", [1 + step * i * i % 16_001 for i in range(own_ms * 8, own_ms * 8 + 160)])
                yield Frame(pcm, sample_rate=8000, timestamp_ms=own_ms, track=track)


# Records as fast as it can and says after each frame how much of its track is recorded.
WRITER = f"""
import sys
from array import array
from collections.abc import Iterator
from trunkline.formats import MediaFormat
from trunkline.stream import Frame, Recorder, Start

{inspect.getsource(frames)}
recorder = Recorder(sys.argv[1], layout=sys.argv[2])
recorder.write(Start("s", "c", None, {TRACKS}, MediaFormat("PCMU", {RATE}), {{}}, "signalwire"))
for frame in frames(3_600_000):
    recorder.write(frame)
    print(frame.track, int(frame.timestamp_ms) + 20, flush=True)
"""


def paths(path: Path, layout: str) -> list[Path]:
    if layout != "separate":
        return [path]
    return [path.with_name(f"{path.stem}.{track}{path.suffix}") for track in TRACKS]


def samples_of(path: Path, layout: str) -> list[np.ndarray]:
    """The channels of a recording, of one file or of two."""
    files = [soundfile.read(file, dtype="int16", always_2d=True) for file in paths(path, layout)]
    assert {rate for _, rate in files} == {RATE}
    return [channel for samples, _ in files for channel in samples.T]


def packets_of(path: Path) -> list[bytes]:
    with opus.OggReader(path) as reader:
        packets = [packet.packet for packet in reader]
        assert reader.damaged == 0
    return packets


def assert_recorded(path: Path, layout: str, ends_ms: dict[str, int], lost_ms: int) -> None:
    """Check a WAV against what each sample says, up to `lost_ms` before where each track ended."""
    ends = [max(0, ends_ms[track] - lost_ms) * RATE // 1000 for track in TRACKS]
    wanted = [1 + step * np.arange(end) ** 2 % 16_001 for end, step in zip(ends, (1, 3), strict=True)]
    if layout == "mixed":
        wanted = [wanted[0][: min(ends)] + wanted[1][: min(ends)]]
    channels = samples_of(path, layout)
    assert len(channels) == len(wanted)
    for channel, samples in zip(channels, wanted, strict=True):
        assert np.array_equal(channel[: len(samples)], samples)


def assert_encoded(path: Path, layout: str, whole: Path, lost_ms: int, end_ms: int) -> None:
    """Check Opus against an encoder that nobody has killed: the same packets, as far as they go."""
    with Recorder(whole, layout=layout) as recorder:
        recorder.write(START)
        for frame in frames(end_ms):
            recorder.write(frame)
    for cut, full in zip(paths(path, layout), paths(whole, layout), strict=True):
        packets = packets_of(cut)
        assert packets == packets_of(full)[: len(packets)]
        assert len(packets) * 20 > end_ms - lost_ms
        if packets:
            lookahead = opus.Encoder(RATE).lookahead
            assert soundfile.info(cut).frames == len(packets) * RATE // 50 - lookahead


def kill(tmp_path: Path, layout: str, suffix: str, kill_at_ms: int, after_s: float = 0.0) -> None:
    """Kill a recorder `after_s` from where it says that it has got to, and check what it leaves."""
    path = tmp_path / f"call{suffix}"
    ends_ms = dict.fromkeys(TRACKS, 0)
    command = [sys.executable, "-c", WRITER, str(path), layout]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:  # goes on to the end of what the writer could still say
            if line.endswith("\n"):
                track, end_ms = line.split()
                ends_ms[track] = int(end_ms)
            if ends_ms["inbound"] >= kill_at_ms:
                time.sleep(after_s)
                after_s = 0.0
                process.kill()
    assert process.returncode == -9
    if suffix == ".wav":
        assert_recorded(path, layout, ends_ms, LOSS_MS[suffix])
    else:
        assert_encoded(path, layout, tmp_path / "whole.opus", LOSS_MS[suffix], ends_ms["inbound"])


@pytest.mark.parametrize(
    ("layout", "suffix", "kill_at_ms"),
    [
        ("stereo", ".wav", 1_000),
        ("stereo", ".wav", 20_130),
        ("stereo", ".opus", 1_000),
        *((layout, suffix, 4_000) for layout, suffix in FILES[1:]),
    ],
)
def test_kill(tmp_path: Path, layout: str, suffix: str, kill_at_ms: int) -> None:
    kill(tmp_path, layout, suffix, kill_at_ms)


@pytest.mark.slow
def test_kill_at_two_hundred_random_moments(tmp_path: Path) -> None:
    rng = random.Random(9)
    for k in range(200):
        layout, suffix = FILES[k % len(FILES)]
        directory = tmp_path / str(k)
        directory.mkdir()
        kill_at_ms, after_s = rng.randrange(20, 12_000), rng.uniform(0.0, 0.02)
        try:
            kill(directory, layout, suffix, kill_at_ms, after_s)
        except Exception as error:
            error.add_note(f"kill {k}: {layout} {suffix}, {1000 * after_s:.1f} ms after {kill_at_ms} ms")
            raise
        shutil.rmtree(directory)


@pytest.mark.parametrize(("layout", "suffix"), FILES)
def test_a_full_disk_is_one_error_and_leaves_what_reached_it(
    tmp_path: Path, layout: str, suffix: str
) -> None:
    path = tmp_path / f"call{suffix}"
    recorder = Recorder(path, layout=layout)
    recorder.write(START)
    ends_ms = dict.fromkeys(TRACKS, 0)
    with file_size_limit(60_001 if suffix == ".wav" else 8_001):
        for frame in frames(20_000):
            try:
                recorder.write(frame)
            except OSError:
                break
            ends_ms[frame.track] = int(frame.timestamp_ms) + 20
        with pytest.raises(LocalProtocolError, match="takes no more"):
            recorder.write(frame)
        in_files_ms = recorder.duration_ms
        recorder.close()
        recorder.close()
    assert 400 < in_files_ms <= recorder.duration_ms < ends_ms["inbound"]
    assert recorder.duration_ms == min(len(channel) for channel in samples_of(path, layout)) * 1000 / RATE
    # The batch at hand is lost besides, and the disk may have been full for a whole write.
    if suffix == ".wav":
        assert_recorded(path, layout, ends_ms, LOSS_MS[suffix] + 250)
    else:
        assert_encoded(path, layout, tmp_path / "whole.opus", LOSS_MS[suffix] + 250, ends_ms["inbound"])


@pytest.mark.parametrize(("layout", "suffix"), FILES)
def test_a_disk_that_is_full_at_the_end_is_one_error(tmp_path: Path, layout: str, suffix: str) -> None:
    path = tmp_path / f"call{suffix}"
    recorder = Recorder(path, layout=layout)
    recorder.write(START)
    for frame in frames(240):  # which is all in memory
        recorder.write(frame)
    with file_size_limit(301), pytest.raises(OSError, match="File too large"):
        recorder.close()
    recorder.close()
    if suffix == ".wav":
        durations_ms = [len(channel) * 1000 / RATE for channel in samples_of(path, layout)]
        assert recorder.duration_ms == min(durations_ms) < 240
    else:
        assert recorder.duration_ms == 0
        assert packets_of(paths(path, layout)[0]) == []
