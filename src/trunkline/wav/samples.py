"""Samples as a file holds them (any encoding and byte order) and as memory does (native s16 or float32)."""

import sys
from typing import TYPE_CHECKING, Any, cast

from trunkline import g711
from trunkline._native import wav as native
from trunkline.wav.framing import ByteOrder

if TYPE_CHECKING:
    from trunkline.buffers import AnyBuffer, Buffer

__all__ = ["decode_f32", "decode_into", "decode_s16", "encode", "is_native", "pcm_view", "writable_view"]

_BIG = sys.byteorder == "big"


def pcm_view(pcm: "Buffer") -> "memoryview[Any]":
    """View PCM as flat items of format h (s16; also given as bytes) or f (float32 in +-1.0).

    TypeError for anything else, ValueError for an odd number of bytes.
    """
    view = memoryview(cast("AnyBuffer", pcm))
    if not view.c_contiguous:
        raise TypeError("PCM: takes a C-contiguous buffer")
    code = view.format.removeprefix("@").removeprefix("=").removeprefix(">" if _BIG else "<")
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


def writable_view(out: "Buffer") -> "memoryview[Any]":
    """View a writable buffer as flat items of format h or f, as `pcm_view` does, or TypeError."""
    view = memoryview(cast("AnyBuffer", out))
    if view.readonly or not view.c_contiguous:
        raise TypeError("out: takes a writable C-contiguous buffer")
    if view.format.removeprefix("@") not in ("B", "b", "c", "h", "f"):
        raise TypeError(
            f"out: takes bytes or items of format 'h' (s16) or 'f' (float32), got {view.format!r}"
        )
    return pcm_view(view)


def encode(encoding: str, pcm: "memoryview[Any]") -> "bytes | memoryview[Any]":
    """Encode items of `pcm_view` to what the file holds, which is little-endian."""
    if encoding == "ulaw":
        return g711.ulaw_encode(pcm)
    if encoding == "alaw":
        return g711.alaw_encode(pcm)
    wanted, held = ("f", "float32") if encoding == "float32" else ("h", "pcm16")
    encoded: bytes | memoryview[Any] = pcm
    if pcm.format != wanted:
        given = "pcm16" if pcm.format == "h" else "float32"
        encoded = native.decode(pcm, given, big_endian=_BIG, to_float=wanted == "f")
    return native.decode(encoded, held, to_float=wanted == "f") if _BIG else encoded


def is_native(encoding: str, byte_order: ByteOrder, *, to_float: bool) -> bool:
    """Say whether what a file holds is what memory holds."""
    return encoding == ("float32" if to_float else "pcm16") and byte_order == sys.byteorder


def decode_s16(encoding: str, raw: bytes, byte_order: ByteOrder = "little") -> bytes:
    """Decode what a file holds to s16.

    Wider integers lose their low bits; floats are scaled by 32,768, rounded to nearest (ties to even)
    and saturated, NaN becomes 0.
    """
    if is_native(encoding, byte_order, to_float=False):
        return raw
    return native.decode(raw, encoding, big_endian=byte_order == "big")


def decode_f32(encoding: str, raw: bytes, byte_order: ByteOrder = "little") -> bytes:
    """Decode what a file holds to float32, where integers have full scale at +-1.0."""
    if is_native(encoding, byte_order, to_float=True):
        return raw
    return native.decode(raw, encoding, big_endian=byte_order == "big", to_float=True)


def decode_into(
    encoding: str, raw: "memoryview[int]", out: "memoryview[Any]", byte_order: ByteOrder = "little"
) -> int:
    """Decode into items of `writable_view`, whose format says to what; return the samples."""
    return native.decode_into(raw, out, encoding, big_endian=byte_order == "big")
