"""Which of a machine's addresses are told to others, and in what order."""

from __future__ import annotations

import pytest

from dhtstore.model.contact import Address
from dhtstore.net.addresses import address_of, advertised, own_hosts

V4, V6 = "0.0.0.0", "::"


@pytest.mark.parametrize(
    ("bound", "hosts", "told"),
    [
        pytest.param("10.1.1.1", ["192.168.0.2"], ["10.1.1.1"], id="bound-to-one"),
        pytest.param(V4, ["127.0.0.1"], ["127.0.0.1"], id="loopback-alone"),
        pytest.param(V6, ["127.0.0.1", "::1"], ["127.0.0.1", "::1"], id="loopback-of-both"),
        pytest.param(V4, [], ["127.0.0.1"], id="nothing"),
        pytest.param(V6, ["fe80::1", "::1"], ["::1"], id="link-local-is-nothing"),
        pytest.param(V4, ["127.0.0.1", "10.1.1.1"], ["10.1.1.1"], id="no-loopback-beside-others"),
        pytest.param(
            V4, ["10.1.1.1", "192.168.7.7"], ["10.1.1.1", "192.168.7.7"], id="two-networks"
        ),
        pytest.param(V4, ["10.1.1.1", "8.8.8.8"], ["8.8.8.8", "10.1.1.1"], id="global-first"),
        pytest.param(V4, ["10.1.1.1", "2a00::1"], ["10.1.1.1"], id="ipv4-only"),
        pytest.param(V6, ["2a00::1", "10.1.1.1"], ["2a00::1", "10.1.1.1"], id="both-families"),
        pytest.param(
            V6,
            ["fd00::1", "2a00::1", "2a00::2", "2a00::3", "10.1.1.1", "8.8.8.8"],
            ["8.8.8.8", "2a00::1", "10.1.1.1", "fd00::1"],
            id="one-of-each-kind-first",
        ),
        pytest.param(
            V6,
            ["2a00::1", "2a00::2", "2a00::3", "2a00::4", "2a00::5", "10.1.1.1"],
            ["2a00::1", "2a00::2", "2a00::3", "10.1.1.1"],
            id="then-more-of-a-kind",
        ),
    ],
)
def test_what_is_told_is_what_others_can_reach(
    bound: str, hosts: list[str], told: list[str]
) -> None:
    assert [address.host for address in advertised(Address(bound, 7), hosts)] == told


def test_the_port_is_the_one_that_is_bound() -> None:
    assert advertised(Address(V4, 7401), ["10.1.1.1"]) == (Address("10.1.1.1", 7401),)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("10.1.1.1", 5), Address("10.1.1.1", 5)),
        (("::ffff:10.1.1.1", 5, 0, 0), Address("10.1.1.1", 5)),
        (("fd00::1", 5, 0, 0), Address("fd00::1", 5)),
    ],
)
def test_ipv4_on_a_socket_of_both_families_is_ipv4(peer: object, address: Address) -> None:
    assert address_of(peer) == address


def test_a_node_is_where_it_is_bound_and_of_a_wildcard_wherever_its_machine_is() -> None:
    told, hosts = [Address("192.0.2.1", 1)], ["192.168.1.2", "127.0.0.1", "::1", "fd00::2"]
    assert own_hosts(Address("10.0.0.1", 1), told, lambda: hosts) == ["192.0.2.1", "10.0.0.1"]
    wide = own_hosts(Address("0.0.0.0", 1), told, lambda: hosts)
    assert wide == ["192.0.2.1", "192.168.1.2", "fd00::2"]
