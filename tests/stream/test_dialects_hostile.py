"""What no carrier sends, in each dialect: its documented error, and the stream as it was."""

import json
import random
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stream.test_dialects import ALL, CALL_ID, FORMATS, said_by, sender_of
from tests.stream.test_media_messages import anything, objects, outcome, values
from tests.stream.test_media_messages import bodies as track_bodies
from tests.stream.wires import carried, received, told
from trunkline.errors import (
    FormatError,
    LocalProtocolError,
    PayloadError,
    RemoteProtocolError,
    TrunklineError,
)
from trunkline.stream import StreamReceiver, StreamSender
from trunkline.stream.dialects import DIALECTS

RPE = RemoteProtocolError


def text(**fields: Any) -> str:
    return json.dumps(fields)


#: For a stream that has begun: dialect, message, error, words.
WRONG: list[tuple[str, str | bytes, type[Exception], str]] = [
    ("telnyx", text(event="media"), RPE, "media message: .*`media`"),
    (
        "telnyx",
        text(event="media", stream_id="other", media={"track": "inbound", "timestamp": "0", "payload": ""}),
        RPE,
        "'other' in stream",
    ),
    (
        "telnyx",
        text(event="media", media={"track": "sideways", "timestamp": "0", "payload": ""}),
        RPE,
        "'sideways': takes inbound, outbound",
    ),
    (
        "telnyx",
        text(event="media", media={"track": "inbound", "timestamp": "x", "payload": ""}),
        RPE,
        "timestamp 'x'",
    ),
    (
        "telnyx",
        text(event="media", media={"track": "inbound", "timestamp": 2**53 + 1, "payload": ""}),
        RPE,
        r"\$\.media\.timestamp",
    ),
    (
        "telnyx",
        text(event="media", media={"track": "inbound", "timestamp": "0", "payload": "A"}),
        PayloadError,
        ".",
    ),
    ("telnyx", text(event="media", media={"timestamp": "0", "payload": ""}), RPE, "`track`"),
    ("telnyx", text(event="stop", sequence_number="last"), RPE, "sequence_number 'last'"),
    ("telnyx", text(event="dtmf", dtmf={"digit": 1}), RPE, "digit"),
    (
        "plivo",
        text(event="media", media={"track": "inbound", "timestamp": "-1", "chunk": 1, "payload": ""}),
        RPE,
        "timestamp '-1'",
    ),
    (
        "plivo",
        text(event="media", media={"track": "inbound", "timestamp": "1", "chunk": -1, "payload": ""}),
        RPE,
        r"\$\.media\.chunk",
    ),
    ("plivo", text(event="playedStream", streamId="S"), RPE, "playedStream message: .*`name`"),
    ("plivo", text(event="clearedAudio", streamId="other"), RPE, "'other' in stream"),
    ("plivo", text(event="playedStream", name="a\0"), RPE, r"\$\.name"),
    ("exotel", text(event="media", media={"payload": ""}), RPE, "`timestamp`"),
    ("exotel", text(event="media", media={"timestamp": "0", "payload": 7}), RPE, r"\$\.media\.payload"),
    ("exotel", text(event="dtmf", dtmf={"digit": "5", "duration": "long"}), RPE, "duration 'long'"),
    ("exotel", text(event="mark", stream_sid=5, mark={"name": "m"}), RPE, "stream_sid"),
    ("vonage", text(event="websocket:dtmf"), RPE, "websocket:dtmf message: .*`digit`"),
    ("vonage", text(event="websocket:dtmf", digit="55"), RPE, "digit"),
    ("vonage", text(event="websocket:notify", payload={"name": 7}), RPE, "websocket:notify message"),
    (
        "vonage",
        text(event="websocket:connected", **{"content-type": "audio/l16;rate=16000"}),
        RPE,
        "second start",
    ),
    ("vonage", text(event=7), RPE, "message of 12 bytes"),
    ("vonage", "[]", RPE, "message of 2 bytes"),
    ("vonage", "{", RPE, "message of 1 bytes"),
    ("vonage", "[" * 30000, RPE, "nested 30000 deep"),
    ("vonage", bytes(65537), RPE, "more than 65536 bytes"),
    ("vonage", bytearray(65537), RPE, "more than 65536 bytes"),  # type: ignore[list-item]
    ("audiosocket", "{}", RPE, "text message of 2 characters: takes bytes"),
    ("audiosocket", b"\x01\x00\x10" + bytes(16), RPE, "second UUID"),
    ("audiosocket", b"\x03\x00\x01E", RPE, "DTMF b'E' of 1 bytes"),
    ("audiosocket", b"\x03\x00\x0255", RPE, "DTMF b'55' of 2 bytes"),
    ("audiosocket", b"\x03\x00\x00", RPE, "DTMF b'' of 0 bytes"),
    ("audiosocket", b"\x12\x00\x02\0\0", RPE, "audio of type 0x12 in a stream of type 0x10"),
    ("audiosocket", b"\x10\x00\x02\0\0\x12\x00\x02\0\0", RPE, "audio of type 0x12"),
]

