"""Samples as a file holds them (little-endian, any encoding) and as memory does (native s16 or float32)."""

import sys
from array import array
from typing import TYPE_CHECKING, Any, cast

from trunkline import g711
from trunkline.wav.header import ENCODINGS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trunkline.buffers import AnyBuffer, Buffer

    Items = bytes | bytearray | memoryview[Any] | array[Any]

__all__ = ["decode_f32", "decode_s16", "encode", "pcm_view"]

_LITTLE = sys.byteorder == "little"
_FLIP_SIGN = bytes(code ^ 0x80 for code in range(256))  # 8-bit samples are unsigned


def pcm_view(pcm: "Buffer") -> "memoryview[Any]":
    """View PCM as flat items of format h (s16; also given as bytes) or f (float32 in +-1.0).

    TypeError for anything else, ValueError for an odd number of bytes.
    """
    view = memoryview(cast("AnyBuffer", pcm))
    if not view.c_contiguous:
        raise TypeError("PCM: takes a C-contiguous buffer")
    code = view.format.removeprefix("@").removeprefix("=").removeprefix("<" if _LITTLE else ">")
    if code in ("B", "b", "c"):
        if view.nbytes % 2:
            raise ValueError(f"PCM: {view.nbytes} bytes is not a whole number of 2-byte samples")
        code = "h"
    if code not in ("h", "f"):
        raise TypeError(f"PCM: takes s16 as bytes or items of format 'h', or items 'f', got {view.format!r}")
    try:
        flat = view.cast("B")
    except TypeError:  # cast takes neither an empty shape nor a prefixed format
        flat = memoryview(view.tobytes())
    return flat.cast("h" if code == "h" else "f")


def encode(encoding: str, pcm: "memoryview[Any]") -> "Items":
    """Encode items of `pcm_view` to what the file holds."""
    if encoding == "ulaw":
        return g711.ulaw_encode(pcm)
    if encoding == "alaw":
        return g711.alaw_encode(pcm)
    if encoding == "float32":
        return _swapped(_f32_from_s16(pcm) if pcm.format == "h" else pcm, "f")
    return _swapped(pcm if pcm.format == "h" else _s16_from_float(_array(pcm, "f4")), "h")


def decode_s16(encoding: str, raw: bytes) -> bytes:
    """Decode what a file holds to s16.

    Wider integers lose their low bits; floats are scaled by 32,768, rounded to nearest (ties to even)
    and saturated, NaN becomes 0.
    """
    if encoding == "ulaw":
        return g711.ulaw_decode(raw)
    if encoding == "alaw":
        return g711.alaw_decode(raw)
    if encoding in ("float32", "float64"):
        return _s16_from_float(_array(raw, "<f4" if encoding == "float32" else "<f8"))
    if encoding == "pcm16":
        return bytes(_swapped(raw, "h"))
    width = ENCODINGS[encoding][1] // 8
    pcm = bytearray(len(raw) // width * 2)
    if encoding == "pcm8":
        pcm[1::2] = raw.translate(_FLIP_SIGN)
    else:
        pcm[0::2] = raw[width - 2 :: width]
        pcm[1::2] = raw[width - 1 :: width]
    return bytes(_swapped(pcm, "h"))


def decode_f32(encoding: str, raw: bytes) -> bytes:
    """Decode what a file holds to float32, where integers have full scale at +-1.0."""
    if encoding == "float32":
        return bytes(_swapped(raw, "f"))
    if encoding == "float64":
        return _f32(_array(raw, "<f8"))
    if encoding == "pcm24":
        wide = bytearray(len(raw) // 3 * 4)
        for i in range(3):
            wide[i + 1 :: 4] = raw[i::3]
        return _f32(_array(wide, "<i4") / 2.0**31)
    if encoding == "pcm32":
        return _f32(_array(raw, "<i4") / 2.0**31)
    return _f32_from_s16(decode_s16(encoding, raw))


def _swapped(items: "Items", code: str) -> "Items":
    """Turn little-endian items into native ones, or back."""
    if _LITTLE:
        return items
    swapped = array(code, bytes(items))
    swapped.byteswap()
    return swapped


# numpy is imported for floating point only: PCM and G.711 do without.


def _array(raw: "Items", dtype: str) -> "NDArray[np.float64]":
    import numpy as np

    with np.errstate(invalid="ignore"):  # a signalling NaN
        return np.frombuffer(raw, np.dtype(dtype)).astype(np.float64)


def _s16_from_float(samples: "NDArray[np.float64]") -> bytes:
    import numpy as np

    with np.errstate(over="ignore"):
        scaled = np.rint(samples * 32768.0)
    scaled[np.isnan(scaled)] = 0.0
    return np.clip(scaled, -32768.0, 32767.0).astype(np.int16).tobytes()


def _f32_from_s16(pcm: "Items") -> bytes:
    return _f32(_array(pcm, "i2") / 32768.0)


def _f32(samples: "NDArray[np.float64]") -> bytes:
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        return samples.astype(np.float32).tobytes()
