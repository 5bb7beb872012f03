"""How many calls one core receives in time: `python benchmarks/bench_load.py [SECONDS]`.

A receiver holds a number of calls when every packet came, none was lost, and 99 of 100 frames at 16 kHz are
less than 20 ms late, of a window of SECONDS (8), in which a machine that stops for some 80 ms decides
nothing. The search goes in steps of a half until it has a number that is held and one that is not, and then
between the two; the receivers take turns, since the speed of a machine that others use changes. What fails
is tried again where the receiver's core was not full, because one hiccup of the machine is none of the
receiver's. The receiver has one core, and what makes the calls (`trunkline.net.Load`, PCMU over ws://)
another: two cores that do nothing else, or the numbers mean little.

Last comes how many calls are made in time at all, to a sink that throws them away. Where what makes the calls
was itself late when a receiver failed, that receiver may hold more.
"""

import asyncio
import multiprocessing
import os
import resource
import sys
import time
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import NamedTuple

from load_receivers import SINK, USUAL, Held, installed, run
from peers import print_head, print_row

from trunkline.net import Load, LoadReport

LATE_MS = 20.0
MADE_LATE_MS = 5.0
FULL = 0.97  # of a core
FIRST = 400
GALLOP = 1.5
STEP = 1.1  # how near what is held and what is not have to be
CALLS_MIN, CALLS_MAX = 25, 4000
CONNECTS_PER_S = 250.0
WARM_UP_S = 3.0


class Trial(NamedTuple):
    """What came of a number of calls.

    Of processor time, a packet took `held_us` where it was received, and `made_us` where it was made.
    """

    name: str
    n_calls: int
    report: LoadReport
    held: Held
    held_us: float
    made_cpu: float
    made_us: float

    @property
    def is_made_late(self) -> bool:
        return self.report.late_ms.p99 >= MADE_LATE_MS

    @property
    def is_good(self) -> bool:
        """Whether the receiver held the calls; of the sink, whether they were made."""
        if self.name == SINK:
            return self.report.is_clean and not self.is_made_late
        whole = self.report.is_clean and self.held.n_lost == 0 and self.held.n_packets == self.report.sent
        return whole and self.held.late_ms_p99 < LATE_MS


async def make_calls(n_calls: int, seconds: float, pipe: Connection) -> tuple[LoadReport, float, float]:
    ramp_s = n_calls / CONNECTS_PER_S
    load = Load(
        f"ws://127.0.0.1:{pipe.recv()}/",
        calls=n_calls,
        seconds=ramp_s + WARM_UP_S + seconds + 0.5,
        connects_per_s=CONNECTS_PER_S,
    )
    making = asyncio.create_task(load.run())
    await asyncio.sleep(ramp_s + WARM_UP_S)
    pipe.send("open")
    load.restart_quantiles()
    cpu_s, began_s, n_sent = time.process_time(), time.perf_counter(), load.report().sent
    await asyncio.sleep(seconds)
    pipe.send("close")
    cpu_s, n_sent = time.process_time() - cpu_s, load.report().sent - n_sent
    made_cpu = cpu_s / (time.perf_counter() - began_s)
    return await making, made_cpu, 1e6 * cpu_s / max(1, n_sent)


def try_once(name: str, n_calls: int, seconds: float, core: int) -> Trial:
    """Put a receiver under so many calls."""
    ours, theirs = multiprocessing.Pipe()
    receiver = SpawnProcess(target=run, args=(name, core, theirs), daemon=True)
    receiver.start()
    theirs.close()
    with closing(ours):
        try:
            report, made_cpu, made_us = asyncio.run(make_calls(n_calls, seconds, ours))
            ours.send("tell")
            held = ours.recv()
            held_us = 1e6 * held.cpu * seconds / max(1, held.n_in_window)
            return Trial(name, n_calls, report, held, held_us, made_cpu, made_us)
        finally:
            receiver.kill()
            receiver.join()


def tried(name: str, n_calls: int, seconds: float, core: int) -> Trial:
    """Put a receiver under so many calls, and again where it may not be the receiver that failed."""
    for _ in range(2):
        trial = try_once(name, n_calls, seconds, core)
        held, report = trial.held, trial.report
        print_row(
            name,
            n_calls,
            "held" if trial.is_good else "not",
            "" if name == SINK else f"{held.late_ms_p99:.1f}",
            report.lost if name == SINK else report.sent - held.n_packets + held.n_lost + report.lost,
            f"{held.cpu:.0%}",
            "" if name == SINK else f"{trial.held_us:.1f}",
            f"{report.late_ms.p99:.1f}",
            f"{trial.made_cpu:.0%}",
            f"{trial.made_us:.1f}",
        )
        sys.stdout.flush()
        if trial.is_good or held.cpu > FULL:
            break
    return trial


class Search:
    """The search for the most calls that a receiver holds, a trial at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held: Trial | None = None
        self.may_be_more = True
        self._n_calls = FIRST
        self._n_held, self._n_failed = 0, CALLS_MAX + 1

    @property
    def is_done(self) -> bool:
        """Whether what is held and what is not are near enough."""
        return self._n_failed <= self._n_held * STEP or not CALLS_MIN <= self._n_calls <= CALLS_MAX

    def go_on(self, seconds: float, core: int) -> None:
        """Try a number of calls, and choose the next one."""
        trial = tried(self.name, self._n_calls, seconds, core)
        if trial.is_good:
            self.held, self._n_held = trial, self._n_calls
        else:
            self._n_failed, self.may_be_more = self._n_calls, trial.is_made_late
        if not self._n_held:
            self._n_calls = round(self._n_calls / GALLOP)
        elif self._n_failed <= CALLS_MAX:
            self._n_calls = round((self._n_held * self._n_failed) ** 0.5)
        elif self._n_held < CALLS_MAX:
            self._n_calls = min(round(self._n_calls * GALLOP), CALLS_MAX)
        else:
            self._n_calls = CALLS_MAX + 1


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("error: one core cannot make calls and receive them: takes two")
    os.sched_setaffinity(0, {cores[0]})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the receivers inherit it
    print_head(
        "calls",
        "",
        "late by, p99, ms",
        "lost",
        "of its core",
        "us each",
        "made late by, p99, ms",
        "of that core",
        "us each",
    )
    searches = [Search(name) for name in installed()]
    while searching := [search for search in searches if not search.is_done]:
        for search in searching:
            search.go_on(seconds, cores[1])
    print()
    print_head("calls", "times as many", "processor time of a packet, of the usual one's")
    usual = next((search.held for search in searches if search.name == USUAL), None)
    for search in searches:
        if search.held is None:
            print_row(search.name, f"fewer than {CALLS_MIN}", "", "")
            continue
        compares = usual is not None and search.name != SINK
        print_row(
            search.name,
            f"{search.held.n_calls}{' or more' if search.may_be_more and search.name != SINK else ''}",
            f"{search.held.n_calls / usual.n_calls:.1f}" if compares else "",
            f"{search.held.held_us / usual.held_us:.2f}" if compares else "",
        )


if __name__ == "__main__":
    main()
