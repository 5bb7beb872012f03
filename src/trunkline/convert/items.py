"""What a batch converts: files, directories, patterns, URLs and manifests, and where each result goes."""

import csv
import glob
import os
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import msgspec

from trunkline.convert.plan import Plan, parse_raw
from trunkline.convert.remote import expand_remote, is_remote
from trunkline.errors import FormatError

__all__ = ["Item", "items_of", "manifest_items"]

#: What is taken out of a directory.
AUDIO_ENDINGS: Final = (
    *(".aif", ".aiff", ".au", ".caf", ".flac", ".jsonl", ".mp3", ".ogg", ".opus"),
    *(".rf64", ".w64", ".wav", ".wave"),
)
_OWN_FIELDS: Final = ("source", "target", "right", "offset_s")


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One conversion: of `source` (and `right` beside it, `offset_s` after it) to `target`, by `plan`.

    `error` says why there is none: of a manifest's line that says nothing usable.
    """

    source: str
    target: str
    plan: Plan
    right: str | None = None
    offset_s: float = 0.0
    error: str | None = None


def items_of(inputs: Iterable[str], out: str, plan: Plan) -> list[Item]:
    """Expand inputs: files, directories with all below them, patterns (`**` too), URLs, "-".

    `out` is a file when one file is given, and it does not end in "/" and is no directory; else a directory,
    in which every file keeps its name, and its path below a directory or below what a pattern begins with.
    FormatError for a pattern that no name has, for a directory without audio, and for several files into one.
    """
    found = [pair for given in inputs for pair in _expanded(given)]
    into_directory = out.endswith("/") or (not is_remote(out) and os.path.isdir(out))
    if len(found) == 1 and not into_directory:
        return [Item(source=found[0][0], target=out, plan=plan)]
    if out == "-":
        raise FormatError(f"{len(found)} files to standard output: takes one")
    return [Item(source=source, target=_target_in(out, name, plan), plan=plan) for source, name in found]


def _target_in(directory: str, name: str, plan: Plan) -> str:
    return f"{directory.rstrip('/')}/{os.path.splitext(name)[0]}.{plan.format or 'wav'}"


def _expanded(given: str) -> Iterator[tuple[str, str]]:
    """Give the files that an input stands for, each with the name that it has in a directory of results."""
    if given == "-":
        yield given, "stdin"
    elif is_remote(given):
        yield from expand_remote(given)
    elif os.path.isdir(given):
        files = sorted(path for path in Path(given).rglob("*") if path.suffix.lower() in AUDIO_ENDINGS)
        if not files:
            raise FormatError(f"{given}: no audio below it: takes {', '.join(AUDIO_ENDINGS)}; others by name")
        yield from ((str(path), str(path.relative_to(given))) for path in files)
    elif os.path.lexists(given) or not glob.has_magic(given):
        yield given, os.path.basename(given)
    else:
        matching = sorted(name for name in glob.glob(given, recursive=True) if not os.path.isdir(name))
        if not matching:
            raise FormatError(f"{given}: no file has such a name")
        parent = os.path.dirname(given[: min(given.index(char) for char in "*?[" if char in given)])
        yield from ((name, os.path.relpath(name, parent or ".")) for name in matching)


def manifest_items(path: str | os.PathLike[str], out: str, plan: Plan) -> Iterator[Item]:
    """Read a manifest, JSON Lines or (named .csv) CSV with a heading: `source`, and what differs from `plan`.

    Fields: `source`; `target`, by default its name in the directory `out`; `right` and `offset_s`; all those
    of a Plan, `raw` written as ENCODING:RATE:CHANNELS. Names are relative to the working directory. A line
    that says nothing usable is an Item with an `error`; OSError when the manifest cannot be read.
    """
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows: Iterable[tuple[int, Any]]
        if os.fspath(path).lower().endswith(".csv"):
            reader = csv.reader(file)
            heading = next(reader, [])
            rows = (
                (reader.line_num, dict(zip_longest(heading, row)))  # too long a row has a field None
                for row in reader
                if row
            )
        else:
            rows = ((number, line) for number, line in enumerate(file, 1) if line.strip())
        for number, row in rows:
            try:
                yield _item(row, out, plan)
            except (ValueError, msgspec.MsgspecError) as error:
                yield Item(source=f"{os.fspath(path)}:{number}", target="", plan=plan, error=str(error)[:200])


def _item(row: str | dict[Any, Any], out: str, plan: Plan) -> Item:
    fields = msgspec.json.decode(row, type=dict[str, Any]) if isinstance(row, str) else row
    fields = {name: value for name, value in fields.items() if value not in (None, "")}
    unknown = [str(name) for name in fields if name not in (*_OWN_FIELDS, *Plan.__struct_fields__)]
    if unknown:
        takes = ", ".join(_OWN_FIELDS)
        raise FormatError(f"unknown field {unknown[0][:64]!r}: takes {takes} and those of a Plan")
    own = {name: fields.pop(name) for name in _OWN_FIELDS if name in fields}
    if isinstance(fields.get("raw"), str):
        fields["raw"] = msgspec.to_builtins(parse_raw(fields["raw"]))
    plan = msgspec.convert(msgspec.to_builtins(plan) | fields, Plan, strict=False)
    source = own.get("source")
    if not isinstance(source, str):
        raise FormatError("no source")
    own.setdefault("target", _target_in(out, os.path.basename(source), plan))
    return msgspec.convert({**own, "plan": plan}, Item, strict=False)
