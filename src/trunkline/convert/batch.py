"""A batch of conversions: side by side in threads, one bad file leaving the others alone."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from trunkline.convert.conversion import convert, split_names
from trunkline.convert.items import Item
from trunkline.convert.remote import exists_remote, is_remote
from trunkline.errors import TrunklineError

__all__ = ["Outcome", "convert_item", "run_batch"]


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
    jobs: int = 1,
    resume: bool = False,
    strict: bool = False,
    on_progress: Callable[[float], None] = lambda duration_s: None,
) -> Iterator[Outcome]:
    """Convert items in `jobs` threads; give what came of each, as they end.

    The kernels let other threads run, so threads are enough, and a few files are all that is in memory.
    `resume` skips what is there already and not older than its source: a result has its name only once it is
    whole. `strict` takes damage for a failure, and ends with the first. `on_progress` is told, in any thread,
    of each piece of audio that is written, in seconds. Whoever stops iterating leaves no half file.
    """
    cancelled = threading.Event()
    seen: set[str] = set()

    def run(item: Item) -> Outcome:
        return convert_item(item, resume=resume, strict=strict, on_progress=progress)

    def progress(duration_s: float) -> None:
        if cancelled.is_set():
            raise _CancelledError
        on_progress(duration_s)

    rest = (_once(item, seen) for item in items)
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
                for future in done:
                    yield future.result()
                    if strict and future.result().status == "failed":
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
        return Outcome(item.source, item.target, "failed", error=_reason(error))
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


def _once(item: Item, seen: set[str]) -> Item:
    """Refuse a second result of the same name, which would replace the first."""
    if item.error is not None or item.target == "-":
        return item
    target = item.target if is_remote(item.target) else os.path.realpath(item.target)
    if target in seen:
        return msgspec.structs.replace(item, error=f"{item.target}: is the output of another file already")
    seen.add(target)
    return item


def _is_done(item: Item) -> bool:
    """Whether the result is there, and not older than its source."""
    if item.target == "-":
        return False
    targets = [item.target]
    if item.plan.split:
        targets = split_names(item.target, 1)
    if is_remote(item.target):
        return exists_remote(targets[0])
    try:
        age_s = os.stat(targets[0]).st_mtime
        return is_remote(item.source) or age_s >= os.stat(item.source).st_mtime
    except FileNotFoundError:
        return False


def _reason(error: Exception) -> str:
    """Say in a line what went wrong."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, TrunklineError | OSError):
        return str(error)
    return f"{type(error).__name__}: {error}"
