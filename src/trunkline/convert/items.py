"""What a batch converts: files, directories, patterns, URLs and manifests, and where each result goes."""

import csv
import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self, TextIO

import msgspec

from trunkline.convert.pipeline import OFFSET_S_MAX
from trunkline.convert.plan import ENDINGS, Plan, parse_raw
from trunkline.convert.remote import expand_remote, is_remote
from trunkline.errors import FormatError

__all__ = ["Item", "expanded", "items_of", "manifest_items"]

#: What is taken out of a directory.
AUDIO_ENDINGS: Final = (
    *(".aif", ".aiff", ".au", ".caf", ".flac", ".jsonl", ".mp3", ".ogg", ".opus"),
    *(".rf64", ".w64", ".wav", ".wave"),
)
#: And if it is to be read as raw.
RAW_ENDINGS: Final = tuple(ending for ending, (kind, _) in ENDINGS.items() if kind == "raw")
LINE_CHARS_MAX: Final = 1 << 16  # of a manifest
_OWN_FIELDS: Final = ("source", "target", "right", "offset_s")


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One conversion: of `source` (and `right` beside it, `offset_s` after it) to `target`, by `plan`.

    `error` says why there is none: of a manifest's line that says nothing usable.
    """

    source: str
    target: str
    plan: Plan
    right: str | None = None
    offset_s: float | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if self.offset_s is not None and not abs(self.offset_s) <= OFFSET_S_MAX:
            raise FormatError(f"offset of {self.offset_s} s: takes up to {OFFSET_S_MAX:,} either way")

    @property
    def sources(self) -> tuple[str, ...]:
        """What it is made of."""
        return (self.source,) if self.right is None else (self.source, self.right)


def items_of(inputs: Iterable[str], out: str, plan: Plan) -> list[Item]:
    """Expand inputs: files, directories with all below them, patterns (`**` too), URLs, "-".

    `out` is the name of the result when one file is given by its name, unless it is a directory or ends in
    "/"; else a directory, in which every file keeps its name, and its path below a directory or below what a
    pattern begins with. What is in `out` already is no input. Of a directory, a plan with `raw` takes the
    files without a header. FormatError for a pattern that no name has, for a directory without audio, and for
    an `out` that can be no directory and has to be.
    """
    inputs = list(inputs)
    endings = AUDIO_ENDINGS if plan.raw is None else RAW_ENDINGS
    found = [pair for given in inputs for pair in expanded(given, out, endings)]
    by_name = len(inputs) == 1 and found[0][0] == inputs[0]
    if by_name and not (out.endswith("/") or (not is_remote(out) and os.path.isdir(out))):
        return [Item(source=inputs[0], target=out, plan=plan)]
    _check_directory(out)
    return [Item(source=source, target=_target_in(out, name, plan), plan=plan) for source, name in found]


def _check_directory(out: str) -> None:
    """Refuse what cannot be a directory of results, or was not meant to be one."""
    if not out:
        raise FormatError("the output has no name")
    if out == "-":
        raise FormatError("standard output takes one file, given by its name: give a directory")
    if not is_remote(out) and os.path.lexists(out) and not os.path.isdir(out):
        raise FormatError(f"{out}: is no directory, which several results need")
    stem, ending = os.path.splitext(out)
    if ending.lower() in ENDINGS and not os.path.isdir(out):
        raise FormatError(f"{out}: has the name of one file: several go to a directory, such as {stem}/")


def _target_in(directory: str, name: str, plan: Plan) -> str:
    # ".." in the name of somebody's object leads out of no directory
    path = "/".join(part for part in name.split("/") if part not in ("", ".", ".."))
    return f"{directory.rstrip('/')}/{os.path.splitext(path)[0]}.{plan.format or 'wav'}"


def expanded(
    given: str, out: str = "-", endings: tuple[str, ...] = AUDIO_ENDINGS
) -> Iterator[tuple[str, str]]:
    """Give the files that an input stands for, each with the name that it has in a directory of results.

    Of a directory, those with one of the `endings`. What is in the directory `out` is left out when that is
    below a directory that is given; "-" is none.
    """
    if given == "-":
        yield given, "stdin"
    elif is_remote(given):
        yield from expand_remote(given, endings)
    elif os.path.isdir(given):
        files = sorted(
            path
            for path in Path(given).rglob("*")
            if path.suffix.lower() in endings and (path.is_file() or not path.exists())  # no pipe
        )
        below = Path(os.path.relpath(out, given)) if not is_remote(out) and out != "-" else Path("..")
        if below.parts and below.parts[0] != "..":
            files = [path for path in files if not path.is_relative_to(Path(given) / below)]
        if not files:
            raise FormatError(f"{given}: no audio below it: takes {', '.join(endings)}; others by name")
        yield from ((str(path), str(path.relative_to(given))) for path in files)
    elif os.path.lexists(given) or not glob.has_magic(given):
        yield given, os.path.basename(given.rstrip("/"))
    else:
        matching = sorted(name for name in glob.glob(given, recursive=True) if not os.path.isdir(name))
        if not matching:
            raise FormatError(f"{given}: no file has such a name")
        parent = os.path.dirname(given[: min(given.index(char) for char in "*?[" if char in given)])
        yield from ((name, os.path.relpath(name, parent or ".")) for name in matching)


def manifest_items(path: str | os.PathLike[str], out: str, plan: Plan) -> Iterator[Item]:
    """Read a manifest, JSON Lines or (named .csv) CSV with a heading: `source`, and what differs from `plan`.

    One line is in memory at a time.

    Fields: `source`; `target`, by default its name in the directory `out`; `right` and `offset_s`; all those
    of a Plan, `raw` written as ENCODING:RATE:CHANNELS. Names are relative to the working directory. A line
    that says nothing usable is an Item with an `error`; OSError when the manifest cannot be read.
    """
    _check_directory(out)
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        lines, heading = _Lines(file), None
        is_csv = os.fspath(path).lower().endswith(".csv")
        rows: Iterator[Any] = csv.reader(lines) if is_csv else lines
        while True:
            try:
                row = next(rows)
                if is_csv and heading is None:
                    heading = [name.strip() for name in row]
                elif heading is not None and row:
                    yield _item(_named(row, heading), out, plan)
                elif heading is None and not row.isspace():
                    yield _item(msgspec.json.decode(row, type=dict[str, Any]), out, plan)
            except StopIteration:
                return
            except (ValueError, RecursionError, csv.Error, msgspec.MsgspecError) as error:
                where = f"{os.fspath(path)}:{lines.number}"
                said = "is not UTF-8" if isinstance(error, UnicodeEncodeError) else str(error)[:300]
                yield Item(source=where, target="", plan=plan, error=said)


class _Lines:
    """The lines of a file; for one that is too long, FormatError: a file of zeros is one line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LINE_CHARS_MAX)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LINE_CHARS_MAX and not line.endswith("\n"):
            while (rest := self._file.readline(LINE_CHARS_MAX)) and not rest.endswith("\n"):
                pass
            raise FormatError(f"a line of more than {LINE_CHARS_MAX:,} characters")
        return line


