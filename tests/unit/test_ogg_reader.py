"""Reading Ogg Opus: files of others, pipes, joined and mixed streams, times and losses."""

import io
import mmap
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.reference import ogg as reference
from tests.reference.ogg import BEGINS, ENDS, FRAME, audio_pages, headers, page, written
from tests.reference.opus import PlainDecoder, packets, voices
from trunkline import opus
from trunkline.errors import ConcurrentUseError, FormatError

RATE = 48_000
PACKETS = [FRAME + bytes([i, i + 1]) for i in range(120)]


def reader_of(*pages: bytes) -> opus.OggReader:
    return opus.OggReader(io.BytesIO(b"".join(pages)))


def positions(reader: opus.OggReader) -> list[tuple[int, int]]:
    return [(packet.position, packet.lost_samples) for packet in reader]


def ffmpeg(*arguments: str | Path) -> bytes:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    return subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, capture_output=True).stdout


def decoded(found: list[opus.OggPacket], rate: int, channels: int, pre_skip: int) -> np.ndarray:
    decoder = PlainDecoder(rate, channels)
    pcm = b"".join(decoder.decode(p.packet, opus.packet_info(p.packet).samples(rate)) for p in found)
    return np.frombuffer(pcm, np.int16).reshape(-1, channels)[pre_skip * rate // RATE :]


@pytest.fixture(params=["soundfile", "ffmpeg"])
def write_by_other(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes, int, int], Path]:
    """Have somebody else encode and write a file."""

    def write(pcm: bytes, rate: int, channels: int) -> Path:
        samples = np.frombuffer(pcm, np.int16).reshape(-1, channels)
        path, wave = tmp_path / "call.opus", tmp_path / "call.wav"
        if request.param == "soundfile":
            soundfile.write(path, samples, rate, format="OGG", subtype="OPUS")
        else:
            soundfile.write(wave, samples, rate)
            ffmpeg("-i", wave, "-c:a", "libopus", "-b:a", "32k", "-metadata", "title=call 7", path)
        return path

    return write


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (48000, 1)])
def test_files_of_others(
    libopus: opus.LibraryInfo, write_by_other: Callable[[bytes, int, int], Path], rate: int, channels: int
) -> None:
    path = write_by_other(voices(1.234, rate, channels), rate, channels)
    with opus.OggReader(path) as reader:
        assert reader.duration_ms == 1234
        found = list(reader)
        assert (reader.channels, reader.damaged, reader.skipped_bytes) == (channels, 0, 0)
        assert reader.duration_ms == 1234
        assert reader.vendor
        assert reader.tags.get("TITLE", "call 7") == "call 7"
        assert reader.pre_skip > 0
        assert positions(reader) == []
    position = 0
    for packet in found:
        assert (packet.position, packet.lost_samples) == (position, 0)
        position += opus.packet_info(packet.packet).samples(RATE)
    assert reader.position == position
    heard, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wanted = decoded(found, rate, channels, reader.pre_skip)[: len(heard)]
    np.testing.assert_array_equal(np.rint(heard * 32768), wanted)


def test_headers() -> None:
    file = written(
        PACKETS, channels=2, sample_rate=16000, pre_skip=7, gain_db=-1.5, tags={"Ab": "é=1"}, vendor="me"
    )
    reader = opus.OggReader(io.BytesIO(file))
    assert (reader.channels, reader.sample_rate, reader.pre_skip) == (2, 16000, 7)
    assert (reader.gain_db, reader.vendor, reader.tags, reader.link) == (-1.5, "me", {"AB": "é=1"}, 0)


def test_files_pipes_and_maps(tmp_path: Path) -> None:
    path, file = tmp_path / "call.opus", written(PACKETS)
    path.write_bytes(b"before" + file)
    with open(path, "rb") as opened:
        opened.seek(6)
        reader = opus.OggReader(opened)
        assert (reader.skipped_bytes, [packet.packet for packet in reader]) == (0, PACKETS)
        reader.close()
        assert not opened.closed
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            reader = opus.OggReader(mapped)
            assert reader.duration_ms == 2400 - 6.5
            assert [packet.packet for packet in reader] == PACKETS
    with opus.OggReader(path) as reader:
        assert [packet.packet for packet in reader] == PACKETS
        assert reader.skipped_bytes == 6
    for buffering in (0, -1):
        read_end, write_end = os.pipe()
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(file)
        with os.fdopen(read_end, "rb", buffering=buffering) as pipe:
            reader = opus.OggReader(pipe)
            assert reader.duration_ms is None
            assert [packet.packet for packet in reader] == PACKETS
            assert reader.duration_ms == 2400 - 6.5


def test_reading_goes_on_where_it_was_left() -> None:
    reader = opus.OggReader(io.BytesIO(written(PACKETS)))
    assert reader.position == 0
    for packet in reader:
        assert packet == (PACKETS[0], 0, 0)
        break
    assert reader.position == 960
    assert next(reader) == (PACKETS[1], 960, 0)
    assert reader.duration_ms == 2400 - 6.5
    assert [packet.packet for packet in reader] == PACKETS[2:]
    assert next(reader, None) is None
    assert reader.position == 960 * 120


