"""How the containers of the WAV family write a chunk: RIFF, RIFX, RF64, BW64 and Sony's Wave64."""

from typing import Final, Literal

import msgspec

__all__ = ["FRAMINGS", "RIFF", "ByteOrder", "Framing", "SizeField"]

ByteOrder = Literal["little", "big"]

# Wave64 identifies by GUIDs, of which these are the ends of the known ones.
_GUID_END: Final = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_FORM: Final = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_NAMES: Final = {name.lower() + _GUID_END: name for name in (b"WAVE", b"fmt ", b"fact", b"data", b"bext")}


class SizeField(msgspec.Struct, frozen=True):
    """A size in the header: its name, where it stands, how it is written, what it says.

    `value` counts what follows: in RIFF the number that stands there; Wave64 counts `overhead` bytes more.
    """

    name: str
    offset: int
    width: int
    value: int
    byte_order: ByteOrder = "little"
    overhead: int = 0

    @property
    def is_unknown(self) -> bool:
        """Whether the writer did not know it, or did not come to say so."""
        stored = self.value + self.overhead
        return self.value < 0 or stored >= (1 << 63) - 1 or (self.width == 4 and stored == 0xFFFF_FFFF)

    def stored(self, value: int) -> bytes:
        """Give the bytes that say `value`."""
        return (value + self.overhead).to_bytes(self.width, self.byte_order)


class Framing(msgspec.Struct, frozen=True):
    """One container: how its numbers, chunk headers and padding are written."""

    form: bytes  # what a file begins with
    byte_order: ByteOrder = "little"
    id_bytes: int = 4
    size_bytes: int = 4
    alignment: int = 2
    counts_header: bool = False  # a chunk's size includes its header

    @property
    def header_bytes(self) -> int:
        """Bytes of a chunk's header."""
        return self.id_bytes + self.size_bytes

    @property
    def start_bytes(self) -> int:
        """Bytes before the first chunk: a chunk's header, and the kind of file."""
        return self.header_bytes + self.id_bytes

    @property
    def is_rf64(self) -> bool:
        """Whether a ds64 chunk has the sizes."""
        return self.form in (b"RF64", b"BW64")

    @property
    def prefix(self) -> str:
        """The byte order as the struct module has it."""
        return "<" if self.byte_order == "little" else ">"

    def name(self, chunk_id: bytes) -> bytes:
        """Name a chunk by its four characters; an unknown GUID stays what it is."""
        return chunk_id if self.id_bytes == 4 else _W64_NAMES.get(chunk_id, chunk_id)

    def size_field(self, name: str, offset: int, raw: bytes, header_bytes: int) -> SizeField:
        """Read the size that stands at `offset`, `header_bytes` of which may be of the header itself."""
        overhead = header_bytes if self.counts_header else 0
        value = int.from_bytes(raw, self.byte_order) - overhead
        return SizeField(name, offset, len(raw), value, self.byte_order, overhead)

    def padding(self, n_bytes: int) -> int:
        """Bytes that follow a chunk of `n_bytes`."""
        return -n_bytes % self.alignment


RIFF: Final = Framing(b"RIFF")
FRAMINGS: Final = (
    RIFF,
    Framing(b"RIFX", byte_order="big"),
    Framing(b"RF64"),
    Framing(b"BW64"),
    Framing(_W64_FORM, id_bytes=16, size_bytes=8, alignment=8, counts_header=True),
)
