"""trunkline.g711 against tests/reference, its buffer contract, and audioop."""

import sys
from array import array
from collections.abc import Callable, Iterator
from ctypes import c_int16
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import g711 as reference
from trunkline.errors import BufferTooSmallError

pytestmark = pytest.mark.isa

ALL_S16 = array("h", range(-32768, 32768))
ALL_CODES = bytes(range(256))

ENCODED = {
    "ulaw": bytes(map(reference.ulaw_encode_sample, ALL_S16)),
    "alaw": bytes(map(reference.alaw_encode_sample, ALL_S16)),
}
DECODED = {
    "ulaw": array("h", map(reference.ulaw_decode_sample, ALL_CODES)),
    "alaw": array("h", map(reference.alaw_decode_sample, ALL_CODES)),
}


class Conversion(NamedTuple):
    name: str
    src_bytes: int  # bytes a sample
    out_bytes: int
    in_place: bool = False


DECODERS = [Conversion("ulaw_decode", 1, 2), Conversion("alaw_decode", 1, 2)]
ENCODERS = [Conversion("ulaw_encode", 2, 1), Conversion("alaw_encode", 2, 1)]
TRANSCODERS = [Conversion("ulaw_to_alaw", 1, 1, True), Conversion("alaw_to_ulaw", 1, 1, True)]

laws = pytest.mark.parametrize("law", ["ulaw", "alaw"])
conversions = pytest.mark.parametrize(
    "conversion", DECODERS + ENCODERS + TRANSCODERS, ids=lambda conversion: conversion.name
)
encoders = pytest.mark.parametrize("encoder", [conversion.name for conversion in ENCODERS])
decoders = pytest.mark.parametrize("decoder", [conversion.name for conversion in DECODERS])


def both_forms(g711: ModuleType, conversion: Conversion) -> tuple[Callable[..., bytes], Callable[..., int]]:
    return getattr(g711, conversion.name), getattr(g711, conversion.name + "_into")


def a_source(conversion: Conversion, n_samples: int = 160) -> bytes:
    return bytes(167 * i % 256 for i in range(n_samples * conversion.src_bytes))


def s16_of(pcm: list[float]) -> list[int]:
    return [reference.s16_of_float(value) for value in pcm]


def codes_of(law: str, samples: list[int]) -> bytes:
    return bytes(ENCODED[law][sample + 32768] for sample in samples)


# What is computed


@laws
def test_encode_is_the_reference_on_every_sample(g711: ModuleType, law: str) -> None:
    encode = getattr(g711, f"{law}_encode")
    assert encode(ALL_S16) == ENCODED[law]
    assert encode(ALL_S16.tobytes()) == ENCODED[law]


@laws
def test_decode_is_the_reference_on_every_code(g711: ModuleType, law: str) -> None:
    decode = getattr(g711, f"{law}_decode")
    assert decode(ALL_CODES) == DECODED[law].tobytes()
    many = 300  # enough samples to run without the GIL
    assert decode(ALL_CODES * many) == DECODED[law].tobytes() * many


@pytest.mark.parametrize(
    ("name", "source", "target"), [("ulaw_to_alaw", "ulaw", "alaw"), ("alaw_to_ulaw", "alaw", "ulaw")]
)
def test_transcode_is_decode_then_encode(g711: ModuleType, name: str, source: str, target: str) -> None:
    expected = codes_of(target, DECODED[source].tolist())
    assert getattr(g711, name)(ALL_CODES) == expected


@laws
def test_encode_undoes_decode(g711: ModuleType, law: str) -> None:
    again = getattr(g711, f"{law}_encode")(getattr(g711, f"{law}_decode")(ALL_CODES))
    # Both zeros of mu-law decode to 0, which is encoded as the positive one.
    assert again == (ALL_CODES.replace(b"\x7f", b"\xff") if law == "ulaw" else ALL_CODES)


@laws
def test_silence_is_the_code_of_zero(g711: ModuleType, law: str) -> None:
    silence = getattr(g711, f"{law.upper()}_SILENCE")
    assert isinstance(silence, bytes)
    assert silence == getattr(g711, f"{law}_encode")(bytes(2))


