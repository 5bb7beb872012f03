"""Sources: where a call's audio comes from.

>>> source = ToneSource(1000, seconds=0.05)
>>> [len(source.read(160)) for _ in range(4)]
[320, 320, 160, 0]
"""

import math
from functools import lru_cache
from typing import Final, Protocol

from trunkline.errors import FormatError
from trunkline.resample import Resampler
from trunkline.testing import speech_like, tone

__all__ = ["PcmSource", "SilenceSource", "Source", "SpeechSource", "ToneSource", "at_rate"]

SPEECH_S: Final = 10.0  # of a talker, before it begins anew


class Source(Protocol):
    """Audio of one side of a call, mono native-endian s16."""

    @property
    def sample_rate(self) -> int:
        """In Hz."""

    def read(self, n_samples: int, /) -> bytes:
        """Give the next samples; fewer only when it ends, and then none.

        It is called every 20 ms of the call's time and must not wait: what is late is silence.
        """

    def close(self) -> None:
        """Let go of files and sockets. Idempotent."""


class PcmSource:
    """Samples in memory, mono native-endian s16.

    They are given once, or, for `seconds` (math.inf for ever), round and round. Raises FormatError for no
    whole number of samples, and for `seconds` of nothing.
    """

    def __init__(self, pcm: bytes, sample_rate: int = 8000, *, seconds: float | None = None) -> None:
        if len(pcm) % 2:
            raise FormatError(f"PCM of {len(pcm)} bytes: takes a whole number of samples of 2 bytes")
        if seconds is not None and not (seconds >= 0 and pcm):
            raise FormatError(f"{len(pcm) // 2} samples for {seconds} s: takes 0 s or more, and a sample")
        self.sample_rate = sample_rate
        self._pcm = bytes(pcm)
        self._at = 0
        self._left: float = len(pcm)  # bytes
        if seconds is not None:
            self._left = math.inf if math.isinf(seconds) else 2 * round(seconds * sample_rate)

    def read(self, n_samples: int) -> bytes:
        """Give the next samples."""
        n_bytes = int(min(2 * n_samples, self._left))
        self._left -= n_bytes
        pcm = self._pcm[self._at : self._at + n_bytes]
        while len(pcm) < n_bytes:
            pcm += self._pcm[: n_bytes - len(pcm)]
        if self._pcm:
            self._at = (self._at + n_bytes) % len(self._pcm)
        return pcm

    def close(self) -> None:
        """Do nothing."""


class ToneSource(PcmSource):
    """A sine of a whole number of Hz at -6 dBFS, without end unless `seconds` are given."""

    def __init__(
        self, frequency_hz: int = 440, sample_rate: int = 8000, *, seconds: float = math.inf
    ) -> None:
        if not 0 < frequency_hz < sample_rate / 2 or frequency_hz % 1:
            raise FormatError(
                f"tone of {frequency_hz} Hz at {sample_rate} Hz: takes 1 to less than half of it, whole"
            )
        # A second holds whole periods, and so goes round without a click.
        super().__init__(tone(1.0, frequency_hz, sample_rate), sample_rate, seconds=seconds)


class SpeechSource(PcmSource):
    """A talker (`testing.speech_like`), every 10 s anew, without end unless `seconds` are given."""

    def __init__(self, sample_rate: int = 8000, *, seed: int = 0, seconds: float = math.inf) -> None:
        super().__init__(_talker(sample_rate, seed), sample_rate, seconds=seconds)


class SilenceSource(PcmSource):
    """Digital silence, without end unless `seconds` are given."""

    def __init__(self, sample_rate: int = 8000, *, seconds: float = math.inf) -> None:
        super().__init__(bytes(2 * sample_rate), sample_rate, seconds=seconds)


@lru_cache(maxsize=16)  # it takes longer to make than a tick
def _talker(sample_rate: int, seed: int) -> bytes:
    return speech_like(SPEECH_S, sample_rate, seed)


def at_rate(source: Source, sample_rate: int) -> Source:
    """Give `source` at another sample rate, when it has not that already."""
    return source if source.sample_rate == sample_rate else _Resampled(source, sample_rate)


class _Resampled:
    """A source at another rate, as long as before: the resampler's delay is read ahead."""

    def __init__(self, source: Source, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._source = source
        self._resampler = Resampler(source.sample_rate, sample_rate, quality="high")
        self._lead_in = 2 * self._resampler.delay_samples  # bytes
        self._pcm = bytearray()
        self._ended = False

    def read(self, n_samples: int) -> bytes:
        wanted = 2 * n_samples
        while len(self._pcm) < wanted and not self._ended:
            missing = (wanted - len(self._pcm) + self._lead_in) // 2
            n_in = math.ceil(missing * self._source.sample_rate / self.sample_rate)
            pcm = self._source.read(n_in)
            self._take(self._resampler.process(pcm))
            if len(pcm) < 2 * n_in:
                self._ended = True
                self._take(self._resampler.flush())
        pcm = bytes(self._pcm[:wanted])
        del self._pcm[:wanted]
        return pcm

    def close(self) -> None:
        self._source.close()

    def _take(self, pcm: bytes) -> None:
        self._pcm += pcm[self._lead_in :]
        self._lead_in = max(0, self._lead_in - len(pcm))
