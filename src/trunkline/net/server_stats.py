"""What a server has counted: its calls, how they ended, and what they brought."""

import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from trunkline.errors import LocalProtocolError
from trunkline.net.event_stream import EventStream
from trunkline.stream.messages import TRACKS
from trunkline.timeline import TrackCounters

__all__ = ["CallCounts", "ServerStats", "reason_of"]

N_COUNTERS: Final = len(TrackCounters.__struct_fields__)  # of TrackStats, too, they are the first
ZERO: Final = TrackCounters(*(0,) * N_COUNTERS)

#: How a call may end: as its peer wanted; on this side; when its connection was lost; when its peer broke the
#: rules of WebSocket or of the stream, or brought what is not decoded; when its handler raised.
REASONS: Final = ("stopped", "closed", "lost", "refused", "handler_error")

Key = TypeVar("Key")


class ServerStats(msgspec.Struct, frozen=True):
    """What a server has counted since `start_time`. Those of several processes may be added."""

    start_time: float  # seconds since 1970, UTC
    calls: int  # that have begun
    live_calls: int  # of these, those whose handlers are running
    not_begun: int  # connections that were let in, and ended before a stream began
    ended: dict[str, int]  # calls, by reason: stopped, closed, lost, refused, handler_error
    refused: dict[int, int]  # who was not let in, by HTTP status
    tracks: dict[str, TrackCounters]  # sums over all calls, by the track's name

    def __add__(self, other: "ServerStats") -> "ServerStats":
        return ServerStats(
            start_time=min(self.start_time, other.start_time),
            calls=self.calls + other.calls,
            live_calls=self.live_calls + other.live_calls,
            not_begun=self.not_begun + other.not_begun,
            ended=_added(self.ended, other.ended),
            refused=_added(self.refused, other.refused),
            tracks=_sums(self.tracks, other.tracks),
        )


class CallCounts:
    """Adds up the calls of a server, those that are running, too."""

    def __init__(self) -> None:
        self.not_begun = 0
        self._start_time = time.time()
        self._live: set[EventStream] = set()
        self._n_begun = 0
        self._ended = dict.fromkeys(REASONS, 0)
        self._tracks = dict.fromkeys(TRACKS, ZERO)

    def begin(self, call: EventStream) -> None:
        """Count a call whose stream has begun."""
        self._n_begun += 1
        self._live.add(call)

    def end(self, call: EventStream, reason: str) -> None:
        """Count a call that has ended, for one of REASONS."""
        self._live.discard(call)
        self._ended[reason] += 1
        self._tracks = _sums(self._tracks, call.stats)

    def stats(self, refused: Mapping[int, int]) -> ServerStats:
        """Add all up."""
        return ServerStats(
            start_time=self._start_time,
            calls=self._n_begun,
            live_calls=len(self._live),
            not_begun=self.not_begun,
            ended=dict(self._ended),
            refused=dict(refused),
            tracks=_sums(self._tracks, *(call.stats for call in self._live)),
        )


def reason_of(call: EventStream) -> str:
    """Say how a call ended whose handler has returned."""
    if call.error is None:
        return "stopped" if call.is_over else "closed"
    if isinstance(call.error, LocalProtocolError):
        return "closed"
    return "refused" if call.broke_protocol else "lost"


def _added(one: Mapping[Key, int], other: Mapping[Key, int]) -> dict[Key, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in (*one, *(other.keys() - one.keys()))}


def _sums(*added: Mapping[str, TrackCounters]) -> dict[str, TrackCounters]:
    """Add up the counters of tracks by their names."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for tracks in added:
        for name, track in tracks.items():
            rows.setdefault(name, []).append(msgspec.structs.astuple(track)[:N_COUNTERS])
    return {name: TrackCounters(*map(sum, zip(*row, strict=True))) for name, row in rows.items()}
