from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from typing_extensions import disjoint_base

P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self", bound="Exclusive")

@disjoint_base
class Exclusive: ...

def exclusive(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]: ...
