"""Give Pipecat a serializer that is a StreamReceiver one way, and a Resampler and G.711 the other.

    params = FastAPIWebsocketParams(
        serializer=MediaStreamSerializer(), audio_in_enabled=True, audio_out_enabled=True
    )
    transport = FastAPIWebsocketTransport(websocket=websocket, params=params)

The start message is read like any other, so nothing has to look at the socket before Pipecat does.
"""

import asyncio
import base64
import json
from types import SimpleNamespace

from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames import frames as pipecat
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.serializers.base_serializer import FrameSerializer

from trunkline import g711
from trunkline.resample import Resampler
from trunkline.stream import Dtmf, Frame, StreamReceiver, StreamSender


class MediaStreamSerializer(FrameSerializer):
    """One call of PCMU, 8 kHz: SignalWire's or Twilio's messages."""

    async def setup(self, setup: FrameProcessorSetup) -> None:
        self._rate = setup.audio_in_sample_rate
        self._receiver = StreamReceiver(sample_rate=self._rate)
        self._resamplers: dict[int, Resampler] = {}

    async def deserialize(self, data: str | bytes) -> pipecat.Frame | None:
        events = self._receiver.receive(data)
        for event in events:
            if isinstance(event, Dtmf):
                return pipecat.InputDTMFFrame(button=KeypadEntry(event.digit))
        pcm = b"".join(bytes(event) for event in events if isinstance(event, Frame))
        return pipecat.InputAudioRawFrame(pcm, self._rate, 1) if pcm else None

    async def serialize(self, frame: pipecat.Frame) -> str | bytes | None:
        if isinstance(frame, pipecat.InterruptionFrame):
            self._resamplers.clear()
            return self._message({"event": "clear"})
        if isinstance(frame, pipecat.AudioRawFrame):
            rate = frame.sample_rate
            resampler = self._resamplers.setdefault(rate, Resampler(rate, 8000))
            payload = g711.ulaw_encode(resampler.process(frame.audio))
            return self._message({"event": "media", "media": {"payload": base64.b64encode(payload).decode()}})
        return None

    def _message(self, message: dict[str, object]) -> str | None:
        start = self._receiver.start  # before it, nobody listens
        return None if start is None else json.dumps(message | {"streamSid": start.stream_id})


async def main() -> None:
    sender = StreamSender("PCMU", stream_id="MZ1")  # stands for the platform
    serializer = MediaStreamSerializer()
    await serializer.setup(SimpleNamespace(audio_in_sample_rate=16000))  # type: ignore[arg-type]
    for message in sender.start() + sender.media(bytes(320)) + sender.dtmf("5"):
        print(await serializer.deserialize(message))
    for frame in (pipecat.OutputAudioRawFrame(bytes(4 * 480), 24000, 1), pipecat.InterruptionFrame()):
        print(await serializer.serialize(frame))


if __name__ == "__main__":
    asyncio.run(main())
