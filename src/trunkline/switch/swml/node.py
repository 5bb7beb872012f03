"""The tree that a document's text is read into: plain values, each with its line; and its limits."""

import math
from collections.abc import Iterable
from typing import Any, Final, NoReturn

import msgspec

from trunkline.errors import FormatError

__all__ = [
    "BYTES_MAX",
    "DEPTH_MAX",
    "NODES_MAX",
    "Node",
    "check_text",
    "container",
    "number",
    "plain",
    "refuse",
]

BYTES_MAX: Final = 65_536  # a document is read on the event loop: this much YAML takes about half a second
DEPTH_MAX: Final = 32
NODES_MAX: Final = 10_000  # with what aliases stand for
_WHOLE_MAX: Final = 2**53  # what a JSON number holds exactly (RFC 8259 6)


class Node(msgspec.Struct, frozen=True):
    """A scalar, a list of nodes or a dict of nodes; `line` counts from 1.

    `size` counts the nodes in it, itself too; `height` the lists and dicts in one
    another, itself too: an alias repeats both.
    """

    value: Any
    line: int
    size: int = 1
    height: int = 0


def refuse(source: str, line: int, problem: str, path: str = "") -> NoReturn:
    """Raise the FormatError of a place in a document."""
    place = f"{source}:{line}: {path}" if path else f"{source}:{line}"
    raise FormatError(f"{place}: {problem}") from None


def container(value: Any, children: Iterable[Node], line: int, source: str) -> Node:
    """Make the node of a list or dict; FormatError when it nests too deep."""
    size, height = 1, 1
    for child in children:
        size += child.size
        height = max(height, child.height + 1)
    if height > DEPTH_MAX:
        refuse(source, line, f"nested {height} deep; a document nests {DEPTH_MAX} deep")
    return Node(value, line, size, height)


def plain(node: Node) -> Any:
    """Give a node's value without the lines."""
    if isinstance(node.value, dict):
        return {name: plain(member) for name, member in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def number(text: str) -> int | float:
    """Read a decimal number; ValueError when it is beyond what JSON readers agree on.

    1.0 is the integer 1, as in JSON Schema and in JavaScript.
    """
    if len(text) > 400:
        raise ValueError(f"a number of {len(text)} characters")
    value = int(text) if text.lstrip("+-").isdigit() else float(text)
    if isinstance(value, int) and abs(value) > _WHOLE_MAX:
        raise ValueError(f"an integer beyond {_WHOLE_MAX}")
    if not math.isfinite(value):
        raise ValueError("a number beyond the range of a double")
    return int(value) if abs(value) <= _WHOLE_MAX and value == int(value) else value


def check_text(text: str) -> str:
    """Give a string back; ValueError when it holds half of a surrogate pair, which UTF-8 cannot carry."""
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("half of a surrogate pair in a string")
    return text
