"""What a server counts: the sum of what its calls brought, by how they ended, also while they are there."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.net.adapters import Serve, status_of
from tests.net.endpoints import call_messages, close_of, connect, run, send, until
from trunkline.metrics import TRACK_METRICS
from trunkline.net import Call, RecordingStats, ServerStats, serve, server_metrics
from trunkline.net.server_stats import REASONS, CallCounts
from trunkline.stream import Frame
from trunkline.testing import speech_like
from trunkline.timeline import TrackCounters, TrackStats

PCM = speech_like(1.01)
FIELDS = TrackCounters.__struct_fields__
CANARY = "canary0bearer0token"
WAYS = ("stopped", "hangs up", "raises", "lost", "not JSON", "too big")


def summed(stats: Sequence[dict[str, TrackStats]]) -> dict[str, dict[str, float]]:
    """Add up counters as slowly as may be."""
    sums: dict[str, dict[str, float]] = {track: dict.fromkeys(FIELDS, 0) for track in ("inbound", "outbound")}
    for tracks in stats:
        for track, counters in tracks.items():
            for field in FIELDS:
                sums[track][field] += getattr(counters, field)
    return sums


async def take_part(server: Any, way: str) -> None:
    """Have a call end in one of WAYS."""
    messages = call_messages(way, PCM)
    async with connect(server, headers={"Authorization": f"Bearer {CANARY}"}) as peer:
        await send(peer, messages[:20] + messages[22:30])  # two are lost
        if way == "not JSON":
            await send(peer, [b"{"])
        elif way == "too big":
            await peer.send_str(" " * 70_000)
        elif way == "lost":
            peer._response.connection.transport.abort()  # type: ignore[union-attr]
            return
        else:
            await send(peer, messages[30:])
        await close_of(peer)


def test_each_call_is_counted_once_by_how_it_ended(serving: Serve) -> None:
    ended: list[Call] = []

    async def handler(call: Call) -> None:
        ended.append(call)
        async for event in call:
            if isinstance(event, Frame) and call.start.call_id == "hangs up":
                return
            if isinstance(event, Frame) and call.start.call_id == "raises":
                raise ZeroDivisionError

    async def main() -> ServerStats:
        async with serving(handler, bearer_token=CANARY) as server:
            for _ in range(2):
                for way in WAYS:
                    await take_part(server, way)
            async with connect(server, headers={"Authorization": f"Bearer {CANARY}"}):
                pass  # a connection that begins no stream
            assert await status_of(server.url) == 401
            await until(lambda: not server.calls)
            return server.stats

    stats = run(main())
    assert (stats.calls, stats.live_calls, stats.not_begun, stats.refused) == (12, 0, 1, {401: 1})
    assert stats.ended == {"stopped": 2, "closed": 2, "handler_error": 2, "lost": 2, "refused": 4}
    assert sum(stats.ended.values()) == len(ended) == 12
    expected = summed([call.stats for call in ended])
    assert {track: msgspec.structs.asdict(sums) for track, sums in stats.tracks.items()} == expected
    assert stats.tracks["inbound"].lost >= 2 * 4
    assert stats.tracks["inbound"].concealed_ms > 0


def test_calls_that_are_there_are_counted() -> None:
    live: list[Call] = []

    async def handler(call: Call) -> None:
        live.append(call)
        async for _ in call:
            pass

    async def main() -> None:
        async with serve(handler) as server, connect(server) as one, connect(server) as other:
            before = server.stats
            for peer in (one, other):
                await send(peer, call_messages("x", PCM)[:12])
            await until(lambda: server.stats.tracks["inbound"].packets == 20)
            stats = server.stats
            assert (stats.calls, stats.live_calls) == (2, 2)
            assert stats.tracks["inbound"].bytes == 20 * 160
            assert before.calls == 0  # a snapshot stays as it was
            assert before.tracks["inbound"].packets == 0
            await one.close()
            await until(lambda: server.stats.live_calls == 1)
            assert server.stats.tracks["inbound"].packets == 20

    run(main())


counters = st.builds(TrackCounters, **{field: st.integers(0, 2**40) for field in FIELDS})
server_stats = st.builds(
    ServerStats,
    start_time=st.floats(1e9, 2e9),
    calls=st.integers(0, 1000),
    live_calls=st.integers(0, 1000),
    not_begun=st.integers(0, 1000),
    ended=st.dictionaries(st.sampled_from(REASONS), st.integers(0, 1000)),
    refused=st.dictionaries(st.sampled_from([401, 429, 503]), st.integers(0, 1000)),
    tracks=st.dictionaries(st.sampled_from(["inbound", "outbound"]), counters),
)


@given(server_stats, server_stats)
def test_processes_add_up_and_cross_a_pipe(one: ServerStats, other: ServerStats) -> None:
    total = one + other
    assert total == other + one
    assert total.start_time == min(one.start_time, other.start_time)
    for name in ("calls", "live_calls", "not_begun"):
        assert getattr(total, name) == getattr(one, name) + getattr(other, name)
    for name in ("ended", "refused"):
        assert Counter(getattr(total, name)) == Counter(getattr(one, name)) + Counter(getattr(other, name))
    for track, sums in total.tracks.items():
        for field in FIELDS:
            parts = [getattr(part.tracks[track], field) for part in (one, other) if track in part.tracks]
            assert getattr(sums, field) == sum(parts)
    assert msgspec.json.decode(msgspec.json.encode(total), type=ServerStats) == total
    both = RecordingStats(1, 2) + RecordingStats(3, 5)
    assert both == RecordingStats(written=4, failed=7)


@given(server_stats, st.builds(RecordingStats, written=st.integers(0, 99), failed=st.integers(0, 99)))
def test_prometheus_reads_it(stats: ServerStats, recordings: RecordingStats) -> None:
    families = list(text_string_to_metric_families(server_metrics(stats, recordings)))
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    expected: dict[tuple[Any, ...], Any] = {
        ("trunkline_start_time_seconds",): stats.start_time,
        ("trunkline_live_calls",): stats.live_calls,
        ("trunkline_calls_total",): stats.calls,
        ("trunkline_connections_not_begun_total",): stats.not_begun,
        ("trunkline_recordings_total", ("result", "written")): recordings.written,
        ("trunkline_recordings_total", ("result", "failed")): recordings.failed,
    }
    for reason, n in stats.ended.items():
        expected["trunkline_calls_ended_total", ("reason", reason)] = n
    for status, n in stats.refused.items():
        expected["trunkline_connections_refused_total", ("status", str(status))] = n
    for metric in TRACK_METRICS:
        if metric.is_counter:
            for track, sums in stats.tracks.items():
                value = getattr(sums, metric.field) / metric.per_unit
                expected[f"trunkline_track_{metric.name}", ("track", track)] = pytest.approx(value)
    assert found == expected
    assert {family.type for family in families} == {"counter", "gauge"}
    names = [family.name for family in families]
    assert len(names) == len(set(names))  # a family comes once


def test_nothing_that_a_peer_says_is_a_label() -> None:
    hostile = f'x"}} 1\n{CANARY}'

    async def handler(call: Call) -> None:
        async for _ in call:
            pass

    async def main() -> str:
        async with serve(handler, bearer_token=CANARY) as server:
            for token in (CANARY, f"{CANARY}x"):
                headers = {"Authorization": f"Bearer {token}"}
                try:
                    async with connect(server, headers=headers) as peer:
                        await send(peer, call_messages(hostile, PCM, stream_id=hostile))
                        await close_of(peer)
                except aiohttp.WSServerHandshakeError:
                    pass
            return server_metrics(server.stats)

    text = run(main())
    assert CANARY not in text
    assert "127.0.0.1" not in text
    labels = {
        pair
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for pair in sample.labels.items()
    }
    assert labels == {
        *(("reason", reason) for reason in REASONS),
        ("track", "inbound"),
        ("track", "outbound"),
        ("status", "401"),
    }


def test_a_server_that_has_had_no_call_has_zeros() -> None:
    text = server_metrics(CallCounts().stats({}))
    assert 'trunkline_calls_ended_total{reason="stopped"} 0\n' in text
    assert 'trunkline_track_lost_packets_total{track="outbound"} 0\n' in text
    assert "recordings" not in text


def test_the_counters_are_those_of_a_track() -> None:
    assert set(TrackStats.__struct_fields__) - set(FIELDS) == {"jitter_ms", "drift_ppm", "level_dbfs"}
    assert {metric.field for metric in TRACK_METRICS if metric.is_counter} == set(FIELDS)


def test_a_handler_that_is_cancelled_has_ended() -> None:
    async def handler(call: Call) -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        async with serve(handler) as server, connect(server) as peer:
            await send(peer, call_messages("x", PCM)[:3])
            await until(lambda: server.stats.calls == 1 and not server.calls)
            assert server.stats.live_calls == 0
            assert server.stats.ended["closed"] == 1

    run(main())
