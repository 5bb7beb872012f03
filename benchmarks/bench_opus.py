"""Opus beside what people use today: `python benchmarks/bench_opus.py` prints ratios and what a call costs.

20 ms packets of speech-like audio go through one stream. Contenders take turns within each round; a ratio is
the median of the rounds' own ratios. All but PyAV, which brings its own, use the same libopus. The price of a
decode_into is the median of the rounds' differences to a loop in C (csrc/bench/opusloop.c, built by
`make bench`), which takes its turns too; the loop in Python is in it. Encoding takes too long for it to show.
"""

import ctypes
import functools
import statistics
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from peers import Pass, optional, print_head, print_row, take_turns, times_as_fast

from trunkline import opus
from trunkline import opuslib as drop_in
from trunkline.testing import speech_like

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    opuslib, opuslib_next, av = (optional(name) for name in ("opuslib", "opuslib_next", "av"))

C_LOOP = Path(__file__).parents[1] / "build" / "c-release" / "csrc" / "libopusloop.so"
PACKETS = 500
ROUNDS = 35
NAMES = ["trunkline `_into`", "trunkline", "trunkline.opuslib", "opuslib", "opuslib-next", "PyAV"]

# A function of a packet, and its second argument if it takes one: a wrapper would cost what we measure.
Contender = tuple[Callable[..., object], object]


class Setting(NamedTuple):
    """What is encoded, and how."""

    rate: int
    bitrate: int
    application: str


SETTINGS = [Setting(16000, 24000, "voip"), Setting(48000, 64000, "audio")]


def packets_of(setting: Setting) -> list[bytes]:
    """Cut PCM into 20 ms."""
    pcm, step = speech_like(PACKETS / 50, setting.rate), 2 * setting.rate // 50
    return [pcm[i : i + step] for i in range(0, len(pcm), step)]


def encoders(setting: Setting) -> dict[str, Contender]:
    ours = [opus.Encoder(setting.rate, 1, setting.application, bitrate=setting.bitrate) for _ in range(2)]
    out = bytearray(1276)
    found: dict[str, Contender] = {
        "trunkline `_into`": (ours[0].encode_into, out),
        "trunkline": (ours[1].encode, None),
    }
    for name, module in modules().items():
        encoder = module.Encoder(setting.rate, 1, setting.application)
        encoder.bitrate = setting.bitrate
        found[name] = (encoder.encode, setting.rate // 50)
    if av:
        found["PyAV"] = (pyav_encode(setting), None)
    return found


def decoders(setting: Setting) -> dict[str, Contender]:
    ours, out = [opus.Decoder(setting.rate) for _ in range(2)], bytearray(2 * setting.rate // 50)
    found: dict[str, Contender] = {
        "trunkline `_into`": (ours[0].decode_into, out),
        "trunkline": (ours[1].decode, None),
    }
    for name, module in modules().items():
        found[name] = (module.Decoder(setting.rate, 1).decode, setting.rate // 50)
    if av:
        context = av.CodecContext.create("libopus", "r")
        context.sample_rate, context.layout = setting.rate, "mono"
        found["PyAV"] = (lambda packet: context.decode(av.Packet(packet)), None)
    return found


def modules() -> dict[str, Any]:
    """Give what has opuslib's classes."""
    named = {"trunkline.opuslib": drop_in, "opuslib": opuslib, "opuslib-next": opuslib_next}
    return {name: module for name, module in named.items() if module}


def pyav_encode(setting: Setting) -> Callable[[bytes], object]:
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = setting.rate, "mono", "s16"
    context.bit_rate, context.options = setting.bitrate, {"application": setting.application}

    def encode(src: bytes) -> object:
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(src) // 2)
        frame.sample_rate = setting.rate
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


def c_loop(setting: Setting, packets: list[bytes]) -> Pass:
    """Decode with libopus in a loop of C."""
    libopus, loop = ctypes.CDLL(opus.library().path), ctypes.CDLL(str(C_LOOP)).opusloop
    libopus.opus_decoder_create.restype = ctypes.c_void_p
    n_samples = setting.rate // 50
    state = ctypes.c_void_p(libopus.opus_decoder_create(setting.rate, 1, None))
    pointers = (ctypes.c_char_p * len(packets))(*packets)
    sizes = (ctypes.c_int32 * len(packets))(*map(len, packets))
    pcm = (ctypes.c_int16 * n_samples)()
    loop.restype = None
    return lambda: loop(libopus.opus_decode, state, pointers, sizes, len(packets), pcm, n_samples)


def main() -> None:
    print(f"{opus.library().version}, Python {sys.version.split()[0]}; times as fast as opuslib\n")
    print_head(*NAMES, "price of our call, us")
    for setting in SETTINGS:
        pcm = packets_of(setting)
        encoder = opus.Encoder(setting.rate, 1, setting.application, bitrate=setting.bitrate)
        packets = [encoder.encode(packet) for packet in pcm]
        for task, found, inputs in (
            ("encode", encoders(setting), pcm),
            ("decode", decoders(setting), packets),
        ):
            passes: dict[str, Pass] = {
                name: functools.partial(one_pass, convert, inputs) for name, convert in found.items()
            }
            if task == "decode" and C_LOOP.exists():
                passes["C"] = c_loop(setting, packets)
            seconds = take_turns(passes, ROUNDS)
            cells = [
                f"{times_as_fast(seconds, name, 'opuslib'):.2f}" if name in found and opuslib else ""
                for name in NAMES
            ]
            above_c = [
                (ours - in_c) / PACKETS * 1e6
                for ours, in_c in zip(seconds["trunkline `_into`"], seconds.get("C", []), strict=False)
            ]
            price = f"{statistics.median(above_c):.2f}" if above_c else ""
            print_row(f"{task} {setting.application}, {setting.rate // 1000} kHz", *cells, price)


if __name__ == "__main__":
    main()
