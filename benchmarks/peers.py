"""What every benchmark shares: peers that may not be installed, and passes that take turns."""

import importlib
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

#: One pass over a benchmark's packets.
Pass = Callable[[], object]


def optional(module: str) -> Any:
    """Import a peer, or give None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module(module)
        except ImportError:
            return None


def take_turns(passes: Mapping[str, Pass], rounds: int) -> dict[str, list[float]]:
    """Time every pass once a round, each right after a pass of its own; give seconds by name and round."""
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(rounds):
        for name, one_pass in passes.items():
            one_pass()  # what the one before left in the caches is its own
            start = time.perf_counter()
            one_pass()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def times_as_fast(seconds: Mapping[str, list[float]], name: str, peer: str) -> float:
    """Give how many times as fast as the peer: the median of the rounds' own ratios."""
    return statistics.median(theirs / ours for ours, theirs in zip(seconds[name], seconds[peer], strict=True))


def print_head(*names: str) -> None:
    print("| |", " | ".join(names), "|")
    print("|---|" + "---:|" * len(names))


def print_row(*cells: object) -> None:
    print("|", " | ".join(str(cell) for cell in cells), "|")
