"""JSON with the line of every value, which the standard library's reader does not give."""

import json
import re
from typing import Any, Final, NoReturn

from trunkline.switch.swml.node import DEPTH_MAX, NODES_MAX, Node, check_text, container, number, refuse

__all__ = ["read_json"]

_SPACE: Final = re.compile(r"[ \t\n\r]*")


def read_json(text: str, source: str) -> Node:
    """Read one JSON value (RFC 8259); FormatError with the line of what is wrong."""
    reader = _Reader(text, source)
    node, end = reader.value(0, 1)
    end = reader.skip(end)
    if end != len(text):
        reader.refuse(end, "text after the end of the document")
    return node


class _Reader:
    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self._size = 0
        decoder = json.JSONDecoder(parse_int=number, parse_float=number, parse_constant=_no_constant)
        self._scalar = decoder.raw_decode

    def refuse(self, position: int, problem: str) -> NoReturn:
        refuse(self._source, self._line(position), problem)

    def skip(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        return match.end() if match else position  # it always matches, if only nothing

    def value(self, position: int, depth: int) -> tuple[Node, int]:
        """Read the value at `position`; give it and where it ends."""
        self._size += 1
        if self._size > NODES_MAX:
            self.refuse(position, f"more than {NODES_MAX} values")
        position = self.skip(position)
        opening = self._text[position : position + 1]
        if opening and opening in "{[":
            if depth > DEPTH_MAX:
                self.refuse(position, f"nested {depth} deep; a document nests {DEPTH_MAX} deep")
            return self._object(position, depth) if opening == "{" else self._array(position, depth)
        scalar, end = self._decode(position)
        return Node(scalar, self._line(position)), end

    def _object(self, start: int, depth: int) -> tuple[Node, int]:
        members: dict[str, Node] = {}
        end = self._closed(start + 1, "}")
        position = start + 1
        while end is None:
            position = self.skip(position)
            if self._text[position : position + 1] != '"':
                self.refuse(position, "expecting a name in double quotes")
            name, after = self._decode(position)
            if name in members:
                self.refuse(position, f"{name[:64]!r} is there twice")
            after = self.skip(after)
            if self._text[after : after + 1] != ":":
                self.refuse(after, "expecting ':'")
            member, after = self.value(after + 1, depth + 1)
            members[name] = Node(member.value, self._line(position), member.size, member.height)
            end, position = self._next(after, "}")
        return container(members, members.values(), self._line(start), self._source), end

    def _array(self, start: int, depth: int) -> tuple[Node, int]:
        items: list[Node] = []
        end = self._closed(start + 1, "]")
        position = start + 1
        while end is None:
            item, after = self.value(position, depth + 1)
            items.append(item)
            end, position = self._next(after, "]")
        return container(items, items, self._line(start), self._source), end

    def _closed(self, position: int, closing: str) -> int | None:
        """Give where an empty object or array ends, None when it is not empty."""
        position = self.skip(position)
        return position + 1 if self._text[position : position + 1] == closing else None

    def _next(self, position: int, closing: str) -> tuple[int | None, int]:
        """Give where the object or array ends, None when it does not; and where it goes on."""
        position = self.skip(position)
        found = self._text[position : position + 1]
        if found == closing:
            return position + 1, position
        if found != ",":
            self.refuse(position, f"expecting ',' or {closing!r}")
        return None, position + 1

    def _decode(self, position: int) -> tuple[Any, int]:
        try:
            scalar, end = self._scalar(self._text, position)
            if isinstance(scalar, str):
                check_text(scalar)
        except json.JSONDecodeError as error:
            self.refuse(error.pos, error.msg)
        except ValueError as error:
            self.refuse(position, str(error))
        return scalar, end

    def _line(self, position: int) -> int:
        return self._text.count("\n", 0, position) + 1


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
