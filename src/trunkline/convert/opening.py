"""A recording, opened by whatever reads it: an audio file, or a captured call."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, Self

import numpy as np
import numpy.typing as npt

from trunkline.audio_files import HEAD_BYTES, check_regular, read_head, sniff
from trunkline.convert.readers import FLOAT_ENCODINGS, open_reader
from trunkline.convert.remote import is_remote
from trunkline.errors import FormatError, PayloadError

__all__ = ["Recording", "Samples", "Source", "kind_of"]

Source = str | os.PathLike[str] | BinaryIO
Samples = npt.NDArray[np.float64]
CHANNELS_MAX: Final = 64  # a block of the 65,535 that a header may claim would be gigabytes


def kind_of(source: Source) -> str:
    """Name the format of a file as `sniff` does; FormatError when it is not regular."""
    if not isinstance(source, str | os.PathLike):
        return sniff(read_head(source))
    if is_remote(os.fspath(source)):
        raise FormatError(f"{source}: takes files of this machine alone; trunkline convert takes URLs")
    check_regular(source)
    with open(source, "rb") as file:
        return sniff(file.read(HEAD_BYTES))


class Recording:
    """An audio file, or a capture as it would have been recorded: inbound left, outbound right.

    `on_damage` is told in a sentence each what is wrong with it, as far as it has been read. Errors name the
    file: FormatError when nobody reads it, PayloadError where it is broken, LibraryMissingError when a
    library is missing, OSError when it cannot be read.
    """

    def __init__(self, source: Source, on_damage: Callable[[str], None] = lambda what: None) -> None:
        self.name = os.fspath(source) if isinstance(source, str | os.PathLike) else "standard input"
        self.kind = kind_of(source)
        with self._named():
            self.reader = open_reader(source, None, on_damage)
        self.encoding, self.sample_rate = self.reader.encoding, self.reader.sample_rate
        self.channels = self.reader.channels
        self.not_finite = 0  # of the samples that are read so far
        if self.channels > CHANNELS_MAX:
            self.reader.close()
            raise FormatError(f"{self.name}: {self.channels} channels: takes up to {CHANNELS_MAX}")

    @property
    def n_samples(self) -> int | None:
        """Samples per channel as the file says, or as it shows when it is looked through; None for a pipe."""
        return self.reader.n_samples

    def read(self, n_samples: int) -> Samples:
        """Read up to `n_samples` per channel, full scale 1.0, a row for each channel; none at the end.

        NaN is 0, and infinity full scale.
        """
        with self._named():
            pcm = np.frombuffer(self.reader.read_float(n_samples), np.float32)
        if self.encoding in FLOAT_ENCODINGS and not (is_finite := np.isfinite(pcm)).all():
            self.not_finite += int(np.count_nonzero(~is_finite))
            pcm = np.nan_to_num(pcm, nan=0.0, posinf=1.0, neginf=-1.0)
        return pcm.reshape(-1, self.channels).T.astype(np.float64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.reader.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (FormatError, PayloadError) as error:
            said = str(error).removeprefix(f"{self.name}: ")
            raise type(error)(f"{self.name}: {said}") from error
