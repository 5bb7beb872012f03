"""The JSON Schema takes what `parse` takes and refuses what it refuses, as far as a schema can say it."""

import json
import re
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.switch.swml_documents import EXAMPLES, documents
from tests.switch.test_swml_refusals import DOCUMENT_CASES, VERB_CASES
from trunkline.errors import FormatError
from trunkline.switch.swml import parse, schema

VALIDATOR = jsonschema.Draft202012Validator(schema())

# Problems that are beyond a schema: of the codec's name and numbers, of the inside of a placeholder or a URL.
BEYOND = re.compile(
    r"unknown codec|ptime of|Hz: takes|whole number of samples|Opus packet|is an expression"
    r"|holds a fragment|user name or password|custom_parameters.*: holds a CR, LF or NUL"
)


def problem_of(raw: Any) -> str:
    try:
        parse(json.dumps(raw))
    except FormatError as error:
        return str(error)
    return ""


def test_it_is_a_schema_and_plain_json() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_takes_the_documented_examples(name: str) -> None:
    VALIDATOR.validate(yaml.safe_load(EXAMPLES[name]))


@given(raw=documents)
def test_it_takes_any_document_that_parses(raw: dict[str, Any]) -> None:
    assert problem_of(raw) == ""
    assert VALIDATOR.is_valid(raw)


@pytest.mark.parametrize("verbs", VERB_CASES)
def test_it_refuses_wrong_verbs(verbs: str) -> None:
    raw = {"sections": {"main": yaml.safe_load(verbs)}}
    assert VALIDATOR.is_valid(raw) == bool(BEYOND.search(": ".join(VERB_CASES[verbs][1:])))


@pytest.mark.parametrize("text", [text for text in DOCUMENT_CASES if "sections is" in DOCUMENT_CASES[text]])
def test_it_refuses_documents_without_sections(text: str) -> None:
    assert not VALIDATOR.is_valid(yaml.safe_load(text))


OTHER = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        5,
        1.5,
        2**31,
        "",
        "x",
        "wss://h/",
        "${a}",
        "a ${a}",
        "${a}\n",
        "GET",
        [],
        ["x"],
        {},
        {"a": "b"},
    ]
)


def places(raw: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the path of every value in a document but the document's own."""
    children = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    found = [place] if place else []
    for name, child in children:
        found += places(child, (*place, name))
    return found


@given(data=st.data(), raw=documents)
def test_it_agrees_about_any_document_changed_in_one_place(data: st.DataObject, raw: dict[str, Any]) -> None:
    changed = deepcopy(raw)
    *way, last = data.draw(st.sampled_from(places(changed)))
    parent = changed
    for name in way:
        parent = parent[name]
    change = data.draw(st.sampled_from(["replace", "remove", "rename", "add"]))
    if change == "replace":
        parent[last] = data.draw(OTHER)
    elif change == "remove":
        del parent[last]
    elif isinstance(parent, dict):
        name = data.draw(
            st.sampled_from(["url", "urls", "name", "to", "duration", "answer", "set", "x", "codec"])
        )
        parent[name] = parent.pop(last) if change == "rename" else data.draw(OTHER)
    problem = problem_of(changed)
    if BEYOND.search(problem):
        return
    errors = [error.message for error in VALIDATOR.iter_errors(changed)]
    assert bool(problem) == bool(errors), (problem, errors)
