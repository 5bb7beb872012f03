"""The demo's call: whole, lossy on purpose, verified, and able to fail its verification."""

import math
import wave
from pathlib import Path

import pytest

from tests.net.endpoints import run
from trunkline.formats import CodecSpec
from trunkline.net.demo import SAID_RATE, _choose_losses, _compare, run_demo
from trunkline.testing import conversation

PCMU = CodecSpec("PCMU", 8000)
SIDES = conversation(5, SAID_RATE)
#: What the resamplers still hold at the end: 19 samples of the call's, 38 of the recording's.
TAIL = 2 * 19 + 38


@pytest.mark.parametrize("seed", [0, 1])
def test_the_call_is_verified_and_its_losses_are_counted(tmp_path: Path, seed: int) -> None:
    result = run(run_demo(tmp_path, SIDES, speed=math.inf, seed=seed))
    assert result.verified
    assert sum(result.left_out.values()) == 5
    assert result.compared == 500 - 5
    assert {track: stats.lost for track, stats in result.stats.items()} == result.left_out
    assert sum(stats.concealed_ms for stats in result.stats.values()) == 5 * 20
    assert result.receive_us > 0
    again = run(run_demo(tmp_path / "again", SIDES, speed=math.inf, seed=seed))
    assert again.path.read_bytes() == result.path.read_bytes()
    with wave.open(str(result.path)) as file:
        assert (file.getnchannels(), file.getnframes()) == (2, 5 * 16000 + TAIL)


@pytest.mark.parametrize(
    "codec",
    ["OPUS@16000h", "OPUS@8000h@60i", "OPUS@48000h", "L16@24000h", "PCMA@8000h@40i", "PCMU@8000h@5i"],
)
def test_every_codec_is_verified(tmp_path: Path, codec: str) -> None:
    spec = CodecSpec.parse(codec)
    result = run(run_demo(tmp_path, SIDES, codec=spec, speed=math.inf))
    assert result.verified
    assert sum(result.left_out.values()) == round(5000 / spec.ptime_ms * 0.02)
    fec_ms = sum(stats.fec_ms for stats in result.stats.values())
    assert (fec_ms > 0) == codec.startswith("OPUS")


def test_a_single_wrong_sample_is_found(tmp_path: Path) -> None:
    result = run(run_demo(tmp_path, SIDES, speed=math.inf))
    left_out = _choose_losses(250, seed=0)
    assert _compare(result.path, PCMU, SIDES, left_out) == 0
    recording = bytearray(result.path.read_bytes())
    recording[-1] ^= 1
    result.path.write_bytes(recording)
    assert _compare(result.path, PCMU, SIDES, left_out) == 1
    assert not result._replace(wrong=1).verified
    assert not result._replace(left_out={"inbound": 0, "outbound": 0}).verified
