"""The resampler beside what people use today: `python benchmarks/bench_resample.py` prints speeds as ratios.

20 ms packets of speech-like audio go through streams that live as long as the run; a pass is one second of
them. Contenders take turns within each round; a ratio is the median of the rounds' own ratios.
`TRUNKLINE_ISA=scalar` gives the figures of the baseline. `pytest benchmarks/bench_resample.py` gives times.
"""

import collections
import functools
import itertools
import sys
from collections.abc import Callable

import numpy as np
import pytest
from peers import Pass, print_head, print_row, take_turns, times_as_fast
from resample_streams import MISSING, PACKETS_A_SECOND, PEERS, STREAMS, Stream, soxr

from trunkline import resample
from trunkline._native import cpu
from trunkline.testing import speech_like

PAIRS = [
    (8000, 16000),
    (16000, 8000),
    (8000, 24000),
    (24000, 8000),
    (8000, 48000),
    (48000, 8000),
    (16000, 48000),
    (48000, 16000),
    (16000, 24000),
    (24000, 16000),
    (44100, 16000),
]
SIGNAL_S = 20
FILE_S = 60
FILE_PAIRS = [(8000, 16000), (24000, 8000), (48000, 16000), (44100, 16000)]
ROUNDS = 31
FILE_ROUNDS = 11
#: Beside whom each quality stands: "voice" beside everybody.
RIVALS = {
    "trunkline voice": list(PEERS),
    "trunkline high": [name for name in PEERS if name in ("soxr HQ", "soxr VHQ", "samplerate medium")],
    "trunkline fast": [name for name in PEERS if name in ("ratecv", "speexdsp 3", "soxr QQ")],
}


def stream_pass(stream: Stream, in_rate: int, out_rate: int) -> Pass:
    """Open a stream that never ends; a pass takes one second from it."""
    pcm, step = speech_like(SIGNAL_S, in_rate), 2 * (in_rate // PACKETS_A_SECOND)
    packets = itertools.cycle([pcm[i : i + step] for i in range(0, len(pcm), step)])
    outputs = stream(in_rate, out_rate, packets)
    return lambda: collections.deque(itertools.islice(outputs, PACKETS_A_SECOND), maxlen=0)


def file_passes(in_rate: int, out_rate: int) -> dict[str, Pass]:
    """Convert one minute as a whole, from bytes."""
    pcm = speech_like(FILE_S, in_rate)
    samples = np.frombuffer(pcm, np.int16)
    passes: dict[str, Pass] = {
        f"trunkline {quality}": functools.partial(resample.resample, pcm, in_rate, out_rate, quality=quality)
        for quality in ("voice", "high")
    }
    for quality in ("HQ", "VHQ"):
        passes[f"soxr {quality}"] = functools.partial(soxr.resample, samples, in_rate, out_rate, quality)
    return passes


def print_table(title: str, ours: str, peers: list[str], seconds: dict[str, dict[str, list[float]]]) -> None:
    print(f"\n{ours}, {title}:\n")
    print_head(*peers)
    for pair, taken in seconds.items():
        ratios = [times_as_fast(taken, ours, peer) for peer in peers]
        print_row(pair, *(f"{ratio:#.2g}" if ratio < 10 else f"{ratio:.0f}" for ratio in ratios))


def main() -> None:
    print(f"How many times as fast as each peer ({cpu.isa()} kernels, Python {sys.version.split()[0]})")
    if MISSING:
        print("not installed:", ", ".join(MISSING))
    packets, files = {}, {}
    for rates in PAIRS:
        passes = {name: stream_pass(stream, *rates) for name, stream in STREAMS.items()}
        packets[pair_name(*rates)] = take_turns(passes, ROUNDS)
    for ours, peers in RIVALS.items():
        print_table("20 ms packets", ours, peers, packets)
    if soxr:
        for rates in FILE_PAIRS:
            files[pair_name(*rates)] = take_turns(file_passes(*rates), FILE_ROUNDS)
        for ours in ("trunkline voice", "trunkline high"):
            print_table("one minute", ours, ["soxr HQ", "soxr VHQ"], files)


def pair_name(in_rate: int, out_rate: int) -> str:
    return f"{in_rate / 1000:g} to {out_rate / 1000:g} kHz"


@pytest.mark.parametrize("name", [*STREAMS, *MISSING])
@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)
def test_one_second_in_packets(
    benchmark: Callable[..., None], in_rate: int, out_rate: int, name: str
) -> None:
    if name in MISSING:
        pytest.skip(f"{name} is not installed")
    benchmark(stream_pass(STREAMS[name], in_rate, out_rate))


if __name__ == "__main__":
    main()
