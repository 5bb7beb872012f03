"""trunkline.opus.Decoder: how much it writes and where, what it refuses, and what it says of itself."""

import random
from array import array
from collections.abc import Iterator

import numpy as np
import pytest

from tests.reference.opus import cut, fec_packets, packets, voices
from trunkline import opus
from trunkline.errors import BufferTooSmallError, FormatError, PayloadError

pytestmark = pytest.mark.usefixtures("libopus")

RATES = [8000, 12000, 16000, 24000, 48000]
DURATIONS_MS = [2.5, 5, 10, 20, 40, 60, 80, 100, 120]
GUARD = b"\xa7" * 64
#: One for each of R1 to R7 of RFC 6716 3.4 that a packet of at least one byte can break.
BROKEN = [b"\x49abc", b"\x4a\xfe", b"\x4b", b"\x4b\x00", b"\x4b\x3f", b"\x4b\x43\xff", b"\x4b\x82\x10a"]
BROKEN += [b"\x48" + bytes(1276), b"\x4b\x03abcd"]

channels_of = pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])


def guarded(n_bytes: int, offset: int = 0) -> tuple[bytearray, memoryview]:
    whole = bytearray(GUARD + bytes(offset + n_bytes) + GUARD)
    return whole, memoryview(whole)[len(GUARD) + offset : len(GUARD) + offset + n_bytes]


def intact(whole: bytearray) -> bool:
    return whole.startswith(GUARD) and whole.endswith(GUARD)


# How much, and where


@channels_of
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("ms", DURATIONS_MS)
def test_room_for_the_duration_is_asked_for_and_no_more_is_written(
    ms: float, rate: int, channels: int
) -> None:
    first, second = packets(2 * ms / 1000, 48000, 3 - channels, ms)[:2]
    decoder = opus.Decoder(rate, channels)
    twin = decoder.clone()
    n_samples = round(rate * ms / 1000)
    n_bytes = n_samples * channels * 2
    whole, out = guarded(n_bytes - 2)
    before = bytes(whole)
    with pytest.raises(BufferTooSmallError) as refusal:
        decoder.decode_into(first, out)
    assert (refusal.value.needed, refusal.value.available) == (n_bytes, n_bytes - 2)
    assert whole == before
    for packet, offset in ((first, 0), (second, 1)):
        whole, out = guarded(n_bytes, offset)
        assert decoder.decode_into(packet, out) == n_samples
        assert intact(whole)
        assert out == twin.decode(packet)
    assert decoder.last_packet_duration == n_samples


@channels_of
def test_float_out_is_the_same_audio(channels: int) -> None:
    one, two = opus.Decoder(16000, channels), opus.Decoder(16000, channels)
    out = np.zeros((320, channels), np.float32)
    for packet in packets(0.5, channels=channels):
        assert one.decode_into(packet, out) == 320
        s16 = np.frombuffer(two.decode(packet), np.int16).reshape(out.shape)
        assert np.abs(out * 32768 - s16).max() <= 0.51
    three = opus.Decoder(16000, channels)
    *_, last = (three.decode(packet, sample_format="f32") for packet in packets(0.5, channels=channels))
    assert last == out.tobytes()
    with pytest.raises(BufferTooSmallError):
        one.decode_into(packet, array("f", bytes(320 * channels * 4 - 4)))


def test_mono_fills_both_channels_and_stereo_is_mixed_down() -> None:
    both, mixed = opus.Decoder(16000, 2), opus.Decoder(16000)
    for packet in packets(0.3):
        pcm = np.frombuffer(both.decode(packet), np.int16)
        assert (pcm[::2] == pcm[1::2]).all()
    assert pcm.any()
    stereo = packets(0.3, 16000, 2)
    assert {len(mixed.decode(packet)) for packet in stereo} == {640}


def test_empty_packet_conceals_as_much_as_the_last_one() -> None:
    decoder = opus.Decoder(16000)
    assert decoder.decode(b"") == bytes(640)  # 20 ms when there was none
    for packet in packets(0.6, ms=60):
        decoder.decode(packet)
    twin, out = decoder.clone(), bytearray(1920)
    assert decoder.decode(b"") == out[: 2 * twin.conceal_into(out, 960)]
    assert any(out)


