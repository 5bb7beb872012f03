"""OpusReader: the PCM of an Ogg Opus file, as a player gives it (RFC 7845)."""

import os
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Final, Self

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline._native.opus_decoder import Decoder
from trunkline.formats import OPUS_RATES
from trunkline.opus.ogg_reader import RATE, OggPacket, OggReader

__all__ = ["OpusReader"]

GAP_MAX: Final = 10 * RATE  # a longer one is cut, as a recorder does


class OpusReader(Exclusive):
    """Decode the first Opus stream of an Ogg file: pre-skip, end trim and header gain applied.

    `file` is what OggReader takes. `sample_rate`: 8, 12, 16, 24 or 48 kHz; by default what was encoded, when
    it is one of these, else 48 kHz. What is missing is recovered from the packet behind it, or concealed, up
    to 10 s at a time; `on_damage` is called at the end, with a sentence each, if anything was damaged or the
    end is missing. FormatError for what is no Ogg Opus file, LibraryMissingError without libopus.

    >>> import io
    >>> from trunkline import opus
    >>> file = io.BytesIO()
    >>> with opus.OpusWriter(file, sample_rate=16000) as writer:
    ...     writer.write(bytes(2 * 16000))
    >>> with opus.OpusReader(io.BytesIO(file.getvalue())) as reader:
    ...     reader.sample_rate, reader.channels, reader.encoding, len(reader.read(160)), len(reader.read())
    (16000, 1, 'opus', 320, 31680)
    """

    encoding = "opus"

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        *,
        sample_rate: int | None = None,
        on_damage: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._on_damage: Callable[[str], None] | None = on_damage
        self._packets = OggReader(file)
        try:
            encoded_rate = self._packets.sample_rate
            self.sample_rate = sample_rate or (encoded_rate if encoded_rate in OPUS_RATES else RATE)
            self.channels = self._packets.channels
            self._decoder = Decoder(self.sample_rate, self.channels)
        except BaseException:
            self._packets.close()
            raise
        self._clock_samples = RATE // self.sample_rate  # a sample of ours
        self._link = -1
        self._to_skip = 0  # samples at 48 kHz, before the first that is heard
        self._pending = bytearray()
        self._item_bytes = 2

    @property
    def n_samples(self) -> int | None:
        """Samples per channel in the whole file, which is read for it; None for a pipe."""
        duration_ms = self.duration_ms
        return None if duration_ms is None else round(duration_ms * self.sample_rate / 1000)

    @property
    def duration_ms(self) -> float | None:
        """Duration of the whole file, which is read for it; None for a pipe before its end."""
        return self._packets.duration_ms

    @property
    def tags(self) -> dict[str, str]:
        """The file's tags, names in capitals."""
        return self._packets.tags

    @property
    def damaged(self) -> int:
        """Packets so far that were not whole, or are none: what is missing then counts as lost."""
        return self._packets.damaged

    @exclusive
    def read(self, n_samples: int = -1) -> bytes:
        """Read up to `n_samples` per channel as interleaved s16; -1 reads the rest.

        Fewer come only at the end.
        """
        return self._read(n_samples, "h")

    @exclusive
    def read_float(self, n_samples: int = -1) -> bytes:
        """Read as `read` does, but float32 items in about +-1.0. One reader takes one of the two."""
        return self._read(n_samples, "f")

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._packets.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, n_samples: int, item: str) -> bytes:
        if n_samples < -1:
            raise ValueError(f"read of {n_samples} samples: takes -1 or more")
        item_bytes = 4 if item == "f" else 2
        if item_bytes != self._item_bytes:
            if self._pending:
                raise ValueError("read and read_float of one OpusReader")
            self._item_bytes = item_bytes
        wanted = n_samples * item_bytes * self.channels
        while wanted < 0 or len(self._pending) < wanted:
            packet = next(self._packets, None)
            if packet is None:
                self._tell_damage()
                break
            self._decode(packet, item)
        pcm = bytes(self._pending if wanted < 0 else self._pending[:wanted])
        del self._pending[: len(pcm)]
        return pcm

    def _tell_damage(self) -> None:
        """At the end of the file, once."""
        on_damage, self._on_damage = self._on_damage, None
        packets = self._packets
        if on_damage is None:
            return
        if packets.damaged or packets.skipped_bytes:
            on_damage(
                f"{packets.damaged} damaged packets, {packets.skipped_bytes} bytes that are no whole Ogg page"
            )
        if not packets.finished:
            on_damage("cut short: no page says that the stream ends")

    def _decode(self, packet: OggPacket, item: str) -> None:
        """Append what a packet, and the gap before it, give to hear."""
        if self._packets.link != self._link:
            self._link = self._packets.link
            self._decoder.reset()
            self._decoder.gain_db = self._packets.gain_db
            self._to_skip = self._packets.pre_skip
        gap = min(packet.lost_samples, GAP_MAX) // self._clock_samples
        more = -gap % (self.sample_rate // 400)  # a decoder fills gaps of whole 2.5 ms
        gap += more
        block_bytes = self._item_bytes * self.channels
        pcm = bytearray(gap * block_bytes)
        with memoryview(pcm) as view, view.cast("f" if item == "f" else "h") as out:
            self._decoder.recover_into(packet.packet, out, gap)
        del pcm[: more * block_bytes]
        heard = self._decoder.decode(packet.packet, sample_format="f32" if item == "f" else "s16")
        trimmed = self._packets.trimmed_samples // self._clock_samples
        pcm += heard[: len(heard) - trimmed * block_bytes]
        skipped = min(self._to_skip // self._clock_samples, len(pcm) // block_bytes)
        self._to_skip -= skipped * self._clock_samples
        self._pending += pcm[skipped * block_bytes :]
