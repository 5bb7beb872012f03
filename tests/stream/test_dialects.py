"""Every dialect's two ends speak with each other and say what SignalWire's would; none is another."""

import random
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import stream as reference
from tests.stream.wires import BYTE_STREAMS, audio_of, carried, received, told
from trunkline.convert import convert
from trunkline.convert.capture_info import capture_info
from trunkline.errors import FormatError, LocalProtocolError, RemoteProtocolError
from trunkline.formats import CodecSpec, MediaFormat
from trunkline.stream import (
    CaptureWriter,
    Cleared,
    Dtmf,
    Event,
    Frame,
    Mark,
    Payload,
    Playout,
    Start,
    Stop,
    StreamReceiver,
    StreamSender,
    read_capture,
)
from trunkline.stream.dialects import DIALECTS
from trunkline.wav import WavReader

FORMATS = {
    "signalwire": ["PCMU", "PCMA", "L16@24000h@40i"],
    "twilio": ["PCMU", "L16@8000h"],
    "telnyx": ["PCMU", "PCMA", "L16@16000h"],
    "plivo": ["PCMU", "L16@8000h", "L16@16000h"],
    "exotel": ["L16@8000h@100i", "L16@16000h@100i", "PCMU@8000h@100i"],
    "vonage": ["L16@8000h", "L16@16000h", "L16@24000h"],
    "audiosocket": ["L16@8000h", "L16@12000h", "L16@44100h", "L16@48000h@60i"],
}
ALL = [(dialect, codec) for dialect, codecs in FORMATS.items() for codec in codecs]
ONE_TRACK = ("vonage", "audiosocket")
NO_MARKS = ("audiosocket",)
CLOSED = ("plivo", "vonage", "audiosocket")  # closing ends them
NO_KEYS_BACK = ("telnyx", "exotel", "vonage", "audiosocket")
CALL_ID = "40325ec2-5efd-4bd3-805f-53576e581d13"

#: What is done in turn: to say so many samples on a track, a key, a mark.
TURNS = st.lists(
    st.tuples(
        st.sampled_from(["inbound", "outbound", "key", "mark"]), st.integers(0, 3000), st.integers(0, 2**32)
    ),
    max_size=8,
)


def sender_of(dialect: str, codec: str, **options: object) -> StreamSender:
    tracks = ["inbound"] if dialect in ONE_TRACK else ["inbound", "outbound"]
    return StreamSender(codec, dialect=dialect, tracks=tracks, call_id=CALL_ID, **options)  # type: ignore[arg-type]


def samples_from(seed: int, n: int) -> "array[int]":
    chance = random.Random(seed)
    return array("h", [chance.randint(-32768, 32767) for _ in range(n)])


def said_by(sender: StreamSender, turns: list[tuple[str, int, int]]) -> list[bytes]:
    """Give the messages of a platform that does these turns, as far as its dialect has them."""
    messages = sender.start()
    for what, n, seed in turns:
        if what in sender.tracks:
            messages += sender.media(samples_from(seed, n), what)
        elif what == "key":
            messages += sender.dtmf("0123456789*#ABCD"[n % 16])
        elif what == "mark" and sender.dialect not in NO_MARKS:
            messages += sender.mark(f"m{n}")
    return messages + sender.stop()


@given(st.sampled_from(ALL), TURNS, st.integers(0, 2**32))
def test_a_platform_is_heard(which: tuple[str, str], turns: list[tuple[str, int, int]], seed: int) -> None:
    dialect, codec = which
    sender, receiver = sender_of(dialect, codec, account_id="A"), StreamReceiver()
    events = received(receiver, carried(sender, said_by(sender, turns), seed)) + receiver.close(in_order=True)
    assert isinstance(events[0], Start)
    spec = CodecSpec.parse(codec)
    assert (events[0].dialect, events[0].call_id) == (dialect, CALL_ID)
    is_silent = not any(n for what, n, _ in turns if what == "inbound")
    rate = 8000 if dialect == "audiosocket" and is_silent else spec.sample_rate  # which the audio says
    assert events[0].media_format == MediaFormat(spec.name, rate)
    assert events[0].stream_id == {"vonage": "", "audiosocket": CALL_ID}.get(dialect, sender.stream_id)
    assert events[0].account_id == (None if dialect in ONE_TRACK else "A")
    for track in sender.tracks:
        samples = [sample for what, n, at in turns if what == track for sample in samples_from(at, n)]
        coded = reference.decode(spec.name, reference.encode(spec.name, samples))
        assert audio_of(events, track) == array("h", coded).tobytes()
        if samples:
            stats = receiver.stats[track]
            assert (stats.lost, stats.late, stats.concealed_ms, stats.resyncs) == (0, 0, 0.0, 0)
    keys = ["0123456789*#ABCD"[n % 16] for what, n, _ in turns if what == "key"]
    marks = [f"m{n}" for what, n, _ in turns if what == "mark" and dialect not in NO_MARKS]
    assert [event.digit for event in events if isinstance(event, Dtmf)] == keys
    assert [event.name for event in events if isinstance(event, Mark)] == marks
    assert [event for event in events if isinstance(event, Stop)] == [Stop()] == events[-1:]


