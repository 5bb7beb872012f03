"""Recordings to convert, and what came of them."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.reference.convert import Samples
from trunkline import wav
from trunkline.convert import Plan, convert_bytes
from trunkline.convert.pipeline import BLOCK_ITEMS

__all__ = ["BLOCK", "PEAK_KIB", "noise", "read_s16", "through", "wav_bytes", "write_wav"]

BLOCK = BLOCK_ITEMS

#: An expression: what this process took at most. (ru_maxrss is that of the process that started it, too.)
PEAK_KIB = "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"


def noise(n_samples: int, channels: int = 1, seed: int = 1) -> NDArray[np.int16]:
    """Give s16 of full scale, a row per sample."""
    return np.random.default_rng(seed).integers(-32768, 32768, (n_samples, channels), np.int16)


def wav_bytes(samples: NDArray[np.int16], rate: int = 8000, encoding: str = "pcm16") -> bytes:
    file = io.BytesIO()
    write_wav(file, samples, rate, encoding)
    return file.getvalue()


def write_wav(
    file: Path | io.BytesIO, samples: NDArray[np.int16], rate: int = 8000, encoding: str = "pcm16"
) -> None:
    wav.write(file, samples.tobytes(), rate, channels=samples.shape[1], encoding=encoding)


def read_s16(file: str | Path | io.BytesIO) -> tuple[NDArray[np.int16], int]:
    with wav.WavReader(file) as reader:
        return np.frombuffer(reader.read(), np.int16).reshape(-1, reader.channels), reader.sample_rate


def through(
    samples: NDArray[np.int16], rate: int, plan: Plan, encoding: str = "pcm16"
) -> tuple[Samples, int]:
    """Convert in memory: samples of full scale 1.0, and the rate."""
    made = convert_bytes(wav_bytes(samples, rate, encoding), plan)
    with wav.WavReader(io.BytesIO(made)) as reader:
        flat = np.frombuffer(reader.read_float(), np.float32).astype("f8")
        return flat.reshape(-1, reader.channels), reader.sample_rate
