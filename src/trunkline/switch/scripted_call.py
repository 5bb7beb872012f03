"""ScriptedCall: a call of a switch as the verbs of a SWML document want it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from trunkline.errors import FormatError
from trunkline.stream import StreamRequest
from trunkline.switch.call import Call
from trunkline.switch.records import CallRecord
from trunkline.switch.sources import SilenceSource, Source
from trunkline.switch.swml.streams import stream_request
from trunkline.switch.swml.verbs import Connect, Silence, Stream

__all__ = ["OpenSound", "ScriptedCall", "call_scope"]

OpenSound = Callable[[str], Awaitable[Source]]


class ScriptedCall:
    """Give a document's verbs to a call: `await swml.run(document, ScriptedCall(call))`.

    `open_sound(url)` makes a source of what the document wants played, and decides what it may name; None: it
    plays nothing but silence, and any other sound is a FormatError. `Sounds.open` is one.
    """

    def __init__(self, call: Call, *, open_sound: OpenSound | None = None) -> None:
        self._call = call
        self._open_sound = open_sound

    async def answer(self) -> None:
        """Answer the call."""
        await self._call.answer()

    async def stream(self, request: Stream) -> str:
        """Start a one-way stream; give its control id."""
        return (await self._call.start_stream(self._checked(request))).control_id

    async def stop_stream(self, control_id: str | None) -> None:
        """Stop the stream of that id, the newest without one."""
        await self._call.stop_stream(control_id)

    async def connect(self, request: Connect) -> None:
        """Connect the call to a two-way stream; return when that has finished."""
        await self._call.connect(self._checked(request))
        await self._go_on()

    async def play(self, source: str | Silence) -> None:
        """Play silence or a sound; return when it was heard."""
        if isinstance(source, Silence):
            await self._call.play(SilenceSource(self._call.sample_rate, seconds=source.seconds))
        elif self._open_sound is None:
            raise FormatError("play: sounds are not played here, but silence")
        else:
            await self._call.play(await self._open_sound(source))
        await self._go_on()

    async def hangup(self, reason: str) -> None:
        """End the call."""
        await self._call.hangup(reason)

    async def wait_for_ended(self) -> None:
        """Wait until the call has ended."""
        await self._call.wait_for_ended()

    async def _go_on(self) -> None:
        """Let no verb begin behind one that was over because the call is about to end."""
        if not self._call.is_live:
            await asyncio.Event().wait()  # until the runner, which waits for the call's end, cancels it

    def _checked(self, verb: Stream | Connect) -> StreamRequest:
        return stream_request(verb, insecure_loopback=self._call.insecure_loopback)


def call_scope(call: Call | CallRecord) -> dict[str, Any]:
    """Tell a document, and the server that it is fetched from, of the call: its scope "call"."""
    return {
        "call_id": call.id,
        "node_id": call.node_id,
        "segment_id": call.segment_id,
        "call_state": call.state,
        "direction": call.direction,
        "type": "phone",
        "from": call.from_number,
        "to": call.to_number,
        "project_id": call.project_id,
    }
