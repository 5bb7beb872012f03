"""What each rule of the jitter buffer means, one case each; 20 ms of PCMU unless said otherwise."""

from random import Random

import pytest

from tests.unit.jitter_calls import OFFSETS_MS, Call, N, is_within, payload, pcm
from trunkline import JitterBuffer


@pytest.mark.parametrize("start_ms", OFFSETS_MS)
def test_packets_in_time_are_played_bit_for_bit_with_no_delay(start_ms: float) -> None:
    call = Call(start_ms=start_ms)
    call.run(range(200))
    sent = [sample for k in range(200) for sample in pcm(k)]
    played = call.played()
    assert is_within(played[4 * N :], sent)
    assert max(call.delays_ms[4:]) <= 45
    stats = call.buffer.stats
    assert (stats.concealed_samples, stats.comfort_noise_samples, stats.packets_lost) == (0, 0, 0)


@pytest.mark.parametrize("start_ms", OFFSETS_MS)
def test_numbers_wrap(start_ms: float) -> None:
    call = Call(start_ms=start_ms)
    for k in range(200):
        sequence, timestamp = 65_536 - 100 + k, 2**32 - 100 * N + N * k
        whole = k % 2  # wrapped by the caller or not
        call.put(
            k,
            sequence=sequence if whole else sequence % 2**16,
            timestamp=timestamp if whole else timestamp % 2**32,
        )
        call.get(20 * k + 5)
        for segment in call.buffer.segments:
            assert segment.timestamp is None or (timestamp - segment.timestamp) % 2**32 < 5 * N
    stats = call.buffer.stats
    assert stats.packets_played >= 197
    assert (stats.resyncs, stats.packets_lost, stats.concealed_samples) == (0, 0, 0)
    assert stats.comfort_noise_samples == 0


@pytest.mark.parametrize("min_delay_ms", [0.0, 40.0])
def test_lost_packet_is_concealed_for_no_longer_than_it_was(min_delay_ms: float) -> None:
    call = Call(JitterBuffer(min_delay_ms=min_delay_ms))
    call.run(range(300), without=[150])
    stats = call.buffer.stats
    assert (stats.packets_lost, stats.resyncs) == (1, 0)
    assert stats.concealment_events <= 1  # it is skipped when there is delay to spare
    assert (N if min_delay_ms else 0) <= stats.concealed_samples <= 2 * N
    assert call.ms("conceal") == stats.concealed_samples * 1000 // 8000
    assert max(call.delays_ms) <= max(call.delays_ms[20:140]) + 20
    if not min_delay_ms:  # a second later it is as if nothing had been
        assert max(call.delays_ms[200:]) <= call.delays_ms[140] + 3 + 2.5


@pytest.mark.parametrize("min_delay_ms", [40.0, 200.0, 2000.0])
def test_least_delay_is_waited_for_and_held(min_delay_ms: float) -> None:
    call = Call(JitterBuffer(min_delay_ms=min_delay_ms))
    call.run(range(400))
    first = next(i for i, kinds in enumerate(call.kinds) if not kinds["wait"])
    for delay_ms in call.delays_ms[first:]:
        assert min_delay_ms <= delay_ms <= min_delay_ms + 20
    stats = call.buffer.stats
    assert (stats.concealed_samples, stats.undecided_samples, stats.packets_discarded) == (0, 0, 0)
    assert stats.inserted_samples_for_deceleration == 0


def test_least_delay_is_not_waited_for_at_the_cost_of_packets() -> None:
    buffer = JitterBuffer("PCMU", min_delay_ms=2000)
    for k in range(800):  # 256 of 5 ms are less
        buffer.put(payload(k)[:40], sequence=k, timestamp=40 * k, arrival_ms=5 * k)
        if k % 4 == 3:
            buffer.get(5.0 * k)
    assert buffer.stats.packets_discarded <= 4
    assert buffer.stats.packets_played > 500


def test_late_packet_is_not_played() -> None:
    call = Call()
    call.run(range(100), without=[60])
    assert call.put(60, 20 * 99) == "late"
    assert call.put(60, 20 * 99) == "duplicate"
    call.run(range(100, 150))
    stats = call.buffer.stats
    assert (stats.packets_late, stats.packets_duplicate, stats.packets_lost) == (1, 1, 0)
    assert not is_within(pcm(60)[60:100], call.played())


def test_duplicate_is_played_once() -> None:
    call = Call()
    for k in range(100):
        assert call.put(k) == "stored"
        assert call.put(k) == "duplicate"
        call.get(20 * k + 5)
    assert call.buffer.stats.packets_duplicate == 100
    assert is_within(call.played()[4 * N :], [sample for k in range(100) for sample in pcm(k)])


