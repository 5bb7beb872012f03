"""The files of a recording: what is on a Recorder's timeline, as each layout has it."""

import os
from array import array
from pathlib import Path
from typing import Final

from trunkline import audioop
from trunkline.wav import WavWriter

__all__ = ["LAYOUTS", "RecordingFiles", "paths_of"]

LAYOUTS: Final = ("stereo", "mixed", "separate")


def paths_of(path: str | os.PathLike[str], layout: str, tracks: list[str]) -> dict[str, Path]:
    """Name the file of each track; in one file all tracks have the same."""
    whole = Path(path)
    if layout != "separate":
        return dict.fromkeys(tracks, whole)
    return {track: whole.with_name(f"{whole.stem}.{track}{whole.suffix}") for track in tracks}


class RecordingFiles:
    """PCM16 WAVs of `tracks` of `channels` each, which all begin and end together."""

    def __init__(
        self, path: str | os.PathLike[str], layout: str, tracks: list[str], *, sample_rate: int, channels: int
    ) -> None:
        self.paths = paths_of(path, layout, tracks)
        self._layout = layout
        self._channels = channels
        self._n_channels = channels * len(tracks)
        self._writers: list[WavWriter] = []
        try:
            for name in dict.fromkeys(self.paths.values()):
                n_channels = self._n_channels if layout == "stereo" else channels
                self._writers.append(WavWriter(name, sample_rate=sample_rate, channels=n_channels))
        except BaseException:
            self.close()
            raise

    @property
    def n_samples(self) -> int:
        """Samples per channel in every file."""
        return min(writer.n_samples for writer in self._writers)

    @property
    def duration_ms(self) -> float:
        """The length of the shortest file."""
        return min(writer.duration_ms for writer in self._writers)

    def write_at(self, position: int, pcm: bytes | bytearray) -> None:
        """Write PCM of all tracks, interleaved, at a position of the timeline."""
        if self._layout == "stereo":
            self._writers[0].write_at(position, pcm)
            return
        with memoryview(pcm).cast("h") as samples:
            tracks = [self._track(samples, first) for first in range(0, self._n_channels, self._channels)]
        if self._layout == "mixed":
            mixed = tracks[0]
            for track in tracks[1:]:
                mixed = audioop.add(mixed, track, 2)  # saturates
            tracks = [mixed]
        for writer, track in zip(self._writers, tracks, strict=True):
            writer.write_at(position, track)

    def _track(self, samples: memoryview, first_channel: int) -> bytes:
        """Take a track's channels out of all."""
        track = array("h", bytes(len(samples) // self._n_channels * self._channels * 2))
        with memoryview(track) as view:
            for channel in range(self._channels):
                view[channel :: self._channels] = samples[first_channel + channel :: self._n_channels]
        return track.tobytes()

    def close(self) -> None:
        """Finish every file, also when one cannot be finished: then raise what came of that."""
        failed: OSError | None = None
        for writer in self._writers:
            try:
                writer.close()
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed
