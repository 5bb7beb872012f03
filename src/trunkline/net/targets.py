"""Targets: which hosts may be connected to for a URL that a stranger gave."""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any, Final

from trunkline.errors import FormatError, RemoteProtocolError, TargetRefusedError
from trunkline.extras import needs_extra
from trunkline.net.addresses import Address, Network, parse_host, unmapped, why_not_public
from trunkline.net.tls import is_loopback

with needs_extra("server"):
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult
    from yarl import URL

__all__ = ["LOOPBACK", "Target", "Targets"]

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")  # networks, as `allowed` takes them
# What the name leads to, whatever a resolver says (RFC 6761 6.3).
LOCALHOST: Final = (ip_address("127.0.0.1"), ip_address("::1"))
URL_CHARACTERS_MAX: Final = 65_535
# More than the longest host, user name and port; IDNA takes time that grows with the square.
AUTHORITY_CHARACTERS_MAX: Final = 320
RESOLVE_TIMEOUT_S: Final = 2.0


class Targets:
    """The hosts that a server may connect to for URLs that strangers give it.

    A public address is always a target. Others (private, loopback, link-local, multicast, reserved, those of
    clouds' metadata services) are only where `allowed` lists the host, by name or address, or its network in
    CIDR notation; a name that is listed may lead anywhere. `resolver` looks names up, by default the
    system's. Raises FormatError for an entry that is none of these.

    >>> import asyncio
    >>> targets = Targets(["10.1.0.0/16"])
    >>> asyncio.run(targets.resolve("https://10.1.2.3/status")).addresses
    ('10.1.2.3',)
    >>> asyncio.run(targets.resolve("https://2130706433/status"))
    Traceback (most recent call last):
    ...
    trunkline.errors.TargetRefusedError: '2130706433' leads to a loopback address: list the host, or its
    network, among the allowed targets
    """

    def __init__(self, allowed: Iterable[str] = (), *, resolver: AbstractResolver | None = None) -> None:
        entries = [_entry(text) for text in allowed]
        self._names = frozenset(entry for entry in entries if isinstance(entry, str))
        self._networks = tuple(entry for entry in entries if not isinstance(entry, str))
        self._resolver = resolver

    @classmethod
    def for_bind(
        cls, host: str, allowed: Iterable[str] = (), *, resolver: AbstractResolver | None = None
    ) -> "Targets":
        """Make the targets of a server that listens on `host`: one on loopback may connect to loopback.

        >>> Targets.for_bind("127.0.0.1"), Targets.for_bind("0.0.0.0", ["media.internal"])
        (Targets(['127.0.0.0/8', '::1/128']), Targets(['media.internal']))
        """
        return cls([*allowed, *(LOOPBACK if is_loopback(host) else ())], resolver=resolver)

    async def resolve(self, url: str | URL, *, schemes: tuple[str, ...] = ("https", "http")) -> "Target":
        """Look the URL's host up, once, and check every address that it leads to.

        Takes 2 s at most. Raises FormatError for what is no URL of `schemes`, TargetRefusedError for a host
        that leads to an address which is not allowed, TimeoutError and OSError when it cannot be looked up.
        No message holds more of the URL than its host.
        """
        parsed, host = _parse(url, schemes)
        if not isinstance(host, str):
            self._check(parsed.raw_host or "", host)
            return Target(parsed.with_host(str(host)), (str(host),))
        found = await self._look_up(host, parsed.raw_host or "")
        addresses = tuple(dict.fromkeys(map(unmapped, found)))
        if not addresses:
            raise OSError(f"{host!r} has no address")
        if host not in self._names:
            for address in addresses:
                self._check(host, address)
        return Target(parsed, tuple(map(str, addresses)))

    async def _look_up(self, host: str, name: str) -> list[Address]:
        if host == "localhost" or host.endswith(".localhost"):
            return list(LOCALHOST)
        resolver = self._resolver or aiohttp.ThreadedResolver()
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                found = await resolver.resolve(name, 0, socket.AF_UNSPEC)
        except TimeoutError:
            raise TimeoutError(f"{host!r} was not looked up within {RESOLVE_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise OSError(f"cannot look {host!r} up: {error.strerror or type(error).__name__}") from None
        return [ip_address(result["host"]) for result in found]

    def _check(self, host: str, address: Address) -> None:
        why = why_not_public(address)
        if why is not None and not any(address in network for network in self._networks):
            raise _refusal(host, why)

    def __repr__(self) -> str:
        return f"Targets({[*map(str, self._networks), *sorted(self._names)]})"


class Target:
    """A URL whose host has been looked up and checked; made by `Targets.resolve`.

    `url` is what to ask for, with an IP address in its usual spelling; `addresses` are where it leads.

        target = await targets.resolve("wss://example.com/audio", schemes=("wss",))
        async with target.session() as session:
            socket = await session.ws_connect(target.url)
    """

    __slots__ = ("_ends", "addresses", "url")

    def __init__(self, url: URL, addresses: tuple[str, ...]) -> None:
        self.url = url
        self.addresses = addresses
        self._ends = frozenset((address, url.port) for address in addresses)

    def session(self, **options: Any) -> aiohttp.ClientSession:
        """Open a session that connects to `addresses` at the URL's port and nowhere else.

        TLS and the Host header keep the URL's name. There is no second look-up, no proxy, no cookie, no
        redirect (RemoteProtocolError) and no connection that outlives its request. `options` are
        ClientSession's.
        """
        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(_refuse_redirect)
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(self), use_dns_cache=False, socket_factory=self._socket, force_close=True
        )
        return aiohttp.ClientSession(
            connector=connector, trace_configs=[trace], cookie_jar=aiohttp.DummyCookieJar(), **options
        )

    def _socket(self, info: "aiohttp.connector.AddrInfoType") -> socket.socket:
        """Make the socket of one connection; what it is about to connect to has the last check."""
        family, kind, protocol, _, end = info
        if end[:2] not in self._ends:
            raise _refusal(end[0], "an unchecked")
        return socket.socket(family, kind, protocol)

    def __repr__(self) -> str:
        return f"Target({self.url.origin()}, {list(self.addresses)})"


