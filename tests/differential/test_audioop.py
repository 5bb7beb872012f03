"""trunkline.audioop against the standard library's: the same bytes, numbers and error types."""

import random
import struct
import sys
import warnings
from array import array
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise, product
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import audioop
from trunkline.errors import TrunklineError

pytestmark = pytest.mark.isa

WIDTHS = [1, 2, 3, 4]
FACTORS = [0.0, -0.0, 0.5, -1.0, 1 / 3, 1.9999, -255.5, 65535, -65536, 1e-320, -1e-20, 1e300, -1e300, 2**31]
FACTORS += [float("inf"), float("-inf"), float("nan")]
ALL_S16 = array("h", range(-32768, 32768)).tobytes()

# What follows the fragment in a call, per function; WIDTH stands for the width.
WIDTH = object()
ARGUMENTS: dict[str, list[tuple[Any, ...]]] = {
    **{name: [(WIDTH,)] for name in ("ulaw2lin", "lin2ulaw", "alaw2lin", "lin2alaw", "byteswap", "reverse")},
    **{name: [(WIDTH,)] for name in ("rms", "avg", "max", "minmax")},
    "lin2lin": [(WIDTH, width) for width in WIDTHS],
    "bias": [(WIDTH, bias) for bias in (0, 1, -1, 100, 128, -32769, 2**24 - 1, 2**31 - 1, -(2**31))],
    "mul": [(WIDTH, factor) for factor in FACTORS],
    "tomono": [(WIDTH, *factors) for factors in product(FACTORS[::2], FACTORS[1::3])],
    "tostereo": [(WIDTH, *factors) for factors in product(FACTORS[::2], FACTORS[1::3])],
    "ratecv": [(WIDTH, n_channels, 8000, 11025, None, 3, 1) for n_channels in (1, 2, 3)],
}
functions = pytest.mark.parametrize("name", ARGUMENTS)
widths = pytest.mark.parametrize("width", WIDTHS)

Outcome = tuple[str, object]
Compare = Callable[..., Outcome]


@pytest.fixture(scope="module")
def stdlib() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module: ModuleType = pytest.importorskip(
            "audioop", reason="this Python has no audioop (3.13 removed it)"
        )
        return module


@pytest.fixture(scope="module")
def same(stdlib: ModuleType) -> Compare:
    """Call a function of both modules; fail unless they do the same, and give what they did."""

    def compare(name: str, *args: object) -> Outcome:
        ours, theirs = outcome(audioop, name, args), outcome(stdlib, name, args)
        assert ours == theirs, (name, args)
        return ours

    return compare


def outcome(module: ModuleType, name: str, args: tuple[object, ...]) -> Outcome:
    try:
        return "returns", getattr(module, name)(*args)
    except Exception as error:
        return "raises", type(error).__name__


def calls(name: str, width: int) -> Iterator[tuple[Any, ...]]:
    for arguments in ARGUMENTS[name]:
        yield tuple(width if argument is WIDTH else argument for argument in arguments)


def noise(n_bytes: int) -> bytes:
    return random.Random(n_bytes).randbytes(n_bytes)


