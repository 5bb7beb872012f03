"""What a server has counted: its calls, how they ended, and what they brought."""

import time
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from trunkline.errors import LocalProtocolError
from trunkline.net.event_stream import EventStream
from trunkline.stream.messages import TRACKS
from trunkline.timeline import TrackCounters

__all__ = ["CallCounts", "ServerStats", "reason_of"]

FIELDS: Final = TrackCounters.__struct_fields__
ZERO: Final = TrackCounters(**dict.fromkeys(FIELDS, 0))

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
            tracks=_with(self.tracks, other.tracks),
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
        self._tracks = _with(self._tracks, call.stats)

    def stats(self, refused: Mapping[int, int]) -> ServerStats:
        """Add all up."""
        tracks = self._tracks
        for call in self._live:
            tracks = _with(tracks, call.stats)
        return ServerStats(
            start_time=self._start_time,
            calls=self._n_begun,
            live_calls=len(self._live),
            not_begun=self.not_begun,
            ended=dict(self._ended),
            refused=dict(refused),
            tracks=dict(tracks),
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


def _with(sums: Mapping[str, TrackCounters], tracks: Mapping[str, TrackCounters]) -> dict[str, TrackCounters]:
    """Add the counters of tracks to the sums by name."""
    after = dict(sums)
    for name, track in tracks.items():
        before = after.get(name, ZERO)
        after[name] = TrackCounters(*(getattr(before, field) + getattr(track, field) for field in FIELDS))
    return after
