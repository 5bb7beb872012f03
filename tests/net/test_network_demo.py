"""The demo's call through a simulated network: what was said is heard, and the counters are true."""

import wave
from pathlib import Path

import numpy as np
import pytest

from trunkline.errors import FormatError
from trunkline.formats import CodecSpec
from trunkline.net.network_demo import run_network_demo
from trunkline.testing import NETWORKS, conversation

SAID_RATE = 24_000
SIDES = conversation(10, SAID_RATE)
#: What the delays may add to what is lost, of the audio.
ADDED = {"clean": 0.001, "wifi": 0.05, "lte": 0.01, "loss": 0.005, "multipath": 0.025}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("codec", ["PCMU", "OPUS@16000h", "L16@8000h@10i"])
def test_what_was_said_is_heard(tmp_path: Path, kind: str, codec: str) -> None:
    spec = CodecSpec.parse(codec)
    result = run_network_demo(tmp_path, SIDES, SAID_RATE, kind=kind, codec=spec)
    again = run_network_demo(tmp_path / "again", SIDES, SAID_RATE, kind=kind, codec=spec)
    assert again.path.read_bytes() == result.path.read_bytes()
    for heard in result.tracks.values():
        stats = heard.stats
        assert heard.sent == pytest.approx(10_000 / spec.ptime_ms, abs=2)
        assert stats.packets_lost == heard.sent - len(heard.network_delays_ms)
        # The call is as long as it was, but for what the delay has grown or shrunk.
        seconds = len(heard.pcm) / 2 / spec.sample_rate
        assert seconds == pytest.approx(10, abs=0.45)
        lost = stats.packets_lost / heard.sent
        assert heard.concealed - lost <= ADDED[kind]
        assert heard.delay_ms(0.5) <= 130
    with wave.open(str(result.path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, spec.sample_rate)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    for channel, heard in enumerate(result.tracks.values()):
        assert samples[channel::2].tobytes()[: len(heard.pcm)] == heard.pcm


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="network 'moon': takes clean, wifi, lte, loss, multipath"):
        run_network_demo(tmp_path, SIDES, SAID_RATE, kind="moon", codec=CodecSpec("PCMU", 8000))
