"""trunkline.track.Packetizer: PCM of any length in, payloads of exactly one packet out."""

import sys
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import FormatError
from trunkline.formats import CodecSpec
from trunkline.g711 import alaw_encode, ulaw_encode
from trunkline.resample import Resampler
from trunkline.track import Packetizer


@pytest.mark.parametrize("sample_rate", [-(2**70), -8000, 0, 3999, 192_001, 2**31, 2**32 + 24000, 2**70])
def test_impossible_rates_are_refused(sample_rate: int) -> None:
    with pytest.raises(FormatError, match=f"4000 to 192000 Hz, got {sample_rate} Hz"):
        Packetizer(CodecSpec("PCMU", 8000), sample_rate=sample_rate)


@given(
    codec=st.sampled_from(["PCMU", "PCMA", "L16@8000h"]),
    ptime_ms=st.sampled_from([1, 20, 30]),
    channels=st.integers(1, 2),
    pieces=st.lists(st.integers(0, 700), max_size=12),
    seed=st.integers(0, 999),
)
def test_payloads_are_the_encoded_pcm(
    codec: str, ptime_ms: int, channels: int, pieces: list[int], seed: int
) -> None:
    spec = CodecSpec.parse(f"{codec}@{ptime_ms}i")
    pcm = Random(seed).randbytes(2 * channels * sum(pieces))
    encoded = {"PCMU": ulaw_encode, "PCMA": alaw_encode, "L16": little_endian}[spec.name](pcm)
    packetizer = Packetizer(spec, channels=channels)
    payloads, at = [], 0
    for n_samples in pieces:
        n_bytes = 2 * channels * n_samples
        payloads += packetizer.push(memoryview(pcm)[at : at + n_bytes])
        at += n_bytes
    assert all(len(payload) == packetizer.payload_bytes for payload in payloads)
    rest = packetizer.flush()
    assert all(0 < len(payload) < packetizer.payload_bytes for payload in rest)
    assert b"".join(payloads + rest) == encoded
    assert packetizer.flush() == []


@given(
    rates=st.sampled_from([(24000, "PCMU"), (11025, "PCMA"), (8000, "L16@16000h"), (48000, "L16@24000h")]),
    channels=st.integers(1, 2),
    pieces=st.lists(st.integers(0, 1500), max_size=12),
    seed=st.integers(0, 999),
)
def test_pcm_of_another_rate_is_resampled(
    rates: tuple[int, str], channels: int, pieces: list[int], seed: int
) -> None:
    sample_rate, spec = rates[0], CodecSpec.parse(rates[1])
    pcm = Random(seed).randbytes(2 * channels * sum(pieces))
    resampler = Resampler(sample_rate, spec.sample_rate, channels=channels)
    plain = Packetizer(spec, channels=channels)
    wanted = plain.push(resampler.process(pcm) + (resampler.flush() if pcm else b"")) + plain.flush()
    packetizer = Packetizer(spec, channels=channels, sample_rate=sample_rate)
    payloads, at = [], 0
    for n_samples in pieces:
        payloads += packetizer.push(pcm[at : at + 2 * channels * n_samples])
        at += 2 * channels * n_samples
    assert payloads + packetizer.flush() == wanted
    assert packetizer.flush() == []


def test_a_refused_push_leaves_the_resampler_alone() -> None:
    packetizer = Packetizer(CodecSpec.parse("PCMU"), sample_rate=24000)
    with pytest.raises(ValueError, match="3 bytes"):
        packetizer.push(bytes(3))
    assert packetizer.flush() == []


def little_endian(pcm: bytes) -> bytes:
    if sys.byteorder == "little":
        return pcm
    swapped = bytearray(pcm)
    swapped[0::2], swapped[1::2] = pcm[1::2], pcm[0::2]
    return bytes(swapped)


@pytest.mark.parametrize(
    ("pcm", "error", "words"),
    [
        (bytes(321), ValueError, "321 bytes"),
        (bytes(6), ValueError, "3 samples are not whole for 2 channels"),
        (memoryview(bytes(8)).cast("f"), TypeError, "'f'"),
        (None, TypeError, "NoneType"),
    ],
)
def test_bad_pcm_is_refused(pcm: Any, error: type[Exception], words: str) -> None:
    packetizer = Packetizer(CodecSpec.parse("PCMU"), channels=2)
    with pytest.raises(error, match=words):
        packetizer.push(pcm)
    assert packetizer.flush() == []
