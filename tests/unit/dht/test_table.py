"""The table's limit of nodes at one address holds however a node gets there."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from kademlia.node import Node

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.table import Table
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.params import NODES_PER_SITE_MAX, PEER_FAILURES_MAX

OWN = Node(bytes(20))
ONE_HOST = "8.8.8.8"


def peers_in_far_half(seed: int, host: str) -> Iterator[Peer]:
    """Strangers whose ids begin with a 1, so that all of them belong to bucket 0."""
    rng, port = random.Random(seed), 1000
    while True:
        port += 1
        peer = peer_of(Contact.of(PublicKey(rng.randbytes(32)), Address(host, port)))
        if peer.id[0] >> 7:
            yield peer


def at(peer: Peer, host: str) -> Peer:
    return peer_of(Contact.of(peer.contact.public_key, Address(host, peer.address.port)))


def full_table(ksize: int) -> Table:
    """Bucket 0 is full of nodes at addresses of their own."""
    table, strangers = Table(OWN, ksize), peers_in_far_half(1, "10.0.0.1")
    for number in range(ksize):
        table.answered(at(next(strangers), f"9.9.9.{number}"), 0.0)
    return table


def fail(table: Table, peer: Peer) -> None:
    for _ in range(PEER_FAILURES_MAX):
        table.failed(peer, 1.0)


def count_at(table: Table, host: str) -> int:
    return sum(peer.ip == host for peer in table)


def crowded_table(ksize: int, host: str = ONE_HOST) -> Table:
    """Bucket 0 is full of nodes at one address."""
    table, crowd = Table(OWN, ksize), peers_in_far_half(3, host)
    for _ in range(ksize):
        table.answered(next(crowd), 0.0)
    return table


def strangers(count: int) -> list[Peer]:
    """Each in a network of its own."""
    found = peers_in_far_half(4, "10.0.0.1")
    return [at(next(found), f"7.7.{number}.7") for number in range(count)]


def test_all_nodes_of_one_address_are_known_while_nobody_else_wants_the_places() -> None:
    assert count_at(crowded_table(6), ONE_HOST) == 6


def test_a_crowd_gives_way_to_others_down_to_its_share() -> None:
    table = crowded_table(6)
    for peer in strangers(4):
        assert table.has_room_for(peer, 0.5)
        table.answered(peer, 1.0)
    assert count_at(table, ONE_HOST) == NODES_PER_SITE_MAX
    assert len(table) == 6


def test_nobody_gives_way_to_one_more_of_a_crowd() -> None:
    table, crowd = full_table(4), peers_in_far_half(2, ONE_HOST)
    for _ in range(4):
        newcomer = next(crowd)
        assert not table.has_room_for(newcomer, 0.5)
        table.answered(newcomer, 0.5)
    assert count_at(table, ONE_HOST) == 0


def test_one_address_does_not_wear_out_a_contended_bucket_by_coming_again_and_again() -> None:
    table, crowd = crowded_table(4), peers_in_far_half(5, ONE_HOST)
    for peer in strangers(2):
        table.answered(peer, 1.0)
    for number in range(50):
        table.answered(next(crowd), 2.0 + number)
    assert count_at(table, ONE_HOST) == NODES_PER_SITE_MAX


def test_who_gave_way_waits_as_the_last_replacement() -> None:
    table = crowded_table(4)
    first, second, third = strangers(3)
    for peer in (first, second, third):
        table.answered(peer, 1.0)
    fail(table, first)
    assert table.get(third) is not None
    fail(table, second)
    assert count_at(table, ONE_HOST) == 2 + 1


def test_a_crowd_that_waits_keeps_no_other_out_of_the_replacements() -> None:
    table, crowd = full_table(4), peers_in_far_half(2, ONE_HOST)
    welcome = at(next(crowd), "7.7.7.7")
    table.answered(welcome, 0.5)
    for _ in range(NODES_PER_SITE_MAX):
        table.answered(next(crowd), 0.6)
    for peer in list(table)[:3]:
        fail(table, peer)  # the share of the crowd came last and is in
    for _ in range(9):
        table.answered(next(crowd), 0.7)
    assert table.get(welcome) is not None


def test_an_ipv6_site_is_one_crowd_whatever_addresses_it_takes() -> None:
    table, crowd = Table(OWN, 4), peers_in_far_half(6, "2a01:4f8:1:200::1")
    for number in range(4):
        table.answered(at(next(crowd), f"2a01:4f8:1:2{number:02x}::{number + 1}"), 0.0)
    for peer in strangers(2):
        table.answered(peer, 1.0)
    assert sum(peer.ipv6 for peer in table) == NODES_PER_SITE_MAX


@pytest.mark.parametrize("host", ["192.168.1.7", "127.0.0.1", "fd00::7"])
def test_private_and_loopback_addresses_are_no_crowd(host: str) -> None:
    table = crowded_table(4, host)
    table.answered(strangers(1)[0], 1.0)
    assert count_at(table, host) == 4


def test_nodes_at_our_own_address_are_no_crowd() -> None:
    table = crowded_table(4)
    table.crowds.set_own([ONE_HOST])
    table.answered(strangers(1)[0], 1.0)
    assert count_at(table, ONE_HOST) == 4


def test_nodes_that_move_to_one_address_become_a_crowd() -> None:
    table = full_table(4)
    for peer in list(table):
        table.answered(at(peer, ONE_HOST), 0.5)
    assert count_at(table, ONE_HOST) == 4
    for peer in strangers(3):
        table.answered(peer, 1.0)
    assert count_at(table, ONE_HOST) == NODES_PER_SITE_MAX


def test_a_crowd_that_went_is_no_crowd_any_more() -> None:
    table = crowded_table(4)
    for peer in list(table):
        fail(table, peer)
    assert table.crowds.has_share(next(peers_in_far_half(9, ONE_HOST)))
