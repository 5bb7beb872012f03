"""The two tracks of a call: each side's source, and what is heard on the outbound one in its place."""

import asyncio
import logging
from collections import deque

from trunkline.switch.reply import Reply
from trunkline.switch.sources import Source, at_rate

__all__ = ["Outbound", "Side"]

_log = logging.getLogger(__name__)


class Side:
    """One side of a call: its source at the call's rate, silence when it has none or it has ended."""

    def __init__(self, source: Source | None, sample_rate: int) -> None:
        self._source = None if source is None else at_rate(source, sample_rate)
        self.is_over = False

    def read(self, n_samples: int) -> bytes:
        """Give the next samples; `is_over` once there are none. A source that fails has ended."""
        pcm = b""
        if self._source is not None and not self.is_over:
            try:
                pcm = self._source.read(n_samples)
            except Exception:
                _log.exception("the source of a call failed")
            self.is_over = not pcm
        return pcm.ljust(2 * n_samples, b"\0")

    def close(self) -> None:
        """Close the source, and keep nothing of it. Idempotent."""
        if self._source is not None:
            self._source.close()
            self._source, self.is_over = None, True


class Outbound:
    """The outbound track: what is played, else the newest two-way stream, else the other side.

    The other side goes on, heard or not; what a two-way stream's endpoint said waits for its turn.
    """

    def __init__(self, side: Side, sample_rate: int) -> None:
        self._side = side
        self._sample_rate = sample_rate
        self._sounds: deque[tuple[Side, asyncio.Future[None]]] = deque()
        self.replies: list[Reply] = []

    def play(self, source: Source) -> "asyncio.Future[None]":
        """Play behind what is played; the future is done when it was heard."""
        heard = asyncio.get_running_loop().create_future()
        self._sounds.append((Side(source, self._sample_rate), heard))
        return heard

    def read(self, n_samples: int, *, is_answered: bool) -> bytes:
        """Give the next samples."""
        pcm = self._side.read(n_samples) if is_answered else bytes(2 * n_samples)
        while self._sounds:
            sound, heard = self._sounds[0]
            heard_pcm = sound.read(n_samples)
            if not (sound.is_over or heard.cancelled()):
                return heard_pcm
            self._end_sound()
        return self.replies[-1].read(n_samples) if self.replies else pcm

    def close(self) -> None:
        """Close every source, and end what is played. Idempotent."""
        self._side.close()
        while self._sounds:
            self._end_sound()

    def _end_sound(self) -> None:
        sound, heard = self._sounds.popleft()
        sound.close()
        if not heard.done():
            heard.set_result(None)
