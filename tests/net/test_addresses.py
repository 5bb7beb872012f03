"""Addresses: what is not public is refused, and numbers are read as the system's resolver reads them."""

import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.net.addresses import (
    CARRIED,
    EDGES,
    NEAR,
    SIX_TO_FOUR,
    V4,
    V6,
    ipv4_spellings,
    is_public,
    reference_ipv4,
)
from trunkline.errors import FormatError
from trunkline.net.addresses import parse_host, why_not_public


@given(V4 | V6 | NEAR | CARRIED | SIX_TO_FOUR)
def test_what_is_not_public_is_refused(address: IPv4Address | IPv6Address) -> None:
    why = why_not_public(address)
    assert (why is None) == is_public(address)
    carried = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if not (carried or address).is_global:  # newer Pythons judge mapped addresses by what they carry
        assert why is not None


def test_every_edge_of_every_range() -> None:
    for address in EDGES:
        assert (why_not_public(address) is None) == is_public(address), address


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.255.0.1", "a loopback"),
        ("::1", "a loopback"),
        ("::ffff:127.0.0.1", "a loopback"),
        ("64:ff9b::a00:1", "a private"),
        ("169.254.169.254", "a metadata service's"),
        ("64:ff9b::a9fe:a9fe", "a metadata service's"),
        ("fd00:ec2::254", "a metadata service's"),
        ("169.254.1.1", "a link-local"),
        ("fe80::1", "a link-local"),
        ("0.0.0.0", "the unspecified"),  # noqa: S104
        ("::", "the unspecified"),
        ("224.0.1.1", "a multicast"),
        ("ff0e::1", "a multicast"),
        ("240.0.0.1", "a reserved"),
        ("::7f00:1", "a reserved"),
        ("100.64.0.1", "a shared"),
        ("2002:7f00:1::", "a 6to4"),
        ("2606:2800:220:1::1", None),
        ("64:ff9b::808:808", None),
    ],
)
def test_kinds_are_named(address: str, why: str | None) -> None:
    assert why_not_public(ipaddress.ip_address(address)) == why


@given(ipv4_spellings() | st.from_regex(r"(0x)?[0-9a-f]{1,9}(\.(0x)?[0-9a-f]{0,4}){0,4}", fullmatch=True))
def test_numbers_are_addresses_or_nothing(text: str) -> None:
    for spelling in (text, f"{text}."):
        name = spelling.removesuffix(".")
        expected = reference_ipv4(name)
        try:
            host = parse_host(spelling)
        except FormatError:
            assert expected is None
            continue
        if expected is None:
            assert not re.fullmatch("[0-9]+|0x[0-9a-f]*", name.rsplit(".", 1)[-1])
            assert host == name
        else:
            assert host == IPv4Address(expected)
