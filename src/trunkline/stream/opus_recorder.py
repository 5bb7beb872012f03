"""OpusRecorder: the Opus packets of a stream as they came, each track to a file of its own."""

import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.opus import OggWriter, packet_info
from trunkline.stream.events import Event, Payload, Start

__all__ = ["OpusRecorder"]

MAX_GAP_MS: Final = 10_000  # a longer one is cut out, as a Recorder does
TOLERANCE_MS: Final = 10  # carriers round timestamps
_PER_MS: Final = 48


class OpusRecorder(Exclusive):
    """Write the packets of each track to `stem` with ".inbound.opus" or ".outbound.opus" behind it.

    Give it the events of a StreamReceiver with output="both", the Start first; of another codec than OPUS it
    records nothing. A packet lies where its timestamp says: what is missing before it is left for the player
    to conceal, and both files begin at the same moment, without a pre-skip, so that they last as long as a
    Recorder's. Gaps of more than 10 s are cut out; a packet whose place has gone by, as it came late or
    twice, is dropped, unless it is the next in sequence: then the carrier's clock stepped back. `paths` are
    the files so far. OSError when one cannot be written.

    >>> import tempfile
    >>> from trunkline.stream import OpusRecorder, StreamReceiver, StreamSender
    >>> sender, receiver = StreamSender("OPUS@16000h"), StreamReceiver(output="both")
    >>> with tempfile.TemporaryDirectory() as directory, OpusRecorder(f"{directory}/call") as recorder:
    ...     for message in sender.start() + sender.media(bytes(2 * 16000)) + sender.stop():
    ...         for event in receiver.receive(message):
    ...             recorder.write(event)
    >>> recorder.paths["inbound"].name
    'call.inbound.opus'
    """

    def __init__(self, stem: str | os.PathLike[str]) -> None:
        self._stem = Path(stem)
        self._start: Start | None = None
        self._origin_ms: int | None = None  # where the files begin
        self._writers: dict[str, OggWriter] = {}
        self._ends: dict[str, int] = {}  # of each track, at 48 kHz since the origin
        self._sequences: dict[str, int | None] = {}
        self.paths: dict[str, Path] = {}

    @exclusive
    def write(self, event: Event) -> None:
        """Take the next event; those that bring no packet are passed over."""
        if isinstance(event, Start):
            self._start = event
        elif isinstance(event, Payload) and event.payload and self._is_opus():
            self._write(event)

    @exclusive
    def close(self) -> None:
        """Finish the files; idempotent."""
        for writer in self._writers.values():
            writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_opus(self) -> bool:
        return self._start is not None and self._start.media_format.codec == "OPUS"

    def _write(self, event: Payload) -> None:
        if self._origin_ms is None:
            self._origin_ms = event.timestamp_ms
        begin = (event.timestamp_ms - self._origin_ms) * _PER_MS
        end = self._ends.get(event.track, 0)
        last = self._sequences.get(event.track)
        skipped = -1 if event.sequence is None or last is None else event.sequence - last - 1
        n_samples, tolerance = packet_info(event.payload).samples(48_000), TOLERANCE_MS * _PER_MS
        missing = max(skipped, 0) * n_samples
        if abs(begin - end - missing) < tolerance:
            begin = end + missing
        elif abs(begin - end) < tolerance:
            begin = end
        elif begin < end and skipped != 0:
            return
        self._sequences[event.track] = event.sequence
        lost = begin - end if end < begin <= end + MAX_GAP_MS * _PER_MS else 0
        self._writer(event.track).write(event.payload, lost_samples=lost)
        self._ends[event.track] = begin + n_samples

    def _writer(self, track: str) -> OggWriter:
        writer = self._writers.get(track)
        if writer is None:
            assert self._start is not None  # noqa: S101
            media_format = self._start.media_format
            path = self._stem.with_name(f"{self._stem.name}.{track}.opus")
            writer = self._writers[track] = OggWriter(
                path, channels=media_format.channels, sample_rate=media_format.sample_rate, pre_skip=0
            )
            self.paths[track] = path
        return writer
