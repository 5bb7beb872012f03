"""trunkline load: calls from one process into another, and what is told of them."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.commands import ENV, GUARD_S, TRUNKLINE, receiving, trunkline, trunkline_here
from tests.cli.test_demo_command import read_terminal

COMMAND = ("load", "--connects-per-second", 100)


def test_calls_are_made_and_told(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with receiving(tmp_path / "out") as (_, url):
        options = ("--calls", 3, "--seconds", 0.6, "--rounds", 2, "--drop", "20%", "--report", report)
        made = trunkline(*COMMAND, "--url", url, *options)
        assert (made.returncode, made.stderr) == (0, "")
        told = json.loads(report.read_text())
        assert (told["completed"], told["due"], told["lost"], told["answer_ms"]) == (6, 180, 0, None)
        assert told["sent"] + told["left_out"] == 180
        lines = made.stdout.splitlines()
        assert lines[:3] == [
            "calls: 6 completed, 0 broken off, 0 refused",
            f"packets: {told['sent']} sent, {told['left_out']} left out, 0 reordered, 0 lost",
            "marks: 6 sent, 0 echoed, 0 unanswered",
        ]
        assert lines[3].split() == ["ms", "p50", "p99", "p99.9", "most"]
        assert lines[4].startswith("sent late by ")
        made = trunkline(*COMMAND, "--url", url, "--calls", 1, "--seconds", 0.1, "--json")
        assert json.loads(made.stdout)["completed"] == 1
    assert len(list((tmp_path / "out").iterdir())) == 7


def test_what_is_refused_is_told_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    url = "ws://127.0.0.1:1/"
    shown = trunkline_here(capsys, *COMMAND, "--url", url, "--calls", 4, "--seconds", 0.1)
    assert shown.returncode == 1
    assert "0 completed, 0 broken off, 4 refused" in shown.stdout
    assert "4 times: cannot connect to 127.0.0.1:1: Connection refused" in shown.stdout


def test_ctrl_c_ends_all_calls_in_good_order(tmp_path: Path) -> None:
    with receiving(tmp_path / "out") as (_, url):
        command = [*TRUNKLINE, *map(str, COMMAND), "--url", url, "--calls", "3", "--seconds", "60"]
        with subprocess.Popen(
            [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV
        ) as process:
            deadline = time.monotonic() + GUARD_S
            while not (tmp_path / "out").exists() or len(list((tmp_path / "out").iterdir())) < 3:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=GUARD_S)
    told = json.loads(output)
    assert (process.returncode, errors) == (130, "")
    assert (told["completed"], told["broken"], told["lost"]) == (3, 0, 0)


def test_a_terminal_has_a_live_line(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with receiving(tmp_path / "out") as (_, url):
        command = [*TRUNKLINE, *map(str, COMMAND), "--url", url, "--calls", "2", "--seconds", "1.2"]
        env = {**ENV, "TERM": "xterm", "COLUMNS": "150"}
        with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=env) as process:
            os.close(theirs)
            shown = b"".join(iter(lambda: read_terminal(ours), b"")).decode()
            assert process.wait(GUARD_S) == 0
    os.close(ours)
    assert "of 1 s: 2 of 2 calls, 0 failed, " in shown
    assert "0 lost, late " in shown


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--drop", "2"), 2, "'2' is not a percentage from 0% to below 100%, such as 2%"),
        (("--drop", "100%"), 2, "is not a percentage"),
        (("--reorder", "nan%"), 2, "is not a percentage"),
        (("--reorder", "1%2"), 2, "is not a percentage"),
        (("--calls", "0"), 2, "--calls"),
        (("--seconds", "0"), 2, "--seconds"),
        (("--calls", "100000000"), 1, "up to 50,000 calls"),
        (("--codec", "G722"), 2, "G722"),
        (("--cacert", __file__), 2, "--cacert is for wss://"),
        (("--report", "/dev/null/report"), 1, "error: /dev/null/report: Not a directory"),
        (("--url", "http://127.0.0.1/"), 1, "error: not a WebSocket URL"),
    ],
)
def test_options_are_checked(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int, said: str
) -> None:
    shown = trunkline_here(capsys, *COMMAND, "--url", "ws://127.0.0.1:1/", *options)
    assert shown.returncode == code
    assert said in shown.stderr
