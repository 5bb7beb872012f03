"""WavSource: the audio of a WAV file as the tracks of a stream."""

import os
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from trunkline.errors import FormatError
from trunkline.formats import CodecSpec
from trunkline.wav import WavReader

__all__ = ["WavSource"]

CHUNK_MS: Final = 200
_CURES: Final = {1: "stream it as inbound or as outbound", 2: "stream it as both tracks"}


class WavSource:
    """Give the channels of a WAV file to the tracks of a stream: left to the first, right to the second.

    A context manager. Iterating gives chunks for `stream`, once; `position_ms` says how far it is, of
    `duration_ms`, which is None for a pipe. Raises FormatError when the file's sample rate is not the
    codec's, or when it has not one channel for each track.
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
        try:
            self._check(name, codec)
        except FormatError:
            self._reader.close()
            raise

    async def __aiter__(self) -> AsyncIterator[dict[str, bytes]]:
        rate, n_tracks = self._reader.sample_rate, len(self._tracks)
        for pcm in self._reader.blocks(rate * CHUNK_MS // 1000):
            samples = memoryview(pcm).cast("h")
            yield {track: samples[k::n_tracks].tobytes() for k, track in enumerate(self._tracks)}
            self.position_ms += len(samples) / n_tracks * 1000 / rate

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def _check(self, name: str, codec: CodecSpec) -> None:
        rate, n_channels, n_tracks = self._reader.sample_rate, self._reader.channels, len(self._tracks)
        if rate != codec.sample_rate:
            raise FormatError(
                f"{name} has {rate} Hz, {codec} takes {codec.sample_rate} Hz: convert the file first "
                f"(sox IN.wav -r {codec.sample_rate} OUT.wav), or choose a codec of {rate} Hz"
            )
        if n_channels != n_tracks:
            cure = _CURES.get(n_channels, "mix it down to one channel per track first")
            tracks = ", ".join(self._tracks)
            raise FormatError(f"{name} has {n_channels} channel(s) for {n_tracks} track(s), {tracks}: {cure}")
