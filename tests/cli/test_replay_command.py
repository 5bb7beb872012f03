"""trunkline receive --capture and trunkline replay: a call again, as it was."""

import os
import pty
import re
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest

from tests.cli.commands import ENV, TRUNKLINE, read_rest, receiving, trunkline, trunkline_here
from tests.cli.test_demo_command import read_terminal
from trunkline import g711, wav
from trunkline.net.tls import self_signed
from trunkline.stream import CaptureWriter, StreamSender, read_capture
from trunkline.testing import speech_like

PCM = speech_like(1.01)
TOKEN = "s3cret-token-of-this-test"  # noqa: S105
# asyncio leaves it to the end of the process to close a TLS socket.
TLS_WARNINGS = "error,ignore:unclosed <s:ResourceWarning,ignore:unclosed transport:ResourceWarning"


def write_capture(path: Path, *, messages: list[bytes] | None = None, step_ms: float = 20.0) -> None:
    sender = StreamSender("PCMU", call_id="call-1", stream_id="s")
    with CaptureWriter(path) as capture:
        for k, message in enumerate(messages or sender.start() + sender.media(PCM) + sender.stop()):
            capture.write(message, k * step_ms)


def recording(directory: Path) -> bytes:
    (path,) = directory.iterdir()
    return path.read_bytes()


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A call that was sent in real time: its capture, and its recording."""
    directory = tmp_path_factory.mktemp("first")
    wav.write(directory / "speech.wav", PCM, 8000)
    capture = directory / "captures" / "call.jsonl"
    with receiving(directory / "out", "--calls", 1, "--capture", capture) as (process, url):
        sent = trunkline("send", directory / "speech.wav", "--url", url)
        assert (sent.returncode, read_rest(process)[0]) == (0, 0)
    return capture, recording(directory / "out")


@pytest.mark.parametrize("speed", ["1", "0"])
def test_a_call_is_captured_and_replayed(tmp_path: Path, captured: tuple[Path, bytes], speed: str) -> None:
    capture, recorded = captured
    again = tmp_path / "again.jsonl"
    with receiving(tmp_path / "second", "--calls", 1, "--capture", again) as (process, url):
        began_s = time.monotonic()
        replayed = trunkline("replay", capture, url, "--speed", speed)
        took_s = time.monotonic() - began_s
        code, output, errors = read_rest(process)
    assert (replayed.returncode, replayed.stderr, code, errors) == (0, "", 0, "")
    assert re.fullmatch(r"replayed .*call\.jsonl: \d\.\d\d s in 54 messages\n", replayed.stdout)
    assert re.search(r"1\.01 s; inbound: 51 packets(, jitter \d+ ms)?\n", output)
    assert recording(tmp_path / "second") == recorded
    (path,) = (tmp_path / "second").iterdir()
    with wave.open(str(path)) as file:
        assert file.readframes(file.getnframes()) == g711.ulaw_decode(g711.ulaw_encode(PCM))
    first, second = list(read_capture(capture)), list(read_capture(again))
    assert [message.data for message in first] == [message.data for message in second]
    if speed == "1":  # no message leaves before its time
        assert took_s > first[-1].arrival_ms / 1000


def test_over_tls_with_a_token(tmp_path: Path) -> None:
    write_capture(tmp_path / "call.jsonl")
    certificate, key = self_signed(tmp_path)
    options = ("--cert", certificate, "--key", key, "--calls", 1, "--capture", tmp_path / "again.jsonl")
    env = {"TRUNKLINE_BEARER_TOKEN": TOKEN, "PYTHONWARNINGS": TLS_WARNINGS}
    with receiving(tmp_path / "out", *options, **env) as (process, url):
        how = (tmp_path / "call.jsonl", url, "--speed", 0, "--cacert", certificate)
        refused = trunkline("replay", *how, "--bearer-token", TOKEN + "x", **env)
        replayed = trunkline("replay", *how, **env)
        code, output, errors = read_rest(process)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: the server refused the stream with HTTP 401")
    assert (replayed.returncode, replayed.stderr, code, errors) == (0, "", 0, "")
    assert TOKEN not in output + replayed.stdout + refused.stderr + (tmp_path / "again.jsonl").read_text()


def test_what_broke_a_call_breaks_it_again(tmp_path: Path) -> None:
    write_capture(tmp_path / "call.jsonl", messages=[b'{"event":"connected"}', b"{"])
    with receiving(tmp_path / "out", "--capture", tmp_path / "again.jsonl") as (process, url):
        replayed = trunkline("replay", tmp_path / "call.jsonl", url, "--speed", 0)
        process.terminate()
        assert read_rest(process)[0] == 0
    assert (replayed.returncode, replayed.stdout) == (1, "")
    assert re.fullmatch(
        r"error: the server ended the stream after 2 messages with close code 1002: [^\n]+\n", replayed.stderr
    )
    assert [message.data for message in read_capture(tmp_path / "again.jsonl")] == [
        b'{"event":"connected"}',
        b"{",
    ]


def test_a_torn_capture_is_replayed_and_told(tmp_path: Path) -> None:
    write_capture(tmp_path / "call.jsonl")
    whole = (tmp_path / "call.jsonl").read_bytes()
    (tmp_path / "call.jsonl").write_bytes(whole[:-10])  # the stop message goes
    with receiving(tmp_path / "out", "--calls", 1) as (process, url):
        replayed = trunkline("replay", tmp_path / "call.jsonl", url, "--speed", 0)
        output = read_rest(process)[1]
    assert replayed.returncode == 0
    n_bytes = len(whole) - 10 - len(whole[:-1].rpartition(b"\n")[0]) - 1
    assert replayed.stderr == f"warning: the last line, {n_bytes} bytes without an end, is left out\n"
    assert "in 53 messages" in replayed.stdout
    assert "cut short: connection ended before stop (close code 1000)" in output


def test_a_capture_that_cannot_be_made_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    options = ("--listen", "127.0.0.1:0", "--out", tmp_path / "out")
    failed = trunkline_here(capsys, "receive", *options, "--capture", tmp_path / "file" / "call.jsonl")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert re.fullmatch(r"error: \S+/file: [^\n]+\n", failed.stderr)
    options = (*options, "--max-message-bytes", 2_000_000)
    failed = trunkline_here(capsys, "receive", *options, "--capture", tmp_path / "call.jsonl")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "error: messages of up to 2000000 bytes: a capture takes at most 1048576\n"


@pytest.mark.parametrize(
    ("content", "url", "message"),
    [
        (None, "ws://example.com/", "ws:// to example.com would send audio in the clear: use wss://"),
        (None, "foo", "not a WebSocket URL: the form is wss://HOST[:PORT]/PATH, got 'foo'"),
        (None, "ws://127.0.0.1:9/", "cannot connect to 127.0.0.1:9: Connection refused"),
        (b"RIFF", "ws://127.0.0.1:9/", "call.jsonl: no capture of trunkline: begins with b'RIFF'"),
        (b'{"format":"trunkline-capture","version":1}\n', "ws://127.0.0.1:9/", "a capture without a message"),
        (b'{"format":"trunkline-capture","version":1}\nx\n', "ws://127.0.0.1:9/", "call.jsonl:2: "),
    ],
)
def test_an_error_is_one_line(
    tmp_path: Path, content: bytes | None, url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        write_capture(tmp_path / "call.jsonl")
    else:
        (tmp_path / "call.jsonl").write_bytes(content)
    failed = trunkline_here(capsys, "replay", tmp_path / "call.jsonl", url)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", failed.stderr)
    assert message in failed.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", sys.executable],
        ["replay", "nowhere.jsonl", "ws://127.0.0.1:9/"],
        ["replay", sys.executable, "ws://127.0.0.1:9/", "--speed", "nan"],
        ["replay", sys.executable, "ws://127.0.0.1:9/", "--speed", "-1"],
        ["replay", sys.executable, "WS://127.0.0.1:9/", "--cacert", sys.executable],
        ["receive", "--rtp", "127.0.0.1:0", "--capture", "call.jsonl"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    failed = trunkline_here(capsys, *arguments)
    assert failed.returncode == 2
    assert "Error: " in failed.stderr


def test_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    write_capture(tmp_path / "call.jsonl")
    ours, theirs = pty.openpty()
    with receiving(tmp_path / "out", "--calls", 1) as (process, url):
        command = [*TRUNKLINE, "replay", str(tmp_path / "call.jsonl"), url]
        with subprocess.Popen(command, stdout=theirs, env={**ENV, "TERM": "xterm"}) as replaying:
            os.close(theirs)
            shown = b""
            while chunk := read_terminal(ours):
                shown += chunk
        os.close(ours)
        assert (replaying.returncode, read_rest(process)[0]) == (0, 0)
    assert b"call.jsonl" in shown
    assert re.search(rb"(0\.[1-9]|1\.[01]) s", shown)
    assert b"1.06 s in 54 messages" in shown
