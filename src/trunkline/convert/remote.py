"""Files that have URLs, such as s3://bucket/call.wav, through fsspec."""

import errno
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from trunkline.errors import FormatError, LibraryMissingError
from trunkline.extras import needs_extra

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["canonical", "expand_remote", "is_remote", "modified_ns", "open_remote", "upload_on_success"]

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*(::[a-z][a-z0-9+.-]*)*://", re.I)
#: What is fetched at a time: s3fs would take 50 MiB for each file that is open.
BLOCK_BYTES: Final = 8 << 20
#: What helps against errors that say only what they are.
_CURES: Final = {
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "EndpointConnectionError": "is AWS_ENDPOINT_URL right?",
    "PermissionError": "may these credentials do that?",
}


def is_remote(name: str) -> bool:
    """Whether a name is a URL."""
    return _URL.match(name) is not None


def open_remote(url: str) -> BinaryIO:
    """Open a URL for reading; OSError with the URL in it, also on reading, or LibraryMissingError."""
    file_system, path = _locate(url)
    with _named_errors(url):
        file = file_system.open(path, "rb", block_size=BLOCK_BYTES)
        return cast("BinaryIO", io.BufferedReader(_RemoteFile(url, file)))


class _RemoteFile(io.RawIOBase):
    """A file in a store, whose errors have its name."""

    def __init__(self, url: str, file: Any) -> None:
        self._url = url
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, buffer: "Buffer", /) -> int:
        with _named_errors(self._url), memoryview(buffer) as view:
            data = self._file.read(len(view))
            view[: len(data)] = data
            return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with _named_errors(self._url):  # the end may have to be asked for
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            super().close()


def expand_remote(url: str, endings: tuple[str, ...]) -> list[tuple[str, str]]:
    """Give the URLs that one with a pattern stands for, each with its name below what that begins with.

    One that ends in "/" stands for all below it that have one of the `endings`.
    """
    is_directory = url.endswith("/")
    if not (is_directory or any(char in url for char in "*?[")):
        return [(url, url.rpartition("/")[2])]
    file_system, path = _locate(url)
    with _named_errors(url):
        found = file_system.find(path) if is_directory else file_system.glob(path)
    if is_directory:
        parent = path.rstrip("/")
        found = [name for name in found if name.lower().endswith(endings)]
    else:
        parent = re.split(r"[*?\[]", path)[0].rpartition("/")[0]
    if not found:
        takes = f"no audio below it: takes {', '.join(endings)}"
        raise FormatError(f"{url}: {takes if is_directory else 'nothing has such a name'}")
    return [(file_system.unstrip_protocol(name), name[len(parent) :].lstrip("/")) for name in sorted(found)]


def canonical(url: str) -> str:
    """Give the one URL of what may have several, as s3a:// is another name of s3://."""
    file_system, path = _locate(url)
    return str(file_system.unstrip_protocol(path))


def modified_ns(url: str) -> int:
    """Say when what is at a URL was written, in ns of the epoch; 0 of a store that does not tell.

    FileNotFoundError when nothing is there.
    """
    file_system, path = _locate(url)
    with _named_errors(url):
        try:
            return int(file_system.modified(path).timestamp() * 1e9)
        except NotImplementedError:
            file_system.info(path)
            return 0


@contextmanager
def upload_on_success(url: str) -> Iterator[BinaryIO]:
    """Give a local file that is put to `url` when the block ends: a store never holds half of one."""
    import tempfile

    file_system, path = _locate(url)
    with tempfile.NamedTemporaryFile(prefix="trunkline-", buffering=0) as file:
        yield cast("BinaryIO", file)
        file.flush()
        with _named_errors(url):
            file_system.put_file(file.name, path)


def _locate(url: str) -> tuple[Any, str]:
    with needs_extra("files"):
        import fsspec
    try:
        file_system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = getattr(error.__cause__, "name", None)
        cure = f"pip install {package.partition('.')[0]}" if package else str(error)
        raise LibraryMissingError(f"{url}: {cure}", name=package) from error
    except ValueError as error:  # no such protocol
        raise FormatError(f"{url}: {error}") from error
    if "file" in (file_system.protocol, *file_system.protocol):  # else an input could be replaced unnoticed
        raise FormatError(f"{url}: is on this machine: give its path, {path}")
    return file_system, path


@contextmanager
def _named_errors(url: str) -> Iterator[None]:
    """Turn whatever a store's library raises into an OSError of one line with the URL in it."""
    try:
        yield
    except FileNotFoundError as error:
        said = _reason(error)
        if said in url:
            said = _reason(error.__cause__) or "nothing is there"
        raise FileNotFoundError(errno.ENOENT, said, url) from error
    except Exception as error:
        cure = _CURES.get(type(error).__name__, "")
        number = getattr(error, "errno", None) or errno.EIO
        raise OSError(number, ": ".join(filter(None, (_reason(error), cure))), url) from error


def _reason(error: BaseException | None) -> str:
    if error is None:
        return ""
    return " ".join(str(error).split())[:300] or type(error).__name__
