"""convert: one recording into another."""

import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import product
from typing import BinaryIO, Final, cast

import msgspec
from msgspec.structs import replace

from trunkline.audio_files import AudioReader
from trunkline.convert.output_files import output_file
from trunkline.convert.pipeline import Block, Pcm, beside, dithered, measured, prepared, scaled, within
from trunkline.convert.plan import Plan, raw_by_name
from trunkline.convert.readers import open_reader
from trunkline.convert.remote import canonical, is_remote, open_remote
from trunkline.convert.writers import open_writer
from trunkline.errors import FormatError
from trunkline.formats import OPUS_RATES

__all__ = ["Converted", "convert", "convert_bytes", "split_names"]

Source = str | os.PathLike[str] | BinaryIO
PLAN: Final = Plan()


class Converted(msgspec.Struct, frozen=True):
    """What came of a conversion: the files, their format, and in `damage` what was missing in the input."""

    outputs: tuple[str, ...]
    sample_rate: int
    channels: int
    duration_s: float
    damage: tuple[str, ...] = ()


def convert(
    source: Source,
    target: str | os.PathLike[str],
    plan: Plan = PLAN,
    *,
    right: Source | None = None,
    offset_s: float | None = None,
    strict: bool = False,
    on_progress: Callable[[float], None] = lambda duration_s: None,
) -> Converted:
    """Convert a recording, in bounded memory however long it is.

    `source`: a path, a URL that fsspec knows, "-" for standard input, or a binary file, which may be a pipe
    unless the plan has to look at the whole of it first. `target`: a path, a URL, or "-" for standard output;
    it appears when it is whole, and never when something fails. `right` is put beside a mono source, as the
    other channel, `offset_s` after it: by default as the bext of both tell when they began, else with it.
    `strict`: what is missing in the input is an error. `on_progress` is told how many seconds are written;
    what it raises ends the conversion.

    FormatError for what cannot be read or written so, with the cure, OSError for what the system refuses.

    >>> import os, tempfile
    >>> from trunkline import wav
    >>> from trunkline.convert import Plan, convert
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     call, call16 = os.path.join(directory, "call.wav"), os.path.join(directory, "call16.wav")
    ...     wav.write(call, bytes(2 * 8000), 8000, encoding="ulaw")
    ...     made = convert(call, call16, Plan(sample_rate=16000))
    >>> made.sample_rate, made.duration_s, made.outputs == (call16,)
    (16000, 1.0, True)
    """
    name = os.fspath(target)
    plan = plan.for_output(name)
    with ExitStack() as stack:
        inputs = [_opened(stack, given) for given in ((source,) if right is None else (source, right))]
        job = _Job(inputs, offset_s, strict, on_progress)
        job.refuse_pipes(plan)
        names = split_names(name, job.n_channels(plan)) if plan.split else [name]
        for given, output in product(inputs, names):
            _refuse_own_source(given, output)
        files = [stack.enter_context(output_file(output)) for output in names]
        for k, file in enumerate(files):
            made = job.run(replace(plan, split=False, pick=k + 1) if plan.split else plan, file)
    return replace(made, outputs=tuple(names))


def convert_bytes(source: bytes, plan: Plan = PLAN, *, strict: bool = False) -> bytes:
    """Convert a recording in memory: as `convert` does a file; WAV when the plan has no format.

    A pure function, for any scheduler's `map`. FormatError as of `convert`, also for a plan that splits and,
    if `strict`, when something is missing in the input, of which else what is there is given.

    >>> from trunkline.convert import Plan, convert_bytes
    >>> from trunkline.convert.plan import parse_raw
    >>> convert_bytes(b"\\xff\\x4e\\xce", Plan(raw=parse_raw("ulaw:8000"), format="raw", encoding="alaw"))
    b'\xd5{\xfb'
    """
    if plan.split:
        raise FormatError("split: one recording gives one; pick a channel instead")
    out = io.BytesIO()
    _Job([io.BytesIO(source)], strict=strict).run(plan.for_output("-"), out)
    return out.getvalue()


