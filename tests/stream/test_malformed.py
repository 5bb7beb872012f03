"""Every malformed message raises its documented error and leaves the stream as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.stream import Platform
from tests.stream.malformed import BEFORE_START, IGNORED, MALFORMED, Case
from trunkline.errors import RemoteProtocolError, TrunklineError
from trunkline.stream import Event, Frame, Stop, StreamReceiver

PACKETS = [bytes([0x55 ^ i]) * 150 for i in range(8)]


def outcome(events: list[Event]) -> list[object]:
    """What a stream's events say, so that two streams can be compared."""
    return [
        (event.track, event.timestamp_ms, event.concealed, bytes(event))
        if isinstance(event, Frame)
        else event
        for event in events
    ]


def valid_stream() -> list[str]:
    platform = Platform()
    texts = [platform.connected(), platform.start()]
    texts += [platform.media(packet, i * 75 // 4) for i, packet in enumerate(PACKETS)]
    return [*texts, platform.stop()]


VALID = valid_stream()
STARTED = 3  # messages: connected, start, one packet


def events_of(receiver: StreamReceiver, texts: list[str]) -> list[Event]:
    return [event for text in texts for event in receiver.receive(text)]


EXPECTED = outcome(events_of(StreamReceiver(), VALID))


def ids(case: Case) -> str:
    return case[0]


def test_the_table_is_long_enough() -> None:
    assert len({case[1] for case in MALFORMED + BEFORE_START}) >= 40
    assert len(EXPECTED) == 1 + 8 + 1  # 1,200 samples: seven whole frames and a shorter one


@pytest.mark.parametrize("case", MALFORMED, ids=ids)
def test_malformed(case: Case) -> None:
    _, message, error, text = case
    receiver, neighbour = StreamReceiver(), StreamReceiver()
    events = events_of(receiver, VALID[:STARTED])
    nearby = events_of(neighbour, VALID[:STARTED])
    before = receiver.stats
    with pytest.raises(error, match=text) as raised:
        receiver.receive(message)
    assert isinstance(raised.value, TrunklineError)
    assert len(str(raised.value)) < 400
    assert (receiver.stats, receiver.ended) == (before, False)
    assert outcome(events + events_of(receiver, VALID[STARTED:])) == EXPECTED
    assert outcome(nearby + events_of(neighbour, VALID[STARTED:])) == EXPECTED


@pytest.mark.parametrize("case", BEFORE_START, ids=ids)
def test_malformed_before_start(case: Case) -> None:
    _, message, error, text = case
    receiver = StreamReceiver()
    receiver.receive(VALID[0])
    with pytest.raises(error, match=text) as raised:
        receiver.receive(message)
    assert isinstance(raised.value, TrunklineError)
    assert len(str(raised.value)) < 400
    assert (receiver.start, receiver.stats, receiver.ended) == (None, {}, False)
    assert outcome(events_of(receiver, VALID[1:])) == EXPECTED


@pytest.mark.parametrize("case", IGNORED, ids=lambda case: case[0])
def test_odd_but_allowed(case: tuple[str, str | bytes, str]) -> None:
    _, message, kind = case
    receiver = StreamReceiver()
    events = events_of(receiver, VALID[:STARTED])
    assert "".join(type(event).__name__ for event in receiver.receive(message)) == kind
    assert outcome(events + events_of(receiver, VALID[STARTED:])) == EXPECTED


@pytest.mark.parametrize("message", [VALID[0], VALID[1], VALID[2], VALID[-1], '{"event":"new"}'])
def test_nothing_may_follow_stop(message: str) -> None:
    receiver = StreamReceiver()
    events_of(receiver, VALID)
    stats = receiver.stats
    with pytest.raises(RemoteProtocolError, match="after stop"):
        receiver.receive(message)
    assert (receiver.stats, receiver.ended, receiver.close()) == (stats, True, [])


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_noise(message: bytes | str) -> None:
    receiver = StreamReceiver()
    events = events_of(receiver, VALID[:STARTED])
    with pytest.raises(RemoteProtocolError):
        receiver.receive(message)
    assert outcome(events + events_of(receiver, VALID[STARTED:])) == EXPECTED


@given(st.integers(2, 4), st.data())
def test_damaged_message(which: int, data: st.DataObject) -> None:
    """A byte of a valid message is changed: it is refused with an error of ours, or it is a message."""
    receiver = StreamReceiver()
    events_of(receiver, VALID[:which])
    damaged = bytearray(VALID[which].encode())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    before = receiver.stats
    try:
        events = receiver.receive(damaged)
    except TrunklineError:
        assert receiver.stats == before
    else:
        assert Stop() not in events
