"""What each rule of the jitter buffer means, one case each; 20 ms of PCMU unless said otherwise."""

from array import array
from collections import Counter
from collections.abc import Iterable
from random import Random

import pytest

from tests.reference import opus as reference_opus
from tests.reference.stream import decode
from trunkline import JitterBuffer, opus

N = 160
OFFSETS_MS = [0.0, 2.0**31 - 4000, 2.0**32 - 4000, 2.0**53 - 20_000]
NOISE = Random(1).randbytes(N * 2000)


def payload(k: int) -> bytes:
    return NOISE[N * (k % 2000) : N * (k % 2000 + 1)]


def pcm(k: int) -> list[int]:
    return decode("PCMU", payload(k))


class Call:
    """A buffer, and a sender that is right on time unless told otherwise."""

    def __init__(self, buffer: JitterBuffer | None = None, *, start_ms: float = 0.0) -> None:
        self.buffer = buffer or JitterBuffer()
        self.start_ms = start_ms
        self.kinds: list[Counter[str]] = []  # of each frame, ms
        self.frames: list[list[int]] = []
        self.delays_ms: list[float] = []

    def put(
        self, k: int, at_ms: float | None = None, *, sequence: int | None = None, timestamp: int | None = None
    ) -> str:
        """Put the k-th packet."""
        return self.buffer.put(
            payload(k),
            sequence=k if sequence is None else sequence,
            timestamp=N * k if timestamp is None else timestamp,
            arrival_ms=self.start_ms + (20 * k if at_ms is None else at_ms),
        )

    def get(self, now_ms: float) -> None:
        frame = self.buffer.get(self.start_ms + now_ms)
        kinds: Counter[str] = Counter()
        for segment in self.buffer.segments:
            kinds[segment.kind] += round(segment.out_ms * 1000)
        self.kinds.append(Counter({kind: us // 1000 for kind, us in kinds.items()}))
        self.frames.append(memoryview(frame).tolist())
        self.delays_ms.append(now_ms - frame.timestamp_ms)

    def run(self, ks: Iterable[int], *, without: Iterable[int] = ()) -> None:
        """Packets k in time, and a frame 5 ms after each."""
        for k in ks:
            if k not in without:
                self.put(k)
            self.get(20 * k + 5)

    def ms(self, kind: str) -> int:
        return sum(kinds[kind] for kinds in self.kinds)

    def played(self) -> list[int]:
        return [sample for frame in self.frames for sample in frame]


def is_within(part: list[int], whole: list[int]) -> bool:
    return array("h", part).tobytes() in array("h", whole).tobytes()


# What comes is played


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


# Other numbers


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


# Payloads of all lengths


def test_payloads_of_160_and_64_bytes_in_turn() -> None:
    buffer = JitterBuffer("L16")
    random, sent, at, k, played = Random(3), bytearray(), 0, 0, bytearray()
    for now_ms in range(0, 10_000, 20):
        while at / 8 <= now_ms:
            n = 64 if k % 2 else 160
            piece = random.randbytes(2 * n)
            buffer.put(piece, sequence=k, timestamp=at, arrival_ms=at / 8)
            sent += piece
            at, k = at + n, k + 1
        frame = buffer.get(now_ms + 3)
        assert len(frame) == N
        if now_ms >= 1000:
            played += bytes(frame)
    stats = buffer.stats
    assert (stats.concealed_samples, stats.packets_lost, stats.packets_late) == (0, 0, 0)
    assert stats.inserted_samples_for_deceleration + stats.removed_samples_for_acceleration <= 400
    assert bytes(played[-100 * 2 * N :]) in sent


@pytest.mark.parametrize("ms", [1, 5, 60, 200, 1000])
def test_payloads_of_any_duration(ms: int) -> None:
    buffer = JitterBuffer("L16")
    sent = Random(4).randbytes(16 * 12_000)
    played, put_ms = bytearray(), 0
    for now_ms in range(0, 10_000, 20):
        while put_ms + ms <= now_ms:  # a payload comes when its last sample has been spoken
            piece = sent[16 * put_ms : 16 * (put_ms + ms)]
            assert (
                buffer.put(piece, sequence=put_ms // ms, timestamp=8 * put_ms, arrival_ms=put_ms + ms)
                == "stored"
            )
            put_ms += ms
        played += bytes(buffer.get(now_ms + 1))
    stats = buffer.stats
    assert (stats.packets_lost, stats.packets_late, stats.packets_discarded) == (0, 0, 0)
    assert stats.concealed_samples <= 8 * max(ms, 60)
    assert bytes(played[-16 * 4000 :]) in sent


def test_more_than_a_second_is_discarded() -> None:
    call = Call()
    call.run(range(50))
    for bad in (bytes(8001), bytes(10**6)):
        assert call.buffer.put(bad, sequence=40_000, timestamp=0, arrival_ms=1000) == "discarded"
    assert call.buffer.put(bytes(8000), sequence=50, timestamp=50 * N, arrival_ms=1000) == "stored"
    assert call.buffer.stats.packets_discarded == 2


def test_odd_byte_is_dropped() -> None:
    odd, even = JitterBuffer("L16"), JitterBuffer("L16")
    random = Random(5)
    for k in range(100):
        piece = random.randbytes(2 * N)
        odd.put(piece + b"\x01", sequence=k, timestamp=N * k, arrival_ms=20 * k)
        even.put(piece, sequence=k, timestamp=N * k, arrival_ms=20 * k)
        assert bytes(odd.get(20 * k + 5)) == bytes(even.get(20 * k + 5))
    assert odd.put(b"\x01", sequence=100, timestamp=100 * N, arrival_ms=2000) == "discarded"


@pytest.mark.parametrize(
    ("rate", "n", "frame_ms"), [(11_025, 330, 40), (11_025, 331, 40), (8000, 160, 20), (22_050, 661, 40)]
)
def test_timestamps_that_carriers_round_to_milliseconds(rate: int, n: int, frame_ms: int) -> None:
    buffer = JitterBuffer("L16", sample_rate=rate, clock_rate=1000, frame_ms=frame_ms)
    sent, played = Random(6).randbytes(2 * n * 500), bytearray()
    k, now_ms = 0, 0
    while k < 500:
        while k < 500 and k * n * 1000 / rate <= now_ms:
            at_ms = k * n * 1000 // rate
            buffer.put(sent[2 * n * k : 2 * n * (k + 1)], sequence=k, timestamp=at_ms, arrival_ms=at_ms)
            k += 1
        played += bytes(buffer.get(now_ms + 5))
        now_ms += frame_ms
    stats = buffer.stats
    assert (stats.packets_lost, stats.concealed_samples, stats.comfort_noise_samples) == (0, 0, 0)
    assert bytes(played[len(played) // 3 :]) in sent


# Opus


RATE, PACKET = 16_000, 320


def opus_buffer(min_delay_ms: float = 0.0) -> JitterBuffer:
    return JitterBuffer("OPUS", sample_rate=RATE, clock_rate=48_000, min_delay_ms=min_delay_ms)


@pytest.mark.usefixtures("libopus")
def test_opus_is_decoded_as_by_a_decoder() -> None:
    stream = reference_opus.packets(2.0)
    buffer, decoder, played = opus_buffer(), opus.Decoder(RATE), bytearray()
    for k, packet in enumerate(stream):
        buffer.put(packet, sequence=k, timestamp=960 * k, arrival_ms=20 * k)
        played += bytes(buffer.get(20 * k + 5))
    wanted = b"".join(decoder.decode(packet) for packet in stream)
    stats = buffer.stats
    assert (stats.concealed_samples, stats.packets_lost) == (0, 0)
    assert bytes(played[len(played) // 2 :]) in wanted
    assert stats.packets_played >= len(stream) - 3


@pytest.mark.usefixtures("libopus")
def test_opus_copy_in_the_next_packet_is_what_recover_into_gives() -> None:
    stream = reference_opus.fec_packets(2.0)
    at = next(i for i in range(40, len(stream)) if opus.packet_info(stream[i]).has_lbrr)
    buffer, decoder = opus_buffer(min_delay_ms=60.0), opus.Decoder(RATE)  # the next one is there in time
    recovered = bytearray(2 * PACKET)
    for packet in stream[: at - 1]:
        decoder.decode(packet)
    assert decoder.recover_into(stream[at], recovered, PACKET).fec == PACKET
    played = bytearray()
    for k, packet in enumerate(stream):
        if k != at - 1:
            buffer.put(packet, sequence=k, timestamp=960 * k, arrival_ms=20 * k)
        played += bytes(buffer.get(20 * k + 5))
    stats = buffer.stats
    assert stats.fec_samples == PACKET
    assert stats.concealed_samples == 0
    assert (stats.packets_lost, stats.packets_late) == (1, 0)
    assert bytes(recovered) in played


@pytest.mark.usefixtures("libopus")
def test_opus_dtx_is_noise() -> None:
    stream = reference_opus.packets(2.0, application="voip")
    buffer = opus_buffer()
    sequence = 0
    for k in range(400):
        if k % 100 < 60:
            buffer.put(stream[k % 100], sequence=sequence, timestamp=960 * k, arrival_ms=20 * k)
            sequence += 1
        frame = buffer.get(20 * k + 5)
        assert len(frame) == PACKET
    stats = buffer.stats
    assert (stats.packets_lost, stats.packets_late) == (0, 0)
    assert stats.comfort_noise_samples >= 3 * 39 * PACKET


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
