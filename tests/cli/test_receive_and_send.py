"""trunkline receive and trunkline send, against each other."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import wave
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import pytest
import soundfile
from aiohttp import web

from tests.cli.commands import (
    GUARD_S,
    TRUNKLINE,
    assert_others_read,
    read_rest,
    receiving,
    trunkline,
    trunkline_here,
)
from tests.net.endpoints import call_messages, close_of
from tests.net.endpoints import send as say
from tests.ports import reserved_port
from tests.reference import resample as reference
from trunkline import g711, opus, wav
from trunkline.net.tls import self_signed
from trunkline.testing import conversation, speech_like

PCM = speech_like(1.01)
# asyncio leaves it to the end of the process to close a TLS socket.
TLS_WARNINGS = "error,ignore:unclosed <s:ResourceWarning,ignore:unclosed transport:ResourceWarning"
TOKEN = "s3cret-token-of-this-test"  # noqa: S105


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    wav.write(path, PCM, 8000)
    return path


def test_tls_with_the_certificate_that_is_kept(tmp_path: Path, speech: Path) -> None:
    certificate = tmp_path / "keys" / "certificate.pem"
    options = ("--calls", 1, "--tls", "--cert-dir", certificate.parent)
    with receiving(tmp_path / "out", *options, PYTHONWARNINGS=TLS_WARNINGS) as (process, url):
        assert process.stdout is not None
        assert process.stdout.readline() == f"  to be trusted by who streams here: {certificate}\n"
        assert url.startswith("wss://127.0.0.1:")
        sending = ("send", speech, "--url", url, "--speed", 0, "--cacert", certificate)
        sent = trunkline(*sending, PYTHONWARNINGS=TLS_WARNINGS)
        code, _, errors = read_rest(process)
    assert (sent.returncode, sent.stderr, code, errors) == (0, "", 0, "")
    with wave.open(str(only_file(tmp_path / "out"))) as file:
        assert file.getnframes() == len(PCM) // 2


def only_file(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def test_a_file_goes_over_the_wire_and_lands_as_a_file(tmp_path: Path, speech: Path) -> None:
    out, stats = tmp_path / "out", tmp_path / "stats.jsonl"
    with receiving(out, "--calls", 1, "--stats", stats) as (process, url):
        sent = trunkline("send", speech, "--url", url, "--speed", 0, "--param", "a=b=c")
        code, output, errors = read_rest(process)
    assert (sent.returncode, sent.stderr) == (0, "")
    assert re.fullmatch(r"sent .*speech\.wav: 1\.01 s in 54 messages\n", sent.stdout)
    assert (code, errors) == (0, "")
    assert "PCMU 8000 Hz, inbound, from 127.0.0.1:" in output
    assert re.search(r"1\.01 s; inbound: 51 packets(, jitter \d+ ms)?\n", output)
    expected = g711.ulaw_decode(g711.ulaw_encode(PCM))
    with wave.open(str(only_file(out))) as file:
        assert file.readframes(file.getnframes()) == expected
    assert_others_read(only_file(out), expected, channels=1)
    (line,) = stats.read_bytes().splitlines()
    told = msgspec.json.decode(line)
    inbound = told["tracks"]["inbound"]
    assert (told["recordings"], told["duration_ms"]) == ([str(only_file(out))], 1010.0)
    assert (inbound["packets"], inbound["bytes"], inbound["lost"]) == (51, len(PCM) // 2, 0)


def test_a_rate_without_whole_frames_is_a_usage_error() -> None:
    done = subprocess.run(
        [*TRUNKLINE, "receive", "--rate", "11025"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "'--rate': 11025: frames of 20 ms take a multiple of 50 Hz, such as 16000" in done.stderr


@pytest.mark.parametrize("file_rate", [11025, 44100])
def test_a_file_of_any_rate_is_recorded_at_the_asked_one(tmp_path: Path, file_rate: int) -> None:
    said = speech_like(1, file_rate)
    wav.write(tmp_path / "speech.wav", said, file_rate)
    with receiving(tmp_path / "out", "--calls", 1, "--rate", 16000) as (process, url):
        sent = trunkline("send", tmp_path / "speech.wav", "--url", url, "--speed", 0)
        code, output, errors = read_rest(process)
    assert (sent.returncode, sent.stderr, code, errors) == (0, "", 0, "")
    assert "PCMU 8000 Hz, recorded at 16000 Hz, inbound" in output
    exact = reference.whole(np.frombuffer(said, np.int16).astype(float), file_rate, 8000, "high")
    codes = g711.ulaw_encode(reference.to_s16(exact).tobytes())
    heard = np.frombuffer(g711.ulaw_decode(codes), np.int16).astype(float)
    wanted = reference.stream(heard, 8000, 16000, "voice")
    with wave.open(str(only_file(tmp_path / "out"))) as file:
        assert (file.getframerate(), file.getnframes()) == (16000, 16000 + 38)
        recorded = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    # Float32 may round a half the other way, which mu-law makes a step of the next code.
    assert (abs(recorded - wanted) > 0.51).mean() < 0.02
    assert abs(recorded - wanted).max() < 600


def test_opus_is_recorded_and_kept_as_it_came(tmp_path: Path, speech: Path) -> None:
    out = tmp_path / "out"
    with receiving(out, "--calls", 1, "--keep-opus") as (process, url):
        sent = trunkline("send", speech, "--url", url, "--speed", 0, "--codec", "OPUS@16000h")
        code, output, errors = read_rest(process)
    assert (sent.returncode, sent.stderr, code, errors) == (0, "", 0, "")
    assert "OPUS 16000 Hz, inbound" in output
    (kept,) = out.glob("*.inbound.opus")
    (recording,) = out.glob("*.wav")
    assert kept.name == f"{recording.stem}.inbound.opus"
    decoder = opus.Decoder(16000)
    with opus.OggReader(kept) as reader:
        decoded = b"".join(decoder.decode(packet.packet) for packet in reader)
    with wave.open(str(recording)) as file:
        assert (file.getframerate(), file.readframes(file.getnframes())) == (16000, decoded)
    played, rate = soundfile.read(kept, dtype="int16")
    assert (rate, len(played)) == (16000, len(decoded) // 2)
    assert abs(played - np.frombuffer(decoded, np.int16)).max() <= 1


def test_tracks_are_recorded_to_opus_files_of_their_own(tmp_path: Path, libopus: object) -> None:
    out = tmp_path / "out"
    sides = [speech_like(1.01, seed=k) for k in range(2)]
    wav.write(
        tmp_path / "call.wav",
        np.stack([np.frombuffer(side, np.int16) for side in sides], axis=1),
        8000,
        channels=2,
    )
    options = ("--layout", "separate", "--format", "opus", "--calls", 1)
    with receiving(out, *options) as (process, url):
        sent = trunkline("send", tmp_path / "call.wav", "--url", url, "--speed", 0, "--track", "both")
        code, output, errors = read_rest(process)
    assert (sent.returncode, sent.stderr, code, errors) == (0, "", 0, "")
    inbound, outbound = paths = sorted(out.iterdir())
    assert inbound.name.endswith(".inbound.opus")
    assert outbound.name == inbound.name.replace(".inbound.", ".outbound.")
    assert f"started {inbound}, {outbound}: PCMU 8000 Hz, inbound, outbound, from" in output
    assert f"ended {inbound}, {outbound}: 1.01 s; inbound: 51 packets" in output
    for path, side in zip(paths, sides, strict=True):
        heard, rate = soundfile.read(path, dtype="int16")
        said = np.frombuffer(side, np.int16)
        assert (rate, len(heard)) == (8000, len(said))
        assert np.corrcoef(heard, said)[0, 1] > 0.9


def test_without_libopus_nothing_is_promised_in_opus(tmp_path: Path) -> None:
    command = ("receive", "--format", "opus", "--out", tmp_path / "out")
    failed = trunkline(*command, TRUNKLINE_LIBOPUS="/nowhere/libopus.so.0")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("error: libopus cannot be loaded: install it")
    assert not (tmp_path / "out").exists()


def test_without_libopus_a_stream_of_it_is_refused_with_the_cure(tmp_path: Path, speech: Path) -> None:
    with receiving(tmp_path, TRUNKLINE_LIBOPUS="/nowhere/libopus.so.0") as (process, url):
        sent = trunkline("send", speech, "--url", url, "--codec", "OPUS@16000h")
        assert trunkline("send", speech, "--url", url, "--speed", 0).returncode == 0
        process.send_signal(signal.SIGINT)
        code, output, _ = read_rest(process)
    assert sent.returncode == 1
    assert "close code 1003: libopus cannot be loaded: install it" in sent.stderr
    assert code == 0
    assert "/nowhere/libopus.so.0" in output


def test_both_tracks_over_tls_with_a_token(tmp_path: Path) -> None:
    sides = conversation(1.5)
    stereo = np.stack([np.frombuffer(side, np.int16) for side in sides], axis=1).tobytes()
    wav.write(tmp_path / "call.wav", stereo, 8000, channels=2)
    certificate, key = self_signed(tmp_path)
    options = ("--cert", certificate, "--key", key, "--calls", 1)
    env = {"TRUNKLINE_BEARER_TOKEN": TOKEN, "PYTHONWARNINGS": TLS_WARNINGS}
    with receiving(tmp_path / "out", *options, **env) as (process, url):
        assert url.startswith("wss://")
        how = ("--speed", 0, "--track", "both_tracks", "--codec", "pcma", "--dialect", "twilio")
        send = ("send", tmp_path / "call.wav", "--url", url, *how, "--cacert", certificate)
        refused = trunkline(*send, **{**env, "TRUNKLINE_BEARER_TOKEN": TOKEN + "x"})
        sent = trunkline(*send, **env)
        code, output, errors = read_rest(process)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: the server refused the stream with HTTP 401")
    assert (sent.returncode, sent.stderr, code, errors) == (0, "", 0, "")
    refusals = re.findall(
        r"warning: 127\.0\.0\.1:\d+: refused with HTTP 401 Unauthorized, asked for '/'\n", output
    )
    assert len(refusals) == 1
    assert TOKEN not in output + sent.stdout + refused.stderr
    assert_others_read(only_file(tmp_path / "out"), g711.alaw_decode(g711.alaw_encode(stereo)), channels=2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_recordings(tmp_path: Path, speech: Path, number: int) -> None:
    out = tmp_path / "out"
    with receiving(out, "--drain", 0) as (process, url):
        sending = subprocess.Popen(
            [*TRUNKLINE, "send", speech, "--url", url, "--speed", "0.01"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith("started ")
        process.send_signal(number)
        code, output, errors = read_rest(process)
        assert (code, errors) == (0, "")
        assert "cut short: closed on this side before stop" in output
        assert sending.wait(GUARD_S) == 1
        assert sending.stderr is not None
        assert "close code 1001: server is shutting down" in sending.stderr.read()
        sending.stderr.close()
    with wave.open(str(only_file(out))) as file:
        heard = file.readframes(file.getnframes())
    assert heard == g711.ulaw_decode(g711.ulaw_encode(PCM))[: len(heard)]


def test_a_sender_that_is_killed_leaves_its_audio(tmp_path: Path, speech: Path) -> None:
    out = tmp_path / "out"
    with receiving(out, "--calls", 1) as (process, url):
        sending = subprocess.Popen([*TRUNKLINE, "send", speech, "--url", url, "--speed", "0.01"])
        assert process.stdout is not None
        process.stdout.readline()
        sending.kill()
        sending.wait()
        code, output, _ = read_rest(process)
    assert code == 0
    assert "cut short: connection" in output
    with wave.open(str(only_file(out))) as file:
        assert file.getnframes() % 160 == 0


def test_a_pipe_that_nobody_reads_costs_no_audio(tmp_path: Path, speech: Path) -> None:
    with receiving(tmp_path / "out", "--calls", 1) as (process, url):
        assert process.stdout is not None
        process.stdout.close()
        assert trunkline("send", speech, "--url", url, "--speed", 0).returncode == 0
        code, _, errors = read_rest(process)
    assert code == 0
    assert errors == "warning: nothing more is shown: standard output: Broken pipe\n"
    assert_others_read(only_file(tmp_path / "out"), g711.ulaw_decode(g711.ulaw_encode(PCM)), channels=1)


def test_a_full_log_costs_no_audio(tmp_path: Path, speech: Path) -> None:
    command = [*TRUNKLINE, "receive", "--out", str(tmp_path / "out"), "--calls", "1", "--listen"]
    with (
        reserved_port() as port,
        open("/dev/full", "w") as full,
        subprocess.Popen(
            [*command, address := f"127.0.0.1:{port}"], stdout=full, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        assert process.stderr.readline().endswith("No space left on device\n")  # so it listens
        assert trunkline("send", speech, "--url", f"ws://{address}/", "--speed", 0).returncode == 0
        assert read_rest(process) == (0, None, "")
    assert_others_read(only_file(tmp_path / "out"), g711.ulaw_decode(g711.ulaw_encode(PCM)), channels=1)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path, speech: Path, number: signal.Signals) -> None:
    ignoring = ("sh", "-c", f'trap "" {number.name.removeprefix("SIG")}; exec "$@"', "sh")
    with receiving(tmp_path / "out", "--calls", 1, under=ignoring) as (process, url):
        process.send_signal(number)
        assert trunkline("send", speech, "--url", url, "--speed", 0).returncode == 0
        code, output, _ = read_rest(process)
    assert code == 0
    assert "1.01 s; inbound: 51 packets" in output


def test_calls_beyond_the_last_are_refused_and_the_last_is_kept(tmp_path: Path, speech: Path) -> None:
    connected, start, *rest = call_messages("call-1", PCM)

    async def call_in(process: "subprocess.Popen[str]", url: str) -> "subprocess.CompletedProcess[str]":
        """Hold a call until another one has been refused."""
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as call:
            await say(call, [connected, start])
            assert process.stdout is not None
            assert (await asyncio.to_thread(process.stdout.readline)).startswith("started ")
            refused = await asyncio.to_thread(trunkline, "send", speech, "--url", url, "--speed", 0)
            await say(call, rest)
            assert await close_of(call) == (1000, "")
            return refused

    with receiving(tmp_path / "out", "--calls", 1) as (process, url):
        refused = asyncio.run(call_in(process, url))
        code, output, _ = read_rest(process)
    assert (refused.returncode, code) == (1, 0)
    assert refused.stderr == ("error: the server refused the stream with HTTP 503: it takes no more calls\n")
    assert "refused with HTTP 503 Service Unavailable" in output
    assert "1.01 s; inbound: 51 packets" in output


def test_a_port_in_use_and_an_impossible_directory_are_named(
    tmp_path: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        failed = trunkline_here(capsys, "receive", "--listen", address, "--out", tmp_path)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"error: {address} is in use: choose another port with --listen\n"
    failed = trunkline_here(capsys, "receive", "--listen", "127.0.0.1:0", "--out", speech / "below")
    assert (failed.returncode, failed.stderr) == (1, f"error: {speech}/below: Not a directory\n")
    options = ("--listen", "127.0.0.1:0", "--out", tmp_path, "--stats", speech / "below")
    failed = trunkline_here(capsys, "receive", *options)
    assert (failed.returncode, failed.stderr) == (1, f"error: {speech}/below: Not a directory\n")


def test_a_close_reason_stays_in_its_line(speech: Path) -> None:
    async def hang_up(request: web.Request) -> web.WebSocketResponse:
        peer = web.WebSocketResponse()
        await peer.prepare(request)
        await peer.close(code=4000, message=b"no\nway\x1b[2J")
        return peer

    async def main() -> "subprocess.CompletedProcess[str]":
        app = web.Application()
        app.router.add_get("/", hang_up)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
        try:
            return await asyncio.to_thread(trunkline, "send", speech, "--url", url)
        finally:
            await runner.cleanup()

    failed = asyncio.run(main())
    assert failed.returncode == 1
    assert re.fullmatch(r"error: [^\n]+ with close code 4000: no\?way\?\[2J\n", failed.stderr)


def test_without_a_certificate_only_loopback_is_quiet(tmp_path: Path) -> None:
    command = [*TRUNKLINE, "receive", "--listen", "0.0.0.0:0", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        code, _, errors = read_rest(process)
    assert (code, errors) == (
        0,
        "warning: without --tls or --cert, audio crosses the network in the clear\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--track", "both"],
            "speech.wav: 1 channel(s) for 2 track(s), inbound, outbound: stream it as inbound or",
        ),
        (["--url", "ws://example.com/"], "ws://"),
        (["--url", "foo"], "not a WebSocket URL: the form is wss://HOST[:PORT]/PATH, got 'foo'"),
        (["--url", "ws://127.0.0.1:9/"], "cannot connect to 127.0.0.1:9: Connection refused"),
    ],
)
def test_an_error_is_one_line_that_names_the_cure(
    speech: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = trunkline_here(capsys, "send", speech, "--url", "ws://127.0.0.1:9/", *arguments)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert re.fullmatch(r"error: [^\n]+\n", failed.stderr)
    assert message in failed.stderr


def test_stereo_needs_both_tracks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wav.write(tmp_path / "s.wav", bytes(640), 8000, channels=2)
    failed = trunkline_here(capsys, "send", tmp_path / "s.wav", "--url", "ws://127.0.0.1:9/")
    assert failed.returncode == 1
    assert "2 channel(s) for 1 track(s), inbound: stream it as both tracks" in failed.stderr


def test_a_rate_that_nothing_converts_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wav.write(tmp_path / "slow.wav", bytes(640), 3999)
    failed = trunkline_here(capsys, "send", tmp_path / "slow.wav", "--url", "ws://127.0.0.1:9/")
    assert failed.returncode == 1
    assert failed.stderr == (
        f"error: {tmp_path / 'slow.wav'}: sample rate: takes 4000 to 192000 Hz, got 3999 Hz\n"
    )


def test_what_is_no_wav_is_refused_and_debug_shows_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.wav").write_bytes(b"not audio")
    arguments = ("send", tmp_path / "x.wav", "--url", "ws://127.0.0.1:9/")
    plain = trunkline_here(capsys, *arguments)
    assert plain.returncode == 1
    path = tmp_path / "x.wav"
    assert plain.stderr.startswith(f"error: {path}: 9 bytes: a WAV file has at least 44")
    assert plain.stderr.endswith(f"; convert it first (sox {path} OUT.wav)\n")
    debug = trunkline("--debug", *arguments)
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["send"],
        ["send", sys.executable, "--url", "ws://127.0.0.1:9/", "--codec", "MP3"],
        ["send", sys.executable, "--url", "ws://127.0.0.1:9/", "--param", "novalue"],
        ["send", sys.executable, "--url", "ws://127.0.0.1:9/", "--param", "=c"],
        ["send", sys.executable, "--url", "ws://127.0.0.1:9/", "--param", "a=b", "--param", "a=c"],
        ["send", sys.executable, "--url", "ws://127.0.0.1:9/", "--speed", "nan"],
        ["send", sys.executable, "--url", "WS://127.0.0.1:9/", "--cacert", sys.executable],
        ["demo", "--seconds", "nan"],
        ["demo", "--codec", "G722"],
        ["send", sys.executable, "--url", "ws://127.0.0.1:9/", "--codec", "AMR-WB"],
        ["receive", "--listen", "8765"],
        ["receive", "--listen", "127.0.0.1:99999"],
        ["receive", "--key", sys.executable],
        ["receive", "--rate", "3999"],
        ["receive", "--rate", "192001"],
        ["receive", "--layout", "mono"],
        ["receive", "--format", "mp3"],
        ["receive", "--format", "opus", "--rate", "44100"],
        ["nothing"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    failed = trunkline_here(capsys, *arguments)
    assert failed.returncode == 2
    assert "Error: " in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_token_that_is_empty_lets_nobody_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_BEARER_TOKEN", "")
    shown = trunkline_here(capsys, "receive", "--listen", "127.0.0.1:0")
    assert shown.returncode == 2
    assert "TRUNKLINE_BEARER_TOKEN is empty: give the token" in shown.stderr
