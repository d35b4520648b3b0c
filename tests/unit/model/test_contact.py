"""Whose word leads where."""

from __future__ import annotations

import pytest

from dhtstore.model.contact import Address, followable

LOCAL = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.1",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "::1",
    "fd00::1",
    "fe80::1",
    "::ffff:127.0.0.1",
    "::ffff:192.168.1.1",
    "64:ff9b::a00:1",
    "2002:7f00:1::1",
]


@pytest.mark.parametrize("host", LOCAL)
def test_others_lead_nobody_to_where_an_address_means_another_host_to_everybody(host: str) -> None:
    assert not followable(Address(host, 7400), ["192.0.2.1", "2001:db8::1"])


@pytest.mark.parametrize(
    "host", ["192.0.2.9", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::2"]
)
def test_others_lead_to_the_internet(host: str) -> None:
    assert followable(Address(host, 7400), [])


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("10.200.1.1", "10.0.0.1"),
        ("::ffff:192.168.7.7", "192.168.1.1"),
        ("fd12::1", "fd00::1"),
    ],
)
def test_where_a_node_is_itself_others_may_be_too(host: str, own: str) -> None:
    assert followable(Address(host, 7400), ["192.0.2.1", own])


def test_one_private_range_is_no_way_into_another() -> None:
    assert not followable(Address("192.168.1.1", 7400), ["10.0.0.1", "172.16.0.1", "127.0.0.1"])


@pytest.mark.parametrize("address", [Address("224.0.0.1", 1), Address("8.8.8.8", 0)], ids=str)
def test_what_is_not_the_address_of_one_host_leads_nowhere(address: Address) -> None:
    assert not followable(address, [])
