"""G.711 beside what people use today: `python benchmarks/bench_g711.py` prints ratios to audioop.

Packets rotate through 20 s of speech-like audio, as they do in a call: audioop's encoder searches, so
one packet repeated trains the branch predictor and flatters it. Contenders take turns within each round;
a ratio is the median of the rounds' own ratios. `pytest benchmarks/bench_g711.py` gives times.
"""

import functools
import sys
from collections.abc import Callable

import numpy as np
import pytest
from peers import optional, print_head, print_row, take_turns, times_as_fast

from trunkline import g711
from trunkline._native import cpu
from trunkline.testing import speech_like

audioop, av = optional("audioop"), optional("av")

PACKETS = 1000
PACKET_SAMPLES = 160
BULK_SAMPLES = 1 << 19  # 1 MiB of PCM
BULK_REPEATS = 4
ROUNDS = 61
NAMES = ["trunkline `_into`", "trunkline", "audioop", "numpy table", "PyAV"]
CASES = [
    (law, task, what)
    for law in ("ulaw", "alaw")
    for task, whats in {
        "decode": ("1,000 packets", "1 MiB of PCM"),
        "encode": ("1,000 packets", "one packet repeated", "1 MiB of PCM"),
    }.items()
    for what in whats
]

# A function of a packet, and its second argument if it takes one: a wrapper would cost what we measure.
Contender = tuple[Callable[..., object], object]


def inputs(law: str, task: str, what: str) -> list[bytes]:
    """Give what one pass converts."""
    if what == "1 MiB of PCM":
        packets = [speech_like(BULK_SAMPLES / 8000)] * BULK_REPEATS
    else:
        pcm, step = speech_like(PACKETS * PACKET_SAMPLES / 8000), 2 * PACKET_SAMPLES
        packets = [pcm[i : i + step] for i in range(0, len(pcm), step)]
        if what == "one packet repeated":
            packets = [packets[PACKETS // 3]] * PACKETS
    return packets if task == "encode" else [getattr(g711, f"{law}_encode")(packet) for packet in packets]


def contenders(law: str, task: str, src_bytes: int) -> dict[str, Contender]:
    """Name who can do the task, and how."""
    ours = getattr(g711, f"{law}_{task}")
    out = bytearray(2 * src_bytes if task == "decode" else src_bytes // 2)
    found: dict[str, Contender] = {
        "trunkline `_into`": (getattr(g711, f"{law}_{task}_into"), out),
        "trunkline": (ours, None),
        "numpy table": (numpy_table(ours, task, out), None),
    }
    if audioop:
        found["audioop"] = (getattr(audioop, f"{law}2lin" if task == "decode" else f"lin2{law}"), 2)
    if av:
        found["PyAV"] = (pyav_decode(law) if task == "decode" else pyav_encode(law), None)
    return found


def numpy_table(ours: Callable[[bytes], bytes], task: str, out: bytearray) -> Callable[[bytes], object]:
    """Look every input up; mode="clip" is numpy's fastest way into a buffer that exists."""
    index, item = (np.uint8, np.int16) if task == "decode" else (np.uint16, np.uint8)
    table = np.frombuffer(ours(np.arange(np.iinfo(index).max + 1, dtype=index).tobytes()), item)
    into = np.frombuffer(out, item)
    return lambda src: table.take(np.frombuffer(src, index), out=into, mode="clip")


def pyav_decode(law: str) -> Callable[[bytes], object]:
    context = av.CodecContext.create({"ulaw": "pcm_mulaw", "alaw": "pcm_alaw"}[law], "r")
    context.sample_rate, context.layout = 8000, "mono"
    return lambda src: context.decode(av.Packet(src))


def pyav_encode(law: str) -> Callable[[bytes], object]:
    context = av.CodecContext.create({"ulaw": "pcm_mulaw", "alaw": "pcm_alaw"}[law], "w")
    context.sample_rate, context.layout, context.format = 8000, "mono", "s16"

    def encode(src: bytes) -> object:
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(src) // 2)
        frame.sample_rate = 8000
        frame.planes[0].update(src)
        return context.encode(frame)

    return encode


def one_pass(contender: Contender, packets: list[bytes]) -> None:
    convert, second = contender
    if second is None:
        for packet in packets:
            convert(packet)
    else:
        for packet in packets:
            convert(packet, second)


def main() -> None:
    if audioop is None:
        sys.exit("this compares with audioop, which Python 3.13 removed: pip install audioop-lts")
    print(f"Speed as a multiple of audioop's ({cpu.isa()} kernels, Python {sys.version.split()[0]}):\n")
    print_head(*NAMES)
    for law, task, what in CASES:
        packets = inputs(law, task, what)
        found = contenders(law, task, len(packets[0]))
        seconds = take_turns(
            {name: functools.partial(one_pass, found[name], packets) for name in found}, ROUNDS
        )
        cells = [f"{times_as_fast(seconds, name, 'audioop'):.2g}" if name in found else "" for name in NAMES]
        print_row(f"{law} {task}, {what}", *cells)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("law", "task", "what"), CASES)
def test_g711(benchmark: Callable[..., None], law: str, task: str, what: str, name: str) -> None:
    packets = inputs(law, task, what)
    found = contenders(law, task, len(packets[0]))
    if name not in found:
        pytest.skip(f"{name} is not installed")
    benchmark(one_pass, found[name], packets)


if __name__ == "__main__":
    main()
