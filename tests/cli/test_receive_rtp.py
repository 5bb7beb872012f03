"""`trunkline receive --rtp` as a user runs it, with ffmpeg as the sender."""

import re
import shutil
import signal
import subprocess
import wave
from pathlib import Path

import pytest

from tests.cli.commands import ENV, GUARD_S, TRUNKLINE, trunkline_here
from trunkline import g711
from trunkline.testing import speech_like


def ffmpeg(*arguments: object) -> bytes:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=GUARD_S).stdout


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(speech_like(1.5, 8000))
    return path


@pytest.mark.parametrize(("codec", "form"), [("PCMU", "mulaw"), ("PCMA", "alaw")])
def test_what_ffmpeg_sends_is_recorded_to_the_sample(
    tmp_path: Path, speech: Path, codec: str, form: str
) -> None:
    encoded = ffmpeg("-i", speech, "-f", form, "-")
    decode = g711.ulaw_decode if codec == "PCMU" else g711.alaw_decode
    out = tmp_path / "out"
    command = [*TRUNKLINE, "receive", "--rtp", "127.0.0.1:0", "--codec", codec, "--out", str(out)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENV) as process:
        assert process.stdout is not None
        found = re.search(r"listening on (rtp://\S+),", process.stdout.readline())
        assert found
        # Its packets are of 160 samples when they may have no more than 172 bytes.
        ffmpeg("-re", "-i", speech, "-c:a", f"pcm_{form}", "-f", "rtp", f"{found[1]}?pkt_size=172")
        assert "PCM" in process.stdout.readline()  # started
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=GUARD_S)
    assert (process.returncode, errors) == (0, "")
    assert re.search(r"1\.50 s; inbound: \d+ packets, 0 lost, 0 late, 0 gaps", output)
    (path,) = out.iterdir()
    with wave.open(str(path)) as file:
        assert file.readframes(file.getnframes()) == decode(encoded)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rtp", "5004"], "is not HOST:PORT"),
        (["--rtp", "127.0.0.1:0", "--listen", "127.0.0.1:0"], "--rtp takes no --listen"),
        (["--rtp", "127.0.0.1:0", "--bearer-token", "x"], "--rtp takes no --bearer-token"),
        (["--rtp", "127.0.0.1:0", "--codec", "G722"], "G722"),
        (["--codec", "PCMU"], "--codec says what --rtp brings"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    failed = trunkline_here(capsys, "receive", *arguments)
    assert failed.returncode == 2
    assert words in failed.stderr
