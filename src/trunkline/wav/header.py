"""The header of a WAV file: the format of its samples, and what the writer puts before them."""

import struct
from typing import Final

import msgspec

from trunkline.errors import FormatError
from trunkline.wav.framing import RIFF, ByteOrder, Framing

__all__ = ["ENCODINGS", "OPEN_MARK", "UNKNOWN_32", "UNKNOWN_64", "FileHeader", "WavFormat", "parse_format"]

PCM, FLOAT, ALAW, ULAW, EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE

#: Every encoding that is read, with its format tag and the bits of one sample.
ENCODINGS: Final = {
    "pcm8": (PCM, 8),
    "pcm16": (PCM, 16),
    "pcm24": (PCM, 24),
    "pcm32": (PCM, 32),
    "float32": (FLOAT, 32),
    "float64": (FLOAT, 64),
    "alaw": (ALAW, 8),
    "ulaw": (ULAW, 8),
}
_ENCODING_OF: Final = {tag_and_bits: name for name, tag_and_bits in ENCODINGS.items()}

#: Stands for a size that is not known yet.
UNKNOWN_32: Final = 0xFFFF_FFFF
UNKNOWN_64: Final = 0xFFFF_FFFF_FFFF_FFFF
#: The largest size a RIFF header may state; a longer file becomes RF64.
RIFF_SIZE_MAX = UNKNOWN_32 - 1
_RIFF_START: Final = struct.Struct("<4sI4s4sI28s")
_RF64_START: Final = struct.Struct("<4sI4s4sIQQQI")
START_BYTES: Final = _RIFF_START.size  # which is RF64's too
_SIZED_FACT: Final = struct.Struct("<4sII")
_CHUNK: Final = struct.Struct("<4sI")
#: Content of the reserved chunk until the recording is closed.
OPEN_MARK: Final = b"recording not closed".ljust(28, b"\0")

_FMT: Final = "HHIIHH"
_FMT_BYTES: Final = 16
FMT_BYTES_MAX: Final = 40  # of EXTENSIBLE; what follows in a longer chunk means nothing here
# A sub-format of EXTENSIBLE is a GUID: the format tag, then these (KSDATAFORMAT_SUBTYPE).
_GUID_REST: Final = (0x0000, 0x0010, bytes.fromhex("800000AA00389B71"))
_GUID_TAIL: Final = bytes.fromhex("000000001000800000AA00389B71")  # little-endian, behind a tag of 16 bits