def edges(width: int) -> list[int]:
    """Samples at which a result saturates, wraps or changes its sign."""
    top = 1 << (8 * width - 1)
    return [-top, 1 - top, -top // 2, -3, -2, -1, 0, 1, 2, 3, top // 2, top - 2, top - 1]


def packed(width: int, samples: list[int]) -> bytes:
    return b"".join(sample.to_bytes(width, sys.byteorder, signed=True) for sample in samples)


# The same results


@functions
@widths
def test_every_length(same: Compare, name: str, width: int) -> None:
    """Lengths that are no whole number of samples among them."""
    for n_bytes in range(51):
        for arguments in calls(name, width):
            did, _ = same(name, noise(n_bytes), *arguments)
            if n_bytes % (12 * width) == 0:  # whole for every number of channels above
                assert did == "returns"


@functions
@widths
def test_edges_and_long_fragments(same: Compare, name: str, width: int) -> None:
    for arguments in calls(name, width):
        same(name, packed(width, [s for pair in product(edges(width), repeat=2) for s in pair]), *arguments)
        same(name, noise(12 * 4000), *arguments)  # enough to run without the GIL


@given(data=st.data(), fragment=st.binary(max_size=200), width=st.sampled_from(WIDTHS))
def test_anything(same: Compare, data: st.DataObject, fragment: bytes, width: int) -> None:
    floats = st.floats() | st.floats(-4, 4)
    s32 = st.integers(-(2**31), 2**31 - 1)
    even = fragment[: len(fragment) // (2 * width) * 2 * width]
    same("mul", even, width, data.draw(floats))
    same("tomono", even, width, data.draw(floats), data.draw(floats))
    same("tostereo", even, width, data.draw(floats), data.draw(floats))
    same("bias", even, width, data.draw(s32))
    same("add", even, data.draw(st.binary(min_size=len(even), max_size=len(even))), width)
    for name in ("rms", "avg", "max", "minmax", "lin2ulaw", "lin2alaw"):
        same(name, even, width)


@widths
def test_laws_on_every_sample(same: Compare, width: int) -> None:
    """The bits below the upper 16 must not count."""
    fragment = bytes(range(256))
    if width > 1:
        upper = np.frombuffer(ALL_S16, np.uint8).reshape(65536, 2)
        lower = np.frombuffer(noise(65536 * (width - 2)), np.uint8).reshape(65536, width - 2)
        fragment = np.hstack((lower, upper) if sys.byteorder == "little" else (upper, lower)).tobytes()
    for name in ("lin2ulaw", "lin2alaw"):
        assert same(name, fragment, width)[0] == "returns"


@pytest.mark.parametrize("factor", FACTORS)
def test_mul_on_every_s16(same: Compare, factor: float) -> None:
    assert same("mul", ALL_S16, 2, factor)[0] == "returns"


@widths
def test_add_on_every_pair_of_edges(same: Compare, width: int) -> None:
    first, second = zip(*product(edges(width), repeat=2), strict=True)
    did, total = same("add", packed(width, list(first)), packed(width, list(second)), width)
    top = 1 << (8 * width - 1)
    sums = [min(max(a + b, -top), top - 1) for a, b in zip(first, second, strict=True)]
    assert (did, total) == ("returns", packed(width, sums))


@pytest.mark.parametrize(
    ("name", "width", "sample", "n_samples", "given"),
    [("avg", 4, -(2**31) + 1, 5 << 20, -(2**31)), ("rms", 2, 32767, 9 << 20, 32766)],
)
def test_sums_that_doubles_round(
    same: Compare, name: str, width: int, sample: int, n_samples: int, given: int
) -> None:
    """Past 2**53 each addition of audioop's is rounded, and the mean of equal samples is another number."""
    assert same(name, packed(width, [sample]) * n_samples, width) == ("returns", given)


# ratecv


def cut(fragment: bytes, frame_bytes: int, cuts: list[int]) -> list[bytes]:
    n_frames = len(fragment) // frame_bytes
    places = sorted({0, n_frames, *(place % (n_frames + 1) for place in cuts)})
    return [fragment[a * frame_bytes : b * frame_bytes] for a, b in pairwise(places)]


rates = st.integers(1, 300) | st.sampled_from([8000, 11025, 16000, 24000, 44100, 48000, 2**31 - 1])
weights = st.tuples(
    st.sampled_from([1, 2, 3, 1000, 2**31 - 1]), st.sampled_from([0, 1, 2, 3, 7, 500, 2**31 - 1])
)


@given(
    data=st.data(),
    width=st.sampled_from(WIDTHS),
    n_channels=st.integers(1, 8),
    in_rate=rates,
    out_rate=rates,
    weight=weights,
    cuts=st.lists(st.integers(0, 1000), max_size=5),
)
def test_ratecv_carries_its_state_over_any_cut(
    same: Compare,
    data: st.DataObject,
    width: int,
    n_channels: int,
    in_rate: int,
    out_rate: int,
    weight: tuple[int, int],
    cuts: list[int],
) -> None:
    lowest = Fraction(out_rate, in_rate)
    if lowest.numerator > 100_000:  # audioop takes memory for that many frames at once
        in_rate = out_rate
    frame_bytes = width * n_channels
    fragment = data.draw(st.binary(max_size=40 * frame_bytes))
    fragment = fragment[: len(fragment) // frame_bytes * frame_bytes]
    state = None
    for part in cut(fragment, frame_bytes, cuts):
        did, result = same("ratecv", part, width, n_channels, in_rate, out_rate, state, *weight)
        assert did == "returns"
        _, state = result  # type: ignore[misc]


@given(
    phase=st.integers(-(2**31), -1) | st.integers(-300, -1),
    pair=st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 2),
    in_rate=st.integers(1, 300),
    out_rate=st.integers(1, 300),
    pcm=st.lists(st.integers(-32768, 32767), max_size=40),
)
def test_ratecv_goes_on_from_the_state_of_other_rates(
    same: Compare, phase: int, pair: tuple[int, int], in_rate: int, out_rate: int, pcm: list[int]
) -> None:
    fragment = array("h", pcm).tobytes()
    assert same("ratecv", fragment, 2, 1, in_rate, out_rate, (phase, (pair,)))[0] == "returns"


@pytest.mark.parametrize(("in_rate", "out_rate"), [(8000, 16000), (24000, 8000), (44100, 16000)])
def test_ratecv_of_a_stream(same: Compare, in_rate: int, out_rate: int) -> None:
    n_bytes, states = in_rate // 50 * 2, [None]
    for packet in range(200):
        did, result = same("ratecv", noise(n_bytes + packet)[:n_bytes], 2, 1, in_rate, out_rate, states[-1])
        assert did == "returns"
        states.append(result[1])  # type: ignore[index]
    assert len(set(states)) > 100


WRONG_STATES: list[object] = [5, "state", [-1, ((0, 0),)], (), (-1,), (-1, []), (-1, ((0, 0),), 0)]
WRONG_STATES += [(-1, ()), (-1, ((0, 0), (0, 0))), (-1, ((0,),)), (-1, ((0, 0, 0),)), (-1, (5,))]
WRONG_STATES += [(-1, ([0, 0],)), (-1, ((0, "x"),)), (-1, ((0, 1.0),)), ("x", ((0, 0),)), (-1.0, ((0, 0),))]
WRONG_STATES += [(-1, ((0, 2**31),)), (-1, ((-(2**31) - 1, 0),)), (-(2**31) - 1, ((0, 0),))]


@pytest.mark.parametrize("state", WRONG_STATES, ids=repr)
def test_ratecv_refuses_a_wrong_state(same: Compare, state: object) -> None:
    assert same("ratecv", bytes(320), 2, 1, 8000, 16000, state)[0] == "raises"


@pytest.mark.parametrize("position", [0, 1, 2**31 - 1])
def test_ratecv_refuses_a_position_with_which_audioop_writes_out_of_bounds(position: int) -> None:
    with pytest.raises(audioop.error, match=f"below 0, got {position}"):
        audioop.ratecv(bytes(320), 2, 1, 8000, 16000, (position, ((0, 0),)))


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 8000, 16000, None),
        (-1, 8000, 16000, None),
        (2**30, 8000, 16000, None),
        (2**31, 8000, 16000, None),
        (1.0, 8000, 16000, None),
        (7, 8000, 16000, None),
        (1, 0, 16000, None),
        (1, 8000, -1, None),
        (1, 8000, 2**31, None),
        (1, 8000, 16000.0, None),
        (1, 8000, 16000, None, 0),
        (1, 8000, 16000, None, 1, -1),
        (1, 8000, 16000, None, 2**31),
        (1, 8000, 16000),
        (1, 8000, 16000, None, 1, 0, 0),
    ],
)
def test_ratecv_refuses_wrong_numbers(same: Compare, arguments: tuple[Any, ...]) -> None:
    assert same("ratecv", bytes(320), 2, *arguments)[0] == "raises"