@laws
def test_float_encode_is_the_s16_encode_of_every_sample(g711: ModuleType, law: str) -> None:
    pcm = np.array(ALL_S16, dtype=np.float32) / np.float32(32768)
    encode = getattr(g711, f"{law}_encode")
    assert encode(pcm) == ENCODED[law]
    assert encode(array("f", pcm)) == ENCODED[law]


@laws
def test_float_encode_rounds_halves_to_even(g711: ModuleType, law: str) -> None:
    pcm = (np.arange(-32770, 32770) + np.float64(0.5)) / 32768
    expected = codes_of(law, s16_of(pcm.tolist()))
    assert getattr(g711, f"{law}_encode")(pcm.astype(np.float32)) == expected


@laws
@pytest.mark.parametrize(
    ("value", "sample"),
    [
        (float("nan"), 0),
        (float("inf"), 32767),
        (float("-inf"), -32768),
        (1.0, 32767),
        (-1.0, -32768),
        (3e38, 32767),
        (-3e38, -32768),
        (65536.0, 32767),  # 2^31 when scaled
        (1e-45, 0),
        (-0.0, 0),
    ],
)
def test_float_encode_of_special_values(g711: ModuleType, law: str, value: float, sample: int) -> None:
    encode = getattr(g711, f"{law}_encode")
    for n_samples in (1, 40):
        assert encode(array("f", [value] * n_samples)) == encode(array("h", [sample] * n_samples))


@laws
@given(pcm=st.lists(st.floats(width=32) | st.floats(-1.125, 1.125, width=32), max_size=100))
def test_float_encode_of_anything(g711: ModuleType, law: str, pcm: list[float]) -> None:
    assert getattr(g711, f"{law}_encode")(array("f", pcm)) == codes_of(law, s16_of(pcm))


@laws
@given(codes=st.binary(max_size=300))
def test_decode_of_any_length(g711: ModuleType, law: str, codes: bytes) -> None:
    expected = array("h", [DECODED[law][code] for code in codes])
    assert getattr(g711, f"{law}_decode")(codes) == expected.tobytes()


# What goes in


@conversions
def test_source_may_be_any_contiguous_buffer_of_bytes(g711: ModuleType, conversion: Conversion) -> None:
    convert, _ = both_forms(g711, conversion)
    src = a_source(conversion)
    expected = convert(src)
    shifted = memoryview(b"x" + src + b"x")[1:-1]
    for same in (
        bytearray(src),
        memoryview(src),
        shifted,
        array("B", src),
        np.frombuffer(src, dtype=np.uint8),
    ):
        assert convert(same) == expected


@encoders
def test_source_may_be_any_contiguous_buffer_of_s16(g711: ModuleType, encoder: str) -> None:
    encode = getattr(g711, encoder)
    pcm = ALL_S16[12345 : 12345 + 160]
    raw = pcm.tobytes()
    expected = encode(raw)
    samples = np.array(pcm, dtype=np.int16)
    odd = np.frombuffer(b"x" + raw, dtype=np.int16, offset=1)
    assert not odd.flags.aligned
    for same in (
        pcm,
        memoryview(raw).cast("h"),
        memoryview(b"x" + raw)[1:].cast("h"),
        (c_int16 * 160)(*pcm),
        samples,
        samples.reshape(2, 80),
        odd,
    ):
        assert encode(same) == expected


@encoders
def test_float_source_may_be_unaligned(g711: ModuleType, encoder: str) -> None:
    encode = getattr(g711, encoder)
    pcm = np.linspace(-1, 1, 160, dtype=np.float32)
    odd = np.frombuffer(b"x" + pcm.tobytes(), dtype=np.float32, offset=1)
    assert not odd.flags.aligned
    assert encode(odd) == encode(pcm)


@conversions
def test_nothing_gives_nothing(g711: ModuleType, conversion: Conversion) -> None:
    convert, convert_into = both_forms(g711, conversion)
    assert convert(b"") == b""
    assert convert_into(b"", bytearray()) == 0
    untouched = bytearray(b"untouched")
    assert convert_into(bytearray(), untouched) == 0
    assert untouched == b"untouched"


@encoders
@pytest.mark.parametrize("n_bytes", [1, 3, 319])
def test_odd_pcm_is_refused(g711: ModuleType, encoder: str, n_bytes: int) -> None:
    with pytest.raises(ValueError, match=rf"\b{n_bytes} bytes"):
        getattr(g711, encoder)(bytes(n_bytes))
    out = bytearray(b"\xa7" * 320)
    with pytest.raises(ValueError, match=rf"\b{n_bytes} bytes"):
        getattr(g711, encoder + "_into")(bytearray(n_bytes), out)
    assert out == b"\xa7" * 320