def test_a_stream_joined_late_begins_where_it_says() -> None:
    reader = reader_of(*headers(pre_skip=312), *audio_pages(3, begin=1_000_000))
    assert positions(reader)[:2] == [(1_000_000, 0), (1_000_960, 0)]
    assert reader.duration_ms == 300 - 6.5


@pytest.mark.parametrize("n_pages", [1, 2])
@pytest.mark.parametrize("trim", [0, 100, 960])
def test_the_end_may_be_trimmed(n_pages: int, trim: int) -> None:
    *begin, _ = audio_pages(n_pages)
    last = page([FRAME] * 5, n_pages * 4800 - trim, n_pages + 1, ENDS)
    file = b"".join([*headers(pre_skip=312), *begin, last])
    reader = reader_of(file)
    assert positions(reader) == [(960 * i, 0) for i in range(n_pages * 5)]
    assert reader.duration_ms == (n_pages * 4800 - trim - 312) / 48
    assert soundfile.info(io.BytesIO(file)).frames == (n_pages * 4800 - trim - 312) // 3


def test_missing_pages_are_lost_samples_which_a_writer_takes() -> None:
    pages = headers() + audio_pages(8)
    del pages[7], pages[4:6]
    reader = reader_of(*pages)
    found = list(reader)
    assert [(i, packet.lost_samples) for i, packet in enumerate(found) if packet.lost_samples] == [
        (10, 2 * 4800),
        (15, 4800),
    ]
    assert (found[10].position, found[15].position) == (4 * 4800, 6 * 4800)
    assert reader.duration_ms == 800
    copy = io.BytesIO()
    with opus.OggWriter(copy, pre_skip=0) as writer:
        for packet in found:
            writer.write(packet.packet, lost_samples=packet.lost_samples)
    copied = list(opus.OggReader(io.BytesIO(copy.getvalue())))
    assert [p[:2] for p in copied if len(p.packet) > 1] == [p[:2] for p in found]
    assert writer.duration_ms == 800


def test_a_missing_first_page_is_lost_but_not_what_was_never_there() -> None:
    pages = headers() + audio_pages(3)
    del pages[2]
    reader = reader_of(*pages)
    assert positions(reader)[:2] == [(4800, 4800), (5760, 0)]
    assert reader.duration_ms == 300


@pytest.mark.parametrize("serial", [1, 7])
def test_a_link_that_cannot_be_read_is_passed_over(serial: int) -> None:
    good = headers() + audio_pages(2)
    bad = [page([reference.head(channels=3, family=1)], 0, 0, BEGINS, serial)]
    reader = reader_of(*good, *bad, *headers(serial=9), *audio_pages(2, serial=9))
    assert positions(reader) == [(960 * i, 0) for i in range(20)]
    assert (reader.damaged, reader.link, reader.duration_ms) == (1, 1, 400)


def test_links_of_a_chain_follow_one_another() -> None:
    links = [
        written(PACKETS[:60], pre_skip=312, tags={"A": "1"}),
        written([], channels=2),
        b"".join(headers(serial=7, pre_skip=960) + audio_pages(3, serial=7, begin=50_000)),
    ]
    file = b"".join(links)
    reader = opus.OggReader(io.BytesIO(file))
    found = []
    for packet in reader:
        seen = (reader.link, reader.channels, reader.pre_skip, reader.tags)
        is_first = packet.position < 60 * 960
        assert seen == ((0, 1, 312, {"A": "1"}) if is_first else (2, 1, 960, {}))
        found.append((packet.position, packet.lost_samples))
    assert found == [(960 * i, 0) for i in range(75)]
    assert reader.duration_ms == (60 * 960 - 312 + 15 * 960 - 960) / 48
    assert (reader.damaged, reader.skipped_bytes) == (0, 0)


def test_ffmpeg_plays_a_chain_as_long(tmp_path: Path, libopus: opus.LibraryInfo) -> None:
    path = tmp_path / "call.opus"
    path.write_bytes(written(packets(1.0), pre_skip=0) + written(packets(2.0), pre_skip=0))
    pcm = ffmpeg("-i", path, "-f", "s16le", "-")
    with opus.OggReader(path) as reader:
        assert reader.duration_ms == len(pcm) / 2 / 48 == 3000


@pytest.mark.parametrize("first", ["opus", "flac"])
def test_other_streams_beside_ours_are_passed_over(
    tmp_path: Path, libopus: opus.LibraryInfo, first: str
) -> None:
    alone, other, mixed = tmp_path / "alone.opus", tmp_path / "other.oga", tmp_path / "mixed.ogg"
    alone.write_bytes(written(packets(3.0)))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=3", "-c:a", "flac", other)
    both = (alone, other) if first == "opus" else (other, alone)
    ffmpeg("-i", both[0], "-i", both[1], "-map", "0:a", "-map", "1:a", "-c", "copy", mixed)
    with opus.OggReader(mixed) as reader:
        assert [packet.packet for packet in reader] == list(packets(3.0))
        assert (reader.damaged, reader.skipped_bytes, reader.link) == (0, 0, 0)