# The same arguments


@functions
@pytest.mark.parametrize("width", [0, 5, -1, 2**31, 2**70, 2.0, "2", None, True, np.int8(2)], ids=repr)
def test_any_width(same: Compare, name: str, width: Any) -> None:
    for arguments in calls(name, width):
        same(name, bytes(48), *arguments)


@functions
@pytest.mark.parametrize(
    "fragment",
    [
        array("h", range(48)),
        array("f", [0.5] * 24),
        bytearray(noise(96)),
        memoryview(noise(97))[1:],
        np.arange(48, dtype=np.int16).reshape(2, 24),
        np.arange(48, dtype=np.float64),
        memoryview(noise(192))[::2],
        np.arange(96, dtype=np.int16)[::2],
        np.zeros((4, 12), dtype=np.int16, order="F"),
        "text" * 24,
        None,
        96,
        [0] * 96,
    ],
    ids=lambda fragment: type(fragment).__name__,
)
def test_any_fragment(same: Compare, name: str, fragment: object) -> None:
    for width in WIDTHS:
        same(name, fragment, *next(calls(name, width)))


@pytest.mark.parametrize(
    "second",
    [b"", bytes(3), bytes(6), "text", 4, memoryview(bytes(8))[::2]],
    ids=["empty", "3", "6", "text", "int", "strided"],
)
def test_add_refuses_another_length_or_kind(same: Compare, second: object) -> None:
    assert same("add", bytes(4), second, 2)[0] == "raises"
    assert same("add", second, bytes(4), 2)[0] == "raises"


