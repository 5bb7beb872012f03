"""Audio files of any format, read alike: WAV and Opus natively, the rest by soundfile."""

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, Protocol

from trunkline.errors import FormatError, PayloadError
from trunkline.extras import needs_extra
from trunkline.wav import WavReader

__all__ = ["AudioReader", "CallbackFile", "check_regular", "open_audio", "sniff"]

HEAD_BYTES: Final = 64
_PIECE_SAMPLES: Final = 1 << 15
_UNKNOWN: Final = (1 << 63) - 1  # libsndfile's number of samples when the file does not tell
_RIFF_FORMS: Final = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff")


class AudioReader(Protocol):
    """What every reader of a file gives: a WavReader is one."""

    @property
    def sample_rate(self) -> int:
        """Samples per second of one channel, in Hz."""

    @property
    def channels(self) -> int:
        """Channels, interleaved."""

    @property
    def encoding(self) -> str:
        """What the file holds, such as pcm16, ulaw, opus, vorbis."""

    @property
    def n_samples(self) -> int | None:
        """Samples per channel in the whole file; None when only its end tells."""

    def read(self, n_samples: int = -1) -> bytes:
        """Read up to `n_samples` per channel as s16; -1 reads the rest."""

    def read_float(self, n_samples: int = -1) -> bytes:
        """Read up to `n_samples` per channel as float32; -1 reads the rest."""

    def close(self) -> None:
        """Close what was opened here. Idempotent."""


def sniff(head: bytes) -> str:
    """Name the format of a file by its first 64 bytes, such as wav, opus, flac, mp3, capture; or "".

    >>> sniff(b"RIFF\\x00\\x00\\x00\\x00WAVE")
    'wav'
    """
    if head.startswith(_RIFF_FORMS):
        return "wav"
    if head.startswith(b"OggS"):
        return "opus" if b"OpusHead" in head else "ogg"
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"FORM"):
        return "aiff"
    if head.startswith(b".snd"):
        return "au"
    if head.startswith(b"caff"):
        return "caf"
    if head.startswith(b"ID3") or (head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0):
        return "mp3"
    if head.startswith(b'{"format":"trunkline-capture"'):
        return "capture"
    return ""


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse a directory, a device and a pipe, which would be waited for, or never end."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        raise FormatError(f"{os.fspath(path)}: no regular file: copy what it gives into one")


def read_head(file: BinaryIO) -> bytes:
    """Look at the first bytes of a file, which are still read from it afterwards.

    Raises io.UnsupportedOperation for a pipe that is not buffered.
    """
    if file.seekable():
        at = file.tell()
        head = file.read(HEAD_BYTES)
        file.seek(at)
        return head
    if not isinstance(file, io.BufferedReader):
        raise io.UnsupportedOperation("a pipe must be buffered for its format to be found out")
    head = file.peek(HEAD_BYTES)  # may be shorter: what one read of the pipe gave
    return head[:HEAD_BYTES]


def open_audio(
    file: str | os.PathLike[str] | BinaryIO, *, on_damage: Callable[[str], None] | None = None
) -> AudioReader:
    """Open an audio file: WAV and Ogg Opus natively, anything else by soundfile, which takes no pipes.

    `file`: a path, or a binary file, which is read from where it stands and stays open. `on_damage` is
    WavReader's. FormatError when nobody reads it, LibraryMissingError when soundfile is needed and missing
    (`pip install 'trunkline[files]'`), OSError when it cannot be read.

    >>> import io
    >>> from trunkline import wav
    >>> file = io.BytesIO()
    >>> wav.write(file, bytes(640), 8000, encoding="alaw")
    >>> _ = file.seek(0)
    >>> reader = open_audio(file)
    >>> reader.sample_rate, reader.channels, reader.encoding, reader.n_samples
    (8000, 1, 'alaw', 320)
    """
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as opened:
            kind = sniff(opened.read(HEAD_BYTES))
    else:
        kind = sniff(read_head(file))
    if kind == "opus":
        from trunkline.opus import OpusReader  # which reading a WAV does not wait for

        return OpusReader(file) if on_damage is None else OpusReader(file, on_damage=on_damage)
    begin = file.tell() if not isinstance(file, str | os.PathLike) and file.seekable() else 0
    try:
        return WavReader(file, on_damage=on_damage)
    except FormatError as error:
        if not isinstance(file, str | os.PathLike) and file.seekable():
            file.seek(begin)
        return _SoundFile(file, error, on_damage)


