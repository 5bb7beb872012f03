"""YAML with the line of every value, without the parts of YAML that JSON has not.

The tree is built from PyYAML's events: neither depth nor aliases take stack or memory that the limits
do not bound. A plain scalar is a number, a boolean or null where YAML 1.1 and 1.2 both say so, else a
string: `yes`, `1:30` and `0o17` are strings.
"""

import re
from typing import Any, Final

from trunkline.errors import FormatError
from trunkline.extras import needs_extra
from trunkline.switch.swml.node import DEPTH_MAX, NODES_MAX, Node, check_text, container, number, refuse

__all__ = ["read_yaml"]

_NUMBER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*|[0-9]+\.[0-9]*(?:[eE][-+][0-9]+)?)", re.ASCII)
_CONSTANTS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def read_yaml(text: str, source: str) -> Node:
    """Read one YAML document; FormatError with the line, LibraryMissingError without PyYAML."""
    with needs_extra("swml"):
        import yaml
    builder = _Builder(source)
    event: Any
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            builder.line = event.start_mark.line + 1
            builder.take(event)
    except FormatError:
        raise
    except yaml.MarkedYAMLError as error:
        line = getattr(error.problem_mark or error.context_mark, "line", builder.line - 1) + 1
        refuse(source, line, str(error.problem or error.context)[:200])
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as chr() of what \U says
        refuse(source, builder.line, str(error).partition("\n")[0][:200])
    if builder.root is None:
        refuse(source, 1, "an empty document")
    return builder.root


class _Open:
    """A list or mapping whose end is still to come."""

    def __init__(self, value: Any, line: int, anchor: str | None) -> None:
        self.value = value
        self.line = line
        self.anchor = anchor
        self.key: str | None = None
        self.key_line = 0


class _Builder:
    def __init__(self, source: str) -> None:
        self.root: Node | None = None
        self.line = 1
        self._source = source
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._size = 0

    def take(self, event: Any) -> None:
        """Take the next event; `line` is its line."""
        kind = type(event).__name__
        if kind == "DocumentStartEvent" and self.root is not None:
            self._refuse("a second document")
        if getattr(event, "tag", None) is not None:
            self._refuse(f"tag {event.tag[:64]!r}: tags are not taken")
        if kind == "AliasEvent":
            self._alias(event.anchor)
        elif kind == "ScalarEvent":
            self._scalar(event)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            self._start([] if kind == "SequenceStartEvent" else {}, event.anchor)
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            opened = self._open.pop()
            children = opened.value.values() if isinstance(opened.value, dict) else opened.value
            node = container(opened.value, children, opened.line, self._source)
            self._add(node, opened.anchor)

    def _start(self, value: Any, anchor: str | None) -> None:
        if self._key_is_due():
            self._refuse("a name that is not text")
        if len(self._open) >= DEPTH_MAX:
            self._refuse(f"nested {len(self._open) + 1} deep; a document nests {DEPTH_MAX} deep")
        self._count(1)
        self._open.append(_Open(value, self.line, anchor))

    def _scalar(self, event: Any) -> None:
        text = check_text(event.value)
        if self._key_is_due():
            mapping = self._open[-1]
            if text in mapping.value:
                self._refuse(f"{text[:64]!r} is there twice")
            mapping.key, mapping.key_line = text, self.line
            return
        plain = event.implicit[0]
        value: Any = text
        if plain and text in _CONSTANTS:
            value = _CONSTANTS[text]
        elif plain and _NUMBER.fullmatch(text):
            value = number(text)
        self._count(1)
        self._add(Node(value, self.line), event.anchor)

    def _alias(self, anchor: str) -> None:
        if self._key_is_due():
            self._refuse("a name that is not text")
        if anchor not in self._anchors:
            self._refuse(f"alias {anchor[:64]!r} of what is not there, or holds the alias itself")
        self._count(self._anchors[anchor].size)
        self._add(self._anchors[anchor], None)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
        else:
            parent.value[parent.key] = Node(node.value, parent.key_line, node.size, node.height)
            parent.key = None

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > NODES_MAX:
            self._refuse(f"more than {NODES_MAX} values")

    def _key_is_due(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _refuse(self, problem: str) -> None:
        refuse(self._source, self.line, problem)
