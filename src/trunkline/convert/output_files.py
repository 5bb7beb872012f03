"""Files that are written: whole under their name, or not at all."""

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from trunkline.convert.remote import is_remote, upload_on_success

__all__ = ["output_file"]


@contextmanager
def output_file(name: str) -> Iterator[BinaryIO]:
    """Give a new file that takes the name `name` when the block ends, and is gone when the block fails.

    "-" is standard output; what exists and is no regular file, such as /dev/null and a FIFO, is written to
    as it is; a URL gets the file uploaded. OSError, with the name in it, when it cannot be written.
    """
    if name == "-":
        with named_errors("standard output"):
            yield io.FileIO(sys.stdout.fileno(), "wb", closefd=False)
    elif is_remote(name):
        with upload_on_success(name) as file:
            yield file
    else:
        with named_errors(name), _local_file(os.path.realpath(name)) as file:
            yield file


@contextmanager
def _local_file(path: str) -> Iterator[BinaryIO]:
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "wb", buffering=0) as special:
                yield special
            return
        os.close(os.open(path, os.O_WRONLY))  # one that may not be written is not replaced either
    directory, name = os.path.split(path)
    part = os.path.join(directory, f".{name[:200]}.{os.urandom(4).hex()}.part")
    try:
        with open(part, "xb", buffering=0) as file:
            yield file
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Put the name of a file into the errors of writing it, which have none."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, name) from error
