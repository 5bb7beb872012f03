"""`trunkline receive --rtp` as a user runs it, with ffmpeg and gstreamer as senders."""

import re
import shutil
import signal
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import ENV, GUARD_S, TRUNKLINE, trunkline_here
from trunkline import g711
from trunkline.testing import speech_like

SECONDS = 0.6  # the senders take as long


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
        file.writeframes(speech_like(SECONDS, 8000))
    return path


def gst(*pipeline: object) -> None:
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("gst-launch-1.0 is not installed")
    command = ["gst-launch-1.0", "-q", *" ! ".join(map(str, pipeline)).split()]
    subprocess.run(command, check=True, capture_output=True, timeout=GUARD_S)


def recorded(out: Path, codec: str, send: Callable[[str], object]) -> tuple[bytes, str]:
    """The audio of one stream that `send` brings to a URL, and what was printed."""
    command = [*TRUNKLINE, "receive", "--rtp", "127.0.0.1:0", "--codec", codec, "--out", str(out)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENV) as process:
        assert process.stdout is not None
        found = re.search(r"listening on (rtp://\S+),", process.stdout.readline())
        assert found
        send(found[1])
        started = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=GUARD_S)
    assert (process.returncode, errors) == (0, "")
    (path,) = out.iterdir()
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes()), started + output


@pytest.mark.parametrize(("codec", "form"), [("PCMU", "mulaw"), ("PCMA", "alaw")])
def test_what_ffmpeg_sends_is_recorded_to_the_sample(
    tmp_path: Path, speech: Path, codec: str, form: str
) -> None:
    encoded = ffmpeg("-i", speech, "-f", form, "-")
    decode = g711.ulaw_decode if codec == "PCMU" else g711.alaw_decode

    def send(url: str) -> None:
        # Its packets are of 160 samples when they may have no more than 172 bytes.
        ffmpeg("-re", "-i", speech, "-c:a", f"pcm_{form}", "-f", "rtp", f"{url}?pkt_size=172")

    pcm, output = recorded(tmp_path / "out", codec, send)
    assert re.search(r"0\.60 s; inbound: \d+ packets(, jitter \d+ ms)?\n", output)
    assert pcm == decode(encoded)


@pytest.mark.parametrize(
    ("codec", "encoder", "payloader"),
    [
        ("PCMU", "mulawenc", "rtppcmupay"),
        ("PCMA", "alawenc", "rtppcmapay"),
        ("L16@8000h", "audioconvert", "rtpL16pay"),
        ("OPUS@16000h", "opusenc", "rtpopuspay"),
    ],
)
def test_what_gstreamer_sends_is_recorded(
    request: pytest.FixtureRequest, tmp_path: Path, speech: Path, codec: str, encoder: str, payloader: str
) -> None:
    if codec.startswith("OPUS"):
        request.getfixturevalue("libopus")
    source = ["filesrc location=" + str(speech), "wavparse", "audioconvert"]

    def send(url: str) -> None:
        port = url.rpartition(":")[2]
        gst(*source, encoder, f"{payloader} min-ptime=20000000", f"udpsink host=127.0.0.1 port={port}")

    pcm, output = recorded(tmp_path / "out", codec, send)
    assert re.search(r"; inbound: \d+ packets(, jitter \d+ ms)?\n", output)
    if payloader == "rtpopuspay":
        assert 2 * 16 * 580 <= len(pcm) <= 2 * 16 * 660
    elif payloader == "rtpL16pay":
        assert pcm == speech_like(SECONDS, 8000)
    else:
        encoded = tmp_path / "encoded"
        gst(*source, encoder, f"filesink location={encoded}")
        decode = g711.ulaw_decode if codec == "PCMU" else g711.alaw_decode
        assert pcm == decode(encoded.read_bytes())


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
