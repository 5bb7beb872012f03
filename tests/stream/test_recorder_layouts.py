"""Layouts of a recording: mixed and separate against stereo, and a long call against a slow reference."""

import os
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.reference.stream import Platform
from trunkline import g711
from trunkline.errors import FormatError
from trunkline.formats import MediaFormat
from trunkline.stream import Event, Frame, Recorder, Start, Stop, StreamReceiver

LAYOUTS = ("stereo", "mixed", "separate")
TRACKS = ("inbound", "outbound")
CALL_S = 863
WHAT, PER_THOUSAND = ("comes", "is lost", "comes twice", "is late"), (980, 10, 5, 5)
LOUD = np.array([0x00, 0x80, 0x8F, 0x0F, 0xFF, 0x7F, 0x2A, 0xB3], np.uint8)  # of mu-law: sums beyond s16


def read(path: Path) -> np.ndarray:
    """Samples by channel."""
    samples, _ = soundfile.read(path, dtype="int16", always_2d=True)
    return np.asarray(samples).T


def record(path: Path, layout: str, events: list[Event]) -> Recorder:
    with Recorder(path, layout=layout) as recorder:
        for event in events:
            recorder.write(event)
    return recorder


def long_call(seed: int) -> tuple[list[Event], np.ndarray]:
    """863 s with losses, gaps, duplicates and late packets, and where each packet's audio belongs."""
    chance = random.Random(seed)
    platform, receiver = Platform(), StreamReceiver()
    events = receiver.receive(platform.start(TRACKS))
    expected = np.zeros((2, CALL_S * 8000), np.int16)
    last = CALL_S * 50 - 1
    for channel, track in enumerate(TRACKS):
        gap_until = 0
        late: dict[int, str] = {}  # when it comes
        for k in range(last + 1):
            if chance.random() < 0.0005:
                gap_until = k + chance.randrange(2, 250)
            payload = LOUD[np.arange(k, k + 160) % 7].tobytes()
            expected[channel, 160 * k :][:160] = np.frombuffer(g711.ulaw_decode(payload), np.int16)
            message = platform.media(payload, 20 * k, track, chunk=k + 1)
            what = "comes" if k in (0, last) else chance.choices(WHAT, PER_THOUSAND)[0]
            if what == "is late":
                late[k + 20] = message
            elif k in (0, last) or (what != "is lost" and k >= gap_until):
                for _ in range(2 if what == "comes twice" else 1):
                    events += receiver.receive(message)
            if k in late:
                events += receiver.receive(late[k])
    stats = receiver.stats
    assert all(stats[track].lost > 500 and stats[track].late > 200 for track in TRACKS)
    return [*events, *receiver.receive(platform.stop())], expected


