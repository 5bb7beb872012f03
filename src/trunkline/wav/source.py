"""The bytes of a WAV file, read forwards from a file or a pipe."""

from typing import BinaryIO, Final

__all__ = ["Source"]

_PIECE_BYTES: Final = 1 << 16


class Source:
    """A binary file that is read forwards from where it stands; offsets count from there."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.offset = 0
        self.seekable = file.seekable()
        self._base = file.tell() if self.seekable else 0
        self._size: int | None = None
        if self.seekable:
            self._size = max(file.seek(0, 2) - self._base, 0)
            file.seek(self._base)

    @property
    def left(self) -> int | None:
        """Bytes from here to the end; None when it is not seekable."""
        return None if self._size is None else max(self._size - self.offset, 0)

    def read(self, n_bytes: int | None) -> bytes:
        """Read `n_bytes`, or fewer when the file ends before them; None reads to the end.

        A file is asked for what it has; a pipe piece by piece, so that a size in a header allocates nothing.
        """
        pieces = []
        while n_bytes is None or n_bytes > 0:
            piece_bytes = self.left or _PIECE_BYTES
            piece = self.file.read(piece_bytes if n_bytes is None else min(n_bytes, piece_bytes))
            if isinstance(piece, str):
                raise TypeError("a WAV file must be opened in binary mode")
            if piece is None:
                raise BlockingIOError("a WAV file must be in blocking mode")
            if not piece:
                break
            pieces.append(piece)
            self.offset += len(piece)
            if n_bytes is not None:
                n_bytes -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_into(self, out: "memoryview[int]") -> int:
        """Fill `out`, or less of it when the file ends before; return the bytes read."""
        read_into = getattr(self.file, "readinto", None)
        if read_into is None:  # a binary file need not have it
            data = self.read(len(out))
            out[: len(data)] = data
            return len(data)
        n_bytes = 0
        while n_bytes < len(out):
            n_read = read_into(out[n_bytes:])
            if n_read is None:
                raise BlockingIOError("a WAV file must be in blocking mode")
            if not n_read:
                break
            n_bytes += n_read
        self.offset += n_bytes
        return n_bytes

    def skip_to(self, offset: int) -> bool:
        """Go on at `offset`; False when the file ends before it."""
        left = self.left
        if left is not None and offset - self.offset > left:
            return False
        if self.seekable:
            self.file.seek(self._base + offset)
            self.offset = offset
            return True
        while self.offset < offset:
            if not self.read(min(offset - self.offset, _PIECE_BYTES)):
                return False
        return True
