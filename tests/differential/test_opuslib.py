"""trunkline.opuslib against opuslib itself, with the same libopus; and what is mended."""

import importlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from trunkline import opuslib as ours
from trunkline.errors import TrunklineError
from trunkline.opuslib.api import ctl, decoder, encoder, info
from trunkline.testing import speech_like


def import_theirs() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of its code
        try:
            for name in ("api.ctl", "api.info", "api.decoder", "api.encoder"):
                importlib.import_module(f"opuslib.{name}")
            return importlib.import_module("opuslib")
        except Exception as error:  # a bare one without libopus
            pytest.skip(f"opuslib cannot be imported: {error}")


@pytest.fixture(scope="module")
def theirs() -> Any:
    return import_theirs()


def frames(rate: int, channels: int, n_samples: int, dtype: type) -> Iterator[bytes]:
    mono = np.frombuffer(speech_like(0.25, rate), np.int16)
    pcm = np.repeat(mono, channels) if channels == 2 else mono
    samples = pcm.astype(dtype) if dtype is np.int16 else (pcm / 32768).astype(dtype)
    for i in range(0, len(samples) - n_samples * channels + 1, n_samples * channels):
        yield samples[i : i + n_samples * channels].tobytes()


@pytest.mark.parametrize(
    ("rate", "application", "channels"),
    [
        (8000, "voip", 1),
        (12000, "audio", 1),
        (16000, "voip", 2),
        (24000, "audio", 2),
        (48000, "restricted_lowdelay", 1),
    ],
)
def test_packets_and_pcm_are_the_same(theirs: Any, rate: int, application: str, channels: int) -> None:
    for tenths in (25, 50, 100, 200, 400, 600):
        n = rate * tenths // 10_000
        for dtype, suffix in ((np.int16, ""), (np.float32, "_float")):
            encoders = [module.Encoder(rate, channels, application) for module in (theirs, ours)]
            decoders = [module.Decoder(rate, channels) for module in (theirs, ours)]
            for coder in encoders:
                coder.bitrate = 16000  # so that opuslib's limit, the length of the PCM, does not bind
            for pcm in frames(rate, channels, n, dtype):
                packets = [getattr(coder, f"encode{suffix}")(pcm, n) for coder in encoders]
                assert packets[0] == packets[1]
                heard = [getattr(coder, f"decode{suffix}")(packets[0], n) for coder in decoders]
                assert heard[0] == heard[1]
                assert len(heard[1]) == len(pcm)
            assert encoders[0].final_range == encoders[1].final_range == decoders[1].final_range
            for coder in decoders:
                coder.reset_state()
            heard = [getattr(coder, f"decode{suffix}")(packets[0], n) for coder in decoders]
            assert heard[0] == heard[1]


def test_fec_is_the_same(theirs: Any) -> None:
    encoder = ours.Encoder(16000, 1, "voip")
    encoder.inband_fec, encoder.packet_loss_perc, encoder.bitrate = 1, 20, 24000
    packets = [encoder.encode(pcm, 320) for pcm in frames(16000, 1, 320, np.int16)]
    decoders = [module.Decoder(16000, 1) for module in (theirs, ours)]
    for first in range(0, len(packets) - 2, 2):
        for args in ((packets[first], 320), (packets[first + 2], 320, True), (packets[first + 2], 960, True)):
            assert decoders[0].decode(*args) == decoders[1].decode(*args)


