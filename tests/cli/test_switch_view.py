"""The view of a switch: what its peers wrote cannot move the cursor, and what failed is told and counted."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.net.endpoints import Seen
from tests.ports import reserved_port
from tests.switch.parties import answered, switch
from trunkline.cli.switch_view import SwitchView
from trunkline.errors import StreamStartError
from trunkline.net import serve
from trunkline.switch import Call
from trunkline.testing.virtual_time import run_in_virtual_time

HOSTILE = "[b]\x1b[2J\x9b3\u202e"  # markup, an escape, a C1 control, what turns the direction round


def shown_of(
    script: Callable[[SwitchView, Call], Coroutine[Any, Any, None]], capsys: pytest.CaptureFixture[str]
) -> str:
    """Run a script with an answered call in a view; give what is shown."""

    async def main() -> None:
        view = SwitchView()
        async with switch() as made, view:
            made.subscribe(view.on_event)
            await script(view, await answered(made))

    run_in_virtual_time(main())
    return capsys.readouterr().out


def test_what_peers_write_moves_no_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")

    async def main() -> None:
        view = SwitchView()
        async with serve(Seen()) as server, switch() as made:
            made.subscribe(view.on_event)
            call = made.place_call(from_number=HOSTILE, to_number=HOSTILE)
            await call.answer()
            for ids in ({"name": HOSTILE, "control_id": "S1"}, {"control_id": HOSTILE}):
                await call.stream(server.url, **ids)
            view.print(view._table())
            assert len(view.running) == 1

    run_in_virtual_time(main())
    shown = capsys.readouterr().out
    assert [c for c in shown if not c.isprintable() and c != "\n"] == []
    assert shown.count("[b]?[2J?3?") == 6  # both numbers, in a line and in the table; a name, in two lines
    assert shown.count("[b]?[2J?") == 10  # and where one is cut: two lines, two rows


def test_a_stream_that_is_not_started_is_told_with_host_and_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def script(view: SwitchView, call: Call) -> None:
        with pytest.raises(StreamStartError):
            await call.stream(f"ws://127.0.0.1:{port}/path?key=canary", name="rec")
        assert view.n_failed == 1

    with reserved_port() as port:
        shown = shown_of(script, capsys)
    assert (
        f"stream rec to ws://127.0.0.1:{port} not started: connection_refused: cannot connect to "
        f"127.0.0.1:{port}: Connection refused\n"
    ) in shown
    assert "canary" not in shown


def test_of_a_flood_a_few_are_told_and_all_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    async def script(view: SwitchView, call: Call) -> None:
        for n_streams in (700, 5, 6):
            for _ in range(n_streams):
                with pytest.raises(StreamStartError):
                    await call.stream("ws://127.0.0.1/", codec="G722", name="rec")
            if n_streams != 6:
                await asyncio.sleep(1.1)
        assert view.n_failed == 711

    lines = [line for line in shown_of(script, capsys).splitlines() if "call " not in line or "rec" in line]
    told = ["rec"] * 5
    assert ["rec" if "rec" in line else line for line in lines] == [
        *told,
        "and 695 more streams not started",
        *told,
        *told,
        "and 1 more streams not started",
    ]
