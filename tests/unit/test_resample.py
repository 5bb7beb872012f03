"""trunkline.resample: the shape of a stream, its state, and the buffer contract."""

import sys
import threading
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import Resampler
from trunkline.errors import BufferTooSmallError, ConcurrentUseError, FormatError
from trunkline.resample import resample

pytestmark = pytest.mark.isa

QUALITIES = ["fast", "voice", "high"]
# Integer and broken ratios, up and down, with filters of either layout, exact and interpolated.
PAIRS = [
    (8000, 16000), (16000, 8000), (8000, 48000), (48000, 8000), (16000, 24000), (24000, 16000),
    (44100, 16000), (16000, 44100), (44100, 48000), (48000, 44100), (16000, 44101), (44101, 16000),
]  # fmt: skip


@pytest.mark.parametrize(
    ("in_rate", "out_rate"), [(8000, 16000), (16000, 8000), (44100, 16000), (8000, 48000)]
)
def test_full_scale_saturates_and_never_wraps(in_rate: int, out_rate: int) -> None:
    square = np.where(np.arange(2000) // 10 % 2, 32767, -32768).astype(np.int16)
    exact = np.frombuffer(
        resample(square.astype(np.float32), in_rate, out_rate, quality="voice", sample_format="f32"),
        np.float32,
    )
    assert np.abs(exact).max() > 34000  # it does overshoot
    out = np.frombuffer(resample(square, in_rate, out_rate, quality="voice"), np.int16)
    assert np.abs(np.clip(exact, -32768, 32767) - out).max() <= 0.51


def test_step_settles_without_an_offset() -> None:
    step = np.repeat(np.array([0, 20000], np.int16), 400)
    out = np.frombuffer(resample(step, 8000, 16000, quality="voice"), np.int16)
    assert not out[:700].any()
    assert (out[900:1500] == 20000).all()
    # The step lies between the two samples around the middle.
    assert out[798] == 0
    assert out[800] == 20000


def test_every_input_of_voice_comes_out_again_at_the_double_rate() -> None:
    pcm = np.random.default_rng(5).integers(-32768, 32768, 500).astype(np.int16)
    assert (np.frombuffer(resample(pcm, 8000, 16000, quality="voice"), np.int16)[::2] == pcm).all()


@pytest.mark.parametrize("quality", QUALITIES)
def test_equal_rates_change_nothing(quality: str) -> None:
    resampler = Resampler(16000, 16000, quality=quality)
    pcm = array("h", range(-500, 500))
    assert resampler.delay_samples == 0
    assert resampler.process(pcm) == pcm.tobytes()
    assert resampler.flush() == b""


@pytest.mark.parametrize(
    ("in_rate", "out_rate"), [(8000, 16000), (8000, 24000), (8000, 48000), (16000, 8000), (24000, 8000)]
)
def test_20_ms_in_gives_20_ms_out_from_the_first_push(in_rate: int, out_rate: int) -> None:
    resampler = Resampler(in_rate, out_rate)
    for _ in range(10):
        assert len(resampler.process(bytes(in_rate // 50 * 2))) == out_rate // 50 * 2


@given(
    in_rate=st.integers(4000, 192_000),
    out_rate=st.integers(4000, 192_000),
    pushes=st.lists(st.integers(0, 300), max_size=8),
)
def test_count_is_a_function_of_the_total(in_rate: int, out_rate: int, pushes: list[int]) -> None:
    resampler = Resampler(in_rate, out_rate, quality="fast")
    total_in = total_out = 0
    for n_samples in pushes:
        out = resampler.process(bytes(2 * n_samples))
        assert len(out) // 2 <= resampler.output_samples_max(n_samples)
        total_in += n_samples
        total_out += len(out) // 2
        assert total_out == -(-total_in * out_rate // in_rate)
    assert len(resampler.flush()) == 2 * resampler.delay_samples
    assert len(resampler.process(bytes(2))) == 2 * -(-out_rate // in_rate)


@pytest.mark.parametrize("n_channels", range(1, 9))
@pytest.mark.parametrize("sample_format", ["s16", "f32"])
@pytest.mark.parametrize(("in_rate", "out_rate"), [(8000, 16000), (48000, 16000), (44100, 16000)])
def test_channels_do_not_touch_each_other(
    n_channels: int, sample_format: str, in_rate: int, out_rate: int
) -> None:
    dtype = {"s16": np.int16, "f32": np.float32}[sample_format]
    pcm = np.random.default_rng(6).integers(-9000, 9000, (1500, n_channels)).astype(dtype)
    for dither in {False, sample_format == "s16"}:
        if dither and n_channels > 1:
            continue  # the channels take turns at one sequence of noise
        options = {"sample_format": sample_format, "dither": dither}
        whole = resample(pcm, in_rate, out_rate, channels=n_channels, **options)
        out = np.frombuffer(whole, dtype).reshape(-1, n_channels)
        for channel in range(n_channels):
            alone = np.ascontiguousarray(pcm[:, channel])
            assert resample(alone, in_rate, out_rate, **options) == out[:, channel].tobytes()


def test_whole_is_the_stream_without_its_delay() -> None:
    pcm = np.random.default_rng(7).integers(-9000, 9000, 3000).astype(np.int16)
    for in_rate, out_rate in PAIRS:
        resampler = Resampler(in_rate, out_rate, quality="high")
        streamed = resampler.process(pcm) + resampler.flush()
        whole = resample(pcm, in_rate, out_rate)
        assert len(whole) == 2 * round(3000 * out_rate / in_rate)
        assert whole == streamed[2 * resampler.delay_samples :][: len(whole)]


def test_length_of_a_whole_rounds_halves_to_even() -> None:
    assert [len(resample(bytes(2 * n), 16000, 8000)) // 2 for n in (1, 3, 5, 7)] == [0, 2, 2, 4]


def test_dither_makes_noise_of_a_third_of_a_step_and_of_no_offset() -> None:
    pcm = np.full(200_000, 0, np.int16)
    out = np.frombuffer(resample(pcm, 8000, 16000, dither=True), np.int16).astype(float)
    assert resample(pcm, 8000, 16000, dither=True) == out.astype(np.int16).tobytes()
    # Triangular noise of variance 1/6, then rounding.
    assert abs(out.var() - (1 / 6 + 1 / 12)) < 0.01
    assert abs(out.mean()) < 0.005
    assert abs(np.corrcoef(out[1:], out[:-1])[0, 1]) < 0.01
    assert not any(resample(pcm, 8000, 16000))


# State


def test_reset_and_flush_start_anew_and_clone_goes_on() -> None:
    pcm = np.random.default_rng(8).integers(-9000, 9000, (3, 777)).astype(np.int16)
    for in_rate, out_rate in PAIRS:
        resampler = Resampler(in_rate, out_rate)
        fresh = resampler.process(pcm[0])
        twin = resampler.clone()
        second = resampler.process(pcm[1])
        assert twin.process(pcm[1]) == second
        last = resampler.flush()
        assert resampler.process(pcm[0]) == fresh
        resampler.reset()
        assert resampler.process(pcm[0]) == fresh
        assert twin.flush() == last  # untouched by what became of the other


def test_properties_are_those_given() -> None:
    resampler = Resampler(8000, 48000, channels=2, quality="high", sample_format="f32")
    assert (resampler.in_rate, resampler.out_rate, resampler.channels) == (8000, 48000, 2)
    assert (resampler.quality, resampler.sample_format) == ("high", "f32")
    assert repr(resampler) == repr(resampler.clone())
    with pytest.raises(AttributeError):
        resampler.in_rate = 16000  # type: ignore[misc]


# Refusals


@pytest.mark.parametrize(
    ("in_rate", "out_rate", "options", "words"),
    [
        (0, 8000, {}, "sample rate: takes 4000 to 192000 Hz, got 0 Hz"),
        (8000, 3999, {}, "got 3999 Hz"),
        (192_001, 8000, {}, "4000 to 192000 Hz, got 192001 Hz"),
        (-8000, 8000, {}, "-8000"),
        (10**30, 8000, {}, "Hz"),
        (8000, 16000, {"channels": 0}, "channels.* 1 to 8, got 0"),
        (8000, 16000, {"channels": 9}, "got 9"),
        (8000, 16000, {"quality": "best"}, "'best': takes fast, voice, high"),
        (8000, 16000, {"quality": ["voice"]}, "quality .'voice'.: takes fast, voice, high"),
        (8000, 16000, {"sample_format": "s24"}, "'s24': takes s16, f32"),
    ],
)
def test_what_there_is_not_is_refused(
    in_rate: int, out_rate: int, options: dict[str, object], words: str
) -> None:
    for function in (Resampler, lambda *a, **k: resample(b"", *a, **k)):
        with pytest.raises(FormatError, match=words):
            function(in_rate, out_rate, **options)


def test_dither_of_floats_is_refused() -> None:
    with pytest.raises(FormatError, match="f32"):
        resample(b"", 8000, 16000, sample_format="f32", dither=True)


def test_output_samples_max_of_what_cannot_be_is_refused() -> None:
    for n_samples in (-1, 2**48 + 1, 10**30):
        with pytest.raises(ValueError, match="n_samples"):
            Resampler(8000, 16000).output_samples_max(n_samples)
    assert Resampler(8000, 16000).output_samples_max(2**48) == 2**49


@pytest.mark.parametrize(
    ("options", "bad", "error", "words"),
    [
        ({}, b"odd", ValueError, "3 bytes"),
        ({"channels": 2}, bytes(6), ValueError, "6 bytes .* 2 channels, 4 bytes"),
        ({"sample_format": "f32"}, bytes(6), ValueError, "6 bytes"),
        ({}, array("f", [0.5]), TypeError, "'f'"),
        ({}, array("H", [1]), TypeError, "'H'"),
        ({"sample_format": "f32"}, array("h", [1, 2]), TypeError, "'h'"),
        ({"sample_format": "f32"}, array("d", [1]), TypeError, "'d'"),
        ({}, "text", TypeError, "str"),
        ({}, None, TypeError, "NoneType"),
        ({}, memoryview(bytes(8))[::2], TypeError, "memoryview"),
    ],
)
def test_refused_input_leaves_the_state_alone(
    options: dict[str, object], bad: object, error: type[Exception], words: str
) -> None:
    resampler = Resampler(8000, 16000, **options)  # type: ignore[arg-type]
    resampler.process(bytes(range(160)))
    wanted = resampler.clone().process(bytes(160))
    out = bytearray(b"\xa5" * 5000)
    for call in (lambda: resampler.process(bad), lambda: resampler.process_into(bad, out)):  # type: ignore[arg-type]
        with pytest.raises(error, match=words):
            call()
    with pytest.raises(error, match=words):
        resample(bad, 8000, 16000, **options)  # type: ignore[arg-type]
    assert out == b"\xa5" * 5000
    assert resampler.process(bytes(160)) == wanted


def test_process_into_writes_what_process_returns_and_nothing_more() -> None:
    pcm = np.random.default_rng(9).integers(-9000, 9000, 480).astype(np.int16)
    for sample_format, src in (("s16", pcm), ("f32", pcm.astype(np.float32))):
        resampler = Resampler(24000, 16000, channels=2, sample_format=sample_format)
        other = resampler.clone()
        wanted = other.process(src)
        for out in (bytearray(b"\xa5" * 2000), np.full(500, 77, src.dtype)):
            before = bytes(out)
            again = resampler.clone()
            assert again.process_into(src, out) == 160
            assert bytes(out) == wanted + before[len(wanted) :]
            assert again.flush_into(out) == again.delay_samples
            assert bytes(out).startswith(other.clone().flush())


def test_refused_output_leaves_everything_alone() -> None:
    resampler = Resampler(8000, 16000)
    src = bytes(range(200))
    resampler.process(src)
    wanted = resampler.clone().process(src)
    short, block = bytearray(b"\xa5" * 399), bytearray(b"\xa5" * 1000)
    with pytest.raises(BufferTooSmallError, match="needs 400 bytes, has 399"):
        resampler.process_into(src, short)
    with pytest.raises(BufferTooSmallError, match="needs 76 bytes, has 75"):
        resampler.flush_into(short[:75])
    for bad in (bytes(500), array("f", bytes(4000)), array("H", bytes(4000)), "text", None):
        for call in (
            lambda bad=bad: resampler.process_into(src, bad),
            lambda bad=bad: resampler.flush_into(bad),
        ):
            with pytest.raises(TypeError, match="out"):
                call()
    with pytest.raises(ValueError, match="overlaps the input of 200 bytes"):
        resampler.process_into(memoryview(block)[100:300], memoryview(block)[200:])
    assert short == b"\xa5" * 399
    assert block == b"\xa5" * 1000
    assert resampler.process(src) == wanted


def test_no_buffer_stays_held() -> None:
    resampler = Resampler(8000, 16000)
    src, out = bytearray(320), bytearray(640)
    references = sys.getrefcount(src), sys.getrefcount(out)
    resampler.process(src)
    resampler.process_into(src, out)
    resampler.flush_into(out)
    resample(src, 8000, 16000)
    with pytest.raises(BufferTooSmallError):
        resampler.process_into(src, memoryview(out)[:10])
    with pytest.raises(ValueError, match="319 bytes"):
        resampler.process_into(memoryview(src)[:319], out)
    with pytest.raises(TypeError):
        resampler.process_into("text", out)  # type: ignore[arg-type]
    src.append(0)
    out.append(0)
    assert (sys.getrefcount(src), sys.getrefcount(out)) == references


def test_input_may_lie_anywhere() -> None:
    pcm = np.random.default_rng(10).integers(-9000, 9000, 300).astype(np.int16)
    for sample_format, src in (("s16", pcm), ("f32", pcm.astype(np.float32))):
        resampler = Resampler(8000, 16000, sample_format=sample_format)
        wanted = resampler.clone().process(src)
        odd = np.frombuffer(b"x" + src.tobytes(), src.dtype, offset=1)
        assert not odd.flags.aligned
        for same in (src.tobytes(), bytearray(src), odd, src.reshape(2, 150), memoryview(src)):
            assert resampler.clone().process(same) == wanted
        out = np.frombuffer(
            bytearray(len(wanted) + 1), src.dtype, offset=1, count=len(wanted) // src.itemsize
        )
        assert resampler.process_into(src, out) == 600
        assert out.tobytes() == wanted


def test_second_thread_is_refused() -> None:
    resampler = Resampler(192_000, 191_999, quality="high", channels=8)
    started, refusals = threading.Event(), []

    def run() -> None:
        started.set()
        resampler.process(bytes(2 * 8 * 100_000))

    worker = threading.Thread(target=run)
    worker.start()
    started.wait()
    while worker.is_alive():
        for call in (resampler.reset, resampler.flush, resampler.clone, lambda: resampler.process(b"")):
            try:
                call()
            except ConcurrentUseError as error:
                refusals.append(error)
    worker.join()
    assert refusals
    assert len(resampler.process(bytes(16))) % 16 == 0  # it serves again


def test_numbers_must_be_whole() -> None:
    for make in (
        lambda: Resampler(8000.0, 16000),  # type: ignore[arg-type]
        lambda: Resampler(8000, 16000.0),  # type: ignore[arg-type]
        lambda: Resampler(8000, 16000, channels=1.5),  # type: ignore[arg-type]
        lambda: Resampler(8000, 16000).output_samples_max(2.5),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="float"):
            make()
