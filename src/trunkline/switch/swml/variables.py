"""Variables of a running document: `${path}` and `%{path}` in its strings."""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from trunkline.errors import FormatError

__all__ = ["PLACEHOLDER", "Scopes", "Variables", "check_placeholders"]

Scopes: TypeAlias = Mapping[str, Mapping[str, Any]]

PLACEHOLDER: Final = re.compile(r"[$%]\{([^}]*)\}")
TEXT_MAX: Final = (
    8_192  # of a string with its variables filled in: without a bound, a few `set` double it to gigabytes
)
_PATH: Final = re.compile(r"\s*([A-Za-z_]\w*(?:\.\w+|\[[0-9]{1,4}\])*)\s*", re.ASCII)
_STEP: Final = re.compile(r"\w+", re.ASCII)
_SCOPES: Final = ("call", "params", "envs")
_ORDER: Final = ("vars", "envs", "call")  # where a name without a scope is looked for


def check_placeholders(text: str) -> None:
    """Refuse what is not a plain path: the platform takes it for JavaScript. ValueError says so."""
    for match in PLACEHOLDER.finditer(text):
        if _PATH.fullmatch(match[1]) is None:
            raise ValueError(
                f"{match[0][:64]!r} is an expression; plain paths such as ${{call.from}} are taken"
            )


class Variables:
    """The scope `vars`, which `set` and the verbs write, and the scopes that are only read.

    >>> variables = Variables({"call": {"from": "+15550100", "headers": [{"name": "X-Id"}]}})
    >>> variables.vars["city"] = "Oslo"
    >>> variables.text("${call.from} from %{city}, ${call.headers[0].name}, ${vars.nothing}.")
    '+15550100 from Oslo, X-Id, .'
    """

    def __init__(self, scopes: Scopes) -> None:
        unknown = set(scopes) - set(_SCOPES)
        if unknown:
            raise FormatError(f"unknown scope {min(unknown)[:64]!r}: there are {', '.join(_SCOPES)}")
        self.vars: dict[str, Any] = {}
        self._scopes = {"vars": self.vars, **{name: scopes.get(name, {}) for name in _SCOPES}}

    def text(self, template: str) -> str:
        """Fill in the variables; FormatError when that makes more than TEXT_MAX characters."""
        parts: list[str] = []
        length = end = 0
        for match in PLACEHOLDER.finditer(template):
            filled = _to_text(self._look_up(match[1].strip()))
            length += match.start() - end + len(filled)
            if length > TEXT_MAX:
                raise FormatError(
                    f"{length} characters with the variables filled in: a string takes {TEXT_MAX}"
                )
            parts += (template[end : match.start()], filled)
            end = match.end()
        return "".join(parts) + template[end:]

    def value(self, template: Any) -> Any:
        """Fill in the variables of a value for `set`: a string that is one number's variable is a number."""
        if isinstance(template, str):
            match = PLACEHOLDER.fullmatch(template)
            if match is None:
                return self.text(template)
            found = self._look_up(match[1].strip())
            return found if isinstance(found, int | float) else self.text(template)
        if isinstance(template, list):
            return [self.value(item) for item in template]
        if isinstance(template, dict):
            return {name: self.value(item) for name, item in template.items()}
        return template

    def _look_up(self, path: str) -> Any:
        """Give what is at a path, None for nothing."""
        first, *rest = _STEP.findall(path)
        if first in self._scopes:
            found: Any = self._scopes[first]
        else:
            scopes = (self._scopes[name] for name in _ORDER)
            found = next((scope[first] for scope in scopes if first in scope), None)
        for step in rest:
            if isinstance(found, Mapping):
                found = found.get(step)
            elif isinstance(found, list | tuple) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            else:
                return None
        return found


def _to_text(value: Any) -> str:
    """Write a value as the platform's JavaScript would; an object or list as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