class _Job:
    """The inputs of a conversion, which may be read more than once."""

    def __init__(
        self,
        inputs: list[Source],
        offset_s: float | None = None,
        strict: bool = False,
        on_progress: Callable[[float], None] = lambda duration_s: None,
    ) -> None:
        self._inputs = inputs
        self._offset_s = offset_s
        self._strict = strict
        self._on_progress = on_progress
        self._begins = [_position(given) for given in inputs]
        self._damage: dict[str, None] = {}  # in order, each once

    def refuse_pipes(self, plan: Plan) -> None:
        """Refuse a plan that reads twice what can be read once only."""
        pipes = [
            given
            for given, begin in zip(self._inputs, self._begins, strict=True)
            if begin is None and not isinstance(given, str | os.PathLike)
        ]
        if pipes and (plan.needs_two_passes or plan.split):
            raise FormatError("a pipe is read once; to normalize, split or trim silence, give a file")
        if len(pipes) == 2 and pipes[0] is pipes[1]:
            raise FormatError("one pipe for two channels: give files")

    def n_channels(self, plan: Plan) -> int:
        """Look how many channels the first input has."""
        with ExitStack() as stack:
            return self._reader(stack, 0, plan).channels

    def run(self, plan: Plan, file: BinaryIO) -> Converted:
        """Write what the plan says into `file`."""
        gain, levels = 1.0, None
        if plan.needs_two_passes:
            with ExitStack() as stack:
                levels = measured(self._watched(self._pcm(stack, plan)), plan.silence_db)
            if plan.normalize_db is not None and levels.peak > 0:
                gain = 10 ** (plan.normalize_db / 20) / levels.peak
        with ExitStack() as stack:
            pcm = self._pcm(stack, plan)
            if levels is not None and plan.silence_db is not None:
                pcm = within(pcm, levels.begin, levels.end)
            if gain != 1.0:
                pcm = scaled(pcm, gain)
            if plan.dither and plan.encoding == "pcm16" and pcm.is_float:
                pcm = dithered(pcm)
            n_samples = self._write(pcm, plan, file)
        self._refuse_damage()
        return Converted((), pcm.sample_rate, pcm.channels, n_samples / pcm.sample_rate, tuple(self._damage))

    def _watched(self, pcm: Pcm) -> Pcm:
        """Let what is only looked at be ended, too."""

        def blocks() -> Iterator[Block]:
            for block in pcm.blocks:
                self._on_progress(0.0)
                yield block

        return replace(pcm, blocks=blocks())

    def _write(self, pcm: Pcm, plan: Plan, file: BinaryIO) -> int:
        writer, n_bytes = open_writer(file, plan, pcm), 0
        with closing(writer):
            for block in pcm.blocks:
                writer.write(memoryview(block).cast(pcm.item))
                n_bytes += len(block)
                self._on_progress(n_bytes / pcm.block_bytes / pcm.sample_rate)
        return n_bytes // pcm.block_bytes

    def _pcm(self, stack: ExitStack, plan: Plan) -> Pcm:
        """Open the inputs, and do to them all that a plan wants which needs no look ahead."""
        left = self._reader(stack, 0, plan)
        if plan.format == "opus" and plan.sample_rate is None:
            fitting = [rate for rate in OPUS_RATES if rate >= left.sample_rate]
            plan = replace(plan, sample_rate=min(fitting, default=OPUS_RATES[-1]))
        if len(self._inputs) == 1:
            return prepared(left, plan, self._on_damage)
        pcm = prepared(left, plan, self._on_damage, alone=False)
        plan = replace(plan, sample_rate=pcm.sample_rate)
        other = prepared(self._reader(stack, 1, plan), plan, self._on_damage, alone=False)
        return beside(pcm, other, self._offset_s)

    def _reader(self, stack: ExitStack, number: int, plan: Plan) -> AudioReader:
        source, begin = self._inputs[number], self._begins[number]
        if isinstance(source, str | os.PathLike):
            name = os.fspath(source)
            if is_remote(name):
                source = stack.enter_context(open_remote(name))
        elif begin is not None:
            source.seek(begin)
        try:
            reader = stack.enter_context(closing(open_reader(source, plan.raw, self._on_damage)))
        except FormatError as error:
            given = self._inputs[number]
            encoding = raw_by_name(os.fspath(given)) if isinstance(given, str | os.PathLike) else None
            if encoding is None or plan.raw is not None:
                raise
            said = f"{error}; say what it holds, such as --raw {encoding or 'ulaw'}:8000:1"
            raise FormatError(said) from error
        self._refuse_damage()
        return reader

    def _on_damage(self, sentence: str) -> None:
        self._damage[sentence] = None

    def _refuse_damage(self) -> None:
        """Raise what is missing: not where it is found, which would look like another format to a reader."""
        if self._strict and self._damage:
            raise FormatError(next(iter(self._damage)))


def _opened(stack: ExitStack, given: Source) -> Source:
    """Open what is not opened anew whenever it is read: standard input, and a pipe that has a name."""
    if given == "-":
        if sys.stdin is None:
            raise FormatError("standard input is closed")
        return sys.stdin.buffer
    if isinstance(given, str | os.PathLike) and not is_remote(os.fspath(given)):
        mode = os.stat(given).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return stack.enter_context(open(given, "rb"))
    elif not isinstance(given, str | os.PathLike) and not hasattr(given, "seekable"):
        raise TypeError(f"source of {given!r:.64}: takes a path, a URL, or a binary file")
    return given


def _position(source: Source) -> int | None:
    """Say where a file stands that can be read again from there."""
    if isinstance(source, str | os.PathLike) or not source.seekable():
        return None
    return source.tell()


def split_names(name: str, n_channels: int) -> list[str]:
    """Name the file of each channel: call.wav becomes call.1.wav and so on."""
    if name == "-":
        raise FormatError("split: a file for each channel, which standard output is not: give a name")
    stem, ending = os.path.splitext(name)
    return [f"{stem}.{k + 1}{ending}" for k in range(n_channels)]


def _refuse_own_source(source: Source, target: str) -> None:
    are_urls = isinstance(source, str) and is_remote(source) and is_remote(target)
    if are_urls and canonical(cast("str", source)) == canonical(target):
        raise FormatError(f"{target}: is its own source, which is never written to: give another name")
    with suppress(OSError):  # also of a file that has no descriptor
        given = source if isinstance(source, str | os.PathLike) else source.fileno()
        if os.path.samestat(os.stat(given), os.stat(target)) and os.path.isfile(target):
            raise FormatError(f"{target}: is its own source, which is never written to: give another name")
