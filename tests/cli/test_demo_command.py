"""trunkline demo, the help of every command, and what is shown on a terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import ENV, GUARD_S, TRUNKLINE, assert_others_read, trunkline, trunkline_here
from tests.reference import resample as reference
from trunkline import g711
from trunkline.testing import conversation


@pytest.mark.parametrize("command", [[], ["receive"], ["send"], ["replay"], ["demo"]])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    shown = trunkline_here(capsys, *command, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Usage: trunkline" in shown.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    shown = trunkline_here(capsys, "--version")
    assert re.fullmatch(r"trunkline \d+\.\d+\.\d+\S*\n", shown.stdout)


def test_demo_ends_in_a_verified_recording_and_its_picture(tmp_path: Path) -> None:
    shown = trunkline("demo", "--fast", "--seconds", "4", "--out", tmp_path, "--seed", 3)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\x1b" not in shown.stdout
    steps = re.findall(r"^ *[\d.]+ s  (switch|application|endpoint) +([a-z.]+)", shown.stdout, re.M)
    assert [what for party, what in steps if party == "switch"] == [
        "call", "ringing", "answered", "streaming", "finished", "ended"
    ]  # fmt: skip
    assert [what for party, what in steps if party == "application"] == ["calling.answer", "calling.stream"]
    assert "verified: all 400 packets" in shown.stdout
    [recording] = tmp_path.glob("*.wav")
    assert f"recording: {recording}\n" in shown.stdout
    assert recording.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    with wave.open(str(recording)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 16000, 64076)
        recorded = file.readframes(64076)
    heard = np.frombuffer(recorded, np.int16).reshape(-1, 2).T.astype(float)
    for channel, side in zip(heard, conversation(4, 24000, seed=3), strict=True):
        sent = reference.stream(np.frombuffer(side, np.int16).astype(float), 24000, 8000, "voice")
        codes = g711.ulaw_encode(reference.to_s16(sent).tobytes())
        said = np.frombuffer(g711.ulaw_decode(codes), np.int16)
        wanted = reference.stream(said.astype(float), 8000, 16000, "voice")
        assert abs(channel - wanted).max() <= 0.51
    assert_others_read(recording, recorded, channels=2, sample_rate=16000)


def test_python_runs_it_as_a_module() -> None:
    shown = subprocess.run([sys.executable, "-m", "trunkline", "--version"], capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("trunkline ")


def test_an_interrupted_demo_says_where_its_part_is(tmp_path: Path) -> None:
    command = [*TRUNKLINE, "demo", "--seconds", "20", "--out", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENV) as process:
        assert process.stdout is not None
        while "endpoint " not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=GUARD_S)
    assert (process.returncode, errors) == (130, "")
    [path] = tmp_path.glob("*.wav")
    with wave.open(str(path)) as file:
        seconds = file.getnframes() / 16000
    *steps, last = output.splitlines()
    assert [re.sub(r".* s  switch +(\w+).*", r"\1", step) for step in steps] == ["finished", "ended"]
    assert last == f"interrupted: {path} has the first {seconds:.2f} s"


@pytest.mark.parametrize("columns", [80, 60])
def test_ctrl_c_takes_the_live_lines_away(tmp_path: Path, columns: int) -> None:
    """The terminal echoes ^C behind what is drawn: where that wraps, a line would stay."""
    ours, theirs = pty.openpty()
    env = {**ENV, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    command = [*TRUNKLINE, "demo", "--seconds", "20", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        while "░".encode() not in shown:  # a meter: before there is a recording, the headings stand alone
            chunk = read_terminal(ours)
            assert chunk, shown
            shown += chunk
        process.send_signal(signal.SIGINT)
        while chunk := read_terminal(ours):
            shown += chunk
        assert process.wait(timeout=GUARD_S) == 130
    os.close(ours)
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert max(map(len, re.findall(r"(?:file|inbound|outbound)[^\r\n]*", drawn))) <= columns - 2
    assert drawn.index("interrupted: ") > drawn.rindex("level")


def test_a_terminal_shows_live_lines(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*TRUNKLINE, "demo", "--seconds", "1", "--out", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=theirs, stderr=theirs, env={**ENV, "TERM": "xterm-256color"}
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := read_terminal(ours):
            shown += chunk
        assert process.wait(timeout=GUARD_S) == 0
    os.close(ours)
    text = shown.decode()
    assert "dBFS" in text
    assert "█" in text
    assert "\x1b[36mswitch " in text


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # what Linux says when the other end has closed
        return b""


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [("click", "cli", []), ("rich", "cli", []), ("aiohttp", "server", ["demo", "--fast"])],
)
def test_a_missing_package_is_named_with_its_extra(package: str, extra: str, arguments: list[str]) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from trunkline.cli import main; main()"
    failed = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr == f"error: {package} is not installed: pip install 'trunkline[{extra}]'\n"


def test_without_matplotlib_the_demo_says_how_to_get_the_picture(tmp_path: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from trunkline.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "--fast", "--seconds", "1", "--out", str(tmp_path)]
    shown = subprocess.run(command, capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "no picture: matplotlib is not installed: pip install 'trunkline[plot]'" in shown.stdout