@pytest.mark.parametrize("toc", range(0, 256, 4))
def test_packet_of_one_byte_is_a_frame_that_was_not_sent(toc: int) -> None:
    decoder = opus.Decoder(16000)
    decoder.decode(packets(0.1)[4])
    packet = bytes([toc])
    assert len(decoder.decode(packet)) == 2 * opus.packet_info(packet).samples(16000)


def test_dtx_stream_becomes_comfort_noise() -> None:
    encoder, decoder = opus.Encoder(16000, dtx=True), opus.Decoder(16000)
    hiss = np.random.default_rng(1).integers(-20, 20, 16000 * 2).astype(np.int16).tobytes()
    small = 0
    for pcm in [*cut(voices(0.5, 16000), 640), *cut(hiss, 640)]:
        packet = encoder.encode(pcm)
        small += len(packet) <= 2
        assert len(decoder.decode(packet)) == 640
    assert small > 30


# What is refused


@pytest.mark.parametrize("broken", BROKEN, ids=repr)
def test_broken_packet_leaves_the_decoder_as_it_was(broken: bytes) -> None:
    decoder, undisturbed = opus.Decoder(16000), opus.Decoder(16000)
    out = bytearray(11520)
    for packet in packets(0.5):
        for attempt in (
            lambda: decoder.decode(broken),
            lambda: decoder.decode_into(broken, out),
            lambda: decoder.recover_into(broken, out, 320),
        ):
            with pytest.raises(PayloadError, match=r"RFC 6716 3\.4"):
                attempt()
        assert decoder.decode(packet) == undisturbed.decode(packet)
    assert not any(out)


def test_wrong_buffers_are_refused_before_anything_is_decoded() -> None:
    decoder, undisturbed = opus.Decoder(16000), opus.Decoder(16000)
    first, second = packets(0.1)[3:5]
    out = bytearray(2000)
    with pytest.raises(TypeError, match="writable"):
        decoder.decode_into(first, bytes(640))
    for items in ("i", "d", "H"):
        with pytest.raises(TypeError, match=f"'{items}'"):
            decoder.decode_into(first, array(items, bytes(2000)))
    with pytest.raises(TypeError, match="'h'"):
        decoder.decode(array("h", bytes(20)))
    with pytest.raises(TypeError, match="got str"):
        decoder.decode("packet")  # type: ignore[arg-type]
    out[639 : 639 + len(first)] = first
    for attempt in (
        lambda packet: decoder.decode_into(packet, out),
        lambda packet: decoder.recover_into(packet, out, 320),
    ):
        with pytest.raises(ValueError, match="overlaps"):
            attempt(memoryview(out)[639 : 639 + len(first)])
    with pytest.raises(FormatError, match="takes s16, f32"):
        decoder.decode(first, sample_format="s24")  # type: ignore[arg-type]
    for layout in ((44100, 1), (16000, 0), (16000, 3)):
        with pytest.raises(FormatError):
            opus.Decoder(*layout)
    assert decoder.decode(second) == undisturbed.decode(second)


def hostile() -> Iterator[bytes]:
    for toc in range(256):
        yield from (
            bytes([toc, second, 255])[:n] for n in (1, 2, 3) for second in (0, 1, 2, 63, 65, 130, 255)
        )
    chance = random.Random(5)
    good = [*fec_packets(0.5), *packets(0.5, 48000, 2, bitrate=96000), *packets(0.5, ms=120)]
    for _ in range(1500):
        packet = bytearray(chance.choice(good) if chance.random() < 0.7 else chance.randbytes(1500))
        for _ in range(chance.randrange(4)):
            packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
        yield bytes(packet[: chance.randint(1, len(packet))] if chance.random() < 0.3 else packet)


