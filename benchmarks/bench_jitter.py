"""The jitter buffer beside what people use today: `python benchmarks/bench_jitter.py` prints the tables.

The traces are jitter_traces.py's, several seeds of each; what the columns are is said in jitter_harness.py.
The tick's phase is another one for each seed: what plays packets at ticks is lucky or not by up to a packet.
"""

import statistics
import sys
from collections.abc import Callable, Iterable

import pytest
from jitter_harness import BUFFERS, Result, measure, play
from jitter_traces import HZ, MODELS, Packet, Trace, traces
from peers import Pass, print_head, print_row, take_turns, times_as_fast

SEEDS = 3
ROUNDS = 15


def results(names: Iterable[str] = BUFFERS) -> dict[str, dict[str, list[Result]]]:
    """Play every trace of every seed into every buffer: results by buffer and trace."""
    found: dict[str, dict[str, list[Result]]] = {name: {model: [] for model in MODELS} for name in names}
    for seed in range(SEEDS):
        for trace in traces(seed):
            for name, by_trace in found.items():
                played = play(trace, BUFFERS[name](trace.ptime_ms), phase_ms=3 + 6 * seed)
                by_trace[trace.name].append(measure(trace, played))
    return found


def mean(found: Iterable[Result], field: str) -> float:
    return statistics.mean(getattr(result, field) for result in found)


def cost_pass(name: str) -> Pass:
    """Put and get a second of a steady stream, which goes on from pass to pass."""
    buffer, k = BUFFERS[name](20), 0

    def one_pass() -> None:
        nonlocal k
        for _ in range(50):
            buffer.put(Packet(k % 2**16, k * 20 * HZ % 2**32, k * 20.0, k * 20.0 + k % 3))
            buffer.get(k * 20.0 + 9)
            k += 1

    return one_pass


def main() -> None:
    print(f"{len(MODELS)} traces, {SEEDS} seeds, Python {sys.version.split()[0]}\n")
    found = results()
    print_head(
        "mean R", "worst R", "mean delay, ms", "p95, ms", "added concealment, points", "over 1 % unplayed"
    )
    for name, by_trace in found.items():
        every = [result for of_trace in by_trace.values() for result in of_trace]
        unplayed = sum(mean(of_trace, "late") > 1 for of_trace in by_trace.values())
        print_row(
            name,
            f"{mean(every, 'r'):.1f}",
            f"{min(result.r for result in every):.1f}",
            f"{mean(every, 'mean_ms'):.0f}",
            f"{mean(every, 'p95_ms'):.0f}",
            f"{mean(every, 'added'):.2f}",
            f"{unplayed} of {len(by_trace)}",
        )
    print("\ntrunkline, each trace:\n")
    print_head("concealed, %", "added", "late, %", "mean, ms", "p95, ms", "overtaken ones saved, %", "R")
    for trace, of_trace in found["trunkline"].items():
        fields = ("concealed", "added", "late", "mean_ms", "p95_ms", "saved", "r")
        digits = (2, 2, 2, 0, 0, 1, 1)
        print_row(trace, *(f"{mean(of_trace, f):.{d}f}" for f, d in zip(fields, digits, strict=True)))
    seconds = take_turns({name: cost_pass(name) for name in BUFFERS if name != "fixed 60 ms"}, ROUNDS)
    print("\nput and get of a packet, times as fast as:\n")
    peers = [name for name in seconds if name != "trunkline"]
    print_head(*peers)
    print_row(
        "trunkline, decoding included", *(f"{times_as_fast(seconds, 'trunkline', p):.2g}" for p in peers)
    )


@pytest.mark.parametrize("name", BUFFERS)
def test_a_second_of_packets(benchmark: Callable[..., None], name: str) -> None:
    benchmark(cost_pass(name))


__all__ = ["Trace", "results"]

if __name__ == "__main__":
    main()