#: For one that has not: what a start message must not be.
BEFORE: list[tuple[str, str | bytes, type[Exception], str]] = [
    ("telnyx", text(event="start", stream_id="S"), RPE, "start message: .*`start`"),
    ("telnyx", text(event="start", stream_id=5, start={}), RPE, "start message"),
    ("telnyx", text(event="start", stream_id="S", start={"call_control_id": "C"}), RPE, "media_format"),
    (
        "telnyx",
        text(
            event="start",
            stream_id="S",
            start={"call_control_id": "C", "media_format": {"encoding": "PCMU", "sample_rate": 10**9}},
        ),
        FormatError,
        "1000000000 Hz",
    ),
    (
        "telnyx",
        text(
            event="start",
            stream_id="S",
            start={"call_control_id": "C", "media_format": {"encoding": "G722", "sample_rate": 8000}},
        ),
        FormatError,
        "G722",
    ),
    ("plivo", text(event="start", start={"streamId": "S"}), RPE, "start message"),
    (
        "plivo",
        text(
            event="start",
            start={
                "streamId": "S",
                "callId": "C",
                "tracks": ["sideways"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
            },
        ),
        RPE,
        "takes inbound and outbound",
    ),
    ("exotel", text(event="start", start={"stream_sid": "S"}), RPE, "start message"),
    (
        "exotel",
        text(
            event="start",
            stream_sid="other",
            start={
                "stream_sid": "S",
                "call_sid": "C",
                "media_format": {"encoding": "base64", "sample_rate": "8000"},
            },
        ),
        RPE,
        "'other' in stream 'S'",
    ),
    (
        "exotel",
        text(
            event="start",
            start={
                "stream_sid": "S",
                "call_sid": "C",
                "media_format": {"encoding": "base64", "sample_rate": "16kHz"},
            },
        ),
        RPE,
        "sample_rate '16kHz'",
    ),
    (
        "exotel",
        text(
            event="start",
            start={
                "stream_sid": "S",
                "call_sid": "C",
                "media_format": {"encoding": "z" * 5000, "sample_rate": "8000"},
            },
        ),
        FormatError,
        "unknown codec",
    ),
    ("vonage", text(event="websocket:connected"), RPE, "websocket:connected message"),
    (
        "vonage",
        text(event="websocket:connected", **{"content-type": "audio/l16"}),
        RPE,
        "content-type's rate ''",
    ),
    (
        "vonage",
        text(event="websocket:connected", **{"content-type": "audio/l16;rate=1e9"}),
        RPE,
        "rate '1e9'",
    ),
    (
        "vonage",
        text(event="websocket:connected", **{"content-type": "video/h264;rate=8000"}),
        FormatError,
        "unknown",
    ),
    (
        "vonage",
        text(event="websocket:connected", k="\0", **{"content-type": "audio/l16;rate=8000"}),
        RPE,
        ".",
    ),
    ("audiosocket", b"\x01\x00\x0f" + bytes(15) + b"\x10\x00\x00", RPE, "UUID of 15 bytes: takes 16"),
    ("audiosocket", b"\x01\x00\x10" + bytes(16) + b"\x17\x00\x00", FormatError, "96000 Hz"),
    ("audiosocket", b"\x01\x00\x10" + bytes(16) + b"\x03\x00\x01x", RPE, "DTMF b'x'"),
    (
        "audiosocket",
        b"\x01\x00\x10" + bytes(16) + b"\x20\x00\x00" * 80,
        RPE,
        "259 bytes without audio: takes 256",
    ),
]


@pytest.mark.parametrize(("dialect", "message", "error", "words"), WRONG)
def test_it_is_an_error_and_changes_nothing(
    dialect: str, message: str | bytes, error: type[Exception], words: str
) -> None:
    sender = sender_of(dialect, FORMATS[dialect][0])
    messages = said_by(sender, [("inbound", 5000, 1), ("inbound", 3000, 2)])
    stream = messages if dialect == "audiosocket" else carried(sender, messages)  # whole frames
    receiver, undisturbed = StreamReceiver(), StreamReceiver()
    events = []
    for one in stream:
        if receiver.start is not None:
            before = receiver.stats
            with pytest.raises(error, match=words) as raised:
                receiver.receive(message)
            assert isinstance(raised.value, TrunklineError)
            assert len(str(raised.value)) < 400
            assert receiver.stats == before
        events += receiver.receive(one)
    assert told(events) == told(received(undisturbed, stream))


@pytest.mark.parametrize(("dialect", "message", "error", "words"), BEFORE)
def test_it_does_not_begin(dialect: str, message: str | bytes, error: type[Exception], words: str) -> None:
    receiver = StreamReceiver()
    with pytest.raises(error, match=words) as raised:
        receiver.receive(message)
    assert len(str(raised.value)) < 400
    assert (receiver.start, receiver.stats, receiver.ended) == (None, {}, False)
    sender = sender_of(dialect, FORMATS[dialect][0])
    events = received(receiver, carried(sender, said_by(sender, [("inbound", 3000, 1)])))
    assert receiver.start is not None
    assert receiver.start.dialect == dialect
    assert len(events) > 1


REPLIES: list[tuple[str, str, type[Exception], str]] = [
    (
        "plivo",
        text(event="playAudio", media={"contentType": "audio/x-l16", "sampleRate": 16000, "payload": ""}),
        RPE,
        "playAudio of L16 at 16000 Hz in a stream of PCMU at 8000 Hz",
    ),
    (
        "plivo",
        text(event="playAudio", media={"contentType": "audio/ogg", "sampleRate": 8000, "payload": ""}),
        FormatError,
        "unknown codec",
    ),
    ("plivo", text(event="playAudio", media={"payload": ""}), RPE, "playAudio message"),
    ("plivo", text(event="sendDTMF", dtmf=""), RPE, r"\$\.dtmf"),
    ("plivo", text(event="sendDTMF", dtmf="5" * 33), RPE, r"\$\.dtmf"),
    ("plivo", text(event="sendDTMF", dtmf="5x"), RPE, r"\$\.dtmf"),
    ("telnyx", text(event="media", media={"payload": "A"}), PayloadError, "."),
    ("exotel", text(event="clear", stream_sid="other"), RPE, "'other' in stream 'S'"),
    ("vonage", text(action=5), RPE, "message of 13 bytes"),
    ("vonage", text(event="clear"), RPE, "message of 18 bytes"),
]


@pytest.mark.parametrize(("dialect", "message", "error", "words"), REPLIES)
def test_what_an_endpoint_must_not_say(
    dialect: str, message: str, error: type[Exception], words: str
) -> None:
    codec = FORMATS[dialect][0]
    receiver = StreamReceiver(role="platform", format=codec, stream_id="S", dialect=dialect)
    with pytest.raises(error, match=words):
        receiver.receive(message)
    assert receiver.stats["outbound"].packets == 0


def test_several_keys_are_several_events() -> None:
    receiver = StreamReceiver(role="platform", format="PCMU", dialect="plivo")
    events = receiver.receive(text(event="sendDTMF", dtmf="12#"))
    assert "".join(getattr(event, "digit", "") for event in events) == "12#"


@given(st.sampled_from(ALL), st.integers(0, 2**32), st.integers(0, 300))
def test_a_stream_with_bytes_that_are_wrong_never_breaks_a_receiver(
    which: tuple[str, str], seed: int, n_wrong: int
) -> None:
    dialect, codec = which
    chance, sender = random.Random(seed), sender_of(dialect, codec)
    receiver = StreamReceiver()
    for message in carried(sender, said_by(sender, [("inbound", 2000, seed), ("key", 3, 0)]), seed):
        mangled = bytearray(message.encode() if isinstance(message, str) else message)
        for _ in range(n_wrong % 4):
            mangled[chance.randrange(len(mangled))] = chance.randrange(256)
        try:
            if isinstance(message, str):
                receiver.receive(mangled.decode("utf-8", "surrogateescape"))
            else:
                receiver.receive(bytes(mangled))
        except TrunklineError:
            pass
    receiver.close()


@given(st.integers(0, 2**32))
def test_an_audiosocket_may_be_cut_anywhere(seed: int) -> None:
    sender = sender_of("audiosocket", "L16@8000h")
    messages = said_by(sender, [("inbound", 700, 1), ("key", 7, 0), ("inbound", 400, 2)])
    whole = told(StreamReceiver().receive(b"".join(messages)))
    assert told(received(StreamReceiver(), carried(sender, messages, seed))) == whole


def test_an_audiosocket_keeps_no_more_than_a_frame() -> None:
    receiver = StreamReceiver(dialect="audiosocket")
    receiver.receive(b"\x01\x00\x10" + bytes(16) + b"\x10\x00\x02\0\0")
    tracemalloc.start()
    try:
        for _ in range(20):  # each claims all there can be, and has all but a byte
            frame = b"\x10" + struct.pack(">H", 0xFFFF) + bytes(0xFFFE)
            receiver.receive(frame)
            receiver.receive(b"\0")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 40 * 65_538
    assert receiver.stats["inbound"].packets == 21


def test_what_is_behind_the_end_is_dropped() -> None:
    receiver = StreamReceiver()
    receiver.receive(b"\x01\x00\x10" + bytes(16) + b"\x10\x00\x02\0\0\x00\x00\x00" + bytes(100))
    assert receiver.ended
    with pytest.raises(RPE, match="after stop"):
        receiver.receive(b"\x10\x00\x02\0\0")


def test_audio_before_the_start() -> None:
    with pytest.raises(RPE, match="audio message before start"):
        StreamReceiver(dialect="vonage").receive(bytes(640))
    with pytest.raises(LocalProtocolError, match="as str"):
        StreamReceiver(dialect="vonage").receive(b' {"event":"websocket:connected"}')
    with pytest.raises(RPE, match="audio frame before the UUID"):
        StreamReceiver(dialect="audiosocket").receive(b"\x10\x00\x02\0\0")


#: The keys of a media message, in the dialects that have one.
KEYS = {
    "telnyx": ("stream_id", "sequence_number"),
    "plivo": ("streamId", "sequenceNumber"),
    "exotel": ("stream_sid", "sequence_number"),
}
IDS = values(['"S"'], ['"T"', "null", "7", '"\\u0053"'])
media_texts = {
    dialect: objects(
        {
            "event": values(['"media"'], ['"stop"', "7"]),
            sequence: values(['"3"', "4"], ['"x"', "-1", "null"]),
            stream_id: IDS,
            "media": st.one_of(*[track_bodies] * 9, anything),
        },
        anything,
    )
    for dialect, (stream_id, sequence) in KEYS.items()
}


@given(st.data(), st.sampled_from(sorted(KEYS)))
def test_c_makes_of_media_what_the_parser_does(data: st.DataObject, dialect: str) -> None:
    texts = data.draw(st.lists(media_texts[dialect], min_size=1, max_size=4))
    fast, slow = StreamReceiver(output="both"), StreamReceiver(output="both")
    sender = StreamSender(FORMATS[dialect][0], dialect=dialect, stream_id="S", tracks=["inbound"])
    for message in sender.start():
        fast.receive(message)
        slow.receive(message)
    for message in texts:
        assert outcome(fast.receive, message) == outcome(slow._receive, message)
    assert fast.stats == slow.stats


@given(st.sampled_from(["vonage", "audiosocket"]), st.integers(0, 2**32), st.sampled_from(["pcm", "both"]))
def test_c_makes_of_bytes_what_the_reader_does(dialect: str, seed: int, output: str) -> None:
    chance, sender = random.Random(seed), sender_of(dialect, "L16@8000h")
    messages = said_by(sender, [("inbound", 900, seed), ("key", 3, 0), ("inbound", 900, seed + 1)])
    at = len(messages) - 1
    messages[at:at] = [bytes.fromhex("10000401020304" + "1000020506"), b"\x10\x00\x00", b"\x03\x00\x01x"]
    arriving = carried(sender, messages, seed)
    if dialect == "audiosocket" and chance.random() < 0.7:  # frames as Asterisk writes them, whole
        arriving = [b"".join(messages[k : k + 2]) for k in range(0, len(messages), 2)]
    fast, slow = StreamReceiver(output=output), StreamReceiver(output=output)
    for message in arriving:
        assert outcome(fast.receive, message) == outcome(slow._receive, message)
    assert fast.stats == slow.stats
    assert outcome(lambda *_: fast.close(), "") == outcome(lambda *_: slow.close(), "")


def test_plain_media_of_every_dialect_is_read_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes to `_receive` is not."""
    for dialect in DIALECTS:
        sender, receiver = sender_of(dialect, "L16@8000h"), StreamReceiver()
        messages = sender.start() + sender.media(bytes(2 * 1600))
        arriving = messages if dialect == "audiosocket" else carried(sender, messages)
        received(receiver, arriving[:4])
        with monkeypatch.context() as patched:
            patched.setattr(StreamReceiver, "_receive", None)
            assert len(received(receiver, arriving[4:])) == len(arriving) - 4


def test_all_dialects_are_here() -> None:
    assert (
        {case[0] for case in WRONG}
        == {case[0] for case in BEFORE}
        == set(DIALECTS) - {"signalwire", "twilio"}
    )
    assert CALL_ID.count("-") == 4