class WavFormat(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """The samples of a WAV file: an encoding of `ENCODINGS`, the rate in Hz, the channels, the byte order.

    >>> WavFormat("ulaw", 8000, 2).block_bytes
    2
    """

    encoding: str
    sample_rate: int
    channels: int
    byte_order: ByteOrder = "little"

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise FormatError(f"unknown encoding {self.encoding!r}: takes {', '.join(ENCODINGS)}")
        if not 1 <= self.block_bytes <= 0xFFFF:
            raise FormatError(f"{self.channels} channels of {self.encoding}: takes 1 to {self._channels_max}")
        if not 1 <= self.sample_rate <= 0xFFFF_FFFF:
            raise FormatError(f"sample rate of {self.sample_rate} Hz: takes 1 to {0xFFFF_FFFF}")

    @property
    def block_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * (ENCODINGS[self.encoding][1] // 8)

    @property
    def _channels_max(self) -> int:
        return 0xFFFF // (ENCODINGS[self.encoding][1] // 8)


def parse_format(fmt: bytes, offset: int, framing: Framing = RIFF) -> WavFormat:
    """Read the payload of a fmt chunk, found at byte `offset`; FormatError when it is impossible."""
    where = f"fmt chunk at byte {offset}"
    if len(fmt) < _FMT_BYTES:
        raise FormatError(f"{where}: {len(fmt)} bytes, needs {_FMT_BYTES}")
    tag, channels, sample_rate, _, block_bytes, bits = struct.unpack_from(framing.prefix + _FMT, fmt)
    if tag == EXTENSIBLE:
        tag = _sub_format(fmt, bits, where, framing)
    encoding = _ENCODING_OF.get((tag, bits))
    if encoding is None:
        takes = "PCM of 8, 16, 24, 32 bits, float of 32, 64, mu-law, A-law"
        raise FormatError(f"{where}: format tag 0x{tag:04X} of {bits} bits: takes {takes}")
    if not (channels and sample_rate and block_bytes == channels * bits // 8):
        raise FormatError(
            f"{where}: {channels} channels of {bits} bits at {sample_rate} Hz, block align {block_bytes}"
        )
    return WavFormat(encoding, sample_rate, channels, framing.byte_order)


def _sub_format(fmt: bytes, bits: int, where: str, framing: Framing) -> int:
    if len(fmt) < FMT_BYTES_MAX:
        raise FormatError(f"{where}: {len(fmt)} bytes, EXTENSIBLE needs {FMT_BYTES_MAX}")
    (valid_bits,) = struct.unpack_from(framing.prefix + "H", fmt, 18)
    if valid_bits > bits:  # fewer are left-justified, so they read like all of them
        raise FormatError(f"{where}: {valid_bits} valid bits of {bits}")
    guid = fmt[24:40]
    tag, *rest = struct.unpack(framing.prefix + "IHH8s", guid)
    if tuple(rest) == _GUID_REST:
        return int(tag)
    if framing.byte_order == "big" and guid.endswith(_GUID_TAIL):  # sox turns the tag only
        return int.from_bytes(guid[:2], "big")
    raise FormatError(f"{where}: unknown sub-format {guid.hex()}")


class FileHeader:
    """All that stands before the samples; its length depends on the format and the metadata only.

    `metadata` is what `metadata_chunks` built. A file too long for RIFF gets an RF64 header (EBU Tech
    3306), for which a JUNK chunk keeps the room.

    >>> FileHeader(WavFormat("pcm16", 8000, 1)).build(320)[:8]
    b'RIFF\\x88\\x01\\x00\\x00'
    """

    def __init__(self, format: WavFormat, metadata: bytes = b"") -> None:
        self._block_bytes = format.block_bytes
        self._fmt = _fmt_chunk(format)
        self._has_fact = ENCODINGS[format.encoding][0] != PCM
        self._metadata = metadata
        n_fact = _SIZED_FACT.size if self._has_fact else 0
        self.n_bytes = START_BYTES + len(self._fmt) + n_fact + len(metadata) + _CHUNK.size

    def build(self, data_bytes: int | None = None, *, padding: int = 0, recording: bool = False) -> bytes:
        """Build it for so many bytes of samples, None while that is unknown.

        `padding` is the bytes (0 or 1) behind the samples; `recording` marks a file that is not closed.
        """
        n_samples = None if data_bytes is None else data_bytes // self._block_bytes
        riff_size = self.n_bytes + (data_bytes or 0) + padding - 8
        if data_bytes is None or n_samples is None:
            start = riff_start(UNKNOWN_32, recording)
        elif riff_size <= RIFF_SIZE_MAX:
            start = riff_start(riff_size, recording)
        else:
            start = rf64_start(riff_size, data_bytes, UNKNOWN_64 if recording else n_samples)
            data_bytes = n_samples = None
        fact = _SIZED_FACT.pack(b"fact", 4, _or_unknown(n_samples)) if self._has_fact else b""
        data = _CHUNK.pack(b"data", _or_unknown(data_bytes))
        return b"".join((start, self._fmt, fact, self._metadata, data))


def riff_start(riff_size: int, recording: bool) -> bytes:
    """Build the first 48 bytes of a RIFF file: its form, and the JUNK chunk that keeps room for ds64."""
    mark = OPEN_MARK if recording else b""
    return _RIFF_START.pack(b"RIFF", riff_size, b"WAVE", b"JUNK", 28, mark)


def rf64_start(riff_size: int, data_bytes: int, n_samples: int) -> bytes:
    """Build the first 48 bytes of an RF64 file: its form, and its ds64 chunk."""
    sizes = (riff_size, data_bytes, n_samples)
    return _RF64_START.pack(b"RF64", UNKNOWN_32, b"WAVE", b"ds64", 28, *sizes, 0)


def _or_unknown(size: int | None) -> int:
    return UNKNOWN_32 if size is None else size


def _fmt_chunk(format: WavFormat) -> bytes:
    tag, bits = ENCODINGS[format.encoding]
    block_bytes = format.block_bytes
    byte_rate = min(format.sample_rate * block_bytes, 0xFFFF_FFFF)  # nobody reads it
    fields = struct.pack("<" + _FMT, tag, format.channels, format.sample_rate, byte_rate, block_bytes, bits)
    if tag != PCM:
        fields += b"\0\0"  # the size of an extension, which there is not
    return _CHUNK.pack(b"fmt ", len(fields)) + fields
