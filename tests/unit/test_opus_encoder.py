"""trunkline.opus.Encoder: sizes, settings, state, and the buffer contract."""

from array import array
from typing import Any

import numpy as np
import pytest

from tests.reference.opus import cut, voices
from trunkline import opus
from trunkline.errors import BufferTooSmallError, FormatError

pytestmark = pytest.mark.usefixtures("libopus")

# Durations in ms and the bytes of the largest packet.
SIZES = [(2.5, 1276), (5, 1276), (10, 1276), (20, 1276), (40, 2551), (60, 3827), (80, 5102), (100, 6377)]
SIZES += [(120, 7652)]
sizes = pytest.mark.parametrize(("ms", "n_bytes_max"), SIZES)
GUARD = 0xA7


def noise(n_values: int) -> bytes:
    return np.random.default_rng(3).integers(-32768, 32768, n_values).astype(np.int16).tobytes()


def speech(n_packets: int = 10) -> list[bytes]:
    """20 ms pieces at 16 kHz."""
    return list(cut(voices(0.02 * n_packets, 16000), 640))


# Sizes


@sizes
def test_out_of_the_largest_packet_is_enough(ms: float, n_bytes_max: int) -> None:
    pcm = noise(round(96 * ms))
    encoder = opus.Encoder(48000, 2, "audio", bitrate="max", vbr=False)
    out = bytearray([GUARD]) * (n_bytes_max + 100)
    room = memoryview(out)[50 : 50 + n_bytes_max]
    for _ in range(3):
        twin = encoder.clone()
        n_bytes = encoder.encode_into(pcm, room)
        assert n_bytes_max * 0.9 < n_bytes <= n_bytes_max or ms < 20  # libopus has limits of its own there
        assert opus.packet_info(room[:n_bytes]).duration_ms == ms
        assert set(out[:50] + out[-50:]) == {GUARD}
        assert len(twin.encode(pcm)) <= n_bytes_max + 12


@sizes
def test_smaller_out_is_refused_and_nothing_done(ms: float, n_bytes_max: int) -> None:
    encoder = opus.Encoder(48000)
    twin = encoder.clone()
    pcm, out = noise(round(48 * ms)), bytearray([GUARD]) * (n_bytes_max - 1)
    with pytest.raises(BufferTooSmallError) as refusal:
        encoder.encode_into(pcm, out)
    assert (refusal.value.needed, refusal.value.available) == (n_bytes_max, n_bytes_max - 1)
    assert set(out) == {GUARD}
    assert encoder.encode(pcm) == twin.encode(pcm)


@pytest.mark.parametrize("ms", [20, 60, 120])
def test_encode_into_is_encode(ms: int) -> None:
    one, two = opus.Encoder(16000, 2, bitrate=40000), opus.Encoder(16000, 2, bitrate=40000)
    out = bytearray(7652)
    for pcm in cut(voices(0.5, 16000, 2), 64 * ms):
        packet = one.encode(pcm)
        assert out[: two.encode_into(pcm, out)] == packet


def test_max_bytes_caps_the_packet_on_purpose() -> None:
    one, two = opus.Encoder(16000, bitrate=64000), opus.Encoder(16000, bitrate=64000)
    out = bytearray([GUARD]) * 1276
    for pcm in speech():
        n_bytes = one.encode_into(pcm, out, max_bytes=30)
        assert 0 < n_bytes <= 30
        assert set(out[30:]) == {GUARD}
        assert two.encode(pcm, max_bytes=30) == out[:n_bytes]
    one.encode_into(pcm, memoryview(out)[:30], max_bytes=30)
    with pytest.raises(BufferTooSmallError) as refusal:
        one.encode_into(pcm, memoryview(out)[:29], max_bytes=30)
    assert (refusal.value.needed, refusal.value.available) == (30, 29)
    with pytest.raises(BufferTooSmallError, match="1288"):
        one.encode_into(pcm, bytearray(100), max_bytes=5000)  # no packet needs so many
    for wrong in (0, -1, 1 << 25):
        with pytest.raises(FormatError, match="max_bytes"):
            one.encode(pcm, max_bytes=wrong)


# Buffers


def test_pcm_may_be_bytes_items_or_misaligned() -> None:
    pcm = speech()[3]
    packet = opus.Encoder(16000).encode(pcm)
    odd = memoryview(b"x" + pcm)[1:]
    for same in (bytearray(pcm), array("h", pcm), np.frombuffer(pcm, np.int16).reshape(2, 160), odd):
        assert opus.Encoder(16000).encode(same) == packet


@pytest.mark.parametrize("offset", range(4))
def test_float_pcm_is_s16_of_as_many_bits(offset: int) -> None:
    one, two = (opus.Encoder(16000, lsb_depth=16) for _ in range(2))
    for pcm in speech():
        scaled = (np.frombuffer(pcm, np.int16) / np.float32(32768)).astype(np.float32)
        unaligned = np.frombuffer(bytes(offset) + scaled.tobytes(), np.float32, offset=offset)
        assert one.encode(unaligned) == two.encode(pcm)


