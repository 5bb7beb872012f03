"""The messages as each carrier's documentation shows them: what we read, and that ours are the same."""

import base64
import json
from typing import Any

import pytest

from trunkline import g711
from trunkline.formats import MediaFormat
from trunkline.stream import (
    Cleared,
    Dtmf,
    Event,
    Frame,
    Mark,
    Start,
    Stop,
    StreamReceiver,
    StreamSender,
    Unknown,
)

ULAW = bytes(range(100)) + bytes(range(140, 200))  # without the second code of 0
LINEAR = bytes(range(256)) * 2
TELNYX = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC"
TELNYX_CALL = "v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
TELNYX_USER = "3E6F995F-85F7-4705-9741-53B116D28237"
PLIVO = "87654321-4321-4321-4321-cba987654321"
PLIVO_CALL = "12345678-1234-1234-1234-123456789abc"


def base64_of(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


TELNYX_STREAM: list[dict[str, Any]] = [
    {"event": "connected", "version": "1.0.0"},
    {
        "event": "start",
        "sequence_number": "1",
        "start": {
            "user_id": TELNYX_USER,
            "call_control_id": TELNYX_CALL,
            "call_session_id": "ff55a038-6f5d-11ef-9692-02420aeffb1f",
            "from": "+13122010094",
            "to": "+13122123456",
            "tags": ["TAG1", "TAG2"],
            "client_state": "aGF2ZSBhIG5pY2UgZGF5ID1d",
            "custom_parameters": {"customer_id": "customer_123"},
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        },
        "stream_id": TELNYX,
    },
    {
        "event": "media",
        "sequence_number": "4",
        "media": {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": base64_of(ULAW)},
        "stream_id": TELNYX,
    },
    {
        "event": "media",
        "sequence_number": "3",
        "media": {"track": "inbound", "chunk": "3", "timestamp": "40", "payload": base64_of(ULAW[::-1])},
        "stream_id": TELNYX,
    },
    {
        "event": "dtmf",
        "stream_id": TELNYX,
        "occurred_at": "2025-06-05T08:54:19.698408Z",
        "sequence_number": "5",
        "dtmf": {"digit": "1"},
    },
    {"event": "mark", "stream_id": TELNYX, "sequence_number": "5", "mark": {"name": "some_mark_name"}},
    {
        "event": "error",
        "payload": {"code": 100005, "title": "rate_limit_reached", "detail": "Too many requests"},
        "stream_id": TELNYX,
    },
    {
        "event": "stop",
        "sequence_number": "5",
        "stop": {"user_id": TELNYX_USER, "call_control_id": TELNYX_CALL},
        "stream_id": TELNYX,
    },
]
PLIVO_STREAM: list[dict[str, Any]] = [
    {
        "event": "start",
        "sequenceNumber": 1,
        "start": {
            "callId": PLIVO_CALL,
            "streamId": PLIVO,
            "accountId": "MAXXXXXXXXXXXXXXXXXX",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        },
        "extra_headers": "userId=12345;sessionId=abc-xyz",
    },
    *(
        {
            "event": "media",
            "sequenceNumber": 41 + k,
            "streamId": PLIVO,
            "media": {
                "track": "inbound",
                "timestamp": str(1705312200000 + 20 * k),
                "chunk": 41 + k,
                "payload": base64_of(payload),
            },
            "extra_headers": "userId=12345;sessionId=abc-xyz",
        }
        for k, payload in enumerate((ULAW, ULAW[::-1]))
    ),
    {
        "event": "dtmf",
        "sequenceNumber": 50,
        "streamId": PLIVO,
        "dtmf": {"track": "inbound", "digit": "5", "timestamp": "1705312250000"},
    },
    {"event": "playedStream", "sequenceNumber": 75, "streamId": PLIVO, "name": "customer greeting audio"},
    {"event": "clearedAudio", "sequenceNumber": 80, "streamId": PLIVO},
]
EXOTEL_STREAM: list[dict[str, Any]] = [
    {"event": "connected"},
    {
        "event": "start",
        "sequence_number": "1",
        "stream_sid": "MZ1",
        "start": {
            "stream_sid": "MZ1",
            "call_sid": "CA1",
            "account_sid": "AC1",
            "from": "+919876543210",
            "to": "+918047491899",
            "custom_parameters": {"key1": "value1"},
            "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
        },
    },
    {
        "event": "media",
        "sequence_number": "3",
        "stream_sid": "MZ1",
        "media": {"chunk": "2", "timestamp": "200", "payload": base64_of(LINEAR)},
    },
    {"event": "dtmf", "sequence_number": "7", "stream_sid": "MZ1", "dtmf": {"digit": "5", "duration": "100"}},
    {"event": "mark", "sequence_number": "15", "stream_sid": "MZ1", "mark": {"name": "greeting"}},
    {
        "event": "stop",
        "sequence_number": "20",
        "stream_sid": "MZ1",
        "stop": {"call_sid": "CA1", "account_sid": "AC1", "reason": "callended"},
    },
]
VONAGE_STREAM: list[dict[str, Any] | bytes] = [
    {"event": "websocket:connected", "content-type": "audio/l16;rate=16000", "prop1": "value1", "n": 5},
    LINEAR + bytes(128),
    {"event": "websocket:dtmf", "digit": "5", "duration": 260},
    {"event": "websocket:notify", "payload": {"name": "greeting"}},
    {"event": "websocket:cleared"},
]


def events_of(receiver: StreamReceiver, messages: list[Any]) -> list[Event]:
    texts = [message if isinstance(message, bytes) else json.dumps(message) for message in messages]
    return [event for text in texts for event in receiver.receive(text)]


def pcm_of(events: list[Event]) -> bytes:
    return b"".join(bytes(event) for event in events if isinstance(event, Frame))


def rest_of(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Frame)]


def test_telnyx() -> None:
    receiver = StreamReceiver()
    events = events_of(receiver, TELNYX_STREAM)
    assert rest_of(events) == [
        Start(
            TELNYX,
            TELNYX_CALL,
            TELNYX_USER,
            (),
            MediaFormat("PCMU", 8000),
            {"customer_id": "customer_123"},
            "telnyx",
        ),
        Dtmf("1", None, None),
        Mark("some_mark_name"),
        Unknown("error"),
        Stop(),
    ]
    assert pcm_of(events) == g711.ulaw_decode(ULAW + ULAW[::-1])


def test_telnyx_brings_chunks_in_any_order() -> None:
    first, second = (dict(message, media=dict(message["media"])) for message in TELNYX_STREAM[2:4])
    third = dict(first, media=dict(first["media"], chunk="4", timestamp="60"))
    events = events_of(StreamReceiver(), [*TELNYX_STREAM[:2], first, third, second, TELNYX_STREAM[-1]])
    assert pcm_of(events) == g711.ulaw_decode(ULAW + ULAW[::-1] + ULAW)


@pytest.mark.parametrize(("encoding", "rate"), [("G722", 8000), ("AMR-WB", 8000), ("AMR-WB", 16000)])
def test_telnyx_wideband_is_passed_on_whatever_its_rtp_clock_is(encoding: str, rate: int) -> None:
    start = json.loads(json.dumps(TELNYX_STREAM[1]))
    start["start"]["media_format"] |= {"encoding": encoding, "sample_rate": rate}
    (event,) = events_of(StreamReceiver(output="encoded"), [start])
    assert isinstance(event, Start)
    assert event.media_format == MediaFormat(encoding, 16000)


def test_telnyx_in_older_words() -> None:
    start = json.loads(json.dumps(TELNYX_STREAM[1]))
    start["start"]["media_format"]["encoding"] = "audio/x-mulaw"
    (event,) = events_of(StreamReceiver(), [start])
    assert isinstance(event, Start)
    assert event.media_format == MediaFormat("PCMU", 8000)


def test_plivo() -> None:
    receiver = StreamReceiver()
    events = events_of(receiver, PLIVO_STREAM) + receiver.close(in_order=True)
    assert rest_of(events) == [
        Start(
            PLIVO,
            PLIVO_CALL,
            "MAXXXXXXXXXXXXXXXXXX",
            ("inbound",),
            MediaFormat("PCMU", 8000),
            {"userId": "12345", "sessionId": "abc-xyz"},
            "plivo",
        ),
        Dtmf("5", None, "inbound"),
        Mark("customer greeting audio"),
        Cleared(),
        Stop(),
    ]
    assert pcm_of(events) == g711.ulaw_decode(ULAW + ULAW[::-1])
    assert [event.timestamp_ms for event in events if isinstance(event, Frame)] == [0, 20]


@pytest.mark.parametrize(
    ("headers", "parameters"),
    [("{}", {}), ('{"a":"b"}', {"a": "b"}), ('{"a":5}', {}), ("{", {}), ("", {}), ("a;b=c=d;", {"b": "c=d"})],
)
def test_plivo_extra_headers(headers: str, parameters: dict[str, str]) -> None:
    (event,) = events_of(StreamReceiver(), [PLIVO_STREAM[0] | {"extra_headers": headers}])
    assert isinstance(event, Start)
    assert event.custom_parameters == parameters


def test_plivo_stop_is_read_where_there_is_one() -> None:
    events = events_of(receiver := StreamReceiver(), [*PLIVO_STREAM, {"event": "stop", "streamId": PLIVO}])
    assert events[-1] == Stop()
    assert receiver.ended


def test_exotel() -> None:
    events = events_of(StreamReceiver(), EXOTEL_STREAM)
    assert rest_of(events) == [
        Start("MZ1", "CA1", "AC1", (), MediaFormat("L16", 8000), {"key1": "value1"}, "exotel"),
        Dtmf("5", 100, None),
        Mark("greeting"),
        Stop(),
    ]
    assert pcm_of(events) == LINEAR
    assert [event.track for event in events if isinstance(event, Frame)] == ["inbound"] * 2


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("base64", "L16"),
        ("raw/slin", "L16"),
        ("audio/L16;rate=16000", "L16"),
        ("audio/x-mulaw", "PCMU"),
        ("audio/x-mulaw;rate=8000", "PCMU"),
    ],
)
def test_exotel_encodings(encoding: str, codec: str) -> None:
    start = json.loads(json.dumps(EXOTEL_STREAM[1]))
    start["start"]["media_format"] |= {"encoding": encoding, "sample_rate": "16000"}
    (event,) = events_of(StreamReceiver(), [start])
    assert isinstance(event, Start)
    assert event.media_format == MediaFormat(codec, 16000)


