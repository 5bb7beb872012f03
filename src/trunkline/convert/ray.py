"""A batch on Ray Data: the same items and the same outcomes, on all cores of a cluster."""

import functools
import logging
import os
import pickle
import socket
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Set
from itertools import islice
from typing import Any, Final

import msgspec

from trunkline.convert.batch import Outcome, checked, convert_item
from trunkline.convert.items import Item
from trunkline.convert.remote import is_remote
from trunkline.errors import LibraryMissingError
from trunkline.extras import needs_extra

__all__ = ["run_batch"]

#: Items that are known to the driver at a time, which bounds its memory however long a manifest is.
WAVE_ITEMS: Final = 50_000
#: How often a task is begun again whose worker is lost.
MAX_RETRIES: Final = 3
#: Files that are converted again, at most, when a worker is lost.
FILES_PER_TASK: Final = 32


def run_batch(
    items: Iterable[Item],
    *,
    sources: Set[str] = frozenset(),
    address: str | None = None,
    jobs: int = 1,
    resume: bool = False,
    strict: bool = False,
    on_progress: Callable[[float], None] = lambda duration_s: None,
) -> Generator[Outcome]:
    """Convert items on a Ray cluster, as `trunkline.convert.batch.run_batch` does in threads.

    `address` is HOST:PORT of a cluster that this machine is part of, "auto", or "local", which starts one of
    this machine's cores; None is what RAY_ADDRESS says, or else a cluster that runs here, or else "local". A
    Ray that this process has initialised already is used as it is. `jobs`: conversions at a time on a core.

    Ray starts again what a lost worker was at, up to 32 files: harmless, as a result takes its name only when
    it is whole. A file that takes its worker with it every time fails, alone. Local names are made absolute,
    and must be those of a disk that all machines share; URLs need none. `on_progress` is told of a recording
    when it has ended.

    LibraryMissingError without Ray, or when the workers have no trunkline; OSError when no cluster answers.
    """
    ray = _connected(address)
    files = checked(map(_for_worker, items), sources)
    while wave := dict(enumerate(islice(files, WAVE_ITEMS))):
        n_cpus = ray.cluster_resources().get("CPU", 1)
        work = functools.partial(_convert, resume=resume, strict=strict)
        for files_per_task in (max(1, min(FILES_PER_TASK, int(len(wave) // (8 * n_cpus)))), 1):
            for number, outcome in _finished(ray, wave, work, files_per_task, jobs):
                del wave[number]
                on_progress(outcome.duration_s)
                yield outcome
                if strict and outcome.status == "failed":
                    return
        for item in wave.values():
            reason = "the process that converts it dies every time: see the logs of Ray"
            yield Outcome(item.source, item.target, "failed", error=reason)


def _convert(rows: dict[str, Any], *, resume: bool, strict: bool) -> dict[str, Any]:
    """Convert the items of a block of rows, in a worker."""
    items = (pickle.loads(item) for item in rows["item"])  # noqa: S301 # of our own driver
    outcomes = [pickle.dumps(convert_item(item, resume=resume, strict=strict)) for item in items]
    return {"number": rows["number"], "outcome": outcomes}


def _finished(
    ray: Any, items: dict[int, Item], work: Callable[..., Any], files_per_task: int, jobs: int
) -> Iterator[tuple[int, Outcome]]:
    """Have items converted; give what ended, with its number. What a dying worker was at may be missing."""
    if not items:
        return
    rows = [{"number": number, "item": pickle.dumps(item)} for number, item in items.items()]
    dataset = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // files_per_task))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of max_retries, which has no other place yet
        done = dataset.map_batches(work, batch_size=None, num_cpus=1 / jobs, max_retries=MAX_RETRIES)
    done.context.max_errored_blocks = -1
    done.context.enable_progress_bars = False
    try:
        for row in done.iter_rows():
            yield row["number"], pickle.loads(row["outcome"])  # noqa: S301 # of our own worker
    except ray.exceptions.RayError as error:
        raise OSError(f"Ray: {_first_line(error)}") from error


def _for_worker(item: Item) -> Item:
    """Make local names absolute, since a worker has a directory of its own."""
    if item.error is not None:
        return item
    if "-" in (item.source, item.right, item.target):
        return msgspec.structs.replace(item, error="a worker has no standard input and output: give a name")
    names = {"source": item.source, "target": item.target, "right": item.right}
    local = {name: os.path.abspath(value) for name, value in names.items() if value and not is_remote(value)}
    return msgspec.structs.replace(item, **local)


def _connected(address: str | None) -> Any:
    """Give Ray, connected to a cluster whose workers have trunkline."""
    with needs_extra("ray"):
        import ray
        import ray.data
    if not ray.is_initialized():
        host, _, port = (address or "").rpartition(":")
        try:
            if port.isdigit() and "/" not in host:
                socket.create_connection((host, int(port)), timeout=10).close()  # Ray waits for minutes
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError) as error:
            raise ConnectionError(f"Ray at {address or 'RAY_ADDRESS'}: {_first_line(error)}") from error
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # each failure is an outcome
    try:
        ray.get(ray.remote(_convert).remote({"number": [], "item": []}, resume=False, strict=False))
    except ray.exceptions.RayError as error:
        cure = "install it there, or set runtime_env={'pip': ['trunkline']}"
        raise LibraryMissingError(f"trunkline in Ray's workers: {_first_line(error)}: {cure}") from error
    return ray


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]
