"""trunkline.opus: many packets in one call, many objects in many threads, one object in two."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.reference.opus import cut, fec_packets, packets, voices
from trunkline import opus
from trunkline.errors import ConcurrentUseError, FormatError, PayloadError

pytestmark = pytest.mark.usefixtures("libopus")


@pytest.mark.parametrize("sample_format", ["s16", "f32"])
def test_decode_many_is_decode_one_by_one(sample_format: str) -> None:
    streams = [
        packets(0.4),
        fec_packets(0.4),
        packets(0.4, 48000, 2),
        packets(0.4, ms=10),
        packets(0.4, ms=60),
    ]
    layouts = [(16000, 1), (8000, 2), (48000, 2), (24000, 1), (16000, 2)]
    many, single = ([opus.Decoder(*layout) for layout in layouts] for _ in range(2))
    items = [
        (i, packet) for at in range(6) for i, stream in enumerate(streams) for packet in (stream[at], b"")
    ]
    got = opus.decode_many([(many[i], packet) for i, packet in items], sample_format=sample_format)
    assert got == [single[i].decode(packet, sample_format=sample_format) for i, packet in items]
    assert [one.final_range for one in many] == [one.final_range for one in single]


def test_empty_packet_in_a_batch_is_as_long_as_the_one_before_it() -> None:
    decoder = opus.Decoder(16000)
    stream = [b"", packets(0.2, ms=60)[0], b"", packets(0.2, ms=10)[0], b""]
    assert [len(pcm) for pcm in opus.decode_many([(decoder, packet) for packet in stream])] == [
        640, 1920, 1920, 320, 320
    ]  # fmt: skip


def test_error_takes_its_packets_place() -> None:
    decoder, undisturbed = opus.Decoder(16000), opus.Decoder(16000)
    stream = packets(0.3)
    items = [item for packet in stream for item in (packet, b"\x4b\x00")]
    got = opus.decode_many([(decoder, item) for item in items])
    assert got[::2] == [undisturbed.decode(packet) for packet in stream]
    assert all(isinstance(error, PayloadError) and "R5" in str(error) for error in got[1::2])


def test_encode_many_is_encode_one_by_one() -> None:
    layouts = [(16000, 1, "voip"), (48000, 2, "audio"), (8000, 1, "lowdelay")]
    many, single = ([opus.Encoder(*layout) for layout in layouts] for _ in range(2))
    pieces = [
        list(cut(voices(0.4, rate, channels), rate // 50 * channels * 2)) for rate, channels, _ in layouts
    ]
    items = [(i, pieces[i][at]) for at in range(20) for i in range(3)]
    got = opus.encode_many([(many[i], pcm) for i, pcm in items])
    assert got == [single[i].encode(pcm) for i, pcm in items]


def test_pairs_may_be_any_sequence_and_batches_empty() -> None:
    assert opus.decode_many([]) == opus.encode_many(iter(())) == []
    pcm = voices(0.02, 16000)
    assert opus.encode_many(iter([[opus.Encoder(16000), pcm]])) == [opus.Encoder(16000).encode(pcm)]


def test_other_errors_are_raised_before_anything_is_done() -> None:
    decoder, encoder, pcm = opus.Decoder(16000), opus.Encoder(16000), voices(0.02, 16000)
    packet = packets(0.1)[2]
    decoder_twin, encoder_twin = decoder.clone(), encoder.clone()
    for wrong in ((None, b""), (encoder, b""), (decoder, "packet"), (decoder,), 5):
        with pytest.raises((TypeError, ValueError)) as caught:
            opus.decode_many([(decoder, packet), wrong])
        assert caught.value.__notes__ == ["item 1 of 2"]
    for wrong in ((None, pcm), (decoder, pcm), (encoder, pcm[2:]), (encoder, 5)):
        with pytest.raises((TypeError, ValueError)) as caught:
            opus.encode_many([(encoder, pcm), wrong])
        assert caught.value.__notes__ == ["item 1 of 2"]
    with pytest.raises(FormatError):
        opus.decode_many([(decoder, packet)], sample_format="u8")
    assert decoder.decode(packet) == decoder_twin.decode(packet)
    assert encoder.encode(pcm) == encoder_twin.encode(pcm)


# Threads


def in_threads(n: int, work: Callable[[int], Any]) -> list[Any]:
    results: list[Any] = [None] * n
    barrier = threading.Barrier(n)

    def run(i: int) -> None:
        barrier.wait()
        results[i] = work(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_eight_decoders_in_eight_threads_are_right() -> None:
    stream = fec_packets(2.0)
    alone = opus.Decoder(48000)
    expected = [alone.decode(packet) for packet in stream]

    def work(i: int) -> list[bytes]:
        decoder = opus.Decoder(48000)
        if i % 2:
            return opus.decode_many([(decoder, packet) for packet in stream])
        return [decoder.decode(packet) for packet in stream]

    assert in_threads(8, work) == [expected] * 8


def refused_while_busy(batch: Callable[[], Any], idle: list[Callable[[], Any]]) -> Any:
    """Give the result of a batch in another thread; once the first call is refused, so must the others be."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(batch()))
    thread.start()
    while True:
        try:
            idle[0]()  # it only reads: the batch may not have begun
        except ConcurrentUseError:
            break
        assert thread.is_alive()
    for call in idle:
        with pytest.raises(ConcurrentUseError):
            call()
    thread.join()
    return results[0]


def test_encoder_in_use_refuses_every_other_call() -> None:
    pieces = list(cut(voices(4.0, 48000, 2), 960 * 4)) * 2
    encoder, other, alone = (opus.Encoder(48000, 2, "audio") for _ in range(3))
    calls: list[Callable[[], Any]] = [
        lambda: encoder.bitrate,
        lambda: setattr(encoder, "bitrate", 6000),
        lambda: encoder.encode(pieces[0]),
        lambda: encoder.encode_into(pieces[0], bytearray(2000)),
        lambda: opus.encode_many([(other, pieces[0]), (encoder, pieces[0])]),
        encoder.reset,
        encoder.clone,
    ]
    got = refused_while_busy(lambda: opus.encode_many([(encoder, pcm) for pcm in pieces]), calls)
    assert got == [alone.encode(pcm) for pcm in pieces]
    assert other.encode(pieces[0]) == got[0]  # it was not touched


def test_decoder_in_use_refuses_every_other_call() -> None:
    stream = packets(4.0, 48000, 2, bitrate=64000) * 10
    decoder, other, alone = (opus.Decoder(48000, 2) for _ in range(3))
    out = bytearray(3840)
    calls: list[Callable[[], Any]] = [
        lambda: decoder.pitch,
        lambda: setattr(decoder, "gain_db", 6),
        lambda: decoder.decode(stream[0]),
        lambda: decoder.decode(b""),
        lambda: decoder.decode_into(stream[0], out),
        lambda: decoder.conceal_into(out, 960),
        lambda: decoder.recover_into(stream[0], out, 960),
        lambda: opus.decode_many([(other, stream[0]), (decoder, stream[0])]),
        decoder.reset,
        decoder.clone,
    ]
    got = refused_while_busy(lambda: opus.decode_many([(decoder, packet) for packet in stream]), calls)
    assert got == [alone.decode(packet) for packet in stream]
    assert other.decode(stream[0]) == got[0]
