"""Documents that are right, in YAML and JSON; and texts that are changed at random."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.switch.swml_documents import EXAMPLES, documents
from trunkline.errors import TrunklineError
from trunkline.switch.swml import (
    Answer,
    Connect,
    Document,
    Hangup,
    Play,
    Set,
    Sleep,
    StopStream,
    Stream,
    parse,
)


def test_the_documented_examples_say_what_they_say() -> None:
    read = {name: parse(text).main for name, text in EXAMPLES.items()}
    assert read["stream"] == (
        Stream(
            url="wss://example.com/audio-stream",
            name="live-transcription",
            track="both_tracks",
            custom_parameters={"customer_tier": "gold"},
        ),
        StopStream(),
    )
    assert read["stream with every field"] == (
        Stream(
            url="wss://example.com/audio-stream",
            name="my-stream",
            codec="L16@24000h@40i",
            track="outbound",
            status_url="https://example.com/stream-status",
            status_url_method="GET",
            authorization_bearer_token="my-secret-token",  # noqa: S106
            custom_parameters={"a": "b"},
            control_id="stream_001",
        ),
        StopStream("stream_001"),
    )
    answer, connect, hangup = read["connect"]
    assert (answer, hangup) == (Answer(max_duration=3600), Hangup())
    assert isinstance(connect, Connect)
    assert (connect.url, connect.codec, connect.realtime) == ("wss://example.com/audio", "PCMU@40i", True)
    assert read["bare verbs"] == (Answer(), StopStream(), Hangup())
    assert read["sleep"] == (Sleep(5000), Sleep(5000), Sleep(-1), Sleep("${pause}"))
    assert isinstance(read["set and variables"][0], Set)
    assert read["set and variables"][0].variables["employees"][1] == {"name": "Bob", "role": "Manager"}
    assert read["play"] == (
        Play(urls=("https://example.com/intro.mp3", "silence:2", "silence: 0.5")),
        Hangup("busy"),
    )
    assert read["JSON"] == (Answer(), Play(url="silence:1", auto_answer=False), Hangup())


def test_defaults() -> None:
    """The defaults that the platform documents; the track is the inbound one."""
    assert Stream("wss://h/") == Stream(
        url="wss://h/",
        name=None,
        codec=None,
        track="inbound_track",
        status_url=None,
        status_url_method="POST",
        authorization_bearer_token=None,
        custom_parameters={},
        control_id=None,
    )
    assert (Connect("stream:wss://h/").codec, Connect("stream:wss://h/").realtime) == ("PCMU", False)
    assert Answer().max_duration == 4 * 60 * 60


def test_no_repr_shows_the_bearer_token() -> None:
    for verb in parse(EXAMPLES["connect"]).main + parse(EXAMPLES["stream with every field"]).main:
        assert "my-token" not in repr(verb)
        assert "my-secret-token" not in repr(verb)
    assert "authorization_bearer_token=None" in repr(Stream("wss://h/"))


@given(raw=documents)
def test_yaml_and_json_of_any_document_are_equal(raw: dict[str, Any]) -> None:
    document = parse(json.dumps(raw))
    assert isinstance(document, Document)
    assert parse(json.dumps(raw, indent="\t", ensure_ascii=False).encode()) == document
    assert parse(yaml.safe_dump(raw)) == document
    text = yaml.safe_dump(raw, allow_unicode=True, sort_keys=False)
    if yaml.safe_load(text) == raw:  # PyYAML folds a U+0085 of its own writing
        assert parse(text.encode()) == document
    assert len(document.main) == len(raw["sections"]["main"])


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_line_ends_and_byte_order_mark_change_nothing(text: str) -> None:
    assert parse(text.replace("\n", "\r\n")) == parse(text) == parse(b"\xef\xbb\xbf" + text.encode())


def test_plain_scalars_are_what_both_versions_of_yaml_say() -> None:
    plain = "{a: yes, b: 010, c: 1:30, d: 1e5, e: 0x1f, f: 2024-01-01, g: .inf, h: 1_0}"
    [verb] = parse(f"sections: {{main: [{{set: {plain}}}]}}").main
    assert verb == Set(
        dict(zip("abcdefgh", ["yes", "010", "1:30", "1e5", "0x1f", "2024-01-01", ".inf", "1_0"], strict=True))
    )
    text = "sections: {main: [{set: {a: 1.0, b: -2, c: 1.5e+3, d: ~, e: null, f: , g: True, h: 'true'}}]}"
    [verb] = parse(text).main
    assert verb == Set(dict(zip("abcdefgh", [1, -2, 1500, None, None, None, True, "true"], strict=True)))


def test_aliases_repeat() -> None:
    text = """
sections:
  main:
    - stream: {url: 'wss://a/', custom_parameters: &shared {a: b}, name: &name one}
    - stream: {url: 'wss://b/', custom_parameters: *shared, name: *name}
"""
    first, second = parse(text).main
    assert isinstance(first, Stream)
    assert isinstance(second, Stream)
    assert (first.custom_parameters, first.name) == (second.custom_parameters, second.name)


def problem_of(text: str) -> str:
    try:
        parse(text)
    except TrunklineError as error:
        return str(error)
    return ""


ANYTHING = st.text(alphabet="{}[]:,-&*!|>'\"%#? \n\ta1\\${}.u0\ud7ff\ud800\x00\x85\ufeff", max_size=4)


@given(data=st.data(), raw=documents, as_json=st.booleans())
def test_random_changes_raise_nothing_but_the_librarys_error(
    data: st.DataObject, raw: dict[str, Any], as_json: bool
) -> None:
    text = json.dumps(raw) if as_json else yaml.safe_dump(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 6)))
        text = text[:start] + data.draw(ANYTHING) + text[end:]
    assert re.match(r"document:\d+: |\Z", problem_of(text))


@given(text=ANYTHING | st.text(max_size=40) | st.binary(max_size=40))
def test_any_text_raises_nothing_but_the_librarys_error(text: str | bytes) -> None:
    with pytest.raises(TrunklineError, match=r"\Adocument:\d+: "):
        parse(text)


def test_without_pyyaml_json_is_read_and_yaml_says_what_is_missing() -> None:
    """In an interpreter of its own, in which the package cannot be imported."""
    code = f"""
import sys
sys.modules["yaml"] = None
from trunkline.errors import LibraryMissingError
from trunkline.switch.swml import parse
print(len(parse({EXAMPLES["JSON"]!r}).main))
try:
    parse({EXAMPLES["stream"]!r})
except LibraryMissingError as error:
    print(error)
"""
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "3\nyaml is not installed: pip install 'trunkline[swml]'\n"
