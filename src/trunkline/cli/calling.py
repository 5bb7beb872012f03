"""The calls of `trunkline switch --call`: when they are placed, and answered by themselves."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from trunkline.errors import LocalProtocolError, TrunklineError

if TYPE_CHECKING:
    from trunkline.cli.switch_view import SwitchView
    from trunkline.switch import Call, Client, Switch

__all__ = ["CALLING", "Calling"]


@dataclass
class Calling:
    """The calls of --call, and when they are placed."""

    caller: str | None
    outbound: str | None
    context: str
    from_number: str
    to_number: str
    at_once: bool
    once: bool
    answer_after: float | None
    called: "set[str]" = field(init=False, default_factory=set)  # clients, by their protocol
    tasks: "set[asyncio.Task[None]]" = field(init=False, default_factory=set)

    def on_client(self, place: "Callable[[], None]", client: "Client", change: str) -> None:
        """Call a client that wants the context for the first time."""
        wanted = change in ("connected", "contexts") and self.context in client.contexts
        if self.caller is None or self.at_once or not wanted or client.protocol in self.called:
            return
        if not (self.once and self.called):
            self.called.add(client.protocol)
            place()

    def place(self, switch: "Switch", view: "SwitchView", stop: asyncio.Event) -> None:
        """Place a call, in a task of its own."""
        task = asyncio.create_task(self._place(switch, view, stop))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _place(self, switch: "Switch", view: "SwitchView", stop: asyncio.Event) -> None:
        try:
            call = await self._placed(switch)
        except (TrunklineError, OSError) as error:
            view.note(f"no call: {error}", "red")
            view.n_failed += 1
        else:
            await _live_through(call, self.answer_after)
        if self.once:
            stop.set()

    async def _placed(self, switch: "Switch") -> "Call":
        from trunkline.switch.source_names import open_source

        source = await open_source(self.caller or "silence")
        try:
            outbound = None if self.outbound is None else await open_source(self.outbound)
        except BaseException:
            source.close()
            raise
        return switch.place_call(
            source,
            outbound=outbound,
            context=self.context,
            sample_rate=_call_rate(source.sample_rate),
            from_number=self.from_number,
            to_number=self.to_number,
        )


#: The names of its options.
CALLING = tuple(option.name for option in fields(Calling) if option.init)


async def _live_through(call: "Call", answer_after: float | None) -> None:
    try:
        async with asyncio.timeout(answer_after):
            await call.wait_for_ended()
    except TimeoutError:
        with suppress(LocalProtocolError):  # it is being hung up
            await call.answer()
        await call.wait_for_ended()


def _call_rate(sample_rate: int) -> int:
    """Give a call its source's rate, where a call can have that."""
    return sample_rate if 4_000 <= sample_rate <= 48_000 and sample_rate % 50 == 0 else 8_000
