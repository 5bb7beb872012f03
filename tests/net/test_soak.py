"""Calls for minutes, packets left out, reconnects: every message is accounted for, and memory stays flat.

The short form is 50 calls for a minute; `make soak` takes 500 for ten, by TRUNKLINE_SOAK_CALLS and
TRUNKLINE_SOAK_MINUTES. The receiver is a process of its own, so that its memory is its own.
"""

import asyncio
import gc
import multiprocessing
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from trunkline.net import Call, Load, LoadReport, serve
from trunkline.stream import Frame, Mark

CALLS = int(os.environ.get("TRUNKLINE_SOAK_CALLS", "50"))
MINUTES = int(os.environ.get("TRUNKLINE_SOAK_MINUTES", "1"))
ROUNDS = max(2, MINUTES)  # a reconnect once a minute, and one in the short form
CONNECTS_PER_S = 25.0
SAMPLE_S = 5.0
WARM_UP_S = 120.0
MIB_AN_HOUR = 1.0  # after the warm-up
MIB_IN_SHORT = 4.0  # the short form's second half: what an allocator keeps, and no leak of messages


class Received(NamedTuple):
    """What the receiver counted, and its memory in MiB, once every SAMPLE_S."""

    calls: float
    packets: float
    lost: float
    late: float
    frames_ms: float
    errors: list[str]
    memory_mib: list[float]


def receive(pipe: Connection) -> None:
    """Serve until the pipe says so, then tell what came."""
    errors: list[str] = []
    memory: list[float] = []
    # Sums: to keep what each call counted would be the growth that is looked for.
    counted = dict.fromkeys(Received._fields[:5], 0.0)

    async def handler(call: Call) -> None:
        async for event in call:
            if isinstance(event, Frame):
                counted["frames_ms"] += event.duration_ms
            elif isinstance(event, Mark):
                call.mark(event.name)
        if call.error is not None:
            errors.append(str(call.error))
        stats = call.stats["inbound"]
        counted["calls"] += 1
        for name in ("packets", "lost", "late"):
            counted[name] += getattr(stats, name)

    async def sample() -> None:
        while True:
            memory.append(_resident_mib())
            await asyncio.sleep(SAMPLE_S)

    async def main() -> None:
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        async with serve(handler, sample_rate=16_000) as server:
            pipe.send(server.url)
            threading.Thread(
                target=lambda: (pipe.recv(), loop.call_soon_threadsafe(done.set)), daemon=True
            ).start()
            sampling = asyncio.create_task(sample())
            await done.wait()
            sampling.cancel()

    asyncio.run(main())
    pipe.send(Received(*counted.values(), errors, memory))


def _resident_mib() -> float:
    """Measure what is left when the garbage has been collected: aiohttp leaves some of each call."""
    gc.collect()
    n_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return n_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def soaked() -> tuple[LoadReport, Received]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(theirs,), daemon=True)
    process.start()
    try:
        load = Load(
            ours.recv(),
            calls=CALLS,
            seconds=60.0 * MINUTES / ROUNDS,
            rounds=ROUNDS,
            drop=0.02,
            connects_per_s=CONNECTS_PER_S,
        )
        report = asyncio.run(load.run())
        ours.send("tell")
        assert ours.poll(30)
        return report, ours.recv()
    finally:
        process.kill()
        process.join()


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Take the median slope between any two points (Theil, Sen): one step of an allocator is no leak."""
    i, j = np.triu_indices(len(x), 1)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i])))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_soak() -> None:
    report, received = soaked()
    print(report)
    minutes = np.arange(len(received.memory_mib)) * SAMPLE_S / 60
    print([round(mib, 2) for mib in received.memory_mib[:: max(1, len(minutes) // 40)]])
    assert report.is_clean, report
    assert received.errors == []
    assert report.completed == received.calls == CALLS * ROUNDS
    assert report.due == report.sent + report.left_out
    assert (received.packets, received.lost, received.late) == (report.sent, report.left_out, 0)
    assert received.packets + received.lost == report.due
    # The audio is as long as what was due; a call's resampler brings up to 5 ms more.
    assert 0 <= received.frames_ms - 20 * report.due <= 5 * received.calls
    memory = np.array(received.memory_mib)
    if memory[minutes * 60 > WARM_UP_S].size > 120 / SAMPLE_S:
        settled = minutes * 60 > WARM_UP_S
        slope = _slope(minutes[settled] / 60, memory[settled])
        print(f"{slope:.2f} MiB an hour")
        assert slope < MIB_AN_HOUR
    half = len(memory) // 2
    assert memory[half:].max() - memory[:half].max() < MIB_IN_SHORT