VALUES = {
    "bitrate": 20000, "complexity": 3, "vbr": 0, "vbr_constraint": 0, "force_channels": 1, "signal": 3001,
    "max_bandwidth": 1103, "bandwidth": 1103, "application": 2049, "packet_loss_perc": 7, "lsb_depth": 16,
    "gain": -256,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_properties_are_the_same(theirs: Any, kind: str) -> None:
    args = (16000, 1, "voip") if kind == "Encoder" else (16000, 1)
    names = [name for name, value in vars(getattr(theirs, kind)).items() if isinstance(value, property)]
    assert len(names) > 4
    for name in names:
        pair = [getattr(module, kind)(*args) for module in (theirs, ours)]
        if name in VALUES and vars(getattr(theirs, kind))[name].fset:
            codes = []
            for coder, error in zip(pair, (theirs.OpusError, ours.OpusError), strict=True):
                try:
                    setattr(coder, name, VALUES[name])
                except error as refusal:
                    codes.append(refusal.code)
            assert codes in ([], [-5, -5])
        if (kind, name) == ("Encoder", "bandwidth"):  # theirs cannot be read
            assert pair[1].bandwidth in (1103, 1105)
            continue
        read = []
        for coder, error in zip(pair, (theirs.OpusError, ours.OpusError), strict=True):
            try:
                read.append(getattr(coder, name))
            except error as refusal:
                read.append(("refused", refusal.code))
        assert read[0] == read[1], name


def test_names_are_the_same(theirs: Any) -> None:
    for name in vars(theirs.constants):
        if name.isupper():
            assert getattr(ours, name) == getattr(theirs, name)
    for name in vars(theirs.api.ctl):
        if name.startswith(("get_", "set_", "reset_")):
            assert isinstance(getattr(ctl, name), ctl.Request)
    with pytest.raises(AttributeError, match="set_everything"):
        ctl.set_everything  # noqa: B018
    assert info.get_version_string() == theirs.api.info.get_version_string()
    assert info.strerror(-4) == theirs.api.info.strerror(-4)


def test_functions_on_packets(theirs: Any) -> None:
    coder = ours.Encoder(24000, 2, "audio")
    packet = coder.encode(bytes(4 * 480), 480)
    peer = theirs.api.decoder
    assert decoder.packet_get_bandwidth(packet) == peer.packet_get_bandwidth(packet)
    assert decoder.packet_get_nb_channels(packet) == peer.packet_get_nb_channels(packet)
    assert decoder.packet_get_nb_frames(packet) == peer.packet_get_nb_frames(packet)
    assert decoder.packet_get_nb_frames(packet, 1) == peer.packet_get_nb_frames(packet, 1)
    state = decoder.create_state(16000, 2)
    assert decoder.get_nb_samples(state, packet, len(packet)) == 320
    assert decoder.packet_get_samples_per_frame(packet, 48000) == 960  # theirs counts frames
    heard = decoder.decode(state, packet, len(packet), 320, False, channels=2)
    assert len(heard) == 4 * 320
    assert len(decoder.decode_float(state, packet, len(packet), 320, False)) == 8 * 320
    decoder.decoder_ctl(state, ctl.set_gain, -15)
    assert decoder.decoder_ctl(state, ctl.get_gain) == -15
    decoder.decoder_ctl(state, ctl.reset_state)
    decoder.destroy(state)
    for call in (
        lambda: decoder.packet_get_nb_channels(b""),
        lambda: decoder.decode(state, packet, 999, 320, False),
    ):
        with pytest.raises(ours.OpusError):
            call()


def test_functions_on_an_encoder() -> None:
    state = encoder.create_state(16000, 1, "voip")
    encoder.encoder_ctl(state, ctl.set_bitrate, 12000)
    assert encoder.encoder_ctl(state, ctl.get_bitrate) == 12000
    pcm = next(frames(16000, 1, 320, np.int16))
    assert len(encoder.encode(state, pcm, 320, 20)) <= 20
    assert len(encoder.encode_float(state, next(frames(16000, 1, 320, np.float32)), 320, 4000)) > 1
    with pytest.raises(ours.OpusError, match="takes a value"):
        encoder.encoder_ctl(state, ctl.set_bitrate)
    encoder.destroy(state)


# What is mended


def test_fec_and_dtx_can_be_set() -> None:
    coder = ours.Encoder(16000, 1, "voip")
    for name in ("inband_fec", "dtx"):
        setattr(coder, name, 1)
        assert getattr(coder, name) == 1


def test_none_conceals() -> None:
    coder = ours.Decoder(16000, 1)
    for pcm in frames(16000, 1, 320, np.int16):
        coder.decode(ours.Encoder(16000, 1, "voip").encode(pcm, 320), 320)
    assert len(coder.decode(None, 320)) == 640
    assert any(coder.decode(None, 320))
    assert len(coder.decode_float(None, 320)) == 1280


@pytest.mark.parametrize("n_bytes", [0, 1, 638, 639])
def test_short_pcm_is_refused(n_bytes: int) -> None:
    coder = ours.Encoder(16000, 1, "voip")
    with pytest.raises(ours.OpusError, match=f"{n_bytes} bytes, 320 samples take 640") as refusal:
        coder.encode(bytes(n_bytes), 320)
    assert refusal.value.code == ours.BAD_ARG
    assert len(coder.encode(bytes(700), 320)) > 0  # what is more is not looked at


def test_short_frames_keep_their_rate() -> None:
    coder = ours.Encoder(8000, 1, "audio")
    coder.bitrate, coder.vbr = 256_000, 0
    assert len(coder.encode(next(frames(8000, 1, 20, np.int16)), 20)) == 80  # of 40 bytes of PCM


def test_errors() -> None:
    coder = ours.Decoder(16000, 1)
    packet = ours.Encoder(16000, 1, "voip").encode(bytes(640), 320)
    refusals = [
        (ours.INVALID_PACKET, lambda: coder.decode(b"\xff", 960)),
        (
            ours.BUFFER_TOO_SMALL,
            lambda: coder.decode(packet, 160),
        ),
        (ours.BAD_ARG, lambda: coder.decode(None, 0)),
        (ours.BAD_ARG, lambda: coder.decode(None, 7)),
        (ours.BAD_ARG, lambda: ours.Decoder(44100, 1)),
        (ours.BAD_ARG, lambda: ours.Encoder(16000, 3, "voip")),
    ]
    for code, call in refusals:
        with pytest.raises(ours.OpusError) as refusal:
            call()
        assert refusal.value.code == code
        assert isinstance(refusal.value, TrunklineError)
        assert str(refusal.value)
    with pytest.raises(ValueError, match="restricted_lowdelay"):
        ours.Encoder(16000, 1, "music")
    assert str(ours.OpusError(ours.INVALID_PACKET)) == info.strerror(ours.INVALID_PACKET).decode()


def test_every_name_is_there(theirs: Any) -> None:
    for place in ("", ".api.ctl", ".api.info", ".api.decoder", ".api.encoder"):
        wanted = vars(importlib.import_module(f"opuslib{place}"))
        plain = {name for name in wanted if name[0] != "_" and not name.startswith("libopus_")}
        plain -= {"ctypes", "typing", "array", "opuslib", "EncoderPointer", "DecoderPointer", "get_size"}
        assert plain <= set(dir(importlib.import_module(f"trunkline.opuslib{place}")))
    for module in (ours, ctl):  # what `import *` brings
        names = getattr(module, "__all__", dir(module))
        assert {"APPLICATION_AUDIO", "Encoder"} <= set(names) or {"set_bitrate", "get_pitch"} <= set(names)
    with pytest.raises(ours.OpusError):
        encoder.create_state(48000, 1, 1)
