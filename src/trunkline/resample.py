"""Sample-rate conversion: a stream with a small constant delay, or a whole signal with none.

A Resampler gives for every push what is due, from the first one on:

>>> from trunkline import Resampler
>>> resampler = Resampler(8000, 16000)
>>> packet = bytes(320)
>>> len(resampler.process(packet)), len(resampler.process(packet))
(640, 640)

Its output is late by `delay_samples`, and `flush` returns those when the stream ends:

>>> resampler.delay_samples
38
>>> len(resampler.flush()) // 2
38

Without an allocation, into a buffer of yours:

>>> out = bytearray(2 * resampler.output_samples_max(160))
>>> resampler.process_into(packet, out)
320

A whole signal loses its delay, and is as long as before:

>>> from trunkline import resample
>>> len(resample.resample(bytes(2 * 44100), 44100, 16000)) // 2
16000
"""

from trunkline._native.resample import Resampler, resample

__all__ = ["Resampler", "resample"]