def plain(event: object) -> object:
    """Leave out what not every dialect tells of a key, and of a payload."""
    if isinstance(event, Dtmf):
        return Dtmf(event.digit, None, None)
    if isinstance(event, Payload):
        return Payload(event.track, event.payload, event.timestamp_ms, None)
    return event


def is_of(event: Event, track: str) -> bool:
    return not isinstance(event, Frame | Payload) or event.track == track


@given(st.sampled_from(ALL), TURNS)
def test_frames_are_those_of_signalwire(which: tuple[str, str], turns: list[tuple[str, int, int]]) -> None:
    """Their times, too, and where they lie between marks and keys."""
    dialect, codec = which
    sender = sender_of(dialect, codec)
    other = StreamSender(codec, tracks=sender.tracks, call_id=CALL_ID)
    if dialect in NO_MARKS:
        turns = [turn for turn in turns if turn[0] != "mark"]
    heard: list[list[list[object]]] = []
    for one in (sender, other):
        receiver = StreamReceiver(output="both")
        events = received(receiver, carried(one, said_by(one, turns))) + receiver.close(in_order=True)
        tracks = [[e for e in events[1:] if is_of(e, track)] for track in sender.tracks]
        heard.append([list(map(plain, told(track))) for track in tracks])
    assert heard[0] == heard[1]


@given(st.sampled_from(ALL), TURNS, st.integers(0, 2**32))
def test_payloads_are_passed_on(which: tuple[str, str], turns: list[tuple[str, int, int]], seed: int) -> None:
    dialect, codec = which
    sender, receiver = sender_of(dialect, codec), StreamReceiver(output="encoded")
    events = received(receiver, carried(sender, said_by(sender, turns), seed)) + receiver.close()
    spec = CodecSpec.parse(codec)
    for track in sender.tracks:
        payloads = [event for event in events if isinstance(event, Payload) and event.track == track]
        samples = [sample for what, n, at in turns if what == track for sample in samples_from(at, n)]
        assert b"".join(payload.payload for payload in payloads) == reference.encode(spec.name, samples)
        assert [payload.timestamp_ms for payload in payloads] == [
            k * spec.ptime_ms for k in range(len(payloads))
        ]


@given(
    st.sampled_from(ALL),
    st.lists(
        st.tuples(st.sampled_from(["media", "mark", "clear", "key"]), st.integers(0, 2000)), max_size=10
    ),
    st.integers(0, 2**32),
)
def test_an_endpoint_is_heard_as_signalwire_would_be(
    which: tuple[str, str], turns: list[tuple[str, int]], seed: int
) -> None:
    dialect, codec = which
    lacks = {"mark", "clear", "key"} if dialect == "audiosocket" else set()
    lacks |= {"key"} if dialect in NO_KEYS_BACK else set()
    heard: list[list[object]] = []
    for name in (dialect, "signalwire"):
        sender = StreamSender(codec, role="endpoint", stream_id="S", dialect=name)
        receiver = StreamReceiver(role="platform", format=codec, stream_id="S", dialect=name)
        messages: list[bytes] = []
        for what, n in turns:
            if what == "media":
                messages += sender.media(samples_from(seed, n))
            elif what not in lacks:
                messages += {
                    "mark": lambda sender=sender, n=n: sender.flush() + sender.mark(f"m{n}"),
                    "clear": sender.clear,
                    "key": lambda sender=sender: sender.dtmf("5"),
                }[what]()
        events = received(receiver, carried(sender, messages + sender.stop(), seed))
        heard.append(
            [plain(event) for event in told(events + receiver.close()) if not isinstance(event, Stop)]
        )
    assert heard[0] == heard[1]


