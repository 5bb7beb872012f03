"""Draw delay against concealment: `python benchmarks/jitter_pareto.py` writes docs/images/jitter_pareto.png.

Means over the traces of jitter_traces.py. Our curve is what other costs of a per cent of loss give, the fixed
delays' what other delays do. The floor is the least that anybody could who knew every arrival before: its
play-out delay moves by up to a quarter of the time, free of charge, and jumps for as much concealment.
"""

import statistics
from pathlib import Path

import numpy as np
from jitter_harness import BUFFERS, Fixed, Trunkline, _Timeline, measure, play
from jitter_traces import Trace, traces
from matplotlib.figure import Figure

COSTS_MS = (3, 10, 30, 60, 120, 300)
DELAYS_MS = (40, 60, 100, 200, 400)
PRICES_MS = (10, 30, 100, 300, 1000, 10_000)  # of a concealed packet, for the floor
GRID_MS = 5.0
AIM = (80, 0.80)  # ms, points: what a mean over other networks was to be at most
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "jitter_pareto.png"


def floor(trace: Trace, price_ms: float) -> tuple[float, float]:
    """The least of delay + price x concealment: added concealment in % and mean delay in ms.

    A walk over delays on a grid, packet after packet: a packet costs its delay when it has come by then, the
    price when not; a step to the neighbour (a quarter of 20 ms) is free, one further its share of the price.
    """
    line = _Timeline(trace)
    above = np.array(
        [
            np.inf if p.arrival_ms is None else p.arrival_ms - p.sent_ms - line.fastest_at(p.sent_ms)
            for p in line.packets[:12_000]
        ]
    )
    delays = np.arange(0, min(1500.0, above[np.isfinite(above)].max()) + 2 * GRID_MS, GRID_MS)
    jump = price_ms * GRID_MS / trace.ptime_ms
    cost, made_up, waited, heard = (np.zeros(len(delays)) for _ in range(4))
    where = np.arange(len(delays))
    for one in above:
        played = delays >= one
        cost += np.where(played, delays, price_ms)
        made_up += ~played
        waited += np.where(played, delays, 0)
        heard += played
        near = np.stack([np.append(cost[1:], np.inf), cost, np.insert(cost[:-1], 0, np.inf)])
        source = where + 1 - near.argmin(axis=0)
        best = near.min(axis=0)
        below, over = best - jump * where, best + jump * where
        up, down = _arg_running_min(below), len(delays) - 1 - _arg_running_min(over[::-1])[::-1]
        from_below, from_over = below[up] + jump * where, over[down] - jump * where
        origin = np.where(from_below < from_over, up, down)
        origin = np.where(best <= np.minimum(from_below, from_over) + 1e-9, where, origin)
        moved = np.abs(origin - where) * GRID_MS / trace.ptime_ms
        source = source[origin]
        cost = best[origin] + jump * np.abs(origin - where)
        made_up, waited, heard = made_up[source] + moved, waited[source], heard[source]
    end = int(cost.argmin())
    lost = float(np.isinf(above).mean())
    return 100 * (made_up[end] / len(above) - lost), waited[end] / max(1.0, heard[end])


def _arg_running_min(values: np.ndarray) -> np.ndarray:
    least = np.minimum.accumulate(values)
    return np.maximum.accumulate(np.where(values <= least, np.arange(len(values)), 0))


def point(every: list[Trace], make: object) -> tuple[float, float]:
    results = [measure(trace, play(trace, make(trace.ptime_ms))) for trace in every]  # type: ignore[operator]
    return (
        statistics.mean(result.mean_ms for result in results),
        statistics.mean(result.added for result in results),
    )


def main() -> None:
    every = list(traces())
    figure = Figure(figsize=(9, 5.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    floors = [[floor(trace, price) for trace in every] for price in PRICES_MS]
    curve = [(statistics.mean(d for _, d in row), statistics.mean(c for c, _ in row)) for row in floors]
    axes.plot(
        *zip(*curve, strict=True), color="#999999", linestyle="--", label="floor: all arrivals known before"
    )
    fixed = [point(every, lambda ptime, d=d: Fixed(ptime, d)) for d in DELAYS_MS]
    axes.plot(*zip(*fixed, strict=True), color="#588157", marker="s", label="fixed, 40 to 400 ms")
    ours = [point(every, lambda ptime, c=c: Trunkline(ptime, c)) for c in COSTS_MS]
    axes.plot(*zip(*ours, strict=True), color="#1f6f8b", marker="o", label="trunkline, loss_cost_ms 3 to 300")
    for cost, (x, y) in zip(COSTS_MS, ours, strict=True):
        axes.annotate(
            str(cost), (x, y), textcoords="offset points", xytext=(4, 6), fontsize=8, color="#1f6f8b"
        )
    axes.plot(*AIM, color="#333333", marker="*", markersize=11, linewidth=0, label="the aim")
    for name, color in (("aiortc", "#c8553d"), ("speexdsp", "#6d597a")):
        if name in BUFFERS:
            axes.plot(*point(every, BUFFERS[name]), color=color, marker="D", linewidth=0, label=name)
    axes.set_xlabel("mean delay above the fastest packet, ms")
    axes.set_ylabel("concealed beyond the network's own loss, % of the time")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    ticks = (0, 0.2, 0.5, 1, 2, 5, 10)
    axes.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(PICTURE)
    print(f"{PICTURE}\nfloor {curve}\nfixed {fixed}\ntrunkline {ours}")


if __name__ == "__main__":
    main()