def test_the_first_of_two_opus_streams_is_read() -> None:
    one, two = (headers(serial) + audio_pages(3, serial=serial) for serial in (1, 2))
    mixed = [page for pair in zip(one, two, strict=True) for page in pair]
    assert list(reader_of(*mixed)) == list(reader_of(*one))
    reader = reader_of(*mixed, *two)
    assert len(list(reader)) == 30
    assert reader.link == 1


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (reference.head(6, family=1), "6 channels in mapping family 1: takes 1 or 2 in family 0"),
        (reference.head(2, family=255), "family 255"),
        (reference.head(0), "0 channels"),
        (reference.head(3), "3 channels"),
        (reference.head(version=16), "version 16"),
        (reference.head()[:18], "header of 18 bytes: takes 19"),
    ],
)
def test_streams_that_are_not_read(tmp_path: Path, head: bytes, message: str) -> None:
    path = tmp_path / "call.opus"
    path.write_bytes(page([head], 0, 0, BEGINS))
    open_before = os.listdir("/proc/self/fd")
    with pytest.raises(FormatError, match=message):
        opus.OggReader(path)
    assert os.listdir("/proc/self/fd") == open_before
    reader = reader_of(*headers(2), *audio_pages(2, serial=2), path.read_bytes())
    assert positions(reader) == [(960 * i, 0) for i in range(10)]
    assert reader.damaged == 1


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "no Opus stream in its first 0 bytes"),
        (b"RIFF" * 10, "no Opus stream in its first 40 bytes"),
        (page([b"\x01vorbis"], 0, 0, BEGINS), "no Opus stream in its first 35 bytes"),
        (headers()[0], "ends in its headers, after 47 bytes"),
    ],
)
def test_what_is_no_ogg_opus(file: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        reader_of(file)


def test_later_versions_and_longer_headers_are_read() -> None:
    pages = [page([reference.head(version=15) + b"more"], 0, 0, BEGINS), headers()[1], *audio_pages(1)]
    assert len(list(reader_of(*pages))) == 5


@pytest.mark.parametrize(
    ("comments", "vendor", "tags"),
    [
        (
            reference.tags(b"me", b"a=1", b"A=2", b"none", b"=x", b"B=\xff="),
            "me",
            {"A": "2", "": "x", "B": "�="},
        ),
        (reference.tags(b"me", b"A=1", b"B=2")[:-1], "me", {"A": "1"}),
        (reference.tags(b"me", b"A=1")[:16], "me", {}),
        (b"OpusTags", "", {}),
        (b"OpusTags\xff\xff\xff\xff", "", {}),
        (b"OpusTags" + bytes(4) + b"\xff" * 4, "", {}),
        (reference.tags(b"", b"A=1") + b"padding", "", {"A": "1"}),
    ],
)
def test_tags(comments: bytes, vendor: str, tags: dict[str, str]) -> None:
    reader = reader_of(headers()[0], page([comments], 0, 1), *audio_pages(2))
    assert (reader.vendor, reader.tags, len(list(reader))) == (vendor, tags, 10)


def test_audio_without_tags_is_read() -> None:
    reader = reader_of(headers()[0], *audio_pages(2))
    assert (reader.vendor, reader.tags) == ("", {})
    assert positions(reader) == [(960 * i, 0) for i in range(10)]


class Without(io.RawIOBase):
    def __init__(self, gives: object) -> None:
        self.gives = gives

    def read(self, n_bytes: int = -1) -> object:  # type: ignore[override]
        return self.gives


@pytest.mark.parametrize(("gives", "error"), [(None, BlockingIOError), ("text", TypeError)])
def test_files_that_are_not_binary_and_blocking(gives: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="an Ogg file must be"):
        opus.OggReader(Without(gives))


def test_a_closed_reader_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "call.opus"
    path.write_bytes(written(PACKETS * 100))
    reader = opus.OggReader(path)
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="closed file"):
        list(reader)
    with pytest.raises(FileNotFoundError):
        opus.OggReader(tmp_path / "missing.opus")


def test_a_second_thread_is_refused() -> None:
    file = written(PACKETS)
    reading, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, n_bytes: int | None = -1) -> bytes:
            if self.tell() >= 200:
                reading.set()
                go_on.wait(60)
            return super().read(min(n_bytes or 0, 200))

    reader = opus.OggReader(Slow(file))
    thread = threading.Thread(target=list, args=(reader,))
    thread.start()
    assert reading.wait(60)
    with pytest.raises(ConcurrentUseError):
        next(reader)
    with pytest.raises(ConcurrentUseError):
        _ = reader.duration_ms
    go_on.set()
    thread.join()