@conversions
@pytest.mark.parametrize(
    "src",
    [
        "text",
        None,
        160,
        [1, 2, 3, 4],
        memoryview(bytes(320))[::2],
        memoryview(bytes(320))[::-1],
        np.zeros(320, dtype=np.int16)[::2],
        np.zeros((4, 4), dtype=np.int16, order="F"),
        array("H", bytes(320)),
        array("i", bytes(320)),
        array("d", bytes(320)),
        np.zeros(160, dtype=">i2"),
        np.zeros(160, dtype=np.float16),
        np.zeros(160, dtype=np.float64),
        np.zeros(160, dtype=np.complex64),
        np.zeros(160, dtype=[("left", np.int16)]),
    ],
    ids=lambda src: f"{type(src).__name__}-{getattr(src, 'dtype', getattr(src, 'typecode', ''))}",
)
def test_any_other_source_is_refused(g711: ModuleType, conversion: Conversion, src: object) -> None:
    convert, convert_into = both_forms(g711, conversion)
    out = bytearray(b"\xa7" * 1000)
    with pytest.raises(TypeError):
        convert(src)
    with pytest.raises(TypeError):
        convert_into(src, out)
    assert out == b"\xa7" * 1000


@pytest.mark.parametrize("conversion", DECODERS + TRANSCODERS, ids=lambda conversion: conversion.name)
@pytest.mark.parametrize("typecode", ["h", "f"])
def test_codes_are_bytes(g711: ModuleType, conversion: Conversion, typecode: str) -> None:
    with pytest.raises(TypeError, match=f"'{typecode}'"):
        getattr(g711, conversion.name)(array(typecode, bytes(320)))


# What comes out


@conversions
@given(n_samples=st.integers(0, 200), spare=st.integers(0, 70))
def test_into_writes_what_the_other_form_returns_and_no_more(
    g711: ModuleType, conversion: Conversion, n_samples: int, spare: int
) -> None:
    convert, convert_into = both_forms(g711, conversion)
    src = a_source(conversion, n_samples)
    needed = n_samples * conversion.out_bytes
    out = bytearray(b"\xa7" * (needed + spare))
    assert convert_into(src, out) == n_samples
    assert out[:needed] == convert(src)
    assert out[needed:] == b"\xa7" * spare


@encoders
def test_into_takes_float_and_array_sources(g711: ModuleType, encoder: str) -> None:
    pcm = array("f", [0.0, 0.25, -0.25])
    out = bytearray(3)
    assert getattr(g711, encoder + "_into")(pcm, out) == 3
    assert out == getattr(g711, encoder)(array("h", [0, 8192, -8192]))


@decoders
def test_decode_into_s16_items(g711: ModuleType, decoder: str) -> None:
    expected = array("h", getattr(g711, decoder)(ALL_CODES))
    into_array, into_numpy = array("h", bytes(512)), np.zeros((2, 128), dtype=np.int16)
    odd = np.frombuffer(bytearray(513), dtype=np.int16, offset=1)
    for out in (into_array, into_numpy, odd):
        assert getattr(g711, decoder + "_into")(ALL_CODES, out) == 256
    assert into_array == expected
    assert into_numpy.ravel().tolist() == expected.tolist()
    assert odd.tolist() == expected.tolist()


@conversions
@given(n_samples=st.integers(1, 200), lacking=st.integers(1, 400))
def test_short_out_is_refused_and_untouched(
    g711: ModuleType, conversion: Conversion, n_samples: int, lacking: int
) -> None:
    needed = n_samples * conversion.out_bytes
    available = max(0, needed - lacking)
    out = bytearray(b"\xa7" * available)
    with pytest.raises(BufferTooSmallError) as caught:
        both_forms(g711, conversion)[1](a_source(conversion, n_samples), out)
    assert (caught.value.needed, caught.value.available, caught.value.unit) == (needed, available, "bytes")
    assert out == b"\xa7" * available


