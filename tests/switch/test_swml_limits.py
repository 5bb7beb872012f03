"""What a hostile document may cost: counted in function calls and bytes, since no test fails on a clock."""

import cProfile
import random
import signal
import tracemalloc
from typing import Any

import pytest

from trunkline.errors import FormatError
from trunkline.switch.swml import parse
from trunkline.switch.swml.node import BYTES_MAX, DEPTH_MAX, NODES_MAX

CALLS_MAX = 4_000_000  # an honest document of 64 KiB takes two million of them in PyYAML
MEMORY_MAX = 4_000_000
UNBOUNDED_S = 60  # of processor time, where a second is usual: no machine is filled by an alias bomb


def refusal(text: str | bytes) -> str:
    try:
        parse(text)
    except FormatError as error:
        return str(error)
    raise AssertionError("not refused")


def cost(text: str | bytes) -> tuple[str, int, int]:
    """Give what a document is refused with, the calls that takes and the bytes at the peak."""
    profile = cProfile.Profile()
    signal.setitimer(signal.ITIMER_VIRTUAL, UNBOUNDED_S)
    try:
        said = profile.runcall(refusal, text)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    calls = sum(entry.callcount for entry in profile.getstats())
    assert calls <= CALLS_MAX
    tracemalloc.start()
    refusal(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return said, calls, peak


def filled(unit: str, head: str = "") -> str:
    """Repeat a text up to the size that is read."""
    return head + unit * ((BYTES_MAX - len(head)) // len(unit))


BILLION = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
)
DEEPER = "a0: &a0 [x]\n" + "".join(f"a{level}: &a{level} [*a{level - 1}]\n" for level in range(1, 100))

HOSTILE = {
    "alias bomb": (BILLION, f"more than {NODES_MAX} values"),
    "aliases nest": (DEEPER, f"nested {DEPTH_MAX + 1} deep; a document nests {DEPTH_MAX} deep"),
    "lists of YAML": ("[" * 60_000, f"nested {DEPTH_MAX + 1} deep; a document nests {DEPTH_MAX} deep"),
    "block lists": ("- " * 30_000, f"nested {DEPTH_MAX + 1} deep; a document nests {DEPTH_MAX} deep"),
    "objects of JSON": ('{"a":' * 13_000, f"nested {DEPTH_MAX + 1} deep; a document nests {DEPTH_MAX} deep"),
    "lists of JSON": (
        '{"a":' + "[" * 60_000,
        f"nested {DEPTH_MAX + 1} deep; a document nests {DEPTH_MAX} deep",
    ),
    "values of YAML": (filled("a,", "["), f"more than {NODES_MAX} values"),
    "values of JSON": (filled("1,", '{"a":['), f"more than {NODES_MAX} values"),
    "aliases": (filled("*a,", "[&a 1,"), f"more than {NODES_MAX} values"),
    "anchors": (filled("&a a,", "["), f"more than {NODES_MAX} values"),
    "complex keys": (filled("? "), "a name that is not text"),
    "colons": (filled(":"), "mapping values are not allowed here"),
    "comments": (filled("#\n"), "an empty document"),
    "line ends": (filled("\n"), "an empty document"),
    "one long scalar": (filled("a "), "takes an object of version, sections"),
    "escapes": (filled("\\n", '"') + '"', "takes an object of version, sections"),
    "version number": ("%YAML 1." + "9" * 5000 + "\n---\na", "Exceeds the limit"),
    "number": ("a: " + "9" * 5000, "a number of 5000 characters"),
    "number of JSON": ('{"a": ' + "9" * 5000 + "}", "a number of 5000 characters"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_at_a_bounded_cost(name: str) -> None:
    text, problem = HOSTILE[name]
    said, calls, peak = cost(text)
    assert problem in said
    assert len(said) < 400
    assert peak < MEMORY_MAX
    print(f"{name}: {calls} calls, {peak / 1e6:.1f} MB")


@pytest.mark.parametrize("text", ["[" * 100_000, b"- " * 100_000, '{"a":' * 100_000, "a" * (BYTES_MAX + 1)])
def test_what_is_too_large_is_not_read(text: str | bytes) -> None:
    said, calls, peak = cost(text)
    unit = "bytes" if isinstance(text, bytes) else "characters"
    assert said == f"document: {len(text)} {unit}; a document takes {BYTES_MAX} bytes"
    assert calls < 100
    assert peak < 10_000


def test_the_limits_themselves_are_taken() -> None:
    deep: Any = "x"
    for _ in range(DEPTH_MAX - 5):  # document, sections, main, verb, set
        deep = [deep]
    text = str({"sections": {"main": [{"set": {"a": deep}}]}}).replace("'", '"')
    parse(text)
    with pytest.raises(FormatError, match=f"nested {DEPTH_MAX + 1} deep"):
        parse(text.replace('"x"', '["x"]'))
    many = "a," * (NODES_MAX - 6)
    parse(f"sections: {{main: [{{set: {{a: [{many}]}}}}]}}")
    with pytest.raises(FormatError, match=f"more than {NODES_MAX} values"):
        parse(f"sections: {{main: [{{set: {{a: [{many}a]}}}}]}}")
    tail = "\n#"
    text = "sections: {main: [answer]}" + tail
    parse(text + "x" * (BYTES_MAX - len(text)))


def test_a_text_is_measured_in_bytes_of_utf_8() -> None:
    text = "sections: {main: [answer]}\n#" + "\u20ac" * 30_000
    assert len(text) < BYTES_MAX < len(text.encode())
    said = f"document: {len(text.encode())} bytes; a document takes {BYTES_MAX} bytes"
    assert refusal(text) == refusal(text.encode()) == said


@pytest.mark.parametrize("seed", range(5))
def test_random_soup_of_yaml_is_bounded(seed: int) -> None:
    draw = random.Random(seed)
    pieces = ["[", "{", "&a ", "*a", ",", ": ", "\n", "- ", "? ", "'", '"', "a", "|\n", "  ", "#", "!a ", "%"]
    text = "[" + "".join(draw.choices(pieces, k=30_000))
    peak = cost(text[:BYTES_MAX])[2]
    assert peak < MEMORY_MAX
