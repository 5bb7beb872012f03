from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from typing_extensions import disjoint_base

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Self = TypeVar("_Self", bound="Exclusive")

@disjoint_base
class Exclusive: ...

def exclusive(method: Callable[Concatenate[_Self, _P], _R]) -> Callable[Concatenate[_Self, _P], _R]: ...
