"""Decode the messages of a stream that some other WebSocket library received, without a copy of the audio."""

import numpy as np

from trunkline.stream import Frame, StreamReceiver, StreamSender

sender = StreamSender("PCMU", call_id="example")  # stands for the platform
messages = sender.start() + sender.media(bytes(2 * 8000)) + sender.stop()

receiver = StreamReceiver(frame_ms=20)
loudest = 0
for message in messages:  # str or bytes, as they come
    for event in receiver.receive(message):
        if isinstance(event, Frame):
            samples = np.asarray(event)  # the frame's own memory
            loudest = max(loudest, int(abs(samples).max()))
        else:
            print(event)
print(f"{receiver.stats['inbound'].packets} packets, loudest sample {loudest}")
