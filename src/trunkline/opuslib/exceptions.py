"""OpusError: what opuslib raises."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from trunkline._native import opus as native
from trunkline.errors import BufferTooSmallError, PayloadError, TrunklineError
from trunkline.opuslib.constants import BAD_ARG, BUFFER_TOO_SMALL, INVALID_PACKET

__all__ = ["OpusError"]

P = ParamSpec("P")
T = TypeVar("T")


class OpusError(TrunklineError):
    """Say why libopus, or a check before it, refused; `code` is libopus's."""

    def __init__(self, code: int, message: str | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message or native.in_use().strerror(self.code)


def opus_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function raise opuslib's error instead of ours."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except BufferTooSmallError as error:
            raise OpusError(BUFFER_TOO_SMALL, str(error)) from error
        except PayloadError as error:
            raise OpusError(INVALID_PACKET, str(error)) from error
        except (TypeError, ValueError) as error:
            raise OpusError(getattr(error, "code", BAD_ARG), str(error)) from error

    return wrapped
