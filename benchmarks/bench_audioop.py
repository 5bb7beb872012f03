"""trunkline.audioop beside the standard library's: `python benchmarks/bench_audioop.py` prints ratios.

Speech-like 16-bit mono, in 1,000 packets of 160 samples and in one piece of 1 MiB; the decoders of G.711 take
the same bytes as codes. The two take turns within each round; a ratio is the median of the rounds' own.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

from peers import optional, print_head, print_row, take_turns, times_as_fast

from trunkline import audioop as ours
from trunkline._native import cpu
from trunkline.testing import speech_like

PACKETS = 1000
PACKET_BYTES = 2 * 160
BULK_BYTES = 1 << 20
BULK_REPEATS = 4
ROUNDS = 41

# A call of the module's functions with one packet of PCM.
Call = Callable[[Any, bytes], object]
CASES: dict[str, Call] = {
    "`ulaw2lin`": lambda module, pcm: module.ulaw2lin(pcm, 2),
    "`alaw2lin`": lambda module, pcm: module.alaw2lin(pcm, 2),
    "`lin2ulaw`": lambda module, pcm: module.lin2ulaw(pcm, 2),
    "`lin2alaw`": lambda module, pcm: module.lin2alaw(pcm, 2),
    "`ratecv` 8 to 16 kHz": lambda module, pcm: module.ratecv(pcm, 2, 1, 8000, 16000, None),
    "`ratecv` 24 to 8 kHz": lambda module, pcm: module.ratecv(pcm, 2, 1, 24000, 8000, None),
    "`ratecv` 44.1 to 16 kHz": lambda module, pcm: module.ratecv(pcm, 2, 1, 44100, 16000, None),
    "`rms`": lambda module, pcm: module.rms(pcm, 2),
    "`avg`": lambda module, pcm: module.avg(pcm, 2),
    "`max`": lambda module, pcm: module.max(pcm, 2),
    "`minmax`": lambda module, pcm: module.minmax(pcm, 2),
    "`add`": lambda module, pcm: module.add(pcm, pcm, 2),
    "`mul`": lambda module, pcm: module.mul(pcm, 2, 0.7),
    "`bias`": lambda module, pcm: module.bias(pcm, 2, 100),
    "`byteswap`": lambda module, pcm: module.byteswap(pcm, 2),
    "`reverse`": lambda module, pcm: module.reverse(pcm, 2),
    "`lin2lin` 2 to 4 bytes": lambda module, pcm: module.lin2lin(pcm, 2, 4),
    "`lin2lin` 2 to 1 byte": lambda module, pcm: module.lin2lin(pcm, 2, 1),
    "`tomono`": lambda module, pcm: module.tomono(pcm, 2, 0.5, 0.5),
    "`tostereo`": lambda module, pcm: module.tostereo(pcm, 2, 0.5, 0.5),
}


def one_pass(call: Call, module: Any, packets: list[bytes]) -> None:
    for packet in packets:
        call(module, packet)


def main() -> None:
    theirs = optional("audioop")
    if theirs is None:
        sys.exit("this Python has no audioop to compare with: take 3.11 or 3.12")
    print(f"How many times as fast as audioop ({cpu.isa()} kernels, Python {sys.version.split()[0]})\n")
    pcm = speech_like(PACKETS * PACKET_BYTES / 2 / 8000)
    inputs = [
        [pcm[i : i + PACKET_BYTES] for i in range(0, len(pcm), PACKET_BYTES)],
        [speech_like(BULK_BYTES / 2 / 8000)] * BULK_REPEATS,
    ]
    print_head("160 samples", "1 MiB")
    for name, call in CASES.items():
        ratios = []
        for packets in inputs:
            passes = {
                who: functools.partial(one_pass, call, module, packets)
                for who, module in {"ours": ours, "theirs": theirs}.items()
            }
            ratios.append(times_as_fast(take_turns(passes, ROUNDS), "ours", "theirs"))
        print_row(name, *(f"{ratio:.2g}" for ratio in ratios))


if __name__ == "__main__":
    main()
