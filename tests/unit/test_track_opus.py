"""Track and Packetizer with Opus against a Decoder that is driven by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import Resampler, opus
from trunkline.errors import PayloadError
from trunkline.formats import CodecSpec, MediaFormat
from trunkline.frame import Frame
from trunkline.testing import speech_like
from trunkline.track import Discontinuity, Packetizer, Track

RATE = 16000


def packets(rate: int = RATE, ptime_ms: int = 20, *, fec: bool = True, seconds: float = 1) -> list[bytes]:
    settings = {"inband_fec": True, "packet_loss_percent": 20} if fec else {}
    encoder = opus.Encoder(rate, bitrate=24000, **settings)
    packetizer = Packetizer(CodecSpec("OPUS", rate, ptime_ms), encoder=encoder)
    return packetizer.push(speech_like(seconds, rate)) + packetizer.flush()


PACKETS = packets()


def pcm_of(items: list[Frame | Discontinuity]) -> bytes:
    return b"".join(bytes(item) for item in items if isinstance(item, Frame))


@pytest.mark.parametrize("ptime_ms", [5, 10, 20, 40, 60, 80, 100, 120])
@pytest.mark.parametrize("rate", [8000, 12000, 16000, 24000, 48000])
def test_packets_become_frames_of_any_duration(rate: int, ptime_ms: int) -> None:
    sent = packets(rate, ptime_ms, fec=False, seconds=0.5)
    decoder = opus.Decoder(rate)
    wanted = b"".join(map(decoder.decode, sent))
    for frame_ms, out_rate in ((20, None), (30, None), (10, 8000)):
        track = Track(MediaFormat("OPUS", rate), frame_ms=frame_ms, sample_rate=out_rate)
        items = [
            item for i, packet in enumerate(sent) for item in track.push(packet, timestamp_ms=i * ptime_ms)
        ]
        assert track.stats.concealed_ms == 0
        items += track.flush()
        if out_rate in (None, rate):
            assert pcm_of(items) == wanted
        else:
            resampler = Resampler(rate, out_rate)
            assert pcm_of(items) == resampler.process(wanted) + resampler.flush()


@given(st.lists(st.sampled_from(["sent", "lost", "silent"]), min_size=2, max_size=40), st.booleans())
def test_gaps_are_recovered_or_comfort_noise(fates: list[str], fec: bool) -> None:
    sent = PACKETS if fec else packets(fec=False)
    fates = ["sent", *fates, "sent"]
    track, decoder = Track(MediaFormat("OPUS", RATE), frame_ms=20), opus.Decoder(RATE)
    items: list[Frame | Discontinuity] = []
    wanted, concealed_ms, fec_ms = b"", 0, 0
    sequence, gap, n_lost = 0, 0, 0
    for i, (fate, packet) in enumerate(zip(fates, itertools.cycle(sent))):
        sequence += fate != "silent"  # what was not sent has no number
        if fate != "sent":
            gap, n_lost = gap + 320, n_lost + (fate == "lost")
            continue
        recovered = bytearray(2 * gap)
        recovery = decoder.recover_into(packet, recovered, gap, dtx=not n_lost)
        wanted += recovered + decoder.decode(packet)
        concealed_ms += 20 * n_lost  # the rest was not sent
        fec_ms += recovery.fec // 16
        gap = n_lost = 0
        items += track.push(packet, timestamp_ms=i * 20, sequence=sequence)
    assert pcm_of(items) == wanted
    assert (track.stats.concealed_ms, track.stats.fec_ms) == (concealed_ms, fec_ms)
    assert track.stats.lost == fates.count("lost")
    assert sum(20 for item in items if isinstance(item, Frame) and item.concealed) == concealed_ms


def test_the_copy_in_the_next_packet_is_used() -> None:
    track = Track(MediaFormat("OPUS", RATE))
    for i in (*range(10), *range(12, 20)):
        track.push(PACKETS[i], timestamp_ms=20 * i, sequence=i)
    assert (track.stats.concealed_ms, track.stats.fec_ms) == (40, 20)


@pytest.mark.parametrize("late_ms", [-9, -1, 0, 1, 9])
def test_one_missing_packet_is_whole_however_the_timestamps_are_rounded(late_ms: int) -> None:
    track = Track(MediaFormat("OPUS", RATE))
    items = []
    for i in (*range(10), *range(11, 20)):
        items += track.push(PACKETS[i], timestamp_ms=20 * i + (late_ms if i > 5 else 0), sequence=i)
    assert (track.stats.concealed_ms, track.stats.fec_ms) == (20, 20)
    assert [frame.timestamp_ms for frame in items] == [20.0 * i for i in range(20)]


def test_a_gap_that_is_no_multiple_of_2_5_ms_is_filled_to_the_sample() -> None:
    track = Track(MediaFormat("OPUS", 48000))
    sent = packets(48000)
    items = track.push(sent[0], timestamp_ms=0, sequence=1)
    items += track.push(sent[5], timestamp_ms=91, sequence=5) + track.flush()
    assert sum(len(item) for item in items if isinstance(item, Frame)) == 48 * (91 + 20)
    assert track.stats.concealed_ms == 60  # what no missing packet explains was not sent


def test_a_corrupt_packet_is_refused_and_the_track_goes_on() -> None:
    track, other = Track(MediaFormat("OPUS", RATE)), Track(MediaFormat("OPUS", RATE))
    items, wanted = [], []
    for i, packet in enumerate(PACKETS):
        before = track.stats
        for corrupt in (b"\xff", b"\xff\xff", b"\x49" + bytes(3), packet[:1] + bytes(2000)):
            with pytest.raises(PayloadError, match="RFC 6716"):
                track.push(corrupt, timestamp_ms=20 * i, sequence=i)
        assert track.stats == before
        items += track.push(packet, timestamp_ms=20 * i, sequence=i)
        wanted += other.push(packet, timestamp_ms=20 * i, sequence=i)
    assert pcm_of(items) == pcm_of(wanted)


def test_what_libopus_alone_refuses_counts_as_lost_audio() -> None:
    track = Track(MediaFormat("OPUS", RATE))
    noise = bytes([PACKETS[0][0]]) + bytes(range(1, 200))
    items = track.push(PACKETS[0], timestamp_ms=0) + track.push(noise, timestamp_ms=20) + track.flush()
    assert len(pcm_of(items)) == 2 * 2 * 320


def test_a_gap_of_more_than_10_s_is_a_discontinuity() -> None:
    track = Track(MediaFormat("OPUS", RATE))
    track.push(PACKETS[0], timestamp_ms=0, sequence=1)
    items = track.push(PACKETS[1], timestamp_ms=10_041, sequence=2)
    assert [type(item) for item in items] == [Discontinuity, Frame]


def test_the_encoders_tail_comes_with_flush() -> None:
    for n_samples in (1, 100, 320 - 104, 320 - 103, 320, 321):
        packetizer = Packetizer(CodecSpec("OPUS", RATE))
        sent = packetizer.push(bytes(2 * n_samples)) + packetizer.flush()
        lookahead = opus.Encoder(RATE).lookahead
        assert len(sent) == -(-(n_samples + lookahead) // 320)
        assert packetizer.flush() == []


def test_the_given_encoder_is_copied() -> None:
    encoder = opus.Encoder(RATE, bitrate=12000, dtx=True)
    packetizer = Packetizer(CodecSpec("OPUS", RATE), encoder=encoder)
    pcm = speech_like(0.2, RATE)
    sent = packetizer.push(pcm)
    assert sent == [encoder.encode(pcm[i : i + 640]) for i in range(0, len(pcm), 640)]
