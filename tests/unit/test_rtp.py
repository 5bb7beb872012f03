"""trunkline.rtp against a header that is spelled out with struct."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import rtp
from trunkline.errors import FormatError, PayloadError
from trunkline.rtp import RtpPacket

u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
packets = st.builds(
    RtpPacket,
    payload=st.binary(max_size=400),
    payload_type=st.integers(0, 127),
    sequence=u16,
    timestamp=u32,
    ssrc=u32,
    marker=st.booleans(),
    csrcs=st.lists(u32, max_size=15).map(tuple),
    extension=st.none() | st.tuples(u16, st.binary(max_size=60).map(lambda data: data[: len(data) // 4 * 4])),
    padding=st.integers(0, 255),
)


def spelled_out(packet: RtpPacket) -> bytes:
    """RFC 3550 5.1, field by field."""
    first = 2 << 6 | bool(packet.padding) << 5 | (packet.extension is not None) << 4 | len(packet.csrcs)
    second = packet.marker << 7 | packet.payload_type
    parts = [struct.pack(">BBHII", first, second, packet.sequence, packet.timestamp, packet.ssrc)]
    parts += [struct.pack(">I", csrc) for csrc in packet.csrcs]
    if packet.extension is not None:
        profile, data = packet.extension
        parts += [struct.pack(">HH", profile, len(data) // 4), data]
    parts.append(packet.payload)
    if packet.padding:
        parts.append(bytes(packet.padding - 1) + bytes([packet.padding]))
    return b"".join(parts)


@given(packets)
def test_built_and_parsed(packet: RtpPacket) -> None:
    wire = spelled_out(packet)
    assert rtp.build(**packet._asdict()) == wire
    assert rtp.parse(wire) == packet
    assert rtp.parse(bytearray(wire)) == rtp.parse(memoryview(wire)) == packet


@given(packets, st.data())
def test_what_is_cut_is_refused_or_has_less_payload(packet: RtpPacket, data: st.DataObject) -> None:
    wire = spelled_out(packet)
    cut = data.draw(st.integers(0, len(wire) - 1))
    parsed = None
    with contextlib.suppress(PayloadError):
        parsed = rtp.parse(wire[:cut])
    if not packet.padding:  # else its last byte may say anything
        header = len(wire) - len(packet.payload)
        assert parsed == (packet._replace(payload=packet.payload[: cut - header]) if cut >= header else None)


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (b"", "0 bytes: a header has 12"),
        (bytes(12), "version is not 2"),
        (b"\x81" + bytes(11 + 3), "CSRC list is longer"),
        (b"\x90" + bytes(11 + 3), "header extension is longer"),
        (b"\x90" + bytes(11) + b"\0\0\0\1" + bytes(3), "header extension is longer"),
        (b"\xa0" + bytes(11), "padding is longer, or none"),
        (b"\xa0" + bytes(11) + b"\0", "padding is longer, or none"),
        (b"\xa0" + bytes(11) + b"\2", "padding is longer, or none"),
    ],
)
def test_lengths_that_lie(packet: bytes, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        rtp.parse(packet)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"payload_type": 128}, "payload_type: takes 0 to 127, got 128"),
        ({"sequence": 65536}, "sequence"),
        ({"timestamp": 1 << 32}, "timestamp"),
        ({"timestamp": -1}, "timestamp"),
        ({"ssrc": 1 << 64}, "ssrc"),
        ({"csrcs": [0] * 16}, "csrcs: takes 0 to 15, got 16"),
        ({"csrcs": [-1]}, "csrc"),
        ({"padding": 256}, "padding"),
        ({"extension": (65536, b"")}, "extension profile"),
        ({"extension": (1, b"abc")}, "extension of 3 bytes"),
        ({"extension": (1, bytes(262_144))}, "extension of 262144 bytes"),
    ],
)
def test_numbers_that_no_header_holds(options: dict[str, object], words: str) -> None:
    sound: dict[str, object] = {"payload_type": 0, "sequence": 0, "timestamp": 0, "ssrc": 0}
    with pytest.raises(FormatError, match=words):
        rtp.build(b"", **(sound | options))  # type: ignore[arg-type]


def test_other_buffers() -> None:
    for wrong in ("text", None, 7, memoryview(bytes(24))[::2]):
        with pytest.raises(TypeError):
            rtp.parse(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            rtp.build(wrong, payload_type=0, sequence=0, timestamp=0, ssrc=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("extension", [(), (1,), [1], [1, b"1234"], (1, b"", b""), (1, 5), 1, (None, b"")])
def test_what_is_no_extension(extension: object) -> None:
    with pytest.raises(TypeError):
        rtp.build(b"", payload_type=0, sequence=0, timestamp=0, ssrc=0, extension=extension)  # type: ignore[arg-type]