def unfit_outs() -> Iterator[object]:
    frozen = np.zeros(1000, dtype=np.uint8)
    frozen.setflags(write=False)
    yield from (bytes(1000), memoryview(bytearray(1000)).toreadonly(), frozen)
    yield from (memoryview(bytearray(1000))[::2], np.zeros((40, 40), dtype=np.uint8, order="F"))
    yield from (array(typecode, bytes(1000)) for typecode in "Hifd")
    yield from (None, "x" * 1000, 1000)


@conversions
def test_unfit_out_is_refused(g711: ModuleType, conversion: Conversion) -> None:
    for out in unfit_outs():
        with pytest.raises(TypeError, match="out: "):
            both_forms(g711, conversion)[1](a_source(conversion), out)
    with pytest.raises(TypeError, match="got bytes that is read-only"):
        both_forms(g711, conversion)[1](a_source(conversion), bytes(1000))
    with pytest.raises(TypeError, match="got memoryview that is not contiguous"):
        both_forms(g711, conversion)[1](a_source(conversion), memoryview(bytearray(2000))[::2])


@pytest.mark.parametrize("conversion", ENCODERS + TRANSCODERS, ids=lambda conversion: conversion.name)
def test_codes_are_not_written_to_s16_items(g711: ModuleType, conversion: Conversion) -> None:
    with pytest.raises(TypeError, match="'h'"):
        both_forms(g711, conversion)[1](a_source(conversion), array("h", bytes(1000)))


@conversions
@given(n_samples=st.integers(1, 40), shift=st.integers(-100, 100))
def test_overlap_is_refused(g711: ModuleType, conversion: Conversion, n_samples: int, shift: int) -> None:
    """Only a transcode in place is documented to work; side by side in one block always does."""
    convert, convert_into = both_forms(g711, conversion)
    src_bytes, out_bytes = n_samples * conversion.src_bytes, n_samples * conversion.out_bytes
    content = a_source(conversion, 300)
    block = bytearray(content)
    src = memoryview(block)[100 : 100 + src_bytes]
    out = memoryview(block)[100 + shift :]  # longer than needed: only what is written counts
    expected = convert(bytes(src))
    if (shift == 0 and conversion.in_place) or shift >= src_bytes or shift <= -out_bytes:
        assert convert_into(src, out) == n_samples
        assert block[100 + shift : 100 + shift + out_bytes] == expected
    else:
        with pytest.raises(ValueError, match="overlap"):
            convert_into(src, out)
        assert block == content


@conversions
def test_no_buffer_stays_held(g711: ModuleType, conversion: Conversion) -> None:
    """A bytearray that somebody still holds cannot change its length."""
    convert, convert_into = both_forms(g711, conversion)
    src, out = bytearray(a_source(conversion)), bytearray(320)
    references = sys.getrefcount(src), sys.getrefcount(out)
    convert(src)
    convert_into(src, out)
    with pytest.raises(BufferTooSmallError):
        convert_into(src, bytearray(1))
    with pytest.raises(TypeError):
        convert_into(src, b"")
    with pytest.raises(ValueError, match="overlap"):
        convert_into(memoryview(src)[1:5], memoryview(src)[2:])
    with pytest.raises(TypeError):
        convert_into("text", out)
    src.append(0)
    out.append(0)
    assert (sys.getrefcount(src), sys.getrefcount(out)) == references


# What others compute


@pytest.mark.filterwarnings("ignore:'audioop' is deprecated:DeprecationWarning")
def test_audioop_differs_on_508_negative_ulaw_inputs_by_one_code(g711: ModuleType) -> None:
    audioop = pytest.importorskip("audioop", reason="this Python has no audioop (3.13 removed it)")
    raw = ALL_S16.tobytes()
    assert g711.ulaw_decode(ALL_CODES) == audioop.ulaw2lin(ALL_CODES, 2)
    assert g711.alaw_decode(ALL_CODES) == audioop.alaw2lin(ALL_CODES, 2)
    assert g711.alaw_encode(raw) == audioop.lin2alaw(raw, 2)
    ours, theirs = g711.ulaw_encode(raw), audioop.lin2ulaw(raw, 2)
    differing = [(x, ours[i] - theirs[i]) for i, x in enumerate(ALL_S16) if ours[i] != theirs[i]]
    assert len(differing) == 508
    assert all(x < 0 and difference == 1 for x, difference in differing)