def test_vonage() -> None:
    receiver = StreamReceiver()
    events = events_of(receiver, VONAGE_STREAM) + receiver.close(in_order=True)
    assert rest_of(events) == [
        Start("", "", None, ("inbound",), MediaFormat("L16", 16000), {"prop1": "value1"}, "vonage"),
        Dtmf("5", 260, None),
        Mark("greeting"),
        Cleared(),
        Stop(),
    ]
    assert pcm_of(events) == LINEAR + bytes(128)


def test_vonage_headers_may_lie_deeper() -> None:
    message = {"event": "websocket:connected", "content-type": "audio/l16;rate=8000"}
    (event,) = events_of(StreamReceiver(), [message | {"headers": {"uuid": "u-1", "k": "v"}}])
    assert isinstance(event, Start)
    assert (event.call_id, event.custom_parameters) == ("u-1", {"uuid": "u-1", "k": "v"})


def test_vonage_notify_without_a_name_is_none_of_ours() -> None:
    receiver = StreamReceiver()
    notify = {"event": "websocket:notify", "payload": {"customKey": 5}}
    assert events_of(receiver, [VONAGE_STREAM[0], notify])[1:] == [Unknown("websocket:notify")]


def test_audiosocket() -> None:
    receiver = StreamReceiver()
    call_id = "40325ec2-5efd-4bd3-805f-53576e581d13"
    stream = bytes.fromhex("010010" + call_id.replace("-", ""))
    stream += b"\x03\x00\x015" + b"\x12\x02\x80" + LINEAR + bytes(128) + b"\xff\x00\x01\x02" + b"\x00\x00\x00"
    events = receiver.receive(stream)
    assert rest_of(events) == [
        Start(call_id, call_id, None, ("inbound",), MediaFormat("L16", 16000), {}, "audiosocket"),
        Dtmf("5", None, None),
        Unknown("error"),
        Stop(),
    ]
    assert pcm_of(events) == LINEAR + bytes(128)


