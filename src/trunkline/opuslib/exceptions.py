"""OpusError: what opuslib raises."""

from collections.abc import Iterator
from contextlib import contextmanager

from trunkline._native import opus as native
from trunkline.errors import BufferTooSmallError, TrunklineError
from trunkline.opuslib.constants import BAD_ARG, BUFFER_TOO_SMALL, INVALID_PACKET

__all__ = ["OpusError"]


class OpusError(TrunklineError):
    """Say why libopus, or a check before it, refused; `code` is libopus's."""

    def __init__(self, code: int, message: str | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message or native.in_use().strerror(self.code)


@contextmanager
def as_opus_error() -> Iterator[None]:
    """Turn our errors into opuslib's."""
    try:
        yield
    except BufferTooSmallError as error:
        raise OpusError(BUFFER_TOO_SMALL, str(error)) from error
    except (TypeError, ValueError) as error:
        default = INVALID_PACKET if type(error).__name__ == "PayloadError" else BAD_ARG
        raise OpusError(getattr(error, "code", default), str(error)) from error
