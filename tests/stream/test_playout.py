"""Playout with a clock of the test's own: deadlines, lateness, underrun, clear, the order of messages."""

import base64
import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.stream import samples_of
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.resample import Resampler
from trunkline.stream import Frame, Playout, StreamReceiver, StreamSender
from trunkline.testing import tone

RATE = 8000
AT_ONCE = float("-inf")


def pcm(duration_ms: float) -> bytes:
    return bytes(2 * round(duration_ms * RATE / 1000))


def made(*, lead_ms: float = 0, tracks: tuple[str, ...] = ("inbound",), codec: str = "PCMU") -> Playout:
    sender = StreamSender(codec, tracks=tracks)
    sender.start()
    return Playout(sender, lead_ms=lead_ms)


def said(messages: list[bytes]) -> list[str]:
    """What messages say: a mark's name, a digit, "stop", or the chunk of a track: i1, o1."""
    texts = []
    for message in map(json.loads, messages):
        match message:
            case {"mark": mark}:
                texts.append(mark["name"])
            case {"dtmf": dtmf}:
                texts.append(dtmf["digit"])
            case {"media": media}:
                texts.append(media["track"][0] + media["chunk"])
            case _:
                texts.append(message["event"])
    return texts


def run(playout: Playout, until_ms: float) -> list[tuple[float, str]]:
    """Serve every deadline on time; return when each message left."""
    left: list[tuple[float, str]] = []
    while (deadline := playout.next_deadline_ms) is not None and deadline <= until_ms:
        assert deadline > AT_ONCE, "call due() once first"
        left += [(deadline, text) for text in said(playout.due(deadline))]
    return left


@given(st.lists(st.floats(0, 500), min_size=1, max_size=20), st.floats(-1e6, 1e6))
def test_deadlines_do_not_drift_with_lateness(pauses: list[float], begin: float) -> None:
    playout = made()
    playout.play(pcm(60_000))
    assert playout.next_deadline_ms == AT_ONCE
    now, count = begin, len(playout.due(begin))
    for pause in pauses:
        now += pause
        count += len(playout.due(now))
        assert playout.next_deadline_ms == begin + count * 20
        assert begin + (count - 1) * 20 <= now < begin + count * 20
    assert playout.sent_ms == count * 20
    assert playout.queued_ms == 60_000 - count * 20


def test_each_packet_leaves_at_its_deadline() -> None:
    playout = made(codec="PCMU@8000h@30i")
    playout.play(pcm(120))
    assert said(playout.due(500)) == ["i1"]
    assert said(playout.due(529.999)) == []
    assert run(playout, 10_000) == [(530, "i2"), (560, "i3"), (590, "i4")]
    assert playout.next_deadline_ms is None
    assert (playout.queued_ms, playout.sent_ms) == (0, 120)


def test_pcm_of_another_rate_has_the_same_deadlines() -> None:
    sender = StreamSender("PCMU", sample_rate=48000)
    sender.start()
    playout = Playout(sender, lead_ms=0)
    playout.play(bytes(2 * 48 * 50))
    assert said(playout.due(500)) == ["i1"]
    assert (playout.queued_ms, playout.sent_ms) == (30, 20)
    playout.finish()
    # The rest, 10 ms and what the filter holds, is one short packet.
    assert run(playout, 1000) == [(520, "i2"), (540, "i3"), (560, "stop")]
    assert playout.sent_ms == 50


def raised(codec: str = "L16@8000h@20i") -> tuple[Playout, StreamSender]:
    sender = StreamSender(codec, sample_rate=16000)
    sender.start()
    return Playout(sender, lead_ms=0), sender


def audio(messages: list[bytes]) -> bytes:
    return b"".join(base64.b64decode(json.loads(message)["media"]["payload"]) for message in messages)


def test_the_end_of_an_utterance_comes_before_its_mark() -> None:
    playout, sender = raised()
    pcm = tone(0.06, 1000, sample_rate=16000)
    resampler = Resampler(16000, 8000)
    assert sender.delay_ms == resampler.delay_samples / 8 == 2.375
    playout.play(pcm[: 2 * 640])
    playout.mark("a")  # the audio goes on behind it
    playout.play(pcm[2 * 640 :])
    playout.mark("b")
    media = playout.due(0)
    left = [playout.due(at) for at in (20, 40, 60, 80)]
    assert [said(messages) for messages in left] == [["i2"], ["a", "i3"], ["i4"], ["b"]]
    media += left[0] + left[1][1:] + left[2]
    assert audio(media) == resampler.process(pcm) + resampler.flush()
    assert playout.next_deadline_ms is None
    playout.finish()
    assert run(playout, 1000) == [(80, "stop")]  # there is no end any more


