"""StreamReceiver against tests/reference/stream.py: what a valid stream becomes."""

import json
import threading
from itertools import pairwise, zip_longest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import stream as reference
from tests.reference.stream import Platform, samples_of
from trunkline.errors import ConcurrentUseError, FormatError, LocalProtocolError, RemoteProtocolError
from trunkline.formats import MediaFormat
from trunkline.resample import Resampler
from trunkline.stream import (
    Cleared,
    Discontinuity,
    Dtmf,
    Event,
    Frame,
    Mark,
    Payload,
    Start,
    Stop,
    StreamReceiver,
    StreamSender,
    Unknown,
)
from trunkline.testing import tone

FORMATS = [("PCMU", 8000), ("PCMA", 8000), ("L16", 16000), ("L16", 24000)]
DIALECTS = ["signalwire", "twilio"]
PACKET = bytes(range(160))


def packets(payload: bytes, cuts: list[int], codec: str, rate: int) -> list[tuple[int, bytes]]:
    """Split a payload at some of its bytes; each part begins at a whole millisecond, rounded down."""
    edges = sorted({0, len(payload), *(cut % (len(payload) + 1) for cut in cuts)})
    bytes_per_s = rate * reference.sample_bytes(codec)
    return [(a * 1000 // bytes_per_s, payload[a:b]) for a, b in pairwise(edges)]


def started(**options: Any) -> tuple[StreamReceiver, Platform]:
    receiver, platform = StreamReceiver(**options), Platform()
    receiver.receive(platform.start())
    return receiver, platform


@given(
    st.sampled_from(FORMATS),
    st.sampled_from(DIALECTS),
    st.sampled_from([10, 20, 30]),
    st.lists(
        st.tuples(st.binary(max_size=2000), st.lists(st.integers(0, 9999), max_size=12)),
        min_size=2,
        max_size=2,
    ),
    st.booleans(),
)
def test_any_split_gives_the_same_frames(
    format: tuple[str, int], dialect: str, frame_ms: int, tracks: list[tuple[bytes, list[int]]], stops: bool
) -> None:
    codec, rate = format
    platform = Platform(codec, rate, dialect)
    receiver = StreamReceiver(frame_ms=frame_ms)
    names = ["inbound", "outbound"]
    payloads = [payload[: len(payload) // 2 * 2] for payload, _ in tracks]
    split = [packets(payload, cuts, codec, rate) for payload, (_, cuts) in zip(payloads, tracks, strict=True)]

    texts = [platform.connected(), platform.start(names)]
    for row in zip_longest(*split):
        texts += [
            platform.media(packet[1], packet[0], name)
            for name, packet in zip(names, row, strict=True)
            if packet
        ]
    events: list[Event] = [event for text in texts for event in receiver.receive(text)]
    events += receiver.receive(platform.stop()) if stops else receiver.close()

    assert isinstance(events[0], Start)
    assert events[0].dialect == dialect
    assert (events[-1] == Stop()) is stops
    for name, payload in zip(names, payloads, strict=True):
        got = [event for event in events if isinstance(event, Frame) and event.track == name]
        expected = list(reference.frames(reference.decode(codec, payload), rate, frame_ms))
        assert [(pytest.approx(frame.timestamp_ms), samples_of(frame)) for frame in got] == expected
        assert not any(frame.concealed for frame in got)
        assert receiver.stats[name].late == receiver.stats[name].lost == 0


def test_frames_come_in_the_order_of_the_messages() -> None:
    receiver, platform = StreamReceiver(), Platform()
    receiver.receive(platform.start(["inbound", "outbound"]))
    order = ["inbound", "outbound", "outbound", "inbound", "inbound", "outbound"]
    times = {"inbound": 0, "outbound": 0}
    seen = []
    for name in order:
        for event in receiver.receive(platform.media(PACKET, times[name], name)):
            assert isinstance(event, Frame)
            seen.append(event.track)
        times[name] += 20
    assert seen == order


# The shape of what SignalWire and Twilio send.
SIGNALWIRE = """
{"event":"connected","protocol":"Call","version":"0.2.0"}
{"event":"start","sequenceNumber":"1","start":{"streamSid":"s-1","accountSid":"a-1","callSid":"c-1",\
"tracks":["inbound"],"customParameters":{"k":"v"},\
"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}
{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"0","payload":"//////////8="}}
{"event":"dtmf","sequenceNumber":"3","dtmf":{"digit":"5","duration":2000}}
{"event":"mark","mark":{"name":"m"}}
{"event":"stop","sequenceNumber":"4"}
"""
TWILIO = """
{"event":"connected","protocol":"Call","version":"1.0.0"}
{"event":"start","sequenceNumber":"1","start":{"accountSid":"a-1","streamSid":"s-1","callSid":"c-1",\
"tracks":["inbound","outbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},\
"customParameters":{"k":"v"}},"streamSid":"s-1"}
{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"0","payload":"//////////8="},\
"streamSid":"s-1"}
{"event":"dtmf","streamSid":"s-1","sequenceNumber":"3","dtmf":{"track":"inbound_track","digit":"5"}}
{"event":"mark","sequenceNumber":"4","streamSid":"s-1","mark":{"name":"m"}}
{"event":"stop","sequenceNumber":"5","stop":{"accountSid":"a-1","callSid":"c-1"},"streamSid":"s-1"}
"""


@pytest.mark.parametrize(
    ("transcript", "dialect", "tracks", "dtmf"),
    [
        (SIGNALWIRE, "signalwire", ("inbound",), Dtmf("5", 2000, None)),
        (TWILIO, "twilio", ("inbound", "outbound"), Dtmf("5", None, "inbound_track")),
    ],
    ids=DIALECTS,
)
def test_transcript(transcript: str, dialect: str, tracks: tuple[str, ...], dtmf: Dtmf) -> None:
    receiver = StreamReceiver()
    per_message = [receiver.receive(line) for line in transcript.strip().splitlines()]
    start = Start("s-1", "c-1", "a-1", tracks, MediaFormat("PCMU", 8000), {"k": "v"}, dialect)
    frame = per_message[5][0]
    assert per_message[:5] == [[], [start], [], [dtmf], [Mark("m")]]
    assert isinstance(frame, Frame)
    assert samples_of(frame) == [0] * 8
    assert per_message[5][1:] == [Stop()]
    assert receiver.start == start
    assert receiver.ended
    assert list(receiver.stats) == list(tracks)
    assert (receiver.stats["inbound"].packets, receiver.stats["inbound"].bytes) == (1, 8)


def test_frames_have_the_asked_rate_and_come_no_later() -> None:
    plain, receiver = StreamReceiver(), StreamReceiver(sample_rate=16000)
    sender = StreamSender("PCMU", tracks=("inbound", "outbound"))
    for message in sender.start():
        events = receiver.receive(message)
        plain.receive(message)
    assert [event.sample_rate for event in events if isinstance(event, Start)] == [16000]
    resamplers = {track: Resampler(8000, 16000) for track in sender.tracks}
    for track in sender.tracks * 3:
        for message in sender.media(tone(0.06, 1000), track):
            frames, wanted = receiver.receive(message), plain.receive(message)
            assert len(frames) == len(wanted) == 1
            for frame, want in zip(frames, wanted, strict=True):
                assert isinstance(frame, Frame)
                assert isinstance(want, Frame)
                assert bytes(frame) == resamplers[track].process(want)
                assert (frame.sample_rate, frame.timestamp_ms) == (16000, want.timestamp_ms - 2.375)
    *tails, _ = receiver.receive(sender.stop()[-1])
    assert [bytes(tail) for tail in tails if isinstance(tail, Frame)] == [
        resamplers[track].flush() for track in sender.tracks
    ]


@pytest.mark.parametrize(("sample_rate", "frame_ms"), [(3999, 20), (192_001, 20), (11025, 20), (22050, 10)])
def test_impossible_rates_are_refused(sample_rate: int, frame_ms: int) -> None:
    with pytest.raises(FormatError, match=str(sample_rate)):
        StreamReceiver(sample_rate=sample_rate, frame_ms=frame_ms)


def test_dialect_that_is_given_wins() -> None:
    for given_dialect, spoken in (("twilio", "signalwire"), ("signalwire", "twilio")):
        receiver = StreamReceiver(dialect=given_dialect)
        (start,) = receiver.receive(Platform(dialect=spoken).start())
        assert isinstance(start, Start)
        assert start.dialect == given_dialect


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("audio/x-mulaw", "PCMU"),
        ("AUDIO/X-MULAW", "PCMU"),
        ("pcmu", "PCMU"),
        ("audio/PCMU", "PCMU"),
        ("audio/x-alaw", "PCMA"),
        ("PCMA", "PCMA"),
        ("audio/x-l16", "L16"),
        ("L16", "L16"),
    ],
)
def test_encoding_names(encoding: str, codec: str) -> None:
    text = Platform().start().replace("audio/x-mulaw", encoding)
    (start,) = StreamReceiver().receive(text)
    assert isinstance(start, Start)
    assert start.media_format.codec == codec


@pytest.mark.parametrize("tracks", [None, []])
def test_tracks_that_were_not_declared_are_those_seen(tracks: list[str] | None) -> None:
    receiver, platform = StreamReceiver(), Platform()
    (start,) = receiver.receive(platform.start(tracks))
    assert isinstance(start, Start)
    assert (start.tracks, receiver.stats) == ((), {})
    for name in ("outbound", "inbound"):
        (frame,) = receiver.receive(platform.media(PACKET, 0, name))
        assert isinstance(frame, Frame)
        assert frame.track == name
    assert list(receiver.stats) == ["outbound", "inbound"]
    with pytest.raises(RemoteProtocolError, match="takes inbound, outbound"):
        receiver.receive(platform.media(PACKET, 20, "inbound").replace('"inbound"', '"third"'))


def test_forms_of_a_message() -> None:
    receiver, platform = started()
    (frame,) = receiver.receive(bytearray(platform.media(PACKET, 0).encode()))
    assert isinstance(frame, Frame)
    assert samples_of(frame) == reference.decode("PCMU", PACKET)
    numbers = platform.media(PACKET, 20).replace('"20"', "20").replace('"chunk": "2"', '"chunk": 2')
    assert len(receiver.receive(memoryview(numbers.encode()))) == 1
    no_chunk = platform.media(PACKET, 40).replace('"chunk": "3", ', "")
    assert len(receiver.receive(no_chunk)) == 1
    assert receiver.stats["inbound"].lost == 0
    with pytest.raises(TypeError):
        receiver.receive(17)  # type: ignore[arg-type]


def test_what_is_no_media() -> None:
    receiver, platform = started()
    assert receiver.receive('{"event":"clear"}') == [Cleared()]
    assert receiver.receive('{"event":"brand-new","media":5}') == [Unknown("brand-new")]
    assert receiver.receive(platform.connected()) == []
    assert receiver.unknown_events == 1


def test_gap_is_waited_for_and_concealed() -> None:
    receiver, platform = started()
    receiver.receive(platform.media(PACKET, 0), arrival_ms=1000.0)
    assert receiver.next_deadline_ms is None
    assert receiver.receive(platform.media(PACKET, 80, chunk=5), arrival_ms=1080.0) == []
    assert receiver.next_deadline_ms == 1140.0
    assert receiver.poll(1139.9) == []
    frames = receiver.poll(1140.0)
    assert receiver.next_deadline_ms is None
    assert [(f.timestamp_ms, f.concealed) for f in frames if isinstance(f, Frame)] == [
        (20.0, True),
        (40.0, True),
        (60.0, True),
        (80.0, False),
    ]
    assert isinstance(frames[3], Frame)
    assert samples_of(frames[3])[40:] == reference.decode("PCMU", PACKET)[40:]  # behind 5 ms of cross-fade
    stats = receiver.stats["inbound"]
    assert (stats.lost, stats.concealed_ms) == (3, 60.0)


def test_gap_over_10_s_is_a_discontinuity() -> None:
    receiver, platform = started()
    receiver.receive(platform.media(PACKET, 0))
    assert len(receiver.receive(platform.media(PACKET, 20 + 10_000))) == 501
    far = 10_040 + 3_600_000
    discontinuity, frame = receiver.receive(platform.media(PACKET, far))
    assert discontinuity == Discontinuity("inbound", 10_040.0, float(far))
    assert isinstance(frame, Frame)
    assert frame.timestamp_ms == far
    assert receiver.stats["inbound"].discontinuities == 1


@pytest.mark.parametrize("timed", [True, False])
def test_chunks_are_put_in_order(timed: bool) -> None:
    receiver, platform = started()
    events: list[Event] = []
    for i, chunk in enumerate((1, 3, 2, 6, 5, 4, 7, 8, 8, 7, 10, 11, 12)):
        message = platform.media(bytes([chunk]) * 160, 20 * (chunk - 1), chunk=chunk)
        events += receiver.receive(message, 20.0 * i if timed else None)
    last = [*receiver.poll(300.0)] if timed else []
    frames = [event for event in events + last if isinstance(event, Frame)]
    assert [frame.timestamp_ms for frame in frames] == [20.0 * i for i in range(12)]
    for i in (0, 1, 2, 3, 4, 5, 6, 7):
        assert samples_of(frames[i]) == reference.decode("PCMU", bytes([i + 1]) * 160)
    assert len(last) == (4 if timed else 0)  # 9 has not come
    stats = receiver.stats["inbound"]
    assert (stats.reordered, stats.late, stats.duplicates, stats.lost) == (3, 2, 2, 1)


def test_late_and_duplicate_packets_are_dropped() -> None:
    receiver, platform = started(wait_ms=0)
    for chunk, timestamp_ms, n_events in ((1, 0, 1), (3, 40, 2), (2, 20, 0), (3, 40, 0), (4, 60, 1)):
        events = receiver.receive(platform.media(PACKET, timestamp_ms, chunk=chunk))
        assert len(events) == n_events
    assert receiver.stats["inbound"].late == 2


def test_close() -> None:
    receiver, platform = started()
    receiver.receive(platform.media(PACKET[:100], 0))
    (frame,) = receiver.close()
    assert isinstance(frame, Frame)
    assert samples_of(frame) == reference.decode("PCMU", PACKET[:100])
    assert receiver.ended
    assert receiver.close() == []
    with pytest.raises(LocalProtocolError):
        receiver.receive(platform.media(PACKET, 20))
    assert StreamReceiver().close() == []

    receiver, platform = started()
    receiver.receive(platform.media(PACKET[:100], 0))
    assert len(receiver.receive(platform.stop())) == 2
    assert receiver.close() == []


@pytest.mark.parametrize(
    "options", [{"frame_ms": 0}, {"frame_ms": -20}, {"dialect": "morse"}, {"max_message_bytes": 0}]
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        StreamReceiver(**options)


def test_frame_must_be_whole_samples_at_the_streams_rate() -> None:
    receiver = StreamReceiver(frame_ms=5)
    with pytest.raises(FormatError, match="5 ms is not a whole number of samples at 11025 Hz"):
        receiver.receive(Platform("L16", 11025).start())
    assert receiver.start is None


def test_second_thread_is_refused() -> None:
    class Blocking(str):
        """Text whose length is known only when the test says so: receive is under way meanwhile."""

        def __len__(self) -> int:
            inside.set()
            assert go_on.wait(100)
            return super().__len__()

    inside, go_on = threading.Event(), threading.Event()
    receiver, platform = started()
    result: list[Event] = []
    text = Blocking(platform.media(PACKET, 0))
    thread = threading.Thread(target=lambda: result.extend(receiver.receive(text)))
    thread.start()
    assert inside.wait(100)
    try:
        with pytest.raises(ConcurrentUseError):
            receiver.receive(platform.media(PACKET, 20))
        with pytest.raises(ConcurrentUseError):
            receiver.close()
    finally:
        go_on.set()
        thread.join()
    assert len(result) == 1
    assert len(receiver.receive(platform.media(PACKET, 20, chunk=2))) == 1


@pytest.mark.parametrize("encoding", ["audio/G722", "AMR-WB", "audio/opus"])
def test_encoded_payloads_of_any_codec_are_passed_on(encoding: str) -> None:
    platform, receiver = Platform(), StreamReceiver(output="encoded")
    start = json.loads(platform.start(["inbound", "outbound"]))
    start["start"]["mediaFormat"] |= {"encoding": encoding, "sampleRate": 16_000}
    payloads = [bytes([k]) * (k * 700) for k in range(10)]
    messages = [json.dumps(start)]
    messages += [
        platform.media(payload, 20 * k, track)
        for k, payload in enumerate(payloads)
        for track in ("inbound", "outbound")
    ]
    events = [event for message in [*messages, platform.stop()] for event in receiver.receive(message)]
    assert isinstance(events[0], Start)
    assert isinstance(events[-1], Stop)
    for track in ("inbound", "outbound"):
        assert [event for event in events if isinstance(event, Payload) and event.track == track] == [
            Payload(track, payload, 20 * k, k + 1) for k, payload in enumerate(payloads)
        ]
    assert len(events) == 2 + 2 * len(payloads)


def test_encoded_payloads_have_no_sample_rate() -> None:
    with pytest.raises(FormatError, match="takes no sample_rate"):
        StreamReceiver(output="encoded", sample_rate=16_000)
