"""Variables: where a path leads, what it becomes in a text, and how large a text may grow."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import FormatError
from trunkline.switch.swml import Answer, Connect, Play, Scopes, Sleep, Stream
from trunkline.switch.swml.annotations import fill_in
from trunkline.switch.swml.variables import TEXT_MAX, Variables, check_placeholders

SCOPES: Scopes = {
    "call": {"from": "+15550100", "headers": [{"name": "X-Id", "value": "7"}], "shared": "call"},
    "params": {"user": {"id": 12}},
    "envs": {"shared": "envs", "only": "envs"},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no variable", "no variable"),
        ("${call.from}", "+15550100"),
        ("%{call.from}", "+15550100"),
        ("from ${call.from} to %{params.user.id}!", "from +15550100 to 12!"),
        ("${ call.from }", "+15550100"),
        ("${call.headers[0].name}=${call.headers[0].value}", "X-Id=7"),
        ("[${call.headers[1].name}]", "[]"),
        ("[${call.nothing}][${nothing}][${call.from.x}][${params.user[0]}]", "[][][][]"),
        ("${shared} ${only} ${from}", "envs envs +15550100"),
        ("${mine} ${vars.mine}", "1 1"),
        ("${flag} ${none} ${half}", "true  0.5"),
        ("${params.user}", '{"id":12}'),
        ("$${mine} $ { } ${", "$1 $ { } ${"),
    ],
)
def test_a_text(template: str, text: str) -> None:
    variables = Variables(SCOPES)
    variables.vars |= {"mine": 1, "flag": True, "none": None, "half": 0.5}
    assert variables.text(template) == text


def test_set_keeps_a_numbers_type_and_nothing_else() -> None:
    variables = Variables(SCOPES)
    variables.vars |= {"n": 5, "x": 0.5, "yes": True, "many": [1]}
    template = {
        "a": "${n}",
        "b": ["${x}", "${yes}"],
        "c": "${n} s",
        "d": "${many}",
        "e": None,
        "f": "${nothing}",
    }
    assert variables.value(template) == {"a": 5, "b": [0.5, True], "c": "5 s", "d": "[1]", "e": None, "f": ""}


def test_a_scope_that_is_not_there_is_refused() -> None:
    with pytest.raises(FormatError, match=r"unknown scope 'vars': there are call, params, envs"):
        Variables({"vars": {}})


_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
PATH = st.from_regex(rf"\A{_NAME}(\.[A-Za-z0-9_]+|\[[0-9]{{1,4}}\]){{0,4}}\Z")


@given(path=PATH, sign=st.sampled_from("$%"), before=st.text(max_size=5), after=st.text(max_size=5))
def test_any_path_is_taken_and_leads_somewhere_or_nowhere(
    path: str, sign: str, before: str, after: str
) -> None:
    text = f"{before.rstrip('$%')}{sign}{{{path}}}{after.replace('{', '')}"
    check_placeholders(text)
    assert Variables({}).text(text) == before.rstrip("$%") + after.replace("{", "")


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "a + 1",
        "a.b()",
        "a[b]",
        "a[-1]",
        "a[99999]",
        "a..b",
        ".a",
        "1a",
        "'a'",
        "a b",
        "\u00e4",
        "a{",
    ],
)
def test_an_expression_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"\A['\"]\$\{.* is an expression; plain paths"):
        check_placeholders(f"x ${{{body}}}")


def test_doubling_ends() -> None:
    variables = Variables({})
    variables.vars["a"] = "x"
    for _ in range(TEXT_MAX.bit_length() - 1):
        variables.vars["a"] = variables.text("${a}${a}")
    assert len(variables.vars["a"]) == TEXT_MAX == 8192
    with pytest.raises(FormatError, match=rf"\A16384 characters .* a string takes {TEXT_MAX}\Z"):
        variables.text("${a}${a}")


@pytest.mark.parametrize(
    ("verb", "filled"),
    [
        (Sleep("${n}"), Sleep(500)),
        (Sleep("${digits}"), Sleep(250)),
        (Answer("${n}"), Answer(500)),
        (Stream("wss://${host}/", name="${n}"), Stream("wss://example.com/", name="500")),
        (
            Stream("${url}", custom_parameters={"a": "${n}", "b": "-"}, track="both"),
            Stream("wss://example.com/", custom_parameters={"a": "500", "b": "-"}, track="both"),
        ),
        (Connect("stream:${url}", realtime="${yes}"), Connect("stream:wss://example.com/", realtime=True)),
        (
            Connect("stream:${url}", codec="${codec}"),
            Connect("stream:wss://example.com/", codec="L16@24000h"),
        ),
        (
            Play(urls=("silence:${n}", "https://${host}/a.wav"), auto_answer="${no}"),
            Play(urls=("silence:500", "https://example.com/a.wav"), auto_answer=False),
        ),
    ],
)
def test_a_verb_is_filled_in(verb: Any, filled: Any) -> None:
    variables = Variables({})
    variables.vars |= {"n": 500, "digits": "250", "host": "example.com", "url": "wss://example.com/"}
    variables.vars |= {"yes": True, "no": "false", "codec": "L16@24000h"}
    assert fill_in(verb, variables) == filled


@pytest.mark.parametrize(
    ("verb", "problem"),
    [
        (Sleep("${word}"), "duration: takes an integer of milliseconds, or -1 for ever"),
        (Sleep("${nothing}"), "duration: takes an integer"),
        (Sleep("${minus}"), "duration: takes an integer"),
        (Answer("${nothing}"), "max_duration: takes 1 second or more"),
        (Stream("${word}"), "url: takes a wss:// URL"),
        (Stream("wss://${sly}/"), "url: a variable holds a placeholder itself"),
        (Stream("wss://h/", name="${nothing}"), "name: takes a string that is not empty"),
        (Stream("wss://h/", codec="${word}"), "codec: unknown codec 'WORD'"),
        (
            Stream("wss://h/", authorization_bearer_token="${lines}"),  # noqa: S106
            "authorization_bearer_token: holds a CR, LF or NUL",
        ),
        (Connect("stream:${word}"), "to: takes a wss:// URL"),
        (Connect("${word}"), "to: takes a stream:wss:// URL"),
        (Connect("stream:wss://h/", realtime="${word}"), "realtime: takes true or false"),
        (Play(urls=("silence:1", "${word}")), "urls: takes an http"),
    ],
)
def test_a_variable_that_makes_a_field_wrong_is_refused(verb: Any, problem: str) -> None:
    variables = Variables({})
    variables.vars |= {"word": "word", "minus": -2, "sly": "${x}", "lines": "a\r\nb"}
    with pytest.raises(FormatError, match=rf"\A{re.escape(problem)}"):
        fill_in(verb, variables)
