"""LoadCall: one call of a load, which is told when to send its next packet; and what all calls count."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from trunkline.errors import LocalProtocolError, PayloadError, RemoteProtocolError
from trunkline.extras import needs_extra
from trunkline.lateness import Lateness
from trunkline.net.client import MESSAGE_BYTES_MAX, STOP_TIMEOUT_S, Sending
from trunkline.stream import Mark, StreamReceiver, StreamSender

with needs_extra("server"):
    import aiohttp
    from aiohttp import WSMsgType

if TYPE_CHECKING:
    from trunkline.net.load import Pacer

__all__ = ["Faults", "LoadCall", "Tally"]

BACKLOG_BYTES_MAX: Final = 48 * 1024  # 3 s of PCMU; below asyncio's high-water mark, so that no send waits
MARK_EVERY_MS: Final = 1000
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

    The first and the last packet are neither left out nor held back, so that a receiver can count the rest.
    """

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        sender: StreamSender,
        payloads: Sequence[bytes],
        n_packets: int,
        faults: Faults,
        tally: Tally,
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
        self._has_marks = _has_marks(sender)
        self._payloads = payloads
        self._n_packets = n_packets
        self._faults = faults
        self._tally = tally
        self._rng = random.Random(seed)  # noqa: S311
        self._first = self._rng.randrange(len(payloads))
        self._mark_every = max(1, MARK_EVERY_MS // sender.format.ptime_ms)
        self._n_due = 0
        self._held: list[bytes] = []
        self._marks: dict[str, float] = {}  # that are out: when they left
        self._has_sent_all = asyncio.Event()
        self._has_all_answers = asyncio.Event()

    async def send_all(self, pacer: "Pacer") -> None:
        """Say start, have `pacer` call `send_next`, wait for the marks that are out, and say stop."""
        for message in self._sender.start():
            await self._send_message(message)
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
        for message in self._sender.stop():
            await self._send_message(message)

    async def send_next(self, due_s: float) -> None:
        """Send the packet that is due, and a mark once a second; ConnectionError when the peer has gone.

        It does not wait for the endpoint: where too much has not been taken yet, the packet is lost.
        """
        k, tally = self._n_due, self._tally
        if k == self._n_packets:
            return
        self._n_due += 1
        tally.due += 1
        (message,) = self._sender.payload(self._payloads[(self._first + k) % len(self._payloads)])
        may_fail = 0 < k < self._n_packets - 1
        if may_fail and self._rng.random() < self._faults.drop:
            tally.left_out += 1
        elif may_fail and not self._held and self._rng.random() < self._faults.reorder:
            self._held.append(message)
        else:
            await self._send_packet(message)
            while self._held:
                tally.reordered += 1
                await self._send_packet(self._held.pop())
        tally.late.add((self._loop.time() - due_s) * 1000)
        if k % self._mark_every == self._mark_every // 2 and len(self._marks) < MARKS_OUT_MAX:
            await self._send_mark(str(k))
        if self._n_due == self._n_packets:
            self._has_sent_all.set()

    def finish(self) -> None:
        """Let the packet that was due last be the last, and say stop."""
        self._n_packets = self._n_due
        self._has_sent_all.set()

    def settle(self) -> None:
        """Count as lost what was not sent when the call ended, and marks that were not echoed."""
        n_left = self._n_packets - self._n_due
        self._tally.due += n_left
        self._tally.lost += n_left + len(self._held)
        self._held.clear()
        if self._tally.echoed:
            self._tally.unanswered += len(self._marks)

    async def _send_packet(self, message: bytes) -> None:
        if self._has_backlog:
            self._tally.lost += 1
            return
        try:
            await self._send_message(message)
        except ConnectionError:
            self._tally.lost += 1
            raise
        self._tally.sent += 1

    async def _send_mark(self, name: str) -> None:
        if self._has_marks and not self._has_backlog:
            self._marks[name] = self._loop.time()
            self._tally.marks += 1
            for message in self._sender.mark(name):
                await self._send_message(message)

    async def _send_message(self, message: bytes) -> None:
        await self._send(message, WSMsgType.TEXT if self._sender.is_text(message) else WSMsgType.BINARY)

    @property
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
