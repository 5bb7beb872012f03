"""The clock's deadlines, however late it is called; and quantiles of lateness."""

import asyncio
import logging
from typing import Any

import pytest

from trunkline.switch.clock import Clock
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