def in_order_of_time(events: list[Event]) -> list[Event]:
    """The tracks side by side, as a call brings them, in bursts of half a second."""
    frames = [event for event in events if isinstance(event, Frame)]
    frames.sort(key=lambda frame: (frame.timestamp_ms // 500, frame.track, frame.timestamp_ms))
    return [events[0], *frames, events[-1]]


@pytest.fixture(scope="module")
def call() -> tuple[list[Event], np.ndarray]:
    events, expected = long_call(seed=6)
    assert isinstance(events[0], Start)
    assert isinstance(events[-1], Stop)
    return in_order_of_time(events), expected


def test_an_863_s_call_is_863_s_long_and_all_lies_where_its_time_says(
    call: tuple[list[Event], np.ndarray], tmp_path: Path
) -> None:
    events, expected = call
    recorder = record(tmp_path / "call.wav", "stereo", events)
    assert recorder.duration_ms == CALL_S * 1000
    stereo = read(tmp_path / "call.wav")
    assert stereo.shape == expected.shape
    wrong = 0
    concealed = {
        (e.track, round(e.timestamp_ms / 20)) for e in events if isinstance(e, Frame) and e.concealed
    }
    for channel, track in enumerate(TRACKS):
        for k in range(CALL_S * 50):
            if (track, k) in concealed or (track, k - 1) in concealed:  # what is behind a gap is cross-faded
                continue
            part = slice(160 * k, 160 * k + 160)
            wrong += not np.array_equal(stereo[channel, part], expected[channel, part])
    assert wrong == 0
    assert 500 < len(concealed) < 15_000


@pytest.mark.parametrize("layout", ["mixed", "separate"])
def test_layouts_are_made_of_the_same_samples(
    call: tuple[list[Event], np.ndarray], tmp_path: Path, layout: str
) -> None:
    events = call[0][:10_000]
    duration_ms = record(tmp_path / "stereo.wav", "stereo", events).duration_ms
    recorder = record(tmp_path / "call.wav", layout, events)
    assert recorder.duration_ms == duration_ms
    stereo = read(tmp_path / "stereo.wav")
    if layout == "mixed":
        assert recorder.paths == dict.fromkeys(TRACKS, tmp_path / "call.wav")
        total = stereo.astype(np.int32).sum(axis=0)
        assert np.abs(total).max() > 32_768  # it does saturate
        assert np.array_equal(read(tmp_path / "call.wav"), [np.clip(total, -32_768, 32_767)])
    else:
        assert recorder.paths == {track: tmp_path / f"call.{track}.wav" for track in TRACKS}
        for channel, track in enumerate(TRACKS):
            assert np.array_equal(read(recorder.paths[track]), stereo[channel : channel + 1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_is_bounded(call: tuple[list[Event], np.ndarray], tmp_path: Path, layout: str) -> None:
    events, _ = call
    tracemalloc.start()
    try:
        record(tmp_path / "call.wav", layout, events[:5000])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tracks_of_two_channels(tmp_path: Path, layout: str) -> None:
    start = Start("s", "c", None, TRACKS, MediaFormat("L16", 8000, 2), {}, "signalwire")
    pcm = {
        track: np.random.default_rng(k).integers(-30_000, 30_000, (160, 2), np.int16)
        for k, track in enumerate(TRACKS)
    }
    frames = [
        Frame(pcm[track], sample_rate=8000, channels=2, timestamp_ms=0.0, track=track) for track in TRACKS
    ]
    recorder = record(tmp_path / "call.wav", layout, [start, *frames])
    total = np.clip(pcm["inbound"].astype(np.int32) + pcm["outbound"], -32_768, 32_767)
    wanted = {
        "stereo": [np.hstack([pcm["inbound"], pcm["outbound"]])] * 2,
        "mixed": [total] * 2,
        "separate": [pcm["inbound"], pcm["outbound"]],
    }[layout]
    for track, samples in zip(TRACKS, wanted, strict=True):
        assert np.array_equal(read(recorder.paths[track]), samples.T)


def test_one_track_alone(tmp_path: Path) -> None:
    start = Start("s", "c", None, ("outbound",), MediaFormat("PCMU", 8000), {}, "signalwire")
    frame = Frame(bytes(320), sample_rate=8000, track="outbound")
    assert record(tmp_path / "a.wav", "separate", [start, frame]).paths == {
        "outbound": tmp_path / "a.outbound.wav"
    }
    assert read(record(tmp_path / "b.wav", "mixed", [start, frame]).paths["outbound"]).shape == (1, 160)


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="layout 'mono': takes stereo, mixed, separate"):
        Recorder(tmp_path / "call.wav", layout="mono")
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_made_leaves_the_other_whole(tmp_path: Path) -> None:
    (tmp_path / "call.outbound.wav").mkdir()
    start = Start("s", "c", None, TRACKS, MediaFormat("PCMU", 8000), {}, "signalwire")
    with Recorder(tmp_path / "call.wav", layout="separate") as recorder, pytest.raises(IsADirectoryError):
        recorder.write(start)
    assert read(tmp_path / "call.inbound.wav").shape == (1, 0)


@pytest.mark.parametrize("name", ["call.mp3", "call.ogg", "call.wav.tmp", "a.b/call.FLAC"])
def test_a_name_of_another_format_is_refused(name: str) -> None:
    with pytest.raises(FormatError, match=r"takes \.wav and \.opus"):
        Recorder(name)


@pytest.mark.parametrize("name", ["call", "call.WAV", "call.Opus", "a.b/call"])
def test_a_name_of_ours_is_taken(name: str) -> None:
    Recorder(name).close()
