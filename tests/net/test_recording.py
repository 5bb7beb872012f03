"""CallRecordings: one true WAV per call, whatever the ids, the peers and the disk do."""

import asyncio
import errno
import math
import wave
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.full_disk import file_size_limit
from tests.net.endpoints import call_messages, close_of, connect, pcm_of, received_directly, run, send
from trunkline.errors import RemoteProtocolError
from trunkline.net import CallRecording, CallRecordings, Server, serve
from trunkline.net.recording import _harmless, _level_dbfs
from trunkline.stream import Frame
from trunkline.testing import speech_like, tone

PCM = speech_like(2.01)


def wav_samples(path: Path) -> bytes:
    """The samples as the standard library reads them."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (8000, 2)
        samples: bytes = file.readframes(file.getnframes())
        return samples


def recorded(directory: Path, *calls: list[bytes]) -> list[CallRecording]:
    """Record calls that take turns message by message; a call is cut off after its last message."""
    ended: list[CallRecording] = []

    async def main() -> None:
        async with (
            serve(CallRecordings(directory, on_end=ended.append)) as server,
            asyncio.TaskGroup() as group,
        ):
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
    assert name[0] not in ".-"
    assert not set(name) & set("/\\\0\n :")


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


def test_a_directory_that_has_gone_is_an_error_of_the_call(tmp_path: Path) -> None:
    ended: list[CallRecording] = []

    async def main() -> None:
        handler = CallRecordings(tmp_path / "out", on_end=ended.append)
        (tmp_path / "out").rmdir()
        async with serve(handler) as server, connect(server) as socket:
            await send(socket, call_messages("call-1", PCM)[:2])
            assert await close_of(socket) == (1011, "recording failed")

    run(main())
    assert isinstance(ended[0].error, FileNotFoundError)


@pytest.mark.parametrize("level", [0.0, -6.0, -40.0])
def test_the_level_is_that_of_the_audio(level: float) -> None:
    frame = Frame(tone(0.1, 1000, level_dbfs=level), sample_rate=8000)
    assert _level_dbfs(frame) == pytest.approx(level - 3.01, abs=0.1)  # a sine's RMS is 3 dB below its peak


def test_silence_has_no_level() -> None:
    assert _level_dbfs(Frame(bytes(320), sample_rate=8000)) == -math.inf


def test_a_frame_of_two_channels_has_one_level() -> None:
    frame = Frame(array("h", [16384] * 640), sample_rate=8000, channels=2)
    assert _level_dbfs(frame) == pytest.approx(-6.02, abs=0.01)


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


def test_a_disk_that_is_full_before_the_header_keeps_no_empty_file(tmp_path: Path) -> None:
    with file_size_limit(0):
        (recording,) = recorded(tmp_path, call_messages("call-1", PCM, stream_id="s"))
    assert isinstance(recording.error, OSError)
    assert recording.duration_ms == 0
    assert not list(tmp_path.iterdir())


def test_an_empty_file_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "call-1_s.wav").touch()
    with file_size_limit(0):
        recorded(tmp_path, call_messages("call-1", PCM, stream_id="s"))
    assert [path.name for path in tmp_path.iterdir()] == ["call-1_s.wav"]
