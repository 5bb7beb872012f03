"""A drop-in for the audioop that Python 3.13 removed: the same bytes, numbers and error types.

Instead of `import audioop`:

>>> from trunkline import audioop
>>> pcm = audioop.ulaw2lin(b"\\xff\\xce\\x4e\\x80", 2)
>>> audioop.minmax(pcm, 2)
(-988, 32124)
>>> audioop.ratecv(pcm, 2, 1, 8000, 16000, None)[1]
(-1, ((-64749568, 2105278464),))

A fragment is any C-contiguous buffer, whatever its items: its bytes are signed native-endian samples of a
width of 1 to 4 bytes, 24 bits packed in 3. `error` is audioop's, and one of `trunkline.errors`.

In new code take `trunkline.Resampler` instead of `ratecv`, which has no filter and lets every alias through,
and `trunkline.g711` instead of `ulaw2lin`, `lin2ulaw`, `alaw2lin` and `lin2alaw`: it writes into your buffer,
takes float32, and has the reference's codes where `lin2ulaw` is off by one.
"""

from trunkline._native.audioop import (
    add,
    alaw2lin,
    avg,
    bias,
    byteswap,
    error,
    lin2alaw,
    lin2lin,
    lin2ulaw,
    max,  # noqa: A004
    minmax,
    mul,
    ratecv,
    reverse,
    rms,
    tomono,
    tostereo,
    ulaw2lin,
)

__all__ = [
    "add",
    "alaw2lin",
    "avg",
    "bias",
    "byteswap",
    "error",
    "lin2alaw",
    "lin2lin",
    "lin2ulaw",
    "max",
    "minmax",
    "mul",
    "ratecv",
    "reverse",
    "rms",
    "tomono",
    "tostereo",
    "ulaw2lin",
]
