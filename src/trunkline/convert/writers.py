"""What convert writes: WAV, raw, Opus, FLAC."""

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from trunkline.audio_files import CallbackFile
from trunkline.convert.metadata import tags_of
from trunkline.convert.pipeline import Pcm
from trunkline.convert.plan import Plan
from trunkline.errors import FormatError
from trunkline.extras import needs_extra
from trunkline.wav import WavWriter
from trunkline.wav.samples import encode, pcm_view

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["Writer", "open_writer"]

FLAC_RATE_MAX: Final = 655_350


class Writer(Protocol):
    """What every writer takes."""

    def write(self, pcm: "memoryview[Any]") -> None:
        """Append items of format h or f; of format B where they are encoded already."""

    def close(self) -> None:
        """Finish the file, which stays open."""


def open_writer(file: BinaryIO, plan: Plan, pcm: Pcm) -> Writer:
    """Begin a recording of the plan's format; FormatError when that has no such rate or channels."""
    if plan.format == "wav":
        wav_writer = _EncodedWavWriter if pcm.encoded else WavWriter
        return wav_writer(
            file,
            sample_rate=pcm.sample_rate,
            channels=pcm.channels,
            encoding=plan.encoding,
            metadata=pcm.metadata,
        )
    if plan.format == "opus":
        from trunkline.opus import OpusWriter

        return OpusWriter(
            file,
            sample_rate=pcm.sample_rate,
            channels=pcm.channels,
            bitrate=plan.bitrate,
            tags=tags_of(pcm.metadata),
        )
    if plan.format == "flac":
        return _FlacWriter(file, pcm)
    return _RawWriter(file, plan.encoding)


class _EncodedWavWriter(WavWriter):
    def write(self, pcm: "Buffer") -> None:
        self.write_encoded(pcm)


class _RawWriter:
    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._encoding = encoding

    def write(self, pcm: "memoryview[Any]") -> None:
        encoded = pcm if pcm.format == "B" else encode(self._encoding, pcm_view(pcm))
        data = memoryview(encoded).cast("B")
        while len(data):
            data = data[self._file.write(data) :]

    def close(self) -> None:
        self._file.flush()


class _FlacWriter:
    def __init__(self, file: BinaryIO, pcm: Pcm) -> None:
        if not file.seekable():
            raise FormatError("FLAC is not written to a pipe: give a file")
        if pcm.sample_rate > FLAC_RATE_MAX:
            raise FormatError(f"FLAC at {pcm.sample_rate} Hz: takes up to {FLAC_RATE_MAX}")
        with needs_extra("files"):
            import soundfile
        self._rate, self._channels, self._is_empty = pcm.sample_rate, pcm.channels, True
        self._error: type[Exception] = soundfile.LibsndfileError
        self._callbacks = CallbackFile(file)
        try:
            self._file: Any = soundfile.SoundFile(
                self._callbacks, "w", pcm.sample_rate, pcm.channels, "PCM_16", format="FLAC"
            )
            for name, text in tags_of(pcm.metadata).items():
                setattr(self._file, name.lower(), text)
        except self._error as error:
            self._callbacks.check()
            raise FormatError(f"FLAC of {pcm.channels} channels at {pcm.sample_rate} Hz: {error}") from error

    def write(self, pcm: "memoryview[Any]") -> None:
        import numpy as np

        samples = memoryview(encode("pcm16", pcm_view(pcm))).cast("B").cast("h")
        self._is_empty = self._is_empty and not len(samples)
        try:
            self._file.write(np.asarray(samples).reshape(-1, self._channels))
        except (self._error, AssertionError):  # of a write that failed, which check knows better
            self._callbacks.check()
            raise
        self._callbacks.check()

    def close(self) -> None:
        try:
            self._file.close()
            if self._is_empty:  # of which libsndfile writes nothing at all
                self._callbacks.write(_flac_header(self._rate, self._channels))
        finally:
            self._callbacks.check()


def _flac_header(sample_rate: int, channels: int) -> bytes:
    """Build a FLAC file of 16 bits without samples: its STREAMINFO (RFC 9639 8.2)."""
    block_samples, last_block = 4096, 0x80
    fields = sample_rate << 44 | (channels - 1) << 41 | (16 - 1) << 36
    info = struct.pack(">HH6xQ16x", block_samples, block_samples, fields)
    return b"fLaC" + struct.pack(">BBH", last_block, 0, len(info)) + info
