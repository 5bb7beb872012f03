"""The view of running recordings: at the widths of terminals, and when it fails."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.cells import cell_len

from trunkline.cli.live import RecordingView, _shorten
from trunkline.net import Call, CallRecording

NAMES = ("855c3602-c321-47b5-b3ac-92eae5ee145d_c3ce6362-94c8-4e3a-8c49-a7c6ed4bc5f9.wav", "short.wav")


def a_recording(name: str, packets: int = 5_000) -> CallRecording:
    stats = SimpleNamespace(packets=packets, lost=12, late=3, discontinuities=0)
    start = SimpleNamespace(
        media_format=SimpleNamespace(codec="PCMU", sample_rate=8000),
        sample_rate=None,
        tracks=("inbound", "outbound"),
    )
    call = SimpleNamespace(
        stats={"inbound": stats, "outbound": stats}, start=start, peer="127.0.0.1:1", error=None
    )
    recording = CallRecording(cast("Call", call), Path("out", name))
    recording.duration_ms = 98_765.0
    return recording


@pytest.mark.parametrize(("width", "name", "meter"), [(120, 24, 12), (80, 22, 10), (60, 8, 4)])
def test_every_number_fits(
    width: int, name: int, meter: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    view = RecordingView()
    view.running = [a_recording(NAMES[0]), a_recording(NAMES[1])]
    view.print(view._table())
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert len(lines) == 5
    assert lines[0].split() == ["file", "level", "dBFS", "packets", "lost", "late", "gaps", "seconds"]
    assert lines[1].split()[1:] == ["inbound", "░" * meter, "5,000", "12", "3", "0", "98.8"]
    assert lines[2].split() == ["outbound", "░" * meter, "5,000", "12", "3", "0"]
    shown = lines[1].split()[0]
    assert len(shown) == name
    assert shown[:4] == "855c"
    assert shown[-3:] == "5f9"
    assert lines[3].startswith("short ")
    assert all(cell_len(line.rstrip()) <= width - 2 for line in lines)  # room for the echo of Ctrl-C


@pytest.mark.parametrize(("n_cells", "shown"), [(8, "abcd…hij"), (9, "abcd…ghij"), (10, "abcdefghij")])
def test_a_name_is_cut_in_the_middle(n_cells: int, shown: str) -> None:
    assert _shorten("abcdefghij", n_cells) == shown


def test_a_view_that_fails_says_so_and_goes_on_in_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # stands for a terminal
    monkeypatch.setattr("trunkline.cli.live.REFRESH_HZ", 1000)

    def levels_dbfs(self: CallRecording) -> Any:
        raise NotImplementedError("no levels")

    monkeypatch.setattr(CallRecording, "levels_dbfs", levels_dbfs)

    async def main() -> None:
        async with RecordingView() as view:
            view.started(a_recording("one.wav"))
            async with asyncio.timeout(20):
                await cast("asyncio.Task[None]", view._refreshing)
            view.started(a_recording("two.wav"))

    asyncio.run(main())
    shown = capsys.readouterr().out
    assert shown.count("the live lines failed, plain ones follow: NotImplementedError: no levels") == 1
    assert "started out/one.wav" not in shown
    assert "started out/two.wav: PCMU 8000 Hz, inbound, outbound, from 127.0.0.1:1" in shown


def test_what_failed_is_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    view = RecordingView()
    recording = a_recording("full.wav")
    recording.error = OSError(28, "No space left on device", "out/full.wav")
    view.started(recording)
    view.ended(recording)
    assert (view.n_ended, view.n_failed, view.running) == (1, 1, [])
    assert capsys.readouterr().out.endswith("\nerror: out/full.wav: No space left on device\n")
