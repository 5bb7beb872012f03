"""What a server has counted, as Prometheus reads it: no label of it has a value that a peer makes up."""

from collections.abc import Iterator

from trunkline.metrics import TRACK_METRICS, family, labels_text
from trunkline.net.recording import RecordingStats
from trunkline.net.server_stats import ServerStats

__all__ = ["server_metrics"]


def server_metrics(stats: ServerStats, recordings: RecordingStats | None = None) -> str:
    """Write `stats` of a server in Prometheus' text format 0.0.4, and those of its CallRecordings.

    Counters of tracks are sums over all calls; `trunkline.metrics.prometheus` has those of each call, under
    the same names.

    >>> from trunkline.net.server_stats import CallCounts
    >>> text = server_metrics(CallCounts().stats({401: 2}))
    >>> for line in text.splitlines():
    ...     if "refused_total" in line:
    ...         print(line)
    # HELP trunkline_connections_refused_total Who was not let in, by HTTP status.
    # TYPE trunkline_connections_refused_total counter
    trunkline_connections_refused_total{status="401"} 2
    """
    return "\n".join([*_server_lines(stats), *_recording_lines(recordings)]) + "\n"


def _server_lines(stats: ServerStats) -> Iterator[str]:
    yield from family("trunkline_start_time_seconds", "When it began, since 1970.", [("", stats.start_time)])
    yield from family("trunkline_live_calls", "Calls that are there.", [("", stats.live_calls)])
    yield from family("trunkline_calls_total", "Calls that have begun.", [("", stats.calls)])
    ended = [(labels_text({"reason": reason}), n) for reason, n in stats.ended.items()]
    yield from family("trunkline_calls_ended_total", "Calls that have ended, by how.", ended)
    yield from family(
        "trunkline_connections_not_begun_total",
        "Connections that were let in and ended before a stream began.",
        [("", stats.not_begun)],
    )
    refused = [(labels_text({"status": str(status)}), n) for status, n in sorted(stats.refused.items())]
    yield from family("trunkline_connections_refused_total", "Who was not let in, by HTTP status.", refused)
    tracks = {labels_text({"track": name}): counters for name, counters in stats.tracks.items()}
    for metric in TRACK_METRICS:
        if metric.is_counter:
            yield from metric.lines(tracks)


def _recording_lines(recordings: RecordingStats | None) -> Iterator[str]:
    if recordings is not None:
        results = [('result="written"', recordings.written), ('result="failed"', recordings.failed)]
        yield from family("trunkline_recordings_total", "Recordings that have ended, by result.", results)
