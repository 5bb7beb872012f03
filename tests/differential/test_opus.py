"""trunkline.opus against opuslib, and against libopus called in the documented order: the same bytes."""

import ctypes
import importlib
import warnings
from typing import Any

import numpy as np
import pytest

from tests.reference.opus import PlainDecoder, cut, fec_packets, packets, voices
from trunkline import opus

pytestmark = pytest.mark.usefixtures("libopus")

RATES = [8000, 12000, 16000, 24000, 48000]
DURATIONS_MS = [2.5, 5, 10, 20, 40, 60, 80, 100, 120]
APPLICATIONS = {"voip": "voip", "audio": "audio", "lowdelay": "restricted_lowdelay"}
channels_of = pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])


@pytest.fixture(scope="module")
def opuslib(libopus: opus.LibraryInfo) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        pytest.importorskip("opuslib.exceptions", reason="opuslib is not installed")
        try:
            module = importlib.import_module("opuslib")
        except Exception as error:
            pytest.skip(f"opuslib: {error}")
    version = module.api.libopus.opus_get_version_string
    version.restype = ctypes.c_char_p
    if version().decode() != libopus.version:
        pytest.skip(f"opuslib uses {version().decode()}, trunkline {libopus.version}")
    return module


@channels_of
@pytest.mark.parametrize("sample_format", ["s16", "f32"])
@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("rate", RATES)
def test_both_directions_are_opuslibs(
    opuslib: Any, rate: int, application: str, sample_format: str, channels: int
) -> None:
    is_float = sample_format == "f32"
    for ms in DURATIONS_MS:
        n_samples = round(rate * ms / 1000)
        encoder, decoder = opus.Encoder(rate, channels, application), opus.Decoder(rate, channels)
        their_encoder = opuslib.Encoder(rate, channels, APPLICATIONS[application])
        their_decoder = opuslib.Decoder(rate, channels)
        suffix = "_float" if is_float else ""
        encode = getattr(their_encoder, f"encode{suffix}")
        decode = getattr(their_decoder, f"decode{suffix}")
        for piece in cut(voices(0.25, rate, channels), n_samples * channels * 2):
            pcm = np.frombuffer(piece, np.int16)
            if is_float:
                pcm = pcm.astype(np.float32) / np.float32(32768)
            packet = encoder.encode(pcm, max_bytes=pcm.nbytes)  # as opuslib's is capped
            assert packet == encode(pcm.tobytes(), n_samples)
            assert decoder.decode(packet, sample_format=sample_format) == decode(packet, n_samples)
            assert encoder.final_range == their_encoder.final_range
            assert encoder.final_range == decoder.final_range == their_decoder.final_range


@pytest.fixture
def plain(libopus: opus.LibraryInfo) -> type[PlainDecoder]:
    if libopus.place == "built in":
        pytest.skip("this build's own libopus cannot be called by ctypes")
    return PlainDecoder


@channels_of
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("ms", [10, 20, 40, 60])
def test_recovery_is_libopus_in_the_documented_order(
    plain: type[PlainDecoder], rate: int, ms: int, channels: int
) -> None:
    """Conceal all but the last frame, decode that from the next packet's copy, then decode the packet."""
    stream = fec_packets(3.0, channels=channels, ms=ms)
    decoder, reference = opus.Decoder(rate, channels), plain(rate, channels)
    n, step, n_fec = rate * ms // 1000, 2 * channels, 0
    out = bytearray(7 * n * step)
    at = 0
    for n_lost in [1, 2, 1, 3, 1, 1, 7]:
        for packet in stream[at : at + 2]:
            assert decoder.decode(packet) == reference.decode(packet, n)
        at += 2 + n_lost
        recovery = decoder.recover_into(stream[at], out, n_lost * n)
        assert recovery == (n_lost * n - recovery.fec, n if opus.packet_info(stream[at]).has_lbrr else 0, 0)
        expected = b""
        for left in range(recovery.concealed, 0, -rate * 120 // 1000):
            expected += reference.decode(None, min(left, rate * 120 // 1000))
        if recovery.fec:
            expected += reference.decode(stream[at], n, fec=True)
        assert out[: n_lost * n * step] == expected
        assert decoder.decode(stream[at]) == reference.decode(stream[at], n)
        n_fec += recovery.fec
        at += 1
    assert n_fec > 0


@channels_of
def test_ten_seconds_and_dtx_are_libopus(plain: type[PlainDecoder], channels: int) -> None:
    stream = fec_packets(2.0, channels=channels)
    decoder, reference = opus.Decoder(16000, channels), plain(16000, channels)
    for packet in stream[:30]:
        assert decoder.decode(packet) == reference.decode(packet, 320)
    out = bytearray(160_000 * 2 * channels)
    assert decoder.recover_into(stream[30], out, 160_000, dtx=True) == (0, 0, 160_000)
    n_whole, rest = divmod(160_000, 1920)
    silence = [reference.decode(None, n) for n in [1920] * n_whole + [rest]]
    assert out == b"".join(silence)
    assert decoder.decode(stream[30]) == reference.decode(stream[30], 320)


def test_mono_into_stereo_and_back_are_libopus(plain: type[PlainDecoder]) -> None:
    for channels in (1, 2):
        decoder, reference = opus.Decoder(48000, 3 - channels), plain(48000, 3 - channels)
        for packet in packets(0.5, 48000, channels, bitrate=64000):
            assert decoder.decode(packet) == reference.decode(packet, 960)
