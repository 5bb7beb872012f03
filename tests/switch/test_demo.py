"""The demo's call: whole, told step by step, verified, and able to fail its verification."""

import asyncio
import wave
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trunkline import relay
from trunkline.formats import CodecSpec
from trunkline.net import CallRecording
from trunkline.switch.demo import DemoResult, _compare, _streamed, run_demo
from trunkline.testing import speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

PCMU = CodecSpec("PCMU", 8000)
SAID_RATE = 24_000
SIDES = (speech_like(2, SAID_RATE), speech_like(2, SAID_RATE, seed=1))
#: What the resamplers still hold at the end: 19 samples of the call's, 38 of the recording's.
TAIL = 2 * 19 + 38


def run(directory: Path, sides: tuple[bytes, bytes] = SIDES, **options: Any) -> DemoResult:
    return run_in_virtual_time(run_demo(directory, sides, SAID_RATE, **options))


def test_the_call_is_verified_and_every_step_is_told(tmp_path: Path) -> None:
    told: list[tuple[float, str, str]] = []
    started: list[CallRecording] = []
    result = run(tmp_path, on_step=lambda *step: told.append(step), on_start=started.append)
    assert result.verified
    assert (result.missed_ms, result.compared) == (0, 200)
    assert [recording.path for recording in started] == [result.path]
    assert result.receive_us > 0
    with wave.open(str(result.path)) as file:
        assert (file.getnchannels(), file.getnframes()) == (2, 2 * 16000 + TAIL)
    assert [(party, what.partition(":")[0]) for _, party, what in told] == [
        ("switch", "call placed"),
        ("switch", "ringing"),
        ("application", "calling.answer"),
        ("switch", "answered"),
        ("application", "calling.stream"),
        ("switch", "streaming, 0 ms after the answer"),
        ("endpoint", "start"),
        ("switch", "finished"),
        ("switch", "ended"),
    ]
    assert told[-1][0] == pytest.approx(2, abs=0.04)
    again = run(tmp_path / "again")
    assert again.path.read_bytes() == result.path.read_bytes()


@pytest.mark.parametrize(
    "codec",
    ["OPUS@16000h", "OPUS@8000h@60i", "OPUS@48000h", "L16@24000h", "PCMA@8000h@40i", "PCMU@8000h@5i"],
)
def test_every_codec_is_verified(tmp_path: Path, codec: str) -> None:
    n_bytes = 2 * 1013 * SAID_RATE // 1000  # no whole number of ticks, nor of packets
    spec = CodecSpec.parse(codec)
    result = run(tmp_path, (SIDES[0][:n_bytes], SIDES[1][:n_bytes]), codec=spec)
    assert result.verified
    assert result.compared == pytest.approx(2 * 1013 / spec.ptime_ms, abs=4)


@pytest.mark.parametrize("codec", ["PCMU", "OPUS@16000h"])
def test_what_was_said_before_the_stream_began_is_left_out(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = relay.Call.answer

    async def answer_slowly(call: relay.Call) -> None:
        await answer(call)
        await asyncio.sleep(0.39)

    monkeypatch.setattr(relay.Call, "answer", answer_slowly)
    result = run(tmp_path, codec=CodecSpec.parse(codec))
    assert result.verified
    assert result.missed_ms == pytest.approx(390, abs=20)
    assert result.compared == 2 * (2000 - result.missed_ms) / 20


def test_a_single_wrong_sample_is_found(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert _compare(result.path, PCMU, list(SIDES), SAID_RATE) == 0
    later = [_streamed(side, SAID_RATE, 480) for side in SIDES]
    assert _compare(result.path, PCMU, later, SAID_RATE) > 20
    recording = bytearray(result.path.read_bytes())
    recording[-1] ^= 1
    result.path.write_bytes(recording)
    assert _compare(result.path, PCMU, list(SIDES), SAID_RATE) == 1
    assert not result._replace(wrong=1).verified
    assert not result._replace(compared=0).verified
    lossy = msgspec.structs.replace(result.stats["outbound"], lost=1)
    assert not result._replace(stats={**result.stats, "outbound": lossy}).verified


def test_a_recording_that_cannot_be_written_ends_the_call(tmp_path: Path) -> None:
    told: list[str] = []

    def take_the_directory_away(at_s: float, party: str, what: str) -> None:
        told.append(what)
        if what == "answered":
            tmp_path.joinpath("out").rmdir()

    with pytest.raises(FileNotFoundError):
        run(tmp_path / "out", on_step=take_the_directory_away)
    assert told[-1] == "ended: hangup"


def test_a_stream_that_the_switch_refuses_ends_the_call(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(relay.RelayError, match="G722"):
        run(
            tmp_path,
            codec=CodecSpec.parse("G722"),
            on_step=lambda at_s, party, what: told.append(what),
        )
    assert told[-1] == "ended: hangup"
