"""From the samples of a recording to those of another, block by block: trimmed, remixed, resampled, scaled.

Each step takes Pcm and gives Pcm. Only the two ends know of files, and a block is all that is in memory.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec
from msgspec.structs import replace

from trunkline.audio_files import AudioReader
from trunkline.convert.metadata import carried, metadata_of, start_of
from trunkline.convert.plan import Plan
from trunkline.convert.readers import FLOAT_ENCODINGS, not_finite
from trunkline.errors import FormatError
from trunkline.formats import CHANNELS_MAX
from trunkline.resample import Resampler
from trunkline.wav import Metadata, WavReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "OFFSET_S_MAX",
    "Block",
    "Levels",
    "Pcm",
    "beside",
    "dithered",
    "measured",
    "prepared",
    "scaled",
    "within",
]

#: Samples of all channels in a block: enough to cost nothing, few enough for a core's cache.
BLOCK_ITEMS: Final = 262_144
OFFSET_S_MAX: Final = 24 * 3600  # of two recordings: what is between them becomes silence
#: Encodings of which s16 says everything.
S16_ENCODINGS: Final = ("pcm8", "pcms8", "pcmu8", "pcm16", "ulaw", "alaw", "opus")


Block = bytes | memoryview


class Pcm(msgspec.Struct, frozen=True):
    """Samples on their way: the rate in Hz, the channels, s16 or float32, and the blocks, which come once.

    A block is right until the next one is asked for, which may lie in the same memory.

    Or `encoded`: codes of G.711 that nothing is done to, which go to the result as they are. numpy is
    imported for float32 and for other channels only: most conversions start without it.
    """

    sample_rate: int
    channels: int
    is_float: bool
    blocks: Iterator[Block]
    encoded: bool = False
    metadata: Metadata = Metadata()

    @property
    def item(self) -> Literal["B", "h", "f"]:
        """The format of the blocks' items, as memoryview has it."""
        return "B" if self.encoded else "f" if self.is_float else "h"

    @property
    def block_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * (1 if self.encoded else 4 if self.is_float else 2)

    def arrays(self) -> "Iterator[NDArray[Any]]":
        """Give the blocks as arrays, a row per sample."""
        import numpy as np

        dtype = np.float32 if self.is_float else np.int16
        for block in self.blocks:
            yield np.frombuffer(block, dtype).reshape(-1, self.channels)


