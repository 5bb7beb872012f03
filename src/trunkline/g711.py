"""G.711: mu-law and A-law, encode, decode and transcode.

>>> from trunkline import g711
>>> from array import array
>>> pcm = array("h", [0, 1000, -1000, 32767])
>>> g711.ulaw_encode(pcm).hex()
'ffce4e80'
>>> array("h", g711.ulaw_decode(b"\\xff\\xce\\x4e\\x80")).tolist()
[0, 988, -988, 32124]

Every function has a form that writes into a buffer of yours and returns how many samples (or codes):

>>> out = bytearray(320)
>>> g711.ulaw_decode_into(g711.ULAW_SILENCE * 160, out)
160
"""

from typing import Final

from trunkline._native.g711 import (
    alaw_decode,
    alaw_decode_into,
    alaw_encode,
    alaw_encode_into,
    alaw_to_ulaw,
    alaw_to_ulaw_into,
    ulaw_decode,
    ulaw_decode_into,
    ulaw_encode,
    ulaw_encode_into,
    ulaw_to_alaw,
    ulaw_to_alaw_into,
)

__all__ = [
    "ALAW_SILENCE",
    "ULAW_SILENCE",
    "alaw_decode",
    "alaw_decode_into",
    "alaw_encode",
    "alaw_encode_into",
    "alaw_to_ulaw",
    "alaw_to_ulaw_into",
    "ulaw_decode",
    "ulaw_decode_into",
    "ulaw_encode",
    "ulaw_encode_into",
    "ulaw_to_alaw",
    "ulaw_to_alaw_into",
]

#: The code of the sample 0 in mu-law.
ULAW_SILENCE: Final = b"\xff"
#: The code of the smallest positive sample in A-law, which has no 0.
ALAW_SILENCE: Final = b"\xd5"
