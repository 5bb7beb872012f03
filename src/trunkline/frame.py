"""Frame: decoded audio of a fixed duration, in a buffer that needs no copy.

>>> frame = Frame(bytes(8), sample_rate=8000, channels=2, timestamp_ms=40)
>>> frame
Frame(track='inbound', timestamp_ms=40.0, 2 samples, 8000 Hz, 2 channels)
>>> samples = memoryview(frame)
>>> samples.format, samples.shape, samples.readonly
('h', (2, 2), False)
>>> samples[0, 1] = 256
>>> bytes(frame).hex(" ", 2)
'0000 0001 0000 0000'
"""

from trunkline._native.frame import Frame

__all__ = ["Frame"]
