"""What convert reads: files, pipes, audio without a header, captured calls, two tracks beside each other."""

import os
from collections.abc import Callable
from typing import BinaryIO, Final

from trunkline.audio_files import HEAD_BYTES, AudioReader, open_audio, read_head, sniff
from trunkline.errors import FormatError, PayloadError, RemoteProtocolError
from trunkline.wav import WavReader
from trunkline.wav.header import WavFormat
from trunkline.wav.samples import decode_f32, decode_s16

__all__ = ["FLOAT_ENCODINGS", "not_finite", "open_reader"]

#: What may hold NaN and infinity, as WAV names it and as soundfile does.
FLOAT_ENCODINGS: Final = ("float32", "float64", "float", "double", "vorbis")


def not_finite(n_samples: int) -> str:
    """Say what becomes of samples that are NaN or infinity."""
    return (
        f"{n_samples:,} samples are no finite numbers: NaN becomes 0, infinity full scale (float32 keeps it)"
    )


def open_reader(
    source: str | os.PathLike[str] | BinaryIO, raw: WavFormat | None, on_damage: Callable[[str], None]
) -> AudioReader:
    """Open what is to be converted; `on_damage` is told, in a sentence each, of what is missing in it."""
    if raw is not None:
        return _RawReader(source, raw, on_damage)
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            head = file.read(HEAD_BYTES)
        if sniff(head) == "capture":
            return _read_capture(source, on_damage)
    elif sniff(head := read_head(source)) == "capture":
        raise FormatError("a capture is read by its name, not from a pipe")
    if not head:
        raise FormatError("it is empty")
    return open_audio(source, on_damage=on_damage)


class _RawReader:
    """Samples without a header, from where the file stands to its end."""

    def __init__(
        self, source: str | os.PathLike[str] | BinaryIO, format: WavFormat, on_damage: Callable[[str], None]
    ) -> None:
        self._file: BinaryIO
        if isinstance(source, str | os.PathLike):
            self._file, self._owns_file = open(source, "rb"), True  # noqa: SIM115
        else:
            self._file, self._owns_file = source, False
        self._block_bytes = format.block_bytes
        self._on_damage = on_damage
        self._byte_order = format.byte_order
        self._at_start = True
        self.encoding = format.encoding
        self.sample_rate = format.sample_rate
        self.channels = format.channels
        self.n_samples: int | None = None
        if self._file.seekable():
            at = self._file.tell()
            self.n_samples = (self._file.seek(0, os.SEEK_END) - at) // self._block_bytes
            self._file.seek(at)

    def read(self, n_samples: int = -1) -> bytes:
        return decode_s16(self.encoding, self.read_encoded(n_samples), self._byte_order)

    def read_float(self, n_samples: int = -1) -> bytes:
        return decode_f32(self.encoding, self.read_encoded(n_samples), self._byte_order)

    def close(self) -> None:
        if self._owns_file:
            self._file.close()

    def read_encoded(self, n_samples: int = -1) -> bytes:
        wanted = n_samples * self._block_bytes
        data = self._file.read(wanted if n_samples >= 0 else -1)
        while 0 < len(data) < wanted and (more := self._file.read(wanted - len(data))):  # a pipe that is slow
            data += more
        if self._at_start and (kind := sniff(data[:HEAD_BYTES])) and data[0] != 0xFF:  # MP3, or silent mu-law
            self._on_damage(f"it begins like {kind.upper()}, and is read as if it had no header")
        self._at_start = False
        odd_bytes = len(data) % self._block_bytes
        if odd_bytes:
            self._on_damage(f"{odd_bytes} bytes after the last whole sample of {self._block_bytes} bytes")
            return data[:-odd_bytes]
        return data


def _read_capture(path: str | os.PathLike[str], on_damage: Callable[[str], None]) -> AudioReader:
    """Read a captured call as it would have been recorded: inbound left, outbound right."""
    import tempfile

    from trunkline.stream import Recorder, Start, StreamReceiver, read_capture  # which few conversions need

    left_out = 0

    def on_torn(n_bytes: int) -> None:
        on_damage(f"the last {n_bytes} bytes are no whole line: whoever wrote it was interrupted")

    with tempfile.TemporaryDirectory() as directory:
        recording = os.path.join(directory, "call.wav")
        receiver, started = StreamReceiver(), False
        with Recorder(recording) as recorder:
            for message in read_capture(path, on_torn=on_torn):
                try:
                    events = receiver.receive(message.message)
                except (RemoteProtocolError, PayloadError):
                    left_out += 1
                    continue
                for event in events:
                    started = started or isinstance(event, Start)
                    recorder.write(event)
            for event in receiver.close():
                recorder.write(event)
        if not started:
            raise FormatError("a capture in which no stream starts")
        if left_out:
            on_damage(f"{left_out} messages break the protocol, and are left out")
        return WavReader(recording)  # which is open, and needs its name no more
