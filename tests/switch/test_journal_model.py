"""Any life of a switch, with crashes in it, is remembered as a slow model in memory remembers it."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.switch.parties import NUMBERS, endpoint, switch, texts
from trunkline.errors import LocalProtocolError, StreamStartError
from trunkline.switch import CallChanged, Journal, StreamChanged, Switch, SwitchEvent
from trunkline.switch import journal as journal_module
from trunkline.testing.virtual_time import run_in_virtual_time

CALLS_MAX, STREAMS_MAX = 2, 1
# What is done, to which of the live calls, and to which of its streams.
OPERATIONS = st.tuples(
    st.sampled_from(
        ["place", "answer", *["hangup"] * 2, *["stream"] * 3, *["stop"] * 2, "break", "crash", "restart"]
    ),
    st.integers(0, 1),
    st.sampled_from("abc"),
)


Operation = tuple[str, int, str]


class Model:
    """Remembers what it is told in plain lists, the last change last."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.streams: list[dict[str, Any]] = []

    def listen(self, event: SwitchEvent) -> None:
        call = event.call
        if isinstance(event, CallChanged):
            self.calls = [known for known in self.calls if known["id"] != call.id]
            names = ("id", "state", "end_reason", "to_number", "created_s", "answered_s", "ended_s")
            self.calls.append({name: getattr(call, name) for name in names})
        elif isinstance(event, StreamChanged):
            stream = event.stream
            key = (call.id, stream.control_id)
            self.streams = [known for known in self.streams if known["key"] != key]
            error = None if stream.error is None else type(stream.error).__name__
            self.streams.append(
                {
                    "key": key,
                    "name": stream.request.name,
                    "state": event.state,
                    "error": error,
                    "started_s": stream.started_s,
                    "ended_s": stream.ended_s,
                }
            )
        self._forget_calls()
        self._forget_streams(call.id)

    def restart(self) -> None:
        """All that was live has ended, at the last time that anything was heard of its call."""
        for call in self.calls:
            streams = [stream for stream in self.streams if stream["key"][0] == call["id"]]
            times = [thing[name] for thing in (call, *streams) for name in thing if name.endswith("_s")]
            heard_s = max(filter(None, times))
            if call["state"] != "ended":
                call.update(state="ended", end_reason="error", ended_s=heard_s)
            for stream in streams:
                if stream["state"] != "finished":
                    stream.update(state="finished", error="interrupted", ended_s=heard_s)
        self._forget_calls()

    def _forget_calls(self) -> None:
        ended = [call for call in self.calls if call["state"] == "ended"]
        gone = [call["id"] for call in ended[: max(0, len(ended) - CALLS_MAX)]]
        self.calls = [call for call in self.calls if call["id"] not in gone]

    def _forget_streams(self, call_id: str) -> None:
        finished = [s for s in self.streams if s["key"][0] == call_id and s["state"] == "finished"]
        forgotten = finished[: max(0, len(finished) - STREAMS_MAX)]
        self.streams = [stream for stream in self.streams if stream not in forgotten]

    def remembered(self) -> list[Any]:
        return [
            (call, [stream for stream in self.streams if stream["key"][0] == call["id"]])
            for call in self.calls
        ]


def remembered(journal: Journal) -> list[Any]:
    """What a journal gives, in the form of the model."""
    names = ("id", "state", "end_reason", "to_number", "created_s", "answered_s", "ended_s")
    return [
        (
            {name: getattr(call, name) for name in names},
            [
                {
                    "key": (call.id, control_id),
                    "name": stream.request.name,
                    "state": stream.state,
                    "error": stream.error,
                    "started_s": stream.started_s,
                    "ended_s": stream.ended_s,
                }
                for control_id, stream in call.streams.items()
            ],
        )
        for call in journal.former.values()
    ]


class Endpoint:
    """Takes streams, and breaks them when it is told to."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []

    async def __call__(self, socket: web.WebSocketResponse) -> None:
        self.sockets.append(socket)
        async for _ in texts(socket):
            pass

    async def break_all(self) -> None:
        for socket in self.sockets:
            await socket.close(code=aiohttp.WSCloseCode.INTERNAL_ERROR)
        self.sockets.clear()


async def operate(made: Switch, url: str, operation: Operation) -> None:
    """Do something to a call, a new one where there is none; what cannot be done changes nothing."""
    kind, number, control_id = operation
    calls = [call for call in made.calls.values() if call.state != "ended"]
    if kind == "place" or not calls:
        made.place_call(**NUMBERS)
        return
    call = calls[number % len(calls)]
    with suppress(LocalProtocolError, StreamStartError):
        if kind == "answer":
            await call.answer()
        elif kind == "hangup":
            await call.hangup(f"reason {number}")
        elif kind == "stream":
            await call.stream(url, control_id=control_id, name=f"name of {control_id}")
        elif kind == "stop":
            await call.stop_stream(control_id)


async def live(path: Path, model: Model, operations: list[Operation], crashed: Callable[[], None]) -> None:
    """Lead one run of a switch on the journal; `crashed` takes the image of a crash at its end."""
    accept = Endpoint()
    with Journal(path) as journal:
        assert remembered(journal) == model.remembered()
        async with endpoint(accept) as url, switch(journal=journal) as made:
            unsubscribe = made.subscribe(model.listen)
            for operation in operations:
                if operation[0] == "break":
                    await accept.break_all()
                elif operation[0] == "crash":
                    assert journal.flush()
                    crashed()
                    unsubscribe()
                    break
                else:
                    await operate(made, url, operation)
                await asyncio.sleep(0.1)
            kept = [call["id"] for call in model.calls if call["id"] not in made.calls]
            assert list(journal.former) == kept
            assert [call.id for call in made.known_calls()] == [*kept, *made.calls]


@settings(max_examples=30)
@given(st.lists(OPERATIONS, min_size=15, max_size=40))
def test_what_is_remembered(operations: list[Operation]) -> None:
    runs: list[list[Operation]] = [[]]
    for operation in operations:
        if operation[0] == "restart":
            runs.append([])
        else:
            runs[-1].append(operation)
            if operation[0] == "crash":
                runs.append([])
    model = Model()
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "CALLS_MAX", CALLS_MAX)
        patch.setattr(journal_module, "STREAMS_MAX", STREAMS_MAX)
        path = Path(directory, "0")
        for number, operations_of_run in enumerate(runs, 1):
            image = Path(directory, str(number))

            def crashed(path: Path = path, image: Path = image) -> None:
                for suffix in ("", "-wal"):
                    shutil.copy(f"{path}{suffix}", f"{image}{suffix}")

            run_in_virtual_time(live(path, model, operations_of_run, crashed))
            path = image if image.exists() else path
            model.restart()
        with Journal(path) as journal:
            assert remembered(journal) == model.remembered()
