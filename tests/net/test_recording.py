"""CallRecordings: one true recording per call, whatever the ids, the peers and the disk do."""

import asyncio
import base64
import errno
import json
import math
import wave
from array import array
from pathlib import Path
from typing import Any

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.full_disk import file_size_limit
from tests.net.endpoints import call_messages, close_of, connect, pcm_of, received_directly, run, send
from trunkline import opus
from trunkline.errors import FormatError, RemoteProtocolError
from trunkline.net import Call, CallRecording, CallRecordings, Server, serve
from trunkline.net.recording import RecordingStats, _harmless, _level_dbfs
from trunkline.stream import Event, Frame, Recorder, Stop, StreamSender
from trunkline.testing import speech_like, tone

PCM = speech_like(2.01)
TRACKS = ("inbound", "outbound")


def wav_samples(path: Path) -> bytes:
    """The samples as the standard library reads them."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (8000, 2)
        samples: bytes = file.readframes(file.getnframes())
        return samples


def recorded(
    directory: Path, *calls: list[bytes], layout: str = "stereo", format: str = "wav", output: str = "pcm"
) -> list[CallRecording]:
    """Record calls that take turns message by message; a call is cut off after its last message."""
    ended: list[CallRecording] = []

    async def main() -> None:
        handler = CallRecordings(directory, layout=layout, format=format, on_end=ended.append)
        async with serve(handler, output=output) as server, asyncio.TaskGroup() as group:
            for messages in calls:
                group.create_task(deliver(server, messages))

    async def deliver(server: Server, messages: list[bytes]) -> None:
        async with connect(server) as socket:
            for message in messages:
                await send(socket, [message])
                await asyncio.sleep(0)
            if b'"stop"' in messages[-1]:
                await close_of(socket)

    run(main())
    return ended


def test_calls_become_files(tmp_path: Path) -> None:
    calls = [call_messages(f"call-{k}", PCM[k * 320 :], stream_id=f"stream-{k}") for k in range(5)]
    ended = recorded(tmp_path / "new" / "directory", *calls)
    assert len(ended) == 5
    for k, messages in enumerate(calls):
        path = tmp_path / "new" / "directory" / f"call-{k}_stream-{k}.wav"
        assert wav_samples(path) == pcm_of(received_directly(messages))


def test_one_that_misbehaves_costs_the_other_nothing(tmp_path: Path) -> None:
    good = call_messages("good", PCM, stream_id="s")
    bad = [*call_messages("bad", PCM, stream_id="s")[:20], b"{"]
    ended = {recording.path.name: recording for recording in recorded(tmp_path, good, bad)}
    assert ended["good_s.wav"].call.error is None
    assert isinstance(ended["bad_s.wav"].call.error, RemoteProtocolError)
    for name, messages in (("good_s.wav", good), ("bad_s.wav", bad[:-1])):
        assert wav_samples(tmp_path / name) == pcm_of(received_directly(messages))


def test_a_cut_connection_keeps_all_audio(tmp_path: Path) -> None:
    messages = call_messages("cut", PCM, stream_id="s")[:50]
    (recording,) = recorded(tmp_path, messages)
    assert recording.call.error is not None
    assert recording.error is None
    assert wav_samples(tmp_path / "cut_s.wav") == pcm_of(received_directly(messages))


def test_opus_files_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "same_s.outbound.opus").write_bytes(b"of a call whose WAV has been moved away")
    (recording,) = recorded(tmp_path, call_messages("same", PCM[:640], stream_id="s"))
    assert recording.path.name == "same_s-2.wav"
    assert (tmp_path / "same_s.outbound.opus").read_bytes().startswith(b"of a call")


def both_tracks(call_id: str, format: str = "PCMU") -> list[bytes]:
    """A call in which both speak at once."""
    sender = StreamSender(format, sample_rate=8000, call_id=call_id, stream_id="s", tracks=TRACKS)
    messages = [*sender.start()]
    for k, track in enumerate(TRACKS):
        messages += sender.media(speech_like(0.5, seed=k), track)
    return messages + sender.stop()


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("format", ["wav", "opus"])
@pytest.mark.parametrize("layout", ["stereo", "mixed", "separate"])
def test_every_layout_and_format_is_a_recorders(
    tmp_path: Path, libopus: object, layout: str, format: str
) -> None:
    messages = both_tracks("call")
    (recording,) = recorded(tmp_path / "out", messages, layout=layout, format=format)
    assert recording.error is None
    with Recorder(tmp_path / f"call_s.{format}", layout=layout) as recorder:
        for event in received_directly(messages):
            recorder.write(event)
    paths = list(dict.fromkeys(recorder.paths.values()))
    assert [path.name for path in recording.paths] == [path.name for path in paths]
    assert names_in(tmp_path / "out") == [path.name for path in paths]
    assert recording.duration_ms == recorder.duration_ms == 500
    for path, expected in zip(recording.paths, paths, strict=True):
        assert samples_of(path) == samples_of(expected)


def samples_of(path: Path) -> bytes:
    samples, _ = soundfile.read(path, dtype="int16")
    return bytes(samples.tobytes())


@pytest.mark.parametrize("taken", ["same_s.inbound.wav", "same_s.outbound.wav"])
def test_a_name_is_free_when_both_tracks_are(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_bytes(b"somebody's")
    calls = [both_tracks("same"), both_tracks("same"), call_messages("same", PCM[:640], stream_id="s")]
    ended = recorded(tmp_path, *calls, layout="separate")
    assert {recording.error for recording in ended} == {None}
    assert (tmp_path / taken).read_bytes() == b"somebody's"
    own = sorted(path.name for recording in ended for path in recording.paths)
    assert len(own) == len(set(own)) == 5
    assert names_in(tmp_path) == sorted([*own, taken])


@pytest.mark.parametrize("layout", ["stereo", "separate"])
def test_kept_packets_are_beside_a_recording_in_opus(tmp_path: Path, libopus: object, layout: str) -> None:
    messages = both_tracks("call", format="OPUS@16000h")
    calls = [messages, messages]
    ended = recorded(tmp_path, *calls, layout=layout, format="opus", output="both")
    assert [recording.error for recording in ended] == [None, None]
    kept = "call_s.packets" if layout == "separate" else "call_s"
    kept_names = [f"{kept}.{track}.opus" for track in TRACKS]
    own_names = [f"call_s.{track}.opus" for track in TRACKS] if layout == "separate" else ["call_s.opus"]
    second = [name.replace("call_s", "call_s-2") for name in own_names + kept_names]
    assert names_in(tmp_path) == sorted(own_names + kept_names + second)
    sent = [json.loads(message) for message in messages]
    for track, name in zip(TRACKS, kept_names, strict=True):
        packets = [
            base64.b64decode(m["media"]["payload"]) for m in sent if m.get("media", {}).get("track") == track
        ]
        with opus.OggReader(tmp_path / name) as reader:
            assert [packet.packet for packet in reader] == packets
    for name in own_names:
        assert samples_of(tmp_path / name) == samples_of(tmp_path / name.replace("call_s", "call_s-2"))


def test_no_recording_has_the_name_of_another_calls_track(tmp_path: Path, libopus: object) -> None:
    calls = [
        call_messages("a", PCM[:640], "OPUS@16000h", stream_id="s"),
        call_messages("a", PCM[:640], "OPUS@16000h", stream_id="s.inbound"),
    ]
    recorded(tmp_path, *calls, format="opus", output="both")
    assert names_in(tmp_path) == [
        "a_s.inbound.opus",
        "a_s.opus",
        "a_s_inbound.inbound.opus",
        "a_s_inbound.opus",
    ]


def test_what_opus_cannot_record_ends_its_call_and_leaves_no_file(tmp_path: Path) -> None:
    bad = call_messages("bad", PCM[:3528], "L16@44100h", stream_id="s")
    (recording,) = recorded(tmp_path, bad, layout="separate", format="opus")
    assert isinstance(recording.error, FormatError)
    assert "recording of 44100 Hz: Opus takes 8000," in str(recording.error)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "mono"}, "layout 'mono': takes stereo, mixed, separate"),
        ({"format": "mp3"}, "format 'mp3': takes wav, opus"),
    ],
)
def test_other_options_are_refused_before_a_call(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        CallRecordings(tmp_path / "out", **options)
    assert names_in(tmp_path) == []


HOSTILE = [
    "../../x",
    "/etc/passwd",
    "a\x1b[2Jb",
    "x" * 10_000,
    "",
    "..",
    ".",
    "ünï/cödé 電話",
    "-rf",
    "a\nb",
    "CON:",
]


def test_hostile_ids_stay_in_the_directory(tmp_path: Path) -> None:
    directory = tmp_path / "out"
    calls = [call_messages(text, PCM[:640], stream_id=text) for text in HOSTILE]
    ended = recorded(directory, *calls)
    assert all(recording.error is None for recording in ended)
    files = list(directory.iterdir())
    assert len(files) == len(HOSTILE)
    assert list(tmp_path.iterdir()) == [directory]
    assert all(len(wav_samples(path)) == 640 for path in files)


@given(st.text(max_size=300))
def test_what_is_left_of_an_id_is_a_plain_name(text: str) -> None:
    name = _harmless(text)
    assert 1 <= len(name) <= 64
    assert name.isascii()
    assert name[0] != "-"
    assert not set(name) & set("./\\\0\n :")


def test_equal_ids_never_replace_a_recording(tmp_path: Path) -> None:
    calls = [call_messages("same", PCM[: 320 * (k + 1)], stream_id="s") for k in range(3)]
    recorded(tmp_path, *calls)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["same_s-2.wav", "same_s-3.wav", "same_s.wav"]
    assert sorted(len(wav_samples(path)) for path in tmp_path.iterdir()) == [320, 640, 960]


def test_a_full_disk_costs_one_call_only(tmp_path: Path) -> None:
    long = call_messages("long", speech_like(10), stream_id="s")
    short = call_messages("short", PCM, stream_id="s")
    with file_size_limit(60_000):
        ended = {recording.path.name: recording for recording in recorded(tmp_path, long, short)}
    assert isinstance(ended["long_s.wav"].error, OSError)
    assert ended["short_s.wav"].error is None
    assert wav_samples(tmp_path / "short_s.wav") == pcm_of(received_directly(short))


@pytest.mark.parametrize("is_device", [False, True])
def test_a_full_disk_is_one_error_and_the_stream_goes_on(tmp_path: Path, is_device: bool) -> None:
    messages = call_messages("call-1", speech_like(10), stream_id="s")
    path = tmp_path / "call.wav"
    if is_device:
        path.symlink_to("/dev/full")
    events: list[Event] = []
    errors: list[Exception] = []

    async def handler(call: Call) -> None:
        recorder: Recorder | None = Recorder(path)
        async for event in call:
            events.append(event)
            try:
                if recorder is not None:
                    recorder.write(event)
            except OSError as error:
                errors.append(error)
                recorder.close()
                recorder = None

    async def main() -> None:
        async with serve(handler) as server, connect(server) as socket:
            await send(socket, messages)
            assert await close_of(socket) == (1000, "")

    with file_size_limit(60_000):
        run(main())
    (error,) = errors
    assert str(path) in str(error)
    assert isinstance(events[-1], Stop)
    assert pcm_of(events) == pcm_of(received_directly(messages))


def test_a_directory_that_has_gone_is_one_error_and_the_call_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[CallRecording] = []

    async def main() -> None:
        handler = CallRecordings(tmp_path / "out", on_end=ended.append)
        (tmp_path / "out").rmdir()
        async with serve(handler) as server, connect(server) as socket:
            await send(socket, call_messages("call-1", PCM, stream_id="s"))
            assert await close_of(socket) == (1000, "")
        assert handler.stats == RecordingStats(written=0, failed=1)

    run(main())
    assert isinstance(ended[0].error, FileNotFoundError)
    assert ended[0].call.stats["inbound"].packets == 101
    (line,) = caplog.messages
    assert line == f"{tmp_path}/out/call-1_s.wav: the recording ends here: No such file or directory"


@pytest.mark.parametrize("format", ["wav", "opus"])
def test_a_disk_that_takes_nothing_is_one_error_and_the_call_goes_on(
    tmp_path: Path, libopus: object, format: str, caplog: pytest.LogCaptureFixture
) -> None:
    messages = call_messages("call-1", speech_like(10), stream_id="s")
    ended: list[CallRecording] = []

    def fill(recording: CallRecording) -> None:
        recording.path.unlink()
        recording.path.symlink_to("/dev/full")

    async def main() -> None:
        handler = CallRecordings(tmp_path, format=format, on_start=fill, on_end=ended.append)
        async with serve(handler) as server, connect(server) as socket:
            await send(socket, messages)
            assert await close_of(socket) == (1000, "")
        assert handler.stats == RecordingStats(written=0, failed=1)

    run(main())
    assert isinstance(ended[0].error, OSError)
    assert ended[0].call.error is None
    assert ended[0].call.stats["inbound"].packets == 500
    (line,) = caplog.messages
    assert line == (
        f"{tmp_path}/call-1_s.{format}: the recording ends here: No space left on device: make room, the "
        "next calls are recorded again"
    )


def test_of_two_files_the_one_that_takes_more_is_written_to_its_end(
    tmp_path: Path, libopus: object, caplog: pytest.LogCaptureFixture
) -> None:
    messages = call_messages("call-1", speech_like(10, 16000), "OPUS@16000h", stream_id="s")
    with file_size_limit(60_000):
        (recording,) = recorded(tmp_path, messages, output="both")
    assert isinstance(recording.error, OSError)
    assert "call-1_s.wav: the recording ends here: File too large: files may not" in "".join(caplog.messages)
    assert len(caplog.messages) == 1
    assert recording.call.error is None
    with opus.OggReader(tmp_path / "call-1_s.inbound.opus") as reader:
        assert len(list(reader)) == recording.call.stats["inbound"].packets
    samples, _ = soundfile.read(tmp_path / "call-1_s.wav")
    assert 0 < len(samples) < 30_000


@pytest.mark.parametrize("level", [0.0, -6.0, -40.0])
def test_the_level_is_that_of_the_audio(level: float) -> None:
    frame = Frame(tone(0.1, 1000, level_dbfs=level), sample_rate=8000)
    assert _level_dbfs(frame) == pytest.approx(level, abs=0.1)


def test_silence_has_no_level() -> None:
    assert _level_dbfs(Frame(bytes(320), sample_rate=8000)) == -math.inf


def test_a_frame_of_two_channels_has_one_level() -> None:
    frame = Frame(array("h", [16384] * 640), sample_rate=8000, channels=2)
    assert _level_dbfs(frame) == pytest.approx(-6.02 + 3.01, abs=0.01)  # a square's RMS is its peak


def test_who_watches_costs_no_audio(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    messages = call_messages("call-1", PCM, stream_id="s")
    ended: list[CallRecording] = []

    def broken(recording: CallRecording) -> None:
        ended.append(recording)
        raise OSError(errno.ENOSPC, "No space left on device")

    async def main() -> None:
        handler = CallRecordings(tmp_path, on_start=broken, on_end=broken)
        async with serve(handler) as server, connect(server) as socket:
            await send(socket, messages)
            assert await close_of(socket) == (1000, "")

    run(main())
    assert len(ended) == 2
    assert ended[0].error is None
    assert wav_samples(tmp_path / "call-1_s.wav") == pcm_of(received_directly(messages))
    assert caplog.text.count("what watches it raised") == 2


def test_a_full_disk_leaves_the_duration_of_the_file(tmp_path: Path) -> None:
    with file_size_limit(60_000):
        (recording,) = recorded(tmp_path, call_messages("call-1", speech_like(10), stream_id="s"))
    assert isinstance(recording.error, OSError)
    n_samples = len(wav_samples(tmp_path / "call-1_s.wav")) // 2
    assert 0 < n_samples < 30_000
    assert recording.duration_ms == n_samples / 8


@pytest.mark.parametrize(("layout", "format"), [("stereo", "wav"), ("separate", "wav"), ("separate", "opus")])
def test_a_disk_that_is_full_before_the_header_keeps_no_empty_file(
    tmp_path: Path, libopus: object, layout: str, format: str
) -> None:
    with file_size_limit(0):
        (recording,) = recorded(tmp_path, both_tracks("call-1"), layout=layout, format=format)
    assert isinstance(recording.error, OSError)
    assert recording.duration_ms == 0
    assert not list(tmp_path.iterdir())


def test_an_empty_file_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "call-1_s.wav").touch()
    with file_size_limit(0):
        recorded(tmp_path, call_messages("call-1", PCM, stream_id="s"))
    assert [path.name for path in tmp_path.iterdir()] == ["call-1_s.wav"]