@pytest.mark.parametrize("number", ["1", None, 10**400, 1j, [1]], ids=lambda number: type(number).__name__)
def test_other_numbers_are_refused(same: Compare, number: object) -> None:
    assert same("mul", bytes(4), 2, number)[0] == "raises"
    assert same("bias", bytes(4), 2, number)[0] == "raises"
    assert same("tomono", bytes(4), 2, 1, number)[0] == "raises"
    assert same("tostereo", bytes(4), 2, number, 1)[0] == "raises"


def test_integers_are_taken_as_factors_and_floats_not_as_biases(same: Compare) -> None:
    assert same("mul", packed(2, [1, -5]), 2, 3) == ("returns", packed(2, [3, -15]))
    assert same("bias", bytes(4), 2, 1.0)[0] == "raises"


# What is ours


def test_error_is_one_of_ours_and_says_the_numbers() -> None:
    assert issubclass(audioop.error, TrunklineError)
    assert f"{audioop.error.__module__}.{audioop.error.__qualname__}" == "trunkline.audioop.error"
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: audioop.rms(bytes(7), 2), "7 bytes is not a whole number of 2-byte"),
        (lambda: audioop.rms(bytes(7), 5), "takes 1, 2, 3 or 4 bytes, got 5"),
        (lambda: audioop.add(bytes(4), bytes(2), 2), "got 4 and 2 bytes"),
        (lambda: audioop.ratecv(bytes(6), 2, 2, 1, 1, None), "6 bytes is not a whole number of 4-byte"),
    ]
    for call, words in refused:
        with pytest.raises(audioop.error, match=words):
            call()


def test_no_buffer_stays_held() -> None:
    """A bytearray that somebody still holds cannot change its length."""
    fragment, second = bytearray(32768), bytearray(32768)
    references = sys.getrefcount(fragment), sys.getrefcount(second)
    for name in ARGUMENTS:
        for width in (2, 5):
            outcome(audioop, name, (fragment, *next(calls(name, width))))
    for state in WRONG_STATES:
        outcome(audioop, "ratecv", (fragment, 2, 1, 8000, 16000, state))
    audioop.add(fragment, second, 2)
    for other in (second[:-2], "text", memoryview(second)[::2]):
        outcome(audioop, "add", (fragment, other, 2))
    del other
    fragment.append(0)
    second.append(0)
    outcome(audioop, "rms", (fragment, 2))
    fragment.append(0)
    assert (sys.getrefcount(fragment), sys.getrefcount(second)) == references


def test_samples_of_24_bits_are_packed_and_native_endian() -> None:
    wide = struct.pack("=i", 0x01020300)
    assert audioop.lin2lin(wide, 4, 3) == (wide[1:] if sys.byteorder == "little" else wide[:3])


def test_every_listed_function_is_compared() -> None:
    assert {*ARGUMENTS, "add", "error"} == set(audioop.__all__)
