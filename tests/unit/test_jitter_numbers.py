"""The jitter buffer where sequence numbers, timestamps and times are not what they were."""

import pytest

from tests.unit.jitter_calls import OFFSETS_MS, Call, N, is_within, pcm
from trunkline import JitterBuffer


@pytest.mark.parametrize("jump", [40_000, -40_000, 300, -300])
@pytest.mark.parametrize("start_ms", OFFSETS_MS)
def test_confirmed_jump_loses_nothing(jump: int, start_ms: float) -> None:
    call = Call(start_ms=start_ms)
    for k in range(400):
        there = k >= 200
        sequence, timestamp = 65_536 + k + jump * there, N * k + 2**33 + (1_234_567_890 * there)
        status = call.put(k, sequence=sequence, timestamp=timestamp)
        assert status == ("suspended" if k == 200 else "stored")
        call.get(20 * k + 5)
    stats = call.buffer.stats
    assert (stats.resyncs, stats.packets_lost, stats.packets_discarded) == (1, 0, 0)
    assert stats.comfort_noise_samples == 0
    assert call.ms("conceal") <= 60
    assert call.delays_ms[-1] <= call.delays_ms[190] + 60
    assert is_within(pcm(200)[40:], call.played())


@pytest.mark.parametrize("jump", [40_000, 300])
def test_jump_that_is_not_confirmed_is_one_packet_discarded(jump: int) -> None:
    call = Call()
    call.run(range(100))
    assert call.put(100, sequence=100 + jump, timestamp=99) == "suspended"
    call.get(2005)
    call.run(range(101, 200))
    stats = call.buffer.stats
    assert (stats.resyncs, stats.packets_discarded, stats.packets_late, stats.packets_lost) == (0, 1, 0, 1)


def test_long_loss_keeps_the_timeline() -> None:
    call = Call()
    call.run(range(100))
    for k in range(100, 500):
        call.get(20 * k + 5)
    for k in range(500, 600):
        assert call.put(k) == ("suspended" if k == 500 else "stored")
        call.get(20 * k + 5)
    stats = call.buffer.stats
    assert (stats.resyncs, stats.packets_lost) == (0, 400)
    assert call.delays_ms[-1] <= 50


@pytest.mark.parametrize("n_lost", [300, 5000, 32_000])
def test_of_a_long_loss_all_is_counted_and_the_last_are_remembered(n_lost: int) -> None:
    call = Call(JitterBuffer(max_delay_ms=10_000))
    call.run(range(110), without=range(100, 110))
    first = 100 + n_lost
    for k in (first, first + 1):
        call.put(k, 20 * first)
    assert call.buffer.stats.packets_lost == n_lost - 255 + 1
    now_ms = 20 * first
    for tick in range(1000):
        call.get(now_ms + 5 + 20 * tick)
    assert call.buffer.stats.packets_lost == n_lost
    for k, lost in ((first - 1, n_lost - 1), (first - 200, n_lost - 2), (100, n_lost - 2)):
        assert call.put(k, now_ms + 20_000) in ("late", "suspended")
        assert call.buffer.stats.packets_lost == lost
    stats = call.buffer.stats
    assert (stats.packets_played, stats.packets_discarded - stats.packets_late) == (102, 0)


def test_announced_restart_takes_the_next_packet_at_once() -> None:
    call = Call()
    call.run(range(100))
    call.buffer.restart()
    for k in range(100, 200):
        assert call.put(k, sequence=7 + k, timestamp=N * k + 999_999_999) == "stored"
        call.get(20 * k + 5)
    stats = call.buffer.stats
    assert (stats.resyncs, stats.packets_lost, stats.packets_late) == (1, 0, 0)
    assert call.ms("conceal") + call.ms("noise") <= 40


@pytest.mark.parametrize("announced", [False, True])
def test_first_packets_of_another_stream_may_overtake_each_other(announced: bool) -> None:
    for order in ([101, 100, 102], [102, 101, 100], [101, 102, 100]):
        call = Call()
        call.run(range(100))
        if announced:
            call.buffer.restart()
        for place, k in enumerate(order):
            at_ms = 2000 + 5 * place
            status = call.put(k, at_ms, sequence=40_000 + k, timestamp=N * k + 999_999_999)
            assert status == ("stored" if announced or place else "suspended")
        call.get(2015)
        for k in range(103, 200):
            call.put(k, sequence=40_000 + k, timestamp=N * k + 999_999_999)
            call.get(20 * k + 5)
        stats = call.buffer.stats
        assert (stats.resyncs, stats.packets_lost, stats.packets_late, stats.packets_discarded) == (
            1,
            0,
            0,
            0,
        )
        assert stats.packets_reordered == (2 if order[0] == 102 else 1)
        assert is_within(pcm(100)[40:] + pcm(101) + pcm(102), call.played())
        assert stats.packets_duplicate == 0
        assert call.put(100, 4100, sequence=40_100, timestamp=N * 100 + 999_999_999) == "duplicate"


def test_timestamps_that_step_are_followed_from_the_third_packet_on() -> None:
    call = Call()
    for k in range(300):
        call.put(k, timestamp=N * k + (2**30 if k >= 200 else 0))
        call.get(20 * k + 5)
        assert call.buffer.stats.resyncs == (k >= 202)
    stats = call.buffer.stats
    assert (stats.packets_lost, stats.packets_late, stats.comfort_noise_samples) == (0, 0, 0)
    assert call.ms("conceal") <= 20


def test_two_wrong_timestamps_move_nothing() -> None:
    call = Call()
    for k in range(300):
        call.put(k, timestamp=N * k + (2**30 if k in (200, 201) else 0))
        call.get(20 * k + 5)
    stats = call.buffer.stats
    assert (stats.resyncs, stats.packets_lost, stats.concealed_samples) == (0, 0, 0)
    assert stats.comfort_noise_samples == 0


@pytest.mark.parametrize("start_ms", OFFSETS_MS)
def test_freeze_of_five_seconds_is_over_in_200_ms(start_ms: float) -> None:
    call = Call(start_ms=start_ms)
    call.run(range(300))
    for k in range(300, 550):
        call.get(20 * k + 5)
    for k in range(300, 551):
        call.put(k, 20 * 550)
    call.get(20 * 550 + 5)
    call.run(range(551, 800))
    assert max(call.delays_ms[561:]) <= 60
    assert call.buffer.stats.resyncs == 0
    assert all(not kinds["conceal"] for kinds in call.kinds[551:])


def test_more_than_can_be_held_is_given_up_from_the_oldest_on() -> None:
    call = Call()
    for k in range(2000):
        assert call.put(k) == "stored"
    stats = call.buffer.stats
    assert (stats.packets_discarded, stats.packets_lost) == (2000 - 256, 0)
    call.get(20 * 1999 + 5)
    assert call.kinds[-1]["wait"] == 0
