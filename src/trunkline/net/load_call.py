"""LoadCall: one call of a load, which is told when to send its next packet; and what all calls count."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from trunkline.errors import LocalProtocolError, PayloadError, RemoteProtocolError
from trunkline.extras import needs_extra
from trunkline.lateness import Lateness
from trunkline.net.client import MESSAGE_BYTES_MAX, STOP_TIMEOUT_S, Sending
from trunkline.net.masked_frame import masked_frame
from trunkline.stream import Mark, StreamReceiver, StreamSender

with needs_extra("server"):
    import aiohttp

if TYPE_CHECKING:
    from trunkline.net.load import Pacer

__all__ = ["Faults", "LoadCall", "Tally"]

BACKLOG_BYTES_MAX: Final = 48 * 1024  # 3 s of PCMU; below asyncio's high-water mark, so that no send waits
AHEAD_PACKETS: Final = 10
MARKS_OUT_MAX: Final = 10  # of a call: who echoes none is sent no more
ANSWER_TIMEOUT_S: Final = 2.0  # how long a call waits for its last marks before it says stop


class Faults(NamedTuple):
    """Which part of the packets (0 to 1) is left out, and which changes places with the one behind it."""

    drop: float = 0.0
    reorder: float = 0.0


@dataclass
class Tally:
    """What was counted of all calls: a packet that was due is sent, left out, lost or held back."""

    connected: int = 0
    completed: int = 0
    broken: int = 0
    refused: int = 0
    due: int = 0
    sent: int = 0
    left_out: int = 0
    reordered: int = 0
    lost: int = 0
    marks: int = 0
    echoed: int = 0
    unanswered: int = 0
    late: Lateness = field(default_factory=Lateness)
    answer: Lateness = field(default_factory=Lateness)
    reasons: Counter[str] = field(default_factory=Counter)


class LoadCall(Sending):
    """A stream of `n_packets` that were encoded before, from the `first` of `payloads` on, round and round.

    Among them goes a mark every `mark_every_ms`. The first and the last packet are neither left out nor held
    back, so that a receiver can count the rest.
    """

    __slots__ = (
        "_ahead",
        "_answers",
        "_faults",
        "_first",
        "_has_all_answers",
        "_has_faults",
        "_has_marks",
        "_has_sent_all",
        "_held",
        "_is_media_text",
        "_is_plain",
        "_mark_at",
        "_mark_every",
        "_marks",
        "_n_due",
        "_n_packets",
        "_payloads",
        "_rng",
        "_sender",
        "_tally",
        "_wrote",
        "fd",
    )

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        sender: StreamSender,
        payloads: Sequence[bytes],
        n_packets: int,
        faults: Faults,
        tally: Tally,
        mark_every_ms: int,
        seed: str,
    ) -> None:
        super().__init__(socket)
        self._stop_timeout_s = STOP_TIMEOUT_S if sender.needs_stop else 0.0  # else it is ours to close
        self._sender = sender
        self._answers = StreamReceiver(
            role="platform",
            format=sender.format,
            stream_id=sender.stream_id,
            dialect=sender.dialect,
            max_message_bytes=MESSAGE_BYTES_MAX,
        )
        self._is_plain, self.fd = False, -1
        if self._transport is not None:
            self._is_plain = self._transport.get_extra_info("ssl_object") is None
            self.fd = self._transport.get_extra_info("socket").fileno()
        self._wrote = False  # by the transport, which may hold it
        self._is_media_text = sender.is_text(b"")
        self._has_marks = _has_marks(sender)
        self._payloads = payloads
        self._n_packets = n_packets
        self._faults = faults
        self._has_faults = any(faults)
        self._tally = tally
        self._rng = random.Random(seed)  # noqa: S311
        self._first = self._rng.randrange(len(payloads))
        self._mark_every = max(1, mark_every_ms // sender.format.ptime_ms)
        self._mark_at = self._mark_every // 2
        self._n_due = 0
        self._ahead: list[bytes] = []  # frames of the packets that are due next, the last one first
        self._held: list[bytes] = []
        self._marks: dict[str, float] = {}  # that are out: when they left
        self._has_sent_all = asyncio.Event()
        self._has_all_answers = asyncio.Event()

    async def send_all(self, pacer: "Pacer") -> None:
        """Say start, have `pacer` send the packets, wait for the marks that are out, and say stop."""
        self._write_each(self._sender.start())
        self._write_ahead()
        pacer.add(self)
        try:
            await self._has_sent_all.wait()
        finally:
            pacer.discard(self)
        if self._tally.echoed and self._marks:
            self._has_all_answers.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await self._has_all_answers.wait()
        self._write_each(self._sender.stop())

    def take_next(self) -> bytes | None:
        """Take the packet that is due: a frame for the caller to write to `fd`, who then calls `sent`.

        None: nothing is to be written, because the packet was left out or lost, or sent already, the long
        way. OSError when the peer has gone. Nothing waits for the endpoint: where it has left too much
        waiting, the packet is lost.
        """
        if not self._ahead:
            return None
        frame = self._ahead.pop()
        self._n_due += 1
        self._tally.due += 1
        if self._has_faults and self._is_at_fault(frame):
            pass
        elif self._is_plain and not self._held and self._is_idle():
            return frame
        else:
            self._write_packet(frame)
            while self._held:
                self._tally.reordered += 1
                self._write_packet(self._held.pop())
        if not self._ahead:
            self._go_on()
        return None

    def sent(self, frame: bytes, n_bytes: int) -> None:
        """Be told how much of a frame the kernel has taken; below 0: the peer has gone."""
        if n_bytes < 0:
            self._tally.lost += 1
            raise ConnectionResetError("the connection has gone")
        if n_bytes < len(frame):
            self._write(frame[n_bytes:])
        else:
            self._sent += 1
        self._tally.sent += 1
        if not self._ahead:
            self._go_on()

    def give_up(self) -> None:
        """Send no more, from now on, and let `run` close."""
        self._ahead.clear()
        super().give_up()

    def finish(self) -> None:
        """Let the packets that are written be the last, and say stop."""
        self._n_packets = self._n_due + len(self._ahead)
        if not self._ahead:
            self._has_sent_all.set()

    def settle(self) -> None:
        """Count as lost what was not sent when the call ended, and marks that were not echoed."""
        n_left = self._n_packets - self._n_due
        self._tally.due += n_left
        self._tally.lost += n_left + len(self._held)
        self._held.clear()
        if self._tally.echoed:
            self._tally.unanswered += len(self._marks)

    def _go_on(self) -> None:
        """Send a mark where it is due, and write what comes next."""
        if self._n_due % self._mark_every == self._mark_at and len(self._marks) < MARKS_OUT_MAX:
            self._write_mark(str(self._n_due))
        if self._n_due == self._n_packets:
            self._has_sent_all.set()
        else:
            self._write_ahead()

    def _write_ahead(self) -> None:
        """Write the frames of the next packets, up to a mark or the end, the last one first.

        One at a time takes about twice as long: when its turn comes, a call is in none of the core's caches.
        """
        k, speech = self._n_due, self._payloads
        to_mark = (self._mark_at - k - 1) % self._mark_every + 1
        end = min(k + to_mark, k + AHEAD_PACKETS, self._n_packets)
        for at in range(self._first + k, self._first + end):
            (message,) = self._sender.payload(speech[at % len(speech)])
            self._ahead.append(masked_frame(message, self._is_media_text))
        self._ahead.reverse()

    def _is_at_fault(self, frame: bytes) -> bool:
        """Say whether a packet is not sent now: it is left out, or held back until behind the next one."""
        if self._n_due in (1, self._n_packets):
            return False
        if self._rng.random() < self._faults.drop:
            self._tally.left_out += 1
            return True
        if not self._held and self._rng.random() < self._faults.reorder:
            self._held.append(frame)
            return True
        return False

    def _write_packet(self, frame: bytes) -> None:
        if self._has_backlog():
            self._tally.lost += 1
            return
        try:
            self._write(frame)
        except OSError:
            self._tally.lost += 1
            raise
        self._tally.sent += 1

    def _write_mark(self, name: str) -> None:
        if self._has_marks and not self._has_backlog():
            self._marks[name] = self._loop.time()
            self._tally.marks += 1
            self._write_each(self._sender.mark(name))

    def _write_each(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            self._write(masked_frame(message, self._sender.is_text(message)))

    def _write(self, frame: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection has gone")
        self._transport.write(frame)
        self._wrote = True
        self._sent += 1

    def _is_idle(self) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if self._wrote:
            self._wrote = transport.get_write_buffer_size() > 0
        return not self._wrote

    def _has_backlog(self) -> bool:
        return self._transport is None or self._transport.get_write_buffer_size() > BACKLOG_BYTES_MAX

    def _take(self, message: aiohttp.WSMessage) -> None:
        """Time the echo of a mark; audio that comes back is passed over."""
        if not isinstance(message.data, str) or '"media"' in message.data:
            return
        with suppress(RemoteProtocolError, PayloadError):
            for said in self._answers.receive(message.data):
                if isinstance(said, Mark):
                    self._take_mark(said.name)

    def _take_mark(self, name: str) -> None:
        sent_s = self._marks.pop(name, None)
        if sent_s is None:
            return
        self._tally.echoed += 1
        self._tally.answer.add((self._loop.time() - sent_s) * 1000)
        if not self._marks:
            self._has_all_answers.set()


def _has_marks(sender: StreamSender) -> bool:
    """Say whether a platform of the dialect has a message that is a mark."""
    try:
        sender.check_has("mark")
    except LocalProtocolError:
        return False
    return True
