"""Server: what listens for media streams, whatever library it is of."""

import asyncio
import os
import ssl as tls
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Protocol, Self

from trunkline.errors import FormatError
from trunkline.net.call import Call
from trunkline.net.endpoint import Endpoint
from trunkline.net.server_stats import ServerStats

__all__ = ["Listener", "Server", "authority", "listen_error", "port_of"]


class Listener(Protocol):
    """What `loop.create_server` gives, as far as it is needed."""

    def close(self) -> None: ...


class Server(ABC):
    """A listening endpoint; made by `serve` and its kin. `url` is what a platform streams to."""

    SCHEMES: ClassVar[tuple[str, str]] = ("ws", "wss")

    def __init__(
        self,
        endpoint: Endpoint,
        host: str,
        port: int,
        path: str,
        ssl: tls.SSLContext | None,
        reuse_port: bool = False,
    ) -> None:
        if not 0 <= port <= 65_535:
            raise FormatError(f"port {port}: takes 0 to 65535")
        self.port = port
        self.url = ""
        self._endpoint = endpoint
        self._host = host
        self._path = path
        self._ssl = ssl
        self._reuse_port = reuse_port
        self._listener: Listener | None = None

    @property
    def calls(self) -> frozenset[Call]:
        """The calls whose handlers are running."""
        return self._endpoint.calls

    @property
    def refused(self) -> dict[int, int]:
        """How many were not let in, by HTTP status."""
        return dict(self._endpoint.refused)

    @property
    def stats(self) -> ServerStats:
        """What was counted of all calls, those that are there, too."""
        return self._endpoint.stats

    @property
    def is_draining(self) -> bool:
        """Whether nobody is let in any more."""
        return self._endpoint.is_closed

    async def drain(self, timeout_s: float) -> bool:
        """Stop listening, and let the calls end as they would: False when some have not within `timeout_s`.

        `close`, or leaving the block, ends those with 1001.
        """
        if self._listener is not None:
            self._listener.close()
        return await self._endpoint.drain(timeout_s)

    async def close(self) -> None:
        """Stop listening, end every call with 1001 and wait for the handlers. Idempotent."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        listener.close()
        await self._endpoint.close()
        await self._end()

    @abstractmethod
    async def _listen(self) -> tuple[Listener, int]:
        """Listen at host and port; give the port that it is."""

    @abstractmethod
    async def _end(self) -> None:
        """Let go what is left after the calls, or of a listening that failed."""

    @property
    def _tls_timeout_s(self) -> float | None:
        """What a TLS handshake may take; None without TLS."""
        return None if self._ssl is None else self._endpoint.start_timeout_s

    async def __aenter__(self) -> Self:
        try:
            self._listener, self.port = await self._listen()
        except OSError as error:
            await self._end()
            raise listen_error(error, self._host, self.port) from error
        scheme = self.SCHEMES[self._ssl is not None]
        self.url = f"{scheme}://{authority(self._host, self.port)}{self._path}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def listen_error(error: OSError, host: str, port: int) -> OSError:
    """Say where it is that cannot be listened."""
    # A resolver's numbers are negative, and no operating system's.
    what = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return OSError(error.errno, f"cannot listen on {host}:{port}: {what}")


def authority(host: str, port: int) -> str:
    """Write host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def port_of(listener: asyncio.Server) -> int:
    """Give the port that a server has got."""
    port: int = listener.sockets[0].getsockname()[1]
    return port
