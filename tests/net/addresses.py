"""A slow reference: which addresses are public, and what the spellings of IPv4 are."""

import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import strategies as st

# The slow reference: RFC 6890's registry and its successors, and clouds' metadata, as ranges of numbers.
NOT_PUBLIC_V4 = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
    *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
]
NOT_PUBLIC_V6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]
EDGES_V6 = [
    *(
        "::/96",
        "::1/128",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2000::/3",
        "2001::/32",
    ),
    *("5f00::/16", "fc00::/7", "fd00:ec2::254/128", "fe80::/10", "fec0::/10", "ff00::/8"),
]
NOT_PUBLIC_V6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]


def in_range(number: int, network: str, bits: int) -> bool:
    base, _, prefix = network.partition("/")
    return number >> (bits - int(prefix)) == int(ipaddress.ip_address(base)) >> (bits - int(prefix))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    number = int(address)
    if address.version == 4:
        return not any(in_range(number, network, 32) for network in NOT_PUBLIC_V4)
    if in_range(number, "64:ff9b::/96", 128) or in_range(number, "::ffff:0:0/96", 128):
        return is_public(IPv4Address(number % 2**32))
    if number >> 125 != 0b001:
        return False
    return not any(in_range(number, network, 128) for network in NOT_PUBLIC_V6)


def at_an_edge(network: IPv4Network | IPv6Network) -> list[IPv4Address | IPv6Address]:
    first, last, kind = int(network[0]), int(network[-1]), type(network[0])
    top = 2**network.max_prefixlen - 1
    return [kind(number) for number in (first - 1, first, last, last + 1) if 0 <= number <= top]


EDGES = [
    address
    for text in [*NOT_PUBLIC_V4, *NOT_PUBLIC_V6, *EDGES_V6]
    for address in at_an_edge(ipaddress.ip_network(text))
]
V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
NEAR = st.sampled_from(EDGES)
CARRIED = st.builds(
    lambda prefix, v4: IPv6Address(int(IPv6Address(prefix)) | int(v4)),
    st.sampled_from(["::", "::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "2001::"]),
    V4 | NEAR.filter(lambda address: address.version == 4),
)
SIX_TO_FOUR = V4.map(lambda v4: IPv6Address(0x2002 << 112 | int(v4) << 80 | 1))


def reference_ipv4(text: str) -> int | None:
    """What inet_aton's manual page says, number by number."""
    numbers = []
    for part in text.split("."):
        if re.fullmatch("0x[0-9a-f]+", part):
            numbers.append(int(part, 16))
        elif re.fullmatch("0[0-7]*", part):
            numbers.append(int(part, 8))
        elif re.fullmatch("[1-9][0-9]*", part):
            numbers.append(int(part))
        else:
            return None
    if len(numbers) > 4 or any(number > 255 for number in numbers[:-1]):
        return None
    if numbers[-1] >= 256 ** (5 - len(numbers)):
        return None
    value = numbers[-1]
    for k, number in enumerate(numbers[:-1]):
        value += number * 256 ** (3 - k)
    return value


@st.composite
def ipv4_spellings(draw: st.DrawFn) -> str:
    value = int(draw(V4))
    n_parts = draw(st.integers(1, 4))
    numbers = [value >> (24 - 8 * k) & 255 for k in range(n_parts - 1)]
    numbers.append(value % 256 ** (5 - n_parts))
    forms = [draw(st.sampled_from(["{}", "0{:o}", "0x{:x}", "0x0{:x}"])) for _ in numbers]
    return ".".join(form.format(number) for form, number in zip(forms, numbers, strict=True))
