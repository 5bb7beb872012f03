"""Playout towards a platform: what is heard there, and barge-in, beside a platform in real time."""

import json
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import FormatError, LocalProtocolError
from trunkline.stream import Cleared, Event, Frame, Mark, Playout, StreamReceiver, StreamSender

PTIME_MS = 20
CLEAR_MS = 2  # by which a clear may be off for good: ticks of a millisecond


class Platform:
    """Plays what it is sent, a millisecond a tick, and sends marks back behind their audio."""

    def __init__(self) -> None:
        self._receiver = StreamReceiver(role="platform", format="PCMU", stream_id="MZ1", frame_ms=1)
        self._queue: deque[Event] = deque()
        self.heard_ms = 0
        self.silent_ms = 0  # between audio that was heard

    def take(self, message: bytes) -> list[str]:
        """The marks that come back at once."""
        back = []
        for event in self._receiver.receive(message):
            if isinstance(event, Cleared):
                back += [mark.name for mark in self._queue if isinstance(mark, Mark)]
                self._queue.clear()
            else:
                self._queue.append(event)
        return back + self._marks()

    def tick(self) -> list[str]:
        if self._queue:
            assert isinstance(self._queue.popleft(), Frame)
            self.heard_ms += 1
        else:
            self.silent_ms += 1
        return self._marks()

    def _marks(self) -> list[str]:
        names = []
        while self._queue and isinstance(mark := self._queue[0], Mark):
            names.append(mark.name)
            self._queue.popleft()
        return names


class Line:
    """What is on its way, for so many ms."""

    def __init__(self, delay_ms: int) -> None:
        self._delay_ms = delay_ms
        self._flying: deque[tuple[int, object]] = deque()

    def put(self, now_ms: int, *items: object) -> None:
        self._flying.extend((now_ms + self._delay_ms, item) for item in items)

    def arrived(self, now_ms: int) -> list[object]:
        return [self._flying.popleft()[1] for _ in range(sum(at_ms <= now_ms for at_ms, _ in self._flying))]


def answering(lead_ms: float = 200) -> Playout:
    return Playout(StreamSender("PCMU", role="endpoint", stream_id="MZ1"), lead_ms=lead_ms)


def pcm(duration_ms: float) -> bytes:
    return bytes(round(16 * duration_ms))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    up_ms=st.integers(0, 150),
    down_ms=st.integers(0, 150),
    lead_ms=st.sampled_from([0, 60, 200]),
    barge_in=st.booleans(),
)
def test_what_was_heard(seed: int, up_ms: int, down_ms: int, lead_ms: int, barge_in: bool) -> None:
    chance = random.Random(seed)
    playout, platform = answering(lead_ms), Platform()
    up, down, wanted, returned = Line(up_ms), Line(down_ms), list[str](), list[str]()
    cleared, before_ms = 0, 0.0
    for now_ms in range(10_000):
        if now_ms >= 2000 and returned == wanted:
            break
        if now_ms % 97 == 0 and now_ms < 2000:
            playout.play(pcm(chance.choice([20, 60, 133, 400])))
            if chance.random() < 0.5:
                wanted.append(f"m{now_ms}")
                playout.mark(wanted[-1])
        if barge_in and now_ms < 2000 and chance.random() < 0.002:
            playout.hear(now_ms)
            playout.clear()
            cleared += 1
        if ((due_ms := playout.next_deadline_ms) is not None and due_ms <= now_ms) or now_ms % PTIME_MS == 0:
            up.put(now_ms, *playout.due(now_ms))
        for message in up.arrived(now_ms):
            assert isinstance(message, bytes)
            down.put(now_ms, *platform.take(message))
        for name in down.arrived(now_ms):
            assert isinstance(name, str)
            returned.append(name)
            playout.marked(name, now_ms)
        assert before_ms <= playout.played_ms <= playout.sent_ms
        before_ms = playout.played_ms
        off_ms = before_ms - platform.heard_ms
        assert abs(off_ms) <= 2 * PTIME_MS + up_ms + down_ms + CLEAR_MS * cleared
        down.put(now_ms, *platform.tick())
    assert returned == wanted