def prepared(reader: AudioReader, plan: Plan, on_damage: Callable[[str], None], *, alone: bool = True) -> Pcm:
    """Do all that a plan wants which needs no look ahead: trim by time, remix, resample.

    `alone`: it becomes a recording by itself, for which codes of G.711 may stay what they are. `on_damage` is
    told of samples that are no finite numbers.
    """
    is_encoded = alone and _is_copied(reader, plan)
    is_float = not is_encoded and _needs_float(reader, plan)
    read = reader.read_float if is_float else reader.read
    if is_encoded:
        read = cast(WavReader, reader).read_encoded  # which audio without a header has, too
    n_samples = max(1, BLOCK_ITEMS // reader.channels)
    blocks: Iterator[Block] = iter(lambda: read(n_samples), b"")
    if isinstance(reader, WavReader) and not is_encoded:
        blocks = _read_into(reader, n_samples * reader.channels, is_float)
    pcm = Pcm(reader.sample_rate, reader.channels, is_float, blocks, is_encoded, metadata_of(reader))
    if plan.begin_s or plan.end_s is not None:
        end = math.inf if plan.end_s is None else round(plan.end_s * pcm.sample_rate)
        pcm = within(pcm, round(plan.begin_s * pcm.sample_rate), end)
    if reader.encoding in FLOAT_ENCODINGS:
        pcm = finite(pcm, plan, on_damage)
    return resampled(remixed(pcm, plan), plan.sample_rate or pcm.sample_rate, plan.quality)


def _read_into(reader: WavReader, n_items: int, is_float: bool) -> Iterator[Block]:
    """Read block after block into the same memory."""
    buffer = memoryview(bytearray(n_items * (4 if is_float else 2)))
    items = buffer.cast("f" if is_float else "h")
    while n_samples := reader.read_into(items):
        yield buffer[: n_samples * reader.channels * items.itemsize]


def _is_copied(reader: AudioReader, plan: Plan) -> bool:
    """Whether codes of G.711 stay what they are: decoded and encoded again, -0 would become 0."""
    return (
        reader.encoding == plan.encoding
        and reader.encoding in ("ulaw", "alaw")
        and plan.sample_rate in (None, reader.sample_rate)
        and plan.channels in (None, reader.channels)
        and (plan.pick is None or reader.channels == 1)
        and not (plan.mix or plan.needs_two_passes)
    )


def _needs_float(reader: AudioReader, plan: Plan) -> bool:
    """Whether s16 would lose something on the way."""
    return (
        plan.normalize_db is not None
        or plan.mix
        or plan.dither
        or plan.encoding == "float32"
        or reader.encoding not in S16_ENCODINGS
    )


def within(pcm: Pcm, begin: int, end: float) -> Pcm:
    """Give the samples from number `begin` up to `end`; what is behind is not read."""

    def blocks() -> Iterator[Block]:
        at = 0
        for block in pcm.blocks:
            n_samples = len(block) // pcm.block_bytes
            first, last = max(begin - at, 0), min(end - at, n_samples)
            if first < last:
                yield block[first * pcm.block_bytes : int(last) * pcm.block_bytes]
            at += n_samples
            if at >= end:
                return
        if 0 < at <= begin:
            raise FormatError(f"it ends at {at / pcm.sample_rate:g} s, before {begin / pcm.sample_rate:g} s")

    metadata = carried(pcm.metadata, pcm.sample_rate, pcm.sample_rate, begin / pcm.sample_rate)
    return replace(pcm, blocks=blocks(), metadata=metadata)


def finite(pcm: Pcm, plan: Plan, on_damage: Callable[[str], None]) -> Pcm:
    """Give 0 for NaN, and full scale for the infinity of which a filter, a sum or Opus would make NaN."""
    stays = not plan.mix and plan.sample_rate in (None, pcm.sample_rate) and plan.format != "opus"

    def blocks() -> Iterator[Block]:
        import numpy as np

        full_scale, n_not_finite = np.inf if stays else 1.0, 0
        for block in pcm.blocks:
            array = np.frombuffer(block, np.float32)
            n_finite = int(np.count_nonzero(np.isfinite(array)))
            if n_finite < array.size:
                n_not_finite += array.size - n_finite
                block = np.nan_to_num(array, nan=0.0, posinf=full_scale, neginf=-full_scale).tobytes()
            yield block
        if n_not_finite:
            on_damage(not_finite(n_not_finite))

    return replace(pcm, blocks=blocks())


def remixed(pcm: Pcm, plan: Plan) -> Pcm:
    """Give the channels that a plan wants; FormatError when they cannot be made of those there are."""
    had, wanted = pcm.channels, plan.channels
    if plan.pick is not None:
        if plan.pick > had:
            raise FormatError(f"channel {plan.pick}: it has {had}")
        if had == 1:
            return pcm
        column = plan.pick - 1
        return replace(pcm, channels=1, blocks=(array[:, column].tobytes() for array in pcm.arrays()))
    if plan.mix:
        return _each(replace(pcm, channels=1), pcm, lambda array: array.sum(axis=1))
    if wanted in (None, had):
        return pcm
    if had > 1:
        raise FormatError(
            f"{had} channels to {wanted}: --mix adds them, --pick takes one, --split gives each a file"
        )
    blocks = (array.repeat(wanted, axis=1).tobytes() for array in pcm.arrays())
    return replace(pcm, channels=wanted, blocks=blocks)


def resampled(pcm: Pcm, sample_rate: int, quality: str) -> Pcm:
    """Change the sample rate, as `trunkline.resample.resample` does a whole signal: without a delay."""
    if sample_rate == pcm.sample_rate:
        return pcm
    if pcm.channels > CHANNELS_MAX:
        raise FormatError(f"{pcm.channels} channels: resamples up to {CHANNELS_MAX}: --split them first")
    resampler = Resampler(
        pcm.sample_rate,
        sample_rate,
        channels=pcm.channels,
        quality=quality,
        sample_format="f32" if pcm.is_float else "s16",
    )

    def blocks() -> Iterator[Block]:
        lead_in = resampler.delay_samples * pcm.block_bytes
        n_in = n_out = 0
        buffer = memoryview(bytearray())  # used again: memory that is new costs as much as the filter
        for block in pcm.blocks:
            n_samples = len(block) // pcm.block_bytes
            n_in += n_samples
            n_bytes = resampler.output_samples_max(n_samples) * pcm.block_bytes
            if len(buffer) < n_bytes:
                buffer = memoryview(bytearray(n_bytes))
            out = buffer[: resampler.process_into(block, buffer) * pcm.block_bytes]
            if lead_in:
                lead_in, out = lead_in - min(lead_in, len(out)), out[lead_in:]
            n_out += len(out) // pcm.block_bytes
            yield out
        n_left = _rounded(n_in * sample_rate, pcm.sample_rate) - n_out
        yield resampler.flush()[lead_in:][: n_left * pcm.block_bytes]

    metadata = carried(pcm.metadata, pcm.sample_rate, sample_rate, 0.0)
    return replace(pcm, sample_rate=sample_rate, blocks=blocks(), metadata=metadata)


def _rounded(dividend: int, divisor: int) -> int:
    """Divide, to the nearest, ties to even."""
    whole, rest = divmod(dividend, divisor)
    return whole + (2 * rest > divisor or (2 * rest == divisor and whole % 2))


def beside(left: Pcm, right: Pcm, offset_s: float | None) -> Pcm:
    """Put two mono recordings of one rate into one, the right one beginning `offset_s` after the left one.

    None goes by when their bext say that they began, and is 0 where they do not. Silence is where one of
    them has nothing.
    """
    if offset_s is None:
        began, other = (start_of(side.metadata, side.sample_rate) for side in (left, right))
        offset_s = 0.0 if began is None or other is None else other - began
    if not abs(offset_s) <= OFFSET_S_MAX:
        raise FormatError(f"one begins {offset_s:,.0f} s after the other: takes up to {OFFSET_S_MAX:,}")
    if left.channels != 1 or right.channels != 1:
        raise FormatError(f"{left.channels} and {right.channels} channels: two of one channel go into one")
    item_bytes = 4 if left.is_float or right.is_float else 2
    delays = (max(0, -offset_s), max(0, offset_s))
    sides = [
        _Side(as_float(side) if item_bytes == 4 else side, round(delay_s * side.sample_rate))
        for side, delay_s in zip((left, right), delays, strict=True)
    ]

    def blocks() -> Iterator[Block]:
        import numpy as np

        dtype = np.float32 if item_bytes == 4 else np.int16
        while any(columns := [side.take(BLOCK_ITEMS // 2) for side in sides]):
            n_bytes = max(map(len, columns))
            padded = [np.frombuffer(column.ljust(n_bytes, b"\0"), dtype) for column in columns]
            yield np.stack(padded, axis=1).tobytes()

    metadata = carried(left.metadata, left.sample_rate, left.sample_rate, -delays[0])
    return Pcm(left.sample_rate, 2, item_bytes == 4, blocks(), metadata=metadata)


class _Side:
    """One of two recordings, taken in pieces of any length, with silence before it."""

    def __init__(self, pcm: Pcm, n_silent: int) -> None:
        self._pcm = pcm
        self._pending = bytearray()
        self._n_silent = n_silent

    def take(self, n_samples: int) -> bytes:
        n_bytes = n_samples * self._pcm.block_bytes
        while len(self._pending) < n_bytes:
            if self._n_silent:
                n_silent = min(self._n_silent, n_samples)
                self._n_silent -= n_silent
                self._pending += bytes(n_silent * self._pcm.block_bytes)
                continue
            block = next(self._pcm.blocks, None)
            if block is None:
                break
            self._pending += block
        taken = bytes(self._pending[:n_bytes])
        del self._pending[:n_bytes]
        return taken


def as_float(pcm: Pcm) -> Pcm:
    """Give float32 instead of s16."""
    if pcm.is_float:
        return pcm
    blocks = ((array / 32768).astype("f4").tobytes() for array in pcm.arrays())
    return replace(pcm, is_float=True, blocks=blocks)


class Levels(msgspec.Struct):
    """Of a whole recording: its peak (full scale 1.0), and where what is not silent begins and ends."""

    peak: float = 0.0
    begin: int = 0
    end: int = 0


def measured(pcm: Pcm, silence_db: float | None) -> Levels:
    """Look at a whole recording; without `silence_db`, nothing of it counts as silent."""
    import numpy as np

    levels = Levels()
    silent = 0.0 if silence_db is None else 10 ** (silence_db / 20)
    at, found = 0, silence_db is None
    for array in pcm.arrays():
        loudest = np.nan_to_num(np.abs(array.astype(np.float32)).max(axis=1), nan=0.0, posinf=0.0)
        loudest = loudest if pcm.is_float else loudest / 32768
        levels.peak = max(levels.peak, float(loudest.max(initial=0.0)))
        if silence_db is None:
            levels.end = at + len(loudest)
        elif len(loud := np.flatnonzero(loudest >= silent)):
            levels.begin = levels.begin if found else at + int(loud[0])
            levels.end = at + int(loud[-1]) + 1
            found = True
        at += len(loudest)
    return levels


def scaled(pcm: Pcm, gain: float) -> Pcm:
    """Multiply every sample, which is float32."""
    return _each(pcm, pcm, lambda array: array * array.dtype.type(gain))


def _each(made: Pcm, pcm: Pcm, step: "Callable[[NDArray[Any]], NDArray[Any]]") -> Pcm:
    """Give `made` with the blocks that a step makes of those of `pcm`; infinity and NaN are no surprise."""

    def blocks() -> Iterator[Block]:
        import numpy as np

        for array in pcm.arrays():
            with np.errstate(over="ignore", invalid="ignore"):
                block = step(array).tobytes()
            yield block

    return replace(made, blocks=blocks())


def dithered(pcm: Pcm) -> Pcm:
    """Round float32 to s16 with triangular noise of +-1 step, the same on every run."""
    import numpy as np

    noise = np.random.default_rng(0)

    def step(array: "NDArray[Any]") -> "NDArray[Any]":
        pairs = noise.random((*array.shape, 2), np.float32)  # the same however it is cut into blocks
        steps = array * 32768.0 + pairs[..., 0] - pairs[..., 1]
        rounded = np.nan_to_num(np.rint(steps), nan=0.0)
        s16: NDArray[Any] = np.clip(rounded, -32768, 32767).astype(np.int16)
        return s16

    return _each(replace(pcm, is_float=False), pcm, step)
