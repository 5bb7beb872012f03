"""Optional dependencies: one place that says which extra brings a missing package."""

from collections.abc import Iterator
from contextlib import contextmanager

from trunkline.errors import LibraryMissingError

__all__ = ["needs_extra"]


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turn a failing import inside the block into a LibraryMissingError that names the cure.

    `extra` is a group of pyproject.toml: "server", "cli", "plot", "files", "ray".

    >>> with needs_extra("plot"):
    ...     import no_such_package
    Traceback (most recent call last):
    ...
    trunkline.errors.LibraryMissingError: no_such_package is not installed: pip install 'trunkline[plot]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "a package").partition(".")[0]
        message = f"{package} is not installed: pip install 'trunkline[{extra}]'"
        raise LibraryMissingError(message, name=package) from error