class CallbackFile:
    """A file for libsndfile's callbacks, which swallow what is raised in them: `check` raises it after all.

    The file begins where it stands.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begin = file.tell()
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise what a callback has raised, Ctrl-C among it."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        with self._kept():
            before = self._file.tell()
            base = {os.SEEK_SET: self._begin, os.SEEK_CUR: before}.get(whence)
            if base is None:
                base = self._file.seek(0, os.SEEK_END)
            # what damaged files lead libsndfile to is before the beginning, too
            self._file.seek(base + offset if base + offset >= self._begin else before)

    def tell(self) -> int:
        with self._kept():
            return self._file.tell() - self._begin
        return 0

    def read(self, n_bytes: int) -> bytes:
        with self._kept():
            return self._file.read(n_bytes)
        return b""

    def write(self, data: bytes) -> int:
        n_written = 0
        with self._kept():
            while n_written < len(data):
                n_written += self._file.write(data[n_written:])
        return n_written

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._error = self._error or error


class _SoundFile:
    """A file that soundfile reads; PayloadError where it is broken."""

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        no_wav: FormatError,
        on_damage: Callable[[str], None] | None,
    ) -> None:
        if not isinstance(file, str | os.PathLike) and not file.seekable():
            raise FormatError(f"{no_wav}; a pipe brings WAV, Opus or raw audio: give other files by name")
        with needs_extra("files"):
            import soundfile
        self._error: type[Exception] = soundfile.LibsndfileError
        self._on_damage = on_damage
        self._opened: BinaryIO | None = None
        self._callbacks: CallbackFile | None = None
        if isinstance(file, str | os.PathLike):
            self._opened = open(file, "rb")  # noqa: SIM115
        else:
            self._callbacks = CallbackFile(file)
        try:
            # by no name: soundfile takes ".raw" at its word
            by = self._callbacks or self._opened.fileno()  # type: ignore[union-attr]
            self._file: Any = soundfile.SoundFile(by, closefd=False)
        except self._error as error:
            self._close_opened()
            self._check_callbacks()
            raise FormatError(f"{no_wav}; soundfile: {_sentence(error)}") from error
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.encoding: str = self._file.subtype.lower().replace("_", "")
        self.n_samples: int | None = self._file.frames if self._file.frames < _UNKNOWN else None
        self.tags = {name.upper(): text for name, text in self._file.copy_metadata().items()}
        self._n_read = 0

    def read(self, n_samples: int = -1) -> bytes:
        return self._read(n_samples, "int16")

    def read_float(self, n_samples: int = -1) -> bytes:
        return self._read(n_samples, "float32")

    def close(self) -> None:
        self._file.close()
        self._close_opened()

    def _close_opened(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _read(self, n_samples: int, dtype: str) -> bytes:
        """Read in pieces: what a header claims takes no memory."""
        pieces = []
        while n_samples:
            wanted = _PIECE_SAMPLES if n_samples < 0 else min(n_samples, _PIECE_SAMPLES)
            pcm, n_read = self._piece(wanted, dtype)
            pieces.append(pcm)
            if n_read < wanted:
                break
            n_samples -= wanted if n_samples > 0 else 0
        return b"".join(pieces)

    def _piece(self, n_samples: int, dtype: str) -> tuple[bytes, int]:
        try:
            samples = self._file.read(n_samples, dtype=dtype)
            self._check_callbacks()
        except self._error as error:
            self._check_callbacks()
            self._tell_damage(f"soundfile: {_sentence(error)}")
            return b"", 0
        if len(samples) < n_samples and self._n_read + len(samples) < (self.n_samples or 0):
            self._tell_damage("truncated")
        self._n_read += len(samples)
        return samples.tobytes(), len(samples)

    def _tell_damage(self, what: str) -> None:
        claimed = "" if self.n_samples is None else f" of {self.n_samples:,}"
        sentence = f"{what} after about {self._n_read:,}{claimed} samples"
        if self._on_damage is None:
            raise PayloadError(sentence)
        self._on_damage(sentence)

    def _check_callbacks(self) -> None:
        if self._callbacks is not None:
            self._callbacks.check()


def _sentence(error: Any) -> str:
    """Say what libsndfile says, without its "Error :" and full stop."""
    return str(error.error_string).removeprefix("Error : ").rstrip(".")
