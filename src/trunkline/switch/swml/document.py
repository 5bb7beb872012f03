"""From a document's text to its verbs, or to the line and the path of what is wrong."""

import re
from collections.abc import Collection
from typing import Any, Final, Literal, NoReturn

import msgspec

from trunkline.errors import FormatError
from trunkline.switch.swml.annotations import check, items_of, takes
from trunkline.switch.swml.json_reader import read_json
from trunkline.switch.swml.node import BYTES_MAX, Node, plain, refuse
from trunkline.switch.swml.streams import check_stream
from trunkline.switch.swml.variables import check_placeholders
from trunkline.switch.swml.verbs import BARE_VERBS, VERBS, Connect, Play, Stream, Verb
from trunkline.switch.swml.yaml_reader import read_yaml

__all__ = ["VERSION", "Document", "parse"]

VERSION: Final = "1.0.0"
_PLAIN_NAME: Final = re.compile(r"\w{1,64}", re.ASCII)


class Document(msgspec.Struct, frozen=True):
    """A SWML document: the verbs of its section `main`, in order."""

    main: tuple[Verb, ...]
    version: Literal["1.0.0"] = VERSION


def parse(text: str | bytes, source: str = "document", *, insecure_loopback: bool = False) -> Document:
    r"""Read a SWML document: JSON when it begins with `{`, else YAML.

    `text` is UTF-8 or already decoded, at most 65,536 bytes; `source` names it in messages;
    `insecure_loopback` lets streams go to ws:// on loopback hosts, for a switch that does so. FormatError
    names the line and the path of what is wrong; LibraryMissingError when YAML comes without PyYAML.

    >>> parse('{"sections": {"main": ["answer", {"sleep": 500}, "hangup"]}}').main
    (Answer(max_duration=14400), Sleep(duration=500), Hangup(reason='hangup'))
    >>> parse('{"sections": {"main": [\n {"stop_stream": {"id": "s1"}}]}}', "call.json")
    Traceback (most recent call last):
    ...
    trunkline.errors.FormatError: call.json:2: sections.main[0].stop_stream.id: unknown field;
    stop_stream takes control_id
    """
    return _Checker(source, insecure_loopback).document(_read(text, source))


def _read(text: str | bytes, source: str) -> Node:
    unit = "bytes" if isinstance(text, bytes) else "characters"
    if len(text) > BYTES_MAX:
        raise FormatError(f"{source}: {len(text)} {unit}; a document takes {BYTES_MAX} bytes")
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if len(data) > BYTES_MAX:
        raise FormatError(f"{source}: {len(data)} bytes; a document takes {BYTES_MAX} bytes")
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        refuse(source, line, f"byte {error.start} is not UTF-8: {error.reason}")
    return read_json(text, source) if text.lstrip().startswith("{") else read_yaml(text, source)


