"""A batch of conversions: side by side in threads, one bad file leaving the others alone."""

import os
import stat
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Set
from contextlib import suppress
from functools import lru_cache
from itertools import islice

import msgspec

from trunkline.convert.conversion import convert, split_names
from trunkline.convert.items import Item
from trunkline.convert.remote import is_remote, modified_ns
from trunkline.errors import TrunklineError
from trunkline.formats import CHANNELS_MAX

__all__ = ["Outcome", "checked", "convert_item", "run_batch", "survey"]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of an Item: `status` is "converted", "skipped" (it was there already) or "failed"."""

    source: str
    target: str
    status: str
    outputs: tuple[str, ...] = ()
    sample_rate: int | None = None
    channels: int | None = None
    duration_s: float = 0.0
    damage: tuple[str, ...] = ()
    error: str | None = None


class _CancelledError(Exception):
    """Ends a conversion whose result nobody wants any more."""


def run_batch(
    items: Iterable[Item],
    *,
    sources: Set[str] = frozenset(),
    jobs: int = 1,
    resume: bool = False,
    strict: bool = False,
    on_progress: Callable[[float], None] = lambda duration_s: None,
) -> Generator[Outcome]:
    """Convert items in `jobs` threads; give what came of each, as they end.

    The kernels let other threads run, so threads are enough, and a few files are all that is in memory.
    `sources`, of `survey`: what no result may replace, because it is yet to be read.
    `resume` skips what is there already and not older than its source: a result has its name only once it is
    whole. `strict` takes damage for a failure, and ends with the first. `on_progress` is told, in any thread,
    of each piece of audio that is written, in seconds. Whoever stops iterating leaves no half file.
    """
    cancelled = threading.Event()

    def run(item: Item) -> Outcome:
        return convert_item(item, resume=resume, strict=strict, on_progress=progress)

    def progress(duration_s: float) -> None:
        if cancelled.is_set():
            raise _CancelledError
        on_progress(duration_s)

    rest = checked(items, sources)
    if jobs == 1:
        for item in rest:
            outcome = run(item)
            yield outcome
            if strict and outcome.status == "failed":
                return
        return

    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

    running: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                running |= {pool.submit(run, item) for item in islice(rest, 2 * jobs - len(running))}
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                outcomes = [future.result() for future in done]
                yield from outcomes
                if strict and any(outcome.status == "failed" for outcome in outcomes):
                    return
        finally:
            cancelled.set()
            pool.shutdown(cancel_futures=True)


def convert_item(
    item: Item,
    *,
    resume: bool = False,
    strict: bool = False,
    on_progress: Callable[[float], None] = lambda duration_s: None,
) -> Outcome:
    """Convert one item, and say what came of it instead of raising."""
    if item.error is not None:
        return Outcome(item.source, item.target, "failed", error=item.error)
    done_s = 0.0

    def advance(duration_s: float) -> None:
        nonlocal done_s
        on_progress(duration_s - done_s)
        done_s = duration_s

    try:
        if resume and _is_done(item):
            return Outcome(item.source, item.target, "skipped")
        if not is_remote(item.target) and item.target != "-":
            with suppress(FileExistsError):  # of a file, which opening a file in it says better
                os.makedirs(os.path.dirname(item.target) or ".", exist_ok=True)
        made = convert(
            item.source,
            item.target,
            item.plan,
            right=item.right,
            offset_s=item.offset_s,
            strict=strict,
            on_progress=advance,
        )
    except _CancelledError:
        raise
    except Exception as error:  # also of a store's library, whatever it raises
        return Outcome(item.source, item.target, "failed", error=_reason(error, item.source))
    return Outcome(
        item.source,
        item.target,
        "converted",
        made.outputs,
        made.sample_rate,
        made.channels,
        made.duration_s,
        made.damage,
    )


def survey(items: Iterable[Item]) -> tuple[int, set[str]]:
    """Count items, and name the files that they are made of."""
    n_items = 0
    sources: set[str] = set()
    for item in items:
        n_items += 1
        sources.update(_real_path(name) for name in item.sources if name != "-" and not is_remote(name))
    return n_items, sources


def checked(items: Iterable[Item], sources: Set[str]) -> Iterator[Item]:
    """Give items, with an error where the result would replace another one, or what one is made of."""
    seen: set[str] = set()
    return (_checked(item, seen, sources) for item in items)


def _checked(item: Item, seen: set[str], sources: Set[str]) -> Item:
    if item.error is not None or item.target == "-":
        return item
    names = split_names(item.target, CHANNELS_MAX) if item.plan.split else [item.target]
    targets = [name if is_remote(name) else _real_path(name) for name in names]
    for name, target in zip(names, targets, strict=True):
        if target in seen and not _is_special(target):
            error = f"{name} is the output of another file already"
        elif target in sources and target not in map(_real_path, item.sources):  # which says so itself
            error = f"{name} is an input, which is never written to: choose another directory or format"
        else:
            continue
        return msgspec.structs.replace(item, error=error)
    seen.update(targets)
    return item


def _real_path(name: str) -> str:
    """Name what a name leads to, as os.path.realpath does, without looking at every directory every time."""
    directory, base = os.path.split(os.path.join(os.getcwd(), name))
    path = os.path.join(_real_directory(directory), base)
    return os.path.realpath(path) if base in ("", ".", "..") or os.path.islink(path) else path


@lru_cache(maxsize=1024)
def _real_directory(name: str) -> str:
    return os.path.realpath(name)


def _is_special(path: str) -> bool:
    """Whether a result takes no name: of a device or a pipe."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _is_done(item: Item) -> bool:
    """Whether the result is there, and not older than what it is made of."""
    if item.target == "-":
        return False
    target = split_names(item.target, 1)[0] if item.plan.split else item.target  # which is the last to come
    try:
        made_ns = _modified_ns(target)
        sources_ns = [_modified_ns(name) for name in item.sources if name != "-"]
    except FileNotFoundError:
        return False
    return (is_remote(target) or os.path.isfile(target)) and all(made_ns >= given for given in sources_ns)


def _modified_ns(name: str) -> int:
    return modified_ns(name) if is_remote(name) else os.stat(name).st_mtime_ns


def _reason(error: Exception, source: str) -> str:
    """Say in a line what went wrong with `source`, whose name stands before it."""
    if isinstance(error, OSError) and error.strerror:
        named = error.filename and error.filename != source
        return f"{error.filename}: {error.strerror}" if named else error.strerror
    if isinstance(error, TrunklineError | OSError):
        return str(error)
    return f"{type(error).__name__}: {error}"
