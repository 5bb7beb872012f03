"""WAV the slow and obvious way: files put together chunk by chunk, samples converted one by one."""

import math
import struct
from array import array

from tests.reference import g711

GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_GUID_END = bytes.fromhex("f3acd3118cd100c04f8edb8a")
#: encoding -> (format tag, bits)
ENCODINGS = {
    "pcm8": (1, 8),
    "pcm16": (1, 16),
    "pcm24": (1, 24),
    "pcm32": (1, 32),
    "float32": (3, 32),
    "float64": (3, 64),
    "alaw": (6, 8),
    "ulaw": (7, 8),
}


def chunk(name: bytes, payload: bytes, size: int | None = None, *, order: str = "<") -> bytes:
    """A chunk with its pad byte; `size` makes it lie, `order` is that of the struct module."""
    claimed = len(payload) if size is None else size
    return name + struct.pack(order + "I", claimed) + payload + b"\0" * (len(payload) % 2)


def riff(*chunks: bytes, size: int | None = None, form: bytes = b"RIFF", order: str = "<") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return form + struct.pack(order + "I", len(body) if size is None else size) + body


def w64_chunk(name: bytes, payload: bytes, size: int | None = None) -> bytes:
    """A chunk of Wave64, which counts its header of 24 bytes and ends at a multiple of 8."""
    claimed = 24 + len(payload) if size is None else size
    return name + W64_GUID_END + struct.pack("<Q", claimed) + payload + b"\0" * (-len(payload) % 8)


def w64(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"wave" + W64_GUID_END + b"".join(chunks)
    return W64_RIFF + struct.pack("<Q", 24 + len(body) if size is None else size) + body


def fmt(
    encoding: str, rate: int = 8000, channels: int = 1, *, extensible: bool = False, order: str = "<"
) -> bytes:
    tag, bits = ENCODINGS[encoding]
    return fmt_fields(tag, channels, rate, bits, extensible=extensible, order=order)


def fmt_fields(
    tag: int,
    channels: int,
    rate: int,
    bits: int,
    *,
    block_align: int | None = None,
    extensible: bool = False,
    valid_bits: int | None = None,
    order: str = "<",
) -> bytes:
    align = channels * bits // 8 if block_align is None else block_align
    fields = struct.pack(
        order + "HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * align % 2**32, align, bits
    )
    if extensible:
        valid_bits = bits if valid_bits is None else valid_bits
        guid = struct.pack(order + "IHH", tag, 0, 0x10) + GUID_TAIL[6:]
        fields += struct.pack(order + "HHI", 22, valid_bits, 0) + guid
    return chunk(b"fmt ", fields, order=order)


def swapped(encoding: str, raw: bytes) -> bytes:
    """Samples in the other byte order."""
    return b"".join(item[::-1] for item in _items(encoding, raw))


def round_s16(x: float) -> int:
    """The s16 nearest to 32,768 x, ties to even."""
    if math.isnan(x):
        return 0
    return round(max(-32768.0, min(32767.0, x * 32768.0)))


def to_s16(encoding: str, raw: bytes) -> bytes:
    """Native-endian s16 of what the file holds."""
    return array("h", [_s16(encoding, item) for item in _items(encoding, raw)]).tobytes()


def to_float(encoding: str, raw: bytes) -> list[float]:
    """Float of what the file holds, full scale 1.0, before it is rounded to float32."""
    bits = ENCODINGS[encoding][1]
    values = []
    for item in _items(encoding, raw):
        if encoding.startswith("float"):
            values.append(struct.unpack("<f" if bits == 32 else "<d", item)[0])
        elif encoding.startswith("pcm") and bits > 16:
            values.append(int.from_bytes(item, "little", signed=True) / 2 ** (bits - 1))
        else:
            values.append(_s16(encoding, item) / 32768)
    return values


def through(encoding: str, pcm: "array[int]") -> bytes:
    """What s16 becomes by being encoded and decoded, sample by sample."""
    if encoding == "ulaw":
        return array("h", [g711.ulaw_decode_sample(g711.ulaw_encode_sample(x)) for x in pcm]).tobytes()
    if encoding == "alaw":
        return array("h", [g711.alaw_decode_sample(g711.alaw_encode_sample(x)) for x in pcm]).tobytes()
    return pcm.tobytes()


def _items(encoding: str, raw: bytes) -> list[bytes]:
    width = ENCODINGS[encoding][1] // 8
    return [raw[i : i + width] for i in range(0, len(raw), width)]


def _s16(encoding: str, item: bytes) -> int:
    if encoding == "ulaw":
        return g711.ulaw_decode_sample(item[0])
    if encoding == "alaw":
        return g711.alaw_decode_sample(item[0])
    if encoding == "pcm8":
        return (item[0] - 128) * 256
    if encoding == "float32":
        return round_s16(struct.unpack("<f", item)[0])
    if encoding == "float64":
        return round_s16(struct.unpack("<d", item)[0])
    return int.from_bytes(item, "little", signed=True) >> (8 * len(item) - 16)