def test_with_a_lead_the_audio_has_no_holes_when_the_caller_is_late() -> None:
    for lead_ms, wanted in ((200, True), (0, False)):
        playout, platform = answering(lead_ms), Platform()
        playout.play(pcm(2000))
        for now_ms in range(2100):
            if now_ms == 0 or (now_ms // 150) % 2 == 0:  # it is away for 150 ms at a time
                for message in playout.due(now_ms):
                    platform.take(message)
            if platform.heard_ms < 2000:
                platform.tick()
        assert (platform.silent_ms == 0) is wanted


@pytest.mark.parametrize("sample_rate", [8000, 24_000])
def test_short_ends_leave_no_holes(sample_rate: int) -> None:
    sender = StreamSender("PCMU", role="endpoint", stream_id="MZ1", sample_rate=sample_rate)
    playout, platform = Playout(sender), Platform()
    now_ms = n_said = 0
    while platform.heard_ms < 50 * 43:
        if playout.next_deadline_ms is None:  # the speaker is just in time
            playout.play(bytes(2 * sample_rate * 43 // 1000))
            playout.mark("said")
            n_said += 1
        for message in playout.due(now_ms):
            platform.take(message)
        platform.tick()
        now_ms += 1
    assert platform.silent_ms == 0
    playout.hear(now_ms)
    assert abs(playout.played_ms - platform.heard_ms) <= PTIME_MS + n_said * sender.delay_ms


def test_clears_after_marks_that_came_back_add_up_to_no_error() -> None:
    delay_ms, n_answers = 50, 20
    playout, platform, up, down = answering(), Platform(), Line(delay_ms), Line(delay_ms)
    for now_ms in range(n_answers * 1500):
        if now_ms % 1500 == 0:
            playout.play(pcm(100))
            playout.mark("begun")
            playout.play(pcm(2000))
        if now_ms % 1500 == 1000:
            playout.hear(now_ms)
            playout.clear()
        up.put(now_ms, *playout.due(now_ms))
        for message in up.arrived(now_ms):
            assert isinstance(message, bytes)
            down.put(now_ms, *platform.take(message))
        for name in down.arrived(now_ms):
            assert isinstance(name, str)
            playout.marked(name, now_ms)
        down.put(now_ms, *platform.tick())
    assert platform.heard_ms == pytest.approx(1000 * n_answers, abs=2 * n_answers)
    assert playout.played_ms == pytest.approx(platform.heard_ms, abs=2 * n_answers)


@pytest.mark.parametrize("lead_ms", [0, 200])
def test_a_loop_that_stalls_moves_what_is_heard(lead_ms: int) -> None:
    playout, platform = answering(lead_ms), Platform()
    playout.play(pcm(4000))
    for now_ms in range(6000):
        if not 500 <= now_ms < 1500:
            for message in playout.due(now_ms):
                platform.take(message)
        platform.tick()
        playout.hear(now_ms)
        if now_ms >= 1500:
            assert abs(playout.played_ms - platform.heard_ms) <= PTIME_MS
    assert platform.heard_ms == 4000


def test_what_fills_no_packet_goes_out_when_it_is_flushed() -> None:
    playout = answering()
    playout.flush()
    assert playout.next_deadline_ms is None
    playout.play(pcm(105))
    assert len(playout.due(0)) == 5
    assert (playout.next_deadline_ms, playout.hear(1000)) == (None, 5)
    playout.flush()
    assert len(playout.due(1000)) == 1
    assert playout.hear(1005) == 0
    playout.play(pcm(20))
    assert len(playout.due(1006)) == 1


def test_a_frame_of_another_rate_or_with_two_channels_is_refused() -> None:
    playout, sender = answering(), StreamSender("PCMU")
    sender.start()
    for frame in (Frame(bytes(640), sample_rate=16_000), Frame(bytes(640), sample_rate=8000, channels=2)):
        with pytest.raises(FormatError, match="takes 8000 Hz and 1"):
            playout.play(frame)
        with pytest.raises(FormatError, match="takes 8000 Hz and 1"):
            sender.media(frame)
    playout.play(Frame(bytes(320), sample_rate=8000))
    assert len(sender.media(Frame(bytes(320), sample_rate=8000))) == 1


def test_barge_in_is_one_message() -> None:
    playout, platform = answering(), Platform()
    playout.play(pcm(1000))
    playout.mark("said")
    for message in playout.due(0):
        platform.take(message)
    for _ in range(100):
        platform.tick()
    playout.due(100)
    assert playout.clear() == 1000 - playout.sent_ms
    assert playout.next_deadline_ms == float("-inf")
    clear, mark = playout.due(100)
    assert json.loads(clear) == {"event": "clear", "streamSid": "MZ1"}
    assert json.loads(mark) == {"event": "mark", "mark": {"name": "said"}, "streamSid": "MZ1"}
    assert (playout.next_deadline_ms, playout.queued_ms, playout.played_ms) == (None, 0, 100)
    assert platform.take(clear) == []
    assert platform.take(mark) == ["said"]
    playout.marked("said", 110)  # it was not heard, all the same
    assert playout.played_ms == 100
    playout.play(pcm(20))
    assert len(playout.due(120)) == 1  # at once
    playout.due(140)
    assert playout.played_ms == 120


def test_marks_of_others_change_nothing_and_those_that_never_come_back_are_forgotten() -> None:
    playout = answering()
    for k in range(5000):
        playout.mark(f"m{k}")
        assert len(playout.due(0)) == 1
    assert len(playout._sent_marks) == 1024
    playout.marked("x", 10)
    playout.marked("m0", 10)
    assert len(playout._sent_marks) == 1024
    playout.marked("m4999", 10)
    assert len(playout._sent_marks) == 0
    assert playout.played_ms == 0


def test_messages_of_an_endpoint() -> None:
    sender = StreamSender("PCMU", role="endpoint", stream_id='M"Z')
    assert (sender.role, sender.tracks) == ("endpoint", ("outbound",))
    assert [json.loads(message) for message in sender.media(bytes(640)) + sender.dtmf("5", 100)] == [
        {"event": "media", "streamSid": 'M"Z', "media": {"payload": "/" * 213 + "w=="}},
        {"event": "media", "streamSid": 'M"Z', "media": {"payload": "/" * 213 + "w=="}},
        {"event": "dtmf", "streamSid": 'M"Z', "dtmf": {"digit": "5", "duration": 100}},
    ]
    sender.media(bytes(100))
    assert len(sender.clear()) == 1
    assert sender.stop() == []  # what was begun has been cleared
    with pytest.raises(LocalProtocolError, match="after stop"):
        sender.clear()
    with pytest.raises(LocalProtocolError, match="a platform begins"):
        sender.start()
    platform = StreamSender("PCMU")
    platform.start()
    with pytest.raises(LocalProtocolError, match="an endpoint says it"):
        platform.clear()


@pytest.mark.parametrize(
    "options", [{}, {"stream_id": "S", "tracks": ("outbound",)}, {"stream_id": "S", "account_id": "A"}]
)
def test_what_an_endpoint_cannot_say(options: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="role endpoint: takes a stream_id"):
        StreamSender("PCMU", role="endpoint", **options)  # type: ignore[arg-type]


def test_marks_that_wait_are_bounded() -> None:
    playout = Playout(StreamSender("PCMU", role="endpoint", stream_id="S"))
    playout.play(bytes(320))
    for number in range(1024):
        playout.mark(f"m{number}")
    with pytest.raises(LocalProtocolError, match="1024 marks and keys wait"):
        playout.mark("one more")
    assert len(playout.due(0)) == 1 + 1024
    playout.mark("again")
