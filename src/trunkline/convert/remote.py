"""Files that have URLs, such as s3://bucket/call.wav, through fsspec."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, cast

from trunkline.errors import FormatError, LibraryMissingError
from trunkline.extras import needs_extra

__all__ = ["exists_remote", "expand_remote", "is_remote", "open_remote", "upload_on_success"]

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*(::[a-z][a-z0-9+.-]*)*://", re.I)


def is_remote(name: str) -> bool:
    """Whether a name is a URL."""
    return _URL.match(name) is not None


def open_remote(url: str) -> BinaryIO:
    """Open a URL for reading; OSError when it cannot be read, LibraryMissingError with the cure."""
    file_system, path = _locate(url)
    return cast("BinaryIO", file_system.open(path, "rb"))


def expand_remote(url: str) -> list[tuple[str, str]]:
    """Give the URLs that one with a pattern, or ending in "/", stands for, each with its name below that."""
    if not (url.endswith("/") or any(char in url for char in "*?[")):
        return [(url, url.rpartition("/")[2])]
    file_system, path = _locate(url)
    parent = re.split(r"[*?\[]", path)[0].rpartition("/")[0] if not url.endswith("/") else path.rstrip("/")
    found = file_system.find(path) if url.endswith("/") else file_system.glob(path)
    if not found:
        raise FormatError(f"{url}: nothing has such a name")
    return [(file_system.unstrip_protocol(name), name[len(parent) :].lstrip("/")) for name in sorted(found)]


def exists_remote(url: str) -> bool:
    """Whether there is something at a URL."""
    file_system, path = _locate(url)
    return bool(file_system.exists(path))


@contextmanager
def upload_on_success(url: str) -> Iterator[BinaryIO]:
    """Give a local file that is put to `url` when the block ends: a store never holds half of one."""
    import tempfile

    file_system, path = _locate(url)
    with tempfile.NamedTemporaryFile(prefix="trunkline-", buffering=0) as file:
        yield cast("BinaryIO", file)
        file.flush()
        file_system.put_file(file.name, path)


def _locate(url: str) -> tuple[Any, str]:
    with needs_extra("files"):
        import fsspec
    try:
        file_system, path = fsspec.core.url_to_fs(url)
    except (
        ImportError,
        ValueError,
    ) as error:  # of a protocol: which package to install, or that there is none
        raise LibraryMissingError(f"{url}: {error}") from error
    return file_system, path
