"""StreamReceiver in the platform's role: what an endpoint sends back."""

import base64
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import g711, opus
from trunkline.errors import FormatError, LocalProtocolError, PayloadError, RemoteProtocolError
from trunkline.resample import Resampler
from trunkline.stream import Cleared, Dtmf, Event, Frame, Mark, Payload, StreamReceiver, Unknown
from trunkline.testing import speech_like


def message(event: str, **fields: Any) -> str:
    return json.dumps({"event": event, "streamSid": "MZ1"} | fields)


def media(payload: bytes, **fields: Any) -> str:
    return message("media", media={"payload": base64.b64encode(payload).decode()} | fields)


def mark(name: str) -> str:
    return message("mark", mark={"name": name})


def pcm_of(events: list[Event]) -> bytes:
    return b"".join(bytes(event) for event in events if isinstance(event, Frame))


@given(
    seed=st.integers(0, 2**32), frame_ms=st.sampled_from([10, 20, 60]), codec=st.sampled_from(["PCMU", "L16"])
)
def test_frames_are_the_audio_up_to_each_mark_and_clear(seed: int, frame_ms: int, codec: str) -> None:
    chance = random.Random(seed)
    rate = 8000 if codec == "PCMU" else 16_000
    receiver = StreamReceiver(role="platform", format=codec, stream_id="MZ1", frame_ms=frame_ms)
    frame_bytes, laid, waiting = 2 * rate * frame_ms // 1000, 0, b""
    for k in range(40):
        kind = chance.choice(["media"] * 6 + ["mark", "clear", "dtmf"])
        if kind == "media":
            payload = chance.randbytes(chance.choice([0, 1, 64, 160, 500, 4097]))
            waiting += g711.ulaw_decode(payload) if codec == "PCMU" else payload
            events = receiver.receive(media(payload))
            n_bytes = len(waiting) // frame_bytes * frame_bytes
        elif kind == "mark":
            *events, last = receiver.receive(mark(f"m{k}"))
            assert last == Mark(f"m{k}")
            n_bytes = len(waiting) // 2 * 2
        elif kind == "clear":
            assert receiver.receive(message("clear")) == [Cleared()]
            laid, waiting = laid + len(waiting) // 2 * 2, b""
            continue
        else:
            assert receiver.receive(message("dtmf", dtmf={"digit": "5"})) == [Dtmf("5", None, None)]
            continue
        assert pcm_of(events) == waiting[:n_bytes]
        for event in events:
            assert isinstance(event, Frame)
            assert (event.track, event.concealed, event.timestamp_ms) == (
                "outbound",
                False,
                laid / 2 * 1000 / rate,
            )
            laid += len(bytes(event))
        waiting = b"" if kind == "mark" else waiting[n_bytes:]
    assert pcm_of(receiver.close()) == waiting[: len(waiting) // 2 * 2]
    stats = receiver.stats["outbound"]
    assert (stats.lost, stats.late, stats.concealed_ms, stats.resyncs) == (0, 0, 0.0, 0)


def test_at_another_rate_a_mark_brings_all_audio_before_it() -> None:
    receiver = StreamReceiver(role="platform", format="PCMU", sample_rate=16_000)
    delay = Resampler(8000, 16_000).delay_samples
    for n_samples in (160, 200, 7, 4000):
        events = receiver.receive(media(g711.ULAW_SILENCE * n_samples)) + receiver.receive(mark("m"))
        assert sum(len(event) for event in events if isinstance(event, Frame)) == 2 * n_samples + delay


def test_payloads_say_where_they_lie() -> None:
    receiver = StreamReceiver(role="platform", format="PCMU", output="both")
    events = [event for n in (160, 80, 160) for event in receiver.receive(media(b"\xff" * n))]
    payloads = [event for event in events if isinstance(event, Payload)]
    assert [(p.timestamp_ms, len(p.payload), p.sequence) for p in payloads] == [
        (0, 160, None),
        (20, 80, None),
        (30, 160, None),
    ]


def test_opus(libopus: object) -> None:
    encoder, decoder = opus.Encoder(16_000), opus.Decoder(16_000)
    receiver = StreamReceiver(role="platform", format="OPUS@16000h")
    speech = speech_like(1, 16_000)
    packets = [encoder.encode(speech[640 * k :][:640]) for k in range(50)]
    events = [event for packet in packets for event in receiver.receive(media(packet))]
    assert pcm_of(events) == b"".join(decoder.decode(packet) for packet in packets)
    with pytest.raises(PayloadError):
        receiver.receive(media(b"\xff"))


def test_the_usual_fields_of_a_platform_are_passed_over() -> None:
    receiver = StreamReceiver(role="platform", format="PCMU")
    plain, full = (
        receiver.receive(media(b"\xff" * 160, **more))
        for more in ({}, {"track": 5, "chunk": None, "timestamp": "x"})
    )
    assert pcm_of(plain) == pcm_of(full) == bytes(320)
    assert receiver.receive(message("start", start={})) == [Unknown("start")]
    assert receiver.receive(message("checkpoint")) == [Unknown("checkpoint")]
    assert receiver.unknown_events == 2
    assert receiver.start is None


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", RemoteProtocolError, "message of 0 bytes"),
        ("{", RemoteProtocolError, "message of 1 bytes"),
        ("[]", RemoteProtocolError, "message of 2 bytes"),
        ("5", RemoteProtocolError, "message of 1 bytes"),
        ("{}", RemoteProtocolError, "event"),
        (b"\xff{}", RemoteProtocolError, "not UTF-8"),
        (message("media"), RemoteProtocolError, "media message"),
        (message("media", media=None), RemoteProtocolError, "media message"),
        (message("media", media={}), RemoteProtocolError, "payload"),
        (message("media", media={"payload": 5}), RemoteProtocolError, "media message"),
        (message("media", media={"payload": "AAA"}), PayloadError, "base64"),
        (message("media", media={"payload": "A A="}), PayloadError, "base64"),
        (
            message("media", media={"payload": "AAAA"}, streamSid="MZ2"),
            RemoteProtocolError,
            "'MZ2' in stream 'MZ1'",
        ),
        (message("media", media={"payload": "AAAA"}, streamSid=7), RemoteProtocolError, "media message"),
        (message("media", media={"payload": "A" * 70_000}), RemoteProtocolError, "takes at most 65536"),
        (message("mark"), RemoteProtocolError, "mark message"),
        (message("mark", mark={"name": None}), RemoteProtocolError, "mark message"),
        (message("mark", mark={"name": "a\0"}), RemoteProtocolError, "mark message"),
        (message("clear", streamSid="MZ2"), RemoteProtocolError, "'MZ2' in stream 'MZ1'"),
        (message("clear", sequenceNumber="-1"), RemoteProtocolError, "sequenceNumber"),
        (message("dtmf", dtmf={"digit": "E"}), RemoteProtocolError, "dtmf message"),
        (message("dtmf", dtmf={"digit": "55"}), RemoteProtocolError, "dtmf message"),
        ("[" * 60_000, RemoteProtocolError, "message of 60000 bytes"),
    ],
)
def test_what_is_wrong_is_an_error_and_changes_nothing(
    text: str | bytes, error: type[Exception], words: str
) -> None:
    receiver, reference = (StreamReceiver(role="platform", format="PCMU", stream_id="MZ1") for _ in range(2))
    for one in (receiver, reference):
        one.receive(media(b"\x10" * 100))
    with pytest.raises(error, match=words):
        receiver.receive(text)
    assert pcm_of(receiver.receive(media(b"\x20" * 100))) == pcm_of(reference.receive(media(b"\x20" * 100)))
    assert receiver.stats == reference.stats


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"role": "x"}, "takes endpoint or platform"),
        ({"role": "platform"}, "takes a format"),
        ({"role": "platform", "format": "PCMU", "dialect": "morse"}, "unknown dialect 'morse'"),
        ({"role": "platform", "format": "PCMU", "output": "encoded"}, "no output='encoded'"),
        ({"role": "platform", "format": "G722"}, "cannot be decoded"),
        ({"format": "PCMU"}, "the start message says"),
        ({"stream_id": "MZ1"}, "the start message says"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        StreamReceiver(**options)


def test_nothing_comes_after_close() -> None:
    receiver = StreamReceiver(role="platform", format="PCMU")
    receiver.close()
    with pytest.raises(LocalProtocolError, match="after close"):
        receiver.receive(message("clear"))
