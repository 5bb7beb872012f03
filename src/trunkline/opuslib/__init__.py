"""A drop-in for opuslib: change `import opuslib` to `from trunkline import opuslib`.

The same classes, properties, constants and errors, on trunkline.opus. What is mended: the setter of
`inband_fec` works, `dtx` is there, `decode(None, n)` conceals, PCM that is too short is refused instead of
read past, and packets are not cut to the length of the PCM. docs/opuslib.md says what is left out.

>>> from trunkline import opuslib
>>> encoder = opuslib.Encoder(8000, 1, "voip")
>>> decoder = opuslib.Decoder(8000, 1)
>>> len(decoder.decode(encoder.encode(bytes(320), 160), 160))
320
"""

from trunkline.opuslib import api, classes, constants, exceptions
from trunkline.opuslib.classes import Decoder, Encoder
from trunkline.opuslib.constants import *  # noqa: F403
from trunkline.opuslib.exceptions import OpusError

__all__ = ["Decoder", "Encoder", "OpusError", "api", "classes", "constants", "exceptions"]
__all__ += constants.__all__