class _Pinned(AbstractResolver):
    """Answers for one name, with the addresses that were checked."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if host != self._target.url.raw_host:
            raise _refusal(host, "an unchecked")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in self._target.addresses
        ]

    async def close(self) -> None:
        pass


async def _refuse_redirect(*args: object) -> None:
    raise RemoteProtocolError("the server redirects: use the URL that it redirects to")


def _parse(url: str | URL, schemes: tuple[str, ...]) -> tuple[URL, Address | str]:
    """Read a URL with the parser that connects, so that nobody reads another host out of it."""
    text = str(url)
    takes = f"takes {' or '.join(f'{scheme}://HOST[:PORT]/PATH' for scheme in schemes)}"
    if not text.isprintable() or " " in text:  # a parser may drop them, and what is left means another host
        raise FormatError(f"the URL holds a space or a control character: {takes}")
    authority = text.partition("//")[2]
    for end in "/?#":
        authority = authority.partition(end)[0]
    if len(text) > URL_CHARACTERS_MAX or len(authority) > AUTHORITY_CHARACTERS_MAX:
        raise FormatError(
            f"a URL of {len(text)} characters, its host and port {len(authority)}: takes at most"
            f" {URL_CHARACTERS_MAX} and {AUTHORITY_CHARACTERS_MAX}"
        )
    try:
        parsed = URL(text).with_fragment(None)
    except ValueError:  # its message has the URL
        raise FormatError(f"not a URL: {takes}") from None
    if parsed.scheme not in schemes or not parsed.raw_host or not parsed.port:
        raise FormatError(f"not a URL that is connected to: {takes}")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise FormatError("the URL holds a user name or password, which would show in logs")
    return parsed, parse_host(parsed.raw_host)


def _entry(text: str) -> Network | str:
    """Read an entry of the allowed: a network, an address, a name."""
    try:
        return ip_network(text)
    except ValueError as error:
        if "/" in text:
            raise FormatError(f"allowed target {text[:64]!a}: {error}") from None
    try:
        if len(text) > AUTHORITY_CHARACTERS_MAX:
            raise FormatError(f"{len(text)} characters")
        host = parse_host(URL.build(scheme="http", host=text).raw_host or "")
    except ValueError:
        host = None
    if not isinstance(host, str):
        raise FormatError(f"allowed target {text[:64]!a}: takes a name, an address or a network")
    return host


def _refusal(host: str, what: str) -> TargetRefusedError:
    return TargetRefusedError(
        f"{host[:64]!a} leads to {what} address: list the host, or its network, among the allowed targets"
    )
