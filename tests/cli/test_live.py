"""The view of running recordings: at the widths of terminals, and when it fails."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from trunkline.cli.demo_view import DemoView
from trunkline.cli.live import RecordingView, _rows, _shorten
from trunkline.formats import MediaFormat
from trunkline.net import Call, CallRecording
from trunkline.stream import Start
from trunkline.timeline import TrackStats

NAMES = ("855c3602-c321-47b5-b3ac-92eae5ee145d_c3ce6362-94c8-4e3a-8c49-a7c6ed4bc5f9.wav", "short.wav")


CLEAN = TrackStats(
    packets=5_000,
    bytes=800_000,
    late=0,
    duplicates=0,
    reordered=0,
    discarded=0,
    lost=0,
    concealed_ms=0.0,
    fec_ms=0.0,
    discontinuities=0,
    resyncs=0,
    media_ms=100_000.0,
    jitter_ms=0.4,
    drift_ppm=3.0,
    level_dbfs=-21.0,
    clipped_samples=0,
)


def stats_of(**counters: float) -> TrackStats:
    """A clean track but for these counters."""
    return msgspec.structs.replace(CLEAN, **counters)


def a_recording(name: str, stats: TrackStats = CLEAN) -> CallRecording:
    tracks = ("inbound", "outbound")
    start = Start("stream-1", "call-1", None, tracks, MediaFormat("PCMU", 8000), {}, "signalwire")
    call = SimpleNamespace(
        stats={"inbound": stats, "outbound": stats}, start=start, peer="127.0.0.1:1", error=None
    )
    recording = CallRecording(cast("Call", call), Path("out", name))
    recording.duration_ms = 98_765.0
    return recording


@pytest.mark.parametrize(("width", "name", "meter"), [(120, 24, 12), (80, 16, 8), (60, 8, 4)])
def test_every_number_fits(
    width: int, name: int, meter: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    view = RecordingView()
    stats = stats_of(lost=50, concealed_ms=1240.4, jitter_ms=3.14)
    view.running = [a_recording(NAMES[0], stats), a_recording(NAMES[1])]
    view.print(view._table())
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert len(lines) == 5
    packets = ["packets", "5,000"] if width > 60 else ["", ""]
    headings = f"file level dBFS {packets[0]} lost concealed jitter seconds"
    numbers = f"{'░' * meter} {packets[1]} 1.0 % 1,240 ms 3.1 ms"
    assert lines[0].split() == headings.split()
    assert lines[1].split()[1:] == f"inbound {numbers} 98.8".split()
    assert lines[2].split() == f"outbound {numbers}".split()
    assert lines[4].split() == f"outbound {'░' * meter} {packets[1]} 0 % 0 ms 0.4 ms".split()
    shown = lines[1].split()[0]
    assert len(shown) == name
    assert shown[:4] == "855c"
    assert shown[-3:] == "5f9"
    assert lines[3].startswith("short ")
    assert all(cell_len(line.rstrip()) <= width - 2 for line in lines)  # room for the echo of Ctrl-C


@given(
    width=st.integers(60, 200),
    packets=st.integers(0, 999_999),
    lost=st.integers(0, 999_999),
    concealed_ms=st.floats(0, 99_999),
    jitter_ms=st.floats(0, 999),
    duration_ms=st.floats(0, 9e6),
)
def test_no_line_wraps_and_no_number_is_cut(
    width: int, packets: int, lost: int, concealed_ms: float, jitter_ms: float, duration_ms: float
) -> None:
    view = RecordingView()
    view._console = Console(width=width, height=24)
    stats = stats_of(packets=packets, lost=lost, concealed_ms=concealed_ms, jitter_ms=jitter_ms)
    view.running = [a_recording(NAMES[0], stats)]
    view.running[0].duration_ms = duration_ms
    with view._console.capture() as capture:
        view.print(view._table())
    lines = capture.get().rstrip("\n").split("\n")
    assert len(lines) == 3
    assert all(cell_len(line.rstrip()) <= width - 2 for line in lines)
    assert [line.count("…") for line in lines] == [0, 1, 0]  # of the name
    assert f" {concealed_ms:,.0f} ms " in lines[1]


def test_what_a_peer_or_a_file_name_says_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "[b]\x1b[2J\x9b3\u202e"
    view = DemoView()
    recording = a_recording(hostile)
    stats = cast("Any", recording.call).stats
    stats[hostile] = stats.pop("outbound")
    view.started(recording)
    view.print(view._table())
    view.step(0.0, "switch", hostile)
    view.ended(recording)
    shown = capsys.readouterr().out
    assert [c for c in shown if not c.isprintable() and c != "\n"] == []
    assert shown.count("[b]?[2J?") == 5  # the file and the track, in the table and at the end; the step


def test_what_damages_a_call_stands_out() -> None:
    damaged = a_recording("one.wav", stats_of(lost=1, concealed_ms=20.0, jitter_ms=10.0))
    for recording, style in ((damaged, "yellow"), (a_recording("two.wav"), "dim")):
        for row in _rows(recording):
            assert [str(row.numbers[k].style) for k in (2, 3, 4)] == [style] * 3


@pytest.mark.parametrize(("n_cells", "shown"), [(8, "abcd…hij"), (9, "abcd…ghij"), (10, "abcdefghij")])
def test_a_name_is_cut_in_the_middle(n_cells: int, shown: str) -> None:
    assert _shorten("abcdefghij", n_cells) == shown


def test_a_view_that_fails_says_so_and_goes_on_in_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # stands for a terminal
    monkeypatch.setattr("trunkline.cli.view.REFRESH_HZ", 1000)

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


def test_what_failed_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    view = RecordingView()
    recording = a_recording("full.wav")
    recording.error = OSError(28, "No space left on device", "out/full.wav")
    view.started(recording)
    view.ended(recording)
    assert (view.n_ended, view.n_failed, view.running) == (1, 1, [])
    assert "error" not in capsys.readouterr().out  # the log has had it
