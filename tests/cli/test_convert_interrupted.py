"""trunkline convert that is stopped: nothing half-written under any name, and --resume does the rest."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import BinaryIO

import pytest

from tests.cli.commands import ENV, GUARD_S, TRUNKLINE
from tests.convert.recordings import noise, wav_bytes
from trunkline.cli.interruption import PATIENCE_S
from trunkline.convert import Plan, convert_bytes

PLAN = Plan(sample_rate=8000, quality="high")
N_FILES = 24
SOURCES = [wav_bytes(noise(1_200_000 + k, seed=k), 48_000) for k in range(3)]


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    return [convert_bytes(source, PLAN) for source in SOURCES]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for k in range(N_FILES):
        if k < 3:
            (tmp_path / "in" / f"{k:02}.wav").write_bytes(SOURCES[k])
        else:
            os.link(tmp_path / "in" / f"{k % 3:02}.wav", tmp_path / "in" / f"{k:02}.wav")
    return tmp_path


def command(*options: object) -> list[str]:
    common = ("convert", "in", "-o", "out", "--rate", "8000", "--quality", "high")
    return [*TRUNKLINE, *common, *map(str, options)]


def stopped(calls: Path, number: int, seed: int, jobs: int) -> tuple[int, str]:
    """Send a signal at a random moment: after so many results, and a little."""
    random = Random(seed)
    n_results, and_s = random.randint(0, 8), random.uniform(0, 0.02)
    with subprocess.Popen(
        command("--jobs", jobs, "--report", "r.jsonl"), cwd=calls, stderr=subprocess.PIPE, text=True, env=ENV
    ) as process:
        wait_for(lambda: any(calls.glob("out/*")))
        wait_for(lambda: len(list(calls.glob("out/[0-9]*.wav"))) >= n_results)
        time.sleep(and_s)
        process.send_signal(number)
        _, errors = process.communicate(timeout=GUARD_S)
        return process.returncode, errors


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + GUARD_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def results(calls: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (calls / "out").iterdir()}


def assert_right(made: dict[str, bytes], expected: list[bytes]) -> None:
    for name, data in made.items():
        assert data == expected[int(name[:2]) % 3], name


def assert_resumed(calls: Path, expected: list[bytes]) -> None:
    n_before = sum(not name.startswith(".") for name in results(calls))
    done = subprocess.run(
        command("--jobs", 2, "--resume"), cwd=calls, capture_output=True, text=True, timeout=GUARD_S, env=ENV
    )
    assert done.returncode == 0, done.stderr
    if n_before:
        assert f"{n_before} were there already" in done.stderr
    made = {name: data for name, data in results(calls).items() if not name.startswith(".")}
    assert len(made) == N_FILES
    assert_right(made, expected)


SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 25))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_at_any_moment(
    calls: Path, expected: list[bytes], number: int, code: int, jobs: int, seed: int
) -> None:
    returncode, errors = stopped(calls, number, seed, jobs)
    if f"{N_FILES} of {N_FILES} files converted" in errors:
        pytest.skip("all were converted before this process got to send a signal")
    assert returncode == code, errors
    assert re.fullmatch(rf"(\d+ of {N_FILES} files converted.*\n)?", errors)  # "" while it is imported
    made = results(calls)
    assert len(made) < N_FILES
    assert_right(made, expected)
    reported = (calls / "r.jsonl").read_bytes().splitlines()
    assert all(line.endswith(b"}") for line in reported)
    if seed == 1:
        assert_resumed(calls, expected)


@pytest.mark.parametrize("seed", SEEDS[1:])
def test_killed_at_any_moment(calls: Path, expected: list[bytes], seed: int) -> None:
    """What was being written is left, under a name that says so; nothing else is wrong."""
    returncode, _ = stopped(calls, signal.SIGKILL, seed, 3)
    assert returncode == -signal.SIGKILL
    made = results(calls)
    left = [name for name in made if name.endswith(".part")]
    assert all(name.startswith(".") for name in left)
    assert_right({name: data for name, data in made.items() if name not in left}, expected)
    assert_resumed(calls, expected)
    assert [name for name in results(calls) if name.endswith(".part")] == left


@pytest.mark.parametrize("kind", ["flac", "wav"])
def test_a_pipe_without_end_is_interrupted(tmp_path: Path, kind: str) -> None:
    """Also while somebody else's code calls back, or while nothing comes."""
    for source in ("/dev/zero", "-"):
        process = subprocess.Popen(
            [*TRUNKLINE, "convert", source, "--raw", "ulaw", "-o", f"out.{kind}"],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENV,
        )
        wait_for(lambda: len(list(tmp_path.glob(".*.part"))) > 0)
        time.sleep(0.1)  # for nothing to come, or for much
        process.send_signal(signal.SIGINT)
        process.wait(GUARD_S)
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.close()
        with process.stderr as errors:
            assert (process.returncode, errors.read()) == (130, "")
        assert os.listdir(tmp_path) == []


def test_threads_that_wait_for_a_pipe_need_a_second_signal(tmp_path: Path) -> None:
    for name in ("a", "b"):
        os.mkfifo(tmp_path / name)
    arguments = ("convert", "a", "b", "-o", "out/", "--jobs", "2")
    with (
        subprocess.Popen(
            [*TRUNKLINE, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=ENV
        ) as process,
        open_when_read(tmp_path / "a"),
        open_when_read(tmp_path / "b"),
    ):
        for _ in range(2):  # as from a terminal and a parent
            process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S + 0.3)
        while process.poll() is None:  # until the first has been waited for long enough, another is nothing
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        _, errors = process.communicate(timeout=GUARD_S)
        assert (process.returncode, errors) == (-signal.SIGINT, "")


def open_when_read(fifo: Path) -> BinaryIO:
    """Open a pipe as its writer, once its reader is there."""
    until = time.monotonic() + GUARD_S
    while time.monotonic() < until:
        with suppress(OSError):  # ENXIO: nobody reads it yet
            return open(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "wb")
        time.sleep(0.001)
    raise TimeoutError(f"nobody reads {fifo}")


def test_what_is_ignored_stays_ignored(calls: Path) -> None:
    """As under nohup."""
    code = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    code += "os.execv(sys.argv[1], sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", code, *command()], cwd=calls, stderr=subprocess.PIPE, env=ENV
    ) as process:
        wait_for((calls / "out").is_dir)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=GUARD_S)
        assert process.returncode == 0
    assert len(results(calls)) == N_FILES
