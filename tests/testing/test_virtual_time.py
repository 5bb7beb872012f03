"""The loop for whom sleeping costs no time."""

import asyncio
import time

import pytest

from trunkline.testing.virtual_time import run_in_virtual_time

DAY_S = 86_400.0


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_timers_go_off_in_their_order_and_at_their_times() -> None:
    went_off: list[float] = []

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        assert now_s() == pytest.approx(seconds)
        went_off.append(seconds)

    async def main() -> None:
        await asyncio.gather(*(sleep(seconds) for seconds in (DAY_S, 3.0, 0.02, 7.5, 0.0, 3.01)))

    began_s = time.monotonic()
    run_in_virtual_time(main())
    assert went_off == [0.0, 0.02, 3.0, 3.01, 7.5, DAY_S]
    assert time.monotonic() - began_s < DAY_S / 100


def test_a_thread_of_the_loop_takes_no_time() -> None:
    async def main() -> None:
        async with asyncio.timeout(0.001):  # a tenth of what the thread takes
            await asyncio.to_thread(time.sleep, 0.01)
        assert now_s() == 0.0
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        await asyncio.sleep(DAY_S)  # and afterwards the clock jumps again
        assert now_s() == DAY_S

    run_in_virtual_time(main())


def test_a_timeout_is_over_when_its_time_is() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(DAY_S):
                await asyncio.Event().wait()
        assert now_s() == DAY_S

    run_in_virtual_time(main())
