"""What is said of a track that has ended: in words, and as a line of JSON."""

import logging
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.test_live import a_recording, stats_of
from trunkline.cli.summary import append_stats, lost_percent, summary, two_digits
from trunkline.errors import RemoteProtocolError
from trunkline.formats import MediaFormat
from trunkline.track import Track


def test_of_a_clean_track_there_is_only_how_long_it_was() -> None:
    assert summary(stats_of(jitter_ms=9.9, drift_ppm=-99.0, reordered=5)) == "5,000 packets"


@pytest.mark.parametrize(
    ("counters", "remark"),
    [
        ({"lost": 50}, "50 lost (1.0 %)"),
        ({"lost": 2_500}, "2,500 lost (33 %)"),
        ({"late": 7, "duplicates": 4}, "3 late, 4 twice"),
        ({"late": 4, "duplicates": 4}, "4 twice"),
        ({"late": 1}, "1 late"),
        ({"discarded": 2}, "2 discarded"),
        ({"concealed_ms": 1240.0}, "1,240 ms concealed"),
        ({"discontinuities": 1}, "1 gap"),
        ({"discontinuities": 2}, "2 gaps"),
        ({"resyncs": 1}, "1 resync"),
        ({"jitter_ms": 10.0}, "jitter 10 ms"),
        ({"drift_ppm": -100.4}, "drift -100 ppm"),
        ({"drift_ppm": 250.0}, "drift +250 ppm"),
        ({"clipped_samples": 1}, "1 sample clipped"),
        ({"clipped_samples": 1_234}, "1,234 samples clipped"),
        ({"level_dbfs": -math.inf}, "silent"),
        ({"level_dbfs": -60.6}, "-61 dBFS"),
    ],
)
def test_what_was_not_right_is_told(counters: dict[str, float], remark: str) -> None:
    assert summary(stats_of(**counters)) == f"5,000 packets, {remark}"


def test_where_nothing_came_nothing_is_said_of_its_level() -> None:
    assert summary(Track(MediaFormat("PCMU", 8000)).stats) == "0 packets"


@given(st.sets(st.integers(1, 98)), st.sets(st.integers(0, 99)))
def test_lost_is_the_part_of_what_was_due(lost: set[int], twice: set[int]) -> None:
    track = Track(MediaFormat("PCMU", 8000))
    assert lost_percent(track.stats) == 0
    for k in range(100):
        if k not in lost:
            for _ in range(1 + (k in twice)):
                track.push(bytes(160), timestamp_ms=20 * k, sequence=k)
    assert lost_percent(track.stats) == pytest.approx(len(lost))


@given(st.floats(0, 1e6))
def test_a_number_is_right_to_its_last_digit(number: float) -> None:
    shown = two_digits(number)
    assert float(shown.replace(",", "")) == pytest.approx(number, abs=0.0501 if "." in shown else 0.501)
    assert len(shown) <= 3 or number >= 999


def test_each_call_is_a_line_with_all_that_was_counted(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    whole, cut = a_recording("whole.wav"), a_recording("out\udcff.wav")
    cut.call.error = RemoteProtocolError("connection broken")
    cut.error = OSError(28, "No space left on device", "out.wav")
    append_stats(path, whole)
    append_stats(path, cut)
    first, second = map(msgspec.json.decode, path.read_bytes().splitlines())
    assert first["tracks"] == msgspec.to_builtins(whole.call.stats)
    assert (first["recordings"], first["duration_ms"]) == (["out/whole.wav"], 98_765.0)
    assert (first["call_id"], first["stream_id"], first["peer"]) == ("call-1", "stream-1", "127.0.0.1:1")
    assert (first["codec"], first["sample_rate"]) == ("PCMU", 8000)
    assert (first["error"], first["cut_short"]) == (None, None)
    assert (second["error"], second["cut_short"]) == ("out.wav: No space left on device", "connection broken")
    assert first["ended"] <= second["ended"]


def test_silence_has_no_number_in_json(tmp_path: Path) -> None:
    recording = a_recording("silent.wav", stats_of(level_dbfs=-math.inf))
    append_stats(tmp_path / "calls.jsonl", recording)
    (line,) = (tmp_path / "calls.jsonl").read_bytes().splitlines()
    assert msgspec.json.decode(line)["tracks"]["inbound"]["level_dbfs"] is None


def test_a_file_that_takes_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        append_stats(Path("/dev/full"), a_recording("one.wav"))
    assert caplog.messages == ["no statistics of out/one.wav: No space left on device"]
