"""libopus called plainly, by ctypes, and streams of packets to call it with."""

import ctypes
import functools
import math
from collections.abc import Iterator

import numpy as np

from trunkline import opus
from trunkline.testing import speech_like

CAPACITY = 2 * 5760  # samples of the longest packet, of both channels


@functools.cache
def _voices(seconds: int, sample_rate: int, channels: int, seed: int) -> bytes:
    talkers = [np.frombuffer(speech_like(seconds, sample_rate, seed + i), np.int16) for i in range(channels)]
    return np.stack(talkers, axis=1).tobytes()


def voices(seconds: float, sample_rate: int, channels: int = 1, seed: int = 0) -> bytes:
    """Make one talker a channel, interleaved, without a pause at the start."""
    n_bytes = round(seconds * sample_rate) * channels * 2
    return _voices(math.ceil(seconds), sample_rate, channels, seed)[:n_bytes]


def cut(pcm: bytes, n_bytes: int) -> Iterator[bytes]:
    """Give the whole pieces of so many bytes."""
    yield from (pcm[at : at + n_bytes] for at in range(0, len(pcm) - n_bytes + 1, n_bytes))


@functools.cache
def packets(
    seconds: float, sample_rate: int = 16000, channels: int = 1, ms: float = 20, **settings: object
) -> tuple[bytes, ...]:
    """Encode voices; `settings` are the Encoder's."""
    encoder = opus.Encoder(sample_rate, channels, **settings)
    n_bytes = round(sample_rate * ms / 1000) * channels * 2
    return tuple(encoder.encode(piece) for piece in cut(voices(seconds, sample_rate, channels), n_bytes))


def fec_packets(seconds: float, **stream: object) -> tuple[bytes, ...]:
    """Packets that carry copies (LBRR) of the ones before."""
    return packets(seconds, bitrate=24000, inband_fec=True, packet_loss_percent=10, **stream)


class PlainDecoder:
    """A decoder of the libopus that trunkline uses."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._libopus = ctypes.CDLL(opus.library().path)
        self._libopus.opus_decoder_get_size.restype = ctypes.c_int
        self._state = ctypes.create_string_buffer(self._libopus.opus_decoder_get_size(channels))
        assert self._libopus.opus_decoder_init(self._state, sample_rate, channels) == 0
        self._channels = channels

    def decode(self, packet: bytes | None, n_samples: int, *, fec: bool = False) -> bytes:
        """Decode a packet, or its copy of the frame before it, or conceal one that was lost."""
        pcm = (ctypes.c_int16 * CAPACITY)()
        n_bytes = len(packet) if packet else 0
        got = self._libopus.opus_decode(self._state, packet, n_bytes, pcm, n_samples, int(fec))
        assert got == n_samples
        return bytes(memoryview(pcm).cast("B")[: got * self._channels * 2])
