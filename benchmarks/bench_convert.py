"""Files converted beside ffmpeg, sox and soundfile: `python benchmarks/bench_convert.py [ROUNDS]`.

An hour of mu-law at 8 kHz, as whole processes pinned to one core, from a RAM disk to a RAM disk. Contenders
take turns within each round; a ratio is the median of the rounds' own ratios to the first. "write alone" are
the write calls of the same result without a conversion. Then many short files, and two jobs on two cores.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from trunkline import wav
from trunkline.testing import speech_like

HOUR_S = 3600
N_HOURS = 16
N_SHORT, SHORT_S = 10_000, 10
N_SHORT_FFMPEG = 200  # of them; a process each takes as long as the next one
Run = Callable[[], Sequence[str]]

SOUNDFILE = """
import sys, soundfile, soxr
source, target, rate = sys.argv[1], sys.argv[2], int(sys.argv[3])
with soundfile.SoundFile(source) as file:
    convert = None
    if rate != file.samplerate:
        convert = soxr.ResampleStream(file.samplerate, rate, 1, dtype="int16")
    with soundfile.SoundFile(target, "w", rate, 1, "PCM_16") as out:
        while len(block := file.read(65536, dtype="int16")):
            out.write(block if convert is None else convert.resample_chunk(block, last=False))