@pytest.mark.parametrize("samples", [0, 1, 39, 41, 159, 321, 480 + 1, 1920 + 320, 20000])
def test_other_durations_are_refused(samples: int) -> None:
    with pytest.raises(ValueError, match=rf"{samples} samples for 1 channel at 16000 Hz: .* 2\.5, 5, 10"):
        opus.Encoder(16000).encode(bytes(2 * samples))


def test_half_a_stereo_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="641 samples for 2 channels"):
        opus.Encoder(16000, 2).encode(bytes(2 * 641))


def test_wrong_buffers_are_refused_before_anything_is_done() -> None:
    encoder = opus.Encoder(16000)
    twin, (pcm, *_) = encoder.clone(), speech()
    out = bytearray(2000)
    with pytest.raises(ValueError, match="639 bytes is not a whole number"):
        encoder.encode(pcm[1:])
    for items in ("i", "d", "H"):
        with pytest.raises(TypeError, match=f"'{items}'"):
            encoder.encode(array(items, bytes(640)))
    with pytest.raises(TypeError, match="got str"):
        encoder.encode("pcm")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="C-contiguous"):
        encoder.encode(np.zeros(640, np.int16)[::2])
    with pytest.raises(TypeError, match="writable"):
        encoder.encode_into(pcm, bytes(2000))
    with pytest.raises(TypeError, match="'h'"):
        encoder.encode_into(pcm, array("h", bytes(2000)))
    out[500:1140] = pcm
    for room in (memoryview(out), memoryview(out)[:1276]):
        with pytest.raises(ValueError, match="overlaps"):
            encoder.encode_into(memoryview(out)[500:1140], room, max_bytes=600)
    assert encoder.encode(pcm) == twin.encode(pcm)


# Settings

