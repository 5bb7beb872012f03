"""Values against the annotations of the verbs: checked when read, and again when variables are filled in."""

from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from trunkline.errors import FormatError
from trunkline.switch.swml.streams import check_stream
from trunkline.switch.swml.variables import PLACEHOLDER, Variables
from trunkline.switch.swml.verbs import Connect, Stream, Variable, Verb

__all__ = ["check", "fill_in", "items_of", "takes"]

V = TypeVar("V", bound=Verb)
_NAMES: Final = {str: "a string", int: "an integer", bool: "true or false", dict: "an object"}


def check(value: Any, annotation: Any, *, strict: bool = True) -> Any:
    """Convert a value; ValueError says what is taken. Not strict: "5" is an integer, "true" a boolean."""
    try:
        return msgspec.convert(value, annotation, strict=strict)
    except msgspec.ValidationError:
        raise ValueError(f"takes {takes(annotation)}{_not(value, annotation)}") from None


def takes(annotation: Any) -> str:
    """Say what an annotation takes.

    >>> takes(Literal["POST", "GET"] | None)
    'POST or GET'
    """
    return " or ".join(_takes_one(option) for option in _options(annotation))


def items_of(annotation: Any, container: type) -> Any:
    """Give the annotation of the items of a list or dict; None when an annotation takes no such container."""
    for option in map(_bare, _options(annotation)):
        if option is Any:
            return Any
        if container is list and get_origin(option) is tuple:
            return get_args(option)[0]
        if container is dict and get_origin(option) is dict:
            return get_args(option)[1]
    return None


def fill_in(verb: V, variables: Variables) -> V:
    """Fill the variables into every field of a verb; FormatError when one is then not what it takes."""
    filled = {}
    for field in msgspec.structs.fields(verb):
        value = getattr(verb, field.name)
        try:
            filled[field.name] = _filled(value, field.type, variables)
        except ValueError as error:
            raise FormatError(f"{field.name}: {error}") from error
    verb = msgspec.structs.replace(verb, **filled)
    if isinstance(verb, Stream | Connect):
        check_stream(verb, insecure_loopback=True)  # whether that is so, is for the call to say
    return verb


def _filled(value: Any, annotation: Any, variables: Variables) -> Any:
    if isinstance(value, dict):
        return {name: variables.text(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_filled(item, items_of(annotation, list), variables) for item in value)
    if not isinstance(value, str) or PLACEHOLDER.search(value) is None:
        return value
    text = variables.text(value)
    if PLACEHOLDER.search(text):  # it would pass for what is still to be filled in
        raise ValueError("a variable holds a placeholder itself")
    [option] = (option for option in _options(annotation) if option != Variable)
    return check(text, option, strict=False)


def _options(annotation: Any) -> list[Any]:
    """Give the alternatives of a union, without None."""
    if get_origin(annotation) in (Union, UnionType):
        return [option for option in get_args(annotation) if option is not NoneType]
    return [annotation]


def _bare(option: Any) -> Any:
    return get_args(option)[0] if get_origin(option) is Annotated else option


def _extra(option: Any) -> dict[str, Any]:
    if get_origin(option) is not Annotated:
        return {}
    return get_args(option)[1].extra or {}


def _takes_one(option: Any) -> str:
    if get_origin(option) is Annotated:
        return str(_extra(option)["takes"])
    if get_origin(option) is Literal:
        return " or ".join(get_args(option))
    return _NAMES[get_origin(option) or option]


def _not(value: Any, annotation: Any) -> str:
    """Say what was given instead; no text is repeated, since it may be a secret."""
    if isinstance(value, bool | int | float):
        return f", not {str(value).lower()}"
    if isinstance(value, str):
        text = any(_bare(option) is str or get_origin(option) is Literal for option in _options(annotation))
        return "" if text else ", not a string"
    if items_of(annotation, type(value)) is not None:  # an empty list
        return ""
    if value is None:
        return ", not null"
    return ", not a list" if isinstance(value, list) else ", not an object"