"""
WRITE_ALONE = """
import sys
block = bytes(65536)
with open(sys.argv[1], "wb", buffering=0) as file:
    for _ in range(int(sys.argv[2]) // len(block)):
        file.write(block)
"""


class Cost(NamedTuple):
    """What a process took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def run(command: Sequence[str], cores: set[int]) -> Cost:
    """Run a process on the cores, and wait for it."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def compare(title: str, contenders: dict[str, list[str]], rounds: int) -> None:
    """Print each contender's time as a multiple of the first one's."""
    core = {min(os.sched_getaffinity(0))}
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, command in contenders.items():
            costs[name].append(run(command, core))
    first = next(iter(costs.values()))
    print(f"\n{title:38} {'CPU':>8} {'wall':>8} {'peak MiB':>9}")
    for name, each in costs.items():
        cpu = statistics.median(cost.cpu_s / base.cpu_s for cost, base in zip(each, first, strict=True))
        wall = statistics.median(cost.wall_s / base.wall_s for cost, base in zip(each, first, strict=True))
        print(f"  {name:36} {cpu:8.2f} {wall:8.2f} {max(cost.peak_mib for cost in each):9.0f}")


def ours(source: Path, target: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "trunkline", "convert", str(source), "-o", str(target), *options]


def ffmpeg(source: Path, target: Path, *options: str) -> list[str]:
    return [
        *("ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(source)),
        *(*options, "-c:a", "pcm_s16le", str(target)),
    ]


def available(contenders: dict[str, list[str]]) -> dict[str, list[str]]:
    """Leave out what is not installed."""
    return {name: command for name, command in contenders.items() if shutil.which(command[0])}


def one_file(directory: Path, rounds: int) -> None:
    hour, out = directory / "hour.wav", directory / "out.wav"
    with wav.WavWriter(hour, sample_rate=8000, encoding="ulaw") as writer:
        minute = speech_like(60, 8000, seed=1)
        for _ in range(HOUR_S // 60):
            writer.write(minute)
    script = [sys.executable, "-c", SOUNDFILE, str(hour), str(out)]
    write = [sys.executable, "-c", WRITE_ALONE, str(out)]
    to_16k = {
        "ffmpeg": ffmpeg(hour, out, "-ar", "16000"),
        "trunkline, voice": ours(hour, out, "--rate", "16000"),
        "soundfile + soxr HQ": [*script, "16000"],
        "sox": ["sox", str(hour), "-e", "signed", "-b", "16", "-r", "16000", str(out)],
        "write alone": [*write, str(4 * 8000 * HOUR_S)],
    }
    compare("1 h to 16 kHz PCM16, of ffmpeg", available(to_16k), rounds)
    high = {
        "ffmpeg, soxr": ffmpeg(hour, out, "-af", "aresample=resampler=soxr", "-ar", "16000"),
        "trunkline, high": ours(hour, out, "--rate", "16000", "--quality", "high"),
    }
    compare("the same in high quality, of ffmpeg", available(high), rounds)
    to_8k = {
        "ffmpeg": ffmpeg(hour, out),
        "trunkline": ours(hour, out),
        "soundfile": [*script, "8000"],
        "sox": ["sox", str(hour), "-e", "signed", "-b", "16", str(out)],
        "write alone": [*write, str(2 * 8000 * HOUR_S)],
    }
    compare("1 h to 8 kHz PCM16, of ffmpeg", available(to_8k), rounds)


def many_files(directory: Path) -> None:
    calls, out = directory / "calls", directory / "out"
    calls.mkdir()
    for number in range(N_SHORT):
        if number < 16:
            wav.write(calls / f"{number}.wav", speech_like(SHORT_S, 8000, seed=number), 8000, encoding="ulaw")
        else:
            shutil.copy(calls / f"{number % 16}.wav", calls / f"{number}.wav")
    cores = os.sched_getaffinity(0)
    core = {min(cores)}
    command = ours(calls, out, "--rate", "16000")
    batch = run(command, core)
    print(f"\n{N_SHORT:,} files of {SHORT_S} s to 16 kHz, on one core; peak {batch.peak_mib:.0f} MiB")
    if shutil.which("ffmpeg"):
        began = time.perf_counter()
        for number in range(N_SHORT_FFMPEG):
            run(ffmpeg(calls / f"{number}.wav", out / f"{number}.wav", "-ar", "16000"), core)
        theirs_s = (time.perf_counter() - began) / N_SHORT_FFMPEG
        print(f"  an ffmpeg process for each takes {theirs_s / (batch.wall_s / N_SHORT):.0f} times as long")
    if len(cores) > 1:
        ratios = []
        for _ in range(3):
            one, two = (run([*command, "--jobs", jobs], set(sorted(cores)[:2])) for jobs in ("1", "2"))
            ratios.append(one.wall_s / two.wall_s)
        print(f"  two jobs on two cores: {statistics.median(ratios):.2f} times as fast as one")


def hours(directory: Path, rounds: int) -> None:
    """Two jobs on two cores, of long files, and beside them two processes, which share nothing."""
    cores = set(sorted(os.sched_getaffinity(0))[:2])
    if len(cores) < 2:
        return
    source, out = directory / "hours", directory / "hours-out"
    for number in range(N_HOURS):
        half = source / str(number % 2)
        half.mkdir(parents=True, exist_ok=True)
        os.link(directory / "hour.wav", half / f"{number}.wav")

    def timed(*commands: list[str]) -> float:
        shutil.rmtree(out, ignore_errors=True)  # while a result is replaced, its directory is locked
        began = time.perf_counter()
        processes = [
            subprocess.Popen(
                command, stderr=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, cores)
            )
            for command in commands
        ]
        failed = [process.args for process in processes if process.wait()]
        if failed:
            raise RuntimeError(f"failed: {failed}")
        return time.perf_counter() - began

    two_jobs, two_processes = [], []
    whole, halves = (
        [ours(given, out / given.name, "--rate", "16000") for given in directories]
        for directories in ([source], [source / "0", source / "1"])
    )
    for _ in range(rounds):
        one_s = timed(*whole)
        two_jobs.append(one_s / timed([*whole[0], "--jobs", "2"]))
        two_processes.append(one_s / timed(*halves))
    print(f"\n{N_HOURS} files of 1 h to 16 kHz, on two cores, beside one job")
    print(f"  two jobs: {statistics.median(two_jobs):.2f} times as fast")
    print(f"  two processes, half of them each: {statistics.median(two_processes):.2f} times as fast")


if __name__ == "__main__":
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    ram_disk = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=ram_disk) as name:
        one_file(Path(name), rounds)
        hours(Path(name), rounds)
        many_files(Path(name))
