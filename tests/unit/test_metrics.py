"""Prometheus text, read back by Prometheus' own client."""

from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from trunkline.formats import MediaFormat
from trunkline.metrics import TRACK_METRICS, prometheus
from trunkline.timeline import TrackStats
from trunkline.track import Track

counts = st.integers(0, 2**63)
floats = st.floats(0, 1e12)
stats = st.builds(
    TrackStats,
    **dict.fromkeys(
        (
            "packets",
            "bytes",
            "late",
            "duplicates",
            "reordered",
            "discarded",
            "lost",
            "discontinuities",
            "resyncs",
        ),
        counts,
    ),
    **dict.fromkeys(("concealed_ms", "fec_ms", "media_ms", "jitter_ms"), floats),
    drift_ppm=st.floats(-1000, 1000),
    level_dbfs=st.floats(-100, 3) | st.just(-inf),
    clipped_samples=counts,
)


@given(
    calls=st.dictionaries(
        st.text(max_size=20), st.dictionaries(st.sampled_from(["inbound", "outbound"]), stats), max_size=3
    )
)
def test_prometheus_reads_what_was_counted(calls: dict[str, dict[str, TrackStats]]) -> None:
    text = prometheus(({"call_id": call_id}, tracks) for call_id, tracks in calls.items())
    found = {
        (sample.name, sample.labels["call_id"], sample.labels["track"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found == {
        (f"trunkline_track_{metric.name}", call_id, track): pytest.approx(
            getattr(counted, metric.field) / metric.per_unit
        )
        for metric in TRACK_METRICS
        for call_id, tracks in calls.items()
        for track, counted in tracks.items()
    }
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    assert set(kinds.values()) <= {"counter", "gauge"}


def test_every_counter_is_there() -> None:
    assert {metric.field for metric in TRACK_METRICS} == set(TrackStats.__struct_fields__)


def test_a_real_track() -> None:
    track = Track(MediaFormat("PCMU", 8000))
    track.push(bytes(160), timestamp_ms=0, sequence=0)
    track.push(bytes(160), timestamp_ms=60, sequence=3)
    text = prometheus([({}, {"inbound": track.stats})])
    assert 'trunkline_track_concealed_seconds_total{track="inbound"} 0.04\n' in text
    assert 'trunkline_track_lost_packets_total{track="inbound"} 2\n' in text
    assert msgspec.json.encode(track.stats)
    assert prometheus([]) == ""


@pytest.mark.parametrize("name", ["", "9x", "a-b", "__name__", "é", 'x"'])
def test_what_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no label's name"):
        prometheus([({name: "x"}, {"inbound": Track(MediaFormat("PCMU", 8000)).stats})])


def test_series_come_once() -> None:
    track = {"inbound": Track(MediaFormat("PCMU", 8000)).stats}
    with pytest.raises(ValueError, match="takes each once"):
        prometheus([({"a": "1", "b": "2"}, track), ({"b": "2", "a": "1"}, track)])
    with pytest.raises(ValueError, match="label 'track' is the track's"):
        prometheus([({"track": "z"}, track)])
    with pytest.raises(TypeError, match="label a: takes a str, not int"):
        prometheus([({"a": 1}, track)])  # type: ignore[dict-item]
