"""How many calls one core receives in time: `python benchmarks/bench_load.py [SECONDS]`.

A receiver holds a number of calls when every packet came, none was lost, and 99 of 100 frames at 16 kHz are
less than 20 ms late, of a window of SECONDS (6). The number is doubled until it is held no more, and then
bisected; what fails is tried twice, because one hiccup of the machine is none of the receiver. The receiver
has one core, and what makes the calls (`trunkline.net.Load`, PCMU over ws://) another: two cores that do
nothing else, or the numbers mean little. Where what makes the calls is late itself, the receiver may hold
more.
"""

import asyncio
import multiprocessing
import os
import sys
from multiprocessing.connection import Connection

from load_receivers import USUAL, Held, installed, run
from peers import print_head, print_row

from trunkline.net import Load, LoadReport

LATE_MS = 20.0
FIRST = 50
STEP = 1.1  # how near what is held and what is not have to be
CALLS_MAX = 3200
CONNECTS_PER_S = 200.0
WARM_UP_S = 1.5


async def make_calls(n_calls: int, seconds: float, port: int, pipe: Connection) -> LoadReport:
    ramp_s = n_calls / CONNECTS_PER_S
    load = Load(
        f"ws://127.0.0.1:{port}/",
        calls=n_calls,
        seconds=ramp_s + WARM_UP_S + seconds + 0.5,
        connects_per_s=CONNECTS_PER_S,
    )
    making = asyncio.create_task(load.run())
    await asyncio.sleep(ramp_s + WARM_UP_S)
    pipe.send("open")
    await asyncio.sleep(seconds)
    pipe.send("close")
    return await making


def trial(name: str, n_calls: int, seconds: float, core: int) -> tuple[bool, Held, LoadReport]:
    """Put a receiver under so many calls; say whether it held them."""
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("spawn").Process(
        target=run, args=(name, core, theirs), daemon=True
    )
    receiver.start()
    try:
        report = asyncio.run(make_calls(n_calls, seconds, ours.recv(), ours))
        ours.send("tell")
        held = ours.recv()
    finally:
        receiver.kill()
        receiver.join()
    whole = report.is_clean and held.n_lost == 0 and held.n_packets == report.sent
    return whole and held.late_ms_p99 < LATE_MS, held, report


def holds(name: str, n_calls: int, seconds: float, core: int) -> bool:
    for _ in range(2):
        good, held, report = trial(name, n_calls, seconds, core)
        print_row(
            name,
            n_calls,
            "held" if good else "not",
            f"{held.late_ms_p99:.1f}",
            report.sent - held.n_packets + held.n_lost + report.lost,
            f"{held.cpu:.0%}",
            f"{report.late_ms.p99:.1f}",
        )
        sys.stdout.flush()
        if good:
            return True
    return False


def most(name: str, seconds: float, core: int) -> int:
    """Find how many calls a receiver holds."""
    held, failed = 0, FIRST
    while failed <= CALLS_MAX and holds(name, failed, seconds, core):
        held, failed = failed, failed * 2
    while held and failed > held * STEP:
        middle = (held + failed) // 2
        if holds(name, middle, seconds, core):
            held = middle
        else:
            failed = middle
    return held


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 6.0
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("error: one core cannot make calls and receive them: takes two")
    os.sched_setaffinity(0, {cores[0]})
    print_head("calls", "", "late by, p99, ms", "lost", "of its core", "made late by, p99, ms")
    found = {name: most(name, seconds, cores[1]) for name in installed()}
    print()
    usual = found.get(USUAL)
    print_head("calls held on one core", "times as many")
    for name, n_calls in found.items():
        print_row(name, n_calls, f"{n_calls / usual:.1f}" if usual else "")


if __name__ == "__main__":
    main()
