"""What Opus packets say of themselves, and the errors of taking them apart; no libopus is needed."""

import pytest

from trunkline import opus
from trunkline.errors import FormatError, PayloadError
from trunkline.opus import PacketInfo, packet_info

SILK_20 = b"\x48"  # wideband, mono, one frame of 20 ms


@pytest.mark.parametrize(
    ("config", "mode", "bandwidth", "frame_ms"),
    [
        *((i, "silk", "narrowband", ms) for i, ms in enumerate((10, 20, 40, 60))),
        *((4 + i, "silk", "mediumband", ms) for i, ms in enumerate((10, 20, 40, 60))),
        *((8 + i, "silk", "wideband", ms) for i, ms in enumerate((10, 20, 40, 60))),
        *((12 + i, "hybrid", "superwideband", ms) for i, ms in enumerate((10, 20))),
        *((14 + i, "hybrid", "fullband", ms) for i, ms in enumerate((10, 20))),
        *((16 + i, "celt", "narrowband", ms) for i, ms in enumerate((2.5, 5, 10, 20))),
        *((20 + i, "celt", "wideband", ms) for i, ms in enumerate((2.5, 5, 10, 20))),
        *((24 + i, "celt", "superwideband", ms) for i, ms in enumerate((2.5, 5, 10, 20))),
        *((28 + i, "celt", "fullband", ms) for i, ms in enumerate((2.5, 5, 10, 20))),
    ],
)
def test_table_2_of_rfc_6716(config: int, mode: str, bandwidth: str, frame_ms: float) -> None:
    for channels in (1, 2):
        info = packet_info(bytes([config << 3 | (channels - 1) << 2, 0]))
        assert info == PacketInfo(mode, bandwidth, channels, frame_ms, 1, has_lbrr=False, padding=0)
        assert info.duration_ms == frame_ms
        assert info.samples(16000) == frame_ms * 16


@pytest.mark.parametrize(
    ("packet", "broken"),
    [
        (b"", "R1"),
        (SILK_20 + bytes(1276), "R2"),
        (b"\x49" + bytes(3), "R3"),
        (b"\x4a", "R4"),
        (b"\x4a\x03ab", "R4"),
        (b"\x4a\xfc", "R4"),
        (b"\x4b\x00", "R5"),
        (b"\x4b\x07", "R5"),  # 140 ms
        (b"\x4b", "R6"),
        (b"\x4b\x02abc", "R6"),
        (b"\x4b\x41\x05abc", "R6"),
        (b"\x4b\x82\x05a", "R7"),
        (b"\x4b\xc2\xff\xff", "R7"),
    ],
)
def test_what_breaks_a_requirement_is_named(packet: bytes, broken: str) -> None:
    with pytest.raises(PayloadError, match=rf"{len(packet)} bytes: .*RFC 6716 3\.4, {broken}"):
        packet_info(packet)


@pytest.mark.parametrize(
    ("toc", "flags", "has_lbrr"),
    [
        (0x48, 0b01000000, True),
        (0x48, 0b10111111, False),
        (0x58, 0b00010000, True),  # 60 ms: three VAD flags first
        (0x58, 0b11101111, False),
        (0x4C, 0b00010000, True),  # stereo: that of the side channel
        (0x4C, 0b10101111, False),
        (0x5C, 0b00000001, True),
        (0x88, 0b11111111, False),  # CELT has none
    ],
)
def test_lbrr_flags(toc: int, flags: int, has_lbrr: bool) -> None:
    assert packet_info(bytes([toc, flags, 0])).has_lbrr == has_lbrr
    assert not packet_info(bytes([toc, flags])).has_lbrr  # a frame of one byte is not decoded


def test_encoders_with_fec_are_told_from_those_without(libopus: opus.LibraryInfo) -> None:
    from trunkline.testing import speech_like

    pcm = speech_like(1, 16000)
    flags = []
    for loss in (0, 20):
        encoder = opus.Encoder(16000, bitrate=24000, inband_fec=True, packet_loss_percent=loss)
        packets = [encoder.encode(pcm[i : i + 640]) for i in range(0, len(pcm), 640)]
        flags.append([packet_info(packet).has_lbrr for packet in packets])
    assert not any(flags[0])
    assert sum(flags[1]) > 30


def test_other_buffers() -> None:
    wanted = packet_info(SILK_20 + b"ab")
    assert packet_info(bytearray(SILK_20 + b"ab")) == packet_info(memoryview(SILK_20 + b"ab")) == wanted
    for wrong in ("text", 7, None, memoryview(b"abcd")[::2], memoryview(bytes(4)).cast("h")):
        with pytest.raises(TypeError, match="packet"):
            packet_info(wrong)  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="44100"):
        wanted.samples(44100)


def test_a_packet_of_16_mib_of_padding() -> None:
    packet = opus.pad(SILK_20 + b"abc", 1 << 24)
    assert len(packet) == 1 << 24
    assert packet_info(packet).padding == (1 << 24) - 5
    assert opus.unpad(packet) == SILK_20 + b"abc"
    assert opus.split(packet) == [SILK_20 + b"abc"]


def test_split_and_join_are_inverse() -> None:
    packets = [SILK_20 + bytes([i]) * (i * 60) for i in range(1, 7)]
    joined = opus.join(packets)
    assert packet_info(joined).duration_ms == 120
    assert opus.split(joined) == packets
    assert opus.join([joined]) == joined


def test_what_cannot_be_joined_is_refused_and_leaves_what_was_there() -> None:
    repacketizer = opus.Repacketizer()
    with pytest.raises(FormatError, match="no frames: add a packet first"):
        repacketizer.out()
    for _ in range(5):
        repacketizer.add(SILK_20 + b"a")
    with pytest.raises(FormatError, match="TOC 0x48 and 0x4c"):
        repacketizer.add(b"\x4ca")
    with pytest.raises(FormatError, match="7 frames of"):
        repacketizer.add(b"\x49ab")
    with pytest.raises(PayloadError):
        repacketizer.add(b"")
    assert repacketizer.frames == 5
    for first, last in ((0, 6), (-1, 3), (3, 3), (4, 2)):
        with pytest.raises(FormatError, match="there are 5"):
            repacketizer.out(first, last)
    repacketizer.reset()
    repacketizer.add(b"\x4ca")
    assert repacketizer.out() == b"\x4ca"


def test_padding_has_its_limits() -> None:
    packet = SILK_20 + b"abc"
    assert opus.pad(packet, 4) == packet
    for n_bytes in (3, -1, 2**31, 2**70):
        with pytest.raises(FormatError, match=f"pad 4 bytes to {n_bytes}: takes 4 to 16777216"):
            opus.pad(packet, n_bytes)
    with pytest.raises(TypeError):
        opus.pad(packet, "5")  # type: ignore[arg-type]
    once = opus.pad(packet, 10)
    assert opus.pad(once, 400) == opus.pad(packet, 400)
