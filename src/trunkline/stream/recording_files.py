"""The files of a recording: what is on a Recorder's timeline, as each layout has it."""

import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from trunkline import audioop
from trunkline.errors import FormatError
from trunkline.formats import OPUS_CHANNELS_MAX, OPUS_RATES
from trunkline.opus import OpusWriter
from trunkline.stream.events import Start
from trunkline.stream.messages import TRACKS
from trunkline.wav import WavWriter

__all__ = [
    "FORMATS",
    "LAYOUTS",
    "RecordingFiles",
    "check_layout",
    "check_name",
    "paths_of",
    "recorded_tracks",
]

LAYOUTS: Final = ("stereo", "mixed", "separate")
FORMATS: Final = ("wav", "opus")  # what file names end in


def check_layout(layout: str) -> None:
    """Raise FormatError for a layout that there is not."""
    if layout not in LAYOUTS:
        raise FormatError(f"layout {layout!r}: takes {', '.join(LAYOUTS)}")


def check_name(path: str | os.PathLike[str]) -> None:
    """Raise FormatError for a name that promises a format which is not recorded to."""
    suffix = Path(path).suffix.lower()
    if suffix not in ("", ".wav", ".wave", ".opus"):
        raise FormatError(f"recording to {suffix!r}: takes .wav and .opus")


def recorded_tracks(start: Start) -> list[str]:
    """Name the tracks of a recording: those that were declared, all when none was."""
    return [track for track in TRACKS if not start.tracks or track in start.tracks]


def paths_of(path: str | os.PathLike[str], layout: str, tracks: list[str]) -> dict[str, Path]:
    """Name the file of each track; in one file all tracks have the same."""
    whole = Path(path)
    if layout != "separate":
        return dict.fromkeys(tracks, whole)
    return {track: whole.with_name(f"{whole.stem}.{track}{whole.suffix}") for track in tracks}


class RecordingFiles:
    """PCM16 WAVs of `tracks` of `channels` each, or Ogg Opus, which all begin and end together."""

    def __init__(
        self, path: str | os.PathLike[str], layout: str, tracks: list[str], *, sample_rate: int, channels: int
    ) -> None:
        self.paths = paths_of(path, layout, tracks)
        self.rewritable = not os.fspath(path).lower().endswith(".opus")
        self._layout = layout
        self._channels = channels
        self._n_channels = channels * len(tracks)
        self._writers: dict[Path, WavWriter | OpusWriter] = {}
        try:
            for name in dict.fromkeys(self.paths.values()):
                n_channels = self._n_channels if layout == "stereo" else channels
                if not self.rewritable:
                    _check_opus(sample_rate, n_channels)
                open_file = WavWriter if self.rewritable else OpusWriter
                with _naming(name):
                    self._writers[name] = open_file(name, sample_rate=sample_rate, channels=n_channels)
        except BaseException:
            self.close()
            raise

    @property
    def duration_ms(self) -> float:
        """The length of the shortest file, once they are closed or one has failed."""
        return min(writer.duration_ms for writer in self._writers.values())

    def write_at(self, position: int, pcm: bytes | bytearray) -> None:
        """Write PCM of all tracks, interleaved, at a position of the timeline.

        That is where the last one ended, unless the files are `rewritable`.
        """
        tracks: list[bytes | bytearray] = [pcm]
        if self._layout != "stereo":
            with memoryview(pcm).cast("h") as samples:
                tracks = [self._track(samples, first) for first in range(0, self._n_channels, self._channels)]
        if self._layout == "mixed":
            mixed = tracks[0]
            for track in tracks[1:]:
                mixed = audioop.add(mixed, track, 2)  # saturates
            tracks = [mixed]
        for (name, writer), track in zip(self._writers.items(), tracks, strict=True):
            with _naming(name):
                _write(writer, position, track)

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
        for name, writer in self._writers.items():
            try:
                with _naming(name):
                    writer.close()
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say in what a full disk raises which file it was: a server records many."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _write(writer: WavWriter | OpusWriter, position: int, pcm: bytes | bytearray) -> None:
    if isinstance(writer, WavWriter):
        writer.write_at(position, pcm)
    else:  # which appends: `position` is where the last one ended
        writer.write(pcm)


def _check_opus(sample_rate: int, channels: int) -> None:
    """Refuse what Opus does not take, with what a recorder can do instead."""
    if sample_rate not in OPUS_RATES:
        takes = ", ".join(map(str, OPUS_RATES))
        raise FormatError(
            f"recording of {sample_rate} Hz: Opus takes {takes} Hz: receive at one of these rates, "
            "or record to a .wav"
        )
    if channels > OPUS_CHANNELS_MAX:
        raise FormatError(
            f"recording of {channels} channels: Opus takes 1 or {OPUS_CHANNELS_MAX}: choose layout "
            "mixed or separate, or record to a .wav"
        )
