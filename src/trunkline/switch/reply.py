"""Reply: what an endpoint says on a two-way stream, until it has been heard on the call."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.formats import CodecSpec
from trunkline.stream import Cleared, Dtmf, Event, Frame, Mark, StreamReceiver

__all__ = ["Reply"]

QUEUED_MAX_S: Final = 300  # of audio that was not heard yet
MARKS_MAX: Final = 1024  # that wait for audio before them
KEYS_MAX: Final = 32  # at once, and one more with every read: the other streams are told of each

_log = logging.getLogger(__name__)


class Reply:
    """The audio of an endpoint that waits for its turn, at the call's `sample_rate`, and the marks in it.

    `echo(name)` is called when the audio before a mark was heard, and for all of them when the endpoint
    clears its audio; `press(digit, duration_ms)` when it presses a key. Audio beyond five minutes, marks
    beyond 1,024, keys faster than anybody presses them, and messages that break the protocol are left out and
    counted in `left_out`.

    Raises FormatError for a format that is not decoded, or whose 20 ms are no whole number of samples.
    """

    def __init__(
        self,
        format: CodecSpec,
        stream_id: str,
        sample_rate: int,
        *,
        echo: Callable[[str], None],
        press: Callable[[str, int | None], None],
    ) -> None:
        self._receiver = StreamReceiver(
            role="platform", format=format, stream_id=stream_id, sample_rate=sample_rate
        )
        self._echo = echo
        self._press = press
        self._pcm = bytearray()
        self._pcm_bytes_max = 2 * sample_rate * QUEUED_MAX_S
        self._n_taken = 0  # bytes of PCM since it began, queued or heard
        self._marks: deque[tuple[int, str]] = deque()  # behind so many bytes
        self._is_heard = False  # audio that was read last is being played now
        self._keys_left = KEYS_MAX
        self.left_out = 0

    def receive(self, message: str) -> None:
        """Take one message."""
        try:
            events = self._receiver.receive(message)
        except TrunklineError as error:
            if not self.left_out:  # one line a stream: an endpoint may send nothing else
                _log.warning("two-way stream: a message is left out: %s", error)
            self.left_out += 1
            return
        for event in events:
            self._on_event(event)

    def read(self, n_samples: int) -> bytes:
        """Give the next samples, filled up with silence; what was read before has been heard."""
        self._keys_left = min(KEYS_MAX, self._keys_left + 1)
        self._echo_until(self._n_taken - len(self._pcm))
        pcm = bytes(self._pcm[: 2 * n_samples])
        del self._pcm[: 2 * n_samples]
        self._is_heard = bool(pcm)
        return pcm.ljust(2 * n_samples, b"\0")

    def drop(self) -> None:
        """Forget the audio and the marks that were not heard."""
        self._pcm.clear()
        self._marks.clear()

    def _on_event(self, event: Event) -> None:
        match event:
            case Frame():
                if len(self._pcm) >= self._pcm_bytes_max:
                    self.left_out += 1
                    return
                pcm = memoryview(event).cast("B")
                self._pcm += pcm
                self._n_taken += len(pcm)
            case Mark(name):
                self._on_mark(name)
            case Cleared():
                self._n_taken -= len(self._pcm)
                self._pcm.clear()
                for _ in range(len(self._marks)):
                    self._echo(self._marks.popleft()[1])
            case Dtmf(digit, duration_ms) if self._keys_left:
                self._keys_left -= 1
                self._press(digit, duration_ms)
            case Dtmf():
                self.left_out += 1

    def _on_mark(self, name: str) -> None:
        if not self._pcm and not self._is_heard:
            self._echo(name)
        elif len(self._marks) < MARKS_MAX:
            self._marks.append((self._n_taken, name))
        else:
            self.left_out += 1

    def _echo_until(self, n_bytes: int) -> None:
        while self._marks and self._marks[0][0] <= n_bytes:
            self._echo(self._marks.popleft()[1])