def test_a_mark_that_comes_late_brings_the_end_at_once() -> None:
    playout, _ = raised()
    playout.play(bytes(2 * 320))
    assert said(playout.due(0)) == ["i1"]
    assert playout.next_deadline_ms is None
    playout.mark("m")
    assert said(playout.due(7000)) == ["i2"]
    assert run(playout, 8000) == [(7020, "m")]
    playout.play(bytes(2 * 320))
    playout.finish()
    assert run(playout, 8000) == [(7040 - 20, "i3"), (7040, "i4"), (7060, "stop")]


def test_clear_drops_what_the_filter_holds() -> None:
    (interrupted, _), (fresh, _) = raised(), raised()
    interrupted.play(tone(0.1, 1000, sample_rate=16000))
    interrupted.due(0)
    interrupted.mark("m")
    assert interrupted.clear() == 80
    assert said(interrupted.due(20)) == ["m"]
    for playout in (interrupted, fresh):
        playout.play(tone(0.02, 300, sample_rate=16000))
    assert audio(interrupted.due(5000)) == audio(fresh.due(5000))
    interrupted.clear()
    interrupted.finish()
    assert said(interrupted.due(5020)) == ["stop"]


@pytest.mark.usefixtures("libopus")
def test_the_encoder_holds_an_end_too() -> None:
    sender = StreamSender("OPUS@16000h@20i")
    sender.start()
    playout = Playout(sender, lead_ms=0)
    assert sender.delay_ms == 6.5
    playout.play(tone(0.04, 1000, sample_rate=16000))
    playout.mark("m")
    playout.due(0)
    assert run(playout, 1000) == [(20, "i2"), (40, "i3"), (60, "m")]
    playout.play(tone(0.04, 1000, sample_rate=16000))
    playout.due(2000)
    playout.clear()
    playout.finish()
    assert run(playout, 3000) == [(2020, "stop")]


def test_lead() -> None:
    playout = made(lead_ms=100)
    playout.play(pcm(400))
    assert len(playout.due(0)) == 6  # due at 0, 20 ... 100
    assert playout.next_deadline_ms == 20
    assert len(playout.due(19)) == 0
    assert len(playout.due(20)) == 1


def test_underrun_begins_anew() -> None:
    playout = made()
    playout.play(pcm(40))
    playout.due(0)
    assert run(playout, 1000) == [(20, "i2")]
    playout.play(pcm(60))  # 7 s later; nothing is caught up
    assert said(playout.due(7001)) == ["i3"]
    assert run(playout, 8000) == [(7021, "i4"), (7041, "i5")]


def test_audio_that_comes_in_time_goes_on_without_a_gap() -> None:
    playout = made()
    playout.play(pcm(20))
    playout.due(0)
    playout.play(pcm(20))  # the queue is empty, but the packet is still playing
    assert said(playout.due(13)) == []
    assert run(playout, 100) == [(20, "i2")]
    playout.play(pcm(20))
    assert playout.next_deadline_ms == 40
    assert said(playout.due(40)) == ["i3"]


def test_pieces_of_any_length_become_whole_packets() -> None:
    playout = made()
    playout.play(pcm(30))
    assert said(playout.due(0)) == ["i1"]
    assert playout.next_deadline_ms is None
    assert playout.queued_ms == 10
    playout.play(pcm(30))
    assert playout.next_deadline_ms == 20
    assert run(playout, 100) == [(20, "i2"), (40, "i3")]


def test_tracks_share_their_deadlines() -> None:
    playout = made(tracks=("inbound", "outbound"))
    playout.play(pcm(60))
    playout.play(pcm(40), "outbound")
    assert said(playout.due(0)) == ["i1", "o1"]
    assert run(playout, 100) == [(20, "i2"), (20, "o2"), (40, "i3")]
    assert playout.sent_ms == 60


def test_what_waits_behind_audio() -> None:
    playout = made()
    playout.mark("a")
    assert playout.next_deadline_ms == AT_ONCE
    assert said(playout.due(-5)) == ["a"]  # no audio before it: at once
    playout.play(pcm(40))
    playout.mark("b")
    playout.dtmf("5")
    playout.play(pcm(20))
    playout.mark("c")
    playout.finish()
    assert said(playout.due(0)) == ["i1"]
    assert run(playout, 1000) == [(20, "i2"), (40, "b"), (40, "5"), (40, "i3"), (60, "c"), (60, "stop")]
    assert playout.next_deadline_ms is None


def test_mark_waits_for_both_tracks() -> None:
    playout = made(tracks=("inbound", "outbound"))
    playout.play(pcm(20))
    playout.play(pcm(60), "outbound")
    playout.mark("m")
    playout.play(pcm(10))  # behind the mark: it waits for the rest of its packet
    assert said(playout.due(0)) == ["i1", "o1"]
    assert run(playout, 1000) == [(20, "o2"), (40, "o3"), (60, "m")]
    assert playout.queued_ms == 10


