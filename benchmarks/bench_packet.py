"""A call's messages beside what people do today, both ways: `python benchmarks/bench_packet.py`.

160-byte PCMU messages of speech-like audio, each one different, become frames of 20 ms, at the carrier's rate
or at 16 kHz; contenders take turns within each round, a ratio is the median of the rounds' own ratios. The
peers do what their users do: no gaps, no order, no concealment. They give bytes of whole frames, because a
message holds one.
"""

import base64
import functools
import json
import statistics
from collections.abc import Callable, Coroutine, Iterable
from types import SimpleNamespace
from typing import Any

import msgspec
from peers import Pass, optional, print_head, print_row, take_turns, times_as_fast

from trunkline._native import base64 as our_base64
from trunkline._native.media import MediaReader, scan
from trunkline.formats import MediaFormat
from trunkline.stream import StreamReceiver, StreamSender
from trunkline.stream.dialects import DIALECTS
from trunkline.testing import speech_like
from trunkline.track import Track

audioop, orjson, pybase64, soxr, pipecat = (
    optional(name) for name in ("audioop", "orjson", "pybase64", "soxr", "pipecat.serializers.twilio")
)

MESSAGES = 4000
ROUNDS = 15
Contender = Callable[[str], object]


class Body(msgspec.Struct):
    track: str
    timestamp: str
    payload: str
    chunk: str | None = None


class Message(msgspec.Struct):
    event: str
    media: Body


def stdlib(rate: int) -> Contender:
    """json, base64 and audioop, as in most tutorials."""
    state: Any = None

    def receive(message: str) -> bytes:
        nonlocal state
        parsed = json.loads(message)
        pcm: bytes = audioop.ulaw2lin(base64.b64decode(parsed["media"]["payload"]), 2)
        if rate != 8000:
            pcm, state = audioop.ratecv(pcm, 2, 1, 8000, rate, state)
        return pcm

    return receive


def typed(rate: int) -> Contender:
    """msgspec and audioop: what who has measured writes."""
    state: Any = None
    decode = msgspec.json.Decoder(Message).decode

    def receive(message: str) -> bytes:
        nonlocal state
        pcm: bytes = audioop.ulaw2lin(base64.b64decode(decode(message).media.payload), 2)
        if rate != 8000:
            pcm, state = audioop.ratecv(pcm, 2, 1, 8000, rate, state)
        return pcm

    return receive


def fast(rate: int) -> Contender:
    """orjson, pybase64 and audioop."""
    state: Any = None

    def receive(message: str) -> bytes:
        nonlocal state
        pcm: bytes = audioop.ulaw2lin(pybase64.b64decode(orjson.loads(message)["media"]["payload"]), 2)
        if rate != 8000:
            pcm, state = audioop.ratecv(pcm, 2, 1, 8000, rate, state)
        return pcm

    return receive


def soxr_way(rate: int) -> Contender:
    """json, base64, audioop and python-soxr's stream, as voice frameworks do."""
    import numpy as np

    stream = soxr.ResampleStream(8000, rate, 1, "int16", "HQ")

    def receive(message: str) -> bytes:
        pcm = audioop.ulaw2lin(base64.b64decode(json.loads(message)["media"]["payload"]), 2)
        return bytes(stream.resample_chunk(np.frombuffer(pcm, np.int16)))

    return receive


def pipecat_way(rate: int) -> Contender:
    """Pipecat's serializer for Twilio, without the loop and the pipeline around it."""
    params = pipecat.TwilioFrameSerializer.InputParams(auto_hang_up=False, sample_rate=rate)
    serializer = pipecat.TwilioFrameSerializer("bench", params=params)
    result_of(serializer.setup(SimpleNamespace(audio_in_sample_rate=rate)))
    return lambda message: result_of(serializer.deserialize(message))


def result_of(coroutine: Coroutine[Any, Any, object]) -> object:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError(f"{coroutine} waits for something: time it in a loop")


def peers(rate: int) -> dict[str, Contender]:
    found: dict[str, Contender] = {}
    if audioop:
        found["json + base64 + audioop"] = stdlib(rate)
        found["msgspec + base64 + audioop"] = typed(rate)
        if orjson and pybase64:
            found["orjson + pybase64 + audioop"] = fast(rate)
        if soxr and rate != 8000:
            found["json + base64 + audioop + soxr"] = soxr_way(rate)
        if pipecat:
            found["Pipecat's TwilioFrameSerializer"] = pipecat_way(rate)
    return found


def messages() -> tuple[list[str], list[str]]:
    """Give what starts the stream, and its media."""
    sender = StreamSender("PCMU", call_id="bench")
    texts = [message.decode() for message in sender.start() + sender.media(speech_like(MESSAGES / 50))]
    n = len(texts) - MESSAGES
    return texts[:n], texts[n:]


def every(function: Contender, media: Iterable[str]) -> None:
    for message in media:
        function(message)


def anew(make: Callable[[], Contender], media: list[str]) -> Pass:
    """A pass of a contender that has a stream's state: its numbers go on, so each pass is a stream."""
    return lambda: every(make(), media)


