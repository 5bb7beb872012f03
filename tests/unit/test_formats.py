"""The codec grammar and the formats it names."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import FormatError
from trunkline.formats import CODECS, CodecSpec, MediaFormat, whole_samples


@pytest.mark.parametrize(
    ("text", "name", "sample_rate", "ptime_ms"),
    [
        ("PCMU", "PCMU", 8_000, 20),
        ("pcma", "PCMA", 8_000, 20),
        ("L16", "L16", 16_000, 20),
        ("L16@24000h", "L16", 24_000, 20),
        ("L16@24000h@40i", "L16", 24_000, 40),
        ("l16@8000H@10I", "L16", 8_000, 10),
        ("OPUS", "OPUS", 48_000, 20),
        ("OPUS@48000h@20i", "OPUS", 48_000, 20),
        ("PCMU@30i", "PCMU", 8_000, 30),
        ("amr-wb", "AMR-WB", 16_000, 20),
        ("G722", "G722", 16_000, 20),
    ],
)
def test_grammar(text: str, name: str, sample_rate: int, ptime_ms: int) -> None:
    spec = CodecSpec.parse(text)
    assert (spec.name, spec.sample_rate, spec.ptime_ms) == (name, sample_rate, ptime_ms)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the form is"),
        ("PCMU@", "the form is"),
        ("PCMU@8000", "the form is"),
        ("PCMU@h", "the form is"),
        ("PCMU@20i@8000h", "the form is"),
        ("PCMU@8000h@20i@20i", "the form is"),
        ("PCMU@-8000h", "the form is"),
        ("PCMU@\u0668\u0660\u0660\u0660h", "the form is"),
        (" PCMU", "the form is"),
        ("PCMU\n", "the form is"),
        ("PCMU@9999999999h", "the form is"),
        ("SPEEX", "unknown codec 'SPEEX'"),
        ("OPUS@44100h", "takes 8000, 12000, 16000, 24000, 48000"),
        ("G722@8000h", "takes 16000"),
        ("L16@3999h", "takes 4000 to 48000"),
        ("L16@48001h", "takes 4000 to 48000"),
        ("L16@0h", "takes 4000 to 48000"),
        ("PCMU@0i", "takes 1 to 200 ms"),
        ("PCMU@201i", "takes 1 to 200 ms"),
        ("L16@11025h@10i", "not a whole number of samples at 11025 Hz"),
    ],
)
def test_what_the_grammar_refuses(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        CodecSpec.parse(text)


def test_a_long_text_is_not_repeated_in_the_message() -> None:
    with pytest.raises(FormatError) as caught:
        CodecSpec.parse("x" * 100_000)
    assert len(str(caught.value)) < 200


@given(st.sampled_from(sorted(CODECS)), st.integers(4, 48), st.integers(1, 200))
def test_text_form_reads_back(name: str, rate_khz: int, ptime_ms: int) -> None:
    try:
        spec = CodecSpec(name, rate_khz * 1000, ptime_ms)
    except FormatError:
        assert name in ("OPUS", "G722", "AMR-WB")
        return
    assert CodecSpec.parse(str(spec)) == spec
    assert spec.samples_per_packet == rate_khz * ptime_ms


@given(st.text(max_size=40))
def test_any_text_is_a_codec_or_a_format_error(text: str) -> None:
    with contextlib.suppress(FormatError):
        assert CodecSpec.parse(text).name in CODECS


def test_media_format_checks_what_it_is_given() -> None:
    assert MediaFormat("L16", 24_000, 2).channels == 2
    for bad in [("MP3", 8_000, 1), ("PCMU", 0, 1), ("PCMU", 8_000, 0), ("PCMU", 8_000, 9)]:
        with pytest.raises(FormatError):
            MediaFormat(*bad)


def test_durations_are_whole_samples_or_refused() -> None:
    assert whole_samples(10, 44_100) == 441
    with pytest.raises(FormatError, match="ptime of 5 ms is not a whole number of samples at 44100 Hz"):
        whole_samples(5, 44_100, "ptime")
