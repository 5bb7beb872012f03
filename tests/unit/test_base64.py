"""trunkline._native.base64 against the standard library, on every one-character corruption."""

import base64 as stdlib
import binascii
import doctest
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline._native import base64
from trunkline.errors import PayloadError

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def reference(text: bytes) -> bytes | None:
    """Strict RFC 4648: what the standard library decodes, if it encodes to the same text again."""
    try:
        decoded = stdlib.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return decoded if stdlib.b64encode(decoded) == text else None


def first_error(text: bytes) -> int:
    """The offset that base64.h promises: of the digit with stray bits, else of the first character after
    which no text can be right; the length if the text ends too early."""
    for offset in range(len(text)):
        seen = text[: offset + 1]
        if any(reference(seen + end) is not None for end in ENDS):
            continue
        if seen.endswith(b"=") and seen[-2:-1] != b"=" and offset % 4 >= 2:
            return offset - 1  # padding may stand here: it is the digit before it that is wrong
        return offset
    return len(text)


#: Ends that make any beginning of a right text whole.
ENDS = [b"", b"=", b"==", b"A", b"AA", b"AAA", b"A==", b"A="]


def check(text: bytes) -> None:
    expected = reference(text)
    if expected is not None:
        assert base64.decode(text) == expected
        return
    with pytest.raises(PayloadError, match=rf"offset {first_error(text)}\b"):
        base64.decode(text)


@given(st.binary(max_size=600))
def test_round_trip_equals_the_standard_library(data: bytes) -> None:
    text = base64.encode(data)
    assert text == stdlib.b64encode(data)
    assert base64.decode(text) == data
    assert base64.decode(text.decode()) == data


@pytest.mark.parametrize("n_bytes", [0, 1, 2, 3, 160, 16_383, 16_384, 16_385, 1 << 20])
def test_lengths(n_bytes: int) -> None:
    data = bytes(i * 7 & 0xFF for i in range(n_bytes))
    text = stdlib.b64encode(data)
    assert base64.encode(data) == text
    assert base64.decode(text) == data


@given(st.binary(max_size=24))
def test_any_bytes(text: bytes) -> None:
    check(text)


@given(st.text(alphabet=DIGITS[:4] + "9/=* ", max_size=12))
def test_nearly_right_text(text: str) -> None:
    check(text.encode())


@pytest.mark.parametrize("n_bytes", [3, 4, 5])
def test_every_character_corrupted(n_bytes: int) -> None:
    text = stdlib.b64encode(bytes(range(0xF0, 0xF0 + n_bytes)))
    for offset in range(len(text)):
        for char in range(256):
            check(text[:offset] + bytes([char]) + text[offset + 1 :])
    for end in range(len(text)):
        check(text[:end])


def test_error_in_a_long_text_is_found() -> None:
    text = bytearray(stdlib.b64encode(bytes(30_000)))
    text[39_998] = ord("-")
    with pytest.raises(PayloadError, match="'-' at offset 39998 of 40000 is not in the alphabet"):
        base64.decode(text)


@pytest.mark.parametrize(
    ("text", "offset"), [("é", 0), ("AAé", 2), ("Aé", 1), ("\ud800AAA", 0), ("AAAA\U0001f600", 4)]
)
def test_str_must_be_ascii(text: str, offset: int) -> None:
    with pytest.raises(PayloadError, match=f"at offset {offset} of {len(text)} is not ASCII"):
        base64.decode(text)


@pytest.mark.parametrize("wrong", [None, 3, ["AAAA"], array("h", [0, 0]), memoryview(b"A.A.A.A.")[::2]])
def test_other_objects_are_refused(wrong: object) -> None:
    with pytest.raises(TypeError):
        base64.decode(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        base64.encode(wrong)  # type: ignore[arg-type]


def test_encode_takes_bytes_not_text() -> None:
    with pytest.raises(TypeError):
        base64.encode("AAAA")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_buffers_are_released(kind: type) -> None:
    text = bytearray(b"AAAA")
    view = kind(text)
    assert base64.decode(view) == bytes(3)
    assert base64.encode(view) == stdlib.b64encode(text)
    with pytest.raises(PayloadError):
        base64.decode(memoryview(text)[:3])
    del view
    text.append(0)  # a buffer that is still held could not be resized


def test_examples_in_docstrings() -> None:
    for function in (base64.decode, base64.encode):
        for example in doctest.DocTestFinder().find(function, function.__name__, module=False):
            example.globs[function.__name__] = function
            assert doctest.DocTestRunner().run(example).failed == 0
            assert example.examples
