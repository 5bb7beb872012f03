"""Runs a document on a call: its verbs one after another, until the last or until the call ends."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from trunkline.errors import FormatError, TrunklineError
from trunkline.switch.swml.annotations import fill_in
from trunkline.switch.swml.document import Document
from trunkline.switch.swml.variables import Scopes, Variables
from trunkline.switch.swml.verbs import (
    Answer,
    Connect,
    Hangup,
    Play,
    Set,
    Silence,
    Sleep,
    StopStream,
    Stream,
    Verb,
)

__all__ = ["Call", "run"]

_FAILURES = (TrunklineError, OSError)


class Call(Protocol):
    """What a document needs of a call. A method fails by TrunklineError or OSError, with the reason."""

    async def answer(self) -> None:
        """Answer the call; nothing when it is answered."""

    async def stream(self, request: Stream, /) -> str:
        """Start a one-way stream that goes on in the background; give its control id."""

    async def stop_stream(self, control_id: str | None, /) -> None:
        """Stop the stream of that id, the newest without one."""

    async def connect(self, request: Connect, /) -> None:
        """Connect the call to a two-way stream (`request.url`); return when that has ended."""

    async def play(self, source: str | Silence, /) -> None:
        """Play silence, or the audio file of an http, https or file URL; return when it is played.

        Whether a document may name files of this machine is for the call to decide.
        """

    async def hangup(self, reason: str, /) -> None:
        """End the call; `reason` is hangup, busy or decline. Nothing when it has ended."""

    async def wait_for_ended(self) -> Any:
        """Return when the call has ended, at once when it has."""


async def run(document: Document, call: Call, *, scopes: Scopes | None = None) -> Mapping[str, Any]:
    """Run a document on a call, and give the variables that it leaves.

    At the end of the document the call is hung up, as it is when a verb raises; a call that ends first ends
    the document. `scopes` are the variables that are only read: "call", "params", "envs".

    A `stream`, `stop_stream` or `connect` that fails sets its result variable, and the document goes on. What
    `answer` and `play` raise is raised; so is FormatError when a variable makes a field what it cannot be.
    """
    script = _Script(call, scopes or {})
    running = asyncio.ensure_future(script.run(document))
    ended = asyncio.ensure_future(call.wait_for_ended())
    try:
        await asyncio.wait((running, ended), return_when=asyncio.FIRST_COMPLETED)
        # A verb may fail because the call has ended: that wins, and may be known one turn later.
        await asyncio.wait((ended,), timeout=0)
    finally:
        running.cancel()
        ended.cancel()
        await asyncio.gather(running, ended, return_exceptions=True)
    if ended.cancelled():
        # Not inside the race: it is the hang-up that ends the call, and it has to come to its end.
        await call.hangup("hangup" if running.exception() else running.result())
        running.result()
    else:
        ended.result()
    return script.variables.vars


class _Script:
    def __init__(self, call: Call, scopes: Scopes) -> None:
        self.variables = Variables(scopes)
        self._call = call
        self._answered = False

    async def run(self, document: Document) -> str:
        """Run the verbs; give the reason for hanging up."""
        try:
            async with asyncio.timeout(None) as self._limit:
                for index, verb in enumerate(document.main):
                    try:
                        if isinstance(verb, Hangup):
                            return verb.reason
                        await self._step(verb)
                    except FormatError as error:
                        raise FormatError(f"sections.main[{index}]: {error}") from error
        except TimeoutError:
            if not self._limit.expired():
                raise
        return "hangup"

    async def _step(self, verb: Verb) -> None:
        match verb:
            case Answer():
                await self._answer(verb)
            case Stream():
                await self._stream(verb)
            case StopStream():
                await self._stop_stream(verb)
            case Connect():
                await self._connect(verb)
            case Play():
                await self._play(verb)
            case Sleep():
                await self._sleep(verb)
            case Set():
                for name, template in verb.variables.items():
                    self.variables.vars[name] = self.variables.value(template)

    async def _answer(self, verb: Answer) -> None:
        if self._answered:
            return
        max_duration = int(fill_in(verb, self.variables).max_duration)
        await self._call.answer()
        self._answered = True
        self._limit.reschedule(asyncio.get_running_loop().time() + max_duration)

    async def _stream(self, verb: Stream) -> None:
        try:
            control_id = await self._call.stream(fill_in(verb, self.variables))
        except _FAILURES:
            self.variables.vars["stream_result"] = "failed"
        else:
            self.variables.vars |= {"stream_result": "success", "stream_control_id": control_id}

    async def _stop_stream(self, verb: StopStream) -> None:
        try:
            await self._call.stop_stream(fill_in(verb, self.variables).control_id)
        except _FAILURES:
            self.variables.vars["stop_stream_result"] = "failed"
        else:
            self.variables.vars["stop_stream_result"] = "success"

    async def _connect(self, verb: Connect) -> None:
        await self._answer(Answer())
        try:
            await self._call.connect(fill_in(verb, self.variables))
        except _FAILURES as error:
            self.variables.vars["connect_failed_reason"] = str(error)
            result = "failed"
        else:
            result = "connected"
        self.variables.vars |= {"connect_result": result, "return_value": result}

    async def _play(self, verb: Play) -> None:
        verb = fill_in(verb, self.variables)
        if verb.auto_answer:
            await self._answer(Answer())
        for source in verb.sources:
            await self._call.play(Silence.parse(source) or source)

    async def _sleep(self, verb: Sleep) -> None:
        duration = int(fill_in(verb, self.variables).duration)
        if duration < 0:
            await asyncio.Event().wait()  # until the call ends
        await asyncio.sleep(duration / 1000)