def test_packets_that_overtake_each_other_are_played_in_order() -> None:
    call = Call()
    for k in range(0, 400, 2):
        call.put(k + 1, 20 * k + 10)
        call.put(k, 20 * k + 20)
        call.get(20 * k + 25)
        call.get(20 * k + 45)
    stats = call.buffer.stats
    assert (stats.packets_reordered, stats.packets_lost, stats.packets_late) == (200, 0, 0)
    assert is_within(call.played()[20 * N :], [sample for k in range(400) for sample in pcm(k)])


def test_silence_that_was_not_sent_is_noise_and_no_loss() -> None:
    call = Call()
    sequence = 0
    for k in range(500):
        if k % 100 < 50:
            assert call.put(k, sequence=sequence) == "stored"
            sequence += 1
        call.get(20 * k + 5)
    stats = call.buffer.stats
    assert (stats.packets_lost, stats.packets_late, stats.resyncs) == (0, 0, 0)
    assert stats.comfort_noise_samples >= 4 * 49 * N
    assert stats.packets_played >= sequence - 1


def test_a_frame_s_time_is_that_of_its_audio() -> None:
    buffer, sequence = JitterBuffer("PCMU"), 0
    for k in range(400):
        if k < 100 or k >= 300:  # nothing is sent for four seconds
            buffer.put(b"\xff" * 160, sequence=sequence, timestamp=160 * k, arrival_ms=20 * k)
            sequence += 1
        frame = buffer.get(20 * k + 5)
        media = buffer.segments[0]
        if media.timestamp is not None:
            assert frame.timestamp_ms == media.timestamp / 8
    assert frame.timestamp_ms > 7950


def ticks_until_the_second_spurt(back_ms: float) -> tuple[JitterBuffer, int]:
    """A spurt, a second of silence, a packet, and while that waits for its time the clock steps back."""
    buffer = JitterBuffer("PCMU", min_delay_ms=200)
    for k in range(100):
        if k < 50:
            buffer.put(payload(k), sequence=k, timestamp=N * k, arrival_ms=20_000 + 20 * k)
        buffer.get(20_000 + 20 * k + 5)
    buffer.put(payload(50), sequence=50, timestamp=N * 100, arrival_ms=22_000)
    for tick in range(2000):
        buffer.get(22_005 - back_ms + 20 * tick)
        if any(segment.kind == "media" for segment in buffer.segments):
            return buffer, tick
    pytest.fail("the second spurt was not heard")


def test_clock_that_steps_back_in_a_silence_is_not_waited_for() -> None:
    _, usual = ticks_until_the_second_spurt(0.0)
    assert 9 <= usual <= 10
    for back_ms in (100.0, 15_000.0):
        buffer, ticks = ticks_until_the_second_spurt(back_ms)
        assert usual <= ticks <= usual + 1000 / 20
        stats = buffer.stats
        assert (stats.concealed_samples, stats.packets_lost, stats.resyncs) == (0, 0, 0)
        assert stats.media_samples > 50 * N
        assert stats.jitter_buffer_delay >= 50 * N * 0.2


def test_a_pause_in_noise_is_shortened_soon() -> None:
    buffer, noise, shortened = JitterBuffer("PCMU"), Random(2).randbytes(N * 200), []
    for k in range(200):
        packet = bytes([255]) * N if 150 <= k < 160 else noise[N * k :][:N]
        buffer.put(packet, sequence=k, timestamp=N * k, arrival_ms=20 * k + (100 if k < 3 else 0))
        removed = buffer.stats.removed_samples_for_acceleration
        buffer.get(20 * k + 105)
        if buffer.stats.removed_samples_for_acceleration > removed:
            shortened.append(k)
    assert shortened
    assert shortened[0] <= 160


def test_what_is_cut_out_with_delay_to_spare_is_joined() -> None:
    noise = Random(1).randbytes(160 * 200)  # which no stretching shortens
    buffer = JitterBuffer("PCMU")
    for k in range(200):
        late_ms = 60 if k < 2 else 0
        if k != 100:
            packet = noise[160 * k :][:160]
            buffer.put(packet, sequence=k, timestamp=160 * k, arrival_ms=20 * k + late_ms)
        buffer.get(20 * k + 65)
        segments = buffer.segments
        if any(segment.kind == "conceal" for segment in segments) and k > 10:
            assert [(segment.kind, segment.out_ms) for segment in segments][:1] == [("conceal", 5.0)]
            break
    else:
        pytest.fail("nothing was concealed")
    assert buffer.stats.concealed_samples == 40
