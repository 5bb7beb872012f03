"""Mutants of every kind of input: converted, or refused with an error of ours, in little memory and time."""

import io
import time
import tracemalloc
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.convert.recordings import noise, wav_bytes
from tests.reference import wav as reference
from trunkline.convert import Plan, convert, convert_bytes
from trunkline.convert.plan import parse_raw
from trunkline.errors import FormatError, TrunklineError
from trunkline.stream import CaptureWriter, StreamSender
from trunkline.testing import speech_like

KINDS = ("wav", "ulaw", "pcm24", "float64", "extensible", "opus", "flac", "aiff", "capture")
PLANS = (
    Plan(),
    Plan(sample_rate=16_000, quality="fast"),
    Plan(normalize_db=-1.0, encoding="float32"),
    Plan(silence_db=-40.0, format="raw", encoding="ulaw"),
    Plan(begin_s=0.01, end_s=0.02, mix=True),
    Plan(format="flac", pick=1),
)


@cache
def original(kind: str) -> bytes:
    file, samples = io.BytesIO(), noise(700, 2)
    if kind == "wav":
        return wav_bytes(samples)
    if kind == "opus":
        return convert_bytes(wav_bytes(samples), Plan(format="opus"))
    if kind in ("flac", "aiff"):
        soundfile.write(file, samples, 8000, "PCM_16", format=kind.upper())
        return file.getvalue()
    encoding = "pcm16" if kind == "extensible" else kind
    raw = Random(1).randbytes(1440)
    fmt = reference.fmt(encoding, 8000, 2, extensible=kind == "extensible")
    return reference.riff(fmt, reference.chunk(b"LIST", b"INFOabc"), reference.chunk(b"data", raw))


@cache
def capture(directory: str) -> bytes:
    sender = StreamSender("PCMU", call_id="call-1", stream_id="s")
    messages = sender.start() + sender.media(speech_like(0.2)) + sender.stop()
    with CaptureWriter(f"{directory}/call.jsonl") as writer:
        for k, message in enumerate(messages):
            writer.write(message, 20.0 * k)
    return Path(directory, "call.jsonl").read_bytes()


@st.composite
def mutants(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes changed, cut out, doubled, put in; most of them in the header."""
    mutant = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        near = min(len(mutant), draw(st.sampled_from([64, 128, len(mutant)])))
        at = draw(st.integers(0, max(near - 1, 0)))
        what = draw(st.sampled_from(["set", "set", "word", "cut", "insert", "double", "end"]))
        if what == "set" and at < len(mutant):
            mutant[at] = draw(st.integers(0, 255))
        elif what == "word":
            mutant[at : at + 4] = draw(
                st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"data", b"fmt "])
            )
        elif what == "cut":
            del mutant[at : at + draw(st.integers(1, 40))]
        elif what == "insert":
            mutant[at:at] = draw(st.binary(max_size=20))
        elif what == "double":
            mutant[at:at] = mutant[at : at + draw(st.integers(1, 400))]
        else:
            del mutant[at:]
    return bytes(mutant)


def assert_converted_or_refused(data: bytes, plan: Plan) -> None:
    began = time.process_time()  # of ours alone, whatever else the machine has to do
    said, made = "refused", b""
    try:
        made = convert_bytes(data, plan)
    except (TrunklineError, OSError) as error:
        said = str(error)
    assert said
    assert said.isprintable()
    # of a byte, a sample of float32, at 16 times the rate, and the beginning of a header
    assert len(made) < 64 * len(data) + 1000
    assert time.process_time() - began < 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "capture"])
def test_mutants(kind: str, libopus: object) -> None:
    @given(data=mutants(original(kind)), plan=st.sampled_from(PLANS))
    @settings(max_examples=40)
    def run(data: bytes, plan: Plan) -> None:
        assert_converted_or_refused(data, plan)

    run()


@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.sampled_from(KINDS[:-1]).flatmap(
            lambda kind: st.binary(max_size=99).map(lambda b: original(kind)[:24] + b)
        ),
    ),
    raw=st.sampled_from([None, "ulaw:8000:1", "pcm24:48000:3", "float64:4000:7", "float32:192000"]),
)
def test_any_bytes(data: bytes, raw: str | None) -> None:
    for plan in (Plan(raw=raw and parse_raw(raw)), Plan(raw=raw and parse_raw(raw), sample_rate=8000)):
        assert_converted_or_refused(data, plan)


def test_mutants_of_a_capture(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("capture")
    captured = capture(str(directory))

    @given(data=mutants(captured))
    @settings(max_examples=40)
    def run(data: bytes) -> None:
        (directory / "a.jsonl").write_bytes(data)
        with suppress(TrunklineError, OSError):
            convert(directory / "a.jsonl", directory / "b.wav")
        assert not list(directory.glob("*.part"))

    run()


@pytest.mark.parametrize("kind", ["wav", "ulaw", "opus", "flac"])
def test_what_a_header_claims_takes_no_memory(kind: str, libopus: object) -> None:
    data = bytearray(original(kind))
    if kind == "flac":
        data[21:26] = b"\xff" * 5  # 2^36 - 1 samples
    else:
        at = data.find(b"data")
        data[at + 4 : at + 8] = b"\xf0\xff\xff\x7f"
    tracemalloc.start()
    try:
        assert_converted_or_refused(bytes(data), Plan(sample_rate=16_000))
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_a_rate_of_ghz_takes_no_memory(tmp_path: Path) -> None:
    fmt = reference.fmt("pcm16", 0xFFFF_FFFF)
    (tmp_path / "a.wav").write_bytes(reference.riff(fmt, reference.chunk(b"data", bytes(30_000_000))))
    with pytest.raises(FormatError, match="sample rate"):
        convert(tmp_path / "a.wav", tmp_path / "b.wav", Plan(sample_rate=8000))
    with pytest.raises(FormatError, match="FLAC at 4294967295 Hz: takes up to 655350"):
        convert(tmp_path / "a.wav", tmp_path / "b.flac")
    tracemalloc.start()
    try:
        convert(tmp_path / "a.wav", tmp_path / "b.wav")
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()
