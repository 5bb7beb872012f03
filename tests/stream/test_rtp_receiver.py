"""RtpReceiver: one source, its packets in order, what is missing waited for; and what is none of it."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import audioop, g711, opus, rtp
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.formats import MediaFormat
from trunkline.frame import Frame
from trunkline.stream import Event, Payload, RtpReceiver, Start
from trunkline.testing import speech_like
from trunkline.track import Track

HERE, THERE = ("10.0.0.1", 4000), ("10.0.0.2", 4000)
SPEECH = g711.ulaw_encode(speech_like(4, 8000))


def packet(k: int, payload: bytes | None = None, **fields: Any) -> bytes:
    """The k-th packet of 20 ms of speech, with numbers that are about to wrap."""
    audio = SPEECH[160 * (k % 200) :][:160] if payload is None else payload
    numbers = {
        "payload_type": 0,
        "sequence": (65530 + k) & 0xFFFF,
        "timestamp": (2**32 - 400 + 160 * k) & 0xFFFFFFFF,
        "ssrc": 7,
    }
    return rtp.build(audio, **{**numbers, **fields})


def started(n: int = 10, **options: Any) -> tuple[RtpReceiver, list[Event]]:
    """A receiver that has locked on to HERE, and what its first n packets brought."""
    receiver, events = RtpReceiver("PCMU", **options), []
    for k in range(n):
        events += receiver.receive(packet(k), source=HERE, arrival_ms=20.0 * k)
    return receiver, events


def pcm_of(events: list[Event]) -> bytes:
    return b"".join(bytes(event) for event in events if isinstance(event, Frame))


def test_four_packets_in_order_make_a_source_and_nothing_of_them_is_lost() -> None:
    receiver = RtpReceiver("PCMU")
    for k in (0, 1, 5, 6, 7):  # five begins anew
        assert receiver.receive(packet(k), source=HERE) == []
        assert receiver.start is None
    start, *frames = receiver.receive(packet(8), source=HERE)
    assert isinstance(start, Start)
    assert (start.stream_id, start.tracks, start.media_format) == (
        "00000007",
        ("inbound",),
        MediaFormat("PCMU", 8000),
    )
    assert pcm_of(frames) == g711.ulaw_decode(SPEECH[160 * 5 : 160 * 9])
    assert [frame.timestamp_ms for frame in frames if isinstance(frame, Frame)] == [0.0, 20.0, 40.0, 60.0]


@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.3),
    shift_ms=st.sampled_from([0, 19, 45, 100]),
    timed=st.booleans(),
)
def test_what_comes_in_time_is_what_a_track_gets_in_order(
    seed: int, loss: float, shift_ms: int, timed: bool
) -> None:
    chance = random.Random(seed)
    kept = [k for k in range(4, 80) if chance.random() >= loss or k == 79]
    arrivals = sorted((20 * k + chance.uniform(0, shift_ms), k) for k in kept)
    receiver, events = started(4, wait_ms=shift_ms) if timed else started(4, wait_ms=1e9)
    for now_ms, k in arrivals:
        events += receiver.poll(now_ms)
        events += receiver.receive(packet(k), source=HERE, arrival_ms=now_ms if timed else None)
    events += receiver.close()
    track = Track(MediaFormat("PCMU", 8000))
    stats = receiver.stats["inbound"]
    late = stats.late
    if timed and shift_ms < 100:
        assert late == 0
    if late == 0:
        wanted: list[Event] = []
        for k in [0, 1, 2, 3, *kept]:
            wanted += track.push(SPEECH[160 * k :][:160], timestamp_ms=20 * k, sequence=k)
        wanted += track.flush()
        assert pcm_of(events) == pcm_of(wanted)
        assert stats.lost == 76 - len(kept)
    assert len(pcm_of(events)) == 2 * 160 * 80
    assert stats.reordered + late == sum(
        k < max((j for _, j in arrivals[:i]), default=0) for i, (_, k) in enumerate(arrivals)
    )


def test_a_missing_packet_is_waited_for_and_no_longer() -> None:
    receiver, _ = started(wait_ms=60)
    assert receiver.next_deadline_ms is None
    assert receiver.receive(packet(11), source=HERE, arrival_ms=220.0) == []
    assert receiver.receive(packet(12), source=HERE, arrival_ms=240.0) == []
    assert receiver.next_deadline_ms == 280.0
    assert receiver.poll(279.9) == []
    given_up = receiver.poll(280.0)
    assert len(pcm_of(given_up)) == 2 * 3 * 160
    assert receiver.next_deadline_ms is None
    assert receiver.receive(packet(10), source=HERE, arrival_ms=281.0) == []
    assert (receiver.stats["inbound"].late, receiver.stats["inbound"].lost) == (1, 1)


def test_without_arrivals_three_later_packets_are_waited_for() -> None:
    receiver, _ = started()
    assert [len(receiver.receive(packet(k), source=HERE)) for k in (11, 12, 13)] == [0, 0, 4]


def test_strangers_and_what_is_none_of_ours_change_nothing() -> None:
    receiver, events = started()
    clean, wanted = started()
    for k in range(10, 30):
        for other in (
            receiver.receive(packet(k, ssrc=9), source=THERE, arrival_ms=20.0 * k),
            receiver.receive(packet(k), source=THERE, arrival_ms=20.0 * k),
            receiver.receive(b"\x80\xc8" + bytes(26), source=HERE, arrival_ms=20.0 * k),  # RTCP
            receiver.receive(b"hello", source=HERE, arrival_ms=20.0 * k),
            receiver.receive(b"", source=HERE, arrival_ms=20.0 * k),
        ):
            assert other == []
        events += receiver.receive(packet(k), source=HERE, arrival_ms=20.0 * k)
        wanted += clean.receive(packet(k), source=HERE, arrival_ms=20.0 * k)
    assert pcm_of(events) == pcm_of(wanted)
    assert (receiver.rtp_stats.strangers, receiver.rtp_stats.ignored) == (40, 60)
    assert receiver.stats == clean.stats


def test_another_ssrc_at_the_same_address_takes_over() -> None:
    receiver, events = started()
    for k in range(10, 20):
        other = packet(k, ssrc=8, sequence=500 + k, timestamp=77 + 160 * k)
        events += receiver.receive(other, source=HERE, arrival_ms=20.0 * k)
    assert pcm_of(events) == g711.ulaw_decode(SPEECH[: 160 * 20])
    assert sum(isinstance(event, Start) for event in events) == 1
    assert (receiver.stats["inbound"].resyncs, receiver.stats["inbound"].lost) == (1, 0)


@pytest.mark.parametrize("jump", [3001, 30_000, -200, -30_000])
def test_numbers_that_jump_are_followed_when_the_next_packet_confirms_them(jump: int) -> None:
    receiver, events = started()
    stray = packet(10, sequence=(65540 + jump + 7) & 0xFFFF, timestamp=5)
    events += receiver.receive(stray, source=HERE, arrival_ms=200.0)  # nobody confirms this one
    for k in range(10, 20):
        numbers = {"sequence": (65530 + k + jump) & 0xFFFF, "timestamp": 12345 + 160 * k}
        events += receiver.receive(packet(k, **numbers), source=HERE, arrival_ms=20.0 * k)
    assert pcm_of(events) == g711.ulaw_decode(SPEECH[: 160 * 20])
    stats = receiver.stats["inbound"]
    assert (stats.resyncs, stats.lost, stats.discarded) == (1, 0, 1)


def test_comfort_noise_and_digits_have_their_place_and_no_audio() -> None:
    receiver, events = started()
    for k in range(10, 14):
        kind = 0 if k % 2 else 101
        events += receiver.receive(packet(k, payload_type=kind), source=HERE, arrival_ms=20.0 * k)
    assert receiver.stats["inbound"].lost == 0
    assert len(pcm_of(events)) == 2 * 160 * 14


def test_l16_is_big_endian() -> None:
    pcm = speech_like(1, 16000)
    receiver, events = RtpReceiver("L16@16000h"), []
    for k in range(50):
        network = audioop.byteswap(pcm[640 * k :][:640], 2)
        sent = rtp.build(network, payload_type=96, sequence=k, timestamp=320 * k, ssrc=1)
        events += receiver.receive(sent, source=HERE, arrival_ms=20.0 * k)
    assert pcm_of(events) == pcm


def test_opus_has_a_clock_of_48_khz_and_a_bad_packet_is_left_out(libopus: object) -> None:
    encoder, receiver = opus.Encoder(16000), RtpReceiver("OPUS@16000h", output="both")
    packets = [encoder.encode(speech_like(0.02, 16000, seed=k)) for k in range(20)]
    events: list[Event] = []
    for k, payload in enumerate(packets):
        sent = rtp.build(
            b"\xff" if k == 10 else payload, payload_type=111, sequence=k, timestamp=960 * k, ssrc=1
        )
        events += receiver.receive(sent, source=HERE, arrival_ms=20.0 * k)
    assert len(pcm_of(events)) == 2 * 320 * 20
    assert [event.payload for event in events if isinstance(event, Payload)] == packets[:10] + packets[11:]
    assert receiver.stats["inbound"].lost == 1


def test_frames_have_the_rate_and_the_duration_that_were_asked_for() -> None:
    _, events = started(20, sample_rate=16000, frame_ms=10)
    frames = [event for event in events if isinstance(event, Frame)]
    assert {(frame.sample_rate, len(frame)) for frame in frames} == {(16000, 160)}


@pytest.mark.parametrize("lengths", [(160, 64), (1, 159), (480, 80)])
def test_packets_of_any_length_give_exact_frames(lengths: tuple[int, int]) -> None:
    receiver, events, at, k = RtpReceiver("PCMU"), [], 0, 0
    while at < 16000:
        payload = SPEECH[at : at + lengths[k % 2]]
        sent = rtp.build(payload, payload_type=0, sequence=k & 0xFFFF, timestamp=at, ssrc=1)
        events += receiver.receive(sent, source=HERE, arrival_ms=at / 8)
        at, k = at + len(payload), k + 1
    events += receiver.close()
    assert pcm_of(events) == g711.ulaw_decode(SPEECH[:at])


@given(data=st.lists(st.binary(max_size=60), max_size=30), seed=st.integers(0, 2**32))
def test_any_bytes_are_taken(data: list[bytes], seed: int) -> None:
    chance, receiver = random.Random(seed), RtpReceiver("PCMU")
    for k, junk in enumerate(data):
        source = chance.choice([HERE, THERE])
        receiver.receive(junk, source=source, arrival_ms=float(k))
        numbers = {
            "sequence": chance.choice([k, chance.getrandbits(16)]),
            "timestamp": chance.getrandbits(32),
        }
        kind = chance.choice([0, 0, 0, 8, 13, 101])
        sent = rtp.build(junk, payload_type=kind, ssrc=chance.randrange(2), **numbers)
        receiver.receive(sent, source=source, arrival_ms=chance.choice([None, float(k)]))
        receiver.poll(float(k))
    receiver.close()
    assert receiver.close() == []
    with pytest.raises(LocalProtocolError, match="after close"):
        receiver.receive(b"")


def test_many_sources_take_bounded_memory() -> None:
    receiver = RtpReceiver("PCMU")
    for ssrc in range(1000):
        receiver.receive(packet(0, ssrc=ssrc), source=(HERE, ssrc))
    assert len(receiver._lock._candidates) == 16


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"codec": "G722"}, "cannot be decoded"),
        ({"payload_type": 128}, "payload_type: takes 0 to 127"),
        ({"output": "encoded"}, "takes pcm or both"),
        ({"wait_ms": -1.0}, "wait_ms: takes 0 to"),
        ({"wait_ms": float("nan")}, "wait_ms"),
        ({"sample_rate": 3999}, "4000 to 192000"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        RtpReceiver(**arguments)


@pytest.mark.parametrize("payload_type", [8, 101])
def test_what_is_missing_before_a_packet_without_audio_is_concealed(payload_type: int) -> None:
    receiver, events = started()
    events += receiver.receive(
        packet(20, b"x" * 160, payload_type=payload_type), source=HERE, arrival_ms=200.0
    )
    events += receiver.poll(300.0)
    for k in (21, 22):
        events += receiver.receive(packet(k), source=HERE, arrival_ms=20.0 * k)
    frames = [event for event in events if isinstance(event, Frame)]
    assert len(frames) == 23
    assert [frame.concealed for frame in frames].count(True) == 10
    stats = receiver.stats["inbound"]
    assert (stats.lost, stats.concealed_ms, stats.media_ms) == (10, 200.0, 240.0)


@pytest.mark.parametrize("arrival_ms", [float("nan"), -1.0, 2.0**54])
def test_an_impossible_arrival_changes_nothing(arrival_ms: float) -> None:
    receiver, reference = RtpReceiver("PCMU"), RtpReceiver("PCMU")
    for k in range(6):
        with pytest.raises(ValueError, match="arrival_ms: takes 0 to"):
            receiver.receive(packet(k), source=HERE, arrival_ms=arrival_ms)
        events = receiver.receive(packet(k), source=HERE, arrival_ms=20.0 * k)
        expected = reference.receive(packet(k), source=HERE, arrival_ms=20.0 * k)
        assert [type(event) for event in events] == [type(event) for event in expected]
        assert receiver.arrival_ms == reference.arrival_ms
    assert receiver.stats == reference.stats