def test_mark_within_a_packet() -> None:
    playout = made()
    playout.play(pcm(30))
    playout.mark("filled up")
    playout.due(0)
    playout.play(pcm(25))
    playout.mark("not filled up")
    assert run(playout, 1000) == [(20, "i2"), (40, "filled up"), (40, "i3"), (60, "not filled up")]
    assert playout.sent_ms == 55


@given(st.lists(st.integers(0, 700), max_size=12), st.integers(0, 100))
def test_every_sample_is_sent_once(lengths: list[int], lead_ms: int) -> None:
    sender, receiver = StreamSender("L16@8000h@20i"), StreamReceiver()
    messages = sender.start()
    playout = Playout(sender, lead_ms=lead_ms)
    expected: list[int] = []
    now = 0.0
    for i, length in enumerate(lengths):
        samples = [(len(expected) + k) % 30000 for k in range(length)]
        expected += samples
        playout.play(array("h", samples))
        if i % 3 == 0:
            playout.mark(str(i))
        messages += playout.due(now)
        now += 35
    playout.finish()
    while (deadline := playout.next_deadline_ms) is not None:
        now = max(now, deadline)
        messages += playout.due(now)
    events = [event for message in messages for event in receiver.receive(message)]
    got = [sample for event in events if isinstance(event, Frame) for sample in samples_of(event)]
    assert got == expected
    assert receiver.ended
    assert [text for text in said(messages) if text.isdigit()] == [str(i) for i in range(0, len(lengths), 3)]
    assert playout.sent_ms == len(expected) / 8


def test_clear() -> None:
    playout = made(tracks=("inbound", "outbound"))
    playout.play(pcm(100))
    playout.play(pcm(50), "outbound")
    playout.mark("a")
    playout.play(pcm(30))
    playout.mark("b")
    assert said(playout.due(0)) == ["i1", "o1"]
    assert playout.clear() == 110
    assert playout.queued_ms == 0
    assert run(playout, 1000) == [(20, "a"), (20, "b")]
    assert playout.clear() == 0
    playout.play(pcm(40))
    assert said(playout.due(5000)) == ["i2"]
    assert run(playout, 6000) == [(5020, "i3")]


def test_clear_while_audio_was_due() -> None:
    playout = made()
    playout.play(pcm(100))
    playout.due(0)
    playout.clear()
    playout.play(pcm(40))
    assert said(playout.due(5000)) == ["i2"]


def test_rest_goes_with_the_stop() -> None:
    playout = made(tracks=("inbound", "outbound"))
    playout.play(pcm(25))
    playout.play(pcm(10), "outbound")
    playout.finish()
    assert said(playout.due(0)) == ["i1", "o1"]
    assert run(playout, 1000) == [(20, "i2"), (40, "stop")]


def test_out_of_order() -> None:
    playout = made()
    playout.finish()
    for call in (
        lambda: playout.play(pcm(20)),
        lambda: playout.mark("m"),
        lambda: playout.dtmf("1"),
        playout.finish,
    ):
        with pytest.raises(LocalProtocolError, match="after finish"):
            call()
    assert said(playout.due(0)) == ["stop"]

    sender = StreamSender("PCMU")
    playout = Playout(sender, lead_ms=0)
    playout.play(pcm(40))
    with pytest.raises(LocalProtocolError, match="before start"):
        playout.due(0)
    sender.start()
    assert said(playout.due(20)) == ["i1"]  # nothing was lost
    assert said(playout.due(40)) == ["i2"]


def test_wrong_values() -> None:
    playout = made()
    with pytest.raises(LocalProtocolError, match="'outbound' is not declared"):
        playout.play(pcm(20), "outbound")
    with pytest.raises(ValueError, match="3 bytes"):
        playout.play(bytes(3))
    with pytest.raises(TypeError):
        playout.play(array("f", [0.5]))
    with pytest.raises(TypeError):
        playout.play(memoryview(pcm(20))[::2])
    with pytest.raises(LocalProtocolError):
        playout.mark("\0")
    with pytest.raises(LocalProtocolError):
        playout.dtmf("55")
    assert playout.next_deadline_ms is None
    for lead_ms in (-1, float("nan"), float("inf")):
        with pytest.raises(FormatError):
            made(lead_ms=lead_ms)


def test_audio_is_copied() -> None:
    playout = made(codec="L16@8000h")
    samples = array("h", range(160))
    playout.play(samples)
    samples[0] = 77
    (message,) = playout.due(0)
    assert json.loads(message)["media"]["payload"].startswith("AAABAAIA")


def test_a_clear_before_the_start_and_after_the_end_drops_what_there_is() -> None:
    sender = StreamSender("PCMU", sample_rate=16_000)
    playout = Playout(sender)
    playout.play(bytes(640))
    assert playout.clear() == 20
    sender.start()
    playout.play(bytes(640))
    playout.finish()
    assert len(playout.due(0)) == 3  # the filter's rest, too
    assert playout.clear() == 0
