"""One thread at a time inside an object."""

from _thread import allocate_lock
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from trunkline.errors import ConcurrentUseError

__all__ = ["Exclusive", "exclusive"]

P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self", bound="Exclusive")


class Exclusive:
    """Base of objects whose `exclusive` methods refuse a second thread."""

    def __init__(self) -> None:
        self._in_use = allocate_lock()


def exclusive(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """Let a method raise ConcurrentUseError while another one of the same object runs."""

    @wraps(method)
    def guarded(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not self._in_use.acquire(False):
            raise ConcurrentUseError(f"{type(self).__name__}: used by two threads at once")
        try:
            return method(self, *args, **kwargs)
        finally:
            self._in_use.release()

    return guarded
