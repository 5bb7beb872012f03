"""Journals that tests begin with."""

from pathlib import Path
from typing import Any

from tests.switch.parties import answered, endpoint, switch, texts
from trunkline.switch import Journal
from trunkline.testing.virtual_time import run_in_virtual_time


async def listens(socket: Any) -> None:
    """An endpoint that takes what comes."""
    async for _ in texts(socket):
        pass


def written(path: Path, n_calls: int = 3) -> list[str]:
    """Write a journal of so many calls that ended, each with a stream; gives their ids."""

    async def test() -> list[str]:
        with Journal(path) as journal:
            async with switch(journal=journal) as made, endpoint(listens) as url:
                for _ in range(n_calls):
                    call = await answered(made)
                    await call.stream(url, control_id="s")
                    await call.hangup()
            return list(made.calls)

    return run_in_virtual_time(test())
