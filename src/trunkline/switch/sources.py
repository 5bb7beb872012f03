"""Sources: where a call's audio comes from."""

import os
from typing import Protocol

__all__ = [
    "CaptureSource",
    "FileSource",
    "PcmSource",
    "SilenceSource",
    "Source",
    "SpeechSource",
    "ToneSource",
]


class Source(Protocol):
    """Audio of one side of a call, mono native-endian s16."""

    @property
    def sample_rate(self) -> int:
        """In Hz."""

    def read(self, n_samples: int, /) -> bytes:
        """Give the next samples; fewer when it has ended. A live source fills up with silence."""

    def close(self) -> None:
        """Let go of files and sockets. Idempotent."""


class PcmSource:
    """Samples in memory. `seconds`: for how long they go round and round, math.inf for ever; None: once."""

    def __init__(self, pcm: bytes, sample_rate: int = 8000, *, seconds: float | None = None) -> None:
        self.sample_rate = sample_rate

    def read(self, n_samples: int) -> bytes:
        """Give the next samples."""
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing."""


class ToneSource(PcmSource):
    """A sine of a whole number of Hz, without end unless `seconds` are given."""

    def __init__(self, frequency_hz: int = 440, sample_rate: int = 8000, *, seconds: float | None = None) -> None:
        raise NotImplementedError


class SpeechSource(PcmSource):
    """A talker (`testing.speech_like`), without end unless `seconds` are given."""

    def __init__(self, sample_rate: int = 8000, *, seed: int = 0, seconds: float | None = None) -> None:
        raise NotImplementedError


class SilenceSource(PcmSource):
    """Digital silence, without end unless `seconds` are given."""

    def __init__(self, sample_rate: int = 8000, *, seconds: float | None = None) -> None:
        raise NotImplementedError


class FileSource:
    """One channel of an audio file: WAV natively, what else soundfile reads (`pip install 'trunkline[files]'`)."""

    def __init__(self, path: str | os.PathLike[str], *, channel: int = 0) -> None:
        raise NotImplementedError

    sample_rate: int

    def read(self, n_samples: int) -> bytes:
        """Give the next samples."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError


class CaptureSource:
    """One track of a captured call (`trunkline receive --capture`)."""

    def __init__(self, path: str | os.PathLike[str], *, track: str = "inbound") -> None:
        raise NotImplementedError

    sample_rate: int

    def read(self, n_samples: int) -> bytes:
        """Give the next samples."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError
