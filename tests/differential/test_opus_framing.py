"""Opus packets against libopus: what they say, how they are cut, joined and padded."""

import ctypes
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import opus
from trunkline._native.opus_packet import build, frames_of
from trunkline.errors import FormatError, PayloadError
from trunkline.testing import speech_like

BANDWIDTHS = ["narrowband", "mediumband", "wideband", "superwideband", "fullband"]
INVALID = -4


@pytest.fixture(scope="module")
def lib(libopus: opus.LibraryInfo) -> ctypes.CDLL:
    loaded = ctypes.CDLL(libopus.path)
    loaded.opus_repacketizer_create.restype = ctypes.c_void_p
    return loaded


def parsed_by(lib: ctypes.CDLL, packet: bytes) -> tuple[int, list[bytes]] | None:
    """Give the TOC and the frames that libopus finds, None when it refuses."""
    toc, sizes = ctypes.c_ubyte(), (ctypes.c_int16 * 48)()
    frames, offset = (ctypes.c_void_p * 48)(), ctypes.c_int()
    buffer = ctypes.create_string_buffer(packet, max(1, len(packet)))
    n = lib.opus_packet_parse(buffer, len(packet), ctypes.byref(toc), frames, sizes, ctypes.byref(offset))
    if n < 0:
        assert n in (INVALID, -1)
        return None
    return toc.value, [ctypes.string_at(frames[i], sizes[i]) for i in range(n)]


def assert_alike(lib: ctypes.CDLL, packet: bytes) -> None:
    found = parsed_by(lib, packet)
    if found is None:
        for function in (opus.packet_info, frames_of, opus.split, opus.unpad):
            with pytest.raises(PayloadError, match=r"RFC 6716 3\.4, R[1-7]"):
                function(packet)
        return
    assert frames_of(packet) == found
    info = opus.packet_info(packet)
    for rate in (8000, 12000, 16000, 24000, 48000):
        assert info.samples(rate) == lib.opus_packet_get_nb_samples(packet, len(packet), rate)
    assert info.frames == len(found[1])
    assert info.channels == lib.opus_packet_get_nb_channels(packet)
    assert 1101 + BANDWIDTHS.index(info.bandwidth) == lib.opus_packet_get_bandwidth(packet)
    assert info.frame_ms * 48 == lib.opus_packet_get_samples_per_frame(packet, 48000)


def test_every_first_byte_with_up_to_two_more(lib: ctypes.CDLL) -> None:
    seconds = [0, 1, 2, 5, 48, 49, 63, 64, 65, 66, 128, 129, 130, 192, 193, 251, 252, 253, 255]
    assert_alike(lib, b"")
    for toc in range(256):
        assert_alike(lib, bytes([toc]))
        for second in range(256) if toc & 7 == 3 else seconds:  # code 3 of mono
            assert_alike(lib, bytes([toc, second]))
            for third in (0, 1, 254, 255):
                assert_alike(lib, bytes([toc, second, third]))


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 1500), st.randoms(use_true_random=False))
def test_random_packets(lib: ctypes.CDLL, toc: int, second: int, n_bytes: int, rng: random.Random) -> None:
    assert_alike(lib, bytes([toc, second]) + rng.randbytes(n_bytes))
    # Few frames of small lengths: what is more often valid.
    assert_alike(lib, bytes([toc, second & 0b11000111]) + bytes(rng.choices(range(40), k=n_bytes % 200)))


def real_packets() -> Iterator[bytes]:
    for rate in (8000, 16000, 48000):
        for application in ("voip", "audio", "lowdelay"):
            for ms in (2.5, 10, 20, 60, 120):
                encoder = opus.Encoder(
                    rate, 1, application, inband_fec=True, packet_loss_percent=20, dtx=True
                )
                pcm, step = speech_like(0.6, rate), 2 * int(rate * ms / 1000)
                yield from (encoder.encode(pcm[i : i + step]) for i in range(0, len(pcm) - step + 1, step))


def test_real_packets_and_their_damaged_copies(lib: ctypes.CDLL) -> None:
    rng = random.Random(7)
    for packet in real_packets():
        assert_alike(lib, packet)
        for _ in range(5):
            damaged = bytearray(packet)
            damaged[rng.randrange(min(4, len(damaged)))] ^= 1 << rng.randrange(8)
            assert_alike(lib, bytes(damaged[: rng.randrange(1, len(damaged) + 1)]))


class Peer:
    """libopus's repacketizer."""

    def __init__(self, lib: ctypes.CDLL) -> None:
        self.lib, self.state = lib, ctypes.c_void_p(lib.opus_repacketizer_create())
        self.kept: list[ctypes.Array[ctypes.c_char]] = []  # it refers to what it is given

    def add(self, packet: bytes) -> bool:
        self.kept.append(ctypes.create_string_buffer(packet, max(1, len(packet))))
        return self.lib.opus_repacketizer_cat(self.state, self.kept[-1], len(packet)) == 0

    def out(self, first: int, last: int) -> bytes:
        out = ctypes.create_string_buffer(70_000)
        n = self.lib.opus_repacketizer_out_range(self.state, first, last, out, len(out))
        assert n > 0
        return out.raw[:n]


frames_st = st.lists(
    st.one_of(st.binary(max_size=4), st.binary(min_size=250, max_size=260), st.just(bytes(1275))),
    min_size=1,
    max_size=6,
)


@given(
    st.sampled_from([0x08, 0x18, 0x4C, 0x60, 0x80, 0x98, 0xFC]), st.lists(frames_st, min_size=1, max_size=8)
)
def test_joining_is_libopuss_byte_for_byte(lib: ctypes.CDLL, toc: int, groups: list[list[bytes]]) -> None:
    peer, ours = Peer(lib), opus.Repacketizer()
    for group in groups:
        packet = build(toc, group)
        if parsed_by(lib, packet) is None:  # above 120 ms
            with pytest.raises(PayloadError):
                ours.add(packet)
            continue
        if peer.add(packet):
            ours.add(packet)
        else:
            before = ours.frames
            with pytest.raises(FormatError):
                ours.add(packet)
            assert ours.frames == before
    n_frames = ours.frames
    for first in range(n_frames):
        for last in {first + 1, (first + n_frames + 1) // 2, n_frames} - {first}:
            assert ours.out(first, last) == peer.out(first, last)


@given(st.sampled_from([0x08, 0x4C, 0x98]), frames_st, st.integers(0, 1200))
def test_padding_is_libopuss_byte_for_byte(
    lib: ctypes.CDLL, toc: int, frames: list[bytes], more: int
) -> None:
    packet = build(toc, frames)
    if parsed_by(lib, packet) is None:
        return
    buffer = ctypes.create_string_buffer(packet, len(packet) + more)
    assert lib.opus_packet_pad(buffer, len(packet), len(packet) + more) == 0
    padded = opus.pad(packet, len(packet) + more)
    assert padded == buffer.raw
    assert frames_of(padded) == (padded[0], frames)
    assert opus.packet_info(padded).padding == (len(padded) - code_3_bytes(frames) if more else 0)
    n_bytes = lib.opus_packet_unpad(buffer, len(padded))
    assert opus.unpad(padded) == buffer.raw[:n_bytes] == packet


def code_3_bytes(frames: list[bytes]) -> int:
    """Count the bytes of the packet that can have padding, without any."""
    n_bytes = sum(map(len, frames)) + 2
    if len(set(map(len, frames))) > 1:
        n_bytes += sum(1 + (len(frame) >= 252) for frame in frames[:-1])
    return n_bytes
