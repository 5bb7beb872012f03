"""The jitter buffer and payloads of all lengths, and of Opus."""

from random import Random

import pytest

from tests.reference import opus as reference_opus
from tests.unit.jitter_calls import Call, N
from trunkline import JitterBuffer, opus


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


@pytest.mark.usefixtures("libopus")
def test_opus_conceals_without_a_gap_in_frames_of_any_duration() -> None:
    buffer = JitterBuffer("OPUS", sample_rate=RATE, clock_rate=48_000, frame_ms=9, min_delay_ms=40)
    decoder, step = opus.Decoder(RATE), RATE // 400
    stream, sent, played, concealed = reference_opus.packets(2.0)[:60], 0, bytearray(), bytearray()
    for tick in range(145):
        while sent < len(stream) and 20 * sent <= 9 * tick:
            buffer.put(stream[sent], sequence=sent, timestamp=960 * sent, arrival_ms=20 * sent)
            sent += 1
        frame = bytes(buffer.get(9.0 * tick + 5))
        made_up = sum(s.out_ms for s in buffer.segments if s.kind == "conceal") if tick > 100 else 0
        n_bytes = 2 * round(made_up * RATE / 1000)
        if not n_bytes:
            continue
        if not concealed:
            for packet in stream:
                decoder.decode(packet)
        played += frame[len(frame) - n_bytes :]
        missing = (len(played) - len(concealed)) // 2
        more = bytearray(2 * step * -(-missing // step))  # what is asked of the decoder: whole steps
        if more:
            decoder.conceal_into(more, len(more) // 2)
        concealed += more
    assert len(played) > 2 * 5 * RATE // 100
    assert played == concealed[: len(played)]
