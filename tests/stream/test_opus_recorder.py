"""OpusRecorder: packets at their times, losses left, files from one moment; and a receiver's Payloads."""

import wave
from pathlib import Path

import numpy as np
import pytest

from trunkline import opus
from trunkline.errors import FormatError, PayloadError
from trunkline.formats import MediaFormat
from trunkline.stream import (
    Event,
    Frame,
    OpusRecorder,
    Payload,
    Recorder,
    Start,
    StreamReceiver,
    StreamSender,
)
from trunkline.testing import speech_like

RATE = 16000
BOTH = ("inbound", "outbound")
MS = 48  # samples of a millisecond


def start(codec: str = "OPUS") -> Start:
    return Start("s", "c", None, BOTH, MediaFormat(codec, RATE), {}, "signalwire")


def some_packets(n: int) -> list[bytes]:
    encoder, pcm = opus.Encoder(RATE, bitrate=24000), speech_like(n * 0.02, RATE)
    return [encoder.encode(pcm[i : i + 640]) for i in range(0, len(pcm), 640)]


def recorded(tmp_path: Path, events: list[Event]) -> dict[str, list[opus.OggPacket]]:
    with OpusRecorder(tmp_path / "call") as recorder:
        for event in events:
            recorder.write(event)
    found = {}
    for track, path in recorder.paths.items():
        assert path == tmp_path / f"call.{track}.opus"
        with opus.OggReader(path) as reader:
            found[track] = list(reader)
            assert (reader.pre_skip, reader.sample_rate) == (0, RATE)
            assert (reader.damaged, reader.skipped_bytes) == (0, 0)
    return found


def test_packets_are_kept_as_they_came_beside_the_recording(tmp_path: Path) -> None:
    sender = StreamSender("OPUS@16000h", tracks=BOTH)
    receiver = StreamReceiver(output="both")
    payloads: dict[str, list[bytes]] = {track: [] for track in BOTH}
    with Recorder(tmp_path / "call.wav") as recorder, OpusRecorder(tmp_path / "call") as keeper:
        messages = sender.start()
        for track in BOTH:
            messages += sender.media(speech_like(1, RATE, seed=len(track)), track)
        for message in messages + sender.stop():
            for event in receiver.receive(message):
                recorder.write(event)
                keeper.write(event)
                if isinstance(event, Payload):
                    payloads[event.track].append(event.payload)
    for channel, track in enumerate(BOTH):
        with opus.OggReader(keeper.paths[track]) as reader:
            packets = list(reader)
        assert [packet.packet for packet in packets] == payloads[track]
        assert [packet.position for packet in packets] == [960 * i for i in range(51)]
        decoder = opus.Decoder(RATE)
        decoded = b"".join(decoder.decode(packet.packet) for packet in packets)
        with wave.open(str(tmp_path / "call.wav")) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)[channel::2]
        assert samples.tobytes() == decoded


def test_losses_late_packets_and_a_late_track_keep_their_places(tmp_path: Path) -> None:
    packets = some_packets(8)
    times = {"inbound": [100, 120, 180, 180, 140, 200], "outbound": [160, 180]}
    events: list[Event] = [start()]
    for track, at in times.items():
        events += [Payload(track, packet, ms, None) for packet, ms in zip(packets, at, strict=False)]
    found = recorded(tmp_path, events)
    real = {
        track: [(packet.position // MS, packet.packet) for packet in found[track] if len(packet.packet) > 1]
        for track in BOTH
    }
    assert real["inbound"] == [(0, packets[0]), (20, packets[1]), (80, packets[2]), (100, packets[5])]
    assert real["outbound"] == [(60, packets[0]), (80, packets[1])]
    assert [packet.position // MS for packet in found["inbound"]] == [0, 20, 40, 60, 80, 100]


@pytest.mark.parametrize("late_ms", [-9, 0, 9])
def test_missing_numbers_say_how_much_is_missing(tmp_path: Path, late_ms: int) -> None:
    encoder = opus.Encoder(RATE)
    packets = [encoder.encode(bytes(2 * 80)) for _ in range(4)]  # 5 ms
    times = {0: 0, 1: 5, 3: 15 + late_ms, 4: 20 + late_ms}
    events = [Payload("inbound", packet, times[i], i) for i, packet in zip(times, packets, strict=True)]
    found = recorded(tmp_path, [start(), *events])
    assert [packet.position // MS for packet in found["inbound"]] == [0, 5, 10, 15, 20]


def test_a_long_gap_is_cut_and_a_clock_that_steps_back_goes_on(tmp_path: Path) -> None:
    packets = some_packets(4)
    events = [start()]
    for number, (packet, ms) in enumerate(zip(packets, [0, 20_000, 5, 25], strict=True)):
        events.append(Payload("inbound", packet, ms, number))
    found = recorded(tmp_path, events)
    assert [(packet.position // MS, packet.packet) for packet in found["inbound"]] == [
        (20 * i, packet) for i, packet in enumerate(packets)
    ]


def test_another_codec_and_an_empty_payload_leave_no_file(tmp_path: Path) -> None:
    assert recorded(tmp_path, [start("PCMU"), Payload("inbound", bytes(160), 0, 1)]) == {}
    assert recorded(tmp_path, [start(), Payload("inbound", b"", 0, 1)]) == {}
    assert list(tmp_path.iterdir()) == []


def test_payloads_come_before_their_frames_and_only_when_asked_for() -> None:
    messages = (sender := StreamSender("PCMU")).start() + sender.media(bytes(320)) + sender.stop()
    receiver = StreamReceiver(output="both")
    events = [event for message in messages for event in receiver.receive(message)]
    assert [type(event) for event in events[1:3]] == [Payload, Frame]
    assert events[1] == Payload("inbound", b"\xff" * 160, 0, 1)
    receiver = StreamReceiver()
    assert not [e for message in messages for e in receiver.receive(message) if isinstance(e, Payload)]
    with pytest.raises(FormatError, match="takes pcm, both or encoded"):
        StreamReceiver(output="frames")


def test_a_corrupt_packet_is_an_error_and_the_stream_goes_on() -> None:
    sender, receiver = StreamSender("OPUS@16000h"), StreamReceiver(output="both")
    for message in sender.start():
        receiver.receive(message)
    first, second = sender.media(bytes(2 * 640))
    with pytest.raises(PayloadError, match="RFC 6716"):
        receiver.receive(first.replace(first.split(b'"payload":"')[1].split(b'"')[0], b"/w=="))
    assert len(receiver.receive(first)) == len(receiver.receive(second)) == 2
