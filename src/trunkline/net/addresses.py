"""Which hosts are spellings of an IP address, and which addresses a stranger may name."""

import ipaddress
import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from trunkline.errors import FormatError

__all__ = ["Address", "Network", "parse_host", "unmapped", "why_not_public"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NAME_CHARACTERS_MAX: Final = 253  # RFC 1035 2.3.4, without the dot at the end

_METADATA: Final = {
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google, OpenStack
        "169.254.170.2",  # AWS, of containers
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "168.63.129.16",  # Azure; by its number it is public
    )
}
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # all that is assigned so far (RFC 4291 2.4)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 2.1
# What `ipaddress` calls global in some versions of Python, or for good reasons of its own.
_SPECIAL: Final[dict[Network, str]] = {
    IPv4Network("192.0.0.0/24"): "a reserved",
    IPv4Network("192.88.99.0/24"): "a 6to4",
    IPv6Network("2001::/23"): "a reserved",
    IPv6Network("2002::/16"): "a 6to4",
    IPv6Network("3fff::/20"): "a documentation",
}


def parse_host(host: str) -> Address | str:
    """Tell an address, in any spelling that the system's resolver takes, from a name.

    `host` is as a URL's parser gives it: lower case, IDNA done, without brackets. IPv4 may have one to four
    numbers, decimal, octal or hexadecimal; IPv4-mapped IPv6 is the IPv4 address that it leads to. A name
    comes back without the dot at its end.

    Raises FormatError for what is neither, such as a name that ends in a number.

    >>> parse_host("0x7f.1"), parse_host("::ffff:7f00:1"), parse_host("localhost.")
    (IPv4Address('127.0.0.1'), IPv4Address('127.0.0.1'), 'localhost')
    """
    if ":" in host:
        return _parse_ipv6(host)
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > _NAME_CHARACTERS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise FormatError(f"{host[:64]!a} is no host: it is neither a name nor an IP address")
    if not _NUMBER.fullmatch(labels[-1]):
        return name
    try:  # what the resolver reads numbers with
        return IPv4Address(socket.inet_aton(name))
    except OSError:
        raise FormatError(f"{host[:64]!a} is no host: it ends in a number and is no IPv4 address") from None


def _parse_ipv6(host: str) -> Address:
    try:
        address = IPv6Address(host)
    except ValueError:
        raise FormatError(f"{host[:64]!a} is no IPv6 address") from None
    if address.scope_id is not None:
        raise FormatError(f"{host[:64]!a} names a zone, which no other machine has")
    return unmapped(address)


def unmapped(address: Address) -> Address:
    """Give the IPv4 address of an IPv4-mapped one (RFC 4291 2.5.5.2), any other as it is."""
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def why_not_public(address: Address) -> str | None:
    """Say what an address is that is not on the public internet, as "a loopback"; None for a public one.

    IPv6 that carries IPv4 is what it carries, where that can be reached (mapped, NAT64), and else refused.

    >>> why_not_public(IPv4Address("8.8.8.8")), why_not_public(IPv6Address("64:ff9b::127.0.0.1"))
    (None, 'a loopback')
    """
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped
        if address in _NAT64:
            carried = IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return why_not_public(carried)
    if address in _METADATA:
        return "a metadata service's"
    if address.is_unspecified:
        return "the unspecified"
    for kind in ("loopback", "link_local", "multicast", "reserved"):
        if getattr(address, f"is_{kind}"):
            return f"a {kind.replace('_', '-')}"
    for network, what in _SPECIAL.items():
        if address in network:
            return what
    if address.is_private:
        return "a private"
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return "a reserved"
    return None if address.is_global else "a shared"
