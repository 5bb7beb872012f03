"""The clock's deadlines, however late it is called; and quantiles of lateness."""

import asyncio
import logging
import random
from typing import Any

import numpy as np
import pytest

from trunkline.switch.clock import Clock, Lateness
from trunkline.testing.virtual_time import run_in_virtual_time


def test_being_late_moves_no_deadline() -> None:
    ticks: list[tuple[float, float]] = []

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        def tick(due_s: float) -> None:
            ticks.append((due_s, loop.time()))
            if len(ticks) in (3, 10):
                loop._clock.now_s += 0.07  # as if the process had not run for so long

        clock = Clock(tick, phase_s=0.005)
        clock.stop()
        clock.start()  # it was stopped
        clock = Clock(tick, phase_s=0.005)
        clock.start()
        await asyncio.sleep(0.01)
        clock.start()  # it has begun
        await asyncio.sleep(0.99)
        clock.stop()
        clock.stop()
        await asyncio.sleep(1)

    run_in_virtual_time(main())
    assert len(ticks) == 50
    for k, (due_s, _) in enumerate(ticks):
        assert due_s == pytest.approx(0.005 + 0.02 * k, abs=1e-9)
    late = [k for k, (due_s, now_s) in enumerate(ticks) if now_s - due_s > 0.001]
    assert late == [3, 4, 5, 10, 11, 12]


def test_a_tick_that_raises_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    n_ticks = 0

    async def main() -> None:
        def tick(due_s: float) -> None:
            nonlocal n_ticks
            n_ticks += 1
            if n_ticks == 2:
                raise ValueError("of the tick")

        clock = Clock(tick)
        clock.start()
        await asyncio.sleep(0.099)
        clock.stop()

    with caplog.at_level(logging.ERROR):
        run_in_virtual_time(main())
    assert n_ticks == 5
    assert "of the tick" in caplog.text


def test_quantiles_are_right_to_a_bin() -> None:
    rng = random.Random(0)
    late_ms = [rng.lognormvariate(0, 1.5) for _ in range(5000)]
    halves = Lateness(), Lateness()
    for k, late in enumerate(late_ms):
        halves[k % 2].add(late)
    whole = Lateness()
    assert (whole.n, whole.quantile_ms(0.5), whole.max_ms) == (0, 0.0, 0.0)
    for half in halves:
        whole.update(half)
    assert (whole.n, whole.max_ms) == (5000, max(late_ms))
    for q in (0.1, 0.5, 0.9, 0.99, 0.999, 1.0):
        exact = float(np.quantile(late_ms, q, method="inverted_cdf"))
        assert max(exact, 0.05) * 0.999 <= whole.quantile_ms(q) <= max(exact, 0.05) * 1.1


def test_what_is_early_or_very_late_has_a_bin_too() -> None:
    lateness = Lateness()
    for late_ms in (-1.0, 0.0, 1e9):
        lateness.add(late_ms)
    assert (lateness.n, lateness.max_ms, lateness.quantile_ms(0.5)) == (3, 1e9, 0.05)
