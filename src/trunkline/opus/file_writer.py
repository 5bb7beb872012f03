"""OpusWriter: PCM into an Ogg Opus file, which lasts as long as the PCM, to the sample."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline._native.opus_encoder import Encoder
from trunkline.errors import FormatError
from trunkline.formats import OPUS_CHANNELS_MAX, OPUS_RATES
from trunkline.opus.ogg_writer import RATE, OggWriter

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["OpusWriter"]

BITRATE: Final = 24_000  # for each channel: with two speakers, neither is heard in the other then
PACKETS_HZ: Final = 50


class OpusWriter(Exclusive):
    """Encode PCM to an Ogg Opus file, in packets of 20 ms, each as soon as it is full.

    `file` is what OggWriter takes; `sample_rate` 8, 12, 16, 24 or 48 kHz; `channels` 1 or 2; `bitrate` in
    bit/s, 24,000 a channel by default; `tags`, such as {"TITLE": "call 7"}. The delay of the encoder is in
    the file's pre-skip, and what fills the last packet is trimmed: a player gives as many samples as were
    written. FormatError for other rates and channels, LibraryMissingError without libopus, both before the
    file is opened; OSError when it cannot be written.

    >>> import io
    >>> from trunkline import opus
    >>> file = io.BytesIO()
    >>> with opus.OpusWriter(file, sample_rate=16000) as writer:
    ...     writer.write(bytes(2 * 16000))
    >>> opus.OpusReader(io.BytesIO(file.getvalue())).duration_ms
    1000.0
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        *,
        sample_rate: int,
        channels: int = 1,
        bitrate: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        if sample_rate not in OPUS_RATES:
            raise FormatError(f"{sample_rate} Hz: Opus takes {', '.join(map(str, OPUS_RATES))} Hz")
        if not 1 <= channels <= OPUS_CHANNELS_MAX:
            raise FormatError(f"{channels} channels: Opus takes 1 or {OPUS_CHANNELS_MAX}")
        self.sample_rate = sample_rate
        self.channels = channels
        self._encoder = Encoder(sample_rate, channels, bitrate=bitrate or channels * BITRATE)
        self._packet_items = sample_rate // PACKETS_HZ * channels
        self._clock_samples = RATE // sample_rate  # a sample of ours
        self._pending = bytearray()
        self._item = "h"
        self._closed = self._failed = False
        pre_skip = self._encoder.lookahead * self._clock_samples
        self._writer = OggWriter(
            file, channels=channels, sample_rate=sample_rate, pre_skip=pre_skip, tags=tags
        )

    @property
    def duration_ms(self) -> float:
        """What is played of the file, once it is closed or has failed."""
        return self._writer.duration_ms

    @exclusive
    def write(self, pcm: "Buffer") -> None:
        """Append samples, interleaved: s16 as bytes or items of format h, or float32 items of format f.

        One writer takes one of the two. ValueError when they are not whole samples of every channel;
        OSError when the file takes no more: once, then the writer takes no more either.
        """
        if self._closed or self._failed:
            raise ValueError(f"write to an OpusWriter that {'is closed' if self._closed else 'has failed'}")
        with memoryview(pcm) as view:  # type: ignore[arg-type]
            item = "f" if view.format == "f" else "h"
            n_bytes = self.channels * (4 if item == "f" else 2)
            if view.nbytes % n_bytes:
                raise ValueError(f"PCM: {view.nbytes} bytes is not whole samples of {n_bytes} bytes")
            if item != self._item:
                if self._pending:
                    raise TypeError(f"PCM: items of format {item!r} behind {self._item!r}")
                self._item = item
            self._pending += view.cast("B") if view.nbytes else b""
        self._encode()

    @exclusive
    def close(self) -> None:
        """Encode the rest, and behind it what the encoder holds back, filled up to a packet. Idempotent."""
        if self._closed:
            return
        self._closed = True
        trim_samples = 0
        try:
            if not self._failed:
                n_bytes = self._packet_bytes // (self.sample_rate // PACKETS_HZ)  # of a sample
                self._pending += bytes(self._encoder.lookahead * n_bytes)
                n_trimmed = -len(self._pending) % self._packet_bytes
                self._pending += bytes(n_trimmed)
                self._encode()
                trim_samples = n_trimmed // n_bytes * self._clock_samples
        finally:
            self._writer.close(trim_samples=trim_samples)

    @property
    def _packet_bytes(self) -> int:
        return self._packet_items * (4 if self._item == "f" else 2)

    def _encode(self) -> None:
        """Write the packets that are full."""
        n_bytes = self._packet_bytes
        n_whole = len(self._pending) // n_bytes * n_bytes
        try:
            with memoryview(self._pending) as view, view.cast("f" if self._item == "f" else "h") as items:
                for at in range(0, len(items) - self._packet_items + 1, self._packet_items):
                    self._writer.write(self._encoder.encode(items[at : at + self._packet_items]))
        except BaseException:
            self._failed = True
            raise
        del self._pending[:n_whole]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
