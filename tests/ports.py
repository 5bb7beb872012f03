"""A port for what can take none by itself."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """Hold a TCP port of 127.0.0.1 that nobody listens on: the system gives it to no one else meanwhile.

    Who asks for it by its number and with SO_REUSEADDR, as servers do, may listen there all the same.
    """
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        yield port
