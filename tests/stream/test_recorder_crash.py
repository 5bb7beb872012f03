"""kill -9 while two tracks are recorded: less than a second of either is lost."""

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

RATE = 8000
LAG_MS = 600  # how far outbound is delivered behind inbound

# Records as fast as it can and says after each frame how much of its track is recorded.
WRITER = f"""
import sys
from array import array
from trunkline.formats import MediaFormat
from trunkline.stream import Frame, Recorder, Start

recorder = Recorder(sys.argv[1])
media_format = MediaFormat("PCMU", {RATE})
recorder.write(Start("s", "c", None, ("inbound", "outbound"), media_format, {{}}, "signalwire"))
for at_ms in range(0, 3_600_000, 20):
    for track, own_ms in (("inbound", at_ms), ("outbound", at_ms - {LAG_MS})):
        if own_ms >= 0:
            samples = array("h", [1 + i % 30_000 for i in range(own_ms * 8, own_ms * 8 + 160)])
            recorder.write(Frame(samples, sample_rate={RATE}, timestamp_ms=own_ms, track=track))
            print(track, own_ms + 20, flush=True)
"""


@pytest.mark.parametrize("kill_at_ms", [1_000, 4_990, 20_130])
def test_kill(tmp_path: Path, kill_at_ms: int) -> None:
    path = tmp_path / "call.wav"
    written_ms = {"inbound": 0, "outbound": 0}
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:  # goes on to the end of what the writer could still say
            track, end_ms = line.split() if line.endswith("\n") else (None, None)
            if track is not None and end_ms is not None:
                written_ms[track] = int(end_ms)
            if written_ms["inbound"] >= kill_at_ms:
                process.kill()
    assert process.returncode == -9
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getframerate()) == (2, RATE)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T
    for channel, track in enumerate(("inbound", "outbound")):
        kept = (written_ms[track] - 1000) * RATE // 1000
        assert np.array_equal(samples[channel, : max(0, kept)], 1 + np.arange(max(0, kept)) % 30_000)
        heard = samples[channel][samples[channel] != 0]
        assert np.array_equal(heard, 1 + np.arange(len(heard)) % 30_000)
