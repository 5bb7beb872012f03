"""WavSource: the audio of a WAV file as the tracks of a stream."""

import os
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from types import TracebackType
from typing import Final, Self

from trunkline.errors import FormatError
from trunkline.formats import CodecSpec
from trunkline.resample import Resampler
from trunkline.wav import WavReader

__all__ = ["WavSource"]

CHUNK_MS: Final = 200
_CURES: Final = {1: "stream it as inbound or as outbound", 2: "stream it as both tracks"}


class WavSource:
    """Give the channels of a WAV file to the tracks of a stream: left to the first, right to the second.

    A context manager. Iterating gives chunks for `stream`, once, at the codec's sample rate: a file of
    another is resampled in quality "high", without its delay. `position_ms` says how far it is, of
    `duration_ms`, which is None for a pipe. Raises FormatError when the file's sample rate is not one of
    4,000 to 192,000 Hz, or when it has not one channel for each track.
    """

    def __init__(self, path: str | os.PathLike[str], codec: CodecSpec, tracks: tuple[str, ...]) -> None:
        name = os.fspath(path)
        try:
            self._reader = WavReader(path)
        except FormatError as error:
            raise FormatError(f"{name}: {error}; convert it first (sox {name} OUT.wav)") from error
        self._tracks = tracks
        self.position_ms = 0.0
        self.duration_ms = self._reader.duration_ms
        self._rate = codec.sample_rate
        try:
            self._check()
            self._resampler = Resampler(
                self._reader.sample_rate, self._rate, channels=len(tracks), quality="high"
            )
        except FormatError as error:
            self._reader.close()
            raise FormatError(f"{name}: {error}") from error

    async def __aiter__(self) -> AsyncIterator[dict[str, bytes]]:
        n_tracks = len(self._tracks)
        for pcm in self._converted():
            samples = memoryview(pcm).cast("h")
            yield {track: samples[k::n_tracks].tobytes() for k, track in enumerate(self._tracks)}
            self.position_ms += len(samples) / n_tracks * 1000 / self._rate

    def _converted(self) -> Iterator[bytes]:
        """Give the file's PCM at the codec's rate; the resampler's lead-in is left out."""
        blocks = self._reader.blocks(self._reader.sample_rate * CHUNK_MS // 1000)
        lead_in = 2 * len(self._tracks) * self._resampler.delay_samples
        for pcm in chain(map(self._resampler.process, blocks), map(Resampler.flush, (self._resampler,))):
            yield pcm[lead_in:]
            lead_in = max(0, lead_in - len(pcm))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def _check(self) -> None:
        n_channels, n_tracks = self._reader.channels, len(self._tracks)
        if n_channels != n_tracks:
            cure = _CURES.get(n_channels, "mix it down to one channel per track first")
            tracks = ", ".join(self._tracks)
            raise FormatError(f"{n_channels} channel(s) for {n_tracks} track(s), {tracks}: {cure}")