def read(sender: StreamSender, messages: list[bytes]) -> list[Any]:
    return [json.loads(message) if sender.is_text(message) else message for message in messages]


def answers(dialect: str, codec: str, stream_id: str) -> list[Any]:
    """What an endpoint says: audio, a mark, a clear, and a key where there are keys."""
    sender = StreamSender(codec, role="endpoint", dialect=dialect, stream_id=stream_id)
    pcm = g711.ulaw_decode(ULAW) if codec == "PCMU" else LINEAR + bytes(128)
    keys = sender.dtmf("5") if dialect == "plivo" else []
    return read(sender, sender.media(pcm) + sender.mark("m") + sender.clear() + keys + sender.stop())


def test_what_endpoints_say() -> None:
    payload, linear = base64_of(ULAW), LINEAR + bytes(128)
    assert answers("telnyx", "PCMU", TELNYX) == [
        {"event": "media", "media": {"payload": payload}},
        {"event": "mark", "mark": {"name": "m"}},
        {"event": "clear"},
    ]
    assert answers("plivo", "PCMU", PLIVO) == [
        {
            "event": "playAudio",
            "media": {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": payload},
        },
        {"event": "checkpoint", "streamId": PLIVO, "name": "m"},
        {"event": "clearAudio", "streamId": PLIVO},
        {"event": "sendDTMF", "dtmf": "5"},
    ]
    assert answers("exotel", "L16@16000h", "MZ1") == [
        {"event": "media", "stream_sid": "MZ1", "media": {"payload": base64_of(linear)}},
        {"event": "mark", "stream_sid": "MZ1", "mark": {"name": "m"}},
        {"event": "clear", "stream_sid": "MZ1"},
    ]
    assert answers("vonage", "L16@16000h", "") == [
        linear,
        {"action": "notify", "payload": {"name": "m"}},
        {"action": "clear"},
    ]


def test_an_audiosocket_endpoint_plays_and_hangs_up() -> None:
    sender = StreamSender("L16@16000h", role="endpoint", dialect="audiosocket", stream_id="")
    assert sender.media(LINEAR + bytes(128)) == [b"\x12\x02\x80" + LINEAR + bytes(128)]
    assert sender.clear() == []
    assert sender.media(b"\1\0") + sender.stop() == [b"\x12\x00\x02\1\0", b"\x00\x00\x00"]


def test_what_platforms_say() -> None:
    """Ours are the documented ones, but for what only a carrier knows."""
    pcm = g711.ulaw_decode(ULAW)
    telnyx = StreamSender(
        "PCMU",
        dialect="telnyx",
        stream_id=TELNYX,
        call_id=TELNYX_CALL,
        account_id=TELNYX_USER,
        custom_parameters={"customer_id": "customer_123"},
    )
    ours = read(
        telnyx, telnyx.start() + telnyx.media(pcm) + telnyx.dtmf("1") + telnyx.mark("x") + telnyx.stop()
    )
    documented = json.loads(json.dumps([TELNYX_STREAM[k] for k in (0, 1, 2, 4, 5, 7)]))
    for key in ("call_session_id", "from", "to", "tags", "client_state"):
        del documented[1]["start"][key]
    del documented[3]["occurred_at"]
    documented[2]["media"] |= {"chunk": "1", "timestamp": "0"}
    documented[4]["mark"]["name"] = "x"
    for number, message in enumerate(documented[1:]):
        message["sequence_number"] = str(1 + number)
    assert ours == documented

    plivo = StreamSender(
        "PCMU",
        dialect="plivo",
        stream_id=PLIVO,
        call_id=PLIVO_CALL,
        account_id="MAXXXXXXXXXXXXXXXXXX",
        custom_parameters={"userId": "12345", "sessionId": "abc-xyz"},
    )
    ours = read(
        plivo, plivo.start() + plivo.media(pcm) + plivo.mark("customer greeting audio") + plivo.cleared()
    )
    documented = json.loads(json.dumps([PLIVO_STREAM[k] for k in (0, 1, 4, 5)]))
    documented[1]["media"] |= {"chunk": 1, "timestamp": "0"}
    for number, message in enumerate(documented):
        message["sequenceNumber"] = 1 + number
    assert ours == documented
    assert plivo.stop() == []

    exotel = StreamSender(
        "L16@8000h@32i",
        dialect="exotel",
        stream_id="MZ1",
        call_id="CA1",
        account_id="AC1",
        custom_parameters={"key1": "value1"},
    )
    ours = read(
        exotel,
        exotel.start()
        + exotel.media(LINEAR)
        + exotel.dtmf("5", 100)
        + exotel.mark("greeting")
        + exotel.stop(),
    )
    documented = json.loads(json.dumps(EXOTEL_STREAM))
    del documented[1]["start"]["from"], documented[1]["start"]["to"]
    documented[2]["media"] |= {"chunk": "1", "timestamp": "0"}
    for number, message in enumerate(documented[1:]):
        message["sequence_number"] = str(1 + number)
    assert ours == documented

    vonage = StreamSender("L16", dialect="vonage", call_id="u-1", custom_parameters={"prop1": "value1"})
    ours = read(
        vonage,
        vonage.start()
        + vonage.media(LINEAR + bytes(128))
        + vonage.dtmf("5", 260)
        + vonage.mark("greeting")
        + vonage.cleared(),
    )
    first = {
        "event": "websocket:connected",
        "content-type": "audio/l16;rate=16000",
        "uuid": "u-1",
        "prop1": "value1",
    }
    assert ours == [first, *VONAGE_STREAM[1:]]
    assert vonage.stop() == []
