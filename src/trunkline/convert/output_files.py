"""Files that are written: whole under their name, or not at all."""

import fcntl
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from trunkline.convert.remote import is_remote, upload_on_success
from trunkline.errors import FormatError

__all__ = ["named_errors", "output_file"]


@contextmanager
def output_file(name: str) -> Iterator[BinaryIO]:
    """Give a new file that takes the name `name` when the block ends, and is gone when the block fails.

    "-" is standard output; what exists and is no regular file, such as /dev/null and a FIFO, is written to
    as it is; a URL gets the file uploaded. OSError, with the name in it, when it cannot be written.
    """
    if name == "-":
        if sys.stdout is None:
            raise FormatError("standard output is closed")
        with named_errors("standard output"):
            descriptor = sys.stdout.fileno()
            appends = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
            yield (_Appended if appends else io.FileIO)(descriptor, "wb", closefd=False)
    elif is_remote(name):
        with upload_on_success(name) as file:
            yield file
    else:
        with named_errors(name), _local_file(name) as file:
            yield file


class _Appended(io.FileIO):
    """A file that is written to at its end, wherever one seeks: as good as a pipe."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _local_file(name: str) -> Iterator[BinaryIO]:
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(name, "wb", buffering=0) as special:
            yield special
        return
    if mode is not None:
        os.close(os.open(name, os.O_WRONLY))  # one that may not be written is not replaced either
    path = os.path.realpath(name)  # a link goes on pointing to what it points to
    part = _part_name(path)
    try:
        with _new_file(part, name) as file:
            if mode is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(mode))
            yield file
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise


def _new_file(part: str, name: str) -> BinaryIO:
    """Open a new file; an error has the name that it is to have, as nobody has heard of the other."""
    try:
        return open(part, "xb", buffering=0)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, name) from error


def _part_name(path: str) -> str:
    """Name what is not whole yet, in the same directory: hidden, and of no ending that anybody reads."""
    directory, name = os.path.split(path)
    known = os.fsdecode(os.fsencode(name)[:200])  # of 255 bytes that a name may have
    return os.path.join(directory, f".{known}.{os.urandom(4).hex()}.part")


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Put the name of a file into the errors of writing it, which have none."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, name) from error