class _Checker:
    def __init__(self, source: str, insecure_loopback: bool) -> None:
        self._source = source
        self._insecure_loopback = insecure_loopback

    def document(self, root: Node) -> Document:
        members = self._object(root, "", "the document", ("version", "sections"))
        version = members.get("version")
        if version is not None and version.value != VERSION:
            self._refuse(version, "version", f"takes {VERSION}")
        if "sections" not in members:
            self._refuse(root, "", "sections is missing")
        sections = self._object(members["sections"], "sections", "sections", ("main",), "section")
        if "main" not in sections:
            self._refuse(members["sections"], "sections", "main is missing")
        main = sections["main"]
        if not isinstance(main.value, list) or not main.value:
            self._refuse(main, "sections.main", "takes a list of one verb or more")
        return Document(
            tuple(self._verb(node, f"sections.main[{index}]") for index, node in enumerate(main.value))
        )

    def _verb(self, node: Node, path: str) -> Verb:
        if isinstance(node.value, str):
            return self._bare_verb(node, path)
        members = self._object(node, path, "main", VERBS, "verb")
        if len(members) != 1:
            self._refuse(node, path, f"takes one verb, not {len(members)}")
        [(name, parameters)] = members.items()
        verb, path = VERBS[name], f"{path}.{name}"
        short = {"set": True, "sleep": not isinstance(parameters.value, dict)}  # no names of fields
        if short.get(name):
            [field] = msgspec.structs.fields(verb)
            return verb(self._value(parameters, path, field.type))
        return self._fields(parameters, path, name)

    def _bare_verb(self, node: Node, path: str) -> Verb:
        name = node.value
        if name not in VERBS:
            self._refuse(node, path, f"{name[:64]!r}: unknown verb; main takes {', '.join(VERBS)}")
        if name not in BARE_VERBS:
            self._refuse(node, path, f"{name} takes parameters; without are {', '.join(BARE_VERBS)}")
        return BARE_VERBS[name]

    def _fields(self, node: Node, path: str, name: str) -> Verb:
        verb = VERBS[name]
        fields = {field.name: field for field in msgspec.structs.fields(verb)}
        members = self._object(node, path, name, fields)
        for field in fields.values():
            if field.required and field.name not in members:
                self._refuse(node, path, f"{field.name} is missing")
        if verb is Play and ("url" in members) == ("urls" in members):
            self._refuse(node, path, "takes either url or urls")
        values = {
            member: self._value(members[member], f"{path}.{member}", fields[member].type)
            for member in members
        }
        made = verb(**values)
        if isinstance(made, Stream | Connect):
            self._check_stream(made, members, path)
        return made

    def _check_stream(self, verb: Stream | Connect, members: dict[str, Node], path: str) -> None:
        try:
            check_stream(verb, insecure_loopback=self._insecure_loopback)
        except FormatError as error:
            field, _, problem = str(error).partition(": ")
            if "custom_parameters" in field:
                self._refuse_custom(members["custom_parameters"], f"{path}.custom_parameters", field, problem)
            self._refuse(members[field], f"{path}.{field}", problem)

    def _refuse_custom(self, node: Node, path: str, field: str, problem: str) -> NoReturn:
        """Blame one of the custom parameters, if it was one, or all."""
        for name, member in node.value.items():
            if field == f"custom_parameters[{name[:64]!r}]":
                self._refuse(member, _join(path, name), problem)
        self._refuse(node, path, problem)

    def _value(self, node: Node, path: str, annotation: Any) -> Any:
        """Check a value and what is in it; the blame is on the innermost that is wrong."""
        item = items_of(annotation, type(node.value))
        if isinstance(node.value, dict) and item is not None:
            for name, member in node.value.items():
                self._value(member, _join(path, name), item)
        elif isinstance(node.value, list) and item is not None:
            for index, member in enumerate(node.value):
                self._value(member, f"{path}[{index}]", item)
        try:
            if isinstance(node.value, str):
                check_placeholders(node.value)
            if node.value is None and annotation is not Any:  # None is what a field has that is left out
                raise ValueError(f"takes {takes(annotation)}, not null")
            return check(plain(node), annotation)
        except ValueError as error:
            self._refuse(node, path, str(error))

    def _object(
        self, node: Node, path: str, owner: str, known: Collection[str], kind: str = "field"
    ) -> dict[str, Node]:
        if not isinstance(node.value, dict):
            self._refuse(node, path, f"takes an object of {', '.join(known)}")
        for name, member in node.value.items():
            if name not in known:
                self._refuse(member, _join(path, name), f"unknown {kind}; {owner} takes {', '.join(known)}")
        return dict(node.value)

    def _refuse(self, node: Node, path: str, problem: str) -> NoReturn:
        refuse(self._source, node.line, problem, path)


def _join(path: str, name: str) -> str:
    if _PLAIN_NAME.fullmatch(name):
        return f"{path}.{name}" if path else name
    return f"{path}[{name[:64]!r}]"