@channels_of
def test_hostile_packets_give_their_duration_or_an_error(channels: int) -> None:
    """The thousands of tests/unit; csrc/tests/test_opus.c has more, and looks at memory."""
    decoder = opus.Decoder(8000, channels)
    n_bytes = 960 * channels * 2
    refused = 0
    for packet in hostile():
        whole, out = guarded(n_bytes)
        try:
            n_samples = decoder.decode_into(packet, out)
        except PayloadError:
            refused += 1
        else:
            assert n_samples == opus.packet_info(packet).samples(8000)
            assert not any(out[n_samples * channels * 2 :])
        assert intact(whole)
    assert 1000 < refused < 6000
    assert decoder.decode_into(packets(0.1)[0], out) == 160


def test_padding_of_16_mb_changes_nothing() -> None:
    one, two = opus.Decoder(16000), opus.Decoder(16000)
    for packet in packets(0.06):
        assert one.decode(opus.pad(packet, 16 << 20)) == two.decode(packet)


# What it says of itself


def test_gain_is_applied_to_what_is_decoded() -> None:
    plain, louder = opus.Decoder(16000), opus.Decoder(16000)
    louder.gain_db = 20 * np.log10(2)
    assert louder.gain_db == round(20 * np.log10(2) * 256) / 256
    for packet in packets(0.3):
        once = np.frombuffer(plain.decode(packet, sample_format="f32"), np.float32)
        twice = np.frombuffer(louder.decode(packet, sample_format="f32"), np.float32)
        assert np.allclose(twice, 2 * once, rtol=2e-3, atol=1e-6)
    for gain in (-128, 0.0, 127.99):
        plain.gain_db = gain
        assert abs(plain.gain_db - gain) <= 1 / 512
    for gain in (-128.1, 128, 127.999, float("nan")):
        with pytest.raises(FormatError):
            plain.gain_db = gain


def test_complexity_is_there_or_the_error_says_why(libopus: opus.LibraryInfo) -> None:
    decoder = opus.Decoder(16000)
    with pytest.raises(FormatError, match="complexity: takes 0 to 10, got 11"):
        decoder.complexity = 11
    try:
        decoder.complexity = 5
    except FormatError as error:
        assert not libopus.deep_plc
        assert f"{libopus.version} does not have this" in str(error)  # noqa: PT017
    else:
        assert decoder.complexity == 5


def test_pitch_bandwidth_and_duration_are_those_of_the_last_packet() -> None:
    decoder = opus.Decoder(16000)
    assert (decoder.pitch, decoder.bandwidth, decoder.last_packet_duration) == (0, None, 0)
    pitches = []
    for packet in packets(1.0, bitrate=24000):
        decoder.decode(packet)
        pitches.append(decoder.pitch)
        assert decoder.bandwidth == opus.packet_info(packet).bandwidth
        assert decoder.last_packet_duration == 320
    voiced = [48000 / pitch for pitch in pitches if pitch]
    assert 80 < np.median(voiced) < 140  # the low voice has 95 to 130 Hz
    decoder.conceal_into(bytearray(1920), 960)
    assert decoder.last_packet_duration == 960


def test_reset_forgets_the_packets() -> None:
    decoder = opus.Decoder(16000)
    decoder.gain_db = 3
    first = [decoder.decode(packet) for packet in packets(0.3)]
    assert [decoder.decode(packet) for packet in packets(0.3)] != first
    decoder.reset()
    assert decoder.bandwidth is None
    assert decoder.gain_db == 3
    assert [decoder.decode(packet) for packet in packets(0.3)] == first


def test_clone_goes_its_own_way() -> None:
    stream = packets(0.4)
    one, whole = opus.Decoder(16000), opus.Decoder(16000)
    expected = [whole.decode(packet) for packet in stream]
    assert [one.decode(packet) for packet in stream[:10]] == expected[:10]
    two = one.clone()
    two.decode(b"")
    two.gain_db = 10
    three = one.clone()
    assert [one.decode(packet) for packet in stream[10:]] == expected[10:]
    assert one.gain_db == 0
    del one, whole
    assert [three.decode(packet) for packet in stream[10:]] == expected[10:]


def test_repr_says_what_it_is() -> None:
    assert repr(opus.Decoder(48000, 2)) == "Decoder(48000, 2)"
