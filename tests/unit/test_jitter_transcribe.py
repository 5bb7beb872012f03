"""JitterBuffer in profile transcribe: order with a bounded wait, nothing paced, nothing stretched."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import opus
from trunkline.errors import FormatError, LocalProtocolError, PacketError
from trunkline.frame import Frame
from trunkline.g711 import ulaw_decode, ulaw_encode
from trunkline.jitter import JitterBuffer
from trunkline.testing import NETWORKS, network, speech_like

SPEECH = ulaw_encode(speech_like(12, 8000))


def audio(k: int) -> bytes:
    return SPEECH[160 * (k % 600) :][:160]


def taken(buffer: JitterBuffer) -> list[Frame]:
    frames = []
    while (frame := buffer.get()) is not None:
        frames.append(frame)
    return frames


def pcm_of(frames: list[Frame]) -> bytes:
    return b"".join(map(bytes, frames))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("first", [0, 65_400])
def test_every_sample_has_its_time_on_any_network(name: str, first: int) -> None:
    buffer, frames = JitterBuffer(profile="transcribe"), []
    came = network(name, 500)
    for k, arrival_ms in came:
        due_ms = buffer.next_deadline_ms
        if due_ms is not None and due_ms <= arrival_ms:
            buffer.poll(due_ms)
            frames += taken(buffer)
        buffer.put(
            audio(k),
            sequence=(first + k) & 0xFFFF,
            timestamp=(2**32 - 16_000 + 160 * k) & 0xFFFFFFFF,
            arrival_ms=arrival_ms,
        )
        frames += taken(buffer)
    buffer.flush()
    frames += taken(buffer)
    stats = buffer.stats
    begin, end = min(k for k, _ in came), max(k for k, _ in came)
    assert [frame.timestamp_ms for frame in frames] == [20.0 * i for i in range(end - begin + 1)]
    pcm, sent = pcm_of(frames), ulaw_decode(SPEECH[160 * begin : 160 * (end + 1)])
    joints = [i for i, frame in enumerate(frames) if frame.concealed or frames[max(i - 1, 0)].concealed]
    for i in set(range(len(frames))) - set(joints):
        assert pcm[320 * i :][:320] == sent[320 * i :][:320]
    assert stats.packets_received == len(came)
    assert stats.packets_played + stats.packets_late + stats.packets_duplicate == len(came)
    assert stats.packets_lost + stats.packets_played == end - begin + 1 - stats.packets_late
    assert stats.total_samples_received == stats.media_samples + stats.concealed_samples == len(pcm) // 2
    assert (stats.inserted_samples_for_deceleration, stats.removed_samples_for_acceleration) == (0, 0)


@given(
    seed=st.integers(0, 2**32),
    shuffled=st.integers(1, 3),
    options=st.sampled_from(
        [
            {"codec": "PCMU"},
            {"codec": "PCMA", "frame_ms": 30},
            {"codec": "L16", "sample_rate": 16_000, "channels": 2},
            {"codec": "PCMU", "clock_rate": 1000, "frame_ms": 10},
        ]
    ),
)
def test_without_arrivals_what_is_overtaken_by_two_is_saved(
    seed: int, shuffled: int, options: dict[str, Any]
) -> None:
    chance = random.Random(seed)
    straight = JitterBuffer(profile="transcribe", **options)
    buffer = JitterBuffer(profile="transcribe", **options)
    n_bytes = 20 * straight.sample_rate * straight.channels * (2 if straight.codec == "L16" else 1) // 1000
    order = [0]
    for i in range(1, 61, shuffled):
        group = list(range(i, min(i + shuffled, 61)))
        chance.shuffle(group)
        order += group
    for into, numbers in ((straight, range(61)), (buffer, order)):
        for k in numbers:
            payload = random.Random(k).randbytes(n_bytes)
            into.put(payload, sequence=k, timestamp=k * straight.clock_rate // 50)
        into.flush()
    assert pcm_of(taken(buffer)) == pcm_of(taken(straight))
    assert buffer.stats.packets_reordered == sum(k < max(order[:i]) for i, k in enumerate(order) if i)
    assert (buffer.stats.packets_lost, buffer.stats.concealed_samples) == (0, 0)


def test_get_with_a_time_polls_first() -> None:
    buffer = JitterBuffer(profile="transcribe", wait_ms=40)
    for k in (0, 2):
        buffer.put(audio(k), sequence=k, timestamp=160 * k, arrival_ms=20.0 * k)
    assert len(taken(buffer)) == 1
    assert buffer.next_deadline_ms == 80.0
    assert buffer.get(79.0) is None
    first = buffer.get(80.0)
    assert first.concealed
    assert len(taken(buffer)) == 1
    assert buffer.stats.jitter_buffer_delay == 0.04 * 160


def test_statuses_are_those_of_the_other_profile() -> None:
    buffer = JitterBuffer(profile="transcribe")
    numbers = [(0, 0), (1, 160), (3, 480), (3, 480), (1, 160), (9000, 5), (9001, 165), (20_000, 5)]
    assert [buffer.put(audio(0), sequence=a, timestamp=b) for a, b in numbers] == [
        "stored",
        "stored",
        "stored",
        "duplicate",
        "duplicate",
        "suspended",
        "stored",
        "suspended",
    ]
    assert (buffer.stats.resyncs, buffer.stats.packets_lost) == (1, 1)


def test_another_stream_goes_on_behind_the_one_before() -> None:
    buffer, frames = JitterBuffer(profile="transcribe"), []
    for k in range(20):
        if k == 10:
            buffer.restart()
        shift = 12_345 if k >= 10 else 0
        buffer.put(
            audio(k), sequence=k + shift & 0xFFFF, timestamp=160 * k + 777 * shift, arrival_ms=20.0 * k
        )
        frames += taken(buffer)
    assert pcm_of(frames) == ulaw_decode(SPEECH[: 160 * 20])
    buffer.reset()
    assert buffer.get() is None
    assert buffer.stats.packets_received == 0


def test_opus_is_decoded_in_order_and_what_is_none_is_refused(libopus: object) -> None:
    encoder = opus.Encoder(16_000)
    packets = [encoder.encode(speech_like(0.02, 16_000, seed=k)) for k in range(8)]
    straight, buffer = (
        JitterBuffer("OPUS", sample_rate=16_000, clock_rate=48_000, profile="transcribe") for _ in range(2)
    )
    for into, order in ((straight, range(8)), (buffer, (0, 2, 1, 4, 3, 5, 7, 6))):
        for k in order:
            into.put(packets[k], sequence=k, timestamp=960 * k)
        with pytest.raises(PacketError):
            into.put(b"\xff", sequence=8, timestamp=960 * 8)
    assert pcm_of(taken(buffer)) == pcm_of(taken(straight)) != b""


def test_what_a_profile_has_not_says_so() -> None:
    conversation, transcribe = JitterBuffer(), JitterBuffer(profile="transcribe")
    with pytest.raises(LocalProtocolError, match="profile transcribe only"):
        conversation.flush()
    with pytest.raises(LocalProtocolError, match="profile transcribe only"):
        conversation.poll(0.0)
    with pytest.raises(LocalProtocolError, match="profile conversation only"):
        transcribe.schedule(0.0)
    with pytest.raises(TypeError, match="arrival_ms: profile conversation needs it"):
        conversation.put(b"x", sequence=0, timestamp=0)
    with pytest.raises(FormatError, match="takes conversation or transcribe"):
        JitterBuffer(profile="listen")  # type: ignore[arg-type]
    assert transcribe.segments == []
    assert conversation.next_deadline_ms is None
