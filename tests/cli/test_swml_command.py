"""trunkline swml: documents checked, and run on a call whose streams a real receiver takes."""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.commands import ENV, GUARD_S, TRUNKLINE, read_rest, receiving, trunkline, trunkline_here
from trunkline import wav
from trunkline.net.tls import self_signed
from trunkline.switch.swml import schema
from trunkline.testing import speech_like

SAID = speech_like(2.0)
GOOD = """
sections:
  main:
    - answer
    - stream:
        url: ${url}
        codec: L16@8000h
        status_url: ${status}
        custom_parameters: {caller: '${call.from}'}
    - sleep: 300
    - play: {url: 'file:///sound.wav'}
    - hangup: {reason: busy}
"""


@contextmanager
def status_server(bodies: list[bytes]) -> Iterator[str]:
    """Keep what is posted; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def write_wav(path: Path, pcm: bytes) -> Path:
    wav.write(path, pcm, 8000)
    return path


def test_run_shows_every_verb_and_streams_the_call(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    caller = write_wav(tmp_path / "caller.wav", SAID)
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    write_wav(sounds / "sound.wav", SAID[:3200])
    document = write(tmp_path / "call.yaml", GOOD)
    calls = tmp_path / "calls"
    told: list[bytes] = []
    with (
        status_server(told) as status_url,
        receiving(calls, "--cert", certificate, "--key", key, "--calls", 1) as (process, url),
    ):
        options = ("--call", caller, "--outbound", caller, "--sounds", sounds, "--cacert", certificate)
        ran = trunkline(
            "swml",
            "run",
            document,
            *options,
            "--var",
            f"url={url}",
            "--var",
            f"status={status_url}",
            "--from",
            "+15550199",
        )
        assert read_rest(process)[0] == 0
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    shown = [re.sub(r"stream [0-9a-f-]{36}", "stream ID", line[11:]) for line in lines[:-2]]
    finished = next(line for line in shown if "finished" in line)
    assert shown == [
        "call created",
        "call ringing",
        "main[0] answer",
        "call answered",
        "main[1] stream ${url}",
        f"stream ID streaming, {url}",
        "main[2] sleep 300 ms",
        "main[3] play file:///sound.wav",
        "main[4] hangup busy",
        finished,
        "call ending",
        "call ended: busy",
    ]
    assert re.fullmatch(r"stream ID finished, \d+ messages", finished)
    assert lines[-2] == 'stream_result = "success"'
    assert re.fullmatch(r'stream_control_id = "[0-9a-f-]{36}"', lines[-1])
    at_s = [float(line[:7]) for line in lines[:-2]]
    assert at_s == sorted(at_s)
    assert at_s[7] - at_s[6] >= 0.29
    assert [json.loads(body)["params"]["state"] for body in told] == ["streaming", "finished"]
    [recording] = calls.glob("*.wav")
    heard = bytes(wav.read(recording).pcm)
    assert len(heard) >= 2 * 8000 * 0.45  # 0.3 s of sleep and 0.2 s of sound, but for the first ticks
    assert heard.strip(b"\0")[:4000] in SAID


def test_run_fails_when_a_stream_does_and_says_why(tmp_path: Path) -> None:
    caller = write_wav(tmp_path / "caller.wav", SAID)
    verbs = '["answer", {"stream": "wss"}, {"stream": {"url": "wss://127.0.0.1:1/"}}]'
    text = f'{{"sections": {{"main": {verbs}}}}}'
    wrong = write(tmp_path / "wrong.json", text)
    ran = trunkline("swml", "run", wrong, "--call", caller)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"error: {wrong}:1: sections.main[1].stream: takes an object of url")
    right = write(tmp_path / "right.json", text.replace('{"stream": "wss"}', '{"set": {"a": [1]}}'))
    ran = trunkline("swml", "run", right, "--call", caller)
    assert ran.returncode == 1
    assert "main[1] set a\n" in ran.stdout
    assert re.search(r"main\[2\] failed: .*127\.0\.0\.1", ran.stdout)
    assert ran.stdout.endswith('a = [1]\nstream_result = "failed"\n')
    assert ran.stderr == "error: 1 of the document's verbs or streams failed\n"
    refused = write(tmp_path / "refused.yaml", "sections: {main: [{play: {url: 'file:///a.wav'}}]}")
    ran = trunkline("swml", "run", refused, "--call", caller)
    assert ran.returncode == 1
    assert ran.stderr == "error: file:/// URLs are refused: there is no directory of sounds\n"


def test_run_hangs_up_when_it_is_terminated(tmp_path: Path) -> None:
    """And takes a generator for the caller, and ws:// where that is asked for."""
    verbs = '["answer", {"stream": {"url": "${url}"}}, {"sleep": -1}]'
    document = write(tmp_path / "call.json", f'{{"sections": {{"main": {verbs}}}}}')
    with receiving(tmp_path / "calls", "--calls", 1) as (receiver, url):
        options = ("--call", "tone:440", "--insecure-loopback", "--var", f"url={url}")
        command = [*TRUNKLINE, "swml", "run", document, *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENV) as process:
            assert process.stdout is not None
            assert any("streaming" in line for line in process.stdout)
            process.terminate()
            rest = process.stdout.read()
            assert process.wait(GUARD_S) == 128 + signal.SIGTERM
        assert re.search(r"stream [-0-9a-f]{36} finished, .*\n.*call ending\n.*call ended: hangup\n\Z", rest)
        code, output, _ = read_rest(receiver)
    assert code == 0
    assert "cut short" not in output


def test_check_names_the_line_and_the_path(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good = write(tmp_path / "good.yaml", GOOD)
    short = write(tmp_path / "short.json", '{"sections": {"main": ["answer"]}}')
    bad = write(tmp_path / "bad.yaml", GOOD.replace("codec: L16@8000h", "codecs: PCMU"))
    huge = write(tmp_path / "huge.yaml", "#" * 70_000)
    checked = trunkline_here(capsys, "swml", "check", good, short)
    assert checked == (0, f"{good}: 5 verbs\n{short}: 1 verb\n", "")
    checked = trunkline_here(capsys, "swml", "check", bad, good, huge)
    assert (checked.returncode, checked.stdout) == (1, f"{good}: 5 verbs\n")
    errors = checked.stderr.splitlines()
    assert errors[0].startswith(f"error: {bad}:7: sections.main[1].stream.codecs: unknown field")
    assert errors[1].startswith(f"error: {huge}: 65537 bytes")


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    printed = trunkline_here(capsys, "swml", "schema")
    assert printed.returncode == 0
    assert json.loads(printed.stdout) == schema()


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("check", "no-such-file"),
        ("run", __file__),
        ("run", __file__, "--call", __file__, "--var", "novalue"),
        ("other",),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert trunkline_here(capsys, "swml", *arguments).returncode == 2
