"""What convert makes of samples, block by block, is what the whole in one array becomes."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from tests.convert.recordings import BLOCK, noise, read_s16, through, wav_bytes
from tests.reference import convert as reference
from trunkline import wav
from trunkline.convert import Plan, convert, convert_bytes
from trunkline.convert.plan import parse_raw
from trunkline.convert.verify import verify
from trunkline.errors import FormatError
from trunkline.resample import resample

RATES = (8000, 11_025, 16_000, 24_000, 44_100, 48_000)
QUALITIES = ("fast", "voice", "high")
#: Nothing, one sample, and the edges of the pipeline's blocks.
LENGTHS = st.one_of(
    st.sampled_from([0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 1]), st.integers(0, 3000)
)


def assert_as_reference(samples: NDArray[np.int16], rate: int, plan: Plan) -> None:
    """The whole in one array gives the same, to the last bit where 16 bits are all there is."""
    expected, expected_rate = reference.converted(samples / 32768, rate, plan, is_s16=True)
    made, made_rate = through(samples, rate, plan)
    assert (made_rate, made.shape) == (expected_rate, expected.shape)
    if plan.encoding == "float32":
        np.testing.assert_allclose(made, expected, atol=2e-6, rtol=2e-6)
        return
    to_s16 = reference.dithered_s16 if plan.dither else reference.as_s16
    steps = np.abs(np.rint(made * 32768) - to_s16(expected))
    is_exact = plan.normalize_db is None and not (plan.dither and plan.sample_rate)
    assert steps.max(initial=0) <= (0 if is_exact else 1)


@given(
    n_items=LENGTHS,
    channels=st.integers(1, 8),
    rates=st.tuples(st.sampled_from(RATES), st.sampled_from(RATES)),
    quality=st.sampled_from(QUALITIES),
    encoding=st.sampled_from(["pcm16", "float32"]),
)
@settings(max_examples=60)
def test_resampled_in_blocks_as_at_once(
    n_items: int, channels: int, rates: tuple[int, int], quality: str, encoding: str
) -> None:
    samples = noise(n_items // channels, channels)
    assert_as_reference(samples, rates[0], Plan(sample_rate=rates[1], quality=quality, encoding=encoding))


@pytest.mark.parametrize("rates", [(192_000, 4000), (4000, 192_000), (44_100, 8000), (47_999, 48_000)])
@pytest.mark.parametrize("n_samples", [0, 1, 23, 24, 25, 47, 48, BLOCK + 1])
def test_lengths_of_extreme_rates(rates: tuple[int, int], n_samples: int) -> None:
    made, _ = through(noise(n_samples), rates[0], Plan(sample_rate=rates[1]))
    assert len(made) == len(resample(noise(n_samples).tobytes(), *rates, quality="voice")) // 2


PLANS = st.builds(
    dict,
    remix=st.sampled_from([{}, {"mix": True}, {"pick": 1}, {"pick": 2}]),
    trim=st.sampled_from(
        [
            {},
            {"begin_s": 0.01},
            {"end_s": 0.2},
            {"begin_s": 0.1, "end_s": 0.10001},
            {"begin_s": 4.0961, "end_s": 4.0965},
            {"begin_s": 1e9 - 1, "end_s": 1e9},
            {"silence_db": -20.0},
            {"silence_db": 0.0},
        ]
    ),
    level=st.sampled_from([{}, {"normalize_db": -1.0}, {"normalize_db": 0.0}, {"dither": True}]),
    sample_rate=st.sampled_from([None, None, 16_000]),
    encoding=st.sampled_from(["pcm16", "float32"]),
)


@given(
    plan=PLANS, n_samples=LENGTHS, channels=st.integers(2, 3), amplitude=st.sampled_from([0, 1, 3000, 32767])
)
@settings(max_examples=80)
def test_every_step_as_its_reference(
    plan: dict[str, Any], n_samples: int, channels: int, amplitude: int
) -> None:
    fields = {**plan.pop("remix"), **plan.pop("trim"), **plan.pop("level"), **plan}
    if fields["encoding"] == "float32":
        fields.pop("dither", None)  # which is of 16 bits
    samples = noise(n_samples, channels).astype("i4") * amplitude // 32768
    if 0 < n_samples <= round(fields.get("begin_s", 0) * 8000):
        with pytest.raises(FormatError, match=r"^it ends at \S+ s, before \S+ s$"):
            convert_bytes(wav_bytes(samples.astype("i2")), Plan(**fields))
        return
    ramp = np.clip(np.minimum(np.arange(n_samples), np.arange(n_samples)[::-1]) / 500, 0, 1)
    assert_as_reference((samples * ramp[:, None]).astype("i2"), 8000, Plan(**fields))


@given(
    lengths=st.tuples(LENGTHS, LENGTHS),
    offset_s=st.one_of(st.sampled_from([0.0, 0.25, -0.25, 2.048, -2.048, 5.0]), st.floats(-1, 1)),
    sample_rate=st.sampled_from([None, 16_000]),
)
@settings(max_examples=40)
def test_two_tracks_beside_each_other(
    lengths: tuple[int, int], offset_s: float, sample_rate: int | None
) -> None:
    left, right = noise(lengths[0], seed=1), noise(lengths[1], seed=2)
    plan = Plan(sample_rate=sample_rate, format="wav")
    sides = [reference.converted(side / 32768, 8000, plan, is_s16=True)[0] for side in (left, right)]
    rate = sample_rate or 8000
    expected = reference.as_s16(reference.beside(*sides, rate, offset_s))
    with TemporaryDirectory() as directory:
        sources = [io.BytesIO(wav_bytes(side)) for side in (left, right)]
        convert(sources[0], f"{directory}/both.wav", plan, right=sources[1], offset_s=offset_s)
        made, made_rate = read_s16(f"{directory}/both.wav")
    assert made_rate == rate
    np.testing.assert_array_equal(made, expected)


def test_two_tracks_of_two_rates_and_encodings(tmp_path: Path) -> None:
    left, right = noise(4000), noise(9000, seed=2)
    (tmp_path / "l.wav").write_bytes(wav_bytes(left, 8000, "float32"))
    (tmp_path / "r.wav").write_bytes(wav_bytes(right, 16_000))
    made = convert(tmp_path / "l.wav", tmp_path / "both.wav", right=tmp_path / "r.wav", offset_s=0.5)
    assert (made.channels, made.sample_rate, made.duration_s) == (2, 8000, 0.5 + 9000 / 16_000)
    samples, _ = read_s16(tmp_path / "both.wav")
    expected = resample(right.tobytes(), 16_000, 8000, quality="voice")
    np.testing.assert_array_equal(samples[:4000, 0], left[:, 0])
    np.testing.assert_array_equal(samples[4000:, 1], np.frombuffer(expected, "i2"))
    assert not samples[4000:, 0].any()
    assert not samples[:4000, 1].any()


@pytest.mark.parametrize("encoding", ["ulaw", "alaw"])
def test_two_tracks_of_g711_into_one(tmp_path: Path, encoding: str) -> None:
    """Whose codes alone would be passed on as they are."""
    sides = [noise(3000, seed=seed) for seed in (1, 2)]
    names = [tmp_path / "l.wav", tmp_path / "r.wav"]
    for name, side in zip(names, sides, strict=True):
        name.write_bytes(wav_bytes(side, 8000, encoding))
    convert(names[0], tmp_path / "both.wav", Plan(encoding=encoding), right=names[1])
    samples, _ = read_s16(tmp_path / "both.wav")
    for channel, name in enumerate(names):
        np.testing.assert_array_equal(samples[:, channel], read_s16(name)[0][:, 0])


def test_nan_and_infinity_stay_out_of_16_bits() -> None:
    samples = np.array([0.5, np.nan, np.inf, -np.inf, 2.0, 1e-40], "f4")
    plan = {"raw": {"encoding": "float32", "sample_rate": 8000, "channels": 1}, "format": "raw"}
    for level in ({}, {"dither": True}, {"normalize_db": 0.0}):
        made = convert_bytes(samples.tobytes(), msgspec.convert({**plan, **level}, Plan))
        s16 = np.frombuffer(made, "i2")
        assert abs(int(s16[1])) <= 1
        assert (s16[2], s16[3]) == (32767, -32768)


@pytest.mark.parametrize("encoding", ["float32", "float64"])
def test_what_is_no_finite_number_is_told(tmp_path: Path, encoding: str) -> None:
    samples = np.zeros((BLOCK + 50, 2), encoding)
    samples[[7, BLOCK + 9, 20], [0, 1, 1]] = np.nan, -np.inf, np.inf
    source, target = str(tmp_path / "a.raw"), str(tmp_path / "b.raw")
    (tmp_path / "a.raw").write_bytes(samples.tobytes())
    plan = Plan(raw=parse_raw(f"{encoding}:8000:2"), encoding="float32")
    told = "3 samples are no finite numbers: NaN becomes 0, infinity full scale (float32 keeps it)"
    for wanted, full_scale in (({}, np.inf), ({"mix": True}, 1), ({"sample_rate": 16_000}, 1)):
        assert convert(source, target, replace(plan, **wanted)).damage == (told,)
        made = np.fromfile(target, "f4")
        assert not np.isnan(made).any()
        if "sample_rate" not in wanted:
            assert np.unique(made).tolist() == [-full_scale, 0, full_scale]
    silent = convert(source, target, replace(plan, begin_s=100 / 8000, end_s=0.5, silence_db=-50.0))
    assert silent.damage == ()  # what is cut away does not matter
    with pytest.raises(FormatError, match="3 samples are no finite numbers"):
        convert(source, target, plan, strict=True)
    if encoding == "float32":
        assert verify(write_float(tmp_path / "a.wav", samples)).problems == (told,)


def write_float(path: Path, samples: NDArray[np.float32]) -> Path:
    wav.write(path, samples.ravel(), 8000, channels=2, encoding="float32")
    return path


def test_infinity_is_no_warning() -> None:
    """Which would be an error here: of sums that are none, of what a gain makes too large."""
    huge = np.array([np.inf, -np.inf, 3e38, 3e38, np.nan, 1.0, 1e-30, 0.0], "f4")
    raw = {"encoding": "float32", "sample_rate": 8000, "channels": 2}
    for plan in ({"mix": True}, {"normalize_db": 0.0}, {"dither": True}, {"sample_rate": 16_000}):
        for encoding in ("float32", "pcm16"):
            made = {"raw": raw, "format": "raw", "encoding": encoding, **plan}
            assert convert_bytes(huge.tobytes(), msgspec.convert(made, Plan))
    tiny = np.array([1e-30, 1e-30], "f4").tobytes()
    made = {"raw": raw, "format": "raw", "normalize_db": 0.0, "encoding": "float32"}
    np.testing.assert_allclose(np.frombuffer(convert_bytes(tiny, msgspec.convert(made, Plan)), "f4"), 1)


def test_dither_is_triangular_and_repeats() -> None:
    made, _ = through(np.full((200_000, 1), 100, np.int16), 8000, Plan(dither=True))
    steps, counts = np.unique(np.rint(made * 32768) - 100, return_counts=True)
    assert steps.tolist() == [-1, 0, 1]
    np.testing.assert_allclose(counts / 200_000, [1 / 8, 3 / 4, 1 / 8], atol=0.005)
    again, _ = through(np.full((200_000, 1), 100, np.int16), 8000, Plan(dither=True))
    np.testing.assert_array_equal(made, again)


def test_normalize_hits_the_level() -> None:
    for db in (-100.0, -20.0, -1.0, 0.0):
        made, _ = through(noise(50_000, 2) // 7, 8000, Plan(normalize_db=db, encoding="float32"))
        assert 20 * np.log10(np.abs(made).max()) == pytest.approx(db, abs=1e-5)


def test_what_is_as_loud_as_the_limit_is_not_silent() -> None:
    samples = np.array([[0], [-32767], [-32768], [5], [-32768], [32767]], np.int16)
    made, _ = through(samples, 8000, Plan(silence_db=0.0))
    assert (made * 32768).ravel().tolist() == [-32768, 5, -32768]


def test_channels_that_cannot_be_made() -> None:
    stereo = wav_bytes(noise(10, 2))
    with pytest.raises(FormatError, match=r"2 channels to 1: --mix"):
        convert_bytes(stereo, Plan(channels=1))
    with pytest.raises(FormatError, match=r"2 channels to 3"):
        convert_bytes(stereo, Plan(channels=3))
    with pytest.raises(FormatError, match="channel 3: it has 2"):
        convert_bytes(stereo, Plan(pick=3))
    with pytest.raises(FormatError, match="split"):
        convert_bytes(stereo, Plan(split=True))
    wide = wav_bytes(noise(10, 9))
    assert convert_bytes(wide, Plan()) == wide
    with pytest.raises(FormatError, match="9 channels: resamples up to 8"):
        convert_bytes(wide, Plan(sample_rate=16_000))


def test_split_gives_each_channel_a_file(tmp_path: Path) -> None:
    samples = noise(1000, 10)
    (tmp_path / "call.wav").write_bytes(wav_bytes(samples))
    made = convert(tmp_path / "call.wav", tmp_path / "out.wav", Plan(split=True, sample_rate=16_000))
    assert made.outputs == tuple(str(tmp_path / f"out.{k}.wav") for k in range(1, 11))
    for k, name in enumerate(made.outputs):
        expected = resample(samples[:, k].tobytes(), 8000, 16_000, quality="voice")
        assert read_s16(name)[0].tobytes() == expected