@pytest.mark.parametrize("dialect", ["plivo", "vonage"])
def test_a_platform_says_that_it_has_cleared(dialect: str) -> None:
    sender, receiver = sender_of(dialect, "L16@16000h"), StreamReceiver()
    events = received(receiver, carried(sender, sender.start() + sender.cleared()))
    assert events[1:] == [Cleared()]


def test_where_nobody_says_so_a_platform_has_no_message_for_it() -> None:
    for dialect in set(DIALECTS) - {"plivo", "vonage"}:
        sender = sender_of(dialect, FORMATS[dialect][0])
        sender.start()
        assert sender.cleared() == []
    endpoint = StreamSender("PCMU", role="endpoint", stream_id="S")
    with pytest.raises(LocalProtocolError, match="a platform says it"):
        endpoint.cleared()


@given(st.sampled_from(ALL), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_comes_through(which: tuple[str, str], text: str) -> None:
    dialect, codec = which
    parameters = {"k": text, f"k{text}": "v"}
    if dialect == "plivo":
        parameters = {
            name.translate({59: None, 61: None}): value.replace(";", "") for name, value in parameters.items()
        }
    elif dialect == "audiosocket":
        parameters = {}
    call_id = CALL_ID if dialect == "audiosocket" else text
    sender = StreamSender(
        codec, dialect=dialect, stream_id=text, call_id=call_id, custom_parameters=parameters
    )
    receiver = StreamReceiver()
    messages = (
        sender.start() + ([] if dialect in NO_MARKS else sender.mark(text)) + sender.media(bytes(19200))
    )
    start, *events = received(receiver, carried(sender, messages))
    assert isinstance(start, Start)
    assert start.call_id == call_id
    assert start.custom_parameters == (parameters | {"uuid": call_id} if dialect == "vonage" else parameters)
    if dialect not in ONE_TRACK:
        assert start.stream_id == text
    assert [event for event in events if isinstance(event, Mark)] == (
        [] if dialect in NO_MARKS else [Mark(text)]
    )
    assert any(isinstance(event, Frame) for event in events)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_is_of_one_dialect(dialect: str) -> None:
    """Told another, a receiver does not begin; Twilio's and SignalWire's are read alike."""
    sender = sender_of(dialect, FORMATS[dialect][0])
    begin = carried(sender, sender.start() + sender.media(bytes(9600)))
    alike = {"signalwire", "twilio"}
    for other in DIALECTS:
        receiver = StreamReceiver(dialect=other)
        for message in begin:
            try:
                receiver.receive(message)
            except (RemoteProtocolError, LocalProtocolError):
                continue
        same = other == dialect or {other, dialect} <= alike
        assert (receiver.start is not None) == same, other
        if receiver.start is not None:
            assert receiver.start.dialect == other


def test_who_asked_for_the_wrong_dialect_is_told_so() -> None:
    for dialect, other, hint in (
        ("telnyx", "twilio", r" \(dialect='twilio' was asked for, and this looks like 'telnyx'\)$"),
        ("signalwire", "plivo", r" \(dialect='plivo' was asked for\)$"),
    ):
        receiver = StreamReceiver(dialect=other)
        messages = sender_of(dialect, FORMATS[dialect][0]).start()
        with pytest.raises(RemoteProtocolError, match=hint):
            list(map(receiver.receive, messages))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_bytes_do_for_text_where_bytes_are_no_audio(dialect: str) -> None:
    sender = sender_of(dialect, FORMATS[dialect][0])
    messages = sender.start() + sender.media(bytes(9600))
    receiver = StreamReceiver()
    if dialect == "vonage":
        with pytest.raises(LocalProtocolError, match="text messages as str"):
            received(receiver, map(bytes, messages))
    else:
        events = received(receiver, map(bytes, messages))
        assert any(isinstance(event, Frame) for event in events)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_an_end_has_no_message_for_is_refused_at_once(dialect: str) -> None:
    codec = FORMATS[dialect][0]
    endpoint = StreamSender(codec, role="endpoint", stream_id="S", dialect=dialect)
    playout = Playout(endpoint)
    for what, lacks in (("mark", NO_MARKS), ("dtmf", NO_KEYS_BACK)):
        for one in (endpoint, playout):
            call: Callable[[str], object] = getattr(one, what)
            if dialect in lacks:
                with pytest.raises(LocalProtocolError, match=f"{what}: {dialect} has none from its endpoint"):
                    call("5")
            else:
                call("5")
    with pytest.raises(LocalProtocolError, match="a platform begins"):
        endpoint.start()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_barge_in(dialect: str) -> None:
    start = received(
        StreamReceiver(), carried(sender := sender_of(dialect, FORMATS[dialect][0]), _begun(sender))
    )[0]
    assert isinstance(start, Start)
    answer = StreamSender.answer(start)
    playout = Playout(answer)
    playout.play(bytes(2 * answer.sample_rate))
    n_sent = len(playout.due(0))
    assert n_sent == 200 // answer.format.ptime_ms + 1
    assert playout.clear() == 1000 - n_sent * answer.format.ptime_ms
    assert len(playout.due(1)) == (0 if dialect == "audiosocket" else 1)
    playout.play(bytes(2 * answer.sample_rate // 10))
    assert playout.next_deadline_ms is not None


def _begun(sender: StreamSender) -> list[bytes]:
    return sender.start() + sender.media(bytes(9600))


@pytest.mark.parametrize("dialect", sorted(set(DIALECTS) - {"twilio"}))
def test_a_capture_is_the_call_again(dialect: str, tmp_path: Path) -> None:
    codec = FORMATS[dialect][0]
    sender = sender_of(dialect, codec)
    said = said_by(sender, [("inbound", 3000, 1), ("key", 5, 0), ("mark", 1, 0), ("inbound", 2000, 2)])
    arrived = carried(sender, said)
    live = StreamReceiver()
    expected = told(received(live, arrived) + live.close(in_order=True))
    path = tmp_path / "call.jsonl"
    with CaptureWriter(path) as capture:
        for number, message in enumerate(arrived):
            capture.write(message, 10.0 * number, binary=isinstance(message, bytes))
    again = StreamReceiver()
    events = received(again, (message.message for message in read_capture(path)))
    events += again.close(in_order=True)
    assert told(events) == expected
    kept = capture_info(path)
    assert (kept.left_out, kept.encoding, kept.call_id) == (0, sender.format.name, CALL_ID)
    assert kept.stopped
    convert(path, tmp_path / "call.wav")
    with WavReader(tmp_path / "call.wav") as wav:
        n_channels = wav.channels
        samples = array("h", b"".join(wav.blocks(8000)))
    assert samples[::n_channels].tobytes() == audio_of(events, "inbound")


def test_formats_that_a_platform_has_not() -> None:
    for dialect, codec in [
        ("plivo", "PCMA"),
        ("plivo", "L16@24000h"),
        ("exotel", "PCMA"),
        ("vonage", "PCMU"),
        ("vonage", "L16@48000h"),
        ("audiosocket", "PCMU"),
        ("audiosocket", "L16@11025h@40i"),
    ]:
        with pytest.raises(FormatError, match=f"{dialect}: .* takes "):
            StreamSender(codec, dialect=dialect)
    for tracks in (["inbound", "outbound"], ["outbound"]):
        with pytest.raises(FormatError, match="takes inbound alone"):
            StreamSender("L16", dialect="vonage", tracks=tracks)
    with pytest.raises(FormatError, match="no UUID"):
        StreamSender("L16@8000h", dialect="audiosocket", call_id="call-1")
    with pytest.raises(LocalProtocolError, match="no semicolon"):
        StreamSender("PCMU", dialect="plivo", custom_parameters={"a": "b;c"})


def test_a_stream_that_is_closed_in_order_has_ended_where_there_is_no_stop() -> None:
    for dialect in DIALECTS:
        sender, receiver = sender_of(dialect, FORMATS[dialect][0]), StreamReceiver()
        received(receiver, carried(sender, _begun(sender)))
        events: list[Event] = receiver.close(in_order=True)
        assert (Stop() in events) == (not receiver.needs_stop) == (dialect in CLOSED)
        assert receiver.close(in_order=True) == []
    receiver = StreamReceiver()
    assert (receiver.needs_stop, receiver.is_binary, receiver.close(in_order=True)) == (True, False, [])


def test_byte_streams_are_those_that_are_cut() -> None:
    assert tuple(name for name, dialect in DIALECTS.items() if dialect.is_byte_stream) == BYTE_STREAMS
