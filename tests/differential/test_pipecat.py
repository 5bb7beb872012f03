"""The dialects beside Pipecat's serializers, where that is installed: each reads what the other writes."""

import asyncio
import json
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline import g711
from trunkline.stream import Cleared, Frame, StreamReceiver, StreamSender
from trunkline.testing import speech_like

frames = pytest.importorskip("pipecat.frames.frames")
PCM = g711.ulaw_decode(g711.ulaw_encode(speech_like(0.2)))  # as mu-law has it
CODECS = {"twilio": "PCMU", "telnyx": "PCMU", "plivo": "PCMU", "exotel": "L16@8000h", "vonage": "L16@8000h"}


def serializer_of(dialect: str) -> Any:
    """Make Pipecat's serializer for a stream "S" of 8 kHz, whose pipeline has the same rate."""
    module = pytest.importorskip(f"pipecat.serializers.{dialect}")
    kind = getattr(module, f"{dialect.capitalize()}FrameSerializer")
    given: dict[str, Any] = {"sample_rate": 8000, f"{dialect}_sample_rate": 8000}
    if dialect in ("twilio", "telnyx", "plivo"):
        given["auto_hang_up"] = False
    params = kind.InputParams(**given)
    ids = {
        "twilio": {"stream_sid": "S"},
        "telnyx": {"stream_id": "S", "outbound_encoding": "PCMU", "inbound_encoding": "PCMU"},
        "plivo": {"stream_id": "S"},
        "exotel": {"stream_sid": "S"},
        "vonage": {},
    }
    serializer = kind(**ids[dialect], params=params)
    run(serializer.setup(SimpleNamespace(audio_in_sample_rate=8000, audio_out_sample_rate=8000)))
    return serializer


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


@pytest.mark.parametrize("dialect", CODECS)
def test_pipecat_reads_what_our_platform_sends(dialect: str) -> None:
    serializer = serializer_of(dialect)
    sender = StreamSender(CODECS[dialect], dialect=dialect, stream_id="S")
    pcm, keys = b"", []
    for message in sender.start() + sender.media(PCM) + sender.dtmf("5") + sender.stop():
        frame = run(serializer.deserialize(message.decode() if sender.is_text(message) else message))
        if isinstance(frame, frames.InputAudioRawFrame):
            pcm += frame.audio
        elif isinstance(frame, frames.InputDTMFFrame):
            keys.append(frame.button.value)
    assert pcm == PCM
    assert keys == ["5"]


@pytest.mark.parametrize("dialect", CODECS)
def test_our_platform_reads_what_pipecat_says(dialect: str) -> None:
    serializer = serializer_of(dialect)
    receiver = StreamReceiver(role="platform", format=CODECS[dialect], dialect=dialect, stream_id="S")
    said = frames.OutputAudioRawFrame(audio=PCM, sample_rate=8000, num_channels=1)
    events = receiver.receive(run(serializer.serialize(said)))
    assert b"".join(bytes(event) for event in events if isinstance(event, Frame)) == PCM
    assert receiver.receive(run(serializer.serialize(frames.InterruptionFrame()))) == [Cleared()]


@pytest.mark.parametrize("dialect", CODECS)
def test_our_endpoint_says_what_pipecat_does(dialect: str) -> None:
    """But for the stream's id, which Pipecat repeats where Plivo's reference does not."""
    serializer = serializer_of(dialect)
    answer = StreamSender(CODECS[dialect], role="endpoint", dialect=dialect, stream_id="S")
    theirs = run(
        serializer.serialize(frames.OutputAudioRawFrame(audio=PCM[:320], sample_rate=8000, num_channels=1))
    )
    (ours,) = answer.media(PCM[:320])
    if isinstance(theirs, bytes):
        assert ours == theirs
        assert not answer.is_text(ours)
        return
    expected = json.loads(theirs)
    if dialect == "plivo":
        del expected["streamId"]
    assert json.loads(ours) == expected
    (clear,) = answer.clear()
    assert json.loads(clear) == json.loads(run(serializer.serialize(frames.InterruptionFrame())))
