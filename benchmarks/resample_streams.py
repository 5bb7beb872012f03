"""Every resampler that the benchmark times and the figures draw, as one shape: packets in, samples out.

A stream takes rates in Hz and 20 ms packets of s16 mono; after each it yields the buffer that holds what
the resampler gave and how many samples that is. Each one is fed from bytes, and keeps its output where it
costs least: in a buffer of the caller's if it can write into one.
"""

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from peers import optional

import trunkline

audioop, av, samplerate, soxr = (optional(name) for name in ("audioop", "av", "samplerate", "soxr"))
speexdsp: Any = None
with contextlib.suppress(OSError):
    speexdsp = ctypes.CDLL("libspeexdsp.so.1")

PACKETS_A_SECOND = 50
Outputs = Iterator[tuple[Any, int]]
Stream = Callable[[int, int, Iterable[bytes]], Outputs]


def trunkline_stream(quality: str, in_rate: int, out_rate: int, packets: Iterable[bytes]) -> Outputs:
    resampler = trunkline.Resampler(in_rate, out_rate, quality=quality)
    out = bytearray(2 * resampler.output_samples_max(in_rate // PACKETS_A_SECOND))
    process_into = resampler.process_into
    for packet in packets:
        yield out, process_into(packet, out)


def ratecv_stream(in_rate: int, out_rate: int, packets: Iterable[bytes]) -> Outputs:
    ratecv, state = audioop.ratecv, None
    for packet in packets:
        pcm, state = ratecv(packet, 2, 1, in_rate, out_rate, state)
        yield pcm, len(pcm) // 2


def soxr_stream(quality: str, in_rate: int, out_rate: int, packets: Iterable[bytes]) -> Outputs:
    resample_chunk = soxr.ResampleStream(in_rate, out_rate, 1, "int16", quality).resample_chunk
    for packet in packets:
        pcm = resample_chunk(np.frombuffer(packet, np.int16))
        yield pcm, len(pcm)


def samplerate_stream(converter: str, in_rate: int, out_rate: int, packets: Iterable[bytes]) -> Outputs:
    """Feed float32, as libsamplerate takes nothing else; the scale of s16 saves a product a sample."""
    process, ratio = samplerate.Resampler(converter, channels=1).process, out_rate / in_rate
    for packet in packets:
        samples = process(np.frombuffer(packet, np.int16), ratio)
        pcm = np.rint(samples).clip(-32768, 32767).astype(np.int16)
        yield pcm, len(pcm)


def speexdsp_stream(quality: int, in_rate: int, out_rate: int, packets: Iterable[bytes]) -> Outputs:
    speexdsp.speex_resampler_init.restype = ctypes.c_void_p
    state = ctypes.c_void_p(speexdsp.speex_resampler_init(1, in_rate, out_rate, quality, None))
    n_in, n_out = in_rate // PACKETS_A_SECOND, out_rate // PACKETS_A_SECOND + 2
    in_len, out_len, out = ctypes.c_uint32(), ctypes.c_uint32(), bytearray(2 * n_out)
    in_ref, out_ref = ctypes.byref(in_len), ctypes.byref(out_len)
    out_pointer = (ctypes.c_char * len(out)).from_buffer(out)
    process, channel = speexdsp.speex_resampler_process_int, ctypes.c_uint32(0)
    try:
        for packet in packets:
            in_len.value, out_len.value = n_in, n_out
            process(state, channel, packet, in_ref, out_pointer, out_ref)
            yield out, out_len.value
    finally:
        speexdsp.speex_resampler_destroy(state)


def pyav_stream(in_rate: int, out_rate: int, packets: Iterable[bytes]) -> Outputs:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=out_rate)
    for packet in packets:
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(packet) // 2)
        frame.sample_rate = in_rate
        frame.planes[0].update(packet)
        frames = resampler.resample(frame)
        yield (frames[0].planes[0], frames[0].samples) if frames else (b"", 0)


OURS: dict[str, Stream] = {
    "trunkline voice": functools.partial(trunkline_stream, "voice"),
    "trunkline high": functools.partial(trunkline_stream, "high"),
    "trunkline fast": functools.partial(trunkline_stream, "fast"),
}
CANDIDATES: dict[str, tuple[Any, Stream]] = {
    "ratecv": (audioop, ratecv_stream),
    "speexdsp 3": (speexdsp, functools.partial(speexdsp_stream, 3)),
    "speexdsp 5": (speexdsp, functools.partial(speexdsp_stream, 5)),
    "soxr QQ": (soxr, functools.partial(soxr_stream, "QQ")),
    "soxr HQ": (soxr, functools.partial(soxr_stream, "HQ")),
    "soxr VHQ": (soxr, functools.partial(soxr_stream, "VHQ")),
    "samplerate medium": (samplerate, functools.partial(samplerate_stream, "sinc_medium")),
    "PyAV": (av, pyav_stream),
}
PEERS = {name: stream for name, (library, stream) in CANDIDATES.items() if library}
MISSING = [name for name, (library, _) in CANDIDATES.items() if not library]
STREAMS = OURS | PEERS