def _named(row: list[str], heading: list[str]) -> dict[str, Any]:
    if len(row) > len(heading):
        raise FormatError(f"{len(row)} fields: the heading names {len(heading)}")
    return {name: value for name, value in zip(heading, row, strict=False) if value}


def _item(fields: dict[str, Any], out: str, plan: Plan) -> Item:
    fields = {name: value for name, value in fields.items() if value is not None}
    known = (*_OWN_FIELDS, *Plan.__struct_fields__)
    if unknown := [name for name in fields if name not in known]:
        raise FormatError(f"unknown field {unknown[0][:64]!r}: takes {', '.join(known)}")
    own: dict[str, Any] = {name: fields.pop(name) for name in _OWN_FIELDS if name in fields}
    if isinstance(fields.get("raw"), str):
        fields["raw"] = msgspec.to_builtins(parse_raw(fields["raw"]))
    plan = msgspec.convert(msgspec.to_builtins(plan) | fields, Plan, strict=False)
    for field in ("source", "target", "right"):
        name = own.get(field, "")
        if not isinstance(name, str) or "\0" in name:
            raise FormatError(f"{field} of {name!r:.64}: takes a name")
    if not (source := own.get("source")):
        raise FormatError("no source")
    own["target"] = own.get("target") or _target_in(out, os.path.basename(source), plan)
    own["plan"] = plan
    return msgspec.convert(own, Item, strict=False)
