"""Playout: when each message of a StreamSender is due."""

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.formats import whole_samples
from trunkline.frame import Frame
from trunkline.stream.messages import check_digit, check_text
from trunkline.stream.sender import StreamSender

LEAD_MS: Final = 200.0
MARKS_MAX: Final = 1024  # that are awaited; the oldest are given up

if TYPE_CHECKING:
    from trunkline.buffers import AnyBuffer, Buffer

__all__ = ["Playout"]


class _Behind(NamedTuple):
    """A message that waits until each track has sent so many bytes of PCM."""

    sent_bytes: dict[str, int]
    make: Callable[[], list[bytes]]
    mark: str | None  # its name


class _SentMark(NamedTuple):
    """A mark that has not come back yet."""

    name: str
    end_ms: float | None  # of the audio before it; None: a clear brings it back
    due_ms: float


class Playout(Exclusive):
    """Pace a StreamSender in real time. It has no clock: the caller says what time it is.

    Parameters: `sender`, which must have been started before audio is due and from then on belongs to
    the Playout; `lead_ms`, how long before its deadline a message is given out, 0 or more: so much audio lies
    at the other end, against the network's jitter and ours.

    Times are milliseconds of any monotonic clock. The first packet is due at the first `due` after its
    `play`, packet k exactly k * ptime later: being late never moves a deadline, it makes the next call
    catch up. All tracks share these deadlines. When the clock has passed the deadline of a packet that
    was not there (the queue ran dry), the next one to come starts anew from its own `due`.

    A mark, a digit or the stop is due when the audio queued before it has been played. When no more audio
    has come by then, it is taken to end there: the last packet is sent shorter, and what the sender still
    holds of it (`StreamSender.delay_ms`) with it or in a packet of its own. `clear` drops that too.

    With an endpoint's sender, on a two-way stream, `clear` is told to the platform, which drops what it has
    not played: the next `due` begins with that one message, and then come the marks that were queued. Give
    `marked` the marks that the platform sends back; `played_ms` is what was heard.

    >>> from trunkline.stream import Playout, StreamSender
    >>> sender = StreamSender("PCMU")
    >>> begin = sender.start()
    >>> playout = Playout(sender, lead_ms=0)
    >>> playout.play(bytes(2 * 320))
    >>> [len(playout.due(now_ms)) for now_ms in (1000, 1019, 1020)]
    [1, 0, 1]
    """

    def __init__(self, sender: StreamSender, *, lead_ms: float = LEAD_MS) -> None:
        if not 0 <= lead_ms < math.inf:
            raise FormatError(f"lead of {lead_ms} ms: takes 0 or more")
        self._sender = sender
        self._lead_ms = lead_ms
        # A platform that runs dry goes on when it has something: its time shifts, a receiver's does not.
        self._late_ms_max = sender.format.ptime_ms if sender.role == "endpoint" else math.inf
        self._packet_bytes = 2 * whole_samples(sender.format.ptime_ms, sender.sample_rate, "ptime")
        self._queues = {track: bytearray() for track in sender.tracks}
        self._sent_bytes = dict.fromkeys(sender.tracks, 0)
        self._delayed = set(sender.tracks) if sender.delay_ms > 0 else set()
        self._unended: set[str] = set()  # tracks of whose audio the sender holds the end
        self._behind: deque[_Behind] = deque()
        self._anchor_ms = -math.inf
        self._packets_since_anchor = 0
        self._was_dry = True  # nothing was left to send at the end of the last `due`
        self._finished = False
        self._at_once: list[bytes] = []
        self._sent_marks: deque[_SentMark] = deque(maxlen=MARKS_MAX)
        self._latency_ms = 0.0  # from a mark's deadline to its coming back, as last seen
        self._now_ms = -math.inf
        self._heard_ms = 0.0
        self._unheard_ms = 0.0  # was sent, and dropped by the other end

    @property
    def next_deadline_ms(self) -> float | None:
        """When `due` should be called next: -inf for at once, None while there is nothing to send."""
        if self._at_once:
            return -math.inf
        if not self._behind and not self._has_packet():
            return None
        return self._deadline_ms() - self._lead_ms

    @property
    def queued_ms(self) -> float:
        """Audio that is queued, on the track that has most."""
        return self._duration_ms(max(map(len, self._queues.values())))

    @property
    def sent_ms(self) -> float:
        """Audio that `due` has given out, on the track that has most."""
        return self._duration_ms(max(self._sent_bytes.values()))

    @property
    def played_ms(self) -> float:
        """Audio that has been heard, as of the last `due`, `marked` or `hear`: what is behind its deadline.

        The deadlines are shifted by what the last mark took to come back. What lies before a mark that came
        back was heard; what a `clear` dropped was not, and counts no more.
        """
        return self._heard_ms

    @exclusive
    def play(self, pcm: "Buffer", track: str | None = None) -> None:
        """Queue mono PCM (native-endian s16 at the sender's sample_rate, any length, copied) on a track.

        None is the first track.
        """
        self._check_live("play")
        queue = self._queues.get(self._sender.tracks[0] if track is None else track)
        if queue is None:
            raise LocalProtocolError(f"track {track!r} is not declared: takes {', '.join(self._queues)}")
        queue += _pcm_bytes(pcm, self._sender.sample_rate)

    @exclusive
    def mark(self, name: str) -> None:
        """Queue a mark behind the audio of all tracks."""
        self._check_live("mark")
        self._sender.check_has("mark")
        check_text(name)
        self._queue_behind(partial(self._sender.mark, name), name)

    @exclusive
    def flush(self) -> None:
        """Let the audio so far go out whole: the packet that ends it may be shorter, as before a mark."""
        self._check_live("flush")
        if any(self._queues.values()) or self._unended:
            self._queue_behind(list)

    @exclusive
    def marked(self, name: str, now_ms: float) -> None:
        """Take a mark that came back: all audio before it has been heard. Others' marks are passed over.

        One that was pending when a `clear` was sent comes back because of that, and tells nothing.
        """
        self._check_time(now_ms)
        passed = next((k for k, mark in enumerate(self._sent_marks) if mark.name == name), None)
        if passed is None:
            return
        mark = self._sent_marks[passed]
        for _ in range(passed + 1):
            self._sent_marks.popleft()
        if mark.end_ms is not None:
            self._latency_ms = max(0.0, now_ms - mark.due_ms)
            self._heard_ms = max(self._heard_ms, mark.end_ms)
        self._hear(now_ms)

    @exclusive
    def dtmf(self, digit: str) -> None:
        """Queue a key press behind the audio of all tracks."""
        self._check_live("dtmf")
        self._sender.check_has("dtmf")
        check_digit(digit)
        self._queue_behind(partial(self._sender.dtmf, digit))

    @exclusive
    def finish(self) -> None:
        """Queue the end of the stream behind everything."""
        self._check_live("finish")
        self._finished = True
        self._queue_behind(self._sender.stop)

    @exclusive
    def hear(self, now_ms: float) -> float:
        """Say what time it is; return how much is still to be heard, in ms: what is queued and on its way."""
        self._check_time(now_ms)
        self._hear(now_ms)
        return self.queued_ms + self.sent_ms - self._unheard_ms - self._heard_ms

    @exclusive
    def clear(self) -> float:
        """Drop the queued audio and return how many ms that was; what waited behind it waits no more.

        An endpoint's sender tells the platform, in the one message that `due` gives next.
        """
        dropped_ms = self.queued_ms
        for queue in self._queues.values():
            queue.clear()
        self._unended.clear()
        self._behind = deque(waiting._replace(sent_bytes={}) for waiting in self._behind)
        self._was_dry = True
        at_once = self._sender.clear() if self._sender.role == "endpoint" else []
        if at_once:
            self._at_once = at_once
            # Until the clear arrives the platform plays on: it is as late as the audio before it was.
            waits_ms = max(0.0, self._deadline_ms() - self._now_ms)
            self._heard_ms = max(self._heard_ms, self.sent_ms - self._unheard_ms - waits_ms)
            self._anchor_ms = -math.inf  # what comes next is heard at once
            self._packets_since_anchor = 0
            self._unheard_ms = self.sent_ms - self._heard_ms
            self._sent_marks = deque((mark._replace(end_ms=None) for mark in self._sent_marks), MARKS_MAX)
        else:
            for track in self._queues:
                self._sender.discard(track)
        return dropped_ms

    @exclusive
    def due(self, now_ms: float) -> list[bytes]:
        """Give every message whose deadline is at or before `now_ms + lead_ms`, in the order to send."""
        self._check_time(now_ms)
        self._hear(now_ms)
        messages, self._at_once = self._at_once, []
        late_ms = now_ms - self._deadline_ms()
        if self._has_packet() and late_ms > (0 if self._was_dry else self._late_ms_max):
            self._anchor_ms = now_ms
            self._packets_since_anchor = 0
        while (next_ms := self.next_deadline_ms) is not None and next_ms <= now_ms:
            messages += self._release(now_ms)
            messages += self._send_packets()
        self._was_dry = not self._has_packet()
        return messages

    def _deadline_ms(self) -> float:
        return self._anchor_ms + self._packets_since_anchor * self._sender.format.ptime_ms

    def _hear(self, now_ms: float) -> None:
        """Find out what has been heard by now."""
        self._now_ms = now_ms
        waits_ms = self._deadline_ms() + self._latency_ms - now_ms
        arrived_ms = self.sent_ms - self._unheard_ms
        self._heard_ms = max(self._heard_ms, arrived_ms - max(0.0, waits_ms))

    def _release(self, now_ms: float) -> list[bytes]:
        """Make the messages that wait for nothing any more."""
        messages: list[bytes] = []
        while self._behind and all(
            self._sent_bytes[track] >= n_bytes and not self._is_ending(track)
            for track, n_bytes in self._behind[0].sent_bytes.items()
        ):
            waiting = self._behind.popleft()
            messages += waiting.make()
            if waiting.mark is not None and self._sender.role == "endpoint":
                end_ms = self.sent_ms - self._unheard_ms if waiting.sent_bytes else None
                due_ms = max(now_ms, self._deadline_ms())
                self._sent_marks.append(_SentMark(waiting.mark, end_ms, due_ms))
        return messages

    def _send_packets(self) -> list[bytes]:
        """Send one packet of each track that has one."""
        messages: list[bytes] = []
        for track, queue in self._queues.items():
            n_bytes = self._next_packet_bytes(track)
            if n_bytes > 0:
                messages += self._sender.media(queue[:n_bytes], track)
                self._unended |= {track} & self._delayed
            elif not self._is_ending(track):
                continue
            if n_bytes < self._packet_bytes:
                messages += self._sender.flush(track)
                self._unended.discard(track)
                if self._sender.role == "endpoint":
                    self._shorten_slot(self._duration_ms(n_bytes) + self._sender.delay_ms)
            del queue[:n_bytes]
            self._sent_bytes[track] += n_bytes
        self._packets_since_anchor += bool(messages)
        return messages

    def _shorten_slot(self, duration_ms: float) -> None:
        """Move the deadlines behind a short packet: a platform plays without a gap what it has."""
        self._anchor_ms -= self._sender.format.ptime_ms - duration_ms

    def _next_packet_bytes(self, track: str) -> int:
        """PCM of the next packet; 0 when there is none. It may be short when something waits for it."""
        n_queued = len(self._queues[track])
        if n_queued >= self._packet_bytes:
            return self._packet_bytes
        waited_for = self._behind[-1].sent_bytes.get(track, 0) if self._behind else 0
        return n_queued if waited_for > self._sent_bytes[track] else 0

    def _is_ending(self, track: str) -> bool:
        """Whether all audio of a track has been sent, and something waits for what the sender holds of it."""
        waiting = self._behind[-1].sent_bytes if self._behind else {}
        return track in self._unended and track in waiting and not self._queues[track]

    def _has_packet(self) -> bool:
        return any(self._next_packet_bytes(track) or self._is_ending(track) for track in self._queues)

    def _queue_behind(self, make: Callable[[], list[bytes]], mark: str | None = None) -> None:
        if len(self._behind) >= MARKS_MAX and not self._finished:
            raise LocalProtocolError(f"{MARKS_MAX} marks and keys wait for audio before them: takes no more")
        sent_bytes = {track: self._sent_bytes[track] + len(queue) for track, queue in self._queues.items()}
        self._behind.append(_Behind(sent_bytes, make, mark))

    def _check_time(self, now_ms: float) -> None:
        if not math.isfinite(now_ms):
            raise ValueError(f"now_ms {now_ms}: takes a finite number of milliseconds")

    def _check_live(self, what: str) -> None:
        if self._finished:
            raise LocalProtocolError(f"{what} after finish")

    def _duration_ms(self, n_bytes: int) -> float:
        return n_bytes / 2 * 1000 / self._sender.sample_rate


def _pcm_bytes(pcm: "Buffer", sample_rate: int) -> memoryview:
    if isinstance(pcm, Frame) and (pcm.sample_rate, pcm.channels) != (sample_rate, 1):
        raise FormatError(
            f"frame of {pcm.sample_rate} Hz and {pcm.channels} channels: takes {sample_rate} Hz and 1"
        )
    view = memoryview(cast("AnyBuffer", pcm))
    if view.format not in ("B", "b", "c", "h") or not view.c_contiguous:
        raise TypeError(f"takes bytes or contiguous s16, not items of format {view.format!r}")
    if view.nbytes % 2:
        raise ValueError(f"{view.nbytes} bytes of PCM: not a whole number of 2-byte samples")
    return view.cast("B")