SETTINGS: dict[str, tuple[list[Any], list[Any]]] = {
    "bitrate": ([500, 6000, 24000, 256_000], [499, 512_001, 0, -1]),
    "vbr": ([False, True], ["no", None, 2, 1.0]),
    "constrained_vbr": ([False, True], ["no", None, 2, 1.0]),
    "complexity": ([0, 5, 10], [-1, 11]),
    "signal": (["voice", "music", "auto"], ["speech", None]),
    "max_bandwidth": (["narrowband", "mediumband", "wideband", "superwideband", "fullband"], ["auto", ""]),
    "inband_fec": ([True, False], ["no", None, 2, 1.0]),
    "packet_loss_percent": ([0, 10, 100], [-1, 101]),
    "dtx": ([True, False], ["no", None, 2, 1.0]),
    "force_channels": ([1, 2, None], [0, 3]),
    "lsb_depth": ([8, 16, 24], [7, 25]),
    "application": (["audio", "lowdelay", "voip"], ["music", 2048]),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_is_kept_and_its_range_is_held(name: str) -> None:
    taken, refused = SETTINGS[name]
    encoder = opus.Encoder(48000, 2)
    for value in taken:
        setattr(encoder, name, value)
        assert getattr(encoder, name) == value
        assert getattr(opus.Encoder(48000, 2, **{name: value}), name) == value
    for value in refused:
        with pytest.raises(FormatError, match=f"{name}.*takes"):
            setattr(encoder, name, value)
        assert getattr(encoder, name) == taken[-1]


def test_bitrate_auto_suits_the_rate_and_max_fills_the_packet() -> None:
    encoder = opus.Encoder(48000, 2)
    default = encoder.bitrate
    encoder.bitrate = "max"
    assert encoder.bitrate == 1276 * 8 * 50 * 8  # of a 2.5 ms frame, before the first
    encoder.bitrate = "auto"
    assert encoder.bitrate == default
    with pytest.raises(FormatError, match="bitrate 'high': takes auto, max"):
        opus.Encoder(48000, bitrate="high")


@pytest.mark.parametrize("make", [opus.Encoder, opus.Decoder])
def test_only_requests_with_a_number_reach_libopus(make: Any) -> None:
    state = make(16000)
    gets = {*range(4001, 4100, 2), *range(10001, 10040, 2)}  # odd: the number to set would be where to write
    sets = {*range(4000, 4100, 2), *range(10000, 10040, 2)}  # even: would set an address
    # Reset, SET_DNN_BLOB, and CELT's own: these take nothing or a pointer.
    neither = {4028, 4052, 10015, 10026, 10028, -1, 2**40}
    for request in gets | neither:
        with pytest.raises(FormatError, match=f"request {request}: none of libopus that sets a number"):
            state.set(request, 5)
    for request in sets | neither:
        with pytest.raises(FormatError, match=f"request {request}: none of libopus that gets a number"):
            state.get(request)
    with pytest.raises(FormatError, match="value: takes -2147483648 to 2147483647, got 1099511627776"):
        state.set(4036, 2**40)
    with pytest.raises(FormatError, match=r"request 4034, value 5: .*|request 4002, value 5: .*"):
        state.set(4034 if make is opus.Encoder else 4002, 5)  # the other one's
    for wrong in ("x", 1.5, None):
        with pytest.raises(TypeError):
            state.get(wrong)
        with pytest.raises(TypeError):
            state.set(4036, wrong)


def test_bandwidth_is_what_is_asked_for() -> None:
    encoder = opus.Encoder(48000, 1, "lowdelay")  # SILK takes its time to go to another one
    for bandwidth in ("narrowband", "wideband", "fullband"):
        encoder.bandwidth = bandwidth
        packet = encoder.encode(noise(960))
        assert encoder.bandwidth == bandwidth == opus.packet_info(packet).bandwidth
    encoder.bandwidth = "auto"
    with pytest.raises(FormatError, match="bandwidth 'wide': takes auto, narrowband"):
        encoder.bandwidth = "wide"


def test_layouts_that_opus_lacks_are_refused() -> None:
    for rate in (0, 8001, 44100, 96000):
        with pytest.raises(FormatError, match=f"{rate} Hz: takes 8000, 12000, 16000, 24000, 48000 Hz"):
            opus.Encoder(rate)
    for channels in (0, 3, -1):
        with pytest.raises(FormatError, match=f"{channels} channels"):
            opus.Encoder(16000, channels)
    with pytest.raises(FormatError, match="application 'speech': takes voip, audio, lowdelay"):
        opus.Encoder(16000, 1, "speech")
    with pytest.raises(TypeError, match="no setting 'fec': takes bitrate, vbr"):
        opus.Encoder(16000, fec=True)


def test_mono_encoder_cannot_be_forced_to_two_channels() -> None:
    with pytest.raises(FormatError, match="force_channels: takes 1 to 1"):
        opus.Encoder(16000, force_channels=2)


def test_application_is_settled_by_the_first_packet() -> None:
    encoder = opus.Encoder(16000)
    encoder.encode(bytes(640))
    with pytest.raises(FormatError, match="invalid argument"):
        encoder.application = "audio"
    assert encoder.application == "voip"


def test_dtx_makes_silence_small() -> None:
    encoder = opus.Encoder(16000, dtx=True)
    for pcm in speech():
        assert len(encoder.encode(pcm)) > 10
    quiet = [encoder.encode(bytes(640)) for _ in range(50)]
    assert [len(packet) for packet in quiet].count(1) + [len(packet) for packet in quiet].count(2) > 20


# State


def test_reset_forgets_the_audio_and_keeps_the_settings() -> None:
    encoder = opus.Encoder(16000, bitrate=20000, inband_fec=True, packet_loss_percent=5)
    packets = [encoder.encode(pcm) for pcm in speech()]
    assert [encoder.encode(pcm) for pcm in speech()] != packets
    encoder.reset()
    assert (encoder.bitrate, encoder.inband_fec, encoder.packet_loss_percent) == (20000, True, 5)
    assert [encoder.encode(pcm) for pcm in speech()] == packets


def test_clone_goes_its_own_way() -> None:
    one, whole = opus.Encoder(16000), opus.Encoder(16000)
    packets = [whole.encode(pcm) for pcm in speech()]
    assert [one.encode(pcm) for pcm in speech()[:5]] == packets[:5]
    two = one.clone()
    two.bitrate = 8000
    assert two.encode(noise(320)) != packets[5]
    three = one.clone()
    assert [one.encode(pcm) for pcm in speech()[5:]] == packets[5:]
    assert one.bitrate != two.bitrate
    del one, whole
    assert [three.encode(pcm) for pcm in speech()[5:]] == packets[5:]


@pytest.mark.parametrize(
    ("application", "rate"), [("lowdelay", 48000), ("audio", 48000), ("lowdelay", 16000)]
)
def test_lookahead_is_what_the_decoded_audio_is_late(application: str, rate: int) -> None:
    encoder, decoder = opus.Encoder(rate, 1, application, bitrate=128_000), opus.Decoder(rate)
    pcm = np.frombuffer(voices(1.0, rate), np.int16).astype(float)
    pieces = cut(voices(1.0, rate), rate // 50 * 2)
    late = b"".join(decoder.decode(encoder.encode(piece)) for piece in pieces)
    decoded = np.frombuffer(late, np.int16).astype(float)
    fits = np.fft.irfft(np.fft.rfft(decoded, 2 * rate) * np.fft.rfft(pcm, 2 * rate).conj())
    assert abs(int(np.argmax(fits)) - encoder.lookahead) <= 1
    assert encoder.lookahead == rate // 400 + (rate // 250 if application != "lowdelay" else 0)


def test_repr_says_what_it_is() -> None:
    assert repr(opus.Encoder(16000, bitrate=24000)) == "Encoder(16000, 1, 'voip', bitrate=24000)"


def test_numbers_must_be_whole() -> None:
    for call in (
        lambda: opus.Encoder(16000.0),  # type: ignore[arg-type]
        lambda: opus.Encoder(16000, 1.0),  # type: ignore[arg-type]
        lambda: opus.Encoder(16000, complexity=3.5),
        lambda: opus.Encoder(16000).encode(bytes(640), max_bytes=20.5),  # type: ignore[arg-type]
        lambda: opus.Decoder(16000).conceal_into(bytearray(640), 320.0),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="float"):
            call()
