"""Reading hostile Ogg: damage anywhere, lying tables and granules, endless input, mutants."""

import io
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import ogg as reference
from tests.reference.ogg import BEGINS, CONTINUES, FRAME, audio_pages, headers, page, raw_page, written
from trunkline import opus
from trunkline.errors import FormatError, TrunklineError
from trunkline.opus.ogg_page import write_page

PAGES = headers() + audio_pages(6)
OTHER = page([FRAME] * 255, 0, 2, 0, 5)  # of another stream


@contextmanager
def memory_below(n_bytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < n_bytes
    finally:
        tracemalloc.stop()


def reader_of(*pages: bytes) -> opus.OggReader:
    return opus.OggReader(io.BytesIO(b"".join(pages)))


WHOLE = list(reader_of(*PAGES))


def content(packets: list[opus.OggPacket]) -> list[tuple[bytes, int]]:
    return [packet[:2] for packet in packets]


class Endless(io.RawIOBase):
    """A pipe that gives `start`, then `unit` over and over, and counts."""

    def __init__(self, start: bytes, unit: bytes) -> None:
        self.start, self.unit, self.n_bytes = start, unit, 0

    def read(self, n_bytes: int = -1) -> bytes:
        assert self.n_bytes < 8 << 20, "read without end"
        given, self.start = self.start, b""
        given = given or self.unit * max(1, n_bytes // len(self.unit))
        self.n_bytes += len(given)
        return given


def test_every_flipped_bit_costs_its_page_only() -> None:
    file = b"".join(PAGES)
    starts = [sum(len(p) for p in PAGES[:i]) for i in range(len(PAGES) + 1)]
    for at in range(starts[2], len(file)):
        damaged = bytearray(file)
        damaged[at] ^= 1 << at % 8
        i = max(i for i in range(len(PAGES)) if starts[i] <= at) - 2
        reader = reader_of(bytes(damaged))
        found = list(reader)
        assert content(found) == content(WHOLE[: i * 5] + WHOLE[i * 5 + 5 :])
        assert reader.skipped_bytes == len(PAGES[i + 2])
        assert [p.lost_samples for p in found if p.lost_samples] == [4800] * (i < 5)


def test_every_truncation() -> None:
    file = b"".join(PAGES)
    ends = [sum(len(p) for p in PAGES[: i + 1]) for i in range(len(PAGES))]
    for n_bytes in range(len(file)):
        if n_bytes < ends[1]:
            with pytest.raises(FormatError):
                reader_of(file[:n_bytes])
            continue
        reader = reader_of(file[:n_bytes])
        n_pages = sum(end <= n_bytes for end in ends) - 2
        assert list(reader) == WHOLE[: n_pages * 5]
        assert reader.skipped_bytes == n_bytes - ends[n_pages + 1]


JUNK = [b"x", b"Ogg", b"OggS", b"OggS" + bytes(30), b"OggS\0" + b"\xff" * 300, Random(1).randbytes(70_000)]


@pytest.mark.parametrize("junk", JUNK)
def test_garbage_before_between_and_behind(junk: bytes) -> None:
    for i in range(len(PAGES) + 1):
        reader = reader_of(*PAGES[:i], junk, *PAGES[i:])
        assert list(reader) == WHOLE
        assert (reader.skipped_bytes, reader.damaged) == (len(junk), 0)


def test_a_page_inside_a_broken_page_is_found() -> None:
    lying = bytearray(raw_page(b"\xff" * 255, b"", 0, 9))
    assert list(reader_of(*PAGES[:4], bytes(lying), *PAGES[4:])) == WHOLE


def test_lying_segments() -> None:
    """A table that claims more than there is, or less: the checksum is right for what it says."""
    for segments, data in [(b"\x05", b"\x08"), (b"", b"\x08abc"), (b"\xff" * 255, b"\x08abc")]:
        reader = reader_of(*PAGES[:4], raw_page(segments, data, 14400, 99), *PAGES[4:])
        assert [p for p in reader if p.packet in dict(content(WHOLE))] == WHOLE


def test_packets_that_are_none() -> None:
    pages = [
        page([b"", FRAME, b"\x0b", b"", FRAME], 1920, 2),
        page([b""] * 255, 1920, 3),
        page([FRAME], 2880, 4),
    ]
    reader = reader_of(*headers(), *pages)
    assert content(list(reader)) == [(FRAME, 960 * i) for i in range(3)]
    assert reader.damaged == 258


def test_granules_that_lie() -> None:
    granules = [4800, 9600, 100, 0, -1, -(1 << 62), 14400 * 5, 1 << 62, (1 << 63) - 1, 5]
    pages = [page([FRAME] * 5, granule, i + 2) for i, granule in enumerate(granules)]
    reader = reader_of(*headers(), *pages)
    end = 0
    for packet in reader:
        assert packet.position - packet.lost_samples == end
        assert packet.lost_samples >= 0
        end = packet.position + 960
    assert reader.position == end >= (1 << 63) - 1
    assert reader.damaged == 0


def test_a_page_that_comes_twice_counts_once() -> None:
    reader = reader_of(*PAGES[:4], PAGES[3], PAGES[3], *PAGES[4:])
    assert list(reader) == WHOLE
    assert reader.skipped_bytes == 2 * len(PAGES[3])


def test_sequence_numbers_wrap() -> None:
    large = bytes([FRAME[0]]) + bytes(300)
    pages = [
        raw_page(b"\xff", large[:255], -1, 0xFFFFFFFF),
        raw_page(b"\x2e", large[255:], 960, 0, CONTINUES),
        page([FRAME], 1920, 1),
    ]
    reader = reader_of(*headers(), *pages)
    assert content(list(reader)) == [(large, 0), (FRAME, 960)]
    assert reader.damaged == 0


def test_parts_of_packets_are_not_joined_wrongly() -> None:
    begins, goes_on = raw_page(b"\xff", FRAME + bytes(251), -1, 2), raw_page(b"\x01", b"x", 960, 3, CONTINUES)
    last = page([FRAME], 1920, 4)
    for pages, n_damaged in [
        ([begins, last], 1),
        ([goes_on, last], 1),
        ([begins, raw_page(b"\x01", b"x", 960, 4, CONTINUES), page([FRAME], 1920, 5)], 2),
        ([begins, raw_page(b"", b"", -1, 3), last], 1),
        ([raw_page(b"\xff", b"\x08" * 255, -1, 1, CONTINUES), begins, last], 1),
    ]:
        reader = reader_of(*headers(), *pages)
        assert [packet.packet for packet in reader] == [FRAME]
        assert reader.damaged == n_damaged
    assert len(list(reader_of(*headers(), begins, goes_on, last))) == 2


def test_packets_and_tags_of_any_size_take_bounded_memory() -> None:
    def continued(start: bytes, n_pages: int, sequence: int) -> Iterator[bytes]:
        data = start.ljust(65_025, b"\1")
        for i in range(n_pages):
            yield write_page(CONTINUES if i else 0, -1, 1, sequence + i, b"\xff" * 255, data)
            data = bytes(65_025)
        yield write_page(CONTINUES, 0, 1, sequence + n_pages, b"\0", b"")

    n_pages = 200
    tags = reference.tags(b"me", b"A=1")[:-10] + (2).to_bytes(4, "little") + b"\3\0\0\0A=1\xff\xff\xff\x0f"
    file = b"".join(
        [
            headers()[0],
            *continued(tags[: tags.index(b"A=1") - 8] + tags[-15:], n_pages, 1),
            *continued(b"\x08", n_pages, n_pages + 2),
            page([FRAME], 960, 2 * n_pages + 3),
        ]
    )
    with memory_below(6 << 20):
        reader = opus.OggReader(io.BytesIO(file))
        assert content(list(reader)) == [(FRAME, 0)]
    assert (reader.vendor, reader.damaged) == ("me", 1)


@pytest.mark.parametrize("unit", [b"\0" * 4096, b"OggS", page([b"\x01vorbis" * 100], 0, 0, BEGINS), OTHER])
def test_the_search_for_a_stream_ends(unit: bytes) -> None:
    pipe = Endless(b"", unit)
    with memory_below(2 << 20), pytest.raises(FormatError, match="in its first 1048576 bytes"):
        opus.OggReader(pipe)
    assert pipe.n_bytes < 2 << 20


@pytest.mark.parametrize("unit", [b"\0" * 4096, b"OggS", OTHER])
def test_what_is_skipped_takes_no_memory(unit: bytes) -> None:
    pipe = Endless(b"".join(PAGES[:4]), unit)
    reader = opus.OggReader(pipe)
    with memory_below(2 << 20):
        assert [next(reader) for _ in range(10)] == WHOLE[:10]
        with pytest.raises(AssertionError, match="without end"):
            next(reader)


def test_tiny_pages() -> None:
    n_pages = 50_000
    pages = [write_page(0, 960 * i + 960, 1, i + 2, b"\x01", b"\x08") for i in range(n_pages)]
    file = io.BytesIO(b"".join(headers() + pages))
    reader = opus.OggReader(file)
    assert sum(1 for _ in reader) == n_pages
    assert reader.position == 960 * n_pages


def read_or_refuse(data: bytes) -> list[opus.OggPacket] | None:
    """Read hostile bytes: packets, or an error of our tree; the rest must hold for any."""
    try:
        reader = opus.OggReader(io.BytesIO(data))
        packets = list(reader)
    except TrunklineError:
        return None
    end = packets[0].position - packets[0].lost_samples if packets else reader.position
    for packet in packets:
        assert packet.position == end + packet.lost_samples
        end = packet.position + opus.packet_info(packet.packet).samples(48_000)
    assert reader.position == end
    duration_ms = reader.duration_ms
    assert duration_ms is not None
    assert 0 <= duration_ms <= end / 48
    assert 0 <= reader.skipped_bytes <= len(data)
    return packets


@given(st.binary(max_size=400), st.integers(0, 8))
def test_any_bytes(data: bytes, n_pages: int) -> None:
    read_or_refuse(b"".join(PAGES[:n_pages]) + data)


def test_mutants_with_right_checksums() -> None:
    random = Random(3)
    seeds = [
        PAGES,
        reference.cut(written([FRAME, opus.pad(FRAME, 66_000), FRAME], pre_skip=7)),
        PAGES + headers(2) + audio_pages(2, serial=2),
    ]
    n_read = 0
    with memory_below(4 << 20):
        for _ in range(600):
            pages = []
            for raw in random.choice(seeds):
                flags, granule, serial, sequence, segments, data = reference_fields(raw)
                change = random.randrange(30)
                if change == 0:
                    flags ^= 1 << random.randrange(3)
                elif change == 1:
                    granule = random.choice(
                        [-1, 0, 1, 1 << 40, -(1 << 63), granule + random.randrange(-999, 999)]
                    )
                elif change == 2:
                    sequence = random.choice([0, sequence + 1, 0xFFFFFFFF])
                elif change == 3:
                    serial = random.randrange(3)
                elif change == 4:
                    segments = random.randbytes(random.randrange(256))
                elif change == 5:
                    data = data[: random.randrange(len(data) + 1)] + random.randbytes(random.randrange(9))
                pages.append(write_page(flags, granule, serial, sequence, segments, data))
                if change == 6:
                    pages.append(random.choice(pages))
                elif change == 7:
                    pages.pop()
            n_read += read_or_refuse(b"".join(pages)) is not None
    assert 300 < n_read < 595  # both ways are taken


def reference_fields(raw: bytes) -> tuple[int, int, int, int, bytes, bytes]:
    begin = 27 + raw[26]
    fields = (int.from_bytes(raw[at : at + 4], "little") for at in (14, 18))
    serial, sequence = fields
    return (
        raw[5],
        int.from_bytes(raw[6:14], "little", signed=True),
        serial,
        sequence,
        raw[27:begin],
        raw[begin:],
    )
