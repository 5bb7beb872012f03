"""StreamSender: the messages as a plain JSON reader sees them, and the way back through StreamReceiver."""

import base64
import json
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.reference import stream as reference
from tests.reference.stream import samples_of
from trunkline import g711
from trunkline.errors import BufferTooSmallError, FormatError, LocalProtocolError, PayloadError
from trunkline.formats import CodecSpec, MediaFormat
from trunkline.resample import Resampler
from trunkline.stream import Dtmf, Event, Frame, Mark, Start, Stop, StreamReceiver, StreamSender
from trunkline.testing import speech_like
from trunkline.track import Packetizer

FORMATS = ["PCMU", "PCMA", "PCMU@8000h@30i", "L16", "L16@24000h@40i", "L16@11025h@40i"]
DIALECTS = ["signalwire", "twilio"]
TRACKS = ["inbound", "outbound"]

#: Turns: a track and what it says.
TURNS = st.lists(
    st.tuples(st.sampled_from(TRACKS), st.lists(st.integers(-32768, 32767), max_size=1500)), max_size=8
)


def read(messages: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def sent(sender: StreamSender, turns: list[tuple[str, list[int]]]) -> list[bytes]:
    messages = sender.start()
    for track, samples in turns:
        messages += sender.media(array("h", samples), track)
    return messages + sender.stop()


@given(st.sampled_from(FORMATS), st.sampled_from(DIALECTS), TURNS)
def test_media_messages(codec: str, dialect: str, turns: list[tuple[str, list[int]]]) -> None:
    sender = StreamSender(codec, dialect=dialect, tracks=TRACKS)
    messages = read(sent(sender, turns))
    spec = sender.format
    assert [message["sequenceNumber"] for message in messages[1:]] == [
        str(1 + i) for i in range(len(messages) - 1)
    ]
    for track in TRACKS:
        media = [m["media"] for m in messages if m["event"] == "media" and m["media"]["track"] == track]
        samples = [sample for name, said in turns if name == track for sample in said]
        packets = [
            samples[i : i + spec.samples_per_packet] for i in range(0, len(samples), spec.samples_per_packet)
        ]
        assert media == [
            {
                "track": track,
                "chunk": str(1 + i),
                "timestamp": str(i * spec.ptime_ms),
                "payload": base64.b64encode(reference.encode(spec.name, packet)).decode(),
            }
            for i, packet in enumerate(packets)
        ]
    assert messages[-1]["event"] == "stop"


@given(st.sampled_from(FORMATS), st.sampled_from(DIALECTS), TURNS, st.sampled_from([20, 40, 80]))
def test_what_is_sent_is_received(
    codec: str, dialect: str, turns: list[tuple[str, list[int]]], frame_ms: int
) -> None:
    sender = StreamSender(codec, dialect=dialect, tracks=TRACKS, account_id="A", custom_parameters={"k": "v"})
    frame_ms = 40 if sender.format.sample_rate == 11025 else frame_ms
    receiver = StreamReceiver(frame_ms=frame_ms)
    events: list[Event] = [event for message in sent(sender, turns) for event in receiver.receive(message)]
    rate = sender.format.sample_rate
    assert events[0] == Start(
        stream_id=sender.stream_id,
        call_id=sender.call_id,
        account_id="A",
        tracks=("inbound", "outbound"),
        media_format=MediaFormat(sender.format.name, rate),
        custom_parameters={"k": "v"},
        dialect=dialect,
    )
    for track in TRACKS:
        samples = [sample for name, said in turns if name == track for sample in said]
        coded = reference.decode(sender.format.name, reference.encode(sender.format.name, samples))
        got = [event for event in events if isinstance(event, Frame) and event.track == track]
        assert [(pytest.approx(f.timestamp_ms), samples_of(f)) for f in got] == list(
            reference.frames(coded, rate, frame_ms)
        )
    assert events[-1] == Stop()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_comes_through(text: str) -> None:
    for dialect in DIALECTS:
        sender = StreamSender(
            "PCMU",
            dialect=dialect,
            stream_id=text,
            call_id=text,
            account_id=text,
            custom_parameters={text: text},
        )
        receiver = StreamReceiver()
        messages = sender.start() + sender.mark(text) + sender.media(bytes(320)) + sender.stop()
        _, start, mark, frame, _ = [*receiver.receive(messages[0]), None] + [
            event for message in messages[1:] for event in receiver.receive(message)
        ]
        assert isinstance(start, Start)
        assert (start.stream_id, start.call_id, start.account_id) == (text, text, text)
        assert start.custom_parameters == {text: text}
        assert mark == Mark(text)
        assert isinstance(frame, Frame)


def test_signalwire_transcript() -> None:
    sender = StreamSender("PCMU", stream_id="s", call_id="c", account_id="a", custom_parameters={"k": "v"})
    messages = (
        sender.start() + sender.media(bytes(320)) + sender.dtmf("5", 2000) + sender.mark("m") + sender.stop()
    )
    assert read(messages) == [
        {"event": "connected", "protocol": "Call", "version": "0.2.0"},
        {
            "event": "start",
            "sequenceNumber": "1",
            "start": {
                "streamSid": "s",
                "accountSid": "a",
                "callSid": "c",
                "tracks": ["inbound"],
                "customParameters": {"k": "v"},
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        },
        {
            "event": "media",
            "sequenceNumber": "2",
            "media": {
                "track": "inbound",
                "chunk": "1",
                "timestamp": "0",
                "payload": base64.b64encode(b"\xff" * 160).decode(),
            },
        },
        {"event": "dtmf", "sequenceNumber": "3", "dtmf": {"digit": "5", "duration": 2000}},
        {"event": "mark", "mark": {"name": "m"}},
        {"event": "stop", "sequenceNumber": "4"},
    ]


def test_twilio_says_the_stream_in_every_message() -> None:
    sender = StreamSender(
        "L16", dialect="twilio", tracks=["outbound"], stream_id="s%d", call_id="c", account_id="a"
    )
    messages = read(
        sender.start() + sender.media(bytes(640)) + sender.dtmf("#") + sender.mark("m") + sender.stop()
    )
    assert messages[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert all(message["streamSid"] == "s%d" for message in messages[1:])
    assert messages[1]["start"]["streamSid"] == "s%d"
    assert messages[1]["start"]["mediaFormat"] == {
        "encoding": "audio/x-L16",
        "sampleRate": 16000,
        "channels": 1,
    }
    assert messages[3]["dtmf"] == {"digit": "#", "duration": 250, "track": "outbound"}
    assert messages[5]["stop"] == {"accountSid": "a", "callSid": "c"}


def test_ids_are_made_up_and_the_account_left_out() -> None:
    first, second = StreamSender("PCMU"), StreamSender("PCMU")
    assert len({first.stream_id, first.call_id, second.stream_id, second.call_id}) == 4
    assert first.account_id is None
    assert "accountSid" not in read(first.start())[1]["start"]


def test_flush_sends_a_short_packet() -> None:
    sender, receiver = StreamSender("PCMU"), StreamReceiver()
    messages = sender.start() + sender.media(bytes(2 * 170))
    messages += sender.flush() + sender.flush() + sender.media(bytes(2 * 160)) + sender.stop()
    media = [m["media"]["timestamp"] for m in read(messages) if m["event"] == "media"]
    assert media == ["0", "20", "21"]  # 170 samples are 21.25 ms
    events = [event for message in messages for event in receiver.receive(message)]
    assert sum(len(bytes(event)) for event in events if isinstance(event, Frame)) == 2 * 330


def test_pcm_of_another_rate_is_resampled_at_once() -> None:
    pcm = speech_like(0.2, 24000)
    sender, resampler = StreamSender("PCMU", sample_rate=24000), Resampler(24000, 8000)
    assert (sender.sample_rate, sender.format.sample_rate) == (24000, 8000)
    sender.start()
    for i in range(0, len(pcm), 960):
        (message,) = read(sender.media(pcm[i : i + 960]))
        payload = base64.b64decode(message["media"]["payload"])
        assert payload == g711.ulaw_encode(resampler.process(pcm[i : i + 960]))
        assert message["media"]["timestamp"] == str(i // 960 * 20)
    tail, _ = read(sender.stop())
    assert base64.b64decode(tail["media"]["payload"]) == g711.ulaw_encode(resampler.flush())


@given(
    st.sampled_from(["PCMU", "PCMA@8000h@30i", "L16@24000h@40i"]),
    st.sampled_from([8000, 11025, 24000, 48000]),
    st.lists(st.tuples(st.sampled_from(TRACKS), st.integers(0, 10**9)), max_size=20),
)
def test_media_into_writes_what_media_gives(
    codec: str, sample_rate: int, turns: list[tuple[str, int]]
) -> None:
    ptime = CodecSpec.parse(codec).ptime_ms
    assume(sample_rate * ptime % 1000 == 0)
    one, other = (
        StreamSender(codec, sample_rate=sample_rate, tracks=TRACKS, stream_id="S", call_id="C")
        for _ in range(2)
    )
    assert one.start() == other.start()
    out = bytearray(b"x" * (one.message_bytes_max + 7))
    for track, number in turns:
        pcm = array("h", [number % 30_000] * (number % (sample_rate * ptime // 1000 + 1)))
        n_bytes = other.media_into(pcm, out, track)
        assert one.media(pcm, track) == ([bytes(out[:n_bytes])] if n_bytes else [])
        assert bytes(out[one.message_bytes_max :]) == b"x" * 7
    assert one.stop() == other.stop()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("codec", [*FORMATS, "OPUS@16000h"])
def test_payloads_that_are_encoded_give_the_messages_of_their_pcm(codec: str, dialect: str) -> None:
    spec = CodecSpec.parse(codec)
    pcm = speech_like(0.6, spec.sample_rate)
    whole = len(pcm) // (2 * spec.samples_per_packet) * 2 * spec.samples_per_packet
    ids = {"dialect": dialect, "stream_id": "S", "call_id": "C", "tracks": TRACKS}
    ours, expected = StreamSender(spec, **ids), StreamSender(spec, **ids)
    assert ours.start() == expected.start()
    for track in TRACKS:
        payloads = Packetizer(spec).push(pcm[:whole])
        messages = [message for payload in payloads for message in ours.payload(payload, track)]
        assert messages == expected.media(pcm[:whole], track)
    assert ours.stop()[-1:] == expected.stop()[-1:] or spec.name == "OPUS"  # whose encoder holds a rest


def test_payloads_are_checked() -> None:
    sender = StreamSender("PCMU")
    with pytest.raises(LocalProtocolError, match="payload before start"):
        sender.payload(bytes(160))
    sender.start()
    for n_bytes in (0, 161):
        with pytest.raises(PayloadError, match=f"payload of {n_bytes} bytes: takes 1 to 160"):
            sender.payload(bytes(n_bytes))
    with pytest.raises(LocalProtocolError, match="not declared"):
        sender.payload(bytes(160), "outbound")
    with pytest.raises(TypeError):
        sender.payload(bytearray(160))  # type: ignore[arg-type]
    first, second = read(sender.payload(bytes(80)) + sender.payload(bytes(160)))
    assert [message["media"]["timestamp"] for message in (first, second)] == ["0", "10"]
    assert (first["media"]["chunk"], second["media"]["chunk"], second["sequenceNumber"]) == ("1", "2", "3")
    sender.stop()
    with pytest.raises(LocalProtocolError, match="payload after stop"):
        sender.payload(bytes(160))


def test_media_into_refuses_before_it_takes_anything() -> None:
    sender = StreamSender("PCMU", sample_rate=16000)
    with pytest.raises(LocalProtocolError, match="media before start"):
        sender.media_into(bytes(640), bytearray(1000))
    sender.start()
    with pytest.raises(BufferTooSmallError) as caught:
        sender.media_into(bytes(640), bytearray(sender.message_bytes_max - 1))
    assert (caught.value.needed, caught.value.available) == (
        sender.message_bytes_max,
        sender.message_bytes_max - 1,
    )
    with pytest.raises(ValueError, match="a packet's 320 samples at most, got 321"):
        sender.media_into(bytes(642), bytearray(1000))
    with pytest.raises(TypeError, match="out"):
        sender.media_into(bytes(640), bytes(1000))
    with pytest.raises(LocalProtocolError, match="'both' is not declared"):
        sender.media_into(bytes(640), bytearray(1000), "both")
    out = bytearray(1000)
    n_bytes = sender.media_into(bytes(640), out)
    assert json.loads(out[:n_bytes])["media"]["chunk"] == "1"


def test_properties() -> None:
    spec = CodecSpec("PCMA", 8000, 40)
    sender = StreamSender(spec, dialect="twilio", tracks=["outbound", "inbound"])
    assert (sender.format, sender.dialect, sender.tracks) == (spec, "twilio", ("outbound", "inbound"))
    sender.start()
    (message,) = sender.media(bytes(2 * 320))
    assert json.loads(message)["media"]["track"] == "outbound"
    assert StreamReceiver().receive(sender.mark("m")[0].replace(b"mark", b"new")) != []


@pytest.mark.parametrize(
    "arguments",
    [
        {"format": "OPUS@8000h@30i"},
        {"format": "G722"},
        {"format": "PCM"},
        {"format": "PCMU@8000"},
        {"sample_rate": 3999},
        {"sample_rate": 192_001},
        {"sample_rate": 11025},  # 20 ms are no whole number of samples
        {"dialect": "morse"},
        {"tracks": []},
        {"tracks": ["sideways"]},
        {"tracks": ["inbound", "inbound"]},
        {"tracks": "inbound"},
    ],
    ids=str,
)
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        StreamSender(**({"format": "PCMU"} | arguments))


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800"])
def test_text_that_the_peer_would_refuse(text: str) -> None:
    for arguments in (
        {"stream_id": text},
        {"call_id": text},
        {"account_id": text},
        {"custom_parameters": {"k": text}},
    ):
        with pytest.raises(LocalProtocolError):
            StreamSender("PCMU", **arguments)  # type: ignore[arg-type]
    sender = StreamSender("PCMU")
    sender.start()
    with pytest.raises(LocalProtocolError):
        sender.mark(text)


def test_parameters_must_be_text() -> None:
    with pytest.raises(TypeError):
        StreamSender("PCMU", custom_parameters={"k": 5})  # type: ignore[dict-item]


CALLS: dict[str, Callable[[StreamSender], list[bytes]]] = {
    "media": lambda sender: sender.media(bytes(320)),
    "flush": lambda sender: sender.flush(),
    "dtmf": lambda sender: sender.dtmf("1"),
    "mark": lambda sender: sender.mark("m"),
    "stop": lambda sender: sender.stop(),
}


@pytest.mark.parametrize("call", CALLS)
def test_out_of_order(call: str) -> None:
    sender = StreamSender("PCMU")
    with pytest.raises(LocalProtocolError, match=f"{call} before start"):
        CALLS[call](sender)
    sender.start()
    with pytest.raises(LocalProtocolError, match="started already"):
        sender.start()
    sender.stop()
    with pytest.raises(LocalProtocolError, match=f"{call} after stop"):
        CALLS[call](sender)


def test_wrong_values() -> None:
    sender = StreamSender("PCMU")
    sender.start()
    for digit in ("", "55", "E", "a", "\u0665"):
        with pytest.raises(LocalProtocolError):
            sender.dtmf(digit)
    with pytest.raises(LocalProtocolError):
        sender.dtmf("5", -1)
    with pytest.raises(LocalProtocolError, match="'outbound' is not declared: takes inbound"):
        sender.media(bytes(320), "outbound")
    with pytest.raises(ValueError, match="3"):
        sender.media(bytes(3))
    with pytest.raises(TypeError):
        sender.media(array("f", [0.5]))
    (dtmf,) = read(sender.dtmf("5"))
    assert dtmf["sequenceNumber"] == "2"  # nothing that was refused took a number
    receiver = StreamReceiver()
    for message in StreamSender("PCMU", dialect="twilio").start():
        receiver.receive(message)
    assert receiver.receive(json.dumps(dtmf)) == [Dtmf("5", 250, None)]


@pytest.mark.parametrize("sample_rate", [3999, 192001, True, 0, -8000])
def test_the_range_of_rates_is_named_before_the_ptime(sample_rate: int) -> None:
    with pytest.raises(FormatError, match=r"sample rate: takes 4000 to 192000 Hz, got"):
        StreamSender("PCMU", sample_rate=sample_rate)


def test_a_rate_is_a_whole_number() -> None:
    for wrong in ("24000", 24000.0):
        with pytest.raises(TypeError, match="integer"):
            StreamSender("PCMU", sample_rate=wrong)  # type: ignore[arg-type]


def test_a_mark_that_no_endpoint_reads_is_refused() -> None:
    sender = StreamSender("PCMU")
    sender.start()
    with pytest.raises(LocalProtocolError, match=r"message of 7[0-9]{4} bytes: takes up to 65536"):
        sender.mark("x" * 70_000)
    assert StreamReceiver(role="platform", format="PCMU").receive(sender.mark("x" * 65_000)[0])