def receiver(rate: int, start: list[str]) -> Contender:
    ours = StreamReceiver(sample_rate=rate)
    for message in start:
        ours.receive(message)
    return ours.receive


def stages(start: list[str], media: list[str]) -> dict[str, Pass]:
    payloads = [base64.b64decode(json.loads(message)["media"]["payload"]) for message in media]
    texts = [json.loads(message)["media"]["payload"] for message in media]
    stream_id = json.loads(start[-1])["start"].get("streamSid") or json.loads(start[-1])["streamSid"]

    def push() -> None:
        track = Track(MediaFormat("PCMU", 8000), wait_ms=60)
        for i, payload in enumerate(payloads):
            track.push(payload, timestamp_ms=20 * i, sequence=i)

    def read() -> None:
        reader = MediaReader()
        reader.open_media(stream_id, 65536)
        reader.add_track(Track(MediaFormat("PCMU", 8000), wait_ms=60))
        for message in media:
            reader.receive(message, None)

    return {
        "scan (and a tuple of it)": functools.partial(every, scan, media),
        "base64": functools.partial(every, our_base64.decode, texts),
        "track": push,
        "all of them, natively": read,
    }


def sending(rate: int) -> dict[str, Pass]:
    """PCM at a rate to PCMU messages of 20 ms."""
    pcm, step = speech_like(MESSAGES / 50, rate), rate // 50 * 2
    chunks = [pcm[i : i + step] for i in range(0, len(pcm), step)]

    def ours() -> None:
        sender = StreamSender("PCMU", sample_rate=rate)
        sender.start()
        for chunk in chunks:
            sender.media(chunk)

    def usual() -> None:
        state: Any = None
        for number, chunk in enumerate(chunks):
            if rate != 8000:
                chunk, state = audioop.ratecv(chunk, 2, 1, rate, 8000, state)
            payload = base64.b64encode(audioop.lin2ulaw(chunk, 2)).decode()
            media = {
                "track": "inbound",
                "chunk": str(number),
                "timestamp": str(20 * number),
                "payload": payload,
            }
            json.dumps({"event": "media", "sequenceNumber": str(number), "media": media})

    return {"trunkline": ours, "audioop + base64 + json": usual}


def dialects() -> tuple[dict[str, Pass], dict[str, Pass]]:
    """L16 of 8 kHz, which all have, to frames and to messages of 20 ms, in each dialect."""
    receiving: dict[str, Pass] = {}
    sent: dict[str, Pass] = {}
    pcm = speech_like(MESSAGES / 50)
    for name in DIALECTS:
        sender = StreamSender("L16@8000h", dialect=name)
        arriving: list[str | bytes] = [
            message.decode() if sender.is_text(message) else message
            for message in sender.start() + sender.media(pcm)
        ]

        def receive(arriving: list[str | bytes] = arriving) -> None:
            take = StreamReceiver().receive
            for message in arriving:
                take(message)

        def send(name: str = name) -> None:
            sender = StreamSender("L16@8000h", dialect=name)
            sender.start()
            for i in range(0, len(pcm), 320):
                sender.media(pcm[i : i + 320])

        receiving[name], sent[name] = receive, send
    return receiving, sent


def print_dialects() -> None:
    received, sent = (take_turns(passes, ROUNDS) for passes in dialects())
    print("\nEach dialect, L16 at 8 kHz: its time is so many times SignalWire's, to frames and to messages")
    print_head("to frames", "to messages")
    for name in DIALECTS:
        ratios = (times_as_fast(seconds, "signalwire", name) for seconds in (received, sent))
        print_row(name, *(f"{ratio:.2f}" for ratio in ratios))


def main() -> None:
    start, media = messages()
    for rate in (8000, 16000):
        passes: dict[str, Pass] = {"trunkline": anew(functools.partial(receiver, rate, start), media)}
        passes |= {
            name: functools.partial(every, contender, media) for name, contender in peers(rate).items()
        }
        seconds = take_turns(passes, ROUNDS)
        print(f"\nTo frames at {rate} Hz: StreamReceiver.receive is so many times as fast as")
        print_head("ratio")
        for name in seconds:
            if name != "trunkline":
                print_row(name, f"{times_as_fast(seconds, 'trunkline', name):.1f}")
    if audioop:
        print("\nPCM to messages: StreamSender.media is so many times as fast as audioop + base64 + json")
        print_head("ratio")
        for rate in (8000, 24_000):
            seconds = take_turns(sending(rate), ROUNDS)
            ratio = times_as_fast(seconds, "trunkline", "audioop + base64 + json")
            print_row(f"from {rate} Hz", f"{ratio:.1f}")
    passes = stages(start, media)
    passes["StreamReceiver.receive"] = anew(functools.partial(receiver, 8000, start), media)
    seconds = take_turns(passes, ROUNDS)
    whole = statistics.median(seconds["StreamReceiver.receive"])
    print("\nWhere the time goes, to frames at 8 kHz: parts of the whole")
    print_head("part")
    for name, times in seconds.items():
        print_row(name, f"{statistics.median(times) / whole:.2f}")
    print_dialects()


if __name__ == "__main__":
    main()
